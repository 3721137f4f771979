//! All tables at one commit. Taking one copies a pointer for each chunk; what it
//! holds never changes.

use std::any::Any;
use std::sync::{Arc, OnceLock};

use datafusion::arrow::array::types::Int64Type;
use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::compute;
use datafusion::common::{HashMap, HashSet};

use super::chunk::Chunk;
use super::column;
use super::counts::CountsSnapshot;
use super::waits::{AskWaits, Explanation, Waits};
use crate::catalog::{Catalog, Table};
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
                let (names, derived) = (Arc::default(), Arc::default());
                TableSnapshot::new(t.clone(), Vec::new(), names, derived, Vec::new())
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

/// One table at one commit.
#[derive(Clone)]
pub struct TableSnapshot {
    table: Arc<Table>,
    chunks: Vec<Arc<Chunk>>,
    rows: usize,
    names: Arc<OnceLock<NameIndex>>,
    derived: Arc<Derived>,
    counts: Vec<CountsSnapshot>,
}

impl TableSnapshot {
    pub(super) fn new(
        table: Arc<Table>,
        chunks: Vec<Arc<Chunk>>,
        names: Arc<OnceLock<NameIndex>>,
        derived: Arc<Derived>,
        counts: Vec<CountsSnapshot>,
    ) -> Self {
        let rows = chunks.iter().map(|c| c.live()).sum();
        Self { table, chunks, rows, names, derived, counts }
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
        let arrays = self.chunks.iter().filter_map(|chunk| chunk.column(column).as_ref());
        arrays.filter_map(|array| compute::max(array.as_primitive::<Int64Type>())).max()
    }

    /// The primary key of a row that has a value in a column.
    pub fn find(&self, column: usize, value: &Value) -> Option<Guid> {
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
                (chunk.column(column), chunk.column(self.table.primary_id_index()))
            else {
                continue;
            };
            for (row, (value, id)) in column::guids(array).zip(column::guids(ids)).enumerate() {
                let alive = chunk.alive().is_none_or(|alive| alive.value(row));
                if alive && value.is_some_and(|value| values.contains(&value)) {
                    found.extend(id);
                }
            }
        }
        found
    }

    /// Calls back with each row that is not deleted: a function that reads its cells.
    pub fn for_each(&self, mut row: impl FnMut(&dyn Fn(usize) -> Value)) {
        let schema = self.table.schema();
        for chunk in &self.chunks {
            let alive = |row: &usize| chunk.alive().is_none_or(|alive| alive.value(*row));
            for number in (0..chunk.rows()).filter(alive) {
                row(&|column| chunk.value(number, column, schema));
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
                    (chunk.column(name), chunk.column(self.table.primary_id_index()))
                else {
                    continue;
                };
                let names = names.as_string_view();
                for (row, id) in column::guids(ids).enumerate() {
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
