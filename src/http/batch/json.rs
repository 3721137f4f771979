//! The JSON format of a batch, from OData 4.01: `{"requests":[…]}` is answered
//! with `{"responses":[…]}`.

use std::collections::HashMap;
use std::vec::IntoIter;

use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::Value as Json;

use super::message::{self, Message};
use super::reference::References;
use super::{Answered, Surroundings, change_set, malformed, streamed};
use crate::encode::json_text;
use crate::error::{Error, Result};
use crate::http::answer::JSON;
use crate::http::error::Failure;

#[derive(Deserialize)]
struct Document {
    requests: Vec<Item>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Item {
    id: String,
    method: String,
    url: String,
    #[serde(default)]
    headers: HashMap<String, Json>,
    body: Option<Json>,
    atomicity_group: Option<String>,
    #[serde(default)]
    depends_on: Vec<String>,
}

/// A request, the group it belongs to, and what must have gone well before it.
pub struct Request {
    message: Message,
    group: Option<String>,
    needs: Vec<String>,
}

/// The requests of a body.
pub fn read(body: &[u8]) -> Result<Vec<Request>> {
    let document: Document = serde_json::from_slice(body)
        .map_err(|e| malformed(format!("the body is not a batch: {e}")).caused_by(e))?;
    // Ids and groups so far, and which of them a group has taken part in.
    let mut known: Vec<String> = Vec::new();
    let mut open: Option<String> = None;
    let mut requests = Vec::new();
    for item in document.requests {
        let named = |what: &str| malformed(format!("request '{}': {what}", item.id));
        if known.contains(&item.id) {
            return Err(named("another has the same id"));
        }
        if let Some(group) = item.atomicity_group.as_ref()
            && open.as_ref() != Some(group)
            && known.contains(group)
        {
            return Err(named(&format!("the requests of the group '{group}' stand apart")));
        }
        if let Some(unknown) = item.depends_on.iter().find(|id| !known.contains(id)) {
            return Err(named(&format!(
                "it depends on '{unknown}', which does not come before it"
            )));
        }
        known.push(item.id.clone());
        known.extend(item.atomicity_group.clone());
        open.clone_from(&item.atomicity_group);
        requests.push(request(item)?);
    }
    Ok(requests)
}

fn request(item: Item) -> Result<Request> {
    let named = |what: String| malformed(format!("request '{}': {what}", item.id));
    let method = message::method_of(&item.method)
        .ok_or_else(|| named(format!("'{}' is not a method", item.method)))?;
    let mut headers = HeaderMap::new();
    for (name, value) in &item.headers {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let header = (HeaderName::try_from(name), HeaderValue::try_from(text));
        let (Ok(name), Ok(value)) = header else {
            return Err(named(format!("'{name}' is not a header")));
        };
        headers.append(name, value);
    }
    let body = match item.body {
        None | Some(Json::Null) => Bytes::new(),
        // Text stands for itself, unless it is said to be JSON.
        Some(Json::String(text)) if !is_json(&headers) => Bytes::from(text),
        Some(json) => {
            headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
            Bytes::from(json.to_string())
        }
    };
    let message = Message { id: Some(item.id), method, target: item.url, headers, body };
    Ok(Request { message, group: item.atomicity_group, needs: item.depends_on })
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|k| k.to_str().ok()).unwrap_or_default();
    kind.starts_with("application/json")
}

struct Run {
    surroundings: Surroundings,
    requests: IntoIter<Request>,
    references: References,
    failed: Vec<String>,
    first: bool,
}

/// Runs the requests, and answers while they run.
pub fn answer(surroundings: Surroundings, requests: Vec<Request>) -> Response {
    let run = Run {
        surroundings,
        requests: requests.into_iter(),
        references: References::default(),
        failed: Vec::new(),
        first: true,
    };
    let pieces = futures::stream::unfold(Some(run), |run| async move {
        let mut run = run?;
        let mut piece = Vec::new();
        if std::mem::take(&mut run.first) {
            piece.extend_from_slice(b"{\"responses\":[");
        } else {
            piece.push(b',');
        }
        if run.step(&mut piece).await {
            return Some((Bytes::from(piece), Some(run)));
        }
        // Nothing was answered: the separator is not needed.
        if piece.last() == Some(&b',') {
            piece.pop();
        }
        piece.extend_from_slice(b"]}");
        Some((Bytes::from(piece), None))
    });
    streamed(JSON, pieces)
}

impl Run {
    /// Runs the next request or group; `false` when there is none.
    async fn step(&mut self, out: &mut Vec<u8>) -> bool {
        if !self.failed.is_empty() && !self.surroundings.continues {
            return false;
        }
        let Some(request) = self.requests.next() else { return false };
        let id = request.message.id.clone().unwrap_or_default();
        let group = request.group.clone();
        let mut requests = vec![request];
        while group.is_some() && self.requests.as_slice().first().is_some_and(|r| r.group == group)
        {
            requests.extend(self.requests.next());
        }
        let mut needs = requests.iter().flat_map(|r| &r.needs);
        let missing = needs.find(|id| self.failed.contains(id)).cloned();
        let ids: Vec<String> = requests.iter().filter_map(|r| r.message.id.clone()).collect();
        if let Some(missing) = missing {
            let message = format!("'{missing}', which this request depends on, failed");
            let failure = Failure::new(StatusCode::FAILED_DEPENDENCY, Error::unsupported(message));
            let answered = Answered::of(failure.into_response()).await;
            self.fail(ids, group);
            response(out, &id, &answered);
            return true;
        }
        let Some(group) = group else {
            for request in requests {
                let answered = self.surroundings.run(request.message, &mut self.references).await;
                if answered.is_error() {
                    self.failed.push(id.clone());
                }
                response(out, &id, &answered);
            }
            return true;
        };
        let messages = requests.into_iter().map(|r| r.message).collect();
        match change_set::run(&self.surroundings, messages, &mut self.references).await {
            Ok(answers) => {
                for (i, (id, answered)) in answers.iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    response(out, id.as_deref().unwrap_or_default(), answered);
                }
            }
            Err((failed, answered)) => {
                self.fail(ids, Some(group));
                response(out, failed.as_deref().unwrap_or(&id), &answered);
            }
        }
        true
    }

    fn fail(&mut self, ids: Vec<String>, group: Option<String>) {
        self.failed.extend(ids.into_iter().chain(group));
    }
}

fn response(out: &mut Vec<u8>, id: &str, answered: &Answered) {
    out.extend_from_slice(b"{\"id\":");
    json_text(id, out);
    out.extend_from_slice(
        format!(",\"status\":{},\"headers\":{{", answered.status.as_u16()).as_bytes(),
    );
    let mut first = true;
    for (name, value) in &answered.headers {
        let Ok(value) = value.to_str() else { continue };
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        json_text(name.as_str(), out);
        out.push(b':');
        json_text(value, out);
    }
    out.push(b'}');
    if !answered.body.is_empty() {
        out.extend_from_slice(b",\"body\":");
        match is_json(&answered.headers) {
            true => out.extend_from_slice(&answered.body),
            false => json_text(&String::from_utf8_lossy(&answered.body), out),
        }
    }
    out.push(b'}');
}
