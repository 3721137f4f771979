//! Durable jobs a second from creation over start to end, each of the three
//! acknowledged after it is on disk: sysjob's scheduler, asked inside the process,
//! against a queue in PostgreSQL.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ::sysjob::catalog::Catalog;
use ::sysjob::clock::SystemClock;
use ::sysjob::diagnose::DOCUMENTED;
use ::sysjob::job::{Handler, JobColumns, Outcome, Report};
use ::sysjob::pgwire;
use ::sysjob::scheduler::{Claim, Ended, Handle, NewJob, Policies, Scheduler};
use ::sysjob::service::Service;
use ::sysjob::store::Store;
use ::sysjob::value::Value;
use tokio::sync::watch;

use super::measure::percentile;
use super::wire::Wire;
use super::{postgres, queue_http};

pub const MEASURED: Duration = Duration::from_secs(5);
const READERS: usize = 16;

/// Jobs a second at which workers should hardly have to wait: half of what is aimed at.
const HALF_OF_GOAL: f64 = 25_000.0;

/// Clients, and the jobs that each has in flight at once.
const LOADS: [(usize, usize); 5] = [(1, 1), (100, 1), (10_000, 1), (8, 100), (100, 100)];
const PEER_LOADS: [(usize, usize); 3] = [(1, 1), (8, 1), (8, 100)];

/// Runs all loads on both.
pub async fn run(folder: &Path) {
    let ours = Ours::start(&folder.join("queue")).await;
    let mut most = 0.0_f64;
    for (clients, batch) in LOADS {
        let rate = ours.rate(clients, batch).await;
        most = most.max(rate);
        println!("sysjob, {clients} clients with {batch} jobs at once: {rate:.0} jobs/s");
    }
    for rate in [HALF_OF_GOAL, most / 2.0] {
        ours.latency(rate).await;
    }
    let (clients, batch) = LOADS[LOADS.len() - 1];
    let alone = ours.rate(clients, batch).await;
    let readers = ours.read().await;
    let read = ours.rate(clients, batch).await;
    let answers = readers.stop().await;
    println!(
        "sysjob, {READERS} clients that ask the diagnostics in a loop: {read:.0} jobs/s instead of \
         {alone:.0}, {:.0} %; they got {answers:.0} answers/s",
        100.0 * read / alone
    );
    ours.stop().await;
    match postgres::Server::start(folder).await {
        Some(postgres) => against(&postgres, most).await,
        None => println!("skipped: PostgreSQL's initdb and postgres are not installed"),
    }
    queue_http::run(&folder.join("http")).await;
}

/// PostgreSQL's rates, and by how much ours is higher.
async fn against(postgres: &postgres::Server, ours: f64) {
    postgres.wire.connect().await.batch_execute(TABLE).await.expect("created");
    let mut one_at_a_time = 0.0_f64;
    for (clients, batch) in PEER_LOADS {
        let rate = theirs(&postgres.wire, clients, batch).await;
        if batch == 1 {
            one_at_a_time = one_at_a_time.max(rate);
        }
        println!("PostgreSQL, {clients} clients with {batch} jobs at once: {rate:.0} jobs/s");
    }
    println!("sysjob at most {:.1} times PostgreSQL one at a time", ours / one_at_a_time);
}

/// sysjob's scheduler over a folder of its own.
struct Ours {
    store: Arc<Store>,
    handle: Handle,
    job: NewJob,
    stop: watch::Sender<bool>,
    running: tokio::task::JoinHandle<::sysjob::error::Result<()>>,
}

impl Ours {
    async fn start(folder: &Path) -> Self {
        let store = Store::open(folder, Arc::new(Catalog::built_in())).expect("a new store");
        let store = Arc::new(store);
        let c = JobColumns::of(store.catalog());
        let policies = Policies::with_concurrency(20_000);
        let (scheduler, handle) = Scheduler::new(store.clone(), Arc::new(SystemClock), policies);
        let (stop, stopped) = watch::channel(false);
        let running = tokio::spawn(scheduler.start(stopped));
        let name = store.catalog().tables()[c.table].column_index("name").expect("a column");
        let job = vec![
            (name, Value::Text("A job of the bench".into())),
            (c.operationtype, Value::Int32(10)),
            (c.handler, Value::Text(Handler::Worker {}.to_json())),
        ];
        Self { store, handle, job, stop, running }
    }

    fn claim(&self, max: usize) -> Claim {
        let (lease, wait) = (Duration::from_secs(60), Duration::from_millis(500));
        Claim { worker: Arc::from("bench"), operationtypes: None, max, lease, wait }
    }

    /// Clients that create, start and end jobs for a while.
    async fn rate(&self, clients: usize, batch: usize) -> f64 {
        let done = Arc::new(AtomicU64::new(0));
        let start = Instant::now();
        let working = (0..clients).map(|_| {
            let (handle, done, claim) = (self.handle.clone(), done.clone(), self.claim(batch));
            let jobs = vec![self.job.clone(); batch];
            tokio::spawn(async move {
                while start.elapsed() < MEASURED {
                    handle.submit(jobs.clone()).await.expect("durable");
                    let mut left = batch;
                    while left > 0 && start.elapsed() < MEASURED {
                        let count = work(&handle, Claim { max: left, ..claim.clone() }).await.len();
                        left -= count;
                        done.fetch_add(count as u64, Ordering::Relaxed);
                    }
                }
            })
        });
        for client in working.collect::<Vec<_>>() {
            client.await.expect("it ends");
        }
        let rate = done.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64();
        self.drain().await;
        rate
    }

    /// Ends the jobs that were left.
    async fn drain(&self) {
        while !work(&self.handle, self.claim(1000)).await.is_empty() {}
    }

    /// How long it takes from the call that creates a job to the answer that gives it
    /// to a worker, when so many jobs come a second.
    async fn latency(&self, rate: f64) {
        const EVERY: Duration = Duration::from_millis(2);
        let batch = (rate * EVERY.as_secs_f64()).round().max(1.0) as usize;
        let start = Instant::now();
        let workers: Vec<_> = (0..64)
            .map(|_| {
                let (handle, claim) = (self.handle.clone(), self.claim(100));
                tokio::spawn(async move {
                    let mut claimed = Vec::new();
                    while start.elapsed() < MEASURED + Duration::from_millis(200) {
                        claimed.extend(work(&handle, claim.clone()).await);
                    }
                    claimed
                })
            })
            .collect();
        let mut submitting = Vec::new();
        let mut clock = tokio::time::interval(EVERY);
        while start.elapsed() < MEASURED {
            clock.tick().await;
            let (handle, jobs) = (self.handle.clone(), vec![self.job.clone(); batch]);
            submitting.push(tokio::spawn(async move {
                let asked = Instant::now();
                let jobs = handle.submit(jobs).await.expect("durable");
                jobs.into_iter().map(|job| (job.id, asked)).collect::<Vec<_>>()
            }));
        }
        let mut asked = HashMap::new();
        for submitted in submitting {
            asked.extend(submitted.await.expect("it ends"));
        }
        let mut waits = Vec::new();
        for worker in workers {
            let claimed = worker.await.expect("it ends");
            waits.extend(claimed.iter().filter_map(|(id, at)| Some(*at - *asked.get(id)?)));
        }
        println!(
            "sysjob, {:.0} jobs/s: from creating a job to its start, median {:.1?}, p99 {:.1?}",
            asked.len() as f64 / MEASURED.as_secs_f64(),
            percentile(&waits, 0.5),
            percentile(&waits, 0.99)
        );
        self.drain().await;
    }

    /// Clients that ask the documented questions over the wire, in a loop.
    async fn read(&self) -> Readers {
        let (stop, stopped) = std::sync::mpsc::channel();
        let service = Arc::new(Service::new(self.store.clone()));
        let (ready, port) = tokio::sync::oneshot::channel();
        // Queries have their own threads, as in a service.
        let serving = std::thread::spawn(move || {
            let runtime = ::sysjob::cli::runtime().expect("a runtime");
            runtime.spawn(async move {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
                let port = listener.local_addr().expect("bound").port();
                ready.send(port).expect("somebody waits");
                pgwire::serve(listener, service, std::future::pending()).await
            });
            // Its end is the sign.
            let _ = stopped.recv();
            runtime.shutdown_background();
        });
        let port = port.await.expect("it listens");
        let wire = Wire { config: format!("host=127.0.0.1 port={port} user=bench dbname=sysjob") };
        let answers = Arc::new(AtomicU64::new(0));
        let asking = (0..READERS)
            .map(|_| {
                let (wire, answers) = (wire.clone(), answers.clone());
                tokio::spawn(async move {
                    let client = wire.connect().await;
                    for question in DOCUMENTED.iter().cycle() {
                        client.simple_query(question.sql).await.expect("answered");
                        answers.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        Readers { asking, answers, start: Instant::now(), stop, serving }
    }

    async fn stop(self) {
        self.stop.send(true).expect("the scheduler listens");
        self.running.await.expect("it ends").expect("well");
    }
}

/// Claims jobs and ends them; which, and when they were given out.
async fn work(handle: &Handle, claim: Claim) -> Vec<(::sysjob::value::Guid, Instant)> {
    let claimed = handle.claim(claim).await.expect("durable");
    let at = Instant::now();
    let ends = claimed.iter().map(|job| Ended {
        id: job.id,
        attempt: job.attempt,
        report: Report::of(Outcome::Succeeded),
    });
    for ended in handle.complete(ends.collect()).await.expect("durable") {
        ended.expect("the current attempt");
    }
    claimed.iter().map(|job| (job.id, at)).collect()
}

/// Clients that read.
struct Readers {
    asking: Vec<tokio::task::JoinHandle<()>>,
    answers: Arc<AtomicU64>,
    start: Instant,
    stop: std::sync::mpsc::Sender<()>,
    serving: std::thread::JoinHandle<()>,
}

impl Readers {
    /// Answers a second.
    async fn stop(self) -> f64 {
        let rate = self.answers.load(Ordering::Relaxed) as f64 / self.start.elapsed().as_secs_f64();
        self.asking.iter().for_each(tokio::task::JoinHandle::abort);
        drop(self.stop);
        tokio::task::spawn_blocking(|| self.serving.join()).await.expect("it ends").expect("well");
        rate
    }
}

const TABLE: &str = "CREATE TABLE queue (id bigserial PRIMARY KEY, \
     createdon timestamptz NOT NULL DEFAULT now(), startedon timestamptz, \
     completedon timestamptz, state int NOT NULL DEFAULT 0, name text, operationtype int, \
     handler text); \
     CREATE INDEX ON queue (createdon, id) WHERE state = 0";

/// The same in PostgreSQL: each statement is a transaction of its own.
async fn theirs(wire: &Wire, clients: usize, batch: usize) -> f64 {
    let done = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let working = (0..clients).map(|_| {
        let (wire, done) = (wire.clone(), done.clone());
        tokio::spawn(async move {
            let client = wire.connect().await;
            let create = client
                .prepare(
                    "INSERT INTO queue (name, operationtype, handler) \
                     SELECT 'A job of the bench', 10, '{\"worker\":{}}' \
                     FROM generate_series(1, $1::int)",
                )
                .await
                .expect("prepared");
            let claim = client
                .prepare(
                    "UPDATE queue SET state = 2, startedon = now() WHERE id IN \
                     (SELECT id FROM queue WHERE state = 0 ORDER BY createdon, id \
                      LIMIT $1::int FOR UPDATE SKIP LOCKED) RETURNING id",
                )
                .await
                .expect("prepared");
            let complete = client
                .prepare("UPDATE queue SET state = 3, completedon = now() WHERE id = ANY($1)")
                .await
                .expect("prepared");
            let max = i32::try_from(batch).expect("small");
            while start.elapsed() < MEASURED {
                client.execute(&create, &[&max]).await.expect("durable");
                let rows = client.query(&claim, &[&max]).await.expect("durable");
                let ids: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
                client.execute(&complete, &[&ids]).await.expect("durable");
                done.fetch_add(ids.len() as u64, Ordering::Relaxed);
            }
        })
    });
    for client in working.collect::<Vec<_>>() {
        client.await.expect("it ends");
    }
    done.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64()
}
