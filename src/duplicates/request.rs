//! The parameters of `BulkDetectDuplicates`, as Microsoft's page on the action lists
//! them.

use serde_json::{Map, Value as Json};

use crate::bulk_delete::arguments::{Arguments, wrong};
use crate::bulk_delete::recurrence::Recurrence;
use crate::catalog::Catalog;
use crate::dialect::query_expression;
use crate::error::Result;
use crate::query::Select;

const PARAMETERS: &[&str] = &[
    "Query",
    "JobName",
    "SendEmailNotification",
    "TemplateId",
    "ToRecipients",
    "CCRecipients",
    "RecurrencePattern",
    "RecurrenceStartTime",
];

/// What a client asks for, checked.
#[derive(Debug)]
pub struct Request {
    pub(super) name: String,
    pub(super) query: Select,
    /// Empty if it does not recur.
    pub(super) pattern: String,
    pub(super) start: Option<i64>,
    /// All of it as it came, from which the job reads it again.
    pub(super) body: String,
}

impl Request {
    pub fn read(object: &Map<String, Json>, catalog: &Catalog) -> Result<Self> {
        let arguments = Arguments::of("BulkDetectDuplicates", PARAMETERS, object)?;
        arguments.without_notice()?;
        let name = arguments.job_name()?;
        let start = arguments.time("RecurrenceStartTime")?;
        let query = arguments.get("Query").ok_or_else(|| wrong("Query", "a query is required"))?;
        let query = query_expression::parse(query, "Query", catalog)?;
        let pattern = arguments.text("RecurrencePattern")?.unwrap_or_default();
        let recurs = Recurrence::read(pattern)?.is_some();
        Ok(Self {
            name,
            query,
            pattern: if recurs { pattern.to_owned() } else { String::new() },
            start,
            body: arguments.body(),
        })
    }
}
