//! Attempts end: what the report of a handler or worker makes of its job.

use std::borrow::Cow;

use super::acting::deleted;
use super::event::{Actor, Cells, Change, Step};
use super::job::{Cause, Job};
use super::{Because, Core, ready, recurs, suspended, times};
use crate::job::report::{Consequence, WORKFLOW, consequence};
use crate::job::{Outcome, Report, Status};
use crate::value::Guid;

/// What becomes of a job.
struct End {
    to: Status,
    set: Cells,
    reason: Cow<'static, str>,
    /// Whether its definition did well; nothing if that says neither.
    success: Option<bool>,
}

impl Core {
    /// An attempt has ended. The end of one that is not the current one changes
    /// nothing.
    pub(super) fn end(
        &mut self,
        id: Guid,
        attempt: i32,
        report: Report,
        now: i64,
        step: &mut Step,
    ) {
        let current =
            |job: &&Job| job.is_locked() && job.handler.is_some() && job.attempt == attempt;
        let Some(job) = self.jobs.get(&id).filter(current) else {
            step.late = true;
            return;
        };
        let started = job.startedon.unwrap_or(now);
        let (definition, operationtype) = (job.definition, job.operationtype);
        let autodelete = definition.and_then(|id| self.definitions.row(&id));
        let autodelete = autodelete.is_some_and(|row| row.autodelete) && !job.retained;
        let mut end = match job.status {
            Status::InProgress => self.after(job, report, now),
            asked => after_request(job, asked, report),
        };
        end.set.executed = Some(job.executed_at(now));
        if end.to == Status::Succeeded || end.to == Status::Failed {
            self.recur(job, &mut end, now);
        }
        let actor = job.worker.clone().map_or(Actor::Scheduler, Actor::Worker);
        let (to, success) = (end.to, end.success);
        let pool = self.queue.pool(operationtype);
        self.queue.pools[pool].took((now - started).max(0) as f64 / 1e6);
        self.change(&id, Some(to), end.set, Because { actor, reason: end.reason }, now, step);
        if to == Status::Succeeded && autodelete {
            deleted(Actor::Scheduler, "deleted because it has succeeded".into(), step);
        }
        if let Some(definition) = definition {
            let state = match success {
                Some(true) => self.definitions.succeeded(&definition, now),
                Some(false) => {
                    Some(self.definitions.failed(&definition, started, now, &self.policies))
                }
                None => None,
            };
            step.changes.extend(state.map(Change::Definition));
        }
    }

    /// What a report makes of a job that nobody has asked anything of.
    fn after(&self, job: &Job, report: Report, now: i64) -> End {
        let to_retry = |report| self.retry(job, report, now);
        match report.outcome {
            Outcome::Succeeded => End {
                to: Status::Succeeded,
                set: reported(report),
                reason: "succeeded".into(),
                success: Some(true),
            },
            Outcome::Canceled => End {
                to: Status::Canceled,
                set: reported(report),
                reason: "its work has ended as canceled".into(),
                success: None,
            },
            Outcome::Waits { until: None } if self.event_came(job) => {
                let set = Cells { report: Some(report), ..ready() };
                let reason = "its work waits for what has happened already".into();
                End { to: Status::WaitingForResources, set, reason, success: None }
            }
            Outcome::Waits { until } => {
                let cause = if until.is_some() { Cause::Timer } else { Cause::Event };
                let set =
                    Cells { cause: Some(cause), postponeuntil: Some(until), ..reported(report) };
                let reason = "its work waits".into();
                End { to: Status::Waiting, set, reason, success: None }
            }
            Outcome::Retry => to_retry(report),
            Outcome::Suspended => suspended_by_error(report),
            Outcome::Failed => match consequence(report.errorcode, job.operationtype) {
                Consequence::Fail => failed(report),
                Consequence::Retry => to_retry(report),
                Consequence::Suspend => suspended_by_error(report),
            },
        }
    }

    /// Whether what the job is about to wait for has happened meanwhile.
    fn event_came(&self, job: &Job) -> bool {
        job.regarding.is_some_and(|record| self.queue.awaiting.has_happened(&record, &job.id))
    }

    /// Another attempt later, if there may be one.
    fn retry(&self, job: &Job, report: Report, now: i64) -> End {
        let policy = self.policies.retry(job.operationtype);
        let retrycount = job.retrycount + 1;
        if retrycount > policy.max {
            let mut end = match job.operationtype {
                Some(WORKFLOW) => suspended_by_error(report),
                _ => failed(report),
            };
            end.reason =
                format!("{} after {}", end.reason, times(job.retrycount, "retry", "retries"))
                    .into();
            return end;
        }
        let until = now + policy.wait(&job.id, retrycount);
        let set = Cells {
            cause: Some(Cause::Retry),
            postponeuntil: Some(Some(until)),
            retrycount: Some(retrycount),
            ..reported(report)
        };
        let reason = format!("to be retried, {retrycount} of {}", policy.max).into();
        End { to: Status::Waiting, set, reason, success: None }
    }

    /// A recurring job waits for its next occurrence instead of ending, unless somebody
    /// has asked it to end, or to wait for something else.
    fn recur(&self, job: &Job, end: &mut End, now: i64) {
        let Some(recurring) = job.recurring.as_ref().filter(|_| job.status != Status::Canceling)
        else {
            return;
        };
        let Some(next) = recurring.rule.next(recurring.start, now) else { return };
        end.to = Status::Waiting;
        end.set.retrycount = Some(0);
        if job.status == Status::Pausing {
            let Cells { cause, postponeuntil, .. } = suspended(job.postponeuntil);
            (end.set.cause, end.set.postponeuntil) = (cause, postponeuntil);
            end.reason = format!("{}; its next occurrence waits as asked", end.reason).into();
            return;
        }
        let started = job.startedon.unwrap_or(now);
        let missed = recurring.rule.between(recurring.start, started, now);
        end.reason = match missed {
            0 => format!("{}; waits for its next occurrence", end.reason).into(),
            _ => format!("{}; {}", end.reason, recurs(missed)).into(),
        };
        end.set.cause = Some(Cause::Recurrence);
        end.set.postponeuntil = Some(Some(next));
    }
}

/// What a report makes of a job that was asked to pause or to cancel: the truth is
/// kept, and all other ends are what was asked for.
fn after_request(job: &Job, asked: Status, report: Report) -> End {
    let late = if asked == Status::Pausing { "the pause" } else { "the cancel" };
    match report.outcome {
        Outcome::Succeeded => End {
            to: Status::Succeeded,
            set: reported(report),
            reason: format!("succeeded; {late} came too late").into(),
            success: Some(true),
        },
        Outcome::Failed => {
            End { reason: format!("failed; {late} came too late").into(), ..failed(report) }
        }
        _ if asked == Status::Canceling => End {
            to: Status::Canceled,
            set: reported(report),
            reason: "canceled as asked".into(),
            success: None,
        },
        _ => {
            let until = job.postponeuntil;
            let set = Cells { report: Some(report), ..suspended(until) };
            let reason = if until.is_some() { "postponed as asked" } else { "paused as asked" };
            End { to: Status::Waiting, set, reason: reason.into(), success: None }
        }
    }
}

fn failed(report: Report) -> End {
    End { to: Status::Failed, set: reported(report), reason: "failed".into(), success: Some(false) }
}

fn suspended_by_error(report: Report) -> End {
    let set = Cells { cause: Some(Cause::Error), postponeuntil: Some(None), ..reported(report) };
    End {
        to: Status::Waiting,
        set,
        reason: "suspended because of an error".into(),
        success: Some(false),
    }
}

fn reported(report: Report) -> Cells {
    Cells { report: Some(report), ..Cells::default() }
}

impl Job {
    /// Seconds that its attempts have taken, with the one under way.
    pub(super) fn executed_at(&self, now: i64) -> f64 {
        let started = self.startedon.unwrap_or(now);
        self.executed + (now - started).max(0) as f64 / 1_000_000.0
    }
}
