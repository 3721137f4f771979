//! The Web API dialect: query options of a collection read, and whole requests
//! as documents print them, in the common query form.
//!
//! Names stay text with their option and character position; binding resolves
//! them. What OData knows and sysjob does not offer is refused by its name.
//!
//! Parts: [`lexer`] and [`json`] the tokens, [`cursor`] the place in them,
//! [`expression`] the grammar of values and conditions and [`node`] what they
//! come to, with [`path`], [`lambda`], [`query_function`] and [`aliases`];
//! [`filter`], [`lists`], [`expand`] and [`apply`] the options; [`request`] whole
//! requests.

mod aliases;
mod apply;
mod cursor;
mod expand;
mod expression;
mod filter;
mod functions;
mod json;
mod lambda;
mod lexer;
mod lists;
mod node;
mod options;
mod path;
mod query_function;
mod request;

pub use self::apply::STAGES_MAX;
pub use self::cursor::{Cursor, DEPTH_MAX};
pub use self::expand::EXPAND_MAX;
pub use self::lexer::{OPTION_LENGTH_MAX, Token, TokenKind};
pub use self::request::{Request, decode_options, parse_request};

use crate::catalog::Table;
use crate::error::{Error, Place, Result};
use crate::query::{Filter, Input, Select};

use self::apply::Stages;
use self::options::{LANGUAGES, Options, alone};

/// What the options of a collection read ask.
#[derive(Debug)]
pub enum Query {
    Select(Box<Select>),
    FetchXml {
        text: String,
        /// `$count=true` beside it: the total is wanted too.
        count: bool,
    },
    /// `sql=`: the text of a statement.
    Sql(String),
}

/// Which comes first where both are given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// `$filter` chooses the rows that `$apply` gets, as in Dataverse.
    #[default]
    FilterFirst,
    /// `$filter` chooses among the results of `$apply`, as in the OData standard.
    ApplyFirst,
}

/// Reads the decoded options of a request on a table's entity set: `fetchXml`,
/// perhaps with `$count`, or `sql`, or the options that [`parse`] reads.
pub fn parse_query(table: &Table, options: &[(String, String)]) -> Result<Query> {
    parse_query_in(Order::default(), table, options)
}

/// [`parse_query`] for a service that is set up for one order or the other.
pub fn parse_query_in(order: Order, table: &Table, options: &[(String, String)]) -> Result<Query> {
    let language = options.iter().position(|(name, _)| LANGUAGES.contains(&name.as_str()));
    let Some(language) = language else {
        return parse_in(order, table, options).map(|select| Query::Select(Box::new(select)));
    };
    let (name, text) = &options[language];
    if name == "sql" {
        alone(options, language, &[])?;
        return Ok(Query::Sql(text.clone()));
    }
    alone(options, language, &["$count"])?;
    let counts: Vec<&str> =
        options.iter().filter(|(name, _)| name == "$count").map(|(_, v)| v.as_str()).collect();
    let count = match counts.as_slice() {
        [] => false,
        [count] => lists::count(count)?,
        _ => return Err(options::twice("$count")),
    };
    Ok(Query::FetchXml { text: text.clone(), count })
}

/// Reads the decoded `$…` options of a request on a table's entity set.
/// `$skiptoken` and `$format` are the service's business and must have been taken
/// out before.
pub fn parse(table: &Table, options: &[(String, String)]) -> Result<Select> {
    parse_in(Order::default(), table, options)
}

fn parse_in(order: Order, table: &Table, options: &[(String, String)]) -> Result<Select> {
    let options = Options::read(options)?;
    let aliases = &options.aliases;
    let mut stages = Stages::new(table);
    let filter = options.value("$filter").map(|text| filter::parse(text, aliases)).transpose()?;
    let (before, after): (Option<Filter>, Option<Filter>) = match order {
        Order::FilterFirst => (filter, None),
        Order::ApplyFirst => (None, filter),
    };
    if let Some(filter) = before {
        stages.filter(filter);
    }
    if let Some(text) = options.value("$apply") {
        apply::parse(text, aliases, &mut stages)?;
    }
    if let Some(text) = options.value("$compute") {
        stages.compute(lists::compute(text, aliases)?);
    }
    if let Some(filter) = after {
        stages.filter(filter);
    }
    stages.finish();
    if let Some(text) = options.value("$orderby") {
        stages.order(lists::order_by(text, aliases)?);
    }
    if let Some(text) = options.value("$select") {
        stages.columns(lists::select(text)?);
    }
    if let Some(text) = options.value("$expand") {
        if stages.select.aggregate || !matches!(stages.select.input, Input::Table) {
            let message = "$expand beside an $apply that is more than a filter is not supported";
            return Err(Error::unsupported(message).at(Place::Part("$expand".into())));
        }
        stages.select.expand = expand::parse(table, text)?;
    }
    let rows = |option| options.value(option).map(|text| lists::rows(option, text)).transpose();
    let mut select = stages.select;
    select.top = rows("$top")?;
    select.skip = rows("$skip")?.unwrap_or(0);
    select.count = options.value("$count").map(lists::count).transpose()?.unwrap_or(false);
    Ok(select)
}

#[cfg(test)]
mod tests;
