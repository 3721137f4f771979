//! `isnull(a, b)`: `a`, or `b` in the type of `a` where `a` is null. Unlike
//! `coalesce`, whose type is the wider of the two.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, internal_err, plan_err};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

/// T-SQL's `ISNULL`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct IsNull {
    signature: Signature,
}

impl IsNull {
    pub fn new() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for IsNull {
    fn name(&self) -> &str {
        "isnull"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        match given {
            [DataType::Null, other] => Ok(vec![other.clone(), other.clone()]),
            [first, _] => Ok(vec![first.clone(), first.clone()]),
            _ => plan_err!("isnull requires 2 argument(s) (Msg 174)"),
        }
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(arguments[0].clone())
    }

    /// Both arguments have one type by now, where `coalesce` means the same.
    fn simplify(&self, args: Vec<Expr>, _info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let coalesce = datafusion::functions::expr_fn::coalesce(args);
        Ok(ExprSimplifyResult::Simplified(coalesce))
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        internal_err!("isnull is replaced by coalesce before it runs")
    }
}
