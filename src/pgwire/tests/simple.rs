//! The simple query protocol, settings, transactions and errors.

use tokio_postgres::SimpleQueryMessage;

use super::{Server, add_jobs, fails_with, failure};

/// The rows of a text, values in text form.
pub async fn rows(client: &tokio_postgres::Client, text: &str) -> Vec<Vec<Option<String>>> {
    let messages = client.simple_query(text).await.unwrap_or_else(|e| panic!("{text}: {e:?}"));
    let row = |message: &SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|at| row.get(at).map(String::from)).collect())
        }
        _ => None,
    };
    messages.iter().filter_map(row).collect()
}

pub async fn value(client: &tokio_postgres::Client, text: &str) -> String {
    rows(client, text).await[0][0].clone().expect("not null")
}

#[tokio::test(flavor = "multi_thread")]
async fn values_look_as_postgresql_prints_them() {
    let server = Server::start().await;
    let client = server.connect().await;
    let found = rows(
        &client,
        "SELECT asyncoperationid, name, statuscode, createdon, regardingobjecttypecode, message \
         FROM asyncoperation WHERE statuscode = 31",
    )
    .await;
    let expected = [
        Some("abababab-abab-abab-abab-ababababab03"),
        Some("third"),
        Some("31"),
        Some("2024-05-01 10:00:00.75"),
        Some("account"),
        None,
    ];
    assert_eq!(found, [expected.map(|v| v.map(String::from))]);
    for table in ["asyncoperation", "dbo.asyncoperation", "public.asyncoperation"] {
        assert_eq!(value(&client, &format!("SELECT count(*) FROM {table}")).await, "3", "{table}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_send_on_connecting_is_answered() {
    let server = Server::start().await;
    let client = server.connect().await;
    for text in [
        "SET client_encoding TO 'UTF8'",
        "SET search_path = public",
        "SET extra_float_digits = 3",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        "SET NOCOUNT ON",
        "DISCARD ALL",
        "DEALLOCATE ALL",
        "SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;",
        "",
        ";;",
        "-- nothing",
    ] {
        client.simple_query(text).await.unwrap_or_else(|e| panic!("{text}: {e:?}"));
    }
    assert!(value(&client, "SELECT version()").await.starts_with("PostgreSQL 15."));
    assert!(value(&client, "SHOW server_version").await.starts_with("15."));
    assert_eq!(value(&client, "select current_database()").await, "sysjob");
    assert_eq!(value(&client, "SELECT current_user").await, "someone");
    assert_eq!(value(&client, "SELECT current_schema()").await, "public");
    assert_eq!(value(&client, "show transaction isolation level").await, "repeatable read");
    client.simple_query("SET application_name TO 'x y'").await.expect("known");
    assert_eq!(value(&client, "SHOW application_name").await, "x y");
    fails_with("42704", "unknown setting", client.simple_query("SHOW nosuch")).await;
    fails_with("22023", "encoding", client.simple_query("SET NAMES 'LATIN1'")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_sees_one_snapshot() {
    let server = Server::start().await;
    let client = server.connect().await;
    let count = "SELECT count(*) FROM asyncoperation";
    client.simple_query("BEGIN").await.expect("begun");
    add_jobs(&server.service, &[(4, "fourth", 0, 0)]);
    assert_eq!(value(&client, count).await, "3");
    client.simple_query("COMMIT").await.expect("committed");
    assert_eq!(value(&client, count).await, "4");

    client.simple_query("START TRANSACTION; SAVEPOINT s").await.expect("begun");
    fails_with("42703", "column", client.simple_query("SELECT nosuch FROM asyncoperation")).await;
    fails_with("25P02", "aborted", client.simple_query(count)).await;
    fails_with("3B001", "savepoint", client.simple_query("ROLLBACK TO t")).await;
    client.simple_query("ROLLBACK TO s").await.expect("known");
    assert_eq!(value(&client, count).await, "4");
    client.simple_query("ROLLBACK").await.expect("ended");
    fails_with("25P01", "no block", client.simple_query("SAVEPOINT s")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_name_state_and_place_and_the_session_goes_on() {
    let server = Server::start().await;
    let client = server.connect().await;
    let text = "SELECT 1;\nSELECT name,\n  statuscod FROM asyncoperation";
    let error = client.simple_query(text).await.expect_err("unknown column");
    let (state, message, position) = failure(&error);
    assert_eq!((state.as_str(), position), ("42703", Some(26)), "{message}");
    assert!(message.contains("statuscod"), "{message}");
    let hint = error.as_db_error().and_then(|e| e.hint()).expect("a suggestion");
    assert!(hint.contains("statuscode"), "{hint}");
    for (state, text) in [
        ("42P01", "SELECT * FROM nosuch"),
        ("42601", "SELEC 1"),
        ("42601", "SELECT name FROM"),
        ("22012", "SELECT 1 / (statecode - statecode) FROM asyncoperation"),
        ("0A000", "COPY (SELECT 1) TO '/tmp/x'"),
        ("42703", "COPY (SELECT nosuch FROM asyncoperation) TO STDOUT"),
        ("0A000", "SELECT a.name FROM asyncoperation a, pg_class"),
        ("42P01", "SELECT * FROM pg_catalog.nosuch"),
        ("42703", "SELECT nosuch FROM pg_catalog.pg_class"),
        ("26000", "DEALLOCATE nosuch"),
    ] {
        fails_with(state, text, client.simple_query(text)).await;
        assert_eq!(value(&client, "SELECT count(*) FROM asyncoperation").await, "3");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_of_one_name_are_headed_alike() {
    let server = Server::start().await;
    let client = server.connect().await;
    for (text, expected) in [
        ("SELECT a.name, b.name FROM asyncoperation a, asyncoperation b", ["name", "name"]),
        ("SELECT a.name, a.name FROM asyncoperation a", ["name", "name"]),
        ("SELECT 1 AS x, 2 AS X", ["x", "X"]),
        ("SELECT 1 AS x, 2 AS x UNION SELECT 3, 4", ["x", "x"]),
        ("SELECT count(*), count(*) FROM asyncoperation", ["count", "count"]),
        ("SELECT 1, 'a'", ["?column?", "?column?"]),
    ] {
        let prepared = client.prepare(text).await.expect(text);
        let names: Vec<_> = prepared.columns().iter().map(|column| column.name()).collect();
        assert_eq!(names, expected, "{text}");
        client.query(&prepared, &[]).await.expect(text);
    }
    let twice = "SELECT * FROM (SELECT a.name, b.name FROM asyncoperation a, asyncoperation b) x";
    fails_with("42701", "a derived table", client.simple_query(twice)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_does_not_convert_is_told_with_its_place() {
    let server = Server::start().await;
    let client = server.connect().await;
    for (text, state, place) in [
        ("SELECT CAST('abc' AS int)", "22P02", Some(13)),
        ("SELECT 1;\nSELECT name FROM asyncoperation WHERE statecode = 'x'", "22P02", Some(61)),
        ("SELECT 1 FROM asyncoperation WHERE createdon > 'soon'", "22007", Some(48)),
        ("SELECT 1 FROM asyncoperation WHERE asyncoperationid IN ('x')", "22P02", Some(57)),
        ("SELECT CAST(x AS int) FROM (VALUES ('1'), ('zz')) v(x)", "22P02", Some(44)),
        ("SELECT CAST(300 AS tinyint)", "22003", Some(13)),
        ("SELECT name + 1 FROM asyncoperation", "22P02", None),
        ("SELECT statecode, asyncoperationid + 1 FROM asyncoperation", "42804", Some(19)),
        ("SELECT 1 FROM asyncoperation WHERE statecode = 1 AND name - 'a' = 1", "42804", Some(54)),
        ("SELECT SUM(name) FROM asyncoperation", "42804", Some(8)),
    ] {
        let error = client.simple_query(text).await.expect_err(text);
        let (found, message, position) = failure(&error);
        assert_eq!((found.as_str(), position), (state, place), "{text}: {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_are_shown_as_text_and_as_json() {
    let server = Server::start().await;
    let client = server.connect().await;
    let query = "SELECT statecode, COUNT(*) FROM asyncoperation \
                 WHERE name LIKE '%a%' GROUP BY statecode";
    for options in ["", "(ANALYZE, BUFFERS, COSTS off, FORMAT text)", "ANALYZE VERBOSE"] {
        let lines = client.simple_query(&format!("EXPLAIN {options} {query}")).await;
        assert!(lines.expect("a plan").len() > 3, "{options}");
    }
    for (options, ran) in [
        ("(FORMAT JSON)", false),
        ("(FORMAT json, ANALYZE false, VERBOSE, SETTINGS on)", false),
        ("(ANALYZE, FORMAT JSON, TIMING)", true),
    ] {
        let text = value(&client, &format!("EXPLAIN {options} {query}")).await;
        let shown: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let plan = &shown[0]["Plan"];
        assert!(plan["Node Type"].is_string() && plan["Plans"][0].is_object(), "{text}");
        assert_eq!(plan["Actual Rows"].is_u64(), ran, "{text}");
    }
    fails_with("0A000", "a format", client.simple_query("EXPLAIN (FORMAT XML) SELECT 1")).await;
    let write = "EXPLAIN (FORMAT JSON) DELETE FROM asyncoperation";
    fails_with("25006", "a write", client.simple_query(write)).await;
    assert_eq!(value(&client, "SELECT pg_typeof(1)").await, "integer");
    let both = "SELECT quote_ident('a b') || ' ' || quote_literal('it''s')";
    assert_eq!(value(&client, both).await, "\"a b\" 'it''s'");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_on_any_path() {
    let server = Server::start().await;
    let client = server.connect().await;
    for text in [
        "INSERT INTO asyncoperation (name) VALUES ('x')",
        "UPDATE asyncoperation SET name = 'x'",
        "DELETE FROM asyncoperation",
        "SELECT 1; DROP TABLE asyncoperation",
        "CREATE TABLE t AS SELECT * FROM pg_catalog.pg_class",
        "CREATE VIEW v AS SELECT 1",
        "WITH d AS (DELETE FROM pg_class RETURNING *) SELECT * FROM d",
        "EXPLAIN ANALYZE INSERT INTO asyncoperation (name) VALUES ('x')",
        "COPY asyncoperation FROM STDIN",
        "TRUNCATE asyncoperation",
        "SELECT * INTO copied FROM asyncoperation",
        "BEGIN; DELETE FROM asyncoperation",
    ] {
        fails_with("25006", text, client.simple_query(text)).await;
        fails_with("25006", text, client.prepare(text.rsplit("; ").next().expect("text"))).await;
        client.simple_query("ROLLBACK").await.expect("accepted");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_databases_do_not_exist_and_stopping_is_told() {
    let server = Server::start().await;
    let config = format!("host=127.0.0.1 port={} user=someone dbname=other", server.port);
    let refused = tokio_postgres::connect(&config, tokio_postgres::NoTls).await.map(|_| ());
    assert_eq!(failure(&refused.expect_err("no such database")).0, "3D000");
    let client = server.connect().await;
    server.stop().await;
    let error = client.simple_query("SELECT 1").await.expect_err("stopped");
    assert!(error.is_closed() || failure(&error).0 == "57P01", "{error:?}");
}
