//! Pre-aggregates: how many rows of a table have which values in a few columns.
//!
//! The writer keeps them exact with every commit; a snapshot shares them. A key
//! gets a number when it is first met, and its count stands at that number. Counts
//! stand in blocks, so a commit copies a few blocks at most while a snapshot holds
//! them, however many groups there are.

use std::sync::{Arc, OnceLock};

use datafusion::arrow::array::types::{Int64Type, TimestampMicrosecondType};
use datafusion::arrow::array::{
    ArrayRef, AsArray, BooleanArray, FixedSizeBinaryArray, Int64Array, RecordBatch, UInt32Array,
    new_null_array,
};
use datafusion::arrow::compute::{FilterBuilder, is_not_null};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::ipc::reader::StreamReader;
use datafusion::arrow::ipc::writer::StreamWriter;
use datafusion::arrow::row::{RowConverter, Rows, SortField};
use datafusion::common::HashMap;

use super::chunk::Chunk;
use super::column::Column;
use crate::catalog::Table;
use crate::error::{Error, Result};
use crate::job::{self, Dimension};

const MICROS_PER_HOUR: i64 = 3_600_000_000;

/// Groups of a block.
const BLOCK: usize = 4096;

/// Keys without rows are dropped when they are this many and more than half.
const EMPTY_MAX: usize = 4096;

/// What is counted: columns by their number in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountedBy {
    Value(usize),
    Presence(usize),
    Hour(usize),
}

impl CountedBy {
    pub fn column(self) -> usize {
        match self {
            Self::Value(column) | Self::Presence(column) | Self::Hour(column) => column,
        }
    }

    /// The column of some rows as keys have it.
    fn key(self, column: Column, length: usize, schema: &SchemaRef) -> ArrayRef {
        let Some(array) = column else {
            return match self {
                Self::Presence(_) => Arc::new(BooleanArray::from(vec![false; length])),
                by => new_null_array(&by.key_type(schema), length),
            };
        };
        match self {
            Self::Value(_) => array,
            Self::Presence(_) => Arc::new(is_not_null(&array).expect("any column may be null")),
            Self::Hour(_) => {
                let times = array.as_primitive::<TimestampMicrosecondType>();
                let hour = |time: i64| time.saturating_sub(time.rem_euclid(MICROS_PER_HOUR));
                Arc::new(times.unary::<_, TimestampMicrosecondType>(hour))
            }
        }
    }

    fn key_type(self, schema: &SchemaRef) -> DataType {
        match self {
            Self::Presence(_) => DataType::Boolean,
            Self::Value(column) | Self::Hour(column) => schema.field(column).data_type().clone(),
        }
    }

    /// The table's column for decoded keys: where only presence is known, any value.
    fn column_of(self, keys: &ArrayRef, schema: &SchemaRef) -> ArrayRef {
        let Self::Presence(column) = self else { return keys.clone() };
        let data_type = schema.field(column).data_type();
        let present = keys.as_boolean();
        if *data_type == DataType::FixedSizeBinary(16) {
            let some = |is: Option<bool>| is.filter(|is| *is).map(|_| [0u8; 16]);
            let ids =
                FixedSizeBinaryArray::try_from_sparse_iter_with_size(present.iter().map(some), 16);
            return Arc::new(ids.expect("16 bytes each"));
        }
        unreachable!("presence is counted of lookups")
    }
}

/// The counts of a table's rows by some of its columns, as the writer has them.
pub struct Counts {
    facts: Arc<Facts>,
    numbers: HashMap<Arc<[u8]>, usize>,
    blocks: Blocks,
    /// Keys whose count has become zero.
    empty: usize,
}

/// What is counted, and how keys are written.
struct Facts {
    by: Vec<CountedBy>,
    schema: SchemaRef,
    converter: RowConverter,
}

/// All groups met so far, in the order of their numbers; all blocks but the last are
/// full.
type Blocks = Arc<Vec<Arc<Block>>>;

#[derive(Clone, Default)]
struct Block {
    keys: Arc<Keys>,
    counts: Vec<i64>,
}

/// The keys of a block.
#[derive(Default)]
struct Keys {
    bytes: Vec<Arc<[u8]>>,
    decoded: OnceLock<Vec<ArrayRef>>,
}

impl Clone for Keys {
    /// A copy is made to be added to, hence not decoded.
    fn clone(&self) -> Self {
        Self { bytes: self.bytes.clone(), decoded: OnceLock::new() }
    }
}

/// The counts at one commit.
#[derive(Clone)]
pub struct CountsSnapshot {
    facts: Arc<Facts>,
    blocks: Blocks,
}

impl Counts {
    /// What is counted of a table; no rows yet.
    pub fn of(table: &Table) -> Vec<Self> {
        if table.logical_name != job::TABLE {
            return Vec::new();
        }
        let column = |name: &str| table.column_index(name).expect("a column of asyncoperation");
        let by = |dimension: &Dimension| match dimension {
            Dimension::Value(name) => CountedBy::Value(column(name)),
            Dimension::Presence(name) => CountedBy::Presence(column(name)),
            Dimension::Hour(name) => CountedBy::Hour(column(name)),
        };
        let new = |dimensions: &&[Dimension]| {
            Self::new(dimensions.iter().map(by).collect(), table.schema().clone())
        };
        job::COUNTED_BY.iter().map(new).collect()
    }

    fn new(by: Vec<CountedBy>, schema: SchemaRef) -> Self {
        let fields = by.iter().map(|by| SortField::new(by.key_type(&schema))).collect();
        let converter = RowConverter::new(fields).expect("columns have simple types");
        Self {
            facts: Arc::new(Facts { by, schema, converter }),
            numbers: HashMap::new(),
            blocks: Arc::default(),
            empty: 0,
        }
    }

    /// The groups of a chunk's rows for each pre-aggregate of a table, to be written
    /// down: an Arrow stream each.
    pub fn groups_of(table: &Table, chunk: &Chunk) -> Result<Vec<Vec<u8>>> {
        let groups = |mut counts: Self| {
            counts.add_chunk(chunk);
            let schema = counts.facts.written();
            let failed = |e| Error::internal("counts cannot be written").caused_by(e);
            let mut bytes = Vec::new();
            let mut writer = StreamWriter::try_new(&mut bytes, &schema).map_err(failed)?;
            for (groups, numbers) in counts.snapshot().rows() {
                let of = |by: &CountedBy| groups.array(by.column(), &counts.facts.schema);
                let mut columns = counts.facts.by.iter().map(of).collect::<Result<Vec<_>>>()?;
                columns.push(Arc::new(numbers));
                let batch = RecordBatch::try_new(schema.clone(), columns).map_err(failed)?;
                writer.write(&batch).map_err(failed)?;
            }
            writer.finish().map_err(failed)?;
            drop(writer);
            Ok(bytes)
        };
        Self::of(table).into_iter().map(groups).collect()
    }

    /// Takes in the groups of a chunk as they were written down; not if the table
    /// was counted otherwise then.
    pub fn add_groups(&mut self, written: &[u8]) -> Result<bool> {
        let failed = |e| Error::data("counts cannot be read").caused_by(e);
        let reader = StreamReader::try_new(written, None).map_err(failed)?;
        if reader.schema() != self.facts.written() {
            return Ok(false);
        }
        for batch in reader {
            let batch = batch.map_err(failed)?;
            let mut columns = vec![None; self.facts.schema.fields().len()];
            for (by, column) in self.facts.by.iter().zip(batch.columns()) {
                columns[by.column()] = Some(column.clone());
            }
            let keys = self.facts.keys(&Chunk::from_columns(batch.num_rows(), columns), None);
            let numbers = batch.column(self.facts.by.len()).as_primitive::<Int64Type>();
            self.add(&keys, |row| numbers.value(row));
        }
        Ok(true)
    }

    pub fn snapshot(&self) -> CountsSnapshot {
        CountsSnapshot { facts: self.facts.clone(), blocks: self.blocks.clone() }
    }

    /// Whether rows are counted by a column.
    pub fn depends_on(&self, column: usize) -> bool {
        self.facts.by.iter().any(|by| by.column() == column)
    }

    /// Counts all rows of a chunk that are there.
    pub fn add_chunk(&mut self, chunk: &Chunk) {
        match chunk.alive() {
            None => self.count(chunk, None, 1),
            Some(alive) => {
                let rows: UInt32Array = alive.set_indices_u32().collect::<Vec<_>>().into();
                self.count(chunk, Some(&rows), 1);
            }
        }
    }

    /// Counts some rows of a chunk (`each` is 1) or takes them out (-1).
    pub fn count(&mut self, chunk: &Chunk, rows: Option<&UInt32Array>, each: i64) {
        let keys = self.facts.keys(chunk, rows);
        self.add(&keys, |_| each);
    }

    fn add(&mut self, keys: &Rows, each: impl Fn(usize) -> i64) {
        let mut last = None;
        let mut numbers = Vec::with_capacity(keys.num_rows());
        for key in keys {
            let number = match last {
                Some((before, number)) if before == key => number,
                _ => self.number(key.data()),
            };
            last = Some((key, number));
            numbers.push(number);
        }
        let blocks = Arc::make_mut(&mut self.blocks);
        for (row, number) in numbers.into_iter().enumerate() {
            let block = Arc::make_mut(&mut blocks[number / BLOCK]);
            let count = &mut block.counts[number % BLOCK];
            let before = *count;
            *count += each(row);
            match (before, *count) {
                (0, 0) => {}
                (0, _) => self.empty -= 1,
                (_, 0) => self.empty += 1,
                _ => {}
            }
        }
        if self.empty > EMPTY_MAX && self.empty > groups(&self.blocks) / 2 {
            self.forget_empty();
        }
    }

    /// The number of a key; a new one counts as empty until its first row.
    fn number(&mut self, key: &[u8]) -> usize {
        if let Some(number) = self.numbers.get(key) {
            return *number;
        }
        self.empty += 1;
        self.add_group(key.into(), 0)
    }

    /// The number of a new group.
    fn add_group(&mut self, key: Arc<[u8]>, count: i64) -> usize {
        let number = groups(&self.blocks);
        self.numbers.insert(key.clone(), number);
        let blocks = Arc::make_mut(&mut self.blocks);
        if number.is_multiple_of(BLOCK) {
            blocks.push(Arc::default());
        }
        let last = Arc::make_mut(blocks.last_mut().expect("there is one for each number"));
        let keys = Arc::make_mut(&mut last.keys);
        keys.bytes.push(key);
        keys.decoded = OnceLock::new();
        last.counts.push(count);
        number
    }

    fn forget_empty(&mut self) {
        let before = std::mem::take(&mut self.blocks);
        self.numbers.clear();
        for block in before.iter() {
            for (key, count) in block.groups() {
                self.add_group(key.clone(), count);
            }
        }
        self.empty = 0;
    }
}

fn groups(blocks: &Blocks) -> usize {
    blocks.last().map_or(0, |last| (blocks.len() - 1) * BLOCK + last.counts.len())
}

impl Block {
    /// The keys that rows have, and how many rows.
    fn groups(&self) -> impl Iterator<Item = (&Arc<[u8]>, i64)> {
        let groups = self.keys.bytes.iter().zip(self.counts.iter().copied());
        groups.filter(|(_, count)| *count != 0)
    }
}

impl Facts {
    fn keys(&self, chunk: &Chunk, rows: Option<&UInt32Array>) -> Rows {
        let length = rows.map_or(chunk.rows(), UInt32Array::len);
        let column = |index| match rows {
            Some(rows) => chunk.loaded_rows(index, rows),
            None => chunk.loaded(index),
        };
        let keys: Vec<ArrayRef> =
            self.by.iter().map(|by| by.key(column(by.column()), length, &self.schema)).collect();
        self.converter.convert_columns(&keys).expect("the fields' own types")
    }

    /// The columns of groups as they are written down: their names say how they count.
    fn written(&self) -> SchemaRef {
        let field = |by: &CountedBy| {
            let field = self.schema.field(by.column());
            let how = match by {
                CountedBy::Value(_) => "value",
                CountedBy::Presence(_) => "presence",
                CountedBy::Hour(_) => "hour",
            };
            Field::new(format!("{how} {}", field.name()), field.data_type().clone(), true)
        };
        let count = Field::new("count", DataType::Int64, false);
        Arc::new(Schema::new(self.by.iter().map(field).chain([count]).collect::<Vec<_>>()))
    }

    fn decode(&self, keys: &[Arc<[u8]>]) -> Vec<ArrayRef> {
        let parser = self.converter.parser();
        let rows = keys.iter().map(|key| parser.parse(key));
        let keys = self.converter.convert_rows(rows).expect("written by the same converter");
        let columns = keys.iter().zip(&self.by);
        columns.map(|(keys, by)| by.column_of(keys, &self.schema)).collect()
    }
}

impl CountsSnapshot {
    /// What is counted by.
    pub fn by(&self) -> &[CountedBy] {
        &self.facts.by
    }

    /// The count of each key that rows have.
    pub(super) fn by_key(&self) -> HashMap<&[u8], i64> {
        let groups = self.blocks.iter().flat_map(|block| block.groups());
        groups.map(|(key, count)| (&**key, count)).collect()
    }

    /// At most so many groups.
    pub fn groups(&self) -> usize {
        groups(&self.blocks)
    }

    /// A row for each combination of values that rows of the table have: chunks
    /// with the columns counted by and no others, and the number of those rows.
    /// A column of which only the presence is counted has some value where rows
    /// have one, a time is the start of its hour.
    pub fn rows(&self) -> impl Iterator<Item = (Chunk, Int64Array)> {
        self.blocks.iter().map(|block| {
            let keys = block.keys.decoded.get_or_init(|| self.facts.decode(&block.keys.bytes));
            let mut counts = Int64Array::from(block.counts.clone());
            let mut keys = keys.clone();
            if block.counts.contains(&0) {
                let there: BooleanArray = block.counts.iter().map(|c| Some(*c != 0)).collect();
                let filter = FilterBuilder::new(&there).optimize().build();
                for key in &mut keys {
                    *key = filter.filter(key).expect("as long as the counts");
                }
                let kept = filter.filter(&counts).expect("as long as itself");
                counts = kept.as_primitive().clone();
            }
            let mut columns = vec![None; self.facts.schema.fields().len()];
            for (by, key) in self.facts.by.iter().zip(keys) {
                columns[by.column()] = Some(key);
            }
            (Chunk::from_columns(counts.len(), columns), counts)
        })
    }
}
