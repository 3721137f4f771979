//! The Web API dialect: query options of a collection read, and whole requests
//! as documents print them, in the common query form.
//!
//! Names stay text with their option and character position; binding resolves
//! them. What OData knows and sysjob does not offer is refused by its name.

mod apply;
mod cursor;
mod filter;
mod functions;
mod lexer;
mod lists;
mod query_function;
mod request;

pub use self::cursor::{Cursor, DEPTH_MAX};
pub use self::lexer::{OPTION_LENGTH_MAX, Token, TokenKind};
pub use self::lists::EXPAND_MAX;
pub use self::request::{Request, decode_options, parse_request};

use crate::catalog::{Table, nearest};
use crate::error::{Error, Place, Result, codes};
use crate::query::{Columns, Name, Order, OrderBy, Path, Select, Style};

use self::apply::Apply;
use self::lists::SortKey;

/// The options that are read here.
const OFFERED: [&str; 7] =
    ["$select", "$filter", "$orderby", "$top", "$count", "$expand", "$apply"];

/// Options of OData that Dataverse does not offer either.
const REFUSED: [&str; 8] = [
    "$skip",
    "$search",
    "$format",
    "$compute",
    "$levels",
    "$index",
    "$schemaversion",
    "$deltatoken",
];

/// Options of the Web API outside OData that are not offered.
const REFUSED_PLAIN: [&str; 4] = ["sql", "savedQuery", "userQuery", "tag"];

/// What the options of a collection read ask.
#[derive(Debug)]
pub enum Query {
    Select(Box<Select>),
    FetchXml {
        text: String,
        /// `$count=true` beside it: the total is wanted too.
        count: bool,
    },
}

/// Reads the decoded options of a request on a table's entity set: either
/// `fetchXml`, perhaps with `$count`, or the options that [`parse`] reads.
pub fn parse_query(table: &Table, options: &[(String, String)]) -> Result<Query> {
    let fetch = options.iter().position(|(name, _)| name == "fetchXml");
    let Some(fetch) = fetch else {
        return parse(table, options).map(|select| Query::Select(Box::new(select)));
    };
    let mut count = None;
    for (i, (name, value)) in options.iter().enumerate() {
        if i == fetch {
            continue;
        }
        match name.as_str() {
            "$count" if count.is_none() => count = Some(lists::count(value)?),
            "$count" | "fetchXml" => return Err(twice(name)),
            other => return Err(with_fetch_xml(other)),
        }
    }
    Ok(Query::FetchXml { text: options[fetch].1.clone(), count: count.unwrap_or(false) })
}

/// Reads the decoded `$…` options of a request on a table's entity set.
/// `$skiptoken` is the server's own and must have been taken out before.
pub fn parse(table: &Table, options: &[(String, String)]) -> Result<Select> {
    let mut values: [Option<&str>; OFFERED.len()] = [None; OFFERED.len()];
    for (name, value) in options {
        let Some(i) = OFFERED.iter().position(|offered| offered == name) else {
            return Err(refused_option(name));
        };
        if values[i].replace(value).is_some() {
            return Err(twice(name));
        }
    }
    let [select, filter, order_by, top, count, expand, apply] = values;
    let apply = match apply {
        Some(text) => apply::parse(table, text)?,
        None => Apply { filters: Vec::new(), columns: None },
    };
    let aggregate = apply.columns.is_some();
    for (name, value) in [("$select", select), ("$expand", expand)] {
        if aggregate && value.is_some() {
            let message = format!("{name} beside an aggregating $apply is not supported");
            return Err(Error::unsupported(message).at(Place::Part(name.into())));
        }
    }
    // Dataverse filters before it aggregates, wherever the filter is written.
    let mut filters: Vec<_> = filter.map(filter::parse).transpose()?.into_iter().collect();
    filters.extend(apply.filters);
    let columns = match (apply.columns, select) {
        (Some(columns), _) => Columns::List(columns),
        (None, Some(text)) => lists::select(text)?,
        (None, None) => Columns::All,
    };
    let keys = order_by.map(lists::order_by).transpose()?.unwrap_or_default();
    let root =
        Name { text: table.logical_name.clone(), at: Place::Part(table.entity_set_name.clone()) };
    Ok(Select {
        order: keys.into_iter().map(|key| order(key, aggregate, &columns)).collect(),
        columns,
        expand: expand.map(|text| lists::expand(table, text)).transpose()?.unwrap_or_default(),
        filter: filter::all_of(filters),
        aggregate,
        top: top.map(lists::top).transpose()?,
        count: count.map(lists::count).transpose()?.unwrap_or(false),
        ..Select::of(Style::OData, root)
    })
}

/// After aggregation a name in `$orderby` may be that of a result.
fn order(key: SortKey, aggregate: bool, columns: &Columns) -> Order {
    let SortKey { column, descending } = key;
    let is_alias = match (columns, &column.path) {
        (Columns::List(list), Path::Here) if aggregate => {
            list.iter().filter_map(|c| c.alias.as_ref()).any(|a| a.text == column.name.text)
        }
        _ => false,
    };
    let by = if is_alias { OrderBy::Alias(column.name) } else { OrderBy::Column(column) };
    Order { by, descending }
}

fn refused_option(name: &str) -> Error {
    let at = Place::Part("OData query".into());
    let shown = lexer::excerpt(name);
    if name == "$skiptoken" {
        let message = "$skiptoken is taken from an @odata.nextLink of this server only";
        return Error::invalid(codes::ODATA, message).at(at);
    }
    if name.starts_with('@') {
        return Error::unsupported(format!("parameter alias '{shown}' is not supported")).at(at);
    }
    if REFUSED.contains(&name) || REFUSED_PLAIN.contains(&name) {
        return Error::unsupported(format!("option '{shown}' is not supported")).at(at);
    }
    let message = match nearest(name, OFFERED.into_iter().chain(["fetchXml"])) {
        Some(near) => format!("option '{shown}' does not exist; did you mean '{near}'?"),
        None => format!("option '{shown}' does not exist"),
    };
    Error::invalid(codes::ODATA, message).at(at)
}

fn with_fetch_xml(name: &str) -> Error {
    let shown = lexer::excerpt(name);
    Error::invalid(codes::ODATA, format!("option '{shown}' cannot be combined with fetchXml"))
        .at(Place::Part("OData query".into()))
}

fn twice(name: &str) -> Error {
    Error::invalid(codes::ODATA, format!("option '{name}' is given twice"))
        .at(Place::Part("OData query".into()))
}

#[cfg(test)]
mod tests;
