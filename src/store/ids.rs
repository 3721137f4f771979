//! The look-up of primary keys: which row has a key.
//!
//! The writer and all snapshots of a table share it. It tells where the row of a
//! key is now; a snapshot looks whether the row was there at its commit. Keys of
//! large sealed chunks are not kept: filters say which chunks to ask.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::common::HashMap;
use parking_lot::RwLock;

use super::chunk::Chunk;
use super::column;
use super::filter::{Filter, Filters, Holder};
use super::sealed::Sealed;
use super::snapshot::Place;
use crate::error::Result;
use crate::value::Guid;

/// Row numbers by primary key.
#[derive(Default)]
pub struct Ids {
    rows: RwLock<HashMap<Guid, u64>>,
    filters: Filters,
    /// How often a key has been forgotten or given to another row. It changes
    /// under the lock of the rows.
    moved: AtomicU64,
}

impl Ids {
    /// Takes in the row of a key that is not in a filter; the row that had it before.
    pub fn insert(&self, id: Guid, number: u64) -> Option<u64> {
        let mut rows = self.rows.write();
        let before = rows.insert(id, number);
        if before.is_some() {
            self.moved.fetch_add(1, Ordering::Release);
        }
        before
    }

    /// A number that stays the same as long as every key that had a row has it
    /// still. So what is not found now was not there either when the number was
    /// the same.
    pub fn moved(&self) -> u64 {
        self.moved.load(Ordering::Acquire)
    }

    /// Forgets keys, where these rows have them.
    pub fn remove(&self, ids: impl Iterator<Item = (Guid, u64)>) {
        let mut rows = self.rows.write();
        for (id, number) in ids {
            if rows.get(&id) == Some(&number) {
                rows.remove(&id);
                self.moved.fetch_add(1, Ordering::Release);
            }
        }
    }

    /// Takes in the keys of a chunk by their filter; called by the writer only.
    pub fn add_filter(&self, first: u64, filter: &Filter, chunk: &Arc<Sealed>) {
        let chunk: Holder = Arc::<Sealed>::downgrade(chunk);
        self.filters.add(first, filter, &chunk);
    }

    /// Takes in many chunks by their filters, before anybody looks anything up.
    pub fn add_filters(&self, filters: &[(u64, &Filter, Holder)]) {
        self.filters.add_all(filters);
    }

    /// Where among some chunks the row of a key is, by what is known now. `key` is
    /// the column of primary keys.
    pub fn find(&self, chunks: &[Arc<Chunk>], key: usize, id: &Guid) -> Result<Option<Place>> {
        let number = self.rows.read().get(id).copied();
        if let Some(place) = number.and_then(|number| locate(chunks, number))
            && is_alive(chunks, place)
            && let Some(ids) = chunks[place.chunk].column(key)?
            && column::guid_at(&ids, place.row) == Some(*id)
        {
            return Ok(Some(place));
        }
        for first in self.filters.candidates(id) {
            let after = chunks.partition_point(|chunk| chunk.first_number() <= first);
            if let Some(chunk) = after.checked_sub(1)
                && let Some(place) = find_in(chunks, chunk, key, id)?
            {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }
}

/// The row of a key in one chunk.
fn find_in(chunks: &[Arc<Chunk>], chunk: usize, key: usize, id: &Guid) -> Result<Option<Place>> {
    let Some(ids) = chunks[chunk].column(key)? else { return Ok(None) };
    let place = |row| Place { chunk, row };
    let there = |place: &Place| ids.is_valid(place.row) && is_alive(chunks, *place);
    if let Some(sealed) = chunks[chunk].file() {
        return Ok(sealed.rows_with(&ids, id).map(place).find(there));
    }
    let keys = column::key_bytes(&ids).iter().enumerate();
    Ok(keys.filter(|(_, key)| *key == id).map(|(row, _)| place(row)).find(there))
}

/// Where a row is, by its number.
pub fn locate(chunks: &[Arc<Chunk>], number: u64) -> Option<Place> {
    let chunk = chunks.partition_point(|c| c.first_number() <= number).checked_sub(1)?;
    Some(Place { chunk, row: chunks[chunk].row(number)? })
}

fn is_alive(chunks: &[Arc<Chunk>], place: Place) -> bool {
    chunks[place.chunk].alive().is_none_or(|alive| alive.value(place.row))
}
