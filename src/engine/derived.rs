//! Columns of the rows that a scan gives out: stored ones as they are, and those
//! computed from them: labels of choices, names behind lookups, table names
//! behind object type codes. Texts repeat, so each is kept once.

use std::sync::Arc;

use datafusion::arrow::array::types::Int32Type;
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, StringViewArray, UInt32Array, make_view, new_null_array,
};
use datafusion::arrow::buffer::{Buffer, NullBuffer, ScalarBuffer};
use datafusion::arrow::compute::{FilterBuilder, FilterPredicate};
use datafusion::common::{DataFusionError, HashMap, Result};

use super::waits;
use crate::catalog::{Column, ColumnKind, entity_name};
use crate::store::{Chunk, NameIndex, Snapshot, TableSnapshot};
use crate::value::Guid;

/// Rows of a chunk.
pub enum Selected {
    All,
    Filtered(FilterPredicate),
    /// These, in this order.
    Numbered(UInt32Array),
}

impl Selected {
    /// Those of which a mask is true.
    pub fn masked(mask: &BooleanArray) -> Self {
        match mask.true_count() {
            count if count == mask.len() => Self::All,
            // Of few rows, only their cells are decoded.
            count if count * 4 < mask.len() => Self::Numbered(numbers(mask)),
            _ => Self::Filtered(FilterBuilder::new(mask).optimize().build()),
        }
    }

    /// The cells of these rows in a column of a chunk; nothing if all its cells are null.
    fn of(&self, chunk: &Chunk, index: usize) -> Result<Option<ArrayRef>> {
        let column = match self {
            Self::Numbered(rows) => chunk.taken(index, rows),
            Self::All | Self::Filtered(_) => chunk.column(index),
        };
        let column = column.map_err(|e| DataFusionError::External(Box::new(e)))?;
        Ok(match (self, column) {
            (Self::Filtered(filter), Some(array)) => Some(filter.filter(&array)?),
            (_, column) => column,
        })
    }
}

/// The numbers of the rows of which a mask is true.
pub fn numbers(mask: &BooleanArray) -> UInt32Array {
    mask.values().set_indices_u32().collect::<Vec<_>>().into()
}

/// Some rows of a chunk, with whatever their columns are computed from.
pub struct Rows<'a> {
    pub snapshot: &'a Snapshot,
    pub table: &'a TableSnapshot,
    pub chunk: &'a Chunk,
    pub selected: &'a Selected,
}

impl Rows<'_> {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        match self.selected {
            Selected::All => self.chunk.rows(),
            Selected::Filtered(filter) => filter.count(),
            Selected::Numbered(rows) => rows.len(),
        }
    }

    /// A column, stored or derived.
    pub fn array(&self, index: usize) -> Result<ArrayRef> {
        let facts = self.table.table();
        match facts.columns[index].kind {
            ColumnKind::Stored => Ok(match self.stored(index)? {
                Some(array) => array,
                None => new_null_array(facts.schema().field(index).data_type(), self.len()),
            }),
            ColumnKind::ChoiceLabel(of) => Ok(self.labels(self.stored(of)?, &facts.columns[of])),
            ColumnKind::EntityLabel(of) => Ok(self.table_names(self.stored(of)?)),
            ColumnKind::WaitReason => waits::reasons(self),
            ColumnKind::LookupName(of) => {
                Ok(self.lookup_names(self.stored(index)?, self.stored(of)?, &facts.columns[of]))
            }
        }
    }

    /// A stored column; nothing if all its cells are null.
    pub fn stored(&self, index: usize) -> Result<Option<ArrayRef>> {
        self.selected.of(self.chunk, index)
    }

    fn labels(&self, values: Option<ArrayRef>, facts: &Column) -> ArrayRef {
        let mut texts = Texts::new(self.len());
        let Some(values) = values else { return texts.nulls(self.len()) };
        let booleans = values.as_boolean_opt();
        for row in 0..values.len() {
            let value = match booleans {
                _ if values.is_null(row) => None,
                Some(booleans) => Some(i32::from(booleans.value(row))),
                None => Some(values.as_primitive::<Int32Type>().value(row)),
            };
            texts.push(value, |value| match facts.label(*value) {
                Some(label) => Some(label.into()),
                // Yes/no columns without labels of their own.
                None if booleans.is_some() => Some(if *value == 0 { "No" } else { "Yes" }.into()),
                None => None,
            });
        }
        texts.finish()
    }

    fn table_names(&self, codes: Option<ArrayRef>) -> ArrayRef {
        let mut texts = Texts::new(self.len());
        let Some(codes) = codes else { return texts.nulls(self.len()) };
        for code in codes.as_primitive::<Int32Type>() {
            texts.push(code, |code| entity_name(*code));
        }
        texts.finish()
    }

    /// The name from the row pointed to; where it is not stored, the imported one.
    fn lookup_names(
        &self,
        imported: Option<ArrayRef>,
        ids: Option<ArrayRef>,
        facts: &Column,
    ) -> ArrayRef {
        let targets: Vec<&NameIndex> = facts
            .targets
            .iter()
            .filter_map(|target| self.snapshot.table_named(target))
            .filter(|target| target.rows() > 0)
            .map(TableSnapshot::names)
            .collect();
        let imported = imported.as_ref().map(|names| names.as_string_view());
        let ids = ids.as_ref().map(|ids| ids.as_fixed_size_binary());
        let mut texts = Texts::new(self.len());
        for row in 0..self.len() {
            let id: Option<Guid> = ids
                .filter(|ids| ids.is_valid(row))
                .map(|ids| ids.value(row).try_into().expect("the type has 16 bytes"));
            let known =
                texts.push(id, |id| targets.iter().find_map(|names| names.get(id)).cloned());
            if !known && let Some(names) = imported.filter(|names| names.is_valid(row)) {
                texts.replace_last(names.value(row));
            }
        }
        texts.finish()
    }
}

/// A text column in the making, whose texts follow from keys that repeat.
pub struct Texts<K> {
    views: Vec<u128>,
    valid: Vec<bool>,
    data: Vec<u8>,
    known: HashMap<K, Option<u128>>,
    /// Most rows have the key of the row before.
    last: Option<(K, Option<u128>)>,
}

impl<K: Copy + Eq + std::hash::Hash> Texts<K> {
    pub fn new(rows: usize) -> Self {
        Self {
            views: Vec::with_capacity(rows),
            valid: Vec::with_capacity(rows),
            data: Vec::new(),
            known: HashMap::new(),
            last: None,
        }
    }

    fn nulls(self, rows: usize) -> ArrayRef {
        Arc::new(StringViewArray::new_null(rows))
    }

    /// Adds the text of a key; whether there is one.
    pub fn push(&mut self, key: Option<K>, text: impl FnOnce(&K) -> Option<String>) -> bool {
        let view = match (key, self.last) {
            (None, _) => None,
            (Some(key), Some((last, view))) if key == last => view,
            (Some(key), _) => {
                let view = match self.known.get(&key) {
                    Some(view) => *view,
                    None => {
                        let view = text(&key).map(|text| self.keep(&text));
                        self.known.insert(key, view);
                        view
                    }
                };
                self.last = Some((key, view));
                view
            }
        };
        self.views.push(view.unwrap_or(0));
        self.valid.push(view.is_some());
        view.is_some()
    }

    fn replace_last(&mut self, text: &str) {
        let view = self.keep(text);
        let row = self.views.len() - 1;
        self.views[row] = view;
        self.valid[row] = true;
    }

    /// The view of a text, whose bytes stay with the column.
    fn keep(&mut self, text: &str) -> u128 {
        let offset = self.data.len() as u32;
        if text.len() > 12 {
            self.data.extend_from_slice(text.as_bytes());
        }
        make_view(text.as_bytes(), 0, offset)
    }

    pub fn finish(self) -> ArrayRef {
        let nulls = NullBuffer::from(self.valid);
        let nulls = (nulls.null_count() > 0).then_some(nulls);
        let buffers = vec![Buffer::from_vec(self.data)];
        Arc::new(StringViewArray::new(ScalarBuffer::from(self.views), buffers, nulls))
    }
}
