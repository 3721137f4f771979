//! PostgreSQL's own catalogs over ours: what psql's `\d` and drivers ask.
//!
//! One DataFusion context per server holds `pg_catalog`, `information_schema`
//! and, in schema `public`, the tables with their columns but without rows. A
//! query that reads job tables and catalogs together is refused, because it
//! would find the job tables empty.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::datasource::TableType;
use datafusion::execution::{
    FunctionRegistry, SendableRecordBatchStream, SessionState, SessionStateBuilder,
};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use datafusion::sql::parser::Statement as DataFusionStatement;
use datafusion::sql::sqlparser::ast::Statement;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
use datafusion_pg_catalog::pg_catalog::setup_pg_catalog;
use datafusion_pg_catalog::sql::rules::{
    CurrentUserVariableToSessionUserFunctionCall, FixArrayLiteral, FixVersionColumnName,
    ResolveUnqualifiedIdentifier, RewriteArrayAnyAllOperation, RewritePgCatalogOperator,
    SqlStatementRewriteRule, StripCallableQualifier, StripCollate,
};

use super::arrays::typed;
use super::functions;
use super::information_schema::InformationSchema;
use super::pg_catalog::PgCatalog;
use super::pg_catalog::lookups::Lookups;
use super::rewrite::{self, UNIQUE};
use super::session_functions;
use super::view::View;
use crate::catalog::{Catalog, Table, is_code_in_sql, is_entity_name, is_guid};

/// The one database.
pub const DATABASE: &str = "sysjob";
/// The schema the tables are shown in; queries may also say `dbo`.
pub const SCHEMA: &str = "public";

/// Functions with an effect that is not offered, so that null would be a lie.
const REFUSED: &[&str] = &[
    "lo_creat",
    "lo_create",
    "lo_export",
    "lo_import",
    "lo_unlink",
    "pg_export_snapshot",
    "pg_logical_emit_message",
    "pg_notify",
    "pg_read_binary_file",
    "pg_read_file",
    "pg_reload_conf",
    "pg_rotate_logfile",
    "pg_terminate_backend",
];

/// The catalogs of a server.
pub struct Metadata {
    state: SessionState,
    pg_catalog: Arc<PgCatalog>,
    lookups: Lookups,
    rules: Vec<Box<dyn SqlStatementRewriteRule>>,
}

impl Metadata {
    pub fn new(catalog: &Catalog) -> Result<Self> {
        let config = SessionConfig::new()
            .with_default_catalog_and_schema(DATABASE, SCHEMA)
            .with_target_partitions(1);
        let context = SessionContext::new_with_config(config);
        for table in catalog.all_tables() {
            context.register_table(table.logical_name.as_str(), Arc::new(Columns::of(table)))?;
        }
        setup_pg_catalog(&context, DATABASE, EmptyContextProvider).map_err(|e| *e)?;
        let database = context
            .catalog(DATABASE)
            .ok_or_else(|| DataFusionError::Internal("the default catalog is missing".into()))?;
        let information_schema = InformationSchema::new(catalog)?;
        let (pg_catalog, lookups) = PgCatalog::new(catalog, information_schema.listed())?;
        let pg_catalog = Arc::new(pg_catalog);
        database.register_schema("pg_catalog", pg_catalog.clone())?;
        database.register_schema("information_schema", Arc::new(information_schema))?;
        functions::register(&context);
        for function in &lookups.functions {
            context.register_udf(function.clone());
        }
        let rules: Vec<Box<dyn SqlStatementRewriteRule>> = vec![
            Box::new(ResolveUnqualifiedIdentifier),
            Box::new(RewriteArrayAnyAllOperation),
            Box::new(StripCallableQualifier),
            Box::new(FixArrayLiteral),
            Box::new(CurrentUserVariableToSessionUserFunctionCall),
            Box::new(StripCollate),
            Box::new(RewritePgCatalogOperator),
            Box::new(FixVersionColumnName),
        ];
        Ok(Self { state: context.state(), pg_catalog, lookups, rules })
    }

    /// Parses one statement and bends it to what DataFusion plans.
    pub fn parse(&self, text: &str) -> Result<Option<Statement>> {
        let parsed = Parser::parse_sql(&PostgreSqlDialect {}, text);
        let parsed = parsed.map_err(|e| DataFusionError::SQL(Box::new(e), None))?;
        let Some(mut statement) = parsed.into_iter().next() else { return Ok(None) };
        rewrite::rewrite(&mut statement, |name| self.pg_catalog.has(name));
        Ok(Some(self.rules.iter().fold(statement, |statement, rule| rule.rewrite(statement))))
    }

    /// The plan of a statement that only reads.
    pub async fn plan(&self, statement: Statement, view: &Arc<View>) -> Result<LogicalPlan> {
        let mut state = self.session(view);
        self.add_missing(&mut state, &statement)?;
        match self.planned(&state, statement.clone()).await {
            Ok(plan) => Ok(plan),
            // Sub-queries for a value are details of a list, such as a column's
            // default; without those that cannot be planned the list is still one.
            Err(error) => {
                let mut without = statement;
                rewrite::without_details(&mut without);
                self.planned(&state, without).await.map_err(|_| error)
            }
        }
    }

    async fn planned(&self, state: &SessionState, statement: Statement) -> Result<LogicalPlan> {
        let statement = DataFusionStatement::Statement(Box::new(statement));
        let plan = typed(state.statement_to_plan(statement).await?)?;
        only_reads(&plan)?;
        executable(&state.optimize(&plan)?)?;
        Ok(plan)
    }

    /// Functions of PostgreSQL that are not offered answer null: what they tell, of
    /// replication, text search or large objects, does not exist here.
    fn add_missing(&self, state: &mut SessionState, statement: &Statement) -> Result<()> {
        for name in rewrite::functions(statement) {
            if REFUSED.contains(&name.as_str()) {
                let message = format!("the function {name} is not supported");
                return Err(DataFusionError::NotImplemented(message));
            }
            // DataFusion's planner knows this one without a function.
            let known = name == "unnest"
                || state.udf(&name).is_ok()
                || state.udaf(&name).is_ok()
                || state.udwf(&name).is_ok()
                || state.table_functions().contains_key(&name);
            if let (false, Some(returns)) = (known, self.lookups.listed.get(&name)) {
                let null = ScalarValue::try_from(returns)?;
                state.register_udf(Arc::new(functions::constant(&name, null)))?;
            }
        }
        Ok(())
    }

    /// Runs a plan of [`Metadata::plan`].
    pub async fn run(
        &self,
        plan: LogicalPlan,
        view: &Arc<View>,
    ) -> Result<SendableRecordBatchStream> {
        let context = SessionContext::new_with_state(self.session(view));
        context.execute_logical_plan(plan).await?.execute_stream().await
    }

    fn session(&self, view: &Arc<View>) -> SessionState {
        let config = self.state.config().clone().with_extension(view.clone());
        let state = SessionStateBuilder::new_from_existing(self.state.clone());
        let mut state = state.with_config(config).build();
        session_functions::register(&mut state, view);
        state
    }
}

/// A result's columns under the names PostgreSQL would give them: a function's
/// own name, or `?column?` for a literal.
pub fn named_columns(schema: &Schema) -> SchemaRef {
    let named = |field: &Arc<Field>| {
        let name = field.name().split(UNIQUE).next().unwrap_or_default();
        let field = &Arc::new(field.as_ref().clone().with_name(name));
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

/// Refuses plans in which a sub-query still depends on the row outside.
fn executable(plan: &LogicalPlan) -> Result<()> {
    plan.apply(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| match expr {
                Expr::ScalarSubquery(inner) if !inner.outer_ref_columns.is_empty() => {
                    Err(DataFusionError::NotImplemented("this kind of sub-query".into()))
                }
                _ => Ok(TreeNodeRecursion::Continue),
            })
        })
    })
    .map(|_| ())
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

#[cfg(test)]
mod tests {
    use datafusion::physical_plan::common::collect;

    use datafusion::arrow::array::RecordBatch;

    use super::super::settings::Settings;
    use super::*;

    async fn ask(text: &str) -> Result<Vec<RecordBatch>> {
        let metadata = Metadata::new(&Catalog::built_in()).expect("set up");
        let view = Arc::new(View::of(Settings::new("me", std::iter::empty())));
        let statement = metadata.parse(text)?.expect("a statement");
        let plan = metadata.plan(statement, &view).await?;
        collect(metadata.run(plan, &view).await?).await
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
            ("name", "character varying(256)"),
            ("statecode", "integer"),
            ("createdon", "timestamp without time zone"),
            ("regardingobjecttypecode", "text"),
        ] {
            assert_eq!(first(&format!("{types}'{column}'")).await, expected, "{column}");
        }
    }

    #[tokio::test]
    async fn sub_queries_stand_in_select_lists_and_sorts() {
        let text = "SELECT CASE WHEN table_name IN (SELECT trim(s[i]) FROM generate_series(1, \
                    array_upper(string_to_array('team,account', ','), 1)) AS i, \
                    string_to_array('team,account', ',') s) THEN table_name END AS t \
                    FROM information_schema.tables WHERE table_schema = 'public' \
                    ORDER BY CASE WHEN table_name IN (SELECT 'team') THEN 0 ELSE 1 END, 1";
        assert_eq!(first(text).await, "team");
        let text = "SELECT EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid) AS indexed \
                    FROM pg_class c WHERE c.relname = 'team'";
        assert_eq!(first(text).await, "true");
        let text = "SELECT EXISTS (SELECT 1 FROM pg_tables WHERE tablename = 'nosuch' LIMIT 1)";
        assert_eq!(first(text).await, "false");
    }

    #[tokio::test]
    async fn rows_columns_and_patterns_are_compared_as_in_postgresql() {
        for (text, expected) in [
            ("SELECT count(*) FROM pg_namespace WHERE nspname NOT LIKE 'pg/_%' ESCAPE '/'", "2"),
            (
                "SELECT count(*) FROM pg_class a JOIN pg_class b ON (a.oid, a.relname) = (b.oid, b.relname) WHERE b.relname = 'team'",
                "1",
            ),
            ("SELECT c.xmin FROM pg_class c WHERE c.relname = 'team'", "0"),
            ("SELECT count(*) FROM pg_type WHERE oid = ANY('{23,25}'::oid[])", "2"),
        ] {
            assert_eq!(first(text).await, expected, "{text}");
        }
    }

    #[tokio::test]
    async fn keys_relationships_and_comments_are_listed() {
        for (text, expected) in [
            (
                "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'team_pkey'",
                "PRIMARY KEY (teamid)",
            ),
            ("SELECT obj_description('asyncoperation'::regclass, 'pg_class')", "System Job"),
            ("SELECT 'public.team'::regclass::text", "team"),
            (
                "SELECT a.attname FROM (SELECT conrelid, unnest(conkey) AS k, generate_subscripts(conkey, 1) AS ord FROM pg_constraint WHERE conname = 'team_pkey') con JOIN pg_attribute a ON a.attrelid = con.conrelid AND a.attnum = con.k",
                "teamid",
            ),
            (
                "SELECT (information_schema._pg_expandarray(i.indkey)).n FROM pg_index i LIMIT 1",
                "1",
            ),
            (
                "SELECT count(*) > 0 FROM pg_constraint WHERE contype = 'f' AND confrelid = 'systemuser'::regclass",
                "true",
            ),
        ] {
            assert_eq!(first(text).await, expected, "{text}");
        }
        let error = ask("SELECT 'nosuch'::regclass").await.expect_err("there is none");
        assert!(error.to_string().contains("relation \"nosuch\" does not exist"), "{error}");
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
