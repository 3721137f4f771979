//! `ABS`, `CEILING`, `FLOOR`, `SIGN`, `POWER`, `DEGREES`, `RADIANS` and `~`, which
//! give the type of number that they are given.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Decimal128Array};
use datafusion::arrow::compute::kernels::boolean::not;
use datafusion::arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, Field, Float64Type, Int16Type, Int32Type,
    Int64Type, UInt8Type,
};
use datafusion::common::{Result, internal_err, plan_err};
use datafusion::logical_expr::ReturnFieldArgs;

use super::SqlType;
use super::arguments::Kind::{Any, Float, Number};
use super::definition::{Call, Definition, Gives, overflow, refused};

/// A function of a number, for each kind of number.
struct Kept {
    /// Of a number that is so many units of the scale; the unit is given too.
    exact: fn(i128, i128) -> Option<i128>,
    float: fn(f64) -> f64,
    /// Whether it gives whole numbers.
    whole: bool,
}

const ABS: Kept = Kept { exact: |n, _| n.checked_abs(), float: f64::abs, whole: false };
const SIGN: Kept = Kept {
    exact: |n, unit| n.signum().checked_mul(unit),
    float: |n| if n == 0.0 { 0.0 } else { n.signum() },
    whole: false,
};
const CEILING: Kept =
    Kept { exact: |n, unit| Some(-(-n).div_euclid(unit)), float: f64::ceil, whole: true };
const FLOOR: Kept =
    Kept { exact: |n, unit| Some(n.div_euclid(unit)), float: f64::floor, whole: true };

pub(super) static FUNCTIONS: &[Definition] = &[
    Definition {
        name: "sql_abs",
        arguments: &[Number],
        least: 1,
        most: 1,
        gives: Gives::By(|args| Ok(given(args))),
        compute: |call| kept(call, &ABS),
    },
    Definition {
        name: "sql_sign",
        arguments: &[Number],
        least: 1,
        most: 1,
        gives: Gives::By(|args| Ok(widest(args, None))),
        compute: |call| kept(call, &SIGN),
    },
    Definition {
        name: "sql_ceiling",
        arguments: &[Number],
        least: 1,
        most: 1,
        gives: Gives::By(|args| Ok(whole(args))),
        compute: |call| kept(call, &CEILING),
    },
    Definition {
        name: "sql_floor",
        arguments: &[Number],
        least: 1,
        most: 1,
        gives: Gives::By(|args| Ok(whole(args))),
        compute: |call| kept(call, &FLOOR),
    },
    Definition {
        name: "sql_bitwise_not",
        arguments: &[Any],
        least: 1,
        most: 1,
        gives: Gives::By(|args| inverted(&args.arg_fields[0])),
        compute: bitwise_not,
    },
    Definition {
        name: "sql_power",
        arguments: &[Number, Float],
        least: 2,
        most: 2,
        gives: Gives::By(|args| Ok(widest(args, None))),
        compute: power,
    },
    Definition {
        name: "sql_degrees",
        arguments: &[Number],
        least: 1,
        most: 1,
        gives: Gives::By(|args| Ok(widest(args, Some(18)))),
        compute: |call| by_float(call, |n, _| n.to_degrees()),
    },
    Definition {
        name: "sql_radians",
        arguments: &[Number],
        least: 1,
        most: 1,
        gives: Gives::By(|args| Ok(widest(args, Some(18)))),
        compute: |call| by_float(call, |n, _| n.to_radians()),
    },
];

/// The type of the number; that of money is `money`, however small.
fn given(args: &ReturnFieldArgs) -> DataType {
    match is_money(args) {
        true => SqlType::Money.arrow(),
        false => args.arg_fields[0].data_type().clone(),
    }
}

fn is_money(args: &ReturnFieldArgs) -> bool {
    matches!(SqlType::of(&args.arg_fields[0]), SqlType::Money | SqlType::SmallMoney)
}

/// A decimal without decimals.
fn whole(args: &ReturnFieldArgs) -> DataType {
    match given(args) {
        DataType::Decimal128(precision, _) if !is_money(args) => DataType::Decimal128(precision, 0),
        other => other,
    }
}

/// A decimal of all digits, of its own or another scale.
fn widest(args: &ReturnFieldArgs, scale: Option<i8>) -> DataType {
    match given(args) {
        DataType::Decimal128(_, own) if !is_money(args) => {
            DataType::Decimal128(DECIMAL128_MAX_PRECISION, scale.unwrap_or(own))
        }
        other => other,
    }
}

fn kept(call: &Call, function: &Kept) -> Result<ArrayRef> {
    let array = call.array(0)?;
    match array.data_type() {
        DataType::Int32 => {
            let numbers = array.as_primitive::<Int32Type>();
            call.int(|i| {
                let number = numbers.is_valid(i).then(|| numbers.value(i).into());
                exact(function, number, 1)?.map_or(Ok(None), |n| int(n).map(Some))
            })
        }
        DataType::Int64 => {
            let numbers = array.as_primitive::<Int64Type>();
            call.bigint(|i| {
                let number = numbers.is_valid(i).then(|| numbers.value(i).into());
                exact(function, number, 1)?.map_or(Ok(None), |n| bigint(n).map(Some))
            })
        }
        DataType::Decimal128(_, scale) => {
            let given = unit(*scale);
            // CEILING and FLOOR count in whole numbers, unless they give money.
            let wanted = match call.return_type() {
                DataType::Decimal128(_, wanted) if function.whole => unit(*wanted),
                _ => 1,
            };
            let numbers = array.as_primitive::<Decimal128Type>();
            decimals(call, |i| {
                let number = numbers.is_valid(i).then(|| numbers.value(i));
                Ok(exact(function, number, given)?.map(|n| n * wanted))
            })
        }
        DataType::Float64 => {
            let numbers = array.as_primitive::<Float64Type>();
            call.float(|i| Ok(numbers.is_valid(i).then(|| (function.float)(numbers.value(i)))))
        }
        other => internal_err!("{} of {other}", call.name),
    }
}

fn exact(function: &Kept, number: Option<i128>, unit: i128) -> Result<Option<i128>> {
    let Some(number) = number else { return Ok(None) };
    (function.exact)(number, unit).map(Some).ok_or_else(|| overflow("numeric"))
}

fn int(number: i128) -> Result<i32> {
    number.try_into().map_err(|_| overflow("int"))
}

fn bigint(number: i128) -> Result<i64> {
    number.try_into().map_err(|_| overflow("bigint"))
}

fn unit(scale: i8) -> i128 {
    10_i128.pow(u32::try_from(scale).unwrap_or(0))
}

/// A column of the decimal type that the function gives.
fn decimals(call: &Call, each: impl FnMut(usize) -> Result<Option<i128>>) -> Result<ArrayRef> {
    let array = call.rows().map(each).collect::<Result<Decimal128Array>>()?;
    Ok(Arc::new(array.with_data_type(call.return_type().clone())))
}

/// The type of `~`: that of the whole number.
fn inverted(field: &Field) -> Result<DataType> {
    let kind = SqlType::of(field);
    match kind {
        SqlType::Null => Ok(DataType::Int32),
        kind if kind.is_integer() || kind == SqlType::Bit => Ok(kind.arrow()),
        _ => plan_err!(
            "Argument data type {} is invalid for argument 1 of '~' operator (Msg 8116)",
            kind.name()
        ),
    }
}

/// `~`: all bits turned.
fn bitwise_not(call: &Call) -> Result<ArrayRef> {
    let array = datafusion::arrow::compute::cast(&call.array(0)?, call.return_type())?;
    Ok(match array.data_type() {
        DataType::Boolean => Arc::new(not(array.as_boolean())?),
        DataType::UInt8 => {
            Arc::new(array.as_primitive::<UInt8Type>().unary::<_, UInt8Type>(|n| !n))
        }
        DataType::Int16 => {
            Arc::new(array.as_primitive::<Int16Type>().unary::<_, Int16Type>(|n| !n))
        }
        DataType::Int32 => {
            Arc::new(array.as_primitive::<Int32Type>().unary::<_, Int32Type>(|n| !n))
        }
        DataType::Int64 => {
            Arc::new(array.as_primitive::<Int64Type>().unary::<_, Int64Type>(|n| !n))
        }
        other => return internal_err!("~ of {other}"),
    })
}

/// `POWER`: a whole number to a whole power is exact.
fn power(call: &Call) -> Result<ArrayRef> {
    if let (DataType::Int32 | DataType::Int64, exponents) = (call.type_of(0), call.floats(1)?) {
        let (numbers, small) = (whole_numbers(call)?, call.type_of(0) == DataType::Int32);
        let raised = |i: usize| -> Result<Option<i128>> {
            let (Some(base), Some(exponent)) = (numbers[i], exponents.get(i)) else {
                return Ok(None);
            };
            raised(base, exponent, if small { "int" } else { "bigint" }).map(Some)
        };
        return match small {
            true => call.int(|i| raised(i)?.map_or(Ok(None), |n| int(n).map(Some))),
            false => call.bigint(|i| raised(i)?.map_or(Ok(None), |n| bigint(n).map(Some))),
        };
    }
    by_float(call, f64::powf)
}

fn whole_numbers(call: &Call) -> Result<Vec<Option<i64>>> {
    let array = datafusion::arrow::compute::cast(&call.array(0)?, &DataType::Int64)?;
    Ok(array.as_primitive::<Int64Type>().iter().collect())
}

fn raised(base: i64, exponent: f64, to: &str) -> Result<i128> {
    if exponent >= 0.0 && exponent.fract() == 0.0 {
        let exponent =
            if base.unsigned_abs() < 2 { exponent.min(2.0 + exponent % 2.0) } else { exponent };
        let exact = i128::from(base).checked_pow(exponent as u32);
        return exact.ok_or_else(|| overflow(to));
    }
    let raised = finite((base as f64).powf(exponent))?;
    Ok(raised.trunc() as i128)
}

fn finite(result: f64) -> Result<f64> {
    if result.is_finite() {
        return Ok(result);
    }
    Err(refused("22003", "An invalid floating point operation occurred (Msg 3623)"))
}

/// Computed with floats and put into the type of the number.
fn by_float(call: &Call, function: fn(f64, f64) -> f64) -> Result<ArrayRef> {
    let array = datafusion::arrow::compute::cast(&call.array(0)?, &DataType::Float64)?;
    let numbers = array.as_primitive::<Float64Type>();
    let second = (call.count() > 1).then(|| call.floats(1)).transpose()?;
    let computed = |i: usize| -> Result<Option<f64>> {
        let second = second.as_ref().map_or(Some(0.0), |second| second.get(i));
        match second.filter(|_| numbers.is_valid(i)) {
            Some(second) => finite(function(numbers.value(i), second)).map(Some),
            None => Ok(None),
        }
    };
    match call.return_type() {
        DataType::Int32 => {
            call.int(|i| computed(i)?.map_or(Ok(None), |n| int(n.trunc() as i128).map(Some)))
        }
        DataType::Int64 => {
            call.bigint(|i| computed(i)?.map_or(Ok(None), |n| bigint(n.trunc() as i128).map(Some)))
        }
        DataType::Decimal128(precision, scale) => {
            let (unit, limit) = (unit(*scale) as f64, 10_f64.powi((*precision).into()));
            decimals(call, |i| {
                let Some(number) = computed(i)? else { return Ok(None) };
                // The nearest decimal of what a float holds, not of its noise.
                let scaled = format!("{:.15e}", number * unit).parse().unwrap_or(number * unit);
                let scaled = f64::round(scaled);
                if scaled.abs() >= limit {
                    return Err(overflow("numeric"));
                }
                Ok(Some(scaled as i128))
            })
        }
        _ => call.float(computed),
    }
}
