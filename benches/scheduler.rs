//! Ten thousand jobs from submission to their end, every transition durable:
//! three row changes a job (created, started, ended).

use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use sysjob::catalog::Catalog;
use sysjob::clock::SystemClock;
use sysjob::job::handler::{SimulatedOutcome, Simulation};
use sysjob::job::{Handler, JobColumns, Status};
use sysjob::scheduler::{Policies, Scheduler};
use sysjob::store::Store;
use sysjob::value::Value;

const JOBS: usize = 10_000;
const CAPACITY: usize = 1000;
const SUBMITTED_AT_ONCE: usize = 500;

async fn run_all(store: Arc<Store>) {
    let c = JobColumns::of(store.catalog());
    let (scheduler, handle) =
        Scheduler::new(store.clone(), Arc::new(SystemClock), Policies::with_concurrency(CAPACITY));
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let running = tokio::spawn(scheduler.run(stopped));
    let simulation = Simulation::new(0.0, SimulatedOutcome::Succeed);
    let data = Handler::simulate(simulation).to_json();
    for _ in 0..JOBS / SUBMITTED_AT_ONCE {
        let job = vec![(c.handler, Value::Text(data.clone()))];
        handle.submit(vec![job; SUBMITTED_AT_ONCE]).await.expect("durable");
    }
    while ended(&store, &c) < JOBS {
        tokio::task::yield_now().await;
    }
    stop.send(true).expect("the scheduler listens");
    running.await.expect("it ends").expect("well");
}

fn ended(store: &Store, c: &JobColumns) -> usize {
    let snapshot = store.snapshot();
    let table = snapshot.table(c.table);
    let schema = table.table().schema();
    let done = Value::Int32(Status::Succeeded.statuscode());
    let of = |chunk: &sysjob::store::Chunk| {
        (0..chunk.rows()).filter(|row| chunk.value(*row, c.statuscode, schema) == done).count()
    };
    table.chunks().iter().map(|chunk| of(chunk)).sum()
}

fn transitions(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let mut group = c.benchmark_group("scheduler");
    group.sample_size(10).throughput(Throughput::Elements(3 * JOBS as u64));
    group.bench_function("durable transitions", |bencher| {
        bencher.iter_batched(
            || {
                let folder = tempfile::tempdir().expect("a temporary folder");
                let catalog = Arc::new(Catalog::built_in());
                let store = Store::open(folder.path(), catalog).expect("a new store");
                (folder, Arc::new(store))
            },
            |(folder, store)| {
                runtime.block_on(run_all(store));
                folder
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, transitions);
criterion_main!(benches);
