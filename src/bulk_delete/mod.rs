//! `BulkDelete`: a system job that deletes the rows that queries find. Its job
//! and its `bulkdeleteoperation` row show how far it is.
//!
//! Parts: [`request`] what a client asks for, [`recurrence`] when again, [`run`]
//! the work.

pub mod arguments;
pub mod recurrence;
mod request;
mod run;

pub use self::request::Request;
pub use self::run::matching;

use std::sync::Arc;
use std::time::Duration;

use self::run::Run;
use crate::catalog::{Table, entity_code};
use crate::error::{Error, Result, codes};
use crate::identity::{Caller, Role};
use crate::job::{Handler, JobColumns, Report, Status};
use crate::scheduler;
use crate::service::Service;
use crate::store::Change;
use crate::value::{Guid, Value, guid_text};
use crate::write::Transaction;

/// `operationtype` of the job.
pub const OPERATION_TYPE: i32 = 13;

/// How often it is looked whether an immediate deletion has ended.
const LOOK: Duration = Duration::from_millis(5);

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
    let scheduled = service.scheduler.is_some();
    let run = Run::new(service.clone(), caller, job, operation, &request, begins.max(now))?;
    let later = begins > now && !immediate;
    let status = match (later, scheduled) {
        (true, _) => Status::Waiting,
        (false, true) => Status::WaitingForResources,
        (false, false) => Status::InProgress,
    };
    make_rows(service, caller, &request, (job, operation), status, begins, now).await?;
    if scheduled {
        return match immediate {
            true => ended(service, job).await.map(|()| job),
            false => Ok(job),
        };
    }
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

/// Waits until a job has come to an end, or is stopped on its way.
async fn ended(service: &Service, job: Guid) -> Result<()> {
    let columns = JobColumns::of(service.store.catalog());
    let text = |row: &[Value], column: usize| match &row[column] {
        Value::Text(text) => text.clone(),
        _ => String::new(),
    };
    loop {
        // Somebody may have deleted it.
        let Some(row) = service.store.row(columns.table, &job) else { return Ok(()) };
        match &row[columns.statuscode] {
            Value::Int32(code) if *code == Status::Failed.statuscode() => {
                let code = match row[columns.errorcode] {
                    Value::Int32(code) => code.cast_unsigned(),
                    _ => codes::UNEXPECTED,
                };
                return Err(Error::invalid(code, text(&row, columns.friendlymessage)));
            }
            Value::Int32(code)
                if matches!(
                    Status::from_statuscode(*code),
                    Some(Status::Succeeded | Status::Canceled | Status::Waiting)
                ) =>
            {
                return Ok(());
            }
            _ => tokio::time::sleep(LOOK).await,
        }
    }
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
    let runs = status == Status::InProgress;
    let scheduled = service.scheduler.as_ref();
    let when = |wanted: bool, value: Value| if wanted { value } else { Value::Null };
    let pattern = request.recurrence.map_or(Value::Null, |_| Value::Text(request.pattern.clone()));
    let mut cells = vec![
        ("asyncoperationid", Value::Guid(job)),
        ("name", Value::Text(request.name.clone())),
        ("operationtype", Value::Int32(OPERATION_TYPE)),
        ("messagename", Value::Text("BulkDelete".into())),
        ("primaryentitytype", Value::Int32(entity_code(OPERATION_TABLE))),
        ("depth", Value::Int32(1)),
        ("statecode", state),
        ("statuscode", reason),
        ("startedon", when(runs, Value::Time(now))),
        ("hostid", when(runs, Value::Text("sysjob".into()))),
        ("postponeuntil", when(waits, Value::Time(begins))),
        ("recurrencestarttime", when(request.recurrence.is_some(), Value::Time(begins))),
        ("recurrencepattern", pattern),
        ("data", Value::Text(request.body.clone())),
        // A scheduler picks it, and picks it up again after a crash.
        ("sysjob_handler", Value::Text(Handler::Platform {}.to_json())),
    ];
    cells.extend(owned_by(caller, now));
    let job_cells = of(&catalog.tables()[columns.table], cells);
    let progress = Progress { job, operation, status, next };
    let with = vec![operation_row(service, caller, request, &progress, now)?];
    match scheduled {
        Some(scheduler) => scheduler.commit(vec![job_cells], Vec::new(), Vec::new(), with).await,
        None => {
            let turn = service.store.turn().await;
            scheduler::submit(service.scheduler.as_ref(), &service.store, job_cells, now).await?;
            drop(turn);
            service.store.commit(with).await.map(|_| ())
        }
    }
}

/// What a new row of an operation shows.
struct Progress {
    job: Guid,
    operation: Guid,
    status: Status,
    next: Option<i64>,
}

/// The row of a bulk delete operation that begins.
fn operation_row(
    service: &Service,
    caller: Caller,
    request: &Request,
    progress: &Progress,
    now: i64,
) -> Result<Change> {
    let catalog = service.store.catalog();
    let table = catalog.table_index(OPERATION_TABLE);
    let table = table.ok_or_else(|| Error::internal("every catalog has bulkdeleteoperation"))?;
    let Progress { job, operation, status, next } = *progress;
    let state = Value::Int32(status.statecode());
    let reason = Value::Int32(status.statuscode());
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
    Ok(Change::Insert { table, values })
}

/// The work of a job that the scheduler has picked, also again after a restart or at
/// its next occurrence. `begins` is the start of the attempt.
pub async fn perform(
    service: &Arc<Service>,
    caller: Caller,
    job: Guid,
    body: &str,
    begins: i64,
) -> Result<Report> {
    let unreadable = || {
        Error::invalid(codes::WORKFLOW_UNREADABLE, "the parameters of the deletion cannot be read")
    };
    let object = serde_json::from_str(body).map_err(|_| unreadable())?;
    let request = Request::read(&object, service.store.catalog())?;
    let now = service.clock.now();
    let next = request.recurrence.map(|r| r.next(request.start.unwrap_or(begins), now));
    let operation = match unfinished(service, job) {
        Some(operation) => operation,
        // Each occurrence has a row of its own.
        None => {
            let operation = uuid::Uuid::new_v4().into_bytes();
            let progress = Progress { job, operation, status: Status::InProgress, next };
            let row = operation_row(service, caller, &request, &progress, now)?;
            service.store.commit(vec![row]).await?;
            operation
        }
    };
    Ok(Run::new(service.clone(), caller, job, operation, &request, begins)?.work(next).await)
}

/// The operation of a job that has not ended.
fn unfinished(service: &Service, job: Guid) -> Option<Guid> {
    let table = service.store.catalog().table_index(OPERATION_TABLE)?;
    let facts = service.store.catalog().tables()[table].clone();
    let (of, state) = (facts.column_index("asyncoperationid")?, facts.column_index("statecode")?);
    let key = facts.primary_id_index();
    let mut found = None;
    service.store.table(table).for_each(|cell| {
        let ended = cell(state) == Value::Int32(Status::Succeeded.statecode());
        if let (Value::Guid(id), true) = (cell(key), cell(of) == Value::Guid(job) && !ended) {
            found = Some(id);
        }
    });
    found
}

/// What all rows have that the platform makes for a caller.
pub fn owned_by(caller: Caller, now: i64) -> [(&'static str, Value); 8] {
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
pub fn of(table: &Table, cells: Vec<(&str, Value)>) -> Vec<(usize, Value)> {
    let cells = cells.into_iter().filter(|(_, value)| *value != Value::Null);
    cells.filter_map(|(name, value)| Some((table.column_index(name)?, value))).collect()
}

/// The caller's turn to write.
async fn begin(service: &Service, caller: Caller) -> Transaction {
    let now = service.clock.now();
    Transaction::begin(&service.store, service.scheduler.as_ref(), caller, now).await
}
