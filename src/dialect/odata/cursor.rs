//! A reading position in the tokens of one option, and the pieces that several
//! options share: symbols, names, and errors that say what was expected and what
//! stands there instead.

use super::aliases::Aliases;
use super::lexer::{self, Token, TokenKind, excerpt};
use crate::error::{Error, ErrorKind, Place, Result, codes};
use crate::query::Name;

/// How deep parentheses, operators and other parts may be nested.
pub const DEPTH_MAX: usize = 100;

/// A reading position; see the module.
pub struct Cursor<'a> {
    option: &'a str,
    tokens: Vec<Token>,
    /// Invariant: at most the index of the last token, which is `End`.
    next: usize,
    depth: usize,
    /// Nothing where OData does not allow parameter aliases.
    aliases: Option<&'a Aliases>,
    /// The range variables of the lambda expressions around the next token.
    variables: Vec<String>,
}

impl<'a> Cursor<'a> {
    /// Reads an option's text, in which parameter aliases are not known; an empty
    /// one is an error.
    pub fn new(option: &'a str, text: &str) -> Result<Self> {
        Self::read(option, text, None)
    }

    /// The same for an option in which aliases may stand for values.
    pub(super) fn with_aliases(option: &'a str, text: &str, aliases: &'a Aliases) -> Result<Self> {
        Self::read(option, text, Some(aliases))
    }

    fn read(option: &'a str, text: &str, aliases: Option<&'a Aliases>) -> Result<Self> {
        let tokens = lexer::tokens(option, text)?;
        let cursor = Self { option, tokens, next: 0, depth: 0, aliases, variables: Vec::new() };
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
        if token.text.starts_with(['@', '$']) {
            return Err(self.expected(what));
        }
        let token = self.advance();
        Ok(self.name(token))
    }

    /// Whether a parameter alias such as `@p1` is next.
    pub fn at_alias(&self) -> bool {
        self.peek().kind == TokenKind::Word && self.peek().text.starts_with('@')
    }

    /// Takes an alias and gives a cursor over its value; nothing if it has none.
    pub fn alias_value(&mut self) -> Result<Option<Cursor<'a>>> {
        let Some(aliases) = self.aliases else {
            let alias = excerpt(&self.peek().text);
            let message = format!("parameter alias '{alias}' in {}", self.option);
            return Err(self.unsupported(&message));
        };
        let at = self.place(self.position());
        let alias = self.advance();
        aliases.value(&alias.text, at)
    }

    /// Whether a name is a range variable here.
    pub fn is_variable(&self, name: &str) -> bool {
        self.variables.iter().any(|variable| variable == name)
    }

    /// Runs a parser that knows one more range variable.
    pub fn with_variable<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        self.variables.push(name.to_owned());
        let result = self.nested(parse);
        self.variables.pop();
        result
    }

    /// Runs a parser one level deeper.
    pub fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth == DEPTH_MAX {
            return Err(too_deep(self.place(self.position())));
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

/// Something is nested deeper than [`DEPTH_MAX`].
pub(super) fn too_deep(at: Place) -> Error {
    let message = format!("nested deeper than {DEPTH_MAX} levels");
    Error::new(ErrorKind::Limit, codes::ODATA, message).at(at)
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
