//! What people do to jobs.

use std::borrow::Cow;

use super::event::{Actor, Cells, Change, Effect, JobChange, Step, Told};
use super::job::Job;
use super::{Because, Core, is_inside, job_change, ready, suspended};
use crate::job::{Action, Status, Transition};
use crate::value::Guid;

impl Core {
    pub(super) fn act(
        &mut self,
        job: Job,
        action: Action,
        by: Guid,
        reason: Option<String>,
        now: i64,
        step: &mut Step,
    ) {
        let id = job.id;
        let known = self.jobs.get(&id);
        let current = known.unwrap_or(&job);
        let transition = match action.transition(current.status, current.operationtype) {
            Ok(transition) => transition,
            Err(refusal) => {
                step.refused = Some(refusal);
                return;
            }
        };
        let (attempt, was) = (current.attempt, current.status);
        let executed = current.is_locked().then(|| current.executed_at(now));
        // Only attempts that were started here can be told or waited for.
        let runs = known.is_some_and(|job| job.is_locked() && job.handler.is_some());
        let inside = runs && known.is_some_and(is_inside);
        let to = transition.passing(runs);
        let asked = matches!(to, Some(Status::Canceling | Status::Pausing));
        let said = if asked { action.asked() } else { action.done() };
        let reason = reason.map_or(Cow::from(said), Cow::from);
        let why = Because { actor: Actor::User(by), reason };
        let postponeuntil = match transition {
            Transition::Suspended { until } => Some(until),
            _ => Some(None),
        };
        let set = match to {
            Some(Status::Canceling | Status::Pausing) => {
                Cells { postponeuntil, ..Cells::default() }
            }
            Some(Status::Waiting) => suspended(postponeuntil.flatten()),
            Some(Status::WaitingForResources) => ready(),
            _ => Cells { executed, ..Cells::default() },
        };
        if inside {
            step.effects.push(match to {
                None => Effect::Abandon { id, attempt },
                Some(Status::Canceling) => Effect::Tell { id, attempt, told: Told::Cancel },
                Some(_) => Effect::Tell { id, attempt, told: Told::Pause },
            });
        }
        // An attempt that is under way does not outlive its job: it is canceled first.
        let canceled_first = to.is_none() && was.statecode() == Status::InProgress.statecode();
        let next = if canceled_first { Some(Status::Canceled) } else { to };
        let (actor, said) = (why.actor.clone(), why.reason.clone());
        if known.is_some() {
            self.change(&id, next, set, why, now, step);
        } else {
            // A job that is not picked changes its row only, unless it is now waited for.
            let mut job = job;
            let change = job_change(&job, next, set, why, now);
            job.apply(&change);
            step.changes.push(Change::Job(change));
            if next.is_some() {
                self.admit(job);
            }
        }
        if canceled_first {
            deleted(actor, said, step);
        }
    }
}

/// The job whose end is the latest change is deleted with it.
pub(super) fn deleted(actor: Actor, reason: Cow<'static, str>, step: &mut Step) {
    let Some(JobChange { id, operationtype, at, to, attempt, .. }) = step.jobs().last().cloned()
    else {
        return;
    };
    step.changes.push(Change::Job(JobChange {
        id,
        operationtype,
        at,
        from: to,
        to: None,
        attempt,
        actor,
        reason,
        lasted: Some(0),
        set: Box::default(),
    }));
}
