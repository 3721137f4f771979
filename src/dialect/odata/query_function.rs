//! Dataverse query functions in `$filter`:
//! `Microsoft.Dynamics.CRM.In(PropertyName='column',PropertyValues=['1','2'])`.
//!
//! Their values are texts whatever the column's type is; the type of the column
//! decides what they mean, as in FetchXML. Any parameter may be an alias.

use super::cursor::Cursor;
use super::expression;
use super::lexer::{Token, TokenKind, excerpt};
use crate::catalog::nearest;
use crate::error::{Error, Result, codes};
use crate::query::operators::{Arguments, ConditionOperator, Meaning};
use crate::query::{
    ColumnRef, Condition, Filter, Literal, LiteralKind, Name, Operand, Operator, Path, Test,
};

const NAME: &str = "PropertyName";

/// The parameters beside the column's name.
fn parameters(operator: &ConditionOperator, test: Test) -> &'static [&'static str] {
    match (operator.arguments, test) {
        (_, Test::Compare(Operator::Between | Operator::NotBetween)) => &["PropertyValues"],
        (Arguments::None, _) => &[],
        (Arguments::One, _) => &["PropertyValue"],
        (Arguments::Two, _) => &["PropertyValue1", "PropertyValue2"],
        (Arguments::Many, _) => &["PropertyValues"],
    }
}

/// Reads the call; the function's name is next.
pub(super) fn condition(
    cursor: &mut Cursor<'_>,
    operator: &'static ConditionOperator,
) -> Result<Filter> {
    let function = cursor.advance();
    let Meaning::Test(test) = operator.meaning else {
        return Err(Error::internal(format!("'{}' is no query function", operator.name)));
    };
    let wanted = parameters(operator, test);
    let mut column = None;
    let mut values: Vec<Option<Vec<Literal>>> = vec![None; wanted.len()];
    cursor.require_symbol('(')?;
    loop {
        let parameter = cursor.require_name(&expected(wanted))?;
        let start = cursor.position();
        let again = if parameter.text == NAME {
            cursor.require_symbol('=')?;
            column.replace(argument(cursor, property)?).is_some()
        } else if let Some(i) = wanted.iter().position(|name| *name == parameter.text) {
            cursor.require_symbol('=')?;
            let read = if wanted[i] == "PropertyValues" {
                argument(cursor, |cursor| counted(cursor, &function.text, operator.arguments))?
            } else {
                vec![argument(cursor, value)?]
            };
            values[i].replace(read).is_some()
        } else {
            return Err(unknown_parameter(&parameter, wanted, &function.text));
        };
        if again {
            return Err(cursor.error_at(start, "the parameter is given twice"));
        }
        if !cursor.take_symbol(',') {
            break;
        }
    }
    let missing = values.iter().position(Option::is_none).map(|i| wanted[i]);
    let (Some(column), None) = (column.as_ref(), missing) else {
        let missing = if column.is_none() { NAME } else { missing.unwrap_or(NAME) };
        return Err(cursor.expected(&format!("the parameter {missing}")));
    };
    cursor.require_symbol(')')?;
    let operands = values.into_iter().flatten().flatten().map(Operand::Value).collect();
    let at = cursor.place(function.position);
    Ok(Filter::Condition(Condition { column: column.clone(), test, operands, at }))
}

/// Dataverse has this function for columns with a full-text index, which no
/// table here has.
pub(super) fn contains(cursor: &Cursor<'_>) -> Error {
    let message = "Unknown Condition Operator: Contains. FetchXml does not support it";
    Error::invalid(codes::UNKNOWN_OPERATOR, message).at(cursor.place(cursor.position()))
}

fn expected(wanted: &[&str]) -> String {
    let all: Vec<&str> = [NAME].into_iter().chain(wanted.iter().copied()).collect();
    all.join(" or ")
}

fn unknown_parameter(parameter: &Name, wanted: &[&'static str], function: &str) -> Error {
    const ALL: [&str; 5] =
        [NAME, "PropertyValue", "PropertyValue1", "PropertyValue2", "PropertyValues"];
    let shown = excerpt(&parameter.text);
    let message = if ALL.contains(&parameter.text.as_str()) {
        let takes = expected(wanted).replace(" or ", " and ");
        format!("parameter '{shown}' does not go with {function}, which takes {takes}")
    } else {
        match nearest(&shown, [NAME].into_iter().chain(wanted.iter().copied())) {
            Some(near) => format!("parameter '{shown}' does not exist; did you mean '{near}'?"),
            None => format!("parameter '{shown}' does not exist"),
        }
    };
    Error::invalid(codes::ODATA, message).at(parameter.at.clone())
}

/// A parameter's value, which may stand behind an alias.
fn argument<T>(
    cursor: &mut Cursor<'_>,
    read: impl FnOnce(&mut Cursor<'_>) -> Result<T>,
) -> Result<T> {
    if !cursor.at_alias() {
        return read(cursor);
    }
    let position = cursor.position();
    let alias = excerpt(&cursor.peek().text);
    match cursor.alias_value()? {
        None => Err(cursor.error_at(position, format!("the alias '{alias}' has no value"))),
        Some(mut text) => {
            let value = read(&mut text)?;
            text.require_end("the end of the value")?;
            Ok(value)
        }
    }
}

/// The column's name in quotes, perhaps behind navigation properties or the
/// variable of a lambda expression.
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
    let path = match names.first() {
        None => Path::Here,
        Some(first) if cursor.is_variable(&first.text) => {
            Path::Variable { variable: names.remove(0), navigation: names }
        }
        Some(_) => Path::Navigation(names),
    };
    Ok(ColumnRef { path, name })
}

/// One value, in quotes or bare.
fn value(cursor: &mut Cursor<'_>) -> Result<Literal> {
    let literal = if cursor.peek().kind == TokenKind::Quoted {
        let Token { text, position, .. } = cursor.advance();
        Some(Literal { kind: LiteralKind::Untyped, text, at: cursor.place(position) })
    } else {
        expression::literal(cursor)
    };
    match literal {
        Some(literal) => Ok(Literal { kind: LiteralKind::Untyped, ..literal }),
        None => Err(cursor.expected("a value in quotes")),
    }
}

/// An array with as many values as the function takes.
fn counted(cursor: &mut Cursor<'_>, function: &str, arguments: Arguments) -> Result<Vec<Literal>> {
    let (start, values) = array(cursor)?;
    if arguments == Arguments::Two && values.len() != 2 {
        let message = format!("{function} needs two values, not {}", values.len());
        return Err(cursor.error_at(start, message));
    }
    Ok(values)
}

/// A JSON array of texts, numbers and yes/no values, and the position of its bracket.
pub(super) fn array(cursor: &mut Cursor<'_>) -> Result<(usize, Vec<Literal>)> {
    let start = cursor.position();
    cursor.require_symbol('[')?;
    let mut values = Vec::new();
    loop {
        let token = cursor.peek();
        let is_value = matches!(token.kind, TokenKind::Quoted | TokenKind::Number)
            || matches!(token.text.as_str(), "true" | "false");
        if !is_value {
            return Err(cursor.expected("a value in quotes"));
        }
        let Token { text, position, .. } = cursor.advance();
        values.push(Literal { kind: LiteralKind::Untyped, text, at: cursor.place(position) });
        if !cursor.take_symbol(',') {
            break;
        }
    }
    cursor.require_symbol(']')?;
    Ok((start, values))
}
