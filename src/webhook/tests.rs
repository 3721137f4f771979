//! Webhooks against a small HTTP server in the same process.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{Authentication, Endpoint, Message, Settings, Webhooks};
use crate::job::report::Outcome;

/// Answers each request with the next status, and keeps what came.
struct Hook {
    url: String,
    seen: Arc<Mutex<Vec<(String, String)>>>,
}

impl Hook {
    async fn answering(statuses: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/hook", listener.local_addr().expect("bound"));
        let seen: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
        let kept = seen.clone();
        let mut statuses: std::vec::IntoIter<u16> = Vec::from(statuses).into_iter();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let (head, body) = request(&mut socket).await;
                kept.lock().push((head, body));
                // No status left: the client waits in vain.
                let Some(status) = statuses.next() else {
                    std::future::pending::<()>().await;
                    return;
                };
                let answer = format!(
                    "HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                );
                socket.write_all(answer.as_bytes()).await.expect("the client listens");
            }
        });
        Self { url, seen }
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::new(&self.url)
    }
}

async fn request(socket: &mut tokio::net::TcpStream) -> (String, String) {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
            });
            if body.len() >= length.unwrap_or(0) {
                return (head.to_lowercase(), body.to_owned());
            }
        }
        assert!(socket.read_buf(&mut bytes).await.expect("readable") > 0, "cut off");
    }
}

fn context(padding: usize) -> Json {
    json!({
        "CorrelationId": "c0", "InputParameters": ["x".repeat(padding)], "MessageName": "Update",
        "ParentContext": null, "PostEntityImages": [], "PreEntityImages": [],
        "PrimaryEntityName": "contact", "SharedVariables": [],
    })
}

fn webhooks() -> Webhooks {
    Webhooks::new(Settings::default()).expect("a client")
}

async fn post(hook: &Hook, endpoint: &Endpoint, padding: usize) -> (Outcome, usize) {
    let message = Message::new(&context(padding), "org.example");
    let report = webhooks().post(endpoint, &message).await;
    (report.outcome, hook.seen.lock().len())
}

#[tokio::test]
async fn the_documented_headers_and_body_are_sent() {
    let hook = Hook::answering(&[200]).await;
    assert_eq!(post(&hook, &hook.endpoint(), 5).await, (Outcome::Succeeded, 1));
    let (head, body) = hook.seen.lock()[0].clone();
    for line in [
        "post /hook http/1.1",
        "content-type: application/json",
        "x-ms-dynamics-organization: org.example",
        "x-ms-dynamics-entity-name: contact",
        "x-ms-dynamics-request-name: update",
        "x-ms-correlation-request-id: c0",
    ] {
        assert!(head.lines().any(|l| l == line), "{line}: {head}");
    }
    assert!(!head.contains("msg-size-exceeded"), "{head}");
    assert_eq!(serde_json::from_str::<Json>(&body).expect("JSON"), context(5));
}

#[tokio::test]
async fn a_long_body_goes_without_its_large_parts() {
    let hook = Hook::answering(&[200, 200]).await;
    let fits = 256 * 1024 - context(0).to_string().len();
    post(&hook, &hook.endpoint(), fits).await;
    post(&hook, &hook.endpoint(), fits + 1).await;
    let seen = hook.seen.lock().clone();
    assert_eq!((seen[0].1.len(), seen[0].0.contains("msg-size-exceeded")), (256 * 1024, false));
    assert!(seen[1].0.contains("x-ms-dynamics-msg-size-exceeded: true"), "{}", seen[1].0);
    let rest: Json = serde_json::from_str(&seen[1].1).expect("JSON");
    let names: Vec<&str> =
        rest.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(names, ["CorrelationId", "MessageName", "PrimaryEntityName", "SharedVariables"]);
}

#[tokio::test]
async fn one_more_try_and_only_after_a_gateway() {
    for (statuses, outcome, requests) in [
        (&[503, 200][..], Outcome::Succeeded, 2),
        (&[502, 504], Outcome::Retry, 2),
        (&[504, 404], Outcome::Failed, 2),
        (&[500], Outcome::Retry, 1),
        (&[302], Outcome::Retry, 1),
        (&[401], Outcome::Suspended, 1),
        (&[410], Outcome::Failed, 1),
    ] {
        let hook = Hook::answering(statuses).await;
        assert_eq!(post(&hook, &hook.endpoint(), 0).await, (outcome, requests), "{statuses:?}");
    }
}

#[tokio::test]
async fn silence_is_a_time_out() {
    let hook = Hook::answering(&[]).await;
    let settings = Settings { timeout: Duration::from_millis(50), ..Settings::default() };
    let message = Message::new(&context(0), "org");
    let report = Webhooks::new(settings).expect("a client").post(&hook.endpoint(), &message).await;
    assert_eq!(report.outcome, Outcome::Retry);
    assert_eq!(report.errorcode, Some(0x8005_0202_u32.cast_signed()));
}

#[tokio::test]
async fn nobody_there_is_a_network_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    drop(listener);
    let report = webhooks().post(&Endpoint::new(&url), &Message::new(&context(0), "org")).await;
    assert_eq!(report.outcome, Outcome::Retry);
    assert_eq!(report.errorcode, Some(0x8005_0205_u32.cast_signed()));
}

#[tokio::test]
async fn the_configured_proof_goes_along() {
    let setting = "<settings><setting name=\"x-key\" value=\"a&amp;b\"/></settings>";
    for (authtype, value, expected) in [
        (Some(4), "s3cret", "post /hook?code=s3cret http"),
        (Some(5), setting, "x-key: a&b"),
        (Some(6), setting, "post /hook?x-key=a%26b http"),
        (Some(0), "s3cret", "post /hook http"),
        (None, "", "post /hook http"),
    ] {
        let hook = Hook::answering(&[200]).await;
        let authentication = Authentication::read(authtype, Some(value)).expect("valid");
        let endpoint = Endpoint { authentication, ..hook.endpoint() };
        post(&hook, &endpoint, 0).await;
        let (head, _) = hook.seen.lock()[0].clone();
        assert!(head.contains(expected), "{authtype:?}: {head}");
    }
    for (authtype, code) in [(5, 0x8005_0203), (6, 0x8005_0204)] {
        for value in ["", "s3cret", "<settings/>", "<settings><setting name='a'/></settings>"] {
            let error = Authentication::read(Some(authtype), Some(value)).expect_err(value);
            assert_eq!(error.code, code);
            assert!(!error.to_string().contains("s3cret"), "{error}");
        }
    }
}

#[tokio::test]
async fn unencrypted_requests_stay_on_allowed_hosts() {
    let hook = Hook::answering(&[200]).await;
    let port = hook.url.split(':').nth(2).and_then(|p| p.split('/').next()).expect("a port");
    let by_name = format!("http://localhost:{port}/hook");
    let with_port = format!("localhost:{port}");
    for (allowed, url, code) in [
        (vec!["127.0.0.1"], by_name.as_str(), Some(0x8005_0206)),
        (vec![], hook.url.as_str(), Some(0x8005_0206)),
        (vec!["localhost:1"], by_name.as_str(), Some(0x8005_0206)),
        (vec!["127.0.0.1"], "ftp://127.0.0.1/", Some(0x8005_0205)),
        (vec!["127.0.0.1"], "nowhere", Some(0x8005_0205)),
        (vec!["other", with_port.as_str()], by_name.as_str(), None),
    ] {
        let allow_hosts = allowed.iter().map(|host| (*host).to_owned()).collect();
        let webhooks = Webhooks::new(Settings { allow_hosts, ..Settings::default() });
        let message = Message::new(&context(0), "org");
        let report = webhooks.expect("a client").post(&Endpoint::new(url), &message).await;
        assert_eq!(report.errorcode, code.map(u32::cast_signed), "{url} {allowed:?}");
    }
    assert_eq!(hook.seen.lock().len(), 1, "the others were not sent");
}
