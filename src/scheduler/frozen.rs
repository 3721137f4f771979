//! Jobs where no scheduler runs: new ones, and what is asked of those that are there.
//! The core decides, as it does live, so rows and history come out the same; nothing is
//! picked.

use super::core::{Actor, Because, Cells, Change as CoreChange, Core, Event, Step, job_change};
use super::handle::NewJob;
use super::operations;
use super::policy::Policies;
use super::related::Related;
use super::rows::{self, Rows};
use crate::error::Result;
use crate::job::{ActionRequest, Status};
use crate::store::{Change, Store};
use crate::value::Value;

/// Decides for jobs that nobody runs. Whoever has one has their turn to write: the rows
/// of the history are numbered in advance.
pub struct Frozen {
    rows: Rows,
    related: Related,
}

impl Frozen {
    pub fn new(store: &Store) -> Self {
        let rows = Rows::new(&store.snapshot(), store.catalog());
        Self { rows, related: Related::new(store.catalog()) }
    }

    /// The rows of new jobs.
    pub fn create(&mut self, jobs: Vec<NewJob>, now: i64) -> Result<Vec<Change>> {
        let mut changes = Vec::with_capacity(2 * jobs.len());
        for job in jobs {
            let (values, job) = self.rows.create(job, now)?;
            let actor = self.rows.creator(&values);
            changes.push(Change::Insert { table: self.rows.columns().table, values });
            self.write(&decided(Event::Created { job, actor }, now), &mut changes);
        }
        Ok(changes)
    }

    /// What comes of an action on the job with some cells.
    pub fn act(
        &mut self,
        store: &Store,
        cells: &[Value],
        request: ActionRequest,
        now: i64,
    ) -> Result<Vec<Change>> {
        let ActionRequest { id, action, by, reason } = request;
        let job = rows::job(|column| cells[column].clone(), self.rows.columns());
        let step = decided(Event::Action { job, action, by, reason }, now);
        if let Some(refusal) = step.refused {
            return Err(refusal.into());
        }
        let mut changes = Vec::new();
        if step.jobs().any(|change| change.to.is_none()) {
            changes.extend(self.related.deletions(store, &[id]));
        }
        changes.extend(step.jobs().filter_map(|change| operations::row(store, change)));
        self.write(&step, &mut changes);
        Ok(changes)
    }

    /// What comes of work that begins or ends on the job with some cells.
    pub fn change(
        &mut self,
        cells: &[Value],
        to: Status,
        set: Cells,
        reason: &'static str,
        now: i64,
    ) -> Vec<Change> {
        let job = rows::job(|column| cells[column].clone(), self.rows.columns());
        let change = job_change(&job, Some(to), set, Because::scheduler(reason), now);
        let mut changes = Vec::new();
        self.rows.write(&CoreChange::Job(change), &mut changes);
        changes
    }

    /// What becomes of jobs; what the core knows of definitions is for those who run them.
    fn write(&mut self, step: &Step, into: &mut Vec<Change>) {
        for change in step.changes.iter().filter(|change| matches!(change, CoreChange::Job(_))) {
            self.rows.write(change, into);
        }
    }
}

/// A step of a core that knows nothing else and picks nothing.
fn decided(event: Event, now: i64) -> Step {
    let mut core = Core::new(Policies::default());
    core.step(Event::Drain, now);
    core.step(event, now)
}

impl Rows {
    /// Who has made a job, by the cells of its row.
    pub fn creator(&self, cells: &[(usize, Value)]) -> Actor {
        match cells.iter().find(|(column, _)| *column == self.columns().createdby) {
            Some((_, Value::Guid(user))) => Actor::User(*user),
            _ => Actor::Scheduler,
        }
    }
}
