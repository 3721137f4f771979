//! Grouping sets over expressions: `ROLLUP(YEAR(createdon))` groups by a column
//! that is computed below, because everything above knows such groups by name.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::utils::grouping_set_to_exprlist;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, Projection};

/// The plan, with grouping sets of columns only.
pub fn apply(plan: LogicalPlan) -> Result<LogicalPlan> {
    let node = |node| match node {
        LogicalPlan::Aggregate(aggregate) => computed_below(aggregate),
        node => Ok(Transformed::no(node)),
    };
    plan.transform_up_with_subqueries(node).map(|done| done.data)
}

fn computed_below(aggregate: Aggregate) -> Result<Transformed<LogicalPlan>> {
    if !matches!(aggregate.group_expr.as_slice(), [Expr::GroupingSet(_)]) {
        return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    }
    let groups = grouping_set_to_exprlist(&aggregate.group_expr)?;
    let keys: Vec<Expr> =
        groups.into_iter().filter(|e| !matches!(e, Expr::Column(_))).cloned().collect();
    if keys.is_empty() {
        return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    }
    let Aggregate { input, group_expr, aggr_expr, .. } = aggregate;
    let name = |key: &Expr| key.schema_name().to_string();
    let mut columns: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
    columns.extend(keys.iter().map(|key| key.clone().alias(name(key))));
    let by_name = |expr: Expr| {
        expr.transform_down(|expr| {
            Ok(match keys.contains(&expr) {
                true => {
                    let column = Expr::Column(Column::from_name(name(&expr)));
                    Transformed::new(column, true, TreeNodeRecursion::Jump)
                }
                false => Transformed::no(expr),
            })
        })
        .map(|done| done.data)
    };
    let value = |expr: Expr| match is_grouping(&expr) {
        true => by_name(expr),
        false => Ok(expr),
    };
    let groups = group_expr.into_iter().map(by_name).collect::<Result<_>>()?;
    let values = aggr_expr.into_iter().map(value).collect::<Result<_>>()?;
    let below = Arc::new(LogicalPlan::Projection(Projection::try_new(columns, input)?));
    Ok(Transformed::yes(LogicalPlan::Aggregate(Aggregate::try_new(below, groups, values)?)))
}

/// `GROUPING(x)`, which asks about a group.
fn is_grouping(expr: &Expr) -> bool {
    matches!(expr, Expr::AggregateFunction(function) if function.func.name() == "grouping")
}
