//! `POST /sysjob/events`: something that has happened to a record, told by a client;
//! the answer is the jobs that it raises. An array of events is one commit.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::{Value, json};

use super::body;
use super::error::Result;
use super::jobs::members::Members;
use crate::catalog::{Catalog, entity_code_or_none, nearest};
use crate::error::{Error, Place, codes};
use crate::events::RecordChange;
use crate::identity::Caller;
use crate::service::Service;
use crate::value::{Guid, guid_text, parse_guid};
use crate::write::Transaction;

pub async fn raise(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response> {
    let catalog = service.store.catalog();
    let headers = request.headers().clone();
    let bytes = body::bytes(request, service.settings.limits.body_bytes).await?;
    let (events, is_list) = match body::json(&headers, &bytes)? {
        Value::Array(events) => (events, true),
        event => (vec![event], false),
    };
    let (scheduler, now) = (service.scheduler.as_ref(), service.clock.now());
    let mut transaction = Transaction::begin(&service.store, scheduler, caller, now).await;
    let mut answers = Vec::with_capacity(events.len());
    for (index, event) in events.into_iter().enumerate() {
        let place = if is_list { format!("events[{index}]") } else { "request body".into() };
        let (change, user) = read(&Members::of(&event, &place)?, catalog)?;
        transaction.act_as(Caller { user: user.unwrap_or(caller.user), ..caller });
        let jobs: Vec<Value> = transaction
            .raise(&change)
            .iter()
            .map(|job| {
                json!({
                    "asyncoperationid": guid_text(&job.id),
                    "name": job.name,
                    "operationtype": job.operationtype,
                    "owningextensionid": guid_text(&job.definition),
                })
            })
            .collect();
        answers.push(Value::Array(jobs));
    }
    transaction.commit().await?;
    let answer = match (is_list, answers.pop()) {
        (false, Some(only)) => only,
        (_, last) => {
            answers.extend(last);
            Value::Array(answers)
        }
    };
    Ok((StatusCode::OK, Json(answer)).into_response())
}

/// The change that an event tells of, and its user where it names one.
fn read(event: &Members, catalog: &Catalog) -> crate::error::Result<(RecordChange, Option<Guid>)> {
    event.known(&["message", "table", "id", "attributes", "user"])?;
    let message = event.required_text("message")?;
    let (named, id) = (event.required_text("table")?, event.required_guid("id")?);
    let user = event.guid("user")?;
    let attributes = event.object("attributes")?.cloned().unwrap_or_default();
    let table = named.trim().to_lowercase();
    let facts = catalog.table(&table);
    if facts.is_none() && entity_code_or_none(&table) < 0 && !is_regarded(catalog, &table) {
        let near = nearest(&table, catalog.tables().iter().map(|t| t.logical_name.as_str()));
        let hint = near.map(|n| format!("; did you mean '{n}'?")).unwrap_or_default();
        let message = format!("the table '{named}' does not exist{hint}");
        let place = Place::Part(event.place_of("table"));
        return Err(Error::invalid(codes::UNKNOWN_ENTITY, message).at(place));
    }
    let text = |name: &str| attributes.get(name).and_then(Value::as_str);
    let name = facts.and_then(|facts| facts.primary_name.as_deref());
    let name = name.and_then(|name| Some((name.to_owned(), text(name)?.to_owned())));
    let owner = text("ownerid").and_then(parse_guid);
    let business_unit = text("owningbusinessunit").and_then(parse_guid);
    let attributes =
        attributes.into_iter().filter_map(|(name, value)| Some((column(&name)?, value)));
    let change = RecordChange {
        message: message.trim().to_owned(),
        table,
        id,
        attributes: attributes.collect(),
        name,
        owner,
        business_unit,
    };
    Ok((change, user))
}

/// The column that a member of a record names, as clients send and get records; other
/// annotations than that which binds a lookup name none.
fn column(member: &str) -> Option<String> {
    let member = member.to_lowercase();
    let name = match member.split_once('@') {
        None => member.as_str(),
        Some((name, "odata.bind")) => name,
        Some(_) => return None,
    };
    let lookup = name.strip_prefix('_').and_then(|name| name.strip_suffix("_value"));
    Some(lookup.unwrap_or(name).to_owned())
}

/// Whether jobs are documented to regard rows of a table.
fn is_regarded(catalog: &Catalog, table: &str) -> bool {
    let jobs = catalog.table("asyncoperation");
    let regarding = jobs.and_then(|jobs| jobs.column("regardingobjectid"));
    regarding.is_some_and(|column| column.targets.iter().any(|target| target == table))
}
