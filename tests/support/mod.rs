//! What several test programs share: a store with the bundled trace, questions
//! in any dialect, and a real service process.
#![allow(dead_code)]

pub mod hook;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, LazyLock};

use sysjob::ask;
use sysjob::catalog::Catalog;
use sysjob::dialect::Dialect;
use sysjob::encode::{Format, RowWriter};
use sysjob::engine::Engine;
use sysjob::error::Result;
use sysjob::import::{Sink, trace};
use sysjob::query::Context;
use sysjob::store::{Appended, Snapshot, Store};

use datafusion::arrow::array::RecordBatch;
use serde_json::{Map, Value};

pub type Rows = Vec<Map<String, Value>>;

/// Puts imported rows into a store.
pub struct Into<'a>(pub &'a Store);

impl Sink for Into<'_> {
    fn append(&mut self, table: usize, batch: RecordBatch) -> Result<Appended> {
        self.0.append(table, &batch)
    }
}

/// A store in a folder that goes away with it, holding the bundled trace.
pub fn trace_store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(folder.path(), Arc::new(Catalog::built_in())).expect("a new store");
    let trace = trace::read_bundled().expect("the bundled trace");
    trace.history(store.catalog(), 0, None, &mut Into(&store)).expect("the trace loads");
    (folder, store)
}

/// The rows of an answer, which are the same with and without pre-aggregates.
pub async fn rows(
    engine: &Engine,
    snapshot: &Arc<Snapshot>,
    dialect: Dialect,
    text: &str,
) -> Result<Rows> {
    static ROW_BY_ROW: LazyLock<Engine> = LazyLock::new(Engine::row_by_row);
    let answer = answer(engine, snapshot, dialect, text).await?;
    // Asked twice, the time has another answer.
    if text.contains("GETUTCDATE") {
        return Ok(answer);
    }
    let scanned = self::answer(&ROW_BY_ROW, snapshot, dialect, text).await?;
    let sorted = |rows: &Rows| {
        let mut texts: Vec<String> = rows.iter().map(|row| format!("{row:?}")).collect();
        texts.sort();
        texts
    };
    assert_eq!(sorted(&answer), sorted(&scanned), "groups and rows differ: {text}");
    Ok(answer)
}

/// The same, asked once.
pub async fn answer(
    engine: &Engine,
    snapshot: &Arc<Snapshot>,
    dialect: Dialect,
    text: &str,
) -> Result<Rows> {
    let plan = ask::plan(engine, snapshot, Some(dialect), text, Context::default())?;
    let schema = engine.schema(plan.clone())?;
    let mut writer = RowWriter::new(Format::Json, &schema, Vec::new())?;
    for batch in engine.collect(plan).await? {
        writer.write(&batch)?;
    }
    Ok(serde_json::from_slice(&writer.finish()?).expect("JSON rows"))
}

/// A running `sysjob` process.
pub struct Service {
    child: Child,
    pub http: String,
    pub pg_port: String,
}

impl Service {
    /// Starts `sysjob serve` on free ports and waits until it is ready.
    pub fn start(data_dir: &Path, options: &[&str]) -> Self {
        Self::start_by(Command::new(env!("CARGO_BIN_EXE_sysjob")), data_dir, options)
    }

    /// The same by a command that runs `sysjob` with the arguments it is given.
    pub fn start_by(mut command: Command, data_dir: &Path, options: &[&str]) -> Self {
        let mut child = command
            .args(["serve", "--pg", "127.0.0.1:0", "--data-dir"])
            .arg(data_dir)
            .args(options)
            .args(if options.contains(&"--http") { &[][..] } else { &["--http", "127.0.0.1:0"] })
            .stdout(Stdio::piped())
            .spawn()
            .expect("sysjob starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let (mut http, mut pg) = (None, None);
        loop {
            let line = lines.next().expect("sysjob says ready").expect("text");
            match line.split_once(' ') {
                Some(("listening", rest)) => match rest.split_once(' ') {
                    Some((scheme @ ("http" | "https"), address)) => {
                        http = Some(format!("{scheme}://{address}"));
                    }
                    Some(("pg", address)) => pg = address.rsplit(':').next().map(str::to_owned),
                    _ => panic!("an unknown listener: {line}"),
                },
                _ if line == "ready" => break,
                _ => {}
            }
        }
        let http = http.expect("an HTTP listener");
        Self { child, http, pg_port: pg.expect("a SQL listener") }
    }

    /// As a power cut would: `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().expect("the process is there");
        self.child.wait().expect("the process ends");
    }

    /// SIGTERM, and the exit code.
    pub fn terminate(mut self) -> Option<i32> {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status().expect("kill runs");
        assert!(sent.success());
        self.child.wait().expect("the process ends").code()
    }

    /// GET below `/api/data/v9.2/` with query parameters; status and JSON body.
    pub fn get(&self, path: &str, parameters: &[(&str, &str)]) -> (u16, Value) {
        let url = format!("{}/api/data/v9.2/{path}", self.http);
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut request = agent.get(&url);
        for (name, value) in parameters {
            request = request.query(*name, *value);
        }
        let mut response = request.call().expect("an answer");
        let text = response.body_mut().read_to_string().expect("a body");
        let status = response.status().as_u16();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// POST to a path below the service's address; status and JSON body.
    pub fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let request = agent.post(format!("{}{path}", self.http));
        let request = request.header("content-type", "application/json");
        let mut response = request.send(body.to_string()).expect("an answer");
        let text = response.body_mut().read_to_string().expect("a body");
        let status = response.status().as_u16();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// The rows that a SQL query finds.
    pub fn sql(&self, text: &str) -> Vec<Value> {
        let body = serde_json::json!({ "dialect": "sql", "text": text, "format": "json" });
        let (status, answer) = self.post("/sysjob/query", &body);
        assert_eq!(status, 200, "{text}: {answer}");
        answer.as_array().unwrap_or_else(|| panic!("rows: {answer}")).clone()
    }

    /// `psql` on the service, aligned off: exit code, output and errors. Nothing
    /// if this machine has no psql.
    pub fn psql(&self, arguments: &[&str]) -> Option<(bool, String, String)> {
        let output = Command::new("psql")
            .args(["-X", "-h", "127.0.0.1", "-p", &self.pg_port, "-d", "sysjob", "-A", "-F", "|"])
            .args(arguments)
            .output();
        match output {
            Ok(output) => Some((
                output.status.success(),
                String::from_utf8_lossy(&output.stdout).into_owned(),
                String::from_utf8_lossy(&output.stderr).into_owned(),
            )),
            Err(e) => {
                println!("skipped: psql does not run here ({e})");
                None
            }
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
