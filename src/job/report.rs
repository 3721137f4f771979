//! How an attempt ended, and what comes of it. The table of errors is that of
//! Microsoft's CRM team, "When do asynchronous jobs fail, suspend or retry?".

use crate::error::codes;

/// `operationtype` of a workflow's job, which waits for a person where others fail.
pub const WORKFLOW: i32 = 10;
/// `operationtype` of a job of an asynchronous plug-in or webhook step. Such jobs
/// have no dependency token.
pub const PLUGIN: i32 = 1;

/// What a handler or a worker says of an attempt that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Succeeded,
    /// What comes of it depends on the error code.
    Failed,
    /// Transient: another attempt later.
    Retry,
    /// Waits until somebody resumes the job; also the answer to a pause.
    Suspended,
    /// The answer to a cancel, or the work's own end.
    Canceled,
    /// The work waits, until a time or without one for an event, and goes on in a
    /// later attempt.
    Waits {
        until: Option<i64>,
    },
}

/// The end of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub outcome: Outcome,
    pub errorcode: Option<i32>,
    pub message: Option<String>,
    pub friendlymessage: Option<String>,
    /// How far a workflow has come; kept as it is where the report does not say.
    pub workflowstate: Option<String>,
    pub workflowstagename: Option<String>,
}

impl Report {
    pub fn of(outcome: Outcome) -> Self {
        Self {
            outcome,
            errorcode: None,
            message: None,
            friendlymessage: None,
            workflowstate: None,
            workflowstagename: None,
        }
    }

    /// A failure with an error code, in words for people.
    pub fn failed(errorcode: Option<i32>, message: Option<String>) -> Self {
        let friendlymessage = message.clone();
        Self { errorcode, message, friendlymessage, ..Self::of(Outcome::Failed) }
    }
}

/// What a failure makes of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consequence {
    /// 3/31.
    Fail,
    /// 1/10 with a time, then another attempt.
    Retry,
    /// 1/10 until somebody resumes it.
    Suspend,
}

/// The documented rows: error code, consequence for a workflow, for all others.
/// A 401 has the code of a network error, so its handler asks for a suspension.
pub const ERRORS: &[(u32, Consequence, Consequence)] = &[
    (codes::DEPTH_EXCEEDED, Consequence::Fail, Consequence::Fail),
    (codes::PLUGIN_FAILED, Consequence::Fail, Consequence::Fail),
    (codes::ORGANIZATION_DISABLED, Consequence::Retry, Consequence::Retry),
    (codes::ORGANIZATION_DISABLED_TOO, Consequence::Retry, Consequence::Retry),
    (codes::SERVER_BUSY, Consequence::Retry, Consequence::Retry),
    (codes::UNEXPECTED, Consequence::Retry, Consequence::Retry),
    (codes::NETWORK_ERROR, Consequence::Retry, Consequence::Retry),
    // The service asks for patience: all four mean "tried again later".
    (codes::TYPE_THROTTLED, Consequence::Retry, Consequence::Retry),
    (codes::EXCEPTION_THROTTLED, Consequence::Retry, Consequence::Retry),
    (codes::POSTPONED_AFTER_FAILURES, Consequence::Retry, Consequence::Retry),
    (codes::ENDPOINT_POSTPONED, Consequence::Retry, Consequence::Retry),
    (codes::WORKFLOWS_PAUSED, Consequence::Suspend, Consequence::Fail),
    (codes::WORKFLOW_RECORD_MISSING, Consequence::Suspend, Consequence::Fail),
    // A webhook that is to be tried again, or waits for a person, says so itself.
    (codes::WEBHOOK_NOT_SUCCESSFUL, Consequence::Fail, Consequence::Fail),
    // The attempt did not end in its time, or had no place to run.
    (codes::TIME_LIMIT, Consequence::Fail, Consequence::Fail),
    (codes::TIME_LIMIT_HOST, Consequence::Fail, Consequence::Fail),
    (codes::TIME_LIMIT_WORKER, Consequence::Fail, Consequence::Fail),
    (codes::NO_RESPONSE, Consequence::Fail, Consequence::Fail),
    (codes::NO_WORKER, Consequence::Retry, Consequence::Retry),
    (codes::NO_HOST, Consequence::Retry, Consequence::Retry),
];

/// What a failure with an error code makes of a job. No code or another one: a
/// workflow is suspended, everything else fails.
pub fn consequence(errorcode: Option<i32>, operationtype: Option<i32>) -> Consequence {
    let workflow = operationtype == Some(WORKFLOW);
    let row = errorcode.and_then(|code| ERRORS.iter().find(|row| row.0 == code as u32));
    match (row, workflow) {
        (Some(row), true) => row.1,
        (Some(row), false) => row.2,
        (None, true) => Consequence::Suspend,
        (None, false) => Consequence::Fail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_errors() {
        use Consequence::{Fail, Retry, Suspend};
        for (code, workflow, other) in [
            (Some(0x8004_4182_u32), Fail, Fail),
            (Some(0x8004_A104), Retry, Retry),
            (Some(0x8004_A107), Retry, Retry),
            (Some(0x8004_A001), Retry, Retry),
            (Some(0x8006_0916), Retry, Retry),
            (Some(0x8006_0917), Retry, Retry),
            (Some(0x8004_0328), Retry, Retry),
            (Some(0x8004_4179), Retry, Retry),
            (Some(0x8004_418D), Retry, Retry),
            (Some(0x8004_0217), Suspend, Fail),
            (Some(0x8004_0216), Retry, Retry),
            (Some(0x8004_5017), Suspend, Fail),
            (Some(0x8004_4306), Retry, Retry),
            (Some(0x8004_5031), Suspend, Fail),
            (Some(0x8004_0265), Fail, Fail),
            (Some(0x8004_4171), Fail, Fail),
            (None, Suspend, Fail),
        ] {
            let code = code.map(|code| code as i32);
            assert_eq!(consequence(code, Some(WORKFLOW)), workflow, "{code:?}");
            assert_eq!(consequence(code, Some(PLUGIN)), other, "{code:?}");
            assert_eq!(consequence(code, None), other, "{code:?}");
        }
    }
}
