//! Values made of columns and functions as expressions. A null argument makes
//! the value null; text is compared, searched and found by its collation.

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Result, plan_err};
use datafusion::functions::datetime::expr_fn::date_part;
use datafusion::functions::math::expr_fn::{ceil, floor, round};
use datafusion::functions::regex::expr_fn::regexp_like;
use datafusion::functions::string::expr_fn::{
    btrim, contains, ends_with, lower, starts_with, upper,
};
use datafusion::functions::unicode::expr_fn::{character_length, strpos, substr, substring};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, lit, when};
use datafusion::prelude::{cast, in_list};

use super::Builder;
use crate::engine::collation::collation_key;
use crate::query::Function;
use crate::query::bound::Scalar;
use crate::value::Value;

impl Builder<'_> {
    pub(super) fn scalar(&self, scalar: &Scalar) -> Result<Expr> {
        match scalar {
            Scalar::Column(column) => Ok(self.column(*column)),
            Scalar::Literal { value, data_type } => {
                Ok(Expr::Literal(value.to_scalar(data_type), None))
            }
            Scalar::Cast(inner, data_type) => Ok(cast(self.scalar(inner)?, data_type.clone())),
            Scalar::Call { function, arguments, data_type } => {
                self.call(*function, arguments, data_type)
            }
        }
    }

    fn call(&self, function: Function, arguments: &[Scalar], data_type: &DataType) -> Result<Expr> {
        use Function as F;
        let mut values = arguments.iter().map(|argument| self.scalar(argument));
        let (Some(first), second, third) =
            (values.next().transpose()?, values.next().transpose()?, values.next().transpose()?)
        else {
            return plan_err!("{function:?} without arguments");
        };
        if let Some(second) = second.clone()
            && let Some(operator) = operator(function)
        {
            // A test for null, rather than a comparison with it.
            let side = |i: usize| arguments.get(i).is_some_and(is_null);
            let tested = match (side(0), side(1)) {
                (true, _) => Some(second.clone()),
                (_, true) => Some(first.clone()),
                _ => None,
            };
            return Ok(match (tested, function) {
                (Some(tested), F::Eq) => tested.is_null(),
                (Some(tested), F::Ne) => tested.is_not_null(),
                _ => {
                    let expr = binary(first, operator, second);
                    if function_is_test(function) { expr } else { cast(expr, data_type.clone()) }
                }
            });
        }
        let part = |name: &str| date_part(lit(name), first.clone());
        let made = match (function, second) {
            (F::In, _) => {
                let list: Vec<Expr> = arguments[1..]
                    .iter()
                    .filter(|argument| !is_null(argument))
                    .map(|argument| self.scalar(argument))
                    .collect::<Result<_>>()?;
                let found = in_list(first.clone(), list, false);
                return Ok(match arguments[1..].iter().any(is_null) {
                    true => first.is_null().or(found),
                    false => found,
                });
            }
            (F::And, None) | (F::Or, None) => first,
            (F::Not, _) => Expr::Not(Box::new(first)),
            (F::Negate, _) => Expr::Negative(Box::new(first)),
            (F::Contains, Some(text)) => match pattern(&arguments[1], "%", "%") {
                Some(pattern) => first.like(pattern),
                None => contains(collation_key(first), collation_key(text)),
            },
            (F::StartsWith, Some(text)) => match pattern(&arguments[1], "", "%") {
                Some(pattern) => first.like(pattern),
                None => starts_with(collation_key(first), collation_key(text)),
            },
            (F::EndsWith, Some(text)) => match pattern(&arguments[1], "%", "") {
                Some(pattern) => first.like(pattern),
                None => ends_with(collation_key(first), collation_key(text)),
            },
            (F::MatchesPattern, Some(regex)) => regexp_like(first, regex, Some(lit("i"))),
            (F::IndexOf, Some(text)) => {
                strpos(collation_key(first), collation_key(text)) - lit(1_i32)
            }
            (F::Substring, Some(start)) => {
                let start = cast(start, DataType::Int64) + lit(1_i64);
                match third {
                    Some(length) => substring(first, start, cast(length, DataType::Int64)),
                    None => substr(first, start),
                }
            }
            (F::Length, _) => character_length(first),
            (F::ToLower, _) => lower(first),
            (F::ToUpper, _) => upper(first),
            (F::Trim, _) => btrim(vec![first]),
            (F::Year, _) => part("year"),
            (F::Month, _) => part("month"),
            (F::Day, _) => part("day"),
            (F::Hour, _) => part("hour"),
            (F::Minute, _) => part("minute"),
            (F::Second, _) => part("second"),
            (F::FractionalSeconds, _) => {
                let micros = cast(part("microsecond"), DataType::Int64) % lit(1_000_000_i64);
                let micros = cast(micros, DataType::Decimal128(16, 6));
                micros / lit(datafusion::common::ScalarValue::Decimal128(Some(1_000_000), 7, 0))
            }
            // Times are kept in UTC.
            (F::TotalOffsetMinutes, _) => when(first.is_not_null(), lit(0_i32)).end()?,
            (F::Date, _) => first,
            (F::Time, _) => cast(first, DataType::Time64(TimeUnit::Microsecond)),
            (F::Round, _) => match data_type {
                DataType::Decimal128(..) => cast(first, DataType::Decimal128(38, 0)),
                _ => round(vec![first]),
            },
            (F::Floor, _) => floor(first),
            (F::Ceiling, _) => ceil(first),
            (other, _) => return plan_err!("{other:?} is called with other arguments"),
        };
        Ok(match function_is_test(function) {
            true => made,
            false => cast(made, data_type.clone()),
        })
    }
}

fn function_is_test(function: Function) -> bool {
    use Function::{
        And, Contains, EndsWith, Eq, Ge, Gt, In, Le, Lt, MatchesPattern, Ne, Not, Or, StartsWith,
    };
    matches!(
        function,
        And | Contains
            | EndsWith
            | Eq
            | Ge
            | Gt
            | In
            | Le
            | Lt
            | MatchesPattern
            | Ne
            | Not
            | Or
            | StartsWith
    )
}

/// The operator between two values that a function is.
fn operator(function: Function) -> Option<Operator> {
    Some(match function {
        Function::Add => Operator::Plus,
        Function::Sub => Operator::Minus,
        Function::Mul => Operator::Multiply,
        Function::Div | Function::DivBy => Operator::Divide,
        Function::Mod => Operator::Modulo,
        Function::Eq => Operator::Eq,
        // Rows without a value are not equal to one.
        Function::Ne => Operator::IsDistinctFrom,
        Function::Gt => Operator::Gt,
        Function::Ge => Operator::GtEq,
        Function::Lt => Operator::Lt,
        Function::Le => Operator::LtEq,
        Function::And => Operator::And,
        Function::Or => Operator::Or,
        // Unlike `concat`, it is null where one side is.
        Function::Concat => Operator::StringConcat,
        _ => return None,
    })
}

fn binary(left: Expr, operator: Operator, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr::new(Box::new(left), operator, Box::new(right)))
}

fn is_null(scalar: &Scalar) -> bool {
    matches!(scalar, Scalar::Literal { value: Value::Null, .. })
}

/// A LIKE pattern from a text that is known; its wildcards stay live.
fn pattern(text: &Scalar, before: &str, after: &str) -> Option<Expr> {
    match text {
        Scalar::Literal { value: Value::Text(text), .. } => {
            Some(lit(format!("{before}{text}{after}")))
        }
        _ => None,
    }
}
