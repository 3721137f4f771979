//! T-SQL as the Dataverse TDS endpoint has it, and PostgreSQL's syntax where
//! the two do not conflict: text in, checked statements out.
//!
//! A query comes out as a syntax tree that DataFusion's SQL planner reads
//! without changing the case of names: every table, column and alias has its
//! exact spelling, T-SQL's functions and clauses are those of the engine.
//! What `=`, `LIKE`, `GROUP BY` or a sort mean is not decided here but on the
//! logical plan, for all dialects at once. Nothing that writes gets through.

mod convert;
mod functions;
mod grammar;
mod report;
mod resolve;
mod script;
mod session;
mod syntax;
mod system;
#[cfg(test)]
mod tests;
mod web_api;

use datafusion::sql::sqlparser::ast;

use crate::catalog::Catalog;
use crate::error::Result;

pub use self::system::is_system_query;
pub use self::web_api::{SelectedColumn, WebApiSelect, parse_web_api};

/// One statement of a script.
#[derive(Clone, Debug, PartialEq)]
pub enum Statement {
    /// A query whose names are settled.
    Query(Box<ast::Query>),
    /// `EXPLAIN [ANALYZE] [VERBOSE]` of a query.
    Explain {
        query: Box<ast::Query>,
        analyze: bool,
        verbose: bool,
    },
    /// A setting that changes nothing here, accepted so that scripts and
    /// clients go on. The name is in lower case.
    Set {
        name: String,
        value: String,
    },
    /// `SHOW name`, in lower case.
    Show {
        name: String,
    },
    /// `RESET`, `DISCARD`: settings back to their defaults.
    Reset {
        command: &'static str,
    },
    /// `USE sysjob`.
    Use,
    Begin,
    Commit,
    Rollback,
}

impl Statement {
    /// The command tag of the PostgreSQL protocol.
    pub fn tag(&self) -> &'static str {
        match self {
            Self::Query(_) => "SELECT",
            Self::Explain { .. } => "EXPLAIN",
            Self::Set { .. } => "SET",
            Self::Show { .. } => "SHOW",
            Self::Reset { command } => command,
            Self::Use => "USE",
            Self::Begin => "BEGIN",
            Self::Commit => "COMMIT",
            Self::Rollback => "ROLLBACK",
        }
    }
}

/// Parses a script and settles all names of its queries, or reports the first
/// thing that is wrong: which word, where, and what was probably meant.
pub fn parse(text: &str, catalog: &Catalog) -> Result<Vec<Statement>> {
    syntax::parse(text)?.into_iter().map(|parsed| session::statement(parsed, catalog)).collect()
}
