//! The row of `bulkdeleteoperation` says what its job says: whoever pauses, cancels or
//! deletes the job need not know of it.

use super::core::JobChange;
use crate::catalog::ColumnKind;
use crate::job::Status;
use crate::store::{Change, Store};
use crate::value::{Guid, Value};

const TABLE: &str = "bulkdeleteoperation";
/// `operationtype` of the jobs.
const BULK_DELETE: i32 = 13;

/// The row that has not ended, for a change of its job. While the work goes on it keeps
/// the row itself, and ends that of an occurrence.
pub fn row(store: &Store, change: &JobChange) -> Option<Change> {
    let waits = |status: Status| status.statecode() < Status::InProgress.statecode();
    if change.operationtype != Some(BULK_DELETE) || !change.from.is_some_and(waits) {
        return None;
    }
    let table = store.catalog().table_index(TABLE)?;
    let facts = store.catalog().tables()[table].clone();
    let at = |name: &str| facts.column_index(name);
    let (of, key) = (at("asyncoperationid")?, facts.primary_id_index());
    let [state, reason, modified] = [at("statecode")?, at("statuscode")?, at("modifiedon")?];
    let mut found: Option<Guid> = None;
    store.table(table).for_each(|cell| {
        let ended = cell(state) == Value::Int32(Status::Succeeded.statecode());
        if let (Value::Guid(id), true) = (cell(key), cell(of) == Value::Guid(change.id) && !ended) {
            found = Some(id);
        }
    });
    let status = change.to.unwrap_or(Status::Canceled);
    let mut values = store.row(table, &found?)?;
    values[state] = Value::Int32(status.statecode());
    values[reason] = Value::Int32(status.statuscode());
    values[modified] = Value::Time(change.at);
    // All of it, since a client may be deleting the row: an update would find none.
    let values = values.into_iter().enumerate();
    let stored = |(column, value): &(usize, Value)| {
        *value != Value::Null && facts.columns[*column].kind == ColumnKind::Stored
    };
    Some(Change::Insert { table, values: values.filter(stored).collect() })
}
