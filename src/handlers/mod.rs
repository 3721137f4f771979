//! The work of attempts inside the service: webhooks, workflows, and the platform's
//! own jobs. The scheduler starts an attempt; here it runs as a task of its own, and
//! what it reports goes back to the scheduler.
//!
//! Parts: [`job`] a job's row, [`webhook`] what is posted and where to, [`workflow`]
//! the steps of workflows, [`platform`] the jobs of the platform, [`statistics`] what
//! they compute, [`retention`] the clean-up.

mod job;
mod platform;
mod retention;
mod statistics;
mod webhook;
mod workflow;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::AbortHandle;

pub use self::platform::is_platform;
pub use self::retention::Retention;

use self::job::JobRow;
use crate::error::{Error, Result, codes};
use crate::job::{Handler, Outcome, Report};
use crate::scheduler::core::Told;
use crate::scheduler::{Attempt, Ended, Runner};
use crate::service::Service;
use crate::value::Guid;
use crate::webhook::{Settings as WebhookSettings, Webhooks};

/// How the work of jobs is done.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub webhook: WebhookSettings,
    /// Without it completed jobs stay.
    pub retention: Option<Retention>,
}

/// Runs attempts. It lives as long as the scheduler that uses it.
pub struct Handlers {
    shared: Arc<Shared>,
    running: Arc<Mutex<HashMap<(Guid, i32), Running>>>,
}

struct Shared {
    service: Arc<Service>,
    webhooks: Webhooks,
    retention: Option<Retention>,
}

/// An attempt under way.
struct Running {
    told: watch::Sender<Option<Told>>,
    task: AbortHandle,
}

/// What an attempt has been asked for, as its work sees it.
pub type Asked = watch::Receiver<Option<Told>>;

impl Handlers {
    pub fn new(service: Arc<Service>, settings: Settings) -> Result<Self> {
        let webhooks = Webhooks::new(settings.webhook)?;
        let shared = Shared { service, webhooks, retention: settings.retention };
        Ok(Self { shared: Arc::new(shared), running: Arc::default() })
    }

    /// Makes the recurring jobs of the platform that are not there yet. One that has
    /// ended, or waits for longer than is set now, is made anew.
    pub async fn register(&self) -> Result<()> {
        let service = &self.shared.service;
        let (Some(retention), Some(scheduler)) = (&self.shared.retention, &service.scheduler)
        else {
            return Ok(());
        };
        let (store, now) = (&service.store, service.clock.now());
        if let Some(old) = retention::outdated(store, retention, now) {
            scheduler.act(vec![old]).await?;
        }
        scheduler.submit(vec![retention::job(store.catalog())]).await.map(|_| ())
    }
}

impl Runner for Handlers {
    fn start(&self, attempt: Attempt) {
        let (told, asked) = watch::channel(None);
        let key = (attempt.id, attempt.number);
        let (shared, running) = (self.shared.clone(), self.running.clone());
        // It must not end before it is known here.
        let mut known = self.running.lock();
        let work = tokio::spawn(async move { shared.work(&attempt, asked).await });
        known.insert(key, Running { told, task: work.abort_handle() });
        drop(known);
        let scheduler = self.shared.service.scheduler.clone();
        tokio::spawn(async move {
            let report = match work.await {
                Ok(report) => report,
                // Abandoned: nobody waits for a report.
                Err(ended) if ended.is_cancelled() => return,
                Err(_) => failed(&Error::internal("the work of the job has ended in a panic")),
            };
            running.lock().remove(&key);
            if let Some(scheduler) = scheduler {
                let (id, attempt) = key;
                // A scheduler that has stopped, or has given the attempt up, no longer
                // needs to know.
                let _ = scheduler.complete(vec![Ended { id, attempt, report }]).await;
            }
        });
    }

    fn tell(&self, id: Guid, attempt: i32, told: Told) {
        if let Some(running) = self.running.lock().get(&(id, attempt)) {
            running.told.send_replace(Some(told));
        }
    }

    fn abandon(&self, id: Guid, attempt: i32) {
        if let Some(running) = self.running.lock().remove(&(id, attempt)) {
            running.task.abort();
        }
    }
}

impl Shared {
    async fn work(&self, attempt: &Attempt, mut asked: Asked) -> Report {
        let Some(job) = JobRow::read(&self.service.store, attempt.id) else {
            return Report::of(Outcome::Canceled);
        };
        match &*attempt.handler {
            Handler::Webhook { url } => {
                let endpoint = crate::webhook::Endpoint::new(url);
                interruptible(&mut asked, self.post(&job, &endpoint)).await
            }
            Handler::Endpoint {} => match webhook::endpoint(&self.service.store, &job) {
                Ok(endpoint) => interruptible(&mut asked, self.post(&job, &endpoint)).await,
                Err(error) => failed(&error),
            },
            Handler::Workflow {} => workflow::run(self, &job, &mut asked).await,
            Handler::Platform {} => platform::run(self, &job, &mut asked).await,
            Handler::Simulate(_) | Handler::Worker {} => {
                let message = "this work is not done by the service";
                failed(&Error::invalid(codes::NO_WORKER, message))
            }
        }
    }
}

/// Work that may be dropped when somebody asks for its end.
async fn interruptible(asked: &mut Asked, work: impl Future<Output = Report>) -> Report {
    tokio::select! {
        report = work => report,
        told = asked_for(asked) => as_asked(told),
    }
}

/// Waits until somebody asks for the end of the attempt.
async fn asked_for(asked: &mut Asked) -> Told {
    match asked.wait_for(Option::is_some).await.map(|told| *told) {
        Ok(Some(told)) => told,
        // Nobody is left who could ask.
        _ => std::future::pending().await,
    }
}

fn as_asked(told: Told) -> Report {
    Report::of(match told {
        Told::Pause => Outcome::Suspended,
        Told::Cancel => Outcome::Canceled,
    })
}

fn failed(error: &Error) -> Report {
    Report::failed(Some(error.code.cast_signed()), Some(error.to_string()))
}
