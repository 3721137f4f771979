//! JSON rows: one object a line, or the elements of a Web API answer.
//!
//! A row is read straight from its text into the columns, without a document
//! tree. Keys of the first row are held against the table as headings are: an
//! unknown one refuses the file, in a later row only that row.

use std::borrow::Cow;
use std::fmt;
use std::io::BufRead;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::catalog::Table;
use crate::error::Result;

use super::array::Elements;
use super::cell::Cell;
use super::headings::{self, Headings, Target};
use super::loader::{Refusal, Row};
use super::rejected::Original;
use super::{Import, Report, place, source};

/// Imports JSON lines.
pub fn import_lines(import: Import<'_>) -> Result<Report> {
    let path = import.path;
    let mut source = source::open(path, import.name.gzip)?;
    let table = import.table(None)?;
    let mut reading = Reading::new(import.facts(table));
    let mut loader = import.loader(table, source.meter, source.bytes);
    let mut text = Vec::new();
    for line in 1.. {
        text.clear();
        match source.reader.read_until(b'\n', &mut text) {
            Ok(0) => break,
            Ok(_) => {}
            Err(e) => return Err(loader.interrupted(source::unreadable(path, e))),
        }
        let row = text.trim_ascii();
        if row.is_empty() {
            continue;
        }
        let first = loader.rows_read() == 0;
        loader.row(line, Original::Json(row), |into| {
            reading.fill(into, row, first).map_err(|r| r.at(|| place(path, Some(line))))
        })?;
    }
    loader.finish()
}

/// Imports a Web API answer or an array.
pub fn import_document(import: Import<'_>) -> Result<Report> {
    let path = import.path;
    let source = source::open(path, import.name.gzip)?;
    let mut elements =
        Elements::open(source.reader).map_err(|e| e.into_error(path, import.place()))?;
    let table = import.table(elements.context())?;
    let mut reading = Reading::new(import.facts(table));
    let mut loader = import.loader(table, source.meter, source.bytes);
    loop {
        let element = match elements.next() {
            Ok(Some(element)) => element,
            Ok(None) => break,
            Err(e) => return Err(loader.interrupted(source::unreadable(path, e))),
        };
        let first = loader.rows_read() == 0;
        loader.row(element.line, Original::Json(element.text), |into| {
            if element.cut_short {
                return Err(Refusal::Row("the file ends inside this row".into()));
            }
            let filled = reading.fill(into, element.text, first);
            filled.map_err(|r| r.at(|| place(path, Some(element.line))))
        })?;
    }
    for warning in elements.warnings() {
        loader.warn(warning);
    }
    loader.finish()
}

/// What is known of a file's keys.
struct Reading<'a> {
    table: &'a Table,
    headings: Headings,
}

impl<'a> Reading<'a> {
    fn new(table: &'a Table) -> Self {
        Self { table, headings: Headings::default() }
    }

    fn fill(&mut self, row: &mut Row<'_>, text: &[u8], first: bool) -> Result<(), Refusal> {
        let mut unknown = None;
        let mut fault = None;
        let object = Object { reading: self, row, unknown: &mut unknown, fault: &mut fault };
        let mut json = serde_json::Deserializer::from_slice(text);
        object.deserialize(&mut json).and_then(|()| json.end()).map_err(|e| invalid(&e))?;
        if let Some(key) = unknown {
            let error = headings::unknown(self.table, &key);
            return Err(if first { Refusal::File(error) } else { Refusal::Row(error.message) });
        }
        fault.map_or(Ok(()), |reason| Err(Refusal::Row(reason)))
    }
}

/// The parser's words, with the place inside the row: its own "line 1" would
/// be mistaken for the file's.
fn invalid(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let words = text.rsplit_once(" at line ").map_or(text.as_str(), |(words, _)| words);
    format!("not a valid JSON object: {words} at character {}", error.column())
}

/// Reads one object's members into the row.
struct Object<'o, 'r, 't> {
    reading: &'o mut Reading<'t>,
    row: &'o mut Row<'r>,
    unknown: &'o mut Option<String>,
    fault: &'o mut Option<String>,
}

impl<'de> DeserializeSeed<'de> for Object<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Visitor<'de> for Object<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        // The whole object is read even after a fault, so that text which is
        // not JSON is always told as such.
        while let Some(Key(key)) = members.next_key()? {
            match self.reading.headings.resolve(self.reading.table, &key) {
                Some(Target::Column(column)) => {
                    let cell: Cell<'de> = members.next_value()?;
                    // Some lookups and their expanded rows have one name.
                    if cell == Cell::Nested && self.reading.table.navigation(&key).is_some() {
                        self.unknown.get_or_insert(key.into_owned());
                    } else if let Err(reason) = self.row.set(column, &cell) {
                        self.fault.get_or_insert(reason);
                    }
                }
                Some(Target::Nowhere) => {
                    members.next_value::<IgnoredAny>()?;
                }
                None => {
                    members.next_value::<IgnoredAny>()?;
                    self.unknown.get_or_insert(key.into_owned());
                }
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Cell<'de> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(CellVisitor)
    }
}

struct CellVisitor;

impl<'de> Visitor<'de> for CellVisitor {
    type Value = Cell<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Cell<'de>, E> {
        Ok(Cell::Null)
    }

    fn visit_bool<E>(self, v: bool) -> Result<Cell<'de>, E> {
        Ok(Cell::Boolean(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Cell<'de>, E> {
        Ok(Cell::Int(v))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Cell<'de>, E> {
        Ok(i64::try_from(v).map_or(Cell::Float(v as f64), Cell::Int))
    }

    fn visit_f64<E>(self, v: f64) -> Result<Cell<'de>, E> {
        Ok(Cell::Float(v))
    }

    fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Cell<'de>, E> {
        Ok(Cell::Text(Cow::Borrowed(v)))
    }

    fn visit_str<E>(self, v: &str) -> Result<Cell<'de>, E> {
        Ok(Cell::Text(Cow::Owned(v.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Cell<'de>, A::Error> {
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Cell::Nested)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Cell<'de>, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Cell::Nested)
    }
}
