//! Queries that depend on the row beside or outside them, as joins: `APPLY`,
//! `LATERAL`, and subqueries where DataFusion takes none.
//!
//! The columns that such a query uses of the outer row are its *domain*. Each
//! distinct row of the domain is carried through the inner query, operator by
//! operator ([`push`]): groups, ranks and limits are then per outer row, and
//! one join brings outer rows and inner rows together. So no inner query runs
//! once a row, whatever it is made of. (Neumann and Kemper, "Unnesting Arbitrary
//! Queries", 2015.)
//!
//! It works on plans that have their full meaning, before they are optimized:
//! comparisons by collation are calls by then, and equality of domain rows is
//! that of bytes, so two spellings stay two outer rows.

mod domain;
mod lift;
mod push;
mod row_key;
mod single_value;

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, JoinType, Result, ScalarValue, not_impl_err};
use datafusion::logical_expr::{
    Expr, Filter, Join, LogicalPlan, LogicalPlanBuilder, Projection, SubqueryAlias,
};

pub use self::single_value::MORE_VALUES;

use self::domain::{Domain, outer_columns, to_outer};

/// The plan without lateral joins and without subqueries that the optimizer
/// does not take.
pub fn decorrelate(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut names = Names(0);
    plan.transform_up_with_subqueries(|node| names.node(node)).map(|done| done.data)
}

/// Gives out names that no query has.
struct Names(usize);

impl Names {
    fn next(&mut self, what: &str) -> String {
        self.0 += 1;
        format!("{what} #{}", self.0)
    }

    fn node(&mut self, node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        match node {
            LogicalPlan::Join(mut join) => {
                if let Some(left) = lateral(&join.left) {
                    join.left = Arc::new(left);
                }
                let Some(right) = lateral(&join.right) else {
                    return self.lift(LogicalPlan::Join(join)).map(Transformed::yes);
                };
                let Join { left, filter, join_type, .. } = join;
                let joined = self.apply(Arc::unwrap_or_clone(left), right, join_type, filter)?;
                Ok(Transformed::yes(joined))
            }
            node @ (LogicalPlan::SubqueryAlias(_) | LogicalPlan::Subquery(_)) => {
                Ok(Transformed::no(node))
            }
            node => {
                // A query that is beside no other stands for itself.
                let node = node.map_children(|input| {
                    Ok(match lateral(&input) {
                        Some(inner) => Transformed::yes(inner),
                        None => Transformed::no(input),
                    })
                })?;
                self.lift(node.data).map(Transformed::yes)
            }
        }
    }

    /// Each row of `left` with the rows of `right` for it; the columns of both.
    fn apply(
        &mut self,
        left: LogicalPlan,
        mut right: LogicalPlan,
        kind: JoinType,
        on: Option<Expr>,
    ) -> Result<LogicalPlan> {
        if !matches!(kind, JoinType::Inner | JoinType::Left) {
            return not_impl_err!("LATERAL on the right of a RIGHT or FULL JOIN");
        }
        if let Some(on) = on.filter(|on| !is_true(on)) {
            // What the condition says of the left side is one more outer column.
            let condition = to_outer(on, left.schema())?;
            right = LogicalPlan::Filter(Filter::try_new(condition, Arc::new(right))?);
        }
        let columns: Vec<Expr> = [&left, &right].iter().flat_map(|p| all_columns(p)).collect();
        let used = outer_columns(&right, left.schema())?;
        let joined = if used.is_empty() {
            let builder = LogicalPlanBuilder::from(left);
            match kind {
                JoinType::Inner => builder.cross_join(right)?,
                _ => builder.join_on(right, kind, [Expr::Literal(true.into(), None)])?,
            }
            .build()?
        } else if kind == JoinType::Inner && push::is_row_wise(&right, left.schema())? {
            let domain = Domain::whole(left, self)?;
            let pushed = self.push(&right, &domain)?;
            domain.restored(pushed, &right)?
        } else {
            let domain = Domain::distinct(&left, used, self)?;
            let pushed = self.push(&right, &domain)?;
            domain.joined(left, pushed, kind)?
        };
        Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(joined))?))
    }
}

/// The query of a lateral join's right side, under its alias.
fn lateral(right: &LogicalPlan) -> Option<LogicalPlan> {
    match right {
        LogicalPlan::Subquery(inner) => Some(inner.subquery.as_ref().clone()),
        LogicalPlan::SubqueryAlias(alias) => match alias.input.as_ref() {
            LogicalPlan::Subquery(inner) => {
                let alias = SubqueryAlias::try_new(inner.subquery.clone(), alias.alias.clone());
                alias.ok().map(LogicalPlan::SubqueryAlias)
            }
            _ => None,
        },
        _ => None,
    }
}

fn is_true(condition: &Expr) -> bool {
    matches!(condition, Expr::Literal(ScalarValue::Boolean(Some(true)), _))
}

fn all_columns(plan: &LogicalPlan) -> Vec<Expr> {
    plan.schema().columns().into_iter().map(Expr::Column).collect()
}

/// A column by the name it has in a schema.
fn column_at(schema: &DFSchema, index: usize) -> Column {
    let (relation, field) = schema.qualified_field(index);
    Column::new(relation.cloned(), field.name())
}
