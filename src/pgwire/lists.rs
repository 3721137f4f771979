//! Lists about lists: what `generate_subscripts` and `_pg_expandarray` unnest.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Int32Array, ListArray, StructArray, new_empty_array,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::compute::{cast, concat};
use datafusion::arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// The functions of this module.
pub fn functions() -> [ScalarUDF; 2] {
    let signature = || Signature::any(1, Volatility::Immutable);
    [
        ScalarUDF::from(Positions { name: "pg_subscripts", pairs: false, signature: signature() }),
        ScalarUDF::from(Positions { name: "pg_expanded", pairs: true, signature: signature() }),
    ]
}

/// The positions of a list's elements, from 1; or pairs `x`, `n` of element and
/// position.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Positions {
    name: &'static str,
    pairs: bool,
    signature: Signature,
}

impl Positions {
    fn item(&self) -> DataType {
        if self.pairs { DataType::Struct(pair()) } else { DataType::Int32 }
    }
}

fn pair() -> Fields {
    ["x", "n"].map(|name| Field::new(name, DataType::Int32, true)).into_iter().collect()
}

impl ScalarUDFImpl for Positions {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::List(Arc::new(Field::new_list_field(self.item(), true))))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let [argument] = arrays.as_slice() else {
            return exec_err!("{} takes one list", self.name);
        };
        let as_list = DataType::List(Arc::new(Field::new_list_field(DataType::Int32, true)));
        let argument = cast(argument, &as_list)?;
        let lists: &ListArray = argument.as_list();
        let mut parts: Vec<ArrayRef> = vec![new_empty_array(&self.item())];
        let mut lengths = Vec::with_capacity(lists.len());
        for list in lists.iter() {
            let elements = list.unwrap_or_else(|| new_empty_array(&DataType::Int32));
            let length = elements.len();
            let count = i32::try_from(length).unwrap_or(i32::MAX);
            let positions: ArrayRef = Arc::new(Int32Array::from_iter_values(1..=count));
            lengths.push(length);
            parts.push(match self.pairs {
                true => Arc::new(StructArray::try_new(pair(), vec![elements, positions], None)?),
                false => positions,
            });
        }
        let parts: Vec<&dyn Array> = parts.iter().map(|p| p.as_ref()).collect();
        let field = Arc::new(Field::new_list_field(self.item(), true));
        let nulls: Option<NullBuffer> = lists.nulls().cloned();
        let offsets = OffsetBuffer::from_lengths(lengths);
        let array = ListArray::try_new(field, offsets, concat(&parts)?, nulls)?;
        Ok(ColumnarValue::Array(Arc::new(array)))
    }
}
