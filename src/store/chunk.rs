//! A chunk: up to [`ROWS_MAX`] rows of a table as Arrow columns.
//!
//! Chunks are shared with snapshots; the writer changes one through
//! `Arc::make_mut`, which copies what a snapshot still holds. Invariant: row
//! numbers of a chunk rise, and chunks of a table do not overlap.
//!
//! The columns of a sealed chunk stand in a file. The few cells of it that change
//! are kept beside; when they are many and the column is in memory, the column
//! becomes one like those of other chunks.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, BooleanBufferBuilder, UInt32Array, new_null_array,
};
use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::SchemaRef;

use super::column::{self, Column};
use super::encoded::Encoded;
use super::sealed::Sealed;
use super::statistics::ColumnStatistics;
use crate::error::{Error, Result};
use crate::value::Value;

/// Rows of a full chunk. Scans plan and run best at this size.
pub const ROWS_MAX: usize = 64 * 1024;

/// Rows of the chunk that new rows go to. It is small because each commit
/// copies its columns when a query holds them; full ones are merged.
pub const OPEN_ROWS_MAX: usize = 4 * 1024;

/// Changed cells of a column in a file beyond which the whole column is kept.
const CHANGED_MAX: usize = 256;

/// Cells to set, by column: rows of the chunk and their values.
pub type Cells<'a> = BTreeMap<usize, Vec<(usize, &'a Value)>>;

/// Rows of a table, some of which may be deleted.
#[derive(Clone, Debug)]
pub struct Chunk {
    numbers: Numbers,
    rows: usize,
    columns: Vec<Kept>,
    /// What stands in a file.
    sealed: Option<Arc<Sealed>>,
    /// By column; nothing where nothing is known.
    statistics: Vec<Option<ColumnStatistics>>,
    /// Rows that are not deleted; nothing when none is.
    alive: Option<BooleanBuffer>,
    live: usize,
    /// Rows of which the file no longer says what is so.
    changed: Option<BooleanBuffer>,
}

/// A column of a chunk.
#[derive(Clone, Debug)]
enum Kept {
    Here(Column),
    /// In the chunk's file, but for some cells that have changed.
    InFile(Arc<BTreeMap<usize, Value>>),
}

/// The table-wide numbers of the chunk's rows.
#[derive(Clone, Debug, PartialEq)]
pub enum Numbers {
    From(u64),
    List(Arc<[u64]>),
}

impl Chunk {
    /// An empty chunk for rows from the given number on.
    pub fn new(first: u64, columns: usize) -> Self {
        Self {
            numbers: Numbers::From(first),
            rows: 0,
            columns: vec![Kept::Here(None); columns],
            sealed: None,
            statistics: vec![None; columns],
            alive: None,
            live: 0,
            changed: None,
        }
    }

    /// Rows with these columns, which have that length or are all null.
    pub fn from_columns(rows: usize, columns: Vec<Column>) -> Self {
        let statistics = vec![None; columns.len()];
        let columns = columns.into_iter().map(Kept::Here).collect();
        let numbers = Numbers::From(0);
        let (sealed, alive, changed) = (None, None, None);
        Self { numbers, rows, columns, sealed, statistics, alive, live: rows, changed }
    }

    /// The rows of a file, none of them deleted.
    pub fn sealed(numbers: Numbers, sealed: Arc<Sealed>) -> Self {
        let rows = sealed.rows();
        let columns = (0..sealed.columns())
            .map(|index| match sealed.has(index) {
                true => Kept::InFile(Arc::default()),
                false => Kept::Here(None),
            })
            .collect();
        let (statistics, sealed) = (sealed.statistics(), Some(sealed));
        let (alive, changed) = (None, None);
        Self { numbers, rows, columns, sealed, statistics, alive, live: rows, changed }
    }

    /// Rows with rising numbers, gaps allowed, and their cells.
    pub fn from_rows(numbers: &[u64], schema: &SchemaRef, cells: &Cells<'_>) -> Self {
        let mut chunk = Self::new(numbers[0], schema.fields().len());
        chunk.numbers = Numbers::of(numbers);
        chunk.grow(numbers.len());
        chunk.set(schema, cells);
        chunk
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Rows that are not deleted.
    pub fn live(&self) -> usize {
        self.live
    }

    /// Which rows are not deleted; nothing when all are there.
    pub fn alive(&self) -> Option<&BooleanBuffer> {
        self.alive.as_ref()
    }

    pub fn first_number(&self) -> u64 {
        match &self.numbers {
            Numbers::From(first) => *first,
            Numbers::List(list) => list[0],
        }
    }

    /// The table-wide number of a row.
    pub fn number(&self, row: usize) -> u64 {
        match &self.numbers {
            Numbers::From(first) => first + row as u64,
            Numbers::List(list) => list[row],
        }
    }

    /// The row with a table-wide number.
    pub fn row(&self, number: u64) -> Option<usize> {
        let row = match &self.numbers {
            Numbers::From(first) => usize::try_from(number.checked_sub(*first)?).ok()?,
            Numbers::List(list) => list.binary_search(&number).ok()?,
        };
        (row < self.rows).then_some(row)
    }

    /// The table-wide numbers of the rows that are deleted.
    pub fn deleted(&self) -> impl Iterator<Item = u64> {
        let gone = |row: &usize| self.alive.as_ref().is_some_and(|alive| !alive.value(*row));
        (0..self.rows).filter(gone).map(|row| self.number(row))
    }

    /// What is known of a column without reading it.
    pub fn statistics(&self, index: usize) -> Option<&ColumnStatistics> {
        self.statistics[index].as_ref()
    }

    /// Where the rows stand, if it is in a file.
    pub fn file(&self) -> Option<&Arc<Sealed>> {
        self.sealed.as_ref()
    }

    pub fn numbers(&self) -> &Numbers {
        &self.numbers
    }

    /// A column; nothing when all its cells are null. It may have to be read from
    /// a file, which may turn out to be damaged.
    pub fn column(&self, index: usize) -> Result<Column> {
        self.read(
            index,
            |kept| Ok(kept.clone()),
            |encoded| encoded.decode(),
            |changed| changed.iter().map(|(row, value)| (*row, value)).collect(),
        )
    }

    /// Some rows of a column.
    pub fn taken(&self, index: usize, rows: &UInt32Array) -> Result<Column> {
        let taken = |array: &ArrayRef| {
            take(array, rows, None)
                .map_err(|e| Error::internal("rows of a chunk cannot be read").caused_by(e))
        };
        self.read(
            index,
            |kept| kept.as_ref().map(taken).transpose(),
            |encoded| encoded.take(rows),
            |changed| {
                let of =
                    |(place, row): (usize, &u32)| Some((place, changed.get(&(*row as usize))?));
                rows.values().iter().enumerate().filter_map(of).collect()
            },
        )
    }

    /// A column in the form in which its file keeps it in memory; nothing when all its
    /// cells are null. One that is not in a file, or of which cells have changed, is
    /// put into that form.
    pub fn encoded(&self, index: usize) -> Result<Option<Arc<Encoded>>> {
        if let Some(encoded) = self.encoded_in_file(index)? {
            return Ok(Some(encoded));
        }
        Ok(self.column(index)?.map(|array| Arc::new(Encoded::of(&array))))
    }

    /// The same; nothing when it is not what its file says.
    pub fn encoded_in_file(&self, index: usize) -> Result<Option<Arc<Encoded>>> {
        match (&self.columns[index], &self.sealed) {
            (Kept::InFile(changed), Some(sealed)) if changed.is_empty() => {
                sealed.load(index).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn read(
        &self,
        index: usize,
        here: impl FnOnce(&Column) -> Result<Column>,
        decoded: impl FnOnce(&Encoded) -> Result<ArrayRef>,
        cells: impl for<'a> FnOnce(&'a BTreeMap<usize, Value>) -> Vec<(usize, &'a Value)>,
    ) -> Result<Column> {
        match (&self.columns[index], &self.sealed) {
            (Kept::Here(column), _) => here(column),
            (Kept::InFile(changed), Some(sealed)) => {
                let array = decoded(&*sealed.load(index)?)?;
                let cells = cells(changed);
                if cells.is_empty() {
                    return Ok(Some(array));
                }
                let (data_type, rows) = (array.data_type().clone(), array.len());
                Ok(column::write(Some(array), &data_type, rows, &cells))
            }
            (Kept::InFile(_), None) => unreachable!("only a sealed chunk has columns in a file"),
        }
    }

    /// [`Chunk::column`] for those who cannot go on without it: a damaged file is a
    /// panic that names it.
    pub fn loaded(&self, index: usize) -> Column {
        self.column(index).unwrap_or_else(|e| panic!("{e}"))
    }

    /// [`Chunk::taken`] in the same way.
    pub fn loaded_rows(&self, index: usize, rows: &UInt32Array) -> Column {
        self.taken(index, rows).unwrap_or_else(|e| panic!("{e}"))
    }

    /// A column as an array.
    pub fn array(&self, index: usize, schema: &SchemaRef) -> Result<ArrayRef> {
        Ok(match self.column(index)? {
            Some(array) => array,
            None => new_null_array(schema.field(index).data_type(), self.rows),
        })
    }

    /// The value of a cell. Whoever reads cell by cell cannot go on without it: a
    /// damaged file is a panic that names it.
    pub fn value(&self, row: usize, index: usize, schema: &SchemaRef) -> Value {
        match (&self.columns[index], &self.sealed) {
            (Kept::Here(column), _) => column::read(column, schema.field(index).data_type(), row),
            (Kept::InFile(changed), Some(sealed)) => match changed.get(&row) {
                Some(value) => value.clone(),
                None => sealed.load(index).unwrap_or_else(|e| panic!("{e}")).value(row),
            },
            (Kept::InFile(_), None) => unreachable!("only a sealed chunk has columns in a file"),
        }
    }

    /// Adds rows whose cells are null.
    pub fn grow(&mut self, rows: usize) {
        if let Some(alive) = self.alive.take() {
            let mut bits = BooleanBufferBuilder::new(self.rows + rows);
            bits.append_buffer(&alive);
            bits.append_n(rows, true);
            self.alive = Some(bits.finish());
        }
        self.rows += rows;
        self.live += rows;
        self.statistics.fill(None);
    }

    /// Whether the file does not say what is so of a row.
    pub fn has_left_file(&self, row: usize) -> bool {
        let is = |bits: &Option<BooleanBuffer>| bits.as_ref().map(|bits| bits.value(row));
        is(&self.changed) == Some(true) || is(&self.alive) == Some(false)
    }

    /// How many rows that is true of.
    pub fn left_file(&self) -> usize {
        match &self.changed {
            None => self.rows - self.live,
            Some(changed) => {
                let unchanged = !changed;
                let kept =
                    self.alive.as_ref().map_or(unchanged.clone(), |alive| &unchanged & alive);
                self.rows - kept.count_set_bits()
            }
        }
    }

    /// Sets cells; every column gets the chunk's length.
    pub fn set(&mut self, schema: &SchemaRef, cells: &Cells<'_>) {
        if self.sealed.is_some() && !cells.is_empty() {
            let mut bits = BooleanBufferBuilder::new(self.rows);
            match &self.changed {
                Some(changed) => bits.append_buffer(changed),
                None => bits.append_n(self.rows, false),
            }
            cells.values().flatten().for_each(|(row, _)| bits.set_bit(*row, true));
            self.changed = Some(bits.finish());
        }
        for index in 0..self.columns.len() {
            let changes = cells.get(&index).map_or(&[][..], Vec::as_slice);
            let many = match &self.columns[index] {
                Kept::InFile(changed) => changed.len() + changes.len() > CHANGED_MAX,
                Kept::Here(_) => false,
            };
            if many && self.sealed.as_ref().is_some_and(|sealed| sealed.is_loaded(index)) {
                // A column that cannot be read stays as it is.
                if let Ok(column) = self.column(index) {
                    self.columns[index] = Kept::Here(column);
                }
            }
            match &mut self.columns[index] {
                Kept::Here(column) => {
                    let short = column.as_ref().is_some_and(|a| a.len() < self.rows);
                    if short || !changes.is_empty() {
                        let data_type = schema.field(index).data_type();
                        *column = column::write(column.take(), data_type, self.rows, changes);
                    }
                }
                Kept::InFile(changed) if !changes.is_empty() => {
                    let changes = changes.iter().map(|(row, value)| (*row, (*value).clone()));
                    Arc::make_mut(changed).extend(changes);
                }
                Kept::InFile(_) => {}
            }
            if let Some(statistics) = &mut self.statistics[index] {
                changes.iter().for_each(|(_, value)| statistics.widen(self.rows, value));
            }
        }
    }

    /// Marks rows as deleted.
    pub fn delete(&mut self, rows: &[usize]) {
        let mut bits = BooleanBufferBuilder::new(self.rows);
        match &self.alive {
            Some(alive) => bits.append_buffer(alive),
            None => bits.append_n(self.rows, true),
        }
        rows.iter().for_each(|row| bits.set_bit(*row, false));
        let alive = bits.finish();
        self.live = alive.count_set_bits();
        self.alive = Some(alive);
    }

    /// One chunk with the rows of several neighbours.
    pub fn merge(chunks: &[Arc<Self>], schema: &SchemaRef) -> Result<Self> {
        let rows = chunks.iter().map(|c| c.rows).sum();
        let columns: Vec<Column> = (0..schema.fields().len())
            .map(|index| {
                let parts = chunks.iter().map(|c| c.column(index)).collect::<Result<_>>()?;
                let lengths = chunks.iter().map(|c| c.rows);
                column::concat(parts, lengths, schema.field(index).data_type())
            })
            .collect::<Result<_>>()?;
        let alive = chunks.iter().any(|c| c.alive.is_some()).then(|| {
            let mut bits = BooleanBufferBuilder::new(rows);
            for chunk in chunks {
                match &chunk.alive {
                    Some(alive) => bits.append_buffer(alive),
                    None => bits.append_n(chunk.rows, true),
                }
            }
            bits.finish()
        });
        let numbers: Vec<u64> =
            chunks.iter().flat_map(|c| (0..c.rows).map(|row| c.number(row))).collect();
        let statistics = columns.iter().map(|column| Some(statistics_of(column, rows))).collect();
        Ok(Self {
            numbers: Numbers::of(&numbers),
            rows,
            columns: columns.into_iter().map(Kept::Here).collect(),
            sealed: None,
            statistics,
            alive,
            live: chunks.iter().map(|c| c.live).sum(),
            changed: None,
        })
    }
}

impl Numbers {
    /// Rising numbers.
    pub fn of(numbers: &[u64]) -> Self {
        let (first, last) = (numbers[0], numbers[numbers.len() - 1]);
        match last - first + 1 == numbers.len() as u64 {
            true => Self::From(first),
            false => Self::List(numbers.into()),
        }
    }
}

fn statistics_of(column: &Column, rows: usize) -> ColumnStatistics {
    column.as_ref().map_or_else(|| ColumnStatistics::all_null(rows), ColumnStatistics::of)
}
