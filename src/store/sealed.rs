//! The columns of a sealed chunk: they stand in a Parquet file, and come into
//! memory when somebody reads them.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use datafusion::arrow::array::ArrayRef;
use datafusion::parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parking_lot::RwLock;

use super::chunk_file::{ChunkFile, ChunkFiles};
use super::column;
use super::encoded::Encoded;
use super::memory::Memory;
use super::statistics::ColumnStatistics;
use super::summary::{Part, Summary};
use crate::catalog::Table;
use crate::error::{Error, Result};
use crate::value::Guid;

/// A sealed chunk's file, and what of it is in memory.
pub struct Sealed {
    file: ChunkFile,
    files: Arc<ChunkFiles>,
    memory: Arc<Memory>,
    table: Arc<Table>,
    footer: Part,
    metadata: OnceLock<ArrowReaderMetadata>,
    /// By column of the table; nothing where all cells are null.
    columns: Vec<Option<InFile>>,
    /// The rows in the order of their primary keys; made at the first look-up.
    by_key: OnceLock<Box<[u32]>>,
    /// Whether the file goes with the last who holds this.
    obsolete: AtomicBool,
}

/// A column of a file.
struct InFile {
    /// Its place among the columns of the file.
    leaf: usize,
    part: Part,
    statistics: ColumnStatistics,
    /// In memory, or not now.
    encoded: RwLock<Option<Arc<Encoded>>>,
    /// Read since the clock came by.
    read: AtomicBool,
}

impl Sealed {
    /// A file of which nothing is in memory yet.
    pub fn new(
        file: ChunkFile,
        summary: &Summary,
        table: Arc<Table>,
        files: Arc<ChunkFiles>,
        memory: Arc<Memory>,
    ) -> Self {
        let mut columns: Vec<Option<InFile>> = (0..table.columns.len()).map(|_| None).collect();
        for (leaf, column) in summary.columns.iter().enumerate() {
            // The catalog may no longer have it.
            let Some(index) = table.column_index(&column.name) else { continue };
            columns[index] = Some(InFile {
                leaf,
                part: column.part,
                statistics: column.statistics.clone(),
                encoded: RwLock::new(None),
                read: AtomicBool::new(false),
            });
        }
        let (footer, metadata) = (summary.footer, OnceLock::new());
        let obsolete = AtomicBool::new(false);
        let by_key = OnceLock::new();
        Self { file, files, memory, table, footer, metadata, columns, by_key, obsolete }
    }

    /// The journal does not name the file, or not any more: it is removed when the last
    /// snapshot that reads it is gone.
    pub fn abandon(&self) {
        self.obsolete.store(true, Ordering::Relaxed);
    }

    pub fn file(&self) -> &ChunkFile {
        &self.file
    }

    pub fn rows(&self) -> usize {
        self.file.rows as usize
    }

    /// Columns of the table.
    pub fn columns(&self) -> usize {
        self.columns.len()
    }

    /// Whether a column has cells that are not null.
    pub fn has(&self, index: usize) -> bool {
        self.columns[index].is_some()
    }

    pub fn statistics(&self) -> Vec<Option<ColumnStatistics>> {
        let of = |column: &Option<InFile>| match column {
            Some(column) => column.statistics.clone(),
            None => ColumnStatistics::all_null(self.rows()),
        };
        self.columns.iter().map(|column| Some(of(column))).collect()
    }

    pub fn is_loaded(&self, index: usize) -> bool {
        self.columns[index].as_ref().is_some_and(|column| column.encoded.read().is_some())
    }

    /// A column that the file has, read if it is not in memory.
    pub fn load(self: &Arc<Self>, index: usize) -> Result<Arc<Encoded>> {
        let column = self.columns[index].as_ref();
        let column = column.ok_or_else(|| Error::internal("a chunk's file lacks a column"))?;
        column.read.store(true, Ordering::Relaxed);
        if let Some(encoded) = &*column.encoded.read() {
            return Ok(encoded.clone());
        }
        let mut place = column.encoded.write();
        if let Some(encoded) = &*place {
            return Ok(encoded.clone());
        }
        let metadata = self.metadata()?;
        let array = self.files.column(
            &self.file.name,
            metadata,
            column.leaf,
            column.part,
            &self.table,
            index,
        )?;
        let encoded = Arc::new(Encoded::of(&array));
        *place = Some(encoded.clone());
        drop(place);
        self.memory.took(self, index, encoded.bytes());
        Ok(encoded)
    }

    /// The rows that have a primary key, or null with such bytes beneath. `keys` is the
    /// column of primary keys.
    pub fn rows_with(&self, keys: &ArrayRef, id: &Guid) -> impl Iterator<Item = usize> {
        let keys = column::key_bytes(keys);
        let rows = self.by_key.get_or_init(|| {
            let mut rows: Box<[u32]> = (0..self.file.rows).collect();
            rows.sort_unstable_by_key(|row| keys[*row as usize]);
            rows
        });
        let start = rows.partition_point(|row| keys[*row as usize] < *id);
        let same = rows[start..].iter().take_while(move |row| keys[**row as usize] == *id);
        same.map(|row| *row as usize)
    }

    fn metadata(&self) -> Result<&ArrowReaderMetadata> {
        if let Some(metadata) = self.metadata.get() {
            return Ok(metadata);
        }
        let read = self.files.metadata(&self.file.name, self.footer)?;
        Ok(self.metadata.get_or_init(|| read))
    }

    /// Gives a column up if nobody has read it since the last time; whether it is
    /// out of memory.
    pub fn unload(&self, index: usize) -> bool {
        let Some(column) = &self.columns[index] else { return true };
        if column.read.swap(false, Ordering::Relaxed) {
            return false;
        }
        // Somebody is reading it from the file this moment.
        let Some(mut place) = column.encoded.try_write() else { return false };
        if let Some(encoded) = place.take() {
            self.memory.gave(encoded.bytes());
        }
        true
    }
}

impl Drop for Sealed {
    fn drop(&mut self) {
        for column in self.columns.iter_mut().flatten() {
            if let Some(encoded) = column.encoded.get_mut() {
                self.memory.gave(encoded.bytes());
            }
        }
        if self.obsolete.load(Ordering::Relaxed)
            && let Err(e) = self.files.remove(&self.file.name)
        {
            // It only takes up room; the next start removes it.
            eprintln!("sysjob: {e}");
        }
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed").field("file", &self.file).finish_non_exhaustive()
    }
}
