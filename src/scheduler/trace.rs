//! The trace of an attempt of a step's job: a row of `plugintracelog`, in the commit
//! that ends the attempt.

use super::core::JobChange;
use crate::catalog::{Catalog, Table, entity_code, entity_name};
use crate::job::report::PLUGIN;
use crate::job::{JobColumns, Status};
use crate::store::{Change, Store};
use crate::value::Value;

const TABLE: &str = "plugintracelog";
/// `mode` and `operationtype` of the row.
const ASYNCHRONOUS: i32 = 1;
const CODE: i32 = 1;

/// The row for a change of a job, if it ends an attempt of a step's job.
pub fn row(store: &Store, columns: &JobColumns, change: &JobChange) -> Option<Change> {
    let locked = |status: Status| status.statecode() == Status::InProgress.statecode();
    let ends = change.from.is_some_and(locked) && change.to.is_some_and(|to| !locked(to));
    let catalog: &Catalog = store.catalog();
    let jobs: &Table = &catalog.tables()[columns.table];
    let is = |column: usize, value: &Value| {
        store.value(columns.table, &change.id, column).is_some_and(|cell| cell == *value)
    };
    let of_step = || {
        let step = Value::Int32(entity_code("sdkmessageprocessingstep"));
        jobs.column_index("owningextensiontypecode").is_some_and(|column| is(column, &step))
    };
    if !ends || change.operationtype != Some(PLUGIN) || !of_step() {
        return None;
    }
    let job = store.row(columns.table, &change.id)?;
    let cell = |name: &str| jobs.column_index(name).map_or(Value::Null, |c| job[c].clone());
    let table = catalog.table_index(TABLE)?;
    let facts = &catalog.tables()[table];
    let started = match job[columns.startedon] {
        Value::Time(at) => at,
        _ => change.at,
    };
    let millis = i32::try_from((change.at - started).max(0) / 1000).unwrap_or(i32::MAX);
    let entity = match cell("primaryentitytype") {
        Value::Int32(code) => entity_name(code).map_or(Value::Null, Value::Text),
        _ => Value::Null,
    };
    let text = |text: Option<&str>| text.map_or(Value::Null, |text| Value::Text(text.to_owned()));
    let report = change.set.report.as_ref();
    let message = report.and_then(|report| report.message.as_deref());
    let failed = report.is_some_and(|report| report.errorcode.is_some());
    let cells = [
        ("plugintracelogid", Value::Guid(uuid::Uuid::new_v4().into_bytes())),
        ("typename", cell("name")),
        ("messagename", cell("messagename")),
        ("primaryentity", entity),
        ("messageblock", text(Some(&change.reason))),
        ("exceptiondetails", text(message.filter(|_| failed))),
        ("mode", Value::Int32(ASYNCHRONOUS)),
        ("operationtype", Value::Int32(CODE)),
        ("depth", cell("depth")),
        ("correlationid", cell("correlationid")),
        ("requestid", cell("requestid")),
        ("pluginstepid", cell("owningextensionid")),
        ("performanceexecutionstarttime", Value::Time(started)),
        ("performanceexecutionduration", Value::Int32(millis)),
        ("issystemcreated", Value::Boolean(true)),
        ("createdby", cell("ownerid")),
        ("createdon", Value::Time(change.at)),
    ];
    let cells = cells.into_iter().filter(|(_, value)| *value != Value::Null);
    let values = cells.filter_map(|(name, value)| Some((facts.column_index(name)?, value)));
    Some(Change::Insert { table, values: values.collect() })
}
