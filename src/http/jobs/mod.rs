//! Jobs without Dataverse: the calls below `/sysjob/` that submit, claim, end and
//! change jobs. JSON in and out, one object or an array; an array is one commit and
//! answered in its order.
//!
//! Parts: [`members`] reads the members of objects, [`submit`] new jobs with the
//! [`handler`] that each names, [`workers`] the calls of workers, [`actions`] what
//! is asked of jobs, [`why`] why one is where it is.

mod actions;
mod handler;
pub mod members;
mod submit;
pub mod why;
mod workers;

pub use self::actions::actions;
pub use self::submit::submit;
pub use self::workers::{claim, complete, heartbeat};

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value as Json};

use self::members::Members;
use super::body;
use super::error::Result;
use crate::service::Service;

/// What a call came with.
enum Body {
    One(Json),
    List(Vec<Json>),
}

impl Body {
    async fn read(service: &Service, request: Request) -> Result<Self> {
        let headers = request.headers().clone();
        let bytes = body::bytes(request, service.settings.limits.body_bytes).await?;
        Ok(match body::json(&headers, &bytes)? {
            Json::Array(list) => Self::List(list),
            one => Self::One(one),
        })
    }

    /// Reads every object; an error names the index of the one that is wrong, in
    /// the list that goes by `name`.
    fn objects<T>(
        &self,
        name: &str,
        mut read: impl FnMut(&Members) -> crate::error::Result<T>,
    ) -> crate::error::Result<Vec<T>> {
        match self {
            Self::One(json) => Ok(vec![read(&Members::of(json, "request body")?)?]),
            Self::List(list) => {
                let read = |(index, json)| {
                    Members::of(json, &format!("{name}[{index}]")).and_then(|m| read(&m))
                };
                list.iter().enumerate().map(read).collect()
            }
        }
    }

    /// The answers, in the form of what was asked.
    fn answer(&self, status: StatusCode, mut answers: Vec<Json>) -> Response {
        let answer = match (self, answers.pop()) {
            (Self::One(_), Some(only)) => only,
            (_, last) => {
                answers.extend(last);
                Json::Array(answers)
            }
        };
        (status, axum::Json(answer)).into_response()
    }
}

/// The one object of a call that takes no list.
async fn object(service: &Service, request: Request) -> Result<Map<String, Json>> {
    match Body::read(service, request).await? {
        Body::One(Json::Object(object)) => Ok(object),
        _ => Err(members::wrong("request body", "a JSON object is expected").into()),
    }
}
