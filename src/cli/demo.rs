//! `sysjob demo`: a real trace. Its earlier part is history that ends now; its
//! later part arrives live, faster than it once did.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::config::ConfigOptions;
use super::diagnose::text;
use super::import::StoreSink;
use super::replay::speed;
use super::serve::{Listen, Running, Sockets, stop_signal};
use super::{CatalogFiles, Timezone, runtime};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::diagnose::{Local, findings};
use crate::engine::Engine;
use crate::error::{Error, Result, codes};
use crate::import::trace::{self, Arrival, Trace};
use crate::job::handler::{SimulatedOutcome, Simulation};
use crate::job::{Handler, JobColumns};
use crate::messages;
use crate::scheduler::{self, Policies};
use crate::store::{Change, Store};
use crate::value::{Guid, Value};

#[derive(Args)]
pub struct Demo {
    /// Keep the data in this folder and go on there next time
    #[arg(long, env = "SYSJOB_DATA_DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    catalog: CatalogFiles,
    #[command(flatten)]
    listen: Listen,
    #[command(flatten)]
    timezone: Timezone,
    #[command(flatten)]
    config: ConfigOptions,
    /// How many times faster than once the live part runs, such as 60x
    #[arg(long, env = "SYSJOB_SPEED", default_value = "60x", value_parser = speed)]
    speed: f64,
}

/// The share of the trace's submissions that is history.
const HISTORY: f64 = 0.8;

/// The cluster of the trace ran up to 20,664 tasks at once.
const CAPACITY: usize = 24_000;

/// Arrivals that one commit takes at most.
const ARRIVALS_MAX: usize = 4096;

impl Demo {
    pub fn run(self) -> Result<ExitCode> {
        let temporary = match &self.data_dir {
            Some(_) => None,
            None => Some(tempfile::tempdir().map_err(|e| {
                Error::data(format!("no temporary folder can be made: {e}")).caused_by(e)
            })?),
        };
        let folder = match (&self.data_dir, &temporary) {
            (Some(folder), _) => folder.clone(),
            (None, Some(folder)) => folder.path().to_owned(),
            (None, None) => return Err(Error::internal("the demo has no folder")),
        };
        let config = self.config.load(defaults())?;
        runtime()?.block_on(async {
            let mut sockets = Sockets::bind(&self.listen).await?;
            let store = Arc::new(Store::open(&folder, self.catalog.load()?)?);
            messages::register(&store)?;
            sockets.secure(&self.listen, &folder)?;
            let (loading, speed) = (store.clone(), self.speed);
            let trace = tokio::task::spawn_blocking(move || load(&loading, speed))
                .await
                .map_err(|e| Error::internal("loading the trace failed").caused_by(e))??;
            let mut running =
                Running::start(store.clone(), sockets, Some(config), self.timezone.zone())?;
            let stopped = stop_signal()?;
            println!("ready");
            let scheduler = running.service.scheduler.clone();
            let feeder =
                scheduler.map(|handle| tokio::spawn(feed(trace, store.clone(), handle, speed)));
            diagnosis(&running).await?;
            commands(&running);
            drop(store);
            let outcome = tokio::select! {
                ended = stopped => ended,
                ended = running.failed() => ended,
            };
            if let Some(feeder) = feeder {
                feeder.abort();
            }
            println!("stopping");
            running.stop().await?;
            outcome.map(|()| ExitCode::SUCCESS)
        })
    }
}

/// As many jobs at once as the trace had, and no wait at the end for its simulations.
fn defaults() -> Config {
    let policies = Policies::with_concurrency(CAPACITY);
    Config { policies, grace: Duration::ZERO, ..Config::default() }
}

/// The time of the trace at which history ends.
fn cut(trace: &Trace) -> i64 {
    let (first, last) = trace.span().unwrap_or_default();
    first + ((last - first) as f64 * HISTORY) as i64
}

/// Loads the trace's earlier part, unless an earlier demo did.
fn load(store: &Store, speed: f64) -> Result<Trace> {
    println!("reading the bundled trace (Google cluster data 2011, CC BY 4.0)");
    let trace = trace::read_bundled()?;
    let columns = JobColumns::of(store.catalog());
    let rows = store.snapshot().rows(columns.table);
    if rows > 0 {
        println!("going on with {rows} jobs");
        return Ok(trace);
    }
    let (cut, now) = (cut(&trace), SystemClock.now());
    println!("loading its earlier part as history that ends now");
    let mut sink = StoreSink(store);
    for part in trace.history(store.catalog(), now - cut, Some(cut), &mut sink)? {
        let table = &store.catalog().tables()[part.table];
        println!("  {:>7} rows of {}", part.rows, table.logical_name);
    }
    // Jobs cut off in the middle go on with what is known of their end.
    let mut changes = Vec::new();
    for arrival in trace.unfinished(store.catalog(), cut) {
        if let Some(id) = id_of(&arrival, &columns) {
            let data = Value::Text(handler(&arrival, speed).to_json());
            changes.push(Change::Update {
                table: columns.table,
                id,
                values: vec![(columns.handler, data)],
            });
        }
    }
    println!("  {:>7} of the jobs have not ended yet", changes.len());
    store.commit_blocking(changes)?;
    Ok(trace)
}

fn id_of(arrival: &Arrival, columns: &JobColumns) -> Option<Guid> {
    arrival.values.iter().find_map(|(column, value)| match value {
        Value::Guid(id) if *column == columns.asyncoperationid => Some(*id),
        _ => None,
    })
}

/// What becomes of a job, `speed` times faster.
fn handler(arrival: &Arrival, speed: f64) -> Handler {
    let (outcome, errorcode, message) = match &arrival.outcome {
        trace::Outcome::Succeeded => (SimulatedOutcome::Succeed, None, None),
        // The trace has its own further attempts.
        trace::Outcome::Failed { message, .. } => {
            (SimulatedOutcome::Fail, Some(codes::PLUGIN_FAILED as i32), Some(message.clone()))
        }
        trace::Outcome::Canceled => (SimulatedOutcome::Cancel, None, None),
        trace::Outcome::Endless => (SimulatedOutcome::Hang, None, None),
    };
    let duration_ms = arrival.duration_us.unwrap_or(0) as f64 / 1000.0 / speed;
    let simulation = Simulation::new(duration_ms, outcome);
    Handler::simulate(Simulation { errorcode, message, ..simulation })
}

/// Submits the later part of the trace as time goes by. Jobs that an earlier
/// demo submitted are left out.
async fn feed(
    trace: Trace,
    store: Arc<Store>,
    scheduler: scheduler::Handle,
    speed: f64,
) -> Result<()> {
    let columns = JobColumns::of(store.catalog());
    let files = store.catalog().table_index("fileattachment");
    let known = |arrival: &Arrival| {
        id_of(arrival, &columns).is_some_and(|id| store.contains(columns.table, &id))
    };
    let mut arrivals = trace.arrivals(store.catalog(), cut(&trace)).skip_while(known).peekable();
    let Some(first) = arrivals.peek().map(|arrival| arrival.at) else { return Ok(()) };
    let start = SystemClock.now();
    let due = |at: i64| start + ((at - first) as f64 / speed) as i64;
    while let Some(next) = arrivals.peek() {
        let wait = due(next.at) - SystemClock.now();
        if wait > 0 {
            tokio::time::sleep(Duration::from_micros(wait as u64)).await;
        }
        let now = SystemClock.now();
        let (mut jobs, mut attachments) = (Vec::new(), Vec::new());
        while let Some(arrival) =
            arrivals.next_if(|a| due(a.at) <= now && jobs.len() < ARRIVALS_MAX)
        {
            let at = due(arrival.at);
            let by = at - arrival.at;
            let data = Value::Text(handler(&arrival, speed).to_json());
            let mut arrival = arrival.shifted(by);
            arrival.values.retain(|(column, _)| *column != columns.handler);
            arrival.values.push((columns.handler, data));
            jobs.push(arrival.values);
            if let (Some(table), Some(values)) = (files, arrival.file) {
                attachments.push(Change::Insert { table, values });
            }
        }
        if !attachments.is_empty() {
            store.commit(attachments).await?;
        }
        scheduler.submit(jobs).await?;
    }
    Ok(())
}

async fn diagnosis(running: &Running) -> Result<()> {
    let snapshot = running.service.store.snapshot();
    let runtime = tokio::runtime::Handle::current();
    let report = tokio::task::spawn_blocking(move || {
        let local = Local { engine: &Engine::new(), snapshot, runtime };
        let found = findings(&local, None)?;
        text(&local, &found, None)
    });
    let report =
        report.await.map_err(|e| Error::internal("the diagnosis failed").caused_by(e))??;
    println!("{report}");
    Ok(())
}

fn commands(running: &Running) {
    let (url, pg) = (&running.url, running.pg);
    println!(
        r#"The later part of the trace arrives now. Three commands to try while it runs:

psql -h {host} -p {port} -d sysjob -c "SELECT statecodename, statuscodename, COUNT(*) AS jobs FROM asyncoperation GROUP BY statecodename, statuscodename ORDER BY jobs DESC"

curl -sG {url}/api/data/v9.2/asyncoperations -H 'Prefer: odata.include-annotations="*"' --data-urlencode "fetchXml=<fetch top='3'><entity name='asyncoperation'><attribute name='name'/><attribute name='statuscode'/><attribute name='ownerid'/><order attribute='createdon' descending='true'/></entity></fetch>"

curl -sG {url}/api/data/v9.2/asyncoperations --data-urlencode '$apply=groupby((statecode,statuscode,operationtype),aggregate($count as count))'

Ctrl-C stops the demo."#,
        host = pg.ip(),
        port = pg.port(),
    );
}
