//! Tables, their columns, keys and comments, as PostgreSQL's catalogs list them.

use std::collections::HashMap;

use datafusion::arrow::datatypes::SchemaRef;

use super::types::{self, PgType};
use crate::catalog::views::shape::Row;
use crate::catalog::views::{ForeignKey, foreign_keys, position, primary_key_name, readable};
use crate::catalog::{Catalog, ObjectKind, Table};
use crate::pgwire::metadata::SCHEMA;

/// `pg_namespace.oid`.
pub const PG_CATALOG: i32 = 11;
pub const PUBLIC: i32 = 2200;
pub const INFORMATION_SCHEMA: i32 = 13_000;
/// The role that owns everything.
pub const OWNER: i32 = 10;
/// `pg_class.oid` of `pg_class`.
pub const PG_CLASS: i32 = 1259;
const HEAP: i32 = 2;
const BTREE: i32 = 403;

/// A relation of the server's own.
pub struct SystemRelation {
    pub oid: i32,
    pub schema: &'static str,
    pub name: String,
    pub columns: SchemaRef,
}

/// What the catalogs hold about relations.
pub struct Relations<'a> {
    pub catalog: &'a Catalog,
    pub system: Vec<SystemRelation>,
}

impl Relations<'_> {
    fn id(&self, kind: ObjectKind, table: &Table) -> Option<i32> {
        self.catalog.objects().number(kind, &table.logical_name)
    }

    /// The number of a table.
    pub fn table_id(&self, table: &Table) -> Option<i32> {
        self.id(ObjectKind::Table, table)
    }

    /// A row for every table that has a key.
    fn each<'t>(&'t self, row: impl Fn(&'t Table) -> Row + 't) -> impl Iterator<Item = Row> + 't {
        self.catalog.tables().iter().map(move |table| row(table.as_ref()))
    }

    fn keys(&self) -> impl Iterator<Item = (&Table, ForeignKey<'_>)> {
        let of = |table| foreign_keys(self.catalog, table).map(move |key| (table, key));
        self.catalog.tables().iter().flat_map(move |table| of(table.as_ref()))
    }

    pub fn pg_class(&self) -> Vec<Row> {
        let table = |table: &Table| {
            Row::new()
                .with("oid", self.table_id(table))
                .with("relname", &table.logical_name)
                .with("relkind", "r")
                .with("relam", HEAP)
                .with("relnatts", readable(table).count())
                .with("relhasindex", table.primary_key().is_some())
                // Clients look for foreign keys where there are triggers to keep them.
                .with("relhastriggers", table.primary_key().is_some())
                .with("relfilenode", self.table_id(table))
        };
        let index = |table: &Table| {
            Row::new()
                .with("oid", self.id(ObjectKind::Index, table))
                .with("relname", primary_key_name(table))
                .with("relkind", "i")
                .with("relam", BTREE)
                .with("relnatts", 1)
                .with("relreplident", "n")
                .with("relfilenode", self.id(ObjectKind::Index, table))
        };
        let system = self.system.iter().map(|relation| {
            let views = relation.schema == "information_schema";
            Row::new()
                .with("oid", relation.oid)
                .with("relname", &relation.name)
                .with("relnamespace", namespace(relation.schema))
                .with("relkind", if views { "v" } else { "r" })
                .with("relam", if views { 0 } else { HEAP })
                .with("relnatts", relation.columns.fields().len())
        });
        let tables = self.catalog.all_tables().map(|one| table(one));
        tables.chain(self.each(index)).chain(system).collect()
    }

    pub fn pg_attribute(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for table in self.catalog.all_tables() {
            for (position, (index, column)) in readable(table).enumerate() {
                let its = types::of_column(table, index);
                let required = !table.schema().field(index).is_nullable();
                let relation = self.table_id(table);
                let name = &column.logical_name;
                rows.push(
                    attribute(relation, name, position + 1, its).with("attnotnull", required),
                );
            }
            if let Some(column) = table.primary_key() {
                let key = self.id(ObjectKind::Index, table);
                let its = types::of_column(table, column);
                rows.push(attribute(key, &table.primary_id, 1, its));
            }
        }
        for relation in &self.system {
            for (position, field) in relation.columns.fields().iter().enumerate() {
                let its = match field.metadata().is_empty() {
                    true => types::of(field.data_type()),
                    false => types::OID,
                };
                rows.push(attribute(Some(relation.oid), field.name(), position + 1, its));
            }
        }
        rows
    }

    pub fn pg_index(&self) -> Vec<Row> {
        let row = |table: &Table| {
            let key = position(table, &table.primary_id).and_then(|p| i64::try_from(p).ok());
            Row::new()
                .with("indexrelid", self.id(ObjectKind::Index, table))
                .with("indrelid", self.table_id(table))
                .with("indkey", key.into_iter().collect::<Vec<i64>>())
                .with("indcollation", vec![0])
                // The default operator class of `uuid`.
                .with("indclass", vec![10_066])
                .with("indoption", vec![0])
        };
        self.each(row).collect()
    }

    pub fn pg_constraint(&self) -> Vec<Row> {
        let numbers = |column: Option<usize>| -> Vec<i64> {
            column.and_then(|c| i64::try_from(c).ok()).into_iter().collect()
        };
        let key = |table: &Table| {
            Row::new()
                .with("oid", self.id(ObjectKind::PrimaryKey, table))
                .with("conname", primary_key_name(table))
                .with("contype", "p")
                .with("conrelid", self.table_id(table))
                .with("conindid", self.id(ObjectKind::Index, table))
                .with("conkey", numbers(position(table, &table.primary_id)))
        };
        let reference = |(table, key): (&Table, ForeignKey<'_>)| {
            Row::new()
                .with("oid", key.number)
                .with("conname", &key.relation.schema_name)
                .with("contype", "f")
                .with("conrelid", self.table_id(table))
                .with("conindid", self.id(ObjectKind::Index, key.target))
                .with("confrelid", self.table_id(key.target))
                .with("confupdtype", "a")
                .with("confdeltype", "a")
                .with("confmatchtype", "s")
                .with("conkey", numbers(Some(key.column)))
                .with("confkey", numbers(Some(key.target_column)))
        };
        self.each(key).chain(self.keys().map(reference)).collect()
    }

    /// Table (column 0) or column, and what the catalog says about it.
    pub fn descriptions(&self) -> HashMap<(i64, i64), String> {
        let mut all = HashMap::new();
        for table in self.catalog.all_tables() {
            let Some(number) = self.table_id(table) else { continue };
            let mut add = |column: usize, text: &str| {
                if let (false, Ok(column)) = (text.is_empty(), i64::try_from(column)) {
                    all.insert((i64::from(number), column), text.to_owned());
                }
            };
            let about = [Some(table.description.as_str()), table.display_name.as_deref()];
            let about = about.into_iter().flatten().find(|text| !text.is_empty());
            add(0, about.unwrap_or_default());
            for (position, (_, column)) in readable(table).enumerate() {
                add(position + 1, &column.description);
            }
        }
        all
    }

    /// The names of columns by table and position.
    pub fn column_names(&self) -> HashMap<(i64, i64), String> {
        let mut all = HashMap::new();
        for table in self.catalog.all_tables() {
            let Some(number) = self.table_id(table) else { continue };
            for (position, (_, column)) in (1..).zip(readable(table)) {
                all.insert((i64::from(number), position), column.logical_name.clone());
            }
        }
        all
    }

    /// The rows of `pg_description` for them, in order.
    pub fn pg_description(&self) -> Vec<Row> {
        let mut all: Vec<_> = self.descriptions().into_iter().collect();
        all.sort_unstable();
        let row = |((object, column), text): ((i64, i64), String)| {
            Row::new().with("objoid", object).with("objsubid", column).with("description", text)
        };
        all.into_iter().map(row).collect()
    }

    /// What `pg_get_constraintdef` answers.
    pub fn constraint_definitions(&self) -> HashMap<(i64, i64), String> {
        let keys = self.catalog.tables().iter().filter_map(|table| {
            let number = self.id(ObjectKind::PrimaryKey, table)?;
            Some(((number.into(), 0), format!("PRIMARY KEY ({})", quoted(&table.primary_id))))
        });
        let references = self.keys().map(|(_, key)| {
            let text = format!(
                "FOREIGN KEY ({}) REFERENCES {}({})",
                quoted(&key.relation.column),
                quoted(&key.target.logical_name),
                quoted(&key.relation.target_column)
            );
            ((i64::from(key.number), 0), text)
        });
        keys.chain(references).collect()
    }

    /// What `pg_get_indexdef` answers: the whole (0), or one column.
    pub fn index_definitions(&self) -> HashMap<(i64, i64), String> {
        let mut all = HashMap::new();
        for table in self.catalog.tables() {
            let Some(number) = self.id(ObjectKind::Index, table) else { continue };
            let (name, key) = (quoted(&primary_key_name(table)), quoted(&table.primary_id));
            let on = quoted(&table.logical_name);
            let whole = format!("CREATE UNIQUE INDEX {name} ON {SCHEMA}.{on} USING btree ({key})");
            all.insert((number.into(), 0), whole);
            all.insert((number.into(), 1), key);
        }
        all
    }

    /// Schema, name and number of every relation.
    pub fn names(&self) -> Vec<(&str, String, i32)> {
        let tables = self.catalog.all_tables().flat_map(|table| {
            let index = self.id(ObjectKind::Index, table).map(|id| (primary_key_name(table), id));
            let own = self.table_id(table).map(|id| (table.logical_name.clone(), id));
            [own, index].into_iter().flatten().map(|(name, id)| (SCHEMA, name, id))
        });
        let system = self.system.iter().map(|r| (r.schema, r.name.clone(), r.oid));
        tables.chain(system).collect()
    }
}

/// The number of a schema.
pub fn namespace(schema: &str) -> i32 {
    match schema {
        "pg_catalog" => PG_CATALOG,
        "information_schema" => INFORMATION_SCHEMA,
        _ => PUBLIC,
    }
}

/// A name as SQL needs it.
pub fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let starts = |c: char| c.is_ascii_lowercase() || c == '_';
    if name.starts_with(starts) && name.chars().all(plain) {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

fn attribute(relation: Option<i32>, name: &str, number: usize, its: PgType) -> Row {
    Row::new()
        .with("attrelid", relation)
        .with("attname", name)
        .with("attnum", number)
        .with("atttypid", its.oid)
        .with("attlen", its.length)
        .with("atttypmod", its.modifier)
        .with("attbyval", its.by_value)
        .with("attalign", its.align)
        .with("attstorage", its.storage)
        .with("attcollation", its.collation)
}

pub const PG_CLASS_COLUMNS: &str = "oid:o relname:n relnamespace:o=2200 reltype:o=0 reloftype:o=0 \
    relowner:o=10 relam:o=0 relfilenode:o=0 reltablespace:o=0 relpages:i=0 reltuples:f=-1 \
    relallvisible:i=0 reltoastrelid:o=0 relhasindex:b=0 relisshared:b=0 relpersistence:s=p \
    relkind:s relnatts:h relchecks:h=0 relhasrules:b=0 relhastriggers:b=0 relhassubclass:b=0 \
    relrowsecurity:b=0 relforcerowsecurity:b=0 relispopulated:b=1 relreplident:s=d \
    relispartition:b=0 relrewrite:o=0 relfrozenxid:i=0 relminmxid:i=0 relacl:s[] \
    reloptions:s[] relpartbound:s";

pub const PG_ATTRIBUTE_COLUMNS: &str = "attrelid:o attname:n atttypid:o attstattarget:i=-1 \
    attlen:h attnum:h attndims:i=0 attcacheoff:i=-1 atttypmod:i=-1 attbyval:b attalign:s \
    attstorage:s attcompression:s= attnotnull:b=0 atthasdef:b=0 atthasmissing:b=0 attidentity:s= \
    attgenerated:s= attisdropped:b=0 attislocal:b=1 attinhcount:i=0 attcollation:o=0 attacl:s[] \
    attoptions:s[] attfdwoptions:s[] attmissingval:s[]";

pub const PG_INDEX_COLUMNS: &str = "indexrelid:o indrelid:o indnatts:h=1 indnkeyatts:h=1 \
    indisunique:b=1 indnullsnotdistinct:b=0 indisprimary:b=1 indisexclusion:b=0 \
    indimmediate:b=1 indisclustered:b=0 indisvalid:b=1 indcheckxmin:b=0 indisready:b=1 \
    indislive:b=1 indisreplident:b=0 indkey:hv indcollation:ov indclass:ov indoption:hv \
    indexprs:s indpred:s";

pub const PG_CONSTRAINT_COLUMNS: &str = "oid:o conname:n connamespace:o=2200 contype:s \
    condeferrable:b=0 condeferred:b=0 convalidated:b=1 conrelid:o contypid:o=0 conindid:o=0 \
    conparentid:o=0 confrelid:o=0 confupdtype:s= confdeltype:s= confmatchtype:s= conislocal:b=1 \
    coninhcount:i=0 connoinherit:b=1 conkey:h[] confkey:h[] conpfeqop:i[] conppeqop:i[] \
    conffeqop:i[] confdelsetcols:h[] conexclop:i[] conbin:s";

pub const PG_DESCRIPTION_COLUMNS: &str = "objoid:o classoid:o=1259 objsubid:i=0 description:s";
