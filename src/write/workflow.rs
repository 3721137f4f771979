//! `ExecuteWorkflow`: the job of a workflow that somebody starts by hand.

use super::{Transaction, missing};
use crate::catalog::entity_name;
use crate::error::{Error, Result, codes};
use crate::events::{By, OnDemand, RecordChange};
use crate::identity::Role;
use crate::value::{Guid, Value};

/// A workflow's `statecode` when it is activated.
const ACTIVATED: i32 = 1;
/// The message of a start by hand.
const MESSAGE: &str = "ExecuteWorkflow";

impl Transaction {
    /// The job of a workflow on a row; its id.
    pub fn execute_workflow(&mut self, workflow: Guid, entity: Guid) -> Result<Guid> {
        let Some(table) = self.catalog().table_index("workflow") else {
            return Err(Error::internal("every catalog has workflow"));
        };
        let facts = self.facts(table);
        self.may(Role::Operator, "execute", &facts)?;
        let row = self.row(table, &workflow).ok_or_else(|| missing(&facts, &workflow))?;
        let cell =
            |name: &str| facts.column_index(name).map_or(Value::Null, |column| row[column].clone());
        let name = match cell("name") {
            Value::Text(name) => name,
            _ => String::new(),
        };
        if cell("statecode") != Value::Int32(ACTIVATED) {
            let message = format!("the workflow '{name}' is not activated and cannot be executed");
            return Err(Error::invalid(codes::WORKFLOW_NOT_ACTIVATED, message));
        }
        if cell("ondemand") != Value::Boolean(true) {
            let message = format!("the workflow '{name}' cannot be executed on demand");
            return Err(Error::invalid(codes::WORKFLOW_NOT_ON_DEMAND, message));
        }
        let activation = match cell("activeworkflowid") {
            Value::Guid(id) => id,
            _ => workflow,
        };
        let logic = match cell("clientdata") {
            Value::Text(logic) => Some(logic),
            _ => None,
        };
        let table = match cell("primaryentity") {
            Value::Int32(code) => entity_name(code),
            _ => None,
        };
        let change = RecordChange {
            message: MESSAGE.to_owned(),
            table: table.unwrap_or_default(),
            id: entity,
            attributes: Vec::new(),
            name: None,
            owner: None,
            business_unit: None,
        };
        let by = By { user: self.caller.user, business_unit: self.caller.business_unit };
        let started = OnDemand { id: workflow, name: &name, activation, logic: logic.as_deref() };
        let job = started.job(&self.store, &change, by, &self.chain, self.now);
        let id = job.id;
        self.jobs.push(job);
        Ok(id)
    }
}
