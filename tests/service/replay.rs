//! `sysjob replay` against real processes, also against one that is killed again and
//! again under its load.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::support::Service;
use crate::support::hook::{Hook, operation_id};

/// A trace of tasks with some attempts each, one after the other all at once.
fn trace(folder: &Path, tasks: usize, attempts: usize) -> PathBuf {
    let mut text = String::from(
        "job_id,submit_time,start_time,end_time,status,user_id,group_id,app_id,queue,\
         requested_seconds,preceding_job_id,think_seconds,attempt,source_status\n",
    );
    for attempt in 1..=attempts {
        for task in 0..tasks {
            let second = attempt * 2;
            let (status, source) = match (attempt + task) % 3 {
                0 => ("failed", "fail"),
                1 => ("cancelled", "kill"),
                _ => ("succeeded", "finish"),
            };
            writeln!(
                text,
                "t{task},2011-05-01T00:00:{second:02}Z,2011-05-01T00:00:{second:02}Z,\
                 2011-05-01T00:00:{:02}Z,{status},u1,g1,p{},prio{},,,,{attempt},{source}",
                second + 1,
                task % 7,
                1 + task % 3,
            )
            .expect("a String takes it");
        }
    }
    let file = folder.join("trace.csv");
    std::fs::write(&file, text).expect("written");
    file
}

fn replay(file: &Path, url: &str, options: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_sysjob"))
        .arg("replay")
        .arg(file)
        .args(["--url", url])
        .args(options)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("sysjob starts")
}

fn output(child: Child) -> String {
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{errors}");
    said
}

#[test]
fn a_trace_ends_as_it_once_did() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = trace(folder.path(), 20, 3);
    let service = Service::start(&folder.path().join("data"), &["--capacity", "100"]);
    let said = output(replay(&file, &service.http, &["--speed", "100x"]));
    assert!(said.contains("60 jobs ended"), "{said}");
    let row = |word: &str| said.lines().find(|line| line.starts_with(word)).expect(word);
    for word in ["succeeded", "failed", "canceled"] {
        let cells: Vec<&str> = row(word).split_whitespace().collect();
        assert_eq!(cells[1], cells[2], "service and trace: {said}");
    }
    assert!(said.contains("waits of the 60 jobs"), "{said}");
    let retried = service.sql("SELECT name FROM asyncoperation WHERE retrycount > 0");
    assert!(retried.is_empty(), "failures of a trace are final: {retried:?}");
    let said = output(replay(&file, &service.http, &["--rate", "1000/s", "--jobs", "5"]));
    assert!(said.contains("5 jobs ended"), "{said}");
    assert_eq!(service.terminate(), Some(0));
}

/// A port that is free, for a service that comes back under its address.
fn free_port() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").to_string()
}

#[test]
fn a_service_that_is_killed_again_and_again_runs_every_job_to_its_end() {
    const TASKS: usize = 200;
    const ATTEMPTS: usize = 4;
    const KILLS: usize = 5;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = trace(folder.path(), TASKS, ATTEMPTS);
    let data = folder.path().join("data");
    let posts: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
    let (told, posted) = mpsc::channel();
    let counts = posts.clone();
    let hook = Hook::start(move |body| {
        let id = operation_id(body);
        let mut counts = counts.lock().expect("no panic");
        let count = counts.entry(id.clone()).or_default();
        *count += 1;
        let first = *count == 1;
        drop(counts);
        // The test may have what it wants already.
        let _ = told.send(());
        // Some fail at first, in a way that is worth another attempt.
        if first && id.starts_with(['0', '1']) { 500 } else { 200 }
    });
    let address = free_port();
    let options = [
        "--http",
        address.as_str(),
        "--capacity",
        "12",
        "--retry-first-s",
        "0.02",
        "--retry-max-s",
        "0.1",
        "--retry-max",
        "100",
    ];
    let start = || Service::start(&data, &options);
    let mut service = start();
    let url = service.http.clone();
    let driver = replay(&file, &url, &["--rate", "2000/s", "--webhook", &hook.url]);
    for _ in 0..KILLS {
        for _ in 0..TASKS * ATTEMPTS / (KILLS + 2) {
            posted.recv().expect("the hook counts");
        }
        service.kill();
        service = start();
    }
    let said = output(driver);
    let jobs = TASKS * ATTEMPTS;
    assert!(said.contains(&format!("{jobs} jobs ended")), "{said}");

    let rows = service.sql("SELECT asyncoperationid, statuscode, dependencytoken, sequence, retrycount FROM asyncoperation ORDER BY sequence");
    assert_eq!(rows.len(), jobs, "no job is lost, none is there twice");
    assert!(rows.iter().all(|row| row["statuscode"] == 30), "every job ran to its end");
    let retries: i64 = rows.iter().map(|row| row["retrycount"].as_i64().expect("a number")).sum();
    assert!(retries > 0, "it was killed in the middle of something");
    let posts = posts.lock().expect("no panic");
    let text = |row: &Value, name: &str| row[name].as_str().expect("a text").to_lowercase();
    assert!(rows.iter().all(|row| posts.contains_key(&text(row, "asyncoperationid"))));

    check_history(&service, &rows);
    assert_eq!(service.terminate(), Some(0));
}

/// Attempts of a job never overlap and are numbered in order, a job ends once, and
/// those with one token run one after the other in the order of their creation.
fn check_history(service: &Service, jobs: &[Value]) {
    let history = service.sql(
        "SELECT jobhistoryid, asyncoperationid, fromstatecode, tostatecode, tostatuscode, attempt \
         FROM jobhistory ORDER BY jobhistoryid",
    );
    let id = |row: &Value| row["asyncoperationid"].as_str().expect("an id").to_owned();
    let mut of_job: HashMap<String, Vec<&Value>> = HashMap::new();
    for row in &history {
        of_job.entry(id(row)).or_default().push(row);
    }
    let number = |row: &Value, name: &str| row[name].as_i64();
    let mut spans: BTreeMap<String, Vec<(i64, i64)>> = BTreeMap::new();
    for job in jobs {
        let rows = &of_job[&id(job)];
        let mut attempts = 0;
        let (mut state, mut first_start) = (None, None);
        for row in rows {
            assert_eq!(number(row, "fromstatecode"), state, "no transition is missing: {rows:?}");
            assert_ne!(state, Some(3), "nothing comes after the end: {rows:?}");
            if number(row, "tostatecode") == Some(2) {
                attempts += 1;
                assert_ne!(state, Some(2), "one attempt at a time: {rows:?}");
                assert_eq!(number(row, "attempt"), Some(attempts), "{rows:?}");
                first_start = first_start.or(number(row, "jobhistoryid"));
            }
            state = number(row, "tostatecode");
        }
        let last = rows.last().expect("history");
        assert_eq!(number(last, "tostatuscode"), Some(30));
        let span = (first_start.expect("a start"), number(last, "jobhistoryid").expect("a number"));
        let token = job["dependencytoken"].as_str().expect("every task has several attempts");
        spans.entry(token.to_owned()).or_default().push(span);
    }
    for (token, spans) in spans {
        let in_order = spans.windows(2).all(|pair| pair[0].1 < pair[1].0);
        assert!(in_order, "jobs of token {token} overlap or swap: {spans:?}");
    }
}
