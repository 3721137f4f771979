//! The numbers of rows after `TOP`, `LIMIT` and `OFFSET` as literals. They may be
//! expressions, which DataFusion takes only if they are constants by then.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};

/// The plan with every number of rows computed.
pub fn compute(plan: LogicalPlan, session: &SessionState) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::Limit(mut limit) = node else { return Ok(Transformed::no(node)) };
        for (bound, number) in [(&mut limit.skip, 10742), (&mut limit.fetch, 1060)] {
            if let Some(expr) = bound {
                **expr = literal(expr, number, session)?;
            }
        }
        Ok(Transformed::yes(LogicalPlan::Limit(limit)))
    })
    .map(|done| done.data)
}

fn literal(expr: &Expr, number: u16, session: &SessionState) -> Result<Expr> {
    if matches!(expr, Expr::Placeholder(_)) {
        return Ok(expr.clone());
    }
    let value = match expr {
        Expr::Literal(value, _) => value.clone(),
        expr => {
            let schema = DFSchema::empty();
            let whole = expr.clone().cast_to(&DataType::Int64, &schema)?;
            let whole = session.create_physical_expr(whole, &schema)?;
            let row = RecordBatch::try_new_with_options(
                std::sync::Arc::new(Schema::empty()),
                Vec::new(),
                &datafusion::arrow::array::RecordBatchOptions::new().with_row_count(Some(1)),
            )?;
            ScalarValue::try_from_array(&whole.evaluate(&row)?.into_array(1)?, 0)?
        }
    };
    let value = value.cast_to(&DataType::Int64)?;
    match value {
        ScalarValue::Int64(Some(n)) if n < 0 => plan_err!(
            "The number of rows of a TOP, LIMIT, OFFSET or FETCH clause may not be negative: {n} (Msg {number})"
        ),
        value => Ok(Expr::Literal(value, None)),
    }
}
