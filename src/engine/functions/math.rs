//! Mathematical functions. Those that SQL Server computes with floats are one
//! table; what leaves the numbers is an error there, never an infinity.

use datafusion::arrow::array::ArrayRef;
use datafusion::common::Result;

use super::arguments::Kind::{Float, Int};
use super::definition::{Call, Definition, FLOAT, Gives, refused};

/// A function of one float.
macro_rules! of_float {
    ($name:literal, $function:expr) => {
        Definition {
            name: $name,
            arguments: &[Float],
            least: 1,
            most: 1,
            gives: FLOAT,
            compute: |call| float(call, $function),
        }
    };
}

/// A function of two floats.
macro_rules! of_floats {
    ($name:literal, $function:expr) => {
        Definition {
            name: $name,
            arguments: &[Float, Float],
            least: 2,
            most: 2,
            gives: FLOAT,
            compute: |call| floats(call, $function),
        }
    };
}

/// A function of a whole number and a count of bits.
macro_rules! of_bits {
    ($name:literal, $function:expr) => {
        Definition {
            name: $name,
            arguments: &[Int, Int],
            least: 2,
            most: 2,
            gives: Gives::This(datafusion::arrow::datatypes::DataType::Int64),
            compute: |call| bits(call, $function),
        }
    };
}

pub(super) static FUNCTIONS: &[Definition] = &[
    of_float!("sql_acos", f64::acos),
    of_float!("sql_asin", f64::asin),
    of_float!("sql_atan", f64::atan),
    of_float!("sql_cos", f64::cos),
    of_float!("sql_cot", |x| 1.0 / x.tan()),
    of_float!("sql_exp", f64::exp),
    of_float!("sql_log", f64::ln),
    of_float!("sql_log10", f64::log10),
    of_float!("sql_sin", f64::sin),
    of_float!("sql_sqrt", f64::sqrt),
    of_float!("square", |x| x * x),
    of_float!("sql_tan", f64::tan),
    of_floats!("atn2", f64::atan2),
    of_floats!("sql_log_base", |x, base| x.ln() / base.ln()),
    of_bits!("left_shift", shifted_left),
    of_bits!("right_shift", |number, bits| shifted_left(number, bits.checked_neg()?)),
    of_bits!("get_bit", |number, bit| Some(number >> u32::try_from(bit).ok()? & 1)),
    Definition {
        name: "bit_count",
        arguments: &[Int],
        least: 1,
        most: 1,
        gives: Gives::This(datafusion::arrow::datatypes::DataType::Int64),
        compute: |call| {
            let number = call.integers(0)?;
            call.bigint(|i| Ok(number.get(i).map(|n| n.count_ones().into())))
        },
    },
];

/// The result if it is a number.
fn checked(result: f64) -> Result<Option<f64>> {
    if result.is_finite() {
        return Ok(Some(result));
    }
    Err(refused("22003", "An invalid floating point operation occurred (Msg 3623)"))
}

fn float(call: &Call, function: fn(f64) -> f64) -> Result<ArrayRef> {
    let number = call.floats(0)?;
    call.float(|i| number.get(i).map_or(Ok(None), |x| checked(function(x))))
}

fn floats(call: &Call, function: fn(f64, f64) -> f64) -> Result<ArrayRef> {
    let (left, right) = (call.floats(0)?, call.floats(1)?);
    call.float(|i| match (left.get(i), right.get(i)) {
        (Some(left), Some(right)) => checked(function(left, right)),
        _ => Ok(None),
    })
}

fn bits(call: &Call, function: fn(i64, i64) -> Option<i64>) -> Result<ArrayRef> {
    let (number, count) = (call.integers(0)?, call.integers(1)?);
    call.bigint(|i| {
        let (Some(number), Some(count)) = (number.get(i), count.get(i)) else { return Ok(None) };
        function(number, count).map(Some).ok_or_else(|| {
            let message = format!("Invalid parameter 2 of {}: {count} (Msg 1023)", call.name);
            refused("22023", message)
        })
    })
}

/// Bits moved to the left, or to the right by a negative count; none come back.
fn shifted_left(number: i64, bits: i64) -> Option<i64> {
    let count = u32::try_from(bits.unsigned_abs()).unwrap_or(u32::MAX);
    let shifted = if bits < 0 {
        (number as u64).checked_shr(count)
    } else {
        (number as u64).checked_shl(count)
    };
    Some(shifted.unwrap_or(0) as i64)
}
