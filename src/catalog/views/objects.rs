//! Tables, keys, relationships and what else `sys` lists. What this service has
//! none of is there too, empty, since tools join it.

use std::sync::Arc;

use super::types::{COLLATION, readable};
use super::{DATABASE, DBO, Described, Row, described};
use crate::catalog::{Catalog, ManyToOne, ObjectKind, Table};

/// The relationships of a table whose both sides are served, with the positions
/// of their columns among the readable ones, from 1.
pub fn foreign_keys<'a>(
    catalog: &'a Catalog,
    table: &'a Table,
) -> impl Iterator<Item = ForeignKey<'a>> {
    table.many_to_one.iter().filter_map(move |relation| {
        let objects = catalog.objects();
        let target = catalog.table(&relation.target)?;
        Some(ForeignKey {
            relation,
            number: objects.foreign_key(&table.logical_name, &relation.schema_name)?,
            column: position(table, &relation.column)?,
            target: target.as_ref(),
            target_column: position(target, &relation.target_column)?,
        })
    })
}

/// A relationship between two served tables.
pub struct ForeignKey<'a> {
    pub relation: &'a ManyToOne,
    pub number: i32,
    pub column: usize,
    pub target: &'a Table,
    pub target_column: usize,
}

/// The position of a column among the readable ones, from 1.
pub fn position(table: &Table, column: &str) -> Option<usize> {
    readable(table).position(|(_, c)| c.logical_name == column).map(|at| at + 1)
}

/// The name of a table's primary key and of its index.
pub fn primary_key_name(table: &Table) -> String {
    format!("{}_pkey", table.logical_name)
}

fn id(catalog: &Catalog, kind: ObjectKind, table: &Table) -> Option<i32> {
    catalog.objects().number(kind, &table.logical_name)
}

fn table_id(catalog: &Catalog, table: &Table) -> Option<i32> {
    id(catalog, ObjectKind::Table, table)
}

/// A row for every table that has a key.
fn each(catalog: &Catalog, row: impl Fn(&Table) -> Row) -> Vec<Row> {
    catalog.tables().iter().map(|table| row(table)).collect()
}

fn table_row(catalog: &Catalog, table: &Table) -> Row {
    object("U ", "USER_TABLE")
        .with("name", &table.logical_name)
        .with("object_id", table_id(catalog, table))
}

fn object(kind: &str, description: &str) -> Row {
    Row::new().with("type", kind).with("type_desc", description)
}

fn primary_keys(catalog: &Catalog) -> Vec<Row> {
    each(catalog, |table| {
        object("PK", "PRIMARY_KEY_CONSTRAINT")
            .with("name", primary_key_name(table))
            .with("object_id", id(catalog, ObjectKind::PrimaryKey, table))
            .with("parent_object_id", table_id(catalog, table))
            .with("unique_index_id", 1)
    })
}

fn relationships(catalog: &Catalog) -> Vec<Row> {
    let of = |table: &Table| -> Vec<Row> {
        foreign_keys(catalog, table)
            .map(|key| {
                object("F ", "FOREIGN_KEY_CONSTRAINT")
                    .with("name", &key.relation.schema_name)
                    .with("object_id", key.number)
                    .with("parent_object_id", table_id(catalog, table))
                    .with("referenced_object_id", table_id(catalog, key.target))
                    .with("constraint_object_id", key.number)
                    .with("constraint_column_id", 1)
                    .with("parent_column_id", key.column)
                    .with("referenced_column_id", key.target_column)
            })
            .collect()
    };
    catalog.tables().iter().flat_map(|table| of(table)).collect()
}

/// `MS_Description` of tables (column 0) and columns.
fn descriptions(catalog: &Catalog) -> Vec<Row> {
    let mut rows = Vec::new();
    for table in catalog.all_tables() {
        let property = |minor: usize, text: &str| {
            Row::new()
                .with("class", 1)
                .with("class_desc", "OBJECT_OR_COLUMN")
                .with("major_id", table_id(catalog, table))
                .with("minor_id", minor)
                .with("name", "MS_Description")
                .with("value", text)
        };
        if !table.description.is_empty() {
            rows.push(property(0, &table.description));
        }
        for (position, (_, column)) in readable(table).enumerate() {
            if !column.description.is_empty() {
                rows.push(property(position + 1, &column.description));
            }
        }
    }
    rows
}

fn indexes(catalog: &Catalog) -> Vec<Row> {
    each(catalog, |table| {
        Row::new()
            .with("object_id", table_id(catalog, table))
            .with("name", primary_key_name(table))
            .with("index_id", 1)
            .with("type", 1)
            .with("type_desc", "CLUSTERED")
    })
}

fn index_columns(catalog: &Catalog) -> Vec<Row> {
    each(catalog, |table| {
        Row::new()
            .with("object_id", table_id(catalog, table))
            .with("index_id", 1)
            .with("index_column_id", 1)
            .with("column_id", position(table, &table.primary_id))
            .with("key_ordinal", 1)
    })
}

fn partitions(catalog: &Catalog) -> Vec<Row> {
    let row = |table: &Arc<Table>| {
        let object_id = table_id(catalog, table);
        Row::new()
            .with("partition_id", object_id)
            .with("hobt_id", object_id)
            .with("object_id", object_id)
    };
    catalog.all_tables().map(row).collect()
}

const SCHEMAS: [(&str, i32); 4] =
    [("dbo", DBO), ("guest", 2), ("INFORMATION_SCHEMA", 3), ("sys", 4)];

pub(super) fn views(catalog: &Catalog) -> Vec<Described> {
    let tables =
        || -> Vec<Row> { catalog.all_tables().map(|table| table_row(catalog, table)).collect() };
    let objects = || -> Vec<Row> {
        let keys = primary_keys(catalog).into_iter().chain(relationships(catalog));
        tables().into_iter().chain(keys).collect()
    };
    let schemas = SCHEMAS.map(|(name, id)| {
        Row::new().with("name", name).with("schema_id", id).with("principal_id", id)
    });
    let database = Row::new().with("name", DATABASE).with("collation_name", COLLATION);
    let mut views = vec![
        described("sys", "tables", TABLES, tables()),
        described("sys", "objects", OBJECTS, objects()),
        described("sys", "all_objects", OBJECTS, objects()),
        described("sys", "schemas", "name:s schema_id:i principal_id:i", schemas.to_vec()),
        described("sys", "databases", DATABASES, vec![database]),
        described("sys", "foreign_keys", FOREIGN_KEYS, relationships(catalog)),
        described("sys", "foreign_key_columns", FOREIGN_KEY_COLUMNS, relationships(catalog)),
        described("sys", "key_constraints", KEY_CONSTRAINTS, primary_keys(catalog)),
        described("sys", "indexes", INDEXES, indexes(catalog)),
        described("sys", "index_columns", INDEX_COLUMNS, index_columns(catalog)),
        described("sys", "stats", STATS, stats(catalog)),
        described("sys", "partitions", PARTITIONS, partitions(catalog)),
        described("sys", "dm_db_partition_stats", PARTITION_STATS, partitions(catalog)),
        described("sys", "extended_properties", PROPERTIES, descriptions(catalog)),
    ];
    views.extend(EMPTY.iter().map(|(name, columns)| described("sys", name, columns, Vec::new())));
    views
}

fn stats(catalog: &Catalog) -> Vec<Row> {
    each(catalog, |table| {
        Row::new()
            .with("object_id", table_id(catalog, table))
            .with("name", primary_key_name(table))
            .with("stats_id", 1)
    })
}

/// What all objects have, in SQL Server's order.
macro_rules! object_columns {
    ($($more:literal),*) => {
        concat!(
            "name:s object_id:i principal_id:i schema_id:i=1 parent_object_id:i=0 type:s \
             type_desc:s create_date:t modify_date:t is_ms_shipped:b=0 is_published:b=0 \
             is_schema_published:b=0",
            $(" ", $more),*
        )
    };
}

const OBJECTS: &str = object_columns!();

const TABLES: &str = object_columns!(
    "lob_data_space_id:i=0 filestream_data_space_id:i max_column_id_used:i \
     lock_on_bulk_load:b=0 uses_ansi_nulls:b=1 is_replicated:b=0 has_replication_filter:b=0 \
     is_merge_published:b=0 is_sync_tran_subscribed:b=0 has_unchecked_assembly_data:b=0 \
     text_in_row_limit:i=0 large_value_types_out_of_row:b=0 is_tracked_by_cdc:b=0 \
     lock_escalation:i=0 lock_escalation_desc:s=TABLE is_filetable:b=0 is_memory_optimized:b=0 \
     durability:i=0 durability_desc:s=SCHEMA_AND_DATA temporal_type:i=0 \
     temporal_type_desc:s=NON_TEMPORAL_TABLE history_table_id:i is_external:b=0 is_node:b=0 \
     is_edge:b=0"
);

const DATABASES: &str = "name:s database_id:i=1 source_database_id:i owner_sid:s create_date:t \
    compatibility_level:i=150 collation_name:s user_access:i=0 user_access_desc:s=MULTI_USER \
    is_read_only:b=1 is_auto_close_on:b=0 state:i=0 state_desc:s=ONLINE is_in_standby:b=0 \
    snapshot_isolation_state:i=1 snapshot_isolation_state_desc:s=ON \
    is_read_committed_snapshot_on:b=1 recovery_model:i=3 recovery_model_desc:s=SIMPLE \
    is_fulltext_enabled:b=0 is_trustworthy_on:b=0 is_encrypted:b=0";

const FOREIGN_KEYS: &str = object_columns!(
    "referenced_object_id:i key_index_id:i=1 is_disabled:b=1 is_not_for_replication:b=0 \
     is_not_trusted:b=1 delete_referential_action:i=0 \
     delete_referential_action_desc:s=NO_ACTION update_referential_action:i=0 \
     update_referential_action_desc:s=NO_ACTION is_system_named:b=0"
);

const FOREIGN_KEY_COLUMNS: &str = "constraint_object_id:i constraint_column_id:i \
    parent_object_id:i parent_column_id:i referenced_object_id:i referenced_column_id:i";

const KEY_CONSTRAINTS: &str =
    object_columns!("unique_index_id:i is_system_named:b=0 is_enforced:b=1");

const INDEXES: &str = "object_id:i name:s index_id:i type:i type_desc:s is_unique:b=1 \
    data_space_id:i=1 ignore_dup_key:b=0 is_primary_key:b=1 is_unique_constraint:b=0 \
    fill_factor:i=0 is_padded:b=0 is_disabled:b=0 is_hypothetical:b=0 allow_row_locks:b=1 \
    allow_page_locks:b=1 has_filter:b=0 filter_definition:s";

const INDEX_COLUMNS: &str = "object_id:i index_id:i index_column_id:i column_id:i \
    key_ordinal:i partition_ordinal:i=0 is_descending_key:b=0 is_included_column:b=0";

const STATS: &str = "object_id:i name:s stats_id:i auto_created:b=0 user_created:b=0 \
    no_recompute:b=0 has_filter:b=0 filter_definition:s is_temporary:b=0 is_incremental:b=0";

const PARTITIONS: &str = "partition_id:l object_id:i index_id:i=1 partition_number:i=1 \
    hobt_id:l rows:l filestream_filegroup_id:i=0 data_compression:i=0 \
    data_compression_desc:s=NONE";

const PARTITION_STATS: &str = "partition_id:l object_id:i index_id:i=1 partition_number:i=1 \
    row_count:l";

const PROPERTIES: &str = "class:i class_desc:s major_id:i minor_id:i name:s value:s";

/// Views of what there is none of.
const EMPTY: &[(&str, &str)] = &[
    ("views", object_columns!("with_check_option:b is_date_correlation_view:b")),
    ("all_views", object_columns!("with_check_option:b is_date_correlation_view:b")),
    ("procedures", object_columns!("is_auto_executed:b is_execution_replicated:b")),
    ("synonyms", object_columns!("base_object_name:s")),
    (
        "sequences",
        object_columns!(
            "start_value:l increment:l minimum_value:l maximum_value:l \
        is_cycling:b is_cached:b cache_size:i current_value:l"
        ),
    ),
    (
        "check_constraints",
        object_columns!(
            "is_disabled:b is_not_trusted:b parent_column_id:i \
        definition:s uses_database_collation:b is_system_named:b"
        ),
    ),
    ("default_constraints", object_columns!("parent_column_id:i definition:s is_system_named:b")),
    (
        "triggers",
        "name:s object_id:i parent_class:i parent_class_desc:s parent_id:i type:s \
        type_desc:s create_date:t modify_date:t is_ms_shipped:b is_disabled:b \
        is_not_for_replication:b is_instead_of_trigger:b",
    ),
    (
        "table_types",
        "name:s system_type_id:i user_type_id:i schema_id:i principal_id:i \
        max_length:i precision:i scale:i collation_name:s is_nullable:b is_user_defined:b \
        is_assembly_type:b type_table_object_id:i is_memory_optimized:b",
    ),
    (
        "computed_columns",
        "object_id:i name:s column_id:i system_type_id:i user_type_id:i \
        max_length:i precision:i scale:i collation_name:s is_nullable:b is_computed:b \
        definition:s uses_database_collation:b is_persisted:b",
    ),
    (
        "identity_columns",
        "object_id:i name:s column_id:i system_type_id:i user_type_id:i \
        is_nullable:b is_identity:b seed_value:l increment_value:l last_value:l",
    ),
    (
        "parameters",
        "object_id:i name:s parameter_id:i system_type_id:i user_type_id:i \
        max_length:i precision:i scale:i is_output:b",
    ),
    (
        "sql_modules",
        "object_id:i definition:s uses_ansi_nulls:b uses_quoted_identifier:b \
        is_schema_bound:b uses_database_collation:b is_recompiled:b null_on_null_input:b \
        execute_as_principal_id:i",
    ),
    (
        "all_sql_modules",
        "object_id:i definition:s uses_ansi_nulls:b \
        uses_quoted_identifier:b is_schema_bound:b",
    ),
    (
        "sql_expression_dependencies",
        "referencing_id:i referencing_minor_id:i \
        referenced_id:i referenced_minor_id:i referenced_schema_name:s \
        referenced_entity_name:s",
    ),
];
