//! The scheduler as a plain function: `step(event, now)` changes its state and
//! says which row changes to make durable and what to do after. No clock, no
//! disk, no threads; the live service, recovery and simulation run this code.
//!
//! Rules: jobs are picked by `createdon`, then `sequence`, while there is
//! capacity. A picked job is In Progress until its current attempt ends; the end
//! of an attempt that is no longer the current one changes nothing. An action
//! (cancel, pause, …) ends the attempt under way at once. What was In
//! Progress when the service died waits again, with one more retry counted.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::job::{Action, Handler, Outcome, Refusal, Status, Transition};
use crate::value::Guid;

/// The order in which jobs are picked.
type Place = (i64, i64, Guid);

/// A job as the scheduler knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    pub id: Guid,
    /// Microseconds since 1970-01-01 UTC.
    pub createdon: i64,
    pub sequence: i64,
    pub operationtype: Option<i32>,
    pub status: Status,
    pub postponeuntil: Option<i64>,
    pub retrycount: i32,
    /// Seconds that earlier attempts took.
    pub executed: f64,
    /// A job without one is shown and never picked.
    pub handler: Option<Handler>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A job was created; its row is part of the same commit.
    Created(Job),
    /// A job of an earlier run of the service.
    Recovered(Job),
    /// An attempt ended.
    Ended { id: Guid, attempt: u64, outcome: Outcome },
    /// Somebody asks something of a job. It is passed as its row has it, for jobs
    /// that are never picked are not known here.
    Action { job: Job, action: Action, by: Guid },
    /// Nothing but time has passed.
    Tick,
    /// The service stops in order: what runs waits again, and nothing starts.
    Stop,
}

/// A change of a job's row.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Started {
        id: Guid,
        at: i64,
    },
    Ended {
        id: Guid,
        at: i64,
        outcome: Outcome,
        executed: f64,
    },
    /// Ready again after its time or after a crash.
    Ready {
        id: Guid,
        at: i64,
        retrycount: i32,
    },
    /// An action was done; an attempt that was under way brings its seconds.
    Acted {
        id: Guid,
        at: i64,
        by: Guid,
        transition: Transition,
        executed: Option<f64>,
    },
}

/// What to do once the changes are durable.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    Start { id: Guid, attempt: u64, handler: Handler },
}

/// The answer of a step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    pub changes: Vec<Change>,
    pub effects: Vec<Effect>,
    /// Why the action was not done.
    pub refused: Option<Refusal>,
}

impl Step {
    /// The jobs that are deleted.
    pub fn deleted(&self) -> impl Iterator<Item = Guid> {
        self.changes.iter().filter_map(|change| match change {
            Change::Acted { id, transition: Transition::Deleted, .. } => Some(*id),
            _ => None,
        })
    }
}

impl Job {
    /// Takes over what an action makes of the job.
    pub fn apply(&mut self, transition: Transition) {
        if let Some(status) = transition.status() {
            self.status = status;
        }
        self.postponeuntil = match transition {
            Transition::Suspended { until } => until,
            Transition::Ready => None,
            Transition::Canceled | Transition::Deleted => self.postponeuntil,
        };
    }
}

/// All jobs that have not ended.
#[derive(Debug)]
pub struct Core {
    /// Jobs that may run at once.
    capacity: usize,
    jobs: HashMap<Guid, Job>,
    ready: BTreeSet<Place>,
    postponed: BTreeMap<(i64, Guid), ()>,
    running: HashMap<Guid, Attempt>,
    attempts: u64,
}

#[derive(Debug)]
struct Attempt {
    number: u64,
    started: i64,
}

impl Core {
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            jobs: HashMap::new(),
            ready: BTreeSet::new(),
            postponed: BTreeMap::new(),
            running: HashMap::new(),
            attempts: 0,
        }
    }

    /// The one way in.
    pub fn step(&mut self, event: Event, now: i64) -> Step {
        let mut step = Step::default();
        match event {
            Event::Created(job) => self.admit(job),
            Event::Recovered(job) => self.recover(job, now, &mut step),
            Event::Ended { id, attempt, outcome } => self.end(id, attempt, outcome, now, &mut step),
            Event::Action { job, action, by } => self.act(job, action, by, now, &mut step),
            Event::Tick => {}
            Event::Stop => {
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
        self.postponed.first_key_value().map(|((until, _), ())| *until)
    }

    pub fn running(&self) -> usize {
        self.running.len()
    }

    pub fn waiting(&self) -> usize {
        self.ready.len()
    }

    /// A job that can still be picked, or is being worked on.
    pub fn job(&self, id: &Guid) -> Option<&Job> {
        self.jobs.get(id)
    }

    fn admit(&mut self, job: Job) {
        if job.handler.is_none() || self.jobs.contains_key(&job.id) {
            return;
        }
        match (job.status, job.postponeuntil) {
            (Status::WaitingForResources, None) => {
                self.ready.insert((job.createdon, job.sequence, job.id));
            }
            (Status::WaitingForResources | Status::Waiting, Some(until)) => {
                self.postponed.insert((until, job.id), ());
            }
            // Waiting for a person or an event; ended.
            _ => return,
        }
        self.jobs.insert(job.id, job);
    }

    fn recover(&mut self, mut job: Job, now: i64, step: &mut Step) {
        let cut_off = job.status.statecode() == Status::InProgress.statecode();
        if cut_off && job.handler.is_some() {
            job.status = Status::WaitingForResources;
            job.postponeuntil = None;
            job.retrycount += 1;
            step.changes.push(Change::Ready { id: job.id, at: now, retrycount: job.retrycount });
        }
        self.admit(job);
    }

    fn end(&mut self, id: Guid, attempt: u64, outcome: Outcome, now: i64, step: &mut Step) {
        let Some(current) = self.running.get(&id).filter(|a| a.number == attempt) else { return };
        let took = seconds(current.started, now);
        self.running.remove(&id);
        let executed = took + self.jobs.remove(&id).map_or(0.0, |job| job.executed);
        step.changes.push(Change::Ended { id, at: now, outcome, executed });
    }

    fn act(&mut self, job: Job, action: Action, by: Guid, now: i64, step: &mut Step) {
        let mut job = self.jobs.get(&job.id).cloned().unwrap_or(job);
        let transition = match action.transition(job.status, job.operationtype) {
            Ok(transition) => transition,
            Err(refusal) => {
                step.refused = Some(refusal);
                return;
            }
        };
        let id = job.id;
        let executed = self.withdraw(&id, now);
        job.executed = executed.unwrap_or(job.executed);
        job.apply(transition);
        step.changes.push(Change::Acted { id, at: now, by, transition, executed });
        if transition.status().is_some() {
            self.admit(job);
        }
    }

    /// Forgets a job; the seconds of its attempts if one was under way.
    fn withdraw(&mut self, id: &Guid, now: i64) -> Option<f64> {
        let job = self.jobs.remove(id)?;
        self.ready.remove(&(job.createdon, job.sequence, *id));
        if let Some(until) = job.postponeuntil {
            self.postponed.remove(&(until, *id));
        }
        let attempt = self.running.remove(id)?;
        Some(job.executed + seconds(attempt.started, now))
    }

    fn stop(&mut self, now: i64, step: &mut Step) {
        let mut ids: Vec<Guid> = self.running.drain().map(|(id, _)| id).collect();
        ids.sort_unstable();
        for id in ids {
            let job = self.jobs.get_mut(&id).expect("a running job is known");
            job.status = Status::WaitingForResources;
            self.ready.insert((job.createdon, job.sequence, id));
            step.changes.push(Change::Ready { id, at: now, retrycount: job.retrycount });
        }
    }

    fn wake(&mut self, now: i64, step: &mut Step) {
        while let Some(((until, id), ())) = self.postponed.first_key_value() {
            let (until, id) = (*until, *id);
            if until > now {
                break;
            }
            self.postponed.remove(&(until, id));
            let job = self.jobs.get_mut(&id).expect("a postponed job is known");
            if job.status != Status::WaitingForResources {
                job.status = Status::WaitingForResources;
                step.changes.push(Change::Ready { id, at: now, retrycount: job.retrycount });
            }
            self.ready.insert((job.createdon, job.sequence, id));
        }
    }

    fn pick(&mut self, now: i64, step: &mut Step) {
        while self.running.len() < self.capacity {
            let Some((_, _, id)) = self.ready.pop_first() else { break };
            let job = self.jobs.get_mut(&id).expect("a ready job is known");
            let handler = job.handler.clone().expect("only jobs with a handler are admitted");
            job.status = Status::InProgress;
            self.attempts += 1;
            self.running.insert(id, Attempt { number: self.attempts, started: now });
            step.changes.push(Change::Started { id, at: now });
            step.effects.push(Effect::Start { id, attempt: self.attempts, handler });
        }
    }
}

fn seconds(from: i64, to: i64) -> f64 {
    (to - from).max(0) as f64 / 1_000_000.0
}
