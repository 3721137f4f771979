//! Prepared statements, parameters, binary values, portals and cancelling.

use std::time::SystemTime;

use futures::TryStreamExt;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use super::{NOON, Server, fails_with, id};

type Boxed = Box<dyn std::error::Error + Sync + Send>;

/// `uuid` in binary, as typed drivers write and read it.
#[derive(Debug, PartialEq)]
struct Uuid([u8; 16]);

impl FromSql<'_> for Uuid {
    fn from_sql(_: &Type, raw: &[u8]) -> Result<Self, Boxed> {
        Ok(Self(raw.try_into()?))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::UUID
    }
}

impl ToSql for Uuid {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut tokio_postgres::types::private::BytesMut,
    ) -> Result<IsNull, Boxed> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::UUID
    }

    to_sql_checked!();
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_take_the_type_of_what_they_are_compared_with() {
    let server = Server::start().await;
    let client = server.connect().await;
    let text = "SELECT asyncoperationid, name, statuscode, createdon, regardingobjecttypecode, \
                message FROM asyncoperation WHERE asyncoperationid = $1 AND statuscode >= $2 \
                AND name = $3 AND createdon > $4";
    let statement = client.prepare(text).await.expect("prepared");
    let types = [Type::UUID, Type::INT4, Type::TEXT, Type::TIMESTAMP];
    assert_eq!(statement.params(), types);
    let columns: Vec<(&str, Type)> =
        statement.columns().iter().map(|c| (c.name(), c.type_().clone())).collect();
    let expected = [
        ("asyncoperationid", Type::UUID),
        ("name", Type::TEXT),
        ("statuscode", Type::INT4),
        ("createdon", Type::TIMESTAMP),
        ("regardingobjecttypecode", Type::TEXT),
        ("message", Type::TEXT),
    ];
    assert_eq!(columns, expected);
    let since = SystemTime::UNIX_EPOCH;
    for (guid, found) in [(id(2), 1), (id(9), 0)] {
        let rows = client.query(&statement, &[&Uuid(guid), &30_i32, &"Second", &since]).await;
        let rows = rows.expect("run");
        assert_eq!(rows.len(), found);
        if let Some(row) = rows.first() {
            assert_eq!(row.get::<_, Uuid>(0), Uuid(id(2)));
            assert_eq!(row.get::<_, &str>(1), "Second");
            assert_eq!(row.get::<_, i32>(2), 30);
            let created: SystemTime = row.get(3);
            let created = created.duration_since(since).expect("after 1970").as_micros();
            assert_eq!(created, (NOON + 500_000).unsigned_abs().into());
            assert_eq!(row.get::<_, &str>(4), "account");
            assert_eq!(row.get::<_, Option<&str>>(5), None);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn types_that_the_client_names_are_kept() {
    let server = Server::start().await;
    let client = server.connect().await;
    let count = |column: &str| format!("SELECT count(*) FROM asyncoperation WHERE {column} = $1");
    let cases: [(&str, Type, &(dyn ToSql + Sync), i64); 8] = [
        ("statuscode", Type::INT2, &31_i16, 1),
        ("statuscode", Type::INT8, &31_i64, 1),
        ("statuscode", Type::INT8, &(1_i64 << 40), 0),
        ("statuscode", Type::FLOAT8, &30.5_f64, 0),
        ("name", Type::VARCHAR, &"third", 1),
        ("asyncoperationid", Type::TEXT, &"ABABABAB-ABAB-ABAB-ABAB-ABABABABAB01", 1),
        ("createdon", Type::TEXT, &"2024-05-01 10:00:00.25+00", 1),
        ("regardingobjecttypecode", Type::TEXT, &"account", 3),
    ];
    for (column, named, value, expected) in cases {
        let what = format!("{column} {named}");
        let statement = client.prepare_typed(&count(column), std::slice::from_ref(&named)).await;
        let statement = statement.unwrap_or_else(|e| panic!("{what}: {e:?}"));
        assert_eq!(statement.params(), [named], "{what}");
        let row = client.query_one(&statement, &[value]).await;
        let row = row.unwrap_or_else(|e| panic!("{what}: {e:?}"));
        assert_eq!(row.get::<_, i64>(0), expected, "{what}");
    }
    let statement = client.prepare_typed(&count("statuscode"), &[Type::TEXT]).await.expect("valid");
    fails_with("22P02", "not a number", client.query(&statement, &[&"x"])).await;
    let null = client.query_one(&count("statuscode"), &[&None::<i32>]).await.expect("run");
    assert_eq!(null.get::<_, i64>(0), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn portals_are_fetched_in_parts() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    let transaction = client.transaction().await.expect("begun");
    let portal = transaction
        .bind("SELECT statuscode FROM asyncoperation ORDER BY statuscode", &[])
        .await
        .expect("bound");
    let part = |rows: Vec<tokio_postgres::Row>| -> Vec<i32> {
        rows.iter().map(|row| row.get(0)).collect()
    };
    assert_eq!(part(transaction.query_portal(&portal, 2).await.expect("run")), [0, 30]);
    assert_eq!(part(transaction.query_portal(&portal, 2).await.expect("run")), [31]);
    assert_eq!(part(transaction.query_portal(&portal, 2).await.expect("run")), [0; 0]);
    transaction.commit().await.expect("committed");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_may_come_over_the_extended_protocol() {
    let server = Server::start().await;
    let client = server.connect().await;
    for text in ["", "-- nothing", "SET extra_float_digits = 3", "BEGIN", "COMMIT", "DISCARD ALL"] {
        client.execute(text, &[]).await.unwrap_or_else(|e| panic!("{text}: {e:?}"));
    }
    let shown = client.query_one("SHOW search_path", &[]).await.expect("a setting");
    assert_eq!(shown.get::<_, &str>(0), "public, dbo");
    let text = "SELECT relname FROM pg_class WHERE relkind = ANY($1) AND relname = $2";
    let named = [Type::TEXT_ARRAY, Type::TEXT];
    let statement = client.prepare_typed(text, &named).await.expect("a catalog query");
    let listed = client.query(&statement, &[&vec!["r"], &"workflow"]).await.expect("run");
    assert_eq!(listed.len(), 1);
    fails_with("42703", "at Parse", client.prepare("SELECT nosuch FROM asyncoperation")).await;
    fails_with("42601", "two statements", client.prepare("SELECT 1; SELECT 2")).await;
    let again = client.query("SELECT name FROM asyncoperation", &[]).await.expect("goes on");
    assert_eq!(again.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_query_can_be_canceled_and_timed_out() {
    let server = Server::start().await;
    let client = server.connect().await;
    // Ten tables deep, and each row is wanted: this does not end by itself.
    let endless = format!(
        "SELECT a.column_name FROM {}",
        ('a'..='j')
            .map(|t| format!("information_schema.columns {t}"))
            .collect::<Vec<_>>()
            .join(", ")
    );
    let token = client.cancel_token();
    let rows = client.query_raw(&endless, Vec::<String>::new()).await.expect("started");
    futures::pin_mut!(rows);
    assert!(rows.try_next().await.expect("streams").is_some(), "rows come before the end");
    token.cancel_query(tokio_postgres::NoTls).await.expect("asked");
    fails_with("57014", "canceled", async {
        while rows.try_next().await?.is_some() {}
        Ok(())
    })
    .await;
    client.simple_query("SET statement_timeout = '50ms'").await.expect("known");
    fails_with("57014", "timed out", async {
        client.simple_query_raw(&endless).await?.try_for_each(|_| async { Ok(()) }).await
    })
    .await;
    client.simple_query("SELECT 1 AS one").await.expect("goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn arrays_are_compared_element_by_element() {
    let server = Server::start().await;
    let client = server.connect().await;
    let count =
        |column: &str| format!("SELECT count(*) FROM asyncoperation WHERE {column} = ANY($1)");
    let ids = vec![Uuid(id(1)), Uuid(id(9))];
    let cases: [(&str, Type, &(dyn ToSql + Sync), i64); 7] = [
        ("statuscode", Type::INT4_ARRAY, &vec![0_i32, 31], 2),
        ("statuscode", Type::INT2_ARRAY, &vec![30_i16], 1),
        ("statuscode", Type::INT8_ARRAY, &vec![31_i64, 1 << 40], 1),
        ("statuscode", Type::INT4_ARRAY, &Vec::<i32>::new(), 0),
        ("statuscode", Type::INT4_ARRAY, &vec![None, Some(30_i32)], 1),
        ("name", Type::TEXT_ARRAY, &vec!["SECOND", "third", "nobody"], 2),
        ("asyncoperationid", Type::UUID_ARRAY, &ids, 1),
    ];
    for (column, named, value, expected) in cases {
        let what = format!("{column} {named}");
        let statement = client.prepare_typed(&count(column), &[named]).await;
        let statement = statement.unwrap_or_else(|e| panic!("{what}: {e:?}"));
        let row = client.query_one(&statement, &[value]).await;
        let row = row.unwrap_or_else(|e| panic!("{what}: {e:?}"));
        assert_eq!(row.get::<_, i64>(0), expected, "{what}");
    }
    for (column, expected) in [
        ("statuscode", Type::INT4_ARRAY),
        ("name", Type::TEXT_ARRAY),
        ("createdon", Type::TIMESTAMP_ARRAY),
        ("asyncoperationid", Type::UUID_ARRAY),
        ("regardingobjecttypecode", Type::TEXT_ARRAY),
    ] {
        let statement = client.prepare(&count(column)).await;
        let statement = statement.unwrap_or_else(|e| panic!("{column}: {e:?}"));
        assert_eq!(statement.params(), [expected], "{column}");
    }
    let named = "SELECT count(*) FROM asyncoperation WHERE regardingobjecttypecode = ANY($1)";
    let row = client.query_one(named, &[&vec!["account", "contact"]]).await.expect("run");
    assert_eq!(row.get::<_, i64>(0), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_take_the_type_of_what_they_are_cast_to() {
    let server = Server::start().await;
    let client = server.connect().await;
    for (text, expected) in [
        ("SELECT $1", vec![Type::TEXT]),
        ("SELECT $1::int + CAST($2 AS bigint)", vec![Type::INT4, Type::INT8]),
        ("SELECT $1::uuid, $2::time, $3::bytea", vec![Type::UUID, Type::TIME, Type::BYTEA]),
        ("SELECT $1::timestamptz, $2::interval", vec![Type::TIMESTAMPTZ, Type::INTERVAL]),
        ("SELECT $1::int[]", vec![Type::INT4_ARRAY]),
        ("SELECT $1::uuid[]", vec![Type::UUID_ARRAY]),
        ("SELECT TOP ($1) name FROM asyncoperation", vec![Type::INT8]),
        ("SELECT name FROM asyncoperation LIMIT $1 OFFSET $2", vec![Type::INT8, Type::INT8]),
        ("SELECT COALESCE($1, statuscode) FROM asyncoperation", vec![Type::INT4]),
        ("SELECT dateadd(day, $1, createdon) FROM asyncoperation", vec![Type::INT4]),
        ("SELECT name FROM asyncoperation WHERE name = ANY($1)", vec![Type::TEXT_ARRAY]),
        ("SELECT name FROM asyncoperation WHERE statecode <> ALL($1)", vec![Type::INT4_ARRAY]),
        ("SELECT typname FROM pg_type WHERE oid = ANY($1::oid[])", vec![Type::OID_ARRAY]),
    ] {
        let statement = client.prepare(text).await.unwrap_or_else(|e| panic!("{text}: {e:?}"));
        assert_eq!(statement.params(), expected, "{text}");
    }
    let row = client.query_one("SELECT $1::int + $2::int", &[&1, &2]).await.expect("a row");
    assert_eq!(row.get::<_, i32>(0), 3);
    let statement = client.prepare_typed("SELECT $1", &[Type::INT2]).await.expect("typed");
    let row = client.query_one(&statement, &[&7_i16]).await.expect("a row");
    assert_eq!(row.get::<_, i16>(0), 7);
    let row = client.query_one(&statement, &[&None::<i16>]).await.expect("a row");
    assert_eq!(row.get::<_, Option<i16>>(0), None);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn arrays_go_both_ways() {
    let server = Server::start().await;
    let client = server.connect().await;
    let count = "SELECT count(*) FROM asyncoperation WHERE ";
    let counted = async |condition: &str, value: &(dyn ToSql + Sync)| {
        let row = client.query_one(&format!("{count}{condition}"), &[value]).await;
        row.unwrap_or_else(|e| panic!("{condition}: {e:?}")).get::<_, i64>(0)
    };
    assert_eq!(counted("statuscode = ANY($1)", &vec![30, 31]).await, 2);
    assert_eq!(counted("statuscode = ANY($1::int8[])", &vec![30_i64]).await, 1);
    assert_eq!(counted("statuscode = ANY($1)", &vec![Some(30), None]).await, 1);
    assert_eq!(counted("statuscode = ANY($1)", &Vec::<i32>::new()).await, 0);
    assert_eq!(counted("NOT statuscode = ANY($1)", &None::<Vec<i32>>).await, 0);
    assert_eq!(counted("name = ANY($1::text[])", &vec!["FIRST", "third"]).await, 2);
    assert_eq!(counted("asyncoperationid = ANY($1)", &vec![Uuid(id(1)), Uuid(id(9))]).await, 1);
    assert_eq!(counted("asyncoperationid = ANY($1::uuid[])", &vec![Uuid(id(2))]).await, 1);
    let text = "SELECT ARRAY[1, 2], ARRAY['a b', NULL], $1::int[], ARRAY[asyncoperationid] \
                , $2::uuid[] FROM asyncoperation WHERE name = 'first'";
    let row = client.query_one(text, &[&vec![5], &vec![Uuid(id(2))]]).await.expect("a row");
    assert_eq!(row.get::<_, Vec<i32>>(0), [1, 2]);
    assert_eq!(row.get::<_, Vec<Option<&str>>>(1), [Some("a b"), None]);
    assert_eq!(row.get::<_, Vec<i32>>(2), [5]);
    assert_eq!(row.get::<_, Vec<Uuid>>(3), [Uuid(id(1))]);
    assert_eq!(row.get::<_, Vec<Uuid>>(4), [Uuid(id(2))]);
    let types = "SELECT typname FROM pg_type WHERE oid = ANY($1::oid[]) ORDER BY oid";
    let rows = client.query(types, &[&vec![23_u32, 25]]).await.expect("rows");
    let names: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(names, ["int4", "text"]);
    for (text, expected) in [
        (format!("{count}statuscode = ANY('{{30,31}}')"), "2"),
        (format!("{count}statuscode = ANY('{{30,31}}'::int[])"), "2"),
        (format!("{count}name = ANY(ARRAY['first', 'x']::text[])"), "1"),
        ("SELECT '{1,2}'::int[]".to_owned(), "{1,2}"),
        ("SELECT ARRAY['a b', NULL, '']".to_owned(), r#"{"a b",NULL,""}"#),
        ("SELECT indkey FROM pg_index LIMIT 1".to_owned(), "1"),
    ] {
        assert_eq!(super::simple::value(&client, &text).await, expected, "{text}");
    }
    server.stop().await;
}
