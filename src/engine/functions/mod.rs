//! Scalar functions that DataFusion lacks or means differently: those of T-SQL
//! as SQL Server has them, and those of PostgreSQL that tools send.
//!
//! Most are rows of a table ([`definition`]). Names that start with `sql_` are
//! T-SQL's meaning of a name that DataFusion has too, those with `pg_`
//! PostgreSQL's. Times are microseconds UTC without a zone, text is `Utf8View`, a
//! GUID is `FixedSizeBinary(16)`. All are pure but `getdate` and `rand`, which are
//! one value a statement, and `newid` and `random`, which are one a row.

mod arguments;
mod calendar;
mod code_page;
mod collate;
mod convert;
mod cutting;
mod dates;
mod decimals;
mod definition;
mod extremes;
mod fiscal;
mod format;
mod from_parts;
mod full_text;
mod guid_order;
mod hashing;
mod inspecting;
mod isnull;
mod json;
mod json_rows;
mod lists;
mod local;
mod making;
mod math;
mod now;
mod number_kept;
mod operators;
mod part;
mod postgres;
mod printf;
mod random;
mod rounding;
mod searching;
mod styles;
mod table_name;
mod types;
mod units;
mod windows_zones;
mod zones;

use std::sync::Arc;

use chrono_tz::Tz;
use datafusion::logical_expr::{Expr, ScalarUDF, lit};

pub use self::collate::is_collation;
use self::definition::Definition;
pub use self::lists::RECURSION_LEVEL;
pub use self::part::DatePart;
pub use self::styles::is_style;
pub use self::types::SqlType;

pub(super) use self::collate::{collated_key, collated_pattern, collation_of, is_exact};
pub(super) use self::convert::{converted, literal_converted};
pub(super) use self::extremes::extreme_text;
pub(super) use self::guid_order::guid_order;
pub(super) use self::operators::{Arithmetic, Operation};

use crate::query::context::Calendar;

/// What clocks of a zone show at a time. In UTC that is the time itself.
pub(super) fn local_time(time: Expr, zone: Tz) -> Expr {
    if zone == Tz::UTC {
        return time;
    }
    ScalarUDF::new_from_impl(local::LocalTime::new()).call(vec![time, lit(zone.name())])
}

/// The number of the fiscal year that holds a local time.
pub(super) fn fiscal_year(time: Expr, calendar: Calendar) -> Expr {
    fiscal_number(fiscal::Number::Year, time, calendar)
}

/// The fiscal period that holds a local time, with its year: 202303.
pub(super) fn fiscal_period(time: Expr, calendar: Calendar) -> Expr {
    fiscal_number(fiscal::Number::Period, time, calendar)
}

/// The number of the fiscal period within its year.
pub(super) fn fiscal_period_in_year(time: Expr, calendar: Calendar) -> Expr {
    fiscal_number(fiscal::Number::PeriodInYear, time, calendar)
}

fn fiscal_number(number: fiscal::Number, time: Expr, calendar: Calendar) -> Expr {
    ScalarUDF::new_from_impl(fiscal::Fiscal::new(number, calendar)).call(vec![time])
}

/// The table name behind an object type code.
pub(super) fn table_name(code: Expr) -> Expr {
    ScalarUDF::new_from_impl(table_name::TableName::new()).call(vec![code])
}

/// Functions that are rows of a table.
static TABLES: &[&[Definition]] = &[
    cutting::FUNCTIONS,
    dates::FUNCTIONS,
    format::FUNCTIONS,
    from_parts::FUNCTIONS,
    full_text::FUNCTIONS,
    hashing::FUNCTIONS,
    inspecting::FUNCTIONS,
    json::FUNCTIONS,
    json_rows::FUNCTIONS,
    making::FUNCTIONS,
    math::FUNCTIONS,
    number_kept::FUNCTIONS,
    random::FUNCTIONS,
    rounding::FUNCTIONS,
    searching::FUNCTIONS,
    zones::FUNCTIONS,
];

fn tables() -> impl Iterator<Item = &'static [Definition]> {
    TABLES.iter().copied().chain(postgres::tables())
}

/// All functions, for registration in a session.
pub fn all() -> Vec<Arc<ScalarUDF>> {
    let mut functions = vec![
        ScalarUDF::new_from_impl(collate::Collate::new()),
        ScalarUDF::new_from_impl(convert::Convert::new()),
        ScalarUDF::new_from_impl(guid_order::GuidOrder::new()),
        ScalarUDF::new_from_impl(isnull::IsNull::new()),
        ScalarUDF::new_from_impl(lists::RecursionLevel::new()),
        ScalarUDF::new_from_impl(now::GetDate::new()),
        ScalarUDF::new_from_impl(table_name::TableName::new()),
    ];
    functions.extend(tables().flat_map(definition::defined));
    functions.extend(random::all().map(ScalarUDF::new_from_impl));
    functions.extend(lists::all().map(ScalarUDF::new_from_impl));
    functions.extend(operators::all().map(ScalarUDF::new_from_impl));
    functions.into_iter().map(Arc::new).collect()
}
