//! The options that are lists or single values: `$select`, `$orderby`,
//! `$compute`, `$top`, `$skip` and `$count`.

use super::aliases::Aliases;
use super::cursor::Cursor;
use super::expression;
use super::lexer::{TokenKind, excerpt, place};
use super::node::Node;
use crate::catalog::nearest;
use crate::error::{Error, Result, codes};
use crate::query::{Column, ColumnRef, Columns, Computed, Name, Order, OrderBy, Path, Role};

/// `a,b,c`, `*`, or both.
pub(super) fn select(text: &str) -> Result<Columns> {
    let mut cursor = Cursor::new("$select", text)?;
    let names = select_items(&mut cursor)?;
    cursor.require_end("',' or the end")?;
    let plain = |name| Column {
        column: ColumnRef { path: Path::Here, name },
        alias: None,
        role: Role::Plain,
    };
    Ok(match names {
        None => Columns::All,
        Some(names) => Columns::List(names.into_iter().map(plain).collect()),
    })
}

/// Column names; one that comes again is dropped, as a property is answered once.
/// With `*` among them all columns are meant: `None`.
pub(super) fn select_items(cursor: &mut Cursor<'_>) -> Result<Option<Vec<Name>>> {
    let mut names: Vec<Name> = Vec::new();
    let mut all = false;
    loop {
        if cursor.take_symbol('*') {
            all = true;
        } else {
            let name = cursor.require_name("a column")?;
            if cursor.at_symbol('/') {
                let path = excerpt(&name.text);
                let message =
                    format!("a path such as '{path}/…' in $select is not supported; use $expand");
                return Err(Error::unsupported(message).at(cursor.place(cursor.position())));
            }
            if !names.iter().any(|n| n.text == name.text) {
                names.push(name);
            }
        }
        if !cursor.take_symbol(',') {
            return Ok((!all).then_some(names));
        }
    }
}

/// `a,b desc,nav/c asc,year(d)`.
pub(super) fn order_by(text: &str, aliases: &Aliases) -> Result<Vec<Order>> {
    let mut cursor = Cursor::with_aliases("$orderby", text, aliases)?;
    order_items(&mut cursor, "the end", |cursor| cursor.at_end())
}

/// Sort keys up to where `end` holds; `expected` names that in an error.
pub(super) fn order_items(
    cursor: &mut Cursor<'_>,
    expected: &str,
    end: fn(&Cursor<'_>) -> bool,
) -> Result<Vec<Order>> {
    let mut keys = Vec::new();
    loop {
        let by = match expression::parse(cursor, "a column")? {
            Node::Column(column) => OrderBy::Column(*column),
            other => OrderBy::Expression(other.into_expression()?),
        };
        let descending = cursor.take_word("desc");
        if !descending {
            cursor.take_word("asc");
        }
        keys.push(Order { by, descending });
        if !cursor.take_symbol(',') {
            break;
        }
    }
    if end(cursor) {
        return Ok(keys);
    }
    let token = cursor.peek();
    if token.kind == TokenKind::Word
        && let Some(near) = nearest(&token.text, ["asc", "desc"].into_iter())
    {
        let message = format!("'{}' is no direction; did you mean '{near}'?", excerpt(&token.text));
        return Err(cursor.error(message));
    }
    Err(cursor.expected(&format!("'asc', 'desc', ',' or {expected}")))
}

/// `a mul b as c,year(d) as y`.
pub(super) fn compute(text: &str, aliases: &Aliases) -> Result<Vec<Computed>> {
    let mut cursor = Cursor::with_aliases("$compute", text, aliases)?;
    let computed = computed_items(&mut cursor)?;
    cursor.require_end("',' or the end")?;
    Ok(computed)
}

pub(super) fn computed_items(cursor: &mut Cursor<'_>) -> Result<Vec<Computed>> {
    let mut items = Vec::new();
    loop {
        let value = expression::parse(cursor, "an expression")?.into_expression()?;
        let alias = alias(cursor)?;
        items.push(Computed { value, alias });
        if !cursor.take_symbol(',') {
            return Ok(items);
        }
    }
}

/// `as name`.
pub(super) fn alias(cursor: &mut Cursor<'_>) -> Result<Name> {
    if !cursor.take_word("as") {
        return Err(cursor.expected("'as' and a name for the result"));
    }
    let name = cursor.require_name("a name for the result")?;
    if name.text.contains('.') {
        let message = format!("'{}' is no name: it has a dot", excerpt(&name.text));
        return Err(Error::invalid(codes::ODATA, message).at(name.at));
    }
    Ok(name)
}

/// A number of rows: `$top` or `$skip`.
pub(super) fn rows(option: &str, text: &str) -> Result<u64> {
    let text = text.trim();
    whole_number(text).ok_or_else(|| {
        let message = format!("'{}' is not a whole number from 0", excerpt(text));
        Error::invalid(codes::ODATA, message).at(place(option, 0))
    })
}

/// The same inside other options.
pub(super) fn row_count(cursor: &mut Cursor<'_>) -> Result<u64> {
    let token = cursor.peek();
    let number = if token.kind == TokenKind::Number { whole_number(&token.text) } else { None };
    let Some(number) = number else { return Err(cursor.expected("a whole number from 0")) };
    cursor.advance();
    Ok(number)
}

fn whole_number(text: &str) -> Option<u64> {
    // `parse` alone would take a plus sign.
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

/// `true` or `false`.
pub(super) fn count(text: &str) -> Result<bool> {
    truth(text.trim()).ok_or_else(|| {
        let message = format!("'{}' is neither 'true' nor 'false'", excerpt(text.trim()));
        Error::invalid(codes::ODATA, message).at(place("$count", 0))
    })
}

pub(super) fn truth(text: &str) -> Option<bool> {
    match text {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}
