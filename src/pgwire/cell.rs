//! The columns of a batch, written cell by cell in PostgreSQL's text or binary
//! form. This is the hot path of every result: a column is looked at once per
//! batch, and a cell goes straight into the row that is sent.

use std::io::Write;
use std::sync::Arc;

use arrow_pg::encoder::encode_value;
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array,
    FixedSizeBinaryArray, Float32Array, Float64Array, Int16Array, Int32Array, Int64Array,
    StringViewArray, Time64MicrosecondArray, TimestampMicrosecondArray,
};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Field, Float32Type, Float64Type, Int16Type, Int32Type,
    Int64Type, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType,
};
use datafusion::arrow::error::ArrowError;
use pgwire::api::results::{DataRowEncoder, FieldFormat, FieldInfo};
use pgwire::error::PgWireResult;

use super::encode::is_named;
use super::list_cell::Lists;
use super::text;
use crate::catalog::{entity_name, is_guid};

/// Microseconds and days from 1970-01-01 to PostgreSQL's own 2000-01-01.
pub const EPOCH_MICROS: i64 = 946_684_800_000_000;
pub const EPOCH_DAYS: i32 = 10_957;

/// A column of a batch, in the form its client wants.
pub struct Column {
    values: Values,
    nulls: Option<NullBuffer>,
    text: bool,
}

enum Values {
    Bool(BooleanArray),
    Int16(Int16Array),
    Int32(Int32Array),
    Int64(Int64Array),
    Float32(Float32Array),
    Float64(Float64Array),
    Decimal(Decimal128Array, i8),
    Text(StringViewArray),
    Guid(FixedSizeBinaryArray),
    Bytes(BinaryArray),
    Date(Date32Array),
    Time(Time64MicrosecondArray),
    /// With an offset when it is an instant.
    Timestamp(TimestampMicrosecondArray, bool),
    /// Object type codes, and the names met so far.
    Named(Int32Array, Vec<(i32, String)>),
    List(Box<Lists>),
    /// Intervals and the types of PostgreSQL's catalogs.
    Other(Box<Other>),
}

struct Other {
    array: ArrayRef,
    field: Field,
    info: FieldInfo,
    encoder: DataRowEncoder,
}

impl Column {
    /// Makes a column ready; `field` is how the client was told of it, `info`
    /// how it wants it.
    pub fn new(array: &ArrayRef, field: &Field, info: &FieldInfo) -> Result<Self, ArrowError> {
        let array = plain(array, field)?;
        let lists = Lists::new(&array, field, info)?;
        let values = match array.data_type() {
            _ if let Some(lists) = lists => Values::List(Box::new(lists)),
            // Catalog columns that are more than their Arrow type says.
            _ if field.metadata().keys().any(|key| key.starts_with("pg.")) => {
                Values::other(array.clone(), field, info)
            }
            DataType::Int32 if is_named(field) => {
                Values::Named(array.as_primitive::<Int32Type>().clone(), Vec::new())
            }
            DataType::Boolean => Values::Bool(array.as_boolean().clone()),
            DataType::Int16 => Values::Int16(array.as_primitive::<Int16Type>().clone()),
            DataType::Int32 => Values::Int32(array.as_primitive::<Int32Type>().clone()),
            DataType::Int64 => Values::Int64(array.as_primitive::<Int64Type>().clone()),
            DataType::Float32 => Values::Float32(array.as_primitive::<Float32Type>().clone()),
            DataType::Float64 => Values::Float64(array.as_primitive::<Float64Type>().clone()),
            DataType::Decimal128(_, scale) => {
                Values::Decimal(array.as_primitive::<Decimal128Type>().clone(), *scale)
            }
            DataType::Utf8View => Values::Text(array.as_string_view().clone()),
            DataType::FixedSizeBinary(16) => Values::Guid(array.as_fixed_size_binary().clone()),
            DataType::Binary => Values::Bytes(array.as_binary::<i32>().clone()),
            DataType::Date32 => Values::Date(array.as_primitive::<Date32Type>().clone()),
            DataType::Time64(TimeUnit::Microsecond) => {
                Values::Time(array.as_primitive::<Time64MicrosecondType>().clone())
            }
            DataType::Timestamp(TimeUnit::Microsecond, zone) => Values::Timestamp(
                array.as_primitive::<TimestampMicrosecondType>().clone(),
                zone.is_some(),
            ),
            _ => Values::other(array.clone(), field, info),
        };
        let text = info.format() == FieldFormat::Text;
        Ok(Self { values, nulls: array.logical_nulls(), text })
    }

    /// Writes a cell; `false` when it is null.
    pub fn write(&mut self, row: usize, out: &mut Vec<u8>) -> PgWireResult<bool> {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return Ok(false);
        }
        match &mut self.values {
            Values::Other(other) => return other.write(row, out),
            Values::List(lists) => return lists.write(row, out).map(|()| true),
            _ => {}
        }
        if self.text {
            self.values.text(row, out)
        } else {
            self.values.binary(row, out)
        }
        Ok(true)
    }
}

/// The array in one of few layouts: those of [`Values`] where there is one.
fn plain(array: &ArrayRef, field: &Field) -> Result<ArrayRef, ArrowError> {
    use DataType::*;
    // An optimizer may give another type than it planned.
    let array = match (array.data_type(), field.data_type()) {
        (have, want) if have == want => array.clone(),
        (Utf8 | LargeUtf8 | Utf8View | Dictionary(..), Utf8 | LargeUtf8 | Utf8View) => {
            array.clone()
        }
        // A number is written with the digits that it has.
        (Decimal128(..), Decimal128(..)) => array.clone(),
        (_, want) => cast(array, want)?,
    };
    let layout = match array.data_type() {
        Int8 | UInt8 => Int16,
        UInt16 => Int32,
        UInt32 => Int64,
        UInt64 => Decimal128(20, 0),
        Float16 => Float32,
        Utf8 | LargeUtf8 => Utf8View,
        LargeBinary | BinaryView => Binary,
        FixedSizeBinary(_) if !is_guid(field) => Binary,
        Date64 => Date32,
        Time32(_) | Time64(_) => Time64(TimeUnit::Microsecond),
        Timestamp(_, zone) => Timestamp(TimeUnit::Microsecond, zone.clone()),
        Dictionary(_, values) if matches!(**values, Utf8 | LargeUtf8 | Utf8View) => Utf8View,
        Dictionary(_, values) => values.as_ref().clone(),
        same => same.clone(),
    };
    if layout == *array.data_type() { Ok(array) } else { cast(&array, &layout) }
}

impl Values {
    fn other(array: ArrayRef, field: &Field, info: &FieldInfo) -> Self {
        let field = field.clone().with_data_type(array.data_type().clone());
        let encoder = DataRowEncoder::new(Arc::new(vec![info.clone()]));
        Self::Other(Box::new(Other { array, field, info: info.clone(), encoder }))
    }

    fn text(&mut self, row: usize, out: &mut Vec<u8>) {
        match self {
            Self::Bool(a) => out.push(if a.value(row) { b't' } else { b'f' }),
            Self::Int16(a) => text::integer(a.value(row).into(), out),
            Self::Int32(a) => text::integer(a.value(row).into(), out),
            Self::Int64(a) => text::integer(a.value(row), out),
            Self::Float32(a) => text::float4(a.value(row), out),
            Self::Float64(a) => text::float8(a.value(row), out),
            Self::Decimal(a, scale) => text::decimal(a.value(row), *scale, out),
            Self::Text(a) => out.extend_from_slice(a.value(row).as_bytes()),
            Self::Guid(a) => text::guid(a.value(row), out),
            Self::Bytes(a) => text::bytes(a.value(row), out),
            Self::Date(a) => text::date(a.value(row), out),
            Self::Time(a) => text::time(a.value(row), out),
            Self::Timestamp(a, false) => text::timestamp(a.value(row), "", out),
            Self::Timestamp(a, true) => text::timestamp(a.value(row), "+00", out),
            Self::Named(codes, names) => out.extend_from_slice(name(codes.value(row), names)),
            Self::List(_) | Self::Other(_) => {}
        }
    }

    fn binary(&mut self, row: usize, out: &mut Vec<u8>) {
        match self {
            Self::Bool(a) => out.push(u8::from(a.value(row))),
            Self::Int16(a) => out.extend(a.value(row).to_be_bytes()),
            Self::Int32(a) => out.extend(a.value(row).to_be_bytes()),
            Self::Int64(a) => out.extend(a.value(row).to_be_bytes()),
            Self::Float32(a) => out.extend(a.value(row).to_be_bytes()),
            Self::Float64(a) => out.extend(a.value(row).to_be_bytes()),
            Self::Decimal(a, scale) => numeric(a.value(row), *scale, out),
            Self::Text(a) => out.extend_from_slice(a.value(row).as_bytes()),
            Self::Guid(a) => out.extend_from_slice(a.value(row)),
            Self::Bytes(a) => out.extend_from_slice(a.value(row)),
            Self::Date(a) => out.extend(a.value(row).wrapping_sub(EPOCH_DAYS).to_be_bytes()),
            Self::Time(a) => out.extend(a.value(row).to_be_bytes()),
            Self::Timestamp(a, _) => {
                out.extend(a.value(row).wrapping_sub(EPOCH_MICROS).to_be_bytes());
            }
            Self::Named(codes, names) => out.extend_from_slice(name(codes.value(row), names)),
            Self::List(_) | Self::Other(_) => {}
        }
    }
}

impl Other {
    fn write(&mut self, row: usize, out: &mut Vec<u8>) -> PgWireResult<bool> {
        encode_value(&mut self.encoder, &self.array, row, &self.field, &self.info)?;
        let encoded = self.encoder.take_row().data;
        // The value stands behind its length, which is negative for null.
        let null = encoded.first().is_none_or(|first| first & 0x80 != 0);
        if !null {
            out.extend_from_slice(&encoded[4..]);
        }
        Ok(!null)
    }
}

/// The name behind a code. There are few in a column, so a list will do.
fn name(code: i32, names: &mut Vec<(i32, String)>) -> &[u8] {
    let at = names.iter().position(|(known, _)| *known == code).unwrap_or_else(|| {
        names.push((code, entity_name(code).unwrap_or_else(|| code.to_string())));
        names.len() - 1
    });
    names[at].1.as_bytes()
}

/// PostgreSQL's binary `numeric`: groups of four decimal digits, the first
/// weighing 10000 to the `weight`, zero groups at both ends left out.
fn numeric(value: i128, scale: i8, out: &mut Vec<u8>) {
    let digits = value.unsigned_abs();
    // The fraction is filled up to whole groups.
    let shown = u32::from(scale.max(0).unsigned_abs());
    let (mut rest, mut fraction_groups) = (digits, 0_u32);
    let mut groups: Vec<u16> = Vec::with_capacity(12);
    if scale < 0 {
        // At most 38 digits: what does not fit cannot be such a value.
        rest = digits.saturating_mul(10_u128.saturating_pow(u32::from(scale.unsigned_abs())));
    } else if shown > 0 {
        fraction_groups = shown.div_ceil(4);
        let partial = shown % 4;
        if partial > 0 {
            let divisor = 10_u128.pow(partial);
            let last = rest % divisor * 10_u128.pow(4 - partial);
            groups.push(u16::try_from(last).unwrap_or_default());
            rest /= divisor;
        }
    }
    while rest > 0 || groups.len() < fraction_groups as usize {
        groups.push(u16::try_from(rest % 10_000).unwrap_or_default());
        rest /= 10_000;
    }
    let weight = groups.len() as i16 - fraction_groups as i16 - 1;
    groups.reverse();
    let leading = groups.iter().take_while(|group| **group == 0).count();
    let trailing = groups.iter().rev().take_while(|group| **group == 0).count();
    let (groups, weight) = if leading == groups.len() {
        (&[][..], 0)
    } else {
        (&groups[leading..groups.len() - trailing], weight - leading as i16)
    };
    let sign: u16 = if value < 0 { 0x4000 } else { 0 };
    out.extend((groups.len() as u16).to_be_bytes());
    out.extend(weight.to_be_bytes());
    out.extend(sign.to_be_bytes());
    out.extend((shown as u16).to_be_bytes());
    groups.iter().for_each(|group| out.extend(group.to_be_bytes()));
}

/// Writes what is formatted; memory always takes it.
pub fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{DictionaryArray, StringArray, UInt64Array};
    use datafusion::arrow::datatypes::Int8Type;
    use pgwire::api::Type;

    use super::*;

    fn cells(array: ArrayRef, pg_type: Type, format: FieldFormat) -> Vec<Option<Vec<u8>>> {
        let field = Field::new("x", array.data_type().clone(), true);
        let info = FieldInfo::new("x".into(), None, None, pg_type, format);
        let mut column = Column::new(&array, &field, &info).expect("readable");
        let cell = |row| {
            let mut out = Vec::new();
            column.write(row, &mut out).expect("written").then_some(out)
        };
        (0..array.len()).map(cell).collect()
    }

    #[test]
    fn binary_numerics_are_groups_of_four_digits() {
        let words = |value: i128, scale: i8| {
            let mut out = Vec::new();
            numeric(value, scale, &mut out);
            let word = |pair: &[u8]| u16::from_be_bytes([pair[0], pair[1]]);
            out.chunks(2).map(word).collect::<Vec<u16>>()
        };
        assert_eq!(words(-12_345_678, 3), [3, 1, 0x4000, 3, 1, 2345, 6780]);
        assert_eq!(words(5, 4), [1, 0xffff, 0, 4, 5]);
        assert_eq!(words(0, 2), [0, 0, 0, 2]);
        assert_eq!(words(10_000, 0), [1, 1, 0, 0, 1]);
        assert_eq!(words(100, 2), [1, 0, 0, 2, 1]);
        assert_eq!(words(7, -5), [1, 1, 0, 0, 70]);
    }

    #[test]
    fn every_layout_of_text_and_numbers_is_read() {
        let dictionary: DictionaryArray<Int8Type> =
            [Some("a"), None, Some("a")].into_iter().collect();
        let found = cells(Arc::new(dictionary), Type::TEXT, FieldFormat::Text);
        assert_eq!(found, [Some(b"a".to_vec()), None, Some(b"a".to_vec())]);
        let utf8: ArrayRef = Arc::new(StringArray::from(vec!["é"]));
        let found = cells(utf8, Type::TEXT, FieldFormat::Binary);
        assert_eq!(found, [Some("é".as_bytes().to_vec())]);
        let unsigned: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX]));
        let found = cells(unsigned, Type::NUMERIC, FieldFormat::Text);
        assert_eq!(found, [Some(b"18446744073709551615".to_vec())]);
        let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![EPOCH_MICROS + 1]));
        let found = cells(times, Type::TIMESTAMP, FieldFormat::Binary);
        assert_eq!(found, [Some(1_i64.to_be_bytes().to_vec())]);
    }
}
