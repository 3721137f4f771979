//! The execution context of a job, as the page "Use webhooks to create external
//! handlers for server events" shows it: the JSON of a `RemoteExecutionContext`.

use datafusion::arrow::datatypes::DataType;
use serde_json::{Map, Value as Json, json};

use super::{CREATE, Chain, DELETE, RecordChange, UPDATE};
use crate::catalog::{ColumnType, Table, entity_name};
use crate::identity::ORGANIZATION;
use crate::value::{Guid, Value, guid_text};

/// The contract names of values that are objects.
const CONTRACTS: &str = "http://schemas.microsoft.com/xrm/2011/Contracts";

/// What a context is about, beside the change itself.
pub struct Setting<'a> {
    /// The job.
    pub operation: Guid,
    /// The step or workflow: its table and key.
    pub extension: (&'a str, Guid),
    pub user: Guid,
    pub initiating_user: Guid,
    pub business_unit: Guid,
    pub organization_name: &'a str,
    pub chain: &'a Chain,
    pub now: i64,
}

/// The context of the main operation, with that of the operation around it.
pub fn execution_context(change: &RecordChange, setting: &Setting<'_>) -> Json {
    let mut parent = operation(change, setting, 30);
    parent.insert("ParentContext".into(), Json::Null);
    let mut context = operation(change, setting, 40);
    context.insert("ParentContext".into(), Json::Object(parent));
    if let Some((column, name)) = &change.name {
        // The platform gives asynchronous steps the primary name of the record.
        let attributes =
            [(column.clone(), json!(name)), (key_of(change), json!(guid_text(&change.id)))];
        let mut image = entity(change, &attributes);
        image.remove("__type");
        let image = json!([{"key": "AsynchronousStepPrimaryName", "value": image}]);
        let deleted = change.message.eq_ignore_ascii_case(DELETE);
        let images = if deleted { "PreEntityImages" } else { "PostEntityImages" };
        context.insert(images.into(), image);
    }
    Json::Object(context)
}

fn operation(change: &RecordChange, setting: &Setting<'_>, stage: i32) -> Map<String, Json> {
    let created = change.message.eq_ignore_ascii_case(CREATE);
    let has_row = created || change.message.eq_ignore_ascii_case(UPDATE);
    let target = if has_row {
        Json::Object(entity(change, &change.attributes))
    } else {
        reference(&change.table, &change.id)
    };
    let mut input = vec![json!({"key": "Target", "value": target})];
    if !has_row && !change.message.eq_ignore_ascii_case(DELETE) {
        let given = change.attributes.iter();
        input.extend(given.map(|(name, value)| json!({"key": name, "value": value})));
    }
    let output = match created {
        true => json!([{"key": "id", "value": guid_text(&change.id)}]),
        false => json!([]),
    };
    let (extension, extension_id) = setting.extension;
    let mut owning = match reference(extension, &extension_id) {
        Json::Object(owning) => owning,
        _ => Map::new(),
    };
    owning.remove("__type");
    let pairs = [
        ("BusinessUnitId", json!(guid_text(&setting.business_unit))),
        ("CorrelationId", json!(guid_text(&setting.chain.correlation))),
        ("Depth", json!(setting.chain.depth)),
        ("InitiatingUserId", json!(guid_text(&setting.initiating_user))),
        ("InputParameters", Json::Array(input)),
        ("IsExecutingOffline", json!(false)),
        ("IsInTransaction", json!(false)),
        ("IsOfflinePlayback", json!(false)),
        ("IsolationMode", json!(1)),
        ("MessageName", json!(change.message)),
        ("Mode", json!(1)),
        ("OperationCreatedOn", json!(format!("/Date({}+0000)/", setting.now.div_euclid(1000)))),
        ("OperationId", json!(guid_text(&setting.operation))),
        ("OrganizationId", json!(guid_text(&ORGANIZATION))),
        ("OrganizationName", json!(setting.organization_name)),
        ("OutputParameters", output),
        ("OwningExtension", Json::Object(owning)),
        ("ParentContext", Json::Null),
        ("PostEntityImages", json!([])),
        ("PreEntityImages", json!([])),
        ("PrimaryEntityId", json!(guid_text(&change.id))),
        ("PrimaryEntityName", json!(change.table)),
        ("RequestId", json!(guid_text(&setting.chain.request))),
        ("SecondaryEntityName", json!("none")),
        ("SharedVariables", json!([])),
        ("Stage", json!(stage)),
        ("UserId", json!(guid_text(&setting.user))),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn key_of(change: &RecordChange) -> String {
    format!("{}id", change.table)
}

fn entity(change: &RecordChange, attributes: &[(String, Json)]) -> Map<String, Json> {
    let attributes: Vec<Json> =
        attributes.iter().map(|(name, value)| json!({"key": name, "value": value})).collect();
    let pairs = [
        ("__type", json!(format!("Entity:{CONTRACTS}"))),
        ("Attributes", Json::Array(attributes)),
        ("EntityState", Json::Null),
        ("FormattedValues", json!([])),
        ("Id", json!(guid_text(&change.id))),
        ("KeyAttributes", json!([])),
        ("LogicalName", json!(change.table)),
        ("RelatedEntities", json!([])),
        ("RowVersion", Json::Null),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn reference(table: &str, id: &Guid) -> Json {
    json!({
        "__type": format!("EntityReference:{CONTRACTS}"),
        "Id": guid_text(id),
        "KeyAttributes": [],
        "LogicalName": table,
        "Name": null,
        "RowVersion": null,
    })
}

/// A time as contexts have it.
fn json_time(micros: i64) -> String {
    format!("/Date({})/", micros.div_euclid(1000))
}

/// A cell as an attribute of a context. `type_of` is the cell beside a lookup that
/// says which table it points to.
pub fn attribute(facts: &Table, index: usize, value: &Value, type_of: Option<&Value>) -> Json {
    let column = &facts.columns[index];
    let object =
        |kind: &str, value: Json| json!({"__type": format!("{kind}:{CONTRACTS}"), "Value": value});
    let is_code =
        matches!(column.column_type, ColumnType::Picklist | ColumnType::State | ColumnType::Status);
    match value {
        Value::Null => Json::Null,
        Value::Boolean(flag) => json!(flag),
        Value::Int32(code) if column.column_type == ColumnType::EntityName => {
            json!(entity_name(*code))
        }
        Value::Int32(code) if is_code => object("OptionSetValue", json!(code)),
        Value::Int32(number) => json!(number),
        Value::Int64(number) => json!(number),
        Value::Float64(number) => json!(number),
        Value::Decimal(unscaled) => {
            let scale = match facts.schema().field(index).data_type() {
                DataType::Decimal128(_, scale) => i32::from(*scale),
                _ => 0,
            };
            let number = json!(*unscaled as f64 / 10_f64.powi(scale));
            match column.column_type {
                ColumnType::Money => object("Money", number),
                _ => number,
            }
        }
        Value::Guid(id) if column.is_lookup() => {
            let named = match type_of {
                Some(Value::Int32(code)) => entity_name(*code),
                _ => None,
            };
            let table = named.as_ref().or(column.targets.first());
            reference(table.map_or("", String::as_str), id)
        }
        Value::Guid(id) => json!(guid_text(id)),
        Value::Text(text) => json!(text),
        Value::Time(at) => json!(json_time(*at)),
        Value::Date(day) => json!(json_time(i64::from(*day) * 86_400_000_000)),
    }
}
