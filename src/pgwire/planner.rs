//! From the text of a request to statements, plans and running queries.
//!
//! The only file of this module that knows which parser and which engine a
//! statement belongs to; the protocol handlers see [`Work`] and [`Running`].

use std::ops::Range;
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
use crate::dialect::tsql::{self, Script};
use crate::error::{Error, Result};
use crate::script::{self, Event, Run};
use crate::service::Service;

/// A statement that was understood.
pub enum Work {
    Session(Command),
    Query(Query),
    /// Statements that depend on each other: variables, branches, batches.
    Script(Arc<Script>),
    /// Refused when its turn comes; what stands before it is done first.
    Refused(PgWireError),
}

/// A statement that answers with rows.
pub enum Query {
    Sql(Box<tsql::Query>),
    /// The plan of a query as text; `analyze` runs it first.
    Explain {
        query: Box<tsql::Query>,
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

/// What a script comes to, one after the other.
pub enum Progress {
    Work(Work),
    /// A message for the client.
    Notice(String),
    /// A statement without an answer was run; its command tag.
    Done(&'static str),
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
    pub fn parse(&self, text: &str, session: &Session) -> PgWireResult<Vec<Work>> {
        let mut known: Vec<String> = session.sql().variables().map(str::to_owned).collect();
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
                self.parse_sql(text, start..end, session, &mut known, &mut work)?;
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
            self.parse_sql(text, start..end, session, &mut known, &mut work)?;
        }
        Ok(work)
    }

    /// Statements of T-SQL; `known` are the variables declared so far.
    fn parse_sql(
        &self,
        text: &str,
        range: Range<usize>,
        session: &Session,
        known: &mut Vec<String>,
        work: &mut Vec<Work>,
    ) -> PgWireResult<()> {
        // What stands before is blanked, so that places are those of the whole text.
        let blank = |c: char| if c == '\n' { '\n' } else { ' ' };
        let padded: String =
            text[..range.start].chars().map(blank).chain(text[range].chars()).collect();
        let script = Script::parse(&padded, known.iter().map(String::as_str));
        let script = script.map_err(|e| to_wire(&e, text))?;
        let Some(statements) = script.plain().filter(|_| known.is_empty()) else {
            if script.ends_batch() {
                known.clear();
            }
            known.extend(script.declares().map(str::to_lowercase));
            work.push(Work::Script(Arc::new(script)));
            return Ok(());
        };
        let catalog = self.service.store.catalog();
        script.check(0, catalog, &session.sql()).map_err(|e| to_wire(&e, text))?;
        work.extend(statements.into_iter().cloned().filter_map(statement));
        Ok(())
    }

    /// Runs a script until something is to be sent; `None` at its end.
    pub async fn progress(
        &self,
        run: &mut Run,
        sql: &mut tsql::Session,
        session: &Session,
        text: &str,
    ) -> PgWireResult<Option<Progress>> {
        let snapshot = session.snapshot(&self.service.store);
        loop {
            let event = run.next(&self.service.engine, &snapshot, sql).await;
            let Some(event) = event.map_err(|e| to_wire(&e, text))? else { return Ok(None) };
            return Ok(Some(match event {
                Event::Query(query) => Progress::Work(Work::Query(Query::Sql(Box::new(query)))),
                Event::Explain { query, analyze } => {
                    let query = Query::Explain { query: Box::new(query), analyze };
                    Progress::Work(Work::Query(query))
                }
                Event::Notice(text) => Progress::Notice(text),
                Event::Done(tag) => Progress::Done(tag),
                // The script's own session has been told of it.
                Event::Statement(tsql::Statement::Set { .. }) => Progress::Done("SET"),
                Event::Statement(other) => match statement(other) {
                    Some(work) => Progress::Work(work),
                    None => continue,
                },
            }));
        }
    }

    /// What a script answers with, as far as its first query, and what that one
    /// asks for. Nothing that the script does is kept.
    pub async fn describe_script(
        &self,
        script: &Arc<Script>,
        named: &[Option<Type>],
        session: &Session,
        text: &str,
    ) -> PgWireResult<(Option<SchemaRef>, Parameters)> {
        let mut run = Run::new(script.clone());
        let mut sql = session.sql();
        let mut described = None;
        while let Some(progress) = self.progress(&mut run, &mut sql, session, text).await? {
            match progress {
                Progress::Work(Work::Query(query)) if described.is_none() => {
                    described = Some(self.described(&query, named, &mut sql, session, text).await?);
                }
                Progress::Work(_) => return Err(several()),
                Progress::Notice(_) | Progress::Done(_) => {}
            }
        }
        Ok(match described {
            Some((schema, parameters)) => (Some(schema), parameters),
            None => (None, Parameters::default()),
        })
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
        self.described(query, named, &mut session.sql(), session, text).await
    }

    async fn described(
        &self,
        query: &Query,
        named: &[Option<Type>],
        sql: &mut tsql::Session,
        session: &Session,
        text: &str,
    ) -> PgWireResult<(SchemaRef, Parameters)> {
        sql.dollars = false;
        let plan = self.plan(query, sql, session, text).await?;
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
        let mut sql = session.sql();
        // Without parameters `$1` can only be money.
        sql.dollars = parameters.is_none();
        let mut plan = self.plan(query, &sql, session, text).await?;
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
        sql: &tsql::Session,
        session: &Session,
        text: &str,
    ) -> PgWireResult<LogicalPlan> {
        let plan = match query {
            Query::Sql(query) | Query::Explain { query, .. } => {
                let snapshot = session.snapshot(&self.service.store);
                script::plan(query, &self.service.engine, &snapshot, sql).and_then(|plan| {
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

/// What a statement of T-SQL asks of the connection.
fn statement(statement: tsql::Statement) -> Option<Work> {
    use tsql::Statement as S;
    Some(match statement {
        S::Begin => Work::Session(Command::Begin),
        S::Commit => Work::Session(Command::Commit),
        S::Rollback => Work::Session(Command::Rollback),
        S::Set { name, value } => Work::Session(Command::Option(name, value)),
        S::Use => Work::Session(Command::Accepted("SET")),
        S::Reset { command } => Work::Session(Command::Accepted(command)),
        S::Show { name } => Work::Session(Command::Show(name)),
        S::Query(query) => Work::Query(Query::Sql(Box::new(query))),
        S::Explain { query, analyze, .. } => {
            Work::Query(Query::Explain { query: Box::new(query), analyze })
        }
        // Only scripts have these, and run them by themselves.
        S::Fetch { .. } | S::Assign { .. } | S::Declare | S::Print(_) => return None,
    })
}

fn several() -> PgWireError {
    plain(state::SYNTAX, "cannot insert multiple commands into a prepared statement")
}

/// A statement that has to be alone, as in the extended protocol.
pub fn single(mut work: Vec<Work>) -> PgWireResult<Option<Work>> {
    if work.len() > 1 {
        return Err(several());
    }
    match work.pop() {
        Some(Work::Refused(error)) => Err(error),
        work => Ok(work),
    }
}
