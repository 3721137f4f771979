//! `sysjob workflows` and `sysjob bulk-delete` against a real service.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::Service;

/// The exit code, what was printed and what was complained of.
fn sysjob(service: &Service, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_sysjob"))
        .args(arguments)
        .args(["--url", &service.http])
        .output()
        .expect("sysjob runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn create(service: &Service, set: &str, body: &Value) {
    let (status, answer) = service.post(&format!("/api/data/v9.2/{set}"), body);
    assert_eq!(status, 204, "{answer}");
}

fn submit(service: &Service, jobs: &Value) {
    let (status, answer) = service.post("/sysjob/jobs", jobs);
    assert_eq!(status, 201, "{answer}");
}

/// Waits for a query to have rows.
fn until(service: &Service, text: &str) -> Vec<Value> {
    loop {
        let rows = service.sql(text);
        if !rows.is_empty() {
            return rows;
        }
    }
}

const WORKFLOW: &str = "aaaaaaaa-0000-0000-0000-000000000001";

#[test]
fn a_deactivated_workflow_s_waiting_jobs_are_canceled_and_the_running_one_ends() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let service = Service::start(folder.path(), &["--capacity", "1"]);
    let workflow = json!({ "workflowid": WORKFLOW, "name": "It's busy", "statecode": 1,
        "statuscode": 2, "type": 1, "primaryentity": "account" });
    create(&service, "workflows", &workflow);
    let job = |id: u32, handler: Value| {
        json!({ "asyncoperationid": format!("bbbbbbbb-0000-0000-0000-{id:012}"), "name": "j",
                "operationtype": 10, "owningextensionid": WORKFLOW, "handler": handler })
    };
    let succeed = json!({ "simulate": { "outcome": "succeed" } });
    submit(&service, &job(1, json!({ "worker": {} })));
    let claim = json!({ "worker": "w", "max": 1, "lease_s": 600 });
    let (status, claimed) = service.post("/sysjob/claim", &claim);
    assert_eq!((status, claimed.as_array().map(Vec::len)), (200, Some(1)), "{claimed}");
    // The claimed one has the only place.
    submit(&service, &json!([job(2, succeed.clone()), job(3, succeed)]));

    let (code, said, errors) = sysjob(&service, &["workflows", "list", "--format", "jsonl"]);
    assert_eq!(code, Some(0), "{errors}");
    let row: Value = serde_json::from_str(&said).expect("one row");
    assert_eq!(
        (&row["name"], &row["state"], &row["waiting"], &row["running"]),
        (&json!("It's busy"), &json!("Activated"), &json!(2), &json!(1))
    );
    let (code, said, errors) = sysjob(&service, &["workflows", "deactivate", "It's busy"]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(said.contains("2 of its jobs wait"), "{said}");
    let end = json!([{ "asyncoperationid": claimed[0]["asyncoperationid"],
        "attempt": claimed[0]["attempt"], "outcome": "succeeded" }]);
    let (status, answer) = service.post("/sysjob/complete", &end);
    assert_eq!((status, &answer[0]["status"]), (200, &json!(200)), "{answer}");
    until(&service, "SELECT 1 AS done FROM asyncoperation WHERE statecode = 3 HAVING COUNT(*) = 3");
    let rows = service.sql("SELECT statuscode FROM asyncoperation ORDER BY sequence");
    let statuses: Vec<&Value> = rows.iter().map(|row| &row["statuscode"]).collect();
    assert_eq!(statuses, [&json!(30), &json!(32), &json!(32)]);

    let (code, said, _) = sysjob(&service, &["workflows", "activate", WORKFLOW]);
    assert_eq!((code, said.starts_with("activated 'It's busy'")), (Some(0), true), "{said}");
    let (code, _, errors) = sysjob(&service, &["workflows", "activate", "nobody"]);
    assert_eq!(code, Some(1));
    assert!(errors.contains("there is no workflow 'nobody'"), "{errors}");
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn a_bulk_deletion_is_started_from_the_command_line() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let service = Service::start(&folder.path().join("data"), &[]);
    let simulate = |outcome: &str| json!({ "simulate": { "outcome": outcome } });
    let job = |name: &str, outcome: &str| json!({ "name": name, "operationtype": 54, "handler": simulate(outcome) });
    submit(&service, &json!([job("a", "succeed"), job("b", "succeed"), job("c", "fail")]));
    until(&service, "SELECT 1 AS done FROM asyncoperation WHERE statecode = 3 HAVING COUNT(*) = 3");
    let file = folder.path().join("fetch.xml");
    let fetch = "<fetch><entity name='asyncoperation'><attribute name='name'/><filter>\
                 <condition attribute='statuscode' operator='eq' value='30'/></filter></entity></fetch>";
    std::fs::write(&file, fetch).expect("written");
    let file = file.to_str().expect("a path in UTF-8");
    let bulk = |arguments: &[&str]| {
        let all: Vec<&str> =
            ["bulk-delete", "--fetch", file].iter().chain(arguments).copied().collect();
        sysjob(&service, &all)
    };
    let (code, said, errors) = bulk(&["--dry-run"]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(said.starts_with("2 rows of asyncoperation would be deleted"), "{said}");
    let (code, said, errors) = bulk(&["--dry-run", "--older-than", "30d"]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(said.starts_with("0 rows of asyncoperation"), "{said}");

    let (code, said, errors) = bulk(&["--name", "tidy up", "--every", "30d"]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(said.contains("'tidy up' runs now and every 30 days"), "{said}");
    // It recurs: after its run it waits for the next.
    let rows = until(
        &service,
        "SELECT name, recurrencepattern, friendlymessage FROM asyncoperation \
         WHERE operationtype = 13 AND statuscode = 10",
    );
    assert_eq!(rows[0]["recurrencepattern"], "FREQ=DAILY;INTERVAL=30;");
    let left = service.sql("SELECT name FROM asyncoperation WHERE operationtype = 54");
    assert_eq!(left, [json!({ "name": "c" })]);
    let runs = service.sql("SELECT successcount, isrecurring, statuscode FROM bulkdeleteoperation");
    assert_eq!(runs[0]["successcount"], 2, "{runs:?}");
    let (code, _, errors) = bulk(&["--every", "400d"]);
    assert_eq!(code, Some(2));
    assert!(errors.contains("from 1d to 365d"), "{errors}");
    assert_eq!(service.terminate(), Some(0));
}
