//! `COPY … TO STDOUT` over both protocols.

use futures::TryStreamExt;

use super::raw::{Raw, bind, execute, parse, query, sync};
use super::{Server, fails_with};

async fn copied(client: &tokio_postgres::Client, text: &str) -> Vec<u8> {
    let stream = client.copy_out(text).await.unwrap_or_else(|e| panic!("{text}: {e:?}"));
    let chunks: Vec<_> = stream.try_collect().await.unwrap_or_else(|e| panic!("{text}: {e:?}"));
    chunks.iter().flat_map(|chunk| chunk.to_vec()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_tables_and_catalogs_are_copied() {
    let server = Server::start().await;
    let client = server.connect().await;
    let jobs = "(SELECT TOP 2 name, statuscode, message FROM asyncoperation ORDER BY statuscode)";
    for (text, expected) in [
        (format!("COPY {jobs} TO STDOUT"), "first\t0\t\\N\nSecond\t30\t\\N\n"),
        (
            format!("COPY {jobs} TO STDOUT WITH CSV HEADER"),
            "name,statuscode,message\nfirst,0,\nSecond,30,\n",
        ),
        (
            format!("COPY {jobs} TO STDOUT (FORMAT csv, NULL '-', FORCE_QUOTE (name))"),
            "\"first\",0,-\n\"Second\",30,-\n",
        ),
        ("COPY public.asyncoperation (statuscode) TO STDOUT".into(), "0\n30\n31\n"),
        ("copy workflow to stdout".into(), ""),
        (
            "COPY (SELECT relname FROM pg_class WHERE relname = 'workflow') TO STDOUT".into(),
            "workflow\n",
        ),
    ] {
        let found = copied(&client, &text).await;
        assert_eq!(String::from_utf8_lossy(&found), expected, "{text}");
    }
    let binary = copied(&client, &format!("COPY {jobs} TO STDOUT (FORMAT binary)")).await;
    assert!(binary.starts_with(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\0\x03\0\0\0\x05first"));
    assert!(binary.ends_with(&[0xff, 0xff]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_messages_of_a_copy() {
    let server = Server::start().await;
    let mut raw = Raw::connect(&server, &[]).await;
    let copy = "COPY (SELECT name FROM asyncoperation) TO STDOUT CSV HEADER";
    let expected = "H d d d d c C(COPY 3)";
    assert_eq!(raw.answers(&query(copy), 'Z').await, format!("{expected} Z(I)"));
    let extended = [parse("", copy, &[]), bind("", "", 0, &[], &[]), execute("", 0), sync()];
    assert_eq!(raw.answers(&extended.concat(), 'Z').await, format!("1 2 {expected} Z(I)"));
    // A failure in the middle ends the copy, not the connection.
    let failing = "COPY (SELECT 1 / (statuscode - 31) FROM asyncoperation) TO STDOUT";
    let found = raw.answers(&query(failing), 'Z').await;
    assert!(found.starts_with('H') && found.ends_with("E(22012) Z(I)"), "{found}");
    assert_eq!(raw.answers(&query("SELECT 1"), 'Z').await, "T D C(SELECT 1) Z(I)");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_copied() {
    let server = Server::start().await;
    let client = server.connect().await;
    for (state, text) in [
        ("25006", "COPY asyncoperation FROM STDIN"),
        ("25006", "COPY asyncoperation (name) FROM '/tmp/x' CSV"),
        ("25006", "COPY (DELETE FROM asyncoperation RETURNING *) TO STDOUT"),
        ("0A000", "COPY asyncoperation TO '/tmp/x'"),
        ("0A000", "COPY (SELECT 1) TO PROGRAM 'cat'"),
        ("42P01", "COPY nosuch TO STDOUT"),
        ("42703", "COPY asyncoperation (nosuch) TO STDOUT"),
        ("42703", "COPY workflow TO STDOUT (FORMAT csv, FORCE_QUOTE (nosuch))"),
        ("42601", "COPY (SELECT FROM) TO STDOUT"),
    ] {
        fails_with(state, text, client.simple_query(text)).await;
    }
}
