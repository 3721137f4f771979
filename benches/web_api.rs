//! The Web API of a real process over one million jobs: requests a second and
//! their 99th percentile with 32 connections, and an export of all rows with the
//! memory it takes. `cargo bench --bench web_api` prints one line a figure.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sysjob::catalog::Catalog;
use sysjob::store::Store;

const CONNECTIONS: usize = 32;
const MEASURED: Duration = Duration::from_secs(10);

/// What clients send all the time.
const REQUESTS: [(&str, &str); 2] = [
    (
        "small filter",
        "/api/data/v9.2/asyncoperations?$select=name,statuscode&$filter=statecode%20eq%202%20and%20operationtype%20eq%2010&$top=10",
    ),
    (
        "count by state, status and type",
        "/api/data/v9.2/asyncoperations?$apply=groupby((statecode,statuscode,operationtype),aggregate($count%20as%20jobs))",
    ),
];

/// A running `sysjob serve`.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(folder: &std::path::Path) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_sysjob"))
            .args(["serve", "--no-scheduler", "--http", "127.0.0.1:0", "--pg", "127.0.0.1:0"])
            .arg("--data-dir")
            .arg(folder)
            .stdout(Stdio::piped())
            .spawn()
            .expect("sysjob starts");
        let output = BufReader::new(process.stdout.take().expect("piped"));
        let mut address = None;
        for line in output.lines() {
            let line = line.expect("text");
            if let Some(http) = line.strip_prefix("listening http ") {
                address = Some(http.to_owned());
            }
            if line == "ready" {
                break;
            }
        }
        Self { process, address: address.expect("an HTTP listener") }
    }

    /// A figure of `/proc/PID/status` in kilobytes.
    fn memory(&self, name: &str) -> u64 {
        let path = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|l| l.trim_matches([':', ' ', '\t', 'k', 'B']).parse().ok()).unwrap_or(0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// One connection that is kept open.
struct Client {
    stream: BufReader<TcpStream>,
    host: String,
}

impl Client {
    fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("the service listens");
        stream.set_nodelay(true).expect("a socket option");
        Self { stream: BufReader::new(stream), host: address.to_owned() }
    }

    /// Sends a GET and reads the answer to its end: its status and its body's bytes.
    fn get(&mut self, path: &str) -> (u16, u64) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.host);
        self.stream.get_mut().write_all(request.as_bytes()).expect("sent");
        let status = self.line().split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
        let mut length = None;
        loop {
            let line = self.line().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(bytes) = line.strip_prefix("content-length:") {
                length = bytes.trim().parse::<u64>().ok();
            }
        }
        let bytes = match length {
            Some(length) => self.skip(length),
            None => self.chunks(),
        };
        (status, bytes)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    fn skip(&mut self, bytes: u64) -> u64 {
        let mut body = (&mut self.stream).take(bytes);
        std::io::copy(&mut body, &mut std::io::sink()).expect("a body")
    }

    fn chunks(&mut self) -> u64 {
        let mut total = 0;
        loop {
            let size = u64::from_str_radix(&self.line(), 16).expect("the size of a chunk");
            total += self.skip(size);
            self.line();
            if size == 0 {
                return total;
            }
        }
    }
}

/// Milliseconds of every request that all connections together made.
fn load(address: &str, path: &str, duration: Duration) -> Vec<f64> {
    let threads: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (address, path) = (address.to_owned(), path.to_owned());
            std::thread::spawn(move || {
                let mut client = Client::connect(&address);
                let mut times = Vec::new();
                let end = Instant::now() + duration;
                while Instant::now() < end {
                    let start = Instant::now();
                    assert_eq!(client.get(&path).0, 200, "{path}");
                    times.push(start.elapsed().as_secs_f64() * 1000.0);
                }
                times
            })
        })
        .collect();
    let mut times: Vec<f64> =
        threads.into_iter().flat_map(|t| t.join().expect("a client ends")).collect();
    times.sort_by(f64::total_cmp);
    times
}

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    {
        let catalog = Arc::new(Catalog::built_in());
        support::fill(&Store::open(folder.path(), catalog).expect("a new store"));
    }
    let server = Server::start(folder.path());
    for (name, path) in REQUESTS {
        load(&server.address, path, Duration::from_secs(1));
        let times = load(&server.address, path, MEASURED);
        let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
        println!(
            "{name}: {:.0} requests/s over {CONNECTIONS} connections, median {:.2} ms, p99 {:.2} ms",
            times.len() as f64 / MEASURED.as_secs_f64(),
            at(0.5),
            at(0.99),
        );
    }
    for format in ["json", "csv", "arrow"] {
        let before = server.memory("VmRSS");
        let path = format!(
            "/api/data/v9.2/asyncoperations?$format={format}&$top={}&$select=name,statecode,statuscode,operationtype,createdon,_ownerid_value",
            support::JOBS
        );
        let start = Instant::now();
        let (status, bytes) = Client::connect(&server.address).get(&path);
        let took = start.elapsed().as_secs_f64();
        assert_eq!(status, 200, "{format}");
        println!(
            "export as {format}: {:.0} rows/s, {:.0} MB/s; resident before {} MB, at most {} MB since the start",
            support::JOBS as f64 / took,
            bytes as f64 / took / 1e6,
            before / 1024,
            server.memory("VmHWM") / 1024,
        );
    }
}
