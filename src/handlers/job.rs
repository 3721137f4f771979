//! The row of a job, as its work reads it.

use std::sync::Arc;

use crate::catalog::{Table, entity_name};
use crate::events::{Chain, payload};
use crate::identity::{BUSINESS_UNIT, Caller, Role, SYSTEM_USER};
use crate::job::JobColumns;
use crate::store::Store;
use crate::value::{Guid, Value};

/// A job's row as of the start of an attempt.
pub struct JobRow {
    pub id: Guid,
    facts: Arc<Table>,
    cells: Vec<Value>,
    /// `data`, wherever it is kept.
    pub data: Option<String>,
}

impl JobRow {
    pub fn read(store: &Store, id: Guid) -> Option<Self> {
        let table = JobColumns::of(store.catalog()).table;
        let facts = store.catalog().tables()[table].clone();
        let cells = store.row(table, &id)?;
        Some(Self { id, facts, cells, data: payload::read(store, id) })
    }

    fn get(&self, name: &str) -> &Value {
        self.facts.column_index(name).map_or(&Value::Null, |column| &self.cells[column])
    }

    pub fn guid(&self, name: &str) -> Option<Guid> {
        match self.get(name) {
            Value::Guid(id) => Some(*id),
            _ => None,
        }
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn int(&self, name: &str) -> Option<i32> {
        match self.get(name) {
            Value::Int32(number) => Some(*number),
            _ => None,
        }
    }

    pub fn time(&self, name: &str) -> Option<i64> {
        match self.get(name) {
            Value::Time(at) => Some(*at),
            _ => None,
        }
    }

    /// The logical name in a column with an object type code.
    pub fn table(&self, name: &str) -> Option<String> {
        self.int(name).and_then(entity_name)
    }

    /// Whoever its work is done for. What work may do was settled when it was
    /// registered.
    pub fn caller(&self) -> Caller {
        Caller {
            user: self.guid("owninguser").or(self.guid("ownerid")).unwrap_or(SYSTEM_USER),
            business_unit: self.guid("owningbusinessunit").unwrap_or(BUSINESS_UNIT),
            role: Role::Administrator,
        }
    }

    /// The chain in which its work goes on.
    pub fn chain(&self, now: i64) -> Chain {
        let depth = self.int("depth").unwrap_or(1);
        let correlated = self.time("correlationupdatedtime");
        Chain::of_job(self.id, self.guid("correlationid"), depth, correlated, now)
    }
}
