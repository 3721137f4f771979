//! One cell of a file, and its reading as a value of a catalog column.
//!
//! All formats go through here, so a choice's label, a GUID in braces or a
//! table's name means the same in CSV, JSON and Parquet. What is said of a
//! cell that cannot be read names the column and what it would take.

use std::borrow::Cow;

use datafusion::arrow::datatypes::DataType;

use crate::catalog::{Column, ColumnType, entity_code, nearest};
use crate::value::{Guid, Value};

/// A cell as its format has it.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell<'a> {
    Null,
    Text(Cow<'a, str>),
    Boolean(bool),
    Int(i64),
    Float(f64),
    Guid(Guid),
    /// Microseconds since 1970-01-01 UTC.
    Time(i64),
    /// An object or array inside a JSON row, or a nested Parquet column.
    Nested,
}

impl Cell<'_> {
    /// What the cell holds, for messages.
    fn describe(&self) -> String {
        match self {
            Self::Null => "nothing".into(),
            Self::Text(text) => format!("'{}'", shortened(text)),
            Self::Boolean(v) => v.to_string(),
            Self::Int(v) => v.to_string(),
            Self::Float(v) => v.to_string(),
            Self::Guid(_) => "a GUID".into(),
            Self::Time(_) => "a time".into(),
            Self::Nested => "an object or array".into(),
        }
    }
}

/// Reads a cell as a value of the column, whose Arrow type is `data_type`.
pub fn read(cell: &Cell<'_>, column: &Column, data_type: &DataType) -> Result<Value, String> {
    let text = match cell {
        Cell::Null => return Ok(Value::Null),
        Cell::Text(text) => text,
        other => return read_typed(other, column, data_type),
    };
    if *data_type == DataType::Utf8View {
        // Dataverse keeps an empty text as null.
        return Ok(match text.is_empty() {
            true => Value::Null,
            false => Value::Text(text.clone().into_owned()),
        });
    }
    let text = text.trim();
    if text.is_empty() {
        return Ok(Value::Null);
    }
    match column.column_type {
        ColumnType::Picklist | ColumnType::State | ColumnType::Status => choice(text, column),
        ColumnType::Boolean => boolean(text, column),
        ColumnType::EntityName => table_name(text, column),
        _ => Value::parse(text, data_type).map_err(|expected| refuse(cell, column, expected)),
    }
}

fn read_typed(cell: &Cell<'_>, column: &Column, data_type: &DataType) -> Result<Value, String> {
    let value = match (data_type, cell) {
        (DataType::Int32, Cell::Int(v)) => i32::try_from(*v).ok().map(Value::Int32),
        (DataType::Int64, Cell::Int(v)) => Some(Value::Int64(*v)),
        (DataType::Float64, Cell::Int(v)) => Some(Value::Float64(*v as f64)),
        (DataType::Float64, Cell::Float(v)) => Some(Value::Float64(*v)),
        (DataType::Boolean, Cell::Boolean(v)) => Some(Value::Boolean(*v)),
        (DataType::Boolean, Cell::Int(v @ (0 | 1))) => Some(Value::Boolean(*v == 1)),
        (DataType::Decimal128(..), Cell::Int(v)) => Value::parse(&v.to_string(), data_type).ok(),
        (DataType::Decimal128(..), Cell::Float(v)) => Value::parse(&v.to_string(), data_type).ok(),
        (DataType::FixedSizeBinary(16), Cell::Guid(v)) => Some(Value::Guid(*v)),
        (DataType::Timestamp(..), Cell::Time(v)) => Some(Value::Time(*v)),
        (DataType::Date32, Cell::Time(v)) => {
            i32::try_from(v.div_euclid(MICROS_PER_DAY)).ok().map(Value::Date)
        }
        _ => None,
    };
    value.ok_or_else(|| refuse(cell, column, expected(data_type)))
}

pub const MICROS_PER_DAY: i64 = 86_400_000_000;

fn expected(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Int32 => "a whole number of 32 bits",
        DataType::Int64 => "a whole number",
        DataType::Float64 => "a number",
        DataType::Boolean => "true or false",
        DataType::Decimal128(..) => "a decimal number",
        DataType::FixedSizeBinary(16) => "a GUID",
        DataType::Timestamp(..) => "a date and time such as 2024-05-01T10:00:00Z",
        DataType::Date32 => "a date such as 2024-05-01",
        _ => "a text",
    }
}

fn refuse(cell: &Cell<'_>, column: &Column, expected: &str) -> String {
    format!("{}: {} is not {expected}", column.logical_name, cell.describe())
}

/// A choice's number or its label. Numbers without a label are kept: an
/// organization may have options that the built-in metadata does not know.
fn choice(text: &str, column: &Column) -> Result<Value, String> {
    if let Ok(value) = text.parse() {
        return Ok(Value::Int32(value));
    }
    if let Some(option) = column.options.iter().find(|o| o.label == text) {
        return Ok(Value::Int32(option.value));
    }
    let near = nearest(text, column.options.iter().map(|o| o.label.as_str()));
    let hint = near.map(|n| format!("; did you mean '{n}'?")).unwrap_or_default();
    Err(format!(
        "{}: '{}' is not a number or label of this choice{hint}",
        column.logical_name,
        shortened(text)
    ))
}

fn boolean(text: &str, column: &Column) -> Result<Value, String> {
    let any = |words: [&str; 3]| words.iter().any(|w| text.eq_ignore_ascii_case(w));
    if any(["true", "1", "yes"]) {
        return Ok(Value::Boolean(true));
    }
    if any(["false", "0", "no"]) {
        return Ok(Value::Boolean(false));
    }
    match column.options.iter().find(|o| o.label == text) {
        Some(option) => Ok(Value::Boolean(option.value == 1)),
        None => Err(format!(
            "{}: '{}' is not true, false, 1, 0, Yes or No",
            column.logical_name,
            shortened(text)
        )),
    }
}

/// A table by object type code or logical name.
fn table_name(text: &str, column: &Column) -> Result<Value, String> {
    if let Ok(code) = text.parse() {
        return Ok(Value::Int32(code));
    }
    // Any other text would silently get a derived code of its own.
    if text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Ok(Value::Int32(entity_code(text)));
    }
    Err(format!(
        "{}: '{}' is not an object type code or a logical table name",
        column.logical_name,
        shortened(text)
    ))
}

/// The beginning of a text, as much as a message needs of it.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 60;
    if text.chars().count() <= SHOWN {
        return text.to_owned();
    }
    text.chars().take(SHOWN).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    fn job(column: &str, cell: Cell<'_>) -> Result<Value, String> {
        let catalog = Catalog::built_in();
        let jobs = catalog.table("asyncoperation").expect("built in");
        let index = jobs.column_index(column).expect("documented column");
        read(&cell, &jobs.columns[index], jobs.schema().field(index).data_type())
    }

    fn text(text: &str) -> Cell<'_> {
        Cell::Text(text.into())
    }

    #[test]
    fn choices_come_as_number_or_exact_label() {
        assert_eq!(job("operationtype", text("10")), Ok(Value::Int32(10)));
        assert_eq!(job("operationtype", text("Workflow")), Ok(Value::Int32(10)));
        assert_eq!(job("operationtype", Cell::Int(10)), Ok(Value::Int32(10)));
        assert_eq!(
            job("operationtype", text("Workflw")),
            Err("operationtype: 'Workflw' is not a number or label of this choice; \
                 did you mean 'Workflow'?"
                .into())
        );
    }

    #[test]
    fn booleans_and_tables_come_in_all_their_spellings() {
        for word in ["true", "1", "Yes", "TRUE"] {
            assert_eq!(job("retainjobhistory", text(word)), Ok(Value::Boolean(true)), "{word}");
        }
        assert_eq!(job("retainjobhistory", text("No")), Ok(Value::Boolean(false)));
        assert!(job("retainjobhistory", text("perhaps")).is_err());
        assert_eq!(job("owneridtype", text("SystemUser")), Ok(Value::Int32(8)));
        assert_eq!(job("owneridtype", text("9")), Ok(Value::Int32(9)));
        assert!(job("owneridtype", text("a b")).is_err());
    }

    #[test]
    fn a_wrong_type_is_refused_with_the_column_and_what_it_takes() {
        let refused = |column, cell| job(column, cell).expect_err("refused");
        assert_eq!(refused("depth", text("deep")), "depth: 'deep' is not a whole number");
        assert_eq!(
            refused("depth", Cell::Float(1.5)),
            "depth: 1.5 is not a whole number of 32 bits"
        );
        assert_eq!(refused("name", Cell::Int(5)), "name: 5 is not a text");
        assert_eq!(refused("ownerid", Cell::Nested), "ownerid: an object or array is not a GUID");
    }

    #[test]
    fn blank_text_is_null_and_in_text_columns_only_empty_text() {
        assert_eq!(job("startedon", text(" ")), Ok(Value::Null));
        assert_eq!(job("name", text("")), Ok(Value::Null));
        assert_eq!(job("name", text(" ")), Ok(Value::Text(" ".into())));
    }
}
