//! `VALUES` whose rows have different types. The engine wants one type of a column
//! before T-SQL's precedence has a say; as queries that are united, the rows have it.

use std::ops::ControlFlow;

use datafusion::common::DataFusionError;
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, Query, SelectItem, SetExpr, SetOperator, SetQuantifier, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

/// What the engine says of rows that do not go together.
const INCONSISTENT: &str = "Inconsistent data type across values list";

/// The query with its rows of values as queries; `None` if it was refused for
/// something else.
pub fn united(error: &DataFusionError, query: &Query) -> Option<Query> {
    if !matches!(error.find_root(), DataFusionError::Plan(what) if what.contains(INCONSISTENT)) {
        return None;
    }
    let mut query = query.clone();
    let _ = query.visit(&mut Rows);
    Some(query)
}

struct Rows;

impl VisitorMut for Rows {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        unite(&mut query.body);
        ControlFlow::Continue(())
    }
}

fn unite(body: &mut SetExpr) {
    match body {
        SetExpr::SetOperation { left, right, .. } => {
            unite(left);
            unite(right);
        }
        SetExpr::Values(values) => {
            let rows = std::mem::take(&mut values.rows).into_iter().map(|row| select(row.content));
            let union = rows.reduce(|left, right| SetExpr::SetOperation {
                op: SetOperator::Union,
                set_quantifier: SetQuantifier::All,
                left: Box::new(left),
                right: Box::new(right),
            });
            if let Some(union) = union {
                *body = union;
            }
        }
        _ => {}
    }
}

/// A row as a `SELECT`, its columns named as `VALUES` names them.
fn select(cells: Vec<Expr>) -> SetExpr {
    let parsed = Parser::new(&GenericDialect {})
        .try_with_sql("SELECT 1")
        .and_then(|mut parser| parser.parse_query());
    let mut body = *parsed.expect("a query").body;
    if let SetExpr::Select(select) = &mut body {
        let named = |(at, expr): (usize, Expr)| SelectItem::ExprWithAlias {
            expr,
            alias: Ident::new(format!("column{}", at + 1)),
        };
        select.projection = cells.into_iter().enumerate().map(named).collect();
    }
    body
}
