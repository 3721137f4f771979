//! The one writer: a thread that takes requests, makes as many of them durable
//! in one journal batch as have gathered (group commit), applies them to the
//! tables in memory and only then answers.
//!
//! Invariant: what a snapshot shows is durable. A failed flush stops all
//! commits until a restart; snapshots of what was durable go on.

use std::collections::{BTreeMap, BTreeSet};
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
use super::journal::{Batch, ChunkEntry, Journal};
use super::numbering::{Numbering, TableNumbering};
use super::recover::Stale;
use super::sealed::Sealed;
use super::summary::Summary;
use super::tables::{Row, TableState, missing_key};
use super::versions::Versions;
use super::{Appended, Change};
use crate::error::{Error, ErrorKind, Result, codes};
use crate::job;
use crate::value::{Guid, Value, guid_text};

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
    /// Entries for single rows that their chunk's file has made void are to go.
    Forget(Stale, oneshot::Sender<()>),
}

/// Neighbours whose rows stand in one chunk now, or are all deleted.
pub struct Rewrite {
    pub table: usize,
    pub old: Vec<Arc<Chunk>>,
    pub new: Option<Rewritten>,
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
    pub journal: Journal,
    pub files: Arc<ChunkFiles>,
    pub numbering: Numbering,
    pub tables: Arc<RwLock<Vec<TableState>>>,
    pub versions: Arc<Versions>,
    /// By table: the columns whose changes are journaled apart from the row.
    pub lifecycle: Vec<Vec<usize>>,
    /// Set by the first failed flush.
    pub failed: Option<String>,
}

/// What a journal batch will hold, in terms of rows.
#[derive(Default)]
struct Group {
    /// By table, in the order of their row numbers; `None`: deleted again.
    inserts: BTreeMap<usize, Vec<Option<Row>>>,
    updates: BTreeMap<(usize, u64), Row>,
    deletes: BTreeSet<(usize, u64)>,
    /// Where primary keys are that were looked for or have changed.
    ids: HashMap<(usize, Guid), Option<u64>>,
    /// A chunk file that could not be read; nothing of the group may be written.
    unreadable: Option<Error>,
}

/// The lifecycle columns of each table of a catalog.
pub fn lifecycle_columns(catalog: &crate::catalog::Catalog) -> Vec<Vec<usize>> {
    let of = |table: &crate::catalog::Table| {
        let names = if table.logical_name == job::TABLE { job::LIFECYCLE_COLUMNS } else { &[] };
        names.iter().filter_map(|name| table.column_index(name)).collect()
    };
    catalog.tables().iter().map(|t| of(t)).collect()
}

impl Writer {
    /// Serves requests until every sender is gone.
    pub fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        while let Some(request) = requests.blocking_recv() {
            let mut commits = Vec::new();
            let mut next = Some(request);
            while let Some(request) = next.take() {
                match request {
                    Request::Commit(changes, reply) => commits.push((changes, reply)),
                    Request::Append { table, ids, file, reply } => {
                        self.commit(std::mem::take(&mut commits));
                        let answer = self.append(table, &ids, file);
                        // A caller that went away no longer needs the answer.
                        let _ = reply.send(answer);
                    }
                    Request::Rewrite(rewrite, reply) => {
                        self.commit(std::mem::take(&mut commits));
                        let _ = reply.send(self.rewrite(rewrite));
                    }
                    Request::Backup(reply) => {
                        self.commit(std::mem::take(&mut commits));
                        let _ = reply.send(self.source());
                    }
                    Request::Forget(stale, reply) => {
                        self.commit(std::mem::take(&mut commits));
                        self.forget(&stale);
                        let _ = reply.send(());
                    }
                }
                if commits.len() < GROUP_MAX {
                    next = requests.try_recv().ok();
                }
            }
            self.commit(commits);
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

    fn commit(&mut self, commits: Vec<(Vec<Change>, Reply)>) {
        if commits.is_empty() {
            return;
        }
        let mut group = Group::default();
        let mut answers = Vec::with_capacity(commits.len());
        {
            let tables = self.tables.read();
            for (changes, reply) in commits {
                let answer =
                    self.usable().and_then(|()| group.stage(changes, &tables, &self.versions));
                answers.push((reply, answer));
            }
        }
        let outcome = match group.unreadable.take() {
            None => self.write(&group),
            Some(error) => self.note(Err(error)),
        };
        if outcome.is_ok() {
            group.apply(&mut self.tables.write());
        }
        for (reply, answer) in answers {
            let answer = match (&outcome, answer) {
                (Err(_), Ok(_)) => self.usable().map(|()| Appended::default()),
                (_, answer) => answer,
            };
            let _ = reply.send(answer);
        }
    }

    /// Makes a group durable.
    fn write(&mut self, group: &Group) -> Result<()> {
        if group.inserts.is_empty() && group.updates.is_empty() && group.deletes.is_empty() {
            return Ok(());
        }
        let tables = self.tables.read();
        // Taking rows out of counts must not wait for a disk, nor fail.
        let mut changed = group.updates.keys().chain(&group.deletes);
        let loaded = changed.try_for_each(|(table, number)| tables[*table].load_counted(*number));
        if loaded.is_err() {
            drop(tables);
            return self.note(loaded);
        }
        let mut batch = self.journal.batch();
        for (table, rows) in &group.inserts {
            let numbering = self.numbering.table(*table);
            for (offset, row) in rows.iter().enumerate() {
                if let Some(row) = row {
                    let number = tables[*table].next() + offset as u64;
                    let bytes = codec::encode(row, &tables[*table].table, numbering);
                    batch.put_row((numbering.table(), number), bytes, false, false);
                }
            }
        }
        for ((table, number), cells) in &group.updates {
            let numbering = self.numbering.table(*table);
            let state = &tables[*table];
            let lifecycle = &self.lifecycle[*table];
            let small = !lifecycle.is_empty() && cells.iter().all(|(c, _)| lifecycle.contains(c));
            let mut image = match small {
                true => state.cells(*number, lifecycle.iter().copied()),
                false => state.cells(*number, 0..state.table.columns.len()),
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
                batch.put_row(key, codec::encode(&image, &state.table, numbering), true, sealed);
            }
        }
        for (table, number) in &group.deletes {
            let numbering = self.numbering.table(*table);
            put_counted(&mut batch, &tables[*table], numbering, *number);
            batch.delete_row((numbering.table(), *number), tables[*table].is_sealed(*number));
        }
        drop(tables);
        let outcome = batch.commit();
        self.note(outcome)
    }

    fn note(&mut self, outcome: Result<()>) -> Result<()> {
        if let Err(e) = &outcome {
            self.failed = Some(e.to_string());
        }
        outcome
    }

    fn append(&mut self, table: usize, ids: &ArrayRef, file: NewFile) -> Result<Appended> {
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
        let outcome = journal.commit();
        self.note(outcome)?;
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
    fn rewrite(&mut self, Rewrite { table, old, new }: Rewrite) -> Result<bool> {
        self.usable()?;
        if !old.iter().all(|chunk| self.tables.read()[table].has(chunk)) {
            return Ok(false);
        }
        let number = self.numbering.table(table).table();
        let first = new.as_ref().map(|new| new.chunk.first_number());
        let mut journal = self.journal.batch();
        let sealed = old.iter().filter(|chunk| chunk.file().is_some()).map(|c| c.first_number());
        sealed.filter(|old| Some(*old) != first).for_each(|old| journal.remove_chunk(number, old));
        if let Some(Rewritten { chunk, file: Some((file, _)) }) = &new {
            let (numbers, file) = (chunk.numbers().clone(), file.sealed.file().clone());
            journal.put_chunk(&ChunkEntry { table: number, numbers, file });
        }
        // Chunks in memory are no concern of the journal.
        if !journal.is_empty() {
            let outcome = journal.commit();
            self.note(outcome)?;
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
        self.tables.write()[table].replace(&old, new.map(|new| new.chunk));
        Ok(true)
    }

    fn forget(&mut self, stale: &Stale) {
        if self.usable().is_err() {
            return;
        }
        let Stale { table, numbers, sealed } = stale;
        let changed = !self.lifecycle[*table].is_empty();
        let number = self.numbering.table(*table).table();
        let tables = self.tables.read();
        let mut journal = self.journal.unsynced_batch();
        // A row may have changed again since its chunk was written anew.
        let void = |row: &&u64| !sealed || !tables[*table].has_left_file(**row);
        for row in numbers.iter().filter(void) {
            journal.forget_row((number, *row), *sealed, changed);
        }
        drop(tables);
        if let Err(e) = journal.commit() {
            self.failed = Some(e.to_string());
        }
    }
}

impl Group {
    fn find(&mut self, tables: &[TableState], table: usize, id: &Guid) -> Option<u64> {
        if let Some(known) = self.ids.get(&(table, *id)) {
            return *known;
        }
        let found = tables[table].find(id).unwrap_or_else(|e| {
            self.unreadable = Some(e);
            None
        });
        self.ids.insert((table, *id), found);
        found
    }

    /// Takes in one request's changes, all or none.
    fn stage(
        &mut self,
        changes: Vec<Change>,
        tables: &[TableState],
        versions: &Versions,
    ) -> Result<Appended> {
        self.check(&changes, tables)?;
        let version = versions.next();
        let mut done = Appended::default();
        for change in changes {
            match change {
                Change::Insert { table, mut values } => {
                    versions.stamp(table, &mut values, version);
                    let id = key_of(tables, table, &values)?;
                    match self.find(tables, table, &id) {
                        Some(number) => {
                            self.delete(tables, table, number);
                            done.replaced += 1;
                        }
                        None => done.inserted += 1,
                    }
                    self.add(tables, table, id, values);
                }
                Change::Append { table, mut values } => {
                    versions.stamp(table, &mut values, version);
                    let id = key_of(tables, table, &values)?;
                    self.add(tables, table, id, values);
                    done.inserted += 1;
                }
                Change::Update { table, id, mut values } => {
                    versions.stamp(table, &mut values, version);
                    if let Some(number) = self.find(tables, table, &id) {
                        self.update(tables, table, number, values);
                    }
                }
                Change::Delete { table, id } => {
                    if let Some(number) = self.find(tables, table, &id) {
                        self.delete(tables, table, number);
                        self.ids.insert((table, id), None);
                    }
                }
            }
        }
        Ok(done)
    }

    /// Whether all rows that the changes need are there.
    fn check(&mut self, changes: &[Change], tables: &[TableState]) -> Result<()> {
        let mut here: HashMap<(usize, Guid), bool> = HashMap::new();
        for change in changes {
            match change {
                Change::Insert { table, values } | Change::Append { table, values } => {
                    here.insert((*table, key_of(tables, *table, values)?), true);
                }
                Change::Update { table, id, .. } | Change::Delete { table, id } => {
                    let there = match here.get(&(*table, *id)) {
                        Some(there) => *there,
                        None => self.find(tables, *table, id).is_some(),
                    };
                    if !there {
                        let name = &tables[*table].table.schema_name;
                        return Err(Error::new(
                            ErrorKind::NotFound,
                            codes::OBJECT_DOES_NOT_EXIST,
                            format!("{name} With Id = {} Does Not Exist", guid_text(id)),
                        ));
                    }
                    if matches!(change, Change::Delete { .. }) {
                        here.insert((*table, *id), false);
                    }
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, tables: &[TableState], table: usize, id: Guid, values: Row) {
        let rows = self.inserts.entry(table).or_default();
        self.ids.insert((table, id), Some(tables[table].next() + rows.len() as u64));
        rows.push(Some(values));
    }

    fn update(&mut self, tables: &[TableState], table: usize, number: u64, values: Row) {
        match number.checked_sub(tables[table].next()) {
            Some(offset) => {
                let rows = self.inserts.get_mut(&table).expect("a staged number is a staged row");
                let row = rows[offset as usize].as_mut().expect("a deleted row is not found");
                values.into_iter().for_each(|(column, value)| set(row, column, value));
            }
            None => {
                let row = self.updates.entry((table, number)).or_default();
                values.into_iter().for_each(|(column, value)| set(row, column, value));
            }
        }
    }

    fn delete(&mut self, tables: &[TableState], table: usize, number: u64) {
        match number.checked_sub(tables[table].next()) {
            Some(offset) => {
                let rows = self.inserts.get_mut(&table).expect("a staged number is a staged row");
                rows[offset as usize] = None;
            }
            None => {
                self.updates.remove(&(table, number));
                self.deletes.insert((table, number));
            }
        }
    }

    /// Makes the group visible.
    fn apply(self, tables: &mut [TableState]) {
        let mut deletes: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
        for (table, number) in self.deletes {
            deletes.entry(table).or_default().push(number);
        }
        for (table, numbers) in deletes {
            tables[table].delete(&numbers);
        }
        let mut updates: BTreeMap<usize, Vec<(u64, Row)>> = BTreeMap::new();
        for ((table, number), cells) in self.updates {
            updates.entry(table).or_default().push((number, cells));
        }
        for (table, rows) in updates {
            tables[table].update(&rows);
        }
        for (table, rows) in self.inserts {
            tables[table].insert(&rows);
        }
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

/// Sets a cell of a row.
fn set(row: &mut Row, column: usize, value: Value) {
    match row.iter_mut().find(|(c, _)| *c == column) {
        Some(cell) => cell.1 = value,
        None => row.push((column, value)),
    }
}

fn key_of(tables: &[TableState], table: usize, values: &Row) -> Result<Guid> {
    let key = tables[table].key;
    values
        .iter()
        .find_map(|(column, value)| match value {
            Value::Guid(id) if *column == key => Some(*id),
            _ => None,
        })
        .ok_or_else(|| missing_key(&tables[table].table))
}
