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

impl Jobs {
    fn act(&self, body: &Json) -> Json {
        self.ok("actions", body)
    }

    fn why(&self, id: &str) -> Json {
        let (status, why) = self.service.get(&format!("asyncoperations({id})/sysjob.Why"), &[]);
        assert_eq!(status, 200, "{why}");
        why
    }

    /// The first cause, which is the verdict.
    fn cause(&self, id: &str) -> Json {
        let why = self.why(id);
        assert_eq!(why["verdict"], why["chain"][0]["cause"], "{why}");
        assert!(!why["text"].as_str().expect("text").is_empty());
        why["chain"][0].clone()
    }

    fn sql(&self, text: &str) -> Vec<Json> {
        let body = json!({"dialect": "sql", "text": text, "format": "json"});
        self.ok("query", &body).as_array().expect("rows").clone()
    }
}

#[test]
fn actions_follow_the_documented_table_and_say_why_and_who() {
    let jobs = start(&[]);
    let running = jobs.hanging("running", 10);
    let waiting = jobs.worker_job("waiting");
    let platform = jobs.hanging("platform", 16);
    let all = json!([running, waiting, platform, key(77)]);
    let dry = jobs.act(&json!({"action": "pause", "ids": all, "dry_run": true}));
    assert_eq!((&dry["matched"], &dry["done"]), (&json!(4), &json!(0)));
    assert_eq!(dry["sample"], json!([running]));
    assert_eq!(jobs.status(&running), 20);
    let done = jobs.act(&json!({"action": "pause", "ids": all, "reason": "a rest"}));
    assert_eq!(
        (&done["matched"], &done["done"], &done["sample"]),
        (&json!(4), &json!(1), &json!([running]))
    );
    assert_eq!(done["skipped"], dry["skipped"]);
    let skipped = done["skipped"].as_array().expect("an array");
    assert_eq!(skipped.len(), 2, "{done}");
    assert_eq!((&skipped[0]["code"], &skipped[0]["count"]), (&json!("0x80044f01"), &json!(2)));
    assert_eq!(skipped[0]["sample"], json!([waiting, platform]));
    assert_eq!(
        (&skipped[1]["code"], &skipped[1]["sample"]),
        (&json!("0x80040217"), &json!([key(77)]))
    );
    jobs.until(&running, 10);
    let history = jobs.sql(&format!("SELECT reason, actor, tostatuscode FROM jobhistory WHERE asyncoperationid = '{running}' ORDER BY jobhistoryid"));
    let asked: Vec<&Json> = history.iter().filter(|row| row["reason"] == json!("a rest")).collect();
    assert!(!asked.is_empty(), "{history:?}");
    assert_eq!(asked[0]["actor"], json!("5e5ab5e0-0000-4000-8000-000000000001"));

    assert_eq!(jobs.act(&json!({"action": "resume", "ids": [running]}))["done"], json!(1));
    jobs.until(&running, 20);
    let until = "2099-01-01T00:00:00Z";
    let done = jobs.act(&json!({"action": "postpone", "until": until, "ids": [running, waiting]}));
    assert_eq!(done["done"], json!(2), "{done}");
    jobs.until(&running, 10);
    assert_eq!(
        [&running, &waiting].map(|id| jobs.row(id)["postponeuntil"].clone()),
        [json!(until), json!(until)]
    );
    assert_eq!(
        jobs.act(&json!({"action": "cancel", "ids": [running, running]}))["matched"],
        json!(1)
    );
    assert_eq!(jobs.status(&running), 32);
    let done = jobs.act(&json!({"action": "delete", "ids": [running, waiting]}));
    assert_eq!(done["done"], json!(2));
    assert_eq!(jobs.service.get(&format!("asyncoperations({running})"), &[]).0, 404);
}

#[test]
fn actions_take_queries_of_every_dialect() {
    let jobs = start(&[]);
    let ids: Vec<String> = (0..6).map(|n| jobs.worker_job(&format!("q{n}"))).collect();
    let other = jobs.worker_job("other");
    let fetch = "<fetch><entity name='asyncoperation'><filter><condition attribute='name' operator='like' value='q%'/></filter><order attribute='createdon'/><order attribute='sequence'/></entity></fetch>";
    let queries = [
        (
            "sql",
            "SELECT asyncoperationid FROM asyncoperation WHERE name LIKE 'q%' ORDER BY createdon, sequence",
        ),
        ("fetchxml", fetch),
        ("odata", "$filter=startswith(name,'q')&$orderby=createdon,sequence"),
    ];
    for (dialect, text) in queries {
        let query = json!({"dialect": dialect, "text": text});
        let dry = jobs.act(&json!({"action": "cancel", "query": query, "dry_run": true}));
        assert_eq!((&dry["matched"], &dry["done"]), (&json!(6), &json!(0)), "{dialect}");
        assert_eq!(dry["sample"], json!(ids), "{dialect}");
        let dry = jobs.act(&json!({"action": "resume", "query": query, "dry_run": true}));
        assert_eq!(
            (&dry["skipped"][0]["code"], &dry["skipped"][0]["count"]),
            (&json!("0x80044166"), &json!(6))
        );
    }
    for (n, (dialect, text)) in queries.into_iter().enumerate() {
        let query = json!({"dialect": dialect, "text": text});
        let body =
            json!({"action": "cancel", "query": query, "limit": 2 * (n + 1), "reason": dialect});
        let done = jobs.act(&body);
        assert_eq!((&done["matched"], &done["done"]), (&json!(6), &json!(2)), "{dialect}: {done}");
        assert_eq!(done["sample"], json!([ids[2 * n], ids[2 * n + 1]]), "{dialect}");
    }
    assert!(ids.iter().all(|id| jobs.status(id) == 32));
    assert_eq!(jobs.status(&other), 0);
}

#[test]
fn actions_name_what_is_wrong() {
    let jobs = start(&[]);
    for (body, message) in [
        (json!({"ids": []}), "action: a text is required"),
        (json!({"action": "stop", "ids": []}), "action: 'stop' is none of 'cancel', 'pause'"),
        (json!({"action": "cancle", "ids": []}), "did you mean 'cancel'?"),
        (json!({"action": "cancel"}), "either 'ids' or a 'query' is required"),
        (
            json!({"action": "cancel", "ids": [], "query": {"text": "SELECT 1"}}),
            "either 'ids' or a 'query'",
        ),
        (json!({"action": "cancel", "ids": "x"}), "ids: an array of GUIDs"),
        (json!({"action": "cancel", "ids": [key(1), "x"]}), "ids[1]: a GUID is expected"),
        (
            json!({"action": "cancel", "ids": [], "until": "2030-01-01"}),
            "until: 'cancel' takes no time",
        ),
        (json!({"action": "postpone", "ids": []}), "until: 'postpone' takes the time"),
        (json!({"action": "postpone", "ids": [], "until": "soon"}), "until: a date and time"),
        (json!({"action": "cancel", "ids": [], "limit": 0}), "limit: a whole number from 1"),
        (json!({"action": "cancel", "ids": [], "dry_run": "yes"}), "dry_run: true or false"),
        (
            json!({"action": "cancel", "ids": [], "reason": "x".repeat(4001)}),
            "reason: 4001 characters",
        ),
        (
            json!({"action": "cancel", "query": {"dialect": "mysql", "text": "x"}}),
            "'mysql' is no dialect",
        ),
        (
            json!({"action": "cancel", "query": {"dialect": "sql"}}),
            "query.text: a text is required",
        ),
        (json!({"action": "cancel", "query": "SELECT 1"}), "query: a JSON object is expected"),
        (json!({"action": "cancel", "querry": {}}), "did you mean 'query'?"),
        (
            json!({"action": "cancel", "query": {"dialect": "sql", "text": "SELECT nam FROM asyncoperation"}}),
            "'nam'",
        ),
    ] {
        let (status, _, text) = jobs.refused("actions", &body);
        assert_eq!(status, 400, "{body}: {text}");
        assert!(text.contains(message), "{body}: {text}");
    }
    let nothing = json!({"matched": 0, "done": 0, "skipped": [], "sample": []});
    assert_eq!(jobs.act(&json!({"action": "cancel", "ids": []})), nothing);
}

#[test]
fn many_jobs_are_acted_on_by_a_job() {
    let jobs = start(&[]);
    let new = |n: u32| json!({"name": format!("m{n}"), "operationtype": WORKER, "handler": {"worker": {}}});
    let many: Vec<Json> = (0..10_001).map(new).collect();
    jobs.ok("jobs", &json!(many));
    let query = json!({"dialect": "sql", "text": "SELECT asyncoperationid FROM asyncoperation WHERE name LIKE 'm%'"});
    let started = jobs.act(&json!({"action": "cancel", "query": query, "reason": "too many"}));
    assert_eq!((&started["matched"], &started["done"]), (&json!(10_001), &json!(0)));
    let job = started["job"].as_str().expect("a job").to_owned();
    jobs.until(&job, 30);
    let row = jobs.row(&job);
    assert_eq!(row["message"], json!("10001 of 10001: 10001 done, 0 skipped"), "{row}");
    let left = jobs.sql("SELECT statuscode, COUNT(*) AS n FROM asyncoperation WHERE name LIKE 'm%' GROUP BY statuscode");
    assert_eq!(left, [json!({"statuscode": 32, "n": 10_001})]);
    let told = jobs.sql("SELECT COUNT(*) AS n FROM jobhistory WHERE reason = 'too many'");
    assert_eq!(told[0]["n"], json!(10_001));
}

#[test]
fn every_cause_has_its_word() {
    let jobs = start(&["--capacity", "1"]);
    let simulate = |outcome: &str, more: Json| {
        let mut simulate = json!({"outcome": outcome});
        for (name, value) in more.as_object().expect("an object") {
            simulate[name] = value.clone();
        }
        json!({ "simulate": simulate })
    };
    let make = |name: &str, operationtype: i32, handler: Json, more: Json| {
        let mut job = json!({"name": name, "operationtype": operationtype, "handler": handler});
        for (name, value) in more.as_object().expect("an object") {
            job[name] = value.clone();
        }
        jobs.submit(&job)
    };
    let none = json!({});
    let hang = || simulate("hang", json!({}));
    let running = make("running", 10, hang(), json!({"dependencytoken": "t"}));
    jobs.until(&running, 20);
    let capacity = make("capacity", 10, hang(), none.clone());
    let token = make("token", 10, hang(), json!({"dependencytoken": "t"}));
    let postponed = make("postponed", 10, hang(), json!({"postponeuntil": "2099-01-01T00:00:00Z"}));
    let recurring = make(
        "recurring",
        10,
        hang(),
        json!({"recurrencepattern": "FREQ=DAILY", "recurrencestarttime": "2099-01-01T00:00:00Z"}),
    );
    let paused = make("paused", 54, hang(), none.clone());
    jobs.until(&paused, 20);
    jobs.act(&json!({"action": "pause", "ids": [paused]}));
    jobs.until(&paused, 10);
    let retry = make("retry", 13, simulate("retry", none.clone()), none.clone());
    let error = make("error", 12, simulate("suspend", none.clone()), none.clone());
    let ended = make("ended", 11, simulate("succeed", none.clone()), none.clone());
    jobs.until(&retry, 10);
    jobs.until(&error, 10);
    jobs.until(&ended, 30);
    for (id, cause) in [
        (&running, "running"),
        (&capacity, "capacity"),
        (&token, "token"),
        (&postponed, "postponed"),
        (&recurring, "postponed"),
        (&paused, "paused"),
        (&retry, "retry"),
        (&error, "suspended-by-error"),
        (&ended, "ended"),
    ] {
        assert_eq!(jobs.cause(id)["cause"], json!(cause));
        let reason = jobs
            .sql(&format!("SELECT waitreason FROM asyncoperation WHERE asyncoperationid = '{id}'"));
        let expected = if cause == "ended" { Json::Null } else { json!(cause) };
        assert_eq!(reason[0]["waitreason"], expected);
    }
    let why = jobs.why(&token);
    assert_eq!(
        (&why["chain"][0]["asyncoperationid"], &why["chain"][1]["cause"]),
        (&json!(running), &json!("running")),
        "{why}"
    );
    let link = jobs.cause(&capacity);
    assert_eq!(
        (&link["running"], &link["concurrency"], &link["position"]),
        (&json!(1), &json!(1), &json!(1)),
        "{link}"
    );
    assert!(link["pool"].is_string(), "{link}");
    assert_eq!(jobs.cause(&postponed)["until"], json!("2099-01-01T00:00:00Z"));
    let members: HashSet<String> = why.as_object().expect("an object").keys().cloned().collect();
    assert_eq!(members, ["@odata.context", "verdict", "text", "chain"].map(String::from).into());

    // The same for whole queries, in every dialect.
    let ids = |rows: &Json| -> Vec<String> {
        rows["value"]
            .as_array()
            .expect("rows")
            .iter()
            .map(|r| r["asyncoperationid"].as_str().expect("an id").to_owned())
            .collect()
    };
    let (_, rows) = jobs.service.get(
        "asyncoperations",
        &[("$filter", "waitreason eq 'token'"), ("$select", "name,waitreason")],
    );
    assert_eq!(ids(&rows), [token.clone()], "{rows}");
    assert_eq!(rows["value"][0]["waitreason"], json!("token"));
    let fetch = "<fetch><entity name='asyncoperation'><attribute name='waitreason'/><filter><condition attribute='waitreason' operator='in'><value>token</value><value>Retry</value></condition></filter><order attribute='createdon'/></entity></fetch>";
    let (_, rows) = jobs.service.get("asyncoperations", &[("fetchXml", fetch)]);
    assert_eq!(ids(&rows), [token.clone(), retry.clone()], "{rows}");
    let groups = jobs.sql("SELECT waitreason, COUNT(*) AS n FROM asyncoperation WHERE operationtype IN (10, 11) GROUP BY waitreason ORDER BY waitreason");
    let groups: Vec<(Json, Json)> =
        groups.iter().map(|g| (g["waitreason"].clone(), g["n"].clone())).collect();
    let of = |word: &str, n: i32| (json!(word), json!(n));
    assert_eq!(
        groups,
        [
            (Json::Null, json!(1)),
            of("capacity", 1),
            of("postponed", 2),
            of("running", 1),
            of("token", 1)
        ]
    );
    let (_, apply) = jobs.service.get(
        "asyncoperations",
        &[(
            "$apply",
            "filter(waitreason eq 'postponed')/groupby((waitreason),aggregate($count as n))",
        )],
    );
    assert_eq!(apply["value"], json!([{"waitreason": "postponed", "n": 2}]), "{apply}");
    // Who names no columns does not ask.
    assert!(jobs.row(&token).get("waitreason").is_none());
    let (_, metadata) = jobs.service.get("$metadata", &[]);
    let metadata = metadata.as_str().expect("a document");
    assert!(metadata.contains(r#"<Property Name="waitreason" Type="Edm.String" />"#));
    assert!(metadata.contains(r#"<Function Name="Why" IsBound="true">"#));
    assert_eq!(jobs.service.get(&format!("asyncoperations({})/sysjob.Why", key(9)), &[]).0, 404);
    assert_eq!(jobs.service.get(&format!("asyncoperations({token})/sysjob.Why()"), &[]).0, 200);
    assert_eq!(jobs.service.get(&format!("asyncoperations({token})/sysjob.What"), &[]).0, 501);
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

impl Jobs {
    /// `sysjob jobs …`: exit code, output, errors.
    fn cli(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        command(&[arguments, &["--url", &self.service.http]].concat())
    }

    fn json(&self, arguments: &[&str]) -> Json {
        let (code, out, err) = self.cli(&[arguments, &["--format", "json"]].concat());
        assert_eq!(code, Some(0), "{arguments:?}: {err}");
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}"))
    }
}

fn command(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_sysjob"))
        .arg("jobs")
        .args(arguments)
        .env_remove("SYSJOB_URL")
        .output()
        .expect("sysjob runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_command_line_does_the_same() {
    let jobs = start(&[]);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.to_str().expect("text").to_owned()
    };
    let lines = file(
        "jobs.jsonl",
        "{\"name\":\"a\",\"operationtype\":54}\n{\"name\":\"b\",\"operationtype\":54}\n",
    );
    let made = jobs.json(&["submit", &lines]);
    let id = |n: usize| made[n]["asyncoperationid"].as_str().expect("an id").to_owned();
    let (a, b) = (id(0), id(1));
    let options = [
        "submit",
        "--name",
        "c",
        "--operationtype",
        "10",
        "--data",
        "x",
        "--handler",
        r#"{"simulate":{"outcome":"hang"}}"#,
        "--id",
        &key(7),
    ];
    assert_eq!(jobs.json(&options)[0]["asyncoperationid"], json!(key(7)));
    jobs.until(&key(7), 20);

    let names = |rows: &Json| -> Vec<String> {
        rows.as_array()
            .expect("rows")
            .iter()
            .map(|row| row["name"].as_str().expect("a name").to_owned())
            .collect()
    };
    let fetch = file(
        "f.xml",
        "<fetch><entity name='asyncoperation'><attribute name='asyncoperationid'/><filter><condition attribute='operationtype' operator='eq' value='54'/></filter></entity></fetch>",
    );
    assert_eq!(names(&jobs.json(&["list"])).len(), 3);
    for query in [
        &["--where", "operationtype = 54"],
        &["--filter", "operationtype eq 54"],
        &["--fetch", &fetch],
    ] {
        assert_eq!(names(&jobs.json(&[&["list"][..], query].concat())), ["b", "a"], "{query:?}");
    }
    assert_eq!(names(&jobs.json(&["list", "--where", "name = 'nobody'"])), Vec::<String>::new());
    assert_eq!(names(&jobs.json(&["list", "--filter", "name eq 'a&b+c%'"])), Vec::<String>::new());
    let (code, table, _) = jobs.cli(&["list", "--limit", "1"]);
    assert_eq!(code, Some(0));
    assert_eq!(table.lines().count(), 3, "a heading, a line and a job: {table}");
    let (_, csv, _) = jobs.cli(&["list", "--format", "csv"]);
    assert!(
        csv.starts_with("asyncoperationid,name,operationtypename,statuscodename,waitreason,"),
        "{csv}"
    );

    let shown = jobs.json(&["show", &key(7)]);
    assert_eq!((&shown["name"], &shown["statuscode"]), (&json!("c"), &json!(20)));
    assert!(shown["history"].as_array().expect("rows").len() >= 2, "{shown}");
    let (_, table, _) = jobs.cli(&["show", &key(7)]);
    assert!(table.contains("20 (In Progress)") && table.contains("tostatuscode"), "{table}");
    let why = jobs.json(&["why", &a, &key(7)]);
    assert_eq!((&why[0]["verdict"], &why[1]["verdict"]), (&json!("capacity"), &json!("running")));

    let (code, out, _) = jobs.cli(&["pause", &a, &key(7), "--dry-run"]);
    assert_eq!(code, Some(1), "one would be skipped");
    assert!(out.contains("would pause") && out.contains("0x80044f01"), "{out}");
    let (code, out, _) = jobs.cli(&["pause", &key(7), "--reason", "so"]);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("done"), "{out}");
    jobs.until(&key(7), 10);
    assert_eq!(jobs.json(&["resume", &key(7)])["done"], json!(1));
    let done = jobs.json(&["postpone", "--until", "2099-01-01", "--filter", "operationtype eq 54"]);
    assert_eq!(done["done"], json!(2));
    assert_eq!(jobs.row(&a)["postponeuntil"], json!("2099-01-01T00:00:00Z"));
    let done = jobs.json(&["cancel", "--where", "operationtype = 54", "--limit", "1"]);
    assert_eq!((&done["matched"], &done["done"]), (&json!(2), &json!(1)));
    let (code, out, _) = jobs.cli(&["cancel", "--fetch", &fetch, "--format", "csv"]);
    assert_eq!(code, Some(1));
    assert!(out.contains("done,1,") && out.contains("skipped,1,0x80044f00,"), "{out}");
    assert_eq!(jobs.json(&["delete", &a, &b])["done"], json!(2));

    for (arguments, expected) in [
        (&["cancel"][..], 2),
        (&["cancel", "x"], 2),
        (&["cancel", &a, "--where", "1 = 1"], 2),
        (&["list", "--where", "1 = 1", "--filter", "x"], 2),
        (&["postpone", &a], 2),
        (&["postpone", &a, "--until", "soon"], 2),
        (&["submit"], 2),
        (&["submit", "/nowhere/x.json"], 2),
        (&["stop", &a], 2),
        (&["show", &a], 1),
        (&["why", &a], 1),
        (&["cancel", &a], 1),
        (&["list", "--where", "nam = 1"], 1),
    ] {
        let (code, out, err) = jobs.cli(arguments);
        assert_eq!(code, Some(expected), "{arguments:?}: {out}{err}");
        assert!(expected == 1 || !err.is_empty(), "{arguments:?}");
    }
    let (code, _, err) = command(&["list", "--url", "http://127.0.0.1:1"]);
    assert_eq!(code, Some(3), "{err}");
    assert!(err.contains("no answer from http://127.0.0.1:1"), "{err}");
}

#[test]
fn each_role_may_what_it_may() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let users = folder.path().join("users.toml");
    let user = |name: &str| {
        format!("[[users]]\nname = \"{name}\"\nrole = \"{name}\"\ntokens = [\"{name}-token\"]\n")
    };
    let text: String = ["reader", "operator", "administrator"].map(user).concat();
    std::fs::write(&users, text).expect("a file");
    let jobs = over(&folder.path().join("jobs"), &["--auth", users.to_str().expect("text")]);
    let status = |role: &str, call: &str, body: &Json| {
        let url = format!("{}/sysjob/{call}", jobs.service.http);
        let request = jobs.agent.post(&url).header("content-type", "application/json");
        let request = request.header("authorization", format!("Bearer {role}-token"));
        request.send(body.to_string()).expect("an answer").status().as_u16()
    };
    let job = json!({"name": "x", "operationtype": WORKER});
    let platform = json!([job, {"name": "x", "operationtype": 16}]);
    let claim = json!({"worker": "w", "max": 1, "lease_s": 9});
    let none = json!([]);
    let act = json!({"action": "cancel", "ids": []});
    let question = json!({"dialect": "sql", "text": "SELECT waitreason FROM asyncoperation"});
    for (role, submit, system, other, query) in [
        ("reader", 403, 403, 403, 200),
        ("operator", 201, 403, 200, 200),
        ("administrator", 201, 201, 200, 200),
        ("nobody", 401, 401, 401, 401),
    ] {
        assert_eq!(status(role, "jobs", &job), submit, "{role}");
        assert_eq!(status(role, "jobs", &platform), system, "{role}");
        for (call, body) in
            [("claim", &claim), ("heartbeat", &none), ("complete", &none), ("actions", &act)]
        {
            assert_eq!(status(role, call, body), other, "{role}: {call}");
        }
        assert_eq!(status(role, "query", &question), query, "{role}");
    }
    let url = &jobs.service.http;
    let (code, _, err) = command(&["list", "--url", url, "--token", "operator-token"]);
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(command(&["list", "--url", url]).0, Some(1));
}
