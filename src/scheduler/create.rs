//! New jobs: what their rows have beside what their creators say.

use super::core::{Cause, Job, Recurring};
use super::rows::{Cells, Rows, job};
use crate::catalog::entity_code;
use crate::error::{Error, Place, Result, codes};
use crate::identity::{BUSINESS_UNIT, SYSTEM_USER};
use crate::job::report::PLUGIN;
use crate::job::{JobColumns, Recurrence, Status};
use crate::value::{Guid, Value};

/// The code of the time zone that jobs are made in.
const UTC: i32 = 92;

impl Rows {
    /// Completes the row of a new job.
    pub fn create(&mut self, mut cells: Cells, now: i64) -> Result<(Cells, Job)> {
        let c = self.columns;
        cells.retain(|(column, value)| *column != c.sequence && *value != Value::Null);
        match value_of(&cells, c.operationtype) {
            // Asynchronous plug-ins cannot be ordered by a token.
            Value::Int32(PLUGIN) => cells.retain(|(column, _)| *column != c.dependencytoken),
            Value::Int32(code) if !self.operationtypes.contains(&code) => {
                return Err(not_recognized(code));
            }
            _ => {}
        }
        let time = |cells: &Cells, column| match value_of(cells, column) {
            Value::Time(at) => Some(at),
            _ => None,
        };
        // Nothing is made in the future, or starts before it was made.
        if time(&cells, c.createdon).is_some_and(|createdon| createdon > now) {
            cells.retain(|(column, _)| *column != c.createdon);
        }
        let recurring = recurring(|column| value_of(&cells, column), &c, now)?;
        // A recurring job whose start has passed runs once at once.
        let start = recurring.as_ref().map(|recurring| recurring.start);
        let until = time(&cells, c.postponeuntil).or(start).filter(|until| *until > now);
        cells.retain(|(column, _)| *column != c.postponeuntil);
        let given = value_of(&cells, c.statuscode);
        let status = match (&given, until) {
            (Value::Int32(code), _) => Status::from_statuscode(*code),
            (_, Some(_)) => Some(Status::Waiting),
            _ => None,
        };
        let status = status.unwrap_or(Status::WaitingForResources);
        let cause = match (status, until) {
            (Status::Waiting, Some(until)) if start == Some(until) => Cause::Recurrence,
            (Status::Waiting, Some(_)) => Cause::Postponed,
            (Status::Waiting, None) => Cause::Paused,
            _ => Cause::None,
        };
        let id = given_id(&cells, &c).unwrap_or_else(|| uuid::Uuid::new_v4().into_bytes());
        let creator = match value_of(&cells, c.createdby) {
            Value::Guid(user) => user,
            _ => SYSTEM_USER,
        };
        let owned = cells.iter().any(|(column, _)| *column == c.ownerid);
        let of_owner = |value: Value| if owned { Value::Null } else { value };
        let defaults = [
            (c.asyncoperationid, Value::Guid(id)),
            (c.createdon, Value::Time(now)),
            (c.createdby, Value::Guid(creator)),
            (c.modifiedon, Value::Time(now)),
            (c.modifiedby, Value::Guid(creator)),
            (c.ownerid, of_owner(Value::Guid(creator))),
            (c.owneridtype, of_owner(Value::Int32(entity_code("systemuser")))),
            (c.owninguser, of_owner(Value::Guid(creator))),
            (c.owningbusinessunit, of_owner(Value::Guid(BUSINESS_UNIT))),
            (c.statecode, Value::Int32(status.statecode())),
            (c.statuscode, Value::Int32(status.statuscode())),
            (c.retrycount, Value::Int32(0)),
            (c.depth, Value::Int32(1)),
            // A job that nothing has led to begins a chain.
            (c.correlationid, Value::Guid(id)),
            (c.correlationupdatedtime, Value::Time(now)),
            (c.iswaitingforevent, Value::Boolean(false)),
            (c.utcconversiontimezonecode, Value::Int32(UTC)),
            (c.timezoneruleversionnumber, Value::Int32(0)),
            (c.postponeuntil, until.map_or(Value::Null, Value::Time)),
            (c.waitcause, Value::Int32(cause.code())),
        ];
        for (column, value) in defaults {
            if value != Value::Null && !cells.iter().any(|(c, _)| *c == column) {
                cells.push((column, value));
            }
        }
        cells.push((c.sequence, Value::Int64(self.next_sequence)));
        self.next_sequence += 1;
        let mut job = job(|column| value_of(&cells, column), &c);
        job.since = now;
        Ok((cells, job))
    }
}

pub(super) fn value_of(cells: &Cells, column: usize) -> Value {
    cells.iter().find(|(c, _)| *c == column).map_or(Value::Null, |(_, value)| value.clone())
}

/// How a job recurs. An error in its pattern names the column.
pub(super) fn recurring(
    cell: impl Fn(usize) -> Value,
    c: &JobColumns,
    created: i64,
) -> Result<Option<Box<Recurring>>> {
    let Value::Text(pattern) = cell(c.recurrencepattern) else { return Ok(None) };
    let start = match cell(c.recurrencestarttime) {
        Value::Time(start) => start,
        _ => created,
    };
    let rule = Recurrence::read(&pattern)?;
    Ok(rule.map(|rule| Box::new(Recurring { rule, start })))
}

/// The id in the cells of a new job, where the caller gives one.
pub fn given_id(cells: &[(usize, Value)], c: &JobColumns) -> Option<Guid> {
    cells.iter().find_map(|(column, value)| match value {
        Value::Guid(id) if *column == c.asyncoperationid => Some(*id),
        _ => None,
    })
}

fn not_recognized(code: i32) -> Error {
    let message = format!("{code} is no operation type of a system job");
    Error::invalid(codes::TYPE_NOT_RECOGNIZED, message).at(Place::Part("operationtype".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use crate::store::Snapshot;
    use std::sync::Arc;

    #[test]
    fn new_jobs_wait_for_the_start_they_are_given() {
        let catalog = Arc::new(Catalog::built_in());
        let mut rows = Rows::new(&Arc::new(Snapshot::empty(catalog.clone())), &catalog);
        let c = *rows.columns();
        let mut create = |cells: Cells| rows.create(cells, 100).map(|(_, job)| job);
        let later = create(vec![(c.postponeuntil, Value::Time(200))]).expect("a job");
        assert_eq!((later.status, later.cause), (Status::Waiting, Cause::Postponed));
        let past = create(vec![(c.postponeuntil, Value::Time(50))]).expect("a job");
        assert_eq!((past.status, past.postponeuntil), (Status::WaitingForResources, None));
        let daily = (c.recurrencepattern, Value::Text("FREQ=DAILY".into()));
        let start = (c.recurrencestarttime, Value::Time(300));
        let recurring = create(vec![daily.clone(), start]).expect("a job");
        assert_eq!((recurring.postponeuntil, recurring.cause), (Some(300), Cause::Recurrence));
        let at_once = create(vec![daily]).expect("a job");
        assert_eq!(at_once.status, Status::WaitingForResources);
        let bad = create(vec![(c.recurrencepattern, Value::Text("FREQ=SOMETIMES".into()))]);
        assert_eq!(bad.map(|_| ()).map_err(|e| e.code), Err(0x8004_0246));
        let token = (c.dependencytoken, Value::Text("a".into()));
        let plugin = create(vec![(c.operationtype, Value::Int32(1)), token]).expect("a job");
        assert_eq!(plugin.token, None, "asynchronous plug-ins have none");
    }
    #[test]
    fn what_a_new_job_cannot_be() {
        let catalog = Arc::new(Catalog::built_in());
        let mut rows = Rows::new(&Arc::new(Snapshot::empty(catalog.clone())), &catalog);
        let c = *rows.columns();
        let unknown = rows.create(vec![(c.operationtype, Value::Int32(34))], 100);
        let unknown = unknown.expect_err("34 is not in the list");
        assert_eq!(unknown.code, 0x8004_4303);
        assert!(unknown.to_string().starts_with("operationtype: 34 "), "{unknown}");
        let (_, job) = rows.create(vec![(c.createdon, Value::Time(500))], 100).expect("a job");
        assert_eq!(job.createdon, 100, "nothing is made in the future");
        let (_, job) = rows.create(vec![(c.createdon, Value::Time(50))], 100).expect("a job");
        assert_eq!(job.createdon, 50);
    }
}
