//! Looks whether a data folder is sound: every byte of every chunk against its
//! checksum, every row of the journal, every key, every count. Nothing is changed.

use std::path::Path;
use std::sync::Arc;

use datafusion::common::HashSet;

use super::chunk_file::ChunkFiles;
use super::column;
use super::counts::{Counts, CountsSnapshot};
use super::folder::{self, FolderLock};
use super::journal::Journal;
use super::memory::Memory;
use super::recover::{self, Recovery};
use super::snapshot::TableSnapshot;
use crate::catalog::Catalog;
use crate::error::Result;
use crate::value::{Guid, guid_text};

/// What a check has found.
#[derive(Debug, Default)]
pub struct Checked {
    /// Rows that are there.
    pub rows: usize,
    /// Sealed chunks.
    pub chunks: usize,
    /// What is damaged, each with its name.
    pub problems: Vec<String>,
}

/// Checks a data folder that no service has. An error means that it could not be
/// looked at.
pub fn check(dir: &Path, catalog: &Arc<Catalog>) -> Result<Checked> {
    folder::expect(dir)?;
    let _lock = FolderLock::take(dir)?;
    let mut checked = Checked::default();
    if let Err(e) = look(dir, catalog, &mut checked) {
        checked.problems.push(e.to_string());
    }
    Ok(checked)
}

/// An error is a problem that ends the look.
fn look(dir: &Path, catalog: &Arc<Catalog>, checked: &mut Checked) -> Result<()> {
    let memory = Memory::half_of_machine();
    let (journal, replayed, numbering) = Journal::open(&dir.join("journal"), catalog, memory)?;
    let files = Arc::new(ChunkFiles::open(dir)?);
    for entry in journal.chunk_entries()? {
        checked.chunks += 1;
        let numbers = 0..catalog.tables().len();
        let table =
            numbers.into_iter().find(|index| numbering.table(*index).table() == entry.table);
        let table = table.map(|index| &*catalog.tables()[index]);
        if let Err(e) = files.verify(table, &entry.file) {
            checked.problems.push(e.to_string());
        }
    }
    if !checked.problems.is_empty() {
        return Ok(());
    }
    let memory = Arc::new(Memory::new(memory));
    let Recovery { tables, .. } =
        recover::recover(&journal, replayed, &files, &memory, &numbering, catalog)?;
    for table in &tables {
        let snapshot = table.snapshot();
        checked.rows += snapshot.rows();
        keys(&snapshot, &mut checked.problems)?;
        counts(&snapshot, &mut checked.problems);
    }
    Ok(())
}

/// Every row has a key, and no two the same.
fn keys(table: &TableSnapshot, problems: &mut Vec<String>) -> Result<()> {
    let (facts, mut seen) = (table.table(), HashSet::<Guid>::new());
    for chunk in table.chunks() {
        let ids = chunk.array(facts.primary_id_index(), facts.schema())?;
        for (row, id) in column::guids(&ids).enumerate() {
            if chunk.alive().is_some_and(|alive| !alive.value(row)) {
                continue;
            }
            let name = &facts.logical_name;
            match id {
                None => problems.push(format!("row {} of '{name}' has no key", chunk.number(row))),
                Some(id) if !seen.insert(id) => {
                    problems.push(format!("two rows of '{name}' have the key {}", guid_text(&id)));
                }
                Some(_) => {}
            }
        }
    }
    Ok(())
}

/// The counts that were put together from summaries are those of the rows.
fn counts(table: &TableSnapshot, problems: &mut Vec<String>) {
    for (kept, mut counted) in table.counts().iter().zip(Counts::of(table.table())) {
        table.chunks().iter().for_each(|chunk| counted.add_chunk(chunk));
        if !same(kept, &counted.snapshot()) {
            problems.push(format!("the counts of '{}' are not exact", table.table().logical_name));
        }
    }
}

fn same(a: &CountsSnapshot, b: &CountsSnapshot) -> bool {
    a.by_key() == b.by_key()
}
