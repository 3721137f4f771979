//! Dataverse query functions in `$filter`:
//! `Microsoft.Dynamics.CRM.In(PropertyName='column',PropertyValues=['1','2'])`.
//!
//! Their values are texts whatever the column's type is; the type of the column
//! decides what they mean, as in FetchXML.

use super::cursor::Cursor;
use super::functions::NAMESPACE;
use super::lexer::{Token, TokenKind, excerpt};
use crate::catalog::nearest;
use crate::error::{Error, Result, codes};
use crate::query::{
    ColumnRef, Condition, Filter, Literal, LiteralKind, Name, Operand, Operator, Path, Test,
};

const PARAMETERS: [&str; 2] = ["PropertyName", "PropertyValues"];

/// The operator a query function stands for, if it is one that is offered.
pub(super) fn operator(name: &str) -> Option<Operator> {
    match name.strip_prefix(NAMESPACE)? {
        "In" => Some(Operator::In),
        "NotIn" => Some(Operator::NotIn),
        "Between" => Some(Operator::Between),
        "NotBetween" => Some(Operator::NotBetween),
        _ => None,
    }
}

/// Reads the call; the function's name is next.
pub(super) fn condition(cursor: &mut Cursor<'_>, operator: Operator) -> Result<Filter> {
    let function = cursor.advance();
    cursor.require_symbol('(')?;
    let mut column = None;
    let mut values = None;
    loop {
        let parameter = cursor.require_name("PropertyName or PropertyValues")?;
        let start = cursor.position();
        let again = match parameter.text.as_str() {
            "PropertyName" => {
                cursor.require_symbol('=')?;
                refuse_alias(cursor)?;
                column.replace(property(cursor)?).is_some()
            }
            "PropertyValues" => {
                cursor.require_symbol('=')?;
                refuse_alias(cursor)?;
                values.replace(array(cursor)?).is_some()
            }
            other => {
                let other = excerpt(other);
                let message = match nearest(&other, PARAMETERS.into_iter()) {
                    Some(near) => {
                        format!("parameter '{other}' does not exist; did you mean '{near}'?")
                    }
                    None => format!("parameter '{other}' does not exist"),
                };
                return Err(Error::invalid(codes::ODATA, message).at(parameter.at));
            }
        };
        if again {
            return Err(cursor.error_at(start, "the parameter is given twice"));
        }
        if !cursor.take_symbol(',') {
            break;
        }
    }
    if column.is_none() || values.is_none() {
        let missing = if column.is_none() { PARAMETERS[0] } else { PARAMETERS[1] };
        return Err(cursor.expected(&format!("the parameter {missing}")));
    }
    cursor.require_symbol(')')?;
    let column = column.expect("checked above");
    let (at, operands) = values.expect("checked above");
    let ends = matches!(operator, Operator::Between | Operator::NotBetween);
    if ends && operands.len() != 2 {
        let message = format!("{} needs two values, not {}", function.text, operands.len());
        return Err(cursor.error_at(at, message));
    }
    let at = cursor.place(function.position);
    Ok(Filter::Condition(Condition { column, test: Test::Compare(operator), operands, at }))
}

fn refuse_alias(cursor: &Cursor<'_>) -> Result<()> {
    let token = cursor.peek();
    if token.kind == TokenKind::Word && token.text.starts_with('@') {
        return Err(cursor.unsupported(&format!("parameter alias '{}'", excerpt(&token.text))));
    }
    Ok(())
}

/// The column's name in quotes, perhaps behind navigation properties.
fn property(cursor: &mut Cursor<'_>) -> Result<ColumnRef> {
    if !matches!(cursor.peek().kind, TokenKind::Text | TokenKind::Quoted) {
        return Err(cursor.expected("a column's name in quotes"));
    }
    let Token { text, position, .. } = cursor.advance();
    let mut names = Vec::new();
    // Past the quote that opens the name.
    let mut position = position + 1;
    for part in text.split('/') {
        names.push(Name { text: part.to_owned(), at: cursor.place(position) });
        position += part.chars().count() + 1;
    }
    let name = names.pop().expect("split yields at least one part");
    let path = if names.is_empty() { Path::Here } else { Path::Navigation(names) };
    Ok(ColumnRef { path, name })
}

/// A JSON array of texts in either kind of quotes; bare numbers are read too.
/// Gives the position of its bracket beside the values.
fn array(cursor: &mut Cursor<'_>) -> Result<(usize, Vec<Operand>)> {
    let start = cursor.position();
    cursor.require_symbol('[')?;
    let mut operands = Vec::new();
    loop {
        if !matches!(cursor.peek().kind, TokenKind::Text | TokenKind::Quoted | TokenKind::Number) {
            return Err(cursor.expected("a value in quotes"));
        }
        let Token { text, position, .. } = cursor.advance();
        let at = cursor.place(position);
        operands.push(Operand::Value(Literal { kind: LiteralKind::Untyped, text, at }));
        if !cursor.take_symbol(',') {
            break;
        }
    }
    if !cursor.at_symbol(']') {
        return Err(cursor.expected("',' or ']'"));
    }
    cursor.advance();
    Ok((start, operands))
}
