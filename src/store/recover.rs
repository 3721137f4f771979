//! Reads a data folder back into memory: chunk files, then single rows, then
//! what changed, then what was deleted. No history is replayed.

use std::collections::{BTreeMap, HashSet};

use super::chunk::{Cells, Chunk, ROWS_MAX};
use super::chunk_file::ChunkFiles;
use super::codec;
use super::journal::Journal;
use super::numbering::Numbering;
use super::tables::{Row, TableState};
use crate::catalog::Catalog;
use crate::error::{Error, Result};
use crate::value::Value;

/// The tables as of the last durable commit.
pub fn recover(
    journal: &Journal,
    files: &ChunkFiles,
    numbering: &Numbering,
    catalog: &Catalog,
) -> Result<Vec<TableState>> {
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
        let Some(index) = index_of(entry.first.0) else { continue };
        let batch = files.read(&catalog.tables()[index], &entry.file)?;
        tables[index].chunks.push(Chunk::from_batch(entry.first.1, &batch));
        tables[index].files.push((entry.first.1, u64::from(entry.file.rows)));
    }
    files.remove_others(&named)?;

    journal.for_each_row(|(table, number), bytes| {
        let Some(index) = index_of(table) else { return Ok(()) };
        let facts = &catalog.tables()[index];
        let cells = codec::decode(bytes, facts, numbering.table(index))?;
        if tables[index].find(number).is_some() {
            // The journal's row takes the place of the whole row in the file.
            let mut whole: Row = (0..facts.columns.len()).map(|c| (c, Value::Null)).collect();
            cells.into_iter().for_each(|(column, value)| whole[column].1 = value);
            tables[index].changes.push((number, whole));
        } else {
            tables[index].rows.push((number, cells));
        }
        Ok(())
    })?;
    for (index, table) in tables.iter_mut().enumerate() {
        table.chunk_rows(catalog, index);
    }
    journal.for_each_change(|(table, number), bytes| {
        let Some(index) = index_of(table) else { return Ok(()) };
        let cells = codec::decode(bytes, &catalog.tables()[index], numbering.table(index))?;
        tables[index].changes.push((number, cells));
        Ok(())
    })?;
    journal.for_each_deleted(|(table, number)| {
        if let Some(index) = index_of(table) {
            tables[index].deleted.push(number);
        }
        Ok(())
    })?;
    tables.into_iter().enumerate().map(|(index, table)| table.finish(catalog, index)).collect()
}

/// One table while it is read.
#[derive(Default)]
struct Recovered {
    chunks: Vec<Chunk>,
    files: Vec<(u64, u64)>,
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

    /// Makes chunks of the rows kept one by one, none across a chunk file.
    fn chunk_rows(&mut self, catalog: &Catalog, index: usize) {
        let schema = catalog.tables()[index].schema();
        let rows = std::mem::take(&mut self.rows);
        let gap = |a: u64, b: u64| self.files.iter().any(|(first, _)| a < *first && *first < b);
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
        for (chunk, cells) in by_chunk {
            self.chunks[chunk].set(table.schema(), &cells);
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
            self.chunks[chunk].delete(&rows);
        }
        let mut state = TableState::new(table.clone());
        state.recover(self.chunks, self.files)?;
        Ok(state)
    }
}
