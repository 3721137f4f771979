//! Rows of `jobdefinition`: what is known of workflows and steps beside their own rows.

use super::core::{DefinitionState, Guard};
use crate::catalog::{Catalog, Table};
use crate::store::{Change, Snapshot};
use crate::value::Value;

/// The columns of `jobdefinition`.
pub struct DefinitionColumns {
    table: usize,
    id: usize,
    failures: usize,
    postponements: usize,
    postponedon: usize,
    postponeuntil: usize,
    guardstate: usize,
    isdeleted: usize,
    modifiedon: usize,
}

impl DefinitionColumns {
    pub fn of(catalog: &Catalog) -> Self {
        let table = catalog.table_index("jobdefinition").expect("every catalog has jobdefinition");
        let facts: &Table = &catalog.tables()[table];
        let at = |name: &str| facts.column_index(name).expect("a column of jobdefinition");
        Self {
            table,
            id: at("jobdefinitionid"),
            failures: at("failures"),
            postponements: at("postponements"),
            postponedon: at("postponedon"),
            postponeuntil: at("postponeuntil"),
            guardstate: at("guardstate"),
            isdeleted: at("isdeleted"),
            modifiedon: at("modifiedon"),
        }
    }

    /// The row of a definition, new or not.
    pub fn row(&self, state: &DefinitionState) -> Change {
        let number = |n: u32| Value::Int32(i32::try_from(n).unwrap_or(i32::MAX));
        let mut values = vec![
            (self.id, Value::Guid(state.id)),
            (self.failures, number(state.failures)),
            (self.postponements, number(state.postponements)),
            (self.guardstate, Value::Int32(state.guard.code())),
            (self.isdeleted, Value::Boolean(state.deleted)),
            (self.modifiedon, Value::Time(state.at)),
        ];
        if let Some((since, until)) = state.postponed {
            values.push((self.postponedon, Value::Time(since)));
            values.push((self.postponeuntil, Value::Time(until)));
        }
        Change::Insert { table: self.table, values }
    }

    pub fn read(&self, snapshot: &Snapshot) -> Vec<DefinitionState> {
        let rows = snapshot.table(self.table);
        let schema = rows.table().schema();
        let mut states = Vec::new();
        for chunk in rows.chunks() {
            let alive = |row: &usize| chunk.alive().is_none_or(|alive| alive.value(*row));
            for row in (0..chunk.rows()).filter(alive) {
                let cell = |column| chunk.value(row, column, schema);
                let Value::Guid(id) = cell(self.id) else { continue };
                let number = |column| match cell(column) {
                    Value::Int32(n) => n,
                    _ => 0,
                };
                let time = |column| match cell(column) {
                    Value::Time(at) => Some(at),
                    _ => None,
                };
                let (since, until) = (time(self.postponedon), time(self.postponeuntil));
                states.push(DefinitionState {
                    id,
                    failures: number(self.failures).unsigned_abs(),
                    postponements: number(self.postponements).unsigned_abs(),
                    postponed: since.zip(until),
                    guard: Guard::from_code(number(self.guardstate)),
                    deleted: cell(self.isdeleted) == Value::Boolean(true),
                    at: time(self.modifiedon).unwrap_or(0),
                });
            }
        }
        states.sort_by_key(|state: &DefinitionState| state.id);
        states
    }
}
