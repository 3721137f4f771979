//! Events raise jobs: what happens to a record is matched against the registered
//! steps and the activated workflows, and each match is a new system job, as
//! Microsoft's pages on the event framework and on background workflows have it.
//!
//! Parts: [`definitions`] the steps and workflows by message and table, [`context`]
//! the execution context that a job carries, [`payload`] where that is kept,
//! [`raise`] the rows of the new jobs.

mod context;
mod definitions;
pub mod payload;
mod raise;

#[cfg(test)]
mod tests;

pub use self::context::{Setting, attribute, execution_context};
pub use self::definitions::Definitions;
pub use self::raise::{By, OnDemand, Raised, organization, raise};

use serde_json::Value as Json;

use crate::value::Guid;

/// The messages that writes through the Web API have.
pub const CREATE: &str = "Create";
pub const UPDATE: &str = "Update";
pub const DELETE: &str = "Delete";

/// Depth and correlation of a chain count within this time, in microseconds: the
/// documented window of the protection against loops.
const CHAIN_WINDOW: i64 = 3_600_000_000;

/// Something that has happened to a record.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordChange {
    /// `Create`, `Update`, …
    pub message: String,
    /// Logical name.
    pub table: String,
    pub id: Guid,
    /// The columns that were set, and their values as an execution context has them.
    pub attributes: Vec<(String, Json)>,
    /// Primary name of the record, with its column.
    pub name: Option<(String, String)>,
    /// Who owns the record, where that is known.
    pub owner: Option<Guid>,
    pub business_unit: Option<Guid>,
}

/// Where in a chain of requests and jobs something happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    pub correlation: Guid,
    /// The depth of jobs that are raised; 1 for what a user does.
    pub depth: i32,
    pub request: Guid,
    /// `callerorigin`: the kind of caller.
    pub origin: &'static str,
    /// The job whose work this is.
    pub parent: Option<Guid>,
}

impl Chain {
    /// A request of a client.
    pub fn of_request() -> Self {
        let id = || uuid::Uuid::new_v4().into_bytes();
        Self {
            correlation: id(),
            depth: 1,
            request: id(),
            origin: "WebServiceApiOrigin",
            parent: None,
        }
    }

    /// What the work of a job does; `correlated` is the time of the job's
    /// `correlationupdatedtime`. After the window a chain counts anew.
    pub fn of_job(
        job: Guid,
        correlation: Option<Guid>,
        depth: i32,
        correlated: Option<i64>,
        now: i64,
    ) -> Self {
        let within = correlated.is_none_or(|at| now - at < CHAIN_WINDOW);
        let request = uuid::Uuid::new_v4().into_bytes();
        Self {
            correlation: correlation.unwrap_or(request),
            depth: if within { depth.saturating_add(1) } else { 1 },
            request,
            origin: "AsyncServiceOrigin",
            parent: Some(job),
        }
    }
}
