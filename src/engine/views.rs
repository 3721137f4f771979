//! The rows of SQL Server's catalog views as of a snapshot: the catalog writes
//! them down, the numbers of rows come from the tables.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use datafusion::arrow::datatypes::Int32Type;
use datafusion::common::Result;

use crate::catalog::views::View;
use crate::store::Snapshot;

/// The rows of a view.
pub fn rows(view: &View, snapshot: &Snapshot) -> Result<RecordBatch> {
    let Some(counted) = view.counted else { return Ok(view.rows.clone()) };
    let schema = view.rows.schema();
    let tables = view.rows.column(schema.index_of("object_id")?).as_primitive::<Int32Type>();
    let objects = snapshot.catalog().objects();
    let rows_of = |number: i32| {
        let (_, name) = objects.name(number)?;
        let catalog = snapshot.catalog();
        match catalog.attached_table(name) {
            Some(attached) => i64::try_from(attached.rows()).ok(),
            None => i64::try_from(snapshot.rows(catalog.table_index(name)?)).ok(),
        }
    };
    let counts: Int64Array = tables.iter().map(|number| number.and_then(rows_of)).collect();
    let mut columns: Vec<ArrayRef> = view.rows.columns().to_vec();
    columns[schema.index_of(counted)?] = Arc::new(counts);
    Ok(RecordBatch::try_new(schema, columns)?)
}
