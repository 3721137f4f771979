//! Which tables clients may write to. The rest is written by the platform.

use crate::catalog::Table;
use crate::error::{Error, ErrorKind, Result, codes};

/// What is done to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Create,
    Update,
    Delete,
}

/// The tables of which clients may not do everything, and what they may do, as
/// Microsoft's table reference lists their messages. Files and logs go with their job.
const LIMITED: &[(&str, &[Operation])] = &[
    ("asyncoperation", &[Operation::Update, Operation::Delete]),
    ("fileattachment", &[]),
    ("workflowlog", &[]),
    ("jobhistory", &[]),
    ("jobdefinition", &[]),
    ("processsession", &[Operation::Delete]),
    ("plugintracelog", &[Operation::Delete]),
    ("bulkdeleteoperation", &[Operation::Delete]),
    ("bulkdeletefailure", &[Operation::Delete]),
    ("duplicaterecord", &[]),
    ("organization", &[Operation::Update]),
];

/// Whether clients may do something to rows of a table.
pub fn check(table: &Table, operation: Operation) -> Result<()> {
    let limited = LIMITED.iter().find(|(name, _)| *name == table.logical_name);
    if limited.is_none_or(|(_, allowed)| allowed.contains(&operation)) {
        return Ok(());
    }
    let message = format!(
        "The '{operation:?}' method does not support entities of type '{}'.",
        table.logical_name
    );
    Err(Error::new(ErrorKind::Unsupported, codes::OPERATION_NOT_SUPPORTED, message))
}
