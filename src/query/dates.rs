//! The date operators as ranges of time: half-open, with days that begin at the
//! caller's local midnight, as Microsoft's pages on FetchXML operators and on
//! date and time values have them.
//!
//! Some ends are calendar days and some are instants: `last-x-days` runs from a
//! midnight to the present moment.

use chrono::{DateTime, Datelike, Months, NaiveDate, NaiveDateTime, TimeDelta, TimeZone, Timelike};
use chrono_tz::Tz;

use super::context::Context;
use super::fiscal::Period;
use super::operators::{Dates, Unit};
use crate::value::{WrittenTime, read_time};

/// What a date operator is given beside the column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    Nothing,
    /// How many units, or a fiscal year.
    Number(i32),
    Period(Period),
    Day(NaiveDate),
}

/// One end of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Local midnight at the start of a day.
    Day(NaiveDate),
    /// Microseconds since 1970-01-01 UTC.
    Instant(i64),
}

/// `from <= time < until`; a missing end is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub from: Option<Bound>,
    pub until: Option<Bound>,
}

const MICROS_PER_MINUTE: i64 = 60_000_000;

/// The days that arithmetic beyond the calendar ends at.
const FIRST_DAY: NaiveDate = NaiveDate::from_ymd_opt(1, 1, 1).expect("a date");
const LAST_DAY: NaiveDate = NaiveDate::from_ymd_opt(9999, 12, 31).expect("a date");

/// The range of an operator; nothing if it is given the wrong kind of value, or
/// is `in-fiscal-period`, whose period comes back every year.
pub fn range(test: Dates, given: Given, context: &Context) -> Option<Range> {
    let today = day_of(context.now, context.timezone);
    let calendar = &context.calendar;
    let between = |from: Bound, until: Bound| Range { from: Some(from), until: Some(until) };
    let days = |from: NaiveDate, until: NaiveDate| between(Bound::Day(from), Bound::Day(until));
    let now = Bound::Instant(context.now);
    let start = |period: Option<Period>| period.and_then(|p| calendar.period_start(p));
    Some(match (test, given) {
        (Dates::Unit { unit, offset }, Given::Nothing) => {
            let first = unit_start(unit, context);
            let at = |by: i32| units_after(first, unit, i64::from(by), context);
            days(at(offset), at(offset + 1))
        }
        (Dates::Last { unit, count }, given) => {
            let count = i64::from(counted(count, given)?);
            between(back(today, unit, count, context), now)
        }
        (Dates::Next { unit, count }, given) => {
            let count = i64::from(counted(count, given)?);
            let until = match unit {
                Unit::Minute | Unit::Hour => clock_unit(unit, count + 1, context),
                Unit::FiscalPeriod | Unit::FiscalYear => {
                    let first = unit_start(unit, context);
                    Bound::Day(units_after(first, unit, count + 1, context))
                }
                _ => Bound::Day(units_after(days_after(today, 1), unit, count, context)),
            };
            between(now, until)
        }
        (Dates::OlderThan(unit), Given::Number(count)) => {
            let until = back(today, unit, i64::from(count), context);
            Range { from: None, until: Some(until) }
        }
        (Dates::On, Given::Day(day)) => days(day, days_after(day, 1)),
        (Dates::OnOrAfter, Given::Day(day)) => Range { from: Some(Bound::Day(day)), until: None },
        (Dates::OnOrBefore, Given::Day(day)) => {
            Range { from: None, until: Some(Bound::Day(days_after(day, 1))) }
        }
        (Dates::InFiscalYear, Given::Number(year)) => {
            let first = calendar.year_start(year)?;
            days(first, calendar.year_start(year + 1).unwrap_or(LAST_DAY))
        }
        (Dates::InFiscalPeriodAndYear, Given::Period(period)) => {
            let next = start(calendar.period_after(period, 1)).unwrap_or(LAST_DAY);
            days(start(Some(period))?, next)
        }
        (Dates::InOrBeforeFiscalPeriodAndYear, Given::Period(period)) => {
            let next = start(calendar.period_after(period, 1)).unwrap_or(LAST_DAY);
            Range { from: None, until: Some(Bound::Day(next)) }
        }
        (Dates::InOrAfterFiscalPeriodAndYear, Given::Period(period)) => {
            Range { from: Some(Bound::Day(start(Some(period))?)), until: None }
        }
        _ => return None,
    })
}

/// The number an operator has by itself, or else is given.
fn counted(own: Option<u32>, given: Given) -> Option<i32> {
    match (own, given) {
        (Some(count), Given::Nothing) => i32::try_from(count).ok(),
        (None, Given::Number(count)) => Some(count),
        _ => None,
    }
}

/// So many units before the current day, hour, minute or fiscal unit.
fn back(today: NaiveDate, unit: Unit, count: i64, context: &Context) -> Bound {
    match unit {
        Unit::Minute | Unit::Hour => clock_unit(unit, -count, context),
        Unit::FiscalPeriod | Unit::FiscalYear => {
            Bound::Day(units_after(unit_start(unit, context), unit, -count, context))
        }
        _ => Bound::Day(units_after(today, unit, -count, context)),
    }
}

/// The start of the current minute or hour on the caller's clock, and so many
/// later. Hours are lengths of time: a change of the clock does not stretch them.
fn clock_unit(unit: Unit, count: i64, context: &Context) -> Bound {
    let minutes = if unit == Unit::Hour { 60 } else { 1 };
    let local = context.timezone.from_utc_datetime(&utc(context.now));
    let past = i64::from(local.minute()) % minutes * MICROS_PER_MINUTE
        + i64::from(local.second()) * 1_000_000
        + context.now.rem_euclid(1_000_000);
    let length = count.saturating_mul(minutes * MICROS_PER_MINUTE);
    Bound::Instant((context.now - past).saturating_add(length))
}

/// The first day of the unit that holds today.
fn unit_start(unit: Unit, context: &Context) -> NaiveDate {
    let today = day_of(context.now, context.timezone);
    let calendar = &context.calendar;
    let first = match unit {
        Unit::Minute | Unit::Hour | Unit::Day => Some(today),
        Unit::Week => {
            let weekday = today.weekday().num_days_from_sunday();
            let past = (7 + weekday - calendar.week_start % 7) % 7;
            today.checked_sub_signed(TimeDelta::days(i64::from(past)))
        }
        Unit::Month => today.with_day(1),
        Unit::Year => NaiveDate::from_ymd_opt(today.year(), 1, 1),
        Unit::FiscalPeriod => calendar.period_start(calendar.period_of(today)),
        Unit::FiscalYear => calendar.year_start(calendar.period_of(today).year),
    };
    first.unwrap_or(today)
}

/// A day so many units later; months and years keep the day of the month where
/// there is one. Fiscal units count from the one that holds the day.
fn units_after(day: NaiveDate, unit: Unit, count: i64, context: &Context) -> NaiveDate {
    let calendar = &context.calendar;
    let after = match unit {
        Unit::Minute | Unit::Hour | Unit::Day => add_days(day, count),
        Unit::Week => count.checked_mul(7).and_then(|days| add_days(day, days)),
        Unit::Month => add_months(day, count),
        Unit::Year => count.checked_mul(12).and_then(|months| add_months(day, months)),
        Unit::FiscalPeriod => calendar
            .period_after(calendar.period_of(day), count)
            .and_then(|period| calendar.period_start(period)),
        Unit::FiscalYear => i32::try_from(i64::from(calendar.period_of(day).year) + count)
            .ok()
            .and_then(|year| calendar.year_start(year)),
    };
    let end = if count < 0 { FIRST_DAY } else { LAST_DAY };
    after.filter(|day| (FIRST_DAY..=LAST_DAY).contains(day)).unwrap_or(end)
}

fn add_days(day: NaiveDate, days: i64) -> Option<NaiveDate> {
    day.checked_add_signed(TimeDelta::try_days(days)?)
}

fn add_months(day: NaiveDate, months: i64) -> Option<NaiveDate> {
    let by = Months::new(u32::try_from(months.unsigned_abs()).ok()?);
    if months < 0 { day.checked_sub_months(by) } else { day.checked_add_months(by) }
}

fn days_after(day: NaiveDate, days: i64) -> NaiveDate {
    add_days(day, days).unwrap_or(LAST_DAY)
}

fn utc(micros: i64) -> NaiveDateTime {
    DateTime::from_timestamp_micros(micros).unwrap_or_default().naive_utc()
}

/// The day that it is at an instant, in a time zone.
pub fn day_of(micros: i64, timezone: Tz) -> NaiveDate {
    timezone.from_utc_datetime(&utc(micros)).date_naive()
}

/// The first instant at which clocks of a time zone show a time or, where they
/// skip it, a later one.
pub fn instant_of(local: NaiveDateTime, timezone: Tz) -> i64 {
    if let Some(time) = timezone.from_local_datetime(&local).earliest() {
        return time.timestamp_micros();
    }
    let second = |time: NaiveDateTime| time.and_utc().timestamp();
    let shown = |at: i64| {
        let at = DateTime::from_timestamp(at, 0).unwrap_or_default().naive_utc();
        timezone.from_utc_datetime(&at).naive_local()
    };
    // No zone is a day and more off UTC, nor has one skipped more than a day.
    const TWO_DAYS: i64 = 2 * 86_400;
    let (mut before, mut after) = (second(local) - TWO_DAYS, second(local) + TWO_DAYS);
    while after - before > 1 {
        let middle = before + (after - before) / 2;
        if shown(middle) < local {
            before = middle;
        } else {
            after = middle;
        }
    }
    after.saturating_mul(1_000_000)
}

/// The instant at which a day begins.
pub fn start_of(day: NaiveDate, timezone: Tz) -> i64 {
    instant_of(day.into(), timezone)
}

/// The instant that a text names: an offset in it decides, else the time zone.
pub fn read_instant(text: &str, timezone: Tz) -> Option<i64> {
    Some(match read_time(text)? {
        WrittenTime::Instant(micros) => micros,
        WrittenTime::Local(time) => {
            let in_range = (FIRST_DAY..=LAST_DAY).contains(&time.date());
            in_range.then(|| instant_of(time, timezone))?
        }
    })
}

/// The day that a text names; a time beside it matters only with an offset.
pub fn read_day(text: &str, timezone: Tz) -> Option<NaiveDate> {
    let day = match read_time(text)? {
        WrittenTime::Instant(micros) => day_of(micros, timezone),
        WrittenTime::Local(time) => time.date(),
    };
    (FIRST_DAY..=LAST_DAY).contains(&day).then_some(day)
}

#[cfg(test)]
mod tests;
