//! Workflows and steps as their rows are: what the core is told of them whenever
//! a row has changed, whoever changed it.

use std::collections::{HashMap, HashSet};

use super::core::{Definition, Event};
use crate::catalog::Catalog;
use crate::store::{Snapshot, Store};
use crate::value::{Guid, Value};

/// `statecode` of an activated workflow.
const ACTIVATED: i32 = 1;

/// The tables of definitions.
struct Source {
    table: usize,
    workflow: bool,
    statecode: usize,
    autodelete: usize,
}

/// What the core was told last.
pub struct Definitions {
    sources: Vec<Source>,
    tables: Vec<usize>,
    seen: Option<u64>,
    told: HashMap<Guid, Definition>,
}

impl Definitions {
    pub fn new(catalog: &Catalog) -> Self {
        let sources = [("workflow", true), ("sdkmessageprocessingstep", false)];
        let sources = sources.map(|(name, workflow)| {
            let table = catalog.table_index(name).expect("every catalog has these tables");
            let facts = &catalog.tables()[table];
            let at = |name: &str| facts.column_index(name).expect("a column of both tables");
            let (statecode, autodelete) = (at("statecode"), at("asyncautodelete"));
            Source { table, workflow, statecode, autodelete }
        });
        let tables = sources.iter().map(|source| source.table).collect();
        Self { sources: sources.into(), tables, seen: None, told: HashMap::new() }
    }

    /// What has changed since the last call.
    pub fn news(&mut self, store: &Store) -> Vec<Event> {
        let changes = store.changes(&self.tables);
        if self.seen == Some(changes) {
            return Vec::new();
        }
        // A change that comes in between is seen now and looked for once more.
        self.seen = Some(changes);
        let snapshot = store.snapshot();
        let mut there = HashSet::new();
        let mut events = Vec::new();
        for source in &self.sources {
            for (id, definition) in rows(&snapshot, source) {
                there.insert(id);
                if self.told.insert(id, definition) != Some(definition) {
                    events.push(Event::Defined { id, definition: Some(definition) });
                }
            }
        }
        let mut gone: Vec<Guid> =
            self.told.keys().filter(|id| !there.contains(*id)).copied().collect();
        gone.sort_unstable();
        for id in gone {
            self.told.remove(&id);
            events.push(Event::Defined { id, definition: None });
        }
        events
    }
}

fn rows(snapshot: &Snapshot, source: &Source) -> Vec<(Guid, Definition)> {
    let rows = snapshot.table(source.table);
    let (schema, key) = (rows.table().schema(), rows.table().primary_id_index());
    let mut found = Vec::new();
    for chunk in rows.chunks() {
        let alive = |row: &usize| chunk.alive().is_none_or(|alive| alive.value(*row));
        for row in (0..chunk.rows()).filter(alive) {
            let cell = |column| chunk.value(row, column, schema);
            let Value::Guid(id) = cell(key) else { continue };
            let active = match cell(source.statecode) {
                Value::Int32(code) => (code == ACTIVATED) == source.workflow,
                _ => !source.workflow,
            };
            let autodelete = cell(source.autodelete) == Value::Boolean(true);
            found.push((id, Definition { workflow: source.workflow, active, autodelete }));
        }
    }
    found
}
