//! A trace's attempt as a row of `asyncoperation`, and as the file that one job
//! in fifty keeps its data in.

use std::sync::Arc;

use crate::catalog::{Catalog, Table, entity_code};
use crate::value::{Guid, Value};

use super::read::id;
use super::related::business_unit;
use super::{Attempt, Definition, End, How, Trace};

/// 0x80040265, an extension's own failure: trying again does not help.
const ERROR_FAILED: i32 = 0x8004_0265_u32 as i32;

/// 0x80044306, a failure of the network: trying again may help.
const ERROR_EVICTED: i32 = 0x8004_4306_u32 as i32;

/// One job in so many has a file. The sources tell nothing of payloads; files
/// are made up so that questions about file storage have an answer.
const JOBS_PER_FILE: u16 = 50;

/// Job data moves to file storage above this size.
const FILE_BYTES_ABOVE: i64 = 4 * 1024 * 1024;

/// Files are at most this much larger.
const FILE_BYTES_SPREAD: u32 = 60 * 1024 * 1024;

/// Where running jobs of a trace ran.
const HOST: &str = "trace";

/// The values of a row, by column number.
pub type Values = Vec<(usize, Value)>;

/// A row in the making, by column name.
pub struct Row<'a> {
    table: &'a Table,
    values: Values,
}

impl<'a> Row<'a> {
    pub fn of(table: &'a Table) -> Self {
        Self { table, values: Vec::with_capacity(32) }
    }

    pub fn set(&mut self, column: &str, value: Value) -> &mut Self {
        let column = self.table.column_index(column).expect("rows of a trace fill known columns");
        self.values.push((column, value));
        self
    }

    pub fn text(&mut self, column: &str, text: &str) -> &mut Self {
        self.set(column, Value::Text(text.to_owned()))
    }

    pub fn into_values(self) -> Values {
        self.values
    }
}

/// The error code and texts of a failure, `None` for other endings.
pub struct Failure {
    pub errorcode: i32,
    pub message: String,
    pub friendlymessage: String,
}

impl Failure {
    pub fn of(how: How, definition: &Definition) -> Option<Self> {
        let (errorcode, friendly) = match how {
            How::Failed => (ERROR_FAILED, "The task ended with an error of its own."),
            How::Evicted => (ERROR_EVICTED, "The task was pushed off its machine by the system."),
            How::Succeeded | How::Canceled => return None,
        };
        let message = format!("{}: {friendly}", definition.name);
        Some(Self { errorcode, message, friendlymessage: friendly.to_owned() })
    }
}

/// Turns attempts of a trace into rows.
pub struct Jobs<'a> {
    trace: &'a Trace,
    pub jobs: usize,
    pub files: usize,
    job_table: Arc<Table>,
    file_table: Arc<Table>,
    user_code: i32,
    workflow_code: i32,
    step_code: i32,
    account_code: i32,
    job_code: i32,
}

impl<'a> Jobs<'a> {
    pub fn new(trace: &'a Trace, catalog: &Catalog) -> Self {
        let table = |name| catalog.table_index(name).expect("a built-in table");
        let (jobs, files) = (table("asyncoperation"), table("fileattachment"));
        Self {
            trace,
            jobs,
            files,
            job_table: catalog.tables()[jobs].clone(),
            file_table: catalog.tables()[files].clone(),
            user_code: entity_code("systemuser"),
            workflow_code: entity_code("workflow"),
            step_code: entity_code("sdkmessageprocessingstep"),
            account_code: entity_code("account"),
            job_code: entity_code("asyncoperation"),
        }
    }

    /// The id of an attempt's job row.
    pub fn id(&self, attempt: &Attempt) -> Guid {
        id("job", &attempt_name(attempt))
    }

    pub fn failure(&self, attempt: &Attempt, how: How) -> Option<Failure> {
        Failure::of(how, &self.trace.definitions[attempt.definition])
    }

    /// The job row as it stood when `started` and `end` were what had happened.
    pub fn job(&self, index: usize, started: Option<i64>, end: Option<End>, shift: i64) -> Values {
        let attempt = &self.trace.attempts[index];
        let mut row = Row::of(&self.job_table);
        self.identity(&mut row, index, attempt);
        let time = |at: i64| Value::Time(at.saturating_add(shift));
        row.set("createdon", time(attempt.submitted))
            .set("correlationupdatedtime", time(attempt.submitted))
            .set("modifiedon", time(end.map(|e| e.at).or(started).unwrap_or(attempt.submitted)));
        if let Some(started) = started {
            row.set("startedon", time(started));
        }
        let (state, status) = match (started, end.map(|e| e.how)) {
            (None, None) => (0, 0),
            (Some(_), None) => (2, 20),
            (_, Some(How::Succeeded)) => (3, 30),
            (_, Some(How::Failed | How::Evicted)) => (3, 31),
            (_, Some(How::Canceled)) => (3, 32),
        };
        row.set("statecode", Value::Int32(state)).set("statuscode", Value::Int32(status));
        match end {
            Some(end) => {
                row.set("completedon", time(end.at));
                if let Some(started) = started {
                    let seconds = end.at.saturating_sub(started) as f64 / 1e6;
                    row.set("executiontimespan", Value::Float64(seconds));
                }
                if let Some(failure) = self.failure(attempt, end.how) {
                    row.set("errorcode", Value::Int32(failure.errorcode))
                        .set("message", Value::Text(failure.message))
                        .set("friendlymessage", Value::Text(failure.friendlymessage));
                }
            }
            None if started.is_some() => {
                row.text("hostid", HOST);
            }
            None => {}
        }
        row.into_values()
    }

    /// What never changes about a job.
    fn identity(&self, row: &mut Row<'_>, index: usize, attempt: &Attempt) {
        let user = Value::Guid(self.trace.users[attempt.user].id);
        let definition = &self.trace.definitions[attempt.definition];
        let queue = &self.trace.queues[attempt.queue];
        let job = self.id(attempt);
        row.set("asyncoperationid", Value::Guid(job))
            .text("name", &definition.name)
            .set("operationtype", Value::Int32(queue.operation_type))
            .text("workload", &queue.name)
            .set("ownerid", user.clone())
            .set("owneridtype", Value::Int32(self.user_code))
            .set("owninguser", user.clone())
            .set("owningbusinessunit", Value::Guid(business_unit()))
            .set("createdby", user.clone())
            .set("modifiedby", user)
            .set("owningextensionid", Value::Guid(definition.id))
            .set("correlationid", Value::Guid(id("task", &attempt.job)))
            .set("sequence", Value::Int64(index as i64 + 1))
            .set("depth", Value::Int32(1))
            .set("retrycount", Value::Int32(attempt.number - 1))
            .text("messagename", "Create")
            .set("primaryentitytype", Value::Int32(self.account_code));
        if definition.is_workflow {
            row.set("owningextensiontypecode", Value::Int32(self.workflow_code))
                .set("workflowactivationid", Value::Guid(definition.id));
        } else {
            row.set("owningextensiontypecode", Value::Int32(self.step_code));
        }
        if let Some(group) = attempt.group {
            row.set("requestid", Value::Guid(self.trace.groups[group].id));
        }
        if has_file(&job) {
            row.set("datablobid", Value::Guid(file_id(attempt)));
        }
    }

    /// The file row of a job that has one.
    pub fn file(&self, index: usize, shift: i64) -> Option<Values> {
        let attempt = &self.trace.attempts[index];
        let job = self.id(attempt);
        if !has_file(&job) {
            return None;
        }
        let mut row = Row::of(&self.file_table);
        row.set("fileattachmentid", Value::Guid(file_id(attempt)))
            .text("filename", &format!("{}.json", attempt_name(attempt)))
            .text("mimetype", "application/json")
            .set("objectid", Value::Guid(job))
            .set("objectidtypecode", Value::Int32(self.job_code))
            .set("objecttypecode", Value::Int32(self.job_code))
            .text("regardingfieldname", "datablobid")
            .set("createdon", Value::Time(attempt.submitted.saturating_add(shift)))
            .set("filesizeinbytes", Value::Int64(file_bytes(&job)))
            .set("iscommitted", Value::Boolean(true));
        Some(row.into_values())
    }
}

fn attempt_name(attempt: &Attempt) -> String {
    format!("{}#{}", attempt.job, attempt.number)
}

fn file_id(attempt: &Attempt) -> Guid {
    id("file", &attempt_name(attempt))
}

// Ids of version 5 are hashes, so their bytes serve as the dice for files; the
// two ranges below have no version bits in them and are independent.

fn has_file(job: &Guid) -> bool {
    u16::from_be_bytes([job[0], job[1]]).is_multiple_of(JOBS_PER_FILE)
}

fn file_bytes(job: &Guid) -> i64 {
    let dice = u32::from_be_bytes([job[10], job[11], job[12], job[13]]);
    FILE_BYTES_ABOVE + 1 + i64::from(dice % FILE_BYTES_SPREAD)
}
