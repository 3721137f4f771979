//! `SELECT @s = @s + name FROM …`: each row goes on from the values that the
//! row before gave the variables, as SQL Server does it.
//!
//! Such a query comes apart in two: what the rows have, without the variables,
//! and a step from one row to the next, over one row's columns and the variables.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, BinaryOperator, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, SelectItem,
    SetExpr, Spanned, Value, VisitMut, VisitorMut, visit_expressions,
};
use datafusion::sql::sqlparser::dialect::MsSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Location, Span};

use super::functions::{self, Known, Rule};
use super::{Query, Session, report, resolve};
use crate::catalog::Catalog;
use crate::engine::functions::SqlType;
use crate::error::Result;

/// Assignments that depend on each other from row to row.
#[derive(Debug)]
pub struct Running {
    /// What each row has, in order. Its names are settled.
    pub rows: Box<ast::Query>,
    /// The variables, each once.
    pub variables: Vec<String>,
    /// Which variable each value is assigned to, one after the other.
    pub assigned: Vec<usize>,
    /// The values, over the rows' columns and the variables.
    values: Vec<Expr>,
    location: Location,
}

impl Query {
    /// The query in two parts, if a value depends on a variable that it assigns.
    pub fn running(
        &self,
        targets: &[String],
        catalog: &Catalog,
        session: &Session,
    ) -> Result<Option<Running>> {
        let mut tree = self.tree()?;
        let SetExpr::Select(select) = tree.body.as_mut() else { return Ok(None) };
        let mut variables: Vec<String> = Vec::new();
        let mut assigned = Vec::new();
        for target in targets {
            let target = target.to_lowercase();
            let known = variables.iter().position(|known| *known == target);
            assigned.push(known.unwrap_or(variables.len()));
            if known.is_none() {
                variables.push(target);
            }
        }
        let mut parts = Parts { variables, columns: Vec::new(), date_part: None };
        let items = select.projection.iter().filter_map(|item| match item {
            SelectItem::ExprWithAlias { expr, .. } => Some(expr.clone()),
            _ => None,
        });
        let mut values: Vec<Expr> = items.collect();
        if !values.iter().any(|value| parts.depends(value)) {
            return Ok(None);
        }
        for value in &mut values {
            if let ControlFlow::Break(what) = value.visit(&mut parts) {
                return Err(report::unsupported(what, self.location));
            }
        }
        let mut columns = std::mem::take(&mut parts.columns);
        if columns.is_empty() {
            columns.push(Expr::value(Value::Number("1".to_owned(), false)));
        }
        let columns = columns.into_iter().enumerate();
        select.projection = columns.map(|(at, expr)| item(expr, &column(at))).collect();
        resolve::query(&mut tree, catalog, session, self.location)?;
        let variables = parts.variables;
        Ok(Some(Running { rows: tree, variables, assigned, values, location: self.location }))
    }
}

impl Running {
    /// The step to the next row: a query of the new values over one row, whose
    /// columns are those of the rows, as nulls, and then the variables as they are.
    pub fn step(
        &self,
        types: &[SqlType],
        catalog: &Catalog,
        session: &Session,
    ) -> Result<Box<ast::Query>> {
        let nulls = types.iter().enumerate().map(|(at, data_type)| {
            let name = functions::text(&data_type.to_string());
            let null = functions::call("sql_convert", vec![name, Expr::value(Value::Null)]);
            item(null, &column(at))
        });
        let variables = self.variables.iter().enumerate().map(|(at, name)| {
            item(Expr::Identifier(Ident::new(name.clone())), &variable_column(at))
        });
        let mut tree = skeleton();
        let SetExpr::Select(select) = tree.body.as_mut() else { return Ok(tree) };
        if let Some(ast::TableFactor::Derived { subquery, .. }) =
            select.from.first_mut().map(|from| &mut from.relation)
            && let SetExpr::Select(inner) = subquery.body.as_mut()
        {
            inner.projection = nulls.chain(variables).collect();
        }
        let values = self.values.iter().zip(&self.assigned).enumerate();
        select.projection = values
            .map(|(at, (value, variable))| {
                let converted = session.converted(&self.variables[*variable], value.clone());
                item(converted, &format!("value{at}"))
            })
            .collect();
        resolve::query(&mut tree, catalog, session, self.location)?;
        Ok(tree)
    }
}

fn item(expr: Expr, alias: &str) -> SelectItem {
    SelectItem::ExprWithAlias { expr, alias: Ident::new(alias) }
}

fn column(at: usize) -> String {
    format!("row{at}")
}

fn variable_column(at: usize) -> String {
    format!("variable{at}")
}

fn skeleton() -> Box<ast::Query> {
    Parser::new(&MsSqlDialect {})
        .try_with_sql("SELECT 1 FROM (SELECT 1) AS step")
        .and_then(|mut parser| parser.parse_query())
        .expect("a query")
}

/// Takes what a row has by itself out of a value.
struct Parts {
    variables: Vec<String>,
    /// What was taken out.
    columns: Vec<Expr>,
    /// Where the date part of the last call stands, which is no column.
    date_part: Option<Span>,
}

impl Parts {
    fn variable(&self, expr: &Expr) -> Option<usize> {
        let Expr::Identifier(ident) = expr else { return None };
        self.variables.iter().position(|known| *known == ident.value.to_lowercase())
    }

    fn depends(&self, expr: &Expr) -> bool {
        visit_expressions(expr, |inner| match self.variable(inner) {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        })
        .is_break()
    }
}

impl VisitorMut for Parts {
    /// What is not supported.
    type Break = String;

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
        if let Some(at) = self.variable(expr) {
            *expr = Expr::Identifier(Ident::new(variable_column(at)));
            return ControlFlow::Continue(());
        }
        if self.depends(expr) {
            return match expr {
                Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => {
                    ControlFlow::Break("a query over a variable that is being assigned".into())
                }
                Expr::Function(function) if resolve::is_aggregate(function) => {
                    ControlFlow::Break("an aggregate of a variable that is being assigned".into())
                }
                Expr::Function(function) => {
                    self.date_part = date_part(function);
                    ControlFlow::Continue(())
                }
                _ => ControlFlow::Continue(()),
            };
        }
        let date_part = self.date_part.is_some_and(|place| place == expr.span());
        if date_part || is_kept(expr) {
            return ControlFlow::Continue(());
        }
        let name = Ident::new(column(self.columns.len()));
        self.columns.push(std::mem::replace(expr, Expr::Identifier(name)));
        ControlFlow::Continue(())
    }
}

/// Where the date part of a call stands.
fn date_part(function: &ast::Function) -> Option<Span> {
    let name = function.name.to_string().to_lowercase();
    let Some(Known { rule: Rule::Part(_), .. }) = functions::lookup(&name) else { return None };
    let FunctionArguments::List(list) = &function.args else { return None };
    match list.args.first()? {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(part)) => Some(part.span()),
        _ => None,
    }
}

/// Constants, and conditions, which are no columns; their operands may be.
fn is_kept(expr: &Expr) -> bool {
    use BinaryOperator as Op;
    match expr {
        Expr::Value(_) | Expr::TypedString(_) | Expr::Nested(_) => true,
        Expr::Identifier(ident) => ident.quote_style.is_none() && ident.value.starts_with('@'),
        Expr::BinaryOp { op, .. } => matches!(
            op,
            Op::Eq | Op::NotEq | Op::Lt | Op::LtEq | Op::Gt | Op::GtEq | Op::And | Op::Or
        ),
        Expr::UnaryOp { op, .. } => matches!(op, ast::UnaryOperator::Not),
        Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::InList { .. }
        | Expr::Between { .. }
        | Expr::Like { .. } => true,
        _ => false,
    }
}
