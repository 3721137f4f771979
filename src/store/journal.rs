//! What a data folder keeps, in `fjall` keyspaces.
//!
//! Row keys are the table's number (u16) and the row's number (u64), both
//! big-endian, so that a scan sees rows in the order of their creation.
//!
//! | keyspace | key | value |
//! |---|---|---|
//! | `meta` | `format`, `names`, `entity/<code>` | format version, [`Numbering`] as JSON, logical name |
//! | `chunks` | first row | a sealed chunk: rows, checksums, file name, row numbers |
//! | `redo` | number of the entry (u64, big-endian) | what a group of commits does to rows that no chunk file has ([`Redo`]), packed with LZ4 |
//! | `rows` | row that no chunk file has | all cells that are not null, before what `redo` says of it |
//! | `sealed_rows` | row of a sealed chunk | all cells that are not null; takes precedence over the file's row |
//! | `sealed_changes` | row of a sealed chunk | the columns a job's life changes, as they are now |
//! | `deleted` | row of a sealed chunk | nothing |
//! | `counted` | row of a sealed chunk that one of the three before has | CRC-32 of the chunk's file (u32), cells that the file has of the row and that rows are counted by |
//!
//! One commit is one atomic, synced batch over all of them. Most rows are sealed before
//! anything of `redo` has to go: then its oldest entries say nothing any more. Rows that
//! stay open for long are copied to `rows` when their entries are in the way. What the
//! two have of a row that an entry of `chunks` covers is out of date.

use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::path::Path;

use datafusion::common::HashSet;

use fjall::config::{CompressionPolicy, FilterPolicy};
use fjall::{
    CompressionType, Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode,
    Readable,
};

use super::chunk::Numbers;
use super::chunk_file::ChunkFile;
use super::numbering::Numbering;
use super::redo::{Outcome, Records, Redo, ReplayedRows, Rows};
use super::write_ahead;
use crate::catalog::{self, Catalog};
use crate::error::{Error, Result};

/// Version of everything described here; another one is refused.
const FORMAT: &[u8] = b"6";

/// The keyspaces that are always there, in the order of the table above.
const SPACES: [&str; 8] =
    ["meta", "chunks", "redo", "rows", "sealed_rows", "sealed_changes", "deleted", "counted"];

/// The one that most is written to.
const REDO: &str = "redo";

/// Packed bytes of entries of `redo` that stay in memory: most go before that many have
/// come.
const REDO_MEMORY: u64 = 192 << 20;

/// Bytes of entries that there may be, if there is the memory, before the oldest go.
const REDO_MAX: usize = 1 << 30;

/// The entries may take one byte in so many of the memory that columns may take.
const REDO_SHARE: usize = 16;

/// Bytes of write-ahead files from which on fjall flushes what keeps the oldest one.
/// They are read at the next start.
const WRITE_AHEAD_MAX: u64 = 320 << 20;

/// A row: table number and row number.
pub type RowKey = (u16, u64);

/// A sealed chunk.
pub struct ChunkEntry {
    pub table: u16,
    pub numbers: Numbers,
    pub file: ChunkFile,
}

pub struct Journal {
    database: Database,
    meta: Keyspace,
    chunks: Keyspace,
    redo_space: Keyspace,
    rows: Keyspace,
    sealed_rows: Keyspace,
    sealed_changes: Keyspace,
    deleted: Keyspace,
    counted: Keyspace,
    redo: Redo,
    redo_max: usize,
    /// The rows that `rows` has.
    moved: BTreeSet<RowKey>,
    /// How many of the process's derived entity names are written down.
    entities: usize,
}

/// A commit in the making.
pub struct Batch<'a> {
    journal: &'a mut Journal,
    batch: OwnedWriteBatch,
    /// Of rows that no chunk file has.
    records: Records,
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

fn wrong_key() -> Error {
    Error::data("a key in the journal has a wrong length")
}

fn parse_key(bytes: &[u8]) -> Result<RowKey> {
    let bytes: [u8; 10] = bytes.try_into().map_err(|_| wrong_key())?;
    let [t0, t1, row @ ..] = bytes;
    Ok((u16::from_be_bytes([t0, t1]), u64::from_be_bytes(row)))
}

/// fjall drops what follows a packed value that it cannot unpack, without a word; what
/// is not packed it checks.
pub(super) fn database(path: &Path) -> fjall::Result<Database> {
    Database::builder(path)
        .journal_compression(CompressionType::None)
        .max_journaling_size(WRITE_AHEAD_MAX)
        // Of several, one asks all the time whether another one's merge is done.
        .worker_threads(1)
        .open()
}

/// Keyspaces are read from end to end at the start and never by key, and what is in
/// them soon goes into chunk files: filters and compression would only cost time.
fn options(name: &str) -> KeyspaceCreateOptions {
    let options = KeyspaceCreateOptions::default()
        .filter_policy(FilterPolicy::disabled())
        .data_block_compression_policy(CompressionPolicy::disabled());
    if name == REDO { options.max_memtable_size(REDO_MEMORY) } else { options }
}

impl Journal {
    /// Opens or creates the journal; reads what its entries say of open rows, and the
    /// folder's numbering. `memory` is the number of bytes that columns may take.
    pub fn open(
        path: &Path,
        catalog: &Catalog,
        memory: usize,
    ) -> Result<(Self, ReplayedRows, Numbering)> {
        write_ahead::check(path)?;
        let database = database(path).map_err(failed("be opened"))?;
        let space =
            |name: &str| database.keyspace(name, || options(name)).map_err(failed("be opened"));
        let spaces = SPACES.into_iter().map(space).collect::<Result<Vec<_>>>()?;
        let [meta, chunks, redo_space, rows, sealed_rows, sealed_changes, deleted, counted] =
            spaces.try_into().unwrap_or_else(|_| unreachable!("each name has its keyspace"));
        match meta.get("format").map_err(failed("be read"))? {
            Some(format) if *format == *FORMAT => {}
            Some(format) => return Err(other_format(&format)),
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
        let mut redo = Redo::default();
        let mut replayed = ReplayedRows::new();
        for entry in redo_space.iter() {
            let (key, bytes) = entry.into_inner().map_err(failed("be read"))?;
            let number = (*key).try_into().map(u64::from_be_bytes).map_err(|_| wrong_key())?;
            let records = lz4_flex::decompress_size_prepended(&bytes);
            let unreadable = |_| Error::data("an entry of the journal cannot be unpacked");
            redo.replay(number, &records.map_err(unreadable)?, &mut replayed)?;
        }
        let redo_max = REDO_MAX.min(memory / REDO_SHARE);
        let moved = BTreeSet::new();
        let entities = 0;
        let mut journal = Self {
            database,
            meta,
            chunks,
            redo_space,
            rows,
            sealed_rows,
            sealed_changes,
            deleted,
            counted,
            redo,
            redo_max,
            moved,
            entities,
        };
        journal.keep_unknown(&mut replayed, &numbering, catalog)?;
        let keys =
            journal.rows.iter().map(|entry| parse_key(&entry.key().map_err(failed("be read"))?));
        journal.moved = keys.collect::<Result<_>>()?;
        journal.database.persist(PersistMode::SyncAll).map_err(failed("be written"))?;
        Ok((journal, replayed, numbering))
    }

    /// Copies rows of tables that the catalog does not have now: nobody will know
    /// whether their entries may go.
    fn keep_unknown(
        &self,
        replayed: &mut ReplayedRows,
        numbering: &Numbering,
        catalog: &Catalog,
    ) -> Result<()> {
        let tables = 0..catalog.tables().len();
        let known: HashSet<u16> = tables.map(|index| numbering.table(index).table()).collect();
        let mut batch = self.database.batch();
        for (row, said) in replayed.extract_if(.., |(table, _), _| !known.contains(table)) {
            let mut cells = match said.row {
                Some(Outcome::Gone) => {
                    batch.remove(&self.rows, key(row));
                    continue;
                }
                Some(Outcome::Cells(cells)) => cells,
                None => {
                    let cells = self.rows.get(key(row)).map_err(failed("be read"))?;
                    cells.map(|cells| cells.to_vec()).unwrap_or_default()
                }
            };
            // Of a column that is there twice the last value counts.
            cells.extend(said.change.unwrap_or_default());
            batch.insert(&self.rows, key(row), cells);
        }
        batch.commit().map_err(failed("be written"))
    }

    pub fn batch(&mut self) -> Batch<'_> {
        let batch = self.database.batch().durability(Some(PersistMode::SyncData));
        Batch { journal: self, batch, records: Records::default() }
    }

    /// A batch that the next synced one makes durable, or nothing does.
    pub fn unsynced_batch(&mut self) -> Batch<'_> {
        let batch = self.database.batch();
        Batch { journal: self, batch, records: Records::default() }
    }

    /// All sealed chunks, by table and first row.
    pub fn chunk_entries(&self) -> Result<Vec<ChunkEntry>> {
        chunk_entries(self.chunks.iter())
    }

    /// Everything as of the last commit, while others go on.
    pub fn snapshot(&self) -> JournalSnapshot {
        let Self { meta, chunks, redo_space, rows, sealed_rows, sealed_changes, .. } = self;
        let Self { deleted, counted, .. } = self;
        let spaces =
            [meta, chunks, redo_space, rows, sealed_rows, sealed_changes, deleted, counted];
        let keyspaces = SPACES.into_iter().zip(spaces.map(Clone::clone)).collect();
        JournalSnapshot { snapshot: self.database.snapshot(), chunks: chunks.clone(), keyspaces }
    }

    /// All rows kept one by one, those of sealed chunks or the others; of the latter,
    /// what entries of `redo` say of them comes on top.
    pub fn for_each_row(
        &self,
        sealed: bool,
        see: impl FnMut(RowKey, &[u8]) -> Result<()>,
    ) -> Result<()> {
        for_each(if sealed { &self.sealed_rows } else { &self.rows }, see)
    }

    /// The changed columns of the rows of sealed chunks that were changed since.
    pub fn for_each_sealed_change(
        &self,
        see: impl FnMut(RowKey, &[u8]) -> Result<()>,
    ) -> Result<()> {
        for_each(&self.sealed_changes, see)
    }

    /// The entries of `redo`.
    pub fn redo(&self) -> &Redo {
        &self.redo
    }

    /// Those of some rows of a table that `rows` has.
    pub fn moved(&self, table: u16, numbers: &RangeInclusive<u64>) -> Vec<u64> {
        let rows = self.moved.range((table, *numbers.start())..=(table, *numbers.end()));
        rows.map(|(_, number)| *number).collect()
    }

    /// How many of the oldest entries have to go for want of room.
    pub fn too_many(&self) -> usize {
        self.redo.beyond(self.redo_max)
    }

    /// What changed rows of sealed chunks are counted by in their files, and the
    /// checksums of these.
    pub fn for_each_counted(
        &self,
        mut see: impl FnMut(RowKey, u32, &[u8]) -> Result<()>,
    ) -> Result<()> {
        for_each(&self.counted, |key, value| {
            let (file, cells) = value
                .split_first_chunk()
                .ok_or_else(|| Error::data("a counted row in the journal is unreadable"))?;
            see(key, u32::from_le_bytes(*file), cells)
        })
    }

    /// The deleted rows of sealed chunks.
    pub fn for_each_deleted(&self, mut see: impl FnMut(RowKey) -> Result<()>) -> Result<()> {
        for_each(&self.deleted, |key, _| see(key))
    }
}

/// A journal at one commit.
pub struct JournalSnapshot {
    snapshot: fjall::Snapshot,
    chunks: Keyspace,
    keyspaces: Vec<(&'static str, Keyspace)>,
}

/// A key and its value.
pub type KeyValue = (fjall::UserKey, fjall::UserValue);

impl JournalSnapshot {
    /// All sealed chunks, by table and first row.
    pub fn chunk_entries(&self) -> Result<Vec<ChunkEntry>> {
        chunk_entries(self.snapshot.iter(&self.chunks))
    }

    /// Calls back with the name of each keyspace and all its entries.
    pub fn for_each_keyspace(
        &self,
        mut see: impl FnMut(&str, &mut dyn Iterator<Item = Result<KeyValue>>) -> Result<()>,
    ) -> Result<()> {
        self.keyspaces.iter().try_for_each(|(name, space)| {
            let entries = self.snapshot.iter(space);
            let mut entries = entries.map(|entry| entry.into_inner().map_err(failed("be read")));
            see(name, &mut entries)
        })
    }
}

/// A journal that is made of the entries of another one.
pub struct Restoring {
    database: Database,
    keyspaces: HashMap<String, Keyspace>,
}

impl Restoring {
    pub fn begin(path: &Path) -> Result<Self> {
        let database = database(path).map_err(failed("be made"))?;
        Ok(Self { database, keyspaces: HashMap::new() })
    }

    pub fn put(&mut self, name: &str, entries: &[(&[u8], &[u8])]) -> Result<()> {
        if !SPACES.contains(&name) {
            return Err(Error::data(format!("no journal has '{name}'")));
        }
        if !self.keyspaces.contains_key(name) {
            let space =
                self.database.keyspace(name, || options(name)).map_err(failed("be made"))?;
            self.keyspaces.insert(name.to_owned(), space);
        }
        let space = &self.keyspaces[name];
        let mut batch = self.database.batch();
        for (key, value) in entries {
            if (name, *key) == ("meta", b"format") && *value != FORMAT {
                return Err(other_format(value));
            }
            batch.insert(space, *key, *value);
        }
        batch.commit().map_err(failed("be written"))
    }

    /// Durable when it returns.
    pub fn finish(self) -> Result<()> {
        self.database.persist(PersistMode::SyncAll).map_err(failed("be written"))
    }
}

fn other_format(format: &[u8]) -> Error {
    Error::data(format!(
        "the data folder has format {}, this sysjob reads format {}",
        String::from_utf8_lossy(format),
        String::from_utf8_lossy(FORMAT),
    ))
}

fn chunk_entries(entries: fjall::Iter) -> Result<Vec<ChunkEntry>> {
    let entry = |entry: fjall::Guard| {
        let (key, value) = entry.into_inner().map_err(failed("be read"))?;
        let (table, first) = parse_key(&key)?;
        chunk_entry(table, first, &value)
            .ok_or_else(|| Error::data("a chunk entry in the journal is unreadable"))
    };
    entries.map(entry).collect()
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
        let first = match &entry.numbers {
            Numbers::From(first) => *first,
            Numbers::List(list) => list[0],
        };
        self.batch.insert(&self.journal.chunks, key((entry.table, first)), chunk_bytes(entry));
    }

    /// The whole row; earlier changes of it are part of it now.
    pub fn put_row(&mut self, row: RowKey, cells: Vec<u8>, sealed: bool) {
        match sealed {
            true => {
                self.batch.insert(&self.journal.sealed_rows, key(row), cells);
                self.batch.remove(&self.journal.sealed_changes, key(row));
            }
            false => self.records.put_row(row, &cells),
        }
    }

    pub fn put_change(&mut self, row: RowKey, cells: Vec<u8>, sealed: bool) {
        match sealed {
            true => self.batch.insert(&self.journal.sealed_changes, key(row), cells),
            false => self.records.put_change(row, &cells),
        }
    }

    /// What the row is counted by in its file.
    pub fn put_counted(&mut self, row: RowKey, file: u32, cells: &[u8]) {
        let value = [&file.to_le_bytes(), cells].concat();
        self.batch.insert(&self.journal.counted, key(row), value);
    }

    /// `sealed`: the row stands in a chunk file, which cannot forget it.
    pub fn delete_row(&mut self, row: RowKey, sealed: bool) {
        match sealed {
            true => {
                self.batch.remove(&self.journal.sealed_rows, key(row));
                self.batch.remove(&self.journal.sealed_changes, key(row));
                self.batch.insert(&self.journal.deleted, key(row), []);
            }
            false => {
                self.records.delete(row);
                self.forget_open_row(row);
            }
        }
    }

    /// A chunk that has been written anew.
    pub fn remove_chunk(&mut self, table: u16, first: u64) {
        self.batch.remove(&self.journal.chunks, key((table, first)));
    }

    /// Removes what is out of date of a row that has come to stand in a chunk file.
    pub fn forget_open_row(&mut self, row: RowKey) {
        if self.journal.moved.remove(&row) {
            self.batch.remove(&self.journal.rows, key(row));
        }
    }

    /// Takes out the oldest entry of `redo`, whose rows this batch must then have kept.
    pub fn take_oldest(&mut self) -> Vec<Rows> {
        let Some((number, rows)) = self.journal.redo.take_oldest() else { return Vec::new() };
        self.batch.remove(&self.journal.redo_space, number.to_be_bytes());
        rows
    }

    /// Copies an open row, as it is, out of `redo`.
    pub fn keep_row(&mut self, row: RowKey, cells: Vec<u8>) {
        self.batch.insert(&self.journal.rows, key(row), cells);
        self.journal.moved.insert(row);
    }

    /// Removes what is out of date of a row of a sealed chunk that has been written anew.
    pub fn forget_row(&mut self, row: RowKey) {
        let Journal { sealed_rows, sealed_changes, deleted, counted, .. } = &*self.journal;
        for space in [sealed_rows, sealed_changes, deleted, counted] {
            self.batch.remove(space, key(row));
        }
    }

    pub fn is_empty(&self) -> bool {
        self.batch.is_empty() && self.records.is_empty()
    }

    /// The batch, to be written by whoever; no other may be prepared and written before.
    pub fn prepare(mut self) -> Prepared {
        let new = catalog::derived_entity_names(self.journal.entities);
        for (code, name) in &new {
            self.batch.insert(&self.journal.meta, format!("entity/{code}"), name.as_str());
        }
        self.journal.entities += new.len();
        let (batch, space) = (self.batch, self.journal.redo_space.clone());
        Prepared { batch, space, records: self.journal.redo.add(self.records) }
    }
}

/// A batch with everything that it is to hold.
pub struct Prepared {
    batch: OwnedWriteBatch,
    /// `redo`, and what goes there: numbers and bytes of entries.
    space: Keyspace,
    records: Vec<(u64, Vec<u8>)>,
}

impl Prepared {
    /// Makes everything durable or nothing. A journal whose batch failed must not
    /// write any more.
    pub fn commit(mut self) -> Result<()> {
        for (number, records) in self.records {
            let packed = lz4_flex::compress_prepend_size(&records);
            self.batch.insert(&self.space, number.to_be_bytes(), packed);
        }
        self.batch.commit().map_err(failed("be written"))
    }
}

/// Numbers are little-endian: rows (u32), the checksums of file and summary (u32
/// each), the length of the name (u32) and the name; where row numbers have gaps,
/// how much each is above the one before, in groups of seven bits, low ones first.
fn chunk_bytes(entry: &ChunkEntry) -> Vec<u8> {
    let ChunkFile { name, rows, checksum, summary } = &entry.file;
    let mut bytes = Vec::new();
    for number in [*rows, *checksum, *summary, name.len() as u32] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.extend_from_slice(name.as_bytes());
    if let Numbers::List(list) = &entry.numbers {
        for pair in list.windows(2) {
            let mut step = pair[1] - pair[0];
            while step >= 0x80 {
                bytes.push(step as u8 | 0x80);
                step >>= 7;
            }
            bytes.push(step as u8);
        }
    }
    bytes
}

fn chunk_entry(table: u16, first: u64, bytes: &[u8]) -> Option<ChunkEntry> {
    let (numbers, rest) = bytes.split_at_checked(16)?;
    let number =
        |place: usize| numbers[place * 4..place * 4 + 4].try_into().map(u32::from_le_bytes);
    let (rows, length) = (number(0).ok()?, number(3).ok()? as usize);
    let (name, rest) = rest.split_at_checked(length)?;
    let name = String::from_utf8(name.to_vec()).ok()?;
    let file = ChunkFile { name, rows, checksum: number(1).ok()?, summary: number(2).ok()? };
    if rest.is_empty() {
        return Some(ChunkEntry { table, numbers: Numbers::From(first), file });
    }
    let mut list = vec![first];
    let (mut step, mut shift) = (0u64, 0);
    for byte in rest {
        step |= u64::from(byte & 0x7f).checked_shl(shift)?;
        shift += 7;
        if byte & 0x80 == 0 {
            list.push(list[list.len() - 1].checked_add(step)?);
            (step, shift) = (0, 0);
        }
    }
    (list.len() == rows as usize).then(|| ChunkEntry {
        table,
        numbers: Numbers::List(list.into()),
        file,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunk_entries_come_back_and_cuts_are_noticed() {
        let entry = |numbers: &[u64]| ChunkEntry {
            table: 7,
            numbers: Numbers::of(numbers),
            file: ChunkFile {
                name: "a-file.parquet".into(),
                rows: numbers.len() as u32,
                checksum: 1,
                summary: u32::MAX,
            },
        };
        for numbers in [&[5][..], &[5, 6, 7], &[5, 7, 300, 70_000, 1 << 40]] {
            let written = entry(numbers);
            let bytes = chunk_bytes(&written);
            let read = chunk_entry(7, 5, &bytes).expect("whole");
            assert_eq!((&read.numbers, &read.file), (&written.numbers, &written.file));
        }
        let bytes = chunk_bytes(&entry(&[5, 7, 300]));
        for cut in [0, 15, 20, bytes.len() - 1] {
            assert!(chunk_entry(7, 5, &bytes[..cut]).is_none(), "{cut}");
        }
    }
}
