//! `sql_guid_order(guid)`: bytes that sort as SQL Server sorts GUIDs. It compares
//! the last twelve digits first, then the group before, then the first three
//! groups, each from its last pair of digits to its first.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, FixedSizeBinaryArray};
use datafusion::arrow::buffer::{Buffer, MutableBuffer};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;

/// Which byte of a GUID's text form stands where in the key.
const ORDER: [usize; 16] = [10, 11, 12, 13, 14, 15, 8, 9, 7, 6, 5, 4, 3, 2, 1, 0];

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct GuidOrder {
    signature: Signature,
}

impl GuidOrder {
    pub fn new() -> Self {
        let guid = vec![DataType::FixedSizeBinary(16)];
        Self { signature: Signature::exact(guid, Volatility::Immutable) }
    }
}

/// The sort key of a GUID, itself no further keyed.
pub(in crate::engine) fn guid_order(guid: Expr) -> Expr {
    match guid {
        Expr::ScalarFunction(call) if call.name() == "sql_guid_order" => Expr::ScalarFunction(call),
        guid => ScalarUDF::new_from_impl(GuidOrder::new()).call(vec![guid]),
    }
}

impl ScalarUDFImpl for GuidOrder {
    fn name(&self) -> &str {
        "sql_guid_order"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::FixedSizeBinary(16))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (array, single) = match &args.args[0] {
            ColumnarValue::Array(array) => (array.clone(), false),
            ColumnarValue::Scalar(scalar) => (scalar.to_array()?, true),
        };
        let guids = array.as_fixed_size_binary();
        let mut keys = MutableBuffer::with_capacity(guids.len() * 16);
        for row in 0..guids.len() {
            let guid = guids.value(row);
            keys.extend_from_slice(&ORDER.map(|at| guid[at]));
        }
        let keys = FixedSizeBinaryArray::try_new(16, Buffer::from(keys), guids.nulls().cloned())?;
        if single {
            return ScalarValue::try_from_array(&keys, 0).map(ColumnarValue::Scalar);
        }
        Ok(ColumnarValue::Array(Arc::new(keys)))
    }
}
