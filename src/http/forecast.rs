//! `GET /sysjob/forecast`: when the jobs that wait now will have run.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use tokio::runtime::Handle;

use super::error::Failure;
use crate::diagnose::{Local, PoolSize, forecast};
use crate::error::{Error, Result};
use crate::scheduler::core::{PoolState, Pools};
use crate::service::Service;
use crate::value::time_text;

pub async fn answer(State(service): State<Arc<Service>>) -> Result<Response, Failure> {
    // Without a scheduler nothing drains, and nobody has said how many places there are.
    let Some(scheduler) = &service.scheduler else {
        let message = "there is no forecast where no scheduler runs";
        return Err(Error::unsupported(message).into());
    };
    let Pools { pools, concurrency } = scheduler.pools().await?;
    let size = |PoolState { name, operationtypes, concurrency, running }| PoolSize {
        name,
        operationtypes,
        concurrency,
        running,
    };
    let pools: Vec<PoolSize> = pools.into_iter().map(size).collect();
    let snapshot = service.store.snapshot();
    let generated = time_text(service.clock.now());
    let runtime = Handle::current();
    let said = tokio::task::spawn_blocking(move || {
        let local = Local { engine: &service.engine, snapshot, runtime };
        forecast(&local, &pools, concurrency, &generated, None)
    });
    let said =
        said.await.map_err(|e| Error::internal("the forecast ended early").caused_by(e))??;
    Ok(Json(said).into_response())
}
