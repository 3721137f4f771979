//! Updates of system jobs: three columns, which ask for actions.

use super::{Object, Transaction, value};
use crate::catalog::{Table, nearest};
use crate::error::{Error, Result, codes};
use crate::identity::Role;
use crate::job::{self, Action, ActionRequest, JobColumns};
use crate::scheduler::frozen::Frozen;
use crate::store::Change;
use crate::value::{Guid, Value};

/// The columns that clients may update, as the page on the asynchronous service says.
const UPDATABLE: [&str; 3] = ["statecode", "statuscode", "postponeuntil"];

/// The columns that say when a job recurs. They stay as they were given.
const RECURRENCE: [&str; 2] = ["recurrencepattern", "recurrencestarttime"];

impl Transaction {
    /// Why a job does not recur in another way than it does.
    fn not_rescheduled(&self, table: usize, id: &Guid, name: &str) -> Error {
        let columns = JobColumns::of(self.catalog());
        let pattern = self.store.value(table, id, columns.recurrencepattern);
        let recurs = matches!(pattern, Some(Value::Text(pattern)) if !pattern.is_empty());
        let (code, why) = match recurs {
            true => (
                codes::CANNOT_UPDATE_RECURRING,
                "the recurrence of a job of this type is fixed; cancel it and make another",
            ),
            false => (codes::CANNOT_UPDATE_NONRECURRING, "the job does not recur"),
        };
        let message = format!("'{name}' of '{}' cannot be updated: {why}", job::TABLE);
        Error::invalid(code, message)
    }

    pub(super) fn update_job(&mut self, facts: &Table, id: Guid, body: &Object) -> Result<()> {
        let table = JobColumns::of(self.catalog()).table;
        self.may(Role::Operator, "act on", facts)?;
        self.existing(table, &id)?;
        let mut asked = [None, None, None];
        for (name, json) in body.iter().filter(|(name, _)| !name.contains('@')) {
            let Some(place) = UPDATABLE.iter().position(|column| *column == name.as_str()) else {
                return Err(match RECURRENCE.contains(&name.as_str()) {
                    true => self.not_rescheduled(table, &id, name),
                    false => not_updatable(facts, name),
                });
            };
            if let Some(column) = facts.column_index(name) {
                asked[place] = Some(value::read(facts, column, json)?);
            }
            // Only the time to wait for can be taken away.
            if asked[place] == Some(Value::Null) && name != "postponeuntil" {
                let message = format!("'{name}' of '{}' cannot be null", job::TABLE);
                return Err(Error::invalid(codes::INVALID_ARGUMENT, message));
            }
        }
        let code = |value: &Option<Value>| match value {
            Some(Value::Int32(code)) => Some(*code),
            _ => None,
        };
        let until = asked[2].as_ref().map(|value| match value {
            Value::Time(until) => Some(*until),
            _ => None,
        });
        match Action::requested(code(&asked[0]), code(&asked[1]), until)? {
            Some(action) => self.act(id, action, None),
            None => Ok(()),
        }
    }

    /// Acts on a job: through the scheduler, or on its row where no scheduler runs.
    pub fn act(&mut self, id: Guid, action: Action, reason: Option<String>) -> Result<()> {
        let columns = JobColumns::of(self.catalog());
        let table = columns.table;
        let facts = self.facts(table);
        self.may(Role::Operator, "act on", &facts)?;
        let mut row = self.existing(table, &id)?;
        let request = ActionRequest { id, action, by: self.caller.user, reason };
        if self.scheduler.is_some() {
            if action == Action::Delete {
                self.rows.insert((table, id), None);
            }
            self.actions.push(request);
            return Ok(());
        }
        let frozen = self.frozen.get_or_insert_with(|| Frozen::new(&self.store));
        let changes = frozen.act(&self.store, &row, request, self.now)?;
        for change in &changes {
            if let Change::Update { values, .. } = change {
                values.iter().for_each(|(column, value)| row[*column] = value.clone());
            }
        }
        self.rows.insert((table, id), (action != Action::Delete).then_some(row));
        self.changes.extend(changes);
        Ok(())
    }
}

fn not_updatable(facts: &Table, name: &str) -> Error {
    let known = facts.columns.iter().any(|c| c.logical_name == name || c.property_name() == name);
    if known {
        let message = format!(
            "'{name}' of '{}' cannot be updated: only {} are supported for update",
            job::TABLE,
            UPDATABLE.map(|column| format!("'{column}'")).join(", ")
        );
        return Error::invalid(codes::INVALID_ARGUMENT, message);
    }
    let near = nearest(name, UPDATABLE.into_iter());
    let hint = near.map(|n| format!(" Did you mean '{n}'?")).unwrap_or_default();
    let message = format!(
        "Invalid property '{name}' was found in entity 'Microsoft.Dynamics.CRM.{}'.{hint}",
        job::TABLE
    );
    Error::invalid(codes::ODATA, message)
}
