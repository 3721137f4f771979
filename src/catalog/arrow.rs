//! The catalog as Arrow schemas.
//!
//! GUIDs are `FixedSizeBinary(16)` in the byte order of their text, times are
//! microseconds UTC without a zone, choices are `Int32`, text is `Utf8View`.
//! The field metadata key [`COLUMN_KIND`] tells what plain Arrow cannot.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use super::{Column, ColumnKind, ColumnType, Table};

/// Field metadata key; its values are `guid`, `entityname` and `label`.
pub const COLUMN_KIND: &str = "sysjob.kind";

/// Whether a field holds GUIDs.
pub fn is_guid(field: &Field) -> bool {
    matches!(field.data_type(), DataType::FixedSizeBinary(16))
}

/// Whether a field holds object type codes that stand for table names.
pub fn is_entity_name(field: &Field) -> bool {
    field.metadata().get(COLUMN_KIND).is_some_and(|k| k == "entityname")
}

/// Whether SQL answers this table-name column with its code: the documented query
/// on file attachments reads it so.
pub fn is_code_in_sql(name: &str) -> bool {
    name == "objectidtypecode"
}

/// Whether a field holds labels of a choice: texts from a fixed set, of which no
/// two differ only in case or accents.
pub fn is_label(field: &Field) -> bool {
    field.metadata().get(COLUMN_KIND).is_some_and(|k| k == "label")
}

pub(super) fn schema(table: &Table) -> SchemaRef {
    let fields: Vec<Field> = table
        .columns
        .iter()
        .map(|column| {
            let nullable = column.logical_name != table.primary_id;
            let field = Field::new(&column.logical_name, data_type(column), nullable);
            let kind = match (column.column_type, column.kind) {
                (ColumnType::EntityName, _) => "entityname",
                (_, ColumnKind::ChoiceLabel(_) | ColumnKind::EntityLabel(_)) => "label",
                _ if data_type(column) == DataType::FixedSizeBinary(16) => "guid",
                _ => return field,
            };
            field.with_metadata(HashMap::from([(COLUMN_KIND.into(), kind.into())]))
        })
        .collect();
    Arc::new(Schema::new(fields))
}

pub(super) fn data_type(column: &Column) -> DataType {
    match column.column_type {
        ColumnType::Uniqueidentifier
        | ColumnType::Lookup
        | ColumnType::Owner
        | ColumnType::Customer => DataType::FixedSizeBinary(16),
        ColumnType::Virtual if column.is_file() && column.kind == ColumnKind::Stored => {
            DataType::FixedSizeBinary(16)
        }
        ColumnType::String | ColumnType::Memo | ColumnType::Virtual => DataType::Utf8View,
        ColumnType::Integer
        | ColumnType::Picklist
        | ColumnType::State
        | ColumnType::Status
        | ColumnType::EntityName => DataType::Int32,
        ColumnType::BigInt => DataType::Int64,
        ColumnType::Boolean => DataType::Boolean,
        ColumnType::DateTime if column.format.as_deref() == Some("DateOnly") => DataType::Date32,
        ColumnType::DateTime => DataType::Timestamp(TimeUnit::Microsecond, None),
        ColumnType::Double => DataType::Float64,
        ColumnType::Decimal => DataType::Decimal128(38, 10),
        ColumnType::Money => DataType::Decimal128(38, 4),
    }
}
