//! `GREATEST` and `LEAST` of texts: the collation decides, nulls do not count.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, StringViewBuilder};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;

use crate::engine::collation::key;

/// The greatest or the least of its arguments.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Extreme {
    greatest: bool,
    signature: Signature,
}

/// The greatest or the least of some texts.
pub(in crate::engine) fn extreme_text(greatest: bool, texts: Vec<Expr>) -> Expr {
    let signature = Signature::variadic(vec![DataType::Utf8View], Volatility::Immutable);
    ScalarUDF::new_from_impl(Extreme { greatest, signature }).call(texts)
}

impl ScalarUDFImpl for Extreme {
    fn name(&self) -> &str {
        if self.greatest { "collation_greatest" } else { "collation_least" }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let single = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if single { 1 } else { args.number_rows };
        let columns =
            args.args.iter().map(|arg| Ok(cast(&arg.to_array(rows)?, &DataType::Utf8View)?));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let mut answer = StringViewBuilder::with_capacity(rows);
        for row in 0..rows {
            let texts = columns.iter().map(|column| column.as_string_view());
            let texts = texts.filter(|column| column.is_valid(row)).map(|column| column.value(row));
            let best = texts.reduce(|best, text| {
                let better =
                    if self.greatest { key(text) > key(best) } else { key(text) < key(best) };
                if better { text } else { best }
            });
            answer.append_option(best);
        }
        let answer = answer.finish();
        if single {
            return ScalarValue::try_from_array(&answer, 0).map(ColumnarValue::Scalar);
        }
        Ok(ColumnarValue::Array(Arc::new(answer)))
    }
}
