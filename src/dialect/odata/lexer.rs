//! Tokens of one query option, each with its character position.
//!
//! One lexer serves all options, so a literal or a name looks alike everywhere.
//! Shapes are judged here (what could be a GUID, a date, a number), values are
//! not: the column a literal is compared with decides what it means.

use super::json;
use crate::error::{Error, ErrorKind, Place, Result, codes};

/// The longest option that is read, in characters.
pub const OPTION_LENGTH_MAX: usize = 1_048_576;

/// How much of an option an error message repeats, in characters.
const EXCERPT_LENGTH_MAX: usize = 120;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A name, keyword or operator word; also `$count`, `@p1` and names with dots.
    Word,
    /// `'…'`; the text is the content, doubled quotes folded.
    Text,
    /// A text in a JSON array, in either kind of quotes, or `"…"` outside of one;
    /// the text is the content.
    Quoted,
    Number,
    Guid,
    /// A date, or a date and time.
    DateTime,
    Symbol(char),
    End,
}

/// A piece of an option's text.
#[derive(Clone, Debug)]
pub struct Token {
    pub kind: TokenKind,
    pub text: String,
    /// Characters before it, from 0.
    pub position: usize,
}

/// All tokens of an option, the last one [`TokenKind::End`].
pub(super) fn tokens(option: &str, text: &str) -> Result<Vec<Token>> {
    if text.chars().nth(OPTION_LENGTH_MAX).is_some() {
        let message = format!("longer than {OPTION_LENGTH_MAX} characters");
        return Err(Error::new(ErrorKind::Limit, codes::ODATA, message).at(place(option, 0)));
    }
    let mut lexer = Lexer { option, text, chars: text.chars().collect(), next: 0 };
    let mut tokens = Vec::new();
    loop {
        let token = lexer.token()?;
        if token.kind == TokenKind::Symbol('[') {
            json::array(&mut lexer, token, &mut tokens)?;
            continue;
        }
        let end = token.kind == TokenKind::End;
        tokens.push(token);
        if end {
            return Ok(tokens);
        }
    }
}

/// A character of an option.
pub(super) fn place(option: &str, position: usize) -> Place {
    Place::Option { name: option.to_owned(), position }
}

pub(super) struct Lexer<'a> {
    option: &'a str,
    text: &'a str,
    chars: Vec<char>,
    next: usize,
}

impl Lexer<'_> {
    fn token(&mut self) -> Result<Token> {
        self.take_while(char::is_whitespace);
        let position = self.next;
        let Some(&first) = self.chars.get(position) else {
            return Ok(Token { kind: TokenKind::End, text: String::new(), position });
        };
        let (kind, text) = match first {
            '\'' => (TokenKind::Text, self.text_literal()?),
            '"' => (TokenKind::Quoted, self.json_string('"')?),
            _ if self.guid_ahead() => {
                self.next += GUID_LENGTH;
                (TokenKind::Guid, self.since(position))
            }
            '0'..='9' => self.number_or_time()?,
            '-' if self.chars.get(position + 1).is_some_and(char::is_ascii_digit) => {
                self.number_or_time()?
            }
            '-' if self.word_ahead(position + 1, "INF") => {
                self.next += "-INF".len();
                (TokenKind::Number, self.since(position))
            }
            _ if starts_word(first) => {
                self.next += 1;
                self.take_while(in_word);
                let word = self.since(position);
                let kind = match word.as_str() {
                    "INF" | "NaN" => TokenKind::Number,
                    _ => TokenKind::Word,
                };
                (kind, word)
            }
            _ => {
                self.next += 1;
                (TokenKind::Symbol(first), first.to_string())
            }
        };
        Ok(Token { kind, text, position })
    }

    /// `'…'` with `''` for a quote.
    fn text_literal(&mut self) -> Result<String> {
        let start = self.next;
        let mut content = String::new();
        self.next += 1;
        while let Some(&c) = self.chars.get(self.next) {
            self.next += 1;
            if c != '\'' {
                content.push(c);
            } else if self.chars.get(self.next) == Some(&'\'') {
                content.push('\'');
                self.next += 1;
            } else {
                return Ok(content);
            }
        }
        Err(self.unterminated(start))
    }

    /// A text between quotes with the escapes of JSON.
    pub fn json_string(&mut self, quote: char) -> Result<String> {
        let start = self.next;
        self.next += 1;
        let mut escaped = false;
        // What stands between the quotes, as JSON would have it between its own.
        let mut content = String::from("\"");
        while let Some(&c) = self.chars.get(self.next) {
            self.next += 1;
            match c {
                '\'' if escaped && quote == '\'' => {
                    content.pop();
                    content.push(c);
                    escaped = false;
                }
                _ if escaped => {
                    content.push(c);
                    escaped = false;
                }
                '"' if quote != '"' => content.push_str("\\\""),
                _ if c == quote => {
                    content.push('"');
                    return serde_json::from_str(&content).map_err(|_| {
                        let text = excerpt(&self.since(start));
                        self.error(start, format!("{text} is not a JSON string"))
                    });
                }
                _ => {
                    content.push(c);
                    escaped = c == '\\';
                }
            }
        }
        Err(self.unterminated(start))
    }

    /// A literal that begins with a digit or a minus sign.
    fn number_or_time(&mut self) -> Result<(TokenKind, String)> {
        let start = self.next;
        self.take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '+' | '-' | '_'));
        let text = self.since(start);
        if is_number(&text) {
            return Ok((TokenKind::Number, text));
        }
        if is_date_time(&text) {
            return Ok((TokenKind::DateTime, text));
        }
        // The rest of `…+02:00` after an unescaped `+`, which a URL means as a space.
        let hint = if shaped(&text, "dd:dd") { "; a '+' in a URL is written %2B" } else { "" };
        let text = excerpt(&text);
        let message = format!("'{text}' is not a number, a GUID, a date or a date and time{hint}");
        Err(self.error(start, message))
    }

    /// Whether a bare GUID starts here; it may begin with a letter, like a name.
    fn guid_ahead(&self) -> bool {
        let Some(ahead) = self.chars.get(self.next..self.next + GUID_LENGTH) else { return false };
        let shaped = ahead.iter().enumerate().all(|(i, c)| match i {
            8 | 13 | 18 | 23 => *c == '-',
            _ => c.is_ascii_hexdigit(),
        });
        let after = self.chars.get(self.next + GUID_LENGTH);
        shaped && !after.is_some_and(|c| in_word(*c) || *c == '-')
    }

    /// Whether a word stands here by itself.
    fn word_ahead(&self, at: usize, word: &str) -> bool {
        let end = at + word.chars().count();
        self.chars.get(at..end).is_some_and(|ahead| ahead.iter().copied().eq(word.chars()))
            && !self.chars.get(end).is_some_and(|c| in_word(*c))
    }

    /// The next character that is no blank, which is not taken.
    pub fn peek_char(&mut self) -> Option<char> {
        self.take_while(char::is_whitespace);
        self.chars.get(self.next).copied()
    }

    /// Where the next character stands.
    pub fn position(&self) -> usize {
        self.next
    }

    /// Takes one character as a symbol.
    pub fn symbol(&mut self) -> Option<Token> {
        let position = self.next;
        let symbol = *self.chars.get(position)?;
        self.next += 1;
        Some(Token { kind: TokenKind::Symbol(symbol), text: symbol.to_string(), position })
    }

    pub fn take_while(&mut self, keep: impl Fn(char) -> bool) {
        while self.chars.get(self.next).is_some_and(|c| keep(*c)) {
            self.next += 1;
        }
    }

    pub fn since(&self, start: usize) -> String {
        self.chars[start..self.next].iter().collect()
    }

    /// As the OData library words it: the position is that of the end. A quote
    /// right after a word opens a literal of a type, such as `duration'…'`.
    fn unterminated(&self, start: usize) -> Error {
        let before = start.checked_sub(1).and_then(|i| self.chars.get(i));
        let what = if before.is_some_and(|c| in_word(*c)) { "literal" } else { "string literal" };
        let (end, text) = (self.chars.len(), excerpt(self.text));
        self.error(start, format!("There is an unterminated {what} at position {end} in '{text}'."))
    }

    pub fn error(&self, position: usize, message: String) -> Error {
        Error::invalid(codes::ODATA, message).at(place(self.option, position))
    }
}

/// The beginning of a text, short enough for a message.
pub(super) fn excerpt(text: &str) -> String {
    match text.char_indices().nth(EXCERPT_LENGTH_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

const GUID_LENGTH: usize = 36;

fn starts_word(c: char) -> bool {
    c.is_alphabetic() || matches!(c, '_' | '$' | '@')
}

fn in_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.')
}

/// `-12`, `1.5`, `2e-3`.
pub(super) fn is_number(text: &str) -> bool {
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let exponent_fits = exponent.is_none_or(|e| digits(e.strip_prefix(['+', '-']).unwrap_or(e)));
    exponent_fits
        && match mantissa.split_once('.') {
            Some((whole, fraction)) => digits(whole) && digits(fraction),
            None => digits(mantissa),
        }
}

/// `2024-05-01`, optionally with `T10:00`, seconds, a fraction, and `Z` or an offset.
fn is_date_time(text: &str) -> bool {
    if !text.is_ascii() || text.len() < 10 || !shaped(&text[..10], "dddd-dd-dd") {
        return false;
    }
    let Some(time) = text[10..].strip_prefix(['T', 't']) else { return text.len() == 10 };
    let clock = match time.strip_suffix(['Z', 'z']) {
        Some(clock) => clock,
        None => match time.rfind(['+', '-']) {
            Some(sign) if shaped(&time[sign + 1..], "dd:dd") => &time[..sign],
            Some(_) => return false,
            None => time,
        },
    };
    let (clock, fraction) = match clock.split_once('.') {
        Some((clock, fraction)) => (clock, Some(fraction)),
        None => (clock, None),
    };
    let seconds = shaped(clock, "dd:dd:dd");
    match fraction {
        Some(f) => seconds && !f.is_empty() && f.bytes().all(|b| b.is_ascii_digit()),
        None => seconds || shaped(clock, "dd:dd"),
    }
}

/// Whether a text has the shape of a pattern in which `d` is any digit.
fn shaped(text: &str, pattern: &str) -> bool {
    text.len() == pattern.len()
        && text.bytes().zip(pattern.bytes()).all(|(t, p)| match p {
            b'd' => t.is_ascii_digit(),
            _ => t == p,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(TokenKind, String, usize)> {
        tokens("$filter", text)
            .expect("lexes")
            .into_iter()
            .map(|t| (t.kind, t.text, t.position))
            .collect()
    }

    #[test]
    fn positions_count_characters_not_bytes() {
        let tokens = kinds("navn eq 'Å''Ø' and x");
        assert_eq!(tokens[2], (TokenKind::Text, "Å'Ø".into(), 8));
        assert_eq!(tokens[3], (TokenKind::Word, "and".into(), 15));
        assert_eq!(tokens[5], (TokenKind::End, String::new(), 20));
    }

    #[test]
    fn literals_are_told_apart_by_shape() {
        let kind = |text: &str| {
            let all = kinds(text);
            assert_eq!(all.len(), 2, "{text}");
            all[0].0
        };
        for number in ["0", "-12", "1.5", "2e-3", "2E+3", "-0.5e10", "INF", "-INF", "NaN"] {
            assert_eq!(kind(number), TokenKind::Number, "{number}");
        }
        for time in [
            "2024-05-01",
            "2024-05-01T10:00Z",
            "2024-05-01T10:00:00Z",
            "2024-05-01T10:00:00.1234567Z",
            "2024-05-01T10:00:00+02:00",
            "2024-05-01T10:00:00-08:30",
            "2024-05-01T10:00:00",
        ] {
            assert_eq!(kind(time), TokenKind::DateTime, "{time}");
        }
        for guid in ["6ba7b810-9dad-11d1-80b4-00c04fd430c8", "ABCDEF01-9dad-11d1-80b4-00c04fd430c8"]
        {
            assert_eq!(kind(guid), TokenKind::Guid, "{guid}");
        }
        for word in ["statecode", "_ownerid_value", "Microsoft.Dynamics.CRM.In", "$count", "@p1"] {
            assert_eq!(kind(word), TokenKind::Word, "{word}");
        }
    }

    #[test]
    fn what_only_looks_like_a_literal_is_named() {
        for text in ["12abc", "2024-5-1", "10:30:00", "1.", "-1x", "2024-05-01T10:00:00+2", "5L"] {
            let error = tokens("$filter", &format!("a eq {text}")).expect_err(text).to_string();
            assert_eq!(
                error,
                format!(
                    "$filter position 5: '{text}' is not a number, a GUID, a date or a date and time"
                )
            );
        }
    }

    #[test]
    fn a_time_offset_that_lost_its_plus_sign_gets_a_hint() {
        let error = tokens("$filter", "2024-05-01T10:00:00 02:00").expect_err("space").to_string();
        assert!(error.ends_with("a date or a date and time; a '+' in a URL is written %2B"));
    }

    #[test]
    fn an_open_string_is_reported_at_its_quote() {
        let error = tokens("$filter", "name eq 'abc").expect_err("open").to_string();
        assert_eq!(
            error,
            "$filter position 8: There is an unterminated string literal at position 12 in \
             'name eq 'abc'."
        );
        let error = tokens("$filter", "lastname eq 'O'Bryan'").expect_err("open").to_string();
        assert_eq!(
            error,
            "$filter position 20: There is an unterminated literal at position 21 in \
             'lastname eq 'O'Bryan''."
        );
        assert!(tokens("$filter", "[\"a\\\"]").is_err(), "the quote is escaped");
    }

    #[test]
    fn json_strings_know_their_escapes() {
        assert_eq!(kinds(r#""a\"b\u00e5'c""#)[0], (TokenKind::Quoted, "a\"bå'c".into(), 0));
        let error = tokens("$filter", r#"["\q"]"#).expect_err("no escape").to_string();
        assert_eq!(error, r#"$filter position 1: "\q" is not a JSON string"#);
    }

    #[test]
    fn a_minus_sign_before_anything_but_a_number_is_an_operator() {
        for text in ["-a", "- 1", "-(1)", "-INFO"] {
            assert_eq!(kinds(text)[0].0, TokenKind::Symbol('-'), "{text}");
        }
    }

    #[test]
    fn an_overlong_option_is_a_limit() {
        let error = tokens("$filter", &" ".repeat(OPTION_LENGTH_MAX + 1)).expect_err("too long");
        assert_eq!(error.kind, ErrorKind::Limit);
        assert!(tokens("$filter", &" ".repeat(OPTION_LENGTH_MAX)).is_ok());
    }
}
