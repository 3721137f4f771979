//! DataFusion's errors as ours.

use datafusion::common::{DataFusionError, SchemaError};
use datafusion::error::DataFusionError as Failure;

use super::limits::out_of_memory;
use crate::error::{Error, codes};

/// What a DataFusion error means to the person who asked.
pub fn failure(e: Failure) -> Error {
    // An error of ours may have travelled through DataFusion.
    let e = match e {
        DataFusionError::External(inner) => match inner.downcast::<Error>() {
            Ok(own) => return *own,
            Err(inner) => DataFusionError::External(inner),
        },
        e => e,
    };
    let root = e.find_root();
    let text = root.strip_backtrace();
    let invalid = |state| Error::invalid(codes::INVALID_ARGUMENT, text.clone()).sqlstate(state);
    match root {
        DataFusionError::SchemaError(inner, _) => match inner.as_ref() {
            SchemaError::FieldNotFound { .. } => invalid("42703"),
            SchemaError::AmbiguousReference { .. } => invalid("42702"),
            _ => invalid("42601"),
        },
        DataFusionError::External(own) if own.is::<Error>() => match own.downcast_ref::<Error>() {
            Some(own) => {
                let mut error = Error::new(own.kind, own.code, own.message.clone());
                error.sqlstate = own.sqlstate;
                error
            }
            None => Error::internal(text),
        },
        DataFusionError::NotImplemented(what) => Error::unsupported(what.clone()).sqlstate("0A000"),
        DataFusionError::SQL(..) => invalid("42601"),
        DataFusionError::Plan(what) if what.contains(NO_FUNCTION) => {
            Error::invalid(codes::INVALID_ARGUMENT, wrong_arguments(what)).sqlstate("42883")
        }
        DataFusionError::Plan(what) => {
            let state = match what {
                w if w.contains("(Msg 208)") => "42P01",
                w if w.contains("(Msg 8169)") => "22P02",
                w if w.contains("(Msg 241)") => "22007",
                w if w.contains("Invalid function") => "42883",
                _ => "42601",
            };
            Error::invalid(codes::INVALID_ARGUMENT, what.clone()).sqlstate(state)
        }
        DataFusionError::ResourcesExhausted(what) => out_of_memory(what),
        DataFusionError::ArrowError(inner, _) => match inner.as_ref() {
            datafusion::arrow::error::ArrowError::DivideByZero => invalid("22012"),
            datafusion::arrow::error::ArrowError::ArithmeticOverflow(_) => overflow(text),
            datafusion::arrow::error::ArrowError::CastError(what)
            | datafusion::arrow::error::ArrowError::InvalidArgumentError(what)
                if is_overflow(what) =>
            {
                overflow(what.clone())
            }
            datafusion::arrow::error::ArrowError::CastError(what) => {
                Error::invalid(codes::INVALID_ARGUMENT, wrong_text(what)).sqlstate("22P02")
            }
            datafusion::arrow::error::ArrowError::ParseError(_) => invalid("22P02"),
            _ => Error::internal(text).caused_by(e),
        },
        DataFusionError::Execution(what) if what.starts_with("Arithmetic overflow") => {
            overflow(what.clone())
        }
        DataFusionError::Execution(what) => {
            let state = match what {
                w if w.contains("Msg 241") => "22007",
                w if w.contains("Msg 517") || w.contains("Msg 535") => "22003",
                w if w.contains("Msg 8169") => "22P02",
                w if w.contains("overflow") => "22003",
                _ => "22000",
            };
            Error::invalid(codes::INVALID_ARGUMENT, what.clone()).sqlstate(state)
        }
        DataFusionError::External(_) if text.contains("regex parse error") => invalid("2201B"),
        _ => Error::internal(text).caused_by(e),
    }
}

/// A number that its type cannot hold.
fn overflow(message: String) -> Error {
    Error::invalid(codes::OVERFLOW, message).sqlstate("22003")
}

/// Whether a conversion failed because a number is too large.
fn is_overflow(what: &str) -> bool {
    ["too large to store in a Decimal", "too small to store in a Decimal", "is out of range"]
        .iter()
        .any(|text| what.contains(text))
}

/// What DataFusion says when a function does not take the types it is given.
const NO_FUNCTION: &str = "No function matches the given name and argument types '";

/// Names the function and the types it was given, as SQL calls them.
fn wrong_arguments(what: &str) -> String {
    let (own, call) = what.split_once(NO_FUNCTION).unwrap_or(("", what));
    // One of our functions said it better.
    if let Some((own, _)) = own.rsplit_once(". ").filter(|(own, _)| own.ends_with(')'))
        && own.contains("(Msg ")
        && let Some((_, own)) = own.split_once("Error during planning: ")
    {
        return own.to_owned();
    }
    let call = call.split('\'').next().unwrap_or(call);
    let Some((name, types)) = call.split_once('(') else { return what.to_owned() };
    let types: Vec<_> = types
        .trim_end_matches(')')
        .split(", ")
        .map(|t| sql_type(t.trim_end_matches(')')))
        .collect();
    let name = name.trim_start_matches("sql_");
    format!("The function '{name}' does not take the type {} (Msg 8116)", types.join(", "))
}

/// Names the text that is no number, as SQL Server does.
fn wrong_text(what: &str) -> String {
    let found = what
        .strip_prefix("Cannot cast string '")
        .and_then(|rest| rest.rsplit_once("' to value of "))
        .and_then(|(text, rest)| Some((text, rest.strip_suffix(" type")?)));
    match found {
        Some((text, to)) => {
            let to = sql_type(to);
            format!("Conversion failed when converting the text '{text}' to {to} (Msg 245)")
        }
        None => what.to_owned(),
    }
}

/// An Arrow type as SQL Server calls it.
fn sql_type(arrow: &str) -> &str {
    match arrow {
        "Utf8" | "Utf8View" | "LargeUtf8" => "nvarchar",
        "Int32" => "int",
        "Int64" => "bigint",
        "Float64" => "float",
        "Boolean" => "bit",
        "Date32" => "date",
        t if t.starts_with("Timestamp") => "datetime",
        t if t.starts_with("Decimal") => "decimal",
        t if t.starts_with("FixedSizeBinary") => "uniqueidentifier",
        other => other,
    }
}
