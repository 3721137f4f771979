//! Scripts of T-SQL over both protocols: variables, branches, batches.

use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::types::Type;

use super::raw::{Raw, query};
use super::{Server, fails_with};

async fn values(client: &tokio_postgres::Client, text: &str) -> Vec<String> {
    let messages = client.simple_query(text).await.unwrap_or_else(|e| panic!("{text}: {e:?}"));
    let value = |message: &SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("NULL").to_owned()),
        _ => None,
    };
    messages.iter().filter_map(value).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pasted_scripts_run_in_one_request() {
    let server = Server::start().await;
    let client = server.connect().await;
    for (text, expected) in [
        (
            "DECLARE @n int = 2; SELECT TOP (@n) name FROM asyncoperation ORDER BY name",
            "first Second",
        ),
        ("DECLARE @a int SET @a = 3 IF @a = 3 BEGIN SELECT 1 AS a; SELECT 2 AS a; END", "1 2"),
        ("SELECT 1 AS a\r\nGO 2\r\nSELECT 2 AS a", "1 1 2"),
        ("IF 1 = 0 SELECT 1 AS a; ELSE SELECT 2 AS a;", "2"),
        ("SELECT name FROM asyncoperation WHERE 1 = 0; SELECT @@ROWCOUNT AS n", "0"),
        ("SET ROWCOUNT 1; SELECT name FROM asyncoperation ORDER BY name; SET ROWCOUNT 0", "first"),
        ("BEGIN; SELECT @@TRANCOUNT AS n; COMMIT", "1"),
        ("SELECT SUSER_SNAME() AS who", "someone"),
        ("PRINT 'x' SELECT 1 AS a", "1"),
    ] {
        assert_eq!(values(&client, text).await.join(" "), expected, "{text}");
    }
    let text = "DECLARE @a int = 1; SELECT @a AS a\nGO\nSELECT @a AS a";
    fails_with("42P02", text, client.simple_query(text)).await;
    fails_with("42P02", "ended", client.simple_query("SELECT @a AS a")).await;
    let text = "IF 1 = 1 BEGIN SELECT 1 AS a; DELETE FROM asyncoperation; END";
    fails_with("25006", text, client.simple_query(text)).await;
    client
        .batch_execute("DECLARE @n int = 5; SELECT TOP (@n) name FROM asyncoperation")
        .await
        .expect("a script");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_ends_its_batch_and_not_the_next() {
    let server = Server::start().await;
    let mut raw = Raw::connect(&server, &[]).await;
    let row = "T D C(SELECT 1)";
    for (text, expected) in [
        // A name, a value, a syntax error, a write, a variable that has ended.
        ("SELECT 1\nGO\nSELECT nam FROM workflow\nGO\nSELECT 3", "one one E(42703) Z(I)"),
        ("SELECT 1/0\ngo\nSELECT 2\nGO", "T one E(22012) Z(I)"),
        ("SELECT 1;\nGO\nSELEC 2\nGO\nSELECT 3", "one one E(42601) Z(I)"),
        ("DELETE FROM workflow\nGO\nSELECT 2", "one E(25006) Z(I)"),
        ("DECLARE @a int = 1\nGO\nSELECT @a\nGO\nSELECT 2", "C(DECLARE) one E(42P02) Z(I)"),
        // The rest of its batch is not run; later mistakes are notices.
        (
            "SELECT x FROM nothing; SELECT 2\nGO\nSELECT y FROM workflow\nGO 2\nSELECT 3",
            "N(42703) one E(42P01) Z(I)",
        ),
        // Catalogs and sessions take part.
        (
            "SELECT x FROM pg_class\nGO\nSELECT 'a' FROM pg_am LIMIT 1\nGO\nSHOW nothing",
            "one N(42704) E(42703) Z(I)",
        ),
        // A transaction that failed has no next batch.
        ("BEGIN; SELECT x FROM nothing\nGO\nSELECT 2", "C(BEGIN) E(42P01) Z(E)"),
        ("ROLLBACK\nGO\nSELECT 2", "C(ROLLBACK) one Z(I)"),
        ("GO\ngo 2\n", "I Z(I)"),
        ("IF 1 = 0 SELECT 1", "I Z(I)"),
        ("RETURN; SELECT 1", "I Z(I)"),
        ("SELECT 1 /* open", "E(42601) Z(I)"),
    ] {
        let expected = expected.replace("one", row);
        assert_eq!(raw.answers(&query(text), 'Z').await, expected, "{text}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_with_one_query_can_be_prepared() {
    let server = Server::start().await;
    let client = server.connect().await;
    let text = "SET NOCOUNT ON; DECLARE @n int = 2, @s nvarchar(20) = 'x'; \
                SELECT TOP (@n) name, statuscode FROM asyncoperation WHERE name <> @s \
                AND statuscode >= $1 ORDER BY name";
    let statement = client.prepare(text).await.expect("prepared");
    assert_eq!(statement.columns().len(), 2);
    assert_eq!(statement.params().len(), 1);
    for _ in 0..2 {
        let rows = client.query(&statement, &[&30_i32]).await.expect("rows");
        let names: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!(names, ["Second", "third"]);
    }
    let two = client.prepare("DECLARE @a int = 1; SELECT @a AS a; SELECT 2 AS b");
    fails_with("42601", "two queries", two).await;
    client.execute("DECLARE @a int = 1; SET @a += 1", &[]).await.expect("no rows");
    fails_with("42P02", "ended at Sync", client.query("SELECT @a AS a", &[])).await;
    server.stop().await;
}

/// Some drivers split a script at semicolons and send it in one pipeline.
#[tokio::test(flavor = "multi_thread")]
async fn variables_last_until_sync() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = Server::start().await;
    let mut socket =
        tokio::net::TcpStream::connect(("127.0.0.1", server.port)).await.expect("a server");
    let message = |kind: u8, body: &[u8]| {
        let length = u32::try_from(body.len() + 4).expect("short");
        [&[kind][..], &length.to_be_bytes(), body].concat()
    };
    let body = b"\x00\x03\x00\x00user\0someone\0database\0sysjob\0\0";
    let length = u32::try_from(body.len() + 4).expect("short").to_be_bytes();
    let mut all = [&length[..], body].concat();
    for text in ["DECLARE @n int = 1", "SELECT TOP (@n) name FROM asyncoperation ORDER BY name"] {
        all.extend(message(b'P', format!("\0{text}\0\0\0").as_bytes()));
        all.extend(message(b'B', b"\0\0\0\0\0\0\0\0"));
        all.extend(message(b'D', b"P\0"));
        all.extend(message(b'E', b"\0\0\0\0\0"));
    }
    all.extend(message(b'S', b""));
    all.extend(message(b'X', b""));
    socket.write_all(&all).await.expect("sent");
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.expect("an answer");
    let has = |text: &str| answer.windows(text.len()).any(|w| w == text.as_bytes());
    assert!(has("first") && has("SELECT 1\0") && !has("Second"), "{}", answer.escape_ascii());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_of_what_a_script_works_out() {
    let server = Server::start().await;
    let client = server.connect().await;
    let text = "DECLARE @a int = $1, @b nvarchar(20); SET @b = $2; \
                IF CAST($3 AS int) = 1 SET @a += 1; \
                SELECT @a AS a, @b AS b, CAST($4 AS int) + @a AS c";
    let statement = client.prepare(text).await.expect("prepared");
    assert_eq!(statement.params(), [Type::INT4, Type::TEXT, Type::INT4, Type::INT4]);
    for (third, a) in [(1, 6), (2, 5)] {
        let row = client.query_one(&statement, &[&5, &"x", &third, &10]).await.expect("a row");
        let values: (i32, &str, i32) = (row.get(0), row.get(1), row.get(2));
        assert_eq!(values, (a, "x", 10 + a));
    }
    let text = "DECLARE @a int = $1; SELECT @a AS a";
    let row = client.query_one(text, &[&7]).await.expect("a row");
    assert_eq!(row.get::<_, i32>(0), 7);
    let none: Option<i32> = None;
    let row = client.query_one(text, &[&none]).await.expect("a row");
    assert_eq!(row.get::<_, Option<i32>>(0), None);
    let text = "EXEC sp_executesql N'SELECT @x AS x', N'@x int', @x = $1";
    let row = client.query_one(text, &[&3]).await.expect("a row");
    assert_eq!(row.get::<_, i32>(0), 3);
    server.stop().await;
}
