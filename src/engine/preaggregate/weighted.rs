//! Sums and averages over values that stand for several rows each: `SUM(value)`
//! of the rows is the sum of every value times its number of rows.

use std::any::Any;
use std::hash::Hash;

use datafusion::arrow::array::types::{Decimal128Type, Int64Type};
use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::functions_aggregate::sum::Sum;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility,
};

use crate::engine::average::{DecimalAverage, WholeAverage, decimal_overflow};
use crate::engine::sum::{WholeSum, overflow};

/// What is made of the values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Of {
    /// Whether it has to fit the type `int`.
    WholeSum {
        int: bool,
    },
    DecimalSum,
    WholeAverage,
    /// The digits of the values and of their average after the point.
    DecimalAverage {
        given: i8,
        scale: i8,
    },
}

/// An aggregate of a value and its number of rows.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Weighted {
    of: Of,
    returns: DataType,
    signature: Signature,
}

impl Weighted {
    /// The one that stands for an aggregate of rows, if there is one. The sum of
    /// floats depends on how they are added up, so it is left to the rows.
    pub fn of(function: &AggregateUDF, argument: &DataType, returns: &DataType) -> Option<Self> {
        let inner: &dyn Any = function.inner().as_ref();
        let whole = matches!(
            argument,
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64
        );
        let of = if let Some(sum) = inner.downcast_ref::<WholeSum>() {
            Of::WholeSum { int: sum.is_int() }
        } else if inner.is::<WholeAverage>() && whole {
            Of::WholeAverage
        } else if let (Some(average), DataType::Decimal128(_, given)) =
            (inner.downcast_ref::<DecimalAverage>(), argument)
        {
            Of::DecimalAverage { given: *given, scale: average.scale() }
        } else if let (true, DataType::Decimal128(_, given), DataType::Decimal128(_, scale)) =
            (inner.is::<Sum>(), argument, returns)
            && given == scale
        {
            Of::DecimalSum
        } else {
            return None;
        };
        let signature = Signature::any(2, Volatility::Immutable);
        Some(Self { of, returns: returns.clone(), signature })
    }
}

impl AggregateUDFImpl for Weighted {
    fn name(&self) -> &str {
        match self.of {
            Of::WholeSum { .. } | Of::DecimalSum => "sum_of_counted",
            Of::WholeAverage | Of::DecimalAverage { .. } => "avg_of_counted",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.returns.clone())
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Total { of: self.of, returns: self.returns.clone(), sum: 0, rows: 0 }))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let field =
            |name, data_type| Field::new(format_state_name(args.name, name), data_type, false);
        let sum = field("sum", DataType::Decimal128(38, 0));
        Ok(vec![sum.into(), field("rows", DataType::Int64).into()])
    }
}

#[derive(Debug)]
struct Total {
    of: Of,
    returns: DataType,
    sum: i128,
    /// Those whose value is not null.
    rows: i64,
}

impl Accumulator for Total {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let rows = values[1].as_primitive::<Int64Type>();
        let values = match values[0].data_type() {
            DataType::Decimal128(..) => values[0].clone(),
            _ => cast(&values[0], &DataType::Decimal128(38, 0))?,
        };
        let values = values.as_primitive::<Decimal128Type>();
        for (value, rows) in values.iter().zip(rows.iter()) {
            let (Some(value), Some(rows)) = (value, rows) else { continue };
            let product = value.checked_mul(i128::from(rows)).ok_or_else(decimal_overflow)?;
            self.sum = self.sum.checked_add(product).ok_or_else(decimal_overflow)?;
            self.rows += rows;
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let rows = states[1].as_primitive::<Int64Type>();
        let sums = states[0].as_primitive::<Decimal128Type>();
        for (sum, rows) in sums.iter().zip(rows.iter()) {
            let (Some(sum), Some(rows)) = (sum, rows) else { continue };
            self.sum = self.sum.checked_add(sum).ok_or_else(decimal_overflow)?;
            self.rows += rows;
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let sum = ScalarValue::Decimal128(Some(self.sum), 38, 0);
        Ok(vec![sum, ScalarValue::Int64(Some(self.rows))])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let there = self.rows > 0;
        let rows = i128::from(self.rows.max(1));
        let whole = |value: i128, int: bool| match i64::try_from(value) {
            Ok(value) if !int || i32::try_from(value).is_ok() => Ok(value),
            _ => Err(overflow(int)),
        };
        let decimal = |value: i128| match self.returns {
            DataType::Decimal128(precision, scale) => {
                ScalarValue::Decimal128(there.then_some(value), precision, scale)
            }
            _ => ScalarValue::Decimal128(there.then_some(value), 38, 0),
        };
        match self.of {
            Of::WholeSum { int } => {
                Ok(ScalarValue::Int64(Some(whole(self.sum, int)?).filter(|_| there)))
            }
            Of::WholeAverage => {
                let mean = whole(self.sum / rows, false)?;
                ScalarValue::Int64(Some(mean).filter(|_| there)).cast_to(&self.returns)
            }
            Of::DecimalSum => Ok(decimal(self.sum)),
            Of::DecimalAverage { given, scale } => {
                let up = 10_i128.pow(u32::try_from(scale - given).unwrap_or(0));
                // What is left after whole units is divided by itself: nothing overflows early.
                let (units, rest) = (self.sum / rows, self.sum % rows);
                let units = units.checked_mul(up).ok_or_else(decimal_overflow)?;
                Ok(decimal(units + rest * up / rows))
            }
        }
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}
