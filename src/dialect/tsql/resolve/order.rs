//! `ORDER BY`, `TOP`, `OFFSET … FETCH` and `LIMIT`: everything that orders and
//! bounds the rows of a query. All bounds become one `LIMIT` clause.

use datafusion::sql::sqlparser::ast::{
    Expr, Fetch, LimitClause, Offset, OffsetRows, OrderBy, OrderByKind, Query, Select, TopQuantity,
    UnaryOperator, Value,
};
use datafusion::sql::sqlparser::ast::{OrderByExpr, Top};

use super::Resolver;
use super::scope::Scope;
use crate::dialect::tsql::report;
use crate::error::Result;

impl Resolver<'_> {
    /// Sort keys: numbers of output columns, aliases, or expressions.
    pub(super) fn order_by(&mut self, order_by: &mut OrderBy, width: usize) -> Result<()> {
        if order_by.interpolate.is_some() {
            return Err(report::unsupported("INTERPOLATE", self.location));
        }
        let OrderByKind::Expressions(keys) = &mut order_by.kind else {
            return Err(report::unsupported("ORDER BY ALL", self.location));
        };
        for key in keys {
            if let Expr::Value(value) = &key.expr
                && let Value::Number(number, _) = &value.value
            {
                let position: Option<usize> = number.parse().ok();
                if !position.is_some_and(|n| (1..=width).contains(&n)) {
                    let message = format!(
                        "The ORDER BY position number {number} is out of range of the \
                         {width} columns of the select list (Msg 108)"
                    );
                    return Err(report::invalid("42P10", message, value.span.start));
                }
            }
            // An alias hides a column of the same name here, and only here.
            if let Expr::Identifier(ident) = &key.expr
                && let Some(found) = self.scope().alias(ident)
            {
                key.expr = found.expr;
                self.sort_options(key)?;
                continue;
            }
            self.sort_key(key)?;
        }
        Ok(())
    }

    /// A sort key inside an aggregate or window.
    pub(super) fn sort_key(&mut self, key: &mut OrderByExpr) -> Result<()> {
        self.expr(&mut key.expr)?;
        self.sort_options(key)
    }

    fn sort_options(&self, key: &OrderByExpr) -> Result<()> {
        match key.with_fill {
            Some(_) => Err(report::unsupported("WITH FILL", self.location)),
            None => Ok(()),
        }
    }

    /// `TOP` as the expression of a limit.
    pub(super) fn take_top(&mut self, select: &mut Select) -> Result<Option<Expr>> {
        let Some(Top { with_ties, percent, quantity }) = select.top.take() else {
            return Ok(None);
        };
        let location = select.select_token.0.span.start;
        if percent {
            return Err(report::unsupported("TOP … PERCENT", location));
        }
        if with_ties {
            return Err(report::unsupported("TOP … WITH TIES", location));
        }
        match quantity {
            Some(TopQuantity::Constant(rows)) => {
                Ok(Some(Expr::value(Value::Number(rows.to_string(), false))))
            }
            Some(TopQuantity::Expr(mut expr)) => {
                while let Expr::Nested(inner) = expr {
                    expr = *inner;
                }
                Ok(Some(expr))
            }
            None => Err(report::syntax("TOP needs a number of rows (Msg 102)", location)),
        }
    }

    /// Gives a query the limit of its `TOP`.
    pub(super) fn set_top(&mut self, query: &mut Query, top: Expr) -> Result<()> {
        if query.limit_clause.is_some() || query.fetch.is_some() {
            let message = "A TOP can not be used in the same query as OFFSET, FETCH or LIMIT \
                           (Msg 10741)";
            return Err(report::invalid("42601", message.to_owned(), self.location));
        }
        query.limit_clause =
            Some(LimitClause::LimitOffset { limit: Some(top), offset: None, limit_by: Vec::new() });
        Ok(())
    }

    /// `LIMIT`, `OFFSET` and `FETCH` as one clause of checked numbers.
    pub(super) fn limit(&mut self, query: &mut Query) -> Result<()> {
        if let Some(fetch) = query.fetch.take() {
            self.fetch_as_limit(query, fetch)?;
        }
        let Some(clause) = query.limit_clause.take() else { return Ok(()) };
        let (mut limit, mut offset) = match clause {
            LimitClause::LimitOffset { limit, offset, limit_by } => {
                if !limit_by.is_empty() {
                    return Err(report::unsupported("LIMIT … BY", self.location));
                }
                (limit, offset.map(|o| o.value))
            }
            LimitClause::OffsetCommaLimit { offset, limit } => (Some(limit), Some(offset)),
        };
        for bound in limit.iter_mut().chain(offset.iter_mut()) {
            self.row_count(bound)?;
        }
        let offset = offset.map(|value| Offset { value, rows: OffsetRows::None });
        query.limit_clause = Some(LimitClause::LimitOffset { limit, offset, limit_by: Vec::new() });
        Ok(())
    }

    fn fetch_as_limit(&self, query: &mut Query, fetch: Fetch) -> Result<()> {
        let Fetch { with_ties, percent, quantity } = fetch;
        if percent || with_ties {
            let what = if percent { "FETCH … PERCENT" } else { "FETCH … WITH TIES" };
            return Err(report::unsupported(what, self.location));
        }
        let rows = quantity.unwrap_or_else(|| Expr::value(Value::Number("1".into(), false)));
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

    /// A number of rows: no columns, and no minus.
    fn row_count(&mut self, bound: &mut Expr) -> Result<()> {
        if matches!(bound, Expr::UnaryOp { op: UnaryOperator::Minus, .. }) {
            let message = format!("The number of rows must not be negative (Msg 1060): {bound}");
            return Err(report::invalid("2201W", message, self.location));
        }
        let enclosing = std::mem::take(&mut self.scopes);
        self.scopes.push(Scope::default());
        let resolved = self.expr(bound);
        self.scopes = enclosing;
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
