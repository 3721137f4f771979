//! Sort keys, the number of rows, and conditions on groups.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Fetch, LimitClause, Offset, OrderByKind, Query, Select as Tree, Spanned,
    Top, TopQuantity, UnaryOperator,
};

use super::condition::operator;
use super::literal::{Written, written};
use super::outputs::Outputs;
use super::scope::{Found, Scope};
use super::{Reader, place};
use crate::error::Result;
use crate::query::{
    ColumnRef, Condition, Filter, Literal, LiteralKind, Operand, Order, OrderBy, Path, Role,
    Select, Test,
};

impl Reader<'_> {
    pub(super) fn order(
        &self,
        query: &Query,
        outputs: &Outputs,
        scope: &Scope,
    ) -> Result<Vec<Order>> {
        let Some(order) = &query.order_by else { return Ok(Vec::new()) };
        let OrderByKind::Expressions(keys) = &order.kind else {
            return Err(self.cannot_say("'ORDER BY ALL'", self.location));
        };
        let mut made = Vec::with_capacity(keys.len());
        for key in keys {
            let at = key.expr.span().start;
            if key.options.nulls_first.is_some() {
                return Err(self.cannot_say("'NULLS FIRST' and 'NULLS LAST'", at));
            }
            let by = self.key(&key.expr, outputs, scope)?;
            made.push(Order { by, descending: key.options.asc == Some(false) });
        }
        Ok(made)
    }

    fn key(&self, expr: &Expr, outputs: &Outputs, scope: &Scope) -> Result<OrderBy> {
        let at = expr.span().start;
        let by_heading = match expr {
            Expr::Identifier(ident) => outputs
                .items
                .iter()
                .position(|item| item.heading.text.eq_ignore_ascii_case(&ident.value)),
            _ => match written(expr) {
                Some(Written::Number(number)) => {
                    number.parse::<usize>().ok().and_then(|n| n.checked_sub(1))
                }
                _ => None,
            },
        };
        let shown = by_heading.or_else(|| self.found(expr, scope, outputs));
        let found = match shown.and_then(|index| outputs.items.get(index)) {
            Some(item) => {
                let found = Found { level: 0, source: item.source, column: item.index };
                if outputs.aggregate {
                    if matches!(item.role, Role::Group(None)) {
                        self.check_key(found, expr, scope)?;
                    }
                    return Ok(OrderBy::Alias(item.heading.clone()));
                }
                found
            }
            None => scope.column(expr).ok_or_else(|| self.refuse(expr))?,
        };
        self.check_key(found, expr, scope)?;
        let column = scope.reference(found, 0, at).ok_or_else(|| self.refuse(expr))?;
        Ok(OrderBy::Column(column))
    }

    /// The other dialects sort lookups by the names of what they point to.
    fn check_key(&self, found: Found, expr: &Expr, scope: &Scope) -> Result<()> {
        let facts = scope.facts(found);
        let name = format!("{}name", facts.logical_name);
        if facts.is_lookup() && scope.table(found).column_index(&name).is_some() {
            let part = format!("the order by the ids of '{}'", facts.logical_name);
            return Err(self.cannot_say(part, expr.span().start));
        }
        Ok(())
    }

    /// `TOP`, `OFFSET … FETCH`, `LIMIT`.
    pub(super) fn limits(&self, query: &Query, tree: &Tree, made: &mut Select) -> Result<()> {
        let at = self.location;
        if let Some(Top { with_ties, percent, quantity }) = &tree.top {
            if *with_ties || *percent {
                return Err(self.cannot_say("'TOP' with TIES or PERCENT", at));
            }
            made.top = match quantity {
                Some(TopQuantity::Constant(rows)) => Some(*rows),
                Some(TopQuantity::Expr(expr)) => Some(self.rows(expr)?),
                None => None,
            };
        }
        match &query.limit_clause {
            None => {}
            Some(LimitClause::LimitOffset { limit, offset, limit_by }) if limit_by.is_empty() => {
                if let Some(limit) = limit {
                    made.top = Some(self.rows(limit)?);
                }
                if let Some(Offset { value, .. }) = offset {
                    made.skip = self.rows(value)?;
                }
            }
            Some(_) => return Err(self.cannot_say("this 'LIMIT'", at)),
        }
        if let Some(Fetch { with_ties, percent, quantity }) = &query.fetch {
            if *with_ties || *percent {
                return Err(self.cannot_say("'FETCH' with TIES or PERCENT", at));
            }
            made.top = Some(match quantity {
                Some(rows) => self.rows(rows)?,
                None => 1,
            });
        }
        Ok(())
    }

    fn rows(&self, expr: &Expr) -> Result<u64> {
        match written(expr) {
            Some(Written::Number(number)) => number.parse().ok(),
            _ => None,
        }
        .ok_or_else(|| self.refuse(expr))
    }

    /// A condition on groups; its columns are those that the groups are shown as.
    pub(super) fn having(
        &self,
        expr: &Expr,
        outputs: &mut Outputs,
        scope: &Scope,
    ) -> Result<Filter> {
        let mut both = |left: &Expr, right: &Expr| -> Result<Vec<Filter>> {
            Ok(vec![self.having(left, outputs, scope)?, self.having(right, outputs, scope)?])
        };
        match expr {
            Expr::Nested(inner) => self.having(inner, outputs, scope),
            Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
                both(left, right).map(Filter::And)
            }
            Expr::BinaryOp { left, op: BinaryOperator::Or, right } => {
                both(left, right).map(Filter::Or)
            }
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => {
                Ok(Filter::Not(Box::new(self.having(expr, outputs, scope)?)))
            }
            Expr::BinaryOp { left, op, right } => {
                let (operator, not) = operator(op).ok_or_else(|| self.refuse(expr))?;
                let Some(Written::Number(text)) = written(right) else {
                    return Err(self.refuse(expr));
                };
                let heading = self.group_heading(left, outputs, scope)?;
                let at = place(right.span().start);
                let literal = Literal { kind: LiteralKind::Untyped, text, at };
                let filter = Filter::Condition(Condition {
                    at: heading.at.clone(),
                    column: ColumnRef { path: Path::Here, name: heading },
                    test: Test::Compare(operator),
                    operands: vec![Operand::Value(literal)],
                });
                Ok(if not { Filter::Not(Box::new(filter)) } else { filter })
            }
            other => Err(self.refuse(other)),
        }
    }
}
