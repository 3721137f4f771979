//! Reads a data folder back into memory: what is known of sealed chunks, then single
//! rows, then what changed, then what was deleted. No history is replayed, and no
//! column of a sealed chunk is read but to take changed rows out of its counts.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use super::chunk::{Cells, Chunk, ROWS_MAX};
use super::chunk_file::ChunkFiles;
use super::codec;
use super::journal::Journal;
use super::memory::Memory;
use super::numbering::Numbering;
use super::sealed::Sealed;
use super::summary::Summary;
use super::tables::{Row, TableState};
use crate::catalog::Catalog;
use crate::error::{Error, Result};
use crate::value::Value;

/// What a data folder holds.
pub struct Recovery {
    /// The tables as of the last durable commit.
    pub tables: Vec<TableState>,
    /// The files that the journal names.
    pub named: HashSet<String>,
    /// By table: rows of sealed chunks that the journal still has as single rows.
    pub stale: Vec<(usize, Vec<u64>)>,
}

pub fn recover(
    journal: &Journal,
    files: &Arc<ChunkFiles>,
    memory: &Arc<Memory>,
    numbering: &Numbering,
    catalog: &Catalog,
) -> Result<Recovery> {
    let mut tables: Vec<Recovered> = Vec::new();
    for _ in catalog.tables() {
        tables.push(Recovered::default());
    }
    let by_number: BTreeMap<u16, usize> =
        (0..tables.len()).map(|index| (numbering.table(index).table(), index)).collect();
    // Rows of tables that the catalog does not have now are left alone.
    let index_of = |number: u16| by_number.get(&number).copied();

    let entries = journal.chunk_entries()?;
    let named: HashSet<String> = entries.iter().map(|e| e.file.name.clone()).collect();
    for entry in entries {
        let Some(index) = index_of(entry.table) else { continue };
        let table = &catalog.tables()[index];
        let summary = files.summary(table, &entry.file)?;
        files.expect(&entry.file, &summary)?;
        let sealed =
            Sealed::new(entry.file, &summary, table.clone(), files.clone(), memory.clone());
        let chunk = Chunk::sealed(entry.numbers, Arc::new(sealed));
        tables[index].summaries.insert(chunk.first_number(), summary);
        tables[index].chunks.push(chunk);
    }
    for sealed in [false, true] {
        journal.for_each_row(sealed, |(table, number), bytes| {
            let Some(index) = index_of(table) else { return Ok(()) };
            let facts = &catalog.tables()[index];
            let cells = codec::decode(bytes, facts, numbering.table(index))?;
            match (sealed, tables[index].is_sealed(number)) {
                (false, false) => tables[index].rows.push((number, cells)),
                (false, true) => tables[index].stale.push(number),
                (true, _) => {
                    // The journal's row takes the place of the whole row in the file,
                    // which has the same key.
                    let columns =
                        (0..facts.columns.len()).filter(|c| *c != facts.primary_id_index());
                    let mut whole: BTreeMap<usize, Value> =
                        columns.map(|c| (c, Value::Null)).collect();
                    for (column, value) in cells {
                        whole.entry(column).and_modify(|cell| *cell = value);
                    }
                    tables[index].changes.push((number, whole.into_iter().collect()));
                }
            }
            Ok(())
        })?;
    }
    for (index, table) in tables.iter_mut().enumerate() {
        table.chunk_rows(catalog, index);
    }
    for sealed in [false, true] {
        journal.for_each_change(sealed, |(table, number), bytes| {
            let Some(index) = index_of(table) else { return Ok(()) };
            let cells = codec::decode(bytes, &catalog.tables()[index], numbering.table(index))?;
            match !sealed && tables[index].is_sealed(number) {
                true => tables[index].stale.push(number),
                false => tables[index].changes.push((number, cells)),
            }
            Ok(())
        })?;
    }
    journal.for_each_deleted(|(table, number)| {
        if let Some(index) = index_of(table) {
            tables[index].deleted.push(number);
        }
        Ok(())
    })?;
    let stale = tables.iter_mut().map(|table| std::mem::take(&mut table.stale)).enumerate();
    let stale = stale.filter(|(_, numbers)| !numbers.is_empty()).collect();
    let tables = tables.into_iter().enumerate();
    let tables =
        tables.map(|(index, table)| table.finish(catalog, index)).collect::<Result<_>>()?;
    Ok(Recovery { tables, named, stale })
}

/// One table while it is read.
#[derive(Default)]
struct Recovered {
    /// In the order of their row numbers.
    chunks: Vec<Chunk>,
    /// Of sealed chunks, by first row.
    summaries: BTreeMap<u64, Summary>,
    stale: Vec<u64>,
    rows: Vec<(u64, Row)>,
    changes: Vec<(u64, Row)>,
    deleted: Vec<u64>,
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
        let rows = std::mem::take(&mut self.rows);
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
        let mut touched: BTreeMap<u64, BTreeSet<usize>> = BTreeMap::new();
        for (chunk, cells) in by_chunk {
            let chunk = &mut self.chunks[chunk];
            chunk.set(table.schema(), &cells);
            let rows = cells.values().flatten().map(|(row, _)| *row);
            touched.entry(chunk.first_number()).or_default().extend(rows);
        }
        let mut deleted: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for number in &self.deleted {
            let (chunk, row) = self.find(*number).ok_or_else(|| {
                Error::data(format!(
                    "the journal deletes row {number} of '{}', which does not exist",
                    table.logical_name
                ))
            })?;
            deleted.entry(chunk).or_default().push(row);
        }
        for (chunk, rows) in deleted {
            let chunk = &mut self.chunks[chunk];
            chunk.delete(&rows);
            touched.entry(chunk.first_number()).or_default().extend(rows);
        }
        let mut state = TableState::new(table.clone());
        state.recover(self.chunks, &self.summaries, &touched)?;
        Ok(state)
    }
}
