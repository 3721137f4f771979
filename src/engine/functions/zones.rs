//! Time zones by IANA name, Windows name or offset, and the functions that move
//! times between them: `AT TIME ZONE`, `SWITCHOFFSET`, `TODATETIMEOFFSET`.
//!
//! A `datetimeoffset` is an instant whose column has a zone, since a column of
//! Arrow has one zone for all its rows. So the zone has to be a constant.

use std::sync::Arc;

use chrono::{DateTime, MappedLocalTime, NaiveDateTime, Offset, TimeDelta, TimeZone};
use chrono_tz::{TZ_VARIANTS, Tz};
use datafusion::arrow::array::{ArrayRef, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::ReturnFieldArgs;

use super::arguments::{Kind, Values};
use super::calendar::{self, MICROS_PER_MINUTE, MICROS_PER_SECOND};
use super::definition::{Call, Definition, Gives, refused};
use super::windows_zones;

pub(super) static FUNCTIONS: &[Definition] = &[
    Definition {
        name: "at_time_zone",
        arguments: &[Kind::Time, Kind::Constant],
        least: 2,
        most: 2,
        gives: Gives::By(|args| zoned("AT TIME ZONE", args, named)),
        compute: |call| moved(call, call.type_of(0)),
    },
    Definition {
        name: "switchoffset",
        arguments: &[Kind::Time, Kind::Constant],
        least: 2,
        most: 2,
        gives: Gives::By(|args| zoned("SWITCHOFFSET", args, offset)),
        // A time without an offset is UTC here.
        compute: |call| moved(call, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
    },
    Definition {
        name: "todatetimeoffset",
        arguments: &[Kind::Time, Kind::Constant],
        least: 2,
        most: 2,
        gives: Gives::By(|args| zoned("TODATETIMEOFFSET", args, offset)),
        compute: |call| moved(call, DataType::Timestamp(TimeUnit::Microsecond, None)),
    },
];

/// A time zone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Zone {
    /// Minutes east of UTC.
    Fixed(i64),
    Named(Tz),
}

impl Zone {
    /// By IANA name, Windows name, or an offset such as `+02:00`.
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.trim();
        if let Some(minutes) = offset_minutes(name) {
            return Some(Self::Fixed(minutes));
        }
        let name = windows_zones::iana(name).unwrap_or(name);
        TZ_VARIANTS
            .iter()
            .find(|zone| zone.name().eq_ignore_ascii_case(name))
            .copied()
            .map(Self::Named)
    }

    /// The name that Arrow reads.
    fn name(self) -> String {
        match self {
            Self::Fixed(minutes) => offset_text(minutes),
            Self::Named(zone) => zone.name().to_owned(),
        }
    }

    /// Minutes east of UTC at an instant.
    pub fn minutes_at(self, utc: i64) -> i64 {
        match self {
            Self::Fixed(minutes) => minutes,
            Self::Named(zone) => DateTime::from_timestamp_micros(utc).map_or(0, |time| {
                let offset = zone.offset_from_utc_datetime(&time.naive_utc()).fix();
                i64::from(offset.local_minus_utc()) / 60
            }),
        }
    }

    /// What clocks of the zone show at an instant.
    pub fn to_local(self, utc: i64) -> i64 {
        utc.saturating_add(self.minutes_at(utc) * MICROS_PER_MINUTE)
    }

    /// The instant at which clocks of the zone show a time. One that they show
    /// twice is in standard time; one that they skip is as much later.
    pub fn to_utc(self, local: i64) -> i64 {
        let zone = match self {
            Self::Fixed(minutes) => return local.saturating_sub(minutes * MICROS_PER_MINUTE),
            Self::Named(zone) => zone,
        };
        let Some(time) = DateTime::from_timestamp_micros(local).map(|time| time.naive_utc()) else {
            return local;
        };
        let offset = match zone.offset_from_local_datetime(&time) {
            MappedLocalTime::Single(offset) => offset.fix(),
            MappedLocalTime::Ambiguous(first, second) => {
                let (first, second) = (first.fix(), second.fix());
                if first.local_minus_utc() < second.local_minus_utc() { first } else { second }
            }
            MappedLocalTime::None => before_gap(zone, time),
        };
        local.saturating_sub(i64::from(offset.local_minus_utc()) * MICROS_PER_SECOND)
    }
}

/// The offset before the clocks were put forward over a time.
fn before_gap(zone: Tz, time: NaiveDateTime) -> chrono::FixedOffset {
    let day_before = time.checked_sub_signed(TimeDelta::hours(24)).unwrap_or(time);
    zone.offset_from_utc_datetime(&day_before).fix()
}

/// `+hh:mm`, up to fourteen hours.
fn offset_minutes(text: &str) -> Option<i64> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':').unwrap_or((rest, "0"));
    let number = |digits: &str| {
        let plain = (1..=2).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| digits.parse::<i64>().ok()).flatten()
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let total = hours * 60 + minutes;
    (minutes < 60 && total <= OFFSET_MAX).then_some(sign * total)
}

/// Minutes of the largest offset.
const OFFSET_MAX: i64 = 14 * 60;

/// `+02:00`.
pub(super) fn offset_text(minutes: i64) -> String {
    let sign = if minutes < 0 { '-' } else { '+' };
    format!("{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
}

/// An instant in a zone as a type.
pub(super) fn type_in(zone: Zone) -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(zone.name().into()))
}

/// The zone of a type, if it has one.
pub(super) fn zone_of(data_type: &DataType) -> Option<Zone> {
    match data_type {
        DataType::Timestamp(_, Some(name)) => Zone::parse(name),
        _ => None,
    }
}

/// A zone's name, as `AT TIME ZONE` takes it.
fn named(function: &str, value: &ScalarValue) -> Result<Zone> {
    let name = value.try_as_str().flatten().unwrap_or_default();
    Zone::parse(name).ok_or_else(|| {
        let message = format!(
            "The time zone parameter '{name}' provided to {function} clause is invalid (Msg 9820)"
        );
        refused("22023", message)
    })
}

/// An offset, as text or as minutes.
fn offset(function: &str, value: &ScalarValue) -> Result<Zone> {
    let minutes = match value.try_as_str() {
        Some(text) => text.and_then(offset_minutes),
        None => match value.cast_to(&DataType::Int64)? {
            ScalarValue::Int64(minutes) => minutes.filter(|m| m.abs() <= OFFSET_MAX),
            _ => None,
        },
    };
    minutes.map(Zone::Fixed).ok_or_else(|| {
        let message = format!(
            "The timezone '{value}' provided to builtin function {function} is invalid (Msg 9812)"
        );
        refused("22023", message)
    })
}

/// The type of an instant in the zone that the second argument names.
fn zoned(
    function: &str,
    args: &ReturnFieldArgs,
    read: fn(&str, &ScalarValue) -> Result<Zone>,
) -> Result<DataType> {
    match args.scalar_arguments.get(1) {
        Some(Some(value)) if value.is_null() => Ok(type_in(Zone::Fixed(0))),
        Some(Some(value)) => Ok(type_in(read(function, value)?)),
        _ => Err(refused(
            "0A000",
            format!("{function} with a zone that is not a constant is not supported"),
        )),
    }
}

/// The first argument, read as of a type, in the zone of the result.
fn moved(call: &Call, from: DataType) -> Result<ArrayRef> {
    let has_zone = matches!(call.type_of(0), DataType::Timestamp(_, Some(_)));
    let local = !has_zone && !matches!(from, DataType::Timestamp(_, Some(_)));
    let keeps_clock = has_zone && matches!(from, DataType::Timestamp(_, None));
    let times = if keeps_clock { call.times(0)? } else { super::arguments::times(call.value(0))? };
    let null =
        matches!(call.value(1), datafusion::logical_expr::ColumnarValue::Scalar(s) if s.is_null());
    let zone = zone_of(call.return_type()).filter(|_| !null);
    let instants = call.rows().map(|i| {
        let (time, zone) = (times.get(i)?, zone?);
        Some(if local || keeps_clock { zone.to_utc(time) } else { time })
    });
    let instants = instants.collect::<TimestampMicrosecondArray>();
    Ok(Arc::new(instants.with_data_type(call.return_type().clone())))
}

impl Call<'_> {
    /// What the clocks show at the times of an argument: local time, if its type
    /// has a zone.
    pub fn times(&self, argument: usize) -> Result<Values<i64>> {
        let times = super::arguments::times(self.value(argument))?;
        let Some(zone) = zone_of(&self.type_of(argument)) else { return Ok(times) };
        Ok(match times {
            Values::One(time) => Values::One(time.map(|time| zone.to_local(time))),
            Values::Many(times) => Values::Many(
                times.into_iter().map(|time| time.map(|time| zone.to_local(time))).collect(),
            ),
        })
    }

    /// Local times as a column of the type that the function gives; what leaves
    /// the years 1 to 9999 is for the caller to refuse.
    pub fn moments(&self, each: impl FnMut(usize) -> Result<Option<i64>>) -> Result<ArrayRef> {
        use datafusion::arrow::array::{Date32Array, Time64MicrosecondArray};
        let micros = self.rows().map(each);
        let zone = zone_of(self.return_type());
        Ok(match self.return_type() {
            DataType::Date32 => {
                let days = micros.map(|m| Ok(m?.map(|m| calendar::day_of(m) as i32)));
                Arc::new(days.collect::<Result<Date32Array>>()?)
            }
            DataType::Time64(_) => {
                let of_day = micros.map(|m| Ok(m?.map(|m| m.rem_euclid(calendar::MICROS_PER_DAY))));
                Arc::new(of_day.collect::<Result<Time64MicrosecondArray>>()?)
            }
            given => {
                let utc = micros.map(|m| Ok(m?.map(|m| zone.map_or(m, |zone| zone.to_utc(m)))));
                let times = utc.collect::<Result<TimestampMicrosecondArray>>()?;
                Arc::new(times.with_data_type(given.clone()))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{parse_time, time_text};

    #[test]
    fn zones_by_any_name() {
        assert_eq!(Zone::parse("+02:00"), Some(Zone::Fixed(120)));
        assert_eq!(Zone::parse("-05:30"), Some(Zone::Fixed(-330)));
        assert_eq!(Zone::parse("W. Europe Standard Time"), Some(Zone::Named(Tz::Europe__Berlin)));
        assert_eq!(Zone::parse("europe/oslo"), Some(Zone::Named(Tz::Europe__Oslo)));
        assert_eq!(Zone::parse("+15:00"), None);
        assert_eq!(Zone::parse("Mars"), None);
    }

    #[test]
    fn times_that_clocks_skip_or_show_twice() {
        let berlin = Zone::parse("Central European Standard Time").expect("a zone");
        let utc = |text: &str| time_text(berlin.to_utc(parse_time(text).expect("a time")));
        assert_eq!(utc("2022-03-27T01:01:00"), "2022-03-27T00:01:00Z");
        assert_eq!(utc("2022-03-27T02:01:00"), "2022-03-27T01:01:00Z");
        assert_eq!(utc("2022-03-27T03:01:00"), "2022-03-27T01:01:00Z");
        assert_eq!(utc("2022-10-30T02:01:00"), "2022-10-30T01:01:00Z");
        assert_eq!(utc("2022-10-30T01:01:00"), "2022-10-29T23:01:00Z");
    }
}
