//! Answers for the command line: batches of any schema as a table, text or a
//! file. Values look as on every surface (GUIDs and table names as text, UTC
//! times), with times to the microsecond.

use std::io::Write;

use clap::ValueEnum;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;

use super::columnar::{ArrowFile, ParquetFile};
use super::text::{Csv, JsonRows, TextTable};
use crate::error::{Error, Result};

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Aligned columns with a frame
    Table,
    /// Comma-separated values with a header line
    Csv,
    /// One JSON array of objects
    Json,
    /// One JSON object a line
    Jsonl,
    /// An Apache Parquet file
    Parquet,
    /// An Arrow IPC file
    Arrow,
}

impl Format {
    /// The word that names the format on the command line and over HTTP.
    pub fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Jsonl => "jsonl",
            Self::Parquet => "parquet",
            Self::Arrow => "arrow",
        }
    }
}

/// Writes batches in one format; [`RowWriter::finish`] completes the output.
pub struct RowWriter<W: Write + Send> {
    kind: Kind<W>,
    rows: u64,
}

enum Kind<W: Write + Send> {
    Table(TextTable<W>),
    Csv(Csv<W>),
    Json(JsonRows<W>),
    Parquet(ParquetFile<W>),
    Arrow(ArrowFile<W>),
}

impl<W: Write + Send> RowWriter<W> {
    pub fn new(format: Format, schema: &SchemaRef, out: W) -> Result<Self> {
        let kind = match format {
            Format::Table => Kind::Table(TextTable::new(schema, out)),
            Format::Csv => Kind::Csv(Csv::new(schema, out)?),
            Format::Json => Kind::Json(JsonRows::new(schema, true, out)),
            Format::Jsonl => Kind::Json(JsonRows::new(schema, false, out)),
            Format::Parquet => Kind::Parquet(ParquetFile::new(schema, out)?),
            Format::Arrow => Kind::Arrow(ArrowFile::new(schema, out)?),
        };
        Ok(Self { kind, rows: 0 })
    }

    /// Rows written so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        match &mut self.kind {
            Kind::Table(w) => w.write(batch),
            Kind::Csv(w) => w.write(batch),
            Kind::Json(w) => w.write(batch),
            Kind::Parquet(w) => w.write(batch),
            Kind::Arrow(w) => w.write(batch),
        }
    }

    /// Ends the output, flushes it and gives it back.
    pub fn finish(self) -> Result<W> {
        let mut out = match self.kind {
            Kind::Table(w) => w.finish()?,
            Kind::Csv(w) => w.finish()?,
            Kind::Json(w) => w.finish()?,
            Kind::Parquet(w) => w.finish()?,
            Kind::Arrow(w) => w.finish()?,
        };
        out.flush().map_err(failed)?;
        Ok(out)
    }
}

/// The error of an output that does not take its bytes. Its source keeps the
/// `io::ErrorKind`: a closed pipe ends a command without complaint.
pub(super) fn failed(e: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::data("the answer could not be written").caused_by(e)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{
        Array, AsArray, FixedSizeBinaryArray, Int32Array, Int64Array, StringViewArray,
        TimestampMicrosecondArray,
    };
    use datafusion::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
    use datafusion::arrow::ipc::reader::FileReader;
    use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;
    use crate::catalog::COLUMN_KIND;

    fn sample() -> RecordBatch {
        let time = DataType::Timestamp(TimeUnit::Microsecond, None);
        let fields = vec![
            Field::new("id", DataType::FixedSizeBinary(16), false),
            Field::new("owneridtype", DataType::Int32, true)
                .with_metadata([(COLUMN_KIND.to_owned(), "entityname".to_owned())].into()),
            Field::new("name", DataType::Utf8View, true),
            Field::new("n", DataType::Int64, false),
            Field::new("createdon", time, true),
        ];
        let id = FixedSizeBinaryArray::try_from_iter([[0x11; 16], [0x22; 16]].iter());
        RecordBatch::try_new(
            Arc::new(Schema::new(fields)),
            vec![
                Arc::new(id.expect("16 bytes")),
                Arc::new(Int32Array::from(vec![Some(8), None])),
                Arc::new(StringViewArray::from(vec![Some("a, \"b\""), None])),
                Arc::new(Int64Array::from(vec![7, 1234])),
                Arc::new(TimestampMicrosecondArray::from(vec![Some(1_304_290_833_230_954), None])),
            ],
        )
        .expect("columns fit the schema")
    }

    fn write(format: Format, batches: &[RecordBatch]) -> Vec<u8> {
        let mut writer = RowWriter::new(format, &sample().schema(), Vec::new()).expect("schema");
        for batch in batches {
            writer.write(batch).expect("memory");
        }
        writer.finish().expect("memory")
    }

    fn text(format: Format, batches: &[RecordBatch]) -> String {
        String::from_utf8(write(format, batches)).expect("text")
    }

    #[test]
    fn csv_quotes_where_needed_and_leaves_nulls_empty() {
        assert_eq!(
            text(Format::Csv, &[sample()]),
            concat!(
                "id,owneridtype,name,n,createdon\n",
                "11111111-1111-1111-1111-111111111111,systemuser,\"a, \"\"b\"\"\",7,",
                "2011-05-01T23:00:33.230954Z\n",
                "22222222-2222-2222-2222-222222222222,,,1234,\n"
            )
        );
        assert_eq!(text(Format::Csv, &[]), "id,owneridtype,name,n,createdon\n");
    }

    #[test]
    fn json_comes_as_an_array_or_as_lines() {
        let first = concat!(
            r#"{"id":"11111111-1111-1111-1111-111111111111","owneridtype":"systemuser","#,
            r#""name":"a, \"b\"","n":7,"createdon":"2011-05-01T23:00:33.230954Z"}"#
        );
        let second = concat!(
            r#"{"id":"22222222-2222-2222-2222-222222222222","owneridtype":null,"#,
            r#""name":null,"n":1234,"createdon":null}"#
        );
        assert_eq!(text(Format::Jsonl, &[sample()]), format!("{first}\n{second}\n"));
        let halves = [sample().slice(0, 1), sample().slice(1, 1)];
        assert_eq!(text(Format::Json, &halves), format!("[{first},\n{second}]\n"));
        assert_eq!(text(Format::Json, &[]), "[]\n");
    }

    #[test]
    fn tables_align_numbers_to_the_right() {
        let table = text(Format::Table, &[sample()]);
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[0].contains("owneridtype"), "{table}");
        assert!(lines[2].contains(" systemuser  | a, \"b\" |    7 | 2011-05-01"), "{table}");
        assert!(lines[3].contains("             |        | 1234 |"), "{table}");
        assert_eq!(lines.len(), 4, "{table}");
        assert!(table.lines().all(|l| l == l.trim_end()), "no blanks at line ends");
    }

    #[test]
    fn files_hold_text_ids_and_zoned_times() {
        let parquet = write(Format::Parquet, &[sample()]);
        let reader = ParquetRecordBatchReaderBuilder::try_new(axum::body::Bytes::from(parquet))
            .and_then(|b| b.build());
        let arrow = std::io::Cursor::new(write(Format::Arrow, &[sample()]));
        let from_parquet = reader.expect("a Parquet file").next();
        let from_arrow = FileReader::try_new(arrow, None).expect("an Arrow file").next();
        for batch in [from_parquet, from_arrow] {
            let batch = batch.expect("one batch").expect("readable");
            let id = batch.column(0).as_string::<i32>();
            assert_eq!(id.value(1), "22222222-2222-2222-2222-222222222222");
            let owner = batch.column(1).as_string::<i32>();
            assert!(owner.value(0) == "systemuser" && owner.is_null(1));
            let zone = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
            assert_eq!(batch.column(4).data_type(), &zone);
            assert_eq!(batch.num_rows(), 2);
        }
    }
}
