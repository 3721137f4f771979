//! What the aggregates that work on many groups at once have in common.

use datafusion::arrow::array::{Array, ArrayRef, BooleanArray};
use datafusion::common::Result;
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};

/// Whether the `FILTER` of an aggregate lets a row pass: where it is null, it does not.
pub fn passes(filter: Option<&BooleanArray>) -> impl Fn(usize) -> bool {
    move |row| filter.is_none_or(|f| f.is_valid(row) && f.value(row))
}

/// The states of rows of which each is a group of its own: what a partial aggregate
/// passes on when it finds that grouping does not make its rows fewer.
pub fn states_of_rows(
    mut none_yet: impl GroupsAccumulator,
    values: &[ArrayRef],
    filter: Option<&BooleanArray>,
) -> Result<Vec<ArrayRef>> {
    let rows = values[0].len();
    none_yet.update_batch(values, &(0..rows).collect::<Vec<_>>(), filter, rows)?;
    none_yet.state(EmitTo::All)
}
