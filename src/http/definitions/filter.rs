//! `$filter` over definitions: comparisons of properties, which may lead into
//! complex values (`IsAuditEnabled/Value`), joined by `and`, `or` and `not`.

use std::cmp::Ordering;

use serde_json::Value as Json;

use super::item::{Item, Type};
use super::options::unknown_property;
use crate::dialect::odata::{Cursor, TokenKind};
use crate::error::{Error, Result, codes};
use crate::query::Name;

/// A condition on a definition.
#[derive(Debug)]
pub enum Filter {
    All(Vec<Filter>),
    Any(Vec<Filter>),
    Not(Box<Filter>),
    Compare(Vec<Name>, Comparison, Json),
    OneOf(Vec<Name>, Vec<Json>),
    Text(TextTest, Vec<Name>, String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

const COMPARISONS: &[(&str, Comparison)] = &[
    ("eq", Comparison::Equal),
    ("ne", Comparison::NotEqual),
    ("gt", Comparison::Greater),
    ("ge", Comparison::GreaterOrEqual),
    ("lt", Comparison::Less),
    ("le", Comparison::LessOrEqual),
];

/// A test of a text against a part of it.
type TextTest = fn(&str, &str) -> bool;

const FUNCTIONS: &[(&str, TextTest)] = &[
    ("contains", |text, part| text.contains(part)),
    ("startswith", |text, part| text.starts_with(part)),
    ("endswith", |text, part| text.ends_with(part)),
];

/// Values of parameter aliases, by name with `@`.
pub type Aliases<'a> = &'a [(String, String)];

/// Reads a whole condition; `;` or `)` after it is left to the caller.
pub fn parse(cursor: &mut Cursor<'_>, of: Type, aliases: Aliases<'_>) -> Result<Filter> {
    let mut any = vec![all(cursor, of, aliases)?];
    while cursor.take_word("or") {
        any.push(all(cursor, of, aliases)?);
    }
    Ok(if any.len() == 1 { any.remove(0) } else { Filter::Any(any) })
}

fn all(cursor: &mut Cursor<'_>, of: Type, aliases: Aliases<'_>) -> Result<Filter> {
    let mut all = vec![one(cursor, of, aliases)?];
    while cursor.take_word("and") {
        all.push(one(cursor, of, aliases)?);
    }
    Ok(if all.len() == 1 { all.remove(0) } else { Filter::All(all) })
}

fn one(cursor: &mut Cursor<'_>, of: Type, aliases: Aliases<'_>) -> Result<Filter> {
    if cursor.take_word("not") {
        let filter = cursor.nested(|c| one(c, of, aliases))?;
        return Ok(Filter::Not(Box::new(filter)));
    }
    if cursor.take_symbol('(') {
        let filter = cursor.nested(|c| parse(c, of, aliases))?;
        cursor.require_symbol(')')?;
        return Ok(filter);
    }
    if cursor.peek_second().kind == TokenKind::Symbol('(') {
        let function = cursor.require_name("a property")?;
        let Some((_, test)) = FUNCTIONS.iter().find(|(name, _)| *name == function.text) else {
            let what = format!("the function '{}' on definitions is not supported", function.text);
            return Err(Error::unsupported(what).at(function.at));
        };
        cursor.require_symbol('(')?;
        let path = path(cursor, of)?;
        cursor.require_symbol(',')?;
        let Json::String(text) = literal(cursor, aliases)? else {
            return Err(cursor.error(format!("'{}' compares with a text", function.text)));
        };
        cursor.require_symbol(')')?;
        return Ok(Filter::Text(*test, path, text));
    }
    let path = path(cursor, of)?;
    if cursor.take_word("in") {
        cursor.require_symbol('(')?;
        let mut values = vec![literal(cursor, aliases)?];
        while cursor.take_symbol(',') {
            values.push(literal(cursor, aliases)?);
        }
        cursor.require_symbol(')')?;
        return Ok(Filter::OneOf(path, values));
    }
    let word = cursor.peek().text.clone();
    let Some((_, comparison)) = COMPARISONS.iter().find(|(name, _)| *name == word) else {
        return Err(cursor.expected("one of eq, ne, gt, ge, lt, le and in"));
    };
    cursor.advance();
    Ok(Filter::Compare(path, *comparison, literal(cursor, aliases)?))
}

fn path(cursor: &mut Cursor<'_>, of: Type) -> Result<Vec<Name>> {
    let first = cursor.require_name("a property")?;
    if !of.properties().contains(&first.text.as_str()) {
        return Err(unknown_property(&first, of));
    }
    let mut path = vec![first];
    while cursor.take_symbol('/') {
        path.push(cursor.require_name("a property")?);
    }
    Ok(path)
}

/// A literal. The value of an enumeration may have its type in front.
fn literal(cursor: &mut Cursor<'_>, aliases: Aliases<'_>) -> Result<Json> {
    let token = cursor.peek().clone();
    let value = match (token.kind, token.text.as_str()) {
        (TokenKind::Word, "true") => Json::Bool(true),
        (TokenKind::Word, "false") => Json::Bool(false),
        (TokenKind::Word, "null") => Json::Null,
        (TokenKind::Word, alias) if alias.starts_with('@') => {
            let value = aliases.iter().find(|(name, _)| name == alias).map(|(_, value)| value);
            match value {
                Some(value) => {
                    let mut value = Cursor::new(alias, value)?;
                    let read = literal(&mut value, &[])?;
                    value.require_end("one literal")?;
                    read
                }
                // An alias without a value is null.
                None => Json::Null,
            }
        }
        (TokenKind::Word, _) if cursor.peek_second().kind == TokenKind::Text => {
            cursor.advance();
            Json::String(cursor.peek().text.clone())
        }
        (TokenKind::Text | TokenKind::DateTime, text) => Json::String(text.to_owned()),
        (TokenKind::Guid, text) => Json::String(text.to_lowercase()),
        (TokenKind::Number, text) => serde_json::from_str(text)
            .map_err(|e| cursor.error(format!("'{text}' is no number")).caused_by(e))?,
        _ => return Err(cursor.expected("a literal")),
    };
    cursor.advance();
    Ok(value)
}

impl Filter {
    /// Whether a definition fulfils the condition.
    pub fn holds(&self, item: Item<'_>) -> Result<bool> {
        Ok(match self {
            Self::All(filters) => {
                for filter in filters {
                    if !filter.holds(item)? {
                        return Ok(false);
                    }
                }
                true
            }
            Self::Any(filters) => {
                for filter in filters {
                    if filter.holds(item)? {
                        return Ok(true);
                    }
                }
                false
            }
            Self::Not(filter) => !filter.holds(item)?,
            Self::Compare(path, comparison, value) => {
                let order = compare(path, &value_at(item, path)?, value)?;
                match comparison {
                    Comparison::Equal => order == Some(Ordering::Equal),
                    Comparison::NotEqual => order != Some(Ordering::Equal),
                    Comparison::Greater => order == Some(Ordering::Greater),
                    Comparison::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
                    Comparison::Less => order == Some(Ordering::Less),
                    Comparison::LessOrEqual => order.is_some_and(Ordering::is_le),
                }
            }
            Self::OneOf(path, values) => {
                let found = value_at(item, path)?;
                for value in values {
                    if compare(path, &found, value)? == Some(Ordering::Equal) {
                        return Ok(true);
                    }
                }
                false
            }
            Self::Text(test, path, text) => match value_at(item, path)? {
                Json::Null => false,
                Json::String(found) => test(&found, text),
                _ => return Err(mismatch(path, "a text")),
            },
        })
    }
}

fn value_at(item: Item<'_>, path: &[Name]) -> Result<Json> {
    let [first, rest @ ..] = path else { return Ok(Json::Null) };
    let mut value = item.property(&first.text);
    for name in rest {
        value = match value {
            Json::Null => Json::Null,
            Json::Object(mut members) => members.remove(&name.text).ok_or_else(|| {
                let message = format!("'{}' has no property '{}'", first.text, name.text);
                Error::invalid(codes::ODATA, message).at(name.at.clone())
            })?,
            _ => return Err(mismatch(path, "a complex value")),
        };
    }
    // A name or a setting wrapped into an object of one value.
    if let Json::Object(members) = &mut value
        && let Some(inner) = members.remove("Value")
    {
        value = inner;
    }
    Ok(value)
}

/// The order of two values; nothing when one of them is null and the other not.
fn compare(path: &[Name], found: &Json, value: &Json) -> Result<Option<Ordering>> {
    match (found, value) {
        (Json::Null, Json::Null) => Ok(Some(Ordering::Equal)),
        (Json::Null, _) | (_, Json::Null) => Ok(None),
        (Json::Bool(a), Json::Bool(b)) => Ok(Some(a.cmp(b))),
        (Json::String(a), Json::String(b)) => Ok(Some(a.cmp(b))),
        (Json::Number(a), Json::Number(b)) => Ok(match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => a.as_f64().zip(b.as_f64()).and_then(|(a, b)| a.partial_cmp(&b)),
        }),
        (Json::Bool(_), _) => Err(mismatch(path, "true or false")),
        (Json::String(_), _) => Err(mismatch(path, "a text")),
        (Json::Number(_), _) => Err(mismatch(path, "a number")),
        _ => Err(mismatch(path, "a single value")),
    }
}

fn mismatch(path: &[Name], wanted: &str) -> Error {
    let text: Vec<&str> = path.iter().map(|name| name.text.as_str()).collect();
    let message = format!("incompatible types: '{}' compares with {wanted}", text.join("/"));
    let error = Error::invalid(codes::ODATA, message);
    match path.first() {
        Some(name) => error.at(name.at.clone()),
        None => error,
    }
}
