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

use super::arrays::as_lists;
use super::command::Command;
use super::copy::{self, Copy, Source};
use super::cursor::{Declaration, Fetch};
use super::encode::Batches;
use super::error::{from_datafusion, plain, state, to_wire, without_position};
use super::interrupt::{apart, aside};
use super::metadata::{Metadata, named_columns, only_reads};
use super::outer::Outer;
use super::params::Parameters;
use super::route::{Route, route};
use super::scan;
use super::session::Session;
use super::settings::Settings;
use crate::dialect::tsql;
use crate::error::{Error, Result};
use crate::service::Service;
use crate::store::Snapshot;

/// A statement that was understood.
pub enum Work {
    Session(Command),
    Query(Arc<Query>),
    /// The rows of a query as `COPY` sends them.
    Copy {
        query: Arc<Query>,
        options: copy::Options,
    },
    Declare {
        declaration: Declaration,
        query: Arc<Query>,
    },
    Fetch(Fetch),
    /// `PREPARE`; the text of the statement stands where it stood in the request.
    Prepare {
        name: String,
        types: Vec<Option<Type>>,
        text: String,
    },
    /// `EXECUTE`; a query for the arguments.
    Execute {
        name: String,
        arguments: Option<Arc<Query>>,
    },
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
    pub batches: Batches,
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
                Ok(Route::Outer(outer)) => work.push(self.outer(outer, text)?),
                Ok(Route::Catalog | Route::Tsql) => {
                    let parsed = self.metadata.parse(&text[start..end]);
                    let parsed = parsed.map_err(|e| to_wire(&from_datafusion(e), text))?;
                    work.extend(parsed.map(|s| Work::Query(Arc::new(Query::Catalog(Box::new(s))))));
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
        let padded = scan::only(text, start, end);
        let parsed = tsql::parse(&padded, self.service.store.catalog());
        for statement in parsed.map_err(|e| to_wire(&e, text))? {
            work.push(match statement {
                tsql::Statement::Begin => Work::Session(Command::Begin),
                tsql::Statement::Commit => Work::Session(Command::Commit { chain: false }),
                tsql::Statement::Rollback => Work::Session(Command::Rollback { chain: false }),
                tsql::Statement::Set { .. } | tsql::Statement::Use => {
                    Work::Session(Command::Accepted("SET"))
                }
                tsql::Statement::Reset { command } => Work::Session(Command::Accepted(command)),
                tsql::Statement::Show { name } => Work::Session(Command::Show(name)),
                tsql::Statement::Query(query) => Work::Query(Arc::new(Query::Sql(query))),
                tsql::Statement::Explain { query, analyze, .. } => {
                    Work::Query(Arc::new(Query::Explain { query, analyze }))
                }
            });
        }
        Ok(())
    }

    /// A statement around another one.
    fn outer(&self, outer: Outer, text: &str) -> PgWireResult<Work> {
        Ok(match outer {
            Outer::Copy(Copy { source: Source::Query(start, end), options }) => {
                Work::Copy { query: self.query(&scan::only(text, start, end))?, options }
            }
            Outer::Copy(Copy { source: Source::Table(query), options }) => {
                Work::Copy { query: self.query(&query).map_err(without_position)?, options }
            }
            Outer::Declare(declaration, start, end) => {
                let query = self.query(&scan::only(text, start, end))?;
                Work::Declare { declaration, query }
            }
            Outer::Fetch(fetch) => Work::Fetch(fetch),
            Outer::Prepare { name, types, start, end } => {
                Work::Prepare { name, types, text: scan::only(text, start, end) }
            }
            Outer::Execute { name, arguments: None } => Work::Execute { name, arguments: None },
            Outer::Execute { name, arguments: Some((start, end)) } => {
                let query = self.query(&format!("SELECT {}", &text[start..end]));
                Work::Execute { name, arguments: Some(query.map_err(without_position)?) }
            }
        })
    }

    /// The query that another statement stands around.
    fn query(&self, text: &str) -> PgWireResult<Arc<Query>> {
        match single(self.parse(text)?)? {
            Some(Work::Query(query)) => Ok(query),
            _ => Err(plain(state::SYNTAX, "syntax error: a query is expected")),
        }
    }

    /// What a query answers with and what it asks for, without running it;
    /// `named` are the parameter types the client gave.
    pub async fn describe(
        self: &Arc<Self>,
        query: &Arc<Query>,
        named: &[Option<Type>],
        session: &Session,
        text: &Arc<str>,
    ) -> PgWireResult<(SchemaRef, Parameters)> {
        let (planner, query, text) = (self.clone(), query.clone(), text.clone());
        let snapshot = session.view(&self.service.store);
        let settings = session.settings.lock().clone();
        let named = named.to_vec();
        aside(move || async move {
            let plan = planner.plan(&query, &snapshot, &settings, &text).await?;
            let parameters = Parameters::of(&plan, &named)?;
            Ok((planner.columns(&query, &plan).map_err(|e| to_wire(&e, &text))?, parameters))
        })
        .await
    }

    /// Runs a query; `columns` are those the client was told, if it was.
    pub async fn run(
        self: &Arc<Self>,
        query: &Arc<Query>,
        parameters: Option<ParamValues>,
        columns: Option<SchemaRef>,
        session: &Session,
        text: &Arc<str>,
    ) -> PgWireResult<Running> {
        let (planner, query, text) = (self.clone(), query.clone(), text.clone());
        let snapshot = session.snapshot(&self.service.store);
        let settings = session.settings.lock().clone();
        aside(move || async move {
            let mut plan = planner.plan(&query, &snapshot, &settings, &text).await?;
            if let Some(values) = parameters {
                let bound = plan.replace_params_with_values(&values);
                plan = bound.map_err(|e| to_wire(&from_datafusion(e), &text))?;
            } else if let Some(name) =
                plan.get_parameter_names().ok().and_then(|n| n.into_iter().next())
            {
                let message = format!("there is no parameter {name}");
                return Err(plain(state::UNKNOWN_PARAMETER, message));
            }
            if !matches!(query.as_ref(), Query::Catalog(_)) {
                plan = as_lists(plan).map_err(|e| to_wire(&from_datafusion(e), &text))?;
            }
            let schema = match columns {
                Some(columns) => columns,
                None => planner.columns(&query, &plan).map_err(|e| to_wire(&e, &text))?,
            };
            let batches = match query.as_ref() {
                Query::Sql(_) => planner.service.engine.run(plan).await,
                Query::Explain { analyze, .. } => planner.explain(plan, *analyze).await,
                Query::Catalog(_) => {
                    planner.metadata.run(plan, &settings).await.map_err(from_datafusion)
                }
            };
            Ok(Running { schema, batches: apart(batches.map_err(|e| to_wire(&e, &text))?) })
        })
        .await
    }

    async fn plan(
        &self,
        query: &Query,
        snapshot: &Arc<Snapshot>,
        settings: &Settings,
        text: &str,
    ) -> PgWireResult<LogicalPlan> {
        let plan = match query {
            Query::Sql(query) | Query::Explain { query, .. } => {
                self.service.engine.plan_sql(query, snapshot).and_then(|plan| {
                    only_reads(&plan).map_err(from_datafusion)?;
                    Ok(plan)
                })
            }
            Query::Catalog(statement) => {
                let plan = self.metadata.plan(statement.as_ref().clone(), settings).await;
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
