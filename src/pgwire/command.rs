//! Statements that steer the session: transactions, settings and clean-up.
//!
//! Only what PostgreSQL and its drivers write is read here. T-SQL's own `SET`
//! and `DECLARE @x` are left to the T-SQL parser.

use pgwire::error::PgWireError;

use super::error::{plain, state};
use super::scan::{Kind, Token};

/// A statement about the session, answered without a query.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    Begin,
    Commit,
    Rollback,
    Savepoint(String),
    Release(String),
    RollbackTo(String),
    /// `None`: the default value.
    Set(String, Option<String>),
    /// An option of SQL Server.
    Option(String, String),
    /// Accepted, because nothing depends on it; the command tag.
    Accepted(&'static str),
    Show(String),
    ShowAll,
    /// `None`: all settings.
    Reset(Option<String>),
    Discard(Discard),
    /// `None`: all prepared statements.
    Deallocate(Option<String>),
    /// `None`: all portals.
    Close(Option<String>),
}

/// What `DISCARD` gives up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discard {
    All,
    /// Plans, sequences or temporary tables: there are none.
    Nothing(&'static str),
}

impl Command {
    /// Whether it is allowed when a transaction has failed.
    pub fn ends_failure(&self) -> bool {
        matches!(self, Self::Commit | Self::Rollback | Self::RollbackTo(_))
    }

    /// Whether it answers with rows, and how their columns are called.
    pub fn columns(&self) -> Option<Vec<String>> {
        match self {
            Self::Show(name) => Some(vec![name.clone()]),
            Self::ShowAll => Some(["name", "setting", "description"].map(String::from).into()),
            _ => None,
        }
    }
}

/// Reads a session command; `None` when the statement is something else.
pub fn read(tokens: &[Token<'_>]) -> Result<Option<Command>, PgWireError> {
    let words: Vec<String> = tokens.iter().map(Token::value).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if tokens[0].kind != Kind::Word {
        return Ok(None);
    }
    let command = match words.as_slice() {
        // `BEGIN` before anything else opens a block of T-SQL.
        ["begin"]
        | ["begin", "transaction" | "tran" | "work" | "isolation" | "read", ..]
        | ["begin", "not" | "deferrable", ..]
        | ["start", "transaction", ..] => Command::Begin,
        ["commit" | "end"] | ["commit" | "end", "transaction" | "tran" | "work"] => Command::Commit,
        ["rollback" | "abort"] | ["rollback" | "abort", "transaction" | "tran" | "work"] => {
            Command::Rollback
        }
        ["rollback", "to", name]
        | ["rollback", "to", "savepoint", name]
        | ["rollback", "transaction" | "work", "to", "savepoint", name] => {
            Command::RollbackTo((*name).into())
        }
        ["savepoint", name] => Command::Savepoint((*name).into()),
        ["release", name] | ["release", "savepoint", name] => Command::Release((*name).into()),
        ["show", "all"] => Command::ShowAll,
        ["show", "time", "zone"] => Command::Show("timezone".into()),
        ["show", "transaction", "isolation", "level"] => {
            Command::Show("transaction_isolation".into())
        }
        ["show", "session", "authorization"] => Command::Show("session_authorization".into()),
        ["show", name] => Command::Show(name.to_lowercase()),
        ["show", ..] => return Err(syntax(tokens[0].text)),
        ["reset", "all"] => Command::Reset(None),
        ["reset", "time", "zone"] => Command::Reset(Some("timezone".into())),
        ["reset", "session", "authorization"] | ["reset", "role"] => Command::Accepted("RESET"),
        ["reset", name] => Command::Reset(Some(name.to_lowercase())),
        ["discard", "all"] => Command::Discard(Discard::All),
        ["discard", "plans"] => Command::Discard(Discard::Nothing("DISCARD PLANS")),
        ["discard", "sequences"] => Command::Discard(Discard::Nothing("DISCARD SEQUENCES")),
        ["discard", "temp" | "temporary"] => Command::Discard(Discard::Nothing("DISCARD TEMP")),
        ["deallocate", "all"] | ["deallocate", "prepare", "all"] => Command::Deallocate(None),
        ["deallocate", name] | ["deallocate", "prepare", name] => {
            Command::Deallocate(Some((*name).into()))
        }
        ["close", "all"] => Command::Close(None),
        ["close", name] => Command::Close(Some((*name).into())),
        ["unlisten", _] => Command::Accepted("UNLISTEN"),
        ["set", ..] => return Ok(read_set(tokens, &words)),
        _ => return Ok(None),
    };
    Ok(Some(command))
}

fn syntax(near: &str) -> PgWireError {
    plain(state::SYNTAX, format!("syntax error at or near \"{near}\""))
}

fn read_set(tokens: &[Token<'_>], words: &[&str]) -> Option<Command> {
    match words[1..] {
        ["transaction", ..]
        | ["session", "characteristics", ..]
        | ["local" | "session", "transaction", ..]
        | ["session", "authorization", ..]
        | ["role", ..] => return Some(Command::Accepted("SET")),
        ["constraints", ..] => return Some(Command::Accepted("SET CONSTRAINTS")),
        _ => {}
    }
    let mut rest = &tokens[1..];
    if rest.len() > 2 && (rest[0].is("session") || rest[0].is("local")) {
        rest = &rest[1..];
    }
    if let [time, zone, value @ ..] = rest
        && time.is("time")
        && zone.is("zone")
        && !value.is_empty()
    {
        return Some(Command::Set("timezone".into(), value_of(value)));
    }
    if let [names, value] = rest
        && names.is("names")
    {
        return Some(Command::Set("client_encoding".into(), value_of(&[*value])));
    }
    let at = rest.iter().position(|t| t.is_symbol("=") || t.is("to"))?;
    let (name, value) = (&rest[..at], &rest[at + 1..]);
    let is_name = !name.is_empty() && !name[0].text.starts_with('@');
    if !is_name || value.is_empty() {
        return None;
    }
    let name: String = name.iter().map(Token::value).collect();
    Some(Command::Set(name.to_lowercase(), value_of(value)))
}

/// A list is kept as PostgreSQL shows it: `a, b`. `None` stands for `DEFAULT`.
fn value_of(tokens: &[Token<'_>]) -> Option<String> {
    if let [only] = tokens
        && (only.is("default") || only.is("local"))
    {
        return None;
    }
    let mut value = String::new();
    for token in tokens {
        match token.text {
            "," => value.push_str(", "),
            _ if token.kind == Kind::Word => value.push_str(token.text),
            _ => value.push_str(&token.value()),
        }
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::super::scan::statements;
    use super::*;

    fn command(text: &str) -> Option<Command> {
        read(&statements(text)[0]).expect("readable")
    }

    #[test]
    fn settings_are_read_in_all_their_spellings() {
        let set = |name: &str, value: &str| Some(Command::Set(name.into(), Some(value.into())));
        assert_eq!(command("SET client_encoding TO 'UTF8'"), set("client_encoding", "UTF8"));
        assert_eq!(command("set session DateStyle = ISO, MDY"), set("datestyle", "ISO, MDY"));
        assert_eq!(command("SET TIME ZONE 'UTC'"), set("timezone", "UTC"));
        assert_eq!(command("SET NAMES 'utf8'"), set("client_encoding", "utf8"));
        assert_eq!(command("SET extra_float_digits = -3"), set("extra_float_digits", "-3"));
        assert_eq!(
            command("SET search_path TO \"$user\", public"),
            set("search_path", "$user, public")
        );
        assert_eq!(command("SET jit TO DEFAULT"), Some(Command::Set("jit".into(), None)));
        assert_eq!(command("SET my.own = 1"), set("my.own", "1"));
        assert_eq!(command("SET NOCOUNT ON"), None);
        assert_eq!(command("SET @a = 1"), None);
    }

    #[test]
    fn transactions_and_blocks_are_told_apart() {
        for text in ["BEGIN", "begin ", "BEGIN READ ONLY", "START TRANSACTION", "BEGIN TRAN"] {
            assert_eq!(command(text), Some(Command::Begin), "{text}");
        }
        assert_eq!(command("BEGIN SELECT 1 END"), None);
        assert_eq!(command("BEGIN TRY"), None);
        assert_eq!(command("END"), Some(Command::Commit));
        assert_eq!(
            command("ROLLBACK TO SAVEPOINT \"A b\""),
            Some(Command::RollbackTo("A b".into()))
        );
        assert_eq!(command("DEALLOCATE PREPARE ALL"), Some(Command::Deallocate(None)));
        assert_eq!(command("SHOW TRANSACTION ISOLATION LEVEL").and_then(|c| c.columns()), {
            Some(vec!["transaction_isolation".to_owned()])
        });
    }
}
