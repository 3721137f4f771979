//! Simulated jobs at a steady rate, so that the table changes while it is asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::json;

/// Transitions a second: each job is created, starts and ends.
const RATE: usize = 5_000;
const POSTS_PER_SECOND: usize = 20;
const JOBS_PER_POST: usize = RATE / 3 / POSTS_PER_SECOND;

/// Sends jobs until it is dropped; only while it is not paused.
pub struct Transitions {
    paused: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
    jobs: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

/// One POST over a connection that is kept open; the status of its answer.
fn post(stream: &mut BufReader<TcpStream>, path: &str, body: &str) -> std::io::Result<u16> {
    write!(
        stream.get_mut(),
        "POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let mut length = 0;
    while line.trim() != "" {
        line.clear();
        stream.read_line(&mut line)?;
        if let Some(bytes) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = bytes.trim().parse().unwrap_or(0);
        }
    }
    std::io::copy(&mut stream.take(length), &mut std::io::sink())?;
    Ok(status)
}

impl Transitions {
    /// `None` where the service takes no jobs.
    pub fn start(http: &str) -> Option<Self> {
        let address = http.strip_prefix("http://").unwrap_or(http);
        let connection = TcpStream::connect(address).expect("the service listens");
        connection.set_nodelay(true).expect("a socket option");
        let mut stream = BufReader::new(connection);
        let simulated = json!({ "simulate": { "duration_ms": 50, "outcome": "succeed" } });
        let job = json!({ "name": "Load", "operationtype": 10, "handler": simulated });
        let body = json!(vec![job; JOBS_PER_POST]).to_string();
        if post(&mut stream, "/sysjob/jobs", &body).ok()? != 201 {
            return None;
        }
        let (paused, ended) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
        let jobs = Arc::new(AtomicU64::new(0));
        let (pause, end, count) = (paused.clone(), ended.clone(), jobs.clone());
        let thread = std::thread::spawn(move || {
            let every = Duration::from_secs(1) / POSTS_PER_SECOND as u32;
            let mut next = Instant::now();
            while !end.load(Ordering::Relaxed) {
                if !pause.load(Ordering::Relaxed) {
                    let status = post(&mut stream, "/sysjob/jobs", &body).expect("answered");
                    assert_eq!(status, 201, "the service takes jobs");
                    count.fetch_add(JOBS_PER_POST as u64, Ordering::Relaxed);
                }
                // One that is late does not catch up.
                next = (next + every).max(Instant::now());
                std::thread::sleep(next - Instant::now());
            }
        });
        Some(Self { paused, ended, jobs, thread: Some(thread) })
    }

    pub fn pause(&self, paused: bool) {
        self.paused.store(paused, Ordering::Relaxed);
    }

    /// Jobs sent so far.
    pub fn jobs(&self) -> u64 {
        self.jobs.load(Ordering::Relaxed)
    }
}

impl Drop for Transitions {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It has told why it failed.
            let _ = thread.join();
        }
    }
}
