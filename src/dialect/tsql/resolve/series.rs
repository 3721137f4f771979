//! `SELECT generate_series(…)`: a function of PostgreSQL that returns rows, in a
//! select list, as the table function beside the others that it means.

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArguments, Select, SelectItem, TableAlias, TableAliasColumnDef, TableFactor,
    TableWithJoins,
};
use datafusion::sql::sqlparser::tokenizer::Location;

use super::{build, grouping};
use crate::dialect::tsql::report;
use crate::error::Result;

/// The functions, in lower case.
const FUNCTIONS: &[&str] =
    &["generate_series", "regexp_split_to_table", "string_to_table", "unnest"];

/// The name of the table that such an item becomes; no query has it.
const ROWS: &str = "rows of an item";

/// Moves the function that returns rows from the list to `FROM`.
pub(super) fn to_tables(select: &mut Select, location: Location) -> Result<()> {
    let grouped = grouping::has_groups(select);
    let mut found = None;
    for item in &mut select.projection {
        let name = match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
                function_name(expr)
            }
            _ => None,
        };
        let Some(function) = name else { continue };
        if grouped || found.is_some() {
            let what = if grouped { "beside groups" } else { "twice in a list" };
            return Err(report::unsupported(format!("{function} {what}"), location));
        }
        let column = build::column(ROWS, function);
        let taken = match item {
            SelectItem::ExprWithAlias { expr, .. } => std::mem::replace(expr, column),
            SelectItem::UnnamedExpr(expr) => {
                let taken = expr.clone();
                *item = build::item(column, function);
                taken
            }
            _ => continue,
        };
        found = Some((function, taken));
    }
    if let Some((function, Expr::Function(call))) = found
        && let FunctionArguments::List(list) = call.args
    {
        let column = TableAliasColumnDef { name: build::ident(function), data_type: None };
        let alias = TableAlias { columns: vec![column], ..build::alias(ROWS) };
        let relation = TableFactor::Function {
            lateral: true,
            name: call.name,
            args: list.args,
            with_ordinality: false,
            alias: Some(alias),
        };
        select.from.push(TableWithJoins { relation, joins: Vec::new() });
    }
    Ok(())
}

fn function_name(expr: &Expr) -> Option<&'static str> {
    let Expr::Function(call) = expr else { return None };
    let [part] = call.name.0.as_slice() else { return None };
    let ident = part.as_ident()?;
    let plain = call.over.is_none() && matches!(call.args, FunctionArguments::List(_));
    FUNCTIONS.iter().find(|known| plain && known.eq_ignore_ascii_case(&ident.value)).copied()
}
