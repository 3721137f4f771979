//! What is asked of jobs, one by one and of all that a query finds.

use serde_json::{Value as Json, json};

use super::{WORKER, key, start};

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
