//! Tests of the dialect against DataFusion's own planner: a text is right when
//! what comes out of [`parse`] plans, and gives these rows.

mod bad_input;
mod diagnosing;
mod documented;
mod functions;
mod names;

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::datasource::MemTable;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::scalar::ScalarValue;
use datafusion::sql::parser;
use datafusion::sql::sqlparser::ast;

use super::{Statement, parse};
use crate::catalog::{Catalog, Table};
use crate::value::Value;

static CATALOG: LazyLock<Catalog> = LazyLock::new(Catalog::built_in);

/// A few jobs; the columns named here, all others null.
const JOBS: &[&[(&str, &str)]] = &[
    &[
        ("asyncoperationid", "00000000-0000-0000-0000-00000000000a"),
        ("name", "Send mail"),
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

/// A session with all tables; only `asyncoperation` has rows.
fn session() -> SessionContext {
    let config = SessionConfig::new()
        .set_bool("datafusion.sql_parser.enable_ident_normalization", false)
        .with_target_partitions(1);
    let session = SessionContext::new_with_config(config);
    for function in crate::engine::functions::all() {
        session.register_udf(function.as_ref().clone());
    }
    for table in CATALOG.tables() {
        let batches = match table.logical_name.as_str() {
            "asyncoperation" => vec![batch(table, JOBS)],
            _ => Vec::new(),
        };
        let provider = MemTable::try_new(table.schema().clone(), vec![batches]).expect("a table");
        session.register_table(table.logical_name.as_str(), Arc::new(provider)).expect("a name");
    }
    session
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(future)
}

/// The only query of a text.
fn query(text: &str) -> Box<ast::Query> {
    let mut statements = parse(text, &CATALOG).unwrap_or_else(|e| panic!("{text}\n{e}"));
    match (statements.len(), statements.pop()) {
        (1, Some(Statement::Query(query))) => query,
        _ => panic!("{text}: not one query"),
    }
}

/// The rewritten text of the only query.
fn rewritten(text: &str) -> String {
    query(text).to_string()
}

fn plan(session: &SessionContext, query: Box<ast::Query>) -> LogicalPlan {
    let text = query.to_string();
    let statement = parser::Statement::Statement(Box::new(ast::Statement::Query(query)));
    run(session.state().statement_to_plan(statement)).unwrap_or_else(|e| panic!("{text}\n{e}"))
}

/// The rows of a query, columns parted by ` | `, the headings first.
fn rows(text: &str) -> Result<Vec<String>, String> {
    let session = session();
    let plan = plan(&session, query(text));
    let headings: Vec<_> = plan.schema().fields().iter().map(|f| f.name().clone()).collect();
    let mut lines = vec![headings.join(" | ")];
    let batches = run(async { session.execute_logical_plan(plan).await?.collect().await })
        .map_err(|e| e.strip_backtrace())?;
    let options = FormatOptions::default().with_null("NULL");
    for batch in &batches {
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|c| ArrayFormatter::try_new(c.as_ref(), &options).expect("a printable column"))
            .collect();
        for row in 0..batch.num_rows() {
            let values: Vec<_> = columns.iter().map(|c| c.value(row).to_string()).collect();
            lines.push(values.join(" | "));
        }
    }
    Ok(lines)
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
