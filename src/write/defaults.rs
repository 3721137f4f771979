//! What the platform fills in when a row is written, and what must hold then.

use super::{Cells, Transaction};
use crate::catalog::{Column, ColumnKind, ColumnType, Table};
use crate::error::{Error, Result, codes};
use crate::identity::ORGANIZATION;
use crate::value::Value;

impl Transaction {
    /// Completes the cells of a new row.
    pub(super) fn complete(&self, facts: &Table, cells: &mut Cells) -> Result<()> {
        // Null leaves it to the platform, where that fills in something.
        cells.retain(|_, value| *value != Value::Null);
        let name = facts.primary_name.as_deref().and_then(|n| facts.column_index(n));
        let user = || Value::Guid(self.caller.user);
        for (name, value) in [
            ("createdon", Value::Time(self.now)),
            ("createdby", user()),
            ("administratorid", user()),
            ("organizationid", Value::Guid(ORGANIZATION)),
            // Users and teams belong to the business unit of whoever makes them.
            ("businessunitid", Value::Guid(self.caller.business_unit)),
        ] {
            if let Some(column) =
                facts.column_index(name).filter(|c| *c != facts.primary_id_index())
            {
                cells.entry(column).or_insert(value);
            }
        }
        let owner = facts.column_index("ownerid");
        if owner.is_some_and(|owner| !cells.contains_key(&owner)) {
            self.set_owner(facts, "systemuser", self.caller.user, cells);
        }
        for (index, column) in facts.columns.iter().enumerate() {
            let chosen = column.is_choice() && column.kind == ColumnKind::Stored;
            let option = column.options.iter().find(|o| o.is_default);
            if let (true, Some(option)) = (chosen && !is_state(column), option) {
                cells.entry(index).or_insert(match column.column_type {
                    ColumnType::Boolean => Value::Boolean(option.value != 0),
                    _ => Value::Int32(option.value),
                });
            }
        }
        let initial = column_of(facts, ColumnType::State)
            .and_then(|(_, c)| c.options.iter().find(|o| o.is_default))
            .map_or(0, |o| o.value);
        settle_status(facts, initial, cells)?;
        if let Some(name) = name.filter(|n| is_required(&facts.columns[*n])) {
            cells.entry(name).or_insert(Value::Null);
        }
        self.stamp(facts, None, cells)
    }

    /// Completes the cells that change in a row.
    pub(super) fn settle_update(
        &self,
        facts: &Table,
        row: &[Value],
        cells: &mut Cells,
    ) -> Result<()> {
        let current = match column_of(facts, ColumnType::State).map(|(index, _)| &row[index]) {
            Some(Value::Int32(state)) => *state,
            _ => 0,
        };
        let sets = |kind| column_of(facts, kind).is_some_and(|(i, _)| cells.contains_key(&i));
        if sets(ColumnType::State) || sets(ColumnType::Status) {
            settle_status(facts, current, cells)?;
        }
        self.stamp(facts, Some(row), cells)
    }

    /// What every write sets and checks.
    fn stamp(&self, facts: &Table, row: Option<&[Value]>, cells: &mut Cells) -> Result<()> {
        for (index, value) in cells.iter() {
            let column = &facts.columns[*index];
            if *value == Value::Null && is_required(column) {
                let message = format!(
                    "Attribute: {} cannot be set to NULL on '{}'",
                    column.logical_name, facts.logical_name
                );
                return Err(Error::invalid(codes::INVALID_ARGUMENT, message));
            }
        }
        full_name(facts, row, cells);
        for (name, value) in
            [("modifiedon", Value::Time(self.now)), ("modifiedby", Value::Guid(self.caller.user))]
        {
            if let Some(column) = facts.column_index(name) {
                cells.insert(column, value);
            }
        }
        Ok(())
    }
}

/// State and status reason belong together; one that is left out follows.
fn settle_status(facts: &Table, current: i32, cells: &mut Cells) -> Result<()> {
    let (Some((state, _)), Some((status, reasons))) =
        (column_of(facts, ColumnType::State), column_of(facts, ColumnType::Status))
    else {
        return Ok(());
    };
    let wanted = match cells.get(&state) {
        Some(Value::Int32(wanted)) => *wanted,
        _ => current,
    };
    cells.insert(state, Value::Int32(wanted));
    let of_state = || reasons.options.iter().filter(|o| o.state == Some(wanted));
    match cells.get(&status) {
        Some(Value::Int32(reason)) => {
            if !of_state().any(|o| o.value == *reason) {
                let message = format!(
                    "{reason} is not a valid status code for state code {wanted} on '{}'",
                    facts.logical_name
                );
                return Err(Error::invalid(codes::INVALID_STATUS, message));
            }
        }
        _ => {
            let default = of_state().find(|o| o.is_default).or_else(|| of_state().next());
            if let Some(option) = default {
                cells.insert(status, Value::Int32(option.value));
            }
        }
    }
    Ok(())
}

/// People are called by first and last name.
fn full_name(facts: &Table, row: Option<&[Value]>, cells: &mut Cells) {
    let parts = ["firstname", "lastname"].map(|name| facts.column_index(name));
    let (Some(full), [Some(first), Some(last)]) = (facts.column_index("fullname"), parts) else {
        return;
    };
    if !cells.contains_key(&first) && !cells.contains_key(&last) {
        return;
    }
    let part = |column: usize| match cells.get(&column).or(row.map(|row| &row[column])) {
        Some(Value::Text(text)) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        _ => None,
    };
    let name = [part(first), part(last)].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let name = if name.is_empty() { Value::Null } else { Value::Text(name) };
    cells.insert(full, name);
}

fn column_of(facts: &Table, kind: ColumnType) -> Option<(usize, &Column)> {
    facts.columns.iter().enumerate().find(|(_, c)| c.column_type == kind)
}

fn is_state(column: &Column) -> bool {
    matches!(column.column_type, ColumnType::State | ColumnType::Status)
}

pub fn is_required(column: &Column) -> bool {
    column.required == "SystemRequired"
}
