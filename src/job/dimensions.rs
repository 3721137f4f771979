//! What questions about jobs are mostly counted by. The store keeps the counts
//! up to date with every commit, so that such questions read no jobs.

/// A column to count by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// Its values, of which there are few.
    Value(&'static str),
    /// Whether it has a value.
    Presence(&'static str),
    /// The hour in which its time lies.
    Hour(&'static str),
}

use Dimension::{Hour, Presence, Value};

/// What is counted together. The documented diagnostics are in the first; by
/// extension and by hour there are many more groups, hence counts of their own.
pub const COUNTED_BY: &[&[Dimension]] = &[
    &[Value("statecode"), Value("statuscode"), Value("operationtype"), Presence("datablobid")],
    &[
        Value("statecode"),
        Value("statuscode"),
        Value("operationtype"),
        Presence("datablobid"),
        Value("owningextensionid"),
        Value("owningextensionidname"),
    ],
    &[Value("statecode"), Value("statuscode"), Value("operationtype"), Hour("createdon")],
    &[Value("statecode"), Value("statuscode"), Value("operationtype"), Hour("completedon")],
];
