//! Remote workers, submissions that come twice, actions, history and failures, over
//! the live scheduler and a real store.

use std::sync::Arc;
use std::time::Duration;

use sysjob::clock::ManualClock;
use sysjob::error::ErrorKind;
use sysjob::job::handler::SimulatedOutcome::{Fail, Hang, Succeed};
use sysjob::job::{Action, ActionRequest, Handler, Outcome, Report, Status};
use sysjob::scheduler::core::{Beat, Claimed, Told};
use sysjob::scheduler::{Claim, Ended, Heartbeat, NewJob};
use sysjob::store::Change;
use sysjob::value::{Guid, Value};

use crate::driver::{Live, START, id, with};

const SECOND: i64 = 1_000_000;

fn remote(live: &Live, number: u8) -> NewJob {
    let mut cells = live.new_job(number, None);
    cells.push((live.columns.handler, Value::Text(Handler::Worker {}.to_json())));
    cells
}

fn claim(max: usize, wait: u64) -> Claim {
    let (lease, wait) = (Duration::from_secs(30), Duration::from_secs(wait));
    Claim { worker: "w".into(), operationtypes: None, max, lease, wait }
}

fn ended(number: u8, attempt: i32, outcome: Outcome) -> Ended {
    Ended { id: id(number), attempt, report: Report::of(outcome) }
}

/// The history of a job: statuses, actor and reason.
fn history(live: &Live, job: Guid) -> Vec<(Value, Value, String, String)> {
    let snapshot = live.store.snapshot();
    let rows = snapshot.table_named("jobhistory").expect("a table");
    let schema = rows.table().schema();
    let column = |name: &str| rows.table().column_index(name).expect("a column");
    let mut found = Vec::new();
    for chunk in rows.chunks() {
        for row in (0..chunk.rows()).filter(|r| chunk.alive().is_none_or(|a| a.value(*r))) {
            let cell = |name: &str| chunk.value(row, column(name), schema);
            let text = |name: &str| match cell(name) {
                Value::Text(text) => text,
                other => panic!("{name} is text, not {other:?}"),
            };
            if cell("asyncoperationid") == Value::Guid(job) {
                let (from, to) = (cell("fromstatuscode"), cell("tostatuscode"));
                found.push((from, to, text("actor"), text("reason")));
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_id_makes_one_job_and_a_bad_element_none() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let live = Live::start(folder.path(), Arc::new(ManualClock::at(START)), 2);
    let jobs = || vec![live.new_job(1, None), live.new_job(2, None), live.new_job(1, None)];
    let first = live.jobs.submit(jobs()).await.expect("taken");
    let facts: Vec<_> = first.iter().map(|job| (job.id[0], job.sequence, job.known)).collect();
    assert_eq!(facts, [(1, 1, false), (2, 2, false), (1, 1, true)]);
    let again = live.jobs.submit(jobs()).await.expect("taken");
    assert!(again.iter().all(|job| job.known), "{again:?}");
    assert_eq!(live.rows().len(), 2);
    let mut bad = live.new_job(4, None);
    bad.push((live.columns.recurrencepattern, Value::Text("FREQ=NEVER".into())));
    let refused = live.jobs.submit(vec![live.new_job(3, None), bad]).await.expect_err("bad");
    assert_eq!(refused.kind, ErrorKind::Invalid);
    assert!(refused.to_string().starts_with("jobs[1]: "), "{refused}");
    assert_eq!(live.rows().len(), 2, "all or nothing");
    live.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_outlives_the_service() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let clock = Arc::new(ManualClock::at(START));
    let live = Live::start(folder.path(), clock.clone(), 2);
    assert_eq!(live.jobs.claim(claim(3, 0)).await.expect("an answer"), []);
    // A worker that waits gets what comes.
    let waiting = tokio::spawn({
        let jobs = live.jobs.clone();
        async move { jobs.claim(claim(2, 60)).await }
    });
    live.submit([remote(&live, 1)]).await;
    let got = waiting.await.expect("no panic").expect("an answer");
    assert_eq!(got, [Claimed { id: id(1), attempt: 1 }]);
    live.submit([remote(&live, 2), remote(&live, 3)]).await;
    let got = live.jobs.claim(claim(5, 0)).await.expect("an answer");
    assert_eq!(got, [Claimed { id: id(2), attempt: 1 }], "two places");
    let beat =
        |number, attempt| Heartbeat { id: id(number), attempt, lease: Duration::from_secs(90) };
    let beats = live.jobs.heartbeat(vec![beat(1, 1), beat(2, 7)]).await.expect("an answer");
    assert_eq!(beats, [Beat::Continue, Beat::Lost]);
    live.stop().await;

    clock.set(START + 31 * SECOND);
    let live = Live::start(folder.path(), clock.clone(), 2);
    let rows = live.until("the end of a lease", |r| with(r, Status::InProgress) == [1]).await;
    assert_eq!((rows[&id(2)].retries, rows[&id(1)].retries), (1, 0));
    let request =
        |action| ActionRequest { id: id(1), action, by: [7; 16], reason: Some("so".into()) };
    let acted = live.jobs.act(vec![request(Action::Cancel), request(Action::Pause)]).await;
    let codes: Vec<_> =
        acted.expect("an answer").into_iter().map(|r| r.map_err(|e| e.code & 0xFFFF)).collect();
    assert_eq!(codes, [Ok(()), Err(0x4162)]);
    assert_eq!(with(&live.rows(), Status::Canceling), [1]);
    let beats = live.jobs.heartbeat(vec![beat(1, 1)]).await.expect("an answer");
    assert_eq!(beats, [Beat::Told(Told::Cancel)]);
    let ends = vec![ended(2, 1, Outcome::Succeeded), ended(1, 1, Outcome::Canceled)];
    let answers = live.jobs.complete(ends).await.expect("an answer");
    let kinds: Vec<_> = answers.into_iter().map(|r| r.map_err(|e| e.kind)).collect();
    assert_eq!(kinds, [Err(ErrorKind::Conflict), Ok(())], "the first lease has ended");
    assert_eq!(with(&live.rows(), Status::Canceled), [1]);
    let why = live.jobs.why(id(1)).await.expect("an answer");
    assert_eq!(why.verdict, "ended");
    let why = live.jobs.why(id(2)).await.expect("an answer");
    assert_eq!(why.verdict, "capacity");
    assert_eq!(live.jobs.waits().await.expect("an answer").len(), 2);
    let asked = &history(&live, id(1))[2];
    assert_eq!(
        (asked.2.as_str(), asked.3.as_str()),
        ("07070707-0707-0707-0707-070707070707", "so")
    );
    live.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_waits_gets_the_place_before_younger_work_inside() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let live = Live::start(folder.path(), Arc::new(ManualClock::at(START)), 1);
    live.submit([live.new_job(1, Some((0.0, Hang)))]).await;
    live.submit([remote(&live, 2), live.new_job(3, Some((0.0, Succeed)))]).await;
    // Once polled, it has asked.
    let mut waiting = Box::pin(live.jobs.claim(claim(1, 60)));
    assert!(futures::poll!(&mut waiting).is_pending());
    let cancel = ActionRequest { id: id(1), action: Action::Cancel, by: [7; 16], reason: None };
    live.jobs.act(vec![cancel]).await.expect("an answer");
    let got = waiting.await.expect("an answer");
    assert_eq!(got, [Claimed { id: id(2), attempt: 1 }]);
    assert_eq!(with(&live.rows(), Status::WaitingForResources), [3]);
    live.jobs.complete(vec![ended(2, 1, Outcome::Succeeded)]).await.expect("an answer");
    live.until("the younger job", |rows| with(rows, Status::Succeeded) == [2, 3]).await;
    live.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_transition_is_history() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let clock = Arc::new(ManualClock::at(START));
    let live = Live::start(folder.path(), clock.clone(), 1);
    live.submit([live.new_job(1, Some((0.0, Hang)))]).await;
    let request = |action| ActionRequest { id: id(1), action, by: [7; 16], reason: None };
    live.jobs
        .commit(Vec::new(), vec![request(Action::Pause)], Vec::new(), Vec::new())
        .await
        .expect("done");
    live.until("the pause", |rows| with(rows, Status::Waiting) == [1]).await;
    live.jobs
        .commit(Vec::new(), vec![request(Action::Delete)], Vec::new(), Vec::new())
        .await
        .expect("done");
    let statuses: Vec<_> = history(&live, id(1)).into_iter().map(|row| (row.0, row.1)).collect();
    let s = |status: Status| Value::Int32(status.statuscode());
    use Status::{InProgress, Pausing, Waiting, WaitingForResources};
    let expected = [
        (Value::Null, s(WaitingForResources)),
        (s(WaitingForResources), s(InProgress)),
        (s(InProgress), s(Pausing)),
        (s(Pausing), s(Waiting)),
        (s(Waiting), Value::Null),
    ];
    assert_eq!(statuses, expected);
    live.stop().await;
    // It has its own end.
    clock.set(START + 31 * 86_400 * SECOND);
    let live = Live::start(folder.path(), clock.clone(), 1);
    live.submit([live.new_job(2, None)]).await;
    assert_eq!(history(&live, id(1)), []);
    assert_eq!(history(&live, id(2)).len(), 1);
    live.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_definition_in_trouble_is_still_so_after_a_restart() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let clock = Arc::new(ManualClock::at(START));
    let live = Live::start(folder.path(), clock.clone(), 1);
    let of = |number| {
        let mut cells = live.new_job(number, Some((1.0, Fail)));
        cells.push((live.columns.owningextensionid, Value::Guid([99; 16])));
        cells
    };
    live.submit((1..=8).map(of)).await;
    for n in 1..=5 {
        clock.set(START + n * SECOND);
        live.until("a failure", |rows| with(rows, Status::Failed).len() == n as usize).await;
    }
    let postponed = |r: &crate::driver::Rows| with(r, Status::Waiting) == [6, 7, 8];
    live.until("the postponement", postponed).await;
    let late = of(9);
    live.stop().await;
    let live = Live::start(folder.path(), clock.clone(), 1);
    live.submit([late]).await;
    let rows = live.until("the new one", |r| with(r, Status::Waiting) == [6, 7, 8, 9]).await;
    assert!(rows[&id(9)].started.is_none());
    live.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deactivated_workflow_is_noticed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let clock = Arc::new(ManualClock::at(START));
    let live = Live::start(folder.path(), clock.clone(), 1);
    let table = live.store.catalog().table_index("workflow").expect("a table");
    let facts = live.store.catalog().tables()[table].clone();
    let column = |name: &str| facts.column_index(name).expect("a column");
    let workflow = [99; 16];
    let values = vec![
        (column("workflowid"), Value::Guid(workflow)),
        (column("statecode"), Value::Int32(1)),
        (column("asyncautodelete"), Value::Boolean(true)),
    ];
    live.store.commit(vec![Change::Insert { table, values }]).await.expect("durable");
    let of = |number| {
        let mut cells = live.new_job(number, Some((1.0, Succeed)));
        cells.push((live.columns.owningextensionid, Value::Guid(workflow)));
        cells
    };
    live.submit((1..=3).map(of)).await;
    clock.set(START + SECOND);
    live.until("the end of the first", |rows| rows.len() == 2).await;
    let values = vec![(column("statecode"), Value::Int32(0))];
    live.store.commit(vec![Change::Update { table, id: workflow, values }]).await.expect("durable");
    clock.set(START + 2 * SECOND);
    let rows = live.until("the end of all", |rows| with(rows, Status::Canceled) == [3]).await;
    assert_eq!(rows.len(), 1, "the running one ended and was deleted");
    live.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_fails_stops_the_scheduler_and_everybody_is_told() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let live = Live::start(folder.path(), Arc::new(ManualClock::at(START)), 1);
    live.submit([live.new_job(1, Some((0.0, Hang)))]).await;
    // Somebody takes the row away behind the scheduler's back.
    let gone = Change::Delete { table: live.columns.table, id: id(1) };
    live.store.commit(vec![gone]).await.expect("durable");
    let request = ActionRequest { id: id(1), action: Action::Cancel, by: [7; 16], reason: None };
    let first = live.jobs.act(vec![request]).await.expect_err("it cannot be written");
    assert_eq!(first.kind, ErrorKind::Closed);
    let then = live.jobs.submit(vec![live.new_job(2, None)]).await.expect_err("it has stopped");
    let said = then.to_string();
    assert!(said.contains("has stopped: ") && said.contains("Does Not Exist"), "{said}");
    assert!(live.task.await.expect("no panic").is_err());
}
