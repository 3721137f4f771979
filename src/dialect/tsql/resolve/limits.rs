//! `TOP`, `OFFSET … FETCH` and `LIMIT`: how many rows a query keeps. Plain
//! numbers of rows become one `LIMIT` clause, all else is [`ranked`].

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, Fetch, LimitClause, Offset, OffsetRows, Query, Select, SetExpr, Top,
    TopQuantity, UnaryOperator, Value, visit_expressions,
};

use super::ranked::{self, Kept};
use super::scope::{Output, Scope};
use super::{Resolver, build};
use crate::dialect::tsql::report;
use crate::error::Result;

/// The clauses that give a number of rows, with their errors.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Clause {
    Top,
    Fetch,
    Limit,
    Offset,
}

/// What a `SELECT` says of its number of rows.
pub(super) enum Limit {
    /// As the query's own clauses have it.
    Plain,
    Kept(Kept),
}

impl Resolver<'_> {
    /// Takes `TOP`, `WITH TIES` and the like out of a query whose body is a `SELECT`.
    pub(super) fn take_limit(&mut self, query: &mut Query) -> Result<Limit> {
        let ordered = query.order_by.is_some();
        let SetExpr::Select(select) = query.body.as_mut() else { return Ok(Limit::Plain) };
        let location = select.select_token.0.span.start;
        if let Some(top) = select.top.take() {
            if query.limit_clause.is_some() || query.fetch.is_some() {
                let message = "A TOP can not be used in the same query or sub-query as a OFFSET \
                               (Msg 10741)";
                return Err(report::invalid("42601", message.to_owned(), location));
            }
            return self.top(top, ordered, query);
        }
        let Some(Fetch { with_ties: true, .. }) = &query.fetch else { return Ok(Limit::Plain) };
        if !ordered {
            return Err(ranked::unordered(location));
        }
        if query.limit_clause.is_some() {
            let message = "Incorrect syntax near the keyword 'WITH' (Msg 156): FETCH has no WITH \
                           TIES behind OFFSET; write TOP (n) WITH TIES";
            return Err(report::syntax(message, location));
        }
        let Some(Fetch { percent, quantity, .. }) = query.fetch.take() else {
            return Ok(Limit::Plain);
        };
        let mut rows = quantity.unwrap_or_else(|| build::number(1));
        self.row_count(&mut rows, Clause::Fetch)?;
        Ok(Limit::Kept(Kept::First { rows: Box::new(rows), percent, ties: true }))
    }

    fn top(&mut self, top: Top, ordered: bool, query: &mut Query) -> Result<Limit> {
        let location = self.location;
        let Top { with_ties: ties, percent, quantity } = top;
        let mut rows = match quantity {
            Some(TopQuantity::Constant(rows)) => {
                Expr::value(Value::Number(rows.to_string(), false))
            }
            Some(TopQuantity::Expr(expr)) => expr,
            None => return Err(report::syntax("TOP needs a number of rows (Msg 102)", location)),
        };
        if ties && !ordered {
            return Err(ranked::unordered(location));
        }
        if percent {
            if constant(&rows).is_some_and(|p| !(0.0..=100.0).contains(&p)) {
                let message = "Percent values must be between 0 and 100 (Msg 1031)";
                return Err(report::invalid("2201W", message.to_owned(), location));
            }
            self.without_columns(&mut rows)?;
        } else {
            self.row_count(&mut rows, Clause::Top)?;
        }
        if percent || ties {
            return Ok(Limit::Kept(Kept::First { rows: Box::new(rows), percent, ties }));
        }
        let limit = Some(rows);
        query.limit_clause =
            Some(LimitClause::LimitOffset { limit, offset: None, limit_by: Vec::new() });
        Ok(Limit::Plain)
    }

    /// Resolved `DISTINCT ON` keys, taken out.
    pub(super) fn take_distinct_on(select: &mut Select) -> Option<Kept> {
        match select.distinct.take() {
            Some(Distinct::On(keys)) => Some(Kept::OneOf(keys)),
            other => {
                select.distinct = other;
                None
            }
        }
    }

    /// A resolved query with its rows limited as `limit` says.
    pub(super) fn set_limit(
        &mut self,
        query: &mut Query,
        outputs: &[Output],
        limit: Limit,
    ) -> Result<()> {
        if let SetExpr::Select(select) = query.body.as_mut()
            && let Some(kept) = Self::take_distinct_on(select)
        {
            ranked::keep(query, outputs, kept)?;
        }
        match limit {
            Limit::Plain
                if super::grouping::orders_by_query(query) || ranked::orders_by_hidden(query) =>
            {
                ranked::keep(query, outputs, Kept::All)
            }
            Limit::Plain => {
                ranked::number_distinct_keys(query);
                Ok(())
            }
            Limit::Kept(kept) => ranked::keep(query, outputs, kept),
        }
    }

    /// `LIMIT`, `OFFSET` and `FETCH` as one clause of checked numbers.
    pub(super) fn limit(&mut self, query: &mut Query) -> Result<()> {
        let fetch = query.fetch.take();
        let fetched = fetch.is_some();
        if let Some(fetch) = fetch {
            self.fetch_as_limit(query, fetch)?;
        }
        let Some(clause) = query.limit_clause.take() else { return Ok(()) };
        let (mut limit, mut offset) = match clause {
            LimitClause::LimitOffset { limit, offset, limit_by } => {
                if !limit_by.is_empty() {
                    return Err(report::unsupported("LIMIT … BY", self.location));
                }
                (limit, offset)
            }
            LimitClause::OffsetCommaLimit { offset, limit } => {
                (Some(limit), Some(Offset { value: offset, rows: OffsetRows::None }))
            }
        };
        if query.order_by.is_none() && offset.as_ref().is_some_and(|o| o.rows != OffsetRows::None) {
            let message = "Incorrect syntax near 'OFFSET' (Msg 102): it needs an ORDER BY clause";
            return Err(report::syntax(message, self.location));
        }
        if let Some(limit) = &mut limit {
            self.row_count(limit, if fetched { Clause::Fetch } else { Clause::Limit })?;
        }
        if let Some(offset) = &mut offset {
            self.row_count(&mut offset.value, Clause::Offset)?;
        }
        let offset = offset.map(|o| Offset { value: o.value, rows: OffsetRows::None });
        query.limit_clause = Some(LimitClause::LimitOffset { limit, offset, limit_by: Vec::new() });
        Ok(())
    }

    fn fetch_as_limit(&self, query: &mut Query, fetch: Fetch) -> Result<()> {
        let Fetch { with_ties, percent, quantity } = fetch;
        if percent || with_ties {
            let what = if percent { "FETCH … PERCENT" } else { "FETCH … WITH TIES" };
            return Err(report::unsupported(what, self.location));
        }
        let rows = quantity.unwrap_or_else(|| build::number(1));
        let offset = match query.limit_clause.take() {
            None => None,
            Some(LimitClause::LimitOffset { limit: None, offset, .. }) => offset,
            Some(_) => {
                let message = "FETCH can not be used in the same query as LIMIT".to_owned();
                return Err(report::invalid("42601", message, self.location));
            }
        };
        query.limit_clause =
            Some(LimitClause::LimitOffset { limit: Some(rows), offset, limit_by: Vec::new() });
        Ok(())
    }

    /// A number of rows: no columns, and a number that the clause takes.
    fn row_count(&mut self, bound: &mut Expr, clause: Clause) -> Result<()> {
        let bad =
            |message: &str, state| Err(report::invalid(state, message.to_owned(), self.location));
        match (constant(bound), clause) {
            (Some(n), Clause::Offset) if n < 0.0 => {
                return bad(
                    "The offset specified in a OFFSET clause may not be negative (Msg 10742)",
                    "2201X",
                );
            }
            (Some(n), Clause::Fetch) if n < 1.0 => {
                return bad(
                    "The number of rows provided for a FETCH clause must be greater then zero \
                     (Msg 10744)",
                    "2201W",
                );
            }
            (Some(n), _) if n < 0.0 => {
                return bad(
                    "A TOP N or FETCH rowcount value may not be negative (Msg 1060)",
                    "2201W",
                );
            }
            (Some(n), Clause::Top) if n.fract() != 0.0 => return bad(NOT_WHOLE, "2201W"),
            (None, Clause::Top | Clause::Fetch) if is_other_constant(bound) => {
                return bad(NOT_WHOLE, "2201W");
            }
            _ => {}
        }
        self.without_columns(bound)
    }

    fn without_columns(&mut self, bound: &mut Expr) -> Result<()> {
        let enclosing = std::mem::take(&mut self.scopes);
        self.scopes.push(Scope::default());
        let resolved = self.expr(bound);
        self.scopes = enclosing;
        if holds_query(bound) {
            return Err(report::unsupported("a query as a number of rows", self.location));
        }
        resolved.map_err(|mut error| {
            if error.sqlstate == Some("42703") {
                error.message = format!(
                    "The number of rows after TOP, OFFSET, FETCH or LIMIT can not depend on a \
                     column: {bound}"
                );
            }
            error
        })
    }
}

fn holds_query(expr: &Expr) -> bool {
    visit_expressions(expr, |expr| match expr {
        Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    })
    .is_break()
}

const NOT_WHOLE: &str = "The number of rows provided for a TOP or FETCH clauses row count \
                         parameter must be an integer (Msg 1060)";

/// The number that a constant expression is.
fn constant(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(number, _) => number.parse().ok(),
            _ => None,
        },
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => constant(inner),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => Some(-constant(expr)?),
        Expr::BinaryOp { left, op, right } => {
            use datafusion::sql::sqlparser::ast::BinaryOperator as Op;
            let (left, right) = (constant(left)?, constant(right)?);
            match op {
                Op::Plus => Some(left + right),
                Op::Minus => Some(left - right),
                Op::Multiply => Some(left * right),
                _ => None,
            }
        }
        _ => None,
    }
}

/// A literal that is no number.
fn is_other_constant(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => is_other_constant(inner),
        Expr::Value(value) => {
            matches!(value.value, Value::Null | Value::SingleQuotedString(_))
        }
        _ => false,
    }
}
