//! `to_char` of times and of numbers.

use datafusion::arrow::array::ArrayRef;
use datafusion::common::Result;

use super::patterns::{self, Piece};
use crate::engine::functions::arguments::Kind::{Any, Text};
use crate::engine::functions::calendar::{
    self, MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND, day_of,
};
use crate::engine::functions::dates::{self, MONTHS, WEEKDAYS};
use crate::engine::functions::definition::{Call, Definition, TEXT};
use crate::engine::functions::format::{Decimals, Formatted, formatted};
use crate::engine::functions::zones::offset_text;

pub(super) static FUNCTIONS: &[Definition] = &[Definition {
    name: "pg_to_char",
    arguments: &[Any, Text],
    least: 2,
    most: 2,
    gives: TEXT,
    compute: to_char,
}];

fn to_char(call: &Call) -> Result<ArrayRef> {
    if call.type_of(0).is_null() {
        return call.text(|_| Ok(None::<&str>));
    }
    let values = formatted(call)?;
    let templates = call.texts(1)?;
    let mut last: Option<(String, Vec<Piece>)> = None;
    call.text(|i| {
        let Some(template) = templates.get(i) else { return Ok(None) };
        let (time, offset) = match &values {
            Formatted::Numbers(numbers, _) => {
                return Ok(numbers[i].as_ref().map(|number| number_text(number, template)));
            }
            Formatted::Times(times, offsets) => (times.get(i), offsets[i]),
            Formatted::TimesOfDay(micros) => (micros[i], None),
        };
        let Some(time) = time else { return Ok(None) };
        if last.as_ref().is_none_or(|(known, _)| known != template) {
            last = Some((template.to_owned(), patterns::pieces(template)));
        }
        Ok(last.as_ref().map(|(_, pieces)| time_text(time, offset, pieces)))
    })
}

fn time_text(time: i64, offset: Option<i64>, pieces: &[Piece]) -> String {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Literal(c) => text.push(*c),
            Piece::Pattern { name, written, bare, ordinal } => {
                let shown = shown(time, offset, name, written, *bare);
                text.push_str(&shown);
                if let Some(upper) = ordinal {
                    let suffix = ordinal_suffix(&shown);
                    let suffix = if *upper { suffix.to_uppercase() } else { suffix.to_owned() };
                    text.push_str(&suffix);
                }
            }
        }
    }
    text
}

fn ordinal_suffix(number: &str) -> &'static str {
    let teen = number.len() > 1 && number.as_bytes()[number.len() - 2] == b'1';
    match number.bytes().last() {
        Some(b'1') if !teen => "st",
        Some(b'2') if !teen => "nd",
        Some(b'3') if !teen => "rd",
        _ => "th",
    }
}

/// A name in the case of the pattern: `MONTH`, `Month`, `month`.
fn in_case_of(name: &str, written: &str) -> String {
    let mut letters = written.chars();
    let (first, second) = (letters.next(), letters.next());
    match (first.is_some_and(char::is_uppercase), second.is_some_and(char::is_uppercase)) {
        (true, true) => name.to_uppercase(),
        (true, false) => name.to_owned(),
        _ => name.to_lowercase(),
    }
}

fn shown(time: i64, offset: Option<i64>, name: &str, written: &str, bare: bool) -> String {
    let day = day_of(time);
    let date = calendar::date(day);
    let of_day = time.rem_euclid(MICROS_PER_DAY);
    let hour = of_day / MICROS_PER_HOUR;
    let micros = of_day % MICROS_PER_SECOND;
    let weekday = calendar::weekday(day);
    let iso_year = calendar::date(dates::monday_of(day) + 3).year;
    let number = |n: i64, width: usize| {
        if bare { n.to_string() } else { format!("{n:0width$}") }
    };
    let padded = |text: String| if bare { text } else { format!("{text:<9}") };
    let day_of_year = day - calendar::day(date.year, 1, 1) + 1;
    match name {
        "YYYY" => number(date.year, 4),
        "YYY" => number(date.year % 1_000, 3),
        "YY" => number(date.year % 100, 2),
        "Y" => (date.year % 10).to_string(),
        "IYYY" => number(iso_year, 4),
        "IYY" => number(iso_year % 1_000, 3),
        "IY" => number(iso_year % 100, 2),
        "I" => (iso_year % 10).to_string(),
        "MM" => number(date.month, 2),
        "MONTH" => padded(in_case_of(MONTHS[(date.month - 1) as usize], written)),
        "MON" => in_case_of(&MONTHS[(date.month - 1) as usize][..3], written),
        "DD" => number(date.day, 2),
        "DDD" => number(day_of_year, 3),
        "IDDD" => {
            let first = dates::monday_of(calendar::day(iso_year, 1, 4));
            number(day - first + 1, 3)
        }
        "DAY" => padded(in_case_of(WEEKDAYS[weekday as usize], written)),
        "DY" => in_case_of(&WEEKDAYS[weekday as usize][..3], written),
        "D" => (weekday + 1).to_string(),
        "ID" => ((weekday + 6) % 7 + 1).to_string(),
        "W" => ((date.day - 1) / 7 + 1).to_string(),
        "WW" => number((day_of_year - 1) / 7 + 1, 2),
        "IW" => number(dates::iso_week(day), 2),
        "Q" => ((date.month - 1) / 3 + 1).to_string(),
        "CC" => number((date.year + 99) / 100, 2),
        "J" => (day + 2_440_588).to_string(),
        "HH24" => number(hour, 2),
        "HH" | "HH12" => number((hour + 11) % 12 + 1, 2),
        "MI" => number(of_day / MICROS_PER_MINUTE % 60, 2),
        "SS" => number(of_day / MICROS_PER_SECOND % 60, 2),
        "SSSS" | "SSSSS" => (of_day / MICROS_PER_SECOND).to_string(),
        "MS" => number(micros / 1_000, 3),
        "US" => number(micros, 6),
        "AM" | "PM" => in_case_of(if hour < 12 { "AM" } else { "PM" }, written),
        "A.M." | "P.M." => {
            let half = if hour < 12 { "A.M." } else { "P.M." };
            if written.starts_with(char::is_uppercase) { half.into() } else { half.to_lowercase() }
        }
        "AD" | "BC" => in_case_of("AD", written),
        "A.D." | "B.C." => "A.D.".to_owned(),
        "TZ" => in_case_of("UTC", written),
        "OF" => offset_text(offset.unwrap_or(0)).trim_end_matches(":00").to_owned(),
        "TZH" => offset_text(offset.unwrap_or(0))[..3].to_owned(),
        "TZM" => offset_text(offset.unwrap_or(0))[4..].to_owned(),
        fraction => {
            let digits = fraction.trim_start_matches("FF").parse::<usize>().unwrap_or(6);
            format!("{micros:06}")[..digits.min(6)].to_owned()
        }
    }
}

/// A number in a template of `9`, `0`, a point, commas and signs.
fn number_text(number: &Decimals, template: &str) -> String {
    let upper = template.to_uppercase();
    let bare = upper.contains("FM");
    let template = upper.replace("FM", "");
    let point = template.find(['.', 'D']);
    let (before, after) = template.split_at(point.unwrap_or(template.len()));
    let places = |text: &str| text.chars().filter(|c| matches!(c, '9' | '0')).count();
    let number = number.rounded(places(after));
    let whole = number.whole();
    let fits = whole.len() <= places(before);
    let first_zero = before.chars().filter(|c| matches!(c, '9' | '0')).position(|c| c == '0');
    let least = first_zero.map_or(0, |at| places(before) - at);
    // Zero has a digit, unless there is a fraction to show.
    let least = if whole.is_empty() && places(after) == 0 { least.max(1) } else { least };
    let whole = format!("{whole:0>least$}");
    let mut digits = whole.chars();
    let mut blanks = places(before).saturating_sub(whole.len());
    let (mut left, mut body, mut right) = (String::new(), String::new(), String::new());
    for c in before.chars() {
        match c {
            '9' | '0' if !fits => body.push('#'),
            '9' | '0' if blanks > 0 => {
                blanks -= 1;
                left.push(' ');
            }
            '9' | '0' => body.extend(digits.next()),
            ',' | 'G' if body.is_empty() => left.push(' '),
            ',' | 'G' => body.push(','),
            'L' | '$' => left.push('$'),
            'S' | 'M' | 'I' | 'P' | 'R' => {}
            other if body.is_empty() => left.push(other),
            other => body.push(other),
        }
    }
    if point.is_some() {
        body.push('.');
        let fraction =
            if fits { number.fraction(places(after)) } else { "#".repeat(places(after)) };
        let kept = after.chars().filter(|c| matches!(c, '9' | '0')).collect::<Vec<_>>();
        let least = kept.iter().rposition(|c| *c == '0').map_or(0, |at| at + 1);
        let shown = if bare { number.decimals().max(least).min(kept.len()) } else { kept.len() };
        body.push_str(&fraction[..shown]);
        right.extend(after[1..].chars().filter(|c| matches!(c, '%' | ' ')));
    }
    let minus = if number.negative { "-" } else { "" };
    let left = if bare { left.trim_start().to_owned() } else { left };
    if template.ends_with("MI") || template.ends_with('S') {
        let sign = match (template.ends_with('S'), number.negative) {
            (_, true) => "-",
            (true, false) => "+",
            (false, false) if bare => "",
            (false, false) => " ",
        };
        return format!("{left}{body}{right}{sign}");
    }
    if template.starts_with('S') {
        return format!("{left}{}{body}{right}", if number.negative { "-" } else { "+" });
    }
    if bare {
        return format!("{minus}{left}{body}{right}");
    }
    format!("{left}{}{body}{right}", if number.negative { "-" } else { " " })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_postgresql_documents_them() {
        for (number, scale, template, expected) in [
            (-1, 1, "99.99", "  -.10"),
            (-1, 1, "FM9.99", "-.1"),
            (1, 1, "0.9", " 0.1"),
            (12, 0, "9990999.9", "    0012.0"),
            (12, 0, "FM9990999.9", "0012."),
            (485, 0, "999", " 485"),
            (-485, 0, "999", "-485"),
            (1485, 0, "9,999", " 1,485"),
            (1485, 1, "999.999", " 148.500"),
            (1485, 1, "FM999.999", "148.5"),
            (31485, 1, "9,999.999", " 3,148.500"),
            (-485, 0, "999S", "485-"),
            (-485, 0, "999MI", "485-"),
            (485, 0, "FM999MI", "485"),
            (485, 0, "00999", " 00485"),
            (0, 0, "999", "   0"),
            (1234, 0, "99", " ##"),
        ] {
            let text = number_text(&Decimals::scaled(number, scale), template);
            assert_eq!(text, expected, "{number}e-{scale} {template}");
        }
    }
}
