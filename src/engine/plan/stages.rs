//! Rows that come from other queries, and parts of them: the answer of an inner
//! query as a table under the root's name, its order kept in a column.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Column as PlanColumn, Result, ScalarValue, TableReference};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{
    Expr, ExprFunctionExt, ExprSchemable, LogicalPlan, LogicalPlanBuilder, WindowFrame,
    WindowFrameBound, WindowFrameUnits, lit,
};
use datafusion::prelude::cast;

use super::Builder;
use crate::engine::semantics::sort_key;
use crate::query::bound::{BoundShare, PLACE, Stage};

/// The number of a row in an inner answer.
const NUMBER: &str = "$number";

/// More rows than an answer has, so that the parts of a concatenation keep apart.
const ROWS_OF_A_PART: i64 = 1 << 40;

impl Builder<'_> {
    /// The rows of the root.
    pub(super) fn root(&self) -> Result<LogicalPlan> {
        let name = self.query.root.logical_name.as_str();
        let mut parts = Vec::new();
        for (number, stage) in self.query.input.iter().enumerate() {
            parts.push(self.stage(number as i64, stage)?);
        }
        let mut parts = parts.into_iter();
        let Some(first) = parts.next() else { return self.scan(&self.query.root, name) };
        let mut builder = LogicalPlanBuilder::from(first);
        for part in parts {
            builder = builder.union(part)?;
        }
        builder.alias(TableReference::bare(name))?.build()
    }

    /// The answer of a query in the columns of the root.
    fn stage(&self, number: i64, stage: &Stage) -> Result<LogicalPlan> {
        let inner = Builder { query: &stage.query, snapshot: self.snapshot };
        let plan = inner.numbered()?;
        let schema = plan.schema().clone();
        let made = schema.columns();
        let mut columns = Vec::new();
        let given = self.query.root.columns.len() - self.query.computed.len();
        for (index, field) in self.query.root.schema().fields().iter().take(given).enumerate() {
            let filled = stage.columns.get(index).copied().flatten();
            let expr = match filled {
                Some(output) => Expr::Column(made[output].clone()),
                None if field.name() == PLACE => {
                    let place = match schema.has_column_with_unqualified_name(NUMBER) {
                        true => cast(number_column(), DataType::Int64),
                        false => lit(0_i64),
                    };
                    place + lit(number * ROWS_OF_A_PART)
                }
                None => Expr::Literal(ScalarValue::try_from(field.data_type())?, None),
            };
            let expr = match expr.get_type(&schema)? == *field.data_type() {
                true => expr,
                false => cast(expr, field.data_type().clone()),
            };
            columns.push(expr.alias(field.name()));
        }
        LogicalPlanBuilder::from(plan).project(columns)?.build()
    }

    /// The answer with the place of each row in a last column, where the query
    /// has an order or is a part of its rows.
    fn numbered(&self) -> Result<LogicalPlan> {
        let ordered = self.ordered()?;
        let (skip, top) = (self.query.skip, self.query.top);
        if ordered.keys.is_empty() && skip == 0 && top.is_none() {
            return ordered.projected();
        }
        let mut number = row_number();
        if !ordered.keys.is_empty() {
            number = number.order_by(ordered.keys).build()?;
        }
        let mut builder =
            LogicalPlanBuilder::from(ordered.plan).window(vec![number.alias(NUMBER)])?;
        if skip > 0 {
            builder = builder.filter(number_column().gt(lit(skip)))?;
        }
        if let Some(top) = top {
            builder = builder.filter(number_column().lt_eq(lit(skip.saturating_add(top))))?;
        }
        if let Some(mut outputs) = ordered.outputs {
            outputs.push(number_column());
            builder = builder.project(outputs)?;
        }
        builder.build()
    }

    /// The rows at the top that together make up the amount: those before which
    /// it is not reached.
    pub(super) fn share(&self, plan: LogicalPlan, share: &BoundShare) -> Result<LogicalPlan> {
        let value = cast(self.column(share.by), DataType::Float64);
        let mut keys = vec![sort_key(value.clone(), !share.bottom)];
        if let Some(column) = self.query.root.primary_key() {
            let key = crate::query::bound::Column { source: 0, column };
            keys.push(sort_key(self.column(key), false));
        }
        let builder = LogicalPlanBuilder::from(plan).filter(self.column(share.by).is_not_null())?;
        let sum = || Expr::from(WindowFunction::new(sum_udaf(), vec![value.clone()]));
        let before = sum()
            .order_by(keys)
            .window_frame(WindowFrame::new_bounds(
                WindowFrameUnits::Rows,
                WindowFrameBound::Preceding(ScalarValue::UInt64(None)),
                WindowFrameBound::CurrentRow,
            ))
            .build()?
            .alias("sum so far");
        let so_far = Expr::Column(PlanColumn::from_name("sum so far"));
        // Windows of different orders are plans of their own.
        let mut builder = builder.window(vec![before])?;
        let amount = match share.percent {
            true => {
                let frame = WindowFrame::new(None);
                let all = sum().window_frame(frame).build()?.alias("sum of all");
                builder = builder.window(vec![all])?;
                Expr::Column(PlanColumn::from_name("sum of all")) * lit(share.amount / 100.0)
            }
            false => lit(share.amount),
        };
        builder.filter((so_far - value).lt(amount))?.build()
    }
}

fn number_column() -> Expr {
    Expr::Column(PlanColumn::from_name(NUMBER))
}
