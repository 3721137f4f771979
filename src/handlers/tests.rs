//! Attempts run by a service, over a real store.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

use super::{Handlers, Retention, Settings};
use crate::catalog::{Catalog, entity_code};
use crate::identity::Caller;
use crate::job::{Action, ActionRequest, Handler, Status};
use crate::messages;
use crate::scheduler::{Policies, Scheduler};
use crate::service::Service;
use crate::store::{Change, Store};
use crate::value::{Guid, Value, guid_text};
use crate::write::{Object, Transaction};

struct World {
    service: Arc<Service>,
    stop: watch::Sender<bool>,
    _dir: tempfile::TempDir,
}

async fn world(retention: Option<Retention>) -> World {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(dir.path(), Arc::new(Catalog::built_in())).expect("a new folder");
    let store = Arc::new(store);
    let messages = store.clone();
    let registered = tokio::task::spawn_blocking(move || messages::register(&messages)).await;
    registered.expect("no panic").expect("the messages are there");
    let mut service = Service::new(store.clone());
    let clock = service.clock.clone();
    let (scheduler, handle) = Scheduler::new(store, clock, Policies::default());
    service.scheduler = Some(handle);
    let service = Arc::new(service);
    let settings = Settings { retention, ..Settings::default() };
    let handlers = Arc::new(Handlers::new(service.clone(), settings).expect("a client"));
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(scheduler.with_runner(handlers.clone()).run(stopped));
    handlers.register().await.expect("the platform's jobs");
    World { service, stop, _dir: dir }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

fn object(json: &Json) -> Object {
    json.as_object().expect("an object").clone()
}

impl World {
    fn column(&self, table: &str, column: &str) -> (usize, usize) {
        let catalog = self.service.store.catalog();
        let number = catalog.table_index(table).expect("built in");
        let index = catalog.tables()[number].column_index(column);
        (number, index.unwrap_or_else(|| panic!("{table}.{column}")))
    }

    async fn insert(&self, table: &str, cells: &[(&str, Value)]) {
        let number = self.column(table, "versionnumber").0;
        let values = cells.iter().map(|(n, v)| (self.column(table, n).1, v.clone())).collect();
        let change = Change::Insert { table: number, values };
        self.service.store.commit(vec![change]).await.expect("durable");
    }

    /// Activates a workflow on accounts with some steps.
    async fn workflow(&self, id: u8, triggers: &[(&str, Value)], steps: &Json) {
        let logic = json!({ "steps": steps }).to_string();
        let mut cells = vec![
            ("workflowid", Value::Guid([id; 16])),
            ("name", Value::Text(format!("workflow {id}"))),
            ("type", Value::Int32(1)),
            ("statecode", Value::Int32(1)),
            ("primaryentity", Value::Int32(1)),
            ("clientdata", Value::Text(logic)),
        ];
        cells.extend(triggers.iter().cloned());
        self.insert("workflow", &cells).await;
    }

    async fn account(&self, id: u8) -> Guid {
        let mut tx = self.begin().await;
        let body = json!({"accountid": guid_text(&[id; 16]), "name": "Contoso"});
        let table = self.column("account", "name").0;
        let made = tx.create(table, &object(&body)).expect("a new account");
        tx.commit().await.expect("durable");
        made
    }

    async fn begin(&self) -> Transaction {
        let service = &self.service;
        let (scheduler, now) = (service.scheduler.as_ref(), service.clock.now());
        Transaction::begin(&service.store, scheduler, Caller::default(), now).await
    }

    /// The cells of a column of all rows that another column selects.
    fn cells(&self, table: &str, column: &str, of: Option<(&str, Value)>) -> Vec<Value> {
        let (number, column) = self.column(table, column);
        let of = of.map(|(name, value)| (self.column(table, name).1, value));
        let mut found = Vec::new();
        self.service.store.table(number).for_each(|cell| {
            if of.as_ref().is_none_or(|(index, value)| cell(*index) == *value) {
                found.push(cell(column));
            }
        });
        found
    }

    fn job(&self, definition: u8, column: &str) -> Vec<Value> {
        let of = ("owningextensionid", Value::Guid([definition; 16]));
        self.cells("asyncoperation", column, Some(of))
    }

    /// Waits until something holds.
    async fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let begin = Instant::now();
        while !holds() {
            let jobs: Vec<Vec<Value>> = ["name", "statuscode", "errorcode", "message"]
                .map(|column| self.cells("asyncoperation", column, None))
                .into();
            assert!(begin.elapsed() < Duration::from_secs(30), "{what}: {jobs:?}");
            tokio::task::yield_now().await;
        }
    }

    async fn ends(&self, definition: u8, status: Status) {
        let expected = vec![Value::Int32(status.statuscode())];
        let what = format!("the job of {definition} becomes {status:?}");
        self.until(&what, || self.job(definition, "statuscode") == expected).await;
    }

    async fn submit(&self, operationtype: i32, handler: &Handler, data: Option<&str>) -> Guid {
        let id = uuid::Uuid::new_v4().into_bytes();
        let mut cells = vec![
            ("asyncoperationid", Value::Guid(id)),
            ("name", Value::Text("a job".into())),
            ("operationtype", Value::Int32(operationtype)),
            ("sysjob_handler", Value::Text(handler.to_json())),
        ];
        cells.extend(data.map(|data| ("data", Value::Text(data.into()))));
        let cells =
            cells.into_iter().map(|(n, v)| (self.column("asyncoperation", n).1, v)).collect();
        let scheduler = self.service.scheduler.as_ref().expect("it runs");
        scheduler.submit(vec![cells]).await.expect("durable");
        id
    }

    fn cell(&self, job: &Guid, column: &str) -> Value {
        let (table, column) = self.column("asyncoperation", column);
        self.service.store.value(table, job, column).unwrap_or(Value::Null)
    }

    async fn job_ends(&self, job: &Guid, status: Status) {
        let expected = Value::Int32(status.statuscode());
        self.until(&format!("{status:?}"), || self.cell(job, "statuscode") == expected).await;
    }
}

/// A server that answers each request with a status, and the bodies that came.
async fn hook(status: u16) -> (String, Arc<Mutex<Vec<Json>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/", listener.local_addr().expect("bound"));
    let seen: Arc<Mutex<Vec<Json>>> = Arc::default();
    let kept = seen.clone();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut bytes = Vec::new();
            while socket.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {
                let text = String::from_utf8_lossy(&bytes);
                let body = text.split_once("\r\n\r\n").map(|(_, body)| body);
                if let Some(body) = body.and_then(|body| serde_json::from_str(body).ok()) {
                    kept.lock().push(body);
                    break;
                }
            }
            let answer =
                format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            let _ = socket.write_all(answer.as_bytes()).await;
        }
    });
    (url, seen)
}

const CREATED: (&str, Value) = ("triggeroncreate", Value::Boolean(true));

#[tokio::test]
async fn a_workflow_does_its_steps_and_each_leaves_its_log() {
    let world = world(None).await;
    let (url, seen) = hook(200).await;
    let steps = json!([
        {"wait": {"seconds": 0.01}}, {"webhook": {"url": url}},
        {"update": {"attributes": {"telephone1": "1"}}},
        {"simulate": {"duration_ms": 1, "outcome": "succeed"}}, {"stop": {}},
        {"fail": {"message": "never comes here"}},
    ]);
    world.workflow(1, &[CREATED], &steps).await;
    let phone = Value::Text("telephone1".into());
    world.workflow(2, &[("triggeronupdateattributelist", phone)], &json!([])).await;
    let account = world.account(9).await;
    world.ends(1, Status::Succeeded).await;
    world.ends(2, Status::Succeeded).await;
    let (table, column) = world.column("account", "telephone1");
    let phone = world.service.store.value(table, &account, column);
    assert_eq!(phone, Some(Value::Text("1".into())));
    let job = world.job(1, "asyncoperationid")[0].clone();
    let of = Some(("asyncoperationid", job.clone()));
    let log = |column| world.cells("workflowlog", column, of.clone());
    let names = ["wait", "webhook", "update", "simulate", "stop"];
    // The row of the wait was written twice, with one id.
    let mut steps = log("stepname");
    steps.sort_by_key(|name| match name {
        Value::Text(name) => names.iter().position(|n| n == name),
        _ => None,
    });
    assert_eq!(steps, names.map(|name| Value::Text(name.into())));
    assert_eq!(log("status"), vec![Value::Int32(2); 5]);
    assert!(log("completedon").iter().all(|at| matches!(at, Value::Time(_))));
    let body = seen.lock()[0].clone();
    assert_eq!(body["PrimaryEntityId"], guid_text(&account));
    assert_eq!(body["OwningExtension"]["LogicalName"], "workflow");
    // What the workflow has changed goes on in its chain.
    assert_eq!(world.job(2, "depth"), [Value::Int32(2)]);
    assert_eq!(world.job(2, "correlationid"), world.job(1, "correlationid"));
    assert_eq!(world.job(2, "parentpluginexecutionid"), [job]);
}

#[tokio::test]
async fn a_wait_gives_its_place_back() {
    let world = world(None).await;
    world.workflow(1, &[CREATED], &json!([{"wait": {"seconds": 3600}}])).await;
    world.account(9).await;
    world.ends(1, Status::Waiting).await;
    assert!(matches!(world.job(1, "postponeuntil")[0], Value::Time(_)));
    assert_eq!(world.job(1, "workflowstagename"), [Value::Text("1 wait".into())]);
    assert_eq!(world.cells("workflowlog", "status", None), [Value::Int32(5)]);
}

#[tokio::test]
async fn a_wait_for_an_event_ends_when_something_happens_to_the_record() {
    let world = world(None).await;
    let steps = json!([{"wait": {"event": {}}}, {"update": {"attributes": {"fax": "1"}}}]);
    world.workflow(1, &[CREATED], &steps).await;
    let account = world.account(9).await;
    world.ends(1, Status::Waiting).await;
    assert_eq!(world.job(1, "postponeuntil"), [Value::Null]);
    assert_eq!(world.job(1, "iswaitingforevent"), [Value::Boolean(true)]);
    assert_eq!(world.cells("workflowlog", "status", None), [Value::Int32(5)]);
    world.account(8).await;
    let table = world.column("account", "accountid").0;
    let mut transaction = world.begin().await;
    transaction.update(table, account, &object(&json!({"name": "new"}))).expect("an update");
    transaction.commit().await.expect("durable");
    // That of the other record waits on.
    let expected = [Value::Int32(30), Value::Int32(10)];
    let goes_on = || world.job(1, "statuscode") == expected;
    world.until("the job of the record goes on", goes_on).await;
}

#[tokio::test]
async fn a_failing_step_ends_by_its_error_code() {
    for (code, status) in [
        ("0x80040265", Status::Failed),
        ("0x80044182", Status::Failed),
        ("0x80040216", Status::Waiting),
        ("0x80040217", Status::Waiting),
    ] {
        let world = world(None).await;
        let steps = json!([{"fail": {"errorcode": code, "message": "because"}}]);
        world.workflow(1, &[CREATED], &steps).await;
        world.account(9).await;
        world.ends(1, status).await;
        assert_eq!(world.job(1, "friendlymessage"), [Value::Text("because".into())], "{code}");
        assert_eq!(world.cells("workflowlog", "status", None), [Value::Int32(3)], "{code}");
        let retried = matches!(world.job(1, "postponeuntil")[0], Value::Time(_));
        assert_eq!(retried, code == "0x80040216", "{code}");
    }
}

#[tokio::test]
async fn an_update_that_fails_is_logged_once() {
    let world = world(None).await;
    let missing = "00000000-0000-0000-0000-0000000000ff";
    let update = json!({"table": "account", "id": missing, "attributes": {"name": "x"}});
    world.workflow(1, &[CREATED], &json!([{"update": update}])).await;
    world.account(9).await;
    world.ends(1, Status::Waiting).await;
    assert_eq!(world.cells("workflowlog", "status", None), [Value::Int32(3)]);
}

#[tokio::test]
async fn a_loop_ends_at_the_eighth_level() {
    let world = world(None).await;
    let name = Value::Text("name".into());
    let steps = json!([{"update": {"attributes": {"name": "again"}}}]);
    world.workflow(1, &[CREATED, ("triggeronupdateattributelist", name)], &steps).await;
    world.account(9).await;
    let ended = |status: Status| {
        let code = Value::Int32(status.statuscode());
        world.job(1, "statuscode").iter().filter(|s| **s == code).count()
    };
    // The last one fails before the attempt that has raised it has reported.
    let over = || ended(Status::Failed) == 1 && ended(Status::Succeeded) == 8;
    world.until("the loop ends", over).await;
    let depths: Vec<Value> = (1..=9).map(Value::Int32).collect();
    assert_eq!(world.job(1, "depth"), depths);
    let codes = world.job(1, "errorcode");
    assert_eq!(codes[8], Value::Int32(0x8004_4182_u32.cast_signed()));
}

#[tokio::test]
async fn logic_that_cannot_be_read_and_records_that_are_gone_wait_for_a_person() {
    let world = world(None).await;
    world.workflow(1, &[CREATED], &json!([{"nosuch": {}}])).await;
    world.account(9).await;
    world.ends(1, Status::Waiting).await;
    assert_eq!(world.job(1, "errorcode"), [Value::Int32(0x8004_4304_u32.cast_signed())]);
    world.workflow(2, &[("ondemand", Value::Boolean(true))], &json!([])).await;
    let mut tx = world.begin().await;
    tx.execute_workflow([2; 16], [77; 16]).expect("it is on demand");
    tx.commit().await.expect("durable");
    world.ends(2, Status::Waiting).await;
    assert_eq!(world.job(2, "errorcode"), [Value::Int32(0x8004_5031_u32.cast_signed())]);
}

#[tokio::test]
async fn a_step_posts_to_its_service_endpoint_and_leaves_a_trace() {
    for (status, ends) in [(200, Status::Succeeded), (404, Status::Failed), (401, Status::Waiting)]
    {
        let world = world(None).await;
        let (url, seen) = hook(status).await;
        world
            .insert(
                "serviceendpoint",
                &[
                    ("serviceendpointid", Value::Guid([5; 16])),
                    ("contract", Value::Int32(8)),
                    ("url", Value::Text(url)),
                ],
            )
            .await;
        let create =
            world.cells("sdkmessage", "sdkmessageid", Some(("name", Value::Text("Create".into()))));
        world
            .insert(
                "sdkmessageprocessingstep",
                &[
                    ("sdkmessageprocessingstepid", Value::Guid([4; 16])),
                    ("name", Value::Text("tell others".into())),
                    ("mode", Value::Int32(1)),
                    ("stage", Value::Int32(40)),
                    ("statecode", Value::Int32(0)),
                    ("sdkmessageid", create[0].clone()),
                    ("eventhandler", Value::Guid([5; 16])),
                    ("eventhandlertypecode", Value::Int32(entity_code("serviceendpoint"))),
                ],
            )
            .await;
        world.account(9).await;
        world.ends(4, ends).await;
        assert_eq!(seen.lock()[0]["MessageName"], "Create", "{status}");
        let trace = |column| world.cells("plugintracelog", column, None);
        assert_eq!(trace("typename"), [Value::Text("tell others".into())]);
        assert_eq!(trace("pluginstepid"), [Value::Guid([4; 16])]);
        assert_eq!(trace("correlationid"), world.job(4, "correlationid"));
        assert_eq!(trace("primaryentity"), [Value::Text("account".into())]);
        assert_eq!(trace("exceptiondetails")[0] == Value::Null, status == 200);
    }
}

#[tokio::test]
async fn the_body_of_a_webhook_is_made_of_the_job_and_its_data() {
    let world = world(None).await;
    let (url, seen) = hook(200).await;
    let handler = Handler::Webhook { url };
    let data = r#"{"MessageName":"Mine","Extra":[1]}"#;
    let job = world.submit(54, &handler, Some(data)).await;
    world.job_ends(&job, Status::Succeeded).await;
    let body = seen.lock()[0].clone();
    assert_eq!((&body["MessageName"], &body["Extra"]), (&json!("Mine"), &json!([1])));
    assert_eq!(body["OperationId"], guid_text(&job));
    assert_eq!(body["Depth"], 1);
    let job = world.submit(54, &handler, Some("<xml/>")).await;
    world.job_ends(&job, Status::Succeeded).await;
    assert_eq!(seen.lock()[1]["OperationId"], guid_text(&job));
}

#[tokio::test]
async fn work_ends_when_it_is_canceled_or_paused() {
    let world = world(None).await;
    let hang = json!([{"simulate": {"outcome": "hang"}}]);
    for (id, action, ends) in
        [(1, Action::Cancel, Status::Canceled), (2, Action::Pause, Status::Waiting)]
    {
        world.workflow(id, &[("ondemand", Value::Boolean(true))], &hang).await;
        let account = world.account(100 + id).await;
        let mut tx = world.begin().await;
        let job = tx.execute_workflow([id; 16], account).expect("it is on demand");
        tx.commit().await.expect("durable");
        world.job_ends(&job, Status::InProgress).await;
        let request = ActionRequest { id: job, action, by: [1; 16], reason: None };
        let scheduler = world.service.scheduler.as_ref().expect("it runs");
        scheduler.act(vec![request]).await.expect("answered").remove(0).expect("done");
        world.job_ends(&job, ends).await;
    }
}

#[tokio::test]
async fn the_platforms_jobs_compute_their_statistics() {
    let world = world(None).await;
    world.account(9).await;
    for (operationtype, part) in [
        (9, "account 1"),
        (16, "0 workflows"),
        (18, "bytes in files"),
        (19, "tables with"),
        (20, "bytes by table: "),
        (22, "the largest table is "),
        (24, "account 0"),
        (25, " texts in "),
        (27, "0 contracts"),
        (31, "no limit is set"),
    ] {
        let job = world.submit(operationtype, &Handler::Platform {}, None).await;
        world.job_ends(&job, Status::Succeeded).await;
        let message = world.cell(&job, "message");
        assert!(matches!(&message, Value::Text(m) if m.contains(part)), "{part}: {message:?}");
    }
    let job = world.submit(2, &Handler::Platform {}, None).await;
    world.job_ends(&job, Status::Failed).await;
}

#[tokio::test]
async fn the_clean_up_deletes_what_ended_long_enough_ago() {
    let day = Duration::from_secs(86_400);
    let retention = Retention { completed_days: 1.0, every: day, ..Retention::default() };
    let world = world(None).await;
    let now = world.service.clock.now();
    let ago = |days: f64| Value::Time(now - (days * 86_400e6) as i64);
    for (id, status, completed) in [
        (1, 30, ago(1.1)),
        (2, 31, ago(1.1)),
        (3, 30, ago(0.9)),
        (4, 20, Value::Null),
        (5, 10, ago(9.0)),
    ] {
        world
            .insert(
                "asyncoperation",
                &[
                    ("asyncoperationid", Value::Guid([id; 16])),
                    ("statecode", Value::Int32(status / 10)),
                    ("statuscode", Value::Int32(status)),
                    ("completedon", completed),
                ],
            )
            .await;
    }
    let settings = Settings { retention: Some(retention), ..Settings::default() };
    let handlers = Handlers::new(world.service.clone(), settings).expect("a client");
    let cleaner = world.submit(14, &Handler::Worker {}, None).await;
    let job = super::JobRow::read(&world.service.store, cleaner).expect("it is there");
    let (_told, mut asked) = watch::channel(None);
    let report = super::retention::run(&handlers.shared, &job, &mut asked).await;
    assert_eq!(report.message.as_deref(), Some("2 jobs deleted"));
    assert!(
        matches!(report.outcome, crate::job::Outcome::Waits { until: Some(at) } if at > now),
        "{report:?}"
    );
    let mut left = world.cells("asyncoperation", "asyncoperationid", None);
    left.retain(|id| *id != Value::Guid(cleaner));
    assert_eq!(left, [3, 4, 5].map(|id| Value::Guid([id; 16])));
}

#[tokio::test]
async fn the_clean_up_is_one_recurring_job() {
    let world = world(Some(Retention::default())).await;
    let of = || Some(("operationtype", Value::Int32(14)));
    let waits = vec![Value::Int32(10)];
    world.until("it waits", || world.cells("asyncoperation", "statuscode", of()) == waits).await;
    assert!(matches!(
        world.cells("asyncoperation", "postponeuntil", of())[0],
        Value::Time(at) if at > world.service.clock.now()
    ));
}

#[tokio::test]
async fn a_clean_up_that_is_set_to_come_sooner_does_not_wait_for_the_old_time() {
    let world = world(Some(Retention::default())).await;
    let due = || world.cells("asyncoperation", "postponeuntil", None);
    let waits = |due: &[Value]| matches!(due, [Value::Time(_)]);
    world.until("the clean-up waits for tomorrow", || waits(&due())).await;
    let before = due();
    let every = Duration::from_secs(60);
    let settings = Settings {
        retention: Some(Retention { every, ..Retention::default() }),
        ..Settings::default()
    };
    let again = Handlers::new(world.service.clone(), settings).expect("a client");
    again.register().await.expect("registered");
    // The world's own handlers do the work, and know the old time only.
    world.until("it has run once more", || waits(&due()) && due() != before).await;
    assert_eq!(due().len(), 1, "there is one clean-up");
    let same = Settings { retention: Some(Retention::default()), ..Settings::default() };
    let before = due();
    let again = Handlers::new(world.service.clone(), same).expect("a client");
    again.register().await.expect("registered");
    assert_eq!(due(), before, "nothing has changed");
}
