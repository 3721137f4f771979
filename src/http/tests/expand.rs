//! `$expand` of collections and references.

use serde_json::Value as Json;

use super::{ALL, Server, USER, job_id, server};
use crate::value::{Value, guid_text};

/// Jobs 0 to 2; job 1 has three log rows, job 2 has one.
fn logged() -> Server {
    let server = server(3);
    for (i, job, text) in [(1, 1, "a"), (2, 1, "b"), (3, 1, "c"), (4, 2, "d")] {
        server.insert(
            "workflowlog",
            vec![
                ("workflowlogid", Value::Guid([i; 16])),
                ("description", Value::Text(text.into())),
                ("asyncoperationid", Value::Guid(job_id(job))),
            ],
        );
    }
    server
}

const LOGS: &str = "lk_workflowlog_asyncoperations";

fn texts(row: &Json) -> Vec<&str> {
    let rows = row[LOGS].as_array().unwrap_or_else(|| panic!("a list in {row}"));
    rows.iter().map(|r| r["description"].as_str().expect("text")).collect()
}

#[test]
fn each_row_has_its_collection() {
    let server = logged();
    let path = format!(
        "asyncoperations?$select=name&$orderby=name&$expand={LOGS}($select=description;$filter=description ne 'b';$orderby=description desc)"
    );
    let answer = server.get(&path, &[]);
    assert_eq!(answer.status, 200, "{}", answer.text);
    let rows = answer.rows();
    assert_eq!(rows.iter().map(texts).collect::<Vec<_>>(), [vec![], vec!["c", "a"], vec!["d"]]);
    let child = &rows[1][LOGS][0];
    assert_eq!(child["_asyncoperationid_value"], guid_text(&job_id(1)), "{child}");
    assert!(child["workflowlogid"].is_string() && child["@odata.etag"].is_string(), "{child}");
    let context = answer.json()["@odata.context"].as_str().expect("text").to_owned();
    assert!(context.ends_with(&format!("#asyncoperations(name,{LOGS}(description))")), "{context}");
    // The link gives the same rows.
    let link = rows[1][format!("{LOGS}@odata.nextLink")].as_str().expect("a link").to_owned();
    assert!(link.starts_with(&server.base()), "{link}");
    let same = server.send("GET", &link, &[], "");
    let ids =
        |rows: &[Json]| -> Vec<Json> { rows.iter().map(|r| r["workflowlogid"].clone()).collect() };
    let expanded = rows[1][LOGS].as_array().expect("a list");
    assert_eq!(ids(&same.rows()), ids(expanded), "{}", same.text);
}

#[test]
fn a_single_row_has_collections_too() {
    let server = logged();
    let row = format!("asyncoperations({})", guid_text(&job_id(1)));
    let answer =
        server.get(&format!("{row}?$select=name&$expand={LOGS}($top=2),owninguser"), &[ALL]);
    assert_eq!(texts(&answer.json()), ["a", "b"], "{}", answer.text);
    assert_eq!(answer.json()["owninguser"]["fullname"], "Ann Example");
    let counted = server.get(&format!("{row}?$expand={LOGS}($top=1;$count=true)"), &[]);
    if counted.status == 200 {
        assert_eq!(counted.json()[format!("{LOGS}@odata.count")], 3, "{}", counted.text);
    } else {
        assert!(counted.message().contains("$count"), "{}", counted.text);
    }
}

#[test]
fn pages_of_rows_keep_their_collections() {
    let server = logged();
    let path = format!("asyncoperations?$select=name&$expand={LOGS}($select=description)");
    let first = server.get(&path, &[("Prefer", "odata.maxpagesize=2")]);
    assert_eq!(first.rows().iter().map(texts).collect::<Vec<_>>(), [vec![], vec!["a", "b", "c"]]);
    let link = first.json()["@odata.nextLink"].as_str().expect("one more job").to_owned();
    assert_eq!(
        server.send("GET", &link, &[], "").rows().iter().map(texts).collect::<Vec<_>>(),
        [["d"]]
    );
}

#[test]
fn with_rows_inside_them_collections_have_pages() {
    let server = logged();
    let path = format!(
        "asyncoperations?$filter=name eq 'job 1'&$select=name&$expand={LOGS}($select=description;$expand=asyncoperationid_asyncoperation($select=name))"
    );
    let answer = server.get(&path, &[("Prefer", "odata.maxpagesize=2")]);
    assert_eq!(answer.status, 200, "{}", answer.text);
    let row = &answer.rows()[0];
    assert_eq!(texts(row), ["a", "b"]);
    assert_eq!(row[LOGS][0]["asyncoperationid_asyncoperation"]["name"], "job 1");
    let context = answer.json()["@odata.context"].as_str().expect("text").to_owned();
    let shown =
        format!("#asyncoperations(name,{LOGS}(description,asyncoperationid_asyncoperation(name)))");
    assert!(context.ends_with(&shown), "{context}");
    let link = row[format!("{LOGS}@odata.nextLink")].as_str().expect("one more").to_owned();
    let rest = server.send("GET", &link, &[], "");
    assert_eq!(rest.rows().len(), 1, "{}", rest.text);
    assert_eq!(rest.rows()[0]["description"], "c");
    let whole = server.get(&path, &[]);
    assert_eq!(texts(&whole.rows()[0]), ["a", "b", "c"]);
    assert!(whole.rows()[0].get(format!("{LOGS}@odata.nextLink")).is_none(), "{}", whole.text);
}

#[test]
fn rows_inside_expanded_rows() {
    let server = logged();
    let path = "workflowlogs?$select=description&$filter=description eq 'd'&$expand=asyncoperationid_asyncoperation($select=name;$expand=owninguser($select=fullname))";
    let answer = server.get(path, &[]);
    assert_eq!(answer.status, 200, "{}", answer.text);
    let job = &answer.rows()[0]["asyncoperationid_asyncoperation"];
    assert_eq!(
        (&job["name"], &job["owninguser"]["fullname"]),
        (&"job 2".into(), &"Ann Example".into())
    );
}

#[test]
fn references_are_addresses() {
    let server = logged();
    let answer = server.get("asyncoperations?$select=name&$top=1&$expand=owninguser/$ref", &[]);
    assert_eq!(answer.status, 200, "{}", answer.text);
    let id = format!("{}systemusers({})", server.base(), guid_text(&USER));
    assert_eq!(answer.rows()[0]["owninguser"], serde_json::json!({"@odata.id": id}));
}

#[test]
fn what_cannot_be_expanded_is_refused() {
    let server = logged();
    let nested = format!("{LOGS}($top=1;$expand=asyncoperationid_asyncoperation)");
    for (expand, part) in [
        (format!("{LOGS}/$ref"), "only supported on lookup type"),
        (nested, "Only $select and $filter clause"),
        ("*".to_owned(), "*"),
        ("AsyncOperation_Emails".to_owned(), "email"),
    ] {
        let answer = server.get(&format!("asyncoperations?$expand={expand}"), &[]);
        assert_eq!(answer.status, 400, "{expand}: {}", answer.text);
        assert!(answer.message().contains(part), "{expand}: {}", answer.text);
    }
}
