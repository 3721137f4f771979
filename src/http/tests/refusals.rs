//! What is refused, and how it is named.

use super::{fetch, job_id, server};
use crate::value::guid_text;

#[test]
fn errors_name_what_is_wrong() {
    let server = server(1);
    let entity = fetch("<fetch><entity name='workflow'/></fetch>");
    let unknown = fetch("<fetch><entity name='asyncoperatio'/></fetch>");
    let typo = fetch(
        "<fetch>\n<entity name='asyncoperation'>\n<attribute name='statuscod'/></entity></fetch>",
    );
    for (path, status, code, part) in [
        ("asyncoperation", 404, "0x8006088a", "'asyncoperations'"),
        ("asyncoperations?$select=nam", 400, "0x80060888", "'name'"),
        ("asyncoperations?$search=x", 400, "", "$search"),
        ("asyncoperations?$skiptoken=7", 400, "0x8004112a", "$skiptoken"),
        (&entity, 400, "0x80041128", "'workflow'"),
        (&unknown, 400, "0x80041102", "'asyncoperation'"),
        (&typo, 400, "0x80041103", "line 3: attribute 'statuscod'"),
        ("$batch", 405, "0x80040315", "'$batch'"),
    ] {
        let answer = server.get(path, &[]);
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
        assert!(answer.message().contains(part), "{path}: {}", answer.text);
        let given = answer.json()["error"]["code"].as_str().expect("text").to_owned();
        assert!(code.is_empty() || given == code, "{path}: {given}");
    }
    let old = server.send("GET", "/api/data/v8.2/asyncoperations", &[], "");
    assert_eq!((old.status, old.message().contains("'v8.2'")), (404, true));
    assert_eq!(server.send("GET", "/nowhere", &[], "").status, 404);
    let long = format!("asyncoperations?$filter={}", "x".repeat(33_000));
    assert_eq!(server.get(&long, &[]).status, 414);
}

#[test]
fn a_body_beyond_the_limit_is_refused() {
    let server = server(0);
    let body = "x".repeat(crate::service::Limits::default().body_bytes + 1);
    let answer = server.send("POST", "/api/data/v9.2/asyncoperations/$query", &[], &body);
    assert_eq!(answer.status, 413, "{}", answer.text);
    assert!(answer.message().contains("67108864 bytes"), "{}", answer.text);
}

#[test]
fn a_body_that_is_compressed_is_refused_as_that() {
    let server = server(0);
    let headers = [("Content-Type", "application/json"), ("Content-Encoding", "gzip")];
    let answer = server.send("POST", "/sysjob/jobs", &headers, "x");
    assert_eq!(answer.status, 415, "{}", answer.text);
    assert!(answer.message().contains("'gzip'"), "{}", answer.text);
}

#[test]
fn other_methods_are_refused_by_name() {
    let server = server(1);
    let row = format!("/api/data/v9.2/asyncoperations({})", guid_text(&job_id(0)));
    for (method, path, status, part) in [
        ("POST", "/api/data/v9.2/asyncoperations", 405, "'Create'"),
        ("DELETE", "/api/data/v9.2/asyncoperations", 405, "DELETE"),
        ("PUT", row.as_str(), 405, "PUT"),
        ("POST", row.as_str(), 405, "POST"),
        ("GET", "/api/data/v9.2/asyncoperations/$query", 405, "POST"),
        ("POST", "/api/data/v9.2/WhoAmI", 405, "'WhoAmI' does not take POST"),
        ("GET", "/api/data/v9.2/BulkDelete", 405, "POST"),
        ("GET", "/api/data/v9.2/accounts/Microsoft.Dynamics.CRM.CreateMultiple", 405, "POST"),
        ("POST", "/healthz", 405, "/healthz"),
    ] {
        let answer = server.send(method, path, &[], "");
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
        assert!(answer.message().contains(part), "{method} {path}: {}", answer.text);
    }
}
