//! Rows of `jobhistory`: one for each transition, in the same commit. A row's
//! primary key is made of its number, which is also the order.

use std::sync::Arc;

use super::core::JobChange;
use crate::catalog::{Catalog, Table};
use crate::job::Status;
use crate::store::{Change, Snapshot};
use crate::value::{Guid, Value};

/// Numbers and writes rows.
pub struct History {
    table: usize,
    key: usize,
    id: usize,
    job: usize,
    from: [usize; 2],
    to: [usize; 2],
    createdon: usize,
    attempt: usize,
    actor: usize,
    reason: usize,
    durationms: usize,
    next: i64,
}

impl History {
    pub fn new(snapshot: &Arc<Snapshot>, catalog: &Catalog) -> Self {
        let table = catalog.table_index("jobhistory").expect("every catalog has jobhistory");
        let facts: &Table = &catalog.tables()[table];
        let at = |name: &str| facts.column_index(name).expect("a column of jobhistory");
        let id = at("jobhistoryid");
        Self {
            table,
            key: at("jobhistorykey"),
            id,
            job: at("asyncoperationid"),
            from: [at("fromstatecode"), at("fromstatuscode")],
            to: [at("tostatecode"), at("tostatuscode")],
            createdon: at("createdon"),
            attempt: at("attempt"),
            actor: at("actor"),
            reason: at("reason"),
            durationms: at("durationms"),
            next: snapshot.table(table).max_int64(id).map_or(1, |last| last + 1),
        }
    }

    /// The next row.
    pub fn row(&mut self, change: &JobChange) -> Change {
        let number = self.next;
        self.next += 1;
        // One more for the row's version.
        let mut values = Vec::with_capacity(13);
        values.push((self.key, Value::Guid(key(number))));
        values.push((self.id, Value::Int64(number)));
        values.push((self.job, Value::Guid(change.id)));
        values.push((self.createdon, Value::Time(change.at)));
        values.push((self.actor, Value::Text(change.actor.to_string())));
        values.push((self.reason, Value::Text(change.reason.to_string())));
        for (columns, status) in [(self.from, change.from), (self.to, change.to)] {
            if let Some(status) = status {
                values.push((columns[0], Value::Int32(Status::statecode(status))));
                values.push((columns[1], Value::Int32(status.statuscode())));
            }
        }
        if change.attempt > 0 {
            values.push((self.attempt, Value::Int32(change.attempt)));
        }
        if let Some(lasted) = change.lasted {
            values.push((self.durationms, Value::Int64(lasted / 1000)));
        }
        Change::Append { table: self.table, values }
    }
}

impl History {
    /// Deletions of rows from before a time, the oldest first.
    pub fn expired(&self, snapshot: &Snapshot, before: i64, max: usize) -> Vec<Change> {
        let rows = snapshot.table(self.table);
        let schema = rows.table().schema();
        let mut expired = Vec::new();
        for chunk in rows.chunks() {
            let alive = |row: &usize| chunk.alive().is_none_or(|alive| alive.value(*row));
            for row in (0..chunk.rows()).filter(alive) {
                match chunk.value(row, self.createdon, schema) {
                    Value::Time(at) if at < before && expired.len() < max => {}
                    // Rows stand in the order of their times.
                    _ => return expired,
                }
                if let Value::Guid(id) = chunk.value(row, self.key, schema) {
                    expired.push(Change::Delete { table: self.table, id });
                }
            }
        }
        expired
    }
}

/// The primary key of the row with a number.
fn key(number: i64) -> Guid {
    let mut key = [0; 16];
    key[8..].copy_from_slice(&number.to_be_bytes());
    key
}
