//! Fiscal years and periods of the organization's calendar. A fiscal year has
//! the number of the calendar year in which it starts; periods count from 1.

use chrono::{Datelike, NaiveDate, TimeDelta};

use super::context::{Calendar, FiscalPeriod};

/// Days of a four-weekly period; the last one of a year takes what is left.
const FOUR_WEEKS: i64 = 28;

/// One fiscal period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    pub year: i32,
    /// From 1.
    pub number: u32,
}

/// The place of the year in a period's number.
const PERIODS: i32 = 100;

impl Period {
    /// Year and period as one number: 202303 is the third of 2023. Dataverse
    /// documents the label only; this keeps periods of several years apart and
    /// sorts by time.
    pub fn code(self) -> Option<i32> {
        self.year.checked_mul(PERIODS)?.checked_add(i32::try_from(self.number).ok()?)
    }

    /// The period with such a code.
    pub fn from_code(code: i64) -> Option<Self> {
        let periods = i64::from(PERIODS);
        Some(Self {
            year: i32::try_from(code.div_euclid(periods)).ok()?,
            number: u32::try_from(code.rem_euclid(periods)).ok()?,
        })
    }
}

impl FiscalPeriod {
    /// How many periods a year has.
    pub fn count(self) -> u32 {
        match self {
            Self::Annually => 1,
            Self::SemiAnnually => 2,
            Self::Quarterly => 4,
            Self::Monthly => 12,
            Self::FourWeekly => 13,
        }
    }

    /// The code in `fiscalperiodtype`.
    pub fn from_code(code: i32) -> Option<Self> {
        Some(match code {
            2000 => Self::Annually,
            2001 => Self::SemiAnnually,
            2002 => Self::Quarterly,
            2003 => Self::Monthly,
            2004 => Self::FourWeekly,
            _ => return None,
        })
    }

    /// A period as Dataverse shows it: `Quarter 3 FY2023`.
    pub fn label(self, period: Period) -> String {
        let Period { year, number } = period;
        match self {
            Self::Annually => year_label(year),
            Self::SemiAnnually => format!("Semester {number} {}", year_label(year)),
            Self::Quarterly => format!("Quarter {number} {}", year_label(year)),
            Self::Monthly => format!("Month {number} {}", year_label(year)),
            Self::FourWeekly => format!("P{number} {}", year_label(year)),
        }
    }
}

/// A fiscal year as Dataverse shows it: `FY2023`.
pub fn year_label(year: i32) -> String {
    format!("FY{year}")
}

impl Calendar {
    /// The first day of a fiscal year; nothing beyond the years that dates have.
    pub fn year_start(&self, year: i32) -> Option<NaiveDate> {
        self.period_start(Period { year, number: 1 })
    }

    /// The first day of a period.
    pub fn period_start(&self, period: Period) -> Option<NaiveDate> {
        let (month, day) = self.fiscal_start;
        let months = match self.fiscal_period {
            FiscalPeriod::FourWeekly => {
                let days = TimeDelta::days(i64::from(period.number - 1) * FOUR_WEEKS);
                return clamped(period.year, month, day)?.checked_add_signed(days);
            }
            by_months => 12 / by_months.count() * (period.number - 1) + month - 1,
        };
        let year = period.year.checked_add(i32::try_from(months / 12).ok()?)?;
        clamped(year, months % 12 + 1, day)
    }

    /// The period so many after another; before it where the number is negative.
    pub fn period_after(&self, period: Period, periods: i64) -> Option<Period> {
        let count = i64::from(self.fiscal_period.count());
        let ordinal = i64::from(period.year) * count + i64::from(period.number) - 1;
        let ordinal = ordinal.checked_add(periods)?;
        Some(Period {
            year: i32::try_from(ordinal.div_euclid(count)).ok()?,
            number: u32::try_from(ordinal.rem_euclid(count)).ok()? + 1,
        })
    }

    /// The period that holds a day.
    pub fn period_of(&self, day: NaiveDate) -> Period {
        let starts = |period| self.period_start(period).is_some_and(|start| start <= day);
        let this = day.year();
        let year = if starts(Period { year: this, number: 1 }) { this } else { this - 1 };
        let mut periods = (1..=self.fiscal_period.count()).rev();
        let number = periods.find(|number| starts(Period { year, number: *number }));
        Period { year, number: number.unwrap_or(1) }
    }
}

/// A day of a month, or the month's last where it has no such day.
fn clamped(year: i32, month: u32, day: u32) -> Option<NaiveDate> {
    (day.saturating_sub(3)..=day).rev().find_map(|day| NaiveDate::from_ymd_opt(year, month, day))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calendar(fiscal_start: (u32, u32), fiscal_period: FiscalPeriod) -> Calendar {
        Calendar { fiscal_start, fiscal_period, ..Calendar::default() }
    }

    fn starts(calendar: &Calendar, year: i32) -> Vec<String> {
        let numbers = 1..=calendar.fiscal_period.count();
        let start = |number| calendar.period_start(Period { year, number });
        numbers.filter_map(start).map(|start| start.to_string()).collect()
    }

    #[test]
    fn periods_start_by_months_from_the_start_of_the_year() {
        assert_eq!(starts(&calendar((7, 1), FiscalPeriod::Annually), 2023), ["2023-07-01"]);
        assert_eq!(
            starts(&calendar((7, 1), FiscalPeriod::SemiAnnually), 2023),
            ["2023-07-01", "2024-01-01"]
        );
        assert_eq!(
            starts(&calendar((1, 1), FiscalPeriod::Quarterly), 2023),
            ["2023-01-01", "2023-04-01", "2023-07-01", "2023-10-01"]
        );
        let monthly = starts(&calendar((1, 31), FiscalPeriod::Monthly), 2024);
        assert_eq!(monthly[..4], ["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30"]);
        let four_weekly = starts(&calendar((1, 1), FiscalPeriod::FourWeekly), 2023);
        assert_eq!((four_weekly.len(), four_weekly[12].as_str()), (13, "2023-12-03"));
        assert_eq!(starts(&calendar((2, 29), FiscalPeriod::Annually), 2023), ["2023-02-28"]);
    }

    #[test]
    fn every_day_is_in_the_period_that_starts_last_before_it() {
        for (start, kind) in [
            ((1, 1), FiscalPeriod::Annually),
            ((4, 6), FiscalPeriod::SemiAnnually),
            ((7, 1), FiscalPeriod::Quarterly),
            ((1, 31), FiscalPeriod::Monthly),
            ((2, 29), FiscalPeriod::Monthly),
            ((10, 1), FiscalPeriod::FourWeekly),
        ] {
            let calendar = calendar(start, kind);
            let first = NaiveDate::from_ymd_opt(2022, 12, 1).expect("a date");
            for day in first.iter_days().take(1200) {
                let period = calendar.period_of(day);
                let next = calendar.period_after(period, 1).expect("near");
                let from = calendar.period_start(period).expect("near");
                let until = calendar.period_start(next).expect("near");
                assert!(from <= day && day < until, "{day} in {period:?} of {calendar:?}");
            }
        }
    }

    #[test]
    fn periods_are_counted_over_years() {
        let calendar = calendar((7, 1), FiscalPeriod::Quarterly);
        let period = Period { year: 2023, number: 1 };
        let after = |n| calendar.period_after(period, n).expect("near");
        assert_eq!(after(-1), Period { year: 2022, number: 4 });
        assert_eq!(after(9), Period { year: 2025, number: 2 });
        assert_eq!(calendar.period_after(period, i64::MAX), None);
    }

    #[test]
    fn a_period_and_its_year_are_one_number() {
        let period = Period { year: 2023, number: 3 };
        assert_eq!(period.code(), Some(202_303));
        assert_eq!(Period::from_code(202_303), Some(period));
    }

    #[test]
    fn labels_are_those_of_dataverse() {
        let period = Period { year: 2023, number: 3 };
        let labels = [
            (FiscalPeriod::Annually, "FY2023"),
            (FiscalPeriod::SemiAnnually, "Semester 3 FY2023"),
            (FiscalPeriod::Quarterly, "Quarter 3 FY2023"),
            (FiscalPeriod::Monthly, "Month 3 FY2023"),
            (FiscalPeriod::FourWeekly, "P3 FY2023"),
        ];
        for (kind, label) in labels {
            assert_eq!(kind.label(period), label);
        }
    }
}
