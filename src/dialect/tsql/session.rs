//! Which statements there are beside queries: `EXPLAIN`, transactions, and the
//! settings that scripts and clients send first. A setting that would change
//! an answer is refused; one that cannot is accepted.

use datafusion::sql::sqlparser::ast::{
    self, DescribeAlias, Expr, ObjectName, Set, SetSessionParamKind, Use, UtilityOption, Value,
};
use datafusion::sql::sqlparser::tokenizer::Location;

use super::syntax::Parsed;
use super::{Statement, report, resolve};
use crate::catalog::Catalog;
use crate::error::Result;

/// SQL Server's settings that have no effect on a read-only query here.
const TSQL_SETTINGS: &[&str] = &[
    "ansi_defaults",
    "ansi_null_dflt_off",
    "ansi_null_dflt_on",
    "ansi_nulls",
    "ansi_padding",
    "ansi_warnings",
    "arithabort",
    "arithignore",
    "concat_null_yields_null",
    "cursor_close_on_commit",
    "dateformat",
    "deadlock_priority",
    "implicit_transactions",
    "language",
    "lock_timeout",
    "nocount",
    "numeric_roundabort",
    "query_governor_cost_limit",
    "quoted_identifier",
    "statistics",
    "textsize",
    "xact_abort",
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
    "transaction",
];

/// Settings that are accepted with the one value that describes what is so.
const FIXED_SETTINGS: &[(&str, &[&str], &str)] = &[
    ("datefirst", &["7"], "weeks start on Sunday (7)"),
    ("rowcount", &["0"], "write TOP instead"),
    ("fmtonly", &["off"], "queries are always run"),
    ("noexec", &["off"], "queries are always run"),
    ("parseonly", &["off"], "queries are always run"),
    ("showplan_all", &["off"], "write EXPLAIN instead"),
    ("showplan_text", &["off"], "write EXPLAIN instead"),
    ("showplan_xml", &["off"], "write EXPLAIN instead"),
    ("timezone", &["utc", "etc/utc", "gmt", "0", "default"], "times are always UTC"),
];

/// Judges one parsed statement.
pub(super) fn statement(parsed: Parsed, catalog: &Catalog) -> Result<Statement> {
    let Parsed { statement, keyword, location } = parsed;
    match statement {
        ast::Statement::Query(mut query) => {
            resolve::query(&mut query, catalog, location)?;
            Ok(Statement::Query(query))
        }
        ast::Statement::Explain {
            describe_alias: DescribeAlias::Explain,
            analyze,
            verbose,
            query_plan: false,
            estimate: false,
            statement,
            format: None,
            options,
        } => {
            let (analyze, verbose) = explain_options(options, analyze, verbose, location)?;
            let ast::Statement::Query(mut query) = *statement else {
                return Err(report::unsupported("EXPLAIN of anything but a query", location));
            };
            resolve::query(&mut query, catalog, location)?;
            Ok(Statement::Explain { query, analyze, verbose })
        }
        ast::Statement::Set(set) => self::set(set, location),
        ast::Statement::ShowVariable { variable } => {
            let words: Vec<_> = variable.iter().map(|w| w.value.to_lowercase()).collect();
            Ok(Statement::Show { name: words.join(" ") })
        }
        ast::Statement::Reset(_) => Ok(Statement::Reset { command: "RESET" }),
        ast::Statement::Discard { .. } => Ok(Statement::Reset { command: "DISCARD ALL" }),
        ast::Statement::Use(Use::Object(name)) => use_database(&name, location),
        ast::Statement::StartTransaction { statements, exception: None, .. }
            if statements.is_empty() =>
        {
            Ok(Statement::Begin)
        }
        ast::Statement::Commit { .. } => Ok(Statement::Commit),
        ast::Statement::Rollback { savepoint: None, .. } => Ok(Statement::Rollback),
        ast::Statement::Insert(_) => Err(report::read_only("INSERT", location)),
        ast::Statement::Update(_) => Err(report::read_only("UPDATE", location)),
        ast::Statement::Delete(_) => Err(report::read_only("DELETE", location)),
        ast::Statement::Merge(_) => Err(report::read_only("MERGE", location)),
        ast::Statement::StartTransaction { .. } => {
            Err(report::unsupported("BEGIN … END", location))
        }
        _ => Err(report::unsupported(format!("the statement {keyword}"), location)),
    }
}

/// `EXPLAIN (ANALYZE, VERBOSE) …` as PostgreSQL's clients write it.
fn explain_options(
    options: Option<Vec<UtilityOption>>,
    mut analyze: bool,
    mut verbose: bool,
    location: Location,
) -> Result<(bool, bool)> {
    for option in options.into_iter().flatten() {
        let on = match &option.arg {
            None => true,
            Some(arg) => !matches!(arg.to_string().to_lowercase().as_str(), "false" | "off" | "0"),
        };
        match option.name.value.to_lowercase().as_str() {
            "analyze" => analyze = on,
            "verbose" => verbose = on,
            "costs" | "timing" | "summary" | "buffers" => {}
            _ => {
                return Err(report::unsupported(format!("EXPLAIN ({option})"), location));
            }
        }
    }
    Ok((analyze, verbose))
}

fn set(set: Set, location: Location) -> Result<Statement> {
    let (name, value) = match set {
        Set::SingleAssignment { hivevar: false, variable, values, .. } => {
            if let Some(name) = variable_name(&variable) {
                return Err(report::unsupported(format!("SET {name} = …"), location));
            }
            let values: Vec<_> = values.iter().map(value_text).collect();
            (variable.to_string(), values.join(", "))
        }
        Set::SetSessionParam(SetSessionParamKind::Generic(generic)) => {
            for name in &generic.names {
                check_setting(&name.to_lowercase(), &generic.value, location)?;
            }
            (generic.names.join(", "), generic.value)
        }
        Set::SetSessionParam(SetSessionParamKind::Statistics(statistics)) => {
            let statistics = statistics.to_string().to_lowercase();
            return Ok(Statement::Set { name: "statistics".into(), value: statistics });
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
    if !name.contains(',') {
        check_setting(&name, &value, location)?;
    }
    Ok(Statement::Set { name, value })
}

fn variable_name(variable: &ObjectName) -> Option<String> {
    Some(variable.to_string()).filter(|name| name.starts_with('@'))
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

fn check_setting(name: &str, value: &str, location: Location) -> Result<()> {
    if TSQL_SETTINGS.contains(&name) || POSTGRES_SETTINGS.contains(&name) {
        return Ok(());
    }
    if let Some((_, values, why)) = FIXED_SETTINGS.iter().find(|(fixed, ..)| *fixed == name) {
        if values.contains(&value.to_lowercase().as_str()) {
            return Ok(());
        }
        return Err(report::at(
            crate::error::Error::unsupported(format!(
                "SET {name} to '{value}' is not supported: {why}"
            ))
            .sqlstate("0A000"),
            location,
        ));
    }
    let known = TSQL_SETTINGS
        .iter()
        .chain(POSTGRES_SETTINGS)
        .copied()
        .chain(FIXED_SETTINGS.iter().map(|(name, ..)| *name));
    let message = format!(
        "'{name}' is not a recognized SET option (Msg 195){}",
        report::suggestion(crate::catalog::nearest(name, known))
    );
    Err(report::invalid("42704", message, location))
}

fn use_database(name: &ObjectName, location: Location) -> Result<Statement> {
    let is_this = match name.0.as_slice() {
        [part] => part.as_ident().is_some_and(|i| i.value.eq_ignore_ascii_case("sysjob")),
        _ => false,
    };
    if is_this {
        return Ok(Statement::Use);
    }
    let message = format!("USE {name} is not supported (Msg 40508); the only database is 'sysjob'");
    Err(report::at(crate::error::Error::unsupported(message).sqlstate("3D000"), location))
}
