//! From text to the tokens that the parser sees.
//!
//! What SQL Server's tools and people put around a query and that has no
//! meaning here goes: white space, comments, `OPTION (…)`, join hints. A `GO`
//! line becomes the end of a statement. Positions stay those of the text.

use datafusion::sql::sqlparser::ast::{Expr, Ident, Setting, Value};
use datafusion::sql::sqlparser::dialect::Dialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, Word};

use super::report;
use crate::error::{Error, ErrorKind, Result, codes};

/// Operators in one statement. Each may deepen the expression tree by one, and
/// trees are walked with the stack of a small thread.
const MAX_OPERATORS: usize = 2_000;

/// `MAXRECURSION` of a statement, and where it stands.
pub(super) type RecursionLimit = (Location, Setting);

/// The tokens of a script, and what its `OPTION` clauses say that has a meaning.
pub(super) fn tokens(
    text: &str,
    dialect: &dyn Dialect,
) -> Result<(Vec<TokenWithSpan>, Vec<RecursionLimit>)> {
    let mut tokens = Tokenizer::new(dialect, text).tokenize_with_location().map_err(|e| {
        let message = if e.message.starts_with("Unterminated") {
            format!("Unclosed quotation mark or comment (Msg 105): {}", e.message)
        } else {
            format!("Incorrect syntax (Msg 102): {}", e.message)
        };
        report::syntax(message, e.location)
    })?;
    tokens.retain(|t| !matches!(t.token, Token::Whitespace(_)));
    end_batches(&mut tokens)?;
    let limits = drop_hints(&mut tokens);
    check_size(&tokens)?;
    Ok((tokens, limits))
}

/// The unquoted word of a token.
pub(super) fn word(token: &Token) -> Option<&Word> {
    match token {
        Token::Word(word) if word.quote_style.is_none() => Some(word),
        _ => None,
    }
}

fn is_word(token: Option<&TokenWithSpan>, text: &str) -> bool {
    token.and_then(|t| word(&t.token)).is_some_and(|w| w.value.eq_ignore_ascii_case(text))
}

/// `GO` alone on its line, or with a repeat count, separates batches.
fn end_batches(tokens: &mut Vec<TokenWithSpan>) -> Result<()> {
    let mut i = 0;
    while i < tokens.len() {
        let line = tokens[i].span.start.line;
        let first = i == 0 || tokens[i - 1].span.end.line < line;
        if first && is_word(tokens.get(i), "go") {
            let same_line =
                tokens[i + 1..].iter().take_while(|t| t.span.start.line == line).count();
            match (same_line, tokens.get(i + 1).map(|t| &t.token)) {
                (0, _) => tokens[i].token = Token::SemiColon,
                (1, Some(Token::Number(count, _))) => {
                    if count != "1" {
                        let what = format!("GO {count}, running a batch several times,");
                        return Err(report::unsupported(what, tokens[i].span.start));
                    }
                    tokens[i].token = Token::SemiColon;
                    tokens.remove(i + 1);
                }
                _ => {}
            }
        }
        i += 1;
    }
    Ok(())
}

/// Drops `OPTION (…)` and the algorithm in `INNER HASH JOIN`: both tell SQL
/// Server how to run the query, not what it means; all but `MAXRECURSION`.
fn drop_hints(tokens: &mut Vec<TokenWithSpan>) -> Vec<RecursionLimit> {
    let mut limits = Vec::new();
    let mut kept = Vec::with_capacity(tokens.len());
    let mut i = 0;
    while i < tokens.len() {
        if is_word(tokens.get(i), "option")
            && let Some(end) = closing(tokens, i + 1)
        {
            limits.extend(recursion_limit(&tokens[i..end]));
            i = end + 1;
            continue;
        }
        let algorithm = ["hash", "loop", "merge", "remote"];
        let join_hint = algorithm.iter().any(|a| is_word(tokens.get(i), a))
            && is_word(tokens.get(i + 1), "join")
            && ["inner", "left", "right", "full", "outer"]
                .iter()
                .any(|kind| is_word(kept.last(), kind));
        if !join_hint {
            kept.push(tokens[i].clone());
        }
        i += 1;
    }
    *tokens = kept;
    limits
}

/// `MAXRECURSION n` among the hints of a query.
fn recursion_limit(option: &[TokenWithSpan]) -> Option<RecursionLimit> {
    let at = option.iter().position(|t| is_word(Some(t), "maxrecursion"))?;
    let value = Expr::value(match &option.get(at + 1)?.token {
        Token::Number(number, _) => Value::Number(number.clone(), false),
        _ => return None,
    });
    let key = Ident::with_span(option[at].span, "maxrecursion");
    Some((option[0].span.start, Setting { key, value }))
}

/// The index of the parenthesis that closes the one at `open`.
fn closing(tokens: &[TokenWithSpan], open: usize) -> Option<usize> {
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
