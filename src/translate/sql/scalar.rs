//! Values made of columns and functions. T-SQL has words for those that mean the same.

use datafusion::arrow::datatypes::DataType;

use super::predicate::literal;
use super::{Printer, cannot_say};
use crate::error::Result;
use crate::query::Function;
use crate::query::bound::Scalar;
use crate::translate::values::{bare, spelling};
use crate::value::Value;

impl Printer<'_> {
    /// A value; what is true or false is 1 or 0.
    pub(super) fn scalar(&self, scalar: &Scalar) -> Result<String> {
        use Function::{
            Add, Ceiling, Concat, Date, Day, Div, Floor, Hour, Minute, Mod, Month, Mul, Negate,
            Round, Second, Sub, ToLower, ToUpper, Trim, Year,
        };
        let (function, arguments, data_type) = match scalar {
            Scalar::Column(column) => return self.column(*column),
            Scalar::Literal { value, data_type } => {
                return Ok(literal(value, &bare(value, data_type)));
            }
            Scalar::Cast(inner, data_type) => {
                let value = self.scalar(inner)?;
                return Ok(format!("CAST({value} AS {})", type_name(data_type)?));
            }
            Scalar::Call { function, arguments, data_type } => (*function, arguments, data_type),
        };
        let said = || cannot_say(format!("'{}'", spelling(function)));
        if *data_type == DataType::Boolean {
            return Ok(format!("CASE WHEN {} THEN 1 ELSE 0 END", self.condition(scalar)?));
        }
        let mut texts = Vec::with_capacity(arguments.len());
        for argument in arguments {
            texts.push(self.scalar(argument)?);
        }
        let [first, rest @ ..] = texts.as_slice() else { return Err(said()) };
        // Of decimals T-SQL keeps another number of digits.
        let exact = matches!(data_type, DataType::Int32 | DataType::Int64 | DataType::Float64);
        let sign = match function {
            Add if exact => "+",
            Sub if exact => "-",
            Mul if exact => "*",
            Div if exact => "/",
            Mod if exact => "%",
            Concat => "+",
            _ => "",
        };
        if let ([second], false) = (rest, sign.is_empty()) {
            return Ok(format!("({first} {sign} {second})"));
        }
        Ok(match function {
            Negate if exact => format!("(-{first})"),
            ToLower => format!("LOWER({first})"),
            ToUpper => format!("UPPER({first})"),
            Trim => format!("TRIM({first})"),
            Year => format!("DATEPART(year, {first})"),
            Month => format!("DATEPART(month, {first})"),
            Day => format!("DATEPART(day, {first})"),
            Hour => format!("DATEPART(hour, {first})"),
            Minute => format!("DATEPART(minute, {first})"),
            Second => format!("DATEPART(second, {first})"),
            Date => format!("CAST({first} AS date)"),
            Floor if exact => format!("FLOOR({first})"),
            Ceiling if exact => format!("CEILING({first})"),
            Round if exact => format!("ROUND({first}, 0)"),
            _ => return Err(said()),
        })
    }

    /// A value that is true or false as a condition.
    pub(super) fn condition(&self, scalar: &Scalar) -> Result<String> {
        use Function::{And, Contains, EndsWith, Eq, Ge, Gt, In, Le, Lt, Ne, Not, Or, StartsWith};
        let (function, arguments) = match scalar {
            Scalar::Literal { value: Value::Boolean(true), .. } => return Ok("1 = 1".into()),
            Scalar::Literal { .. } => return Ok("1 = 0".into()),
            Scalar::Call { function, arguments, .. } => (*function, arguments.as_slice()),
            other => return Ok(format!("{} = 1", self.scalar(other)?)),
        };
        let null = |s: &Scalar| matches!(s, Scalar::Literal { value: Value::Null, .. });
        let compared = |left: &Scalar, sign: &str, right: &Scalar| {
            Ok(format!("({} {sign} {})", self.scalar(left)?, self.scalar(right)?))
        };
        match (function, arguments) {
            (And, [left, right]) => {
                Ok(format!("({} AND {})", self.condition(left)?, self.condition(right)?))
            }
            (Or, [left, right]) => {
                Ok(format!("({} OR {})", self.condition(left)?, self.condition(right)?))
            }
            (Not, [part]) => Ok(format!("NOT ({})", self.condition(part)?)),
            (Eq | Ne, [tested, other]) | (Eq | Ne, [other, tested]) if null(other) => {
                let word = if function == Eq { "IS NULL" } else { "IS NOT NULL" };
                Ok(format!("{} {word}", self.scalar(tested)?))
            }
            (Eq, [left, right]) => compared(left, "=", right),
            (Ne, [left, right]) => compared(left, "IS DISTINCT FROM", right),
            (Gt, [left, right]) => compared(left, ">", right),
            (Ge, [left, right]) => compared(left, ">=", right),
            (Lt, [left, right]) => compared(left, "<", right),
            (Le, [left, right]) => compared(left, "<=", right),
            (In, [value, list @ ..]) if !list.iter().any(null) => {
                let list = list.iter().map(|item| self.scalar(item));
                let list = list.collect::<Result<Vec<_>>>()?.join(", ");
                Ok(format!("{} IN ({list})", self.scalar(value)?))
            }
            (Contains | StartsWith | EndsWith, [value, text]) => {
                let Scalar::Literal { value: Value::Text(text), .. } = text else {
                    return Err(cannot_say(format!("'{}' of two columns", spelling(function))));
                };
                let before = if function == StartsWith { "" } else { "%" };
                let after = if function == EndsWith { "" } else { "%" };
                let pattern = format!("{before}{text}{after}");
                let pattern = literal(&Value::Text(String::new()), &pattern);
                Ok(format!("{} LIKE {pattern}", self.scalar(value)?))
            }
            _ => Err(cannot_say(format!("'{}'", spelling(function)))),
        }
    }
}

fn type_name(data_type: &DataType) -> Result<&'static str> {
    Ok(match data_type {
        DataType::Int32 => "int",
        DataType::Int64 => "bigint",
        DataType::Float64 => "float",
        DataType::Date32 => "date",
        DataType::Timestamp(..) => "datetime2",
        DataType::Decimal128(38, 4) => "decimal(38, 4)",
        DataType::Decimal128(38, 10) => "decimal(38, 10)",
        _ => return Err(cannot_say("this expression")),
    })
}
