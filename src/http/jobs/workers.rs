//! The calls of workers, processes that do the work of jobs somewhere else: `claim`,
//! `heartbeat` and `complete`. The number of the attempt tells late reports from
//! those that count.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value as Json, json};

use super::members::Members;
use super::{Body, object};
use crate::catalog::{ColumnType, Table, entity_name};
use crate::error::{Error, ErrorKind, Result};
use crate::events::payload;
use crate::http::error::Failure;
use crate::job::{JobColumns, Outcome, Report};
use crate::scheduler::core::{Beat, Claimed, Told};
use crate::scheduler::{Claim, Ended, Handle, Heartbeat};
use crate::service::Service;
use crate::store::Store;
use crate::value::{Guid, Value, guid_text, time_text};

/// Jobs that one claim gets at most.
const CLAIM_MAX: usize = 10_000;
/// Seconds.
const LEASE_MAX: f64 = 86_400.0;
const LEASE_MIN: f64 = 0.001;
const WAIT_MAX: f64 = 300.0;
const LEASE_DEFAULT: Duration = Duration::from_secs(60);

/// Columns of a claimed job that its worker sees, where they are not null.
const SHOWN: [&str; 18] = [
    "name",
    "operationtype",
    "createdon",
    "retrycount",
    "depth",
    "dependencytoken",
    "correlationid",
    "messagename",
    "primaryentitytype",
    "regardingobjectid",
    "regardingobjecttypecode",
    "owningextensionid",
    "ownerid",
    "workflowstagename",
    "workflowstate",
    "recurrencepattern",
    "sequence",
    "requestid",
];

const OUTCOMES: [(&str, Outcome); 5] = [
    ("succeeded", Outcome::Succeeded),
    ("failed", Outcome::Failed),
    ("retry", Outcome::Retry),
    ("suspended", Outcome::Suspended),
    ("canceled", Outcome::Canceled),
];

/// The scheduler of a service that runs jobs.
fn scheduler(service: &Service) -> Result<&Handle> {
    service.scheduler.as_ref().ok_or_else(|| {
        Error::unsupported("no jobs run here: the service was started with --no-scheduler")
    })
}

pub async fn claim(
    State(service): State<Arc<Service>>,
    request: Request,
) -> Result<Response, Failure> {
    let object = object(&service, request).await?;
    let scheduler = scheduler(&service)?;
    let members = Members::new(&object, "request body");
    members.known(&["worker", "operationtypes", "max", "lease_s", "wait_s"])?;
    let claim = Claim {
        worker: members.required_text("worker")?.into(),
        operationtypes: operation_types(&service, &members)?,
        // Who takes more than there is gets what there is.
        max: members.count("max", usize::MAX)?.unwrap_or(1).min(CLAIM_MAX),
        lease: lease(&members)?,
        wait: members.seconds("wait_s", 0.0, WAIT_MAX)?.unwrap_or_default(),
    };
    let claimed = scheduler.claim(claim).await?;
    let shown = Shown::of(&service.store);
    let jobs = claimed.iter().map(|claimed| shown.job(claimed)).collect();
    Ok((StatusCode::OK, axum::Json(Json::Array(jobs))).into_response())
}

fn lease(members: &Members) -> Result<Duration> {
    Ok(members.seconds("lease_s", LEASE_MIN, LEASE_MAX)?.unwrap_or(LEASE_DEFAULT))
}

/// A type that does not exist would be waited for in vain.
fn operation_types(service: &Service, members: &Members) -> Result<Option<Vec<i32>>> {
    const NAME: &str = "operationtypes";
    let Some(list) = members.get(NAME) else { return Ok(None) };
    let codes = list.as_array().and_then(|list| {
        let code = |json: &Json| json.as_i64().and_then(|code| i32::try_from(code).ok());
        list.iter().map(code).collect::<Option<Vec<i32>>>()
    });
    let codes = codes.ok_or_else(|| members.wrong(NAME, "an array of numbers is expected"))?;
    let columns = JobColumns::of(service.store.catalog());
    let facts = &service.store.catalog().tables()[columns.table].columns[columns.operationtype];
    match codes.iter().find(|code| facts.label(**code).is_none()) {
        Some(code) => {
            let message = format!("{code} is not recognized as a type of system job");
            Err(members.wrong(NAME, message))
        }
        None => Ok(Some(codes)),
    }
}

/// What workers see of the jobs that they have claimed.
struct Shown<'a> {
    store: &'a Store,
    table: usize,
    facts: &'a Table,
    columns: Vec<usize>,
    leaseuntil: usize,
}

impl<'a> Shown<'a> {
    fn of(store: &'a Store) -> Self {
        let JobColumns { table, leaseuntil, .. } = JobColumns::of(store.catalog());
        let facts = &store.catalog().tables()[table];
        let shown = SHOWN.into_iter().filter_map(|name| facts.column_index(name));
        let columns = shown.chain([leaseuntil]).collect();
        Self { store, table, facts, columns, leaseuntil }
    }

    fn job(&self, claimed: &Claimed) -> Json {
        let mut job = Map::new();
        job.insert("asyncoperationid".into(), guid_text(&claimed.id).into());
        job.insert("attempt".into(), claimed.attempt.into());
        // Somebody may have deleted the job since.
        let cells = self.store.cells(self.table, &claimed.id, &self.columns);
        for (column, value) in cells.into_iter().flatten() {
            let name = match column == self.leaseuntil {
                true => "leaseuntil",
                false => self.facts.columns[column].logical_name.as_str(),
            };
            job.extend(cell(self.facts, column, &value).map(|value| (name.to_owned(), value)));
        }
        job.insert("data".into(), payload::read(self.store, claimed.id).into());
        Json::Object(job)
    }
}

fn cell(facts: &Table, column: usize, value: &Value) -> Option<Json> {
    let is_table = facts.columns[column].column_type == ColumnType::EntityName;
    Some(match value {
        Value::Int32(code) if is_table => entity_name(*code)?.into(),
        Value::Int32(number) => (*number).into(),
        Value::Int64(number) => (*number).into(),
        Value::Text(text) => text.as_str().into(),
        Value::Guid(id) => guid_text(id).into(),
        Value::Time(at) => time_text(*at).into(),
        Value::Boolean(yes) => (*yes).into(),
        _ => return None,
    })
}

pub async fn heartbeat(
    State(service): State<Arc<Service>>,
    request: Request,
) -> Result<Response, Failure> {
    let body = Body::read(&service, request).await?;
    let scheduler = scheduler(&service)?;
    let beats = body.objects("attempts", |members| {
        members.known(&["asyncoperationid", "attempt", "lease_s"])?;
        let (id, attempt) = attempt(members)?;
        Ok(Heartbeat { id, attempt, lease: lease(members)? })
    })?;
    let answer = |beat: Beat| match beat {
        Beat::Continue => json!({ "continue": true }),
        Beat::Told(Told::Cancel) => json!({ "cancel": true }),
        Beat::Told(Told::Pause) => json!({ "pause": true }),
        Beat::Lost => json!({ "lost": true }),
    };
    let answers = scheduler.heartbeat(beats).await?.into_iter().map(answer).collect();
    Ok(body.answer(StatusCode::OK, answers))
}

/// Which attempt of which job.
fn attempt(members: &Members) -> Result<(Guid, i32)> {
    let id = members.required_guid("asyncoperationid")?;
    let attempt = members.int("attempt", 0)?;
    Ok((
        id,
        attempt.ok_or_else(|| {
            members.wrong("attempt", "the number that the claim gave is required")
        })?,
    ))
}

pub async fn complete(
    State(service): State<Arc<Service>>,
    request: Request,
) -> Result<Response, Failure> {
    let body = Body::read(&service, request).await?;
    let scheduler = scheduler(&service)?;
    let ends = body.objects("attempts", |members| {
        members.known(&[
            "asyncoperationid",
            "attempt",
            "outcome",
            "errorcode",
            "message",
            "friendlymessage",
        ])?;
        let (id, attempt) = attempt(members)?;
        let word = members.word("outcome", &OUTCOMES.map(|(word, _)| word))?;
        let row = OUTCOMES.iter().find(|(known, _)| *known == word);
        let (_, outcome) = *row.ok_or_else(|| Error::internal("an outcome without a row"))?;
        let text = |name| Ok::<_, Error>(members.text(name)?.map(str::to_owned));
        let (message, friendlymessage) = (text("message")?, text("friendlymessage")?);
        let errorcode = members.error_code("errorcode")?;
        let report = Report { errorcode, message, friendlymessage, ..Report::of(outcome) };
        Ok(Ended { id, attempt, report })
    })?;
    let mut answers = Vec::with_capacity(ends.len());
    for outcome in scheduler.complete(ends).await? {
        answers.push(match outcome {
            Ok(()) => json!({ "status": 200 }),
            // A client that sends one job looks at the status of the answer.
            Err(error) if matches!(body, Body::One(_)) => return Err(error.into()),
            Err(error) if error.kind == ErrorKind::Conflict => json!({
                "status": 409,
                "code": format!("0x{:08x}", error.code),
                "message": error.to_string(),
            }),
            Err(error) => return Err(error.into()),
        });
    }
    Ok(body.answer(StatusCode::OK, answers))
}
