//! `POST /sysjob/actions`: cancel, pause, resume, postpone or delete jobs that are
//! named, or all that a query finds.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value as Json, json};

use super::members::{Members, wrong};
use super::object;
use crate::bulk_action::{self, AT_ONCE_MAX, Order, TARGETS_MAX, Tally};
use crate::error::{Error, ErrorKind, Place, Result, codes};
use crate::http::ask::dialect;
use crate::http::error::Failure;
use crate::http::prefer::Prefer;
use crate::identity::Caller;
use crate::job::Action;
use crate::service::Service;
use crate::value::{Guid, guid_text, parse_guid};

const PLACE: &str = "request body";
/// Ids shown of the jobs that a query finds.
const SAMPLE: usize = 10;

pub async fn actions(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Failure> {
    let object = object(&service, request).await?;
    let members = Members::new(&object, PLACE);
    members.known(&["action", "until", "ids", "query", "dry_run", "limit", "reason"])?;
    let order = Order { action: action(&members)?, reason: reason(&service, &members)?, caller };
    let (dry_run, limit) = (members.flag("dry_run")?, members.count("limit", usize::MAX)?);
    let mut ids = targets(&service, &caller, &headers, &members).await?;
    let matched = ids.len();
    ids.truncate(limit.unwrap_or(usize::MAX));
    if dry_run {
        let tally = bulk_action::foresee(&service, &order, ids).await?;
        return Ok(answer(matched, &Tally { done: 0, ..tally }, None));
    }
    if ids.len() > TARGETS_MAX {
        let message = format!(
            "there are {} jobs, and one call acts on at most {TARGETS_MAX}; give a 'limit', and call again for the rest",
            ids.len()
        );
        return Err(Error::new(ErrorKind::Limit, codes::INVALID_ARGUMENT, message).into());
    }
    match &service.scheduler {
        Some(scheduler) if ids.len() > AT_ONCE_MAX => {
            let job = order.start(&service, scheduler, &ids).await?;
            let sample = ids.iter().take(SAMPLE).map(guid_text).collect();
            Ok(answer(matched, &Tally { sample, ..Tally::default() }, Some(job)))
        }
        _ => Ok(answer(matched, &bulk_action::act(&service, &order, &ids).await?, None)),
    }
}

fn answer(matched: usize, tally: &Tally, job: Option<Guid>) -> Response {
    let mut answer = json!({
        "matched": matched,
        "done": tally.done,
        "skipped": tally.skipped,
        "sample": tally.sample,
    });
    if let Some(job) = job {
        answer["job"] = guid_text(&job).into();
    }
    (StatusCode::OK, axum::Json(answer)).into_response()
}

fn action(members: &Members) -> Result<Action> {
    let word = members.word("action", &Action::NAMES)?;
    let until = members.time("until")?;
    if until.is_some() && word != "postpone" {
        return Err(members.wrong("until", format!("'{word}' takes no time")));
    }
    let action = Action::named(word, until);
    action.ok_or_else(|| members.wrong("until", "'postpone' takes the time to wait for"))
}

fn reason(service: &Service, members: &Members) -> Result<Option<String>> {
    let Some(text) = members.text("reason")?.filter(|text| !text.trim().is_empty()) else {
        return Ok(None);
    };
    let facts = service.store.catalog().table("jobhistory").and_then(|t| t.column("reason"));
    let most = facts.and_then(|column| column.max_length).map_or(usize::MAX, |max| max as usize);
    match text.encode_utf16().count() {
        length if length > most => {
            let message = format!("{length} characters; at most {most} are kept");
            Err(members.wrong("reason", message))
        }
        _ => Ok(Some(text.to_owned())),
    }
}

/// The jobs that a call is about, each once.
async fn targets(
    service: &Service,
    caller: &Caller,
    headers: &HeaderMap,
    members: &Members<'_>,
) -> Result<Vec<Guid>, Failure> {
    match (members.get("ids"), members.get("query")) {
        (Some(ids), None) => Ok(named(ids, members)?),
        (None, Some(query)) => {
            let inside = members.place_of("query");
            let query = Members::of(query, &inside)?;
            query.known(&["dialect", "text"])?;
            let word = query.text("dialect")?.unwrap_or("auto");
            let word = dialect(word).map_err(|e| e.at(Place::Part(query.place_of("dialect"))))?;
            let (text, timezone) = (query.required_text("text")?, Prefer::read(headers)?.timezone);
            Ok(bulk_action::matching(service, caller, timezone, word, text).await?)
        }
        _ => Err(wrong(PLACE, "either 'ids' or a 'query' is required").into()),
    }
}

fn named(ids: &Json, members: &Members) -> Result<Vec<Guid>> {
    let list =
        ids.as_array().ok_or_else(|| members.wrong("ids", "an array of GUIDs is expected"))?;
    let mut seen = std::collections::HashSet::new();
    let mut named = Vec::with_capacity(list.len());
    for (index, id) in list.iter().enumerate() {
        let id = id.as_str().and_then(|text| parse_guid(text.trim())).ok_or_else(|| {
            members.wrong(&format!("ids[{index}]"), format!("a GUID is expected, not {id}"))
        })?;
        if seen.insert(id) {
            named.push(id);
        }
    }
    Ok(named)
}
