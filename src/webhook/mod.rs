//! Webhooks: a POST of a job's execution context to an address, as the page "Use
//! webhooks to create external handlers for server events" describes it.
//!
//! Parts: [`endpoint`] where to and with which proof, [`message`] headers and body,
//! [`answer`] what the answer means for the job. This file sends.

mod answer;
mod endpoint;
mod message;

#[cfg(test)]
mod tests;

pub use self::endpoint::{Authentication, Endpoint};
pub use self::message::Message;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::{Client, RequestBuilder, Url, redirect};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
use rustls_platform_verifier::BuilderVerifierExt;

use self::answer::Answer;
use crate::error::{Error, Result, codes};
use crate::job::report::Report;
use crate::tls::provider;

/// How webhooks are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Hosts, or hosts with ports, that are sent to without encryption.
    pub allow_hosts: Vec<String>,
    /// How long one request may take.
    pub timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        // The time is that of Dataverse.
        Self { allow_hosts: vec!["127.0.0.1".into()], timeout: Duration::from_secs(60) }
    }
}

/// Sends webhooks; copies share their connections.
#[derive(Clone)]
pub struct Webhooks {
    plain: Client,
    /// Made when it is first needed: a system may have no authorities to trust.
    secure: Arc<OnceLock<Result<Client>>>,
    settings: Settings,
}

impl Webhooks {
    pub fn new(settings: Settings) -> Result<Self> {
        let trusts_nobody = builder()?.with_root_certificates(RootCertStore::empty());
        let plain = client(trusts_nobody.with_no_client_auth())?;
        Ok(Self { plain, secure: Arc::default(), settings })
    }

    /// Sends a message and waits for the answer; once more, at once, after an answer
    /// that speaks of the network on the way.
    pub async fn post(&self, endpoint: &Endpoint, message: &Message) -> Report {
        let request = match self.request(endpoint, message) {
            Ok(request) => request,
            Err(error) => {
                return Report::failed(Some(error.code.cast_signed()), Some(error.to_string()));
            }
        };
        let mut answer = self.send(request.try_clone()).await;
        if answer.is_worth_another_try() {
            answer = self.send(Some(request)).await;
        }
        answer.report(&endpoint.url)
    }

    async fn send(&self, request: Option<RequestBuilder>) -> Answer {
        // Only a body that is a stream cannot be copied.
        let Some(request) = request else { return Answer::Broken("its body is gone".into()) };
        match tokio::time::timeout(self.settings.timeout, request.send()).await {
            Ok(Ok(response)) => Answer::Status(response.status().as_u16()),
            Ok(Err(error)) => Answer::Broken(with_causes(&error.without_url())),
            Err(_) => Answer::TimedOut(self.settings.timeout),
        }
    }

    /// The client that trusts the authorities the system trusts.
    fn secure(&self) -> Result<&Client> {
        let made = self.secure.get_or_init(|| {
            let trusting = builder()?.with_platform_verifier().map_err(|e| {
                let message = format!("the system's certificate authorities cannot be read: {e}");
                Error::invalid(codes::WEBHOOK_FAILED, message)
            })?;
            client(trusting.with_no_client_auth())
        });
        made.as_ref().map_err(|e| Error::invalid(e.code, e.to_string()))
    }

    fn request(&self, endpoint: &Endpoint, message: &Message) -> Result<RequestBuilder> {
        let url = self.allowed(endpoint)?;
        let client = if url.scheme() == "https" { self.secure()? } else { &self.plain };
        let mut request = client.post(url).body(message.body.clone());
        for (name, value) in message.headers.iter().map(|(n, v)| (*n, v.as_str())) {
            request = request.header(name, message::header(value));
        }
        for (name, value) in endpoint.headers()? {
            request = request.header(name, value);
        }
        Ok(request)
    }

    /// The address, with the proof that goes into its query.
    fn allowed(&self, endpoint: &Endpoint) -> Result<Url> {
        let refused = |code, why: String| {
            Err(Error::invalid(code, format!("webhook '{}': {why}", endpoint.url)))
        };
        let mut url = match Url::parse(&endpoint.url) {
            Ok(url) => url,
            Err(error) => {
                return refused(codes::WEBHOOK_FAILED, format!("no address: {error}"));
            }
        };
        let host = url.host_str().unwrap_or_default().to_owned();
        match url.scheme() {
            "https" => {}
            "http" => {
                let with_port = format!("{host}:{}", url.port_or_known_default().unwrap_or(80));
                let is_allowed = |allowed: &String| {
                    allowed.eq_ignore_ascii_case(&host) || allowed.eq_ignore_ascii_case(&with_port)
                };
                if !self.settings.allow_hosts.iter().any(is_allowed) {
                    let why = format!(
                        "unencrypted requests go to hosts of webhook.allow_hosts only, and '{host}' is none"
                    );
                    return refused(codes::WEBHOOK_DISABLED, why);
                }
            }
            other => {
                return refused(codes::WEBHOOK_FAILED, format!("'{other}' is not https or http"));
            }
        }
        let pairs = endpoint.query();
        if !pairs.is_empty() {
            url.query_pairs_mut().extend_pairs(pairs);
        }
        Ok(url)
    }
}

fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>> {
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::internal("TLS cannot be set up").caused_by(e))
}

fn client(tls: ClientConfig) -> Result<Client> {
    // A redirection would lead to a host that nobody has allowed.
    let builder = Client::builder().redirect(redirect::Policy::none()).no_proxy();
    let client = builder.tls_backend_preconfigured(tls).build();
    client.map_err(|e| Error::internal("there is no HTTP client").caused_by(e))
}

/// An error and what is behind it: "error sending request" says little.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
