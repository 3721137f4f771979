//! Why a job is where it is: one verdict, and the chain of what waits for what.
//! A pure look at the state of the core.

use std::collections::HashMap;

use super::definition::Gate;
use super::job::{Cause, Job};
use super::{Core, times};
use crate::job::Status;
use crate::scheduler::policy::Policies;
use crate::value::{Guid, guid_text, time_text};

/// The answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Why {
    /// The first cause of the chain.
    pub verdict: &'static str,
    /// The whole chain in a sentence.
    pub text: String,
    pub chain: Vec<Link>,
}

/// One cause.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// `capacity`, `token`, `postponed`, `paused`, `retry`, `repeated-failure`,
    /// `definition-deactivated`, `rate-guard`, `waiting-for-event`,
    /// `suspended-by-error`, `running`, `ended`, `no-handler` or `stopping`.
    pub cause: &'static str,
    /// The job that is waited for.
    pub job: Option<Guid>,
    pub pool: Option<PoolNow>,
    pub definition: Option<Guid>,
    pub until: Option<i64>,
    pub text: String,
}

/// A pool as a waiting job sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolNow {
    pub name: String,
    pub running: usize,
    pub concurrency: usize,
    /// From 1: the jobs that start before it, and itself.
    pub position: usize,
    /// Seconds until it starts, where ends of attempts have been seen.
    pub estimate: Option<f64>,
}

impl Link {
    fn new(cause: &'static str, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { cause, job: None, pool: None, definition: None, until: None, text }
    }
}

impl Why {
    /// As far as the row of a job can tell, where nobody runs jobs.
    pub fn of_row(job: &Job, now: i64) -> Self {
        let link = match job.status {
            Status::WaitingForResources => match job.postponeuntil.filter(|until| *until > now) {
                Some(until) => postponed(until),
                None => Link::new("capacity", "waits to be picked, and nobody runs jobs here"),
            },
            _ => return Core::new(Policies::default()).why(job, now),
        };
        Self { verdict: link.cause, text: link.text.clone(), chain: vec![link] }
    }
}

fn postponed(until: i64) -> Link {
    let text = format!("is postponed until {}", time_text(until));
    Link { until: Some(until), ..Link::new("postponed", text) }
}

impl Core {
    /// Why a job is where it is; of a job that is not known here, what its row says.
    pub fn why(&self, row: &Job, now: i64) -> Why {
        let job = self.jobs.get(&row.id).unwrap_or(row);
        let chain = self.causes(job, now, &|job| self.position(job));
        let verdict = chain.first().map_or("capacity", |link| link.cause);
        Why { verdict, text: sentence(&chain), chain }
    }

    /// Why each job waits that is known here, in words; jobs under way are left out.
    pub fn waits(&self, now: i64) -> HashMap<Guid, String> {
        let mut positions = HashMap::new();
        let lists = self.queue.pools.iter().map(|pool| &pool.ready);
        for ready in lists.chain(self.queue.claimable.values()) {
            positions.extend(ready.iter().zip(1..).map(|(place, n)| (place.2, n)));
        }
        let position = |job: &Job| positions.get(&job.id).copied().unwrap_or(1);
        let waiting = self.jobs.values().filter(|job| !job.is_locked());
        waiting.map(|job| (job.id, sentence(&self.causes(job, now, &position)))).collect()
    }

    /// Why each of some jobs waits, as [`Core::waits`] says it.
    pub fn waits_of(&self, ids: &[Guid], now: i64) -> HashMap<Guid, String> {
        let waiting = ids.iter().filter_map(|id| self.jobs.get(id)).filter(|job| !job.is_locked());
        let position = |job: &Job| self.position(job);
        waiting.map(|job| (job.id, sentence(&self.causes(job, now, &position)))).collect()
    }

    fn causes(&self, job: &Job, now: i64, position: &dyn Fn(&Job) -> usize) -> Vec<Link> {
        match job.status {
            Status::Succeeded | Status::Failed | Status::Canceled => vec![ended(job)],
            Status::InProgress | Status::Pausing | Status::Canceling => vec![running(job)],
            Status::Waiting => vec![self.suspended(job)],
            Status::WaitingForResources => self.ready(job, now, position),
        }
    }

    fn suspended(&self, job: &Job) -> Link {
        let until = job.postponeuntil.map(time_text).unwrap_or_default();
        let mut link = match job.cause {
            Cause::Retry => {
                Link::new("retry", format!("waits until {until} for its retry {}", job.retrycount))
            }
            Cause::RepeatedFailure => {
                let failed = self.failures(job);
                Link::new(
                    "repeated-failure",
                    format!("is postponed until {until} because {failed}"),
                )
            }
            Cause::Error => Link::new(
                "suspended-by-error",
                "is suspended because of an error, until somebody resumes it",
            ),
            Cause::Event => Link::new("waiting-for-event", "waits for its event"),
            Cause::Timer => Link::new("postponed", format!("has set itself to wait until {until}")),
            Cause::Recurrence => {
                Link::new("postponed", format!("waits for its next occurrence at {until}"))
            }
            _ if job.postponeuntil.is_some() => {
                Link::new("postponed", format!("is postponed until {until}"))
            }
            _ => Link::new("paused", "is paused until somebody resumes it"),
        };
        link.until = job.postponeuntil;
        link.definition = job.definition.filter(|_| job.cause == Cause::RepeatedFailure);
        link
    }

    fn ready(&self, job: &Job, now: i64, position: &dyn Fn(&Job) -> usize) -> Vec<Link> {
        if let Some(until) = job.postponeuntil.filter(|until| *until > now) {
            return vec![postponed(until)];
        }
        if job.handler.is_none() {
            let text = "has no handler, so it is shown and never run here";
            return vec![Link::new("no-handler", text)];
        }
        if let Some(head) = self.queue.in_front(job).and_then(|id| self.jobs.get(&id)) {
            let token = job.token.as_deref().unwrap_or_default();
            let text = format!("waits for the head {} of token '{token}'", guid_text(&head.id));
            let mut chain = vec![Link { job: Some(head.id), ..Link::new("token", text) }];
            // The head of a chain has nobody of the chain before it.
            chain.extend(self.causes(head, now, position));
            return chain;
        }
        let gate = job.definition.map(|id| {
            let held = self.definitions.holds(&id, &job.place());
            match self.definitions.gate(&id, now, &self.policies.rate_guard) {
                Gate::Open if held => (id, Gate::Held),
                gate => (id, gate),
            }
        });
        if let Some((id, gate)) = gate
            && gate != Gate::Open
        {
            let failed = || self.failures(job);
            let mut link = match gate {
                Gate::Deactivated => Link::new(
                    "definition-deactivated",
                    "will be canceled when it is picked, because its workflow was deactivated",
                ),
                Gate::Deleted => Link::new(
                    "definition-deactivated",
                    "will be canceled when it is picked, because its workflow was deleted",
                ),
                Gate::Postponed(until) => {
                    let until = time_text(until);
                    let text = format!("will be postponed until {until} because {}", failed());
                    Link::new("repeated-failure", text)
                }
                _ => Link::new(
                    "rate-guard",
                    "is held because its definition raises jobs faster than they end",
                ),
            };
            link.definition = Some(id);
            if let Gate::Postponed(until) = gate {
                link.until = Some(until);
            }
            return vec![link];
        }
        vec![self.capacity(job, position(job))]
    }

    pub(super) fn failures(&self, job: &Job) -> String {
        let id = job.definition.unwrap_or_default();
        let workflow = self.definitions.row(&id).is_some_and(|row| row.workflow);
        let what =
            if workflow || job.operationtype == Some(10) { "workflow" } else { "definition" };
        let failures = self.definitions.state(&id).map_or(0, |state| state.failures);
        format!("its {what} failed {}", times(failures, "time", "times"))
    }

    fn position(&self, job: &Job) -> usize {
        let queue = &self.queue;
        let remote = job.handler.as_ref().is_some_and(|handler| handler.is_remote());
        let ready = if remote {
            queue.claimable.get(&job.operationtype)
        } else {
            queue.known_pool(job.operationtype).map(|pool| &pool.ready)
        };
        ready.map_or(1, |ready| ready.before(&job.place()) + 1)
    }

    fn capacity(&self, job: &Job, position: usize) -> Link {
        let remote = job.handler.as_ref().is_some_and(|handler| handler.is_remote());
        let Some(pool) = self.queue.known_pool(job.operationtype) else {
            return Link::new("capacity", "waits to be picked");
        };
        let rounds = position.div_ceil(pool.concurrency.max(1)) as f64;
        let estimate = pool.seconds.map(|seconds| seconds * rounds);
        let (running, concurrency) = (pool.running, pool.concurrency);
        let mut text = format!(
            "waits for capacity of pool {}: {running} of {concurrency} running, position {position}",
            pool.name
        );
        if let Some(seconds) = estimate {
            text.push_str(&format!(", about {seconds:.0} s"));
        }
        if remote && running < concurrency {
            text = format!("waits for a worker to claim it, position {position}");
        }
        if self.draining {
            return Link::new("stopping", "is not picked because the service stops");
        }
        let name = pool.name.clone();
        let pool = PoolNow { name, running, concurrency, position, estimate };
        Link { pool: Some(pool), ..Link::new("capacity", text) }
    }
}

fn running(job: &Job) -> Link {
    let since = time_text(job.startedon.unwrap_or(job.since));
    let mut text = format!("is running: attempt {} since {since}", job.attempt);
    if let Some(worker) = &job.worker {
        text.push_str(&format!(", by worker {worker}"));
    }
    if let Some(lease) = job.lease {
        text.push_str(&format!(" with a lease until {}", time_text(lease)));
    }
    match job.status {
        Status::Pausing => text.push_str("; it was asked to pause"),
        Status::Canceling => text.push_str("; it was asked to cancel"),
        _ => {}
    }
    Link { until: job.lease, ..Link::new("running", text) }
}

fn ended(job: &Job) -> Link {
    let how = match job.status {
        Status::Failed => "failed",
        Status::Canceled => "was canceled",
        _ => "succeeded",
    };
    Link::new("ended", format!("{how} at {}", time_text(job.since)))
}

/// "waits for the head X of token 'T', which is postponed until …"
fn sentence(chain: &[Link]) -> String {
    chain.iter().map(|link| link.text.as_str()).collect::<Vec<_>>().join(", which ")
}
