//! OAuth 2.0 client credentials, at the addresses where clients of Dataverse
//! ask for tokens: those of Microsoft Entra, with any tenant.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::request::address;
use crate::credentials::{TOKEN_SECONDS, new_token};
use crate::dialect::odata::decode_options;
use crate::service::Service;

/// The two versions of the address tokens are asked for at.
pub const TOKEN_PATHS: [&str; 2] = ["/{tenant}/oauth2/v2.0/token", "/{tenant}/oauth2/token"];
/// Where libraries look up that address.
pub const DISCOVERY_PATHS: [&str; 2] = [
    "/{tenant}/v2.0/.well-known/openid-configuration",
    "/{tenant}/.well-known/openid-configuration",
];

/// Whether a path is one of these.
pub fn is_served(path: &str) -> bool {
    let below = path.strip_prefix('/').and_then(|path| path.split_once('/'));
    below.is_some_and(|(tenant, below)| {
        let same = |served: &&str| served.strip_prefix("/{tenant}/") == Some(below);
        !tenant.is_empty() && TOKEN_PATHS.iter().chain(&DISCOVERY_PATHS).any(same)
    })
}

/// An OAuth error: status, code and description.
type Refusal = (StatusCode, &'static str, String);

fn bad(code: &'static str, description: impl Into<String>) -> Refusal {
    (StatusCode::BAD_REQUEST, code, description.into())
}

/// `POST …/token`.
pub async fn token(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let (status, answer) = match issue(&service, &headers, &body) {
        Ok(token) => {
            let answer = json!({
                "token_type": "Bearer",
                "expires_in": TOKEN_SECONDS,
                "ext_expires_in": TOKEN_SECONDS,
                "access_token": token,
            });
            (StatusCode::OK, answer)
        }
        Err((status, code, description)) => {
            (status, json!({ "error": code, "error_description": description }))
        }
    };
    let mut response = json_answer(status, &answer);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static(r#"Basic realm="sysjob""#);
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

/// `GET …/.well-known/openid-configuration`.
pub async fn discovery(request: axum::extract::Request) -> Response {
    let (parts, _) = request.into_parts();
    let tenant = parts.uri.path().split('/').nth(1).unwrap_or_default();
    let base = match address(&parts) {
        Ok(address) => format!("{address}/{tenant}"),
        Err(failure) => return failure.into_response(),
    };
    let answer = json!({
        "issuer": format!("{base}/v2.0"),
        "token_endpoint": format!("{base}/oauth2/v2.0/token"),
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": ["token"],
    });
    json_answer(StatusCode::OK, &answer)
}

fn json_answer(status: StatusCode, body: &Value) -> Response {
    let kind = HeaderValue::from_static("application/json");
    (status, [(header::CONTENT_TYPE, kind)], body.to_string()).into_response()
}

fn issue(service: &Service, headers: &HeaderMap, body: &[u8]) -> Result<String, Refusal> {
    let text = |name| headers.get(name).and_then(|v: &HeaderValue| v.to_str().ok());
    let kind = text(header::CONTENT_TYPE).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        let message = "the body has to be application/x-www-form-urlencoded";
        return Err(bad("invalid_request", message));
    }
    let body = std::str::from_utf8(body);
    let body = body.map_err(|_| bad("invalid_request", "the body is not UTF-8"))?;
    let form = decode_options(body).map_err(|e| bad("invalid_request", e.to_string()))?;
    let field = |name: &str| {
        let mut values = form.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str());
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(bad("invalid_request", format!("'{name}' is given twice"))),
            (value, None) => Ok(value),
        }
    };
    match field("grant_type")? {
        Some("client_credentials") => {}
        Some(other) => {
            let message =
                format!("the grant type '{other}' is not offered; there is client_credentials");
            return Err(bad("unsupported_grant_type", message));
        }
        None => return Err(bad("invalid_request", "'grant_type' is missing")),
    }
    // The Basic form of a header, else fields.
    let pairs = match text(header::AUTHORIZATION) {
        Some(value) => basic(value)
            .ok_or_else(|| bad("invalid_request", "the Authorization header is not 'Basic …'"))?,
        None => match (field("client_id")?, field("client_secret")?) {
            (Some(id), Some(secret)) => vec![(id.to_owned(), secret.to_owned())],
            (None, _) => return Err(bad("invalid_request", "'client_id' is missing")),
            (_, None) => return Err(bad("invalid_request", "'client_secret' is missing")),
        },
    };
    let Some(credentials) = &service.credentials else { return Ok(new_token()) };
    let now = service.clock.now();
    pairs.iter().find_map(|(id, secret)| credentials.issue(id, secret, now)).ok_or_else(|| {
        let message = "the client is not known, or its secret is another one";
        (StatusCode::UNAUTHORIZED, "invalid_client", message.into())
    })
}

/// Id and secret of HTTP Basic authentication: as they are, and decoded as
/// OAuth wants them encoded, because many clients do not encode them.
fn basic(value: &str) -> Option<Vec<(String, String)>> {
    let (kind, encoded) = value.split_once(' ')?;
    let text = String::from_utf8(base64(encoded.trim())?).ok()?;
    let (id, secret) = text.split_once(':')?;
    let decoded = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8().map(|text| text.into_owned()).ok()
    };
    let mut pairs = vec![(id.to_owned(), secret.to_owned())];
    pairs.extend(decoded(id).zip(decoded(secret)));
    kind.eq_ignore_ascii_case("basic").then_some(pairs)
}

/// The bytes that a base64 text stands for, with padding or without.
fn base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=');
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for c in text.bytes() {
        let six = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(six);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    // A single letter is not even a byte.
    (text.len() % 4 != 1).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("YQ==", b"a"),
            ("YWI", b"ab"),
            ("YWJj", b"abc"),
            ("YXBwOnNlY3JldA==", b"app:secret"),
            ("+/+/", b"\xfb\xff\xbf"),
        ] {
            assert_eq!(base64(text).as_deref(), Some(bytes), "{text}");
        }
        assert_eq!((base64("Y"), base64("Y*==")), (None, None));
    }

    #[test]
    fn only_the_known_addresses_are_public() {
        for path in
            ["/t/oauth2/v2.0/token", "/t/oauth2/token", "/t/.well-known/openid-configuration"]
        {
            assert!(is_served(path), "{path}");
        }
        for path in
            ["/oauth2/token", "//oauth2/token", "/a/b/oauth2/token", "/t/oauth2/token/x", "/"]
        {
            assert!(!is_served(path), "{path}");
        }
    }
}
