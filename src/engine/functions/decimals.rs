//! Arithmetic of decimals and money, with SQL Server's rules for the digits of a
//! result. Intermediate values have 256 bits, so only results can overflow.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Decimal128Array};
use datafusion::arrow::datatypes::{DataType, Decimal128Type, i256};
use datafusion::common::Result;

use super::convert;
use super::operators::{Arithmetic, divided_by_zero};
use super::types::SqlType;

/// The type of an operation on two decimal types.
pub(super) fn result(op: Arithmetic, left: SqlType, right: SqlType) -> SqlType {
    let digits = |t: SqlType| {
        let (precision, scale) = t.digits().unwrap_or((18, 0));
        (i16::from(precision), i16::from(scale))
    };
    let ((p1, s1), (p2, s2)) = (digits(left), digits(right));
    match op {
        Arithmetic::Multiply => SqlType::capped(p1 + p2 + 1, s1 + s2, 6),
        Arithmetic::Divide => {
            let scale = (s1 + p2 + 1).max(6);
            SqlType::capped(p1 - s1 + s2 + scale, scale, 6)
        }
        Arithmetic::Modulo => {
            let scale = s1.max(s2);
            SqlType::capped((p1 - s1).min(p2 - s2) + scale, scale, scale)
        }
        _ => {
            let scale = s1.max(s2);
            // Sums keep the digits before the point first.
            SqlType::capped((p1 - s1).max(p2 - s2) + scale + 1, scale, 0)
        }
    }
}

fn power(exponent: i64) -> i256 {
    let exponent = u32::try_from(exponent.clamp(0, 76)).unwrap_or(0);
    i256::from_i128(10).wrapping_pow(exponent)
}

/// A number with fewer decimals: rounded half away from zero, or cut off.
fn shortened(n: i256, by: i64, rounds: bool) -> i256 {
    if by <= 0 {
        return n;
    }
    let unit = power(by);
    let (whole, rest) = (n.wrapping_div(unit), n.wrapping_rem(unit));
    let half = unit.wrapping_div(i256::from_i128(2));
    if !rounds || rest.wrapping_abs() < half {
        return whole;
    }
    let one = if n.is_negative() { i256::MINUS_ONE } else { i256::ONE };
    whole.wrapping_add(one)
}

/// Computes row by row; an operand of one value is the same for all rows.
pub(super) fn compute(
    op: Arithmetic,
    operands: [&ArrayRef; 2],
    rows: usize,
    result: SqlType,
) -> Result<ArrayRef> {
    let scale = |array: &ArrayRef| match array.data_type() {
        DataType::Decimal128(_, scale) => i64::from(*scale),
        _ => 0,
    };
    let [left, right] = operands;
    let (s1, s2) = (scale(left), scale(right));
    let (precision, s) = result.digits().unwrap_or((38, 0));
    let s = i64::from(s);
    let (left, right) =
        (left.as_primitive::<Decimal128Type>(), right.as_primitive::<Decimal128Type>());
    let value = |array: &Decimal128Array, row: usize| {
        let row = if array.len() == 1 { 0 } else { row };
        array.is_valid(row).then(|| i256::from_i128(array.value(row)))
    };
    let limit = 10_i128.checked_pow(precision.into()).unwrap_or(i128::MAX);
    let of_row = |row: usize| -> Result<Option<i128>> {
        let (Some(a), Some(b)) = (value(left, row), value(right, row)) else { return Ok(None) };
        let zero = b == i256::ZERO && matches!(op, Arithmetic::Divide | Arithmetic::Modulo);
        if zero {
            return Err(divided_by_zero());
        }
        let common = s1.max(s2);
        let same = |n: i256, scale: i64| n.checked_mul(power(common - scale));
        let number = match op {
            Arithmetic::Multiply => a.checked_mul(b).map(|n| shortened(n, s1 + s2 - s, true)),
            Arithmetic::Divide => {
                // a / 10^s1 / (b / 10^s2) with s decimals, cut off.
                let up = s + s2 - s1;
                let scaled = a.checked_mul(power(up));
                scaled.and_then(|n| n.checked_div(b)).map(|n| shortened(n, -up, false))
            }
            _ => same(a, s1).zip(same(b, s2)).and_then(|(a, b)| {
                let n = match op {
                    Arithmetic::Subtract => a.checked_sub(b),
                    Arithmetic::Modulo => a.checked_rem(b),
                    _ => a.checked_add(b),
                };
                n.map(|n| shortened(n, common - s, true))
            }),
        };
        let number = number.and_then(i256::to_i128).filter(|n| n.abs() < limit);
        number.map(Some).ok_or_else(|| convert::overflow(result))
    };
    let numbers: Decimal128Array = (0..rows).map(of_row).collect::<Result<_>>()?;
    let DataType::Decimal128(precision, scale) = result.arrow() else {
        return Ok(Arc::new(numbers));
    };
    Ok(Arc::new(numbers.with_precision_and_scale(precision, scale)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Arithmetic::{Add, Divide, Modulo, Multiply};
    use SqlType::Decimal;

    #[test]
    fn results_have_sql_servers_digits() {
        for (op, left, right, expected) in [
            (Add, Decimal(5, 2), Decimal(7, 3), Decimal(8, 3)),
            (Add, Decimal(38, 10), Decimal(38, 10), Decimal(38, 9)),
            (Multiply, Decimal(5, 2), Decimal(7, 3), Decimal(13, 5)),
            (Multiply, Decimal(38, 10), Decimal(38, 10), Decimal(38, 6)),
            (Divide, Decimal(2, 1), Decimal(1, 0), Decimal(7, 6)),
            (Divide, Decimal(10, 0), Decimal(10, 0), Decimal(21, 11)),
            (Divide, Decimal(38, 10), Decimal(38, 10), Decimal(38, 6)),
            (Modulo, Decimal(5, 2), Decimal(7, 3), Decimal(6, 3)),
        ] {
            assert_eq!(result(op, left, right), expected, "{op:?} {left:?} {right:?}");
        }
    }

    #[test]
    fn quotients_are_cut_off_and_products_rounded() {
        let one = |value: i128, precision, scale| -> ArrayRef {
            let array = Decimal128Array::from(vec![value]);
            Arc::new(array.with_precision_and_scale(precision, scale).expect("fits"))
        };
        let answer = |op, left: &ArrayRef, right: &ArrayRef, result| {
            compute(op, [left, right], 1, result)
                .map(|array| array.as_primitive::<Decimal128Type>().value(0))
        };
        let quotient = answer(Divide, &one(20, 2, 1), &one(3, 1, 0), Decimal(8, 6));
        assert_eq!(quotient.expect("computed"), 666_666);
        let product = answer(Multiply, &one(15, 2, 1), &one(15, 2, 1), Decimal(5, 1));
        assert_eq!(product.expect("computed"), 23);
        let error = answer(Divide, &one(1, 1, 0), &one(0, 1, 0), Decimal(8, 6));
        assert!(error.expect_err("by zero").to_string().contains("Msg 8134"));
        let error = answer(Add, &one(9, 1, 0), &one(9, 1, 0), Decimal(1, 0));
        assert!(error.expect_err("too large").to_string().contains("Msg 8115"));
    }
}
