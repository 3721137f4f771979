//! What happens in a world: clients submit, people act, handlers and workers report,
//! workflows come and go, time passes, and now and then all of it falls over.

use std::sync::Arc;

use sysjob::job::handler::{SimulatedOutcome, Simulation};
use sysjob::job::{Action, Handler, Outcome, Recurrence, Report, Status};
use sysjob::scheduler::core::{Actor, Beat, Cause, Event, Job, Recurring, Told};
use sysjob::value::Guid;

use super::{Execution, LEASE, SECOND, World, definition, runs_inside};
use crate::model::id;

impl World {
    fn submit(&mut self) {
        let count = 1 + self.chance.below(12);
        for _ in 0..count {
            let n = self.next;
            self.next += 1;
            let operationtype = self.chance.one_of(&[10, 10, 11, 54, 1, 13]);
            let remote = self.chance.once_in(4);
            let token = self.chance.once_in(2).then(|| self.chance.below(6));
            let definition = self.chance.once_in(3).then(|| [200 + self.chance.below(4) as u8; 16]);
            let until =
                self.chance.once_in(8).then(|| self.now + self.chance.below(20) as i64 * SECOND);
            let until = until.filter(|until| *until > self.now);
            let simulation = Simulation::new(1.0, SimulatedOutcome::Succeed);
            let handler = if remote { Handler::Worker {} } else { Handler::simulate(simulation) };
            let recurring = self.chance.once_in(30).then(|| {
                let rule = self.chance.one_of(&["FREQ=HOURLY", "FREQ=HOURLY;COUNT=3"]);
                let rule = Recurrence::read(rule.expect("one of two")).expect("well formed");
                Box::new(Recurring { rule: rule.expect("a rule"), start: self.now })
            });
            let waits = until.is_some();
            let job = Job {
                recurring,
                retained: self.chance.once_in(4),
                operationtype,
                status: if waits { Status::Waiting } else { Status::WaitingForResources },
                cause: if waits { Cause::Postponed } else { Cause::None },
                postponeuntil: until,
                token: token.map(|token| Arc::from(format!("t{token}"))),
                definition,
                regarding: Some(id(n)),
                depth: if self.chance.once_in(60) { 9 } else { 1 },
                handler: (!self.chance.once_in(40)).then(|| Arc::new(handler)),
                ..Job::new(id(n), self.now, n as i64)
            };
            self.round.new.insert(job.id, job.clone());
            self.step(Event::Created { job, actor: Actor::Scheduler });
        }
    }

    fn report(&mut self, told: Option<Told>) -> Report {
        if told.is_some() && !self.chance.once_in(4) {
            return Report::of(Outcome::Canceled);
        }
        let busy = Report::failed(Some(0x8004_A001_u32 as i32), None);
        match self.chance.below(16) {
            0 => Report::failed(None, Some("no".into())),
            1 => Report::failed(Some(0x8004_0265_u32 as i32), None),
            2 => busy,
            3 => Report::of(Outcome::Retry),
            4 => Report::of(Outcome::Suspended),
            5 => {
                let until = self.now + self.chance.below(9 * SECOND as u64) as i64;
                Report::of(Outcome::Waits { until: Some(until) })
            }
            6 => Report::of(Outcome::Waits { until: None }),
            7 => Report::of(Outcome::Canceled),
            _ => Report::of(Outcome::Succeeded),
        }
    }

    /// Attempts whose time has come report, inside and at workers.
    fn finish(&mut self) {
        for remote in [false, true] {
            let list = if remote { &self.remote } else { &self.inside };
            let due = |e: &Execution| e.ends.is_some_and(|at| at <= self.now);
            let due: Vec<(Guid, Execution)> =
                list.iter().filter(|(_, e)| due(e)).map(|(id, e)| (*id, *e)).collect();
            for (id, execution) in due {
                let report = self.report(execution.told);
                let attempt = execution.attempt;
                let step = self.step(Event::Ended { id, attempt, report });
                let valid = execution.lease.is_none_or(|lease| lease > self.now);
                // A worker whose lease has ended may find that nobody has noticed.
                let deleted = !self.core_knows(&id, attempt) && step.late;
                assert!(!step.late || !valid || deleted, "a current attempt may report");
                self.round.ended.push(id);
            }
        }
    }

    fn core_knows(&self, id: &Guid, attempt: i32) -> bool {
        self.core.job(id).is_some_and(|job| job.is_locked() && job.attempt == attempt)
    }

    fn act(&mut self) {
        // Mostly of what has not ended.
        let all = self.chance.once_in(5);
        let known: Vec<Guid> = match all {
            true => self.disk.rows.keys().copied().collect(),
            false => self.disk.unfinished.iter().copied().collect(),
        };
        let Some(id) = self.chance.one_of(&known) else { return };
        let until = self.now + self.chance.below(15) as i64 * SECOND;
        let all = [
            Action::Cancel,
            Action::Pause,
            Action::Resume,
            Action::Resume,
            Action::Postpone(until),
            Action::Delete,
        ];
        let Some(action) = self.chance.one_of(&all) else { return };
        // As in the live scheduler: of what the core does not know the row is looked
        // at, so what came before has to be durable.
        let looks = action == Action::Delete || self.core.job(&id).is_none();
        if looks && !self.commit() {
            return self.crash();
        }
        let row = self.disk.rows.get(&id).cloned();
        let Some(job) = self.core.job(&id).cloned().or(row) else { return };
        let step = self.step(Event::Action { job, action, by: [7; 16], reason: None });
        if step.refused.is_none() {
            self.round.acted.push((id, action));
            if !matches!(action, Action::Pause | Action::Cancel) {
                self.paused.remove(&id);
            }
        }
    }

    fn work(&mut self) {
        let operationtypes = self.chance.once_in(2).then(|| vec![10, 54]);
        let max = 1 + self.chance.below(4) as usize;
        let event = Event::Claim { worker: "w".into(), operationtypes, max, lease: LEASE };
        let step = self.step(event);
        let lease = self.now + LEASE;
        let claimed = step.claimed.iter().map(|claimed| (claimed.id, claimed.attempt, lease));
        self.round.claimed.extend(claimed);
        let beating: Vec<(Guid, Execution)> = self.remote.iter().map(|(id, e)| (*id, *e)).collect();
        for (id, execution) in beating {
            // Some workers are lost for a while, or for ever.
            if self.chance.once_in(3) {
                continue;
            }
            let attempt = execution.attempt;
            let step = self.step(Event::Heartbeat { id, attempt, lease: LEASE });
            match step.beat {
                Some(Beat::Continue) => self.round.beats.push((id, attempt, lease)),
                Some(Beat::Told(told)) => {
                    self.round.beats.push((id, attempt, lease));
                    let ends = Some(self.now + SECOND);
                    self.remote.insert(id, Execution { told: Some(told), ends, ..execution });
                }
                Some(Beat::Lost) | None => {
                    self.remote.remove(&id);
                }
            }
        }
    }

    pub(super) fn turn(&mut self, calm: bool) {
        self.turns += 1;
        match self.chance.below(if calm { 6 } else { 17 }) {
            0 | 1 => self.work(),
            2..=5 => {
                let next =
                    [self.core.next_wake(), self.inside.values().filter_map(|e| e.ends).min()];
                let step = 1 + self.chance.below(4 * SECOND as u64) as i64;
                let next = next.into_iter().flatten().min().unwrap_or(self.now);
                self.now = if self.chance.once_in(2) {
                    next.clamp(self.now, self.now + 60 * SECOND)
                } else {
                    self.now + step
                };
            }
            6..=9 => self.submit(),
            10..=12 => self.act(),
            13 => {
                let all: Vec<Guid> = self.definitions.keys().copied().collect();
                if let Some(id) = self.chance.one_of(&all) {
                    let active = match self.chance.below(4) {
                        0 => Some(false),
                        1 => None,
                        _ => Some(true),
                    };
                    self.definitions.insert(id, active);
                    self.step(Event::Defined { id, definition: definition(id, active) });
                }
            }
            14 => {
                let waits = |id: &&Guid| self.disk.rows[*id].cause == Cause::Event;
                let id = self.disk.unfinished.iter().find(waits).copied();
                if let Some(id) = id {
                    self.step(Event::Happened { record: id });
                }
                if self.chance.once_in(20) {
                    self.now += 3_600 * SECOND;
                }
            }
            _ if self.chance.once_in(8) => {
                // Between two durable writes: what was not durable is not there.
                return self.crash();
            }
            _ if self.chance.once_in(8) => {
                self.step(Event::Stop);
                if self.commit() {
                    assert!(self.disk.rows.values().all(|job| !runs_inside(job)));
                }
                return self.crash();
            }
            _ => {}
        }
        self.finish();
        self.step(Event::Tick);
        if (self.chance.once_in(3) || calm) && !self.commit() {
            self.crash();
        }
        if self.turns.is_multiple_of(16) {
            self.check();
        }
    }
}
