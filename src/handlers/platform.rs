//! The jobs of the platform itself, by operation type.

use super::job::JobRow;
use super::{Asked, Shared, failed, interruptible, retention, statistics};
use crate::error::Error;
use crate::job::{Outcome, Report};
use crate::{bulk_action, bulk_delete, duplicates};

pub async fn run(shared: &Shared, job: &JobRow, asked: &mut Asked) -> Report {
    let operationtype = job.int("operationtype");
    if operationtype == Some(retention::DELETION_SERVICE) {
        return retention::run(shared, job, asked).await;
    }
    if operationtype == Some(bulk_delete::OPERATION_TYPE) {
        let service = &shared.service;
        let body = job.data.as_deref().unwrap_or_default();
        let begins = job.time("startedon").unwrap_or_else(|| service.clock.now());
        let work = bulk_delete::perform(service, job.caller(), job.id, body, begins);
        return work.await.unwrap_or_else(|error| failed(&error));
    }
    if operationtype == Some(bulk_action::OPERATION_TYPE) {
        let data = job.data.as_deref().unwrap_or_default();
        let told = || *asked.borrow();
        let state = job.text("workflowstate");
        let work = bulk_action::perform(&shared.service, job.caller(), job.id, data, state, told);
        return work.await.unwrap_or_else(|error| failed(&error));
    }
    if operationtype == Some(duplicates::OPERATION_TYPE) {
        let body = job.data.as_deref().unwrap_or_default();
        let work = duplicates::perform(&shared.service, job.caller(), job.id, body);
        return interruptible(asked, async { work.await.unwrap_or_else(|error| failed(&error)) })
            .await;
    }
    let snapshot = shared.service.store.snapshot();
    let computed =
        tokio::task::spawn_blocking(move || statistics::statistic(operationtype?, &snapshot)).await;
    match computed {
        Ok(Some(text)) => Report { message: Some(text), ..Report::of(Outcome::Succeeded) },
        Ok(None) => {
            let code = operationtype.map_or("none".to_owned(), |code| code.to_string());
            let message = format!("the platform has no work for operation type {code}");
            failed(&Error::unsupported(message))
        }
        Err(e) => failed(&Error::internal("a statistic was not computed").caused_by(e)),
    }
}

/// Whether the platform has work for an operation type.
pub fn is_platform(operationtype: i32) -> bool {
    operationtype == retention::DELETION_SERVICE || statistics::is_computed(operationtype)
}
