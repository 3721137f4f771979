//! From tokens to statements, and the parser's complaints in T-SQL's words.
//!
//! Statements need no semicolon between them. Those that write are refused by
//! their first word, whether or not the rest can be parsed.

use datafusion::sql::sqlparser::ast::{self, DataType};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Word};

use super::query::{Grammar, Part};
use super::tokens::{self, Batch};
use super::{Query, report};
use crate::error::{Error, ErrorKind, Result, codes};

/// A statement as parsed, with its first word and place for messages.
pub(super) struct Parsed {
    pub statement: ast::Statement,
    /// Its tokens, if it is a query.
    pub query: Query,
    pub keyword: String,
    pub location: Location,
}

/// Statements that change something, by their first word.
const WRITES: &[&str] = &[
    "ALTER",
    "BACKUP",
    "BULK",
    "CHECKPOINT",
    "CLUSTER",
    "COMMENT",
    "COPY",
    "CREATE",
    "DBCC",
    "DELETE",
    "DENY",
    "DISABLE",
    "DROP",
    "ENABLE",
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

/// Statements that are known and not offered, by the first word, and what they
/// are called.
const REFUSED: &[(&str, &str)] = &[
    ("CALL", "CALL"),
    ("CLOSE", "a cursor (CLOSE)"),
    ("DEALLOCATE", "a cursor (DEALLOCATE)"),
    ("DO", "DO"),
    ("EXEC", "EXEC"),
    ("EXECUTE", "EXECUTE"),
    ("FETCH", "a cursor (FETCH)"),
    ("GOTO", "GOTO"),
    ("LISTEN", "LISTEN"),
    ("OPEN", "a cursor (OPEN)"),
    ("PREPARE", "PREPARE"),
    ("RAISERROR", "RAISERROR"),
    ("READTEXT", "READTEXT"),
    ("REVERT", "REVERT"),
    ("THROW", "THROW"),
    ("UNLISTEN", "UNLISTEN"),
    ("WAITFOR", "WAITFOR"),
];

/// Words a statement may start with, where one follows another without `;`.
const STARTS: &[&str] = &[
    "BEGIN", "BREAK", "COMMIT", "CONTINUE", "DECLARE", "DISCARD", "EXPLAIN", "IF", "PRINT",
    "RESET", "RETURN", "ROLLBACK", "SELECT", "SET", "SHOW", "START", "USE", "VALUES", "WHILE",
    "WITH",
];

/// Reads one batch, statement by statement.
pub(super) struct Reader<'a> {
    pub parser: Parser<'a>,
    batch: &'a Batch,
    grammar: Grammar,
}

impl<'a> Reader<'a> {
    pub fn new(grammar: Grammar, batch: &'a Batch) -> Self {
        let parser =
            Parser::new(grammar.dialect()).with_tokens_with_locations(batch.tokens.clone());
        Self { parser, batch, grammar }
    }

    /// The next word in upper case, if an unquoted word comes next.
    pub fn word(&self) -> Option<String> {
        self.word_after(0)
    }

    /// The word behind the next `n` tokens.
    pub fn word_after(&self, n: usize) -> Option<String> {
        tokens::word(&self.parser.peek_nth_token_ref(n).token).map(|w| w.value.to_uppercase())
    }

    /// Where the next token starts.
    pub fn location(&self) -> Location {
        match self.batch.tokens.get(self.parser.index()) {
            Some(token) => token.span.start,
            None => self.end(),
        }
    }

    /// Where the last token ended.
    fn end(&self) -> Location {
        let before = self.parser.index().checked_sub(1);
        let token = before.and_then(|at| self.batch.tokens.get(at).or(self.batch.tokens.last()));
        token.map_or(Location { line: 1, column: 1 }, |t| t.span.end)
    }

    /// Goes past semicolons; whether there is more.
    pub fn more(&mut self) -> bool {
        while self.parser.consume_token(&Token::SemiColon) {}
        self.parser.peek_token_ref().token != Token::EOF
    }

    /// Goes past a word that was looked at.
    pub fn skip(&mut self) {
        self.parser.advance_token();
    }

    /// An expression.
    pub fn expr(&mut self) -> Result<()> {
        let parsed = self.parser.parse_expr();
        parsed.map(drop).map_err(|e| explain(e, &self.parser, &self.batch.tokens))
    }

    pub fn data_type(&mut self) -> Result<DataType> {
        self.parser.parse_data_type().map_err(|e| explain(e, &self.parser, &self.batch.tokens))
    }

    /// The error for the next token, which does not belong there.
    pub fn unexpected(&self, expected: &str) -> Error {
        incorrect(self.parser.index(), &self.batch.tokens, expected)
    }

    /// One statement that the parser knows; what must not run is refused first.
    pub fn statement(&mut self) -> Result<Parsed> {
        let location = self.location();
        let keyword = self.word();
        let from = self.parser.index();
        if let Some(word) = &keyword {
            check_first_word(word, &self.batch.tokens[from..], location)?;
        }
        let statement = self.parser.parse_statement();
        let statement = statement.map_err(|e| explain(e, &self.parser, &self.batch.tokens))?;
        self.ended()?;
        let query = self.query(from, Part::Whole, location);
        Ok(Parsed { statement, query, keyword: keyword.unwrap_or_default(), location })
    }

    /// The tokens from one index to here as a query.
    pub fn query(&self, from: usize, part: Part, location: Location) -> Query {
        let behind = from + 1..=self.parser.index();
        let option = self.batch.options.iter().find(|option| behind.contains(&option.before));
        Query {
            tokens: self.range(from).into(),
            grammar: self.grammar,
            part,
            location,
            option: option.map(|option| option.setting.clone()),
        }
    }

    fn range(&self, from: usize) -> &'a [TokenWithSpan] {
        let to = self.parser.index().min(self.batch.tokens.len());
        &self.batch.tokens[from.min(to)..to]
    }

    /// A statement ends at `;`, at the end, or where the next one starts.
    pub fn ended(&self) -> Result<()> {
        let next = &self.parser.peek_token_ref().token;
        if is_one_of(next, &["WITH"]) {
            let message = "Incorrect syntax near the keyword 'with'. If this statement is a \
                           common table expression, the previous statement must be terminated \
                           with a semicolon (Msg 319)";
            return Err(report::syntax(message, self.location()));
        }
        let ends = matches!(next, Token::EOF | Token::SemiColon)
            || [STARTS, WRITES, &["ELSE", "END"]].iter().any(|words| is_one_of(next, words))
            || refused(next).is_some();
        if ends { Ok(()) } else { Err(self.unexpected("end of statement")) }
    }

    /// An undeclared variable among the tokens from one index on.
    pub fn undeclared(&self, from: usize, known: impl Fn(&str) -> bool) -> Result<()> {
        for token in self.range(from) {
            let name = match &token.token {
                Token::Placeholder(name) if name.starts_with('@') => name,
                Token::Word(word) if tokens::is_variable(&token.token) => &word.value,
                _ => continue,
            };
            if !known(&name.to_lowercase()) {
                let message = format!("Must declare the scalar variable '{name}' (Msg 137)");
                return Err(report::invalid("42P02", message, token.span.start));
            }
        }
        Ok(())
    }
}

/// What a statement that starts with this token is called, if it is refused.
fn refused(token: &Token) -> Option<&'static str> {
    let word = tokens::word(token)?;
    REFUSED.iter().find(|(first, _)| word.value.eq_ignore_ascii_case(first)).map(|(_, what)| *what)
}

/// The procedure that an `EXEC` names, without its schema: `EXEC @r = dbo.x`.
fn procedure(tokens: &[TokenWithSpan]) -> Option<&str> {
    let skipped = match tokens.get(2).map(|t| &t.token) {
        Some(Token::Eq) => 3,
        _ => 1,
    };
    let parts = tokens.get(skipped..)?.iter().step_by(2);
    let dots = tokens.get(skipped + 1..)?.iter().step_by(2);
    let dots = dots.take_while(|t| t.token == Token::Period).count();
    match &parts.into_iter().nth(dots)?.token {
        Token::Word(word) if !word.value.starts_with('@') => Some(&word.value),
        _ => None,
    }
}

/// Refuses what must not run before its grammar matters.
fn check_first_word(word: &str, tokens: &[TokenWithSpan], location: Location) -> Result<()> {
    if WRITES.contains(&word) {
        return Err(report::read_only(word, location));
    }
    if let Some(what) = tokens.first().and_then(|first| refused(&first.token)) {
        let procedure = procedure(tokens).filter(|_| what.starts_with("EXEC"));
        let named = procedure.map_or_else(|| what.to_owned(), |name| format!("{what} {name}"));
        return Err(report::unsupported(named, location));
    }
    if word == "EXPLAIN" {
        let explained = tokens[1..]
            .iter()
            .find(|t| !is_one_of(&t.token, &["ANALYZE", "VERBOSE"]))
            .and_then(|t| Some((tokens::word(&t.token)?.value.to_uppercase(), t.span.start)));
        if let Some((word, location)) = explained
            && WRITES.contains(&word.as_str())
        {
            return Err(report::read_only(&format!("EXPLAIN {word}"), location));
        }
    }
    Ok(())
}

fn is_one_of(token: &Token, words: &[&str]) -> bool {
    tokens::word(token).is_some_and(|w| words.iter().any(|s| w.value.eq_ignore_ascii_case(s)))
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
    let near = match tokens::word(&found.token) {
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
            other if depth == 0 => match tokens::word(other).map(|w| w.keyword) {
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
    let word = tokens::word(&token.token).filter(|w| w.keyword == Keyword::NoKeyword)?;
    Some((word, crate::catalog::nearest(&word.value, CLAUSES.into_iter())?))
}

/// `SELEC`: the first word that was probably meant.
fn misspelt(found: &TokenWithSpan, expected: &str) -> String {
    match tokens::word(&found.token) {
        Some(word) if expected == "an SQL statement" => {
            report::suggestion(crate::catalog::nearest(&word.value, STARTS.iter().copied()))
        }
        _ => String::new(),
    }
}
