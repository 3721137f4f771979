//! One plan for one question: optimizer rules that remove the order in which a
//! query happened to name its tables and aggregates, so that three dialects end
//! in the same plan and whatever recognizes plans needs to know one form.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{JoinType, Result};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Aggregate, Expr, Join, LogicalPlan, Projection};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

use super::attached::AttachedTable;
use super::provider::SnapshotTable;

/// Puts the smaller table on the left of an inner join, where the hash table is
/// built; of equal ones the one whose plan reads first.
#[derive(Debug)]
pub struct SmallerSideLeft;

impl OptimizerRule for SmallerSideLeft {
    fn name(&self) -> &str {
        "smaller_side_left"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Join(join) = plan else { return Ok(Transformed::no(plan)) };
        let rank = |side: &LogicalPlan| (rows(side), side.to_string());
        if join.join_type != JoinType::Inner
            || join.on.is_empty()
            || rank(&join.left) <= rank(&join.right)
        {
            return Ok(Transformed::no(LogicalPlan::Join(join)));
        }
        let columns = all_columns(&join.schema.columns());
        let swapped = Join::try_new(
            join.right,
            join.left,
            join.on.into_iter().map(|(left, right)| (right, left)).collect(),
            join.filter,
            join.join_type,
            join.join_constraint,
            join.null_equality,
            join.null_aware,
        )?;
        restore(columns, LogicalPlan::Join(swapped))
    }
}

/// Puts groups and aggregates in the order of their names, and so the columns
/// that an aggregate's input passes on.
#[derive(Debug)]
pub struct OrderedAggregates;

impl OptimizerRule for OrderedAggregates {
    fn name(&self) -> &str {
        "ordered_aggregates"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Aggregate(mut aggregate) = plan else { return Ok(Transformed::no(plan)) };
        let mut input_changed = false;
        if let Some(input) = ordered_columns(&aggregate.input)? {
            aggregate.input = Arc::new(input);
            input_changed = true;
        }
        let by_name = |exprs: &[Expr]| {
            let mut sorted = exprs.to_vec();
            sorted.sort_by_cached_key(|e| e.schema_name().to_string());
            sorted
        };
        let groups = by_name(&aggregate.group_expr);
        let aggregates = by_name(&aggregate.aggr_expr);
        let grouping_set = groups.iter().any(|e| matches!(e, Expr::GroupingSet(_)));
        if grouping_set || (groups == aggregate.group_expr && aggregates == aggregate.aggr_expr) {
            let plan = LogicalPlan::Aggregate(aggregate);
            return Ok(Transformed::new_transformed(plan, input_changed));
        }
        let columns = all_columns(&aggregate.schema.columns());
        let ordered = Aggregate::try_new(aggregate.input, groups, aggregates)?;
        restore(columns, LogicalPlan::Aggregate(ordered))
    }
}

/// A projection that only passes columns on, with these in order of their names;
/// nothing if they are.
fn ordered_columns(plan: &LogicalPlan) -> Result<Option<LogicalPlan>> {
    let LogicalPlan::Projection(projection) = plan else { return Ok(None) };
    if !projection.expr.iter().all(|e| matches!(e, Expr::Column(_))) {
        return Ok(None);
    }
    let mut columns = projection.expr.clone();
    columns.sort_by_cached_key(ToString::to_string);
    if columns == projection.expr {
        return Ok(None);
    }
    let ordered = Projection::try_new(columns, projection.input.clone())?;
    Ok(Some(LogicalPlan::Projection(ordered)))
}

fn all_columns(columns: &[datafusion::common::Column]) -> Vec<Expr> {
    columns.iter().cloned().map(Expr::Column).collect()
}

/// The columns in the order they had.
fn restore(columns: Vec<Expr>, plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let projection = Projection::try_new(columns, Arc::new(plan))?;
    Ok(Transformed::yes(LogicalPlan::Projection(projection)))
}

/// Rows of the largest table below.
fn rows(plan: &LogicalPlan) -> usize {
    let own = match plan {
        LogicalPlan::TableScan(scan) => source_as_provider(&scan.source).ok().and_then(|table| {
            let attached = table.as_ref().downcast_ref::<AttachedTable>();
            let stored = table.as_ref().downcast_ref::<SnapshotTable>();
            attached.map(AttachedTable::rows).or(stored.map(SnapshotTable::rows))
        }),
        _ => None,
    };
    own.into_iter().chain(plan.inputs().into_iter().map(rows)).max().unwrap_or(0)
}
