//! SQL Server's date functions. `DATEDIFF` counts the boundaries crossed, not
//! the units elapsed; weeks turn on Sunday; adding months stops at the month's
//! last day; what leaves the years 1 to 9999 is an error.

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, Result};

use super::arguments::Kind::{Any, Int, Part, Time};
use super::arguments::{TIME_OF_DAY, type_name};
use super::calendar::{
    self, Date, MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND, day_of,
};
use super::convert::round_datetime;
use super::definition::{Call, Definition, Gives, INT, TEXT, refused};
use super::zones::{self, offset_text};
use super::{DatePart, SqlType};

/// The day that weeks start on, which may be given as a last argument, from 1
/// for Monday to 7, unless `SET DATEFIRST` says otherwise.
const DATEFIRST: i64 = 7;

pub(super) static FUNCTIONS: &[Definition] = &[
    Definition {
        name: "datediff",
        arguments: &[Part, Time, Time],
        least: 3,
        most: 3,
        gives: INT,
        compute: |call| {
            let difference = difference(call)?;
            call.int(|i| checked(difference(i), call.name, |d| i32::try_from(d).ok()))
        },
    },
    Definition {
        name: "datediff_big",
        arguments: &[Part, Time, Time],
        least: 3,
        most: 3,
        gives: Gives::This(DataType::Int64),
        compute: |call| {
            let difference = difference(call)?;
            call.bigint(|i| checked(difference(i), call.name, Some))
        },
    },
    Definition {
        name: "dateadd",
        arguments: &[Part, Int, Time],
        least: 3,
        most: 3,
        gives: Gives::TimeOf(2),
        compute: add,
    },
    Definition {
        name: "datepart",
        arguments: &[Part, Time, Int],
        least: 2,
        most: 3,
        gives: INT,
        compute: part,
    },
    Definition {
        name: "datename",
        arguments: &[Part, Time, Int],
        least: 2,
        most: 3,
        gives: TEXT,
        compute: name,
    },
    Definition {
        name: "datetrunc",
        arguments: &[Part, Time, Int],
        least: 2,
        most: 3,
        gives: Gives::TimeOf(1),
        compute: trunc,
    },
    Definition {
        name: "date_bucket",
        arguments: &[Part, Int, Time, Time],
        least: 3,
        most: 4,
        gives: Gives::TimeOf(2),
        compute: bucket,
    },
    Definition {
        name: "eomonth",
        arguments: &[Time, Int],
        least: 1,
        most: 2,
        gives: Gives::This(DataType::Date32),
        compute: end_of_month,
    },
    Definition {
        name: "isdate",
        arguments: &[Any],
        least: 1,
        most: 1,
        gives: INT,
        compute: is_date,
    },
];

/// Refuses parts that the type of an argument lacks.
fn check(call: &Call, part: DatePart, argument: usize) -> Result<()> {
    let given = call.type_of(argument);
    let lacks = match given {
        DataType::Date32 => part.is_of_day() || part == DatePart::TzOffset,
        TIME_OF_DAY => !part.is_of_day(),
        DataType::Timestamp(_, Some(_)) => false,
        _ => part == DatePart::TzOffset,
    };
    if !lacks {
        return Ok(());
    }
    let message = format!(
        "The datepart {} is not supported by date function {} for data type {} (Msg 9810)",
        part.name(),
        call.name,
        type_name(&given)
    );
    Err(refused("22023", message))
}

fn unsupported(part: DatePart, function: &str) -> DataFusionError {
    let message = format!(
        "The datepart {} is not supported by date function {function} (Msg 9806)",
        part.name()
    );
    refused("22023", message)
}

/// Boundaries between two times; `None` where that is beyond a `bigint`.
fn difference(call: &Call) -> Result<impl Fn(usize) -> Option<Option<i64>> + use<>> {
    let part = call.part()?;
    if matches!(part, DatePart::IsoWeek | DatePart::TzOffset) {
        return Err(unsupported(part, call.name));
    }
    // Offsets do not count: what has one is compared as an instant.
    let from = super::arguments::times(call.value(1))?;
    let to = super::arguments::times(call.value(2))?;
    Ok(move |i| {
        let (from, to) = (from.get(i)?, to.get(i)?);
        if part == DatePart::Nanosecond {
            return Some(to.checked_sub(from).and_then(|micros| micros.checked_mul(1_000)));
        }
        Some(boundary(part, to).checked_sub(boundary(part, from)))
    })
}

fn checked<T>(
    difference: Option<Option<i64>>,
    function: &str,
    fit: impl Fn(i64) -> Option<T>,
) -> Result<Option<T>> {
    let Some(difference) = difference else { return Ok(None) };
    difference.and_then(fit).map(Some).ok_or_else(|| {
        let message = format!(
            "The {function} function resulted in an overflow. The number of dateparts separating \
             two date/time instances is too large. Try to use {function} with a less precise \
             datepart (Msg 535)"
        );
        refused("22003", message)
    })
}

/// How many boundaries of a part lie before an instant.
fn boundary(part: DatePart, time: i64) -> i64 {
    let day = day_of(time);
    let date = || calendar::date(day);
    match part {
        DatePart::Year => date().year,
        DatePart::Quarter => date().year * 4 + (date().month - 1) / 3,
        DatePart::Month => date().year * 12 + date().month,
        DatePart::Week | DatePart::IsoWeek => calendar::week(day),
        DatePart::Hour => time.div_euclid(MICROS_PER_HOUR),
        DatePart::Minute => time.div_euclid(MICROS_PER_MINUTE),
        DatePart::Second => time.div_euclid(MICROS_PER_SECOND),
        DatePart::Millisecond => time.div_euclid(1_000),
        DatePart::Microsecond | DatePart::Nanosecond => time,
        DatePart::Day | DatePart::DayOfYear | DatePart::Weekday | DatePart::TzOffset => day,
    }
}

fn add(call: &Call) -> Result<ArrayRef> {
    let part = call.part()?;
    if matches!(part, DatePart::IsoWeek | DatePart::TzOffset) {
        return Err(unsupported(part, call.name));
    }
    check(call, part, 2)?;
    let (numbers, times) = (call.integers(1)?, call.times(2)?);
    let to = type_name(call.return_type());
    // Shorter steps than a `datetime` has.
    let kind = call.sql_type(2);
    let rounds = part == DatePart::Millisecond && (kind == SqlType::DateTime || kind.is_text());
    let to_minutes = kind == SqlType::SmallDateTime;
    call.moments(|i| {
        let (Some(number), Some(time)) = (numbers.get(i), times.get(i)) else { return Ok(None) };
        let Ok(number) = i32::try_from(number) else {
            return Err(super::definition::overflow("int"));
        };
        let sum = added(part, number.into(), time);
        let shown = |sum: i64| match (rounds, to_minutes) {
            (true, _) => round_datetime(sum),
            (_, true) => {
                sum + MICROS_PER_MINUTE / 2
                    - (sum + MICROS_PER_MINUTE / 2).rem_euclid(MICROS_PER_MINUTE)
            }
            _ => sum,
        };
        sum.map(|sum| Some(shown(sum))).ok_or_else(|| {
            let message = format!("Adding a value to a '{to}' column caused an overflow (Msg 517)");
            refused("22003", message)
        })
    })
}

/// Year and month so many months later, within the years 1 to 9999.
pub(super) fn add_months(year: i64, month: i64, months: i64) -> Option<(i64, i64)> {
    let index = (year * 12 + month - 1).checked_add(months)?;
    let year = index.div_euclid(12);
    (1..=9999).contains(&year).then(|| (year, index.rem_euclid(12) + 1))
}

/// The length of a part in microseconds, or in months.
enum Length {
    Micros(i64),
    Months(i64),
}

fn length(part: DatePart) -> Length {
    match part {
        DatePart::Year => Length::Months(12),
        DatePart::Quarter => Length::Months(3),
        DatePart::Month => Length::Months(1),
        DatePart::Week | DatePart::IsoWeek => Length::Micros(7 * MICROS_PER_DAY),
        DatePart::Hour => Length::Micros(MICROS_PER_HOUR),
        DatePart::Minute => Length::Micros(MICROS_PER_MINUTE),
        DatePart::Second => Length::Micros(MICROS_PER_SECOND),
        DatePart::Millisecond => Length::Micros(1_000),
        DatePart::Microsecond | DatePart::Nanosecond => Length::Micros(1),
        DatePart::Day | DatePart::DayOfYear | DatePart::Weekday | DatePart::TzOffset => {
            Length::Micros(MICROS_PER_DAY)
        }
    }
}

fn added(part: DatePart, number: i64, time: i64) -> Option<i64> {
    let number = if part == DatePart::Nanosecond { number / 1_000 } else { number };
    let sum = match length(part) {
        Length::Micros(unit) => time.checked_add(number.checked_mul(unit)?)?,
        Length::Months(unit) => later(time, number.checked_mul(unit)?)?,
    };
    Some(sum).filter(|time| calendar::in_range(*time))
}

/// So many months later, at the latest on the month's last day.
fn later(time: i64, months: i64) -> Option<i64> {
    let Date { year, month, day } = calendar::date(day_of(time));
    let (year, month) = add_months(year, month, months)?;
    let day = day.min(calendar::days_in_month(year, month));
    Some(calendar::day(year, month, day) * MICROS_PER_DAY + time.rem_euclid(MICROS_PER_DAY))
}

fn part(call: &Call) -> Result<ArrayRef> {
    let part = call.part()?;
    check(call, part, 1)?;
    let (times, first) = (call.times(1)?, call.integers_or(2, DATEFIRST)?);
    if part == DatePart::TzOffset {
        let minutes = offsets(call)?;
        return call.int(|i| Ok(minutes(i).map(|minutes| minutes as i32)));
    }
    call.int(|i| {
        Ok(times.get(i).zip(first.get(i)).map(|(time, first)| value(part, time, first) as i32))
    })
}

/// Minutes east of UTC by row.
fn offsets(call: &Call) -> Result<impl Fn(usize) -> Option<i64> + use<>> {
    let (zone, times) = (zones::zone_of(&call.type_of(1)), super::arguments::times(call.value(1))?);
    Ok(move |i| Some(zone?.minutes_at(times.get(i)?)))
}

/// `DATEPART`.
pub(super) fn value(part: DatePart, time: i64, first: i64) -> i64 {
    let day = day_of(time);
    let date = || calendar::date(day);
    let of_day = time.rem_euclid(MICROS_PER_DAY);
    let of_second = time.rem_euclid(MICROS_PER_SECOND);
    match part {
        DatePart::Year => date().year,
        DatePart::Quarter => (date().month - 1) / 3 + 1,
        DatePart::Month => date().month,
        DatePart::DayOfYear => day - calendar::day(date().year, 1, 1) + 1,
        DatePart::Day => date().day,
        DatePart::Week => {
            let new_year = calendar::day(date().year, 1, 1);
            week(day, first) - week(new_year, first) + 1
        }
        DatePart::IsoWeek => iso_week(day),
        DatePart::Weekday => (calendar::weekday(day) - first).rem_euclid(7) + 1,
        DatePart::Hour => of_day / MICROS_PER_HOUR,
        DatePart::Minute => of_day / MICROS_PER_MINUTE % 60,
        DatePart::Second => of_day / MICROS_PER_SECOND % 60,
        DatePart::Millisecond => of_second / 1_000,
        DatePart::Microsecond => of_second,
        DatePart::Nanosecond => of_second * 1_000,
        DatePart::TzOffset => 0,
    }
}

/// Weeks that start on a day, numbered without end.
fn week(day: i64, first: i64) -> i64 {
    calendar::week(day - first.rem_euclid(7))
}

/// The ISO 8601 week: that of the week's Thursday in its year.
pub(super) fn iso_week(day: i64) -> i64 {
    let thursday = monday_of(day) + 3;
    let first = calendar::day(calendar::date(thursday).year, 1, 1);
    (thursday - first) / 7 + 1
}

pub(super) fn monday_of(day: i64) -> i64 {
    day - (calendar::weekday(day) + 6) % 7
}

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

pub(super) const WEEKDAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// `DATENAME`: months and days of the week by name, all else in digits.
fn name(call: &Call) -> Result<ArrayRef> {
    let part = call.part()?;
    check(call, part, 1)?;
    let (times, first) = (call.times(1)?, call.integers_or(2, DATEFIRST)?);
    if part == DatePart::TzOffset {
        let minutes = offsets(call)?;
        return call.text(|i| Ok(minutes(i).map(offset_text)));
    }
    call.text(|i| {
        let (Some(time), Some(first)) = (times.get(i), first.get(i)) else { return Ok(None) };
        let date = calendar::date(day_of(time));
        Ok(Some(match part {
            DatePart::Month => MONTHS[(date.month - 1) as usize].to_owned(),
            DatePart::Weekday => WEEKDAYS[calendar::weekday(day_of(time)) as usize].to_owned(),
            part => value(part, time, first).to_string(),
        }))
    })
}

fn trunc(call: &Call) -> Result<ArrayRef> {
    let part = call.part()?;
    if matches!(part, DatePart::Weekday | DatePart::TzOffset | DatePart::Nanosecond) {
        return Err(unsupported(part, call.name));
    }
    check(call, part, 1)?;
    let (times, first) = (call.times(1)?, call.integers_or(2, DATEFIRST)?);
    call.moments(|i| {
        let (Some(time), Some(first)) = (times.get(i), first.get(i)) else { return Ok(None) };
        let start = truncated(part, time, first);
        if !calendar::in_range(start) {
            let message = "The datetrunc function leaves the years 1 to 9999 (Msg 9837)";
            return Err(refused("22008", message));
        }
        Ok(Some(start))
    })
}

/// The start of the part that holds an instant.
pub(super) fn truncated(part: DatePart, time: i64, first: i64) -> i64 {
    let day = day_of(time);
    let date = || calendar::date(day);
    let start = match part {
        DatePart::Year => calendar::day(date().year, 1, 1),
        DatePart::Quarter => calendar::day(date().year, (date().month - 1) / 3 * 3 + 1, 1),
        DatePart::Month => calendar::day(date().year, date().month, 1),
        DatePart::Week => day - (calendar::weekday(day) - first).rem_euclid(7),
        DatePart::IsoWeek => monday_of(day),
        DatePart::Day | DatePart::DayOfYear | DatePart::Weekday | DatePart::TzOffset => day,
        DatePart::Hour => return floor(time, MICROS_PER_HOUR),
        DatePart::Minute => return floor(time, MICROS_PER_MINUTE),
        DatePart::Second => return floor(time, MICROS_PER_SECOND),
        DatePart::Millisecond => return floor(time, 1_000),
        DatePart::Microsecond | DatePart::Nanosecond => return time,
    };
    start.saturating_mul(MICROS_PER_DAY)
}

fn floor(time: i64, unit: i64) -> i64 {
    time.saturating_sub(time.rem_euclid(unit))
}

/// `DATE_BUCKET`: the start of the bucket of so many parts, counted from the
/// origin, 1900-01-01 unless given.
fn bucket(call: &Call) -> Result<ArrayRef> {
    use DatePart::{DayOfYear, IsoWeek, Microsecond, Nanosecond, TzOffset, Weekday};
    let part = call.part()?;
    if matches!(part, DayOfYear | IsoWeek | Microsecond | Nanosecond | TzOffset | Weekday) {
        return Err(unsupported(part, call.name));
    }
    check(call, part, 2)?;
    let (numbers, times) = (call.integers(1)?, call.times(2)?);
    let origins = (call.count() > 3).then(|| call.times(3)).transpose()?;
    let default = Some(calendar::DAY_ZERO * MICROS_PER_DAY);
    call.moments(|i| {
        let origin = origins.as_ref().map_or(default, |origins| origins.get(i));
        let (Some(number), Some(time), Some(origin)) = (numbers.get(i), times.get(i), origin)
        else {
            return Ok(None);
        };
        if number <= 0 {
            let message = "Invalid bucket width value passed to DATE_BUCKET function. Only \
                           positive values are allowed (Msg 9834)";
            return Err(refused("22023", message));
        }
        Ok(bucket_of(part, number, time, origin))
    })
}

fn bucket_of(part: DatePart, number: i64, time: i64, origin: i64) -> Option<i64> {
    match length(part) {
        Length::Micros(unit) => {
            let width = unit.checked_mul(number)?;
            let since = time.checked_sub(origin)?;
            Some(time - since.rem_euclid(width))
        }
        Length::Months(unit) => {
            let width = unit.checked_mul(number)?;
            let months = boundary(DatePart::Month, time) - boundary(DatePart::Month, origin);
            let start = later(origin, months.div_euclid(width) * width)?;
            if start <= time {
                return Some(start);
            }
            later(origin, (months.div_euclid(width) - 1) * width)
        }
    }
}

fn end_of_month(call: &Call) -> Result<ArrayRef> {
    let (times, months) = (call.times(0)?, call.integers_or(1, 0)?);
    call.moments(|i| {
        let (Some(time), Some(months)) = (times.get(i), months.get(i)) else { return Ok(None) };
        let Date { year, month, .. } = calendar::date(day_of(time));
        let Some((year, month)) = add_months(year, month, months) else {
            let message = "Adding a value to a 'date' column caused an overflow (Msg 517)";
            return Err(refused("22003", message));
        };
        let last = calendar::days_in_month(year, month);
        Ok(Some(calendar::day(year, month, last) * MICROS_PER_DAY))
    })
}

/// Whether a text is a `datetime`, whose years start with 1753.
fn is_date(call: &Call) -> Result<ArrayRef> {
    let given = call.type_of(0);
    if matches!(given, DataType::Date32 | DataType::Time64(_) | DataType::Timestamp(_, Some(_))) {
        let message = format!(
            "Argument data type {} is invalid for argument 1 of isdate function (Msg 8116)",
            type_name(&given)
        );
        return Err(refused("42883", message));
    }
    let text = call.texts(0)?;
    let first = calendar::day(1753, 1, 1) * MICROS_PER_DAY;
    call.int(|i| {
        let valid = text
            .get(i)
            .filter(|text| !text.trim().is_empty())
            .filter(|text| fraction(text) <= 3)
            .is_some_and(|text| super::styles::read(text).is_ok_and(|time| time >= first));
        Ok(Some(valid.into()))
    })
}

/// The digits after the seconds; a `datetime` has three.
fn fraction(text: &str) -> usize {
    match text.rsplit_once('.') {
        Some((before, after)) if before.contains(':') => {
            after.bytes().take_while(u8::is_ascii_digit).count()
        }
        _ => 0,
    }
}
