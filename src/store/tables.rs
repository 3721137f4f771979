//! The tables in memory: chunks, the index of primary keys, and the changes a
//! commit makes to them after it is durable.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use datafusion::arrow::array::{RecordBatch, UInt32Array};

use super::chunk::{Cells, Chunk, OPEN_ROWS_MAX, ROWS_MAX};
use super::column;
use super::counts::Counts;
use super::ids::Ids;
use super::snapshot::{Derived, NameIndex, TableSnapshot};
use crate::catalog::Table;
use crate::error::{Error, Result};
use crate::value::{Guid, Value};

/// Cells of one row.
pub type Row = Vec<(usize, Value)>;

/// One table as the writer sees it.
pub struct TableState {
    pub table: Arc<Table>,
    chunks: Vec<Arc<Chunk>>,
    ids: Arc<Ids>,
    /// The number the next new row gets.
    next: u64,
    /// Whether the last chunk takes new rows.
    open: bool,
    /// First row and rows of each chunk file, in order.
    files: Vec<(u64, u64)>,
    names: Arc<OnceLock<NameIndex>>,
    derived: Arc<Derived>,
    /// Rises with every change.
    changes: u64,
    counts: Vec<Counts>,
}

impl TableState {
    pub fn new(table: Arc<Table>) -> Self {
        let counts = Counts::of(&table);
        Self {
            table,
            chunks: Vec::new(),
            ids: Arc::default(),
            next: 0,
            open: false,
            files: Vec::new(),
            names: Arc::default(),
            derived: Arc::default(),
            changes: 0,
            counts,
        }
    }

    /// A number that is another one after every change.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    pub fn snapshot(&self) -> TableSnapshot {
        TableSnapshot::new(
            self.table.clone(),
            self.chunks.clone(),
            self.ids.clone(),
            (self.names.clone(), self.derived.clone()),
            self.counts.iter().map(Counts::snapshot).collect(),
        )
    }

    pub fn next(&self) -> u64 {
        self.next
    }

    /// The row number of a primary key.
    pub fn find(&self, id: &Guid) -> Option<u64> {
        self.ids.get(id)
    }

    /// Whether a row stands in a chunk file.
    pub fn in_file(&self, number: u64) -> bool {
        let after = self.files.partition_point(|(first, _)| *first <= number);
        after > 0 && {
            let (first, rows) = self.files[after - 1];
            number < first + rows
        }
    }

    /// The value of a cell of an existing row.
    pub fn value(&self, number: u64, column: usize) -> Value {
        match self.locate(number) {
            Some((chunk, row)) => self.chunks[chunk].value(row, column, self.table.schema()),
            None => Value::Null,
        }
    }

    /// Some cells of an existing row.
    pub fn cells(&self, number: u64, columns: impl Iterator<Item = usize>) -> Row {
        let Some((chunk, row)) = self.locate(number) else { return Row::new() };
        let (chunk, schema) = (&self.chunks[chunk], self.table.schema());
        columns.map(|column| (column, chunk.value(row, column, schema))).collect()
    }

    /// All cells of a row.
    pub fn row(&self, id: &Guid) -> Option<Vec<Value>> {
        let (chunk, row) = self.locate(self.find(id)?)?;
        let (chunk, schema) = (&self.chunks[chunk], self.table.schema());
        Some((0..self.table.columns.len()).map(|c| chunk.value(row, c, schema)).collect())
    }

    fn locate(&self, number: u64) -> Option<(usize, usize)> {
        let chunk = self.chunks.partition_point(|c| c.first_number() <= number).checked_sub(1)?;
        Some((chunk, self.chunks[chunk].row(number)?))
    }

    /// Adds a bulk-loaded chunk. Of equal primary keys the last row counts;
    /// rows the caller replaces were deleted before.
    pub fn append(&mut self, batch: &RecordBatch, in_file: bool) -> Result<()> {
        self.changes += 1;
        let first = self.next;
        let mut chunk = Chunk::from_batch(first, batch);
        let mut hidden = Vec::new();
        for (row, id) in column::guids(batch.column(self.table.primary_id_index())).enumerate() {
            let id = id.ok_or_else(|| missing_key(&self.table))?;
            if let Some(before) = self.ids.insert(id, first + row as u64) {
                hidden.push((before - first) as usize);
            }
        }
        if !hidden.is_empty() {
            chunk.delete(&hidden);
        }
        if in_file {
            self.files.push((first, chunk.rows() as u64));
        }
        self.next += chunk.rows() as u64;
        self.counts.iter_mut().for_each(|counts| counts.add_chunk(&chunk));
        self.chunks.push(Arc::new(chunk));
        self.open = false;
        self.names = Arc::default();
        self.derived = Arc::default();
        Ok(())
    }

    /// Adds rows with the numbers from [`TableState::next`] on. `None` is a row
    /// that was deleted in the same commit; it only takes up its number.
    pub fn insert(&mut self, rows: &[Option<Row>]) {
        self.changes += 1;
        let mut rest = rows;
        while !rest.is_empty() {
            if !self.open || self.chunks.last().is_none_or(|c| c.rows() >= OPEN_ROWS_MAX) {
                self.chunks.push(Arc::new(Chunk::new(self.next, self.table.columns.len())));
                self.open = true;
            }
            let last = self.chunks.len() - 1;
            let chunk = Arc::make_mut(&mut self.chunks[last]);
            let (now, later) = rest.split_at(rest.len().min(OPEN_ROWS_MAX - chunk.rows()));
            let before = chunk.rows();
            chunk.grow(now.len());
            let mut cells = Cells::new();
            let mut gone = Vec::new();
            for (offset, row) in now.iter().enumerate() {
                let Some(row) = row else {
                    gone.push(before + offset);
                    continue;
                };
                for (column, value) in row {
                    cells.entry(*column).or_default().push((before + offset, value));
                    if let (true, Value::Guid(id)) =
                        (*column == self.table.primary_id_index(), value)
                    {
                        self.ids.insert(*id, self.next + offset as u64);
                    }
                }
            }
            chunk.set(self.table.schema(), &cells);
            if !gone.is_empty() {
                chunk.delete(&gone);
            }
            let added = (before..chunk.rows()).filter(|row| gone.binary_search(row).is_err());
            let added = numbers_of(added);
            self.counts.iter_mut().for_each(|counts| counts.count(chunk, Some(&added), 1));
            self.next += now.len() as u64;
            rest = later;
        }
        self.names = Arc::default();
        self.derived = Arc::default();
    }

    /// Sets cells of existing rows, each of which is given once.
    pub fn update(&mut self, rows: &[(u64, Row)]) {
        self.changes += 1;
        let name = self.table.primary_name.as_deref().and_then(|n| self.table.column_index(n));
        if rows.iter().flat_map(|(_, cells)| cells).any(|(column, _)| Some(*column) == name) {
            self.names = Arc::default();
        }
        let mut by_chunk: BTreeMap<usize, (Vec<usize>, Cells<'_>)> = BTreeMap::new();
        for (number, cells) in rows {
            let (chunk, row) = self.locate(*number).expect("only existing rows are updated");
            let (rows, columns) = by_chunk.entry(chunk).or_default();
            rows.push(row);
            for (column, value) in cells {
                columns.entry(*column).or_default().push((row, value));
            }
        }
        for (chunk, (rows, cells)) in by_chunk {
            let chunk = &mut self.chunks[chunk];
            let changes = |counts: &Counts| cells.keys().any(|column| counts.depends_on(*column));
            let rows = numbers_of(rows.into_iter());
            for counts in self.counts.iter_mut().filter(|counts| changes(counts)) {
                counts.count(chunk, Some(&rows), -1);
            }
            Arc::make_mut(chunk).set(self.table.schema(), &cells);
            for counts in self.counts.iter_mut().filter(|counts| changes(counts)) {
                counts.count(chunk, Some(&rows), 1);
            }
        }
        self.derived = Arc::default();
    }

    /// Deletes rows.
    pub fn delete(&mut self, numbers: &[u64]) {
        self.changes += 1;
        let mut by_chunk: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for number in numbers {
            let (chunk, row) = self.locate(*number).expect("only existing rows are deleted");
            by_chunk.entry(chunk).or_default().push(row);
            let key = self.table.primary_id_index();
            if let Value::Guid(id) = self.chunks[chunk].value(row, key, self.table.schema()) {
                self.ids.remove(&id, *number);
            }
        }
        for (chunk, rows) in by_chunk {
            let chunk = &mut self.chunks[chunk];
            let gone = numbers_of(rows.iter().copied());
            self.counts.iter_mut().for_each(|counts| counts.count(chunk, Some(&gone), -1));
            Arc::make_mut(chunk).delete(&rows);
        }
        self.names = Arc::default();
        self.derived = Arc::default();
    }

    /// The full small chunks at the end that are enough for one full chunk.
    pub fn mergeable(&self) -> Option<Vec<Arc<Chunk>>> {
        let end = self.chunks.len() - usize::from(self.open);
        let small =
            self.chunks[..end].iter().rev().take_while(|c| c.rows() == OPEN_ROWS_MAX).count();
        (small * OPEN_ROWS_MAX >= ROWS_MAX).then(|| self.chunks[end - small..end].to_vec())
    }

    /// Puts a merged chunk in the place of those it was made of.
    pub fn replace_merged(&mut self, count: usize, merged: Chunk) {
        let end = self.chunks.len() - usize::from(self.open);
        self.chunks.splice(end - count..end, [Arc::new(merged)]);
    }

    /// Recovery: takes over chunks in order and indexes their primary keys.
    pub fn recover(&mut self, mut chunks: Vec<Chunk>, files: Vec<(u64, u64)>) -> Result<()> {
        chunks.sort_by_key(Chunk::first_number);
        let key = self.table.primary_id_index();
        for chunk in &chunks {
            let array = chunk.array(key, self.table.schema())?;
            for (row, id) in column::guids(&array).enumerate() {
                if chunk.alive().is_some_and(|alive| !alive.value(row)) {
                    continue;
                }
                let id = id.ok_or_else(|| missing_key(&self.table))?;
                if self.ids.insert(id, chunk.number(row)).is_some() {
                    return Err(Error::data(format!(
                        "the data folder holds two rows of '{}' with the key {}",
                        self.table.logical_name,
                        crate::value::guid_text(&id)
                    )));
                }
            }
        }
        for chunk in &chunks {
            self.counts.iter_mut().for_each(|counts| counts.add_chunk(chunk));
        }
        self.next = chunks.last().map_or(0, |c| c.number(c.rows() - 1) + 1);
        self.chunks = chunks.into_iter().map(Arc::new).collect();
        self.files = files;
        Ok(())
    }
}

/// Rows of a chunk, of which there are few enough.
fn numbers_of(rows: impl Iterator<Item = usize>) -> UInt32Array {
    rows.map(|row| u32::try_from(row).expect("a chunk is small")).collect::<Vec<_>>().into()
}

/// The complaint about a row without a primary key.
pub fn missing_key(table: &Table) -> Error {
    Error::invalid(
        crate::error::codes::INVALID_ARGUMENT,
        format!("a row of '{}' has no '{}'", table.logical_name, table.primary_id),
    )
}
