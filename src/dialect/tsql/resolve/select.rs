//! One `SELECT`: its clauses in the order in which names come into sight, and
//! the headings of its columns.

use std::collections::HashMap;

use datafusion::sql::sqlparser::ast::{
    DataType, Distinct, Expr, Ident, OrderBy, Select, SelectItem, SelectItemQualifiedWildcardKind,
    SetExpr, TrimWhereField, WildcardAdditionalOptions,
};

use super::expr::holds;
use super::scope::{Clause, Holds, Output, Scope, Source, same};
use super::{Resolver, foreign_clause, series};
use crate::dialect::tsql::report;
use crate::error::Result;

impl Resolver<'_> {
    /// Resolves a `SELECT` and the `ORDER BY` of its query.
    pub(super) fn select(
        &mut self,
        select: &mut Select,
        order_by: Option<&mut OrderBy>,
    ) -> Result<Vec<Output>> {
        self.location = select.select_token.0.span.start;
        if let Some(into) = &select.into {
            return Err(report::read_only(&format!("SELECT … {into}"), self.location));
        }
        if let Some(clause) = foreign_clause(select) {
            return Err(report::unsupported(clause, self.location));
        }
        if select.projection.is_empty() {
            let message = "Incorrect syntax (Msg 156): the list after SELECT is empty";
            return Err(report::syntax(message, self.location));
        }
        series::to_tables(select, self.location)?;
        let sources = self.from(&mut select.from)?;
        self.scopes.push(Scope { sources, ..Scope::default() });
        let outputs = self.select_in_scope(select, order_by);
        self.scopes.pop();
        outputs
    }

    fn select_in_scope(
        &mut self,
        select: &mut Select,
        order_by: Option<&mut OrderBy>,
    ) -> Result<Vec<Output>> {
        if let Some(selection) = &mut select.selection {
            self.clause(Clause::Where);
            self.expr(selection)?;
        }
        self.clause(Clause::Select);
        self.define_windows(std::mem::take(&mut select.named_window))?;
        let (outputs, aliases) = self.projection(&mut select.projection)?;
        // T-SQL sees aliases in ORDER BY only, PostgreSQL in GROUP BY too;
        // a column of the tables wins there, so that T-SQL's meaning stands.
        self.scope().aliases = aliases;
        if let Some(Distinct::On(exprs)) = &mut select.distinct {
            for expr in exprs {
                if let Some(item) = super::ranked::item_behind(expr, &select.projection) {
                    *expr = item;
                } else {
                    self.expr(expr)?;
                }
            }
        }
        self.clause(Clause::GroupBy);
        self.group_by(select)?;
        if let Some(having) = &mut select.having {
            self.clause(Clause::Having);
            self.expr(having)?;
        }
        if let Some(order_by) = order_by {
            self.clause(Clause::OrderBy);
            self.order_by(order_by, outputs.len())?;
            self.check_groups(select, Some(order_by))?;
            self.check_order(select, Some(order_by))?;
        } else {
            self.check_groups(select, None)?;
        }
        Ok(outputs)
    }

    pub(super) fn scope(&mut self) -> &mut Scope {
        self.scopes.last_mut().expect("called while a SELECT is being resolved")
    }

    /// The select list with `*` written out and every column named; all outputs,
    /// and those named by an alias.
    fn projection(&mut self, items: &mut Vec<SelectItem>) -> Result<(Vec<Output>, Vec<Output>)> {
        let mut list = List::default();
        for item in std::mem::take(items) {
            match item {
                SelectItem::UnnamedExpr(expr) => self.unnamed(expr, &mut list)?,
                SelectItem::ExprWithAlias { mut expr, alias } => {
                    self.expr(&mut expr)?;
                    let holds = holds(&expr, &self.scopes);
                    list.push_alias(expr, alias, holds, true);
                }
                SelectItem::Wildcard(options) => {
                    self.plain_wildcard(&options)?;
                    let at = Ident::with_span(options.wildcard_token.0.span, "*");
                    if self.scope().sources.is_empty() {
                        let message = "SELECT * needs a FROM clause (Msg 263)".to_owned();
                        return Err(report::invalid("42601", message, report::start(&at)));
                    }
                    for source in &self.scope().sources {
                        list.push_all(source, &at, true);
                    }
                }
                SelectItem::QualifiedWildcard(kind, options) => {
                    self.plain_wildcard(&options)?;
                    let SelectItemQualifiedWildcardKind::ObjectName(name) = kind else {
                        return Err(report::unsupported(format!("{kind}"), self.location));
                    };
                    let parts: Option<Vec<Ident>> =
                        name.0.iter().map(|part| part.as_ident().cloned()).collect();
                    let parts = parts
                        .ok_or_else(|| report::unsupported(format!("{name}.*"), self.location))?;
                    let source = self.qualified_source(&parts)?;
                    list.push_all(&source, &parts[0], false);
                }
                SelectItem::ExprWithAliases { .. } => {
                    return Err(report::unsupported("a list of aliases", self.location));
                }
            }
        }
        *items = list.items;
        Ok((list.outputs, list.aliases))
    }

    fn unnamed(&mut self, mut expr: Expr, list: &mut List) -> Result<()> {
        while let Expr::Nested(inner) = expr {
            expr = *inner;
        }
        let column = match &expr {
            Expr::Identifier(name) => !name.value.starts_with('@'),
            other => matches!(other, Expr::CompoundIdentifier(_)),
        };
        let text_as_written = if column { String::new() } else { heading(&expr) };
        let written_name = match &expr {
            Expr::Identifier(ident) => ident.value.clone(),
            Expr::CompoundIdentifier(parts) => {
                parts.last().map(|name| name.value.clone()).unwrap_or_default()
            }
            _ => String::new(),
        };
        self.expr(&mut expr)?;
        let holds = holds(&expr, &self.scopes);
        match &expr {
            Expr::CompoundIdentifier(parts) => {
                let [source, name] = parts.as_slice() else {
                    return Err(report::unsupported(expr.to_string(), self.location));
                };
                let (source, name) = (source.value.clone(), name.clone());
                // A column of an outer query is no column of this one, and one
                // that is found by another name is shown under that.
                let outer = self.scope().source(&source, false).is_none();
                if outer {
                    list.push_alias(expr, name, holds, false);
                } else if !same(&name.value, &written_name) {
                    list.push_alias(expr, Ident::new(written_name), holds, false);
                } else {
                    list.push_column(expr, Some(&source), &name, holds);
                }
            }
            Expr::Identifier(name) => {
                let name = name.clone();
                list.push_column(expr, None, &name, holds);
            }
            _ if column => {
                // What `USING` has merged.
                let name = Ident::new(written_name);
                list.push_column_as(expr, &name, holds);
            }
            _ => list.push_expr(expr, Ident::new(text_as_written), holds),
        }
        Ok(())
    }

    fn plain_wildcard(&self, options: &WildcardAdditionalOptions) -> Result<()> {
        let WildcardAdditionalOptions {
            wildcard_token,
            opt_ilike,
            opt_exclude,
            opt_except,
            opt_replace,
            opt_rename,
            opt_alias,
        } = options;
        let plain = opt_ilike.is_none()
            && opt_exclude.is_none()
            && opt_except.is_none()
            && opt_replace.is_none()
            && opt_rename.is_none()
            && opt_alias.is_none();
        if plain {
            Ok(())
        } else {
            Err(report::unsupported(format!("*{options}"), wildcard_token.0.span.start))
        }
    }
}

/// The select list as it grows. Output names are kept apart: SQL Server lets
/// two columns have one heading, a plan does not.
#[derive(Default)]
struct List {
    items: Vec<SelectItem>,
    outputs: Vec<Output>,
    aliases: Vec<Output>,
    /// Each name, and the sources whose column has it (`None`: an alias).
    taken: HashMap<String, Vec<Option<String>>>,
}

impl List {
    /// A column under its own name, unless that is taken.
    fn push_column(&mut self, expr: Expr, source: Option<&str>, name: &Ident, holds: Holds) {
        let users = self.taken.entry(name.value.clone()).or_default();
        // Columns of one name from two tables are told apart by the table.
        let free = users.is_empty()
            || source.is_some()
                && users.iter().all(|user| user.is_some() && user.as_deref() != source);
        if !free {
            return self.push_alias(expr, name.clone(), holds, false);
        }
        users.push(source.map(str::to_owned));
        self.outputs.push(Output::named(name.value.clone(), holds));
        self.items.push(SelectItem::UnnamedExpr(expr));
    }

    fn push_alias(&mut self, expr: Expr, alias: Ident, holds: Holds, written: bool) {
        let mut name = alias.value.clone();
        let mut number = 1;
        while self.taken.contains_key(&name) {
            name = format!("{}_{number}", alias.value);
            number += 1;
        }
        self.taken.insert(name.clone(), vec![None]);
        let output = Output {
            written: Some(alias.value.clone()),
            heading: alias.value.clone(),
            ..Output::named(name.clone(), holds)
        };
        if written {
            self.aliases.push(output.clone());
        }
        self.outputs.push(output);
        let alias = Ident { value: name, quote_style: None, span: alias.span };
        self.items.push(SelectItem::ExprWithAlias { expr, alias });
    }

    /// A column that is an expression here.
    fn push_column_as(&mut self, expr: Expr, name: &Ident, holds: Holds) {
        self.push_alias(expr, name.clone(), holds, false);
    }

    /// An expression that has no name, only a heading.
    fn push_expr(&mut self, expr: Expr, heading: Ident, holds: Holds) {
        self.push_alias(expr, heading, holds, false);
        if let Some(output) = self.outputs.last_mut() {
            output.written = None;
        }
    }

    /// All columns of a source; what `USING` has merged comes once, if merged.
    fn push_all(&mut self, source: &Source, at: &Ident, merged: bool) {
        for column in &source.merged {
            let name = Ident::with_span(at.span, column.name.clone());
            self.push_column_as(column.expr.clone(), &name, column.holds);
        }
        for output in source.outputs() {
            if merged && source.hides(&output.name) {
                continue;
            }
            let name = Ident::with_span(at.span, output.name.clone());
            let expr = source.reference(&output.name, &name);
            self.push_column(expr, source.name.as_deref(), &name, output.holds);
        }
    }
}

/// The heading of an expression without alias, by PostgreSQL's rule: the name of
/// the function or of the column that a cast converts. SQL Server has none.
fn heading(expr: &Expr) -> String {
    named(expr).unwrap_or_else(|| "?column?".to_owned())
}

fn named(expr: &Expr) -> Option<String> {
    let name = match expr {
        Expr::Identifier(name) => return Some(name.value.clone()),
        Expr::CompoundIdentifier(parts) => return parts.last().map(|name| name.value.clone()),
        Expr::Function(function) => {
            return function.name.0.last()?.as_ident().map(|name| name.value.to_lowercase());
        }
        Expr::Cast { expr, data_type, .. } => {
            return named(expr).or_else(|| type_heading(data_type));
        }
        Expr::Convert { expr, data_type: Some(data_type), .. } => {
            return named(expr).or_else(|| type_heading(data_type));
        }
        Expr::TypedString(typed) => return type_heading(&typed.data_type),
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => return named(inner),
        Expr::Subquery(query) => {
            let SetExpr::Select(select) = query.body.as_ref() else { return None };
            return match select.projection.first()? {
                SelectItem::UnnamedExpr(expr) => named(expr),
                SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()),
                _ => None,
            };
        }
        Expr::Case { .. } => "case",
        Expr::Exists { .. } => "exists",
        Expr::Extract { .. } => "extract",
        Expr::Position { .. } => "position",
        Expr::Substring { .. } => "substring",
        Expr::Overlay { .. } => "overlay",
        Expr::Ceil { .. } => "ceil",
        Expr::Floor { .. } => "floor",
        Expr::Interval(_) => "interval",
        Expr::AtTimeZone { .. } => "timezone",
        Expr::Array(_) => "array",
        Expr::Trim { trim_where, .. } => match trim_where {
            Some(TrimWhereField::Leading) => "ltrim",
            Some(TrimWhereField::Trailing) => "rtrim",
            Some(TrimWhereField::Both) | None => "btrim",
        },
        _ => return None,
    };
    Some(name.to_owned())
}

/// A type's name without its length.
fn type_heading(data_type: &DataType) -> Option<String> {
    let name = data_type.to_string().to_lowercase();
    name.split('(').next().map(|name| name.trim().to_owned())
}
