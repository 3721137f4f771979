//! Clients that people use, run against a real service: dynamics-web-api of npm
//! and Microsoft's Dataverse SDK for Python, and the SQL clients of `sql.rs`. Each
//! is a script that says `ok` or `FAILED` for every check. They are skipped, with
//! the reason, where the client is not installed; `.ci/run` installs them.

mod catalog;
mod grafana;
mod sql;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::Service;

/// So many workflows among the jobs that several pages are needed.
const JOBS: usize = 1500;

/// A folder with users and jobs: one in five a workflow, the first ones waiting.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let user = |n: usize| format!("00000000-0000-0000-0000-{:012}", n + 1);
    let mut users = String::new();
    for n in 0..3 {
        writeln!(users, r#"{{"systemuserid":"{}","fullname":"User {n}"}}"#, user(n)).expect("text");
    }
    let mut jobs = String::new();
    for n in 0..JOBS {
        let (state, status) = if n < 100 { (1, 10) } else { (3, 30 + n % 3) };
        let kind = if n % 5 == 0 { 10 } else { 1 };
        let owner = user(n % 3);
        let (minute, second) = (n / 60, n % 60);
        writeln!(
            jobs,
            r#"{{"asyncoperationid":"10000000-0000-0000-0000-{n:012}","name":"job {n}","operationtype":{kind},"statecode":{state},"statuscode":{status},"createdon":"2026-05-01T10:{minute:02}:{second:02}Z","ownerid":"{owner}","owneridtype":"systemuser","owninguser":"{owner}"}}"#
        )
        .expect("text");
    }
    let data = folder.path().join("data");
    for (table, text) in [("systemuser", users), ("asyncoperation", jobs)] {
        let file = folder.path().join(format!("{table}.jsonl"));
        std::fs::write(&file, text).expect("the folder takes files");
        let status = Command::new(env!("CARGO_BIN_EXE_sysjob"))
            .args(["import", "--table", table, "--data-dir"])
            .arg(&data)
            .arg(file)
            .status();
        assert!(status.expect("sysjob runs").success());
    }
    folder
}

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Runs a client's script; all its checks must be `ok`.
fn run(command: &mut Command) {
    let output = command.output().expect("the client's interpreter runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    assert!(text.contains(" passed, 0 failed"), "{text}");
}

#[test]
fn dynamics_web_api() {
    if !here("tests/service/clients/node/node_modules").exists() {
        println!(
            "skipped: dynamics-web-api is not installed (npm ci in tests/service/clients/node)"
        );
        return;
    }
    let folder = folder();
    let service = Service::start(&folder.path().join("data"), &[]);
    run(Command::new("node").arg(here("tests/service/clients/node/check.mjs")).arg(&service.http));
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn dataverse_sdk_for_python() {
    let python = here("target/python-client/bin/python");
    if !python.exists() {
        println!(
            "skipped: the SDK is not installed (python3 -m venv target/python-client, then its \
             pip install -r tests/service/clients/python/requirements.txt)"
        );
        return;
    }
    let folder = folder();
    let data = folder.path().join("data");
    let service = Service::start(&data, &["--tls", "auto"]);
    run(Command::new(python)
        .arg(here("tests/service/clients/python/check.py"))
        .arg(&service.http)
        .env("REQUESTS_CA_BUNDLE", data.join("tls/cert.pem")));
    assert_eq!(service.terminate(), Some(0));
}
