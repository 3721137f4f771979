//! `UNION`, `INTERSECT` and `EXCEPT`.

use datafusion::sql::sqlparser::ast::{
    Expr, Query, SelectItem, SetExpr, SetOperator, SetQuantifier,
};

use super::ranked::unique_names;
use super::scope::{Holds, Output, Scope};
use super::{Resolver, build, no_rows};
use crate::dialect::tsql::{functions, report};
use crate::error::Result;

impl Resolver<'_> {
    /// The body of a query. Chains of set operations lean to the left and are
    /// taken apart in a loop, so that a long one needs no deep stack.
    pub(super) fn set_expr(&mut self, body: &mut SetExpr) -> Result<Vec<Output>> {
        let mut others = Vec::new();
        let mut rest = std::mem::replace(body, SetExpr::Values(no_rows()));
        while let SetExpr::SetOperation { left, right, op, set_quantifier } = rest {
            self.check_set_operation(op, set_quantifier)?;
            self.check_set_operation(op, set_quantifier)?;
            others.push((op, set_quantifier, *right));
            rest = *left;
        }
        let mut outputs = self.operand(&mut rest)?;
        for (op, quantifier, mut right) in others.into_iter().rev() {
            let columns = self.operand(&mut right)?;
            self.same_width(&op.to_string(), outputs.len(), columns.len())?;
            for (i, (output, column)) in outputs.iter_mut().zip(&columns).enumerate() {
                // The code of a table beside its name is the name.
                if output.holds != column.holds {
                    name_codes(&mut rest, i, output.holds);
                    name_codes(&mut right, i, column.holds);
                    output.holds = Holds::Other;
                }
            }
            let counted = quantifier == SetQuantifier::All && op != SetOperator::Union;
            let combine = |left, right, set_quantifier| SetExpr::SetOperation {
                op,
                set_quantifier,
                left: Box::new(left),
                right: Box::new(right),
            };
            rest = if counted {
                let names = unique_names(&outputs);
                let both = combine(
                    numbered(rest, &names),
                    numbered(right, &unique_names(&columns)),
                    SetQuantifier::None,
                );
                let shown =
                    names.iter().map(|name| build::item(build::column(ROWS, name), name)).collect();
                build::body(build::select(shown, Some(build::derived(build::query(both), ROWS))))
            } else {
                combine(rest, right, quantifier)
            };
        }
        *body = rest;
        Ok(outputs)
    }

    /// An operand of a set operation, or the body of a query without one.
    pub(super) fn operand(&mut self, operand: &mut SetExpr) -> Result<Vec<Output>> {
        match operand {
            SetExpr::Select(select) if select.top.is_some() || select.distinct.is_some() => {
                // LIMIT belongs to a query: the operand becomes one.
                let body = std::mem::replace(operand, SetExpr::Values(no_rows()));
                let mut query = build::query(body);
                let outputs = self.query(&mut query)?;
                *operand = SetExpr::Query(query);
                Ok(outputs)
            }
            SetExpr::Select(select) => self.select(select, None),
            SetExpr::Query(query) => self.query(query),
            SetExpr::Values(_) => self.values(operand),
            SetExpr::SetOperation { .. } => self.set_expr(operand),
            SetExpr::Insert(_) => Err(report::read_only("INSERT", self.location)),
            SetExpr::Update(_) => Err(report::read_only("UPDATE", self.location)),
            SetExpr::Delete(_) => Err(report::read_only("DELETE", self.location)),
            SetExpr::Merge(_) => Err(report::read_only("MERGE", self.location)),
            SetExpr::Table(_) => Err(report::unsupported("TABLE", self.location)),
        }
    }

    /// `VALUES`: rows of one width. Where they depend on an outer row they are
    /// `SELECT`s.
    fn values(&mut self, operand: &mut SetExpr) -> Result<Vec<Output>> {
        let SetExpr::Values(values) = operand else { return Ok(Vec::new()) };
        let width = values.rows.first().map_or(0, |row| row.len());
        if values.rows.iter().any(|row| row.len() != width) {
            let message = "The number of columns for each row in a table value constructor must \
                           be the same (Msg 10709)";
            return Err(report::invalid("42601", message.to_owned(), self.location));
        }
        self.scopes.push(Scope::default());
        let resolved =
            values.rows.iter_mut().flat_map(|row| row.iter_mut()).try_for_each(|v| self.text_of(v));
        self.scopes.pop();
        resolved?;
        let outputs = (0..width)
            .map(|i| Output::named(format!("column{}", i + 1), Holds::Other))
            .collect::<Vec<_>>();
        if values.rows.iter().flat_map(|row| row.iter()).any(super::tables::depends) {
            let rows = std::mem::take(&mut values.rows).into_iter().map(|row| {
                let items = row.content.into_iter().zip(&outputs);
                let items = items.map(|(cell, output)| build::item(cell, &output.name)).collect();
                build::body(build::select(items, None))
            });
            let union = rows.reduce(|left, right| SetExpr::SetOperation {
                op: SetOperator::Union,
                set_quantifier: SetQuantifier::All,
                left: Box::new(left),
                right: Box::new(right),
            });
            *operand = union.unwrap_or_else(|| SetExpr::Values(no_rows()));
        }
        Ok(outputs)
    }

    pub(super) fn same_width(&self, op: &str, first: usize, other: usize) -> Result<()> {
        if first == other {
            return Ok(());
        }
        let message = format!(
            "All queries combined using a UNION, INTERSECT or EXCEPT operator must have an equal \
             number of expressions in their target lists (Msg 205): before {op} there are \
             {first}, after it {other}"
        );
        Err(report::invalid("42601", message, self.location))
    }

    fn check_set_operation(&self, op: SetOperator, quantifier: SetQuantifier) -> Result<()> {
        let offered = match quantifier {
            SetQuantifier::None | SetQuantifier::Distinct | SetQuantifier::All => {
                op != SetOperator::Minus
            }
            _ => false,
        };
        if offered {
            return Ok(());
        }
        let what = format!("{op} {quantifier}");
        Err(report::unsupported(what.trim_end(), self.location))
    }
}

const ROWS: &str = "numbered rows";

/// An operand whose equal rows are numbered, so that a distinct operation keeps
/// as many of them as `ALL` asks for.
fn numbered(operand: SetExpr, names: &[String]) -> SetExpr {
    let column = |name: &String| build::column("operand", name);
    let mut items: Vec<SelectItem> =
        names.iter().map(|name| build::item(column(name), name)).collect();
    let number =
        build::over("row_number", Vec::new(), names.iter().map(column).collect(), Vec::new());
    items.push(build::item(number, "row number"));
    let mut source = build::derived(build::query(operand), "operand");
    if let datafusion::sql::sqlparser::ast::TableFactor::Derived { alias: Some(alias), .. } =
        &mut source
    {
        alias.columns = names
            .iter()
            .map(|name| datafusion::sql::sqlparser::ast::TableAliasColumnDef {
                name: build::ident(name),
                data_type: None,
            })
            .collect();
    }
    build::body(build::select(items, Some(source)))
}

/// Puts the name of a table in place of its code in one column of an operand.
fn name_codes(operand: &mut SetExpr, index: usize, holds: Holds) {
    if holds != Holds::TableName {
        return;
    }
    match operand {
        SetExpr::Select(select) => {
            let Some(item) = select.projection.get_mut(index) else { return };
            let named = |expr: Expr| functions::call("sql_table_name", vec![expr]);
            *item = match item.clone() {
                SelectItem::ExprWithAlias { expr, alias } => {
                    SelectItem::ExprWithAlias { expr: named(expr), alias }
                }
                SelectItem::UnnamedExpr(expr) => {
                    let alias = match &expr {
                        Expr::CompoundIdentifier(parts) => parts.last().cloned(),
                        Expr::Identifier(ident) => Some(ident.clone()),
                        _ => None,
                    };
                    match alias {
                        Some(alias) => SelectItem::ExprWithAlias { expr: named(expr), alias },
                        None => SelectItem::UnnamedExpr(named(expr)),
                    }
                }
                other => other,
            };
        }
        SetExpr::Query(query) => {
            let inner: &mut Query = query;
            name_codes(&mut inner.body, index, holds);
        }
        SetExpr::SetOperation { left, right, .. } => {
            name_codes(left, index, holds);
            name_codes(right, index, holds);
        }
        _ => {}
    }
}
