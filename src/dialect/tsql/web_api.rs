//! The SQL of the Web API's `sql` option: one `SELECT` of named columns, inner
//! and left joins on columns, conditions of a column and constants, groups by
//! columns. What is beyond it is refused by its name, though SQL sessions take
//! it. The first table of `FROM` is the one whose entity set is asked.

mod check;

use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Ident, OrderBy,
    OrderByExpr, OrderByKind, OrderByOptions, Query, Select, SelectItem, SetExpr, TableFactor,
};
use datafusion::sql::sqlparser::tokenizer::Location;

use self::check::Check;
use super::{Script, Session, Statement as Parsed, report, resolve};
use crate::catalog::{Catalog, Table};
use crate::error::Result;
use crate::query::Aggregate;

/// A checked `SELECT`.
#[derive(Debug)]
pub struct WebApiSelect {
    /// Its names are settled, its rows in an order that no two share.
    pub query: Box<Query>,
    /// The first table of `FROM`.
    pub table: Arc<Table>,
    pub columns: Vec<SelectedColumn>,
    pub aggregate: bool,
    pub distinct: bool,
}

/// A column of the answer.
#[derive(Debug)]
pub struct SelectedColumn {
    pub name: String,
    /// The query gave the name.
    pub aliased: bool,
    pub table: Arc<Table>,
    pub column: usize,
    /// Which table of the query, from 0.
    pub source: usize,
    pub aggregate: Option<Aggregate>,
}

const AGGREGATES: [&str; 5] = ["count", "sum", "avg", "min", "max"];

/// Parses and checks the text of the option, and settles its names.
pub fn parse_web_api(text: &str, catalog: &Catalog) -> Result<WebApiSelect> {
    let start = Location { line: 1, column: 1 };
    let script = Script::parse(text, std::iter::empty())?;
    let parsed = match script.plain().as_deref() {
        Some([Parsed::Query(parsed)]) => parsed.clone(),
        Some([other]) => {
            return Err(report::unsupported(format!("{} in a sql query", other.tag()), start));
        }
        _ => return Err(report::unsupported("anything but one SELECT", start)),
    };
    let location = parsed.location;
    let mut query = parsed.tree()?;
    let check = Check { location };
    let sources = check.query(&query, catalog)?;
    let SetExpr::Select(select) = query.body.as_mut() else {
        return Err(report::unsupported("anything but SELECT", location));
    };
    let distinct = select.distinct.is_some();
    let aggregate = has_groups(select);
    if !distinct && !aggregate {
        add_primary_key(select, &sources);
    }
    let keys = sort_keys(select, &sources, distinct, aggregate);
    let named = select.projection.clone();
    order_by(&mut query, keys);
    // The tables are there from here on.
    resolve::query(&mut query, catalog, &Session::default(), location)?;
    let (_, table) = &sources[0];
    let table =
        table.clone().ok_or_else(|| report::unsupported("a table without a name", location))?;
    let mut columns: Vec<SelectedColumn> = Vec::new();
    for item in &named {
        let mut column = selected(&check, item, &sources, &table)?;
        if columns.iter().any(|c| c.name == column.name) {
            column.name = format!("{}.{}", column.table.logical_name, column.name);
        }
        columns.push(column);
    }
    Ok(WebApiSelect { query, table, columns, aggregate, distinct })
}

/// The tables of a query by the names it gives them; nothing for an unknown one.
type Sources = Vec<(String, Option<Arc<Table>>)>;

/// What an item of the list after SELECT is in the answer.
fn selected(
    check: &Check,
    item: &SelectItem,
    sources: &Sources,
    root: &Arc<Table>,
) -> Result<SelectedColumn> {
    let (expr, alias) = match item {
        SelectItem::UnnamedExpr(expr) => (expr, None),
        SelectItem::ExprWithAlias { expr, alias } => (expr, Some(alias)),
        other => return check.refuse(other),
    };
    let aggregate = aggregate_of(expr);
    let argument = aggregate.as_ref().map_or(Some(expr), |(_, column)| *column);
    let found = argument.and_then(|column| column_in(column, sources));
    // COUNT(*) is of no column; the key stands for the rows.
    let (source, table, column) = match (found, argument) {
        (Some(found), _) => found,
        (None, None) => (0, root.clone(), root.primary_id_index()),
        (None, Some(column)) => return check.refuse(format!("'{column}'")),
    };
    let name = match (alias, aggregate.is_some()) {
        (Some(alias), _) => alias.value.clone(),
        (None, true) => expr.to_string().to_lowercase(),
        (None, false) => table.columns[column].property_name(),
    };
    let aggregate = aggregate.map(|(aggregate, _)| aggregate);
    Ok(SelectedColumn { name, aliased: alias.is_some(), table, column, source, aggregate })
}

fn has_groups(select: &Select) -> bool {
    let grouped = matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if !keys.is_empty());
    grouped || select.projection.iter().filter_map(expr_of).any(|e| aggregate_of(e).is_some())
}

fn expr_of(item: &SelectItem) -> Option<&Expr> {
    match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
        _ => None,
    }
}

fn is_column(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) => is_column(inner),
        _ => matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_)),
    }
}

/// The aggregate that a call is, and its column; `COUNT(*)` has none.
fn aggregate_of(expr: &Expr) -> Option<(Aggregate, Option<&Expr>)> {
    let Expr::Function(function) = expr else { return None };
    let name = function.name.to_string().to_lowercase();
    let FunctionArguments::List(list) = &function.args else { return None };
    let known = AGGREGATES.contains(&name.as_str());
    let ([argument], true) = (list.args.as_slice(), known) else { return None };
    let distinct = list.duplicate_treatment.is_some_and(|d| d.to_string() == "DISTINCT");
    let column = match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Wildcard) if name == "count" => None,
        FunctionArg::Unnamed(FunctionArgExpr::Expr(column)) if is_column(column) => Some(column),
        _ => return None,
    };
    let aggregate = match name.as_str() {
        "count" if column.is_none() => Aggregate::Count,
        "count" => Aggregate::CountColumn { distinct },
        "sum" => Aggregate::Sum,
        "avg" => Aggregate::Avg,
        "min" => Aggregate::Min,
        _ => Aggregate::Max,
    };
    Some((aggregate, column))
}

fn sources(select: &Select, catalog: &Catalog) -> Result<Sources> {
    let joins = select.from.iter().flat_map(|f| f.joins.iter().map(|j| &j.relation));
    let tables = select.from.iter().map(|f| &f.relation).chain(joins);
    Ok(tables.map(|table| name_of(table, catalog)).collect())
}

fn name_of(factor: &TableFactor, catalog: &Catalog) -> (String, Option<Arc<Table>>) {
    let TableFactor::Table { name, alias, .. } = factor else { return (String::new(), None) };
    let last = name.0.last().and_then(|part| part.as_ident());
    let last = last.map_or_else(String::new, |ident| ident.value.clone());
    let table = catalog.table(&last.to_lowercase()).cloned();
    (alias.as_ref().map_or(last, |alias| alias.name.value.clone()), table)
}

/// The table and number of a column, and which table of the query that is.
fn column_in(expr: &Expr, sources: &Sources) -> Option<(usize, Arc<Table>, usize)> {
    let (of, name) = match expr {
        Expr::Nested(inner) => return column_in(inner, sources),
        Expr::Identifier(name) => (None, name),
        Expr::CompoundIdentifier(parts) => {
            let (name, before) = parts.split_last()?;
            (before.last(), name)
        }
        _ => return None,
    };
    sources.iter().enumerate().find_map(|(i, (called, table))| {
        let meant = of.is_none_or(|of| of.value.eq_ignore_ascii_case(called));
        let table = table.as_ref().filter(|_| meant)?;
        Some((i, table.clone(), table.column_index_any_case(&name.value)?))
    })
}

/// The key of the first table, written with the table's name.
fn primary_key(sources: &Sources) -> Option<Expr> {
    let (called, table) = sources.first()?;
    let parts = [called.as_str(), table.as_ref()?.primary_id.as_str()];
    Some(Expr::CompoundIdentifier(parts.map(|part| Ident::with_quote('"', part)).to_vec()))
}

fn add_primary_key(select: &mut Select, sources: &Sources) {
    let Some(key) = primary_key(sources) else { return };
    let is_key = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(expr) => {
            column_in(expr, sources).is_some_and(|(source, table, column)| {
                source == 0 && column == table.primary_id_index()
            })
        }
        _ => false,
    };
    if !select.projection.iter().any(is_key) {
        select.projection.push(SelectItem::UnnamedExpr(key));
    }
}

/// What settles the order of rows that the query leaves open, so that pages join.
fn sort_keys(select: &Select, sources: &Sources, distinct: bool, aggregate: bool) -> Vec<Expr> {
    match (&select.group_by, distinct, aggregate) {
        (_, true, _) => {
            select.projection.iter().filter_map(expr_of).filter(|e| is_column(e)).cloned().collect()
        }
        (GroupByExpr::Expressions(keys, _), _, true) => keys.clone(),
        _ => primary_key(sources).into_iter().collect(),
    }
}

fn order_by(query: &mut Query, keys: Vec<Expr>) {
    let order = query.order_by.get_or_insert_with(|| OrderBy {
        kind: OrderByKind::Expressions(Vec::new()),
        interpolate: None,
    });
    if let OrderByKind::Expressions(list) = &mut order.kind {
        for expr in keys {
            if list.iter().all(|key| key.expr.to_string() != expr.to_string()) {
                let options = OrderByOptions { asc: None, nulls_first: None };
                list.push(OrderByExpr { expr, options, with_fill: None });
            }
        }
        if list.is_empty() {
            query.order_by = None;
        }
    }
}
