//! Rows kept by their place among the others, which takes a query around the
//! query: `TOP … PERCENT`, `WITH TIES`, `DISTINCT ON`.
//!
//! The inner query numbers its rows, the outer one keeps some and sorts them.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Distinct, Expr, OrderByExpr, OrderByKind, OrderByOptions,
    Query, Select, SelectItem, SetExpr, Value, visit_expressions,
};

use super::build;
use super::scope::{Output, same};
use crate::dialect::tsql::{functions, report};
use crate::error::Result;

/// Which of the numbered rows stay.
#[derive(Debug)]
pub(super) enum Kept {
    /// The first ones, and with ties those equal to the last.
    First { rows: Box<Expr>, percent: bool, ties: bool },
    /// The first row of each group (`DISTINCT ON`); the keys are resolved.
    OneOf(Vec<Expr>),
    /// All rows: only their order needs columns that are not shown.
    All,
}

const SOURCE: &str = "ranked rows";
const ROW: &str = "row number";
const RANK: &str = "row rank";
const TOTAL: &str = "row count";

/// Puts a resolved query into one that keeps some of its rows.
pub(super) fn keep(query: &mut Query, outputs: &[Output], kept: Kept) -> Result<()> {
    let SetExpr::Select(select) = query.body.as_mut() else { return Ok(()) };
    let names = unique_names(outputs);
    let mut keys = match query.order_by.take().map(|o| o.kind) {
        Some(OrderByKind::Expressions(keys)) => keys,
        _ => Vec::new(),
    };
    for key in &mut keys {
        key.expr = item_behind(&key.expr, &select.projection).unwrap_or_else(|| key.expr.clone());
    }
    if matches!(select.distinct, Some(Distinct::Distinct)) {
        around_distinct(select, &mut keys, &names);
    }
    select.distinct = None;
    let items = std::mem::take(&mut select.projection);
    let exprs = items.into_iter().filter_map(expr_of);
    select.projection = exprs.zip(&names).map(|(expr, name)| build::item(expr, name)).collect();
    for (i, key) in keys.iter().enumerate() {
        select.projection.push(build::item(key.expr.clone(), &key_name(i)));
    }
    if matches!(kept, Kept::First { .. }) && keys.iter().any(|key| has_window(&key.expr)) {
        around_windows(select, &mut keys, &names);
    }
    let groups = match &kept {
        Kept::OneOf(on) => on.clone(),
        Kept::First { .. } | Kept::All => Vec::new(),
    };
    let mut number = |name: &str, args, keys: &[OrderByExpr], heading: &str| {
        let call = build::over(name, args, groups.clone(), keys.to_vec());
        select.projection.push(build::item(bigint(call), heading));
    };
    if !matches!(kept, Kept::All) {
        number("row_number", Vec::new(), &keys, ROW);
    }
    if let Kept::First { percent, ties, .. } = &kept {
        if *ties {
            number("rank", Vec::new(), &keys, RANK);
        }
        if *percent {
            number("count", vec![build::number(1)], &[], TOTAL);
        }
    }
    let at = |name: &str| build::column(SOURCE, name);
    let condition = match kept {
        Kept::All => None,
        Kept::OneOf(_) => Some(build::binary(at(ROW), BinaryOperator::Eq, build::number(1))),
        Kept::First { rows, percent, ties } => {
            let rows = if percent { share(*rows, at(TOTAL)) } else { bigint(*rows) };
            Some(build::binary(at(if ties { RANK } else { ROW }), BinaryOperator::LtEq, rows))
        }
    };
    let shown = names.iter().map(|name| build::item(at(name), name)).collect();
    let body = std::mem::replace(query.body.as_mut(), build::body(build::select(Vec::new(), None)));
    let mut outer = build::select(shown, Some(build::derived(build::query(body), SOURCE)));
    let numbered = condition.is_some();
    outer.selection = condition;
    let mut order: Vec<OrderByExpr> = keys
        .into_iter()
        .enumerate()
        .map(|(i, key)| OrderByExpr { expr: at(&key_name(i)), ..key })
        .collect();
    if numbered {
        let options = OrderByOptions { asc: None, nulls_first: None };
        order.push(OrderByExpr { expr: at(ROW), options, with_fill: None });
    }
    *query.body = build::body(outer);
    query.order_by = Some(build::order_by(order));
    Ok(())
}

/// `CEILING(total * p / 100)`.
fn share(percent: Expr, total: Expr) -> Expr {
    let float =
        |expr| cast(expr, DataType::Double(datafusion::sql::sqlparser::ast::ExactNumberInfo::None));
    let part = build::binary(float(total), BinaryOperator::Multiply, float(percent));
    let part = build::binary(part, BinaryOperator::Divide, float(build::number(100)));
    bigint(functions::call("ceil", vec![part]))
}

fn bigint(expr: Expr) -> Expr {
    cast(expr, DataType::BigInt(None))
}

fn cast(expr: Expr, data_type: DataType) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr), data_type, array: false, format: None }
}

/// What the column of a sort key is called.
pub(super) fn key_name(i: usize) -> String {
    format!("sort key {i}")
}

/// Whether a window function stands in an expression.
pub(super) fn has_window(expr: &Expr) -> bool {
    let over = |e: &Expr| match e {
        Expr::Function(call) if call.over.is_some() => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    visit_expressions(expr, over).is_break()
}

/// Sort keys with window functions are columns before the rows are numbered by them.
fn around_windows(select: &mut Box<Select>, keys: &mut [OrderByExpr], names: &[String]) {
    const WINDOWED: &str = "windowed rows";
    let column = |name: &str| build::item(build::column(WINDOWED, name), name);
    let key_names: Vec<String> = (0..keys.len()).map(key_name).collect();
    let items = names.iter().chain(&key_names).map(|name| column(name)).collect();
    let inner = std::mem::replace(select.as_mut(), build::select(items, None));
    let source = build::derived(build::query(build::body(inner)), WINDOWED);
    select.from = build::select(Vec::new(), Some(source)).from;
    for (key, name) in keys.iter_mut().zip(&key_names) {
        key.expr = build::column(WINDOWED, name);
    }
}

/// The resolved sort keys and items of a plain `SELECT`.
fn keys_and_items(query: &mut Query) -> Option<(&mut Vec<OrderByExpr>, &Select)> {
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    match &mut query.order_by.as_mut()?.kind {
        OrderByKind::Expressions(keys) => Some((keys, select)),
        OrderByKind::All(_) => None,
    }
}

/// Which item an expression is, word by word.
fn place_in(items: &[SelectItem], expr: &Expr) -> Option<usize> {
    let text = expr.to_string();
    items.iter().position(|item| match item {
        SelectItem::UnnamedExpr(own) | SelectItem::ExprWithAlias { expr: own, .. } => {
            own.to_string() == text
        }
        _ => false,
    })
}

/// Whether a sort key is about a column whose name another item has as its own, as in
/// `SELECT CAST(a AS varchar(10)) … ORDER BY a`.
pub(super) fn orders_by_hidden(query: &mut Query) -> bool {
    let Some((keys, select)) = keys_and_items(query) else { return false };
    let hides = |column: &Expr, name: &str| {
        select.projection.iter().any(|item| match item {
            SelectItem::ExprWithAlias { expr, alias } => {
                same(&alias.value, name) && expr.to_string() != column.to_string()
            }
            _ => false,
        })
    };
    select.distinct.is_none()
        && keys.iter().any(|key| {
            let hidden = |e: &Expr| match e {
                Expr::CompoundIdentifier(parts)
                    if parts.last().is_some_and(|name| hides(e, &name.value)) =>
                {
                    ControlFlow::Break(())
                }
                _ => ControlFlow::Continue(()),
            };
            place_in(&select.projection, &key.expr).is_none()
                && visit_expressions(&key.expr, hidden).is_break()
        })
}

/// Sort keys of distinct rows are items, and are called by their numbers.
pub(super) fn number_distinct_keys(query: &mut Query) {
    let Some((keys, select)) = keys_and_items(query) else { return };
    if !matches!(select.distinct, Some(Distinct::Distinct)) {
        return;
    }
    for key in keys {
        if !matches!(key.expr, Expr::Value(_))
            && let Some(place) = place_in(&select.projection, &key.expr)
        {
            key.expr = build::number(place + 1);
        }
    }
}

/// The rows are made distinct before they are numbered.
fn around_distinct(select: &mut Box<Select>, keys: &mut [OrderByExpr], names: &[String]) {
    const DISTINCT: &str = "distinct rows";
    let exprs: Vec<Expr> =
        std::mem::take(&mut select.projection).into_iter().filter_map(expr_of).collect();
    for key in keys {
        let text = key.expr.to_string();
        if let Some(i) = exprs.iter().position(|expr| expr.to_string() == text) {
            key.expr = build::column(DISTINCT, &names[i]);
        }
    }
    select.projection =
        exprs.into_iter().zip(names).map(|(expr, name)| build::item(expr, name)).collect();
    let shown = names.iter().map(|name| build::item(build::column(DISTINCT, name), name)).collect();
    let outer = build::select(shown, None);
    let inner = std::mem::replace(select.as_mut(), outer);
    let source = build::derived(build::query(build::body(inner)), DISTINCT);
    let from = build::select(Vec::new(), Some(source)).from;
    select.from = from;
}

/// What a sort key says by number or alias, as the item of the select list.
pub(super) fn item_behind(key: &Expr, items: &[SelectItem]) -> Option<Expr> {
    match key {
        Expr::Value(value) => {
            let Value::Number(number, _) = &value.value else { return None };
            let index: usize = number.parse().ok()?;
            expr_of(items.get(index.checked_sub(1)?)?.clone())
        }
        Expr::Identifier(ident) => items.iter().find_map(|item| match item {
            SelectItem::ExprWithAlias { expr, alias } if same(&alias.value, &ident.value) => {
                Some(expr.clone())
            }
            _ => None,
        }),
        _ => None,
    }
}

/// The expression of an item.
pub(super) fn expr_of(item: SelectItem) -> Option<Expr> {
    match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
        _ => None,
    }
}

/// The headings, no two the same.
pub(super) fn unique_names(outputs: &[Output]) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(outputs.len());
    for output in outputs {
        let mut name = output.name.clone();
        let mut n = 1;
        while names.contains(&name) {
            name = format!("{}_{n}", output.name);
            n += 1;
        }
        names.push(name);
    }
    names
}

/// The error for `WITH TIES` without an order.
pub(super) fn unordered(
    location: datafusion::sql::sqlparser::tokenizer::Location,
) -> crate::error::Error {
    let message = "The TOP N WITH TIES clause is not allowed without a corresponding ORDER BY \
                   clause (Msg 1062)";
    report::invalid("42601", message.to_owned(), location)
}
