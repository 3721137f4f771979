//! Bulk-loaded chunks on disk: one Parquet file each in the folder `chunks/`.
//!
//! A file is complete and synced before the journal names it; files the journal
//! does not name are left over from an import that was cut off and are removed.
//! The journal also keeps a checksum, because Parquet notices only some damage
//! and may answer other values for the rest.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, RecordBatch, RecordBatchReader, new_null_array};
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::Int32Type;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use datafusion::parquet::basic::Compression;
use datafusion::parquet::file::properties::WriterProperties;
use flate2::{CrcReader, CrcWriter};

use super::chunk::ROWS_MAX;
use crate::catalog::{ColumnKind, Table, former_entity_codes, is_entity_name};
use crate::error::{Error, Result};

/// A chunk file as the journal knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct ChunkFile {
    pub name: String,
    pub rows: u32,
    /// CRC-32 of all its bytes.
    pub checksum: u32,
}

/// The folder of chunk files.
pub struct ChunkFiles {
    folder: PathBuf,
}

fn failed<E>(what: &str, file: &str) -> impl FnOnce(E) -> Error
where
    E: std::error::Error + Send + Sync + 'static,
{
    let message = format!("the chunk file '{file}' cannot be {what}");
    move |e| Error::data(format!("{message}: {e}")).caused_by(e)
}

impl ChunkFiles {
    pub fn open(data_dir: &Path) -> Result<Self> {
        let folder = data_dir.join("chunks");
        fs::create_dir_all(&folder).map_err(failed("created", "chunks"))?;
        Ok(Self { folder })
    }

    /// Writes the columns of a batch that are stored and not all null; durable
    /// when it returns.
    pub fn write(&self, table: &Table, batch: &RecordBatch) -> Result<ChunkFile> {
        let name = format!("{}-{}.parquet", table.logical_name, uuid::Uuid::new_v4());
        let kept: Vec<usize> = (0..batch.num_columns())
            .filter(|i| is_kept(table, *i) && batch.column(*i).null_count() < batch.num_rows())
            .collect();
        let batch = batch.project(&kept).map_err(failed("written", &name))?;
        let file = File::create_new(self.folder.join(&name)).map_err(failed("created", &name))?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::LZ4_RAW)
            .set_max_row_group_row_count(Some(ROWS_MAX))
            .build();
        let mut writer =
            ArrowWriter::try_new(CrcWriter::new(file), batch.schema(), Some(properties))
                .map_err(failed("written", &name))?;
        writer.write(&batch).map_err(failed("written", &name))?;
        let file = writer.into_inner().map_err(failed("written", &name))?;
        let checksum = file.crc().sum();
        file.get_ref().sync_all().map_err(failed("synced", &name))?;
        File::open(&self.folder).and_then(|f| f.sync_all()).map_err(failed("synced", &name))?;
        Ok(ChunkFile { name, rows: batch.num_rows() as u32, checksum })
    }

    /// The rows of a file with all columns of the table.
    pub fn read(&self, table: &Table, file: &ChunkFile) -> Result<RecordBatch> {
        let ChunkFile { name, rows, checksum } = file;
        let file = File::open(self.folder.join(name)).map_err(failed("opened", name))?;
        let mut bytes = CrcReader::new(&file);
        io::copy(&mut bytes, &mut io::sink()).map_err(failed("read", name))?;
        if bytes.crc().sum() != *checksum {
            return Err(Error::data(format!(
                "the chunk file '{name}' is damaged: its checksum is not the one in the journal"
            )));
        }
        let reader = ParquetRecordBatchReaderBuilder::try_new(file)
            .map_err(failed("read", name))?
            .with_batch_size(ROWS_MAX)
            .build()
            .map_err(failed("read", name))?;
        let schema = reader.schema();
        let batches: Vec<_> = reader.collect::<Result<_, _>>().map_err(failed("read", name))?;
        let batch = concat_batches(&schema, &batches).map_err(failed("read", name))?;
        if batch.num_rows() != *rows as usize {
            return Err(Error::data(format!(
                "the chunk file '{name}' has {} rows, the journal says {rows}",
                batch.num_rows()
            )));
        }
        let former = former_entity_codes();
        let columns: Vec<ArrayRef> = table
            .schema()
            .fields()
            .iter()
            .map(|field| match batch.column_by_name(field.name()) {
                Some(array) if is_entity_name(field) => current_codes(array, &former),
                Some(array) => array.clone(),
                None => new_null_array(field.data_type(), batch.num_rows()),
            })
            .collect();
        RecordBatch::try_new(Arc::clone(table.schema()), columns).map_err(failed("read", name))
    }

    /// Removes files that are not among the named ones.
    pub fn remove_others(&self, named: &HashSet<String>) -> Result<()> {
        for entry in fs::read_dir(&self.folder).map_err(failed("listed", "chunks"))? {
            let entry = entry.map_err(failed("listed", "chunks"))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !named.contains(&name) {
                fs::remove_file(entry.path()).map_err(failed("removed", &name))?;
            }
        }
        Ok(())
    }
}

/// Object type codes as the catalog has them now: a table gets another one when a
/// catalog file gives it its own.
fn current_codes(codes: &ArrayRef, former: &HashMap<i32, i32>) -> ArrayRef {
    match codes.as_primitive_opt::<Int32Type>() {
        Some(numbers) if !former.is_empty() => {
            let now = |code| former.get(&code).copied().unwrap_or(code);
            Arc::new(numbers.unary::<_, Int32Type>(now))
        }
        _ => codes.clone(),
    }
}

/// Labels and table names are derived; lookup names may have come with the row.
fn is_kept(table: &Table, column: usize) -> bool {
    matches!(table.columns[column].kind, ColumnKind::Stored | ColumnKind::LookupName(_))
}
