//! Settles every name of a query: tables, columns, aliases and functions get
//! their exact spelling, or the first wrong one is reported with its place.
//!
//! The tree is walked by hand, clause by clause, because what a name means
//! depends on the clause; anything not listed here is refused by name.

mod calls;
mod expr;
mod from;
mod order;
mod scope;
mod select;

use datafusion::sql::sqlparser::ast::{
    Query, Select, SelectFlavor, SetExpr, SetOperator, SetQuantifier, TableAlias, With,
};
use datafusion::sql::sqlparser::tokenizer::Location;

use self::scope::{Columns, Holds, Output, Scope, Source};
use super::{Session, report};
use crate::catalog::Catalog;
use crate::error::Result;

/// Resolves a whole query in place.
pub(super) fn query(
    query: &mut Query,
    catalog: &Catalog,
    session: &Session,
    location: Location,
) -> Result<()> {
    let (scopes, ctes, open_ctes) = (Vec::new(), Vec::new(), Vec::new());
    // `OPTION (MAXRECURSION n)` is for recursive queries.
    query.settings = None;
    let mut resolver = Resolver { catalog, session, scopes, ctes, open_ctes, location };
    resolver.query(query).map(|_| ())
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
    /// Names of the common table expressions being resolved.
    open_ctes: Vec<String>,
    /// Where the statement, or the clause looked at, starts; the place of errors
    /// whose own is unknown.
    location: Location,
}

impl Resolver<'_> {
    /// A query at any depth; its output columns.
    fn query(&mut self, query: &mut Query) -> Result<Vec<Output>> {
        let location = self.location;
        self.refuse_query_clauses(query)?;
        let visible = self.ctes.len();
        if let Some(with) = &mut query.with {
            self.with(with)?;
        }
        let outputs = self.body(query)?;
        self.limit(query)?;
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

    fn with(&mut self, with: &mut With) -> Result<()> {
        let location = with.with_token.0.span.start;
        if with.recursive {
            return Err(report::unsupported("WITH RECURSIVE", location));
        }
        let first = self.ctes.len();
        for cte in &mut with.cte_tables {
            let name = &cte.alias.name;
            let taken = |s: &Source| s.name.as_deref().is_some_and(|n| scope::same(n, &name.value));
            if self.ctes[first..].iter().any(taken) {
                let message =
                    format!("Duplicate common table expression name '{}' (Msg 239)", name.value);
                return Err(report::invalid("42712", message, report::start(name)));
            }
            self.open_ctes.push(name.value.clone());
            let outputs = self.query(&mut cte.query)?;
            self.open_ctes.pop();
            let source = Self::derived(outputs, Some(&cte.alias))?;
            self.ctes.push(source);
        }
        Ok(())
    }

    /// The body and its `ORDER BY`, which sees the tables of a plain `SELECT`
    /// and only the output columns of anything else.
    fn body(&mut self, query: &mut Query) -> Result<Vec<Output>> {
        if let SetExpr::Select(select) = query.body.as_mut() {
            let top = self.take_top(select)?;
            let outputs = self.select(select, query.order_by.as_mut())?;
            if let Some(top) = top {
                self.set_top(query, top)?;
            }
            return Ok(outputs);
        }
        let outputs = self.set_expr(&mut query.body)?;
        if let Some(order_by) = &mut query.order_by {
            self.scopes.push(Scope { sources: Vec::new(), aliases: outputs.clone() });
            let ordered = self.order_by(order_by, outputs.len());
            self.scopes.pop();
            ordered?;
        }
        Ok(outputs)
    }

    /// The body of a query. Chains of set operations lean to the left and are
    /// taken apart in a loop, so that a long one needs no deep stack.
    fn set_expr(&mut self, body: &mut SetExpr) -> Result<Vec<Output>> {
        let mut others = Vec::new();
        let mut first = body;
        while let SetExpr::SetOperation { left, right, op, set_quantifier } = first {
            check_set_operation(*op, *set_quantifier, self.location)?;
            others.push((*op, right));
            first = left;
        }
        let outputs = self.operand(first)?;
        for (op, other) in others.into_iter().rev() {
            let columns = self.operand(other)?;
            if outputs.len() != columns.len() {
                let message = format!(
                    "All queries combined using {op} need the same number of columns \
                     (Msg 205): the first has {}, the other {}",
                    outputs.len(),
                    columns.len()
                );
                return Err(report::invalid("42601", message, self.location));
            }
        }
        Ok(outputs)
    }

    /// An operand of a set operation, or the body of a query without one.
    fn operand(&mut self, operand: &mut SetExpr) -> Result<Vec<Output>> {
        match operand {
            SetExpr::Select(select) if select.top.is_some() => {
                // LIMIT belongs to a query: the operand becomes one.
                let mut query = as_query(std::mem::replace(operand, SetExpr::Values(no_rows())));
                let outputs = self.query(&mut query)?;
                *operand = SetExpr::Query(query);
                Ok(outputs)
            }
            SetExpr::Select(select) => self.select(select, None),
            SetExpr::Query(query) => self.query(query),
            SetExpr::Values(values) => {
                let width = values.rows.first().map_or(0, |row| row.len());
                self.scopes.push(Scope::default());
                let resolved = values
                    .rows
                    .iter_mut()
                    .flat_map(|row| row.iter_mut())
                    .try_for_each(|value| self.expr(value));
                self.scopes.pop();
                resolved?;
                let name = |i| Output { name: format!("column{i}"), holds: Holds::Other };
                Ok((1..=width).map(name).collect())
            }
            SetExpr::SetOperation { .. } => self.set_expr(operand),
            SetExpr::Insert(_) => Err(report::read_only("INSERT", self.location)),
            SetExpr::Update(_) => Err(report::read_only("UPDATE", self.location)),
            SetExpr::Delete(_) => Err(report::read_only("DELETE", self.location)),
            SetExpr::Merge(_) => Err(report::read_only("MERGE", self.location)),
            SetExpr::Table(_) => Err(report::unsupported("TABLE", self.location)),
        }
    }

    /// A query seen as a table: its alias and column names.
    fn derived(mut outputs: Vec<Output>, alias: Option<&TableAlias>) -> Result<Source> {
        let Some(alias) = alias else {
            return Ok(Source { name: None, columns: Columns::Listed(outputs), bare_table: false });
        };
        let name = &alias.name;
        if !alias.columns.is_empty() {
            if alias.columns.len() != outputs.len() {
                let message = format!(
                    "'{}' has {} columns and its column list {} (Msg 8158)",
                    name.value,
                    outputs.len(),
                    alias.columns.len()
                );
                return Err(report::invalid("42P10", message, report::start(name)));
            }
            for (output, column) in outputs.iter_mut().zip(&alias.columns) {
                output.name.clone_from(&column.name.value);
            }
        }
        for (i, output) in outputs.iter().enumerate() {
            if outputs[..i].iter().any(|o| scope::same(&o.name, &output.name)) {
                let message = format!(
                    "The column '{}' was specified multiple times for '{}' (Msg 8156)",
                    output.name, name.value
                );
                return Err(report::invalid("42701", message, report::start(name)));
            }
        }
        Ok(Source {
            name: Some(name.value.clone()),
            columns: Columns::Listed(outputs),
            bare_table: false,
        })
    }
}

fn check_set_operation(
    op: SetOperator,
    quantifier: SetQuantifier,
    location: Location,
) -> Result<()> {
    let offered = match quantifier {
        SetQuantifier::None | SetQuantifier::Distinct => op != SetOperator::Minus,
        SetQuantifier::All => op == SetOperator::Union,
        SetQuantifier::ByName | SetQuantifier::AllByName | SetQuantifier::DistinctByName => false,
    };
    if offered {
        return Ok(());
    }
    let what = format!("{op} {quantifier}");
    Err(report::unsupported(what.trim_end(), location))
}

fn no_rows() -> datafusion::sql::sqlparser::ast::Values {
    datafusion::sql::sqlparser::ast::Values {
        explicit_row: false,
        value_keyword: false,
        rows: Vec::new(),
    }
}

fn as_query(body: SetExpr) -> Box<Query> {
    Box::new(Query {
        with: None,
        body: Box::new(body),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: Vec::new(),
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: Vec::new(),
    })
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
        (!select.named_window.is_empty(), "WINDOW"),
        (select.qualify.is_some(), "QUALIFY"),
        (select.value_table_mode.is_some(), "SELECT AS"),
        (select.flavor != SelectFlavor::Standard, "FROM before SELECT"),
    ];
    clauses.into_iter().find(|(used, _)| *used).map(|(_, name)| name)
}
