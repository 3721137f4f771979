//! `information_schema`: the standard's view of tables and columns, for tools
//! that do not read `pg_catalog`, as PostgreSQL has it: schema `public`, its names
//! for types. SQL Server's is among the views of the catalog.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{DataType, Field, SchemaRef};
use datafusion::catalog::{MemTable, SchemaProvider, TableProvider};
use datafusion::common::Result;

use super::metadata::{DATABASE, SCHEMA};
use crate::catalog::views::shape::{Row, Shape};
use crate::catalog::views::{foreign_keys, primary_key_name, readable};
use crate::catalog::{Catalog, Column, Table, is_code_in_sql, is_entity_name, is_guid};

/// The views of `information_schema`, which never change.
#[derive(Debug)]
pub struct InformationSchema {
    tables: BTreeMap<&'static str, Arc<dyn TableProvider>>,
}

impl InformationSchema {
    pub fn new(catalog: &Catalog) -> Result<Self> {
        let mut tables: BTreeMap<&'static str, Arc<dyn TableProvider>> = BTreeMap::new();
        let keys = keys(catalog);
        let references = keys.iter().filter(|row| row.get("unique_constraint_name").is_some());
        let references: Vec<Row> = references.cloned().collect();
        let named = catalog.all_tables().map(|t| table_row(t));
        let columns = catalog.all_tables().flat_map(|t| columns(t));
        let schemata = [SCHEMA, "information_schema", "pg_catalog"]
            .map(|schema| Row::new().with("catalog_name", DATABASE).with("schema_name", schema));
        let sets = vec![
            Row::new()
                .with("character_set_name", "UTF8")
                .with("character_repertoire", "UCS")
                .with("form_of_use", "UTF8")
                .with("default_collate_catalog", DATABASE)
                .with("default_collate_schema", "pg_catalog"),
        ];
        let filled: [(&'static str, &'static str, Vec<Row>); 9] = [
            ("tables", TABLES, named.collect()),
            ("columns", COLUMNS, columns.collect()),
            ("table_constraints", CONSTRAINTS, keys.clone()),
            ("key_column_usage", KEYS, keys.clone()),
            ("constraint_column_usage", CONSTRAINT_COLUMNS, referenced(catalog)),
            ("referential_constraints", REFERENCES, references),
            ("schemata", SCHEMATA, schemata.to_vec()),
            ("character_sets", CHARACTER_SETS, sets),
            (
                "information_schema_catalog_name",
                "catalog_name:n",
                vec![Row::new().with("catalog_name", DATABASE)],
            ),
        ];
        let empty = EMPTY.iter().map(|(name, columns)| (*name, *columns, Vec::new()));
        for (name, columns, rows) in filled.into_iter().chain(empty) {
            let batch = Shape::new(columns).batch(&rows, false)?;
            tables.insert(name, Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?));
        }
        Ok(Self { tables })
    }

    /// The views and their columns.
    pub fn listed(&self) -> Vec<(String, SchemaRef)> {
        self.tables.iter().map(|(name, table)| ((*name).to_owned(), table.schema())).collect()
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

fn table_row(table: &Table) -> Row {
    Row::new()
        .with("table_catalog", DATABASE)
        .with("table_schema", SCHEMA)
        .with("table_name", &table.logical_name)
        .with("table_type", "BASE TABLE")
}

fn columns(table: &Table) -> impl Iterator<Item = Row> {
    readable(table).enumerate().map(|(position, (index, column))| {
        let field = table.schema().field(index);
        let (data_type, udt) = type_names(field, column);
        let (precision, scale, radix) = match field.data_type() {
            DataType::Int32 if data_type == "integer" => (Some(32), Some(0), Some(2)),
            DataType::Int64 => (Some(64), Some(0), Some(2)),
            DataType::Float64 => (Some(53), None, Some(2)),
            DataType::Decimal128(p, s) => (Some(i32::from(*p)), Some(i32::from(*s)), Some(10)),
            _ => (None, None, None),
        };
        let length = column.max_length.filter(|_| udt == "varchar").map(i64::from);
        let times = match field.data_type() {
            DataType::Timestamp(..) => Some(6),
            DataType::Date32 => Some(0),
            _ => None,
        };
        table_row(table)
            .with("column_name", &column.logical_name)
            .with("ordinal_position", position + 1)
            .with("is_nullable", if field.is_nullable() { "YES" } else { "NO" })
            .with("data_type", data_type)
            .with("character_maximum_length", length)
            .with("character_octet_length", length.map(|n| 4 * n))
            .with("numeric_precision", precision)
            .with("numeric_precision_radix", radix)
            .with("numeric_scale", scale)
            .with("datetime_precision", times)
            .with("udt_catalog", DATABASE)
            .with("udt_schema", "pg_catalog")
            .with("udt_name", udt)
            .with("dtd_identifier", (position + 1).to_string())
    })
}

/// The names of a column's type in the standard and in `pg_type`.
fn type_names(field: &Field, column: &Column) -> (&'static str, &'static str) {
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
        _ if column.max_length.is_some() => ("character varying", "varchar"),
        _ => ("text", "text"),
    }
}

fn constraint_row(table: &Table, name: &str) -> Row {
    table_row(table)
        .with("constraint_catalog", DATABASE)
        .with("constraint_schema", SCHEMA)
        .with("constraint_name", name)
}

/// Primary keys, then relationships between served tables.
fn keys(catalog: &Catalog) -> Vec<Row> {
    let primary = catalog.tables().iter().map(|table| {
        constraint_row(table, &primary_key_name(table))
            .with("constraint_type", "PRIMARY KEY")
            .with("column_name", &table.primary_id)
            .with("ordinal_position", 1)
    });
    let foreign = catalog.tables().iter().flat_map(|table| {
        foreign_keys(catalog, table).map(|key| {
            constraint_row(table, &key.relation.schema_name)
                .with("constraint_type", "FOREIGN KEY")
                .with("column_name", &key.relation.column)
                .with("ordinal_position", 1)
                .with("position_in_unique_constraint", 1)
                .with("unique_constraint_catalog", DATABASE)
                .with("unique_constraint_schema", SCHEMA)
                .with("unique_constraint_name", primary_key_name(key.target))
                .with("update_rule", "NO ACTION")
                .with("delete_rule", "NO ACTION")
        })
    });
    primary.chain(foreign).collect()
}

/// The columns that constraints refer to.
fn referenced(catalog: &Catalog) -> Vec<Row> {
    let row = |constraint: &str, table: &Table, column: &str| {
        constraint_row(table, constraint).with("column_name", column)
    };
    let primary = catalog
        .tables()
        .iter()
        .map(|table| row(&primary_key_name(table), table, &table.primary_id));
    let foreign = catalog.tables().iter().flat_map(|table| {
        foreign_keys(catalog, table)
            .map(|key| row(&key.relation.schema_name, key.target, &key.relation.target_column))
    });
    primary.chain(foreign).collect()
}

const TABLES: &str = "table_catalog:n table_schema:n table_name:n table_type:s \
    self_referencing_column_name:n reference_generation:s user_defined_type_catalog:n \
    user_defined_type_schema:n user_defined_type_name:n is_insertable_into:s=NO is_typed:s=NO \
    commit_action:s";

const COLUMNS: &str = "table_catalog:n table_schema:n table_name:n column_name:n \
    ordinal_position:i column_default:s is_nullable:s data_type:s character_maximum_length:i \
    character_octet_length:i numeric_precision:i numeric_precision_radix:i numeric_scale:i \
    datetime_precision:i interval_type:s interval_precision:i character_set_catalog:n \
    character_set_schema:n character_set_name:n collation_catalog:n collation_schema:n \
    collation_name:n domain_catalog:n domain_schema:n domain_name:n udt_catalog:n udt_schema:n \
    udt_name:n scope_catalog:n scope_schema:n scope_name:n maximum_cardinality:i \
    dtd_identifier:n is_self_referencing:s=NO is_identity:s=NO identity_generation:s \
    identity_start:s identity_increment:s identity_maximum:s identity_minimum:s \
    identity_cycle:s=NO is_generated:s=NEVER generation_expression:s is_updatable:s=NO";

const CONSTRAINTS: &str = "constraint_catalog:n constraint_schema:n constraint_name:n \
    table_catalog:n table_schema:n table_name:n constraint_type:s is_deferrable:s=NO \
    initially_deferred:s=NO enforced:s=YES nulls_distinct:s";

const KEYS: &str = "constraint_catalog:n constraint_schema:n constraint_name:n table_catalog:n \
    table_schema:n table_name:n column_name:n ordinal_position:i position_in_unique_constraint:i";

const CONSTRAINT_COLUMNS: &str = "table_catalog:n table_schema:n table_name:n column_name:n \
    constraint_catalog:n constraint_schema:n constraint_name:n";

const REFERENCES: &str = "constraint_catalog:n constraint_schema:n constraint_name:n \
    unique_constraint_catalog:n unique_constraint_schema:n unique_constraint_name:n \
    match_option:s=NONE update_rule:s delete_rule:s";

const SCHEMATA: &str = "catalog_name:n schema_name:n schema_owner:n=sysjob \
    default_character_set_catalog:n default_character_set_schema:n \
    default_character_set_name:n sql_path:s";

const CHARACTER_SETS: &str = "character_set_catalog:n character_set_schema:n \
    character_set_name:n character_repertoire:n form_of_use:n default_collate_catalog:n \
    default_collate_schema:n default_collate_name:n=C";

/// Views of what there is none of.
const EMPTY: &[(&str, &str)] = &[
    (
        "views",
        "table_catalog:n table_schema:n table_name:n view_definition:s check_option:s \
         is_updatable:s is_insertable_into:s",
    ),
    (
        "routines",
        "specific_catalog:n specific_schema:n specific_name:n routine_catalog:n \
         routine_schema:n routine_name:n routine_type:s data_type:s routine_body:s \
         routine_definition:s external_language:s security_type:s created:t last_altered:t",
    ),
    (
        "parameters",
        "specific_catalog:n specific_schema:n specific_name:n ordinal_position:i \
         parameter_mode:s parameter_name:n data_type:s udt_name:n",
    ),
    (
        "triggers",
        "trigger_catalog:n trigger_schema:n trigger_name:n event_manipulation:s \
         event_object_catalog:n event_object_schema:n event_object_table:n action_order:i \
         action_condition:s action_statement:s action_orientation:s action_timing:s",
    ),
    (
        "sequences",
        "sequence_catalog:n sequence_schema:n sequence_name:n data_type:s start_value:s \
         minimum_value:s maximum_value:s increment:s cycle_option:s",
    ),
    (
        "check_constraints",
        "constraint_catalog:n constraint_schema:n constraint_name:n check_clause:s",
    ),
    ("domains", "domain_catalog:n domain_schema:n domain_name:n data_type:s udt_name:n"),
    (
        "element_types",
        "object_catalog:n object_schema:n object_name:n object_type:s \
         collection_type_identifier:n data_type:s udt_name:n",
    ),
    ("enabled_roles", "role_name:n"),
    ("applicable_roles", "grantee:n role_name:n is_grantable:s"),
    (
        "table_privileges",
        "grantor:n grantee:n table_catalog:n table_schema:n table_name:n privilege_type:s \
         is_grantable:s with_hierarchy:s",
    ),
    (
        "role_table_grants",
        "grantor:n grantee:n table_catalog:n table_schema:n table_name:n privilege_type:s \
         is_grantable:s with_hierarchy:s",
    ),
    (
        "column_privileges",
        "grantor:n grantee:n table_catalog:n table_schema:n table_name:n column_name:n \
         privilege_type:s is_grantable:s",
    ),
    ("view_table_usage", "view_catalog:n view_schema:n view_name:n table_schema:n table_name:n"),
    ("collations", "collation_catalog:n collation_schema:n collation_name:n pad_attribute:s"),
    ("foreign_tables", "foreign_table_catalog:n foreign_table_schema:n foreign_table_name:n"),
];
