//! The limits of a service, met from outside: each has an error of its own, and
//! the service goes on.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use crate::support::Service;
use serde_json::json;

/// A service over two thousand users.
fn service(options: &[&str]) -> (Service, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("systemuser.csv");
    let row = |i| format!("00000000-0000-0000-0000-{i:012},user {i}\n");
    let users = "systemuserid,fullname\n".to_owned() + &(0..2000).map(row).collect::<String>();
    fs::write(&file, users).expect("written");
    let data = folder.path().join("jobs");
    let done = Command::new(env!("CARGO_BIN_EXE_sysjob"))
        .args(["import", "--data-dir"])
        .args([&data, &file])
        .output()
        .expect("sysjob runs");
    assert!(done.status.success(), "{done:?}");
    (Service::start(&data, &[&["--no-scheduler"], options].concat()), folder)
}

fn connect(service: &Service) -> TcpStream {
    TcpStream::connect(service.http.trim_start_matches("http://")).expect("connected")
}

/// What comes until the service closes the connection.
fn rest(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    // A connection that is cut off is closed, too.
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Sends a request as it is, and reads what comes.
fn exchange(service: &Service, request: &str) -> String {
    let mut stream = connect(service);
    stream.write_all(request.as_bytes()).expect("sent");
    rest(stream)
}

fn question(sql: &str) -> String {
    let body = json!({ "text": sql }).to_string();
    format!(
        "POST /sysjob/query HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn clients_that_keep_the_service_waiting_are_given_up() {
    let (service, _folder) = service(&["--header-timeout", "0.2", "--idle-timeout", "0.2"]);
    assert_eq!(rest(connect(&service)), "", "nothing sent");
    assert_eq!(exchange(&service, "GET /healthz HT"), "", "half a head");
    let whole = exchange(&service, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(whole.starts_with("HTTP/1.1 200") && whole.ends_with("ok\n"), "{whole}");
    let body = "POST /sysjob/query HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    let answer = exchange(&service, body);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "half a body: {answer}");
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn connections_beyond_the_limit_are_told_so() {
    let (service, _folder) = service(&["--max-connections", "1"]);
    let mut first = connect(&service);
    let request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    first.write_all(request).expect("sent");
    assert!(first.read(&mut [0; 1000]).expect("an answer") > 0);
    let refused = exchange(&service, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    assert!(refused.contains("--max-connections"), "{refused}");
    first.write_all(request).expect("sent");
    assert!(first.read(&mut [0; 1000]).expect("an answer") > 0, "the first goes on");

    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let config = format!("host=127.0.0.1 port={} user=x dbname=sysjob", service.pg_port);
        let (client, connection) =
            tokio_postgres::connect(&config, tokio_postgres::NoTls).await.expect("the first");
        tokio::spawn(connection);
        let second = tokio_postgres::connect(&config, tokio_postgres::NoTls).await;
        let error = second.err().expect("one too many");
        assert_eq!(error.code().map(|code| code.code()), Some("53300"), "{error:?}");
        client.simple_query("SELECT 1 AS x").await.expect("the first goes on");
    });
}

#[test]
fn queries_beyond_their_limits_end() {
    // Eight thousand million rows, none of which can be left out.
    let sql = "SELECT MAX(c.fullname) AS x FROM systemuser a \
        JOIN systemuser b ON a.fullname <= b.fullname OR a.fullname > b.fullname \
        JOIN systemuser c ON a.fullname <= c.fullname OR b.fullname > c.fullname";
    let (limited, _folder) = service(&["--query-timeout", "0.05"]);
    let answer = exchange(&limited, &question(sql));
    assert!(answer.starts_with("HTTP/1.1 500") && answer.contains("0x80044151"), "{answer}");
    assert!(answer.contains("--query-timeout"), "{answer}");
    if let Some((ok, _, err)) = limited.psql(&["-v", "VERBOSITY=verbose", "-c", sql]) {
        assert!(!ok && err.contains("57014") && err.contains("--query-timeout"), "{err}");
    }
    let fine = exchange(&limited, &question("SELECT 1 AS x"));
    assert!(fine.starts_with("HTTP/1.1 200"), "{fine}");

    let (limited, _folder) = service(&["--query-memory", "10"]);
    let sql = "SELECT fullname, COUNT(*) AS jobs FROM systemuser GROUP BY fullname";
    let answer = exchange(&limited, &question(sql));
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("--query-memory"), "{answer}");
    if let Some((ok, _, err)) = limited.psql(&["-v", "VERBOSITY=verbose", "-c", sql]) {
        assert!(!ok && err.contains("53200") && err.contains("--query-memory"), "{err}");
    }
    let (status, answer) = limited.get("systemusers", &[("$apply", "groupby((fullname))")]);
    assert_eq!(status, 400, "{answer}");
    assert!(answer["error"]["message"].to_string().contains("--query-memory"), "{answer}");
}

#[test]
fn addresses_and_bodies_have_a_length() {
    let (service, _folder) = service(&["--max-url-bytes", "100", "--max-body-bytes", "100"]);
    let (status, answer) = service.get("systemusers", &[("$filter", &"x".repeat(100))]);
    assert_eq!(status, 414);
    assert!(answer["error"]["message"].to_string().contains("--max-url-bytes"), "{answer}");
    let body = format!("$filter=fullname eq '{}'", "x".repeat(100));
    let request = format!(
        "POST /api/data/v9.2/systemusers/$query HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = exchange(&service, &request);
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("100 bytes") && answer.contains("--max-body-bytes"), "{answer}");
    let answer = exchange(&service, &question(&format!("SELECT '{body}' AS x")));
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("100 bytes"), "{answer}");
}

#[test]
fn the_limits_of_dataverse_are_kept_on_demand() {
    let (service, _folder) = service(&["--dataverse-limits", "--odata-order", "standard"]);
    let request = "GET /api/data/v9.2/WhoAmI HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    for left in [5999, 5998] {
        let answer = exchange(&service, request);
        let header = format!("x-ms-ratelimit-burst-remaining-xrm-requests: {left}\r\n");
        assert!(answer.contains(&header), "{answer}");
    }
}
