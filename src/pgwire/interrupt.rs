//! What stops a statement before its end: a cancel request or a time limit.
//!
//! Planning and execution keep a processor busy without a pause, so both run
//! apart from the task of the connection, which stays free to listen.

use std::sync::Arc;
use std::time::Duration;

use datafusion::common::DataFusionError;
use datafusion::common::runtime::SpawnedTask;
use datafusion::execution::SendableRecordBatchStream;
use futures::channel::oneshot;
use futures::{StreamExt, stream};
use pgwire::api::{ClientInfo, ConnectionHandle};
use pgwire::error::PgWireResult;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::encode::Batches;
use super::error::{plain, state};

/// Runs to the end, or until it is canceled.
pub async fn cancelable<C, T, W>(client: &mut C, work: W) -> PgWireResult<T>
where
    C: ClientInfo,
    W: AsyncFnOnce(&mut C) -> PgWireResult<T>,
{
    let handle = client.session_extensions().get::<Arc<ConnectionHandle>>();
    let canceled = match handle {
        Some(handle) => Some(handle.start_query().await),
        None => None,
    };
    tokio::select! {
        result = work(client) => result,
        () = signal(canceled) => {
            Err(plain(state::CANCELED, "canceling statement due to user request"))
        }
    }
}

/// Runs to the end, or to the time limit.
pub async fn timed<T>(
    limit: Option<Duration>,
    work: impl Future<Output = PgWireResult<T>>,
) -> PgWireResult<T> {
    let Some(limit) = limit else { return work.await };
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
        Err(plain(state::CANCELED, "canceling statement due to statement timeout"))
    })
}

async fn signal(canceled: Option<oneshot::Receiver<()>>) {
    let received = match canceled {
        Some(canceled) => canceled.await.is_ok(),
        None => false,
    };
    // Without a sender nobody can cancel any more.
    if !received {
        std::future::pending().await
    }
}

/// Plans on a thread where it is in nobody's way. A statement that is stopped
/// meanwhile is not waited for; its plan is dropped when it is made.
pub async fn aside<T, F>(planning: impl FnOnce() -> F + Send + 'static) -> PgWireResult<T>
where
    T: Send + 'static,
    F: Future<Output = PgWireResult<T>>,
{
    let runtime = Handle::current();
    let planned = tokio::task::spawn_blocking(move || runtime.block_on(planning())).await;
    planned.unwrap_or_else(|error| Err(plain("XX000", format!("planning failed: {error}"))))
}

/// The batches of a stream that runs in a task of its own, at most one batch
/// ahead of whoever takes them. It ends with the stream that is returned.
pub fn apart(mut batches: SendableRecordBatchStream) -> Batches {
    let (sender, receiver) = mpsc::channel(1);
    let task = SpawnedTask::spawn(async move {
        while let Some(batch) = batches.next().await {
            if sender.send(batch).await.is_err() {
                break;
            }
        }
    });
    let next = |running: Option<(mpsc::Receiver<_>, SpawnedTask<()>)>| async move {
        let (mut receiver, task) = running?;
        match receiver.recv().await {
            Some(batch) => Some((batch, Some((receiver, task)))),
            None => match task.await {
                Ok(()) => None,
                Err(error) => Some((Err(DataFusionError::ExecutionJoin(Box::new(error))), None)),
            },
        }
    };
    stream::unfold(Some((receiver, task)), next).boxed()
}
