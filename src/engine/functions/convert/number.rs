//! Values as whole numbers, floating-point numbers and bits.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, PrimitiveArray,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    ArrowPrimitiveType, DataType, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType,
};
use datafusion::common::{Result, exec_datafusion_err, exec_err};

use super::super::calendar::{DAY_ZERO, MICROS_PER_DAY};
use super::super::types::SqlType;
use super::{Request, overflow};

/// Converts to one of these types.
pub(super) fn array(values: &ArrayRef, request: &Request) -> Result<ArrayRef> {
    match request.to {
        SqlType::Bit => bits(values, request),
        SqlType::Real | SqlType::Float => floats(values, request),
        _ => integers(values, request),
    }
}

/// The numbers that a type of whole numbers holds.
fn range(to: SqlType) -> std::ops::RangeInclusive<i64> {
    match to {
        SqlType::TinyInt => 0..=255,
        SqlType::SmallInt => i64::from(i16::MIN)..=i64::from(i16::MAX),
        SqlType::Int => i64::from(i32::MIN)..=i64::from(i32::MAX),
        _ => i64::MIN..=i64::MAX,
    }
}

fn integers(values: &ArrayRef, request: &Request) -> Result<ArrayRef> {
    let Request { from, to, .. } = *request;
    let fits = |n: i64| range(to).contains(&n);
    let numbers: Int64Array = match from {
        from if from.is_text() => {
            let texts = values.as_string_view().iter();
            let read = |t: &str| request.settle(whole_from_text(t, to)).transpose();
            texts.map(|t| t.and_then(read).transpose()).collect::<Result<_>>()?
        }
        SqlType::Bit => return Ok(cast(values, &to.arrow())?),
        from if from.is_integer() => {
            let narrow = |n: i64| match fits(n) {
                true => Ok(n),
                false if matches!(to, SqlType::TinyInt | SqlType::SmallInt) => exec_err!(
                    "Arithmetic overflow error for data type {}, value = {n} (Msg 220)",
                    to.name()
                ),
                false => Err(overflow(to)),
            };
            let wide = cast(values, &DataType::Int64)?;
            each::<Int64Type>(&wide, request, narrow)?
        }
        from if from.digits().is_some() => {
            let unit = from.digits().map_or(1, |(_, scale)| 10_i128.pow(scale as u32));
            // Money rounds, a decimal is cut off.
            let whole = |n: i128| match from.is_money() {
                true => (n + n.signum() * unit / 2) / unit,
                false => n / unit,
            };
            let read = |n: i128| {
                let whole = i64::try_from(whole(n)).ok().filter(|n| fits(*n));
                whole.ok_or_else(|| overflow(to))
            };
            each::<Decimal128Type>(values, request, read)?
        }
        SqlType::Real | SqlType::Float => {
            let wide = cast(values, &DataType::Float64)?;
            let read = |n: f64| {
                let whole = n.trunc();
                // Both bounds are powers of two, so exact.
                let inside =
                    (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&whole);
                #[expect(clippy::cast_possible_truncation, reason = "the bounds are checked")]
                let number = whole as i64;
                if inside && fits(number) {
                    return Ok(number);
                }
                exec_err!(
                    "Arithmetic overflow error for data type {}, value = {n:.6} (Msg 232)",
                    to.name()
                )
            };
            each::<Float64Type>(&wide, request, read)?
        }
        SqlType::DateTime | SqlType::SmallDateTime => {
            let days = |time: i64| {
                let days = (time + MICROS_PER_DAY / 2).div_euclid(MICROS_PER_DAY) - DAY_ZERO;
                if fits(days) { Ok(days) } else { Err(overflow(to)) }
            };
            each::<TimestampMicrosecondType>(values, request, days)?
        }
        from if from.is_binary() => {
            let bytes = values.as_binary::<i32>().iter();
            bytes.map(|bytes| bytes.map(|b| last_bytes(b, to))).collect()
        }
        _ => return exec_err!("{} is no number (Msg 529)", from.name()),
    };
    Ok(cast(&numbers, &to.arrow())?)
}

/// The number that the last bytes of a binary value are.
fn last_bytes(bytes: &[u8], to: SqlType) -> i64 {
    let width = match to {
        SqlType::TinyInt => 1,
        SqlType::SmallInt => 2,
        SqlType::Int => 4,
        _ => 8,
    };
    let last = &bytes[bytes.len().saturating_sub(width)..];
    let number = last.iter().fold(0_u64, |sum, b| sum << 8 | u64::from(*b)).cast_signed();
    match to {
        SqlType::SmallInt if last.len() == 2 => number << 48 >> 48,
        SqlType::Int if last.len() == 4 => number << 32 >> 32,
        _ => number,
    }
}

/// Reads every value of a primitive array.
fn each<T: ArrowPrimitiveType>(
    values: &ArrayRef,
    request: &Request,
    read: impl Fn(T::Native) -> Result<i64>,
) -> Result<Int64Array> {
    let values: &PrimitiveArray<T> = values.as_primitive::<T>();
    let read = |value: Option<T::Native>| match value {
        Some(value) => request.settle(read(value)),
        None => Ok(None),
    };
    values.iter().map(read).collect()
}

/// A whole number from text; nothing at all is zero.
fn whole_from_text(text: &str, to: SqlType) -> Result<i64> {
    let trimmed = text.trim_matches(' ');
    if trimmed.is_empty() {
        return Ok(0);
    }
    let digits = trimmed.strip_prefix(['-', '+']).unwrap_or(trimmed).trim_start_matches(' ');
    if digits.is_empty() && trimmed.len() == 1 {
        return Ok(0);
    }
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong_text(text, to));
    }
    let negative = trimmed.starts_with('-');
    let number = digits.parse::<i128>().ok().map(|n| if negative { -n } else { n });
    let number = number.and_then(|n| i64::try_from(n).ok()).filter(|n| range(to).contains(n));
    number.ok_or_else(|| match to {
        SqlType::BigInt => {
            exec_datafusion_err!(
                "Arithmetic overflow error converting expression to data type bigint (Msg 8115)"
            )
        }
        SqlType::Int => exec_datafusion_err!(
            "The conversion of the varchar value '{text}' overflowed an int column (Msg 248)"
        ),
        to => exec_datafusion_err!(
            "The conversion of the varchar value '{text}' overflowed a {} column (Msg 244)",
            to.name()
        ),
    })
}

fn wrong_text(text: &str, to: SqlType) -> datafusion::common::DataFusionError {
    match to {
        SqlType::BigInt => exec_datafusion_err!(
            "Error converting data type varchar to bigint: '{text}' (Msg 8114)"
        ),
        to => exec_datafusion_err!(
            "Conversion failed when converting the varchar value '{text}' to data type {} (Msg 245)",
            to.name()
        ),
    }
}

fn floats(values: &ArrayRef, request: &Request) -> Result<ArrayRef> {
    let Request { from, to, .. } = *request;
    let numbers: ArrayRef = match from {
        from if from.is_text() => {
            let read = |text: &str| {
                let trimmed = text.trim_matches(' ');
                let number = match trimmed {
                    "" => Some(0.0),
                    // Rust also reads "inf" and "nan", which are no numbers here.
                    t if t
                        .bytes()
                        .any(|b| b.is_ascii_alphabetic() && !matches!(b, b'e' | b'E')) =>
                    {
                        None
                    }
                    t => t.parse().ok().filter(|n: &f64| n.is_finite()),
                };
                number.ok_or_else(|| {
                    exec_datafusion_err!(
                        "Error converting data type varchar to {}: '{text}' (Msg 8114)",
                        to.name()
                    )
                })
            };
            let texts = values.as_string_view().iter();
            let read = |t: Option<&str>| match t {
                Some(text) => request.settle(read(text)),
                None => Ok(None),
            };
            Arc::new(texts.map(read).collect::<Result<Float64Array>>()?)
        }
        SqlType::DateTime | SqlType::SmallDateTime => {
            let times = values.as_primitive::<TimestampMicrosecondType>();
            let day = MICROS_PER_DAY as f64;
            Arc::new(times.unary::<_, Float64Type>(|t| t as f64 / day - DAY_ZERO as f64))
        }
        _ => cast(values, &DataType::Float64)?,
    };
    if to == SqlType::Float {
        return Ok(numbers);
    }
    let wide = numbers.as_primitive::<Float64Type>();
    let max = f64::from(f32::MAX);
    if !request.tries && wide.iter().flatten().any(|n| n.abs() > max) {
        return Err(overflow(to));
    }
    let fitting: Float64Array = wide.iter().map(|n| n.filter(|n| n.abs() <= max)).collect();
    Ok(cast(&fitting, &DataType::Float32)?)
}

fn bits(values: &ArrayRef, request: &Request) -> Result<ArrayRef> {
    if !request.from.is_text() {
        let values = match request.from {
            from if from.is_binary() => {
                let any = |bytes: &[u8]| bytes.iter().any(|b| *b != 0);
                let bits = values.as_binary::<i32>().iter().map(|b| b.map(any));
                return Ok(Arc::new(bits.collect::<BooleanArray>()));
            }
            SqlType::DateTime | SqlType::SmallDateTime => {
                integers(values, &Request { to: SqlType::BigInt, ..*request })?
            }
            from if from.digits().is_some() => {
                // The engine cuts decimals off first: 0.5 is a one here.
                let values = cast(values, &DataType::Float64)?;
                return Ok(cast(&values, &DataType::Boolean)?);
            }
            _ => values.clone(),
        };
        return Ok(cast(&values, &DataType::Boolean)?);
    }
    let read = |text: &str| {
        let trimmed = text.trim_matches(' ');
        match trimmed {
            "" => Ok(false),
            t if t.eq_ignore_ascii_case("true") => Ok(true),
            t if t.eq_ignore_ascii_case("false") => Ok(false),
            _ => whole_from_text(text, SqlType::Int)
                .map(|n| n != 0)
                .map_err(|_| wrong_text(text, SqlType::Bit)),
        }
    };
    let texts = values.as_string_view().iter();
    let read = |t: Option<&str>| match t {
        Some(text) => request.settle(read(text)),
        None => Ok(None),
    };
    Ok(Arc::new(texts.map(read).collect::<Result<BooleanArray>>()?))
}
