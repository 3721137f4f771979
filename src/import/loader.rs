//! The part of an import that all formats share: a row that was read is either
//! loaded or rejected, full batches go to the store, and everything is counted.
//!
//! Invariant: rows read = rows loaded + rows rejected.

use std::path::Path;

use csv::ByteRecord;
use datafusion::arrow::datatypes::SchemaRef;

use crate::catalog::Catalog;
use crate::error::{Error, Place, Result};

use super::ahead::Ahead;
use super::cell::{self, Cell};
use super::columns::Rows;
use super::rejected::{Original, RejectedFile};
use super::rules::Rules;
use super::source::Meter;
use super::{Progress, Rejection, Report};

/// Rejections told in the report; all of them are in the rejected file.
const REJECTIONS_TOLD: usize = 10;

/// Rows between two progress reports.
const PROGRESS_ROWS: u64 = 8_192;

/// Why a row is not loaded.
pub enum Refusal {
    /// The row is at fault; the import goes on.
    Row(String),
    /// The file as a whole is.
    File(Error),
}

impl Refusal {
    /// Tells where, if it is the file that is refused.
    pub fn at(self, place: impl FnOnce() -> Place) -> Self {
        match self {
            Self::File(error) => Self::File(error.at(place())),
            row => row,
        }
    }
}

impl From<String> for Refusal {
    fn from(reason: String) -> Self {
        Self::Row(reason)
    }
}

/// The row that a reader fills.
pub struct Row<'a> {
    rows: &'a mut Rows,
    schema: &'a SchemaRef,
}

impl Row<'_> {
    pub fn set(&mut self, column: usize, cell: &Cell<'_>) -> Result<(), String> {
        let facts = &self.rows.table().columns[column];
        let value = cell::read(cell, facts, self.schema.field(column).data_type())?;
        self.rows.set(column, value);
        Ok(())
    }
}

pub struct Loader<'a> {
    table: usize,
    schema: SchemaRef,
    rows: Rows,
    rules: Rules,
    sink: &'a mut Ahead,
    rejected: RejectedFile,
    report: Report,
    /// Loaded rows that took the place of no other.
    inserted: u64,
    meter: Meter,
    bytes: u64,
    progress: &'a mut dyn FnMut(Progress),
}

impl<'a> Loader<'a> {
    pub fn new(
        path: &Path,
        catalog: &Catalog,
        table: usize,
        (meter, bytes): (Meter, u64),
        sink: &'a mut Ahead,
        progress: &'a mut dyn FnMut(Progress),
    ) -> Self {
        let facts = &catalog.tables()[table];
        Self {
            table,
            schema: facts.schema().clone(),
            rows: Rows::new(facts),
            rules: Rules::of(facts),
            sink,
            rejected: RejectedFile::beside(path, None),
            report: Report { table: facts.logical_name.clone(), ..Report::default() },
            inserted: 0,
            meter,
            bytes,
            progress,
        }
    }

    /// The headings that rejected CSV rows are written under.
    pub fn csv_headings(&mut self, path: &Path, headings: ByteRecord) {
        self.rejected = RejectedFile::beside(path, Some(headings));
    }

    /// Rows read so far.
    pub fn rows_read(&self) -> u64 {
        self.report.read
    }

    /// Something to tell about the file that concerns no single row.
    pub fn warn(&mut self, warning: String) {
        self.report.warnings.push(warning);
    }

    /// Takes one row: `fill` sets its columns or says why it cannot.
    pub fn row(
        &mut self,
        line: u64,
        original: Original<'_>,
        fill: impl FnOnce(&mut Row<'_>) -> Result<(), Refusal>,
    ) -> Result<()> {
        self.report.read += 1;
        let mut row = Row { rows: &mut self.rows, schema: &self.schema };
        let filled =
            fill(&mut row).and_then(|()| self.rules.complete(&mut self.rows).map_err(Refusal::Row));
        match filled {
            Ok(()) => {
                self.rows.push();
                if self.rows.is_full() {
                    self.send()?;
                }
            }
            Err(Refusal::Row(reason)) => {
                self.rows.discard();
                self.reject(line, reason, &original);
            }
            Err(Refusal::File(error)) => return Err(error),
        }
        if self.report.read.is_multiple_of(PROGRESS_ROWS) {
            self.tell();
        }
        Ok(())
    }

    fn reject(&mut self, line: u64, reason: String, original: &Original<'_>) {
        self.report.rejected += 1;
        if let Err(cause) = self.rejected.write(line, &reason, original) {
            self.cannot_keep(&cause);
        }
        if self.report.first_rejections.len() < REJECTIONS_TOLD {
            self.report.first_rejections.push(Rejection { line, reason });
        }
    }

    /// An import does not fail because the folder of its input is read-only,
    /// but it says so, once.
    fn cannot_keep(&mut self, cause: &std::io::Error) {
        let warning = format!(
            "rejected rows could not be written to '{}': {cause}",
            self.rejected.path().display()
        );
        if !self.report.warnings.contains(&warning) {
            self.report.warnings.push(warning);
        }
    }

    fn send(&mut self) -> Result<()> {
        if self.rows.len() == 0 {
            return Ok(());
        }
        let batch = self.rows.take()?;
        let rows = batch.num_rows() as u64;
        self.inserted += self.sink.push(self.table, batch)?.inserted;
        self.report.loaded += rows;
        self.tell();
        Ok(())
    }

    /// Sends what is left and waits until everything is stored.
    fn store(&mut self) -> Result<()> {
        self.send()?;
        self.inserted += self.sink.finish()?.inserted;
        // Rows whose key came twice in a batch replaced each other.
        self.report.replaced = self.report.loaded - self.inserted.min(self.report.loaded);
        Ok(())
    }

    fn tell(&mut self) {
        (self.progress)(Progress {
            bytes_read: self.meter.read().min(self.bytes),
            bytes_total: self.bytes,
            rows: self.report.read,
        });
    }

    /// The account of an import that cannot go on: rows read before the trouble
    /// are loaded, and the error says how many.
    pub fn interrupted(mut self, mut error: Error) -> Error {
        if let Err(worse) = self.store() {
            return worse;
        }
        let loaded = self.report.loaded;
        error.message.push_str(&format!("; the {loaded} rows read before that are loaded"));
        error
    }

    /// Sends what is left and gives the account of the import.
    pub fn finish(mut self) -> Result<Report> {
        self.store()?;
        if let Err(cause) = self.rejected.flush() {
            self.cannot_keep(&cause);
        }
        if self.rejected.exists() {
            self.report.rejected_file = Some(self.rejected.path().to_owned());
        }
        self.meter.advance_to(self.bytes);
        self.tell();
        Ok(self.report)
    }
}
