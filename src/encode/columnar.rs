//! Rows as Arrow IPC and Parquet files. Columns get their outside form first,
//! so that any reader shows ids and table names as people know them and times
//! with their zone.

use std::io::Write;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, StringBuilder};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::arrow::ipc::writer::FileWriter;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::Compression;
use datafusion::parquet::file::properties::WriterProperties;

use super::cells::{Cells, Precision};
use super::rows::failed;
use crate::catalog::{is_entity_name, is_guid};
use crate::error::Result;

/// The outside form of a schema: GUIDs, table names and text as `Utf8` (which
/// older readers know, unlike views), times in UTC.
struct Outside {
    inside: SchemaRef,
    schema: SchemaRef,
}

impl Outside {
    fn new(inside: &SchemaRef) -> Self {
        let fields = inside.fields().iter().map(|field| {
            let data_type = match field.data_type() {
                _ if is_guid(field) || is_entity_name(field) => DataType::Utf8,
                DataType::Utf8View => DataType::Utf8,
                DataType::Timestamp(TimeUnit::Microsecond, None) => {
                    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
                }
                other => other.clone(),
            };
            Field::new(field.name(), data_type, field.is_nullable())
        });
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        Self { inside: inside.clone(), schema }
    }

    fn batch(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let fields = self.inside.fields().iter().zip(self.schema.fields());
        let columns = fields.zip(batch.columns()).map(|((from, to), array)| {
            if is_guid(from) || is_entity_name(from) {
                as_text(array, is_entity_name(from))
            } else {
                cast(array, to.data_type()).map_err(failed)
            }
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        RecordBatch::try_new(self.schema.clone(), columns).map_err(failed)
    }
}

fn as_text(array: &ArrayRef, entity_name: bool) -> Result<ArrayRef> {
    let cells = Cells::new(array, entity_name, Precision::Micros)?;
    let mut builder = StringBuilder::new();
    let mut text = Vec::new();
    for row in 0..array.len() {
        text.clear();
        cells.text(row, &mut text);
        builder.append_option((!cells.is_null(row)).then(|| String::from_utf8_lossy(&text)));
    }
    Ok(Arc::new(builder.finish()))
}

/// An Arrow IPC file.
pub struct ArrowFile<W: Write> {
    outside: Outside,
    writer: FileWriter<W>,
}

impl<W: Write> ArrowFile<W> {
    pub fn new(schema: &SchemaRef, out: W) -> Result<Self> {
        let outside = Outside::new(schema);
        let writer = FileWriter::try_new(out, &outside.schema).map_err(failed)?;
        Ok(Self { outside, writer })
    }

    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer.write(&self.outside.batch(batch)?).map_err(failed)
    }

    pub fn finish(self) -> Result<W> {
        self.writer.into_inner().map_err(failed)
    }
}

/// A Parquet file.
pub struct ParquetFile<W: Write + Send> {
    outside: Outside,
    writer: ArrowWriter<W>,
}

impl<W: Write + Send> ParquetFile<W> {
    pub fn new(schema: &SchemaRef, out: W) -> Result<Self> {
        let outside = Outside::new(schema);
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let writer = ArrowWriter::try_new(out, outside.schema.clone(), Some(properties));
        Ok(Self { outside, writer: writer.map_err(failed)? })
    }

    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer.write(&self.outside.batch(batch)?).map_err(failed)
    }

    pub fn finish(self) -> Result<W> {
        self.writer.into_inner().map_err(failed)
    }
}
