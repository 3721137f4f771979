//! The same jobs from outside, over HTTP: a service in a process of its own, and
//! clients that create, claim and complete.

use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};

use super::http::Connection;
use super::queue::MEASURED;
use super::sysjob::Server;

/// Clients, and the jobs that each has in flight at once.
const LOADS: [(usize, usize); 3] = [(1, 1), (8, 1), (8, 100)];

pub async fn run(folder: &Path) {
    let server = Server::start(folder, &["--capacity", "20000"]);
    for (clients, batch) in LOADS {
        let http = server.http.clone();
        let rate = tokio::task::spawn_blocking(move || rate(&http, clients, batch)).await;
        let rate = rate.expect("it ends");
        println!("sysjob over HTTP, {clients} clients with {batch} jobs at once: {rate:.0} jobs/s");
    }
    server.stop();
}

fn rate(http: &str, clients: usize, batch: usize) -> f64 {
    let start = Instant::now();
    let working: Vec<_> = (0..clients)
        .map(|_| {
            let http = http.to_owned();
            std::thread::spawn(move || client(&http, batch, start))
        })
        .collect();
    let done: usize = working.into_iter().map(|client| client.join().expect("it ends")).sum();
    done as f64 / start.elapsed().as_secs_f64()
}

/// One client; the jobs that it has ended.
fn client(http: &str, batch: usize, start: Instant) -> usize {
    let mut connection = Connection::open(http);
    let job =
        json!({ "name": "A job of the bench", "operationtype": 10, "handler": { "worker": {} } });
    let jobs = json!(vec![job; batch]).to_string();
    let claim = json!({ "worker": "bench", "max": batch, "lease_s": 60 }).to_string();
    let mut done = 0;
    while start.elapsed() < MEASURED {
        let (status, _) = connection.post("/sysjob/jobs", &jobs);
        assert_eq!(status, 201, "created");
        let (_, claimed) = connection.post("/sysjob/claim", &claim);
        let ends: Vec<Value> = claimed
            .as_array()
            .into_iter()
            .flatten()
            .map(|job| {
                json!({
                    "asyncoperationid": job["asyncoperationid"],
                    "attempt": job["attempt"],
                    "outcome": "succeeded",
                })
            })
            .collect();
        if ends.is_empty() {
            continue;
        }
        let (status, _) = connection.post("/sysjob/complete", &json!(ends).to_string());
        assert_eq!(status, 200, "ended");
        done += ends.len();
    }
    done
}
