//! Writes and told events raise jobs.

use serde_json::json;

use super::{Json, Server, start, stored};
use crate::messages;

/// A service with the messages of the platform and without jobs; `live` runs them.
fn server(live: bool) -> Server {
    let (dir, store) = stored(0);
    messages::register(&store).expect("the messages are there");
    start(dir, store, live)
}

fn created(server: &Server, set: &str, body: &Json) -> String {
    let answer = server.write("POST", set, &[("Prefer", "return=representation")], body);
    assert_eq!(answer.status, 201, "{}", answer.text);
    let row = answer.json();
    let key = format!("{}id", set.trim_end_matches('s'));
    row[&key].as_str().unwrap_or_else(|| panic!("{row}")).to_owned()
}

/// Registers an asynchronous step on a message of accounts.
fn step(server: &Server, message: &str, filtering: &str) -> String {
    let filter = format!(
        "sdkmessagefilters?$filter=primaryobjecttypecode eq 'account' and sdkmessageid/name eq '{message}'"
    );
    let filter = server.get(&filter, &[]).rows()[0].clone();
    let bind = |set: &str, id: &Json| json!(format!("/{set}({})", id.as_str().expect("an id")));
    created(
        server,
        "sdkmessageprocessingsteps",
        &json!({
            "name": format!("on {message}"), "mode": 1, "stage": 40, "rank": 1,
            "filteringattributes": filtering,
            "sdkmessageid@odata.bind": bind("sdkmessages", &filter["_sdkmessageid_value"]),
            "sdkmessagefilterid@odata.bind": bind("sdkmessagefilters", &filter["sdkmessagefilterid"]),
        }),
    )
}

fn workflow(server: &Server, body: Json) -> String {
    let mut all = json!({
        "name": "flow", "category": 0, "type": 1, "mode": 0, "scope": 4,
        "primaryentity": "account", "statecode": 1,
    });
    all.as_object_mut().expect("an object").extend(body.as_object().expect("an object").clone());
    created(server, "workflows", &all)
}

fn jobs(server: &Server) -> Vec<Json> {
    server.get("asyncoperations?$orderby=sequence", &[]).rows()
}

fn tell(server: &Server, body: &Json) -> super::Answer {
    let headers = [("Content-Type", "application/json")];
    server.send("POST", "/sysjob/events", &headers, &body.to_string())
}

#[test]
fn a_write_and_the_jobs_it_raises_are_one() {
    for live in [false, true] {
        let server = server(live);
        let step = step(&server, "Create", "");
        let flow = workflow(&server, json!({"triggeroncreate": true}));
        let account = created(&server, "accounts", &json!({"name": "Contoso", "revenue": 1.5}));
        let jobs = jobs(&server);
        let of = |name: &str| -> Vec<Json> { jobs.iter().map(|job| job[name].clone()).collect() };
        assert_eq!(of("name"), ["on Create", "flow"], "live {live}");
        assert_eq!(of("operationtype"), [1, 10]);
        assert_eq!(of("_owningextensionid_value"), [step.as_str(), flow.as_str()]);
        assert_eq!(of("_regardingobjectid_value"), [account.as_str(), account.as_str()]);
        assert_eq!(of("messagename"), ["Create", "Create"]);
        assert_eq!(of("primaryentitytype"), ["account", "account"]);
        assert_eq!((of("depth"), of("statuscode")), (vec![json!(1); 2], vec![json!(0); 2]));
        assert_eq!(of("correlationid")[0], of("correlationid")[1], "one chain");
        let data: Json =
            serde_json::from_str(jobs[0]["data"].as_str().expect("text")).expect("JSON");
        let attributes =
            data["InputParameters"][0]["value"]["Attributes"].as_array().expect("a list");
        let value = |key: &str| attributes.iter().find(|a| a["key"] == key).map(|a| &a["value"]);
        assert_eq!(value("name"), Some(&json!("Contoso")));
        assert_eq!(
            value("revenue"),
            Some(
                &json!({"__type": "Money:http://schemas.microsoft.com/xrm/2011/Contracts", "Value": 1.5})
            )
        );
        assert_eq!(
            value("statecode").map(|v| &v["Value"]),
            Some(&json!(0)),
            "what the platform fills in belongs to it"
        );
    }
}

#[test]
fn updates_and_deletions_raise_and_refused_writes_do_not() {
    let server = server(false);
    step(&server, "Update", "telephone1");
    step(&server, "Delete", "");
    let account = created(&server, "accounts", &json!({"name": "Contoso"}));
    let path = format!("accounts({account})");
    let status = |method: &str, body: Json| server.write(method, &path, &[], &body).status;
    assert_eq!(status("PATCH", json!({"name": "Fabrikam"})), 204);
    assert!(jobs(&server).is_empty(), "not the column it is for");
    assert_eq!(status("PATCH", json!({"telephone1": "1", "nosuch": 1})), 400);
    assert!(jobs(&server).is_empty(), "nothing was written");
    assert_eq!(status("PATCH", json!({"telephone1": "1"})), 204);
    assert_eq!(status("DELETE", Json::Null), 204);
    let names: Vec<Json> = jobs(&server).iter().map(|job| job["name"].clone()).collect();
    assert_eq!(names, ["on Update", "on Delete"]);
    let many = json!({"Targets": [
        {"@odata.type": "Microsoft.Dynamics.CRM.account", "name": "a", "telephone1": "1"}]});
    let action = "accounts/Microsoft.Dynamics.CRM.CreateMultiple";
    assert_eq!(server.write("POST", action, &[], &many).status, 200);
    assert_eq!(jobs(&server).len(), 2, "a creation is no update");
}

#[test]
fn told_events_answer_the_jobs_they_raise() {
    for live in [false, true] {
        let server = server(live);
        let step = step(&server, "Update", "name");
        let id = "11111111-2222-3333-4444-555555555555";
        let user = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa";
        let event = json!({"message": "Update", "table": "account", "id": id,
                           "attributes": {"name": "x"}, "user": user});
        let raised = tell(&server, &event);
        assert_eq!(raised.status, 200, "{}", raised.text);
        let raised = raised.json();
        assert_eq!(raised[0]["owningextensionid"], step, "{raised}");
        let row = &jobs(&server)[0];
        assert_eq!(row["asyncoperationid"], raised[0]["asyncoperationid"]);
        assert_eq!(row["_ownerid_value"], user);
        assert_eq!(row["_regardingobjectid_value"], id);
        let other = json!({"message": "Update", "table": "account", "id": id,
                           "attributes": {"fax": "x"}});
        for (member, jobs) in [
            ("NAME", 1),
            ("_name_value", 1),
            ("name@odata.bind", 1),
            ("name@OData.Community.Display.V1.FormattedValue", 0),
            ("@odata.etag", 0),
        ] {
            let event = json!({"message": "update", "table": "Account", "id": id, "attributes": {member: "x"}});
            let raised = tell(&server, &event).json();
            assert_eq!(raised.as_array().map(Vec::len), Some(jobs), "{member}: {raised}");
        }
        let list = tell(&server, &json!([event, other, event])).json();
        let counts: Vec<usize> = list
            .as_array()
            .expect("a list")
            .iter()
            .map(|l| l.as_array().map_or(9, Vec::len))
            .collect();
        assert_eq!(counts, [1, 0, 1], "{list}");
        assert_eq!(jobs(&server).len(), 6);
        assert_eq!(tell(&server, &json!([])).text, "[]");
    }
}

#[test]
fn a_bad_event_refuses_all_of_them() {
    let server = server(true);
    step(&server, "Create", "");
    let id = "11111111-2222-3333-4444-555555555555";
    let good = json!({"message": "Create", "table": "account", "id": id});
    for (event, text) in [
        (json!({"message": "Create", "table": "acount", "id": id}), "did you mean 'account'?"),
        (json!({"message": "Create", "table": "account", "id": "x"}), "id: a GUID is expected"),
        (json!({"message": "Create", "table": "account"}), "id: a GUID is required"),
        (json!({"message": "", "table": "account", "id": id}), "message: a text is required"),
        (json!({"message": 5, "table": "account", "id": id}), "message: a text is expected"),
        (
            json!({"message": "Create", "table": "account", "id": id, "attributes": []}),
            "attributes: a JSON object is expected",
        ),
        (
            json!({"message": "Create", "table": "account", "id": id, "usr": id}),
            "'usr' is no member of this object; did you mean 'user'?",
        ),
        (json!({"message": "Create", "table": "account", "id": id, "user": 1}), "user: a GUID"),
        (json!("Create"), "a JSON object is expected, not a text"),
    ] {
        let answer = tell(&server, &event);
        assert_eq!(answer.status, 400, "{event}");
        assert!(answer.message().contains(text), "{event}: {}", answer.text);
        let answer = tell(&server, &json!([good, event]));
        assert_eq!(answer.status, 400, "{event}");
        assert!(answer.message().contains("[1]"), "{event}: {}", answer.text);
    }
    let headers = [("Content-Type", "application/json")];
    assert_eq!(server.send("POST", "/sysjob/events", &headers, "{").status, 400);
    assert!(jobs(&server).is_empty());
}

#[test]
fn a_workflow_started_by_hand_has_its_context() {
    let server = server(true);
    let flow = workflow(&server, json!({"ondemand": true}));
    let account = created(&server, "accounts", &json!({"name": "Contoso"}));
    let path = format!("workflows({flow})/Microsoft.Dynamics.CRM.ExecuteWorkflow");
    let answer = server.write("POST", &path, &[], &json!({"EntityId": account}));
    assert_eq!(answer.status, 200, "{}", answer.text);
    let job = &jobs(&server)[0];
    assert_eq!(job["asyncoperationid"], answer.json()["asyncoperationid"]);
    let data: Json = serde_json::from_str(job["data"].as_str().expect("text")).expect("JSON");
    assert_eq!(data["MessageName"], "ExecuteWorkflow");
    assert_eq!(data["PrimaryEntityId"], account);
    assert_eq!(data["OperationId"], job["asyncoperationid"]);
    assert_eq!(data["CorrelationId"], job["correlationid"]);
}
