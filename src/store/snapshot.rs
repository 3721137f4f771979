//! All tables at one commit. Taking one copies a pointer for each chunk; what it
//! holds never changes.

use std::any::Any;
use std::cell::OnceCell;
use std::sync::{Arc, OnceLock};

use datafusion::arrow::array::types::Int64Type;
use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::compute;
use datafusion::common::{HashMap, HashSet};

use super::chunk::Chunk;
use super::chunk_file::has_filter;
use super::column::{self, Column};
use super::counts::CountsSnapshot;
use super::ids::Ids;
use super::statistics::ColumnStatistics;
use super::waits::{AskWaits, Explanation, Waits};
use crate::catalog::{Catalog, Table};
use crate::error::Result;
use crate::value::{Guid, Value};

/// Primary names by primary key.
pub type NameIndex = HashMap<Guid, String>;

/// What somebody has made of all rows of a table; made anew after a change.
pub type Derived = OnceLock<Arc<dyn Any + Send + Sync>>;

/// All tables at one commit.
pub struct Snapshot {
    catalog: Arc<Catalog>,
    tables: Vec<TableSnapshot>,
    waits: Explanation,
}

impl Snapshot {
    pub fn new(catalog: Arc<Catalog>, tables: Vec<TableSnapshot>) -> Self {
        Self { catalog, tables, waits: Explanation::default() }
    }

    /// With somebody who knows why jobs wait.
    #[must_use]
    pub fn explained(self, by: Option<AskWaits>) -> Self {
        Self { waits: Explanation::of(by), ..self }
    }

    /// Asks why jobs wait, before [`Snapshot::waits`] is looked at.
    pub async fn ask_waits(&self) {
        self.waits.fetch().await;
    }

    /// What ready jobs wait for; nothing where nobody runs jobs.
    pub fn waits(&self) -> Option<&Waits> {
        self.waits.get()
    }

    /// A snapshot with no rows, for planning without data.
    pub fn empty(catalog: Arc<Catalog>) -> Self {
        let tables = catalog
            .tables()
            .iter()
            .map(|t| {
                let made = (Arc::default(), Arc::default());
                TableSnapshot::new(t.clone(), Vec::new(), Arc::default(), made, Vec::new())
            })
            .collect();
        Self::new(catalog, tables)
    }

    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// The table at a catalog index.
    pub fn table(&self, index: usize) -> &TableSnapshot {
        &self.tables[index]
    }

    /// The table with a logical name, exact spelling.
    pub fn table_named(&self, logical_name: &str) -> Option<&TableSnapshot> {
        self.catalog.table_index(logical_name).map(|index| &self.tables[index])
    }

    /// Rows of a table.
    pub fn rows(&self, table: usize) -> usize {
        self.tables[table].rows()
    }
}

/// Where a row is: the chunk's index in [`TableSnapshot::chunks`], the row in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub chunk: usize,
    pub row: usize,
}

/// One table at one commit.
#[derive(Clone)]
pub struct TableSnapshot {
    table: Arc<Table>,
    chunks: Vec<Arc<Chunk>>,
    rows: usize,
    ids: Arc<Ids>,
    /// [`Ids::moved`] at this commit.
    moved: u64,
    names: Arc<OnceLock<NameIndex>>,
    derived: Arc<Derived>,
    counts: Vec<CountsSnapshot>,
}

impl TableSnapshot {
    pub(super) fn new(
        table: Arc<Table>,
        chunks: Vec<Arc<Chunk>>,
        ids: Arc<Ids>,
        (names, derived): (Arc<OnceLock<NameIndex>>, Arc<Derived>),
        counts: Vec<CountsSnapshot>,
    ) -> Self {
        let rows = chunks.iter().map(|c| c.live()).sum();
        let moved = ids.moved();
        Self { table, chunks, rows, ids, moved, names, derived, counts }
    }

    pub fn table(&self) -> &Arc<Table> {
        &self.table
    }

    pub fn chunks(&self) -> &[Arc<Chunk>] {
        &self.chunks
    }

    /// Rows that are not deleted.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The pre-aggregates of the table.
    pub fn counts(&self) -> &[CountsSnapshot] {
        &self.counts
    }

    /// The greatest value of a whole-number column over all rows.
    pub fn max_int64(&self, column: usize) -> Option<i64> {
        let of = |chunk: &Arc<Chunk>| match chunk.statistics(column) {
            Some(ColumnStatistics { max: Some(Value::Int64(max)), .. }) => Some(*max),
            Some(ColumnStatistics { null_count: Some(nulls), .. }) if *nulls == chunk.rows() => {
                None
            }
            _ => {
                let array = chunk.loaded(column)?;
                compute::max(array.as_primitive::<Int64Type>())
            }
        };
        self.chunks.iter().filter_map(of).max()
    }

    /// Where the row with a primary key is.
    pub fn find(&self, id: &Guid) -> Result<Option<Place>> {
        Ok(self.find_all(std::slice::from_ref(id))?.pop())
    }

    /// Where the rows with some primary keys are, in no order; keys may be missing.
    pub fn find_all(&self, ids: &[Guid]) -> Result<Vec<Place>> {
        let key = self.table.primary_id_index();
        let mut places = Vec::with_capacity(ids.len());
        let mut missing: HashSet<Guid> = HashSet::new();
        for id in ids {
            match self.ids.find(&self.chunks, key, id)? {
                Some(place) => places.push(place),
                None => _ = missing.insert(*id),
            }
        }
        // Rows may have moved or gone since this commit; filters forget none.
        if missing.is_empty() || self.ids.moved() == self.moved {
            return Ok(places);
        }
        for (chunk, rows) in self.chunks.iter().enumerate() {
            if rows.file().is_some() && has_filter(rows.rows()) {
                continue;
            }
            let Some(ids) = rows.column(key)? else { continue };
            for (row, id) in column::guids(&ids).enumerate() {
                let alive = rows.alive().is_none_or(|alive| alive.value(row));
                if alive && id.is_some_and(|id| missing.contains(&id)) {
                    places.push(Place { chunk, row });
                }
            }
        }
        Ok(places)
    }

    /// The primary key of a row that has a value in a column.
    pub fn find_by(&self, column: usize, value: &Value) -> Option<Guid> {
        let schema = self.table.schema();
        self.chunks.iter().find_map(|chunk| {
            let alive = |row: &usize| chunk.alive().is_none_or(|alive| alive.value(*row));
            let row = (0..chunk.rows())
                .filter(alive)
                .find(|row| chunk.value(*row, column, schema) == *value)?;
            match chunk.value(row, self.table.primary_id_index(), schema) {
                Value::Guid(id) => Some(id),
                _ => None,
            }
        })
    }

    /// Primary keys of the rows whose GUID column has one of some values.
    pub fn ids_where(&self, column: usize, values: &HashSet<Guid>) -> Vec<Guid> {
        let mut found = Vec::new();
        for chunk in &self.chunks {
            let (Some(array), Some(ids)) =
                (chunk.loaded(column), chunk.loaded(self.table.primary_id_index()))
            else {
                continue;
            };
            for (row, (value, id)) in column::guids(&array).zip(column::guids(&ids)).enumerate() {
                let alive = chunk.alive().is_none_or(|alive| alive.value(row));
                if alive && value.is_some_and(|value| values.contains(&value)) {
                    found.extend(id);
                }
            }
        }
        found
    }

    /// Calls back with the value of a GUID column and the primary key of each row whose
    /// number is not less than `first`; every row that comes later has at least the
    /// number that is answered.
    pub fn guids_from(&self, first: u64, column: usize, mut row: impl FnMut(Guid, Guid)) -> u64 {
        let mut next = first;
        for chunk in self.chunks.iter().rev().filter(|chunk| chunk.rows() > 0) {
            let last = chunk.number(chunk.rows() - 1);
            if last < first {
                break;
            }
            next = next.max(last + 1);
            let (Some(array), Some(ids)) =
                (chunk.loaded(column), chunk.loaded(self.table.primary_id_index()))
            else {
                continue;
            };
            for (n, (value, id)) in column::guids(&array).zip(column::guids(&ids)).enumerate() {
                let alive = chunk.alive().is_none_or(|alive| alive.value(n));
                if let (Some(value), Some(id), true) =
                    (value, id, alive && chunk.number(n) >= first)
                {
                    row(value, id);
                }
            }
        }
        next
    }

    /// Calls back with each row that is not deleted: a function that reads its cells.
    pub fn for_each(&self, mut row: impl FnMut(&dyn Fn(usize) -> Value)) {
        let schema = self.table.schema();
        for chunk in &self.chunks {
            let alive = |row: &usize| chunk.alive().is_none_or(|alive| alive.value(*row));
            // Columns of sealed chunks are decoded once, not for each cell.
            let columns: Vec<OnceCell<Column>> =
                (0..schema.fields().len()).map(|_| OnceCell::new()).collect();
            for number in (0..chunk.rows()).filter(alive) {
                row(&|index| {
                    let column = columns[index].get_or_init(|| chunk.loaded(index));
                    column::read(column, schema.field(index).data_type(), number)
                });
            }
        }
    }

    /// Something made of all rows, at the first call after a change. A table has one
    /// such thing: another type than that of the first call is made each time.
    pub fn derived<T: Send + Sync + 'static>(&self, make: impl Fn(&Self) -> T) -> Arc<T> {
        let made = self.derived.get_or_init(|| Arc::new(make(self)));
        made.clone().downcast().unwrap_or_else(|_| Arc::new(make(self)))
    }

    /// The primary names of all rows; made at the first call after a change.
    pub fn names(&self) -> &NameIndex {
        self.names.get_or_init(|| {
            let mut index = NameIndex::new();
            let name = self.table.primary_name.as_deref().and_then(|n| self.table.column_index(n));
            let Some(name) = name else { return index };
            for chunk in &self.chunks {
                let (Some(names), Some(ids)) =
                    (chunk.loaded(name), chunk.loaded(self.table.primary_id_index()))
                else {
                    continue;
                };
                let names = names.as_string_view();
                for (row, id) in column::guids(&ids).enumerate() {
                    let alive = chunk.alive().is_none_or(|alive| alive.value(row));
                    if let (Some(id), true, true) = (id, alive, names.is_valid(row)) {
                        index.insert(id, names.value(row).to_owned());
                    }
                }
            }
            index
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Change, Store};

    #[test]
    fn a_key_is_found_where_the_snapshot_has_it() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = Store::open(folder.path(), Arc::new(Catalog::built_in())).expect("opens");
        let table = store.catalog().table_index("account").expect("built in");
        let key = store.catalog().tables()[table].primary_id_index();
        let insert = |id: u8| Change::Insert { table, values: vec![(key, Value::Guid([id; 16]))] };
        store.commit_blocking(vec![insert(1), insert(2)]).expect("commits");
        let before = store.table(table);
        let gone = Change::Delete { table, id: [1; 16] };
        store.commit_blocking(vec![gone, insert(2), insert(3)]).expect("commits");
        let after = store.table(table);
        let row = |snapshot: &TableSnapshot, id: u8| {
            snapshot.find(&[id; 16]).expect("readable").map(|place| place.row)
        };
        assert_eq!([1, 2, 3].map(|id| row(&before, id)), [Some(0), Some(1), None]);
        assert_eq!([1, 2, 3].map(|id| row(&after, id)), [None, Some(2), Some(3)]);
    }
}
