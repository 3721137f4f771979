//! `JSON_VALUE`, `JSON_QUERY`, `JSON_PATH_EXISTS` and `ISJSON`, and PostgreSQL's `->` and
//! `->>`. A text is read only as far as the path leads, and what is found is given as it
//! was written.

use std::ops::Range;

use datafusion::arrow::array::ArrayRef;
use datafusion::common::{DataFusionError, Result};

use super::arguments::Kind::{Any, Text};
use super::definition::{Call, Definition, INT, TEXT, refused};

pub(super) static FUNCTIONS: &[Definition] = &[
    Definition {
        name: "isjson",
        arguments: &[Text],
        least: 1,
        most: 1,
        gives: INT,
        compute: is_json,
    },
    Definition {
        name: "json_path_exists",
        arguments: &[Text, Text],
        least: 2,
        most: 2,
        gives: INT,
        compute: path_exists,
    },
    Definition {
        name: "json_query",
        arguments: &[Text, Text],
        least: 1,
        most: 2,
        gives: TEXT,
        compute: query,
    },
    Definition {
        name: "json_value",
        arguments: &[Text, Text],
        least: 2,
        most: 2,
        gives: TEXT,
        compute: value,
    },
    Definition {
        name: "pg_json_get",
        arguments: &[Text, Any],
        least: 2,
        most: 2,
        gives: TEXT,
        compute: |call| member(call, |found| Some(found.to_owned())),
    },
    Definition {
        name: "pg_json_text",
        arguments: &[Text, Any],
        least: 2,
        most: 2,
        gives: TEXT,
        compute: |call| {
            member(call, |found| match found.as_bytes().first() {
                Some(b'"') => serde_json::from_str(found).ok(),
                _ => Some(found.to_owned()).filter(|found| found != "null"),
            })
        },
    },
];

/// How many characters `JSON_VALUE` gives.
const VALUE_MAX: usize = 4_000;

/// How deep a text may be nested.
const DEPTH_MAX: usize = 128;

fn is_json(call: &Call) -> Result<ArrayRef> {
    let texts = call.texts(0)?;
    call.int(|i| {
        let Some(text) = texts.get(i) else { return Ok(None) };
        let json = Json(text);
        let start = json.space(0);
        let nested = matches!(json.byte(start), Some(b'{' | b'['));
        let whole = nested && json.end(start, 0).is_ok_and(|end| json.space(end) == text.len());
        Ok(Some(i32::from(whole)))
    })
}

fn path_exists(call: &Call) -> Result<ArrayRef> {
    let (texts, paths) = (call.texts(0)?, call.texts(1)?);
    call.int(|i| {
        let (Some(text), Some(path)) = (texts.get(i), paths.get(i)) else { return Ok(None) };
        let found = Json(text).find(&Path::parse(path)?.steps);
        Ok(Some(i32::from(found.is_ok_and(|found| found.is_some()))))
    })
}

/// A value that is no object and no list.
fn value(call: &Call) -> Result<ArrayRef> {
    let (texts, paths) = (call.texts(0)?, call.texts(1)?);
    call.text(|i| {
        let (Some(text), Some(path)) = (texts.get(i), paths.get(i)) else { return Ok(None) };
        let path = Path::parse(path)?;
        let Some(found) = found(text, &path)? else { return Ok(None) };
        let value = match found.as_bytes().first() {
            Some(b'{' | b'[') => None,
            Some(b'"') => serde_json::from_str::<String>(found).ok(),
            _ if found == "null" => return Ok(None),
            _ => Some(found.to_owned()),
        };
        let value = value.filter(|value| value.chars().nth(VALUE_MAX).is_none());
        if value.is_none() && path.strict {
            let message = "Scalar value cannot be found in the specified JSON path (Msg 13623)";
            return Err(refused("22023", message));
        }
        Ok(value)
    })
}

/// An object or a list.
fn query(call: &Call) -> Result<ArrayRef> {
    let (texts, paths) = (call.texts(0)?, call.texts_if(1)?);
    call.text(|i| {
        let path = match &paths {
            Some(paths) => paths.get(i),
            None => Some("$"),
        };
        let (Some(text), Some(path)) = (texts.get(i), path) else { return Ok(None) };
        let path = Path::parse(path)?;
        let found = found(text, &path)?;
        let nested = found.filter(|found| found.starts_with(['{', '[']));
        if nested.is_none() && path.strict {
            let message = "Object or array cannot be found in the specified JSON path (Msg 13624)";
            return Err(refused("22023", message));
        }
        Ok(nested.map(str::to_owned))
    })
}

/// A member of an object by its name, or an item of a list by its place, from the end
/// if that is below zero; null where there is none.
fn member(call: &Call, shown: fn(&str) -> Option<String>) -> Result<ArrayRef> {
    let texts = call.texts(0)?;
    let by_place = call.type_of(1).is_integer();
    let places = by_place.then(|| call.integers(1)).transpose()?;
    let names = (!by_place).then(|| call.texts(1)).transpose()?;
    call.text(|i| {
        let Some(text) = texts.get(i) else { return Ok(None) };
        let json = Json(text);
        let at = json.space(0);
        let start = match (&places, &names) {
            (Some(places), _) => match places.get(i) {
                Some(place) => json.item_from(at, place),
                None => return Ok(None),
            },
            (_, Some(names)) => match names.get(i) {
                Some(name) => json.member(at, name),
                None => return Ok(None),
            },
            _ => Ok(None),
        };
        let found = start.and_then(|start| match start {
            Some(start) => Ok(Some(start..json.end(start, 0)?)),
            // What has no members is read too, so that it is known to be JSON.
            None => json.end(at, 0).map(|_| None),
        });
        match found {
            Ok(range) => Ok(range.and_then(|range| shown(&text[range]))),
            Err(_) => Err(refused("22P02", "invalid input syntax for type json")),
        }
    })
}

/// What is at a path; what a strict path leads to has to be there.
fn found<'t>(text: &'t str, path: &Path) -> Result<Option<&'t str>> {
    let found = Json(text).find(&path.steps).map_err(|at| malformed(text, at))?;
    if found.is_none() && path.strict {
        let message = "Property cannot be found on the specified JSON path (Msg 13608)";
        return Err(refused("22023", message));
    }
    Ok(found.map(|range| &text[range]))
}

fn malformed(text: &str, at: usize) -> DataFusionError {
    let rest = text.get(at..).unwrap_or_default();
    let shown = rest.chars().next().unwrap_or('.');
    let position = text.get(..at).map_or(at, |before| before.chars().count());
    refused(
        "22032",
        format!(
            "JSON text is not properly formatted. Unexpected character '{shown}' is found at \
             position {position} (Msg 13609)"
        ),
    )
}

/// `[lax | strict] $.key."other key"[2]`.
struct Path {
    strict: bool,
    steps: Vec<Step>,
}

enum Step {
    Key(String),
    Index(usize),
}

impl Path {
    fn parse(path: &str) -> Result<Self> {
        let trimmed = path.trim();
        let (strict, rest) = match trimmed.split_once(char::is_whitespace) {
            Some((mode, rest)) if mode.eq_ignore_ascii_case("strict") => (true, rest.trim()),
            Some((mode, rest)) if mode.eq_ignore_ascii_case("lax") => (false, rest.trim()),
            _ => (false, trimmed),
        };
        let steps = Self::steps(rest).ok_or_else(|| {
            let message = format!("JSON path is not properly formatted: '{path}' (Msg 13607)");
            refused("22023", message)
        })?;
        Ok(Self { strict, steps })
    }

    fn steps(path: &str) -> Option<Vec<Step>> {
        let mut rest = path.strip_prefix('$')?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            if let Some(index) = rest.strip_prefix('[') {
                let (index, behind) = index.split_once(']')?;
                steps.push(Step::Index(index.trim().parse().ok()?));
                rest = behind;
            } else if let Some(key) = rest.strip_prefix(".\"") {
                let (key, behind) = key.split_once('"')?;
                steps.push(Step::Key(key.to_owned()));
                rest = behind;
            } else {
                let key = rest.strip_prefix('.')?;
                let end = key.find(|c: char| !(c.is_alphanumeric() || "_$@".contains(c)));
                let (key, behind) = key.split_at(end.unwrap_or(key.len()));
                if key.is_empty() {
                    return None;
                }
                steps.push(Step::Key(key.to_owned()));
                rest = behind;
            }
        }
        Some(steps)
    }
}

/// A text that is read from place to place. Errors are the place of the first
/// byte that does not belong there.
struct Json<'t>(&'t str);

type Place<T> = std::result::Result<T, usize>;

impl Json<'_> {
    fn byte(&self, at: usize) -> Option<u8> {
        self.0.as_bytes().get(at).copied()
    }

    /// The place behind white space.
    fn space(&self, at: usize) -> usize {
        let rest = self.0.as_bytes().get(at..).unwrap_or_default();
        at + rest.iter().take_while(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n')).count()
    }

    /// The place behind a certain byte and the white space around it.
    fn past(&self, at: usize, expected: u8) -> Place<usize> {
        let at = self.space(at);
        if self.byte(at) == Some(expected) { Ok(self.space(at + 1)) } else { Err(at) }
    }

    fn find(&self, steps: &[Step]) -> Place<Option<Range<usize>>> {
        let mut at = self.space(0);
        if !matches!(self.byte(at), Some(b'{' | b'[')) {
            return Err(at);
        }
        for step in steps {
            let next = match step {
                Step::Key(key) => self.member(at, key)?,
                Step::Index(index) => self.item(at, *index)?,
            };
            let Some(next) = next else { return Ok(None) };
            at = next;
        }
        Ok(Some(at..self.end(at, 0)?))
    }

    /// Where a member's value starts.
    fn member(&self, object: usize, key: &str) -> Place<Option<usize>> {
        if self.byte(object) != Some(b'{') {
            return Ok(None);
        }
        let mut at = self.space(object + 1);
        if self.byte(at) == Some(b'}') {
            return Ok(None);
        }
        loop {
            let end = self.string(at)?;
            let name = serde_json::from_str::<String>(&self.0[at..end]).map_err(|_| at)?;
            at = self.past(end, b':')?;
            if name == key {
                return Ok(Some(at));
            }
            at = self.space(self.end(at, 0)?);
            match self.byte(at) {
                Some(b',') => at = self.space(at + 1),
                Some(b'}') => return Ok(None),
                _ => return Err(at),
            }
        }
    }

    /// Where an item of a list starts; below zero they are counted from the end.
    fn item_from(&self, list: usize, place: i64) -> Place<Option<usize>> {
        if let Ok(index) = usize::try_from(place) {
            return self.item(list, index);
        }
        let mut starts = Vec::new();
        let mut next = self.item(list, 0)?;
        while let Some(start) = next {
            starts.push(start);
            let end = self.space(self.end(start, 0)?);
            next = (self.byte(end) == Some(b',')).then(|| self.space(end + 1));
        }
        let back = usize::try_from(place.unsigned_abs()).unwrap_or(usize::MAX);
        Ok(starts.len().checked_sub(back).map(|at| starts[at]))
    }

    /// Where an item of a list starts.
    fn item(&self, list: usize, index: usize) -> Place<Option<usize>> {
        if self.byte(list) != Some(b'[') {
            return Ok(None);
        }
        let mut at = self.space(list + 1);
        if self.byte(at) == Some(b']') {
            return Ok(None);
        }
        for _ in 0..index {
            at = self.space(self.end(at, 0)?);
            match self.byte(at) {
                Some(b',') => at = self.space(at + 1),
                Some(b']') => return Ok(None),
                _ => return Err(at),
            }
        }
        Ok(Some(at))
    }

    /// Where the value ends that starts here.
    fn end(&self, at: usize, depth: usize) -> Place<usize> {
        if depth > DEPTH_MAX {
            return Err(at);
        }
        match self.byte(at) {
            Some(b'"') => self.string(at),
            Some(open @ (b'{' | b'[')) => {
                let close = if open == b'{' { b'}' } else { b']' };
                let mut at = self.space(at + 1);
                if self.byte(at) == Some(close) {
                    return Ok(at + 1);
                }
                loop {
                    if open == b'{' {
                        at = self.past(self.string(at)?, b':')?;
                    }
                    at = self.space(self.end(at, depth + 1)?);
                    match self.byte(at) {
                        Some(b',') => at = self.space(at + 1),
                        Some(byte) if byte == close => return Ok(at + 1),
                        _ => return Err(at),
                    }
                }
            }
            Some(b't' | b'f' | b'n') => {
                let rest = &self.0[at..];
                let words = ["true", "false", "null"];
                let word = words.iter().find(|word| rest.starts_with(**word)).ok_or(at)?;
                Ok(at + word.len())
            }
            Some(b'-' | b'0'..=b'9') => self.number(at),
            _ => Err(at),
        }
    }

    fn string(&self, at: usize) -> Place<usize> {
        if self.byte(at) != Some(b'"') {
            return Err(at);
        }
        let mut end = at + 1;
        loop {
            match self.byte(end) {
                Some(b'"') => return Ok(end + 1),
                Some(b'\\') => end += 2,
                Some(0..=0x1f) | None => return Err(end.min(self.0.len())),
                Some(_) => end += 1,
            }
        }
    }

    fn number(&self, at: usize) -> Place<usize> {
        let rest = self.0.as_bytes()[at..].iter();
        let length = rest
            .take_while(|b| matches!(b, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9'))
            .count();
        let number = &self.0[at..at + length];
        match serde_json::from_str::<serde_json::Number>(number) {
            Ok(_) => Ok(at + length),
            Err(_) => Err(at),
        }
    }
}
