//! Times as text: the styles of `CONVERT`, and the texts that SQL Server reads
//! as times whatever the session's language is.

use std::fmt::Write;

use datafusion::common::{Result, exec_datafusion_err};

use super::calendar::{
    self, Date, MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND, day_of,
};
use super::dates::MONTHS;

/// Whether a time can be written in this style.
pub fn is_style(style: u32) -> bool {
    matches!(style, 0 | 20 | 21 | 23 | 25 | 100..=114 | 120 | 121 | 126 | 127)
}

/// Writes a time in a style of `CONVERT`.
pub(super) fn write(time: i64, style: u32) -> String {
    let Date { year, month, day } = calendar::date(day_of(time));
    let of_day = time.rem_euclid(MICROS_PER_DAY);
    let hour = of_day / MICROS_PER_HOUR;
    let minute = of_day / MICROS_PER_MINUTE % 60;
    let second = of_day / MICROS_PER_SECOND % 60;
    let millis = of_day / 1_000 % 1_000;
    let month_name = &MONTHS[(month - 1) as usize][..3];
    let hour12 = (hour + 11) % 12 + 1;
    let half = if hour < 12 { "AM" } else { "PM" };
    match style {
        101 => format!("{month:02}/{day:02}/{year:04}"),
        102 => format!("{year:04}.{month:02}.{day:02}"),
        103 => format!("{day:02}/{month:02}/{year:04}"),
        104 => format!("{day:02}.{month:02}.{year:04}"),
        105 => format!("{day:02}-{month:02}-{year:04}"),
        106 => format!("{day:02} {month_name} {year:04}"),
        107 => format!("{month_name} {day:02}, {year:04}"),
        108 => format!("{hour:02}:{minute:02}:{second:02}"),
        109 => format!(
            "{month_name} {day:>2} {year:04} {hour12:>2}:{minute:02}:{second:02}:{millis:03}{half}"
        ),
        110 => format!("{month:02}-{day:02}-{year:04}"),
        111 => format!("{year:04}/{month:02}/{day:02}"),
        112 => format!("{year:04}{month:02}{day:02}"),
        113 => {
            format!("{day:02} {month_name} {year:04} {hour:02}:{minute:02}:{second:02}:{millis:03}")
        }
        114 => format!("{hour:02}:{minute:02}:{second:02}:{millis:03}"),
        20 | 120 => {
            format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
        }
        21 | 25 | 121 => {
            format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{millis:03}")
        }
        23 => format!("{year:04}-{month:02}-{day:02}"),
        126 | 127 => {
            let mut text =
                format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
            if millis != 0 {
                // Writing to a String cannot fail.
                let _ = write!(text, ".{millis:03}");
            }
            if style == 127 {
                text.push('Z');
            }
            text
        }
        _ => format!("{month_name} {day:>2} {year:04} {hour12:>2}:{minute:02}{half}"),
    }
}

/// Reads a time from text: `2024-05-01`, `20240501`, either with a time after
/// a space or `T`, and with `Z` or an offset.
pub(super) fn read(text: &str) -> Result<i64> {
    parse(text.trim()).filter(|time| calendar::in_range(*time)).ok_or_else(|| {
        exec_datafusion_err!(
            "Conversion failed when converting date and/or time from character string '{text}' \
             (Msg 241); write it like 2024-05-01T10:00:00"
        )
    })
}

fn parse(text: &str) -> Option<i64> {
    if text.is_empty() {
        return Some(calendar::DAY_ZERO * MICROS_PER_DAY);
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits != 8 || !text.is_ascii() {
        return crate::value::parse_time(text);
    }
    let (date, rest) = text.split_at(8);
    let hyphened = format!("{}-{}-{}{rest}", &date[..4], &date[4..6], &date[6..]);
    crate::value::parse_time(&hyphened)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn styles_of_an_afternoon() {
        let time = read("2026-03-05 13:04:05.067").expect("a time");
        for (style, text) in [
            (0, "Mar  5 2026  1:04PM"),
            (101, "03/05/2026"),
            (104, "05.03.2026"),
            (107, "Mar 05, 2026"),
            (108, "13:04:05"),
            (109, "Mar  5 2026  1:04:05:067PM"),
            (112, "20260305"),
            (113, "05 Mar 2026 13:04:05:067"),
            (120, "2026-03-05 13:04:05"),
            (121, "2026-03-05 13:04:05.067"),
            (23, "2026-03-05"),
            (126, "2026-03-05T13:04:05.067"),
            (127, "2026-03-05T13:04:05.067Z"),
        ] {
            assert_eq!(write(time, style), text, "style {style}");
        }
        let midnight = read("20260305").expect("a date");
        assert_eq!(write(midnight, 100), "Mar  5 2026 12:00AM");
        assert_eq!(write(midnight, 126), "2026-03-05T00:00:00");
    }

    #[test]
    fn reads_what_is_unambiguous() {
        let expected = read("2024-05-01T10:00:00").expect("a time");
        for text in ["20240501 10:00:00", "2024-05-01 10:00", "2024-05-01T12:00:00+02:00"] {
            assert_eq!(read(text).expect("a time"), expected, "{text}");
        }
        assert_eq!(write(read("").expect("day zero"), 23), "1900-01-01");
        for text in ["yesterday", "2024-13-01", "05/01/2024", "2024050", "２０２４０５０１"]
        {
            let error = read(text).expect_err(text).to_string();
            assert!(error.contains("Msg 241") && error.contains(text), "{error}");
        }
    }
}
