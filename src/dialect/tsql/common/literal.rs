//! Literals as texts that the type of a column gives their meaning to. Where T-SQL
//! would convert the column instead of the literal, there is no such text.

use datafusion::arrow::datatypes::DataType;
use datafusion::sql::sqlparser::ast::{
    DataType as DataTypeName, Expr, Spanned, UnaryOperator, Value as Sql,
};

use super::scope::{Found, Scope};
use super::{Reader, place};
use crate::catalog::ColumnType;
use crate::error::Result;
use crate::query::{Literal, LiteralKind};
use crate::value::{Value, parse_time};

/// A literal as it is written.
pub(super) enum Written {
    Text(String),
    Number(String),
    Boolean(bool),
    Null,
}

/// The literal that an expression is.
pub(super) fn written(expr: &Expr) -> Option<Written> {
    match expr {
        Expr::Nested(inner) => written(inner),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match written(expr)? {
            Written::Number(number) if !number.starts_with('-') => {
                Some(Written::Number(format!("-{number}")))
            }
            _ => None,
        },
        Expr::Cast {
            expr, data_type: DataTypeName::Float(_) | DataTypeName::Double(_), ..
        } => match written(expr)? {
            number @ Written::Number(_) => Some(number),
            _ => None,
        },
        Expr::Value(value) => Some(match &value.value {
            Sql::Number(number, _) => Written::Number(number.clone()),
            Sql::SingleQuotedString(text) | Sql::NationalStringLiteral(text) => {
                Written::Text(text.clone())
            }
            Sql::Boolean(value) => Written::Boolean(*value),
            Sql::Null => Written::Null,
            _ => return None,
        }),
        _ => None,
    }
}

impl Reader<'_> {
    /// A literal that a column is compared with.
    pub(super) fn literal(&self, expr: &Expr, with: Found, scope: &Scope) -> Result<Literal> {
        let at = expr.span().start;
        let facts = scope.facts(with);
        let data_type = scope.table(with).schema().field(with.column).data_type();
        let text = match (written(expr), data_type) {
            (Some(Written::Text(text) | Written::Number(text)), _)
                if facts.column_type == ColumnType::EntityName =>
            {
                Some(text)
            }
            (Some(Written::Text(text)), DataType::Timestamp(..)) => parse_time(&text).map(instant),
            (Some(Written::Text(text)), _) => Some(text),
            (Some(Written::Boolean(value)), DataType::Boolean) => Some(value.to_string()),
            (
                Some(Written::Number(number)),
                DataType::Int32
                | DataType::Int64
                | DataType::Float64
                | DataType::Decimal128(..)
                | DataType::Boolean,
            ) => Some(number),
            _ => None,
        };
        let text = text.filter(|text| {
            facts.column_type == ColumnType::EntityName || Value::parse(text, data_type).is_ok()
        });
        match text {
            Some(text) => Ok(Literal { kind: LiteralKind::Untyped, text, at: place(at) }),
            None => {
                let name = &facts.logical_name;
                Err(self.cannot_say(format!("'{expr}' beside '{name}'"), at))
            }
        }
    }
}

/// A time with its offset, so that no zone matters.
fn instant(micros: i64) -> String {
    let time = chrono::DateTime::from_timestamp_micros(micros).unwrap_or_default();
    time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}
