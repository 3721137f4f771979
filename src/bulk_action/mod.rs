//! Actions on many jobs: on those that are named, or on everything that a query
//! finds. The jobs are settled before the first is touched; many are left to a system
//! job, which shows its progress in its `message`.
//!
//! Parts: [`targets`] which jobs, [`tally`] what came of it, [`run`] the system job.

mod run;
mod tally;
mod targets;

#[cfg(test)]
mod tests;

pub use self::run::{OPERATION_TYPE, perform};
pub use self::tally::Tally;
pub use self::targets::matching;

use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result, codes};
use crate::identity::Caller;
use crate::job::{Action, ActionRequest, JobColumns, Status};
use crate::service::Service;
use crate::value::{Guid, Value, guid_text};
use crate::write::Transaction;

/// Jobs that one call acts on by itself; more are left to a system job.
pub const AT_ONCE_MAX: usize = 10_000;
/// Jobs that one call acts on at all.
pub const TARGETS_MAX: usize = 1_000_000;
/// Actions of one commit.
const BATCH_JOBS: usize = 500;

/// What is asked of jobs, by whom and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    pub action: Action,
    pub reason: Option<String>,
    pub caller: Caller,
}

impl Order {
    fn requests(&self, ids: &[Guid]) -> Vec<ActionRequest> {
        let request = |id: &Guid| ActionRequest {
            id: *id,
            action: self.action,
            by: self.caller.user,
            reason: self.reason.clone(),
        };
        ids.iter().map(request).collect()
    }
}

/// Acts on jobs, batch by batch.
pub async fn act(service: &Service, order: &Order, ids: &[Guid]) -> Result<Tally> {
    let mut tally = Tally::default();
    for batch in ids.chunks(BATCH_JOBS) {
        act_on(service, order, batch, &mut tally).await?;
    }
    Ok(tally)
}

/// Acts on some jobs in one commit.
async fn act_on(service: &Service, order: &Order, ids: &[Guid], tally: &mut Tally) -> Result<()> {
    if let Some(scheduler) = &service.scheduler {
        let outcomes = scheduler.act(order.requests(ids)).await?;
        for (id, outcome) in ids.iter().zip(&outcomes) {
            tally.count(*id, outcome);
        }
        return Ok(());
    }
    let now = service.clock.now();
    let mut transaction = Transaction::begin(&service.store, None, order.caller, now).await;
    for id in ids {
        tally.count(*id, &transaction.act(*id, order.action, order.reason.clone()));
    }
    transaction.commit().await
}

/// What an order would come to now.
pub async fn foresee(service: &Arc<Service>, order: &Order, ids: Vec<Guid>) -> Result<Tally> {
    let (service, action) = (service.clone(), order.action);
    let looked_at = tokio::task::spawn_blocking(move || {
        let columns = JobColumns::of(service.store.catalog());
        let mut tally = Tally::default();
        for id in ids {
            tally.count(id, &allowed(&service, &columns, &id, action));
        }
        tally
    });
    looked_at.await.map_err(|e| Error::internal("a look at the jobs ended early").caused_by(e))
}

fn allowed(service: &Service, columns: &JobColumns, id: &Guid, action: Action) -> Result<()> {
    let cell = |column| service.store.value(columns.table, id, column);
    let int = |value: Option<Value>| match value {
        Some(Value::Int32(code)) => Some(code),
        _ => None,
    };
    let Some(status) = cell(columns.statuscode) else {
        let message = format!("AsyncOperation With Id = {} Does Not Exist", guid_text(id));
        return Err(Error::new(ErrorKind::NotFound, codes::OBJECT_DOES_NOT_EXIST, message));
    };
    let status = int(Some(status)).and_then(Status::from_statuscode);
    let status = status.unwrap_or(Status::WaitingForResources);
    action.transition(status, int(cell(columns.operationtype)))?;
    Ok(())
}
