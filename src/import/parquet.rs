//! Parquet: any file whose columns can stand for the table's, row by row under
//! the same rules as text. GUIDs may be 16 bytes or text, choices numbers or
//! labels, times any timestamp.

use chrono::{DateTime, SecondsFormat};
use datafusion::arrow::array::types::{
    Date32Type, Float64Type, Int64Type, TimestampMicrosecondType,
};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::arrow::util::display::FormatOptions;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::error::{Error, Result, codes};
use crate::value::guid_text;

use super::cell::{Cell, MICROS_PER_DAY};
use super::headings::{self, Target};
use super::loader::{Refusal, Row};
use super::rejected::Original;
use super::source::Meter;
use super::{Import, Report, source};

pub fn import(import: Import<'_>) -> Result<Report> {
    let path = import.path;
    let damaged = |cause: &dyn std::fmt::Display| {
        Error::data(format!("'{}' cannot be read as Parquet: {cause}", path.display()))
    };
    let file = source::open_file(path)?;
    let bytes = file.metadata().map(|m| m.len()).unwrap_or(0);
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| damaged(&e))?;
    let rows_in_file = builder.metadata().file_metadata().num_rows().max(1) as u64;

    let table = import.table(None)?;
    let facts = import.facts(table);
    let mut columns = Vec::new();
    for (index, field) in builder.schema().fields().iter().enumerate() {
        let target = headings::resolve(facts, field.name())
            .ok_or_else(|| headings::unknown(facts, field.name()).at(import.place()))?;
        if let Target::Column(column) = target {
            columns.push((index, column));
        }
    }
    if !columns.iter().any(|(_, column)| *column == facts.primary_id_index()) {
        let message = format!("the primary key column '{}' is missing", facts.primary_id);
        return Err(Error::invalid(codes::INVALID_ARGUMENT, message).at(import.place()));
    }

    let reader = builder.build().map_err(|e| damaged(&e))?;
    let meter = Meter::default();
    let mut loader = import.loader(table, meter.clone(), bytes);
    let mut number = 0;
    for batch in reader {
        let (batch, cells) = match batch.map_err(|e| damaged(&e)).and_then(|batch| {
            let cells = readable(&batch).map_err(|e| damaged(&e))?;
            Ok((batch, cells))
        }) {
            Ok(both) => both,
            Err(e) => return Err(loader.interrupted(e)),
        };
        for row in 0..batch.num_rows() {
            number += 1;
            let original = || json(&batch, &cells, row);
            loader.row(number, Original::Binary(&original), |into| {
                fill(into, &columns, &cells, row)
            })?;
            meter.advance_to(number * bytes / rows_in_file);
        }
    }
    loader.finish()
}

fn fill(
    into: &mut Row<'_>,
    columns: &[(usize, usize)],
    cells: &[Option<ArrayRef>],
    row: usize,
) -> Result<(), Refusal> {
    for (index, column) in columns {
        into.set(*column, &cell(cells[*index].as_ref(), row))?;
    }
    Ok(())
}

/// The batch's columns in the few types that [`cell`] knows; `None` for a
/// column of lists, structures or plain bytes.
fn readable(
    batch: &RecordBatch,
) -> Result<Vec<Option<ArrayRef>>, datafusion::arrow::error::ArrowError> {
    // Not `safe`: a number too large must be told, not become null.
    let options = CastOptions { safe: false, format_options: FormatOptions::default() };
    batch
        .columns()
        .iter()
        .map(|array| {
            let Some(to) = readable_type(array.data_type()) else { return Ok(None) };
            cast_with_options(array, &to, &options).map(Some)
        })
        .collect()
}

fn readable_type(from: &DataType) -> Option<DataType> {
    Some(match from {
        DataType::Dictionary(_, value) => return readable_type(value),
        DataType::Null
        | DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => DataType::Utf8View,
        DataType::Boolean => DataType::Boolean,
        other if other.is_integer() => DataType::Int64,
        other if other.is_floating() => DataType::Float64,
        DataType::Timestamp(..) | DataType::Date64 => {
            DataType::Timestamp(TimeUnit::Microsecond, None)
        }
        DataType::Date32 => DataType::Date32,
        DataType::FixedSizeBinary(16) => DataType::FixedSizeBinary(16),
        _ => return None,
    })
}

fn cell(array: Option<&ArrayRef>, row: usize) -> Cell<'_> {
    let Some(array) = array else { return Cell::Nested };
    if array.is_null(row) {
        return Cell::Null;
    }
    match array.data_type() {
        DataType::Utf8View => Cell::Text(array.as_string_view().value(row).into()),
        DataType::Boolean => Cell::Boolean(array.as_boolean().value(row)),
        DataType::Int64 => Cell::Int(array.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => Cell::Float(array.as_primitive::<Float64Type>().value(row)),
        DataType::Timestamp(..) => {
            Cell::Time(array.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        DataType::Date32 => {
            let days = array.as_primitive::<Date32Type>().value(row);
            Cell::Time(i64::from(days).saturating_mul(MICROS_PER_DAY))
        }
        DataType::FixedSizeBinary(_) => Cell::Guid(
            array.as_fixed_size_binary().value(row).try_into().expect("the type has 16 bytes"),
        ),
        _ => Cell::Nested,
    }
}

/// A row of the file as a JSON object.
fn json(batch: &RecordBatch, cells: &[Option<ArrayRef>], row: usize) -> Vec<u8> {
    let mut object = serde_json::Map::new();
    for (field, array) in batch.schema_ref().fields().iter().zip(cells) {
        let value = match cell(array.as_ref(), row) {
            Cell::Null | Cell::Nested => continue,
            Cell::Text(text) => text.into(),
            Cell::Boolean(v) => v.into(),
            Cell::Int(v) => v.into(),
            Cell::Float(v) => v.into(),
            Cell::Guid(v) => guid_text(&v).into(),
            Cell::Time(v) => DateTime::from_timestamp_micros(v)
                .map(|t| t.to_rfc3339_opts(SecondsFormat::AutoSi, true))
                .into(),
        };
        object.insert(field.name().clone(), value);
    }
    serde_json::Value::Object(object).to_string().into_bytes()
}
