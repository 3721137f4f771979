//! Conditions. They have T-SQL's three truths: `Filter::Not` is false or unknown where
//! its part is, unlike the negative operators of Dataverse, which keep null rows.

use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Query, SetExpr, Spanned, UnaryOperator,
};
use datafusion::sql::sqlparser::tokenizer::Location;

use super::from::{Links, conjuncts};
use super::literal::{Written, written};
use super::outputs::date_function;
use super::scope::{Found, Scope};
use super::{Reader, all_of, name, place};
use crate::error::Result;
use crate::query::{
    Columns, Condition, Expression, Filter, Function, Link, LinkType, Literal, LiteralKind,
    Operand, Operator, Quantifier, Related, Test,
};

impl Reader<'_> {
    /// A condition on rows of which the source `here` needs no alias.
    pub(super) fn condition(&self, expr: &Expr, scope: &Scope, here: usize) -> Result<Filter> {
        let at = expr.span().start;
        let simple = |column: &Expr, operator, values: &[&Expr], negated: bool| {
            let filter = self.compared(column, operator, values, scope, here, at)?;
            Ok(if negated { Filter::Not(Box::new(filter)) } else { filter })
        };
        match expr {
            Expr::Nested(inner) => self.condition(inner, scope, here),
            Expr::BinaryOp { op: BinaryOperator::And, .. } => {
                let mut parts = Vec::new();
                conjuncts(expr, &mut parts);
                let parts = parts.into_iter().map(|part| self.condition(part, scope, here));
                parts.collect::<Result<_>>().map(Filter::And)
            }
            Expr::BinaryOp { op: BinaryOperator::Or, .. } => {
                let mut parts = Vec::new();
                disjuncts(expr, &mut parts);
                let parts = parts.into_iter().map(|part| self.condition(part, scope, here));
                Ok(with_nulls(parts.collect::<Result<_>>()?))
            }
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => {
                Ok(Filter::Not(Box::new(self.condition(expr, scope, here)?)))
            }
            Expr::BinaryOp { left, op, right } => {
                let Some((operator, negated)) = operator(op) else { return Err(self.refuse(expr)) };
                if let Some(truth) = constant(left, op, right) {
                    return Ok(if truth {
                        Filter::And(Vec::new())
                    } else {
                        Filter::Or(Vec::new())
                    });
                }
                if scope.column(left).is_some() {
                    return simple(left, operator, &[right], negated);
                }
                if scope.column(right).is_some() {
                    return simple(right, operator.flipped(), &[left], negated);
                }
                self.of_a_part(left, op, right, scope, here).ok_or_else(|| self.refuse(expr))
            }
            Expr::IsNull(column) => simple(column, Operator::Null, &[], false),
            Expr::IsNotNull(column) => simple(column, Operator::NotNull, &[], false),
            Expr::InList { expr: column, list, negated } => {
                simple(column, Operator::In, &list.iter().collect::<Vec<_>>(), *negated)
            }
            Expr::Between { expr: column, negated, low, high } => {
                simple(column, Operator::Between, &[low, high], *negated)
            }
            Expr::Like { negated, any: false, expr: column, pattern, escape_char: None } => {
                simple(column, Operator::Like, &[pattern], *negated)
            }
            Expr::Like { .. } => Err(self.cannot_say("'LIKE' with ESCAPE", at)),
            // Two nulls are not distinct, one is.
            Expr::IsDistinctFrom(left, right) => simple(left, Operator::Ne, &[right], false),
            Expr::IsNotDistinctFrom(left, right) => simple(left, Operator::Ne, &[right], true),
            Expr::Exists { subquery, negated } => {
                self.related(subquery, None, *negated, scope, here, at)
            }
            Expr::InSubquery { expr, subquery, negated: false } => {
                self.related(subquery, Some(expr), false, scope, here, at)
            }
            Expr::InSubquery { .. } => Err(self.cannot_say("'NOT IN' of a query", at)),
            Expr::Subquery(_) => Err(self.cannot_say("a query in place of a value", at)),
            other => Err(self.refuse(other)),
        }
    }

    /// A comparison of a column with literals or with another column.
    fn compared(
        &self,
        column: &Expr,
        operator: Operator,
        values: &[&Expr],
        scope: &Scope,
        here: usize,
        at: Location,
    ) -> Result<Filter> {
        let Some(found) = scope.column(column) else { return Err(self.refuse(column)) };
        let reference = |found: Found, expr: &Expr| {
            scope.reference(found, here, expr.span().start).ok_or_else(|| {
                let name = &scope.facts(found).logical_name;
                let part = format!("a condition on '{name}' of another table in this place");
                self.cannot_say(part, expr.span().start)
            })
        };
        let mut operands = Vec::with_capacity(values.len());
        for value in values {
            operands.push(match scope.column(value) {
                Some(other) => Operand::Column(reference(other, value)?),
                None => Operand::Value(self.value(value, operator, found, scope)?),
            });
        }
        Ok(Filter::Condition(Condition {
            column: reference(found, column)?,
            test: Test::Compare(operator),
            operands,
            at: place(at),
        }))
    }

    fn value(
        &self,
        value: &Expr,
        operator: Operator,
        column: Found,
        scope: &Scope,
    ) -> Result<Literal> {
        if matches!(written(value), Some(Written::Null)) {
            return Err(self.cannot_say("a comparison with NULL", value.span().start));
        }
        let data_type = scope.table(column).schema().field(column.column).data_type().clone();
        let text = data_type == datafusion::arrow::datatypes::DataType::Utf8View;
        if written(value).is_none() || (operator == Operator::Like && !text) {
            return Err(self.refuse(value));
        }
        self.literal(value, column, scope)
    }

    /// `YEAR(column) = 2024`.
    fn of_a_part(
        &self,
        left: &Expr,
        op: &BinaryOperator,
        right: &Expr,
        scope: &Scope,
        here: usize,
    ) -> Option<Filter> {
        let (function, of) = date_function(left)?;
        let Some(Written::Number(number)) = written(right) else { return None };
        let column = scope.reference(scope.column(of)?, here, of.span().start)?;
        let at = place(left.span().start);
        let part = Expression::Call {
            function,
            arguments: vec![Expression::Column(column)],
            at: at.clone(),
        };
        let number = Literal { kind: LiteralKind::Number, text: number, at: at.clone() };
        let (function, not) = match op {
            BinaryOperator::Eq => (Function::Eq, false),
            BinaryOperator::NotEq => (Function::Eq, true),
            BinaryOperator::Gt => (Function::Gt, false),
            BinaryOperator::GtEq => (Function::Ge, false),
            BinaryOperator::Lt => (Function::Lt, false),
            BinaryOperator::LtEq => (Function::Le, false),
            _ => return None,
        };
        let arguments = vec![part, Expression::Literal(number)];
        let filter = Filter::Expression(Expression::Call { function, arguments, at });
        Some(if not { Filter::Not(Box::new(filter)) } else { filter })
    }

    /// A test for rows of another query: `EXISTS`, or a column `IN` its rows.
    fn related(
        &self,
        query: &Query,
        column: Option<&Expr>,
        negated: bool,
        scope: &Scope,
        here: usize,
        at: Location,
    ) -> Result<Filter> {
        let plain = query.with.is_none() && query.limit_clause.is_none() && query.fetch.is_none();
        let (SetExpr::Select(select), true) = (query.body.as_ref(), plain) else {
            return Err(self.cannot_say("this inner query", at));
        };
        let grouped = !matches!(&select.group_by,
            datafusion::sql::sqlparser::ast::GroupByExpr::Expressions(keys, _) if keys.is_empty());
        if grouped || select.having.is_some() || select.top.is_some() {
            return Err(self.cannot_say("an inner query with groups or TOP", at));
        }
        let (mut links, mut conditions) = (Links::default(), Vec::new());
        let outside = Some(Arc::new(scope.clone()));
        let mut inner = Scope { sources: Vec::new(), outside };
        self.from(&select.from, at, &mut inner, &mut links, &mut conditions)?;
        let mut parts = Vec::new();
        if let Some(selection) = &select.selection {
            conjuncts(selection, &mut parts);
        }
        let own = |found: Found| found.level == 0 && found.source == 0;
        let outer = |found: Found| found.level == 1 && found.source == here;
        let joined = match column {
            Some(column) => {
                let [item] = select.projection.as_slice() else {
                    return Err(self.cannot_say("this inner query", at));
                };
                let of = super::outputs::expr_of(item).and_then(|expr| inner.column(expr));
                let to = scope.column(column).filter(|f| f.level == 0 && f.source == here);
                of.filter(|of| own(*of)).zip(to)
            }
            None => {
                let mut found = None;
                parts.retain(|part| {
                    let pair = equal(part, &inner).and_then(|(left, right)| {
                        match (own(left) && outer(right), outer(left) && own(right)) {
                            (true, _) => Some((left, right)),
                            (_, true) => Some((right, left)),
                            _ => None,
                        }
                    });
                    if found.is_some() || pair.is_none() {
                        return true;
                    }
                    found = pair;
                    false
                });
                found
            }
        };
        let Some((from, to)) = joined else {
            let part = "an inner query that is not joined by one of its table's own columns";
            return Err(self.cannot_say(part, at));
        };
        for part in parts {
            conditions.push(self.condition(part, &inner, 0)?);
        }
        let source = &inner.sources[0];
        let to = scope.facts(Found { level: 0, ..to });
        let link = Link {
            link_type: LinkType::Exists,
            table: name(&source.table.logical_name, at),
            from: Some(name(&inner.facts(from).logical_name, at)),
            to: Some(name(&to.logical_name, at)),
            alias: Some(source.alias.clone()),
            columns: Columns::List(Vec::new()),
            filter: all_of(conditions),
            links: links.tested(),
            order: Vec::new(),
        };
        let quantifier = if negated { Quantifier::NotAny } else { Quantifier::Any };
        Ok(Filter::Related(Box::new(Related { quantifier, link })))
    }
}

fn disjuncts<'e>(expr: &'e Expr, parts: &mut Vec<&'e Expr>) {
    match expr {
        Expr::BinaryOp { left, op: BinaryOperator::Or, right } => {
            disjuncts(left, parts);
            disjuncts(right, parts);
        }
        Expr::Nested(inner) if matches!(**inner, Expr::BinaryOp { op: BinaryOperator::Or, .. }) => {
            disjuncts(inner, parts);
        }
        other => parts.push(other),
    }
}

/// `a <> 1 OR a IS NULL` is one operator of Dataverse.
fn with_nulls(mut parts: Vec<Filter>) -> Filter {
    let mut at = 0;
    while at < parts.len() {
        let null = match &parts[at] {
            Filter::Not(part) => match part.as_ref() {
                Filter::Condition(condition) => null_keeping(condition).and_then(|negative| {
                    let is_null = |part: &Filter| {
                        matches!(part, Filter::Condition(c)
                            if c.test == Test::Compare(Operator::Null)
                                && same(c, condition))
                    };
                    Some((parts.iter().position(is_null)?, negative, condition.clone()))
                }),
                _ => None,
            },
            _ => None,
        };
        if let Some((null, negative, condition)) = null {
            let test = Test::Compare(negative);
            parts[at] = Filter::Condition(Condition { test, ..condition });
            parts.remove(null);
            if null < at {
                continue;
            }
        }
        at += 1;
    }
    match parts.len() {
        1 => parts.swap_remove(0),
        _ => Filter::Or(parts),
    }
}

/// The operator that is true of null where the negation of this one is unknown.
fn null_keeping(condition: &Condition) -> Option<Operator> {
    let of_values = condition.operands.iter().all(|o| matches!(o, Operand::Value(_)));
    Some(match condition.test {
        _ if !of_values => return None,
        Test::Compare(Operator::Eq) => Operator::Ne,
        Test::Compare(Operator::Like) => Operator::NotLike,
        Test::Compare(Operator::In) => Operator::NotIn,
        Test::Compare(Operator::Between) => Operator::NotBetween,
        _ => return None,
    })
}

/// Whether two conditions are on the same column.
fn same(left: &Condition, right: &Condition) -> bool {
    let path = |condition: &Condition| match &condition.column.path {
        crate::query::Path::Alias(alias) => Some(alias.text.clone()),
        _ => None,
    };
    left.column.name.text == right.column.name.text && path(left) == path(right)
}

/// The columns of an equation.
fn equal(expr: &Expr, scope: &Scope) -> Option<(Found, Found)> {
    let Expr::BinaryOp { left, op: BinaryOperator::Eq, right } = expr else { return None };
    Some((scope.column(left)?, scope.column(right)?))
}

/// `1 = 0` and the like.
fn constant(left: &Expr, op: &BinaryOperator, right: &Expr) -> Option<bool> {
    let (Written::Number(left), Written::Number(right)) = (written(left)?, written(right)?) else {
        return None;
    };
    let (left, right): (i64, i64) = (left.parse().ok()?, right.parse().ok()?);
    match op {
        BinaryOperator::Eq => Some(left == right),
        BinaryOperator::NotEq => Some(left != right),
        _ => None,
    }
}

/// The operator, and whether it has to be negated.
pub(super) fn operator(op: &BinaryOperator) -> Option<(Operator, bool)> {
    Some(match op {
        BinaryOperator::Eq => (Operator::Eq, false),
        BinaryOperator::NotEq => (Operator::Eq, true),
        BinaryOperator::Gt => (Operator::Gt, false),
        BinaryOperator::GtEq => (Operator::Ge, false),
        BinaryOperator::Lt => (Operator::Lt, false),
        BinaryOperator::LtEq => (Operator::Le, false),
        _ => return None,
    })
}
