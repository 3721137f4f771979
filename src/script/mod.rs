//! Runs scripts of T-SQL: one step after the other, variables and settings in a
//! session, queries handed to the caller, who answers them its own way.
//!
//! A statement's names are settled when its turn comes. Conditions and the
//! values of variables are queries too, over the same snapshot.

mod dynamic;
mod value;

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast;
use futures::TryStreamExt;

use crate::dialect::tsql::{Query, Running, Script, Session, Statement, Step};
use crate::engine::functions::SqlType;
use crate::engine::{Engine, failure};
use crate::error::{Error, ErrorKind, Result, codes};
use crate::store::Snapshot;

/// How often the loops of a script may go round, all together.
const MAX_ROUNDS: usize = 1_000;

/// The parameters of what a script works out by itself: conditions, and the values
/// of variables.
#[derive(Debug, Default)]
pub enum Arguments {
    #[default]
    None,
    Given(ParamValues),
    /// Not known yet: the plans that have parameters, which come to nothing.
    Asked(Vec<LogicalPlan>),
}

/// A script that is being run.
#[derive(Debug)]
pub struct Run {
    script: Arc<Script>,
    /// The next step.
    at: usize,
    /// How often loops went round.
    rounds: usize,
    /// How often the batch has run.
    runs: usize,
    pub arguments: Arguments,
    /// What is gone on with when a text that the script made has been run.
    outer: Vec<dynamic::Frame>,
}

/// What a script comes to that is its caller's business.
#[derive(Debug)]
pub enum Event {
    /// A query to be answered; the caller tells the session how many rows it had.
    Query(Query),
    Explain {
        query: Query,
        analyze: bool,
        json: bool,
    },
    /// `PRINT`.
    Notice(String),
    /// A statement about the session, which has carried out what concerns it.
    Statement(Statement),
    /// A statement without an answer was run; its command tag.
    Done(&'static str),
}

impl Run {
    pub fn new(script: Arc<Script>) -> Self {
        Self { script, at: 0, rounds: 0, runs: 0, arguments: Arguments::None, outer: Vec::new() }
    }

    pub fn script(&self) -> &Script {
        &self.script
    }

    /// Whether the script may do without a query: it decides, it prints, or it runs
    /// a text that it made.
    pub fn may_be_silent(&self) -> bool {
        let silent = |step: &Step| {
            matches!(
                step,
                Step::Unless { .. } | Step::Do(Statement::Print(_) | Statement::Execute(_))
            )
        };
        self.script.steps().iter().any(silent)
    }

    /// Goes on until something is the caller's business; `None` at the end.
    pub async fn next(
        &mut self,
        engine: &Engine,
        snapshot: &Arc<Snapshot>,
        session: &mut Session,
    ) -> Result<Option<Event>> {
        match self.step_by_step(engine, snapshot, session).await {
            Ok(event) => Ok(event),
            Err(error) => Err(self.abandon(error, session)),
        }
    }

    async fn step_by_step(
        &mut self,
        engine: &Engine,
        snapshot: &Arc<Snapshot>,
        session: &mut Session,
    ) -> Result<Option<Event>> {
        loop {
            let script = self.script.clone();
            let Some(step) = script.steps().get(self.at) else {
                match self.leave(session) {
                    true => continue,
                    false => return Ok(None),
                }
            };
            let here = self.at;
            self.at += 1;
            match step {
                Step::StartBatch(variables) => {
                    script.check(here, snapshot.catalog(), session)?;
                    for (name, data_type) in variables {
                        session.declare(name, data_type.clone());
                    }
                }
                Step::Do(Statement::Execute(execute)) => {
                    self.enter(execute, engine, snapshot, session).await?;
                }
                Step::Do(statement) => {
                    let arguments = &mut self.arguments;
                    let event = perform(statement, engine, snapshot, session, arguments).await?;
                    if !matches!(event, Event::Done("")) {
                        return Ok(Some(event));
                    }
                }
                Step::Unless { condition, to } => {
                    let query = condition.resolve(snapshot.catalog(), session)?;
                    let arguments = &mut self.arguments;
                    let answer = evaluated(&query, engine, snapshot, arguments).await;
                    let rows = answer.map_err(|error| condition.placed(error))?.rows;
                    if rows == 0 {
                        self.at = *to;
                    }
                }
                Step::Jump(to) => self.at = *to,
                Step::Again(start) => {
                    self.rounds += 1;
                    if self.rounds > MAX_ROUNDS {
                        let message =
                            format!("the loops of a script go round {MAX_ROUNDS} times at most");
                        let error = Error::new(ErrorKind::Limit, codes::INVALID_ARGUMENT, message);
                        return Err(error.sqlstate("54000"));
                    }
                    self.at = *start;
                }
                Step::EndBatch { start, runs } => {
                    session.forget_variables();
                    self.runs += 1;
                    if self.runs < *runs {
                        self.at = *start;
                    } else {
                        self.runs = 0;
                    }
                }
                // Parsing made jumps of these.
                Step::Return => {}
            }
        }
    }
}

/// The plan of a query, its names settled, within the rows that a session allows.
pub fn plan(
    query: &Query,
    engine: &Engine,
    snapshot: &Arc<Snapshot>,
    session: &Session,
) -> Result<LogicalPlan> {
    plan_headed(query, engine, snapshot, session).map(|(plan, _)| plan)
}

/// The same, and the headings of the columns. The columns of a plan have different
/// names, those of an answer need not.
pub fn plan_headed(
    query: &Query,
    engine: &Engine,
    snapshot: &Arc<Snapshot>,
    session: &Session,
) -> Result<(LogicalPlan, Vec<String>)> {
    let (tree, headings) = query.resolve_headed(snapshot.catalog(), session)?;
    let plan = engine.plan_sql(&tree, snapshot).map_err(|error| query.placed(error))?;
    let Some(rows) = session.options.rowcount else { return Ok((plan, headings)) };
    let rows = usize::try_from(rows).unwrap_or(usize::MAX);
    let limited = LogicalPlanBuilder::from(plan).limit(0, Some(rows));
    let limited = limited.and_then(LogicalPlanBuilder::build).map_err(failure)?;
    Ok((limited, headings))
}

async fn perform(
    statement: &Statement,
    engine: &Engine,
    snapshot: &Arc<Snapshot>,
    session: &mut Session,
    arguments: &mut Arguments,
) -> Result<Event> {
    let catalog = snapshot.catalog();
    Ok(match statement {
        Statement::Query(query) => Event::Query(query.clone()),
        Statement::Explain { query, analyze, json, .. } => {
            Event::Explain { query: query.clone(), analyze: *analyze, json: *json }
        }
        Statement::Fetch { variables, query } => {
            if let Some(running) = query.running(variables, catalog, session)? {
                session.rows = run_over_rows(&running, engine, snapshot, session).await?;
                return Ok(Event::Done(statement.tag()));
            }
            let tree = query.resolve_for(variables, catalog, session)?;
            let answer = evaluated(&tree, engine, snapshot, arguments).await;
            let Evaluated { rows, last_row } = answer.map_err(|error| query.placed(error))?;
            for (variable, value) in variables.iter().zip(last_row.into_iter().flatten()) {
                session.assign(variable, value);
            }
            session.rows = rows;
            Event::Done(statement.tag())
        }
        Statement::Assign { variable, query, tag } => {
            let tree = query.resolve_for(std::slice::from_ref(variable), catalog, session)?;
            let answer = evaluated(&tree, engine, snapshot, arguments).await;
            let row = answer.map_err(|error| query.placed(error))?.last_row;
            session.assign(variable, row.and_then(|row| row.into_iter().next()).flatten());
            session.rows = 1;
            Event::Done(tag)
        }
        Statement::Declare => Event::Done(statement.tag()),
        Statement::Print(query) => {
            let tree = query.resolve(catalog, session)?;
            let answer = evaluated(&tree, engine, snapshot, arguments).await;
            let row = answer.map_err(|error| query.placed(error))?.last_row;
            let text = row.and_then(|row| row.into_iter().next()).flatten();
            // SQL Server prints a space for nothing.
            Event::Notice(text.unwrap_or_else(|| " ".into()))
        }
        Statement::Set { name, value } => {
            session.set(name, value)?;
            Event::Statement(statement.clone())
        }
        other => Event::Statement(other.clone()),
    })
}

/// Assigns variables row by row; the number of rows.
async fn run_over_rows(
    running: &Running,
    engine: &Engine,
    snapshot: &Arc<Snapshot>,
    session: &mut Session,
) -> Result<i64> {
    let plan = engine.plan_sql(&running.rows, snapshot)?;
    let mut batches = engine.run(plan).await?;
    let schema = batches.schema();
    let types: Vec<SqlType> = schema.fields().iter().map(|field| SqlType::of(field)).collect();
    let step = running.step(&types, snapshot.catalog(), session)?;
    let step = engine.plan_sql(&step, snapshot)?;
    let mut stepping = engine.stepping(step, types.len()).await?;
    let mut rows = 0;
    while let Some(batch) = batches.try_next().await.map_err(failure)? {
        rows += i64::try_from(batch.num_rows()).unwrap_or(i64::MAX);
        stepping.advance(&batch, &running.assigned)?;
    }
    if rows > 0 {
        for (variable, value) in running.variables.iter().zip(stepping.kept()?) {
            session.assign(variable, value::text(&value));
        }
    }
    Ok(rows)
}

/// What a query of values gave.
struct Evaluated {
    rows: i64,
    /// As text; `None` is null.
    last_row: Option<Vec<Option<String>>>,
}

async fn evaluated(
    query: &ast::Query,
    engine: &Engine,
    snapshot: &Arc<Snapshot>,
    arguments: &mut Arguments,
) -> Result<Evaluated> {
    let mut plan = engine.plan_sql(query, snapshot)?;
    if !plan.get_parameter_names().map_err(failure)?.is_empty() {
        match arguments {
            Arguments::Given(values) => {
                plan = plan.replace_params_with_values(values).map_err(failure)?;
            }
            Arguments::Asked(plans) => {
                plans.push(plan);
                return Ok(Evaluated { rows: 0, last_row: None });
            }
            Arguments::None => {}
        }
    }
    let mut batches = engine.run(plan).await?;
    let mut answer = Evaluated { rows: 0, last_row: None };
    let mut last: Option<RecordBatch> = None;
    while let Some(batch) = batches.try_next().await.map_err(failure)? {
        answer.rows += i64::try_from(batch.num_rows()).unwrap_or(i64::MAX);
        if batch.num_rows() > 0 {
            last = Some(batch);
        }
    }
    if let Some(batch) = last {
        let columns = batch.columns().iter();
        let cell = |column| ScalarValue::try_from_array(column, batch.num_rows() - 1);
        let cells = columns.map(|column| cell(column).map(|c| value::text(&c)).map_err(failure));
        answer.last_row = Some(cells.collect::<Result<_>>()?);
    }
    Ok(answer)
}

#[cfg(test)]
mod tests;
