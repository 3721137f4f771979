//! The file beside an import that keeps the rows it refused.
//!
//! Rejected rows are written as they were, with the reason under `@rejected`:
//! a first column in CSV, a first member in JSON rows that are still objects.
//! Import passes over headings that begin with `@`, so a corrected file can be
//! imported as it is. The file is made at the first rejection.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use csv::ByteRecord;

/// Heading of the reason.
const REASON: &str = "@rejected";

/// A refused row as its file has it.
pub enum Original<'a> {
    Csv(&'a ByteRecord),
    /// The text of a JSON row.
    Json(&'a [u8]),
    /// A row of a format without text, told as a JSON row if it must be.
    Binary(&'a dyn Fn() -> Vec<u8>),
}

pub struct RejectedFile {
    path: PathBuf,
    csv_headings: Option<ByteRecord>,
    open: Option<BufWriter<File>>,
}

impl RejectedFile {
    /// Beside `input`, named `<input>.rejected`; CSV rows get these headings.
    pub fn beside(input: &Path, csv_headings: Option<ByteRecord>) -> Self {
        let mut path = OsString::from(input);
        path.push(".rejected");
        Self { path: path.into(), csv_headings, open: None }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether anything was written.
    pub fn exists(&self) -> bool {
        self.open.is_some()
    }

    pub fn write(&mut self, line: u64, reason: &str, original: &Original<'_>) -> io::Result<()> {
        let out = match &mut self.open {
            Some(out) => out,
            None => {
                let mut out = BufWriter::new(File::create(&self.path)?);
                if let Some(headings) = &self.csv_headings {
                    csv_line(&mut out, REASON, headings)?;
                }
                self.open.insert(out)
            }
        };
        let reason = format!("line {line}: {reason}");
        match original {
            Original::Csv(record) => csv_line(out, &reason, record),
            Original::Json(text) => json_line(out, &reason, text),
            Original::Binary(text) => json_line(out, &reason, &text()),
        }
    }

    pub fn flush(&mut self) -> io::Result<()> {
        self.open.as_mut().map_or(Ok(()), Write::flush)
    }
}

fn csv_line(out: &mut impl Write, first: &str, record: &ByteRecord) -> io::Result<()> {
    let mut line = csv::WriterBuilder::new().flexible(true).from_writer(out);
    line.write_record(std::iter::once(first.as_bytes()).chain(record.iter()))?;
    line.flush()
}

fn json_line(out: &mut impl Write, reason: &str, text: &[u8]) -> io::Result<()> {
    let text = text.trim_ascii();
    let is_object = serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok();
    match text.strip_prefix(b"{").filter(|_| is_object) {
        Some(members) => {
            let reason = serde_json::Value::from(reason);
            let comma = if members.trim_ascii() == b"}" { "" } else { "," };
            write!(out, "{{\"{REASON}\":{reason}{comma}")?;
            // Elements of an array may span lines; outside strings a line
            // break is plain space, and inside one JSON allows none.
            let one_line: Vec<u8> = members
                .iter()
                .map(|b| if matches!(b, b'\n' | b'\r') { b' ' } else { *b })
                .collect();
            out.write_all(&one_line)?;
        }
        None => out.write_all(text)?,
    }
    out.write_all(b"\n")
}
