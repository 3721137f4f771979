//! System jobs: the states, columns, actions, handlers and recurrence that are the
//! same for everyone who deals with `asyncoperation` rows.

pub mod action;
pub mod cause;
pub mod columns;
pub mod dimensions;
pub mod handler;
pub mod recurrence;
pub mod report;

pub use self::action::{Action, ActionRequest, Refusal, Transition};
pub use self::cause::{Cause, wait_reason};
pub use self::columns::{JobColumns, LIFECYCLE_COLUMNS, TABLE};
pub use self::dimensions::{COUNTED_BY, Dimension};
pub use self::handler::Handler;
pub use self::recurrence::Recurrence;
pub use self::report::{Outcome, Report};

/// A state with its status reason; only these pairs exist. The source is the
/// Dataverse page on the asynchronous service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    WaitingForResources,
    Waiting,
    InProgress,
    Pausing,
    Canceling,
    Succeeded,
    Failed,
    Canceled,
}

impl Status {
    pub const ALL: [Self; 8] = [
        Self::WaitingForResources,
        Self::Waiting,
        Self::InProgress,
        Self::Pausing,
        Self::Canceling,
        Self::Succeeded,
        Self::Failed,
        Self::Canceled,
    ];

    pub fn statuscode(self) -> i32 {
        match self {
            Self::WaitingForResources => 0,
            Self::Waiting => 10,
            Self::InProgress => 20,
            Self::Pausing => 21,
            Self::Canceling => 22,
            Self::Succeeded => 30,
            Self::Failed => 31,
            Self::Canceled => 32,
        }
    }

    pub fn statecode(self) -> i32 {
        self.statuscode() / 10
    }

    /// The status with a `statuscode`.
    pub fn from_statuscode(statuscode: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.statuscode() == statuscode)
    }
}
