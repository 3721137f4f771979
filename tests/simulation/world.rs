//! Whole worlds in virtual time: clients, handlers, workers and people over one
//! core, a disk that may be slow or fail, and crashes between any two durable
//! writes. All chance comes from a seed, so the same seed gives the same history.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sysjob::job::handler::{SimulatedOutcome, Simulation};
use sysjob::job::{Action, Handler, Outcome, Report, Status};
use sysjob::scheduler::Policies;
use sysjob::scheduler::core::{
    Actor, Beat, Cause, Change, Core, Definition, DefinitionState, Effect, Event, Job, JobChange,
    Step, Told,
};
use sysjob::scheduler::policy::{PoolPolicy, RateGuard, RepeatedFailure, Retry};
use sysjob::value::Guid;

use crate::model::id;

const SECOND: i64 = 1_000_000;
const LEASE: i64 = 30 * SECOND;
/// Seeds of a plain test run; README.md says how to run more.
const SEEDS: u64 = 40;

/// A stream of numbers from a seed: SplitMix64 (Steele, Lea and Flood, 2014).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    /// Happens once in so many times.
    fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> Option<T> {
        if all.is_empty() { None } else { Some(all[self.below(all.len() as u64) as usize]) }
    }
}

/// What a disk has.
#[derive(Default)]
struct Disk {
    rows: BTreeMap<Guid, Job>,
    definitions: BTreeMap<Guid, DefinitionState>,
    created: usize,
    deleted: usize,
    history: Vec<String>,
}

/// Work that goes on somewhere.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Execution {
    attempt: i32,
    /// When it will end; nothing for what hangs.
    ends: Option<i64>,
    told: Option<Told>,
    /// Until when a worker may believe that the job is its own.
    lease: Option<i64>,
}

/// A round that is not durable yet.
#[derive(Default)]
struct Round {
    changes: Vec<Change>,
    new: BTreeMap<Guid, Job>,
    effects: Vec<Effect>,
    claimed: Vec<(Guid, i32)>,
    beats: Vec<Guid>,
    ended: Vec<Guid>,
    acted: Vec<(Guid, Action)>,
}

struct World {
    chance: Chance,
    now: i64,
    core: Core,
    policies: Policies,
    disk: Disk,
    round: Round,
    /// Inside the service; they end with it.
    inside: BTreeMap<Guid, Execution>,
    /// At remote workers, who do not notice a crash.
    remote: BTreeMap<Guid, Execution>,
    /// Jobs that were acknowledged and not deleted since.
    acknowledged: BTreeSet<Guid>,
    /// Jobs whose cancel was acknowledged.
    canceled: BTreeSet<Guid>,
    workflows: BTreeMap<Guid, bool>,
    next: usize,
}

fn policies(chance: &mut Chance) -> Policies {
    Policies {
        pools: vec![PoolPolicy {
            name: "shared".into(),
            operationtypes: vec![10, 11],
            concurrency: 1 + chance.below(6) as usize,
        }],
        concurrency: 1 + chance.below(8) as usize,
        retry: Retry { max: 3, first: 2 * SECOND, longest: 20 * SECOND, jitter: 0.1 },
        repeated_failure: RepeatedFailure { after: 4, first: 10 * SECOND, longest: 60 * SECOND },
        rate_guard: RateGuard {
            window: 5 * SECOND,
            windows: 2,
            backlog: 10,
            suspend: chance.once_in(2),
            canaries: 1,
        },
        ..Policies::default()
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut chance = Chance(seed);
        let policies = policies(&mut chance);
        let mut world = Self {
            core: Core::new(policies.clone()),
            policies,
            chance,
            now: 1_000_000 * SECOND,
            disk: Disk::default(),
            round: Round::default(),
            inside: BTreeMap::new(),
            remote: BTreeMap::new(),
            acknowledged: BTreeSet::new(),
            canceled: BTreeSet::new(),
            workflows: (0..3).map(|n| ([200 + n; 16], true)).collect(),
            next: 0,
        };
        world.start();
        world
    }

    /// The service starts over what the disk has.
    fn start(&mut self) {
        self.core = Core::new(self.policies.clone());
        self.round = Round::default();
        for state in self.disk.definitions.values().copied().collect::<Vec<_>>() {
            self.step(Event::Remembered(state));
        }
        for (id, active) in self.workflows.clone() {
            let definition = Some(Definition { workflow: true, active, autodelete: id[0] == 202 });
            self.step(Event::Defined { id, definition });
        }
        let unfinished = |job: &&Job| job.status.statecode() < 3;
        let mut jobs: Vec<Job> = self.disk.rows.values().filter(unfinished).cloned().collect();
        jobs.sort_by_key(Job::place);
        for job in jobs {
            self.step(Event::Recovered(job));
        }
        // Nothing was answered yet, so a crash here is one more crash before.
        if !self.commit() {
            self.crash();
        }
    }

    fn crash(&mut self) {
        self.inside.clear();
        self.start();
    }

    fn step(&mut self, event: Event) -> Step {
        let mut step = self.core.step(event, self.now);
        self.round.changes.extend(step.changes.iter().cloned());
        self.round.effects.append(&mut step.effects);
        step
    }

    /// Makes the round durable and does what follows; false if the disk fails.
    fn commit(&mut self) -> bool {
        let round = std::mem::take(&mut self.round);
        if self.chance.once_in(20) {
            self.now += self.chance.below(3 * SECOND as u64) as i64;
        }
        if self.chance.once_in(400) {
            return false;
        }
        for (id, job) in round.new {
            let before = self.disk.rows.insert(id, job);
            assert!(before.is_none(), "a job is made once");
            self.disk.created += 1;
        }
        for change in round.changes {
            self.write(change);
        }
        self.check_tokens();
        if self.chance.once_in(200) {
            // It is durable, and nobody hears of it.
            return false;
        }
        self.acknowledge(round.ended, round.acted);
        for id in round.beats {
            // A worker counts from when it asked.
            let lease = self.disk.rows.get(&id).and_then(|job| job.lease);
            if let Some(execution) = self.remote.get_mut(&id) {
                execution.lease = lease.or(execution.lease);
            }
        }
        for (id, attempt) in round.claimed {
            self.begin(id, attempt, true);
        }
        for effect in round.effects {
            match effect {
                Effect::Start { id, attempt, .. } => self.begin(id, attempt, false),
                Effect::Tell { id, attempt, told } => {
                    let execution = self.inside.get_mut(&id).filter(|e| e.attempt == attempt);
                    let ends = self.now + self.chance.below(2 * SECOND as u64) as i64;
                    if let Some(execution) = execution {
                        execution.told = Some(told);
                        execution.ends = Some(execution.ends.map_or(ends, |at| at.min(ends)));
                    }
                }
                Effect::Abandon { id, attempt } => {
                    // It may go on for a while: its report has to be refused.
                    if self.inside.get(&id).is_some_and(|e| e.attempt == attempt) {
                        self.inside.remove(&id);
                        if self.chance.once_in(2) {
                            let report = Report::of(Outcome::Succeeded);
                            let step = self.step(Event::Ended { id, attempt, report });
                            assert!(step.late, "an abandoned attempt is fenced off");
                        }
                    }
                }
            }
        }
        true
    }

    fn acknowledge(&mut self, ended: Vec<Guid>, acted: Vec<(Guid, Action)>) {
        for id in ended {
            self.inside.remove(&id);
            self.remote.remove(&id);
        }
        for (id, action) in acted {
            match action {
                Action::Delete => {
                    self.acknowledged.remove(&id);
                    self.canceled.remove(&id);
                }
                Action::Cancel => {
                    self.canceled.insert(id);
                }
                _ => {}
            }
        }
    }

    /// Work begins: never while other work on the same job may go on.
    fn begin(&mut self, id: Guid, attempt: i32, remote: bool) {
        if let Some(other) = self.inside.get(&id) {
            panic!("two attempts at once: {attempt} beside {other:?}");
        }
        let valid = |e: &&Execution| e.lease.is_some_and(|lease| lease > self.now);
        if let Some(other) = self.remote.get(&id).filter(valid) {
            panic!("two attempts at once: {attempt} beside {other:?}");
        }
        let hangs = self.chance.once_in(12);
        let ends = self.now + self.chance.below(8 * SECOND as u64) as i64;
        let ends = (!hangs).then_some(ends);
        let lease = self.disk.rows.get(&id).and_then(|job| job.lease).filter(|_| remote);
        let execution = Execution { attempt, ends, told: None, lease };
        let list = if remote { &mut self.remote } else { &mut self.inside };
        list.insert(id, execution);
    }

    /// A change reaches the disk.
    fn write(&mut self, change: Change) {
        match change {
            Change::Lease { id, until } => {
                self.disk.rows.get_mut(&id).expect("a row").lease = Some(until);
            }
            Change::Definition(state) => {
                self.disk.definitions.insert(state.id, state);
            }
            Change::Job(change) => self.write_job(&change),
        }
    }

    fn write_job(&mut self, change: &JobChange) {
        let JobChange { id, from, to, attempt, at, reason, actor, .. } = change;
        self.disk.history.push(format!("{at} {id:?} {from:?} {to:?} {attempt} {actor} {reason}"));
        let row = self.disk.rows.get_mut(id).expect("only rows that are there change");
        assert!(*at >= row.since, "time does not run back");
        let Some(from) = from else { return };
        assert_eq!(*from, row.status, "history has no gap: {reason}");
        let Some(to) = to else {
            self.disk.rows.remove(id);
            self.disk.deleted += 1;
            self.acknowledged.remove(id);
            return;
        };
        assert!(from.statecode() < 3, "a completed job never changes: {reason}");
        let legal = match from.statecode() {
            0 => matches!(to.statecode(), 0 | 1 | 3) || *to == Status::InProgress,
            1 => matches!(to.statecode(), 0 | 3) || *to == Status::Waiting,
            _ => true,
        };
        assert!(legal, "{from:?} to {to:?}: {reason}");
        if *to == Status::InProgress {
            assert_eq!(*attempt, row.attempt + 1, "attempts are numbered one by one");
            assert!(!row.is_locked(), "a job starts when none of its attempts is under way");
        }
        row.apply(change);
        assert!(row.startedon.is_none_or(|started| started >= row.createdon));
        assert!(row.startedon.is_none_or(|started| row.since >= started));
    }

    /// A token's jobs never overlap and never swap.
    fn check_tokens(&self) {
        let mut first: BTreeMap<&Arc<str>, Vec<&Job>> = BTreeMap::new();
        for job in self.disk.rows.values().filter(|job| job.status.statecode() < 3) {
            if let Some(token) = job.chain() {
                first.entry(token).or_default().push(job);
            }
        }
        for (token, jobs) in first {
            let locked: Vec<&&Job> = jobs.iter().filter(|job| job.is_locked()).collect();
            assert!(locked.len() <= 1, "'{token}' runs twice");
            let oldest = jobs.iter().map(|job| job.place()).min();
            let in_order = locked.first().is_none_or(|job| Some(job.place()) == oldest);
            assert!(in_order, "'{token}' runs out of order");
        }
    }

    fn submit(&mut self) {
        let count = 1 + self.chance.below(12);
        for _ in 0..count {
            let n = self.next;
            self.next += 1;
            let operationtype = self.chance.one_of(&[10, 10, 11, 54, 1, 13]);
            let remote = self.chance.once_in(4);
            let token = self.chance.once_in(2).then(|| self.chance.below(6));
            let definition = self.chance.once_in(3).then(|| [200 + self.chance.below(3) as u8; 16]);
            let until =
                self.chance.once_in(8).then(|| self.now + self.chance.below(20) as i64 * SECOND);
            let until = until.filter(|until| *until > self.now);
            let simulation = Simulation::new(1.0, SimulatedOutcome::Succeed);
            let handler = if remote { Handler::Worker {} } else { Handler::simulate(simulation) };
            let waits = until.is_some();
            let job = Job {
                operationtype,
                status: if waits { Status::Waiting } else { Status::WaitingForResources },
                cause: if waits { Cause::Postponed } else { Cause::None },
                postponeuntil: until,
                token: token.map(|token| Arc::from(format!("t{token}"))),
                definition,
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
        match self.chance.below(14) {
            0 => Report::failed(None, Some("no".into())),
            1 => Report::failed(Some(0x8004_0265_u32 as i32), None),
            2 => busy,
            3 => Report::of(Outcome::Retry),
            4 => Report::of(Outcome::Suspended),
            5 => {
                let until = self.now + self.chance.below(9 * SECOND as u64) as i64;
                Report::of(Outcome::Waits { until: Some(until) })
            }
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
        let known: Vec<Guid> = self.disk.rows.keys().copied().collect();
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
        // As in the live scheduler: what came before is durable.
        if !self.commit() {
            return self.crash();
        }
        let row = self.disk.rows.get(&id).cloned();
        let Some(job) = self.core.job(&id).cloned().or(row) else { return };
        let step = self.step(Event::Action { job, action, by: [7; 16], reason: None });
        if step.refused.is_none() {
            self.round.acted.push((id, action));
        }
    }

    fn work(&mut self) {
        let operationtypes = self.chance.once_in(2).then(|| vec![10, 54]);
        let max = 1 + self.chance.below(4) as usize;
        let event = Event::Claim { worker: "w".into(), operationtypes, max, lease: LEASE };
        let step = self.step(event);
        let claimed = step.claimed.iter().map(|claimed| (claimed.id, claimed.attempt));
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
                Some(Beat::Continue) => self.round.beats.push(id),
                Some(Beat::Told(told)) => {
                    self.round.beats.push(id);
                    let ends = Some(self.now + SECOND);
                    self.remote.insert(id, Execution { told: Some(told), ends, ..execution });
                }
                Some(Beat::Lost) | None => {
                    self.remote.remove(&id);
                }
            }
        }
    }

    fn turn(&mut self, calm: bool) {
        match self.chance.below(if calm { 6 } else { 16 }) {
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
                let all: Vec<Guid> = self.workflows.keys().copied().collect();
                if let Some(id) = self.chance.one_of(&all) {
                    let active = !self.workflows[&id] || self.chance.once_in(2);
                    self.workflows.insert(id, active);
                    let row = Definition { workflow: true, active, autodelete: id[0] == 202 };
                    self.step(Event::Defined { id, definition: Some(row) });
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
        if self.chance.once_in(3) || calm {
            let new: Vec<Guid> = self.round.new.keys().copied().collect();
            if self.commit() {
                self.acknowledged
                    .extend(new.into_iter().filter(|id| self.disk.rows.contains_key(id)));
            } else {
                self.crash();
            }
        }
        self.check();
    }

    /// What holds at any time.
    fn check(&self) {
        for id in &self.acknowledged {
            assert!(self.disk.rows.contains_key(id), "an acknowledged job is there");
        }
        assert_eq!(self.disk.rows.len(), self.disk.created - self.disk.deleted, "counts add up");
        for id in &self.canceled {
            let row = self.disk.rows.get(id).map(|job| job.status);
            let kept = |s: Status| s == Status::Canceling || s.statecode() == 3;
            assert!(row.is_none_or(kept), "an acknowledged cancel is lost: {row:?}");
        }
    }

    /// Nothing new comes: every job ends, or says why it does not.
    fn calm_down(&mut self) {
        for _ in 0..400 {
            self.turn(true);
        }
        for job in self.disk.rows.values() {
            let why = self.core.why(job, self.now);
            let fine = match why.verdict {
                "ended" => job.status.statecode() == 3,
                "running" => job.is_locked(),
                "capacity" => {
                    let pool = why.chain[0].pool.as_ref().expect("a pool");
                    let remote = job.handler.as_ref().is_some_and(|handler| handler.is_remote());
                    remote || pool.running == pool.concurrency || self.core.next_wake().is_some()
                }
                "token" => why.chain.len() > 1 && why.chain[0].job.is_some(),
                "postponed" | "retry" | "repeated-failure" => {
                    job.postponeuntil.is_some() || why.chain[0].until.is_some()
                }
                "paused"
                | "suspended-by-error"
                | "no-handler"
                | "rate-guard"
                | "definition-deactivated" => true,
                _ => false,
            };
            assert!(fine, "{:?}: {why:?}", job.status);
        }
    }
}

fn runs_inside(job: &Job) -> bool {
    job.is_locked() && job.handler.as_ref().is_some_and(|handler| !handler.is_remote())
}

/// The history of a seed.
fn history(seed: u64) -> Vec<String> {
    let mut world = World::new(seed);
    let turns = 100 + world.chance.below(500);
    for _ in 0..turns {
        world.turn(false);
    }
    world.calm_down();
    world.disk.history
}

fn seeds() -> (u64, u64) {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    (number("SYSJOB_FIRST_SEED").unwrap_or(0), number("SYSJOB_SEEDS").unwrap_or(SEEDS))
}

#[test]
fn every_seed_keeps_the_rules() {
    let (first, count) = seeds();
    let mut transitions = 0;
    for seed in first..first + count {
        let run = std::panic::catch_unwind(|| history(seed));
        let Ok(history) = run else { panic!("seed {seed} breaks a rule: see above") };
        transitions += history.len();
    }
    println!("{count} seeds, {transitions} transitions");
}

#[test]
fn the_same_seed_gives_the_same_history() {
    for seed in [1, 2, 3] {
        let history = history(seed);
        assert!(history.len() > 500, "much has happened: {}", history.len());
        assert!(history == self::history(seed), "seed {seed} gives two histories");
    }
}
