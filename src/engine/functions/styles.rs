//! Times as text: the styles of `CONVERT`.

use std::fmt::Write as _;

use datafusion::common::Result;

use super::calendar::{
    self, Date, MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND, day_of,
};
use super::convert::{hijri, read_time};
use super::dates::MONTHS;
use super::types::SqlType;
use super::zones::offset_text;

/// How a style writes the date.
#[derive(Clone, Copy, PartialEq)]
enum DateForm {
    None,
    /// `Nov 21 2026`, the day two wide.
    MonthDayYear,
    /// Numbers: `m`, `d`, `y` (four digits) or `Y` (two) with what stands between.
    Numbers(&'static str),
    /// `21 Nov 2026`, the year of two digits or four.
    DayMonthYear(bool),
    /// `Nov 21, 2026`.
    MonthDayComma(bool),
    /// The Hijri date, the month as a name or a number.
    Hijri(bool),
}

/// How a style writes the time of day.
#[derive(Clone, Copy, PartialEq)]
enum TimeForm {
    None,
    /// ` 1:45AM`
    Short,
    /// ` 1:45:30:123AM`, the last part behind a colon.
    Half,
    /// ` 1:45:30 AM`
    HalfSeconds,
    /// `13:45:30`
    Seconds,
    /// `13:45:30:123`, behind a colon; a dot for types with seven digits.
    Colon,
    /// `13:45:30.123`
    Point,
    /// As ISO 8601 has it: no fraction if it is zero.
    Iso,
}

const fn form(style: i32) -> Option<(DateForm, TimeForm)> {
    use DateForm as D;
    use TimeForm as T;
    Some(match style {
        0 | 100 => (D::MonthDayYear, T::Short),
        1 => (D::Numbers("m/d/Y"), T::None),
        101 => (D::Numbers("m/d/y"), T::None),
        2 => (D::Numbers("Y.m.d"), T::None),
        102 => (D::Numbers("y.m.d"), T::None),
        3 => (D::Numbers("d/m/Y"), T::None),
        103 => (D::Numbers("d/m/y"), T::None),
        4 => (D::Numbers("d.m.Y"), T::None),
        104 => (D::Numbers("d.m.y"), T::None),
        5 => (D::Numbers("d-m-Y"), T::None),
        105 => (D::Numbers("d-m-y"), T::None),
        6 => (D::DayMonthYear(false), T::None),
        106 => (D::DayMonthYear(true), T::None),
        7 => (D::MonthDayComma(false), T::None),
        107 => (D::MonthDayComma(true), T::None),
        8 | 24 | 108 => (D::None, T::Seconds),
        9 | 109 => (D::MonthDayYear, T::Half),
        10 => (D::Numbers("m-d-Y"), T::None),
        110 => (D::Numbers("m-d-y"), T::None),
        11 => (D::Numbers("Y/m/d"), T::None),
        111 => (D::Numbers("y/m/d"), T::None),
        12 => (D::Numbers("Ymd"), T::None),
        112 => (D::Numbers("ymd"), T::None),
        13 | 113 => (D::DayMonthYear(true), T::Colon),
        14 | 114 => (D::None, T::Colon),
        20 | 120 => (D::Numbers("y-m-d"), T::Seconds),
        21 | 25 | 121 => (D::Numbers("y-m-d"), T::Point),
        22 => (D::Numbers("m/d/Y"), T::HalfSeconds),
        23 => (D::Numbers("y-m-d"), T::None),
        126 | 127 => (D::Numbers("y-m-d"), T::Iso),
        130 => (D::Hijri(true), T::Half),
        131 => (D::Hijri(false), T::Half),
        _ => return None,
    })
}

/// Whether `CONVERT` knows the style for dates and times.
pub fn is_style(style: i32) -> bool {
    form(style).is_some()
}

/// How values of a type are shown in a style.
pub(super) struct Shown {
    date: DateForm,
    time: TimeForm,
    style: i32,
    /// Digits of the second.
    digits: u8,
    /// Whether there are always so many, behind a dot.
    exact: bool,
    offset: bool,
}

impl Shown {
    /// The form of a type in a style, its own without one; `postgres` has another.
    pub fn of(from: SqlType, style: Option<i32>, postgres: bool) -> Self {
        let digits = match from {
            SqlType::Time(n) | SqlType::DateTime2(n) | SqlType::DateTimeOffset(n) => n,
            _ => 3,
        };
        let exact = !matches!(from, SqlType::DateTime | SqlType::SmallDateTime | SqlType::Date);
        // `datetime` was there before the standard's form.
        let default = if exact || from == SqlType::Date { 121 } else { 0 };
        let style = style.unwrap_or(default);
        let (mut date, mut time) = form(style).unwrap_or((DateForm::MonthDayYear, TimeForm::Short));
        if postgres {
            (date, time) = (DateForm::Numbers("y-m-d"), TimeForm::Iso);
        }
        if from == SqlType::Date {
            time = TimeForm::None;
        }
        if matches!(from, SqlType::Time(_)) {
            date = DateForm::None;
        }
        let offset = matches!(from, SqlType::DateTimeOffset(_)) && time != TimeForm::None;
        let (digits, exact) = if postgres { (6, false) } else { (digits, exact) };
        Self { date, time, style, digits, exact, offset }
    }

    /// Writes a time.
    pub fn write(&self, time: i64, out: &mut String) {
        self.write_at(time, 0, out);
    }

    /// Writes an instant as clocks show it so many minutes east of UTC.
    pub fn write_at(&self, instant: i64, minutes: i64, out: &mut String) {
        let utc = self.style == 127;
        let time = if utc { instant } else { instant + minutes * MICROS_PER_MINUTE };
        // Writing to a String cannot fail.
        let start = out.len();
        self.write_date(day_of(time), out);
        if self.time != TimeForm::None {
            let iso = self.time == TimeForm::Iso && self.style >= 126;
            if out.len() > start {
                out.push(if iso { 'T' } else { ' ' });
            }
            self.write_time(time.rem_euclid(MICROS_PER_DAY), out.len() > start, out);
        }
        match (self.offset, self.style) {
            (true, 127) => out.push('Z'),
            (true, 126) => out.push_str(&offset_text(minutes)),
            (true, _) => {
                out.push(' ');
                out.push_str(&offset_text(minutes));
            }
            (false, 127) if self.time == TimeForm::Iso => out.push('Z'),
            _ => {}
        }
    }

    fn write_date(&self, number: i64, out: &mut String) {
        let Date { year, month, day } = calendar::date(number);
        let name = MONTHS.get(month as usize - 1).map_or("", |name| &name[..3]);
        let short = year % 100;
        let _ = match self.date {
            DateForm::None => Ok(()),
            DateForm::MonthDayYear => write!(out, "{name} {day:>2} {year:04}"),
            DateForm::DayMonthYear(true) => write!(out, "{day:02} {name} {year:04}"),
            DateForm::DayMonthYear(false) => write!(out, "{day:02} {name} {short:02}"),
            DateForm::MonthDayComma(true) => write!(out, "{name} {day:02}, {year:04}"),
            DateForm::MonthDayComma(false) => write!(out, "{name} {day:02}, {short:02}"),
            DateForm::Hijri(named) => {
                let (year, month, day) = hijri::date(number);
                let name = hijri::MONTHS.get(month as usize - 1).copied().unwrap_or_default();
                match named {
                    true => write!(out, "{day:>2} {name} {year:04}"),
                    false => write!(out, "{day:>2}/{month:02}/{year:04}"),
                }
            }
            DateForm::Numbers(parts) => parts.chars().try_for_each(|part| match part {
                'y' => write!(out, "{year:04}"),
                'Y' => write!(out, "{short:02}"),
                'm' => write!(out, "{month:02}"),
                'd' => write!(out, "{day:02}"),
                other => out.write_char(other),
            }),
        };
    }

    fn write_time(&self, of_day: i64, after_date: bool, out: &mut String) {
        let hour = of_day / MICROS_PER_HOUR;
        let minute = of_day / MICROS_PER_MINUTE % 60;
        let second = of_day / MICROS_PER_SECOND % 60;
        let hour12 = (hour + 11) % 12 + 1;
        let half = if hour < 12 { "AM" } else { "PM" };
        let width = if after_date { 2 } else { 1 };
        let _ = match self.time {
            TimeForm::None => Ok(()),
            TimeForm::Short => write!(out, "{hour12:>width$}:{minute:02}{half}"),
            TimeForm::HalfSeconds => {
                write!(out, "{hour12:>width$}:{minute:02}:{second:02} {half}")
            }
            TimeForm::Half => write!(out, "{hour12:>width$}:{minute:02}:{second:02}"),
            _ => write!(out, "{hour:02}:{minute:02}:{second:02}"),
        };
        let micros = of_day % MICROS_PER_SECOND;
        let mark = if self.exact { '.' } else { ':' };
        match self.time {
            TimeForm::Half => {
                self.fraction(micros, mark, out);
                out.push_str(half);
            }
            TimeForm::Colon => self.fraction(micros, mark, out),
            TimeForm::Point => self.fraction(micros, '.', out),
            TimeForm::Iso if self.exact => self.fraction(micros, '.', out),
            TimeForm::Iso if self.digits == 6 && micros > 0 => {
                let digits = format!("{micros:06}");
                out.push('.');
                out.push_str(digits.trim_end_matches('0'));
            }
            TimeForm::Iso if self.digits < 6 && micros >= 1_000 => self.fraction(micros, '.', out),
            _ => {}
        }
    }

    /// The fraction of a second in the type's digits.
    fn fraction(&self, micros: i64, mark: char, out: &mut String) {
        if self.digits == 0 {
            return;
        }
        let digits = format!("{micros:06}0");
        out.push(mark);
        out.push_str(&digits[..usize::from(self.digits).min(7)]);
    }
}

/// Reads a time from text.
pub(super) fn read(text: &str) -> Result<i64> {
    let time = read_time(text, None).map_err(|e| e.error(text, SqlType::DateTime))?;
    match calendar::in_range(time) {
        true => Ok(time),
        false => Err(super::convert::NoTime::Range.error(text, SqlType::DateTime)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(time: i64, style: i32) -> String {
        let mut out = String::new();
        Shown::of(SqlType::DateTime, Some(style), false).write(time, &mut out);
        out
    }

    #[test]
    fn styles_of_an_afternoon() {
        let time = read("2026-03-05 13:04:05.067").expect("a time");
        for (style, text) in [
            (0, "Mar  5 2026  1:04PM"),
            (1, "03/05/26"),
            (101, "03/05/2026"),
            (2, "26.03.05"),
            (102, "2026.03.05"),
            (3, "05/03/26"),
            (103, "05/03/2026"),
            (104, "05.03.2026"),
            (105, "05-03-2026"),
            (6, "05 Mar 26"),
            (106, "05 Mar 2026"),
            (7, "Mar 05, 26"),
            (107, "Mar 05, 2026"),
            (8, "13:04:05"),
            (108, "13:04:05"),
            (9, "Mar  5 2026  1:04:05:067PM"),
            (109, "Mar  5 2026  1:04:05:067PM"),
            (10, "03-05-26"),
            (110, "03-05-2026"),
            (11, "26/03/05"),
            (111, "2026/03/05"),
            (12, "260305"),
            (112, "20260305"),
            (113, "05 Mar 2026 13:04:05:067"),
            (114, "13:04:05:067"),
            (120, "2026-03-05 13:04:05"),
            (121, "2026-03-05 13:04:05.067"),
            (22, "03/05/26  1:04:05 PM"),
            (23, "2026-03-05"),
            (126, "2026-03-05T13:04:05.067"),
            (127, "2026-03-05T13:04:05.067Z"),
            (130, "16 رمضان 1447  1:04:05:067PM"),
            (131, "16/09/1447  1:04:05:067PM"),
        ] {
            assert_eq!(write(time, style), text, "style {style}");
        }
        let midnight = read("20260305").expect("a date");
        assert_eq!(write(midnight, 100), "Mar  5 2026 12:00AM");
        assert_eq!(write(midnight, 126), "2026-03-05T00:00:00");
        assert!(!is_style(15) && !is_style(99) && !is_style(-1));
    }

    #[test]
    fn types_have_forms_of_their_own() {
        let time = read("2026-03-05 13:04:05.067").expect("a time");
        let shown = |from, style| {
            let mut out = String::new();
            Shown::of(from, style, false).write(time, &mut out);
            out
        };
        assert_eq!(shown(SqlType::DateTime2(7), None), "2026-03-05 13:04:05.0670000");
        assert_eq!(shown(SqlType::DateTime2(0), None), "2026-03-05 13:04:05");
        assert_eq!(shown(SqlType::DateTime2(7), Some(126)), "2026-03-05T13:04:05.0670000");
        assert_eq!(shown(SqlType::Date, None), "2026-03-05");
        assert_eq!(shown(SqlType::Date, Some(126)), "2026-03-05");
        assert_eq!(shown(SqlType::Time(7), None), "13:04:05.0670000");
        assert_eq!(shown(SqlType::Time(0), Some(100)), "1:04PM");
        assert_eq!(shown(SqlType::DateTimeOffset(3), None), "2026-03-05 13:04:05.067 +00:00");
    }
}
