//! What it costs that text compares without case, accents and trailing spaces: a
//! filter, a group and a count of distinct names over a million jobs, and the same in
//! DataFusion alone, which compares bytes.

mod support;

use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use datafusion::arrow::array::{RecordBatch, StringViewArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use sysjob::ask;
use sysjob::catalog::Catalog;
use sysjob::dialect::Dialect;
use sysjob::engine::Engine;
use sysjob::query::Context;
use sysjob::store::{ROWS_MAX, Snapshot, Store};

const QUESTIONS: [(&str, &str); 4] = [
    ("filter", "SELECT COUNT(*) AS jobs FROM asyncoperation WHERE name = 'Definition 7'"),
    ("group", "SELECT name, COUNT(*) AS jobs FROM asyncoperation GROUP BY name"),
    ("distinct", "SELECT COUNT(DISTINCT name) AS names FROM asyncoperation"),
    ("order", "SELECT name FROM asyncoperation ORDER BY name LIMIT 10"),
];

/// The names of all jobs as a table of DataFusion's own.
fn bytewise(snapshot: &Snapshot) -> SessionContext {
    let table = snapshot.table_named("asyncoperation").expect("built in");
    let name = table.table().column_index("name").expect("a column");
    let schema = Arc::new(Schema::new(vec![Field::new("name", DataType::Utf8View, true)]));
    let batches = table.chunks().iter().map(|chunk| {
        let names = chunk.array(name, table.table().schema()).expect("in memory");
        let names = names.as_any().downcast_ref::<StringViewArray>().expect("text").clone();
        RecordBatch::try_new(schema.clone(), vec![Arc::new(names)]).expect("one column")
    });
    // Half of them for each of two threads, as the engine has it.
    let mut parts = [Vec::new(), Vec::new()];
    batches.enumerate().for_each(|(index, batch)| parts[index % 2].push(batch));
    let config = SessionConfig::new().with_batch_size(ROWS_MAX).with_target_partitions(2);
    let context = SessionContext::new_with_config(config);
    let table = MemTable::try_new(schema.clone(), parts.to_vec()).expect("one schema");
    context.register_table("asyncoperation", Arc::new(table)).expect("a new table");
    context
}

fn collation(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(folder.path(), Arc::new(Catalog::built_in())).expect("a new store");
    support::fill(&store);
    let snapshot = store.snapshot();
    let (engine, bytewise) = (Engine::new(), bytewise(&snapshot));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    for (name, text) in QUESTIONS {
        let mut group = c.benchmark_group(name);
        group.sample_size(20);
        group.bench_function("by collation", |bencher| {
            bencher.to_async(&runtime).iter(|| async {
                let (sql, context) = (Some(Dialect::Sql), Context::default());
                let plan = ask::plan(&engine, &snapshot, sql, text, context).expect("a plan");
                engine.collect(plan).await.expect("an answer")
            });
        });
        group.bench_function("by bytes", |bencher| {
            bencher.to_async(&runtime).iter(|| async {
                let frame = bytewise.sql(text).await.expect("a plan");
                frame.collect().await.expect("an answer")
            });
        });
        group.finish();
    }
}

criterion_group!(benches, collation);
criterion_main!(benches);
