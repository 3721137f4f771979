//! Functions and lists in `FROM`, as PostgreSQL has them: a function that returns
//! one value is a row, and its alias names the column too.

use datafusion::sql::sqlparser::ast::{
    Expr, Query, Select, SetExpr, Statement, TableAliasColumnDef, TableFactor,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

/// Functions that DataFusion or the catalogs have as tables.
const OF_ROWS: &[&str] = &["generate_series", "pg_get_keywords", "range", "unnest"];

/// No table has partitions.
const NO_PARTITIONS: &str =
    "SELECT 0 AS relid, 0 AS parentrelid, false AS isleaf, 0 AS level WHERE false";

/// Rewrites the `FROM` of a `SELECT`.
pub fn functions(select: &mut Select) {
    for item in &mut select.from {
        function(&mut item.relation);
        item.joins.iter_mut().for_each(|join| function(&mut join.relation));
        let mut at = 0;
        while at < item.joins.len() {
            match unnested(&item.relation, &item.joins[at].relation) {
                Some(table) => {
                    item.relation = table;
                    item.joins.remove(at);
                }
                None => at += 1,
            }
        }
    }
}

fn function(factor: &mut TableFactor) {
    let TableFactor::Table { name, alias: Some(alias), args: Some(args), .. } = factor else {
        return;
    };
    let Some(last) = name.0.last().and_then(|n| n.as_ident()) else { return };
    let known = OF_ROWS.contains(&last.value.to_lowercase().as_str());
    if known && alias.columns.is_empty() {
        alias.columns.push(TableAliasColumnDef::from_name(alias.name.value.clone()));
    } else if !known {
        let arguments: Vec<String> = args.args.iter().map(ToString::to_string).collect();
        let column = alias.columns.first().map_or(&alias.name, |column| &column.name);
        let text = match last.value.to_lowercase().as_str() {
            "pg_partition_tree" => NO_PARTITIONS.to_owned(),
            _ => format!("SELECT {last}({}) AS {column}", arguments.join(", ")),
        };
        if let Some(query) = query(&text) {
            let alias = Some(alias.clone());
            *factor = TableFactor::Derived { lateral: false, subquery: query, alias, sample: None };
        }
    }
}

/// A table joined with the elements of a list in one of its columns is the table
/// with the elements as a column.
fn unnested(table: &TableFactor, list: &TableFactor) -> Option<TableFactor> {
    let TableFactor::Table { name, alias, args: None, .. } = table else { return None };
    let TableFactor::UNNEST { alias: Some(elements), array_exprs, .. } = list else { return None };
    let column = match array_exprs.as_slice() {
        [Expr::Identifier(column)] => column,
        [Expr::CompoundIdentifier(names)] => names.last()?,
        _ => return None,
    };
    let element = elements.columns.first().map_or(&elements.name, |column| &column.name);
    let subquery = query(&format!("SELECT *, unnest({column}) AS {element} FROM {name}"))?;
    Some(TableFactor::Derived { lateral: false, subquery, alias: alias.clone(), sample: None })
}

/// The query of a text made of parts of a parsed one.
pub fn query(text: &str) -> Option<Box<Query>> {
    match Parser::parse_sql(&PostgreSqlDialect {}, text).ok()?.pop()? {
        Statement::Query(query) if matches!(*query.body, SetExpr::Select(_)) => Some(query),
        _ => None,
    }
}
