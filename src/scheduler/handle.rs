//! How others talk to the scheduler: every call is answered after what it asks for
//! is durable.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::core::{Beat, Claimed, Pools, Why};
use crate::error::{Error, ErrorKind, Result, codes};
use crate::job::{ActionRequest, Report};
use crate::store::{AskWaits, Change, Waits};
use crate::value::{Guid, Value};

/// A new job: cells of an `asyncoperation` row. The scheduler fills in what
/// the caller leaves out of id, `createdon`, `sequence`, state and status.
pub type NewJob = Vec<(usize, Value)>;

/// A job as it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Submitted {
    pub id: Guid,
    pub sequence: i64,
    /// It was there before: nothing was changed.
    pub known: bool,
}

/// What a worker asks for.
#[derive(Clone, Debug)]
pub struct Claim {
    pub worker: Arc<str>,
    /// Jobs of these types only.
    pub operationtypes: Option<Vec<i32>>,
    pub max: usize,
    pub lease: Duration,
    /// How long to wait for work when there is none.
    pub wait: Duration,
}

/// A worker goes on with an attempt.
#[derive(Clone, Copy, Debug)]
pub struct Heartbeat {
    pub id: Guid,
    pub attempt: i32,
    pub lease: Duration,
}

/// An attempt has ended.
#[derive(Clone, Debug)]
pub struct Ended {
    pub id: Guid,
    pub attempt: i32,
    pub report: Report,
}

/// Actions that are one commit at most.
pub const ACT_BATCH: usize = 1_000;

/// Actions on many jobs, see [`Handle::act_in_batches`].
pub struct Batches<I> {
    handle: Handle,
    requests: I,
}

impl<I: Iterator<Item = ActionRequest>> Batches<I> {
    /// Does the next batch: its jobs with what came of each, durable. Nothing is left
    /// when there is none; what is not asked for is not done.
    pub async fn next(&mut self) -> Result<Option<Vec<(Guid, Result<()>)>>> {
        let requests: Vec<ActionRequest> = self.requests.by_ref().take(ACT_BATCH).collect();
        if requests.is_empty() {
            return Ok(None);
        }
        let ids: Vec<Guid> = requests.iter().map(|request| request.id).collect();
        let act = Act { requests, ..Act::default() };
        let answers = self.handle.ask(|reply| Message::Act(act, reply)).await?;
        Ok(Some(ids.into_iter().zip(answers).collect()))
    }
}

pub(super) type Reply<T> = oneshot::Sender<Result<T>>;

/// What came of each action.
pub(super) type Outcomes = Vec<Result<()>>;

#[derive(Default)]
pub(super) struct Act {
    /// New jobs of the same commit.
    pub jobs: Vec<NewJob>,
    pub requests: Vec<ActionRequest>,
    /// Records to which something has happened.
    pub happened: Vec<Guid>,
    /// Changes of other tables that belong to the same commit.
    pub with: Vec<Change>,
    /// All actions are done, or none.
    pub whole: bool,
    /// Who gives account of what came of the actions.
    pub account: Option<Account>,
}

/// The job whose attempt asks for actions, and the change of its row that says what came
/// of them. Both are durable together, so that nothing is told twice or not at all.
pub struct Account {
    pub job: Guid,
    pub tell: Box<dyn FnOnce(&[Result<()>]) -> Change + Send>,
}

pub(super) enum Message {
    /// The files belong to the jobs at these places.
    Submit(Vec<NewJob>, Vec<(usize, Change)>, Reply<Vec<Submitted>>),
    Act(Act, Reply<Outcomes>),
    Claim(Claim, Reply<Vec<Claimed>>),
    Heartbeat(Vec<Heartbeat>, Reply<Vec<Beat>>),
    Ended(Vec<Ended>, Reply<Outcomes>),
    Pools(Reply<Pools>),
    Listen(Guid, i32, Reply<()>),
    Why(Guid, Reply<Why>),
    Waits(Reply<HashMap<Guid, String>>),
    WaitReasons(Reply<Waits>),
    WaitsOf(Vec<Guid>, Reply<HashMap<Guid, String>>),
    Drain(Duration, Reply<()>),
}

/// How others talk to the scheduler.
#[derive(Clone)]
pub struct Handle {
    pub(super) inbox: mpsc::Sender<Message>,
    /// Why the scheduler has stopped, once it has.
    pub(super) failure: Arc<OnceLock<String>>,
    /// A job has waited for what happens to a record.
    pub(super) awaited: Arc<AtomicBool>,
}

impl Handle {
    /// Adds jobs, in this order; all are durable when it returns, or none is there.
    /// A job whose id is there already is answered as before and not added again.
    pub async fn submit(&self, jobs: Vec<NewJob>) -> Result<Vec<Submitted>> {
        self.submit_with(jobs, Vec::new()).await
    }

    /// [`Handle::submit`] of jobs of which some have rows of other tables, by their
    /// places; those of a job that is there already are left out.
    pub async fn submit_with(
        &self,
        jobs: Vec<NewJob>,
        files: Vec<(usize, Change)>,
    ) -> Result<Vec<Submitted>> {
        self.ask(|reply| Message::Submit(jobs, files, reply)).await
    }

    /// Acts on jobs; what was done is durable when it returns, and the answers
    /// say which actions were refused. More than [`ACT_BATCH`] are more than one
    /// commit.
    pub async fn act(&self, requests: Vec<ActionRequest>) -> Result<Vec<Result<()>>> {
        let mut answers = Vec::with_capacity(requests.len());
        let mut batches = self.act_in_batches(requests);
        while let Some(batch) = batches.next().await? {
            answers.extend(batch.into_iter().map(|(_, answer)| answer));
        }
        Ok(answers)
    }

    /// Acts on jobs in one commit, which also changes the row of the job that asks for it,
    /// if that is still at work. What came of each, in the same order.
    pub async fn act_for(
        &self,
        requests: Vec<ActionRequest>,
        account: Account,
    ) -> Result<Vec<Result<()>>> {
        let act = Act { requests, account: Some(account), ..Act::default() };
        self.ask(|reply| Message::Act(act, reply)).await
    }

    /// Acts on any number of jobs, a batch at each call of [`Batches::next`], so that
    /// whoever asks can tell how far it has come, stop, and go on later, and everybody
    /// else is served in between.
    pub fn act_in_batches<I>(&self, requests: I) -> Batches<I::IntoIter>
    where
        I: IntoIterator<Item = ActionRequest>,
    {
        Batches { handle: self.clone(), requests: requests.into_iter() }
    }

    /// Adds jobs, acts on jobs, lets go on what waits for the records to which something
    /// has happened, and changes rows of other tables in one commit: all of it is durable when it returns, or nothing is done. The caller has made sure
    /// that the changes can be made, and has given the jobs their ids.
    pub async fn commit(
        &self,
        jobs: Vec<NewJob>,
        requests: Vec<ActionRequest>,
        happened: Vec<Guid>,
        with: Vec<Change>,
    ) -> Result<()> {
        let act = Act { jobs, requests, happened, with, whole: true, account: None };
        self.ask(|reply| Message::Act(act, reply)).await?.into_iter().collect()
    }

    /// Jobs for a worker, in order; none if there is none in the time it waits.
    pub async fn claim(&self, claim: Claim) -> Result<Vec<Claimed>> {
        self.ask(|reply| Message::Claim(claim, reply)).await
    }

    /// Attempts go on; what their workers are to do, in the same order.
    pub async fn heartbeat(&self, beats: Vec<Heartbeat>) -> Result<Vec<Beat>> {
        self.ask(|reply| Message::Heartbeat(beats, reply)).await
    }

    /// Attempts have ended, say their handlers or workers. The end of an attempt
    /// that is not the current one is a conflict and changes nothing.
    pub async fn complete(&self, ends: Vec<Ended>) -> Result<Vec<Result<()>>> {
        self.ask(|reply| Message::Ended(ends, reply)).await
    }

    /// An attempt is about to wait for what happens to the record of its job. What
    /// happens from now on is not missed.
    pub async fn listen(&self, id: Guid, attempt: i32) -> Result<()> {
        self.ask(|reply| Message::Listen(id, attempt, reply)).await
    }

    /// Whether a job may wait for what happens to a record.
    pub fn is_awaited(&self) -> bool {
        self.awaited.load(Ordering::Acquire)
    }

    /// Why a job is where it is.
    pub async fn why(&self, id: Guid) -> Result<Why> {
        self.ask(|reply| Message::Why(id, reply)).await
    }

    /// Why each of some jobs waits, in words; jobs that do not wait, or that never run
    /// here, are left out. Asked for a page of jobs this is quick however many wait.
    pub async fn waits_of(&self, ids: Vec<Guid>) -> Result<HashMap<Guid, String>> {
        self.ask(|reply| Message::WaitsOf(ids, reply)).await
    }

    /// Why each job waits that has not ended, in words.
    pub async fn waits(&self) -> Result<HashMap<Guid, String>> {
        self.ask(Message::Waits).await
    }

    /// The pools as they are.
    pub async fn pools(&self) -> Result<Pools> {
        self.ask(Message::Pools).await
    }

    /// What ready jobs wait for beside a place to run, in a word.
    pub async fn wait_reasons(&self) -> Result<Waits> {
        self.ask(Message::WaitReasons).await
    }

    /// How snapshots learn why jobs wait. It keeps no scheduler going: nothing is
    /// known once that has ended.
    pub(super) fn explanation(&self) -> AskWaits {
        let (inbox, failure) = (self.inbox.downgrade(), self.failure.clone());
        let awaited = self.awaited.clone();
        Arc::new(move || {
            let (failure, awaited) = (failure.clone(), awaited.clone());
            let handle = inbox.upgrade().map(|inbox| Handle { inbox, failure, awaited });
            Box::pin(async move { handle?.wait_reasons().await.ok() })
        })
    }

    /// Picks no more jobs; returns when the attempts under way inside the service have
    /// ended, or cannot end within a time. Everybody else is still served.
    pub async fn drain(&self, grace: Duration) -> Result<()> {
        self.ask(|reply| Message::Drain(grace, reply)).await
    }

    async fn ask<T>(&self, message: impl FnOnce(Reply<T>) -> Message) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        self.inbox.send(message(reply)).await.map_err(|_| self.closed())?;
        answer.await.map_err(|_| self.closed())?
    }

    fn closed(&self) -> Error {
        let message = match self.failure.get() {
            Some(why) => format!("the scheduler has stopped: {why}"),
            None => "the scheduler has stopped".into(),
        };
        Error::new(ErrorKind::Closed, codes::UNEXPECTED, message)
    }
}
