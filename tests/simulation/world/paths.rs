//! What has happened in a world, counted, so that a rule is not kept merely because what
//! could break it never happens.

use std::collections::BTreeMap;
use std::fmt;

use sysjob::job::{Handler, Status};
use sysjob::scheduler::core::{Actor, Cause, Job, JobChange};

/// What has to happen in some hundred worlds.
const EXPECTED: [&str; 14] = [
    "waits for its record",
    "its record has changed",
    "its record had changed before it waited",
    "a record nobody waits for has changed",
    "claimed from a shared pool",
    "a place is kept for a worker",
    "the worker a place was kept for gets a job",
    "claimed and reported",
    "a lease ends",
    "canceled before a worker has claimed it",
    "canceled when it is picked",
    "a workflow is deactivated while its jobs wait for workers",
    "succeeds as late as told",
    "fails before it succeeds",
];

/// How often each has happened.
#[derive(Default)]
pub struct Paths(BTreeMap<&'static str, usize>);

impl Paths {
    pub fn count(&mut self, path: &'static str) {
        *self.0.entry(path).or_default() += 1;
    }

    pub fn add(&mut self, other: &Self) {
        for (path, times) in &other.0 {
            *self.0.entry(path).or_default() += times;
        }
    }

    pub fn check(&self) {
        for path in EXPECTED {
            assert!(self.0.contains_key(path), "it never happens that {path}");
        }
    }

    /// Counts a transition that has become durable, of a job as it was before.
    pub fn take(&mut self, job: &Job, change: &JobChange) {
        let remote = job.handler.as_ref().is_some_and(|handler| handler.is_remote());
        let shared = matches!(job.operationtype, Some(10 | 11));
        let (Some(from), Some(to)) = (change.from, change.to) else { return };
        let waits = change.set.cause == Some(Cause::Event);
        let reason: &str = &change.reason;
        match (from, to) {
            (Status::InProgress, Status::Waiting) if waits => self.count("waits for its record"),
            (Status::Waiting, Status::WaitingForResources)
                if reason == "the event it waited for has happened" =>
            {
                self.count("its record has changed");
            }
            (Status::InProgress, Status::WaitingForResources)
                if reason == "its work waits for what has happened already" =>
            {
                self.count("its record had changed before it waited");
            }
            (Status::InProgress, Status::WaitingForResources)
                if reason == "the lease of its worker has ended" =>
            {
                self.count("a lease ends");
            }
            (Status::WaitingForResources, Status::InProgress) if remote && shared => {
                self.count("claimed from a shared pool");
            }
            (Status::WaitingForResources, Status::Canceled)
                if reason.starts_with("its workflow was") =>
            {
                let how = if remote {
                    "canceled before a worker has claimed it"
                } else {
                    "canceled when it is picked"
                };
                self.count(how);
            }
            (Status::InProgress, Status::Succeeded) if matches!(change.actor, Actor::Worker(_)) => {
                self.count("claimed and reported");
            }
            _ => {}
        }
        if let Some(Handler::Simulate(simulation)) = job.handler.as_deref()
            && let Some(enough) = simulation.attempts_until_success
            && from == Status::InProgress
        {
            match to {
                Status::Succeeded if change.attempt >= enough => {
                    self.count("succeeds as late as told");
                }
                Status::Waiting if change.attempt < enough => {
                    self.count("fails before it succeeds");
                }
                _ => {}
            }
        }
    }
}

impl fmt::Display for Paths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(path, times)| writeln!(f, "{times:>9}  {path}"))
    }
}
