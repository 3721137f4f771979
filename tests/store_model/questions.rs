//! Random questions of the rows that a history has left, answered by the engine, with and
//! without pre-aggregates, and row by row from the model.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};
use sysjob::ask;
use sysjob::catalog::Table;
use sysjob::dialect::Dialect;
use sysjob::encode::{Format, RowWriter};
use sysjob::engine::{Engine, QueryLimits, collation_key};
use sysjob::query::Context;
use sysjob::store::Snapshot;
use sysjob::value::{Guid, Value, guid_text, time_text};
use tokio::runtime::Runtime;

use super::model::{Cells, Rows};

/// Columns of jobs with few values, which are grouped, counted and filtered by.
const WHOLE: [&str; 4] = ["statecode", "statuscode", "operationtype", "retrycount"];
const GROUPS: [&str; 6] = [
    "statecode",
    "statuscode",
    "operationtype",
    "owningextensionid",
    "retrycount",
    "retainjobhistory",
];
const NULLABLE: [&str; 5] = ["datablobid", "name", "completedon", "owningextensionid", "hostid"];

type Answer = Vec<Map<String, Json>>;

/// A condition on jobs.
#[derive(Clone, Debug)]
pub enum Condition {
    IsNull(&'static str, bool),
    Whole(&'static str, &'static str, i32),
    /// `completedon`, in microseconds from 1970.
    Time(&'static str, i64),
    Extension(u8),
    /// A text as the row with this number has it, shouted.
    Text(&'static str, usize),
}

/// A question about jobs.
#[derive(Clone, Debug)]
pub enum Question {
    Groups { by: Vec<&'static str>, of: &'static str, conditions: Vec<Condition> },
    First { column: &'static str, descending: bool, rows: usize, conditions: Vec<Condition> },
    ByKey(u32),
}

fn condition() -> impl Strategy<Value = Condition> {
    let comparison = || prop::sample::select(vec!["=", "<>", "<", ">="]);
    prop_oneof![
        (prop::sample::select(&NULLABLE[..]), any::<bool>())
            .prop_map(|(column, is)| Condition::IsNull(column, is)),
        (prop::sample::select(&WHOLE[..]), comparison(), 0..40)
            .prop_map(|(column, how, value)| Condition::Whole(column, how, value)),
        (comparison(), 0..7_200i64)
            .prop_map(|(how, second)| Condition::Time(how, second * 1_000_000)),
        (0..4u8).prop_map(Condition::Extension),
        (prop::sample::select(vec!["name", "message"]), any::<usize>())
            .prop_map(|(column, row)| Condition::Text(column, row)),
    ]
}

pub fn question() -> impl Strategy<Value = Question> {
    let conditions = || vec(condition(), 0..3);
    let groups = prop::sample::subsequence(&GROUPS[..], 0..=2);
    let groups = (groups, prop::sample::select(&WHOLE[..]), conditions())
        .prop_map(|(by, of, conditions)| Question::Groups { by, of, conditions });
    let ordered = prop::sample::select(vec!["sequence", "statuscode", "completedon"]);
    let first = (ordered, any::<bool>(), 1..6_usize, conditions()).prop_map(
        |(column, descending, rows, conditions)| Question::First {
            column,
            descending,
            rows,
            conditions,
        },
    );
    prop_oneof![4 => groups, 2 => first, 1 => (0..super::KEYS).prop_map(Question::ByKey)]
}

/// The rows of jobs, and what their columns are.
pub struct Asked<'a> {
    pub table: &'a Table,
    pub rows: &'a Rows,
}

impl Asked<'_> {
    fn cell(&self, row: &Cells, column: &str) -> Value {
        let index = self.table.column_index(column).expect("a column of jobs");
        row.get(&index).cloned().unwrap_or(Value::Null)
    }

    /// The text that a condition looks for.
    fn text(&self, column: &str, row: usize) -> String {
        let row = (!self.rows.is_empty()).then(|| self.rows.values().nth(row % self.rows.len()));
        match row.flatten().map(|row| self.cell(row, column)) {
            Some(Value::Text(text)) => text.to_uppercase() + " ",
            _ => "none".to_owned(),
        }
    }

    fn sql(&self, condition: &Condition) -> String {
        match condition {
            Condition::IsNull(column, true) => format!("{column} IS NULL"),
            Condition::IsNull(column, false) => format!("{column} IS NOT NULL"),
            Condition::Whole(column, how, value) => format!("{column} {how} {value}"),
            Condition::Time(how, time) => format!("completedon {how} '{}'", time_text(*time)),
            Condition::Extension(n) => format!("owningextensionid = '{}'", guid_text(&[*n; 16])),
            Condition::Text(column, row) => format!("{column} = N'{}'", self.text(column, *row)),
        }
    }

    fn is_true(&self, condition: &Condition, row: &Cells) -> bool {
        fn compare<T: PartialOrd>(how: &str, a: T, b: T) -> bool {
            match how {
                "=" => a == b,
                "<>" => a != b,
                "<" => a < b,
                _ => a >= b,
            }
        }
        match condition {
            Condition::IsNull(column, is) => (self.cell(row, column) == Value::Null) == *is,
            Condition::Whole(column, how, value) => match self.cell(row, column) {
                Value::Int32(cell) => compare(how, cell, *value),
                _ => false,
            },
            Condition::Time(how, time) => match self.cell(row, "completedon") {
                Value::Time(cell) => compare(how, cell, *time),
                _ => false,
            },
            Condition::Extension(n) => self.cell(row, "owningextensionid") == Value::Guid([*n; 16]),
            Condition::Text(column, number) => match self.cell(row, column) {
                Value::Text(cell) => {
                    collation_key(&cell) == collation_key(&self.text(column, *number))
                }
                _ => false,
            },
        }
    }

    fn r#where(&self, conditions: &[Condition]) -> String {
        let all: Vec<String> = conditions.iter().map(|condition| self.sql(condition)).collect();
        if all.is_empty() { String::new() } else { format!(" WHERE {}", all.join(" AND ")) }
    }

    fn passing<'s>(&'s self, conditions: &'s [Condition]) -> impl Iterator<Item = &'s Cells> {
        let passes = |row: &&Cells| conditions.iter().all(|c| self.is_true(c, row));
        self.rows.values().filter(passes)
    }

    /// The question in SQL, and the rows that answer it.
    fn answered(&self, question: &Question) -> (String, Answer) {
        match question {
            Question::Groups { by, of, conditions } => {
                let mut columns = by.to_vec();
                let figures = format!(
                    "COUNT(*) AS jobs, SUM({of}) AS total, MIN({of}) AS least, MAX({of}) AS most"
                );
                columns.push(&figures);
                let mut text = format!("SELECT {} FROM asyncoperation", columns.join(", "));
                text += &self.r#where(conditions);
                if !by.is_empty() {
                    text += &format!(" GROUP BY {}", by.join(", "));
                }
                (text, self.groups(by, of, conditions))
            }
            Question::First { column, descending, rows, conditions } => {
                let direction = if *descending { " DESC" } else { "" };
                let text = format!(
                    "SELECT TOP ({rows}) {column} FROM asyncoperation{} ORDER BY {column}{direction}",
                    self.r#where(conditions)
                );
                let mut cells: Vec<(i64, Json)> = self
                    .passing(conditions)
                    .map(|row| self.cell(row, column))
                    .map(|cell| (number(&cell).unwrap_or(i64::MIN), shown(&cell)))
                    .collect();
                // Nulls are the least of all; no cell is as small as what stands for them.
                cells.sort_by_key(|(number, cell)| (!cell.is_null(), *number));
                if *descending {
                    cells.reverse();
                }
                let row = |cell: Json| Map::from_iter([((*column).to_owned(), cell)]);
                (text, cells.into_iter().take(*rows).map(|(_, cell)| row(cell)).collect())
            }
            Question::ByKey(key) => {
                let id: Guid = super::guid(*key);
                let text = format!(
                    "SELECT statuscode, sequence, owningextensionid FROM asyncoperation \
                     WHERE asyncoperationid = '{}'",
                    guid_text(&id)
                );
                let columns = ["statuscode", "sequence", "owningextensionid"];
                let row = |row: &Cells| {
                    columns.map(|name| (name.to_owned(), shown(&self.cell(row, name)))).into_iter()
                };
                (
                    text,
                    self.rows
                        .get(&id)
                        .map(|found| Map::from_iter(row(found)))
                        .into_iter()
                        .collect(),
                )
            }
        }
    }

    fn groups(&self, by: &[&'static str], of: &str, conditions: &[Condition]) -> Answer {
        let mut groups: BTreeMap<String, (Map<String, Json>, Vec<Value>)> = BTreeMap::new();
        if by.is_empty() {
            groups.entry("[]".to_owned()).or_default();
        }
        for row in self.passing(conditions) {
            let cells = by.iter().map(|name| ((*name).to_owned(), shown(&self.cell(row, name))));
            let key: Map<String, Json> = cells.collect();
            let text = if by.is_empty() { "[]".to_owned() } else { format!("{key:?}") };
            let group = groups.entry(text).or_insert((key, Vec::new()));
            group.1.push(self.cell(row, of));
        }
        let figures = |(mut row, cells): (Map<String, Json>, Vec<Value>)| {
            let numbers: Vec<i64> = cells.iter().filter_map(number).collect();
            let total: Option<i64> = (!numbers.is_empty()).then(|| numbers.iter().sum());
            row.insert("jobs".into(), json!(cells.len()));
            row.insert("total".into(), json!(total));
            row.insert("least".into(), json!(numbers.iter().min()));
            row.insert("most".into(), json!(numbers.iter().max()));
            row
        };
        groups.into_values().map(figures).collect()
    }
}

fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Int32(n) => Some((*n).into()),
        Value::Int64(n) | Value::Time(n) => Some(*n),
        _ => None,
    }
}

fn shown(value: &Value) -> Json {
    match value {
        Value::Int32(n) => json!(n),
        Value::Int64(n) => json!(n),
        Value::Boolean(is) => json!(is),
        Value::Time(time) => {
            let text = time_text(*time);
            match time.rem_euclid(1_000_000) {
                0 => json!(text),
                part => json!(format!("{}.{part:06}Z", text.trim_end_matches('Z'))),
            }
        }
        Value::Guid(id) => json!(guid_text(id)),
        _ => Json::Null,
    }
}

fn found(engine: &Engine, snapshot: &Arc<Snapshot>, text: &str) -> Answer {
    let plan = ask::plan(engine, snapshot, Some(Dialect::Sql), text, Context::default());
    let plan = plan.unwrap_or_else(|e| panic!("{text}: {e}"));
    let schema = engine.schema(plan.clone()).expect("columns");
    let mut writer = RowWriter::new(Format::Json, &schema, Vec::new()).expect("a writer");
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));
    let batches = RUNTIME.block_on(engine.collect(plan)).unwrap_or_else(|e| panic!("{text}: {e}"));
    batches.iter().for_each(|batch| writer.write(batch).expect("written"));
    serde_json::from_slice(&writer.finish().expect("written")).expect("JSON rows")
}

/// Fails if the engine's answer is not what the rows say.
pub fn check(question: &Question, asked: &Asked<'_>, snapshot: &Arc<Snapshot>, when: &str) {
    static COUNTING: LazyLock<Engine> = LazyLock::new(Engine::new);
    static SCANNING: LazyLock<Engine> =
        LazyLock::new(|| Engine::scanning(QueryLimits::default()).expect("no limits"));
    let (text, mut expected) = asked.answered(question);
    let in_order = matches!(question, Question::First { .. });
    let sort = |rows: &mut Answer| rows.sort_by_key(|row| json!(row).to_string());
    if !in_order {
        sort(&mut expected);
    }
    // Other questions are answered from the rows anyway.
    let counted = matches!(question, Question::Groups { .. });
    let engines = [("from rows", &SCANNING), ("from counts", &COUNTING)];
    for (how, engine) in engines.into_iter().take(1 + usize::from(counted)) {
        let mut rows = found(engine, snapshot, &text);
        if !in_order {
            sort(&mut rows);
        }
        assert_eq!(rows, expected, "{when}, {how}: {text}");
    }
}
