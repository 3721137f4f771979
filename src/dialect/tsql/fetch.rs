//! Numbers of rows as the parser reads them. In `FETCH NEXT (n + 1) ROWS ONLY` it
//! takes a number and nothing else, so any other expression becomes that of a
//! `LIMIT`; behind `TOP` it takes a whole number or an expression in parentheses.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use super::tokens::{closing, is_word};

/// Rewrites each `FETCH` of an expression.
pub(super) fn as_limits(tokens: &mut Vec<TokenWithSpan>) {
    let mut i = 0;
    while i < tokens.len() {
        if let Some(end) = fetched(&tokens[i..]) {
            tokens.drain(i + end..i + end + 2);
            tokens.remove(i + 1);
            tokens[i].token = Token::Word(Word {
                value: "LIMIT".to_owned(),
                quote_style: None,
                keyword: Keyword::LIMIT,
            });
        }
        i += 1;
    }
}

/// `TOP 2.5` as `TOP (2.5)`, and `TOP (SELECT 2)` as `TOP ((SELECT 2))`.
pub(super) fn in_parentheses(tokens: &mut Vec<TokenWithSpan>) {
    let mut i = 0;
    while i < tokens.len() {
        let rows = i + 1;
        let query = ["select", "with"].iter().any(|word| is_word(tokens.get(i + 2), word));
        let end = match tokens.get(rows).map(|t| &t.token) {
            Some(Token::Number(number, _)) if number.contains('.') => Some(rows),
            Some(Token::LParen) if query => closing(tokens, rows),
            _ => None,
        };
        if is_word(tokens.get(i), "top")
            && let Some(end) = end
        {
            let like = |token, span| TokenWithSpan { token, span };
            tokens.insert(end + 1, like(Token::RParen, tokens[end].span));
            tokens.insert(rows, like(Token::LParen, tokens[rows].span));
        }
        i += 1;
    }
}

/// Where `ROWS ONLY` stands after the expression of a `FETCH`.
fn fetched(tokens: &[TokenWithSpan]) -> Option<usize> {
    let starts = is_word(tokens.first(), "fetch")
        && (is_word(tokens.get(1), "next") || is_word(tokens.get(1), "first"));
    let plain = matches!(tokens.get(2)?.token, Token::Number(..) | Token::Placeholder(_));
    if !starts || (plain && is_rows(tokens.get(3))) || is_rows(tokens.get(2)) {
        return None;
    }
    let end = tokens.iter().position(|t| is_rows(Some(t)))?;
    is_word(tokens.get(end + 1), "only").then_some(end)
}

fn is_rows(token: Option<&TokenWithSpan>) -> bool {
    is_word(token, "row") || is_word(token, "rows")
}
