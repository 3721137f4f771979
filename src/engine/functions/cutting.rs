//! `LEN`, `LEFT`, `RIGHT`, `SUBSTRING`, `STUFF` and the trims: parts of a text by
//! position. Positions count UTF-16 code units, from 1.

use datafusion::arrow::array::ArrayRef;
use datafusion::common::Result;

use super::arguments::Kind::{Int, Text};
use super::definition::{Call, Definition, INT, TEXT, refused};
use super::units;

pub(super) static FUNCTIONS: &[Definition] = &[
    Definition { name: "len", arguments: &[Text], least: 1, most: 1, gives: INT, compute: len },
    Definition {
        name: "sql_left",
        arguments: &[Text, Int],
        least: 2,
        most: 2,
        gives: TEXT,
        compute: left,
    },
    Definition {
        name: "sql_right",
        arguments: &[Text, Int],
        least: 2,
        most: 2,
        gives: TEXT,
        compute: right,
    },
    Definition {
        name: "sql_substring",
        arguments: &[Text, Int, Int],
        least: 2,
        most: 3,
        gives: TEXT,
        compute: substring,
    },
    Definition {
        name: "stuff",
        arguments: &[Text, Int, Int, Text],
        least: 4,
        most: 4,
        gives: TEXT,
        compute: stuff,
    },
    Definition {
        name: "sql_trim",
        arguments: &[Text, Text],
        least: 1,
        most: 2,
        gives: TEXT,
        compute: |call| trimmed(call, true, true),
    },
    Definition {
        name: "sql_ltrim",
        arguments: &[Text, Text],
        least: 1,
        most: 2,
        gives: TEXT,
        compute: |call| trimmed(call, true, false),
    },
    Definition {
        name: "sql_rtrim",
        arguments: &[Text, Text],
        least: 1,
        most: 2,
        gives: TEXT,
        compute: |call| trimmed(call, false, true),
    },
];

/// Units without the spaces at the end.
fn len(call: &Call) -> Result<ArrayRef> {
    let text = call.texts(0)?;
    call.int(|i| Ok(text.get(i).map(|text| units::count(text.trim_end_matches(' ')) as i32)))
}

fn left(call: &Call) -> Result<ArrayRef> {
    let (text, count) = (call.texts(0)?, call.integers(1)?);
    call.text(|i| {
        let (Some(text), Some(count)) = (text.get(i), count.get(i)) else { return Ok(None) };
        let Ok(count) = usize::try_from(count) else { return Err(negative(count)) };
        Ok(Some(units::slice(text, 0, count)))
    })
}

fn right(call: &Call) -> Result<ArrayRef> {
    let (text, count) = (call.texts(0)?, call.integers(1)?);
    call.text(|i| {
        let (Some(text), Some(count)) = (text.get(i), count.get(i)) else { return Ok(None) };
        let Ok(count) = usize::try_from(count) else {
            let message =
                format!("Invalid length parameter passed to the RIGHT function: {count} (Msg 536)");
            return Err(refused("22011", message));
        };
        let all = units::count(text);
        Ok(Some(units::slice(text, all.saturating_sub(count), all)))
    })
}

/// Positions before the text use up the length.
fn substring(call: &Call) -> Result<ArrayRef> {
    let (text, start) = (call.texts(0)?, call.integers(1)?);
    let count = call.integers_or(2, i64::MAX)?;
    call.text(|i| {
        let (Some(text), Some(start), Some(count)) = (text.get(i), start.get(i), count.get(i))
        else {
            return Ok(None);
        };
        if count < 0 {
            return Err(negative(count));
        }
        let index = |n: i64| usize::try_from(n.max(0)).unwrap_or(usize::MAX);
        let start = start.saturating_sub(1);
        Ok(Some(units::slice(text, index(start), index(start.saturating_add(count)))))
    })
}

fn negative(count: i64) -> datafusion::common::DataFusionError {
    let message = format!(
        "Invalid length parameter passed to the LEFT or SUBSTRING function: {count} (Msg 537)"
    );
    refused("22011", message)
}

/// A part taken out and another put in its place.
fn stuff(call: &Call) -> Result<ArrayRef> {
    let (text, start, count) = (call.texts(0)?, call.integers(1)?, call.integers(2)?);
    let put = call.texts(3)?;
    call.text(|i| {
        let (Some(text), Some(start), Some(count)) = (text.get(i), start.get(i), count.get(i))
        else {
            return Ok(None);
        };
        let all = units::count(text);
        let (Ok(start), Ok(count)) = (usize::try_from(start), usize::try_from(count)) else {
            return Ok(None);
        };
        if !(1..=all).contains(&start) {
            return Ok(None);
        }
        let before = units::slice(text, 0, start - 1);
        let after = units::slice(text, (start - 1).saturating_add(count), all);
        Ok(Some(format!("{before}{}{after}", put.get(i).unwrap_or_default())))
    })
}

/// Without some characters, spaces if none are given, at its ends.
fn trimmed(call: &Call, start: bool, end: bool) -> Result<ArrayRef> {
    let (text, characters) = (call.texts(0)?, call.texts_if(1)?);
    call.text(|i| {
        let Some(mut text) = text.get(i) else { return Ok(None) };
        let characters = match &characters {
            None => " ",
            Some(characters) => match characters.get(i) {
                None => return Ok(None),
                Some(characters) => characters,
            },
        };
        let is_one = |c: char| characters.contains(c);
        if start {
            text = text.trim_start_matches(is_one);
        }
        if end {
            text = text.trim_end_matches(is_one);
        }
        Ok(Some(text))
    })
}
