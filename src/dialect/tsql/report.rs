//! Errors of the T-SQL dialect: every one names the word, its line and column,
//! and carries the SQLSTATE for the wire and the SQL Server message number in
//! the text, which is what people who know the TDS endpoint search for.

use datafusion::sql::sqlparser::ast::Ident;
use datafusion::sql::sqlparser::tokenizer::Location;

use crate::error::{Error, Place, codes};

/// The name that leads the place of every message.
const DIALECT: &str = "SQL";

/// Attaches the place, unless the parser knew none.
pub(super) fn at(error: Error, location: Location) -> Error {
    let (Ok(line), Ok(column)) = (u32::try_from(location.line), u32::try_from(location.column))
    else {
        return error;
    };
    if line == 0 { error } else { error.at(Place::Line { dialect: DIALECT, line, column }) }
}

/// Text that is no SQL.
pub(super) fn syntax(message: impl Into<String>, location: Location) -> Error {
    at(Error::invalid(codes::INVALID_ARGUMENT, message).sqlstate("42601"), location)
}

/// A statement or clause that writes.
pub(super) fn read_only(statement: &str, location: Location) -> Error {
    let message = format!("{statement} is not possible: this endpoint is read-only");
    at(Error::unsupported(message).sqlstate("25006"), location)
}

/// Something understood but not offered.
pub(super) fn unsupported(what: impl std::fmt::Display, location: Location) -> Error {
    at(Error::unsupported(format!("{what} is not supported")).sqlstate("0A000"), location)
}

/// A table that is not there.
pub(super) fn unknown_table(message: String, location: Location) -> Error {
    at(Error::invalid(codes::UNKNOWN_ENTITY, message).sqlstate("42P01"), location)
}

/// A column that is not there, or may not be read.
pub(super) fn unknown_column(message: String, location: Location) -> Error {
    at(Error::invalid(codes::UNKNOWN_ATTRIBUTE, message).sqlstate("42703"), location)
}

/// Names that are right by themselves and wrong together.
pub(super) fn invalid(sqlstate: &'static str, message: String, location: Location) -> Error {
    at(Error::invalid(codes::INVALID_ARGUMENT, message).sqlstate(sqlstate), location)
}

/// `; did you mean 'x'?`, or nothing.
pub(super) fn suggestion(nearest: Option<&str>) -> String {
    nearest.map(|name| format!("; did you mean '{name}'?")).unwrap_or_default()
}

/// Where a name starts.
pub(super) fn start(ident: &Ident) -> Location {
    ident.span.start
}
