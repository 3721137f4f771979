//! From text to the tokens that the parser sees.
//!
//! What SQL Server's tools and people put around a query and that has no
//! meaning here goes: white space, comments, join hints. `GO` lines part the
//! text into batches, `OPTION (…)` is set aside, and what the parser cannot
//! spell is put into words it knows. Positions stay those of the text.

use datafusion::sql::sqlparser::dialect::Dialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{
    Location, Token, TokenWithSpan, Tokenizer, TokenizerError, Word,
};

use super::hints::{self, QueryOption};
use super::report;
use crate::error::{Error, ErrorKind, Result, codes};

/// Operators in one statement. Each may deepen the expression tree by one, and
/// trees are walked with the stack of a small thread.
const MAX_OPERATORS: usize = 2_000;

/// Characters of a name.
const MAX_NAME: usize = 128;

/// How often `GO n` may run a batch.
const MAX_RUNS: usize = 1_000;

/// The longest piece of a text that a message repeats.
const MAX_QUOTED: usize = 40;

/// What stands between two `GO` lines.
pub(super) struct Batch {
    pub tokens: Vec<TokenWithSpan>,
    pub options: Vec<QueryOption>,
    /// How often it runs.
    pub runs: usize,
}

/// The batches of a text.
pub(super) fn batches(text: &str, dialect: &dyn Dialect) -> Result<Vec<Batch>> {
    let tokenized = Tokenizer::new(dialect, text).tokenize_with_location();
    let mut tokens = tokenized.map_err(|e| unreadable(&e, text))?;
    tokens.retain(|t| !is_space(&t.token));
    spell(&mut tokens);
    check_names(&tokens)?;
    let mut batches = Vec::new();
    for (tokens, runs) in at_go_lines(tokens)? {
        let mut tokens = tokens;
        whole_tables(&mut tokens);
        super::compound::apart(&mut tokens);
        end_statements(&mut tokens);
        super::parse_call::rewrite(&mut tokens)?;
        super::fetch::as_limits(&mut tokens);
        super::fetch::in_parentheses(&mut tokens);
        let (tokens, options) = hints::without(tokens);
        check_size(&tokens)?;
        batches.push(Batch { tokens, options, runs });
    }
    Ok(batches)
}

/// What cannot be told apart into tokens: mostly something left open.
fn unreadable(error: &TokenizerError, text: &str) -> Error {
    let message = &error.message;
    let open = message.starts_with("Unterminated") || message.contains("delimiter");
    let message = if message.contains("comment") {
        "Missing end comment mark '*/' (Msg 113)".to_owned()
    } else if open {
        let rest = rest_of(text, error.location);
        let rest = rest.trim_start_matches(['N', 'n', 'E', 'e', '\'', '"', '[']);
        let shown: String = rest.chars().take(MAX_QUOTED).collect();
        format!("Unclosed quotation mark after the character string '{shown}' (Msg 105)")
    } else {
        format!("Incorrect syntax (Msg 102): {message}")
    };
    report::syntax(message, error.location)
}

/// The text from a place on.
fn rest_of(text: &str, place: Location) -> &str {
    let index = |n: u64| usize::try_from(n.saturating_sub(1)).unwrap_or(usize::MAX);
    let line: usize = text.split_inclusive('\n').take(index(place.line)).map(str::len).sum();
    let rest = text.get(line..).unwrap_or_default();
    let column = rest.char_indices().nth(index(place.column)).map_or(rest.len(), |(at, _)| at);
    &rest[column..]
}

/// White space in the widest sense: no-break spaces, byte order marks and
/// zero-width characters come along when text is pasted.
fn is_space(token: &Token) -> bool {
    match token {
        Token::Whitespace(_) => true,
        Token::Char(c) => matches!(c, '\u{feff}' | '\u{200b}'..='\u{200d}' | '\u{2060}'),
        _ => false,
    }
}

/// PostgreSQL's `TABLE name` in the place of a query is `SELECT * FROM name`.
fn whole_tables(tokens: &mut Vec<TokenWithSpan>) {
    let mut at = 0;
    while at + 1 < tokens.len() {
        let before = at.checked_sub(1).map(|before| &tokens[before]);
        let query = match before.map(|before| &before.token) {
            None | Some(Token::SemiColon | Token::LParen) => true,
            _ => ["union", "all", "except", "intersect"].iter().any(|word| is_word(before, word)),
        };
        let named = matches!(tokens[at + 1].token, Token::Word(_));
        if query && named && is_word(tokens.get(at), "table") {
            let span = tokens[at].span;
            let with = |token| TokenWithSpan { token, span };
            let words = ["SELECT", "*", "FROM"].map(|word| match word {
                "*" => with(Token::Mul),
                word => with(Token::make_keyword(word)),
            });
            tokens.splice(at..=at, words);
        }
        at += 1;
    }
}

/// Whether one token stands directly behind another.
pub(super) fn adjacent(before: &TokenWithSpan, after: &TokenWithSpan) -> bool {
    before.span.end == after.span.start
}

/// `!<`, `!>`, `@name` and `FROM .t` in tokens that every parser knows.
fn spell(tokens: &mut Vec<TokenWithSpan>) {
    let mut kept: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    for token in tokens.drain(..) {
        let before = kept.last();
        let joined = before.as_ref().is_some_and(|before| adjacent(before, &token));
        let becomes = match (before.as_ref().map(|b| &b.token), &token.token) {
            (Some(Token::ExclamationMark), Token::Lt) if joined => Some(Token::GtEq),
            (Some(Token::ExclamationMark), Token::Gt) if joined => Some(Token::LtEq),
            (Some(Token::AtSign), Token::AtSign) if joined => Some(Token::AtAt),
            (Some(Token::AtSign), Token::Word(w)) if joined => Some(variable("@", w)),
            (Some(Token::AtAt), Token::Word(w)) if joined => Some(variable("@@", w)),
            (Some(before), Token::Period) if names_follow(before) => continue,
            _ => None,
        };
        // The parser takes a value there, but no name.
        if is_variable(&token.token)
            && ["next", "first"].iter().any(|w| is_word(kept.last(), w))
            && let Token::Word(word) = &token.token
        {
            kept.push(TokenWithSpan {
                token: Token::Placeholder(word.value.clone()),
                span: token.span,
            });
            continue;
        }
        match (kept.last_mut(), becomes) {
            (Some(before), Some(becomes)) => {
                before.token = becomes;
                before.span.end = token.span.end;
            }
            _ => kept.push(token),
        }
    }
    *tokens = kept;
}

fn variable(sign: &str, word: &Word) -> Token {
    let value = format!("{sign}{}", word.value);
    Token::Word(Word { value, quote_style: None, keyword: Keyword::NoKeyword })
}

/// Whether a table's name comes next, which may begin with the dots of the
/// schema and database it leaves out.
fn names_follow(token: &Token) -> bool {
    let words = [Keyword::FROM, Keyword::JOIN, Keyword::APPLY];
    word(token).is_some_and(|w| words.contains(&w.keyword)) || *token == Token::Comma
}

fn check_names(tokens: &[TokenWithSpan]) -> Result<()> {
    for token in tokens {
        if let Token::Word(word) = &token.token
            && word.value.len() > MAX_NAME
            && word.value.chars().count() > MAX_NAME
        {
            let start: String = word.value.chars().take(MAX_QUOTED).collect();
            let message = format!(
                "The identifier that starts with '{start}' is too long. \
                 Maximum length is {MAX_NAME} (Msg 103)"
            );
            return Err(report::invalid("42622", message, token.span.start));
        }
    }
    Ok(())
}

/// The unquoted word of a token.
pub(super) fn word(token: &Token) -> Option<&Word> {
    match token {
        Token::Word(word) if word.quote_style.is_none() => Some(word),
        _ => None,
    }
}

pub(super) fn is_word(token: Option<&TokenWithSpan>, text: &str) -> bool {
    token.and_then(|t| word(&t.token)).is_some_and(|w| w.value.eq_ignore_ascii_case(text))
}

/// `GO` alone on its line, or with a repeat count, ends a batch.
fn at_go_lines(tokens: Vec<TokenWithSpan>) -> Result<Vec<(Vec<TokenWithSpan>, usize)>> {
    let mut batches = Vec::new();
    let mut batch: Vec<TokenWithSpan> = Vec::new();
    let mut last_line = 0;
    let mut at = 0;
    while at < tokens.len() {
        let line = tokens[at].span.start.line;
        let first = last_line < line;
        last_line = tokens[at].span.end.line;
        let (runs, rest) = if first && is_word(tokens.get(at), "go") {
            let rest = tokens[at + 1..].iter().take_while(|t| t.span.start.line == line);
            let rest: Vec<&Token> = rest.map(|t| &t.token).collect();
            let runs = match rest.as_slice() {
                [] | [Token::SemiColon] => Some(1),
                [Token::Number(count, _)] => Some(run_count(count, tokens[at].span.start)?),
                _ => None,
            };
            (runs, rest.len())
        } else {
            (None, 0)
        };
        match runs {
            Some(runs) => {
                batches.push((std::mem::take(&mut batch), runs));
                at += 1 + rest;
            }
            None => {
                batch.push(tokens[at].clone());
                at += 1;
            }
        }
    }
    batches.push((batch, 1));
    Ok(batches)
}

fn run_count(count: &str, location: Location) -> Result<usize> {
    match count.parse() {
        Ok(runs) if runs <= MAX_RUNS => Ok(runs),
        _ => {
            let message =
                format!("GO {count} is not possible: a batch runs {MAX_RUNS} times at most");
            let error = Error::new(ErrorKind::Limit, codes::INVALID_ARGUMENT, message);
            Err(report::at(error.sqlstate("54000"), location))
        }
    }
}

/// Words that T-SQL reserves for the start of a statement, or the end of a block.
/// The parser might take them for an alias of what stands before.
const STARTS: &[&str] = &[
    "begin",
    "break",
    "commit",
    "continue",
    "declare",
    "else",
    "end",
    "exec",
    "execute",
    "goto",
    "if",
    "print",
    "raiserror",
    "return",
    "rollback",
    "set",
    "use",
    "waitfor",
    "while",
];

/// Puts a `;` where a statement ends without one.
fn end_statements(tokens: &mut Vec<TokenWithSpan>) {
    let mut kept: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let (mut depth, mut cases) = (0_usize, 0_usize);
    // `UPDATE … SET` and its like are one statement, refused as a whole.
    let mut writes = false;
    for token in tokens.drain(..) {
        let own = match &token.token {
            Token::LParen => {
                depth += 1;
                false
            }
            Token::RParen => {
                depth = depth.saturating_sub(1);
                false
            }
            Token::Word(w) if w.quote_style.is_none() => {
                let is = |text: &str| w.value.eq_ignore_ascii_case(text);
                let of_case = cases > 0 && (is("else") || is("end"));
                writes |= depth == 0 && ["update", "merge", "delete"].iter().any(|w| is(w));
                if is("case") {
                    cases += 1;
                } else if of_case && is("end") {
                    cases -= 1;
                }
                depth == 0 && !of_case && !writes && STARTS.iter().any(|start| is(start))
            }
            Token::SemiColon => {
                writes = false;
                false
            }
            _ => false,
        };
        let ends = own
            && kept.last().is_some_and(|before| match &before.token {
                Token::SemiColon | Token::Period | Token::Comma | Token::Eq => false,
                other => !["begin", "else", "as", "end", "explain"]
                    .iter()
                    .any(|w| word(other).is_some_and(|b| b.value.eq_ignore_ascii_case(w))),
            });
        if ends && let Some(span) = kept.last().map(|before| before.span) {
            kept.push(TokenWithSpan { token: Token::SemiColon, span });
        }
        kept.push(token);
    }
    *tokens = kept;
}

/// `@name`, but not `@@NAME`.
pub(super) fn is_variable(token: &Token) -> bool {
    word(token).is_some_and(|w| w.value.starts_with('@') && !w.value.starts_with("@@"))
}

/// The index of the parenthesis that closes the one at `open`.
pub(super) fn closing(tokens: &[TokenWithSpan], open: usize) -> Option<usize> {
    if tokens.get(open)?.token != Token::LParen {
        return None;
    }
    let mut depth = 0;
    for (i, token) in tokens.iter().enumerate().skip(open) {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(i);
        }
    }
    None
}

fn check_size(tokens: &[TokenWithSpan]) -> Result<()> {
    let mut operators = 0;
    for token in tokens {
        match &token.token {
            Token::SemiColon => operators = 0,
            Token::Word(word) if deepens(word.keyword) => operators += 1,
            Token::Word(_)
            | Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::NationalStringLiteral(_)
            | Token::Placeholder(_)
            | Token::Comma
            | Token::Period
            | Token::LParen
            | Token::RParen => {}
            _ => operators += 1,
        }
        if operators > MAX_OPERATORS {
            let message = format!(
                "the statement has more than {MAX_OPERATORS} operators; \
                 use IN (…) for long lists of values"
            );
            let error = Error::new(ErrorKind::Limit, codes::INVALID_ARGUMENT, message);
            return Err(report::at(error.sqlstate("54001"), token.span.start));
        }
    }
    Ok(())
}

/// Keywords that add a level to an expression or set operation.
fn deepens(keyword: Keyword) -> bool {
    matches!(
        keyword,
        Keyword::AND
            | Keyword::OR
            | Keyword::XOR
            | Keyword::NOT
            | Keyword::IS
            | Keyword::NOTNULL
            | Keyword::IN
            | Keyword::LIKE
            | Keyword::ILIKE
            | Keyword::RLIKE
            | Keyword::REGEXP
            | Keyword::SIMILAR
            | Keyword::BETWEEN
            | Keyword::COLLATE
            | Keyword::AT
            | Keyword::DIV
            | Keyword::OVERLAPS
            | Keyword::MEMBER
            | Keyword::UNION
            | Keyword::EXCEPT
            | Keyword::MINUS
            | Keyword::INTERSECT
            | Keyword::APPLY
            | Keyword::PIVOT
            | Keyword::UNPIVOT
    )
}
