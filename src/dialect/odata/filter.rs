//! `$filter` expressions, also those inside `$apply=filter(…)`.
//!
//! Precedence from weak to strong: `or`, `and`, `not`, comparison. A condition
//! compares one column with literals or with another column; everything else
//! that OData can say is refused with its name and position.

use super::cursor::{Cursor, found};
use super::functions::{self, NAMESPACE};
use super::lexer::{Token, TokenKind, excerpt};
use super::query_function;
use crate::catalog::nearest;
use crate::error::Result;
use crate::query::{ColumnRef, Condition, Filter, Literal, LiteralKind, Operand, Operator, Test};

const COMPARISONS: [(&str, Operator); 6] = [
    ("eq", Operator::Eq),
    ("ne", Operator::Ne),
    ("gt", Operator::Gt),
    ("ge", Operator::Ge),
    ("lt", Operator::Lt),
    ("le", Operator::Le),
];

const ARITHMETIC: [&str; 6] = ["add", "sub", "mul", "div", "divby", "mod"];

/// Reads a whole `$filter`.
pub(super) fn parse(text: &str) -> Result<Filter> {
    let mut cursor = Cursor::new("$filter", text)?;
    let filter = expression(&mut cursor)?;
    cursor.require_end("'and', 'or' or the end")?;
    Ok(filter)
}

/// Conditions joined by `or`.
pub(super) fn expression(cursor: &mut Cursor<'_>) -> Result<Filter> {
    let mut any = vec![conjunction(cursor)?];
    while cursor.take_word("or") {
        any.push(conjunction(cursor)?);
    }
    refuse_misspelt_connective(cursor)?;
    Ok(one_or(any, Filter::Or))
}

/// All of the filters must hold; `None` when there is none.
pub(super) fn all_of(filters: Vec<Filter>) -> Option<Filter> {
    let mut all = Vec::new();
    for filter in filters {
        match filter {
            Filter::And(inner) => all.extend(inner),
            other => all.push(other),
        }
    }
    if all.is_empty() { None } else { Some(one_or(all, Filter::And)) }
}

fn conjunction(cursor: &mut Cursor<'_>) -> Result<Filter> {
    let mut all = vec![factor(cursor)?];
    while cursor.take_word("and") {
        all.push(factor(cursor)?);
    }
    Ok(one_or(all, Filter::And))
}

fn one_or(mut filters: Vec<Filter>, join: fn(Vec<Filter>) -> Filter) -> Filter {
    match filters.len() {
        1 => filters.remove(0),
        _ => join(filters),
    }
}

/// A condition, a parenthesised expression, or `not` before one.
fn factor(cursor: &mut Cursor<'_>) -> Result<Filter> {
    if cursor.at_word("not") {
        cursor.advance();
        return cursor.nested(negation);
    }
    if cursor.at_symbol('(') {
        return cursor.nested(|cursor| {
            cursor.advance();
            let inner = expression(cursor)?;
            cursor.require_symbol(')')?;
            Ok(inner)
        });
    }
    if called(cursor) {
        return function(cursor);
    }
    comparison(cursor)
}

fn negation(cursor: &mut Cursor<'_>) -> Result<Filter> {
    if !(cursor.at_symbol('(') || cursor.at_word("not") || called(cursor)) {
        return Err(cursor.expected("'(' or a function after 'not'"));
    }
    Ok(match factor(cursor)? {
        // Dataverse has an operator of its own for this, which keeps null rows.
        Filter::Condition(condition) if condition.test == Test::Compare(Operator::Like) => {
            Filter::Condition(Condition { test: Test::Compare(Operator::NotLike), ..condition })
        }
        other => Filter::Not(Box::new(other)),
    })
}

/// Whether a function call is next.
fn called(cursor: &Cursor<'_>) -> bool {
    // `not (…)` and `a in (…)` have a word before a parenthesis too.
    let word = cursor.peek();
    word.kind == TokenKind::Word
        && cursor.peek_second().kind == TokenKind::Symbol('(')
        && !matches!(word.text.as_str(), "not" | "and" | "or" | "in")
}

/// `contains(…)` and its like, or `Microsoft.Dynamics.CRM.…(…)`.
fn function(cursor: &mut Cursor<'_>) -> Result<Filter> {
    let name = cursor.peek().text.clone();
    if functions::TEXT.contains(&name.as_str()) {
        return text_function(cursor);
    }
    if let Some(operator) = query_function::operator(&name) {
        return query_function::condition(cursor, operator);
    }
    Err(unknown_function(cursor))
}

fn unknown_function(cursor: &Cursor<'_>) -> crate::error::Error {
    let name = &cursor.peek().text;
    if functions::is_built_in(name) {
        return cursor.unsupported(&format!("function '{name}'"));
    }
    if functions::is_query_function(name) {
        return cursor.unsupported(&format!("query function '{name}'"));
    }
    let kind = if name.starts_with(NAMESPACE) { "query function" } else { "function" };
    let name_shown = excerpt(name);
    let message = match functions::nearest_function(name) {
        Some(near) => format!("{kind} '{name_shown}' does not exist; did you mean '{near}'?"),
        None => format!("{kind} '{name_shown}' does not exist"),
    };
    cursor.error(message)
}

/// `contains(column,'x')`: the text is a LIKE pattern in Dataverse, so its
/// wildcards stay alive.
fn text_function(cursor: &mut Cursor<'_>) -> Result<Filter> {
    let name = cursor.advance();
    cursor.require_symbol('(')?;
    let column = cursor.column_path()?;
    cursor.require_symbol(',')?;
    if cursor.peek().kind != TokenKind::Text {
        return Err(cursor.expected("a text in single quotes"));
    }
    let text = cursor.advance();
    cursor.require_symbol(')')?;
    let pattern = match name.text.as_str() {
        "startswith" => format!("{}%", text.text),
        "endswith" => format!("%{}", text.text),
        _ => format!("%{}%", text.text),
    };
    let literal =
        Literal { kind: LiteralKind::Text, text: pattern, at: cursor.place(text.position) };
    Ok(Filter::Condition(Condition {
        column,
        test: Test::Compare(Operator::Like),
        operands: vec![Operand::Value(literal)],
        at: cursor.place(name.position),
    }))
}

/// One side of a comparison.
enum Side {
    Column(ColumnRef),
    Value(Literal),
    Null,
}

fn comparison(cursor: &mut Cursor<'_>) -> Result<Filter> {
    let start = cursor.position();
    let left = side(cursor, "a condition")?;
    if cursor.at_word("in") {
        return in_list(cursor, start, left);
    }
    let at = cursor.position();
    let operator = comparison_operator(cursor, &left)?;
    let right = side(cursor, "a value or a column")?;
    let (column, operator, operand) = match (left, right) {
        (Side::Column(column), Side::Null) | (Side::Null, Side::Column(column)) => {
            let operator = match operator {
                Operator::Eq => Operator::Null,
                Operator::Ne => Operator::NotNull,
                _ => return Err(cursor.error_at(at, "null is compared with 'eq' or 'ne' only")),
            };
            (column, operator, None)
        }
        (Side::Column(column), Side::Value(v)) => (column, operator, Some(Operand::Value(v))),
        (Side::Column(column), Side::Column(c)) => (column, operator, Some(Operand::Column(c))),
        (Side::Value(v), Side::Column(column)) => {
            (column, flipped(operator), Some(Operand::Value(v)))
        }
        (Side::Value(_) | Side::Null, Side::Value(_) | Side::Null) => {
            return Err(cursor.error_at(start, "a comparison needs a column on one side"));
        }
    };
    let operands = operand.into_iter().collect();
    let test = Test::Compare(operator);
    Ok(Filter::Condition(Condition { column, test, operands, at: cursor.place(start) }))
}

fn side(cursor: &mut Cursor<'_>, expected: &str) -> Result<Side> {
    let side = if cursor.take_word("null") {
        Side::Null
    } else if let Some(literal) = take_literal(cursor) {
        Side::Value(literal)
    } else {
        match cursor.peek().kind {
            TokenKind::Quoted => {
                return Err(cursor.error("a text stands in single quotes, not in double quotes"));
            }
            TokenKind::Word if called(cursor) => return Err(unknown_function(cursor)),
            TokenKind::Word => {
                refuse_capital_keyword(cursor)?;
                Side::Column(cursor.column_path()?)
            }
            _ => return Err(cursor.expected(expected)),
        }
    };
    let next = cursor.peek();
    if next.kind == TokenKind::Word && ARITHMETIC.contains(&next.text.as_str()) {
        return Err(cursor.unsupported(&format!("arithmetic operator '{}'", next.text)));
    }
    Ok(side)
}

/// `True` or `NULL`, which other languages write for what OData has in small letters.
fn refuse_capital_keyword(cursor: &Cursor<'_>) -> Result<()> {
    let word = &cursor.peek().text;
    match ["null", "true", "false"].iter().find(|k| k.eq_ignore_ascii_case(word)) {
        Some(right) => Err(cursor.error(format!("'{word}' is no literal; write '{right}'"))),
        None => Ok(()),
    }
}

/// A literal other than `null`, if one is next.
fn take_literal(cursor: &mut Cursor<'_>) -> Option<Literal> {
    let token = cursor.peek();
    let kind = match token.kind {
        TokenKind::Text => LiteralKind::Text,
        TokenKind::Number => LiteralKind::Number,
        TokenKind::Guid => LiteralKind::Guid,
        TokenKind::DateTime => LiteralKind::DateTime,
        TokenKind::Word if matches!(token.text.as_str(), "true" | "false") => LiteralKind::Boolean,
        _ => return None,
    };
    let Token { text, position, .. } = cursor.advance();
    Some(Literal { kind, text, at: cursor.place(position) })
}

fn comparison_operator(cursor: &mut Cursor<'_>, left: &Side) -> Result<Operator> {
    let token = cursor.peek();
    let word = (token.kind == TokenKind::Word).then_some(token.text.as_str());
    if let Some((_, operator)) = COMPARISONS.iter().find(|(name, _)| Some(*name) == word) {
        cursor.advance();
        return Ok(*operator);
    }
    if word == Some("has") {
        return Err(cursor.unsupported("operator 'has'"));
    }
    if let Some(near) = word.and_then(|w| nearest(w, COMPARISONS.iter().map(|(name, _)| *name))) {
        let found = found(token);
        return Err(cursor.error(format!("{found} is no operator; did you mean '{near}'?")));
    }
    if let Some(right) = written_elsewhere(cursor) {
        return Err(cursor.error(format!("{} is no operator; write '{right}'", found(token))));
    }
    let after = match left {
        Side::Column(column) => format!("'{}'", excerpt(&column.name.text)),
        Side::Value(literal) => format!("'{}'", excerpt(&literal.text)),
        Side::Null => "'null'".into(),
    };
    Err(cursor.expected(&format!("eq, ne, gt, ge, lt or le after {after}")))
}

/// The OData word for a comparison sign of other languages.
fn written_elsewhere(cursor: &Cursor<'_>) -> Option<&'static str> {
    match (cursor.peek().kind, cursor.peek_second().kind) {
        (TokenKind::Symbol('='), _) => Some("eq"),
        (TokenKind::Symbol('!'), _) | (TokenKind::Symbol('<'), TokenKind::Symbol('>')) => {
            Some("ne")
        }
        (TokenKind::Symbol('>'), TokenKind::Symbol('=')) => Some("ge"),
        (TokenKind::Symbol('<'), TokenKind::Symbol('=')) => Some("le"),
        (TokenKind::Symbol('>'), _) => Some("gt"),
        (TokenKind::Symbol('<'), _) => Some("lt"),
        _ => None,
    }
}

fn flipped(operator: Operator) -> Operator {
    match operator {
        Operator::Gt => Operator::Lt,
        Operator::Ge => Operator::Le,
        Operator::Lt => Operator::Gt,
        Operator::Le => Operator::Ge,
        same => same,
    }
}

/// `column in (1,2)` of OData 4.01, which Dataverse itself does not have.
fn in_list(cursor: &mut Cursor<'_>, start: usize, left: Side) -> Result<Filter> {
    let Side::Column(column) = left else {
        return Err(cursor.error_at(start, "'in' needs a column on its left"));
    };
    cursor.advance();
    cursor.require_symbol('(')?;
    let mut operands = Vec::new();
    loop {
        match take_literal(cursor) {
            Some(literal) => operands.push(Operand::Value(literal)),
            None => return Err(cursor.expected("a value other than null")),
        }
        if !cursor.take_symbol(',') {
            break;
        }
    }
    cursor.require_symbol(')')?;
    let at = cursor.place(start);
    let test = Test::Compare(Operator::In);
    Ok(Filter::Condition(Condition { column, test, operands, at }))
}

/// After a condition: a connective in capitals, or a word that is nearly one.
fn refuse_misspelt_connective(cursor: &Cursor<'_>) -> Result<()> {
    let token = cursor.peek();
    if token.kind != TokenKind::Word {
        return Ok(());
    }
    match nearest(&token.text, ["and", "or"].into_iter()) {
        Some(near) => {
            let found = found(token);
            Err(cursor.error(format!("{found} is no operator; did you mean '{near}'?")))
        }
        None => Ok(()),
    }
}
