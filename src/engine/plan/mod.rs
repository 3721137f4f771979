//! Bound FetchXML and OData queries as DataFusion plans, built with the plan
//! builder. The plan says plainly what was asked; [`super::semantics`] gives it
//! its meaning, as it does for plans that come from SQL.
//!
//! Parts: [`rows`] the joined and filtered rows, [`predicate`] conditions,
//! [`outputs`] the columns and the order of plain queries, [`aggregate`] groups, [`dates`] parts of dates.

mod after;
mod aggregate;
mod dates;
mod limit;
mod outputs;
mod predicate;
mod rows;

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::functions_aggregate::count::count_all;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};

use super::semantics::column;
use crate::catalog::Table;
use crate::query::bound::{BoundQuery, Column};
use crate::store::Snapshot;

/// The plan of a query. With a page it yields one row more than the page holds
/// when there are further rows.
pub fn plan(query: &BoundQuery, snapshot: &Arc<Snapshot>) -> Result<LogicalPlan> {
    let builder = Builder { query, snapshot };
    let plan = builder.after(builder.rows()?)?;
    let plan = if query.aggregate { builder.aggregate(plan)? } else { builder.project(plan)? };
    let (skip, fetch) = match query.page {
        Some(page) => {
            let from = query.after.as_ref().map_or(0, |after| after.page);
            ((page.number - 1 - from).saturating_mul(page.size), Some(page.size + 1))
        }
        None => (0, None),
    };
    // With both, `top` cuts the whole answer and the page is a part of it.
    let fetch = match (query.top, fetch) {
        (Some(top), Some(fetch)) => Some(fetch.min(top.saturating_sub(skip))),
        (top, fetch) => top.or(fetch),
    };
    match (skip, fetch) {
        (0, None) => Ok(plan),
        (skip, fetch) => {
            LogicalPlanBuilder::from(plan).limit(skip as usize, fetch.map(|n| n as usize))?.build()
        }
    }
}

/// The plan that counts a query's rows, whatever `top` and page say.
pub fn count_plan(query: &BoundQuery, snapshot: &Arc<Snapshot>) -> Result<LogicalPlan> {
    let builder = Builder { query, snapshot };
    let mut plan = builder.rows()?;
    if query.aggregate {
        plan = builder.aggregate(plan)?;
    } else if query.distinct {
        plan = builder.project(plan)?;
    }
    LogicalPlanBuilder::from(plan).aggregate(Vec::<Expr>::new(), vec![count_all()])?.build()
}

struct Builder<'a> {
    query: &'a BoundQuery,
    snapshot: &'a Arc<Snapshot>,
}

impl Builder<'_> {
    fn source(&self, source: usize) -> (&Table, &str) {
        match source.checked_sub(1) {
            None => (&self.query.root, &self.query.root.logical_name),
            Some(join) => (&self.query.joins[join].table, &self.query.joins[join].alias),
        }
    }

    fn column(&self, of: Column) -> Expr {
        let (table, alias) = self.source(of.source);
        column(alias, &table.columns[of.column].logical_name)
    }
}

#[cfg(test)]
mod tests;
