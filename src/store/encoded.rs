//! Columns of sealed chunks in memory: numbers as narrow offsets from the least
//! one, texts and GUIDs that repeat by their place in a dictionary.
//!
//! A column is decoded to the table's own type when a query reads it, which for
//! a chunk takes some ten microseconds; only the encoded form is kept.

use std::hash::Hash;
use std::sync::Arc;

use datafusion::arrow::array::types::{
    ArrowPrimitiveType, Date32Type, Int32Type, Int64Type, TimestampMicrosecondType, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryArray, PrimitiveArray, StringArray, StringViewArray,
    UInt8Array, UInt32Array,
};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::{ArrowNativeType, DataType, TimeUnit};
use datafusion::common::HashMap;

use super::column;
use crate::error::{Error, Result};
use crate::value::Value;

/// Times are often whole seconds or milliseconds.
const SCALES: [u64; 2] = [1_000_000, 1_000];

/// A column in memory.
#[derive(Debug)]
pub struct Encoded {
    data_type: DataType,
    form: Form,
}

#[derive(Debug)]
enum Form {
    /// `base + offset * scale`; offsets are unsigned numbers of any width.
    Offsets { base: i64, scale: u64, offsets: ArrayRef },
    /// `values[key]`; keys are unsigned numbers of any width.
    Dictionary { keys: ArrayRef, values: ArrayRef },
    /// Texts one after the other.
    Texts(StringArray),
    /// As the table has it.
    Plain(ArrayRef),
}

impl Encoded {
    /// A column of the table's own type.
    pub fn of(array: &ArrayRef) -> Self {
        let data_type = array.data_type().clone();
        let form = match &data_type {
            DataType::Int32 => offsets::<Int32Type>(array, i64::from, &[]),
            DataType::Int64 => offsets::<Int64Type>(array, |v| v, &[]),
            DataType::Date32 => offsets::<Date32Type>(array, i64::from, &[]),
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                offsets::<TimestampMicrosecondType>(array, |v| v, &SCALES)
            }
            DataType::Utf8View => texts(array.as_string_view()),
            DataType::FixedSizeBinary(16) => guids(array.as_fixed_size_binary()),
            _ => Form::Plain(array.clone()),
        };
        Self { data_type, form }
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        match &self.form {
            Form::Offsets { offsets, .. } => offsets.get_array_memory_size(),
            Form::Dictionary { keys, values } => {
                keys.get_array_memory_size() + values.get_array_memory_size()
            }
            Form::Texts(texts) => texts.get_array_memory_size(),
            Form::Plain(array) => array.get_array_memory_size(),
        }
    }

    /// The column in the table's own type.
    pub fn decode(&self) -> Result<ArrayRef> {
        Ok(match &self.form {
            Form::Offsets { base, scale, offsets } => self.numbers(offsets, *base, *scale),
            Form::Dictionary { keys, values } => taken(values, keys)?,
            Form::Texts(texts) => Arc::new(StringViewArray::from(texts)),
            Form::Plain(array) => array.clone(),
        })
    }

    /// Some rows of the column in the table's own type.
    pub fn take(&self, rows: &UInt32Array) -> Result<ArrayRef> {
        Ok(match &self.form {
            Form::Offsets { base, scale, offsets } => {
                self.numbers(&taken(offsets, rows)?, *base, *scale)
            }
            Form::Dictionary { keys, values } => taken(values, &taken(keys, rows)?)?,
            Form::Texts(texts) => {
                let texts = taken(texts, rows)?;
                Arc::new(StringViewArray::from(texts.as_string::<i32>()))
            }
            Form::Plain(array) => taken(array, rows)?,
        })
    }

    /// The distinct values, and each row's place among them; not of every column.
    pub fn dictionary(&self) -> Option<(&ArrayRef, &ArrayRef)> {
        match &self.form {
            Form::Dictionary { keys, values } => Some((values, keys)),
            _ => None,
        }
    }

    /// Narrow numbers that are the same where the values are, and null where those
    /// are; not of every column.
    pub fn codes(&self) -> Option<ArrayRef> {
        match &self.form {
            Form::Dictionary { keys, .. } => Some(keys.clone()),
            Form::Offsets { offsets, .. } => {
                let narrow = matches!(offsets.data_type(), DataType::UInt8 | DataType::UInt16);
                narrow.then(|| offsets.clone())
            }
            Form::Plain(array) => {
                let booleans = array.as_boolean_opt()?;
                let codes: UInt8Array = booleans.iter().map(|b| b.map(u8::from)).collect();
                Some(Arc::new(codes))
            }
            Form::Texts(_) => None,
        }
    }

    /// Numbers in the order of the values, of a column of whole numbers or times.
    pub fn ranks(&self) -> Option<&ArrayRef> {
        match &self.form {
            Form::Offsets { offsets, .. } => Some(offsets),
            _ => None,
        }
    }

    /// Where there are values.
    pub fn nulls(&self) -> Option<&NullBuffer> {
        match &self.form {
            Form::Offsets { offsets: array, .. }
            | Form::Dictionary { keys: array, .. }
            | Form::Plain(array) => array.nulls(),
            Form::Texts(texts) => texts.nulls(),
        }
    }

    /// The value of a cell.
    pub fn value(&self, row: usize) -> Value {
        match &self.form {
            Form::Offsets { base, scale, offsets } => match unsigned(offsets, row) {
                Some(offset) => {
                    let value = base.wrapping_add(offset.wrapping_mul(*scale) as i64);
                    match self.data_type {
                        DataType::Int32 => Value::Int32(value as i32),
                        DataType::Date32 => Value::Date(value as i32),
                        DataType::Int64 => Value::Int64(value),
                        _ => Value::Time(value),
                    }
                }
                None => Value::Null,
            },
            Form::Dictionary { keys, values } => match unsigned(keys, row) {
                Some(key) => column::read(&Some(values.clone()), &self.data_type, key as usize),
                None => Value::Null,
            },
            Form::Texts(texts) if texts.is_null(row) => Value::Null,
            Form::Texts(texts) => Value::Text(texts.value(row).to_owned()),
            Form::Plain(array) => column::read(&Some(array.clone()), &self.data_type, row),
        }
    }

    fn numbers(&self, offsets: &ArrayRef, base: i64, scale: u64) -> ArrayRef {
        match &self.data_type {
            DataType::Int32 => {
                widened::<Int32Type>(offsets, |o| base.wrapping_add(o as i64) as i32)
            }
            DataType::Date32 => {
                widened::<Date32Type>(offsets, |o| base.wrapping_add(o as i64) as i32)
            }
            DataType::Int64 => widened::<Int64Type>(offsets, |o| base.wrapping_add(o as i64)),
            _ => widened::<TimestampMicrosecondType>(offsets, |o| {
                base.wrapping_add(o.wrapping_mul(scale) as i64)
            }),
        }
    }
}

fn taken(values: &dyn Array, indices: &dyn Array) -> Result<ArrayRef> {
    take(values, indices, None)
        .map_err(|e| Error::internal("a column cannot be decoded").caused_by(e))
}

/// The unsigned number in a row.
fn unsigned(array: &ArrayRef, row: usize) -> Option<u64> {
    if array.is_null(row) {
        return None;
    }
    Some(match array.data_type() {
        DataType::UInt8 => u64::from(array.as_primitive::<UInt8Type>().value(row)),
        DataType::UInt16 => u64::from(array.as_primitive::<UInt16Type>().value(row)),
        DataType::UInt32 => u64::from(array.as_primitive::<UInt32Type>().value(row)),
        _ => array.as_primitive::<UInt64Type>().value(row),
    })
}

fn widened<T: ArrowPrimitiveType>(
    offsets: &ArrayRef,
    value: impl Fn(u64) -> T::Native,
) -> ArrayRef {
    let array: PrimitiveArray<T> = match offsets.data_type() {
        DataType::UInt8 => offsets.as_primitive::<UInt8Type>().unary(|o| value(u64::from(o))),
        DataType::UInt16 => offsets.as_primitive::<UInt16Type>().unary(|o| value(u64::from(o))),
        DataType::UInt32 => offsets.as_primitive::<UInt32Type>().unary(|o| value(u64::from(o))),
        _ => offsets.as_primitive::<UInt64Type>().unary(value),
    };
    Arc::new(array)
}

/// The numbers in the narrowest type that holds the greatest.
fn narrowed(numbers: &[u64], nulls: Option<NullBuffer>) -> ArrayRef {
    fn of<T: ArrowPrimitiveType>(
        numbers: &[u64],
        nulls: Option<NullBuffer>,
        narrow: impl Fn(u64) -> T::Native,
    ) -> ArrayRef {
        let numbers: Vec<T::Native> = numbers.iter().map(|n| narrow(*n)).collect();
        Arc::new(PrimitiveArray::<T>::new(numbers.into(), nulls))
    }
    match numbers.iter().copied().max().unwrap_or(0) {
        0..=0xff => of::<UInt8Type>(numbers, nulls, |n| n as u8),
        0x100..=0xffff => of::<UInt16Type>(numbers, nulls, |n| n as u16),
        0x1_0000..=0xffff_ffff => of::<UInt32Type>(numbers, nulls, |n| n as u32),
        _ => of::<UInt64Type>(numbers, nulls, |n| n),
    }
}

/// Validity, where it is needed.
fn validity(array: &dyn Array) -> Option<NullBuffer> {
    array.nulls().filter(|nulls| nulls.null_count() > 0).cloned()
}

fn offsets<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    wide: impl Fn(T::Native) -> i64,
    scales: &[u64],
) -> Form
where
    T::Native: ArrowNativeType,
{
    let array = array.as_primitive::<T>();
    let base = array.iter().flatten().map(&wide).min().unwrap_or(0);
    // Below null there may be anything; it takes no place.
    let offset =
        |value: Option<T::Native>| value.map_or(0, |value| wide(value).wrapping_sub(base) as u64);
    let mut numbers: Vec<u64> = array.iter().map(offset).collect();
    let whole = |scale: &&u64| numbers.iter().all(|n| n % **scale == 0);
    let scale = scales.iter().find(whole).copied().unwrap_or(1);
    if scale > 1 {
        numbers.iter_mut().for_each(|n| *n /= scale);
    }
    Form::Offsets { base, scale, offsets: narrowed(&numbers, validity(array)) }
}

/// Distinct values and each row's place among them, if they are worth a dictionary.
fn dictionary<T: Hash + Eq + Copy>(
    rows: impl ExactSizeIterator<Item = Option<T>>,
) -> Option<(Vec<u64>, Vec<T>)> {
    // Most columns that have many values show it early.
    let most = (rows.len() / 2).min(usize::from(u16::MAX));
    let mut places: HashMap<T, u64> = HashMap::new();
    let mut values = Vec::new();
    let mut keys = Vec::with_capacity(rows.len());
    for (row, value) in rows.enumerate() {
        let Some(value) = value else {
            keys.push(0);
            continue;
        };
        let key = *places.entry(value).or_insert_with(|| {
            values.push(value);
            values.len() as u64 - 1
        });
        keys.push(key);
        if values.len() > most || (row == 4096 && values.len() > 3072) {
            return None;
        }
    }
    Some((keys, values))
}

fn texts(array: &StringViewArray) -> Form {
    match dictionary(array.iter()) {
        Some((keys, values)) => Form::Dictionary {
            keys: narrowed(&keys, validity(array)),
            values: Arc::new(StringViewArray::from_iter_values(values).gc()),
        },
        None => Form::Texts(array.iter().collect()),
    }
}

fn guids(array: &FixedSizeBinaryArray) -> Form {
    match dictionary(array.iter()) {
        Some((keys, values)) => {
            let bytes: Vec<u8> = values.concat();
            Form::Dictionary {
                keys: narrowed(&keys, validity(array)),
                values: Arc::new(FixedSizeBinaryArray::new(16, bytes.into(), None)),
            }
        }
        None => Form::Plain(Arc::new(array.clone())),
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{
        BooleanArray, Date32Array, Float64Array, Int32Array, Int64Array, TimestampMicrosecondArray,
    };

    use super::*;

    fn check(array: ArrayRef) -> Encoded {
        let encoded = Encoded::of(&array);
        assert_eq!(&encoded.decode().expect("decodes"), &array);
        let rows: UInt32Array = (0..array.len() as u32).rev().step_by(2).collect::<Vec<_>>().into();
        let expected = take(&array, &rows, None).expect("takes");
        assert_eq!(&encoded.take(&rows).expect("takes"), &expected);
        let data_type = array.data_type().clone();
        let column = Some(array);
        for row in 0..column.as_ref().map_or(0, |a| a.len()) {
            assert_eq!(encoded.value(row), column::read(&column, &data_type, row));
        }
        encoded
    }

    #[test]
    fn every_type_comes_back() {
        let extremes = vec![Some(i64::MIN), None, Some(i64::MAX), Some(0)];
        check(Arc::new(Int64Array::from(extremes.clone())));
        check(Arc::new(TimestampMicrosecondArray::from(extremes)));
        check(Arc::new(Int32Array::from(vec![Some(i32::MIN), None, Some(i32::MAX)])));
        check(Arc::new(Date32Array::from(vec![Some(-5), None, Some(70)])));
        check(Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])));
        check(Arc::new(Float64Array::from(vec![Some(f64::INFINITY), None, Some(-0.0)]))).bytes();
        let repeated =
            || (0..100).map(|i| (i % 3 > 0).then_some(["", "a text of some length"][i % 2]));
        check(Arc::new(repeated().collect::<StringViewArray>()));
        let own: Vec<String> =
            (0..100).map(|i| format!("a text that stands here once {i}")).collect();
        check(Arc::new(StringViewArray::from_iter_values(&own)));
        let ids = (0..100u8).map(|i| (i % 3 > 0).then_some([i % 4; 16]));
        let ids = FixedSizeBinaryArray::try_from_sparse_iter_with_size(ids, 16).expect("16 bytes");
        check(Arc::new(ids));
    }

    #[test]
    fn narrow_values_take_little_room() {
        let rows = 60_000;
        let small = check(Arc::new(Int32Array::from_iter_values((0..rows).map(|i| i % 32))));
        assert!(small.bytes() < rows as usize + 1000, "{}", small.bytes());
        let seconds = (0..i64::from(rows)).map(|i| 1_300_000_000_000_000 + i * 1_000_000);
        let seconds = check(Arc::new(TimestampMicrosecondArray::from_iter_values(seconds)));
        assert!(seconds.bytes() < 2 * rows as usize + 1000, "{}", seconds.bytes());
    }
}
