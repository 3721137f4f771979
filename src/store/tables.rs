//! The tables in memory: chunks, the index of primary keys, and the changes a
//! commit makes to them after it is durable.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use datafusion::arrow::array::{ArrayRef, UInt32Array};

use super::chunk::{Cells, Chunk, OPEN_ROWS_MAX};
use super::column;
use super::counts::Counts;
use super::filter::Holder;
use super::ids::{self, Ids};
use super::sealed::Sealed;
use super::snapshot::{Derived, NameIndex, TableSnapshot};
use super::summary::Summary;
use crate::catalog::Table;
use crate::error::{Error, Result};
use crate::value::{Guid, Value};

/// Cells of one row.
pub type Row = Vec<(usize, Value)>;

/// One table as the writer sees it.
pub struct TableState {
    pub table: Arc<Table>,
    /// The column of the primary key, which is asked for with every change.
    pub key: usize,
    chunks: Vec<Arc<Chunk>>,
    ids: Arc<Ids>,
    /// The number the next new row gets.
    next: u64,
    /// Whether the last chunk takes new rows.
    open: bool,
    names: Arc<OnceLock<NameIndex>>,
    derived: Arc<Derived>,
    /// Rises with every change.
    changes: u64,
    counts: Vec<Counts>,
    /// The columns that rows are counted by.
    counted: Vec<usize>,
}

impl TableState {
    pub fn new(table: Arc<Table>) -> Self {
        let counts = Counts::of(&table);
        let is_counted = |column: &usize| counts.iter().any(|counts| counts.depends_on(*column));
        let counted = (0..table.columns.len()).filter(is_counted).collect();
        Self {
            key: table.primary_id_index(),
            table,
            chunks: Vec::new(),
            ids: Arc::default(),
            next: 0,
            open: false,
            names: Arc::default(),
            derived: Arc::default(),
            changes: 0,
            counts,
            counted,
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
    pub fn find(&self, id: &Guid) -> Result<Option<u64>> {
        let place = self.ids.find(&self.chunks, self.key, id)?;
        Ok(place.map(|place| self.chunks[place.chunk].number(place.row)))
    }

    /// Whether a row stands in a chunk file.
    pub fn is_sealed(&self, number: u64) -> bool {
        self.locate(number).is_some_and(|(chunk, _)| self.chunks[chunk].file().is_some())
    }

    /// The value of a cell of an existing row.
    pub fn value(&self, number: u64, column: usize) -> Value {
        match self.locate(number) {
            Some((chunk, row)) => self.chunks[chunk].value(row, column, self.table.schema()),
            None => Value::Null,
        }
    }

    /// Brings what a row is counted by into memory, if it stands in a chunk file.
    pub fn load_counted(&self, number: u64) -> Result<()> {
        let Some((chunk, _)) = self.locate(number) else { return Ok(()) };
        let Some(file) = self.chunks[chunk].file() else { return Ok(()) };
        let columns = self.counted.iter().copied().chain([self.key]);
        columns.filter(|c| file.has(*c)).try_for_each(|c| file.load(c).map(drop))
    }

    /// What a row is counted by in its file, and the file's checksum, if nothing of the
    /// row has changed since.
    pub fn counted(&self, number: u64) -> Option<(u32, Row)> {
        let (chunk, row) = self.locate(number)?;
        let file = self.chunks[chunk].file()?.file().checksum;
        let fresh = !self.counted.is_empty() && !self.chunks[chunk].has_left_file(row);
        fresh.then(|| (file, self.cells(number, self.counted.iter().copied())))
    }

    /// Some cells of an existing row.
    pub fn cells(&self, number: u64, columns: impl Iterator<Item = usize>) -> Row {
        let Some((chunk, row)) = self.locate(number) else { return Row::new() };
        let (chunk, schema) = (&self.chunks[chunk], self.table.schema());
        columns.map(|column| (column, chunk.value(row, column, schema))).collect()
    }

    /// All cells of a row.
    pub fn row(&self, number: u64) -> Vec<Value> {
        (0..self.table.columns.len()).map(|column| self.value(number, column)).collect()
    }

    fn locate(&self, number: u64) -> Option<(usize, usize)> {
        ids::locate(&self.chunks, number).map(|place| (place.chunk, place.row))
    }

    /// Adds a sealed chunk, whose filter the look-up has. Of equal primary keys the last
    /// row counts: `hidden` are the others. Rows that these replace were deleted before.
    pub fn append(
        &mut self,
        mut chunk: Chunk,
        summary: &Summary,
        ids: &ArrayRef,
        hidden: &[usize],
    ) -> Result<()> {
        self.changes += 1;
        add_counts(&mut self.counts, &chunk, summary)?;
        if !hidden.is_empty() {
            let gone = numbers_of(hidden.iter().copied());
            self.counts.iter_mut().for_each(|counts| counts.count(&chunk, Some(&gone), -1));
            chunk.delete(hidden);
        }
        if summary.filter.is_none() {
            for (row, id) in column::guids(ids).enumerate() {
                id.map(|id| self.ids.insert(id, self.next + row as u64));
            }
        }
        self.next += chunk.rows() as u64;
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
            let mut cells = ByColumn::of(&self.table);
            let mut gone = Vec::new();
            for (offset, row) in now.iter().enumerate() {
                let Some(row) = row else {
                    gone.push(before + offset);
                    continue;
                };
                for (column, value) in row {
                    cells.set(before + offset, *column, value);
                    if let (true, Value::Guid(id)) = (*column == self.key, value) {
                        self.ids.insert(*id, self.next + offset as u64);
                    }
                }
            }
            chunk.set(self.table.schema(), &cells.finish());
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
        let mut by_chunk: BTreeMap<usize, (Vec<usize>, ByColumn<'_>)> = BTreeMap::new();
        for (number, cells) in rows {
            let (chunk, row) = self.locate(*number).expect("only existing rows are updated");
            let new = || (Vec::new(), ByColumn::of(&self.table));
            let (rows, columns) = by_chunk.entry(chunk).or_insert_with(new);
            rows.push(row);
            // A row keeps its key.
            for (column, value) in cells.iter().filter(|(column, _)| *column != self.key) {
                columns.set(row, *column, value);
            }
        }
        for (chunk, (rows, cells)) in by_chunk {
            let (chunk, cells) = (&mut self.chunks[chunk], cells.finish());
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
            if let Value::Guid(id) = self.chunks[chunk].value(row, self.key, self.table.schema()) {
                self.ids.remove([(id, *number)].into_iter());
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

    pub fn chunks(&self) -> &[Arc<Chunk>] {
        &self.chunks
    }

    /// The chunks that take no new rows.
    pub fn closed(&self) -> &[Arc<Chunk>] {
        &self.chunks[..self.chunks.len() - usize::from(self.open)]
    }

    /// Whether a chunk is one of the table as it is now.
    pub fn has(&self, chunk: &Arc<Chunk>) -> bool {
        self.position(chunk).is_some()
    }

    fn position(&self, chunk: &Arc<Chunk>) -> Option<usize> {
        let after = self.chunks.partition_point(|c| c.first_number() <= chunk.first_number());
        after.checked_sub(1).filter(|index| Arc::ptr_eq(&self.chunks[*index], chunk))
    }

    /// Puts a chunk, or nothing, in the place of neighbours that are there.
    pub fn replace(&mut self, old: &[Arc<Chunk>], new: Option<Chunk>) {
        let index = self.position(&old[0]).expect("the chunk is there");
        if index + old.len() == self.chunks.len() {
            self.open = false;
        }
        self.chunks.splice(index..index + old.len(), new.map(Arc::new));
    }

    /// Whether rows with some numbers stand in chunks without a file, or may come to.
    pub fn is_open(&self, numbers: Range<u64>) -> bool {
        let from = self.chunks.partition_point(|chunk| chunk.first_number() <= numbers.start);
        let mut chunks = self.chunks[from.saturating_sub(1)..]
            .iter()
            .take_while(|chunk| chunk.first_number() < numbers.end);
        let open = |chunk: &Arc<Chunk>| {
            chunk.file().is_none() && chunk.number(chunk.rows().saturating_sub(1)) >= numbers.start
        };
        numbers.end > self.next || chunks.any(open)
    }

    /// Whether there is a row with a number, and no chunk file has it.
    pub fn is_open_row(&self, number: u64) -> bool {
        self.locate(number).is_some_and(|(chunk, row)| {
            let chunk = &self.chunks[chunk];
            chunk.file().is_none() && chunk.alive().is_none_or(|alive| alive.value(row))
        })
    }

    /// Whether the journal says something of a row that no file does.
    pub fn has_left_file(&self, number: u64) -> bool {
        self.locate(number).is_some_and(|(chunk, row)| self.chunks[chunk].has_left_file(row))
    }

    /// The look-up of the table's keys.
    pub fn ids(&self) -> &Arc<Ids> {
        &self.ids
    }

    /// Recovery: takes over chunks, and the summaries of sealed ones by their first
    /// rows. `touched` are the rows of them that are not as in their files, but for those
    /// whose cells the journal has as they were and as they are: `before` and `after`.
    /// `next` is a number above all that the journal still knows.
    pub fn recover(
        &mut self,
        mut chunks: Vec<Chunk>,
        summaries: &BTreeMap<u64, Summary>,
        touched: &BTreeMap<u64, BTreeSet<usize>>,
        (before, after): (&Chunk, &Chunk),
        next: u64,
    ) -> Result<()> {
        for counts in &mut self.counts {
            counts.count(before, None, -1);
            counts.count(after, None, 1);
        }
        chunks.sort_by_key(Chunk::first_number);
        let mut filters = Vec::new();
        for chunk in &chunks {
            let first = chunk.first_number();
            let summary = summaries.get(&first);
            match (summary.and_then(|summary| summary.filter.as_ref()), chunk.file()) {
                (Some(filter), Some(file)) => {
                    let holder: Holder = Arc::<Sealed>::downgrade(file);
                    filters.push((first, filter, holder));
                }
                _ => self.take_in_keys(chunk)?,
            }
            let Some((summary, file)) = summary.zip(chunk.file()) else {
                self.counts.iter_mut().for_each(|counts| counts.add_chunk(chunk));
                continue;
            };
            let original = Chunk::sealed(chunk.numbers().clone(), file.clone());
            add_counts(&mut self.counts, &original, summary)?;
            if let Some(touched) = touched.get(&first) {
                let alive = |row: &usize| chunk.alive().is_none_or(|alive| alive.value(*row));
                let before = numbers_of(touched.iter().copied());
                let after = numbers_of(touched.iter().copied().filter(alive));
                for counts in &mut self.counts {
                    counts.count(&original, Some(&before), -1);
                    counts.count(chunk, Some(&after), 1);
                }
            }
        }
        self.ids.add_filters(&filters);
        self.next = chunks.last().map_or(0, |c| c.number(c.rows() - 1) + 1).max(next);
        self.chunks = chunks.into_iter().map(Arc::new).collect();
        Ok(())
    }

    fn take_in_keys(&self, chunk: &Chunk) -> Result<()> {
        let array = chunk.array(self.key, self.table.schema())?;
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
        Ok(())
    }
}

/// Counts the rows of a sealed chunk, by its summary if that has what is counted now.
fn add_counts(counts: &mut [Counts], chunk: &Chunk, summary: &Summary) -> Result<()> {
    for (index, counts) in counts.iter_mut().enumerate() {
        let known = match summary.counts.get(index) {
            Some(groups) => counts.add_groups(groups)?,
            None => false,
        };
        if !known {
            counts.add_chunk(chunk);
        }
    }
    Ok(())
}

/// Cells to set, gathered column by column.
struct ByColumn<'a> {
    columns: Vec<Vec<(usize, &'a Value)>>,
}

impl<'a> ByColumn<'a> {
    fn of(table: &Table) -> Self {
        Self { columns: vec![Vec::new(); table.columns.len()] }
    }

    fn set(&mut self, row: usize, column: usize, value: &'a Value) {
        self.columns[column].push((row, value));
    }

    fn finish(self) -> Cells<'a> {
        self.columns.into_iter().enumerate().filter(|(_, cells)| !cells.is_empty()).collect()
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
