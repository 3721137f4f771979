//! Names → catalog tables, columns, types and values; all validation. The only
//! step that judges names: what it lets through, the engine can plan.
//!
//! Parts: [`sources`] and [`links`] the tables, [`stages`] the queries inside,
//! [`columns`] the names on them, [`predicate`], [`related`], [`operators`],
//! [`scalar`], [`call`] and [`literal`] the conditions, [`outputs`], [`order`]
//! and [`page`] the answer.

mod call;
mod columns;
mod links;
mod literal;
mod operators;
mod order;
mod outputs;
mod page;
mod predicate;
mod related;
mod scalar;
mod sources;
mod stages;

#[cfg(test)]
mod tests;

use self::sources::Source;
use super::bound::{BoundQuery, Join, Output, Stage};
use super::{Context, Input, Select, Style, limits};
use crate::catalog::Catalog;
use crate::error::{Result, codes};

/// What the answer needs beside the columns asked for.
#[derive(Clone, Debug, Default)]
pub struct BindOptions {
    /// Fetch the names and tables of lookups too, for annotations.
    pub annotations: bool,
    /// Fetch the version of each row of the root table.
    pub version: bool,
    pub context: Context,
}

/// Settles every name of a query, or says which one is wrong and where.
pub fn bind(select: &Select, catalog: &Catalog, options: &BindOptions) -> Result<BoundQuery> {
    let limits = options.context.dataverse_limits;
    limits::check_size(select)?;
    if limits {
        limits::check(select)?;
    }
    let cut = |rows: Option<u64>, most| match limits {
        true => Some(rows.map_or(most, |rows| rows.min(most))),
        false => rows,
    };
    let mut binder = Binder::new(select, catalog, &options.context)?;
    let computed = binder.compute(&select.compute)?;
    binder.add_links(&select.links)?;
    let mut checked = binder.add_outputs(select);
    let mut filter = None;
    if let Some(given) = &select.filter {
        let bound = binder.predicate(given, binder.root_scope());
        checked = binder.both(checked, bound.map(|bound| filter = Some(bound)));
    }
    let link_filters = binder.bind_link_filters(&select.links);
    checked = binder.both(checked, link_filters);
    // What groups and distinct rows are ordered by is known only when they are.
    if checked.is_err() && !select.aggregate && !select.distinct {
        let order = binder.order(select).map(drop);
        checked = binder.both(checked, order);
    }
    checked?;
    if options.annotations {
        binder.add_annotations();
    }
    if options.version && matches!(select.input, Input::Table) {
        binder.add_version();
    }
    let share = select.share.as_ref().map(|share| binder.share(share)).transpose()?;
    let mut order = binder.order(select)?;
    let page_keys = binder.page_keys(select, &mut order);
    let after = binder.after(select, &order, &page_keys)?;
    let Binder { mut sources, joins, outputs, stages, .. } = binder;
    Ok(BoundQuery {
        style: select.style,
        root: sources.swap_remove(0).table,
        input: stages,
        computed,
        joins,
        filter,
        aggregate: select.aggregate,
        distinct: select.distinct,
        aggregate_limit: cut(select.aggregate_limit, limits::AGGREGATE_ROWS_MAX)
            .filter(|_| select.aggregate),
        outputs,
        order,
        share,
        skip: select.skip,
        top: select.top.and_then(|top| cut(Some(top), limits::ROWS_MAX)),
        page: select.page,
        page_keys,
        after,
        count: select.count,
        timezone: options.context.timezone,
        calendar: options.context.calendar,
    })
}

/// What is settled so far.
struct Binder<'a> {
    catalog: &'a Catalog,
    context: &'a Context,
    style: Style,
    aggregate: bool,
    distinct: bool,
    raw_order: bool,
    /// Queries that the root's rows come from.
    stages: Vec<Stage>,
    /// The root's columns that were behind navigation properties in them.
    paths: Vec<(String, usize)>,
    /// Source 0 is the root; source `i` is made by join `i - 1`.
    sources: Vec<Source>,
    joins: Vec<Join>,
    outputs: Vec<Output>,
    /// The source whose rows the predicate being bound looks at.
    block: usize,
    /// The variables of the lambda expressions around it, and their sources.
    variables: Vec<(String, usize)>,
}

impl Binder<'_> {
    /// The code of an error: FetchXML has many, the OData parser one.
    fn code(&self, fetchxml: u32) -> u32 {
        match self.style {
            Style::FetchXml => fetchxml,
            Style::OData => codes::ODATA,
        }
    }

    /// The second of two parts, or what is wrong with both. The OData parser of
    /// Dataverse stops at the first mistake.
    fn both<T>(&self, first: Result<()>, second: Result<T>) -> Result<T> {
        match (first, second) {
            (Err(first), Err(second)) if self.style == Style::FetchXml => Err(first.and(second)),
            (first, second) => first.and(second),
        }
    }

    /// What a column is called in messages.
    fn word(&self) -> &'static str {
        match self.style {
            Style::FetchXml => "attribute",
            Style::OData => "property",
        }
    }
}
