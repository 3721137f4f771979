//! Values as dates and times. Text is read as SQL Server reads it under
//! us_english: the forms that mean the same everywhere, month names, and
//! numbers in the order of the style, month first by default.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Float64Array};
use datafusion::arrow::array::{Date32Array, Time64MicrosecondArray, TimestampMicrosecondArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float64Type, Time64MicrosecondType,
    TimestampMicrosecondType,
};
use datafusion::common::{DataFusionError, Result, exec_datafusion_err, exec_err};

use super::super::arguments::TIME;
use super::super::calendar::{
    self, DAY_ZERO, MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND, day_of,
};
use super::super::dates::MONTHS;
use super::super::types::SqlType;
use super::super::zones;
use super::{Request, hijri};

/// Converts to a date, a time or both.
pub(super) fn array(values: &ArrayRef, request: &Request) -> Result<ArrayRef> {
    let Request { from, to, style, .. } = *request;
    let micros: Vec<Option<i64>> = match from {
        from if from.is_text() => {
            let read = |text: &str| match read(text, style) {
                Ok(micros) => Ok(micros),
                Err(problem) => Err(problem.error(text, to)),
            };
            gather(values.as_string_view().iter(), request, read)?
        }
        SqlType::Date => {
            let days = values.as_primitive::<Date32Type>().iter();
            gather(days, request, |day| Ok(i64::from(day) * MICROS_PER_DAY))?
        }
        SqlType::Time(_) => {
            let times = values.as_primitive::<Time64MicrosecondType>().iter();
            gather(times, request, |time| Ok(time + DAY_ZERO * MICROS_PER_DAY))?
        }
        from if from.is_temporal() => {
            // What clocks show counts, unless the result is an instant too.
            let instant = matches!(to, SqlType::DateTimeOffset(_));
            let zone = zones::zone_of(values.data_type()).filter(|_| !instant);
            let plain = cast(values, &TIME)?;
            let times = plain.as_primitive::<TimestampMicrosecondType>().iter();
            gather(times, request, |time| Ok(zone.map_or(time, |zone| zone.to_local(time))))?
        }
        from => days(values, from, request)?,
    };
    let fit = |time: Option<i64>| match time {
        Some(time) => request.settle(fit(time, request)),
        None => Ok(None),
    };
    let fitted = micros.into_iter().map(fit);
    Ok(match to {
        SqlType::Date => {
            let day = |t: Option<i64>| t.and_then(|t| i32::try_from(day_of(t)).ok());
            Arc::new(fitted.map(|t| t.map(day)).collect::<Result<Date32Array>>()?)
        }
        SqlType::Time(_) => {
            let of_day = |t: Option<i64>| t.map(|t| t.rem_euclid(MICROS_PER_DAY));
            Arc::new(fitted.map(|t| t.map(of_day)).collect::<Result<Time64MicrosecondArray>>()?)
        }
        SqlType::DateTimeOffset(_) => {
            let times = fitted.collect::<Result<TimestampMicrosecondArray>>()?;
            Arc::new(times.with_timezone("+00:00"))
        }
        _ => Arc::new(fitted.collect::<Result<TimestampMicrosecondArray>>()?),
    })
}

fn gather<T>(
    values: impl Iterator<Item = Option<T>>,
    request: &Request,
    read: impl Fn(T) -> Result<i64>,
) -> Result<Vec<Option<i64>>> {
    let read = |value: Option<T>| match value {
        Some(value) => request.settle(read(value)),
        None => Ok(None),
    };
    values.map(read).collect()
}

/// Numbers as days since 1900-01-01.
fn days(values: &ArrayRef, from: SqlType, request: &Request) -> Result<Vec<Option<i64>>> {
    let numbers: Float64Array = match from {
        SqlType::Decimal(_, scale) => {
            let unit = 10_f64.powi(scale.into());
            values.as_primitive::<Decimal128Type>().unary(|n| n as f64 / unit)
        }
        from if from.is_binary() => {
            return exec_err!("{} is no time (Msg 529)", from.name());
        }
        _ => cast(values, &DataType::Float64)?.as_primitive::<Float64Type>().clone(),
    };
    let time = |days: f64| {
        let micros = (days * MICROS_PER_DAY as f64).round();
        // Beyond this every day is out of range.
        if micros.abs() > 1e18 {
            return Err(overflow(request.to));
        }
        #[expect(clippy::cast_possible_truncation, reason = "the bounds are checked")]
        let micros = micros as i64;
        Ok(micros + DAY_ZERO * MICROS_PER_DAY)
    };
    gather(numbers.iter(), request, time)
}

fn overflow(to: SqlType) -> DataFusionError {
    exec_datafusion_err!(
        "Arithmetic overflow error converting expression to data type {} (Msg 8115)",
        to.name()
    )
}

/// A time as its type holds it: rounded, and within its years.
fn fit(time: i64, request: &Request) -> Result<i64> {
    let Request { from, to, .. } = *request;
    let rounded = match to {
        SqlType::DateTime if from == SqlType::DateTime => time,
        SqlType::DateTime => round_datetime(time),
        SqlType::SmallDateTime => {
            // 29.998 seconds belong to the minute before.
            let up = MICROS_PER_MINUTE - 29_999_000;
            (time + up).div_euclid(MICROS_PER_MINUTE) * MICROS_PER_MINUTE
        }
        SqlType::Time(digits) | SqlType::DateTime2(digits) | SqlType::DateTimeOffset(digits)
            if digits < 6 =>
        {
            let unit = 10_i64.pow(6 - u32::from(digits));
            (time + unit / 2).div_euclid(unit) * unit
        }
        SqlType::Date => day_of(time) * MICROS_PER_DAY,
        _ => time,
    };
    let first = |year| calendar::day(year, 1, 1) * MICROS_PER_DAY;
    let (from_time, until) = match to {
        SqlType::SmallDateTime => (first(1900), calendar::day(2079, 6, 7) * MICROS_PER_DAY),
        SqlType::DateTime => (first(1753), first(10_000)),
        _ => (first(1), first(10_000)),
    };
    if (from_time..until).contains(&rounded) {
        return Ok(rounded);
    }
    Err(match from {
        from if from.is_number() => overflow(to),
        from => out_of_range(from, to),
    })
}

fn out_of_range(from: SqlType, to: SqlType) -> DataFusionError {
    exec_datafusion_err!(
        "The conversion of a {} data type to a {} data type resulted in an out-of-range value \
         (Msg 242)",
        if from.is_text() { "varchar" } else { from.name() },
        to.name()
    )
}

/// A time in the steps of `datetime`: thirds of a hundredth of a second, shown
/// as .000, .003 and .007.
pub(in crate::engine) fn round_datetime(time: i64) -> i64 {
    let second = time.div_euclid(MICROS_PER_SECOND);
    let ticks = (time.rem_euclid(MICROS_PER_SECOND) * 300 + 500_000) / 1_000_000;
    second * MICROS_PER_SECOND + (ticks * 10 + 1) / 3 * 1_000
}

/// Why a text is no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum NoTime {
    /// It is not written like one.
    Form,
    /// It has a month 13 or the like.
    Range,
}

impl NoTime {
    pub(in crate::engine) fn error(self, text: &str, to: SqlType) -> DataFusionError {
        match (self, to) {
            (Self::Range, SqlType::DateTime | SqlType::SmallDateTime) => {
                out_of_range(SqlType::Varchar(None), to)
            }
            (Self::Form, SqlType::SmallDateTime) => exec_datafusion_err!(
                "Conversion failed when converting character string '{text}' to smalldatetime \
                 data type (Msg 295)"
            ),
            _ => exec_datafusion_err!(
                "Conversion failed when converting date and/or time from character string \
                 '{text}' (Msg 241); write it like 2024-05-01T10:00:00"
            ),
        }
    }
}

/// In which order the numbers of a date stand.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Order {
    MonthDayYear,
    DayMonthYear,
    YearMonthDay,
    Hijri,
}

impl Order {
    fn of(style: Option<i32>) -> Self {
        match style.unwrap_or(0) {
            3 | 4 | 5 | 103 | 104 | 105 => Self::DayMonthYear,
            2 | 11 | 12 | 20 | 21 | 23 | 25 | 102 | 111 | 112 | 120 | 121 | 126 | 127 => {
                Self::YearMonthDay
            }
            130 | 131 => Self::Hijri,
            _ => Self::MonthDayYear,
        }
    }
}

/// Reads a time: microseconds UTC. A time without date is on 1900-01-01.
pub(in crate::engine) fn read(text: &str, style: Option<i32>) -> Result<i64, NoTime> {
    let text = text.trim();
    if !text.is_ascii() {
        return Err(NoTime::Form);
    }
    let (text, offset) = split_offset(text)?;
    let mut text = text.to_owned();
    // `2024-05-01T10:00` and `20240501T10:00`.
    for at in [8, 10] {
        let before = text.as_bytes()[..at.min(text.len())].iter();
        if text.as_bytes().get(at).is_some_and(|b| matches!(b, b'T' | b't'))
            && before.clone().all(|b| b.is_ascii_digit() || *b == b'-')
        {
            text.replace_range(at..=at, " ");
        }
    }
    let (mut date, mut time) = (Vec::new(), String::new());
    for word in text.split([' ', ',']).filter(|word| !word.is_empty()) {
        let lower = word.to_ascii_lowercase();
        let half = lower.ends_with("am") || lower.ends_with("pm");
        if word.contains(':') || half {
            // `1 PM`: the hour stands before by itself.
            if lower.len() == 2
                && half
                && time.is_empty()
                && let Some(hour) = date.pop()
            {
                time.push_str(hour);
            }
            time.push_str(&lower);
        } else {
            date.extend(pieces(word));
        }
    }
    let day = if date.is_empty() { DAY_ZERO } else { day(&date, Order::of(style))? };
    let of_day = if time.is_empty() { 0 } else { time_of_day(&time)? };
    Ok(day * MICROS_PER_DAY + of_day - offset)
}

/// The offset that a text ends with, in minutes.
pub(super) fn offset_of(text: &str) -> Option<i64> {
    let (_, offset) = split_offset(text.trim()).ok()?;
    Some(offset / MICROS_PER_MINUTE).filter(|minutes| *minutes != 0)
}

/// The offset at the end, in microseconds, and what stands before it.
fn split_offset(text: &str) -> Result<(&str, i64), NoTime> {
    if let Some(rest) = text.strip_suffix(['Z', 'z'])
        && rest.contains(':')
    {
        return Ok((rest, 0));
    }
    let Some(colon) = text.find(':') else { return Ok((text, 0)) };
    let Some(sign) = text[colon..].rfind(['+', '-']).map(|at| at + colon) else {
        return Ok((text, 0));
    };
    let number = |t: Option<&str>| t.and_then(|t| t.parse::<i64>().ok()).ok_or(NoTime::Form);
    let zone = &text[sign + 1..];
    let (hours, minutes) = match zone.split_once(':') {
        Some((hours, minutes)) => (number(Some(hours))?, number(Some(minutes))?),
        None if zone.len() <= 2 => (number(Some(zone))?, 0),
        None => (number(zone.get(..2))?, number(zone.get(2..))?),
    };
    if hours > 14 || minutes > 59 {
        return Err(NoTime::Range);
    }
    let offset = hours * MICROS_PER_HOUR + minutes * MICROS_PER_MINUTE;
    let offset = if text.as_bytes()[sign] == b'-' { -offset } else { offset };
    Ok((text[..sign].trim_end(), offset))
}

/// The numbers and names of a date.
fn pieces(word: &str) -> impl Iterator<Item = &str> {
    word.split(['-', '/', '.']).filter(|piece| !piece.is_empty())
}

/// The day of a date's pieces.
fn day(pieces: &[&str], order: Order) -> Result<i64, NoTime> {
    let month = |piece: &str| {
        let lower = piece.to_ascii_lowercase();
        let is = |name: &&str| {
            let name = name.to_ascii_lowercase();
            name == lower || lower.len() == 3 && name.starts_with(&lower)
        };
        MONTHS.iter().position(|name| is(&&**name)).map(|at| at as i64 + 1)
    };
    let named: Vec<i64> = pieces.iter().filter_map(|p| month(p)).collect();
    let numbers: Vec<&str> = pieces.iter().copied().filter(|p| month(p).is_none()).collect();
    if !numbers.iter().all(|n| n.bytes().all(|b| b.is_ascii_digit()) && n.len() <= 8) {
        return Err(NoTime::Form);
    }
    let value = |n: &str| n.parse::<i64>().map_err(|_| NoTime::Form);
    let (year, month, day) = match (named.as_slice(), numbers.as_slice(), order) {
        ([month], [a], _) if a.len() == 4 => (*a, *month, 1),
        ([month], [a, b], _) if a.len() == 4 => (*a, *month, value(b)?),
        ([month], [a, b], _) => (*b, *month, value(a)?),
        ([], [whole], _) if whole.len() == 8 => {
            (&whole[..4], value(&whole[4..6])?, value(&whole[6..])?)
        }
        ([], [whole], _) if whole.len() == 6 => {
            (&whole[..2], value(&whole[2..4])?, value(&whole[4..])?)
        }
        ([], [year], _) if year.len() == 4 => (*year, 1, 1),
        ([], [a, b, c], _) if a.len() == 4 => (*a, value(b)?, value(c)?),
        ([], [a, b, c], Order::YearMonthDay) if c.len() <= 2 => (*a, value(b)?, value(c)?),
        ([], [a, b, c], Order::DayMonthYear | Order::Hijri) => (*c, value(b)?, value(a)?),
        ([], [a, b, c], _) => (*c, value(a)?, value(b)?),
        _ => return Err(NoTime::Form),
    };
    if day > 99 || month > 99 {
        return Err(NoTime::Form);
    }
    let year = match (year.len(), value(year)?) {
        (1 | 2, year) if year < 50 => 2000 + year,
        (1 | 2, year) => 1900 + year,
        (4, year) => year,
        _ => return Err(NoTime::Form),
    };
    if order == Order::Hijri {
        let valid = (1..=12).contains(&month) && (1..=30).contains(&day);
        return if valid { Ok(hijri::day(year, month, day)) } else { Err(NoTime::Range) };
    }
    let valid = year >= 1
        && (1..=12).contains(&month)
        && (1..=calendar::days_in_month(year, month)).contains(&day);
    if valid { Ok(calendar::day(year, month, day)) } else { Err(NoTime::Range) }
}

/// `13:45`, `1:45:30.5pm`, `10am`, in microseconds.
fn time_of_day(text: &str) -> Result<i64, NoTime> {
    let (digits, half) = match (text.strip_suffix("am"), text.strip_suffix("pm")) {
        (Some(rest), _) => (rest, Some(0)),
        (_, Some(rest)) => (rest, Some(12)),
        _ => (text, None),
    };
    let (digits, fraction) = match digits.split_once('.') {
        Some((digits, fraction)) => (digits, fraction),
        None => (digits, ""),
    };
    let mut numbers = Vec::new();
    for number in digits.split(':') {
        let plain = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        let number = number.parse::<i64>().ok().filter(|_| plain);
        numbers.push(number.ok_or(NoTime::Form)?);
    }
    if !fraction.bytes().all(|b| b.is_ascii_digit()) || fraction.len() > 9 {
        return Err(NoTime::Form);
    }
    let micros = match fraction {
        "" => 0,
        digits => format!("{:0<6.6}", digits).parse().map_err(|_| NoTime::Form)?,
    };
    let (hour, minute, second, micros) = match (numbers.as_slice(), half) {
        ([hour], Some(_)) if fraction.is_empty() => (*hour, 0, 0, 0),
        ([hour, minute], _) if fraction.is_empty() => (*hour, *minute, 0, 0),
        ([hour, minute, second], _) => (*hour, *minute, *second, micros),
        ([hour, minute, second, millis], _) if fraction.is_empty() && *millis < 1_000 => {
            (*hour, *minute, *second, millis * 1_000)
        }
        _ => return Err(NoTime::Form),
    };
    let hour = match half {
        Some(_) if hour > 12 => return Err(NoTime::Range),
        Some(half) => hour % 12 + half,
        None => hour,
    };
    if hour > 23 || minute > 59 || second > 59 {
        return Err(NoTime::Range);
    }
    Ok(hour * MICROS_PER_HOUR + minute * MICROS_PER_MINUTE + second * MICROS_PER_SECOND + micros)
}

#[cfg(test)]
mod tests {
    use super::super::super::styles::Shown;
    use super::*;

    fn write(time: i64, style: i32) -> String {
        let mut out = String::new();
        Shown::of(SqlType::DateTime, Some(style), false).write(time, &mut out);
        out
    }

    #[test]
    fn texts_are_read_as_us_english_reads_them() {
        for (text, style, shown) in [
            ("", None, "1900-01-01 00:00:00.000"),
            ("20261121", None, "2026-11-21 00:00:00.000"),
            ("261121", None, "2026-11-21 00:00:00.000"),
            ("2026", None, "2026-01-01 00:00:00.000"),
            ("2026-11-21T01:45:30.5Z", None, "2026-11-21 01:45:30.500"),
            ("2026-11-21 01:45:30 +02:00", None, "2026-11-20 23:45:30.000"),
            ("11/21/2026 1:45 PM", None, "2026-11-21 13:45:00.000"),
            ("11-21-49", None, "2049-11-21 00:00:00.000"),
            ("11.21.50", None, "1950-11-21 00:00:00.000"),
            ("21/11/2026", Some(103), "2026-11-21 00:00:00.000"),
            ("21.11.26", Some(4), "2026-11-21 00:00:00.000"),
            ("Nov 21 2026  1:45AM", None, "2026-11-21 01:45:00.000"),
            ("21 November 2026 12am", None, "2026-11-21 00:00:00.000"),
            ("November 21, 2026", None, "2026-11-21 00:00:00.000"),
            ("21-Nov-2026 10:11:12:345", None, "2026-11-21 10:11:12.345"),
            ("10:11", None, "1900-01-01 10:11:00.000"),
            ("01/01/1427", Some(131), "2006-01-31 00:00:00.000"),
        ] {
            let time = read(text, style).unwrap_or_else(|e| panic!("{text}: {e:?}"));
            assert_eq!(write(time, 121), shown, "{text}");
        }
        for text in ["yesterday", "2024050", "２０２４０５０１", "1:2:3:4:5", "Nov", "2026-11-21 x"]
        {
            assert_eq!(read(text, None), Err(NoTime::Form), "{text}");
        }
        for text in ["2026-13-01", "02/30/2026", "2026-01-01 24:00", "21/11/2026"] {
            assert_eq!(read(text, None), Err(NoTime::Range), "{text}");
        }
    }

    #[test]
    fn datetime_has_three_steps_in_a_hundredth() {
        for (micros, rounded) in [
            (0, 0),
            (1_000, 0),
            (2_000, 3_000),
            (5_000, 7_000),
            (4_999, 3_000),
            (9_000, 10_000),
            (999_000, 1_000_000),
        ] {
            assert_eq!(round_datetime(micros), rounded, "{micros}");
        }
    }
}
