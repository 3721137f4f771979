//! The average of whole numbers: a whole number, truncated toward zero, as
//! FetchXML and SQL Server have it.

use datafusion::arrow::array::types::Int64Type;
use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::compute::{cast, sum_checked};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Signature, Volatility};

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct WholeAverage {
    signature: Signature,
}

impl Default for WholeAverage {
    fn default() -> Self {
        let types = vec![DataType::Int8, DataType::Int16, DataType::Int32, DataType::Int64];
        Self { signature: Signature::uniform(1, types, Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for WholeAverage {
    fn name(&self) -> &str {
        "avg"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(arguments[0].clone())
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let data_type = args.return_field.data_type().clone();
        Ok(Box::new(Mean { sum: 0, count: 0, data_type }))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let field = |name| Field::new(format_state_name(args.name, name), DataType::Int64, false);
        Ok(vec![field("sum").into(), field("count").into()])
    }
}

#[derive(Debug)]
struct Mean {
    sum: i64,
    count: i64,
    data_type: DataType,
}

impl Mean {
    fn add(&mut self, values: &ArrayRef) -> Result<()> {
        let values = cast(values, &DataType::Int64)?;
        let values = values.as_primitive::<Int64Type>();
        let sum = sum_checked(values)?.unwrap_or(0);
        self.sum = self.sum.checked_add(sum).ok_or_else(|| {
            datafusion::common::exec_datafusion_err!("Arithmetic overflow in an average")
        })?;
        Ok(())
    }
}

impl Accumulator for Mean {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add(&values[0])?;
        self.count += (values[0].len() - values[0].null_count()) as i64;
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.add(&states[0])?;
        self.count += sum_checked(states[1].as_primitive::<Int64Type>())?.unwrap_or(0);
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Int64(Some(self.sum)), ScalarValue::Int64(Some(self.count))])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mean = (self.count > 0).then(|| self.sum / self.count);
        ScalarValue::Int64(mean).cast_to(&self.data_type)
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}
