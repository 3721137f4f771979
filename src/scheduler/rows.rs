//! Between the scheduler's jobs and the rows of `asyncoperation`.

use std::sync::Arc;

use super::core::{Change as JobChange, Job};
use crate::catalog::Catalog;
use crate::job::{Handler, JobColumns, Outcome, Status, Transition};
use crate::store::{Change, Snapshot};
use crate::value::{Guid, Value};

/// Writes rows; numbers new ones.
pub struct Rows {
    columns: JobColumns,
    next_sequence: i64,
    host: String,
}

impl Rows {
    pub fn new(snapshot: &Arc<Snapshot>, catalog: &Catalog) -> Self {
        let columns = JobColumns::of(catalog);
        let last = snapshot.table(columns.table).max_int64(columns.sequence);
        let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "sysjob".into());
        Self { columns, next_sequence: last.map_or(1, |last| last + 1), host }
    }

    pub fn columns(&self) -> &JobColumns {
        &self.columns
    }

    /// Completes the row of a new job.
    pub fn create(
        &mut self,
        mut cells: Vec<(usize, Value)>,
        now: i64,
    ) -> (Vec<(usize, Value)>, Job) {
        let c = self.columns;
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let defaults = [
            (c.asyncoperationid, Value::Guid(uuid::Uuid::new_v4().into_bytes())),
            (c.createdon, Value::Time(now)),
            (c.modifiedon, Value::Time(now)),
            (c.statecode, Value::Int32(Status::WaitingForResources.statecode())),
            (c.statuscode, Value::Int32(Status::WaitingForResources.statuscode())),
            (c.retrycount, Value::Int32(0)),
        ];
        for (column, value) in defaults {
            if !cells.iter().any(|(c, v)| *c == column && *v != Value::Null) {
                cells.retain(|(c, _)| *c != column);
                cells.push((column, value));
            }
        }
        cells.retain(|(column, _)| *column != c.sequence);
        cells.push((c.sequence, Value::Int64(sequence)));
        let job = job(
            |column| {
                cells.iter().find(|(c, _)| *c == column).map_or(Value::Null, |(_, v)| v.clone())
            },
            &c,
        );
        (cells, job)
    }

    /// The change of a job as a change of its row.
    pub fn change(&self, change: &JobChange) -> Change {
        let c = &self.columns;
        let status = |status: Status| {
            [
                (c.statecode, Value::Int32(status.statecode())),
                (c.statuscode, Value::Int32(status.statuscode())),
            ]
        };
        let (id, at, mut values): (Guid, i64, Vec<(usize, Value)>) = match change {
            JobChange::Started { id, at } => {
                let mut values = status(Status::InProgress).to_vec();
                values.push((c.startedon, Value::Time(*at)));
                values.push((c.hostid, Value::Text(self.host.clone())));
                (*id, *at, values)
            }
            JobChange::Ready { id, at, retrycount } => {
                let mut values = status(Status::WaitingForResources).to_vec();
                values.push((c.postponeuntil, Value::Null));
                values.push((c.hostid, Value::Null));
                values.push((c.retrycount, Value::Int32(*retrycount)));
                (*id, *at, values)
            }
            JobChange::Ended { id, at, outcome, executed } => {
                let ended = match outcome {
                    Outcome::Succeeded => Status::Succeeded,
                    Outcome::Failed { .. } => Status::Failed,
                    Outcome::Canceled => Status::Canceled,
                };
                let mut values = status(ended).to_vec();
                values.push((c.completedon, Value::Time(*at)));
                values.push((c.executiontimespan, Value::Float64(*executed)));
                values.push((c.hostid, Value::Null));
                if let Outcome::Failed { errorcode, message } = outcome {
                    let text = message.clone().map_or(Value::Null, Value::Text);
                    values.push((c.errorcode, errorcode.map_or(Value::Null, Value::Int32)));
                    values.push((c.friendlymessage, text.clone()));
                    values.push((c.message, text));
                }
                (*id, *at, values)
            }
            JobChange::Acted { id, transition: Transition::Deleted, .. } => {
                return Change::Delete { table: c.table, id: *id };
            }
            JobChange::Acted { id, at, by, transition, executed } => {
                (*id, *at, transition.cells(c, *at, *by, *executed))
            }
        };
        values.push((c.modifiedon, Value::Time(at)));
        Change::Update { table: c.table, id, values }
    }
}

/// A job from the cells of its row.
pub fn job(cell: impl Fn(usize) -> Value, c: &JobColumns) -> Job {
    let time = |column| match cell(column) {
        Value::Time(at) => Some(at),
        _ => None,
    };
    Job {
        id: match cell(c.asyncoperationid) {
            Value::Guid(id) => id,
            _ => Guid::default(),
        },
        createdon: time(c.createdon).unwrap_or(0),
        sequence: match cell(c.sequence) {
            Value::Int64(sequence) => sequence,
            _ => 0,
        },
        operationtype: match cell(c.operationtype) {
            Value::Int32(code) => Some(code),
            _ => None,
        },
        status: match cell(c.statuscode) {
            Value::Int32(code) => {
                Status::from_statuscode(code).unwrap_or(Status::WaitingForResources)
            }
            _ => Status::WaitingForResources,
        },
        postponeuntil: time(c.postponeuntil),
        retrycount: match cell(c.retrycount) {
            Value::Int32(count) => count,
            _ => 0,
        },
        executed: match cell(c.executiontimespan) {
            Value::Float64(seconds) => seconds,
            _ => 0.0,
        },
        handler: match cell(c.data) {
            Value::Text(data) => Handler::from_data(&data),
            _ => None,
        },
    }
}
