//! psql, where it is installed: what people type.

use std::process::{Command, Output};

use super::Server;

/// Runs psql with a command; `None` where there is no psql.
async fn psql(server: &Server, command: &str) -> Option<Output> {
    psql_with(server, "ON_ERROR_STOP=1", command).await
}

/// The same with a variable of psql's.
async fn psql_with(server: &Server, variable: &'static str, command: &str) -> Option<Output> {
    let port = server.port.to_string();
    let command = command.to_owned();
    let run = move || {
        let arguments = ["-X", "-h", "127.0.0.1", "-p", &port, "-U", "someone", "-d", "sysjob"];
        Command::new("psql").args(arguments).args(["-A", "-v", variable, "-c", &command]).output()
    };
    match tokio::task::spawn_blocking(run).await.expect("no panic") {
        Ok(output) => Some(output),
        Err(error) => {
            println!("skipped: psql cannot be run: {error}");
            None
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn psql_lists_and_describes() {
    let server = Server::start().await;
    for (command, expected) in [
        ("\\dt", "public|asyncoperation|table|someone"),
        ("\\d", "public|workflow|table|someone"),
        ("\\d asyncoperation", "asyncoperationid|uuid||not null|"),
        ("\\d asyncoperation", "createdon|timestamp without time zone|||"),
        ("\\d public.asyncoperation", "statecode|integer|||"),
        ("\\l", "sysjob|someone|UTF"),
        ("\\dn", "public|someone"),
        ("\\df", "Schema|Name"),
        ("\\dv", ""),
        ("\\dAp btree", "AM|Operator family"),
        ("\\dP+", "List of partitioned"),
        ("\\dT", "List of data types"),
        ("\\du", "someone"),
        ("\\dx", "List of installed extensions"),
        ("SHOW password_encryption", "scram-sha-256"),
        ("SELECT current_user, session_user", "someone|someone"),
        ("\\conninfo", "database \"sysjob\" as user \"someone\""),
        ("SELECT version()", "PostgreSQL 15."),
        ("SELECT name FROM asyncoperation WHERE statuscode = 31", "third"),
        ("BEGIN; SELECT count(*) FROM asyncoperation; COMMIT", "COMMIT"),
    ] {
        let Some(output) = psql(&server, command).await else { return };
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        );
        let quiet = err.is_empty() || err.starts_with("Did not find any");
        assert!(output.status.success() && quiet, "{command}: {out}{err}");
        assert!(out.contains(expected), "{command}: {out}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn psql_points_at_the_wrong_word() {
    let server = Server::start().await;
    let Some(output) = psql(&server, "SELECT statuscod\nFROM asyncoperation").await else { return };
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(err.contains("LINE 1: SELECT statuscod\n               ^\n"), "{err}");
    assert!(err.contains("HINT:  Did you mean 'statuscode'?"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn psql_copies_into_files_of_its_own() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("jobs.csv");
    let query = "SELECT name, statuscode FROM asyncoperation ORDER BY statuscode";
    let command = format!("\\copy ({query}) TO '{}' WITH CSV HEADER", file.display());
    let Some(output) = psql(&server, &command).await else { return };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("COPY 3"), "{output:?}");
    let written = std::fs::read_to_string(&file).expect("written");
    assert_eq!(written, "name,statuscode\nfirst,0\nSecond,30\nthird,31\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn psql_reads_through_a_cursor() {
    let server = Server::start().await;
    let query = "SELECT statuscode FROM asyncoperation ORDER BY statuscode";
    let Some(output) = psql_with(&server, "FETCH_COUNT=2", query).await else { return };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(said, "statuscode\n0\n30\n31\n(3 rows)\n");
}
