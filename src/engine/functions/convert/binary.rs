//! Values as GUIDs and as bytes.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BinaryBuilder, FixedSizeBinaryBuilder};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, exec_datafusion_err, exec_err};

use super::super::types::SqlType;
use super::Request;
use crate::value::{Guid, parse_guid};

/// Converts to GUIDs or bytes.
pub(super) fn array(values: &ArrayRef, request: &Request) -> Result<ArrayRef> {
    if request.to == SqlType::Guid { guids(values, request) } else { bytes(values, request) }
}

fn guids(values: &ArrayRef, request: &Request) -> Result<ArrayRef> {
    if request.from == SqlType::Guid {
        return Ok(values.clone());
    }
    let mut guids = FixedSizeBinaryBuilder::with_capacity(values.len(), 16);
    let wrong = |text: &str| {
        exec_datafusion_err!(
            "Conversion failed when converting from a character string to uniqueidentifier: \
             '{text}' (Msg 8169)"
        )
    };
    for row in 0..values.len() {
        if values.is_null(row) {
            guids.append_null();
            continue;
        }
        let guid = if request.from.is_text() {
            let text = values.as_string_view().value(row);
            from_text(text).ok_or_else(|| wrong(text))
        } else {
            let mut guid = Guid::default();
            let given = values.as_binary::<i32>().value(row);
            let length = given.len().min(16);
            guid[..length].copy_from_slice(&given[..length]);
            Ok(mixed_endian(guid))
        };
        match request.settle(guid)? {
            Some(guid) => guids.append_value(guid)?,
            None => guids.append_null(),
        }
    }
    Ok(Arc::new(guids.finish()))
}

/// A GUID from text; SQL Server ignores what follows its 36 characters.
fn from_text(text: &str) -> Option<Guid> {
    let (text, braced) = match text.strip_prefix('{') {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    let guid = parse_guid(text.get(..36)?)?;
    (!braced || text[36..].starts_with('}')).then_some(guid)
}

/// SQL Server keeps the first three groups of a GUID with the least byte first.
fn mixed_endian(mut guid: Guid) -> Guid {
    guid[..4].reverse();
    guid[4..6].reverse();
    guid[6..8].reverse();
    guid
}

fn bytes(values: &ArrayRef, request: &Request) -> Result<ArrayRef> {
    let Request { from, to, style, .. } = *request;
    let whole = from.is_integer() || from == SqlType::Bit;
    let numbers = whole.then(|| cast(values, &DataType::Int64)).transpose()?;
    let width = match from {
        SqlType::Bit | SqlType::TinyInt => 1,
        SqlType::SmallInt => 2,
        SqlType::Int => 4,
        _ => 8,
    };
    let (length, fixed) = match to {
        SqlType::Binary(length) => (Some(length as usize), true),
        SqlType::Varbinary(length) => (length.map(|n| n as usize), false),
        _ => (None, false),
    };
    let mut answer = BinaryBuilder::new();
    for row in 0..values.len() {
        if values.is_null(row) {
            answer.append_null();
            continue;
        }
        let value = match (&numbers, from) {
            (Some(numbers), _) => Ok(numbers.as_primitive::<Int64Type>().value(row).to_be_bytes()
                [8 - width..]
                .to_vec()),
            (None, from) if from.is_text() => {
                text_bytes(values.as_string_view().value(row), style.unwrap_or(0))
            }
            (None, SqlType::Guid) => {
                let guid = Guid::try_from(values.as_fixed_size_binary().value(row));
                Ok(mixed_endian(guid.unwrap_or_default()).to_vec())
            }
            (None, from) if from.is_binary() => Ok(values.as_binary::<i32>().value(row).to_vec()),
            (None, from) => exec_err!(
                "Explicit conversion from data type {} to {} is not allowed (Msg 529)",
                from.name(),
                to.name()
            ),
        };
        let Some(mut value) = request.settle(value)? else {
            answer.append_null();
            continue;
        };
        if let Some(length) = length {
            // Numbers keep their last bytes, everything else its first.
            if whole && value.len() > length {
                value.drain(..value.len() - length);
            }
            value.truncate(length);
            if fixed && whole {
                value.splice(..0, std::iter::repeat_n(0, length - value.len()));
            } else if fixed {
                value.resize(length, 0);
            }
        }
        answer.append_value(value);
    }
    Ok(Arc::new(answer.finish()))
}

/// The bytes of a text: style 0 its characters, 1 the digits after `0x`, 2 the digits.
fn text_bytes(text: &str, style: i32) -> Result<Vec<u8>> {
    let digits = match style {
        1 => text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")),
        2 => Some(text),
        _ => return Ok(text.as_bytes().to_vec()),
    };
    let pair = |pair: &[u8]| {
        let digit = |b: u8| char::from(b).to_digit(16);
        u8::try_from(digit(pair[0])? * 16 + digit(*pair.get(1)?)?).ok()
    };
    let bytes = digits.and_then(|d| d.as_bytes().chunks(2).map(pair).collect::<Option<Vec<u8>>>());
    bytes.ok_or_else(|| {
        exec_datafusion_err!("Error converting data type varchar to varbinary: '{text}' (Msg 8114)")
    })
}
