//! Rows collected column by column into Arrow batches with a table's whole
//! schema.
//!
//! A row becomes part of the batch whole or not at all: values wait in
//! [`Rows::set`] until [`Rows::push`] takes them. A column that no row names
//! costs nothing until the batch is made, where it is all null.

use std::sync::Arc;

use datafusion::arrow::array::builder::{
    BooleanBuilder, Date32Builder, Decimal128Builder, FixedSizeBinaryBuilder, Float64Builder,
    Int32Builder, Int64Builder, StringViewBuilder, TimestampMicrosecondBuilder,
};
use datafusion::arrow::array::{ArrayRef, RecordBatch, new_null_array};
use datafusion::arrow::datatypes::{DataType, TimeUnit};

use crate::catalog::Table;
use crate::error::{Error, Result};
use crate::value::Value;

/// Rows of a batch: enough to make the cost of a batch vanish, few enough to
/// keep an import's memory small.
pub const BATCH_ROWS: usize = 65_536;

/// A batch in the making, and the row that is being read into it.
pub struct Rows {
    table: Arc<Table>,
    /// By column: its place among the columns in use.
    places: Vec<Option<usize>>,
    in_use: Vec<InUse>,
    len: usize,
}

struct InUse {
    column: usize,
    builder: Builder,
    /// The current row's value.
    value: Value,
}

impl Rows {
    pub fn new(table: &Arc<Table>) -> Self {
        let places = vec![None; table.columns.len()];
        Self { table: table.clone(), places, in_use: Vec::new(), len: 0 }
    }

    pub fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// Rows pushed since the last batch.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_full(&self) -> bool {
        self.len >= BATCH_ROWS
    }

    /// Sets a column of the current row.
    ///
    /// Invariant: the value is null or of the column's Arrow type.
    pub fn set(&mut self, column: usize, value: Value) {
        let place = match self.places[column] {
            Some(place) => place,
            None if value == Value::Null => return,
            None => self.take_into_use(column),
        };
        self.in_use[place].value = value;
    }

    /// The current row's value of a column.
    pub fn get(&self, column: usize) -> &Value {
        self.places[column].map_or(&Value::Null, |place| &self.in_use[place].value)
    }

    fn take_into_use(&mut self, column: usize) -> usize {
        let mut builder = Builder::new(self.table.schema().field(column).data_type());
        for _ in 0..self.len {
            builder.append(&Value::Null);
        }
        let place = self.in_use.len();
        self.in_use.push(InUse { column, builder, value: Value::Null });
        self.places[column] = Some(place);
        place
    }

    /// The current row joins the batch; the next one starts out all null.
    pub fn push(&mut self) {
        for column in &mut self.in_use {
            column.builder.append(&column.value);
            column.value = Value::Null;
        }
        self.len += 1;
    }

    /// Forgets the current row.
    pub fn discard(&mut self) {
        for column in &mut self.in_use {
            column.value = Value::Null;
        }
    }

    /// The rows pushed so far, as a batch with the table's whole schema.
    pub fn take(&mut self) -> Result<RecordBatch> {
        let schema = self.table.schema().clone();
        let mut arrays: Vec<Option<ArrayRef>> = vec![None; schema.fields().len()];
        for column in &mut self.in_use {
            arrays[column.column] = Some(column.builder.finish());
        }
        let len = std::mem::take(&mut self.len);
        let arrays = arrays
            .into_iter()
            .zip(schema.fields())
            .map(|(array, field)| array.unwrap_or_else(|| new_null_array(field.data_type(), len)))
            .collect();
        RecordBatch::try_new(schema, arrays).map_err(|e| {
            Error::internal(format!("rows of '{}' make no batch", self.table.logical_name))
                .caused_by(e)
        })
    }
}

enum Builder {
    Boolean(BooleanBuilder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float64(Float64Builder),
    Decimal(Decimal128Builder),
    Guid(FixedSizeBinaryBuilder),
    Text(StringViewBuilder),
    Time(TimestampMicrosecondBuilder),
    Date(Date32Builder),
}

impl Builder {
    fn new(data_type: &DataType) -> Self {
        match data_type {
            DataType::Boolean => Self::Boolean(BooleanBuilder::new()),
            DataType::Int32 => Self::Int32(Int32Builder::new()),
            DataType::Int64 => Self::Int64(Int64Builder::new()),
            DataType::Float64 => Self::Float64(Float64Builder::new()),
            DataType::Decimal128(..) => {
                Self::Decimal(Decimal128Builder::new().with_data_type(data_type.clone()))
            }
            DataType::FixedSizeBinary(16) => Self::Guid(FixedSizeBinaryBuilder::new(16)),
            DataType::Utf8View => Self::Text(StringViewBuilder::new()),
            DataType::Timestamp(TimeUnit::Microsecond, None) => {
                Self::Time(TimestampMicrosecondBuilder::new())
            }
            DataType::Date32 => Self::Date(Date32Builder::new()),
            other => unreachable!("the catalog makes no column of type {other}"),
        }
    }

    fn append(&mut self, value: &Value) {
        match (self, value) {
            (Self::Boolean(b), Value::Boolean(v)) => b.append_value(*v),
            (Self::Boolean(b), _) => b.append_null(),
            (Self::Int32(b), Value::Int32(v)) => b.append_value(*v),
            (Self::Int32(b), _) => b.append_null(),
            (Self::Int64(b), Value::Int64(v)) => b.append_value(*v),
            (Self::Int64(b), _) => b.append_null(),
            (Self::Float64(b), Value::Float64(v)) => b.append_value(*v),
            (Self::Float64(b), _) => b.append_null(),
            (Self::Decimal(b), Value::Decimal(v)) => b.append_value(*v),
            (Self::Decimal(b), _) => b.append_null(),
            (Self::Guid(b), Value::Guid(v)) => {
                b.append_value(v).expect("a GUID and its column both have 16 bytes");
            }
            (Self::Guid(b), _) => b.append_null(),
            (Self::Text(b), Value::Text(v)) => b.append_value(v),
            (Self::Text(b), _) => b.append_null(),
            (Self::Time(b), Value::Time(v)) => b.append_value(*v),
            (Self::Time(b), _) => b.append_null(),
            (Self::Date(b), Value::Date(v)) => b.append_value(*v),
            (Self::Date(b), _) => b.append_null(),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Boolean(b) => Arc::new(b.finish()),
            Self::Int32(b) => Arc::new(b.finish()),
            Self::Int64(b) => Arc::new(b.finish()),
            Self::Float64(b) => Arc::new(b.finish()),
            Self::Decimal(b) => Arc::new(b.finish()),
            Self::Guid(b) => Arc::new(b.finish()),
            Self::Text(b) => Arc::new(b.finish()),
            Self::Time(b) => Arc::new(b.finish()),
            Self::Date(b) => Arc::new(b.finish()),
        }
    }
}
