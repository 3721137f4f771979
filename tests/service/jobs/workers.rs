//! Workers claim jobs, prolong their leases, and end them.

use std::collections::HashSet;

use serde_json::{Value as Json, json};

use super::{WORKER, key, start};

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
        ("claim", json!({"worker": "w", "max": 1.5}), "max: a whole number from 1 is expected"),
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
