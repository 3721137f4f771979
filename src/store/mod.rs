//! The live tables: one writer, durable commits, snapshots of all tables.

use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;

use crate::catalog::Catalog;
use crate::error::{Error, Result};
use crate::value::{Guid, Value};

/// One change of one row; a commit is a list of them.
#[derive(Clone, Debug)]
pub enum Change {
    /// A new row; replaces one with the same primary key. Pairs of column
    /// number and value; columns left out are null.
    Insert {
        table: usize,
        values: Vec<(usize, Value)>,
    },
    Update {
        table: usize,
        id: Guid,
        values: Vec<(usize, Value)>,
    },
    Delete {
        table: usize,
        id: Guid,
    },
}

/// What a bulk append did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    pub inserted: u64,
    pub replaced: u64,
}

/// The tables of one data folder.
pub struct Store {}

impl Store {
    /// Opens or creates a data folder.
    pub fn open(_dir: &Path, _catalog: Arc<Catalog>) -> Result<Self> {
        Err(Error::internal("not yet"))
    }

    pub fn catalog(&self) -> &Arc<Catalog> {
        unreachable!()
    }

    /// All tables as of the last durable commit.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        unreachable!()
    }

    /// Bulk load: the batch has the table's whole schema ([`crate::catalog::Table::schema`]);
    /// choice labels in it are ignored, lookup names kept. Durable when it returns.
    /// Rows whose primary key exists are replaced; of equal keys in the batch the last counts.
    pub fn append(&self, _table: usize, _batch: RecordBatch) -> Result<Appended> {
        Err(Error::internal("not yet"))
    }

    /// Applies all changes or none; durable when it returns.
    pub async fn commit(&self, _changes: Vec<Change>) -> Result<()> {
        Err(Error::internal("not yet"))
    }
}

/// All tables at one commit.
pub struct Snapshot {}

impl Snapshot {
    pub fn catalog(&self) -> &Arc<Catalog> {
        unreachable!()
    }

    /// Rows of a table.
    pub fn rows(&self, _table: usize) -> usize {
        unreachable!()
    }
}
