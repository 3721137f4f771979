//! A chunk: up to [`ROWS_MAX`] rows of a table as Arrow columns.
//!
//! Chunks are shared with snapshots; the writer changes one through
//! `Arc::make_mut`, which copies what a snapshot still holds. Invariant: row
//! numbers of a chunk rise, and chunks of a table do not overlap.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanBufferBuilder, RecordBatch, new_null_array};
use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::arrow::compute::concat;
use datafusion::arrow::datatypes::SchemaRef;

use super::column::{self, Column};
use super::statistics::ColumnStatistics;
use crate::error::{Error, Result};
use crate::value::Value;

/// Rows of a full chunk. Scans plan and run best at this size.
pub const ROWS_MAX: usize = 64 * 1024;

/// Rows of the chunk that new rows go to. It is small because each commit
/// copies its columns when a query holds them; full ones are merged.
pub const OPEN_ROWS_MAX: usize = 4 * 1024;

/// Cells to set, by column: rows of the chunk and their values.
pub type Cells<'a> = BTreeMap<usize, Vec<(usize, &'a Value)>>;

/// Rows of a table, some of which may be deleted.
#[derive(Clone, Debug)]
pub struct Chunk {
    numbers: Numbers,
    rows: usize,
    columns: Vec<Column>,
    /// By column; nothing where nothing is known.
    statistics: Vec<Option<ColumnStatistics>>,
    /// Rows that are not deleted; nothing when none is.
    alive: Option<BooleanBuffer>,
    live: usize,
}

/// The table-wide numbers of the chunk's rows.
#[derive(Clone, Debug)]
enum Numbers {
    From(u64),
    List(Arc<[u64]>),
}

impl Chunk {
    /// An empty chunk for rows from the given number on.
    pub fn new(first: u64, columns: usize) -> Self {
        Self {
            numbers: Numbers::From(first),
            rows: 0,
            columns: vec![None; columns],
            statistics: vec![None; columns],
            alive: None,
            live: 0,
        }
    }

    /// The rows of a batch that has all columns of the table, some perhaps all null.
    pub fn from_batch(first: u64, batch: &RecordBatch) -> Self {
        let columns: Vec<Column> = batch
            .columns()
            .iter()
            .map(|array| (array.null_count() < array.len()).then(|| array.clone()))
            .collect();
        let rows = batch.num_rows();
        let statistics = columns.iter().map(|column| Some(statistics_of(column, rows))).collect();
        Self { numbers: Numbers::From(first), rows, columns, statistics, alive: None, live: rows }
    }

    /// Rows with rising numbers, gaps allowed, and their cells.
    pub fn from_rows(numbers: &[u64], schema: &SchemaRef, cells: &Cells<'_>) -> Self {
        let mut chunk = Self::new(numbers[0], schema.fields().len());
        if numbers[numbers.len() - 1] - numbers[0] + 1 != numbers.len() as u64 {
            chunk.numbers = Numbers::List(numbers.into());
        }
        chunk.grow(numbers.len());
        chunk.set(schema, cells);
        chunk
    }

    /// Rows with these columns, which have that length or are all null.
    pub fn from_columns(rows: usize, columns: Vec<Column>) -> Self {
        let statistics = vec![None; columns.len()];
        Self { numbers: Numbers::From(0), rows, columns, statistics, alive: None, live: rows }
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

    /// What is known of a column without reading it.
    pub fn statistics(&self, index: usize) -> Option<&ColumnStatistics> {
        self.statistics[index].as_ref()
    }

    /// A column; nothing when all its cells are null. It may have to be read from
    /// a file, which may turn out to be damaged.
    #[expect(clippy::unnecessary_wraps, reason = "columns in files come with the next change")]
    pub fn column(&self, index: usize) -> Result<Column> {
        Ok(self.columns[index].clone())
    }

    /// [`Chunk::column`] for those who cannot go on without it: a damaged file is a
    /// panic that names it.
    pub fn loaded(&self, index: usize) -> Column {
        self.column(index).unwrap_or_else(|e| panic!("{e}"))
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
        column::read(&self.columns[index], schema.field(index).data_type(), row)
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

    /// Sets cells; every column gets the chunk's length.
    pub fn set(&mut self, schema: &SchemaRef, cells: &Cells<'_>) {
        for (index, column) in self.columns.iter_mut().enumerate() {
            let changes = cells.get(&index).map_or(&[][..], Vec::as_slice);
            let short = column.as_ref().is_some_and(|a| a.len() < self.rows);
            if short || !changes.is_empty() {
                let data_type = schema.field(index).data_type();
                *column = column::write(column.take(), data_type, self.rows, changes);
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
                if chunks.iter().all(|c| c.columns[index].is_none()) {
                    return Ok(None);
                }
                let parts: Vec<ArrayRef> =
                    chunks.iter().map(|c| c.array(index, schema)).collect::<Result<_>>()?;
                let parts: Vec<_> = parts.iter().map(AsRef::as_ref).collect();
                let array = concat(&parts)
                    .map_err(|e| Error::internal("merging chunks failed").caused_by(e))?;
                Ok(Some(array))
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
        let contiguous = numbers[numbers.len() - 1] - numbers[0] + 1 == numbers.len() as u64;
        let statistics = columns.iter().map(|column| Some(statistics_of(column, rows))).collect();
        Ok(Self {
            numbers: if contiguous {
                Numbers::From(numbers[0])
            } else {
                Numbers::List(numbers.into())
            },
            rows,
            columns,
            statistics,
            alive,
            live: chunks.iter().map(|c| c.live).sum(),
        })
    }
}

fn statistics_of(column: &Column, rows: usize) -> ColumnStatistics {
    column.as_ref().map_or_else(|| ColumnStatistics::all_null(rows), ColumnStatistics::of)
}
