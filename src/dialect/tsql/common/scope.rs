//! The tables of a query by the names it gives them.

use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{Expr, Ident};
use datafusion::sql::sqlparser::tokenizer::Location;

use super::name;
use crate::catalog::Table;
use crate::query::{ColumnRef, Name, Path};

/// A table of the query.
#[derive(Clone)]
pub(super) struct Source {
    /// What the query calls it.
    pub called: String,
    pub table: Arc<Table>,
    /// What links call it.
    pub alias: Name,
}

/// The tables of a `SELECT`, and those around it.
#[derive(Clone, Default)]
pub(super) struct Scope {
    pub sources: Vec<Source>,
    pub outside: Option<Arc<Scope>>,
}

/// A column of a table in sight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// How many `SELECT`s further out.
    pub level: usize,
    pub source: usize,
    pub column: usize,
}

impl Scope {
    pub fn root(&self, at: Location) -> Name {
        name(self.sources.first().map_or("", |s| s.table.logical_name.as_str()), at)
    }

    /// The column that an expression is.
    pub fn column(&self, expr: &Expr) -> Option<Found> {
        let (of, column) = match expr {
            Expr::Nested(inner) => return self.column(inner),
            Expr::Identifier(column) => (None, column),
            Expr::CompoundIdentifier(parts) => {
                let (column, before) = parts.split_last()?;
                (before.last(), column)
            }
            _ => return None,
        };
        self.named(of, column, 0)
    }

    fn named(&self, of: Option<&Ident>, column: &Ident, level: usize) -> Option<Found> {
        let here = self.sources.iter().enumerate().find_map(|(source, known)| {
            let meant = of.is_none_or(|of| of.value.eq_ignore_ascii_case(&known.called));
            let column = known.table.column_index_any_case(&column.value).filter(|_| meant)?;
            Some(Found { level, source, column })
        });
        here.or_else(|| self.outside.as_ref()?.named(of, column, level + 1))
    }

    pub fn table(&self, found: Found) -> &Table {
        match (&self.outside, found.level) {
            (Some(outside), level) if level > 0 => {
                outside.table(Found { level: level - 1, ..found })
            }
            _ => &self.sources[found.source].table,
        }
    }

    pub fn facts(&self, found: Found) -> &crate::catalog::Column {
        &self.table(found).columns[found.column]
    }

    /// A column of this `SELECT` as the common form names it where columns of a source
    /// need no alias; nothing for one of the root elsewhere.
    pub fn reference(&self, found: Found, here: usize, at: Location) -> Option<ColumnRef> {
        let name = name(&self.facts(found).logical_name, at);
        let path = match found.source {
            _ if found.level > 0 => return None,
            source if source == here => Path::Here,
            0 => return None,
            source => Path::Alias(self.sources[source].alias.clone()),
        };
        Some(ColumnRef { path, name })
    }
}
