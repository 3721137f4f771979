//! A query of a script: its tokens, parsed anew each time its turn comes.
//!
//! A syntax tree is not kept, because a copy of a deep one needs a deep stack,
//! and a query in a loop or a prepared statement is settled more than once.

use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{
    self, BinaryOperator, CastKind, CharacterLength, DataType, Expr, Ident, SelectItem, SetExpr,
    Setting, Value,
};
use datafusion::sql::sqlparser::dialect::{Dialect, MsSqlDialect, PostgreSqlDialect};
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Location, TokenWithSpan};

use super::grammar::TSql;
use super::{Session, named_value, report, resolve, statements};
use crate::catalog::Catalog;
use crate::error::{Error, Result};

/// Whose grammar a text is read with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grammar {
    TSql,
    Postgres,
}

impl Grammar {
    pub fn dialect(self) -> &'static dyn Dialect {
        match self {
            Self::TSql => &TSql,
            Self::Postgres => &PostgreSqlDialect {},
        }
    }
}

/// What the tokens of a query are, and what is asked of them.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    /// A whole statement.
    Whole,
    /// The value of one item of its select list.
    Item(usize),
    /// An expression.
    Value,
    /// An expression as text.
    Text,
    /// A row if an expression holds, else none.
    Condition,
    /// The right side of `@a += …`.
    Compound { variable: Ident, op: BinaryOperator },
}

/// A query that was parsed; its names are not settled.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    pub(super) tokens: Arc<[TokenWithSpan]>,
    pub(super) grammar: Grammar,
    pub(super) part: Part,
    /// Where its statement starts.
    pub(super) location: Location,
    /// `OPTION (MAXRECURSION n)`.
    pub(super) option: Option<Setting>,
}

impl Query {
    /// Settles all names, or reports the first thing that is wrong: which word,
    /// where, and what was probably meant. Variables become their values.
    pub fn resolve(&self, catalog: &Catalog, session: &Session) -> Result<Box<ast::Query>> {
        self.resolve_headed(catalog, session).map(|(tree, _)| tree)
    }

    /// The same, and the headings of the columns, of which several may be alike.
    pub fn resolve_headed(
        &self,
        catalog: &Catalog,
        session: &Session,
    ) -> Result<(Box<ast::Query>, Vec<String>)> {
        let mut tree = self.tree()?;
        let headings = resolve::query(&mut tree, catalog, session, self.location)?;
        Ok((tree, headings))
    }

    /// The same for a query whose columns are assigned to variables.
    pub fn resolve_for(
        &self,
        variables: &[String],
        catalog: &Catalog,
        session: &Session,
    ) -> Result<Box<ast::Query>> {
        let mut tree = self.tree()?;
        if let SetExpr::Select(select) = tree.body.as_mut() {
            for (item, variable) in select.projection.iter_mut().zip(variables) {
                if let SelectItem::ExprWithAlias { expr, .. } = item {
                    let value = std::mem::replace(expr, Expr::value(Value::Null));
                    *expr = session.converted(variable, value);
                }
            }
        }
        resolve::query(&mut tree, catalog, session, self.location)?;
        Ok(tree)
    }

    /// The same for a query whose one value is converted to a type.
    pub fn resolve_as(
        &self,
        data_type: &DataType,
        catalog: &Catalog,
        session: &Session,
    ) -> Result<Box<ast::Query>> {
        let mut tree = self.tree()?;
        if let SetExpr::Select(select) = tree.body.as_mut()
            && let Some(SelectItem::ExprWithAlias { expr, .. }) = select.projection.first_mut()
        {
            let value = std::mem::replace(expr, Expr::value(Value::Null));
            *expr = super::session::cast(value, data_type.clone());
        }
        resolve::query(&mut tree, catalog, session, self.location)?;
        Ok(tree)
    }

    /// An error of planning or running the query, with the place of the literal that it
    /// is about.
    pub fn placed(&self, mut error: Error) -> Error {
        if let Some(place) = named_value::place(&error.message, &self.tokens) {
            error.place = None;
            return report::at(error, place);
        }
        error
    }

    /// The syntax tree.
    pub(super) fn tree(&self) -> Result<Box<ast::Query>> {
        let tokens = self.tokens.to_vec();
        let mut parser = Parser::new(self.grammar.dialect()).with_tokens_with_locations(tokens);
        // These tokens were parsed before.
        let again = |e| report::syntax(format!("Incorrect syntax (Msg 102): {e}"), self.location);
        match &self.part {
            Part::Whole | Part::Item(_) => {
                let mut statement = parser.parse_statement().map_err(again)?;
                if let ast::Statement::Explain { statement: inner, .. } = statement {
                    statement = *inner;
                }
                let ast::Statement::Query(mut tree) = statement else {
                    return Err(report::unsupported("anything but a query", self.location));
                };
                statements::assigned(&mut tree, self.location)?;
                if let Part::Item(at) = self.part {
                    return Ok(select(item(&mut tree, at)));
                }
                tree.settings = self.option.clone().map(|option| vec![option]);
                Ok(tree)
            }
            part => {
                let expr = parser.parse_expr().map_err(again)?;
                let Part::Condition = part else { return Ok(select(part.of(expr))) };
                // Only in WHERE may a condition be any: EXISTS, IN (SELECT …).
                let mut tree = select(Expr::value(Value::Number("1".into(), false)));
                if let SetExpr::Select(select) = tree.body.as_mut() {
                    select.selection = Some(expr);
                }
                Ok(tree)
            }
        }
    }
}

impl Part {
    /// The value that is asked of an expression.
    fn of(&self, expr: Expr) -> Expr {
        match self {
            Self::Text => Expr::Cast {
                kind: CastKind::Cast,
                expr: Box::new(expr),
                data_type: DataType::Nvarchar(Some(CharacterLength::Max)),
                array: false,
                format: None,
            },
            Self::Compound { variable, op } => Expr::BinaryOp {
                left: Box::new(Expr::Identifier(variable.clone())),
                op: op.clone(),
                right: Box::new(Expr::Nested(Box::new(expr))),
            },
            Self::Whole | Self::Item(_) | Self::Value | Self::Condition => expr,
        }
    }
}

/// The value of an item of a select list.
fn item(tree: &mut ast::Query, at: usize) -> Expr {
    let null = Expr::value(Value::Null);
    let SetExpr::Select(select) = tree.body.as_mut() else { return null };
    match select.projection.get_mut(at) {
        Some(SelectItem::ExprWithAlias { expr, .. }) => std::mem::replace(expr, null),
        _ => null,
    }
}

/// `SELECT value`.
fn select(value: Expr) -> Box<ast::Query> {
    let mut query = Parser::new(&MsSqlDialect {})
        .try_with_sql("SELECT 1")
        .and_then(|mut parser| parser.parse_query())
        .expect("a query");
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.projection =
            vec![SelectItem::ExprWithAlias { expr: value, alias: Ident::new("value") }];
    }
    query
}
