//! System jobs: the names, states and rules that are the same for everyone who
//! handles `asyncoperation` rows.

pub const TABLE: &str = "asyncoperation";

/// The columns that a job's life changes after its creation.
pub const LIFECYCLE_COLUMNS: &[&str] = &[
    "statecode",
    "statuscode",
    "startedon",
    "completedon",
    "modifiedon",
    "modifiedby",
    "postponeuntil",
    "retrycount",
    "errorcode",
    "message",
    "friendlymessage",
    "executiontimespan",
    "hostid",
    "iswaitingforevent",
    "workflowstagename",
    "recurrencepattern",
    "recurrencestarttime",
];
