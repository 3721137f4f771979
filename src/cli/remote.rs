//! A running service as the command line asks it: `POST /sysjob/query` and
//! `/sysjob/explain`.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use chrono_tz::Tz;
use serde_json::{Value, json};
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

    /// The JSON that a call answers; nothing where it answers nothing.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let mut text = String::new();
        let mut answer = self.send(method, path, body)?;
        answer.read_to_string(&mut text).map_err(|e| {
            Error::new(ErrorKind::Closed, codes::UNEXPECTED, format!("the answer broke off: {e}"))
                .caused_by(e)
        })?;
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).map_err(|e| {
            let message = format!("{}{path} answered something else than JSON", self.url);
            Error::invalid(codes::UNEXPECTED, message).caused_by(e)
        })
    }

    fn post(&self, call: &str, body: &Value) -> Result<Box<dyn Read>> {
        self.send("POST", &format!("/sysjob/{call}"), Some(body))
    }

    fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Box<dyn Read>> {
        let url = format!("{}{path}", self.url);
        let unreachable = |e: ureq::Error| {
            Error::new(ErrorKind::Closed, codes::UNEXPECTED, format!("no answer from {url}: {e}"))
                .caused_by(e)
        };
        let mut prefer = vec![format!("odata.include-annotations=\"{FORMATTED}\"")];
        prefer.extend(self.timezone.map(|zone| format!("odata.timezone=\"{}\"", zone.name())));
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(&url)
            .header("content-type", "application/json")
            .header("prefer", prefer.join(","));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(body.map(Value::to_string).unwrap_or_default());
        let request = request.map_err(|e| {
            Error::invalid(codes::INVALID_ARGUMENT, format!("'{url}' is no address: {e}"))
        })?;
        let response = self.agent.run(request).map_err(unreachable)?;
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
