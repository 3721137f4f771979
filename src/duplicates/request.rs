//! The parameters of `BulkDetectDuplicates`, as Microsoft's page on the action lists
//! them.

use serde_json::{Map, Value as Json};

use crate::bulk_delete::recurrence::Recurrence;
use crate::catalog::{Catalog, nearest};
use crate::dialect::query_expression;
use crate::error::{Error, Place, Result, codes};
use crate::query::Select;
use crate::value::parse_time;

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
        let wrong = |name: &str, message: &str| {
            let error = Error::invalid(codes::INVALID_ARGUMENT, message);
            error.at(Place::Part(name.to_owned()))
        };
        let unknown = object.keys().find(|n| !n.contains('@') && !PARAMETERS.contains(&n.as_str()));
        if let Some(unknown) = unknown {
            let near = nearest(unknown, PARAMETERS.iter().copied());
            let hint = near.map(|near| format!("; did you mean '{near}'?")).unwrap_or_default();
            let message = format!("'{unknown}' is no parameter of BulkDetectDuplicates{hint}");
            return Err(Error::invalid(codes::ODATA, message));
        }
        let text = |name: &str| match object.get(name) {
            None | Some(Json::Null) => Ok(None),
            Some(Json::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(wrong(name, "a text is expected")),
        };
        for name in ["ToRecipients", "CCRecipients"] {
            if !matches!(object.get(name), None | Some(Json::Null | Json::Array(_))) {
                return Err(wrong(name, "a list is expected"));
            }
        }
        match object.get("SendEmailNotification") {
            None | Some(Json::Null | Json::Bool(false)) => {}
            Some(Json::Bool(true)) => {
                let error = Error::unsupported("e-mail notifications are not sent");
                return Err(error.at(Place::Part("SendEmailNotification".into())));
            }
            Some(_) => return Err(wrong("SendEmailNotification", "true or false is expected")),
        }
        let name = text("JobName")?.filter(|name| !name.trim().is_empty());
        let name = name.ok_or_else(|| wrong("JobName", "a name is required"))?.to_owned();
        let start = text("RecurrenceStartTime")?.filter(|text| !text.is_empty());
        let start = start.map(|text| {
            parse_time(text).ok_or_else(|| {
                let message = "a date and time such as 2024-05-01T10:00:00Z is expected";
                wrong("RecurrenceStartTime", message)
            })
        });
        let query = match object.get("Query") {
            None | Some(Json::Null) => return Err(wrong("Query", "a query is required")),
            Some(query) => query_expression::parse(query, "Query", catalog)?,
        };
        let pattern = text("RecurrencePattern")?.unwrap_or_default();
        let recurs = Recurrence::read(pattern)?.is_some();
        Ok(Self {
            name,
            query,
            pattern: if recurs { pattern.to_owned() } else { String::new() },
            start: start.transpose()?,
            body: Json::Object(object.clone()).to_string(),
        })
    }
}
