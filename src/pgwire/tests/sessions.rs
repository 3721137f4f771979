//! Transactions, settings and limits of a session.

use std::sync::Arc;

use super::raw::{Raw, error, parse, query, sync};
use super::simple::value;
use super::{Server, add_jobs, fails_with};
use crate::credentials::Credentials;

const COUNT: &str = "SELECT count(*) FROM asyncoperation";

#[tokio::test(flavor = "multi_thread")]
async fn the_state_of_a_transaction_is_told() {
    let server = Server::start().await;
    let mut raw = Raw::connect(&server, &[]).await;
    for (text, expected) in [
        ("BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY", "C(BEGIN) Z(T)"),
        ("begin", "N(25001) C(BEGIN) Z(T)"),
        ("SET TRANSACTION READ WRITE", "C(SET) Z(T)"),
        ("SAVEPOINT \"x y\"", "C(SAVEPOINT) Z(T)"),
        ("UPDATE asyncoperation SET name = 'x'", "E(25006) Z(E)"),
        ("SELECT 1", "E(25P02) Z(E)"),
        ("FETCH c", "E(25P02) Z(E)"),
        ("ROLLBACK TO SAVEPOINT \"x y\"", "C(ROLLBACK) Z(T)"),
        ("RELEASE \"x y\"", "C(RELEASE) Z(T)"),
        ("COMMIT AND CHAIN", "C(COMMIT) Z(T)"),
        ("SELECT nosuch", "E(42703) Z(E)"),
        ("COMMIT", "C(ROLLBACK) Z(I)"),
        ("COMMIT", "N(25P01) C(COMMIT) Z(I)"),
        ("ROLLBACK AND CHAIN", "E(25P01) Z(I)"),
        ("START TRANSACTION; SELECT 1 / 0; COMMIT", "C(START TRANSACTION) T E(22012) Z(E)"),
        ("ABORT", "C(ROLLBACK) Z(I)"),
        ("BEGIN; END", "C(BEGIN) C(COMMIT) Z(I)"),
        ("DISCARD ALL", "C(DISCARD ALL) Z(I)"),
        // Statements come to their turn one after the other.
        ("SELECT 1; SELECT nosuch; SELECT 2", "T D C(SELECT 1) E(42703) Z(I)"),
        ("SELECT 1; SELECT * FROM nosuch", "T D C(SELECT 1) E(42P01) Z(I)"),
        ("BEGIN; SELECT nosuch; COMMIT", "C(BEGIN) E(42703) Z(E)"),
        ("SELECT 1", "E(25P02) Z(E)"),
        ("ROLLBACK; SELECT 1", "C(ROLLBACK) T D C(SELECT 1) Z(I)"),
        // A text that cannot be parsed is refused as a whole.
        ("SELECT 1; SELEC 2", "E(42601) Z(I)"),
        ("LISTEN jobs; UNLISTEN *", "C(LISTEN) C(UNLISTEN) Z(I)"),
        ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "N(25P01) C(SET) Z(I)"),
    ] {
        assert_eq!(raw.answers(&query(text), 'Z').await, expected, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_several_statements_sees_one_snapshot() {
    let server = Server::start().await;
    let mut raw = Raw::connect(&server, &[]).await;
    // A request is read while the one before is answered, so that both wait
    // for a lock; here the jobs come between two statements of a pipeline.
    let count = |name: &str| {
        let bound = super::raw::bind("", name, 0, &[], &[]);
        [bound, super::raw::execute("", 0), super::raw::flush()].concat()
    };
    assert_eq!(raw.answers(&[parse("c", COUNT, &[]), sync()].concat(), 'Z').await, "1 Z(I)");
    let counted = |messages: Vec<super::raw::Message>| {
        let row = messages.into_iter().find(|(kind, _)| *kind == 'D').expect("a row");
        super::raw::values(&row.1).remove(0).expect("not null")
    };
    raw.send(&count("c")).await;
    assert_eq!(counted(raw.until('C').await), b"3");
    add_jobs(&server.service, &[(4, "fourth", 0, 0)]);
    raw.send(&count("c")).await;
    assert_eq!(counted(raw.until('C').await), b"3");
    assert_eq!(raw.answers(&sync(), 'Z').await, "Z(I)");
    raw.send(&count("c")).await;
    assert_eq!(counted(raw.until('C').await), b"4");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_told_and_go_back() {
    let server = Server::start().await;
    let options = [("options", "-c statement_timeout=90s -c search_path=dbo"), ("TimeZone", "CET")];
    let mut raw = Raw::connect(&server, &options).await;
    for (text, expected) in [
        ("SET application_name = 'a'", "S(application_name=a) C(SET) Z(I)"),
        ("SET LOCAL application_name = 'b'", "N(25P01) C(SET) Z(I)"),
        (
            "BEGIN; SET LOCAL application_name = 'b'; COMMIT",
            "C(BEGIN) S(application_name=b) C(SET) S(application_name=a) C(COMMIT) Z(I)",
        ),
        (
            "BEGIN; SET application_name = 'c'; ROLLBACK",
            "C(BEGIN) S(application_name=c) C(SET) S(application_name=a) C(ROLLBACK) Z(I)",
        ),
        ("RESET application_name", "S(application_name=) C(RESET) Z(I)"),
        ("SET client_encoding = 'SQL_ASCII'", "E(22023) Z(I)"),
        ("SET DateStyle = 'German'", "E(0A000) Z(I)"),
        ("SET TimeZone = 'Nowhere'", "E(22023) Z(I)"),
        ("SET server_version = '9'", "E(55P02) Z(I)"),
        ("SET lock_timeout = '1 min'; SET idle_session_timeout = 0", "C(SET) C(SET) Z(I)"),
    ] {
        assert_eq!(raw.answers(&query(text), 'Z').await, expected, "{text}");
    }
    let client = server.connect().await;
    client.simple_query("SET statement_timeout = 120000").await.expect("known");
    assert_eq!(value(&client, "SHOW statement_timeout").await, "2min");
    let shown = client.query_one("SHOW datestyle", &[]).await.expect("known");
    assert_eq!(shown.columns()[0].name(), "DateStyle");
    let mut raw_value = async |name: &str| {
        raw.send(&query(&format!("SHOW {name}"))).await;
        let messages = raw.until('Z').await;
        let row = messages.iter().find(|(kind, _)| *kind == 'D').expect("a row");
        String::from_utf8(super::raw::values(&row.1).remove(0).expect("set")).expect("text")
    };
    assert_eq!(raw_value("statement_timeout").await, "90s");
    assert_eq!(raw_value("search_path").await, "dbo");
    assert_eq!(raw_value("timezone").await, "CET");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_idle_for_too_long_is_told_to_go() {
    let server = Server::start().await;
    for (text, state) in [
        ("SET idle_session_timeout = 1", "57P05"),
        ("SET idle_in_transaction_session_timeout = 1; BEGIN", "25P03"),
    ] {
        let mut raw = Raw::connect(&server, &[]).await;
        raw.send(&query(text)).await;
        raw.until('Z').await;
        let ended = raw.until('E').await;
        let (kind, body) = ended.last().expect("told");
        assert_eq!((*kind, error(body).0.as_str()), ('E', state));
        assert!(raw.next().await.is_none(), "closed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn planning_is_interrupted() {
    let server = Server::start().await;
    let client = server.connect().await;
    // More joins than any plan is made for in this time.
    let joins: String = (1..12)
        .map(|n| format!(" JOIN asyncoperation t{n} ON t{n}.name = t{}.name", n - 1))
        .collect();
    let text = format!("SELECT count(*) FROM asyncoperation t0{joins}");
    client.simple_query("SET statement_timeout = 1").await.expect("known");
    fails_with("57014", "too slow", client.simple_query(&text)).await;
    fails_with("57014", "at Parse", client.prepare(&text)).await;
    client.simple_query("SET statement_timeout = 0").await.expect("known");
    assert_eq!(value(&client, COUNT).await, "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_proved_by_scram() {
    let users = "[[users]]\nname = \"someone\"\nrole = \"reader\"\npassword = \"s\u{e9}cret\"\n\
                 [[users]]\nname = \"token\"\nrole = \"reader\"\ntokens = [\"0123456789abcdef\"]\n";
    let users = Credentials::parse(users, "users.toml").expect("valid");
    let server = Server::with(|service| service.credentials = Some(Arc::new(users))).await;
    let connect = async |user: &str, password: &str| {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(server.port).dbname("sysjob").user(user).password(password);
        let (client, connection) = config.connect(tokio_postgres::NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    };
    let client = connect("someone", "s\u{e9}cret").await.expect("the right password");
    assert_eq!(value(&client, COUNT).await, "3");
    for (user, password) in [("someone", "secret"), ("nobody", "s\u{e9}cret"), ("token", "")] {
        fails_with("28P01", user, connect(user, password)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_only_so_many_connections() {
    let server = Server::with(|service| service.settings.limits.connections = 1).await;
    let first = server.connect().await;
    let config = format!("host=127.0.0.1 port={} user=someone dbname=sysjob", server.port);
    let second = async || tokio_postgres::connect(&config, tokio_postgres::NoTls).await;
    fails_with("53300", "one too many", second()).await;
    assert_eq!(value(&first, COUNT).await, "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn isolation_is_shown_as_it_was_asked_for() {
    let server = Server::start().await;
    let client = server.connect().await;
    let show = "SHOW transaction_isolation";
    for (text, expected) in [
        (show.to_owned(), "repeatable read"),
        (format!("BEGIN ISOLATION LEVEL SERIALIZABLE; {show}; COMMIT"), "serializable"),
        (
            format!(
                "START TRANSACTION; SET TRANSACTION ISOLATION LEVEL READ COMMITTED; {show}; END"
            ),
            "read committed",
        ),
        (show.to_owned(), "repeatable read"),
        (
            format!(
                "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ UNCOMMITTED; {show}"
            ),
            "read uncommitted",
        ),
        (format!("BEGIN; {show}; COMMIT"), "read uncommitted"),
    ] {
        assert_eq!(value(&client, &text).await, expected, "{text}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_finds_itself_in_the_catalogs() {
    let server = Server::start().await;
    let client = server.connect().await;
    client.batch_execute("PREPARE p (int) AS SELECT $1 + 1; BEGIN").await.expect("prepared");
    client.batch_execute("DECLARE c CURSOR FOR SELECT 1").await.expect("declared");
    for (text, expected) in [
        ("SELECT name FROM pg_cursors", "c"),
        ("SELECT name FROM pg_prepared_statements WHERE from_sql", "p"),
        ("SELECT state FROM pg_stat_activity WHERE pid = pg_backend_pid()", "active"),
        ("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%count%'", "1"),
        ("SELECT set_config('application_name', 'me too', false)", "me too"),
        ("SELECT application_name FROM pg_stat_activity", "me too"),
        ("SELECT setting FROM pg_settings WHERE name = 'statement_timeout'", "0"),
    ] {
        assert_eq!(value(&client, text).await, expected, "{text}");
    }
    client.batch_execute("COMMIT; DEALLOCATE p").await.expect("ended");
    assert_eq!(value(&client, "SELECT count(*) FROM pg_cursors").await, "0");
    let terminate = "SELECT pg_terminate_backend(pg_backend_pid())";
    fails_with("0A000", terminate, client.simple_query(terminate)).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sleep_ends_with_a_cancel_request_or_a_time_limit() {
    let server = Server::start().await;
    let client = server.connect().await;
    let other = server.connect().await;
    assert_eq!(value(&client, "SELECT pg_sleep(0)").await, "");
    let process = value(&client, "SELECT pg_backend_pid()").await;
    let sleep = client.simple_query("SELECT pg_sleep(600)");
    let cancel = async {
        let sleeps = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' \
                      AND state = 'active' AND query NOT LIKE '%count%'";
        while value(&other, sleeps).await != "1" {}
        let cancel = format!("SELECT pg_cancel_backend({process})");
        assert_eq!(value(&other, &cancel).await, "t");
    };
    let (slept, ()) = tokio::join!(sleep, cancel);
    assert_eq!(super::failure(&slept.expect_err("canceled")).0, "57014");
    let limited = "SET statement_timeout = '50ms'; SELECT pg_sleep(600)";
    fails_with("57014", limited, client.simple_query(limited)).await;
    server.stop().await;
}
