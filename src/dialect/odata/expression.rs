//! The expressions of OData: operators by their precedence, then columns,
//! literals, calls and parentheses.

use super::cursor::{Cursor, found};
use super::functions::{self, NAMESPACE};
use super::lexer::{Token, TokenKind, excerpt};
use super::node::Node;
use super::{lambda, path, query_function};
use crate::catalog::nearest;
use crate::error::{Error, Result, codes};
use crate::query::functions::ARITHMETIC;
use crate::query::{Function, Literal, LiteralKind};

/// An operator between two operands; those of a higher level bind stronger.
#[derive(Clone, Copy)]
struct Operator {
    word: &'static str,
    function: Function,
    level: u8,
}

const fn operator(word: &'static str, function: Function, level: u8) -> Operator {
    Operator { word, function, level }
}

const OPERATORS: [Operator; 8] = [
    operator("or", Function::Or, 0),
    operator("and", Function::And, 1),
    operator("eq", Function::Eq, EQUALITY),
    operator("ne", Function::Ne, EQUALITY),
    operator("gt", Function::Gt, ORDERING),
    operator("ge", Function::Ge, ORDERING),
    operator("lt", Function::Lt, ORDERING),
    operator("le", Function::Le, ORDERING),
];

const EQUALITY: u8 = 2;

/// The level of order comparisons, and of `in` and `has`.
const ORDERING: u8 = 3;

/// The operator of at least a level that is next.
fn next_operator(cursor: &Cursor<'_>, least: u8) -> Option<Operator> {
    let arithmetic = ARITHMETIC.iter().map(|spelling| {
        let level = match spelling.function {
            Function::Add | Function::Sub => 4,
            _ => 5,
        };
        operator(spelling.name, spelling.function, level)
    });
    let mut all = OPERATORS.into_iter().chain(arithmetic);
    all.find(|operator| operator.level >= least && cursor.at_word(operator.word))
}

/// The comparisons among the operators.
fn comparisons() -> impl Iterator<Item = &'static str> {
    OPERATORS.iter().filter(|o| matches!(o.level, EQUALITY | ORDERING)).map(|o| o.word)
}

/// What may stand on the right of an operator.
const VALUE: &str = "a value or a column";

/// Reads an expression as far as it goes; `expected` says in an error what is
/// wanted where nothing fits.
pub(super) fn parse(cursor: &mut Cursor<'_>, expected: &str) -> Result<Node> {
    operation(cursor, 0, expected)
}

/// Operands with operators of at least a level between them. One function for
/// all levels keeps the stack small where parentheses are nested.
fn operation(cursor: &mut Cursor<'_>, least: u8, expected: &str) -> Result<Node> {
    let start = cursor.position();
    let mut left = unary(cursor, expected)?;
    loop {
        if least <= ORDERING && cursor.at_word("in") {
            left = in_list(cursor, start, left)?;
            continue;
        }
        if least <= ORDERING && cursor.at_word("has") {
            return Err(cursor.unsupported("operator 'has'"));
        }
        let Some(Operator { word, function, level }) = next_operator(cursor, least) else {
            return Ok(left);
        };
        let sign = cursor.position();
        let at = cursor.place(start);
        let mut operands = vec![left];
        if matches!(function, Function::And | Function::Or) {
            while cursor.take_word(word) {
                operands.push(operation(cursor, level + 1, "a condition")?);
            }
        } else {
            cursor.advance();
            operands.push(operation(cursor, level + 1, VALUE)?);
            let null = operands.iter().any(|operand| matches!(operand, Node::Null(_)));
            if level == ORDERING && null {
                return Err(cursor.error_at(sign, "null is compared with 'eq' or 'ne' only"));
            }
        }
        left = Node::call(function, operands, at)?;
    }
}

fn unary(cursor: &mut Cursor<'_>, expected: &str) -> Result<Node> {
    let at = cursor.place(cursor.position());
    if cursor.at_word("not") {
        return cursor.nested(|cursor| {
            cursor.advance();
            let operand = negated(cursor)?;
            Node::call(Function::Not, vec![operand], at)
        });
    }
    if cursor.at_symbol('-') {
        return cursor.nested(|cursor| {
            cursor.advance();
            match unary(cursor, VALUE)? {
                Node::Literal(literal) if positive(&literal) => {
                    Ok(Node::Literal(Literal { text: format!("-{}", literal.text), at, ..literal }))
                }
                operand => Node::call(Function::Negate, vec![operand], at),
            }
        });
    }
    primary(cursor, expected)
}

fn positive(literal: &Literal) -> bool {
    literal.kind == LiteralKind::Number
        && literal.text.starts_with(|c: char| c.is_ascii_digit() || c == 'I')
}

/// What `not` is before. It binds stronger than a comparison: without
/// parentheses `not a eq 1` would compare a negation with 1.
fn negated(cursor: &mut Cursor<'_>) -> Result<Node> {
    let start = cursor.position();
    let shown = found(cursor.peek());
    let wanted = || format!("expected '(' or a function after 'not', found {shown}");
    if cursor.at_end() {
        return Err(cursor.error(wanted()));
    }
    let operand = unary(cursor, "a condition")?;
    if cursor.at_word("in") {
        return in_list(cursor, start, operand);
    }
    if matches!(operand, Node::Column(_)) && comparisons().any(|word| cursor.at_word(word)) {
        return Err(cursor.error_at(start, wanted()));
    }
    Ok(operand)
}

fn primary(cursor: &mut Cursor<'_>, expected: &str) -> Result<Node> {
    if cursor.at_symbol('(') {
        return cursor.nested(|cursor| {
            cursor.advance();
            let inner = parse(cursor, "a condition or a value")?;
            close(cursor, &inner)?;
            Ok(inner)
        });
    }
    let at = cursor.place(cursor.position());
    if cursor.at_word("null") {
        cursor.advance();
        return Ok(Node::Null(at));
    }
    if let Some(literal) = literal(cursor) {
        return Ok(Node::Literal(literal));
    }
    let token = cursor.peek();
    match token.kind {
        TokenKind::Quoted => {
            Err(cursor.error("a text stands in single quotes, not in double quotes"))
        }
        TokenKind::Word if cursor.at_alias() => match cursor.alias_value()? {
            None => Ok(Node::Null(at)),
            Some(mut value) => {
                let node = parse(&mut value, "a value")?;
                value.require_end("the end of the value")?;
                Ok(node)
            }
        },
        TokenKind::Word if called(cursor) => function(cursor),
        TokenKind::Word if token.text.starts_with('$') && token.text != "$it" => {
            Err(cursor.unsupported(&format!("'{}' in an expression", excerpt(&token.text))))
        }
        TokenKind::Word => {
            refuse_capital_keyword(cursor)?;
            refuse_typed_literal(cursor)?;
            let steps = path::steps(cursor)?;
            if path::at_lambda(cursor) {
                return lambda::parse(cursor, steps, at);
            }
            Ok(Node::Column(Box::new(path::column_of(cursor, steps)?)))
        }
        _ => Err(cursor.expected(expected)),
    }
}

/// A closing parenthesis after an expression.
pub(super) fn close(cursor: &mut Cursor<'_>, inner: &Node) -> Result<()> {
    if !cursor.at_symbol(')') {
        return Err(unfinished(cursor, inner, "')'"));
    }
    cursor.advance();
    Ok(())
}

/// The error where an expression should have ended: most often what follows is
/// meant as an operator.
pub(super) fn unfinished(cursor: &Cursor<'_>, node: &Node, expected: &str) -> Error {
    let token = cursor.peek();
    let after = match last_operand(node) {
        Node::Column(column) => Some(column.name.text.as_str()),
        Node::Literal(literal) => Some(literal.text.as_str()),
        Node::Null(_) => Some("null"),
        Node::Call { .. } | Node::Filter { .. } => None,
    };
    let is_word = token.kind == TokenKind::Word;
    if token.kind != TokenKind::End
        && let Some(after) = after
    {
        if is_word && let Some(near) = nearest(&token.text, comparisons()) {
            let message = format!("{} is no operator; did you mean '{near}'?", found(token));
            return cursor.error(message);
        }
        if let Some(right) = written_elsewhere(cursor) {
            return cursor.error(format!("{} is no operator; write '{right}'", found(token)));
        }
        if token.kind != TokenKind::Symbol(')') {
            let after = excerpt(after);
            return cursor.expected(&format!("eq, ne, gt, ge, lt or le after '{after}'"));
        }
    }
    if is_word && let Some(near) = nearest(&token.text, ["and", "or"].into_iter()) {
        return cursor.error(format!("{} is no operator; did you mean '{near}'?", found(token)));
    }
    cursor.expected(expected)
}

fn last_operand(node: &Node) -> &Node {
    match node {
        Node::Call { function: Function::And | Function::Or, arguments, .. } => {
            arguments.last().unwrap_or(node)
        }
        other => other,
    }
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

/// A literal other than `null`, if one is next.
pub(super) fn literal(cursor: &mut Cursor<'_>) -> Option<Literal> {
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

/// `True` or `NULL`, which other languages write for what OData has in small letters.
fn refuse_capital_keyword(cursor: &Cursor<'_>) -> Result<()> {
    let word = &cursor.peek().text;
    match ["null", "true", "false"].iter().find(|k| k.eq_ignore_ascii_case(word)) {
        Some(right) => Err(cursor.error(format!("'{word}' is no literal; write '{right}'"))),
        None => Ok(()),
    }
}

/// `duration'P1D'` and its like, and what earlier versions of OData put around
/// literals that now stand bare.
fn refuse_typed_literal(cursor: &Cursor<'_>) -> Result<()> {
    let (word, text) = (cursor.peek(), cursor.peek_second());
    let adjacent = word.position + word.text.chars().count() == text.position;
    if text.kind != TokenKind::Text || !adjacent {
        return Ok(());
    }
    match word.text.as_str() {
        kind @ ("guid" | "datetime" | "datetimeoffset" | "date") => {
            Err(cursor.error(format!("a literal such as {kind}'…' is written without '{kind}'")))
        }
        name if name.contains('.') => {
            Err(cursor.unsupported(&format!("enumeration literal of '{}'", excerpt(name))))
        }
        name => Err(cursor.unsupported(&format!("literal {}'…'", excerpt(name)))),
    }
}

/// `value in (1,2)` of OData 4.01, which Dataverse itself does not have. The list
/// may be an alias whose value is a list or a JSON array.
fn in_list(cursor: &mut Cursor<'_>, start: usize, left: Node) -> Result<Node> {
    let at = cursor.place(start);
    cursor.advance();
    let mut arguments = vec![left];
    if cursor.at_alias() {
        let position = cursor.position();
        match cursor.alias_value()? {
            None => return Err(cursor.error_at(position, "the alias of a list has no value")),
            Some(mut value) => {
                list_items(&mut value, &mut arguments)?;
                value.require_end("the end of the list")?;
            }
        }
    } else {
        list_items(cursor, &mut arguments)?;
    }
    Node::call(Function::In, arguments, at)
}

fn list_items(cursor: &mut Cursor<'_>, items: &mut Vec<Node>) -> Result<()> {
    if cursor.at_symbol('[') {
        let (_, literals) = query_function::array(cursor)?;
        items.extend(literals.into_iter().map(Node::Literal));
        return Ok(());
    }
    cursor.require_symbol('(')?;
    cursor.nested(|cursor| {
        loop {
            items.push(parse(cursor, "a value")?);
            if !cursor.take_symbol(',') {
                break;
            }
        }
        cursor.require_symbol(')')
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
fn function(cursor: &mut Cursor<'_>) -> Result<Node> {
    let name = cursor.peek().text.clone();
    let at = cursor.place(cursor.position());
    if let Some(spelling) = functions::call(&name) {
        let (least, greatest) = spelling.arguments;
        let arguments = cursor.nested(arguments)?;
        if !(least..=greatest).contains(&arguments.len()) {
            let wanted = match (least, greatest) {
                (0, 0) => "no argument".to_owned(),
                (1, 1) => "one argument".to_owned(),
                _ if least == greatest => format!("{least} arguments"),
                _ => format!("{least} or {greatest} arguments"),
            };
            let message = format!("function '{name}' takes {wanted}, not {}", arguments.len());
            return Err(Error::invalid(codes::ODATA, message).at(at));
        }
        return Node::call(spelling.function, arguments, at);
    }
    if let Some(operator) = functions::operator(&name) {
        let filter = query_function::condition(cursor, operator)?;
        return Ok(Node::Filter {
            filter: Box::new(filter),
            what: "a query function",
            at,
            depth: 1,
        });
    }
    Err(unknown_function(cursor))
}

fn arguments(cursor: &mut Cursor<'_>) -> Result<Vec<Node>> {
    cursor.advance();
    cursor.require_symbol('(')?;
    let mut arguments = Vec::new();
    if cursor.take_symbol(')') {
        return Ok(arguments);
    }
    loop {
        let argument = parse(cursor, VALUE)?;
        let more = cursor.take_symbol(',');
        if !more && !cursor.at_symbol(')') {
            return Err(unfinished(cursor, &argument, "',' or ')'"));
        }
        arguments.push(argument);
        if !more {
            break;
        }
    }
    cursor.require_symbol(')')?;
    Ok(arguments)
}

fn unknown_function(cursor: &Cursor<'_>) -> Error {
    let name = &cursor.peek().text;
    if functions::is_refused(name) {
        return cursor.unsupported(&format!("function '{name}'"));
    }
    if name.strip_prefix(NAMESPACE) == Some("Contains") {
        return query_function::contains(cursor);
    }
    let kind = if name.starts_with(NAMESPACE) { "query function" } else { "function" };
    let shown = excerpt(name);
    cursor.error(match functions::nearest_function(name) {
        Some(near) => format!("{kind} '{shown}' does not exist; did you mean '{near}'?"),
        None => format!("{kind} '{shown}' does not exist"),
    })
}
