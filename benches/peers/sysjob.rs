//! A running `sysjob serve` over a table that stands still.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tokio_postgres::{Client, NoTls};

pub struct Server {
    process: Child,
    port: String,
}

impl Server {
    pub fn start(data: &Path) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_sysjob"))
            .args(["serve", "--no-scheduler", "--http", "127.0.0.1:0", "--pg", "127.0.0.1:0"])
            .arg("--data-dir")
            .arg(data)
            .stdout(Stdio::piped())
            .spawn()
            .expect("sysjob starts");
        let output = BufReader::new(process.stdout.take().expect("piped"));
        let mut port = None;
        for line in output.lines() {
            let line = line.expect("text");
            if let Some(address) = line.strip_prefix("listening pg ") {
                port = address.rsplit(':').next().map(str::to_owned);
            }
            if line == "ready" {
                break;
            }
        }
        Self { process, port: port.expect("a SQL listener") }
    }

    pub async fn connect(&self) -> Client {
        connect(&format!("host=127.0.0.1 port={} user=bench dbname=sysjob", self.port)).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A connection whose own task ends with it.
pub async fn connect(config: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(config, NoTls).await.expect("connected");
    tokio::spawn(connection);
    client
}
