//! Columns that are computed when a scan needs them: labels of choices, names
//! behind lookups, table names behind object type codes.

use std::sync::Arc;

use datafusion::arrow::array::types::Int32Type;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringViewBuilder};

use crate::catalog::{Column, ColumnKind, entity_name};
use crate::store::{Chunk, NameIndex, Snapshot, TableSnapshot};
use crate::value::Guid;

/// Computes the columns of one table of a snapshot.
pub struct Derived<'a> {
    snapshot: &'a Snapshot,
    table: &'a TableSnapshot,
}

impl<'a> Derived<'a> {
    pub fn new(snapshot: &'a Snapshot, table: &'a TableSnapshot) -> Self {
        Self { snapshot, table }
    }

    /// A column of a chunk, stored or derived.
    pub fn array(&self, chunk: &Chunk, index: usize) -> ArrayRef {
        let facts = self.table.table();
        match facts.columns[index].kind {
            ColumnKind::Stored => chunk.array(index, facts.schema()),
            ColumnKind::ChoiceLabel(of) => labels(chunk, of, &facts.columns[of]),
            ColumnKind::EntityLabel(of) => entity_labels(chunk, of),
            ColumnKind::LookupName(of) => self.lookup_names(chunk, index, of),
        }
    }

    /// The name from the row pointed to; where it is not stored, the imported one.
    fn lookup_names(&self, chunk: &Chunk, index: usize, of: usize) -> ArrayRef {
        let facts = self.table.table();
        let imported = chunk.column(index).as_ref().map(|a| a.as_string_view());
        let targets: Vec<&NameIndex> = facts.columns[of]
            .targets
            .iter()
            .filter_map(|target| self.snapshot.table_named(target))
            .filter(|target| target.rows() > 0)
            .map(TableSnapshot::names)
            .collect();
        let ids = chunk.column(of).as_ref().map(|a| a.as_fixed_size_binary());
        let mut names = StringViewBuilder::with_capacity(chunk.rows()).with_deduplicate_strings();
        for row in 0..chunk.rows() {
            let stored = ids.filter(|ids| ids.is_valid(row)).and_then(|ids| {
                let id: Guid = ids.value(row).try_into().expect("the type has 16 bytes");
                targets.iter().find_map(|names| names.get(&id)).map(String::as_str)
            });
            let name = stored.or_else(|| {
                imported.filter(|names| names.is_valid(row)).map(|names| names.value(row))
            });
            names.append_option(name);
        }
        Arc::new(names.finish())
    }
}

/// Labels repeat, so each is made once.
fn labels(chunk: &Chunk, of: usize, facts: &Column) -> ArrayRef {
    let mut labels = StringViewBuilder::with_capacity(chunk.rows()).with_deduplicate_strings();
    match chunk.column(of) {
        None => (0..chunk.rows()).for_each(|_| labels.append_null()),
        Some(array) => {
            for row in 0..chunk.rows() {
                let value = match array.as_boolean_opt() {
                    _ if array.is_null(row) => None,
                    Some(booleans) => Some(i32::from(booleans.value(row))),
                    None => Some(array.as_primitive::<Int32Type>().value(row)),
                };
                let known = value.and_then(|v| facts.label(v));
                labels.append_option(match (known, value, facts.options.is_empty()) {
                    // Yes/no columns without labels of their own.
                    (None, Some(v), true) => Some(if v == 0 { "No" } else { "Yes" }),
                    (known, ..) => known,
                });
            }
        }
    }
    Arc::new(labels.finish())
}

fn entity_labels(chunk: &Chunk, of: usize) -> ArrayRef {
    let mut names = StringViewBuilder::with_capacity(chunk.rows()).with_deduplicate_strings();
    match chunk.column(of) {
        None => (0..chunk.rows()).for_each(|_| names.append_null()),
        Some(codes) => {
            codes
                .as_primitive::<Int32Type>()
                .iter()
                .for_each(|c| names.append_option(c.and_then(entity_name)));
        }
    }
    Arc::new(names.finish())
}
