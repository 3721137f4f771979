//! The statistics that the platform's maintenance jobs compute from a snapshot.

use datafusion::arrow::array::Array;

use crate::catalog::{ColumnKind, ColumnType};
use crate::store::{Snapshot, TableSnapshot};
use crate::value::Value;

type Compute = fn(&Snapshot) -> String;

/// Operation types and what they compute.
const STATISTICS: &[(i32, Compute)] = &[
    (9, usage),
    (16, organization),
    (18, storage),
    (19, database),
    (20, sizes),
    (22, maximum),
    (24, intervals),
    (25, texts),
    (27, contracts),
    (31, notification),
];

/// The statistic of an operation type.
pub fn statistic(operationtype: i32, snapshot: &Snapshot) -> Option<String> {
    let row = STATISTICS.iter().find(|(code, _)| *code == operationtype)?;
    Some(row.1(snapshot))
}

pub fn is_computed(operationtype: i32) -> bool {
    STATISTICS.iter().any(|(code, _)| *code == operationtype)
}

fn tables(snapshot: &Snapshot) -> impl Iterator<Item = &TableSnapshot> {
    (0..snapshot.catalog().tables().len()).map(|number| snapshot.table(number))
}

fn bytes(table: &TableSnapshot) -> usize {
    let columns = 0..table.table().columns.len();
    let of_chunk = |chunk: &crate::store::Chunk| -> usize {
        let arrays = columns.clone().filter_map(|column| chunk.loaded(column));
        arrays.map(|array| array.get_array_memory_size()).sum()
    };
    table.chunks().iter().map(|chunk| of_chunk(chunk)).sum()
}

/// Rows of a table with a value in a column, or all of them.
fn count(snapshot: &Snapshot, table: &str, with: Option<(&str, Value)>) -> usize {
    let Some(table) = snapshot.table_named(table) else { return 0 };
    let Some((column, value)) = with else { return table.rows() };
    let Some(column) = table.table().column_index(column) else { return 0 };
    let mut found = 0;
    table.for_each(|cell| found += usize::from(cell(column) == value));
    found
}

fn sum(snapshot: &Snapshot, table: &str, column: &str) -> i64 {
    let Some(table) = snapshot.table_named(table) else { return 0 };
    let Some(column) = table.table().column_index(column) else { return 0 };
    let mut total = 0;
    table.for_each(|cell| {
        if let Value::Int64(number) = cell(column) {
            total += number;
        }
    });
    total
}

fn usage(snapshot: &Snapshot) -> String {
    let rows = tables(snapshot).filter(|table| table.rows() > 0);
    let rows: Vec<String> =
        rows.map(|table| format!("{} {}", table.table().logical_name, table.rows())).collect();
    format!("rows by table: {}", rows.join(", "))
}

fn organization(snapshot: &Snapshot) -> String {
    let all = |table| count(snapshot, table, None);
    let with = |table, column, code| count(snapshot, table, Some((column, Value::Int32(code))));
    format!(
        "{} users, {} teams, {} business units, {} workflows of which {} are activated, {} steps of which {} are enabled",
        all("systemuser"),
        all("team"),
        all("businessunit"),
        all("workflow"),
        with("workflow", "statecode", 1),
        all("sdkmessageprocessingstep"),
        with("sdkmessageprocessingstep", "statecode", 0)
    )
}

fn storage(snapshot: &Snapshot) -> String {
    let rows: usize = tables(snapshot).map(bytes).sum();
    let files = sum(snapshot, "fileattachment", "filesizeinbytes");
    format!("{rows} bytes in rows, {files} bytes in files")
}

fn database(snapshot: &Snapshot) -> String {
    let (mut rows, mut chunks) = (0, 0);
    for table in tables(snapshot) {
        rows += table.rows();
        chunks += table.chunks().len();
    }
    let number = snapshot.catalog().tables().len();
    format!("{number} tables with {rows} rows in {chunks} chunks")
}

/// Bytes of each table with rows, largest first.
fn by_size(snapshot: &Snapshot) -> Vec<(usize, &str)> {
    let sized = tables(snapshot).filter(|table| table.rows() > 0);
    let mut sized: Vec<(usize, &str)> =
        sized.map(|table| (bytes(table), table.table().logical_name.as_str())).collect();
    sized.sort_by_key(|(bytes, name)| (std::cmp::Reverse(*bytes), *name));
    sized
}

fn sizes(snapshot: &Snapshot) -> String {
    let sizes: Vec<String> =
        by_size(snapshot).iter().map(|(bytes, name)| format!("{name} {bytes}")).collect();
    format!("bytes by table: {}", sizes.join(", "))
}

fn maximum(snapshot: &Snapshot) -> String {
    match by_size(snapshot).first() {
        Some((bytes, name)) => format!("the largest table is {name} with {bytes} bytes"),
        None => "no table has rows".to_owned(),
    }
}

fn intervals(snapshot: &Snapshot) -> String {
    let mut spans = Vec::new();
    for table in tables(snapshot).filter(|table| table.rows() > 0) {
        let Some(column) = table.table().column_index("createdon") else { continue };
        let (mut first, mut last) = (i64::MAX, i64::MIN);
        table.for_each(|cell| {
            if let Value::Time(at) = cell(column) {
                (first, last) = (first.min(at), last.max(at));
            }
        });
        if first <= last {
            let seconds = (last - first) / 1_000_000;
            spans.push(format!("{} {seconds}", table.table().logical_name));
        }
    }
    format!("seconds from the first to the last row by table: {}", spans.join(", "))
}

fn texts(snapshot: &Snapshot) -> String {
    let (mut columns, mut values) = (0, 0);
    for table in tables(snapshot) {
        let facts = table.table();
        let is_text = |index: &usize| {
            let column = &facts.columns[*index];
            column.kind == ColumnKind::Stored
                && matches!(column.column_type, ColumnType::String | ColumnType::Memo)
        };
        for column in (0..facts.columns.len()).filter(is_text) {
            let arrays = table.chunks().iter().filter_map(|chunk| chunk.loaded(column));
            let found: usize = arrays.map(|array| array.len() - array.null_count()).sum();
            columns += usize::from(found > 0);
            values += found;
        }
    }
    format!("{values} texts in {columns} columns")
}

fn contracts(snapshot: &Snapshot) -> String {
    format!("{} contracts", count(snapshot, "contract", None))
}

fn notification(snapshot: &Snapshot) -> String {
    format!("{}; no limit is set", storage(snapshot))
}
