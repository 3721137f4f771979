//! A query whose names are settled: tables, column numbers, typed values. The
//! engine turns it into a plan; encoders read [`Output`] to label the answer.

use std::sync::Arc;

use chrono_tz::Tz;
use datafusion::arrow::datatypes::DataType;

use super::context::Calendar;
use super::{Aggregate, DateGrouping, Function, LinkType, Operator, Page, Style, Test};
use crate::catalog::{self, Table};
use crate::value::Value;

/// The root table is source 0; joins are sources 1, 2, ….
#[derive(Clone, Debug)]
pub struct BoundQuery {
    pub style: Style,
    pub root: Arc<Table>,
    /// Other queries that the root's rows come from, one after the other; none: the
    /// root is a table of the store.
    pub input: Vec<Stage>,
    /// The values of the root's last columns, which the query computes.
    pub computed: Vec<Scalar>,
    /// In an order in which each join's parent comes before it.
    pub joins: Vec<Join>,
    pub filter: Option<Predicate>,
    pub aggregate: bool,
    pub distinct: bool,
    /// More rows to aggregate are an error.
    pub aggregate_limit: Option<u64>,
    /// The columns of the plan, in order; hidden ones come last.
    pub outputs: Vec<Output>,
    pub order: Vec<OrderKey>,
    /// Only the rows at the top that together make up a part of a sum.
    pub share: Option<BoundShare>,
    /// Rows left out at the start of the order.
    pub skip: u64,
    pub top: Option<u64>,
    pub page: Option<Page>,
    /// For each sort key the output with its values, where pages start after a
    /// row; empty where they are found by their number.
    pub page_keys: Vec<PageKey>,
    /// The row that the page starts after.
    pub after: Option<After>,
    /// The total number of rows is wanted beside the rows.
    pub count: bool,
    /// Where parts of dates are read.
    pub timezone: Tz,
    pub calendar: Calendar,
}

/// The name of the column that keeps the order of an inner query's rows.
pub const PLACE: &str = "$place";

/// A query whose answer are rows of another's root.
#[derive(Clone, Debug)]
pub struct Stage {
    pub query: BoundQuery,
    /// For each column of the root the output that fills it; null where none does.
    pub columns: Vec<Option<usize>>,
}

/// The rows at the top, as many as are needed for their sum to reach an amount.
#[derive(Clone, Copy, Debug)]
pub struct BoundShare {
    pub by: Column,
    pub amount: f64,
    /// The amount is a percentage of the sum of all rows.
    pub percent: bool,
    pub bottom: bool,
}

impl BoundQuery {
    /// The nearest source that a source is or hangs on and whose rows are found
    /// apart from the others: tested, or of which one is taken; the root otherwise.
    pub fn part_of(&self, source: usize) -> usize {
        match source.checked_sub(1).map(|join| &self.joins[join]) {
            None => 0,
            Some(join) if matches!(join.link_type, LinkType::Exists | LinkType::First) => source,
            Some(join) => self.part_of(join.to.source),
        }
    }

    /// The source a predicate looks at that a source is or hangs on.
    pub fn in_predicate(&self, source: usize) -> Option<usize> {
        let join = source.checked_sub(1).map(|join| &self.joins[join])?;
        if join.in_predicate { Some(source) } else { self.in_predicate(join.to.source) }
    }
}

#[derive(Clone, Debug)]
pub struct Join {
    pub link_type: LinkType,
    /// Only a [`Predicate::Exists`] looks at it.
    pub in_predicate: bool,
    pub table: Arc<Table>,
    /// Unique in the query; the plan's table alias.
    pub alias: String,
    /// The parent's column.
    pub to: Column,
    /// This table's column number.
    pub from: usize,
    /// Part of the join condition.
    pub filter: Option<Predicate>,
}

/// A column of one of the query's sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    pub source: usize,
    pub column: usize,
}

/// A value computed for each row.
#[derive(Clone, Debug)]
pub enum Scalar {
    Column(Column),
    /// A value of a type; nulls have one too.
    Literal {
        value: Value,
        data_type: DataType,
    },
    /// The value in another type.
    Cast(Box<Scalar>, DataType),
    Call {
        function: Function,
        arguments: Vec<Scalar>,
        data_type: DataType,
    },
}

impl Scalar {
    /// Adds the sources whose columns it names.
    pub fn sources(&self, found: &mut Vec<usize>) {
        match self {
            Self::Column(column) => found.push(column.source),
            Self::Literal { .. } => {}
            Self::Cast(inner, _) => inner.sources(found),
            Self::Call { arguments, .. } => arguments.iter().for_each(|a| a.sources(found)),
        }
    }
}

#[derive(Clone, Debug)]
pub enum Predicate {
    And(Vec<Predicate>),
    Or(Vec<Predicate>),
    Not(Box<Predicate>),
    /// Operands have the column's type. For `Like` and `NotLike`: patterns.
    Compare {
        column: Column,
        operator: Operator,
        operands: Vec<Value>,
    },
    /// An operator that is more than a comparison, its values as they were written,
    /// and what it means for this caller at this moment.
    Operator {
        column: Column,
        test: Test,
        values: Vec<String>,
        means: Box<Predicate>,
    },
    /// The part is false or unknown.
    NotTrue(Box<Predicate>),
    /// A row of this source, which is joined in predicates only, belongs to the
    /// row of the source it hangs on and satisfies the join's filter.
    Exists(usize),
    /// A value that is true.
    Holds(Scalar),
    /// The time lies in the fiscal period with this number, of any year.
    FiscalPeriod {
        column: Column,
        number: u32,
    },
    /// `Eq` to `Le` between two columns of one type.
    CompareColumns {
        left: Column,
        operator: Operator,
        right: Column,
    },
}

impl Predicate {
    /// The parts that all have to be true.
    pub fn conjuncts(&self) -> Vec<&Predicate> {
        match self {
            Self::And(parts) => parts.iter().flat_map(Self::conjuncts).collect(),
            Self::Operator { means, .. } => means.conjuncts(),
            other => vec![other],
        }
    }

    /// Whether it looks at rows that are joined in predicates only.
    pub fn tests_rows(&self) -> bool {
        match self {
            Self::Exists(_) => true,
            Self::And(parts) | Self::Or(parts) => parts.iter().any(Self::tests_rows),
            Self::Not(part) | Self::NotTrue(part) => part.tests_rows(),
            Self::Compare { .. }
            | Self::Operator { .. }
            | Self::CompareColumns { .. }
            | Self::FiscalPeriod { .. }
            | Self::Holds(_) => false,
        }
    }

    /// Adds the sources whose columns it names.
    pub fn sources(&self, found: &mut Vec<usize>) {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().for_each(|p| p.sources(found)),
            Self::Not(part) | Self::NotTrue(part) => part.sources(found),
            Self::Compare { column, .. }
            | Self::Operator { column, .. }
            | Self::FiscalPeriod { column, .. } => found.push(column.source),
            Self::Holds(scalar) => scalar.sources(found),
            Self::CompareColumns { left, right, .. } => {
                found.extend([left.source, right.source]);
            }
            Self::Exists(_) => {}
        }
    }
}

/// What an output column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputRole {
    Plain,
    Group(Option<DateGrouping>),
    Aggregate(Aggregate),
    /// The number of rows whose parent in the hierarchy is this one.
    CountChildren,
}

/// One column of the answer.
#[derive(Clone, Debug)]
pub struct Output {
    /// The key in the JSON answer, the heading elsewhere.
    pub name: String,
    pub role: OutputRole,
    pub column: Column,
    /// The table of `column.source`.
    pub table: Arc<Table>,
    /// The query gave the name: the answer says which column it was.
    pub aliased: bool,
    /// OData `$expand`: the navigation properties the value is nested under, with
    /// `/` between them.
    pub nested: Option<String>,
    /// Fetched for annotations or structure only; never shown by itself.
    pub hidden: bool,
    /// The output that holds a lookup's name, when annotations are wanted.
    pub name_output: Option<usize>,
    /// The output that holds the table of a lookup with several targets.
    pub type_output: Option<usize>,
}

impl Output {
    /// The catalog's facts of the column.
    pub fn facts(&self) -> &catalog::Column {
        &self.table.columns[self.column.column]
    }
}

/// A sort key as a paging cookie has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageKey {
    pub name: String,
    pub output: usize,
}

/// The last row of an earlier page.
#[derive(Clone, Debug, PartialEq)]
pub struct After {
    /// The number of that page.
    pub page: u64,
    /// A value for each sort key.
    pub values: Vec<Value>,
}

/// A sort key: an output, or a column that need not be shown.
#[derive(Clone, Debug)]
pub struct OrderKey {
    pub by: OrderTarget,
    pub descending: bool,
}

#[derive(Clone, Debug)]
pub enum OrderTarget {
    Column(Column),
    Output(usize),
    Scalar(Scalar),
}
