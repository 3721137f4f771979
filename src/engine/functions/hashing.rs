//! `HASHBYTES`, and the checksums `CHECKSUM` and `BINARY_CHECKSUM`.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BinaryBuilder};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use sha2::{Digest, Sha256, Sha512};

use super::SqlType;
use super::arguments::Kind::{Any, Int, Text};
use super::code_page;
use super::convert::{self, Request};
use super::definition::{Call, Definition, Gives, INT, MANY, refused};
use crate::engine::collation;

pub(super) static FUNCTIONS: &[Definition] = &[
    Definition {
        name: "hashbytes",
        // With a third, the characters of the second take one byte each.
        arguments: &[Text, Any, Int],
        least: 2,
        most: 3,
        gives: Gives::This(DataType::Binary),
        compute: hash,
    },
    Definition {
        name: "checksum",
        arguments: &[Any],
        least: 1,
        most: MANY,
        gives: INT,
        compute: |call| checksum(call, |text| collation::key(text).into_owned()),
    },
    Definition {
        name: "binary_checksum",
        arguments: &[Any],
        least: 1,
        most: MANY,
        gives: INT,
        compute: |call| checksum(call, str::to_owned),
    },
];

type Algorithm = fn(&[u8]) -> Vec<u8>;

/// The algorithms by name; SQL Server gives null for others.
const ALGORITHMS: &[(&str, Algorithm)] = &[
    ("MD5", |bytes| md5::compute(bytes).to_vec()),
    ("SHA", sha1),
    ("SHA1", sha1),
    ("SHA2_256", |bytes| Sha256::digest(bytes).to_vec()),
    ("SHA2_512", |bytes| Sha512::digest(bytes).to_vec()),
];

fn sha1(bytes: &[u8]) -> Vec<u8> {
    sha1_smol::Sha1::from(bytes).digest().bytes().to_vec()
}

fn hash(call: &Call) -> Result<ArrayRef> {
    let kind = call.sql_type(1);
    if !(kind.is_text() || kind.is_binary() || kind == SqlType::Null) {
        let message = format!(
            "Argument data type {} is invalid for argument 2 of hashbytes function (Msg 8116)",
            kind.name()
        );
        return Err(refused("22023", message));
    }
    let (names, narrow) = (call.texts(0)?, call.count() == 3);
    let texts = kind.is_text().then(|| call.texts(1)).transpose()?;
    let request = Request { from: kind, to: SqlType::Varbinary(None), style: None, tries: false };
    let bytes = match &texts {
        Some(_) => None,
        None => Some(convert::array(&call.array(1)?, &request)?),
    };
    let bytes = bytes.as_ref().map(|bytes| bytes.as_binary::<i32>());
    let input = |row| match (&texts, bytes) {
        (Some(texts), _) => texts.get(row).map(|text| encoded(text, narrow)),
        (None, Some(bytes)) => bytes.is_valid(row).then(|| bytes.value(row).to_vec()),
        (None, None) => None,
    };
    let mut digests = BinaryBuilder::new();
    for row in call.rows() {
        let known =
            |name: &str| ALGORITHMS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        match names.get(row).and_then(known).zip(input(row)) {
            Some(((_, digest), input)) => digests.append_value(digest(&input)),
            None => digests.append_null(),
        }
    }
    Ok(Arc::new(digests.finish()))
}

/// A text as `varchar` or `nvarchar` holds it.
fn encoded(text: &str, narrow: bool) -> Vec<u8> {
    match narrow {
        true => text.chars().map(code_page::number).collect(),
        false => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
    }
}

/// Each value turns the sum by four bits and is added to it without carry, byte
/// by byte; a whole number is added at once. Of `CHECKSUM` only that equal values
/// have equal sums is documented, so that `texts` comes down to what compares.
fn checksum(call: &Call, texts: fn(&str) -> String) -> Result<ArrayRef> {
    /// What a null adds.
    const NULL: u32 = 0x7fff_ffff;
    let mut sums = vec![0_u32; call.rows().len()];
    for argument in 0..call.count() {
        let kind = call.sql_type(argument);
        let whole = kind.is_integer() && kind != SqlType::BigInt || kind == SqlType::Bit;
        let numbers = if whole { Some(call.integers(argument)?) } else { None };
        let values = if whole { None } else { Some(call.texts(argument)?) };
        for (row, sum) in sums.iter_mut().enumerate() {
            if let Some(values) = &values
                && let Some(text) = values.get(row)
            {
                let bytes = texts(text);
                *sum = bytes.bytes().fold(*sum, |sum, b| sum.rotate_left(4) ^ u32::from(b));
                continue;
            }
            let number = numbers.as_ref().and_then(|numbers| numbers.get(row));
            // The bits of an `int`, its sign among them.
            let bits = number.map_or(NULL, |number| number as u32);
            *sum = sum.rotate_left(4) ^ bits;
        }
    }
    call.int(|row| Ok(Some(sums[row].cast_signed())))
}
