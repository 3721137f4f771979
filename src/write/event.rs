//! What writes raise: the jobs of steps and workflows that wait for them.

use super::rules::{Operation, check};
use super::{Cells, Transaction};
use crate::catalog::Table;
use crate::events::{self, By, Chain, Definitions, Raised, RecordChange};
use crate::job;
use crate::scheduler::Handle;
use crate::value::{Guid, Value};

impl Transaction {
    /// Notes what has happened to a record. `row` is the record before, of a new one
    /// what it is made of; `cells` what was set.
    pub(super) fn happened(
        &mut self,
        message: &str,
        facts: &Table,
        id: Guid,
        row: &[Value],
        cells: &Cells,
    ) {
        // Jobs, and what belongs to them, are the platform's own records.
        if facts.logical_name == job::TABLE || check(facts, Operation::Update).is_err() {
            return;
        }
        let cell = |column: usize| cells.get(&column).unwrap_or(&row[column]);
        let guid = |name: &str| match facts.column_index(name).map(cell) {
            Some(Value::Guid(id)) => Some(*id),
            _ => None,
        };
        let set = cells.iter().filter(|(column, _)| {
            // The table of a lookup is part of the lookup.
            facts.columns[**column].attribute_of.is_none()
        });
        let attributes = set.map(|(column, value)| {
            let of_type = facts.type_column(*column).map(cell);
            let value = events::attribute(facts, *column, value, of_type);
            (facts.columns[*column].logical_name.clone(), value)
        });
        let name =
            facts.primary_name.as_ref().and_then(|name| match facts.column_index(name).map(cell) {
                Some(Value::Text(text)) => Some((name.clone(), text.clone())),
                _ => None,
            });
        let change = RecordChange {
            message: message.to_owned(),
            table: facts.logical_name.clone(),
            id,
            attributes: attributes.collect(),
            name,
            owner: guid("ownerid"),
            business_unit: guid("owningbusinessunit"),
        };
        self.events.push(change);
    }

    /// What somebody tells of a record; the jobs that it raises.
    pub fn raise(&mut self, change: &RecordChange) -> &[Raised] {
        let before = self.jobs.len();
        self.told.push(change.id);
        let by = By { user: self.caller.user, business_unit: self.caller.business_unit };
        let definitions = Definitions::of(&self.store);
        // Each event begins a chain of its own.
        let chain = Chain::of_request();
        let raised = events::raise(&self.store, &definitions, change, by, &chain, self.now);
        self.jobs.extend(raised);
        &self.jobs[before..]
    }

    /// The records to which something happens, if anybody waits for that.
    pub(super) fn awaited(&mut self) -> Vec<Guid> {
        let mut records = std::mem::take(&mut self.told);
        if !self.scheduler.as_ref().is_some_and(Handle::is_awaited) {
            return Vec::new();
        }
        records.extend(self.events.iter().map(|event| event.id));
        records
    }

    /// The jobs that this transaction makes.
    pub(super) fn raised(&mut self) -> Vec<Raised> {
        let by = By { user: self.caller.user, business_unit: self.caller.business_unit };
        let mut jobs = std::mem::take(&mut self.jobs);
        let events = std::mem::take(&mut self.events);
        if !events.is_empty() {
            let definitions = Definitions::of(&self.store);
            for event in events {
                let raised =
                    events::raise(&self.store, &definitions, &event, by, &self.chain, self.now);
                jobs.extend(raised);
            }
        }
        jobs
    }
}
