//! Headers and body of a webhook.

use reqwest::header::HeaderValue;
use serde_json::Value as Json;

/// A body with more bytes is sent without the parts that make contexts large.
const BODY_MAX: usize = 256 * 1024;

/// These parts.
const LARGE_PARTS: [&str; 4] =
    ["ParentContext", "InputParameters", "PreEntityImages", "PostEntityImages"];

/// What is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
}

impl Message {
    /// The message with a context, of an organization known by the name of its host.
    pub fn new(context: &Json, organization_host: &str) -> Self {
        let text = |name: &str| context.get(name).and_then(Json::as_str).unwrap_or_default();
        let mut headers = vec![
            ("content-type", "application/json".to_owned()),
            ("x-ms-dynamics-organization", organization_host.to_owned()),
            ("x-ms-dynamics-entity-name", text("PrimaryEntityName").to_owned()),
            ("x-ms-dynamics-request-name", text("MessageName").to_owned()),
            ("x-ms-correlation-request-id", text("CorrelationId").to_owned()),
        ];
        let mut body = context.to_string();
        if body.len() > BODY_MAX {
            let mut context = context.clone();
            if let Some(object) = context.as_object_mut() {
                object.retain(|name, _| !LARGE_PARTS.contains(&name.as_str()));
            }
            body = context.to_string();
            headers.push(("x-ms-dynamics-msg-size-exceeded", "True".to_owned()));
        }
        Self { headers, body }
    }
}

/// A text as a header's value; characters that cannot stand there are left out.
pub fn header(text: &str) -> HeaderValue {
    let plain: String = text.chars().filter(|c| matches!(c, ' '..='~')).collect();
    HeaderValue::from_str(&plain).unwrap_or_else(|_| HeaderValue::from_static(""))
}
