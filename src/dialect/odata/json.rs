//! JSON arrays, as query functions and parameter aliases have them:
//! `["5","2000"]` or `['a','b']`. A text with an apostrophe needs double quotes.

use super::lexer::{Lexer, Token, TokenKind, excerpt, is_number};
use crate::error::{Error, Result};

/// Reads an array after its opening bracket into tokens: the bracket, values
/// with commas between, the closing bracket.
pub(super) fn array(lexer: &mut Lexer<'_>, open: Token, tokens: &mut Vec<Token>) -> Result<()> {
    tokens.push(open);
    if lexer.peek_char() == Some(']') {
        tokens.extend(lexer.symbol());
        return Ok(());
    }
    loop {
        tokens.push(value(lexer)?);
        let next = lexer.peek_char();
        match next {
            Some(',' | ']') => tokens.extend(lexer.symbol()),
            Some(_) => {
                let message = "Invalid JSON. A comma character ',' was expected in scope 'Array'. \
                               Every two elements in an array and properties of an object must be \
                               separated by commas.";
                return Err(lexer.error(lexer.position(), message.into()));
            }
            None => return Err(unclosed(lexer)),
        }
        if next == Some(']') {
            return Ok(());
        }
    }
}

fn value(lexer: &mut Lexer<'_>) -> Result<Token> {
    let Some(first) = lexer.peek_char() else { return Err(unclosed(lexer)) };
    let position = lexer.position();
    if matches!(first, '\'' | '"') {
        return Ok(Token { kind: TokenKind::Quoted, text: lexer.json_string(first)?, position });
    }
    lexer.take_while(|c| !c.is_whitespace() && !matches!(c, ',' | ']' | '[' | '\'' | '"'));
    let text = lexer.since(position);
    let kind = match text.as_str() {
        "true" | "false" => TokenKind::Word,
        number if is_number(number) => TokenKind::Number,
        "" | "null" => {
            return Err(lexer.error(position, "expected a value in quotes".into()));
        }
        other => {
            let message = format!("'{}' is not a JSON value; write it in quotes", excerpt(other));
            return Err(lexer.error(position, message));
        }
    };
    Ok(Token { kind, text, position })
}

fn unclosed(lexer: &Lexer<'_>) -> Error {
    lexer.error(lexer.position(), "expected ']' after the values, found the end".into())
}

#[cfg(test)]
mod tests {
    use crate::dialect::odata::lexer::tokens;

    fn texts(text: &str) -> Vec<String> {
        tokens("$filter", text).expect(text).into_iter().map(|token| token.text).collect()
    }

    #[test]
    fn values_in_either_kind_of_quotes() {
        assert_eq!(
            texts(r#"[ "it's" , 'say "no"', 5,true,'a\\b\'c']"#),
            ["[", "it's", ",", "say \"no\"", ",", "5", ",", "true", ",", "a\\b'c", "]", ""]
        );
        assert_eq!(texts("[]"), ["[", "]", ""]);
    }

    #[test]
    fn an_apostrophe_needs_double_quotes() {
        for (text, position) in [("['O'Brien','x']", 4), ("['O''Brien']", 4), ("['1' '2']", 5)] {
            let error = tokens("$filter", text).expect_err(text).to_string();
            let expected = format!("$filter position {position}: Invalid JSON. A comma character");
            assert!(error.starts_with(&expected), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_no_array_of_values() {
        for (text, expected) in [
            ("[a]", "$filter position 1: 'a' is not a JSON value; write it in quotes"),
            ("[null]", "$filter position 1: expected a value in quotes"),
            ("['a',]", "$filter position 5: expected a value in quotes"),
            ("[['a']]", "$filter position 1: expected a value in quotes"),
            ("['a'", "$filter position 4: expected ']' after the values, found the end"),
            ("[", "$filter position 1: expected ']' after the values, found the end"),
            ("[{}]", "$filter position 1: '{}' is not a JSON value; write it in quotes"),
        ] {
            assert_eq!(tokens("$filter", text).expect_err(text).to_string(), expected);
        }
    }
}
