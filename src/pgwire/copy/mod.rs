//! `COPY … TO STDOUT`: what it asks for, and a query's rows in its formats.

mod options;

use pgwire::error::{PgWireError, PgWireResult};

pub use self::options::{Csv, Force, Options, Text};
use self::options::{Given, Setting};
use super::error::{plain, state};
use super::scan::{Kind, Token};

/// A `COPY … TO STDOUT`, without the query it copies.
#[derive(Clone, Debug, PartialEq)]
pub struct Copy {
    pub source: Source,
    pub options: Options,
}

/// What is copied.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// From here to there in the text of the request.
    Query(usize, usize),
    /// A query for the columns of a table.
    Table(String),
}

/// Reads `COPY`. What reads rows in was refused before.
pub fn read(tokens: &[Token<'_>], text: &str) -> PgWireResult<Option<Copy>> {
    if !tokens[0].is("copy") {
        return Ok(None);
    }
    let mut words = Words { tokens, at: 1 };
    let mut given = Given::default();
    if words.take("binary") {
        given.format = Some("binary".to_owned());
    }
    let source = source(&mut words, text)?;
    if !words.take("to") {
        return Err(words.unexpected());
    }
    match words.next() {
        Some(target) if target.is("stdout") => {}
        Some(target) if target.is("program") || target.kind == Kind::Text => {
            let message = "COPY to a file or a program of the server is not supported; COPY … TO \
                           STDOUT and psql's \\copy write where the client is";
            return Err(plain(state::NOT_SUPPORTED, message));
        }
        _ => return Err(words.back().unexpected()),
    }
    let with = words.take("with");
    if words.take_symbol("(") {
        listed(&mut words, &mut given)?;
    } else {
        old(&mut words, &mut given)?;
        if with && given.empty() {
            return Err(words.unexpected());
        }
    }
    if words.peek().is_some() {
        return Err(words.unexpected());
    }
    Ok(Some(Copy { source, options: given.settled()? }))
}

/// A query in brackets, or a table and columns of it.
fn source(words: &mut Words<'_, '_>, text: &str) -> PgWireResult<Source> {
    if words.take_symbol("(") {
        let start = words.peek().ok_or_else(|| words.unexpected())?.start;
        let mut depth = 1;
        while let Some(token) = words.next() {
            depth += i32::from(token.is_symbol("(")) - i32::from(token.is_symbol(")"));
            if depth == 0 {
                return Ok(Source::Query(start, token.start));
            }
        }
        return Err(words.unexpected());
    }
    let start = words.peek().ok_or_else(|| words.unexpected())?.start;
    let mut end = start;
    while let Some(token) = words.peek().filter(|t| !t.is("to") && !t.is_symbol("(")) {
        end = token.end();
        words.at += 1;
    }
    let mut columns = "*".to_owned();
    if words.take_symbol("(") {
        let start = words.peek().ok_or_else(|| words.unexpected())?.start;
        let close = std::iter::from_fn(|| words.next()).find(|t| t.is_symbol(")"));
        columns = text[start..close.ok_or_else(|| words.unexpected())?.start].to_owned();
    }
    Ok(Source::Table(format!("SELECT {columns} FROM {}", &text[start..end])))
}

/// `(FORMAT csv, HEADER true, …)`.
fn listed(words: &mut Words<'_, '_>, given: &mut Given) -> PgWireResult<()> {
    loop {
        let name = words.next().ok_or_else(|| words.unexpected())?;
        let value = if words.take_symbol("(") {
            Setting::Columns(columns(words)?)
        } else {
            match words.peek() {
                Some(t) if t.is_symbol("*") => {
                    words.at += 1;
                    Setting::All
                }
                Some(t) if !t.is_symbol(",") && !t.is_symbol(")") => {
                    words.at += 1;
                    Setting::Value(t.value())
                }
                _ => Setting::Nothing,
            }
        };
        given.set(&name.value().to_lowercase(), value)?;
        if words.take_symbol(")") {
            return Ok(());
        }
        if !words.take_symbol(",") {
            return Err(words.unexpected());
        }
    }
}

/// A list of column names up to its bracket.
fn columns(words: &mut Words<'_, '_>) -> PgWireResult<Vec<String>> {
    let mut names = Vec::new();
    loop {
        names.push(words.next().ok_or_else(|| words.unexpected())?.value());
        if words.take_symbol(")") {
            return Ok(names);
        }
        if !words.take_symbol(",") {
            return Err(words.unexpected());
        }
    }
}

/// `CSV HEADER DELIMITER AS ';'`, as before PostgreSQL 9.0.
fn old(words: &mut Words<'_, '_>, given: &mut Given) -> PgWireResult<()> {
    while let Some(word) = words.next() {
        let name = word.value();
        match name.as_str() {
            "binary" | "csv" => given.set("format", Setting::Value(name))?,
            "header" => given.set("header", Setting::Nothing)?,
            "force" if words.take("quote") => {
                let value = if words.take_symbol("*") {
                    Setting::All
                } else {
                    let mut names = Vec::new();
                    loop {
                        names.push(words.next().ok_or_else(|| words.unexpected())?.value());
                        if !words.take_symbol(",") {
                            break Setting::Columns(names);
                        }
                    }
                };
                given.set("force_quote", value)?;
            }
            "delimiter" | "null" | "quote" | "escape" | "encoding" => {
                words.take("as");
                match words.next() {
                    Some(value) if value.kind == Kind::Text => {
                        given.set(&name, Setting::Value(value.value()))?;
                    }
                    _ => return Err(words.back().unexpected()),
                }
            }
            _ => return Err(words.back().unexpected()),
        }
    }
    Ok(())
}

struct Words<'t, 'a> {
    tokens: &'t [Token<'a>],
    at: usize,
}

impl<'a> Words<'_, 'a> {
    fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.at).copied()
    }

    fn next(&mut self) -> Option<Token<'a>> {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn back(&mut self) -> &Self {
        self.at -= 1;
        self
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(|t| t.is(word));
        self.at += usize::from(found);
        found
    }

    fn take_symbol(&mut self, symbol: &str) -> bool {
        let found = self.peek().is_some_and(|t| t.is_symbol(symbol));
        self.at += usize::from(found);
        found
    }

    fn unexpected(&self) -> PgWireError {
        let message = match self.peek() {
            Some(token) => format!("syntax error at or near \"{}\"", token.text),
            None => "syntax error at end of input".to_owned(),
        };
        plain(state::SYNTAX, message)
    }
}

#[cfg(test)]
mod tests {
    use pgwire::error::ErrorInfo;

    use super::super::scan::statements;
    use super::*;

    fn copy(text: &str) -> PgWireResult<Copy> {
        read(&statements(text)[0], text).map(|copy| copy.expect("a COPY"))
    }

    fn csv(header: bool, delimiter: u8, force_quote: Force) -> Options {
        let (quote, escape) = (b'"', b'"');
        Options::Csv(Csv { delimiter, null: String::new(), header, quote, escape, force_quote })
    }

    #[test]
    fn both_spellings_of_the_options_are_read() {
        let none = || Force::Columns(Vec::new());
        for (options, expected) in [
            ("", Options::Text(Text { delimiter: b'\t', null: "\\N".into(), header: false })),
            ("BINARY", Options::Binary),
            ("WITH BINARY", Options::Binary),
            ("(FORMAT binary)", Options::Binary),
            ("WITH (FORMAT 'CSV', HEADER)", csv(true, b',', none())),
            ("CSV HEADER", csv(true, b',', none())),
            ("WITH CSV DELIMITER AS ';'", csv(false, b';', none())),
            ("(FORMAT csv, HEADER off, DELIMITER ';')", csv(false, b';', none())),
            ("CSV FORCE QUOTE *", csv(false, b',', Force::All)),
            (
                "(FORMAT csv, FORCE_QUOTE (name, \"B\"))",
                csv(false, b',', Force::Columns(vec!["name".into(), "B".into()])),
            ),
            (
                "DELIMITER '|' NULL ''",
                Options::Text(Text { delimiter: b'|', null: String::new(), header: false }),
            ),
        ] {
            let text = format!("COPY asyncoperation TO STDOUT {options}");
            assert_eq!(copy(&text).expect(&text).options, expected, "{text}");
        }
    }

    #[test]
    fn a_query_or_a_table_is_copied() {
        let text = "COPY (SELECT (1), ')' FROM [a)]) TO STDOUT";
        let Source::Query(start, end) = copy(text).expect("valid").source else { panic!("query") };
        assert_eq!(&text[start..end], "SELECT (1), ')' FROM [a)]");
        let table = |text: &str| copy(text).expect(text).source;
        assert_eq!(
            table("COPY public.workflow TO stdout"),
            Source::Table("SELECT * FROM public.workflow".into())
        );
        assert_eq!(
            table("copy BINARY workflow (name, \"workflowid\") to STDOUT"),
            Source::Table("SELECT name, \"workflowid\" FROM workflow".into())
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (state, text) in [
            ("0A000", "COPY workflow TO '/tmp/x'"),
            ("0A000", "COPY workflow TO PROGRAM 'cat'"),
            ("0A000", "COPY workflow TO STDOUT (FREEZE)"),
            ("0A000", "COPY workflow TO STDOUT (QUOTE '''')"),
            ("0A000", "COPY workflow TO STDOUT (DELIMITER '||')"),
            ("0A000", "COPY workflow TO STDOUT (FORMAT csv, ENCODING 'latin1')"),
            ("22023", "COPY workflow TO STDOUT (FORMAT xml)"),
            ("22023", "COPY workflow TO STDOUT (DELIMITER 'a')"),
            ("22023", "COPY workflow TO STDOUT (FORMAT csv, DELIMITER '\"')"),
            ("42601", "COPY workflow TO STDOUT (FORMAT binary, NULL '')"),
            ("42601", "COPY workflow TO STDOUT (FORMAT csv, FORMAT csv)"),
            ("42601", "COPY workflow TO STDOUT (NOSUCH)"),
            ("42601", "COPY workflow TO STDOUT WITH"),
            ("42601", "COPY workflow TO STDOUT CSV nonsense"),
            ("42601", "COPY workflow"),
            ("42601", "COPY (SELECT 1 TO STDOUT"),
        ] {
            let error = copy(text).map(|_| ()).expect_err(text);
            assert_eq!(ErrorInfo::from(error).code, state, "{text}");
        }
    }
}
