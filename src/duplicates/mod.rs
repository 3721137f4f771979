//! `BulkDetectDuplicates`: a system job that looks for the duplicates of the rows that
//! a query finds, and records each in `duplicaterecord`.
//!
//! Parts: [`request`] what a client asks for, [`rules`] when two rows are duplicates,
//! this file the job and its work.

mod request;
mod rules;

pub use self::request::Request;

use std::collections::HashSet;
use std::sync::Arc;

use crate::bulk_delete::{matching, of, owned_by};
use crate::catalog::{Table, entity_code};
use crate::error::{Error, Result, codes};
use crate::identity::Caller;
use crate::job::{Handler, JobColumns, Outcome, Report, Status};
use crate::query::bind::{BindOptions, bind};
use crate::query::bound::BoundQuery;
use crate::scheduler;
use crate::service::Service;
use crate::store::{Change, Snapshot};
use crate::value::{Guid, Value};

/// `operationtype` of the job.
pub const OPERATION_TYPE: i32 = 8;

/// Where results are.
const RESULTS: &str = "duplicaterecord";

/// Results that one job has at most.
const RESULTS_MAX: usize = 5_000;

/// Makes the job; its id. It runs when the scheduler picks it.
pub async fn start(service: &Service, caller: Caller, request: Request) -> Result<Guid> {
    bound(service, &caller, &request)?;
    let now = service.clock.now();
    let catalog = service.store.catalog();
    let facts = &catalog.tables()[JobColumns::of(catalog).table];
    let job = uuid::Uuid::new_v4().into_bytes();
    let begins = request.start.unwrap_or(now);
    let status = if begins > now { Status::Waiting } else { Status::WaitingForResources };
    let when = |wanted: bool, value: Value| if wanted { value } else { Value::Null };
    let recurs = !request.pattern.is_empty();
    let mut cells = vec![
        ("asyncoperationid", Value::Guid(job)),
        ("name", Value::Text(request.name)),
        ("operationtype", Value::Int32(OPERATION_TYPE)),
        ("messagename", Value::Text("BulkDetectDuplicates".into())),
        ("primaryentitytype", Value::Int32(entity_code(&request.query.table.text))),
        ("depth", Value::Int32(1)),
        ("statecode", Value::Int32(status.statecode())),
        ("statuscode", Value::Int32(status.statuscode())),
        ("postponeuntil", when(begins > now, Value::Time(begins))),
        ("recurrencepattern", when(recurs, Value::Text(request.pattern))),
        ("recurrencestarttime", when(recurs, Value::Time(begins))),
        ("data", Value::Text(request.body)),
        ("sysjob_handler", Value::Text(Handler::Platform {}.to_json())),
    ];
    cells.extend(owned_by(caller, now));
    let turn = service.store.turn().await;
    let cells = of(facts, cells);
    scheduler::submit(service.scheduler.as_ref(), &service.store, cells, now).await?;
    drop(turn);
    Ok(job)
}

fn bound(service: &Service, caller: &Caller, request: &Request) -> Result<BoundQuery> {
    let context = service.context(&service.store.snapshot(), caller, None);
    let options = BindOptions { context, ..BindOptions::default() };
    bind(&request.query, service.store.catalog(), &options)
}

/// The work of a job that the scheduler has picked.
pub async fn perform(
    service: &Arc<Service>,
    caller: Caller,
    job: Guid,
    body: &str,
) -> Result<Report> {
    let unreadable = || {
        let message = "the parameters of the duplicate detection cannot be read";
        Error::invalid(codes::WORKFLOW_UNREADABLE, message)
    };
    let object = serde_json::from_str(body).map_err(|_| unreadable())?;
    let request = Request::read(&object, service.store.catalog())?;
    let query = bound(service, &caller, &request)?;
    let rows = matching(service, &query, job).await?;
    let (table, snapshot, looked_at) = (query.root.clone(), service.store.snapshot(), rows.len());
    let found = tokio::task::spawn_blocking(move || {
        let known = recorded(&snapshot, job);
        let found = rules::duplicates(&snapshot, &table, &rows);
        found.into_iter().filter(|pair| !known.contains(pair)).collect::<Vec<_>>()
    });
    let mut found =
        found.await.map_err(|e| Error::internal("no duplicates were found").caused_by(e))?;
    let all = found.len();
    found.truncate(RESULTS_MAX);
    let results = found.iter().filter_map(|pair| result(service, caller, job, &query.root, pair));
    let results: Vec<Change> = results.collect();
    let recorded = results.len();
    // Nobody sees a part of them.
    service.store.commit(results).await?;
    let mut text = format!("{looked_at} rows examined, {recorded} duplicates found");
    if all > recorded {
        text.push_str(&format!(", {} more not recorded", all - recorded));
    }
    Ok(Report { friendlymessage: Some(text), ..Report::of(Outcome::Succeeded) })
}

/// What earlier runs of the job have recorded.
fn recorded(snapshot: &Snapshot, job: Guid) -> HashSet<(Guid, Guid)> {
    let mut pairs = HashSet::new();
    let Some(rows) = snapshot.table_named(RESULTS) else { return pairs };
    let facts = rows.table().clone();
    let at = |name: &str| facts.column_index(name);
    let (Some(of), Some(base), Some(duplicate)) =
        (at("asyncoperationid"), at("baserecordid"), at("duplicaterecordid"))
    else {
        return pairs;
    };
    rows.for_each(|cell| {
        if let (true, Value::Guid(base), Value::Guid(duplicate)) =
            (cell(of) == Value::Guid(job), cell(base), cell(duplicate))
        {
            pairs.insert((base, duplicate));
        }
    });
    pairs
}

/// The row of a duplicate.
fn result(
    service: &Service,
    caller: Caller,
    job: Guid,
    root: &Table,
    (base, duplicate): &(Guid, Guid),
) -> Option<Change> {
    let catalog = service.store.catalog();
    let table = catalog.table_index(RESULTS)?;
    let code = Value::Int32(entity_code(&root.logical_name));
    let mut cells = vec![
        ("duplicateid", Value::Guid(uuid::Uuid::new_v4().into_bytes())),
        ("asyncoperationid", Value::Guid(job)),
        ("baserecordid", Value::Guid(*base)),
        ("baserecordidtypecode", code.clone()),
        ("duplicaterecordid", Value::Guid(*duplicate)),
        ("duplicaterecordidtypecode", code),
    ];
    cells.extend(owned_by(caller, service.clock.now()));
    let values = of(&catalog.tables()[table], cells);
    Some(Change::Insert { table, values })
}
