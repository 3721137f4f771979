//! The parameters of `BulkDelete`, as Microsoft's page on the action lists them.

use serde_json::{Map, Value as Json};

use super::arguments::{Arguments, wrong};
use super::recurrence::Recurrence;
use crate::catalog::Catalog;
use crate::dialect::query_expression;
use crate::error::{Place, Result};
use crate::job;
use crate::query::{Condition, Filter, Operand, Operator, Select, Test};
use crate::write::{self, Operation};

const PARAMETERS: &[&str] = &[
    "QuerySet",
    "JobName",
    "SendEmailNotification",
    "ToRecipients",
    "CCRecipients",
    "RecurrencePattern",
    "StartDateTime",
    "SourceImportId",
    "RunNow",
    "Options",
];

/// What a client asks for, checked.
#[derive(Debug)]
pub struct Request {
    pub(super) name: String,
    pub(super) queries: Vec<Select>,
    /// The queries as they came.
    pub(super) text: String,
    pub(super) pattern: String,
    pub(super) recurrence: Option<Recurrence>,
    pub(super) start: Option<i64>,
    pub(super) immediate: bool,
    /// All of it as it came, from which the job reads it again.
    pub(super) body: String,
}

impl Request {
    pub fn read(object: &Map<String, Json>, catalog: &Catalog) -> Result<Self> {
        let arguments = Arguments::of("BulkDelete", PARAMETERS, object)?;
        arguments.without_notice()?;
        let name = arguments.job_name()?;
        let start = arguments.time("StartDateTime")?;
        let pattern = arguments.text("RecurrencePattern")?.unwrap_or_default().to_owned();
        let set = match arguments.get("QuerySet") {
            Some(Json::Array(set)) if !set.is_empty() => set,
            _ => return Err(wrong("QuerySet", "a list of at least one query is required")),
        };
        let mut queries = Vec::new();
        for (index, query) in set.iter().enumerate() {
            let place = format!("QuerySet[{index}]");
            let select = query_expression::parse(query, &place, catalog)?;
            if let Some(table) = catalog.table(&select.table.text) {
                write::check(table, Operation::Delete).map_err(|e| e.at(Place::Part(place)))?;
            }
            queries.push(select);
        }
        let immediate = arguments.flag("RunNow")?;
        if immediate && !queries.iter().all(may_be_immediate) {
            let message = "only system jobs are deleted at once, by a query with the condition 'operationtype' Equal 10 (Workflow)";
            return Err(wrong("RunNow", message));
        }
        Ok(Self {
            name,
            queries,
            text: Json::Array(set.clone()).to_string(),
            recurrence: Recurrence::read(&pattern)?,
            pattern,
            start,
            immediate,
            body: arguments.body(),
        })
    }
}

/// The "Immediately" option is for workflow jobs.
fn may_be_immediate(select: &Select) -> bool {
    let is_workflow = |condition: &Condition| {
        condition.column.name.text == "operationtype"
            && condition.test == Test::Compare(Operator::Eq)
            && matches!(condition.operands.as_slice(), [Operand::Value(v)] if v.text.trim() == "10")
    };
    let restricted = match &select.filter {
        Some(Filter::Condition(condition)) => is_workflow(condition),
        Some(Filter::And(parts)) => {
            parts.iter().any(|part| matches!(part, Filter::Condition(c) if is_workflow(c)))
        }
        _ => false,
    };
    select.table.text == job::TABLE && restricted
}
