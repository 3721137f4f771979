//! The HTTP surface: the Dataverse Web API below `/api/data/v9.x/` and the
//! health checks. It turns requests into queries and batches into JSON; it has
//! no rules about jobs, and it names every resource it refuses.

mod access;
mod answer;
mod ask;
mod backup;
mod batch;
mod body;
mod csdl;
mod definitions;
mod diagnosis;
mod error;
mod etag;
mod events;
mod expand;
mod expand_text;
mod forecast;
mod form;
mod formats;
mod functions;
mod jobs;
mod listener;
mod negotiate;
mod oauth;
mod object;
mod paging;
mod prefer;
mod query;
mod request;
mod resource;
mod rows;
mod service_document;
mod sql;
mod throttle;
mod translate;
mod write;

#[cfg(test)]
mod tests;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use futures::StreamExt;
use futures::future::BoxFuture;
use tokio::time::timeout;

use self::error::{Failure, REQUEST_ID, Result, new_request_id};
use self::listener::{Listener, Peer};
use self::prefer::Prefer;
use self::query::Target;
use self::request::{Call, Scheme};
use self::resource::Resource;
use self::rows::Related;
use self::throttle::Throttle;
use crate::dialect::odata::decode_options;
use crate::error::{Error, ErrorKind, codes};
use crate::job::TABLE;
use crate::service::{Limits, Service};
use crate::tls::Endpoint;

/// So much of the body of a refused request is read; a longer one costs the
/// client its connection.
const REFUSED_BYTES_MAX: usize = 64 * 1024;

/// The protocol version of every answer.
const ODATA_VERSION: &str = "4.0";

/// All routes.
pub fn router(service: Arc<Service>) -> Router {
    let limits = service.settings.limits;
    let routes = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/api/data/{version}", any(web_api))
        .route("/api/data/{version}/", any(web_api))
        .route("/api/data/{version}/{*path}", any(web_api))
        .route("/sysjob/query", post(ask::query))
        .route("/sysjob/explain", post(ask::explain))
        .route("/sysjob/translate", post(translate::answer))
        .route("/sysjob/diagnosis", get(diagnosis::diagnosis))
        .route("/sysjob/forecast", get(forecast::answer))
        .route("/sysjob/backup", get(backup::backup))
        .route("/sysjob/events", post(events::raise))
        .route("/sysjob/jobs", post(jobs::submit))
        .route("/sysjob/actions", post(jobs::actions))
        .route("/sysjob/claim", post(jobs::claim))
        .route("/sysjob/heartbeat", post(jobs::heartbeat))
        .route("/sysjob/complete", post(jobs::complete))
        .route(oauth::TOKEN_PATHS[0], post(oauth::token))
        .route(oauth::TOKEN_PATHS[1], post(oauth::token))
        .route(oauth::DISCOVERY_PATHS[0], get(oauth::discovery))
        .route(oauth::DISCOVERY_PATHS[1], get(oauth::discovery))
        .fallback(unknown_path)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(service.clone(), access::guard))
        .layer(DefaultBodyLimit::max(limits.body_bytes));
    let routes = if service.settings.dataverse_limits {
        let throttle = Arc::new(Throttle::default());
        routes.layer(from_fn_with_state((service.clone(), throttle), throttle::limit))
    } else {
        routes
    };
    routes.layer(from_fn_with_state(limits, around)).with_state(service)
}

/// Serves until `shutdown` completes and the requests under way are answered.
pub async fn serve(
    endpoint: impl Into<Endpoint>,
    service: Arc<Service>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let listener = Listener::new(endpoint.into(), service.settings.limits);
    let routes = router(service).into_make_service_with_connect_info::<Peer>();
    axum::serve(listener, routes).with_graceful_shutdown(shutdown).await
}

/// What holds for every request and answer.
async fn around(
    State(limits): State<Limits>,
    ConnectInfo(Peer(traffic)): ConnectInfo<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let open = traffic.begin();
    let mut request = steady(request, limits.header_timeout);
    request.extensions_mut().insert(Scheme(if traffic.secure { "https" } else { "http" }));
    let length = request.uri().path_and_query().map_or(0, |p| p.as_str().len());
    let mut response = if traffic.surplus {
        let message = "too many connections: their number is limited by --max-connections";
        let error = Error::new(ErrorKind::Limit, codes::UNEXPECTED, message);
        let mut refused = Failure::new(StatusCode::SERVICE_UNAVAILABLE, error).into_response();
        let headers = refused.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        refused
    } else if length > limits.url_bytes {
        let message = format!(
            "the address is longer than {} bytes, which --max-url-bytes sets; send the query options as the body of POST set/$query",
            limits.url_bytes
        );
        let error = Error::new(ErrorKind::Limit, codes::INVALID_ARGUMENT, message);
        Failure::new(StatusCode::URI_TOO_LONG, error).into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    headers.insert("odata-version", HeaderValue::from_static(ODATA_VERSION));
    if !headers.contains_key(REQUEST_ID)
        && let Ok(id) = HeaderValue::from_str(&new_request_id())
    {
        headers.insert(REQUEST_ID, id);
    }
    held(response, open)
}

/// A request whose body ends in an error when the client stops sending it.
fn steady(request: Request, limit: Duration) -> Request {
    if request.body().size_hint().exact() == Some(0) {
        return request;
    }
    request.map(|body| {
        let pieces = body.into_data_stream();
        Body::from_stream(futures::stream::try_unfold(pieces, move |mut pieces| async move {
            match timeout(limit, pieces.next()).await {
                Ok(Some(piece)) => piece.map(|piece| Some((piece, pieces))),
                Ok(None) => Ok(None),
                Err(late) => Err(axum::Error::new(late)),
            }
        }))
    })
}

/// The answer, which holds something until its last byte is made.
fn held(response: Response, guard: impl Send + 'static) -> Response {
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    response.map(|body| {
        let pieces = body.into_data_stream();
        Body::from_stream(pieces.inspect(move |_| {
            let _ = &guard;
        }))
    })
}

/// Ready: all tables can be read.
async fn ready(State(service): State<Arc<Service>>) -> &'static str {
    service.store.snapshot();
    "ready\n"
}

async fn web_api(State(service): State<Arc<Service>>, request: Request) -> Response {
    // A header that cannot be read is refused with the request.
    let annotations = Prefer::read(request.headers()).map(|p| p.annotations).unwrap_or_default();
    handle(&service, request).await.unwrap_or_else(|failure| failure.respond(&annotations))
}

/// The answer to a request that came in a batch.
fn inner(service: Arc<Service>, request: Request) -> BoxFuture<'static, Response> {
    Box::pin(async move { versioned(web_api(State(service), request).await) })
}

/// An answer inside a batch says its version itself.
fn versioned(mut response: Response) -> Response {
    let version = HeaderValue::from_static(ODATA_VERSION);
    response.headers_mut().insert("odata-version", version);
    response
}

/// What a request asks for, once it is clear that its caller may.
fn admitted(service: &Service, parts: &Parts) -> Result<(Call, Resource)> {
    let caller = access::caller(service, parts)?;
    let call = Call { caller, ..Call::read(parts)? };
    let resource = Resource::parse(&call.path, service.store.catalog())?;
    access::check(&call.caller, call.method.as_str(), &resource)?;
    Ok((call, resource))
}

async fn handle(service: &Arc<Service>, request: Request) -> Result<Response> {
    let (parts, body) = request.into_parts();
    let (call, resource) = admitted(service, &parts)?;
    let catalog = service.store.catalog();
    let reads = matches!(call.method, Method::GET | Method::HEAD);
    match resource {
        Resource::Query(table) if call.method == Method::POST => {
            let text =
                query_body(Request::from_parts(parts, body), service.settings.limits.body_bytes)
                    .await?;
            let mut options = call.options()?;
            options.extend(decode_options(text.trim())?);
            query::collection(service, &call, &Target::set(table), options).await
        }
        Resource::Batch if call.method == Method::POST => batch::batch(service, &parts, body).await,
        _ if !reads => {
            let request = Request::from_parts(parts, body);
            write::handle(service, &call, &resource, request).await
        }
        Resource::Query(table) => Err(Failure::method(
            format!(
                "'{}/$query' takes POST with the query options as its body",
                table.entity_set_name
            ),
            "POST",
        )),
        Resource::ServiceDocument => Ok(service_document::service_document(&call, catalog)),
        Resource::Metadata => Ok(service_document::metadata(catalog)),
        Resource::Operation { ref name, ref parameters, bound: None }
            if functions::is_function(name) =>
        {
            functions::answer(service, &call, name, parameters.as_deref())
        }
        Resource::Collection(table) => {
            query::collection(service, &call, &Target::set(table), call.options()?).await
        }
        Resource::Count(table) => {
            query::count(service, &call, &Target::set(table), call.options()?).await
        }
        Resource::Row(table, key) => rows::row(service, &call, &table, &key, call.options()?).await,
        Resource::Property { table, key, column, raw } => {
            rows::property(service, &call, &table, &key, column, raw).await
        }
        Resource::Related { table, key, navigation, member, tail } => {
            let (table, key, navigation) = (&table, &key, navigation.as_str());
            let path = Related { table, key, navigation, member, tail };
            rows::related(service, &call, path, call.options()?).await
        }
        Resource::Batch => Err(Failure::method("'$batch' takes POST with the requests", "POST")),
        Resource::Definitions(segments) => definitions::answer(&call, catalog, &segments),
        Resource::Operation { ref name, ref parameters, bound: None }
            if name == "RetrieveMetadataChanges" =>
        {
            definitions::retrieve_metadata_changes(&call, catalog, parameters.as_deref())
        }
        ref action if write::is_action(action) => {
            Err(Failure::method(format!("'{}' takes POST", call.path), "POST"))
        }
        Resource::Operation { ref name, bound: Some((ref table, Some(ref key))), .. }
            if name == jobs::why::NAME && table.logical_name == TABLE =>
        {
            jobs::why::why(service, &call, key).await
        }
        Resource::Operation { name, .. } => {
            Err(Failure::not_implemented(format!("'{name}' is not offered")))
        }
    }
}

/// The options in the body of `$query`.
async fn query_body(request: Request, limit: usize) -> Result<String> {
    let kind = body::media_type(request.headers());
    // A body that stays unread would cost the client its connection.
    let bytes = body::bytes(request, limit).await?;
    // The second is what curl sends unasked; the text has the same form.
    if !matches!(kind.as_str(), "" | "text/plain" | "application/x-www-form-urlencoded") {
        let message = format!("$query takes its options as text/plain, not as '{kind}'");
        let error = Error::unsupported(message);
        return Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, error));
    }
    String::from_utf8(bytes.into()).map_err(|e| {
        Error::invalid(codes::INVALID_ARGUMENT, "the body is not UTF-8 text").caused_by(e).into()
    })
}

async fn unknown_path(uri: Uri) -> Failure {
    let path = uri.path();
    Failure::segment(format!(
        "Resource not found for the segment '{}'. The Web API is at /api/data/v9.2/",
        path.trim_start_matches('/')
    ))
}

async fn method_not_allowed(method: Method, uri: Uri) -> Failure {
    let path = uri.path();
    let call = path.starts_with("/sysjob/") && path != "/sysjob/backup";
    let allow = if call { "POST" } else { "GET" };
    Failure::method(format!("'{}' does not take {method}", uri.path()), allow)
}
