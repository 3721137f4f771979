//! A job as the scheduler knows it: what its row says, and nothing else, so that
//! the jobs of a data folder are all that the core needs to go on after a restart.

use std::sync::Arc;

use super::event::JobChange;
pub use crate::job::Cause;
use crate::job::report::PLUGIN;
use crate::job::{Handler, Recurrence, Status};
use crate::value::Guid;

/// The order in which jobs are picked: `createdon`, `sequence`.
pub type Place = (i64, i64, Guid);

/// A job that has not ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    pub id: Guid,
    /// Microseconds since 1970-01-01 UTC, as all times here.
    pub createdon: i64,
    pub sequence: i64,
    pub operationtype: Option<i32>,
    pub status: Status,
    /// Since when it has this status.
    pub since: i64,
    pub postponeuntil: Option<i64>,
    /// Because it is suspended.
    pub cause: Cause,
    pub retrycount: i32,
    /// Start of the latest attempt.
    pub startedon: Option<i64>,
    /// Seconds that earlier attempts took.
    pub executed: f64,
    /// Number of the latest attempt; zero before the first.
    pub attempt: i32,
    /// When the lease of a remote attempt ends.
    pub lease: Option<i64>,
    /// The remote worker that has it.
    pub worker: Option<Arc<str>>,
    pub token: Option<Arc<str>>,
    /// The workflow or step it belongs to: `owningextensionid`.
    pub definition: Option<Guid>,
    pub depth: i32,
    /// The record it is about: `regardingobjectid`.
    pub regarding: Option<Guid>,
    pub recurring: Option<Box<Recurring>>,
    /// `retainjobhistory`: the row stays when the job has succeeded.
    pub retained: bool,
    /// A job without one is shown and never picked.
    pub handler: Option<Arc<Handler>>,
}

/// A job that runs again and again.
#[derive(Clone, Debug, PartialEq)]
pub struct Recurring {
    pub rule: Recurrence,
    /// `recurrencestarttime`, else when the job was created.
    pub start: i64,
}

impl Job {
    /// A new job without a handler, ready to run.
    pub fn new(id: Guid, createdon: i64, sequence: i64) -> Self {
        Self {
            id,
            createdon,
            sequence,
            operationtype: None,
            status: Status::WaitingForResources,
            since: createdon,
            postponeuntil: None,
            cause: Cause::None,
            retrycount: 0,
            startedon: None,
            executed: 0.0,
            attempt: 0,
            lease: None,
            worker: None,
            token: None,
            definition: None,
            depth: 1,
            regarding: None,
            recurring: None,
            retained: false,
            handler: None,
        }
    }

    pub fn place(&self) -> Place {
        (self.createdon, self.sequence, self.id)
    }

    /// The token that orders it after others; asynchronous plug-ins have none.
    pub fn chain(&self) -> Option<&Arc<str>> {
        self.token.as_ref().filter(|_| self.operationtype != Some(PLUGIN))
    }

    /// Whether an attempt of it may be under way.
    pub fn is_locked(&self) -> bool {
        self.status.statecode() == Status::InProgress.statecode()
    }

    /// Takes over a change of its row; the change of a deleted job is none.
    pub fn apply(&mut self, change: &JobChange) {
        let Some(status) = change.to else { return };
        let starts = status == Status::InProgress && self.status != status;
        self.status = status;
        self.since = change.at;
        self.attempt = change.attempt;
        if starts {
            self.startedon = Some(change.at);
        }
        if !self.is_locked() {
            (self.lease, self.worker) = (None, None);
        }
        let set = &change.set;
        self.cause = set.cause.unwrap_or(self.cause);
        self.postponeuntil = set.postponeuntil.unwrap_or(self.postponeuntil);
        self.retrycount = set.retrycount.unwrap_or(self.retrycount);
        self.executed = set.executed.unwrap_or(self.executed);
        if let Some((worker, until)) = &set.lease {
            (self.worker, self.lease) = (Some(worker.clone()), Some(*until));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_keep_their_numbers() {
        for cause in Cause::ALL {
            assert_eq!(Cause::from_code(cause.code()), Some(cause));
        }
        assert_eq!(Cause::from_code(9), None);
        assert_eq!(Cause::RepeatedFailure.code(), 4, "numbers stand in data folders");
    }
}
