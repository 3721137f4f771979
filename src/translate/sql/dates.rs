//! The operators that depend on the clock, as ranges that T-SQL works out when it is
//! asked. `query::dates` says what the ranges are.

use super::{Printer, cannot_say};
use crate::error::Result;
use crate::query::bound::{Column, Predicate};
use crate::query::operators::{Dates, Unit};
use datafusion::arrow::datatypes::DataType;

const NOW: &str = "GETUTCDATE()";
const TODAY: &str = "CAST(GETUTCDATE() AS date)";

/// More units may leave the years that T-SQL knows.
const UNITS_MAX: i64 = 1_000;

impl Printer<'_> {
    pub(super) fn is_utc(&self) -> bool {
        self.query.timezone == chrono_tz::Tz::UTC
    }

    pub(super) fn is_date(&self, column: Column) -> bool {
        let schema = self.query.table_of(column.source).schema();
        *schema.field(column.column).data_type() == DataType::Date32
    }

    pub(super) fn dates(
        &self,
        column: Column,
        dates: Dates,
        values: &[String],
        means: &Predicate,
    ) -> Result<String> {
        // Their days are known.
        if let Dates::On | Dates::OnOrAfter | Dates::OnOrBefore = dates {
            return self.operand(means);
        }
        let name = crate::query::Test::Dates(dates).operator().map_or("the operator", |o| o.name);
        let of = &self.query.facts(column).logical_name;
        if !self.is_utc() {
            let zone = self.query.timezone;
            return Err(cannot_say(format!("'{name}' of '{of}' in the time zone {zone}")));
        }
        let count = values.first().and_then(|text| text.trim().parse::<i64>().ok());
        let range = self.range_of(dates, count.unwrap_or(0), self.is_date(column));
        let (from, until) = range.ok_or_else(|| {
            let values: String = values.iter().map(|value| format!(" {value}")).collect();
            cannot_say(format!("'{name}{values}' of '{of}'"))
        })?;
        let subject = self.column(column)?;
        let from = from.map(|from| format!("{subject} >= {from}"));
        let until = until.map(|until| format!("{subject} < {until}"));
        Ok(match (from, until) {
            (Some(from), Some(until)) => format!("({from} AND {until})"),
            (from, until) => from.or(until).unwrap_or_else(|| "1 = 1".into()),
        })
    }

    /// `from <= time < until`; nothing for what the fiscal year decides.
    fn range_of(
        &self,
        dates: Dates,
        count: i64,
        of_dates: bool,
    ) -> Option<(Option<String>, Option<String>)> {
        if count > UNITS_MAX {
            return None;
        }
        // A column of dates has no time of day: what begins now begins today, and
        // what ends now ends after today.
        let (begins_now, ends_now) = match of_dates {
            true => (TODAY.to_owned(), later("day", 1, TODAY)),
            false => (NOW.to_owned(), NOW.to_owned()),
        };
        Some(match dates {
            Dates::Unit { unit, offset } => {
                let first = self.first_of(unit)?;
                let at = |by: i32| units(unit, i64::from(by), &first);
                (Some(at(offset)?), Some(at(offset + 1)?))
            }
            Dates::Last { unit, count: own } => {
                let count = own.map_or(count, i64::from);
                (Some(units(unit, -count, base(unit)?)?), Some(ends_now))
            }
            Dates::Next { unit, count: own } => {
                let count = own.map_or(count, i64::from);
                let until = match unit {
                    Unit::Minute | Unit::Hour => units(unit, count + 1, base(unit)?)?,
                    Unit::Day => later("day", count + 1, TODAY),
                    Unit::Week => later("day", 7 * count + 1, TODAY),
                    _ => units(unit, count, &later("day", 1, TODAY))?,
                };
                (Some(begins_now), Some(until))
            }
            Dates::OlderThan(unit) => (None, Some(units(unit, -count, base(unit)?)?)),
            _ => return None,
        })
    }

    /// The first day of the unit that holds today.
    fn first_of(&self, unit: Unit) -> Option<String> {
        Some(match unit {
            Unit::Day => TODAY.to_owned(),
            Unit::Week => {
                // 2 January 2000 was a Sunday.
                let start = 2 + self.query.calendar.week_start % 7;
                let days = format!("DATEDIFF(day, '2000-01-{start:02}', {NOW})");
                format!("DATEADD(day, -({days} % 7), {TODAY})")
            }
            Unit::Month => format!("DATETRUNC(month, {TODAY})"),
            Unit::Year => format!("DATETRUNC(year, {TODAY})"),
            Unit::Minute | Unit::Hour | Unit::FiscalPeriod | Unit::FiscalYear => return None,
        })
    }
}

/// What units are counted back from.
fn base(unit: Unit) -> Option<&'static str> {
    match unit {
        Unit::Minute => Some("DATETRUNC(minute, GETUTCDATE())"),
        Unit::Hour => Some("DATETRUNC(hour, GETUTCDATE())"),
        Unit::Day | Unit::Week | Unit::Month | Unit::Year => Some(TODAY),
        Unit::FiscalPeriod | Unit::FiscalYear => None,
    }
}

/// So many units later.
fn units(unit: Unit, count: i64, base: &str) -> Option<String> {
    Some(match unit {
        Unit::Minute => later("minute", count, base),
        Unit::Hour => later("hour", count, base),
        Unit::Day => later("day", count, base),
        Unit::Week => later("day", 7 * count, base),
        Unit::Month => later("month", count, base),
        Unit::Year => later("year", count, base),
        Unit::FiscalPeriod | Unit::FiscalYear => return None,
    })
}

fn later(unit: &str, count: i64, base: &str) -> String {
    match count {
        0 => base.to_owned(),
        count => format!("DATEADD({unit}, {count}, {base})"),
    }
}
