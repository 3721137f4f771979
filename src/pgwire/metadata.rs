//! PostgreSQL's own catalogs over ours: what psql's `\d` and drivers ask.
//!
//! One DataFusion context per server holds `pg_catalog`, `information_schema`
//! and, in schema `public`, the tables with their columns but without rows. A
//! query that reads job tables and catalogs together is refused, because it
//! would find the job tables empty.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{
    ArrayRef, AsArray, BooleanArray, Int16Array, Int32Array, RecordBatch, StringArray,
};
use datafusion::arrow::compute::filter_record_batch;
use datafusion::arrow::datatypes::{DataType, Field, Int16Type, Int32Type, Schema, SchemaRef};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::catalog::{SchemaProvider, Session, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::TableType;
use datafusion::execution::{
    SendableRecordBatchStream, SessionState, SessionStateBuilder, TaskContext,
};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use datafusion::sql::parser::Statement as DataFusionStatement;
use datafusion::sql::sqlparser::ast::Statement;
use datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
use datafusion_pg_catalog::pg_catalog::{
    PgCatalogSchemaProvider, PgCatalogStaticTables, PgCatalogTable, setup_pg_catalog,
};
use datafusion_pg_catalog::sql::PostgresCompatibilityParser;
use futures::StreamExt;

use super::functions;
use super::information_schema::InformationSchema;
use super::scan;
use super::settings::Settings;
use crate::catalog::{Catalog, Table, is_code_in_sql, is_entity_name, is_guid};

/// The one database.
pub const DATABASE: &str = "sysjob";
/// The schema the tables are shown in; queries may also say `dbo`.
pub const SCHEMA: &str = "public";

/// The catalogs of a server.
pub struct Metadata {
    state: SessionState,
    parser: PostgresCompatibilityParser,
}

impl Metadata {
    pub fn new(catalog: &Catalog) -> Result<Self> {
        let config = SessionConfig::new()
            .with_default_catalog_and_schema(DATABASE, SCHEMA)
            .with_target_partitions(1);
        let context = SessionContext::new_with_config(config);
        for table in catalog.tables() {
            context.register_table(table.logical_name.as_str(), Arc::new(Columns::of(table)))?;
        }
        setup_pg_catalog(&context, DATABASE, EmptyContextProvider).map_err(|e| *e)?;
        let database = context
            .catalog(DATABASE)
            .ok_or_else(|| DataFusionError::Internal("the default catalog is missing".into()))?;
        let pg_catalog = PgCatalog::new(&context, catalog)?;
        database.register_schema("pg_catalog", Arc::new(pg_catalog))?;
        let information_schema = InformationSchema::new(catalog)?;
        database.register_schema("information_schema", Arc::new(information_schema))?;
        functions::register(&context);
        Ok(Self { state: context.state(), parser: PostgresCompatibilityParser::new() })
    }

    /// Parses one statement and bends it to what DataFusion plans.
    pub fn parse(&self, text: &str) -> Result<Option<Statement>> {
        let parsed = self.parser.parse(&lookups_as_casts(text));
        let parsed = parsed.map_err(|e| DataFusionError::SQL(Box::new(e), None))?;
        Ok(parsed.into_iter().next())
    }

    /// The plan of a statement that only reads.
    pub async fn plan(&self, statement: Statement, settings: &Settings) -> Result<LogicalPlan> {
        let state = self.session(settings);
        let statement = DataFusionStatement::Statement(Box::new(statement));
        let plan = state.statement_to_plan(statement).await?;
        only_reads(&plan)?;
        Ok(plan)
    }

    /// Runs a plan of [`Metadata::plan`].
    pub async fn run(
        &self,
        plan: LogicalPlan,
        settings: &Settings,
    ) -> Result<SendableRecordBatchStream> {
        let context = SessionContext::new_with_state(self.session(settings));
        context.execute_logical_plan(plan).await?.execute_stream().await
    }

    fn session(&self, settings: &Settings) -> SessionState {
        let mut state = SessionStateBuilder::new_from_existing(self.state.clone()).build();
        functions::register_session(&mut state, settings);
        state
    }
}

/// `to_regclass(x)` as `x::regclass`, which the parser knows how to look up. As
/// with the function, a name that is not found is null.
fn lookups_as_casts(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for tokens in scan::statements(text) {
        for call in tokens.windows(4) {
            let [name, open, argument, close] = call else { continue };
            let lower = name.value();
            let Some(kind) = lower.strip_prefix("to_").filter(|k| k.starts_with("reg")) else {
                continue;
            };
            if open.is_symbol("(") && close.is_symbol(")") {
                out.push_str(&text[done..name.start]);
                out.push_str(argument.text);
                out.push_str("::");
                out.push_str(kind);
                done = close.end();
            }
        }
    }
    out.push_str(&text[done..]);
    out
}

/// A result's columns under the names PostgreSQL would give them: a function's
/// own name, or `?column?` for a literal.
pub fn named_columns(schema: &Schema) -> SchemaRef {
    let named = |field: &Arc<Field>| {
        let name = field.name();
        let Some((head, _)) = name.split_once('(').filter(|_| name.ends_with(')')) else {
            return field.as_ref().clone();
        };
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let name = match head.chars().next() {
            Some(first) if head.chars().all(word) && first.is_ascii_uppercase() => "?column?",
            Some(_) if head.chars().all(word) => head,
            _ => name,
        };
        field.as_ref().clone().with_name(name)
    };
    Arc::new(Schema::new(schema.fields().iter().map(named).collect::<Vec<_>>()))
}

/// Refuses plans that would change anything, whatever their text looked like.
pub fn only_reads(plan: &LogicalPlan) -> Result<()> {
    let options =
        SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    options
        .verify_plan(plan)
        .map_err(|_| DataFusionError::External(Box::new(super::error::read_only("this statement"))))
}

/// The types under which PostgreSQL's catalogs list a table's columns.
fn listed_schema(table: &Table) -> SchemaRef {
    let listed = |field: &Arc<Field>| {
        let data_type = match field.data_type() {
            // Arrow has no GUID; the only binary columns are made `uuid` below.
            _ if is_guid(field) => DataType::Binary,
            _ if is_entity_name(field) && !is_code_in_sql(field.name()) => DataType::Utf8View,
            other => other.clone(),
        };
        Field::new(field.name(), data_type, field.is_nullable())
    };
    let fields = table.schema().fields().iter().enumerate();
    let readable = fields.filter(|(i, _)| table.columns[*i].read).map(|(_, f)| listed(f));
    Arc::new(Schema::new(readable.collect::<Vec<_>>()))
}

/// A table of which only the columns are known here.
#[derive(Debug)]
struct Columns {
    name: String,
    schema: SchemaRef,
}

impl Columns {
    fn of(table: &Table) -> Self {
        Self { name: table.logical_name.clone(), schema: listed_schema(table) }
    }
}

#[async_trait]
impl TableProvider for Columns {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        _projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Err(DataFusionError::NotImplemented(format!(
            "reading '{}' together with PostgreSQL's catalogs in one statement",
            self.name
        )))
    }
}

/// `pg_catalog` with what Arrow's types and DataFusion's catalogs cannot say put right.
#[derive(Debug)]
struct PgCatalog {
    tables: PgCatalogSchemaProvider<
        Arc<dyn datafusion::catalog::CatalogProviderList>,
        EmptyContextProvider,
    >,
    guids: Arc<HashSet<String>>,
}

impl PgCatalog {
    fn new(context: &SessionContext, catalog: &Catalog) -> Result<Self> {
        let tables = PgCatalogSchemaProvider::try_new(
            context.state().catalog_list().clone(),
            Arc::new(PgCatalogStaticTables::try_new()?),
            EmptyContextProvider,
        )?;
        let fields = catalog.tables().iter().flat_map(|t| t.schema().fields().iter());
        let guids = fields.filter(|f| is_guid(f)).map(|f| f.name().clone()).collect();
        Ok(Self { tables, guids: Arc::new(guids) })
    }
}

#[async_trait]
impl SchemaProvider for PgCatalog {
    fn table_names(&self) -> Vec<String> {
        self.tables.table_names()
    }

    fn table_exist(&self, name: &str) -> bool {
        self.tables.table_exist(name)
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let Some(table) = self.tables.build_table_by_name(name)? else { return Ok(None) };
        let repair = match name {
            "pg_attribute" => Repair::Guids(self.guids.clone()),
            "pg_database" => Repair::Databases,
            _ => return table.try_into_table_provider().map(Some),
        };
        let PgCatalogTable::Dynamic(inner) = table else {
            return table.try_into_table_provider().map(Some);
        };
        let schema = inner.schema().clone();
        let stream: Arc<dyn PartitionStream> = Arc::new(Repaired { inner, repair });
        Ok(Some(Arc::new(StreamingTable::try_new(schema, vec![stream])?)))
    }
}

#[derive(Clone, Debug)]
enum Repair {
    /// The columns of these names that are listed as `bytea` are `uuid`.
    Guids(Arc<HashSet<String>>),
    /// There is only one database.
    Databases,
}

#[derive(Debug)]
struct Repaired {
    inner: Arc<dyn PartitionStream>,
    repair: Repair,
}

impl PartitionStream for Repaired {
    fn schema(&self) -> &SchemaRef {
        self.inner.schema()
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let repair = self.repair.clone();
        let stream = self.inner.execute(context);
        let repaired = stream.map(move |batch| repair.apply(&batch?));
        Box::pin(RecordBatchStreamAdapter::new(self.schema().clone(), repaired))
    }
}

const BYTEA: i32 = 17;
const UUID: i32 = 2950;

impl Repair {
    fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        match self {
            Self::Guids(names) => uuids(batch, names),
            Self::Databases => {
                let names = text(batch, "datname")?;
                let ours: BooleanArray = names.iter().map(|n| Some(n == Some(DATABASE))).collect();
                Ok(filter_record_batch(batch, &ours)?)
            }
        }
    }
}

fn text<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a StringArray> {
    batch
        .column_by_name(name)
        .and_then(|c| c.as_string_opt::<i32>())
        .ok_or_else(|| DataFusionError::Internal(format!("catalog column {name}")))
}

fn uuids(batch: &RecordBatch, guids: &HashSet<String>) -> Result<RecordBatch> {
    let names = text(batch, "attname")?;
    let type_at = batch.schema_ref().index_of("atttypid")?;
    let types = batch.column(type_at).as_primitive::<Int32Type>();
    let is_uuid: Vec<bool> = (0..batch.num_rows())
        .map(|row| types.value(row) == BYTEA && guids.contains(names.value(row)))
        .collect();
    let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
    columns[type_at] = Arc::new(Int32Array::from_iter_values(
        types.values().iter().zip(&is_uuid).map(|(t, uuid)| if *uuid { UUID } else { *t }),
    ));
    let length_at = batch.schema_ref().index_of("attlen")?;
    let lengths = batch.column(length_at).as_primitive::<Int16Type>();
    columns[length_at] = Arc::new(Int16Array::from_iter_values(
        lengths.values().iter().zip(&is_uuid).map(|(l, uuid)| if *uuid { 16 } else { *l }),
    ));
    Ok(RecordBatch::try_new(batch.schema(), columns)?)
}

#[cfg(test)]
mod tests {
    use datafusion::physical_plan::common::collect;

    use super::*;

    async fn ask(text: &str) -> Result<Vec<RecordBatch>> {
        let metadata = Metadata::new(&Catalog::built_in()).expect("set up");
        let settings = Settings::new("me", std::iter::empty());
        let statement = metadata.parse(text)?.expect("a statement");
        let plan = metadata.plan(statement, &settings).await?;
        collect(metadata.run(plan, &settings).await?).await
    }

    async fn first(text: &str) -> String {
        let batches = ask(text).await.unwrap_or_else(|e| panic!("{text}: {e}"));
        let batch = batches.iter().find(|b| b.num_rows() > 0).expect("a row");
        let column = batch.column(0);
        datafusion::arrow::util::display::array_value_to_string(column, 0).expect("printable")
    }

    #[tokio::test]
    async fn the_session_and_the_server_answer_for_themselves() {
        assert!(first("SELECT version()").await.starts_with("PostgreSQL 15.8"));
        assert_eq!(first("SELECT current_database()").await, "sysjob");
        assert_eq!(first("SELECT current_user").await, "me");
        assert_eq!(first("SELECT current_setting('DateStyle')").await, "ISO, MDY");
        assert_eq!(first("SELECT datname FROM pg_database").await, "sysjob");
        assert_eq!(first("SELECT count(*) FROM pg_database").await, "1");
    }

    #[test]
    fn columns_without_a_name_get_that_of_postgresql() {
        let name = |planned: &str| {
            let schema = Schema::new(vec![Field::new(planned, DataType::Utf8, true)]);
            named_columns(&schema).field(0).name().clone()
        };
        assert_eq!(name("current_schema()"), "current_schema");
        assert_eq!(name("Int64(1)"), "?column?");
        assert_eq!(name("Access privileges"), "Access privileges");
        assert_eq!(name("Size (kB)"), "Size (kB)");
    }

    #[tokio::test]
    async fn objects_are_looked_up_by_name() {
        for (argument, found) in [("'workflow'", "1"), ("'nosuch'", "0")] {
            let count = "SELECT count(*) FROM pg_class WHERE oid = TO_REGCLASS (";
            assert_eq!(first(&format!("{count} {argument} )")).await, found);
        }
        assert_eq!(first("SELECT oid FROM pg_type WHERE oid = to_regtype('int4')").await, "23");
    }

    #[tokio::test]
    async fn guid_columns_are_uuid() {
        let types = "SELECT format_type(atttypid, atttypmod) FROM pg_catalog.pg_attribute \
                     WHERE attrelid = 'asyncoperation'::regclass AND attname = ";
        for (column, expected) in [
            ("asyncoperationid", "uuid"),
            ("name", "text"),
            ("statecode", "integer"),
            ("createdon", "timestamp without time zone"),
            ("regardingobjecttypecode", "text"),
        ] {
            assert_eq!(first(&format!("{types}'{column}'")).await, expected, "{column}");
        }
    }

    #[tokio::test]
    async fn job_tables_are_not_read_as_if_they_were_empty() {
        let error = ask("SELECT * FROM asyncoperation, pg_class").await.expect_err("refused");
        assert!(matches!(error.find_root(), DataFusionError::NotImplemented(_)), "{error}");
    }

    #[tokio::test]
    async fn plans_that_write_are_refused() {
        for text in ["CREATE TABLE t (a int)", "INSERT INTO asyncoperation (name) VALUES ('x')"] {
            let error = ask(text).await.expect_err(text);
            assert!(error.to_string().contains("read-only"), "{error}");
        }
    }
}
