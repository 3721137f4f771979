//! The plain model that the store is held against: maps from primary keys to
//! cells. A commit is made on a copy that takes the model's place when every
//! change in it was possible, so "all or nothing" holds by construction.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{RecordBatch, new_null_array};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::scalar::ScalarValue;
use sysjob::catalog::{Catalog, Table};
use sysjob::error::ErrorKind;
use sysjob::store::{Appended, Change, Chunk, CountedBy, CountsSnapshot, Snapshot, Store};
use sysjob::value::{Guid, Value};

pub type Cells = BTreeMap<usize, Value>;

/// The rows of one table; cells that are null are left out.
pub type Rows = BTreeMap<Guid, Cells>;

/// Rows of all tables that have any.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    pub tables: BTreeMap<usize, Rows>,
}

impl Model {
    /// What [`Store::commit`] has to answer; nothing changes on an error.
    pub fn commit(&mut self, catalog: &Catalog, changes: &[Change]) -> Result<Appended, ErrorKind> {
        let mut after = self.clone();
        let mut done = Appended::default();
        for change in changes {
            after.apply(catalog, change, &mut done)?;
        }
        *self = after;
        Ok(done)
    }

    fn apply(
        &mut self,
        catalog: &Catalog,
        change: &Change,
        done: &mut Appended,
    ) -> Result<(), ErrorKind> {
        match change {
            Change::Insert { table, values } | Change::Append { table, values } => {
                let cells: Cells = values.iter().cloned().collect();
                let key = catalog.tables()[*table].primary_id_index();
                let Some(Value::Guid(id)) = cells.get(&key) else { return Err(ErrorKind::Invalid) };
                match self.tables.entry(*table).or_default().insert(*id, without_nulls(cells)) {
                    Some(_) => done.replaced += 1,
                    None => done.inserted += 1,
                }
            }
            Change::Update { table, id, values } => {
                let row = self.tables.get_mut(table).and_then(|rows| rows.get_mut(id));
                let row = row.ok_or(ErrorKind::NotFound)?;
                row.extend(values.iter().cloned());
                row.retain(|_, value| *value != Value::Null);
            }
            Change::Delete { table, id } => {
                let gone = self.tables.get_mut(table).and_then(|rows| rows.remove(id));
                gone.ok_or(ErrorKind::NotFound)?;
            }
        }
        Ok(())
    }

    /// What [`Store::append`] has to answer: each row is new or takes the place
    /// of one with its key, be that an older row or an earlier one of the batch.
    pub fn append(&mut self, catalog: &Catalog, table: usize, rows: &[Cells]) -> Appended {
        let key = catalog.tables()[table].primary_id_index();
        let here = self.tables.entry(table).or_default();
        let mut done = Appended::default();
        for cells in rows {
            let Value::Guid(id) = cells[&key] else { panic!("a row without a key") };
            match here.insert(id, without_nulls(cells.clone())) {
                Some(_) => done.replaced += 1,
                None => done.inserted += 1,
            }
        }
        done
    }
}

fn without_nulls(mut cells: Cells) -> Cells {
    cells.retain(|_, value| *value != Value::Null);
    cells
}

/// All rows of a snapshot. Checks on the way what must hold of every snapshot:
/// a primary key in each row, no key twice, the count that it claims.
pub fn read(snapshot: &Snapshot) -> Model {
    let mut model = Model::default();
    for (index, facts) in snapshot.catalog().tables().iter().enumerate() {
        let table = snapshot.table(index);
        let schema = facts.schema();
        let mut rows = Rows::new();
        for chunk in table.chunks() {
            // With little memory each look at a sealed chunk may read its file.
            let all: Vec<_> = (0..facts.columns.len()).map(|c| chunk.loaded(c)).collect();
            let columns: Vec<usize> = (0..all.len()).filter(|c| all[*c].is_some()).collect();
            let cells_of = Chunk::from_columns(chunk.rows(), all);
            let versions = facts.version_index();
            for row in (0..chunk.rows()).filter(|r| chunk.alive().is_none_or(|a| a.value(*r))) {
                let mut cells: Cells =
                    columns.iter().map(|c| (*c, cells_of.value(row, *c, schema))).collect();
                // The store gives versions, not the caller.
                let version = cells.remove(&versions);
                assert!(matches!(version, Some(Value::Int64(1..))), "{version:?}");
                let Some(Value::Guid(id)) = cells.get(&facts.primary_id_index()) else {
                    panic!("a row of {} has no key: {cells:?}", facts.logical_name)
                };
                let twice = rows.insert(*id, without_nulls(cells.clone()));
                assert_eq!(twice, None, "{} has a key twice", facts.logical_name);
            }
        }
        assert_eq!(table.rows(), rows.len(), "the count of {}", facts.logical_name);
        table.counts().iter().for_each(|counts| check_counts(counts, &rows, schema));
        if !rows.is_empty() {
            model.tables.insert(index, rows);
        }
    }
    model
}

/// A pre-aggregate says what counting the rows says.
fn check_counts(counts: &CountsSnapshot, rows: &Rows, schema: &SchemaRef) {
    const HOUR: i64 = 3_600_000_000;
    let key = |cell: &dyn Fn(usize) -> Value| -> Vec<String> {
        let of = |by: &CountedBy| match (by, cell(by.column())) {
            (CountedBy::Presence(_), value) => format!("{}", value != Value::Null),
            (CountedBy::Hour(_), Value::Time(time)) => format!("{}", time.div_euclid(HOUR)),
            (_, value) => format!("{value:?}"),
        };
        counts.by().iter().map(of).collect()
    };
    let mut counted: BTreeMap<Vec<String>, i64> = BTreeMap::new();
    for row in rows.values() {
        let cell = |column: usize| row.get(&column).cloned().unwrap_or(Value::Null);
        *counted.entry(key(&cell)).or_default() += 1;
    }
    let mut claimed: BTreeMap<Vec<String>, i64> = BTreeMap::new();
    for (groups, numbers) in counts.rows() {
        for row in 0..groups.rows() {
            let group = key(&|column| groups.value(row, column, schema));
            assert_eq!(claimed.insert(group, numbers.value(row)), None, "a group twice");
        }
    }
    assert_eq!(claimed, counted);
}

/// Fails with the first row that differs instead of thousands that do not.
pub fn assert_same(snapshot: &Snapshot, model: &Model, when: &str) {
    let shown = read(snapshot);
    for (index, table) in snapshot.catalog().tables().iter().enumerate() {
        let empty = Rows::new();
        let (shown, expected) = (
            shown.tables.get(&index).unwrap_or(&empty),
            model.tables.get(&index).unwrap_or(&empty),
        );
        let name = &table.logical_name;
        for (id, cells) in expected {
            assert_eq!(shown.get(id), Some(cells), "{when}: the row {id:?} of {name}");
        }
        let surplus: Vec<_> = shown.keys().filter(|id| !expected.contains_key(*id)).collect();
        assert!(surplus.is_empty(), "{when}: {name} has {surplus:?}");
    }
}

/// A batch with the whole schema of a table.
pub fn batch(table: &Table, rows: &[Cells]) -> RecordBatch {
    let columns = table.schema().fields().iter().enumerate().map(|(index, field)| {
        if rows.iter().all(|cells| !cells.contains_key(&index)) {
            return new_null_array(field.data_type(), rows.len());
        }
        let cell =
            |cells: &Cells| cells.get(&index).unwrap_or(&Value::Null).to_scalar(field.data_type());
        ScalarValue::iter_to_array(rows.iter().map(cell)).expect("cells of the column's type")
    });
    RecordBatch::try_new(Arc::clone(table.schema()), columns.collect()).expect("a whole row")
}

/// A store on a folder with the built-in tables.
pub fn open(folder: &std::path::Path) -> Store {
    Store::open(folder, Arc::new(Catalog::built_in())).expect("the folder opens")
}
