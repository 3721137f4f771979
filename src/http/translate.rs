//! `POST /sysjob/translate`: a question in another dialect.

use std::sync::Arc;

use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::json;

use super::ask;
use super::error::Result;
use crate::error::{Error, codes};
use crate::identity::Caller;
use crate::service::Service;
use crate::translate::translate;

/// A question, and the dialect to say it in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    #[serde(default = "ask::auto")]
    dialect: String,
    text: String,
    to: String,
}

pub async fn answer(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    asked: std::result::Result<Json<Asked>, JsonRejection>,
) -> Result<Response> {
    let asked = ask::body(&service, asked)?;
    let from = ask::dialect(&asked.dialect)?;
    let to = ask::dialect(&asked.to)?.ok_or_else(|| {
        let message = "'to' is one of sql, fetchxml and odata";
        Error::invalid(codes::INVALID_ARGUMENT, message)
    })?;
    let snapshot = service.store.snapshot();
    let context = ask::context(&service, &snapshot, &caller, &headers)?;
    let made = translate(&service.engine, &snapshot, from, &asked.text, to, &context)?;
    let mut answer = json!({ "dialect": made.dialect.word(), "text": made.text });
    if !made.notes.is_empty() {
        answer["notes"] = json!(made.notes);
    }
    Ok(Json(answer).into_response())
}
