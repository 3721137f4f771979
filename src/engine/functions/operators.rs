//! T-SQL's operators on numbers and times. They keep the types of SQL Server and
//! fail where a result does not fit, instead of wrapping around: `sql_add` and
//! its like are what a query's `+` means when its operands are no text.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Datum, Float64Array, Scalar, TimestampMicrosecondArray,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::compute::kernels::{bitwise, numeric};
use datafusion::arrow::datatypes::{DataType, FieldRef, Float64Type, TimestampMicrosecondType};
use datafusion::arrow::error::ArrowError;
use datafusion::common::{DataFusionError, Result, exec_datafusion_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;

use super::calendar::{self, DAY_ZERO, MICROS_PER_DAY};
use super::convert::{self, Request};
use super::decimals;
use super::types::SqlType;

/// An operator with two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::engine) enum Arithmetic {
    Add,
    Subtract,
    /// The subtraction of two times; PostgreSQL's extracts look into it.
    Difference,
    Multiply,
    Divide,
    Modulo,
    And,
    Or,
    Xor,
}

use Arithmetic::{Add, And, Difference, Divide, Modulo, Multiply, Or, Subtract, Xor};

/// Each operator: its function, and what SQL Server's messages call it.
const NAMES: [(Arithmetic, &str, &str); 9] = [
    (Add, "sql_add", "add"),
    (Subtract, "sql_subtract", "subtract"),
    (Difference, "sql_difference", "subtract"),
    (Multiply, "sql_multiply", "multiply"),
    (Divide, "sql_divide", "divide"),
    (Modulo, "sql_modulo", "modulo"),
    (And, "sql_bit_and", "'&'"),
    (Or, "sql_bit_or", "'|'"),
    (Xor, "sql_bit_xor", "'^'"),
];

impl Arithmetic {
    fn names(self) -> (&'static str, &'static str) {
        let found = NAMES.iter().find(|(op, ..)| *op == self);
        found.map_or(("", ""), |(_, function, word)| (*function, *word))
    }

    /// The name of its function.
    pub(in crate::engine) fn function(self) -> &'static str {
        self.names().0
    }

    pub(in crate::engine) fn is_bitwise(self) -> bool {
        matches!(self, And | Or | Xor)
    }
}

/// All of the operators.
pub(super) fn all() -> impl Iterator<Item = Operation> {
    NAMES.iter().map(|(op, ..)| Operation::new(*op))
}

/// The type of an operation, and those its operands are converted to.
struct Typed {
    left: SqlType,
    right: SqlType,
    result: SqlType,
}

impl Typed {
    fn all(t: SqlType) -> Self {
        Self { left: t, right: t, result: t }
    }
}

/// What an operator does with two types, or why it cannot.
fn typed(op: Arithmetic, left: SqlType, right: SqlType) -> Result<Typed> {
    use SqlType as T;
    let days = |t: T| matches!(t, T::DateTime | T::SmallDateTime);
    let (low, high) =
        if left.precedence() > right.precedence() { (right, left) } else { (left, right) };
    if high == T::Null {
        return Ok(Typed::all(T::Int));
    }
    // Text takes the type of what stands beside it.
    let own = |t: T| if t == T::Null || t.is_text() { high } else { t };
    if high.is_text() || high == T::Guid || high == T::Other {
        return Err(invalid(op, high));
    }
    if days(high) && matches!(op, Add | Subtract | Difference) {
        if low.is_binary() || low == T::Guid || matches!(low, T::Date | T::Time(_)) {
            return Err(incompatible(op, left, right));
        }
        let operand = |t: T| if t.is_number() { T::Float } else { high };
        return Ok(Typed { left: operand(left), right: operand(right), result: high });
    }
    if high.is_temporal() {
        return match low {
            low if low.is_number() => plan_err!(
                "Operand type clash: {} is incompatible with {} (Msg 206)",
                left.name(),
                right.name()
            ),
            low if low == high || low == T::Null || low.is_text() => Err(invalid(op, high)),
            _ => Err(incompatible(op, left, right)),
        };
    }
    if high.is_binary() {
        return Err(incompatible(op, left, right));
    }
    if low == T::Guid {
        return plan_err!(
            "Operand type clash: {} is incompatible with {} (Msg 206)",
            left.name(),
            right.name()
        );
    }
    if op.is_bitwise() {
        let whole = |t: T| t.is_integer() || t == T::Bit;
        if !whole(high) || !(whole(low) || low == T::Null || low.is_binary() || low.is_text()) {
            return Err(incompatible(op, left, right));
        }
        return Ok(Typed::all(high));
    }
    match high {
        T::Bit => Err(incompatible(op, left, right)),
        high if high.is_integer() => Ok(Typed::all(high)),
        T::Real | T::Float if op == Modulo => Err(incompatible(op, left, right)),
        T::Real | T::Float => Ok(Typed::all(high)),
        high if high.is_money() => Ok(Typed::all(high)),
        _ => {
            let (left, right) = (own(left), own(right));
            let exact = |t: T| {
                let (precision, scale) = t.digits().unwrap_or((18, 0));
                T::Decimal(precision, scale)
            };
            let (left, right) = (exact(left), exact(right));
            Ok(Typed { left, right, result: decimals::result(op, left, right) })
        }
    }
}

fn invalid(op: Arithmetic, t: SqlType) -> DataFusionError {
    datafusion::common::plan_datafusion_err!(
        "Operand data type {} is invalid for {} operator (Msg 8117)",
        t.name(),
        op.names().1
    )
}

fn incompatible(op: Arithmetic, left: SqlType, right: SqlType) -> DataFusionError {
    datafusion::common::plan_datafusion_err!(
        "The data types {} and {} are incompatible in the {} operator (Msg 402)",
        left.name(),
        right.name(),
        op.names().1
    )
}

/// One operator as a function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(in crate::engine) struct Operation {
    op: Arithmetic,
    signature: Signature,
}

impl Operation {
    pub(in crate::engine) fn new(op: Arithmetic) -> Self {
        Self { op, signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Operation {
    fn name(&self) -> &str {
        self.op.names().0
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The operands are converted when it runs, as SQL Server converts them.
    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        Ok(given.to_vec())
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        datafusion::common::internal_err!("the type of an operation depends on its arguments")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let [left, right] = args.arg_fields else {
            return plan_err!("{} needs two operands (Msg 102)", self.name());
        };
        let typed = typed(self.op, SqlType::of(left), SqlType::of(right))?;
        Ok(typed.result.field(self.name()))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = args.args.as_slice() else {
            return plan_err!("{} needs two operands (Msg 102)", self.name());
        };
        let given = (SqlType::of(&args.arg_fields[0]), SqlType::of(&args.arg_fields[1]));
        let typed = typed(self.op, given.0, given.1)?;
        let left = Operand::of(left, given.0, typed.left)?;
        let right = Operand::of(right, given.1, typed.right)?;
        let answer = match typed.result {
            SqlType::DateTime | SqlType::SmallDateTime => {
                let rows = if left.single && right.single { 1 } else { args.number_rows };
                self.times(&left, &right, rows, typed.result)?
            }
            SqlType::Decimal(..) | SqlType::Money | SqlType::SmallMoney => {
                let rows = if left.single && right.single { 1 } else { args.number_rows };
                decimals::compute(self.op, [&left.array, &right.array], rows, typed.result)?
            }
            result => self.numbers(&left, &right, result)?,
        };
        if left.single && right.single {
            return ScalarValue::try_from_array(&answer, 0).map(ColumnarValue::Scalar);
        }
        Ok(ColumnarValue::Array(answer))
    }
}

/// A converted operand: a column, or one value for all rows.
struct Operand {
    array: ArrayRef,
    single: bool,
}

impl Operand {
    fn of(value: &ColumnarValue, from: SqlType, to: SqlType) -> Result<Self> {
        let (array, single) = match value {
            ColumnarValue::Array(array) => (array.clone(), false),
            ColumnarValue::Scalar(scalar) => (scalar.to_array()?, true),
        };
        let request = Request { from, to, style: None, tries: false };
        let array = if from == to && array.data_type() == &to.arrow() {
            array
        } else {
            convert::array(&array, &request)?
        };
        Ok(Self { array, single })
    }

    fn datum(&self) -> Box<dyn Datum> {
        match self.single {
            true => Box::new(Scalar::new(self.array.clone())),
            false => Box::new(self.array.clone()),
        }
    }

    /// The position of a row's value.
    fn at(&self, row: usize) -> usize {
        if self.single { 0 } else { row }
    }
}

impl Operation {
    /// Whole and floating-point numbers, by Arrow's kernels.
    fn numbers(&self, left: &Operand, right: &Operand, result: SqlType) -> Result<ArrayRef> {
        let float = matches!(result, SqlType::Real | SqlType::Float);
        if self.op == Divide && float && has_zero(&right.array)? {
            check_float_division(left, right)?;
        }
        if self.op.is_bitwise() {
            return self.bits(left, right, result);
        }
        let (a, b) = (left.datum(), right.datum());
        let answer = match self.op {
            Subtract => numeric::sub(&*a, &*b),
            Multiply => numeric::mul(&*a, &*b),
            Divide => numeric::div(&*a, &*b),
            Modulo => numeric::rem(&*a, &*b),
            _ => numeric::add(&*a, &*b),
        };
        let answer = answer.map_err(|e| match e {
            ArrowError::DivideByZero => divided_by_zero(),
            _ => convert::overflow(result),
        })?;
        if float {
            let wide = cast(&answer, &DataType::Float64)?;
            if wide.as_primitive::<Float64Type>().iter().flatten().any(|n| !n.is_finite()) {
                return Err(convert::overflow(result));
            }
        }
        Ok(answer)
    }

    fn bits(&self, left: &Operand, right: &Operand, result: SqlType) -> Result<ArrayRef> {
        let rows = left.array.len().max(right.array.len());
        let wide = |operand: &Operand| -> Result<ArrayRef> {
            let array = cast(&operand.array, &DataType::Int64)?;
            match operand.single && rows != 1 {
                true => ScalarValue::try_from_array(&array, 0)?.to_array_of_size(rows),
                false => Ok(array),
            }
        };
        let (left, right) = (wide(left)?, wide(right)?);
        let (a, b) = (left.as_primitive(), right.as_primitive());
        let answer: ArrayRef = Arc::new(match self.op {
            And => bitwise::bitwise_and::<datafusion::arrow::datatypes::Int64Type>(a, b)?,
            Or => bitwise::bitwise_or(a, b)?,
            _ => bitwise::bitwise_xor(a, b)?,
        });
        Ok(cast(&answer, &result.arrow())?)
    }

    /// Times and days added: both count from 1900-01-01.
    fn times(
        &self,
        left: &Operand,
        right: &Operand,
        rows: usize,
        result: SqlType,
    ) -> Result<ArrayRef> {
        let base = DAY_ZERO * MICROS_PER_DAY;
        let span = |operand: &Operand, row: usize| -> Option<i64> {
            let at = operand.at(row);
            if operand.array.is_null(at) {
                return None;
            }
            match operand.array.as_primitive_opt::<Float64Type>() {
                Some(days) => {
                    let micros = (days.value(at) * MICROS_PER_DAY as f64).round();
                    // What is cut off here is beyond all times anyway.
                    #[expect(clippy::cast_possible_truncation, reason = "clamped")]
                    Some(micros.clamp(-1e18, 1e18) as i64)
                }
                None => {
                    let times = operand.array.as_primitive::<TimestampMicrosecondType>();
                    Some(times.value(at) - base)
                }
            }
        };
        let fraction = |operand: &Operand| {
            let days = operand.array.as_primitive_opt::<Float64Type>();
            days.is_some_and(|days| days.iter().flatten().any(|d| d.fract() != 0.0))
        };
        let rounds = fraction(left) || fraction(right);
        let of_row = |row: usize| -> Result<Option<i64>> {
            let (Some(a), Some(b)) = (span(left, row), span(right, row)) else { return Ok(None) };
            let sum = if self.op == Add { a + b } else { a - b } + base;
            let sum = if rounds { convert::round_datetime(sum) } else { sum };
            let first = calendar::day(1753, 1, 1) * MICROS_PER_DAY;
            let end = calendar::day(10_000, 1, 1) * MICROS_PER_DAY;
            if (first..end).contains(&sum) { Ok(Some(sum)) } else { Err(convert::overflow(result)) }
        };
        let times: TimestampMicrosecondArray = (0..rows).map(of_row).collect::<Result<_>>()?;
        Ok(Arc::new(times))
    }
}

fn has_zero(divisors: &ArrayRef) -> Result<bool> {
    let wide = cast(divisors, &DataType::Float64)?;
    Ok(wide.as_primitive::<Float64Type>().iter().flatten().any(|n| n == 0.0))
}

/// A zero counts only where there is something to divide.
fn check_float_division(left: &Operand, right: &Operand) -> Result<()> {
    let wide: Float64Array = cast(&right.array, &DataType::Float64)?.as_primitive().clone();
    let rows = left.array.len().max(right.array.len());
    let fails = (0..rows).any(|row| {
        let at = right.at(row);
        left.array.is_valid(left.at(row)) && wide.is_valid(at) && wide.value(at) == 0.0
    });
    if fails { Err(divided_by_zero()) } else { Ok(()) }
}

/// The error of a division by zero, of any type.
pub(super) fn divided_by_zero() -> DataFusionError {
    exec_datafusion_err!("Divide by zero error encountered (Msg 8134)")
}
