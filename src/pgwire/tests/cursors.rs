//! Cursors of SQL, and prepared statements of SQL.

use super::raw::{Raw, bind, describe, execute, parse, query, sync};
use super::simple::{rows, value};
use super::{Server, add_jobs, fails_with};

const CURSOR: &str = "CURSOR FOR SELECT statuscode FROM asyncoperation ORDER BY statuscode";

async fn numbers(client: &tokio_postgres::Client, text: &str) -> Vec<String> {
    rows(client, text).await.into_iter().map(|mut row| row.remove(0).expect("not null")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_sees_the_snapshot_of_its_transaction() {
    let server = Server::start().await;
    let client = server.connect().await;
    fails_with("25P01", "no block", client.simple_query(&format!("DECLARE c {CURSOR}"))).await;
    client.simple_query("BEGIN").await.expect("begun");
    add_jobs(&server.service, &[(4, "fourth", 0, 10)]);
    client.simple_query(&format!("DECLARE c NO SCROLL {CURSOR}")).await.expect("declared");
    assert_eq!(numbers(&client, "FETCH FORWARD 2 FROM c").await, ["0", "30"]);
    add_jobs(&server.service, &[(5, "fifth", 0, 40)]);
    assert_eq!(numbers(&client, "FETCH ALL IN c").await, ["31"]);
    assert_eq!(numbers(&client, "FETCH NEXT c").await, [""; 0]);
    fails_with("42P03", "twice", client.simple_query(&format!("DECLARE c {CURSOR}"))).await;
    client.simple_query("ROLLBACK").await.expect("ended");
    fails_with("34000", "closed", client.simple_query("FETCH c")).await;
    assert_eq!(value(&client, "SELECT count(*) FROM asyncoperation").await, "5");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_with_hold_outlives_its_transaction() {
    let server = Server::start().await;
    let client = server.connect().await;
    let declare =
        format!("BEGIN; DECLARE \"SQL_CUR 1\" {CURSOR}; FETCH 1 IN \"SQL_CUR 1\"; COMMIT");
    let declare = declare.replace("CURSOR FOR", "CURSOR WITH HOLD FOR");
    assert_eq!(numbers(&client, &declare).await, ["0"]);
    add_jobs(&server.service, &[(4, "fourth", 0, 40)]);
    assert_eq!(numbers(&client, "FETCH 10000 in \"SQL_CUR 1\"").await, ["30", "31"]);
    fails_with("55000", "backwards", client.simple_query("FETCH PRIOR FROM \"SQL_CUR 1\"")).await;
    client.simple_query("CLOSE \"SQL_CUR 1\"").await.expect("open");
    fails_with("34000", "closed", client.simple_query("CLOSE \"SQL_CUR 1\"")).await;
    // Several statements in one request are a transaction, too.
    let several = format!("DECLARE d {CURSOR}; MOVE 1 FROM d; FETCH d");
    assert_eq!(numbers(&client, &several).await, ["30"]);
    fails_with("34000", "ended", client.simple_query("FETCH d")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_that_scrolls_goes_back() {
    let server = Server::start().await;
    let client = server.connect().await;
    let declare = CURSOR.replace("CURSOR FOR", "SCROLL CURSOR WITH HOLD FOR");
    client.simple_query(&format!("BEGIN; DECLARE c {declare}")).await.expect("declared");
    assert_eq!(numbers(&client, "FETCH LAST FROM c").await, ["31"]);
    assert_eq!(numbers(&client, "FETCH BACKWARD 5 FROM c").await, ["30", "0"]);
    client.simple_query("COMMIT").await.expect("ended");
    add_jobs(&server.service, &[(4, "fourth", 0, 40)]);
    assert_eq!(numbers(&client, "FETCH ALL FROM c").await, ["0", "30", "31"]);
    assert_eq!(numbers(&client, "FETCH ABSOLUTE -2 FROM c").await, ["30"]);
    // What is rolled back was never declared.
    let declare = declare.replace("SCROLL", "NO SCROLL");
    client.simple_query(&format!("BEGIN; DECLARE d {declare}; ROLLBACK")).await.expect("run");
    fails_with("34000", "rolled back", client.simple_query("FETCH d")).await;
    assert_eq!(numbers(&client, "FETCH FIRST FROM c").await, ["0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn cursors_over_both_protocols() {
    let server = Server::start().await;
    let mut raw = Raw::connect(&server, &[]).await;
    assert_eq!(raw.answers(&query("BEGIN"), 'Z').await, "C(BEGIN) Z(T)");
    let sql = "DECLARE \"c\" CURSOR FOR SELECT name FROM asyncoperation WHERE statuscode > $1";
    let declare = [
        parse("", sql, &[23]),
        bind("", "", 0, &[Some(b"0")], &[]),
        describe(b'P', ""),
        execute("", 0),
        sync(),
    ];
    let found = raw.answers(&declare.concat(), 'Z').await;
    assert_eq!(found, "1 2 n C(DECLARE CURSOR) Z(T)");
    let described = [describe(b'P', "c"), sync()].concat();
    assert_eq!(raw.answers(&described, 'Z').await, "T Z(T)");
    let fetch = query("FETCH FORWARD 1 FROM \"c\"");
    assert_eq!(raw.answers(&fetch, 'Z').await, "T D C(FETCH 1) Z(T)");
    let fetch = [
        parse("", "FETCH ALL FROM c", &[]),
        describe(b'S', ""),
        bind("", "", 0, &[], &[1]),
        execute("", 0),
        sync(),
    ];
    assert_eq!(raw.answers(&fetch.concat(), 'Z').await, "1 t T 2 D C(FETCH 1) Z(T)");
    let moved = query("MOVE ALL IN c; CLOSE ALL; COMMIT");
    assert_eq!(raw.answers(&moved, 'Z').await, "C(MOVE 0) C(CLOSE CURSOR ALL) C(COMMIT) Z(I)");
}

#[tokio::test(flavor = "multi_thread")]
async fn prepared_statements_of_sql() {
    let server = Server::start().await;
    let client = server.connect().await;
    let prepare =
        "PREPARE by_status (int) AS SELECT name FROM asyncoperation WHERE statuscode = $1";
    client.simple_query(prepare).await.expect("valid");
    fails_with("42P05", "twice", client.simple_query(prepare)).await;
    for argument in ["31", "'31'", "30 + 1"] {
        let text = format!("EXECUTE by_status ({argument})");
        assert_eq!(numbers(&client, &text).await, ["third"], "{text}");
    }
    fails_with("42601", "none", client.simple_query("EXECUTE by_status")).await;
    fails_with("22P02", "no number", client.simple_query("EXECUTE by_status ('x')")).await;
    fails_with("26000", "unknown", client.simple_query("EXECUTE nosuch")).await;
    let prepare = "PREPARE c AS SELECT relname FROM pg_class WHERE relname = $1";
    client.simple_query(prepare).await.expect("valid");
    assert_eq!(numbers(&client, "EXECUTE c ('workflow')").await, ["workflow"]);
    fails_with("25006", "a write", client.simple_query("PREPARE w AS DELETE FROM workflow")).await;
    client.simple_query("DEALLOCATE by_status; DEALLOCATE PREPARE ALL").await.expect("there");
    fails_with("26000", "gone", client.simple_query("EXECUTE c ('workflow')")).await;
}
