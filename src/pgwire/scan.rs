//! Splits the text of a request into statements, without parsing them.
//!
//! Which parser a statement belongs to is decided before any parser has seen it,
//! so this reads only what T-SQL and PostgreSQL have in common: words, quoted
//! names, literals and comments. It never fails: what is left open ends with the
//! text, and the parser that gets the statement reports it.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A bare name or keyword.
    Word,
    /// A name in `"…"` or `[…]`.
    Quoted,
    /// A string literal.
    Text,
    Number,
    Symbol,
}

/// A piece of the text that means something.
#[derive(Clone, Copy, Debug)]
pub struct Token<'a> {
    pub kind: Kind,
    /// As written, quotes included.
    pub text: &'a str,
    /// Byte offset in the whole text.
    pub start: usize,
}

impl Token<'_> {
    /// Whether this is the given keyword; `word` in lower case.
    pub fn is(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word)
    }

    /// Whether this is the given punctuation.
    pub fn is_symbol(&self, symbol: &str) -> bool {
        self.kind == Kind::Symbol && self.text == symbol
    }

    /// Byte offset of the end.
    pub fn end(&self) -> usize {
        self.start + self.text.len()
    }

    /// The content of a name or literal: bare names in lower case, quotes removed.
    pub fn value(&self) -> String {
        let inner = |open: &str, close: &str| {
            let text = self.text.strip_prefix(open).unwrap_or(self.text);
            let text = text.strip_suffix(close).unwrap_or(text);
            text.replace(&close.repeat(2), close)
        };
        match self.kind {
            Kind::Word => self.text.to_lowercase(),
            Kind::Quoted if self.text.starts_with('[') => inner("[", "]"),
            Kind::Quoted => inner("\"", "\""),
            Kind::Text => inner("'", "'"),
            Kind::Number | Kind::Symbol => self.text.to_owned(),
        }
    }
}

/// Words behind `BEGIN` that begin a transaction, not a block of statements.
const TRANSACTION: [&str; 8] =
    ["tran", "transaction", "work", "isolation", "read", "not", "deferrable", "distributed"];

/// The statements of a text: its tokens split at semicolons outside of blocks and
/// at `GO` lines, which are statements of their own; empty ones are left out.
pub fn statements(text: &str) -> Vec<Vec<Token<'_>>> {
    let mut all = Vec::new();
    let mut current: Vec<Token<'_>> = Vec::new();
    let (mut blocks, mut cases) = (0_usize, 0_usize);
    let tokens = tokens(text);
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let go = go_line(text, &tokens, at);
        if go > 0 {
            all.push(std::mem::take(&mut current));
            all.push(tokens[at..at + go].to_vec());
            (blocks, cases) = (0, 0);
            at += go;
            continue;
        }
        at += 1;
        if token.is("begin") {
            let opens = tokens.get(at).is_some_and(|next| {
                !next.is_symbol(";") && !TRANSACTION.iter().any(|word| next.is(word))
            });
            blocks += usize::from(opens);
        } else if token.is("case") {
            cases += 1;
        } else if token.is("end") && cases > 0 {
            cases -= 1;
        } else if token.is("end") {
            blocks = blocks.saturating_sub(1);
        }
        if token.is_symbol(";") && blocks == 0 {
            all.push(std::mem::take(&mut current));
        } else {
            current.push(*token);
        }
    }
    all.push(current);
    all.retain(|tokens: &Vec<_>| !tokens.is_empty());
    all
}

/// The batches of a text, each with the `GO` line that ends it and where it stands
/// in the whole.
pub fn batches(text: &str) -> Vec<String> {
    let tokens = tokens(text);
    let (mut all, mut start) = (Vec::new(), 0);
    for at in 0..tokens.len() {
        let go = go_line(text, &tokens, at);
        if go > 0 {
            let end = tokens[at + go - 1].end();
            all.push(only(text, start, end));
            start = end;
        }
    }
    if all.is_empty() || tokens.last().is_some_and(|last| last.start >= start) {
        all.push(only(text, start, text.len()));
    }
    all
}

/// A part of the text where it stands in the whole: what is before is blank.
pub fn only(text: &str, start: usize, end: usize) -> String {
    let blank = |c: char| if c == '\n' { '\n' } else { ' ' };
    text[..start].chars().map(blank).chain(text[start..end].chars()).collect()
}

/// How many tokens from one on are a `GO` line: none, `GO`, or `GO n`.
fn go_line(text: &str, tokens: &[Token<'_>], at: usize) -> usize {
    if !tokens[at].is("go") {
        return 0;
    }
    let parted = |before: usize| match (tokens.get(before), tokens.get(before + 1)) {
        (Some(before), Some(after)) => text[before.end()..after.start].contains('\n'),
        _ => true,
    };
    let counted = tokens.get(at + 1).is_some_and(|t| t.kind == Kind::Number);
    match at == 0 || parted(at - 1) {
        true if parted(at) => 1,
        true if counted && parted(at + 1) => 2,
        _ => 0,
    }
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut out: Vec<Token<'_>> = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        if c.is_whitespace() {
            at += c.len_utf8();
            continue;
        }
        if rest.starts_with("--") {
            at += rest.find('\n').unwrap_or(rest.len());
            continue;
        }
        if rest.starts_with("/*") {
            match comment_length(rest) {
                Some(length) => at += length,
                None => {
                    out.push(Token { kind: Kind::Symbol, text: rest, start: at });
                    at = text.len();
                }
            }
            continue;
        }
        let last = out.last().filter(|last| last.end() == at);
        let (kind, length) = match c {
            '\'' => {
                let escapes = last.is_some_and(|l| l.is("e"));
                (Kind::Text, quoted_length(rest, '\'', escapes))
            }
            '"' => (Kind::Quoted, quoted_length(rest, '"', false)),
            // Straight after a name or a bracket it is an array's subscript.
            '[' if last.is_none_or(|l| l.kind == Kind::Symbol && !")]".contains(l.text)) => {
                (Kind::Quoted, quoted_length(rest, ']', false))
            }
            '$' => dollar(rest),
            _ if is_word_start(c) => (Kind::Word, length_while(rest, is_word)),
            _ if c.is_ascii_digit() => {
                (Kind::Number, length_while(rest, |c| c.is_alphanumeric() || c == '.'))
            }
            _ if rest.starts_with("::") => (Kind::Symbol, 2),
            _ => (Kind::Symbol, c.len_utf8()),
        };
        out.push(Token { kind, text: &rest[..length], start: at });
        at += length;
    }
    out
}

fn is_word_start(c: char) -> bool {
    c.is_alphabetic() || matches!(c, '_' | '@' | '#')
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '@' | '#' | '$')
}

fn length_while(text: &str, keep: impl Fn(char) -> bool) -> usize {
    text.find(|c| !keep(c)).unwrap_or(text.len())
}

/// Comments nest in both languages.
fn comment_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut depth, mut at) = (0, 0);
    while at < bytes.len() {
        match bytes.get(at..at + 2) {
            Some(b"/*") => (depth, at) = (depth + 1, at + 2),
            Some(b"*/") => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// A doubled closing quote stands for itself; with `escapes`, so does one after a backslash.
fn quoted_length(text: &str, close: char, escapes: bool) -> usize {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if escapes && c == '\\' {
            chars.next();
        } else if c == close && chars.next_if(|(_, next)| *next == close).is_none() {
            return at + close.len_utf8();
        }
    }
    text.len()
}

/// `$1` is a parameter, `$tag$…$tag$` a string.
fn dollar(text: &str) -> (Kind, usize) {
    let after = &text[1..];
    if after.starts_with(|c: char| c.is_ascii_digit()) {
        return (Kind::Symbol, 1 + length_while(after, |c| c.is_ascii_digit()));
    }
    let tag = 1 + length_while(after, |c| c.is_alphanumeric() || c == '_');
    if !text[tag..].starts_with('$') {
        return (Kind::Symbol, 1);
    }
    let delimiter = &text[..=tag];
    let body = &text[delimiter.len()..];
    let length = body.find(delimiter).map_or(text.len(), |at| at + 2 * delimiter.len());
    (Kind::Text, length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<String> {
        let piece = |tokens: &Vec<Token<'_>>| {
            let end = tokens.last().expect("not empty").end();
            text[tokens[0].start..end].to_owned()
        };
        statements(text).iter().map(piece).collect()
    }

    #[test]
    fn semicolons_in_literals_names_and_comments_do_not_split() {
        assert_eq!(split("SELECT ';''' ; ; SELECT \";\""), ["SELECT ';'''", "SELECT \";\""]);
        assert_eq!(split("SELECT [a;]]b] ;SELECT 2"), ["SELECT [a;]]b]", "SELECT 2"]);
        assert_eq!(split("SELECT 1 -- ;\n; /* ; /* ; */ ; */ SELECT 2"), ["SELECT 1", "SELECT 2"]);
        assert_eq!(split(r"SELECT E'\';' ; SELECT $a$;$a$"), [r"SELECT E'\';'", "SELECT $a$;$a$"]);
        assert!(split(" ; -- nothing\n;").is_empty());
    }

    #[test]
    fn brackets_after_a_name_are_subscripts() {
        let text = "SELECT x.[n] , k[1], ARRAY['a]'] FROM [t]";
        let quoted: Vec<&str> = statements(text)
            .iter()
            .flatten()
            .filter(|t| t.kind == Kind::Quoted)
            .map(|t| t.text)
            .collect();
        assert_eq!(quoted, ["[n]", "[t]"]);
    }

    #[test]
    fn an_open_literal_ends_with_the_text() {
        for text in ["SELECT 'a", "SELECT [a", "SELECT /* a", "SELECT $x$ a", "SELECT '"] {
            assert_eq!(statements(text).len(), 1, "{text}");
        }
    }
}
