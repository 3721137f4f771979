//! The rows of `workflowlog`: one for each step that a job has done or waits in.

use crate::catalog::{Catalog, entity_code};
use crate::handlers::job::JobRow;
use crate::store::Change;
use crate::value::{Guid, Value};

/// `status` of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Succeeded = 2,
    Failed = 3,
    Waiting = 5,
}

/// A step, as the log tells of it.
pub struct Entry<'a> {
    pub id: Guid,
    pub stage: &'a str,
    pub step: &'a str,
    pub status: Status,
    pub errorcode: Option<i32>,
    pub message: Option<&'a str>,
    pub started: i64,
    pub now: i64,
}

/// Longest text of `errortext`.
const ERROR_TEXT_MAX: usize = 1000;

impl Entry<'_> {
    /// The row; it takes the place of an earlier one with the same id.
    pub fn row(&self, catalog: &Catalog, job: &JobRow) -> Option<Change> {
        let table = catalog.table_index("workflowlog")?;
        let facts = &catalog.tables()[table];
        let caller = job.caller();
        let text = |text: &str| Value::Text(text.to_owned());
        let user = Value::Guid(caller.user);
        let ended = self.status != Status::Waiting;
        let when = |value: Value| if ended { value } else { Value::Null };
        let millis = i32::try_from((self.now - self.started) / 1000).unwrap_or(i32::MAX);
        let shown = self.message.map(|m| m.chars().take(ERROR_TEXT_MAX).collect::<String>());
        let guid = |id: Option<Guid>| id.map_or(Value::Null, Value::Guid);
        let failed = self.status == Status::Failed;
        let cells = [
            ("workflowlogid", Value::Guid(self.id)),
            ("asyncoperationid", Value::Guid(job.id)),
            ("asyncoperationidtype", Value::Int32(entity_code("asyncoperation"))),
            ("objecttypecode", Value::Int32(entity_code("asyncoperation"))),
            ("stagename", text(self.stage)),
            ("stepname", text(self.step)),
            ("activityname", text(self.step)),
            ("status", Value::Int32(self.status as i32)),
            ("message", self.message.map_or(Value::Null, text)),
            ("errorcode", self.errorcode.map_or(Value::Null, Value::Int32)),
            ("errortext", shown.filter(|_| failed).map_or(Value::Null, Value::Text)),
            ("startedon", Value::Time(self.started)),
            ("completedon", when(Value::Time(self.now))),
            ("duration", when(Value::Int32(millis))),
            ("regardingobjectid", guid(job.guid("regardingobjectid"))),
            (
                "regardingobjectidtype",
                job.int("regardingobjecttypecode").map_or(Value::Null, Value::Int32),
            ),
            ("ownerid", user.clone()),
            ("owneridtype", Value::Int32(entity_code("systemuser"))),
            ("owninguser", user.clone()),
            ("owningbusinessunit", Value::Guid(caller.business_unit)),
            ("createdby", user.clone()),
            ("createdon", Value::Time(self.started)),
            ("modifiedby", user),
            ("modifiedon", Value::Time(self.now)),
        ];
        let cells = cells.into_iter().filter(|(_, value)| *value != Value::Null);
        let values = cells.filter_map(|(name, value)| Some((facts.column_index(name)?, value)));
        Some(Change::Insert { table, values: values.collect() })
    }
}
