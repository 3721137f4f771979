//! Tests of the dialect through the engine: a text is right when what comes out
//! of [`Script::parse`] plans, and gives these rows.

mod bad_input;
mod comparing;
mod diagnosing;
mod documented;
mod functions;
mod names;

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::logical_expr::LogicalPlan;
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast;

use super::{Script, Session, Statement, Step};
use crate::catalog::{Catalog, Table};
use crate::engine::Engine;
use crate::store::{Snapshot, Store};
use crate::value::Value;

static CATALOG: LazyLock<Arc<Catalog>> = LazyLock::new(|| Arc::new(Catalog::built_in()));

/// A few jobs; the columns named here, all others null.
const JOBS: &[&[(&str, &str)]] = &[
    &[
        ("asyncoperationid", "00000000-0000-0000-0000-00000000000a"),
        ("name", "Send mail"),
        ("owneridtype", "8"),
        ("statecode", "3"),
        ("statuscode", "30"),
        ("operationtype", "10"),
        ("createdon", "2024-02-29T23:59:59"),
        ("startedon", "2024-03-01T00:00:01"),
        ("completedon", "2024-03-01T00:10:01.500"),
        ("retrycount", "0"),
    ],
    &[
        ("asyncoperationid", "00000000-0000-0000-0000-00000000000b"),
        ("name", "Import"),
        ("statecode", "3"),
        ("statuscode", "31"),
        ("operationtype", "5"),
        ("createdon", "2024-12-30T12:00:00"),
        ("startedon", "2024-12-30T12:00:30"),
        ("completedon", "2025-01-02T12:00:00"),
        ("retrycount", "2"),
        ("message", "Broken  "),
    ],
    &[
        ("asyncoperationid", "00000000-0000-0000-0000-00000000000c"),
        ("statecode", "0"),
        ("statuscode", "0"),
        ("operationtype", "10"),
        ("createdon", "2025-01-05T00:00:00"),
    ],
];

fn batch(table: &Table, rows: &[&[(&str, &str)]]) -> RecordBatch {
    let column = |field: &Arc<datafusion::arrow::datatypes::Field>| -> ArrayRef {
        let values = rows.iter().map(|row| {
            let text = row.iter().find(|(name, _)| name == field.name()).map(|(_, text)| *text);
            let value = text.map_or(Value::Null, |text| {
                Value::parse(text, field.data_type()).expect("a value of the column's type")
            });
            value.to_scalar(field.data_type())
        });
        ScalarValue::iter_to_array(values).expect("values of one type")
    };
    let columns = table.schema().fields().iter().map(column).collect();
    RecordBatch::try_new(table.schema().clone(), columns).expect("columns of the schema")
}

/// The engine over a store with all tables; only `asyncoperation` has rows.
static ENGINE: LazyLock<(Engine, Arc<Snapshot>)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path(), CATALOG.clone()).expect("a store");
    let index = CATALOG.table_index("asyncoperation").expect("built in");
    store.append(index, &batch(&CATALOG.tables()[index], JOBS)).expect("rows");
    (Engine::new(), store.snapshot())
});

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(future)
}

/// The statements of a text; the names of its queries can be settled.
fn parse(text: &str, catalog: &Catalog) -> crate::error::Result<Vec<Statement>> {
    let script = Script::parse(text, std::iter::empty())?;
    let mut statements = Vec::new();
    for step in script.steps() {
        let Step::Do(statement) = step else { continue };
        if let Statement::Query(query) | Statement::Explain { query, .. } = statement {
            query.resolve(catalog, &Session::default())?;
        }
        statements.push(statement.clone());
    }
    Ok(statements)
}

/// The only query of a text.
fn query(text: &str) -> Box<ast::Query> {
    let mut statements = parse(text, &CATALOG).unwrap_or_else(|e| panic!("{text}\n{e}"));
    match (statements.len(), statements.pop()) {
        (1, Some(Statement::Query(query))) => {
            query.resolve(&CATALOG, &Session::default()).expect("resolved before")
        }
        _ => panic!("{text}: not one query"),
    }
}

/// The rewritten text of the only query.
fn rewritten(text: &str) -> String {
    query(text).to_string()
}

/// The optimized plan of the only query.
fn plan(text: &str) -> LogicalPlan {
    let (engine, snapshot) = &*ENGINE;
    let plan = engine.plan_sql(&query(text), snapshot);
    plan.and_then(|plan| engine.optimized(plan)).unwrap_or_else(|e| panic!("{text}\n{e}"))
}

/// The rows of a query, columns parted by ` | `, the headings first; or the error.
fn rows(text: &str) -> Result<Vec<String>, String> {
    let (engine, snapshot) = &*ENGINE;
    let answer = |query: Box<ast::Query>| -> crate::error::Result<Vec<String>> {
        let plan = engine.plan_sql(&query, snapshot)?;
        let schema = engine.schema(plan.clone())?;
        let headings: Vec<_> = schema.fields().iter().map(|f| f.name().as_str()).collect();
        let mut lines = vec![headings.join(" | ")];
        for batch in run(engine.collect(plan))? {
            lines.extend(printed(&batch));
        }
        Ok(lines)
    };
    answer(query(text)).map_err(|e| e.to_string())
}

fn printed(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let columns: Vec<_> = batch
        .columns()
        .iter()
        .map(|c| ArrayFormatter::try_new(c.as_ref(), &options).expect("a printable column"))
        .collect();
    let row = |row| {
        let values: Vec<_> = columns.iter().map(|c| c.value(row).to_string()).collect();
        values.join(" | ")
    };
    (0..batch.num_rows()).map(row).collect()
}

/// The value of an expression without a table.
fn value(expression: &str) -> String {
    match rows(&format!("SELECT {expression} AS v")) {
        Ok(lines) => lines[1].clone(),
        Err(error) => error,
    }
}

/// The error of a text: its message, place included, and SQLSTATE.
fn error(text: &str) -> (String, &'static str) {
    match parse(text, &CATALOG) {
        Ok(statements) => panic!("{text}\nis accepted as {statements:?}"),
        Err(error) => (error.to_string(), error.sqlstate.unwrap_or_default()),
    }
}
