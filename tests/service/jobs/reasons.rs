//! Why jobs are where they are, of one and of whole queries.

use std::collections::HashSet;

use serde_json::{Value as Json, json};

use super::{key, start};

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
    assert_eq!(ids(&rows), std::slice::from_ref(&token), "{rows}");
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
