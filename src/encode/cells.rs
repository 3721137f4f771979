//! One column of a batch, ready to be written value by value. Every encoder
//! goes through here, so a value looks the same on every surface; only the
//! precision of times differs, because Web API clients read whole seconds only.

use chrono::{DateTime, Datelike, Timelike};
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray,
    Float64Array, Int32Array, Int64Array, StringViewArray, TimestampMicrosecondArray,
};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float64Type, Int32Type, Int64Type, TimeUnit,
    TimestampMicrosecondType,
};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::catalog;
use crate::error::{Error, Result};
use crate::value::Guid;

/// How much of a time is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    Seconds,
    /// Six digits of fraction, or none when it is zero.
    Micros,
}

/// A column of a batch.
pub struct Cells {
    values: Values,
    nulls: Option<NullBuffer>,
    precision: Precision,
}

enum Values {
    Null,
    Guid(FixedSizeBinaryArray),
    /// Object type codes, written as table names.
    Table(Int32Array),
    Text(StringViewArray),
    Boolean(BooleanArray),
    Int32(Int32Array),
    Int64(Int64Array),
    Float(Float64Array),
    Decimal(Decimal128Array),
    Time(TimestampMicrosecondArray),
    Date(Date32Array),
}

impl Cells {
    /// A column. `entity_name`: its integers are object type codes.
    pub fn new(array: &ArrayRef, entity_name: bool, precision: Precision) -> Result<Self> {
        let values = values(array, entity_name).map_err(|e| {
            let what = array.data_type();
            Error::internal(format!("a column of type {what} cannot be written")).caused_by(e)
        })?;
        Ok(Self { values, nulls: array.logical_nulls(), precision })
    }

    pub fn is_null(&self, row: usize) -> bool {
        matches!(self.values, Values::Null) || self.nulls.as_ref().is_some_and(|n| n.is_null(row))
    }

    /// Whether values are numbers; tables align them to the right.
    pub fn is_number(&self) -> bool {
        matches!(
            self.values,
            Values::Int32(_) | Values::Int64(_) | Values::Float(_) | Values::Decimal(_)
        )
    }

    /// The value as JSON; `null` for null and for numbers JSON cannot say.
    pub fn json(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            return out.extend_from_slice(b"null");
        }
        match &self.values {
            Values::Text(values) => json_text(values.value(row), out),
            Values::Float(values) if !values.value(row).is_finite() => {
                out.extend_from_slice(b"null");
            }
            Values::Guid(_) | Values::Time(_) | Values::Date(_) => {
                out.push(b'"');
                self.text(row, out);
                out.push(b'"');
            }
            // Names of tables are imported text and need escapes.
            Values::Table(values) => json_text(&table_name(values.value(row)), out),
            _ => self.text(row, out),
        }
    }

    /// The value as plain text; nothing for null.
    pub fn text(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            return;
        }
        match &self.values {
            Values::Null => {}
            Values::Guid(values) => guid(values.value(row), out),
            Values::Table(values) => {
                out.extend_from_slice(table_name(values.value(row)).as_bytes());
            }
            Values::Text(values) => out.extend_from_slice(values.value(row).as_bytes()),
            Values::Boolean(values) => {
                out.extend_from_slice(if values.value(row) { b"true" } else { b"false" });
            }
            Values::Int32(values) => number(values.value(row), out),
            Values::Int64(values) => number(values.value(row), out),
            Values::Float(values) => number(values.value(row), out),
            Values::Decimal(values) => decimal(values.value(row), values.scale(), out),
            Values::Time(values) => time(values.value(row), self.precision, out),
            Values::Date(values) => {
                out.extend_from_slice(crate::value::date_text(values.value(row)).as_bytes());
            }
        }
    }

    pub fn guid(&self, row: usize) -> Option<Guid> {
        match &self.values {
            Values::Guid(values) if !self.is_null(row) => values.value(row).try_into().ok(),
            _ => None,
        }
    }

    /// Whole numbers, and yes/no as 1 and 0: what option sets are keyed with.
    pub fn integer(&self, row: usize) -> Option<i64> {
        if self.is_null(row) {
            return None;
        }
        match &self.values {
            Values::Int32(values) | Values::Table(values) => Some(values.value(row).into()),
            Values::Int64(values) => Some(values.value(row)),
            Values::Boolean(values) => Some(values.value(row).into()),
            _ => None,
        }
    }

    pub fn float(&self, row: usize) -> Option<f64> {
        match &self.values {
            Values::Float(values) if !self.is_null(row) => Some(values.value(row)),
            _ => None,
        }
    }

    /// The unscaled value and its scale.
    pub fn decimal(&self, row: usize) -> Option<(i128, i8)> {
        match &self.values {
            Values::Decimal(values) if !self.is_null(row) => {
                Some((values.value(row), values.scale()))
            }
            _ => None,
        }
    }

    /// Microseconds since 1970.
    pub fn time(&self, row: usize) -> Option<i64> {
        match &self.values {
            Values::Time(values) if !self.is_null(row) => Some(values.value(row)),
            _ => None,
        }
    }

    /// Days since 1970.
    pub fn date(&self, row: usize) -> Option<i32> {
        match &self.values {
            Values::Date(values) if !self.is_null(row) => Some(values.value(row)),
            _ => None,
        }
    }
}

/// Settles on few types: narrow and wide variants are cast, and what has no
/// outside form of its own (lists, intervals) becomes Arrow's display text.
fn values(array: &ArrayRef, entity_name: bool) -> Result<Values, ArrowError> {
    let to = |data_type: DataType| cast(array, &data_type);
    Ok(match array.data_type() {
        DataType::Null => Values::Null,
        DataType::FixedSizeBinary(16) => Values::Guid(array.as_fixed_size_binary().clone()),
        DataType::Int32 if entity_name => Values::Table(array.as_primitive::<Int32Type>().clone()),
        DataType::Int32 => Values::Int32(array.as_primitive::<Int32Type>().clone()),
        DataType::Int8
        | DataType::Int16
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32 => {
            Values::Int64(to(DataType::Int64)?.as_primitive::<Int64Type>().clone())
        }
        DataType::UInt64 => Values::Decimal(
            to(DataType::Decimal128(20, 0))?.as_primitive::<Decimal128Type>().clone(),
        ),
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            Values::Float(to(DataType::Float64)?.as_primitive::<Float64Type>().clone())
        }
        DataType::Decimal128(..) => Values::Decimal(array.as_primitive::<Decimal128Type>().clone()),
        DataType::Decimal32(p, s) | DataType::Decimal64(p, s) => Values::Decimal(
            to(DataType::Decimal128(*p, *s))?.as_primitive::<Decimal128Type>().clone(),
        ),
        DataType::Boolean => Values::Boolean(array.as_boolean().clone()),
        DataType::Timestamp(_, zone)
            if zone.as_ref().is_none_or(|zone| matches!(zone.as_ref(), "UTC" | "+00:00")) =>
        {
            let micros = to(DataType::Timestamp(TimeUnit::Microsecond, None))?;
            Values::Time(micros.as_primitive::<TimestampMicrosecondType>().clone())
        }
        DataType::Date32 | DataType::Date64 => {
            Values::Date(to(DataType::Date32)?.as_primitive::<Date32Type>().clone())
        }
        DataType::Utf8View => Values::Text(array.as_string_view().clone()),
        DataType::Utf8 | DataType::LargeUtf8 => {
            Values::Text(to(DataType::Utf8View)?.as_string_view().clone())
        }
        DataType::Dictionary(_, value) => return values(&cast(array, value)?, entity_name),
        _ => {
            let options = FormatOptions::default();
            let display = ArrayFormatter::try_new(array, &options)?;
            let text = (0..array.len()).map(|row| {
                array.is_valid(row).then(|| display.value(row).try_to_string()).transpose()
            });
            Values::Text(text.collect::<Result<StringViewArray, _>>()?)
        }
    })
}

/// A JSON string.
pub fn json_text(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("writing to memory cannot fail");
}

/// The logical name of a table, or its code where nobody knows the name.
fn table_name(code: i32) -> String {
    catalog::entity_name(code).unwrap_or_else(|| code.to_string())
}

fn number(value: impl serde::Serialize, out: &mut Vec<u8>) {
    serde_json::to_writer(out, &value).expect("writing to memory cannot fail");
}

fn guid(bytes: &[u8], out: &mut Vec<u8>) {
    let bytes = bytes.try_into().expect("GUID columns are 16 bytes wide");
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    let text = uuid::Uuid::from_bytes(bytes).hyphenated().encode_lower(&mut text);
    out.extend_from_slice(text.as_bytes());
}

/// All digits of a decimal without trailing zeros; never by way of a float.
fn decimal(value: i128, scale: i8, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    let digits = value.unsigned_abs().to_string();
    let Some(scale) = usize::try_from(scale).ok().filter(|s| *s > 0) else {
        out.extend_from_slice(digits.as_bytes());
        if value != 0 {
            out.extend(std::iter::repeat_n(b'0', usize::from(scale.unsigned_abs())));
        }
        return;
    };
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    out.extend_from_slice(whole.as_bytes());
    let fraction = fraction.trim_end_matches('0');
    if !fraction.is_empty() {
        out.push(b'.');
        out.extend_from_slice(fraction.as_bytes());
    }
}

/// A UTC time. Written by hand: chrono's formatter costs more than all else in a row.
fn time(micros: i64, precision: Precision, out: &mut Vec<u8>) {
    let Some(time) = DateTime::from_timestamp_micros(micros) else {
        return out.extend_from_slice(micros.to_string().as_bytes());
    };
    if !(0..=9999).contains(&time.year()) {
        return out.extend_from_slice(crate::value::time_text(micros).as_bytes());
    }
    digits(time.year().unsigned_abs(), 4, out);
    for (separator, part) in [
        (b'-', time.month()),
        (b'-', time.day()),
        (b'T', time.hour()),
        (b':', time.minute()),
        (b':', time.second()),
    ] {
        out.push(separator);
        digits(part, 2, out);
    }
    let fraction = time.nanosecond() / 1000 % 1_000_000;
    if precision == Precision::Micros && fraction != 0 {
        out.push(b'.');
        digits(fraction, 6, out);
    }
    out.push(b'Z');
}

fn digits(value: u32, width: u32, out: &mut Vec<u8>) {
    for place in (0..width).rev() {
        out.push(b'0' + (value / 10_u32.pow(place) % 10) as u8);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{
        Int8Array, ListArray, StringDictionaryBuilder, TimestampNanosecondArray, UInt64Array,
    };

    use super::*;

    fn json(array: ArrayRef, entity_name: bool, precision: Precision) -> Vec<String> {
        let cells = Cells::new(&array, entity_name, precision).expect("a known type");
        let write = |row| {
            let mut out = Vec::new();
            cells.json(row, &mut out);
            String::from_utf8(out).expect("JSON is UTF-8")
        };
        (0..array.len()).map(write).collect()
    }

    fn plain(array: ArrayRef) -> Vec<String> {
        json(array, false, Precision::Micros)
    }

    #[test]
    fn times_have_whole_seconds_or_all_digits() {
        let micros = 1_304_290_833_230_954;
        let times = || -> ArrayRef {
            Arc::new(TimestampMicrosecondArray::from(vec![micros, 0, -1, i64::MAX]))
        };
        assert_eq!(
            json(times(), false, Precision::Seconds)[..3],
            [r#""2011-05-01T23:00:33Z""#, r#""1970-01-01T00:00:00Z""#, r#""1969-12-31T23:59:59Z""#]
        );
        assert_eq!(
            plain(times())[..3],
            [
                r#""2011-05-01T23:00:33.230954Z""#,
                r#""1970-01-01T00:00:00Z""#,
                r#""1969-12-31T23:59:59.999999Z""#
            ]
        );
        let nanos = TimestampNanosecondArray::from(vec![1_500]).with_timezone("UTC");
        assert_eq!(plain(Arc::new(nanos)), [r#""1970-01-01T00:00:00.000001Z""#]);
    }

    #[test]
    fn decimals_keep_every_digit() {
        let values = vec![
            Some(12_345_678_901_234_567_890_123_456_789),
            Some(-5),
            Some(1_500_000_000),
            Some(20_000_000_000),
            Some(0),
            None,
        ];
        let array = Decimal128Array::from(values).with_precision_and_scale(38, 10).expect("fits");
        assert_eq!(
            plain(Arc::new(array)),
            ["1234567890123456789.0123456789", "-0.0000000005", "0.15", "2", "0", "null"]
        );
        let hundreds = Decimal128Array::from(vec![7, 0]).with_precision_and_scale(5, -2);
        assert_eq!(plain(Arc::new(hundreds.expect("fits"))), ["700", "0"]);
    }

    #[test]
    fn guids_table_names_and_text() {
        let bytes = crate::value::parse_guid("6F9619FF-8B86-D011-B42D-00C04FC964FF");
        let guids = FixedSizeBinaryArray::try_from_iter(bytes.into_iter()).expect("16 bytes");
        assert_eq!(plain(Arc::new(guids)), [r#""6f9619ff-8b86-d011-b42d-00c04fc964ff""#]);
        let codes = || -> ArrayRef { Arc::new(Int32Array::from(vec![Some(4700), Some(-7), None])) };
        assert_eq!(
            json(codes(), true, Precision::Micros),
            [r#""asyncoperation""#, r#""-7""#, "null"]
        );
        assert_eq!(plain(codes()), ["4700", "-7", "null"]);
        let text = StringViewArray::from(vec!["a \"b\"\n\u{1}é"]);
        assert_eq!(plain(Arc::new(text)), ["\"a \\\"b\\\"\\n\\u0001é\""]);
    }

    #[test]
    fn other_types_settle_on_the_nearest() {
        assert_eq!(plain(Arc::new(Int8Array::from(vec![-3]))), ["-3"]);
        assert_eq!(plain(Arc::new(UInt64Array::from(vec![u64::MAX]))), ["18446744073709551615"]);
        assert_eq!(plain(Arc::new(Float64Array::from(vec![0.5, f64::NAN]))), ["0.5", "null"]);
        assert_eq!(plain(Arc::new(Date32Array::from(vec![19_844]))), [r#""2024-05-01""#]);
        let mut dictionary = StringDictionaryBuilder::<Int32Type>::new();
        dictionary.append_value("x");
        dictionary.append_null();
        assert_eq!(plain(Arc::new(dictionary.finish())), [r#""x""#, "null"]);
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1), Some(2)])]);
        assert_eq!(plain(Arc::new(list)), [r#""[1, 2]""#]);
    }
}
