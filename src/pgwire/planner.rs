//! From the text of a request to statements, plans and running queries.
//!
//! The only file of this module that knows which parser and which engine a
//! statement belongs to; the protocol handlers see [`Work`] and [`Running`].

use std::sync::Arc;

use datafusion::arrow::array::{RecordBatch, StringViewArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::ParamValues;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::sql::sqlparser::ast;
use pgwire::api::Type;
use pgwire::error::{PgWireError, PgWireResult};

use super::command::Command;
use super::error::{from_datafusion, plain, state, to_wire};
use super::metadata::{Metadata, named_columns, only_reads};
use super::params::Parameters;
use super::route::{Route, route};
use super::scan;
use super::session::Session;
use crate::dialect::tsql;
use crate::error::{Error, Result};
use crate::service::Service;

/// A statement that was understood.
pub enum Work {
    Session(Command),
    Query(Query),
    /// Refused when its turn comes; what stands before it is done first.
    Refused(PgWireError),
}

/// A statement that answers with rows.
pub enum Query {
    Sql(Box<ast::Query>),
    /// The plan of a query as text; `analyze` runs it first.
    Explain {
        query: Box<ast::Query>,
        analyze: bool,
    },
    Catalog(Box<ast::Statement>),
}

impl Query {
    /// The command tag, to which the number of rows is added for `SELECT`.
    pub fn tag(&self) -> &str {
        match self {
            Self::Sql(_) => "SELECT",
            Self::Explain { .. } => "EXPLAIN",
            Self::Catalog(statement) => match statement.as_ref() {
                ast::Statement::Explain { .. } | ast::Statement::ExplainTable { .. } => "EXPLAIN",
                _ => "SELECT",
            },
        }
    }
}

/// A query in progress.
pub struct Running {
    pub schema: SchemaRef,
    pub batches: SendableRecordBatchStream,
}

/// Parses and plans for all connections of a server.
pub struct Planner {
    pub service: Arc<Service>,
    metadata: Metadata,
}

impl Planner {
    pub fn new(service: Arc<Service>) -> datafusion::common::Result<Self> {
        let metadata = Metadata::new(service.store.catalog())?;
        Ok(Self { service, metadata })
    }

    /// The statements of a request. A syntax error anywhere refuses the whole.
    pub fn parse(&self, text: &str) -> PgWireResult<Vec<Work>> {
        let catalog = self.service.store.catalog();
        let mut work = Vec::new();
        // Neighbouring T-SQL statements are parsed together: they share variables.
        let mut sql: Option<(usize, usize)> = None;
        for tokens in scan::statements(text) {
            let (start, end) = (tokens[0].start, tokens[tokens.len() - 1].end());
            let route = route(&tokens, catalog, text);
            if matches!(route, Ok(Route::Tsql)) {
                sql = Some((sql.map_or(start, |(first, _)| first), end));
                continue;
            }
            if let Some((start, end)) = sql.take() {
                self.parse_sql(text, start, end, &mut work)?;
            }
            match route {
                Ok(Route::Session(command)) => work.push(Work::Session(command)),
                Ok(Route::Catalog | Route::Tsql) => {
                    let parsed = self.metadata.parse(&text[start..end]);
                    let parsed = parsed.map_err(|e| to_wire(&from_datafusion(e), text))?;
                    work.extend(parsed.map(|s| Work::Query(Query::Catalog(Box::new(s)))));
                }
                Err(refused) => work.push(Work::Refused(refused)),
            }
        }
        if let Some((start, end)) = sql {
            self.parse_sql(text, start, end, &mut work)?;
        }
        Ok(work)
    }

    fn parse_sql(
        &self,
        text: &str,
        start: usize,
        end: usize,
        work: &mut Vec<Work>,
    ) -> PgWireResult<()> {
        // What stands before is blanked, so that places are those of the whole text.
        let blank = |c: char| if c == '\n' { '\n' } else { ' ' };
        let padded: String =
            text[..start].chars().map(blank).chain(text[start..end].chars()).collect();
        let parsed = tsql::parse(&padded, self.service.store.catalog());
        for statement in parsed.map_err(|e| to_wire(&e, text))? {
            work.push(match statement {
                tsql::Statement::Begin => Work::Session(Command::Begin),
                tsql::Statement::Commit => Work::Session(Command::Commit),
                tsql::Statement::Rollback => Work::Session(Command::Rollback),
                tsql::Statement::Set { .. } | tsql::Statement::Use => {
                    Work::Session(Command::Accepted("SET"))
                }
                tsql::Statement::Reset { command } => Work::Session(Command::Accepted(command)),
                tsql::Statement::Show { name } => Work::Session(Command::Show(name)),
                tsql::Statement::Query(query) => Work::Query(Query::Sql(query)),
                tsql::Statement::Explain { query, analyze, .. } => {
                    Work::Query(Query::Explain { query, analyze })
                }
            });
        }
        Ok(())
    }

    /// What a query answers with and what it asks for, without running it;
    /// `named` are the parameter types the client gave.
    pub async fn describe(
        &self,
        query: &Query,
        named: &[Option<Type>],
        session: &Session,
        text: &str,
    ) -> PgWireResult<(SchemaRef, Parameters)> {
        let plan = self.plan(query, session, text).await?;
        let parameters = Parameters::of(&plan, named)?;
        Ok((self.columns(query, &plan).map_err(|e| to_wire(&e, text))?, parameters))
    }

    /// Runs a query.
    pub async fn run(
        &self,
        query: &Query,
        parameters: Option<&ParamValues>,
        session: &Session,
        text: &str,
    ) -> PgWireResult<Running> {
        let mut plan = self.plan(query, session, text).await?;
        if let Some(values) = parameters {
            let bound = plan.replace_params_with_values(values);
            plan = bound.map_err(|e| to_wire(&from_datafusion(e), text))?;
        } else if let Some(name) =
            plan.get_parameter_names().ok().and_then(|n| n.into_iter().next())
        {
            return Err(plain("42P02", format!("there is no parameter {name}")));
        }
        let schema = self.columns(query, &plan).map_err(|e| to_wire(&e, text))?;
        let batches = match query {
            Query::Sql(_) => self.service.engine.run(plan).await,
            Query::Explain { analyze, .. } => self.explain(plan, *analyze).await,
            Query::Catalog(_) => {
                let settings = session.settings.lock().clone();
                self.metadata.run(plan, &settings).await.map_err(from_datafusion)
            }
        };
        Ok(Running { schema, batches: batches.map_err(|e| to_wire(&e, text))? })
    }

    async fn plan(
        &self,
        query: &Query,
        session: &Session,
        text: &str,
    ) -> PgWireResult<LogicalPlan> {
        let plan = match query {
            Query::Sql(query) | Query::Explain { query, .. } => {
                let snapshot = session.snapshot(&self.service.store);
                self.service.engine.plan_sql(query, &snapshot).and_then(|plan| {
                    only_reads(&plan).map_err(from_datafusion)?;
                    Ok(plan)
                })
            }
            Query::Catalog(statement) => {
                let settings = session.settings.lock().clone();
                let plan = self.metadata.plan(statement.as_ref().clone(), &settings).await;
                plan.map_err(from_datafusion)
            }
        };
        plan.map_err(|e| to_wire(&e, text))
    }

    /// The columns of a query's answer.
    fn columns(&self, query: &Query, plan: &LogicalPlan) -> Result<SchemaRef> {
        Ok(match query {
            Query::Sql(_) => self.service.engine.schema(plan.clone())?,
            Query::Explain { .. } => {
                Arc::new(Schema::new(vec![Field::new("QUERY PLAN", DataType::Utf8View, false)]))
            }
            Query::Catalog(_) => named_columns(plan.schema().as_arrow()),
        })
    }

    /// The lines of a plan's explanation as rows: the logical plan, and how it
    /// is executed.
    async fn explain(&self, plan: LogicalPlan, analyze: bool) -> Result<SendableRecordBatchStream> {
        let engine = &self.service.engine;
        let logical = engine.explain(plan.clone(), false, false).await?;
        let physical = engine.explain(plan, true, analyze).await?;
        let schema =
            Arc::new(Schema::new(vec![Field::new("QUERY PLAN", DataType::Utf8View, false)]));
        let lines: StringViewArray = logical.lines().chain(physical.lines()).map(Some).collect();
        let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(lines)])
            .map_err(|e| Error::internal("an explanation is not a table").caused_by(e))?;
        let rows = futures::stream::iter([Ok(batch)]);
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }
}

/// A statement that has to be alone, as in the extended protocol.
pub fn single(mut work: Vec<Work>) -> PgWireResult<Option<Work>> {
    if work.len() > 1 {
        let message = "cannot insert multiple commands into a prepared statement";
        return Err(plain(state::SYNTAX, message));
    }
    match work.pop() {
        Some(Work::Refused(error)) => Err(error),
        work => Ok(work),
    }
}
