//! Seals chunks: writes them to files and takes their rows out of the journal. Sealed
//! ones that are worn or small are written anew in the same way.
//!
//! The work is done on a thread of its own, on chunks as a snapshot has them; the
//! writer then puts the sealed chunk in their place if nothing has changed meanwhile.
//! A chunk of jobs may be sealed when all of them have ended, one of another table
//! when it has not changed since the last look.

use std::slice;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use datafusion::arrow::array::types::Int32Type;
use datafusion::arrow::array::{ArrayRef, AsArray, UInt32Array};
use futures::executor::block_on;
use parking_lot::RwLock;
use tokio::sync::mpsc::WeakSender;
use tokio::sync::oneshot;

use super::chunk::{Chunk, Numbers};
use super::chunk_file::ChunkFiles;
use super::column::{self, Column};
use super::compaction;
use super::counts::Counts;
use super::memory::Memory;
use super::recover::Stale;
use super::sealed::Sealed;
use super::tables::{TableState, missing_key};
use super::writer::{NewFile, Request, Rewrite, Rewritten};
use crate::catalog::{Catalog, ColumnType, Table};
use crate::error::{Error, Result};
use crate::job::{self, Status};
use crate::priority;
use crate::value::Guid;

/// Between two looks at the tables. What has come to rest should not stay in the journal
/// and in open chunks for longer than need be.
const EVERY: Duration = Duration::from_millis(500);

/// Chunks that are not full, left over by a restart, are sealed from so many rows on.
const SEALED_ROWS_MIN: usize = 1024;

/// Rows whose entries one request removes from the journal: a few milliseconds.
const FORGET_ROWS: usize = 1024;

pub struct Sealer {
    pub catalog: Arc<Catalog>,
    pub tables: Arc<RwLock<Vec<TableState>>>,
    pub files: Arc<ChunkFiles>,
    pub memory: Arc<Memory>,
    /// Not what keeps the writer going.
    pub requests: WeakSender<Request>,
}

/// The thread; it ends when this is dropped.
pub struct Sealing {
    sealer: Arc<Sealer>,
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Sealing {
    /// Removes stale rows from the journal, then seals full chunks until dropped.
    pub fn begin(sealer: Sealer, stale: Vec<Stale>) -> Result<Self> {
        let sealer = Arc::new(sealer);
        let (stop, stopped) = mpsc::channel();
        let own = sealer.clone();
        let thread = std::thread::Builder::new()
            .name("sysjob-sealer".into())
            .spawn(move || {
                priority::tidying();
                if let Err(e) = own.run(stale, &stopped) {
                    // Everything goes on, but for the memory that sealing would save.
                    eprintln!("sysjob: full chunks are no longer sealed: {e}");
                }
            })
            .map_err(|e| Error::internal("the sealer thread cannot start").caused_by(e))?;
        Ok(Self { sealer, stop: Some(stop), thread: Some(thread) })
    }

    pub fn sealer(&self) -> &Sealer {
        &self.sealer
    }
}

impl Drop for Sealing {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("sysjob: the sealer thread ended with a panic");
        }
    }
}

impl Sealer {
    fn run(&self, stale: Vec<Stale>, stopped: &mpsc::Receiver<()>) -> Result<()> {
        for stale in stale {
            self.forget(stale)?;
        }
        if stopped.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout) {
            return Ok(());
        }
        self.warm(stopped);
        let mut seen: Vec<Weak<Chunk>> = Vec::new();
        while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
            let known =
                |chunk: &Arc<Chunk>| seen.iter().any(|weak| weak.as_ptr() == Arc::as_ptr(chunk));
            let mut now = Vec::new();
            for table in 0..self.catalog.tables().len() {
                let closed = self.tables.read()[table].closed().to_vec();
                for old in compaction::mergeable(&closed) {
                    now.extend(old.iter().map(Arc::downgrade));
                    if old.iter().all(known) {
                        self.merge(table, old)?;
                    }
                }
                let full = compaction::sealable(&closed, SEALED_ROWS_MIN).map(slice::from_ref);
                for old in full.chain(compaction::compactable(&closed)) {
                    now.extend(old.iter().map(Arc::downgrade));
                    if old.iter().all(known) && self.may_be_written(table, old)? {
                        self.rewrite(table, old)?;
                    }
                    if stopped.try_recv() != Err(mpsc::TryRecvError::Empty) {
                        return Ok(());
                    }
                }
            }
            seen = now;
        }
        Ok(())
    }

    /// Brings columns of sealed chunks into memory before a query has to, until half
    /// of what they may take is taken: first what jobs are counted and found by, then
    /// whatever is short, newest chunks first.
    fn warm(&self, stopped: &mpsc::Receiver<()>) {
        for short in [false, true] {
            for (table, facts) in self.catalog.tables().iter().enumerate() {
                let counts = Counts::of(facts);
                let wanted = |column: &usize| {
                    let first = *column == facts.primary_id_index()
                        || counts.iter().any(|counts| counts.depends_on(*column));
                    let long = matches!(facts.columns[*column].column_type, ColumnType::Memo);
                    if short { !first && !long } else { first }
                };
                let columns: Vec<usize> = (0..facts.columns.len()).filter(wanted).collect();
                let snapshot = self.tables.read()[table].snapshot();
                for chunk in snapshot.chunks().iter().rev() {
                    let Some(file) = chunk.file() else { continue };
                    for column in columns.iter().copied().filter(|column| file.has(*column)) {
                        if !self.memory.is_half_empty()
                            || stopped.try_recv() != Err(mpsc::TryRecvError::Empty)
                        {
                            return;
                        }
                        // The query that asks for a damaged column tells of it.
                        let _ = file.load(column);
                    }
                }
            }
        }
    }

    /// Seals whatever has rows and may be sealed; how many chunks.
    pub fn seal(&self) -> Result<usize> {
        self.each(|closed| {
            closed
                .iter()
                .filter(|c| c.file().is_none() && c.live() > 0)
                .map(slice::from_ref)
                .collect()
        })
    }

    /// Merges small chunks and writes anew what is worn; how often.
    pub fn compact(&self) -> Result<usize> {
        let mut merged = 0;
        for table in 0..self.catalog.tables().len() {
            let closed = self.tables.read()[table].closed().to_vec();
            for old in compaction::mergeable(&closed) {
                merged += usize::from(self.merge(table, old)?);
            }
        }
        Ok(merged + self.each(compaction::compactable)?)
    }

    fn each(&self, wanted: impl Fn(&[Arc<Chunk>]) -> Vec<&[Arc<Chunk>]>) -> Result<usize> {
        let mut written = 0;
        for table in 0..self.catalog.tables().len() {
            let chunks = self.tables.read()[table].chunks().to_vec();
            for old in wanted(&chunks) {
                if self.may_be_written(table, old)? && self.rewrite(table, old)? {
                    written += 1;
                }
            }
        }
        Ok(written)
    }

    /// What is sealed stays so; the rows of other chunks must have come to rest.
    fn may_be_written(&self, table: usize, chunks: &[Arc<Chunk>]) -> Result<bool> {
        let mut open = chunks.iter().filter(|chunk| chunk.file().is_none());
        open.try_fold(true, |ended, chunk| Ok(ended && self.has_ended(table, chunk)?))
    }

    /// Whether all jobs of a chunk have ended; rows of other tables have no end.
    fn has_ended(&self, table: usize, chunk: &Chunk) -> Result<bool> {
        let facts = &self.catalog.tables()[table];
        if facts.logical_name != job::TABLE {
            return Ok(true);
        }
        let Some(column) = facts.column_index("statecode") else { return Ok(true) };
        let Some(states) = chunk.column(column)? else { return Ok(false) };
        let states = states.as_primitive::<Int32Type>();
        let ended = Status::Succeeded.statecode();
        let alive = |row: &usize| chunk.alive().is_none_or(|alive| alive.value(*row));
        Ok((0..chunk.rows()).filter(alive).all(|row| states.value(row) == ended))
    }

    /// Makes one chunk of neighbours in memory. Whether they were still the same at the
    /// end.
    fn merge(&self, table: usize, old: &[Arc<Chunk>]) -> Result<bool> {
        let chunk = Chunk::merge(old, self.catalog.tables()[table].schema())?;
        self.put(table, old, Some(Rewritten { chunk, file: None }))
    }

    fn put(&self, table: usize, old: &[Arc<Chunk>], new: Option<Rewritten>) -> Result<bool> {
        let (reply, answer) = oneshot::channel();
        let request = Rewrite { table, old: old.to_vec(), new };
        self.send(Request::Rewrite(request, reply))?;
        block_on(answer).map_err(|_| super::closed())?
    }

    /// Writes the rows of neighbours to one file. Whether the chunks were still the same
    /// at the end.
    fn rewrite(&self, table: usize, old: &[Arc<Chunk>]) -> Result<bool> {
        let new = match old.iter().any(|chunk| chunk.live() > 0) {
            true => Some(self.written(table, old)?),
            false => None,
        };
        let written = new.as_ref().and_then(|new| Some((&new.chunk, new.file.as_ref()?)));
        let file = written.map(|(_, (file, _))| file.sealed.clone());
        let filtered = written.filter(|(_, (file, _))| file.summary.filter.is_some());
        let keys = filtered.map(|(chunk, (_, ids))| pairs(chunk, ids)).unwrap_or_default();
        if !self.put(table, old, new)? {
            file.iter().for_each(|file| file.abandon());
            return Ok(false);
        }
        // The look-up finds the keys by the filter now.
        let ids = self.tables.read()[table].ids().clone();
        keys.chunks(FORGET_ROWS).for_each(|part| ids.remove(part.iter().copied()));
        for chunk in old {
            let sealed = chunk.file().is_some();
            let numbers = match sealed {
                true => {
                    let void = (0..chunk.rows()).filter(|row| chunk.has_left_file(*row));
                    void.map(|row| chunk.number(row)).collect()
                }
                false => self.moved(table, chunk)?,
            };
            self.forget(Stale { table, numbers, sealed })?;
            if let Some(file) = chunk.file() {
                file.abandon();
            }
        }
        Ok(true)
    }

    /// The rows of neighbours that are not deleted, in a file.
    fn written(&self, table: usize, old: &[Arc<Chunk>]) -> Result<Rewritten> {
        let facts: &Arc<Table> = &self.catalog.tables()[table];
        let rows: Vec<UInt32Array> = old
            .iter()
            .map(|chunk| match chunk.alive() {
                Some(alive) => alive.set_indices_u32().collect::<Vec<_>>().into(),
                None => (0..chunk.rows() as u32).collect::<Vec<_>>().into(),
            })
            .collect();
        let numbers: Vec<u64> = old
            .iter()
            .zip(&rows)
            .flat_map(|(chunk, rows)| rows.values().iter().map(|row| chunk.number(*row as usize)))
            .collect();
        let column = |index: usize| -> Result<Column> {
            let parts = old.iter().zip(&rows).map(|(chunk, rows)| chunk.taken(index, rows));
            let parts = parts.collect::<Result<Vec<Column>>>()?;
            let lengths = rows.iter().map(UInt32Array::len);
            column::concat(parts, lengths, facts.schema().field(index).data_type())
        };
        let columns = (0..facts.columns.len()).map(column).collect::<Result<Vec<_>>>()?;
        let ids = columns[facts.primary_id_index()].clone();
        let ids = ids.ok_or_else(|| missing_key(facts))?;
        let (file, summary) = self.files.write(facts, &columns, numbers.len())?;
        let (files, memory) = (self.files.clone(), self.memory.clone());
        let sealed = Arc::new(Sealed::new(file, &summary, facts.clone(), files, memory));
        let chunk = Chunk::sealed(Numbers::of(&numbers), sealed.clone());
        Ok(Rewritten { chunk, file: Some((NewFile { sealed, summary }, ids)) })
    }

    /// The rows of an open chunk that the journal has one by one.
    fn moved(&self, table: usize, chunk: &Chunk) -> Result<Vec<u64>> {
        let last = chunk.number(chunk.rows().saturating_sub(1));
        let (reply, moved) = oneshot::channel();
        self.send(Request::Moved(table, chunk.first_number()..=last, reply))?;
        block_on(moved).map_err(|_| super::closed())
    }

    /// Takes rows out of the journal.
    fn forget(&self, Stale { table, numbers, sealed }: Stale) -> Result<()> {
        for part in numbers.chunks(FORGET_ROWS) {
            let (reply, done) = oneshot::channel();
            let part = Stale { table, numbers: part.to_vec(), sealed };
            self.send(Request::Forget(part, reply))?;
            // One at a time: commits that come in meanwhile wait for no more than one.
            block_on(done).map_err(|_| super::closed())?;
        }
        Ok(())
    }

    fn send(&self, request: Request) -> Result<()> {
        let requests = self.requests.upgrade().ok_or_else(super::closed)?;
        block_on(requests.send(request)).map_err(|_| super::closed())
    }
}

/// The keys of a chunk and their row numbers.
fn pairs(chunk: &Chunk, ids: &ArrayRef) -> Vec<(Guid, u64)> {
    let ids = column::guids(ids).enumerate();
    ids.filter_map(|(row, id)| Some((id?, chunk.number(row)))).collect()
}
