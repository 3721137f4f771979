//! The messages of the extended protocol in all groupings, the start of a
//! connection, and what no client should send.

use futures::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Server;
use super::raw::{
    Raw, bind, close, describe, error, execute, flush, message, parse, query, startup, sync, values,
};

const BY_STATUS: &str = "SELECT statuscode FROM asyncoperation ORDER BY statuscode";

#[tokio::test(flavor = "multi_thread")]
async fn messages_come_in_any_grouping() {
    let server = Server::start().await;
    let mut raw = Raw::connect(&server, &[]).await;
    let all = [
        parse("", BY_STATUS, &[]),
        bind("", "", 0, &[], &[]),
        describe(b'P', ""),
        execute("", 0),
        sync(),
    ];
    let whole = raw.answers(&all.concat(), 'Z').await;
    assert_eq!(whole, "1 2 T D D D C(SELECT 3) Z(I)");
    // Each message alone, answered because of a flush.
    assert_eq!(raw.answers(&[parse("s", BY_STATUS, &[]), flush()].concat(), '1').await, "1");
    assert_eq!(raw.answers(&[describe(b'S', "s"), flush()].concat(), 'T').await, "t T");
    assert_eq!(raw.answers(&[bind("p", "s", 0, &[], &[]), flush()].concat(), '2').await, "2");
    assert_eq!(raw.answers(&[execute("p", 2), flush()].concat(), 's').await, "D D s");
    assert_eq!(raw.answers(&[execute("p", 2), flush()].concat(), 'C').await, "D C(SELECT 1)");
    assert_eq!(raw.answers(&[close(b'P', "p"), sync()].concat(), 'Z').await, "3 Z(I)");
    // A message cut in two.
    let text = query("SELECT 1");
    raw.send(&text[..3]).await;
    assert_eq!(raw.answers(&text[3..], 'Z').await, "T D C(SELECT 1) Z(I)");
    // Many requests at once.
    let many = [query("SELECT 1"), all.concat(), query(""), all.concat()].concat();
    raw.send(&many).await;
    for expected in ["T D C(SELECT 1) Z(I)", whole.as_str(), "I Z(I)", whole.as_str()] {
        assert_eq!(raw.answers(&[], 'Z').await, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_skips_to_sync() {
    let server = Server::start().await;
    let mut raw = Raw::connect(&server, &[]).await;
    let run = |sql: &str| [parse("", sql, &[]), bind("", "", 0, &[], &[]), execute("", 0)].concat();
    let pipeline = [run("SELECT 1"), run("SELECT nosuch"), run("SELECT 2"), sync()].concat();
    assert_eq!(raw.answers(&pipeline, 'Z').await, "1 2 D C(SELECT 1) E(42703) Z(I)");
    let failing = [run("BEGIN"), run("SELECT nosuch"), sync()].concat();
    assert_eq!(raw.answers(&failing, 'Z').await, "1 2 C(BEGIN) E(42703) Z(E)");
    assert_eq!(raw.answers(&[run("SELECT 1"), sync()].concat(), 'Z').await, "E(25P02) Z(E)");
    let ended = [run("ROLLBACK"), sync()].concat();
    assert_eq!(raw.answers(&ended, 'Z').await, "1 2 C(ROLLBACK) Z(I)");
    let refused = [run("BEGIN"), run("DELETE FROM asyncoperation"), sync()].concat();
    assert_eq!(raw.answers(&refused, 'Z').await, "1 2 C(BEGIN) E(25006) Z(E)");
    let ended = [run("COMMIT"), sync()].concat();
    assert_eq!(raw.answers(&ended, 'Z').await, "1 2 C(ROLLBACK) Z(I)");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_statements_and_portals() {
    let server = Server::start().await;
    let mut raw = Raw::connect(&server, &[]).await;
    let named = || parse("s", "SELECT 1", &[]);
    for (what, messages, expected) in [
        ("a name is given once", [named(), named()].concat(), "1 E(42P05) Z(I)"),
        ("until it is closed", [close(b'S', "s"), named()].concat(), "3 1 Z(I)"),
        (
            "the unnamed one is replaced",
            [parse("", "", &[]), parse("", "", &[])].concat(),
            "1 1 Z(I)",
        ),
        ("unknown statement", bind("", "t", 0, &[], &[]), "E(26000) Z(I)"),
        ("unknown statement", describe(b'S', "t"), "E(26000) Z(I)"),
        ("unknown portal", execute("t", 0), "E(34000) Z(I)"),
        ("unknown portal", describe(b'P', "t"), "E(34000) Z(I)"),
        ("closing what is not there", [close(b'S', "t"), close(b'P', "t")].concat(), "3 3 Z(I)"),
        ("too many parameters", bind("", "s", 0, &[Some(b"1")], &[]), "E(08P01) Z(I)"),
        ("too many formats", bind("", "s", 0, &[], &[0, 0]), "E(08P01) Z(I)"),
        (
            "a portal's name is given once",
            [bind("p", "s", 0, &[], &[]), bind("p", "s", 0, &[], &[])].concat(),
            "2 E(42P03) Z(I)",
        ),
        (
            "an empty statement",
            [
                parse("", "-- nothing", &[]),
                bind("", "", 0, &[], &[]),
                describe(b'P', ""),
                describe(b'S', ""),
                execute("", 0),
            ]
            .concat(),
            "1 2 n t n I Z(I)",
        ),
        (
            "a command runs once",
            [
                parse("", "SET jit = on", &[]),
                bind("", "", 0, &[], &[]),
                execute("", 0),
                execute("", 0),
            ]
            .concat(),
            "1 2 C(SET) E(55000) Z(I)",
        ),
        ("of PREPARE as well", bind("", "p", 0, &[], &[]), "E(26000) Z(I)"),
    ] {
        let messages = [messages, sync()].concat();
        assert_eq!(raw.answers(&messages, 'Z').await, expected, "{what}");
    }
    assert_eq!(raw.answers(&query("PREPARE p AS SELECT 7"), 'Z').await, "C(PREPARE) Z(I)");
    let bound = [bind("", "p", 0, &[], &[]), execute("", 0), sync()].concat();
    assert_eq!(raw.answers(&bound, 'Z').await, "2 D C(SELECT 1) Z(I)");
    assert_eq!(raw.answers(&query("EXECUTE s"), 'Z').await, "T D C(SELECT 1) Z(I)");
    assert_eq!(
        raw.answers(&query("DEALLOCATE s; EXECUTE s"), 'Z').await,
        "C(DEALLOCATE) E(26000) Z(I)"
    );
    // A portal lives as long as its transaction, also the unnamed one.
    let begun = [parse("", BY_STATUS, &[]), sync()].concat();
    assert_eq!(raw.answers(&query("BEGIN"), 'Z').await, "C(BEGIN) Z(T)");
    assert_eq!(raw.answers(&begun, 'Z').await, "1 Z(T)");
    let first = [bind("", "", 0, &[], &[]), execute("", 1), sync()].concat();
    assert_eq!(raw.answers(&first, 'Z').await, "2 D s Z(T)");
    let next = [execute("", 0), sync()].concat();
    assert_eq!(raw.answers(&next, 'Z').await, "D D C(SELECT 2) Z(T)");
    assert_eq!(raw.answers(&query("COMMIT"), 'Z').await, "C(COMMIT) Z(I)");
    assert_eq!(raw.answers(&next, 'Z').await, "E(34000) Z(I)");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_values_of_parameters() {
    let server = Server::start().await;
    let mut raw = Raw::connect(&server, &[]).await;
    let sql = "SELECT name FROM asyncoperation WHERE statuscode = $1";
    let cases: [(u32, u16, &[u8], &str); 9] = [
        (0, 0, b"31", "1 2 D C(SELECT 1)"),
        (21, 1, &[0, 31], "1 2 D C(SELECT 1)"),
        (705, 0, b" 31 ", "1 2 D C(SELECT 1)"),
        (23, 1, &[0, 31], "1 2 E(22P03)"),
        (23, 0, b"x", "1 2 E(22P02)"),
        (23, 0, b"3000000000", "1 2 E(22003)"),
        (21, 0, b"40000", "1 2 E(22003)"),
        (25, 0, &[0xff], "1 2 E(22021)"),
        (1007, 0, b"{1", "1 2 E(22P02)"),
    ];
    for (oid, format, value, expected) in cases {
        let all = [
            parse("", sql, &[oid]),
            bind("", "", format, &[Some(value)], &[]),
            execute("", 0),
            sync(),
        ];
        let found = raw.answers(&all.concat(), 'Z').await;
        assert_eq!(found, format!("{expected} Z(I)"), "{oid} {value:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_have_formats_of_their_own() {
    let server = Server::start().await;
    let mut raw = Raw::connect(&server, &[]).await;
    let sql = "SELECT statuscode, statuscode, statuscode FROM asyncoperation WHERE statuscode = 31";
    let all = [
        parse("", sql, &[]),
        bind("", "", 0, &[], &[1, 0, 1]),
        describe(b'P', ""),
        execute("", 0),
        sync(),
    ];
    raw.send(&all.concat()).await;
    let messages = raw.until('Z').await;
    let row = messages.iter().find(|(kind, _)| *kind == 'D').expect("a row");
    let binary = Some(31_i32.to_be_bytes().to_vec());
    assert_eq!(values(&row.1), [binary.clone(), Some(b"31".to_vec()), binary]);
    let described = &messages.iter().find(|(kind, _)| *kind == 'T').expect("described").1;
    let end = "statuscode\0".len() + 2;
    // No table, no column number, int4 of four bytes, no modifier, binary.
    let expected = [0, 0, 0, 0, 0, 0, 0, 0, 0, 23, 0, 4, 255, 255, 255, 255, 0, 1];
    assert_eq!(described[end..end + 18], expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_message_ends_the_connection_only() {
    let server = Server::start().await;
    // What comes before the start.
    for (what, bytes) in [
        ("nonsense", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("an old protocol", startup(0x0002_0000, &[])),
        ("no length", vec![0; 16]),
        ("a huge start", [&0x4000_0000_u32.to_be_bytes()[..], &[0, 3, 0, 0]].concat()),
        ("replication", startup(0x0003_0000, &[("replication", "true")])),
        ("a bad option", startup(0x0003_0000, &[("options", "-c statement_timeout=soon")])),
    ] {
        let mut socket = Raw::open(&server).await;
        socket.write_all(&bytes).await.expect("connected");
        socket.shutdown().await.expect("connected");
        let mut answer = Vec::new();
        // A reset is an end, too.
        let _ = socket.read_to_end(&mut answer).await;
        assert!(!answer.contains(&b'Z') && !answer.starts_with(b"R"), "{what}");
    }
    // What comes later.
    for (what, bytes) in [
        ("an unknown type", message(b'y', b"")),
        ("a negative length", vec![b'Q', 255, 255, 255, 255]),
        ("counts beyond the end", message(b'B', b"\0\0\xff\xff")),
        ("a value beyond the end", message(b'B', b"\0\0\0\0\0\x01\x7f\xff\xff\xff")),
        ("a parse that stops", message(b'P', b"s\0SELECT")),
        ("a message of 2 GB", vec![b'Q', 0x7f, 255, 255, 255]),
    ] {
        let mut raw = Raw::connect(&server, &[]).await;
        raw.send(&bytes).await;
        raw.socket.shutdown().await.expect("connected");
        let answers = raw.until('Z').await;
        let told = answers.first().map(|(kind, body)| (*kind, error(body).0));
        assert!(matches!(&told, Some(('E', state)) if state.starts_with("08")), "{what}: {told:?}");
    }
    // One that never comes whole costs nothing but its connection.
    let mut raw = Raw::connect(&server, &[]).await;
    raw.send(&[b'Q', 0x3f, 255, 0, 0, b'S']).await;
    let client = server.connect().await;
    client.simple_query("SELECT 1").await.expect("the service goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn protocols_are_negotiated() {
    let server = Server::start().await;
    let mut socket = Raw::open(&server).await;
    // GSS encryption and TLS are asked for first, and refused.
    for code in [80_877_104_u32, 80_877_103] {
        socket.write_all(&[8_u32.to_be_bytes(), code.to_be_bytes()].concat()).await.expect("open");
        let mut answer = [0];
        socket.read_exact(&mut answer).await.expect("answered");
        assert_eq!(answer, [b'N'], "{code}");
    }
    let mut raw = Raw { socket, key: Vec::new() };
    let started = raw.answers(&startup(0x0003_0000, &[("unknown", "x")]), 'Z').await;
    assert!(started.starts_with("R ") && started.ends_with("K Z(I)"), "{started}");
    assert!(started.contains("S(client_encoding=UTF8)"), "{started}");
    for (version, first) in [(0x0003_0002, "R "), (0x0003_0007, "v R ")] {
        let mut raw = Raw { socket: Raw::open(&server).await, key: Vec::new() };
        let started = raw.answers(&startup(version, &[]), 'Z').await;
        assert!(started.starts_with(first), "{version:x}: {started}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_request_is_closed_by_the_server() {
    let server = Server::start().await;
    let mut raw = Raw::connect(&server, &[]).await;
    let endless = (0..10).map(|n| format!("asyncoperation t{n}")).collect::<Vec<_>>().join(", ");
    let endless = format!(
        "SELECT max(a) FROM (SELECT t1.name || t2.name AS a FROM {endless}, \
                           {} ) x",
        endless.replace(" t", " u")
    );
    raw.send(&query(&endless)).await;
    let cancel = async |key: Vec<u8>| {
        let mut other = Raw::open(&server).await;
        let request =
            [&(key.len() as u32 + 8).to_be_bytes()[..], &80_877_102_u32.to_be_bytes(), &key];
        other.write_all(&request.concat()).await.expect("open");
        let mut answer = Vec::new();
        other.read_to_end(&mut answer).await.expect("closed in order");
        assert!(answer.is_empty());
    };
    cancel(vec![0; 8]).await;
    let key = raw.key.clone();
    let answers = {
        let mut answered = std::pin::pin!(raw.answers(&[], 'Z'));
        // A request that comes before the query has begun is for nothing.
        loop {
            cancel(key.clone()).await;
            if let Some(answers) = answered.as_mut().now_or_never() {
                break answers;
            }
        }
    };
    assert_eq!(answers, "E(57014) Z(I)");
    assert_eq!(raw.answers(&query("SELECT 1"), 'Z').await, "T D C(SELECT 1) Z(I)");
}

/// The types of values, their text and their binary form.
#[tokio::test(flavor = "multi_thread")]
async fn values_in_both_formats() {
    let server = Server::start().await;
    let mut raw = Raw::connect(&server, &[]).await;
    let numeric = |words: &[u16]| words.iter().flat_map(|w| w.to_be_bytes()).collect::<Vec<u8>>();
    let cases: Vec<(&str, u32, &str, Vec<u8>)> = vec![
        ("CAST(1 AS bit)", 16, "t", vec![1]),
        ("CAST(-2 AS smallint)", 21, "-2", vec![255, 254]),
        ("31", 23, "31", vec![0, 0, 0, 31]),
        ("CAST(-1 AS bigint)", 20, "-1", vec![255; 8]),
        ("CAST(1.5 AS real)", 700, "1.5", 1.5_f32.to_be_bytes().to_vec()),
        ("CAST(0.1 AS float)", 701, "0.1", 0.1_f64.to_be_bytes().to_vec()),
        ("CAST(1e20 AS float)", 701, "1e+20", 1e20_f64.to_be_bytes().to_vec()),
        (
            "CAST(-12345.678 AS decimal(10, 3))",
            1700,
            "-12345.678",
            numeric(&[3, 1, 0x4000, 3, 1, 2345, 6780]),
        ),
        ("'a\u{e9}'", 25, "a\u{e9}", "a\u{e9}".as_bytes().to_vec()),
        ("CAST('2024-05-01' AS date)", 1082, "2024-05-01", 8887_i32.to_be_bytes().to_vec()),
        (
            "CAST('10:00:00.5' AS time)",
            1083,
            "10:00:00.5",
            36_000_500_000_i64.to_be_bytes().to_vec(),
        ),
        (
            "CAST('2024-05-01T10:00:00.25' AS datetime2)",
            1114,
            "2024-05-01 10:00:00.25",
            767_872_800_250_000_i64.to_be_bytes().to_vec(),
        ),
        (
            "CAST('6F9619FF-8B86-D011-B42D-00C04FC964FF' AS uniqueidentifier)",
            2950,
            "6f9619ff-8b86-d011-b42d-00c04fc964ff",
            0x6f96_19ff_8b86_d011_b42d_00c0_4fc9_64ff_u128.to_be_bytes().to_vec(),
        ),
    ];
    for (sql, oid, text, binary) in cases {
        for (format, expected) in [(0, text.as_bytes()), (1, binary.as_slice())] {
            let all = [
                parse("", &format!("SELECT {sql} AS x"), &[]),
                bind("", "", 0, &[], &[format]),
                describe(b'P', ""),
                execute("", 0),
                sync(),
            ];
            raw.send(&all.concat()).await;
            let messages = raw.until('Z').await;
            let body = |wanted| messages.iter().find(|m| m.0 == wanted).map(|m| m.1.clone());
            if let Some(body) = body('E') {
                panic!("{sql}: {:?}", error(&body));
            }
            let described = body('T').expect("described");
            let found = u32::from_be_bytes(described[10..14].try_into().expect("four bytes"));
            assert_eq!(found, oid, "{sql}");
            let row = values(&body('D').expect("a row"));
            assert_eq!(row, [Some(expected.to_vec())], "{sql} in format {format}");
        }
    }
}
