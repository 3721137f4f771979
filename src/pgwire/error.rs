//! Errors as PostgreSQL clients know them: the only place that chooses an SQLSTATE.
//!
//! The message says what is wrong, the position field where, the hint which
//! name was meant; psql shows the three apart and other clients pick from them.

use datafusion::arrow::error::ArrowError;
use datafusion::common::{DataFusionError, SchemaError};
use datafusion::sql::sqlparser::parser::ParserError;
use pgwire::error::{ErrorInfo, PgWireError};

use crate::engine::failure;
use crate::error::{Error, ErrorKind, Place, codes};

/// SQLSTATEs that are raised by name elsewhere in this module.
pub mod state {
    pub const PROTOCOL_VIOLATION: &str = "08P01";
    pub const NOT_SUPPORTED: &str = "0A000";
    pub const INVALID_PARAMETER: &str = "22023";
    pub const NUMBER_OUT_OF_RANGE: &str = "22003";
    pub const INVALID_TEXT: &str = "22P02";
    pub const NO_TRANSACTION: &str = "25P01";
    pub const READ_ONLY: &str = "25006";
    pub const FAILED_TRANSACTION: &str = "25P02";
    pub const UNKNOWN_STATEMENT: &str = "26000";
    pub const UNKNOWN_CURSOR: &str = "34000";
    pub const UNKNOWN_SAVEPOINT: &str = "3B001";
    pub const UNKNOWN_DATABASE: &str = "3D000";
    pub const WRONG_PASSWORD: &str = "28P01";
    pub const SYNTAX: &str = "42601";
    pub const UNKNOWN_OBJECT: &str = "42704";
    pub const TOO_MANY_CONNECTIONS: &str = "53300";
    pub const CANCELED: &str = "57014";
    pub const SHUTDOWN: &str = "57P01";
}

/// A write statement; nothing that changes data exists in this surface.
pub fn read_only(statement: &str) -> Error {
    let statement = statement.to_uppercase();
    let message = format!("{statement} is not possible: this SQL endpoint is read-only");
    Error::unsupported(message).sqlstate(state::READ_ONLY)
}

/// An error of the protocol itself that ends the statement.
pub fn plain(sqlstate: &str, message: impl Into<String>) -> PgWireError {
    user(ErrorInfo::new("ERROR".into(), sqlstate.into(), message.into()))
}

/// An error that ends the connection.
pub fn fatal(sqlstate: &str, message: impl Into<String>) -> PgWireError {
    user(ErrorInfo::new("FATAL".into(), sqlstate.into(), message.into()))
}

fn user(info: ErrorInfo) -> PgWireError {
    PgWireError::UserError(Box::new(info))
}

/// The answer to an error; `text` is the request that its place refers to.
pub fn to_wire(error: &Error, text: &str) -> PgWireError {
    let position = error.place.as_ref().and_then(|place| position(place, text));
    let message = if position.is_some() { error.message.clone() } else { error.to_string() };
    let (message, hint) = split_hint(message);
    let mut info = ErrorInfo::new("ERROR".into(), sqlstate(error).into(), message);
    info.position = position.map(|p| p.to_string());
    info.hint = hint;
    user(info)
}

/// An error of DataFusion as one of ours.
pub fn from_datafusion(error: DataFusionError) -> Error {
    // An error of ours may have travelled through DataFusion.
    let error = match error {
        DataFusionError::External(inner) => match inner.downcast::<Error>() {
            Ok(own) => return *own,
            Err(inner) => DataFusionError::External(inner),
        },
        error => error,
    };
    // What a running query fails with has the words of SQL Server there.
    if matches!(
        error.find_root(),
        DataFusionError::ResourcesExhausted(_)
            | DataFusionError::Execution(_)
            | DataFusionError::ArrowError(..)
    ) {
        return failure(error);
    }
    let (kind, code, sqlstate, message) = describe(error.find_root());
    let described = Error::new(kind, code, message).caused_by(error);
    match sqlstate {
        Some(sqlstate) => described.sqlstate(sqlstate),
        None => described,
    }
}

type Description = (ErrorKind, u32, Option<&'static str>, String);

fn describe(root: &DataFusionError) -> Description {
    let (kind, code, sqlstate) = match root {
        DataFusionError::SchemaError(error, _) => return describe_schema(error),
        DataFusionError::ArrowError(error, _) => return describe_arrow(error),
        DataFusionError::SQL(error, _) => {
            let (ParserError::TokenizerError(message) | ParserError::ParserError(message)) =
                error.as_ref()
            else {
                let message = "the statement is nested too deeply".to_owned();
                return (ErrorKind::Limit, codes::INVALID_ARGUMENT, Some("54001"), message);
            };
            let invalid = ErrorKind::Invalid;
            return (invalid, codes::INVALID_ARGUMENT, Some(state::SYNTAX), message.clone());
        }
        DataFusionError::NotImplemented(_) => (ErrorKind::Unsupported, codes::NOT_SUPPORTED, None),
        DataFusionError::Plan(message) if message.contains("table '") => {
            (ErrorKind::Invalid, codes::UNKNOWN_ENTITY, None)
        }
        DataFusionError::Plan(message) if message.contains("Invalid function") => {
            (ErrorKind::Invalid, codes::INVALID_ARGUMENT, Some("42883"))
        }
        DataFusionError::Plan(_) => (ErrorKind::Invalid, codes::INVALID_ARGUMENT, None),
        DataFusionError::Configuration(_) => {
            (ErrorKind::Invalid, codes::INVALID_ARGUMENT, Some(state::UNKNOWN_OBJECT))
        }
        DataFusionError::Execution(message) if message.contains("Cast error") => {
            (ErrorKind::Invalid, codes::INVALID_VALUE, None)
        }
        DataFusionError::Execution(message) if message.contains("(Msg 241)") => {
            (ErrorKind::Invalid, codes::INVALID_VALUE, Some("22007"))
        }
        DataFusionError::Execution(_) => {
            (ErrorKind::Invalid, codes::INVALID_ARGUMENT, Some("22000"))
        }
        DataFusionError::ResourcesExhausted(_) => {
            (ErrorKind::Limit, codes::UNEXPECTED, Some("53200"))
        }
        DataFusionError::External(error) => {
            if let Some(own) = error.downcast_ref::<Error>() {
                return (own.kind, own.code, Some(sqlstate_of(own)), own.to_string());
            }
            (ErrorKind::Internal, codes::UNEXPECTED, None)
        }
        _ => (ErrorKind::Internal, codes::UNEXPECTED, None),
    };
    // What follows are suggestions among DataFusion's own functions.
    let message = root.message();
    let message = message.lines().next().unwrap_or_default().trim_end_matches('.');
    (kind, code, sqlstate, message.to_owned())
}

fn describe_schema(error: &SchemaError) -> Description {
    let (code, sqlstate) = match error {
        SchemaError::FieldNotFound { .. } => (codes::UNKNOWN_ATTRIBUTE, "42703"),
        SchemaError::AmbiguousReference { .. } => (codes::UNKNOWN_ATTRIBUTE, "42702"),
        SchemaError::DuplicateQualifiedField { .. }
        | SchemaError::DuplicateUnqualifiedField { .. } => (codes::DUPLICATE_ALIAS, "42701"),
    };
    let message = match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let names = valid_fields.iter().map(|f| f.name.as_str());
            match crate::catalog::nearest(&field.name, names) {
                Some(near) => {
                    format!("column '{}' does not exist; did you mean '{near}'?", field.name)
                }
                None => format!("column '{}' does not exist", field.name),
            }
        }
        error => error.to_string(),
    };
    (ErrorKind::Invalid, code, Some(sqlstate), message)
}

fn describe_arrow(error: &ArrowError) -> Description {
    let (code, sqlstate) = match error {
        ArrowError::DivideByZero => (codes::INVALID_ARGUMENT, "22012"),
        ArrowError::ArithmeticOverflow(_) => (codes::OVERFLOW, state::NUMBER_OUT_OF_RANGE),
        ArrowError::CastError(_) | ArrowError::ParseError(_) => {
            (codes::INVALID_VALUE, state::INVALID_TEXT)
        }
        ArrowError::NotYetImplemented(message) => {
            return (ErrorKind::Unsupported, codes::NOT_SUPPORTED, None, message.clone());
        }
        ArrowError::InvalidArgumentError(_) | ArrowError::ComputeError(_) => {
            (codes::INVALID_ARGUMENT, state::INVALID_PARAMETER)
        }
        error => return (ErrorKind::Internal, codes::UNEXPECTED, None, error.to_string()),
    };
    (ErrorKind::Invalid, code, Some(sqlstate), error.to_string())
}

/// The SQLSTATE of an error. One that came through another layer without a
/// precise one is judged by what DataFusion said.
fn sqlstate(error: &Error) -> &'static str {
    if error.sqlstate.is_none()
        && let Some(cause) = std::error::Error::source(error)
        && let Some(cause) = cause.downcast_ref::<DataFusionError>()
    {
        let (kind, code, sqlstate, message) = describe(cause.find_root());
        return sqlstate.unwrap_or_else(|| sqlstate_of(&Error::new(kind, code, message)));
    }
    sqlstate_of(error)
}

fn sqlstate_of(error: &Error) -> &'static str {
    if let Some(sqlstate) = error.sqlstate {
        return sqlstate;
    }
    match error.code {
        codes::UNKNOWN_ENTITY => "42P01",
        codes::UNKNOWN_ATTRIBUTE => "42703",
        codes::INVALID_VALUE => state::INVALID_TEXT,
        codes::OVERFLOW => state::NUMBER_OUT_OF_RANGE,
        codes::NOT_SUPPORTED => state::NOT_SUPPORTED,
        codes::DUPLICATE_ALIAS => "42712",
        codes::ACCESS_DENIED => "42501",
        _ => match error.kind {
            ErrorKind::Invalid => state::SYNTAX,
            ErrorKind::Unsupported => state::NOT_SUPPORTED,
            ErrorKind::NotFound => state::UNKNOWN_OBJECT,
            ErrorKind::Conflict => "55000",
            ErrorKind::Limit => "54000",
            ErrorKind::Closed => state::SHUTDOWN,
            ErrorKind::Data => "XX001",
            ErrorKind::Internal => "XX000",
        },
    }
}

/// The character, from 1, that a line and column stand for.
fn position(place: &Place, text: &str) -> Option<usize> {
    let Place::Line { line, column, .. } = place else { return None };
    let line_index = usize::try_from(line.checked_sub(1)?).ok()?;
    let column = usize::try_from(*column).ok()?;
    let lines: Vec<&str> = text.split('\n').collect();
    let before: usize = lines.get(..line_index)?.iter().map(|l| l.chars().count() + 1).sum();
    // A statement that stops too early is marked just behind its end.
    let within = column.clamp(1, lines.get(line_index)?.chars().count() + 1);
    Some(before + within)
}

/// A suggestion at the end of a message goes where clients look for it.
fn split_hint(message: String) -> (String, Option<String>) {
    match message.rsplit_once("; did you mean ") {
        Some((message, hint)) => (message.to_owned(), Some(format!("Did you mean {hint}"))),
        None => (message, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(error: &Error, text: &str) -> ErrorInfo {
        ErrorInfo::from(to_wire(error, text))
    }

    #[test]
    fn place_becomes_a_position_and_a_suggestion_a_hint() {
        let text = "SELECT å,\n  statuscod FROM asyncoperation";
        let error = Error::invalid(
            codes::UNKNOWN_ATTRIBUTE,
            "column 'statuscod' does not exist; did you mean 'statuscode'?",
        )
        .at(Place::Line { dialect: "SQL", line: 2, column: 3 });
        let info = info(&error, text);
        assert_eq!(info.code, "42703");
        assert_eq!(info.message, "column 'statuscod' does not exist");
        assert_eq!(info.hint.as_deref(), Some("Did you mean 'statuscode'?"));
        assert_eq!(info.position.as_deref(), Some("13"));
        assert_eq!(text.chars().nth(12), Some('s'));
    }

    #[test]
    fn a_place_without_a_position_stays_in_the_message() {
        let error = Error::invalid(codes::INVALID_VALUE, "'x' is not a whole number")
            .at(Place::Part("parameter $1".into()));
        let info = info(&error, "SELECT 1");
        assert_eq!((info.code.as_str(), info.position), ("22P02", None));
        assert_eq!(info.message, "parameter $1: 'x' is not a whole number");
    }

    #[test]
    fn datafusion_errors_get_their_sqlstate() {
        let cases = [
            (DataFusionError::from(ArrowError::DivideByZero), "22012"),
            (ArrowError::ArithmeticOverflow("x".into()).into(), "22003"),
            (ArrowError::CastError("x".into()).into(), "22P02"),
            (DataFusionError::NotImplemented("x".into()), "0A000"),
            (DataFusionError::Plan("table 'sysjob.public.x' not found".into()), "42P01"),
            (DataFusionError::Plan("x".into()), "42601"),
            (DataFusionError::Execution("no date (Msg 241)".into()), "22007"),
            (DataFusionError::Internal("x".into()), "XX000"),
            (
                DataFusionError::External(Box::new(read_only("insert"))).context("somewhere"),
                "25006",
            ),
        ];
        for (error, expected) in cases {
            let shown = error.to_string();
            assert_eq!(info(&from_datafusion(error), "").code, expected, "{shown}");
        }
    }

    #[test]
    fn a_cause_without_a_precise_state_decides() {
        let cause = DataFusionError::from(ArrowError::DivideByZero);
        let error = Error::invalid(codes::INVALID_ARGUMENT, "division by zero").caused_by(cause);
        assert_eq!(info(&error, "").code, "22012");
    }
}
