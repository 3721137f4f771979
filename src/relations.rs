//! What a query's meaning depends on, from the stored rows: who belongs to which
//! team, who reports to whom, what stands above what, and the calendar.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Datelike};
use chrono_tz::Tz;

use crate::identity::Caller;
use crate::query::Context;
use crate::query::context::{Calendar, FiscalPeriod, Relations};
use crate::store::{Snapshot, TableSnapshot};
use crate::value::{Guid, Value};

/// The surroundings of a query over a snapshot.
pub fn context(snapshot: &Arc<Snapshot>, now: i64, timezone: Tz, caller: &Caller) -> Context {
    Context {
        now,
        timezone,
        user: caller.user,
        business_unit: caller.business_unit,
        calendar: calendar(snapshot),
        relations: Arc::new(Stored(snapshot.clone())),
        ..Context::default()
    }
}

/// The calendar of the organization; the default one where no row says otherwise.
fn calendar(snapshot: &Snapshot) -> Calendar {
    let mut calendar = Calendar::default();
    let Some(organization) = snapshot.table_named("organization") else { return calendar };
    let cells = ["weekstartdaycode", "fiscalcalendarstart", "fiscalperiodtype"];
    let Some([week, start, length]) = rows(organization, cells).next() else { return calendar };
    if let Value::Int32(day @ 0..=6) = week {
        calendar.week_start = day.unsigned_abs();
    }
    if let Value::Date(days) = start
        && let Some(start) = DateTime::from_timestamp(i64::from(days) * 86_400, 0)
    {
        calendar.fiscal_start = (start.month(), start.day());
    }
    if let Value::Int32(code) = length
        && let Some(length) = FiscalPeriod::from_code(code)
    {
        calendar.fiscal_period = length;
    }
    calendar
}

/// The rows of a table that are not deleted, as the values of some columns; a
/// column that the table lacks is null.
fn rows<'a, const N: usize>(
    table: &'a TableSnapshot,
    columns: [&str; N],
) -> impl Iterator<Item = [Value; N]> + 'a {
    let facts = table.table();
    let columns = columns.map(|column| facts.column_index(column));
    table.chunks().iter().flat_map(move |chunk| {
        let alive = move |row: &usize| chunk.alive().is_none_or(|alive| alive.value(*row));
        let cell = move |row, column: Option<usize>| {
            column.map_or(Value::Null, |column| chunk.value(row, column, facts.schema()))
        };
        (0..chunk.rows()).filter(alive).map(move |row| columns.map(|column| cell(row, column)))
    })
}

/// Relations between stored rows. They are read when a query asks.
struct Stored(Arc<Snapshot>);

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stored")
    }
}

impl Stored {
    /// Pairs of GUIDs of a table's rows, where both are there.
    fn pairs(&self, table: &str, columns: [&str; 2]) -> Vec<(Guid, Guid)> {
        let Some(table) = self.0.table_named(table) else { return Vec::new() };
        let pair = |row: [Value; 2]| match row {
            [Value::Guid(left), Value::Guid(right)] => Some((left, right)),
            _ => None,
        };
        rows(table, columns).filter_map(pair).collect()
    }

    fn primary_id(&self, table: &str) -> Option<&str> {
        self.0.table_named(table).map(|table| table.table().primary_id.as_str())
    }
}

impl Relations for Stored {
    fn teams_of(&self, users: &[Guid]) -> Vec<Guid> {
        let users: HashSet<&Guid> = users.iter().collect();
        let mut seen = HashSet::new();
        let memberships = self.pairs("teammembership", ["systemuserid", "teamid"]);
        memberships
            .into_iter()
            .filter(|(user, team)| users.contains(user) && seen.insert(*team))
            .map(|(_, team)| team)
            .collect()
    }

    fn subordinates(&self, user: Guid) -> Vec<Guid> {
        self.descendants("systemuser", "parentsystemuserid", user)
    }

    fn ancestors(&self, table: &str, parent: &str, id: Guid) -> Vec<Guid> {
        let Some(key) = self.primary_id(table) else { return Vec::new() };
        let parents: HashMap<Guid, Guid> = self.pairs(table, [key, parent]).into_iter().collect();
        let mut found = Vec::new();
        // A row may stand above itself by mistake; each is met once.
        let mut seen = HashSet::from([id]);
        let mut at = id;
        while let Some(above) = parents.get(&at)
            && seen.insert(*above)
        {
            found.push(*above);
            at = *above;
        }
        found
    }

    fn descendants(&self, table: &str, parent: &str, id: Guid) -> Vec<Guid> {
        let Some(key) = self.primary_id(table) else { return Vec::new() };
        let mut children: HashMap<Guid, Vec<Guid>> = HashMap::new();
        for (child, parent) in self.pairs(table, [key, parent]) {
            children.entry(parent).or_default().push(child);
        }
        let mut found = Vec::new();
        let mut seen = HashSet::from([id]);
        let mut next = vec![id];
        while let Some(at) = next.pop() {
            for child in children.get(&at).into_iter().flatten() {
                if seen.insert(*child) {
                    found.push(*child);
                    next.push(*child);
                }
            }
        }
        found
    }
}
