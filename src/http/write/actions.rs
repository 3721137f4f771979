//! Actions that make system jobs: `BulkDelete`, `BulkDetectDuplicates`, and
//! `ExecuteWorkflow` of a workflow.

use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::Value as Json;

use crate::error::{Error, Place, codes};
use crate::http::answer::json;
use crate::http::body;
use crate::http::error::Result;
use crate::http::object::Object as Answer;
use crate::http::request::Call;
use crate::http::resource::{Key, Resource};
use crate::service::Service;
use crate::value::{Guid, guid_text, parse_guid};
use crate::write::{Object, Transaction};
use crate::{bulk_delete, duplicates};

const BULK_DELETE: &str = "BulkDelete";
const BULK_DETECT_DUPLICATES: &str = "BulkDetectDuplicates";
const EXECUTE_WORKFLOW: &str = "ExecuteWorkflow";

/// One of the actions, with what it is bound to.
pub enum Action {
    BulkDelete,
    BulkDetectDuplicates,
    /// The workflow's key.
    ExecuteWorkflow(Guid),
}

impl Action {
    /// The action that a path names.
    pub fn of(resource: &Resource) -> Option<Self> {
        match resource {
            Resource::Operation { name, bound: None, .. } if name == BULK_DELETE => {
                Some(Self::BulkDelete)
            }
            Resource::Operation { name, bound: None, .. } if name == BULK_DETECT_DUPLICATES => {
                Some(Self::BulkDetectDuplicates)
            }
            Resource::Operation { name, bound: Some((table, Some(Key::Id(id)))), .. }
                if name == EXECUTE_WORKFLOW && table.logical_name == "workflow" =>
            {
                Some(Self::ExecuteWorkflow(*id))
            }
            _ => None,
        }
    }

    /// Runs the action and answers it.
    pub async fn run(
        self,
        service: &Arc<Service>,
        call: &Call,
        headers: &HeaderMap,
        bytes: &[u8],
    ) -> Result<Response> {
        let body = body::required(headers, bytes)?;
        let (context, name, id) = match self {
            Self::BulkDelete => {
                let request = bulk_delete::Request::read(&body, service.store.catalog())?;
                let job = bulk_delete::start(service, call.caller, request).await?;
                ("#Microsoft.Dynamics.CRM.BulkDeleteResponse", "JobId", job)
            }
            Self::BulkDetectDuplicates => {
                let request = duplicates::Request::read(&body, service.store.catalog())?;
                let job = duplicates::start(service, call.caller, request).await?;
                ("#Microsoft.Dynamics.CRM.BulkDetectDuplicatesResponse", "JobId", job)
            }
            Self::ExecuteWorkflow(workflow) => {
                let entity = entity_id(&body)?;
                let job = execute(service, call, workflow, entity).await?;
                ("#asyncoperations/$entity", "asyncoperationid", job)
            }
        };
        let mut answer = Answer::of(call, context);
        answer.text(name, &guid_text(&id));
        Ok(json(StatusCode::OK, answer.close()))
    }
}

async fn execute(
    service: &Service,
    call: &Call,
    workflow: Guid,
    entity: Guid,
) -> crate::error::Result<Guid> {
    let (scheduler, now) = (service.scheduler.as_ref(), service.clock.now());
    let mut transaction = Transaction::begin(&service.store, scheduler, call.caller, now).await;
    let id = transaction.execute_workflow(workflow, entity)?;
    transaction.commit().await?;
    Ok(id)
}

fn entity_id(body: &Object) -> crate::error::Result<Guid> {
    let id = body.get("EntityId").and_then(Json::as_str).and_then(parse_guid);
    id.ok_or_else(|| {
        let error = Error::invalid(codes::INVALID_ARGUMENT, "a GUID is required");
        error.at(Place::Part("EntityId".into()))
    })
}
