//! The requests of Microsoft's documentation and an operator's guide, as
//! printed: line breaks, placeholders, trailing blanks and header lines too.

use super::*;

fn request(text: &str) -> Request {
    parse_request(text, &CATALOG).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn select_of(request: Request) -> Select {
    assert_eq!(request.table.logical_name, "asyncoperation");
    match request.query {
        Query::Select(select) => *select,
        other => panic!("{other:?}"),
    }
}

fn header_names(request: &Request) -> Vec<&str> {
    request.headers.iter().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn aggregating_requests() {
    let by_type = ["group statecode", "group statuscode", "group operationtype"];
    let by_name = ["group operationtype", "group name", "group friendlymessage"];
    for (text, filter, groups, count) in [
        (include_str!("documents/by_state.txt"), None, by_type.as_slice(), "count"),
        (include_str!("documents/by_state_older.txt"), None, &by_type, "count"),
        (include_str!("documents/suspended.txt"), Some("statecode Eq 1"), &by_type, "count"),
        (include_str!("documents/suspended_older.txt"), Some("statecode Eq 1"), &by_type, "count"),
        (include_str!("documents/workflows.txt"), Some("operationtype Eq 10"), &by_type, "count"),
        (
            include_str!("documents/workflows_older.txt"),
            Some("operationtype Eq 10"),
            &by_type,
            "count",
        ),
        (
            include_str!("documents/waiting.txt"),
            Some("and(statecode Eq 0, statuscode Eq 0)"),
            &by_type,
            "count",
        ),
        (
            include_str!("documents/waiting_older.txt"),
            Some("and(statecode Eq 0, statuscode Eq 0)"),
            &by_type,
            "count",
        ),
        (
            include_str!("documents/file_storage.txt"),
            Some("datablobid NotNull"),
            &[],
            "FileStorageCount",
        ),
        (include_str!("documents/database.txt"), Some("datablobid Null"), &[], "DBCount"),
        (
            include_str!("documents/names_in_file_storage.txt"),
            Some("datablobid NotNull"),
            &by_name,
            "jobs",
        ),
    ] {
        let request = request(text);
        assert_eq!(header_names(&request)[..3], ["Accept", "OData-MaxVersion", "OData-Version"]);
        let select = select_of(request);
        assert!(select.aggregate, "{text}");
        assert_eq!(select.filter.as_ref().map(show).as_deref(), filter, "{text}");
        let mut expected: Vec<String> = groups.iter().map(|g| (*g).to_owned()).collect();
        expected.push(format!("count asyncoperationid as {count}"));
        assert_eq!(columns(&select), expected, "{text}");
    }
}

#[test]
fn header_values_lose_only_blanks_around_them() {
    let request = request(include_str!("documents/by_state.txt"));
    let headers: Vec<_> =
        request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(
        headers,
        [
            ("Accept", "application/json"),
            ("OData-MaxVersion", "4.0"),
            ("OData-Version", "4.0"),
            ("Prefer", "odata.include-annotations=\"OData.Community.Display.V1.FormattedValue\""),
        ]
    );
}

#[test]
fn the_retrieve_request_over_many_lines() {
    let request = request(include_str!("documents/retrieve.txt"));
    assert!(request.headers.is_empty());
    let select = select_of(request);
    assert_eq!(select.top, Some(1000));
    assert!(!select.aggregate && select.filter.is_none());
    let names = columns(&select);
    assert_eq!(names.len(), 27);
    assert_eq!((names[0].as_str(), names[26].as_str()), ("asyncoperationid", "workflowstagename"));
    assert!(names.contains(&"_regardingobjectid_value".to_owned()));
    let expand: Vec<_> = select
        .expand
        .iter()
        .map(|e| {
            let columns = e.select.as_deref().expect("each has $select");
            assert_eq!(columns.len(), 1);
            (e.navigation.text.as_str(), columns[0].text.as_str())
        })
        .collect();
    assert_eq!(
        expand,
        [
            ("createdby", "fullname"),
            ("modifiedby", "fullname"),
            ("owningbusinessunit", "name"),
            ("owningextensionid", "name"),
            ("owningteam", "name"),
            ("owninguser", "fullname"),
        ]
    );
}

#[test]
fn the_failures_request() {
    let select = select_of(request(include_str!("documents/failures.txt")));
    assert_eq!(
        show(&select.filter.expect("has a filter")),
        "and(statecode Eq 3, statuscode Eq 31)"
    );
    assert!(matches!(select.columns, Columns::All));
}

#[test]
fn the_encoded_fetch_xml_request() {
    let request = request(include_str!("documents/file_sizes.txt"));
    assert_eq!(request.table.logical_name, "asyncoperation");
    assert_eq!(request.headers.len(), 4);
    let Query::FetchXml { text, count } = request.query else { panic!("not FetchXML") };
    assert!(!count);
    assert!(text.starts_with("<fetch aggregate='true'> <entity name='asyncoperation'> <attribute"));
    assert!(text.ends_with("</link-entity> </entity> </fetch>"), "{text}");
}

#[test]
fn every_way_to_begin_a_request_means_the_same() {
    for text in [
        "asyncoperations?$top=7",
        "\u{feff}asyncoperations?$top=7",
        "/asyncoperations?$top=7",
        "GET asyncoperations?$top=7",
        "GET  http://127.0.0.1:8080/api/data/v9.2/asyncoperations?$top=7 HTTP/1.1",
        "GET https://org.crm4.dynamics.com/api/data/v9.0/asyncoperations/?$top=7",
        "[Organization URI]/api/data/v9.1/asyncoperations\n  ?$top=7\n",
        "<organization URL>/api/data/v9.2/asyncoperations?%24top=7",
        "api/data/v9.2/asyncoperations?\n$top=7",
        "/api/data/v9.2/async%6Fperations?\n&\n$top=\n7\n\nAccept: application/json",
    ] {
        assert_eq!(select_of(request(text)).top, Some(7), "{text}");
    }
}

#[test]
fn a_time_on_a_line_of_its_own_is_no_header() {
    let text = "asyncoperations?$filter=createdon ge\n2024-05-01T10:00:00Z\nPrefer:x";
    let request = request(text);
    assert_eq!(request.headers, [("Prefer".to_owned(), "x".to_owned())]);
    let filter = select_of(request).filter.expect("has a filter");
    assert_eq!(show(&filter), "createdon Ge DateTime:2024-05-01T10:00:00Z");
}
