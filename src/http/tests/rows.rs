//! Single rows.

use serde_json::Value as Json;

use super::{Server, USER, job_id, server};
use crate::value::{Value, guid_text};

#[test]
fn one_row_by_its_key() {
    let server = server(3);
    let id = guid_text(&job_id(2));
    let row = server.get(&format!("asyncoperations({})?$select=name", id.to_uppercase()), &[]);
    assert_eq!(
        row.text,
        format!(
            r#"{{"@odata.context":"{}$metadata#asyncoperations(name)/$entity","@odata.etag":{},"name":"job 2","asyncoperationid":"{id}"}}"#,
            server.base(),
            row.json()["@odata.etag"],
        )
    );
    let missing = server.get(&format!("asyncoperations({})", guid_text(&job_id(9))), &[]);
    assert_eq!((missing.status, &missing.json()["error"]["code"]), (404, &"0x80040217".into()));
    assert!(missing.message().contains(&guid_text(&job_id(9))));
    assert_eq!(server.get(&format!("asyncoperations({id})?$filter=x"), &[]).status, 400);
}

/// Job 1 with the other rows around it: a workflow behind it, two log rows that
/// point to it.
fn related() -> (Server, String) {
    let server = server(3);
    let log = |i: u8, name: &str| {
        vec![
            ("workflowlogid", Value::Guid([i; 16])),
            ("description", Value::Text(name.into())),
            ("asyncoperationid", Value::Guid(job_id(1))),
        ]
    };
    server.insert("workflowlog", log(1, "first"));
    server.insert("workflowlog", log(2, "second"));
    (server, format!("asyncoperations({})", guid_text(&job_id(1))))
}

#[test]
fn amounts_come_with_their_currency() {
    let server = server(0);
    let account = vec![("accountid", Value::Guid([1; 16])), ("revenue", Value::Decimal(50_000))];
    server.insert("account", account);
    for (path, there) in [("accounts?$select=revenue", true), ("accounts?$select=name", false)] {
        let row = server.get(path, &[]).rows()[0].clone();
        assert_eq!(row.get("_transactioncurrencyid_value").is_some(), there, "{path}: {row}");
    }
}

#[test]
fn a_path_leads_to_a_column_of_the_row_behind_a_lookup() {
    let (server, row) = related();
    let path = format!("{row}/owninguser/fullname");
    let answer = server.get(&path, &[]);
    assert_eq!((answer.status, &answer.json()["value"]), (200, &"Ann Example".into()));
    let context = format!("$metadata#systemusers({})/fullname", guid_text(&USER));
    assert!(answer.json()["@odata.context"].as_str().expect("text").ends_with(&context));
    assert_eq!(server.get(&format!("{path}/$value"), &[]).text, "Ann Example");
    // Nothing behind the lookup, no such column, nothing behind a column.
    for (tail, status) in
        [("owningteam/name", 204), ("owninguser/fullnam", 404), ("owninguser/fullname/x", 404)]
    {
        let answer = server.get(&format!("{row}/{tail}"), &[]);
        assert_eq!(answer.status, status, "{tail}: {}", answer.text);
    }
}

#[test]
fn a_row_has_a_tag_that_changes_with_it() {
    let server = server(2);
    let path = format!("asyncoperations({})?$select=name", guid_text(&job_id(1)));
    let row = server.get(&path, &[]);
    let tag = row.header("etag").to_owned();
    assert_eq!(row.json()["@odata.etag"], tag.as_str());
    assert!(tag.starts_with("W/\""), "{tag}");
    for (header, status) in [
        (tag.as_str(), 304),
        ("*", 304),
        ("null", 200),
        ("W/\"0\"", 200),
        (&format!("W/\"0\", {tag}"), 304),
    ] {
        let answer = server.get(&path, &[("If-None-Match", header)]);
        assert_eq!(answer.status, status, "{header}");
        assert_eq!(answer.header("etag"), tag, "{header}");
        assert_eq!(answer.text.is_empty(), status == 304);
    }
    server.insert(
        "asyncoperation",
        vec![("asyncoperationid", Value::Guid(job_id(1))), ("name", Value::Text("again".into()))],
    );
    let changed = server.get(&path, &[("If-None-Match", tag.as_str())]);
    assert_eq!((changed.status, &changed.json()["name"]), (200, &"again".into()));
    let all = server.get("asyncoperations?$select=name", &[]);
    assert!(all.rows().iter().all(|r| r["@odata.etag"].is_string()), "{}", all.text);
    let groups = server.get("asyncoperations?$apply=groupby((statecode))", &[]);
    assert!(!groups.text.contains("etag"), "{}", groups.text);
    let unknown = server.get("asyncoperations?$select=versionnumber", &[]);
    assert_eq!(unknown.status, 400, "the documented table has no such column");
}

#[test]
fn columns_are_read_one_by_one() {
    let server = server(2);
    let row = format!("asyncoperations({})", guid_text(&job_id(1)));
    let name = server.get(&format!("{row}/name"), &[]);
    let expected =
        format!(r#"{{"@odata.context":"{}$metadata#{row}/name","value":"job 1"}}"#, server.base());
    assert_eq!(name.text, expected);
    let raw = server.get(&format!("{row}/name/$value"), &[]);
    assert_eq!((raw.text.as_str(), raw.header("content-type")), ("job 1", "text/plain"));
    assert_eq!(server.get(&format!("{row}/statecode"), &[]).json()["value"], 0);
    let owner = server.get(&format!("{row}/_ownerid_value"), &[]);
    assert_eq!(owner.json()["value"], guid_text(&USER));
    for path in ["message", "message/$value", "_workflowactivationid_value"] {
        let none = server.get(&format!("{row}/{path}"), &[]);
        assert_eq!((none.status, none.text.as_str()), (204, ""), "{path}");
    }
    let missing = format!("asyncoperations({})/name", guid_text(&job_id(9)));
    assert_eq!(server.get(&missing, &[]).status, 404);
    let head = server.send("HEAD", &format!("/api/data/v9.2/{row}"), &[], "");
    assert_eq!((head.status, head.text.as_str()), (200, ""));
}

#[test]
fn alternate_keys_find_one_row() {
    let server = server(3);
    let row = server.get("asyncoperations(name='job 1',operationtype=10)?$select=name", &[]);
    assert_eq!(row.json()["asyncoperationid"], guid_text(&job_id(1)), "{}", row.text);
    assert_eq!(server.get("asyncoperations(name='job 2')/statecode", &[]).json()["value"], 3);
    for (key, status, code) in [
        ("name='nobody'", 404, "0x80060891"),
        ("operationtype=10", 412, "0x80060892"),
        ("nam='x'", 400, "0x80060888"),
    ] {
        let answer = server.get(&format!("asyncoperations({key})"), &[]);
        let given = answer.json()["error"]["code"].as_str().expect("text").to_owned();
        assert_eq!((answer.status, given.as_str()), (status, code), "{}", answer.text);
    }
}

#[test]
fn paths_lead_to_the_rows_around() {
    let (server, row) = related();
    let owner = server.get(&format!("{row}/owninguser?$select=fullname"), &[]);
    assert_eq!(owner.json()["fullname"], "Ann Example", "{}", owner.text);
    assert!(owner.text.contains("#systemusers(fullname)/$entity"), "{}", owner.text);
    let owner = server.get(&format!("{row}/ownerid"), &[]);
    assert_eq!(owner.json()["systemuserid"], guid_text(&USER), "{}", owner.text);
    let reference = server.get(&format!("{row}/ownerid/$ref"), &[]);
    let id = format!("{}systemusers({})", server.base(), guid_text(&USER));
    assert_eq!(reference.json()["@odata.id"], id.as_str());
    assert!(reference.text.contains("$metadata#$ref"), "{}", reference.text);
    for path in ["createdby", "createdby/$ref", "regardingobjectid_account"] {
        assert_eq!(server.get(&format!("{row}/{path}"), &[]).status, 204, "{path}");
    }

    let logs = format!("{row}/lk_workflowlog_asyncoperations");
    let all = server.get(&format!("{logs}?$select=description&$orderby=description desc"), &[]);
    let names: Vec<Json> = all.rows().iter().map(|r| r["description"].clone()).collect();
    assert_eq!(names, ["second", "first"]);
    assert!(all.text.contains("#workflowlogs(description)"), "{}", all.text);
    let some = server.get(&format!("{logs}?$filter=description eq 'first'"), &[]);
    assert_eq!(some.rows().len(), 1);
    assert_eq!(server.get(&format!("{logs}/$count"), &[]).text, "2");
    let page = server.get(&logs, &[("Prefer", "odata.maxpagesize=1")]);
    let link = page.json()["@odata.nextLink"].as_str().expect("one more").to_owned();
    assert!(link.starts_with(&format!("{}{logs}?", server.base())), "{link}");
    assert_eq!(server.send("GET", &link, &[], "").rows().len(), 1);
    let references = server.get(&format!("{logs}/$ref"), &[]);
    let first = format!("{}workflowlogs({})", server.base(), guid_text(&[1; 16]));
    assert_eq!(references.rows()[0]["@odata.id"], first.as_str(), "{}", references.text);
    assert!(references.text.contains("#Collection($ref)"), "{}", references.text);
    let one = server.get(&format!("{logs}({})?$select=description", guid_text(&[2; 16])), &[]);
    assert_eq!(one.json()["description"], "second", "{}", one.text);

    let other =
        format!("asyncoperations({})/lk_workflowlog_asyncoperations", guid_text(&job_id(2)));
    assert!(server.get(&other, &[]).rows().is_empty());
    let missing = format!("asyncoperations({})", guid_text(&job_id(9)));
    for path in
        ["lk_workflowlog_asyncoperations", "lk_workflowlog_asyncoperations/$count", "ownerid"]
    {
        let answer = server.get(&format!("{missing}/{path}"), &[]);
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.message().starts_with("AsyncOperation With Id = "), "{}", answer.text);
    }
    let unserved = server.get(&format!("{row}/AsyncOperation_Emails"), &[]);
    assert!(unserved.message().contains("'email'"), "{}", unserved.text);
}
