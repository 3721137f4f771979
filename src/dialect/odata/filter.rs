//! `$filter` expressions, also those inside `$apply=filter(…)` and `$expand`.

use super::aliases::Aliases;
use super::cursor::Cursor;
use super::expression;
use crate::error::Result;
use crate::query::Filter;

/// What an error says is wanted where nothing fits.
pub(super) const CONDITION: &str = "a condition";

/// Reads a whole `$filter`.
pub(super) fn parse(text: &str, aliases: &Aliases) -> Result<Filter> {
    let mut cursor = Cursor::with_aliases("$filter", text, aliases)?;
    let end = "'and', 'or' or the end";
    until(&mut cursor, end, |cursor| cursor.at_end())
}

/// Reads a filter up to where `end` holds; `expected` names that in an error.
pub(super) fn until(
    cursor: &mut Cursor<'_>,
    expected: &str,
    end: fn(&Cursor<'_>) -> bool,
) -> Result<Filter> {
    let node = expression::parse(cursor, CONDITION)?;
    if !end(cursor) {
        return Err(expression::unfinished(cursor, &node, expected));
    }
    node.into_filter()
}

/// All of the filters must hold; `None` when there is none.
pub(super) fn all_of(filters: impl IntoIterator<Item = Filter>) -> Option<Filter> {
    let mut all = Vec::new();
    for filter in filters {
        match filter {
            Filter::And(inner) => all.extend(inner),
            other => all.push(other),
        }
    }
    match all.len() {
        0 | 1 => all.pop(),
        _ => Some(Filter::And(all)),
    }
}
