//! `FORMAT(value, format[, culture])` with the standard and custom formats of
//! .NET, for numbers and times. A format that is none gives null.

mod cultures;
mod decimals;
mod numbers;
mod pictures;
mod times;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Decimal128Type, Float64Type, Int64Type, Time64MicrosecondType,
};
use datafusion::common::Result;

use self::cultures::Culture;
pub(super) use self::decimals::Decimals;
use super::arguments::Kind::{Any, Text};
use super::arguments::{Values, type_name};
use super::definition::{Call, Definition, TEXT, refused};
use super::zones;

pub(super) static FUNCTIONS: &[Definition] = &[Definition {
    name: "format",
    arguments: &[Any, Text, Text],
    least: 2,
    most: 3,
    gives: TEXT,
    compute: format,
}];

/// A column of values that can be formatted.
pub(super) enum Formatted {
    /// Numbers; the flag says that they are whole.
    Numbers(Vec<Option<Decimals>>, bool),
    /// What clocks show, and the offset from UTC of each in minutes.
    Times(Values<i64>, Vec<Option<i64>>),
    TimesOfDay(Vec<Option<i64>>),
}

fn format(call: &Call) -> Result<ArrayRef> {
    if call.type_of(0).is_null() {
        return call.text(|_| Ok(None::<&str>));
    }
    let values = formatted(call)?;
    let (formats, cultures) = (call.texts(1)?, call.texts_if(2)?);
    call.text(|i| {
        let culture = cultures.as_ref().map_or(Some("en-US"), |cultures| cultures.get(i));
        let (Some(format), Some(name)) = (formats.get(i), culture) else { return Ok(None) };
        let Some(culture) = Culture::named(name) else {
            let message = format!(
                "The culture parameter '{name}' provided in the function call is not supported \
                 (Msg 9818)"
            );
            return Err(refused("22023", message));
        };
        Ok(match &values {
            Formatted::Numbers(numbers, whole) => numbers[i]
                .as_ref()
                .and_then(|number| numbers::written(number, *whole, format, culture)),
            Formatted::Times(times, offsets) => {
                times.get(i).and_then(|time| times::written(time, offsets[i], format, culture))
            }
            Formatted::TimesOfDay(micros) => {
                micros[i].and_then(|micros| times::written_of_day(micros, format))
            }
        })
    })
}

/// The first argument, if it can be formatted.
pub(super) fn formatted(call: &Call) -> Result<Formatted> {
    let array = call.array(0)?;
    Ok(match array.data_type() {
        DataType::Decimal128(_, scale) => {
            let numbers = array.as_primitive::<Decimal128Type>();
            let number =
                |i| numbers.is_valid(i).then(|| Decimals::scaled(numbers.value(i), *scale));
            Formatted::Numbers(call.rows().map(number).collect(), false)
        }
        DataType::Float32 | DataType::Float64 => {
            let array = cast(&array, &DataType::Float64)?;
            let numbers = array.as_primitive::<Float64Type>();
            Formatted::Numbers(numbers.iter().map(|n| n.map(Decimals::of_float)).collect(), false)
        }
        given if given.is_integer() => {
            let array = cast(&array, &DataType::Int64)?;
            let numbers = array.as_primitive::<Int64Type>().iter();
            let whole = numbers.map(|n| n.map(|n| Decimals::scaled(n.into(), 0)));
            Formatted::Numbers(whole.collect(), true)
        }
        DataType::Time32(_) | DataType::Time64(_) => {
            let array = cast(&array, &super::arguments::TIME_OF_DAY)?;
            Formatted::TimesOfDay(array.as_primitive::<Time64MicrosecondType>().iter().collect())
        }
        DataType::Date32 | DataType::Timestamp(..) => {
            let micros = match array.data_type() {
                DataType::Timestamp(_, zone) => DataType::Timestamp(
                    datafusion::arrow::datatypes::TimeUnit::Microsecond,
                    zone.clone(),
                ),
                other => other.clone(),
            };
            let zone = zones::zone_of(&micros);
            let array = cast(&array, &micros)?;
            let utc = super::arguments::times(&array.into())?;
            let offset = |i| Some(zone?.minutes_at(utc.get(i)?));
            let offsets = call.rows().map(offset).collect();
            let local = |i| utc.get(i).map(|time| zone.map_or(time, |zone| zone.to_local(time)));
            Formatted::Times(Values::Many(call.rows().map(local).collect()), offsets)
        }
        other => {
            let message = format!(
                "Argument data type {} is invalid for argument 1 of {} function (Msg 8116)",
                type_name(other),
                call.name
            );
            return Err(refused("42883", message));
        }
    })
}
