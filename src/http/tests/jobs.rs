//! System jobs acted on over the Web API, with and without a scheduler.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Answer, Json, Server, start};
use crate::catalog::Catalog;
use crate::job::handler::{SimulatedOutcome, Simulation};
use crate::job::{Handler, JobColumns};
use crate::store::{Change, Store};
use crate::value::{Guid, Value, guid_text};

/// A job's id: its status, so that one of each can be told apart.
fn id(n: u8) -> Guid {
    [n; 16]
}

fn path(n: u8) -> String {
    format!("asyncoperations({})", guid_text(&id(n)))
}

/// One job of each status without a handler; 101 to 103 run for ever, two at once
/// where there is a scheduler; 9 is the platform's.
pub fn jobs(live: bool) -> Server {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let catalog = Arc::new(Catalog::built_in());
    let store = Arc::new(Store::open(dir.path(), catalog.clone()).expect("a new folder"));
    let c = JobColumns::of(&catalog);
    let handler = Handler::simulate(Simulation::new(0.0, SimulatedOutcome::Hang));
    let job = |n: u8, status: i32, operationtype: i32, data: Option<String>| Change::Insert {
        table: c.table,
        values: vec![
            (c.asyncoperationid, Value::Guid(id(n))),
            (c.createdon, Value::Time(i64::from(n))),
            (c.sequence, Value::Int64(i64::from(n))),
            (c.statecode, Value::Int32(status / 10)),
            (c.statuscode, Value::Int32(status)),
            (c.operationtype, Value::Int32(operationtype)),
            (c.handler, data.map_or(Value::Null, Value::Text)),
        ],
    };
    let mut changes: Vec<Change> =
        [0, 10, 20, 21, 22, 30, 31, 32].map(|s| job(s, i32::from(s), 10, None)).into();
    changes.push(job(9, 20, 9, None));
    changes.extend([101, 102, 103].map(|n| job(n, 0, 10, Some(handler.to_json()))));
    store.commit_blocking(changes).expect("durable");
    start(dir, store, live)
}

fn patch(server: &Server, n: u8, body: Json) -> Answer {
    server.write("PATCH", &path(n), &[("If-Match", "*")], &body)
}

fn shown(server: &Server, n: u8) -> (i64, i64) {
    let row = server.get(&path(n), &[]).json();
    (row["statecode"].as_i64().expect("a state"), row["statuscode"].as_i64().expect("a status"))
}

/// Waits until a job shows a status.
fn until(server: &Server, n: u8, status: i64) {
    let begin = Instant::now();
    while shown(server, n).1 != status {
        assert!(begin.elapsed() < Duration::from_secs(30), "job {n}: {:?}", shown(server, n));
        std::thread::yield_now();
    }
}

fn code(answer: &Answer) -> String {
    assert_eq!(answer.status, 400, "{}", answer.text);
    answer.json()["error"]["code"].as_str().expect("text").to_owned()
}

#[test]
fn every_state_takes_the_documented_actions() {
    let cancel = || json!({"statecode": 3, "statuscode": 32});
    let pause = || json!({"statecode": 1, "statuscode": 10});
    let resume = || json!({"statecode": 0, "statuscode": 0});
    let postpone = || json!({"postponeuntil": "2099-01-01T00:00:00Z"});
    for live in [false, true] {
        let server = jobs(live);
        for (n, body, expected) in [
            (30, cancel(), "0x80044f00"),
            (32, cancel(), "0x80044f00"),
            (0, pause(), "0x80044f01"),
            (10, pause(), "0x80044f01"),
            (31, pause(), "0x80044f01"),
            (22, pause(), "0x80044162"),
            (22, json!({"statuscode": 22}), "0x80044162"),
            (0, resume(), "0x80044166"),
            (20, resume(), "0x80044166"),
            (30, resume(), "0x80044166"),
            (21, resume(), "0x80044162"),
            (10, postpone(), "0x80044162"),
            (30, postpone(), "0x80044162"),
            (20, json!({"statecode": 3, "statuscode": 30}), "0x80044165"),
            (0, json!({"statecode": 2, "statuscode": 20}), "0x80044162"),
            (0, json!({"statecode": 0, "statuscode": 32}), "0x80048408"),
            (0, json!({"statecode": null}), "0x80040203"),
            (20, json!({"statuscode": null, "postponeuntil": null}), "0x80040203"),
            (0, json!({"statuscode": 99}), "0x8004431a"),
            (9, cancel(), "0x80044f00"),
            (9, pause(), "0x80044f01"),
            (0, json!({"name": "x"}), "0x80040203"),
            (0, json!({"statuscod": 1}), "0x80060888"),
        ] {
            let answer = patch(&server, n, body.clone());
            assert_eq!(code(&answer), expected, "live {live}, {n}, {body}: {}", answer.text);
        }
        for (n, body, expected) in [
            (21, cancel(), (3, 32)),
            (20, json!({"statecode": 2, "statuscode": 21}), (1, 10)),
            (10, resume(), (0, 0)),
            (0, postpone(), (1, 10)),
            (9, postpone(), (1, 10)),
        ] {
            let answer = patch(&server, n, body.clone());
            assert_eq!(answer.status, 204, "live {live}, {n}, {body}: {}", answer.text);
            assert_eq!(shown(&server, n), expected, "live {live}, {n}, {body}");
        }
        let row = server.get(&path(0), &[]).json();
        assert_eq!(row["postponeuntil"], "2099-01-01T00:00:00Z");
        assert_eq!(row["_modifiedby_value"], guid_text(&crate::identity::SYSTEM_USER));
        assert!(server.get(&path(21), &[]).json()["completedon"].is_string());
        assert_eq!(patch(&server, 0, resume()).status, 204);
        assert_eq!(server.get(&path(0), &[]).json()["postponeuntil"], Json::Null);
        // Nobody else acted.
        for n in [30, 31, 32] {
            assert_eq!(shown(&server, n), (3, i64::from(n)));
        }
        for n in [0, 9, 10, 20, 21, 22, 30, 31, 32] {
            let gone = server.write("DELETE", &path(n), &[], &Json::Null);
            assert_eq!(gone.status, 204, "live {live}, {n}: {}", gone.text);
            assert_eq!(server.get(&path(n), &[]).status, 404);
        }
        assert_eq!(server.write("DELETE", &path(0), &[], &Json::Null).status, 404);
        let nobody = patch(&server, 200, cancel());
        assert_eq!(nobody.status, 404, "{}", nobody.text);
        let new = server.write("PATCH", &path(200), &[], &cancel());
        assert_eq!(new.status, 404, "an update makes no job: {}", new.text);
        let server = server.reopen();
        assert_eq!(server.get("asyncoperations/$count", &[]).text, "3");
    }
}

#[test]
fn running_jobs_give_their_place_to_the_next() {
    let server = jobs(true);
    until(&server, 101, 20);
    until(&server, 102, 20);
    assert_eq!(shown(&server, 103), (0, 0));
    assert_eq!(patch(&server, 101, json!({"statecode": 1})).status, 204);
    until(&server, 103, 20);
    let row = server.get(&path(101), &[]).json();
    assert_eq!((&row["statuscode"], &row["hostid"]), (&json!(10), &Json::Null));
    assert!(row["executiontimespan"].is_number(), "{row}");
    // Resumed, it waits for a place.
    assert_eq!(patch(&server, 101, json!({"statecode": 0})).status, 204);
    assert_eq!(shown(&server, 101), (0, 0));
    assert_eq!(patch(&server, 102, json!({"statecode": 3, "statuscode": 32})).status, 204);
    until(&server, 101, 20);
    assert_eq!(shown(&server, 102), (3, 32));
    assert_eq!(server.write("DELETE", &path(103), &[], &Json::Null).status, 204);
    // A time that has passed puts it back in its place at once.
    let past = json!({"postponeuntil": "2000-01-01T00:00:00Z"});
    assert_eq!(patch(&server, 101, past).status, 204);
    until(&server, 101, 20);
}

#[test]
fn the_answer_shows_the_job() {
    let server = jobs(true);
    let headers = [("Prefer", "return=representation")];
    let path = format!("{}?$select=statuscode", path(20));
    let answer = server.write("PATCH", &path, &headers, &json!({"statuscode": 22}));
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json()["statuscode"], 32);
}

#[test]
fn the_diagnosis_is_that_of_the_command_line() {
    let server = jobs(false);
    let ask = |options: &str| server.send("GET", &format!("/sysjob/diagnosis{options}"), &[], "");
    let answer = ask("");
    assert_eq!(answer.status, 200, "{}", answer.text);
    let answer = answer.json();
    assert_eq!(answer["jobs"], json!(12), "{answer}");
    assert!(answer["generated"].is_string(), "{answer}");
    let worst = &answer["findings"][0];
    assert_eq!((&worst["severity"], worst["remedy"].is_array()), (&json!("critical"), true));
    // In 1969 nothing had waited for long.
    let before = ask("?now=1969-12-31T00:00:00Z").json();
    assert_ne!(before["findings"][0]["severity"], json!("critical"), "{before}");
    for (options, part) in [("?now=soon", "now: 'soon' is not a time"), ("?then=1", "'then'")] {
        let answer = ask(options);
        assert_eq!(answer.status, 400, "{}", answer.text);
        assert!(answer.message().contains(part), "{}", answer.text);
    }
}
