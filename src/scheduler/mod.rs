//! The live scheduler: one task that feeds what happens to the pure [`core`],
//! commits the changes of a whole round at once, and only then starts work.

pub mod core;
mod recover;
mod rows;
mod simulate;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use self::core::{Core, Effect, Event, Step};
use self::rows::Rows;
use self::simulate::Simulations;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result, codes};
use crate::store::{Change, Store};
use crate::value::Value;

/// Jobs that may wait for the scheduler before senders have to wait.
const QUEUE_MAX: usize = 64 * 1024;

/// Inputs that one round, and so one commit, takes at most.
const ROUND_MAX: usize = 8 * 1024;

/// A new job: cells of an `asyncoperation` row. The scheduler fills in what
/// the caller leaves out of id, `createdon`, `sequence`, state and status.
pub type NewJob = Vec<(usize, Value)>;

struct Submit {
    jobs: Vec<NewJob>,
    reply: oneshot::Sender<Result<()>>,
}

/// How others talk to the scheduler.
#[derive(Clone)]
pub struct Handle {
    submit: mpsc::Sender<Submit>,
}

impl Handle {
    /// Adds jobs; all are durable when it returns, or none is there.
    pub async fn submit(&self, jobs: Vec<NewJob>) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        self.submit.send(Submit { jobs, reply }).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, codes::UNEXPECTED, "the scheduler has stopped")
}

/// The scheduler over one store.
pub struct Scheduler {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    core: Core,
    rows: Rows,
    simulations: Simulations,
    inbox: mpsc::Receiver<Submit>,
}

/// What came in and has to be answered when the round is durable.
#[derive(Default)]
struct Round {
    inserts: Vec<Change>,
    steps: Vec<Step>,
    replies: Vec<oneshot::Sender<Result<()>>>,
}

impl Scheduler {
    /// A scheduler for the jobs of a store, `capacity` of them at once.
    pub fn new(store: Arc<Store>, clock: Arc<dyn Clock>, capacity: usize) -> (Self, Handle) {
        let (submit, inbox) = mpsc::channel(QUEUE_MAX);
        let rows = Rows::new(&store.snapshot(), store.catalog());
        let core = Core::new(capacity);
        let simulations = Simulations::default();
        (Self { store, clock, core, rows, simulations, inbox }, Handle { submit })
    }

    /// Takes up the jobs of earlier runs, then serves until `stop` turns true.
    /// An error is final: the store takes no more changes.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) -> Result<()> {
        let now = self.clock.now();
        let mut round = Round::default();
        for job in recover::unfinished(&self.store.snapshot(), self.rows.columns()) {
            round.steps.push(self.core.step(Event::Recovered(job), now));
        }
        self.commit(round).await?;
        while !*stop.borrow() {
            let mut round = Round::default();
            let wait = self.until_next();
            tokio::select! {
                submitted = self.inbox.recv() => match submitted {
                    Some(submit) => self.accept(submit, &mut round),
                    None => break,
                },
                () = tokio::time::sleep(wait) => {}
                _ = stop.changed() => break,
            }
            while round.inserts.len() < ROUND_MAX {
                let Ok(submit) = self.inbox.try_recv() else { break };
                self.accept(submit, &mut round);
            }
            let now = self.clock.now();
            for (id, attempt, outcome) in self.simulations.ended(now) {
                round.steps.push(self.core.step(Event::Ended { id, attempt, outcome }, now));
            }
            round.steps.push(self.core.step(Event::Tick, now));
            self.commit(round).await?;
        }
        let now = self.clock.now();
        let steps = vec![self.core.step(Event::Stop, now)];
        self.commit(Round { steps, ..Round::default() }).await
    }

    /// How long nothing can happen by itself.
    fn until_next(&self) -> Duration {
        let next = [self.core.next_wake(), self.simulations.next()].into_iter().flatten().min();
        let micros = next.map_or(3_600_000_000, |at| at - self.clock.now());
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }

    fn accept(&mut self, submit: Submit, round: &mut Round) {
        let now = self.clock.now();
        for cells in submit.jobs {
            let (values, job) = self.rows.create(cells, now);
            round.inserts.push(Change::Insert { table: self.rows.columns().table, values });
            round.steps.push(self.core.step(Event::Created(job), now));
        }
        round.replies.push(submit.reply);
    }

    /// Makes a round durable, answers, and starts what it decided to start.
    async fn commit(&mut self, round: Round) -> Result<()> {
        // Simulated work takes its time from the start that the row will show;
        // the wait for the disk is not part of it.
        let now = self.clock.now();
        let mut changes = round.inserts;
        for step in &round.steps {
            changes.extend(step.changes.iter().map(|change| self.rows.change(change)));
        }
        if !changes.is_empty() {
            self.store.commit(changes).await?;
        }
        for reply in round.replies {
            // A sender that went away no longer needs the answer.
            let _ = reply.send(Ok(()));
        }
        for effect in round.steps.into_iter().flat_map(|step| step.effects) {
            let Effect::Start { id, attempt, handler } = effect;
            self.simulations.start(id, attempt, &handler, now);
        }
        Ok(())
    }
}
