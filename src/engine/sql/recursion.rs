//! The types of recursive queries: those of the anchor, once its literals have
//! theirs. The planner has made the rows that come back of an earlier guess.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, Result};
use datafusion::datasource::cte_worktable::CteWorkTable;
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::logical_plan::RecursiveQuery;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Projection, cast};

use super::typing;

/// The plan with typed recursive queries in it.
pub fn apply(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_down_with_subqueries(|node| match node {
        LogicalPlan::RecursiveQuery(query) => typed(query).map(Transformed::yes),
        node => Ok(Transformed::no(node)),
    })
    .map(|done| done.data)
}

fn typed(query: RecursiveQuery) -> Result<LogicalPlan> {
    let anchor = typing::apply(query.static_term.as_ref().clone())?;
    let member = query.recursive_term.as_ref().clone();
    let member = member.transform_up_with_subqueries(|node| {
        let LogicalPlan::TableScan(scan) = &node else {
            return node.recompute_schema().map(Transformed::yes);
        };
        let provider = source_as_provider(&scan.source)?;
        let of_this = provider
            .as_ref()
            .downcast_ref::<CteWorkTable>()
            .is_some_and(|table| table.name() == query.name);
        if !of_this {
            return Ok(Transformed::no(node));
        }
        let fields = anchor.schema().fields().iter();
        let fields: Vec<_> = fields.map(|f| f.as_ref().clone().with_nullable(true)).collect();
        let schema = Arc::new(datafusion::arrow::datatypes::Schema::new(fields));
        let rows = provider_as_source(Arc::new(CteWorkTable::new(&query.name, schema)));
        let scan = LogicalPlanBuilder::scan(scan.table_name.clone(), rows, None)?;
        Ok(Transformed::yes(scan.build()?))
    })?;
    let member = typing::apply(member.data)?;
    let found = member.schema().clone();
    let columns = found.iter().zip(anchor.schema().fields());
    let columns = columns.map(|((relation, field), wanted)| {
        let column = Expr::Column(Column::new(relation.cloned(), field.name()));
        if field.data_type() == wanted.data_type() {
            return column;
        }
        cast(column, wanted.data_type().clone()).alias(field.name())
    });
    let member = Projection::try_new(columns.collect(), Arc::new(member))?;
    let member = Arc::new(LogicalPlan::Projection(member));
    let query = RecursiveQuery::try_new(query.name, Arc::new(anchor), member, query.is_distinct)?;
    Ok(LogicalPlan::RecursiveQuery(query))
}
