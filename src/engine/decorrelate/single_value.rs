//! The value of a query that may have one row at most: null of none, an error
//! of several.

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Signature, Volatility};

/// SQL Server's words for a subquery of several rows where one value is wanted.
pub const MORE_VALUES: &str = "Subquery returned more than 1 value. This is not permitted when \
                               the subquery follows =, !=, <, <=, >, >= or is used as an \
                               expression (Msg 512)";

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct SingleValue {
    signature: Signature,
}

impl Default for SingleValue {
    fn default() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for SingleValue {
    fn name(&self) -> &str {
        "single_value"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(arguments[0].clone())
    }

    fn return_field(&self, arguments: &[FieldRef]) -> Result<FieldRef> {
        // What the catalog says of the column stays with it.
        Ok(arguments[0].as_ref().clone().with_name(self.name()).with_nullable(true).into())
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let value = ScalarValue::try_from(args.return_field.data_type())?;
        Ok(Box::new(Single { value, found: false }))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let value = args.return_field.data_type().clone();
        Ok(vec![
            Field::new(format_state_name(args.name, "value"), value, true).into(),
            Field::new(format_state_name(args.name, "found"), DataType::Boolean, false).into(),
        ])
    }
}

#[derive(Debug)]
struct Single {
    value: ScalarValue,
    found: bool,
}

impl Single {
    fn set(&mut self, values: &ArrayRef, row: usize) -> Result<()> {
        if self.found {
            return exec_err!("{MORE_VALUES}");
        }
        self.value = ScalarValue::try_from_array(values, row)?;
        self.found = true;
        Ok(())
    }
}

impl Accumulator for Single {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        (0..values[0].len()).try_for_each(|row| self.set(&values[0], row))
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let found = states[1].as_boolean();
        (0..found.len())
            .filter(|row| found.value(*row))
            .try_for_each(|row| self.set(&states[0], row))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.value.clone(), ScalarValue::Boolean(Some(self.found))])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(self.value.clone())
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.value.size()
    }
}
