//! Cells of Arrow columns, read and changed in place.
//!
//! A column of a chunk is an Arrow array, or nothing while every cell is null.
//! Changing a column reuses its buffers when no snapshot holds them and copies
//! them otherwise, so readers keep what they have.

use std::sync::Arc;

use datafusion::arrow::array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float64Type, Int32Type, Int64Type,
    TimestampMicrosecondType,
};
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, BooleanBufferBuilder, FixedSizeBinaryArray,
    PrimitiveArray, StringViewArray, make_view, new_null_array,
};
use datafusion::arrow::buffer::{Buffer, NullBuffer, ScalarBuffer};
use datafusion::arrow::compute;
use datafusion::arrow::datatypes::{DataType, TimeUnit};

use crate::error::{Error, Result};
use crate::value::{Guid, Value};

/// A column whose cells are all null has no array.
pub type Column = Option<ArrayRef>;

/// Text columns collect one data buffer a change; beyond this many they are
/// rewritten into one, which also drops the bytes of overwritten texts.
const TEXT_BUFFERS_MAX: usize = 64;

/// The value of a cell.
pub fn read(column: &Column, data_type: &DataType, row: usize) -> Value {
    let Some(array) = column else { return Value::Null };
    if array.is_null(row) {
        return Value::Null;
    }
    match data_type {
        DataType::Int32 => Value::Int32(array.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => Value::Int64(array.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => Value::Float64(array.as_primitive::<Float64Type>().value(row)),
        DataType::Boolean => Value::Boolean(array.as_boolean().value(row)),
        DataType::Decimal128(..) => {
            Value::Decimal(array.as_primitive::<Decimal128Type>().value(row))
        }
        DataType::Date32 => Value::Date(array.as_primitive::<Date32Type>().value(row)),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            Value::Time(array.as_primitive::<TimestampMicrosecondType>().value(row))
        }
        DataType::FixedSizeBinary(16) => {
            let bytes = array.as_fixed_size_binary().value(row);
            Value::Guid(bytes.try_into().expect("the type has 16 bytes"))
        }
        DataType::Utf8View => Value::Text(array.as_string_view().value(row).to_owned()),
        other => unreachable!("the catalog makes no column of type {other}"),
    }
}

/// The column with `rows` cells, the given ones set, new ones null.
///
/// Invariant: `rows` is at least the column's length, every cell's row is
/// below it, and values are null or of the column's type.
pub fn write(
    column: Column,
    data_type: &DataType,
    rows: usize,
    cells: &[(usize, &Value)],
) -> Column {
    if column.is_none() && cells.iter().all(|(_, v)| matches!(v, Value::Null)) {
        return None;
    }
    let array = column.unwrap_or_else(|| new_null_array(data_type, 0));
    Some(match data_type {
        DataType::Int32 => primitive::<Int32Type>(array, rows, cells, |v| match v {
            Value::Int32(v) => Some(*v),
            _ => None,
        }),
        DataType::Int64 => primitive::<Int64Type>(array, rows, cells, |v| match v {
            Value::Int64(v) => Some(*v),
            _ => None,
        }),
        DataType::Float64 => primitive::<Float64Type>(array, rows, cells, |v| match v {
            Value::Float64(v) => Some(*v),
            _ => None,
        }),
        DataType::Decimal128(..) => primitive::<Decimal128Type>(array, rows, cells, |v| match v {
            Value::Decimal(v) => Some(*v),
            _ => None,
        }),
        DataType::Date32 => primitive::<Date32Type>(array, rows, cells, |v| match v {
            Value::Date(v) => Some(*v),
            _ => None,
        }),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            primitive::<TimestampMicrosecondType>(array, rows, cells, |v| match v {
                Value::Time(v) => Some(*v),
                _ => None,
            })
        }
        DataType::Boolean => boolean(array, rows, cells),
        DataType::FixedSizeBinary(16) => guid(array, rows, cells),
        DataType::Utf8View => text(array, rows, cells),
        other => unreachable!("the catalog makes no column of type {other}"),
    })
}

/// One column of several, whose lengths are given for those without a cell.
pub fn concat(
    parts: Vec<Column>,
    lengths: impl Iterator<Item = usize>,
    data_type: &DataType,
) -> Result<Column> {
    if parts.iter().all(Option::is_none) {
        return Ok(None);
    }
    let parts = parts.into_iter().zip(lengths);
    let parts: Vec<ArrayRef> = parts
        .map(|(part, length)| part.unwrap_or_else(|| new_null_array(data_type, length)))
        .collect();
    let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
    let whole = compute::concat(&parts)
        .map_err(|e| Error::internal("columns of chunks cannot be put together").caused_by(e))?;
    Ok(Some(whole))
}

/// The primary keys of a column of GUIDs.
pub fn guids(array: &ArrayRef) -> impl Iterator<Item = Option<Guid>> + '_ {
    let array = array.as_fixed_size_binary();
    array.iter().map(|id| id.map(|bytes| bytes.try_into().expect("the type has 16 bytes")))
}

/// The primary key in a row.
pub fn guid_at(array: &ArrayRef, row: usize) -> Option<Guid> {
    let array = array.as_fixed_size_binary();
    array.is_valid(row).then(|| array.value(row).try_into().expect("the type has 16 bytes"))
}

/// All primary keys of a column, and whatever bytes are beneath a null.
pub fn key_bytes(array: &ArrayRef) -> &[Guid] {
    array.as_fixed_size_binary().value_data().as_chunks().0
}

/// Validity after the cells are set. Bits are few; they are always copied.
fn validity(
    old: Option<&NullBuffer>,
    old_len: usize,
    rows: usize,
    cells: &[(usize, &Value)],
) -> Option<NullBuffer> {
    let all_set = cells.iter().all(|(_, v)| !matches!(v, Value::Null));
    if old.is_none() && all_set && cells.len() >= rows - old_len {
        let mut filled = vec![false; rows - old_len];
        cells
            .iter()
            .filter(|(row, _)| *row >= old_len)
            .for_each(|(row, _)| filled[row - old_len] = true);
        if filled.into_iter().all(|f| f) {
            return None;
        }
    }
    let mut bits = BooleanBufferBuilder::new(rows);
    match old {
        Some(nulls) => bits.append_buffer(nulls.inner()),
        None => bits.append_n(old_len, true),
    }
    bits.append_n(rows - old_len, false);
    for (row, value) in cells {
        bits.set_bit(*row, !matches!(value, Value::Null));
    }
    Some(NullBuffer::new(bits.finish())).filter(|n| n.null_count() > 0)
}

/// The buffer as a vector: its own memory when nobody else holds it.
fn into_vec<T: datafusion::arrow::datatypes::ArrowNativeType>(buffer: Buffer) -> Vec<T> {
    buffer.into_vec().unwrap_or_else(|shared: Buffer| shared.typed_data::<T>().to_vec())
}

fn primitive<T: ArrowPrimitiveType>(
    array: ArrayRef,
    rows: usize,
    cells: &[(usize, &Value)],
    native: impl Fn(&Value) -> Option<T::Native>,
) -> ArrayRef {
    let typed = array.as_primitive::<T>().clone();
    drop(array);
    let old_len = typed.len();
    let (data_type, values, nulls) = typed.into_parts();
    let nulls = validity(nulls.as_ref(), old_len, rows, cells);
    let mut values: Vec<T::Native> = into_vec(values.into_inner());
    values.resize(rows, T::Native::default());
    for (row, value) in cells {
        values[*row] = native(value).unwrap_or_default();
    }
    Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::from(values), nulls).with_data_type(data_type))
}

fn boolean(array: ArrayRef, rows: usize, cells: &[(usize, &Value)]) -> ArrayRef {
    let typed = array.as_boolean();
    let nulls = validity(typed.nulls(), typed.len(), rows, cells);
    let mut bits = BooleanBufferBuilder::new(rows);
    bits.append_buffer(typed.values());
    bits.append_n(rows - typed.len(), false);
    for (row, value) in cells {
        bits.set_bit(*row, matches!(value, Value::Boolean(true)));
    }
    Arc::new(BooleanArray::new(bits.finish(), nulls))
}

fn guid(array: ArrayRef, rows: usize, cells: &[(usize, &Value)]) -> ArrayRef {
    let typed = array.as_fixed_size_binary().clone();
    drop(array);
    let nulls = validity(typed.nulls(), typed.len(), rows, cells);
    let (_, values, _) = typed.into_parts();
    let mut values: Vec<u8> = into_vec(values);
    values.resize(rows * 16, 0);
    for (row, value) in cells {
        let bytes = match value {
            Value::Guid(bytes) => *bytes,
            _ => [0; 16],
        };
        values[row * 16..(row + 1) * 16].copy_from_slice(&bytes);
    }
    Arc::new(FixedSizeBinaryArray::new(16, Buffer::from_vec(values), nulls))
}

fn text(array: ArrayRef, rows: usize, cells: &[(usize, &Value)]) -> ArrayRef {
    let typed = array.as_string_view().clone();
    drop(array);
    let old_len = typed.len();
    let (views, buffers, nulls) = typed.into_parts();
    let nulls = validity(nulls.as_ref(), old_len, rows, cells);
    let mut buffers = buffers.to_vec();
    let number = buffers.len() as u32;
    let mut views: Vec<u128> = into_vec(views.into_inner());
    views.resize(rows, 0);
    let mut data: Vec<u8> = Vec::new();
    for (row, value) in cells {
        views[*row] = match value {
            Value::Text(text) if text.len() <= 12 => make_view(text.as_bytes(), 0, 0),
            Value::Text(text) => {
                let offset = data.len() as u32;
                data.extend_from_slice(text.as_bytes());
                make_view(text.as_bytes(), number, offset)
            }
            _ => 0,
        };
    }
    if !data.is_empty() {
        buffers.push(Buffer::from_vec(data));
    }
    let crowded = buffers.len() > TEXT_BUFFERS_MAX;
    let array = StringViewArray::new(ScalarBuffer::from(views), buffers, nulls);
    Arc::new(if crowded { array.gc() } else { array })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(column: Column, data_type: &DataType, rows: usize, cells: &[(usize, Value)]) -> Column {
        let cells: Vec<(usize, &Value)> = cells.iter().map(|(r, v)| (*r, v)).collect();
        write(column, data_type, rows, &cells)
    }

    #[test]
    fn a_snapshot_keeps_its_values() {
        let int = DataType::Int32;
        let before = set(None, &int, 3, &[(0, Value::Int32(7)), (2, Value::Int32(9))]);
        let after = set(before.clone(), &int, 4, &[(0, Value::Int32(8)), (2, Value::Null)]);
        let values = |c: &Column, n: usize| (0..n).map(|r| read(c, &int, r)).collect::<Vec<_>>();
        assert_eq!(values(&before, 3), [Value::Int32(7), Value::Null, Value::Int32(9)]);
        assert_eq!(values(&after, 4), [Value::Int32(8), Value::Null, Value::Null, Value::Null]);
    }

    #[test]
    fn an_unshared_column_is_changed_in_place() {
        let int = DataType::Int32;
        let column = set(None, &int, 2, &[(0, Value::Int32(1)), (1, Value::Int32(2))]);
        let address = |c: &Column| {
            c.as_ref().expect("has cells").as_primitive::<Int32Type>().values().as_ptr()
        };
        let before = address(&column);
        let column = set(column, &int, 2, &[(1, Value::Int32(3))]);
        assert_eq!(address(&column), before);
    }

    #[test]
    fn texts_short_and_long_survive_many_changes() {
        let utf8 = DataType::Utf8View;
        let mut column = None;
        for round in 0..200 {
            let long = format!("a text of more than twelve bytes, round {round}");
            column =
                set(column, &utf8, 3, &[(1, Value::Text(long)), (2, Value::Text("short".into()))]);
        }
        assert_eq!(read(&column, &utf8, 0), Value::Null);
        assert_eq!(
            read(&column, &utf8, 1),
            Value::Text("a text of more than twelve bytes, round 199".into())
        );
        let buffers = column.expect("has cells").as_string_view().data_buffers().len();
        assert!(buffers <= TEXT_BUFFERS_MAX + 1, "{buffers}");
    }

    #[test]
    fn every_type_reads_back_what_was_written() {
        let cases = [
            (DataType::Int64, Value::Int64(-5)),
            (DataType::Float64, Value::Float64(1.5)),
            (DataType::Boolean, Value::Boolean(true)),
            (DataType::Decimal128(38, 4), Value::Decimal(12_345)),
            (DataType::Date32, Value::Date(20_000)),
            (DataType::Timestamp(TimeUnit::Microsecond, None), Value::Time(1_300_000_000_123_456)),
            (DataType::FixedSizeBinary(16), Value::Guid([7; 16])),
            (DataType::Utf8View, Value::Text("blåbær".into())),
        ];
        for (data_type, value) in cases {
            let column = set(None, &data_type, 2, &[(1, value.clone())]);
            assert_eq!(column.as_ref().expect("has cells").data_type(), &data_type);
            assert_eq!(read(&column, &data_type, 0), Value::Null);
            assert_eq!(read(&column, &data_type, 1), value);
        }
    }
}
