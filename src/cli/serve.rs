//! `sysjob serve`: store, scheduler and listeners, started and stopped in order.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;
use clap::Args;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};

use super::config::ConfigOptions;
use super::limits::LimitOptions;
use super::security::{Auth, Tls, guarded};
use super::{CatalogFiles, Timezone, runtime};
use crate::catalog::Attachment;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::credentials::Credentials;
use crate::engine::{Engine, QueryLimits};
use crate::error::{Error, ErrorKind, Result, codes};
use crate::handlers::Handlers;
use crate::scheduler::Scheduler;
use crate::service::{Service, Settings};
use crate::store::Store;
use crate::tls::Endpoint;
use crate::{http, messages, pgwire};

#[derive(Args)]
pub struct Serve {
    /// The data folder; made if it is missing
    #[arg(long, env = "SYSJOB_DATA_DIR", default_value = "sysjob-data")]
    data_dir: PathBuf,
    #[command(flatten)]
    catalog: CatalogFiles,
    /// A Parquet file, or a folder of them, as a read-only table for SQL; may be repeated
    #[arg(long, env = "SYSJOB_ATTACH", value_name = "NAME=PATH", value_delimiter = ',')]
    attach: Vec<Attachment>,
    #[command(flatten)]
    listen: Listen,
    #[command(flatten)]
    timezone: Timezone,
    /// Serve the jobs as they are and run none
    #[arg(long, env = "SYSJOB_NO_SCHEDULER")]
    no_scheduler: bool,
    /// Memory for columns of sealed chunks: bytes, as 512MiB, or a share of the machine's, as 50%
    #[arg(long, env = "SYSJOB_MEMORY_BUDGET", value_name = "SIZE", default_value = "50%", value_parser = super::memory::budget)]
    memory_budget: usize,
    #[command(flatten)]
    config: ConfigOptions,
}

/// Where to listen; port 0 is any free port.
#[derive(Args, Clone)]
pub struct Listen {
    /// Address of the Web API
    #[arg(long, env = "SYSJOB_HTTP", default_value = "127.0.0.1:8080")]
    pub http: SocketAddr,
    /// Address for SQL clients
    #[arg(long, env = "SYSJOB_PG", default_value = "127.0.0.1:5433")]
    pub pg: SocketAddr,
    #[command(flatten)]
    pub tls: Tls,
    #[command(flatten)]
    pub auth: Auth,
    #[command(flatten)]
    pub limits: LimitOptions,
}

impl Serve {
    pub fn run(self) -> Result<ExitCode> {
        let config = self.config.load(Config::default())?;
        let runtime = runtime()?;
        let outcome = runtime.block_on(async {
            let mut sockets = Sockets::bind(&self.listen).await?;
            let catalog = self.catalog.attaching(&self.attach)?;
            let store = Store::open_within(&self.data_dir, catalog, self.memory_budget)?;
            let store = Arc::new(store);
            messages::register(&store)?;
            sockets.secure(&self.listen, &self.data_dir)?;
            let config = (!self.no_scheduler).then_some(config);
            let mut running = Running::start(store, sockets, config, self.timezone.zone())?;
            // Whoever reads `ready` may ask for the end at once.
            let stopped = stop_signal()?;
            println!("ready");
            let outcome = tokio::select! {
                ended = stopped => ended,
                ended = running.failed() => ended,
            };
            running.stop().await?;
            outcome.map(|()| ExitCode::SUCCESS)
        });
        // A query whose client has given it up may still be planned.
        runtime.shutdown_background();
        outcome
    }
}

/// Bound listeners. They are bound before the store is opened, so that a port
/// in use is told before a long start.
pub struct Sockets {
    http: Endpoint,
    pg: Endpoint,
    credentials: Option<Arc<Credentials>>,
    settings: Settings,
    queries: QueryLimits,
}

impl Sockets {
    pub async fn bind(listen: &Listen) -> Result<Self> {
        let credentials = listen.auth.credentials()?;
        guarded("http", listen.http, credentials.is_some())?;
        guarded("pg", listen.pg, credentials.is_some())?;
        let http = bind("http", listen.http).await?.into();
        let pg = bind("pg", listen.pg).await?.into();
        let (settings, queries) = (listen.limits.settings(), listen.limits.queries());
        Ok(Self { http, pg, credentials, settings, queries })
    }

    /// Puts TLS on both, if the options say so.
    pub fn secure(&mut self, listen: &Listen, data_dir: &Path) -> Result<()> {
        let open = [listen.http, listen.pg].iter().any(|a| !a.ip().is_loopback());
        if let Some(files) = listen.tls.certificate(data_dir, &[listen.http, listen.pg])? {
            self.http.tls = Some(files.server("http/1.1")?);
            self.pg.tls = Some(files.server("postgresql")?);
        } else if open {
            eprintln!("warning: tokens and rows travel unencrypted; --tls auto encrypts them");
        }
        Ok(())
    }
}

async fn bind(name: &str, address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|e| {
        Error::new(
            ErrorKind::Conflict,
            codes::UNEXPECTED,
            format!("cannot listen on {name} {address}: {e}"),
        )
        .caused_by(e)
    })
}

/// A running service.
pub struct Running {
    pub service: Arc<Service>,
    /// Where the Web API is, with its scheme.
    pub url: String,
    pub pg: SocketAddr,
    /// Ends the listeners, and after them the scheduler.
    stop: watch::Sender<bool>,
    stop_scheduler: watch::Sender<bool>,
    /// How long running jobs may take to end then.
    grace: Duration,
    listeners: Vec<Part>,
    scheduler: Vec<Part>,
    /// Why the scheduler has ended before the rest.
    unwritable: Option<Error>,
}

type Part = JoinHandle<Result<()>>;

impl Running {
    /// Starts everything and prints a line for each listener. Without a configuration
    /// the scheduler stays off.
    pub fn start(
        store: Arc<Store>,
        sockets: Sockets,
        config: Option<Config>,
        timezone: Tz,
    ) -> Result<Self> {
        let failed = |e: std::io::Error| Error::internal("a listener has no address").caused_by(e);
        let http_address = sockets.http.listener.local_addr().map_err(failed)?;
        let pg_address = sockets.pg.listener.local_addr().map_err(failed)?;
        let scheme = if sockets.http.tls.is_some() { "https" } else { "http" };
        let (stop, stopped) = watch::channel(false);
        let (stop_scheduler, scheduler_stopped) = watch::channel(false);
        let (mut listeners, mut parts) = (Vec::new(), Vec::new());
        let grace = config.as_ref().map_or(Duration::ZERO, |config| config.grace);
        let (work, handle) = config
            .map(|config| {
                let Config { policies, handlers, .. } = config;
                let (scheduler, handle) =
                    Scheduler::new(store.clone(), Arc::new(SystemClock), policies);
                ((scheduler, handlers), handle)
            })
            .unzip();
        let service = Arc::new(Service {
            scheduler: handle,
            credentials: sockets.credentials,
            settings: Settings { timezone, ..sockets.settings },
            engine: Arc::new(Engine::limited(sockets.queries)?),
            ..Service::new(store)
        });
        if let Some((scheduler, settings)) = work {
            let handlers = Arc::new(Handlers::new(service.clone(), settings)?);
            let running = scheduler.with_runner(handlers.clone()).start(scheduler_stopped);
            parts.push(tokio::spawn(running));
            // The scheduler answers once it has taken up the jobs of earlier runs.
            tokio::spawn(async move {
                if let Err(error) = handlers.register().await {
                    eprintln!("sysjob: the platform's recurring jobs were not made: {error}");
                }
            });
        }
        let serving = http::serve(sockets.http, service.clone(), when(stopped.clone()));
        listeners.push(tokio::spawn(async move { serving.await.map_err(listener_failed) }));
        let serving = pgwire::serve(sockets.pg, service.clone(), when(stopped));
        listeners.push(tokio::spawn(async move { serving.await.map_err(listener_failed) }));
        println!("listening {scheme} {http_address}");
        println!("listening pg {pg_address}");
        let url = format!("{scheme}://{http_address}");
        let (pg, scheduler) = (pg_address, parts);
        let unwritable = None;
        Ok(Self { service, url, pg, stop, stop_scheduler, grace, listeners, scheduler, unwritable })
    }

    /// Waits for a part to fail; none ends by itself otherwise. When only the disk has
    /// failed, questions are still answered.
    pub async fn failed(&mut self) -> Result<()> {
        loop {
            let parts = self.listeners.iter_mut().chain(self.scheduler.iter_mut());
            let (ended, index, _) = futures::future::select_all(parts).await;
            let Some(index) = index.checked_sub(self.listeners.len()) else {
                drop(self.listeners.remove(index));
                return part_ended(ended);
            };
            drop(self.scheduler.remove(index));
            match part_ended(ended) {
                Err(e) if e.kind == ErrorKind::Closed => {
                    eprintln!("sysjob: no job runs any more: {e}");
                    self.unwritable = Some(e);
                }
                outcome => return outcome,
            }
        }
    }

    /// Stops taking requests, finishes those under way and the jobs that end in time,
    /// and closes the store.
    pub async fn stop(self) -> Result<()> {
        // Parts that have ended no longer listen, and a scheduler that has ended has
        // nothing under way.
        let _ = self.stop.send(true);
        let drained = async {
            if let Some(scheduler) = &self.service.scheduler {
                let _ = scheduler.drain(self.grace).await;
            }
        };
        let closed = futures::future::join_all(self.listeners);
        let (closed, ()) = futures::join!(closed, drained);
        let _ = self.stop_scheduler.send(true);
        let ended = futures::future::join_all(self.scheduler).await;
        closed.into_iter().chain(ended).try_for_each(part_ended)?;
        self.unwritable.map_or(Ok(()), Err)
    }
}

fn part_ended(ended: Result<Result<()>, JoinError>) -> Result<()> {
    ended.map_err(|e| Error::internal("a part of the service ended").caused_by(e))?
}

fn listener_failed(e: std::io::Error) -> Error {
    Error::internal(format!("a listener failed: {e}")).caused_by(e)
}

async fn when(mut stopped: watch::Receiver<bool>) {
    // The sender lives as long as the service; its end is a stop as well.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Ends with Ctrl-C or SIGTERM. Signals count from this call on, not only from
/// when it is waited for.
pub fn stop_signal() -> Result<impl Future<Output = Result<()>>> {
    use tokio::signal::unix::{SignalKind, signal};
    let failed = |e: std::io::Error| Error::internal("signals cannot be received").caused_by(e);
    let mut term = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    Ok(async move {
        tokio::select! {
            _ = term.recv() => Ok(()),
            _ = interrupt.recv() => Ok(()),
        }
    })
}
