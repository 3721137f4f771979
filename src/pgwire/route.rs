//! Decides what a statement is before it is parsed: session control, a question
//! about the catalog for PostgreSQL's parser, or a T-SQL query.
//!
//! Write statements end here with 25006, whichever parser would have had them.

use pgwire::error::PgWireError;

use super::command::{self, Command};
use super::error::{plain, read_only, state, to_wire};
use super::outer::{self, Outer};
use super::scan::{Kind, Token};
use crate::catalog::Catalog;

/// Who handles a statement.
#[derive(Debug, PartialEq)]
pub enum Route {
    Session(Command),
    /// A statement with another one inside.
    Outer(Outer),
    Catalog,
    Tsql,
}

/// First words of statements that change data or definitions.
const WRITES: &[&str] = &[
    "alter", "bulk", "cluster", "comment", "create", "delete", "drop", "grant", "import", "insert",
    "merge", "reassign", "refresh", "reindex", "replace", "revoke", "security", "truncate",
    "update", "upsert", "vacuum",
];

/// First words of PostgreSQL statements that are not offered.
const NOT_OFFERED: &[&str] = &["analyze", "call", "checkpoint", "do", "load", "lock", "notify"];

/// Functions of PostgreSQL that tell about the server or the session.
const SERVER_FUNCTIONS: &[&str] = &[
    "array_lower",
    "array_upper",
    "col_description",
    "current_database",
    "current_schema",
    "current_schemas",
    "current_setting",
    "format_type",
    "has_any_column_privilege",
    "has_column_privilege",
    "has_database_privilege",
    "has_function_privilege",
    "has_schema_privilege",
    "has_table_privilege",
    "inet_client_addr",
    "inet_client_port",
    "inet_server_addr",
    "inet_server_port",
    "obj_description",
    "parse_ident",
    "quote_ident",
    "set_config",
    "shobj_description",
    "to_regclass",
    "to_regnamespace",
    "to_regproc",
    "to_regtype",
    "txid_current",
    "version",
];

/// The same, written without parentheses.
const SERVER_NAMES: &[&str] =
    &["current_catalog", "current_role", "current_schema", "current_user", "session_user"];

/// Types that only exist to name catalog objects.
const CATALOG_TYPES: &[&str] = &[
    "oid",
    "regclass",
    "regnamespace",
    "regoper",
    "regproc",
    "regprocedure",
    "regrole",
    "regtype",
];

/// Where a statement goes; `tokens` is not empty.
pub fn route(tokens: &[Token<'_>], catalog: &Catalog, text: &str) -> Result<Route, PgWireError> {
    let inner = explained(tokens);
    if let Some(word) = write(inner) {
        return Err(to_wire(&read_only(&word), text));
    }
    two_phase(tokens)?;
    let first = &tokens[0];
    if let Some(command) = command::read(tokens)? {
        return Ok(Route::Session(command));
    }
    if let Some(outer) = outer::read(tokens, text)? {
        return Ok(Route::Outer(outer));
    }
    if NOT_OFFERED.iter().any(|word| first.is(word)) {
        let name = first.text.to_uppercase();
        return Err(plain(state::NOT_SUPPORTED, format!("{name} is not supported")));
    }
    let scripts = ["begin", "declare", "else", "if", "print", "while"];
    if scripts.iter().any(|word| first.is(word)) {
        return Ok(Route::Tsql);
    }
    Ok(if asks_catalog(inner, catalog) { Route::Catalog } else { Route::Tsql })
}

/// Refuses transactions in two phases, as a PostgreSQL server does that keeps none.
fn two_phase(tokens: &[Token<'_>]) -> Result<(), PgWireError> {
    let [verb, noun, name] = tokens else { return Ok(()) };
    if name.kind != Kind::Text {
        return Ok(());
    }
    if verb.is("prepare") && noun.is("transaction") {
        return Err(plain("55000", "prepared transactions are disabled"));
    }
    if (verb.is("commit") || verb.is("rollback")) && noun.is("prepared") {
        let message =
            format!("prepared transaction with identifier \"{}\" does not exist", name.value());
        return Err(plain(state::UNKNOWN_OBJECT, message));
    }
    Ok(())
}

/// The statement behind `EXPLAIN` and its options.
fn explained<'t, 'a>(tokens: &'t [Token<'a>]) -> &'t [Token<'a>] {
    if !tokens[0].is("explain") {
        return tokens;
    }
    let mut rest = &tokens[1..];
    let words = ["analyze", "verbose", "format", "json"];
    while rest.first().is_some_and(|t| words.iter().any(|word| t.is(word))) {
        rest = &rest[1..];
    }
    if rest.first().is_some_and(|t| t.is_symbol("("))
        && !rest.get(1).is_some_and(|t| t.is("select") || t.is("with") || t.is_symbol("("))
        && let Some(close) = rest.iter().position(|t| t.is_symbol(")"))
    {
        rest = &rest[close + 1..];
    }
    if rest.is_empty() { tokens } else { rest }
}

/// The word that makes a statement a write.
fn write(tokens: &[Token<'_>]) -> Option<String> {
    let first = tokens.iter().find(|t| !t.is_symbol("("))?;
    if WRITES.iter().any(|word| first.is(word)) {
        return Some(first.value());
    }
    if first.is("copy") && copy_reads_in(tokens) {
        return Some("copy from".to_owned());
    }
    if first.is("with") {
        // A data-modifying part of WITH stands after a bracket of either kind.
        let part = |pair: &[Token<'_>]| {
            let after = pair[0].is_symbol("(") || pair[0].is_symbol(")");
            let writes = ["insert", "update", "delete", "merge"];
            (after && writes.iter().any(|w| pair[1].is(w))).then(|| pair[1].value())
        };
        if let Some(word) = tokens.windows(2).find_map(part) {
            return Some(word);
        }
    }
    let query = first.is("select") || first.is("with");
    (query && tokens.iter().any(|t| t.is("into"))).then(|| "select into".to_owned())
}

/// `COPY t FROM …` reads in; `COPY (SELECT … FROM …) TO …` and `COPY t TO …` read out.
fn copy_reads_in(tokens: &[Token<'_>]) -> bool {
    let mut depth = 0;
    for token in tokens {
        match token.text {
            "(" if token.kind == Kind::Symbol => depth += 1,
            ")" if token.kind == Kind::Symbol => depth -= 1,
            _ if depth == 0 && token.is("from") => return true,
            _ if depth == 0 && token.is("to") => return false,
            _ => {}
        }
    }
    false
}

/// Whether a query is about PostgreSQL's catalogs, the session or the server.
fn asks_catalog(tokens: &[Token<'_>], catalog: &Catalog) -> bool {
    if asks_sql_server(tokens) {
        return false;
    }
    let named = |t: &Token<'_>| matches!(t.kind, Kind::Word | Kind::Quoted);
    let of_catalog = |t: &Token<'_>| {
        let name = t.value().to_lowercase();
        name == "information_schema" || name.starts_with("pg_") && name != "pg_typeof"
    };
    if tokens.iter().any(|t| named(t) && of_catalog(t)) {
        return true;
    }
    if tokens.windows(2).any(|p| p[0].is_symbol("::") && CATALOG_TYPES.iter().any(|t| p[1].is(t))) {
        return true;
    }
    // So is what SQL Server's variables and functions tell.
    if tokens.iter().any(|t| t.text.starts_with('@') || SQL_SERVER_NAMES.iter().any(|n| t.is(n))) {
        return false;
    }
    // These may also be columns or T-SQL functions where job tables are read.
    if tokens.iter().any(|t| named(t) && catalog.any_table(&t.value().to_lowercase()).is_some()) {
        return false;
    }
    let called = tokens
        .windows(2)
        .any(|p| p[1].is_symbol("(") && SERVER_FUNCTIONS.iter().any(|f| p[0].is(f)));
    called || tokens.iter().any(|t| SERVER_NAMES.iter().any(|name| t.is(name)))
}

/// Words and literals that only one of the two languages has.
const OF_POSTGRESQL: &[&str] = &["public", "pg_catalog", "limit", "ilike", "current_schema"];
const OF_SQL_SERVER: &[&str] = &["dbo", "top", "nolock", "object_id", "schema_name"];

/// Names that tell who asks, in T-SQL only.
const SQL_SERVER_NAMES: &[&str] =
    &["app_name", "db_name", "host_name", "suser_sname", "system_user", "user_name"];

/// Whether a query reads SQL Server's catalog views. `sys.` says so. Both servers
/// have an `INFORMATION_SCHEMA`, with other schemas and types in it: what only one
/// language has decides, else capitals, as SQL Server's scripts have them.
fn asks_sql_server(tokens: &[Token<'_>]) -> bool {
    let named = |t: &Token<'_>, name: &str| {
        matches!(t.kind, Kind::Word | Kind::Quoted) && t.value().eq_ignore_ascii_case(name)
    };
    if tokens.windows(2).any(|p| named(&p[0], "sys") && p[1].is_symbol(".")) {
        return true;
    }
    let is_schema = |p: &&[Token<'_>]| {
        named(&p[0], "information_schema") && p[1].is_symbol(".") && p[2].kind != Kind::Symbol
    };
    let Some(view) = tokens.windows(3).find(is_schema) else { return false };
    let says = |words: &[&str], t: &Token<'_>| {
        matches!(t.kind, Kind::Word | Kind::Text)
            && words.contains(&t.value().to_lowercase().as_str())
    };
    if tokens.iter().any(|t| {
        t.is_symbol("::") || says(OF_POSTGRESQL, t) || t.value().to_lowercase().starts_with("pg_")
    }) {
        return false;
    }
    let brackets = |t: &Token<'_>| t.kind == Kind::Quoted && t.text.starts_with('[');
    let variable = |t: &Token<'_>| t.kind == Kind::Word && t.text.starts_with('@');
    if tokens.iter().any(|t| brackets(t) || variable(t) || says(OF_SQL_SERVER, t)) {
        return true;
    }
    let capitals = |t: &Token<'_>| !t.text.contains(|c: char| c.is_lowercase());
    capitals(&view[0]) && capitals(&view[2])
}

#[cfg(test)]
mod tests {
    use pgwire::error::ErrorInfo;

    use super::super::scan::statements;
    use super::*;

    fn routed(text: &str) -> Result<Route, PgWireError> {
        let statements = statements(text);
        assert_eq!(statements.len(), 1, "{text}");
        route(&statements[0], &Catalog::built_in(), text)
    }

    #[test]
    fn writes_are_refused_in_every_disguise() {
        for text in [
            "INSERT INTO asyncoperation VALUES (1)",
            "update asyncoperation set name = 'x'",
            "(DELETE FROM asyncoperation)",
            "WITH a AS (SELECT 1) DELETE FROM asyncoperation",
            "WITH a AS (DELETE FROM asyncoperation RETURNING *) SELECT * FROM a",
            "EXPLAIN ANALYZE DELETE FROM asyncoperation",
            "EXPLAIN (ANALYZE, VERBOSE) UPDATE asyncoperation SET name = 'x'",
            "SELECT * INTO copy FROM asyncoperation",
            "COPY asyncoperation FROM STDIN",
            "COPY asyncoperation (name) FROM '/tmp/x'",
            "CREATE TABLE t (a int)",
            "DROP TABLE asyncoperation",
            "TRUNCATE asyncoperation",
            "DELETE FROM pg_catalog.pg_class",
            "/* x */ -- y\n merge into asyncoperation using x on 1=1 when matched then delete",
        ] {
            let error = routed(text).expect_err(text);
            assert_eq!(ErrorInfo::from(error).code, "25006", "{text}");
        }
    }

    #[test]
    fn queries_go_to_the_parser_that_knows_them() {
        for text in [
            "SELECT * FROM pg_catalog.pg_class",
            "SELECT c.oid FROM \"pg_class\" c",
            "SELECT 'asyncoperation'::regclass",
            "SELECT version()",
            "SELECT current_user",
            "SELECT table_name FROM information_schema.tables",
            "select TABLE_NAME from INFORMATION_SCHEMA.tables",
            "SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = 'public'",
            "EXPLAIN SELECT * FROM pg_class",
        ] {
            assert_eq!(routed(text).expect(text), Route::Catalog, "{text}");
        }
        for text in [
            "SELECT name FROM sys.tables",
            "SELECT [name] FROM [sys].[columns]",
            "SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES",
            "select top 3 table_name from information_schema.tables",
            "select table_name from information_schema.tables where table_schema = 'dbo'",
            "SELECT count(*) FROM asyncoperation WHERE name = 'pg_catalog'",
            "SELECT [version] FROM [dbo].[workflow]",
            "SELECT 1",
            "WITH a AS (SELECT 1 AS deleted) SELECT * FROM a",
            "EXPLAIN SELECT 1",
            "SELECT updated, [insert] FROM (SELECT 1 AS updated) x",
            "SET NOCOUNT ON",
            "SET @a = 1",
            "DECLARE @a int = 1",
        ] {
            assert_eq!(routed(text).expect(text), Route::Tsql, "{text}");
        }
    }

    #[test]
    fn transactions_have_one_phase() {
        for (text, state) in [
            ("PREPARE TRANSACTION 'a'", "55000"),
            ("COMMIT PREPARED 'a'", "42704"),
            ("rollback prepared 'a'", "42704"),
        ] {
            assert_eq!(ErrorInfo::from(routed(text).expect_err(text)).code, state, "{text}");
        }
    }

    #[test]
    fn what_is_not_offered_is_refused_by_name() {
        for (text, name) in [
            ("COPY workflow TO PROGRAM 'cat'", "COPY"),
            ("FETCH NEXT FROM c INTO @x", "FETCH"),
            ("NOTIFY jobs", "NOTIFY"),
            ("CALL something()", "CALL"),
        ] {
            let error = ErrorInfo::from(routed(text).expect_err(text));
            assert_eq!(error.code, "0A000", "{text}");
            assert!(error.message.starts_with(name), "{}", error.message);
        }
    }
}
