//! What names mean at one point of a query: the tables of each enclosing
//! `SELECT`, innermost last, and the aliases that its later clauses may use.
//!
//! Names differ in case only by accident; the scope knows the exact spelling.

use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{Expr, Ident, WindowSpec};

use crate::catalog::{self, Table};
use crate::dialect::tsql::report;
use crate::error::Result;

/// A column of a derived table or of the answer.
#[derive(Clone, Debug)]
pub(super) struct Output {
    pub name: String,
    pub holds: Holds,
    /// The name as written, where a plan's name must be another; none of an
    /// expression without alias.
    pub written: Option<String>,
    /// What the answer calls it; other columns may be called the same.
    pub heading: String,
    /// Other names that find it.
    pub also: Vec<String>,
}

impl Output {
    /// A column with a name of its own.
    pub fn named(name: String, holds: Holds) -> Self {
        let (written, heading) = (Some(name.clone()), name.clone());
        Self { name, holds, written, heading, also: Vec::new() }
    }
}

/// What a column or an expression holds, as far as operators depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// The code of a table; text is wanted of it in most expressions.
    TableName,
    Other,
}

/// The columns behind a name in `FROM`.
#[derive(Clone, Debug)]
pub(super) enum Columns {
    Table(Arc<Table>),
    Listed(Vec<Output>),
}

/// One item of `FROM`.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// The name that columns are qualified with: the alias, else the table's.
    pub name: Option<String>,
    pub columns: Columns,
    /// A table without alias, which `dbo.table.column` may refer to.
    pub bare_table: bool,
    /// Columns that `USING` has merged with another table's: only found with
    /// the table's name.
    pub hidden: Vec<String>,
    /// The merged columns themselves, of a source that has no others.
    pub merged: Vec<Merged>,
}

/// A column of `JOIN … USING`, and what it is.
#[derive(Clone, Debug)]
pub(super) struct Merged {
    pub name: String,
    pub expr: Expr,
    pub holds: Holds,
}

/// The clause that is being resolved, as far as functions depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Clause {
    Where,
    On,
    GroupBy,
    Having,
    #[default]
    Select,
    OrderBy,
}

/// One `SELECT`.
#[derive(Debug, Default)]
pub(super) struct Scope {
    pub sources: Vec<Source>,
    pub clause: Clause,
    /// Inside of an aggregate's arguments.
    pub in_aggregate: bool,
    /// Inside of a window.
    pub in_window: bool,
    /// The windows that `WINDOW` names.
    pub windows: Vec<(String, WindowSpec)>,
    /// Aliases of the select list, while a clause is resolved that may use them.
    pub aliases: Vec<Output>,
}

/// A column found: how to write it, and what it holds.
pub(super) struct Found {
    pub expr: Expr,
    pub holds: Holds,
}

fn find<'a>(outputs: &'a [Output], name: &str) -> Option<&'a Output> {
    let exact = outputs.iter().find(|o| o.name == name);
    let near = || outputs.iter().find(|o| same(&o.name, name));
    let other = || outputs.iter().find(|o| o.also.iter().any(|also| same(also, name)));
    exact.or_else(near).or_else(other)
}

/// Equal but for case.
pub(super) fn same(a: &str, b: &str) -> bool {
    a == b || a.to_lowercase() == b.to_lowercase()
}

impl Source {
    pub fn new(name: Option<String>, columns: Columns) -> Self {
        Self { name, columns, bare_table: false, hidden: Vec::new(), merged: Vec::new() }
    }

    /// Whether `USING` has merged a column of it.
    pub fn hides(&self, name: &str) -> bool {
        self.hidden.iter().any(|hidden| same(hidden, name))
    }

    /// The exact name of a column, and what it holds.
    fn column(&self, ident: &Ident) -> Result<Option<(String, Holds)>> {
        match &self.columns {
            Columns::Listed(outputs) => {
                Ok(find(outputs, &ident.value).map(|o| (o.name.clone(), o.holds)))
            }
            Columns::Table(table) => {
                let Some(index) = table.column_index_any_case(&ident.value) else {
                    return Ok(None);
                };
                let column = &table.columns[index];
                if !column.read {
                    let message = format!(
                        "Invalid column name '{}' (Msg 207): column '{}' of '{}' cannot be read",
                        ident.value, column.logical_name, table.logical_name
                    );
                    return Err(report::unknown_column(message, report::start(ident)));
                }
                Ok(Some((column.logical_name.clone(), holds(column))))
            }
        }
    }

    /// All readable columns.
    pub fn outputs(&self) -> Vec<Output> {
        match &self.columns {
            Columns::Listed(outputs) => outputs.clone(),
            Columns::Table(table) => table
                .columns
                .iter()
                .filter(|c| c.is_listed())
                .map(|c| Output::named(c.logical_name.clone(), holds(c)))
                .collect(),
        }
    }

    /// A reference to a column of this source, by its exact name.
    pub fn reference(&self, column: &str, at: &Ident) -> Expr {
        let ident =
            |value: &str| Ident { value: value.to_owned(), quote_style: None, span: at.span };
        match &self.name {
            Some(name) => Expr::CompoundIdentifier(vec![ident(name), ident(column)]),
            None => Expr::Identifier(ident(column)),
        }
    }

    fn nearest(&self, name: &str) -> Option<&str> {
        match &self.columns {
            Columns::Table(table) => table.nearest_column(name),
            Columns::Listed(outputs) => {
                catalog::nearest(name, outputs.iter().map(|o| o.name.as_str()))
            }
        }
    }

    /// The name for messages: of a table with an alias, both.
    fn label(&self) -> String {
        match (&self.name, &self.columns) {
            (Some(name), Columns::Table(table)) if *name != table.logical_name => {
                format!("'{name}' ({})", table.logical_name)
            }
            (Some(name), _) => format!("'{name}'"),
            (None, _) => "the derived table".to_owned(),
        }
    }
}

fn holds(column: &catalog::Column) -> Holds {
    use catalog::ColumnType::EntityName;
    match column.column_type {
        EntityName if !catalog::is_code_in_sql(&column.logical_name) => Holds::TableName,
        _ => Holds::Other,
    }
}

impl Scope {
    /// An unqualified name, or `None` when this scope does not know it.
    pub fn column(&self, ident: &Ident) -> Result<Option<Found>> {
        let mut found: Option<(&Source, String, Holds)> = None;
        let merged = self.sources.iter().flat_map(|s| &s.merged);
        if let Some(merged) = merged.into_iter().find(|m| same(&m.name, &ident.value)) {
            return Ok(Some(Found { expr: merged.expr.clone(), holds: merged.holds }));
        }
        for source in &self.sources {
            if source.hides(&ident.value) {
                continue;
            }
            let Some((name, holds)) = source.column(ident)? else { continue };
            if let Some((other, _, _)) = &found {
                let qualify = match (&other.name, &source.name) {
                    (Some(a), Some(b)) => format!("; write '{a}.{name}' or '{b}.{name}'"),
                    _ => String::new(),
                };
                let message = format!(
                    "Ambiguous column name '{}' (Msg 209): it is in {} and {}{qualify}",
                    ident.value,
                    other.label(),
                    source.label(),
                );
                return Err(report::invalid("42702", message, report::start(ident)));
            }
            found = Some((source, name, holds));
        }
        Ok(found.map(|(source, name, holds)| Found { expr: source.reference(&name, ident), holds }))
    }

    /// An alias of the select list, while those may be used.
    pub fn alias(&self, ident: &Ident) -> Option<Found> {
        if self.clause == Clause::Having {
            return None;
        }
        let output = find(&self.aliases, &ident.value)?;
        let ident = Ident { value: output.name.clone(), quote_style: None, span: ident.span };
        Some(Found { expr: Expr::Identifier(ident), holds: output.holds })
    }

    /// How many columns of the select list have this alias.
    pub fn aliased(&self, ident: &Ident) -> usize {
        let named = |output: &&Output| {
            output.written.as_deref().is_some_and(|written| same(written, &ident.value))
        };
        self.aliases.iter().filter(named).count()
    }

    /// The source that a qualifier names.
    pub fn source(&self, qualifier: &str, needs_table: bool) -> Option<&Source> {
        self.sources.iter().find(|source| {
            source.name.as_deref().is_some_and(|name| same(name, qualifier))
                && (source.bare_table || !needs_table)
        })
    }
}

/// `source.column` where the source is known.
pub(super) fn column_of(source: &Source, ident: &Ident) -> Result<Found> {
    match source.column(ident)? {
        Some((name, holds)) => Ok(Found { expr: source.reference(&name, ident), holds }),
        None => Err(unknown(ident, std::slice::from_ref(source), &[])),
    }
}

/// The error for a column that none of the sources has.
pub(super) fn unknown(
    ident: &Ident,
    sources: &[Source],
    aliases: &[Output],
) -> crate::error::Error {
    let name = &ident.value;
    let candidates = sources
        .iter()
        .filter_map(|s| s.nearest(name))
        .chain(catalog::nearest(name, aliases.iter().map(|o| o.name.as_str())));
    let nearest = catalog::nearest(name, candidates);
    let place = match sources {
        [] if aliases.is_empty() => "; the query has no FROM clause".to_owned(),
        sources => {
            let names: Vec<_> = sources.iter().map(Source::label).collect();
            format!(" on {}", names.join(", "))
        }
    };
    let message = match sources {
        [] if aliases.is_empty() => format!("Invalid column name '{name}' (Msg 207){place}"),
        [] => format!("Invalid column name '{name}' (Msg 207){}", report::suggestion(nearest)),
        _ => {
            format!("Invalid column name '{name}'{place} (Msg 207){}", report::suggestion(nearest))
        }
    };
    report::unknown_column(message, report::start(ident))
}
