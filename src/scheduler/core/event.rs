//! What happens to the scheduler, and what it answers: changes to make durable,
//! and after that effects to carry out.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::definition::Definition;
use super::job::{Cause, Job};
use crate::job::{Action, Handler, Refusal, Report, Status};
use crate::value::{Guid, guid_text};

/// Something that happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A job was created; its row is part of the same commit.
    Created { job: Job, actor: Actor },
    /// A job of an earlier run of the service.
    Recovered(Job),
    /// What is known of a definition from an earlier run.
    Remembered(DefinitionState),
    /// A definition as its row is now; nothing when there is no such row.
    Defined { id: Guid, definition: Option<Definition> },
    /// A worker asks for jobs of some operation types, or of any.
    Claim { worker: Arc<str>, operationtypes: Option<Vec<i32>>, max: usize, lease: i64 },
    /// A worker got fewer jobs than it asks for, and waits, or will ask again, until a time.
    Wants { worker: Arc<str>, operationtypes: Option<Vec<i32>>, max: usize, until: i64 },
    /// A worker says that an attempt goes on, and asks for more time.
    Heartbeat { id: Guid, attempt: i32, lease: i64 },
    /// An attempt has ended, says its handler, or the worker that has claimed it.
    Ended { id: Guid, attempt: i32, report: Report },
    /// Somebody asks something of a job. It is passed as its row has it, for jobs
    /// that are never picked are not known here.
    Action { job: Job, action: Action, by: Guid, reason: Option<String> },
    /// An attempt is about to wait for what happens to the record of its job.
    Listens { id: Guid, attempt: i32 },
    /// Something has happened to a record.
    Happened { record: Guid },
    /// Nothing but time has passed.
    Tick,
    /// The service is about to stop: nothing is picked any more.
    Drain,
    /// The service stops: what still runs inside it waits again.
    Stop,
}

/// Who has changed a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    Scheduler,
    /// A row of `systemuser`.
    User(Guid),
    /// A remote worker, by the name it gives.
    Worker(Arc<str>),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheduler => f.write_str("scheduler"),
            Self::User(id) => f.write_str(&guid_text(id)),
            Self::Worker(name) => write!(f, "worker {name}"),
        }
    }
}

/// A change to make durable.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A job goes to another status: its row, and a row of `jobhistory`.
    Job(JobChange),
    /// The lease of an attempt was extended.
    Lease { id: Guid, until: i64 },
    /// What is known of a definition.
    Definition(DefinitionState),
}

/// A transition of a job. Times of start and completion, host and number of the
/// attempt follow from the statuses.
#[derive(Clone, Debug, PartialEq)]
pub struct JobChange {
    pub id: Guid,
    pub operationtype: Option<i32>,
    pub at: i64,
    /// Nothing for a new job, whose row is made by whoever creates it.
    pub from: Option<Status>,
    /// Nothing for a deleted job.
    pub to: Option<Status>,
    /// Number of the latest attempt; zero before the first.
    pub attempt: i32,
    pub actor: Actor,
    /// Because, in words.
    pub reason: Cow<'static, str>,
    /// How long the job had the status it leaves, in microseconds.
    pub lasted: Option<i64>,
    pub set: Box<Cells>,
}

/// Cells that a transition sets beside those that follow from it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cells {
    pub cause: Option<Cause>,
    pub postponeuntil: Option<Option<i64>>,
    pub retrycount: Option<i32>,
    /// `executiontimespan` in seconds.
    pub executed: Option<f64>,
    /// The worker that has claimed the job, and until when.
    pub lease: Option<(Arc<str>, i64)>,
    /// How the attempt ended: error code, messages, how far a workflow has come.
    pub report: Option<Report>,
}

/// What is known of a definition beside its row; kept in `jobdefinition`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DefinitionState {
    pub id: Guid,
    /// Failures in a row.
    pub failures: u32,
    /// How often its jobs were postponed since the last success.
    pub postponements: u32,
    /// When that began, and until when.
    pub postponed: Option<(i64, i64)>,
    pub guard: Guard,
    /// Its row was deleted while jobs of it were waiting.
    pub deleted: bool,
    /// Since when this is so.
    pub at: i64,
}

/// What the rate guard says of a definition. The numbers are those kept in its row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(i32)]
pub enum Guard {
    #[default]
    Quiet = 0,
    /// It raises jobs faster than they end.
    Reported = 1,
    /// For that reason its jobs are held, except a few.
    Suspended = 2,
}

impl Guard {
    pub fn code(self) -> i32 {
        self as i32
    }

    pub fn from_code(code: i32) -> Self {
        match code {
            1 => Self::Reported,
            2 => Self::Suspended,
            _ => Self::Quiet,
        }
    }
}

/// What to do once the changes are durable.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Begin an attempt inside the service.
    Start { id: Guid, attempt: i32, operationtype: Option<i32>, handler: Arc<Handler> },
    /// Ask the handler of an attempt to end soon; its report decides what comes.
    Tell { id: Guid, attempt: i32, told: Told },
    /// An attempt inside the service is no longer the current one: what it reports
    /// changes nothing, so it may as well end.
    Abandon { id: Guid, attempt: i32 },
}

/// What a handler or worker is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    Pause,
    Cancel,
}

/// The answer to a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beat {
    Continue,
    Told(Told),
    /// The attempt is no longer the current one.
    Lost,
}

/// A job that a worker has claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claimed {
    pub id: Guid,
    pub attempt: i32,
}

/// The answer of a step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    pub changes: Vec<Change>,
    pub effects: Vec<Effect>,
    /// Because the action was not done.
    pub refused: Option<Refusal>,
    /// What a claim has got.
    pub claimed: Vec<Claimed>,
    /// The answer to a heartbeat.
    pub beat: Option<Beat>,
    /// The end of an attempt that is not the current one: nothing was changed.
    pub late: bool,
}

impl Step {
    /// The jobs that change their status.
    pub fn jobs(&self) -> impl Iterator<Item = &JobChange> {
        self.changes.iter().filter_map(|change| match change {
            Change::Job(change) => Some(change),
            _ => None,
        })
    }
}
