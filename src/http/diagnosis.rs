//! `GET /sysjob/diagnosis`: what `sysjob diagnose --format json` prints of the jobs of
//! this service.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;
use tokio::runtime::Handle;

use super::error::Failure;
use crate::diagnose::{Local, document, findings};
use crate::error::{Error, Place, Result, codes};
use crate::service::Service;
use crate::value::{parse_time, time_text};

pub async fn diagnosis(
    State(service): State<Arc<Service>>,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let now = judged_at(query.as_deref().unwrap_or_default())?;
    let snapshot = service.store.snapshot();
    let generated = time_text(service.clock.now());
    let runtime = Handle::current();
    let answer = tokio::task::spawn_blocking(move || {
        let local = Local { engine: &service.engine, snapshot, runtime };
        let now = now.as_deref().map(|now| now.trim_end_matches('Z'));
        document(&local, &findings(&local, now)?, &generated)
    });
    let answer =
        answer.await.map_err(|e| Error::internal("the diagnosis ended early").caused_by(e))??;
    Ok((StatusCode::OK, Json(answer)).into_response())
}

/// The time `now` of the options, as of which jobs are judged.
fn judged_at(query: &str) -> Result<Option<String>> {
    let mut now = None;
    for option in query.split('&').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let wrong = |message: String| {
            Error::invalid(codes::INVALID_ARGUMENT, message).at(Place::Part(name.to_owned()))
        };
        if name != "now" {
            return Err(wrong(format!("'{name}' is no option of a diagnosis; there is 'now'")));
        }
        let text = percent_decode_str(value).decode_utf8_lossy();
        let time = parse_time(text.trim());
        now = Some(time_text(time.ok_or_else(|| wrong(format!("'{text}' is not a time")))?));
    }
    Ok(now)
}
