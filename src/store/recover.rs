//! Reads a data folder back into memory: what is known of sealed chunks, then single
//! rows, then what changed, then what was deleted. No history is replayed, and no
//! column of a sealed chunk is read but to take changed rows out of its counts.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::num::NonZero;
use std::sync::Arc;
use std::thread;

use super::chunk::{Cells, Chunk, ROWS_MAX};
use super::chunk_file::ChunkFiles;
use super::codec;
use super::journal::Journal;
use super::memory::Memory;
use super::numbering::Numbering;
use super::redo::{Outcome, Replayed, ReplayedRows};
use super::sealed::Sealed;
use super::summary::Summary;
use super::tables::{Row, TableState};
use crate::catalog::{Catalog, Table};
use crate::error::{Error, Result};
use crate::value::Value;

/// What a data folder holds.
pub struct Recovery {
    /// The tables as of the last durable commit.
    pub tables: Vec<TableState>,
    /// The files that the journal names.
    pub named: HashSet<String>,
    /// What the journal has of rows that is out of date.
    pub stale: Vec<Stale>,
}

/// Entries of the journal for single rows that their chunk's file has made void.
pub struct Stale {
    pub table: usize,
    pub numbers: Vec<u64>,
    /// Whether the rows were sealed before, and their chunk has been written anew.
    pub sealed: bool,
}

pub fn recover(
    journal: &Journal,
    replayed: ReplayedRows,
    files: &Arc<ChunkFiles>,
    memory: &Arc<Memory>,
    numbering: &Numbering,
    catalog: &Catalog,
) -> Result<Recovery> {
    let mut tables: Vec<Recovered> = Vec::new();
    for _ in catalog.tables() {
        tables.push(Recovered::default());
    }
    // Rows of tables that the catalog does not have now are left alone.
    let index_of = |number: u16| numbering.index(number);

    let entries = journal.chunk_entries()?;
    let named: HashSet<String> = entries.iter().map(|e| e.file.name.clone()).collect();
    let known = entries.into_iter().filter_map(|entry| Some((index_of(entry.table)?, entry)));
    let known: Vec<_> = known.collect();
    let summaries = side_by_side(&known, |(index, entry)| {
        let summary = files.summary(&catalog.tables()[*index], &entry.file)?;
        files.expect(&entry.file, &summary).map(|()| summary)
    });
    for ((index, entry), summary) in known.into_iter().zip(summaries) {
        let (table, summary) = (&catalog.tables()[index], summary?);
        let sealed =
            Sealed::new(entry.file, &summary, table.clone(), files.clone(), memory.clone());
        let chunk = Chunk::sealed(entry.numbers, Arc::new(sealed));
        tables[index].summaries.insert(chunk.first_number(), summary);
        tables[index].chunks.push(chunk);
    }
    journal.for_each_row(false, |(table, number), bytes| {
        let Some(index) = index_of(table) else { return Ok(()) };
        if tables[index].is_sealed(number) {
            tables[index].stale.push(number);
        } else if replayed.get(&(table, number)).is_none_or(|said| said.row.is_none()) {
            let cells = codec::decode(bytes, &catalog.tables()[index], numbering.table(index))?;
            tables[index].rows.push((number, cells));
        }
        Ok(())
    })?;
    for ((table, number), Replayed { row, change }) in replayed {
        let Some(index) = index_of(table) else { continue };
        if tables[index].is_sealed(number) {
            continue;
        }
        let decode =
            |bytes: &[u8]| codec::decode(bytes, &catalog.tables()[index], numbering.table(index));
        if let Some(Outcome::Cells(bytes)) = row {
            tables[index].rows.push((number, decode(&bytes)?));
        }
        if let Some(bytes) = change {
            tables[index].changes.push((number, decode(&bytes)?));
        }
    }
    journal.for_each_row(true, |(table, number), bytes| {
        let Some(index) = index_of(table) else { return Ok(()) };
        if !tables[index].is_sealed(number) {
            tables[index].left.push(number);
            return Ok(());
        }
        let facts = &catalog.tables()[index];
        // The journal's row takes the place of the whole row in the file, which has the
        // same key.
        let columns = (0..facts.columns.len()).filter(|c| *c != facts.primary_id_index());
        let mut whole: BTreeMap<usize, Value> = columns.map(|c| (c, Value::Null)).collect();
        for (column, value) in codec::decode(bytes, facts, numbering.table(index))? {
            whole.entry(column).and_modify(|cell| *cell = value);
        }
        tables[index].changes.push((number, whole.into_iter().collect()));
        Ok(())
    })?;
    for (index, table) in tables.iter_mut().enumerate() {
        table.chunk_rows(catalog, index);
    }
    journal.for_each_sealed_change(|(table, number), bytes| {
        let Some(index) = index_of(table) else { return Ok(()) };
        match tables[index].is_sealed(number) {
            true => {
                let cells = codec::decode(bytes, &catalog.tables()[index], numbering.table(index))?;
                tables[index].changes.push((number, cells));
            }
            false => tables[index].left.push(number),
        }
        Ok(())
    })?;
    journal.for_each_counted(|(table, number), file, bytes| {
        let Some(index) = index_of(table) else { return Ok(()) };
        let table = &mut tables[index];
        // It may be left over from the file before.
        if table
            .find(number)
            .and_then(|(chunk, _)| table.chunks[chunk].file())
            .map(|f| f.file().checksum)
            == Some(file)
        {
            let cells = codec::decode(bytes, &catalog.tables()[index], numbering.table(index))?;
            table.counted.insert(number, cells.into_iter().collect());
        }
        Ok(())
    })?;
    journal.for_each_deleted(|(table, number)| {
        if let Some(index) = index_of(table) {
            let table = &mut tables[index];
            match table.is_sealed(number) {
                true => table.deleted.push(number),
                false => table.left.push(number),
            }
        }
        Ok(())
    })?;
    let mut stale = Vec::new();
    for (index, table) in tables.iter_mut().enumerate() {
        let mut add = |numbers: Vec<u64>, sealed| {
            if !numbers.is_empty() {
                stale.push(Stale { table: index, numbers, sealed });
            }
        };
        add(std::mem::take(&mut table.stale), false);
        add(table.left.clone(), true);
    }
    let tables = tables.into_iter().enumerate();
    let tables =
        tables.map(|(index, table)| table.finish(catalog, index)).collect::<Result<_>>()?;
    Ok(Recovery { tables, named, stale })
}

/// Does the same with many things on all processors.
fn side_by_side<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let share = items.len().div_ceil(threads).max(1);
    let work = &work;
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for part in items.chunks(share) {
            threads.push(scope.spawn(move || part.iter().map(work).collect::<Vec<R>>()));
        }
        let done = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        done.flatten().collect()
    })
}

/// Rows by their numbers as a chunk.
fn chunk_of(rows: &BTreeMap<u64, BTreeMap<usize, Value>>, table: &Table) -> Chunk {
    let numbers: Vec<u64> = rows.keys().copied().collect();
    if numbers.is_empty() {
        return Chunk::new(0, table.columns.len());
    }
    let mut cells = Cells::new();
    for (place, row) in rows.values().enumerate() {
        for (column, value) in row {
            cells.entry(*column).or_default().push((place, value));
        }
    }
    Chunk::from_rows(&numbers, table.schema(), &cells)
}

/// One table while it is read.
#[derive(Default)]
struct Recovered {
    /// In the order of their row numbers.
    chunks: Vec<Chunk>,
    /// Of sealed chunks, by first row.
    summaries: BTreeMap<u64, Summary>,
    /// Single rows that are sealed now.
    stale: Vec<u64>,
    /// Rows of sealed chunks that were written anew without them.
    left: Vec<u64>,
    rows: Vec<(u64, Row)>,
    changes: Vec<(u64, Row)>,
    deleted: Vec<u64>,
    /// What rows that have changed are counted by in their files.
    counted: BTreeMap<u64, BTreeMap<usize, Value>>,
}

impl Recovered {
    /// The chunk and row of a row number.
    fn find(&self, number: u64) -> Option<(usize, usize)> {
        let after = self.chunks.partition_point(|c| c.first_number() <= number);
        let chunk = after.checked_sub(1)?;
        Some((chunk, self.chunks[chunk].row(number)?))
    }

    fn is_sealed(&self, number: u64) -> bool {
        self.find(number).is_some_and(|(chunk, _)| self.chunks[chunk].file().is_some())
    }

    /// Makes chunks of the rows kept one by one, none across a sealed chunk.
    fn chunk_rows(&mut self, catalog: &Catalog, index: usize) {
        let schema = catalog.tables()[index].schema();
        let mut rows = std::mem::take(&mut self.rows);
        rows.sort_unstable_by_key(|(number, _)| *number);
        let gap = |a: u64, b: u64| self.summaries.range(a..b).next().is_some();
        let mut made = Vec::new();
        let mut start = 0;
        for end in 1..=rows.len() {
            let full = end - start == ROWS_MAX;
            if end == rows.len() || full || gap(rows[end - 1].0, rows[end].0) {
                let part = &rows[start..end];
                let numbers: Vec<u64> = part.iter().map(|(number, _)| *number).collect();
                let mut cells = Cells::new();
                for (row, (_, values)) in part.iter().enumerate() {
                    for (column, value) in values {
                        cells.entry(*column).or_default().push((row, value));
                    }
                }
                made.push(Chunk::from_rows(&numbers, schema, &cells));
                start = end;
            }
        }
        self.chunks.append(&mut made);
        self.chunks.sort_by_key(Chunk::first_number);
    }

    fn finish(mut self, catalog: &Catalog, index: usize) -> Result<TableState> {
        let table = &catalog.tables()[index];
        let mut by_chunk: BTreeMap<usize, Cells<'_>> = BTreeMap::new();
        for (number, cells) in &self.changes {
            let (chunk, row) = self.find(*number).ok_or_else(|| {
                Error::data(format!(
                    "the journal changes row {number} of '{}', which does not exist",
                    table.logical_name
                ))
            })?;
            let columns = by_chunk.entry(chunk).or_default();
            for (column, value) in cells {
                columns.entry(*column).or_default().push((row, value));
            }
        }
        let (before, after) = self.counted(table);
        let mut touched: BTreeMap<u64, BTreeSet<usize>> = BTreeMap::new();
        for (chunk, cells) in by_chunk {
            let chunk = &mut self.chunks[chunk];
            chunk.set(table.schema(), &cells);
            let rows = cells.values().flatten().map(|(row, _)| *row);
            touched.entry(chunk.first_number()).or_default().extend(rows);
        }
        let mut deleted: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for number in &self.deleted {
            // Only what is found is kept.
            if let Some((chunk, row)) = self.find(*number) {
                deleted.entry(chunk).or_default().push(row);
            }
        }
        for (chunk, rows) in deleted {
            let chunk = &mut self.chunks[chunk];
            chunk.delete(&rows);
            touched.entry(chunk.first_number()).or_default().extend(rows);
        }
        let mut state = TableState::new(table.clone());
        for number in self.counted.keys() {
            if let Some((chunk, row)) = self.find(*number)
                && let Some(rows) = touched.get_mut(&self.chunks[chunk].first_number())
            {
                rows.remove(&row);
            }
        }
        touched.retain(|_, rows| !rows.is_empty());
        let next = self.left.iter().max().map_or(0, |last| last + 1);
        state.recover(self.chunks, &self.summaries, &touched, (&before, &after), next)?;
        Ok(state)
    }

    /// The rows of which the journal knows what they are counted by, as their files have
    /// them and as they are.
    fn counted(&self, table: &Table) -> (Chunk, Chunk) {
        let mut now = self.counted.clone();
        for (number, cells) in &self.changes {
            let Some(row) = now.get_mut(number) else { continue };
            for (column, value) in cells {
                row.entry(*column).and_modify(|cell| *cell = value.clone());
            }
        }
        for number in &self.deleted {
            now.remove(number);
        }
        (chunk_of(&self.counted, table), chunk_of(&now, table))
    }
}
