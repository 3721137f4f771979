//! The range of every date operator, and days that are not 24 hours long.

use super::*;
use crate::query::context::{Calendar, FiscalPeriod};
use crate::query::operators::{Meaning, OPERATORS, Test};
use crate::value::{parse_time, time_text};

fn context(now: &str, timezone: Tz) -> Context {
    Context { now: parse_time(now).expect("a time"), timezone, ..Context::default() }
}

/// An operator as FetchXML writes it, with its values: `last-x-days 3`.
fn ranged(operator: &str, context: &Context) -> Range {
    let (name, values) = operator.split_once(' ').unwrap_or((operator, ""));
    let operator = OPERATORS.iter().find(|o| o.name == name).expect("an operator");
    let Meaning::Test(Test::Dates(test)) = operator.meaning else {
        panic!("'{name}' is no date operator");
    };
    let given = match values.split_once(' ') {
        Some((number, year)) => Given::Period(Period {
            number: number.parse().expect("a period"),
            year: year.parse().expect("a year"),
        }),
        None if values.is_empty() => Given::Nothing,
        None if matches!(test, Dates::On | Dates::OnOrAfter | Dates::OnOrBefore) => {
            Given::Day(read_day(values, context.timezone).expect("a day"))
        }
        None => Given::Number(values.parse().expect("a number")),
    };
    range(test, given, context).expect("a range")
}

/// The range in UTC, ends that are open as `*`.
fn shown(operator: &str, context: &Context) -> String {
    let Range { from, until } = ranged(operator, context);
    let end = |bound: Option<Bound>| match bound {
        None => "*".to_owned(),
        Some(Bound::Day(day)) => time_text(start_of(day, context.timezone)),
        Some(Bound::Instant(micros)) => time_text(micros),
    };
    let text = format!("{} {}", end(from), end(until));
    text.replace("T00:00:00Z", "").replace(":00Z", "Z")
}

fn check(context: &Context, table: &[(&str, &str)]) {
    for (operator, expected) in table {
        assert_eq!(shown(operator, context), *expected, "{operator}");
    }
}

/// Friday, 15 March 2024.
const NOW: &str = "2024-03-15T10:34:56Z";

/// Every operator with a range, in UTC.
const IN_UTC: &[(&str, &str)] = &[
    ("yesterday", "2024-03-14 2024-03-15"),
    ("today", "2024-03-15 2024-03-16"),
    ("tomorrow", "2024-03-16 2024-03-17"),
    ("last-seven-days", "2024-03-08 2024-03-15T10:34:56Z"),
    ("next-seven-days", "2024-03-15T10:34:56Z 2024-03-23"),
    ("last-week", "2024-03-03 2024-03-10"),
    ("this-week", "2024-03-10 2024-03-17"),
    ("next-week", "2024-03-17 2024-03-24"),
    ("last-month", "2024-02-01 2024-03-01"),
    ("this-month", "2024-03-01 2024-04-01"),
    ("next-month", "2024-04-01 2024-05-01"),
    ("last-year", "2023-01-01 2024-01-01"),
    ("this-year", "2024-01-01 2025-01-01"),
    ("next-year", "2025-01-01 2026-01-01"),
    ("last-x-hours 3", "2024-03-15T07:00Z 2024-03-15T10:34:56Z"),
    ("next-x-hours 3", "2024-03-15T10:34:56Z 2024-03-15T14:00Z"),
    ("last-x-days 1", "2024-03-14 2024-03-15T10:34:56Z"),
    ("next-x-days 1", "2024-03-15T10:34:56Z 2024-03-17"),
    ("last-x-weeks 2", "2024-03-01 2024-03-15T10:34:56Z"),
    ("next-x-weeks 2", "2024-03-15T10:34:56Z 2024-03-30"),
    ("last-x-months 2", "2024-01-15 2024-03-15T10:34:56Z"),
    ("next-x-months 2", "2024-03-15T10:34:56Z 2024-05-16"),
    ("last-x-years 2", "2022-03-15 2024-03-15T10:34:56Z"),
    ("next-x-years 2", "2024-03-15T10:34:56Z 2026-03-16"),
    ("olderthan-x-minutes 10", "* 2024-03-15T10:24Z"),
    ("olderthan-x-hours 10", "* 2024-03-15"),
    ("olderthan-x-days 10", "* 2024-03-05"),
    ("olderthan-x-weeks 1", "* 2024-03-08"),
    ("olderthan-x-months 1", "* 2024-02-15"),
    ("olderthan-x-years 1", "* 2023-03-15"),
    ("on 2024-02-29", "2024-02-29 2024-03-01"),
    ("on 2024-02-29T23:59:59", "2024-02-29 2024-03-01"),
    ("on-or-after 2024-02-29T12:00:00Z", "2024-02-29 *"),
    ("on-or-before 2024-02-29", "* 2024-03-01"),
    ("this-fiscal-year", "2024-01-01 2025-01-01"),
    ("last-fiscal-year", "2023-01-01 2024-01-01"),
    ("next-fiscal-year", "2025-01-01 2026-01-01"),
    ("this-fiscal-period", "2024-01-01 2024-04-01"),
    ("last-fiscal-period", "2023-10-01 2024-01-01"),
    ("next-fiscal-period", "2024-04-01 2024-07-01"),
    ("last-x-fiscal-years 2", "2022-01-01 2024-03-15T10:34:56Z"),
    ("next-x-fiscal-years 2", "2024-03-15T10:34:56Z 2027-01-01"),
    ("last-x-fiscal-periods 2", "2023-07-01 2024-03-15T10:34:56Z"),
    ("next-x-fiscal-periods 2", "2024-03-15T10:34:56Z 2024-10-01"),
    ("in-fiscal-year 2022", "2022-01-01 2023-01-01"),
    ("in-fiscal-period-and-year 4 2022", "2022-10-01 2023-01-01"),
    ("in-or-before-fiscal-period-and-year 2 2022", "* 2022-07-01"),
    ("in-or-after-fiscal-period-and-year 2 2022", "2022-04-01 *"),
];

#[test]
fn every_operator_has_its_range() {
    check(&context(NOW, Tz::UTC), IN_UTC);
    for operator in OPERATORS {
        if let Meaning::Test(Test::Dates(test)) = operator.meaning
            && test != Dates::InFiscalPeriod
        {
            let named = |(text, _): &&(&str, &str)| text.split(' ').next() == Some(operator.name);
            assert!(IN_UTC.iter().any(|row| named(&row)), "{} is not tested", operator.name);
        }
    }
}

#[test]
fn days_are_those_of_the_caller() {
    // In New York it is still the day before.
    let new_york = context("2024-03-15T03:30:00Z", Tz::America__New_York);
    check(
        &new_york,
        &[
            ("today", "2024-03-14T04:00Z 2024-03-15T04:00Z"),
            ("last-x-days 1", "2024-03-13T04:00Z 2024-03-15T03:30Z"),
            ("next-seven-days", "2024-03-15T03:30Z 2024-03-22T04:00Z"),
            // Daylight saving time began on the tenth.
            ("last-seven-days", "2024-03-07T05:00Z 2024-03-15T03:30Z"),
            ("this-month", "2024-03-01T05:00Z 2024-04-01T04:00Z"),
            ("on 2024-03-15T02:00:00Z", "2024-03-14T04:00Z 2024-03-15T04:00Z"),
            ("on 2024-03-15T02:00:00", "2024-03-15T04:00Z 2024-03-16T04:00Z"),
        ],
    );
    // Half an hour off the full hours of UTC.
    let kolkata = context("2024-03-15T20:05:00Z", Tz::Asia__Kolkata);
    check(
        &kolkata,
        &[
            ("today", "2024-03-15T18:30Z 2024-03-16T18:30Z"),
            ("last-x-hours 1", "2024-03-15T18:30Z 2024-03-15T20:05Z"),
            ("olderthan-x-minutes 5", "* 2024-03-15T20:00Z"),
            ("olderthan-x-days 1", "* 2024-03-14T18:30Z"),
        ],
    );
}

#[test]
fn days_on_which_the_clock_changes() {
    let spring = context("2024-03-31T10:00:00Z", Tz::Europe__Oslo);
    check(
        &spring,
        &[
            ("today", "2024-03-30T23:00Z 2024-03-31T22:00Z"),
            ("tomorrow", "2024-03-31T22:00Z 2024-04-01T22:00Z"),
            ("last-x-hours 12", "2024-03-30T22:00Z 2024-03-31T10:00Z"),
        ],
    );
    let autumn = context("2024-10-27T00:30:00Z", Tz::Europe__Oslo);
    check(
        &autumn,
        &[
            ("today", "2024-10-26T22:00Z 2024-10-27T23:00Z"),
            ("last-x-hours 1", "2024-10-26T23:00Z 2024-10-27T00:30Z"),
        ],
    );
}

#[test]
fn times_that_clocks_skip_or_show_twice() {
    let local = |text: &str, zone: Tz| time_text(read_instant(text, zone).expect("a time"));
    assert_eq!(local("2024-03-31T02:30:00", Tz::Europe__Oslo), "2024-03-31T01:00:00Z");
    assert_eq!(local("2024-10-27T02:30:00", Tz::Europe__Oslo), "2024-10-27T00:30:00Z");
    assert_eq!(local("2024-10-27T02:30:00+01:00", Tz::Europe__Oslo), "2024-10-27T01:30:00Z");
    // There midnight itself was skipped, and once a whole day.
    assert_eq!(local("2018-11-04", Tz::America__Sao_Paulo), "2018-11-04T03:00:00Z");
    let apia = context("2011-12-31T12:00:00Z", Tz::Pacific__Apia);
    assert_eq!(shown("on 2011-12-30", &apia), "2011-12-30T10:00Z 2011-12-30T10:00Z");
    assert_eq!(shown("on 2011-12-29", &apia), "2011-12-29T10:00Z 2011-12-30T10:00Z");
    // Midnight came twice; the day begins with the first.
    assert_eq!(local("2024-11-03", Tz::America__Havana), "2024-11-03T04:00:00Z");
}

#[test]
fn months_and_years_end_where_they_are_shorter() {
    check(
        &context("2024-03-31T12:00:00Z", Tz::UTC),
        &[
            ("last-x-months 1", "2024-02-29 2024-03-31T12:00Z"),
            ("next-x-months 1", "2024-03-31T12:00Z 2024-05-01"),
            ("olderthan-x-months 13", "* 2023-02-28"),
        ],
    );
    check(
        &context("2024-02-29T12:00:00Z", Tz::UTC),
        &[
            ("last-x-years 1", "2023-02-28 2024-02-29T12:00Z"),
            ("olderthan-x-years 4", "* 2020-02-29"),
        ],
    );
    let new_year = context("2024-12-31T12:00:00Z", Tz::UTC);
    check(
        &new_year,
        &[
            ("next-month", "2025-01-01 2025-02-01"),
            ("this-week", "2024-12-29 2025-01-05"),
            ("tomorrow", "2025-01-01 2025-01-02"),
        ],
    );
}

#[test]
fn weeks_start_where_the_organization_says() {
    let mut context = context(NOW, Tz::UTC);
    for (start, this, last) in [
        (1, "2024-03-11 2024-03-18", "2024-03-04 2024-03-11"),
        (5, "2024-03-15 2024-03-22", "2024-03-08 2024-03-15"),
        (6, "2024-03-09 2024-03-16", "2024-03-02 2024-03-09"),
    ] {
        context.calendar.week_start = start;
        assert_eq!(shown("this-week", &context), this, "{start}");
        assert_eq!(shown("last-week", &context), last, "{start}");
        assert_eq!(shown("last-x-weeks 1", &context), "2024-03-08 2024-03-15T10:34:56Z");
    }
}

#[test]
fn fiscal_years_and_periods_of_all_kinds() {
    let with = |fiscal_start, fiscal_period| Context {
        calendar: Calendar { fiscal_start, fiscal_period, ..Calendar::default() },
        ..context(NOW, Tz::UTC)
    };
    check(
        &with((7, 1), FiscalPeriod::Quarterly),
        &[
            ("this-fiscal-year", "2023-07-01 2024-07-01"),
            ("this-fiscal-period", "2024-01-01 2024-04-01"),
            ("last-x-fiscal-periods 3", "2023-04-01 2024-03-15T10:34:56Z"),
            ("in-fiscal-year 2023", "2023-07-01 2024-07-01"),
            ("in-fiscal-period-and-year 3 2023", "2024-01-01 2024-04-01"),
        ],
    );
    check(
        &with((4, 1), FiscalPeriod::SemiAnnually),
        &[
            ("this-fiscal-period", "2023-10-01 2024-04-01"),
            ("next-fiscal-period", "2024-04-01 2024-10-01"),
        ],
    );
    check(
        &with((4, 1), FiscalPeriod::Annually),
        &[("this-fiscal-period", "2023-04-01 2024-04-01")],
    );
    check(
        &with((1, 31), FiscalPeriod::Monthly),
        &[
            ("this-fiscal-period", "2024-02-29 2024-03-31"),
            ("in-fiscal-period-and-year 2 2023", "2023-02-28 2023-03-31"),
        ],
    );
    check(
        &with((1, 1), FiscalPeriod::FourWeekly),
        &[
            ("this-fiscal-period", "2024-02-26 2024-03-25"),
            ("in-fiscal-period-and-year 13 2023", "2023-12-03 2024-01-01"),
        ],
    );
}

#[test]
fn numbers_beyond_the_calendar_end_at_its_ends() {
    let max = i32::MAX;
    check(
        &context(NOW, Tz::UTC),
        &[
            (&format!("last-x-days {max}"), "0001-01-01 2024-03-15T10:34:56Z"),
            (&format!("next-x-days {max}"), "2024-03-15T10:34:56Z 9999-12-31"),
            (&format!("last-x-years {max}"), "0001-01-01 2024-03-15T10:34:56Z"),
            (&format!("olderthan-x-months {max}"), "* 0001-01-01"),
            (&format!("next-x-fiscal-years {max}"), "2024-03-15T10:34:56Z 9999-12-31"),
            (&format!("last-x-fiscal-periods {max}"), "0001-01-01 2024-03-15T10:34:56Z"),
        ],
    );
    for operator in ["last-x-hours", "next-x-hours", "olderthan-x-minutes"] {
        ranged(&format!("{operator} {max}"), &context(NOW, Tz::Europe__Oslo));
    }
}

#[test]
fn texts_that_are_no_day_or_lie_beyond_the_calendar() {
    for text in ["", "today", "2024-02-30", "2024-13-01", "10000-01-01", "2024-05-01x"] {
        assert_eq!(read_day(text, Tz::UTC), None, "{text}");
        assert_eq!(read_instant(text, Tz::UTC), None, "{text}");
    }
}
