//! Settles every name of a query: tables, columns, aliases and functions get
//! their exact spelling, or the first wrong one is reported with its place.
//!
//! The tree is walked by hand, clause by clause, because what a name means
//! depends on the clause; anything not listed here is refused by name.

mod build;
mod calls;
mod expr;
mod from;
mod grouping;
mod joins;
mod json_rows;
mod limits;
mod members;
mod order;
mod pivot;
mod postgres;
mod ranked;
mod rows;
mod scope;
mod select;
mod series;
mod sets;
mod tables;
mod window;
mod with;
mod xml_list;

use datafusion::sql::sqlparser::ast::{
    Expr, Query, Select, SelectFlavor, SetExpr, TableAlias, Value, Values,
};
use datafusion::sql::sqlparser::tokenizer::Location;

pub(super) use self::window::is_aggregate;

use self::scope::{Columns, Output, Scope, Source};
use super::{Session, report};
use crate::catalog::Catalog;
use crate::error::Result;

/// Resolves a whole query in place; the headings of its columns.
pub(super) fn query(
    query: &mut Query,
    catalog: &Catalog,
    session: &Session,
    location: Location,
) -> Result<Vec<String>> {
    let max_recursion = max_recursion(query, location)?;
    let (scopes, ctes) = (Vec::new(), Vec::new());
    let mut resolver = Resolver { catalog, session, scopes, ctes, location, max_recursion };
    let outputs = resolver.query(query)?;
    Ok(outputs.into_iter().map(|output| output.heading).collect())
}

/// The state of the walk.
struct Resolver<'a> {
    catalog: &'a Catalog,
    /// Variables and settings, and who asks.
    session: &'a Session,
    /// Enclosing `SELECT`s, innermost last.
    scopes: Vec<Scope>,
    /// Common table expressions in sight, innermost last.
    ctes: Vec<Source>,
    /// Where the statement, or the clause looked at, starts; the place of errors
    /// whose own is unknown.
    location: Location,
    /// Levels of a recursive common table expression; 0 is any number.
    max_recursion: u16,
}

impl Resolver<'_> {
    /// A query at any depth; its output columns.
    fn query(&mut self, query: &mut Query) -> Result<Vec<Output>> {
        let location = self.location;
        let json = self.take_json(query)?;
        self.refuse_query_clauses(query)?;
        let visible = self.ctes.len();
        if let Some(with) = &mut query.with {
            self.with(with)?;
        }
        let outputs = self.body(query)?;
        self.limit(query)?;
        let outputs = match json {
            Some(form) => self.json_rows(query, outputs, &form)?,
            None => outputs,
        };
        self.ctes.truncate(visible);
        self.location = location;
        Ok(outputs)
    }

    fn refuse_query_clauses(&self, query: &Query) -> Result<()> {
        if let Some(lock) = query.locks.first() {
            return Err(report::read_only(&lock.to_string(), self.location));
        }
        let clause = if let Some(clause) = &query.for_clause {
            clause.to_string()
        } else if query.settings.is_some() {
            "SETTINGS".to_owned()
        } else if query.format_clause.is_some() {
            "FORMAT".to_owned()
        } else if !query.pipe_operators.is_empty() {
            "the |> operator".to_owned()
        } else {
            return Ok(());
        };
        Err(report::unsupported(clause, self.location))
    }

    /// The body and its `ORDER BY`, which sees the tables of a plain `SELECT`
    /// and only the output columns of anything else.
    fn body(&mut self, query: &mut Query) -> Result<Vec<Output>> {
        if matches!(query.body.as_ref(), SetExpr::Select(_)) {
            let limit = self.take_limit(query)?;
            let Query { body, order_by, .. } = query;
            let SetExpr::Select(select) = body.as_mut() else { return Ok(Vec::new()) };
            let outputs = self.select(select, order_by.as_mut())?;
            self.set_limit(query, &outputs, limit)?;
            return Ok(outputs);
        }
        let outputs = match query.body.as_mut() {
            body @ SetExpr::SetOperation { .. } => self.set_expr(body)?,
            body => self.operand(body)?,
        };
        if let Some(order_by) = &mut query.order_by {
            let aliases = outputs.clone();
            self.scopes.push(Scope { aliases, ..Scope::default() });
            let ordered = self.order_by(order_by, outputs.len());
            self.scopes.pop();
            ordered?;
        }
        Ok(outputs)
    }

    /// A query seen as a table: its alias and column names.
    fn derived(mut outputs: Vec<Output>, alias: Option<&TableAlias>) -> Result<Source> {
        let Some(alias) = alias else {
            return Ok(Source::new(None, Columns::Listed(outputs)));
        };
        let name = &alias.name;
        if !alias.columns.is_empty() {
            if alias.columns.len() != outputs.len() {
                let (more, number) = if outputs.len() > alias.columns.len() {
                    ("more", 8158)
                } else {
                    ("fewer", 8159)
                };
                let message = format!(
                    "'{}' has {more} columns than were specified in the column list: {} and {} \
                     (Msg {number})",
                    name.value,
                    outputs.len(),
                    alias.columns.len()
                );
                return Err(report::invalid("42P10", message, report::start(name)));
            }
            for (output, column) in outputs.iter_mut().zip(&alias.columns) {
                *output = Output::named(column.name.value.clone(), output.holds);
            }
        }
        let written = |o: &Output| o.written.as_ref().map(|name| name.to_lowercase());
        for (i, output) in outputs.iter().enumerate() {
            let Some(own) = written(output) else {
                let message = format!(
                    "No column name was specified for column {} of '{}' (Msg 8155)",
                    i + 1,
                    name.value
                );
                return Err(report::invalid("42P10", message, report::start(name)));
            };
            if outputs[..i].iter().any(|o| written(o).as_ref() == Some(&own)) {
                let message = format!(
                    "The column '{}' was specified multiple times for '{}' (Msg 8156)",
                    output.written.as_deref().unwrap_or_default(),
                    name.value
                );
                return Err(report::invalid("42701", message, report::start(name)));
            }
        }
        Ok(Source::new(Some(name.value.clone()), Columns::Listed(outputs)))
    }
}

/// `OPTION (MAXRECURSION n)`, which the parser has left with the query.
fn max_recursion(query: &mut Query, location: Location) -> Result<u16> {
    let Some(settings) = query.settings.take() else { return Ok(100) };
    let Some(setting) = settings.first() else { return Ok(100) };
    let limit = match &setting.value {
        Expr::Value(value) => match &value.value {
            Value::Number(number, _) => number.parse().ok().filter(|n| *n <= 32_767),
            _ => None,
        },
        _ => None,
    };
    limit.ok_or_else(|| {
        let message = format!(
            "The value {} specified for the MAXRECURSION option exceeds the allowed maximum of \
             32767 (Msg 310)",
            setting.value
        );
        report::invalid("22023", message, location)
    })
}

fn no_rows() -> Values {
    Values { explicit_row: false, value_keyword: false, rows: Vec::new() }
}

/// Clauses of a `SELECT` that neither dialect offers here.
fn foreign_clause(select: &Select) -> Option<&'static str> {
    let clauses = [
        (!select.optimizer_hints.is_empty(), "an optimizer hint"),
        (select.select_modifiers.is_some(), "a SELECT modifier"),
        (select.exclude.is_some(), "EXCLUDE"),
        (!select.lateral_views.is_empty(), "LATERAL VIEW"),
        (select.prewhere.is_some(), "PREWHERE"),
        (!select.connect_by.is_empty(), "CONNECT BY"),
        (!select.cluster_by.is_empty(), "CLUSTER BY"),
        (!select.distribute_by.is_empty(), "DISTRIBUTE BY"),
        (!select.sort_by.is_empty(), "SORT BY"),
        (select.qualify.is_some(), "QUALIFY"),
        (select.value_table_mode.is_some(), "SELECT AS"),
        (select.flavor != SelectFlavor::Standard, "FROM before SELECT"),
    ];
    clauses.into_iter().find(|(used, _)| *used).map(|(_, name)| name)
}
