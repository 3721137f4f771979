//! Opening a file: its format from its name, decompression, and a count of the
//! bytes read for the progress bar.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;

use crate::catalog::{Catalog, nearest};
use crate::error::{Error, ErrorKind, Result, codes};

const BUFFER_BYTES: usize = 256 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Csv,
    JsonLines,
    Json,
    Parquet,
}

/// What a file's name tells.
#[derive(Debug, PartialEq, Eq)]
pub struct FileName {
    pub format: Format,
    pub gzip: bool,
    /// The name without folder and endings.
    pub stem: String,
}

impl FileName {
    pub fn of(path: &Path) -> Result<Self> {
        let name = path.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
        let (plain, gzip) = match name.strip_suffix(".gz") {
            Some(plain) => (plain, true),
            None => (name.as_str(), false),
        };
        let known = match plain.rsplit_once('.') {
            Some((stem, "csv")) => Some((stem, Format::Csv)),
            Some((stem, "jsonl")) => Some((stem, Format::JsonLines)),
            Some((stem, "json")) => Some((stem, Format::Json)),
            Some((stem, "parquet")) if !gzip => Some((stem, Format::Parquet)),
            _ => None,
        };
        let Some((stem, format)) = known else {
            return Err(Error::unsupported(format!(
                "the name of '{}' ends in no known format: \
                 .csv, .jsonl, .json (each also with .gz) or .parquet",
                path.display()
            )));
        };
        Ok(Self { format, gzip, stem: stem.to_owned() })
    }

    /// The table that the file is named for: a logical name or an entity set,
    /// up to the first character that neither can have (`jobs (2).csv`).
    pub fn table(&self, catalog: &Catalog) -> Option<usize> {
        let word: String =
            self.stem.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        named_table(catalog, &word)
    }
}

/// A table by logical name or entity set, in any case.
pub fn named_table(catalog: &Catalog, name: &str) -> Option<usize> {
    let name = name.to_lowercase();
    catalog.tables().iter().position(|t| t.logical_name == name || t.entity_set_name == name)
}

/// The error for a table nobody knows.
pub fn unknown_table(catalog: &Catalog, name: &str) -> Error {
    let names =
        catalog.tables().iter().flat_map(|t| [t.logical_name.as_str(), t.entity_set_name.as_str()]);
    let hint = nearest(name, names).map(|n| format!("; did you mean '{n}'?")).unwrap_or_default();
    Error::invalid(codes::UNKNOWN_ENTITY, format!("table '{name}' does not exist{hint}"))
}

/// How far into a file its reader is, shared with the reader.
#[derive(Clone, Debug, Default)]
pub struct Meter(Rc<Cell<u64>>);

impl Meter {
    pub fn read(&self) -> u64 {
        self.0.get()
    }

    pub fn advance_to(&self, bytes: u64) {
        self.0.set(bytes);
    }
}

/// A text file, decompressed.
pub struct Source {
    pub reader: Box<dyn BufRead>,
    pub meter: Meter,
    pub bytes: u64,
}

/// Opens a text file and passes over a byte order mark.
pub fn open(path: &Path, gzip: bool) -> Result<Source> {
    let file = open_file(path)?;
    let bytes = file.metadata().map(|m| m.len()).unwrap_or(0);
    let meter = Meter::default();
    let raw = BufReader::with_capacity(BUFFER_BYTES, Metered { file, meter: meter.clone() });
    let mut reader: Box<dyn BufRead> = if gzip {
        Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(raw)))
    } else {
        Box::new(raw)
    };
    if reader.fill_buf().map_err(|e| unreadable(path, e))?.starts_with(b"\xEF\xBB\xBF") {
        reader.consume(3);
    }
    Ok(Source { reader, meter, bytes })
}

pub fn open_file(path: &Path) -> Result<File> {
    File::open(path).map_err(|e| unreadable(path, e))
}

/// The error for a file that cannot be read (on).
pub fn unreadable(path: &Path, cause: io::Error) -> Error {
    let kind = match cause.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        _ => ErrorKind::Data,
    };
    let message = format!("'{}' cannot be read: {cause}", path.display());
    Error::new(kind, codes::UNEXPECTED, message).caused_by(cause)
}

struct Metered {
    file: File,
    meter: Meter,
}

impl Read for Metered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buffer)?;
        self.meter.advance_to(self.meter.read() + n as u64);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_format_and_table() {
        let catalog = Catalog::built_in();
        let of = |name: &str| {
            let name = FileName::of(Path::new(name)).expect("known format");
            let table = name.table(&catalog).map(|t| catalog.tables()[t].logical_name.clone());
            (name.format, name.gzip, table)
        };
        let job = Some("asyncoperation".to_owned());
        assert_eq!(of("x/asyncoperation.csv.gz"), (Format::Csv, true, job.clone()));
        assert_eq!(of("AsyncOperations.JSON"), (Format::Json, false, job.clone()));
        assert_eq!(of("asyncoperations (2).jsonl"), (Format::JsonLines, false, job));
        assert_eq!(of("export.parquet"), (Format::Parquet, false, None));
        let refused = FileName::of(Path::new("jobs.xml")).expect_err("refused");
        assert!(refused.message.contains("'jobs.xml'"), "{refused}");
        assert!(FileName::of(Path::new("jobs.parquet.gz")).is_err());
    }
}
