//! Reading rows from files: CSV, JSON lines, Web API JSON, Parquet and job traces.
//!
//! Every reader turns its file into cells, and one [`loader`] turns cells into
//! batches of the table's whole schema. A row that cannot be stored is put
//! aside with its line and reason and the import goes on; a file that cannot be
//! right as a whole, such as one with an unknown column, is refused.

mod ahead;
mod array;
mod cell;
mod columns;
mod csv;
mod headings;
mod json;
mod loader;
mod parquet;
mod progress;
mod rejected;
mod rules;
mod source;
pub mod trace;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use datafusion::arrow::array::RecordBatch;

use crate::catalog::{Catalog, Table};
use crate::error::{Error, Place, Result, codes};
use crate::store::Appended;

pub use self::progress::progress_bar;

use self::ahead::Ahead;
use self::loader::Loader;
use self::source::{FileName, Format, Meter};

/// Where imported batches go; the batch has the table's whole schema.
pub trait Sink {
    /// Stores a batch durably, replacing rows whose primary key is there.
    fn append(&mut self, table: usize, batch: RecordBatch) -> Result<Appended>;
}

/// How far an import is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    pub bytes_read: u64,
    pub bytes_total: u64,
    pub rows: u64,
}

/// A row that was not loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The line where the row begins, from 1; in Parquet the row's number.
    pub line: u64,
    pub reason: String,
}

/// The account of one file. `read` is `loaded` plus `rejected`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub table: String,
    pub read: u64,
    pub loaded: u64,
    /// Of the loaded rows, those that took the place of one with the same id.
    pub replaced: u64,
    pub rejected: u64,
    pub first_rejections: Vec<Rejection>,
    /// Where the rejected rows are, if there are any.
    pub rejected_file: Option<PathBuf>,
    /// Rows of other tables that the file brought with it, by table.
    pub related: Vec<(String, u64)>,
    pub warnings: Vec<String>,
}

/// Imports one file. The table is the one given, else the one in the file's
/// `@odata.context`, else the one that the file is named for. A job trace is
/// known by its header and brings its own tables.
pub fn import_file(
    path: &Path,
    table: Option<&str>,
    catalog: &Catalog,
    sink: &mut (dyn Sink + Send),
    progress: &mut dyn FnMut(Progress),
) -> Result<Report> {
    let name = FileName::of(path)?;
    let asked = match table {
        Some(table) => Some(
            source::named_table(catalog, table)
                .ok_or_else(|| source::unknown_table(catalog, table))?,
        ),
        None => None,
    };
    let format = name.format;
    std::thread::scope(|scope| {
        let sink = &mut Ahead::start(scope, sink);
        let import = Import { path, name, asked, catalog, sink, progress };
        match format {
            Format::Csv => csv::import(import),
            Format::JsonLines => json::import_lines(import),
            Format::Json => json::import_document(import),
            Format::Parquet => parquet::import(import),
        }
    })
}

/// One import on its way to a reader.
struct Import<'a> {
    path: &'a Path,
    name: FileName,
    asked: Option<usize>,
    catalog: &'a Catalog,
    sink: &'a mut Ahead,
    progress: &'a mut dyn FnMut(Progress),
}

impl<'a> Import<'a> {
    /// The table to import into; `context` is the file's `@odata.context`.
    fn table(&self, context: Option<&str>) -> Result<usize> {
        if let Some(table) = self.asked {
            return Ok(table);
        }
        if let Some((_, after)) = context.and_then(|c| c.split_once("$metadata#")) {
            let set = after.split(['(', '/']).next().unwrap_or_default();
            return source::named_table(self.catalog, set)
                .ok_or_else(|| source::unknown_table(self.catalog, set).at(self.place()));
        }
        self.name.table(self.catalog).ok_or_else(|| {
            let hint = self
                .catalog
                .nearest_table(&self.name.stem)
                .map(|near| format!(" (such as {near})"))
                .unwrap_or_default();
            Error::invalid(
                codes::UNKNOWN_ENTITY,
                format!("the file is named for no table; name it with --table{hint}"),
            )
            .at(self.place())
        })
    }

    fn facts(&self, table: usize) -> &'a Table {
        &self.catalog.tables()[table]
    }

    fn place(&self) -> Place {
        place(self.path, None)
    }

    fn loader(self, table: usize, meter: Meter, bytes: u64) -> Loader<'a> {
        Loader::new(self.path, self.catalog, table, (meter, bytes), self.sink, self.progress)
    }
}

/// A file, or a line of it, as the place of an error.
fn place(path: &Path, line: Option<u64>) -> Place {
    let file = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    Place::Part(match line {
        Some(line) => format!("{file} line {line}"),
        None => file.into_owned(),
    })
}
