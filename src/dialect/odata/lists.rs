//! The options that are lists or single values: `$select`, `$orderby`,
//! `$expand`, `$top` and `$count`.

use super::cursor::Cursor;
use super::lexer::{TokenKind, excerpt, place};
use crate::catalog::{Table, nearest};
use crate::error::{Error, ErrorKind, Result, codes};
use crate::query::{Column, ColumnRef, Columns, Expand, Name, Path, Role};

/// The most navigation properties one `$expand` may name, as in Dataverse.
pub const EXPAND_MAX: usize = 15;

/// The options that OData allows within `$expand`.
const EXPAND_OPTIONS: [&str; 10] = [
    "$select", "$expand", "$filter", "$orderby", "$top", "$skip", "$count", "$search", "$levels",
    "$compute",
];

/// A sort key before it is known whether it names a column or an alias.
pub(super) struct SortKey {
    pub column: ColumnRef,
    pub descending: bool,
}

/// `a,b,c` or `*`.
pub(super) fn select(text: &str) -> Result<Columns> {
    let mut cursor = Cursor::new("$select", text)?;
    if cursor.take_symbol('*') {
        cursor.require_end("the end after '*'")?;
        return Ok(Columns::All);
    }
    let names = select_items(&mut cursor)?;
    cursor.require_end("',' or the end")?;
    let plain = |name| Column {
        column: ColumnRef { path: Path::Here, name },
        alias: None,
        role: Role::Plain,
    };
    Ok(Columns::List(names.into_iter().map(plain).collect()))
}

/// Column names; one that comes again is dropped, as a property is answered once.
fn select_items(cursor: &mut Cursor<'_>) -> Result<Vec<Name>> {
    let mut names: Vec<Name> = Vec::new();
    loop {
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
        if !cursor.take_symbol(',') {
            return Ok(names);
        }
    }
}

/// `a,b desc,nav/c asc`.
pub(super) fn order_by(text: &str) -> Result<Vec<SortKey>> {
    let mut cursor = Cursor::new("$orderby", text)?;
    let mut keys = Vec::new();
    loop {
        let column = cursor.column_path()?;
        let descending = cursor.take_word("desc");
        if !descending {
            cursor.take_word("asc");
        }
        keys.push(SortKey { column, descending });
        if !cursor.take_symbol(',') {
            break;
        }
    }
    let token = cursor.peek();
    if token.kind == TokenKind::Word
        && let Some(near) = nearest(&token.text, ["asc", "desc"].into_iter())
    {
        let message = format!("'{}' is no direction; did you mean '{near}'?", excerpt(&token.text));
        return Err(cursor.error(message));
    }
    cursor.require_end("'asc', 'desc', ',' or the end")?;
    Ok(keys)
}

/// `nav,nav($select=a,b)` over single-valued navigation properties.
pub(super) fn expand(table: &Table, text: &str) -> Result<Vec<Expand>> {
    let mut cursor = Cursor::new("$expand", text)?;
    let mut items: Vec<Expand> = Vec::new();
    loop {
        let item = expand_item(table, &mut cursor)?;
        if items.iter().any(|i| i.navigation.text == item.navigation.text) {
            let message = format!("'{}' is expanded twice", excerpt(&item.navigation.text));
            return Err(Error::invalid(codes::ODATA, message).at(item.navigation.at));
        }
        if items.len() == EXPAND_MAX {
            let message = format!("more than {EXPAND_MAX} navigation properties");
            return Err(Error::new(ErrorKind::Limit, codes::ODATA, message).at(item.navigation.at));
        }
        items.push(item);
        if !cursor.take_symbol(',') {
            break;
        }
    }
    cursor.require_end("',' or the end")?;
    Ok(items)
}

fn expand_item(table: &Table, cursor: &mut Cursor<'_>) -> Result<Expand> {
    if cursor.at_symbol('*') {
        return Err(cursor.unsupported("'*' in $expand"));
    }
    let navigation = cursor.require_name("a navigation property")?;
    let shown = excerpt(&navigation.text);
    if table.one_to_many.iter().any(|r| r.navigation_property == navigation.text) {
        return Err(Error::unsupported(format!(
            "$expand of the collection '{shown}' is not supported"
        ))
        .at(navigation.at));
    }
    if cursor.at_symbol('/') {
        let segment = cursor.peek_second();
        let what = match segment.kind {
            TokenKind::Word => format!("'{shown}/{}' in $expand", excerpt(&segment.text)),
            _ => format!("a path after '{shown}' in $expand"),
        };
        return Err(cursor.unsupported(&what));
    }
    let mut select = None;
    if cursor.take_symbol('(') {
        loop {
            let start = cursor.position();
            expand_option(cursor)?;
            if select.replace(expand_select(cursor)?).is_some() {
                return Err(cursor.error_at(start, "$select is given twice"));
            }
            if !cursor.take_symbol(';') {
                break;
            }
        }
        cursor.require_symbol(')')?;
    }
    Ok(Expand {
        navigation,
        select: select.flatten(),
        filter: None,
        order: Vec::new(),
        top: None,
        count: false,
        expand: Vec::new(),
        reference: false,
    })
}

/// Takes `$select=`; every other option is refused.
fn expand_option(cursor: &mut Cursor<'_>) -> Result<()> {
    let token = cursor.peek();
    let name = token.text.as_str();
    if token.kind != TokenKind::Word || name != "$select" {
        if EXPAND_OPTIONS.contains(&name) {
            return Err(cursor.unsupported(&format!("{name} within $expand")));
        }
        if token.kind == TokenKind::Word
            && let Some(near) = nearest(name, EXPAND_OPTIONS.into_iter())
        {
            let message =
                format!("option '{}' does not exist; did you mean '{near}'?", excerpt(name));
            return Err(cursor.error(message));
        }
        return Err(cursor.expected("$select"));
    }
    cursor.advance();
    cursor.require_symbol('=')
}

/// The columns of an expanded row; `None` for `*`.
fn expand_select(cursor: &mut Cursor<'_>) -> Result<Option<Vec<Name>>> {
    if cursor.take_symbol('*') { Ok(None) } else { select_items(cursor).map(Some) }
}

/// A number of rows.
pub(super) fn top(text: &str) -> Result<u64> {
    let text = text.trim();
    // `parse` alone would take a plus sign.
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or_else(|| {
        let message = format!("'{}' is not a whole number from 0", excerpt(text));
        Error::invalid(codes::ODATA, message).at(place("$top", 0))
    })
}

/// `true` or `false`.
pub(super) fn count(text: &str) -> Result<bool> {
    match text.trim() {
        "true" => Ok(true),
        "false" => Ok(false),
        other => {
            let message = format!("'{}' is neither 'true' nor 'false'", excerpt(other));
            Err(Error::invalid(codes::ODATA, message).at(place("$count", 0)))
        }
    }
}
