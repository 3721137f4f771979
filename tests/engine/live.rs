//! Snapshots while jobs run: every one of them holds every job in one state.

use std::sync::Arc;

use sysjob::catalog::Catalog;
use sysjob::clock::SystemClock;
use sysjob::dialect::Dialect;
use sysjob::engine::Engine;
use sysjob::job::handler::{SimulatedOutcome, Simulation};
use sysjob::job::{Handler, JobColumns};
use sysjob::scheduler::{Policies, Scheduler};
use sysjob::store::Store;
use sysjob::value::Value;

use crate::support::answer as rows;

const JOBS: usize = 20_000;
const SNAPSHOTS: usize = 10_000;

const QUESTIONS: [(Dialect, &str); 3] = [
    (Dialect::Sql, "SELECT statecode, COUNT(*) AS n FROM asyncoperation GROUP BY statecode"),
    (
        Dialect::FetchXml,
        "<fetch aggregate='true'><entity name='asyncoperation'><attribute name='statecode' alias='statecode' groupby='true'/><attribute name='asyncoperationid' alias='n' aggregate='count'/></entity></fetch>",
    ),
    (Dialect::OData, "asyncoperations?$apply=groupby((statecode),aggregate($count as n))"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_snapshots_add_up() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let catalog = Arc::new(Catalog::built_in());
    let store = Arc::new(Store::open(folder.path(), catalog).expect("a new store"));
    let c = JobColumns::of(store.catalog());
    let (scheduler, handle) =
        Scheduler::new(store.clone(), Arc::new(SystemClock), Policies::with_concurrency(6));
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let running = tokio::spawn(scheduler.run(stopped));
    // Few at once, so that jobs are still going on at the last snapshot.
    let job = |n: usize| {
        let outcome =
            if n.is_multiple_of(7) { SimulatedOutcome::Fail } else { SimulatedOutcome::Succeed };
        let simulation = Simulation {
            message: Some("a simulated failure".into()),
            ..Simulation::new((n % 50) as f64, outcome)
        };
        vec![
            (c.handler, Value::Text(Handler::simulate(simulation).to_json())),
            (c.retrycount, Value::Int32(0)),
        ]
    };
    handle.submit((0..JOBS).map(job).collect()).await.expect("durable");

    let engine = Engine::new();
    let mut states_seen = std::collections::BTreeSet::new();
    let (mut ended_before, mut changes_seen) = (0, 0);
    for n in 0..SNAPSHOTS {
        let snapshot = store.snapshot();
        let (dialect, text) = QUESTIONS[n % QUESTIONS.len()];
        let counts = rows(&engine, &snapshot, dialect, text).await.expect("an answer");
        let count =
            |row: &serde_json::Map<String, serde_json::Value>| row["n"].as_u64().expect("n");
        let sum: u64 = counts.iter().map(count).sum();
        assert_eq!(sum as usize, JOBS, "snapshot {n} in {dialect:?}: {counts:?}");
        let ended: u64 = counts.iter().filter(|row| row["statecode"] == 3).map(count).sum();
        assert!(ended >= ended_before, "jobs do not come back");
        changes_seen += usize::from(ended > ended_before);
        ended_before = ended;
        states_seen.extend(counts.iter().map(|row| row["statecode"].as_i64()));
    }
    assert!(changes_seen > 1000, "only {changes_seen} snapshots saw more ended jobs");
    assert!(states_seen.len() >= 2, "something was going on: {states_seen:?}");
    stop.send(true).expect("the scheduler listens");
    running.await.expect("it ends").expect("well");
}

/// Plans are kept for the next time they are asked for; what they read is not.
#[tokio::test]
async fn an_answer_leaves_no_snapshot_behind() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(folder.path(), Arc::new(Catalog::built_in())).expect("a new store");
    let engine = Engine::new();
    let by_row =
        (Dialect::Sql, "SELECT o.name, w.name FROM asyncoperation o JOIN workflow w ON 1 = 1");
    for (dialect, text) in QUESTIONS.into_iter().chain([by_row]) {
        for _ in 0..2 {
            let snapshot = store.snapshot();
            let held = Arc::downgrade(&snapshot);
            rows(&engine, &snapshot, dialect, text).await.expect("an answer");
            drop(snapshot);
            assert!(held.upgrade().is_none(), "{text}");
        }
    }
}
