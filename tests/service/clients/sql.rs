//! SQL clients over the PostgreSQL protocol: those of Python, Node and Java, psql
//! and tokio-postgres.

use futures::FutureExt;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use super::{here, run};
use crate::support::Service;

/// So many that an answer with all of them does not fit into any buffer.
const JOBS: usize = 100_000;

/// A data folder with jobs: one in five a workflow, the first hundred waiting, one
/// created each second.
pub fn jobs(number: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let start = 1_777_629_600; // 2026-05-01T10:00:00Z
    let mut jobs = String::from(
        "asyncoperationid,name,operationtype,statecode,statuscode,createdon,owninguser\n",
    );
    for n in 0..number {
        let (state, status) = if n < 100 { (1, 10) } else { (3, 30 + n % 3) };
        let kind = if n % 5 == 0 { 10 } else { 1 };
        let created = chrono::DateTime::from_timestamp(start + n as i64, 0).expect("a time");
        let (created, owner) = (created.format("%Y-%m-%dT%H:%M:%SZ"), n % 3 + 1);
        writeln!(
            jobs,
            "10000000-0000-0000-0000-{n:012},job {n},{kind},{state},{status},{created},\
             00000000-0000-0000-0000-{owner:012}"
        )
        .expect("text");
    }
    let mut users = String::from("systemuserid,fullname\n");
    for n in 1..=3 {
        writeln!(users, "00000000-0000-0000-0000-{n:012},User {n}").expect("text");
    }
    for (table, text) in [("systemuser", users), ("asyncoperation", jobs)] {
        let file = folder.path().join(format!("{table}.csv"));
        std::fs::write(&file, text).expect("the folder takes files");
        let status = Command::new(env!("CARGO_BIN_EXE_sysjob"))
            .args(["import", "--table", table, "--data-dir"])
            .arg(folder.path().join("data"))
            .arg(file)
            .status();
        assert!(status.expect("sysjob runs").success());
    }
    folder
}

fn serve(folder: &Path) -> Service {
    Service::start(&folder.join("data"), &["--no-scheduler"])
}

#[test]
fn python() {
    let python = here("target/python-client/bin/python");
    let installed = Command::new(&python).args(["-c", "import psycopg, asyncpg, pg8000"]).status();
    if !installed.is_ok_and(|status| status.success()) {
        println!(
            "skipped: the clients are not installed (tests/service/clients/python/requirements.txt)"
        );
        return;
    }
    let folder = jobs(JOBS);
    let service = serve(folder.path());
    let script = here("tests/service/clients/python/sql.py");
    run(Command::new(python).arg(script).args(["127.0.0.1", &service.pg_port]));
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn node() {
    if !here("tests/service/clients/node/node_modules/pg").exists() {
        println!("skipped: the clients are not installed (npm ci in tests/service/clients/node)");
        return;
    }
    let folder = jobs(JOBS);
    let service = serve(folder.path());
    let script = here("tests/service/clients/node/sql.mjs");
    run(Command::new("node").arg(script).args(["127.0.0.1", &service.pg_port]).env("TZ", "UTC"));
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn java() {
    let driver = Path::new("/usr/share/java/postgresql.jar");
    if !driver.exists() || Command::new("java").arg("-version").output().is_err() {
        println!("skipped: needs default-jdk-headless and libpostgresql-jdbc-java");
        return;
    }
    let folder = jobs(JOBS);
    let service = serve(folder.path());
    let script = here("tests/service/clients/java/Sql.java");
    let mut java = Command::new("java");
    java.arg("-cp").arg(driver).arg(script).args(["127.0.0.1", &service.pg_port]);
    run(&mut java);
    assert_eq!(service.terminate(), Some(0));
}

/// What people type at psql, and a part of what they see.
const TYPED: &[(&[&str], &str)] = &[
    (&["-c", "\\d"], "public|asyncoperation|table|"),
    (&["-c", "\\d team"], "\"team_pkey\" PRIMARY KEY, btree (teamid)"),
    (&["-c", "\\d team"], "Foreign-key constraints:"),
    (
        &["-c", "\\d+ asyncoperation"],
        "asyncoperationid|uuid||not null||plain|||Primary key of the job row",
    ),
    (&["-c", "\\d asyncoperation"], "name|character varying(256)|||"),
    (&["-c", "\\dt+ asyncoperation"], "|System Job"),
    (&["-c", "\\di team_pkey"], "public|team_pkey|index|"),
    (&["-c", "\\d team_pkey"], "teamid|uuid|yes|teamid"),
    (&["-c", "\\l"], "sysjob|"),
    (&["-c", "\\dn+"], "public|"),
    (&["-c", "\\du"], "Role name"),
    (&["-c", "\\dT"], "Schema|Name"),
    (&["-c", "\\dp team"], "public|team|table|"),
    (&["-c", "\\dd"], "Schema|Name|Object"),
    (&["-c", "\\df"], "Schema|Name"),
    (&["-c", "\\dv"], ""),
    (&["-c", "\\dm"], ""),
    (&["-c", "\\ds"], ""),
    (
        &["-c", "\\copy (SELECT name FROM asyncoperation ORDER BY createdon LIMIT 2) TO STDOUT"],
        "job 0\njob 1",
    ),
    (&["-v", "FETCH_COUNT=1000", "-c", "SELECT name FROM asyncoperation"], "\njob 99999\n"),
];

#[test]
fn psql() {
    let folder = jobs(JOBS);
    let service = serve(folder.path());
    for (arguments, expected) in TYPED {
        let Some((ok, out, err)) = service.psql(arguments) else {
            println!("skipped: this machine has no psql");
            return;
        };
        let quiet = err.is_empty() || err.starts_with("Did not find any");
        assert!(ok && quiet && out.contains(expected), "{arguments:?}: {out}{err}");
    }
    let script = folder.path().join("script.sql");
    let text = "\\set ON_ERROR_STOP 1\nSELECT name, statuscode FROM asyncoperation \\gdesc\n\
                SELECT count(*) AS jobs FROM asyncoperation;\nBEGIN;\nSELECT TOP 1 name \
                FROM asyncoperation ORDER BY createdon;\nCOMMIT;\n";
    std::fs::write(&script, text).expect("the folder takes files");
    let file = script.to_string_lossy();
    let (ok, out, err) = service.psql(&["-f", &file]).expect("psql ran above");
    assert!(ok, "{err}");
    for expected in ["statuscode|integer", "100000", "job 0", "COMMIT"] {
        assert!(out.contains(expected), "{out}");
    }
    // `\watch` goes on until its query fails.
    let watched = "SELECT 1/(SELECT 0) \\watch 0.1";
    std::fs::write(&script, watched).expect("the folder takes files");
    let (_, _, err) = service.psql(&["-f", &file]).expect("psql ran above");
    assert!(err.contains("ERROR"), "{err}");
    assert_eq!(service.terminate(), Some(0));
}

pub async fn connect(service: &Service) -> Client {
    let config = format!("host=127.0.0.1 port={} user=someone dbname=sysjob", service.pg_port);
    let (client, connection) = tokio_postgres::connect(&config, NoTls).await.expect("connected");
    tokio::spawn(connection);
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn tokio_postgres() {
    let folder = jobs(JOBS);
    let service = serve(folder.path());
    let mut client = connect(&service).await;
    let count = "SELECT count(*) FROM asyncoperation WHERE ";
    let counted = async |condition: &str, value: &(dyn tokio_postgres::types::ToSql + Sync)| {
        let row = client.query_one(&format!("{count}{condition}"), &[value]).await;
        row.unwrap_or_else(|e| panic!("{condition}: {e:?}")).get::<_, i64>(0)
    };
    assert_eq!(counted("statecode = $1", &3).await, 99_900);
    assert_eq!(counted("CAST(operationtype AS bigint) = $1", &10_i64).await, 20_000);
    assert_eq!(counted("CAST(operationtype AS float) < $1", &10.5_f64).await, 100_000);
    assert_eq!(counted("name = $1", &"job 7").await, 1);
    assert_eq!(counted("name = $1", &None::<&str>).await, 0);
    // Rows as they come, in portions.
    let all = client.transaction().await.expect("a transaction");
    let portal = all.bind("SELECT name, message FROM asyncoperation", &[]).await.expect("bound");
    let mut seen = 0;
    loop {
        let rows = all.query_portal(&portal, 30_000).await.expect("rows");
        if rows.is_empty() {
            break;
        }
        assert_eq!(rows[0].get::<_, Option<&str>>(1), None);
        seen += rows.len();
    }
    assert_eq!(seen, JOBS);
    all.commit().await.expect("committed");
    // Cancelled, failed, and on it goes.
    let slow = "SELECT count(*) FROM asyncoperation a CROSS JOIN asyncoperation b \
                CROSS JOIN asyncoperation c WHERE a.name > b.name AND b.name > c.name";
    let cancel = client.cancel_token();
    let failed = {
        let mut running = std::pin::pin!(client.query(slow, &[]));
        // A request that comes before the query has begun is for nothing.
        loop {
            if let Some(failed) = running.as_mut().now_or_never() {
                break failed;
            }
            cancel.cancel_query(NoTls).await.expect("sent");
        }
    };
    let state = failed.expect_err("cancelled").code().map(|code| code.code().to_owned());
    assert_eq!(state.as_deref(), Some("57014"));
    // The driver does not wait for its requests to be heard: some may still be on their way.
    let goes_on = async |sql: &str| loop {
        match client.simple_query(sql).await {
            Err(late) if late.code().is_some_and(|code| code.code() == "57014") => {}
            answered => break answered,
        }
    };
    let error = goes_on("SELECT * FROM nosuch").await.expect_err("no such table");
    assert_eq!(error.code().map(|code| code.code()), Some("42P01"));
    let one = goes_on("SELECT 1").await.expect("goes on");
    assert!(
        one.iter().any(|m| matches!(m, SimpleQueryMessage::Row(row) if row.get(0) == Some("1")))
    );
    drop(client);
    assert_eq!(service.terminate(), Some(0));
}
