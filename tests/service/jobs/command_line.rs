//! `sysjob jobs`, and what each role may.

use serde_json::{Value as Json, json};

use super::{WORKER, command, key, over, start};

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
fn a_job_is_named_by_how_its_id_begins() {
    let jobs = start(&[]);
    let ids = ["abcdef01-0000-0000-0000-000000000001", "abcdef02-0000-0000-0000-000000000002"];
    for id in ids {
        jobs.json(&["submit", "--name", "x", "--operationtype", "54", "--id", id]);
    }
    assert_eq!(jobs.json(&["show", "ABCDEF01"])["asyncoperationid"], json!(ids[0]));
    assert_eq!(jobs.json(&["why", "abcdef02-0000"])[0]["asyncoperationid"], json!(ids[1]));
    for (beginning, expected, said) in [
        ("abcdef0", 2, "several jobs have ids that begin with 'abcdef0': abcdef01-"),
        ("abc", 2, "'abc' is not a GUID, nor 4 or more digits"),
        ("abcdeg01", 2, "'abcdeg01' is not a GUID"),
        ("abcdef03", 1, "there is no job whose id begins with 'abcdef03'"),
    ] {
        let (code, _, err) = jobs.cli(&["cancel", beginning]);
        assert_eq!(code, Some(expected), "{beginning}: {err}");
        assert!(err.contains(said), "{beginning}: {err}");
    }
    assert_eq!(jobs.json(&["cancel", "abcdef01"])["done"], json!(1));
    assert_eq!(jobs.row(ids[0])["statuscode"], json!(32));
    assert_eq!(jobs.json(&["postpone", "--until", "2h", "abcdef02"])["done"], json!(1));
    assert_eq!(jobs.row(ids[1])["statuscode"], json!(10));
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
