//! The option `sql`.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::{ALL, Answer, Server, job_id, server};
use crate::value::guid_text;

fn sql(server: &Server, text: &str, headers: &[(&str, &str)]) -> Answer {
    let encode = percent_encoding::NON_ALPHANUMERIC;
    let text = percent_encoding::utf8_percent_encode(text, encode);
    server.get(&format!("asyncoperations?sql={text}"), headers)
}

#[test]
fn rows_come_with_their_key() {
    let server = server(3);
    let answer = sql(
        &server,
        "SELECT name, statecode AS state, ownerid, message FROM asyncoperation WHERE statecode <> 3",
        &[ALL],
    );
    assert_eq!(answer.status, 200, "{}", answer.text);
    let row = &answer.rows()[0];
    assert_eq!((&row["name"], &row["state"]), (&"job 1".into(), &0.into()));
    assert_eq!(row["asyncoperationid"], guid_text(&job_id(1)));
    assert_eq!(row["state@OData.Community.Display.V1.AttributeName"], "statecode");
    assert_eq!(row["state@OData.Community.Display.V1.FormattedValue"], "Ready");
    assert!(row["_ownerid_value"].is_string() && row["message"].is_null(), "{row}");
    assert_eq!(answer.json()["@Microsoft.Dynamics.CRM.totalrecordcount"], -1);
    let joined = sql(
        &server,
        "SELECT a.name, u.fullname FROM asyncoperation a LEFT JOIN systemuser AS u ON a.ownerid = u.systemuserid AND (u.fullname = 'x' OR u.fullname LIKE 'Ann%') WHERE a.createdon > DATEADD(year, -100, GETUTCDATE()) OR a.name IN ('job 0', 'job 1') ORDER BY a.name DESC",
        &[],
    );
    assert_eq!(joined.rows()[0]["name"], "job 2", "{}", joined.text);
    assert_eq!(joined.rows()[0]["fullname"], "Ann Example");
    let groups = sql(
        &server,
        "SELECT statecode, COUNT(*) AS jobs, MAX(createdon) AS latest FROM asyncoperation GROUP BY statecode",
        &[],
    );
    assert_eq!(groups.rows().len(), 2, "{}", groups.text);
    assert_eq!((&groups.rows()[1]["statecode"], &groups.rows()[1]["jobs"]), (&3.into(), &2.into()));
    let distinct = sql(&server, "SELECT DISTINCT operationtype FROM dbo.asyncoperation", &[]);
    assert_eq!(distinct.rows(), [serde_json::json!({"operationtype": 10})]);
}

#[test]
fn pages_advance_to_the_end() {
    let server = server(7);
    let mut page = sql(
        &server,
        "SELECT name FROM asyncoperation ORDER BY statecode",
        &[("Prefer", "odata.maxpagesize=3")],
    );
    assert_eq!(page.header("preference-applied"), "odata.maxpagesize=3");
    let (mut names, mut links) = (BTreeSet::new(), BTreeSet::new());
    loop {
        let rows = page.rows();
        names.extend(rows.iter().map(|r| r["name"].as_str().expect("text").to_owned()));
        let json = page.json();
        let Some(link) = json["@odata.nextLink"].as_str() else { break };
        assert!(links.insert(link.to_owned()), "the link repeats");
        page = server.send("GET", link, &[], "");
    }
    assert_eq!((names.len(), links.len()), (7, 2));
    for text in [
        "SELECT TOP 2 name FROM asyncoperation",
        "SELECT name FROM asyncoperation ORDER BY name OFFSET 5 ROWS FETCH NEXT 5 ROWS ONLY",
        "SELECT name FROM asyncoperation ORDER BY name OFFSET 5 ROWS",
    ] {
        let some = sql(&server, text, &[]);
        assert_eq!(some.rows().len(), 2, "{text}: {}", some.text);
        assert!(!some.text.contains("nextLink"), "{text}");
    }
    assert!(sql(&server, "SELECT TOP 0 name FROM asyncoperation", &[]).rows().is_empty());
}

#[test]
fn what_the_preview_does_not_take_is_refused_by_name() {
    let server = server(1);
    for (text, part) in [
        ("SELECT * FROM asyncoperation", "SELECT *"),
        ("SELECT 1 FROM asyncoperation", "'1'"),
        ("SELECT UPPER(name) FROM asyncoperation", "'UPPER(name)'"),
        ("SELECT CASE WHEN statecode = 1 THEN 1 END FROM asyncoperation", "CASE"),
        (
            "SELECT a.name FROM asyncoperation a RIGHT JOIN systemuser u ON a.ownerid = u.systemuserid",
            "RIGHT JOIN",
        ),
        (
            "SELECT a.name FROM asyncoperation a FULL JOIN systemuser u ON a.ownerid = u.systemuserid",
            "FULL JOIN",
        ),
        ("SELECT a.name FROM asyncoperation a CROSS JOIN systemuser u", "CROSS JOIN"),
        ("SELECT a.name FROM asyncoperation a, systemuser u", "FROM with other than one table"),
        (
            "SELECT a.name FROM asyncoperation a JOIN systemuser u ON a.ownerid > u.systemuserid",
            "ON a.ownerid > u.systemuserid",
        ),
        (
            "SELECT a.name FROM asyncoperation a JOIN systemuser u ON a.ownerid = u.systemuserid AND a.statecode = 1",
            "the joined table",
        ),
        ("SELECT name FROM (SELECT name FROM asyncoperation) x", "a subquery"),
        (
            "SELECT name FROM asyncoperation WHERE ownerid IN (SELECT systemuserid FROM systemuser)",
            "a subquery",
        ),
        ("SELECT name FROM asyncoperation WHERE EXISTS (SELECT 1)", "a subquery"),
        (
            "SELECT statecode, COUNT(*) FROM asyncoperation GROUP BY statecode HAVING COUNT(*) > 1",
            "HAVING",
        ),
        ("SELECT name FROM asyncoperation UNION SELECT name FROM asyncoperation", "UNION"),
        ("WITH x AS (SELECT name FROM asyncoperation) SELECT name FROM x", "WITH"),
        ("SELECT name FROM asyncoperation; SELECT name FROM asyncoperation", "one SELECT"),
        ("SELECT name FROM asyncoperation WHERE 1 = 1", "compares constants"),
        ("SELECT name FROM asyncoperation WHERE statecode = statuscode", "compares columns"),
        (
            "SELECT COUNT(*) FROM asyncoperation GROUP BY MONTH(createdon)",
            "GROUP BY MONTH(createdon)",
        ),
        ("SELECT name FROM asyncoperation ORDER BY LEN(name)", "ORDER BY LEN(name)"),
        ("SELECT ROW_NUMBER() OVER (ORDER BY name) FROM asyncoperation", "OVER"),
        ("SELECT name FROM asyncoperation LIMIT 3", "LIMIT"),
        ("DELETE FROM asyncoperation", "DELETE"),
        ("DECLARE @x int", "DECLARE"),
        ("SELECT nam FROM asyncoperation", "name"),
        ("SELECT fullname FROM systemuser", "'systemusers'"),
        ("", "one SELECT"),
    ] {
        let answer = sql(&server, text, &[]);
        assert_eq!(answer.status, 400, "{text}: {}", answer.text);
        assert!(answer.message().contains(part), "{text}: {}", answer.message());
        assert!(answer.json()["error"]["code"] != Json::Null);
    }
    let beside =
        server.get("asyncoperations?sql=SELECT%20name%20FROM%20asyncoperation&$top=1", &[]);
    assert!(beside.message().contains("'$top'"), "{}", beside.text);
}
