//! Several recursive members of a common table expression as one. The engine reads the
//! rows of the round before only once, so members that read the same tables become one
//! that goes over each row as often as there are members.

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator as Op, CaseWhen, Expr, Join, JoinConstraint, JoinOperator, Select, SelectItem,
    SetExpr, TableAliasColumnDef, TableFactor, Value, Values,
};

use super::build::{self, binary};

const MEMBERS: &str = "member of recursion";
const NUMBER: &str = "number of member";

/// The one member that stands for all; `None` where they read different tables or
/// select more than expressions.
pub(super) fn merged(members: &[SetExpr]) -> Option<SetExpr> {
    let members: Vec<Member> = members.iter().map(Member::of).collect::<Option<_>>()?;
    let first = members.first()?;
    let alike = |member: &Member| {
        member.tables == first.tables && member.values.len() == first.values.len()
    };
    if !members.iter().all(alike) {
        return None;
    }
    let number = || build::column(MEMBERS, NUMBER);
    let items = (0..first.values.len()).map(|at| {
        let when = |(n, member): (usize, &Member)| CaseWhen {
            condition: build::number(n),
            result: member.values[at].clone(),
        };
        let case = Expr::Case {
            case_token: AttachedToken::empty(),
            end_token: AttachedToken::empty(),
            operand: Some(Box::new(number())),
            conditions: members.iter().enumerate().map(when).collect(),
            else_result: None,
        };
        build::item(case, &format!("column {at}"))
    });
    let mut select = build::select(items.collect(), None);
    let tests = members.iter().enumerate().map(|(n, member)| {
        let mut test = binary(number(), Op::Eq, build::number(n));
        for condition in &member.conditions {
            test = binary(test, Op::And, Expr::Nested(Box::new(condition.clone())));
        }
        Expr::Nested(Box::new(test))
    });
    select.selection = tests.reduce(|any, test| binary(any, Op::Or, test));
    let tables = first.tables.iter().cloned().chain([numbers(members.len())]);
    select.from = tables
        .map(|relation| datafusion::sql::sqlparser::ast::TableWithJoins {
            relation,
            joins: Vec::new(),
        })
        .collect();
    Some(build::body(select))
}

/// `(VALUES (0), (1), …)`.
fn numbers(count: usize) -> TableFactor {
    let rows = (0..count)
        .map(|n| datafusion::sql::sqlparser::ast::Parens {
            content: vec![Expr::value(Value::Number(n.to_string(), false))],
            opening_token: AttachedToken::empty(),
            closing_token: AttachedToken::empty(),
        })
        .collect();
    let values = Values { explicit_row: false, value_keyword: false, rows };
    let mut table = build::derived(build::query(SetExpr::Values(values)), MEMBERS);
    if let TableFactor::Derived { alias: Some(alias), .. } = &mut table {
        alias.columns = vec![TableAliasColumnDef { name: build::ident(NUMBER), data_type: None }];
    }
    table
}

/// A member as the tables it joins and the conditions it joins them on.
struct Member {
    tables: Vec<TableFactor>,
    conditions: Vec<Expr>,
    values: Vec<Expr>,
}

impl Member {
    fn of(member: &SetExpr) -> Option<Self> {
        let SetExpr::Select(select) = member else { return None };
        let Select { projection, from, selection, .. } = select.as_ref();
        let value = |item: &SelectItem| match item {
            SelectItem::UnnamedExpr(value) | SelectItem::ExprWithAlias { expr: value, .. } => {
                Some(value.clone())
            }
            _ => None,
        };
        let values = projection.iter().map(value).collect::<Option<_>>()?;
        let (mut tables, mut conditions) = (Vec::new(), Vec::new());
        for item in from {
            tables.push(item.relation.clone());
            for Join { relation, join_operator, .. } in &item.joins {
                tables.push(relation.clone());
                match join_operator {
                    JoinOperator::Join(JoinConstraint::On(condition))
                    | JoinOperator::Inner(JoinConstraint::On(condition)) => {
                        conditions.push(condition.clone());
                    }
                    JoinOperator::CrossJoin(JoinConstraint::None) => {}
                    _ => return None,
                }
            }
        }
        conditions.extend(selection.clone());
        Some(Self { tables, conditions, values })
    }
}
