//! A running service as the command line asks it: `POST /sysjob/query` and
//! `/sysjob/explain`.

use std::io::Read;

use chrono_tz::Tz;
use serde_json::{Value, json};

use crate::encode::Format;
use crate::error::{Error, ErrorKind, Result, codes};

/// A running service.
pub struct Remote {
    url: String,
    timezone: Option<Tz>,
}

impl Remote {
    pub fn new(url: &str) -> Self {
        Self { url: url.trim_end_matches('/').to_owned(), timezone: None }
    }

    /// Asks from a time zone; otherwise the service's own counts.
    pub fn timezone(self, timezone: Option<Tz>) -> Self {
        Self { timezone, ..self }
    }

    /// The answer to a question, in a format.
    pub fn query(&self, dialect: &str, text: &str, format: Format) -> Result<Box<dyn Read>> {
        self.post("query", &json!({ "dialect": dialect, "text": text, "format": format.name() }))
    }

    /// The plan of a question.
    pub fn explain(
        &self,
        dialect: &str,
        text: &str,
        physical: bool,
        analyze: bool,
    ) -> Result<Box<dyn Read>> {
        let body =
            json!({ "dialect": dialect, "text": text, "physical": physical, "analyze": analyze });
        self.post("explain", &body)
    }

    fn post(&self, call: &str, body: &Value) -> Result<Box<dyn Read>> {
        let url = format!("{}/sysjob/{call}", self.url);
        let unreachable = |e: ureq::Error| {
            Error::new(ErrorKind::NotFound, codes::UNEXPECTED, format!("no answer from {url}: {e}"))
                .caused_by(e)
        };
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut request = agent.post(&url).header("content-type", "application/json");
        if let Some(zone) = self.timezone {
            request = request.header("prefer", format!("odata.timezone=\"{}\"", zone.name()));
        }
        let response = request.send(body.to_string()).map_err(unreachable)?;
        let status = response.status();
        let mut body = response.into_body();
        if status.is_success() {
            return Ok(Box::new(body.into_reader()));
        }
        let text = body.read_to_string().map_err(unreachable)?;
        let message = serde_json::from_str::<Value>(&text)
            .ok()
            .and_then(|v| v["error"]["message"].as_str().map(str::to_owned))
            .unwrap_or_else(|| format!("{url} answered {status}: {text}"));
        Err(Error::invalid(codes::INVALID_ARGUMENT, message))
    }
}
