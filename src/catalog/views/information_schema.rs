//! `INFORMATION_SCHEMA` as SQL Server has it: schema `dbo`, SQL Server's type names.

use super::objects::{foreign_keys, primary_key_name};
use super::types::{COLLATION, readable, sql_server_type};
use super::{DATABASE, Described, Row, described};
use crate::catalog::{Catalog, Table};

const SCHEMA: &str = "dbo";

fn table_row(table: &Table) -> Row {
    Row::new()
        .with("TABLE_CATALOG", DATABASE)
        .with("TABLE_SCHEMA", SCHEMA)
        .with("TABLE_NAME", &table.logical_name)
        .with("TABLE_TYPE", "BASE TABLE")
}

fn constraint_row(table: &Table, name: &str) -> Row {
    table_row(table)
        .with("CONSTRAINT_CATALOG", DATABASE)
        .with("CONSTRAINT_SCHEMA", SCHEMA)
        .with("CONSTRAINT_NAME", name)
}

fn columns(table: &Table) -> impl Iterator<Item = Row> {
    readable(table).enumerate().map(|(position, (index, column))| {
        let its = sql_server_type(table, index);
        let text = its.name == "nvarchar";
        let time = matches!(its.name, "datetime" | "date");
        let number = !text && !time && !matches!(its.name, "uniqueidentifier" | "bit");
        let characters = if its.max_length == -1 { -1 } else { its.max_length / 2 };
        let radix = if its.name == "float" { 2 } else { 10 };
        table_row(table)
            .with("COLUMN_NAME", &column.logical_name)
            .with("ORDINAL_POSITION", position + 1)
            .with(
                "IS_NULLABLE",
                if table.schema().field(index).is_nullable() { "YES" } else { "NO" },
            )
            .with("DATA_TYPE", its.name)
            .with("CHARACTER_MAXIMUM_LENGTH", text.then_some(characters))
            .with("CHARACTER_OCTET_LENGTH", text.then_some(its.max_length))
            .with("NUMERIC_PRECISION", number.then_some(its.precision))
            .with("NUMERIC_PRECISION_RADIX", number.then_some(radix))
            .with("NUMERIC_SCALE", (number && its.name != "float").then_some(its.scale))
            .with("DATETIME_PRECISION", time.then_some(its.scale))
            .with("CHARACTER_SET_NAME", text.then_some("UNICODE"))
            .with("COLLATION_NAME", text.then_some(COLLATION))
    })
}

/// Primary keys, then relationships: constraint, type, column, referenced table.
fn keys(catalog: &Catalog) -> Vec<Row> {
    let mut rows = Vec::new();
    for table in catalog.tables() {
        rows.push(
            constraint_row(table, &primary_key_name(table))
                .with("CONSTRAINT_TYPE", "PRIMARY KEY")
                .with("COLUMN_NAME", &table.primary_id)
                .with("ORDINAL_POSITION", 1),
        );
    }
    for table in catalog.tables() {
        rows.extend(foreign_keys(catalog, table).map(|key| {
            constraint_row(table, &key.relation.schema_name)
                .with("CONSTRAINT_TYPE", "FOREIGN KEY")
                .with("COLUMN_NAME", &key.relation.column)
                .with("ORDINAL_POSITION", 1)
                .with("UNIQUE_CONSTRAINT_CATALOG", DATABASE)
                .with("UNIQUE_CONSTRAINT_SCHEMA", SCHEMA)
                .with("UNIQUE_CONSTRAINT_NAME", primary_key_name(key.target))
                .with("UPDATE_RULE", "NO ACTION")
                .with("DELETE_RULE", "NO ACTION")
        }));
    }
    rows
}

pub(super) fn views(catalog: &Catalog) -> Vec<Described> {
    let tables = catalog.all_tables();
    let references: Vec<Row> = keys(catalog)
        .into_iter()
        .filter(|row| row.get("UNIQUE_CONSTRAINT_NAME").is_some())
        .collect();
    let schemata = ["dbo", "guest", "INFORMATION_SCHEMA", "sys"].map(|name| {
        Row::new()
            .with("CATALOG_NAME", DATABASE)
            .with("SCHEMA_NAME", name)
            .with("SCHEMA_OWNER", name)
    });
    let view = |name, columns, rows| described("INFORMATION_SCHEMA", name, columns, rows);
    vec![
        view("TABLES", TABLES, tables.clone().map(|t| table_row(t)).collect()),
        view("COLUMNS", COLUMNS, tables.flat_map(|t| columns(t)).collect()),
        view("TABLE_CONSTRAINTS", CONSTRAINTS, keys(catalog)),
        view("KEY_COLUMN_USAGE", KEYS, keys(catalog)),
        view("CONSTRAINT_COLUMN_USAGE", CONSTRAINT_COLUMNS, keys(catalog)),
        view("REFERENTIAL_CONSTRAINTS", REFERENCES, references),
        view("SCHEMATA", SCHEMATA, schemata.to_vec()),
        view("VIEWS", VIEWS, Vec::new()),
        view("ROUTINES", ROUTINES, Vec::new()),
        view("PARAMETERS", PARAMETERS, Vec::new()),
        view("CHECK_CONSTRAINTS", CHECKS, Vec::new()),
    ]
}

const TABLES: &str = "TABLE_CATALOG:s TABLE_SCHEMA:s TABLE_NAME:s TABLE_TYPE:s";

const COLUMNS: &str = "TABLE_CATALOG:s TABLE_SCHEMA:s TABLE_NAME:s COLUMN_NAME:s \
    ORDINAL_POSITION:i COLUMN_DEFAULT:s IS_NULLABLE:s DATA_TYPE:s CHARACTER_MAXIMUM_LENGTH:i \
    CHARACTER_OCTET_LENGTH:i NUMERIC_PRECISION:i NUMERIC_PRECISION_RADIX:i NUMERIC_SCALE:i \
    DATETIME_PRECISION:i CHARACTER_SET_CATALOG:s CHARACTER_SET_SCHEMA:s CHARACTER_SET_NAME:s \
    COLLATION_CATALOG:s COLLATION_SCHEMA:s COLLATION_NAME:s DOMAIN_CATALOG:s DOMAIN_SCHEMA:s \
    DOMAIN_NAME:s";

const CONSTRAINTS: &str = "CONSTRAINT_CATALOG:s CONSTRAINT_SCHEMA:s CONSTRAINT_NAME:s \
    TABLE_CATALOG:s TABLE_SCHEMA:s TABLE_NAME:s CONSTRAINT_TYPE:s IS_DEFERRABLE:s=NO \
    INITIALLY_DEFERRED:s=NO";

const KEYS: &str = "CONSTRAINT_CATALOG:s CONSTRAINT_SCHEMA:s CONSTRAINT_NAME:s TABLE_CATALOG:s \
    TABLE_SCHEMA:s TABLE_NAME:s COLUMN_NAME:s ORDINAL_POSITION:i";

const CONSTRAINT_COLUMNS: &str = "TABLE_CATALOG:s TABLE_SCHEMA:s TABLE_NAME:s COLUMN_NAME:s \
    CONSTRAINT_CATALOG:s CONSTRAINT_SCHEMA:s CONSTRAINT_NAME:s";

const REFERENCES: &str = "CONSTRAINT_CATALOG:s CONSTRAINT_SCHEMA:s CONSTRAINT_NAME:s \
    UNIQUE_CONSTRAINT_CATALOG:s UNIQUE_CONSTRAINT_SCHEMA:s UNIQUE_CONSTRAINT_NAME:s \
    MATCH_OPTION:s=SIMPLE UPDATE_RULE:s DELETE_RULE:s";

const SCHEMATA: &str = "CATALOG_NAME:s SCHEMA_NAME:s SCHEMA_OWNER:s \
    DEFAULT_CHARACTER_SET_CATALOG:s DEFAULT_CHARACTER_SET_SCHEMA:s \
    DEFAULT_CHARACTER_SET_NAME:s=UNICODE";

const VIEWS: &str = "TABLE_CATALOG:s TABLE_SCHEMA:s TABLE_NAME:s VIEW_DEFINITION:s \
    CHECK_OPTION:s IS_UPDATABLE:s";

const ROUTINES: &str = "SPECIFIC_CATALOG:s SPECIFIC_SCHEMA:s SPECIFIC_NAME:s \
    ROUTINE_CATALOG:s ROUTINE_SCHEMA:s ROUTINE_NAME:s ROUTINE_TYPE:s DATA_TYPE:s \
    ROUTINE_BODY:s ROUTINE_DEFINITION:s CREATED:t LAST_ALTERED:t";

const PARAMETERS: &str = "SPECIFIC_CATALOG:s SPECIFIC_SCHEMA:s SPECIFIC_NAME:s \
    ORDINAL_POSITION:i PARAMETER_MODE:s PARAMETER_NAME:s DATA_TYPE:s";

const CHECKS: &str = "CONSTRAINT_CATALOG:s CONSTRAINT_SCHEMA:s CONSTRAINT_NAME:s CHECK_CLAUSE:s";
