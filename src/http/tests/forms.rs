//! The forms of an answer: metadata levels, formats, versions, error details.

use super::{ALL, job_id, server};
use crate::value::guid_text;

#[test]
fn metadata_is_told_as_asked() {
    let server = server(2);
    let path = "asyncoperations?$select=name&$count=true";
    let none = server.get(
        path,
        &[("Accept", "application/json;odata.metadata=none"), ("Prefer", "odata.maxpagesize=1")],
    );
    assert_eq!(none.header("content-type"), "application/json; odata.metadata=none");
    assert!(!none.text.contains("@odata.context") && !none.text.contains("@odata.etag"));
    assert_eq!(none.json()["@odata.count"], 2);
    assert!(none.json()["@odata.nextLink"].is_string());
    let id = guid_text(&job_id(0));
    let row = server.get(
        &format!("asyncoperations({id})?$select=name&$format=application/json;odata.metadata=none"),
        &[],
    );
    assert_eq!(row.text, format!(r#"{{"name":"job 0","asyncoperationid":"{id}"}}"#));
    let full = server.get(path, &[("Accept", "application/json; odata.metadata=full")]);
    assert_eq!(full.header("content-type"), "application/json; odata.metadata=full");
    let first = &full.rows()[0];
    assert_eq!(first["@odata.type"], "#Microsoft.Dynamics.CRM.asyncoperation");
    let set = format!("asyncoperations({id})");
    assert_eq!(first["@odata.id"], format!("{}{set}", server.base()).as_str());
    assert_eq!(first["@odata.editLink"], set.as_str());
}

#[test]
fn rows_come_as_csv_and_arrow_too() {
    let server = server(5001);
    let csv =
        server.get("asyncoperations?$select=name,statecode&$orderby=createdon&$format=csv", &[]);
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
    let lines: Vec<&str> = csv.text.lines().collect();
    assert_eq!(lines.len(), 5002, "such an answer has no pages");
    let first = format!("job 0,3,{}", guid_text(&job_id(0)));
    assert_eq!(lines[..2], ["name,statecode,asyncoperationid", &first]);
    let some = server.get("asyncoperations?$select=name&$top=2", &[("Accept", "text/csv")]);
    assert_eq!(some.text.lines().count(), 3, "{}", some.text);
    let path = "asyncoperations?$select=name&$top=3&$format=arrow";
    let bytes = server.bytes(path);
    let file =
        datafusion::arrow::ipc::reader::FileReader::try_new(std::io::Cursor::new(bytes), None);
    let rows: usize = file.expect("an Arrow file").map(|b| b.expect("readable").num_rows()).sum();
    assert_eq!(rows, 3);
    let nested = server.get("asyncoperations?$expand=owninguser&$format=csv", &[]);
    assert_eq!(nested.status, 400, "{}", nested.text);
    assert_eq!(server.get("asyncoperations?$format=json&$top=1", &[]).rows().len(), 1);
    let page = server.get("asyncoperations?$format=json", &[("Prefer", "odata.maxpagesize=2")]);
    let link = page.json()["@odata.nextLink"].as_str().expect("more").to_owned();
    assert!(link.contains("$format=json"), "{link}");
    assert_eq!(server.send("GET", &link, &[], "").rows().len(), 2);
}

#[test]
fn what_cannot_be_given_is_refused() {
    let server = server(1);
    for (path, header, status) in [
        ("asyncoperations", ("Accept", "image/png"), 406),
        ("asyncoperations", ("Accept", "text/html, */*;q=0.1"), 200),
        ("asyncoperations?$format=atom", ("Accept", "*/*"), 400),
        ("asyncoperations?$format=json&$format=json", ("Accept", "*/*"), 400),
        ("asyncoperations", ("OData-Version", "5.0"), 400),
        ("asyncoperations", ("OData-MaxVersion", "3.0"), 400),
        ("asyncoperations", ("OData-Version", "4.01"), 200),
    ] {
        let answer = server.get(path, &[header]);
        assert_eq!(answer.status, status, "{path} {header:?}: {}", answer.text);
    }
}

#[test]
fn errors_tell_details_to_who_wants_annotations() {
    let server = server(1);
    let error = server.get("asyncoperations?$select=nam", &[ALL]).json()["error"].clone();
    assert_eq!(error["@Microsoft.PowerApps.CDS.InnerError.Message"], error["message"]);
    assert!(error["@Microsoft.PowerApps.CDS.HelpLink"].is_string(), "{error}");
    let plain = server.get("asyncoperations?$select=nam", &[]).json()["error"].clone();
    assert_eq!(plain.as_object().expect("an object").len(), 2, "{plain}");
}
