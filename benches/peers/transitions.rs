//! Simulated jobs at a steady rate, so that the table changes while it is asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::json;

use super::http::Connection;

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

impl Transitions {
    /// `None` where the service takes no jobs.
    pub fn start(http: &str) -> Option<Self> {
        let mut connection = Connection::open(http);
        let simulated = json!({ "simulate": { "duration_ms": 50, "outcome": "succeed" } });
        let job = json!({ "name": "Load", "operationtype": 10, "handler": simulated });
        let body = json!(vec![job; JOBS_PER_POST]).to_string();
        if connection.post("/sysjob/jobs", &body).0 != 201 {
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
                    let (status, _) = connection.post("/sysjob/jobs", &body);
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
