//! Answers that need no rows: the service document, `$metadata`, who the caller
//! is, and the version.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::answer::json;
use super::request::Call;
use crate::catalog::{Catalog, csdl};
use crate::encode::json_text;
use crate::identity;
use crate::value::guid_text;

/// The Dataverse version whose Web API this follows.
const VERSION: &str = "9.2.0.0";

/// `GET /`: the entity sets.
pub fn service_document(call: &Call, catalog: &Catalog) -> Response {
    let mut body = start(call, "");
    body.extend_from_slice(b",\"value\":[");
    for (i, table) in catalog.tables().iter().enumerate() {
        let separator: &[u8] = if i == 0 { b"{\"name\":" } else { b",{\"name\":" };
        body.extend_from_slice(separator);
        json_text(&table.entity_set_name, &mut body);
        body.extend_from_slice(b",\"kind\":\"EntitySet\",\"url\":");
        json_text(&table.entity_set_name, &mut body);
        body.push(b'}');
    }
    body.extend_from_slice(b"]}");
    json(StatusCode::OK, body)
}

/// `GET /$metadata`.
pub fn metadata(catalog: &Catalog) -> Response {
    let kind = HeaderValue::from_static("application/xml");
    ([(header::CONTENT_TYPE, kind)], csdl(catalog)).into_response()
}

/// `GET /WhoAmI`.
pub fn who_am_i(call: &Call) -> Response {
    let mut body = start(call, "#Microsoft.Dynamics.CRM.WhoAmIResponse");
    for (name, id) in [
        ("BusinessUnitId", call.caller.business_unit),
        ("UserId", call.caller.user),
        ("OrganizationId", identity::ORGANIZATION),
    ] {
        body.extend_from_slice(format!(",\"{name}\":\"{}\"", guid_text(&id)).as_bytes());
    }
    body.push(b'}');
    json(StatusCode::OK, body)
}

/// `GET /RetrieveVersion`.
pub fn retrieve_version(call: &Call) -> Response {
    let mut body = start(call, "#Microsoft.Dynamics.CRM.RetrieveVersionResponse");
    body.extend_from_slice(format!(",\"Version\":\"{VERSION}\"}}").as_bytes());
    json(StatusCode::OK, body)
}

/// The opening brace and the context.
fn start(call: &Call, fragment: &str) -> Vec<u8> {
    let mut body = b"{\"@odata.context\":".to_vec();
    json_text(&format!("{}$metadata{fragment}", call.base), &mut body);
    body
}
