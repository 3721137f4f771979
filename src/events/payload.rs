//! Where the payload of a job is kept: in its row, or, when it is large, in a file
//! with a row of `fileattachment`.

use crate::catalog::Catalog;
use crate::job::{self, JobColumns};
use crate::store::{Change, Store};
use crate::value::{Guid, Value};

/// A payload with more bytes goes to a file.
pub const ROW_BYTES_MAX: usize = 4 * 1024 * 1024;

const FILES: &str = "fileattachment";
/// The column of the job that the file belongs to.
const FIELD: &str = "datablobid";

/// Puts a payload into the cells of a new job; the row of its file, if it has one.
pub fn place(
    catalog: &Catalog,
    job: Guid,
    payload: String,
    cells: &mut Vec<(usize, Value)>,
    now: i64,
) -> Option<Change> {
    let columns = JobColumns::of(catalog);
    let large = payload.len() > ROW_BYTES_MAX;
    let Some(table) = catalog.table_index(FILES).filter(|_| large) else {
        cells.push((columns.data, Value::Text(payload)));
        return None;
    };
    let facts = &catalog.tables()[table];
    let file = uuid::Uuid::new_v4().into_bytes();
    let bytes = i64::try_from(payload.len()).unwrap_or(i64::MAX);
    cells.push((columns.datablobid, Value::Guid(file)));
    let of_jobs = Value::Int32(catalog.tables()[columns.table].object_type_code);
    let values = [
        ("fileattachmentid", Value::Guid(file)),
        ("filename", Value::Text(format!("{}.json", job::TABLE))),
        ("mimetype", Value::Text("application/json".into())),
        ("objectid", Value::Guid(job)),
        ("objectidtypecode", of_jobs.clone()),
        ("objecttypecode", of_jobs),
        ("regardingfieldname", Value::Text(FIELD.into())),
        ("body", Value::Text(payload)),
        ("filesizeinbytes", Value::Int64(bytes)),
        ("createdon", Value::Time(now)),
        ("iscommitted", Value::Boolean(true)),
    ];
    let values = values.into_iter().filter_map(|(name, v)| Some((facts.column_index(name)?, v)));
    Some(Change::Insert { table, values: values.collect() })
}

/// The payload of a job, wherever it is kept.
pub fn read(store: &Store, job: Guid) -> Option<String> {
    let columns = JobColumns::of(store.catalog());
    let text = |value| match value {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    };
    let kept = text(store.value(columns.table, &job, columns.data));
    kept.or_else(|| {
        let Some(Value::Guid(file)) = store.value(columns.table, &job, columns.datablobid) else {
            return None;
        };
        let table = store.catalog().table_index(FILES)?;
        let body = store.catalog().tables()[table].column_index("body")?;
        text(store.value(table, &file, body))
    })
}
