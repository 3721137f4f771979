//! Bound queries as FetchXML.
//!
//! [`filter`] prints conditions; [`xml`] writes elements.

mod filter;
mod xml;

use std::fmt::Display;

use datafusion::arrow::datatypes::DataType;

use self::xml::Element;
use super::condition::Condition;
use super::values::spelling;
use crate::catalog::ColumnKind;
use crate::dialect::Dialect;
use crate::error::{Error, Result};
use crate::query::bound::{BoundQuery, Column, Join, OrderTarget, Output, OutputRole, Scalar};
use crate::query::{Aggregate, DateGrouping, DatePart, Function, LinkType};

/// More rows a page holds only in part.
const PAGE_ROWS_MAX: u64 = 5000;

/// The FetchXML of a query.
pub fn print(query: &BoundQuery) -> Result<String> {
    if !query.input.is_empty() {
        let inner = query.input.iter().any(|stage| stage.query.aggregate);
        let part =
            if inner { "conditions on groups, or groups of groups" } else { "a query of a query" };
        return Err(cannot_say(part));
    }
    if query.share.is_some() {
        return Err(cannot_say("the rows that make up a part of a sum"));
    }
    if query.after.is_some() {
        return Err(cannot_say("where another's paging cookie goes on"));
    }
    let printer = Printer { query, names: names(query) };
    let mut fetch = Element::new("fetch");
    printer.fetch(&mut fetch)?;
    let mut entity = Element::new("entity").with("name", &query.root.logical_name)?;
    printer.columns(0, &mut entity)?;
    printer.links(0, &mut entity)?;
    if let Some(filter) = &query.filter {
        printer.filter(&Condition::of(filter), 0, &mut entity)?;
    }
    printer.orders(&mut entity)?;
    fetch.push(entity);
    Ok(fetch.to_string())
}

fn cannot_say(part: impl Display) -> Error {
    super::cannot_say(Dialect::FetchXml, part)
}

/// The aliases of links, which are words in every tool.
fn names(query: &BoundQuery) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for join in &query.joins {
        let word = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' };
        let mut name: String = join.alias.chars().map(word).collect();
        while names.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
            name.push('_');
        }
        names.push(name);
    }
    names
}

struct Printer<'q> {
    query: &'q BoundQuery,
    names: Vec<String>,
}

impl Printer<'_> {
    fn fetch(&self, fetch: &mut Element) -> Result<()> {
        let query = self.query;
        if query.aggregate {
            fetch.set("aggregate", "true")?;
        }
        if query.distinct {
            fetch.set("distinct", "true")?;
        }
        let (skip, rows) = query.range();
        match (skip, rows) {
            (0, None) => {}
            (_, Some(0)) => return Err(cannot_say("an answer of no rows")),
            (0, Some(rows)) if query.page.is_none() && !query.count => {
                fetch.set("top", &rows.to_string())?;
            }
            (skip, Some(rows)) if rows <= PAGE_ROWS_MAX && skip % rows == 0 => {
                fetch.set("page", &(skip / rows + 1).to_string())?;
                fetch.set("count", &rows.to_string())?;
            }
            (0, Some(rows)) => {
                return Err(cannot_say(format!("the number of all rows beside the first {rows}")));
            }
            (skip, Some(rows)) => {
                return Err(cannot_say(format!("{rows} rows after the first {skip}")));
            }
            (skip, None) => return Err(cannot_say(format!("all rows after the first {skip}"))),
        }
        if query.count {
            fetch.set("returntotalrecordcount", "true")?;
        }
        if let Some(limit) = query.aggregate_limit {
            fetch.set("aggregatelimit", &limit.to_string())?;
        }
        if self.is_raw() {
            fetch.set("useraworderby", "true")?;
        }
        Ok(())
    }

    /// Whether choices sort by their numbers.
    fn is_raw(&self) -> bool {
        self.query.order.iter().any(|key| {
            let by = match &key.by {
                OrderTarget::Column(column) => *column,
                OrderTarget::Output(index) => match &self.query.outputs[*index] {
                    o if matches!(o.role, OutputRole::Plain | OutputRole::Group(None)) => o.column,
                    _ => return false,
                },
                OrderTarget::Scalar(_) => return false,
            };
            self.query.facts(by).is_choice()
        })
    }

    /// The columns of the root or of a link.
    fn columns(&self, source: usize, parent: &mut Element) -> Result<()> {
        let all = self.query.shows_all(source);
        let mut shown = false;
        if all {
            parent.push(Element::new("all-attributes"));
            shown = true;
        }
        for output in self.query.shown().filter(|o| o.column.source == source) {
            if all && !output.aliased {
                continue;
            }
            parent.push(self.attribute(output)?);
            shown = true;
        }
        // Without a word about columns the root would give all.
        if source == 0 && !shown && !self.query.aggregate {
            parent.push(Element::new("no-attrs"));
        }
        Ok(())
    }

    fn attribute(&self, output: &Output) -> Result<Element> {
        let mut element = Element::new("attribute");
        let (column, part) = self.grouped(output)?;
        element.set("name", &self.query.facts(column).logical_name)?;
        let needs_alias = self.query.aggregate || output.role == OutputRole::CountChildren;
        if output.aliased || needs_alias {
            element.set("alias", &output.name)?;
        }
        match output.role {
            OutputRole::Plain => {}
            OutputRole::Group(_) => {
                element.set("groupby", "true")?;
                if let Some(DateGrouping { part, local }) = part {
                    element.set("dategrouping", part.word())?;
                    if !local {
                        element.set("usertimezone", "false")?;
                    }
                }
            }
            OutputRole::CountChildren => element.set("rowaggregate", "CountChildren")?,
            OutputRole::Aggregate(function) => {
                let (word, distinct) = match function {
                    Aggregate::Count => ("count", false),
                    Aggregate::CountColumn { distinct } => ("countcolumn", distinct),
                    Aggregate::Sum => ("sum", false),
                    Aggregate::Avg => ("avg", false),
                    Aggregate::Min => ("min", false),
                    Aggregate::Max => ("max", false),
                };
                element.set("aggregate", word)?;
                if distinct {
                    element.set("distinct", "true")?;
                }
            }
        }
        Ok(element)
    }

    /// The column of an output, and the part of its date where it is grouped by one.
    fn grouped(&self, output: &Output) -> Result<(Column, Option<DateGrouping>)> {
        let Some(scalar) = self.query.computed_by(output.column) else {
            let part = match output.role {
                OutputRole::Group(part) => part,
                _ => None,
            };
            return Ok((output.column, part));
        };
        if let (Scalar::Call { function, arguments, .. }, OutputRole::Group(None)) =
            (scalar, output.role)
            && let [Scalar::Column(column)] = arguments.as_slice()
            && let Some(part) = date_part(*function)
        {
            return Ok((*column, Some(DateGrouping { part, local: false })));
        }
        Err(cannot_say(format!("'{}'", said(scalar))))
    }

    fn links(&self, parent: usize, element: &mut Element) -> Result<()> {
        for (index, join) in self.query.joins.iter().enumerate() {
            if join.to.source == parent && !join.in_predicate {
                element.push(self.link(index, join, link_type(join))?);
            }
        }
        Ok(())
    }

    fn link(&self, index: usize, join: &Join, link_type: &str) -> Result<Element> {
        let mut element = Element::new("link-entity").with("name", &join.table.logical_name)?;
        element.set("from", &join.table.columns[join.from].logical_name)?;
        element.set("to", &self.query.facts(join.to).logical_name)?;
        element.set("alias", &self.names[index])?;
        element.set("link-type", link_type)?;
        self.columns(index + 1, &mut element)?;
        self.links(index + 1, &mut element)?;
        if let Some(filter) = &join.filter {
            self.filter(&Condition::of(filter), index + 1, &mut element)?;
        }
        Ok(element)
    }

    fn orders(&self, entity: &mut Element) -> Result<()> {
        let query = self.query;
        let raw = self.is_raw();
        let part = query.page.is_some() || query.top.is_some() || query.skip > 0;
        let keys = query.order.iter().enumerate();
        for (index, key) in keys {
            let mut element = Element::new("order");
            match &key.by {
                OrderTarget::Scalar(scalar) => {
                    return Err(cannot_say(format!("the order by '{}'", said(scalar))));
                }
                OrderTarget::Column(column) => {
                    // Dataverse ends the keys of a part with the primary key by itself.
                    let primary =
                        column.source == 0 && Some(column.column) == query.root.primary_key();
                    let last = index + 1 == query.order.len();
                    if part && primary && last && !key.descending {
                        continue;
                    }
                    self.order_by(*column, raw, &mut element)?;
                }
                OrderTarget::Output(output) if query.aggregate => {
                    element.set("alias", &self.order_alias(*output, raw)?)?;
                }
                OrderTarget::Output(output) => {
                    self.order_by(query.outputs[*output].column, raw, &mut element)?;
                }
            }
            if key.descending {
                element.set("descending", "true")?;
            }
            entity.push(element);
        }
        Ok(())
    }

    fn order_by(&self, column: Column, raw: bool, element: &mut Element) -> Result<()> {
        let label = matches!(self.query.facts(column).kind, ColumnKind::ChoiceLabel(_));
        let column = match self.query.text_for(column) {
            Some(of) if !(raw && label) => of,
            _ => column,
        };
        if self.query.computed_by(column).is_some() {
            return Err(cannot_say(format!("'{}'", self.query.facts(column).logical_name)));
        }
        if let Some(name) = self.name_of(column.source) {
            element.set("entityname", name)?;
        }
        element.set("attribute", &self.query.facts(column).logical_name)
    }

    /// The alias of the group or aggregate that a sort key stands for.
    fn order_alias(&self, output: usize, raw: bool) -> Result<String> {
        let key = &self.query.outputs[output];
        if !key.hidden {
            return Ok(key.name.clone());
        }
        let of = self.query.text_for(key.column);
        let group = self
            .query
            .shown()
            .find(|o| Some(o.column) == of && matches!(o.role, OutputRole::Group(None)));
        let label = matches!(self.query.facts(key.column).kind, ColumnKind::ChoiceLabel(_));
        match group {
            Some(group) if !(raw && label) => Ok(group.name.clone()),
            _ => Err(cannot_say("an order by labels beside one by numbers")),
        }
    }

    /// What `entityname` calls a source; nothing for the root.
    fn name_of(&self, source: usize) -> Option<&str> {
        source.checked_sub(1).map(|join| self.names[join].as_str())
    }
}

fn link_type(join: &Join) -> &'static str {
    match join.link_type {
        LinkType::Inner => "inner",
        LinkType::Outer => "outer",
        LinkType::Exists => "exists",
        LinkType::First => "matchfirstrowusingcrossapply",
    }
}

fn date_part(function: Function) -> Option<DatePart> {
    Some(match function {
        Function::Day => DatePart::Day,
        Function::Month => DatePart::Month,
        Function::Year => DatePart::Year,
        _ => return None,
    })
}

/// What an expression is called in messages: the first function that is more than a
/// comparison.
fn said(scalar: &Scalar) -> &'static str {
    match scalar {
        Scalar::Call { function, arguments, data_type } => {
            let inner = arguments.iter().map(said).find(|name| *name != EXPRESSION);
            match (inner, *data_type == DataType::Boolean) {
                (Some(inner), true) => inner,
                _ => spelling(*function),
            }
        }
        Scalar::Cast(inner, _) => said(inner),
        Scalar::Column(_) | Scalar::Literal { .. } => EXPRESSION,
    }
}

const EXPRESSION: &str = "an expression";
