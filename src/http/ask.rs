//! `/sysjob/query` and `/sysjob/explain`: a question in any dialect, answered in
//! any format of the command line. What `sysjob query --url` talks to.

use std::sync::Arc;

use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use clap::ValueEnum;
use serde::Deserialize;

use super::error::{Failure, Result};
use super::formats;
use super::prefer::Prefer;
use crate::ask::Questions;
use crate::dialect::Dialect;
use crate::encode::Format;
use crate::error::{Error, codes};
use crate::identity::Caller;
use crate::query::Context;
use crate::service::Service;
use crate::store::Snapshot;

/// A question.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    #[serde(default = "auto")]
    dialect: String,
    text: String,
    #[serde(default = "jsonl")]
    format: String,
}

/// A question whose plan is wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explanation {
    #[serde(default = "auto")]
    dialect: String,
    text: String,
    #[serde(default)]
    physical: bool,
    #[serde(default)]
    analyze: bool,
}

pub fn auto() -> String {
    "auto".into()
}

fn jsonl() -> String {
    "jsonl".into()
}

pub fn dialect(word: &str) -> Result<Option<Dialect>, Error> {
    match word {
        "auto" => Ok(None),
        "sql" => Ok(Some(Dialect::Sql)),
        "fetchxml" => Ok(Some(Dialect::FetchXml)),
        "odata" => Ok(Some(Dialect::OData)),
        other => Err(Error::invalid(
            codes::INVALID_ARGUMENT,
            format!("'{other}' is no dialect; there are auto, sql, fetchxml and odata"),
        )),
    }
}

pub fn body<T>(service: &Service, body: std::result::Result<Json<T>, JsonRejection>) -> Result<T> {
    match body {
        Ok(Json(body)) => Ok(body),
        Err(e) if e.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Err(Failure::body_too_long(service.settings.limits.body_bytes))
        }
        Err(e) => Err(Error::invalid(codes::INVALID_ARGUMENT, e.body_text()).into()),
    }
}

/// What a question means now to who asks it.
pub fn context(
    service: &Service,
    snapshot: &Arc<Snapshot>,
    caller: &Caller,
    headers: &HeaderMap,
) -> Result<Context> {
    let timezone = Prefer::read(headers)?.timezone;
    Ok(service.context(snapshot, caller, timezone))
}

pub async fn query(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    question: std::result::Result<Json<Question>, JsonRejection>,
) -> Result<Response> {
    let question = body(&service, question)?;
    let format = Format::from_str(&question.format, true).map_err(|_| {
        let known: Vec<&str> = Format::value_variants().iter().map(|f| f.name()).collect();
        let message = format!("'{}' is no format; there are {}", question.format, known.join(", "));
        Error::invalid(codes::INVALID_ARGUMENT, message)
    })?;
    let snapshot = service.store.snapshot();
    let dialect = dialect(&question.dialect)?;
    let context = context(&service, &snapshot, &caller, &headers)?;
    let mut questions =
        Questions::new(&service.engine, &snapshot, dialect, &question.text, context)?;
    let plan = questions.next().await?;
    if plan.is_some() && questions.next().await?.is_some() {
        let message = "the text holds several queries; ask them one at a time";
        return Err(Error::unsupported(message).into());
    }
    let plan =
        plan.ok_or_else(|| Error::invalid(codes::INVALID_ARGUMENT, "the text came to no query"))?;
    let rows = service.engine.run(plan).await?;
    Ok(formats::rows(format, rows).await?)
}

pub async fn explain(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    question: std::result::Result<Json<Explanation>, JsonRejection>,
) -> Result<Response> {
    let question = body(&service, question)?;
    let snapshot = service.store.snapshot();
    let dialect = dialect(&question.dialect)?;
    let mut text = String::new();
    let context = context(&service, &snapshot, &caller, &headers)?;
    let mut questions =
        Questions::new(&service.engine, &snapshot, dialect, &question.text, context)?;
    while let Some(plan) = questions.next().await? {
        let plan = service.engine.explain(plan, question.physical, question.analyze).await?;
        text.push_str(plan.trim_end());
        text.push('\n');
    }
    Ok(text.into_response())
}
