//! `format('%s', …)`, `quote_literal`, `quote_ident`, `width_bucket`, `pg_typeof`.

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, Result};

use crate::engine::functions::SqlType;
use crate::engine::functions::arguments::Kind::{Any, Float, Int, Text};
use crate::engine::functions::definition::{Call, Definition, INT, MANY, TEXT, refused};

pub(super) static FUNCTIONS: &[Definition] = &[
    Definition {
        name: "pg_format",
        arguments: &[Text],
        least: 1,
        most: MANY,
        gives: TEXT,
        compute: format,
    },
    Definition {
        name: "pg_typeof",
        arguments: &[Any],
        least: 1,
        most: 1,
        gives: TEXT,
        compute: |call| {
            let name = match call.type_of(0) {
                DataType::List(item) => format!("{}[]", type_name(SqlType::of(&item))),
                _ => type_name(call.sql_type(0)).to_owned(),
            };
            call.text(|_| Ok(Some(&name)))
        },
    },
    Definition {
        name: "quote_literal",
        arguments: &[Text],
        least: 1,
        most: 1,
        gives: TEXT,
        compute: |call| {
            let text = call.texts(0)?;
            call.text(|i| Ok(text.get(i).map(literal)))
        },
    },
    Definition {
        name: "quote_nullable",
        arguments: &[Text],
        least: 1,
        most: 1,
        gives: TEXT,
        compute: |call| {
            let text = call.texts(0)?;
            call.text(|i| Ok(Some(text.get(i).map_or("NULL".to_owned(), literal))))
        },
    },
    Definition {
        name: "quote_ident",
        arguments: &[Text],
        least: 1,
        most: 1,
        gives: TEXT,
        compute: |call| {
            let text = call.texts(0)?;
            call.text(|i| Ok(text.get(i).map(identifier)))
        },
    },
    Definition {
        name: "width_bucket",
        arguments: &[Float, Float, Float, Int],
        least: 4,
        most: 4,
        gives: INT,
        compute: width_bucket,
    },
];

/// A type as PostgreSQL calls it.
fn type_name(t: SqlType) -> &'static str {
    match t {
        SqlType::Null => "unknown",
        SqlType::Bit => "boolean",
        SqlType::TinyInt | SqlType::SmallInt => "smallint",
        SqlType::Int => "integer",
        SqlType::BigInt => "bigint",
        SqlType::Decimal(..) | SqlType::Money | SqlType::SmallMoney => "numeric",
        SqlType::Real => "real",
        SqlType::Float => "double precision",
        SqlType::PgText | SqlType::Varchar(_) | SqlType::Char(_) => "text",
        SqlType::Date => "date",
        SqlType::Time(_) => "time without time zone",
        SqlType::SmallDateTime | SqlType::DateTime | SqlType::Timestamp | SqlType::DateTime2(_) => {
            "timestamp without time zone"
        }
        SqlType::DateTimeOffset(_) => "timestamp with time zone",
        SqlType::Guid => "uuid",
        SqlType::Binary(_) | SqlType::Varbinary(_) => "bytea",
        SqlType::Other => "interval",
    }
}

fn literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if text.contains('\\') {
        return format!("E'{}'", doubled.replace('\\', "\\\\"));
    }
    format!("'{doubled}'")
}

fn identifier(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if plain { text.to_owned() } else { format!("\"{}\"", text.replace('"', "\"\"")) }
}

/// `%s`, `%I`, `%L`, `%%`, each with a position (`%1$s`), `-` and a width.
fn format(call: &Call) -> Result<ArrayRef> {
    let arguments = (0..call.count()).map(|i| call.texts(i)).collect::<Result<Vec<_>>>()?;
    let Some((template, arguments)) = arguments.split_first() else {
        return call.text(|_| Ok(None::<&str>));
    };
    call.text(|i| {
        let Some(template) = template.get(i) else { return Ok(None) };
        let values: Vec<_> = arguments.iter().map(|argument| argument.get(i)).collect();
        filled(template, &values).map(Some)
    })
}

fn filled(template: &str, values: &[Option<&str>]) -> Result<String> {
    let mut answer = String::with_capacity(template.len());
    let mut chars = template.chars().peekable();
    let mut next = 0;
    while let Some(c) = chars.next() {
        if c != '%' {
            answer.push(c);
            continue;
        }
        let mut digits = String::new();
        while let Some(digit) = chars.next_if(char::is_ascii_digit) {
            digits.push(digit);
        }
        if !digits.is_empty() && chars.next_if_eq(&'$').is_some() {
            next = digits.parse::<usize>().unwrap_or(0).saturating_sub(1);
            digits.clear();
        }
        let left = chars.next_if_eq(&'-').is_some();
        while let Some(digit) = chars.next_if(char::is_ascii_digit) {
            digits.push(digit);
        }
        let kind = chars.next().ok_or_else(|| unknown("the end"))?;
        if kind == '%' {
            answer.push('%');
            continue;
        }
        let value =
            *values.get(next).ok_or_else(|| refused("22023", "too few arguments for format()"))?;
        next += 1;
        let text = match (kind, value) {
            ('s', value) => value.unwrap_or_default().to_owned(),
            ('L', value) => value.map_or("NULL".to_owned(), literal),
            ('I', Some(value)) => identifier(value),
            ('I', None) => {
                return Err(refused(
                    "22004",
                    "null values cannot be formatted as an SQL identifier",
                ));
            }
            (other, _) => return Err(unknown(&format!("'{other}'"))),
        };
        let width = digits.parse::<usize>().unwrap_or(0).min(8_000);
        if left {
            answer.push_str(&format!("{text:<width$}"));
        } else {
            answer.push_str(&format!("{text:>width$}"));
        }
    }
    Ok(answer)
}

fn unknown(what: &str) -> DataFusionError {
    refused("22023", format!("unrecognized format() type specifier {what}"))
}

/// The number of the bucket, of so many between two bounds, that holds a value;
/// 0 before the first, one more than there are behind the last.
fn width_bucket(call: &Call) -> Result<ArrayRef> {
    let (value, low) = (call.floats(0)?, call.floats(1)?);
    let (high, count) = (call.floats(2)?, call.integers(3)?);
    call.int(|i| {
        let (Some(value), Some(low), Some(high), Some(count)) =
            (value.get(i), low.get(i), high.get(i), count.get(i))
        else {
            return Ok(None);
        };
        if count <= 0 || low == high {
            let message = "width_bucket needs a count greater than zero and two different bounds";
            return Err(refused("2201G", message));
        }
        let place = (value - low) / (high - low);
        let bucket = if place < 0.0 {
            0
        } else if place >= 1.0 {
            count + 1
        } else {
            (place * count as f64).floor() as i64 + 1
        };
        Ok(Some(i32::try_from(bucket).unwrap_or(i32::MAX)))
    })
}
