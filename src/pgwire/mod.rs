//! SQL over the PostgreSQL wire protocol: database `sysjob`, the T-SQL of
//! Dataverse, read-only.
//!
//! A request is split into statements (`scan`), each is routed (`route`) to the
//! session, to PostgreSQL's catalogs (`metadata`) or to the T-SQL dialect and
//! the engine (`planner`), and the batches become rows (`encode`).

mod arrays;
mod cell;
mod command;
mod copy;
mod copy_out;
mod cursor;
mod encode;
mod error;
mod explain;
mod functions;
mod handler;
mod information_schema;
mod interrupt;
mod list_cell;
mod lists;
mod metadata;
mod outer;
mod params;
mod pg_catalog;
mod planner;
mod prepared;
mod protocol;
mod rewrite;
mod route;
mod scan;
mod scroll;
mod send;
mod session;
mod session_functions;
mod settings;
mod shared;
mod startup;
#[cfg(test)]
mod tests;
mod text;
mod texts;
mod view;

use std::future::Future;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, Sink, SinkExt, StreamExt};
use pgwire::api::cancel::{CancelHandler, DefaultCancelHandler};
use pgwire::api::{ClientInfo, ConnectionManager, NoopHandler, PgWireConnectionState};
use pgwire::error::{ErrorInfo, PgWireError};
use pgwire::messages::response::TransactionStatus;
use pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use pgwire::tokio::TlsAcceptor;
use pgwire::tokio::server::{negotiate_tls, process_error, process_message};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use self::error::{as_fatal, fatal, state};
use self::handler::Handler;
use self::planner::Planner;
use self::session::Session;
use self::startup::{Door, Startup};
use crate::service::Service;
use crate::tls::Endpoint;

/// How long a client may take to say who it is.
const STARTUP_LIMIT: Duration = Duration::from_secs(60);
/// Connections beyond the limit that are told so; others are closed at once.
const REFUSALS_MAX: usize = 64;
/// What is sent at once, if there is that much to send.
const WRITE_SIZE: usize = 64 * 1024;
/// How long running queries may go on after the service was asked to stop.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// Serves connections until `shutdown`; queries that run then are finished.
pub async fn serve(
    endpoint: impl Into<Endpoint>,
    service: Arc<Service>,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let Endpoint { listener, tls } = endpoint.into();
    let planner = Arc::new(Planner::new(service.clone()).map_err(io::Error::other)?);
    let manager = Arc::new(ConnectionManager::new());
    let server = Arc::new(Server {
        door: Arc::new(Door::new(manager.clone(), planner.sessions.clone(), &service)),
        handler: Arc::new(Handler::new(planner)),
        cancel: Arc::new(DefaultCancelHandler::new(manager)),
        tls: tls.map(TlsAcceptor::from),
    });
    let places = Arc::new(Semaphore::new(service.settings.limits.connections));
    let refusals = Arc::new(Semaphore::new(REFUSALS_MAX));
    let (stop, stopping) = watch::channel(false);
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => {
                    let (place, surplus) = match places.clone().try_acquire_owned() {
                        Ok(place) => (Ok(place), false),
                        Err(_) => (refusals.clone().try_acquire_owned(), true),
                    };
                    let Ok(place) = place else { continue };
                    let startup = Startup::new(server.door.clone(), surplus);
                    let served = connection(socket, server.clone(), startup, stopping.clone());
                    connections.spawn(async move {
                        let _place = place;
                        served.await
                    });
                }
                // Out of file descriptors, mostly: others will be given back.
                Err(_) => sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    stop.send_replace(true);
    let finished = async { while connections.join_next().await.is_some() {} };
    // What is still running then is cut off when the set is dropped.
    let _ = timeout(STOP_LIMIT, finished).await;
    Ok(())
}

/// What all connections share.
struct Server {
    door: Arc<Door>,
    handler: Arc<Handler>,
    cancel: Arc<DefaultCancelHandler>,
    tls: Option<TlsAcceptor>,
}

/// Waits until the service stops; the guard that waiting gives must not be held.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// How long the client may be silent, and what it is told then.
fn patience<C: ClientInfo>(client: &C) -> Option<(Duration, &'static str, &'static str)> {
    let session = Session::of(client).ok()?;
    let idle = client.transaction_status() == TransactionStatus::Idle;
    let limit = session.settings.lock().idle_timeout(!idle)?;
    Some(match idle {
        true => (limit, state::IDLE_SESSION, "terminating connection due to idle-session timeout"),
        false => {
            let message = "terminating connection due to idle-in-transaction timeout";
            (limit, state::IDLE_IN_TRANSACTION, message)
        }
    })
}

async fn elapsed(limit: Option<Duration>) {
    match limit {
        Some(limit) => sleep(limit).await,
        None => std::future::pending().await,
    }
}

/// Says why the connection ends, and ends it.
async fn farewell<S>(socket: &mut S, reason: PgWireError) -> io::Result<()>
where
    S: Sink<PgWireBackendMessage, Error = io::Error> + Unpin,
{
    let reason = ErrorInfo::from(reason);
    socket.send(PgWireBackendMessage::ErrorResponse(reason.into())).await?;
    socket.close().await
}

/// One client from its first message to its last. An I/O error means that the
/// client is gone, and there is nobody to tell.
async fn connection(
    socket: TcpStream,
    server: Arc<Server>,
    startup: Startup,
    mut stopping: watch::Receiver<bool>,
) -> io::Result<()> {
    let limit = sleep(STARTUP_LIMIT);
    tokio::pin!(limit);
    let socket = tokio::select! {
        socket = negotiate_tls(socket, server.tls.clone()) => socket?,
        () = &mut limit => return Ok(()),
        () = stopped(&mut stopping) => return Ok(()),
    };
    // A client that speaks TLS without asking first gets no answer it could read.
    let Some(mut socket) = socket else { return Ok(()) };
    socket.set_backpressure_boundary(WRITE_SIZE);
    let startup = Arc::new(startup);
    loop {
        let starting = matches!(
            socket.state(),
            PgWireConnectionState::AwaitingStartup
                | PgWireConnectionState::AuthenticationInProgress
        );
        let patience = patience(&socket);
        // The library's decoder panics where a message is shorter than its counts say.
        let message = tokio::select! {
            message = AssertUnwindSafe(socket.next()).catch_unwind() => message,
            () = &mut limit, if starting => return Ok(()),
            () = elapsed(patience.as_ref().map(|p| p.0)) => {
                let reason = patience.map_or(("", ""), |p| (p.1, p.2));
                return farewell(&mut socket, fatal(reason.0, reason.1)).await;
            }
            () = stopped(&mut stopping) => {
                let reason = "terminating connection: the service is stopping";
                return farewell(&mut socket, fatal(state::SHUTDOWN, reason)).await;
            }
        };
        let message = match message {
            Err(_) => {
                let reason = "invalid message format";
                return farewell(&mut socket, fatal(state::PROTOCOL_VIOLATION, reason)).await;
            }
            Ok(None | Some(Ok(PgWireFrontendMessage::Terminate(_)))) => return Ok(()),
            // Its client waits until this connection is closed.
            Ok(Some(Ok(PgWireFrontendMessage::CancelRequest(request)))) => {
                server.cancel.on_cancel_request(request).await;
                return socket.close().await;
            }
            Ok(Some(Ok(message))) => message,
            Ok(Some(Err(PgWireError::IoError(error)))) => return Err(error),
            Ok(Some(Err(error))) => return farewell(&mut socket, as_fatal(error)).await,
        };
        let extended = message.is_extended_query();
        let processed = process_message(
            message,
            &mut socket,
            startup.clone(),
            server.handler.clone(),
            server.handler.clone(),
            Arc::new(NoopHandler),
            server.cancel.clone(),
        );
        if let Err(error) = processed.await {
            let error = ErrorInfo::from(error);
            let ends = error.is_fatal();
            let error = PgWireError::UserError(Box::new(error));
            // What the client has sent on the heels of a failed login is not for us.
            if ends {
                return farewell(&mut socket, error).await;
            }
            process_error(&mut socket, error, extended).await?;
        }
    }
}
