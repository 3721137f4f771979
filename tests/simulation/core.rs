//! The scheduler's core in virtual time: random arrivals, ends, waits and stops,
//! and the rules that have to hold after every step.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use sysjob::job::handler::{SimulatedOutcome, Simulation};
use sysjob::job::{Action, Handler, Outcome, Status, Transition};
use sysjob::scheduler::core::{Change, Core, Effect, Event, Job, Step};
use sysjob::value::Guid;

/// Something that happens to the scheduler.
#[derive(Clone, Debug)]
enum Happening {
    /// A job: seconds its `createdon` lies back, its wait, whether it has a handler.
    Arrives { age: u8, wait: Option<u8>, handled: bool },
    /// A job that an earlier run left in a status.
    Recovered { age: u8, status: Status },
    /// The n-th of the running attempts ends, or one that ended before reports late.
    Ends { n: usize, late: bool },
    /// Somebody acts on the n-th of all jobs.
    Acts { n: usize, action: Asked },
    /// Seconds pass.
    Passes(u8),
}

/// An action; a wait in seconds from now.
#[derive(Clone, Copy, Debug)]
enum Asked {
    Cancel,
    Pause,
    Resume,
    Postpone(u8),
    Delete,
}

fn asked() -> impl Strategy<Value = Asked> {
    prop_oneof![
        1 => Just(Asked::Cancel),
        2 => Just(Asked::Pause),
        3 => Just(Asked::Resume),
        2 => (0..60_u8).prop_map(Asked::Postpone),
        1 => Just(Asked::Delete),
    ]
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => (any::<u8>(), proptest::option::of(0..60_u8), proptest::bool::weighted(0.9))
            .prop_map(|(age, wait, handled)| Happening::Arrives { age, wait, handled }),
        1 => (any::<u8>(), proptest::sample::select(Status::ALL.to_vec()))
            .prop_map(|(age, status)| Happening::Recovered { age, status }),
        4 => (any::<usize>(), proptest::bool::weighted(0.2))
            .prop_map(|(n, late)| Happening::Ends { n, late }),
        3 => (any::<usize>(), asked()).prop_map(|(n, action)| Happening::Acts { n, action }),
        2 => (0..30_u8).prop_map(Happening::Passes),
    ]
}

fn id(n: usize) -> Guid {
    let mut id = [0; 16];
    // Ids do not rise with the order of arrival.
    id[..8].copy_from_slice(&(n as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    id[8..].copy_from_slice(&(n as u64).to_be_bytes());
    id
}

fn handler() -> Handler {
    Handler::Simulate(Simulation {
        duration_ms: 1.0,
        outcome: SimulatedOutcome::Succeed,
        errorcode: None,
        message: None,
    })
}

/// What a bystander knows of the scheduler from its steps alone.
#[derive(Default)]
struct Bystander {
    jobs: BTreeMap<Guid, Job>,
    running: BTreeMap<Guid, u64>,
    finished: BTreeSet<Guid>,
    past: Vec<(Guid, u64)>,
}

impl Bystander {
    /// Jobs that may be picked now, in the order of picking.
    fn claimable(&self, now: i64) -> BTreeSet<(i64, i64, Guid)> {
        let ready = |job: &&Job| {
            job.handler.is_some()
                && !self.running.contains_key(&job.id)
                && !self.finished.contains(&job.id)
                && match (job.status, job.postponeuntil) {
                    (Status::WaitingForResources, None) => true,
                    (Status::WaitingForResources | Status::Waiting, Some(until)) => until <= now,
                    _ => false,
                }
        };
        self.jobs.values().filter(ready).map(|j| (j.createdon, j.sequence, j.id)).collect()
    }

    fn see(&mut self, step: &Step, now: i64, capacity: usize) {
        for change in &step.changes {
            match change {
                Change::Ended { id, at, .. } => {
                    assert_eq!(*at, now);
                    assert!(self.running.remove(id).is_some(), "only a running job ends");
                    assert!(self.finished.insert(*id), "a job ends once");
                }
                Change::Ready { id, retrycount, .. } => {
                    let job = self.jobs.get_mut(id).expect("a known job");
                    let cut_off = job.status.statecode() == 2;
                    assert_eq!(*retrycount, job.retrycount + i32::from(cut_off));
                    assert!(cut_off || job.postponeuntil.is_some_and(|until| until <= now));
                    (job.status, job.postponeuntil) = (Status::WaitingForResources, None);
                    job.retrycount = *retrycount;
                }
                Change::Started { .. } => {}
                Change::Acted { id, at, transition, executed, .. } => {
                    assert_eq!(*at, now);
                    // An attempt under way ends with the action, and only then.
                    assert_eq!(self.running.remove(id).is_some(), executed.is_some());
                    match transition {
                        Transition::Canceled => {
                            assert!(self.finished.insert(*id), "a job ends once");
                        }
                        Transition::Deleted => {
                            self.jobs.remove(id).expect("a known job");
                            self.finished.remove(id);
                        }
                        Transition::Ready | Transition::Suspended { .. } => {
                            assert!(!self.finished.contains(id), "what has ended stays so");
                            self.jobs.get_mut(id).expect("a known job").apply(*transition);
                        }
                    }
                }
            }
        }
        // Starts come in the order of picking, from what can be claimed.
        let mut claimable = self.claimable(now);
        let started: Vec<Guid> = step
            .changes
            .iter()
            .filter_map(|change| match change {
                Change::Started { id, .. } => Some(*id),
                _ => None,
            })
            .collect();
        for id in &started {
            let (_, _, first) = claimable.pop_first().expect("something can be claimed");
            assert_eq!(first, *id, "the oldest job starts first");
        }
        let effects: Vec<Guid> = step.effects.iter().map(|Effect::Start { id, .. }| *id).collect();
        assert_eq!(effects, started, "what is started is written down first");
        for Effect::Start { id, attempt, .. } in &step.effects {
            assert!(self.running.insert(*id, *attempt).is_none(), "one attempt at a time");
            self.past.push((*id, *attempt));
        }
        assert!(self.running.len() <= capacity);
        assert!(self.running.len() == capacity || claimable.is_empty(), "no place stays empty");
    }
}

fn run(happenings: &[Happening], capacity: usize) -> Vec<Step> {
    let mut core = Core::new(capacity);
    let mut seen = Bystander::default();
    let mut now: i64 = 1_000_000_000;
    let mut steps = Vec::new();
    for (n, happening) in happenings.iter().enumerate() {
        let job = |age: u8, status| Job {
            id: id(n),
            createdon: now - i64::from(age) * 1_000_000,
            sequence: n as i64,
            operationtype: Some(10),
            status,
            postponeuntil: None,
            retrycount: 0,
            executed: 0.0,
            handler: Some(handler()),
        };
        let mut expected = None;
        let event = match happening {
            Happening::Arrives { age, wait, handled } => {
                let mut job = job(*age, Status::WaitingForResources);
                if let Some(wait) = wait {
                    job.status = Status::Waiting;
                    job.postponeuntil = Some(now + i64::from(*wait) * 1_000_000);
                }
                job.handler = handled.then(handler);
                seen.jobs.insert(job.id, job.clone());
                Event::Created(job)
            }
            Happening::Recovered { age, status } => {
                let job = job(*age, *status);
                seen.jobs.insert(job.id, job.clone());
                Event::Recovered(job)
            }
            Happening::Ends { n, late } => {
                let current: Vec<_> = seen.running.iter().map(|(id, a)| (*id, *a)).collect();
                let from = if *late { &seen.past } else { &current };
                let Some((id, attempt)) = from.get(n % from.len().max(1)) else { continue };
                Event::Ended { id: *id, attempt: *attempt, outcome: Outcome::Succeeded }
            }
            Happening::Acts { n, action } => {
                let all: Vec<&Job> = seen.jobs.values().collect();
                let Some(job) = all.get(n % all.len().max(1)) else { continue };
                let action = match action {
                    Asked::Cancel => Action::Cancel,
                    Asked::Pause => Action::Pause,
                    Asked::Resume => Action::Resume,
                    Asked::Postpone(wait) => Action::Postpone(now + i64::from(*wait) * 1_000_000),
                    Asked::Delete => Action::Delete,
                };
                let mut job = (*job).clone();
                if seen.running.contains_key(&job.id) {
                    job.status = Status::InProgress;
                } else if seen.finished.contains(&job.id) {
                    job.status = Status::Succeeded;
                }
                expected = Some(action.transition(job.status, job.operationtype).err());
                Event::Action { job, action, by: id(n.wrapping_add(1)) }
            }
            Happening::Passes(seconds) => {
                now += i64::from(*seconds) * 1_000_000;
                Event::Tick
            }
        };
        let step = core.step(event, now);
        assert_eq!(step.refused, expected.flatten(), "the rules of actions are those of the core");
        seen.see(&step, now, capacity);
        assert_eq!(core.running(), seen.running.len());
        steps.push(step);
    }
    // In order: nothing runs any more, and no retry is counted.
    let running: BTreeSet<Guid> = seen.running.keys().copied().collect();
    let stop = core.step(Event::Stop, now);
    let back: BTreeSet<Guid> = stop
        .changes
        .iter()
        .map(|change| match change {
            Change::Ready { id, retrycount, .. } => {
                assert_eq!(*retrycount, seen.jobs[id].retrycount);
                *id
            }
            other => panic!("a stop only puts jobs back: {other:?}"),
        })
        .collect();
    assert_eq!(back, running);
    assert!(stop.effects.is_empty() && core.running() == 0);
    steps
}

proptest! {
    #[test]
    fn every_step_keeps_the_rules(
        happenings in proptest::collection::vec(happening(), 0..200),
        capacity in 1..6_usize,
    ) {
        let first = run(&happenings, capacity);
        prop_assert_eq!(first, run(&happenings, capacity), "the same events, the same steps");
    }
}
