//! `SET`: SQL Server's options and PostgreSQL's settings. One that would change
//! an answer is carried out or refused; one that cannot is accepted.

use datafusion::sql::sqlparser::ast::{Expr, Set, SetSessionParamKind, Value};
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Location, Token};

use super::{Statement, report, tokens};
use crate::error::{Error, Result};

/// What values an option takes.
#[derive(Clone, Copy)]
enum Takes {
    /// `ON` or `OFF`; nothing depends on it.
    Switch,
    /// `OFF` only, and why.
    Off(&'static str),
    /// Any word, number or text; nothing depends on it, or the session checks it.
    Value,
    /// One of these, and why.
    Only(&'static [&'static str], &'static str),
    /// Words before `ON` or `OFF`.
    List,
}

/// SQL Server's options.
const OPTIONS: &[(&str, Takes)] = &[
    ("ansi_defaults", Takes::Switch),
    ("ansi_null_dflt_off", Takes::Switch),
    ("ansi_null_dflt_on", Takes::Switch),
    ("ansi_nulls", Takes::Switch),
    ("ansi_padding", Takes::Switch),
    ("ansi_warnings", Takes::Switch),
    ("arithabort", Takes::Switch),
    ("arithignore", Takes::Switch),
    ("concat_null_yields_null", Takes::Switch),
    ("context_info", Takes::Value),
    ("cursor_close_on_commit", Takes::Switch),
    ("datefirst", Takes::Value),
    ("dateformat", Takes::Only(&["mdy"], "dates are read in the order month, day, year")),
    ("deadlock_priority", Takes::Value),
    ("fips_flagger", Takes::Value),
    ("fmtonly", Takes::Off("queries are always run")),
    ("forceplan", Takes::Switch),
    ("implicit_transactions", Takes::Switch),
    ("language", Takes::Only(&["us_english", "english"], "names of months and days are English")),
    ("lock_timeout", Takes::Value),
    ("nocount", Takes::Switch),
    ("noexec", Takes::Off("queries are always run")),
    ("numeric_roundabort", Takes::Switch),
    ("parseonly", Takes::Off("queries are always run")),
    ("query_governor_cost_limit", Takes::Value),
    ("quoted_identifier", Takes::Switch),
    ("remote_proc_transactions", Takes::Switch),
    ("rowcount", Takes::Value),
    ("showplan_all", Takes::Off("write EXPLAIN instead")),
    ("showplan_text", Takes::Off("write EXPLAIN instead")),
    ("showplan_xml", Takes::Off("write EXPLAIN instead")),
    ("statistics", Takes::List),
    ("textsize", Takes::Value),
    ("xact_abort", Takes::Switch),
];

/// Settings that PostgreSQL's clients send when they connect.
const POSTGRES_SETTINGS: &[&str] = &[
    "application_name",
    "bytea_output",
    "client_encoding",
    "client_min_messages",
    "datestyle",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "extra_float_digits",
    "idle_in_transaction_session_timeout",
    "intervalstyle",
    "lc_messages",
    "lc_monetary",
    "lc_numeric",
    "lc_time",
    "names",
    "search_path",
    "standard_conforming_strings",
    "statement_timeout",
    "timezone",
    "transaction",
];

/// The time zones that mean what is so.
const UTC: [&str; 5] = ["utc", "etc/utc", "gmt", "0", "default"];

fn option(name: &str) -> Option<Takes> {
    OPTIONS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, takes)| *takes)
}

/// Reads what follows `SET` if it is SQL Server's: `NOCOUNT, ANSI_NULLS ON`,
/// `ROWCOUNT 5`, `STATISTICS IO, TIME ON`. Otherwise nothing is consumed.
pub(super) fn read(parser: &mut Parser<'_>, location: Location) -> Result<Option<Vec<Statement>>> {
    let word = |token: &Token| tokens::word(token).map(|w| w.value.to_lowercase());
    let Some(first) = word(&parser.peek_token_ref().token) else { return Ok(None) };
    let followed = matches!(parser.peek_nth_token_ref(1).token, Token::Eq)
        || tokens::is_word(Some(parser.peek_nth_token_ref(1)), "to");
    if first == "identity_insert" || first == "offsets" {
        return Err(report::unsupported(format!("SET {}", first.to_uppercase()), location));
    }
    let Some(takes) = option(&first).filter(|_| !followed) else { return Ok(None) };
    let mut names = vec![first];
    parser.next_token();
    if matches!(takes, Takes::List) {
        // What statistics are wanted of does not matter.
        while !matches!(word(&parser.peek_token_ref().token).as_deref(), Some("on" | "off") | None)
        {
            parser.next_token();
            let _ = parser.consume_token(&Token::Comma);
        }
    }
    while parser.consume_token(&Token::Comma) {
        let token = parser.next_token();
        let name = word(&token.token).ok_or_else(|| {
            report::syntax(format!("Incorrect syntax near '{}' (Msg 102)", token.token), location)
        })?;
        names.push(name);
    }
    let sign = if parser.consume_token(&Token::Minus) { "-" } else { "" };
    let token = parser.next_token();
    let value = match &token.token {
        Token::Word(word) => word.value.clone(),
        Token::Number(number, _) => format!("{sign}{number}"),
        Token::SingleQuotedString(text) | Token::NationalStringLiteral(text) => text.clone(),
        Token::HexStringLiteral(digits) => digits.clone(),
        other => {
            let message = format!("Incorrect syntax near '{other}' (Msg 102): expected a value");
            return Err(report::syntax(message, token.span.start));
        }
    };
    let set = |name: String| {
        check_option(&name, &value, location)?;
        Ok(Statement::Set { name, value: value.clone() })
    };
    names.into_iter().map(set).collect::<Result<_>>().map(Some)
}

fn check_option(name: &str, value: &str, location: Location) -> Result<()> {
    let lower = value.to_lowercase();
    let switch = matches!(lower.as_str(), "on" | "off");
    match option(name) {
        None => Err(unknown(name, location)),
        Some(Takes::Off(why)) if lower != "off" => Err(refused(name, value, why, location)),
        Some(Takes::Only(values, why)) if !values.contains(&lower.as_str()) => {
            Err(refused(name, value, why, location))
        }
        Some(Takes::Switch | Takes::List) if !switch => {
            let message = format!("Incorrect syntax near '{value}' (Msg 102): expected ON or OFF");
            Err(report::syntax(message, location))
        }
        Some(_) => Ok(()),
    }
}

/// `SET` as PostgreSQL's clients write it.
pub(super) fn postgres(set: Set, location: Location) -> Result<Statement> {
    let (name, value) = match set {
        Set::SingleAssignment { hivevar: false, variable, values, .. } => {
            let values: Vec<_> = values.iter().map(value_text).collect();
            (variable.to_string(), values.join(", "))
        }
        Set::SetSessionParam(SetSessionParamKind::Generic(generic)) => {
            (generic.names.join(", "), generic.value)
        }
        Set::SetTimeZone { value, .. } => ("timezone".into(), value_text(&value)),
        Set::SetNames { charset_name, .. } => ("names".into(), charset_name.value),
        Set::SetNamesDefault {} => ("names".into(), "default".into()),
        Set::SetTransaction { modes, .. } => {
            let modes: Vec<_> = modes.iter().map(ToString::to_string).collect();
            ("transaction".into(), modes.join(", "))
        }
        other => return Err(report::unsupported(other.to_string(), location)),
    };
    let name = name.to_lowercase();
    if name == "timezone" && !UTC.contains(&value.to_lowercase().as_str()) {
        return Err(refused(&name, &value, "times are always UTC", location));
    }
    if option(&name).is_some() {
        check_option(&name, &value, location)?;
    } else if !POSTGRES_SETTINGS.contains(&name.as_str()) {
        return Err(unknown(&name, location));
    }
    Ok(Statement::Set { name, value })
}

fn value_text(value: &Expr) -> String {
    match value {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => text.clone(),
            other => other.to_string(),
        },
        Expr::Identifier(ident) => ident.value.clone(),
        other => other.to_string(),
    }
}

fn refused(name: &str, value: &str, why: &str, location: Location) -> Error {
    let message = format!("SET {name} to '{value}' is not supported: {why}");
    report::at(Error::unsupported(message).sqlstate("0A000"), location)
}

fn unknown(name: &str, location: Location) -> Error {
    let known = OPTIONS.iter().map(|(name, _)| *name).chain(POSTGRES_SETTINGS.iter().copied());
    let message = format!(
        "'{name}' is not a recognized SET option (Msg 195){}",
        report::suggestion(crate::catalog::nearest(name, known))
    );
    report::invalid("42704", message, location)
}
