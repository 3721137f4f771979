//! Where a page starts: the rows that come after a row, by its sort keys. The
//! rules are those of sorting: nulls first ascending and last descending, text
//! by its collation key, which the semantics put into both.

use datafusion::common::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, lit};

use super::Builder;
use crate::query::bound::{After, OrderTarget};
use crate::value::Value;

impl Builder<'_> {
    /// The rows after the one that the page before ended with.
    pub(super) fn after(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        let Some(after) = &self.query.after else { return Ok(plan) };
        LogicalPlanBuilder::from(plan).filter(self.is_after(after))?.build()
    }

    /// `k1 > v1 OR (k1 = v1 AND (k2 > v2 OR …))`.
    fn is_after(&self, after: &After) -> Expr {
        let mut rest = lit(false);
        for (key, value) in self.query.order.iter().zip(&after.values).rev() {
            let OrderTarget::Column(of) = key.by else { continue };
            let (table, _) = self.source(of.source);
            let column = self.column(of);
            let (behind, same) = if *value == Value::Null {
                let behind = if key.descending { lit(false) } else { column.clone().is_not_null() };
                (behind, column.is_null())
            } else {
                let data_type = table.schema().field(of.column).data_type();
                let value = Expr::Literal(value.to_scalar(data_type), None);
                let behind = if key.descending {
                    column.clone().lt(value.clone()).or(column.clone().is_null())
                } else {
                    column.clone().gt(value.clone())
                };
                (behind, column.eq(value))
            };
            rest = behind.or(same.and(rest));
        }
        rest
    }
}
