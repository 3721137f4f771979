//! SQL Server's types, and which of them a column has.

use datafusion::arrow::datatypes::DataType;

use super::{Described, Row, described};
use crate::catalog::{Catalog, Column, ColumnType, Table, is_code_in_sql};

/// The collation of all text.
pub const COLLATION: &str = "Latin1_General_CI_AI";

/// A type with its lengths, as `sys.columns` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SqlServerType {
    pub name: &'static str,
    pub id: i32,
    /// In bytes; -1 is `max`.
    pub max_length: i32,
    pub precision: i32,
    pub scale: i32,
}

/// Name, `system_type_id`, `user_type_id`, bytes, precision, scale, has a collation.
type Listed = (&'static str, i32, i32, i32, i32, i32, bool);

const TYPES: &[Listed] = &[
    ("image", 34, 34, 16, 0, 0, false),
    ("text", 35, 35, 16, 0, 0, true),
    ("uniqueidentifier", 36, 36, 16, 0, 0, false),
    ("date", 40, 40, 3, 10, 0, false),
    ("time", 41, 41, 5, 16, 7, false),
    ("datetime2", 42, 42, 8, 27, 7, false),
    ("datetimeoffset", 43, 43, 10, 34, 7, false),
    ("tinyint", 48, 48, 1, 3, 0, false),
    ("smallint", 52, 52, 2, 5, 0, false),
    ("int", 56, 56, 4, 10, 0, false),
    ("smalldatetime", 58, 58, 4, 16, 0, false),
    ("real", 59, 59, 4, 24, 0, false),
    ("money", 60, 60, 8, 19, 4, false),
    ("datetime", 61, 61, 8, 23, 3, false),
    ("float", 62, 62, 8, 53, 0, false),
    ("sql_variant", 98, 98, 8016, 0, 0, false),
    ("ntext", 99, 99, 16, 0, 0, true),
    ("bit", 104, 104, 1, 1, 0, false),
    ("decimal", 106, 106, 17, 38, 38, false),
    ("numeric", 108, 108, 17, 38, 38, false),
    ("smallmoney", 122, 122, 4, 10, 4, false),
    ("bigint", 127, 127, 8, 19, 0, false),
    ("hierarchyid", 240, 128, 892, 0, 0, false),
    ("geometry", 240, 129, -1, 0, 0, false),
    ("geography", 240, 130, -1, 0, 0, false),
    ("varbinary", 165, 165, 8000, 0, 0, false),
    ("varchar", 167, 167, 8000, 0, 0, true),
    ("binary", 173, 173, 8000, 0, 0, false),
    ("char", 175, 175, 8000, 0, 0, true),
    ("timestamp", 189, 189, 8, 0, 0, false),
    ("nvarchar", 231, 231, 8000, 0, 0, true),
    ("nchar", 239, 239, 8000, 0, 0, true),
    ("xml", 241, 241, -1, 0, 0, false),
    ("sysname", 231, 256, 256, 0, 0, true),
];

fn named(name: &'static str) -> SqlServerType {
    let listed = TYPES.iter().find(|t| t.0 == name).expect("a listed type");
    SqlServerType { name, id: listed.1, max_length: listed.3, precision: listed.4, scale: listed.5 }
}

/// The longest `nvarchar(n)`; longer ones are `nvarchar(max)`.
const LONGEST: u32 = 4000;

/// The type of a column as the Dataverse SQL endpoint shows it.
pub fn sql_server_type(table: &Table, index: usize) -> SqlServerType {
    let column = &table.columns[index];
    let text = |length: Option<u32>| {
        let bytes = length.filter(|n| *n <= LONGEST).and_then(|n| i32::try_from(2 * n).ok());
        SqlServerType { max_length: bytes.unwrap_or(-1), ..named("nvarchar") }
    };
    match (column.column_type, column.data_type()) {
        (ColumnType::EntityName, _) if !is_code_in_sql(&column.logical_name) => text(Some(64)),
        (ColumnType::Memo, _) => text(None),
        (ColumnType::Money, _) => named("money"),
        (_, DataType::FixedSizeBinary(16)) => named("uniqueidentifier"),
        (_, DataType::Int32) => named("int"),
        (_, DataType::Int64) => named("bigint"),
        (_, DataType::Boolean) => named("bit"),
        (_, DataType::Date32) => named("date"),
        (_, DataType::Timestamp(..)) => named("datetime"),
        (_, DataType::Float64) => named("float"),
        (_, DataType::Decimal128(precision, scale)) => {
            SqlServerType { precision: precision.into(), scale: scale.into(), ..named("decimal") }
        }
        _ => text(column.max_length),
    }
}

/// The readable columns of a table with their indices, as all catalogs number them.
pub fn readable(table: &Table) -> impl Iterator<Item = (usize, &Column)> {
    table.columns.iter().enumerate().filter(|(_, column)| column.read)
}

pub(super) fn views(catalog: &Catalog) -> Vec<Described> {
    let types = TYPES.iter().map(|(name, id, user_id, bytes, precision, scale, collated)| {
        Row::new()
            .with("name", *name)
            .with("system_type_id", *id)
            .with("user_type_id", *user_id)
            .with("max_length", *bytes)
            .with("precision", *precision)
            .with("scale", *scale)
            .with("collation_name", collated.then_some(COLLATION))
            .with("is_nullable", *name != "timestamp" && *name != "sysname")
            .with("is_assembly_type", *id == 240)
    });
    let columns = || {
        catalog.all_tables().flat_map(|table| {
            let object_id = catalog.objects().table(&table.logical_name);
            readable(table).enumerate().map(move |(position, (index, column))| {
                let its = sql_server_type(table, index);
                Row::new()
                    .with("object_id", object_id)
                    .with("name", &column.logical_name)
                    .with("column_id", position + 1)
                    .with("system_type_id", its.id)
                    .with("user_type_id", its.id)
                    .with("max_length", its.max_length)
                    .with("precision", its.precision)
                    .with("scale", its.scale)
                    .with("collation_name", (its.name == "nvarchar").then_some(COLLATION))
                    .with("is_nullable", table.schema().field(index).is_nullable())
            })
        })
    };
    vec![
        described("sys", "types", TYPE_COLUMNS, types.collect()),
        described("sys", "columns", COLUMN_COLUMNS, columns().collect()),
        described("sys", "all_columns", COLUMN_COLUMNS, columns().collect()),
    ]
}

const TYPE_COLUMNS: &str = "name:s system_type_id:i user_type_id:i schema_id:i=4 principal_id:i \
    max_length:i precision:i scale:i collation_name:s is_nullable:b is_user_defined:b=0 \
    is_assembly_type:b default_object_id:i=0 rule_object_id:i=0 is_table_type:b=0";

const COLUMN_COLUMNS: &str = "object_id:i name:s column_id:i system_type_id:i user_type_id:i \
    max_length:i precision:i scale:i collation_name:s is_nullable:b is_ansi_padded:b=1 \
    is_rowguidcol:b=0 is_identity:b=0 is_computed:b=0 is_filestream:b=0 is_replicated:b=0 \
    is_non_sql_subscribed:b=0 is_merge_published:b=0 is_dts_replicated:b=0 is_xml_document:b=0 \
    xml_collection_id:i=0 default_object_id:i=0 rule_object_id:i=0 is_sparse:b=0 \
    is_column_set:b=0 generated_always_type:i=0 generated_always_type_desc:s=NOT_APPLICABLE \
    is_hidden:b=0 is_masked:b=0";
