//! T-SQL as the Dataverse TDS endpoint has it, and PostgreSQL's syntax where
//! the two do not conflict: text in, checked statements out.
//!
//! [`Script::parse`] reads a whole text: batches, control of flow, statements.
//! Names are settled later, statement by statement ([`Query::resolve`]), because
//! what a variable stands for is known only when its statement's turn comes.
//!
//! A query comes out as a syntax tree that DataFusion's SQL planner reads
//! without changing the case of names: every table, column and alias has its
//! exact spelling, T-SQL's functions and clauses are those of the engine.
//! What `=`, `LIKE`, `GROUP BY` or a sort mean is not decided here but on the
//! logical plan, for all dialects at once. Nothing that writes gets through.

pub mod arrays;
pub mod common;
mod compound;
mod convert;
mod execute;
mod fetch;
mod flow;
mod functions;
mod grammar;
mod hints;
mod named_value;
mod parse_call;
mod query;
mod report;
mod resolve;
mod running;
mod script;
mod server;
mod session;
mod settings;
mod statements;
mod syntax;
mod system;
#[cfg(test)]
mod tests;
mod tokens;
mod web_api;

pub use self::execute::{Argument, Execute, Parameter, parameters, unfit};
pub use self::query::Query;
pub use self::running::Running;
pub use self::script::{Script, Step};
pub use self::session::{Client, Options, Session, Variables};
pub use self::system::is_system_query;
pub use self::web_api::{SelectedColumn, WebApiSelect, parse_web_api};

/// One statement of a script.
#[derive(Clone, Debug, PartialEq)]
pub enum Statement {
    /// A query that answers with rows.
    Query(Query),
    /// `SELECT @a = …, @b = … FROM …`: the variables, in the order of the columns.
    Fetch {
        variables: Vec<String>,
        query: Query,
    },
    /// `SET @a = …`, or the value that `DECLARE` gives; the query has one value.
    Assign {
        variable: String,
        query: Query,
        tag: &'static str,
    },
    /// `DECLARE` of variables without a value.
    Declare,
    /// `EXEC sp_executesql …`, `EXEC (…)`.
    Execute(Box<Execute>),
    /// `PRINT …`; the query has one value.
    Print(Query),
    /// `EXPLAIN [ANALYZE] [VERBOSE] [FORMAT JSON]` of a query.
    Explain {
        query: Query,
        analyze: bool,
        verbose: bool,
        json: bool,
    },
    /// A setting, its name in lower case. Most change nothing here and are
    /// accepted so that scripts and clients go on; [`Session::set`] knows the rest.
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
            Self::Query(_) | Self::Fetch { .. } => "SELECT",
            Self::Assign { tag, .. } => tag,
            Self::Declare => "DECLARE",
            Self::Execute(_) => "EXECUTE",
            Self::Print(_) => "PRINT",
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
