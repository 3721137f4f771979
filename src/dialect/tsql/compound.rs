//! `SELECT @a += x`: the parser knows no such assignment in a select list.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::tokens::{adjacent, is_variable, is_word, word};

/// `SELECT @a += x` as `SELECT @a = @a + (x)`. In `SET` it is read with the
/// assignment.
pub(super) fn apart(tokens: &mut Vec<TokenWithSpan>) {
    let mut at = 2;
    while at < tokens.len() {
        let found = tokens[at].token == Token::Eq
            && is_arithmetic(&tokens[at - 1].token)
            && adjacent(&tokens[at - 1], &tokens[at])
            && is_variable(&tokens[at - 2].token)
            && at >= 3
            && (is_word(tokens.get(at - 3), "select") || tokens[at - 3].token == Token::Comma);
        if found {
            let end = item_end(tokens, at + 1);
            let like =
                |token: Token, place: &TokenWithSpan| TokenWithSpan { token, span: place.span };
            let close = like(Token::RParen, &tokens[end - 1]);
            let (variable, operator) = (tokens[at - 2].clone(), tokens[at - 1].clone());
            let open = like(Token::LParen, &tokens[at]);
            let equals = tokens[at].clone();
            tokens.insert(end, close);
            tokens.splice(at - 1..=at, [equals, variable, operator, open]);
        }
        at += 1;
    }
}

/// Where an item of a select list that begins at `from` ends.
fn item_end(tokens: &[TokenWithSpan], from: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(from) {
        match &token.token {
            Token::LParen => depth += 1,
            Token::RParen if depth == 0 => return at,
            Token::RParen => depth -= 1,
            Token::Comma | Token::SemiColon if depth == 0 => return at,
            other if depth == 0 => match word(other).map(|w| w.keyword) {
                Some(
                    Keyword::FROM
                    | Keyword::WHERE
                    | Keyword::GROUP
                    | Keyword::ORDER
                    | Keyword::UNION
                    | Keyword::SELECT
                    | Keyword::SET
                    | Keyword::DECLARE
                    | Keyword::PRINT
                    | Keyword::IF
                    | Keyword::WHILE,
                ) if at > from => return at,
                _ => {}
            },
            _ => {}
        }
    }
    tokens.len()
}

/// The operators that may stand before `=` in an assignment.
pub(super) fn is_arithmetic(token: &Token) -> bool {
    matches!(
        token,
        Token::Plus
            | Token::Minus
            | Token::Mul
            | Token::Div
            | Token::Mod
            | Token::Ampersand
            | Token::Pipe
            | Token::Caret
    )
}
