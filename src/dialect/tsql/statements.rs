//! Which statements there are beside queries: `EXPLAIN`, transactions, and what
//! tools send around them.

use datafusion::sql::sqlparser::ast::{
    self, AnalyzeFormat, AnalyzeFormatKind, BinaryOperator, DescribeAlias, Expr, ObjectName,
    SelectItem, SetExpr, Use, UtilityOption,
};
use datafusion::sql::sqlparser::tokenizer::Location;

use super::syntax::Parsed;
use super::{Statement, report, settings};
use crate::error::{Error, Result};

/// Judges one parsed statement.
pub(super) fn statement(parsed: Parsed) -> Result<Statement> {
    let Parsed { statement, query, keyword, location } = parsed;
    match statement {
        ast::Statement::Query(mut tree) => Ok(match assigned(&mut tree, location)? {
            Some(variables) => Statement::Fetch { variables, query },
            None => Statement::Query(query),
        }),
        ast::Statement::Explain {
            describe_alias: DescribeAlias::Explain,
            analyze,
            verbose,
            query_plan: false,
            estimate: false,
            statement,
            format,
            options,
        } => {
            let json = match format {
                None => false,
                Some(AnalyzeFormatKind::Keyword(AnalyzeFormat::TEXT)) => false,
                Some(AnalyzeFormatKind::Keyword(AnalyzeFormat::JSON)) => true,
                Some(other) => {
                    return Err(report::unsupported(format!("EXPLAIN {other}"), location));
                }
            };
            let (analyze, verbose) = explain_options(options, analyze, verbose, location)?;
            if !matches!(*statement, ast::Statement::Query(_)) {
                return Err(report::unsupported("EXPLAIN of anything but a query", location));
            }
            Ok(Statement::Explain { query, analyze, verbose, json })
        }
        ast::Statement::Set(set) => settings::postgres(set, location),
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
        _ => Err(report::unsupported(format!("the statement {keyword}"), location)),
    }
}

/// The variables of `SELECT @a = …`, whose items become plain values. Such a
/// `SELECT` assigns with all its columns, and is no part of another query.
pub(super) fn assigned(tree: &mut ast::Query, location: Location) -> Result<Option<Vec<String>>> {
    let SetExpr::Select(select) = tree.body.as_mut() else { return Ok(None) };
    select.projection.iter_mut().for_each(name_assignment);
    let variable = |item: &SelectItem| match item {
        SelectItem::ExprWithAlias { alias, .. }
            if alias.quote_style.is_none() && alias.value.starts_with('@') =>
        {
            Some(alias.value.clone())
        }
        _ => None,
    };
    let variables: Vec<String> = select.projection.iter().filter_map(variable).collect();
    if variables.is_empty() {
        return Ok(None);
    }
    if variables.len() < select.projection.len() || select.into.is_some() {
        let message = "A SELECT statement that assigns a value to a variable must not be \
                       combined with data-retrieval operations (Msg 141)";
        return Err(report::invalid("42000", message.to_owned(), location));
    }
    for (at, item) in select.projection.iter_mut().enumerate() {
        if let SelectItem::ExprWithAlias { alias, .. } = item {
            alias.value = format!("value{at}");
        }
    }
    Ok(Some(variables))
}

/// `@a = x` is an assignment in PostgreSQL's grammar too, where it reads as a
/// comparison.
fn name_assignment(item: &mut SelectItem) {
    if let SelectItem::UnnamedExpr(Expr::BinaryOp { left, op: BinaryOperator::Eq, right }) = item
        && let Expr::Identifier(alias) = left.as_ref()
        && alias.quote_style.is_none()
        && alias.value.starts_with('@')
    {
        let expr = std::mem::replace(right.as_mut(), Expr::value(ast::Value::Null));
        *item = SelectItem::ExprWithAlias { expr, alias: alias.clone() };
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
            "costs" | "timing" | "summary" | "buffers" | "wal" | "settings" | "memory"
            | "generic_plan" => {}
            "format" if format_is_text(&option) => {}
            _ => {
                return Err(report::unsupported(format!("EXPLAIN ({option})"), location));
            }
        }
    }
    Ok((analyze, verbose))
}

fn format_is_text(option: &UtilityOption) -> bool {
    option.arg.as_ref().is_some_and(|arg| arg.to_string().eq_ignore_ascii_case("text"))
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
    Err(report::at(Error::unsupported(message).sqlstate("3D000"), location))
}
