//! What a value is: `DATALENGTH`, `ASCII`, `UNICODE`, `ISNUMERIC`, `SOUNDEX`,
//! `DIFFERENCE`, and whether `PARSE` could read it.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int32Array};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;

use super::arguments::Kind::{Any, Int, Text};
use super::code_page;
use super::definition::{Call, Definition, Gives, INT, TEXT, refused};

pub(super) static FUNCTIONS: &[Definition] = &[
    Definition {
        name: "datalength",
        arguments: &[Any, Int],
        least: 1,
        most: 2,
        gives: INT,
        compute: datalength,
    },
    Definition {
        name: "sql_ascii",
        arguments: &[Text],
        least: 1,
        most: 1,
        gives: INT,
        compute: ascii,
    },
    Definition {
        name: "unicode",
        arguments: &[Text],
        least: 1,
        most: 1,
        gives: INT,
        compute: unicode,
    },
    Definition {
        name: "isnumeric",
        arguments: &[Any],
        least: 1,
        most: 1,
        gives: INT,
        compute: isnumeric,
    },
    Definition {
        name: "soundex",
        arguments: &[Text],
        least: 1,
        most: 1,
        gives: TEXT,
        compute: |call| {
            let text = call.texts(0)?;
            call.text(|i| Ok(text.get(i).map(soundex)))
        },
    },
    Definition {
        name: "sql_parsed",
        arguments: &[Any, Text, Text, Text],
        least: 4,
        most: 4,
        gives: Gives::First,
        compute: parsed,
    },
    Definition {
        name: "difference",
        arguments: &[Text, Text],
        least: 2,
        most: 2,
        gives: INT,
        compute: |call| {
            let (left, right) = (call.texts(0)?, call.texts(1)?);
            call.int(|i| Ok(left.get(i).zip(right.get(i)).map(|(l, r)| difference(l, r))))
        },
    },
];

/// Bytes as SQL Server stores the type; the second argument is how many a
/// character takes.
/// What has come of a text, the text, the type and the culture: it is an error if
/// nothing has.
fn parsed(call: &Call) -> Result<ArrayRef> {
    let (values, texts) = (call.array(0)?, call.texts(1)?);
    let failed = call.rows().find(|i| values.is_null(*i) && texts.get(*i).is_some());
    let Some(text) = failed.and_then(|i| texts.get(i)) else { return Ok(values) };
    let (to, culture) =
        (call.constant(2).unwrap_or_default(), call.constant(3).unwrap_or_default());
    let message = format!(
        "Error converting string value '{text}' into data type {to} using culture '{culture}' \
         (Msg 9819)"
    );
    let state = if to.starts_with("date") || to.starts_with("time") { "22007" } else { "22P02" };
    Err(refused(state, message))
}

fn datalength(call: &Call) -> Result<ArrayRef> {
    let array = call.array(0)?;
    let fixed = match array.data_type() {
        DataType::Boolean | DataType::Int8 | DataType::UInt8 => 1,
        DataType::Int16 => 2,
        DataType::Int32 | DataType::Float32 => 4,
        DataType::Int64 | DataType::Float64 | DataType::Timestamp(_, None) => 8,
        DataType::Date32 => 3,
        DataType::Time64(_) | DataType::Time32(_) => 5,
        DataType::Timestamp(_, Some(_)) => 10,
        DataType::FixedSizeBinary(width) => *width,
        DataType::Decimal128(precision, _) => match precision {
            ..=9 => 5,
            10..=19 => 9,
            20..=28 => 13,
            _ => 17,
        },
        DataType::Binary => {
            let bytes = array.as_binary::<i32>().clone();
            return call.int(|i| Ok(bytes.is_valid(i).then(|| bytes.value(i).len() as i32)));
        }
        DataType::BinaryView => {
            let bytes = array.as_binary_view().clone();
            return call.int(|i| Ok(bytes.is_valid(i).then(|| bytes.value(i).len() as i32)));
        }
        _ => {
            let (text, bytes) = (call.texts(0)?, call.integers_or(1, 2)?);
            return call.int(|i| {
                let units = text.get(i).map(|text| super::units::count(text) as i32);
                Ok(units.zip(bytes.get(i)).map(|(units, bytes)| units * bytes as i32))
            });
        }
    };
    call.int(|i| Ok(array.is_valid(i).then_some(fixed)))
}

fn ascii(call: &Call) -> Result<ArrayRef> {
    let text = call.texts(0)?;
    let first = |text: &str| text.chars().next().map(|c| i32::from(code_page::number(c)));
    call.int(|i| Ok(text.get(i).and_then(first)))
}

/// The first UTF-16 code unit.
fn unicode(call: &Call) -> Result<ArrayRef> {
    let text = call.texts(0)?;
    call.int(|i| Ok(text.get(i).and_then(|text| text.encode_utf16().next()).map(i32::from)))
}

/// 1 for what can become a number of some type, and for numbers.
fn isnumeric(call: &Call) -> Result<ArrayRef> {
    let array = call.array(0)?;
    if array.data_type() == &DataType::Utf8View {
        let text = call.texts(0)?;
        return call.int(|i| Ok(Some(text.get(i).is_some_and(is_number).into())));
    }
    let number = array.data_type().is_numeric() || array.data_type() == &DataType::Boolean;
    let answers = call.rows().map(|i| i32::from(number && array.is_valid(i)));
    Ok(Arc::new(Int32Array::from_iter_values(answers)))
}

/// A number as `int`, `float`, `decimal` or `money` reads it, so a lone sign,
/// currency sign, point or comma too.
fn is_number(text: &str) -> bool {
    const CURRENCY: [char; 9] = ['$', '¢', '£', '¤', '¥', '₤', '₨', '€', '₩'];
    let mut rest = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{a0}');
    let mut take = |set: &[char]| match rest.strip_prefix(set) {
        Some(after) => {
            rest = after.trim_start();
            true
        }
        None => false,
    };
    let signs = ['+', '-'];
    let sign = take(&signs);
    let currency = take(&CURRENCY);
    let seen = sign || currency;
    // The sign may stand on either side of the currency.
    if currency && !sign {
        take(&signs);
    }
    let whole = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ',');
    let fraction = whole.strip_prefix('.').unwrap_or(whole);
    let after = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
    let mantissa = &rest[..rest.len() - after.len()];
    if mantissa.is_empty() {
        return seen && after.is_empty();
    }
    let Some(exponent) = after.strip_prefix(['e', 'E', 'd', 'D']) else {
        return after.is_empty();
    };
    let digits = exponent.strip_prefix(signs).unwrap_or(exponent);
    mantissa.bytes().any(|b| b.is_ascii_digit())
        && digits.len() <= 3
        && digits.bytes().all(|b| b.is_ascii_digit())
        && !mantissa.contains(',')
}

/// The class of a consonant, 0 for vowels; h and w separate nothing.
fn class(letter: u8) -> Option<u8> {
    Some(match letter {
        b'B' | b'F' | b'P' | b'V' => b'1',
        b'C' | b'G' | b'J' | b'K' | b'Q' | b'S' | b'X' | b'Z' => b'2',
        b'D' | b'T' => b'3',
        b'L' => b'4',
        b'M' | b'N' => b'5',
        b'R' => b'6',
        b'H' | b'W' => return None,
        _ => b'0',
    })
}

/// The first letter and three digits for the sound of the rest.
fn soundex(text: &str) -> String {
    let letters = text.bytes().take_while(u8::is_ascii_alphabetic);
    let mut letters = letters.map(|letter| letter.to_ascii_uppercase());
    let Some(first) = letters.next() else { return "0000".into() };
    let mut code = String::from(char::from(first));
    let mut last = class(first);
    for letter in letters {
        let Some(class) = class(letter) else { continue };
        if class != b'0' && Some(class) != last {
            code.push(char::from(class));
        }
        last = Some(class);
    }
    code.push_str("000");
    code.truncate(4);
    code
}

/// How many places of the two sounds agree.
fn difference(left: &str, right: &str) -> i32 {
    let (left, right) = (soundex(left), soundex(right));
    left.bytes().zip(right.bytes()).filter(|(l, r)| l == r).count() as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_type() {
        for text in
            ["1", " -1.5 ", "$", ".", "-", "1e3", "1d2", "$1,000.50", "-$5", "€5", ",", "1."]
        {
            assert!(is_number(text), "{text}");
        }
        for text in ["", " ", "abc", "1a", "0x1F", "e", "1e+x", "--1", "1.2.3", "12 34"] {
            assert!(!is_number(text), "{text}");
        }
    }

    #[test]
    fn sounds() {
        for (text, code) in [
            ("Smith", "S530"),
            ("Smythe", "S530"),
            ("Robert", "R163"),
            ("Rupert", "R163"),
            ("Ashcraft", "A261"),
            ("Tymczak", "T522"),
            ("", "0000"),
            ("1a", "0000"),
        ] {
            assert_eq!(soundex(text), code, "{text}");
        }
        assert_eq!(difference("Green", "Greene"), 4);
    }
}
