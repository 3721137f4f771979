//! Writes over the Web API: from method, path and body to changes of rows, and to
//! the answer. What may be written, and what follows from it, is the business of
//! [`crate::write`].

mod actions;
mod multiple;
mod related;
mod stage;

use std::sync::Arc;

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use self::actions::Action;
use self::stage::methods;
pub use self::stage::{is_action, stage};
use super::answer::json;
use super::error::{Failure, Result};
use super::object::Object;
use super::request::Call;
use super::resource::{Key, Resource};
use super::{REFUSED_BYTES_MAX, body, rows};
use crate::catalog::Table;
use crate::service::Service;
use crate::value::{Guid, guid_text};
use crate::write::{Done, Transaction};

const ENTITY_ID: HeaderName = HeaderName::from_static("odata-entityid");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// What a write did, once it is committed.
#[derive(Clone, Debug)]
pub enum Staged {
    /// Nothing more to say.
    Silent,
    /// One row; the answer may show it.
    Row { table: Arc<Table>, id: Guid, done: Done },
    /// An action that answers the keys of new rows.
    Ids { action: &'static str, ids: Vec<Guid> },
}

/// Answers a request that writes.
pub async fn handle(
    service: &Arc<Service>,
    call: &Call,
    resource: &Resource,
    request: Request,
) -> Result<Response> {
    let (parts, body) = request.into_parts();
    if let Err(refused) = methods(&call.method, resource, &call.path) {
        // An unread body would end the connection after the answer, and the
        // client's next request with it. What is read is of no interest.
        let _ = to_bytes(body, REFUSED_BYTES_MAX).await;
        return Err(refused);
    }
    let limit = service.settings.limits.body_bytes;
    let bytes = body::bytes(Request::from_parts(parts.clone(), body), limit).await?;
    if let Some(action) = Action::of(resource) {
        return action.run(service, call, &parts.headers, &bytes).await;
    }
    let (scheduler, now) = (service.scheduler.as_ref(), service.clock.now());
    let mut transaction = Transaction::begin(&service.store, scheduler, call.caller, now).await;
    let staged =
        stage(&mut transaction, service.store.catalog(), call, resource, &parts.headers, &bytes)?;
    transaction.commit().await?;
    staged.respond(service, call).await
}

impl Staged {
    /// The address of the row that was written.
    pub fn address(&self, call: &Call) -> Option<String> {
        match self {
            Self::Row { table, id, .. } => Some(address(call, table, id)),
            Self::Silent | Self::Ids { .. } => None,
        }
    }

    /// The answer to a write that is committed.
    pub async fn respond(self, service: &Service, call: &Call) -> Result<Response> {
        match self {
            Self::Silent => Ok(StatusCode::NO_CONTENT.into_response()),
            Self::Ids { action, ids } => {
                let context = format!("#Microsoft.Dynamics.CRM.{action}Response");
                let mut answer = Object::of(call, &context);
                let ids: Vec<String> =
                    ids.iter().map(|id| format!("\"{}\"", guid_text(id))).collect();
                answer.raw("Ids", format!("[{}]", ids.join(",")));
                Ok(json(StatusCode::OK, answer.close()))
            }
            Self::Row { table, id, done } => {
                let created = done == Done::Created;
                let mut response = if call.prefer.representation {
                    let options = call.options()?;
                    let key = Key::Id(id);
                    let mut response = rows::row(service, call, &table, &key, options).await?;
                    if created {
                        *response.status_mut() = StatusCode::CREATED;
                    }
                    applied(&mut response);
                    response
                } else {
                    StatusCode::NO_CONTENT.into_response()
                };
                let address = address(call, &table, &id);
                let address = HeaderValue::from_str(&address).map_err(|e| {
                    crate::error::Error::internal("an address is no header").caused_by(e)
                })?;
                if created {
                    response.headers_mut().insert(header::LOCATION, address.clone());
                }
                response.headers_mut().insert(ENTITY_ID, address);
                Ok(response)
            }
        }
    }
}

fn address(call: &Call, table: &Table, id: &Guid) -> String {
    format!("{}{}({})", call.base, table.entity_set_name, guid_text(id))
}

/// Says that the row was asked for, beside what the read has honoured.
fn applied(response: &mut Response) {
    let before = response.headers().get(PREFERENCE_APPLIED).and_then(|v| v.to_str().ok());
    let all = before.map_or("return=representation".to_owned(), |before| {
        format!("return=representation,{before}")
    });
    if let Ok(value) = HeaderValue::from_str(&all) {
        response.headers_mut().insert(PREFERENCE_APPLIED, value);
    }
}

/// An index of an array in a body, for its errors.
fn at_index(index: usize, error: crate::error::Error) -> Failure {
    error.at(crate::error::Place::Part(format!("Targets[{index}]"))).into()
}
