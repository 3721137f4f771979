//! Conditions as expressions.

use datafusion::common::Result;
use datafusion::logical_expr::{BinaryExpr, Expr, lit};
use datafusion::prelude::in_list;

use super::Builder;
use super::dates::as_time;
use crate::engine::functions;
use crate::engine::semantics::or_null;
use crate::query::Operator;
use crate::query::bound::{Column, Predicate};
use crate::value::Value;

impl Builder<'_> {
    pub(super) fn predicate(&self, predicate: &Predicate) -> Result<Expr> {
        Ok(match predicate {
            Predicate::And(parts) => self.all(parts, Expr::and, true)?,
            Predicate::Or(parts) => self.all(parts, Expr::or, false)?,
            Predicate::Not(inner) => Expr::Not(Box::new(self.predicate(inner)?)),
            Predicate::Holds(scalar) => self.scalar(scalar)?,
            Predicate::Operator { means, .. } => self.predicate(means)?,
            Predicate::NotTrue(inner) => Expr::IsNotTrue(Box::new(self.predicate(inner)?)),
            Predicate::Exists(source) => self.exists(*source)?,
            Predicate::Compare { column, operator, operands } => {
                self.compare(*column, *operator, operands)
            }
            Predicate::FiscalPeriod { column, number } => {
                let time = as_time(self.time(*column, true));
                functions::fiscal_period_in_year(time, self.query.calendar).eq(lit(*number as i32))
            }
            Predicate::CompareColumns { left, operator, right } => {
                let (left, right) = (self.column(*left), self.column(*right));
                match operator {
                    // True as well when exactly one side is null.
                    Operator::Ne => Expr::BinaryExpr(BinaryExpr::new(
                        Box::new(left),
                        datafusion::logical_expr::Operator::IsDistinctFrom,
                        Box::new(right),
                    )),
                    operator => comparison(left, *operator, right),
                }
            }
        })
    }

    fn all(&self, parts: &[Predicate], join: fn(Expr, Expr) -> Expr, empty: bool) -> Result<Expr> {
        let exprs: Result<Vec<Expr>> = parts.iter().map(|part| self.predicate(part)).collect();
        Ok(joined(exprs?, join).unwrap_or_else(|| lit(empty)))
    }

    fn compare(&self, on: Column, operator: Operator, operands: &[Value]) -> Expr {
        let (table, _) = self.source(on.source);
        let data_type = table.schema().field(on.column).data_type();
        let subject = self.column(on);
        let value = |i: usize| Expr::Literal(operands[i].to_scalar(data_type), None);
        let values = || (0..operands.len()).map(value).collect::<Vec<_>>();
        match operator {
            Operator::Null => subject.is_null(),
            Operator::NotNull => subject.is_not_null(),
            Operator::Ne => or_null(subject.clone(), subject.not_eq(value(0))),
            Operator::Like => subject.like(value(0)),
            Operator::NotLike => or_null(subject.clone(), subject.not_like(value(0))),
            Operator::In => in_list(subject, values(), false),
            Operator::NotIn => or_null(subject.clone(), in_list(subject, values(), true)),
            Operator::Between => subject.between(value(0), value(1)),
            Operator::NotBetween => {
                or_null(subject.clone(), subject.not_between(value(0), value(1)))
            }
            operator => comparison(subject, operator, value(0)),
        }
    }
}

/// So many conditions read from left to right, as in SQL.
const FLAT_MAX: usize = 16;

/// Longer lists are halved: whatever walks the plan goes down only as deep as
/// the logarithm of their length.
fn joined(mut exprs: Vec<Expr>, join: fn(Expr, Expr) -> Expr) -> Option<Expr> {
    if exprs.len() <= FLAT_MAX {
        return exprs.into_iter().reduce(join);
    }
    let right = exprs.split_off(exprs.len() / 2);
    joined(exprs, join).zip(joined(right, join)).map(|(left, right)| join(left, right))
}

fn comparison(left: Expr, operator: Operator, right: Expr) -> Expr {
    match operator {
        Operator::Gt => left.gt(right),
        Operator::Ge => left.gt_eq(right),
        Operator::Lt => left.lt(right),
        Operator::Le => left.lt_eq(right),
        _ => left.eq(right),
    }
}
