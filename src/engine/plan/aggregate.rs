//! Groups and aggregates.

use datafusion::common::{Column as PlanColumn, Result};
use datafusion::functions_aggregate::expr_fn::{avg, count, count_distinct, max, min, sum};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, lit};

use super::dates::part_of;
use super::outputs::{named, output};
use super::{Builder, Ordered};
use crate::engine::semantics::sort_key;
use crate::query::Aggregate;
use crate::query::bound::{OrderTarget, OutputRole};

impl Builder<'_> {
    pub(super) fn aggregate(&self, plan: LogicalPlan) -> Result<Ordered> {
        let mut groups: Vec<Expr> = Vec::new();
        let mut aggregates: Vec<Expr> = Vec::new();
        let mut outputs = Vec::new();
        for facts in &self.query.outputs {
            let expr = self.column(facts.column);
            let (list, expr) = match facts.role {
                OutputRole::Plain | OutputRole::Group(None) | OutputRole::CountChildren => {
                    (&mut groups, expr)
                }
                OutputRole::Group(Some(part)) => {
                    let time = self.time(facts.column, part.local);
                    (&mut groups, part_of(time, part.part, self.query.calendar))
                }
                OutputRole::Aggregate(function) => (&mut aggregates, aggregate(function, expr)),
            };
            let plain = expr.clone().unalias();
            if !list.iter().any(|e| e.clone().unalias() == plain) {
                list.push(expr.clone());
            }
            let made = match &expr {
                Expr::Column(_) => expr,
                other => Expr::Column(PlanColumn::from_name(other.schema_name().to_string())),
            };
            outputs.push(named(made, facts, self));
        }
        let groups =
            LogicalPlanBuilder::from(plan).aggregate(groups, aggregates)?.project(outputs)?;
        let plan = self.within_aggregate_limit(groups.build()?)?;
        let keys: Vec<_> = self
            .query
            .order
            .iter()
            .filter_map(|key| match key.by {
                OrderTarget::Scalar(_) => None,
                OrderTarget::Output(i) => Some((i, key.descending)),
                OrderTarget::Column(of) => {
                    let found =
                        self.query.outputs.iter().position(|o| {
                            o.column == of && matches!(o.role, OutputRole::Group(None))
                        });
                    found.map(|i| (i, key.descending))
                }
            })
            .map(|(i, descending)| {
                let facts = &self.query.outputs[i];
                let plain = matches!(facts.role, OutputRole::Group(None));
                let same = facts.name == facts.facts().logical_name;
                let expr = if plain && same { self.column(facts.column) } else { output(facts) };
                sort_key(expr, descending)
            })
            .collect();
        Ok(Ordered { plan, keys, outputs: None })
    }
}

fn aggregate(function: Aggregate, of: Expr) -> Expr {
    match function {
        // The form in which SQL's planner has COUNT(*).
        Aggregate::Count => count(lit(1_i64)),
        Aggregate::CountColumn { distinct: false } => count(of),
        Aggregate::CountColumn { distinct: true } => count_distinct(of),
        Aggregate::Sum => sum(of),
        Aggregate::Avg => avg(of),
        Aggregate::Min => min(of),
        Aggregate::Max => max(of),
    }
}
