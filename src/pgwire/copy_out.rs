//! The rows of a query as `COPY` sends them, a message for each.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use futures::StreamExt;
use pgwire::api::results::FieldInfo;
use pgwire::error::PgWireResult;
use pgwire::messages::copy::{CopyData, CopyOutResponse};

use super::copy::{Csv, Force, Options, Text};
use super::encode::{Batches, Table};
use super::error::{from_datafusion, plain, to_wire};

/// What the binary format begins with: signature, flags, no extension.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// The messages of a `COPY`.
pub struct CopyOut {
    batches: Batches,
    schema: SchemaRef,
    fields: Vec<FieldInfo>,
    text: Arc<str>,
    options: Options,
    /// By column, whether its values are always quoted.
    forced: Vec<bool>,
    table: Option<Table>,
    at: usize,
    /// What is sent ahead of the next row, or of the end.
    head: Vec<u8>,
    cell: Vec<u8>,
    rows: usize,
    ended: bool,
}

impl CopyOut {
    pub fn new(
        batches: Batches,
        schema: SchemaRef,
        fields: Vec<FieldInfo>,
        text: Arc<str>,
        options: Options,
    ) -> PgWireResult<Self> {
        let mut forced = vec![false; fields.len()];
        if let Options::Csv(Csv { force_quote, .. }) = &options {
            match force_quote {
                Force::All => forced.fill(true),
                Force::Columns(names) => {
                    for name in names {
                        let at = fields.iter().position(|f| f.name().eq_ignore_ascii_case(name));
                        let missing = || format!("column \"{name}\" does not exist");
                        forced[at.ok_or_else(|| plain("42703", missing()))?] = true;
                    }
                }
            }
        }
        let head = if options.binary() { SIGNATURE.to_vec() } else { Vec::new() };
        let mut copy = Self {
            batches,
            schema,
            fields,
            text,
            options,
            forced,
            table: None,
            at: 0,
            head,
            cell: Vec::new(),
            rows: 0,
            ended: false,
        };
        copy.titles();
        Ok(copy)
    }

    /// What the client is told before.
    pub fn response(&self) -> CopyOutResponse {
        let columns = self.fields.len() as i16;
        let format = i8::from(self.options.binary());
        CopyOutResponse::new(format, columns, vec![format.into(); self.fields.len()])
    }

    /// How many rows were sent.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The next message; `None` at the end.
    pub async fn next(&mut self) -> PgWireResult<Option<CopyData>> {
        // The line of titles is a message of its own; the signature is not.
        if !self.head.is_empty() && !self.options.binary() {
            return Ok(Some(message(std::mem::take(&mut self.head))));
        }
        loop {
            if let Some(table) = &mut self.table
                && self.at < table.rows()
            {
                let mut line = std::mem::take(&mut self.head);
                let row = self.at;
                self.at += 1;
                self.rows += 1;
                self.line(row, &mut line)?;
                return Ok(Some(message(line)));
            }
            if self.ended {
                return Ok(None);
            }
            let Some(batch) = self.batches.next().await else {
                self.ended = true;
                if !self.options.binary() {
                    return Ok(None);
                }
                let mut end = std::mem::take(&mut self.head);
                end.extend((-1_i16).to_be_bytes());
                return Ok(Some(message(end)));
            };
            let batch = batch.map_err(|e| to_wire(&from_datafusion(e), &self.text))?;
            let table = Table::new(&batch, &self.schema, &self.fields, &self.text)?;
            (self.table, self.at) = (Some(table), 0);
        }
    }

    /// The line of column names, where one is asked for.
    fn titles(&mut self) {
        let header = match &self.options {
            Options::Binary => false,
            Options::Text(text) => text.header,
            Options::Csv(csv) => csv.header,
        };
        if !header {
            return;
        }
        let mut line = std::mem::take(&mut self.head);
        for (at, field) in self.fields.iter().enumerate() {
            let name = field.name().as_bytes();
            match &self.options {
                Options::Binary => {}
                Options::Text(text) => {
                    separate(at, text.delimiter, &mut line);
                    escaped(name, text.delimiter, &mut line);
                }
                Options::Csv(csv) => {
                    separate(at, csv.delimiter, &mut line);
                    quoted(name, csv, false, self.fields.len() == 1, &mut line);
                }
            }
        }
        line.push(b'\n');
        self.head = line;
    }

    fn line(&mut self, row: usize, line: &mut Vec<u8>) -> PgWireResult<()> {
        let Some(table) = &mut self.table else { return Ok(()) };
        if self.options.binary() {
            line.extend((self.fields.len() as i16).to_be_bytes());
            return table.write(row, line);
        }
        let alone = self.fields.len() == 1;
        for (at, column) in table.columns().iter_mut().enumerate() {
            self.cell.clear();
            let there = column.write(row, &mut self.cell)?;
            match &self.options {
                Options::Binary => {}
                Options::Text(Text { delimiter, null, .. }) => {
                    separate(at, *delimiter, line);
                    if there {
                        escaped(&self.cell, *delimiter, line);
                    } else {
                        line.extend_from_slice(null.as_bytes());
                    }
                }
                Options::Csv(csv) => {
                    separate(at, csv.delimiter, line);
                    if there {
                        quoted(&self.cell, csv, self.forced[at], alone, line);
                    } else {
                        line.extend_from_slice(csv.null.as_bytes());
                    }
                }
            }
        }
        line.push(b'\n');
        Ok(())
    }
}

fn message(line: Vec<u8>) -> CopyData {
    CopyData::new(line.into())
}

fn separate(at: usize, delimiter: u8, line: &mut Vec<u8>) {
    if at > 0 {
        line.push(delimiter);
    }
}

/// A value of the text format: what would be read otherwise stands behind a backslash.
fn escaped(value: &[u8], delimiter: u8, line: &mut Vec<u8>) {
    for byte in value {
        let letter = match byte {
            b'\\' => b'\\',
            8 => b'b',
            12 => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            11 => b'v',
            byte if *byte == delimiter => delimiter,
            byte => {
                line.push(*byte);
                continue;
            }
        };
        line.extend([b'\\', letter]);
    }
}

/// A value of the CSV format, in quotes where it would be read otherwise.
fn quoted(value: &[u8], csv: &Csv, force: bool, alone: bool, line: &mut Vec<u8>) {
    let special = |b: &u8| *b == csv.delimiter || *b == csv.quote || matches!(b, b'\n' | b'\r');
    let needed = force
        || value == csv.null.as_bytes()
        || value.iter().any(special)
        // Alone on its line this would be the end of the data.
        || (alone && value == b"\\.");
    if !needed {
        return line.extend_from_slice(value);
    }
    line.push(csv.quote);
    for byte in value {
        if *byte == csv.quote || *byte == csv.escape {
            line.push(csv.escape);
        }
        line.push(*byte);
    }
    line.push(csv.quote);
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray};
    use datafusion::arrow::datatypes::{DataType, Field, Schema};
    use futures::stream;
    use pgwire::api::portal::Format;

    use super::super::encode;
    use super::*;

    const TAB: u8 = b'\t';

    async fn lines(options: Options, texts: &[Option<&str>]) -> Vec<Vec<u8>> {
        let schema = Arc::new(Schema::new(vec![
            Field::new("n", DataType::Int32, true),
            Field::new("a,b", DataType::Utf8, true),
        ]));
        let numbers: ArrayRef = Arc::new(Int32Array::from_iter(texts.iter().map(|_| Some(1))));
        let columns = vec![numbers, Arc::new(StringArray::from_iter(texts.iter())) as ArrayRef];
        let batch = RecordBatch::try_new(schema.clone(), columns).expect("two columns");
        let format = if options.binary() { Format::UnifiedBinary } else { Format::UnifiedText };
        let fields = encode::fields(&schema, &format).expect("known types");
        let batches = stream::iter([Ok(batch)]).boxed();
        let mut copy = CopyOut::new(batches, schema, fields, "".into(), options).expect("valid");
        let mut lines = Vec::new();
        while let Some(message) = copy.next().await.expect("written") {
            lines.push(message.data.to_vec());
        }
        assert_eq!(copy.rows(), texts.len());
        lines
    }

    #[tokio::test]
    async fn values_read_back_as_they_were() {
        let text = Options::Text(Text { delimiter: TAB, null: "\\N".into(), header: true });
        let texts = [Some("a\tb\\\n"), None, Some("")];
        let expected = ["n\ta,b\n", "1\ta\\tb\\\\\\n\n", "1\t\\N\n", "1\t\n"];
        assert_eq!(lines(text, &texts).await, expected.map(|l| l.as_bytes().to_vec()));
        let csv = |force_quote| {
            let (null, header) = (String::new(), true);
            let (delimiter, quote, escape) = (b',', b'"', b'\\');
            Options::Csv(Csv { delimiter, null, header, quote, escape, force_quote })
        };
        let texts = [Some("a\"b\\"), None, Some(""), Some("plain")];
        let found = lines(csv(Force::Columns(Vec::new())), &texts).await;
        let expected = ["n,\"a,b\"\n", "1,\"a\\\"b\\\\\"\n", "1,\n", "1,\"\"\n", "1,plain\n"];
        assert_eq!(found, expected.map(|l| l.as_bytes().to_vec()));
        let found = lines(csv(Force::Columns(vec!["N".into()])), &[None]).await;
        assert_eq!(found[1], b"\"1\",\n");
    }

    #[tokio::test]
    async fn binary_begins_with_a_signature_and_ends_with_a_mark() {
        let found = lines(Options::Binary, &[Some("x"), None]).await;
        let mut first = SIGNATURE.to_vec();
        first.extend([0, 2, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 1, b'x']);
        let second = vec![0, 2, 0, 0, 0, 4, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(found, [first, second, vec![0xff, 0xff]]);
        let mut empty = SIGNATURE.to_vec();
        empty.extend([0xff, 0xff]);
        assert_eq!(lines(Options::Binary, &[]).await, [empty]);
    }
}
