//! `/sysjob/query` and `/sysjob/explain`: a question in any dialect, answered in
//! any format of the command line. What `sysjob query --url` talks to.

use std::io::{self, Write};
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use clap::ValueEnum;
use futures::StreamExt;
use parking_lot::Mutex;
use serde::Deserialize;

use super::error::{Result, log, new_request_id};
use crate::ask;
use crate::dialect::Dialect;
use crate::encode::{Format, RowWriter};
use crate::engine::failure;
use crate::error::{Error, codes};
use crate::service::Service;

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

fn auto() -> String {
    "auto".into()
}

fn jsonl() -> String {
    "jsonl".into()
}

fn dialect(word: &str) -> Result<Option<Dialect>, Error> {
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

fn body<T>(body: std::result::Result<Json<T>, JsonRejection>) -> Result<T, Error> {
    let Json(body) = body.map_err(|e| Error::invalid(codes::INVALID_ARGUMENT, e.body_text()))?;
    Ok(body)
}

pub async fn query(
    State(service): State<Arc<Service>>,
    question: std::result::Result<Json<Question>, JsonRejection>,
) -> Result<Response> {
    let question = body(question)?;
    let format = Format::from_str(&question.format, true).map_err(|_| {
        let known: Vec<&str> = Format::value_variants().iter().map(|f| f.name()).collect();
        let message = format!("'{}' is no format; there are {}", question.format, known.join(", "));
        Error::invalid(codes::INVALID_ARGUMENT, message)
    })?;
    let snapshot = service.store.snapshot();
    let dialect = dialect(&question.dialect)?;
    let mut plans = ask::plans(&service.engine, &snapshot, dialect, &question.text)?;
    if plans.len() > 1 {
        let message = "the text holds several queries; ask them one at a time";
        return Err(Error::unsupported(message).into());
    }
    let plan = plans.pop().ok_or_else(|| Error::internal("a text without a query"))?;
    let mut rows = service.engine.run(plan).await?;
    let buffer = Buffer::default();
    let writer = RowWriter::new(format, &rows.schema(), buffer.clone())?;
    // A query that fails at once still gets a status of its own.
    let first = rows.next().await.transpose().map_err(failure)?;
    let rows = futures::stream::iter(first.map(Ok)).chain(rows);
    let pieces = futures::stream::try_unfold(Some((rows, writer, buffer)), |state| async move {
        let Some((mut rows, mut writer, buffer)) = state else { return Ok(None) };
        let written = match rows.next().await {
            Some(Ok(batch)) => writer.write(&batch).map(|()| Some((rows, writer, buffer.clone()))),
            Some(Err(e)) => Err(failure(e)),
            None => writer.finish().map(|_| None),
        };
        match written {
            Ok(state) => Ok(Some((buffer.take(), state))),
            Err(error) => {
                // The status is on its way; a broken body tells the client.
                log(&error, &new_request_id());
                Err(error)
            }
        }
    });
    let kind = match format {
        Format::Table => "text/plain; charset=utf-8",
        Format::Csv => "text/csv; charset=utf-8",
        Format::Json => "application/json",
        Format::Jsonl => "application/jsonl",
        Format::Parquet => "application/vnd.apache.parquet",
        Format::Arrow => "application/vnd.apache.arrow.file",
    };
    Ok(([(header::CONTENT_TYPE, kind)], Body::from_stream(pieces)).into_response())
}

pub async fn explain(
    State(service): State<Arc<Service>>,
    question: std::result::Result<Json<Explanation>, JsonRejection>,
) -> Result<Response> {
    let question = body(question)?;
    let snapshot = service.store.snapshot();
    let dialect = dialect(&question.dialect)?;
    let mut text = String::new();
    for plan in ask::plans(&service.engine, &snapshot, dialect, &question.text)? {
        let plan = service.engine.explain(plan, question.physical, question.analyze).await?;
        text.push_str(plan.trim_end());
        text.push('\n');
    }
    Ok(text.into_response())
}

/// What a writer has written and the client has not got yet.
#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    fn take(&self) -> Bytes {
        std::mem::take(&mut *self.0.lock()).into()
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
