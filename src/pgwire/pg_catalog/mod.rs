//! `pg_catalog`: the tables of the catalog as PostgreSQL describes tables.
//!
//! What every PostgreSQL has alike, types, functions, operators, comes from the
//! exports of `datafusion-pg-catalog`; what is about this server is written in
//! this folder. Numbers are those of [`crate::catalog::Objects`].

mod empty;
pub mod lookups;
mod relations;
mod server;
mod types;

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{
    ArrayRef, AsArray, Int32Array, ListArray, ListBuilder, RecordBatch, StringArray, StringBuilder,
};
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef};
use datafusion::catalog::{MemTable, SchemaProvider, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
use datafusion_pg_catalog::pg_catalog::{
    ArrowTable, PG_CATALOG_TABLES, PgCatalogSchemaProvider, PgCatalogStaticTables, PgCatalogTable,
};

use self::lookups::Lookups;
pub use self::relations::quoted;
use self::relations::{Relations, SystemRelation};
use self::types::Listed;
use super::metadata::SCHEMA;
use crate::catalog::views::primary_key_name;
use crate::catalog::views::shape::{Row, Shape, VECTOR_KEY};
use crate::catalog::{Catalog, ObjectKind, Table};

/// Relations that other catalogs name by number, with PostgreSQL's numbers.
const NUMBERS: &[(&str, i32)] = &[
    ("pg_attribute", 1249),
    ("pg_authid", 1260),
    ("pg_class", relations::PG_CLASS),
    ("pg_collation", 3456),
    ("pg_constraint", 2606),
    ("pg_database", 1262),
    ("pg_description", 2609),
    ("pg_extension", 3079),
    ("pg_index", 2610),
    ("pg_language", 2612),
    ("pg_namespace", 2615),
    ("pg_operator", 2617),
    ("pg_policy", 3256),
    ("pg_proc", 1255),
    ("pg_rewrite", 2618),
    ("pg_tablespace", 1213),
    ("pg_trigger", 2620),
    ("pg_type", 1247),
];

/// The numbers of further relations start here.
const FURTHER: i32 = 14_000;

/// Columns of `pg_type` that name functions; numbers here, as in PostgreSQL.
pub const FUNCTION_COLUMNS: &[&str] = &[
    "amproc",
    "typsubscript",
    "typinput",
    "typoutput",
    "typreceive",
    "typsend",
    "typmodin",
    "typmodout",
    "typanalyze",
];

/// The schema `pg_catalog`.
#[derive(Debug)]
pub struct PgCatalog {
    tables: HashMap<String, Arc<dyn TableProvider>>,
}

impl PgCatalog {
    /// The schema, and what functions answer from it. `information_schema`: the
    /// relations of that one.
    pub fn new(
        catalog: &Catalog,
        information_schema: Vec<(String, SchemaRef)>,
    ) -> Result<(Self, Lookups)> {
        let mut tables = exported()?;
        let procs = ids(&tables["pg_proc"], "proname")?;
        for name in ["pg_type", "pg_amproc"] {
            let numbered = with_function_numbers(&tables[name], &procs)?;
            tables.insert(name.into(), numbered);
        }
        for (name, columns) in empty::EMPTY {
            tables.insert((*name).into(), Shape::new(columns).batch(&[], false)?);
        }
        let own = |rows: Vec<Row>, columns: &'static str| Shape::new(columns).batch(&rows, false);
        tables.insert("pg_namespace".into(), own(server::pg_namespace(), server::PG_NAMESPACE)?);
        tables.insert("pg_database".into(), own(server::pg_database(), server::PG_DATABASE)?);
        // Placeholders: what they hold lists themselves too.
        for (name, columns) in OWN {
            tables.insert((*name).into(), Shape::new(columns).batch(&[], false)?);
        }
        for (name, columns, _) in server::OF_SESSION {
            tables.insert((*name).into(), Shape::new(columns).batch(&[], false)?);
        }
        let relations = Relations { catalog, system: system(&tables, information_schema) };
        let mut descriptions = own(relations.pg_description(), relations::PG_DESCRIPTION_COLUMNS)?;
        let exported = descriptions_of_server(&tables["pg_description"], &descriptions)?;
        descriptions = concat_batches(&descriptions.schema(), [&exported, &descriptions])?;
        for (name, columns) in OWN {
            let rows = match *name {
                "pg_class" => relations.pg_class(),
                "pg_attribute" => relations.pg_attribute(),
                "pg_index" => relations.pg_index(),
                "pg_constraint" => relations.pg_constraint(),
                "pg_tables" => listed_tables(&relations),
                "pg_indexes" => listed_indexes(&relations),
                _ => statistics(&relations),
            };
            tables.insert((*name).into(), own(rows, columns)?);
        }
        tables.insert("pg_description".into(), descriptions);
        let lookups = Lookups::new(&relations, &types(&tables["pg_type"])?, &tables)?;
        let mut provided: HashMap<String, Arc<dyn TableProvider>> = HashMap::new();
        for (name, batch) in tables {
            provided.insert(name, Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?));
        }
        for (name, columns, rows) in server::OF_SESSION {
            provided.insert((*name).into(), Arc::new(server::OfSession::new(columns, *rows)));
        }
        Ok((Self { tables: provided }, lookups))
    }
}

impl PgCatalog {
    /// Whether there is a relation of this name.
    pub fn has(&self, name: &str) -> bool {
        self.tables.contains_key(name)
    }
}

#[async_trait]
impl SchemaProvider for PgCatalog {
    fn table_names(&self) -> Vec<String> {
        self.tables.keys().cloned().collect()
    }

    fn table_exist(&self, name: &str) -> bool {
        self.tables.contains_key(name)
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        Ok(self.tables.get(name).cloned())
    }
}

/// Tables made of the catalog.
const OWN: &[(&str, &str)] = &[
    ("pg_class", relations::PG_CLASS_COLUMNS),
    ("pg_attribute", relations::PG_ATTRIBUTE_COLUMNS),
    ("pg_index", relations::PG_INDEX_COLUMNS),
    ("pg_constraint", relations::PG_CONSTRAINT_COLUMNS),
    (
        "pg_tables",
        "schemaname:n tablename:n tableowner:n=sysjob tablespace:n hasindexes:b=1 hasrules:b=0 \
         hastriggers:b=0 rowsecurity:b=0",
    ),
    ("pg_indexes", "schemaname:n tablename:n indexname:n tablespace:n indexdef:s"),
    ("pg_stat_user_tables", STATISTICS),
    ("pg_stat_all_tables", STATISTICS),
];

const STATISTICS: &str = "relid:o schemaname:n relname:n seq_scan:l seq_tup_read:l idx_scan:l \
    idx_tup_fetch:l n_tup_ins:l n_tup_upd:l n_tup_del:l n_tup_hot_upd:l n_live_tup:l n_dead_tup:l \
    n_mod_since_analyze:l n_ins_since_vacuum:l last_vacuum:t last_autovacuum:t last_analyze:t \
    last_autoanalyze:t vacuum_count:l autovacuum_count:l analyze_count:l autoanalyze_count:l";

/// What every PostgreSQL holds alike.
fn exported() -> Result<HashMap<String, RecordBatch>> {
    let none: Arc<dyn datafusion::catalog::CatalogProviderList> =
        Arc::new(datafusion::catalog::MemoryCatalogProviderList::new());
    let provider = PgCatalogSchemaProvider::try_new(
        none,
        Arc::new(PgCatalogStaticTables::try_new()?),
        EmptyContextProvider,
    )?;
    let mut all = HashMap::new();
    for name in PG_CATALOG_TABLES {
        if let Some(PgCatalogTable::Static(table)) = provider.build_table_by_name(name)? {
            all.insert((*name).to_owned(), whole(&table)?);
        }
    }
    Ok(all)
}

fn whole(table: &ArrowTable) -> Result<RecordBatch> {
    let batch = concat_batches(&table.schema(), table.data())?;
    // The exports are of a later version than the one this server tells.
    let name = |name: &str| if name == "colllocale" { "colliculocale" } else { name }.to_owned();
    let schema = table.schema();
    let fields = schema.fields().iter().map(|f| f.as_ref().clone().with_name(name(f.name())));
    let mut fields: Vec<Field> = fields.collect();
    let mut columns = batch.columns().to_vec();
    for (field, column) in fields.iter_mut().zip(&mut columns) {
        let Some(kind) = LISTS.iter().find(|(name, _)| name == field.name()).map(|(_, kind)| kind)
        else {
            continue;
        };
        if let Some(texts) = column.as_string_opt::<i32>() {
            *column = list(texts, *kind != "s");
            *field = Field::new(field.name(), column.data_type().clone(), true);
            if *kind == "v" {
                let vector = HashMap::from([(VECTOR_KEY.to_owned(), "oid".to_owned())]);
                field.set_metadata(vector);
            }
        }
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

/// Columns that the exports have as text, and what they are: lists of texts or
/// integers, or vectors of object numbers.
const LISTS: &[(&str, &str)] = &[
    ("lanacl", "s"),
    ("nspacl", "s"),
    ("proacl", "s"),
    ("proallargtypes", "i"),
    ("proargmodes", "s"),
    ("proargnames", "s"),
    ("proargtypes", "v"),
    ("proconfig", "s"),
    ("spcacl", "s"),
    ("spcoptions", "s"),
    ("typacl", "s"),
];

/// `[1, 2]`, `['a', 'b']`, `{a,b}` or `1 2` as a list.
fn list(texts: &StringArray, numbers: bool) -> ArrayRef {
    let elements = |text: &str| -> Vec<String> {
        let separators = |c: char| c == ',' || c.is_whitespace();
        let inner = text.trim_matches(|c| "[]{}".contains(c));
        let words = inner.split(separators).map(|word| word.trim_matches('\''));
        words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    if numbers {
        let number = |word: String| word.parse::<i32>().ok();
        let lists = texts.iter().map(|text| text.map(|t| elements(t).into_iter().map(number)));
        return Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists));
    }
    let mut builder = ListBuilder::new(StringBuilder::new());
    for text in texts {
        match text {
            Some(text) => builder.append_value(elements(text).into_iter().map(Some)),
            None => builder.append_null(),
        }
    }
    Arc::new(builder.finish())
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    batch
        .column_by_name(name)
        .ok_or_else(|| DataFusionError::Internal(format!("catalog column {name}")))
}

fn numbers<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a Int32Array> {
    column(batch, name)?
        .as_primitive_opt::<Int32Type>()
        .ok_or_else(|| DataFusionError::Internal(format!("catalog column {name}")))
}

/// The number of each name; of several the first.
fn ids(batch: &RecordBatch, name: &str) -> Result<HashMap<String, i32>> {
    let numbers = numbers(batch, "oid")?;
    let names = column(batch, name)?.as_string::<i32>();
    let mut all = HashMap::new();
    for (name, number) in names.iter().zip(numbers.values()) {
        all.entry(name.unwrap_or_default().to_owned()).or_insert(*number);
    }
    Ok(all)
}

/// A relation with the numbers of functions instead of their names, so that it can
/// be joined with `pg_proc`.
fn with_function_numbers(batch: &RecordBatch, procs: &HashMap<String, i32>) -> Result<RecordBatch> {
    let schema = batch.schema();
    let mut fields: Vec<Arc<Field>> = schema.fields().iter().cloned().collect();
    let mut columns = batch.columns().to_vec();
    for (at, field) in schema.fields().iter().enumerate() {
        if FUNCTION_COLUMNS.contains(&field.name().as_str()) && *field.data_type() == DataType::Utf8
        {
            let names = columns[at].as_string::<i32>();
            let number = |name: Option<&str>| name.and_then(|n| procs.get(n)).copied().unwrap_or(0);
            columns[at] = Arc::new(Int32Array::from_iter_values(names.iter().map(number)));
            fields[at] = Arc::new(Field::new(field.name(), DataType::Int32, true));
        }
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

/// The comments on PostgreSQL's own objects, in the columns of `like`.
fn descriptions_of_server(exported: &RecordBatch, like: &RecordBatch) -> Result<RecordBatch> {
    let schema = like.schema();
    let columns = schema.fields().iter().map(|f| column(exported, f.name()).cloned());
    Ok(RecordBatch::try_new(schema.clone(), columns.collect::<Result<Vec<_>>>()?)?)
}

fn types(pg_type: &RecordBatch) -> Result<HashMap<i64, Listed>> {
    let names = column(pg_type, "typname")?.as_string::<i32>();
    let oids = numbers(pg_type, "oid")?;
    let elements = numbers(pg_type, "typelem")?;
    let categories = column(pg_type, "typcategory")?.as_string::<i32>();
    let listed = (0..pg_type.num_rows()).map(|row| {
        let array = categories.value(row) == "A";
        let element = if array { i64::from(elements.value(row)) } else { 0 };
        (i64::from(oids.value(row)), Listed { name: names.value(row).to_owned(), element })
    });
    Ok(listed.collect())
}

/// The relations of the catalogs themselves.
fn system(
    tables: &HashMap<String, RecordBatch>,
    information_schema: Vec<(String, SchemaRef)>,
) -> Vec<SystemRelation> {
    let mut names: Vec<&String> = tables.keys().collect();
    names.sort_unstable();
    let known = |name: &str| NUMBERS.iter().find(|(n, _)| *n == name).map(|(_, oid)| *oid);
    let own = names.into_iter().map(|name| ("pg_catalog", name.clone(), tables[name].schema()));
    let standard =
        information_schema.into_iter().map(|(name, columns)| ("information_schema", name, columns));
    (FURTHER..)
        .zip(own.chain(standard))
        .map(|(number, (schema, name, columns))| SystemRelation {
            oid: known(&name).unwrap_or(number),
            schema,
            name,
            columns,
        })
        .collect()
}

fn listed_tables(relations: &Relations<'_>) -> Vec<Row> {
    let row = |table: &Arc<Table>| {
        Row::new()
            .with("schemaname", SCHEMA)
            .with("tablename", &table.logical_name)
            .with("hasindexes", table.primary_key().is_some())
    };
    relations.catalog.all_tables().map(row).collect()
}

fn listed_indexes(relations: &Relations<'_>) -> Vec<Row> {
    let definitions = relations.index_definitions();
    let row = |table: &Arc<Table>| {
        let index = relations.catalog.objects().number(ObjectKind::Index, &table.logical_name);
        let definition = index.and_then(|index| definitions.get(&(i64::from(index), 0)));
        Row::new()
            .with("schemaname", SCHEMA)
            .with("tablename", &table.logical_name)
            .with("indexname", primary_key_name(table))
            .with("indexdef", definition)
    };
    relations.catalog.tables().iter().map(row).collect()
}

fn statistics(relations: &Relations<'_>) -> Vec<Row> {
    let row = |table: &Arc<Table>| {
        Row::new()
            .with("relid", relations.table_id(table))
            .with("schemaname", SCHEMA)
            .with("relname", &table.logical_name)
    };
    relations.catalog.all_tables().map(row).collect()
}
