//! What the `sql` option takes and what it refuses.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Distinct, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr,
    Ident, JoinConstraint, JoinOperator, LimitClause, OrderByKind, Query, Select, SelectItem,
    SetExpr, TableFactor, UnaryOperator,
};
use datafusion::sql::sqlparser::tokenizer::Location;

use super::{Sources, aggregate_of, is_column, name_of, sources};
use crate::catalog::Catalog;
use crate::dialect::tsql::report;
use crate::error::Result;

/// Functions of constants.
const FUNCTIONS: [&str; 2] = ["dateadd", "getutcdate"];

pub(super) struct Check {
    pub location: Location,
}

impl Check {
    pub fn refuse<T>(&self, what: impl std::fmt::Display) -> Result<T> {
        Err(report::unsupported(format!("{what} in a sql query of the Web API"), self.location))
    }

    pub fn query(&self, query: &Query, catalog: &Catalog) -> Result<Sources> {
        if query.with.is_some() {
            return self.refuse("WITH");
        }
        let select = match query.body.as_ref() {
            SetExpr::Select(select) => select,
            SetExpr::SetOperation { op, .. } => return self.refuse(op),
            _ => return self.refuse("anything but SELECT"),
        };
        match &query.limit_clause {
            None | Some(LimitClause::LimitOffset { limit: None, .. }) => {}
            Some(_) => return self.refuse("LIMIT (write TOP or OFFSET … FETCH)"),
        }
        self.select(select, catalog)?;
        let Some(order) = &query.order_by else { return sources(select, catalog) };
        let OrderByKind::Expressions(keys) = &order.kind else {
            return self.refuse("ORDER BY ALL");
        };
        if let Some(key) = keys.iter().find(|key| !is_column(&key.expr)) {
            return self.refuse(format!("ORDER BY {} (only columns)", key.expr));
        }
        sources(select, catalog)
    }

    fn select(&self, select: &Select, catalog: &Catalog) -> Result<()> {
        if matches!(select.distinct, Some(Distinct::On(_))) {
            return self.refuse("DISTINCT ON");
        }
        if select.having.is_some() {
            return self.refuse("HAVING");
        }
        for item in &select.projection {
            match item {
                SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
                    self.output(expr)?;
                }
                SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => {
                    return self.refuse("SELECT * (name the columns)");
                }
                other => return self.refuse(other),
            }
        }
        match &select.group_by {
            GroupByExpr::Expressions(keys, _) => {
                if let Some(key) = keys.iter().find(|key| !is_column(key)) {
                    return self.refuse(format!("GROUP BY {key} (only columns)"));
                }
            }
            GroupByExpr::All(_) => return self.refuse("GROUP BY ALL"),
        }
        let [from] = select.from.as_slice() else {
            return self.refuse("FROM with other than one table (write JOIN)");
        };
        self.table(&from.relation)?;
        for join in &from.joins {
            self.table(&join.relation)?;
            let constraint = match &join.join_operator {
                JoinOperator::Join(c)
                | JoinOperator::Inner(c)
                | JoinOperator::Left(c)
                | JoinOperator::LeftOuter(c) => c,
                JoinOperator::Right(_) | JoinOperator::RightOuter(_) => {
                    return self.refuse("RIGHT JOIN");
                }
                JoinOperator::FullOuter(_) => return self.refuse("FULL JOIN"),
                JoinOperator::CrossJoin(_) => return self.refuse("CROSS JOIN"),
                _ => return self.refuse("a join other than INNER and LEFT"),
            };
            let JoinConstraint::On(on) = constraint else {
                return self.refuse("a join without ON");
            };
            let joined = name_of(&join.relation, catalog).0;
            self.on(on, &joined)?;
        }
        select.selection.as_ref().map_or(Ok(()), |filter| self.condition(filter))
    }

    fn table(&self, table: &TableFactor) -> Result<()> {
        match table {
            TableFactor::Table { .. } => Ok(()),
            TableFactor::Derived { .. } => self.refuse("a subquery"),
            _ => self.refuse(format!("FROM {table}")),
        }
    }

    /// A column, or an aggregate of one.
    fn output(&self, expr: &Expr) -> Result<()> {
        if is_column(expr) {
            return Ok(());
        }
        match expr {
            Expr::Function(function) if function.over.is_some() => self.refuse("OVER"),
            Expr::Function(_) if aggregate_of(expr).is_some() => Ok(()),
            Expr::Case { .. } => self.refuse("CASE"),
            Expr::Subquery(_) => self.refuse("a subquery"),
            _ => self.refuse(format!("'{expr}' after SELECT (only columns and aggregates)")),
        }
    }

    /// `a.x = b.y`, and then conditions on the joined table.
    fn on(&self, on: &Expr, joined: &str) -> Result<()> {
        let mut parts = Vec::new();
        conjuncts(on, &mut parts);
        let (equal, filters): (Vec<&Expr>, Vec<&Expr>) =
            parts.into_iter().partition(|part| is_join(part));
        if equal.len() != 1 {
            return self.refuse(format!("ON {on} (one column = another)"));
        }
        for filter in filters {
            self.condition(filter)?;
            let mut columns = Vec::new();
            columns_of(filter, &mut columns);
            for column in columns {
                let of = column.len().checked_sub(2).map(|i| column[i].value.as_str());
                if of.is_some_and(|of| !of.eq_ignore_ascii_case(joined)) {
                    return self.refuse(format!("ON {filter} (only on the joined table)"));
                }
            }
        }
        Ok(())
    }

    fn condition(&self, expr: &Expr) -> Result<()> {
        use BinaryOperator::{And, Eq, Gt, GtEq, Lt, LtEq, NotEq, Or};
        match expr {
            Expr::Nested(inner) => self.condition(inner),
            Expr::BinaryOp { left, op: And | Or, right } => {
                self.condition(left)?;
                self.condition(right)
            }
            Expr::BinaryOp { left, op: Eq | NotEq | Gt | GtEq | Lt | LtEq, right } => {
                self.compared(expr, left, &[right])
            }
            Expr::Like { expr: column, pattern, any: false, .. } => {
                self.compared(expr, column, &[pattern])
            }
            Expr::InList { expr: column, list, .. } => {
                self.compared(expr, column, &list.iter().collect::<Vec<_>>())
            }
            Expr::Between { expr: column, low, high, .. } => {
                self.compared(expr, column, &[low, high])
            }
            Expr::IsNull(column) | Expr::IsNotNull(column) => self.compared(expr, column, &[]),
            Expr::InSubquery { .. } | Expr::Exists { .. } | Expr::Subquery(_) => {
                self.refuse("a subquery")
            }
            Expr::UnaryOp { op: UnaryOperator::Not, .. } => self.refuse("NOT (…)"),
            _ => self.refuse(format!("the condition '{expr}'")),
        }
    }

    /// A column beside constants.
    fn compared(&self, whole: &Expr, column: &Expr, values: &[&Expr]) -> Result<()> {
        if is_constant(column) && values.iter().all(|v| is_constant(v)) {
            return self.refuse(format!("'{whole}', which compares constants,"));
        }
        if !is_column(column) {
            return self.refuse(format!("'{column}' on the left of a condition"));
        }
        match values.iter().find(|value| !is_constant(value)) {
            None => Ok(()),
            Some(other) if is_column(other) => {
                self.refuse(format!("'{whole}', which compares columns,"))
            }
            Some(Expr::Subquery(_)) => self.refuse("a subquery"),
            Some(other) => self.refuse(format!("'{other}' as a constant")),
        }
    }
}

fn is_constant(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) => is_constant(inner),
        Expr::Value(_) | Expr::TypedString(_) => true,
        Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus, expr } => is_constant(expr),
        Expr::Function(function) => {
            let known = FUNCTIONS.contains(&function.name.to_string().to_lowercase().as_str());
            known
                && arguments(&function.args).is_some_and(|arguments| {
                    // The first argument of DATEADD is the name of a part of a date.
                    arguments
                        .iter()
                        .enumerate()
                        .all(|(i, a)| (i == 0 && is_column(a)) || is_constant(a))
                })
        }
        _ => false,
    }
}

fn arguments(arguments: &FunctionArguments) -> Option<Vec<&Expr>> {
    match arguments {
        FunctionArguments::None => Some(Vec::new()),
        FunctionArguments::List(list) => list
            .args
            .iter()
            .map(|argument| match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
                _ => None,
            })
            .collect(),
        FunctionArguments::Subquery(_) => None,
    }
}

fn conjuncts<'e>(expr: &'e Expr, parts: &mut Vec<&'e Expr>) {
    match expr {
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            conjuncts(left, parts);
            conjuncts(right, parts);
        }
        Expr::Nested(inner) if is_join(inner) => parts.push(inner),
        other => parts.push(other),
    }
}

fn is_join(expr: &Expr) -> bool {
    matches!(expr, Expr::BinaryOp { left, op: BinaryOperator::Eq, right }
        if is_column(left) && is_column(right))
}

/// The names of the columns in a condition that has been checked.
fn columns_of<'e>(expr: &'e Expr, columns: &mut Vec<&'e [Ident]>) {
    match expr {
        Expr::CompoundIdentifier(parts) => columns.push(parts),
        Expr::BinaryOp { left, right, .. } => {
            columns_of(left, columns);
            columns_of(right, columns);
        }
        Expr::Nested(inner) | Expr::IsNull(inner) | Expr::IsNotNull(inner) => {
            columns_of(inner, columns);
        }
        Expr::Like { expr, .. } | Expr::InList { expr, .. } | Expr::Between { expr, .. } => {
            columns_of(expr, columns);
        }
        _ => {}
    }
}
