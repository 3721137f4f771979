//! A change set: requests of which all are done or none.

use axum::http::{Method, Request};
use axum::response::IntoResponse;

use super::message::Message;
use super::reference::References;
use super::{Answered, Surroundings, malformed};
use crate::http::error::Failure;
use crate::http::request::Call;
use crate::http::write::{Staged, stage};
use crate::http::{admitted, body, versioned};
use crate::identity::Caller;
use crate::write::Transaction;

/// The answers of all its requests, or the one error that undid them.
pub type Outcome = Result<Vec<(Option<String>, Answered)>, (Option<String>, Box<Answered>)>;

/// Runs a change set.
pub async fn run(
    surroundings: &Surroundings,
    messages: Vec<Message>,
    references: &mut References,
) -> Outcome {
    if let Some(read) = messages.iter().find(|m| matches!(m.method, Method::GET | Method::HEAD)) {
        let error = malformed(format!("a change set holds no {} requests", read.method));
        return Err(failed(read.id.clone(), error.into()).await);
    }
    let mut answers = Vec::new();
    let mut messages = messages.into_iter();
    match (messages.next(), messages.next()) {
        (Some(only), None) => {
            let id = only.id.clone();
            let answered = surroundings.run(only, references).await;
            if answered.is_error() {
                return Err((id, Box::new(answered)));
            }
            answers.push((id, answered));
        }
        (Some(first), Some(second)) => {
            let all = [first, second].into_iter().chain(messages);
            return together(surroundings, all, references).await;
        }
        (None, _) => {}
    }
    Ok(answers)
}

/// Takes all requests into one transaction, and answers them when it is committed.
async fn together(
    surroundings: &Surroundings,
    messages: impl Iterator<Item = Message>,
    references: &mut References,
) -> Outcome {
    let service = &surroundings.service;
    let (scheduler, now) = (service.scheduler.as_ref(), service.clock.now());
    let mut transaction =
        Transaction::begin(&service.store, scheduler, Caller::default(), now).await;
    let mut done = Vec::new();
    for message in messages {
        let id = message.id.clone();
        match take(surroundings, message, references, &mut transaction).await {
            Ok((call, staged)) => {
                if let (Some(id), Some(address)) = (&id, staged.address(&call)) {
                    references.insert(id.clone(), address);
                }
                done.push((id, call, staged));
            }
            Err(failure) => return Err(failed(id, failure).await),
        }
    }
    if let Err(error) = transaction.commit().await {
        return Err(failed(None, error.into()).await);
    }
    let mut answers = Vec::new();
    for (id, call, staged) in done {
        let response = match staged.respond(service, &call).await {
            Ok(response) => response,
            // The row is written; it only cannot be shown as it was asked for.
            Err(failure) => failure.respond(&call.prefer.annotations),
        };
        answers.push((id, Answered::of(versioned(response)).await));
    }
    Ok(answers)
}

/// Takes one request into a transaction.
async fn take(
    surroundings: &Surroundings,
    message: Message,
    references: &References,
    transaction: &mut Transaction,
) -> Result<(Call, Staged), Failure> {
    let (parts, body) = surroundings.request(message, references)?.into_parts();
    let service = &surroundings.service;
    let (call, resource) = admitted(service, &parts)?;
    let catalog = service.store.catalog();
    transaction.act_as(call.caller);
    let headers = parts.headers.clone();
    let limit = service.settings.limits.body_bytes;
    let bytes = body::bytes(Request::from_parts(parts, body), limit).await?;
    let staged = stage(transaction, catalog, &call, &resource, &headers, &bytes)?;
    Ok((call, staged))
}

async fn failed(id: Option<String>, failure: Failure) -> (Option<String>, Box<Answered>) {
    (id, Box::new(Answered::of(failure.into_response()).await))
}
