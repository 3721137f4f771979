//! Paths: `column`, `navigation/…/column`, `variable/column` inside a lambda
//! expression, `$it/column`. A path may also lead to `any(…)` or `all(…)`.

use super::cursor::Cursor;
use super::functions;
use super::lexer::{TokenKind, excerpt};
use crate::error::Result;
use crate::query::{ColumnRef, Name, Path};

/// The names of a path.
pub(super) struct Steps {
    /// The range variable it starts from.
    pub variable: Option<Name>,
    /// At least one unless a variable stands alone.
    pub names: Vec<Name>,
}

/// Reads a path up to its end, or up to the `any` or `all` that follows it.
pub(super) fn steps(cursor: &mut Cursor<'_>) -> Result<Steps> {
    let mut steps = Steps { variable: None, names: Vec::new() };
    if cursor.at_word("$it") {
        cursor.advance();
        if !cursor.at_symbol('/') {
            return Err(cursor.expected("'/' and a column after '$it'"));
        }
    } else {
        let first = cursor.require_name("a column")?;
        if cursor.is_variable(&first.text) {
            steps.variable = Some(first);
        } else {
            steps.names.push(first);
        }
    }
    while cursor.at_symbol('/') {
        // A blank here is a missing name, not a longer path.
        let adjacent = cursor.peek_second().position == cursor.position() + 1;
        cursor.advance();
        if !adjacent {
            return Err(cursor.expected("a column directly after '/'"));
        }
        if at_lambda(cursor) {
            break;
        }
        refuse_segment(cursor)?;
        steps.names.push(cursor.require_name("a column")?);
    }
    Ok(steps)
}

/// Whether `any(` or `all(` is next.
pub(super) fn at_lambda(cursor: &Cursor<'_>) -> bool {
    (cursor.at_word("any") || cursor.at_word("all"))
        && cursor.peek_second().kind == TokenKind::Symbol('(')
}

/// A column where nothing else can stand.
pub(super) fn column(cursor: &mut Cursor<'_>) -> Result<ColumnRef> {
    refuse_function(cursor)?;
    let steps = steps(cursor)?;
    if at_lambda(cursor) {
        let name = &cursor.peek().text;
        return Err(cursor.unsupported(&format!("lambda operator '{name}' in this place")));
    }
    column_of(cursor, steps)
}

/// The column that a path names.
pub(super) fn column_of(cursor: &Cursor<'_>, steps: Steps) -> Result<ColumnRef> {
    let Steps { variable, mut names } = steps;
    let Some(name) = names.pop() else {
        return Err(cursor.expected("'/' and a column after the variable"));
    };
    let path = match variable {
        Some(variable) => Path::Variable { variable, navigation: names },
        None if names.is_empty() => Path::Here,
        None => Path::Navigation(names),
    };
    Ok(ColumnRef { path, name })
}

/// A call where only a column can stand, named for what it is.
fn refuse_function(cursor: &Cursor<'_>) -> Result<()> {
    let called = cursor.peek_second().kind == TokenKind::Symbol('(');
    if cursor.peek().kind != TokenKind::Word || !called {
        return Ok(());
    }
    let name = &cursor.peek().text;
    if functions::is_known(name) {
        return Err(cursor.unsupported(&format!("function '{name}' in this place")));
    }
    Ok(())
}

/// What may follow `/` in OData but is not a column.
fn refuse_segment(cursor: &Cursor<'_>) -> Result<()> {
    let segment = cursor.peek();
    if segment.kind != TokenKind::Word {
        return Ok(());
    }
    let text = segment.text.as_str();
    if text.starts_with('$') {
        return Err(cursor.unsupported(&format!("path segment '{}'", excerpt(text))));
    }
    if text.contains('.') {
        let called = cursor.peek_second().kind == TokenKind::Symbol('(');
        let what = if called { "function after a path" } else { "type cast" };
        return Err(cursor.unsupported(&format!("{what} '{}'", excerpt(text))));
    }
    Ok(())
}
