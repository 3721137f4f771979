//! What a data folder keeps, in `fjall` keyspaces.
//!
//! Row keys are the table's number (u16) and the row's number (u64), both
//! big-endian, so that a scan sees rows in the order of their creation.
//!
//! | keyspace | key | value |
//! |---|---|---|
//! | `meta` | `format`, `names`, `entity/<code>` | format version, [`Numbering`] as JSON, logical name |
//! | `chunks` | first row | rows (u32), checksum (u32) and file name of a bulk-loaded chunk |
//! | `rows` | row | all cells that are not null; takes precedence over a chunk file's row |
//! | `changes` | row | the columns a job's life changes, as they are now |
//! | `deleted` | row of a chunk file | nothing |
//!
//! One commit is one atomic, synced batch over all of them.

use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode};

use super::chunk_file::ChunkFile;
use super::numbering::Numbering;
use crate::catalog::{self, Catalog};
use crate::error::{Error, Result};

/// Version of everything described here; another one is refused.
const FORMAT: &[u8] = b"2";

/// A row: table number and row number.
pub type RowKey = (u16, u64);

/// A bulk-loaded chunk.
pub struct ChunkEntry {
    pub first: RowKey,
    pub file: ChunkFile,
}

pub struct Journal {
    database: Database,
    meta: Keyspace,
    chunks: Keyspace,
    rows: Keyspace,
    changes: Keyspace,
    deleted: Keyspace,
    /// How many of the process's derived entity names are written down.
    entities: usize,
}

/// A commit in the making.
pub struct Batch<'a> {
    journal: &'a mut Journal,
    batch: OwnedWriteBatch,
}

fn failed(what: &str) -> impl FnOnce(fjall::Error) -> Error + '_ {
    move |e| Error::data(format!("the journal cannot {what}: {e}")).caused_by(e)
}

fn key((table, row): RowKey) -> [u8; 10] {
    let mut bytes = [0; 10];
    bytes[..2].copy_from_slice(&table.to_be_bytes());
    bytes[2..].copy_from_slice(&row.to_be_bytes());
    bytes
}

fn parse_key(bytes: &[u8]) -> Result<RowKey> {
    let bytes: [u8; 10] =
        bytes.try_into().map_err(|_| Error::data("a key in the journal has a wrong length"))?;
    let [t0, t1, row @ ..] = bytes;
    Ok((u16::from_be_bytes([t0, t1]), u64::from_be_bytes(row)))
}

impl Journal {
    /// Opens or creates the journal and reads the folder's numbering.
    pub fn open(path: &Path, catalog: &Catalog) -> Result<(Self, Numbering)> {
        let database = Database::builder(path).open().map_err(failed("be opened"))?;
        let space = |name: &str| {
            database.keyspace(name, KeyspaceCreateOptions::default).map_err(failed("be opened"))
        };
        let meta = space("meta")?;
        let (chunks, rows) = (space("chunks")?, space("rows")?);
        let (changes, deleted) = (space("changes")?, space("deleted")?);
        match meta.get("format").map_err(failed("be read"))? {
            Some(format) if *format == *FORMAT => {}
            Some(format) => {
                return Err(Error::data(format!(
                    "the data folder has format {}, this sysjob reads format {}",
                    String::from_utf8_lossy(&format),
                    String::from_utf8_lossy(FORMAT),
                )));
            }
            None => meta.insert("format", FORMAT).map_err(failed("be written"))?,
        }
        for entry in meta.prefix("entity/") {
            let (key, name) = entry.into_inner().map_err(failed("be read"))?;
            let code = std::str::from_utf8(&key[7..]).ok().and_then(|c| c.parse().ok());
            let name = std::str::from_utf8(&name).ok();
            match (code, name) {
                (Some(code), Some(name)) if catalog::register_entity_name(name, code) => {}
                (Some(code), Some(name)) => {
                    let other = catalog::entity_name(code).unwrap_or_default();
                    return Err(Error::data(format!(
                        "the data folder knows the object type code {code} as '{name}', the catalog as '{other}'"
                    )));
                }
                _ => return Err(Error::data("an entity name in the journal is unreadable")),
            }
        }
        let numbering = match meta.get("names").map_err(failed("be read"))? {
            Some(text) => Numbering::from_json(&text, catalog)?,
            None => Numbering::of(catalog),
        };
        meta.insert("names", numbering.to_json()).map_err(failed("be written"))?;
        database.persist(PersistMode::SyncAll).map_err(failed("be written"))?;
        let journal = Self { database, meta, chunks, rows, changes, deleted, entities: 0 };
        Ok((journal, numbering))
    }

    pub fn batch(&mut self) -> Batch<'_> {
        let batch = self.database.batch().durability(Some(PersistMode::SyncData));
        Batch { journal: self, batch }
    }

    /// All bulk-loaded chunks, by table and first row.
    pub fn chunk_entries(&self) -> Result<Vec<ChunkEntry>> {
        self.chunks
            .iter()
            .map(|entry| {
                let (key, value) = entry.into_inner().map_err(failed("be read"))?;
                let short = || Error::data("a chunk entry in the journal is too short");
                let (rows, rest) = value.split_first_chunk().ok_or_else(short)?;
                let (checksum, name) = rest.split_first_chunk().ok_or_else(short)?;
                let name = String::from_utf8(name.to_vec())
                    .map_err(|e| Error::data("a chunk's file name is not UTF-8").caused_by(e))?;
                let (rows, checksum) = (u32::from_be_bytes(*rows), u32::from_be_bytes(*checksum));
                let file = ChunkFile { name, rows, checksum };
                Ok(ChunkEntry { first: parse_key(&key)?, file })
            })
            .collect()
    }

    /// All rows kept one by one, in the order of their keys.
    pub fn for_each_row(&self, see: impl FnMut(RowKey, &[u8]) -> Result<()>) -> Result<()> {
        for_each(&self.rows, see)
    }

    /// The changed columns of all rows that were changed since they came.
    pub fn for_each_change(&self, see: impl FnMut(RowKey, &[u8]) -> Result<()>) -> Result<()> {
        for_each(&self.changes, see)
    }

    /// The deleted rows of chunk files.
    pub fn for_each_deleted(&self, mut see: impl FnMut(RowKey) -> Result<()>) -> Result<()> {
        for_each(&self.deleted, |key, _| see(key))
    }
}

fn for_each(space: &Keyspace, mut see: impl FnMut(RowKey, &[u8]) -> Result<()>) -> Result<()> {
    for entry in space.iter() {
        let (key, value) = entry.into_inner().map_err(failed("be read"))?;
        see(parse_key(&key)?, &value)?;
    }
    Ok(())
}

impl Batch<'_> {
    pub fn put_chunk(&mut self, entry: &ChunkEntry) {
        let mut value = entry.file.rows.to_be_bytes().to_vec();
        value.extend_from_slice(&entry.file.checksum.to_be_bytes());
        value.extend_from_slice(entry.file.name.as_bytes());
        self.batch.insert(&self.journal.chunks, key(entry.first), value);
    }

    /// The whole row; earlier changes of it are part of it now.
    pub fn put_row(&mut self, row: RowKey, cells: Vec<u8>, existed: bool) {
        self.batch.insert(&self.journal.rows, key(row), cells);
        if existed {
            self.batch.remove(&self.journal.changes, key(row));
        }
    }

    pub fn put_change(&mut self, row: RowKey, cells: Vec<u8>) {
        self.batch.insert(&self.journal.changes, key(row), cells);
    }

    /// `in_file`: the row stands in a chunk file, which cannot forget it.
    pub fn delete_row(&mut self, row: RowKey, in_file: bool) {
        self.batch.remove(&self.journal.rows, key(row));
        self.batch.remove(&self.journal.changes, key(row));
        if in_file {
            self.batch.insert(&self.journal.deleted, key(row), []);
        }
    }

    /// Makes everything durable or nothing.
    pub fn commit(mut self) -> Result<()> {
        let new = catalog::derived_entity_names(self.journal.entities);
        for (code, name) in &new {
            self.batch.insert(&self.journal.meta, format!("entity/{code}"), name.as_str());
        }
        self.batch.commit().map_err(failed("be written"))?;
        self.journal.entities += new.len();
        Ok(())
    }
}
