//! The live scheduler over a store in a temporary folder. Under a
//! [`ManualClock`] nothing ends or wakes until the test says so; the tests wait
//! for what the rows show, never for time.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sysjob::catalog::Catalog;
use sysjob::clock::{Clock, ManualClock, SystemClock};
use sysjob::error::Result;
use sysjob::job::handler::SimulatedOutcome::{self, Cancel, Fail, Hang, Succeed};
use sysjob::job::handler::Simulation;
use sysjob::job::{Handler, JobColumns, Status};
use sysjob::scheduler::{Handle, NewJob, Policies, Scheduler};
use sysjob::store::Store;
use sysjob::value::{Guid, Value};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub const START: i64 = 1_700_000_000_000_000;

/// A running scheduler and its store.
pub struct Live {
    pub store: Arc<Store>,
    pub columns: JobColumns,
    pub jobs: Handle,
    pub stop: watch::Sender<bool>,
    pub task: JoinHandle<Result<()>>,
}

/// The cells of a job's row that the tests look at.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    pub status: i32,
    pub state: i32,
    pub sequence: i64,
    pub started: Option<i64>,
    pub completed: Option<i64>,
    pub retries: i32,
    pub executed: Option<f64>,
    pub error: Option<i32>,
    pub has_host: bool,
}

pub type Rows = BTreeMap<Guid, Shown>;

impl Live {
    pub fn start(folder: &Path, clock: Arc<dyn Clock>, capacity: usize) -> Self {
        let catalog = Arc::new(Catalog::built_in());
        let columns = JobColumns::of(&catalog);
        let store = Arc::new(Store::open(folder, catalog).expect("the folder opens"));
        let (scheduler, jobs) =
            Scheduler::new(store.clone(), clock, Policies::with_concurrency(capacity));
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(scheduler.run(stopped));
        Self { store, columns, jobs, stop, task }
    }

    pub async fn submit(&self, jobs: impl IntoIterator<Item = NewJob>) {
        self.jobs.submit(jobs.into_iter().collect()).await.expect("the jobs are taken");
    }

    pub fn new_job(&self, number: u8, handler: Option<(f64, SimulatedOutcome)>) -> NewJob {
        let c = &self.columns;
        let mut cells = vec![(c.asyncoperationid, Value::Guid(id(number)))];
        if let Some((duration_ms, outcome)) = handler {
            let (errorcode, message) = (Some(-7), Some("as told".into()));
            let simulation =
                Simulation { errorcode, message, ..Simulation::new(duration_ms, outcome) };
            cells.push((c.handler, Value::Text(Handler::simulate(simulation).to_json())));
        }
        cells
    }

    pub fn rows(&self) -> Rows {
        let snapshot = self.store.snapshot();
        let table = snapshot.table(self.columns.table);
        let schema = table.table().schema();
        let mut rows = Rows::new();
        for chunk in table.chunks() {
            for row in (0..chunk.rows()).filter(|r| chunk.alive().is_none_or(|a| a.value(*r))) {
                let (id, shown) = shown(|c| chunk.value(row, c, schema), &self.columns);
                rows.insert(id, shown);
            }
        }
        rows
    }

    /// The rows as soon as they are as wanted.
    pub async fn until(&self, what: &str, wanted: impl Fn(&Rows) -> bool) -> Rows {
        let begin = Instant::now();
        loop {
            let rows = self.rows();
            if wanted(&rows) {
                return rows;
            }
            assert!(!self.task.is_finished(), "the scheduler stopped while waiting for {what}");
            assert!(begin.elapsed() < Duration::from_secs(30), "no {what}: {rows:#?}");
            tokio::task::yield_now().await;
        }
    }

    pub async fn stop(self) {
        self.stop.send(true).expect("it listens");
        self.task.await.expect("no panic").expect("an orderly end");
    }
}

fn shown(cell: impl Fn(usize) -> Value, c: &JobColumns) -> (Guid, Shown) {
    let int = |column| match cell(column) {
        Value::Int32(v) => Some(v),
        _ => None,
    };
    let time = |column| match cell(column) {
        Value::Time(v) => Some(v),
        _ => None,
    };
    let (Value::Guid(id), Value::Int64(sequence)) = (cell(c.asyncoperationid), cell(c.sequence))
    else {
        panic!("a job has a key and a number")
    };
    let shown = Shown {
        status: int(c.statuscode).expect("a job has a status"),
        state: int(c.statecode).expect("a job has a state"),
        sequence,
        started: time(c.startedon),
        completed: time(c.completedon),
        retries: int(c.retrycount).expect("retries are counted"),
        executed: match cell(c.executiontimespan) {
            Value::Float64(v) => Some(v),
            _ => None,
        },
        error: int(c.errorcode),
        has_host: cell(c.hostid) != Value::Null,
    };
    (id, shown)
}

pub fn id(number: u8) -> Guid {
    [number; 16]
}

/// The numbers of the jobs with a status.
pub fn with(rows: &Rows, status: Status) -> Vec<u8> {
    let has = |shown: &Shown| shown.status == status.statuscode();
    rows.iter().filter(|(_, shown)| has(shown)).map(|(id, _)| id[0]).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_run_in_order_within_capacity_and_end_as_told() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let clock = Arc::new(ManualClock::at(START));
    let live = Live::start(folder.path(), clock.clone(), 2);
    let outcomes = [Some(Succeed), Some(Fail), None, Some(Cancel), Some(Succeed)];
    let jobs = outcomes.into_iter().zip(1..);
    live.submit(jobs.map(|(outcome, n)| live.new_job(n, outcome.map(|o| (3.0, o))))).await;

    // What is acknowledged is there, in order, and the first two have started.
    let rows = live.rows();
    assert_eq!(with(&rows, Status::InProgress), [1, 2]);
    assert_eq!(with(&rows, Status::WaitingForResources), [3, 4, 5]);
    assert_eq!(rows.values().map(|shown| shown.sequence).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);

    clock.set(START + 3_000);
    let rows = live.until("the next two", |r| with(r, Status::InProgress) == [4, 5]).await;
    let ended = |status: Status, sequence, error| Shown {
        status: status.statuscode(),
        state: status.statecode(),
        sequence,
        started: Some(START),
        completed: Some(START + 3_000),
        retries: 0,
        executed: Some(0.003),
        error,
        has_host: false,
    };
    assert_eq!(rows[&id(1)], ended(Status::Succeeded, 1, None));
    assert_eq!(rows[&id(2)], ended(Status::Failed, 2, Some(-7)));
    assert!(rows[&id(4)].has_host, "{rows:#?}");
    assert_eq!(rows[&id(4)].started, Some(START + 3_000));

    clock.set(START + 6_000);
    let rows = live.until("the ends", |r| with(r, Status::InProgress).is_empty()).await;
    assert_eq!(with(&rows, Status::Succeeded), [1, 5]);
    assert_eq!(with(&rows, Status::Canceled), [4]);
    assert_eq!(with(&rows, Status::WaitingForResources), [3], "no handler, no start");
    live.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postponed_job_starts_at_its_time_and_not_before() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let clock = Arc::new(ManualClock::at(START));
    let live = Live::start(folder.path(), clock.clone(), 4);
    let c = live.columns;
    let in_status = |number, status: Status| {
        let mut job = live.new_job(number, Some((1.0, Succeed)));
        job.push((c.statecode, Value::Int32(status.statecode())));
        job.push((c.statuscode, Value::Int32(status.statuscode())));
        job
    };
    let until = (c.postponeuntil, Value::Time(START + 5_000));
    let mut ready = in_status(1, Status::WaitingForResources);
    ready.push(until.clone());
    let mut waiting = in_status(2, Status::Waiting);
    waiting.push(until);
    let parked = in_status(3, Status::Waiting);
    // Ends one microsecond too early: when that shows, a round has seen the time.
    let early = live.new_job(4, Some((4.999, Succeed)));
    live.submit([ready, waiting, parked, early]).await;

    clock.set(START + 4_999);
    let rows = live.until("the early end", |r| with(r, Status::Succeeded) == [4]).await;
    assert_eq!(with(&rows, Status::InProgress), [0_u8; 0]);
    assert_eq!(with(&rows, Status::Waiting), [2, 3]);

    clock.set(START + 5_000);
    let rows = live.until("the starts", |r| with(r, Status::InProgress) == [1, 2]).await;
    assert_eq!(rows[&id(2)].started, Some(START + 5_000));
    assert_eq!(rows[&id(2)].retries, 0, "a wait is no retry");

    clock.set(START + 6_000);
    let rows = live.until("the ends", |r| with(r, Status::Succeeded) == [1, 2, 4]).await;
    assert_eq!(with(&rows, Status::Waiting), [3], "nobody resumed it");
    live.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_takes_up_what_was_left() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let clock = Arc::new(ManualClock::at(START));
    let live = Live::start(folder.path(), clock.clone(), 2);
    let (brief, endless) = (Some((2.0, Succeed)), Some((0.0, Hang)));
    let jobs = [(1, brief), (2, endless), (3, brief), (4, None)];
    live.submit(jobs.map(|(number, handler)| live.new_job(number, handler))).await;
    clock.set(START + 2_000);
    live.until("the second round", |r| with(r, Status::InProgress) == [2, 3]).await;
    live.stop().await;

    clock.set(START + 10_000);
    let live = Live::start(folder.path(), clock.clone(), 2);
    let again = |rows: &Rows| [2, 3].iter().all(|n| rows[&id(*n)].started == Some(START + 10_000));
    let rows = live.until("the new attempts", again).await;
    assert_eq!(with(&rows, Status::InProgress), [2, 3]);
    let retries: Vec<i32> = rows.values().map(|shown| shown.retries).collect();
    assert_eq!(retries, [0; 4], "an orderly stop is no retry: {rows:#?}");
    assert_eq!(with(&rows, Status::Succeeded), [1], "what ended stays ended");
    assert_eq!(with(&rows, Status::WaitingForResources), [4]);

    live.submit([live.new_job(5, None)]).await;
    assert_eq!(live.rows()[&id(5)].sequence, 5, "numbers go on");
    clock.set(START + 12_000);
    live.until("the end of the second attempt", |r| with(r, Status::Succeeded) == [1, 3]).await;
    live.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_snapshot_shows_more_jobs_at_once_than_there_is_room() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capacity = 7;
    let live = Live::start(folder.path(), Arc::new(SystemClock), capacity);
    let outcomes = [Succeed, Fail, Cancel];
    let job = |n: u8| {
        let duration_ms = f64::from(n % 5) * 0.5;
        live.new_job(n, Some((duration_ms, outcomes[usize::from(n % 3)])))
    };
    for first in (0..200).step_by(25) {
        live.submit((first..first + 25).map(job)).await;
    }
    let all_ended = |rows: &Rows| {
        let running = with(rows, Status::InProgress);
        assert!(running.len() <= capacity, "{running:?} run at once");
        rows.values().filter(|shown| shown.completed.is_some()).count() == 200
    };
    let rows = live.until("the end of all", all_ended).await;
    for (status, rest) in [(Status::Succeeded, 0), (Status::Failed, 1), (Status::Canceled, 2)] {
        let expected: Vec<u8> = (0..200).filter(|n| n % 3 == rest).collect();
        assert_eq!(with(&rows, status), expected, "{status:?}");
    }
    // The jobs' numbers rise as they were sent.
    let starts: Vec<Option<i64>> = rows.values().map(|shown| shown.started).collect();
    assert!(starts.is_sorted(), "jobs start in the order of their sequence");
    live.stop().await;
}
