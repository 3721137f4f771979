//! Why ready jobs do not run, in a word each: the first cause of [`Core::why`], for
//! all of them at once.

use std::collections::HashMap;

use super::Core;
use super::definition::Gate;
use super::job::Job;
use crate::job::Status;
use crate::value::Guid;

impl Core {
    /// The ready jobs that wait for something else than a place to run. The row of a
    /// job with another status tells as much by itself.
    pub fn wait_reasons(&self, now: i64) -> HashMap<Guid, &'static str> {
        let ready = self.jobs.values().filter(|job| job.status == Status::WaitingForResources);
        ready.filter_map(|job| Some((job.id, self.hindrance(job, now)?))).collect()
    }

    fn hindrance(&self, job: &Job, now: i64) -> Option<&'static str> {
        if job.postponeuntil.is_some_and(|until| until > now) {
            return Some("postponed");
        }
        if job.handler.is_none() {
            return Some("no-handler");
        }
        if self.queue.in_front(job).is_some() {
            return Some("token");
        }
        let gate = self.definitions.gate(&job.definition?, now, &self.policies.rate_guard);
        match gate {
            Gate::Open => None,
            Gate::Deactivated | Gate::Deleted => Some("definition-deactivated"),
            Gate::Postponed(_) => Some("repeated-failure"),
            Gate::Held => Some("rate-guard"),
        }
    }
}
