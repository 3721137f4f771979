//! `FOR JSON PATH` and `FOR JSON AUTO`: the rows of a query as one text.
//!
//! The rows become objects in a `STRING_AGG` over them. Where each row of `FROM` is
//! one of the answer that stands in the `SELECT` itself, else around it.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, ForClause, ForJson, FunctionArgumentClause, FunctionArguments,
    OrderByExpr, OrderByKind, Query, Select, SelectItem, SetExpr, Value,
};
use datafusion::sql::sqlparser::tokenizer::Location;

use super::ranked::{self, Kept, expr_of, has_window, item_behind, unique_names};
use super::scope::{Holds, Output, same};
use super::{Resolver, build, grouping};
use crate::dialect::tsql::{functions, report};
use crate::error::Result;

/// What SQL Server calls the column.
const HEADING: &str = "JSON_F52E2B61-18A1-11d1-B105-00805F49916B";

const ROWS: &str = "json rows";
const LIST: &str = "sql_json_array";

/// What `FOR JSON` asks for.
pub(super) struct Form {
    path: bool,
    nulls: bool,
    root: Option<String>,
    wrapped: bool,
    location: Location,
}

impl Resolver<'_> {
    /// Takes `FOR JSON` out of a query.
    pub(super) fn take_json(&self, query: &mut Query) -> Result<Option<Form>> {
        let location = match query.body.as_ref() {
            SetExpr::Select(select) => select.select_token.0.span.start,
            _ => self.location,
        };
        let (path, root, nulls, wrapped) = match query.for_clause.take() {
            Some(ForClause::Json {
                for_json,
                root,
                include_null_values,
                without_array_wrapper,
            }) => (for_json == ForJson::Path, root, include_null_values, !without_array_wrapper),
            other => {
                query.for_clause = other;
                return Ok(None);
            }
        };
        let wrong = |message: &str| Err(report::invalid("42601", message.to_owned(), location));
        if root.is_some() && !wrapped {
            return wrong(
                "ROOT option and WITHOUT_ARRAY_WRAPPER option cannot be used together in FOR \
                 JSON. Remove one of these options (Msg 13620)",
            );
        }
        if !path {
            let tables = match query.body.as_ref() {
                SetExpr::Select(select) => {
                    select.from.iter().map(|item| 1 + item.joins.len()).sum::<usize>()
                }
                _ => 1,
            };
            if tables == 0 {
                return wrong(
                    "FOR JSON AUTO requires at least one table for generating JSON objects. Use \
                     FOR JSON PATH or add a FROM clause with a table name (Msg 13600)",
                );
            }
            if tables > 1 {
                let what = "FOR JSON AUTO over several tables, where FOR JSON PATH is not meant,";
                return Err(report::unsupported(what, location));
            }
        }
        Ok(Some(Form { path, nulls, root, wrapped, location }))
    }

    /// Puts the rows of a resolved query into one text.
    pub(super) fn json_rows(
        &self,
        query: &mut Query,
        outputs: Vec<Output>,
        form: &Form,
    ) -> Result<Vec<Output>> {
        check_names(&outputs, form)?;
        let parts = if is_regular(query) { inside(query) } else { around(query, &outputs)? };
        let Parts { mut select, values, json, keys } = parts;
        let objects = form.object(&outputs, values, &json);
        select.projection = vec![build::item(form.text(objects, keys), HEADING)];
        // Without rows there is no answer; a query used as a value is NULL then.
        if self.scopes.is_empty() {
            let count = functions::call("count", vec![build::number(1)]);
            select.having = Some(build::binary(count, BinaryOperator::Gt, build::number(0)));
        }
        *query.body = SetExpr::Select(select);
        Ok(vec![Output::named(HEADING.to_owned(), Holds::Other)])
    }
}

fn check_names(outputs: &[Output], form: &Form) -> Result<()> {
    for (at, output) in outputs.iter().enumerate() {
        if output.written.is_none() {
            let message = "Column expressions and data sources without names or aliases cannot be \
                           formatted as JSON text using FOR JSON clause. Add alias to the unnamed \
                           column or table (Msg 13605)";
            return Err(report::invalid("42601", message.to_owned(), form.location));
        }
        if outputs[..at].iter().any(|other| same(&other.heading, &output.heading)) {
            let message = format!(
                "Property '{}' cannot be generated in JSON output due to a conflict with another \
                 column name or alias. Use different names and aliases for each column in SELECT \
                 list (Msg 13601)",
                output.heading
            );
            return Err(report::invalid("42701", message, form.location));
        }
    }
    Ok(())
}

/// A `SELECT` without its list.
struct Parts {
    select: Box<Select>,
    values: Vec<Expr>,
    /// Which of the values are JSON already.
    json: Vec<bool>,
    keys: Vec<OrderByExpr>,
}

/// Whether each row of `FROM` is one of the answer, and the values are of that row alone.
fn is_regular(query: &Query) -> bool {
    let SetExpr::Select(select) = query.body.as_ref() else { return false };
    let plain = |item: &SelectItem| {
        expr_of(item.clone()).is_some_and(|expr| !has_window(&expr) && !grouping::has_query(&expr))
    };
    query.limit_clause.is_none()
        && select.distinct.is_none()
        && !grouping::has_groups(select)
        && select.having.is_none()
        && select.projection.iter().all(plain)
}

/// The `SELECT` of a query whose rows are listed in it.
fn inside(query: &mut Query) -> Parts {
    let mut keys = keys_of(query);
    let body = std::mem::replace(query.body.as_mut(), SetExpr::Select(empty()));
    let mut select = match body {
        SetExpr::Select(select) => select,
        _ => empty(),
    };
    for key in &mut keys {
        key.expr = item_behind(&key.expr, &select.projection).unwrap_or_else(|| key.expr.clone());
    }
    let items = std::mem::take(&mut select.projection);
    let values: Vec<Expr> = items.into_iter().filter_map(expr_of).collect();
    let json = values.iter().map(is_json).collect();
    query.order_by = None;
    Parts { select, values, json, keys }
}

/// A `SELECT` around a query, by whose columns its rows are sorted too.
fn around(query: &mut Query, outputs: &[Output]) -> Result<Parts> {
    let names = unique_names(outputs);
    let mut json = vec![false; names.len()];
    if let SetExpr::Select(select) = query.body.as_ref() {
        let items = select.projection.iter().cloned().filter_map(expr_of);
        json = items.map(|item| is_json(&item)).collect();
        if query.order_by.is_some() {
            ranked::keep(query, outputs, Kept::All)?;
        }
    }
    let mut keys = keys_of(query);
    if let SetExpr::Select(select) = query.body.as_mut() {
        let items = std::mem::take(&mut select.projection).into_iter().filter_map(expr_of);
        select.projection = items.zip(&names).map(|(expr, name)| build::item(expr, name)).collect();
        for (at, key) in keys.iter_mut().enumerate() {
            let value =
                std::mem::replace(&mut key.expr, build::column(ROWS, &ranked::key_name(at)));
            select.projection.push(build::item(value, &ranked::key_name(at)));
        }
    } else {
        // The rows of several queries are sorted by their columns.
        for key in &mut keys {
            let named = |name: &String| build::column(ROWS, name);
            let column = match &key.expr {
                Expr::Identifier(ident) => names.iter().find(|name| same(name, &ident.value)),
                Expr::Value(value) => match &value.value {
                    Value::Number(number, _) => {
                        number.parse::<usize>().ok().and_then(|n| names.get(n.checked_sub(1)?))
                    }
                    _ => None,
                },
                _ => None,
            };
            key.expr = column.map_or_else(|| key.expr.clone(), named);
        }
    }
    let mut rows = build::query(SetExpr::Select(empty()));
    std::mem::swap(rows.as_mut(), query);
    if rows.limit_clause.is_none() {
        rows.order_by = None;
    }
    let values = names.iter().map(|name| build::column(ROWS, name)).collect();
    let select = Box::new(build::select(Vec::new(), Some(build::derived(rows, ROWS))));
    Ok(Parts { select, values, json, keys })
}

fn empty() -> Box<Select> {
    Box::new(build::select(Vec::new(), None))
}

fn keys_of(query: &Query) -> Vec<OrderByExpr> {
    match query.order_by.as_ref().map(|order| &order.kind) {
        Some(OrderByKind::Expressions(keys)) => keys.clone(),
        _ => Vec::new(),
    }
}

/// Whether a resolved value is JSON: an answer of `JSON_QUERY`, or of `FOR JSON` with its
/// brackets.
fn is_json(value: &Expr) -> bool {
    match value {
        Expr::Nested(inner) => is_json(inner),
        Expr::Function(function) => {
            let name = function.name.to_string();
            name == "json_query" || name == LIST
        }
        Expr::Subquery(query) => match query.body.as_ref() {
            SetExpr::Select(select) => match select.projection.as_slice() {
                [item] => expr_of(item.clone()).is_some_and(|value| is_json(&value)),
                _ => false,
            },
            _ => false,
        },
        _ => false,
    }
}

impl Form {
    /// The object of a row.
    fn object(&self, outputs: &[Output], values: Vec<Expr>, json: &[bool]) -> Expr {
        let mut letters = String::new();
        letters.push(if self.path { 'p' } else { 'a' });
        letters.push(if self.nulls { 'n' } else { '-' });
        letters.extend(json.iter().map(|json| if *json { 'r' } else { 'v' }));
        let mut args = vec![functions::text(&letters)];
        for (output, value) in outputs.iter().zip(values) {
            args.push(functions::text(&output.heading));
            args.push(match output.holds {
                Holds::TableName => functions::call("sql_table_name", vec![value]),
                Holds::Other => value,
            });
        }
        functions::call("sql_json_row", args)
    }

    /// The text of all objects.
    fn text(&self, objects: Expr, keys: Vec<OrderByExpr>) -> Expr {
        let mut list = functions::call("string_agg", vec![objects, functions::text(",")]);
        if let Expr::Function(function) = &mut list
            && let FunctionArguments::List(arguments) = &mut function.args
            && !keys.is_empty()
        {
            arguments.clauses.push(FunctionArgumentClause::OrderBy(keys));
        }
        if !self.wrapped {
            return list;
        }
        let root = self.root.iter().map(|root| functions::text(root));
        functions::call(LIST, std::iter::once(list).chain(root).collect())
    }
}
