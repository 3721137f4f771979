//! Pages: links, cookies, and answers too long for one piece.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::{ALL, fetch, server};

#[test]
fn pages_are_linked_and_join_to_the_whole() {
    let server = server(7);
    let first = server.get(
        "asyncoperations?%24select=name&$filter=contains(name,'job')&$count=true&$top=4",
        &[("Prefer", "odata.maxpagesize=3")],
    );
    assert_eq!(first.header("preference-applied"), "odata.maxpagesize=3");
    assert_eq!(first.json()["@odata.count"], 7);
    let mut names = BTreeSet::new();
    let mut sizes = Vec::new();
    let mut page = first;
    loop {
        sizes.push(page.rows().len());
        names.extend(page.rows().iter().map(|r| r["name"].as_str().expect("text").to_owned()));
        let json = page.json();
        let Some(link) = json["@odata.nextLink"].as_str() else { break };
        assert!(link.starts_with(&server.base()), "{link}");
        // Not repeated: the link keeps the page size.
        page = server.send("GET", link, &[], "");
    }
    assert_eq!(sizes, [3, 3, 1]);
    assert_eq!(names.len(), 7);
}

#[test]
fn top_alone_has_no_link_and_a_full_last_page_neither() {
    let server = server(4);
    let top = server.get("asyncoperations?$top=2", &[]);
    assert_eq!(top.rows().len(), 2);
    assert!(!top.text.contains("nextLink"));
    let both = server.get("asyncoperations?$top=2", &[("Prefer", "odata.maxpagesize=3")]);
    assert_eq!(both.rows().len(), 2);
    assert!(!both.text.contains("nextLink"));
    let exact = server.get("asyncoperations", &[("Prefer", "odata.maxpagesize=4")]);
    assert_eq!(exact.rows().len(), 4);
    assert!(!exact.text.contains("nextLink"));
}

#[test]
fn long_answers_are_streamed_and_cut_at_the_page_size() {
    let server = server(5001);
    let answer = server.get("asyncoperations", &[]);
    assert_eq!(answer.header("transfer-encoding"), "chunked");
    assert_eq!(answer.rows().len(), 5000);
    let link = answer.json()["@odata.nextLink"].as_str().expect("one more row").to_owned();
    let last = server.send("GET", &link, &[], "");
    assert_eq!(last.rows().len(), 1);
    assert_eq!(last.header("transfer-encoding"), "", "one piece has a length");
    let all = server.get("asyncoperations?$select=name&$top=6000", &[]);
    assert_eq!(all.rows().len(), 5001);
}

#[test]
fn fetchxml_pages_by_cookie() {
    let server = server(5);
    let page = |number: u32| {
        let xml = format!(
            "<fetch count=\"2\" page=\"{number}\"><entity name=\"asyncoperation\"><attribute name=\"name\"/></entity></fetch>"
        );
        server.get(&fetch(&xml), &[ALL]).json()
    };
    let first = page(1);
    assert_eq!(first["@Microsoft.Dynamics.CRM.morerecords"], true);
    assert_eq!(first["@Microsoft.Dynamics.CRM.totalrecordcount"], -1);
    let cookie = first["@Microsoft.Dynamics.CRM.fetchxmlpagingcookie"].as_str().expect("text");
    assert!(cookie.starts_with("<cookie pagenumber=\"2\" pagingcookie=\"%253C"), "{cookie}");
    let asked = |attributes: &str| {
        let xml = format!("<fetch {attributes}><entity name=\"asyncoperation\"/></fetch>");
        server.get(&fetch(&xml), &[]).json()
    };
    let has_cookie =
        |answer: Json| answer.get("@Microsoft.Dynamics.CRM.fetchxmlpagingcookie").is_some();
    assert!(has_cookie(asked("count=\"2\" page=\"1\"")), "clients that name the page need it");
    assert!(!has_cookie(asked("count=\"2\"")), "others ask for it by a preference");
    let last = page(3);
    assert_eq!(last["value"].as_array().expect("rows").len(), 1);
    assert_eq!(last["@Microsoft.Dynamics.CRM.morerecords"], false);
    assert!(last.get("@Microsoft.Dynamics.CRM.fetchxmlpagingcookie").is_none());
}
