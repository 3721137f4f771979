//! The column that says why a job has not ended: what the row tells, and of ready jobs
//! what the snapshot was told by whoever runs them.

use datafusion::arrow::array::types::Int32Type;
use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::common::Result;
use datafusion::logical_expr::Expr;

use super::derived::{Rows, Texts};
use crate::catalog::{Column, ColumnKind, Table};
use crate::job::{Cause, JobColumns, Status, wait_reason};
use crate::value::Guid;

/// The column, where a table has it.
pub fn column(table: &Table) -> Option<usize> {
    table.columns.iter().position(|column| column.kind == ColumnKind::WaitReason)
}

/// Whether filters look at it.
pub fn is_in(filters: &[Expr], column: &Column) -> bool {
    let names = |filter: &Expr| filter.column_refs().iter().any(|c| c.name == column.logical_name);
    filters.iter().any(names)
}

/// The column of some rows.
pub fn reasons(rows: &Rows) -> Result<ArrayRef> {
    let c = JobColumns::of(rows.snapshot.catalog());
    let waits = rows.snapshot.waits();
    let [status, cause, until, event, error, handler, id] = [
        rows.stored(c.statuscode)?,
        rows.stored(c.waitcause)?,
        rows.stored(c.postponeuntil)?,
        rows.stored(c.iswaitingforevent)?,
        rows.stored(c.errorcode)?,
        rows.stored(c.handler)?,
        rows.stored(c.asyncoperationid)?,
    ];
    let has = |column: &Option<ArrayRef>, row| column.as_ref().is_some_and(|c| c.is_valid(row));
    let int = |column: &Option<ArrayRef>, row| {
        let column = column.as_ref().filter(|column| column.is_valid(row))?;
        Some(column.as_primitive::<Int32Type>().value(row))
    };
    let mut texts = Texts::new(rows.len());
    for row in 0..rows.len() {
        let status = int(&status, row).and_then(Status::from_statuscode);
        let waits = waits.filter(|_| status == Some(Status::WaitingForResources));
        let known = waits.zip(id.as_ref()).and_then(|(waits, ids)| {
            let id = Guid::try_from(ids.as_fixed_size_binary().value(row)).ok()?;
            waits.get(&id).copied()
        });
        let reason = match (known, waits) {
            (Some(known), _) => Some(known),
            // What has no handler is not known to whoever runs jobs.
            (None, Some(_)) if !has(&handler, row) => Some("no-handler"),
            (None, Some(_)) => Some("capacity"),
            (None, None) => status.and_then(|status| {
                let until = has(&until, row);
                let event =
                    event.as_ref().is_some_and(|e| e.is_valid(row) && e.as_boolean().value(row));
                let cause = Cause::of_row(int(&cause, row), until, event, has(&error, row));
                wait_reason(status, cause, until)
            }),
        };
        texts.push(reason, |reason| Some((*reason).to_owned()));
    }
    Ok(texts.finish())
}
