//! One JSON value → the value of a column, checked against the column's facts.

use datafusion::arrow::datatypes::DataType;
use serde_json::Value as Json;

use crate::catalog::{Column, ColumnType, Table, entity_code};
use crate::error::{Error, Result, codes};
use crate::value::{Value, parse_time};

/// The value that a body has for a column.
pub fn read(table: &Table, index: usize, json: &Json) -> Result<Value> {
    let column = &table.columns[index];
    let data_type = table.schema().field(index).data_type();
    let value = match (column.column_type, json) {
        (_, Json::Null) => return Ok(Value::Null),
        (ColumnType::String | ColumnType::Memo, Json::String(text)) => {
            return self::text(table, column, text);
        }
        (ColumnType::Integer, Json::Number(_)) => {
            let number = integer(json).filter(|_| in_range(column, json));
            Value::Int32(number.ok_or_else(|| out_of_range(table, column, json))?)
        }
        (ColumnType::Picklist | ColumnType::State | ColumnType::Status, Json::Number(_)) => {
            let code = integer(json).ok_or_else(|| mismatch(table, column, json))?;
            if !column.options.is_empty() && column.label(code).is_none() {
                return Err(no_option(table, column, code));
            }
            Value::Int32(code)
        }
        (ColumnType::Boolean, Json::Bool(value)) => Value::Boolean(*value),
        (ColumnType::Double, Json::Number(number)) => {
            let number = number.as_f64().filter(|_| in_range(column, json));
            Value::Float64(number.ok_or_else(|| out_of_range(table, column, json))?)
        }
        // These may come as text, so that no digit is lost on the way.
        (ColumnType::BigInt, Json::Number(_) | Json::String(_)) => {
            parsed(table, column, json, data_type)?
        }
        (ColumnType::Decimal | ColumnType::Money, Json::Number(_) | Json::String(_)) => {
            if !in_range(column, json) {
                return Err(out_of_range(table, column, json));
            }
            decimal(column, json, data_type).ok_or_else(|| mismatch(table, column, json))?
        }
        (ColumnType::DateTime, Json::String(text)) => {
            if parse_time(text).is_some_and(|time| time < EARLIEST) {
                let message = format!(
                    "'{}' of '{}': {text} is before 1753-01-01, the earliest date",
                    column.logical_name, table.logical_name
                );
                return Err(Error::invalid(codes::DATE_TOO_EARLY, message));
            }
            parsed(table, column, json, data_type)?
        }
        (ColumnType::Uniqueidentifier, Json::String(_)) => parsed(table, column, json, data_type)?,
        (ColumnType::EntityName, Json::String(name)) if is_table_name(name) => {
            Value::Int32(entity_code(name))
        }
        _ => return Err(mismatch(table, column, json)),
    };
    Ok(value)
}

/// 1753-01-01, in microseconds since 1970-01-01 UTC.
const EARLIEST: i64 = -6_847_804_800_000_000;

/// Text is counted as Dataverse does, in UTF-16 units; empty text is null.
fn text(table: &Table, column: &Column, text: &str) -> Result<Value> {
    if text.is_empty() {
        return Ok(Value::Null);
    }
    let length = text.encode_utf16().count();
    match column.max_length {
        Some(max) if length > max as usize => {
            let message = format!(
                "A validation error occurred. The length of the '{}' attribute of the '{}' entity, {length}, exceeded the maximum allowed length of '{max}'.",
                column.logical_name, table.logical_name
            );
            Err(Error::invalid(codes::TEXT_TOO_LONG, message))
        }
        _ => Ok(Value::Text(text.to_owned())),
    }
}

fn integer(json: &Json) -> Option<i32> {
    json.as_i64().and_then(|n| i32::try_from(n).ok())
}

fn number(json: &Json) -> Option<f64> {
    json.as_f64().or_else(|| json.as_str()?.trim().parse().ok())
}

fn in_range(column: &Column, json: &Json) -> bool {
    let Some(number) = number(json) else { return true };
    column.min.is_none_or(|min| number >= min) && column.max.is_none_or(|max| number <= max)
}

/// The literal as text, without the quotes of JSON.
fn literal(json: &Json) -> String {
    json.as_str().map_or_else(|| json.to_string(), str::to_owned)
}

fn parsed(table: &Table, column: &Column, json: &Json, data_type: &DataType) -> Result<Value> {
    Value::parse(&literal(json), data_type).map_err(|_| mismatch(table, column, json))
}

/// Further digits than the column keeps are rounded.
fn decimal(column: &Column, json: &Json, data_type: &DataType) -> Option<Value> {
    let DataType::Decimal128(_, scale) = data_type else { return None };
    let digits = column.precision.map_or(*scale, |p| (p as i8).min(*scale));
    let exact = Value::parse(&literal(json), data_type).ok();
    let exact = exact.filter(|_| column.precision.is_none() || !literal(json).contains('.'));
    exact.or_else(|| {
        let rounded = format!("{:.*}", usize::try_from(digits).ok()?, number(json)?);
        Value::parse(&rounded, data_type).ok()
    })
}

fn is_table_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn out_of_range(table: &Table, column: &Column, json: &Json) -> Error {
    let bound = |bound: Option<f64>| bound.map_or("any".to_owned(), |b| b.to_string());
    let (min, max) = match column.column_type {
        ColumnType::Integer => {
            (column.min.or(Some(f64::from(i32::MIN))), column.max.or(Some(f64::from(i32::MAX))))
        }
        _ => (column.min, column.max),
    };
    if column.column_type == ColumnType::Integer && json.as_i64().is_none() {
        return mismatch(table, column, json);
    }
    let message = format!(
        "A validation error occurred. The value {json} of '{}' on record of type '{}' is outside the valid range: {} to {}.",
        column.logical_name,
        table.logical_name,
        bound(min),
        bound(max)
    );
    Error::invalid(codes::NUMBER_OUT_OF_RANGE, message)
}

fn no_option(table: &Table, column: &Column, code: i32) -> Error {
    const SHOWN: usize = 30;
    let mut values: Vec<String> =
        column.options.iter().take(SHOWN).map(|o| o.value.to_string()).collect();
    if column.options.len() > SHOWN {
        values.push("…".into());
    }
    let message = format!(
        "A validation error occurred. The value {code} of '{}' on record of type '{}' is outside the valid range. Accepted Values: {}",
        column.logical_name,
        table.logical_name,
        values.join(",")
    );
    Error::invalid(codes::OPTION_OUT_OF_RANGE, message)
}

fn mismatch(table: &Table, column: &Column, json: &Json) -> Error {
    const SHOWN: usize = 100;
    let expected = match column.column_type {
        ColumnType::String | ColumnType::Memo | ColumnType::EntityName => "Edm.String",
        ColumnType::Boolean => "Edm.Boolean",
        ColumnType::BigInt => "Edm.Int64",
        ColumnType::Double => "Edm.Double",
        ColumnType::Decimal | ColumnType::Money => "Edm.Decimal",
        ColumnType::DateTime if column.format.as_deref() == Some("DateOnly") => "Edm.Date",
        ColumnType::DateTime => "Edm.DateTimeOffset",
        ColumnType::Uniqueidentifier => "Edm.Guid",
        _ => "Edm.Int32",
    };
    let mut literal: String = json.to_string().chars().take(SHOWN).collect();
    if literal.len() < json.to_string().len() {
        literal.push('…');
    }
    let message = format!(
        "Cannot convert the literal {literal} to the expected type '{expected}' of property '{}' of 'Microsoft.Dynamics.CRM.{}'",
        column.logical_name, table.logical_name
    );
    Error::invalid(codes::ODATA, message)
}
