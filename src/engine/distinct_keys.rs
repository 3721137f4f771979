//! Rows whose keys are in the answer of another query: each key is looked for once.
//!
//! A hash join goes through all equal rows of one side for each row of the other. Where
//! both repeat a few values, such as `operationtype IN (SELECT operationtype …)`, that is
//! the square of the rows.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{JoinType, Result};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Aggregate, Expr, Join, LogicalPlan};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

use super::provider::SnapshotTable;

/// Groups the side in which a semi or anti join looks by the keys, where they may repeat.
#[derive(Debug)]
pub struct DistinctKeys;

impl OptimizerRule for DistinctKeys {
    fn name(&self) -> &str {
        "distinct_keys"
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
        let looks = matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti);
        let keys: Vec<Expr> = join.on.iter().map(|(_, key)| key.clone()).collect();
        let twice = (1..keys.len()).any(|index| keys[..index].contains(&keys[index]));
        // A condition may need more than the keys.
        if !looks
            || twice
            || keys.is_empty()
            || join.filter.is_some()
            || is_distinct(&join.right, &keys)
        {
            return Ok(Transformed::no(LogicalPlan::Join(join)));
        }
        let grouped = Aggregate::try_new(join.right, keys, Vec::new())?;
        let names = grouped.schema.columns().into_iter().map(Expr::Column);
        let on = join.on.into_iter().map(|(row, _)| row).zip(names).collect();
        let join = Join::try_new(
            join.left,
            Arc::new(LogicalPlan::Aggregate(grouped)),
            on,
            join.filter,
            join.join_type,
            join.join_constraint,
            join.null_equality,
            join.null_aware,
        )?;
        Ok(Transformed::yes(LogicalPlan::Join(join)))
    }
}

/// Whether no two rows of a plan can have the same keys, or few: the rows are groups
/// already, there is one of them, or a key is the table's own.
fn is_distinct(plan: &LogicalPlan, keys: &[Expr]) -> bool {
    match plan {
        LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(_) | LogicalPlan::Values(_) => true,
        LogicalPlan::EmptyRelation(_) => true,
        LogicalPlan::Projection(projection) => {
            let passed_on = |key: &Expr| {
                let Expr::Column(column) = key else { return key.clone() };
                let index = projection.schema.maybe_index_of_column(column);
                index.map_or(key.clone(), |index| projection.expr[index].clone().unalias())
            };
            is_distinct(&projection.input, &keys.iter().map(passed_on).collect::<Vec<_>>())
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let inner = |key: &Expr| {
                let Expr::Column(column) = key else { return key.clone() };
                let index = alias.schema.maybe_index_of_column(column);
                index.map_or(key.clone(), |index| {
                    Expr::Column(alias.input.schema().columns()[index].clone())
                })
            };
            is_distinct(&alias.input, &keys.iter().map(inner).collect::<Vec<_>>())
        }
        LogicalPlan::Filter(filter) => is_distinct(&filter.input, keys),
        LogicalPlan::TableScan(scan) => {
            let Ok(provider) = source_as_provider(&scan.source) else { return false };
            let Some(table) = provider.as_ref().downcast_ref::<SnapshotTable>() else {
                return false;
            };
            let (snapshot, index) = table.parts();
            let facts = snapshot.table(index).table();
            let key = &facts.columns[facts.primary_id_index()].logical_name;
            keys.iter().any(|of| matches!(of, Expr::Column(column) if column.name == *key))
        }
        _ => false,
    }
}
