//! Literals → values of the type of the column they are compared with.

use chrono::NaiveDate;
use chrono_tz::Tz;
use datafusion::arrow::datatypes::{DataType, TimeUnit};

use crate::catalog::{Column, ColumnType, entity_code_or_none};
use crate::error::{Error, Result, codes};
use crate::query::dates::{read_day, read_instant};
use crate::query::{Literal, LiteralKind};
use crate::value::Value;

/// Longer values are cut in messages.
const SHOWN_CHARS_MAX: usize = 80;

/// Types a literal, or says what it should have been.
pub(super) fn value(
    literal: &Literal,
    name: &str,
    column: &Column,
    data_type: &DataType,
    timezone: Tz,
) -> Result<Value> {
    if !kinds_of(column, data_type).contains(&literal.kind) && literal.kind != LiteralKind::Untyped
    {
        let message = format!(
            "'{name}' holds {}; {} '{}' cannot be compared with it",
            kind_of(column, data_type),
            written_as(literal.kind),
            shown(&literal.text)
        );
        return Err(Error::invalid(codes::ODATA, message).at(literal.at.clone()));
    }
    if column.column_type == ColumnType::EntityName {
        return table_code(&literal.text).ok_or_else(|| misfit(literal, name, column, data_type));
    }
    let untyped = literal.kind == LiteralKind::Untyped;
    if untyped && *data_type != DataType::Utf8View {
        not_empty(literal, name)?;
    }
    let value = match data_type {
        // Without an offset FetchXML means the caller's clock.
        DataType::Timestamp(..) if untyped => {
            read_instant(&literal.text, timezone).map(Value::Time)
        }
        DataType::Date32 if untyped => read_day(&literal.text, timezone).map(date_value),
        _ => Value::parse(&literal.text, data_type).ok(),
    };
    value.ok_or_else(|| misfit(literal, name, column, data_type))
}

/// Refuses an empty text where it cannot be a value.
pub(super) fn not_empty(literal: &Literal, name: &str) -> Result<()> {
    if !literal.text.trim().is_empty() {
        return Ok(());
    }
    let message = format!(
        "an empty text is not a valid value of '{name}'; 'null' and 'not-null' test for missing values"
    );
    Err(Error::invalid(codes::INVALID_ARGUMENT, message).at(literal.at.clone()))
}

/// A day as the value of a column of dates.
pub(super) fn date_value(day: NaiveDate) -> Value {
    let days = day.signed_duration_since(NaiveDate::default()).num_days();
    Value::Date(days.clamp(i32::MIN.into(), i32::MAX.into()) as i32)
}

/// Object type codes stand for tables; the code and the logical name both do.
fn table_code(text: &str) -> Option<Value> {
    let text = text.trim();
    if let Ok(code) = text.parse() {
        return Some(Value::Int32(code));
    }
    let is_name = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then(|| Value::Int32(entity_code_or_none(text)))
}

pub(super) fn misfit(
    literal: &Literal,
    name: &str,
    column: &Column,
    data_type: &DataType,
) -> Error {
    let text = literal.text.trim();
    let mut message = format!(
        "the value '{}' of '{name}' is not {}",
        shown(&literal.text),
        kind_of(column, data_type)
    );
    if let Some(choice) = column.options.iter().find(|o| o.label.eq_ignore_ascii_case(text)) {
        message.push_str(&format!("; '{}' is {}", choice.label, choice.value));
    } else if let (Some((min, max)), Ok(_)) = (range(data_type), text.parse::<i128>()) {
        message.push_str(&format!(" from {min} to {max}"));
    }
    let code = match literal.kind {
        LiteralKind::Untyped => codes::INVALID_VALUE,
        _ => codes::ODATA,
    };
    Error::invalid(code, message).at(literal.at.clone())
}

fn range(data_type: &DataType) -> Option<(i64, i64)> {
    match data_type {
        DataType::Int32 => Some((i32::MIN.into(), i32::MAX.into())),
        DataType::Int64 => Some((i64::MIN, i64::MAX)),
        _ => None,
    }
}

pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The kinds of OData literals that fit a column. Dataverse takes GUIDs in quotes too.
fn kinds_of(column: &Column, data_type: &DataType) -> &'static [LiteralKind] {
    use LiteralKind::{Boolean, DateTime, Guid, Number, Text};
    if column.column_type == ColumnType::EntityName {
        return &[Text, Number];
    }
    match data_type {
        DataType::Boolean => &[Boolean],
        DataType::FixedSizeBinary(_) => &[Guid, Text],
        DataType::Timestamp(TimeUnit::Microsecond, _) | DataType::Date32 => &[DateTime],
        DataType::Utf8View => &[Text],
        _ => &[Number],
    }
}

fn written_as(kind: LiteralKind) -> &'static str {
    match kind {
        LiteralKind::Untyped => "the value",
        LiteralKind::Text => "the text",
        LiteralKind::Number => "the number",
        LiteralKind::Boolean => "the yes/no value",
        LiteralKind::Guid => "the GUID",
        LiteralKind::DateTime => "the date",
    }
}

/// What a column holds, in words.
pub(super) fn kind_of(column: &Column, data_type: &DataType) -> &'static str {
    if column.column_type == ColumnType::EntityName {
        return "a table's logical name or object type code";
    }
    match data_type {
        DataType::Boolean => "a yes/no value",
        DataType::FixedSizeBinary(_) => "a GUID",
        DataType::Timestamp(..) => "a date and time such as 2024-05-01T10:00:00Z",
        DataType::Date32 => "a date such as 2024-05-01",
        DataType::Utf8View => "a text",
        DataType::Int32 | DataType::Int64 => "a whole number",
        DataType::Decimal128(..) => "a decimal number",
        _ => "a number",
    }
}
