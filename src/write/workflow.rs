//! `ExecuteWorkflow`: the job of a workflow that somebody starts by hand.

use super::{Transaction, missing};
use crate::catalog::entity_code;
use crate::error::{Error, Result, codes};
use crate::identity::Role;
use crate::scheduler::NewJob;
use crate::value::{Guid, Value};

/// A workflow's `statecode` when it is activated.
const ACTIVATED: i32 = 1;
/// `operationtype` of a workflow's job.
const WORKFLOW: i32 = 10;

impl Transaction {
    /// The job of a workflow on a row, and its id.
    pub fn workflow_job(&self, workflow: Guid, entity: Guid) -> Result<(Guid, NewJob)> {
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
        let id = uuid::Uuid::new_v4().into_bytes();
        let user = Value::Guid(self.caller.user);
        let jobs = self.facts(crate::job::JobColumns::of(self.catalog()).table);
        let cells = [
            ("asyncoperationid", Value::Guid(id)),
            ("name", Value::Text(name)),
            ("operationtype", Value::Int32(WORKFLOW)),
            ("messagename", Value::Text("ExecuteWorkflow".into())),
            ("primaryentitytype", cell("primaryentity")),
            ("regardingobjectid", Value::Guid(entity)),
            ("regardingobjecttypecode", cell("primaryentity")),
            ("owningextensionid", Value::Guid(workflow)),
            ("owningextensiontypecode", Value::Int32(entity_code("workflow"))),
            ("workflowactivationid", Value::Guid(activation)),
            ("correlationid", Value::Guid(uuid::Uuid::new_v4().into_bytes())),
            ("correlationupdatedtime", Value::Time(self.now)),
            ("depth", Value::Int32(1)),
            ("createdby", user.clone()),
            ("modifiedby", user.clone()),
            ("ownerid", user.clone()),
            ("owneridtype", Value::Int32(entity_code("systemuser"))),
            ("owninguser", user),
            ("owningbusinessunit", Value::Guid(self.caller.business_unit)),
        ];
        let cells = cells.into_iter().filter(|(_, value)| *value != Value::Null);
        let cells = cells.filter_map(|(name, value)| Some((jobs.column_index(name)?, value)));
        Ok((id, cells.collect()))
    }
}
