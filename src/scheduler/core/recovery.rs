//! The end of the service, orderly or not, and what the next start makes of it.
//! Attempts inside the service end with it; a remote attempt lives as long as its
//! lease, whatever becomes of the service.

use super::event::{Cells, Step};
use super::job::Job;
use super::{Because, Core, is_inside, job_change, ready, suspended};
use crate::job::Status;
use crate::value::Guid;

impl Core {
    /// Takes in a job of an earlier run. An attempt inside the service was cut off
    /// with it, which counts as a retry.
    pub(super) fn recover(&mut self, mut job: Job, now: i64, step: &mut Step) {
        if job.is_locked() && is_inside(&job) {
            let why = Because::scheduler("the service ended during the attempt");
            let (to, mut set) = cut_off(job.status, job.postponeuntil);
            if job.status == Status::InProgress {
                set.retrycount = Some(job.retrycount + 1);
            }
            let change = job_change(&job, Some(to), set, why, now);
            job.apply(&change);
            step.changes.push(super::Change::Job(change));
        }
        self.admit(job);
    }

    /// The service stops in order: no retry is counted.
    pub(super) fn stop(&mut self, now: i64, step: &mut Step) {
        let running = self.jobs.values().filter(|job| job.is_locked() && is_inside(job));
        let mut ids: Vec<Guid> = running.map(|job| job.id).collect();
        ids.sort_unstable();
        for id in ids {
            let Some(job) = self.jobs.get(&id) else { continue };
            let (executed, status) = (job.executed_at(now), job.status);
            let reason = "the service stops";
            self.cut_off(id, status, reason, now, step, |set| set.executed = Some(executed));
        }
    }

    /// An attempt is over without a report.
    pub(super) fn cut_off(
        &mut self,
        id: Guid,
        status: Status,
        reason: &'static str,
        now: i64,
        step: &mut Step,
        complete: impl FnOnce(&mut Cells),
    ) {
        let Some(job) = self.jobs.get(&id) else { return };
        let (to, mut set) = cut_off(status, job.postponeuntil);
        complete(&mut set);
        self.change(&id, Some(to), set, Because::scheduler(reason), now, step);
    }
}

/// What a job becomes whose attempt is over without a report. A pause or cancel
/// that was acknowledged is not lost.
fn cut_off(status: Status, postponeuntil: Option<i64>) -> (Status, Cells) {
    match status {
        Status::Pausing => (Status::Waiting, suspended(postponeuntil)),
        Status::Canceling => (Status::Canceled, Cells::default()),
        _ => (Status::WaitingForResources, ready()),
    }
}
