//! `(SELECT ', ' + name FROM … FOR XML PATH(''))`, the way to join texts of rows before
//! `STRING_AGG` was there, as that function. Any other XML is not offered.

use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, ForClause, ForXml, GroupByExpr, OrderByExpr, OrderByKind, Query, Select,
    SelectItem, SetExpr, Value,
};

use super::build;
use crate::dialect::tsql::functions;

const LIST: &str = "list of texts";
const VALUE: &str = "text";

/// The scalar query that stands for such a list; `None` if it is none.
pub(super) fn joined(expr: &Expr) -> Option<Expr> {
    let (query, is_text): (&Query, bool) = match expr {
        Expr::Subquery(query) => (query, true),
        // `.value('.', 'nvarchar(max)')` takes what is special in XML for what it is.
        Expr::CompoundFieldAccess { root, access_chain } => match access_chain.as_slice() {
            [AccessExpr::Dot(Expr::Function(method))]
                if method.name.to_string().eq_ignore_ascii_case("value") =>
            {
                (subquery(root)?, false)
            }
            _ => return None,
        },
        _ => return None,
    };
    let path = matches!(
        &query.for_clause,
        Some(ForClause::Xml { for_xml: ForXml::Path(Some(tag)), elements: false, root: None, .. })
            if tag.is_empty()
    );
    let plain = query.with.is_none() && query.limit_clause.is_none() && query.fetch.is_none();
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    if !path || !plain {
        return None;
    }
    let value = match select.projection.as_slice() {
        [SelectItem::UnnamedExpr(value)] => value,
        [SelectItem::ExprWithAlias { expr, alias }] if alias.value == "text()" => expr,
        _ => return None,
    };
    let keys = keys(query, value)?;
    let list = match regular(select) {
        true => one_level(select, value, keys, is_text),
        false => two_levels(query, select, value, keys, is_text)?,
    };
    Some(Expr::Subquery(build::query(build::body(list))))
}

fn subquery(expr: &Expr) -> Option<&Query> {
    match expr {
        Expr::Subquery(query) => Some(query),
        Expr::Nested(inner) => subquery(inner),
        _ => None,
    }
}

/// The sort keys; the number 1 is the value.
fn keys(query: &Query, value: &Expr) -> Option<Vec<OrderByExpr>> {
    let Some(order_by) = &query.order_by else { return Some(Vec::new()) };
    let OrderByKind::Expressions(keys) = &order_by.kind else { return None };
    let key = |key: &OrderByExpr| {
        let first = matches!(&key.expr, Expr::Value(number)
            if matches!(&number.value, Value::Number(n, _) if n == "1"));
        let expr = if first { value.clone() } else { key.expr.clone() };
        OrderByExpr { expr, ..key.clone() }
    };
    Some(keys.iter().map(key).collect())
}

/// Whether each row of `FROM` is one of the answer.
fn regular(select: &Select) -> bool {
    let grouped = !matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty());
    select.distinct.is_none() && select.top.is_none() && !grouped && select.having.is_none()
}

/// `STRING_AGG(value, '') WITHIN GROUP (ORDER BY …)`.
fn list_of(value: Expr, keys: Vec<OrderByExpr>, is_text: bool) -> SelectItem {
    let value = match is_text {
        true => functions::call("sql_xml_text", vec![value]),
        false => value,
    };
    let mut call = functions::call("string_agg", vec![value, functions::text("")]);
    if let Expr::Function(function) = &mut call {
        function.within_group = keys;
    }
    build::item(call, VALUE)
}

fn one_level(select: &Select, value: &Expr, keys: Vec<OrderByExpr>, is_text: bool) -> Select {
    let mut list = select.clone();
    list.projection = vec![list_of(value.clone(), keys, is_text)];
    list
}

/// What is distinct, grouped or cut off is joined when it is.
fn two_levels(
    query: &Query,
    select: &Select,
    value: &Expr,
    keys: Vec<OrderByExpr>,
    is_text: bool,
) -> Option<Select> {
    let mut inner = select.clone();
    inner.projection = vec![build::item(value.clone(), VALUE)];
    let mut outer = Vec::new();
    for (at, key) in keys.into_iter().enumerate() {
        let name = if key.expr == *value {
            VALUE.to_owned()
        } else if select.distinct.is_none() {
            let name = format!("key {at}");
            inner.projection.push(build::item(key.expr.clone(), &name));
            name
        } else {
            return None;
        };
        outer.push(OrderByExpr { expr: build::column(LIST, &name), ..key });
    }
    let mut rows = build::query(build::body(inner));
    if select.top.is_some() {
        rows.order_by = query.order_by.clone();
    }
    let item = list_of(build::column(LIST, VALUE), outer, is_text);
    Some(build::select(vec![item], Some(build::derived(rows, LIST))))
}
