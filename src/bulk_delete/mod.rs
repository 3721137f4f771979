//! `BulkDelete`: a system job that deletes the rows that queries find. Its job
//! and its `bulkdeleteoperation` row show how far it is.
//!
//! Parts: [`request`] what a client asks for, [`recurrence`] when again, [`run`]
//! the work.

mod recurrence;
mod request;
mod run;

pub use self::request::Request;

use std::sync::Arc;

use self::run::Run;
use crate::catalog::{Table, entity_code};
use crate::error::{Error, Result, codes};
use crate::identity::{Caller, Role};
use crate::job::{JobColumns, Status};
use crate::scheduler;
use crate::service::Service;
use crate::store::Change;
use crate::value::{Guid, Value, guid_text};
use crate::write::Transaction;

const OPERATION_TYPE: i32 = 13;
const OPERATION_TABLE: &str = "bulkdeleteoperation";

/// Makes the job and begins its work; the job's id. An immediate one is done when
/// it returns.
pub async fn start(service: &Arc<Service>, caller: Caller, request: Request) -> Result<Guid> {
    if caller.role < Role::Administrator {
        let message = format!(
            "Principal user (Id={}, type=8) lacks the privilege BulkDelete: it takes the role administrator",
            guid_text(&caller.user)
        );
        return Err(Error::invalid(codes::PRIVILEGE_DENIED, message));
    }
    let now = service.clock.now();
    let job = uuid::Uuid::new_v4().into_bytes();
    let operation = uuid::Uuid::new_v4().into_bytes();
    let begins = request.start.unwrap_or(now);
    let immediate = request.immediate;
    let run = Run::new(service.clone(), caller, job, operation, &request, begins.max(now))?;
    let later = begins > now && !immediate;
    let status = if later { Status::Waiting } else { Status::InProgress };
    make_rows(service, caller, &request, (job, operation), status, begins, now).await?;
    if immediate {
        run.perform().await?;
    } else {
        tokio::spawn(async move {
            if let Err(error) = run.wait_and_perform(later).await {
                // The job's row says how far it came; nobody waits for an answer.
                eprintln!("sysjob: bulk deletion {}: {error}", guid_text(&job));
            }
        });
    }
    Ok(job)
}

/// The rows of the job and of its bulk delete operation, in one turn.
async fn make_rows(
    service: &Service,
    caller: Caller,
    request: &Request,
    (job, operation): (Guid, Guid),
    status: Status,
    begins: i64,
    now: i64,
) -> Result<()> {
    let catalog = service.store.catalog();
    let columns = JobColumns::of(catalog);
    let next = request.recurrence.map(|r| r.next(begins, now));
    let state = Value::Int32(status.statecode());
    let reason = Value::Int32(status.statuscode());
    let waits = status == Status::Waiting;
    let when = |wanted: bool, value: Value| if wanted { value } else { Value::Null };
    let pattern = request.recurrence.map_or(Value::Null, |_| Value::Text(request.pattern.clone()));
    let mut cells = vec![
        ("asyncoperationid", Value::Guid(job)),
        ("name", Value::Text(request.name.clone())),
        ("operationtype", Value::Int32(OPERATION_TYPE)),
        ("messagename", Value::Text("BulkDelete".into())),
        ("primaryentitytype", Value::Int32(entity_code(OPERATION_TABLE))),
        ("depth", Value::Int32(1)),
        ("statecode", state.clone()),
        ("statuscode", reason.clone()),
        ("startedon", when(!waits, Value::Time(now))),
        ("hostid", when(!waits, Value::Text("sysjob".into()))),
        ("postponeuntil", when(waits, Value::Time(begins))),
        ("recurrencestarttime", when(request.recurrence.is_some(), Value::Time(begins))),
        ("recurrencepattern", pattern),
    ];
    cells.extend(owned_by(caller, now));
    let cells = of(&catalog.tables()[columns.table], cells);
    let turn = service.store.turn().await;
    scheduler::submit(service.scheduler.as_ref(), &service.store, cells, now).await?;
    drop(turn);
    let Some(table) = catalog.table_index(OPERATION_TABLE) else { return Ok(()) };
    let mut cells = vec![
        ("bulkdeleteoperationid", Value::Guid(operation)),
        ("asyncoperationid", Value::Guid(job)),
        ("name", Value::Text(request.name.clone())),
        ("statecode", state),
        ("statuscode", reason),
        ("successcount", Value::Int32(0)),
        ("failurecount", Value::Int32(0)),
        ("isrecurring", Value::Boolean(request.recurrence.is_some())),
        ("nextrun", next.map_or(Value::Null, Value::Time)),
        ("orderedquerysetxml", Value::Text(request.text.clone())),
    ];
    cells.extend(owned_by(caller, now));
    let values = of(&catalog.tables()[table], cells);
    service.store.commit(vec![Change::Insert { table, values }]).await.map(|_| ())
}

/// What all rows have that the platform makes for a caller.
fn owned_by(caller: Caller, now: i64) -> [(&'static str, Value); 8] {
    let user = Value::Guid(caller.user);
    [
        ("createdon", Value::Time(now)),
        ("modifiedon", Value::Time(now)),
        ("createdby", user.clone()),
        ("modifiedby", user.clone()),
        ("ownerid", user.clone()),
        ("owneridtype", Value::Int32(entity_code("systemuser"))),
        ("owninguser", user),
        ("owningbusinessunit", Value::Guid(caller.business_unit)),
    ]
}

/// Cells by column number; null ones and those of other tables are left out.
fn of(table: &Table, cells: Vec<(&str, Value)>) -> Vec<(usize, Value)> {
    let cells = cells.into_iter().filter(|(_, value)| *value != Value::Null);
    cells.filter_map(|(name, value)| Some((table.column_index(name)?, value))).collect()
}

/// The caller's turn to write.
async fn begin(service: &Service, caller: Caller) -> Transaction {
    let now = service.clock.now();
    Transaction::begin(&service.store, service.scheduler.as_ref(), caller, now).await
}
