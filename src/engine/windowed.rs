//! Aggregates over windows, whose frames move: the sum and the average of whole
//! numbers, and the least and greatest text by collation. Rows leave a frame in
//! the order in which they came.

use std::collections::VecDeque;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{DFSchema, Result, ScalarValue, exec_datafusion_err, not_impl_err};
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, ExprSchemable, Signature, Volatility,
    WindowFunctionDefinition,
};

use super::collation;

/// Gives a window function the meaning that its aggregate has.
pub fn adapt(window: &mut WindowFunction, schema: &DFSchema) -> Result<()> {
    let WindowFunctionDefinition::AggregateUDF(function) = &window.fun else { return Ok(()) };
    let [arg] = window.params.args.as_slice() else { return Ok(()) };
    let kind = arg.get_type(schema)?;
    let whole = matches!(
        kind,
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 | DataType::UInt8
    );
    let text = matches!(kind, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8);
    let (moving, out) = match function.name() {
        "sum" if whole => (Moving::Sum, function.return_type(&[kind])?),
        "avg" if whole => (Moving::Mean, kind),
        "min" if text => (Moving::Least, kind),
        "max" if text => (Moving::Greatest, kind),
        _ => return Ok(()),
    };
    let signature = Signature::any(1, Volatility::Immutable);
    let function = Windowed { moving, out, signature };
    window.fun = WindowFunctionDefinition::AggregateUDF(Arc::new(AggregateUDF::from(function)));
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Moving {
    Sum,
    Mean,
    Least,
    Greatest,
}

/// An aggregate of windows only.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Windowed {
    moving: Moving,
    out: DataType,
    signature: Signature,
}

impl AggregateUDFImpl for Windowed {
    fn name(&self) -> &str {
        match self.moving {
            Moving::Sum => "sum",
            Moving::Mean => "avg",
            Moving::Least => "min",
            Moving::Greatest => "max",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.out.clone())
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let out = self.out.clone();
        Ok(match self.moving {
            Moving::Sum | Moving::Mean => {
                let mean = self.moving == Moving::Mean;
                Box::new(Total { sum: 0, count: 0, mean, out })
            }
            Moving::Least | Moving::Greatest => {
                let greatest = self.moving == Moving::Greatest;
                Box::new(Extreme { best: VecDeque::new(), first: 0, next: 0, greatest, out })
            }
        })
    }
}

/// The numbers of a frame.
#[derive(Debug)]
struct Total {
    sum: i128,
    count: i128,
    mean: bool,
    out: DataType,
}

impl Total {
    fn add(&mut self, values: &ArrayRef, sign: i128) -> Result<()> {
        let values = cast(values, &DataType::Int64)?;
        for value in values.as_primitive::<Int64Type>().iter().flatten() {
            self.sum += sign * i128::from(value);
            self.count += sign;
        }
        Ok(())
    }
}

impl Accumulator for Total {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add(&values[0], 1)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add(&values[0], -1)
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, _: &[ArrayRef]) -> Result<()> {
        not_impl_err!("a window's aggregate in parts")
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        not_impl_err!("a window's aggregate in parts")
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        if self.count == 0 {
            return ScalarValue::try_from(&self.out);
        }
        let value = if self.mean { self.sum / self.count } else { self.sum };
        let overflow = || {
            exec_datafusion_err!(
                "Arithmetic overflow error converting expression to data type {} (Msg 8115)",
                if self.out == DataType::Int64 { "bigint" } else { "int" }
            )
        };
        let value = i64::try_from(value).map_err(|_| overflow())?;
        let scalar = ScalarValue::Int64(Some(value));
        scalar.cast_to(&self.out).map_err(|_| overflow())
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

/// The texts of a frame that may be its least or greatest, the best first: a
/// text goes when a better one comes after it.
#[derive(Debug)]
struct Extreme {
    /// Key, text and number of each.
    best: VecDeque<(String, String, usize)>,
    /// The number of the first row of the frame, and of the row to come.
    first: usize,
    next: usize,
    greatest: bool,
    out: DataType,
}

impl Accumulator for Extreme {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let texts = cast(&values[0], &DataType::Utf8View)?;
        for text in texts.as_string_view() {
            if let Some(text) = text {
                let key = collation::key(text).into_owned();
                let beaten = |other: &String| match self.greatest {
                    true => *other < key,
                    false => *other > key,
                };
                while self.best.back().is_some_and(|(other, ..)| beaten(other)) {
                    self.best.pop_back();
                }
                self.best.push_back((key, text.to_owned(), self.next));
            }
            self.next += 1;
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.first += values[0].len();
        while self.best.front().is_some_and(|(.., number)| *number < self.first) {
            self.best.pop_front();
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, _: &[ArrayRef]) -> Result<()> {
        not_impl_err!("a window's aggregate in parts")
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        not_impl_err!("a window's aggregate in parts")
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let text = self.best.front().map(|(_, text, _)| text.clone());
        ScalarValue::Utf8View(text).cast_to(&self.out)
    }

    fn size(&self) -> usize {
        let texts = self.best.iter().map(|(key, text, _)| key.capacity() + text.capacity());
        size_of_val(self) + texts.sum::<usize>()
    }
}
