//! SQL Server's catalog views, `sys.…` and `INFORMATION_SCHEMA.…`, over the
//! catalog: tables with rows that scripts and tools read to find their way.
//!
//! They are plain tables to the T-SQL dialect and the engine. Their schema is
//! `dbo`; PostgreSQL's own `information_schema` is another one.

pub mod shape;

mod information_schema;
mod objects;
mod types;

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;

use self::shape::{Kind, Row, Shape};
use super::{Catalog, Column, ColumnType, Table};

pub use self::objects::{ForeignKey, foreign_keys, position, primary_key_name};
pub use self::types::{SqlServerType, readable, sql_server_type};

/// The number of the schema `dbo`.
pub const DBO: i32 = 1;
/// The one database, and its number.
pub const DATABASE: &str = "sysjob";

/// A catalog view.
#[derive(Debug)]
pub struct View {
    /// `sys` or `INFORMATION_SCHEMA`.
    pub schema: &'static str,
    /// Its columns, for the resolution of names.
    pub table: Arc<Table>,
    /// Its rows.
    pub rows: RecordBatch,
    /// The column that holds the number of rows of the table in `object_id`, which
    /// the catalog does not know.
    pub counted: Option<&'static str>,
}

impl View {
    /// The view's name without schema.
    pub fn name(&self) -> &str {
        &self.table.logical_name
    }
}

/// A view as its module writes it down.
struct Described {
    schema: &'static str,
    name: &'static str,
    columns: &'static str,
    rows: Vec<Row>,
}

fn described(
    schema: &'static str,
    name: &'static str,
    columns: &'static str,
    rows: Vec<Row>,
) -> Described {
    Described { schema, name, columns, rows }
}

/// All catalog views of a catalog.
pub(super) fn of(catalog: &Catalog) -> Vec<View> {
    let described = objects::views(catalog).into_iter();
    let described = described.chain(types::views(catalog));
    described.chain(information_schema::views(catalog)).map(view).collect()
}

fn view(described: Described) -> View {
    let shape = Shape::new(described.columns);
    let rows = shape.batch(&described.rows, true).expect("the columns are of the shape's types");
    let column = |shaped: &shape::Shaped| {
        let column_type = match shaped.kind {
            Kind::Big => ColumnType::BigInt,
            Kind::Bool => ColumnType::Boolean,
            Kind::Time => ColumnType::DateTime,
            Kind::Int => ColumnType::Integer,
            _ => ColumnType::String,
        };
        Column::computed(shaped.name, column_type, None)
    };
    let columns = shape.columns.iter().map(column).collect();
    let counted = matches!(described.name, "partitions" | "dm_db_partition_stats")
        .then(|| if described.name == "partitions" { "rows" } else { "row_count" });
    View {
        schema: described.schema,
        table: Arc::new(Table::listed(described.name, columns)),
        rows,
        counted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_view_has_the_types_that_its_columns_promise() {
        for view in Catalog::built_in().views() {
            let promised: Vec<_> = view.table.schema().fields().iter().cloned().collect();
            let held = view.rows.schema();
            for (promised, held) in promised.iter().zip(held.fields()) {
                assert_eq!(promised.data_type(), held.data_type(), "{} {held}", view.name());
            }
            assert_eq!(promised.len(), held.fields().len());
        }
    }

    #[test]
    fn views_are_found_in_any_case() {
        let catalog = Catalog::built_in();
        assert!(catalog.view("SYS", "Tables").is_some());
        assert!(catalog.view("information_schema", "COLUMNS").is_some());
        assert!(catalog.view("sys", "asyncoperation").is_none());
    }
}
