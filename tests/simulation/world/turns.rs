//! What happens in a world: clients submit, people act, handlers and workers report,
//! workflows come and go, time passes, and now and then all of it falls over.

use std::sync::Arc;

use sysjob::job::handler::{SimulatedOutcome, Simulation};
use sysjob::job::{Action, Handler, Outcome, Recurrence, Report, Status};
use sysjob::scheduler::core::{Actor, Beat, Cause, Event, Job, Recurring};
use sysjob::value::Guid;

use super::{Execution, LEASE, SECOND, World, definition, enough, runs_inside};
use crate::model::id;

/// Records that jobs are about.
const RECORDS: u64 = 8;

fn record(n: u64) -> Guid {
    [100 + n as u8; 16]
}

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
            let told = [SimulatedOutcome::Succeed, SimulatedOutcome::Retry, SimulatedOutcome::Fail];
            let attempts = self.chance.once_in(6).then(|| 1 + self.chance.below(4) as i32);
            let simulation = Simulation {
                attempts_until_success: attempts,
                ..Simulation::new(1.0, self.chance.one_of(&told).expect("one of three"))
            };
            let record = self.chance.once_in(3).then(|| record(self.chance.below(RECORDS)));
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
                regarding: record,
                depth: if self.chance.once_in(60) { 9 } else { 1 },
                handler: (!self.chance.once_in(40)).then(|| Arc::new(handler)),
                ..Job::new(id(n), self.now, n as i64)
            };
            self.round.new.insert(job.id, job.clone());
            self.step(Event::Created { job, actor: Actor::Scheduler });
        }
    }

    fn report(&mut self, id: Guid, execution: &Execution) -> Report {
        if execution.told.is_some() && !self.chance.once_in(4) {
            return Report::of(Outcome::Canceled);
        }
        if execution.listens.is_some() {
            return Report::of(Outcome::Waits { until: None });
        }
        let row = &self.disk.rows[&id];
        if let (Some(_), Some(Handler::Simulate(told))) = (enough(row), row.handler.as_deref()) {
            return told.end(execution.attempt).expect("it does not hang");
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
                let attempt = execution.attempt;
                // Its row is gone once its deletion is durable.
                let report = match self.disk.rows.contains_key(&id) {
                    true => self.report(id, &execution),
                    false => Report::of(Outcome::Succeeded),
                };
                let waits = matches!(report.outcome, Outcome::Waits { until: None });
                let step = self.step(Event::Ended { id, attempt, report });
                if execution.listens == Some(true) && waits && !step.late {
                    let missed = self.core.job(&id).is_some_and(|job| job.cause == Cause::Event);
                    assert!(!missed, "what happens before a wait is not missed");
                }
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
        let kinds: [Option<&[i32]>; 5] =
            [None, Some(&[10, 54]), Some(&[11]), Some(&[10]), Some(&[1, 13])];
        let kinds = self.chance.one_of(&kinds).expect("one of five");
        let operationtypes = kinds.map(<[i32]>::to_vec);
        let max = 1 + self.chance.below(4) as usize;
        let worker: Arc<str> = self.chance.one_of(&["w", "v", "u"]).expect("one of three").into();
        let (kept, types) = (self.core.waits_for(&worker), operationtypes.clone());
        let event = Event::Claim { worker: worker.clone(), operationtypes, max, lease: LEASE };
        let step = self.step(event);
        let got = step.claimed.len();
        if kept && got > 0 {
            self.paths.count("the worker a place was kept for gets a job");
        }
        if got < max && self.chance.once_in(2) {
            let until = self.now + 10 * SECOND;
            self.step(Event::Wants { worker, operationtypes: types, max: max - got, until });
            self.paths.count("a place is kept for a worker");
        }
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

    /// Somebody changes a record: nothing that waits for that goes on waiting.
    fn record_changes(&mut self, record: Guid) {
        let about = |row: &Job| row.regarding == Some(record);
        let mut heard = false;
        for (id, execution) in &mut self.inside {
            if let Some(happened) = &mut execution.listens
                && self.disk.rows.get(id).is_some_and(about)
            {
                (*happened, heard) = (true, true);
            }
        }
        let step = self.step(Event::Happened { record });
        if !heard && step.jobs().next().is_none() {
            self.paths.count("a record nobody waits for has changed");
        }
        let waits = |job: &&Job| about(job) && job.cause == Cause::Event && !job.is_locked();
        let left = self.core.jobs().filter(|job| job.status == Status::Waiting).find(waits);
        assert!(left.is_none(), "it waits for what has happened: {left:?}");
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
                    let waiting = self.core.jobs().any(|job| {
                        let remote = job.handler.as_ref().is_some_and(|h| h.is_remote());
                        let ready = job.status == Status::WaitingForResources;
                        remote && ready && job.definition == Some(id)
                    });
                    if id[0] != 203 && active == Some(false) && waiting {
                        let path = "a workflow is deactivated while its jobs wait for workers";
                        self.paths.count(path);
                    }
                    self.step(Event::Defined { id, definition: definition(id, active) });
                }
            }
            14 => {
                let n = self.chance.below(RECORDS);
                self.record_changes(record(n));
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
