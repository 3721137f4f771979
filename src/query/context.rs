//! What a query's meaning depends on beside its text and the catalog: the time,
//! who asks and from which time zone, and the organization's calendar.

use std::fmt;
use std::sync::Arc;

use chrono_tz::{TZ_VARIANTS, Tz};

use crate::catalog::nearest;
use crate::error::{Error, Result, codes};
use crate::identity::{BUSINESS_UNIT, SYSTEM_USER};
use crate::value::Guid;

/// The surroundings in which a query is bound.
#[derive(Clone, Debug)]
pub struct Context {
    /// Microseconds since 1970-01-01 UTC; one moment for the whole query.
    pub now: i64,
    /// The caller's time zone: where days begin.
    pub timezone: Tz,
    pub user: Guid,
    pub business_unit: Guid,
    pub calendar: Calendar,
    /// The rows that identity and hierarchy operators look into.
    pub relations: Arc<dyn Relations>,
    /// The limits of Dataverse itself are kept.
    pub dataverse_limits: bool,
}

impl Default for Context {
    fn default() -> Self {
        Self {
            now: 0,
            timezone: Tz::UTC,
            user: SYSTEM_USER,
            business_unit: BUSINESS_UNIT,
            calendar: Calendar::default(),
            relations: Arc::new(NoRelations),
            dataverse_limits: false,
        }
    }
}

/// A time zone by its name in the IANA database, in any case.
pub fn timezone(name: &str) -> Result<Tz> {
    let name = name.trim();
    let found = TZ_VARIANTS.iter().find(|zone| zone.name().eq_ignore_ascii_case(name));
    found.copied().ok_or_else(|| {
        let near = nearest(name, TZ_VARIANTS.iter().map(|zone| zone.name()));
        let hint = near.map_or_else(
            || "; time zones have names such as 'Europe/Oslo'".to_owned(),
            |near| format!("; did you mean '{near}'?"),
        );
        let message = format!("'{name}' is not a time zone{hint}");
        Error::invalid(codes::INVALID_ARGUMENT, message)
    })
}

/// The organization's week and fiscal year.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Calendar {
    /// 0 is Sunday (`weekstartdaycode`).
    pub week_start: u32,
    /// Month and day (`fiscalcalendarstart`).
    pub fiscal_start: (u32, u32),
    pub fiscal_period: FiscalPeriod,
}

impl Default for Calendar {
    fn default() -> Self {
        Self { week_start: 0, fiscal_start: (1, 1), fiscal_period: FiscalPeriod::Quarterly }
    }
}

/// The length of a fiscal period (`fiscalperiodtype`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FiscalPeriod {
    Annually,
    SemiAnnually,
    Quarterly,
    Monthly,
    /// 13 periods of 28 days.
    FourWeekly,
}

/// Relations between rows that a condition needs when it is bound.
pub trait Relations: fmt::Debug + Send + Sync {
    /// The teams that any of the users belongs to.
    fn teams_of(&self, users: &[Guid]) -> Vec<Guid>;
    /// Those who report to the user, directly or not.
    fn subordinates(&self, user: Guid) -> Vec<Guid>;
    /// The rows above a row of a table, along a lookup to the same table; nearest first.
    fn ancestors(&self, table: &str, parent: &str, id: Guid) -> Vec<Guid>;
    /// The rows below it.
    fn descendants(&self, table: &str, parent: &str, id: Guid) -> Vec<Guid>;
}

/// Nobody has teams or subordinates.
#[derive(Debug)]
pub struct NoRelations;

impl Relations for NoRelations {
    fn teams_of(&self, _: &[Guid]) -> Vec<Guid> {
        Vec::new()
    }

    fn subordinates(&self, _: Guid) -> Vec<Guid> {
        Vec::new()
    }

    fn ancestors(&self, _: &str, _: &str, _: Guid) -> Vec<Guid> {
        Vec::new()
    }

    fn descendants(&self, _: &str, _: &str, _: Guid) -> Vec<Guid> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_zones_have_their_usual_names() {
        assert_eq!(timezone(" europe/oslo ").ok(), Some(Tz::Europe__Oslo));
        assert_eq!(timezone("UTC").ok(), Some(Tz::UTC));
        let said = |name| timezone(name).expect_err("is refused").message;
        assert_eq!(
            said("Europe/Olso"),
            "'Europe/Olso' is not a time zone; did you mean 'Europe/Oslo'?"
        );
        assert!(said("+01:00").contains("names such as"), "{}", said("+01:00"));
    }
}
