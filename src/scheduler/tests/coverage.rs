//! The documented rows that have to be shown by a script: every action in every state,
//! every error, every column that is filled and when, every cause, every transition.

use std::collections::BTreeSet;

use super::{files, run};
use crate::job::Status;
use crate::job::report::ERRORS;

const ACTIONS: [&str; 5] = ["cancel", "pause", "resume", "postpone", "delete"];

const CAUSES: [&str; 14] = [
    "capacity",
    "token",
    "postponed",
    "paused",
    "retry",
    "repeated-failure",
    "definition-deactivated",
    "rate-guard",
    "waiting-for-event",
    "suspended-by-error",
    "running",
    "ended",
    "no-handler",
    "stopping",
];

/// Every transition there is.
const TRANSITIONS: [&str; 28] = [
    "new -> 0/0",
    "new -> 1/10",
    "0/0 -> 1/10",
    "0/0 -> 2/20",
    "0/0 -> 3/31",
    "0/0 -> 3/32",
    "0/0 -> gone",
    "1/10 -> 0/0",
    "1/10 -> 3/32",
    "1/10 -> gone",
    "2/20 -> 0/0",
    "2/20 -> 1/10",
    "2/20 -> 2/21",
    "2/20 -> 2/22",
    "2/20 -> 3/30",
    "2/20 -> 3/31",
    "2/20 -> 3/32",
    "2/21 -> 1/10",
    "2/21 -> 2/22",
    "2/21 -> 3/30",
    "2/21 -> 3/31",
    "2/21 -> 3/32",
    "2/22 -> 3/30",
    "2/22 -> 3/31",
    "2/22 -> 3/32",
    "3/30 -> gone",
    "3/31 -> gone",
    "3/32 -> gone",
];

/// Columns and when they are filled.
const FILLED: [&str; 42] = [
    "asyncoperationid shown",
    "createdon shown",
    "createdby shown",
    "modifiedon shown",
    "modifiedby shown",
    "ownerid shown",
    "owneridtype shown",
    "owninguser shown",
    "owningbusinessunit shown",
    "operationtype shown",
    "depth shown",
    "correlationid shown",
    "correlationupdatedtime shown",
    "dependencytoken shown",
    "sequence shown",
    "statecode shown",
    "statuscode shown",
    "retrycount shown",
    "iswaitingforevent shown",
    "utcconversiontimezonecode shown",
    "timezoneruleversionnumber shown",
    "recurrencepattern shown",
    "recurrencestarttime shown",
    "postponeuntil shown",
    "startedon at 0/0 -> 2/20",
    "hostid at 0/0 -> 2/20",
    "hostid at 2/20 -> 3/30",
    "hostid at 2/20 -> 1/10",
    "expanderstarttime at 0/0 -> 2/20",
    "completedon at 2/20 -> 3/30",
    "completedon at 2/20 -> 3/31",
    "completedon at 1/10 -> 3/32",
    "executiontimespan at 2/20 -> 3/30",
    "executiontimespan at 2/20 -> 1/10",
    "errorcode at 2/20 -> 3/31",
    "message at 2/20 -> 3/31",
    "friendlymessage at 2/20 -> 3/31",
    "retrycount at 2/20 -> 1/10",
    "postponeuntil at 2/20 -> 1/10",
    "iswaitingforevent at 2/20 -> 1/10",
    "workflowstagename at 2/20 -> 1/10",
    "modifiedby at 0/0 -> 3/32",
];

#[test]
fn every_documented_row_has_a_script() {
    let mut shown = BTreeSet::new();
    for path in files() {
        run(&std::fs::read_to_string(&path).expect("a text"), &mut shown);
    }
    let mut rows: Vec<String> = Vec::new();
    for action in ACTIONS {
        rows.extend(Status::ALL.map(|status| format!("{action} {}", status.statuscode())));
    }
    for (code, ..) in ERRORS {
        rows.extend(["workflow", "other"].map(|of| format!("error 0x{code:08X} {of}")));
    }
    rows.extend(["workflow", "other"].map(|of| format!("error none {of}")));
    rows.extend(CAUSES.map(|cause| format!("why {cause}")));
    rows.extend(TRANSITIONS.map(|step| format!("history {step}")));
    rows.extend(FILLED.map(str::to_owned));
    for outcome in ["succeeded", "failed", "retry", "suspended", "canceled", "waits"] {
        rows.extend(["20", "21", "22"].map(|status| format!("{outcome} at {status}")));
    }
    for (action, statuses) in [
        ("cancel", vec![0, 10, 20, 30]),
        ("pause", vec![20]),
        ("resume", vec![10]),
        ("postpone", vec![0, 20]),
        ("delete", vec![0, 10, 20, 30]),
    ] {
        rows.extend(statuses.iter().map(|status| format!("{action} {status} of the platform")));
    }
    rows.retain(|row| !shown.contains(row));
    assert!(rows.is_empty(), "no script shows:\n{}", rows.join("\n"));
}
