//! `getdate()`: the time at which the statement started, UTC.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::common::internal_err;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;

use super::arguments::TIME;

/// All of T-SQL's names for the current time call it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct GetDate {
    signature: Signature,
}

impl GetDate {
    pub fn new() -> Self {
        Self { signature: Signature::nullary(Volatility::Stable) }
    }
}

impl ScalarUDFImpl for GetDate {
    fn name(&self) -> &str {
        "getdate"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(TIME)
    }

    /// The plan gets the time as a literal, so that it is one in the statement.
    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let Some(start) = info.query_execution_start_time() else {
            return Ok(ExprSimplifyResult::Original(args));
        };
        let time = ScalarValue::TimestampMicrosecond(Some(start.timestamp_micros()), None);
        Ok(ExprSimplifyResult::Simplified(Expr::Literal(time, None)))
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        internal_err!("getdate is replaced by the start of the statement before it runs")
    }
}
