//! The `multipart/mixed` format of a batch. What clients send is read leniently;
//! the answer has the form that all of them can read: no text before the first
//! delimiter, boundaries without quotes, each JSON document on one line.

use std::io::Write;

use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;

use super::change_set;
use super::message::{self, Message, next_line};
use super::reference::References;
use super::{Answered, Entry, Surroundings, malformed, streamed};
use crate::error::{Error, Result};

/// What stands in a body.
pub fn read(body: &[u8], kind: &str) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for (i, part) in parts(body, &boundary(kind)?)?.into_iter().enumerate() {
        let entry = entry(part).map_err(|e| in_part(i, e))?;
        entries.push(entry);
    }
    Ok(entries)
}

fn in_part(index: usize, error: Error) -> Error {
    let message = format!("part {}: {}", index + 1, error.message);
    malformed(message).caused_by(error)
}

fn entry(part: &[u8]) -> Result<Entry> {
    let (headers, rest) = message::headers(part)?;
    let kind = headers.get(CONTENT_TYPE).and_then(|k| k.to_str().ok()).unwrap_or_default();
    match media_type(kind).as_str() {
        "multipart/mixed" => {
            let mut messages = Vec::new();
            for (i, part) in parts(rest, &boundary(kind)?)?.into_iter().enumerate() {
                let (headers, rest) = message::headers(part)?;
                let message = Message::read(rest, content_id(&headers));
                messages.push(message.map_err(|e| in_part(i, e))?);
            }
            Ok(Entry::ChangeSet(messages))
        }
        "application/http" => Ok(Entry::One(Message::read(rest, content_id(&headers))?)),
        other => Err(malformed(format!(
            "the type is '{other}'; requests are application/http, change sets multipart/mixed"
        ))),
    }
}

fn media_type(kind: &str) -> String {
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn content_id(headers: &HeaderMap) -> Option<String> {
    headers.get("content-id").and_then(|v| v.to_str().ok()).map(str::to_owned)
}

/// The boundary of a multipart type, with or without quotes.
fn boundary(kind: &str) -> Result<String> {
    let parameters = kind.split(';').skip(1).filter_map(|p| p.split_once('='));
    let named = parameters.map(|(name, value)| (name.trim(), value.trim().trim_matches('"')));
    let boundary = named.filter(|(name, _)| name.eq_ignore_ascii_case("boundary"));
    match boundary.map(|(_, value)| value).next() {
        Some(boundary) if !boundary.is_empty() => Ok(boundary.to_owned()),
        _ => Err(malformed("multipart/mixed needs a boundary")),
    }
}

/// What stands between the delimiters. The last one may be cut off: a client
/// counts its characters for bytes.
fn parts<'a>(body: &'a [u8], boundary: &str) -> Result<Vec<&'a [u8]>> {
    let delimiter = format!("--{boundary}");
    let end = format!("{delimiter}--");
    let mut parts = Vec::new();
    let mut start = None;
    let mut rest = body;
    while let Some((line, after)) = next_line(rest) {
        let here = body.len() - rest.len();
        let line = line.trim_end();
        let cut_off = after.is_empty() && line.len() > 2 && end.starts_with(line);
        if line == delimiter || line == end || cut_off {
            if let Some(start) = start {
                parts.push(&body[start..here]);
            }
            start = Some(body.len() - after.len());
            if line == end {
                return Ok(parts);
            }
        }
        rest = after;
    }
    match start {
        None => Err(malformed(format!("no line is the delimiter '{delimiter}'"))),
        Some(start) => {
            parts.extend(Some(&body[start..]).filter(|part| !part.trim_ascii().is_empty()));
            Ok(parts)
        }
    }
}

/// Runs the entries, and answers while they run.
pub fn answer(surroundings: Surroundings, entries: Vec<Entry>) -> Response {
    let boundary = format!("batchresponse_{}", uuid::Uuid::new_v4());
    let kind = format!("multipart/mixed; boundary={boundary}");
    let state = Some((surroundings, entries.into_iter(), References::default(), false));
    let pieces = futures::stream::unfold(state, move |state| {
        let boundary = boundary.clone();
        async move {
            let (surroundings, mut entries, mut references, failed) = state?;
            let next = if failed && !surroundings.continues { None } else { entries.next() };
            let mut piece = Vec::new();
            let Some(entry) = next else {
                line(&mut piece, &format!("--{boundary}--"));
                return Some((Bytes::from(piece), None));
            };
            line(&mut piece, &format!("--{boundary}"));
            let ok = match entry {
                Entry::One(message) => {
                    let id = message.id.clone();
                    let answered = surroundings.run(message, &mut references).await;
                    part(&mut piece, id.as_deref(), &answered);
                    !answered.is_error()
                }
                Entry::ChangeSet(messages) => {
                    match change_set::run(&surroundings, messages, &mut references).await {
                        Ok(answers) => {
                            change_set_part(&mut piece, &answers);
                            true
                        }
                        Err((id, answered)) => {
                            part(&mut piece, id.as_deref(), &answered);
                            false
                        }
                    }
                }
            };
            Some((Bytes::from(piece), Some((surroundings, entries, references, !ok))))
        }
    });
    streamed(&kind, pieces)
}

fn change_set_part(out: &mut Vec<u8>, answers: &[(Option<String>, Answered)]) {
    let boundary = format!("changesetresponse_{}", uuid::Uuid::new_v4());
    line(out, &format!("Content-Type: multipart/mixed; boundary={boundary}"));
    line(out, "");
    for (id, answered) in answers {
        line(out, &format!("--{boundary}"));
        part(out, id.as_deref(), answered);
    }
    line(out, &format!("--{boundary}--"));
}

/// The headers of an answer that are passed on, spelled as clients look for them.
const HEADERS: [&str; 9] = [
    "Content-Type",
    "OData-Version",
    "OData-EntityId",
    "Location",
    "ETag",
    "Preference-Applied",
    "Allow",
    "Retry-After",
    "x-ms-service-request-id",
];

fn part(out: &mut Vec<u8>, id: Option<&str>, answered: &Answered) {
    line(out, "Content-Type: application/http");
    line(out, "Content-Transfer-Encoding: binary");
    if let Some(id) = id {
        line(out, &format!("Content-ID: {id}"));
    }
    line(out, "");
    let reason = answered.status.canonical_reason().unwrap_or("Unknown");
    line(out, &format!("HTTP/1.1 {} {reason}", answered.status.as_u16()));
    for name in HEADERS {
        for value in answered.headers.get_all(name) {
            let _ = write!(out, "{name}: ");
            out.extend_from_slice(value.as_bytes());
            line(out, "");
        }
    }
    line(out, "");
    out.extend_from_slice(&answered.body);
    line(out, "");
}

fn line(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(body: &str, kind: &str) -> Vec<Message> {
        let entries = read(body.as_bytes(), kind).unwrap_or_else(|e| panic!("{e}"));
        let one = |entry| match entry {
            Entry::One(message) => vec![message],
            Entry::ChangeSet(messages) => messages,
        };
        entries.into_iter().flat_map(one).collect()
    }

    #[test]
    fn parts_are_read_as_clients_write_them() {
        let crlf = concat!(
            "\r\n--b_1\r\nContent-Type: application/http\r\nContent-Transfer-Encoding:binary\r\n",
            "Content-ID: 7\r\n\r\nGET /api/data/v9.2/accounts?$filter=a eq 'x  y' HTTP/1.1\r\n",
            "accept: */*\r\n\r\n--b_1--"
        );
        let lf = crlf.replace("\r\n", " \n").replace("*/* \n", "*/*\n\n\nnull\n");
        for (body, kind) in [
            (crlf, "multipart/mixed;boundary=b_1"),
            (&lf, "Multipart/Mixed; charset=x; boundary=\"b_1\""),
            (crlf.trim_end_matches("_1--"), "multipart/mixed; boundary=b_1"),
            (crlf.trim_end_matches('-'), "multipart/mixed; boundary=b_1"),
        ] {
            let read = messages(body, kind);
            assert_eq!(read.len(), 1, "{body}");
            assert_eq!(read[0].target, "/api/data/v9.2/accounts?$filter=a eq 'x  y'");
            assert_eq!(read[0].id.as_deref(), Some("7"));
            assert_eq!(read[0].headers["accept"], "*/*");
            assert!(read[0].body.is_empty(), "{:?}", read[0].body);
        }
    }

    #[test]
    fn change_sets_are_nested_and_bodies_trimmed() {
        let body = concat!(
            "--b\nContent-Type: multipart/mixed; boundary=c\n\n",
            "--c\nContent-Type: application/http\nContent-ID: 1\n\n",
            "POST accounts HTTP/1.1\nContent-Type: application/json\n\n\n{\"name\":\"x\"}\n\n",
            "--c\nContent-Type: application/http\n\nPATCH $1 HTTP/1.1\nContent-ID: 2\n\n{}\n",
            "--c--\n--b--\n"
        );
        let read = messages(body, "multipart/mixed;boundary=b");
        assert_eq!((&read[0].body[..], &read[1].body[..]), (&b"{\"name\":\"x\"}"[..], &b"{}"[..]));
        assert_eq!((read[0].id.as_deref(), read[1].id.as_deref()), (Some("1"), Some("2")));
    }

    #[test]
    fn what_is_broken_is_named_with_its_part() {
        for (body, kind, part) in [
            ("", "multipart/mixed", "needs a boundary"),
            ("", "multipart/mixed;boundary=b", "'--b'"),
            ("--b\nContent-Type: text/plain\n\nx\n--b--", "x;boundary=b", "part 1: the type"),
            ("--b\nContent-Type: application/http\n\n--b--", "x;boundary=b", "no request"),
            (
                "--b\nContent-Type: application/http\n\nFETCH x HTTP/1.1\n--b--",
                "x;boundary=b",
                "'FETCH x HTTP/1.1' is not a request line",
            ),
            ("--b\nnonsense\n\n--b--", "x;boundary=b", "'nonsense' is not a header"),
        ] {
            let error = read(body.as_bytes(), kind).err().expect(body).to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
