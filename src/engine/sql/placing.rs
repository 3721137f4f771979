//! Where in a query a mistake is that only planning finds: types that do not go
//! together, arguments that a function does not take. A plan has no places, so
//! parts of the query are planned by themselves, over the same tables; the place
//! is that of the smallest part that is refused in the same words.

use std::cell::Cell;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, GroupByExpr, JoinConstraint, JoinOperator, OrderBy, OrderByKind, Query,
    Select, SelectItem, SetExpr, Spanned, TableFactor, UnaryOperator, Value, Visit, Visitor, With,
};
use datafusion::sql::sqlparser::tokenizer::Location;

/// A query is not planned more often than this to find a place.
const TRIES: usize = 200;

/// The place of the part that `refused` refuses, as it does the whole query.
pub fn place(query: &Query, refused: &dyn Fn(Query) -> bool) -> Option<Location> {
    let left = Cell::new(TRIES);
    let refused = |query: Query| {
        left.set(left.get().saturating_sub(1));
        left.get() > 0 && refused(query)
    };
    in_query(query, &refused)
}

type Refused<'a> = &'a dyn Fn(Query) -> bool;

fn in_query(query: &Query, refused: Refused) -> Option<Location> {
    if let Some(with) = &query.with {
        for (at, cte) in with.cte_tables.iter().enumerate() {
            let before = With { cte_tables: with.cte_tables[..at].to_vec(), ..with.clone() };
            let own = knowing(&cte.query, Some(&before));
            if refused(own.clone()) {
                return in_query(&own, refused);
            }
        }
    }
    match query.body.as_ref() {
        SetExpr::Select(select) => in_select(query, select, refused),
        SetExpr::Query(inner) => {
            let inner = knowing(inner, query.with.as_ref());
            refused(inner.clone()).then(|| in_query(&inner, refused)).flatten()
        }
        SetExpr::SetOperation { left, right, .. } => {
            for side in [left, right] {
                let side = Query {
                    body: side.clone(),
                    order_by: None,
                    limit_clause: None,
                    ..query.clone()
                };
                if refused(side.clone()) {
                    return in_query(&side, refused);
                }
            }
            // Only together they are wrong.
            known(right.span().start)
        }
        _ => None,
    }
}

/// A query inside of another one, by itself.
fn knowing(query: &Query, with: Option<&With>) -> Query {
    let mut query = query.clone();
    if query.with.is_none() {
        query.with = with.filter(|with| !with.cte_tables.is_empty()).cloned();
    }
    query
}

fn in_select(query: &Query, select: &Select, refused: Refused) -> Option<Location> {
    for item in &select.from {
        for factor in std::iter::once(&item.relation).chain(item.joins.iter().map(|j| &j.relation))
        {
            let TableFactor::Derived { subquery, .. } = factor else { continue };
            let own = knowing(subquery, query.with.as_ref());
            if refused(own.clone()) {
                return in_query(&own, refused);
            }
        }
    }
    let (frame, conditions) = Frame::of(query, select);
    if refused(frame.with(one(), None)) {
        return None;
    }
    for condition in conditions.iter().chain(&select.selection) {
        if refused(frame.with(one(), Some(condition.clone()))) {
            return in_condition(&frame, condition, refused);
        }
    }
    let items = select.projection.iter().filter_map(|item| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
        _ => None,
    });
    let groups = match &select.group_by {
        GroupByExpr::Expressions(keys, _) => keys.as_slice(),
        GroupByExpr::All(_) => &[],
    };
    let keys = match &query.order_by {
        Some(OrderBy { kind: OrderByKind::Expressions(keys), .. }) => keys.as_slice(),
        _ => &[],
    };
    let values = items.chain(groups).chain(&select.having).chain(keys.iter().map(|key| &key.expr));
    for value in values {
        if refused(frame.with(value.clone(), None)) {
            return in_value(&frame, value, refused);
        }
    }
    None
}

fn in_condition(frame: &Frame, condition: &Expr, refused: Refused) -> Option<Location> {
    for part in operands(condition) {
        if refused(frame.with(one(), Some(part.clone()))) {
            return in_condition(frame, part, refused);
        }
    }
    match refused(frame.with(condition.clone(), None)) {
        true => in_value(frame, condition, refused),
        false => known(condition.span().start),
    }
}

/// Conditions that a condition consists of.
fn operands(condition: &Expr) -> Vec<&Expr> {
    match condition {
        Expr::Nested(inner) | Expr::UnaryOp { op: UnaryOperator::Not, expr: inner } => vec![inner],
        Expr::BinaryOp { op: BinaryOperator::And | BinaryOperator::Or, .. } => {
            // A long chain leans to the left.
            let (mut found, mut next) = (Vec::new(), condition);
            while let Expr::BinaryOp { left, op: BinaryOperator::And | BinaryOperator::Or, right } =
                next
            {
                found.push(right.as_ref());
                next = left;
            }
            found.push(next);
            found.reverse();
            found
        }
        _ => Vec::new(),
    }
}

fn in_value(frame: &Frame, value: &Expr, refused: Refused) -> Option<Location> {
    let mut parts = Parts::default();
    let _ = value.visit(&mut parts);
    for query in parts.queries {
        let own = knowing(&query, frame.query.with.as_ref());
        if refused(own.clone()) {
            return in_query(&own, refused);
        }
    }
    for part in parts.found {
        if refused(frame.with(part.clone(), None)) {
            return in_value(frame, &part, refused);
        }
    }
    known(value.span().start)
}

fn known(place: Location) -> Option<Location> {
    (place.line > 0).then_some(place)
}

fn one() -> Expr {
    Expr::value(Value::Number("1".into(), false))
}

/// A query that selects from the same tables and does nothing else.
struct Frame {
    query: Query,
    select: Select,
}

impl Frame {
    /// The frame of a `SELECT`, and the conditions of its joins.
    fn of(query: &Query, select: &Select) -> (Self, Vec<Expr>) {
        let mut select = select.clone();
        let mut conditions = Vec::new();
        for join in select.from.iter_mut().flat_map(|item| &mut item.joins) {
            if let JoinOperator::Join(constraint)
            | JoinOperator::Inner(constraint)
            | JoinOperator::Left(constraint)
            | JoinOperator::LeftOuter(constraint)
            | JoinOperator::Right(constraint)
            | JoinOperator::RightOuter(constraint)
            | JoinOperator::FullOuter(constraint) = &mut join.join_operator
                && let JoinConstraint::On(condition) = constraint
            {
                conditions.push(std::mem::replace(condition, Expr::value(Value::Boolean(true))));
            }
        }
        select.distinct = None;
        select.selection = None;
        select.group_by = GroupByExpr::Expressions(Vec::new(), Vec::new());
        select.having = None;
        let query = Query { order_by: None, limit_clause: None, ..query.clone() };
        (Self { query, select }, conditions)
    }

    fn with(&self, value: Expr, condition: Option<Expr>) -> Query {
        let mut select = self.select.clone();
        select.projection = vec![SelectItem::UnnamedExpr(value)];
        select.selection = condition;
        Query { body: Box::new(SetExpr::Select(Box::new(select))), ..self.query.clone() }
    }
}

/// The parts of an expression: expressions, and whole queries.
#[derive(Default)]
struct Parts {
    depth: usize,
    in_query: usize,
    found: Vec<Expr>,
    queries: Vec<Query>,
}

impl Visitor for Parts {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        if self.in_query == 0 {
            self.queries.push(query.clone());
        }
        self.in_query += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.in_query -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if self.in_query == 0 {
            self.depth += 1;
            if self.depth == 2 {
                self.found.push(expr.clone());
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, _: &Expr) -> ControlFlow<()> {
        if self.in_query == 0 {
            self.depth -= 1;
        }
        ControlFlow::Continue(())
    }
}
