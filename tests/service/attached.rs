//! Parquet files attached as tables: read over SQL beside the stored tables, in
//! every type that files have, and refused by name where they cannot be.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use datafusion::arrow::array::*;
use datafusion::arrow::datatypes::{
    Decimal128Type, Field, Int32Type, Schema, TimestampSecondType, i256,
};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::file::properties::WriterProperties;
use serde_json::{Value, json};

use crate::support::Service;

const JOB: &str = "10000000-0000-0000-0000-00000000000a";

fn sysjob(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sysjob")).args(arguments).output().expect("sysjob runs")
}

/// A file of some columns, with row groups of `rows`.
fn write(path: &Path, columns: Vec<(&str, ArrayRef)>, rows: usize) {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, array)| Field::new(*name, array.data_type().clone(), true))
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    let batch = RecordBatch::try_new(schema.clone(), arrays).expect("columns of one length");
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(rows)).build();
    let file = File::create(path).expect("a new file");
    let mut writer = ArrowWriter::try_new(file, schema, Some(properties)).expect("a writer");
    writer.write(&batch).expect("written");
    writer.close().expect("closed");
}

fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

/// Jobs as an export from elsewhere has them: keys as text, times with a zone.
fn jobs(path: &Path, from: i32, count: i32) {
    let numbers = || from..from + count;
    let ids: Vec<String> = numbers().map(|n| format!("10000000-0000-0000-0000-{n:012x}")).collect();
    let names: Vec<String> = numbers().map(|n| format!("Job {}", n % 10)).collect();
    let times = numbers().map(|n| 1_700_000_000_000_000 + i64::from(n) * 1_000_000);
    write(
        path,
        vec![
            ("asyncoperationid", Arc::new(StringArray::from(ids))),
            ("name", Arc::new(StringArray::from(names))),
            ("statecode", Arc::new(Int32Array::from_iter_values(numbers().map(|_| 3)))),
            ("statuscode", Arc::new(Int32Array::from_iter_values(numbers().map(|n| 30 + n % 3)))),
            ("operationtype", Arc::new(Int64Array::from_iter_values(numbers().map(|_| 10)))),
            (
                "createdon",
                Arc::new(
                    TimestampMicrosecondArray::from_iter_values(times).with_timezone("+02:00"),
                ),
            ),
        ],
        100,
    );
}

fn attach(name: &str, path: &Path) -> String {
    format!("{name}={}", path.display())
}

/// The rows of a statement over PostgreSQL's protocol, as text.
async fn ask(service: &Service, text: &str) -> Result<Vec<Vec<Option<String>>>, String> {
    let at = format!("host=127.0.0.1 port={} dbname=sysjob user=x", service.pg_port);
    let (client, connection) =
        tokio_postgres::connect(&at, tokio_postgres::NoTls).await.expect("connects");
    tokio::spawn(connection);
    let answer = client.simple_query(text).await.map_err(|e| match e.as_db_error() {
        Some(error) => format!("{} {} {:?}", error.code().code(), error.message(), error.hint()),
        None => e.to_string(),
    })?;
    let rows = answer.iter().filter_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|i| row.get(i).map(str::to_owned)).collect())
        }
        _ => None,
    });
    Ok(rows.collect())
}

async fn first(service: &Service, text: &str) -> String {
    let rows = ask(service, text).await.unwrap_or_else(|e| panic!("{text}: {e}"));
    rows.into_iter().next().and_then(|row| row.into_iter().next().flatten()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_asked_beside_the_stored_tables() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let export = folder.path().join("an export #1");
    std::fs::create_dir(&export).expect("a new folder");
    jobs(&export.join("part-1.parquet"), 0, 1000);
    jobs(&export.join("part-2.PARQUET"), 1000, 500);
    std::fs::write(export.join("_SUCCESS"), "").expect("written");
    std::fs::write(export.join("readme.txt"), "").expect("written");
    let input = folder.path().join("asyncoperation.csv");
    let row =
        format!("asyncoperationid,name,operationtype,statecode,statuscode\n{JOB},kept,10,3,30\n");
    std::fs::write(&input, row).expect("written");
    let (data_text, input) = (data.display().to_string(), input.display().to_string());
    assert!(sysjob(&["import", "--data-dir", &data_text, &input]).status.success());

    let option = attach("old_jobs", &export);
    let torn = folder.path().join("torn.parquet");
    jobs(&torn, 0, 100);
    let both = format!("{option},{}", attach("torn", &torn));
    let service = Service::start(&data, &["--attach", &both]);
    let modified = std::fs::metadata(&torn).and_then(|about| about.modified()).expect("known");
    let mut bytes = std::fs::read(&torn).expect("readable");
    let half = bytes.len() / 2;
    bytes[4..half].fill(0xFF);
    std::fs::write(&torn, bytes).expect("written");
    let file = File::options().write(true).open(&torn).expect("writable");
    file.set_modified(modified).expect("set");
    for (text, expected) in [
        ("SELECT COUNT(*) FROM old_jobs", "1500"),
        ("SELECT COUNT(*) FROM dbo.[OLD_JOBS] AS o WITH (NOLOCK) WHERE o.StatusCode = 31", "500"),
        // As everywhere, text compares without case, accents and trailing spaces.
        ("SELECT COUNT(*) FROM old_jobs WHERE name = 'jób 7 '", "150"),
        ("SELECT COUNT(DISTINCT name) FROM old_jobs", "10"),
        (
            "SELECT TOP 1 asyncoperationid FROM old_jobs ORDER BY createdon DESC",
            "10000000-0000-0000-0000-0000000005db",
        ),
        ("SELECT MAX(createdon) FROM old_jobs", "2023-11-14 22:38:19"),
        ("SELECT COUNT(*) FROM old_jobs WHERE createdon >= '2023-11-14T22:38:10Z'", "10"),
        // Text and uniqueidentifier compare as in SQL Server.
        (
            "SELECT o.name FROM old_jobs o JOIN asyncoperation a \
          ON a.asyncoperationid = o.asyncoperationid WHERE a.name = 'kept'",
            "Job 0",
        ),
        (
            "SELECT COUNT(*) FROM old_jobs o LEFT JOIN asyncoperation a \
          ON a.asyncoperationid = o.asyncoperationid WHERE a.name IS NULL",
            "1499",
        ),
        (
            "SELECT COUNT(*) FROM old_jobs WHERE asyncoperationid IN \
          (SELECT CAST(asyncoperationid AS nvarchar(36)) FROM asyncoperation)",
            "1",
        ),
        (
            "SELECT name FROM old_jobs UNION SELECT name FROM asyncoperation \
          ORDER BY name DESC",
            "kept",
        ),
        (
            "SELECT COUNT(*) FROM (SELECT statuscode, COUNT(*) AS n FROM old_jobs \
          GROUP BY statuscode) AS g WHERE n = 500",
            "3",
        ),
        // Catalogs of both servers.
        ("SELECT name FROM sys.tables WHERE name LIKE 'old%'", "old_jobs"),
        ("SELECT COUNT(*) FROM sys.columns WHERE object_id = OBJECT_ID('old_jobs')", "6"),
        ("SELECT COL_LENGTH('old_jobs', 'operationtype')", "8"),
        (
            "SELECT row_count FROM sys.dm_db_partition_stats \
          WHERE object_id = OBJECT_ID('dbo.old_jobs')",
            "1500",
        ),
        ("SELECT COUNT(*) FROM sys.indexes WHERE object_id = OBJECT_ID('old_jobs')", "0"),
        (
            "SELECT data_type FROM information_schema.columns \
          WHERE table_name = 'old_jobs' AND column_name = 'createdon'",
            "timestamp without time zone",
        ),
        (
            "SELECT DATA_TYPE FROM INFORMATION_SCHEMA.COLUMNS \
          WHERE TABLE_NAME = 'old_jobs' AND COLUMN_NAME = 'operationtype'",
            "bigint",
        ),
        (
            "SELECT COUNT(*) FROM INFORMATION_SCHEMA.TABLE_CONSTRAINTS \
          WHERE TABLE_NAME = 'old_jobs'",
            "0",
        ),
        ("SELECT relhasindex FROM pg_class WHERE oid = 'old_jobs'::regclass", "f"),
        ("SELECT COUNT(*) FROM pg_attribute WHERE attrelid = 'old_jobs'::regclass", "6"),
        ("SELECT tablename FROM pg_tables WHERE tablename LIKE 'old%'", "old_jobs"),
    ] {
        assert_eq!(first(&service, text).await, expected, "{text}");
    }
    if let Some((ok, described, errors)) = service.psql(&["-c", "\\d old_jobs"]) {
        assert!(ok && described.contains("statuscode|integer"), "{described}{errors}");
    }

    // Only what a query needs is read: columns, and row groups of a hundred rows.
    let text = "SELECT COUNT(*) FROM old_jobs WHERE createdon >= '2023-11-14T22:38:10Z'";
    let body = json!({ "dialect": "sql", "text": text, "analyze": true });
    let plan = service.post("/sysjob/explain", &body).1.to_string();
    assert!(plan.contains("projection=[createdon]"), "{plan}");
    assert!(plan.contains("row_groups_pruned_statistics=15 total → 1 matched"), "{plan}");
    let explained = ask(&service, &format!("EXPLAIN {text}")).await.expect("explained");
    assert!(format!("{explained:?}").contains("TableScan: old_jobs"), "{explained:?}");

    // Nothing is written, and FetchXML says why it has no such table.
    for (text, part) in [
        ("DELETE FROM old_jobs", "25006"),
        ("SELECT * FROM old_job", "old_jobs"),
        ("SELECT stat FROM old_jobs", "42703"),
    ] {
        let refused = ask(&service, text).await.expect_err(text);
        assert!(refused.contains(part), "{text}: {refused}");
    }
    let fetch = "<fetch><entity name='old_jobs'><all-attributes/></entity></fetch>";
    let body = json!({ "dialect": "fetchxml", "text": fetch, "format": "json" });
    let (status, answer) = service.post("/sysjob/query", &body);
    assert!(status != 200 && answer.to_string().contains("which only SQL reads"), "{answer}");
    assert_eq!(service.get("$metadata", &[]).0, 200);

    // Files that change or go cost the questions that need them, and nothing else.
    std::fs::remove_file(export.join("part-2.PARQUET")).expect("removed");
    let refused = ask(&service, "SELECT COUNT(*) FROM old_jobs").await.expect_err("gone");
    assert!(refused.contains("part-2.PARQUET") && refused.contains("cannot be read"), "{refused}");
    jobs(&export.join("part-2.PARQUET"), 1000, 7);
    let refused = ask(&service, "SELECT COUNT(*) FROM old_jobs").await.expect_err("another");
    assert!(refused.contains("has changed since it was attached"), "{refused}");
    assert_eq!(first(&service, "SELECT COUNT(*) FROM asyncoperation").await, "1");

    // So do damaged ones.
    let refused = ask(&service, "SELECT COUNT(*) FROM torn WHERE asyncoperationid <> 'x'").await;
    let refused = refused.expect_err("damaged");
    assert!(refused.contains("a file of an attached table is damaged"), "{refused}");
    assert_eq!(service.terminate(), Some(0));

    // The command line attaches as well.
    let asked = sysjob(&[
        "query",
        "--data-dir",
        &data_text,
        "--attach",
        &option,
        "--format",
        "csv",
        "-e",
        "SELECT COUNT(*) AS n FROM old_jobs o JOIN asyncoperation a \
               ON a.asyncoperationid = o.asyncoperationid",
    ]);
    assert_eq!(String::from_utf8_lossy(&asked.stdout), "n\n1\n", "{asked:?}");
}

/// A column of each type that Parquet files have.
fn every_type(path: &Path) {
    let guid = |n: u8| Some([n; 16]);
    let guids =
        FixedSizeBinaryArray::try_from_sparse_iter_with_size([guid(1), None].into_iter(), 16);
    let dictionary: DictionaryArray<Int32Type> = vec![Some("Ä"), None].into_iter().collect();
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1)]), None]);
    let decimal = |values: Vec<Option<i128>>, precision, scale| {
        let array = PrimitiveArray::<Decimal128Type>::from(values);
        Arc::new(array.with_precision_and_scale(precision, scale).expect("fits"))
    };
    let wide = Decimal256Array::from(vec![Some(i256::from_i128(5)), None]);
    let wide = wide.with_precision_and_scale(60, 2).expect("fits");
    let seconds = PrimitiveArray::<TimestampSecondType>::from(vec![Some(86_400), None]);
    write(
        path,
        vec![
            ("guid", Arc::new(guids.expect("16 bytes"))),
            ("dictionary", Arc::new(dictionary)),
            ("large", Arc::new(LargeStringArray::from(vec![Some("Large"), None]))),
            (
                "view",
                Arc::new(StringViewArray::from(vec![Some("a text that is long enough"), None])),
            ),
            ("bool", Arc::new(BooleanArray::from(vec![Some(true), None]))),
            ("i8", Arc::new(Int8Array::from(vec![Some(-8), None]))),
            ("i16", Arc::new(Int16Array::from(vec![Some(-16), None]))),
            ("i64", Arc::new(Int64Array::from(vec![Some(i64::MIN), None]))),
            ("u8", Arc::new(UInt8Array::from(vec![Some(u8::MAX), None]))),
            ("u16", Arc::new(UInt16Array::from(vec![Some(u16::MAX), None]))),
            ("u32", Arc::new(UInt32Array::from(vec![Some(u32::MAX), None]))),
            ("u64", Arc::new(UInt64Array::from(vec![Some(u64::MAX), None]))),
            ("f32", Arc::new(Float32Array::from(vec![Some(0.5), None]))),
            ("f64", Arc::new(Float64Array::from(vec![Some(0.25), None]))),
            ("money", decimal(vec![Some(1_234_500), None], 19, 4)),
            ("wide", Arc::new(wide)),
            ("fine", decimal(vec![Some(1), None], 38, 20)),
            ("date", Arc::new(Date32Array::from(vec![Some(1), None]))),
            ("date64", Arc::new(Date64Array::from(vec![Some(86_400_000), None]))),
            ("seconds", Arc::new(seconds)),
            (
                "millis",
                Arc::new(
                    TimestampMillisecondArray::from(vec![Some(1), None])
                        .with_timezone("Europe/Berlin"),
                ),
            ),
            (
                "micros",
                Arc::new(TimestampMicrosecondArray::from(vec![Some(1), None]).with_timezone("UTC")),
            ),
            ("nanos", Arc::new(TimestampNanosecondArray::from(vec![Some(1_500), None]))),
            ("nothing", Arc::new(NullArray::new(2))),
            ("Mixed Case", texts(&[Some("x"), None])),
            ("blob", Arc::new(BinaryArray::from(vec![Some(b"x".as_slice()), None]))),
            ("list", Arc::new(lists)),
            ("time", Arc::new(Time64MicrosecondArray::from(vec![Some(1), None]))),
        ],
        10,
    );
}

#[test]
fn every_type_is_read_or_refused_by_name() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("types.parquet");
    every_type(&file);
    let service =
        Service::start(&folder.path().join("data"), &["--attach", &attach("types", &file)]);
    let rows = service.sql("SELECT * FROM types ORDER BY i8 DESC");
    let expected = json!({
        "guid": "01010101-0101-0101-0101-010101010101",
        "dictionary": "Ä", "large": "Large", "view": "a text that is long enough",
        "bool": true, "i8": -8, "i16": -16, "i64": i64::MIN,
        "u8": 255, "u16": 65_535, "u32": 4_294_967_295_u32, "u64": 18_446_744_073_709_551_615_u64,
        "f32": 0.5, "f64": 0.25, "money": 123.45, "wide": 0.05,
        "date": "1970-01-02", "date64": "1970-01-02",
        "seconds": "1970-01-02T00:00:00Z", "millis": "1970-01-01T00:00:00.001000Z",
        "micros": "1970-01-01T00:00:00.000001Z", "nanos": "1970-01-01T00:00:00.000001Z",
        "nothing": null, "Mixed Case": "x",
    });
    let nulls: serde_json::Map<String, Value> =
        expected.as_object().expect("a row").keys().map(|k| (k.clone(), Value::Null)).collect();
    assert_eq!(rows, [expected, Value::Object(nulls)]);
    for (condition, expected) in [
        ("guid = '01010101-0101-0101-0101-010101010101'", 1),
        ("dictionary = 'a'", 1),
        ("large = 'LARGE' AND u64 > 1 AND money = 123.45 AND wide = 0.05", 1),
        ("date = '1970-01-02' AND date64 < seconds AND millis >= micros", 0),
        ("date = '1970-01-02' AND date64 <= seconds AND millis >= micros", 1),
        ("[mixed case] IS NULL AND nothing IS NULL AND u32 IS NULL", 1),
        ("bool = 1 AND f32 = 0.5", 1),
    ] {
        let rows = service.sql(&format!("SELECT COUNT(*) AS n FROM types WHERE {condition}"));
        assert_eq!(rows[0]["n"], expected, "{condition}");
    }
    for column in ["fine", "blob", "list", "time"] {
        let text = format!("SELECT {column} FROM types");
        let body = json!({ "dialect": "sql", "text": text, "format": "json" });
        let (status, answer) = service.post("/sysjob/query", &body);
        let refused = format!("column '{column}' of 'types' cannot be read");
        assert!(status == 400 && answer.to_string().contains(&refused), "{answer}");
    }
}

#[test]
fn what_cannot_be_attached_ends_the_start() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name);
    jobs(&path("jobs.parquet"), 0, 10);
    std::fs::write(path("text.parquet"), "name,age\n").expect("written");
    for name in ["empty", "nested", "nested/deeper", "mixed"] {
        std::fs::create_dir(path(name)).expect("a new folder");
    }
    jobs(&path("mixed/1.parquet"), 0, 10);
    write(&path("mixed/2.parquet"), vec![("name", texts(&[Some("x")]))], 10);
    write(&path("twice.parquet"), vec![("a", texts(&[None])), ("A", texts(&[None]))], 10);
    let data = path("data").display().to_string();
    let jobs = path("jobs.parquet");
    for (options, part) in [
        (vec!["old".to_owned()], "name=path"),
        (vec!["=x".to_owned()], "name=path"),
        (vec![attach("Old", &jobs)], "lower-case letters"),
        (vec![attach("pg_old", &jobs)], "not with 'pg_'"),
        (vec![attach("old", &path("nosuch.parquet"))], "nosuch.parquet' cannot be read"),
        (vec![attach("old", &path("text.parquet"))], "cannot be read as a Parquet file"),
        (vec![attach("account", &jobs)], "there is a table of this name already"),
        (vec![attach("old", &jobs), attach("old", &jobs)], "there is a table of this name"),
        (vec![attach("old", &path("empty"))], "no file named *.parquet"),
        (vec![attach("old", &path("nested"))], "is a folder in the folder"),
        (vec![attach("old", &path("mixed"))], "has no column 'asyncoperationid'"),
        (vec![attach("old", &path("twice.parquet"))], "one name in SQL"),
    ] {
        let mut arguments = vec!["serve", "--data-dir", &data, "--http", "127.0.0.1:0", "--pg"];
        arguments.push("127.0.0.1:0");
        arguments.extend(options.iter().flat_map(|option| ["--attach", option]));
        let output = sysjob(&arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(part), "{options:?}: {said}");
    }
}
