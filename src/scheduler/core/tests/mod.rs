//! The rules of the core, one by one.

mod attempts;
mod definitions;
mod ends;
mod order;
mod waits;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::job::handler::{SimulatedOutcome, Simulation};
use crate::job::{Action, Handler, Outcome, Recurrence, Report};
use crate::scheduler::policy::{PoolPolicy, RateGuard, Retry};

const SECOND: i64 = 1_000_000;

/// A core and what its steps have said.
struct Told {
    core: Core,
    now: i64,
    started: Vec<(u8, i32)>,
    statuses: BTreeMap<u8, Status>,
    last: Step,
    reasons: Vec<(u8, String)>,
}

fn id(n: u8) -> Guid {
    [n; 16]
}

fn simulated() -> Option<Arc<Handler>> {
    Some(Arc::new(Handler::simulate(Simulation::new(1.0, SimulatedOutcome::Succeed))))
}

fn remote() -> Option<Arc<Handler>> {
    Some(Arc::new(Handler::Worker {}))
}

fn job(n: u8) -> Job {
    Job {
        handler: simulated(),
        operationtype: Some(54),
        ..Job::new(id(n), i64::from(n), i64::from(n))
    }
}

impl Told {
    fn new(policies: Policies) -> Self {
        Self {
            core: Core::new(policies),
            now: 1_000 * SECOND,
            started: Vec::new(),
            statuses: BTreeMap::new(),
            last: Step::default(),
            reasons: Vec::new(),
        }
    }

    fn one_at_a_time() -> Self {
        Self::new(Policies::with_concurrency(1))
    }

    fn step(&mut self, event: Event) -> &Step {
        self.last = self.core.step(event, self.now);
        for change in self.last.jobs() {
            self.reasons.push((change.id[0], change.reason.to_string()));
            match change.to {
                Some(status) => self.statuses.insert(change.id[0], status),
                None => self.statuses.remove(&change.id[0]),
            };
        }
        for effect in &self.last.effects {
            if let Effect::Start { id, attempt, .. } = effect {
                self.started.push((id[0], *attempt));
            }
        }
        &self.last
    }

    fn create(&mut self, job: Job) {
        self.step(Event::Created { job, actor: Actor::Scheduler });
    }

    fn end(&mut self, n: u8, attempt: i32, outcome: Outcome) {
        self.report(n, attempt, Report::of(outcome));
    }

    fn report(&mut self, n: u8, attempt: i32, report: Report) {
        self.step(Event::Ended { id: id(n), attempt, report });
    }

    fn act(&mut self, n: u8, action: Action) -> Option<u32> {
        let job = self.core.job(&id(n)).cloned().unwrap_or_else(|| job(n));
        self.step(Event::Action { job, action, by: id(200), reason: None });
        self.last.refused.map(|refusal| refusal.code & 0xFFFF)
    }

    fn pass(&mut self, seconds: i64) {
        self.now += seconds * SECOND;
        self.step(Event::Tick);
    }

    fn claim(&mut self, max: usize, lease: i64) -> Vec<(u8, i32)> {
        let (operationtypes, lease) = (Some(vec![54]), lease * SECOND);
        self.step(Event::Claim { worker: "w".into(), operationtypes, max, lease });
        self.last.claimed.iter().map(|claimed| (claimed.id[0], claimed.attempt)).collect()
    }

    fn want(&mut self, max: usize, seconds: i64) {
        let (operationtypes, until) = (Some(vec![54]), self.now + seconds * SECOND);
        self.step(Event::Wants { worker: "w".into(), operationtypes, max, until });
    }

    fn status(&self, n: u8) -> Status {
        self.statuses[&n]
    }

    fn get(&self, n: u8) -> &Job {
        self.core.job(&id(n)).expect("a known job")
    }

    fn reason(&self, n: u8) -> &str {
        let of = |(job, _): &&(u8, String)| *job == n;
        &self.reasons.iter().rev().find(of).expect("it has changed").1
    }

    fn why(&self, n: u8) -> Why {
        self.core.why(self.get(n), self.now)
    }
}

fn of_definition(n: u8, definition: u8) -> Job {
    Job { definition: Some(id(definition)), ..job(n) }
}
