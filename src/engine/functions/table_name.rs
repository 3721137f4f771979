//! `sql_table_name(code)`: the logical name of the table that an object type
//! code stands for. Columns that hold such codes read as text in expressions.

use std::sync::Arc;

use datafusion::arrow::array::{AsArray, StringViewBuilder};
use datafusion::arrow::datatypes::{DataType, Int32Type};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use crate::catalog::entity_name;

/// The name behind a code.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(in crate::engine) struct TableName {
    signature: Signature,
}

impl TableName {
    pub fn new() -> Self {
        Self { signature: Signature::exact(vec![DataType::Int32], Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for TableName {
    fn name(&self) -> &str {
        "sql_table_name"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let codes = args.args[0].to_array(args.number_rows)?;
        // The same few names repeat: each is kept once.
        let mut names = StringViewBuilder::new().with_deduplicate_strings();
        for code in codes.as_primitive::<Int32Type>() {
            names.append_option(code.and_then(entity_name));
        }
        Ok(ColumnarValue::Array(Arc::new(names.finish())))
    }
}
