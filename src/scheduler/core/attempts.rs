//! Attempts begin: jobs are picked while there are places, and claimed by remote
//! workers, who keep them by their heartbeats.

use std::sync::Arc;

use super::definition::Gate;
use super::event::{Actor, Beat, Cells, Change, Claimed, Effect, Step, Told};
use super::job::Place;
use super::{Because, Core, STEP_MAX, ready};
use crate::error::codes;
use crate::job::{Report, Status};
use crate::scheduler::core::job::Cause;
use crate::value::Guid;

impl Core {
    /// Starts the jobs whose turn it is, the oldest of all pools first: a start that
    /// is refused may let a job of another pool go.
    pub(super) fn pick(&mut self, now: i64, step: &mut Step) {
        let mut left = STEP_MAX;
        while !self.draining
            && left > 0
            && let Some(place) = self.first_ready()
        {
            left -= 1;
            self.start(&place, None, now, step);
        }
    }

    /// The oldest job that has a place to start in.
    fn first_ready(&mut self) -> Option<Place> {
        let mut stirred = std::mem::take(&mut self.queue.stirred);
        let mut oldest: Option<Place> = None;
        // Until something changes, the others have nothing to start.
        stirred.retain(|pool| {
            let first = self.queue.first_of_pool(*pool);
            oldest = oldest.into_iter().chain(first).min();
            first.is_some()
        });
        self.queue.stirred = stirred;
        oldest
    }

    /// Gives a worker the first jobs of the types it asks for.
    pub(super) fn claim(
        &mut self,
        worker: &Arc<str>,
        operationtypes: Option<&[i32]>,
        max: usize,
        lease: i64,
        now: i64,
        step: &mut Step,
    ) {
        let mut left = STEP_MAX;
        while !self.draining
            && step.claimed.len() < max
            && left > 0
            && let Some(place) = self.first_claimable(operationtypes)
        {
            left -= 1;
            self.start(&place, Some((worker, lease)), now, step);
        }
        self.queue.served(worker, step.claimed.len());
    }

    /// The job that a claim would get.
    pub(super) fn first_claimable(&self, operationtypes: Option<&[i32]>) -> Option<Place> {
        let queue = &self.queue;
        let first = |operationtype: Option<i32>| {
            let jobs = queue.claimable.get(&operationtype)?;
            if queue.has_place(operationtype) { jobs.first().copied() } else { None }
        };
        match operationtypes {
            Some(types) => types.iter().filter_map(|code| first(Some(*code))).min(),
            None => queue.claimable.keys().filter_map(|code| first(*code)).min(),
        }
    }

    /// Starts a job, unless its definition or its depth forbids it.
    fn start(&mut self, place: &Place, lease: Option<(&Arc<str>, i64)>, now: i64, step: &mut Step) {
        let id = place.2;
        let Some(job) = self.jobs.get(&id) else { return };
        let (definition, operationtype) = (job.definition, job.operationtype);
        if job.depth > self.policies.depth_max {
            let message = format!(
                "the depth of {} is more than the {} that are allowed: the workflow that started this job includes an infinite loop",
                job.depth, self.policies.depth_max
            );
            let report = Report::failed(Some(codes::DEPTH_EXCEEDED as i32), Some(message));
            let set = Cells { report: Some(report), ..Cells::default() };
            let why = Because::scheduler("an infinite loop");
            return self.change(&id, Some(Status::Failed), set, why, now, step);
        }
        let rule = self.policies.rate_guard;
        let gate = definition.map_or(Gate::Open, |id| self.definitions.gate(&id, now, &rule));
        match gate {
            Gate::Open => {}
            Gate::Deactivated => {
                return self.remaining_canceled(&id, "its workflow was deactivated", now, step);
            }
            Gate::Deleted => {
                return self.remaining_canceled(&id, "its workflow was deleted", now, step);
            }
            Gate::Postponed(until) => {
                let failed = self.jobs.get(&id).map(|job| self.failures(job)).unwrap_or_default();
                let message = format!("This job was postponed because {failed} in a row.");
                let code = codes::POSTPONED_AFTER_FAILURES as i32;
                let set = Cells {
                    cause: Some(Cause::RepeatedFailure),
                    postponeuntil: Some(Some(until)),
                    report: Some(Report::failed(Some(code), Some(message))),
                    ..Cells::default()
                };
                let why = Because::scheduler("its definition has failed repeatedly");
                return self.change(&id, Some(Status::Waiting), set, why, now, step);
            }
            Gate::Held => {
                if let Some(index) = self.index_of(&id) {
                    self.set_aside(&index);
                }
                if let Some(definition) = definition {
                    self.definitions.hold(&definition, *place);
                }
                return;
            }
        }
        let (actor, reason) = match lease {
            Some((worker, _)) => (Actor::Worker(worker.clone()), "claimed".into()),
            None => (Actor::Scheduler, "picked".into()),
        };
        let lease = lease.map(|(worker, end)| (worker.clone(), end));
        let remote = lease.is_some();
        let set = Cells { lease, ..ready() };
        self.change(&id, Some(Status::InProgress), set, Because { actor, reason }, now, step);
        let Some(job) = self.jobs.get(&id) else { return };
        let attempt = job.attempt;
        match &job.handler {
            Some(handler) if !remote => {
                let handler = handler.clone();
                step.effects.push(Effect::Start { id, attempt, operationtype, handler });
            }
            _ => step.claimed.push(Claimed { id, attempt }),
        }
    }

    /// A worker asks for more time.
    pub(super) fn heartbeat(&mut self, id: Guid, attempt: i32, until: i64, step: &mut Step) {
        let current = self
            .jobs
            .get(&id)
            .filter(|job| job.is_locked() && job.lease.is_some() && job.attempt == attempt);
        let Some(status) = current.map(|job| job.status) else {
            step.beat = Some(Beat::Lost);
            return;
        };
        step.beat = Some(match status {
            Status::Pausing => Beat::Told(Told::Pause),
            Status::Canceling => Beat::Told(Told::Cancel),
            _ => Beat::Continue,
        });
        let Some(before) = self.index_of(&id) else { return };
        if let Some(job) = self.jobs.get_mut(&id) {
            job.lease = Some(until);
        }
        let Some(after) = self.index_of(&id) else { return };
        self.take_out(&before);
        self.put_in(&after);
        if let Some(token) = &after.token {
            self.settle(token);
        }
        step.changes.push(Change::Lease { id, until });
    }

    /// Nobody has heard of the worker in time.
    pub(super) fn lease_ended(&mut self, id: Guid, now: i64, step: &mut Step) {
        let Some(job) = self.jobs.get(&id) else { return };
        let executed = job.executed_at(now);
        let (retrycount, status) = (job.retrycount, job.status);
        self.cut_off(id, status, "the lease of its worker has ended", now, step, |cells| {
            cells.executed = Some(executed);
            if status == Status::InProgress {
                cells.retrycount = Some(retrycount + 1);
            }
        });
    }

    /// An attempt has taken longer than its type allows.
    pub(super) fn limit_reached(&mut self, id: Guid, now: i64, step: &mut Step) {
        let Some(job) = self.jobs.get(&id) else { return };
        let (attempt, operationtype) = (job.attempt, job.operationtype);
        let seconds = self.policies.time_limit(operationtype).unwrap_or(0) / 1_000_000;
        let message = format!("the attempt did not end within {seconds} seconds");
        let report = match job.status {
            Status::InProgress => Report::failed(Some(codes::TIME_LIMIT as i32), Some(message)),
            // It was asked to end and did not.
            _ => Report::of(crate::job::Outcome::Canceled),
        };
        step.effects.push(Effect::Abandon { id, attempt });
        self.end(id, attempt, report, now, step);
    }
}
