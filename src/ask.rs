//! Questions in any dialect as plans over a snapshot: the path that the command
//! line, `/sysjob/query` and the tests share. Paging belongs to the Web API;
//! here an answer has all its rows.

use std::sync::Arc;

use datafusion::common::Column;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};

use crate::dialect::{Dialect, detect, fetchxml, odata, tsql};
use crate::engine::{Engine, failure};
use crate::error::{Error, Result, codes};
use crate::query::bind::{BindOptions, bind};
use crate::query::bound::BoundQuery;
use crate::query::{Context, Page, Select};
use crate::script::{self, Event, Run};
use crate::store::Snapshot;

/// The queries of a text, planned one after the other, because a script of SQL
/// decides as it goes what comes next.
pub struct Questions<'a> {
    engine: &'a Engine,
    snapshot: &'a Arc<Snapshot>,
    kind: Kind,
    /// Whether there was any query.
    asked: bool,
}

enum Kind {
    /// The only query of a text in another dialect, until it is handed out.
    Single(Option<LogicalPlan>),
    Script(Run, Box<tsql::Session>),
}

impl<'a> Questions<'a> {
    /// Parses a text; `dialect` is found out if it is not given. The context is
    /// of FetchXML and OData; SQL has its own time and zone.
    pub fn new(
        engine: &'a Engine,
        snapshot: &'a Arc<Snapshot>,
        dialect: Option<Dialect>,
        text: &str,
        context: Context,
    ) -> Result<Self> {
        let catalog = snapshot.catalog();
        let single = |select: &Select| -> Result<Kind> {
            Ok(Kind::Single(Some(selected(engine, snapshot, select, context.clone())?)))
        };
        let script = |text: &str| -> Result<Kind> {
            let script = tsql::Script::parse(text, std::iter::empty())?;
            let mut session = tsql::Session::default();
            session.dollars = true;
            Ok(Kind::Script(Run::new(Arc::new(script)), Box::new(session)))
        };
        let kind = match dialect.unwrap_or_else(|| detect(text)) {
            Dialect::FetchXml => single(&fetchxml::parse(text)?)?,
            Dialect::OData => match odata::parse_request(text, catalog)?.query {
                odata::Query::Select(select) => single(&select)?,
                odata::Query::FetchXml { text, .. } => single(&fetchxml::parse(&text)?)?,
                odata::Query::Sql(text) => script(&text)?,
            },
            Dialect::Sql => script(text)?,
        };
        Ok(Self { engine, snapshot, kind, asked: false })
    }

    /// The plan of the next query; `None` when there are no more.
    pub async fn next(&mut self) -> Result<Option<LogicalPlan>> {
        let (run, session) = match &mut self.kind {
            Kind::Single(plan) => return Ok(plan.take()),
            Kind::Script(run, session) => (run, session),
        };
        while let Some(event) = run.next(self.engine, self.snapshot, session).await? {
            match event {
                Event::Query(query) => {
                    self.asked = true;
                    let plan = script::plan(&query, self.engine, self.snapshot, session)?;
                    return Ok(Some(plan));
                }
                Event::Explain { .. } => {
                    return Err(Error::unsupported(
                        "EXPLAIN is for SQL sessions; use `sysjob explain` here",
                    ));
                }
                // Settings, transactions and messages mean nothing to a single question.
                Event::Notice(_) | Event::Statement(_) | Event::Done(_) => {}
            }
        }
        if self.asked || run.may_be_silent() {
            return Ok(None);
        }
        Err(Error::invalid(codes::INVALID_ARGUMENT, "the text holds no query"))
    }

    /// How many rows the last query had, for `@@ROWCOUNT`.
    pub fn answered(&mut self, rows: usize) {
        if let Kind::Script(_, session) = &mut self.kind {
            session.rows = i64::try_from(rows).unwrap_or(i64::MAX);
        }
    }
}

/// The plan of a text that is one query and nothing else.
pub fn plan(
    engine: &Engine,
    snapshot: &Arc<Snapshot>,
    dialect: Option<Dialect>,
    text: &str,
    context: Context,
) -> Result<LogicalPlan> {
    let questions = Questions::new(engine, snapshot, dialect, text, context)?;
    let several = || Error::unsupported("the text is a script, not one query");
    match questions.kind {
        Kind::Single(plan) => plan.ok_or_else(several),
        Kind::Script(run, session) => match run.script().plain().as_deref() {
            Some([tsql::Statement::Query(query)]) => {
                script::plan(query, engine, snapshot, &session)
            }
            _ => Err(several()),
        },
    }
}

fn selected(
    engine: &Engine,
    snapshot: &Arc<Snapshot>,
    select: &Select,
    context: Context,
) -> Result<LogicalPlan> {
    let options = BindOptions { context, ..BindOptions::default() };
    let bound = bind(select, snapshot.catalog(), &options)?;
    let plan = engine.plan(&bound, snapshot)?;
    shown(plan, &bound).map_err(failure)
}

/// A page of a plan's rows, and one row more where there are further ones.
pub fn page(plan: LogicalPlan, page: Page) -> datafusion::common::Result<LogicalPlan> {
    let before = page.size.saturating_mul(page.number.saturating_sub(1));
    let (skip, fetch) = (usize::try_from(before), usize::try_from(page.size + 1));
    LogicalPlanBuilder::from(plan).limit(skip.unwrap_or(usize::MAX), fetch.ok())?.build()
}

/// The rows of the page asked for, without the columns that are only there to
/// sort or to tell that more rows follow.
pub fn shown(plan: LogicalPlan, bound: &BoundQuery) -> datafusion::common::Result<LogicalPlan> {
    let mut builder = LogicalPlanBuilder::from(plan.clone());
    if let Some(page) = bound.page {
        builder = builder.limit(0, usize::try_from(page.size).ok())?;
    }
    if bound.outputs.iter().any(|output| output.hidden) {
        let columns = plan.schema().columns();
        let visible = columns.into_iter().zip(&bound.outputs).filter(|(_, output)| !output.hidden);
        let visible: Vec<Expr> =
            visible.map(|(column, _): (Column, _)| Expr::Column(column)).collect();
        builder = builder.project(visible)?;
    }
    builder.build()
}

#[cfg(test)]
mod tests;
