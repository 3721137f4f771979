//! `CHARINDEX`, `PATINDEX`, `REPLACE` and `TRANSLATE`: searches that ignore case
//! and accents as comparisons do.

use std::borrow::Cow;

use datafusion::arrow::array::ArrayRef;
use datafusion::common::Result;

use super::arguments::Kind::{Int, Text};
use super::definition::{Call, Definition, INT, TEXT, refused};
use super::units;
use crate::engine::collation::{self, Pattern};

pub(super) static FUNCTIONS: &[Definition] = &[
    Definition {
        name: "charindex",
        arguments: &[Text, Text, Int],
        least: 2,
        most: 3,
        gives: INT,
        compute: charindex,
    },
    Definition {
        name: "patindex",
        arguments: &[Text, Text],
        least: 2,
        most: 2,
        gives: INT,
        compute: patindex,
    },
    Definition {
        name: "sql_replace",
        arguments: &[Text, Text, Text],
        least: 3,
        most: 3,
        gives: TEXT,
        compute: replace,
    },
    Definition {
        name: "sql_translate",
        arguments: &[Text, Text, Text],
        least: 3,
        most: 3,
        gives: TEXT,
        compute: translate,
    },
];

/// The position of a text in another from 1, or 0.
fn charindex(call: &Call) -> Result<ArrayRef> {
    let (find, text, start) = (call.texts(0)?, call.texts(1)?, call.integers_or(2, 1)?);
    call.int(|i| {
        let (Some(find), Some(text), Some(start)) = (find.get(i), text.get(i), start.get(i)) else {
            return Ok(None);
        };
        if find.is_empty() {
            return Ok(Some(0));
        }
        let from = units::byte_of(text, usize::try_from(start - 1).unwrap_or(0));
        let found = collation::find(&text[from..], find);
        Ok(Some(found.map_or(0, |(at, _)| units::position_of(text, from + at))))
    })
}

/// The position from which a `LIKE` pattern matches, or 0.
fn patindex(call: &Call) -> Result<ArrayRef> {
    let (patterns, text) = (call.texts(0)?, call.texts(1)?);
    let mut last: Option<(String, Pattern)> = None;
    call.int(|i| {
        let (Some(pattern), Some(text)) = (patterns.get(i), text.get(i)) else { return Ok(None) };
        if last.as_ref().is_none_or(|(known, _)| known != pattern) {
            last = Some((pattern.to_owned(), Pattern::new(pattern, None)));
        }
        let found = last.as_ref().and_then(|(_, pattern)| pattern.find(text));
        Ok(Some(found.map_or(0, |at| units::position_of(text, at))))
    })
}

/// All occurrences, from the left.
fn replace(call: &Call) -> Result<ArrayRef> {
    let (text, find, put) = (call.texts(0)?, call.texts(1)?, call.texts(2)?);
    call.text(|i| {
        let (Some(text), Some(find), Some(put)) = (text.get(i), find.get(i), put.get(i)) else {
            return Ok(None);
        };
        Ok(Some(replaced(text, find, put)))
    })
}

fn replaced<'t>(text: &'t str, find: &str, put: &str) -> Cow<'t, str> {
    if find.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut answer = String::new();
    let mut rest = text;
    while let Some((from, to)) = collation::find(rest, find) {
        answer.push_str(&rest[..from]);
        answer.push_str(put);
        rest = &rest[to..];
    }
    if rest.len() == text.len() {
        return Cow::Borrowed(text);
    }
    answer.push_str(rest);
    Cow::Owned(answer)
}

/// Characters for characters.
fn translate(call: &Call) -> Result<ArrayRef> {
    let (text, from, to) = (call.texts(0)?, call.texts(1)?, call.texts(2)?);
    call.text(|i| {
        let (Some(text), Some(from), Some(to)) = (text.get(i), from.get(i), to.get(i)) else {
            return Ok(None);
        };
        if units::count(from) != units::count(to) {
            let message = "The second and third arguments of the TRANSLATE built-in function must \
                           contain an equal number of characters (Msg 9828)";
            return Err(refused("22023", message));
        }
        let pairs: Vec<(String, char)> = from.chars().map(folded).zip(to.chars()).collect();
        let put = |c: char| {
            let wanted = folded(c);
            pairs.iter().find(|(from, _)| *from == wanted).map_or(c, |(_, to)| *to)
        };
        Ok(Some(text.chars().map(put).collect::<String>()))
    })
}

/// A character as comparisons see it.
fn folded(c: char) -> String {
    collation::fold(c.encode_utf8(&mut [0; 4])).into_owned()
}
