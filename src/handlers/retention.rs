//! The clean-up: a recurring job of the platform that deletes jobs which ended long
//! enough ago.

use std::collections::BTreeMap;
use std::time::Duration;

use uuid::Uuid;

use super::job::JobRow;
use super::{Asked, Shared, as_asked, failed};
use crate::catalog::{Catalog, entity_code};
use crate::identity::{BUSINESS_UNIT, SYSTEM_USER};
use crate::job::{Action, ActionRequest, Handler, JobColumns, Outcome, Report, Status};
use crate::scheduler::NewJob;
use crate::store::{Snapshot, Store};
use crate::value::{Guid, Value};

/// `operationtype` of the job.
pub const DELETION_SERVICE: i32 = 14;

/// The job is the same in every process, so that there is one.
const JOB: Uuid = uuid::uuid!("5e5ab5e0-0000-4000-8000-000000000014");

/// Jobs deleted in one commit.
const BATCH: usize = 500;

const DAY_MICROS: f64 = 86_400_000_000.0;

/// How long completed jobs stay.
#[derive(Clone, Debug, PartialEq)]
pub struct Retention {
    /// How often it is looked for them.
    pub every: Duration,
    pub completed_days: f64,
    /// By `statuscode`, instead.
    pub days_by_status: BTreeMap<i32, f64>,
    /// By `operationtype`, instead of both.
    pub days_by_type: BTreeMap<i32, f64>,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(86_400),
            completed_days: 30.0,
            days_by_status: BTreeMap::new(),
            days_by_type: BTreeMap::new(),
        }
    }
}

impl Retention {
    fn every_micros(&self) -> i64 {
        i64::try_from(self.every.as_micros()).unwrap_or(i64::MAX / 4).max(1000)
    }

    fn days(&self, operationtype: Option<i32>, status: Status) -> f64 {
        let by_type = operationtype.and_then(|code| self.days_by_type.get(&code));
        let by_status = || self.days_by_status.get(&status.statuscode());
        by_type.or_else(by_status).copied().unwrap_or(self.completed_days)
    }

    /// Whether a job that ended at a time may go.
    fn is_over(
        &self,
        operationtype: Option<i32>,
        status: Status,
        completed: i64,
        now: i64,
    ) -> bool {
        let kept = self.days(operationtype, status) * DAY_MICROS;
        (now - completed) as f64 > kept
    }
}

/// The row of the job.
pub fn job(catalog: &Catalog) -> NewJob {
    let columns = JobColumns::of(catalog);
    let facts = &catalog.tables()[columns.table];
    let user = Value::Guid(SYSTEM_USER);
    let cells = [
        ("asyncoperationid", Value::Guid(JOB.into_bytes())),
        ("name", Value::Text("Deletion Service".into())),
        ("operationtype", Value::Int32(DELETION_SERVICE)),
        ("primaryentitytype", Value::Int32(entity_code(crate::job::TABLE))),
        ("createdby", user.clone()),
        ("modifiedby", user.clone()),
        ("ownerid", user.clone()),
        ("owneridtype", Value::Int32(entity_code("systemuser"))),
        ("owninguser", user),
        ("owningbusinessunit", Value::Guid(BUSINESS_UNIT)),
        ("sysjob_handler", Value::Text(Handler::Platform {}.to_json())),
    ];
    cells.into_iter().filter_map(|(name, v)| Some((facts.column_index(name)?, v))).collect()
}

/// The deletion of an earlier run's job that would not run as is set now.
pub fn outdated(store: &Store, retention: &Retention, now: i64) -> Option<ActionRequest> {
    let columns = JobColumns::of(store.catalog());
    let id = JOB.into_bytes();
    let row = store.row(columns.table, &id)?;
    let ended = row[columns.statecode] == Value::Int32(Status::Succeeded.statecode());
    let late = match row[columns.postponeuntil] {
        Value::Time(until) => until > now.saturating_add(retention.every_micros()),
        _ => false,
    };
    let reason = Some("its time between two runs was changed".to_owned());
    (ended || late).then_some(ActionRequest { id, action: Action::Delete, by: SYSTEM_USER, reason })
}

/// Deletes what may go, and waits for the next time.
pub async fn run(shared: &Shared, job: &JobRow, asked: &mut Asked) -> Report {
    let (Some(retention), Some(scheduler)) = (shared.retention.clone(), &shared.service.scheduler)
    else {
        let message = "completed jobs stay, because no retention is configured".to_owned();
        return Report { message: Some(message), ..Report::of(Outcome::Succeeded) };
    };
    let now = shared.service.clock.now();
    let (snapshot, rule, own) = (shared.service.store.snapshot(), retention.clone(), job.id);
    let found = tokio::task::spawn_blocking(move || over(&snapshot, &rule, own, now)).await;
    let ids = match found {
        Ok(ids) => ids,
        Err(e) => return failed(&crate::error::Error::internal("no jobs were found").caused_by(e)),
    };
    let mut deleted = 0;
    for batch in ids.chunks(BATCH) {
        if let Some(told) = *asked.borrow() {
            return as_asked(told);
        }
        let reason = Some("its retention is over".to_owned());
        let requests = batch.iter().map(|id| ActionRequest {
            id: *id,
            action: Action::Delete,
            by: SYSTEM_USER,
            reason: reason.clone(),
        });
        match scheduler.act(requests.collect()).await {
            Ok(outcomes) => deleted += outcomes.iter().filter(|outcome| outcome.is_ok()).count(),
            Err(error) => return failed(&error),
        }
    }
    let until = Some(now.saturating_add(retention.every_micros()));
    let message = Some(format!("{deleted} jobs deleted"));
    Report { message, ..Report::of(Outcome::Waits { until }) }
}

/// The jobs that may go.
fn over(snapshot: &Snapshot, retention: &Retention, own: Guid, now: i64) -> Vec<Guid> {
    let columns = JobColumns::of(snapshot.catalog());
    let mut found = Vec::new();
    snapshot.table(columns.table).for_each(|cell| {
        let status = match cell(columns.statuscode) {
            Value::Int32(code) => Status::from_statuscode(code),
            _ => None,
        };
        let ended = status.filter(|s| s.statecode() == Status::Succeeded.statecode());
        let (Some(status), Value::Time(completed)) = (ended, cell(columns.completedon)) else {
            return;
        };
        let operationtype = match cell(columns.operationtype) {
            Value::Int32(code) => Some(code),
            _ => None,
        };
        if let (Value::Guid(id), true) = (
            cell(columns.asyncoperationid),
            retention.is_over(operationtype, status, completed, now),
        ) && id != own
        {
            found.push(id);
        }
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_counts_before_the_status_and_that_before_the_rest() {
        let retention = Retention {
            completed_days: 30.0,
            days_by_status: BTreeMap::from([(31, 20.0)]),
            days_by_type: BTreeMap::from([(10, 7.5)]),
            ..Retention::default()
        };
        for (operationtype, status, days) in [
            (Some(1), Status::Succeeded, 30.0),
            (None, Status::Canceled, 30.0),
            (Some(1), Status::Failed, 20.0),
            (Some(10), Status::Failed, 7.5),
        ] {
            let micros = (days * DAY_MICROS) as i64;
            let is_over = |age| retention.is_over(operationtype, status, 0, age);
            assert!(!is_over(micros), "{operationtype:?} {status:?}");
            assert!(is_over(micros + 1), "{operationtype:?} {status:?}");
        }
    }
}
