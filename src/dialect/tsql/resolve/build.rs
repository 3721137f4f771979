//! Pieces of syntax trees for queries that are rewritten.

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, GroupByExpr, Ident, OrderBy, OrderByExpr, OrderByKind, Query, Select,
    SelectFlavor, SelectItem, SetExpr, TableAlias, TableFactor, TableWithJoins, Value, WindowSpec,
    WindowType,
};

use crate::dialect::tsql::functions;

/// A name that is exactly this.
pub(super) fn ident(name: &str) -> Ident {
    Ident::with_quote('"', name)
}

/// `source.column`.
pub(super) fn column(source: &str, name: &str) -> Expr {
    Expr::CompoundIdentifier(vec![ident(source), ident(name)])
}

pub(super) fn number(n: usize) -> Expr {
    Expr::value(Value::Number(n.to_string(), false))
}

pub(super) fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}

pub(super) fn item(expr: Expr, name: &str) -> SelectItem {
    SelectItem::ExprWithAlias { expr, alias: ident(name) }
}

/// `SELECT items FROM table`.
pub(super) fn select(items: Vec<SelectItem>, from: Option<TableFactor>) -> Select {
    Select {
        select_token: AttachedToken::empty(),
        optimizer_hints: Vec::new(),
        distinct: None,
        select_modifiers: None,
        top: None,
        top_before_distinct: false,
        projection: items,
        exclude: None,
        into: None,
        from: from
            .into_iter()
            .map(|relation| TableWithJoins { relation, joins: Vec::new() })
            .collect(),
        lateral_views: Vec::new(),
        prewhere: None,
        selection: None,
        connect_by: Vec::new(),
        group_by: GroupByExpr::Expressions(Vec::new(), Vec::new()),
        cluster_by: Vec::new(),
        distribute_by: Vec::new(),
        sort_by: Vec::new(),
        having: None,
        named_window: Vec::new(),
        qualify: None,
        window_before_qualify: false,
        value_table_mode: None,
        flavor: SelectFlavor::Standard,
    }
}

pub(super) fn body(select: Select) -> SetExpr {
    SetExpr::Select(Box::new(select))
}

pub(super) fn query(body: SetExpr) -> Box<Query> {
    Box::new(Query {
        with: None,
        body: Box::new(body),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: Vec::new(),
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: Vec::new(),
    })
}

/// `(query) AS name`.
pub(super) fn derived(query: Box<Query>, name: &str) -> TableFactor {
    TableFactor::Derived { lateral: false, subquery: query, alias: Some(alias(name)), sample: None }
}

pub(super) fn alias(name: &str) -> TableAlias {
    TableAlias { explicit: true, name: ident(name), columns: Vec::new(), at: None }
}

/// `name(args) OVER (PARTITION BY … ORDER BY …)`.
pub(super) fn over(
    name: &str,
    args: Vec<Expr>,
    partition_by: Vec<Expr>,
    order_by: Vec<OrderByExpr>,
) -> Expr {
    let mut call = functions::call(name, args);
    if let Expr::Function(function) = &mut call {
        function.over = Some(WindowType::WindowSpec(WindowSpec {
            window_name: None,
            partition_by,
            order_by,
            window_frame: None,
        }));
    }
    call
}

pub(super) fn order_by(keys: Vec<OrderByExpr>) -> OrderBy {
    OrderBy { kind: OrderByKind::Expressions(keys), interpolate: None }
}
