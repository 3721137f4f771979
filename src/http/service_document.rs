//! Answers that describe the service: its entity sets, `$metadata`.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::answer::json;
use super::csdl::csdl;
use super::object::Object;
use super::query::finish;
use super::request::Call;
use crate::catalog::Catalog;

/// `GET /`: the entity sets.
pub fn service_document(call: &Call, catalog: &Catalog) -> Response {
    let mut sets = Vec::new();
    for table in catalog.tables() {
        let mut set = Object::new();
        set.text("name", &table.entity_set_name);
        set.text("kind", "EntitySet");
        set.text("url", &table.entity_set_name);
        sets.push(set.close());
    }
    let mut body = Object::of(call, "");
    body.raw("value", [b"[", sets.join(&b","[..]).as_slice(), b"]"].concat());
    let mut response = json(StatusCode::OK, body.close());
    finish(call, false, &mut response);
    response
}

/// `GET /$metadata`.
pub fn metadata(catalog: &Catalog) -> Response {
    let kind = HeaderValue::from_static("application/xml");
    ([(header::CONTENT_TYPE, kind)], csdl(catalog)).into_response()
}
