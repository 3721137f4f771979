//! What a data folder keeps, in `fjall` keyspaces.
//!
//! Row keys are the table's number (u16) and the row's number (u64), both
//! big-endian, so that a scan sees rows in the order of their creation.
//!
//! | keyspace | key | value |
//! |---|---|---|
//! | `meta` | `format`, `names`, `entity/<code>`, `last` | format version, [`Numbering`] as JSON, logical name, nothing |
//! | `chunks` | first row | a sealed chunk: rows, checksums, file name, row numbers |
//! | `rows/<table>/<n>` | row | all cells that are not null |
//! | `changes/<table>/<n>` | row | the columns a job's life changes, as they are now |
//! | `sealed_rows` | row of a sealed chunk | all cells that are not null; takes precedence over the file's row |
//! | `sealed_changes` | row of a sealed chunk | as `changes` |
//! | `deleted` | row of a sealed chunk | nothing |
//! | `counted` | row of a sealed chunk that one of the three before has | CRC-32 of the chunk's file (u32), cells that the file has of the row and that rows are counted by |
//!
//! | `turns` | `turn` | nothing |
//!
//! One commit is one atomic, synced batch over all of them. Rows that no chunk file has
//! are kept apart by table and by [`GENERATION`](super::generation::GENERATION) row numbers, in keyspaces that come and
//! go: once all rows of one stand in chunk files, it is dropped as a whole. So most rows
//! never leave the write-ahead file and the memory, and nothing has to be merged. What
//! such a keyspace still has of a row that an entry of `chunks` covers is out of date.

use std::collections::HashMap;
use std::collections::btree_map::{BTreeMap, Entry};
use std::ops::Range;
use std::path::Path;

use fjall::config::{CompressionPolicy, FilterPolicy};
use fjall::{
    CompressionType, Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode,
    Readable,
};

use super::chunk::Numbers;
use super::chunk_file::ChunkFile;
use super::generation::{Generation, Kept};
use super::numbering::Numbering;
use super::write_ahead;
use crate::catalog::{self, Catalog};
use crate::error::{Error, Result};

/// Version of everything described here; another one is refused.
const FORMAT: &[u8] = b"5";

/// The keyspaces that are always there, in the order of the table above.
const SPACES: [&str; 7] =
    ["meta", "chunks", "sealed_rows", "sealed_changes", "deleted", "counted", "turns"];

/// Bytes of open rows that stay in memory until they are sealed.
const OPEN_MAX: u64 = 256 << 20;

/// fjall begins a new write-ahead file, and drops old ones, only when it flushes
/// something: bytes after which it is made to.
const TURN: usize = 64 << 20;

/// Bytes of write-ahead files from which on fjall flushes what keeps the oldest one.
/// They are read at the next start.
const WRITE_AHEAD_MAX: u64 = 192 << 20;

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
    open: BTreeMap<Generation, Keyspace>,
    sealed_rows: Keyspace,
    sealed_changes: Keyspace,
    deleted: Keyspace,
    counted: Keyspace,
    turns: Keyspace,
    /// How many of the process's derived entity names are written down.
    entities: usize,
    /// Bytes written since the last turn.
    written: usize,
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

/// fjall drops what follows a packed value that it cannot unpack, without a word; what
/// is not packed it checks.
pub(super) fn database(path: &Path) -> fjall::Result<Database> {
    Database::builder(path)
        .journal_compression(CompressionType::None)
        .max_journaling_size(WRITE_AHEAD_MAX)
        .open()
}

/// Keyspaces are read from end to end at the start and never by key, and what is in
/// them soon goes into chunk files: filters and compression would only cost time.
fn options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .filter_policy(FilterPolicy::disabled())
        .data_block_compression_policy(CompressionPolicy::disabled())
}

fn open_options() -> KeyspaceCreateOptions {
    options().max_memtable_size(OPEN_MAX)
}

impl Journal {
    /// Opens or creates the journal and reads the folder's numbering.
    pub fn open(path: &Path, catalog: &Catalog) -> Result<(Self, Numbering)> {
        write_ahead::check(path)?;
        let database = database(path).map_err(failed("be opened"))?;
        let space = |name: &str| database.keyspace(name, options).map_err(failed("be opened"));
        let [meta, chunks, sealed_rows, sealed_changes, deleted, counted] =
            [0, 1, 2, 3, 4, 5].map(|index| space(SPACES[index]));
        let (meta, chunks, deleted, counted) = (meta?, chunks?, deleted?, counted?);
        let (sealed_rows, sealed_changes) = (sealed_rows?, sealed_changes?);
        // Whatever is written to it is flushed at once.
        let turns = database.keyspace(SPACES[6], || options().max_memtable_size(1));
        let turns = turns.map_err(failed("be opened"))?;
        let mut open = BTreeMap::new();
        for name in database.list_keyspace_names() {
            if let Some(generation) = Generation::named(&name) {
                let space = database.keyspace(&name, open_options);
                open.insert(generation, space.map_err(failed("be opened"))?);
            }
        }
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
        let journal = Self {
            database,
            meta,
            chunks,
            open,
            sealed_rows,
            sealed_changes,
            deleted,
            counted,
            turns,
            entities: 0,
            written: 0,
        };
        Ok((journal, numbering))
    }

    pub fn batch(&mut self) -> Batch<'_> {
        let batch = self.database.batch().durability(Some(PersistMode::SyncData));
        Batch { journal: self, batch }
    }

    /// A batch that the next synced one makes durable, or nothing does.
    pub fn unsynced_batch(&mut self) -> Batch<'_> {
        let batch = self.database.batch();
        Batch { journal: self, batch }
    }

    /// All sealed chunks, by table and first row.
    pub fn chunk_entries(&self) -> Result<Vec<ChunkEntry>> {
        chunk_entries(self.chunks.iter())
    }

    /// Everything as of the last commit, while others go on.
    pub fn snapshot(&self) -> JournalSnapshot {
        let Self { meta, chunks, sealed_rows, sealed_changes, deleted, counted, turns, .. } = self;
        let spaces = [meta, chunks, sealed_rows, sealed_changes, deleted, counted, turns];
        let spaces = SPACES.into_iter().map(str::to_owned).zip(spaces);
        let open = self.open.iter().map(|(generation, space)| (generation.name(), space));
        let keyspaces = spaces.chain(open).map(|(name, space)| (name, space.clone())).collect();
        JournalSnapshot { snapshot: self.database.snapshot(), chunks: chunks.clone(), keyspaces }
    }

    /// All rows kept one by one, in the order of their keys: those of sealed chunks or
    /// the others.
    pub fn for_each_row(
        &self,
        sealed: bool,
        see: impl FnMut(RowKey, &[u8]) -> Result<()>,
    ) -> Result<()> {
        match sealed {
            true => for_each(&self.sealed_rows, see),
            false => self.for_each_open(Kept::Rows, see),
        }
    }

    /// The changed columns of all rows that were changed since they came.
    pub fn for_each_change(
        &self,
        sealed: bool,
        see: impl FnMut(RowKey, &[u8]) -> Result<()>,
    ) -> Result<()> {
        match sealed {
            true => for_each(&self.sealed_changes, see),
            false => self.for_each_open(Kept::Changes, see),
        }
    }

    fn for_each_open(
        &self,
        kept: Kept,
        mut see: impl FnMut(RowKey, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut open = self.open.iter().filter(|(generation, _)| generation.kept == kept);
        open.try_for_each(|(_, space)| for_each(space, &mut see))
    }

    /// Where something of an open row is kept; made if it is not there yet.
    fn space(&mut self, kept: Kept, row: RowKey) -> Result<&Keyspace> {
        let generation = Generation::of(kept, row);
        Ok(match self.open.entry(generation) {
            Entry::Occupied(there) => there.into_mut(),
            Entry::Vacant(new) => {
                let space = self.database.keyspace(&generation.name(), open_options);
                new.insert(space.map_err(failed("be written"))?)
            }
        })
    }

    /// What holds the open rows of a table with some numbers, all numbers of each; no
    /// longer part of the journal where `all_sealed` says so.
    pub fn dropped(
        &mut self,
        table: u16,
        rows: &[u64],
        all_sealed: impl Fn(Range<u64>) -> bool,
    ) -> Dropped {
        let of = |kept| rows.iter().map(move |row| Generation::of(kept, (table, *row)));
        let mut generations: Vec<Generation> = of(Kept::Rows).chain(of(Kept::Changes)).collect();
        generations.dedup();
        generations.retain(|generation| all_sealed(generation.rows()));
        let spaces = generations.iter().filter_map(|generation| self.open.remove(generation));
        let spaces = spaces.collect();
        Dropped { database: self.database.clone(), spaces }
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
    keyspaces: Vec<(String, Keyspace)>,
}

/// Keyspaces whose rows stand in chunk files.
pub struct Dropped {
    database: Database,
    spaces: Vec<Keyspace>,
}

impl Dropped {
    /// Gives up their memory and files.
    pub fn delete(self) -> Result<()> {
        let mut spaces = self.spaces.into_iter();
        spaces
            .try_for_each(|space| self.database.delete_keyspace(space))
            .map_err(failed("be written"))
    }
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
        if !SPACES.contains(&name) && Generation::named(name).is_none() {
            return Err(Error::data(format!("no journal has '{name}'")));
        }
        if !self.keyspaces.contains_key(name) {
            let space = self.database.keyspace(name, options).map_err(failed("be made"))?;
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
    fn put(&mut self, space: &Keyspace, key: [u8; 10], value: Vec<u8>) {
        self.journal.written += key.len() + value.len();
        self.batch.insert(space, key, value);
    }

    pub fn put_chunk(&mut self, entry: &ChunkEntry) {
        let first = match &entry.numbers {
            Numbers::From(first) => *first,
            Numbers::List(list) => list[0],
        };
        let space = self.journal.chunks.clone();
        self.put(&space, key((entry.table, first)), chunk_bytes(entry));
    }

    /// The whole row; earlier changes of it are part of it now.
    pub fn put_row(
        &mut self,
        row: RowKey,
        cells: Vec<u8>,
        existed: bool,
        sealed: bool,
    ) -> Result<()> {
        let space = match sealed {
            true => self.journal.sealed_rows.clone(),
            false => self.journal.space(Kept::Rows, row)?.clone(),
        };
        self.put(&space, key(row), cells);
        if existed {
            self.forget_changes(row, sealed);
        }
        Ok(())
    }

    pub fn put_change(&mut self, row: RowKey, cells: Vec<u8>, sealed: bool) -> Result<()> {
        let space = match sealed {
            true => self.journal.sealed_changes.clone(),
            false => self.journal.space(Kept::Changes, row)?.clone(),
        };
        self.put(&space, key(row), cells);
        Ok(())
    }

    fn forget_changes(&mut self, row: RowKey, sealed: bool) {
        let space = match sealed {
            true => Some(&self.journal.sealed_changes),
            false => self.journal.open.get(&Generation::of(Kept::Changes, row)),
        };
        if let Some(space) = space {
            self.batch.remove(space, key(row));
        }
    }

    /// What the row is counted by in its file.
    pub fn put_counted(&mut self, row: RowKey, file: u32, cells: &[u8]) {
        let space = self.journal.counted.clone();
        self.put(&space, key(row), [&file.to_le_bytes(), cells].concat());
    }

    /// `sealed`: the row stands in a chunk file, which cannot forget it.
    pub fn delete_row(&mut self, row: RowKey, sealed: bool) {
        let space = match sealed {
            true => Some(&self.journal.sealed_rows),
            false => self.journal.open.get(&Generation::of(Kept::Rows, row)),
        };
        if let Some(space) = space {
            self.batch.remove(space, key(row));
        }
        self.forget_changes(row, sealed);
        if sealed {
            self.batch.insert(&self.journal.deleted, key(row), []);
        }
    }

    /// A chunk that has been written anew.
    pub fn remove_chunk(&mut self, table: u16, first: u64) {
        self.batch.remove(&self.journal.chunks, key((table, first)));
    }

    /// Removes a row that is no longer part of the chunk that made its entry void, if the
    /// keyspace that it stood in is still there.
    pub fn forget_open_row(&mut self, row: RowKey) {
        for kept in [Kept::Rows, Kept::Changes] {
            if let Some(space) = self.journal.open.get(&Generation::of(kept, row)) {
                self.batch.remove(space, key(row));
            }
        }
    }

    /// Removes what is out of date of a row of a sealed chunk that has been written anew.
    pub fn forget_row(&mut self, row: RowKey) {
        let Journal { sealed_rows, sealed_changes, deleted, counted, .. } = &*self.journal;
        for space in [sealed_rows, sealed_changes, deleted, counted] {
            self.batch.remove(space, key(row));
        }
    }

    pub fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// The batch, to be written by whoever; no other may be prepared and written before.
    pub fn prepare(mut self) -> Prepared {
        let new = catalog::derived_entity_names(self.journal.entities);
        for (code, name) in &new {
            self.batch.insert(&self.journal.meta, format!("entity/{code}"), name.as_str());
        }
        self.journal.entities += new.len();
        // fjall goes on after the last batch that a keyspace which is there has part in.
        self.batch.insert(&self.journal.meta, "last", []);
        if self.journal.written > TURN {
            self.journal.written = 0;
            self.batch.insert(&self.journal.turns, "turn", []);
        }
        Prepared(self.batch)
    }
}

/// A batch with everything that it is to hold.
pub struct Prepared(OwnedWriteBatch);

impl Prepared {
    /// Makes everything durable or nothing. A journal whose batch failed must not
    /// write any more.
    pub fn commit(self) -> Result<()> {
        self.0.commit().map_err(failed("be written"))
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
    use super::super::generation::GENERATION;
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

    /// The numbers of the open rows.
    fn open_rows(journal: &Journal) -> Vec<u64> {
        let mut rows = Vec::new();
        for kept in [Kept::Rows, Kept::Changes] {
            let see = |(_, row): RowKey, _: &[u8]| {
                rows.push(row);
                Ok(())
            };
            journal.for_each_open(kept, see).expect("readable");
        }
        rows
    }

    #[test]
    fn generations_go_as_a_whole_and_the_journal_goes_on_after_them() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let open = || Journal::open(folder.path(), &Catalog::built_in()).expect("opens").0;
        let mut journal = open();
        let put = |journal: &mut Journal, rows: &[u64]| {
            let mut batch = journal.batch();
            for row in rows {
                batch.put_row((7, *row), vec![1], false, false).expect("made");
                batch.put_change((7, *row), vec![2], false).expect("made");
            }
            batch.prepare().commit().expect("written");
        };
        put(&mut journal, &[5, GENERATION - 1, GENERATION, 3 * GENERATION]);
        let first_two = |numbers: Range<u64>| numbers.end <= 2 * GENERATION;
        let rows = [5, GENERATION, 3 * GENERATION];
        journal.dropped(7, &rows, first_two).delete().expect("deleted");
        assert_eq!(open_rows(&journal), [3 * GENERATION; 2]);
        // The last batch has part in nothing that is there later.
        put(&mut journal, &[4 * GENERATION]);
        journal.dropped(7, &[4 * GENERATION], |_| true).delete().expect("deleted");
        for last in [1, 2] {
            drop(journal);
            journal = open();
            put(&mut journal, &[last]);
        }
        drop(journal);
        assert_eq!(open_rows(&open()), [1, 2, 3 * GENERATION, 1, 2, 3 * GENERATION]);
    }
}
