//! sysjob, PostgreSQL 15 and DuckDB side by side, in turn, in one run. README.md has
//! the commands; each part prints medians and ratios.
//!
//! PostgreSQL gets a data folder of its own on the same disk and its stock
//! configuration with 2 GB of shared buffers; its tables have a primary key and an
//! index on `createdon`, and are vacuumed and analyzed. DuckDB is as it comes.

#[path = "../support/generator.rs"]
mod generator;

mod dataset;
mod diagnostics;
mod duckdb;
mod http;
mod measure;
mod postgres;
mod questions;
mod queue;
mod queue_http;
mod sql;
mod sysjob;
mod transitions;
mod wire;

const PARTS: [&str; 3] = ["sql", "queue", "diagnostics"];

fn main() {
    let mut part = None;
    let mut jobs = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            // cargo says so to every bench.
            "--bench" => {}
            "--jobs" => jobs = arguments.next().and_then(|count| count.parse().ok()),
            known if PARTS.contains(&known) => part = Some(argument),
            other => panic!("'{other}' is none of {PARTS:?} and --jobs N"),
        }
    }
    let Some(part) = part else {
        println!("one part at a time: {PARTS:?}");
        return;
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a temporary folder");
    runtime.block_on(async {
        match part.as_str() {
            "sql" => sql::run(folder.path(), jobs.unwrap_or(1_000_000)).await,
            "queue" => queue::run(folder.path()).await,
            _ => diagnostics::run(folder.path(), jobs.unwrap_or(10_000_000)).await,
        }
    });
    runtime.shutdown_background();
}
