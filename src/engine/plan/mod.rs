//! Bound FetchXML and OData queries as DataFusion plans, built with the plan
//! builder. The plan says plainly what was asked; [`super::semantics`] gives it
//! its meaning, as it does for plans that come from SQL.
//!
//! Parts: [`rows`] the joined and filtered rows, [`stages`] those that come from
//! other queries, [`after`] where a page starts, [`predicate`] conditions,
//! [`scalar`] values, [`dates`] parts of dates, [`outputs`] the columns and the
//! order of plain queries, [`aggregate`] groups, within their [`limit`].

mod after;
mod aggregate;
mod dates;
mod limit;
mod outputs;
mod predicate;
mod rows;
mod scalar;
mod stages;

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::functions_aggregate::count::count_all;
use datafusion::logical_expr::expr::Sort;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};

use super::semantics::column;
use crate::catalog::Table;
use crate::query::bound::{BoundQuery, Column};
use crate::store::Snapshot;

/// The plan of a query. With a page it yields one row more than the page holds
/// when there are further rows.
pub fn plan(query: &BoundQuery, snapshot: &Arc<Snapshot>) -> Result<LogicalPlan> {
    let plan = Builder { query, snapshot }.ordered()?.sorted()?;
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
    // A page that starts after a row has left these out before.
    let skip = if query.after.is_none() { skip.saturating_add(query.skip) } else { skip };
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
    let plan = match query.aggregate || query.distinct {
        true => builder.ordered()?.projected()?,
        false => builder.rows()?,
    };
    LogicalPlanBuilder::from(plan).aggregate(Vec::<Expr>::new(), vec![count_all()])?.build()
}

/// Rows, the keys to sort them by, and what is shown of them after that; rows that
/// have been projected already have no outputs.
struct Ordered {
    plan: LogicalPlan,
    keys: Vec<Sort>,
    outputs: Option<Vec<Expr>>,
}

impl Ordered {
    fn sorted(mut self) -> Result<LogicalPlan> {
        if !self.keys.is_empty() {
            let keys = std::mem::take(&mut self.keys);
            self.plan = LogicalPlanBuilder::from(self.plan).sort(keys)?.build()?;
        }
        self.projected()
    }

    /// Without the order.
    fn projected(self) -> Result<LogicalPlan> {
        match self.outputs {
            Some(outputs) => LogicalPlanBuilder::from(self.plan).project(outputs)?.build(),
            None => Ok(self.plan),
        }
    }
}

struct Builder<'a> {
    query: &'a BoundQuery,
    snapshot: &'a Arc<Snapshot>,
}

impl Builder<'_> {
    /// The answer without page and limits.
    fn ordered(&self) -> Result<Ordered> {
        let rows = self.after(self.rows()?)?;
        if self.query.aggregate { self.aggregate(rows) } else { self.project(rows) }
    }

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
