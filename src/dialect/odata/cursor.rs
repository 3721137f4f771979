//! A reading position in the tokens of one option, and the pieces that several
//! options share: symbols, names, column paths, and errors that say what was
//! expected and what stands there instead.

use super::functions;
use super::lexer::{self, Token, TokenKind, excerpt};
use crate::error::{Error, ErrorKind, Place, Result, codes};
use crate::query::{ColumnRef, Name, Path};

/// How deep parentheses and `not` may be nested.
pub const DEPTH_MAX: usize = 100;

/// A reading position; see the module.
pub struct Cursor<'a> {
    option: &'a str,
    tokens: Vec<Token>,
    /// Invariant: at most the index of the last token, which is `End`.
    next: usize,
    depth: usize,
}

impl<'a> Cursor<'a> {
    /// Reads an option's text; an empty one is an error.
    pub fn new(option: &'a str, text: &str) -> Result<Self> {
        let cursor = Self { option, tokens: lexer::tokens(option, text)?, next: 0, depth: 0 };
        if cursor.at_end() {
            return Err(cursor.error("the option is empty"));
        }
        Ok(cursor)
    }

    pub fn peek(&self) -> &Token {
        &self.tokens[self.next]
    }

    /// The token after the next one.
    pub fn peek_second(&self) -> &Token {
        &self.tokens[(self.next + 1).min(self.tokens.len() - 1)]
    }

    pub fn advance(&mut self) -> Token {
        let token = self.peek().clone();
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        token
    }

    pub fn at_end(&self) -> bool {
        self.peek().kind == TokenKind::End
    }

    /// Where the next token stands.
    pub fn position(&self) -> usize {
        self.peek().position
    }

    pub fn place(&self, position: usize) -> Place {
        lexer::place(self.option, position)
    }

    pub fn name(&self, token: Token) -> Name {
        Name { at: self.place(token.position), text: token.text }
    }

    /// Whether the next token is this keyword; case matters in OData.
    pub fn at_word(&self, word: &str) -> bool {
        is_word(self.peek(), word)
    }

    pub fn at_symbol(&self, symbol: char) -> bool {
        self.peek().kind == TokenKind::Symbol(symbol)
    }

    /// Takes a keyword if it is next.
    pub fn take_word(&mut self, word: &str) -> bool {
        let there = self.at_word(word);
        if there {
            self.advance();
        }
        there
    }

    /// Takes a symbol if it is next.
    pub fn take_symbol(&mut self, symbol: char) -> bool {
        let there = self.at_symbol(symbol);
        if there {
            self.advance();
        }
        there
    }

    pub fn require_symbol(&mut self, symbol: char) -> Result<()> {
        if self.take_symbol(symbol) {
            return Ok(());
        }
        Err(self.expected(&format!("'{symbol}'")))
    }

    pub fn require_word(&mut self, word: &str) -> Result<()> {
        if self.take_word(word) {
            return Ok(());
        }
        Err(self.expected(&format!("'{word}'")))
    }

    /// Nothing may follow.
    pub fn require_end(&self, expected: &str) -> Result<()> {
        if self.at_end() { Ok(()) } else { Err(self.expected(expected)) }
    }

    /// A name; `what` says in the error what kind of name is expected.
    pub fn require_name(&mut self, what: &str) -> Result<Name> {
        let token = self.peek();
        if token.kind != TokenKind::Word {
            return Err(self.expected(what));
        }
        if token.text.starts_with('@') {
            return Err(self.unsupported(&format!("parameter alias '{}'", excerpt(&token.text))));
        }
        if token.text.starts_with('$') {
            return Err(self.expected(what));
        }
        let token = self.advance();
        Ok(self.name(token))
    }

    /// `column` or `navigation/…/column`.
    pub fn column_path(&mut self) -> Result<ColumnRef> {
        self.refuse_function()?;
        let mut name = self.require_name("a column")?;
        let mut navigation = Vec::new();
        while self.at_symbol('/') {
            // A blank here is a missing name, not a longer path.
            if self.peek_second().position != self.position() + 1 {
                self.advance();
                return Err(self.expected("a column directly after '/'"));
            }
            self.advance();
            self.refuse_path_segment()?;
            navigation.push(std::mem::replace(&mut name, self.require_name("a column")?));
        }
        let path = if navigation.is_empty() { Path::Here } else { Path::Navigation(navigation) };
        Ok(ColumnRef { path, name })
    }

    /// A call where only a column can stand, named for what it is.
    fn refuse_function(&self) -> Result<()> {
        let called = self.peek_second().kind == TokenKind::Symbol('(');
        if self.peek().kind != TokenKind::Word || !called {
            return Ok(());
        }
        let name = &self.peek().text;
        if functions::is_built_in(name) || functions::is_query_function(name) {
            return Err(self.unsupported(&format!("function '{name}' in this place")));
        }
        Ok(())
    }

    /// What may follow `/` in OData but is not a column.
    fn refuse_path_segment(&self) -> Result<()> {
        let segment = self.peek();
        if segment.kind != TokenKind::Word {
            return Ok(());
        }
        let text = segment.text.as_str();
        let called = self.peek_second().kind == TokenKind::Symbol('(');
        if matches!(text, "any" | "all") && called {
            return Err(self.unsupported(&format!("lambda operator '{text}'")));
        }
        if text.starts_with('$') {
            return Err(self.unsupported(&format!("path segment '{}'", excerpt(text))));
        }
        if text.contains('.') {
            let what = if called { "function after a path" } else { "type cast" };
            return Err(self.unsupported(&format!("{what} '{}'", excerpt(text))));
        }
        Ok(())
    }

    /// Runs a parser one level deeper.
    pub fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth == DEPTH_MAX {
            let message = format!("nested deeper than {DEPTH_MAX} levels");
            let error = Error::new(ErrorKind::Limit, codes::ODATA, message);
            return Err(error.at(self.place(self.position())));
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    /// An error at the next token.
    pub fn error(&self, message: impl Into<String>) -> Error {
        self.error_at(self.position(), message)
    }

    pub fn error_at(&self, position: usize, message: impl Into<String>) -> Error {
        Error::invalid(codes::ODATA, message).at(self.place(position))
    }

    /// Something OData knows that is not offered, at the next token.
    pub fn unsupported(&self, what: &str) -> Error {
        self.unsupported_at(self.position(), what)
    }

    pub fn unsupported_at(&self, position: usize, what: &str) -> Error {
        Error::unsupported(format!("{what} is not supported")).at(self.place(position))
    }

    /// "expected …, found …" at the next token.
    pub fn expected(&self, what: &str) -> Error {
        self.error(format!("expected {what}, found {}", found(self.peek())))
    }
}

fn is_word(token: &Token, word: &str) -> bool {
    token.kind == TokenKind::Word && token.text == word
}

/// A token as an error message names it.
pub(super) fn found(token: &Token) -> String {
    let text = excerpt(&token.text);
    match token.kind {
        TokenKind::End => "the end".into(),
        TokenKind::Text => format!("the text '{text}'"),
        TokenKind::Quoted => format!("\"{text}\""),
        _ => format!("'{text}'"),
    }
}
