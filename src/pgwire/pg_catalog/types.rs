//! The types of PostgreSQL that columns have, and the names of types.

use std::collections::HashMap;

use datafusion::arrow::datatypes::DataType;

use crate::catalog::{Table, is_code_in_sql, is_entity_name, is_guid};

/// A type with its modifier, as `pg_attribute` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PgType {
    pub oid: i32,
    /// Bytes, or -1.
    pub length: i32,
    pub modifier: i32,
    pub by_value: bool,
    pub align: &'static str,
    pub storage: &'static str,
    /// The default collation where it is text, else 0.
    pub collation: i32,
}

const fn fixed(oid: i32, length: i32, align: &'static str) -> PgType {
    let by_value = length <= 8;
    PgType { oid, length, modifier: -1, by_value, align, storage: "p", collation: 0 }
}

const fn varying(oid: i32, modifier: i32, storage: &'static str, collation: i32) -> PgType {
    PgType { oid, length: -1, modifier, by_value: false, align: "i", storage, collation }
}

/// `text`, as catalogs have it too.
pub const TEXT: PgType = varying(25, -1, "x", 100);
/// `oid`.
pub const OID: PgType = fixed(26, 4, "i");

/// The modifier of `numeric(precision, scale)`.
fn numeric(precision: u8, scale: i8) -> i32 {
    ((i32::from(precision) << 16) | (i32::from(scale) & 0x7ff)) + 4
}

/// The type of an Arrow type.
pub fn of(data_type: &DataType) -> PgType {
    match data_type {
        DataType::Boolean => fixed(16, 1, "c"),
        DataType::Int16 => fixed(21, 2, "s"),
        DataType::Int32 => fixed(23, 4, "i"),
        DataType::Int64 => fixed(20, 8, "d"),
        DataType::Float32 => fixed(700, 4, "i"),
        DataType::Float64 => fixed(701, 8, "d"),
        DataType::Date32 => fixed(1082, 4, "i"),
        DataType::Timestamp(..) => fixed(1114, 8, "d"),
        DataType::FixedSizeBinary(16) => fixed(2950, 16, "c"),
        DataType::Decimal128(precision, scale) => {
            varying(1700, numeric(*precision, *scale), "m", 0)
        }
        DataType::List(item) => match item.data_type() {
            DataType::Int16 => varying(1005, -1, "x", 0),
            DataType::Int32 => varying(1007, -1, "x", 0),
            _ => varying(1009, -1, "x", 100),
        },
        _ => TEXT,
    }
}

/// The type of a column of a table. Text of limited length is `varchar(n)`.
pub fn of_column(table: &Table, index: usize) -> PgType {
    let field = table.schema().field(index);
    if is_guid(field) {
        return fixed(2950, 16, "c");
    }
    if is_entity_name(field) && !is_code_in_sql(field.name()) {
        return TEXT;
    }
    let its = of(field.data_type());
    let length = table.columns[index].max_length.and_then(|n| i32::try_from(n).ok());
    match length.filter(|_| its == TEXT) {
        Some(length) => varying(1043, length + 4, "x", 100),
        None => its,
    }
}

/// Types whose SQL name is not the one in `pg_type`, and where a modifier goes.
const NAMES: &[(i64, &str, &str)] = &[
    (16, "boolean", ""),
    (18, "\"char\"", ""),
    (20, "bigint", ""),
    (21, "smallint", ""),
    (23, "integer", ""),
    (700, "real", ""),
    (701, "double precision", ""),
    (1042, "character", ""),
    (1043, "character varying", ""),
    (1083, "time", " without time zone"),
    (1114, "timestamp", " without time zone"),
    (1184, "timestamp", " with time zone"),
    (1186, "interval", ""),
    (1266, "time", " with time zone"),
    (1560, "bit", ""),
    (1562, "bit varying", ""),
    (1700, "numeric", ""),
];

/// A type of `pg_type`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub name: String,
    /// The type of its elements, where it is an array.
    pub element: i64,
}

/// What `format_type` answers for types of `pg_type`.
pub fn format_type(types: &HashMap<i64, Listed>, oid: i64, modifier: Option<i64>) -> String {
    if oid == 0 {
        return "-".to_owned();
    }
    let Some(listed) = types.get(&oid) else { return "???".to_owned() };
    if listed.element != 0 {
        return format!("{}[]", format_type(types, listed.element, modifier));
    }
    let Some((_, name, ending)) = NAMES.iter().find(|(known, ..)| *known == oid) else {
        return listed.name.clone();
    };
    let modified = match (oid, modifier.filter(|m| *m >= 0)) {
        (_, None) => String::new(),
        (1042 | 1043, Some(m)) if m > 4 => format!("({})", m - 4),
        (1700, Some(m)) if m > 4 => format!("({},{})", (m - 4) >> 16, (m - 4) & 0x7ff),
        (1083 | 1114 | 1184 | 1186 | 1266 | 1560 | 1562, Some(m)) => format!("({m})"),
        _ => String::new(),
    };
    format!("{name}{modified}{ending}")
}
