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
                error.place = own.place.clone();
                error
            }
            None => Error::internal(text),
        },
        DataFusionError::NotImplemented(what) if what.starts_with("Conflicting ordering") => {
            numbered(
                "Multiple ordered aggregate functions in the same scope have mutually \
                 incompatible orderings (Msg 8711)"
                    .to_owned(),
                "42803",
            )
        }
        DataFusionError::NotImplemented(what) => Error::unsupported(what.clone()).sqlstate("0A000"),
        DataFusionError::SQL(..) => invalid("42601"),
        DataFusionError::Plan(what) if what.contains(NO_FUNCTION) => {
            numbered(wrong_arguments(what), "42883")
        }
        DataFusionError::Plan(what) => planned(what),
        DataFusionError::ResourcesExhausted(what) => out_of_memory(what),
        DataFusionError::ArrowError(inner, _) => match inner.as_ref() {
            datafusion::arrow::error::ArrowError::DivideByZero => {
                numbered("Divide by zero error encountered (Msg 8134)".to_owned(), "22012")
            }
            datafusion::arrow::error::ArrowError::ArithmeticOverflow(_) => overflow(
                "Arithmetic overflow error converting expression to its data type (Msg 8115)"
                    .to_owned(),
            ),
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
            datafusion::arrow::error::ArrowError::ParquetError(what) => damaged(what),
            _ => Error::internal(text).caused_by(e),
        },
        DataFusionError::ParquetError(what) => damaged(&what.to_string()),
        DataFusionError::Execution(what) => executed(what),
        DataFusionError::External(_) if text.contains("regex parse error") => invalid("2201B"),
        _ => Error::internal(text).caused_by(e),
    }
}

/// Files of an attached table. Those of stored ones are checked where they are read.
fn damaged(what: &str) -> Error {
    let what = what.trim_start_matches("Parquet argument error: ");
    Error::data(format!("a file of an attached table is damaged: {what}"))
}

/// SQLSTATEs by the number of SQL Server's message.
const STATES: &[(&str, &[u32])] = &[
    ("42P01", &[208]),
    ("42703", &[207]),
    ("42702", &[209]),
    ("42883", &[174, 195, 8116]),
    ("42804", &[206, 240, 257, 402, 468, 8117, 8133]),
    ("42846", &[529]),
    ("2201W", &[127, 1031, 1060, 10744]),
    ("2201X", &[10742]),
    ("22023", &[155, 214, 281, 4199, 8733]),
    ("54000", &[530]),
    ("42704", &[448]),
    ("22P02", &[235, 245, 8114, 8169]),
    ("22007", &[241, 242, 289, 295]),
    ("22003", &[220, 232, 244, 248, 517, 535, 8115, 10756]),
    ("22012", &[8134]),
    ("22001", &[8170]),
    ("21000", &[512]),
];

/// The SQLSTATE of a message that carries a number.
fn state_of(message: &str) -> Option<&'static str> {
    let (_, rest) = message.rsplit_once("(Msg ")?;
    let number: u32 = rest.split(')').next()?.parse().ok()?;
    STATES.iter().find(|(_, numbers)| numbers.contains(&number)).map(|(state, _)| *state)
}

/// An error whose message is fit to be shown.
fn numbered(message: String, otherwise: &'static str) -> Error {
    let state = state_of(&message).unwrap_or(otherwise);
    let code = if state == "22003" { codes::OVERFLOW } else { codes::INVALID_ARGUMENT };
    Error::invalid(code, message).sqlstate(state)
}

/// An error in a plan: one of ours, or one of the engine's in other words.
fn planned(what: &str) -> Error {
    // What follows an error of ours are suggestions among the engine's functions.
    let own = what.rsplit_once("Error during planning: ").map_or(what, |(_, own)| own);
    if state_of(own).is_some() {
        let end = own.rfind("(Msg ").and_then(|at| Some(at + own[at..].find(')')? + 1));
        return numbered(own[..end.unwrap_or(own.len())].to_owned(), "42601");
    }
    for (theirs, message) in ENGINE_WORDS {
        if what.contains(theirs) {
            let message =
                if message.contains("(Msg ") { (*message).to_owned() } else { what.to_owned() };
            return numbered(with_types(what, message), "42804");
        }
    }
    let state = if what.contains("Invalid function") { "42883" } else { "42601" };
    numbered(what.to_owned(), state)
}

/// What the engine says of types that do not go together, and what SQL Server says.
const ENGINE_WORDS: &[(&str, &str)] = &[
    ("Cannot infer common argument type for comparison", "Operand type clash (Msg 206)"),
    ("Cannot coerce arithmetic expression", "Operand type clash (Msg 206)"),
    ("Cannot get result type for arithmetic", "Operand type clash (Msg 206)"),
    ("to valid types", "Operand type clash (Msg 206)"),
    ("Unary operator '-'", "Operand data type is invalid for minus operator (Msg 8117)"),
    ("Unary operator '+'", "Operand data type is invalid for plus operator (Msg 8117)"),
    (
        "Unary operator 'NOT'",
        "An expression of non-boolean type is specified where a condition is expected (Msg 4145)",
    ),
    (
        "non-boolean filter",
        "An expression of non-boolean type is specified where a condition is expected (Msg 4145)",
    ),
    (
        "Cannot create filter with non-boolean predicate",
        "An expression of non-boolean type is specified where a condition is expected (Msg 4145)",
    ),
];

/// A message with the types that the engine's named, as SQL Server calls them.
fn with_types(what: &str, message: String) -> String {
    let words = what.split(|c: char| !c.is_ascii_alphanumeric());
    let mut types: Vec<&str> = Vec::new();
    for word in words {
        let known = sql_type(word);
        if known != word && !types.contains(&known) {
            types.push(known);
        }
    }
    match (types.as_slice(), message.split_once(" (Msg")) {
        ([a, b, ..], Some((text, rest))) if text == "Operand type clash" => {
            format!("{text}: {a} is incompatible with {b} (Msg{rest}")
        }
        ([a, ..], Some((text, rest))) if text.starts_with("Operand data type") => {
            format!(
                "{} (Msg{rest}",
                text.replace("Operand data type", &format!("Operand data type {a}"))
            )
        }
        _ => message,
    }
}

/// An error while a query runs.
fn executed(what: &str) -> Error {
    if what == "Scalar subquery returned more than one row" {
        return numbered(super::MORE_VALUES.to_owned(), "21000");
    }
    if what == "NTILE requires a positive integer" {
        let message = "The function 'ntile' takes only a positive int or bigint expression as its \
                       input (Msg 4116)";
        return numbered(message.to_owned(), "22014");
    }
    if let Some(cast) = what.strip_prefix("Cast error: ") {
        return numbered(wrong_text(cast), "22P02");
    }
    match what.contains("overflow") && state_of(what).is_none() {
        true => overflow(what.to_owned()),
        false => numbered(what.to_owned(), "22000"),
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

/// Aggregates of numbers, and what T-SQL calls them.
pub(super) const NUMBERS_ONLY: &[(&str, &str)] = &[
    ("sum", "sum"),
    ("avg", "avg"),
    ("stddev", "stdev"),
    ("stddev_pop", "stdevp"),
    ("var", "var"),
    ("var_samp", "var"),
    ("var_pop", "varp"),
    ("var_population", "varp"),
];

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
    if let Some((_, word)) = NUMBERS_ONLY.iter().find(|(known, _)| *known == name) {
        let given = types.join(", ");
        return format!("Operand data type {given} is invalid for {word} operator (Msg 8117)");
    }
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
        "UInt8" => "tinyint",
        "Int16" => "smallint",
        "Float32" => "real",
        "Binary" | "BinaryView" => "varbinary",
        "Interval" | "Duration" => "interval",
        t if t.starts_with("Time64") => "time",
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
