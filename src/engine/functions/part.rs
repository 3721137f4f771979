//! The date parts of `DATEDIFF`, `DATEADD`, `DATEPART`, `DATENAME` and
//! `DATETRUNC`, with all of SQL Server's abbreviations.

/// A part of a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatePart {
    Year,
    Quarter,
    Month,
    DayOfYear,
    Day,
    Week,
    IsoWeek,
    Weekday,
    Hour,
    Minute,
    Second,
    Millisecond,
    Microsecond,
    Nanosecond,
    /// The offset from UTC in minutes.
    TzOffset,
}

/// Each part, its full name first, then the abbreviations.
const PARTS: &[(DatePart, &[&str])] = &[
    (DatePart::Year, &["year", "yy", "yyyy"]),
    (DatePart::Quarter, &["quarter", "qq", "q"]),
    (DatePart::Month, &["month", "mm", "m"]),
    (DatePart::DayOfYear, &["dayofyear", "dy", "y"]),
    (DatePart::Day, &["day", "dd", "d"]),
    (DatePart::Week, &["week", "wk", "ww"]),
    (DatePart::IsoWeek, &["iso_week", "isowk", "isoww"]),
    (DatePart::Weekday, &["weekday", "dw", "w"]),
    (DatePart::Hour, &["hour", "hh"]),
    (DatePart::Minute, &["minute", "mi", "n"]),
    (DatePart::Second, &["second", "ss", "s"]),
    (DatePart::Millisecond, &["millisecond", "ms"]),
    (DatePart::Microsecond, &["microsecond", "mcs"]),
    (DatePart::Nanosecond, &["nanosecond", "ns"]),
    (DatePart::TzOffset, &["tzoffset", "tz"]),
];

impl DatePart {
    /// A part by its name or an abbreviation, in any case.
    pub fn parse(word: &str) -> Option<Self> {
        let is = |name: &&str| name.eq_ignore_ascii_case(word);
        PARTS.iter().find(|(_, names)| names.iter().any(&is)).map(|(part, _)| *part)
    }

    /// The full name.
    pub fn name(self) -> &'static str {
        PARTS.iter().find(|(part, _)| *part == self).map_or("", |(_, names)| names[0])
    }

    /// Whether it is a part of the time of day.
    pub(super) fn is_of_day(self) -> bool {
        use DatePart::{Hour, Microsecond, Millisecond, Minute, Nanosecond, Second};
        matches!(self, Hour | Minute | Second | Millisecond | Microsecond | Nanosecond)
    }

    /// All full names, for error messages.
    pub fn names() -> impl Iterator<Item = &'static str> {
        PARTS.iter().map(|(_, names)| names[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_treacherous_abbreviations() {
        let parse = |word| DatePart::parse(word).expect("an abbreviation");
        assert_eq!(parse("m"), DatePart::Month);
        assert_eq!(parse("N"), DatePart::Minute);
        assert_eq!(parse("y"), DatePart::DayOfYear);
        assert_eq!(parse("W"), DatePart::Weekday);
        assert_eq!(DatePart::parse("min"), None);
        for (part, _) in PARTS {
            assert_eq!(DatePart::parse(part.name()), Some(*part));
        }
    }
}
