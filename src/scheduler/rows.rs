//! Between the scheduler's jobs and the rows of `asyncoperation`: what a transition
//! sets there, and a job from its row. Beside them the rows of `jobhistory`
//! ([`super::history`]) and `jobdefinition` ([`super::definition_rows`]).

use std::collections::HashSet;
use std::sync::Arc;

use super::core::{Actor, Cause, Change as CoreChange, DefinitionState, Job, JobChange};
use super::create::recurring;
use super::definition_rows::DefinitionColumns;
use super::history::History;
use crate::catalog::Catalog;
use crate::identity::SYSTEM_USER;
use crate::job::report::WORKFLOW;
use crate::job::{Handler, JobColumns, Status};
use crate::store::{Change, Snapshot};
use crate::value::Value;

/// Cells of one row.
pub type Cells = Vec<(usize, Value)>;

/// Operation types of jobs that expand events for others.
const EXPANDERS: [i32; 2] = [79, 92];

/// Writes rows; numbers new ones.
pub struct Rows {
    pub(super) columns: JobColumns,
    /// The values of `operationtype`.
    pub(super) operationtypes: HashSet<i32>,
    history: History,
    definitions: DefinitionColumns,
    pub(super) next_sequence: i64,
    pub(super) host: String,
}

impl Rows {
    pub fn new(snapshot: &Arc<Snapshot>, catalog: &Catalog) -> Self {
        let columns = JobColumns::of(catalog);
        let last = snapshot.table(columns.table).max_int64(columns.sequence);
        let types = &catalog.tables()[columns.table].columns[columns.operationtype].options;
        Self {
            columns,
            operationtypes: types.iter().map(|choice| choice.value).collect(),
            history: History::new(snapshot, catalog),
            definitions: DefinitionColumns::of(catalog),
            next_sequence: last.map_or(1, |last| last + 1),
            host: std::env::var("HOSTNAME").unwrap_or_else(|_| "sysjob".into()),
        }
    }

    pub fn columns(&self) -> &JobColumns {
        &self.columns
    }

    /// What the core changes, as changes of rows.
    pub fn write(&mut self, change: &CoreChange, into: &mut Vec<Change>) {
        let c = &self.columns;
        match change {
            CoreChange::Job(change) => {
                into.push(self.history.row(change));
                match change.to {
                    _ if change.from.is_none() => {}
                    None => into.push(Change::Delete { table: c.table, id: change.id }),
                    Some(status) => {
                        let values = self.cells(change, status);
                        into.push(Change::Update { table: c.table, id: change.id, values });
                    }
                }
            }
            CoreChange::Lease { id, until } => {
                let values = vec![(c.leaseuntil, Value::Time(*until))];
                into.push(Change::Update { table: c.table, id: *id, values });
            }
            CoreChange::Definition(state) => into.push(self.definitions.row(state)),
        }
    }

    /// The cells of a job that a transition sets.
    fn cells(&self, change: &JobChange, status: Status) -> Cells {
        let c = &self.columns;
        let set = &change.set;
        let optional = |time: Option<i64>| time.map_or(Value::Null, Value::Time);
        let mut cells = Vec::with_capacity(16);
        cells.push((c.statecode, Value::Int32(status.statecode())));
        cells.push((c.statuscode, Value::Int32(status.statuscode())));
        cells.push((c.modifiedon, Value::Time(change.at)));
        // Workers are no users: what they do is done by the platform.
        let by = match &change.actor {
            Actor::User(user) => *user,
            Actor::Scheduler | Actor::Worker(_) => SYSTEM_USER,
        };
        cells.push((c.modifiedby, Value::Guid(by)));
        let locked = |status: Status| status.statecode() == Status::InProgress.statecode();
        if locked(status) && !change.from.is_some_and(locked) {
            let (host, lease) = match &set.lease {
                Some((worker, until)) => (worker.to_string(), Value::Time(*until)),
                None => (self.host.clone(), Value::Null),
            };
            cells.push((c.startedon, Value::Time(change.at)));
            cells.push((c.hostid, Value::Text(host)));
            cells.push((c.leaseuntil, lease));
            cells.push((c.attempt, Value::Int32(change.attempt)));
            let expands = change.operationtype.is_some_and(|code| EXPANDERS.contains(&code));
            if expands && change.attempt == 1 {
                cells.push((c.expanderstarttime, Value::Time(change.at)));
            }
        }
        if !locked(status) && change.from.is_some_and(locked) {
            cells.push((c.hostid, Value::Null));
            cells.push((c.leaseuntil, Value::Null));
        }
        if status.statecode() == Status::Succeeded.statecode() {
            cells.push((c.completedon, Value::Time(change.at)));
        }
        if let Some(cause) = set.cause {
            cells.push((c.waitcause, Value::Int32(cause.code())));
            // A workflow that waits for a time waits for an event too: the time's coming.
            let workflow = change.operationtype == Some(WORKFLOW);
            let waits = cause == Cause::Event || (cause == Cause::Timer && workflow);
            cells.push((c.iswaitingforevent, Value::Boolean(waits)));
        }
        cells.extend(set.postponeuntil.map(|until| (c.postponeuntil, optional(until))));
        cells.extend(set.retrycount.map(|count| (c.retrycount, Value::Int32(count))));
        cells.extend(set.executed.map(|seconds| (c.executiontimespan, Value::Float64(seconds))));
        if let Some(report) = &set.report {
            let text = |text: &Option<String>| text.clone().map_or(Value::Null, Value::Text);
            cells.push((c.errorcode, report.errorcode.map_or(Value::Null, Value::Int32)));
            cells.push((c.message, text(&report.message)));
            cells.push((c.friendlymessage, text(&report.friendlymessage)));
            for (column, value) in [
                (c.workflowstate, &report.workflowstate),
                (c.workflowstagename, &report.workflowstagename),
            ] {
                cells.extend(value.clone().map(|value| (column, Value::Text(value))));
            }
        }
        cells
    }

    /// Deletions of history from before a time.
    pub fn expired(&self, snapshot: &Snapshot, before: i64, max: usize) -> Vec<Change> {
        self.history.expired(snapshot, before, max)
    }

    /// What is known of definitions from earlier runs.
    pub fn definitions(&self, snapshot: &Snapshot) -> Vec<DefinitionState> {
        self.definitions.read(snapshot)
    }
}

/// A job from the cells of its row.
pub fn job(cell: impl Fn(usize) -> Value, c: &JobColumns) -> Job {
    let time = |column| match cell(column) {
        Value::Time(at) => Some(at),
        _ => None,
    };
    let int = |column| match cell(column) {
        Value::Int32(number) => Some(number),
        _ => None,
    };
    let text = |column| match cell(column) {
        Value::Text(text) if !text.is_empty() => Some(text),
        _ => None,
    };
    let guid = |column| match cell(column) {
        Value::Guid(id) => Some(id),
        _ => None,
    };
    let createdon = time(c.createdon).unwrap_or(0);
    let sequence = match cell(c.sequence) {
        Value::Int64(sequence) => sequence,
        _ => 0,
    };
    let status = int(c.statuscode).and_then(Status::from_statuscode);
    let lease = time(c.leaseuntil);
    let status = status.unwrap_or(Status::WaitingForResources);
    let event = cell(c.iswaitingforevent) == Value::Boolean(true);
    let (until, error) = (time(c.postponeuntil).is_some(), int(c.errorcode).is_some());
    Job {
        operationtype: int(c.operationtype),
        status,
        since: time(c.completedon).or(time(c.modifiedon)).unwrap_or(createdon),
        postponeuntil: time(c.postponeuntil),
        cause: match status {
            Status::Waiting => Cause::of_row(int(c.waitcause), until, event, error),
            _ => Cause::None,
        },
        retrycount: int(c.retrycount).unwrap_or(0),
        startedon: time(c.startedon),
        executed: match cell(c.executiontimespan) {
            Value::Float64(seconds) => seconds,
            _ => 0.0,
        },
        attempt: int(c.attempt).unwrap_or(0),
        lease,
        worker: lease.and_then(|_| text(c.hostid)).map(Arc::from),
        token: text(c.dependencytoken).map(Arc::from),
        definition: guid(c.owningextensionid),
        depth: int(c.depth).unwrap_or(1),
        regarding: guid(c.regardingobjectid),
        // A pattern that cannot be read was imported; such a job does not recur.
        recurring: recurring(&cell, c, createdon).ok().flatten(),
        retained: cell(c.retainjobhistory) == Value::Boolean(true),
        handler: text(c.handler).and_then(|json| Handler::from_json(&json)).map(Arc::new),
        ..Job::new(guid(c.asyncoperationid).unwrap_or_default(), createdon, sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::handler::{SimulatedOutcome, Simulation};
    use crate::job::{Action, Outcome, Report};
    use crate::scheduler::core::{Core, Event};
    use crate::scheduler::policy::Policies;
    use crate::value::Guid;
    use std::collections::HashMap;

    const SECOND: i64 = 1_000_000;

    /// A core and the row that its changes make.
    struct Kept {
        rows: Rows,
        core: Core,
        id: Guid,
        row: HashMap<usize, Value>,
        now: i64,
    }

    impl Kept {
        fn new(handler: Handler, more: impl Fn(&JobColumns) -> Cells) -> Self {
            let catalog = Arc::new(Catalog::built_in());
            let mut rows = Rows::new(&Arc::new(Snapshot::empty(catalog.clone())), &catalog);
            let c = *rows.columns();
            let mut cells = more(&c);
            cells.push((c.handler, Value::Text(handler.to_json())));
            let now = 1_000 * SECOND;
            let (cells, job) = rows.create(cells, now).expect("a job");
            let id = job.id;
            let (core, row) = (Core::new(Policies::default()), cells.into_iter().collect());
            let mut kept = Self { rows, core, id, row, now };
            kept.step(Event::Created { job, actor: Actor::Scheduler });
            kept
        }

        /// Whatever a step changes, the row says what the core knows.
        fn step(&mut self, event: Event) {
            self.now += SECOND;
            let step = self.core.step(event, self.now);
            let mut changes = Vec::new();
            for change in &step.changes {
                self.rows.write(change, &mut changes);
            }
            let c = *self.rows.columns();
            for change in changes {
                if let Change::Update { table, values, .. } = change
                    && table == c.table
                {
                    self.row.extend(values);
                }
            }
            let read = job(|column| self.row.get(&column).cloned().unwrap_or(Value::Null), &c);
            match self.core.job(&self.id) {
                Some(known) => assert_eq!(read, *known),
                None => assert_eq!(read.status.statecode(), Status::Succeeded.statecode()),
            }
        }

        fn end(&mut self, attempt: i32, report: Report) {
            self.step(Event::Ended { id: self.id, attempt, report });
        }

        fn act(&mut self, action: Action) {
            let job = self.core.job(&self.id).expect("a known job").clone();
            self.step(Event::Action { job, action, by: [7; 16], reason: None });
        }

        fn cell(&self, column: usize) -> Value {
            self.row.get(&column).cloned().unwrap_or(Value::Null)
        }
    }

    #[test]
    fn a_row_says_all_that_the_core_knows() {
        let simulated = Handler::simulate(Simulation::new(5.0, SimulatedOutcome::Succeed));
        let mut kept = Kept::new(simulated, |c| {
            vec![
                (c.operationtype, Value::Int32(10)),
                (c.dependencytoken, Value::Text("a".into())),
                (c.owningextensionid, Value::Guid([9; 16])),
                (c.regardingobjectid, Value::Guid([8; 16])),
                (c.recurrencepattern, Value::Text("FREQ=DAILY;".into())),
            ]
        });
        let c = *kept.rows.columns();
        assert_eq!(kept.cell(c.hostid), Value::Text(kept.rows.host.clone()));
        kept.end(1, Report::failed(Some(0x8004_A001_u32 as i32), Some("busy".into())));
        assert_eq!(kept.cell(c.errorcode), Value::Int32(0x8004_A001_u32 as i32));
        assert_eq!(kept.cell(c.hostid), Value::Null);
        kept.act(Action::Resume);
        kept.end(2, Report::failed(None, None));
        kept.act(Action::Resume);
        kept.act(Action::Postpone(kept.now + 10 * SECOND));
        assert_eq!(kept.cell(c.modifiedby), Value::Guid([7; 16]));
        kept.end(3, Report::of(Outcome::Canceled));
        kept.now += 10 * SECOND;
        kept.step(Event::Tick);
        kept.end(4, Report::of(Outcome::Waits { until: None }));
        assert_eq!(kept.cell(c.iswaitingforevent), Value::Boolean(true));
        kept.step(Event::Happened { record: [8; 16] });
        kept.end(5, Report::of(Outcome::Succeeded));
        assert_eq!(kept.cell(c.errorcode), Value::Null, "nothing is wrong any more");
        assert_eq!(kept.cell(c.statuscode), Value::Int32(10), "it waits for its next occurrence");
        kept.act(Action::Cancel);
        assert_eq!(kept.cell(c.completedon), Value::Time(kept.now));
    }

    #[test]
    fn a_lease_stands_in_the_row() {
        let mut kept = Kept::new(Handler::Worker {}, |_| Vec::new());
        let (lease, worker) = (60 * SECOND, Arc::from("w 1"));
        kept.step(Event::Claim { worker, operationtypes: None, max: 1, lease });
        let c = *kept.rows.columns();
        assert_eq!(kept.cell(c.hostid), Value::Text("w 1".into()));
        kept.step(Event::Heartbeat { id: kept.id, attempt: 1, lease: 2 * lease });
        kept.act(Action::Pause);
        kept.now += 3 * lease;
        kept.step(Event::Tick);
        assert_eq!(kept.cell(c.leaseuntil), Value::Null);
        kept.act(Action::Cancel);
    }
}
