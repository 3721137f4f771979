//! POST requests over a connection that is kept open.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use serde_json::Value;

pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub fn open(http: &str) -> Self {
        let address = http.strip_prefix("http://").unwrap_or(http);
        let stream = TcpStream::connect(address).expect("the service listens");
        stream.set_nodelay(true).expect("a socket option");
        Self { stream: BufReader::new(stream) }
    }

    /// The status of the answer, and its body.
    pub fn post(&mut self, path: &str, body: &str) -> (u16, Value) {
        self.exchange(path, body).expect("answered")
    }

    fn exchange(&mut self, path: &str, body: &str) -> std::io::Result<(u16, Value)> {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let mut length = 0;
        while !line.trim().is_empty() {
            line.clear();
            self.stream.read_line(&mut line)?;
            if let Some(bytes) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = bytes.trim().parse().unwrap_or(0);
            }
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer)?;
        Ok((status, serde_json::from_slice(&answer).unwrap_or_default()))
    }
}
