//! `POST /sysjob/jobs`: new system jobs. An id that is known already is answered as
//! before, so that a client that got no answer may ask again.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value as Json, json};

use super::members::Members;
use super::{Body, handler};
use crate::catalog::{Table, entity_code};
use crate::error::{Error, Place, Result, codes};
use crate::events::payload;
use crate::handlers::is_platform;
use crate::http::error::Failure;
use crate::identity::{Caller, Role};
use crate::job::action::PLATFORM_TYPES;
use crate::job::report::WORKFLOW;
use crate::job::{Handler, JobColumns, Recurrence};
use crate::scheduler::frozen::Frozen;
use crate::scheduler::{NewJob, Submitted};
use crate::service::Service;
use crate::store::Change;
use crate::value::{Guid, Value, guid_text};
use crate::write;

const MEMBERS: [&str; 15] = [
    "name",
    "operationtype",
    "asyncoperationid",
    "dependencytoken",
    "postponeuntil",
    "recurrencepattern",
    "recurrencestarttime",
    "owningextensionid",
    "regardingobjectid",
    "regardingobjecttypecode",
    "ownerid",
    "data",
    "correlationid",
    "depth",
    "handler",
];

/// Time zone code of Coordinated Universal Time.
const UTC: i32 = 92;

pub async fn submit(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Failure> {
    let body = Body::read(&service, request).await?;
    let reader = Reader::new(&service, caller);
    let jobs = body.objects("jobs", |members| reader.job(members))?;
    let submitted = reader.commit(jobs).await?;
    let answer = |job: &Submitted| json!({ "asyncoperationid": guid_text(&job.id), "sequence": job.sequence });
    Ok(body.answer(StatusCode::CREATED, submitted.iter().map(answer).collect()))
}

/// A job as it was read.
struct Job {
    id: Guid,
    cells: NewJob,
    /// The file of a large payload.
    file: Option<Change>,
}

struct Reader<'a> {
    service: &'a Service,
    caller: Caller,
    columns: JobColumns,
    facts: &'a Table,
    now: i64,
}

impl<'a> Reader<'a> {
    fn new(service: &'a Service, caller: Caller) -> Self {
        let catalog = service.store.catalog();
        let columns = JobColumns::of(catalog);
        let facts = &catalog.tables()[columns.table];
        Self { service, caller, columns, facts, now: service.clock.now() }
    }

    fn job(&self, members: &Members) -> Result<Job> {
        members.known(&MEMBERS)?;
        members.required_text("name")?;
        let operationtype = self.operation_type(members)?;
        let mut row = Row { reader: self, cells: Vec::with_capacity(24) };
        let new = || uuid::Uuid::new_v4().into_bytes();
        let given = members.guid("asyncoperationid")?.filter(|id| *id != Guid::default());
        let id = given.unwrap_or_else(new);
        row.set("asyncoperationid", Value::Guid(id));
        for name in ["name", "dependencytoken", "postponeuntil", "recurrencestarttime"] {
            row.copy(members, name)?;
        }
        self.check_recurrence(members)?;
        row.copy(members, "recurrencepattern")?;
        row.set("operationtype", Value::Int32(operationtype));
        row.set("depth", Value::Int32(members.int("depth", 1)?.unwrap_or(1)));
        row.set("correlationid", Value::Guid(members.guid("correlationid")?.unwrap_or_else(new)));
        row.set("correlationupdatedtime", Value::Time(self.now));
        row.set("requestid", Value::Guid(new()));
        row.set("callerorigin", Value::Text("WebServiceApiOrigin".into()));
        row.extension(members, operationtype)?;
        row.regarding(members)?;
        row.owner(members)?;
        row.set("createdby", Value::Guid(self.caller.user));
        row.set("modifiedby", Value::Guid(self.caller.user));
        row.set("utcconversiontimezonecode", Value::Int32(UTC));
        row.set("timezoneruleversionnumber", Value::Int32(0));
        let handler = match members.get("handler") {
            Some(json) => handler::read(json, &members.place_of("handler"))?,
            None if is_platform(operationtype) => Handler::Platform {},
            // Nothing else can do its work.
            None => Handler::Worker {},
        };
        let mut cells = row.cells;
        cells.push((self.columns.handler, Value::Text(handler.to_json())));
        let payload = match members.get("data") {
            None => None,
            Some(Json::String(text)) => Some(text.clone()),
            Some(json @ (Json::Object(_) | Json::Array(_))) => Some(json.to_string()),
            Some(_) => {
                return Err(members.wrong("data", "a text, a JSON object or an array is expected"));
            }
        };
        let catalog = self.service.store.catalog();
        let payload = payload.filter(|text| !text.is_empty());
        let file = payload.and_then(|text| payload::place(catalog, id, text, &mut cells, self.now));
        Ok(Job { id, cells, file })
    }

    /// The operation type; the platform's own take the role of an administrator.
    fn operation_type(&self, members: &Members) -> Result<i32> {
        let Some(operationtype) = members.int("operationtype", i32::MIN)? else {
            return Err(
                members.wrong("operationtype", "a number is required, such as 10 for a workflow")
            );
        };
        if self.facts.columns[self.columns.operationtype].label(operationtype).is_none() {
            let message = format!("{operationtype} is not recognized as a type of system job");
            let error = Error::invalid(codes::UNKNOWN_JOB_TYPE, message);
            return Err(error.at(Place::Part(members.place_of("operationtype"))));
        }
        let platform = PLATFORM_TYPES.contains(&operationtype) || is_platform(operationtype);
        if platform && self.caller.role < Role::Administrator {
            let message = format!(
                "jobs of operation type {operationtype} are generated by the platform: to submit one takes the role administrator, and Principal user (Id={}) has {}",
                guid_text(&self.caller.user),
                self.caller.role.name()
            );
            let error = Error::invalid(codes::PRIVILEGE_DENIED, message);
            return Err(error.at(Place::Part(members.place_of("operationtype"))));
        }
        Ok(operationtype)
    }

    fn check_recurrence(&self, members: &Members) -> Result<()> {
        let Some(pattern) = members.text("recurrencepattern")? else { return Ok(()) };
        let place = || Place::Part(members.place_of("recurrencepattern"));
        Recurrence::read(pattern).map(|_| ()).map_err(|mut error| {
            error.place = None;
            error.at(place())
        })
    }

    /// All jobs in one commit, or none.
    async fn commit(&self, jobs: Vec<Job>) -> Result<Vec<Submitted>> {
        let store = &self.service.store;
        if let Some(scheduler) = &self.service.scheduler {
            let mut files = Vec::new();
            let cells = jobs.into_iter().enumerate().map(|(index, job)| {
                files.extend(job.file.map(|file| (index, file)));
                job.cells
            });
            let cells = cells.collect();
            return scheduler.submit_with(cells, files).await;
        }
        // Nobody else writes jobs, except in turns.
        let _turn = store.turn().await;
        let ids: Vec<Guid> = jobs.iter().map(|job| job.id).collect();
        let mut seen = std::collections::HashSet::new();
        let (mut known, mut cells, mut changes) = (Vec::new(), Vec::new(), Vec::new());
        for job in jobs {
            let is_known = !seen.insert(job.id) || store.contains(self.columns.table, &job.id);
            known.push(is_known);
            if !is_known {
                cells.push(job.cells);
                changes.extend(job.file);
            }
        }
        changes.extend(Frozen::new(store).create(cells, self.now)?);
        if !changes.is_empty() {
            store.commit(changes).await?;
        }
        let sequence = |id: &Guid| match store.value(self.columns.table, id, self.columns.sequence)
        {
            Some(Value::Int64(sequence)) => sequence,
            // An imported job may have none.
            _ => 0,
        };
        let submitted =
            |(id, known): (Guid, bool)| Submitted { id, sequence: sequence(&id), known };
        Ok(ids.into_iter().zip(known).map(submitted).collect())
    }
}

/// The cells of a job in the making.
struct Row<'a> {
    reader: &'a Reader<'a>,
    cells: NewJob,
}

impl Row<'_> {
    fn set(&mut self, name: &str, value: Value) {
        self.cells.extend(self.reader.facts.column_index(name).map(|column| (column, value)));
    }

    /// A member that is named as its column, and checked as the Web API would.
    fn copy(&mut self, members: &Members, name: &str) -> Result<()> {
        let facts = self.reader.facts;
        if let (Some(json), Some(column)) = (members.get(name), facts.column_index(name)) {
            let value = write::cell(facts, column, json);
            let value = value.map_err(|error| error.at(Place::Part(members.place_of(name))))?;
            self.cells.push((column, value));
        }
        Ok(())
    }

    /// The workflow or step whose job it is.
    fn extension(&mut self, members: &Members, operationtype: i32) -> Result<()> {
        let Some(id) = members.guid("owningextensionid")? else { return Ok(()) };
        let stored = ["workflow", "sdkmessageprocessingstep"]
            .into_iter()
            .find(|table| self.stored(table, &id));
        let named = if operationtype == WORKFLOW { "workflow" } else { "sdkmessageprocessingstep" };
        self.set("owningextensionid", Value::Guid(id));
        self.set("owningextensiontypecode", Value::Int32(entity_code(stored.unwrap_or(named))));
        Ok(())
    }

    fn regarding(&mut self, members: &Members) -> Result<()> {
        const CODE: &str = "regardingobjecttypecode";
        if let Some(id) = members.guid("regardingobjectid")? {
            self.set("regardingobjectid", Value::Guid(id));
        }
        let code = match members.get(CODE) {
            None => return Ok(()),
            Some(Json::Number(_)) => members.int(CODE, 0)?.map(Value::Int32),
            Some(_) => members
                .text(CODE)?
                .map(|name| Value::Int32(entity_code(&name.trim().to_lowercase()))),
        };
        if let Some(code) = code {
            self.set(CODE, code);
        }
        Ok(())
    }

    /// The owner, a user or a team, and what follows from it.
    fn owner(&mut self, members: &Members) -> Result<()> {
        let caller = self.reader.caller;
        let owner = members.guid("ownerid")?.unwrap_or(caller.user);
        let is_team = self.stored("team", &owner);
        let table = if is_team { "team" } else { "systemuser" };
        let unit = self.business_unit(table, &owner).unwrap_or(caller.business_unit);
        self.set("ownerid", Value::Guid(owner));
        self.set("owneridtype", Value::Int32(entity_code(table)));
        self.set(if is_team { "owningteam" } else { "owninguser" }, Value::Guid(owner));
        self.set("owningbusinessunit", Value::Guid(unit));
        Ok(())
    }

    fn stored(&self, table: &str, id: &Guid) -> bool {
        let store = &self.reader.service.store;
        store.catalog().table_index(table).is_some_and(|table| store.contains(table, id))
    }

    fn business_unit(&self, table: &str, id: &Guid) -> Option<Guid> {
        let store = &self.reader.service.store;
        let number = store.catalog().table_index(table)?;
        let column = store.catalog().tables()[number].column_index("businessunitid")?;
        match store.value(number, id, column)? {
            Value::Guid(unit) => Some(unit),
            _ => None,
        }
    }
}
