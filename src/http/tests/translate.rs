//! `POST /sysjob/translate`.

use serde_json::json;

use super::server;

#[test]
fn a_question_comes_back_in_the_dialect_asked_for() {
    let server = server(0);
    let call = |body: serde_json::Value| {
        let headers = [("Content-Type", "application/json")];
        server.send("POST", "/sysjob/translate", &headers, &body.to_string())
    };
    let sql = "SELECT name FROM workflow WHERE statecode = 1";
    let answer = call(json!({ "text": sql, "to": "odata" }));
    assert_eq!(answer.status, 200, "{}", answer.text);
    let expected = json!({
        "dialect": "odata",
        "text": "workflows?$select=name&$filter=statecode eq 1",
    });
    assert_eq!(answer.json(), expected);
    let aliased =
        "<fetch><entity name='workflow'><attribute name='name' alias='n'/></entity></fetch>";
    let answer = call(json!({ "dialect": "fetchxml", "text": aliased, "to": "odata" }));
    let note = answer.json()["notes"][0].as_str().expect("a note").to_owned();
    assert!(note.contains("'n'") && note.contains("'name'"), "{note}");

    let union = "SELECT name FROM workflow\nUNION SELECT name FROM team";
    for (body, part) in [
        (json!({ "text": union, "to": "fetchxml" }), "FetchXML cannot say 'UNION'"),
        (json!({ "text": "SELECT nam FROM workflow", "to": "odata" }), "'name'"),
        (json!({ "text": sql, "to": "auto" }), "'to' is one of"),
        (json!({ "text": sql, "to": "graphql" }), "'graphql' is no dialect"),
        (json!({ "text": sql }), "to"),
        (json!({ "text": sql, "to": "odata", "format": "csv" }), "format"),
    ] {
        let answer = call(body);
        assert_eq!(answer.status, 400, "{}", answer.text);
        assert!(answer.message().contains(part), "{}", answer.text);
        assert!(answer.json()["error"]["code"].is_string(), "{}", answer.text);
    }
}
