//! `BulkDelete` and `ExecuteWorkflow`.

use std::time::{Duration, Instant};

use serde_json::json;

use super::jobs::jobs;
use super::{Answer, Json, Server, server};

fn bulk(query: Json) -> Json {
    json!({
        "JobName": "clean up", "SendEmailNotification": false, "ToRecipients": [],
        "CCRecipients": [], "RecurrencePattern": "", "QuerySet": [query],
    })
}

fn all(table: &str) -> Json {
    json!({"@odata.type": "Microsoft.Dynamics.CRM.QueryExpression", "EntityName": table,
           "ColumnSet": {"AllColumns": false, "Columns": []}, "Criteria": {}})
}

fn run(server: &Server, body: &Json) -> Answer {
    server.write("POST", "BulkDelete", &[], body)
}

fn code(answer: &Answer) -> String {
    assert_eq!(answer.status, 400, "{}", answer.text);
    answer.json()["error"]["code"].as_str().expect("text").to_owned()
}

/// The job's row once it is completed.
fn completed(server: &Server, answer: &Answer) -> Json {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let id = answer.json()["JobId"].as_str().expect("an id").to_owned();
    let begin = Instant::now();
    loop {
        let row = server.get(&format!("asyncoperations({id})"), &[]).json();
        if row["statecode"] == 3 {
            return row;
        }
        assert!(begin.elapsed() < Duration::from_secs(30), "{row}");
        std::thread::yield_now();
    }
}

#[test]
fn a_bulk_deletion_is_a_job_that_deletes_what_its_query_finds() {
    let server = server(1);
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        let body = json!({"name": name});
        let made = server.write("POST", "accounts", &[("Prefer", "return=representation")], &body);
        ids.push(made.json()["accountid"].clone());
    }
    // As Microsoft's Python SDK sends it.
    let query = json!({
        "@odata.type": "Microsoft.Dynamics.CRM.QueryExpression", "EntityName": "account",
        "ColumnSet": {"@odata.type": "Microsoft.Dynamics.CRM.ColumnSet", "AllColumns": false, "Columns": []},
        "Criteria": {"@odata.type": "Microsoft.Dynamics.CRM.FilterExpression", "FilterOperator": "And",
            "Conditions": [{"@odata.type": "Microsoft.Dynamics.CRM.ConditionExpression",
                "AttributeName": "accountid", "Operator": "In",
                "Values": [{"Value": ids[0], "Type": "System.Guid"}, {"Value": ids[1], "Type": "System.Guid"}]}]},
    });
    let answer = run(&server, &bulk(query));
    assert_eq!(
        answer.json()["@odata.context"],
        format!("{}$metadata#Microsoft.Dynamics.CRM.BulkDeleteResponse", server.base())
    );
    let job = completed(&server, &answer);
    assert_eq!((&job["statuscode"], &job["operationtype"]), (&json!(30), &json!(13)), "{job}");
    assert_eq!(
        (&job["name"], &job["friendlymessage"]),
        (&json!("clean up"), &json!("2 rows deleted, 0 failed"))
    );
    assert!(job["startedon"].is_string() && job["completedon"].is_string(), "{job}");
    let names: Vec<Json> = server.get("accounts?$select=name", &[]).rows();
    assert_eq!((names.len(), &names[0]["name"]), (1, &json!("c")));
    let operation = &server.get("bulkdeleteoperations", &[]).rows()[0];
    for (name, value) in [
        ("_asyncoperationid_value", job["asyncoperationid"].clone()),
        ("successcount", json!(2)),
        ("failurecount", json!(0)),
        ("isrecurring", json!(false)),
        ("statuscode", json!(30)),
    ] {
        assert_eq!(operation[name], value, "{name}: {operation}");
    }
}

#[test]
fn what_cannot_go_is_a_failure() {
    let server = server(1);
    server.write("POST", "businessunits", &[], &json!({"name": "Root"}));
    let job = completed(&server, &run(&server, &bulk(all("businessunit"))));
    assert_eq!(job["friendlymessage"], "0 rows deleted, 1 failed");
    let failure = &server.get("bulkdeletefailures", &[]).rows()[0];
    assert_eq!(failure["errornumber"], json!(0x8004_8435_u32.cast_signed()), "{failure}");
    assert!(failure["errordescription"].as_str().is_some_and(|t| t.contains("root")), "{failure}");
    assert_eq!(server.get("businessunits/$count", &[]).text, "1");
}

#[test]
fn jobs_are_deleted_in_bulk_and_workflow_jobs_at_once() {
    for live in [false, true] {
        let server = jobs(live);
        let mut query = all("asyncoperation");
        let mut body = bulk(query.clone());
        body["RunNow"] = json!(true);
        assert_eq!(code(&run(&server, &body)), "0x80040203", "not only workflow jobs");
        query["Criteria"] = json!({"Conditions": [
            {"AttributeName": "operationtype", "Operator": "Equal", "Values": [10]}]});
        body["QuerySet"] = json!([query]);
        let answer = run(&server, &body);
        // It is done when it is answered: three jobs were completed.
        assert_eq!(answer.status, 200, "{}", answer.text);
        let rows =
            server.get("asyncoperations?$select=name&$filter=operationtype%20eq%2010", &[]).rows();
        assert_eq!(rows.len(), 8, "live {live}");
        let job = completed(&server, &answer);
        assert_eq!(job["friendlymessage"], "3 rows deleted, 0 failed");
        let of = job["asyncoperationid"].as_str().expect("an id");
        let history = format!(
            "jobhistories?$filter=asyncoperationid%20eq%20{of}&$orderby=jobhistoryid%20desc"
        );
        let last = &server.get(&history, &[]).rows()[0];
        let ended = (&last["fromstatuscode"], &last["tostatuscode"], &last["reason"]);
        assert_eq!(ended, (&json!(20), &json!(30), &json!("succeeded")), "live {live}");
        let job = completed(&server, &run(&server, &bulk(all("asyncoperation"))));
        assert_eq!(job["statuscode"], 30, "{job}");
        // The job itself is left.
        assert_eq!(server.get("asyncoperations/$count", &[]).text, "1", "live {live}");
    }
}

#[test]
fn a_deletion_that_waits_for_its_time_can_be_canceled() {
    for live in [true, false] {
        let server = jobs(live);
        let mut body = bulk(all("asyncoperation"));
        body["StartDateTime"] = json!("2099-01-01T00:00:00Z");
        body["RecurrencePattern"] = json!("FREQ=DAILY;INTERVAL=7;");
        let answer = run(&server, &body);
        assert_eq!(answer.status, 200, "{}", answer.text);
        let path = format!("asyncoperations({})", answer.json()["JobId"].as_str().expect("an id"));
        let row = server.get(&path, &[]).json();
        assert_eq!(
            (&row["statuscode"], &row["postponeuntil"]),
            (&json!(10), &json!("2099-01-01T00:00:00Z"))
        );
        assert_eq!(row["recurrencepattern"], "FREQ=DAILY;INTERVAL=7;");
        let operation = &server.get("bulkdeleteoperations", &[]).rows()[0];
        assert_eq!(operation["nextrun"], "2099-01-08T00:00:00Z", "{operation}");
        let cancel = json!({"statecode": 3, "statuscode": 32});
        assert_eq!(server.write("PATCH", &path, &[], &cancel).status, 204);
        assert_eq!(server.get(&path, &[]).json()["statuscode"], 32);
        let operation = &server.get("bulkdeleteoperations", &[]).rows()[0];
        assert_eq!(operation["statuscode"], 32, "live {live}: {operation}");
    }
}

#[test]
fn bad_parameters_of_a_bulk_deletion_are_named() {
    let server = server(1);
    for (name, value, code_of, part) in [
        ("JobName", json!(null), "0x80040203", "JobName"),
        ("QuerySet", json!([]), "0x80040203", "QuerySet"),
        ("QuerySet", json!([{"EntityName": "accoun"}]), "0x80041102", "accoun"),
        ("QuerySet", json!([{"EntityName": "fileattachment"}]), "0x80040800", "fileattachment"),
        ("RecurrencePattern", json!("FREQ=WEEKLY;"), "0x8004d2a0", "DAILY"),
        ("RecurrencePattern", json!("FREQ=DAILY;INTERVAL=400"), "0x8004d2a1", "365"),
        ("StartDateTime", json!("soon"), "0x80040203", "StartDateTime"),
        ("ToRecipients", json!("me"), "0x80040203", "ToRecipients"),
        ("Jobname", json!("x"), "0x80060888", "'Jobname'"),
    ] {
        let mut body = bulk(all("account"));
        body[name] = value;
        let answer = run(&server, &body);
        let json = answer.json();
        assert!((400..500).contains(&answer.status), "{}", answer.text);
        assert_eq!(json["error"]["code"], code_of, "{name}: {}", answer.text);
        assert!(answer.message().contains(part), "{name}: {}", answer.text);
    }
    assert_eq!(server.get("bulkdeleteoperations/$count", &[]).text, "0");
    assert_eq!(server.write("PUT", "BulkDelete", &[], &json!({})).status, 405);
}

#[test]
fn a_workflow_is_executed_on_demand() {
    for live in [false, true] {
        let server = jobs(live);
        let workflow = |body: Json| {
            let answer =
                server.write("POST", "workflows", &[("Prefer", "return=representation")], &body);
            answer.json()["workflowid"].as_str().expect("an id").to_owned()
        };
        let execute = |id: &str, body: Json| {
            let path = format!("workflows({id})/Microsoft.Dynamics.CRM.ExecuteWorkflow");
            server.write("POST", &path, &[], &body)
        };
        let entity = "6f9619ff-8b86-d011-b42d-00c04fc964ff";
        let id = workflow(json!({"name": "W", "primaryentity": "account", "ondemand": true}));
        assert_eq!(code(&execute(&id, json!({"EntityId": entity}))), "0x80045055");
        let activate = json!({"statecode": 1, "statuscode": 2});
        assert_eq!(server.write("PATCH", &format!("workflows({id})"), &[], &activate).status, 204);
        assert_eq!(code(&execute(&id, json!({}))), "0x80040203");
        let answer = execute(&id, json!({"EntityId": entity}));
        assert_eq!(answer.status, 200, "{}", answer.text);
        let job = answer.json()["asyncoperationid"].as_str().expect("an id").to_owned();
        let row = server.get(&format!("asyncoperations({job})"), &[]).json();
        for (name, value) in [
            ("name", json!("W")),
            ("operationtype", json!(10)),
            ("statuscode", json!(0)),
            ("_regardingobjectid_value", json!(entity)),
            ("_owningextensionid_value", json!(id)),
            ("primaryentitytype", json!("account")),
        ] {
            assert_eq!(row[name], value, "{name}: {row}");
        }
        let other = workflow(json!({"name": "X", "statecode": 1}));
        assert_eq!(code(&execute(&other, json!({"EntityId": entity}))), "0x80045059");
        assert_eq!(execute(entity, json!({"EntityId": entity})).status, 404);
    }
}

#[test]
fn rows_are_found_with_fetchxml_too() {
    let server = server(1);
    for (name, email) in [("a", "x@example.org"), ("b", "y@example.org"), ("c", "z@example.org")] {
        server.write("POST", "accounts", &[], &json!({"name": name, "emailaddress1": email}));
    }
    let fetch = |name: &str| {
        format!(
            "<fetch><entity name='account'><attribute name='name'/><filter>\
             <condition attribute='name' operator='eq' value='{name}'/></filter></entity></fetch>"
        )
    };
    let expression =
        json!({"@odata.type": "Microsoft.Dynamics.CRM.FetchExpression", "Query": fetch("a")});
    for (query, left) in [(expression, "2"), (json!(fetch("b")), "1")] {
        let job = completed(&server, &run(&server, &bulk(query)));
        assert_eq!(job["friendlymessage"], "1 rows deleted, 0 failed", "{job}");
        assert_eq!(server.get("accounts/$count", &[]).text, left);
    }
    let count = "<fetch aggregate='true'><entity name='account'>\
                 <attribute name='name' alias='n' aggregate='count'/></entity></fetch>";
    for (query, part) in [
        (json!("<fetch><entity name='accoun'/></fetch>"), "did you mean 'account'?"),
        (json!("<fetch>"), "FetchXML"),
        (json!(count), "QuerySet[0]: this fetch cannot be used here: aggregates have no rows"),
        (json!("<fetch count='5'><entity name='account'/></fetch>"), "all rows are taken"),
        (json!({"Query": 3}), "'Query' is the text of a fetch"),
    ] {
        let answer = run(&server, &bulk(query));
        assert_eq!(answer.status, 400, "{}", answer.text);
        assert!(answer.message().contains(part), "{}", answer.text);
    }
    assert_eq!(server.get("accounts/$count", &[]).text, "1");
}

#[test]
fn an_immediate_deletion_has_a_history_and_is_taken_up_after_a_crash() {
    let server = jobs(true);
    let mut query = all("asyncoperation");
    query["Criteria"] = json!({"Conditions": [
        {"AttributeName": "operationtype", "Operator": "Equal", "Values": [10]}]});
    let mut body = bulk(query);
    body["RunNow"] = json!(true);
    let job = completed(&server, &run(&server, &body));
    let id = job["asyncoperationid"].as_str().expect("an id");
    let filter = format!("jobhistories?$filter=asyncoperationid%20eq%20{id}&$orderby=jobhistoryid");
    let rows = server.get(&filter, &[]).rows();
    let statuses: Vec<&Json> = rows.iter().map(|row| &row["tostatuscode"]).collect();
    // The scheduler does it, so it is one of the jobs that it takes up again.
    assert_eq!(statuses, [&json!(0), &json!(20), &json!(30)], "{rows:?}");
}

#[test]
fn duplicates_are_found_by_a_job_and_recorded() {
    let server = jobs(true);
    let contact = |first: &str, last: &str, email: Option<&str>| {
        let body = json!({"firstname": first, "lastname": last, "emailaddress1": email});
        let headers = [("Prefer", "return=representation")];
        let made = server.write("POST", "contacts", &headers, &body);
        made.json()["contactid"].as_str().expect("an id").to_owned()
    };
    let a = contact("Ann", "Lee", Some("ann@example.org"));
    let b = contact("Anna", "Leigh", Some(" ANN@example.org"));
    let c = contact("ann", "Lée", None);
    contact("Bob", "Ray", None);
    let query = |table: &str| {
        json!({"@odata.type": "Microsoft.Dynamics.CRM.QueryExpression", "EntityName": table,
               "ColumnSet": {"AllColumns": false, "Columns": []}, "Criteria": {}})
    };
    let detect = |body: &Json| server.write("POST", "BulkDetectDuplicates", &[], body);
    let mut body = json!({
        "JobName": "look", "SendEmailNotification": false, "ToRecipients": [],
        "CCRecipients": [], "RecurrencePattern": "", "Query": query("contact"),
    });
    let answer = detect(&body);
    assert_eq!(
        answer.json()["@odata.context"],
        format!("{}$metadata#Microsoft.Dynamics.CRM.BulkDetectDuplicatesResponse", server.base())
    );
    let job = completed(&server, &answer);
    assert_eq!((&job["statuscode"], &job["operationtype"]), (&json!(30), &json!(8)), "{job}");
    assert_eq!(job["friendlymessage"], "4 rows examined, 4 duplicates found");
    let rows = server.get("duplicaterecords", &[]).rows();
    let text = |row: &Json, name: &str| row[name].as_str().expect("an id").to_owned();
    let mut pairs: Vec<(String, String)> = rows
        .iter()
        .map(|row| (text(row, "_baserecordid_value"), text(row, "_duplicaterecordid_value")))
        .collect();
    pairs.sort();
    // One agrees in the address, the other in the name; case and accents do not count.
    let mut expected = vec![(a.clone(), b.clone()), (b, a.clone()), (a.clone(), c.clone()), (c, a)];
    expected.sort();
    assert_eq!(pairs, expected);
    assert_eq!(rows[0]["_asyncoperationid_value"], job["asyncoperationid"]);

    for (name, value, code_of, part) in [
        ("JobName", json!(""), "0x80040203", "JobName"),
        ("Query", json!(null), "0x80040203", "Query"),
        ("Query", query("contac"), "0x80041102", "contact"),
        ("RecurrencePattern", json!("FREQ=HOURLY;"), "0x8004d2a0", "DAILY"),
        ("SendEmailNotification", json!(true), "0x80040315", "e-mail"),
        ("Queri", json!(1), "0x80060888", "did you mean 'Query'?"),
    ] {
        let mut wrong = body.clone();
        wrong[name] = value;
        let answer = detect(&wrong);
        assert_eq!(answer.json()["error"]["code"], code_of, "{name}: {}", answer.text);
        assert!(answer.message().contains(part), "{name}: {}", answer.text);
    }
    body["RecurrencePattern"] = json!("FREQ=DAILY;INTERVAL=7;");
    body["RecurrenceStartTime"] = json!("2099-01-01T00:00:00Z");
    let id = detect(&body).json()["JobId"].as_str().expect("an id").to_owned();
    let row = server.get(&format!("asyncoperations({id})"), &[]).json();
    assert_eq!(
        (&row["statuscode"], &row["postponeuntil"], &row["recurrencepattern"]),
        (&json!(10), &json!("2099-01-01T00:00:00Z"), &json!("FREQ=DAILY;INTERVAL=7;"))
    );
}
