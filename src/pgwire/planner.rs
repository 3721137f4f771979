//! From the text of a request to statements, plans and running queries.
//!
//! The only file of this module that knows which parser and which engine a
//! statement belongs to; the protocol handlers see [`Work`] and [`Running`].

use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{RecordBatch, StringViewArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{DataFusionError, ParamValues};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::sql::sqlparser::ast;
use futures::{StreamExt, TryStreamExt};
use pgwire::api::Type;
use pgwire::error::{PgWireError, PgWireResult};

use super::arrays::as_lists;
use super::command::{Begin, Command};
use super::copy::{self, Copy, Source};
use super::cursor::{Declaration, Fetch};
use super::encode::Batches;
use super::error::{from_datafusion, plain, state, to_wire, without_position};
use super::explain;
use super::interrupt::{apart, aside};
use super::metadata::{Metadata, named_columns, only_reads};
use super::outer::Outer;
use super::params::Parameters;
use super::route::{Route, route};
use super::scan;
use super::session::Session;
use super::view::{Sessions, View};
use crate::dialect::tsql::{self, Script};
use crate::error::{Error, Result};
use crate::script::{self, Arguments, Event, Run};
use crate::service::Service;
use crate::store::Snapshot;

/// A statement that was understood.
pub enum Work {
    Session(Command),
    Query(Arc<Query>),
    /// Statements that depend on each other: variables, branches, batches.
    Script(Arc<Script>),
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
    Sql(Box<tsql::Query>),
    /// The plan of a query as text or JSON; `analyze` runs it first.
    Explain {
        query: Box<tsql::Query>,
        analyze: bool,
        json: bool,
    },
    Catalog(Box<ast::Statement>),
}

impl Query {
    /// An error with the place of the value that it is about, where that is known.
    fn placed(&self, error: Error) -> Error {
        match self {
            Self::Sql(query) | Self::Explain { query, .. } => query.placed(error),
            Self::Catalog(_) => error,
        }
    }

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
    pub batches: Batches,
}

/// Parses and plans for all connections of a server.
pub struct Planner {
    pub service: Arc<Service>,
    pub sessions: Arc<Sessions>,
    metadata: Metadata,
}

impl Planner {
    pub fn new(service: Arc<Service>) -> datafusion::common::Result<Self> {
        let metadata = Metadata::new(service.store.catalog())?;
        Ok(Self { service, sessions: Arc::default(), metadata })
    }

    /// The statements of a request. A syntax error anywhere refuses the whole.
    pub fn parse(&self, text: &str, session: &Session) -> PgWireResult<Vec<Work>> {
        if text.contains(char::REPLACEMENT_CHARACTER) {
            // What was no UTF-8 has come as this.
            let message = "invalid byte sequence for encoding \"UTF8\"";
            return Err(plain("22021", message));
        }
        let plainer = explain::without_options(text)?;
        let text = plainer.as_ref();
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
                self.parse_sql(text, start..end, &mut known, &mut work)?;
            }
            match route {
                Ok(Route::Session(command)) => work.push(Work::Session(command)),
                Ok(Route::Outer(outer)) => work.push(self.outer(outer, text, session)?),
                Ok(Route::Catalog | Route::Tsql) => {
                    let parsed = self.metadata.parse(&text[start..end]);
                    let parsed = parsed.map_err(|e| to_wire(&from_datafusion(e), text))?;
                    work.extend(parsed.map(|s| Work::Query(Arc::new(Query::Catalog(Box::new(s))))));
                }
                Err(refused) => work.push(Work::Refused(refused)),
            }
        }
        if let Some((start, end)) = sql {
            self.parse_sql(text, start..end, &mut known, &mut work)?;
        }
        Ok(work)
    }

    /// Statements of T-SQL; `known` are the variables declared so far.
    fn parse_sql(
        &self,
        text: &str,
        range: Range<usize>,
        known: &mut Vec<String>,
        work: &mut Vec<Work>,
    ) -> PgWireResult<()> {
        let padded = scan::only(text, range.start, range.end);
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
        // As in PostgreSQL, a name that is wrong is found when its statement's turn comes.
        work.extend(statements.into_iter().cloned().filter_map(statement));
        Ok(())
    }

    /// Runs a script until something is to be sent; `None` at its end.
    pub async fn progress(
        &self,
        run: &mut Run,
        sql: &mut tsql::Session,
        snapshot: &Arc<Snapshot>,
        text: &str,
    ) -> PgWireResult<Option<Progress>> {
        loop {
            let event = run.next(&self.service.engine, snapshot, sql).await;
            let Some(event) = event.map_err(|e| to_wire(&e, text))? else { return Ok(None) };
            return Ok(Some(match event {
                Event::Query(query) => {
                    Progress::Work(Work::Query(Arc::new(Query::Sql(Box::new(query)))))
                }
                Event::Explain { query, analyze, json } => {
                    let query = Query::Explain { query: Box::new(query), analyze, json };
                    Progress::Work(Work::Query(Arc::new(query)))
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
        self: &Arc<Self>,
        script: &Arc<Script>,
        named: &[Option<Type>],
        session: &Session,
        text: &Arc<str>,
    ) -> PgWireResult<(Option<SchemaRef>, Parameters)> {
        let mut run = Run::new(script.clone());
        run.arguments = Arguments::Asked(Vec::new());
        let mut sql = session.sql();
        let snapshot = session.view(&self.service.store);
        let mut described = None;
        while let Some(progress) = self.progress(&mut run, &mut sql, &snapshot, text).await? {
            match progress {
                Progress::Work(Work::Query(query)) if described.is_none() => {
                    let sql = sql.clone();
                    described = Some(self.described(&query, named, sql, session, text).await?);
                }
                Progress::Work(_) => return Err(several()),
                Progress::Notice(_) | Progress::Done(_) => {}
            }
        }
        let (schema, mut parameters) = match described {
            Some((schema, parameters)) => (Some(schema), parameters),
            None => (None, Parameters::default()),
        };
        if let Arguments::Asked(plans) = run.arguments {
            for plan in &plans {
                parameters.add(Parameters::of(plan, named)?);
            }
        }
        Ok((schema, parameters))
    }

    /// A statement around another one.
    fn outer(&self, outer: Outer, text: &str, session: &Session) -> PgWireResult<Work> {
        Ok(match outer {
            Outer::Copy(Copy { source: Source::Query(start, end), options }) => {
                Work::Copy { query: self.query(&scan::only(text, start, end), session)?, options }
            }
            Outer::Copy(Copy { source: Source::Table(query), options }) => Work::Copy {
                query: self.query(&query, session).map_err(without_position)?,
                options,
            },
            Outer::Declare(declaration, start, end) => {
                let query = self.query(&scan::only(text, start, end), session)?;
                Work::Declare { declaration, query }
            }
            Outer::Fetch(fetch) => Work::Fetch(fetch),
            Outer::Prepare { name, types, start, end } => {
                Work::Prepare { name, types, text: scan::only(text, start, end) }
            }
            Outer::Execute { name, arguments: None } => Work::Execute { name, arguments: None },
            Outer::Execute { name, arguments: Some((start, end)) } => {
                let query = self.query(&format!("SELECT {}", &text[start..end]), session);
                Work::Execute { name, arguments: Some(query.map_err(without_position)?) }
            }
        })
    }

    /// The query that another statement stands around.
    fn query(&self, text: &str, session: &Session) -> PgWireResult<Arc<Query>> {
        match single(self.parse(text, session)?)? {
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
        self.described(query, named, session.sql(), session, text).await
    }

    async fn described(
        self: &Arc<Self>,
        query: &Arc<Query>,
        named: &[Option<Type>],
        mut sql: tsql::Session,
        session: &Session,
        text: &Arc<str>,
    ) -> PgWireResult<(SchemaRef, Parameters)> {
        sql.dollars = false;
        let (planner, query, text) = (self.clone(), query.clone(), text.clone());
        let snapshot = session.view(&self.service.store);
        let view = self.view(&query, session);
        let named = named.to_vec();
        aside(move || async move {
            let (plan, headings) = planner.plan(&query, &sql, &snapshot, &view, &text).await?;
            let parameters = Parameters::of(&plan, &named)?;
            // What has the type of a parameter has it now.
            let plan = plan.replace_params_with_values(&parameters.nulls()?);
            let plan = plan.map_err(|e| to_wire(&query.placed(from_datafusion(e)), &text))?;
            let columns = planner.columns(&query, &plan, &headings);
            Ok((columns.map_err(|e| to_wire(&query.placed(e), &text))?, parameters))
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
        let view = self.view(&query, session);
        let mut sql = session.sql();
        // Without parameters `$1` can only be money.
        sql.dollars = parameters.is_none();
        aside(move || async move {
            let (mut plan, headings) = planner.plan(&query, &sql, &snapshot, &view, &text).await?;
            if let Some(values) = parameters {
                let bound = plan.replace_params_with_values(&values);
                plan = bound.map_err(|e| to_wire(&from_datafusion(e), &text))?;
            } else if let Some(name) =
                plan.get_parameter_names().ok().and_then(|n| n.into_iter().next())
            {
                let message = format!("there is no parameter {name}");
                return Err(plain(state::UNKNOWN_PARAMETER, message));
            }
            plan = as_lists(plan).map_err(|e| to_wire(&from_datafusion(e), &text))?;
            let schema = match columns {
                Some(columns) => columns,
                None => {
                    let columns = planner.columns(&query, &plan, &headings);
                    columns.map_err(|e| to_wire(&query.placed(e), &text))?
                }
            };
            let batches = match query.as_ref() {
                Query::Sql(_) => planner.service.engine.run(plan).await,
                Query::Explain { analyze, json, .. } => {
                    planner.explain(plan, *analyze, *json).await
                }
                Query::Catalog(_) => {
                    planner.metadata.run(plan, &view).await.map_err(from_datafusion)
                }
            };
            let batches = batches.map_err(|e| to_wire(&query.placed(e), &text))?;
            Ok(Running { schema, batches: placed(query, apart(batches)) })
        })
        .await
    }

    /// What a query sees of the sessions, if it asks the catalogs.
    fn view(&self, query: &Query, session: &Session) -> Arc<View> {
        match query {
            Query::Catalog(_) => Arc::new(View::new(session, &self.sessions)),
            Query::Sql(_) | Query::Explain { .. } => Arc::default(),
        }
    }

    async fn plan(
        &self,
        query: &Query,
        sql: &tsql::Session,
        snapshot: &Arc<Snapshot>,
        view: &Arc<View>,
        text: &str,
    ) -> PgWireResult<(LogicalPlan, Vec<String>)> {
        let plan = match query {
            Query::Sql(query) | Query::Explain { query, .. } => {
                script::plan_headed(query, &self.service.engine, snapshot, sql).and_then(
                    |(plan, headings)| {
                        only_reads(&plan).map_err(from_datafusion)?;
                        Ok((plan, headings))
                    },
                )
            }
            Query::Catalog(statement) => {
                let plan = self.metadata.plan(statement.as_ref().clone(), view).await;
                plan.map(|plan| (plan, Vec::new())).map_err(from_datafusion)
            }
        };
        plan.map_err(|e| to_wire(&e, text))
    }

    /// The columns of a query's answer.
    fn columns(&self, query: &Query, plan: &LogicalPlan, headings: &[String]) -> Result<SchemaRef> {
        Ok(match query {
            Query::Sql(_) => headed(&self.service.engine.schema(plan.clone())?, headings),
            Query::Explain { .. } => {
                Arc::new(Schema::new(vec![Field::new("QUERY PLAN", DataType::Utf8View, false)]))
            }
            Query::Catalog(_) => named_columns(plan.schema().as_arrow()),
        })
    }

    /// The lines of a plan's explanation as rows: the logical plan, and how it
    /// is executed. As JSON it is one row.
    async fn explain(
        &self,
        plan: LogicalPlan,
        analyze: bool,
        json: bool,
    ) -> Result<SendableRecordBatchStream> {
        let engine = &self.service.engine;
        let lines: StringViewArray = if json {
            let tree = engine.explain_tree(plan, analyze).await?;
            std::iter::once(Some(format!("{:#}", serde_json::json!([{ "Plan": tree }])))).collect()
        } else {
            let logical = engine.explain(plan.clone(), false, false).await?;
            let physical = engine.explain(plan, true, analyze).await?;
            logical.lines().chain(physical.lines()).map(Some).collect()
        };
        let schema =
            Arc::new(Schema::new(vec![Field::new("QUERY PLAN", DataType::Utf8View, false)]));
        let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(lines)])
            .map_err(|e| Error::internal("an explanation is not a table").caused_by(e))?;
        let rows = futures::stream::iter([Ok(batch)]);
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }
}

/// Columns under their headings.
fn headed(columns: &SchemaRef, headings: &[String]) -> SchemaRef {
    let named =
        |(field, heading): (&Arc<Field>, &String)| Field::clone(field).with_name(heading.as_str());
    if columns.fields().len() != headings.len() {
        return columns.clone();
    }
    let fields: Vec<Field> = columns.fields().iter().zip(headings).map(named).collect();
    Arc::new(Schema::new_with_metadata(fields, columns.metadata().clone()))
}

/// Rows whose error tells the place of the value that it is about.
fn placed(query: Arc<Query>, batches: Batches) -> Batches {
    let placed = move |error| {
        let error = query.placed(from_datafusion(error));
        DataFusionError::External(Box::new(error))
    };
    batches.map_err(placed).boxed()
}

/// What a statement of T-SQL asks of the connection.
fn statement(statement: tsql::Statement) -> Option<Work> {
    use tsql::Statement as S;
    Some(match statement {
        S::Begin => Work::Session(Command::Begin(Begin::default())),
        S::Commit => Work::Session(Command::Commit { chain: false }),
        S::Rollback => Work::Session(Command::Rollback { chain: false }),
        S::Set { name, value } => Work::Session(Command::Option(name, value)),
        S::Use => Work::Session(Command::Accepted("SET")),
        S::Reset { command } => Work::Session(Command::Accepted(command)),
        S::Show { name } => Work::Session(Command::Show(name)),
        S::Query(query) => Work::Query(Arc::new(Query::Sql(Box::new(query)))),
        S::Explain { query, analyze, json, .. } => {
            Work::Query(Arc::new(Query::Explain { query: Box::new(query), analyze, json }))
        }
        // Only scripts have these, and run them by themselves.
        S::Fetch { .. } | S::Assign { .. } | S::Declare | S::Execute(_) | S::Print(_) => {
            return None;
        }
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
