//! `PARSE(text AS type [USING culture])` and `TRY_PARSE`: a conversion of text
//! whose culture stands for a style of `CONVERT`. The parser has no grammar for
//! the call, so its tokens become those of `TRY_CAST` or `TRY_CONVERT`, and `PARSE`
//! tells of what these could not convert.

use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan};

use super::report;
use crate::error::Result;

/// Cultures by the order in which they write a date.
const CULTURES: &[(&str, &[&str])] = &[
    ("101", &["en-us", "en"]),
    (
        "103",
        &["en-gb", "fr-fr", "es-es", "it-it", "pt-br", "pt-pt", "nl-be", "en-au", "fr", "es", "it"],
    ),
    (
        "104",
        &[
            "de-de", "de-at", "de-ch", "nb-no", "nn-no", "da-dk", "fi-fi", "pl-pl", "cs-cz",
            "ru-ru", "de", "nb", "pl",
        ],
    ),
    ("111", &["ja-jp", "zh-cn", "zh-tw", "ja"]),
    ("120", &["sv-se", "en-ca", "fr-ca", "iv"]),
];

/// Cultures whose numbers have a decimal point and commas between thousands; the
/// others have it the other way round.
const POINT: &[&str] =
    &["en-us", "en", "en-gb", "en-au", "en-ca", "de-ch", "ja-jp", "ja", "zh-cn", "zh-tw", "iv"];

/// Types of numbers, by the words that they start with.
const NUMBERS: &[&str] = &[
    "bigint", "dec", "decimal", "float", "int", "integer", "numeric", "real", "smallint", "tinyint",
];

/// `REPLACE(value, ',', '')`, which leaves a number as all cultures read it.
fn plain_number(value: &[TokenWithSpan], point: bool, span: Span) -> Vec<TokenWithSpan> {
    let replaced = |value: Vec<TokenWithSpan>, from: &str, to: &str| {
        let text = |text: &str| Token::SingleQuotedString(text.to_owned());
        let with = |token| TokenWithSpan { token, span };
        let mut call = vec![with(Token::make_keyword("REPLACE")), with(Token::LParen)];
        call.extend(value);
        let rest = [Token::Comma, text(from), Token::Comma, text(to), Token::RParen];
        call.extend(rest.map(with));
        call
    };
    match point {
        true => replaced(value.to_vec(), ",", ""),
        false => replaced(replaced(value.to_vec(), ".", ""), ",", "."),
    }
}

/// Rewrites all such calls.
pub(super) fn rewrite(tokens: &mut Vec<TokenWithSpan>) -> Result<()> {
    let mut at = 0;
    while at + 1 < tokens.len() {
        let tries = match &tokens[at].token {
            Token::Word(word) if word.quote_style.is_none() => {
                match word.value.to_uppercase().as_str() {
                    "PARSE" => Some(false),
                    "TRY_PARSE" => Some(true),
                    _ => None,
                }
            }
            _ => None,
        };
        if let Some(tries) = tries
            && tokens[at + 1].token == Token::LParen
            && let Some(call) = Call::read(tokens, at + 1)
        {
            let span = tokens[at].span;
            let inside = call.rewritten(tokens)?;
            let name = if call.using.is_some() { "TRY_CONVERT" } else { "TRY_CAST" };
            let with = |token| TokenWithSpan { token, span };
            let mut all = vec![with(Token::make_keyword(name)), with(Token::LParen)];
            all.extend(inside);
            all.push(with(Token::RParen));
            if !tries {
                all = call.told(tokens, all, span);
            }
            tokens.splice(at..=call.end, all);
        }
        at += 1;
    }
    Ok(())
}

/// Where the parts of a call stand.
struct Call {
    open: usize,
    alias: usize,
    using: Option<usize>,
    end: usize,
}

impl Call {
    fn read(tokens: &[TokenWithSpan], open: usize) -> Option<Self> {
        let (mut alias, mut using, mut depth) = (None, None, 0_usize);
        for (at, token) in tokens.iter().enumerate().skip(open) {
            match &token.token {
                Token::LParen => depth += 1,
                Token::RParen if depth == 1 => {
                    return Some(Self { open, alias: alias?, using, end: at });
                }
                Token::RParen => depth -= 1,
                Token::Word(word) if depth == 1 && word.quote_style.is_none() => {
                    if word.value.eq_ignore_ascii_case("as") {
                        // Behind the culture there is no type: no such call.
                        if using.is_some() {
                            return None;
                        }
                        alias = Some(at);
                    } else if word.value.eq_ignore_ascii_case("using") {
                        using = Some(at);
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// The call that tells of a text that could not be converted.
    fn told(
        &self,
        tokens: &[TokenWithSpan],
        tried: Vec<TokenWithSpan>,
        span: Span,
    ) -> Vec<TokenWithSpan> {
        let with = |token| TokenWithSpan { token, span };
        let text = |text: String| with(Token::SingleQuotedString(text));
        let mut call = vec![with(Token::make_word("sql_parsed", None)), with(Token::LParen)];
        call.extend(tried);
        call.push(with(Token::Comma));
        call.extend_from_slice(&tokens[self.open + 1..self.alias]);
        call.push(with(Token::Comma));
        let data_type = &tokens[self.alias + 1..self.using.unwrap_or(self.end)];
        call.push(text(data_type.iter().map(|t| t.token.to_string()).collect()));
        call.push(with(Token::Comma));
        call.push(text(self.culture(tokens).unwrap_or_default()));
        call.push(with(Token::RParen));
        call
    }

    /// The culture that is given as a literal.
    fn culture(&self, tokens: &[TokenWithSpan]) -> Option<String> {
        match &tokens.get(self.using? + 1)?.token {
            Token::SingleQuotedString(text) | Token::NationalStringLiteral(text) => {
                Some(text.clone())
            }
            _ => None,
        }
    }

    /// The tokens between the parentheses.
    fn rewritten(&self, tokens: &[TokenWithSpan]) -> Result<Vec<TokenWithSpan>> {
        let value = &tokens[self.open + 1..self.alias];
        let number = matches!(
            tokens.get(self.alias + 1).map(|t| &t.token),
            Some(Token::Word(word)) if NUMBERS.iter().any(|n| word.value.eq_ignore_ascii_case(n))
        );
        let Some(using) = self.using else {
            let mut inside = match number {
                true => plain_number(value, true, tokens[self.open].span),
                false => value.to_vec(),
            };
            inside.extend_from_slice(&tokens[self.alias..self.end]);
            return Ok(inside);
        };
        let culture = self.culture(tokens).unwrap_or_default();
        let known = CULTURES
            .iter()
            .find(|(_, names)| names.iter().any(|name| name.eq_ignore_ascii_case(&culture)));
        let place = tokens[using].span;
        let Some((style, _)) = known else {
            let message = format!("The culture parameter '{culture}' is not supported (Msg 9818)");
            return Err(report::invalid("22023", message, place.start));
        };
        let with = |token| TokenWithSpan { token, span: place };
        let mut inside = tokens[self.alias + 1..using].to_vec();
        inside.push(with(Token::Comma));
        if number {
            let point = POINT.iter().any(|name| name.eq_ignore_ascii_case(&culture));
            inside.extend(plain_number(value, point, place));
            return Ok(inside);
        }
        inside.extend_from_slice(value);
        inside.push(with(Token::Comma));
        inside.push(with(Token::Number((*style).to_owned(), false)));
        Ok(inside)
    }
}
