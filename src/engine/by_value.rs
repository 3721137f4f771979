//! Expressions of one column of a sealed chunk, computed once for each of its distinct
//! values, or of its validity alone, instead of once for each row.

use std::sync::Arc;

use datafusion::arrow::array::types::{UInt8Type, UInt16Type};
use datafusion::arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, RecordBatch, new_null_array,
};
use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::arrow::compute::{concat, take};
use datafusion::arrow::datatypes::{ArrowNativeType, DataType};
use datafusion::common::{DataFusionError, Result};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, IsNotNullExpr, IsNullExpr};
use datafusion::physical_expr_common::physical_expr::is_volatile;

use super::reading::Computed;
use crate::catalog::{ColumnKind, Table};
use crate::store::{Chunk, Encoded};

/// For which rows of a chunk a condition is true; nothing if its rows have to be read
/// to tell.
pub fn mask(chunk: &Chunk, condition: &Computed, table: &Table) -> Result<Option<BooleanArray>> {
    let Some(encoded) = in_file(chunk, condition, table)? else { return Ok(None) };
    if let Some(present) = asks_presence(&condition.expr) {
        let there = match encoded.nulls() {
            Some(nulls) => nulls.inner().clone(),
            None => BooleanBuffer::new_set(chunk.rows()),
        };
        let rows = if present { there } else { !&there };
        return Ok(Some(BooleanArray::new(rows, None)));
    }
    let Some((answers, keys)) = of_values(&encoded, condition)? else { return Ok(None) };
    let answers: Vec<bool> =
        answers.as_boolean().iter().map(|answer| answer == Some(true)).collect();
    Ok(match keys.data_type() {
        DataType::UInt8 => Some(of_keys::<UInt8Type>(keys, &answers)),
        DataType::UInt16 => Some(of_keys::<UInt16Type>(keys, &answers)),
        _ => None,
    })
}

/// What is computed of all rows of a chunk; nothing if they have to be read.
pub fn computed(chunk: &Chunk, computed: &Computed, table: &Table) -> Result<Option<ArrayRef>> {
    let Some(encoded) = in_file(chunk, computed, table)? else { return Ok(None) };
    let Some((answers, keys)) = of_values(&encoded, computed)? else { return Ok(None) };
    // Rows without a value have none here either.
    let same = keys.null_count() == 0 || answers.is_null(answers.len() - 1);
    same.then(|| Ok(take(&answers, keys, None)?)).transpose()
}

/// The only column of an expression, if it stands in a file.
fn in_file(chunk: &Chunk, computed: &Computed, table: &Table) -> Result<Option<Arc<Encoded>>> {
    let [column] = computed.columns[..] else { return Ok(None) };
    if table.columns[column].kind != ColumnKind::Stored || is_volatile(&computed.expr) {
        return Ok(None);
    }
    chunk.encoded_in_file(column).map_err(|e| DataFusionError::External(Box::new(e)))
}

/// An expression of each distinct value of a column, and last of null; and which of
/// the values each row has.
fn of_values<'a>(
    encoded: &'a Encoded,
    computed: &Computed,
) -> Result<Option<(ArrayRef, &'a ArrayRef)>> {
    let Some((values, keys)) = encoded.dictionary() else { return Ok(None) };
    let null = new_null_array(values.data_type(), 1);
    let values = concat(&[values.as_ref(), null.as_ref()])?;
    let count = values.len();
    let batch = RecordBatch::try_new(computed.schema.clone(), vec![values])?;
    // A value that only rows have which are not asked for may fail; then the rows tell.
    let answers = computed.expr.evaluate(&batch).and_then(|value| value.into_array(count));
    Ok(answers.ok().map(|answers| (answers, keys)))
}

/// The answer of each row's value; the last answer is that of null.
fn of_keys<T: ArrowPrimitiveType>(keys: &ArrayRef, answers: &[bool]) -> BooleanArray {
    let keys = keys.as_primitive::<T>();
    let null = answers.len() - 1;
    let values = keys.values();
    let answer = |row: usize| match keys.is_null(row) {
        true => answers[null],
        false => answers[values[row].as_usize()],
    };
    BooleanArray::new(BooleanBuffer::collect_bool(keys.len(), answer), None)
}

/// Whether a condition is that a column has a value, or that it has none.
fn asks_presence(condition: &Arc<dyn PhysicalExpr>) -> Option<bool> {
    let column = |expr: &Arc<dyn PhysicalExpr>| expr.downcast_ref::<Column>().is_some();
    if let Some(is) = condition.downcast_ref::<IsNullExpr>() {
        return column(is.arg()).then_some(false);
    }
    let is = condition.downcast_ref::<IsNotNullExpr>()?;
    column(is.arg()).then_some(true)
}
