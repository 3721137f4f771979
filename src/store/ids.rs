//! The look-up of primary keys: which row has a key.
//!
//! The writer and all snapshots of a table share it. It tells where the row of a
//! key is now; a snapshot looks whether the row was there at its commit.

use datafusion::common::HashMap;
use parking_lot::RwLock;

use crate::value::Guid;

/// Row numbers by primary key.
#[derive(Default)]
pub struct Ids {
    rows: RwLock<HashMap<Guid, u64>>,
}

impl Ids {
    /// The row of a key.
    pub fn get(&self, id: &Guid) -> Option<u64> {
        self.rows.read().get(id).copied()
    }

    /// Takes in the row of a key; the row that had it before.
    pub fn insert(&self, id: Guid, number: u64) -> Option<u64> {
        self.rows.write().insert(id, number)
    }

    /// Forgets a key, if this row has it.
    pub fn remove(&self, id: &Guid, number: u64) {
        let mut rows = self.rows.write();
        if rows.get(id) == Some(&number) {
            rows.remove(id);
        }
    }
}
