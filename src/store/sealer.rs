//! Seals chunks: writes them to files and takes their rows out of the journal.
//!
//! The work is done on a thread of its own, on a chunk as a snapshot has it; the
//! writer then puts the sealed chunk in its place if nothing has changed meanwhile.
//! A chunk of jobs may be sealed when all of them have ended, one of another table
//! when it has not changed since the last look.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use datafusion::arrow::array::types::Int32Type;
use datafusion::arrow::array::{AsArray, UInt32Array};
use futures::executor::block_on;
use parking_lot::RwLock;
use tokio::sync::mpsc::WeakSender;
use tokio::sync::oneshot;

use super::chunk::{Chunk, Numbers, ROWS_MAX};
use super::chunk_file::ChunkFiles;
use super::column;
use super::counts::Counts;
use super::memory::Memory;
use super::sealed::Sealed;
use super::tables::TableState;
use super::writer::{NewFile, Request};
use crate::catalog::{Catalog, ColumnType, Table};
use crate::error::{Error, Result};
use crate::job::{self, Status};

/// Between two looks at the tables.
const EVERY: Duration = Duration::from_secs(2);

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
    pub fn begin(sealer: Sealer, stale: Vec<(usize, Vec<u64>)>) -> Result<Self> {
        let sealer = Arc::new(sealer);
        let (stop, stopped) = mpsc::channel();
        let own = sealer.clone();
        let thread = std::thread::Builder::new()
            .name("sysjob-sealer".into())
            .spawn(move || {
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
    fn run(&self, stale: Vec<(usize, Vec<u64>)>, stopped: &mpsc::Receiver<()>) -> Result<()> {
        for (table, numbers) in stale {
            self.forget(table, &numbers)?;
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
                let full = self.tables.read()[table].sealable(ROWS_MAX);
                for chunk in full {
                    now.push(Arc::downgrade(&chunk));
                    if known(&chunk) && self.has_ended(table, &chunk)? {
                        self.seal_chunk(table, chunk)?;
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

    /// Seals chunks now, if they have enough rows; how many.
    pub fn seal(&self, rows_min: usize) -> Result<usize> {
        let mut sealed = 0;
        for table in 0..self.catalog.tables().len() {
            let chunks = self.tables.read()[table].sealable(rows_min.max(1));
            for chunk in chunks {
                if self.has_ended(table, &chunk)? && self.seal_chunk(table, chunk)? {
                    sealed += 1;
                }
            }
        }
        Ok(sealed)
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

    /// Whether the chunk was still the same at the end.
    fn seal_chunk(&self, table: usize, old: Arc<Chunk>) -> Result<bool> {
        let facts: &Arc<Table> = &self.catalog.tables()[table];
        let rows: Vec<u32> = match old.alive() {
            Some(alive) => alive.set_indices_u32().collect(),
            None => (0..old.rows() as u32).collect(),
        };
        let numbers: Vec<u64> = rows.iter().map(|row| old.number(*row as usize)).collect();
        let rows = UInt32Array::from(rows);
        let columns = (0..facts.columns.len())
            .map(|index| old.taken(index, &rows))
            .collect::<Result<Vec<_>>>()?;
        let key = columns[facts.primary_id_index()].clone();
        let (file, summary) = self.files.write(facts, &columns, rows.len())?;
        drop(columns);
        let name = file.name.clone();
        let sealed =
            Sealed::new(file, &summary, facts.clone(), self.files.clone(), self.memory.clone());
        let sealed = Arc::new(sealed);
        let new = Chunk::sealed(Numbers::of(&numbers), sealed.clone());
        let filtered = summary.filter.is_some();
        let (reply, answer) = oneshot::channel();
        let file = NewFile { sealed, summary };
        self.send(Request::Seal { table, old, new, file, reply })?;
        if !block_on(answer).map_err(|_| super::closed())?? {
            self.files.remove(&name)?;
            return Ok(false);
        }
        // The look-up finds the keys by the filter now.
        if let (Some(key), true) = (key, filtered) {
            let ids = self.tables.read()[table].ids().clone();
            let pairs: Vec<_> =
                column::guids(&key).flatten().zip(numbers.iter().copied()).collect();
            pairs.chunks(FORGET_ROWS).for_each(|part| ids.remove(part.iter().copied()));
        }
        self.forget(table, &numbers)?;
        Ok(true)
    }

    /// Takes rows out of the journal, little by little.
    fn forget(&self, table: usize, numbers: &[u64]) -> Result<()> {
        for part in numbers.chunks(FORGET_ROWS) {
            self.send(Request::Forget { table, numbers: part.to_vec() })?;
        }
        Ok(())
    }

    fn send(&self, request: Request) -> Result<()> {
        let requests = self.requests.upgrade().ok_or_else(super::closed)?;
        block_on(requests.send(request)).map_err(|_| super::closed())
    }
}
