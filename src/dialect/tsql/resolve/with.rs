//! Common table expressions. One that names itself is recursive, with or
//! without the word: an anchor `UNION ALL` the members that start from the rows
//! before. Without PostgreSQL's `RECURSIVE` the levels are counted in a column
//! that nothing else sees, and end at the limit of `MAXRECURSION`.

use datafusion::sql::sqlparser::ast::{
    CastKind, DataType, Expr, Ident, Join, JoinOperator, ObjectNamePart, Query, Select, SelectItem,
    SetExpr, SetOperator, SetQuantifier, TableAlias, TableAliasColumnDef, TableFactor, Value,
    Visit, Visitor, With,
};
use std::ops::ControlFlow;

use super::scope::{self, Source};
use super::{Resolver, build, members};
use crate::dialect::tsql::{functions, report};
use crate::engine::functions::RECURSION_LEVEL;
use crate::error::Result;

impl Resolver<'_> {
    pub(super) fn with(&mut self, with: &mut With) -> Result<()> {
        let first = self.ctes.len();
        let limited = !with.recursive;
        let recursive: Vec<bool> =
            with.cte_tables.iter().map(|cte| references(&cte.query, &cte.alias.name) > 0).collect();
        with.recursive = recursive.iter().any(|r| *r);
        for (cte, recursive) in with.cte_tables.iter_mut().zip(recursive) {
            let name = &cte.alias.name;
            let taken = |s: &Source| s.name.as_deref().is_some_and(|n| scope::same(n, &name.value));
            if self.ctes[first..].iter().any(taken) {
                let message =
                    format!("Duplicate common table expression name '{}' (Msg 239)", name.value);
                return Err(report::invalid("42712", message, report::start(name)));
            }
            let source = if recursive {
                self.recursive(&mut cte.query, &mut cte.alias, limited)?
            } else {
                self.check_inner_order(&cte.query)?;
                let outputs = self.query(&mut cte.query)?;
                if with.recursive {
                    // A union is taken for a recursion by the planner.
                    let body = SetExpr::Query(build::query(SetExpr::Values(super::no_rows())));
                    let query = std::mem::replace(&mut cte.query, build::query(body));
                    *cte.query.body = SetExpr::Query(query);
                }
                Self::derived(outputs, Some(&cte.alias))?
            };
            self.ctes.push(source);
        }
        Ok(())
    }

    fn recursive(
        &mut self,
        query: &mut Query,
        alias: &mut TableAlias,
        limited: bool,
    ) -> Result<Source> {
        let name = alias.name.clone();
        let invalid =
            |message: String| Err(report::invalid("42P19", message, report::start(&name)));
        if query.order_by.is_some() || query.limit_clause.is_some() || query.fetch.is_some() {
            return invalid(format!(
                "The TOP or OFFSET operator is not allowed in the recursive part of a recursive \
                 common table expression '{}' (Msg 461)",
                name.value
            ));
        }
        let body = std::mem::replace(query.body.as_mut(), SetExpr::Values(super::no_rows()));
        let mut terms = Vec::new();
        let distinct = union_terms(body, &mut terms);
        let is_member = |term: &SetExpr| references(term, &name) > 0;
        let members = terms.iter().position(is_member).unwrap_or(0);
        if members == 0 || (distinct && limited) {
            return invalid(if members == 0 && terms.len() > 1 {
                format!(
                    "No anchor member was specified for recursive query '{}' (Msg 246)",
                    name.value
                )
            } else {
                format!(
                    "Recursive common table expression '{}' does not contain a top-level UNION \
                     ALL operator (Msg 252)",
                    name.value
                )
            });
        }
        let mut recursive = terms.split_off(members);
        if !recursive.iter().all(is_member) {
            return invalid(format!(
                "An anchor member was found in the recursive part of recursive query '{}' \
                 (Msg 247)",
                name.value
            ));
        }
        let mut outputs = Vec::new();
        for (i, anchor) in terms.iter_mut().enumerate() {
            if limited {
                whole_nulls(anchor);
            }
            let columns = self.operand(anchor)?;
            if i == 0 {
                outputs = columns;
            } else {
                self.same_width("UNION ALL", outputs.len(), columns.len())?;
            }
        }
        let source = Self::derived(outputs.clone(), Some(alias))?;
        if limited {
            terms.iter_mut().for_each(|term| add_level(term, build::number(0)));
        }
        self.ctes.push(source.clone());
        for member in &recursive {
            if references(member, &name) > 1 {
                return invalid(format!(
                    "Recursive member of a common table expression '{}' has multiple recursive \
                     references (Msg 253)",
                    name.value
                ));
            }
            self.check_member(member, &name, limited)?;
        }
        if recursive.len() > 1 {
            let Some(one) = members::merged(&recursive) else {
                return Err(report::unsupported(
                    "several recursive members that read different tables",
                    report::start(&name),
                ));
            };
            recursive = vec![one];
        }
        for member in &mut recursive {
            let columns = self.operand(member)?;
            self.same_width("UNION ALL", outputs.len(), columns.len())?;
            if limited {
                let level = self.next_level(member, &source, &name)?;
                add_level(member, level);
            }
        }
        self.ctes.pop();
        if limited && !alias.columns.is_empty() {
            alias
                .columns
                .push(TableAliasColumnDef { name: build::ident(RECURSION_LEVEL), data_type: None });
        }
        let quantifier = if distinct { SetQuantifier::None } else { SetQuantifier::All };
        let all = SetQuantifier::All;
        *query.body = SetExpr::SetOperation {
            op: SetOperator::Union,
            set_quantifier: quantifier,
            left: Box::new(union(terms, all)),
            right: Box::new(union(recursive, all)),
        };
        Ok(source)
    }

    /// What T-SQL refuses in a recursive member.
    fn check_member(&self, member: &SetExpr, name: &Ident, limited: bool) -> Result<()> {
        let SetExpr::Select(select) = member else { return Ok(()) };
        let used = [
            (
                select.distinct.is_some(),
                "DISTINCT operator is not allowed in the recursive part of",
                460,
            ),
            (
                select.top.is_some(),
                "TOP or OFFSET operator is not allowed in the recursive part of",
                461,
            ),
            (
                limited && select.from.iter().flat_map(|item| &item.joins).any(is_outer),
                "Outer join is not allowed in the recursive part of",
                462,
            ),
            (
                limited && exposed_name(select, &name.value).is_none(),
                "Recursive references are not allowed in subqueries of",
                465,
            ),
            (
                select.having.is_some() || super::grouping::has_groups(select),
                "GROUP BY, HAVING, or aggregate functions are not allowed in the recursive part of",
                467,
            ),
        ];
        match used.into_iter().find(|(used, ..)| *used) {
            None => Ok(()),
            Some((_, what, number)) => {
                let message = format!(
                    "{what} a recursive common table expression '{}' (Msg {number})",
                    name.value
                );
                Err(report::invalid("42P19", message, report::start(name)))
            }
        }
    }

    /// One more than the level of the row before, or the error of a limit passed.
    fn next_level(&self, member: &SetExpr, source: &Source, name: &Ident) -> Result<Expr> {
        let select = match member {
            SetExpr::Select(select) => select,
            _ => return Err(report::unsupported(NOT_PLAIN, report::start(name))),
        };
        let of = source.name.as_deref().unwrap_or_default();
        let from = exposed_name(select, of)
            .ok_or_else(|| report::unsupported(NOT_PLAIN, report::start(name)))?;
        let limit = Expr::value(Value::Number(self.max_recursion.to_string(), false));
        Ok(functions::call("recursion_level", vec![build::column(&from, RECURSION_LEVEL), limit]))
    }
}

const NOT_PLAIN: &str = "a recursive member whose FROM does not name the common table expression";

/// The name under which a `SELECT` has a table in `FROM`.
fn exposed_name(select: &Select, table: &str) -> Option<String> {
    let mut factors: Vec<&TableFactor> = Vec::new();
    for item in &select.from {
        factors.push(&item.relation);
        factors.extend(item.joins.iter().map(|join| &join.relation));
    }
    while let Some(factor) = factors.pop() {
        match factor {
            TableFactor::Table { name, alias, .. } => {
                let is_it = matches!(name.0.as_slice(), [ObjectNamePart::Identifier(n)]
                    if scope::same(&n.value, table));
                if is_it {
                    let alias = alias.as_ref().map(|a| a.name.value.clone());
                    return Some(alias.unwrap_or_else(|| table.to_owned()));
                }
            }
            TableFactor::NestedJoin { table_with_joins, .. } => {
                factors.push(&table_with_joins.relation);
                factors.extend(table_with_joins.joins.iter().map(|join| &join.relation));
            }
            _ => {}
        }
    }
    None
}

fn is_outer(join: &Join) -> bool {
    use JoinOperator as Op;
    matches!(
        join.join_operator,
        Op::Left(_)
            | Op::LeftOuter(_)
            | Op::Right(_)
            | Op::RightOuter(_)
            | Op::FullOuter(_)
            | Op::OuterApply
    )
}

/// A bare `NULL` in the list of an anchor is an `int`, as in every list of T-SQL.
fn whole_nulls(anchor: &mut SetExpr) {
    let SetExpr::Select(select) = anchor else { return };
    for item in &mut select.projection {
        let (SelectItem::UnnamedExpr(value) | SelectItem::ExprWithAlias { expr: value, .. }) = item
        else {
            continue;
        };
        if matches!(value, Expr::Value(v) if v.value == Value::Null) {
            *value = Expr::Cast {
                kind: CastKind::Cast,
                expr: Box::new(Expr::value(Value::Null)),
                data_type: DataType::Int(None),
                array: false,
                format: None,
            };
        }
    }
}

/// Gives a resolved operand one more column.
fn add_level(operand: &mut SetExpr, level: Expr) {
    let item = build::item(level, RECURSION_LEVEL);
    if let SetExpr::Select(select) = operand {
        select.projection.push(item);
        return;
    }
    let rest = std::mem::replace(operand, SetExpr::Values(super::no_rows()));
    let wildcard = datafusion::sql::sqlparser::ast::SelectItem::Wildcard(Default::default());
    let source = build::derived(build::query(rest), "anchor");
    *operand = build::body(build::select(vec![wildcard, item], Some(source)));
}

/// Takes a chain of `UNION` apart, first operand first; whether one is distinct.
fn union_terms(body: SetExpr, terms: &mut Vec<SetExpr>) -> bool {
    match body {
        SetExpr::SetOperation { op: SetOperator::Union, set_quantifier, left, right } => {
            let distinct = set_quantifier != SetQuantifier::All;
            let below = union_terms(*left, terms);
            terms.push(*right);
            distinct || below
        }
        other => {
            terms.push(other);
            false
        }
    }
}

fn union(terms: Vec<SetExpr>, set_quantifier: SetQuantifier) -> SetExpr {
    let mut terms = terms.into_iter();
    let first = terms.next().unwrap_or_else(|| SetExpr::Values(super::no_rows()));
    terms.fold(first, |left, right| SetExpr::SetOperation {
        op: SetOperator::Union,
        set_quantifier,
        left: Box::new(left),
        right: Box::new(right),
    })
}

/// How often a query names a table.
fn references<T: Visit>(query: &T, name: &Ident) -> usize {
    struct Count<'a>(&'a str, usize);
    impl Visitor for Count<'_> {
        type Break = ();

        fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
            if let TableFactor::Table { name, args: None, .. } = factor
                && let [ObjectNamePart::Identifier(ident)] = name.0.as_slice()
                && scope::same(&ident.value, self.0)
            {
                self.1 += 1;
            }
            ControlFlow::Continue(())
        }
    }
    let mut count = Count(&name.value, 0);
    let _ = query.visit(&mut count);
    count.1
}
