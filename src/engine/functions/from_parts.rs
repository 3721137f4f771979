//! `DATEFROMPARTS` and its like: dates and times made of numbers.

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::ReturnFieldArgs;

use super::arguments::Kind::{Constant, Int};
use super::arguments::{TIME, TIME_OF_DAY, Values};
use super::calendar::{
    self, DAY_ZERO, MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND,
};
use super::definition::{Call, Definition, Gives, refused};
use super::zones::{self, Zone};

/// A function of this many numbers.
macro_rules! of_numbers {
    ($name:literal, $count:literal, $gives:expr, $make:expr) => {
        Definition {
            name: $name,
            arguments: &[Int],
            least: $count,
            most: $count,
            gives: $gives,
            compute: |call| made(call, $make),
        }
    };
}

pub(super) static FUNCTIONS: &[Definition] = &[
    of_numbers!("datefromparts", 3, Gives::This(DataType::Date32), |n| date(n, 1)),
    of_numbers!("datetimefromparts", 7, Gives::This(TIME), |n| {
        let millis = Some(n[6]).filter(|millis| (0..1_000).contains(millis))?;
        // 300 ticks a second.
        let ticks = (millis * 3 + 5) / 10;
        Some(date(n, 1753)? + of_day(&n[3..])? + (ticks * 20 + 3) / 6 * 1_000)
    }),
    of_numbers!("smalldatetimefromparts", 5, Gives::This(TIME), |n| {
        let date = date(n, 1900).filter(|_| n[0] <= 2079)?;
        Some(date + of_day(&[n[3], n[4], 0])?)
    }),
    of_numbers!("datetime2fromparts", 8, Gives::This(TIME), |n| {
        Some(date(n, 1)? + of_day(&n[3..])? + fraction(n[6], n[7])?)
    }),
    of_numbers!("timefromparts", 5, Gives::This(TIME_OF_DAY), |n| {
        Some(of_day(n)? + fraction(n[3], n[4])? + DAY_ZERO * MICROS_PER_DAY)
    }),
    Definition {
        name: "datetimeoffsetfromparts",
        arguments: &[Int, Int, Int, Int, Int, Int, Int, Constant, Constant, Int],
        least: 10,
        most: 10,
        gives: Gives::By(with_offset),
        compute: |call| {
            made(call, |n| {
                offset(n[7], n[8])?;
                Some(date(n, 1)? + of_day(&n[3..])? + fraction(n[6], n[9])?)
            })
        },
    },
];

/// Midnight of year, month and day.
fn date(numbers: &[i64], first_year: i64) -> Option<i64> {
    let [year, month, day] = *numbers.first_chunk()?;
    let valid = (first_year..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=calendar::days_in_month(year, month)).contains(&day);
    valid.then(|| calendar::day(year, month, day) * MICROS_PER_DAY)
}

/// Hour, minute and second.
fn of_day(numbers: &[i64]) -> Option<i64> {
    let [hour, minute, second] = *numbers.first_chunk()?;
    let valid = (0..24).contains(&hour) && (0..60).contains(&minute) && (0..60).contains(&second);
    valid.then(|| hour * MICROS_PER_HOUR + minute * MICROS_PER_MINUTE + second * MICROS_PER_SECOND)
}

/// Fractions of a second of so many digits.
fn fraction(fractions: i64, digits: i64) -> Option<i64> {
    let digits = u32::try_from(digits).ok().filter(|digits| *digits <= 7)?;
    let unit = 10_i64.pow(digits);
    (0..unit).contains(&fractions).then(|| fractions * MICROS_PER_SECOND / unit)
}

/// Hours and minutes of one sign, in minutes.
fn offset(hours: i64, minutes: i64) -> Option<i64> {
    let valid = hours.abs() <= 14
        && minutes.abs() < 60
        && hours * minutes >= 0
        && (hours * 60 + minutes).abs() <= 14 * 60;
    valid.then_some(hours * 60 + minutes)
}

/// The offset is the column's, so it has to be a constant.
fn with_offset(args: &ReturnFieldArgs) -> Result<DataType> {
    let constant = |argument: usize| match args.scalar_arguments.get(argument) {
        Some(Some(value)) => match value.cast_to(&DataType::Int64) {
            Ok(ScalarValue::Int64(number)) => Some(number.unwrap_or(0)),
            _ => None,
        },
        _ => None,
    };
    let (Some(hours), Some(minutes)) = (constant(7), constant(8)) else {
        let message = "DATETIMEOFFSETFROMPARTS with an offset that is not a constant is not \
                       supported";
        return Err(refused("0A000", message));
    };
    Ok(zones::type_in(Zone::Fixed(offset(hours, minutes).unwrap_or(0))))
}

fn made(call: &Call, make: fn(&[i64]) -> Option<i64>) -> Result<ArrayRef> {
    let arguments: Vec<Values<i64>> =
        (0..call.count()).map(|argument| call.integers(argument)).collect::<Result<_>>()?;
    let mut numbers = Vec::with_capacity(arguments.len());
    call.moments(|i| {
        numbers.clear();
        numbers.extend(arguments.iter().map_while(|argument| argument.get(i)));
        if numbers.len() < arguments.len() {
            return Ok(None);
        }
        make(&numbers).map(Some).ok_or_else(|| {
            let message = format!(
                "Cannot construct data type {}, some of the arguments have values which are not \
                 valid (Msg 289)",
                call.name.trim_end_matches("fromparts")
            );
            refused("22008", message)
        })
    })
}
