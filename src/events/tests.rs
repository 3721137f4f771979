//! Which changes raise which jobs, and what stands in their rows.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::{By, Chain, Definitions, Raised, RecordChange, payload, raise};
use crate::catalog::{Catalog, entity_code};
use crate::store::{Change, Store};
use crate::value::{Guid, Value, guid_text};

const USER: Guid = [0xaa; 16];
const UNIT: Guid = [0xbb; 16];
const NOW: i64 = 1_700_000_000_000_000;

struct Folder {
    store: Arc<Store>,
    _dir: tempfile::TempDir,
}

/// A folder with the messages Create, Update, Delete and Assign, each with a filter
/// for accounts: message `n` has the id n, its filter 10 + n.
fn folder() -> Folder {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(dir.path(), Arc::new(Catalog::built_in())).expect("a new folder");
    let folder = Folder { store: Arc::new(store), _dir: dir };
    for (n, name) in ["Create", "Update", "Delete", "Assign"].into_iter().enumerate() {
        let n = n as u8;
        folder.insert("sdkmessage", &[("sdkmessageid", guid(n)), ("name", text(name))]);
        folder.insert(
            "sdkmessagefilter",
            &[
                ("sdkmessagefilterid", guid(10 + n)),
                ("sdkmessageid", guid(n)),
                ("primaryobjecttypecode", Value::Int32(1)),
            ],
        );
    }
    folder
}

fn guid(n: u8) -> Value {
    Value::Guid([n; 16])
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

impl Folder {
    fn change(&self, name: &str, cells: &[(&str, Value)]) -> (usize, Vec<(usize, Value)>) {
        let table = self.store.catalog().table_index(name).expect("built in");
        let facts = &self.store.catalog().tables()[table];
        let column = |name| facts.column_index(name).unwrap_or_else(|| panic!("{name}"));
        (table, cells.iter().map(|(name, value)| (column(name), value.clone())).collect())
    }

    fn insert(&self, name: &str, cells: &[(&str, Value)]) {
        let (table, values) = self.change(name, cells);
        self.store.commit_blocking(vec![Change::Insert { table, values }]).expect("durable");
    }

    fn update(&self, name: &str, id: u8, cells: &[(&str, Value)]) {
        let (table, values) = self.change(name, cells);
        let change = Change::Update { table, id: [id; 16], values };
        self.store.commit_blocking(vec![change]).expect("durable");
    }

    /// An asynchronous step on a message for accounts, with other cells.
    fn step(&self, id: u8, message: u8, other: &[(&str, Value)]) {
        let mut cells = vec![
            ("sdkmessageprocessingstepid", guid(id)),
            ("name", text(&format!("step {id}"))),
            ("mode", Value::Int32(1)),
            ("stage", Value::Int32(40)),
            ("rank", Value::Int32(1)),
            ("statecode", Value::Int32(0)),
            ("sdkmessageid", guid(message)),
            ("sdkmessagefilterid", guid(10 + message)),
        ];
        cells.retain(|(name, _)| !other.iter().any(|(o, _)| o == name));
        cells.extend(other.iter().cloned());
        self.insert("sdkmessageprocessingstep", &cells);
    }

    /// An activated background workflow on accounts, with other cells.
    fn workflow(&self, id: u8, other: &[(&str, Value)]) {
        let mut cells = vec![
            ("workflowid", guid(id)),
            ("name", text(&format!("workflow {id}"))),
            ("type", Value::Int32(1)),
            ("category", Value::Int32(0)),
            ("mode", Value::Int32(0)),
            ("statecode", Value::Int32(1)),
            ("scope", Value::Int32(4)),
            ("primaryentity", Value::Int32(1)),
        ];
        cells.retain(|(name, _)| !other.iter().any(|(o, _)| o == name));
        cells.extend(other.iter().cloned());
        self.insert("workflow", &cells);
    }

    fn raise(&self, change: &RecordChange) -> Vec<Raised> {
        let by = By { user: USER, business_unit: UNIT };
        raise(&self.store, &Definitions::of(&self.store), change, by, &chain(), NOW)
    }

    /// Names of the jobs that a message on an account raises.
    fn names(&self, message: &str, columns: &[&str]) -> Vec<String> {
        self.raise(&change(message, columns)).into_iter().map(|job| job.name).collect()
    }

    fn cell(&self, job: &Raised, name: &str) -> Value {
        let table = self.store.catalog().table("asyncoperation").expect("built in");
        let column = table.column_index(name).expect("a column");
        job.cells.iter().find(|(c, _)| *c == column).map_or(Value::Null, |(_, v)| v.clone())
    }
}

fn change(message: &str, columns: &[&str]) -> RecordChange {
    RecordChange {
        message: message.into(),
        table: "account".into(),
        id: [7; 16],
        attributes: columns.iter().map(|name| ((*name).to_owned(), json!("x"))).collect(),
        name: Some(("name".into(), "Contoso".into())),
        owner: Some(USER),
        business_unit: Some(UNIT),
    }
}

fn chain() -> Chain {
    Chain { correlation: [1; 16], request: [2; 16], ..Chain::of_request() }
}

#[test]
fn a_step_is_raised_by_its_message_on_its_table_while_it_is_enabled() {
    let folder = folder();
    folder.step(21, 0, &[]);
    folder.step(22, 1, &[("sdkmessagefilterid", Value::Null)]);
    for (n, cell) in [
        ("mode", Value::Int32(0)),
        ("stage", Value::Int32(20)),
        ("stage", Value::Int32(10)),
        ("statecode", Value::Int32(1)),
        ("sdkmessagefilterid", guid(99)),
    ]
    .into_iter()
    .enumerate()
    {
        folder.step(30 + n as u8, 0, &[cell]);
    }
    assert_eq!(folder.names("Create", &[]), ["step 21"]);
    assert_eq!(folder.names("create", &[]), ["step 21"], "whatever the case");
    assert_eq!(folder.names("Update", &["name"]), ["step 22"], "without a filter: every table");
    assert!(folder.names("Delete", &[]).is_empty());
    assert!(folder.names("Nonsense", &[]).is_empty());
    let of_contact = RecordChange { table: "contact".into(), ..change("Create", &[]) };
    assert!(folder.raise(&of_contact).is_empty());
    let of_contact = RecordChange { table: "contact".into(), ..change("Update", &[]) };
    assert_eq!(folder.raise(&of_contact).len(), 1);
}

#[test]
fn filtering_attributes_are_for_updates() {
    let folder = folder();
    folder.step(21, 1, &[("filteringattributes", text("name, Telephone1,"))]);
    folder.step(22, 0, &[("filteringattributes", text("name"))]);
    assert_eq!(folder.names("Update", &["telephone1", "fax"]), ["step 21"]);
    assert!(folder.names("Update", &["fax"]).is_empty());
    assert!(folder.names("Update", &[]).is_empty());
    assert_eq!(folder.names("Create", &["fax"]), ["step 22"]);
}

#[test]
fn steps_go_by_rank_and_before_workflows() {
    let folder = folder();
    folder.workflow(41, &[("triggeroncreate", Value::Boolean(true))]);
    folder.step(21, 0, &[("rank", Value::Int32(5))]);
    folder.step(23, 0, &[("rank", Value::Int32(1)), ("createdon", Value::Time(9))]);
    folder.step(22, 0, &[("rank", Value::Int32(1)), ("createdon", Value::Time(8))]);
    assert_eq!(folder.names("Create", &[]), ["step 22", "step 23", "step 21", "workflow 41"]);
}

#[test]
fn changed_definitions_count_at_once() {
    let folder = folder();
    assert!(folder.names("Create", &[]).is_empty());
    folder.step(21, 0, &[]);
    assert_eq!(folder.names("Create", &[]), ["step 21"]);
    folder.update("sdkmessageprocessingstep", 21, &[("statecode", Value::Int32(1))]);
    assert!(folder.names("Create", &[]).is_empty());
    folder.update("sdkmessageprocessingstep", 21, &[("statecode", Value::Int32(0))]);
    folder.update("sdkmessageprocessingstep", 21, &[("name", text("renamed"))]);
    assert_eq!(folder.names("Create", &[]), ["renamed"]);
    let table = folder.store.catalog().table_index("sdkmessageprocessingstep").expect("built in");
    let delete = Change::Delete { table, id: [21; 16] };
    folder.store.commit_blocking(vec![delete]).expect("durable");
    assert!(folder.names("Create", &[]).is_empty());
}

#[test]
fn a_workflow_starts_by_its_triggers_while_it_is_activated() {
    let folder = folder();
    let yes = Value::Boolean(true);
    folder.workflow(41, &[("triggeroncreate", yes.clone())]);
    folder.workflow(42, &[("triggerondelete", yes.clone())]);
    folder.workflow(43, &[("triggeronupdateattributelist", text("name,statecode"))]);
    folder.workflow(44, &[("ondemand", yes.clone())]);
    for (n, cell) in [
        ("statecode", Value::Int32(0)),
        ("statecode", Value::Int32(2)),
        ("type", Value::Int32(2)),
        ("type", Value::Int32(3)),
        ("mode", Value::Int32(1)),
        ("category", Value::Int32(5)),
        ("primaryentity", Value::Int32(entity_code("contact"))),
    ]
    .into_iter()
    .enumerate()
    {
        folder.workflow(50 + n as u8, &[cell, ("triggeroncreate", yes.clone())]);
    }
    assert_eq!(folder.names("Create", &["name"]), ["workflow 41"]);
    assert_eq!(folder.names("Delete", &[]), ["workflow 42"]);
    assert_eq!(folder.names("Update", &["statecode"]), ["workflow 43"]);
    assert!(folder.names("Update", &["fax"]).is_empty());
    assert!(folder.names("Assign", &["name"]).is_empty());
}

#[test]
fn the_scope_of_a_workflow_counts_where_the_owner_is_known() {
    let folder = folder();
    for (id, parent) in [(1, None), (2, Some(1)), (3, Some(2)), (4, Some(1))] {
        let parent = parent.map_or(Value::Null, guid);
        folder.insert(
            "businessunit",
            &[("businessunitid", guid(id)), ("parentbusinessunitid", parent)],
        );
    }
    for (id, scope) in [(61, 1), (62, 2), (63, 3), (64, 4)] {
        folder.workflow(
            id,
            &[
                ("triggeroncreate", Value::Boolean(true)),
                ("scope", Value::Int32(scope)),
                ("ownerid", guid(9)),
                ("owningbusinessunit", guid(2)),
            ],
        );
    }
    for (owner, unit, scopes) in [
        (Some(9), Some(2), vec![1, 2, 3, 4]),
        (Some(8), Some(2), vec![2, 3, 4]),
        (Some(8), Some(3), vec![3, 4]),
        (Some(8), Some(4), vec![4]),
        (Some(8), Some(1), vec![4]),
        (None, None, vec![1, 2, 3, 4]),
    ] {
        let owner: Option<Guid> = owner.map(|n: u8| [n; 16]);
        let business_unit = unit.map(|n: u8| [n; 16]);
        let change = RecordChange { owner, business_unit, ..change("Create", &[]) };
        let names: Vec<String> = folder.raise(&change).into_iter().map(|job| job.name).collect();
        let expected: Vec<String> = scopes.iter().map(|s| format!("workflow {}", 60 + s)).collect();
        assert_eq!(names, expected, "{owner:?} {unit:?}");
    }
}

#[test]
fn the_columns_of_a_raised_job() {
    let folder = folder();
    folder.step(21, 1, &[]);
    folder.workflow(
        41,
        &[("triggeronupdateattributelist", text("name")), ("activeworkflowid", guid(42))],
    );
    let chain = Chain::of_job([5; 16], Some([6; 16]), 3, Some(NOW - 1), NOW);
    let by = By { user: USER, business_unit: UNIT };
    let definitions = Definitions::of(&folder.store);
    let jobs = raise(&folder.store, &definitions, &change("Update", &["name"]), by, &chain, NOW);
    for (name, step, workflow) in [
        ("name", text("step 21"), text("workflow 41")),
        ("operationtype", Value::Int32(1), Value::Int32(10)),
        ("messagename", text("Update"), text("Update")),
        ("primaryentitytype", Value::Int32(1), Value::Int32(1)),
        ("regardingobjectid", guid(7), guid(7)),
        ("regardingobjecttypecode", Value::Int32(1), Value::Int32(1)),
        ("owningextensionid", guid(21), guid(41)),
        ("owningextensiontypecode", Value::Int32(4608), Value::Int32(4703)),
        ("workflowactivationid", Value::Null, guid(42)),
        ("depth", Value::Int32(4), Value::Int32(4)),
        ("correlationid", guid(6), guid(6)),
        ("correlationupdatedtime", Value::Time(NOW), Value::Time(NOW)),
        ("requestid", Value::Guid(chain.request), Value::Guid(chain.request)),
        ("callerorigin", text("AsyncServiceOrigin"), text("AsyncServiceOrigin")),
        ("parentpluginexecutionid", guid(5), guid(5)),
        ("ownerid", Value::Guid(USER), Value::Guid(USER)),
        ("owneridtype", Value::Int32(8), Value::Int32(8)),
        ("owninguser", Value::Guid(USER), Value::Guid(USER)),
        ("owningbusinessunit", Value::Guid(UNIT), Value::Guid(UNIT)),
        ("createdby", Value::Guid(USER), Value::Guid(USER)),
        ("dependencytoken", Value::Null, Value::Null),
        ("datablobid", Value::Null, Value::Null),
    ] {
        assert_eq!(folder.cell(&jobs[0], name), step, "{name} of a step's job");
        assert_eq!(folder.cell(&jobs[1], name), workflow, "{name} of a workflow's job");
    }
}

#[test]
fn a_chain_grows_within_its_window_and_begins_anew_after_it() {
    let hour = 3_600_000_000;
    for (age, depth) in [(0, 8), (hour - 1, 8), (hour, 1)] {
        let chain = Chain::of_job([5; 16], Some([6; 16]), 7, Some(NOW - age), NOW);
        assert_eq!((chain.depth, chain.correlation), (depth, [6; 16]), "{age}");
    }
}

#[test]
fn the_context_of_an_update_has_the_documented_shape() {
    let folder = folder();
    folder.step(21, 1, &[("impersonatinguserid", guid(0xcc))]);
    let jobs = folder.raise(&change("Update", &["name"]));
    let Value::Text(data) = folder.cell(&jobs[0], "data") else { panic!("no data") };
    let context: Json = serde_json::from_str(&data).expect("JSON");
    let reference = |id: Guid, table: &str| {
        json!({"Id": guid_text(&id), "KeyAttributes": [], "LogicalName": table, "Name": null,
               "RowVersion": null})
    };
    let id = guid_text(&[7; 16]);
    for (name, value) in [
        ("BusinessUnitId", json!(guid_text(&UNIT))),
        ("CorrelationId", json!(guid_text(&[1; 16]))),
        ("Depth", json!(1)),
        ("InitiatingUserId", json!(guid_text(&USER))),
        ("UserId", json!(guid_text(&[0xcc; 16]))),
        ("IsExecutingOffline", json!(false)),
        ("IsInTransaction", json!(false)),
        ("IsOfflinePlayback", json!(false)),
        ("IsolationMode", json!(1)),
        ("MessageName", json!("Update")),
        ("Mode", json!(1)),
        ("OperationCreatedOn", json!("/Date(1700000000000+0000)/")),
        ("OperationId", json!(guid_text(&jobs[0].id))),
        ("OrganizationName", json!("sysjob")),
        ("OutputParameters", json!([])),
        ("OwningExtension", reference([21; 16], "sdkmessageprocessingstep")),
        ("PreEntityImages", json!([])),
        ("PrimaryEntityId", json!(id)),
        ("PrimaryEntityName", json!("account")),
        ("RequestId", json!(guid_text(&[2; 16]))),
        ("SecondaryEntityName", json!("none")),
        ("SharedVariables", json!([])),
        ("Stage", json!(40)),
    ] {
        assert_eq!(context[name], value, "{name}");
    }
    let target = &context["InputParameters"][0];
    assert_eq!(target["key"], "Target");
    assert_eq!(target["value"]["__type"], "Entity:http://schemas.microsoft.com/xrm/2011/Contracts");
    assert_eq!(target["value"]["Attributes"], json!([{"key": "name", "value": "x"}]));
    assert_eq!(context["ParentContext"]["Stage"], 30);
    assert_eq!(context["ParentContext"]["ParentContext"], Json::Null);
    let image = &context["PostEntityImages"][0];
    assert_eq!(image["key"], "AsynchronousStepPrimaryName");
    assert_eq!(
        image["value"]["Attributes"],
        json!([{"key": "name", "value": "Contoso"}, {"key": "accountid", "value": id}])
    );
}

#[test]
fn the_target_of_a_deletion_is_a_reference_and_a_creation_answers_its_id() {
    let folder = folder();
    folder.step(21, 2, &[]);
    folder.step(22, 0, &[]);
    let context = |message| -> Json {
        let jobs = folder.raise(&change(message, &[]));
        let Value::Text(data) = folder.cell(&jobs[0], "data") else { panic!("no data") };
        serde_json::from_str(&data).expect("JSON")
    };
    let deleted = context("Delete");
    let target = &deleted["InputParameters"][0]["value"];
    assert_eq!(target["__type"], "EntityReference:http://schemas.microsoft.com/xrm/2011/Contracts");
    assert_eq!(deleted["PreEntityImages"][0]["key"], "AsynchronousStepPrimaryName");
    assert_eq!(deleted["PostEntityImages"], json!([]));
    let created = context("Create");
    let id = guid_text(&[7; 16]);
    assert_eq!(created["OutputParameters"], json!([{"key": "id", "value": id}]));
}

#[test]
fn the_work_of_an_extension_is_done_where_its_registration_says() {
    let folder = folder();
    let webhook = "{\"webhook\":{\"url\":\"http://127.0.0.1/x\"}}";
    let endpoint = Value::Int32(entity_code("serviceendpoint"));
    folder.step(21, 0, &[]);
    folder.step(22, 0, &[("eventhandlertypecode", endpoint)]);
    folder.step(23, 0, &[("configuration", text(webhook))]);
    folder.step(24, 0, &[("configuration", text("<settings/>"))]);
    for (id, logic) in [(41, ""), (42, "{\"steps\":[]}"), (43, webhook), (44, "{}")] {
        folder.workflow(
            id,
            &[("triggeroncreate", Value::Boolean(true)), ("clientdata", text(logic))],
        );
    }
    let jobs = folder.raise(&change("Create", &[]));
    let (worker, steps) = ("{\"worker\":{}}", "{\"workflow\":{}}");
    let expected = [worker, "{\"endpoint\":{}}", webhook, worker, worker, steps, webhook, worker];
    for (job, handler) in jobs.iter().zip(expected) {
        assert_eq!(folder.cell(job, "sysjob_handler"), text(handler), "{}", job.name);
    }
    assert_eq!(jobs.len(), expected.len());
}

#[test]
fn a_payload_above_four_megabytes_is_a_file() {
    let folder = folder();
    let catalog = folder.store.catalog().clone();
    let limit = 4_194_304;
    let mut cells = Vec::new();
    assert!(payload::place(&catalog, [5; 16], "x".repeat(limit), &mut cells, NOW).is_none());
    let mut cells = vec![(
        catalog
            .table("asyncoperation")
            .and_then(|t| t.column_index("asyncoperationid"))
            .expect("it"),
        guid(5),
    )];
    let file = payload::place(&catalog, [5; 16], "x".repeat(limit + 1), &mut cells, NOW);
    let table = catalog.table_index("asyncoperation").expect("built in");
    let job = Change::Insert { table, values: cells };
    folder.store.commit_blocking(vec![job, file.expect("a file")]).expect("durable");
    let column = |table: &str, name: &str| {
        catalog.table(table).and_then(|t| t.column_index(name)).expect("a column")
    };
    assert_eq!(
        folder.store.value(table, &[5; 16], column("asyncoperation", "data")),
        Some(Value::Null)
    );
    let blob = folder.store.value(table, &[5; 16], column("asyncoperation", "datablobid"));
    let Some(Value::Guid(file)) = blob else { panic!("{blob:?}") };
    let files = catalog.table_index("fileattachment").expect("built in");
    for (name, value) in [
        ("objectid", guid(5)),
        ("objectidtypecode", Value::Int32(4700)),
        ("filesizeinbytes", Value::Int64(limit as i64 + 1)),
        ("createdon", Value::Time(NOW)),
    ] {
        let cell = folder.store.value(files, &file, column("fileattachment", name));
        assert_eq!(cell, Some(value), "{name}");
    }
    assert_eq!(payload::read(&folder.store, [5; 16]).map(|text| text.len()), Some(limit + 1));
}
