//! One request inside a batch: the text of an HTTP request. Clients end lines
//! with CRLF or LF, leave spaces in addresses and blank lines before bodies.

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::malformed;
use crate::error::Result;

/// What an address may hold raw in a batch, but not on its own.
const RAW: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}')
    .add(b'#');

/// A request as it stands in a batch.
#[derive(Debug)]
pub struct Message {
    /// `Content-ID`, or the id of a JSON request.
    pub id: Option<String>,
    pub method: Method,
    /// As written: absolute, below the host or below the Web API.
    pub target: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Message {
    /// Reads the text of a request. `id` is what stands in front of it.
    pub fn read(text: &[u8], id: Option<String>) -> Result<Self> {
        let mut rest = text;
        let line = loop {
            let Some((line, after)) = next_line(rest) else {
                return Err(malformed("a part holds no request"));
            };
            rest = after;
            if !line.trim().is_empty() {
                break line.into_owned();
            }
        };
        let (method, target) = request_line(&line)?;
        let (mut headers, after) = headers(rest)?;
        let inner = headers.remove("content-id");
        let id = id.or_else(|| inner.and_then(|v| v.to_str().ok().map(str::to_owned)));
        // Some clients send the word null with requests that have no body.
        let body = match method {
            Method::GET | Method::HEAD | Method::DELETE => Bytes::new(),
            _ => Bytes::copy_from_slice(after.trim_ascii()),
        };
        Ok(Self { id, method, target, headers, body })
    }
}

/// `METHOD address HTTP/1.1`; the address may hold spaces.
fn request_line(line: &str) -> Result<(Method, String)> {
    let line = line.trim();
    let broken = || malformed(format!("'{}' is not a request line", excerpt(line)));
    let (method, rest) = line.split_once(' ').ok_or_else(broken)?;
    let target = rest.rsplit_once(" HTTP/").map_or(rest, |(target, _)| target).trim();
    let method = method_of(method).ok_or_else(broken)?;
    if target.is_empty() {
        return Err(broken());
    }
    Ok((method, target.to_owned()))
}

/// A method by its name.
pub fn method_of(name: &str) -> Option<Method> {
    [Method::GET, Method::HEAD, Method::POST, Method::PATCH, Method::PUT, Method::DELETE]
        .into_iter()
        .find(|m| m.as_str().eq_ignore_ascii_case(name))
}

/// Header lines up to a blank one, and what follows it.
pub fn headers(text: &[u8]) -> Result<(HeaderMap, &[u8])> {
    let mut headers = HeaderMap::new();
    let mut rest = text;
    while let Some((line, after)) = next_line(rest) {
        rest = after;
        let line = line.trim();
        if line.is_empty() {
            break;
        }
        let broken = || malformed(format!("'{}' is not a header", excerpt(line)));
        let (name, value) = line.split_once(':').ok_or_else(broken)?;
        let name = HeaderName::try_from(name.trim()).map_err(|e| broken().caused_by(e))?;
        let value = HeaderValue::try_from(value.trim()).map_err(|e| broken().caused_by(e))?;
        headers.append(name, value);
    }
    Ok((headers, rest))
}

/// The first line without its end, and what follows.
pub fn next_line(text: &[u8]) -> Option<(std::borrow::Cow<'_, str>, &[u8])> {
    if text.is_empty() {
        return None;
    }
    let end = text.iter().position(|b| *b == b'\n').unwrap_or(text.len());
    let after = text.get(end + 1..).unwrap_or_default();
    let line = text[..end].strip_suffix(b"\r").unwrap_or(&text[..end]);
    Some((String::from_utf8_lossy(line), after))
}

/// An address with what cannot stand in one escaped; escapes in it stay.
pub fn encode(target: &str) -> String {
    utf8_percent_encode(target, RAW).to_string()
}

/// The start of a text, for messages.
pub fn excerpt(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
