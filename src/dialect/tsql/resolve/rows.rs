//! Rows of values, `(a, b) = (c, d)` and `(a, b) IN (SELECT c, d …)`, as comparisons
//! of their members, and `SIMILAR TO` as a regular expression.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator as Op, Expr, Query, SelectItem, SetExpr, TableAliasColumnDef, TableFactor,
    UnaryOperator, Value,
};
use datafusion::sql::sqlparser::tokenizer::Location;

use super::build::{self, binary};
use crate::dialect::tsql::report;
use crate::error::Result;

/// `(a, b) IN (SELECT c, d …)` as `EXISTS`; `None` if it is none.
pub(super) fn among(expr: &mut Expr, location: Location) -> Result<Option<Expr>> {
    let Expr::InSubquery { expr: row, subquery, negated } = expr else { return Ok(None) };
    let Some(row) = members(row) else { return Ok(None) };
    if width(subquery).is_some_and(|width| width != row.len()) {
        let message =
            format!("Subquery has not {} columns, as the row before IN (Msg 116)", row.len());
        return Err(report::invalid("42601", message, location));
    }
    let name = |at: usize| format!("member {at}");
    let tests = row.iter().enumerate().map(|(at, value)| {
        let other = build::column("row of IN", &name(at));
        let same = binary(value.clone(), Op::Eq, other.clone());
        if !*negated {
            return same;
        }
        // A member that may be equal is enough for NOT IN not to be true.
        let unknown = [value.clone(), other].map(|side| Expr::IsNull(Box::new(side)));
        let any = unknown.into_iter().fold(same, |any, null| binary(any, Op::Or, null));
        Expr::Nested(Box::new(any))
    });
    let condition = tests.reduce(|all, test| binary(all, Op::And, test));
    let empty = build::query(SetExpr::Values(super::no_rows()));
    let mut source = build::derived(std::mem::replace(subquery, empty), "row of IN");
    if let TableFactor::Derived { alias: Some(alias), .. } = &mut source {
        let columns = (0..row.len()).map(|at| build::ident(&name(at)));
        alias.columns = columns.map(|name| TableAliasColumnDef { name, data_type: None }).collect();
    }
    let mut select = build::select(vec![build::item(build::number(1), "found")], Some(source));
    select.selection = condition;
    let subquery = build::query(build::body(select));
    Ok(Some(Expr::Exists { subquery, negated: *negated }))
}

/// How many columns a query has, where its text tells.
fn width(query: &Query) -> Option<usize> {
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let plain = |item: &SelectItem| {
        matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. })
    };
    select.projection.iter().all(plain).then_some(select.projection.len())
}

/// A comparison of rows, member by member; `None` if it is none, or the rows differ
/// in length.
pub(super) fn compared(expr: &Expr) -> Option<Expr> {
    match expr {
        Expr::BinaryOp { left, op, right } => {
            let (left, right) = (members(left)?, members(right)?);
            row(left, op, right)
        }
        Expr::InList { expr, list, negated } => {
            let subject = members(expr)?;
            let tests = list.iter().map(|item| row(subject, &Op::Eq, members(item)?));
            let tests: Vec<Expr> = tests.collect::<Option<_>>()?;
            let any = tests.into_iter().reduce(|all, test| binary(all, Op::Or, test))?;
            Some(if *negated { not(any) } else { Expr::Nested(Box::new(any)) })
        }
        _ => None,
    }
}

fn members(expr: &Expr) -> Option<&[Expr]> {
    match expr {
        Expr::Tuple(members) => Some(members),
        Expr::Nested(inner) => members(inner),
        _ => None,
    }
}

fn not(expr: Expr) -> Expr {
    let expr = Box::new(Expr::Nested(Box::new(expr)));
    Expr::UnaryOp { op: UnaryOperator::Not, expr }
}

fn row(left: &[Expr], op: &Op, right: &[Expr]) -> Option<Expr> {
    if left.len() != right.len() {
        return None;
    }
    let pair = |at: usize, op: &Op| binary(left[at].clone(), op.clone(), right[at].clone());
    let equal = |upto: usize| {
        let tests = (0..upto).map(|at| pair(at, &Op::Eq));
        tests.reduce(|all, test| binary(all, Op::And, test))
    };
    let strict = match op {
        Op::Eq => return equal(left.len()).map(|e| Expr::Nested(Box::new(e))),
        Op::NotEq => return equal(left.len()).map(not),
        Op::Lt | Op::LtEq => Op::Lt,
        Op::Gt | Op::GtEq => Op::Gt,
        _ => return None,
    };
    // The first members that differ decide.
    let last = left.len() - 1;
    let tests = (0..left.len()).map(|at| {
        let own = pair(at, if at == last { op } else { &strict });
        match equal(at) {
            Some(before) => Expr::Nested(Box::new(binary(before, Op::And, own))),
            None => own,
        }
    });
    let any = tests.reduce(|any, test| binary(any, Op::Or, test))?;
    Some(Expr::Nested(Box::new(any)))
}

/// `a SIMILAR TO 'pattern'` as a match of the whole text; `None` where the pattern
/// is not written out.
pub(super) fn similar(expr: &Expr) -> Option<Expr> {
    let Expr::SimilarTo { negated, expr, pattern, escape_char } = expr else { return None };
    let text = |value: &Expr| match value {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::NationalStringLiteral(text) => {
                Some(text.clone())
            }
            _ => None,
        },
        _ => None,
    };
    let pattern = text(pattern)?;
    let escape = match escape_char {
        Some(escape) => match &escape.value {
            Value::SingleQuotedString(text) => text.chars().next(),
            _ => return None,
        },
        None => Some('\\'),
    };
    let op = if *negated { Op::PGRegexNotMatch } else { Op::PGRegexMatch };
    let regex = Expr::value(Value::SingleQuotedString(regex(&pattern, escape)));
    Some(binary(expr.as_ref().clone(), op, regex))
}

/// `%` and `_` stand for texts, `|*+?{}()[]` mean the same, the rest is itself.
fn regex(pattern: &str, escape: Option<char>) -> String {
    let mut out = "(?s)^(?:".to_owned();
    let mut chars = pattern.chars();
    let mut in_brackets = false;
    while let Some(c) = chars.next() {
        if Some(c) == escape {
            let literal = chars.next().unwrap_or(c);
            if !literal.is_alphanumeric() {
                out.push('\\');
            }
            out.push(literal);
            continue;
        }
        match c {
            '%' if !in_brackets => out.push_str(".*"),
            '_' if !in_brackets => out.push('.'),
            '.' | '$' | '\\' | '^' if !in_brackets => {
                out.push('\\');
                out.push(c);
            }
            c => {
                in_brackets = c == '[' || in_brackets && c != ']';
                out.push(c);
            }
        }
    }
    out.push_str(")$");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_the_whole_text() {
        assert_eq!(regex("(a|b)%", Some('\\')), "(?s)^(?:(a|b).*)$");
        assert_eq!(regex("a.c_$", Some('\\')), "(?s)^(?:a\\.c.\\$)$");
        assert_eq!(regex("[%_]!%", Some('!')), "(?s)^(?:[%_]\\%)$");
    }
}
