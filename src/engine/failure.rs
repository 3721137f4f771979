//! DataFusion's errors as ours.

use datafusion::common::{DataFusionError, SchemaError};
use datafusion::error::DataFusionError as Failure;

use crate::error::{Error, ErrorKind, codes};

/// What a DataFusion error means to the person who asked.
pub fn failure(e: Failure) -> Error {
    let root = e.find_root();
    let text = root.strip_backtrace();
    let invalid = |state| Error::invalid(codes::INVALID_ARGUMENT, text.clone()).sqlstate(state);
    match root {
        DataFusionError::SchemaError(inner, _) => match inner.as_ref() {
            SchemaError::FieldNotFound { .. } => invalid("42703"),
            SchemaError::AmbiguousReference { .. } => invalid("42702"),
            _ => invalid("42601"),
        },
        DataFusionError::NotImplemented(what) => Error::unsupported(what.clone()).sqlstate("0A000"),
        DataFusionError::SQL(..) => invalid("42601"),
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
        DataFusionError::ResourcesExhausted(what) => {
            Error::new(ErrorKind::Limit, codes::UNEXPECTED, what.clone()).sqlstate("53200")
        }
        DataFusionError::ArrowError(inner, _) => match inner.as_ref() {
            datafusion::arrow::error::ArrowError::DivideByZero => invalid("22012"),
            datafusion::arrow::error::ArrowError::ArithmeticOverflow(_) => invalid("22003"),
            datafusion::arrow::error::ArrowError::CastError(_)
            | datafusion::arrow::error::ArrowError::ParseError(_) => invalid("22P02"),
            _ => Error::internal(text).caused_by(e),
        },
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
        _ => Error::internal(text).caused_by(e),
    }
}
