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
