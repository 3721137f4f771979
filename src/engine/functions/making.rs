//! Text made of other values: `REPLICATE`, `SPACE`, `STR`, `CHAR`, `NCHAR`,
//! `QUOTENAME`, `STRING_ESCAPE`, `REVERSE`, `CONCAT`, `FORMATMESSAGE`.

use std::fmt::Write;

use datafusion::arrow::array::ArrayRef;
use datafusion::common::Result;

use super::arguments::Kind::{Float, Int, Text};
use super::arguments::Texts;
use super::definition::{Call, Definition, MANY, TEXT, refused};
use super::{code_page, units};

pub(super) static FUNCTIONS: &[Definition] = &[
    Definition {
        name: "sql_xml_text",
        arguments: &[Text],
        least: 1,
        most: 1,
        gives: TEXT,
        compute: xml_text,
    },
    Definition {
        name: "replicate",
        arguments: &[Text, Int, Int],
        least: 2,
        most: 3,
        gives: TEXT,
        compute: replicate,
    },
    Definition { name: "space", arguments: &[Int], least: 1, most: 1, gives: TEXT, compute: space },
    Definition {
        name: "str",
        arguments: &[Float, Int, Int],
        least: 1,
        most: 3,
        gives: TEXT,
        compute: str,
    },
    Definition {
        name: "sql_char",
        arguments: &[Int],
        least: 1,
        most: 1,
        gives: TEXT,
        compute: char,
    },
    Definition { name: "nchar", arguments: &[Int], least: 1, most: 1, gives: TEXT, compute: nchar },
    Definition {
        name: "quotename",
        arguments: &[Text, Text],
        least: 1,
        most: 2,
        gives: TEXT,
        compute: quotename,
    },
    Definition {
        name: "string_escape",
        arguments: &[Text, Text],
        least: 2,
        most: 2,
        gives: TEXT,
        compute: string_escape,
    },
    Definition {
        name: "sql_reverse",
        arguments: &[Text],
        least: 1,
        most: 1,
        gives: TEXT,
        compute: reverse,
    },
    Definition {
        name: "sql_upper",
        arguments: &[Text],
        least: 1,
        most: 1,
        gives: TEXT,
        compute: |call| in_case(call, |c| single(c, c.to_uppercase())),
    },
    Definition {
        name: "sql_lower",
        arguments: &[Text],
        least: 1,
        most: 1,
        gives: TEXT,
        compute: |call| in_case(call, |c| single(c, c.to_lowercase())),
    },
    Definition {
        name: "sql_concat",
        arguments: &[Text],
        least: 1,
        most: MANY,
        gives: TEXT,
        compute: concat,
    },
    Definition {
        name: "sql_concat_ws",
        arguments: &[Text],
        least: 2,
        most: MANY,
        gives: TEXT,
        compute: concat_ws,
    },
    Definition {
        name: "formatmessage",
        arguments: &[Text],
        least: 1,
        most: MANY,
        gives: TEXT,
        compute: formatmessage,
    },
];

/// Text as it stands in XML.
fn xml_text(call: &Call) -> Result<ArrayRef> {
    let texts = call.texts(0)?;
    call.text(|i| {
        let written = |text: &str| {
            text.replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('>', "&gt;")
                .replace('\r', "&#x0D;")
        };
        Ok(texts.get(i).map(written))
    })
}

/// The most units that text without `max` holds.
const UNITS_MAX: usize = 8_000;

/// A text several times; the third argument is the most units it may have.
fn replicate(call: &Call) -> Result<ArrayRef> {
    let (text, count, most) = (call.texts(0)?, call.integers(1)?, call.integers_or(2, i64::MAX)?);
    call.text(|i| {
        let (Some(text), Some(count), Some(most)) = (text.get(i), count.get(i), most.get(i)) else {
            return Ok(None);
        };
        let Ok(count) = usize::try_from(count) else { return Ok(None) };
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        // No more repetitions than fit, so that a huge number takes no memory.
        let length = units::count(text).max(1);
        let count = count.min(most.min(TEXT_MAX).div_ceil(length));
        Ok(Some(units::slice(&text.repeat(count), 0, most).into_owned()))
    })
}

/// The longest text that is made here.
const TEXT_MAX: usize = 64 << 20;

fn space(call: &Call) -> Result<ArrayRef> {
    let count = call.integers(0)?;
    call.text(|i| {
        let count = count.get(i).and_then(|count| usize::try_from(count).ok());
        Ok(count.map(|count| " ".repeat(count.min(UNITS_MAX))))
    })
}

/// A number at the right of a text of this length, or asterisks where it does
/// not fit; decimals that do not fit are rounded away.
fn str(call: &Call) -> Result<ArrayRef> {
    let (number, length) = (call.floats(0)?, call.integers_or(1, 10)?);
    let decimals = call.integers_or(2, 0)?;
    call.text(|i| {
        let (Some(number), Some(length), Some(decimals)) =
            (number.get(i), length.get(i), decimals.get(i))
        else {
            return Ok(None);
        };
        let (Ok(length), Ok(decimals)) = (usize::try_from(length), usize::try_from(decimals))
        else {
            return Ok(None);
        };
        if length == 0 || length > UNITS_MAX {
            return Ok(None);
        }
        let fits = (0..=decimals.min(16))
            .rev()
            .map(|decimals| super::rounding::fixed(number, decimals))
            .find(|text| text.len() <= length);
        Ok(Some(match fits {
            Some(text) => format!("{text:>length$}"),
            None => "*".repeat(length),
        }))
    })
}

fn char(call: &Call) -> Result<ArrayRef> {
    let number = call.integers(0)?;
    call.text(|i| Ok(number.get(i).and_then(code_page::character).map(String::from)))
}

/// The character of a UTF-16 code unit; half of a pair is no character.
fn nchar(call: &Call) -> Result<ArrayRef> {
    let number = call.integers(0)?;
    call.text(|i| {
        let unit = number.get(i).and_then(|number| u16::try_from(number).ok());
        Ok(unit.map(|unit| String::from_utf16_lossy(&[unit])))
    })
}

/// The quotes of `QUOTENAME`: what may be given, what stands around the text.
const QUOTES: &[(&str, char, char)] = &[
    ("[]", '[', ']'),
    ("'", '\'', '\''),
    ("\"", '"', '"'),
    ("()", '(', ')'),
    ("<>", '<', '>'),
    ("{}", '{', '}'),
    ("`", '`', '`'),
];

fn quotename(call: &Call) -> Result<ArrayRef> {
    let (text, quote) = (call.texts(0)?, call.texts_if(1)?);
    call.text(|i| {
        let quote = quote.as_ref().map_or(Some("["), |quote| quote.get(i));
        let (Some(text), Some(quote)) = (text.get(i), quote) else { return Ok(None) };
        let found = QUOTES
            .iter()
            .find(|(given, ..)| quote.chars().next().is_none_or(|first| given.contains(first)));
        let Some((_, open, close)) = found else { return Ok(None) };
        if units::count(text) > 128 {
            return Ok(None);
        }
        let doubled = text.replace(*close, &format!("{close}{close}"));
        Ok(Some(format!("{open}{doubled}{close}")))
    })
}

fn string_escape(call: &Call) -> Result<ArrayRef> {
    let (text, kind) = (call.texts(0)?, call.texts(1)?);
    call.text(|i| {
        let (Some(text), Some(kind)) = (text.get(i), kind.get(i)) else { return Ok(None) };
        if !kind.eq_ignore_ascii_case("json") {
            let message = format!(
                "An invalid value was specified for argument 2: '{kind}' (Msg 13601); \
                 STRING_ESCAPE knows 'json'"
            );
            return Err(refused("22023", message));
        }
        Ok(Some(escaped(text)))
    })
}

/// Text as it stands in JSON.
pub(super) fn escaped(text: &str) -> String {
    let mut answer = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\\' | '/' => answer.extend(['\\', c]),
            '\u{8}' => answer.push_str("\\b"),
            '\u{c}' => answer.push_str("\\f"),
            '\n' => answer.push_str("\\n"),
            '\r' => answer.push_str("\\r"),
            '\t' => answer.push_str("\\t"),
            c if c < ' ' => {
                // Writing to a String cannot fail.
                let _ = write!(answer, "\\u{:04x}", u32::from(c));
            }
            c => answer.push(c),
        }
    }
    answer
}

fn reverse(call: &Call) -> Result<ArrayRef> {
    let text = call.texts(0)?;
    call.text(|i| Ok(text.get(i).map(|text| text.chars().rev().collect::<String>())))
}

fn in_case(call: &Call, each: fn(char) -> char) -> Result<ArrayRef> {
    let text = call.texts(0)?;
    call.text(|i| Ok(text.get(i).map(|text| text.chars().map(each).collect::<String>())))
}

/// The character of the other case; one that would become several stays.
fn single(c: char, mut other: impl Iterator<Item = char>) -> char {
    match (other.next(), other.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

fn all(call: &Call, from: usize) -> Result<Vec<Texts>> {
    (from..call.count()).map(|argument| call.texts(argument)).collect()
}

/// Null is empty text.
fn concat(call: &Call) -> Result<ArrayRef> {
    let parts = all(call, 0)?;
    call.text(|i| Ok(Some(parts.iter().filter_map(|part| part.get(i)).collect::<String>())))
}

/// Nulls are left out with their separator; a separator that is null is empty.
fn concat_ws(call: &Call) -> Result<ArrayRef> {
    let (separator, parts) = (call.texts(0)?, all(call, 1)?);
    call.text(|i| {
        let present: Vec<&str> = parts.iter().filter_map(|part| part.get(i)).collect();
        Ok(Some(present.join(separator.get(i).unwrap_or_default())))
    })
}

fn formatmessage(call: &Call) -> Result<ArrayRef> {
    let (message, arguments) = (call.texts(0)?, all(call, 1)?);
    call.text(|i| {
        let Some(message) = message.get(i) else { return Ok(None) };
        let arguments: Vec<_> = arguments.iter().map(|argument| argument.get(i)).collect();
        Ok(Some(super::printf::filled(message, &arguments)?))
    })
}
