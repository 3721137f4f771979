//! Days and times of the proleptic Gregorian calendar as plain integers:
//! days and microseconds since 1970-01-01. Faster over columns than a date
//! type, and total over the years 1 to 9999 that SQL Server knows.

pub(super) const MICROS_PER_SECOND: i64 = 1_000_000;
pub(super) const MICROS_PER_MINUTE: i64 = 60 * MICROS_PER_SECOND;
pub(super) const MICROS_PER_HOUR: i64 = 60 * MICROS_PER_MINUTE;
pub(super) const MICROS_PER_DAY: i64 = 24 * MICROS_PER_HOUR;

/// 1900-01-01, SQL Server's day 0.
pub(super) const DAY_ZERO: i64 = -25_567;

/// A calendar date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Date {
    pub year: i64,
    /// From 1.
    pub month: i64,
    /// From 1.
    pub day: i64,
}

/// The day of an instant.
pub(super) fn day_of(micros: i64) -> i64 {
    micros.div_euclid(MICROS_PER_DAY)
}

/// The date of a day number. Years are counted from March, so that the day a
/// leap year adds is its last.
pub(super) fn date(day: i64) -> Date {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    Date {
        year: year_of_era + era * 400 + i64::from(month <= 2),
        month,
        day: day_of_year - (153 * march_month + 2) / 5 + 1,
    }
}

/// The day number of a date; the day may lie beyond the month's end.
pub(super) fn day(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let march_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * march_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Days of a month.
pub(super) fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// 0 is Sunday.
pub(super) fn weekday(day: i64) -> i64 {
    (day + 4).rem_euclid(7)
}

/// Weeks from Sunday to Saturday, numbered without end.
pub(super) fn week(day: i64) -> i64 {
    (day + 4).div_euclid(7)
}

/// The first and the last instant of the years 1 to 9999.
pub(super) fn in_range(micros: i64) -> bool {
    let first = day(1, 1, 1) * MICROS_PER_DAY;
    let end = day(10_000, 1, 1) * MICROS_PER_DAY;
    (first..end).contains(&micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_are_inverse_over_all_years() {
        for number in (day(1, 1, 1)..day(10_000, 1, 1)).step_by(13) {
            let Date { year, month, day: of_month } = date(number);
            assert_eq!(day(year, month, of_month), number);
            assert!((1..=days_in_month(year, month)).contains(&of_month));
        }
        assert_eq!(day(1970, 1, 1), 0);
        assert_eq!(day(1900, 1, 1), DAY_ZERO);
        assert_eq!(date(day(2024, 2, 29)), Date { year: 2024, month: 2, day: 29 });
        assert_eq!(weekday(day(2024, 5, 5)), 0);
    }
}
