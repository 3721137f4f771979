//! The live tables: one writer, durable commits, snapshots of all tables.
//!
//! Everything that changes goes through [`Store::commit`] or [`Store::append`]
//! and is answered after it is synced to disk; [`Store::snapshot`] never waits
//! for a disk. Invariant: a snapshot shows whole commits only.

mod backup;
mod check;
mod chunk;
mod chunk_file;
mod codec;
mod column;
mod compaction;
mod counts;
mod encoded;
mod filter;
mod flusher;
mod folder;
mod group;
mod ids;
mod journal;
mod memory;
mod numbering;
mod recover;
mod redo;
mod sealed;
mod sealer;
mod snapshot;
mod statistics;
mod summary;
mod tables;
mod versions;
mod wait;
mod waits;
mod write_ahead;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use datafusion::arrow::array::RecordBatch;
use futures::executor::block_on;
use parking_lot::RwLock;
use tokio::sync::{OwnedMutexGuard, mpsc, oneshot};

pub use self::backup::{BackedUp, copy as copy_backup, restore};
pub use self::check::{Checked, check};
pub use self::chunk::{Chunk, ROWS_MAX};
pub use self::counts::{CountedBy, CountsSnapshot};
pub use self::encoded::Encoded;
pub use self::memory::machine_memory;
pub use self::snapshot::{NameIndex, Place, Snapshot, TableSnapshot};
pub use self::statistics::ColumnStatistics;
pub use self::waits::{AskWaits, Waits};

use self::chunk_file::ChunkFiles;
use self::folder::FolderLock;
use self::journal::Journal;
use self::memory::Memory;
use self::recover::Recovery;
use self::sealed::Sealed;
use self::sealer::{Sealer, Sealing};
use self::tables::TableState;
use self::versions::Versions;
use self::writer::{NewFile, Request, Writer};
use crate::catalog::Catalog;
use crate::error::{Error, ErrorKind, Result, codes};
use crate::value::{Guid, Value};

/// Requests that may wait for the writer before senders have to wait.
const QUEUE_MAX: usize = 16 * 1024;

/// A bulk append with no more rows than this goes to the journal row by row,
/// so that many small ones do not leave many small files.
const SMALL_APPEND_ROWS: usize = 1024;

/// One change of one row; a commit is a list of them.
#[derive(Clone, Debug)]
pub enum Change {
    /// A new row; replaces one with the same primary key. Pairs of column
    /// number and value; columns left out are null.
    Insert {
        table: usize,
        values: Vec<(usize, Value)>,
    },
    /// A new row whose primary key no row has had: nothing is looked up.
    Append {
        table: usize,
        values: Vec<(usize, Value)>,
    },
    Update {
        table: usize,
        id: Guid,
        values: Vec<(usize, Value)>,
    },
    Delete {
        table: usize,
        id: Guid,
    },
}

/// What a commit or a bulk append added. A row whose key is already there, be
/// it in the table or earlier in the same request, counts as replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    pub inserted: u64,
    pub replaced: u64,
}

/// The tables of one data folder.
pub struct Store {
    catalog: Arc<Catalog>,
    tables: Arc<RwLock<Vec<TableState>>>,
    files: Arc<ChunkFiles>,
    memory: Arc<Memory>,
    versions: Arc<Versions>,
    turns: Arc<tokio::sync::Mutex<()>>,
    /// Who knows why jobs wait, while there is somebody.
    waits: RwLock<Option<AskWaits>>,
    requests: Option<mpsc::Sender<Request>>,
    writer: Option<JoinHandle<()>>,
    sealing: Option<Sealing>,
    _lock: FolderLock,
}

impl Store {
    /// Opens or creates a data folder. Columns of sealed chunks may take half of the
    /// machine's memory.
    pub fn open(dir: &Path, catalog: Arc<Catalog>) -> Result<Self> {
        Self::open_within(dir, catalog, Memory::half_of_machine())
    }

    /// [`Store::open`], if there is a data folder.
    pub fn open_existing(dir: &Path, catalog: Arc<Catalog>) -> Result<Self> {
        folder::expect(dir)?;
        Self::open(dir, catalog)
    }

    /// [`Store::open`] with a number of bytes that columns of sealed chunks may take.
    pub fn open_within(dir: &Path, catalog: Arc<Catalog>, memory: usize) -> Result<Self> {
        let lock = FolderLock::take(dir)?;
        let (journal, replayed, numbering) = Journal::open(&dir.join("journal"), &catalog, memory)?;
        let files = Arc::new(ChunkFiles::open(dir)?);
        let memory = Arc::new(Memory::new(memory));
        let Recovery { tables, named, stale } =
            recover::recover(&journal, replayed, &files, &memory, &numbering, &catalog)?;
        files.remove_others(&named)?;
        let versions = Arc::new(Versions::after(&tables));
        let tables = Arc::new(RwLock::new(tables));
        let writer = Writer::new(
            journal,
            files.clone(),
            numbering,
            tables.clone(),
            versions.clone(),
            &catalog,
        )?;
        let (requests, receiver) = mpsc::channel(QUEUE_MAX);
        let thread = std::thread::Builder::new()
            .name("sysjob-writer".into())
            .spawn(move || block_on(writer.run(receiver)))
            .map_err(|e| Error::internal("the writer thread cannot start").caused_by(e))?;
        let sealer = Sealer {
            catalog: catalog.clone(),
            tables: tables.clone(),
            files: files.clone(),
            memory: memory.clone(),
            requests: requests.downgrade(),
        };
        let sealing = Sealing::begin(sealer, stale)?;
        Ok(Self {
            catalog,
            tables,
            files,
            memory,
            versions,
            turns: Arc::default(),
            waits: RwLock::default(),
            requests: Some(requests),
            writer: Some(thread),
            sealing: Some(sealing),
            _lock: lock,
        })
    }

    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// All tables as of the last durable commit.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        let tables = self.tables.read().iter().map(TableState::snapshot).collect();
        let snapshot = Snapshot::new(self.catalog.clone(), tables);
        Arc::new(snapshot.explained(self.waits.read().clone()))
    }

    /// From now on snapshots ask there why jobs wait.
    pub fn explain_waits(&self, ask: AskWaits) {
        *self.waits.write() = Some(ask);
    }

    /// One table as of the last durable commit.
    pub fn table(&self, index: usize) -> TableSnapshot {
        self.tables.read()[index].snapshot()
    }

    /// A number that is another one after every change of some tables.
    pub fn changes(&self, tables: &[usize]) -> u64 {
        let all = self.tables.read();
        tables.iter().map(|table| all[*table].changes()).sum()
    }

    /// Whether a table has a row with a primary key.
    pub fn contains(&self, table: usize, id: &Guid) -> bool {
        self.find(&self.tables.read()[table], id).is_some()
    }

    /// A cell of the row with a primary key; nothing if there is no such row.
    pub fn value(&self, table: usize, id: &Guid, column: usize) -> Option<Value> {
        let tables = self.tables.read();
        let number = self.find(&tables[table], id)?;
        Some(tables[table].value(number, column))
    }

    /// Some cells of the row with a primary key, with their columns; nothing if there is
    /// no such row.
    pub fn cells(&self, table: usize, id: &Guid, columns: &[usize]) -> Option<Vec<(usize, Value)>> {
        let tables = self.tables.read();
        let number = self.find(&tables[table], id)?;
        Some(tables[table].cells(number, columns.iter().copied()))
    }

    /// All cells of a row as of the last durable commit, in catalog order.
    pub fn row(&self, table: usize, id: &Guid) -> Option<Vec<Value>> {
        let tables = self.tables.read();
        let number = self.find(&tables[table], id)?;
        Some(tables[table].row(number))
    }

    /// Whoever asks for single rows cannot go on without them: a damaged file is a
    /// panic that names it.
    #[expect(clippy::unused_self, reason = "reads as what it is")]
    fn find(&self, table: &TableState, id: &Guid) -> Option<u64> {
        table.find(id).unwrap_or_else(|e| panic!("{e}"))
    }

    /// Bytes that columns of sealed chunks take in memory now.
    pub fn resident_bytes(&self) -> usize {
        self.memory.used()
    }

    /// How often a column of a sealed chunk was read from its file since the start.
    pub fn columns_read(&self) -> usize {
        self.memory.read()
    }

    /// Seals the chunks that may be sealed, and says how many. A store seals its full
    /// chunks by itself now and then.
    pub fn seal(&self) -> Result<usize> {
        self.sealing.as_ref().ok_or_else(closed)?.sealer().seal()
    }

    /// Writes sealed chunks anew that have lost or changed many rows, and small ones as
    /// one; how many come of it. A store does so by itself too.
    pub fn compact(&self) -> Result<usize> {
        self.sealing.as_ref().ok_or_else(closed)?.sealer().compact()
    }

    /// Writes a backup of everything as of the last commit, while commits go on; blocks
    /// its thread.
    pub fn backup(&self, out: &mut dyn std::io::Write) -> Result<BackedUp> {
        let (reply, source) = oneshot::channel();
        block_on(self.sender()?.send(Request::Backup(reply))).map_err(|_| closed())?;
        block_on(source).map_err(|_| closed())?.write(out)
    }

    /// Waits until it is the caller's turn to read and then write what depends on
    /// it; the turn ends when the guard is dropped.
    pub async fn turn(&self) -> OwnedMutexGuard<()> {
        self.turns.clone().lock_owned().await
    }

    /// Applies all changes or none; durable when it returns.
    pub async fn commit(&self, changes: Vec<Change>) -> Result<Appended> {
        self.hand_over(changes).await?.await
    }

    /// Hands changes to the writer, who makes what is handed over durable in this
    /// order; all or none are when the answer comes.
    pub async fn hand_over(
        &self,
        changes: Vec<Change>,
    ) -> Result<impl Future<Output = Result<Appended>> + Send + use<>> {
        let (reply, answer) = oneshot::channel();
        self.sender()?.send(Request::Commit(changes, reply)).await.map_err(|_| closed())?;
        Ok(async { answer.await.map_err(|_| closed())? })
    }

    /// [`Store::commit`] that blocks its thread.
    pub fn commit_blocking(&self, changes: Vec<Change>) -> Result<Appended> {
        block_on(self.commit(changes))
    }

    /// Bulk load; blocks its thread. The batch has the table's whole
    /// schema ([`crate::catalog::Table::schema`]); choice labels in it are ignored,
    /// lookup names kept. Durable when it returns. Rows whose primary key exists
    /// are replaced; of equal keys in the batch the last counts.
    pub fn append(&self, table: usize, batch: &RecordBatch) -> Result<Appended> {
        let facts = &self.catalog.tables()[table];
        let mut done = Appended::default();
        if batch.num_rows() <= SMALL_APPEND_ROWS {
            return self.commit_blocking(inserts(table, batch));
        }
        for start in (0..batch.num_rows()).step_by(ROWS_MAX) {
            let part = batch.slice(start, ROWS_MAX.min(batch.num_rows() - start));
            let part = self.versions.stamp_batch(table, &part)?;
            let ids = part.column(facts.primary_id_index()).clone();
            let columns: Vec<_> = part.columns().iter().cloned().map(Some).collect();
            let (file, summary) = self.files.write(facts, &columns, part.num_rows())?;
            let (files, memory) = (self.files.clone(), self.memory.clone());
            let sealed = Sealed::new(file, &summary, facts.clone(), files, memory);
            let file = NewFile { sealed: Arc::new(sealed), summary };
            let (reply, answer) = oneshot::channel();
            let request = Request::Append { table, ids, file, reply };
            block_on(self.sender()?.send(request)).map_err(|_| closed())?;
            let part = block_on(answer).map_err(|_| closed())??;
            done.inserted += part.inserted;
            done.replaced += part.replaced;
        }
        Ok(done)
    }

    fn sender(&self) -> Result<&mpsc::Sender<Request>> {
        self.requests.as_ref().ok_or_else(closed)
    }
}

impl Drop for Store {
    /// Lets the writer finish what it has taken before the folder is given back.
    fn drop(&mut self) {
        self.sealing = None;
        self.requests = None;
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            eprintln!("sysjob: the writer thread ended with a panic");
        }
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, codes::UNEXPECTED, "the store is closed")
}

/// The rows of a batch as single inserts.
fn inserts(table: usize, batch: &RecordBatch) -> Vec<Change> {
    let schema = batch.schema();
    let columns: Vec<_> =
        batch.columns().iter().map(|a| (a.null_count() < a.len()).then(|| a.clone())).collect();
    (0..batch.num_rows())
        .map(|row| {
            let values = columns
                .iter()
                .enumerate()
                .map(|(i, c)| (i, column::read(c, schema.field(i).data_type(), row)))
                .filter(|(_, value)| *value != Value::Null)
                .collect();
            Change::Insert { table, values }
        })
        .collect()
}
