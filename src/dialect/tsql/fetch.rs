//! `FETCH NEXT (n + 1) ROWS ONLY`: the parser takes a number there and nothing
//! else, so any other expression becomes that of a `LIMIT`.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use super::tokens::is_word;

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
