//! Bound queries run on a handful of rows that a person can check.

mod aggregates;
mod columns;
mod expressions;
mod first;
mod related;
mod stages;

use std::sync::Arc;

use serde_json::Value as Json;

use crate::catalog::Catalog;
use crate::dialect::fetchxml;
use crate::encode::{Annotations, WebApiEncoder};
use crate::engine::Engine;
use crate::error::{Error, Place, Result};
use crate::query::bind::{BindOptions, bind};
use crate::query::*;
use crate::store::{Change, Snapshot, Store};
use crate::value::Value;

/// Three contacts; accounts of which one has no contact; jobs about them.
struct World {
    engine: Engine,
    snapshot: Arc<Snapshot>,
    _store: Store,
    _folder: tempfile::TempDir,
}

fn id(kind: u8, number: u8) -> Value {
    let mut id = [kind; 16];
    id[15] = number;
    Value::Guid(id)
}

fn text(text: &str) -> Value {
    match text {
        "" => Value::Null,
        text => Value::Text(text.into()),
    }
}

fn number(number: i32) -> Value {
    match number {
        -1 => Value::Null,
        number => Value::Int32(number),
    }
}

/// A row that another points to; 0 is none.
fn to(kind: u8, number: u8) -> Value {
    match number {
        0 => Value::Null,
        number => id(kind, number),
    }
}

/// name, contact, parent, employees, revenue in ten-thousandths
const ACCOUNTS: [(&str, u8, u8, i32, i128); 4] = [
    ("Contoso", 1, 0, 5, 1_000_000),
    ("Fabrikam", 1, 1, 10, 505_000),
    ("contoso ", 2, 1, -1, 0),
    ("Litware", 0, 2, 20, 0),
];

/// name, account, retries, state, second of creation
const JOBS: [(&str, u8, i32, i32, i64); 5] = [
    ("one", 1, 1, 3, 40),
    ("two", 1, 9, 3, 30),
    ("three", 3, -1, 0, 20),
    ("four", 0, 2, 1, 86_400 * 40),
    ("five", 4, 2, 0, 86_400 * 40),
];

fn world() -> World {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(folder.path(), Arc::new(Catalog::built_in())).expect("a new store");
    let insert = |name: &str, values: Vec<(&str, Value)>| {
        let table = store.catalog().table_index(name).expect("built in");
        let facts = store.catalog().tables()[table].clone();
        let at = |name: &str| facts.column_index(name).expect("a column");
        Change::Insert { table, values: values.into_iter().map(|(c, v)| (at(c), v)).collect() }
    };
    let mut changes = Vec::new();
    for (i, name) in ["Ann", "Bob", ""].into_iter().enumerate() {
        let values = vec![("contactid", id(1, i as u8 + 1)), ("fullname", text(name))];
        changes.push(insert("contact", values));
    }
    for (i, (name, contact, parent, employees, revenue)) in ACCOUNTS.into_iter().enumerate() {
        let revenue = if revenue == 0 { Value::Null } else { Value::Decimal(revenue) };
        let values = vec![
            ("accountid", id(2, i as u8 + 1)),
            ("name", text(name)),
            ("primarycontactid", to(1, contact)),
            ("parentaccountid", to(2, parent)),
            ("numberofemployees", number(employees)),
            ("revenue", revenue),
        ];
        changes.push(insert("account", values));
    }
    for (i, (name, account, retries, state, second)) in JOBS.into_iter().enumerate() {
        let values = vec![
            ("asyncoperationid", id(3, i as u8 + 1)),
            ("name", text(name)),
            ("regardingobjectid", to(2, account)),
            ("retrycount", number(retries)),
            ("statecode", Value::Int32(state)),
            ("createdon", Value::Time(second * 1_000_000)),
        ];
        changes.push(insert("asyncoperation", values));
    }
    store.commit_blocking(changes).expect("durable");
    World { engine: Engine::new(), snapshot: store.snapshot(), _store: store, _folder: folder }
}

impl World {
    /// The rows of a query as the Web API writes them.
    async fn try_rows(&self, select: &Select) -> Result<Vec<Json>> {
        let context = Context { now: 100 * 1_000_000, ..Context::default() };
        let options = BindOptions { context, ..BindOptions::default() };
        let bound = bind(select, self.snapshot.catalog(), &options)?;
        let plan = self.engine.plan(&bound, &self.snapshot)?;
        let mut encoder = WebApiEncoder::new(&bound, &Annotations::default());
        let mut out = b"[".to_vec();
        for batch in self.engine.collect(plan).await? {
            encoder.rows_json(&batch, &[], &mut out)?;
        }
        out.push(b']');
        Ok(serde_json::from_slice(&out).expect("the encoder writes JSON"))
    }

    async fn rows(&self, select: &Select) -> Vec<Json> {
        self.try_rows(select).await.unwrap_or_else(|e| panic!("{select:?}: {e}"))
    }

    async fn fetch(&self, text: &str) -> Vec<Json> {
        let select = fetchxml::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        self.try_rows(&select).await.unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    async fn fetch_error(&self, text: &str) -> Error {
        match fetchxml::parse(text) {
            Err(error) => error,
            Ok(select) => self.try_rows(&select).await.expect_err("is refused"),
        }
    }
}

/// A column of all rows; null and absent are the same.
fn column(rows: &[Json], name: &str) -> Vec<Json> {
    rows.iter().map(|row| row.get(name).cloned().unwrap_or_default()).collect()
}

fn name(text: &str) -> Name {
    Name { text: text.into(), at: Place::Option { name: "$here".into(), position: 7 } }
}

/// `a/b/column`, from the variable `$x` with `x/a/b/column`.
fn reference(path: &str) -> ColumnRef {
    let mut names: Vec<Name> = path.split('/').map(name).collect();
    let column = names.pop().expect("a path has a last part");
    let path = match names.first() {
        None => Path::Here,
        Some(first) if first.text.len() == 1 => {
            let variable = names.remove(0);
            Path::Variable { variable, navigation: names }
        }
        Some(_) => Path::Navigation(names),
    };
    ColumnRef { path, name: column }
}

fn literal(kind: LiteralKind, text: &str) -> Literal {
    Literal { kind, text: text.into(), at: name("").at }
}

fn condition(path: &str, operator: Operator, values: &[(LiteralKind, &str)]) -> Filter {
    let value = |(kind, text): &(LiteralKind, &str)| Operand::Value(literal(*kind, text));
    Filter::Condition(Condition {
        column: reference(path),
        test: Test::Compare(operator),
        operands: values.iter().map(value).collect(),
        at: name("").at,
    })
}

/// All rows of a table, one column, in the order of its values.
fn of(table: &str, shown: &str, filter: Option<Filter>) -> Select {
    let column = Column { column: reference(shown), alias: None, role: Role::Plain };
    let by = OrderBy::Column(reference(shown));
    Select {
        columns: Columns::List(vec![column]),
        filter,
        order: vec![Order { by, descending: false }],
        ..Select::of(Style::OData, name(table))
    }
}

fn call(function: Function, arguments: Vec<Expression>) -> Expression {
    Expression::Call { function, arguments, at: name("").at }
}

fn col(path: &str) -> Expression {
    Expression::Column(reference(path))
}

fn num(text: &str) -> Expression {
    Expression::Literal(literal(LiteralKind::Number, text))
}

fn quoted(text: &str) -> Expression {
    Expression::Literal(literal(LiteralKind::Text, text))
}

/// Groups, then aggregates under an alias.
fn grouped(input: Select, groups: &[&str], aggregates: &[(&str, Aggregate, &str)]) -> Select {
    let group = |path: &&str| {
        // The parser names what is behind a navigation property so.
        let alias = path.split_once('/').map(|(_, column)| name(&format!("contact_{column}")));
        Column { column: reference(path), alias, role: Role::Group(None) }
    };
    let aggregate = |(column, aggregate, alias): &(&str, Aggregate, &str)| Column {
        column: reference(column),
        alias: Some(name(alias)),
        role: Role::Aggregate(*aggregate),
    };
    let columns = groups.iter().map(group).chain(aggregates.iter().map(aggregate)).collect();
    Select { aggregate: true, columns: Columns::List(columns), ..after(input) }
}

/// A query over the answer of another.
fn after(input: Select) -> Select {
    let table = input.table.clone();
    let plain = matches!(input.columns, Columns::All) && input.filter.is_none();
    let input = if plain && matches!(input.input, Input::Table) && !input.is_part() {
        Input::Table
    } else {
        Input::Select(Box::new(input))
    };
    Select { input, ..Select::of(Style::OData, table) }
}

trait IsPart {
    fn is_part(&self) -> bool;
}

impl IsPart for Select {
    fn is_part(&self) -> bool {
        self.top.is_some() || self.share.is_some() || self.skip > 0 || !self.compute.is_empty()
    }
}

fn by(path: &str, descending: bool) -> Order {
    Order { by: OrderBy::Column(reference(path)), descending }
}
