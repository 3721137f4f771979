//! Arguments of the functions: what types they are coerced to, and how their
//! values are read whether they come as a column or as one value.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray, StringViewArray};
use datafusion::arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Float64Type, Int64Type, Time64MicrosecondType,
    TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::{Result, exec_datafusion_err, exec_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};
use datafusion::scalar::ScalarValue;

use super::DatePart;
use super::calendar::{DAY_ZERO, MICROS_PER_DAY};
use super::styles;

/// The type of all times.
pub(super) const TIME: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

/// The type of times without a date.
pub(super) const TIME_OF_DAY: DataType = DataType::Time64(TimeUnit::Microsecond);

/// What an argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// A date part, as text.
    Part,
    /// A time: also a date, text, or a number of days since 1900-01-01.
    Time,
    /// Text, or what converts to text.
    Text,
    Int,
    /// A number whose type matters: `int`, `bigint`, `decimal` or `float`.
    Number,
    Float,
    /// A constant on which the type of the result depends. It stays as it is: a
    /// conversion would hide the literal.
    Constant,
    /// Left as it is.
    Any,
}

/// The type that an argument, counted from 1, is coerced to.
pub(super) fn coerced_at(
    function: &str,
    argument: usize,
    kind: Kind,
    given: &DataType,
) -> Result<DataType> {
    use DataType as Type;
    let convertible = given.is_numeric() || given.is_string() || given.is_null();
    let invalid = || {
        plan_err!(
            "Argument data type {} is invalid for argument {argument} of {function} function \
             (Msg 8116)",
            type_name(given)
        )
    };
    Ok(match (kind, given) {
        (Kind::Any | Kind::Text, Type::Utf8 | Type::LargeUtf8 | Type::Dictionary(..)) => {
            Type::Utf8View
        }
        (Kind::Text, Type::Null) => Type::Utf8View,
        (Kind::Text, given) if given.is_nested() => return invalid(),
        (Kind::Any | Kind::Text | Kind::Constant, given) => given.clone(),
        (Kind::Part, _) => Type::Utf8,
        (Kind::Time, Type::Date32) => Type::Date32,
        (Kind::Time, Type::Timestamp(_, zone @ Some(_))) => {
            Type::Timestamp(TimeUnit::Microsecond, zone.clone())
        }
        (Kind::Time, Type::Timestamp(_, None) | Type::Date64 | Type::Null) => TIME,
        (Kind::Time, Type::Time32(_) | Type::Time64(_)) => TIME_OF_DAY,
        (Kind::Time, given) if given.is_string() => Type::Utf8View,
        (Kind::Time, given) if given.is_integer() => Type::Int64,
        (Kind::Time, given) if given.is_numeric() => Type::Float64,
        (Kind::Int, Type::Boolean) => Type::Int64,
        (Kind::Int, _) if convertible => Type::Int64,
        (Kind::Float, Type::Boolean) => Type::Float64,
        (Kind::Float, _) if convertible => Type::Float64,
        (Kind::Number, Type::Int64 | Type::UInt32 | Type::UInt64) => Type::Int64,
        (Kind::Number, Type::Decimal128(..)) => given.clone(),
        (Kind::Number, given) if given.is_integer() || given.is_null() => Type::Int32,
        (Kind::Number, Type::Boolean) => Type::Float64,
        (Kind::Number, _) if convertible => Type::Float64,
        _ => return invalid(),
    })
}

/// An Arrow type as SQL Server calls it.
pub(super) fn type_name(given: &DataType) -> String {
    let name = match given {
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => "nvarchar",
        DataType::Int8 | DataType::UInt8 => "tinyint",
        DataType::Int16 => "smallint",
        DataType::Int32 => "int",
        DataType::Int64 => "bigint",
        DataType::Float32 => "real",
        DataType::Float64 => "float",
        DataType::Boolean => "bit",
        DataType::Date32 => "date",
        DataType::Time32(_) | DataType::Time64(_) => "time",
        DataType::Timestamp(_, None) => "datetime",
        DataType::Timestamp(_, Some(_)) => "datetimeoffset",
        DataType::Decimal128(..) => "decimal",
        DataType::FixedSizeBinary(16) => "uniqueidentifier",
        DataType::Binary | DataType::BinaryView => "varbinary",
        other => return other.to_string(),
    };
    name.to_owned()
}

/// The literal date part in front.
pub(super) fn part(function: &str, args: &ScalarFunctionArgs) -> Result<DatePart> {
    let text = match args.args.first() {
        Some(ColumnarValue::Scalar(ScalarValue::Utf8(Some(text)))) => text.as_str(),
        _ => return exec_err!("{function}: the date part must be a literal (Msg 1023)"),
    };
    DatePart::parse(text).ok_or_else(|| {
        exec_datafusion_err!("'{text}' is not a recognized {function} option (Msg 155)")
    })
}

/// How many rows a function computes: one, if no argument is a column.
pub(super) struct Rows {
    pub count: usize,
    single: bool,
}

impl Rows {
    pub fn of(args: &ScalarFunctionArgs) -> Self {
        let single = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        Self { count: if single { 1 } else { args.number_rows }, single }
    }

    /// The answer in the shape of the arguments.
    pub fn answer(&self, array: ArrayRef) -> Result<ColumnarValue> {
        if self.single {
            return ScalarValue::try_from_array(&array, 0).map(ColumnarValue::Scalar);
        }
        Ok(ColumnarValue::Array(array))
    }
}

/// Values of an argument by row.
pub(super) enum Values<T> {
    One(Option<T>),
    Many(Vec<Option<T>>),
}

impl<T: Copy> Values<T> {
    pub fn get(&self, row: usize) -> Option<T> {
        match self {
            Self::One(value) => *value,
            Self::Many(values) => values.get(row).copied().flatten(),
        }
    }
}

fn one_row(value: &ColumnarValue) -> Result<(ArrayRef, bool)> {
    match value {
        ColumnarValue::Array(array) => Ok((array.clone(), false)),
        ColumnarValue::Scalar(scalar) => Ok((scalar.to_array()?, true)),
    }
}

fn collect<T: Copy>(
    single: bool,
    values: impl Iterator<Item = Result<Option<T>>>,
) -> Result<Values<T>> {
    let mut values = values;
    if single {
        return Ok(Values::One(values.next().transpose()?.flatten()));
    }
    Ok(Values::Many(values.collect::<Result<_>>()?))
}

fn primitive<T: ArrowPrimitiveType>(array: &ArrayRef) -> Result<&PrimitiveArray<T>> {
    array
        .as_primitive_opt::<T>()
        .ok_or_else(|| exec_datafusion_err!("unexpected argument type {}", array.data_type()))
}

/// Times as microseconds.
pub(super) fn times(value: &ColumnarValue) -> Result<Values<i64>> {
    let (array, single) = one_row(value)?;
    match array.data_type() {
        DataType::Date32 => collect(
            single,
            primitive::<Date32Type>(&array)?
                .iter()
                .map(|day| Ok(day.map(|day| i64::from(day) * MICROS_PER_DAY))),
        ),
        DataType::Int64 => collect(
            single,
            primitive::<Int64Type>(&array)?.iter().map(|days| days.map(from_number).transpose()),
        ),
        DataType::Float64 => collect(
            single,
            primitive::<Float64Type>(&array)?.iter().map(|days| days.map(from_float).transpose()),
        ),
        // On SQL Server's day 0.
        DataType::Time64(_) => collect(
            single,
            primitive::<Time64MicrosecondType>(&array)?
                .iter()
                .map(|micros| Ok(micros.map(|micros| micros + DAY_ZERO * MICROS_PER_DAY))),
        ),
        DataType::Utf8View => collect(
            single,
            array.as_string_view().iter().map(|text| text.map(styles::read).transpose()),
        ),
        _ => collect(single, primitive::<TimestampMicrosecondType>(&array)?.iter().map(Ok)),
    }
}

/// A number as a time: days since 1900-01-01.
pub(super) fn from_number(days: i64) -> Result<i64> {
    days.checked_add(DAY_ZERO)
        .and_then(|day| day.checked_mul(MICROS_PER_DAY))
        .ok_or_else(|| exec_datafusion_err!("{days} days lie beyond all dates (Msg 8115)"))
}

fn from_float(days: f64) -> Result<i64> {
    let micros = (days * MICROS_PER_DAY as f64).round();
    if micros.abs() > 1e18 {
        return exec_err!("{days} days lie beyond all dates (Msg 8115)");
    }
    Ok(micros as i64 + DAY_ZERO * MICROS_PER_DAY)
}

/// Whole numbers.
pub(super) fn integers(value: &ColumnarValue) -> Result<Values<i64>> {
    let (array, single) = one_row(value)?;
    collect(single, primitive::<Int64Type>(&array)?.iter().map(Ok))
}

/// Texts of an argument by row.
pub(super) struct Texts {
    array: StringViewArray,
    single: bool,
}

impl Texts {
    pub fn of(value: &ColumnarValue) -> Result<Self> {
        let (array, single) = one_row(value)?;
        let array = array.as_string_view_opt().ok_or_else(|| {
            exec_datafusion_err!("unexpected argument type {}", array.data_type())
        })?;
        Ok(Self { array: array.clone(), single })
    }

    pub fn get(&self, row: usize) -> Option<&str> {
        let row = if self.single { 0 } else { row };
        self.array.is_valid(row).then(|| self.array.value(row))
    }
}
