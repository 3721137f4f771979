//! How others talk to the scheduler: every call is answered after what it asks for
//! is durable.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::core::{Beat, Claimed, Why};
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

pub(super) type Reply<T> = oneshot::Sender<Result<T>>;

/// What came of each action.
pub(super) type Outcomes = Vec<Result<()>>;

pub(super) struct Act {
    /// New jobs of the same commit.
    pub jobs: Vec<NewJob>,
    pub requests: Vec<ActionRequest>,
    /// Changes of other tables that belong to the same commit.
    pub with: Vec<Change>,
    /// All actions are done, or none.
    pub whole: bool,
}

pub(super) enum Message {
    /// The files belong to the jobs at these places.
    Submit(Vec<NewJob>, Vec<(usize, Change)>, Reply<Vec<Submitted>>),
    Act(Act, Reply<Outcomes>),
    Claim(Claim, Reply<Vec<Claimed>>),
    Heartbeat(Vec<Heartbeat>, Reply<Vec<Beat>>),
    Ended(Vec<Ended>, Reply<Outcomes>),
    Signal(Guid, Reply<()>),
    Why(Guid, Reply<Why>),
    Waits(Reply<HashMap<Guid, String>>),
    WaitReasons(Reply<Waits>),
}

/// How others talk to the scheduler.
#[derive(Clone)]
pub struct Handle {
    pub(super) inbox: mpsc::Sender<Message>,
    /// Why the scheduler has stopped, once it has.
    pub(super) failure: Arc<OnceLock<String>>,
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
    /// say which actions were refused.
    pub async fn act(&self, requests: Vec<ActionRequest>) -> Result<Vec<Result<()>>> {
        let act = Act { jobs: Vec::new(), requests, with: Vec::new(), whole: false };
        self.ask(|reply| Message::Act(act, reply)).await
    }

    /// Adds jobs, acts on jobs and changes rows of other tables in one commit: all of
    /// it is durable when it returns, or nothing is done. The caller has made sure
    /// that the changes can be made, and has given the jobs their ids.
    pub async fn commit(
        &self,
        jobs: Vec<NewJob>,
        requests: Vec<ActionRequest>,
        with: Vec<Change>,
    ) -> Result<()> {
        let act = Act { jobs, requests, with, whole: true };
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

    /// The event that a job waits for has happened.
    pub async fn signal(&self, id: Guid) -> Result<()> {
        self.ask(|reply| Message::Signal(id, reply)).await
    }

    /// Why a job is where it is.
    pub async fn why(&self, id: Guid) -> Result<Why> {
        self.ask(|reply| Message::Why(id, reply)).await
    }

    /// Why each job waits that has not ended, in words.
    pub async fn waits(&self) -> Result<HashMap<Guid, String>> {
        self.ask(Message::Waits).await
    }

    /// What ready jobs wait for beside a place to run, in a word.
    pub async fn wait_reasons(&self) -> Result<Waits> {
        self.ask(Message::WaitReasons).await
    }

    /// How snapshots learn why jobs wait. It keeps no scheduler going: nothing is
    /// known once that has ended.
    pub(super) fn explanation(&self) -> AskWaits {
        let (inbox, failure) = (self.inbox.downgrade(), self.failure.clone());
        Arc::new(move || {
            let handle = inbox.upgrade().map(|inbox| Handle { inbox, failure: failure.clone() });
            Box::pin(async move { handle?.wait_reasons().await.ok() })
        })
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
