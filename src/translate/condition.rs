//! Conditions as FetchXML and OData say them: tests that are true or not, with `and`
//! and `or` between them and no negation around them.
//!
//! SQL has three truths. What a row needs for a condition to be true, to be false, and
//! not to be true, are three conditions of two truths each, and `and` and `or` pass
//! through all of them.

use crate::query::bound::{BoundQuery, Column, Predicate, Scalar};
use crate::query::{Operator, Test};
use crate::value::Value;

/// A condition that is true of a row or is not.
#[derive(Clone, Debug)]
pub enum Condition<'q> {
    /// Nothing inside: every row.
    All(Vec<Condition<'q>>),
    /// Nothing inside: no row.
    Any(Vec<Condition<'q>>),
    /// Negative operators are true of null.
    Compare {
        column: Column,
        operator: Operator,
        values: &'q [Value],
    },
    /// `Ne` is true where one side is null.
    Columns {
        left: Column,
        operator: Operator,
        right: Column,
    },
    /// An operator that is more than a comparison.
    Operator {
        column: Column,
        test: Test,
        values: &'q [String],
        truth: Truth,
    },
    /// Whether the rows of a source that belong to this one hold one that satisfies its
    /// filter.
    Exists {
        source: usize,
        wanted: bool,
    },
    Holds {
        scalar: &'q Scalar,
        truth: Truth,
    },
}

/// What a test has to come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    True,
    False,
    NotTrue,
    NotFalse,
}

impl Truth {
    fn complement(self) -> Self {
        match self {
            Self::True => Self::NotTrue,
            Self::NotTrue => Self::True,
            Self::False => Self::NotFalse,
            Self::NotFalse => Self::False,
        }
    }
}

impl<'q> Condition<'q> {
    /// What has to hold for a predicate to be true.
    pub fn of(predicate: &'q Predicate) -> Self {
        match predicate {
            Predicate::And(parts) => all(parts.iter().map(Self::of)),
            Predicate::Or(parts) => any(parts.iter().map(Self::of)),
            Predicate::Not(part) => Self::false_of(part),
            Predicate::NotTrue(part) => Self::of(part).complement(),
            Predicate::Compare { column, operator, operands } => {
                Self::Compare { column: *column, operator: *operator, values: operands }
            }
            Predicate::CompareColumns { left, operator, right } => {
                Self::Columns { left: *left, operator: *operator, right: *right }
            }
            Predicate::Operator { column, test, values, .. } => {
                Self::Operator { column: *column, test: *test, values, truth: Truth::True }
            }
            Predicate::Exists(source) => Self::Exists { source: *source, wanted: true },
            Predicate::Holds(scalar) => Self::Holds { scalar, truth: Truth::True },
            // It stands inside of an operator only.
            Predicate::FiscalPeriod { .. } => Self::Any(Vec::new()),
        }
    }

    /// What has to hold for a predicate to be false.
    fn false_of(predicate: &'q Predicate) -> Self {
        match predicate {
            Predicate::And(parts) => any(parts.iter().map(Self::false_of)),
            Predicate::Or(parts) => all(parts.iter().map(Self::false_of)),
            Predicate::Not(part) | Predicate::NotTrue(part) => Self::of(part),
            Predicate::Compare { column, operator, operands } => {
                let (column, values) = (*column, operands.as_slice());
                let is = |operator| Self::Compare { column, operator, values };
                let known = |operator| all([is(operator), not_null(column)]);
                match operator {
                    Operator::Eq => known(Operator::Ne),
                    Operator::Like => known(Operator::NotLike),
                    Operator::In => known(Operator::NotIn),
                    Operator::Between => known(Operator::NotBetween),
                    other => is(opposite(*other)),
                }
            }
            Predicate::CompareColumns { left, operator, right } => {
                let (left, right) = (*left, *right);
                let is = |operator| Self::Columns { left, operator, right };
                match operator {
                    Operator::Eq => all([is(Operator::Ne), not_null(left), not_null(right)]),
                    Operator::Ne => any([is(Operator::Eq), all([null(left), null(right)])]),
                    other => is(opposite(*other)),
                }
            }
            Predicate::Operator { column, test, values, .. } => {
                Self::Operator { column: *column, test: *test, values, truth: Truth::False }
            }
            Predicate::Exists(source) => Self::Exists { source: *source, wanted: false },
            Predicate::Holds(scalar) => Self::Holds { scalar, truth: Truth::False },
            Predicate::FiscalPeriod { .. } => Self::Any(Vec::new()),
        }
    }

    /// What is true where this is not.
    pub fn complement(self) -> Self {
        match self {
            Self::All(parts) => any(parts.into_iter().map(Self::complement)),
            Self::Any(parts) => all(parts.into_iter().map(Self::complement)),
            Self::Compare { column, operator, values } => {
                let is = |operator| Self::Compare { column, operator, values };
                match operator {
                    Operator::Gt | Operator::Ge | Operator::Lt | Operator::Le => {
                        any([is(opposite(operator)), null(column)])
                    }
                    other => is(opposite(other)),
                }
            }
            Self::Columns { left, operator, right } => {
                let is = |operator| Self::Columns { left, operator, right };
                match operator {
                    Operator::Ne => any([is(Operator::Eq), all([null(left), null(right)])]),
                    other => any([is(opposite(other)), null(left), null(right)]),
                }
            }
            Self::Operator { column, test, values, truth } => {
                Self::Operator { column, test, values, truth: truth.complement() }
            }
            Self::Exists { source, wanted } => Self::Exists { source, wanted: !wanted },
            Self::Holds { scalar, truth } => Self::Holds { scalar, truth: truth.complement() },
        }
    }

    /// Whether it names columns of this source and what is joined to it only by the
    /// source itself.
    pub fn is_every_row(&self) -> bool {
        matches!(self, Self::All(parts) if parts.is_empty())
    }
}

impl BoundQuery {
    /// What is true of a source's own key where it has a row.
    pub(super) fn has_row<'q>(&self, source: usize) -> Condition<'q> {
        not_null(Column { source, column: self.table_of(source).primary_id_index() })
    }
}

/// All of the conditions; those inside that mean the same stand beside them.
pub fn all<'q>(parts: impl IntoIterator<Item = Condition<'q>>) -> Condition<'q> {
    let mut all = Vec::new();
    for part in parts {
        match part {
            Condition::All(inner) => all.extend(inner),
            Condition::Any(inner) if inner.is_empty() => return Condition::Any(Vec::new()),
            other => all.push(other),
        }
    }
    match all.len() {
        1 => all.swap_remove(0),
        _ => Condition::All(all),
    }
}

fn any<'q>(parts: impl IntoIterator<Item = Condition<'q>>) -> Condition<'q> {
    let mut any = Vec::new();
    for part in parts {
        match part {
            Condition::Any(inner) => any.extend(inner),
            Condition::All(inner) if inner.is_empty() => return Condition::All(Vec::new()),
            other => any.push(other),
        }
    }
    match any.len() {
        1 => any.swap_remove(0),
        _ => Condition::Any(any),
    }
}

fn null<'q>(column: Column) -> Condition<'q> {
    Condition::Compare { column, operator: Operator::Null, values: &[] }
}

fn not_null<'q>(column: Column) -> Condition<'q> {
    Condition::Compare { column, operator: Operator::NotNull, values: &[] }
}

fn opposite(operator: Operator) -> Operator {
    use Operator::{
        Between, Eq, Ge, Gt, In, Le, Like, Lt, Ne, NotBetween, NotIn, NotLike, NotNull, Null,
    };
    match operator {
        Eq => Ne,
        Ne => Eq,
        Gt => Le,
        Le => Gt,
        Ge => Lt,
        Lt => Ge,
        Like => NotLike,
        NotLike => Like,
        In => NotIn,
        NotIn => In,
        Between => NotBetween,
        NotBetween => Between,
        Null => NotNull,
        NotNull => Null,
    }
}
