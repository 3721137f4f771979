//! Jobs without Dataverse, as clients meet them: a real service, submitted, claimed,
//! ended and acted on over HTTP.

mod actions;
mod command_line;
mod reasons;
mod submitting;
mod workers;

use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::Service;
use serde_json::{Value as Json, json};

const WORKER: i32 = 54;

/// A service over a folder of its own.
struct Jobs {
    service: Service,
    agent: ureq::Agent,
    _folder: Option<tempfile::TempDir>,
}

fn start(options: &[&str]) -> Jobs {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let jobs = over(folder.path(), options);
    Jobs { _folder: Some(folder), ..jobs }
}

fn over(folder: &Path, options: &[&str]) -> Jobs {
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    Jobs { service: Service::start(folder, options), agent, _folder: None }
}

fn key(n: u32) -> String {
    format!("00000000-0000-0000-0000-{n:012}")
}

fn command(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_sysjob"))
        .arg("jobs")
        .args(arguments)
        .env_remove("SYSJOB_URL")
        .output()
        .expect("sysjob runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

impl Jobs {
    fn post(&self, call: &str, body: &Json) -> (u16, Json) {
        self.post_text(call, &body.to_string())
    }

    fn post_text(&self, call: &str, body: &str) -> (u16, Json) {
        let url = format!("{}/sysjob/{call}", self.service.http);
        let request = self.agent.post(&url).header("content-type", "application/json");
        let mut response = request.send(body).expect("an answer");
        let text = response.body_mut().read_to_string().expect("a body");
        let json = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
        (response.status().as_u16(), json)
    }

    /// An answer that says yes.
    fn ok(&self, call: &str, body: &Json) -> Json {
        let (status, answer) = self.post(call, body);
        assert!((200..300).contains(&status), "{call} {body}: {status} {answer}");
        answer
    }

    /// The message of a refusal.
    fn refused(&self, call: &str, body: &Json) -> (u16, String, String) {
        let (status, answer) = self.post(call, body);
        let error = &answer["error"];
        let text = |name: &str| error[name].as_str().unwrap_or_else(|| panic!("{body}: {answer}"));
        (status, text("code").to_owned(), text("message").to_owned())
    }

    fn submit(&self, job: &Json) -> String {
        let (status, answer) = self.post("jobs", job);
        assert_eq!(status, 201, "{answer}");
        answer["asyncoperationid"].as_str().expect("an id").to_owned()
    }

    /// A job that a worker may claim.
    fn worker_job(&self, name: &str) -> String {
        self.submit(&json!({"name": name, "operationtype": WORKER, "handler": {"worker": {}}}))
    }

    /// A running job that never ends by itself.
    fn hanging(&self, name: &str, operationtype: i32) -> String {
        let handler = json!({"simulate": {"outcome": "hang"}});
        let id =
            self.submit(&json!({"name": name, "operationtype": operationtype, "handler": handler}));
        self.until(&id, 20);
        id
    }

    fn row(&self, id: &str) -> Json {
        let (status, row) = self.service.get(&format!("asyncoperations({id})"), &[]);
        assert_eq!(status, 200, "{row}");
        row
    }

    fn status(&self, id: &str) -> i64 {
        self.row(id)["statuscode"].as_i64().expect("a status")
    }

    /// Waits until a job has a status.
    fn until(&self, id: &str, status: i64) {
        let begin = Instant::now();
        while self.status(id) != status {
            assert!(begin.elapsed() < Duration::from_secs(60), "{status}: {}", self.row(id));
            std::thread::yield_now();
        }
    }

    fn count(&self) -> i64 {
        let (_, answer) = self.service.get("asyncoperations", &[("$count", "true"), ("$top", "1")]);
        answer["@odata.count"].as_i64().expect("a count")
    }

    fn claim(&self, body: &Json) -> Vec<Json> {
        self.ok("claim", body).as_array().expect("an array").clone()
    }

    fn act(&self, body: &Json) -> Json {
        self.ok("actions", body)
    }

    fn why(&self, id: &str) -> Json {
        let (status, why) = self.service.get(&format!("asyncoperations({id})/sysjob.Why"), &[]);
        assert_eq!(status, 200, "{why}");
        why
    }

    /// The first cause, which is the verdict.
    fn cause(&self, id: &str) -> Json {
        let why = self.why(id);
        assert_eq!(why["verdict"], why["chain"][0]["cause"], "{why}");
        assert!(!why["text"].as_str().expect("text").is_empty());
        why["chain"][0].clone()
    }

    fn sql(&self, text: &str) -> Vec<Json> {
        let body = json!({"dialect": "sql", "text": text, "format": "json"});
        self.ok("query", &body).as_array().expect("rows").clone()
    }

    /// `sysjob jobs …`: exit code, output, errors.
    fn cli(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        command(&[arguments, &["--url", &self.service.http]].concat())
    }

    fn json(&self, arguments: &[&str]) -> Json {
        let (code, out, err) = self.cli(&[arguments, &["--format", "json"]].concat());
        assert_eq!(code, Some(0), "{arguments:?}: {err}");
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}"))
    }
}
