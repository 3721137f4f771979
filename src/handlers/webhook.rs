//! What a job's webhook posts, and where to.

use serde_json::Value as Json;

use super::Shared;
use super::job::JobRow;
use crate::error::{Error, ErrorKind, Result, codes};
use crate::events::{Chain, RecordChange, Setting, execution_context, organization};
use crate::job::Report;
use crate::store::Store;
use crate::value::{Value, guid_text};
use crate::webhook::{Authentication, Endpoint, Message};

/// `contract` of a service endpoint that is a webhook.
const WEBHOOK: i32 = 8;

impl Shared {
    /// Posts the execution context of a job.
    pub(super) async fn post(&self, job: &JobRow, endpoint: &Endpoint) -> Report {
        let organization = organization(&self.service.store);
        let message = Message::new(&context(job, &organization), &organization);
        self.webhooks.post(endpoint, &message).await
    }
}

/// The execution context of a job. A JSON object in `data` supplies its fields; the
/// others are those of the row.
fn context(job: &JobRow, organization: &str) -> Json {
    let caller = job.caller();
    let table = job.table("primaryentitytype").or_else(|| job.table("regardingobjecttypecode"));
    let change = RecordChange {
        message: job.text("messagename").unwrap_or_default().to_owned(),
        table: table.unwrap_or_else(|| "none".to_owned()),
        id: job.guid("regardingobjectid").unwrap_or_default(),
        attributes: Vec::new(),
        name: None,
        owner: None,
        business_unit: None,
    };
    let extension = job.table("owningextensiontypecode");
    let chain = Chain {
        correlation: job.guid("correlationid").unwrap_or(job.id),
        depth: job.int("depth").unwrap_or(1),
        request: job.guid("requestid").unwrap_or_default(),
        ..Chain::of_request()
    };
    let mut context = execution_context(
        &change,
        &Setting {
            operation: job.id,
            extension: (
                extension.as_deref().unwrap_or("sdkmessageprocessingstep"),
                job.guid("owningextensionid").unwrap_or_default(),
            ),
            user: caller.user,
            initiating_user: job.guid("createdby").unwrap_or(caller.user),
            business_unit: caller.business_unit,
            organization_name: organization,
            chain: &chain,
            now: job.time("createdon").unwrap_or_default(),
        },
    );
    let data = job.data.as_deref().and_then(|data| serde_json::from_str(data).ok());
    if let (Some(Json::Object(given)), Some(fields)) = (data, context.as_object_mut()) {
        fields.extend(given);
    }
    context
}

/// The service endpoint of the step that a job belongs to.
pub fn endpoint(store: &Store, job: &JobRow) -> Result<Endpoint> {
    let missing = |what: &str| {
        let message = format!("the job has no webhook to call: {what}");
        Error::new(ErrorKind::NotFound, codes::OBJECT_DOES_NOT_EXIST, message)
    };
    let catalog = store.catalog();
    let cell = |table: &str, id, column: &str| {
        let table = catalog.table_index(table)?;
        store.value(table, id, catalog.tables()[table].column_index(column)?)
    };
    let step = job.guid("owningextensionid").ok_or_else(|| missing("it belongs to no step"))?;
    let id = match cell("sdkmessageprocessingstep", &step, "eventhandler") {
        Some(Value::Guid(id)) => id,
        _ => return Err(missing(&format!("its step {} has no event handler", guid_text(&step)))),
    };
    let of_endpoint = |column| cell("serviceendpoint", &id, column);
    let int = |column| match of_endpoint(column) {
        Some(Value::Int32(number)) => Some(number),
        _ => None,
    };
    let text = |column| match of_endpoint(column) {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    };
    let contract = int("contract");
    if contract.is_none() {
        return Err(missing(&format!("there is no service endpoint {}", guid_text(&id))));
    }
    if contract != Some(WEBHOOK) {
        let message = "the service endpoint of the step is no webhook; others are not offered";
        return Err(Error::invalid(codes::ENDPOINT_FAILED, message));
    }
    let url = text("url").ok_or_else(|| missing("its service endpoint has no url"))?;
    let authentication = Authentication::read(int("authtype"), text("authvalue").as_deref())?;
    Ok(Endpoint { url, authentication })
}
