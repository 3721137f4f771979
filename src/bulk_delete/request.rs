//! The parameters of `BulkDelete`, as Microsoft's page on the action lists them.

use serde_json::{Map, Value as Json};

use super::recurrence::Recurrence;
use crate::catalog::Catalog;
use crate::dialect::query_expression;
use crate::error::{Error, Place, Result, codes};
use crate::job;
use crate::query::{Condition, Filter, Operand, Operator, Select, Test};
use crate::value::parse_time;
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
        let wrong = |name: &str, message: &str| {
            let error = Error::invalid(codes::INVALID_ARGUMENT, message);
            error.at(Place::Part(name.to_owned()))
        };
        let unknown = object.keys().find(|n| !n.contains('@') && !PARAMETERS.contains(&n.as_str()));
        if let Some(unknown) = unknown {
            let message = format!("'{unknown}' is no parameter of BulkDelete");
            return Err(Error::invalid(codes::ODATA, message));
        }
        let text = |name: &str| match object.get(name) {
            None | Some(Json::Null) => Ok(None),
            Some(Json::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(wrong(name, "a text is expected")),
        };
        let flag = |name: &str| match object.get(name) {
            None | Some(Json::Null) => Ok(false),
            Some(Json::Bool(flag)) => Ok(*flag),
            Some(_) => Err(wrong(name, "true or false is expected")),
        };
        for name in ["ToRecipients", "CCRecipients"] {
            if !matches!(object.get(name), None | Some(Json::Null | Json::Array(_))) {
                return Err(wrong(name, "a list is expected"));
            }
        }
        if flag("SendEmailNotification")? {
            let error = Error::unsupported("e-mail notifications are not sent");
            return Err(error.at(Place::Part("SendEmailNotification".into())));
        }
        let name = text("JobName")?.filter(|name| !name.trim().is_empty());
        let name = name.ok_or_else(|| wrong("JobName", "a name is required"))?.to_owned();
        let start = text("StartDateTime")?.filter(|text| !text.is_empty());
        let start = start.map(|text| {
            parse_time(text).ok_or_else(|| {
                wrong("StartDateTime", "a date and time such as 2024-05-01T10:00:00Z is expected")
            })
        });
        let pattern = text("RecurrencePattern")?.unwrap_or_default().to_owned();
        let set = match object.get("QuerySet") {
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
        let immediate = flag("RunNow")?;
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
            start: start.transpose()?,
            immediate,
            body: Json::Object(object.clone()).to_string(),
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
