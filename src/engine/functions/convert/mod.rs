//! `sql_convert(type, value, style, tries)`: the conversions of `CAST`, `CONVERT`
//! and `TRY_CONVERT`, and those that operators imply. Which pairs of types
//! convert at all is known from the types; what a value becomes is in the files
//! of this folder, by target.

mod binary;
mod clock;
mod decimal;
pub(super) mod hijri;
mod number;
mod text;

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, new_null_array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, FieldRef, TimeUnit};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, plan_err};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    Cast, ColumnarValue, Expr, ExprSchemable, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility, lit,
};

use super::types::SqlType;
use super::zones::{self, Zone};

pub(super) use self::clock::{NoTime, read as read_time, round_datetime};

/// What a conversion was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub from: SqlType,
    pub to: SqlType,
    pub style: Option<i32>,
    /// Null instead of an error.
    pub tries: bool,
}

impl Request {
    /// A value's conversion, or null where a failed one is forgiven.
    fn settle<T>(&self, value: Result<T>) -> Result<Option<T>> {
        match value {
            Ok(value) => Ok(Some(value)),
            Err(_) if self.tries => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// An expression converted to a type, as operators imply it.
pub(in crate::engine) fn converted(expr: Expr, to: SqlType) -> Expr {
    let function = ScalarUDF::new_from_impl(Convert::new());
    function.call(vec![lit(to.to_string()), expr])
}

/// A literal converted to a type.
pub(in crate::engine) fn literal_converted(
    value: &ScalarValue,
    from: SqlType,
    to: SqlType,
) -> Result<ScalarValue> {
    let values = value.to_array()?;
    let request = |to| Request { from, to, style: None, tries: false };
    match array(&values, &request(to)) {
        Ok(answer) => ScalarValue::try_from_array(&answer, 0),
        // The message is that of the type the column has.
        Err(error) if to == SqlType::Timestamp => {
            Err(array(&values, &request(SqlType::DateTime)).err().unwrap_or(error))
        }
        Err(error) => Err(error),
    }
}

/// Whether an expression of one type can be converted to another at all.
pub(in crate::engine) fn is_allowed(from: SqlType, to: SqlType) -> bool {
    use SqlType as T;
    if from == T::Other || to == T::Other {
        return from == to;
    }
    let days = |t: T| matches!(t, T::DateTime | T::Timestamp | T::SmallDateTime);
    match (from, to) {
        (T::Null, _) => true,
        (from, to) if from.is_text() || to.is_text() => true,
        (from, to) if from.is_binary() || to.is_binary() => {
            let float = matches!((from, to), (T::Real | T::Float, _) | (_, T::Real | T::Float));
            !(float || from.is_temporal() || to.is_temporal())
        }
        (T::Guid, to) => to == T::Guid,
        (_, T::Guid) => false,
        (from, to) if from.is_number() && to.is_number() => true,
        (from, to) if from.is_number() => days(to),
        (from, to) if to.is_number() => days(from),
        (T::Date, T::Time(_)) | (T::Time(_), T::Date) => false,
        _ => true,
    }
}

/// Converts the values of an array.
pub(super) fn array(values: &ArrayRef, request: &Request) -> Result<ArrayRef> {
    use SqlType as T;
    let Request { from, to, .. } = *request;
    if values.data_type().is_null() {
        return Ok(new_null_array(&to.arrow(), values.len()));
    }
    // One layout of each kind of value is enough below.
    let values = match from {
        T::Other => values.clone(),
        // Its zone is part of its type.
        T::DateTimeOffset(_) => {
            cast(values, &DataType::Timestamp(TimeUnit::Microsecond, zone_name(values)))?
        }
        from => cast(values, &from.arrow())?,
    };
    match to {
        T::PgText | T::Varchar(_) | T::Char(_) => text::array(&values, request),
        T::Bit | T::TinyInt | T::SmallInt | T::Int | T::BigInt | T::Real | T::Float => {
            number::array(&values, request)
        }
        T::Decimal(..) | T::Money | T::SmallMoney => decimal::array(&values, request),
        T::Date
        | T::Time(_)
        | T::SmallDateTime
        | T::DateTime
        | T::Timestamp
        | T::DateTime2(_)
        | T::DateTimeOffset(_) => clock::array(&values, request),
        T::Guid | T::Binary(_) | T::Varbinary(_) => binary::array(&values, request),
        T::Null | T::Other => Ok(values),
    }
}

fn zone_name(values: &ArrayRef) -> Option<Arc<str>> {
    match values.data_type() {
        DataType::Timestamp(_, zone) => zone.clone(),
        _ => None,
    }
}

/// The error for a number that its type cannot hold.
pub(super) fn overflow(to: SqlType) -> datafusion::common::DataFusionError {
    exec_datafusion_err!(
        "Arithmetic overflow error converting expression to data type {} (Msg 8115)",
        to.name()
    )
}

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Convert {
    signature: Signature,
}

impl Convert {
    pub fn new() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

/// The literal type in front.
fn target(argument: Option<&ScalarValue>) -> Result<SqlType> {
    let text = argument.and_then(|a| a.try_as_str().flatten());
    match text.and_then(SqlType::parse) {
        Some(target) => Ok(target),
        None => plan_err!("sql_convert needs the name of a type (Msg 243)"),
    }
}

/// The type of a whole number as it is written; the planner has it wider.
fn literal_type(argument: Option<&ScalarValue>) -> Option<SqlType> {
    match argument {
        Some(ScalarValue::Int64(Some(n))) if i32::try_from(*n).is_ok() => Some(SqlType::Int),
        _ => None,
    }
}

fn flag(argument: Option<&ScalarValue>) -> bool {
    matches!(argument, Some(ScalarValue::Boolean(Some(true))))
}

impl ScalarUDFImpl for Convert {
    fn name(&self) -> &str {
        "sql_convert"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let style = |(at, t): (usize, &DataType)| match (at, t) {
            (2, t) if t.is_integer() || t.is_null() => DataType::Int32,
            (_, t) => t.clone(),
        };
        Ok(given.iter().enumerate().map(style).collect())
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        datafusion::common::internal_err!("the type of sql_convert depends on its arguments")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let given = |i: usize| args.scalar_arguments.get(i).copied().flatten();
        let to = target(given(0))?;
        let from = SqlType::of(&args.arg_fields[1]);
        if !is_allowed(from, to) {
            return plan_err!(
                "Explicit conversion from data type {} to {} is not allowed (Msg 529)",
                literal_type(given(1)).unwrap_or(from).name(),
                to.name()
            );
        }
        if let Some(ScalarValue::Int32(Some(style))) = given(2) {
            check_style(*style, from, to)?;
        }
        let field = to.field(self.name());
        if !matches!(to, SqlType::DateTimeOffset(_)) {
            return Ok(field);
        }
        // The offset that a value has stays, as far as all rows have it.
        let written = given(1).and_then(|text| text.try_as_str().flatten());
        let zone = zones::zone_of(args.arg_fields[1].data_type())
            .or_else(|| written.and_then(clock::offset_of).map(Zone::Fixed));
        let Some(zone) = zone else { return Ok(field) };
        Ok(field.as_ref().clone().with_data_type(zones::type_in(zone)).into())
    }

    /// What changes nothing goes, and what the engine converts alike is left to it,
    /// which can then push it down.
    fn simplify(&self, mut args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let literal = |e: Option<&Expr>| match e {
            Some(Expr::Literal(scalar, _)) => Some(scalar.clone()),
            _ => None,
        };
        let to = target(literal(args.first()).as_ref())?;
        let (_, field) = args[1].to_field(info.schema().as_ref())?;
        let from = SqlType::of(&field);
        let whole = |t: SqlType| t.is_integer() || t == SqlType::Bit;
        let plain = match (from, to) {
            (SqlType::DateTime, SqlType::Timestamp) => field.data_type() == &to.arrow(),
            (from, to) if from == to => field.data_type() == &to.arrow(),
            (SqlType::Varchar(_) | SqlType::Char(_), SqlType::Varchar(None) | SqlType::PgText) => {
                field.data_type() == &DataType::Utf8View
            }
            _ => false,
        };
        if plain {
            return Ok(ExprSimplifyResult::Simplified(args.swap_remove(1)));
        }
        let native = match (from, to) {
            (from, to) if whole(from) && to.is_integer() => from.precedence() < to.precedence(),
            (from, SqlType::Float) => whole(from),
            (SqlType::DateTime, SqlType::Date) | (SqlType::Date, SqlType::DateTime) => true,
            _ => false,
        };
        if native {
            let cast = Cast::new(Box::new(args.swap_remove(1)), to.arrow());
            return Ok(ExprSimplifyResult::Simplified(Expr::Cast(cast)));
        }
        Ok(ExprSimplifyResult::Original(args))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let scalar = |i: usize| match args.args.get(i) {
            Some(ColumnarValue::Scalar(scalar)) => Some(scalar.clone()),
            _ => None,
        };
        let to = target(scalar(0).as_ref())?;
        let from = SqlType::of(&args.arg_fields[1]);
        let style = match scalar(2) {
            Some(ScalarValue::Int32(style)) => style,
            _ => None,
        };
        if let Some(style) = style {
            check_style(style, from, to)?;
        }
        let request = Request { from, to, style, tries: flag(scalar(3).as_ref()) };
        let given = args.return_field.data_type();
        let converted = |values: &ArrayRef| -> Result<ArrayRef> {
            let answer = array(values, &request)?;
            Ok(if answer.data_type() == given { answer } else { cast(&answer, given)? })
        };
        match &args.args[1] {
            ColumnarValue::Array(values) => converted(values).map(ColumnarValue::Array),
            ColumnarValue::Scalar(value) => {
                let answer = converted(&value.to_array()?)?;
                ScalarValue::try_from_array(&answer, 0).map(ColumnarValue::Scalar)
            }
        }
    }
}

/// Refuses styles that a pair of types does not have.
fn check_style(style: i32, from: SqlType, to: SqlType) -> Result<()> {
    let time = |t: SqlType| t.is_temporal();
    let known = match (from, to) {
        (SqlType::Date, to) if to.is_text() => {
            super::styles::is_style(style) && !matches!(style, 8 | 14 | 24 | 108 | 114)
        }
        (from, to) if time(from) && to.is_text() || from.is_text() && time(to) => {
            super::styles::is_style(style)
        }
        (from, to) if from.is_binary() && to.is_text() || from.is_text() && to.is_binary() => {
            (0..=2).contains(&style)
        }
        _ => true,
    };
    if known {
        return Ok(());
    }
    let (from, to) = match (from, to) {
        (from, to) if from.is_text() => ("a character string", to.name()),
        (from, _) => (from.name(), "a character string"),
    };
    plan_err!("{style} is not a valid style number when converting from {from} to {to} (Msg 281)")
}
