//! The one place where an error becomes a status and the Dataverse JSON body.
//! What the caller cannot mend (damaged data, defects) is told in general words;
//! the details go to standard error once, under an id that the answer names.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::object::Object;
use crate::encode::Annotations;
use crate::error::{Error, ErrorKind, codes};

/// Names the answer in logs and support questions.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-service-request-id");

/// What the caller may not do.
const DENIED: [u32; 2] = [codes::ACCESS_DENIED, codes::PRIVILEGE_DENIED];
/// The row is not as the request expects it.
const PRECONDITIONS: [u32; 3] =
    [codes::VERSION_MISMATCH, codes::DUPLICATE_RECORD, codes::KEY_NOT_UNIQUE];
/// Service protection: requests, execution time, concurrency.
const THROTTLED: [u32; 3] = [0x8007_2322, 0x8007_2321, 0x8007_2326];

pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// An error on its way to an HTTP client.
#[derive(Debug)]
pub struct Failure {
    status: StatusCode,
    error: Box<Error>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Failure {
    /// An error whose status says more than its kind does.
    pub fn new(status: StatusCode, error: Error) -> Self {
        Self { status, error: Box::new(error), headers: Vec::new() }
    }

    /// The resource exists and does not take this method, now or later.
    pub fn method(message: impl Into<String>, allow: &'static str) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, Error::unsupported(message))
            .with(header::ALLOW, HeaderValue::from_static(allow))
    }

    /// The answer has this header too.
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// A body beyond the limit.
    pub fn body_too_long(limit: usize) -> Self {
        let message = format!("the body is longer than {limit} bytes, which --max-body-bytes sets");
        let error = Error::new(ErrorKind::Limit, codes::INVALID_ARGUMENT, message);
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, error)
    }

    /// Dataverse answers this; sysjob does not.
    pub fn not_implemented(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, Error::unsupported(message))
    }

    /// The Dataverse code.
    pub fn code(&self) -> u32 {
        self.error.code
    }

    /// No such resource.
    pub fn segment(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::NotFound, codes::UNKNOWN_SEGMENT, message).into()
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match error.kind {
            _ if DENIED.contains(&error.code) => StatusCode::FORBIDDEN,
            _ if error.code == codes::OPERATION_NOT_SUPPORTED => StatusCode::METHOD_NOT_ALLOWED,
            ErrorKind::Invalid | ErrorKind::Unsupported => StatusCode::BAD_REQUEST,
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::Conflict if PRECONDITIONS.contains(&error.code) => {
                StatusCode::PRECONDITION_FAILED
            }
            ErrorKind::Conflict => StatusCode::CONFLICT,
            // As a server's failure: the same request may do another time.
            ErrorKind::Limit if error.code == codes::SQL_TIMEOUT => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            ErrorKind::Limit if THROTTLED.contains(&error.code) => StatusCode::TOO_MANY_REQUESTS,
            ErrorKind::Limit => StatusCode::BAD_REQUEST,
            ErrorKind::Closed => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Data | ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        self.respond(&Annotations::default())
    }
}

/// Where the terms of errors begin.
const DETAILS: &str = "Microsoft.PowerApps.CDS.";

impl Failure {
    /// The answer, with the annotations of errors that the client wants.
    pub fn respond(self, annotations: &Annotations) -> Response {
        let mut id = None;
        let message = if matches!(self.error.kind, ErrorKind::Data | ErrorKind::Internal) {
            let new = new_request_id();
            log(&self.error, &new);
            let message = format!(
                "An unexpected error occurred. The service's log has the details under request {new}."
            );
            id = Some(new);
            message
        } else {
            self.error.to_string()
        };
        let code = format!("0x{:08x}", self.error.code);
        let help = format!(
            "http://go.microsoft.com/fwlink/?LinkID=398563&error=Microsoft.Crm.CrmException%3a{}&client=platform",
            code.trim_start_matches("0x")
        );
        let mut error = Object::new();
        error.text("code", &code);
        error.text("message", &message);
        for (term, value) in [
            ("ErrorDetails.OperationStatus", "0"),
            // The one HRESULT that all of Dataverse's own errors have.
            ("ErrorDetails.SubErrorCode", "2146233088"),
            ("HelpLink", &help),
            ("TraceText", &message),
            ("InnerError.Message", &message),
        ] {
            let term = format!("{DETAILS}{term}");
            if annotations.wants(&term) {
                error.text(&format!("@{term}"), value);
            }
        }
        let mut body = Object::new();
        body.raw("error", error.close());
        let mut response = super::answer::json(self.status, body.close());
        if let Some(id) = id.and_then(|id| HeaderValue::from_str(&id).ok()) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        response.headers_mut().extend(self.headers);
        response
    }
}

/// A name for one answer.
pub fn new_request_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// Writes an error and all its causes to standard error.
pub fn log(error: &Error, request_id: &str) {
    let mut text = format!("error: request {request_id}: {error}");
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        text.push_str(&format!("; caused by: {source}"));
        cause = source.source();
    }
    eprintln!("{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answer(failure: impl Into<Failure>) -> (StatusCode, String) {
        let response = failure.into().into_response();
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.expect("in memory");
        (status, String::from_utf8(body.to_vec()).expect("text"))
    }

    #[tokio::test]
    async fn kinds_have_their_status() {
        let of = |kind| Error::new(kind, codes::UNEXPECTED, "m");
        for (kind, status) in [
            (ErrorKind::Invalid, 400),
            (ErrorKind::Unsupported, 400),
            (ErrorKind::NotFound, 404),
            (ErrorKind::Conflict, 409),
            (ErrorKind::Limit, 400),
            (ErrorKind::Closed, 503),
            (ErrorKind::Internal, 500),
        ] {
            assert_eq!(answer(of(kind)).await.0.as_u16(), status, "{kind:?}");
        }
        let stale = Error::new(ErrorKind::Conflict, codes::VERSION_MISMATCH, "m");
        assert_eq!(answer(stale).await.0.as_u16(), 412);
    }

    #[tokio::test]
    async fn the_body_has_code_and_message() {
        let (_, body) = answer(Error::invalid(codes::INVALID_XML, "a \"b\"")).await;
        assert_eq!(body, r#"{"error":{"code":"0x80040201","message":"a \"b\""}}"#);
    }

    #[tokio::test]
    async fn details_are_told_on_request() {
        let error = || Failure::from(Error::invalid(codes::INVALID_XML, "m"));
        let body = async |annotations: &str| {
            let response = error().respond(&Annotations::parse(annotations));
            let body = axum::body::to_bytes(response.into_body(), 10_000).await;
            String::from_utf8(body.expect("in memory").to_vec()).expect("text")
        };
        let all = body("*").await;
        assert!(all.contains(r#""@Microsoft.PowerApps.CDS.InnerError.Message":"m""#), "{all}");
        assert!(all.contains("Exception%3a80040201&client"), "{all}");
        let some = body("*,-Microsoft.PowerApps.CDS.HelpLink").await;
        assert!(some.contains("TraceText") && !some.contains("HelpLink"), "{some}");
        assert!(!body("Microsoft.Dynamics.CRM.*").await.contains('@'));
    }

    #[tokio::test]
    async fn defects_do_not_show_their_details() {
        let (_, body) = answer(Error::internal("secret").caused_by("deeper secret")).await;
        assert!(!body.contains("secret") && body.contains("under request"), "{body}");
    }
}
