//! Bound queries as T-SQL. A clause says what the plan of the bound query does, so
//! the answer is the same: sort keys that Dataverse adds are written out, and tests
//! that are true of null say so.
//!
//! [`from`] prints the tables, [`predicate`] conditions, [`scalar`] values, [`dates`]
//! the operators that depend on the clock.

mod dates;
mod from;
mod predicate;
mod scalar;

use std::fmt::Display;

use crate::catalog::Table;
use crate::dialect::Dialect;
use crate::error::{Error, Result};
use crate::query::bound::{BoundQuery, Column, OrderTarget, Output, OutputRole, Stage};
use crate::query::{Aggregate, DateGrouping, DatePart};

/// The T-SQL of a query.
pub fn print(query: &BoundQuery) -> Result<String> {
    Printer::new(query)?.select(None)
}

fn cannot_say(part: impl Display) -> Error {
    super::cannot_say(Dialect::Sql, part)
}

struct Printer<'q> {
    query: &'q BoundQuery,
    /// Columns carry the name of their table.
    qualified: bool,
    /// What the columns of the root are, where they are the groups of another query.
    groups: Vec<String>,
}

/// The outputs of an inner query, and what the outer one calls them.
type Names<'n> = &'n [(usize, &'n str)];

impl<'q> Printer<'q> {
    fn new(query: &'q BoundQuery) -> Result<Self> {
        if query.count {
            return Err(cannot_say("the number of all rows beside the rows"));
        }
        if query.aggregate_limit.is_some() {
            return Err(cannot_say("'aggregatelimit'"));
        }
        if query.after.is_some() {
            return Err(cannot_say("where a paging cookie goes on"));
        }
        if query.share.is_some() {
            return Err(cannot_say("the rows that make up a part of a sum"));
        }
        let children = query.outputs.iter().any(|o| o.role == OutputRole::CountChildren);
        Ok(Self { query, qualified: !query.joins.is_empty() || children, groups: Vec::new() })
    }

    /// The whole statement.
    fn select(&self, names: Option<Names<'_>>) -> Result<String> {
        let query = self.query;
        if let (Some(stage), None) = (self.grouped_below(), names) {
            return self.having(stage);
        }
        let mut text = self.head(self.items(names)?);
        text.push_str(&self.from()?);
        let conditions = self.conditions(0, query.filter.as_ref())?;
        if !conditions.is_empty() {
            text.push_str(&format!("\nWHERE {}", conditions.join("\n  AND ")));
        }
        let groups = self.groups()?;
        if !groups.is_empty() {
            text.push_str(&format!("\nGROUP BY {}", groups.join(", ")));
        }
        text.push_str(&self.tail()?);
        Ok(text)
    }

    /// The query that makes the groups of which this one leaves some out.
    fn grouped_below(&self) -> Option<&'q Stage> {
        let query = self.query;
        let [stage] = query.input.as_slice() else { return None };
        let inner = &stage.query;
        let plain = query.joins.is_empty() && query.computed.is_empty();
        let whole = inner.order.is_empty() && inner.skip == 0 && inner.top.is_none();
        let groups = inner.aggregate && inner.input.is_empty();
        let further = query.aggregate || query.distinct;
        (plain && whole && groups && !further).then_some(stage)
    }

    /// Groups, some of which a condition leaves out, as one statement.
    fn having(&self, stage: &Stage) -> Result<String> {
        let inner = Printer::new(&stage.query)?;
        let made = |output: &Option<usize>| match output {
            Some(output) => inner.value(&stage.query.outputs[*output]),
            None => Ok("NULL".into()),
        };
        let groups = stage.columns.iter().map(made).collect::<Result<_>>()?;
        let outer = Printer { query: self.query, qualified: false, groups };
        let mut text = outer.head(outer.items(None)?);
        text.push_str(&inner.from()?);
        let conditions = inner.conditions(0, stage.query.filter.as_ref())?;
        if !conditions.is_empty() {
            text.push_str(&format!("\nWHERE {}", conditions.join("\n  AND ")));
        }
        let groups = inner.groups()?;
        if !groups.is_empty() {
            text.push_str(&format!("\nGROUP BY {}", groups.join(", ")));
        }
        let conditions = outer.conditions(0, self.query.filter.as_ref())?;
        if !conditions.is_empty() {
            text.push_str(&format!("\nHAVING {}", conditions.join("\n   AND ")));
        }
        text.push_str(&outer.tail()?);
        Ok(text)
    }

    /// `SELECT` and its list.
    fn head(&self, items: Vec<String>) -> String {
        let mut text = String::from("SELECT ");
        if self.query.distinct {
            text.push_str("DISTINCT ");
        }
        if let (0, Some(rows)) = self.query.range() {
            text.push_str(&format!("TOP ({rows}) "));
        }
        let between = format!(",\n{}", " ".repeat(text.len()));
        text + &items.join(&between)
    }

    /// The order, and the rows left out.
    fn tail(&self) -> Result<String> {
        let (skip, rows) = self.query.range();
        let mut text = String::new();
        let mut keys = self.keys()?;
        if keys.is_empty() && skip > 0 {
            // T-SQL leaves rows out of an order only.
            keys.push("1".into());
        }
        if !keys.is_empty() {
            text.push_str(&format!("\nORDER BY {}", keys.join(", ")));
        }
        if skip > 0 {
            text.push_str(&format!("\nOFFSET {skip} ROWS"));
            if let Some(rows) = rows {
                text.push_str(&format!(" FETCH NEXT {rows} ROWS ONLY"));
            }
        }
        Ok(text)
    }

    fn items(&self, names: Option<Names<'_>>) -> Result<Vec<String>> {
        let query = self.query;
        if let Some(names) = names {
            let named = |(output, name): &(usize, &str)| {
                let value = self.value(&query.outputs[*output])?;
                let name = quoted(name);
                Ok(if value == name { value } else { format!("{value} AS {name}") })
            };
            return names.iter().map(named).collect();
        }
        let mut items = Vec::new();
        let all = query.input.is_empty() && query.computed.is_empty() && query.shows_all(0);
        if all {
            items.push(match query.joins.is_empty() {
                true => "*".to_owned(),
                false => format!("{}.*", quoted(&query.root.logical_name)),
            });
        }
        for output in query.shown().filter(|o| !(all && o.column.source == 0 && !o.aliased)) {
            let value = self.value(output)?;
            let name = self.heading(output).map(|name| quoted(&name));
            items.push(match name.filter(|name| *name != value) {
                Some(name) => format!("{value} AS {name}"),
                None => value,
            });
        }
        Ok(items)
    }

    /// What an output shows.
    fn value(&self, output: &Output) -> Result<String> {
        let column = self.column(output.column)?;
        Ok(match output.role {
            OutputRole::Plain | OutputRole::Group(None) => column,
            OutputRole::Group(Some(part)) => self.part(output, part)?,
            OutputRole::CountChildren => self.children(output)?,
            OutputRole::Aggregate(function) => match function {
                Aggregate::Count => "COUNT(*)".into(),
                Aggregate::CountColumn { distinct: false } => format!("COUNT({column})"),
                Aggregate::CountColumn { distinct: true } => format!("COUNT(DISTINCT {column})"),
                Aggregate::Sum => format!("SUM({column})"),
                Aggregate::Avg => format!("AVG({column})"),
                Aggregate::Min => format!("MIN({column})"),
                Aggregate::Max => format!("MAX({column})"),
            },
        })
    }

    /// The name of an output, where its column alone would give it another.
    fn heading(&self, output: &Output) -> Option<String> {
        let logical = &output.facts().logical_name;
        let plain = matches!(output.role, OutputRole::Plain | OutputRole::Group(None));
        let computed = self.query.computed_by(output.column).is_some() || !self.groups.is_empty();
        if let Some(navigation) = &output.nested {
            return Some(format!("{}.{logical}", navigation.replace('/', ".")));
        }
        if !plain || output.aliased || output.column.source > 0 {
            return (!plain || computed || output.name != *logical).then(|| output.name.clone());
        }
        computed.then(|| logical.clone())
    }

    fn part(&self, output: &Output, grouping: DateGrouping) -> Result<String> {
        let column = self.column(output.column)?;
        let name = &output.facts().logical_name;
        if grouping.local && !self.is_utc() && !self.is_date(output.column) {
            let zone = self.query.timezone;
            return Err(cannot_say(format!("parts of '{name}' in the time zone {zone}")));
        }
        let part = match grouping.part {
            DatePart::Day => "day",
            DatePart::Week => "week",
            DatePart::Month => "month",
            DatePart::Quarter => "quarter",
            DatePart::Year => "year",
            DatePart::FiscalPeriod => {
                return Err(cannot_say(format!("the fiscal period of '{name}'")));
            }
            DatePart::FiscalYear => {
                return Err(cannot_say(format!("the fiscal year of '{name}'")));
            }
        };
        Ok(format!("DATEPART({part}, {column})"))
    }

    /// The number of rows below a row in the hierarchy of its table.
    fn children(&self, output: &Output) -> Result<String> {
        let table = &output.table;
        let parent = table
            .parent_index()
            .ok_or_else(|| Error::internal("children in a table without a hierarchy"))?;
        let parent = quoted(&table.columns[parent].logical_name);
        let key = self.column(output.column)?;
        let table = quoted(&table.logical_name);
        Ok(format!("(SELECT COUNT(*) FROM {table} AS child WHERE child.{parent} = {key})"))
    }

    fn groups(&self) -> Result<Vec<String>> {
        let mut groups: Vec<String> = Vec::new();
        if self.query.aggregate {
            for output in &self.query.outputs {
                let value = match output.role {
                    OutputRole::Aggregate(_) => continue,
                    _ => self.value(output)?,
                };
                if !groups.contains(&value) {
                    groups.push(value);
                }
            }
        }
        Ok(groups)
    }

    fn keys(&self) -> Result<Vec<String>> {
        let query = self.query;
        let mut keys: Vec<String> = Vec::new();
        for key in &query.order {
            let by = match &key.by {
                OrderTarget::Scalar(scalar) => self.scalar(scalar)?,
                // Groups that the answer shows go by their names.
                OrderTarget::Column(column) => {
                    let shown = |o: &&Output| o.column == *column && !self.groups.is_empty();
                    let name = self.query.shown().find(shown).and_then(|o| self.heading(o));
                    match name.filter(|name| !self.is_column(name)) {
                        Some(name) => quoted(&name),
                        None => self.column(*column)?,
                    }
                }
                OrderTarget::Output(index) => {
                    let output = &query.outputs[*index];
                    if output.hidden && query.distinct {
                        let name = &output.facts().logical_name;
                        let part = format!("the order of distinct rows by '{name}' unseen");
                        return Err(cannot_say(part));
                    }
                    match self.heading(output).filter(|_| !output.hidden) {
                        Some(name) if !self.is_column(&name) => quoted(&name),
                        _ => self.value(output)?,
                    }
                }
            };
            // A key that comes again decides nothing, and T-SQL refuses it.
            let ascending = by.clone();
            let descending = format!("{by} DESC");
            if !keys.contains(&ascending) && !keys.contains(&descending) {
                keys.push(if key.descending { descending } else { ascending });
            }
        }
        Ok(keys)
    }

    /// Whether a table of the query has a column of this name.
    fn is_column(&self, name: &str) -> bool {
        let has = |table: &Table| table.column_index_any_case(name).is_some();
        has(&self.query.root) || self.query.joins.iter().any(|join| has(&join.table))
    }

    fn column(&self, column: Column) -> Result<String> {
        if let Some(group) = self.groups.get(column.column) {
            return Ok(group.clone());
        }
        if let Some(scalar) = self.query.computed_by(column) {
            return self.scalar(scalar);
        }
        let name = quoted(&self.query.facts(column).logical_name);
        if !self.qualified {
            return Ok(name);
        }
        let table = match column.source.checked_sub(1) {
            None => &self.query.root.logical_name,
            Some(join) => &self.query.joins[join].alias,
        };
        Ok(format!("{}.{name}", quoted(table)))
    }
}

/// Words that are no names in T-SQL unless they stand in brackets.
const RESERVED: &str = " add all alter and any as asc between by case check close column commit \
    constraint contains convert create cross current database default delete desc distinct drop \
    else end escape except exec execute exists fetch file for foreign from full function go goto \
    grant group having identity if in index inner insert intersect into is join key kill left \
    like limit merge national not null nullif of off offset on open option or order outer over \
    percent pivot plan primary print proc procedure public raiserror read return returning right \
    rollback rowcount rule save schema select session_user set some statistics table then to top \
    tran transaction trigger truncate union unique unpivot update use user using values view \
    waitfor when where while window with ";

/// A name, in brackets where it needs them.
fn quoted(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let reserved = || RESERVED.contains(&format!(" {} ", name.to_ascii_lowercase()));
    match plain && !reserved() {
        true => name.to_owned(),
        false => format!("[{}]", name.replace(']', "]]")),
    }
}
