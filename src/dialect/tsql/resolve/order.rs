//! `ORDER BY`: numbers of columns, aliases and expressions.

use datafusion::sql::sqlparser::ast::{Expr, OrderBy, OrderByExpr, OrderByKind, Value};

use super::Resolver;
use crate::dialect::tsql::report;
use crate::error::Result;

impl Resolver<'_> {
    /// Sort keys: numbers of output columns, aliases, or expressions.
    pub(super) fn order_by(&mut self, order_by: &mut OrderBy, width: usize) -> Result<()> {
        if order_by.interpolate.is_some() {
            return Err(report::unsupported("INTERPOLATE", self.location));
        }
        let OrderByKind::Expressions(keys) = &mut order_by.kind else {
            return Err(report::unsupported("ORDER BY ALL", self.location));
        };
        for key in keys {
            if let Expr::Value(value) = &key.expr
                && let Value::Number(number, _) = &value.value
            {
                let position: Option<usize> = number.parse().ok();
                if !position.is_some_and(|n| (1..=width).contains(&n)) {
                    let message = format!(
                        "The ORDER BY position number {number} is out of range of the \
                         {width} columns of the select list (Msg 108)"
                    );
                    return Err(report::invalid("42P10", message, value.span.start));
                }
            }
            // An alias hides a column of the same name here, and only here.
            if let Expr::Identifier(ident) = &key.expr
                && let Some(found) = self.scope().alias(ident)
            {
                if self.scope().aliased(ident) > 1 {
                    let message = format!("Ambiguous column name '{}' (Msg 209)", ident.value);
                    return Err(report::invalid("42702", message, report::start(ident)));
                }
                key.expr = found.expr;
                self.sort_options(key)?;
                continue;
            }
            self.sort_key(key)?;
        }
        Ok(())
    }

    /// A sort key inside an aggregate or window.
    pub(super) fn sort_key(&mut self, key: &mut OrderByExpr) -> Result<()> {
        self.expr(&mut key.expr)?;
        self.sort_options(key)
    }

    fn sort_options(&self, key: &OrderByExpr) -> Result<()> {
        match key.with_fill {
            Some(_) => Err(report::unsupported("WITH FILL", self.location)),
            None => Ok(()),
        }
    }
}
