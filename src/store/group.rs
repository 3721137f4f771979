//! The changes of some requests that one journal batch makes durable.
//!
//! While a group is on its way to the disk the next one is made: it sees the tables as
//! they will be once that group is applied.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::common::HashMap;

use super::tables::{Row, TableState, missing_key};
use super::versions::Versions;
use super::{Appended, Change};
use crate::error::{Error, ErrorKind, Result, codes};
use crate::value::{Guid, Value, guid_text};

/// What a journal batch will hold, in terms of rows.
#[derive(Default)]
pub struct Group {
    /// By table, in the order of their row numbers; `None`: deleted again.
    pub inserts: BTreeMap<usize, Vec<Option<Row>>>,
    pub updates: BTreeMap<(usize, u64), Row>,
    pub deletes: BTreeSet<(usize, u64)>,
    /// Where primary keys are that were looked for or have changed.
    ids: HashMap<(usize, Guid), Option<u64>>,
    /// A chunk file that could not be read; nothing of the group may be written.
    pub unreadable: Option<Error>,
}

/// The tables, and the group before that is not applied to them yet.
#[derive(Clone, Copy)]
pub struct View<'a> {
    pub tables: &'a [TableState],
    pub before: Option<&'a Group>,
}

impl View<'_> {
    /// The number the next new row gets.
    pub fn next(&self, table: usize) -> u64 {
        let inserted = self.before.and_then(|group| group.inserts.get(&table));
        self.tables[table].next() + inserted.map_or(0, Vec::len) as u64
    }

    /// The row number of a primary key.
    fn find(&self, table: usize, id: &Guid) -> Result<Option<u64>> {
        match self.before.and_then(|group| group.ids.get(&(table, *id))) {
            Some(known) => Ok(*known),
            None => self.tables[table].find(id),
        }
    }

    /// Some cells of an existing row.
    pub fn cells(&self, table: usize, number: u64, columns: impl Iterator<Item = usize>) -> Row {
        let state = &self.tables[table];
        let Some(group) = self.before else { return state.cells(number, columns) };
        if let Some(offset) = number.checked_sub(state.next()) {
            let row = group.inserts[&table][offset as usize].as_ref();
            let row = row.expect("a deleted row is not found");
            return columns
                .map(|column| (column, cell(row, column).unwrap_or(Value::Null)))
                .collect();
        }
        let Some(changed) = group.updates.get(&(table, number)) else {
            return state.cells(number, columns);
        };
        let mut cells = state.cells(number, columns);
        for (column, value) in &mut cells {
            if let Some(changed) = cell(changed, *column) {
                *value = changed;
            }
        }
        cells
    }

    /// All cells that are not null of a row that no chunk file has; nothing if there is
    /// no such row.
    pub fn open_row(&self, table: usize, number: u64) -> Option<Row> {
        let state = &self.tables[table];
        let deleted = |group: &Group| group.deletes.contains(&(table, number));
        if !state.is_open_row(number) || self.before.is_some_and(deleted) {
            return None;
        }
        let mut cells = self.cells(table, number, 0..state.table.columns.len());
        cells.retain(|(_, value)| *value != Value::Null);
        Some(cells)
    }

    /// Whether the journal says, or will say, something of a row that no file does.
    pub fn has_left_file(&self, table: usize, number: u64) -> bool {
        let key = (table, number);
        let changes =
            |group: &Group| group.updates.contains_key(&key) || group.deletes.contains(&key);
        self.before.is_some_and(changes) || self.tables[table].has_left_file(number)
    }
}

fn cell(row: &Row, column: usize) -> Option<Value> {
    row.iter().find(|(c, _)| *c == column).map(|(_, value)| value.clone())
}

impl Group {
    /// Nothing is to be written.
    pub fn is_empty(&self) -> bool {
        self.inserts.is_empty() && self.updates.is_empty() && self.deletes.is_empty()
    }

    fn find(&mut self, view: View<'_>, table: usize, id: &Guid) -> Option<u64> {
        if let Some(known) = self.ids.get(&(table, *id)) {
            return *known;
        }
        let found = view.find(table, id).unwrap_or_else(|e| {
            self.unreadable = Some(e);
            None
        });
        self.ids.insert((table, *id), found);
        found
    }

    /// Takes in one request's changes, all or none.
    pub fn stage(
        &mut self,
        changes: Vec<Change>,
        view: View<'_>,
        versions: &Versions,
    ) -> Result<Appended> {
        self.check(&changes, view)?;
        let version = versions.next();
        let mut done = Appended::default();
        for change in changes {
            match change {
                Change::Insert { table, mut values } => {
                    versions.stamp(table, &mut values, version);
                    let id = key_of(view.tables, table, &values)?;
                    match self.find(view, table, &id) {
                        Some(number) => {
                            self.delete(view, table, number);
                            done.replaced += 1;
                        }
                        None => done.inserted += 1,
                    }
                    self.add(view, table, id, values);
                }
                Change::Append { table, mut values } => {
                    versions.stamp(table, &mut values, version);
                    let id = key_of(view.tables, table, &values)?;
                    self.add(view, table, id, values);
                    done.inserted += 1;
                }
                Change::Update { table, id, mut values } => {
                    versions.stamp(table, &mut values, version);
                    if let Some(number) = self.find(view, table, &id) {
                        self.update(view, table, number, values);
                    }
                }
                Change::Delete { table, id } => {
                    if let Some(number) = self.find(view, table, &id) {
                        self.delete(view, table, number);
                        self.ids.insert((table, id), None);
                    }
                }
            }
        }
        Ok(done)
    }

    /// Whether all rows that the changes need are there.
    fn check(&mut self, changes: &[Change], view: View<'_>) -> Result<()> {
        let mut here: HashMap<(usize, Guid), bool> = HashMap::new();
        for change in changes {
            match change {
                Change::Insert { table, values } | Change::Append { table, values } => {
                    here.insert((*table, key_of(view.tables, *table, values)?), true);
                }
                Change::Update { table, id, .. } | Change::Delete { table, id } => {
                    let there = match here.get(&(*table, *id)) {
                        Some(there) => *there,
                        None => self.find(view, *table, id).is_some(),
                    };
                    if !there {
                        let name = &view.tables[*table].table.schema_name;
                        return Err(Error::new(
                            ErrorKind::NotFound,
                            codes::OBJECT_DOES_NOT_EXIST,
                            format!("{name} With Id = {} Does Not Exist", guid_text(id)),
                        ));
                    }
                    if matches!(change, Change::Delete { .. }) {
                        here.insert((*table, *id), false);
                    }
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, view: View<'_>, table: usize, id: Guid, values: Row) {
        let rows = self.inserts.entry(table).or_default();
        self.ids.insert((table, id), Some(view.next(table) + rows.len() as u64));
        rows.push(Some(values));
    }

    fn update(&mut self, view: View<'_>, table: usize, number: u64, values: Row) {
        match number.checked_sub(view.next(table)) {
            Some(offset) => {
                let rows = self.inserts.get_mut(&table).expect("a staged number is a staged row");
                let row = rows[offset as usize].as_mut().expect("a deleted row is not found");
                values.into_iter().for_each(|(column, value)| set(row, column, value));
            }
            None => {
                let row = self.updates.entry((table, number)).or_default();
                values.into_iter().for_each(|(column, value)| set(row, column, value));
            }
        }
    }

    fn delete(&mut self, view: View<'_>, table: usize, number: u64) {
        match number.checked_sub(view.next(table)) {
            Some(offset) => {
                let rows = self.inserts.get_mut(&table).expect("a staged number is a staged row");
                rows[offset as usize] = None;
            }
            None => {
                self.updates.remove(&(table, number));
                self.deletes.insert((table, number));
            }
        }
    }

    /// Makes the group visible.
    pub fn apply(self, tables: &mut [TableState]) {
        let mut deletes: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
        for (table, number) in self.deletes {
            deletes.entry(table).or_default().push(number);
        }
        for (table, numbers) in deletes {
            tables[table].delete(&numbers);
        }
        let mut updates: BTreeMap<usize, Vec<(u64, Row)>> = BTreeMap::new();
        for ((table, number), cells) in self.updates {
            updates.entry(table).or_default().push((number, cells));
        }
        for (table, rows) in updates {
            tables[table].update(&rows);
        }
        for (table, rows) in self.inserts {
            tables[table].insert(&rows);
        }
    }
}

/// Sets a cell of a row.
pub fn set(row: &mut Row, column: usize, value: Value) {
    match row.iter_mut().find(|(c, _)| *c == column) {
        Some(cell) => cell.1 = value,
        None => row.push((column, value)),
    }
}

fn key_of(tables: &[TableState], table: usize, values: &Row) -> Result<Guid> {
    let key = tables[table].key;
    values
        .iter()
        .find_map(|(column, value)| match value {
            Value::Guid(id) if *column == key => Some(*id),
            _ => None,
        })
        .ok_or_else(|| missing_key(&tables[table].table))
}
