//! The scheduler as a plain function: [`Core::step`] takes what happens and the
//! time, changes its state, and says which changes to make durable and what to do
//! after that. No clock, no disk, no threads, no chance: the live service, recovery
//! and simulation run this code, and the same events give the same steps.
//!
//! The state is the jobs that have not ended, each as its row has it, and what is
//! known of their definitions; all else is an index over these ([`queue`]). So a
//! core that has been told the rows of a data folder goes on where another stopped.
//!
//! What happens to a job:
//!
//! - **Ready** (0/0). It is picked when it is the first of its pool by `createdon`
//!   and `sequence`, its pool has a place, and it is the first of those with its
//!   dependency token. Jobs for remote workers are picked by claims.
//! - **In Progress** (2/20): an *attempt* is under way. Attempts of a job are
//!   numbered, only the latest one counts, and there is never a second one at the
//!   same time. A remote attempt has a lease.
//! - **Pausing, Canceling** (2/21, 2/22): the handler was told; its report decides
//!   ([`finish`]).
//! - **Waiting** (1/10), until a time or somebody's word; [`job::Cause`] says why.
//! - **Completed**: the core forgets it. Nothing that comes later changes it.

mod acting;
mod attempts;
mod awaiting;
mod definition;
pub mod event;
mod finish;
pub mod job;
mod pools;
mod queue;
mod ranked;
mod reasons;
mod recovery;
mod waking;
mod wants;
pub mod why;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

pub use self::definition::Definition;
pub use self::event::{
    Actor, Beat, Cells, Change, Claimed, DefinitionState, Effect, Event, Guard, JobChange, Step,
    Told,
};
pub use self::job::{Cause, Job, Recurring};
pub use self::pools::{PoolState, Pools};
pub use self::why::{Link, PoolNow, Why};

use self::definition::{Counted, Definitions};
use self::queue::{Index, Queue, Timer};
use self::wants::Want;
use super::policy::Policies;
use crate::error::codes;
use crate::job::{Outcome, Recurrence, Report, Status};
use crate::value::Guid;

/// Jobs that one step wakes or looks at for their turn, at most; more are left to
/// the next one, so that no step takes long.
const STEP_MAX: usize = 4096;

/// All jobs that have not ended.
#[derive(Debug)]
pub struct Core {
    policies: Policies,
    jobs: HashMap<Guid, Job>,
    queue: Queue,
    definitions: Definitions,
    /// Nothing is picked any more.
    draining: bool,
}

/// Because a job changes its status, and who has changed it.
pub(super) struct Because {
    actor: Actor,
    reason: Cow<'static, str>,
}

impl Because {
    pub(super) fn scheduler(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { actor: Actor::Scheduler, reason: reason.into() }
    }
}

impl Core {
    pub fn new(policies: Policies) -> Self {
        Self {
            queue: Queue::new(&policies),
            policies,
            jobs: HashMap::new(),
            definitions: Definitions::default(),
            draining: false,
        }
    }

    /// The one way in.
    pub fn step(&mut self, event: Event, now: i64) -> Step {
        let mut step = Step::default();
        match event {
            Event::Created { job, actor } => self.create(job, actor, now, &mut step),
            Event::Recovered(job) => self.recover(job, now, &mut step),
            Event::Remembered(state) => self.remember(state, now),
            Event::Defined { id, definition } => {
                let state = self.definitions.define(id, definition, now);
                step.changes.extend(state.map(Change::Definition));
            }
            Event::Claim { worker, operationtypes, max, lease } => {
                self.wake(now, &mut step);
                self.claim(&worker, operationtypes.as_deref(), max, now + lease, now, &mut step);
            }
            Event::Wants { worker, operationtypes, max, until } => {
                self.queue.wants.insert(worker, Want { operationtypes, max, until });
            }
            Event::Heartbeat { id, attempt, lease } => {
                self.heartbeat(id, attempt, now + lease, &mut step);
            }
            Event::Ended { id, attempt, report } => self.end(id, attempt, report, now, &mut step),
            Event::Action { job, action, by, reason } => {
                self.act(job, action, by, reason, now, &mut step);
            }
            Event::Listens { id, attempt } => self.listen(id, attempt),
            Event::Happened { record } => self.happened(&record, now, &mut step),
            Event::Tick => {}
            Event::Drain => self.draining = true,
            Event::Stop => {
                self.draining = true;
                self.stop(now, &mut step);
                return step;
            }
        }
        self.wake(now, &mut step);
        self.pick(now, &mut step);
        step
    }

    /// When time alone will change something.
    pub fn next_wake(&self) -> Option<i64> {
        let unfinished = !self.definitions.releasing.is_empty()
            || (!self.queue.stirred.is_empty() && !self.draining);
        if unfinished {
            return Some(i64::MIN);
        }
        let timer = self.queue.timers.first().map(|(at, ..)| *at);
        timer.into_iter().chain(self.queue.wants.expiry()).min()
    }

    /// A job that has not ended, if it can still run or holds others back.
    pub fn job(&self, id: &Guid) -> Option<&Job> {
        self.jobs.get(id)
    }

    /// All such jobs, in no order.
    pub fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.jobs.values()
    }

    /// Attempts under way.
    pub fn running(&self) -> usize {
        self.queue.pools.iter().map(|pool| pool.running).sum()
    }

    /// Attempts of handlers inside the service.
    pub fn running_inside(&self) -> usize {
        self.jobs.values().filter(|job| job.is_locked() && is_inside(job)).count()
    }

    /// Whether a claim of some operation types, or of any, would get a job.
    pub fn claimable(&self, operationtypes: Option<&[i32]>) -> bool {
        !self.draining && self.first_claimable(operationtypes).is_some()
    }

    /// Whether places are kept for a worker.
    pub fn waits_for(&self, worker: &Arc<str>) -> bool {
        self.queue.wants.contains(worker)
    }

    /// What is known of a definition beside its row.
    pub fn definition(&self, id: &Guid) -> Option<DefinitionState> {
        self.definitions.state(id)
    }

    fn create(&mut self, job: Job, actor: Actor, now: i64, step: &mut Step) {
        let missed = match &job.recurring {
            Some(recurring) if job.status == Status::WaitingForResources => {
                recurring.rule.between(recurring.start, recurring.start, now)
            }
            _ => 0,
        };
        let reason = match missed {
            0 => "created".into(),
            _ => format!("created; {}", recurs(missed)).into(),
        };
        step.changes.push(Change::Job(JobChange {
            id: job.id,
            operationtype: job.operationtype,
            at: now.max(job.createdon),
            from: None,
            to: Some(job.status),
            attempt: job.attempt,
            actor,
            reason,
            lasted: None,
            set: Box::default(),
        }));
        let definition = job.definition.filter(|_| job.handler.is_some());
        self.admit(job);
        if let Some(definition) = definition {
            self.count(&definition, Some(Counted::Came), now, step);
        }
    }

    /// Takes a job in, unless there is nothing it could wait for here.
    fn admit(&mut self, job: Job) {
        let holds = job.handler.is_some() || job.chain().is_some();
        if !holds || job.status.statecode() == Status::Succeeded.statecode() {
            return;
        }
        let index = Index::of(&job, &mut self.queue, &self.policies);
        self.put_in(&index);
        self.jobs.insert(job.id, job);
        if let Some(token) = &index.token {
            self.settle(token);
        }
    }

    /// Forgets a job that has ended.
    fn forget(&mut self, id: &Guid) -> Option<Job> {
        let index = self.index_of(id)?;
        self.take_out(&index);
        let job = self.jobs.remove(id);
        if let Some(token) = &index.token {
            self.settle(token);
        }
        if let Some(definition) = job.as_ref().and_then(|job| job.definition) {
            self.next_canary(&definition);
        }
        job
    }

    /// The one place where a job changes its status: its index, its row, its history.
    fn change(
        &mut self,
        id: &Guid,
        to: Option<Status>,
        mut set: Cells,
        why: Because,
        now: i64,
        step: &mut Step,
    ) {
        let Some(before) = self.index_of(id) else { return };
        let Some(job) = self.jobs.get_mut(id) else { return };
        if job.cause == Cause::RepeatedFailure && to == Some(Status::WaitingForResources) {
            // What was said of the postponement no longer holds.
            set.report = Some(Report::of(Outcome::Waits { until: None }));
        }
        let change = job_change(job, to, set, why, now);
        let ends = to.is_none_or(|to| to.statecode() == Status::Succeeded.statecode());
        if ends {
            step.changes.push(Change::Job(change));
            self.forget(id);
            if let Some(definition) = &before.definition {
                self.count(definition, Some(Counted::Ended), now, step);
            }
            return;
        }
        job.apply(&change);
        step.changes.push(Change::Job(change));
        let after = Index::of(job, &mut self.queue, &self.policies);
        self.take_out(&before);
        self.put_in(&after);
        if let Some(token) = &after.token {
            self.settle(token);
        }
        // One that was let go and does not start leaves its turn to another.
        let stopped = before.running || (before.ready && !after.ready);
        if stopped
            && !after.running
            && let Some(definition) = after.definition
        {
            self.next_canary(&definition);
        }
    }

    fn next_canary(&mut self, definition: &Guid) {
        let rule = self.policies.rate_guard;
        if let Some(place) = self.definitions.next_canary(definition, &rule) {
            self.offer_again(&place);
        }
    }

    /// Counts a job of a definition, and watches one that raises too many.
    fn count(&mut self, id: &Guid, what: Option<Counted>, now: i64, step: &mut Step) {
        let rule = self.policies.rate_guard;
        let state = self.definitions.count(id, what, now, &rule);
        step.changes.extend(state.map(Change::Definition));
        if state.is_some() || what.is_none() {
            let next = self.definitions.judged_next(id, now, &rule);
            self.queue.timers.extend(next.map(|at| (at, Timer::Guard, *id)));
        }
    }

    fn remember(&mut self, state: DefinitionState, now: i64) {
        self.definitions.remember(state);
        let next = self.definitions.judged_next(&state.id, now, &self.policies.rate_guard);
        self.queue.timers.extend(next.map(|at| (at, Timer::Guard, state.id)));
    }

    /// A queued job whose workflow is no longer active is canceled when it is picked.
    fn remaining_canceled(&mut self, id: &Guid, reason: &'static str, now: i64, step: &mut Step) {
        let message = format!("This job was canceled before it was started: {reason}.");
        let report = Report::failed(Some(codes::WORKFLOW_REPLACED as i32), Some(message));
        let set = Cells { report: Some(report), ..Cells::default() };
        let why = Because::scheduler(reason);
        self.change(id, Some(Status::Canceled), set, why, now, step);
    }
}

/// A change of a job as it is.
pub(super) fn job_change(
    job: &Job,
    to: Option<Status>,
    set: Cells,
    why: Because,
    now: i64,
) -> JobChange {
    let starts = to == Some(Status::InProgress) && !job.is_locked();
    // A clock that was set back does not make a job end before it has started.
    let at = now.max(job.since).max(job.createdon);
    JobChange {
        id: job.id,
        operationtype: job.operationtype,
        at,
        from: Some(job.status),
        to,
        attempt: job.attempt + i32::from(starts),
        actor: why.actor,
        reason: why.reason,
        lasted: Some(at - job.since),
        set: Box::new(set),
    }
}

/// Whether its work is done by a handler inside the service.
fn is_inside(job: &Job) -> bool {
    job.handler.as_ref().is_some_and(|handler| !handler.is_remote())
}

/// The cells of a job that can be picked again.
fn ready() -> Cells {
    Cells { cause: Some(Cause::None), postponeuntil: Some(None), ..Cells::default() }
}

/// The cells of a job that somebody has paused or postponed.
fn suspended(until: Option<i64>) -> Cells {
    let cause = if until.is_some() { Cause::Postponed } else { Cause::Paused };
    Cells { cause: Some(cause), postponeuntil: Some(until), ..Cells::default() }
}

/// "1 retry", "2 retries".
fn times(number: impl Into<i64>, one: &str, many: &str) -> String {
    let number = number.into();
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Because a recurring job becomes ready.
fn recurs(missed: u64) -> Cow<'static, str> {
    match missed {
        0 => "its next occurrence".into(),
        1 => "its next occurrence; 1 missed one counts with it".into(),
        Recurrence::MISSED_MAX.. => {
            format!("its next occurrence; {missed} missed ones or more count with it").into()
        }
        _ => format!("its next occurrence; {missed} missed ones count with it").into(),
    }
}
