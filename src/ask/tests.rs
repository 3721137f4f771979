//! Golden files of T-SQL: a query over the few rows of `tests/golden/tsql/data/`,
//! `----`, and its answer: the columns with SQL Server's types, then the rows, or
//! how it is refused. `UPDATE_GOLDEN=1` writes the answers anew, for review with
//! `git diff`. Every `.txt` file of the folder is run.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Field};

use super::*;
use crate::catalog::{Catalog, is_guid};
use crate::encode::{Format, RowWriter};
use crate::engine::QueryLimits;
use crate::import::{Sink, import_file};
use crate::store::{Appended, Store};

struct World {
    engine: Engine,
    /// Without pre-aggregates, and with neither those nor groups.
    others: [Engine; 2],
    snapshot: Arc<Snapshot>,
    _store: Store,
    _folder: tempfile::TempDir,
}

struct Into<'a>(&'a Store);

impl Sink for Into<'_> {
    fn append(&mut self, table: usize, batch: RecordBatch) -> Result<Appended> {
        self.0.append(table, &batch)
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tsql")
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let data = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(data.path(), Arc::new(Catalog::built_in())).expect("a new store");
    let files = std::fs::read_dir(folder().join("data")).expect("the folder is there");
    for file in files {
        let path = file.expect("readable").path();
        let report = import_file(&path, None, &Catalog::built_in(), &mut Into(&store), &mut |_| {})
            .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(report.rejected, 0, "{}: {:?}", path.display(), report.first_rejections);
    }
    let scanning = Engine::scanning(QueryLimits::default()).expect("no limits");
    let others = [scanning, Engine::row_by_row()];
    let snapshot = store.snapshot();
    World { engine: Engine::new(), others, snapshot, _store: store, _folder: data }
});

/// A column's type as SQL Server calls it.
fn type_name(field: &Field) -> String {
    match field.data_type() {
        DataType::Boolean => "bit".into(),
        DataType::Int8 | DataType::UInt8 => "tinyint".into(),
        DataType::Int16 => "smallint".into(),
        DataType::Int32 => "int".into(),
        DataType::Int64 => "bigint".into(),
        DataType::Float32 => "real".into(),
        DataType::Float64 => "float".into(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "nvarchar".into(),
        DataType::Timestamp(_, None) => "datetime".into(),
        DataType::Timestamp(_, Some(_)) => "datetimeoffset".into(),
        DataType::Date32 => "date".into(),
        DataType::Time64(_) => "time".into(),
        DataType::FixedSizeBinary(16) if is_guid(field) => "uniqueidentifier".into(),
        DataType::Binary | DataType::BinaryView => "varbinary".into(),
        other => other.to_string(),
    }
}

/// The answers of a text's queries, one after the other.
async fn answered(text: &str) -> String {
    let answer = printed(rows(&WORLD.engine, text).await);
    for other in &WORLD.others {
        let read = printed(rows(other, text).await);
        assert_eq!(answer, read, "groups and rows differ: {text}");
    }
    answer
}

fn printed(answers: Result<Vec<String>>) -> String {
    match answers {
        Ok(answers) => answers.join("\n\n"),
        Err(error) => {
            let state = error.sqlstate.unwrap_or("-----");
            format!("error {state}: {error}")
        }
    }
}

async fn rows(engine: &Engine, text: &str) -> Result<Vec<String>> {
    let (dialect, context) = (Some(Dialect::Sql), Context::default());
    let mut questions = Questions::new(engine, &WORLD.snapshot, dialect, text, context)?;
    let mut answers = Vec::new();
    while let Some(plan) = questions.next().await? {
        let schema = engine.schema(plan.clone())?;
        let columns = schema.fields().iter().map(|f| format!("{} {}", f.name(), type_name(f)));
        let mut answer = columns.collect::<Vec<_>>().join(" | ");
        let mut writer = RowWriter::new(Format::Jsonl, &schema, Vec::new())?;
        let batches = engine.collect(plan).await?;
        questions.answered(batches.iter().map(RecordBatch::num_rows).sum());
        for batch in batches {
            writer.write(&batch)?;
        }
        let lines = String::from_utf8(writer.finish()?).expect("JSON is UTF-8");
        for line in lines.lines() {
            let row: serde_json::Map<String, serde_json::Value> =
                serde_json::from_str(line).expect("a JSON object");
            let cells = schema.fields().iter().map(|f| match row.get(f.name()) {
                None | Some(serde_json::Value::Null) => "NULL".to_owned(),
                // A carriage return would not survive an editor.
                Some(serde_json::Value::String(text)) => {
                    format!("'{}'", text.replace('\r', "\\r"))
                }
                Some(other) => other.to_string(),
            });
            let _ = write!(answer, "\n{}", cells.collect::<Vec<_>>().join(" | "));
        }
        answers.push(answer);
    }
    Ok(answers)
}

/// Runs every record of a file and compares.
async fn check(path: &Path) {
    let golden = std::fs::read_to_string(path).expect("the golden file is readable");
    let mut actual = String::new();
    for record in golden.split_inclusive("\n====\n") {
        let record = record.strip_suffix("\n====\n").unwrap_or(record).trim_end();
        let question = record.split_once("\n----").map_or(record, |(question, _)| question);
        let (title, text) = question.split_once('\n').expect("a title line, then the query");
        assert!(title.starts_with("# "), "{}: a title is missing: {title}", path.display());
        let _ = write!(actual, "{title}\n{text}\n----\n{}\n====\n", answered(text).await);
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &actual).expect("the golden file is writable");
        return;
    }
    for (golden, actual) in golden.split("\n====\n").zip(actual.split("\n====\n")) {
        assert_eq!(golden, actual, "{}\n{actual}\n", path.display());
    }
    assert_eq!(golden, actual, "{} ends differently", path.display());
}

#[tokio::test]
async fn golden_files_of_t_sql() {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder())
        .expect("the folder is there")
        .map(|file| file.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|e| e == "txt"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        check(&file).await;
    }
}
