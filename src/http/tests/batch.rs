//! `$batch`, as the known clients send it and read its answer.

use serde_json::{Value as Json, json};

use super::{Answer, Server, job_id, server};
use crate::value::guid_text;

/// The status, headers and body of each part; parts of change sets too.
fn parts(answer: &Answer) -> Vec<(u16, String, String)> {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let kind = answer.header("content-type");
    let boundary = kind.split_once("boundary=").expect("a boundary").1;
    assert!(boundary.starts_with("batchresponse_"), "{kind}");
    assert!(answer.text.starts_with(&format!("--{boundary}\r\n")), "{}", answer.text);
    assert!(answer.text.ends_with(&format!("--{boundary}--\r\n")), "{}", answer.text);
    let bare_line_feeds = answer.text.replace("\r\n", "").contains('\n');
    assert!(!bare_line_feeds, "{}", answer.text);
    let messages = answer.text.split("\r\nHTTP/1.1 ").skip(1);
    messages
        .map(|message| {
            let end = message.find("\r\n--").expect("a delimiter");
            let (head, body) = message[..end].split_once("\r\n\r\n").expect("head and body");
            let status = head[..3].parse().expect("a status");
            (status, head.to_owned(), body.to_owned())
        })
        .collect()
}

fn post(server: &Server, kind: &str, body: &str) -> Answer {
    server.send("POST", "/api/data/v9.2/$batch", &[("Content-Type", kind)], body)
}

fn gets(targets: &[&str]) -> String {
    let part = |target: &&str| {
        format!("--b\r\nContent-Type: application/http\r\n\r\nGET {target} HTTP/1.1\r\n\r\n\r\n")
    };
    targets.iter().map(part).collect::<String>() + "--b--\r\n"
}

const KIND: &str = "multipart/mixed; boundary=b";

#[test]
fn the_answer_has_the_form_that_clients_take_apart() {
    let server = server(2);
    let body = concat!(
        "\r\n--b\r\nContent-Type: application/http\r\nContent-Transfer-Encoding:binary\r\n",
        "Content-ID: 9\r\n\r\nGET /api/data/v9.2/asyncoperations?$select=name&$orderby=name desc HTTP/1.1\r\n",
        "Prefer: odata.maxpagesize=1\r\n\r\n--b--"
    );
    let answer = post(&server, "multipart/mixed;boundary=b", body);
    assert_eq!(answer.header("odata-version"), "4.0");
    let (delimiter, rest) = answer.text.split_once("\r\n").expect("a line");
    let expected = concat!(
        "Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\nContent-ID: 9\r\n",
        "\r\nHTTP/1.1 200 OK\r\nContent-Type: application/json; odata.metadata=minimal\r\n",
        "OData-Version: 4.0\r\nPreference-Applied: odata.maxpagesize=1\r\n\r\n{\"@odata.context\""
    );
    assert!(rest.starts_with(expected), "{rest}");
    assert!(rest.ends_with(&format!("}}\r\n{delimiter}--\r\n")), "{rest}");
    let (_, _, body) = &parts(&answer)[0];
    let page: Json = serde_json::from_str(body).expect("one line of JSON");
    assert_eq!(page["value"][0]["name"], "job 1");
    let link = page["@odata.nextLink"].as_str().expect("one more job");
    assert!(link.starts_with(&server.base()), "{link}");
    assert_eq!(server.send("GET", link, &[], "").rows()[0]["name"], "job 0");
}

#[test]
fn addresses_are_absolute_below_the_host_or_below_the_api() {
    let server = server(3);
    let answers = post(
        &server,
        "multipart/mixed; boundary=\"b\"",
        &gets(&[
            "asyncoperations/$count",
            "/api/data/v9.1/asyncoperations/$count?$filter=name eq 'job 1'",
            "https://somewhere.else/api/data/v9.2/asyncoperations/$count?$filter=name%20eq%20'job 1'",
            "/WhoAmI",
        ])
        .replace("\r\n", "\n"),
    );
    let answers = parts(&answers);
    let bodies: Vec<&str> = answers.iter().map(|(_, _, body)| body.as_str()).collect();
    assert_eq!(bodies[..3], ["3", "1", "1"]);
    assert!(answers[0].1.contains("Content-Type: text/plain\r\n"), "{}", answers[0].1);
    assert!(bodies[3].contains("UserId"), "{}", bodies[3]);
}

#[test]
fn the_first_error_ends_a_batch_that_may_not_go_on() {
    let server = server(1);
    let body = gets(&["asyncoperations/$count", "nothing", "asyncoperations/$count"]);
    let statuses = |answer: &Answer| -> Vec<u16> { parts(answer).iter().map(|p| p.0).collect() };
    assert_eq!(statuses(&post(&server, KIND, &body)), [200, 404]);
    let prefer = |value| {
        let headers = [("Content-Type", KIND), ("Prefer", value)];
        server.send("POST", "/api/data/v9.2/$batch", &headers, &body)
    };
    assert_eq!(statuses(&prefer("odata.continue-on-error")), [200, 404, 200]);
    assert_eq!(statuses(&prefer("continue-on-error=true")), [200, 404, 200]);
    assert_eq!(statuses(&prefer("odata.continue-on-error=false")), [200, 404]);
    let failed = parts(&prefer("odata.continue-on-error"));
    assert!(failed[1].2.contains("\"code\":\"0x8006088a\""), "{}", failed[1].2);
}

#[test]
fn change_sets_take_no_reads_and_fail_as_one_part() {
    let server = server(1);
    let body = concat!(
        "--b\r\nContent-Type: multipart/mixed;boundary=c\r\n\r\n--c\r\nContent-Type: application/http\r\n",
        "Content-ID: 1\r\n\r\nGET asyncoperations HTTP/1.1\r\n\r\n--c--\r\n--b--\r\n"
    );
    let answers = parts(&post(&server, KIND, body));
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0].0, 400);
    assert!(answers[0].2.contains("holds no GET"), "{}", answers[0].2);
}

#[test]
fn what_is_no_batch_is_refused_as_a_whole() {
    let server = server(1);
    let many = gets(&vec!["WhoAmI"; 1001]);
    let long = gets(&[&format!("asyncoperations?$filter={}", "x".repeat(70_000))]);
    for (kind, body, status, part) in [
        ("text/plain", "x", 415, "'text/plain'"),
        ("multipart/mixed", "x", 400, "boundary"),
        (KIND, "x", 400, "'--b'"),
        (KIND, "--b\r\nContent-Type: application/http\r\n\r\nnonsense\r\n--b--", 400, "part 1"),
        (KIND, &many, 400, "1000"),
        ("application/json", "{", 400, "not a batch"),
    ] {
        let answer = post(&server, kind, body);
        assert_eq!(answer.status, status, "{kind}: {}", answer.text);
        assert!(answer.message().contains(part), "{kind}: {}", answer.text);
    }
    assert_eq!(parts(&post(&server, KIND, &long))[0].0, 414);
    let inside = "--b\r\nContent-Type: application/http\r\n\r\nPOST $batch HTTP/1.1\r\n\r\n--b--";
    assert_eq!(parts(&post(&server, KIND, inside))[0].0, 400);
}

#[test]
fn an_address_too_long_for_a_request_of_its_own_fits_into_a_batch() {
    let server = server(2);
    let filter = vec!["name ne 'nobody has this name'"; 400].join(" or ");
    let filter = format!("{} or name eq '{}'", filter, "x".repeat(30_000));
    let target = format!("asyncoperations/$count?$filter={filter}");
    assert!(target.len() > 40_000);
    let answers = parts(&post(&server, KIND, &gets(&[&target])));
    assert!(answers[0].0 != 414, "{}", answers[0].2);
}

#[test]
fn the_json_format_answers_in_order() {
    let server = server(2);
    let id = guid_text(&job_id(1));
    let requests = json!({"requests": [
        {"id": "a", "method": "get", "url": format!("asyncoperations({id})?$select=name")},
        {"id": "b", "method": "GET", "url": "/api/data/v9.2/asyncoperations/$count",
         "headers": {"accept": "*/*"}},
        {"id": "c", "method": "GET", "url": "nothing"},
        {"id": "d", "method": "GET", "url": "WhoAmI", "dependsOn": ["c"]},
        {"id": "e", "method": "GET", "url": "WhoAmI"},
    ]});
    let headers = [("Content-Type", "application/json"), ("Prefer", "odata.continue-on-error")];
    let answer = server.send("POST", "/api/data/v9.2/$batch", &headers, &requests.to_string());
    let responses = answer.json()["responses"].as_array().expect("a list").clone();
    let summary: Vec<(&str, u64)> = responses
        .iter()
        .map(|r| (r["id"].as_str().expect("text"), r["status"].as_u64().expect("a number")))
        .collect();
    assert_eq!(summary, [("a", 200), ("b", 200), ("c", 404), ("d", 424), ("e", 200)]);
    assert_eq!(responses[0]["body"]["name"], "job 1");
    assert_eq!(responses[0]["headers"]["odata-version"], "4.0");
    assert_eq!(responses[1]["body"], "2");
    let stopped = post(&server, "application/json", &requests.to_string());
    assert_eq!(stopped.json()["responses"].as_array().expect("a list").len(), 3);
    assert_eq!(post(&server, "application/json", r#"{"requests":[]}"#).text, r#"{"responses":[]}"#);
    for (body, part) in [
        (r#"{"requests":[{"id":"1","method":"GET"}]}"#, "url"),
        (r#"{"requests":[{"id":"1","method":"LOOK","url":"x"}]}"#, "'LOOK'"),
        (
            r#"{"requests":[{"id":"1","method":"GET","url":"x"},{"id":"1","method":"GET","url":"x"}]}"#,
            "same id",
        ),
        (
            r#"{"requests":[{"id":"1","method":"GET","url":"x","dependsOn":["2"]}]}"#,
            "depends on '2'",
        ),
    ] {
        let answer = post(&server, "application/json", body);
        assert_eq!(answer.status, 400);
        assert!(answer.message().contains(part), "{}", answer.text);
    }
}
