//! Which types T-SQL's aggregates take, and what they give.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{DFSchema, Result, ScalarValue, internal_err, plan_err};
use datafusion::functions_aggregate::average::avg_udaf;
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_aggregate::first_last::first_value_udaf;
use datafusion::logical_expr::expr::{AggregateFunction, NullTreatment};
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::utils::COUNT_STAR_EXPANSION;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Cast, Expr, Signature, Volatility,
    WindowFunctionDefinition,
};

use super::implicit::{as_type, type_of};
use crate::engine::average::{DecimalAverage, WholeAverage};
use crate::engine::collation::collation_key;
use crate::engine::failure::NUMBERS_ONLY;
use crate::engine::functions::{SqlType, converted, guid_order};
use crate::engine::sum::{MoneySum, WholeSum};

/// An aggregate with T-SQL's types.
pub fn typed(function: AggregateFunction, schema: &DFSchema) -> Result<AggregateFunction> {
    let AggregateFunction { mut func, mut params } = function;
    let name = func.name().to_owned();
    if name == "count" && params.args.len() > 1 {
        return plan_err!("The count function requires 1 argument(s) (Msg 174)");
    }
    if name == "approx_distinct" {
        // An exact number is a good estimate, and of the right type.
        params.distinct = true;
        func = count_udaf();
    }
    let value = params.args.first().cloned();
    if name == "string_agg" {
        text_list(&mut params.args, schema)?;
    }
    for key in &mut params.order_by {
        if params.distinct && Some(&key.expr) == value.as_ref() {
            // The engine sorts values that differ by nothing but themselves.
            key.expr = params.args[0].clone();
        } else if type_of(&key.expr, schema).is_some_and(SqlType::is_text) {
            key.expr = collation_key(std::mem::take(&mut key.expr));
        }
    }
    if matches!(name.as_str(), "min" | "max")
        && params.args.first().and_then(|arg| type_of(arg, schema)) == Some(SqlType::Guid)
    {
        params.order_by = vec![guid_order(params.args[0].clone()).sort(name == "min", false)];
        params.null_treatment = Some(NullTreatment::IgnoreNulls);
        return Ok(AggregateFunction { func: first_value_udaf(), params });
    }
    if let Some(other) = numbers(&name, &mut params.args, schema)? {
        func = other;
    }
    Ok(AggregateFunction { func, params })
}

/// An aggregate over a window with T-SQL's types.
pub fn typed_window(
    function: WindowFunctionDefinition,
    args: &mut [Expr],
    schema: &DFSchema,
) -> Result<WindowFunctionDefinition> {
    let WindowFunctionDefinition::AggregateUDF(func) = function else { return Ok(function) };
    let other = numbers(func.name(), args, schema)?;
    Ok(WindowFunctionDefinition::AggregateUDF(other.unwrap_or(func)))
}

/// `AVG` while a query is planned. It has T-SQL's type from the start, because the
/// operators around it are chosen by that; [`typed`] puts what computes it in its place.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct PlannedAverage {
    signature: Signature,
}

impl Default for PlannedAverage {
    fn default() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for PlannedAverage {
    fn name(&self) -> &str {
        "avg"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        let field = Arc::new(Field::new("", arguments[0].clone(), true));
        Ok(self.return_field(&[field])?.data_type().clone())
    }

    fn return_field(&self, arguments: &[FieldRef]) -> Result<FieldRef> {
        use SqlType as T;
        let kind = match SqlType::of(&arguments[0]) {
            T::TinyInt | T::SmallInt | T::Int => T::Int,
            T::BigInt => T::BigInt,
            T::Decimal(_, scale) => T::Decimal(38, scale.max(6)),
            T::Money | T::SmallMoney => T::Money,
            T::Other => return Ok(arguments[0].clone()),
            _ => T::Float,
        };
        Ok(kind.field(self.name()))
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        internal_err!("an average whose type was not settled")
    }
}

/// Checks what an aggregate is given, and converts it where the engine would
/// give another type; the function to take instead, if there is one.
fn numbers(name: &str, args: &mut [Expr], schema: &DFSchema) -> Result<Option<Arc<AggregateUDF>>> {
    let found = computing(name, args, schema)?;
    Ok(found.or_else(|| (name == "avg").then(avg_udaf)))
}

fn computing(
    name: &str,
    args: &mut [Expr],
    schema: &DFSchema,
) -> Result<Option<Arc<AggregateUDF>>> {
    use SqlType as T;
    if name == "count"
        && let Some(Expr::Literal(one, _)) = args.first_mut()
        && *one == ScalarValue::Int32(Some(1))
    {
        // `COUNT(*)` counts this, in all dialects.
        *one = COUNT_STAR_EXPANSION;
    }
    let Some(kind) = args.first().and_then(|arg| type_of(arg, schema)) else { return Ok(None) };
    let refused = |word: &str| {
        let kind = if kind.is_text() { "nvarchar" } else { kind.name() };
        plan_err!("Operand data type {kind} is invalid for {word} operator (Msg 8117)")
    };
    if matches!(name, "min" | "max") && kind == T::Bit {
        return refused(name);
    }
    let Some((_, word)) = NUMBERS_ONLY.iter().find(|(known, _)| *known == name) else {
        return Ok(None);
    };
    let foreign = matches!(kind, T::Other | T::Null);
    if !foreign && (!kind.is_number() || kind == T::Bit) {
        return refused(word);
    }
    let whole = kind.is_integer() && kind != T::BigInt;
    Ok(match (name, kind) {
        ("sum", _) if whole => Some(Arc::new(AggregateUDF::from(WholeSum::of_int()))),
        ("sum", T::Decimal(precision, scale)) if precision < 38 => {
            widen(&mut args[0], T::Decimal(38, scale));
            None
        }
        ("sum" | "avg", T::Money | T::SmallMoney) => {
            widen(&mut args[0], T::Money);
            Some(Arc::new(match name {
                "avg" => AggregateUDF::from(DecimalAverage::of_money()),
                _ => AggregateUDF::from(MoneySum::default()),
            }))
        }
        ("avg", T::TinyInt | T::SmallInt | T::Int | T::BigInt) => {
            if matches!(kind, T::TinyInt | T::SmallInt) {
                widen(&mut args[0], T::Int);
            }
            Some(Arc::new(AggregateUDF::from(WholeAverage::default())))
        }
        ("avg", T::Decimal(_, scale)) => {
            widen(&mut args[0], T::Decimal(38, scale));
            Some(Arc::new(AggregateUDF::from(DecimalAverage::new(scale.max(6)))))
        }
        _ => None,
    })
}

fn widen(arg: &mut Expr, to: SqlType) {
    *arg = Expr::Cast(Cast::new(Box::new(std::mem::take(arg)), to.arrow()));
}

/// `STRING_AGG(value, separator)`.
fn text_list(args: &mut [Expr], schema: &DFSchema) -> Result<()> {
    let [value, separator] = args else { return Ok(()) };
    if type_of(value, schema).is_some_and(|t| !t.is_text()) {
        *value = converted(std::mem::take(value), SqlType::Varchar(None));
    }
    match type_of(separator, schema) {
        _ if separator.any_column_refs() || separator.is_volatile() => plan_err!(
            "Separator parameter for STRING_AGG must be a string literal or variable (Msg 8733)"
        ),
        Some(kind) if !kind.is_text() && !matches!(separator, Expr::Placeholder(_)) => {
            *separator = as_type(std::mem::take(separator), kind, SqlType::Varchar(None))?;
            Ok(())
        }
        _ => Ok(()),
    }
}
