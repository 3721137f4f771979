//! The diagnostics and six more questions over many jobs: sysjob while its table
//! changes, DuckDB and PostgreSQL over one that stands still, each in turn.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::sysjob::ask;
use ::sysjob::catalog::Catalog;
use ::sysjob::dialect::Dialect;
use ::sysjob::engine::{Engine, QueryLimits};
use ::sysjob::query::Context;
use ::sysjob::store::Store;

use super::dataset::Dataset;
use super::duckdb::DuckDb;
use super::measure::{Times, median, millis, percentile, ratio};
use super::questions::{self, Question};
use super::transitions::Transitions;
use super::{postgres, sysjob};

const REPEATS: usize = 21;
const REPEATS_HEAVY: usize = 5;
const CLIENTS: usize = 16;
const CROWD: Duration = Duration::from_secs(2);
/// Many clients do not ask what takes one of them longer.
const CROWD_MAX: Duration = Duration::from_millis(300);

struct Row {
    name: &'static str,
    medians: [Option<Duration>; 3],
    /// Median and p99 with many clients.
    crowds: [Option<(Duration, Duration)>; 3],
}

/// Loads all three and asks.
pub async fn run(folder: &Path, jobs: usize) {
    let start = Instant::now();
    let dataset = Dataset::write(folder, jobs);
    let (csv, parquet) = dataset.bytes();
    let megabytes = |bytes: u64| bytes / 1_000_000;
    println!(
        "{jobs} jobs written in {:.1?}: CSV {} MB, Parquet {} MB",
        start.elapsed(),
        megabytes(csv),
        megabytes(parquet)
    );
    let mut duckdb = DuckDb::start(folder);
    let data = imports(folder, &dataset, duckdb.as_mut());
    let postgres = postgres::Server::start(folder).await;
    match &postgres {
        Some(postgres) => println!("PostgreSQL COPY of CSV: {:.1?}", postgres.load(&dataset).await),
        None => println!("skipped: PostgreSQL's initdb and postgres are not installed"),
    }
    let empty = sysjob::Server::start(&folder.join("empty"), &[]).resident();
    let server = sysjob::Server::start(&data, &["--capacity", "1000"]);
    let first = server.wire.ask(&questions::all(jobs)[0].sysjob, 1).await.expect("an answer");
    println!(
        "sysjob from start to ready {:.0?}, its first diagnosis {:.1?}",
        server.started_in, first[0]
    );
    let each = |bytes: u64| bytes.saturating_sub(empty) as f64 / jobs as f64;
    let ready = server.resident();
    println!("sysjob resident {:.1} bytes a job when ready", each(ready));
    let load = Transitions::start(&server.http);
    if load.is_none() {
        println!("skipped: the service takes no jobs over HTTP, so its table stands still");
    }
    let mut rows = Vec::new();
    let (mut loaded, history) = (Duration::ZERO, "SELECT COUNT(*) FROM jobhistory");
    let before = server.wire.number(history).await;
    for question in questions::all(jobs) {
        if let Some(load) = &load {
            load.pause(false);
        }
        let asking = Instant::now();
        let repeats = if question.heavy { REPEATS_HEAVY } else { REPEATS };
        let ours = server.wire.ask(&question.sysjob, repeats).await;
        let our_crowd = server.wire.crowd(&question.sysjob, CLIENTS, CROWD).await;
        loaded += asking.elapsed();
        if let Some(load) = &load {
            load.pause(true);
        }
        let duck = duckdb.as_mut().map(|duckdb| {
            let times = duckdb.ask(&question.peers, repeats);
            (times, Some(duckdb.crowd(&question.peers, CLIENTS, CROWD)))
        });
        let postgres = match &postgres {
            Some(postgres) => {
                let repeats = if jobs > 1_000_000 { REPEATS_HEAVY } else { repeats };
                let times = postgres.wire.ask(&question.peers, repeats).await;
                let crowd = match &times {
                    Ok(times) if median(times) < CROWD_MAX => {
                        Some(postgres.wire.crowd(&question.peers, CLIENTS, CROWD).await)
                    }
                    _ => None,
                };
                Some((times, crowd))
            }
            None => None,
        };
        rows.push(row(&question, [Some((ours, Some(our_crowd))), duck, postgres]));
    }
    let transitions = server.wire.number(history).await - before;
    println!(
        "sysjob made {:.0} transitions a second while it was asked ({} jobs were sent)",
        transitions as f64 / loaded.as_secs_f64(),
        load.as_ref().map_or(0, Transitions::jobs)
    );
    println!("sysjob resident {:.1} bytes a job after all questions", each(server.resident()));
    drop(load);
    table(&rows);
    server.stop();
    inside(&data, jobs, &rows).await;
}

/// Imports into sysjob and DuckDB, and what it takes on disk; the folder that stays.
fn imports(
    folder: &Path,
    dataset: &Dataset,
    mut duckdb: Option<&mut DuckDb>,
) -> std::path::PathBuf {
    let mut data = folder.join("csv");
    for (kind, parquet) in [("CSV", false), ("Parquet", true)] {
        let target = folder.join(kind.to_lowercase());
        let files = [0, 1].map(|table| match parquet {
            true => dataset.parquet(table),
            false => dataset.csv(table),
        });
        let ours = sysjob::import(&target, &files);
        let theirs = duckdb.as_mut().map(|duckdb| duckdb.load(dataset, parquet));
        println!(
            "import of {kind}: sysjob {ours:.1?}, DuckDB {}; sysjob takes {} of DuckDB's time",
            theirs.map_or("-".into(), |time| format!("{time:.1?}")),
            ratio(theirs, Some(ours)),
        );
        if !parquet {
            let each = |bytes: u64| bytes as f64 / dataset.jobs as f64;
            let duck = duckdb.as_ref().and_then(|d| std::fs::metadata(&d.file).ok());
            println!(
                "bytes on disk a job: sysjob {:.1}, DuckDB {:.1}",
                each(sysjob::bytes_below(&target)),
                duck.map_or(f64::NAN, |file| each(file.len()))
            );
            continue;
        }
        std::fs::remove_dir_all(&data).expect("our own folder");
        data = target;
    }
    data
}

fn row(question: &Question, asked: [Option<(Times, Option<Times>)>; 3]) -> Row {
    let mut row = Row { name: question.name, medians: [None; 3], crowds: [None; 3] };
    for (peer, (asked, name)) in
        asked.into_iter().zip(["sysjob", "DuckDB", "PostgreSQL"]).enumerate()
    {
        let Some((times, crowd)) = asked else { continue };
        match (times, crowd.transpose()) {
            (Ok(times), Ok(crowd)) => {
                row.medians[peer] = Some(median(&times));
                row.crowds[peer] = crowd.map(|crowd| (median(&crowd), percentile(&crowd, 0.99)));
            }
            (Err(error), _) | (_, Err(error)) => println!("{}: {name}: {error}", question.name),
        }
    }
    row
}

fn table(rows: &[Row]) {
    println!(
        "\nmilliseconds: medians of one client, then median / p99 of {CLIENTS} clients\n\
         {:<28}{:>9}{:>9}{:>11}{:>8}{:>8}{:>20}{:>20}{:>20}",
        "", "sysjob", "DuckDB", "PostgreSQL", "x Duck", "x PG", "sysjob", "DuckDB", "PostgreSQL"
    );
    for row in rows {
        let [ours, duck, postgres] = row.medians;
        let crowd = |peer: usize| match row.crowds[peer] {
            Some((median, p99)) => format!("{} / {}", millis(Some(median)), millis(Some(p99))),
            None => "-".into(),
        };
        println!(
            "{:<28}{:>9}{:>9}{:>11}{:>8}{:>8}{:>20}{:>20}{:>20}",
            row.name,
            millis(ours),
            millis(duck),
            millis(postgres),
            ratio(ours, duck),
            ratio(ours, postgres),
            crowd(0),
            crowd(1),
            crowd(2)
        );
    }
}

/// What can only be measured inside the process: a snapshot, and the documented
/// questions without pre-aggregates.
async fn inside(data: &Path, jobs: usize, rows: &[Row]) {
    const SNAPSHOTS: u32 = 10_000;
    let store = Store::open(data, Arc::new(Catalog::built_in())).expect("the folder opens");
    let start = Instant::now();
    for _ in 0..SNAPSHOTS {
        std::hint::black_box(store.snapshot());
    }
    println!("\na snapshot of all tables: {:.2?}", start.elapsed() / SNAPSHOTS);
    println!("the documented questions without pre-aggregates, inside the process:");
    let engine = Engine::scanning(QueryLimits::default()).expect("no limits");
    let snapshot = store.snapshot();
    for (question, row) in questions::all(jobs).iter().zip(rows).take(8) {
        let mut times = Vec::new();
        for _ in 0..REPEATS_HEAVY {
            let start = Instant::now();
            let (text, context) = (&question.sysjob, Context::default());
            let plan = ask::plan(&engine, &snapshot, Some(Dialect::Sql), text, context);
            engine.collect(plan.expect("a plan")).await.expect("an answer");
            times.push(start.elapsed());
        }
        let ours = Some(median(&times));
        println!(
            "{:<28}{:>9} ms, {} times as fast as DuckDB",
            question.name,
            millis(ours),
            ratio(ours, row.medians[1])
        );
    }
}
