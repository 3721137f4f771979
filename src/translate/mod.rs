//! The same question in another dialect. A text is read into the bound query that
//! all dialects share, and printed from that; what a dialect has no words for is
//! refused by its name.
//!
//! [`condition`] says conditions without negation, as FetchXML and OData do;
//! [`sql`], [`fetchxml`] and [`odata`] print; [`values`] writes values and names.

mod condition;
mod fetchxml;
mod odata;
mod sql;
mod values;

#[cfg(test)]
mod tests;

use std::fmt::Display;
use std::sync::Arc;

use crate::ask;
use crate::catalog::Catalog;
use crate::dialect::{Dialect, detect, fetchxml as fetch, odata as web, tsql};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::query::bind::{BindOptions, bind};
use crate::query::bound::{BoundQuery, Column};
use crate::query::{Columns, Context, Select};
use crate::store::Snapshot;

/// A text in the dialect asked for.
#[derive(Debug, PartialEq)]
pub struct Translation {
    pub dialect: Dialect,
    pub text: String,
    /// What the dialect calls otherwise, where rows and values are the same.
    pub notes: Vec<String>,
}

/// Says a question in another dialect; `from` is found out if it is not given.
pub fn translate(
    engine: &Engine,
    snapshot: &Arc<Snapshot>,
    from: Option<Dialect>,
    text: &str,
    to: Dialect,
    context: &Context,
) -> Result<Translation> {
    let from = from.unwrap_or_else(|| detect(text));
    // Mistakes are told as they are where the question is asked.
    let plan = ask::plan(engine, snapshot, Some(from), text, context.clone())?;
    engine.schema(plan)?;
    let own = || Translation { dialect: to, text: text.trim().to_owned(), notes: Vec::new() };
    let translation = match bound(from, text, to, snapshot.catalog(), context) {
        Ok(query) => printed(&query, to),
        Err(error) => Err(error),
    };
    match translation {
        // A dialect says more than the form that all of them share.
        Err(_) if from == to => Ok(own()),
        Err(error) => Err(error),
        Ok(translation) => {
            match ask::plan(engine, snapshot, Some(to), &translation.text, context.clone()) {
                Ok(_) => Ok(translation),
                Err(_) if from == to => Ok(own()),
                Err(error) => Err(cannot_say(to, "this question").caused_by(error)),
            }
        }
    }
}

/// The question with its names settled.
fn bound(
    from: Dialect,
    text: &str,
    to: Dialect,
    catalog: &Catalog,
    context: &Context,
) -> Result<BoundQuery> {
    let options = BindOptions { context: context.clone(), ..BindOptions::default() };
    let settled = |select: &Select| bind(select, catalog, &options);
    // The form of FetchXML and OData holds less than SQL does.
    let sql = |text: &str| {
        let select = tsql::common::select(text, catalog, to)?;
        let query = settled(&select).map_err(|error| {
            let refused = cannot_say(to, format!("this: {}", error.message));
            match error.place {
                Some(at) => refused.at(at),
                None => refused,
            }
        })?;
        Ok(as_asked(query, &select))
    };
    match from {
        Dialect::Sql => sql(text),
        Dialect::FetchXml => settled(&fetch::parse(text)?),
        Dialect::OData => match web::parse_request(text, catalog)?.query {
            web::Query::Select(select) => settled(&select),
            web::Query::Sql(text) => sql(&text),
            web::Query::FetchXml { text, count } => {
                let mut select = fetch::parse(&text)?;
                select.count |= count;
                settled(&select)
            }
        },
    }
}

/// A query of SQL without the key and the last sort keys that answers in the other
/// dialects have unasked.
fn as_asked(mut query: BoundQuery, select: &Select) -> BoundQuery {
    query.order.truncate(select.order.len());
    if let Columns::List(columns) = &select.columns
        && let Some(key) = query.root.primary_key()
        && !query.aggregate
        && !query.distinct
    {
        let name = &query.root.columns[key].logical_name;
        let asked = columns.iter().any(|c| c.column.name.text == *name && c.alias.is_none());
        for output in &mut query.outputs {
            let unasked = output.column == (Column { source: 0, column: key }) && !output.aliased;
            output.hidden |= unasked && !asked;
        }
    }
    query
}

fn printed(query: &BoundQuery, to: Dialect) -> Result<Translation> {
    let (text, notes) = match to {
        Dialect::Sql => (sql::print(query)?, Vec::new()),
        Dialect::FetchXml => (fetchxml::print(query)?, Vec::new()),
        Dialect::OData => odata::print(query)?,
    };
    Ok(Translation { dialect: to, text, notes })
}

/// The error for a part that a dialect has no words for.
fn cannot_say(dialect: Dialect, part: impl Display) -> Error {
    Error::unsupported(format!("{} cannot say {part}", dialect.name()))
}
