//! Sub-queries that depend on the row outside, in forms that DataFusion plans.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Expr, GroupByExpr, Ident, ObjectName, Query, Select,
    SelectItem, SetExpr, Statement, TableFactor, Value, VisitMut, VisitorMut, visit_expressions,
    visit_expressions_mut, visit_relations,
};

use super::{call, factors, list_of, number, selects};

/// Takes out of a statement the sub-queries for a value that depend on the row
/// outside; null stands for them, and false for whether there are such rows.
pub fn without_details(statement: &mut Statement) {
    struct Remove;
    impl VisitorMut for Remove {
        type Break = ();

        fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            if let Expr::Exists { subquery, .. } = expr
                && is_correlated(subquery)
            {
                *expr = Expr::Value(Value::Boolean(false).with_empty_span());
            }
            if let Expr::Subquery(query) = expr
                && is_correlated(query)
            {
                let list = query.to_string().starts_with("SELECT array_agg(");
                *expr = Expr::Cast {
                    kind: CastKind::Cast,
                    expr: Box::new(Expr::Value(Value::Null.with_empty_span())),
                    data_type: if list { list_of(DataType::Text) } else { DataType::Text },
                    array: false,
                    format: None,
                };
            }
            ControlFlow::Continue(())
        }
    }
    struct Projections;
    impl VisitorMut for Projections {
        type Break = ();

        fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
            for select in selects(&mut query.body) {
                for item in &mut select.projection {
                    let _ = item.visit(&mut Remove);
                }
            }
            ControlFlow::Continue(())
        }
    }
    let _ = statement.visit(&mut Projections);
}

/// `EXISTS (…)` and `IN (SELECT …)` in a select list: DataFusion plans them there as
/// a number of rows and as a list.
pub fn counted(item: &mut SelectItem) {
    if let SelectItem::UnnamedExpr(expr @ Expr::Exists { .. }) = item {
        let alias = Ident::with_quote('"', "exists");
        *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
    }
    let _ = visit_expressions_mut(item, |expr: &mut Expr| {
        if let Expr::Exists { subquery, negated } = expr
            && let SetExpr::Select(select) = subquery.body.as_mut()
            && select.distinct.is_none()
            && select.having.is_none()
            && matches!(&select.group_by, GroupByExpr::Expressions(by, _) if by.is_empty())
        {
            let all = call("count", vec![number(1)]);
            select.projection = vec![SelectItem::UnnamedExpr(all)];
            let op = if *negated { BinaryOperator::Eq } else { BinaryOperator::Gt };
            let left = Box::new(Expr::Subquery(subquery.clone()));
            *expr = Expr::BinaryOp { left, op, right: Box::new(number(0)) };
        }
        if let Expr::InSubquery { expr: value, subquery, negated: false } = expr
            && !is_correlated(subquery)
            && aggregate(subquery, "array_agg", true)
        {
            let list = Expr::Subquery(subquery.clone());
            *expr = call("array_contains", vec![list, value.as_ref().clone()]);
        }
        ControlFlow::<()>::Continue(())
    });
}

const AGGREGATES: &[&str] = &[
    "count",
    "min",
    "max",
    "sum",
    "avg",
    "array_agg",
    "string_agg",
    "bool_and",
    "bool_or",
    "every",
    "json_agg",
    "jsonb_agg",
    "json_object_agg",
    "first_value",
];

/// A sub-query for one value that depends on the row outside: DataFusion plans it
/// if it is an aggregate. There is at most one row, so the first one is it.
pub fn single(query: &mut Box<Query>) {
    if !is_correlated(query) {
        return;
    }
    let SetExpr::Select(select) = query.body.as_ref() else { return };
    if !select.projection.iter().any(aggregates) {
        aggregate(query, "first_value", false);
    }
}

fn aggregates(item: &SelectItem) -> bool {
    let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else {
        return false;
    };
    let found = visit_expressions(expr, |inner: &Expr| {
        let Expr::Function(function) = inner else { return ControlFlow::Continue(()) };
        let name = function.name.0.last().and_then(|n| n.as_ident());
        match name.is_some_and(|n| AGGREGATES.contains(&n.value.to_lowercase().as_str())) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    found.is_break()
}

/// Puts an aggregate around the one column of a query, if it is a plain one.
pub fn aggregate(query: &mut Box<Query>, name: &str, ordered: bool) -> bool {
    let plain = query.with.is_none();
    let SetExpr::Select(select) = query.body.as_mut() else { return false };
    let grouped = !matches!(&select.group_by,
        GroupByExpr::Expressions(by, _) if by.is_empty());
    if !plain || grouped || select.distinct.is_some() {
        return false;
    }
    let [SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }] =
        select.projection.as_mut_slice()
    else {
        return false;
    };
    let aggregated = call(name, vec![expr.clone()]);
    select.projection = vec![SelectItem::UnnamedExpr(aggregated)];
    query.limit_clause = None;
    // The order of the elements is that of the rows as they come.
    if ordered || query.order_by.is_some() {
        query.order_by = None;
    }
    true
}

/// Whether a query names a column of a table that is not its own.
fn is_correlated(query: &Query) -> bool {
    let mut own: HashSet<String> = HashSet::new();
    let _ = visit_relations(query, |relation: &ObjectName| {
        own.extend(relation.0.last().and_then(|n| n.as_ident()).map(|n| n.value.to_lowercase()));
        ControlFlow::<()>::Continue(())
    });
    if let SetExpr::Select(select) = query.body.as_ref() {
        if reads_list(select) {
            return true;
        }
        aliases(select, &mut own);
    }
    let found = visit_expressions(query, |expr: &Expr| match expr {
        Expr::CompoundIdentifier(names) if names.len() >= 2 => {
            let table = names[names.len() - 2].value.to_lowercase();
            if own.contains(&table) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        }
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

fn aliases(select: &Select, own: &mut HashSet<String>) {
    for factor in factors(select) {
        let alias = match factor {
            TableFactor::Table { alias, .. }
            | TableFactor::Derived { alias, .. }
            | TableFactor::Function { alias, .. }
            | TableFactor::UNNEST { alias, .. } => alias,
            _ => continue,
        };
        own.extend(alias.as_ref().map(|a| a.name.value.to_lowercase()));
    }
}

/// Whether `FROM` has the elements of a list in a column.
fn reads_list(select: &Select) -> bool {
    let names_column = |expr: &Expr| match expr {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    factors(select).into_iter().any(|factor| match factor {
        TableFactor::Table { args: Some(args), .. } => {
            visit_expressions(&args.args, names_column).is_break()
        }
        TableFactor::Function { args, .. } => visit_expressions(args, names_column).is_break(),
        TableFactor::UNNEST { array_exprs, .. } => {
            visit_expressions(array_exprs, names_column).is_break()
        }
        _ => false,
    })
}
