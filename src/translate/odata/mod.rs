//! Bound queries as Web API requests: the entity set and query options.
//!
//! [`path`] finds navigation properties, [`filter`] prints conditions, [`scalar`]
//! values, [`apply`] groups.

mod apply;
mod filter;
mod path;
mod scalar;

use std::fmt::Display;

use self::path::Paths;
use super::condition::{Condition, all};
use crate::catalog::ColumnKind;
use crate::dialect::Dialect;
use crate::error::{Error, Result};
use crate::query::bound::{BoundQuery, Column, OrderTarget, Output, OutputRole};

/// The request that asks a query, and what it calls otherwise.
pub fn print(query: &BoundQuery) -> Result<(String, Vec<String>)> {
    if query.aggregate_limit.is_some() {
        return Err(cannot_say("'aggregatelimit'"));
    }
    if query.after.is_some() {
        return Err(cannot_say("where a paging cookie goes on"));
    }
    let swapped = path::from_the_lookup(query);
    let query = swapped.as_ref().unwrap_or(query);
    let mut printer = Printer { query, paths: Paths::new(query), notes: Vec::new() };
    let grouped = query.aggregate || query.distinct || !query.input.is_empty();
    let grouped = grouped || !query.computed.is_empty() || query.share.is_some();
    let mut options = Vec::new();
    if grouped {
        options.push(("$apply", printer.apply()?));
        if !query.aggregate && !query.distinct {
            options.extend(printer.select()?.map(|text| ("$select", text)));
        }
    } else {
        options.extend(printer.select()?.map(|text| ("$select", text)));
        options.extend(printer.expand(0)?.map(|text| ("$expand", text)));
        let condition = printer.rows_wanted(0, query.filter.as_ref())?;
        if !condition.is_every_row() {
            options.push(("$filter", printer.filter(&condition)?));
        }
    }
    let keys = printer.order()?;
    if !keys.is_empty() {
        options.push(("$orderby", keys.join(",")));
    }
    let (skip, rows) = query.range();
    options.extend(rows.map(|rows| ("$top", rows.to_string())));
    options.extend((skip > 0).then(|| ("$skip", skip.to_string())));
    options.extend(query.count.then(|| ("$count", "true".to_owned())));
    let options = options.into_iter().map(|(name, text)| format!("{name}={}", encoded(&text)));
    let options = options.collect::<Vec<_>>().join("&");
    let set = &query.root.entity_set_name;
    let text = if options.is_empty() { set.clone() } else { format!("{set}?{options}") };
    Ok((text, printer.notes))
}

fn cannot_say(part: impl Display) -> Error {
    super::cannot_say(Dialect::OData, part)
}

/// What would end an option, or mean something else in an address.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '%' | '&' | '+' | '#' | '\0'..='\u{1f}' => {
                out.push_str(&format!("%{:02X}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out
}

struct Printer<'q> {
    query: &'q BoundQuery,
    paths: Paths,
    notes: Vec<String>,
}

impl<'q> Printer<'q> {
    /// The condition on the rows of a part of the query: its own, and those of the
    /// joins that rows have to satisfy to be there.
    fn rows_wanted(
        &self,
        part: usize,
        filter: Option<&'q crate::query::bound::Predicate>,
    ) -> Result<Condition<'q>> {
        let mut conditions = self.joins_wanted(part)?;
        conditions.extend(filter.map(Condition::of));
        Ok(all(conditions))
    }

    /// The columns of the root; nothing for all.
    fn select(&mut self) -> Result<Option<String>> {
        let query = self.query;
        if query.shows_all(0) {
            return Ok(None);
        }
        let own: Vec<&Output> = query.shown().filter(|o| o.column.source == 0).collect();
        let key = query.root.primary_key();
        let mut names: Vec<String> = Vec::new();
        for output in &own {
            if output.role == OutputRole::CountChildren {
                return Err(cannot_say("'CountChildren'"));
            }
            // The key comes by itself.
            if Some(output.column.column) == key && !output.aliased && own.len() > 1 {
                continue;
            }
            let name = output.facts().property_name();
            if output.aliased && output.name != name {
                self.rename(&output.name, &name);
            }
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Ok(Some(names.join(",")))
    }

    /// Columns and groups have no aliases in OData.
    fn rename(&mut self, alias: &str, name: &str) {
        self.notes.push(format!("'{alias}' is called '{name}', as OData has no alias for it"));
    }

    /// `nav($select=…;$expand=…)` for what hangs on a source and is shown.
    fn expand(&mut self, parent: usize) -> Result<Option<String>> {
        let query = self.query;
        let mut items = Vec::new();
        for (index, join) in query.joins.iter().enumerate() {
            if join.in_predicate || join.to.source != parent {
                continue;
            }
            let source = index + 1;
            let shown: Vec<&Output> = query.shown().filter(|o| o.column.source == source).collect();
            let inner = self.expand(source)?;
            if shown.is_empty() && inner.is_none() {
                continue;
            }
            let navigation = self.paths.single(query, source)?;
            let key = join.table.primary_id_index();
            let mut names: Vec<String> = Vec::new();
            for output in &shown {
                let name = output.facts().property_name();
                if output.aliased && output.name != name {
                    self.rename(&output.name, &format!("{navigation}/{name}"));
                }
                if (output.column.column != key || shown.len() == 1) && !names.contains(&name) {
                    names.push(name);
                }
            }
            if names.is_empty() {
                names.push(join.table.primary_id.clone());
            }
            let select = match query.shows_all(source) {
                true => None,
                false => Some(format!("$select={}", names.join(","))),
            };
            let inner = inner.map(|inner| format!("$expand={inner}"));
            let options: Vec<String> = select.into_iter().chain(inner).collect();
            items.push(match options.is_empty() {
                true => navigation,
                false => format!("{navigation}({})", options.join(";")),
            });
        }
        Ok((!items.is_empty()).then(|| items.join(",")))
    }

    fn order(&self) -> Result<Vec<String>> {
        let query = self.query;
        let part = query.page.is_some() || query.top.is_some() || query.skip > 0;
        let mut keys = Vec::new();
        for (index, key) in query.order.iter().enumerate() {
            let by = match &key.by {
                OrderTarget::Scalar(scalar) => self.scalar(scalar)?,
                OrderTarget::Column(column) => {
                    let primary =
                        column.source == 0 && Some(column.column) == query.root.primary_key();
                    let place = query.facts(*column).logical_name == crate::query::bound::PLACE;
                    let last = index + 1 == query.order.len();
                    // What the service ends the keys of a part of the rows with.
                    if place || (part && primary && last && !key.descending) {
                        continue;
                    }
                    self.order_by(*column)?
                }
                OrderTarget::Output(output) => self.order_by_output(*output)?,
            };
            keys.push(if key.descending { format!("{by} desc") } else { by });
        }
        Ok(keys)
    }

    /// Lookups sort by the name of what they point to.
    fn order_by(&self, column: Column) -> Result<String> {
        let name = matches!(self.query.facts(column).kind, ColumnKind::LookupName(_));
        match self.query.text_for(column) {
            Some(of) if name => self.column(of),
            _ => self.column(column),
        }
    }

    fn order_by_output(&self, output: usize) -> Result<String> {
        let key = &self.query.outputs[output];
        if !key.hidden {
            return match key.role {
                OutputRole::Plain | OutputRole::Group(None) => self.column(key.column),
                _ => Ok(key.name.clone()),
            };
        }
        let name = matches!(self.query.facts(key.column).kind, ColumnKind::LookupName(_));
        match self.query.text_for(key.column) {
            Some(of) if name => self.column(of),
            _ => {
                let label = &self.query.facts(key.column).logical_name;
                Err(cannot_say(format!("the order of groups by '{label}'")))
            }
        }
    }
}
