//! What can be asked of a job, and what comes of it in which state. The source is
//! the Dataverse page on the asynchronous service, "Manage system job states".

use std::fmt;

use super::Status;
use crate::error::{Error, Result, codes};
use crate::value::Guid;

/// Something asked of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Cancel,
    Pause,
    Resume,
    /// Hold the job until a time, in microseconds since 1970-01-01 UTC.
    Postpone(i64),
    Delete,
}

/// What an allowed action makes of a job. While an attempt is under way, its handler
/// is asked first: until it has answered, the job is Canceling or Pausing, and only a
/// cancel of a pausing one is allowed then, or its deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    Canceled,
    /// Without a time: until somebody resumes it.
    Suspended {
        until: Option<i64>,
    },
    Ready,
    Deleted,
}

/// Why an action is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The Dataverse error code.
    pub code: u32,
    action: Action,
    status: Status,
    /// The operation type, where that is the reason.
    platform: Option<i32>,
}

/// An action on one job and who asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionRequest {
    pub id: Guid,
    pub action: Action,
    /// A row of `systemuser`.
    pub by: Guid,
    /// Why, in the words of whoever asks.
    pub reason: Option<String>,
}

/// Operation types that the platform generates; their jobs are not canceled,
/// paused or resumed.
pub const PLATFORM_TYPES: [i32; 10] = [9, 16, 18, 19, 20, 22, 24, 25, 27, 31];

impl Action {
    /// What clients call the actions.
    pub const NAMES: [&str; 5] = ["cancel", "pause", "resume", "postpone", "delete"];

    /// The action of a name; `until` is the time of a postponement.
    pub fn named(name: &str, until: Option<i64>) -> Option<Self> {
        match name {
            "cancel" => Some(Self::Cancel),
            "pause" => Some(Self::Pause),
            "resume" => Some(Self::Resume),
            "postpone" => until.map(Self::Postpone),
            "delete" => Some(Self::Delete),
            _ => None,
        }
    }

    /// What clients call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Postpone(_) => "postpone",
            Self::Delete => "delete",
        }
    }

    /// What the action makes of a job.
    pub fn transition(
        self,
        status: Status,
        operationtype: Option<i32>,
    ) -> Result<Transition, Refusal> {
        use Status::{Canceling, InProgress, Pausing, Waiting, WaitingForResources};
        let (allowed, code, done): (&[Status], u32, Transition) = match self {
            Self::Cancel => (
                &[WaitingForResources, Waiting, InProgress, Pausing],
                codes::CANNOT_CANCEL,
                Transition::Canceled,
            ),
            Self::Pause => {
                (&[InProgress], codes::CANNOT_PAUSE, Transition::Suspended { until: None })
            }
            Self::Resume => (&[Waiting], codes::CANNOT_BE_READY, Transition::Ready),
            Self::Postpone(until) => (
                &[WaitingForResources, InProgress],
                codes::INVALID_TRANSITION,
                Transition::Suspended { until: Some(until) },
            ),
            Self::Delete => return Ok(Transition::Deleted),
        };
        let refusal = |code, platform| Refusal { code, action: self, status, platform };
        let platform = operationtype.filter(|t| PLATFORM_TYPES.contains(t));
        if platform.is_some() && !matches!(self, Self::Postpone(_)) {
            return Err(refusal(code, platform));
        }
        if allowed.contains(&status) {
            return Ok(done);
        }
        // Something was asked of the job before, and is under way.
        let asked = matches!(status, Pausing | Canceling);
        Err(refusal(if asked { codes::INVALID_TRANSITION } else { code }, None))
    }

    /// The action that an update of `statecode`, `statuscode` and `postponeuntil`
    /// asks for; nothing when none of them is set. `postponeuntil` may be set to null.
    pub fn requested(
        statecode: Option<i32>,
        statuscode: Option<i32>,
        postponeuntil: Option<Option<i64>>,
    ) -> Result<Option<Self>> {
        let status = statuscode.map(|code| {
            Status::from_statuscode(code).ok_or_else(|| {
                let message = format!("{code} is not a valid status code of 'asyncoperation'");
                Error::invalid(codes::INVALID_STATUS, message)
            })
        });
        let status = status.transpose()?;
        if let Some(state) = statecode {
            if !(0..=3).contains(&state) {
                let message = format!("{state} is not a valid state code of 'asyncoperation'");
                return Err(Error::invalid(codes::INVALID_STATUS, message));
            }
            if let Some(status) = status.filter(|s| s.statecode() != state) {
                let message = format!(
                    "{} is not a valid status code for state code {state} on 'asyncoperation'",
                    status.statuscode()
                );
                return Err(Error::invalid(codes::INVALID_STATUS, message));
            }
        }
        let until = postponeuntil.flatten();
        let state = statecode.or(status.map(Status::statecode));
        let action = match (state, status, until) {
            (None, _, None) if postponeuntil.is_none() => return Ok(None),
            (None | Some(0), _, None) => Self::Resume,
            (None | Some(0 | 1), _, Some(until)) => Self::Postpone(until),
            (_, _, Some(_)) => {
                let message = "'postponeuntil' is set for jobs that become Ready or Suspended only";
                return Err(Error::invalid(codes::INVALID_TRANSITION, message));
            }
            (Some(1), _, None) | (_, Some(Status::Pausing), None) => Self::Pause,
            (Some(3), None | Some(Status::Canceled), None) | (_, Some(Status::Canceling), None) => {
                Self::Cancel
            }
            (Some(3), Some(_), None) => {
                let message = "a job is completed by its work only; a client can cancel it: statecode 3, statuscode 32";
                return Err(Error::invalid(codes::CANNOT_BE_COMPLETED, message));
            }
            (Some(_), _, None) => {
                let message = "a job becomes In Progress when it is picked, not by an update";
                return Err(Error::invalid(codes::INVALID_TRANSITION, message));
            }
        };
        Ok(Some(action))
    }

    /// What is said of it where nobody gives a reason and the handler is asked first.
    pub fn asked(self) -> &'static str {
        match self {
            Self::Cancel => "asked to cancel",
            Self::Pause => "asked to pause",
            Self::Resume => "asked to resume",
            Self::Postpone(_) => "asked to postpone",
            Self::Delete => "asked to delete",
        }
    }

    /// What is said of it where nobody gives a reason.
    pub fn done(self) -> &'static str {
        match self {
            Self::Cancel => "canceled",
            Self::Pause => "paused",
            Self::Resume => "resumed",
            Self::Postpone(_) => "postponed",
            Self::Delete => "deleted",
        }
    }
}

impl Transition {
    /// The status a job has next; nothing when it is gone. `runs`: an attempt is under
    /// way that has to be told.
    pub fn passing(self, runs: bool) -> Option<Status> {
        match self {
            Self::Canceled if runs => Some(Status::Canceling),
            Self::Suspended { .. } if runs => Some(Status::Pausing),
            _ => self.status(),
        }
    }

    /// The status a job has in the end; nothing when it is gone.
    pub fn status(self) -> Option<Status> {
        match self {
            Self::Canceled => Some(Status::Canceled),
            Self::Suspended { .. } => Some(Status::Waiting),
            Self::Ready => Some(Status::WaitingForResources),
            Self::Deleted => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = self.action.done();
        match self.platform {
            Some(operationtype) => write!(
                f,
                "a job of operation type {operationtype} is generated by the platform and cannot be {verb}"
            ),
            None => write!(
                f,
                "a job with statecode {} and statuscode {} cannot be {verb}",
                self.status.statecode(),
                self.status.statuscode()
            ),
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::invalid(refusal.code, refusal.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_in_every_state() {
        let until = 5;
        // Statuses 0, 10, 20, 21, 22, 30, 31, 32; 0 stands for done.
        let rows = [
            (Action::Cancel, [0, 0, 0, 0, 0x4162, 0x4F00, 0x4F00, 0x4F00]),
            (Action::Pause, [0x4F01, 0x4F01, 0, 0x4162, 0x4162, 0x4F01, 0x4F01, 0x4F01]),
            (Action::Resume, [0x4166, 0, 0x4166, 0x4162, 0x4162, 0x4166, 0x4166, 0x4166]),
            (Action::Postpone(until), [0, 0x4162, 0, 0x4162, 0x4162, 0x4162, 0x4162, 0x4162]),
            (Action::Delete, [0; 8]),
        ];
        for (action, expected) in rows {
            for (status, code) in Status::ALL.into_iter().zip(expected) {
                let answer = action.transition(status, Some(10)).map_err(|r| r.code & 0xFFFF);
                match code {
                    0 => assert!(answer.is_ok(), "{action:?} {status:?}: {answer:?}"),
                    _ => assert_eq!(answer, Err(code), "{action:?} {status:?}"),
                }
            }
        }
        let postponed = Action::Postpone(until).transition(Status::InProgress, None);
        assert_eq!(postponed, Ok(Transition::Suspended { until: Some(until) }));
    }

    #[test]
    fn jobs_of_the_platform_are_postponed_and_deleted_only() {
        for operationtype in PLATFORM_TYPES {
            let of = |action: Action, status| action.transition(status, Some(operationtype));
            let code = |action, status| of(action, status).expect_err("refused").code;
            assert_eq!(code(Action::Cancel, Status::InProgress), codes::CANNOT_CANCEL);
            assert_eq!(code(Action::Pause, Status::InProgress), codes::CANNOT_PAUSE);
            assert_eq!(code(Action::Resume, Status::Waiting), codes::CANNOT_BE_READY);
            assert!(of(Action::Postpone(1), Status::WaitingForResources).is_ok());
            assert!(of(Action::Delete, Status::InProgress).is_ok());
        }
    }

    #[test]
    fn updates_ask_for_actions() {
        let asked = |state, status, until| {
            Action::requested(state, status, until).map_err(|e| e.code & 0xFFFF)
        };
        for (state, status, until, expected) in [
            (None, None, None, Ok(None)),
            (Some(3), Some(32), None, Ok(Some(Action::Cancel))),
            (Some(3), None, None, Ok(Some(Action::Cancel))),
            (None, Some(32), None, Ok(Some(Action::Cancel))),
            (Some(2), Some(22), None, Ok(Some(Action::Cancel))),
            (Some(2), Some(21), None, Ok(Some(Action::Pause))),
            (Some(1), Some(10), None, Ok(Some(Action::Pause))),
            (Some(1), None, Some(None), Ok(Some(Action::Pause))),
            (Some(1), Some(10), Some(Some(9)), Ok(Some(Action::Postpone(9)))),
            (None, None, Some(Some(9)), Ok(Some(Action::Postpone(9)))),
            (Some(0), None, None, Ok(Some(Action::Resume))),
            (Some(0), Some(0), Some(None), Ok(Some(Action::Resume))),
            (None, None, Some(None), Ok(Some(Action::Resume))),
            (Some(3), Some(30), None, Err(0x4165)),
            (None, Some(31), None, Err(0x4165)),
            (Some(2), None, None, Err(0x4162)),
            (Some(2), Some(20), None, Err(0x4162)),
            (Some(3), Some(32), Some(Some(9)), Err(0x4162)),
            (Some(0), Some(32), None, Err(0x8408)),
            (Some(7), None, None, Err(0x8408)),
            (None, Some(11), None, Err(0x8408)),
        ] {
            assert_eq!(asked(state, status, until), expected, "{state:?} {status:?} {until:?}");
        }
    }
}
