//! sysjob and PostgreSQL 15 side by side: the same rows, the same driver, in turn,
//! in one run. `cargo bench --bench peers` prints medians and ratios.
//!
//! PostgreSQL gets a data folder of its own on a scratch disk and its stock
//! configuration with 2 GB of shared buffers; its table has a primary key and an
//! index on `createdon`, and is vacuumed and analyzed.

#[path = "../support/mod.rs"]
mod support;

mod measure;
mod postgres;
mod sql;
mod sysjob;

use std::sync::Arc;

use ::sysjob::catalog::Catalog;
use ::sysjob::store::Store;

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("jobs");
    {
        let store = Store::open(&data, Arc::new(Catalog::built_in())).expect("a new store");
        support::fill(&store);
    }
    let sysjob = sysjob::Server::start(&data);
    let Some(postgres) = postgres::Server::start(folder.path()) else {
        println!("skipped: PostgreSQL's initdb and postgres are not installed");
        return;
    };
    runtime.block_on(async {
        postgres.load(&sysjob).await;
        sql::run(&sysjob, &postgres).await;
    });
}
