//! The system job that acts on many jobs. Which ones stands in its payload, how far it
//! has come in `workflowstate`, so that it goes on where it was after a pause or a crash.

use serde::{Deserialize, Serialize};

use super::{BATCH_JOBS, Order, Tally, act_on};
use crate::catalog::entity_code;
use crate::error::{Error, Result, codes};
use crate::events::payload;
use crate::identity::Caller;
use crate::job::{Action, Handler, JobColumns, Outcome, Report};
use crate::scheduler::core::Told;
use crate::scheduler::{Account, Handle, NewJob};
use crate::service::Service;
use crate::store::Change;
use crate::value::{Guid, Value, guid_text, parse_guid};

/// `operationtype` of the job: Execute Async Request.
pub const OPERATION_TYPE: i32 = 54;

/// The payload.
#[derive(Serialize, Deserialize)]
struct Work {
    action: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    ids: Vec<String>,
}

impl Order {
    /// Leaves the work to a system job; its id.
    pub async fn start(&self, service: &Service, scheduler: &Handle, ids: &[Guid]) -> Result<Guid> {
        let (catalog, now) = (service.store.catalog(), service.clock.now());
        let columns = JobColumns::of(catalog);
        let facts = &catalog.tables()[columns.table];
        let job = uuid::Uuid::new_v4().into_bytes();
        let until = match self.action {
            Action::Postpone(until) => Some(until),
            _ => None,
        };
        let action = self.action.name();
        let work = Work {
            action: action.to_owned(),
            until,
            reason: self.reason.clone(),
            ids: ids.iter().map(guid_text).collect(),
        };
        let data = serde_json::to_string(&work)
            .map_err(|e| Error::internal("the payload of an action is not JSON").caused_by(e))?;
        let user = Value::Guid(self.caller.user);
        let cells = [
            ("asyncoperationid", Value::Guid(job)),
            ("name", Value::Text(format!("{action} {} system jobs", ids.len()))),
            ("operationtype", Value::Int32(OPERATION_TYPE)),
            ("createdby", user.clone()),
            ("modifiedby", user.clone()),
            ("ownerid", user.clone()),
            ("owneridtype", Value::Int32(entity_code("systemuser"))),
            ("owninguser", user),
            ("owningbusinessunit", Value::Guid(self.caller.business_unit)),
            ("message", Value::Text(Tally::default().progress(ids.len()))),
            ("sysjob_handler", Value::Text(Handler::Platform {}.to_json())),
        ];
        let cells = cells.into_iter().filter_map(|(n, v)| Some((facts.column_index(n)?, v)));
        let mut cells: NewJob = cells.collect();
        let file = payload::place(catalog, job, data, &mut cells, now);
        let files = file.into_iter().map(|file| (0, file)).collect();
        scheduler.submit_with(vec![cells], files).await?;
        Ok(job)
    }
}

/// The work of an attempt. `state` is how far those before it have come; between two
/// batches `told` says whether somebody wants it to end.
pub async fn perform(
    service: &Service,
    caller: Caller,
    job: Guid,
    data: &str,
    state: Option<&str>,
    told: impl Fn() -> Option<Told>,
) -> Result<Report> {
    let unreadable =
        || Error::invalid(codes::WORKFLOW_UNREADABLE, "the payload names no action and jobs");
    let work: Work = serde_json::from_str(data).map_err(|e| unreadable().caused_by(e))?;
    let action = Action::named(&work.action, work.until).ok_or_else(unreadable)?;
    let ids: Option<Vec<Guid>> = work.ids.iter().map(|id| parse_guid(id)).collect();
    let ids = ids.ok_or_else(unreadable)?;
    let order = Order { action, reason: work.reason, caller };
    let mut tally: Tally = match state {
        Some(state) => serde_json::from_str(state).map_err(|e| unreadable().caused_by(e))?,
        None => Tally::default(),
    };
    let begun = usize::try_from(tally.done + tally.skipped()).unwrap_or(usize::MAX);
    let columns = JobColumns::of(service.store.catalog());
    let progress = Progress { columns, job, total: ids.len() };
    let mut outcome = Outcome::Succeeded;
    for batch in ids[begun.min(ids.len())..].chunks(BATCH_JOBS) {
        match told() {
            Some(Told::Pause) => outcome = Outcome::Suspended,
            Some(Told::Cancel) => outcome = Outcome::Canceled,
            None => {
                match &service.scheduler {
                    Some(scheduler) => {
                        tally = act_and_show(scheduler, &order, batch, tally, progress).await?;
                    }
                    None => {
                        act_on(service, &order, batch, &mut tally).await?;
                        service.store.commit(vec![progress.change(&tally)]).await?;
                    }
                }
                continue;
            }
        }
        break;
    }
    let message = Some(tally.progress(ids.len()));
    Ok(Report { friendlymessage: message.clone(), message, ..Report::of(outcome) })
}

/// Acts on a batch and shows how far the work has come, in one commit: after a crash no job
/// is acted on a second time and then counted as one that refuses.
async fn act_and_show(
    scheduler: &Handle,
    order: &Order,
    batch: &[Guid],
    mut tally: Tally,
    progress: Progress,
) -> Result<Tally> {
    let ids = batch.to_vec();
    let before = tally.clone();
    let tell = move |outcomes: &[Result<()>]| {
        let mut tally = before;
        for (id, outcome) in ids.iter().zip(outcomes) {
            tally.count(*id, outcome);
        }
        progress.change(&tally)
    };
    let account = Account { job: progress.job, tell: Box::new(tell) };
    let outcomes = scheduler.act_for(order.requests(batch), account).await?;
    for (id, outcome) in batch.iter().zip(&outcomes) {
        tally.count(*id, outcome);
    }
    Ok(tally)
}

/// Where it is shown how far the work has come.
#[derive(Clone, Copy)]
struct Progress {
    columns: JobColumns,
    job: Guid,
    /// Jobs to act on.
    total: usize,
}

impl Progress {
    fn change(&self, tally: &Tally) -> Change {
        let state = serde_json::to_string(tally).expect("a tally is plain JSON");
        let values = vec![
            (self.columns.message, Value::Text(tally.progress(self.total))),
            (self.columns.workflowstate, Value::Text(state)),
        ];
        Change::Update { table: self.columns.table, id: self.job, values }
    }
}
