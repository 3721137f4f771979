//! `ROLLUP`, `CUBE` and grouping sets over text: groups are by its key, and show
//! the text of their oldest row.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::utils::grouping_set_to_exprlist;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, Projection, when};

use super::collation::collation_key;
use super::semantics::example_of;

/// The aggregate with the keys of the groups for which `by_key` is true.
pub fn group_text(aggregate: Aggregate, by_key: impl Fn(&Expr) -> bool) -> Result<LogicalPlan> {
    let groups: Vec<Expr> =
        grouping_set_to_exprlist(&aggregate.group_expr)?.into_iter().cloned().collect();
    if !groups.iter().any(&by_key) {
        return Ok(LogicalPlan::Aggregate(aggregate));
    }
    let input = aggregate.input.schema().clone();
    let keyed = |expr: Expr| {
        expr.transform_down(|expr| {
            Ok(if groups.contains(&expr) && by_key(&expr) {
                // The key is made of the same text, which is not looked at again.
                let key = collation_key(expr);
                Transformed::new(key, true, datafusion::common::tree_node::TreeNodeRecursion::Jump)
            } else {
                Transformed::no(expr)
            })
        })
        .map(|done| done.data)
    };
    let mut shown = Vec::new();
    let mut examples = Vec::new();
    for (index, group) in groups.iter().enumerate() {
        let (relation, field) = aggregate.schema.qualified_field(index);
        let column = Expr::Column(Column::new(relation.cloned(), field.name()));
        if !by_key(group) {
            shown.push(column);
            continue;
        }
        let example = format!("text of {}", field.name());
        examples.push(example_of(group.clone(), &input).alias(&example));
        // A group of all texts has no key, and shows none.
        let key =
            Expr::Column(Column::from_name(collation_key(group.clone()).schema_name().to_string()));
        let text = when(key.is_not_null(), Expr::Column(Column::from_name(example))).end()?;
        shown.push(text.alias_qualified(relation.cloned(), field.name()));
    }
    let first = aggregate.schema.fields().len() - aggregate.aggr_expr.len();
    let mut values = Vec::new();
    for (index, value) in aggregate.aggr_expr.iter().enumerate() {
        let (relation, field) = aggregate.schema.qualified_field(first + index);
        let grouping = value.exists(|e| {
            Ok(matches!(e, Expr::AggregateFunction(f) if f.func.name() == "grouping"))
        })?;
        let value = match grouping {
            true => {
                keyed(value.clone())?.unalias().alias_qualified(relation.cloned(), field.name())
            }
            false => value.clone(),
        };
        values.push(value);
        shown.push(Expr::Column(Column::new(relation.cloned(), field.name())));
    }
    values.extend(examples);
    let sets = aggregate.group_expr.into_iter().map(keyed).collect::<Result<_>>()?;
    let plan = Aggregate::try_new(aggregate.input, sets, values)?;
    let plan = Projection::try_new(shown, Arc::new(LogicalPlan::Aggregate(plan)))?;
    Ok(LogicalPlan::Projection(plan))
}
