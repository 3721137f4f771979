//! Targets, tallies and the job, over a table in which nothing moves by itself.

use std::cell::Cell;
use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::catalog::Catalog;
use crate::clock::ManualClock;
use crate::dialect::Dialect;
use crate::job::Outcome;
use crate::job::{Handler, Status};
use crate::scheduler::core::Told;
use crate::scheduler::{Policies, Scheduler};
use crate::store::{Change, Snapshot, Store};

struct World {
    service: Arc<Service>,
    _dir: tempfile::TempDir,
}

fn id(n: u16) -> Guid {
    let mut id = [0; 16];
    id[14..].copy_from_slice(&n.to_be_bytes());
    id
}

/// Jobs 1, 2, … of which every third is completed; 9 is the platform's.
fn world(jobs: u16) -> World {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(dir.path(), Arc::new(Catalog::built_in())).expect("a new folder");
    let c = JobColumns::of(store.catalog());
    let insert = |n: u16| {
        let status = if n.is_multiple_of(3) { 30 } else { 0 };
        let values = vec![
            (c.asyncoperationid, Value::Guid(id(n))),
            (c.createdon, Value::Time(i64::from(n))),
            (c.statecode, Value::Int32(status / 10)),
            (c.statuscode, Value::Int32(status)),
            (c.operationtype, Value::Int32(if n == 8 { 16 } else { 10 })),
        ];
        Change::Insert { table: c.table, values }
    };
    store.commit_blocking((1..=jobs).map(insert).collect()).expect("durable");
    World { service: Arc::new(Service::new(Arc::new(store))), _dir: dir }
}

fn order(action: Action) -> Order {
    Order { action, reason: None, caller: Caller::default() }
}

impl World {
    async fn found(&self, dialect: Option<Dialect>, text: &str) -> Result<Vec<u16>, String> {
        let found = matching(&self.service, &Caller::default(), None, dialect, text).await;
        let number = |id: Guid| u16::from_be_bytes([id[14], id[15]]);
        found.map(|ids| ids.into_iter().map(number).collect()).map_err(|e| e.to_string())
    }

    fn status(&self, n: u16) -> Option<Value> {
        let c = JobColumns::of(self.service.store.catalog());
        self.service.store.value(c.table, &id(n), c.statuscode)
    }
}

#[tokio::test]
async fn queries_in_every_dialect_find_jobs_in_their_order() {
    let world = world(9);
    for text in [
        "SELECT AsyncOperationId FROM asyncoperation WHERE statecode = 3 ORDER BY createdon DESC",
        "SELECT a.name, b.asyncoperationid FROM asyncoperation a JOIN asyncoperation b ON a.statecode = b.statecode WHERE a.statecode = 3 ORDER BY b.createdon DESC",
        "$filter=statecode eq 3&$orderby=createdon desc",
        "?$filter=statecode%20eq%203&$orderby=createdon%20desc&$select=name",
        "asyncoperations?$filter=statecode eq 3&$orderby=createdon desc",
        "<fetch><entity name='asyncoperation'><filter><condition attribute='statecode' operator='eq' value='3'/></filter><order attribute='createdon' descending='true'/></entity></fetch>",
        "<fetch><entity name='asyncoperation'><attribute name='name'/><filter><condition attribute='statecode' operator='eq' value='3'/></filter><order attribute='createdon' descending='true'/></entity></fetch>",
    ] {
        assert_eq!(world.found(None, text).await, Ok(vec![9, 6, 3]), "{text}");
    }
    let top = "<fetch top='2'><entity name='asyncoperation'><order attribute='createdon'/></entity></fetch>";
    assert_eq!(world.found(Some(Dialect::FetchXml), top).await, Ok(vec![1, 2]));
    let page = "<fetch count='2' page='2'><entity name='asyncoperation'><order attribute='createdon'/></entity></fetch>";
    assert_eq!(world.found(None, page).await, Ok(vec![3, 4]));
    assert_eq!(world.found(None, "$filter=statecode eq 1").await, Ok(vec![]));
}

#[tokio::test]
async fn what_finds_no_jobs_is_refused() {
    let world = world(1);
    for (text, message) in [
        ("SELECT name FROM asyncoperation", "the SELECT does not yield 'asyncoperationid'"),
        ("SELECT 1 AS asyncoperationid", "is no uniqueidentifier"),
        (
            "SELECT asyncoperationid FROM asyncoperation; SELECT asyncoperationid FROM asyncoperation",
            "several queries",
        ),
        ("SELECT asyncoperationid FROM asyncoperations", "asyncoperations"),
        ("DELETE FROM asyncoperation", ""),
        ("<fetch><entity name='workflow'/></fetch>", "the query is about 'workflow'"),
        (
            "<fetch aggregate='true'><entity name='asyncoperation'><attribute name='name' alias='n' aggregate='count'/></entity></fetch>",
            "have no 'asyncoperationid'",
        ),
        ("accounts?$top=1", "the query is about 'account'"),
        ("$apply=groupby((statecode))", "have no 'asyncoperationid'"),
        ("$filter=statecod eq 1", "statecode"),
    ] {
        let refused = world.found(None, text).await.expect_err(text);
        assert!(refused.contains(message), "{text}: {refused}");
    }
}

#[tokio::test]
async fn the_skipped_are_counted_by_their_reason() {
    let world = world(9);
    let ids: Vec<Guid> = (1..=10).map(id).collect();
    let foreseen =
        foresee(&world.service, &order(Action::Cancel), ids.clone()).await.expect("looked at");
    assert_eq!(world.status(1), Some(Value::Int32(0)), "nothing is done");
    let done = act(&world.service, &order(Action::Cancel), &ids).await.expect("done");
    assert_eq!(foreseen, done);
    assert_eq!((done.done, done.skipped()), (5, 5));
    let shown: Vec<(&str, u64)> = done.skipped.iter().map(|s| (s.code.as_str(), s.count)).collect();
    assert_eq!(shown, [("0x80044f00", 4), ("0x80040217", 1)]);
    assert!(
        done.skipped[0]
            .message
            .contains("statuscode 30 cannot be canceled; a job of operation type 16")
    );
    assert_eq!(done.sample[0], guid_text(&id(1)));
    assert_eq!(done.progress(10).lines().next(), Some("10 of 10: 5 done, 5 skipped"));
    assert_eq!([1, 3, 8].map(|n| world.status(n)), [32, 30, 0].map(|s| Some(Value::Int32(s))));
}

#[tokio::test]
async fn the_job_shows_its_progress_and_goes_on_where_it_was() {
    let world = world(1200);
    // Job 3 stands in for the one that does the work.
    let job = id(3);
    let ids: Vec<String> = (1..=1200).filter(|n| n % 3 != 0).map(|n| guid_text(&id(n))).collect();
    let data = json!({"action": "cancel", "ids": ids}).to_string();
    let c = JobColumns::of(world.service.store.catalog());
    let text = |column| match world.service.store.value(c.table, &job, column) {
        Some(Value::Text(text)) => text,
        other => panic!("{other:?}"),
    };
    let looks = Cell::new(0);
    let told = || {
        looks.set(looks.get() + 1);
        (looks.get() > 1).then_some(Told::Pause)
    };
    let caller = Caller::default();
    let report = perform(&world.service, caller, job, &data, None, told).await.expect("paused");
    assert_eq!(report.outcome, Outcome::Suspended);
    assert_eq!(
        text(c.message),
        format!(
            "500 of 800: 499 done, 1 skipped\n1 with 0x80044f00: a job of operation type 16 is generated by the platform and cannot be canceled"
        )
    );
    assert_eq!(report.message.as_deref(), Some(text(c.message).as_str()));
    let state = text(c.workflowstate);
    let report = perform(&world.service, caller, job, &data, Some(&state), || None).await;
    let report = report.expect("done");
    assert_eq!(report.outcome, Outcome::Succeeded);
    assert!(text(c.message).starts_with("800 of 800: 799 done, 1 skipped"), "{}", text(c.message));
    assert_eq!([1, 1199].map(|n| world.status(n)), [32, 32].map(|s| Some(Value::Int32(s))));
    let broken = perform(&world.service, caller, job, "{}", None, || None).await;
    assert!(broken.is_err());
}

/// Canceled jobs, and those of which the job's row tells.
fn canceled_and_told(snapshot: &Snapshot, c: &JobColumns, job: Guid) -> (u64, u64) {
    let (mut canceled, mut told) = (0, 0);
    let table = snapshot.table(c.table);
    let schema = table.table().schema();
    for chunk in table.chunks() {
        for row in 0..chunk.rows() {
            if chunk.value(row, c.asyncoperationid, schema) == Value::Guid(job) {
                if let Value::Text(state) = chunk.value(row, c.workflowstate, schema) {
                    let tally: Tally = serde_json::from_str(&state).expect("a tally");
                    told = tally.done;
                }
            } else if chunk.value(row, c.statuscode, schema) == Value::Int32(32) {
                canceled += 1;
            }
        }
    }
    (canceled, told)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_snapshot_has_a_batch_of_which_the_job_does_not_tell() {
    let world = world(4000);
    let store = world.service.store.clone();
    let c = JobColumns::of(store.catalog());
    let clock = Arc::new(ManualClock::at(5_000));
    let (scheduler, handle) = Scheduler::new(store.clone(), clock, Policies::default());
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let task = tokio::spawn(scheduler.run(stopped));
    // Nobody does the work of its attempt but this test.
    let job = [0xAA; 16];
    let cells = vec![
        (c.asyncoperationid, Value::Guid(job)),
        (c.operationtype, Value::Int32(OPERATION_TYPE)),
        (c.handler, Value::Text(Handler::Platform {}.to_json())),
    ];
    handle.submit(vec![cells]).await.expect("taken");
    let status = || store.value(c.table, &job, c.statuscode);
    let running = Some(Value::Int32(Status::InProgress.statuscode()));
    while status() != running {
        tokio::task::yield_now().await;
    }
    let mut service = Service::new(store.clone());
    service.scheduler = Some(handle);
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let looking = {
        let (store, done) = (store.clone(), done.clone());
        std::thread::spawn(move || {
            while !done.load(std::sync::atomic::Ordering::Acquire) {
                let (canceled, told) = canceled_and_told(&store.snapshot(), &c, job);
                assert_eq!(canceled, told, "what was done is told at once");
            }
        })
    };
    let ids: Vec<String> = (1..=4000).map(|n| guid_text(&id(n))).collect();
    let data = json!({"action": "cancel", "ids": ids}).to_string();
    let report = perform(&service, Caller::default(), job, &data, None, || None).await;
    done.store(true, std::sync::atomic::Ordering::Release);
    looking.join().expect("always told");
    let message = report.expect("done").message.expect("it tells");
    assert!(message.starts_with("4000 of 4000: 2666 done, 1334 skipped"), "{message}");
    assert_eq!(canceled_and_told(&store.snapshot(), &c, job), (2666, 2666));
    stop.send(true).expect("it listens");
    task.await.expect("no panic").expect("an orderly end");
}
