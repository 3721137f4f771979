//! Values as decimals and money: digits that do not fit are rounded half away
//! from zero, numbers that do not fit are errors.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Decimal128Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type};
use datafusion::common::{DataFusionError, Result, exec_datafusion_err, exec_err};

use super::super::types::SqlType;
use super::{Request, number};

/// Converts to a decimal or to money.
pub(super) fn array(values: &ArrayRef, request: &Request) -> Result<ArrayRef> {
    let Request { from, to, .. } = *request;
    let Some((precision, scale)) = to.digits() else {
        return exec_err!("{} is no decimal (Msg 529)", to.name());
    };
    let fitting = |n: Option<i128>| {
        let limit = 10_i128.checked_pow(precision.into()).unwrap_or(i128::MAX);
        n.filter(|n| n.abs() < limit).ok_or_else(|| too_large(from, to))
    };
    let scale_up = 10_i128.pow(u32::from(scale.unsigned_abs()));
    let settle = |value: Option<Result<i128>>| match value {
        Some(value) => request.settle(value),
        None => Ok(None),
    };
    let numbers: Vec<Option<i128>> = match from {
        from if from.is_text() => {
            let read = |text: &str| match parse(text, scale, to.is_money()) {
                Some(number) => fitting(number),
                None if to.is_money() => exec_err!(
                    "Cannot convert a char value to money: '{text}' has incorrect syntax (Msg 235)"
                ),
                None => {
                    exec_err!("Error converting data type varchar to numeric: '{text}' (Msg 8114)")
                }
            };
            values.as_string_view().iter().map(|t| settle(t.map(read))).collect::<Result<_>>()?
        }
        from if from.is_integer() || from == SqlType::Bit => {
            let wide = cast(values, &DataType::Int64)?;
            let read = |n: i64| fitting(i128::from(n).checked_mul(scale_up));
            let numbers = wide.as_primitive::<Int64Type>().iter();
            numbers.map(|n| settle(n.map(read))).collect::<Result<_>>()?
        }
        from if from.digits().is_some() => {
            let given = from.digits().map_or(0, |(_, scale)| scale);
            let numbers = values.as_primitive::<Decimal128Type>().iter();
            let read = |n: i128| fitting(rescaled(n, given, scale));
            numbers.map(|n| settle(n.map(read))).collect::<Result<_>>()?
        }
        SqlType::Real | SqlType::Float | SqlType::DateTime | SqlType::SmallDateTime => {
            let to_float = Request { to: SqlType::Float, ..*request };
            let wide = number::array(values, &to_float)?;
            let real = from == SqlType::Real;
            let read = |n: f64| fitting(from_float(n, scale, real));
            let numbers = wide.as_primitive::<Float64Type>().iter();
            numbers.map(|n| settle(n.map(read))).collect::<Result<_>>()?
        }
        from if from.is_binary() => {
            let whole = number::array(values, &Request { to: SqlType::BigInt, ..*request })?;
            return array(&whole, &Request { from: SqlType::BigInt, ..*request });
        }
        _ => return exec_err!("{} is no number (Msg 529)", from.name()),
    };
    let numbers = Decimal128Array::from(numbers).with_precision_and_scale(precision, scale)?;
    Ok(Arc::new(numbers))
}

fn too_large(from: SqlType, to: SqlType) -> DataFusionError {
    let name = |t: SqlType| match t {
        SqlType::Decimal(..) => "numeric",
        t => t.name(),
    };
    exec_datafusion_err!(
        "Arithmetic overflow error converting {} to data type {} (Msg 8115)",
        name(from),
        name(to)
    )
}

/// A number with another count of decimals.
pub(in crate::engine::functions) fn rescaled(n: i128, from: i8, to: i8) -> Option<i128> {
    let by = u32::from((to - from).unsigned_abs());
    if to >= from {
        return n.checked_mul(10_i128.checked_pow(by)?);
    }
    let Some(unit) = 10_i128.checked_pow(by) else { return Some(0) };
    // Half away from zero; the remainder decides, so that nothing overflows.
    let rest = n % unit;
    Some(n / unit + if rest.abs() >= unit - rest.abs() { n.signum() } else { 0 })
}

/// A float, of which only so many digits are meant as the type holds.
fn from_float(n: f64, scale: i8, real: bool) -> Option<i128> {
    let scale = usize::from(scale.unsigned_abs());
    let text = match real {
        true => format!("{:.6e}", n),
        false => format!("{:.16e}", n),
    };
    let exact: f64 = text.parse().ok()?;
    let text = format!("{exact:.*}", scale + 2);
    let (whole, decimals) = text.split_once('.')?;
    let digits: i128 = format!("{whole}{decimals}").parse().ok()?;
    rescaled(digits, 2, 0)
}

/// A decimal from text: nothing for what is none, and nothing within for one
/// that is too large. Money may have a currency sign and commas.
#[expect(clippy::option_option, reason = "two ways to fail")]
fn parse(text: &str, scale: i8, money: bool) -> Option<Option<i128>> {
    let mut rest = text.trim_matches(' ');
    if money && rest.is_empty() {
        return Some(Some(0));
    }
    let mut negative = false;
    for _ in 0..2 {
        rest = match rest.chars().next()? {
            '-' => {
                negative = true;
                &rest[1..]
            }
            '+' => &rest[1..],
            '$' if money => &rest[1..],
            _ => rest,
        };
    }
    let (whole, decimals) = rest.split_once('.').unwrap_or((rest, ""));
    let whole = if money { whole.replace(',', "") } else { whole.to_owned() };
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    if whole.len() + decimals.len() == 0 || !digits(&whole) || !digits(decimals) {
        return None;
    }
    let width = usize::from(scale.unsigned_abs());
    let kept = &decimals[..decimals.len().min(width)];
    let number = format!("{whole}{kept:0<width$}").parse::<i128>().ok();
    let up = decimals.as_bytes().get(width).is_some_and(|b| *b >= b'5');
    let number = number.and_then(|n| n.checked_add(up.into()));
    Some(number.map(|n| if negative { -n } else { n }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_round_half_away_from_zero() {
        assert_eq!(rescaled(15, 1, 0), Some(2));
        assert_eq!(rescaled(-15, 1, 0), Some(-2));
        assert_eq!(rescaled(14, 1, 0), Some(1));
        assert_eq!(rescaled(1, 0, 2), Some(100));
        assert_eq!(from_float(1.005, 2, false), Some(101), "a digit after the sixteenth is none");
        assert_eq!(from_float(2.5, 0, false), Some(3));
    }

    #[test]
    fn text_is_read_with_its_sign_and_digits() {
        assert_eq!(parse(" -1.255 ", 2, false), Some(Some(-126)));
        assert_eq!(parse(".5", 1, false), Some(Some(5)));
        assert_eq!(parse("5.", 1, false), Some(Some(50)));
        assert_eq!(parse("-$1,234.5", 4, true), Some(Some(-12_345_000)));
        assert_eq!(parse("", 2, false), None);
        assert_eq!(parse("", 4, true), Some(Some(0)));
        assert_eq!(parse("1e3", 2, false), None);
        assert_eq!(parse("1,000", 2, false), None);
    }
}
