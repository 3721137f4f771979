//! Collections: columns, annotations, counts, options in a body.

use super::{ALL, USER, job_id, server};
use crate::value::guid_text;

#[test]
fn a_select_has_context_columns_and_headers() {
    let server = server(3);
    let answer = server.get("asyncoperations?$select=name,ownerid&$filter=statecode%20eq%200", &[]);
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("content-type"), "application/json; odata.metadata=minimal");
    assert_eq!(answer.header("odata-version"), "4.0");
    assert!(!answer.header("x-ms-service-request-id").is_empty());
    assert_eq!(answer.header("preference-applied"), "");
    let expected = format!(
        concat!(
            r#"{{"@odata.context":"{}$metadata#asyncoperations(name,_ownerid_value)","value":["#,
            r#"{{"@odata.etag":{},"name":"job 1","_ownerid_value":"{}","asyncoperationid":"{}"}}]}}"#
        ),
        server.base(),
        answer.rows()[0]["@odata.etag"],
        guid_text(&USER),
        guid_text(&job_id(1)),
    );
    assert_eq!(answer.text, expected);
}

#[test]
fn annotations_and_expanded_rows() {
    let server = server(1);
    let path = "asyncoperations?$select=statecode,ownerid&$expand=owninguser($select=fullname)";
    let answer = server.get(path, &[ALL]);
    assert_eq!(answer.header("preference-applied"), "odata.include-annotations=\"*\"");
    let row = &answer.rows()[0];
    assert_eq!(row["statecode@OData.Community.Display.V1.FormattedValue"], "Completed");
    assert_eq!(row["_ownerid_value@OData.Community.Display.V1.FormattedValue"], "Ann Example");
    assert_eq!(row["_ownerid_value@Microsoft.Dynamics.CRM.lookuplogicalname"], "systemuser");
    assert_eq!(row["owninguser"]["fullname"], "Ann Example");
    let context = answer.json()["@odata.context"].as_str().expect("text").to_owned();
    assert!(context.ends_with("#asyncoperations(statecode,_ownerid_value,owninguser(fullname))"));
    assert!(!row.as_object().expect("a row").contains_key("owneridname"), "{row}");
}

#[test]
fn options_come_in_a_body_too() {
    let server = server(3);
    let body = "$apply=groupby((statecode),aggregate($count as jobs))&$orderby=statecode";
    for kind in ["text/plain", "text/plain; charset=utf-8", "application/x-www-form-urlencoded"] {
        let path = "/api/data/v9.2/asyncoperations/$query";
        let answer = server.send("POST", path, &[("Content-Type", kind)], body);
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.rows()[0]["jobs"], 1);
        assert_eq!(answer.rows()[1]["jobs"], 2);
    }
    let json = server.send(
        "POST",
        "/api/data/v9.2/asyncoperations/$query",
        &[("Content-Type", "application/json")],
        "{}",
    );
    assert_eq!(json.status, 415);
    let page = server.send(
        "POST",
        "/api/data/v9.2/asyncoperations/$query",
        &[("Prefer", "odata.maxpagesize=2"), ("Content-Type", "text/plain")],
        "$select=name&$filter=startswith(name,'job')",
    );
    let link = page.json()["@odata.nextLink"].as_str().expect("a third job").to_owned();
    assert_eq!(server.send("GET", &link, &[], "").rows().len(), 1);
}

#[test]
fn counts_are_bare_numbers() {
    let server = server(5);
    let count = server.get("asyncoperations/$count", &[]);
    assert_eq!((count.text.as_str(), count.header("content-type")), ("5", "text/plain"));
    let some = server.get("asyncoperations/$count?$filter=statecode+eq+0", &[]);
    assert_eq!(some.text, "2");
    let refused = server.get("asyncoperations/$count?$top=1", &[]);
    assert_eq!(refused.status, 400);
    assert!(refused.message().contains("'$top'"), "{}", refused.text);
}
