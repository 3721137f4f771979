//! Statements that steer the session: transactions, settings and clean-up.
//!
//! Only what PostgreSQL and its drivers write is read here. T-SQL's own `SET`
//! and `DECLARE @x` are left to the T-SQL parser.

use pgwire::error::PgWireError;

use super::error::{plain, state};
use super::scan::{Kind, Token};
use super::settings::canonical;

/// A statement about the session, answered without a query.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    Begin(Begin),
    /// With `chain` the next transaction begins at once.
    Commit {
        chain: bool,
    },
    Rollback {
        chain: bool,
    },
    Savepoint(String),
    Release(String),
    RollbackTo(String),
    /// `None`: the default value.
    Set(String, Option<String>),
    /// An option of SQL Server.
    Option(String, String),
    /// How the transaction is to be, until its end.
    SetTransaction(Modes),
    /// How all further ones are to be.
    SetCharacteristics(Modes),
    /// Until the end of the transaction.
    SetLocal(String, Option<String>),
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

/// `BEGIN` or `START TRANSACTION`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Begin {
    pub start: bool,
    pub modes: Modes,
}

impl Begin {
    /// The tag of the answer.
    pub fn tag(&self) -> &'static str {
        if self.start { "START TRANSACTION" } else { "BEGIN" }
    }
}

/// Modes of a transaction: whatever they are, it reads from one snapshot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Modes {
    pub isolation: Option<String>,
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
        matches!(self, Self::Commit { .. } | Self::Rollback { .. } | Self::RollbackTo(_))
    }

    /// Whether it goes back to a savepoint, so that the transaction goes on.
    pub fn goes_back(&self) -> bool {
        matches!(self, Self::RollbackTo(_))
    }

    /// Whether it answers with rows, and how their columns are called.
    pub fn columns(&self) -> Option<Vec<String>> {
        match self {
            Self::Show(name) => Some(vec![canonical(name).to_owned()]),
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
        ["begin" | "start", "transaction" | "tran" | "work", rest @ ..] => {
            // T-SQL names its transactions.
            let modes = modes(rest).unwrap_or_default();
            Command::Begin(Begin { start: words[0] == "start", modes })
        }
        ["begin", rest @ ..] if let Some(modes) = modes(rest) => {
            Command::Begin(Begin { start: false, modes })
        }
        ["commit" | "end", rest @ ..] if let Some(chain) = ending(rest) => {
            Command::Commit { chain }
        }
        ["rollback" | "abort", rest @ ..] if let Some(chain) = ending(rest) => {
            Command::Rollback { chain }
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
        ["show", space, ".", name] => Command::Show(format!("{space}.{name}").to_lowercase()),
        ["show", ..] => return Err(syntax(tokens[0].text)),
        ["reset", "all"] => Command::Reset(None),
        ["reset", "time", "zone"] => Command::Reset(Some("timezone".into())),
        ["reset", "session", "authorization"] | ["reset", "role"] => Command::Accepted("RESET"),
        ["reset", name] => Command::Reset(Some(name.to_lowercase())),
        ["reset", space, ".", name] => {
            Command::Reset(Some(format!("{space}.{name}").to_lowercase()))
        }
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
        // Nobody can notify, so there is nothing to hear.
        ["listen", _] => Command::Accepted("LISTEN"),
        ["unlisten", _] => Command::Accepted("UNLISTEN"),
        ["set", "transaction", "snapshot", ..] => {
            return Err(plain(state::NOT_SUPPORTED, "SET TRANSACTION SNAPSHOT is not supported"));
        }
        ["set", ..] => return Ok(read_set(tokens, &words)),
        _ => return Ok(None),
    };
    Ok(Some(command))
}

/// What may stand behind `COMMIT`: whether the next transaction begins.
fn ending(words: &[&str]) -> Option<bool> {
    match words {
        [] => Some(false),
        ["transaction" | "tran" | "work", rest @ ..] if rest.len() != 1 => ending(rest),
        ["and", "chain"] => Some(true),
        ["and", "no", "chain"] => Some(false),
        ["transaction" | "tran" | "work"] => Some(false),
        _ => None,
    }
}

/// The modes of a transaction; `None` where a word is none.
fn modes(words: &[&str]) -> Option<Modes> {
    match words {
        [] => Some(Modes::default()),
        [",", rest @ ..]
        | ["read", "only" | "write", rest @ ..]
        | ["not", "deferrable", rest @ ..]
        | ["deferrable", rest @ ..] => modes(rest),
        ["isolation", "level", level @ ("serializable" | "snapshot"), rest @ ..] => {
            // SQL Server's snapshot is PostgreSQL's repeatable read.
            let level = if *level == "snapshot" { "repeatable read" } else { level };
            modes(rest).map(|_| Modes { isolation: Some(level.to_owned()) })
        }
        ["isolation", "level", first @ ("read" | "repeatable"), second, rest @ ..] => {
            modes(rest).map(|_| Modes { isolation: Some(format!("{first} {second}")) })
        }
        _ => None,
    }
}

fn syntax(near: &str) -> PgWireError {
    plain(state::SYNTAX, format!("syntax error at or near \"{near}\""))
}

fn read_set(tokens: &[Token<'_>], words: &[&str]) -> Option<Command> {
    match words[1..] {
        ["transaction", ref rest @ ..] | ["local", "transaction", ref rest @ ..] => {
            return Some(Command::SetTransaction(modes(rest).unwrap_or_default()));
        }
        ["session", "characteristics", "as", "transaction", ref rest @ ..]
        | ["session", "transaction", ref rest @ ..] => {
            return Some(Command::SetCharacteristics(modes(rest).unwrap_or_default()));
        }
        ["session", "authorization", ..] | ["role", ..] => return Some(Command::Accepted("SET")),
        ["constraints", ..] => return Some(Command::Accepted("SET CONSTRAINTS")),
        _ => {}
    }
    let mut rest = &tokens[1..];
    let mut set: fn(String, Option<String>) -> Command = Command::Set;
    if rest.len() > 2 && (rest[0].is("session") || rest[0].is("local")) {
        if rest[0].is("local") {
            set = Command::SetLocal;
        }
        rest = &rest[1..];
    }
    if let [time, zone, value @ ..] = rest
        && time.is("time")
        && zone.is("zone")
        && !value.is_empty()
    {
        return Some(set("timezone".into(), value_of(value)));
    }
    if let [names, value] = rest
        && names.is("names")
    {
        return Some(set("client_encoding".into(), value_of(&[*value])));
    }
    let at = rest.iter().position(|t| t.is_symbol("=") || t.is("to"))?;
    let (name, value) = (&rest[..at], &rest[at + 1..]);
    let is_name = !name.is_empty() && !name[0].text.starts_with('@');
    if !is_name || value.is_empty() {
        return None;
    }
    let name: String = name.iter().map(Token::value).collect();
    Some(set(name.to_lowercase(), value_of(value)))
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
        let begin = |start, isolation: Option<&str>| {
            let modes = Modes { isolation: isolation.map(str::to_owned) };
            Some(Command::Begin(Begin { start, modes }))
        };
        for text in ["BEGIN", "begin ", "BEGIN READ ONLY", "BEGIN TRAN", "BEGIN TRANSACTION a"] {
            assert_eq!(command(text), begin(false, None), "{text}");
        }
        assert_eq!(command("START TRANSACTION"), begin(true, None));
        assert_eq!(
            command("BEGIN ISOLATION LEVEL READ COMMITTED, READ ONLY, NOT DEFERRABLE"),
            begin(false, Some("read committed"))
        );
        assert_eq!(
            command("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE"),
            Some(Command::SetCharacteristics(Modes { isolation: Some("serializable".into()) }))
        );
        assert!(read(&statements("SET TRANSACTION SNAPSHOT '1'")[0]).is_err());
        assert_eq!(command("BEGIN SELECT 1 END"), None);
        assert_eq!(command("BEGIN TRY"), None);
        assert_eq!(command("END"), Some(Command::Commit { chain: false }));
        assert_eq!(command("COMMIT WORK AND CHAIN"), Some(Command::Commit { chain: true }));
        assert_eq!(command("ROLLBACK AND NO CHAIN"), Some(Command::Rollback { chain: false }));
        assert_eq!(
            command("SET LOCAL jit = on"),
            Some(Command::SetLocal("jit".into(), Some("on".into())))
        );
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
