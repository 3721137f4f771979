//! A change set: requests of which all are done or none.

use axum::http::Method;
use axum::response::IntoResponse;

use super::message::Message;
use super::reference::References;
use super::{Answered, Surroundings, malformed};
use crate::http::error::Failure;

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
        (Some(first), Some(_)) => {
            let message = "a change set of several requests is not offered";
            return Err(failed(first.id, Failure::not_implemented(message)).await);
        }
        (None, _) => {}
    }
    Ok(answers)
}

async fn failed(id: Option<String>, failure: Failure) -> (Option<String>, Box<Answered>) {
    (id, Box::new(Answered::of(failure.into_response()).await))
}
