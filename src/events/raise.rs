//! The rows of the jobs that a change raises, by the documented rules of which
//! column is filled in when.

use serde_json::Value as Json;

use super::context::{Setting, execution_context};
use super::definitions::{Definition, Step, Workflow};
use super::{Chain, Definitions, RecordChange, payload};
use crate::catalog::entity_code;
use crate::identity::ORGANIZATION;
use crate::job::{Handler, JobColumns};
use crate::store::{Change, Store};
use crate::value::{Guid, Value};

/// `operationtype` of a step's job and of a workflow's.
const SYSTEM_EVENT: i32 = 1;
const WORKFLOW: i32 = 10;

/// Time zone code of Coordinated Universal Time.
const UTC: i32 = 92;

/// A job to be created.
#[derive(Clone, Debug)]
pub struct Raised {
    pub id: Guid,
    pub name: String,
    pub operationtype: i32,
    /// The step or workflow.
    pub definition: Guid,
    /// Cells of its row.
    pub cells: Vec<(usize, Value)>,
    /// What belongs into the same commit: the file of a large payload.
    pub with: Option<Change>,
}

/// Who causes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct By {
    pub user: Guid,
    pub business_unit: Guid,
}

/// The jobs that a change raises, in the order in which they are to be picked.
pub fn raise(
    store: &Store,
    definitions: &Definitions,
    change: &RecordChange,
    by: By,
    chain: &Chain,
    now: i64,
) -> Vec<Raised> {
    let jobs = definitions.matching(change).into_iter().map(|definition| match definition {
        Definition::Step(step) => Extension::of_step(&step),
        Definition::Workflow(workflow) => Extension::of_workflow(&workflow),
    });
    jobs.map(|extension| extension.job(store, change, by, chain, now)).collect()
}

/// A workflow that somebody starts by hand.
#[derive(Clone, Copy, Debug)]
pub struct OnDemand<'a> {
    pub id: Guid,
    pub name: &'a str,
    pub activation: Guid,
    pub logic: Option<&'a str>,
}

impl OnDemand<'_> {
    pub fn job(
        &self,
        store: &Store,
        change: &RecordChange,
        by: By,
        chain: &Chain,
        now: i64,
    ) -> Raised {
        let extension = Extension::workflow(self.id, self.name, self.activation, self.logic);
        extension.job(store, change, by, chain, now)
    }
}

/// What a job does the work of.
struct Extension {
    id: Guid,
    name: String,
    table: &'static str,
    operationtype: i32,
    activation: Option<Guid>,
    impersonating: Option<Guid>,
    /// How the work is done.
    handler: Handler,
}

impl Extension {
    fn of_step(step: &Step) -> Self {
        // Where the registration says how its work is done, that counts. Plug-in
        // code runs in a worker, which claims the job.
        let handler = match step.configuration.as_deref().and_then(Handler::from_json) {
            Some(given) => given,
            None if step.has_endpoint => Handler::Endpoint {},
            None => Handler::Worker {},
        };
        Self {
            id: step.id,
            name: step.name.clone(),
            table: "sdkmessageprocessingstep",
            operationtype: SYSTEM_EVENT,
            activation: None,
            impersonating: step.impersonating,
            handler,
        }
    }

    fn of_workflow(workflow: &Workflow) -> Self {
        let logic = workflow.logic.as_deref();
        Self::workflow(workflow.id, &workflow.name, workflow.activation, logic)
    }

    fn workflow(id: Guid, name: &str, activation: Guid, logic: Option<&str>) -> Self {
        // The logic of a workflow is a list of steps, else a worker's business.
        let handler = match logic {
            Some(logic) if has_steps(logic) => Handler::Workflow {},
            _ => logic.and_then(Handler::from_json).unwrap_or(Handler::Worker {}),
        };
        Self {
            id,
            name: name.to_owned(),
            table: "workflow",
            operationtype: WORKFLOW,
            activation: Some(activation),
            impersonating: None,
            handler,
        }
    }

    fn job(self, store: &Store, change: &RecordChange, by: By, chain: &Chain, now: i64) -> Raised {
        let id = uuid::Uuid::new_v4().into_bytes();
        let context = execution_context(
            change,
            &Setting {
                operation: id,
                extension: (self.table, self.id),
                user: self.impersonating.unwrap_or(by.user),
                initiating_user: by.user,
                business_unit: by.business_unit,
                organization_name: &organization(store),
                chain,
                now,
            },
        );
        let guid = |id: Option<Guid>| id.map_or(Value::Null, Value::Guid);
        let table = Value::Int32(entity_code(&change.table));
        let user = Value::Guid(by.user);
        let cells = [
            ("asyncoperationid", Value::Guid(id)),
            ("name", Value::Text(self.name.clone())),
            ("operationtype", Value::Int32(self.operationtype)),
            ("messagename", Value::Text(change.message.clone())),
            ("primaryentitytype", table.clone()),
            ("regardingobjectid", Value::Guid(change.id)),
            ("regardingobjecttypecode", table),
            ("owningextensionid", Value::Guid(self.id)),
            ("owningextensiontypecode", Value::Int32(entity_code(self.table))),
            ("workflowactivationid", guid(self.activation)),
            ("depth", Value::Int32(chain.depth)),
            ("correlationid", Value::Guid(chain.correlation)),
            ("correlationupdatedtime", Value::Time(now)),
            ("requestid", Value::Guid(chain.request)),
            ("callerorigin", Value::Text(chain.origin.to_owned())),
            ("parentpluginexecutionid", guid(chain.parent)),
            ("createdby", user.clone()),
            ("modifiedby", user.clone()),
            ("ownerid", user.clone()),
            ("owneridtype", Value::Int32(entity_code("systemuser"))),
            ("owninguser", user),
            ("owningbusinessunit", Value::Guid(by.business_unit)),
            ("utcconversiontimezonecode", Value::Int32(UTC)),
            ("timezoneruleversionnumber", Value::Int32(0)),
            ("sysjob_handler", Value::Text(self.handler.to_json())),
        ];
        let facts = &store.catalog().tables()[JobColumns::of(store.catalog()).table];
        let cells = cells.into_iter().filter(|(_, value)| *value != Value::Null);
        let mut cells: Vec<(usize, Value)> =
            cells.filter_map(|(name, value)| Some((facts.column_index(name)?, value))).collect();
        let with = payload::place(store.catalog(), id, context.to_string(), &mut cells, now);
        let (name, operationtype) = (self.name, self.operationtype);
        Raised { id, name, operationtype, definition: self.id, cells, with }
    }
}

/// Whether a text is the logic of a workflow that the service itself runs.
fn has_steps(text: &str) -> bool {
    matches!(serde_json::from_str(text), Ok(Json::Object(object)) if object.contains_key("steps"))
}

/// The name of the organization.
pub fn organization(store: &Store) -> String {
    let table = store.catalog().table_index("organization").map(|table| store.table(table));
    let named = table.and_then(|table| {
        let names = table.names();
        names.get(&ORGANIZATION).or_else(|| names.values().next()).cloned()
    });
    named.unwrap_or_else(|| "sysjob".to_owned())
}
