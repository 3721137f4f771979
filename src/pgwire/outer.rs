//! Statements that have another statement inside: `COPY`, `DECLARE`, `PREPARE`,
//! and those that go back to them, `FETCH` and `EXECUTE`.

use pgwire::api::Type;
use pgwire::error::PgWireResult;

use super::copy::{self, Copy};
use super::cursor::{self, Declaration, Fetch};
use super::error::{plain, state};
use super::scan::{Kind, Token};

/// A statement around another one, which is given by its place in the text.
#[derive(Clone, Debug, PartialEq)]
pub enum Outer {
    Copy(Copy),
    /// The cursor, and from where to where its query stands.
    Declare(Declaration, usize, usize),
    Fetch(Fetch),
    Prepare {
        name: String,
        types: Vec<Option<Type>>,
        start: usize,
        end: usize,
    },
    Execute {
        name: String,
        arguments: Option<(usize, usize)>,
    },
}

/// Reads such a statement; `None` when it is something else.
pub fn read(tokens: &[Token<'_>], text: &str) -> PgWireResult<Option<Outer>> {
    let end = tokens[tokens.len() - 1].end();
    if let Some(copy) = copy::read(tokens, text)? {
        return Ok(Some(Outer::Copy(copy)));
    }
    if let Some((declaration, start)) = cursor::read_declare(tokens)? {
        return Ok(Some(Outer::Declare(declaration, start, end)));
    }
    if let Some(fetch) = cursor::read_fetch(tokens)? {
        return Ok(Some(Outer::Fetch(fetch)));
    }
    match tokens {
        [prepare, name, rest @ ..] if prepare.is("prepare") && is_name(name) => {
            let (types, rest) = types(rest)?;
            match rest {
                [word, first, ..] if word.is("as") => {
                    let (name, start) = (name.value(), first.start);
                    Ok(Some(Outer::Prepare { name, types, start, end }))
                }
                [near, ..] => {
                    let message = format!("syntax error at or near \"{}\"", near.text);
                    Err(plain(state::SYNTAX, message))
                }
                [] => Err(plain(state::SYNTAX, "syntax error at end of input")),
            }
        }
        // Anything else behind EXECUTE is a procedure's call.
        [execute, name] if execute.is("execute") && is_name(name) => {
            Ok(Some(Outer::Execute { name: name.value(), arguments: None }))
        }
        [execute, name, open, inner @ .., close]
            if execute.is("execute")
                && is_name(name)
                && open.is_symbol("(")
                && close.is_symbol(")") =>
        {
            let arguments = inner.first().map(|first| (first.start, close.start));
            Ok(Some(Outer::Execute { name: name.value(), arguments }))
        }
        _ => Ok(None),
    }
}

fn is_name(token: &Token<'_>) -> bool {
    matches!(token.kind, Kind::Word | Kind::Quoted) && !token.text.starts_with('@')
}

/// The types of the parameters, if they are given, and what follows.
fn types<'t, 'a>(tokens: &'t [Token<'a>]) -> PgWireResult<(Vec<Option<Type>>, &'t [Token<'a>])> {
    let [open, rest @ ..] = tokens else { return Ok((Vec::new(), tokens)) };
    if !open.is_symbol("(") {
        return Ok((Vec::new(), tokens));
    }
    let mut depth = 1;
    let close = rest.iter().position(|t| {
        depth += i32::from(t.is_symbol("(")) - i32::from(t.is_symbol(")"));
        depth == 0
    });
    let Some(close) = close else {
        return Err(plain(state::SYNTAX, "syntax error at end of input"));
    };
    let mut names = vec![String::new()];
    let mut depth = 0;
    for token in &rest[..close] {
        depth += i32::from(token.is_symbol("(")) - i32::from(token.is_symbol(")"));
        match names.last_mut() {
            _ if depth == 0 && token.is_symbol(",") => names.push(String::new()),
            Some(name) if depth == 0 && !token.is_symbol(")") => {
                // `pg_catalog.int4`, `timestamp without time zone`, `text[]`.
                let spaced = token.kind == Kind::Word && name.ends_with(char::is_alphanumeric);
                name.push_str(if spaced { " " } else { "" });
                name.push_str(&token.text.to_lowercase());
            }
            _ => {}
        }
    }
    let types = names.iter().map(|name| type_named(name)).collect::<PgWireResult<_>>()?;
    Ok((types, &rest[close + 1..]))
}

/// Names of types, PostgreSQL's and SQL Server's; `None` where it is open.
const TYPES: &[(&str, Type)] = &[
    ("bigint", Type::INT8),
    ("bit", Type::BOOL),
    ("bool", Type::BOOL),
    ("boolean", Type::BOOL),
    ("bpchar", Type::BPCHAR),
    ("bytea", Type::BYTEA),
    ("char", Type::BPCHAR),
    ("character", Type::BPCHAR),
    ("character varying", Type::VARCHAR),
    ("date", Type::DATE),
    ("datetime", Type::TIMESTAMP),
    ("datetime2", Type::TIMESTAMP),
    ("decimal", Type::NUMERIC),
    ("double precision", Type::FLOAT8),
    ("float", Type::FLOAT8),
    ("float4", Type::FLOAT4),
    ("float8", Type::FLOAT8),
    ("int", Type::INT4),
    ("int2", Type::INT2),
    ("int4", Type::INT4),
    ("int8", Type::INT8),
    ("integer", Type::INT4),
    ("name", Type::NAME),
    ("numeric", Type::NUMERIC),
    ("nvarchar", Type::VARCHAR),
    ("oid", Type::OID),
    ("real", Type::FLOAT4),
    ("smallint", Type::INT2),
    ("text", Type::TEXT),
    ("time", Type::TIME),
    ("timestamp", Type::TIMESTAMP),
    ("timestamp with time zone", Type::TIMESTAMPTZ),
    ("timestamp without time zone", Type::TIMESTAMP),
    ("timestamptz", Type::TIMESTAMPTZ),
    ("uniqueidentifier", Type::UUID),
    ("uuid", Type::UUID),
    ("varchar", Type::VARCHAR),
];

fn type_named(name: &str) -> PgWireResult<Option<Type>> {
    let name = name.strip_prefix("pg_catalog.").unwrap_or(name).trim_matches('"');
    if name == "unknown" {
        return Ok(None);
    }
    let element = name.strip_suffix("[]").unwrap_or(name);
    let unknown = || plain(state::UNKNOWN_OBJECT, format!("type \"{name}\" does not exist"));
    let found = TYPES.iter().find(|(known, _)| *known == element).ok_or_else(unknown)?;
    if element.len() == name.len() {
        return Ok(Some(found.1.clone()));
    }
    super::arrays::array_of(&found.1).map(Some).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::super::scan::statements;
    use super::*;

    fn outer(text: &str) -> Option<Outer> {
        read(&statements(text)[0], text).expect(text)
    }

    #[test]
    fn prepared_statements() {
        let text = "PREPARE p (int, varchar(10), timestamp without time zone, text[]) AS SELECT $1";
        let Some(Outer::Prepare { name, types, start, end }) = outer(text) else {
            panic!("{text}")
        };
        assert_eq!((name.as_str(), &text[start..end]), ("p", "SELECT $1"));
        let expected = [Type::INT4, Type::VARCHAR, Type::TIMESTAMP, Type::TEXT_ARRAY];
        assert_eq!(types, expected.map(Some));
        let text = "EXECUTE p (1, (2), ')')";
        let Some(Outer::Execute { arguments: Some((start, end)), .. }) = outer(text) else {
            panic!("{text}")
        };
        assert_eq!(&text[start..end], "1, (2), ')'");
        let none = Some(Outer::Execute { name: "p".into(), arguments: None });
        assert_eq!(outer("EXECUTE p"), none);
        assert_eq!(outer("EXECUTE p()"), none);
        assert_eq!(outer("EXECUTE sp_executesql N'SELECT 1'"), None);
        assert_eq!(outer("EXEC p"), None);
        assert!(read(&statements("PREPARE p (nosuch) AS SELECT 1")[0], "").is_err());
    }
}
