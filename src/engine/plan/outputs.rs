//! The columns of the answer, and the order of plain and distinct queries.

use datafusion::common::{Column as PlanColumn, Result};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, lit};

use super::{Builder, Ordered};
use crate::engine::semantics::{distinct_rows, sort_key};
use crate::query::bound::{OrderTarget, Output, OutputRole};

impl Builder<'_> {
    pub(super) fn project(&self, plan: LogicalPlan) -> Result<Ordered> {
        let outputs: Vec<Expr> =
            self.query.outputs.iter().map(|o| named(self.value(o), o, self)).collect();
        if !self.query.distinct {
            let keys = self.query.order.iter().map(|key| {
                let expr = match &key.by {
                    OrderTarget::Column(of) => self.column(*of),
                    OrderTarget::Output(i) => self.value(&self.query.outputs[*i]),
                    OrderTarget::Scalar(scalar) => self.scalar(scalar)?,
                };
                Ok(sort_key(expr, key.descending))
            });
            let keys = keys.collect::<Result<_>>()?;
            return Ok(Ordered { plan, keys, outputs: Some(outputs) });
        }
        let plan = LogicalPlanBuilder::from(plan).project(outputs)?.build()?;
        let keys = self.query.order.iter().filter_map(|key| {
            let found = match key.by {
                OrderTarget::Output(i) => Some(i),
                OrderTarget::Column(of) => self.query.outputs.iter().position(|o| o.column == of),
                OrderTarget::Scalar(_) => None,
            };
            found.map(|i| sort_key(output(&self.query.outputs[i]), key.descending))
        });
        Ok(Ordered { plan: distinct_rows(plan)?, keys: keys.collect(), outputs: None })
    }

    /// What an output of a plain query shows.
    fn value(&self, of: &Output) -> Expr {
        match of.role {
            OutputRole::CountChildren => {
                coalesce(vec![self.children(of.column.source), lit(0_i64)])
            }
            _ => self.column(of.column),
        }
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
