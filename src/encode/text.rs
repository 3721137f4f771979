//! Rows as text: CSV, JSON and an aligned table.

use std::io::Write;

use comfy_table::{CellAlignment, Table};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;

use super::cells::{Cells, Precision, json_text};
use super::rows::failed;
use crate::catalog::is_entity_name;
use crate::error::Result;

/// Vertical lines between columns and one under the heading: what `psql` shows.
const FRAME: &str = "     -+ |          ";

/// The batch's columns. Names of tables are known by their field.
fn columns(schema: &SchemaRef, batch: &RecordBatch) -> Result<Vec<Cells>> {
    let fields = schema.fields().iter().zip(batch.columns());
    fields
        .map(|(field, array)| Cells::new(array, is_entity_name(field), Precision::Micros))
        .collect()
}

/// CSV with a header line; null is an empty field.
pub struct Csv<W: Write> {
    schema: SchemaRef,
    writer: csv::Writer<W>,
    field: Vec<u8>,
}

impl<W: Write> Csv<W> {
    pub fn new(schema: &SchemaRef, out: W) -> Result<Self> {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(schema.fields().iter().map(|f| f.name())).map_err(failed)?;
        Ok(Self { schema: schema.clone(), writer, field: Vec::new() })
    }

    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let columns = columns(&self.schema, batch)?;
        for row in 0..batch.num_rows() {
            for cells in &columns {
                self.field.clear();
                cells.text(row, &mut self.field);
                self.writer.write_field(&self.field).map_err(failed)?;
            }
            self.writer.write_record(None::<&[u8]>).map_err(failed)?;
        }
        Ok(())
    }

    pub fn finish(self) -> Result<W> {
        self.writer.into_inner().map_err(|e| failed(e.into_error()))
    }
}

/// JSON objects, as one array or one a line.
pub struct JsonRows<W> {
    schema: SchemaRef,
    keys: Vec<Vec<u8>>,
    array: bool,
    first: bool,
    buffer: Vec<u8>,
    out: W,
}

impl<W: Write> JsonRows<W> {
    pub fn new(schema: &SchemaRef, array: bool, out: W) -> Self {
        let keys = schema.fields().iter().enumerate().map(|(i, field)| {
            let mut key = vec![if i == 0 { b'{' } else { b',' }];
            json_text(field.name(), &mut key);
            key.push(b':');
            key
        });
        let keys = keys.collect();
        Self { schema: schema.clone(), keys, array, first: true, buffer: Vec::new(), out }
    }

    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let columns = columns(&self.schema, batch)?;
        for row in 0..batch.num_rows() {
            self.buffer.clear();
            if self.array {
                let before: &[u8] = if self.first { b"[" } else { b",\n" };
                self.buffer.extend_from_slice(before);
            }
            self.first = false;
            for (key, cells) in self.keys.iter().zip(&columns) {
                self.buffer.extend_from_slice(key);
                cells.json(row, &mut self.buffer);
            }
            if columns.is_empty() {
                self.buffer.push(b'{');
            }
            self.buffer.push(b'}');
            if !self.array {
                self.buffer.push(b'\n');
            }
            self.out.write_all(&self.buffer).map_err(failed)?;
        }
        Ok(())
    }

    pub fn finish(mut self) -> Result<W> {
        if self.array {
            let end: &[u8] = if self.first { b"[]\n" } else { b"]\n" };
            self.out.write_all(end).map_err(failed)?;
        }
        Ok(self.out)
    }
}

/// An aligned table. It holds its cells until the end: widths are known only then.
pub struct TextTable<W> {
    schema: SchemaRef,
    table: Table,
    out: W,
}

impl<W: Write> TextTable<W> {
    pub fn new(schema: &SchemaRef, out: W) -> Self {
        let mut table = Table::new();
        table.load_preset(FRAME).set_header(schema.fields().iter().map(|f| f.name()));
        Self { schema: schema.clone(), table, out }
    }

    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let columns = columns(&self.schema, batch)?;
        for (i, _) in columns.iter().enumerate().filter(|(_, cells)| cells.is_number()) {
            if let Some(column) = self.table.column_mut(i) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        for row in 0..batch.num_rows() {
            self.table.add_row(columns.iter().map(|cells| {
                let mut text = Vec::new();
                cells.text(row, &mut text);
                printable(&String::from_utf8_lossy(&text))
            }));
        }
        Ok(())
    }

    pub fn finish(mut self) -> Result<W> {
        for line in self.table.trim_fmt().lines() {
            writeln!(self.out, "{}", line.trim_end()).map_err(failed)?;
        }
        Ok(self.out)
    }
}

/// Text from a row must not steer the terminal it is shown on.
fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\r' => {}
            '\n' => shown.push(c),
            // A tab's width is unknown to the alignment.
            '\t' => shown.push_str("    "),
            c if c.is_control() => shown.extend(c.escape_default()),
            c => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_not_obeyed() {
        assert_eq!(printable("a\u{1b}[2J\r\nb\té"), "a\\u{1b}[2J\nb    é");
    }
}
