//! Conditions as `$filter` has them.

use super::{Printer, cannot_say};
use crate::error::Result;
use crate::query::bound::{Column, Scalar};
use crate::query::operators::Arguments;
use crate::query::{Operator, Test};
use crate::translate::condition::{Condition, Truth};
use crate::value::Value;

const NAMESPACE: &str = "Microsoft.Dynamics.CRM";

impl Printer<'_> {
    pub(super) fn filter(&self, condition: &Condition<'_>) -> Result<String> {
        let list = |parts: &[Condition<'_>], word: &str| -> Result<String> {
            let parts = parts.iter().map(|part| self.operand(part));
            Ok(parts.collect::<Result<Vec<_>>>()?.join(word))
        };
        match condition {
            Condition::All(parts) if parts.is_empty() => Ok("true".into()),
            Condition::Any(parts) if parts.is_empty() => Ok("false".into()),
            Condition::All(parts) => list(parts, " and "),
            Condition::Any(parts) => list(parts, " or "),
            Condition::Compare { column, operator, values } => {
                self.compare(*column, *operator, values)
            }
            Condition::Columns { left, operator, right } => {
                let (left, right) = (self.column(*left)?, self.column(*right)?);
                Ok(format!("{left} {} {right}", word(*operator)))
            }
            Condition::Operator { column, test, values, truth } => {
                let call = self.call(*column, *test, values)?;
                match truth {
                    Truth::True => Ok(call),
                    Truth::False => Ok(format!("not {call}")),
                    _ => Err(cannot_say(format!("that '{}' is not true", name(*test)))),
                }
            }
            Condition::Exists { source, wanted } => self.exists(*source, *wanted),
            Condition::Holds { scalar, truth } => self.holds(scalar, *truth),
        }
    }

    /// A condition that may stand beside `and`.
    pub(super) fn operand(&self, condition: &Condition<'_>) -> Result<String> {
        let text = self.filter(condition)?;
        Ok(match condition {
            Condition::All(parts) | Condition::Any(parts) if parts.len() > 1 => format!("({text})"),
            _ => text,
        })
    }

    fn compare(&self, column: Column, operator: Operator, values: &[Value]) -> Result<String> {
        let path = self.column(column)?;
        let literal = |i: usize| self.literal(&values[i], column);
        let each = |word: &str, between: &str| {
            let tests = values.iter().map(|v| format!("{path} {word} {}", self.literal(v, column)));
            format!("({})", tests.collect::<Vec<_>>().join(between))
        };
        Ok(match operator {
            Operator::Null => format!("{path} eq null"),
            Operator::NotNull => format!("{path} ne null"),
            Operator::Between => format!("({path} ge {} and {path} le {})", literal(0), literal(1)),
            Operator::NotBetween => {
                format!("({path} lt {} or {path} gt {} or {path} eq null)", literal(0), literal(1))
            }
            Operator::In | Operator::NotIn => {
                // A query function speaks of the rows outside of lambda expressions.
                if self.query.in_predicate(column.source).is_some() {
                    return Ok(match operator {
                        Operator::In => {
                            let list = values.iter().map(|v| self.literal(v, column));
                            format!("{path} in ({})", list.collect::<Vec<_>>().join(","))
                        }
                        _ => each("ne", " and "),
                    });
                }
                let texts = values.iter().map(|v| quoted(&self.query.text_of(v, column)));
                let texts = texts.collect::<Vec<_>>().join(",");
                let function = if operator == Operator::In { "In" } else { "NotIn" };
                let property = self.property(column)?;
                format!(
                    "{NAMESPACE}.{function}(PropertyName='{property}',PropertyValues=[{texts}])"
                )
            }
            Operator::Like | Operator::NotLike => {
                let pattern = self.query.text_of(&values[0], column);
                let (function, text) = function_of(&pattern)
                    .ok_or_else(|| cannot_say(format!("the pattern '{pattern}'")))?;
                let not = if operator == Operator::Like { "" } else { "not " };
                format!("{not}{function}({path},{})", text_literal(text))
            }
            other => format!("{path} {} {}", word(other), literal(0)),
        })
    }

    /// A query function of Dataverse.
    fn call(&self, column: Column, test: Test, values: &[String]) -> Result<String> {
        let operator = test.operator();
        let Some((operator, function)) =
            operator.and_then(|operator| Some((operator, operator.query_function?)))
        else {
            return Err(cannot_say(format!("the operator '{}'", name(test))));
        };
        let property = self.property(column)?;
        let number = |text: &String| text.trim().parse::<i32>().is_ok();
        let value = |text: &String| match number(text) {
            true => text.trim().to_owned(),
            false => text_literal(text),
        };
        let values = match (operator.arguments, values) {
            (Arguments::None, _) => String::new(),
            (Arguments::One, [one]) => format!(",PropertyValue={}", value(one)),
            (Arguments::Two, [first, second]) => {
                format!(",PropertyValue1={},PropertyValue2={}", value(first), value(second))
            }
            (_, several) => {
                let texts = several.iter().map(|text| quoted(text)).collect::<Vec<_>>();
                format!(",PropertyValues=[{}]", texts.join(","))
            }
        };
        Ok(format!("{NAMESPACE}.{function}(PropertyName='{property}'{values})"))
    }

    /// A column as query functions name it.
    fn property(&self, column: Column) -> Result<String> {
        let name = &self.query.facts(column).logical_name;
        Ok(format!("{}{name}", self.path(column.source)?))
    }

    fn holds(&self, scalar: &Scalar, truth: Truth) -> Result<String> {
        let text = self.scalar(scalar)?;
        Ok(match (truth, scalar) {
            (Truth::True, Scalar::Column(_)) => format!("{text} eq true"),
            (Truth::True, _) => text,
            (Truth::False, _) => format!("not ({text})"),
            (Truth::NotTrue, _) => format!("({text}) ne true"),
            (Truth::NotFalse, _) => format!("({text}) ne false"),
        })
    }

    /// A value as a literal.
    fn literal(&self, value: &Value, column: Column) -> String {
        let text = self.query.text_of(value, column);
        match value {
            Value::Text(_) => text_literal(&text),
            _ => text,
        }
    }
}

pub(super) fn text_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A text as JSON has it.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The text function that a LIKE pattern stands for. Its text is a pattern too.
fn function_of(pattern: &str) -> Option<(&'static str, &str)> {
    let start = pattern.strip_prefix('%');
    match (start, pattern.strip_suffix('%')) {
        (Some(rest), Some(_)) if !rest.is_empty() => {
            Some(("contains", rest.strip_suffix('%').unwrap_or(rest)))
        }
        (_, Some(text)) => Some(("startswith", text)),
        (Some(text), None) => Some(("endswith", text)),
        (None, None) => None,
    }
}

fn word(operator: Operator) -> &'static str {
    match operator {
        Operator::Gt => "gt",
        Operator::Ge => "ge",
        Operator::Lt => "lt",
        Operator::Le => "le",
        Operator::Ne => "ne",
        _ => "eq",
    }
}

fn name(test: Test) -> &'static str {
    test.operator().map_or("the operator", |operator| operator.name)
}
