//! The look-up of primary keys: which row has a key.
//!
//! The writer and all snapshots of a table share it. It tells where the row of a
//! key is now; a snapshot looks whether the row was there at its commit.

use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::common::HashMap;
use parking_lot::RwLock;

use crate::value::Guid;

/// Row numbers by primary key.
#[derive(Default)]
pub struct Ids {
    rows: RwLock<HashMap<Guid, u64>>,
    /// How often a key has been forgotten or given to another row. It changes
    /// under the lock of the rows.
    moved: AtomicU64,
}

impl Ids {
    /// The row of a key.
    pub fn get(&self, id: &Guid) -> Option<u64> {
        self.rows.read().get(id).copied()
    }

    /// Takes in the row of a key; the row that had it before.
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

    /// Forgets a key, if this row has it.
    pub fn remove(&self, id: &Guid, number: u64) {
        let mut rows = self.rows.write();
        if rows.get(id) == Some(&number) {
            rows.remove(id);
            self.moved.fetch_add(1, Ordering::Release);
        }
    }
}
