//! Parts of dates: what `dategrouping` groups by and fiscal conditions look at.

use chrono_tz::Tz;
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::functions::datetime::expr_fn::date_part;
use datafusion::logical_expr::{Expr, lit};
use datafusion::prelude::cast;

use super::Builder;
use crate::engine::functions;
use crate::query::DatePart;
use crate::query::bound::Column;
use crate::query::context::Calendar;

impl Builder<'_> {
    /// A column of times as the caller's clocks have them, or in UTC; a date is
    /// the same everywhere.
    pub(super) fn time(&self, of: Column, local: bool) -> Expr {
        let (table, _) = self.source(of.source);
        let is_date = *table.schema().field(of.column).data_type() == DataType::Date32;
        let zone = if local && !is_date { self.query.timezone } else { Tz::UTC };
        functions::local_time(self.column(of), zone)
    }
}

/// FetchXML `dategrouping`. Weeks start on Sunday; week 1 holds 1 January.
pub(super) fn part_of(date: Expr, part: DatePart, calendar: Calendar) -> Expr {
    let get = |name: &str| date_part(lit(name), date.clone());
    let number = match part {
        DatePart::Day => get("day"),
        DatePart::Month => get("month"),
        DatePart::Quarter => get("quarter"),
        DatePart::Year => get("year"),
        DatePart::FiscalPeriod => return functions::fiscal_period(as_time(date), calendar),
        DatePart::FiscalYear => return functions::fiscal_year(as_time(date), calendar),
        DatePart::Week => {
            // Days since the Sunday on or before 1 January, in whole weeks.
            let to_january = get("doy") - lit(1);
            let first_weekday = (get("dow") - to_january.clone() + lit(371)) % lit(7);
            (to_january + first_weekday) / lit(7) + lit(1)
        }
    };
    cast(number, DataType::Int32)
}

/// A date as the time at which it begins.
pub(super) fn as_time(date: Expr) -> Expr {
    cast(date, DataType::Timestamp(TimeUnit::Microsecond, None))
}
