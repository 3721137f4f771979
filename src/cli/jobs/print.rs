//! Answers on standard output: JSON as it came, or rows with the columns of interest.

use std::io::{self, Write};

use clap::ValueEnum;
use comfy_table::Table;
use serde_json::Value as Json;

use crate::error::{Error, Result};

/// Vertical lines between columns and one under the heading: what `psql` shows.
const FRAME: &str = "     -+ |          ";

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// Aligned columns
    Table,
    /// Comma-separated values with a header line
    Csv,
    /// One JSON document
    Json,
    /// One JSON object a line
    Jsonl,
}

/// Prints rows. `whole` is the document that JSON shows in their place.
pub fn rows(form: Form, columns: &[&str], rows: &[Json], whole: Option<&Json>) -> Result<()> {
    let mut out = io::stdout().lock();
    let written = match (form, whole) {
        (Form::Json, Some(whole)) => writeln!(out, "{whole:#}"),
        (Form::Jsonl, Some(whole)) => writeln!(out, "{whole}"),
        (Form::Json, None) => writeln!(out, "{:#}", Json::from(rows.to_vec())),
        (Form::Jsonl, None) => rows.iter().try_for_each(|row| writeln!(out, "{row}")),
        (Form::Table, _) => {
            let mut table = Table::new();
            table.load_preset(FRAME).set_header(columns);
            for row in rows {
                table.add_row(columns.iter().map(|column| text(&row[*column])));
            }
            table.lines().try_for_each(|line| writeln!(out, "{}", line.trim_end()))
        }
        (Form::Csv, _) => {
            let mut writer = csv::Writer::from_writer(out);
            let mut written = writer.write_record(columns);
            for row in rows {
                let cells = columns.iter().map(|column| text(&row[*column]));
                written = written.and_then(|()| writer.write_record(cells));
            }
            written.map_err(io::Error::from).and_then(|()| writer.flush())
        }
    };
    written.map_err(|e| Error::data(format!("the answer cannot be written: {e}")).caused_by(e))
}

/// A cell as people read it.
pub fn text(json: &Json) -> String {
    match json {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        Json::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}
