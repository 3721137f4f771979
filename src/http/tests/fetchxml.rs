//! FetchXML over HTTP, and the documented questions in both dialects.

use serde_json::Value as Json;

use super::{ALL, fetch, server};

#[test]
fn fetchxml_counts_with_labels_and_leaves_nulls_out() {
    let server = server(3);
    let xml = concat!(
        "<fetch aggregate='true'><entity name='asyncoperation'>",
        "<attribute name='asyncoperationid' alias='jobs' aggregate='count'/>",
        "<attribute name='statecode' alias='state' groupby='true'/>",
        "<order alias='jobs' descending='true'/></entity></fetch>"
    );
    let answer = server.get(&fetch(xml), &[ALL]);
    let row = &answer.rows()[0];
    assert_eq!((&row["jobs"], &row["state"]), (&Json::from(2), &Json::from(3)));
    assert_eq!(row["state@OData.Community.Display.V1.FormattedValue"], "Completed");
    assert_eq!(row["state@OData.Community.Display.V1.AttributeName"], "statecode");
    assert!(answer.json()["@odata.context"].as_str().expect("text").ends_with("#asyncoperations"));
    let plain = "<fetch top='1'><entity name='asyncoperation'><attribute name='name'/><attribute name='message'/></entity></fetch>";
    assert!(server.get(&fetch(plain), &[]).rows()[0].get("message").is_none());
    let counted = "<fetch returntotalrecordcount='true' count='1'><entity name='asyncoperation'><attribute name='name'/></entity></fetch>";
    let counted = server.get(&fetch(counted), &[ALL]).json();
    assert_eq!(counted["@Microsoft.Dynamics.CRM.totalrecordcount"], 3);
    assert_eq!(counted["@Microsoft.Dynamics.CRM.totalrecordcountlimitexceeded"], false);
}

#[test]
fn columns_of_links_name_the_column_they_come_from() {
    let server = server(3);
    let xml = concat!(
        "<fetch top='1'><entity name='asyncoperation'><attribute name='statecode'/>",
        "<link-entity name='asyncoperation' from='asyncoperationid' to='asyncoperationid' ",
        "alias='same'><attribute name='statecode'/></link-entity></entity></fetch>"
    );
    let row = &server.get(&fetch(xml), &[ALL]).rows()[0];
    assert_eq!(row["same.statecode@OData.Community.Display.V1.AttributeName"], "statecode");
    assert!(row.get("statecode@OData.Community.Display.V1.AttributeName").is_none());
}

/// The request line of a printed request: what stands before the headers.
fn printed_target(text: &str) -> String {
    let is_header = |line: &&str| {
        line.split_once(": ")
            .is_some_and(|(name, _)| name.chars().all(|c| c.is_alphabetic() || c == '-'))
    };
    let lines: Vec<&str> = text.lines().map(str::trim).take_while(|l| !is_header(l)).collect();
    let whole = lines.concat().replace(' ', "%20");
    whole.split_once("/api/data/v9.2/").expect("a Web API address").1.to_owned()
}

#[test]
fn the_documented_questions_are_answered_alike_in_both_dialects() {
    let server = server(7);
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("queries");
    let mut asked = 0;
    for question in std::fs::read_dir(folder).expect("the questions") {
        let path = question.expect("readable").path();
        let read = |name: &str| std::fs::read_to_string(path.join(name)).ok();
        let (Some(odata), Some(xml)) = (read("odata.txt"), read("fetch.xml")) else { continue };
        let odata = server.get(&printed_target(&odata), &[ALL]);
        let xml = server.get(&fetch(&xml), &[ALL]);
        assert_eq!((odata.status, xml.status), (200, 200), "{path:?} {} {}", odata.text, xml.text);
        assert_eq!(odata.rows().len(), xml.rows().len(), "{path:?}");
        asked += 1;
    }
    assert!(asked >= 8, "only {asked} questions were found");
}
