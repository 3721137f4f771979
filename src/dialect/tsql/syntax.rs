//! From tokens to statements, and the parser's complaints in T-SQL's words.
//!
//! T-SQL's grammar is tried first; a text that it refuses may still be
//! PostgreSQL's. Statements need no semicolon between them. Those that write
//! are refused by their first word, whether or not the rest can be parsed.

use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::dialect::{Dialect, PostgreSqlDialect};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Word};

use super::grammar::TSql;
use super::{report, script};
use crate::error::{Error, ErrorKind, Result, codes};

/// A statement as parsed, with its first word and place for messages.
pub(super) struct Parsed {
    pub statement: ast::Statement,
    pub keyword: String,
    pub location: Location,
}

/// Statements that change something, by their first word.
const WRITES: &[&str] = &[
    "ALTER",
    "BACKUP",
    "BULK",
    "CALL",
    "CHECKPOINT",
    "CLUSTER",
    "COMMENT",
    "COPY",
    "CREATE",
    "DBCC",
    "DELETE",
    "DENY",
    "DISABLE",
    "DO",
    "DROP",
    "ENABLE",
    "EXEC",
    "EXECUTE",
    "GRANT",
    "IMPORT",
    "INSERT",
    "KILL",
    "LOCK",
    "MERGE",
    "NOTIFY",
    "REASSIGN",
    "REFRESH",
    "REINDEX",
    "RENAME",
    "REPLACE",
    "RESTORE",
    "REVOKE",
    "SHUTDOWN",
    "TRUNCATE",
    "UPDATE",
    "UPDATETEXT",
    "UPSERT",
    "VACUUM",
    "WRITETEXT",
];

/// Control of flow and variables, by the first word.
const PROCEDURAL: &[&str] = &[
    "BREAK",
    "CLOSE",
    "CONTINUE",
    "DEALLOCATE",
    "DECLARE",
    "FETCH",
    "GOTO",
    "IF",
    "LISTEN",
    "OPEN",
    "PREPARE",
    "PRINT",
    "RAISERROR",
    "RETURN",
    "THROW",
    "UNLISTEN",
    "WAITFOR",
    "WHILE",
];

/// Words a statement may start with, where one follows another without `;`.
const STARTS: &[&str] = &[
    "BEGIN", "COMMIT", "DISCARD", "EXPLAIN", "RESET", "ROLLBACK", "SELECT", "SET", "SHOW", "START",
    "USE", "VALUES", "WITH",
];

/// Parses a whole script.
pub(super) fn parse(text: &str) -> Result<Vec<Parsed>> {
    match parse_as(text, &TSql) {
        Err(error) if error.sqlstate == Some("42601") => {
            parse_as(text, &PostgreSqlDialect {}).map_err(|_| error)
        }
        parsed => parsed,
    }
}

fn parse_as(text: &str, dialect: &dyn Dialect) -> Result<Vec<Parsed>> {
    let (tokens, limits) = script::tokens(text, dialect)?;
    let mut parser = Parser::new(dialect).with_tokens_with_locations(tokens.clone());
    let mut statements = Vec::new();
    loop {
        while parser.consume_token(&Token::SemiColon) {}
        let first = parser.peek_token();
        if first.token == Token::EOF {
            return Ok(statements);
        }
        let keyword = script::word(&first.token).map(|w| w.value.to_uppercase());
        let location = first.span.start;
        if let Some(word) = &keyword {
            check_first_word(word, &tokens[parser.index()..], location)?;
        }
        let mut statement = parser.parse_statement().map_err(|e| explain(e, &parser, &tokens))?;
        let end = parser.peek_token_ref().span.start;
        let within = |at: &Location| *at > location && (end.line == 0 || *at < end);
        if let ast::Statement::Query(query) = &mut statement
            && let Some((_, limit)) = limits.iter().find(|(at, _)| within(at))
        {
            query.settings = Some(vec![limit.clone()]);
        }
        statements.push(Parsed { statement, keyword: keyword.unwrap_or_default(), location });
        check_end(&parser, &tokens)?;
    }
}

/// Refuses what must not run before its grammar matters.
fn check_first_word(word: &str, tokens: &[TokenWithSpan], location: Location) -> Result<()> {
    if WRITES.contains(&word) {
        return Err(report::read_only(word, location));
    }
    if PROCEDURAL.contains(&word) {
        return Err(report::unsupported(word, location));
    }
    let block = [STARTS, WRITES, PROCEDURAL, &["TRY"]];
    if word == "BEGIN"
        && let Some(next) = tokens.get(1)
        && block.iter().any(|words| is_one_of(&next.token, words))
    {
        return Err(report::unsupported("a block of statements (BEGIN … END)", location));
    }
    if word == "EXPLAIN" {
        let explained = tokens[1..]
            .iter()
            .find(|t| !is_one_of(&t.token, &["ANALYZE", "VERBOSE"]))
            .and_then(|t| Some((script::word(&t.token)?.value.to_uppercase(), t.span.start)));
        if let Some((word, location)) = explained
            && (WRITES.contains(&word.as_str()) || PROCEDURAL.contains(&word.as_str()))
        {
            return Err(report::read_only(&format!("EXPLAIN {word}"), location));
        }
    }
    Ok(())
}

/// A statement ends at `;`, at the end, or where the next one starts.
fn check_end(parser: &Parser, tokens: &[TokenWithSpan]) -> Result<()> {
    let next = parser.peek_token_ref();
    let ends = matches!(next.token, Token::EOF | Token::SemiColon)
        || [STARTS, WRITES, PROCEDURAL].iter().any(|words| is_one_of(&next.token, words));
    if ends { Ok(()) } else { Err(incorrect(parser.index(), tokens, "end of statement")) }
}

fn is_one_of(token: &Token, words: &[&str]) -> bool {
    script::word(token).is_some_and(|w| words.iter().any(|s| w.value.eq_ignore_ascii_case(s)))
}

/// The parser's error as a T-SQL one, at the token it did not expect.
fn explain(error: ParserError, parser: &Parser, tokens: &[TokenWithSpan]) -> Error {
    let message = match error {
        ParserError::RecursionLimitExceeded => {
            let message = "the statement is nested too deeply";
            let error = Error::new(ErrorKind::Limit, codes::INVALID_ARGUMENT, message);
            return report::at(error.sqlstate("54001"), parser.peek_token_ref().span.start);
        }
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message,
    };
    let (message, location) = split_location(&message);
    let location = location.unwrap_or_else(|| parser.peek_token_ref().span.start);
    let parts = message.strip_prefix("Expected").and_then(|rest| rest.split_once(", found: "));
    let Some((expected, found)) = parts else {
        return report::syntax(format!("Incorrect syntax (Msg 102): {message}"), location);
    };
    let expected = expected.trim_start_matches([':', ' ']);
    let is_found = |i: usize| tokens.get(i).is_some_and(|t| t.token.to_string() == found);
    let mut index = tokens.iter().position(|t| t.span.start == location).unwrap_or(tokens.len());
    // Some of the parser's errors have the place of the token after.
    if !is_found(index) && index > 0 && is_found(index - 1) {
        index -= 1;
    }
    incorrect(index, tokens, expected)
}

/// `… at Line: 1, Column: 5` taken off a message.
fn split_location(message: &str) -> (&str, Option<Location>) {
    let Some((text, place)) = message.rsplit_once(" at Line: ") else {
        return (message, None);
    };
    let location = place.split_once(", Column: ").and_then(|(line, column)| {
        Some(Location { line: line.parse().ok()?, column: column.parse().ok()? })
    });
    (text, location)
}

/// The error for a token that does not belong there.
fn incorrect(index: usize, tokens: &[TokenWithSpan], expected: &str) -> Error {
    if let Some((word, meant)) = index.checked_sub(1).and_then(|i| misspelt_clause(tokens.get(i)?))
    {
        let message = format!(
            "Incorrect syntax near '{}' (Msg 102){}",
            word.value,
            report::suggestion(Some(meant))
        );
        return report::syntax(message, tokens[index - 1].span.start);
    }
    if let Some(missing) = missing_comma(index, tokens) {
        let word = &tokens[missing];
        let text = &word.token;
        let message = format!(
            "Incorrect syntax near '{text}' (Msg 102); is a comma missing before '{text}'?"
        );
        return report::syntax(message, word.span.start);
    }
    let Some(found) = tokens.get(index) else {
        let end = tokens.last().map(|t| t.span.end).unwrap_or(Location { line: 1, column: 1 });
        let message =
            format!("Incorrect syntax at the end of the text (Msg 102): expected {expected}");
        return report::syntax(message, end);
    };
    let near = match script::word(&found.token) {
        Some(word) if word.keyword != Keyword::NoKeyword => {
            format!("the keyword '{}' (Msg 156)", word.value)
        }
        _ => format!("'{}' (Msg 102)", found.token),
    };
    let lacks_by = is_one_of(&found.token, &["GROUP", "ORDER"])
        && !tokens.get(index + 1).is_some_and(|t| is_one_of(&t.token, &["BY"]));
    let expected = if lacks_by { "BY after it" } else { expected };
    let message =
        format!("Incorrect syntax near {near}: expected {expected}{}", misspelt(found, expected));
    report::syntax(message, found.span.start)
}

/// The name in front of which a comma seems to be missing: inside a list, a
/// name that follows another one and starts an item (`a, b count(*)`).
fn missing_comma(index: usize, tokens: &[TokenWithSpan]) -> Option<usize> {
    let name = match tokens.get(index)?.token {
        Token::LParen => index.checked_sub(1)?,
        _ => index,
    };
    let before = &tokens.get(name.checked_sub(1)?)?.token;
    let follows = matches!(before, Token::RParen | Token::Number(..)) || is_name(before);
    if !follows || !is_name(&tokens[name].token) {
        return None;
    }
    let mut depth = 0;
    for token in tokens[..name].iter().rev() {
        match &token.token {
            Token::RParen => depth += 1,
            Token::LParen if depth == 0 => return None,
            Token::LParen => depth -= 1,
            Token::SemiColon => return None,
            other if depth == 0 => match script::word(other).map(|w| w.keyword) {
                Some(Keyword::SELECT | Keyword::BY) => return Some(name),
                Some(Keyword::FROM | Keyword::WHERE | Keyword::HAVING | Keyword::ON) => {
                    return None;
                }
                _ => {}
            },
            _ => {}
        }
    }
    None
}

/// A word that names something: quoted, or none of the clause words.
fn is_name(token: &Token) -> bool {
    let Token::Word(Word { quote_style, keyword, .. }) = token else { return false };
    quote_style.is_some()
        || !matches!(
            keyword,
            Keyword::SELECT
                | Keyword::DISTINCT
                | Keyword::ALL
                | Keyword::TOP
                | Keyword::FROM
                | Keyword::WHERE
                | Keyword::GROUP
                | Keyword::ORDER
                | Keyword::BY
                | Keyword::HAVING
                | Keyword::UNION
                | Keyword::AS
                | Keyword::AND
                | Keyword::OR
                | Keyword::NOT
                | Keyword::IN
                | Keyword::IS
                | Keyword::LIKE
                | Keyword::BETWEEN
                | Keyword::CASE
                | Keyword::WHEN
                | Keyword::THEN
                | Keyword::ELSE
                | Keyword::END
                | Keyword::DESC
                | Keyword::ASC
                | Keyword::LIMIT
                | Keyword::OFFSET
                | Keyword::FETCH
                | Keyword::ON
                | Keyword::JOIN
        )
}

/// A word that was taken for an alias and is one letter away from a clause.
fn misspelt_clause(token: &TokenWithSpan) -> Option<(&Word, &'static str)> {
    const CLAUSES: [&str; 8] =
        ["FROM", "WHERE", "GROUP", "ORDER", "HAVING", "JOIN", "UNION", "INNER"];
    let word = script::word(&token.token).filter(|w| w.keyword == Keyword::NoKeyword)?;
    Some((word, crate::catalog::nearest(&word.value, CLAUSES.into_iter())?))
}

/// `SELEC`: the first word that was probably meant.
fn misspelt(found: &TokenWithSpan, expected: &str) -> String {
    match script::word(&found.token) {
        Some(word) if expected == "an SQL statement" => {
            report::suggestion(crate::catalog::nearest(&word.value, STARTS.iter().copied()))
        }
        _ => String::new(),
    }
}
