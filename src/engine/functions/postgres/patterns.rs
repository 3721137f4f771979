//! Template patterns of `to_char`, `to_date` and `to_timestamp`, and the two that
//! read text by them.

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;

use crate::engine::functions::arguments::Kind::Text;
use crate::engine::functions::arguments::TIME;
use crate::engine::functions::calendar::{
    self, MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND,
};
use crate::engine::functions::dates::MONTHS;
use crate::engine::functions::definition::{Call, Definition, Gives, refused};

pub(super) static FUNCTIONS: &[Definition] = &[
    Definition {
        name: "pg_to_date",
        arguments: &[Text, Text],
        least: 2,
        most: 2,
        gives: Gives::This(DataType::Date32),
        compute: read_all,
    },
    Definition {
        name: "pg_to_timestamp",
        arguments: &[Text, Text],
        least: 2,
        most: 2,
        gives: Gives::This(TIME),
        compute: read_all,
    },
];

/// A piece of a template.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    /// A pattern as it is written in the table below, as it is written in the
    /// template, and whether padding is left out.
    Pattern {
        name: &'static str,
        written: String,
        bare: bool,
        ordinal: Option<bool>,
    },
    Literal(char),
}

/// The patterns, longer ones before those that they start with.
const PATTERNS: &[&str] = &[
    "SSSSS", "SSSS", "MONTH", "IYYY", "YYYY", "HH24", "HH12", "A.M.", "P.M.", "IDDD", "A.D.",
    "B.C.", "MON", "DAY", "DDD", "IYY", "YYY", "TZH", "TZM", "FF1", "FF2", "FF3", "FF4", "FF5",
    "FF6", "AM", "PM", "AD", "BC", "CC", "DD", "DY", "HH", "ID", "IW", "IY", "MI", "MM", "MS",
    "OF", "SS", "TZ", "US", "WW", "YY", "D", "I", "J", "Q", "W", "Y",
];

/// A template taken apart.
pub(super) fn pieces(template: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = template;
    let mut bare = false;
    while let Some(c) = rest.chars().next() {
        if starts_with(rest, "FM") {
            bare = true;
            rest = &rest[2..];
            continue;
        }
        if starts_with(rest, "TM") || starts_with(rest, "FX") {
            rest = &rest[2..];
            continue;
        }
        if c == '"' {
            let end = rest[1..].find('"').map_or(rest.len(), |end| end + 1);
            pieces.extend(rest[1..end].chars().map(Piece::Literal));
            rest = rest.get(end + 1..).unwrap_or_default();
            continue;
        }
        let Some(name) = PATTERNS.iter().find(|name| starts_with(rest, name)) else {
            pieces.push(Piece::Literal(c));
            rest = &rest[c.len_utf8()..];
            continue;
        };
        let written = rest[..name.len()].to_owned();
        rest = &rest[name.len()..];
        let mut ordinal = None;
        if rest.starts_with("TH") || rest.starts_with("th") {
            ordinal = Some(rest.starts_with("TH"));
            rest = &rest[2..];
        }
        pieces.push(Piece::Pattern { name, written, bare, ordinal });
        bare = false;
    }
    pieces
}

fn starts_with(text: &str, word: &str) -> bool {
    text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
}

fn read_all(call: &Call) -> Result<ArrayRef> {
    let (text, templates) = (call.texts(0)?, call.texts(1)?);
    let mut last: Option<(String, Vec<Piece>)> = None;
    call.moments(|i| {
        let (Some(text), Some(template)) = (text.get(i), templates.get(i)) else {
            return Ok(None);
        };
        if last.as_ref().is_none_or(|(known, _)| known != template) {
            last = Some((template.to_owned(), pieces(template)));
        }
        let time = last.as_ref().and_then(|(_, pieces)| read(text, pieces));
        time.filter(|time| calendar::in_range(*time)).map(Some).ok_or_else(|| {
            let message = format!("{}: '{text}' does not match '{template}'", call.name);
            refused("22007", message)
        })
    })
}

/// What has been read of a time.
struct Read {
    year: i64,
    month: i64,
    day: i64,
    day_of_year: Option<i64>,
    hour: i64,
    minute: i64,
    second: i64,
    micros: i64,
    afternoon: Option<bool>,
    julian: Option<i64>,
    offset: i64,
}

fn read(text: &str, pieces: &[Piece]) -> Option<i64> {
    let mut rest = text.trim_start();
    let mut read = Read {
        year: 1,
        month: 1,
        day: 1,
        day_of_year: None,
        hour: 0,
        minute: 0,
        second: 0,
        micros: 0,
        afternoon: None,
        julian: None,
        offset: 0,
    };
    for (index, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Literal(c) if c.is_alphanumeric() => {
                rest = rest.strip_prefix(*c).or_else(|| rest.get(c.len_utf8()..))?;
            }
            // A separator stands for any one, and for none.
            Piece::Literal(_) => {
                rest = rest.strip_prefix(|c: char| !c.is_alphanumeric()).unwrap_or(rest);
            }
            Piece::Pattern { name, .. } => {
                rest = rest.trim_start();
                let next = pieces.get(index + 1);
                let packed = matches!(next, Some(Piece::Pattern { .. }));
                rest = read.pattern(name, rest, packed)?;
            }
        }
    }
    let day = match (read.julian, read.day_of_year) {
        (Some(julian), _) => julian - 2_440_588,
        (None, Some(day)) => calendar::day(read.year, 1, 1) + day - 1,
        (None, None) => {
            let valid = (1..=12).contains(&read.month)
                && (1..=calendar::days_in_month(read.year, read.month)).contains(&read.day);
            valid.then(|| calendar::day(read.year, read.month, read.day))?
        }
    };
    let hour = match read.afternoon {
        Some(afternoon) => {
            Some(read.hour % 12 + if afternoon { 12 } else { 0 }).filter(|_| read.hour <= 12)?
        }
        None => read.hour,
    };
    let valid = hour < 24 && read.minute < 60 && read.second < 60;
    valid.then_some(
        day * MICROS_PER_DAY
            + hour * MICROS_PER_HOUR
            + (read.minute - read.offset) * MICROS_PER_MINUTE
            + read.second * MICROS_PER_SECOND
            + read.micros,
    )
}

/// Up to so many digits.
fn digits(text: &str, most: usize) -> Option<(i64, usize, &str)> {
    let count = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    Some((text[..count].parse().ok()?, count, &text[count..]))
}

impl Read {
    fn pattern<'t>(&mut self, name: &str, text: &'t str, packed: bool) -> Option<&'t str> {
        let number = |width: usize| digits(text, width);
        let (number, _, rest) = match name {
            "YYYY" | "IYYY" => number(if packed { 4 } else { 9 })?,
            "YYY" | "IYY" | "DDD" | "IDDD" => number(3)?,
            "SSSS" | "SSSSS" => number(5)?,
            "J" => number(7)?,
            "Q" | "D" | "ID" | "W" | "Y" | "I" => number(1)?,
            "MS" | "US" | "FF1" | "FF2" | "FF3" | "FF4" | "FF5" | "FF6" => {
                let width = if name == "MS" { 3 } else { 6 };
                let (number, count, rest) = number(width)?;
                self.micros = number * 10_i64.pow(6 - count as u32);
                return Some(rest);
            }
            "MONTH" | "MON" => {
                let of = |month: &&str| {
                    let whole = starts_with(text, month);
                    if name == "MONTH" && whole { month.len() } else { 3 }
                };
                let at = MONTHS.iter().position(|month| starts_with(text, &month[..3]))?;
                self.month = at as i64 + 1;
                return text.get(of(&MONTHS[at])..);
            }
            "DAY" | "DY" => {
                let letters = text.bytes().take_while(u8::is_ascii_alphabetic).count();
                return Some(&text[letters..]);
            }
            "AM" | "PM" | "A.M." | "P.M." => {
                let dotted = text.get(1..2) == Some(".");
                self.afternoon = Some(starts_with(text, "P"));
                return text.get(if dotted { 4 } else { 2 }..);
            }
            "TZH" => {
                let sign = if text.starts_with('-') { -1 } else { 1 };
                let (hours, _, rest) = digits(text.trim_start_matches(['+', '-']), 2)?;
                self.offset += sign * hours * 60;
                return Some(rest);
            }
            "TZM" => {
                let (minutes, _, rest) = number(2)?;
                self.offset += if self.offset < 0 { -minutes } else { minutes };
                return Some(rest);
            }
            "AD" | "A.D." => return text.get(name.len()..),
            "BC" | "B.C." | "TZ" | "OF" => return None,
            _ => number(2)?,
        };
        match name {
            "YYYY" | "IYYY" => self.year = number,
            // The year nearest to 2020.
            "YYY" | "IYY" => {
                self.year = if number >= 520 { 1_000 + number } else { 2_000 + number }
            }
            "YY" | "IY" => self.year = if number >= 70 { 1_900 + number } else { 2_000 + number },
            "Y" | "I" => self.year = 2_020 + number,
            "MM" => self.month = number,
            "DD" => self.day = number,
            "DDD" | "IDDD" => self.day_of_year = Some(number),
            "HH24" | "HH12" | "HH" => self.hour = number,
            "MI" => self.minute = number,
            "SS" => self.second = number,
            "SSSS" | "SSSSS" => {
                (self.hour, self.minute, self.second) =
                    (number / 3_600, number / 60 % 60, number % 60);
            }
            "J" => self.julian = Some(number),
            // The others say nothing that the date does not.
            _ => {}
        }
        Some(rest)
    }
}
