//! The eight documented diagnostics over one million jobs, in each dialect: from
//! the text to the last batch, and from the text to the logical plan alone.

mod support;

use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use sysjob::ask;
use sysjob::catalog::Catalog;
use sysjob::diagnose::DOCUMENTED;
use sysjob::dialect::Dialect;
use sysjob::engine::Engine;
use sysjob::query::Context;
use sysjob::store::{Snapshot, Store};

fn diagnostics(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(folder.path(), Arc::new(Catalog::built_in())).expect("a new store");
    support::fill(&store);
    let snapshot: Arc<Snapshot> = store.snapshot();
    let engine = Engine::new();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    for question in &DOCUMENTED {
        let mut group = c.benchmark_group(question.name);
        group.sample_size(20);
        let texts = [
            ("sql", Dialect::Sql, Some(question.sql)),
            ("fetchxml", Dialect::FetchXml, question.fetchxml),
            ("odata", Dialect::OData, question.odata),
        ];
        for (name, dialect, text) in texts {
            let Some(text) = text else { continue };
            group.bench_function(name, |bencher| {
                bencher.to_async(&runtime).iter(|| async {
                    let plan =
                        ask::plan(&engine, &snapshot, Some(dialect), text, Context::default());
                    engine.collect(plan.expect("a plan")).await.expect("an answer")
                });
            });
            group.bench_function(format!("{name}, plan only"), |bencher| {
                bencher.iter(|| {
                    let context = Context::default();
                    ask::plan(&engine, &snapshot, Some(dialect), text, context).expect("a plan")
                });
            });
        }
        group.finish();
    }
    c.bench_function("snapshot of all tables", |bencher| bencher.iter(|| store.snapshot()));
}

criterion_group!(benches, diagnostics);
criterion_main!(benches);
