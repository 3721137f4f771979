//! Rows that no chunk file has are kept by generations, which are given up as a whole.

use std::ops::Range;

use super::chunk::ROWS_MAX;
use super::journal::RowKey;

/// Row numbers whose rows share keyspaces: those of some full chunks. Commits wait while
/// a keyspace is made or deleted, so there should be few; their memory is given up when
/// the last of their rows is sealed, so they should be small.
pub const GENERATION: u64 = 4 * ROWS_MAX as u64;

/// What is kept of rows that no chunk file has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kept {
    Rows,
    Changes,
}

/// The rows of a table whose numbers, divided by [`GENERATION`], are the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Generation {
    pub kept: Kept,
    pub table: u16,
    pub number: u64,
}

impl Generation {
    pub fn of(kept: Kept, (table, row): RowKey) -> Self {
        Self { kept, table, number: row / GENERATION }
    }

    /// The name of its keyspace.
    pub fn name(self) -> String {
        let kept = if self.kept == Kept::Rows { "rows" } else { "changes" };
        format!("{kept}/{}/{}", self.table, self.number)
    }

    /// The generation whose keyspace has a name.
    pub fn named(name: &str) -> Option<Self> {
        let mut parts = name.split('/');
        let kept = match parts.next()? {
            "rows" => Kept::Rows,
            "changes" => Kept::Changes,
            _ => return None,
        };
        let (table, number) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        parts.next().is_none().then_some(Self { kept, table, number })
    }

    /// The numbers of its rows.
    pub fn rows(self) -> Range<u64> {
        self.number * GENERATION..(self.number + 1) * GENERATION
    }
}
