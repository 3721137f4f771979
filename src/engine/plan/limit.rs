//! How many rows an aggregate query may read: a plan that fails as soon as there
//! are more, on every surface alike.

use datafusion::arrow::array::AsArray;
use datafusion::arrow::array::types::Int64Type;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, Result, ScalarValue, internal_err};
use datafusion::functions_aggregate::count::count_all;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, LogicalPlanBuilder, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility, ident,
};

use super::Builder;
use crate::error::{Error, ErrorKind, codes};

const SOURCE_ROWS: &str = "source rows";

impl Builder<'_> {
    /// The groups, or an error where more rows than the limit make them up.
    pub(super) fn within_aggregate_limit(&self, groups: LogicalPlan) -> Result<LogicalPlan> {
        let Some(limit) = self.query.aggregate_limit else { return Ok(groups) };
        let read = usize::try_from(limit).unwrap_or(usize::MAX).saturating_add(1);
        let count = count_all();
        let counted =
            Expr::Column(datafusion::common::Column::from_name(count.schema_name().to_string()));
        let source = LogicalPlanBuilder::from(self.rows()?)
            .limit(0, Some(read))?
            .aggregate(Vec::<Expr>::new(), vec![count])?
            .project(vec![counted.alias(SOURCE_ROWS)])?
            .build()?;
        let columns: Vec<Expr> = groups.schema().columns().into_iter().map(Expr::Column).collect();
        let within = ScalarUDF::from(WithinLimit::new(limit)).call(vec![ident(SOURCE_ROWS)]);
        LogicalPlanBuilder::from(groups)
            .cross_join(source)?
            .filter(within)?
            .project(columns)?
            .build()
    }
}

/// True for a number of rows within the limit, an error beyond.
#[derive(Debug, PartialEq, Eq, Hash)]
struct WithinLimit {
    limit: u64,
    signature: Signature,
}

impl WithinLimit {
    fn new(limit: u64) -> Self {
        Self { limit, signature: Signature::exact(vec![DataType::Int64], Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for WithinLimit {
    fn name(&self) -> &str {
        "within_aggregate_limit"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(rows) = args.args.first() else {
            return internal_err!("the aggregate limit is checked against nothing");
        };
        let rows = rows.to_array(args.number_rows)?;
        let too_many = |n: i64| u64::try_from(n).is_ok_and(|n| n > self.limit);
        if rows.as_primitive::<Int64Type>().iter().flatten().any(too_many) {
            let message = format!(
                "AggregateQueryRecordLimit exceeded. Cannot perform this operation. The query \
                 aggregates more than {} rows",
                self.limit
            );
            let error = Error::new(ErrorKind::Limit, codes::AGGREGATE_LIMIT, message);
            return Err(DataFusionError::External(Box::new(error)));
        }
        Ok(ColumnarValue::Scalar(ScalarValue::Boolean(Some(true))))
    }
}
