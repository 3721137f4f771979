//! What the counts of a table know: whether an expression has the same value for
//! all rows that are counted together.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{ScalarValue, TableReference};
use datafusion::logical_expr::expr::{AggregateFunction, ScalarFunction};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

use super::hours::{self, MICROS_PER_HOUR};
use crate::catalog::{ColumnKind, Table};
use crate::engine::functions::DatePart;
use crate::engine::oldest::OLDEST_TEXT;
use crate::store::CountedBy;

/// The parts of dates in DataFusion's and PostgreSQL's functions that last an hour or longer.
const LONG_PARTS: [&str; 10] =
    ["year", "quarter", "month", "week", "day", "hour", "doy", "dow", "isodow", "isoyear"];

/// Functions of a time that look at its date only.
const OF_DATES: [&str; 3] = ["eomonth", "fiscal_period", "fiscal_year"];

/// Some counts of a table, in the place of the table in a plan.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    pub by: &'a [CountedBy],
    pub table: &'a Table,
    /// What the table is called on the way up to the aggregate.
    pub relations: &'a [TableReference],
    /// Whether a text column is spelled in one way wherever it collates alike.
    pub one_spelling: &'a dyn Fn(usize) -> bool,
    /// Whether all times of a column lie where the clocks of zones are looked at.
    pub modern: &'a dyn Fn(usize) -> bool,
}

impl Known<'_> {
    /// Whether the value of an expression follows from what rows are counted by.
    pub fn of(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Column(column) if self.of_others(column.relation.as_ref()) => true,
            Expr::Column(column) => match self.table.column_index(&column.name) {
                Some(index) => self.value(index),
                // A name of the plan's own, computed below.
                None => true,
            },
            Expr::IsNull(inner) | Expr::IsNotNull(inner) => self.presence(inner) || self.of(inner),
            Expr::AggregateFunction(function) => self.aggregate(function),
            Expr::ScalarFunction(function) if self.of_hour(function) => true,
            Expr::Cast(cast)
                if *cast.field.data_type() == DataType::Date32 && self.hour(&cast.expr) =>
            {
                true
            }
            Expr::BinaryExpr(comparison) if self.of_whole_hours(comparison) => true,
            Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) => false,
            other => {
                let mut all = !other.is_volatile_node();
                // The closure returns no error.
                let _ = other.apply_children(|child| {
                    all = all && self.of(child);
                    Ok(if all { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
                });
                all
            }
        }
    }

    fn aggregate(&self, function: &AggregateFunction) -> bool {
        let params = &function.params;
        let argument = |arg| match function.func.name() {
            "count" if !params.distinct => self.presence(arg) || self.of(arg),
            _ => self.of(arg),
        };
        let filter = params.filter.as_ref().is_none_or(|filter| self.of(filter));
        if ["first_value", OLDEST_TEXT].contains(&function.func.name()) {
            return filter && (self.ordered(function) || self.shown_text(function).is_some());
        }
        filter && params.order_by.is_empty() && params.args.iter().all(argument)
    }

    /// Whether the values of an aggregate and their order are known.
    pub fn ordered(&self, function: &AggregateFunction) -> bool {
        let params = &function.params;
        params.args.iter().chain(params.order_by.iter().map(|key| &key.expr)).all(|e| self.of(e))
    }

    /// The text that a group shows, where all rows counted together and all that
    /// collate alike have the same one.
    pub fn shown_text<'e>(&self, function: &'e AggregateFunction) -> Option<&'e Expr> {
        let params = &function.params;
        let [Expr::Column(text), _] = params.args.as_slice() else { return None };
        if function.func.name() != OLDEST_TEXT || self.of_others(text.relation.as_ref()) {
            return None;
        }
        let index = self.table.column_index(&text.name)?;
        (self.value(index) && (self.one_spelling)(index)).then_some(&params.args[0])
    }

    fn of_others(&self, relation: Option<&TableReference>) -> bool {
        relation.is_some_and(|relation| !self.relations.contains(relation))
    }

    fn value(&self, column: usize) -> bool {
        let counted = |column| self.by.contains(&CountedBy::Value(column));
        match self.table.columns[column].kind {
            ColumnKind::Stored => counted(column),
            ColumnKind::ChoiceLabel(of) | ColumnKind::EntityLabel(of) => counted(of),
            ColumnKind::LookupName(of) => counted(of) && counted(column),
            ColumnKind::WaitReason => false,
        }
    }

    /// The column of the table that an expression is.
    pub fn column(&self, expr: &Expr) -> Option<usize> {
        match expr {
            Expr::Column(column) if !self.of_others(column.relation.as_ref()) => {
                self.table.column_index(&column.name)
            }
            _ => None,
        }
    }

    /// Whether it is a column of which it is known where it has values.
    fn presence(&self, expr: &Expr) -> bool {
        let known = |column| {
            self.by.iter().any(
                |by| matches!(by, CountedBy::Presence(of) | CountedBy::Hour(of) if *of == column),
            )
        };
        self.column(expr).is_some_and(known)
    }

    /// Whether it is a time of which the hour is known, or one moved by whole hours.
    fn hour(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Alias(alias) => self.hour(&alias.expr),
            Expr::Cast(cast) => {
                matches!(cast.field.data_type(), DataType::Timestamp(_, None))
                    && self.hour(&cast.expr)
            }
            Expr::ScalarFunction(function) => match (function.name(), function.args.as_slice()) {
                ("local_time", [time, zone]) => {
                    self.column(time).is_some_and(|column| (self.modern)(column))
                        && literal(zone).is_some_and(hours::whole_hours_apart)
                        && self.hour(time)
                }
                ("dateadd", [part, number, time]) => {
                    is_long(part) && matches!(number, Expr::Literal(..)) && self.hour(time)
                }
                _ => false,
            },
            expr => {
                self.column(expr).is_some_and(|column| self.by.contains(&CountedBy::Hour(column)))
            }
        }
    }

    /// `DATETRUNC(hour, time)` and coarser, and what else looks at no minutes.
    fn of_hour(&self, function: &ScalarFunction) -> bool {
        let (name, args) = (function.name(), function.args.as_slice());
        let long = |part: &Expr| match name {
            "date_trunc" | "date_part" | "pg_date_trunc" | "pg_date_part" => {
                literal(part).is_some_and(|p| LONG_PARTS.contains(&p.to_lowercase().as_str()))
            }
            _ => is_long(part),
        };
        match (name, args) {
            ("date_trunc" | "date_part" | "pg_date_trunc" | "pg_date_part", [part, time]) => {
                long(part) && self.hour(time)
            }
            ("datetrunc" | "datepart" | "datename", [part, time, rest @ ..]) => {
                long(part) && self.hour(time) && rest.iter().all(|rest| self.of(rest))
            }
            ("datediff" | "datediff_big", [part, from, to, rest @ ..]) => {
                let end = |time: &Expr| self.hour(time) || self.of(time);
                long(part) && end(from) && end(to) && rest.iter().all(|rest| self.of(rest))
            }
            (name, [time, rest @ ..]) if OF_DATES.contains(&name) => {
                self.hour(time) && rest.iter().all(|rest| self.of(rest))
            }
            _ => false,
        }
    }

    /// `time >= x` and `time < x`, where `x` is the start of an hour.
    fn of_whole_hours(&self, comparison: &BinaryExpr) -> bool {
        let Some((time, op, at)) = comparison_with_time(comparison) else { return false };
        let start = match op {
            Operator::GtEq | Operator::Lt => at,
            Operator::Gt | Operator::LtEq => at.saturating_add(1),
            _ => return false,
        };
        start % MICROS_PER_HOUR == 0 && self.hour(time)
    }

    /// The column and the comparison of a condition that cuts through an hour.
    pub fn cut(&self, condition: &Expr) -> Option<(usize, Operator, i64)> {
        let Expr::BinaryExpr(comparison) = condition else { return None };
        let (time, op, at) = comparison_with_time(comparison)?;
        let column = self.column(time)?;
        let inequality =
            matches!(op, Operator::GtEq | Operator::Gt | Operator::LtEq | Operator::Lt);
        (inequality && self.by.contains(&CountedBy::Hour(column))).then_some((column, op, at))
    }
}

/// A comparison of something with a time, which stands on the right.
fn comparison_with_time(comparison: &BinaryExpr) -> Option<(&Expr, Operator, i64)> {
    let (left, right) = (comparison.left.as_ref(), comparison.right.as_ref());
    let (time, op, at) = match (left, right) {
        (time, Expr::Literal(at, _)) => (time, comparison.op, at),
        (Expr::Literal(at, _), time) => (time, comparison.op.swap()?, at),
        _ => return None,
    };
    match at {
        ScalarValue::TimestampMicrosecond(Some(at), None) => Some((time, op, *at)),
        _ => None,
    }
}

fn literal(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(value, _) => value.try_as_str().flatten(),
        _ => None,
    }
}

/// Whether a part of a date, by T-SQL's names, lasts an hour or longer.
fn is_long(part: &Expr) -> bool {
    use DatePart::{Microsecond, Millisecond, Minute, Nanosecond, Second, TzOffset};
    let part = literal(part).and_then(DatePart::parse);
    part.is_some_and(|part| {
        !matches!(part, Minute | Second | Millisecond | Microsecond | Nanosecond | TzOffset)
    })
}
