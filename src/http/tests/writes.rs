//! Rows created, changed, linked and deleted over the Web API.

use serde_json::json;

use super::{Answer, Json, Server, server};
use crate::identity::{BUSINESS_UNIT, SYSTEM_USER};
use crate::value::guid_text;

const REPRESENTATION: (&str, &str) = ("Prefer", "return=representation");
const ID: &str = "6f9619ff-8b86-d011-b42d-00c04fc964ff";

/// The key in the address of a new row.
fn key(answer: &Answer) -> String {
    assert_eq!(answer.status, 204, "{}", answer.text);
    let address = answer.header("odata-entityid");
    assert_eq!(address, answer.header("location"));
    let (_, key) = address.strip_suffix(')').and_then(|a| a.split_once('(')).expect(address);
    key.to_owned()
}

fn row(server: &Server, path: &str) -> Json {
    let answer = server.get(path, &[]);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    answer.json()
}

fn refused(answer: &Answer, status: u16, code: &str, part: &str) {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert_eq!(answer.json()["error"]["code"], code, "{}", answer.text);
    assert!(answer.message().contains(part), "'{part}' is not in: {}", answer.message());
}

#[test]
fn a_row_is_created_and_is_there_after_reopening() {
    let server = server(1);
    let body = json!({
        "name": "Contoso", "revenue": 1_234.567_8, "numberofemployees": 7, "creditonhold": true,
        "industrycode": 3, "description": "", "createdon": "1999-01-01T00:00:00Z",
        "name@OData.Community.Display.V1.FormattedValue": "x", "@odata.type": "y",
    });
    let answer = server.write("POST", "accounts", &[], &body);
    let id = key(&answer);
    assert!(answer.text.is_empty());
    assert!(answer.header("odata-entityid").starts_with(&format!("{}accounts(", server.base())));
    let server = server.reopen();
    let row = row(&server, &format!("accounts({id})"));
    let user = guid_text(&SYSTEM_USER);
    for (name, value) in [
        ("name", json!("Contoso")),
        ("revenue", json!(1234.5678)),
        ("numberofemployees", json!(7)),
        ("creditonhold", json!(true)),
        ("industrycode", json!(3)),
        // Empty text is null; a default is filled in.
        ("description", Json::Null),
        ("preferredcontactmethodcode", json!(1)),
        ("statecode", json!(0)),
        ("statuscode", json!(1)),
        ("_ownerid_value", json!(user)),
        ("_owninguser_value", json!(user)),
        ("_owningteam_value", Json::Null),
        ("_owningbusinessunit_value", json!(guid_text(&BUSINESS_UNIT))),
        ("_createdby_value", json!(user)),
        ("_modifiedby_value", json!(user)),
    ] {
        assert_eq!(row[name], value, "{name}: {row}");
    }
    assert!(row["createdon"].as_str().is_some_and(|t| t > "2020"), "{row}");
    assert_eq!(row["createdon"], row["modifiedon"]);
}

#[test]
fn the_row_is_answered_on_request() {
    let server = server(1);
    let body = json!({"accountid": ID, "name": "A"});
    let created = server.write("POST", "accounts?$select=name", &[REPRESENTATION], &body);
    assert_eq!(created.status, 201, "{}", created.text);
    let json = created.json();
    assert_eq!((&json["name"], &json["accountid"]), (&json!("A"), &json!(ID)));
    assert!(json.get("revenue").is_none(), "{json}");
    assert_eq!(
        json["@odata.context"],
        format!("{}$metadata#accounts(name)/$entity", server.base())
    );
    assert_eq!(created.header("preference-applied"), "return=representation");
    assert!(created.header("location").ends_with(&format!("accounts({ID})")));
    let all = ("Prefer", "return=representation,odata.include-annotations=\"*\"");
    let body = json!({"statecode": 1});
    let updated = server.write("PATCH", &format!("accounts({ID})"), &[all], &body);
    assert_eq!(updated.status, 200, "{}", updated.text);
    let json = updated.json();
    assert_eq!((&json["statecode"], &json["statuscode"]), (&json!(1), &json!(2)));
    assert_eq!(json["statecode@OData.Community.Display.V1.FormattedValue"], "Inactive");
    assert_eq!(
        updated.header("preference-applied"),
        "return=representation,odata.include-annotations=\"*\""
    );
}

#[test]
fn an_update_creates_what_is_not_there_unless_it_must_not() {
    let server = server(1);
    let path = format!("accounts({ID})");
    let body = |name: &str| json!({ "name": name });
    refused(&server.write("PATCH", &path, &[("If-Match", "*")], &body("a")), 404, "0x80040217", ID);
    // The word null is for caches.
    let null = [("If-None-Match", "null")];
    assert_eq!(server.write("PATCH", &path, &null, &body("a")).status, 204);
    let again = server.write("PATCH", &path, &[("If-None-Match", "*")], &body("b"));
    refused(&again, 412, "0x80060882", ID);
    let both = [("If-None-Match", "null"), ("If-Match", "*")];
    assert_eq!(server.write("PATCH", &path, &both, &body("c")).status, 204);
    assert_eq!(row(&server, &path)["name"], "c");
    let twice = server.write("POST", "accounts", &[], &json!({"accountid": ID, "name": "d"}));
    refused(&twice, 412, "0x80040237", ID);
    let other = json!({"accountid": guid_text(&[1; 16])});
    refused(&server.write("PATCH", &path, &[], &other), 400, "0x80040203", "accountid");
    assert_eq!(server.write("PATCH", &path, &[], &json!({})).status, 204);
    let odd = server.write("PATCH", &path, &[("If-Match", "1")], &json!({}));
    refused(&odd, 400, "0x80040203", "If-Match");
    assert_eq!(server.write("DELETE", &path, &[("If-Match", "*")], &Json::Null).status, 204);
    refused(&server.write("DELETE", &path, &[], &Json::Null), 404, "0x80040217", ID);
}

#[test]
fn a_changed_row_is_not_overwritten() {
    let server = server(1);
    let body = json!({"accountid": ID, "name": "A"});
    server.write("POST", "accounts", &[], &body);
    let path = format!("accounts({ID})");
    let stale = [("If-Match", "W/\"0\"")];
    refused(
        &server.write("PATCH", &path, &stale, &json!({"name": "B"})),
        412,
        "0x80060882",
        "RowVersion",
    );
    refused(&server.write("DELETE", &path, &stale, &Json::Null), 412, "0x80060882", "RowVersion");
    let read = row(&server, &path);
    assert_eq!(read["name"], "A");
    let tag = read["@odata.etag"].as_str().expect("every row has one");
    let change = |tag: &str| {
        server.write("PATCH", &path, &[("If-Match", tag)], &json!({"name": "B"})).status
    };
    assert_eq!(change(tag), 204);
    assert_eq!(change(tag), 412, "it is another version now");
}

#[test]
fn properties_are_set_and_cleared_one_by_one() {
    let server = server(1);
    server.write("POST", "accounts", &[], &json!({"accountid": ID, "name": "A"}));
    let path = |column: &str| format!("accounts({ID})/{column}");
    let set = server.write("PUT", &path("telephone1"), &[], &json!({"value": "555"}));
    assert_eq!(set.status, 204, "{}", set.text);
    assert_eq!(row(&server, &path(""))["telephone1"], "555");
    assert_eq!(server.write("DELETE", &path("telephone1"), &[], &Json::Null).status, 204);
    assert_eq!(row(&server, &path(""))["telephone1"], Json::Null);
    let set = |column: &str, body: Json| server.write("PUT", &path(column), &[], &body);
    refused(&set("createdon", json!({"value": null})), 400, "0x80040203", "createdon");
    refused(&set("telephone1", json!({"valu": 1})), 400, "0x80060888", "'valu'");
    refused(&set("_ownerid_value", json!({"value": ID})), 400, "0x80040203", "navigation");
    refused(&set("nam", json!({"value": 1})), 404, "0x8006088a", "'nam'");
    refused(&server.write("PATCH", &path("name"), &[], &json!({})), 405, "0x80040315", "PATCH");
}

#[test]
fn rows_are_linked_by_binding_and_by_reference() {
    let server = server(1);
    let account = key(&server.write("POST", "accounts", &[], &json!({"name": "Fabrikam"})));
    let address = format!("{}accounts({account})", server.base());
    let contact = |value: Json| {
        let body = json!({"firstname": "Ann", "lastname": "Bo", "parentcustomerid_account@odata.bind": value});
        server.write("POST", "contacts", &[], &body)
    };
    let id = key(&contact(json!(format!("/accounts({account})"))));
    key(&contact(json!(address)));
    key(&contact(json!("accounts(name='fabrikam')")));
    let path = format!("contacts({id})");
    let read = row(&server, &path);
    assert_eq!(
        (&read["_parentcustomerid_value"], &read["fullname"]),
        (&json!(account), &json!("Ann Bo"))
    );
    let query = "accounts?$select=name&$expand=primarycontactid($select=fullname)";
    // A single-valued property is put, a collection posted to.
    let reference = json!({"@odata.id": format!("{}contacts({id})", server.base())});
    let link = format!("accounts({account})/primarycontactid/$ref");
    assert_eq!(server.write("PUT", &link, &[], &reference).status, 204);
    assert_eq!(server.get(query, &[]).rows()[0]["primarycontactid"]["fullname"], "Ann Bo");
    assert_eq!(server.write("DELETE", &link, &[], &Json::Null).status, 204);
    assert_eq!(server.get(query, &[]).rows()[0]["primarycontactid"], Json::Null);
    refused(&server.write("POST", &link, &[], &reference), 405, "0x80040315", "PUT");
    let body = json!({"parentcustomerid_account@odata.bind": null});
    assert_eq!(server.write("PATCH", &path, &[], &body).status, 204);
    assert_eq!(row(&server, &path)["_parentcustomerid_value"], Json::Null);
    let collection = format!("accounts({account})/contact_customer_accounts");
    let added = server.write("POST", &format!("{collection}/$ref"), &[], &reference);
    assert_eq!(added.status, 204, "{}", added.text);
    assert_eq!(row(&server, &path)["_parentcustomerid_value"], json!(account));
    let member = format!("{collection}({id})/$ref");
    assert_eq!(server.write("DELETE", &member, &[], &Json::Null).status, 204);
    refused(&server.write("DELETE", &member, &[], &Json::Null), 404, "0x80040217", "not linked");
    // A deleted row leaves no link to itself.
    server.write("POST", &format!("{collection}/$ref"), &[], &reference);
    assert_eq!(
        server.write("DELETE", &format!("accounts({account})"), &[], &Json::Null).status,
        204
    );
    assert_eq!(row(&server, &path)["_parentcustomerid_value"], Json::Null);
}

#[test]
fn an_owner_is_a_user_or_a_team() {
    let server = server(1);
    let team = key(&server.write("POST", "teams", &[], &json!({"name": "T"})));
    let body = json!({"name": "A", "ownerid@odata.bind": format!("/teams({team})")});
    let id = key(&server.write("POST", "accounts", &[], &body));
    let read = row(&server, &format!("accounts({id})"));
    assert_eq!(read["_ownerid_value"], json!(team));
    assert_eq!(read["_owningteam_value"], json!(team));
    assert_eq!(read["_owninguser_value"], Json::Null);
    let user = guid_text(&super::USER);
    let body = json!({"ownerid@odata.bind": format!("/systemusers({user})")});
    server.write("PATCH", &format!("accounts({id})"), &[], &body);
    let read = row(&server, &format!("accounts({id})"));
    assert_eq!(read["_owninguser_value"], json!(user));
    assert_eq!(read["_owningteam_value"], Json::Null);
}

#[test]
fn what_is_wrong_in_a_body_is_named() {
    let server = server(1);
    let post = |body: Json| server.write("POST", "accounts", &[], &body);
    for (body, code, part) in [
        (json!({"nam": "x"}), "0x80060888", "Did you mean 'name'?"),
        (json!({"name": 5}), "0x80060888", "'Edm.String'"),
        (json!({"name": "x".repeat(161)}), "0x80044331", "'160'"),
        (json!({"numberofemployees": "5"}), "0x80060888", "'Edm.Int32'"),
        (json!({"numberofemployees": 1.5}), "0x80060888", "'Edm.Int32'"),
        (json!({"numberofemployees": -1}), "0x80044330", "valid range"),
        (json!({"numberofemployees": 5_000_000_000_i64}), "0x80044330", "valid range"),
        (json!({"industrycode": 999}), "0x8004431a", "Accepted Values"),
        (json!({"creditonhold": 1}), "0x80060888", "'Edm.Boolean'"),
        (json!({"accountid": "x"}), "0x80060888", "'Edm.Guid'"),
        (json!({"statecode": 0, "statuscode": 2}), "0x80048408", "2 is not a valid status"),
        (json!({"_primarycontactid_value": ID}), "0x80060888", "'primarycontactid@odata.bind'"),
        (json!({"primarycontactid": ID}), "0x80060888", "'primarycontactid@odata.bind'"),
        (json!({"primarycontactid": {"lastname": "x"}}), "0x80040315", "primarycontactid"),
        (json!({"primarycontactid@odata.bind": 5}), "0x80060888", "address"),
        (json!({"primarycontactid@odata.bind": "contacts"}), "0x80060888", "'contacts'"),
        (
            json!({"primarycontactid@odata.bind": format!("/accounts({ID})")}),
            "0x80060888",
            "'contact'",
        ),
        (
            json!({"primarycontacti@odata.bind": format!("/contacts({ID})")}),
            "0x80060888",
            "Did you mean 'primarycontactid'?",
        ),
        (json!({"name": []}), "0x80060888", "'name'"),
    ] {
        refused(&post(body), 400, code, part);
    }
    let unbound = post(json!({"primarycontactid@odata.bind": format!("/contacts({ID})")}));
    refused(&unbound, 404, "0x80040217", "Contact With Id");
    let unnamed = post(json!({"primarycontactid@odata.bind": "/contacts(lastname='nobody')"}));
    refused(&unnamed, 404, "0x80060891", "contact");
    refused(&server.write("POST", "teams", &[], &json!({})), 400, "0x80040203", "name");
    assert_eq!(server.get("accounts/$count", &[]).text, "0", "nothing of it was done");
}

#[test]
fn bodies_are_json_objects() {
    let server = server(1);
    let path = "/api/data/v9.2/accounts";
    let json = ("Content-Type", "application/json; charset=utf-8");
    for (kind, body, status, part) in [
        (json, "{\"name\":", 400, "line 1 column 8"),
        (json, "[1]", 400, "an array"),
        (json, "null", 400, "null"),
        (json, "", 400, "empty"),
        (("Content-Type", "text/plain"), "{}", 415, "text/plain"),
    ] {
        let answer = server.send("POST", path, &[kind], body);
        assert_eq!(answer.status, status, "{body}: {}", answer.text);
        assert!(answer.message().contains(part), "{body}: {}", answer.text);
    }
    assert_eq!(server.send("POST", path, &[json], "\u{feff}{\"name\":\"ø\"}").status, 204);
    let long =
        format!("{{\"name\":\"{}\"}}", "x".repeat(crate::service::Limits::default().body_bytes));
    assert_eq!(server.send("POST", path, &[json], &long).status, 413);
}

#[test]
fn tables_of_the_platform_are_not_written_to() {
    let server = server(1);
    for (method, path) in [
        ("POST", "asyncoperations".to_owned()),
        ("POST", "workflowlogs".to_owned()),
        ("POST", "organizations".to_owned()),
        ("POST", "plugintracelogs".to_owned()),
        ("POST", "bulkdeleteoperations".to_owned()),
        ("PATCH", format!("fileattachments({ID})")),
        ("DELETE", format!("fileattachments({ID})")),
        ("PATCH", "accounts".to_owned()),
        ("DELETE", "accounts".to_owned()),
    ] {
        let answer = server.write(method, &path, &[], &json!({}));
        assert_eq!(answer.status, 405, "{method} {path}: {}", answer.text);
        assert!(answer.header("allow").contains("GET"), "{method} {path}");
    }
    refused(
        &server.write("PATCH", &format!("organizations({ID})"), &[], &json!({})),
        404,
        "0x80040217",
        ID,
    );
}

#[test]
fn what_others_need_is_not_deleted() {
    let server = server(1);
    let root = json!({"businessunitid": ID, "name": "Root"});
    assert_eq!(server.write("POST", "businessunits", &[], &root).status, 204);
    let path = format!("businessunits({ID})");
    refused(&server.write("DELETE", &path, &[], &Json::Null), 400, "0x80048435", "root");
    let boss = key(&server.write("POST", "systemusers", &[], &json!({"lastname": "Boss"})));
    let body = json!({"name": "T", "administratorid@odata.bind": format!("/systemusers({boss})")});
    let team = key(&server.write("POST", "teams", &[], &body));
    let path = format!("systemusers({boss})");
    let kept = server.write("DELETE", &path, &[], &Json::Null);
    refused(&kept, 400, "0x80048435", "'administratorid' of team");
    server.write("DELETE", &format!("teams({team})"), &[], &Json::Null);
    assert_eq!(server.write("DELETE", &path, &[], &Json::Null).status, 204);
}

#[test]
fn many_rows_are_written_in_one_commit_or_none() {
    let server = server(1);
    let run = |action: &str, body: Json| {
        server.write("POST", &format!("accounts/Microsoft.Dynamics.CRM.{action}"), &[], &body)
    };
    let target =
        |name: &str| json!({"@odata.type": "Microsoft.Dynamics.CRM.account", "name": name});
    let made = run("CreateMultiple", json!({"Targets": [target("a"), target("b")]}));
    assert_eq!(made.status, 200, "{}", made.text);
    let ids = made.json()["Ids"].as_array().expect("ids").clone();
    assert_eq!(ids.len(), 2);
    let bad = json!({"Targets": [target("c"), {"nam": 1}]});
    refused(&run("CreateMultiple", bad), 400, "0x80060888", "Targets[1]");
    assert_eq!(server.get("accounts/$count", &[]).text, "2");
    let update = json!({"Targets": [
        {"accountid": ids[0], "name": "A"},
        {"@odata.id": format!("accounts({})", ids[1].as_str().expect("text")), "name": "B"},
    ]});
    assert_eq!(run("UpdateMultiple", update).status, 204);
    let unknown = json!({"Targets": [{"accountid": ID, "name": "A"}]});
    refused(&run("UpdateMultiple", unknown.clone()), 404, "0x80040217", ID);
    assert_eq!(run("UpsertMultiple", unknown).status, 204);
    let by_name = json!({"Targets": [
        {"@odata.id": "accounts(name='a')", "telephone1": "1"},
        {"@odata.id": "accounts(name='new')", "telephone1": "2"},
    ]});
    // Two rows are called 'A'.
    refused(&run("UpsertMultiple", by_name), 412, "0x80060892", "Targets[0]");
    let by_name = json!({"Targets": [
        {"@odata.id": "accounts(name='b')", "telephone1": "1"},
        {"@odata.id": "accounts(name='new')", "telephone1": "2"},
    ]});
    assert_eq!(run("UpsertMultiple", by_name).status, 204);
    let rows = server.get("accounts?$select=name,telephone1&$orderby=name", &[]).rows();
    let shown: Vec<String> =
        rows.iter().map(|r| format!("{} {}", r["name"], r["telephone1"])).collect();
    assert_eq!(shown, ["\"A\" null", "\"A\" null", "\"B\" \"1\"", "\"new\" \"2\""]);
    let gone = json!({"Targets": [{"accountid": ids[0]}, {"accountid": ids[1]}]});
    assert_eq!(run("DeleteMultiple", gone).status, 204);
    refused(&run("CreateMultiple", json!({"Targets": []})), 400, "0x80040203", "empty");
    refused(&run("CreateMultiple", json!({})), 400, "0x80040203", "'Targets'");
    let other = json!({"Targets": [{"@odata.type": "Microsoft.Dynamics.CRM.contact"}]});
    refused(&run("CreateMultiple", other), 400, "0x80060888", "contact");
}

#[test]
fn a_row_is_found_by_an_alternate_key() {
    let server = server(1);
    let path = "accounts(accountnumber='A-1')";
    let body = json!({"name": "A"});
    let missing = server.write("PATCH", path, &[("If-Match", "*")], &body);
    refused(&missing, 404, "0x80060891", "account");
    let made = server.write("PATCH", path, &[REPRESENTATION], &body);
    assert_eq!((made.status, &made.json()["accountnumber"]), (201, &json!("A-1")));
    let again = server.write("PATCH", path, &[REPRESENTATION], &json!({"name": "B"}));
    assert_eq!((again.status, &again.json()["accountid"]), (200, &made.json()["accountid"]));
    assert_eq!(server.write("DELETE", path, &[], &Json::Null).status, 204);
    assert_eq!(server.get("accounts/$count", &[]).text, "0");
}

#[test]
fn requests_at_the_same_time_do_not_make_a_row_twice() {
    let server = server(1);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let one = |_| {
            scope.spawn(|| {
                server.write("POST", "accounts", &[], &json!({"accountid": ID, "name": "A"})).status
            })
        };
        let all: Vec<_> = (0..8).map(one).collect();
        all.into_iter().map(|t| t.join().expect("no panic")).collect()
    });
    assert_eq!(statuses.iter().filter(|s| **s == 204).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|s| **s == 412).count(), 7, "{statuses:?}");
}

#[test]
fn a_change_set_is_one_commit() {
    let server = server(1);
    let batch = |second: &str| {
        let part = |id: u8, request: &str, body: &str| {
            format!(
                "--c\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\nContent-ID: {id}\r\n\r\n{request} HTTP/1.1\r\nContent-Type: application/json\r\n\r\n{body}\r\n"
            )
        };
        let body = format!(
            "--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n{}{}--c--\r\n--b--\r\n",
            part(1, "POST accounts", r#"{"name":"Contoso"}"#),
            part(2, "POST contacts", second),
        );
        let kind = [("Content-Type", "multipart/mixed; boundary=b")];
        server.send("POST", "/api/data/v9.2/$batch", &kind, &body)
    };
    let counts =
        || ["accounts", "contacts"].map(|set| server.get(&format!("{set}/$count"), &[]).text);
    let refused = batch(r#"{"lastname":"L","nam":1}"#);
    assert!(
        refused.text.contains("HTTP/1.1 400") && refused.text.contains("'nam'"),
        "{}",
        refused.text
    );
    assert_eq!(counts(), ["0", "0"]);
    let done = batch(r#"{"lastname":"L","parentcustomerid_account@odata.bind":"$1"}"#);
    assert_eq!(done.text.matches("HTTP/1.1 204").count(), 2, "{}", done.text);
    assert_eq!(done.text.to_lowercase().matches("odata-entityid").count(), 2, "{}", done.text);
    assert_eq!(counts(), ["1", "1"]);
    let contact = &server.get("contacts", &[]).rows()[0];
    let account = &server.get("accounts", &[]).rows()[0];
    assert_eq!(contact["_parentcustomerid_value"], account["accountid"]);
}
