//! A trace loaded as history: all its tables as they stood at some moment.

use std::io::Read;

use csv::{ByteRecord, Reader};

use crate::catalog::Catalog;
use crate::error::{Error, Place, Result, codes};

use super::super::columns::Rows;
use super::super::source::Meter;
use super::super::{Import, Progress, Report, Sink};
use super::jobs::{Jobs, Values};
use super::{Attempt, End, Trace, read, related};

/// Rows that went into a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loaded {
    pub table: usize,
    pub rows: u64,
    /// Of these, rows that took the place of one with the same id.
    pub replaced: u64,
}

impl Trace {
    /// Loads the trace into `sink`, every time moved by `shift` microseconds.
    ///
    /// With `until` (a time of the trace, not shifted) the tables are as they
    /// stood then: later submissions are left out, and a job that had not
    /// started or ended by then is waiting or in progress. Users and
    /// definitions are always all there. One entry per table, jobs last.
    pub fn history(
        &self,
        catalog: &Catalog,
        shift: i64,
        until: Option<i64>,
        sink: &mut dyn Sink,
    ) -> Result<Vec<Loaded>> {
        let mut loaded = Vec::new();
        let created = self.span().map_or(0, |(first, _)| first).saturating_add(shift);
        for (table, rows) in related::rows(self, catalog, created) {
            let mut batch = Batch::new(catalog, table);
            for values in rows {
                batch.add(values, sink)?;
            }
            loaded.push(batch.finish(sink)?);
        }
        let jobs = Jobs::new(self, catalog);
        let mut job_batch = Batch::new(catalog, jobs.jobs);
        let mut file_batch = Batch::new(catalog, jobs.files);
        let until = until.unwrap_or(i64::MAX);
        for (index, attempt) in self.attempts.iter().enumerate() {
            if attempt.submitted >= until {
                break;
            }
            let (started, end) = attempt.by(until);
            job_batch.add(jobs.job(index, started, end, shift), sink)?;
            if let Some(file) = jobs.file(index, shift) {
                file_batch.add(file, sink)?;
            }
        }
        loaded.push(file_batch.finish(sink)?);
        loaded.push(job_batch.finish(sink)?);
        Ok(loaded)
    }
}

impl Attempt {
    /// What had happened to the attempt before a moment.
    pub(super) fn by(&self, until: i64) -> (Option<i64>, Option<End>) {
        (self.started.filter(|s| *s < until), self.end.filter(|e| e.at < until))
    }
}

/// Rows of one table on their way to the sink.
struct Batch {
    rows: Rows,
    loaded: Loaded,
}

impl Batch {
    fn new(catalog: &Catalog, table: usize) -> Self {
        let rows = Rows::new(&catalog.tables()[table]);
        Self { rows, loaded: Loaded { table, rows: 0, replaced: 0 } }
    }

    fn add(&mut self, values: Values, sink: &mut dyn Sink) -> Result<()> {
        for (column, value) in values {
            self.rows.set(column, value);
        }
        self.rows.push();
        if self.rows.is_full() {
            self.send(sink)?;
        }
        Ok(())
    }

    fn send(&mut self, sink: &mut dyn Sink) -> Result<()> {
        if self.rows.len() > 0 {
            let batch = self.rows.take()?;
            let rows = batch.num_rows() as u64;
            let appended = sink.append(self.loaded.table, batch)?;
            self.loaded.rows += rows;
            self.loaded.replaced += rows - appended.inserted.min(rows);
        }
        Ok(())
    }

    fn finish(mut self, sink: &mut dyn Sink) -> Result<Loaded> {
        self.send(sink)?;
        Ok(self.loaded)
    }
}

/// Imports a trace file whose headings were read: all of it, as it was.
pub fn import<R: Read>(
    import: Import<'_>,
    mut reader: Reader<R>,
    headings: &ByteRecord,
    meter: Meter,
    bytes_total: u64,
) -> Result<Report> {
    let jobs = import.catalog.table_index("asyncoperation").expect("a built-in table");
    if let Some(asked) = import.asked.filter(|asked| *asked != jobs) {
        let message = format!(
            "the file is a job trace: its rows go to 'asyncoperation', not to '{}'",
            import.facts(asked).logical_name
        );
        return Err(Error::invalid(codes::INVALID_ARGUMENT, message).at(import.place()));
    }
    let progress = import.progress;
    let trace = read::read_after(&mut reader, headings, &mut |rows| {
        progress(Progress { bytes_read: meter.read().min(bytes_total), bytes_total, rows });
    })
    .map_err(|mut e| {
        // The place of a trace read from a file is the file's line.
        if let Some(Place::Part(part)) = &mut e.place {
            let file = import.path.file_name().unwrap_or_default().to_string_lossy();
            *part = part.replacen("trace", &file, 1);
        }
        e
    })?;

    let loaded = trace.history(import.catalog, 0, None, import.sink)?;
    let mut report = Report::default();
    for part in loaded {
        let table = import.catalog.tables()[part.table].logical_name.clone();
        if part.table == jobs {
            report.table = table;
            report.read = part.rows;
            report.loaded = part.rows;
            report.replaced = part.replaced;
        } else {
            report.related.push((table, part.rows));
        }
    }
    progress(Progress { bytes_read: bytes_total, bytes_total, rows: report.read });
    Ok(report)
}
