//! The eight documented diagnostics over one million jobs, in each dialect: from
//! the text to the last batch, and from the text to the logical plan alone; the
//! same from the rows, without pre-aggregates; and look-ups.

mod support;

use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use sysjob::ask;
use sysjob::catalog::Catalog;
use sysjob::diagnose::DOCUMENTED;
use sysjob::dialect::Dialect;
use sysjob::engine::{Engine, QueryLimits};
use sysjob::query::Context;
use sysjob::store::{Snapshot, Store};

/// Questions that need few rows of the table, or few hours.
const LOOKUPS: [(&str, &str); 7] = [
    ("no rows", "SELECT 1"),
    (
        "one job by id",
        "SELECT * FROM asyncoperation \
         WHERE asyncoperationid = '75e40f4c-7b2d-8d40-0000-00000007a120'",
    ),
    ("newest thousand jobs", "SELECT TOP 1000 * FROM asyncoperation ORDER BY createdon DESC"),
    (
        "failed in the last hour",
        "SELECT name, createdon FROM asyncoperation WHERE statuscode = 31 AND createdon >= \
         (SELECT DATEADD(hour, -1, MAX(createdon)) FROM asyncoperation)",
    ),
    (
        "created in a minute",
        "SELECT COUNT(*) FROM asyncoperation \
         WHERE createdon >= '2026-01-01T05:00:00' AND createdon < '2026-01-01T05:01:00'",
    ),
    (
        "count by day",
        "SELECT CAST(createdon AS date) AS day, COUNT(*) FROM asyncoperation \
         GROUP BY CAST(createdon AS date)",
    ),
    (
        "failure rate by extension",
        "SELECT owningextensionid, AVG(CASE WHEN statuscode = 31 THEN 1.0 ELSE 0 END) \
         FROM asyncoperation GROUP BY owningextensionid",
    ),
];

fn diagnostics(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(folder.path(), Arc::new(Catalog::built_in())).expect("a new store");
    support::fill(&store);
    let snapshot: Arc<Snapshot> = store.snapshot();
    let engine = Engine::new();
    let scanning = Engine::scanning(QueryLimits::default()).expect("no limits");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    let plan = |engine: &Engine, dialect, text| {
        ask::plan(engine, &snapshot, Some(dialect), text, Context::default()).expect("a plan")
    };
    let answer = async |engine: &Engine, dialect, text| {
        engine.collect(plan(engine, dialect, text)).await.expect("an answer")
    };
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
                bencher.to_async(&runtime).iter(|| answer(&engine, dialect, text));
            });
            group.bench_function(format!("{name}, plan only"), |bencher| {
                bencher.iter(|| plan(&engine, dialect, text));
            });
        }
        group.bench_function("rows", |bencher| {
            bencher.to_async(&runtime).iter(|| answer(&scanning, Dialect::Sql, question.sql));
        });
        group.finish();
    }
    let mut group = c.benchmark_group("look-ups");
    group.sample_size(20);
    for (name, text) in LOOKUPS {
        group.bench_function(name, |bencher| {
            bencher.to_async(&runtime).iter(|| answer(&engine, Dialect::Sql, text));
        });
        group.bench_function(format!("{name}, optimized only"), |bencher| {
            bencher.iter(|| {
                engine.optimized(plan(&engine, Dialect::Sql, text)).expect("an optimized plan")
            });
        });
    }
    group.finish();
    c.bench_function("snapshot of all tables", |bencher| bencher.iter(|| store.snapshot()));
}

criterion_group!(benches, diagnostics);
criterion_main!(benches);
