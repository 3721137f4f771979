//! Answers that need no rows.

use super::server;

#[test]
fn what_needs_no_rows() {
    let server = server(0);
    assert_eq!(server.send("GET", "/healthz", &[], "").text, "ok\n");
    assert_eq!(server.send("GET", "/readyz", &[], "").text, "ready\n");
    for path in ["/api/data/v9.2", "/api/data/v9.0/"] {
        let document = server.send("GET", path, &[], "").json();
        assert_eq!(document["value"][0]["url"], "asyncoperations");
        assert_eq!(document["value"][0]["kind"], "EntitySet");
    }
    assert_eq!(server.get("WhoAmI", &[]).json(), server.get("WhoAmI()", &[]).json());
    assert!(server.get("WhoAmI", &[]).json()["UserId"].is_string());
    assert_eq!(server.get("RetrieveVersion()", &[]).json()["Version"], "9.2.0.0");
    let metadata = server.get("$metadata", &[]);
    assert_eq!(metadata.header("content-type"), "application/xml");
    assert!(metadata.text.contains("<EntitySet Name=\"asyncoperations\""));
    assert!(server.get("asyncoperations", &[]).text.ends_with(r#""value":[]}"#));
}

#[test]
fn functions_take_their_parameters_inline_or_by_alias() {
    let server = server(3);
    for path in [
        "RetrieveTotalRecordCount(EntityNames=['asyncoperation','account'])",
        "RetrieveTotalRecordCount(EntityNames=@p1)?@p1=['asyncoperation','account']",
        "RetrieveTotalRecordCount(EntityNames=@p1)?@p1=[\"asyncoperation\",\"account\"]",
    ] {
        let path = path.replace('"', "%22");
        let counts = server.get(&path, &[]).json()["EntityRecordCountCollection"].clone();
        assert_eq!(counts["Count"], 2, "{path}");
        assert_eq!(counts["Keys"][0], "asyncoperation");
        assert_eq!(counts["Values"].to_string(), "[3,0]");
    }
    let organization = server.get("RetrieveCurrentOrganization(AccessType='Default')", &[]).json();
    assert_eq!(organization["Detail"]["State"], "Enabled");
    let root = organization["Detail"]["Endpoints"]["Values"][1].as_str().expect("an address");
    assert_eq!(root, server.base());
    let typed = "RetrieveCurrentOrganization(AccessType=@a)?@a=Microsoft.Dynamics.CRM.EndpointAccessType'Default'";
    assert_eq!(server.get(typed, &[]).status, 200);
    let languages = server.get("RetrieveAvailableLanguages", &[]).json();
    assert_eq!(languages["LocaleIds"][0], 1033);
    for (path, part) in [
        ("RetrieveTotalRecordCount", "'EntityNames' is missing"),
        ("RetrieveTotalRecordCount(EntityNames=@p1)", "'EntityNames' is missing"),
        (
            "RetrieveTotalRecordCount(EntityNames=['asyncoperatio'])",
            "did you mean 'asyncoperation'",
        ),
        ("RetrieveTotalRecordCount(EntityNames='x')", "is a list"),
        ("RetrieveCurrentOrganization(AccessType='x')", "no AccessType"),
    ] {
        let answer = server.get(path, &[]);
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.message().contains(part), "{}", answer.text);
    }
}
