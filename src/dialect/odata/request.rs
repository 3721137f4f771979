//! Whole Web API requests as text: `GET`, any base address or a placeholder for
//! one, an entity set, query options that may run over several lines, headers.
//!
//! The HTTP surface shares [`decode_options`] with it, so a printed request and
//! a sent one mean the same.

use std::sync::Arc;

use percent_encoding::percent_decode_str;

use super::lexer::excerpt;
use super::{Query, parse_query};
use crate::catalog::{Catalog, Table};
use crate::error::{Error, ErrorKind, Place, Result, codes};

/// A read of a collection.
#[derive(Debug)]
pub struct Request {
    pub table: Arc<Table>,
    pub query: Query,
    /// The header lines below the request, in order.
    pub headers: Vec<(String, String)>,
}

/// Reads a request as documents print it; `asyncoperations?$top=1` is enough.
pub fn parse_request(text: &str, catalog: &Catalog) -> Result<Request> {
    let text = text.trim_start_matches('\u{feff}');
    let (target, headers) = split_headers(text)?;
    let target = without_version(without_method(target.trim())?);
    let (path, options) = match target.split_once('?') {
        Some((path, options)) => (path, options),
        None => (target, ""),
    };
    let table = entity_set(path, catalog)?;
    let query = parse_query(table, &decode_options(options)?)?;
    Ok(Request { table: table.clone(), query, headers })
}

/// The query options of a URL, decoded: `%24select`, `+` for a space. Line
/// breaks around names do no harm.
pub fn decode_options(query_string: &str) -> Result<Vec<(String, String)>> {
    let mut options = Vec::new();
    for option in query_string.split('&').filter(|option| !option.trim().is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let name = decode(name.trim(), "the name of an option")?;
        let value = decode(value, &name)?;
        options.push((name, value));
    }
    Ok(options)
}

/// A `%` that starts no escape stays, as browsers have it.
fn decode(text: &str, what: &str) -> Result<String> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8().map_err(|e| {
        let message = "the percent-encoded bytes are not UTF-8";
        Error::invalid(codes::ODATA, message).at(Place::Part(excerpt(what))).caused_by(e)
    })?;
    Ok(decoded.into_owned())
}

/// The request without its headers, and the headers.
fn split_headers(text: &str) -> Result<(&str, Vec<(String, String)>)> {
    let mut target_end = text.len();
    let mut headers = Vec::new();
    let mut start = 0;
    for (i, line) in text.split_inclusive('\n').enumerate() {
        // A header cannot come before what it belongs to.
        let header = if text[..start].trim().is_empty() { None } else { header(line) };
        match header {
            Some(header) => {
                if headers.is_empty() {
                    target_end = start;
                }
                headers.push(header);
            }
            None if headers.is_empty() || line.trim().is_empty() => {}
            None => {
                let message = format!("'{}' is no header", excerpt(line.trim()));
                let line = u32::try_from(i + 1).unwrap_or(u32::MAX);
                let at = Place::Line { dialect: "OData", line, column: 1 };
                return Err(Error::invalid(codes::ODATA, message).at(at));
            }
        }
        start += line.len();
    }
    Ok((&text[..target_end], headers))
}

/// `Name: value`. An address begins alike, but goes on with `//`.
fn header(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    let fits = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !value.starts_with("//");
    fits.then(|| (name.to_owned(), value.trim().to_owned()))
}

fn without_method(target: &str) -> Result<&str> {
    let Some((method, rest)) = target.split_once(char::is_whitespace) else { return Ok(target) };
    match method {
        "GET" => Ok(rest.trim_start()),
        "POST" | "PATCH" | "PUT" | "DELETE" | "HEAD" | "OPTIONS" => {
            Err(unsupported(&format!("method {method} in the text of a query")))
        }
        _ => Ok(target),
    }
}

/// Without ` HTTP/1.1`.
fn without_version(target: &str) -> &str {
    match target.rsplit_once(" HTTP/") {
        Some((before, version)) if version.bytes().all(|b| b.is_ascii_digit() || b == b'.') => {
            before.trim_end()
        }
        _ => target,
    }
}

fn entity_set<'c>(path: &str, catalog: &'c Catalog) -> Result<&'c Arc<Table>> {
    let path = without_base(path.trim()).trim_matches('/');
    let resource = match path.strip_prefix("api/data/") {
        Some(versioned) => {
            let (version, resource) = versioned.split_once('/').unwrap_or((versioned, ""));
            if !is_served(version) {
                let message =
                    format!("Web API version '{}' is not served; use v9.2", excerpt(version));
                return Err(not_found(message));
            }
            resource
        }
        None => path,
    };
    let resource = decode(resource.trim(), "the path")?;
    let shown = excerpt(&resource);
    if resource.is_empty() || resource.starts_with('$') || resource.contains('=') {
        let message = "no entity set such as asyncoperations stands before the query options";
        return Err(Error::invalid(codes::ODATA, message).at(request()));
    }
    if let Some((set, segment)) = resource.split_once('/') {
        let (set, segment) = (excerpt(set), excerpt(segment));
        return Err(unsupported(&format!("'/{segment}' after '{set}' in the text of a query")));
    }
    if resource.contains('(') {
        return Err(unsupported(&format!("a single row such as '{shown}' in the text of a query")));
    }
    catalog.entity_set(&resource).ok_or_else(|| {
        not_found(match catalog.nearest_entity_set(&resource) {
            Some(near) => format!("entity set '{shown}' does not exist; did you mean '{near}'?"),
            None => format!("entity set '{shown}' does not exist"),
        })
    })
}

/// Without scheme and host, or the placeholder documents put in their place.
fn without_base(path: &str) -> &str {
    for close in [('[', ']'), ('<', '>')] {
        if path.starts_with(close.0) {
            return path.split_once(close.1).map_or(path, |(_, rest)| rest);
        }
    }
    match path.split_once("://") {
        Some(("http" | "https", rest)) => rest.find('/').map_or("", |slash| &rest[slash..]),
        _ => path,
    }
}

/// Any `v9.x`.
fn is_served(version: &str) -> bool {
    version
        .strip_prefix("v9.")
        .is_some_and(|minor| !minor.is_empty() && minor.bytes().all(|b| b.is_ascii_digit()))
}

fn request() -> Place {
    Place::Part("OData request".into())
}

fn unsupported(what: &str) -> Error {
    Error::unsupported(format!("{what} is not supported")).at(request())
}

fn not_found(message: String) -> Error {
    Error::new(ErrorKind::NotFound, codes::UNKNOWN_SEGMENT, message).at(request())
}
