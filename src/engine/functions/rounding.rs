//! `ROUND`: half away from zero, to decimals or to tens and hundreds; the type
//! of the number is kept.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Decimal128Array};
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int32Type, Int64Type};
use datafusion::common::{Result, internal_err};

use super::SqlType;
use super::arguments::Kind::{Int, Number};
use super::definition::{Call, Definition, Gives, overflow};

pub(super) static FUNCTIONS: &[Definition] = &[Definition {
    name: "sql_round",
    arguments: &[Number, Int, Int],
    least: 1,
    most: 3,
    gives: Gives::By(|args| {
        Ok(match SqlType::of(&args.arg_fields[0]) {
            SqlType::SmallMoney => SqlType::Money.arrow(),
            _ => args.arg_fields[0].data_type().clone(),
        })
    }),
    compute: round,
}];

/// A third argument other than 0 cuts off instead.
fn round(call: &Call) -> Result<ArrayRef> {
    let (length, cuts) = (call.integers_or(1, 0)?, call.integers_or(2, 0)?);
    let array = call.array(0)?;
    let arguments = |i| Some((i32::try_from(length.get(i)?).ok()?, cuts.get(i)? != 0));
    match array.data_type() {
        DataType::Int32 => {
            let numbers = array.as_primitive::<Int32Type>();
            call.int(|i| {
                let Some((length, cuts)) = arguments(i).filter(|_| numbers.is_valid(i)) else {
                    return Ok(None);
                };
                let rounded = whole(numbers.value(i).into(), 0, length, cuts);
                rounded.and_then(|n| n.try_into().ok()).map(Some).ok_or_else(|| overflow("int"))
            })
        }
        DataType::Int64 => {
            let numbers = array.as_primitive::<Int64Type>();
            call.bigint(|i| {
                let Some((length, cuts)) = arguments(i).filter(|_| numbers.is_valid(i)) else {
                    return Ok(None);
                };
                let rounded = whole(numbers.value(i).into(), 0, length, cuts);
                rounded.and_then(|n| n.try_into().ok()).map(Some).ok_or_else(|| overflow("bigint"))
            })
        }
        DataType::Decimal128(_, scale) => {
            let DataType::Decimal128(precision, _) = call.return_type() else {
                return internal_err!("ROUND of a decimal gives no decimal");
            };
            let numbers = array.as_primitive::<Decimal128Type>();
            let limit = 10_i128.checked_pow((*precision).into()).unwrap_or(i128::MAX);
            let rounded = call.rows().map(|i| {
                let Some((length, cuts)) = arguments(i).filter(|_| numbers.is_valid(i)) else {
                    return Ok(None);
                };
                let rounded = whole(numbers.value(i), (*scale).into(), length, cuts);
                let fits = rounded.filter(|n| n.abs() < limit);
                fits.map(Some).ok_or_else(|| overflow("numeric"))
            });
            let rounded = rounded.collect::<Result<Decimal128Array>>()?;
            Ok(Arc::new(rounded.with_precision_and_scale(*precision, *scale)?))
        }
        DataType::Float64 => {
            let numbers = array.as_primitive::<Float64Type>();
            call.float(|i| {
                let number = numbers.is_valid(i).then(|| numbers.value(i));
                Ok(arguments(i).zip(number).map(|((length, cuts), n)| float(n, length, cuts)))
            })
        }
        other => internal_err!("ROUND of {other}"),
    }
}

/// A number that is so many units of 10^-scale.
fn whole(number: i128, scale: i32, length: i32, cuts: bool) -> Option<i128> {
    let dropped = scale.saturating_sub(length);
    let Ok(dropped) = u32::try_from(dropped) else { return Some(number) };
    let Some(unit) = 10_i128.checked_pow(dropped) else { return Some(0) };
    let kept = number / unit * unit;
    let rest = number - kept;
    if cuts || rest.abs() < unit - rest.abs() {
        return Some(kept);
    }
    kept.checked_add(unit * rest.signum())
}

/// A float with these decimals; digits beyond what a float holds are not made up.
pub(super) fn float(number: f64, length: i32, cuts: bool) -> f64 {
    if !number.is_finite() || length > 15 {
        return number;
    }
    let unit = 10_f64.powi(length.abs());
    if !unit.is_finite() {
        return if length < 0 { 0.0 } else { number };
    }
    let scaled = if length < 0 { number / unit } else { number * unit };
    if !scaled.is_finite() {
        return number;
    }
    // 2.675 is held as a little less; what shows as a half is rounded as one.
    let near = nearest_decimal(scaled);
    let rounded = if cuts { near.trunc() } else { near.round() };
    if length < 0 { rounded * unit } else { rounded / unit }
}

/// The number of 15 digits nearest to a float.
fn nearest_decimal(number: f64) -> f64 {
    format!("{number:.14e}").parse().unwrap_or(number)
}

/// A number with exactly these decimals, half away from zero.
pub(super) fn fixed(number: f64, decimals: usize) -> String {
    if !number.is_finite() {
        return number.to_string();
    }
    let rounded = float(number, i32::try_from(decimals).unwrap_or(15), false);
    let text = format!("{rounded:.decimals$}");
    let zero = text.bytes().all(|b| matches!(b, b'-' | b'0' | b'.'));
    if zero { text.trim_start_matches('-').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_away_from_zero_at_any_place() {
        assert_eq!(whole(150, 2, 0, false), Some(200));
        assert_eq!(whole(-150, 2, 0, false), Some(-200));
        assert_eq!(whole(149, 2, 0, false), Some(100));
        assert_eq!(whole(1_259, 3, 1, true), Some(1_200));
        assert_eq!(whole(748, 0, -2, false), Some(700));
        assert_eq!(whole(748, 0, -3, false), Some(1_000));
        assert_eq!(whole(748, 0, -4, false), Some(0));
        assert_eq!(whole(5, 0, 3, false), Some(5));
        assert_eq!(whole(5, 0, -99, false), Some(0));
        assert_eq!(float(2.675, 2, false), 2.68);
        assert_eq!(float(-2.5, 0, false), -3.0);
        assert_eq!(float(1_234.567, -2, false), 1_200.0);
        assert_eq!(fixed(123.45, 1), "123.5");
        assert_eq!(fixed(-0.04, 1), "0.0");
    }
}
