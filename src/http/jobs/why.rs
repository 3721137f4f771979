//! `GET asyncoperations(id)/sysjob.Why`: why a job is where it is.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value as Json};

use crate::error::{Error, codes};
use crate::http::answer::json;
use crate::http::error::Result;
use crate::http::object::Object;
use crate::http::query::finish;
use crate::http::request::Call;
use crate::http::resource::Key;
use crate::scheduler;
use crate::scheduler::core::Link;
use crate::service::Service;
use crate::value::{guid_text, time_text};

/// The function with its namespace.
pub const NAME: &str = "sysjob.Why";

pub async fn why(service: &Service, call: &Call, key: &Key) -> Result<Response> {
    let Key::Id(id) = key else {
        let message = format!("{NAME} is asked of one job: asyncoperations(<guid>)/{NAME}");
        return Err(Error::invalid(codes::ODATA, message).into());
    };
    let (scheduler, now) = (service.scheduler.as_ref(), service.clock.now());
    let why = scheduler::why(scheduler, &service.store, *id, now).await?;
    let mut body = Object::of(call, "#sysjob.WhyResponse");
    body.text("verdict", why.verdict);
    body.text("text", &why.text);
    body.raw("chain", Json::Array(why.chain.iter().map(link).collect()).to_string());
    let mut response = json(StatusCode::OK, body.close());
    finish(call, false, &mut response);
    Ok(response)
}

/// A cause; what it does not have is left out.
fn link(link: &Link) -> Json {
    let mut json = Map::new();
    let mut set = |name: &str, value: Option<Json>| {
        json.extend(value.map(|value| (name.to_owned(), value)));
    };
    set("cause", Some(link.cause.into()));
    set("asyncoperationid", link.job.map(|id| guid_text(&id).into()));
    let pool = link.pool.as_ref();
    set("pool", pool.map(|pool| pool.name.as_str().into()));
    set("running", pool.map(|pool| pool.running.into()));
    set("concurrency", pool.map(|pool| pool.concurrency.into()));
    set("position", pool.map(|pool| pool.position.into()));
    set("seconds", pool.and_then(|pool| pool.estimate).map(Json::from));
    set("definition", link.definition.map(|id| guid_text(&id).into()));
    set("until", link.until.map(|until| time_text(until).into()));
    set("text", Some(link.text.as_str().into()));
    Json::Object(json)
}
