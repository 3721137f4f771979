//! Counts from pre-aggregates: an aggregate whose groups, filters and arguments
//! need no more of a table than what its rows are counted by reads those counts
//! instead of the rows. Anything else stays as it is.
//!
//! The counts look like the table, with one row for each combination of values
//! and a column that says how many rows have it. So filters, expressions and joins
//! need no change; only `COUNT(*)` becomes the sum of that column, and so on.

mod grouped;
mod hours;
mod known;
mod path;
mod table;
mod weighted;

pub use self::grouped::GroupedTable;
pub use self::table::CountedTable;

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, Result};
use datafusion::datasource::source_as_provider;
use datafusion::functions_aggregate::min_max::min_udaf;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    Aggregate, AggregateUDF, Expr, ExprSchemable, LogicalPlan, Projection, TableScan, lit, when,
};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

use self::grouped::grouped;
use self::known::Known;
use self::path::{Path, paths};
use self::weighted::Weighted;
use super::collation::collation_key;
use super::oldest::OLDEST_TEXT;
use super::provider::SnapshotTable;
use super::total::TotalCount;
use crate::store::CountsSnapshot;

/// The column with the number of rows, a name that no table has.
const ROWS: &str = "number of rows";

/// An aggregate over something else than one of its tables, if that tells enough.
type InPlaceOf = fn(&Aggregate, &Path<'_>) -> Result<Option<LogicalPlan>>;

/// Lets aggregates read fewer rows than their tables have.
#[derive(Debug)]
pub struct FewerRows {
    name: &'static str,
    in_place_of: InPlaceOf,
}

impl FewerRows {
    /// Puts pre-aggregates in the place of the tables they count.
    pub fn of_counts() -> Self {
        Self { name: "from_counts", in_place_of: from_counts }
    }

    /// Lets aggregates read groups instead of rows.
    pub fn of_groups() -> Self {
        Self { name: "grouped_rows", in_place_of: grouped }
    }
}

impl OptimizerRule for FewerRows {
    fn name(&self) -> &str {
        self.name
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Aggregate(aggregate) = &plan else { return Ok(Transformed::no(plan)) };
        for path in paths(&aggregate.input) {
            if let Some(fewer) = (self.in_place_of)(aggregate, &path)? {
                return Ok(Transformed::yes(fewer));
            }
        }
        Ok(Transformed::no(plan))
    }
}

/// The aggregate over the counts of one of its tables, if they know enough.
fn from_counts(aggregate: &Aggregate, path: &Path<'_>) -> Result<Option<LogicalPlan>> {
    let scan = path.scan;
    let provider = source_as_provider(&scan.source)?;
    let Some(table) = provider.as_ref().downcast_ref::<SnapshotTable>() else { return Ok(None) };
    if scan.fetch.is_some() || table.rows() == 0 {
        return Ok(None);
    }
    let (snapshot, index) = table.parts();
    let facts = snapshot.table(index).table();
    let asked: Vec<&Expr> =
        aggregate.group_expr.iter().chain(&aggregate.aggr_expr).chain(path.computed()).collect();
    let counts = snapshot.table(index).counts().iter().enumerate();
    let mut smallest_first: Vec<(usize, &CountsSnapshot)> = counts.collect();
    smallest_first.sort_by_key(|(_, counts)| counts.groups());
    for (which, counts) in smallest_first {
        let (spelled, timed) = (Vec::new(), Vec::new());
        let all = CountedTable { snapshot: snapshot.clone(), index, which, spelled, timed };
        // What has to be looked up among the counts is looked up once.
        let spellings = RefCell::new(HashMap::new());
        let times = RefCell::new(HashMap::new());
        let known = Known {
            by: counts.by(),
            table: facts,
            relations: &path.relations,
            one_spelling: &|column| {
                *spellings.borrow_mut().entry(column).or_insert_with(|| all.one_spelling(column))
            },
            modern: &|column| {
                *times.borrow_mut().entry(column).or_insert_with(|| all.modern(column))
            },
        };
        if !asked.iter().all(|expr| known.of(expr)) {
            continue;
        }
        let Some(cuts) = cuts(scan, &known) else { continue };
        let holds = |found: &RefCell<HashMap<usize, bool>>| {
            let found = found.borrow();
            found.iter().filter(|(_, is)| **is).map(|(column, _)| *column).collect()
        };
        let (spelled, timed) = (holds(&spellings), holds(&times));
        let counted = Arc::new(CountedTable { spelled, timed, ..all.clone() });
        return over(aggregate, path, &known, &path::counted(scan, &counted, &cuts)?);
    }
    Ok(None)
}

/// The aggregate over a table that has a row for several, in the place of one of its own.
fn over(
    aggregate: &Aggregate,
    path: &Path<'_>,
    known: &Known<'_>,
    table: &LogicalPlan,
) -> Result<Option<LogicalPlan>> {
    let (input, rows) = path.with_table(&aggregate.input, table)?;
    let weigh = |expr: &Expr| weighted(expr, &aggregate.group_expr, &aggregate.input, &rows, known);
    let aggregates = aggregate.aggr_expr.iter().map(weigh).collect::<Result<Option<Vec<_>>>>()?;
    let Some(aggregates) = aggregates else { return Ok(None) };
    let counted = Aggregate::try_new(Arc::new(input), aggregate.group_expr.clone(), aggregates)?;
    named_as(counted, aggregate).map(Some)
}

/// The filters of a scan that cut through an hour of one column; `None` if there
/// are others of which the counts know nothing.
fn cuts(scan: &TableScan, known: &Known<'_>) -> Option<Vec<path::Cut>> {
    let mut cuts: Vec<path::Cut> = Vec::new();
    for filter in scan.filters.iter().flat_map(split_conjunction) {
        if known.of(filter) {
            continue;
        }
        let (column, op, at) = known.cut(filter)?;
        if cuts.iter().any(|cut| cut.column != column) {
            return None;
        }
        cuts.push(path::Cut { filter: filter.clone(), column, op, at });
    }
    Some(cuts)
}

/// An aggregate over rows as one over their counts; `None` where it depends on
/// more than the counts.
fn weighted(
    expr: &Expr,
    groups: &[Expr],
    input: &LogicalPlan,
    rows: &Expr,
    known: &Known<'_>,
) -> Result<Option<Expr>> {
    let Expr::AggregateFunction(function) = expr.clone().unalias() else { return Ok(None) };
    let AggregateFunction { func, params } = &function;
    let with = |func: AggregateUDF, args: Vec<Expr>| {
        let mut params = params.clone();
        params.args = args;
        Expr::AggregateFunction(AggregateFunction { func: Arc::new(func), params })
    };
    if ["first_value", OLDEST_TEXT].contains(&func.name()) {
        return Ok(first_text(&function, groups, known));
    }
    if params.null_treatment.is_some() || !params.order_by.is_empty() {
        return Ok(None);
    }
    let total = |rows: Expr| with(AggregateUDF::from(TotalCount::default()), vec![rows]);
    Ok(match (func.name(), params.args.as_slice()) {
        ("min" | "max", [_]) => Some(expr.clone().unalias()),
        ("count" | "sum" | "avg", [_]) if params.distinct => Some(expr.clone().unalias()),
        ("count", [Expr::Literal(value, _)]) if !value.is_null() => Some(total(rows.clone())),
        ("count", [argument]) => {
            let there = argument.clone().is_not_null();
            Some(total(when(there, rows.clone()).otherwise(lit(0_i64))?))
        }
        ("sum" | "avg", [argument]) => {
            let given = argument.get_type(input.schema())?;
            let returns = expr.get_type(input.schema())?;
            Weighted::of(func, &given, &returns)
                .map(|sum| with(AggregateUDF::from(sum), vec![argument.clone(), rows.clone()]))
        }
        _ => None,
    })
}

/// The first text in some order. The least and the greatest text are asked for in
/// the order of the texts themselves; the text that a group shows in the order of
/// the rows, where all texts of the group are the same.
fn first_text(function: &AggregateFunction, groups: &[Expr], known: &Known<'_>) -> Option<Expr> {
    let mut function = function.clone();
    let order = !function.params.order_by.is_empty() || function.func.name() == OLDEST_TEXT;
    if known.ordered(&function) && order {
        return Some(Expr::AggregateFunction(function));
    }
    let text = known.shown_text(&function)?.clone();
    let key = collation_key(text.clone());
    if !groups.iter().any(|group| group.clone().unalias() == key) {
        return None;
    }
    function.params.args = vec![text];
    function.func = min_udaf();
    Some(Expr::AggregateFunction(function))
}

/// The aggregate with the columns of the one it stands for.
fn named_as(counted: Aggregate, aggregate: &Aggregate) -> Result<LogicalPlan> {
    let counted = LogicalPlan::Aggregate(counted);
    let mut columns = Vec::new();
    for (number, column) in counted.schema().columns().into_iter().enumerate() {
        let (relation, field) = aggregate.schema.qualified_field(number);
        columns.push(match column == Column::new(relation.cloned(), field.name()) {
            true => Expr::Column(column),
            false => Expr::Column(column).alias_qualified(relation.cloned(), field.name()),
        });
    }
    Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(counted))?))
}
