//! The core against a naive model: a list of jobs, sorted anew for every pick.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use sysjob::job::handler::{SimulatedOutcome, Simulation};
use sysjob::job::{Action, Handler, Outcome, Report, Status, Transition};
use sysjob::scheduler::Policies;
use sysjob::scheduler::core::{
    Actor, Cause, Change, Core, Definition, Effect, Event, Job, JobChange,
};
use sysjob::scheduler::policy::{PoolPolicy, RepeatedFailure, Retry};
use sysjob::value::Guid;

const SECOND: i64 = 1_000_000;

pub fn id(n: usize) -> Guid {
    let mut id = [0; 16];
    // Ids do not rise with the order of arrival.
    id[..8].copy_from_slice(&(n as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    id[8..].copy_from_slice(&(n as u64).to_be_bytes());
    id
}

/// Something that happens; numbers choose among what there is.
#[derive(Clone, Debug)]
enum Happening {
    Arrives { age: u8, wait: Option<u8>, token: Option<u8>, kind: u8, handler: u8 },
    Ends { n: usize, outcome: u8, late: bool },
    Acts { n: usize, action: u8, wait: u8 },
    Claims { kinds: u8, max: usize },
    Beats { n: usize },
    Workflow { active: bool },
    Happens { n: usize },
    Passes(u8),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        8 => (any::<u8>(), proptest::option::weighted(0.2, 0..60_u8),
              proptest::option::weighted(0.6, 0..4_u8), any::<u8>(), any::<u8>())
            .prop_map(|(age, wait, token, kind, handler)| {
                Happening::Arrives { age, wait, token, kind, handler }
            }),
        8 => (any::<usize>(), any::<u8>(), proptest::bool::weighted(0.1))
            .prop_map(|(n, outcome, late)| Happening::Ends { n, outcome, late }),
        4 => (any::<usize>(), any::<u8>(), 0..60_u8)
            .prop_map(|(n, action, wait)| Happening::Acts { n, action, wait }),
        2 => (any::<u8>(), 1..4_usize).prop_map(|(kinds, max)| Happening::Claims { kinds, max }),
        1 => any::<usize>().prop_map(|n| Happening::Beats { n }),
        1 => any::<bool>().prop_map(|active| Happening::Workflow { active }),
        1 => any::<usize>().prop_map(|n| Happening::Happens { n }),
        4 => (0..30_u8).prop_map(Happening::Passes),
    ]
}

/// Kinds of jobs: two types that share a pool, one with its own, plug-ins.
const KINDS: [i32; 4] = [10, 11, 54, 1];
const LEASE: i64 = 20 * SECOND;

fn policies() -> Policies {
    Policies {
        pools: vec![PoolPolicy {
            name: "shared".into(),
            operationtypes: vec![10, 11],
            concurrency: 2,
        }],
        concurrency: 3,
        // What the failures of others do is not in the model.
        repeated_failure: RepeatedFailure { after: 0, first: 0, longest: 0 },
        retry: Retry { max: 2, first: 5 * SECOND, longest: 8 * SECOND, jitter: 0.1 },
        ..Policies::default()
    }
}

/// The workflow of every second job.
fn workflow() -> Guid {
    [0xEE; 16]
}

/// The naive model.
#[derive(Default)]
struct Model {
    jobs: Vec<Job>,
    inactive: bool,
}

impl Model {
    fn find(&mut self, id: Guid) -> Option<&mut Job> {
        self.jobs.iter_mut().find(|job| job.id == id)
    }

    fn running(&self, operationtype: i32) -> usize {
        let pool = |t: i32| if t == 11 { 10 } else { t };
        let same = |job: &&Job| {
            job.is_locked()
                && job.handler.is_some()
                && pool(job.operationtype.unwrap_or(0)) == pool(operationtype)
        };
        self.jobs.iter().filter(same).count()
    }

    fn may_start(&self, job: &Job, now: i64, remote: bool) -> bool {
        let operationtype = job.operationtype.unwrap_or(0);
        let concurrency = if operationtype == 10 || operationtype == 11 { 2 } else { 3 };
        let in_front = |other: &&Job| {
            other.id != job.id
                && operationtype != 1
                && other.operationtype != Some(1)
                && other.token.is_some()
                && other.token == job.token
                && other.status.statecode() < 3
                && (other.place() < job.place() || other.is_locked())
        };
        job.status == Status::WaitingForResources
            && job.postponeuntil.is_none_or(|until| until <= now)
            && job.handler.as_ref().is_some_and(|handler| handler.is_remote() == remote)
            && self.running(operationtype) < concurrency
            && !self.jobs.iter().any(|other| in_front(&other))
    }

    /// The next job to start, found by sorting.
    fn next(&self, now: i64, remote: bool, kinds: &[i32]) -> Option<Guid> {
        let mut sorted: Vec<&Job> = self.jobs.iter().collect();
        sorted.sort_by_key(|job| job.place());
        let wanted = |job: &&&Job| {
            kinds.contains(&job.operationtype.unwrap_or(0)) && self.may_start(job, now, remote)
        };
        sorted.iter().find(wanted).map(|job| job.id)
    }

    fn start(&mut self, id: Guid, now: i64, lease: Option<i64>) -> bool {
        let inactive = self.inactive;
        let job = self.find(id).expect("a known job");
        if inactive && job.definition.is_some() {
            job.status = Status::Canceled;
            return false;
        }
        (job.status, job.cause, job.postponeuntil) = (Status::InProgress, Cause::None, None);
        (job.startedon, job.lease) = (Some(now), lease);
        job.attempt += 1;
        true
    }

    /// What time does, and the picks.
    fn settle(&mut self, now: i64) {
        let retry = policies().retry;
        for job in &mut self.jobs {
            // What nobody runs here stands still.
            let here = job.handler.is_some();
            if here && job.status == Status::Waiting && job.postponeuntil.is_some_and(|t| t <= now)
            {
                (job.status, job.cause) = (Status::WaitingForResources, Cause::None);
                job.postponeuntil = None;
            }
            if job.is_locked() && job.lease.is_some_and(|end| end <= now) {
                (job.lease, job.cause) = (None, Cause::None);
                match job.status {
                    Status::Canceling => job.status = Status::Canceled,
                    Status::Pausing => job.status = Status::Waiting,
                    _ => {
                        job.status = Status::WaitingForResources;
                        job.retrycount += 1;
                    }
                }
                if job.status == Status::Waiting && job.postponeuntil.is_some_and(|t| t <= now) {
                    (job.status, job.postponeuntil) = (Status::WaitingForResources, None);
                }
            }
            let limit = job.operationtype == Some(1) && job.lease.is_none();
            if job.is_locked() && limit && job.startedon.is_some_and(|s| s + 120 * SECOND <= now) {
                let code = Some(0x8004_4171_u32 as i32);
                let told = job.status != Status::InProgress;
                let report =
                    if told { Report::of(Outcome::Canceled) } else { Report::failed(code, None) };
                end(job, &report, now, &retry);
                if job.status == Status::Waiting && job.postponeuntil.is_some_and(|t| t <= now) {
                    (job.status, job.postponeuntil) = (Status::WaitingForResources, None);
                }
            }
        }
        while let Some(id) = self.next(now, false, &KINDS) {
            self.start(id, now, None);
        }
    }
}

/// What the end of an attempt makes of a job.
fn end(job: &mut Job, report: &Report, now: i64, retry: &Retry) {
    let workflow = job.operationtype == Some(10);
    let asked = job.status;
    job.lease = None;
    let transient = report.errorcode == Some(0x8004_A001_u32 as i32);
    let again = |job: &mut Job| {
        if job.retrycount < retry.max {
            job.retrycount += 1;
            job.status = Status::Waiting;
            job.postponeuntil = Some(now + retry.wait(&job.id, job.retrycount));
        } else if workflow {
            (job.status, job.postponeuntil) = (Status::Waiting, None);
        } else {
            job.status = Status::Failed;
        }
    };
    match (asked, report.outcome) {
        (_, Outcome::Succeeded) => job.status = Status::Succeeded,
        (Status::Pausing | Status::Canceling, Outcome::Failed) => job.status = Status::Failed,
        (Status::Canceling, _) => job.status = Status::Canceled,
        (Status::Pausing, _) => job.status = Status::Waiting,
        (_, Outcome::Canceled) => job.status = Status::Canceled,
        (_, Outcome::Retry) => again(job),
        (_, Outcome::Failed) if transient => again(job),
        (_, Outcome::Failed) if !workflow || report.errorcode.is_some() => {
            job.status = Status::Failed;
        }
        (_, Outcome::Failed | Outcome::Suspended) => {
            (job.status, job.postponeuntil) = (Status::Waiting, None);
        }
        (_, Outcome::Waits { until }) => {
            (job.status, job.postponeuntil) = (Status::Waiting, until);
            job.cause = if until.is_none() { Cause::Event } else { Cause::Timer };
        }
    }
}

fn report(n: u8, now: i64) -> Report {
    let outcome = match n % 10 {
        0 => Outcome::Failed,
        1 => return Report::failed(Some(0x8004_A001_u32 as i32), None),
        2 => return Report::failed(Some(0x8004_0265_u32 as i32), None),
        3 => Outcome::Retry,
        4 => Outcome::Suspended,
        5 => Outcome::Canceled,
        6 => Outcome::Waits { until: (n > 100).then_some(now + 7 * SECOND) },
        _ => Outcome::Succeeded,
    };
    Report::of(outcome)
}

/// The statuses of jobs as the changes of the core tell them.
#[derive(Default)]
struct Shown {
    jobs: BTreeMap<Guid, Job>,
}

impl Shown {
    fn see(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Job(JobChange { from: None, .. }) | Change::Definition(_) => {}
                Change::Job(change @ JobChange { to: Some(_), .. }) => {
                    let job = self.jobs.get_mut(&change.id).expect("a known job");
                    assert_eq!(change.from, Some(job.status), "history has no gap");
                    assert!(job.status.statecode() < 3, "what has ended stays so");
                    job.apply(change);
                }
                Change::Job(change) => {
                    self.jobs.remove(&change.id).expect("a known job");
                }
                Change::Lease { id, until } => {
                    self.jobs.get_mut(id).expect("a known job").lease = Some(*until);
                }
            }
        }
    }
}

fn run(happenings: &[Happening]) -> Vec<Change> {
    let mut core = Core::new(policies());
    let mut model = Model::default();
    let mut shown = Shown::default();
    let mut now = 1_000 * SECOND;
    let mut past: Vec<(Guid, i32)> = Vec::new();
    let mut log = Vec::new();
    let row = |active| Some(Definition { workflow: true, active, autodelete: false });
    for (n, happening) in happenings.iter().enumerate() {
        let event = match happening {
            Happening::Arrives { age, wait, token, kind, handler } => {
                let until = wait.map(|wait| now + i64::from(wait) * SECOND);
                let simulation = Simulation::new(1.0, SimulatedOutcome::Succeed);
                let waits = until.is_some();
                let createdon = now - i64::from(*age) * SECOND;
                let job = Job {
                    operationtype: Some(KINDS[usize::from(kind % 4)]),
                    status: if waits { Status::Waiting } else { Status::WaitingForResources },
                    cause: if waits { Cause::Postponed } else { Cause::None },
                    since: now,
                    postponeuntil: until,
                    token: token.map(|token| Arc::from(format!("token {token}"))),
                    definition: kind.is_multiple_of(3).then(workflow),
                    regarding: Some(id(n)),
                    handler: match handler % 8 {
                        0 => None,
                        1 | 2 => Some(Arc::new(Handler::Worker {})),
                        _ => Some(Arc::new(Handler::simulate(simulation))),
                    },
                    ..Job::new(id(n), createdon, n as i64)
                };
                model.jobs.push(job.clone());
                shown.jobs.insert(job.id, job.clone());
                Event::Created { job, actor: Actor::Scheduler }
            }
            Happening::Ends { n, outcome, late } => {
                let running = |job: &&Job| job.is_locked() && job.handler.is_some();
                let current: Vec<(Guid, i32)> =
                    model.jobs.iter().filter(running).map(|job| (job.id, job.attempt)).collect();
                let from = if *late { &past } else { &current };
                let Some((id, attempt)) = from.get(n % from.len().max(1)).copied() else {
                    continue;
                };
                let report = report(*outcome, now);
                if current.contains(&(id, attempt)) {
                    let job = model.find(id).expect("it runs");
                    end(job, &report, now, &policies().retry);
                }
                Event::Ended { id, attempt, report }
            }
            Happening::Acts { n, action, wait } => {
                let Some(job) = model.jobs.get(n % model.jobs.len().max(1)).cloned() else {
                    continue;
                };
                let action = match action % 5 {
                    0 => Action::Cancel,
                    1 => Action::Pause,
                    2 => Action::Resume,
                    3 => Action::Postpone(now + i64::from(*wait) * SECOND),
                    _ => Action::Delete,
                };
                let runs = job.is_locked() && job.handler.is_some();
                match action.transition(job.status, job.operationtype) {
                    Ok(Transition::Deleted) => model.jobs.retain(|other| other.id != job.id),
                    Ok(transition) => {
                        let job = model.find(job.id).expect("a known job");
                        job.status = transition.passing(runs).expect("not deleted");
                        job.postponeuntil = match transition {
                            Transition::Suspended { until } => until,
                            _ => None,
                        };
                        job.cause = Cause::None;
                    }
                    Err(_) => {}
                }
                Event::Action { job, action, by: [9; 16], reason: None }
            }
            Happening::Claims { kinds, max } => {
                let kinds: Vec<i32> =
                    (0..4).filter(|k| kinds & (1 << k) != 0).map(|k| KINDS[k]).collect();
                model.settle(now);
                let mut got = 0;
                while got < *max
                    && let Some(id) = model.next(now, true, &kinds)
                {
                    got += usize::from(model.start(id, now, Some(now + LEASE)));
                }
                let operationtypes = Some(kinds);
                Event::Claim { worker: "w".into(), operationtypes, max: *max, lease: LEASE }
            }
            Happening::Beats { n } => {
                let leased: Vec<&mut Job> =
                    model.jobs.iter_mut().filter(|job| job.lease.is_some()).collect();
                let count = leased.len().max(1);
                let Some(job) = leased.into_iter().nth(n % count) else { continue };
                job.lease = Some(now + LEASE);
                Event::Heartbeat { id: job.id, attempt: job.attempt, lease: LEASE }
            }
            Happening::Workflow { active } => {
                model.inactive = !active;
                Event::Defined { id: workflow(), definition: row(*active) }
            }
            Happening::Happens { n } => {
                let count = model.jobs.len().max(1);
                let Some(job) = model.jobs.get_mut(n % count) else { continue };
                if job.status == Status::Waiting
                    && job.cause == Cause::Event
                    && job.handler.is_some()
                {
                    job.status = Status::WaitingForResources;
                }
                Event::Happened { record: job.id }
            }
            Happening::Passes(seconds) => {
                now += i64::from(*seconds) * SECOND;
                Event::Tick
            }
        };
        model.settle(now);
        let step = core.step(event, now);
        for effect in &step.effects {
            if let Effect::Start { id, attempt, .. } = effect {
                past.push((*id, *attempt));
            }
        }
        past.extend(step.claimed.iter().map(|claimed| (claimed.id, claimed.attempt)));
        shown.see(&step.changes);
        log.extend(step.changes);
        assert_eq!(model.jobs.len(), shown.jobs.len());
        for expected in &model.jobs {
            let job = &shown.jobs[&expected.id];
            let facts = |job: &Job| (job.status, job.attempt, job.retrycount, job.lease);
            assert_eq!(facts(job), facts(expected), "after {n} {happening:?}");
            if job.status == Status::Waiting {
                assert_eq!(job.postponeuntil, expected.postponeuntil, "after {n} {happening:?}");
            }
            // What waits says why, and what is known waits for something.
            let why = core.why(job, now);
            assert!(!why.chain.is_empty() && !why.text.is_empty());
            match job.status.statecode() {
                3 => assert_eq!(why.verdict, "ended"),
                2 => assert_eq!(why.verdict, "running"),
                _ => assert!(!matches!(why.verdict, "ended" | "running"), "{why:?}"),
            }
        }
    }
    log
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn the_core_does_what_the_naive_model_does(
        happenings in proptest::collection::vec(happening(), 0..250),
    ) {
        let first = run(&happenings);
        prop_assert_eq!(first, run(&happenings), "the same events, the same changes");
    }
}
