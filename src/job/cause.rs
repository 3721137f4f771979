//! Because a job is suspended, and the words that say why a job has not ended.

use super::Status;

/// Because a job is suspended. The numbers are those kept in its row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(i32)]
pub enum Cause {
    /// It is not.
    #[default]
    None = 0,
    /// Until a time that somebody has set.
    Postponed = 1,
    /// Until somebody resumes it, who has paused it.
    Paused = 2,
    /// Until its next attempt.
    Retry = 3,
    /// Until a time, because its definition has failed repeatedly.
    RepeatedFailure = 4,
    /// Until somebody resumes it, because of an error.
    Error = 5,
    /// Until its event has happened.
    Event = 6,
    /// Until a time that its own work has set.
    Timer = 7,
    /// Until its next occurrence.
    Recurrence = 8,
}

impl Cause {
    pub const ALL: [Self; 9] = [
        Self::None,
        Self::Postponed,
        Self::Paused,
        Self::Retry,
        Self::RepeatedFailure,
        Self::Error,
        Self::Event,
        Self::Timer,
        Self::Recurrence,
    ];

    pub fn code(self) -> i32 {
        self as i32
    }

    pub fn from_code(code: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.code() == code)
    }

    /// The cause of a suspended job. Rows that were not written by this service have
    /// no code; what they say of a time, an event and an error stands in for it.
    pub fn of_row(code: Option<i32>, until: bool, event: bool, error: bool) -> Self {
        let known = code.and_then(Self::from_code).filter(|cause| *cause != Self::None);
        known.unwrap_or(match (until, event, error) {
            (true, ..) => Self::Postponed,
            (_, true, _) => Self::Event,
            (.., true) => Self::Error,
            _ => Self::Paused,
        })
    }

    /// The word for it; `until`: there is a time when it ends.
    pub fn word(self, until: bool) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::RepeatedFailure => "repeated-failure",
            Self::Error => "suspended-by-error",
            Self::Event => "waiting-for-event",
            Self::Timer | Self::Recurrence => "postponed",
            _ if until => "postponed",
            _ => "paused",
        }
    }
}

/// Why a job has not ended, as far as its own row can tell; nothing for one that has.
/// A ready job waits for a place to run, unless it has a time to wait for.
pub fn wait_reason(status: Status, cause: Cause, until: bool) -> Option<&'static str> {
    match status {
        Status::Succeeded | Status::Failed | Status::Canceled => None,
        Status::InProgress | Status::Pausing | Status::Canceling => Some("running"),
        Status::Waiting => Some(cause.word(until)),
        Status::WaitingForResources if until => Some("postponed"),
        Status::WaitingForResources => Some("capacity"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_without_a_code_tell_by_their_columns() {
        for ((code, until, event, error), word) in [
            ((None, true, false, false), "postponed"),
            ((None, false, true, true), "waiting-for-event"),
            ((None, false, false, true), "suspended-by-error"),
            ((None, false, false, false), "paused"),
            ((Some(0), false, false, false), "paused"),
            ((Some(3), true, false, true), "retry"),
            ((Some(4), true, false, false), "repeated-failure"),
            ((Some(7), true, false, false), "postponed"),
            ((Some(99), false, false, true), "suspended-by-error"),
        ] {
            let cause = Cause::of_row(code, until, event, error);
            assert_eq!(wait_reason(Status::Waiting, cause, until), Some(word), "{code:?}");
        }
        let none = |status, until| wait_reason(status, Cause::None, until);
        assert_eq!(none(Status::Succeeded, false), None);
        assert_eq!(none(Status::Canceling, false), Some("running"));
        assert_eq!(none(Status::WaitingForResources, false), Some("capacity"));
        assert_eq!(none(Status::WaitingForResources, true), Some("postponed"));
    }
}
