//! Deletions: what does not go, and what goes along.

use datafusion::common::HashSet;

use super::cells::clear;
use super::defaults::is_required;
use super::rules::{Operation, check};
use super::{Cells, Transaction};
use crate::catalog::{ColumnKind, Table};
use crate::error::{Error, Result, codes};
use crate::events;
use crate::identity::Role;
use crate::job::{self, Action};
use crate::store::Change;
use crate::value::{Guid, Value, guid_text};

impl Transaction {
    /// Deletes a row. Lookups to it are set to null; a row that another cannot be
    /// without stays.
    pub fn delete(&mut self, table: usize, id: Guid) -> Result<()> {
        let facts = self.facts(table);
        check(&facts, Operation::Delete)?;
        if facts.logical_name == job::TABLE {
            return self.act(id, Action::Delete, None);
        }
        self.may(Role::Administrator, "delete", &facts)?;
        let row = self.existing(table, &id)?;
        if let Some(why) = self.is_kept(&facts, &row, &id) {
            let message = format!(
                "{} With Id = {} cannot be deleted: {why}",
                facts.schema_name,
                guid_text(&id)
            );
            return Err(Error::invalid(codes::CANNOT_BE_DELETED, message));
        }
        let references = self.references(&facts, id);
        for (other, column, row) in &references {
            let other = self.facts(*other);
            if is_required(&other.columns[*column]) {
                let message = format!(
                    "{} With Id = {} cannot be deleted: it is the '{}' of {} {}",
                    facts.schema_name,
                    guid_text(&id),
                    other.columns[*column].logical_name,
                    other.logical_name,
                    guid_text(row)
                );
                return Err(Error::invalid(codes::CANNOT_BE_DELETED, message));
            }
        }
        for (other, column, row) in references {
            let Some(values) = self.row(other, &row) else { continue };
            let mut cells = Cells::new();
            clear(&self.facts(other), column, &mut cells);
            self.set(other, row, values, cells);
        }
        self.happened(events::DELETE, &facts, id, &row, &Cells::new());
        self.rows.insert((table, id), None);
        self.changes.push(Change::Delete { table, id });
        Ok(())
    }

    /// Why a row is there to stay.
    fn is_kept(&self, facts: &Table, row: &[Value], id: &Guid) -> Option<&'static str> {
        let parent = facts.column_index("parentbusinessunitid");
        match facts.logical_name.as_str() {
            "businessunit" if parent.is_some_and(|p| row[p] == Value::Null) => {
                Some("it is the root business unit")
            }
            "systemuser" if *id == self.caller.user => Some("it is the calling user"),
            _ => None,
        }
    }

    /// Lookups that point to a row, of tables that clients write to: table, column, row.
    fn references(&self, facts: &Table, id: Guid) -> Vec<(usize, usize, Guid)> {
        let snapshot = self.store.snapshot();
        let wanted = HashSet::from_iter([id]);
        let mut found = Vec::new();
        for relation in &facts.one_to_many {
            let Some(table) = self.catalog().table_index(&relation.target) else { continue };
            let other = self.facts(table);
            let Some(index) = other.column_index(&relation.target_column) else { continue };
            let column = &other.columns[index];
            if column.kind != ColumnKind::Stored
                || !column.update
                || check(&other, Operation::Create).is_err()
            {
                continue;
            }
            let mut rows: HashSet<Guid> =
                snapshot.table(table).ids_where(index, &wanted).into_iter().collect();
            rows.extend(self.rows.keys().filter(|(of, _)| *of == table).map(|(_, row)| *row));
            let points = |row: &Guid| {
                self.row(table, row).is_some_and(|cells| cells[index] == Value::Guid(id))
            };
            let mut rows: Vec<Guid> = rows.into_iter().filter(points).collect();
            rows.retain(|row| *row != id);
            rows.sort_unstable();
            found.extend(rows.into_iter().map(|row| (table, index, row)));
        }
        found
    }
}
