//! Rows as JSON, for `FOR JSON`: `sql_json_row(form, name, value, …)` is the object of
//! a row, `sql_json_array(objects, root)` the text of all.
//!
//! The form has a letter each: `p` splits names at dots into objects inside of
//! objects, `n` keeps nulls, then for each value `r` if it is JSON already.

use std::fmt::Write as _;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, StringViewArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::ColumnarValue;

use super::arguments::Kind::{Any, Text};
use super::arguments::Texts;
use super::convert::{self, Request};
use super::definition::{Call, Definition, MANY, TEXT, refused};
use super::making::escaped;
use super::types::SqlType;

pub(super) static FUNCTIONS: &[Definition] = &[
    Definition {
        name: "sql_json_row",
        arguments: &[Text, Any],
        least: 1,
        most: MANY,
        gives: TEXT,
        compute: row,
    },
    Definition {
        name: "sql_json_array",
        arguments: &[Text, Text],
        least: 1,
        most: 2,
        gives: TEXT,
        compute: array,
    },
];

fn row(call: &Call) -> Result<ArrayRef> {
    let mut form = call.constant(0).unwrap_or_default().chars();
    let (nested, nulls) = (form.next() == Some('p'), form.next() == Some('n'));
    let mut members = Members::default();
    let mut values = Vec::new();
    for at in (1..call.count().saturating_sub(1)).step_by(2) {
        let name = call.constant(at).unwrap_or_default();
        let path: Vec<&str> = if nested { name.split('.').collect() } else { vec![name] };
        if !members.add(&path, values.len()) {
            let message = format!(
                "Property '{name}' cannot be generated in JSON output due to a conflict with \
                 another column name or alias. Use different names and aliases for each column \
                 in SELECT list (Msg 13601)"
            );
            return Err(refused("42701", message));
        }
        values.push(Column::of(call, at + 1, form.next() == Some('r'))?);
    }
    call.text(|i| {
        let mut object = String::new();
        if !members.write(&values, i, nulls, &mut object) {
            object.push_str("{}");
        }
        Ok(Some(object))
    })
}

fn array(call: &Call) -> Result<ArrayRef> {
    let (objects, roots) = (call.texts(0)?, call.texts_if(1)?);
    call.text(|i| {
        let Some(objects) = objects.get(i) else { return Ok(None) };
        let root = roots.as_ref().and_then(|roots| roots.get(i));
        Ok(Some(match root {
            Some(root) => format!("{{\"{}\":[{objects}]}}", escaped(root)),
            None => format!("[{objects}]"),
        }))
    })
}

/// The members of an object in their order.
#[derive(Default)]
struct Members<'n>(Vec<(&'n str, Member<'n>)>);

enum Member<'n> {
    /// The number of a value.
    Value(usize),
    Object(Members<'n>),
}

impl<'n> Members<'n> {
    /// Adds a value at a path; not where there is something else. What belongs to one
    /// object has to stand together.
    fn add(&mut self, path: &[&'n str], value: usize) -> bool {
        let Some((first, rest)) = path.split_first() else { return false };
        let last = self.0.len().saturating_sub(1);
        let known = self.0.iter_mut().enumerate().find(|(_, (name, _))| name == first);
        match (known, rest) {
            (None, []) => {
                self.0.push((first, Member::Value(value)));
                true
            }
            (None, rest) => {
                let mut inner = Members::default();
                let added = inner.add(rest, value);
                self.0.push((first, Member::Object(inner)));
                added
            }
            (Some((at, (_, Member::Object(inner)))), rest) if at == last => inner.add(rest, value),
            (Some(_), _) => false,
        }
    }

    /// Writes the object, unless nothing is in it.
    fn write(&self, values: &[Column], row: usize, nulls: bool, out: &mut String) -> bool {
        let before = out.len();
        for (name, member) in &self.0 {
            let start = out.len();
            out.push(if start == before { '{' } else { ',' });
            // Writing to a String cannot fail.
            let _ = write!(out, "\"{}\":", escaped(name));
            let written = match member {
                Member::Value(at) => values[*at].write(row, nulls, out),
                Member::Object(inner) => inner.write(values, row, nulls, out),
            };
            if !written {
                out.truncate(start);
            }
        }
        if out.len() == before {
            return false;
        }
        out.push('}');
        true
    }
}

/// A column of values as texts.
struct Column {
    texts: Texts,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Text,
    Time,
    /// Written as it is: numbers, and what is JSON.
    Plain,
    Bit,
}

impl Column {
    fn of(call: &Call, at: usize, json: bool) -> Result<Self> {
        use SqlType as T;
        let from = call.sql_type(at);
        let (kind, style) = match from {
            _ if json => (Kind::Plain, None),
            T::Bit => (Kind::Bit, None),
            T::Money | T::SmallMoney | T::Real | T::Float => (Kind::Plain, Some(2)),
            from if from.is_number() => (Kind::Plain, None),
            T::Time(_) => (Kind::Time, None),
            from if from.is_temporal() => (Kind::Text, Some(126)),
            from if from.is_binary() => return Self::binary(call, at),
            _ => (Kind::Text, None),
        };
        let texts = match style {
            None => call.texts(at)?,
            Some(_) => {
                let to = SqlType::Varchar(None);
                let request = Request { from, to, style, tries: false };
                Texts::of(&ColumnarValue::Array(convert::array(&call.array(at)?, &request)?))?
            }
        };
        Ok(Self { texts, kind })
    }

    /// Bytes are base64 in JSON.
    fn binary(call: &Call, at: usize) -> Result<Self> {
        let bytes = cast(&call.array(at)?, &DataType::Binary)?;
        let texts: StringViewArray =
            bytes.as_binary::<i32>().iter().map(|bytes| bytes.map(base64)).collect();
        let texts = Texts::of(&ColumnarValue::Array(Arc::new(texts)))?;
        Ok(Self { texts, kind: Kind::Text })
    }

    fn write(&self, row: usize, nulls: bool, out: &mut String) -> bool {
        let Some(text) = self.texts.get(row) else {
            if nulls {
                out.push_str("null");
            }
            return nulls;
        };
        match self.kind {
            Kind::Plain => out.push_str(text),
            Kind::Bit => out.push_str(if text == "1" { "true" } else { "false" }),
            Kind::Text | Kind::Time => {
                let text = if self.kind == Kind::Time { shortened(text) } else { text };
                let _ = write!(out, "\"{}\"", escaped(text));
            }
        }
        true
    }
}

/// A time of day without a fraction that is zero.
fn shortened(text: &str) -> &str {
    match text.split_once('.') {
        Some((time, fraction)) if fraction.bytes().all(|b| b == b'0') => time,
        _ => text,
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let value = (bits >> (18 - 6 * digit)) & 63;
            text.push(match digit <= chunk.len() {
                true => char::from(DIGITS[value as usize]),
                false => '=',
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_base64() {
        let cases: [(&[u8], &str); 4] =
            [(b"", ""), (b"f", "Zg=="), (b"fo", "Zm8="), (b"foobar", "Zm9vYmFy")];
        for (bytes, text) in cases {
            assert_eq!(base64(bytes), text);
        }
    }

    #[test]
    fn members_of_one_object_stand_together() {
        let mut members = Members::default();
        assert!(members.add(&["a", "b"], 0) && members.add(&["a", "c"], 1));
        assert!(members.add(&["d"], 2));
        assert!(!members.add(&["a", "e"], 3), "not beside the others");
        assert!(!members.add(&["d"], 3) && !members.add(&["d", "x"], 3), "taken");
    }
}
