//! A running service as the command line asks it.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use chrono_tz::Tz;
use serde_json::{Value, json};
use ureq::Body;
use ureq::http::{Method, Request, Response};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

use super::Connection;
use crate::encode::Format;
use crate::error::{Error, ErrorKind, Result, codes};
use crate::tls::provider;

/// Where systems keep the certificates of the authorities they trust.
const SYSTEM_AUTHORITIES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// What people read in place of codes.
const FORMATTED: &str = "OData.Community.Display.V1.FormattedValue";

/// A running service.
pub struct Remote {
    url: String,
    agent: ureq::Agent,
    /// What stands behind `Bearer`.
    token: Option<String>,
    timezone: Option<Tz>,
}

impl Remote {
    pub fn new(url: &str, connection: &Connection) -> Result<Self> {
        let url = url.trim_end_matches('/').to_owned();
        let mut config = ureq::Agent::config_builder().http_status_as_error(false);
        if url.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://")) {
            let tls = TlsConfig::builder()
                .unversioned_rustls_crypto_provider(provider())
                .root_certs(authorities(connection.cacert.as_deref())?)
                .build();
            config = config.tls_config(tls);
        }
        Ok(Self {
            url,
            agent: config.build().into(),
            token: connection.token.clone(),
            timezone: None,
        })
    }

    /// Asks from a time zone; otherwise the service's own counts.
    pub fn timezone(self, timezone: Option<Tz>) -> Self {
        Self { timezone, ..self }
    }

    /// The answer to a question, in a format.
    pub fn query(&self, dialect: &str, text: &str, format: Format) -> Result<Box<dyn Read>> {
        self.post("query", &json!({ "dialect": dialect, "text": text, "format": format.name() }))
    }

    /// The rows of an answer.
    pub fn rows(&self, dialect: &str, text: &str) -> Result<Vec<Value>> {
        let answer = BufReader::new(self.query(dialect, text, Format::Jsonl)?);
        let cut_off = |e| {
            Error::new(ErrorKind::Closed, codes::UNEXPECTED, "the answer was cut off").caused_by(e)
        };
        let no_json = |e| Error::data("a row of the answer is no JSON").caused_by(e);
        let row = |line: std::io::Result<String>| {
            serde_json::from_str(&line.map_err(cut_off)?).map_err(no_json)
        };
        answer.lines().map(row).collect()
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

    /// What a path gives, as it comes.
    pub fn download(&self, path: &str) -> Result<Box<dyn Read>> {
        Ok(Box::new(self.send(Method::GET, path, None)?.into_body().into_reader()))
    }

    fn post(&self, call: &str, body: &Value) -> Result<Box<dyn Read>> {
        let response = self.send(Method::POST, &format!("/sysjob/{call}"), Some(body))?;
        Ok(Box::new(response.into_body().into_reader()))
    }

    /// The JSON answer to a request below the service's address; null if it has no body.
    pub fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let answer = self.send(method, path, body)?.body_mut().read_to_string();
        let answer = answer.map_err(|e| self.unreachable(path, e))?;
        if answer.trim().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&answer).map_err(|e| {
            let message = format!("{}{path} answered no JSON: {e}", self.url);
            Error::data(message).caused_by(e)
        })
    }

    /// Nobody answers, or the service is about to stop.
    fn unreachable(&self, path: &str, e: ureq::Error) -> Error {
        let message = format!("no answer from {}{path}: {e}", self.url);
        Error::new(ErrorKind::Closed, codes::UNEXPECTED, message).caused_by(e)
    }

    fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Response<Body>> {
        let url = format!("{}{path}", self.url);
        let mut request = Request::builder().method(method).uri(&url);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut prefer = vec![format!("odata.include-annotations=\"{FORMATTED}\"")];
        prefer.extend(self.timezone.map(|zone| format!("odata.timezone=\"{}\"", zone.name())));
        request = request.header("prefer", prefer.join(","));
        let wrong = |e: ureq::http::Error| {
            Error::invalid(codes::INVALID_ARGUMENT, format!("'{url}' is no address: {e}"))
        };
        let answer = match body {
            Some(body) => {
                let request = request.header("content-type", "application/json");
                self.agent.run(request.body(body.to_string()).map_err(wrong)?)
            }
            None => self.agent.run(request.body(()).map_err(wrong)?),
        };
        let mut response = answer.map_err(|e| self.unreachable(path, e))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let text = response.body_mut().read_to_string().map_err(|e| self.unreachable(path, e))?;
        let message = serde_json::from_str::<Value>(&text)
            .ok()
            .and_then(|v| v["error"]["message"].as_str().map(str::to_owned))
            .unwrap_or_else(|| format!("{url} answered {status}: {text}"));
        let kind = match status.as_u16() {
            503 => ErrorKind::Closed,
            _ => ErrorKind::Invalid,
        };
        Err(Error::new(kind, codes::INVALID_ARGUMENT, message))
    }
}

/// The certificates that vouch for a service: those of a file, or of the system.
fn authorities(file: Option<&Path>) -> Result<RootCerts> {
    let refused = |message: String| Error::invalid(codes::INVALID_ARGUMENT, message);
    let system = || {
        let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
        named.into_iter().chain(SYSTEM_AUTHORITIES.iter().map(PathBuf::from)).find(|f| f.exists())
    };
    let file = file.map(Path::to_owned).or_else(system).ok_or_else(|| {
        refused(
            "no certificates to trust were found on this system; name some with --cacert".into(),
        )
    })?;
    let name = file.display();
    let text = fs::read(&file)
        .map_err(|e| refused(format!("'{name}' cannot be read: {e}")).caused_by(e))?;
    let mut certificates = Vec::new();
    for item in parse_pem(&text) {
        let item = item.map_err(|e| refused(format!("'{name}' is not a PEM file: {e}")))?;
        if let PemItem::Certificate(certificate) = item {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(refused(format!("'{name}' holds no PEM certificate")));
    }
    Ok(RootCerts::from(certificates))
}
