//! Jobs without Dataverse, as clients meet them: a real service, submitted, claimed,
//! ended and acted on over HTTP.

mod support;

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use support::Service;

const WORKER: i32 = 54;

/// A service over a folder of its own.
struct Jobs {
    service: Service,
    agent: ureq::Agent,
    _folder: Option<tempfile::TempDir>,
}

fn start(options: &[&str]) -> Jobs {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let jobs = over(folder.path(), options);
    Jobs { _folder: Some(folder), ..jobs }
}

fn over(folder: &Path, options: &[&str]) -> Jobs {
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    Jobs { service: Service::start(folder, options), agent, _folder: None }
}

impl Jobs {
    fn post(&self, call: &str, body: &Json) -> (u16, Json) {
        self.post_text(call, &body.to_string())
    }

    fn post_text(&self, call: &str, body: &str) -> (u16, Json) {
        let url = format!("{}/sysjob/{call}", self.service.http);
        let request = self.agent.post(&url).header("content-type", "application/json");
        let mut response = request.send(body).expect("an answer");
        let text = response.body_mut().read_to_string().expect("a body");
        let json = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
        (response.status().as_u16(), json)
    }

    /// An answer that says yes.
    fn ok(&self, call: &str, body: &Json) -> Json {
        let (status, answer) = self.post(call, body);
        assert!((200..300).contains(&status), "{call} {body}: {status} {answer}");
        answer
    }

    /// The message of a refusal.
    fn refused(&self, call: &str, body: &Json) -> (u16, String, String) {
        let (status, answer) = self.post(call, body);
        let error = &answer["error"];
        let text = |name: &str| error[name].as_str().unwrap_or_else(|| panic!("{body}: {answer}"));
        (status, text("code").to_owned(), text("message").to_owned())
    }

    fn submit(&self, job: &Json) -> String {
        let (status, answer) = self.post("jobs", job);
        assert_eq!(status, 201, "{answer}");
        answer["asyncoperationid"].as_str().expect("an id").to_owned()
    }

    /// A job that a worker may claim.
    fn worker_job(&self, name: &str) -> String {
        self.submit(&json!({"name": name, "operationtype": WORKER, "handler": {"worker": {}}}))
    }

    /// A running job that never ends by itself.
    fn hanging(&self, name: &str, operationtype: i32) -> String {
        let handler = json!({"simulate": {"outcome": "hang"}});
        let id =
            self.submit(&json!({"name": name, "operationtype": operationtype, "handler": handler}));
        self.until(&id, 20);
        id
    }

    fn row(&self, id: &str) -> Json {
        let (status, row) = self.service.get(&format!("asyncoperations({id})"), &[]);
        assert_eq!(status, 200, "{row}");
        row
    }

    fn status(&self, id: &str) -> i64 {
        self.row(id)["statuscode"].as_i64().expect("a status")
    }

    /// Waits until a job has a status.
    fn until(&self, id: &str, status: i64) {
        let begin = Instant::now();
        while self.status(id) != status {
            assert!(begin.elapsed() < Duration::from_secs(60), "{status}: {}", self.row(id));
            std::thread::yield_now();
        }
    }

    fn count(&self) -> i64 {
        let (_, answer) = self.service.get("asyncoperations", &[("$count", "true"), ("$top", "1")]);
        answer["@odata.count"].as_i64().expect("a count")
    }

    fn claim(&self, body: &Json) -> Vec<Json> {
        self.ok("claim", body).as_array().expect("an array").clone()
    }
}

fn key(n: u32) -> String {
    format!("00000000-0000-0000-0000-{n:012}")
}

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
fn workers_claim_prolong_and_end_jobs() {
    let jobs = start(&[]);
    let ids: Vec<String> = (0..3).map(|n| jobs.worker_job(&format!("job {n}"))).collect();
    let other = jobs.submit(&json!({"name": "other", "operationtype": 10, "data": "d"}));
    let claim = json!({"worker": "w1", "operationtypes": [WORKER], "max": 2, "lease_s": 60});
    let claimed = jobs.claim(&claim);
    let claimed_ids: Vec<&str> =
        claimed.iter().map(|job| job["asyncoperationid"].as_str().expect("an id")).collect();
    assert_eq!(claimed_ids, [&ids[0], &ids[1]], "oldest first");
    assert_eq!((&claimed[0]["attempt"], &claimed[0]["name"]), (&json!(1), &json!("job 0")));
    assert_eq!(claimed[0]["operationtype"], json!(WORKER));
    assert!(claimed[0]["data"].is_null() && claimed[0]["leaseuntil"].is_string());
    assert_eq!(jobs.status(&ids[0]), 20);
    assert_eq!(jobs.row(&ids[0])["hostid"], json!("w1"));
    let all = json!({"worker": "w2", "max": 10, "lease_s": 60});
    let rest = jobs.claim(&all);
    let names: HashSet<&str> =
        rest.iter().map(|job| job["name"].as_str().expect("a name")).collect();
    assert_eq!(names, HashSet::from(["job 2", "other"]));
    assert_eq!(jobs.claim(&all), Vec::<Json>::new());

    let beat =
        |id: &str, attempt: i32| json!({"asyncoperationid": id, "attempt": attempt, "lease_s": 60});
    let beats =
        jobs.ok("heartbeat", &json!([beat(&ids[0], 1), beat(&ids[1], 7), beat(&key(9), 1)]));
    assert_eq!(beats, json!([{"continue": true}, {"lost": true}, {"lost": true}]));
    assert_eq!(jobs.ok("heartbeat", &beat(&ids[0], 1)), json!({"continue": true}));
    for (id, action, answer) in [(&ids[0], "cancel", "cancel"), (&ids[1], "pause", "pause")] {
        let done = jobs.ok("actions", &json!({"action": action, "ids": [id]}));
        assert_eq!(done["done"], json!(1), "{done}");
        assert_eq!(jobs.ok("heartbeat", &beat(id, 1)), json!({ answer: true }));
    }
    let end = |id: &str, attempt: i32, outcome: &str| json!({"asyncoperationid": id, "attempt": attempt, "outcome": outcome});
    let ended = jobs.ok(
        "complete",
        &json!([
            end(&ids[0], 1, "canceled"),
            end(&ids[1], 1, "suspended"),
            end(&ids[2], 2, "succeeded"),
        ]),
    );
    assert_eq!(ended[0], json!({"status": 200}));
    assert_eq!(ended[1], json!({"status": 200}));
    assert_eq!((&ended[2]["status"], &ended[2]["code"]), (&json!(409), &json!("0x80044163")));
    assert!(ended[2]["message"].as_str().expect("text").contains("attempt 2"), "{ended}");
    assert_eq!([&ids[0], &ids[1], &ids[2]].map(|id| jobs.status(id)), [32, 10, 20]);
    // Ended or paused, the attempt is over.
    let again =
        jobs.ok("complete", &json!([end(&ids[0], 1, "succeeded"), end(&ids[1], 1, "failed")]));
    assert_eq!(
        again.as_array().expect("two").iter().filter(|a| a["status"] == json!(409)).count(),
        2
    );
    let mut failed = end(&other, 1, "failed");
    failed["errorcode"] = json!("0x80040265");
    failed["message"] = json!("trace");
    failed["friendlymessage"] = json!("It broke.");
    assert_eq!(jobs.ok("complete", &failed), json!({"status": 200}));
    let row = jobs.row(&other);
    assert_eq!((&row["statuscode"], &row["errorcode"]), (&json!(31), &json!(-2_147_220_891)));
    assert_eq!((&row["message"], &row["friendlymessage"]), (&json!("trace"), &json!("It broke.")));
    let (status, code, _) = jobs.refused("complete", &failed);
    assert_eq!((status, code.as_str()), (409, "0x80044163"));
}

#[test]
fn a_lease_that_ends_gives_the_job_to_the_next_and_fences_the_first() {
    let jobs = start(&[]);
    let id = jobs.worker_job("job");
    let first = jobs.claim(&json!({"worker": "lost", "max": 1, "lease_s": 0.001}));
    assert_eq!(first.len(), 1);
    // The claim waits for the lease to end.
    let second = jobs.claim(&json!({"worker": "next", "max": 1, "lease_s": 60, "wait_s": 60}));
    assert_eq!((&second[0]["asyncoperationid"], &second[0]["attempt"]), (&json!(id), &json!(2)));
    assert_eq!(second[0]["retrycount"], json!(1));
    let end = |attempt: i32| json!([{"asyncoperationid": id, "attempt": attempt, "outcome": "succeeded"}]);
    let beat = json!({"asyncoperationid": id, "attempt": 1, "lease_s": 60});
    assert_eq!(jobs.ok("heartbeat", &beat), json!({"lost": true}));
    assert_eq!(jobs.ok("complete", &end(1))[0]["status"], json!(409));
    assert_eq!(jobs.ok("complete", &end(2))[0]["status"], json!(200));
    assert_eq!(jobs.status(&id), 30);
}

#[test]
fn a_claim_waits_for_work() {
    let jobs = start(&[]);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            jobs.claim(&json!({"worker": "w", "operationtypes": [WORKER], "max": 5, "lease_s": 60, "wait_s": 60}))
        });
        let id = jobs.worker_job("late");
        let claimed = waiting.join().expect("an answer");
        assert_eq!(claimed[0]["asyncoperationid"], json!(id));
    });
    assert_eq!(
        jobs.claim(&json!({"worker": "w", "max": 1, "lease_s": 1, "wait_s": 0.05})),
        Vec::<Json>::new()
    );
}

#[test]
fn calls_of_workers_name_what_is_wrong() {
    let jobs = start(&[]);
    for (call, body, message) in [
        ("claim", json!({"max": 1}), "worker: a text is required"),
        ("claim", json!({"worker": "w", "max": 0}), "max: a whole number from 1"),
        ("claim", json!({"worker": "w", "max": 1_000_000}), "max: a whole number from 1 to 10000"),
        ("claim", json!({"worker": "w", "lease_s": 0}), "lease_s: a number of seconds from"),
        (
            "claim",
            json!({"worker": "w", "wait_s": 301}),
            "wait_s: a number of seconds from 0 to 300",
        ),
        ("claim", json!({"worker": "w", "operationtypes": 10}), "operationtypes: an array"),
        ("claim", json!({"worker": "w", "operationtypes": [999]}), "operationtypes: 999 is not"),
        ("claim", json!({"worker": "w", "lease": 5}), "'lease' is no member"),
        ("claim", json!([]), "a JSON object is expected"),
        ("heartbeat", json!({"attempt": 1}), "asyncoperationid: a GUID is required"),
        ("heartbeat", json!([{"asyncoperationid": key(1)}]), "attempts[0].attempt: the number"),
        (
            "complete",
            json!([{"asyncoperationid": key(1), "attempt": 1}]),
            "attempts[0].outcome: a text",
        ),
        (
            "complete",
            json!({"asyncoperationid": key(1), "attempt": 1, "outcome": "success"}),
            "outcome: 'success' is none of",
        ),
        (
            "complete",
            json!({"asyncoperationid": key(1), "attempt": 1, "outcome": "failed", "errorcode": 1.5}),
            "errorcode: a signed",
        ),
    ] {
        let (status, _, text) = jobs.refused(call, &body);
        assert_eq!(status, 400, "{body}: {text}");
        assert!(text.contains(message), "{body}: {text}");
    }
}
