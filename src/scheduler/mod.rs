//! The live scheduler: one task that feeds what happens to the pure [`core`],
//! commits the changes of a whole round at once, and only then answers and starts
//! work.
//!
//! Parts: [`core`] decides, [`policy`] is what can be set, [`handle`] is how others
//! ask, [`round`] gathers what one commit makes durable, [`commits`] are rounds on their
//! way to the disk, [`create`], [`rows`], [`definition_rows`] and [`history`] write rows,
//! [`definitions`] watches workflows and steps, [`related`] what belongs to jobs,
//! [`recover`] finds what earlier runs left, [`frozen`] is for jobs that nobody runs,
//! [`runner`] is who does the work of attempts, [`trace`] tells of those of steps,
//! [`operations`] of bulk deletions, [`drain`] lets attempts end before the service does.

mod commits;
pub mod core;
mod create;
mod definition_rows;
mod definitions;
mod drain;
pub mod frozen;
mod handle;
mod history;
mod operations;
pub mod policy;
mod recover;
mod related;
mod round;
mod rows;
pub mod runner;
mod simulate;
#[cfg(test)]
mod tests;
mod trace;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

pub use self::handle::{
    ACT_BATCH, Account, Batches, Claim, Ended, Handle, Heartbeat, NewJob, Submitted,
};
pub use self::policy::Policies;
pub use self::runner::{Attempt, Runner};

use self::commits::Commits;
use self::core::{Core, Effect, Event, Job, Why};
use self::definitions::Definitions;
use self::drain::Drain;
use self::frozen::Frozen;
use self::handle::Message;
use self::related::Related;
use self::round::{Claimer, Round};
use self::rows::Rows;
use self::simulate::Simulations;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result, codes};
use crate::job::{Action, ActionRequest, Handler, JobColumns};
use crate::store::Store;
use crate::value::{Guid, guid_text};

/// Messages that may wait for the scheduler before senders have to wait.
const QUEUE_MAX: usize = 64 * 1024;

/// Changes that one round, and so one commit, gathers before it takes no more. Were it
/// everything that has come in, all who ask would get their answers together, and
/// nobody would have work for the scheduler while the writer is busy.
const ROUND_MAX: usize = 4 * 1024;

/// Rows of history that one round removes at most.
const EXPIRED_MAX: usize = 4 * 1024;

/// Adds a job: through the scheduler, or as a row where none runs. Without a
/// scheduler the caller has its turn to write.
pub async fn submit(
    scheduler: Option<&Handle>,
    store: &Store,
    job: NewJob,
    now: i64,
) -> Result<()> {
    if let Some(scheduler) = scheduler {
        return scheduler.submit(vec![job]).await.map(|_| ());
    }
    store.commit(Frozen::new(store).create(vec![job], now)?).await.map(|_| ())
}

/// Why a job is where it is: by the scheduler, or as far as its row can tell where
/// none runs.
pub async fn why(scheduler: Option<&Handle>, store: &Store, id: Guid, now: i64) -> Result<Why> {
    if let Some(scheduler) = scheduler {
        return scheduler.why(id).await;
    }
    let columns = JobColumns::of(store.catalog());
    let cells = store.row(columns.table, &id).ok_or_else(|| missing(&id))?;
    let job = rows::job(|column| cells[column].clone(), &columns);
    Ok(Why::of_row(&job, now))
}

/// The scheduler over one store.
pub struct Scheduler {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    core: Core,
    rows: Rows,
    related: Related,
    definitions: Definitions,
    simulations: Simulations,
    /// Without one, attempts that it would run end with the service.
    runner: Option<Arc<dyn Runner>>,
    /// How long history is kept.
    history_kept: i64,
    history_every: i64,
    /// When old history is looked for next.
    next_clean_up: i64,
    /// Workers for whom there was no job when they asked.
    claimers: Vec<Claimer>,
    commits: Commits,
    /// The service is about to stop.
    draining: bool,
    drain: Option<Drain>,
    inbox: mpsc::Receiver<Message>,
    failure: Arc<OnceLock<String>>,
    /// A job has waited for what happens to a record.
    awaited: Arc<AtomicBool>,
}

impl Scheduler {
    /// A scheduler for the jobs of a store.
    pub fn new(store: Arc<Store>, clock: Arc<dyn Clock>, policies: Policies) -> (Self, Handle) {
        let (sender, inbox) = mpsc::channel(QUEUE_MAX);
        let (failure, awaited) = (Arc::default(), Arc::default());
        let handle =
            Handle { inbox: sender, failure: Arc::clone(&failure), awaited: Arc::clone(&awaited) };
        store.explain_waits(handle.explanation());
        let scheduler = Self {
            history_kept: policies.history_kept,
            history_every: policies.history_every,
            next_clean_up: clock.now(),
            core: Core::new(policies),
            rows: Rows::new(&store.snapshot(), store.catalog()),
            related: Related::new(store.catalog()),
            definitions: Definitions::new(store.catalog()),
            simulations: Simulations::default(),
            runner: None,
            claimers: Vec::new(),
            commits: Commits::default(),
            draining: false,
            drain: None,
            store,
            clock,
            inbox,
            failure,
            awaited,
        };
        (scheduler, handle)
    }

    /// The work of attempts that the scheduler does not do itself is done by `runner`.
    #[must_use]
    pub fn with_runner(self, runner: Arc<dyn Runner>) -> Self {
        Self { runner: Some(runner), ..self }
    }

    /// [`Self::run`] on a thread of its own, so that no query holds it up. Its work
    /// is done on the runtime of the caller.
    pub async fn start(self, stop: watch::Receiver<bool>) -> Result<()> {
        let (ended, outcome) = oneshot::channel();
        let runtime = tokio::runtime::Handle::current();
        std::thread::Builder::new()
            .name("sysjob-scheduler".into())
            .spawn(move || {
                // Nobody waits for it when the process ends.
                let _ = ended.send(runtime.block_on(self.run(stop)));
            })
            .map_err(|e| Error::internal("the scheduler's thread cannot start").caused_by(e))?;
        outcome
            .await
            .map_err(|e| Error::internal("the scheduler has ended in a panic").caused_by(e))?
    }

    /// Takes up the jobs of earlier runs, then serves until `stop` turns true.
    /// An error is final: the store takes no more changes, and everybody who asks
    /// the scheduler is told why.
    pub async fn run(mut self, stop: watch::Receiver<bool>) -> Result<()> {
        let outcome = self.serve(stop).await;
        if let Err(e) = &outcome {
            // Only this task sets it, once.
            let _ = self.failure.set(e.to_string());
        }
        outcome
    }

    async fn serve(&mut self, mut stop: watch::Receiver<bool>) -> Result<()> {
        self.take_up().await?;
        while !*stop.borrow() {
            let mut round = Round::default();
            let (wait, full) = (self.until_next(), self.commits.is_full());
            tokio::select! {
                biased;
                durable = self.commits.next(), if !self.commits.is_empty() => {
                    if let Some((round, at)) = durable? {
                        self.carry_out(round, at);
                    }
                    continue;
                }
                message = self.inbox.recv(), if !full => match message {
                    Some(message) => self.take(message, &mut round).await?,
                    None => break,
                },
                () = tokio::time::sleep(wait), if !full => {}
                _ = stop.changed() => break,
            }
            while round.len() < ROUND_MAX
                && let Ok(message) = self.inbox.try_recv()
            {
                self.take(message, &mut round).await?;
            }
            self.finish(round).await?;
        }
        // No attempt may begin after it was put back.
        self.all_durable().await?;
        self.step(&mut Round::default(), Event::Drain);
        let mut round = Round::default();
        self.step(&mut round, Event::Stop);
        self.commit(round).await?;
        self.all_durable().await
    }

    /// Takes up what earlier runs have left.
    async fn take_up(&mut self) -> Result<()> {
        let mut round = Round::default();
        let snapshot = self.store.snapshot();
        for state in self.rows.definitions(&snapshot) {
            self.step(&mut round, Event::Remembered(state));
        }
        self.learn(&mut round);
        for job in recover::unfinished(&snapshot, self.rows.columns()) {
            self.step(&mut round, Event::Recovered(job));
        }
        drop(snapshot);
        self.awaited.store(self.core.awaits_events(), Ordering::Release);
        self.commit(round).await?;
        self.all_durable().await
    }

    /// Takes a message into a round.
    async fn take(&mut self, message: Message, round: &mut Round) -> Result<()> {
        // What a message leads to may pick jobs of a definition that has just changed.
        self.learn(round);
        match message {
            Message::Submit(jobs, files, reply) => self.submit(jobs, files, reply, round),
            Message::Act(act, reply) => {
                // Of jobs that the core does not know the rows are looked at, and of
                // those that are deleted; rows show only what is durable.
                let looks = |request: &ActionRequest| {
                    request.action == Action::Delete || self.core.job(&request.id).is_none()
                };
                if act.requests.iter().any(looks) {
                    self.commit(std::mem::take(round)).await?;
                    self.all_durable().await?;
                }
                self.act(act, reply, round);
            }
            Message::Claim(claim, reply) => self.claim(claim, reply, round),
            Message::Heartbeat(beats, reply) => self.heartbeat(beats, reply, round),
            Message::Ended(ends, reply) => self.ended(ends, reply, round),
            Message::Listen(id, attempt, reply) => {
                self.step(round, Event::Listens { id, attempt });
                self.awaited.store(true, Ordering::Release);
                round.answer(reply, Ok(()));
            }
            Message::Why(id, reply) => {
                if self.core.job(&id).is_none() {
                    self.commit(std::mem::take(round)).await?;
                    self.all_durable().await?;
                }
                let now = self.clock.now();
                let job = self.job(&id).ok_or_else(|| missing(&id));
                round.answer(reply, job.map(|job| self.core.why(&job, now)));
            }
            Message::Waits(reply) => {
                let waits = self.core.waits(self.clock.now());
                round.answer(reply, Ok(waits));
            }
            Message::Pools(reply) => round.answer(reply, Ok(self.core.pools())),
            Message::WaitReasons(reply) => {
                let reasons = self.core.wait_reasons(self.clock.now());
                round.answer(reply, Ok(reasons));
            }
            Message::WaitsOf(ids, reply) => {
                let waits = self.core.waits_of(&ids, self.clock.now());
                round.answer(reply, Ok(waits));
            }
            Message::Drain(grace, reply) => self.begin_drain(grace, reply, round),
        }
        Ok(())
    }

    /// Tells the core of definitions that have changed.
    fn learn(&mut self, round: &mut Round) {
        for event in self.definitions.news(&self.store) {
            self.step(round, event);
        }
    }

    /// Does what time does, gives jobs to workers who wait, and commits.
    async fn finish(&mut self, mut round: Round) -> Result<()> {
        self.learn(&mut round);
        let now = self.clock.now();
        for (id, attempt, report) in self.simulations.ended(now) {
            self.step(&mut round, Event::Ended { id, attempt, report });
        }
        self.step(&mut round, Event::Tick);
        if self.next_clean_up <= now {
            // What earlier rounds remove must not be found again.
            self.all_durable().await?;
            let before = now.saturating_sub(self.history_kept);
            let expired = self.rows.expired(&self.store.snapshot(), before, EXPIRED_MAX);
            // The rest of many is left to the next rounds.
            let more = expired.len() == EXPIRED_MAX;
            self.next_clean_up = if more { now } else { now.saturating_add(self.history_every) };
            round.changes.extend(expired);
        }
        self.serve_claimers(&mut round);
        if self.draining {
            // What has started is counted.
            self.all_durable().await?;
            self.end_drain(&mut round);
        }
        self.commit(round).await
    }

    /// How long nothing can happen by itself.
    fn until_next(&self) -> Duration {
        let waits = [
            self.core.next_wake(),
            self.simulations.next(),
            Some(self.next_clean_up),
            self.claimers.iter().map(|claimer| claimer.deadline).min(),
            self.drain.as_ref().map(|drain| drain.deadline),
        ];
        let next = waits.into_iter().flatten().min();
        let micros = next.map_or(3_600_000_000, |at| at.saturating_sub(self.clock.now()));
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }

    /// One event: what the core changes becomes part of the round.
    fn step(&mut self, round: &mut Round, event: Event) -> core::Step {
        let mut step = self.core.step(event, self.clock.now());
        for change in &step.changes {
            self.rows.write(change, &mut round.changes);
            if let core::Change::Job(change) = change {
                round.changes.extend(trace::row(&self.store, self.rows.columns(), change));
                round.changes.extend(operations::row(&self.store, change));
            }
            if let core::Change::Job(core::JobChange { id, to: None, .. }) = change {
                round.deleted.push(*id);
            }
        }
        round.effects.append(&mut step.effects);
        step
    }

    /// A job as it is now, whether the core knows it or not.
    fn job(&self, id: &Guid) -> Option<Job> {
        let row = || self.store.row(self.rows.columns().table, id);
        self.core.job(id).cloned().or_else(|| {
            let cells = row()?;
            Some(rows::job(|column| cells[column].clone(), self.rows.columns()))
        })
    }

    /// Hands a round to the writer.
    async fn commit(&mut self, mut round: Round) -> Result<()> {
        // Simulated work takes its time from the start that the row will show;
        // the wait for the disk is not part of it.
        let now = self.clock.now();
        if !round.deleted.is_empty() {
            self.all_durable().await?;
            round.changes.extend(self.related.deletions(&self.store, &round.deleted));
        }
        if round.is_empty() {
            return Ok(());
        }
        self.commits.push(&self.store, round, now).await
    }

    /// Waits until everything that was decided is durable and carried out.
    async fn all_durable(&mut self) -> Result<()> {
        while let Some((round, at)) = self.commits.next().await? {
            self.carry_out(round, at);
        }
        Ok(())
    }

    /// Answers a durable round, and starts what it decided to start.
    fn carry_out(&mut self, round: Round, now: i64) {
        for answer in round.answers {
            answer();
        }
        for effect in round.effects {
            match effect {
                Effect::Start { id, attempt, operationtype, handler } => match &*handler {
                    Handler::Simulate(simulation) => {
                        self.simulations.start(id, attempt, simulation, now);
                    }
                    // Remote work starts with a claim.
                    Handler::Worker {} => {}
                    _ => {
                        let attempt = Attempt { id, number: attempt, operationtype, handler };
                        self.runner.iter().for_each(|runner| runner.start(attempt.clone()));
                    }
                },
                Effect::Tell { id, attempt, told } => {
                    self.simulations.tell(id, attempt, now);
                    self.runner.iter().for_each(|runner| runner.tell(id, attempt, told));
                }
                Effect::Abandon { attempt, id } => {
                    self.simulations.forget(id, attempt);
                    self.runner.iter().for_each(|runner| runner.abandon(id, attempt));
                }
            }
        }
    }
}

fn missing(id: &Guid) -> Error {
    let message = format!("AsyncOperation With Id = {} Does Not Exist", guid_text(id));
    Error::new(ErrorKind::NotFound, codes::OBJECT_DOES_NOT_EXIST, message)
}
