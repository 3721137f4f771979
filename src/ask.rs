//! A question in any dialect as plans over a snapshot: the path that the command
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
use crate::store::Snapshot;

/// The plans of a text, one a query; `dialect` is found out if it is not given.
/// The context is of FetchXML and OData; SQL has its own time and zone.
pub fn plans(
    engine: &Engine,
    snapshot: &Arc<Snapshot>,
    dialect: Option<Dialect>,
    text: &str,
    context: Context,
) -> Result<Vec<LogicalPlan>> {
    let catalog = snapshot.catalog();
    match dialect.unwrap_or_else(|| detect(text)) {
        Dialect::FetchXml => {
            Ok(vec![selected(engine, snapshot, &fetchxml::parse(text)?, context)?])
        }
        Dialect::OData => {
            let select = match odata::parse_request(text, catalog)?.query {
                odata::Query::Select(select) => *select,
                odata::Query::FetchXml { text, .. } => fetchxml::parse(&text)?,
                odata::Query::Sql(text) => {
                    return plans(engine, snapshot, Some(Dialect::Sql), &text, context);
                }
            };
            Ok(vec![selected(engine, snapshot, &select, context)?])
        }
        Dialect::Sql => {
            let mut plans = Vec::new();
            for statement in tsql::parse(text, catalog)? {
                match statement {
                    tsql::Statement::Query(query) => plans.push(engine.plan_sql(&query, snapshot)?),
                    tsql::Statement::Explain { .. } => {
                        return Err(Error::unsupported(
                            "EXPLAIN is for SQL sessions; use `sysjob explain` here",
                        ));
                    }
                    // Settings and transactions mean nothing to a single question.
                    _ => {}
                }
            }
            if plans.is_empty() {
                return Err(Error::invalid(codes::INVALID_ARGUMENT, "the text holds no query"));
            }
            Ok(plans)
        }
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
