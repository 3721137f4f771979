//! What `GROUP BY`, `DISTINCT` and inner queries allow in a select list and in
//! an order.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, GroupByExpr, GroupByWithModifier, OrderBy, OrderByKind, Query, Select,
    SelectItem, Spanned, Value, Visit, Visitor,
};

use super::Resolver;
use super::ranked::item_behind;
use super::scope::{Clause, Scope};
use super::window::is_aggregate;
use crate::dialect::tsql::report;
use crate::error::Result;

impl Resolver<'_> {
    /// `GROUP BY`, with T-SQL's `WITH ROLLUP` and PostgreSQL's numbers of columns.
    pub(super) fn group_by(&mut self, select: &mut Select) -> Result<()> {
        let GroupByExpr::Expressions(exprs, modifiers) = &mut select.group_by else {
            return Err(report::unsupported("GROUP BY ALL", self.location));
        };
        for expr in exprs.iter_mut() {
            match expr {
                Expr::GroupingSets(sets) | Expr::Cube(sets) | Expr::Rollup(sets) => {
                    for expr in sets.iter_mut().flatten() {
                        self.group_key(expr, &select.projection)?;
                    }
                }
                Expr::Tuple(parts) if parts.is_empty() => {}
                expr => self.group_key(expr, &select.projection)?,
            }
        }
        for modifier in std::mem::take(modifiers) {
            let sets = std::mem::take(exprs).into_iter().map(|expr| vec![expr]).collect();
            match modifier {
                GroupByWithModifier::Rollup => exprs.push(Expr::Rollup(sets)),
                GroupByWithModifier::Cube => exprs.push(Expr::Cube(sets)),
                other => {
                    let what = format!("GROUP BY … {other}");
                    return Err(report::unsupported(what, self.location));
                }
            }
        }
        // `GROUP BY ()` is one group of all rows, as an aggregate by itself is.
        let empty = |e: &Expr| matches!(e, Expr::Tuple(parts) if parts.is_empty());
        if exprs.iter().any(empty) {
            exprs.retain(|e| !empty(e));
            if exprs.is_empty() {
                exprs.push(Expr::GroupingSets(vec![Vec::new()]));
            }
        }
        Ok(())
    }

    fn group_key(&mut self, expr: &mut Expr, items: &[SelectItem]) -> Result<()> {
        if let Some(item) = number_of(expr).and_then(|_| item_behind(expr, items)) {
            *expr = item;
            return self.check_group_key(expr);
        }
        if has_query(expr) {
            let message = "Cannot use an aggregate or a subquery in an expression used for the \
                           group by list of a GROUP BY clause (Msg 144)";
            return Err(report::invalid("42803", message.to_owned(), self.start_of(expr)));
        }
        self.expr(expr)?;
        if let Some(item) = self.alias_item(expr, items) {
            *expr = item;
        }
        self.check_group_key(expr)
    }

    /// A key that is an alias of the select list, as PostgreSQL has it.
    fn alias_item(&self, expr: &Expr, items: &[SelectItem]) -> Option<Expr> {
        let Expr::Identifier(ident) = expr else { return None };
        let scope = self.scopes.last()?;
        let column = scope.column(ident).ok().flatten().is_some();
        if column { None } else { item_behind(expr, items) }
    }

    fn check_group_key(&self, expr: &Expr) -> Result<()> {
        if aggregate_in(expr) {
            let message = "Cannot use an aggregate or a subquery in an expression used for the \
                           group by list of a GROUP BY clause (Msg 144)";
            return Err(report::invalid("42803", message.to_owned(), self.start_of(expr)));
        }
        if super::tables::depends(expr) {
            return Ok(());
        }
        let message = "Each GROUP BY expression must contain at least one column that is not an \
                       outer reference (Msg 164)";
        Err(report::invalid("42803", message.to_owned(), self.start_of(expr)))
    }

    fn start_of(&self, expr: &Expr) -> datafusion::sql::sqlparser::tokenizer::Location {
        let start = expr.span().start;
        if start.line == 0 { self.location } else { start }
    }

    /// Columns outside of groups and aggregates, in a resolved `SELECT`.
    pub(super) fn check_groups(&self, select: &Select, order_by: Option<&OrderBy>) -> Result<()> {
        let keys = order_keys(order_by);
        let in_order = keys.iter().any(|key| aggregate_in(key));
        if !has_groups(select) && !in_order {
            return Ok(());
        }
        let mut groups = Vec::new();
        if let GroupByExpr::Expressions(exprs, _) = &select.group_by {
            for expr in exprs {
                match expr {
                    Expr::GroupingSets(sets) | Expr::Cube(sets) | Expr::Rollup(sets) => {
                        groups.extend(sets.iter().flatten().map(text_of));
                    }
                    expr => groups.push(text_of(expr)),
                }
            }
        }
        for item in &select.projection {
            if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
                self.check_grouped(expr, &groups, "the select list", 8120)?;
            }
        }
        if let Some(having) = &select.having {
            self.check_grouped(having, &groups, "the HAVING clause", 8121)?;
        }
        for key in keys {
            if item_behind(key, &select.projection).is_none() {
                self.check_grouped(key, &groups, "the ORDER BY clause", 8127)?;
            }
        }
        Ok(())
    }

    fn check_grouped(
        &self,
        expr: &Expr,
        groups: &[String],
        place: &str,
        number: u16,
    ) -> Result<()> {
        let scope = self.scope_now();
        let mut search = Ungrouped { groups, scope, quiet: 0 };
        let ControlFlow::Break(found) = expr.visit(&mut search) else { return Ok(()) };
        let name = match &found {
            Expr::CompoundIdentifier(parts) => {
                parts.iter().map(|p| p.value.as_str()).collect::<Vec<_>>().join(".")
            }
            other => other.to_string(),
        };
        let message = format!(
            "Column '{name}' is invalid in {place} because it is not contained in either an \
             aggregate function or the GROUP BY clause (Msg {number})"
        );
        Err(report::invalid("42803", message, self.start_of(&found)))
    }

    fn scope_now(&self) -> &Scope {
        self.scopes.last().expect("called while a SELECT is being resolved")
    }

    /// Orders of `DISTINCT` rows, and keys that come twice.
    pub(super) fn check_order(&self, select: &Select, order_by: Option<&OrderBy>) -> Result<()> {
        let items: Vec<String> = select
            .projection
            .iter()
            .filter_map(|item| match item {
                SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
                    Some(text_of(expr))
                }
                _ => None,
            })
            .collect();
        let mut seen: Vec<String> = Vec::new();
        for key in order_keys(order_by) {
            let behind = item_behind(key, &select.projection);
            let text = text_of(behind.as_ref().unwrap_or(key));
            if matches!(select.distinct, Some(Distinct::Distinct)) && !items.contains(&text) {
                let message = "ORDER BY items must appear in the select list if SELECT DISTINCT \
                               is specified (Msg 145)";
                return Err(report::invalid("42P10", message.to_owned(), self.start_of(key)));
            }
            if seen.contains(&text) && super::tables::depends(behind.as_ref().unwrap_or(key)) {
                let message = "A column has been specified more than once in the order by list. \
                               Columns in the order by list must be unique (Msg 169)";
                return Err(report::invalid("42701", message.to_owned(), self.start_of(key)));
            }
            seen.push(text);
        }
        Ok(())
    }

    /// An order inside of a query is of use only with a number of rows.
    pub(super) fn check_inner_order(&self, query: &Query) -> Result<()> {
        let Some(order_by) = &query.order_by else { return Ok(()) };
        let limited =
            query.limit_clause.is_some() || query.fetch.is_some() || query.for_clause.is_some();
        let select = match query.body.as_ref() {
            datafusion::sql::sqlparser::ast::SetExpr::Select(select) => Some(select),
            _ => None,
        };
        let limited = limited
            || select
                .is_some_and(|s| s.top.is_some() || matches!(s.distinct, Some(Distinct::On(_))));
        if limited {
            return Ok(());
        }
        let message = "The ORDER BY clause is invalid in views, inline functions, derived tables, \
                       subqueries, and common table expressions, unless TOP, OFFSET or FOR XML is \
                       also specified (Msg 1033)";
        let start = order_by.span().start;
        let location = if start.line == 0 { self.location } else { start };
        Err(report::invalid("42601", message.to_owned(), location))
    }

    /// Sets the clause that is being resolved.
    pub(super) fn clause(&mut self, clause: Clause) {
        self.scope().clause = clause;
    }
}

/// Whether a `SELECT` has groups or aggregates.
pub(super) fn has_groups(select: &Select) -> bool {
    let grouped = match &select.group_by {
        GroupByExpr::Expressions(exprs, modifiers) => !exprs.is_empty() || !modifiers.is_empty(),
        GroupByExpr::All(_) => true,
    };
    let item = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
            aggregate_in(expr)
        }
        _ => false,
    };
    grouped
        || select.projection.iter().any(item)
        || select.having.as_ref().is_some_and(aggregate_in)
}

/// Whether a sort key is or has a query.
pub(super) fn orders_by_query(query: &Query) -> bool {
    order_keys(query.order_by.as_ref()).into_iter().any(has_query)
}

fn order_keys(order_by: Option<&OrderBy>) -> Vec<&Expr> {
    match order_by.map(|o| &o.kind) {
        Some(OrderByKind::Expressions(keys)) => keys.iter().map(|key| &key.expr).collect(),
        _ => Vec::new(),
    }
}

/// An expression's text, the same however it was put in parentheses.
fn text_of(expr: &Expr) -> String {
    match expr {
        Expr::Nested(inner) => text_of(inner),
        other => other.to_string(),
    }
}

fn number_of(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(number, _) => number.parse().ok(),
            _ => None,
        },
        _ => None,
    }
}

/// Whether an aggregate stands in an expression, outside of its queries.
fn aggregate_in(expr: &Expr) -> bool {
    struct Search(usize);
    impl Visitor for Search {
        type Break = ();

        fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            self.0 += 1;
            ControlFlow::Continue(())
        }

        fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            self.0 -= 1;
            ControlFlow::Continue(())
        }

        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            match expr {
                Expr::Function(function) if self.0 == 0 && is_aggregate(function) => {
                    ControlFlow::Break(())
                }
                _ => ControlFlow::Continue(()),
            }
        }
    }
    expr.visit(&mut Search(0)).is_break()
}

/// Whether a query stands in an expression.
pub(super) fn has_query(expr: &Expr) -> bool {
    struct Search;
    impl Visitor for Search {
        type Break = ();

        fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            ControlFlow::Break(())
        }
    }
    expr.visit(&mut Search).is_break()
}

/// Looks for a column of the `SELECT` that is in no group and no aggregate.
struct Ungrouped<'a> {
    groups: &'a [String],
    scope: &'a Scope,
    /// Depth below something that is allowed.
    quiet: usize,
}

impl Visitor for Ungrouped<'_> {
    type Break = Expr;

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<Expr> {
        self.quiet += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<Expr> {
        self.quiet -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Expr> {
        if self.quiet > 0 {
            self.quiet += 1;
            return ControlFlow::Continue(());
        }
        let allowed = match expr {
            Expr::Function(function) if is_aggregate(function) => true,
            expr => self.groups.contains(&text_of(expr)),
        };
        if allowed {
            self.quiet = 1;
            return ControlFlow::Continue(());
        }
        let own = match expr {
            Expr::CompoundIdentifier(parts) => {
                parts.first().is_some_and(|of| self.scope.source(&of.value, false).is_some())
            }
            Expr::Identifier(ident) => self.scope.column(ident).ok().flatten().is_some(),
            _ => false,
        };
        if own { ControlFlow::Break(expr.clone()) } else { ControlFlow::Continue(()) }
    }

    fn post_visit_expr(&mut self, _: &Expr) -> ControlFlow<Expr> {
        self.quiet = self.quiet.saturating_sub(1);
        ControlFlow::Continue(())
    }
}
