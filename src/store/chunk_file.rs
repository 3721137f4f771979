//! Sealed chunks on disk: a Parquet file each in the folder `chunks/`, and beside
//! it a summary ([`Summary`]).
//!
//! Files are complete and synced before the journal names them; files the journal
//! does not name are left over from work that was cut off and are removed. Whatever
//! is read is checked against a checksum, because Parquet notices only some damage.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::compute::concat;
use datafusion::arrow::datatypes::Int32Type;
use datafusion::object_store::local::LocalFileSystem;
use datafusion::object_store::path::Path as ObjectPath;
use datafusion::object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use datafusion::parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use datafusion::parquet::arrow::{ArrowWriter, ProjectionMask};
use datafusion::parquet::basic::Compression;
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use datafusion::parquet::file::properties::{EnabledStatistics, WriterProperties};
use datafusion::parquet::file::reader::{ChunkReader, Length};
use flate2::Crc;

use super::chunk::{Chunk, ROWS_MAX};
use super::column::{self, Column};
use super::counts::Counts;
use super::filter;
use super::statistics::ColumnStatistics;
use super::summary::{Part, Summary, SummaryColumn};
use super::wait::wait;
use crate::catalog::{ColumnKind, Table, former_entity_codes, is_entity_name};
use crate::error::{Error, Result};

/// Chunks with at least so many rows have a filter of their keys; the keys of
/// others are kept in memory.
const FILTERED_ROWS_MIN: usize = 8 * 1024;

/// Bytes at the end of a Parquet file: the length of the metadata, and a mark.
const TAIL: usize = 8;

/// A chunk file as the journal knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct ChunkFile {
    pub name: String,
    pub rows: u32,
    /// CRC-32 of all its bytes.
    pub checksum: u32,
    /// CRC-32 of its summary.
    pub summary: u32,
}

/// The folder of chunk files.
pub struct ChunkFiles {
    folder: PathBuf,
    objects: Box<dyn ObjectStore>,
}

fn failed<E>(what: &str, file: &str) -> impl FnOnce(E) -> Error
where
    E: std::error::Error + Send + Sync + 'static,
{
    let message = format!("the chunk file '{file}' cannot be {what}");
    move |e| Error::data(format!("{message}: {e}")).caused_by(e)
}

fn damaged(file: &str, what: &str) -> Error {
    Error::data(format!("the chunk file '{file}' is damaged: {what}"))
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// Whether chunks with so many rows have a filter of their keys.
pub fn has_filter(rows: usize) -> bool {
    rows >= FILTERED_ROWS_MIN
}

/// The summary's file.
pub fn summary_name(file: &str) -> String {
    format!("{}.summary", file.trim_end_matches(".parquet"))
}

impl ChunkFiles {
    pub fn open(data_dir: &Path) -> Result<Self> {
        let folder = data_dir.join("chunks");
        fs::create_dir_all(&folder).map_err(failed("created", "chunks"))?;
        let objects =
            LocalFileSystem::new_with_prefix(&folder).map_err(failed("opened", "chunks"))?;
        Ok(Self { folder, objects: Box::new(objects) })
    }

    /// Writes the columns that are stored and not all null; durable when it returns.
    pub fn write(
        &self,
        table: &Table,
        columns: &[Column],
        rows: usize,
    ) -> Result<(ChunkFile, Summary)> {
        let name = format!("{}-{}.parquet", table.logical_name, uuid::Uuid::new_v4());
        let kept = (0..columns.len()).filter(|index| is_kept(table, *index));
        let kept = kept.filter_map(|index| Some((index, columns[index].clone()?)));
        let kept: Vec<(usize, ArrayRef)> = kept.filter(|(_, a)| a.null_count() < a.len()).collect();
        let fields: Vec<usize> = kept.iter().map(|(index, _)| *index).collect();
        let schema = table.schema().project(&fields).map_err(failed("written", &name))?;
        let arrays = kept.into_iter().map(|(_, array)| array).collect();
        let batch = RecordBatch::try_new(Arc::new(schema), arrays);
        let batch = batch.map_err(failed("written", &name))?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::LZ4_RAW)
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_max_row_group_row_count(None)
            .build();
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties))
            .map_err(failed("written", &name))?;
        writer.write(&batch).map_err(failed("written", &name))?;
        let metadata = writer.close().map_err(failed("written", &name))?;
        let summary = summary(table, columns, rows, &metadata, &bytes, &name)?;
        let summary_bytes = summary.to_bytes();
        let file = ChunkFile {
            rows: u32::try_from(rows).map_err(failed("written", &name))?,
            checksum: checksum(&bytes),
            summary: checksum(&summary_bytes),
            name,
        };
        self.put(&file.name, bytes)?;
        self.put(&summary_name(&file.name), summary_bytes)?;
        self.sync_folder(&file.name)?;
        Ok((file, summary))
    }

    fn put(&self, name: &str, bytes: Vec<u8>) -> Result<()> {
        let payload = PutPayload::from(bytes);
        wait(self.objects.put(&ObjectPath::from(name), payload))
            .map_err(failed("written", name))?;
        // A local object store leaves the disk's cache to its user.
        let path = self.folder.join(name);
        File::open(path).and_then(|f| f.sync_all()).map_err(failed("synced", name))
    }

    /// A whole file.
    fn get(&self, name: &str) -> Result<Bytes> {
        let bytes = async { self.objects.get(&ObjectPath::from(name)).await?.bytes().await };
        wait(bytes).map_err(failed("read", name))
    }

    fn part(&self, name: &str, part: Part) -> Result<Bytes> {
        let range = part.offset..part.offset + u64::from(part.length);
        let bytes = wait(self.objects.get_range(&ObjectPath::from(name), range));
        let bytes = bytes.map_err(failed("read", name))?;
        if bytes.len() != part.length as usize || checksum(&bytes) != part.checksum {
            return Err(damaged(name, &format!("the bytes from {} on have changed", part.offset)));
        }
        Ok(bytes)
    }

    /// What is known of a chunk. A damaged summary is made anew from the chunk.
    pub fn summary(&self, table: &Table, file: &ChunkFile) -> Result<Summary> {
        let name = summary_name(&file.name);
        let kept = self.sound(&name, file).and_then(|bytes| Summary::from_bytes(&bytes));
        kept.or_else(|error| {
            let summary = self.remade(table, file)?;
            eprintln!("sysjob: {error}; it is made anew");
            self.put(&name, summary.to_bytes())?;
            Ok(summary)
        })
    }

    /// The bytes of a chunk's file or of its summary, if they are as they were written.
    pub fn sound(&self, name: &str, file: &ChunkFile) -> Result<Bytes> {
        let bytes = self.get(name)?;
        let wanted = if name == file.name { file.checksum } else { file.summary };
        match checksum(&bytes) == wanted {
            true => Ok(bytes),
            false => Err(damaged(name, "its checksum is not the one in the journal")),
        }
    }

    /// Writes a file that is not there yet; durable when it returns.
    pub fn put_new(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let plain = Path::new(name).file_name().is_some_and(|file| file == name);
        if !plain || self.folder.join(name).exists() {
            return Err(Error::data(format!("'{name}' cannot be the name of a chunk file")));
        }
        self.put(name, bytes.to_vec())?;
        self.sync_folder(name)
    }

    fn sync_folder(&self, name: &str) -> Result<()> {
        File::open(&self.folder).and_then(|f| f.sync_all()).map_err(failed("synced", name))
    }

    /// Reads everything of a chunk and says whether it is as it was written. Without a
    /// table only the bytes are looked at.
    pub fn verify(&self, table: Option<&Table>, file: &ChunkFile) -> Result<()> {
        let name = summary_name(&file.name);
        let bytes = self.sound(&name, file)?;
        let Some(table) = table else {
            return self.sound(&file.name, file).map(drop);
        };
        let (kept, made) = (Summary::from_bytes(&bytes)?, self.remade(table, file)?);
        let columns = |summary: &Summary| -> Vec<(String, Part)> {
            summary.columns.iter().map(|column| (column.name.clone(), column.part)).collect()
        };
        let same = (kept.footer, columns(&kept)) == (made.footer, columns(&made))
            && kept.filter == made.filter;
        match same {
            true => Ok(()),
            false => Err(damaged(&name, "it does not say what the chunk holds")),
        }
    }

    /// Whether a file is there and has the length that its summary says.
    pub fn expect(&self, file: &ChunkFile, summary: &Summary) -> Result<()> {
        let name = &file.name;
        let found = wait(self.objects.head(&ObjectPath::from(name.as_str())));
        let found = found.map_err(failed("opened", name))?.size;
        let length = summary.footer.offset + u64::from(summary.footer.length) + TAIL as u64;
        match found == length {
            true => Ok(()),
            false => Err(damaged(name, &format!("it has {found} bytes instead of {length}"))),
        }
    }

    /// The summary that a whole file asks for.
    pub fn remade(&self, table: &Table, file: &ChunkFile) -> Result<Summary> {
        let bytes = self.sound(&file.name, file)?;
        let footer = footer(&bytes).ok_or_else(|| damaged(&file.name, "it is too short"))?;
        let metadata = decode(&bytes[footer.offset as usize..bytes.len() - TAIL], &file.name)?;
        let reader = metadata.metadata().clone();
        let mut columns: Vec<Column> = vec![None; table.columns.len()];
        for (leaf, column) in reader.row_group(0).columns().iter().enumerate() {
            let (offset, length) = column.byte_range();
            let range = offset as usize..(offset + length) as usize;
            let Some(index) = table.column_index(column.column_path().string().as_str()) else {
                continue;
            };
            let part = Slice { offset, bytes: bytes.slice(range) };
            columns[index] = Some(array(part, &metadata, leaf, table, index, &file.name)?);
        }
        summary(table, &columns, file.rows as usize, &reader, &bytes, &file.name)
    }

    /// Parquet's metadata of a file.
    pub fn metadata(&self, name: &str, footer: Part) -> Result<ArrowReaderMetadata> {
        decode(&self.part(name, footer)?, name)
    }

    /// A column of a file in the type that the table has.
    pub fn column(
        &self,
        name: &str,
        metadata: &ArrowReaderMetadata,
        leaf: usize,
        part: Part,
        table: &Table,
        index: usize,
    ) -> Result<ArrayRef> {
        let slice = Slice { offset: part.offset, bytes: self.part(name, part)? };
        array(slice, metadata, leaf, table, index, name)
    }

    /// Removes a chunk that the journal does not name.
    pub fn remove(&self, name: &str) -> Result<()> {
        for name in [name, &summary_name(name)] {
            wait(self.objects.delete(&ObjectPath::from(name))).map_err(failed("removed", name))?;
        }
        Ok(())
    }

    /// Removes files that are not among the named ones.
    pub fn remove_others(&self, named: &HashSet<String>) -> Result<()> {
        let kept: HashSet<String> =
            named.iter().flat_map(|name| [name.clone(), summary_name(name)]).collect();
        for entry in fs::read_dir(&self.folder).map_err(failed("listed", "chunks"))? {
            let entry = entry.map_err(failed("listed", "chunks"))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !kept.contains(&name) {
                fs::remove_file(entry.path()).map_err(failed("removed", &name))?;
            }
        }
        Ok(())
    }
}

/// Where Parquet's metadata stands in a file.
fn footer(bytes: &[u8]) -> Option<Part> {
    let tail = bytes.len().checked_sub(TAIL)?;
    let length = u32::from_le_bytes(bytes[tail..tail + 4].try_into().ok()?);
    let offset = tail.checked_sub(length as usize)?;
    let checksum = checksum(&bytes[offset..tail]);
    Some(Part { offset: offset as u64, length, checksum })
}

fn decode(footer: &[u8], name: &str) -> Result<ArrowReaderMetadata> {
    let metadata = ParquetMetaDataReader::decode_metadata(footer).map_err(failed("read", name))?;
    ArrowReaderMetadata::try_new(Arc::new(metadata), ArrowReaderOptions::new())
        .map_err(failed("read", name))
}

/// What is to be known of a chunk whose bytes these are.
fn summary(
    table: &Table,
    columns: &[Column],
    rows: usize,
    metadata: &ParquetMetaData,
    bytes: &[u8],
    name: &str,
) -> Result<Summary> {
    let footer = footer(bytes).ok_or_else(|| damaged(name, "it is too short"))?;
    let group = metadata.row_groups();
    let [group] = group else { return Err(damaged(name, "it has not one group of rows")) };
    let parts = group.columns().iter().map(|column| {
        let (offset, length) = column.byte_range();
        let part = &bytes[offset as usize..(offset + length) as usize];
        let checksum = checksum(part);
        let part = Part { offset, length: part.len() as u32, checksum };
        let name = column.column_path().string();
        let statistics = match table.column_index(&name) {
            // Object type codes belong to a process.
            Some(index) if !is_entity_name(table.schema().field(index)) => {
                columns[index].as_ref().map(ColumnStatistics::of)
            }
            _ => None,
        };
        SummaryColumn { name, part, statistics: statistics.unwrap_or_default() }
    });
    let parts = parts.collect();
    let key = columns[table.primary_id_index()].as_ref();
    let filter =
        key.filter(|_| has_filter(rows)).map(|ids| filter::filter(column::guids(ids).flatten()));
    let chunk = Chunk::from_columns(rows, columns.to_vec());
    let counts = Counts::groups_of(table, &chunk)?;
    Ok(Summary { footer, columns: parts, counts, filter })
}

/// Part of a file, at the place it has there.
struct Slice {
    offset: u64,
    bytes: Bytes,
}

impl Length for Slice {
    fn len(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }
}

impl ChunkReader for Slice {
    type T = std::io::Cursor<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        let length = self.len().saturating_sub(start);
        Ok(std::io::Cursor::new(self.get_bytes(start, length as usize)?))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let from = start.checked_sub(self.offset).and_then(|from| usize::try_from(from).ok());
        match from {
            Some(from) if from + length <= self.bytes.len() => {
                Ok(self.bytes.slice(from..from + length))
            }
            _ => Err(ParquetError::EOF(format!("{length} bytes from {start} on are not at hand"))),
        }
    }
}

fn array(
    slice: Slice,
    metadata: &ArrowReaderMetadata,
    leaf: usize,
    table: &Table,
    index: usize,
    name: &str,
) -> Result<ArrayRef> {
    let mask = ProjectionMask::leaves(metadata.parquet_schema(), [leaf]);
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(slice, metadata.clone())
        .with_projection(mask)
        .with_batch_size(ROWS_MAX)
        .build()
        .map_err(failed("read", name))?;
    let batches: Vec<RecordBatch> =
        reader.collect::<Result<_, _>>().map_err(failed("read", name))?;
    let parts: Vec<&dyn Array> = batches.iter().map(|batch| batch.column(0).as_ref()).collect();
    let array = match batches.as_slice() {
        [batch] => batch.column(0).clone(),
        _ => concat(&parts).map_err(failed("read", name))?,
    };
    let field = table.schema().field(index);
    if array.data_type() != field.data_type() {
        return Err(Error::data(format!(
            "the chunk file '{name}' was written when the column '{}' had another type than the catalog says now",
            field.name()
        )));
    }
    match is_entity_name(field) {
        true => Ok(current_codes(&array, &former_entity_codes())),
        false => Ok(array),
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
