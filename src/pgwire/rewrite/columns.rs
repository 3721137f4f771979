//! The columns of an answer: their names, and numbers of objects as names.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, OrderByKind, Query, SelectItem, SetExpr, visit_expressions,
};

use super::from;
use super::subqueries::counted;
use super::{UNIQUE, as_text, names_function, numbered, type_name};

/// Functions that tell of the session, and have several names.
const SESSION_NAMES: &[&str] = &[
    "current_catalog",
    "current_database",
    "current_role",
    "current_user",
    "session_user",
    "user",
];

/// PostgreSQL lets columns of one answer have the same name, DataFusion does not.
pub fn unique_columns(body: &mut SetExpr) {
    match body {
        SetExpr::SetOperation { left, right, .. } => {
            unique_columns(left);
            unique_columns(right);
        }
        SetExpr::Select(select) => {
            let is_wildcard = |item: &SelectItem| {
                matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..))
            };
            let wildcard = select.projection.iter().any(is_wildcard);
            let mut seen = HashSet::new();
            for (at, item) in select.projection.iter_mut().enumerate() {
                let (expr, alias) = match item {
                    SelectItem::UnnamedExpr(expr) => (expr.clone(), None),
                    SelectItem::ExprWithAlias { expr, alias } => {
                        (expr.clone(), Some(alias.value.clone()))
                    }
                    _ => continue,
                };
                let last = match &expr {
                    Expr::Identifier(name) => Some(name.value.clone()),
                    Expr::CompoundIdentifier(names) => names.last().map(|n| n.value.clone()),
                    _ => None,
                };
                let column = alias.is_none() && last.is_some();
                let name = alias.or(last).unwrap_or_else(|| shown_name(&expr));
                let again = !seen.insert(name.to_lowercase());
                // Different words for the same, which the planner gives one name.
                if !again && SESSION_NAMES.contains(&name.to_lowercase().as_str()) {
                    let alias = Ident::with_quote('"', name);
                    *item = SelectItem::ExprWithAlias { expr, alias };
                    continue;
                }
                if again || (wildcard && column) {
                    let alias = Ident::with_quote('"', format!("{name}{UNIQUE}{at}"));
                    *item = SelectItem::ExprWithAlias { expr, alias };
                }
            }
        }
        _ => {}
    }
}

/// The name that PostgreSQL gives a column without one.
fn shown_name(expr: &Expr) -> String {
    match expr {
        Expr::Identifier(name) => name.value.clone(),
        Expr::CompoundIdentifier(names) => {
            names.last().map(|n| n.value.clone()).unwrap_or_default()
        }
        Expr::Function(function) => match function.name.0.last().and_then(|n| n.as_ident()) {
            Some(name) => name.value.to_lowercase(),
            None => "?column?".to_owned(),
        },
        Expr::Cast { expr, data_type, .. } => match shown_name(expr).as_str() {
            "?column?" => type_name(data_type),
            name => name.to_owned(),
        },
        Expr::Nested(inner) => shown_name(inner),
        Expr::Case { .. } => "case".to_owned(),
        Expr::Exists { .. } => "exists".to_owned(),
        _ => "?column?".to_owned(),
    }
}

/// Sorts by sub-queries as by further columns, which the query around leaves out:
/// DataFusion has sub-queries in select lists, but not in sorts.
pub fn sorted(query: &mut Query) {
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    let Some(order_by) = &mut query.order_by else { return };
    let OrderByKind::Expressions(keys) = &mut order_by.kind else { return };
    let visible: Option<Vec<String>> = select.projection.iter().map(output_name).collect();
    let Some(visible) = visible else { return };
    let mut further = Vec::new();
    for (at, key) in keys.iter_mut().enumerate().filter(|(_, key)| has_query(&key.expr)) {
        let alias = Ident::with_quote('"', format!("sort{UNIQUE}{at}"));
        let expr = std::mem::replace(&mut key.expr, Expr::Identifier(alias.clone()));
        let mut item = SelectItem::ExprWithAlias { expr, alias };
        counted(&mut item);
        further.push(item);
    }
    if further.is_empty() {
        return;
    }
    select.projection.extend(further);
    let names: Vec<String> =
        visible.iter().map(|name| Ident::with_quote('"', name.clone()).to_string()).collect();
    let outer =
        from::query(&format!("SELECT {} FROM ({}) AS ordered", names.join(", "), query.body));
    if let Some(outer) = outer {
        query.body = outer.body;
    }
}

fn output_name(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()),
        SelectItem::UnnamedExpr(Expr::Identifier(name)) => Some(name.value.clone()),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(names)) => {
            names.last().map(|name| name.value.clone())
        }
        _ => None,
    }
}

fn has_query(expr: &Expr) -> bool {
    visit_expressions(expr, |expr: &Expr| match expr {
        Expr::InSubquery { .. } | Expr::Subquery(_) | Expr::Exists { .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    })
    .is_break()
}

/// Numbers of objects that are shown are shown as names.
pub fn shown(body: &mut SetExpr) {
    match body {
        SetExpr::SetOperation { left, right, .. } => {
            shown(left);
            shown(right);
        }
        SetExpr::Query(query) => shown(&mut query.body),
        SetExpr::Select(select) => {
            for item in &mut select.projection {
                let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item
                else {
                    continue;
                };
                let to = numbered(expr).map(|to| to.trim_end_matches("out").to_owned());
                let name = if names_function(expr) { Some(shown_name(expr)) } else { to };
                let Some(name) = name else { continue };
                let text = as_text(expr.clone());
                match item {
                    SelectItem::ExprWithAlias { expr, .. } => *expr = text,
                    _ => {
                        let alias = Ident::with_quote('"', name);
                        *item = SelectItem::ExprWithAlias { expr: text, alias };
                    }
                }
            }
        }
        _ => {}
    }
}
