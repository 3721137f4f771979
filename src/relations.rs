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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use crate::store::{Change, Store};
    use crate::value::parse_time;

    fn guid(last: u8) -> Guid {
        let mut guid = [0; 16];
        guid[15] = last;
        guid
    }

    /// A store with rows given as table, columns and values.
    fn snapshot(rows: &[(&str, &[(&str, Value)])]) -> Arc<Snapshot> {
        let folder = tempfile::tempdir().expect("a folder");
        let catalog = Arc::new(Catalog::built_in());
        let store = Store::open(folder.path(), catalog.clone()).expect("opens");
        let changes = rows.iter().map(|(table, cells)| {
            let table = catalog.table_index(table).expect("built in");
            let column = |name| catalog.tables()[table].column_index(name).expect("built in");
            let values = cells.iter().map(|(name, value)| (column(name), value.clone())).collect();
            Change::Insert { table, values }
        });
        store.commit_blocking(changes.collect()).expect("commits");
        store.snapshot()
    }

    fn account(id: u8, parent: Option<u8>) -> [(&'static str, Value); 2] {
        let parent = parent.map_or(Value::Null, |parent| Value::Guid(guid(parent)));
        [("accountid", Value::Guid(guid(id))), ("parentaccountid", parent)]
    }

    #[test]
    fn rows_above_and_below_even_in_circles() {
        let accounts = [
            account(1, None),
            account(2, Some(1)),
            account(3, Some(2)),
            account(4, Some(1)),
            // Each stands above the other.
            account(5, Some(6)),
            account(6, Some(5)),
        ];
        let rows: Vec<_> = accounts.iter().map(|cells| ("account", &cells[..])).collect();
        let stored = Stored(snapshot(&rows));
        let above = |id| stored.ancestors("account", "parentaccountid", guid(id));
        let below = |id| {
            let mut below = stored.descendants("account", "parentaccountid", guid(id));
            below.sort_unstable();
            below
        };
        assert_eq!(above(3), [guid(2), guid(1)]);
        assert_eq!(above(1), Vec::<Guid>::new());
        assert_eq!(below(1), [guid(2), guid(3), guid(4)]);
        assert_eq!((above(5), below(5)), (vec![guid(6)], vec![guid(6)]));
        assert_eq!((above(9), below(9)), (Vec::new(), Vec::new()));
    }

    #[test]
    fn teams_and_subordinates_of_users() {
        let member = |id, user, team| {
            [
                ("teammembershipid", Value::Guid(guid(id))),
                ("systemuserid", Value::Guid(guid(user))),
                ("teamid", Value::Guid(guid(team))),
            ]
        };
        let memberships = [member(1, 10, 20), member(2, 10, 21), member(3, 11, 20)];
        let user = [
            ("systemuserid", Value::Guid(guid(11))),
            ("parentsystemuserid", Value::Guid(guid(10))),
        ];
        let mut rows: Vec<_> =
            memberships.iter().map(|cells| ("teammembership", &cells[..])).collect();
        rows.push(("systemuser", &user));
        let stored = Stored(snapshot(&rows));
        assert_eq!(stored.teams_of(&[guid(10)]), [guid(20), guid(21)]);
        assert_eq!(stored.teams_of(&[guid(10), guid(11)]), [guid(20), guid(21)]);
        assert_eq!(stored.teams_of(&[guid(12)]), Vec::<Guid>::new());
        assert_eq!(stored.subordinates(guid(10)), [guid(11)]);
    }

    #[test]
    fn the_organization_has_the_calendar() {
        assert_eq!(calendar(&snapshot(&[])), Calendar::default());
        let july = parse_time("2019-07-01").expect("a time") / 86_400_000_000;
        let organization = [
            ("organizationid", Value::Guid(guid(1))),
            ("weekstartdaycode", Value::Int32(1)),
            ("fiscalcalendarstart", Value::Date(i32::try_from(july).expect("a day"))),
            ("fiscalperiodtype", Value::Int32(2003)),
        ];
        assert_eq!(
            calendar(&snapshot(&[("organization", &organization)])),
            Calendar { week_start: 1, fiscal_start: (7, 1), fiscal_period: FiscalPeriod::Monthly }
        );
    }
}
