//! Request bodies: their size, their type, and JSON objects in them.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use serde_json::Value as Json;

use super::error::{Failure, Result};
use crate::error::{Error, Place, codes};
use crate::write::Object;

/// The whole body, of at most `limit` bytes.
pub async fn bytes(request: Request, limit: usize) -> Result<Bytes> {
    let encoding = request.headers().get(header::CONTENT_ENCODING);
    let encoding = encoding.and_then(|e| e.to_str().ok()).unwrap_or("identity").trim();
    if !encoding.eq_ignore_ascii_case("identity") {
        let message = format!("the body has the encoding '{encoding}'; it is read as it is only");
        let error = Error::unsupported(message);
        return Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, error));
    }
    Bytes::from_request(request, &()).await.map_err(|rejection| {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            return Failure::body_too_long(limit);
        }
        let error = Error::invalid(codes::INVALID_ARGUMENT, rejection.body_text());
        Failure::new(rejection.status(), error)
    })
}

/// The media type in lower case, without parameters; empty when none is named.
pub fn media_type(headers: &HeaderMap) -> String {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|k| k.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The JSON object in a body; nothing when the body is empty.
pub fn object(headers: &HeaderMap, bytes: &[u8]) -> Result<Option<Object>> {
    let invalid = |message: String| {
        let error = Error::invalid(codes::ODATA, message);
        Failure::from(error.at(Place::Part("request body".into())))
    };
    let kind = media_type(headers);
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    if !matches!(kind.as_str(), "" | "application/json") {
        let error = Error::unsupported(format!("the body is '{kind}'; application/json is read"));
        return Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, error));
    }
    match serde_json::from_slice(bytes) {
        Ok(Json::Object(object)) => Ok(Some(object)),
        Ok(other) => {
            let kind = match other {
                Json::Array(_) => "an array",
                Json::String(_) => "a string",
                Json::Number(_) => "a number",
                Json::Bool(_) => "a yes/no value",
                _ => "null",
            };
            Err(invalid(format!("{kind} is no JSON object")))
        }
        Err(error) => Err(invalid(format!("not JSON: {error}"))),
    }
}

/// The JSON in a body of a call that is sysjob's own.
pub fn json(headers: &HeaderMap, bytes: &[u8]) -> Result<Json> {
    let kind = media_type(headers);
    if !matches!(kind.as_str(), "" | "application/json") {
        let error = Error::unsupported(format!("the body is '{kind}'; application/json is read"));
        return Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, error));
    }
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    serde_json::from_slice(bytes).map_err(|error| {
        let error = Error::invalid(codes::INVALID_ARGUMENT, format!("not JSON: {error}"));
        error.at(Place::Part("request body".into())).into()
    })
}

/// The JSON object in a body that has to have one.
pub fn required(headers: &HeaderMap, bytes: &[u8]) -> Result<Object> {
    object(headers, bytes)?.ok_or_else(|| {
        let error = Error::invalid(codes::ODATA, "empty, where a JSON object is expected");
        error.at(Place::Part("request body".into())).into()
    })
}
