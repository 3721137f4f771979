//! The one writer: a thread that takes requests, makes as many of them durable
//! in one journal batch as have gathered (group commit), applies them to the
//! tables in memory and only then answers. While one group is on its way to the
//! disk, the next one is staged.
//!
//! Invariant: what a snapshot shows is durable. A failed flush stops all
//! commits until a restart; snapshots of what was durable go on.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::common::HashMap;
use parking_lot::RwLock;
use tokio::sync::{mpsc, oneshot};

use super::backup::Source;
use super::chunk::{Chunk, Numbers};
use super::chunk_file::ChunkFiles;
use super::codec;
use super::column;
use super::flusher::{Flushed, Flusher};
use super::group::{Group, View, set};
use super::journal::{Batch, ChunkEntry, Journal, Prepared};
use super::numbering::{Numbering, TableNumbering};
use super::recover::Stale;
use super::redo::Rows;
use super::sealed::Sealed;
use super::summary::Summary;
use super::tables::{TableState, missing_key};
use super::versions::Versions;
use super::{Appended, Change};
use crate::catalog::{Catalog, Table};
use crate::error::{Error, ErrorKind, Result, codes};
use crate::job;
use crate::value::Value;

/// Requests that one journal batch takes at most.
const GROUP_MAX: usize = 4096;

pub type Reply = oneshot::Sender<Result<Appended>>;

pub enum Request {
    /// All changes or none.
    Commit(Vec<Change>, Reply),
    /// Rows whose chunk file is written and synced, and their primary keys.
    Append {
        table: usize,
        ids: ArrayRef,
        file: NewFile,
        reply: Reply,
    },
    /// Everything as of the last commit.
    Backup(oneshot::Sender<Source>),
    Rewrite(Rewrite, oneshot::Sender<Result<bool>>),
    /// Which of some rows of a table, open before, the journal has one by one.
    Moved(usize, RangeInclusive<u64>, oneshot::Sender<Vec<u64>>),
    /// What the journal has of single rows is void since they stand in a new file.
    Forget(Stale, oneshot::Sender<()>),
}

/// Neighbours whose rows stand in one chunk now, or are all deleted.
pub struct Rewrite {
    pub table: usize,
    pub old: Vec<Arc<Chunk>>,
    pub new: Option<Rewritten>,
}

impl Rewrite {
    /// Whether the journal has to say something of it.
    fn is_journaled(&self) -> bool {
        let new = self.new.as_ref().is_some_and(|new| new.file.is_some());
        new || self.old.iter().any(|chunk| chunk.file().is_some())
    }
}

/// The rows of several chunks.
pub struct Rewritten {
    pub chunk: Chunk,
    /// The file, if they stand in one, and their primary keys.
    pub file: Option<(NewFile, ArrayRef)>,
}

/// A chunk file that the journal does not name yet.
pub struct NewFile {
    pub sealed: Arc<Sealed>,
    pub summary: Summary,
}

pub struct Writer {
    journal: Journal,
    flusher: Flusher,
    files: Arc<ChunkFiles>,
    numbering: Numbering,
    tables: Arc<RwLock<Vec<TableState>>>,
    versions: Arc<Versions>,
    /// By table: the columns whose changes are journaled apart from the row.
    lifecycle: Vec<Vec<usize>>,
    /// Set by the first failed flush.
    failed: Option<String>,
    /// What the next batch will hold.
    staged: Staged,
    in_flight: Option<InFlight>,
}

/// A request's answer, to be given when its group is durable.
type Answer = (Reply, Result<Appended>);

/// Requests of one group.
#[derive(Default)]
struct Staged {
    group: Group,
    answers: Vec<Answer>,
}

/// A group on its way to the disk.
struct InFlight {
    staged: Staged,
    flushed: Flushed,
}

impl InFlight {
    fn group(&self) -> &Group {
        &self.staged.group
    }
}

/// The outcome of a group in flight; without one this waits for ever.
async fn flushed(in_flight: &mut Option<InFlight>) -> Result<()> {
    match in_flight {
        Some(InFlight { flushed, .. }) => flushed.outcome().await,
        None => std::future::pending().await,
    }
}

/// The lifecycle columns of each table of a catalog.
fn lifecycle_columns(catalog: &Catalog) -> Vec<Vec<usize>> {
    let of = |table: &Table| {
        let names = if table.logical_name == job::TABLE { job::LIFECYCLE_COLUMNS } else { &[] };
        names.iter().filter_map(|name| table.column_index(name)).collect()
    };
    catalog.tables().iter().map(|t| of(t)).collect()
}

impl Writer {
    /// A writer for what a data folder holds.
    pub fn new(
        journal: Journal,
        files: Arc<ChunkFiles>,
        numbering: Numbering,
        tables: Arc<RwLock<Vec<TableState>>>,
        versions: Arc<Versions>,
        catalog: &Catalog,
    ) -> Result<Self> {
        Ok(Self {
            journal,
            flusher: Flusher::start()?,
            files,
            numbering,
            tables,
            versions,
            lifecycle: lifecycle_columns(catalog),
            failed: None,
            staged: Staged::default(),
            in_flight: None,
        })
    }

    /// Serves requests until every sender is gone.
    pub async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        loop {
            tokio::select! {
                biased;
                outcome = flushed(&mut self.in_flight) => self.settle(outcome),
                request = requests.recv(), if self.staged.answers.len() < GROUP_MAX => {
                    let Some(request) = request else { break };
                    self.take(request).await;
                    while self.staged.answers.len() < GROUP_MAX
                        && let Ok(request) = requests.try_recv()
                    {
                        self.take(request).await;
                    }
                    self.begin();
                }
            }
        }
        self.all_durable().await;
    }

    async fn take(&mut self, request: Request) {
        match request {
            Request::Commit(changes, reply) => {
                let (tables, before) = (self.tables.read(), self.in_flight.as_ref());
                let view = View { tables: &tables, before: before.map(InFlight::group) };
                let answer = match self.usable() {
                    Ok(()) => self.staged.group.stage(changes, view, &self.versions),
                    Err(error) => Err(error),
                };
                self.staged.answers.push((reply, answer));
            }
            // A caller that went away no longer needs the answer.
            Request::Append { table, ids, file, reply } => {
                self.all_durable().await;
                let _ = reply.send(self.append(table, &ids, file).await);
            }
            Request::Rewrite(rewrite, reply) => {
                // What is on its way counts on where the journal has the rows.
                if rewrite.is_journaled() {
                    self.all_durable().await;
                }
                let _ = reply.send(self.rewrite(rewrite).await);
            }
            Request::Backup(reply) => {
                self.all_durable().await;
                let _ = reply.send(self.source());
            }
            Request::Moved(table, numbers, reply) => {
                let number = self.numbering.table(table).table();
                // Whoever asked for it may be gone.
                let _ = reply.send(self.journal.moved(number, &numbers));
            }
            Request::Forget(stale, reply) => self.forget(&stale, reply),
        }
    }

    /// Hands what is staged to the thread that makes it durable, if that one has
    /// nothing to do.
    fn begin(&mut self) {
        if self.in_flight.is_some() || self.staged.answers.is_empty() {
            return;
        }
        let staged = std::mem::take(&mut self.staged);
        self.in_flight = self.flush(staged, None);
    }

    /// The group in flight is durable, or will never be. The next one goes on its way
    /// before this one is applied, so that the disk need not wait for that.
    fn settle(&mut self, outcome: Result<()>) {
        let Some(InFlight { staged, .. }) = self.in_flight.take() else { return };
        let outcome = self.note(outcome);
        if outcome.is_ok() && !self.staged.answers.is_empty() {
            let next = std::mem::take(&mut self.staged);
            self.in_flight = self.flush(next, Some(&staged.group));
        }
        if outcome.is_ok() {
            staged.group.apply(&mut self.tables.write());
        }
        self.answer(staged.answers, outcome.is_ok());
        if outcome.is_ok() {
            self.move_rows(self.journal.too_many());
        }
        // What was staged on top of a group that failed fails too.
        if outcome.is_err() {
            let next = std::mem::take(&mut self.staged);
            self.answer(next.answers, false);
        }
    }

    /// Waits until everything that was taken is durable and applied.
    async fn all_durable(&mut self) {
        self.begin();
        while self.in_flight.is_some() {
            let outcome = flushed(&mut self.in_flight).await;
            self.settle(outcome);
        }
    }

    fn usable(&self) -> Result<()> {
        match &self.failed {
            None => Ok(()),
            Some(why) => Err(Error::new(
                ErrorKind::Closed,
                codes::UNEXPECTED,
                format!("nothing is written any more since a flush failed ({why}); restart sysjob"),
            )),
        }
    }

    /// Answers requests whose group is durable now, or never will be.
    fn answer(&self, answers: Vec<Answer>, durable: bool) {
        for (reply, answer) in answers {
            let answer = match answer {
                Ok(_) if !durable => self.usable().map(|()| Appended::default()),
                answer => answer,
            };
            // A caller that went away no longer needs the answer.
            let _ = reply.send(answer);
        }
    }

    /// Sends a group to be made durable; not if there is nothing of it to write, which
    /// is answered at once. `before` is durable, but not applied yet.
    fn flush(&mut self, staged: Staged, before: Option<&Group>) -> Option<InFlight> {
        let Staged { mut group, answers } = staged;
        let batch = match group.unreadable.take() {
            Some(error) => Err(error),
            None if group.is_empty() => Ok(None),
            None => self.prepare(&group, before).map(Some),
        };
        match self.note(batch) {
            Ok(Some(batch)) => {
                let flushed = self.flusher.flush(|| batch.commit());
                return Some(InFlight { staged: Staged { group, answers }, flushed });
            }
            outcome => self.answer(answers, outcome.is_ok()),
        }
        None
    }

    /// The journal batch of a group.
    fn prepare(&mut self, group: &Group, before: Option<&Group>) -> Result<Prepared> {
        let tables = self.tables.read();
        let view = View { tables: &tables, before };
        // Taking rows out of counts must not wait for a disk, nor fail.
        let mut changed = group.updates.keys().chain(&group.deletes);
        changed.try_for_each(|(table, number)| tables[*table].load_counted(*number))?;
        let mut batch = self.journal.batch();
        for (table, rows) in &group.inserts {
            let numbering = self.numbering.table(*table);
            for (offset, row) in rows.iter().enumerate() {
                if let Some(row) = row {
                    let number = view.next(*table) + offset as u64;
                    let bytes = codec::encode(row, &tables[*table].table, numbering);
                    batch.put_row((numbering.table(), number), bytes, false);
                }
            }
        }
        for ((table, number), cells) in &group.updates {
            let numbering = self.numbering.table(*table);
            let state = &tables[*table];
            let lifecycle = &self.lifecycle[*table];
            let small = !lifecycle.is_empty() && cells.iter().all(|(c, _)| lifecycle.contains(c));
            let mut image = match small {
                true => view.cells(*table, *number, lifecycle.iter().copied()),
                false => view.cells(*table, *number, 0..state.table.columns.len()),
            };
            for (column, value) in cells {
                set(&mut image, *column, value.clone());
            }
            let (key, sealed) = ((numbering.table(), *number), state.is_sealed(*number));
            put_counted(&mut batch, state, numbering, *number);
            if small {
                batch.put_change(key, codec::encode(&image, &state.table, numbering), sealed);
            } else {
                image.retain(|(_, value)| *value != Value::Null);
                batch.put_row(key, codec::encode(&image, &state.table, numbering), sealed);
            }
        }
        for (table, number) in &group.deletes {
            let numbering = self.numbering.table(*table);
            put_counted(&mut batch, &tables[*table], numbering, *number);
            batch.delete_row((numbering.table(), *number), tables[*table].is_sealed(*number));
        }
        Ok(batch.prepare())
    }

    /// Remembers a failure, after which nothing may be written.
    fn note<T>(&mut self, outcome: Result<T>) -> Result<T> {
        if let Err(e) = &outcome {
            self.failed = Some(e.to_string());
        }
        outcome
    }

    /// Waits for one batch.
    async fn durable(&mut self, batch: Prepared) -> Result<()> {
        let outcome = self.flusher.flush(|| batch.commit()).outcome().await;
        self.note(outcome)
    }

    async fn append(&mut self, table: usize, ids: &ArrayRef, file: NewFile) -> Result<Appended> {
        self.usable()?;
        let number = self.numbering.table(table).table();
        let mut replaced = BTreeSet::new();
        let mut seen = HashMap::new();
        let mut hidden = Vec::new();
        let first = {
            let tables = self.tables.read();
            let state = &tables[table];
            for (row, id) in column::guids(ids).enumerate() {
                let id = id.ok_or_else(|| missing_key(&state.table))?;
                replaced.extend(state.find(&id)?);
                hidden.extend(seen.insert(id, row));
            }
            state.next()
        };
        hidden.sort_unstable();
        let inserted = (seen.len() - replaced.len()) as u64;
        let entry = ChunkEntry {
            table: number,
            numbers: Numbers::From(first),
            file: file.sealed.file().clone(),
        };
        let mut journal = self.journal.batch();
        journal.put_chunk(&entry);
        {
            let state = &self.tables.read()[table];
            for row in &replaced {
                state.load_counted(*row)?;
                put_counted(&mut journal, state, self.numbering.table(table), *row);
                journal.delete_row((number, *row), state.is_sealed(*row));
            }
        }
        for row in &hidden {
            journal.delete_row((number, first + *row as u64), true);
        }
        let journal = journal.prepare();
        self.durable(journal).await?;
        self.add_filter(table, first, &file);
        let mut tables = self.tables.write();
        let replaced: Vec<u64> = replaced.into_iter().collect();
        tables[table].delete(&replaced);
        tables[table].append(
            Chunk::sealed(entry.numbers, file.sealed),
            &file.summary,
            ids,
            &hidden,
        )?;
        // Earlier rows of the batch are replaced too, as in a commit.
        Ok(Appended { inserted, replaced: ids.len() as u64 - inserted })
    }

    /// What a backup is made of: only this thread changes journal and tables.
    fn source(&self) -> Source {
        let tables = self.tables.read();
        let chunks = tables.iter().flat_map(TableState::chunks);
        let chunks = chunks.filter(|chunk| chunk.file().is_some()).cloned().collect();
        Source::new(self.journal.snapshot(), self.files.clone(), chunks)
    }

    /// Before the chunk is seen, so that nobody waits for it under the lock.
    fn add_filter(&self, table: usize, first: u64, file: &NewFile) {
        if let Some(filter) = &file.summary.filter {
            let ids = self.tables.read()[table].ids().clone();
            ids.add_filter(first, filter, &file.sealed);
        }
    }

    /// Puts a chunk in the place of some that have not changed since; false if they have.
    async fn rewrite(&mut self, Rewrite { table, old, new }: Rewrite) -> Result<bool> {
        self.usable()?;
        if !old.iter().all(|chunk| self.tables.read()[table].has(chunk)) {
            return Ok(false);
        }
        let number = self.numbering.table(table).table();
        let first = new.as_ref().map(|new| new.chunk.first_number());
        let mut journal = self.journal.batch();
        for chunk in old.iter().filter(|chunk| chunk.file().is_some()) {
            if Some(chunk.first_number()) != first {
                journal.remove_chunk(number, chunk.first_number());
            }
            // No chunk says any more that what is said of these is out of date.
            chunk.deleted().for_each(|row| journal.delete_row((number, row), false));
        }
        if let Some(Rewritten { chunk, file: Some((file, _)) }) = &new {
            let (numbers, file) = (chunk.numbers().clone(), file.sealed.file().clone());
            journal.put_chunk(&ChunkEntry { table: number, numbers, file });
        }
        // Chunks in memory are no concern of the journal.
        if !journal.is_empty() {
            let journal = journal.prepare();
            self.durable(journal).await?;
        }
        if let Some(Rewritten { chunk, file: Some((file, ids)) }) = &new {
            self.add_filter(table, chunk.first_number(), file);
            if file.summary.filter.is_none() {
                let look_up = self.tables.read()[table].ids().clone();
                for (row, id) in column::guids(ids).enumerate() {
                    id.map(|id| look_up.insert(id, chunk.number(row)));
                }
            }
        }
        let is_sealed = new.as_ref().is_some_and(|new| new.file.is_some());
        self.tables.write()[table].replace(&old, new.map(|new| new.chunk));
        if is_sealed {
            self.move_rows(self.sparse());
        }
        Ok(true)
    }

    /// How many of the journal's oldest entries say hardly anything of open rows.
    fn sparse(&self) -> usize {
        let tables = self.tables.read();
        self.journal.redo().sparse(|Rows { table, numbers }| {
            let index = self.numbering.index(*table);
            index.is_some_and(|index| tables[index].is_open(numbers.clone()))
        })
    }

    /// Makes do without some of the journal's oldest entries: rows in them that are
    /// still open are copied. Durable with the next group, or not at all.
    fn move_rows(&mut self, entries: usize) {
        if entries == 0 {
            return;
        }
        let tables = self.tables.read();
        let view = View { tables: &tables, before: self.in_flight.as_ref().map(InFlight::group) };
        let mut batch = self.journal.unsynced_batch();
        let rows: Vec<Rows> = (0..entries).flat_map(|_| batch.take_oldest()).collect();
        for Rows { table, numbers } in rows {
            let index = self.numbering.index(table);
            let Some(index) = index.filter(|index| tables[*index].is_open(numbers.clone())) else {
                continue;
            };
            for number in numbers {
                if let Some(cells) = view.open_row(index, number) {
                    let facts = &tables[index].table;
                    let cells = codec::encode(&cells, facts, self.numbering.table(index));
                    batch.keep_row((table, number), cells);
                }
            }
        }
        let batch = batch.prepare();
        // What follows fails too if this does.
        self.flusher.begin(|| batch.commit(), drop);
    }

    /// Not durable by itself: the next group makes it so. If it fails, so does that.
    fn forget(&mut self, stale: &Stale, done: oneshot::Sender<()>) {
        let number = self.numbering.table(stale.table).table();
        let tables = self.tables.read();
        let view = View { tables: &tables, before: self.in_flight.as_ref().map(InFlight::group) };
        let mut journal = self.journal.unsynced_batch();
        for row in &stale.numbers {
            if !stale.sealed {
                journal.forget_open_row((number, *row));
            } else if !view.has_left_file(stale.table, *row) {
                // A row may have changed again since its chunk was written anew.
                journal.forget_row((number, *row));
            }
        }
        let done = move |_| {
            // Whoever asked for it may be gone.
            let _ = done.send(());
        };
        if journal.is_empty() {
            return done(Ok(()));
        }
        let batch = journal.prepare();
        self.flusher.begin(|| batch.commit(), done);
    }
}

/// Writes down what a sealed row is counted by when it changes for the first time, so
/// that nobody has to read its file to take it out of the counts.
fn put_counted(batch: &mut Batch<'_>, state: &TableState, numbering: &TableNumbering, number: u64) {
    if let Some((file, cells)) = state.counted(number) {
        let cells = codec::encode(&cells, &state.table, numbering);
        batch.put_counted((numbering.table(), number), file, &cells);
    }
}
