//! The columns of the answer, and the order of plain and distinct queries.

use datafusion::common::{Column as PlanColumn, Result};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};

use super::Builder;
use crate::engine::semantics::{distinct_rows, sort_key};
use crate::query::bound::{OrderTarget, Output, OutputRole};

impl Builder<'_> {
    pub(super) fn project(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        let outputs: Vec<Expr> =
            self.query.outputs.iter().map(|o| named(self.column(o.column), o, self)).collect();
        let mut builder = LogicalPlanBuilder::from(plan);
        let keys = |by_name: bool| {
            let keys = self.query.order.iter().map(|key| {
                let expr = match key.by {
                    OrderTarget::Column(of) => self.column(of),
                    OrderTarget::Output(i) if by_name => output(&self.query.outputs[i]),
                    OrderTarget::Output(i) => self.column(self.query.outputs[i].column),
                };
                sort_key(expr, key.descending)
            });
            keys.collect::<Vec<_>>()
        };
        if self.query.distinct {
            let plan = distinct_rows(builder.project(outputs)?.build()?)?;
            builder = LogicalPlanBuilder::from(plan);
            let keys = self.query.order.iter().filter_map(|key| {
                let found = match key.by {
                    OrderTarget::Output(i) => Some(i),
                    OrderTarget::Column(of) => {
                        self.query.outputs.iter().position(|o| o.column == of)
                    }
                };
                found.map(|i| sort_key(output(&self.query.outputs[i]), key.descending))
            });
            let keys: Vec<_> = keys.collect();
            return if keys.is_empty() { builder.build() } else { builder.sort(keys)?.build() };
        }
        if !self.query.order.is_empty() {
            builder = builder.sort(keys(false))?;
        }
        builder.project(outputs)?.build()
    }
}

/// An output under its own name; a root column that keeps its name needs none.
pub(super) fn named(expr: Expr, facts: &Output, builder: &Builder<'_>) -> Expr {
    let plain = matches!(facts.role, OutputRole::Plain | OutputRole::Group(None));
    let keeps = plain && facts.nested.is_none() && facts.name == facts.facts().logical_name;
    let unique = builder.query.outputs.iter().filter(|o| plan_name(o) == facts.name).count() == 1;
    if keeps && unique { expr } else { expr.alias(plan_name(facts)) }
}

/// The name of an output in the plan; the same key may occur under several
/// navigation properties.
fn plan_name(facts: &Output) -> String {
    match &facts.nested {
        Some(navigation) => format!("{navigation}/{}", facts.name),
        None => facts.name.clone(),
    }
}

pub(super) fn output(facts: &Output) -> Expr {
    Expr::Column(PlanColumn::from_name(plan_name(facts)))
}
