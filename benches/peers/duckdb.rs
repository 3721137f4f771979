//! DuckDB, through its Python package in an environment of its own below `target/`.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::dataset::{Dataset, TABLES, create};
use super::measure::Times;

const CLIENT: &str = include_str!("duckdb_client.py");

pub struct DuckDb {
    process: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    pub file: PathBuf,
}

/// The interpreter that has the package; made on the first run. `None` where that
/// does not work.
fn python() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers-venv");
    let python = folder.join("bin/python");
    let has_it = |python: &Path| {
        // Not there at all is not there.
        let status =
            Command::new(python).args(["-c", "import duckdb"]).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    if !has_it(&python) {
        let run = |command: &mut Command| {
            command.stdout(Stdio::null()).status().is_ok_and(|status| status.success())
        };
        let made = run(Command::new("python3").args(["-m", "venv"]).arg(&folder))
            && run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "duckdb"]));
        if !made {
            return None;
        }
    }
    has_it(&python).then_some(python)
}

impl DuckDb {
    /// `None` where Python or its package is missing.
    pub fn start(folder: &Path) -> Option<Self> {
        let python = python()?;
        let script = folder.join("duckdb_client.py");
        std::fs::write(&script, CLIENT).expect("written");
        let file = folder.join("peer.duckdb");
        let mut process = Command::new(python)
            .arg(&script)
            .arg(&file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let requests = process.stdin.take().expect("piped");
        let answers = BufReader::new(process.stdout.take().expect("piped"));
        Some(Self { process, requests, answers, file })
    }

    fn request(&mut self, request: &Value) -> Times {
        writeln!(self.requests, "{request}").map_err(|e| e.to_string())?;
        let mut line = String::new();
        self.answers.read_line(&mut line).map_err(|e| e.to_string())?;
        let answer: Value = serde_json::from_str(&line).map_err(|e| e.to_string())?;
        match answer["ns"].as_array() {
            Some(times) => {
                Ok(times.iter().filter_map(Value::as_u64).map(Duration::from_nanos).collect())
            }
            None => Err(answer["error"].as_str().unwrap_or("no answer").to_owned()),
        }
    }

    /// Asks several times, after once to warm the caches.
    pub fn ask(&mut self, text: &str, repeats: usize) -> Times {
        self.request(&json!({ "text": text, "repeats": repeats }))
    }

    /// Asks in a loop from several threads at once.
    pub fn crowd(&mut self, text: &str, clients: usize, lasting: Duration) -> Times {
        let seconds = lasting.as_secs_f64();
        self.request(&json!({ "text": text, "clients": clients, "seconds": seconds }))
    }

    /// Runs a statement once.
    fn run(&mut self, text: &str) -> Duration {
        let times = self.request(&json!({ "text": text, "repeats": 1, "warm": false }));
        times.expect("DuckDB runs it")[0]
    }

    /// Loads both tables from the files, CSV or Parquet; how long `COPY` took.
    pub fn load(&mut self, dataset: &Dataset, parquet: bool) -> Duration {
        let mut took = Duration::ZERO;
        for (table, (name, _)) in TABLES.iter().enumerate() {
            self.run(&format!("DROP TABLE IF EXISTS {name}"));
            self.run(&create(table, ""));
            let (file, options) = match parquet {
                true => (dataset.parquet(table), "FORMAT parquet"),
                false => (dataset.csv(table), "FORMAT csv, HEADER"),
            };
            took += self.run(&format!("COPY {name} FROM '{}' ({options})", file.display()));
        }
        took += self.run("CHECKPOINT");
        took
    }
}

impl Drop for DuckDb {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
