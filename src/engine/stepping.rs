//! Values computed row after row: what one row gives is there for the next.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::{Result as DfResult, ScalarValue};
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::PhysicalExpr;

use super::{Engine, failure, semantics};
use crate::error::{Error, Result};

/// Expressions over one row's columns and the values kept from the rows before.
#[derive(Debug)]
pub struct Stepping {
    /// The columns of a row, then the kept values.
    schema: SchemaRef,
    steps: Vec<Arc<dyn PhysicalExpr>>,
    /// One value each.
    kept: Vec<ArrayRef>,
}

impl Engine {
    /// The step that a plan describes: a projection of one row, whose first
    /// columns stand for those of the rows to come. The others are kept.
    pub async fn stepping(&self, plan: LogicalPlan, columns: usize) -> Result<Stepping> {
        let plan = semantics::apply(plan).map_err(failure)?;
        let LogicalPlan::Projection(projection) = plan else {
            return Err(Error::internal("the step from row to row is no projection"));
        };
        let schema = projection.input.schema().clone();
        let context = SimplifyContext::builder()
            .with_schema(schema.clone())
            .with_config_options(self.session.config_options().clone())
            .with_current_time()
            .build();
        let simplifier = ExprSimplifier::new(context);
        let steps = projection.expr.into_iter().map(|expr| {
            let expr = simplifier.simplify(simplifier.coerce(expr, &schema)?)?;
            self.session.create_physical_expr(expr, &schema)
        });
        let steps = steps.collect::<DfResult<_>>().map_err(failure)?;
        let start = self.collect(projection.input.as_ref().clone()).await?;
        let Some(start) = start.first() else {
            return Err(Error::internal("the step from row to row has no start"));
        };
        let fields = start.schema();
        let nullable = fields.fields().iter().map(|field| {
            let field = Field::clone(field);
            field.with_nullable(true)
        });
        let schema = Arc::new(Schema::new(nullable.collect::<Vec<_>>()));
        Ok(Stepping { schema, steps, kept: start.columns()[columns..].to_vec() })
    }
}

impl Stepping {
    /// Goes over rows. Each expression's value is kept in the place that
    /// `assigned` has for it, before the next one is computed.
    pub fn advance(&mut self, rows: &RecordBatch, assigned: &[usize]) -> Result<()> {
        self.advanced(rows, assigned).map_err(failure)
    }

    fn advanced(&mut self, rows: &RecordBatch, assigned: &[usize]) -> DfResult<()> {
        let fields = self.schema.fields();
        let columns = rows.columns().iter().zip(fields);
        let columns = columns.map(|(column, field)| cast(column, field.data_type()));
        let columns: Vec<ArrayRef> = columns.collect::<Result<_, _>>()?;
        for row in 0..rows.num_rows() {
            let cells: Vec<ArrayRef> = columns.iter().map(|column| column.slice(row, 1)).collect();
            for (step, place) in self.steps.iter().zip(assigned) {
                let all = cells.iter().chain(&self.kept).cloned().collect();
                let batch = RecordBatch::try_new(self.schema.clone(), all)?;
                let value = step.evaluate(&batch)?.into_array(1)?;
                let kept = self.schema.field(columns.len() + place).data_type();
                self.kept[*place] = cast(&value, kept)?;
            }
        }
        Ok(())
    }

    /// The values kept.
    pub fn kept(&self) -> Result<Vec<ScalarValue>> {
        let values = self.kept.iter().map(|value| ScalarValue::try_from_array(value, 0));
        values.collect::<DfResult<_>>().map_err(failure)
    }
}
