//! `date_trunc`, `date_part` (which `EXTRACT` is), `age`, `make_timestamp` and
//! `to_timestamp` of seconds.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::array::{ArrayRef, IntervalMonthDayNanoArray};
use datafusion::arrow::datatypes::{
    DataType, Float64Type, Int32Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit,
};
use datafusion::common::Result;

use crate::engine::functions::arguments::Kind::{Any, Constant, Float, Int, Text, Time};
use crate::engine::functions::arguments::TIME;
use crate::engine::functions::calendar::{
    self, Date, MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND, day_of,
};
use crate::engine::functions::dates::{self, iso_week, monday_of};
use crate::engine::functions::definition::{Call, Definition, Gives, refused};
use crate::engine::functions::part::DatePart;
use crate::engine::functions::zones::Zone;

pub(super) static FUNCTIONS: &[Definition] = &[
    Definition {
        name: "pg_date_trunc",
        arguments: &[Text, Time, Text],
        least: 2,
        most: 3,
        gives: Gives::By(|args| {
            Ok(match args.arg_fields[1].data_type() {
                zoned @ DataType::Timestamp(_, Some(_)) => zoned.clone(),
                _ => TIME,
            })
        }),
        compute: trunc,
    },
    Definition {
        name: "pg_date_part",
        arguments: &[Constant, Any],
        least: 2,
        most: 2,
        gives: Gives::By(|args| {
            let field = match args.scalar_arguments.first() {
                Some(Some(text)) => text.try_as_str().flatten().and_then(Field::parse),
                _ => None,
            };
            let whole = field.is_some_and(|field| !field.has_fraction());
            Ok(if whole { DataType::Int32 } else { DataType::Float64 })
        }),
        compute: part,
    },
    Definition {
        name: "age",
        arguments: &[Time, Time],
        least: 2,
        most: 2,
        gives: Gives::This(DataType::Interval(IntervalUnit::MonthDayNano)),
        compute: age,
    },
    Definition {
        name: "make_timestamp",
        arguments: &[Int, Int, Int, Int, Int, Float],
        least: 6,
        most: 6,
        gives: Gives::This(TIME),
        compute: make_timestamp,
    },
    Definition {
        name: "pg_epoch_timestamp",
        arguments: &[Float],
        least: 1,
        most: 1,
        gives: Gives::This(TIME),
        compute: |call| {
            let seconds = call.floats(0)?;
            call.moments(|i| {
                let Some(seconds) = seconds.get(i) else { return Ok(None) };
                let micros = (seconds * MICROS_PER_SECOND as f64).round();
                let micros = Some(micros as i64).filter(|m| calendar::in_range(*m));
                micros
                    .map(Some)
                    .ok_or_else(|| refused("22008", format!("timestamp out of range: {seconds}")))
            })
        },
    },
];

/// A field of `EXTRACT`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Field {
    /// A part that T-SQL has too.
    Part(DatePart),
    Century,
    Decade,
    Millennium,
    Dow,
    Isodow,
    Isoyear,
    Epoch,
    Second,
    Milliseconds,
    Microseconds,
    Julian,
    Timezone,
}

/// The names, the first of which errors show.
const FIELDS: &[(&[&str], Field)] = &[
    (&["year", "years", "y", "yr", "yrs"], Field::Part(DatePart::Year)),
    (&["quarter"], Field::Part(DatePart::Quarter)),
    (&["month", "months", "mon", "mons"], Field::Part(DatePart::Month)),
    (&["week", "weeks", "w"], Field::Part(DatePart::IsoWeek)),
    (&["day", "days", "d"], Field::Part(DatePart::Day)),
    (&["doy"], Field::Part(DatePart::DayOfYear)),
    (&["hour", "hours", "h", "hr", "hrs"], Field::Part(DatePart::Hour)),
    (&["minute", "minutes", "m", "min", "mins"], Field::Part(DatePart::Minute)),
    (&["second", "seconds", "s", "sec", "secs"], Field::Second),
    (&["millisecond", "milliseconds", "ms", "msec", "msecs"], Field::Milliseconds),
    (&["microsecond", "microseconds", "us", "usec", "usecs"], Field::Microseconds),
    (&["dow"], Field::Dow),
    (&["isodow"], Field::Isodow),
    (&["isoyear"], Field::Isoyear),
    (&["epoch"], Field::Epoch),
    (&["decade", "decades", "dec", "decs"], Field::Decade),
    (&["century", "centuries", "c", "cent"], Field::Century),
    (&["millennium", "millenniums", "millennia", "mil", "mils"], Field::Millennium),
    (&["julian"], Field::Julian),
    (&["timezone"], Field::Timezone),
];

impl Field {
    fn parse(name: &str) -> Option<Self> {
        let name = name.trim();
        let is = |known: &&str| known.eq_ignore_ascii_case(name);
        FIELDS.iter().find(|(names, _)| names.iter().any(&is)).map(|(_, field)| *field)
    }

    fn has_fraction(self) -> bool {
        matches!(self, Self::Epoch | Self::Second | Self::Milliseconds | Self::Julian)
    }

    fn of(self, time: i64) -> f64 {
        let day = day_of(time);
        let year = || calendar::date(day).year;
        let of_minute = time.rem_euclid(MICROS_PER_MINUTE) as f64;
        let whole = match self {
            Self::Part(DatePart::IsoWeek) => iso_week(day),
            Self::Part(part) => dates::value(part, time, 7),
            Self::Century => (year() + 99).div_euclid(100),
            Self::Decade => year().div_euclid(10),
            Self::Millennium => (year() + 999).div_euclid(1_000),
            Self::Dow => calendar::weekday(day),
            Self::Isodow => (calendar::weekday(day) + 6) % 7 + 1,
            Self::Isoyear => calendar::date(monday_of(day) + 3).year,
            Self::Timezone => 0,
            Self::Microseconds => time.rem_euclid(MICROS_PER_MINUTE),
            Self::Epoch => return time as f64 / MICROS_PER_SECOND as f64,
            Self::Second => return of_minute / MICROS_PER_SECOND as f64,
            Self::Milliseconds => return of_minute / 1_000.0,
            Self::Julian => {
                return 2_440_588.0 + time as f64 / MICROS_PER_DAY as f64;
            }
        };
        whole as f64
    }

    /// The same field of an interval.
    fn of_interval(self, interval: IntervalMonthDayNano) -> f64 {
        let months = i64::from(interval.months);
        let micros = interval.nanoseconds / 1_000;
        let of_minute = (micros % MICROS_PER_MINUTE) as f64;
        match self {
            Self::Part(DatePart::Year) => (months / 12) as f64,
            Self::Part(DatePart::Quarter) => (months % 12 / 3 + 1) as f64,
            Self::Part(DatePart::Month) => (months % 12) as f64,
            Self::Part(DatePart::Day) => interval.days.into(),
            Self::Part(DatePart::Hour) => (micros / MICROS_PER_HOUR) as f64,
            Self::Part(DatePart::Minute) => (micros / MICROS_PER_MINUTE % 60) as f64,
            Self::Second => of_minute / MICROS_PER_SECOND as f64,
            Self::Milliseconds => of_minute / 1_000.0,
            Self::Microseconds => of_minute,
            Self::Decade => (months / 120) as f64,
            Self::Century => (months / 1_200) as f64,
            Self::Millennium => (months / 12_000) as f64,
            Self::Epoch => {
                // A year has 365.25 days here, a month 30.
                let days = (months / 12) as f64 * 365.25 + (months % 12 * 30) as f64;
                (days + f64::from(interval.days)) * 86_400.0 + micros as f64 / 1e6
            }
            _ => 0.0,
        }
    }
}

fn field(call: &Call, text: &str) -> Result<Field> {
    Field::parse(text).ok_or_else(|| {
        let name = call.name;
        let nearest = crate::catalog::nearest(text, FIELDS.iter().map(|(names, _)| names[0]));
        let hint = nearest.map(|name| format!("; did you mean '{name}'?")).unwrap_or_default();
        refused("22023", format!("{name}: unit \"{text}\" not recognized{hint}"))
    })
}

fn part(call: &Call) -> Result<ArrayRef> {
    let names = call.texts(0)?;
    let array = call.array(1)?;
    let value: Box<dyn Fn(usize, Field) -> Option<f64>> = match array.data_type() {
        DataType::Interval(_) => {
            let array = datafusion::arrow::compute::cast(
                &array,
                &DataType::Interval(IntervalUnit::MonthDayNano),
            )?;
            let intervals = array.as_primitive::<IntervalMonthDayNanoType>().clone();
            Box::new(move |i, field| {
                intervals.is_valid(i).then(|| field.of_interval(intervals.value(i)))
            })
        }
        DataType::Duration(_) => {
            let unit = datafusion::arrow::datatypes::TimeUnit::Nanosecond;
            let array = datafusion::arrow::compute::cast(&array, &DataType::Duration(unit))?;
            let array = datafusion::arrow::compute::cast(&array, &DataType::Int64)?;
            let nanos = array.as_primitive::<datafusion::arrow::datatypes::Int64Type>().clone();
            Box::new(move |i, field| {
                let per_day = MICROS_PER_DAY * 1_000;
                nanos.is_valid(i).then(|| {
                    let nanos = nanos.value(i);
                    let (days, rest) = (nanos / per_day, nanos % per_day);
                    field.of_interval(IntervalMonthDayNano::new(0, days as i32, rest))
                })
            })
        }
        given => {
            let kind = crate::engine::functions::arguments::coerced_at(call.name, 2, Time, given)?;
            let times = datafusion::arrow::compute::cast(&array, &kind)?;
            let zone = crate::engine::functions::zones::zone_of(&kind);
            let times = crate::engine::functions::arguments::times(&times.into())?;
            Box::new(move |i, field| {
                let utc = times.get(i)?;
                Some(match (field, zone) {
                    (Field::Epoch, _) | (_, None) => field.of(utc),
                    (Field::Timezone, Some(zone)) => (zone.minutes_at(utc) * 60) as f64,
                    (_, Some(zone)) => field.of(zone.to_local(utc)),
                })
            })
        }
    };
    let each = |i: usize| -> Result<Option<f64>> {
        let Some(name) = names.get(i) else { return Ok(None) };
        Ok(value(i, field(call, name)?))
    };
    if call.return_type() == &DataType::Int32 {
        return Ok(Arc::new(
            call.rows()
                .map(|i| Ok(each(i)?.map(|n| n as i32)))
                .collect::<Result<datafusion::arrow::array::PrimitiveArray<Int32Type>>>()?,
        ));
    }
    let floats = call.rows().map(each);
    Ok(Arc::new(floats.collect::<Result<datafusion::arrow::array::PrimitiveArray<Float64Type>>>()?))
}

fn trunc(call: &Call) -> Result<ArrayRef> {
    let (names, times) = (call.texts(0)?, call.times(1)?);
    let zone = match call.constant(2) {
        None => None,
        Some(name) => Some(
            Zone::parse(name)
                .ok_or_else(|| refused("22023", format!("time zone \"{name}\" not recognized")))?,
        ),
    };
    call.moments(|i| {
        let (Some(name), Some(time)) = (names.get(i), times.get(i)) else { return Ok(None) };
        let field = field(call, name)?;
        let local = zone.map_or(time, |zone| zone.to_local(time));
        let start = truncated(field, local).ok_or_else(|| {
            refused("22023", format!("date_trunc: unit \"{name}\" not supported"))
        })?;
        Ok(Some(zone.map_or(start, |zone| zone.to_utc(start))))
    })
}

fn truncated(field: Field, time: i64) -> Option<i64> {
    let year = || calendar::date(day_of(time)).year;
    let new_year = |year: i64| Some(calendar::day(year, 1, 1) * MICROS_PER_DAY);
    match field {
        Field::Part(DatePart::DayOfYear) => None,
        Field::Part(part) => Some(dates::truncated(part, time, 7)),
        Field::Second => Some(dates::truncated(DatePart::Second, time, 7)),
        Field::Milliseconds => Some(dates::truncated(DatePart::Millisecond, time, 7)),
        Field::Microseconds => Some(time),
        Field::Decade => new_year(year().div_euclid(10) * 10),
        Field::Century => new_year((year() - 1).div_euclid(100) * 100 + 1),
        Field::Millennium => new_year((year() - 1).div_euclid(1_000) * 1_000 + 1),
        _ => None,
    }
}

/// Years, months, days and time between two times, as people count them.
fn age(call: &Call) -> Result<ArrayRef> {
    let (to, from) = (call.times(0)?, call.times(1)?);
    let ages = call.rows().map(|i| {
        let (to, from) = (to.get(i)?, from.get(i)?);
        let interval = between(from.min(to), from.max(to));
        Some(if to < from {
            IntervalMonthDayNano::new(-interval.months, -interval.days, -interval.nanoseconds)
        } else {
            interval
        })
    });
    Ok(Arc::new(ages.collect::<IntervalMonthDayNanoArray>()))
}

fn between(from: i64, to: i64) -> IntervalMonthDayNano {
    let (first, last) = (calendar::date(day_of(from)), calendar::date(day_of(to)));
    let mut months = (last.year - first.year) * 12 + last.month - first.month;
    let mut days = last.day - first.day;
    let mut micros = to.rem_euclid(MICROS_PER_DAY) - from.rem_euclid(MICROS_PER_DAY);
    if micros < 0 {
        micros += MICROS_PER_DAY;
        days -= 1;
    }
    if days < 0 {
        let Date { year, month, .. } = first;
        days += calendar::days_in_month(year, month);
        months -= 1;
    }
    IntervalMonthDayNano::new(months as i32, days as i32, micros * 1_000)
}

fn make_timestamp(call: &Call) -> Result<ArrayRef> {
    let numbers = (0..5).map(|i| call.integers(i)).collect::<Result<Vec<_>>>()?;
    let seconds = call.floats(5)?;
    call.moments(|i| {
        let numbers: Vec<i64> = numbers.iter().map_while(|n| n.get(i)).collect();
        let ([year, month, day, hour, minute], Some(second)) = (numbers.as_slice(), seconds.get(i))
        else {
            return Ok(None);
        };
        let valid = (1..=9999).contains(year)
            && (1..=12).contains(month)
            && (1..=calendar::days_in_month(*year, *month)).contains(day)
            && (0..24).contains(hour)
            && (0..60).contains(minute)
            && (0.0..60.0).contains(&second);
        if !valid {
            return Err(refused("22008", "date or time field value out of range"));
        }
        Ok(Some(
            calendar::day(*year, *month, *day) * MICROS_PER_DAY
                + hour * MICROS_PER_HOUR
                + minute * MICROS_PER_MINUTE
                + (second * MICROS_PER_SECOND as f64).round() as i64,
        ))
    })
}
