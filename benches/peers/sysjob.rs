//! A running `sysjob serve`, and imports.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::wire::Wire;

pub struct Server {
    process: Child,
    pub wire: Wire,
    pub http: String,
    /// From its start to `ready`.
    pub started_in: Duration,
}

impl Server {
    /// Serves a folder, with further options.
    pub fn start(data: &Path, options: &[&str]) -> Self {
        let start = Instant::now();
        let mut process = Command::new(env!("CARGO_BIN_EXE_sysjob"))
            .args(["serve", "--http", "127.0.0.1:0", "--pg", "127.0.0.1:0"])
            .args(options)
            .arg("--data-dir")
            .arg(data)
            .stdout(Stdio::piped())
            .spawn()
            .expect("sysjob starts");
        let output = BufReader::new(process.stdout.take().expect("piped"));
        let (mut http, mut port) = (String::new(), String::new());
        for line in output.lines() {
            let line = line.expect("text");
            if let Some(address) = line.strip_prefix("listening pg ") {
                port = address.rsplit(':').next().unwrap_or_default().to_owned();
            }
            if let Some(address) = line.strip_prefix("listening http ") {
                http = format!("http://{address}");
            }
            if line == "ready" {
                break;
            }
        }
        let started_in = start.elapsed();
        let config = format!("host=127.0.0.1 port={port} user=bench dbname=sysjob");
        Self { process, wire: Wire { config }, http, started_in }
    }

    /// Its memory in bytes.
    pub fn resident(&self) -> u64 {
        let path = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes: Option<u64> =
            line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        kilobytes.unwrap_or(0) * 1024
    }

    /// Stops it in order, so that its folder can be opened again.
    pub fn stop(mut self) {
        let id = self.process.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &id]).status();
        let _ = self.process.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `sysjob import` of some files into a folder; how long it took.
pub fn import(data: &Path, files: &[PathBuf]) -> Duration {
    let start = Instant::now();
    let done = Command::new(env!("CARGO_BIN_EXE_sysjob"))
        .args(["import", "--data-dir"])
        .arg(data)
        .args(files)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("sysjob starts");
    assert!(done.success(), "the import failed");
    start.elapsed()
}

/// What all files below a folder take on disk: a journal is longer than what was
/// written to it.
pub fn bytes_below(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(m) if m.is_dir() => bytes_below(&entry.path()),
            Ok(m) => m.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}
