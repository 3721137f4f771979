//! The pure scheduler under random events. A [`World`] holds the rows as the
//! changes leave them and judges each change by the rules alone: who may start,
//! who has to, and that every job ends once. Crashes throw the scheduler away
//! and hand the unfinished rows to a new one.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use sysjob::job::handler::{SimulatedOutcome, Simulation};
use sysjob::job::{Handler, Outcome, Status};
use sysjob::scheduler::core::{Change, Core, Effect, Event, Job, Step};
use sysjob::value::Guid;

/// What happens next; numbers choose among what is there then.
#[derive(Clone, Debug)]
enum Action {
    Create {
        createdon: i64,
        status: Status,
        postponed: Option<i64>,
        handler: bool,
    },
    /// A running job once more.
    CreateAgain(usize),
    End {
        running: usize,
        outcome: Outcome,
    },
    /// A result of an attempt that is not, or no longer, the current one.
    EndStale {
        job: usize,
        attempt: u64,
    },
    Pass(i64),
    /// Time goes on to just before the next wake, then to it.
    PassToWake,
    Crash,
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Succeeded),
        Just(Outcome::Failed { errorcode: Some(-1), message: None }),
        Just(Outcome::Canceled),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    let status = prop_oneof![
        8 => Just(Status::WaitingForResources),
        3 => Just(Status::Waiting),
        1 => Just(Status::Succeeded),
    ];
    let postponed = prop_oneof![2 => Just(None), 1 => (-20..50_i64).prop_map(Some)];
    // Few different times, so that `sequence` has to decide.
    let create = (0..4_i64, status, postponed, prop::bool::weighted(0.85)).prop_map(
        |(createdon, status, postponed, handler)| Action::Create {
            createdon,
            status,
            postponed,
            handler,
        },
    );
    prop_oneof![
        12 => create,
        1 => any::<usize>().prop_map(Action::CreateAgain),
        8 => (any::<usize>(), outcome())
            .prop_map(|(running, outcome)| Action::End { running, outcome }),
        2 => (any::<usize>(), 0..40_u64)
            .prop_map(|(job, attempt)| Action::EndStale { job, attempt }),
        3 => (0..30_i64).prop_map(Action::Pass),
        2 => Just(Action::PassToWake),
        1 => Just(Action::Crash),
    ]
}

/// A handler that can be told from others.
fn handler(number: usize) -> Handler {
    Handler::Simulate(Simulation {
        duration_ms: number as f64,
        outcome: SimulatedOutcome::Succeed,
        errorcode: None,
        message: None,
    })
}

/// A job's row and what the scheduler was seen doing with it.
#[derive(Clone, Debug)]
struct Row {
    job: Job,
    /// The current attempt and its start.
    attempt: Option<(u64, i64)>,
    ends: usize,
}

impl Row {
    /// Whether the job may start at a time.
    fn is_due(&self, now: i64) -> bool {
        self.is_scheduled() && self.job.postponeuntil.is_none_or(|until| until <= now)
    }

    /// Whether the job will start some time without anybody doing anything.
    fn is_scheduled(&self) -> bool {
        self.job.handler.is_some()
            && match self.job.status {
                Status::WaitingForResources => true,
                Status::Waiting => self.job.postponeuntil.is_some(),
                _ => false,
            }
    }

    fn place(&self) -> (i64, i64) {
        (self.job.createdon, self.job.sequence)
    }
}

struct World {
    capacity: usize,
    core: Core,
    now: i64,
    rows: BTreeMap<Guid, Row>,
    /// Attempts that this scheduler has started.
    attempts: BTreeSet<u64>,
    trace: Vec<Step>,
}

impl World {
    fn new(capacity: usize) -> Self {
        Self {
            capacity,
            core: Core::new(capacity),
            now: 1_000,
            rows: BTreeMap::new(),
            attempts: BTreeSet::new(),
            trace: Vec::new(),
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Create { createdon, status, postponed, handler: with } => {
                let number = self.rows.len();
                let mut id = [0; 16];
                // Ids fall while sequences rise: the id must not decide.
                id[..8].copy_from_slice(&(u64::MAX - number as u64).to_be_bytes());
                let job = Job {
                    id,
                    createdon,
                    sequence: number as i64,
                    status,
                    postponeuntil: postponed.map(|wait| self.now + wait),
                    retrycount: 0,
                    executed: 0.0,
                    handler: with.then(|| handler(number)),
                };
                self.rows.insert(id, Row { job: job.clone(), attempt: None, ends: 0 });
                self.step(Event::Created(job));
            }
            Action::CreateAgain(number) => {
                let Some((id, _)) = pick(&self.running(), number).copied() else { return };
                let job = self.rows[&id].job.clone();
                let step =
                    self.step(Event::Created(Job { status: Status::WaitingForResources, ..job }));
                assert_eq!(step, Step::default(), "a job that is known is not another one");
            }
            Action::End { running, outcome } => {
                if let Some((id, attempt)) = pick(&self.running(), running).copied() {
                    self.step(Event::Ended { id, attempt, outcome });
                    assert_eq!(self.rows[&id].ends, 1, "the end of the attempt counts");
                }
            }
            Action::EndStale { job, attempt } => {
                let ids: Vec<Guid> = self.rows.keys().copied().collect();
                let Some(id) = pick(&ids, job).copied() else { return };
                if self.rows[&id].attempt.is_some_and(|(current, _)| current == attempt) {
                    return;
                }
                let outcome = Outcome::Succeeded;
                let step = self.step(Event::Ended { id, attempt, outcome });
                assert_eq!(step, Step::default(), "a result of an old attempt changes nothing");
            }
            Action::Pass(time) => {
                self.now += time;
                self.step(Event::Tick);
            }
            Action::PassToWake => {
                let Some(wake) = self.core.next_wake() else { return };
                self.now = wake - 1;
                let step = self.step(Event::Tick);
                assert_eq!(step, Step::default(), "nothing happens before its time");
                self.now = wake;
                self.step(Event::Tick);
            }
            Action::Crash => self.crash(),
        }
    }

    fn crash(&mut self) {
        self.core = Core::new(self.capacity);
        self.attempts.clear();
        self.rows.values_mut().for_each(|row| row.attempt = None);
        let rows = std::mem::take(&mut self.rows);
        let (mut unfinished, ended): (Vec<_>, Vec<_>) = rows
            .into_iter()
            .partition(|(_, row)| row.job.status.statecode() < Status::Succeeded.statecode());
        unfinished.sort_by_key(|(_, row)| row.place());
        self.rows.extend(ended);
        // The scheduler learns of them one after the other, and so does the world.
        for (id, row) in unfinished {
            let job = row.job.clone();
            self.rows.insert(id, row);
            let step = self.step(Event::Recovered(job.clone()));
            let again = Change::Ready { id, at: self.now, retrycount: job.retrycount + 1 };
            let cut_off = job.status == Status::InProgress;
            assert_eq!(step.changes.contains(&again), cut_off, "{job:?} is recovered: {step:?}");
        }
    }

    /// One step of the scheduler, judged.
    fn step(&mut self, event: Event) -> Step {
        let now = self.now;
        let (mut recovered, mut ended) = (None, None);
        match &event {
            Event::Recovered(job) => recovered = Some(job.id),
            Event::Ended { id, attempt, .. } => ended = Some((*id, *attempt)),
            Event::Created(_) | Event::Tick => {}
        }
        let step = self.core.step(event, now);
        let mut effects = step.effects.iter();
        for change in &step.changes {
            match change {
                Change::Started { id, at } => {
                    assert_eq!(*at, now);
                    let effect = effects.next().expect("a start has its work");
                    self.started(*id, effect);
                }
                Change::Ended { id, at, outcome, executed } => {
                    let row = self.rows.get_mut(id).expect("a job with a row");
                    let (attempt, started) = row.attempt.take().expect("only a running job ends");
                    assert_eq!((Some((*id, attempt)), *at), (ended, now));
                    let took = (now - started) as f64 / 1e6;
                    assert!((executed - row.job.executed - took).abs() < 1e-9, "{executed} s");
                    row.ends += 1;
                    row.job.status = match outcome {
                        Outcome::Succeeded => Status::Succeeded,
                        Outcome::Failed { .. } => Status::Failed,
                        Outcome::Canceled => Status::Canceled,
                    };
                }
                Change::Ready { id, at, retrycount } => {
                    assert_eq!(*at, now);
                    let row = self.rows.get_mut(id).expect("a job with a row");
                    if recovered == Some(*id) && row.job.status == Status::InProgress {
                        row.job.retrycount += 1;
                    } else {
                        assert_eq!(row.job.status, Status::Waiting, "{row:?} wakes");
                        assert!(row.is_due(now), "{row:?} wakes before its time, {now}");
                    }
                    assert_eq!(*retrycount, row.job.retrycount);
                    row.job.status = Status::WaitingForResources;
                    row.job.postponeuntil = None;
                }
            }
        }
        assert_eq!(effects.next(), None, "work without a start: {step:?}");
        self.judge();
        self.trace.push(step.clone());
        step
    }

    fn started(&mut self, id: Guid, effect: &Effect) {
        let Effect::Start { id: worked_on, attempt, handler } = effect;
        assert_eq!(*worked_on, id);
        assert!(self.attempts.insert(*attempt), "attempt {attempt} is used again");
        let due = self.rows.values_mut().filter(|row| row.is_due(self.now));
        let first = due.min_by_key(|row| row.place()).expect("somebody is due");
        assert_eq!(first.job.id, id, "the first of those that may start is {first:?}");
        assert_eq!(first.job.handler.as_ref(), Some(handler));
        first.job.status = Status::InProgress;
        first.attempt = Some((*attempt, self.now));
    }

    /// What holds after every step.
    fn judge(&self) {
        let running = self.running().len();
        assert!(running <= self.capacity, "{running} jobs run at once");
        assert_eq!(self.core.running(), running);
        let due: Vec<&Row> = self.rows.values().filter(|row| row.is_due(self.now)).collect();
        assert_eq!(self.core.waiting(), due.len(), "{due:?}");
        assert!(due.is_empty() || running == self.capacity, "idle beside {due:?}");
        let later = self.rows.values().filter(|row| row.is_scheduled() && !row.is_due(self.now));
        assert_eq!(self.core.next_wake(), later.filter_map(|row| row.job.postponeuntil).min());
        for row in self.rows.values() {
            assert!(row.ends <= 1, "{row:?} ended more than once");
            assert!(row.job.handler.is_some() || row.attempt.is_none(), "{row:?} has no handler");
        }
    }

    fn running(&self) -> Vec<(Guid, u64)> {
        let attempt = |row: &Row| row.attempt.map(|(attempt, _)| (row.job.id, attempt));
        self.rows.values().filter_map(attempt).collect()
    }

    /// Lets everything come to its end.
    fn drain(&mut self) {
        loop {
            if !self.running().is_empty() {
                self.now += 1;
                self.act(Action::End { running: 0, outcome: Outcome::Succeeded });
            } else if self.core.next_wake().is_some() {
                self.act(Action::PassToWake);
            } else {
                break;
            }
        }
        for row in self.rows.values() {
            assert!(!row.is_scheduled(), "{row:?} never ran");
        }
    }
}

fn pick<T>(from: &[T], number: usize) -> Option<&T> {
    from.get(number.checked_rem(from.len())?)
}

fn run(capacity: usize, actions: &[Action]) -> Vec<Step> {
    let mut world = World::new(capacity);
    actions.iter().for_each(|action| world.act(action.clone()));
    world.drain();
    world.trace
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..Default::default()
    })]

    /// All rules are checked on the way; the second run takes the same steps.
    #[test]
    fn the_rules_hold_and_the_same_events_give_the_same_steps(
        capacity in 1..5_usize,
        actions in vec(action(), 1..120),
    ) {
        prop_assert_eq!(run(capacity, &actions), run(capacity, &actions));
    }

    /// A crash may come at any time; the job still ends once and counts one
    /// retry for each crash that cut it off.
    #[test]
    fn every_crash_of_a_running_job_is_one_retry(
        crashes in 0..6_usize,
        postponed in option::of(1..9_i64),
    ) {
        let mut world = World::new(1);
        let status = Status::WaitingForResources;
        world.act(Action::Create { createdon: 0, status, postponed, handler: true });
        // A postponed job is not cut off.
        world.act(Action::Crash);
        world.act(Action::PassToWake);
        (0..crashes).for_each(|_| world.act(Action::Crash));
        world.drain();
        let row = world.rows.values().next().expect("the job");
        prop_assert_eq!(row.job.retrycount, i32::from(postponed.is_none()) + crashes as i32);
        prop_assert_eq!(row.ends, 1);
    }
}
