//! Tables and joins as links: each joined table hangs on the one that its columns are
//! compared with.

use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, JoinConstraint, JoinOperator, Spanned, TableFactor, TableWithJoins,
};
use datafusion::sql::sqlparser::tokenizer::Location;

use super::outputs::Outputs;
use super::scope::{Found, Scope, Source};
use super::{Reader, all_of, name};
use crate::error::Result;
use crate::query::{Columns, Filter, Link, LinkType, Name};

/// The links of a query, with the source that each hangs on.
#[derive(Default)]
pub(super) struct Links(Vec<(usize, Link)>);

impl Links {
    /// The links below the root with their columns.
    pub fn take(self, outputs: &mut Outputs) -> Vec<Link> {
        self.below(0, &mut |source| outputs.columns_of(source))
    }

    /// The same without columns.
    pub fn tested(self) -> Vec<Link> {
        self.below(0, &mut |_| Columns::List(Vec::new()))
    }

    fn below(&self, parent: usize, columns: &mut impl FnMut(usize) -> Columns) -> Vec<Link> {
        let mut links = Vec::new();
        for (index, (of, link)) in self.0.iter().enumerate() {
            if *of == parent {
                let mut link = link.clone();
                link.columns = columns(index + 1);
                link.links = self.below(index + 1, columns);
                links.push(link);
            }
        }
        links
    }
}

impl Reader<'_> {
    /// The tables of `FROM`; conditions of inner joins are those of the whole.
    pub(super) fn from(
        &self,
        from: &[TableWithJoins],
        at: Location,
        scope: &mut Scope,
        links: &mut Links,
        conditions: &mut Vec<Filter>,
    ) -> Result<()> {
        let [from] = from else {
            let part = match from.len() {
                0 => "a query without a table",
                _ => "several tables in FROM without JOIN",
            };
            return Err(self.cannot_say(part, at));
        };
        let root = self.source(&from.relation, at)?;
        scope.sources.push(root);
        for join in &from.joins {
            let source = self.source(&join.relation, at)?;
            let (link_type, constraint) = match &join.join_operator {
                JoinOperator::Join(on) | JoinOperator::Inner(on) => (LinkType::Inner, on),
                JoinOperator::Left(on) | JoinOperator::LeftOuter(on) => (LinkType::Outer, on),
                JoinOperator::Right(_) | JoinOperator::RightOuter(_) => {
                    return Err(self.cannot_say("'RIGHT JOIN'", at));
                }
                JoinOperator::FullOuter(_) => return Err(self.cannot_say("'FULL JOIN'", at)),
                JoinOperator::CrossJoin(_) => return Err(self.cannot_say("'CROSS JOIN'", at)),
                JoinOperator::CrossApply | JoinOperator::OuterApply => {
                    return Err(self.cannot_say("'APPLY'", at));
                }
                _ => return Err(self.cannot_say("this kind of join", at)),
            };
            let JoinConstraint::On(on) = constraint else {
                return Err(self.cannot_say("a join without ON", at));
            };
            let table = name(&source.table.logical_name, at);
            let alias = source.alias.clone();
            scope.sources.push(source);
            let own = scope.sources.len() - 1;
            let mut parts = Vec::new();
            conjuncts(on, &mut parts);
            let joined = parts.iter().position(|part| joining(part, scope, own).is_some());
            let joined = joined.map(|index| parts.remove(index));
            let Some((from, to)) = joined.and_then(|part| joining(part, scope, own)) else {
                let part = "a join on anything but columns that are equal";
                return Err(self.cannot_say(part, on.span().start));
            };
            let mut filters = Vec::new();
            for part in parts {
                match link_type {
                    LinkType::Inner => conditions.push(self.condition(part, scope, 0)?),
                    _ => filters.push(self.condition(part, scope, own)?),
                }
            }
            let column = |found: Found| name(&scope.facts(found).logical_name, at);
            let link = Link {
                link_type,
                table,
                from: Some(column(from)),
                to: Some(column(to)),
                alias: Some(alias),
                columns: Columns::List(Vec::new()),
                filter: all_of(filters),
                links: Vec::new(),
                order: Vec::new(),
            };
            links.0.push((to.source, link));
        }
        Ok(())
    }

    fn source(&self, factor: &TableFactor, at: Location) -> Result<Source> {
        let TableFactor::Table { name: table, alias, args: None, sample: None, .. } = factor else {
            let part = match factor {
                TableFactor::Derived { .. } => "a query in FROM".to_owned(),
                other => format!("'{other}' in FROM"),
            };
            return Err(self.cannot_say(part, at));
        };
        let last = table.0.last().and_then(|part| part.as_ident());
        let at = last.map_or(at, |ident| ident.span.start);
        let written = last.map_or_else(String::new, |ident| ident.value.clone());
        let known = self.catalog.table(&written.to_lowercase());
        let Some(known) = known.filter(|_| alias.as_ref().is_none_or(|a| a.columns.is_empty()))
        else {
            return Err(self.cannot_say(format!("the table '{written}'"), at));
        };
        let called = alias.as_ref().map_or(written, |alias| alias.name.value.clone());
        let alias = Name { text: called.clone(), ..name("", at) };
        Ok(Source { called, table: Arc::clone(known), alias })
    }
}

/// The conditions that all have to hold.
pub(super) fn conjuncts<'e>(expr: &'e Expr, parts: &mut Vec<&'e Expr>) {
    match expr {
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            conjuncts(left, parts);
            conjuncts(right, parts);
        }
        Expr::Nested(inner) => conjuncts(inner, parts),
        other => parts.push(other),
    }
}

/// `own column = column of a table before`, as these two.
fn joining(expr: &Expr, scope: &Scope, own: usize) -> Option<(Found, Found)> {
    let Expr::BinaryOp { left, op: BinaryOperator::Eq, right } = expr else { return None };
    let (left, right) = (scope.column(left)?, scope.column(right)?);
    let is_own = |found: Found| found.level == 0 && found.source == own;
    let is_before = |found: Found| found.level == 0 && found.source < own;
    match (is_own(left), is_own(right)) {
        (true, false) if is_before(right) => Some((left, right)),
        (false, true) if is_before(left) => Some((right, left)),
        _ => None,
    }
}
