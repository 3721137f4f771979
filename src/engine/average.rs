//! Averages. That of whole numbers is a whole number, truncated toward zero, as
//! FetchXML and SQL Server have it; that of decimals has T-SQL's digits.

use datafusion::arrow::array::types::{Decimal128Type, Int64Type};
use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::compute::{cast, sum_checked};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Signature, Volatility};

use super::distinct;
use super::functions::SqlType;

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
        Ok(distinct::accumulator(Box::new(Mean { sum: 0, count: 0, data_type }), &args))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        if let Some(fields) = distinct::state_fields(&args) {
            return Ok(fields);
        }
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

/// The average of decimals, with the scale that SQL Server gives it, cut off.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct DecimalAverage {
    precision: u8,
    scale: i8,
    signature: Signature,
}

impl DecimalAverage {
    pub fn new(scale: i8) -> Self {
        Self { precision: 38, scale, signature: Signature::any(1, Volatility::Immutable) }
    }

    /// That of amounts of money, which is one.
    pub fn of_money() -> Self {
        Self { precision: 19, ..Self::new(4) }
    }

    /// The digits after the point.
    pub fn scale(&self) -> i8 {
        self.scale
    }
}

impl AggregateUDFImpl for DecimalAverage {
    fn name(&self) -> &str {
        "avg"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Decimal128(self.precision, self.scale))
    }

    fn return_field(&self, _: &[FieldRef]) -> Result<FieldRef> {
        let money = self.precision < 38;
        let kind = SqlType::Decimal(self.precision, self.scale);
        Ok(if money { SqlType::Money } else { kind }.field(self.name()))
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let given = match args.expr_fields.first().map(|field| field.data_type()) {
            Some(DataType::Decimal128(_, scale)) => *scale,
            _ => 0,
        };
        let (precision, scale) = (self.precision, self.scale);
        let mean = DecimalMean { sum: 0, count: 0, given, precision, scale };
        Ok(distinct::accumulator(Box::new(mean), &args))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        if let Some(fields) = distinct::state_fields(&args) {
            return Ok(fields);
        }
        let field =
            |name, data_type| Field::new(format_state_name(args.name, name), data_type, false);
        let sum = DataType::Decimal128(38, 0);
        Ok(vec![field("sum", sum).into(), field("count", DataType::Int64).into()])
    }
}

#[derive(Debug)]
struct DecimalMean {
    /// In units of the given scale.
    sum: i128,
    count: i64,
    given: i8,
    precision: u8,
    scale: i8,
}

impl DecimalMean {
    fn add(&mut self, values: &ArrayRef) -> Result<()> {
        for value in values.as_primitive::<Decimal128Type>().iter().flatten() {
            self.sum = self.sum.checked_add(value).ok_or_else(decimal_overflow)?;
        }
        Ok(())
    }

    fn take_away(&mut self, values: &ArrayRef) -> Result<()> {
        for value in values.as_primitive::<Decimal128Type>().iter().flatten() {
            self.sum = self.sum.checked_sub(value).ok_or_else(decimal_overflow)?;
        }
        Ok(())
    }
}

pub(super) fn decimal_overflow() -> datafusion::common::DataFusionError {
    datafusion::common::exec_datafusion_err!(
        "Arithmetic overflow error converting expression to data type decimal (Msg 8115)"
    )
}

impl Accumulator for DecimalMean {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add(&values[0])?;
        self.count += (values[0].len() - values[0].null_count()) as i64;
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.take_away(&values[0])?;
        self.count -= (values[0].len() - values[0].null_count()) as i64;
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.add(&states[0])?;
        self.count += sum_checked(states[1].as_primitive::<Int64Type>())?.unwrap_or(0);
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let sum = ScalarValue::Decimal128(Some(self.sum), 38, 0);
        Ok(vec![sum, ScalarValue::Int64(Some(self.count))])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let up = 10_i128.pow(u32::try_from(self.scale - self.given).unwrap_or(0));
        let mean = match self.count {
            0 => None,
            count => {
                let count = i128::from(count);
                // What is left after whole units is divided by itself: nothing overflows early.
                let (whole, rest) = (self.sum / count, self.sum % count);
                let whole = whole.checked_mul(up).ok_or_else(decimal_overflow)?;
                Some(whole + rest * up / count)
            }
        };
        Ok(ScalarValue::Decimal128(mean, self.precision, self.scale))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}
