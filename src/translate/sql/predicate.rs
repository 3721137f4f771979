//! Conditions in T-SQL's three truths, in which the plan has them too.

use super::{Printer, cannot_say};
use crate::error::Result;
use crate::query::bound::{Column, Predicate};
use crate::query::{Operator, Test};
use crate::value::{Value, date_text};

impl Printer<'_> {
    /// A condition that may stand beside `AND`.
    pub(super) fn operand(&self, predicate: &Predicate) -> Result<String> {
        let text = self.predicate(predicate)?;
        let alone = match predicate {
            Predicate::And(parts) | Predicate::Or(parts) => parts.len() < 2,
            _ => true,
        };
        Ok(if alone { text } else { format!("({text})") })
    }

    fn predicate(&self, predicate: &Predicate) -> Result<String> {
        let list = |parts: &[Predicate], word: &str| {
            let parts = parts.iter().map(|part| self.operand(part));
            Ok(parts.collect::<Result<Vec<_>>>()?.join(word))
        };
        match predicate {
            Predicate::And(parts) if parts.is_empty() => Ok("1 = 1".into()),
            Predicate::Or(parts) if parts.is_empty() => Ok("1 = 0".into()),
            Predicate::And(parts) => list(parts, " AND "),
            Predicate::Or(parts) => list(parts, " OR "),
            Predicate::Not(part) => self.not(part),
            Predicate::NotTrue(part) => {
                Ok(format!("CASE WHEN {} THEN 1 ELSE 0 END = 0", self.predicate(part)?))
            }
            Predicate::Compare { column, operator, operands } => {
                self.compare(*column, *operator, operands, false)
            }
            Predicate::CompareColumns { left, operator, right } => {
                let (left, right) = (self.column(*left)?, self.column(*right)?);
                Ok(format!(
                    "({left} {} {right})",
                    match operator {
                        Operator::Ne => "IS DISTINCT FROM",
                        other => sign(*other),
                    }
                ))
            }
            Predicate::Operator { column, test, values, means } => match test {
                Test::Dates(dates) => self.dates(*column, *dates, values, means),
                other => {
                    let name = other.operator().map_or("the operator", |o| o.name);
                    let column = &self.query.facts(*column).logical_name;
                    Err(cannot_say(format!("'{name}' of '{column}'")))
                }
            },
            Predicate::Exists(source) => self.exists(*source),
            Predicate::Holds(scalar) => self.condition(scalar),
            Predicate::FiscalPeriod { .. } => Err(cannot_say("'in-fiscal-period'")),
        }
    }

    fn not(&self, part: &Predicate) -> Result<String> {
        match part {
            Predicate::Compare { column, operator, operands } if !keeps_null(*operator) => {
                self.compare(*column, *operator, operands, true)
            }
            Predicate::CompareColumns { left, operator, right } => {
                let (left, right) = (self.column(*left)?, self.column(*right)?);
                Ok(format!(
                    "({left} {} {right})",
                    match operator {
                        Operator::Ne => "IS NOT DISTINCT FROM",
                        other => negated(*other),
                    }
                ))
            }
            other => Ok(format!("NOT ({})", self.predicate(other)?)),
        }
    }

    fn compare(
        &self,
        column: Column,
        operator: Operator,
        values: &[Value],
        not: bool,
    ) -> Result<String> {
        let subject = self.column(column)?;
        let value = |i: usize| self.value_of(&values[i], column);
        let word = if not { "NOT " } else { "" };
        let or_null = |condition: String| format!("({condition} OR {subject} IS NULL)");
        let all = || values.iter().map(|v| self.value_of(v, column)).collect::<Vec<_>>().join(", ");
        Ok(match operator {
            Operator::Null if !not => format!("{subject} IS NULL"),
            Operator::NotNull if not => format!("{subject} IS NULL"),
            Operator::Null | Operator::NotNull => format!("{subject} IS NOT NULL"),
            Operator::Ne => or_null(format!("{subject} <> {}", value(0))),
            Operator::Like => format!("{subject} {word}LIKE {}", value(0)),
            Operator::NotLike => or_null(format!("{subject} NOT LIKE {}", value(0))),
            Operator::In => format!("{subject} {word}IN ({})", all()),
            Operator::NotIn => or_null(format!("{subject} NOT IN ({})", all())),
            Operator::Between => {
                format!("{subject} {word}BETWEEN {} AND {}", value(0), value(1))
            }
            Operator::NotBetween => {
                or_null(format!("{subject} NOT BETWEEN {} AND {}", value(0), value(1)))
            }
            other => {
                let sign = if not { negated(other) } else { sign(other) };
                format!("{subject} {sign} {}", value(0))
            }
        })
    }

    fn value_of(&self, value: &Value, column: Column) -> String {
        literal(value, &self.query.text_of(value, column))
    }
}

/// A value as T-SQL writes it; times are UTC.
pub(super) fn literal(value: &Value, text: &str) -> String {
    match value {
        Value::Null => "NULL".into(),
        Value::Boolean(v) => u8::from(*v).to_string(),
        // With a point it would be a decimal number.
        Value::Float64(v) if v.fract() != 0.0 || text.contains('e') => {
            format!("CAST({text} AS float)")
        }
        Value::Int32(_) | Value::Int64(_) | Value::Float64(_) | Value::Decimal(_) => {
            text.to_owned()
        }
        Value::Time(_) => format!("'{}'", text.trim_end_matches('Z')),
        Value::Date(days) => format!("'{}'", date_text(*days)),
        Value::Guid(_) | Value::Text(_) => {
            let national = if text.is_ascii() { "" } else { "N" };
            format!("{national}'{}'", text.replace('\'', "''"))
        }
    }
}

/// Whether it is true of null, so that T-SQL says it with two tests.
fn keeps_null(operator: Operator) -> bool {
    matches!(operator, Operator::Ne | Operator::NotLike | Operator::NotIn | Operator::NotBetween)
}

pub(super) fn sign(operator: Operator) -> &'static str {
    match operator {
        Operator::Gt => ">",
        Operator::Ge => ">=",
        Operator::Lt => "<",
        Operator::Le => "<=",
        Operator::Ne => "<>",
        _ => "=",
    }
}

fn negated(operator: Operator) -> &'static str {
    match operator {
        Operator::Gt => "<=",
        Operator::Ge => "<",
        Operator::Lt => ">=",
        Operator::Le => ">",
        _ => "<>",
    }
}
