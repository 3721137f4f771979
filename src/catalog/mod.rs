//! Every table, column, option set, relationship and entity-set name, in one
//! place. Arrow schemas, name resolution in all dialects, labels, `$metadata`
//! and import read it; no other module knows a column except where it
//! implements that column's behaviour.
//!
//! The facts are the JSON files in `tables/`, one a table, embedded in the
//! binary. Their source is Microsoft's Dataverse table reference. An
//! organization's own tables come from files of the same shape.

mod arrow;
mod attached;
mod derived;
mod entity_names;
mod file;
mod nearest;
mod objects;
mod relations;
pub mod views;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use datafusion::arrow::datatypes::SchemaRef;
use serde::Deserialize;

use crate::error::Result;

pub use self::arrow::{COLUMN_KIND, is_code_in_sql, is_entity_name, is_guid, is_label};
pub use self::attached::{Attached, AttachedFile, Attachment};
pub use self::entity_names::{
    derived_entity_names, entity_code, entity_code_or_none, entity_name, former_entity_codes,
    register_entity_name,
};
pub use self::nearest::nearest;
pub use self::objects::{ObjectKind, Objects};

/// The attribute types of Dataverse metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum ColumnType {
    Uniqueidentifier,
    String,
    Memo,
    Integer,
    BigInt,
    Boolean,
    DateTime,
    Picklist,
    State,
    Status,
    Lookup,
    Owner,
    Customer,
    EntityName,
    Double,
    Decimal,
    Money,
    /// A choice's label or a file; which of them, [`Column::kind`] tells.
    Virtual,
}

/// One value of a choice.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    pub value: i32,
    pub label: String,
    /// On a status reason: the state it belongs to.
    pub state: Option<i32>,
    #[serde(default)]
    pub is_default: bool,
}

/// How a column gets its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// Kept in the row.
    Stored,
    /// The label of the choice column with this index.
    ChoiceLabel(usize),
    /// The logical name behind the entity-name column with this index.
    EntityLabel(usize),
    /// The primary name of the row that the lookup column with this index
    /// points to; an imported text stands in when that row is not stored.
    LookupName(usize),
    /// Why the job of the row has not ended; answered where it is named, and by
    /// nobody's row.
    WaitReason,
}

/// A column as Dataverse metadata describes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    pub logical_name: String,
    pub schema_name: String,
    #[serde(rename = "type")]
    pub column_type: ColumnType,
    pub max_length: Option<u32>,
    pub min: Option<f64>,
    pub max: Option<f64>,
    pub precision: Option<u8>,
    pub format: Option<String>,
    /// How times are kept and shown, where the column has times.
    pub date_behavior: Option<String>,
    /// What people read; made of the schema name where it is not given.
    pub display_name: Option<String>,
    #[serde(default)]
    pub targets: Vec<String>,
    #[serde(default)]
    pub options: Vec<Choice>,
    pub attribute_of: Option<String>,
    #[serde(default = "not_required")]
    pub required: String,
    #[serde(default = "yes")]
    pub create: bool,
    /// `false`: the column exists but cannot be queried.
    #[serde(default = "yes")]
    pub read: bool,
    #[serde(default = "yes")]
    pub update: bool,
    #[serde(default)]
    pub description: String,
    #[serde(skip, default = "stored")]
    pub kind: ColumnKind,
}

fn stored() -> ColumnKind {
    ColumnKind::Stored
}

fn not_required() -> String {
    "None".into()
}

fn yes() -> bool {
    true
}

impl Column {
    /// A column that points to a row: lookup, owner or customer.
    pub fn is_lookup(&self) -> bool {
        matches!(self.column_type, ColumnType::Lookup | ColumnType::Owner | ColumnType::Customer)
    }

    /// A column with an option set: choice, state, status reason, yes/no.
    pub fn is_choice(&self) -> bool {
        matches!(
            self.column_type,
            ColumnType::Picklist | ColumnType::State | ColumnType::Status | ColumnType::Boolean
        )
    }

    /// A file column; its value is the id of a `fileattachment`.
    pub fn is_file(&self) -> bool {
        self.format.as_deref() == Some("File")
    }

    /// The label of a choice value, where the option set has one.
    pub fn label(&self, value: i32) -> Option<&str> {
        self.options.iter().find(|o| o.value == value).map(|o| o.label.as_str())
    }

    /// Whether it is among all columns of a query that names none. What has to be
    /// found out for each row is not.
    pub fn is_listed(&self) -> bool {
        self.read && self.kind != ColumnKind::WaitReason
    }

    /// The property name in Web API answers: `_ownerid_value` for lookups.
    pub fn property_name(&self) -> String {
        if self.is_lookup() {
            format!("_{}_value", self.logical_name)
        } else {
            self.logical_name.clone()
        }
    }
}

/// A lookup on this table and the table it points to.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManyToOne {
    pub schema_name: String,
    pub column: String,
    pub target: String,
    pub target_column: String,
    pub navigation_property: String,
}

/// A lookup on another table that points here.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OneToMany {
    pub schema_name: String,
    pub column: String,
    pub target: String,
    pub target_column: String,
    pub navigation_property: String,
}

/// A table as Dataverse metadata describes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    pub logical_name: String,
    pub schema_name: String,
    pub entity_set_name: String,
    pub object_type_code: i32,
    pub primary_id: String,
    pub primary_name: Option<String>,
    pub ownership: String,
    /// What people read; made of the schema name where it is not given.
    pub display_name: Option<String>,
    #[serde(default)]
    pub description: String,
    /// An organization's own table, from a catalog file.
    #[serde(skip)]
    pub is_custom: bool,
    pub columns: Vec<Column>,
    #[serde(default)]
    pub many_to_one: Vec<ManyToOne>,
    #[serde(default)]
    pub one_to_many: Vec<OneToMany>,
    #[serde(skip)]
    by_name: HashMap<String, usize>,
    #[serde(skip)]
    schema: Option<SchemaRef>,
}

impl Table {
    /// The index of a column by its logical name, exact spelling.
    pub fn column_index(&self, logical_name: &str) -> Option<usize> {
        self.by_name.get(logical_name).copied()
    }

    /// A column by its logical name, exact spelling.
    pub fn column(&self, logical_name: &str) -> Option<&Column> {
        self.column_index(logical_name).map(|i| &self.columns[i])
    }

    /// The index of a column whose name differs at most in case.
    pub fn column_index_any_case(&self, name: &str) -> Option<usize> {
        self.column_index(name)
            .or_else(|| self.column_index(&name.to_lowercase()))
            .or_else(|| self.columns.iter().position(|c| c.logical_name.eq_ignore_ascii_case(name)))
    }

    /// The index of the primary key.
    pub fn primary_id_index(&self) -> usize {
        self.by_name[&self.primary_id]
    }

    /// The index of the primary key, where there is one: the columns of a part of
    /// a query may have none.
    pub fn primary_key(&self) -> Option<usize> {
        self.column_index(&self.primary_id)
    }

    /// The index of the row version, where rows have one.
    pub fn version_key(&self) -> Option<usize> {
        self.column_index(VERSION_COLUMN)
    }

    /// The index of the row version.
    pub fn version_index(&self) -> usize {
        self.by_name[VERSION_COLUMN]
    }

    /// The Arrow schema of all columns, stored and derived, in catalog order.
    pub fn schema(&self) -> &SchemaRef {
        self.schema.as_ref().expect("set when the catalog is built")
    }

    /// The column that holds the table a lookup with several targets points to.
    pub fn type_column(&self, lookup: usize) -> Option<usize> {
        let of = &self.columns[lookup];
        self.columns.iter().position(|c| {
            c.column_type == ColumnType::EntityName
                && c.attribute_of.as_ref() == Some(&of.logical_name)
        })
    }

    /// The single-valued relationship behind a navigation property.
    pub fn navigation(&self, property: &str) -> Option<&ManyToOne> {
        self.many_to_one.iter().find(|r| r.navigation_property == property)
    }

    /// The lookup to the row above in the table's hierarchy, where it has one: a
    /// lookup to its own table alone that is named as a parent. Other lookups to
    /// the own table, such as a user's `createdby`, make no hierarchy.
    pub fn parent_index(&self) -> Option<usize> {
        self.columns.iter().position(|c| {
            c.is_lookup()
                && c.logical_name.contains("parent")
                && matches!(c.targets.as_slice(), [target] if *target == self.logical_name)
        })
    }

    /// The column name nearest to a misspelt one, for error messages.
    pub fn nearest_column(&self, name: &str) -> Option<&str> {
        nearest(name, self.columns.iter().filter(|c| c.read).map(|c| c.logical_name.as_str()))
    }

    fn finish(&mut self) {
        self.add_derived_columns();
        self.add_version();
        self.index();
        for i in 0..self.columns.len() {
            self.columns[i].kind = self.kind_of(i);
        }
        self.schema = Some(arrow::schema(self));
    }

    /// What follows from the columns' names and types.
    fn index(&mut self) {
        self.by_name =
            self.columns.iter().enumerate().map(|(i, c)| (c.logical_name.clone(), i)).collect();
        self.schema = Some(arrow::schema(self));
    }

    /// Every row has a version; the metadata of some tables does not show it.
    fn add_version(&mut self) {
        if !self.columns.iter().any(|c| c.logical_name == VERSION_COLUMN) {
            let column = serde_json::from_str(UNSHOWN_VERSION);
            self.columns.push(column.expect("the text describes a column"));
        }
    }

    /// The metadata of some tables leaves out the label and name columns that
    /// Dataverse derives by rule (`<column>name`); they are added here.
    fn add_derived_columns(&mut self) {
        let missing: Vec<(String, String, ColumnType)> = self
            .columns
            .iter()
            .filter(|c| c.read && (c.is_choice() || c.is_lookup()))
            .filter(|c| !matches!(c.logical_name.as_str(), "owninguser" | "owningteam"))
            .filter(|c| {
                let name = format!("{}name", c.logical_name);
                !self.columns.iter().any(|other| other.logical_name == name)
            })
            .map(|c| {
                let kind = if c.is_lookup() { ColumnType::String } else { ColumnType::Virtual };
                (c.logical_name.clone(), c.schema_name.clone(), kind)
            })
            .collect();
        for (of, schema_name, column_type) in missing {
            self.columns.push(Column {
                logical_name: format!("{of}name"),
                schema_name: format!("{schema_name}Name"),
                column_type,
                max_length: None,
                min: None,
                max: None,
                precision: None,
                format: None,
                date_behavior: None,
                display_name: None,
                targets: Vec::new(),
                options: Vec::new(),
                attribute_of: Some(of),
                required: "None".into(),
                create: false,
                read: true,
                update: false,
                description: "Text of the column it belongs to".into(),
                kind: ColumnKind::Stored,
            });
        }
    }

    fn kind_of(&self, index: usize) -> ColumnKind {
        let column = &self.columns[index];
        if column.format.as_deref() == Some(WAIT_REASON) {
            return ColumnKind::WaitReason;
        }
        let Some(of) = column.attribute_of.as_deref().and_then(|of| self.column_index(of)) else {
            return ColumnKind::Stored;
        };
        let base = &self.columns[of];
        match column.column_type {
            ColumnType::Virtual if base.column_type == ColumnType::EntityName => {
                ColumnKind::EntityLabel(of)
            }
            ColumnType::Virtual => ColumnKind::ChoiceLabel(of),
            ColumnType::String if base.is_lookup() || base.is_file() => ColumnKind::LookupName(of),
            _ => ColumnKind::Stored,
        }
    }
}

/// The format of the column that says why a job has not ended.
const WAIT_REASON: &str = "WaitReason";

/// The column with a number that rises with every change of the row.
pub const VERSION_COLUMN: &str = "versionnumber";

const UNSHOWN_VERSION: &str = r#"{"logical_name": "versionnumber", "schema_name": "VersionNumber",
    "type": "BigInt", "required": "None", "create": false, "read": false, "update": false,
    "description": "Row version"}"#;

/// All tables, by every name they are addressed with.
#[derive(Debug)]
pub struct Catalog {
    tables: Vec<Arc<Table>>,
    attached: Vec<Arc<Attached>>,
    by_logical_name: HashMap<String, usize>,
    by_entity_set: HashMap<String, usize>,
    objects: Objects,
    views: OnceLock<Vec<views::View>>,
}

const TABLES: &[&str] = &[
    include_str!("tables/asyncoperation.json"),
    include_str!("tables/fileattachment.json"),
    include_str!("tables/workflow.json"),
    include_str!("tables/sdkmessageprocessingstep.json"),
    include_str!("tables/sdkmessage.json"),
    include_str!("tables/sdkmessagefilter.json"),
    include_str!("tables/serviceendpoint.json"),
    include_str!("tables/systemuser.json"),
    include_str!("tables/team.json"),
    include_str!("tables/businessunit.json"),
    include_str!("tables/organization.json"),
    include_str!("tables/bulkdeleteoperation.json"),
    include_str!("tables/bulkdeletefailure.json"),
    include_str!("tables/duplicaterecord.json"),
    include_str!("tables/plugintracelog.json"),
    include_str!("tables/workflowlog.json"),
    include_str!("tables/processsession.json"),
    include_str!("tables/account.json"),
    include_str!("tables/contact.json"),
    include_str!("tables/teammembership.json"),
    include_str!("tables/jobhistory.json"),
    include_str!("tables/jobdefinition.json"),
];

/// Columns that sysjob keeps with a system job and does not show.
const JOB_COLUMNS: &str = include_str!("tables/asyncoperation.own.json");

fn built_in_tables() -> Vec<Table> {
    let table = |text: &&str| {
        let mut table: Table =
            serde_json::from_str(text).expect("the embedded table metadata is well formed");
        if table.logical_name == "asyncoperation" {
            let own: Vec<Column> =
                serde_json::from_str(JOB_COLUMNS).expect("the text describes columns");
            table.columns.extend(own);
        }
        table.finish();
        table
    };
    TABLES.iter().map(table).collect()
}

impl Catalog {
    /// The tables that every sysjob serves.
    pub fn built_in() -> Self {
        Self::new(built_in_tables())
    }

    /// The tables that every sysjob serves, and an organization's own.
    pub fn with_files(files: &[PathBuf]) -> Result<Self> {
        file::with_files(files)
    }

    fn new(mut tables: Vec<Table>) -> Self {
        relations::complete(&mut tables);
        Self::numbered(tables.into_iter().map(Arc::new).collect(), Vec::new())
    }

    fn numbered(tables: Vec<Arc<Table>>, attached: Vec<Arc<Attached>>) -> Self {
        let by_logical_name =
            tables.iter().enumerate().map(|(i, t)| (t.logical_name.clone(), i)).collect();
        let by_entity_set =
            tables.iter().enumerate().map(|(i, t)| (t.entity_set_name.clone(), i)).collect();
        let objects = Objects::of(&tables, &attached);
        let views = OnceLock::new();
        Self { tables, attached, by_logical_name, by_entity_set, objects, views }
    }

    /// All tables; the position is the table's number everywhere in a process.
    pub fn tables(&self) -> &[Arc<Table>] {
        &self.tables
    }

    /// The numbers under which PostgreSQL's and SQL Server's catalogs list all this.
    pub fn objects(&self) -> &Objects {
        &self.objects
    }

    /// SQL Server's catalog views of this catalog.
    pub fn views(&self) -> &[views::View] {
        self.views.get_or_init(|| views::of(self))
    }

    /// A catalog view by schema and name, any case.
    pub fn view(&self, schema: &str, name: &str) -> Option<&views::View> {
        let same = |v: &&views::View| {
            v.schema.eq_ignore_ascii_case(schema) && v.name().eq_ignore_ascii_case(name)
        };
        self.views().iter().find(same)
    }

    /// The number of a table by logical name, exact spelling.
    pub fn table_index(&self, logical_name: &str) -> Option<usize> {
        self.by_logical_name.get(logical_name).copied()
    }

    /// A table by logical name, exact spelling.
    pub fn table(&self, logical_name: &str) -> Option<&Arc<Table>> {
        self.table_index(logical_name).map(|i| &self.tables[i])
    }

    /// A table by its Web API collection name, exact spelling.
    pub fn entity_set(&self, name: &str) -> Option<&Arc<Table>> {
        self.by_entity_set.get(name).map(|i| &self.tables[*i])
    }

    /// The logical table name nearest to a misspelt one.
    pub fn nearest_table(&self, name: &str) -> Option<&str> {
        nearest(name, self.tables.iter().map(|t| t.logical_name.as_str()))
    }

    /// The entity set name nearest to a misspelt one.
    pub fn nearest_entity_set(&self, name: &str) -> Option<&str> {
        nearest(name, self.tables.iter().map(|t| t.entity_set_name.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_parses_and_every_attribute_of_exists() {
        let catalog = Catalog::built_in();
        assert_eq!(catalog.tables().len(), TABLES.len());
        for table in catalog.tables() {
            assert!(table.column(&table.primary_id).is_some(), "{}", table.logical_name);
            for column in &table.columns {
                if let Some(of) = &column.attribute_of {
                    assert!(table.column(of).is_some(), "{}.{of}", table.logical_name);
                }
            }
            for relation in &table.many_to_one {
                assert!(table.column(&relation.column).is_some(), "{}", relation.schema_name);
            }
        }
    }

    #[test]
    fn derived_columns_know_what_they_derive_from() {
        let catalog = Catalog::built_in();
        let jobs = catalog.table("asyncoperation").expect("built in");
        let of = |name: &str| jobs.column(name).expect("documented column").kind;
        let at = |name: &str| jobs.column_index(name).expect("documented column");
        assert_eq!(of("statecodename"), ColumnKind::ChoiceLabel(at("statecode")));
        assert_eq!(of("owneridname"), ColumnKind::LookupName(at("ownerid")));
        assert_eq!(of("datablobid_name"), ColumnKind::LookupName(at("datablobid")));
        assert_eq!(of("regardingobjecttypecode"), ColumnKind::Stored);
        let steps = catalog.table("sdkmessageprocessingstep").expect("built in");
        assert!(steps.column("modenamE").is_none());
        assert!(steps.column("asyncautodeletename").is_some(), "added by rule");
    }

    #[test]
    fn hierarchies_go_along_a_lookup_to_the_own_table() {
        let catalog = Catalog::built_in();
        let parent = |table: &str| {
            let table = catalog.table(table).expect("built in");
            table.parent_index().map(|i| table.columns[i].logical_name.clone())
        };
        assert_eq!(parent("account").as_deref(), Some("parentaccountid"));
        assert_eq!(parent("businessunit").as_deref(), Some("parentbusinessunitid"));
        assert_eq!(parent("systemuser").as_deref(), Some("parentsystemuserid"));
        for flat in ["asyncoperation", "contact", "team", "organization"] {
            assert_eq!(parent(flat), None, "{flat}");
        }
    }

    #[test]
    fn no_two_labels_of_a_choice_compare_equal() {
        for table in Catalog::built_in().tables() {
            for column in &table.columns {
                let labels: std::collections::HashSet<_> =
                    column.options.iter().map(|o| o.label.to_lowercase()).collect();
                let texts: std::collections::HashSet<_> =
                    column.options.iter().map(|o| o.label.as_str()).collect();
                assert_eq!(labels.len(), texts.len(), "{}", column.logical_name);
            }
        }
    }

    #[test]
    fn all_operation_types_have_their_documented_label() {
        let catalog = Catalog::built_in();
        let jobs = catalog.table("asyncoperation").expect("built in");
        let types = jobs.column("operationtype").expect("documented column");
        assert_eq!(types.options.len(), 117);
        assert_eq!(types.label(10), Some("Workflow"));
        assert_eq!(types.label(31), Some("Storage Limit Notification"));
    }
}
