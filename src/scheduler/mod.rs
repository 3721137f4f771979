//! The live scheduler: one task that feeds what happens to the pure [`core`],
//! commits the changes of a whole round at once, and only then starts work.

pub mod core;
mod recover;
pub mod related;
mod rows;
mod simulate;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use self::core::{Core, Effect, Event, Job, Step};
use self::rows::Rows;
use self::simulate::Simulations;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result, codes};
use crate::job::{ActionRequest, Transition};
use crate::store::{Change, Store};
use crate::value::{Guid, Value, guid_text};

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

/// What came of each action.
type Outcomes = Vec<Result<()>>;

struct Act {
    requests: Vec<ActionRequest>,
    /// Changes of other tables that belong to the same commit.
    with: Vec<Change>,
    /// All actions are done, or none.
    whole: bool,
    reply: oneshot::Sender<Result<Outcomes>>,
}

enum Message {
    Submit(Submit),
    Act(Act),
}

/// How others talk to the scheduler.
#[derive(Clone)]
pub struct Handle {
    inbox: mpsc::Sender<Message>,
}

impl Handle {
    /// Adds jobs; all are durable when it returns, or none is there.
    pub async fn submit(&self, jobs: Vec<NewJob>) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Submit(Submit { jobs, reply })).await?;
        answer.await.map_err(|_| closed())?
    }

    /// Acts on jobs; what was done is durable when it returns, and the answers
    /// say which actions were refused.
    pub async fn act(&self, requests: Vec<ActionRequest>) -> Result<Vec<Result<()>>> {
        self.actions(requests, Vec::new(), false).await
    }

    /// Acts on jobs and changes rows of other tables in one commit: all of it is
    /// durable when it returns, or nothing is done. The caller has made sure that
    /// the changes can be made.
    pub async fn act_with(&self, requests: Vec<ActionRequest>, with: Vec<Change>) -> Result<()> {
        self.actions(requests, with, true).await?.into_iter().collect()
    }

    async fn actions(
        &self,
        requests: Vec<ActionRequest>,
        with: Vec<Change>,
        whole: bool,
    ) -> Result<Outcomes> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Act(Act { requests, with, whole, reply })).await?;
        answer.await.map_err(|_| closed())?
    }

    async fn send(&self, message: Message) -> Result<()> {
        self.inbox.send(message).await.map_err(|_| closed())
    }
}

/// Adds a job: through the scheduler, or as a row where none runs. Without a
/// scheduler the caller has its turn to write.
pub async fn submit(
    scheduler: Option<&Handle>,
    store: &Store,
    job: NewJob,
    now: i64,
) -> Result<()> {
    if let Some(scheduler) = scheduler {
        return scheduler.submit(vec![job]).await;
    }
    let mut rows = Rows::new(&store.snapshot(), store.catalog());
    let (values, _) = rows.create(job, now);
    let table = rows.columns().table;
    store.commit(vec![Change::Insert { table, values }]).await.map(|_| ())
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
    inbox: mpsc::Receiver<Message>,
}

/// What came in and has to be answered when the round is durable.
#[derive(Default)]
struct Round {
    inserts: Vec<Change>,
    steps: Vec<Step>,
    replies: Vec<oneshot::Sender<Result<()>>>,
    acted: Vec<(oneshot::Sender<Result<Outcomes>>, Outcomes)>,
}

impl Scheduler {
    /// A scheduler for the jobs of a store, `capacity` of them at once.
    pub fn new(store: Arc<Store>, clock: Arc<dyn Clock>, capacity: usize) -> (Self, Handle) {
        let (sender, inbox) = mpsc::channel(QUEUE_MAX);
        let rows = Rows::new(&store.snapshot(), store.catalog());
        let core = Core::new(capacity);
        let simulations = Simulations::default();
        (Self { store, clock, core, rows, simulations, inbox }, Handle { inbox: sender })
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
                message = self.inbox.recv() => match message {
                    Some(Message::Submit(submit)) => self.accept(submit, &mut round),
                    Some(Message::Act(act)) => self.act(act, &mut round),
                    None => break,
                },
                () = tokio::time::sleep(wait) => {}
                _ = stop.changed() => break,
            }
            while round.inserts.len() < ROUND_MAX {
                match self.inbox.try_recv() {
                    Ok(Message::Submit(submit)) => self.accept(submit, &mut round),
                    Ok(Message::Act(act)) => {
                        // Actions look at rows, which show only what is durable.
                        self.commit(std::mem::take(&mut round)).await?;
                        self.act(act, &mut round);
                    }
                    Err(_) => break,
                }
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

    fn act(&mut self, act: Act, round: &mut Round) {
        let now = self.clock.now();
        let mut jobs: HashMap<Guid, Option<Job>> = HashMap::new();
        let mut events = Vec::new();
        let mut outcomes = Vec::new();
        for ActionRequest { id, action, by } in act.requests {
            let job = jobs.entry(id).or_insert_with(|| self.job(&id));
            let Some(found) = job else {
                outcomes.push(Err(missing(&id)));
                continue;
            };
            match action.transition(found.status, found.operationtype) {
                Ok(transition) => {
                    events.push(Event::Action { job: found.clone(), action, by });
                    match transition {
                        Transition::Deleted => *job = None,
                        _ => found.apply(transition),
                    }
                    outcomes.push(Ok(()));
                }
                Err(refusal) => outcomes.push(Err(refusal.into())),
            }
        }
        let whole = !act.whole || outcomes.iter().all(Result::is_ok);
        if whole {
            round.inserts.extend(act.with);
            round.steps.extend(events.into_iter().map(|event| self.core.step(event, now)));
        }
        round.acted.push((act.reply, outcomes));
    }

    /// A job as it is now, whether the core knows it or not.
    fn job(&self, id: &Guid) -> Option<Job> {
        let row = || self.store.row(self.rows.columns().table, id);
        self.core.job(id).cloned().or_else(|| {
            let cells = row()?;
            Some(rows::job(|column| cells[column].clone(), self.rows.columns()))
        })
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
        let deleted: Vec<Guid> = round.steps.iter().flat_map(Step::deleted).collect();
        if !deleted.is_empty() {
            changes.extend(related::deletions(&self.store, self.rows.columns(), &deleted));
        }
        if !changes.is_empty() {
            self.store.commit(changes).await?;
        }
        for reply in round.replies {
            // A sender that went away no longer needs the answer.
            let _ = reply.send(Ok(()));
        }
        for (reply, outcomes) in round.acted {
            let _ = reply.send(Ok(outcomes));
        }
        for effect in round.steps.into_iter().flat_map(|step| step.effects) {
            let Effect::Start { id, attempt, handler } = effect;
            self.simulations.start(id, attempt, &handler, now);
        }
        Ok(())
    }
}

fn missing(id: &Guid) -> Error {
    let message = format!("AsyncOperation With Id = {} Does Not Exist", guid_text(id));
    Error::new(ErrorKind::NotFound, codes::OBJECT_DOES_NOT_EXIST, message)
}
