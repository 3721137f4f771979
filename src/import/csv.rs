//! CSV: a heading line, then one row a record. An empty field is null.

use std::io::BufRead;

use csv::{ByteRecord, Reader, ReaderBuilder};

use crate::catalog::Table;
use crate::error::{Error, Result, codes};

use super::cell::Cell;
use super::headings::{self, Target};
use super::loader::{Refusal, Row};
use super::rejected::Original;
use super::{Import, Report, place, source, trace};

pub fn import(import: Import<'_>) -> Result<Report> {
    let path = import.path;
    let source = source::open(path, import.name.gzip)?;
    let mut reader = reader(source.reader);
    let mut headings = ByteRecord::new();
    if !reader.read_byte_record(&mut headings).map_err(|e| unreadable(path, e))? {
        let empty = Error::invalid(codes::INVALID_ARGUMENT, "the file has no heading line");
        return Err(empty.at(import.place()));
    }
    if trace::is_heading(&headings) {
        return trace::import(import, reader, &headings, source.meter, source.bytes);
    }

    let table = import.table(None)?;
    let facts = import.facts(table);
    let targets = targets(facts, &headings).map_err(|e| e.at(place(path, Some(1))))?;
    let mut loader = import.loader(table, source.meter, source.bytes);
    loader.csv_headings(path, headings);

    let mut record = ByteRecord::new();
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => return loader.finish(),
            Err(e) => return Err(loader.interrupted(unreadable(path, e))),
        }
        let line = record.position().map_or(0, csv::Position::line);
        loader.row(line, Original::Csv(&record), |row| fill(row, facts, &targets, &record))?;
    }
}

/// A reader that leaves the heading line and ragged rows to its caller.
pub fn reader<R: BufRead>(reader: R) -> Reader<R> {
    ReaderBuilder::new().has_headers(false).flexible(true).from_reader(reader)
}

/// The error for a file that stops being readable.
pub fn unreadable(path: &std::path::Path, cause: csv::Error) -> Error {
    match cause.into_kind() {
        csv::ErrorKind::Io(cause) => source::unreadable(path, cause),
        other => Error::data(format!("'{}' cannot be read as CSV: {other:?}", path.display())),
    }
}

fn targets(table: &Table, headings: &ByteRecord) -> Result<Vec<Target>> {
    let mut targets: Vec<Target> = Vec::with_capacity(headings.len());
    for heading in headings {
        let heading = std::str::from_utf8(heading).map_err(|_| {
            Error::invalid(codes::INVALID_ARGUMENT, "the heading line is not valid UTF-8")
        })?;
        let target =
            headings::resolve(table, heading).ok_or_else(|| headings::unknown(table, heading))?;
        if let Target::Column(column) = target
            && targets.contains(&target)
        {
            let name = &table.columns[column].logical_name;
            return Err(Error::invalid(
                codes::INVALID_ARGUMENT,
                format!("column '{name}' is there twice, the second time as '{heading}'"),
            ));
        }
        targets.push(target);
    }
    if !targets.contains(&Target::Column(table.primary_id_index())) {
        return Err(Error::invalid(
            codes::INVALID_ARGUMENT,
            format!("the primary key column '{}' is missing", table.primary_id),
        ));
    }
    Ok(targets)
}

fn fill(
    row: &mut Row<'_>,
    table: &Table,
    targets: &[Target],
    record: &ByteRecord,
) -> Result<(), Refusal> {
    if record.len() != targets.len() {
        let (found, wanted) = (record.len(), targets.len());
        return Err(Refusal::Row(format!("{found} fields where the headings are {wanted}")));
    }
    for (field, target) in record.iter().zip(targets) {
        let Target::Column(column) = target else { continue };
        if field.is_empty() {
            continue;
        }
        let text = std::str::from_utf8(field)
            .map_err(|_| format!("{}: not valid UTF-8", table.columns[*column].logical_name))?;
        row.set(*column, &Cell::Text(text.into()))?;
    }
    Ok(())
}
