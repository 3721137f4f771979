//! Row versions: each commit has a number greater than those before it, and the
//! rows it adds or changes carry it. Clients know a changed row by it.
//!
//! A version belongs to the folder that holds the row: one that comes with an
//! imported row is replaced.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use datafusion::arrow::array::{Int64Array, RecordBatch};

use super::tables::{Row, TableState};
use crate::error::{Error, Result};
use crate::value::Value;

/// The counter, and where each table keeps its versions.
pub struct Versions {
    last: AtomicI64,
    columns: Vec<usize>,
}

impl Versions {
    /// Goes on after the versions of the rows that are there.
    pub fn after(tables: &[TableState]) -> Self {
        let columns: Vec<usize> = tables.iter().map(|t| t.table.version_index()).collect();
        let greatest = tables.iter().zip(&columns).filter_map(|(t, c)| t.snapshot().max_int64(*c));
        Self { last: AtomicI64::new(greatest.max().unwrap_or(0)), columns }
    }

    pub fn next(&self) -> i64 {
        self.last.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Puts a version into the cells of a row.
    pub fn stamp(&self, table: usize, cells: &mut Row, version: i64) {
        let column = self.columns[table];
        match cells.iter_mut().find(|(c, _)| *c == column) {
            Some(cell) => cell.1 = Value::Int64(version),
            None => cells.push((column, Value::Int64(version))),
        }
    }

    /// Gives all rows of a batch one version.
    pub fn stamp_batch(&self, table: usize, batch: &RecordBatch) -> Result<RecordBatch> {
        let mut columns = batch.columns().to_vec();
        let versions = Int64Array::from_value(self.next(), batch.num_rows());
        columns[self.columns[table]] = Arc::new(versions);
        RecordBatch::try_new(batch.schema(), columns)
            .map_err(|e| Error::internal("rows do not take a version").caused_by(e))
    }
}
