//! Which chunks can hold rows for which a condition is true, told from what is
//! known of their columns, and which rows, where a condition names primary keys.

use std::sync::Arc;

use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{
    BinaryExpr, CaseExpr, Column, DynamicFilterPhysicalExpr, InListExpr, IsNotNullExpr, IsNullExpr,
    Literal, NotExpr,
};

use super::zones::{Zone, guid_of, rank};
use crate::catalog::{ColumnKind, Table};
use crate::store::Chunk;
use crate::value::Guid;

/// Beyond this many primary keys reading the rows is faster than looking them up.
const KEYS_MAX: usize = 1000;

/// What has to hold of a chunk for a condition to be true of one of its rows.
/// Columns are the table's; values are ranks.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// Nothing is known.
    Any,
    Never,
    All(Vec<Test>),
    Either(Vec<Test>),
    /// A value from the first to the last.
    Range(usize, i128, i128),
    /// One of these values, in order.
    In(usize, Vec<i128>),
    Null(usize),
    NotNull(usize),
}

use Test::{All, Any, Either, In, Never, NotNull, Null, Range};

impl Test {
    /// What a condition asks for; its columns are numbers in `columns`.
    pub fn of(condition: &Arc<dyn PhysicalExpr>, columns: &[usize], table: &Table) -> Self {
        Context { columns, table }.test(condition, true)
    }

    /// Both.
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Any, test) | (test, Any) => test,
            (a, b) => All(vec![a, b]),
        }
    }

    /// Whether a chunk can hold a row of which the condition is true.
    pub fn may_hold(&self, chunk: &Chunk) -> bool {
        match self {
            Any => true,
            Never => false,
            All(tests) => tests.iter().all(|test| test.may_hold(chunk)),
            Either(tests) => tests.iter().any(|test| test.may_hold(chunk)),
            Range(column, from, to) => Zone::of(chunk, *column).may_hold(chunk, *from, *to),
            In(column, ranks) => {
                let zone = Zone::of(chunk, *column);
                let within = |(least, most): (i128, i128)| {
                    let first = ranks.partition_point(|rank| *rank < least);
                    ranks.get(first).is_some_and(|rank| *rank <= most)
                };
                !zone.is_empty(chunk) && zone.range.is_none_or(within)
            }
            Null(column) => Zone::of(chunk, *column).nulls != Some(0),
            NotNull(column) => !Zone::of(chunk, *column).is_empty(chunk),
        }
    }

    /// The values of a column of GUIDs that the condition is limited to, if they
    /// are few.
    pub fn keys(&self, column: usize) -> Option<Vec<Guid>> {
        match self {
            Range(of, from, to) if *of == column && from == to => Some(vec![guid_of(*from)]),
            In(of, ranks) if *of == column && ranks.len() <= KEYS_MAX => {
                Some(ranks.iter().map(|rank| guid_of(*rank)).collect())
            }
            All(tests) => tests.iter().find_map(|test| test.keys(column)),
            Either(tests) => {
                let keys: Option<Vec<_>> = tests.iter().map(|test| test.keys(column)).collect();
                let mut keys = keys?.concat();
                keys.sort_unstable();
                keys.dedup();
                Some(keys).filter(|keys| keys.len() <= KEYS_MAX)
            }
            Never => Some(Vec::new()),
            _ => None,
        }
    }
}

struct Context<'a> {
    columns: &'a [usize],
    table: &'a Table,
}

impl Context<'_> {
    /// What it takes for a condition to be true, or false.
    fn test(&self, condition: &Arc<dyn PhysicalExpr>, is: bool) -> Test {
        if let Some(binary) = condition.downcast_ref::<BinaryExpr>() {
            return self.binary(binary, is);
        }
        if let Some(list) = condition.downcast_ref::<InListExpr>() {
            return self.list(list, is);
        }
        if let Some(not) = condition.downcast_ref::<NotExpr>() {
            return self.test(not.arg(), !is);
        }
        if let Some(null) = condition.downcast_ref::<IsNullExpr>() {
            return self.column(null.arg()).map_or(Any, if is { Null } else { NotNull });
        }
        if let Some(present) = condition.downcast_ref::<IsNotNullExpr>() {
            return self.column(present.arg()).map_or(Any, if is { NotNull } else { Null });
        }
        if let Some(literal) = condition.downcast_ref::<Literal>() {
            return match rank(literal.value()) {
                Some(value) if (value != 0) == is => Any,
                _ => Never,
            };
        }
        if let Some(dynamic) = condition.downcast_ref::<DynamicFilterPhysicalExpr>() {
            return dynamic.current().map_or(Any, |current| self.test(&current, is));
        }
        // Filters that joins make for partitions: one branch is chosen for each row.
        if let (Some(case), true) = (condition.downcast_ref::<CaseExpr>(), is) {
            let branches = case.when_then_expr().iter().map(|(_, then)| then);
            return either(branches.chain(case.else_expr()).map(|e| self.test(e, is)).collect());
        }
        match self.column(condition) {
            Some(column) => Range(column, i128::from(is), i128::from(is)),
            None => Any,
        }
    }

    fn binary(&self, binary: &BinaryExpr, is: bool) -> Test {
        let (left, right) = (binary.left(), binary.right());
        match (binary.op(), is) {
            (Operator::And, true) | (Operator::Or, false) => {
                all(vec![self.test(left, is), self.test(right, is)])
            }
            (Operator::Or, true) | (Operator::And, false) => {
                either(vec![self.test(left, is), self.test(right, is)])
            }
            (op, _) => {
                let negated = |op: Operator| if is { Some(op) } else { op.negate() };
                let (column, value, op) = match (self.column(left), self.column(right)) {
                    (Some(column), None) => (column, right, Some(*op)),
                    (None, Some(column)) => (column, left, op.swap()),
                    _ => return Any,
                };
                let Some(literal) = value.downcast_ref::<Literal>() else { return Any };
                if literal.value().is_null() {
                    return if op.is_some_and(compares) { Never } else { Any };
                }
                let Some(value) = self.rank(column, literal) else { return Any };
                match op.and_then(negated) {
                    Some(Operator::Eq) => Range(column, value, value),
                    Some(Operator::Lt) if value == i128::MIN => Never,
                    Some(Operator::Lt) => Range(column, i128::MIN, value - 1),
                    Some(Operator::LtEq) => Range(column, i128::MIN, value),
                    Some(Operator::Gt) if value == i128::MAX => Never,
                    Some(Operator::Gt) => Range(column, value + 1, i128::MAX),
                    Some(Operator::GtEq) => Range(column, value, i128::MAX),
                    Some(Operator::NotEq) => NotNull(column),
                    _ => Any,
                }
            }
        }
    }

    fn list(&self, list: &InListExpr, is: bool) -> Test {
        let Some(column) = self.column(list.expr()) else { return Any };
        if list.negated() == is {
            return NotNull(column);
        }
        let mut ranks = Vec::with_capacity(list.len());
        for item in list.list() {
            let Some(literal) = item.downcast_ref::<Literal>() else { return Any };
            if literal.value().is_null() {
                continue;
            }
            let Some(value) = self.rank(column, literal) else { return Any };
            ranks.push(value);
        }
        ranks.sort_unstable();
        ranks.dedup();
        In(column, ranks)
    }

    /// The rank of a value of a column's own type.
    fn rank(&self, column: usize, literal: &Literal) -> Option<i128> {
        let own = self.table.schema().field(column).data_type();
        rank(literal.value()).filter(|_| literal.value().data_type() == *own)
    }

    /// The stored column that an expression is.
    fn column(&self, expr: &Arc<dyn PhysicalExpr>) -> Option<usize> {
        let column = self.columns[expr.downcast_ref::<Column>()?.index()];
        (self.table.columns[column].kind == ColumnKind::Stored).then_some(column)
    }
}

fn compares(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq)
}

fn all(tests: Vec<Test>) -> Test {
    let mut kept: Vec<Test> = tests.into_iter().filter(|test| *test != Any).collect();
    match kept.len() {
        _ if kept.contains(&Never) => Never,
        0 => Any,
        1 => kept.remove(0),
        _ => All(kept),
    }
}

fn either(tests: Vec<Test>) -> Test {
    let mut kept: Vec<Test> = tests.into_iter().filter(|test| *test != Never).collect();
    match kept.len() {
        _ if kept.contains(&Any) => Any,
        0 => Never,
        1 => kept.remove(0),
        _ => Either(kept),
    }
}
