//! What every Web API handler needs of a request: the address clients know the
//! service by, the path below it, the options and the preferences.

use axum::http::{Method, header, request::Parts};
use percent_encoding::percent_decode_str;

use super::error::{Failure, Result};
use super::negotiate::{Wanted, check_versions};
use super::prefer::Prefer;
use crate::dialect::odata::decode_options;
use crate::error::{Error, codes};
use crate::identity::Caller;

/// The path all Web API versions live below.
const ROOT: &str = "/api/data/";

/// How the client reached us, `http` or `https`; an extension of the request.
/// What headers such as `X-Forwarded-Proto` say is not trusted.
#[derive(Clone, Copy)]
pub struct Scheme(pub &'static str);

/// A Web API request without its body.
pub struct Call {
    pub method: Method,
    /// `http://host:port/api/data/v9.2/` or with https, as the client sees it.
    pub base: String,
    /// Decoded, without a leading slash.
    pub path: String,
    /// As sent.
    pub query: String,
    pub prefer: Prefer,
    pub wanted: Wanted,
    /// The option `$format`, which links repeat.
    pub format: Option<String>,
    /// `If-None-Match` of a read.
    pub none_match: Option<String>,
    pub caller: Caller,
}

impl Call {
    pub fn read(parts: &Parts) -> Result<Self> {
        let below = parts.uri.path().strip_prefix(ROOT).unwrap_or_default();
        let (version, path) = below.split_once('/').unwrap_or((below, ""));
        if !is_served(version) {
            return Err(Failure::segment(format!(
                "Resource not found for the segment '{version}'. The versions v9.0 to v9.2 are served."
            )));
        }
        let path = percent_decode_str(path).decode_utf8().map_err(|e| {
            Error::invalid(codes::ODATA, "the path is not UTF-8 once decoded").caused_by(e)
        })?;
        check_versions(&parts.headers)?;
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let mut format = None;
        for (name, value) in decode_options(&query)? {
            if name == FORMAT && format.replace(value).is_some() {
                let message = "option '$format' is given twice";
                return Err(Error::invalid(codes::ODATA, message).into());
            }
        }
        let reads = matches!(parts.method, Method::GET | Method::HEAD);
        let none_match = parts.headers.get(header::IF_NONE_MATCH).filter(|_| reads);
        Ok(Self {
            method: parts.method.clone(),
            base: format!("{}{ROOT}{version}/", address(parts)?),
            path: path.into_owned(),
            query,
            prefer: Prefer::read(&parts.headers)?,
            wanted: Wanted::read(&parts.headers, format.as_deref())?,
            format,
            none_match: none_match.and_then(|v| v.to_str().ok()).map(str::to_owned),
            caller: Caller::default(),
        })
    }

    /// The options of the query, decoded; `$format` has been read already.
    pub fn options(&self) -> Result<Vec<(String, String)>> {
        let mut options = decode_options(&self.query)?;
        options.retain(|(name, _)| name != FORMAT);
        Ok(options)
    }

    /// Options for a link to more of the same.
    pub fn for_link(&self, mut options: Vec<(String, String)>) -> Vec<(String, String)> {
        options.extend(self.format.clone().map(|format| (FORMAT.to_owned(), format)));
        options
    }
}

/// The option that names the form of the answer.
const FORMAT: &str = "$format";

/// `http://host:port`, or with https, as the client named it.
pub fn address(parts: &Parts) -> Result<String> {
    let scheme = parts.extensions.get::<Scheme>().map_or("http", |scheme| scheme.0);
    Ok(format!("{scheme}://{}", host(parts)?))
}

/// Any `v9.x`.
fn is_served(version: &str) -> bool {
    let minor = version.strip_prefix("v9.").unwrap_or_default();
    !minor.is_empty() && minor.bytes().all(|b| b.is_ascii_digit())
}

/// Host and port as the client named them: links must lead back the same way.
fn host(parts: &Parts) -> Result<&str> {
    let named = parts.headers.get(header::HOST).and_then(|h| h.to_str().ok());
    let host = parts.uri.authority().map(|a| a.as_str()).or(named).unwrap_or("localhost");
    let sound = |b: u8| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b);
    if host.is_empty() || !host.bytes().all(sound) {
        let message = "the Host header is not a host name with an optional port";
        return Err(Error::invalid(codes::INVALID_ARGUMENT, message).into());
    }
    Ok(host)
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn read(uri: &str, host: &str) -> Result<Call> {
        let request = Request::builder().uri(uri).header("Host", host).body(());
        Call::read(&request.expect("a request").into_parts().0)
    }

    #[test]
    fn the_base_is_what_the_client_used() {
        let call = read("/api/data/v9.1/asyncoperations%28x%29?$top=1", "jobs.example:81");
        let call = call.expect("served");
        assert_eq!(call.base, "http://jobs.example:81/api/data/v9.1/");
        assert_eq!((call.path.as_str(), call.query.as_str()), ("asyncoperations(x)", "$top=1"));
        assert_eq!(read("/api/data/v9.2", "h").expect("served").path, "");
    }

    #[test]
    fn other_versions_and_odd_hosts_are_refused() {
        for (uri, host) in [
            ("/api/data/v8.2/", "h"),
            ("/api/data/v9./", "h"),
            ("/api/data/v9.x/", "h"),
            ("/api/data/v9.2/", "h/\"x"),
        ] {
            assert!(read(uri, host).is_err(), "{uri} {host}");
        }
    }
}
