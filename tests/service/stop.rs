//! An orderly stop: what was accepted is kept, what runs may end, and what does not
//! waits again as if it had never begun.

use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::Service;
use crate::support::hook::Hook;

const ID: &str = "11111111-0000-0000-0000-000000000001";

fn submit(service: &Service, handler: Value) {
    let job =
        json!({ "asyncoperationid": ID, "name": "a job", "operationtype": 54, "handler": handler });
    let (status, answer) = service.post("/sysjob/jobs", &job);
    assert_eq!(status, 201, "{answer}");
}

/// State, status, retries and number of attempts of the job, as the folder has them.
fn kept(folder: &Path) -> (i64, i64, i64, usize) {
    let service = Service::start(folder, &["--no-scheduler"]);
    let rows = service.sql("SELECT statecode, statuscode, retrycount FROM asyncoperation");
    let starts = service.sql("SELECT jobhistoryid FROM jobhistory WHERE tostatuscode = 20");
    assert_eq!(rows.len(), 1);
    let number = |name: &str| rows[0][name].as_i64().unwrap_or_else(|| panic!("{rows:?}"));
    (number("statecode"), number("statuscode"), number("retrycount"), starts.len())
}

/// A service with a job that is in the middle of a webhook, which goes on when the
/// sender sends. A sender that is dropped lets it go on too.
fn in_the_middle(folder: &Path, options: &[&str]) -> (Service, mpsc::Sender<()>) {
    let (arrived, arrives) = mpsc::channel();
    let (go, goes_on) = mpsc::channel();
    let goes_on = Arc::new(Mutex::new(goes_on));
    let hook = Hook::start(move |_| {
        // Only the first one is waited for.
        let _ = arrived.send(());
        // Either way it goes on.
        let _ = goes_on.lock().expect("one at a time").recv();
        200
    });
    let service = Service::start(folder, options);
    submit(&service, json!({ "webhook": { "url": hook.url } }));
    arrives.recv().expect("the webhook is posted");
    (service, go)
}

#[test]
fn a_running_job_may_end() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (service, go) = in_the_middle(folder.path(), &["--grace-s", "600"]);
    let http = service.http.trim_start_matches("http://").to_owned();
    let stopping = std::thread::spawn(move || service.terminate());
    // The listener is gone before the job is.
    while std::net::TcpStream::connect(&http).is_ok() {
        std::thread::yield_now();
    }
    go.send(()).expect("the hook waits");
    assert_eq!(stopping.join().expect("it stops"), Some(0));
    assert_eq!(kept(folder.path()), (3, 30, 0, 1));
}

#[test]
fn a_job_that_takes_too_long_waits_again_with_no_retry_counted() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (service, go) = in_the_middle(folder.path(), &["--grace-s", "0.05"]);
    assert_eq!(service.terminate(), Some(0));
    drop(go);
    assert_eq!(kept(folder.path()), (0, 0, 0, 1));
    // The next service does it again.
    let service = Service::start(folder.path(), &[]);
    let ended = || service.sql("SELECT statuscode FROM asyncoperation WHERE statecode = 3");
    while ended().is_empty() {}
    assert_eq!(ended()[0]["statuscode"], 30);
    assert_eq!(service.terminate(), Some(0));
    assert_eq!(kept(folder.path()), (3, 30, 0, 2));
}

#[test]
fn nobody_waits_for_simulated_work_that_cannot_end_in_time() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let service = Service::start(folder.path(), &["--grace-s", "86400"]);
    submit(&service, json!({ "simulate": { "duration_ms": 1e9, "outcome": "succeed" } }));
    assert_eq!(service.terminate(), Some(0));
    let (state, status, retries, _) = kept(folder.path());
    assert_eq!((state, status, retries), (0, 0, 0));
}

#[test]
fn a_configuration_with_a_mistake_stops_the_start() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("sysjob.toml");
    std::fs::write(&file, "[pools.mail]\noperationtypes = [2]\nconcurency = 3\n").expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_sysjob"))
        .args(["serve", "--http", "127.0.0.1:0", "--pg", "127.0.0.1:0", "--data-dir"])
        .arg(folder.path().join("data"))
        .arg("--config")
        .arg(&file)
        .output()
        .expect("sysjob runs");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    let expected =
        "sysjob.toml line 3: unknown key 'concurency' in [pools.mail]; did you mean 'concurrency'?";
    assert!(said.contains(expected), "{said}");
}
