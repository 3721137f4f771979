//! A server that webhooks post to.
#![allow(dead_code)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

/// Answers every request with the status that a function makes of its body.
pub struct Hook {
    pub url: String,
}

impl Hook {
    pub fn start(answer: impl Fn(&str) -> u16 + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let answer = Arc::new(answer);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let answer = answer.clone();
                thread::spawn(move || {
                    // A client that is killed breaks its connections off.
                    let _ = serve(&stream.expect("a connection"), &*answer);
                });
            }
        });
        Self { url }
    }
}

fn serve(stream: &TcpStream, answer: &dyn Fn(&str) -> u16) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if line == "\r\n" {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().expect("a length");
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let status = answer(&String::from_utf8(body).expect("text"));
        let mut stream = stream;
        stream.write_all(format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n").as_bytes())?;
    }
}

/// The job that a posted context is of.
pub fn operation_id(body: &str) -> String {
    let context: serde_json::Value = serde_json::from_str(body).expect("a context");
    context["OperationId"].as_str().expect("an OperationId").to_lowercase()
}
