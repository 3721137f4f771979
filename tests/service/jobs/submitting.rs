//! New jobs, in a service that runs them and in one that does not.

use serde_json::json;

use super::{WORKER, key, over, start};

#[test]
fn a_submitted_job_has_its_row_and_a_known_id_makes_no_second() {
    let jobs = start(&[]);
    let before = jobs.count();
    let body = json!({
        "name": "a job", "operationtype": 10, "asyncoperationid": key(1),
        "dependencytoken": "t", "postponeuntil": "2099-01-01T00:00:00Z",
        "owningextensionid": key(2), "regardingobjectid": key(3),
        "regardingobjecttypecode": "account", "correlationid": key(4), "depth": 2,
        "data": {"a": [1, "ü"]}, "handler": {"worker": {}}
    });
    let (status, first) = jobs.post("jobs", &body);
    assert_eq!((status, &first["asyncoperationid"]), (201, &json!(key(1))));
    assert_eq!(first.as_object().expect("an object").len(), 2);
    assert_eq!(jobs.post("jobs", &body), (201, first.clone()));
    assert_eq!(jobs.post("jobs", &json!([body])), (201, json!([first])));
    assert_eq!(jobs.count(), before + 1);
    let row = jobs.row(&key(1));
    for (name, value) in [
        ("name", json!("a job")),
        ("operationtype", json!(10)),
        ("statecode", json!(1)),
        ("statuscode", json!(10)),
        ("dependencytoken", json!("t")),
        ("postponeuntil", json!("2099-01-01T00:00:00Z")),
        ("_owningextensionid_value", json!(key(2))),
        ("_regardingobjectid_value", json!(key(3))),
        ("correlationid", json!(key(4))),
        ("depth", json!(2)),
        ("data", json!("{\"a\":[1,\"ü\"]}")),
        ("retrycount", json!(0)),
        ("sequence", first["sequence"].clone()),
        ("_ownerid_value", json!("5e5ab5e0-0000-4000-8000-000000000001")),
    ] {
        assert_eq!(row[name], value, "{name}: {row}");
    }
    assert!(row["createdon"].is_string() && row["completedon"].is_null());
}

#[test]
fn an_array_is_taken_as_a_whole_or_not_at_all() {
    let jobs = start(&[]);
    let before = jobs.count();
    let job = |n: u32| json!({"name": format!("{n}"), "operationtype": WORKER, "asyncoperationid": key(n)});
    for (change, at) in [
        (json!({"name": 5}), "jobs[1].name"),
        (json!({"name": null}), "jobs[1].name"),
        (json!({"name": "x".repeat(2000)}), "jobs[1].name"),
        (json!({"operationtype": "10"}), "jobs[1].operationtype"),
        (json!({"operationtype": 999}), "jobs[1].operationtype"),
        (json!({"asyncoperationid": "x"}), "jobs[1].asyncoperationid"),
        (json!({"postponeuntil": "soon"}), "jobs[1].postponeuntil"),
        (json!({"recurrencepattern": "FREQ=SOMETIMES"}), "jobs[1].recurrencepattern"),
        (json!({"depth": 0}), "jobs[1].depth"),
        (json!({"data": 5}), "jobs[1].data"),
        (json!({"ownerid": 5}), "jobs[1].ownerid"),
        (json!({"handler": {"work": {}}}), "jobs[1].handler"),
        (json!({"dependencytokens": "t"}), "did you mean 'dependencytoken'?"),
    ] {
        let mut bad = job(2);
        for (name, value) in change.as_object().expect("an object") {
            bad[name] = value.clone();
        }
        let (status, _, message) = jobs.refused("jobs", &json!([job(1), bad, job(3)]));
        assert_eq!(status, 400, "{change}: {message}");
        assert!(message.contains(at) && message.contains("jobs[1]"), "{change}: {message}");
    }
    let (_, code, _) = jobs.refused("jobs", &json!({"name": "x", "operationtype": 999}));
    assert_eq!(code, "0x80044303");
    let pattern =
        json!({"name": "x", "operationtype": 10, "recurrencepattern": "FREQ=DAILY;WKST=MO"});
    assert_eq!(jobs.refused("jobs", &pattern).1, "0x8004e100");
    let url = format!("{}/sysjob/jobs", jobs.service.http);
    let answer = jobs.agent.get(&url).call().expect("an answer");
    let allow = answer.headers().get("allow").and_then(|allow| allow.to_str().ok());
    assert_eq!((answer.status().as_u16(), allow), (405, Some("POST")));
    for body in ["", "[", "5", "null", "\"x\"", "[5]"] {
        assert_eq!(jobs.post_text("jobs", body).0, 400, "{body}");
    }
    assert_eq!(jobs.count(), before);
    assert_eq!(jobs.post("jobs", &json!([])), (201, json!([])));
    let (_, answer) = jobs.post("jobs", &json!([job(1), job(2), job(1)]));
    let ids: Vec<&str> = answer
        .as_array()
        .expect("an array")
        .iter()
        .map(|a| a["asyncoperationid"].as_str().expect("an id"))
        .collect();
    assert_eq!(ids, [key(1), key(2), key(1)]);
    assert_eq!(answer[0]["sequence"], answer[2]["sequence"]);
    assert_eq!(jobs.count(), before + 2);
}

#[test]
fn a_large_payload_goes_to_a_file_and_comes_back_to_the_worker() {
    let jobs = start(&[]);
    let data = "x".repeat(4 * 1024 * 1024 + 1);
    let body =
        json!({"name": "large", "operationtype": WORKER, "asyncoperationid": key(1), "data": data});
    for _ in 0..2 {
        jobs.submit(&body);
    }
    let row = jobs.row(&key(1));
    assert!(row["data"].is_null() && row["datablobid"].is_string(), "{}", row["datablobid"]);
    let (_, files) =
        jobs.service.get("fileattachments", &[("$select", "filesizeinbytes,_objectid_value")]);
    let files = files["value"].as_array().expect("rows").clone();
    assert_eq!(files.len(), 1);
    assert_eq!(files[0]["filesizeinbytes"], json!(data.len()));
    let claimed = jobs.claim(&json!({"worker": "w", "max": 1, "lease_s": 30}));
    assert_eq!(claimed[0]["data"].as_str().map(str::len), Some(data.len()));
}

#[test]
fn a_table_that_stands_still_takes_jobs_and_tells_what_rows_say() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let jobs = over(folder.path(), &["--no-scheduler"]);
    let job = json!({"name": "x", "operationtype": WORKER, "asyncoperationid": key(1)});
    let first = jobs.ok("jobs", &json!([job, job]));
    assert_eq!(first[0], first[1]);
    assert_eq!(jobs.ok("jobs", &job), first[0]);
    let later = jobs.submit(
        &json!({"name": "y", "operationtype": WORKER, "postponeuntil": "2099-01-01T00:00:00Z"}),
    );
    let (status, _, message) =
        jobs.refused("claim", &json!({"worker": "w", "max": 1, "lease_s": 1}));
    assert_eq!(status, 400);
    assert!(message.contains("--no-scheduler"), "{message}");
    assert_eq!(jobs.cause(&key(1))["cause"], json!("capacity"));
    assert_eq!(jobs.cause(&later)["cause"], json!("postponed"));
    let reasons = jobs.sql("SELECT waitreason FROM asyncoperation ORDER BY waitreason");
    assert_eq!(reasons, [json!({"waitreason": "capacity"}), json!({"waitreason": "postponed"})]);
    let done = jobs.act(&json!({"action": "cancel", "query": {"dialect": "odata", "text": "$filter=waitreason eq 'postponed'"}}));
    assert_eq!((&done["done"], &done["sample"]), (&json!(1), &json!([later])));
    assert_eq!(jobs.status(&later), 32);
}
