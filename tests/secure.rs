//! What guards a service, met from outside: certificates.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output};

use support::Service;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

const JOBS: &str = "asyncoperationid,name,statecode,statuscode\n\
    00000000-0000-0000-0000-000000000001,first,0,0\n\
    00000000-0000-0000-0000-000000000002,second,3,30\n";

/// A data folder with two jobs.
fn jobs() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("asyncoperation.csv");
    fs::write(&file, JOBS).expect("written");
    let (data, file) = (folder.path().join("jobs"), file.display().to_string());
    let done = sysjob(&["import", "--data-dir", &data.display().to_string(), &file]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    folder
}

fn sysjob(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sysjob")).args(arguments).output().expect("sysjob runs")
}

fn error(output: &Output) -> String {
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A client that trusts one certificate only.
fn agent(certificate: &Path) -> ureq::Agent {
    let pem = fs::read(certificate).expect("readable");
    let roots = RootCerts::from(vec![Certificate::from_pem(&pem).expect("PEM")]);
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let tls =
        TlsConfig::builder().unversioned_rustls_crypto_provider(provider).root_certs(roots).build();
    ureq::Agent::config_builder().http_status_as_error(false).tls_config(tls).build().into()
}

#[test]
fn everything_is_served_over_tls() {
    let folder = jobs();
    let data = folder.path().join("jobs");
    let service = Service::start(&data, &["--no-scheduler", "--tls", "auto"]);
    let certificate = data.join("tls/cert.pem");
    assert!(service.http.starts_with("https://127.0.0.1:"), "{}", service.http);

    // Links lead back to https, whatever a client claims about proxies.
    let client = agent(&certificate);
    let url = format!("{}/api/data/v9.2/asyncoperations?$select=name", service.http);
    let request = client
        .get(&url)
        .header("prefer", "odata.maxpagesize=1")
        .header("x-forwarded-proto", "gopher");
    let page = request.call().expect("an answer").body_mut().read_to_string().expect("text");
    let page: serde_json::Value = serde_json::from_str(&page).expect("JSON");
    let base = format!("{}/api/data/v9.2/", service.http);
    assert_eq!(page["@odata.context"], format!("{base}$metadata#asyncoperations(name)"));
    let next = page["@odata.nextLink"].as_str().expect("a second page");
    assert!(next.starts_with(&base), "{next}");
    let second = client.get(next).call().expect("an answer").body_mut().read_to_string();
    assert!(second.expect("text").contains("second"));

    // By name as well as by address; a stranger's certificate is not trusted.
    let named = url.replace("127.0.0.1", "localhost");
    assert_eq!(client.get(&named).call().expect("an answer").status(), 200);
    let pem = certificate.display().to_string();
    let question = ["query", "-e", "SELECT COUNT(*) AS jobs FROM asyncoperation"];
    let ask = |more: &[&str]| sysjob(&[&question[..], &["--url", &service.http], more].concat());
    let answer = ask(&["--cacert", &pem, "--format", "csv"]);
    assert_eq!(String::from_utf8_lossy(&answer.stdout), "jobs\n2\n", "{answer:?}");
    let stranger = tempfile::tempdir().expect("a folder");
    let hosts = ["127.0.0.1".to_owned()];
    let stranger = sysjob::tls::CertificateFiles::own(stranger.path(), &hosts).expect("made");
    let refused = error(&ask(&["--cacert", &stranger.certificate.display().to_string()]));
    assert!(refused.contains("no answer from https://"), "{refused}");
    let refused = error(&ask(&["--cacert", "/nowhere.pem"]));
    assert!(refused.contains("'/nowhere.pem' cannot be read"), "{refused}");

    // Who speaks plain HTTP is told, and harms nobody.
    let address = service.http.trim_start_matches("https://");
    let mut plain = TcpStream::connect(address).expect("connected");
    plain.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
    let mut answer = String::new();
    plain.read_to_string(&mut answer).expect("text");
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("https only"), "{answer}");

    // curl and psql bring TLS of their own.
    match Command::new("curl").args(["-sS", "--cacert", &pem, &url]).output() {
        Ok(output) => {
            assert!(output.status.success(), "{output:?}");
            assert!(String::from_utf8_lossy(&output.stdout).contains("first"));
        }
        Err(e) => println!("skipped: curl does not run here ({e})"),
    }
    let verified = format!(
        "host=127.0.0.1 port={} dbname=sysjob user=x sslmode=verify-full sslrootcert={pem}",
        service.pg_port
    );
    let sql = "SELECT name FROM asyncoperation ORDER BY name";
    if let Some((ok, out, err)) = service.psql(&["-t", "-c", sql, &verified]) {
        assert!(ok, "{err}");
        assert_eq!(out, "first\nsecond\n");
    }
    assert_eq!(service.terminate(), Some(0));

    // The certificate stays the same.
    let before = fs::read(&certificate).expect("readable");
    let again = Service::start(&data, &["--no-scheduler", "--tls", "auto"]);
    assert_eq!(agent(&certificate).get(&again.http).call().expect("an answer").status(), 404);
    assert_eq!(fs::read(&certificate).expect("readable"), before);
}

#[test]
fn a_certificate_that_cannot_be_used_ends_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = folder.path().join("text.pem");
    fs::write(&text, "nothing").expect("written");
    let (text, data) = (text.display().to_string(), folder.path().join("jobs"));
    let data = data.display().to_string();
    let serve = ["serve", "--http", "127.0.0.1:0", "--pg", "127.0.0.1:0", "--data-dir", &data];
    for (options, part) in [
        (&["--tls-cert", &text, "--tls-key", &text][..], "text.pem' holds no PEM certificate"),
        (&["--tls-cert", &text], "--tls-key"),
        (&["--tls", "auto", "--tls-cert", &text, "--tls-key", &text], "cannot be used with"),
        (&["--tls", "maybe"], "auto"),
    ] {
        let refused = error(&sysjob(&[&serve[..], options].concat()));
        assert!(refused.contains(part), "{options:?}: {refused}");
    }
}
