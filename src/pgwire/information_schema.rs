//! `information_schema`: the standard's view of tables and columns, for tools
//! that do not read `pg_catalog`.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::{MemTable, SchemaProvider, TableProvider};
use datafusion::common::Result;

use super::metadata::{DATABASE, SCHEMA};
use crate::catalog::{Catalog, Column, Table, is_code_in_sql, is_entity_name, is_guid};

/// The views of `information_schema`, which never change.
#[derive(Debug)]
pub struct InformationSchema {
    tables: BTreeMap<&'static str, Arc<dyn TableProvider>>,
}

impl InformationSchema {
    pub fn new(catalog: &Catalog) -> Result<Self> {
        let mut tables: BTreeMap<&'static str, Arc<dyn TableProvider>> = BTreeMap::new();
        for (name, batch) in [
            ("columns", columns(catalog)?),
            ("key_column_usage", keys(catalog)?),
            ("schemata", schemata()?),
            ("table_constraints", constraints(catalog)?),
            ("tables", listed_tables(catalog)?),
            ("views", views()?),
        ] {
            let table = MemTable::try_new(batch.schema(), vec![vec![batch]])?;
            tables.insert(name, Arc::new(table));
        }
        Ok(Self { tables })
    }
}

#[async_trait]
impl SchemaProvider for InformationSchema {
    fn table_names(&self) -> Vec<String> {
        self.tables.keys().map(ToString::to_string).collect()
    }

    fn table_exist(&self, name: &str) -> bool {
        self.tables.contains_key(name)
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        Ok(self.tables.get(name).cloned())
    }
}

/// The columns of a view, row by row.
struct Rows {
    names: &'static [&'static str],
    rows: Vec<Vec<Option<String>>>,
}

impl Rows {
    fn new(names: &'static [&'static str]) -> Self {
        Self { names, rows: Vec::new() }
    }

    /// `numbers` are the columns that hold numbers.
    fn batch(self, numbers: &[&str]) -> Result<RecordBatch> {
        let column = |at: usize, name: &str| -> (Field, ArrayRef) {
            let values = self.rows.iter().map(|row| row[at].as_deref());
            if numbers.contains(&name) {
                let values = values.map(|v| v.and_then(|v| v.parse::<i32>().ok()));
                let array = Arc::new(Int32Array::from_iter(values));
                (Field::new(name, DataType::Int32, true), array)
            } else {
                let array = Arc::new(StringArray::from_iter(values));
                (Field::new(name, DataType::Utf8, true), array)
            }
        };
        let (fields, arrays): (Vec<_>, Vec<_>) =
            self.names.iter().enumerate().map(|(at, name)| column(at, name)).unzip();
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
    }
}

fn text(value: impl Into<String>) -> Option<String> {
    Some(value.into())
}

fn columns(catalog: &Catalog) -> Result<RecordBatch> {
    let mut rows = Rows::new(&[
        "table_catalog",
        "table_schema",
        "table_name",
        "column_name",
        "ordinal_position",
        "column_default",
        "is_nullable",
        "data_type",
        "character_maximum_length",
        "numeric_precision",
        "numeric_scale",
        "datetime_precision",
        "udt_name",
        "is_updatable",
    ]);
    for table in catalog.tables() {
        let readable = table.columns.iter().enumerate().filter(|(_, c)| c.read);
        for (position, (index, column)) in readable.enumerate() {
            let field = table.schema().field(index);
            let (data_type, udt) = type_names(field);
            let (precision, scale) = match field.data_type() {
                DataType::Int32 if data_type == "integer" => (text("32"), text("0")),
                DataType::Int64 => (text("64"), text("0")),
                DataType::Float64 => (text("53"), None),
                DataType::Decimal128(p, s) => (text(p.to_string()), text(s.to_string())),
                _ => (None, None),
            };
            let length = column.max_length.filter(|_| data_type == "text");
            rows.rows.push(vec![
                text(DATABASE),
                text(SCHEMA),
                text(&table.logical_name),
                text(&column.logical_name),
                text((position + 1).to_string()),
                None,
                text(if field.is_nullable() { "YES" } else { "NO" }),
                text(data_type),
                length.map(|n| n.to_string()),
                precision,
                scale,
                text("6").filter(|_| matches!(field.data_type(), DataType::Timestamp(..))),
                text(udt),
                text("NO"),
            ]);
        }
    }
    rows.batch(&[
        "ordinal_position",
        "character_maximum_length",
        "numeric_precision",
        "numeric_scale",
        "datetime_precision",
    ])
}

/// The names of a column's type in the standard and in `pg_type`.
fn type_names(field: &Field) -> (&'static str, &'static str) {
    match field.data_type() {
        _ if is_guid(field) => ("uuid", "uuid"),
        _ if is_entity_name(field) && !is_code_in_sql(field.name()) => ("text", "text"),
        DataType::Int32 => ("integer", "int4"),
        DataType::Int64 => ("bigint", "int8"),
        DataType::Float64 => ("double precision", "float8"),
        DataType::Decimal128(..) => ("numeric", "numeric"),
        DataType::Boolean => ("boolean", "bool"),
        DataType::Timestamp(..) => ("timestamp without time zone", "timestamp"),
        DataType::Date32 => ("date", "date"),
        _ => ("text", "text"),
    }
}

fn listed_tables(catalog: &Catalog) -> Result<RecordBatch> {
    let mut rows = Rows::new(&[
        "table_catalog",
        "table_schema",
        "table_name",
        "table_type",
        "is_insertable_into",
    ]);
    for table in catalog.tables() {
        let name = &table.logical_name;
        rows.rows.push(vec![
            text(DATABASE),
            text(SCHEMA),
            text(name),
            text("BASE TABLE"),
            text("NO"),
        ]);
    }
    rows.batch(&[])
}

fn schemata() -> Result<RecordBatch> {
    let mut rows = Rows::new(&["catalog_name", "schema_name", "schema_owner"]);
    for schema in [SCHEMA, "information_schema", "pg_catalog"] {
        rows.rows.push(vec![text(DATABASE), text(schema), text("sysjob")]);
    }
    rows.batch(&[])
}

fn views() -> Result<RecordBatch> {
    Rows::new(&["table_catalog", "table_schema", "table_name", "view_definition"]).batch(&[])
}

fn key_name(table: &Table) -> String {
    format!("{}_pkey", table.logical_name)
}

fn constraints(catalog: &Catalog) -> Result<RecordBatch> {
    let mut rows = Rows::new(&[
        "constraint_catalog",
        "constraint_schema",
        "constraint_name",
        "table_catalog",
        "table_schema",
        "table_name",
        "constraint_type",
    ]);
    for table in catalog.tables() {
        let key = [text(DATABASE), text(SCHEMA), text(key_name(table))];
        let of = [text(DATABASE), text(SCHEMA), text(&table.logical_name), text("PRIMARY KEY")];
        rows.rows.push(key.into_iter().chain(of).collect());
    }
    rows.batch(&[])
}

fn keys(catalog: &Catalog) -> Result<RecordBatch> {
    let mut rows = Rows::new(&[
        "constraint_catalog",
        "constraint_schema",
        "constraint_name",
        "table_catalog",
        "table_schema",
        "table_name",
        "column_name",
        "ordinal_position",
    ]);
    for table in catalog.tables() {
        let id: &Column = &table.columns[table.primary_id_index()];
        let key = [text(DATABASE), text(SCHEMA), text(key_name(table))];
        let of = [text(DATABASE), text(SCHEMA), text(&table.logical_name)];
        let column = [text(&id.logical_name), text("1")];
        rows.rows.push(key.into_iter().chain(of).chain(column).collect());
    }
    rows.batch(&["ordinal_position"])
}
