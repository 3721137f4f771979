//! The service as its users meet it: a real process, psql, HTTP.

use std::process::Command;
use std::sync::Arc;

use serde_json::Value;
use sysjob::catalog::Catalog;
use sysjob::diagnose::DOCUMENTED;
use sysjob::dialect::odata;
use sysjob::import::trace;
use sysjob::store::Store;

use crate::support::{Into, Service};

/// A folder with the first part of the bundled trace.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(folder.path(), Arc::new(Catalog::built_in())).expect("a new store");
    let trace = trace::read_bundled().expect("the bundled trace");
    let (first, last) = trace.span().expect("jobs");
    let until = Some(first + (last - first) / 4);
    trace.history(store.catalog(), 0, until, &mut Into(&store)).expect("the trace loads");
    folder
}

/// The counts of an answer, whatever its columns are called.
fn counts(rows: &Value) -> Vec<i64> {
    let count = |row: &Value| {
        ["count", "jobs", "FileStorageCount", "DBCount", "RecordCount"]
            .iter()
            .find_map(|name| row[*name].as_i64())
    };
    let rows = rows["value"].as_array().unwrap_or_else(|| panic!("rows: {rows}"));
    let mut counts: Vec<i64> = rows.iter().map(|row| count(row).expect("a count")).collect();
    counts.sort_unstable();
    counts
}

#[test]
fn documented_questions_over_http_and_psql_agree() {
    let folder = folder();
    let service = Service::start(folder.path(), &["--no-scheduler"]);
    let catalog = Catalog::built_in();
    for question in &DOCUMENTED {
        let text = question.fetchxml.expect("documented in FetchXML");
        let (status, fetch) = service.get("asyncoperations", &[("fetchXml", text)]);
        assert_eq!(status, 200, "{}: {fetch}", question.name);
        let expected = counts(&fetch);

        let text = question.odata.expect("documented for the Web API");
        let line = text.lines().next().expect("a request line");
        let query = line.split_once('?').expect("a query").1;
        let options = odata::decode_options(query).expect("options");
        let options: Vec<(&str, &str)> =
            options.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let (status, answer) = service.get("asyncoperations", &options);
        assert_eq!(status, 200, "{}: {answer}", question.name);
        assert_eq!(counts(&answer), expected, "{}", question.name);
        assert!(odata::parse_request(text, &catalog).is_ok());

        let path = format!("{}/queries/{}/query.sql", env!("CARGO_MANIFEST_DIR"), question.name);
        let Some((ok, out, err)) = service.psql(&["-t", "-f", &path]) else { continue };
        assert!(ok && err.is_empty(), "{}: {err}", question.name);
        // The count is the first or the last column of these texts.
        let mut sql: Vec<i64> = out
            .lines()
            .map(|line| {
                let cells: Vec<&str> = line.split('|').collect();
                let first = question.name == "file-size-and-record-count" || cells.len() == 1;
                let cell = if first { cells[0] } else { cells[cells.len() - 1] };
                cell.parse().unwrap_or_else(|_| panic!("{}: {line}", question.name))
            })
            .collect();
        sql.sort_unstable();
        assert_eq!(sql, expected, "{}", question.name);
    }
    assert_eq!(service.terminate(), Some(0));
}

#[test]
fn older_published_sql_forms_run_in_psql() {
    let folder = folder();
    let service = Service::start(folder.path(), &["--no-scheduler"]);
    let texts = [
        "SELECT \tStateCode, StatusCode, OperationType, Count(*) AS Count\nFROM  AsyncOperation WITH (nolock)\nGROUP BY  StateCode, StatusCode, OperationType\nORDER BY Count DESC",
        "SELECT count(*) AS FileStorageCount  FROM AsyncOperation  WHERE  DataBlobId IS NOT NULL",
        "SELECT count(*)  AS DBCount  FROM AsyncOperation WHERE DataBlobId IS NULL",
        "SELECT OperationTypeName, NAME, FriendlyMessage, count(*) AS Jobs  \n  FROM AsyncOperation\n  WHERE DataBlobId IS NOT NULL \n  GROUP BY OperationTypeName, NAME, FriendlyMessage\n  ORDER BY Jobs DESC",
    ];
    for text in texts {
        let Some((ok, out, err)) = service.psql(&["-t", "-c", text]) else { return };
        assert!(ok && err.is_empty() && !out.trim().is_empty(), "{text}: {err}");
    }
    let missing_comma = "SELECT OperationTypeName, NAME, FriendlyMessage count(*) AS Jobs  \n  FROM AsyncOperation\n";
    let Some((ok, _, err)) = service.psql(&["-c", missing_comma]) else { return };
    assert!(!ok && err.contains("count") && err.contains("comma"), "{err}");
}

#[test]
fn a_typo_is_named_with_its_place_and_the_nearest_right_word() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let service = Service::start(folder.path(), &["--no-scheduler"]);
    let message = |answer: &Value| answer["error"]["message"].as_str().unwrap_or("?").to_owned();

    let fetch = DOCUMENTED[0].fetchxml.expect("documented").replacen("statuscode", "statuscod", 1);
    let (status, answer) = service.get("asyncoperations", &[("fetchXml", &fetch)]);
    assert_eq!(status, 400);
    let text = message(&answer);
    assert!(
        text.contains("line 6") && text.contains("'statuscod'") && text.contains("'statuscode'"),
        "{text}"
    );
    assert_eq!(answer["error"]["code"], "0x80041103");

    let apply = "groupby((statecode,statuscod,operationtype),aggregate($count as count))";
    let (status, answer) = service.get("asyncoperations", &[("$apply", apply)]);
    assert_eq!(status, 400);
    let text = message(&answer);
    assert!(
        text.contains("$apply position 19")
            && text.contains("statuscod")
            && text.contains("'statuscode'"),
        "{text}"
    );

    let sql = DOCUMENTED[0].sql.replacen("statuscode", "statuscod", 1);
    let Some((ok, _, err)) = service.psql(&["-c", &sql]) else { return };
    assert!(!ok, "{err}");
    assert!(
        err.contains("statuscod") && err.contains("statuscode") && err.contains("LINE 2"),
        "{err}"
    );
    // The session survives an error.
    let Some((_, out, err)) = service.psql(&[
        "-t",
        "-c",
        "SELECT nothing FROM asyncoperation",
        "-c",
        "SELECT COUNT(*) FROM asyncoperation",
    ]) else {
        return;
    };
    assert!(err.contains("nothing") && out.trim() == "0", "{out}{err}");
}

#[test]
fn the_command_line_asks_a_folder_and_a_service_alike() {
    let folder = folder();
    let sysjob = |arguments: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_sysjob")).args(arguments).output().expect("runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let data_dir = folder.path().to_str().expect("a path");
    let sql = "SELECT statuscode, COUNT(*) AS n FROM asyncoperation GROUP BY statuscode ORDER BY statuscode";
    let apply =
        "asyncoperations?$apply=groupby((statuscode),aggregate($count as n))&$orderby=statuscode";
    let fetch = "<fetch aggregate='true'><entity name='asyncoperation'><attribute name='statuscode' alias='statuscode' groupby='true'/><attribute name='asyncoperationid' alias='n' aggregate='count'/><order alias='statuscode'/></entity></fetch>";
    let local: Vec<String> = [sql, apply]
        .iter()
        .map(|text| sysjob(&["query", "--data-dir", data_dir, "--format", "csv", "-e", text]).1)
        .collect();
    assert_eq!(local[0], local[1]);
    let (code, plan, _) = sysjob(&["explain", "--data-dir", data_dir, "-e", sql]);
    assert!(code == Some(0) && plan.contains("TableScan: counts of asyncoperation"), "{plan}");
    let (code, plan, _) =
        sysjob(&["explain", "--data-dir", data_dir, "--no-pre-aggregates", "-e", sql]);
    assert!(code == Some(0) && plan.contains("TableScan: asyncoperation"), "{plan}");

    let file = folder.path().join("answer.parquet");
    let export = |text: &str| {
        let file = file.to_str().expect("a path");
        sysjob(&["query", "--data-dir", data_dir, "--format", "parquet", "-o", file, "-e", text])
    };
    let failing = "SELECT statuscode, 1 / (statuscode - 30) AS x FROM asyncoperation";
    let (code, _, err) = export(failing);
    assert!(code == Some(1) && !err.is_empty() && !file.exists(), "{err}");
    let (code, _, err) = export("SELECT 1 AS a; SELECT 2 AS a");
    assert!(code == Some(1) && err.contains("one query") && !file.exists(), "{err}");
    assert_eq!(export(sql).0, Some(0));
    assert!(std::fs::read(&file).expect("the answer").starts_with(b"PAR1"));

    let service = Service::start(folder.path(), &["--no-scheduler"]);
    let (code, _, err) = sysjob(&["query", "--data-dir", data_dir, "-e", sql]);
    assert!(code == Some(1) && err.contains("--url") && err.contains("process"), "{err}");
    for text in [sql, apply, fetch] {
        let (code, remote, err) =
            sysjob(&["query", "--url", &service.http, "--format", "csv", "-e", text]);
        assert_eq!((code, err.as_str()), (Some(0), ""));
        let sorted = |text: &str| {
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort_unstable();
            lines
        };
        assert_eq!(sorted(&remote), sorted(&local[0]));
    }
    let (code, report, err) = sysjob(&[
        "diagnose",
        "--url",
        &service.http,
        "--format",
        "json",
        "--now",
        "2011-05-02T04:00:00Z",
    ]);
    assert!(matches!(code, Some(0..=2)), "{err}");
    let report: Value = serde_json::from_str(&report).expect("JSON");
    assert!(report["jobs"].as_i64().expect("a number") > 0 && report["findings"].is_array());
    let (code, _, err) = sysjob(&["diagnose", "--url", "http://127.0.0.1:1"]);
    assert!(code == Some(3) && err.contains("no answer"), "{err}");
}

#[test]
fn a_question_is_translated_with_and_without_a_service() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let service = Service::start(folder.path(), &["--no-scheduler"]);
    let sysjob = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sysjob"));
        let output = command.arg("translate").args(arguments).output().expect("runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let fetch =
        "<fetch top='5'><entity name='asyncoperation'><attribute name='name'/></entity></fetch>";
    let local = sysjob(&["--to", "sql", "-e", fetch]);
    assert_eq!(local.0, Some(0), "{local:?}");
    assert!(local.1.starts_with("SELECT TOP (5) name,") && local.2.is_empty(), "{local:?}");
    assert_eq!(sysjob(&["--to", "sql", "--url", &service.http, "-e", fetch]), local);

    let median =
        "SELECT\nPERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY retrycount) FROM asyncoperation";
    let said = "SQL line 2, column 1: FetchXML cannot say 'PERCENTILE_CONT'";
    for place in [&[][..], &["--url", &service.http]] {
        let (code, out, err) = sysjob(&[&["--to", "fetchxml", "-e", median], place].concat());
        assert!(code == Some(1) && out.is_empty() && err.contains(said), "{code:?} {err}");
    }
}
