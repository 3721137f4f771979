//! `$batch`: many requests in one, as `multipart/mixed` or as JSON. Each goes the
//! way of a request of its own, one after the other; the answer is sent as
//! they end. The first error ends the batch unless the client wants to go on.
//!
//! Parts: [`multipart`] and [`json`] read the two formats and write their
//! answers, [`message`] is one request, [`change_set`] several that are one.

mod change_set;
mod json;
mod message;
mod multipart;
mod reference;

use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use self::message::Message;
use self::reference::References;
use super::answer;
use super::error::{Failure, Result};
use crate::error::{Error, ErrorKind, Place, codes};
use crate::service::Service;

/// Requests in one batch.
const REQUESTS_MAX: usize = 1000;
/// The longest address inside a batch.
const URL_BYTES_MAX: usize = 64 * 1024;

/// Marks a request that came in a batch.
#[derive(Clone, Copy)]
pub struct Inner;

/// What stands in a batch, in order.
enum Entry {
    One(Message),
    /// All or none.
    ChangeSet(Vec<Message>),
}

/// What all requests of a batch share.
#[derive(Clone)]
struct Surroundings {
    service: Arc<Service>,
    /// Headers that count for each request that does not have its own.
    headers: HeaderMap,
    extensions: Extensions,
    /// `/api/data/v9.2/`
    root: String,
    continues: bool,
}

/// `POST $batch`.
pub async fn batch(service: &Arc<Service>, parts: &Parts, body: Body) -> Result<Response> {
    if parts.extensions.get::<Inner>().is_some() {
        return Err(malformed("a batch inside a batch").into());
    }
    let kind = parts.headers.get(CONTENT_TYPE).and_then(|k| k.to_str().ok()).unwrap_or_default();
    let limit = service.settings.limits.body_bytes;
    let body = to_bytes(body, limit).await.map_err(|e| {
        let message = format!("the body is longer than {limit} bytes, which --max-body-bytes sets");
        let error = Error::new(ErrorKind::Limit, codes::INVALID_ARGUMENT, message).caused_by(e);
        Failure::new(StatusCode::PAYLOAD_TOO_LARGE, error)
    })?;
    let surroundings = Surroundings {
        service: service.clone(),
        headers: inherited(&parts.headers),
        extensions: parts.extensions.clone(),
        root: root(parts.uri.path()),
        continues: continues(&parts.headers),
    };
    match kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "multipart/mixed" => {
            let entries = multipart::read(&body, kind)?;
            limited(entries.iter().map(|e| match e {
                Entry::One(_) => 1,
                Entry::ChangeSet(messages) => messages.len(),
            }))?;
            Ok(multipart::answer(surroundings, entries))
        }
        "application/json" => {
            let requests = json::read(&body)?;
            limited(requests.iter().map(|_| 1))?;
            Ok(json::answer(surroundings, requests))
        }
        other => {
            let message = format!(
                "$batch takes multipart/mixed with a boundary or application/json, not '{other}'"
            );
            let error = Error::unsupported(message);
            Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, error))
        }
    }
}

fn limited(requests: impl Iterator<Item = usize>) -> Result<()> {
    if requests.sum::<usize>() <= REQUESTS_MAX {
        return Ok(());
    }
    let message = format!("a batch holds at most {REQUESTS_MAX} requests");
    Err(Error::new(ErrorKind::Limit, codes::INVALID_ARGUMENT, message).into())
}

fn malformed(message: impl Into<String>) -> Error {
    Error::invalid(codes::ODATA, message).at(Place::Part("$batch".into()))
}

/// Who asks, and by which name the client knows the service.
fn inherited(headers: &HeaderMap) -> HeaderMap {
    let impersonation = ["mscrmcallerid", "callerobjectid"].map(HeaderName::from_static);
    let names = [HOST, AUTHORIZATION].into_iter().chain(impersonation);
    names.filter_map(|name| headers.get(&name).map(|v| (name, v.clone()))).collect()
}

fn root(path: &str) -> String {
    path.trim_end_matches('/').strip_suffix("$batch").unwrap_or(path).to_owned()
}

/// `Prefer: odata.continue-on-error`, which may say `=true` or `=false`.
fn continues(headers: &HeaderMap) -> bool {
    let values = headers.get_all("prefer").iter().filter_map(|v| v.to_str().ok());
    values.flat_map(|v| v.split(',')).any(|preference| {
        let (name, value) = preference.split_once('=').unwrap_or((preference, "true"));
        let name = name.trim().to_ascii_lowercase();
        name.strip_prefix("odata.").unwrap_or(&name) == "continue-on-error"
            && value.trim().trim_matches('"').eq_ignore_ascii_case("true")
    })
}

/// An answer with its whole body.
struct Answered {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answered {
    async fn of(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        match to_bytes(body, usize::MAX).await {
            Ok(body) => Self { status: parts.status, headers: parts.headers, body },
            Err(e) => {
                let error = Error::internal("an answer broke off").caused_by(e);
                let (parts, _) = Failure::from(error).into_response().into_parts();
                Self { status: parts.status, headers: parts.headers, body: Bytes::new() }
            }
        }
    }

    fn is_error(&self) -> bool {
        self.status.is_client_error() || self.status.is_server_error()
    }

    /// The address of the row that a request made or changed.
    fn entity_id(&self) -> Option<String> {
        let id = self.headers.get("odata-entityid").or(self.headers.get("location"))?;
        id.to_str().ok().map(str::to_owned)
    }
}

impl Surroundings {
    /// Runs one request; what it made can be referred to by its id afterwards.
    async fn run(&self, message: Message, references: &mut References) -> Answered {
        let id = message.id.clone();
        let answered = match self.request(message, references) {
            Ok(request) => Answered::of(super::inner(self.service.clone(), request).await).await,
            Err(failure) => Answered::of(failure.into_response()).await,
        };
        if let (Some(id), Some(address)) = (id, answered.entity_id()) {
            references.insert(id, address);
        }
        answered
    }

    /// The request as it would have come by itself.
    fn request(&self, message: Message, references: &References) -> Result<Request<Body>> {
        let target = references.in_target(&message.target);
        let uri = self.uri(&target)?;
        let mut request = Request::new(Body::from(references.in_body(message.body)));
        *request.method_mut() = message.method;
        *request.uri_mut() = uri;
        *request.extensions_mut() = self.extensions.clone();
        request.extensions_mut().insert(Inner);
        let headers = request.headers_mut();
        *headers = self.headers.clone();
        // The address clients know the service by is that of the whole batch.
        let own = message.headers.iter().filter(|(name, _)| **name != HOST);
        own.for_each(|(name, _)| {
            headers.remove(name);
        });
        for (name, value) in message.headers.iter().filter(|(name, _)| **name != HOST) {
            headers.append(name.clone(), value.clone());
        }
        Ok(request)
    }

    /// The path and query of an address, whichever way it is written.
    fn uri(&self, target: &str) -> Result<Uri> {
        if target.len() > URL_BYTES_MAX {
            return Err(too_long());
        }
        let path = match target.split_once("://") {
            Some((scheme, rest)) if scheme.bytes().all(|b| b.is_ascii_alphabetic()) => {
                rest.find(['/', '?']).map_or("/", |at| &rest[at..])
            }
            _ => target,
        };
        let path = match path.strip_prefix('/') {
            Some(below) if !path.starts_with("/api/") => format!("{}{below}", self.root),
            Some(_) => path.to_owned(),
            None => format!("{}{path}", self.root),
        };
        let encoded = message::encode(&path);
        Uri::try_from(&encoded).map_err(|e| {
            if encoded.len() > usize::from(u16::MAX) - 1 {
                return too_long();
            }
            let message = format!("'{}' is not an address", message::excerpt(target));
            malformed(message).caused_by(e).into()
        })
    }
}

fn too_long() -> Failure {
    let message = format!("the address is longer than {URL_BYTES_MAX} bytes");
    let error = Error::new(ErrorKind::Limit, codes::INVALID_ARGUMENT, message);
    Failure::new(StatusCode::URI_TOO_LONG, error)
}

/// A body that is made piece by piece.
fn streamed(kind: &str, pieces: impl futures::Stream<Item = Bytes> + Send + 'static) -> Response {
    use futures::StreamExt;
    let body = Body::from_stream(pieces.map(Ok::<_, std::convert::Infallible>));
    let mut response = answer::json(StatusCode::OK, body);
    if let Ok(kind) = HeaderValue::from_str(kind) {
        response.headers_mut().insert(CONTENT_TYPE, kind);
    }
    response
}
