//! The part of T-SQL that the common query form can say, in that form: one `SELECT`
//! of columns and aggregates, joins on columns, conditions, groups, sorts, limits.
//! What is beyond it is refused by its name and place, in words about the dialect
//! that the query is to be said in.
//!
//! The text has been checked before: its names are right. [`scope`] finds them,
//! [`from`] reads the tables, [`condition`] and [`literal`] conditions, [`outputs`]
//! the list behind `SELECT`, [`order`] the sort keys and limits.

mod condition;
mod from;
mod literal;
mod order;
mod outputs;
mod scope;

use std::fmt::Display;

use datafusion::sql::sqlparser::ast::{Expr, GroupByExpr, Query, SetExpr, Spanned};
use datafusion::sql::sqlparser::tokenizer::Location;

use self::from::Links;
use self::scope::Scope;
use super::{Script, Statement, report};
use crate::catalog::Catalog;
use crate::dialect::Dialect;
use crate::error::{Error, Place, Result};
use crate::query::{Column, ColumnRef, Columns, Filter, Input, Name, Path, Role, Select, Style};

/// Reads a text whose only statement is a query; `dialect` names the one it is to be
/// said in.
pub fn select(text: &str, catalog: &Catalog, dialect: Dialect) -> Result<Select> {
    let script = Script::parse(text, std::iter::empty())?;
    let plain = script.plain();
    let Some([Statement::Query(query)]) = plain.as_deref() else {
        return Err(Error::unsupported(format!("{} cannot say a script", dialect.name())));
    };
    let tree = query.tree()?;
    Reader { catalog, dialect, location: query.location }.query(&tree)
}

struct Reader<'a> {
    catalog: &'a Catalog,
    /// What the text is to be said in.
    dialect: Dialect,
    /// Where the statement starts.
    location: Location,
}

impl Reader<'_> {
    /// The error for a part that the other dialect has no words for.
    fn cannot_say(&self, part: impl Display, at: Location) -> Error {
        let at = if at.line == 0 { self.location } else { at };
        report::at(Error::unsupported(format!("{} cannot say {part}", self.dialect.name())), at)
    }

    /// The same for an expression: named for the function that makes it unsayable.
    fn refuse(&self, expr: &Expr) -> Error {
        self.cannot_say(format!("'{}'", outputs::called(expr)), expr.span().start)
    }

    fn query(&self, query: &Query) -> Result<Select> {
        let at = self.location;
        if query.with.is_some() {
            return Err(self.cannot_say("'WITH'", at));
        }
        if query.settings.is_some() {
            return Err(self.cannot_say("'OPTION'", at));
        }
        let select = match query.body.as_ref() {
            SetExpr::Select(select) => select,
            SetExpr::SetOperation { op, .. } => {
                return Err(self.cannot_say(format!("'{op}'"), at));
            }
            _ => return Err(self.cannot_say("a query without SELECT", at)),
        };
        let at = select.select_token.0.span.start;
        let mut links = Links::default();
        let mut scope = Scope::default();
        let mut conditions = Vec::new();
        self.from(&select.from, at, &mut scope, &mut links, &mut conditions)?;
        let root = scope.root(at);
        if let Some(selection) = &select.selection {
            conditions.push(self.condition(selection, &scope, 0)?);
        }
        let groups = match &select.group_by {
            GroupByExpr::Expressions(groups, modifiers) if modifiers.is_empty() => groups,
            _ => return Err(self.cannot_say("'GROUP BY' with ROLLUP, CUBE or ALL", at)),
        };
        let mut outputs = self.outputs(select, groups, &scope)?;
        let mut made = Select {
            aggregate: outputs.aggregate,
            distinct: outputs.distinct,
            raw_order: true,
            filter: all_of(conditions),
            ..Select::of(Style::FetchXml, root.clone())
        };
        let having = match &select.having {
            // It has no conditions on groups.
            Some(having) if self.dialect == Dialect::FetchXml => {
                return Err(self.cannot_say("'HAVING'", having.span().start));
            }
            Some(having) => Some(self.having(having, &mut outputs, &scope)?),
            None => None,
        };
        made.order = self.order(query, &outputs, &scope)?;
        self.limits(query, select, &mut made)?;
        let headings = outputs.headings();
        made.columns = outputs.columns_of(0);
        made.links = links.take(&mut outputs);
        Ok(match having {
            Some(having) => above(made, having, headings),
            None => made,
        })
    }
}

/// A query over groups that leaves some out.
fn above(mut inner: Select, having: Filter, headings: Vec<Name>) -> Select {
    let own = |name: Name| ColumnRef { path: Path::Here, name };
    let column = |name: Name| Column { column: own(name), alias: None, role: Role::Plain };
    let mut outer = Select::of(Style::FetchXml, inner.table.clone());
    outer.order = std::mem::take(&mut inner.order);
    for key in &mut outer.order {
        if let crate::query::OrderBy::Alias(name) = &key.by {
            key.by = crate::query::OrderBy::Column(own(name.clone()));
        }
    }
    (outer.skip, outer.top) = (inner.skip, inner.top.take());
    inner.skip = 0;
    outer.raw_order = true;
    outer.filter = Some(having);
    outer.columns = Columns::List(headings.into_iter().map(column).collect());
    outer.input = Input::Select(Box::new(inner));
    outer
}

/// All of the conditions.
fn all_of(mut conditions: Vec<Filter>) -> Option<Filter> {
    match conditions.len() {
        0 | 1 => conditions.pop(),
        _ => {
            let parts = conditions.into_iter().flat_map(|condition| match condition {
                Filter::And(parts) => parts,
                other => vec![other],
            });
            Some(Filter::And(parts.collect()))
        }
    }
}

/// A place in the text.
fn place(at: Location) -> Place {
    let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    Place::Line { dialect: "SQL", line: number(at.line), column: number(at.column) }
}

fn name(text: impl Into<String>, at: Location) -> Name {
    Name { text: text.into(), at: place(at) }
}
