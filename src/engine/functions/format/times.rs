//! Formats of times: the standard ones, a single letter, and custom ones such
//! as `yyyy-MM-dd HH:mm`.

use super::cultures::Culture;
use crate::engine::functions::calendar::{
    self, Date, MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND, day_of,
};
use crate::engine::functions::zones::offset_text;

/// A time in a format, or nothing if it is no format of times.
pub(super) fn written(
    time: i64,
    offset: Option<i64>,
    format: &str,
    culture: &Culture,
) -> Option<String> {
    let mut chars = format.chars();
    match (chars.next(), chars.next()) {
        (None, _) => standard(time, offset, 'G', culture),
        (Some(letter), None) => standard(time, offset, letter, culture),
        _ => custom(time, offset, format, culture),
    }
}

fn standard(time: i64, offset: Option<i64>, letter: char, culture: &Culture) -> Option<String> {
    let Culture { short_date, long_date, short_time, long_time, .. } = culture;
    let invariant = Culture::named("")?;
    let one = |format: &str| custom(time, offset, format, culture);
    let same_everywhere = |format: &str| custom(time, offset, format, invariant);
    let two = |date: &str, time: &str| one(&format!("{date} {time}"));
    let utc = time - offset.unwrap_or(0) * MICROS_PER_MINUTE;
    match letter {
        'd' => one(short_date),
        'D' => one(long_date),
        'f' => two(long_date, short_time),
        'F' => two(long_date, long_time),
        'g' => two(short_date, short_time),
        'G' => two(short_date, long_time),
        'm' | 'M' => one(culture.month_day),
        'y' | 'Y' => one(culture.year_month),
        't' => one(short_time),
        'T' => one(long_time),
        'o' | 'O' => same_everywhere("yyyy'-'MM'-'dd'T'HH':'mm':'ss'.'fffffffK"),
        's' => same_everywhere("yyyy'-'MM'-'dd'T'HH':'mm':'ss"),
        'r' | 'R' => custom(utc, None, "ddd, dd MMM yyyy HH':'mm':'ss 'GMT'", invariant),
        'u' => custom(utc, None, "yyyy'-'MM'-'dd HH':'mm':'ss'Z'", invariant),
        'U' if offset.is_none() => two(long_date, long_time),
        _ => None,
    }
}

/// A time taken apart.
struct Parts {
    date: Date,
    weekday: usize,
    hour: i64,
    minute: i64,
    second: i64,
    /// Hundreds of nanoseconds.
    ticks: i64,
}

impl Parts {
    fn of(time: i64) -> Self {
        let of_day = time.rem_euclid(MICROS_PER_DAY);
        Self {
            date: calendar::date(day_of(time)),
            weekday: calendar::weekday(day_of(time)) as usize,
            hour: of_day / MICROS_PER_HOUR,
            minute: of_day / MICROS_PER_MINUTE % 60,
            second: of_day / MICROS_PER_SECOND % 60,
            ticks: of_day % MICROS_PER_SECOND * 10,
        }
    }
}

fn custom(time: i64, offset: Option<i64>, format: &str, culture: &Culture) -> Option<String> {
    let parts = Parts::of(time);
    let mut text = String::new();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.push(chars.next()?),
            '%' => {
                // A single letter as a custom format: `%d`.
                if matches!(chars.peek(), None | Some('%')) {
                    return None;
                }
            }
            '\'' | '"' => loop {
                match chars.next()? {
                    '\\' => text.push(chars.next()?),
                    end if end == c => break,
                    inner => text.push(inner),
                }
            },
            ':' => text.push(':'),
            '/' => text.push(culture.date_separator),
            letter if "dfFghHKmMstyz".contains(letter) => {
                let mut count = 1;
                while letter != 'K' && chars.next_if_eq(&letter).is_some() {
                    count += 1;
                }
                specifier(&parts, offset, letter, count, culture, &mut text)?;
            }
            other => text.push(other),
        }
    }
    Some(text)
}

/// One letter, so many times.
fn specifier(
    parts: &Parts,
    offset: Option<i64>,
    letter: char,
    count: usize,
    culture: &Culture,
    text: &mut String,
) -> Option<()> {
    let Parts { date, hour, minute, second, ticks, .. } = parts;
    let month = (date.month - 1) as usize;
    let number = |n: i64| format!("{n:0width$}", width = count.min(2));
    let zone = offset.unwrap_or(0);
    let put = match (letter, count) {
        ('d', 1 | 2) => number(date.day),
        ('d', 3) => culture.short_days[parts.weekday].to_owned(),
        ('d', _) => culture.days[parts.weekday].to_owned(),
        ('f' | 'F', 8..) => return None,
        ('f', _) => format!("{ticks:07}")[..count].to_owned(),
        ('F', _) => {
            let digits = format!("{ticks:07}")[..count].trim_end_matches('0').to_owned();
            if digits.is_empty() && text.ends_with('.') {
                text.pop();
            }
            digits
        }
        ('g', _) => "A.D.".to_owned(),
        ('h', _) => number((hour + 11) % 12 + 1),
        ('H', _) => number(*hour),
        ('K', _) => offset.map(offset_text).unwrap_or_default(),
        ('m', _) => number(*minute),
        ('M', 1 | 2) => number(date.month),
        ('M', 3) => culture.short_months[month].to_owned(),
        ('M', _) => culture.months[month].to_owned(),
        ('s', _) => number(*second),
        ('t', _) => {
            let half = culture.halves[usize::from(*hour >= 12)];
            half.chars().take(if count == 1 { 1 } else { usize::MAX }).collect()
        }
        ('y', 1 | 2) => number(date.year % 100),
        ('y', _) => format!("{:0count$}", date.year),
        ('z', 1 | 2) => {
            let sign = if zone < 0 { '-' } else { '+' };
            format!("{sign}{}", number(zone.abs() / 60))
        }
        _ => offset_text(zone),
    };
    text.push_str(&put);
    Some(())
}

/// A time of day, whose formats are those of a time span: separators are
/// literals and have to be quoted.
pub(super) fn written_of_day(micros: i64, format: &str) -> Option<String> {
    let ticks = micros * 10;
    let (seconds, fraction) = (ticks / 10_000_000, ticks % 10_000_000);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if matches!(format, "" | "c" | "t" | "T") {
        let text = format!("{hour:02}:{minute:02}:{second:02}");
        return Some(if fraction == 0 { text } else { format!("{text}.{fraction:07}") });
    }
    if format == "g" {
        let digits = format!("{fraction:07}").trim_end_matches('0').to_owned();
        let point = if digits.is_empty() { "" } else { "." };
        return Some(format!("{hour}:{minute:02}:{second:02}{point}{digits}"));
    }
    if format == "G" {
        return Some(format!("0:{hour:02}:{minute:02}:{second:02}.{fraction:07}"));
    }
    if format.chars().count() == 1 {
        return None;
    }
    let mut text = String::new();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.push(chars.next()?),
            '\'' | '"' => loop {
                match chars.next()? {
                    end if end == c => break,
                    inner => text.push(inner),
                }
            },
            '%' => {}
            letter if "dhmsfF".contains(letter) => {
                let mut count = 1;
                while chars.next_if_eq(&letter).is_some() {
                    count += 1;
                }
                match (letter, count) {
                    ('f', 1..=7) => text.push_str(&format!("{fraction:07}")[..count]),
                    ('F', 1..=7) => {
                        text.push_str(format!("{fraction:07}")[..count].trim_end_matches('0'));
                    }
                    ('d', 1..=8) => text.push_str(&"0".repeat(count)),
                    (letter, 1 | 2) => {
                        let number = match letter {
                            'h' => hour,
                            'm' => minute,
                            _ => second,
                        };
                        text.push_str(&format!("{number:0count$}"));
                    }
                    _ => return None,
                }
            }
            _ => return None,
        }
    }
    Some(text)
}
