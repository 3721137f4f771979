//! PostgreSQL's syntax in catalog queries as DataFusion plans it: the same
//! question in other words. What `datafusion-pg-catalog` has rules for is left to
//! them; these are the ones it lacks.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, BinaryOperator, CastKind, DataType, Expr, Function, FunctionArg,
    FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, ObjectName, ObjectNamePart,
    Query, Select, SelectItem, SetExpr, Statement, TableFactor, TableWithJoins, Value, VisitMut,
    VisitorMut, visit_expressions, visit_relations,
};

use super::pg_catalog::FUNCTION_COLUMNS;
use super::pg_catalog::lookups::NUMBERED;

/// Separates a column's name from what makes it unique. Clients do not see it.
pub const UNIQUE: char = '\u{1}';

/// Rewrites a statement; `is_relation`: whether `pg_catalog` has a relation.
pub fn rewrite(statement: &mut Statement, is_relation: impl Fn(&str) -> bool) {
    let _ = statement.visit(&mut Rewrite { is_relation, tables: Vec::new() });
    if let Statement::Query(query) = statement {
        shown(&mut query.body);
    }
}

/// Takes out of a statement the sub-queries for a value that depend on the row
/// outside; null stands for them.
pub fn without_details(statement: &mut Statement) {
    struct Remove;
    impl VisitorMut for Remove {
        type Break = ();

        fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            if let Expr::Subquery(query) = expr
                && is_correlated(query)
            {
                let list = query.to_string().starts_with("SELECT array_agg(");
                *expr = Expr::Cast {
                    kind: CastKind::Cast,
                    expr: Box::new(Expr::Value(Value::Null.with_empty_span())),
                    data_type: if list { list_of(DataType::Text) } else { DataType::Text },
                    array: false,
                    format: None,
                };
            }
            ControlFlow::Continue(())
        }
    }
    let _ = statement.visit(&mut Remove);
}

fn list_of(element: DataType) -> DataType {
    DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(element), None))
}

struct Rewrite<F> {
    is_relation: F,
    /// For each query around, the relations of its `FROM` under their aliases.
    tables: Vec<Vec<(String, String)>>,
}

impl<F> Rewrite<F> {
    /// The relation whose number a column `tableoid` holds.
    fn relation(&self, names: &[Ident]) -> Option<&str> {
        let (last, table) = names.split_last()?;
        if !last.value.eq_ignore_ascii_case("tableoid") {
            return None;
        }
        let is_it = |(alias, _): &&(String, String)| {
            table.last().is_none_or(|table| table.value.eq_ignore_ascii_case(alias))
        };
        let inner_first = self.tables.iter().rev();
        inner_first
            .flat_map(|tables| tables.iter().find(is_it))
            .map(|(_, name)| name.as_str())
            .next()
    }
}

impl<F: Fn(&str) -> bool> VisitorMut for Rewrite<F> {
    type Break = ();

    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> ControlFlow<()> {
        if let [ObjectNamePart::Identifier(name)] = relation.0.as_slice()
            && (self.is_relation)(&name.value.to_lowercase())
        {
            relation.0.insert(0, ObjectNamePart::Identifier(Ident::new("pg_catalog")));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let mut tables = Vec::new();
        if let SetExpr::Select(select) = query.body.as_ref() {
            for factor in factors(select) {
                if let TableFactor::Table { name, alias, .. } = factor {
                    let relation =
                        name.0.last().and_then(|n| n.as_ident()).map(|n| n.value.clone());
                    let relation = relation.unwrap_or_default();
                    let alias = alias.as_ref().map(|a| a.name.value.clone());
                    tables.push((alias.unwrap_or_else(|| relation.clone()), relation));
                }
            }
        }
        self.tables.push(tables);
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let relation = match &*expr {
            Expr::Identifier(name) => self.relation(std::slice::from_ref(name)),
            Expr::CompoundIdentifier(names) => self.relation(names),
            _ => None,
        };
        if let Some(relation) = relation {
            let name = Value::SingleQuotedString(relation.to_owned()).with_empty_span();
            *expr = call("regclassin", vec![Expr::Value(name)]);
        }
        if let Some(new) = rewritten(expr) {
            *expr = new;
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.tables.pop();
        unique_columns(&mut query.body);
        ControlFlow::Continue(())
    }
}

fn rewritten(expr: &mut Expr) -> Option<Expr> {
    match expr {
        Expr::Cast { expr: operand, data_type, kind, .. } => cast(operand, data_type, kind),
        Expr::BinaryOp { left, op, right } => {
            compared(left, right);
            compared(right, left);
            if matches!(op, BinaryOperator::Eq | BinaryOperator::NotEq) {
                list_literal(left);
                list_literal(right);
            }
            operator(op);
            None
        }
        Expr::Function(function) => called(function),
        Expr::Subquery(query) => {
            single(query);
            None
        }
        _ => None,
    }
}

/// The name of a type without schema, in lower case.
fn type_name(data_type: &DataType) -> String {
    let name = data_type.to_string().to_lowercase().replace('"', "");
    name.rsplit('.').next().unwrap_or_default().to_owned()
}

fn is_text(data_type: &DataType) -> bool {
    matches!(type_name(data_type).as_str(), "text" | "varchar" | "name" | "character varying")
}

/// Casts to and from the types that stand for objects, and casts to types that
/// DataFusion does not know.
fn cast(operand: &mut Box<Expr>, data_type: &mut DataType, kind: &CastKind) -> Option<Expr> {
    let name = type_name(data_type);
    if let Some((_, from, ..)) = NUMBERED.iter().find(|(known, ..)| *known == name) {
        let mut operand = operand.as_ref().clone();
        if matches!(&operand, Expr::Value(value) if matches!(value.value, Value::Placeholder(_))) {
            operand = Expr::Cast {
                kind: kind.clone(),
                expr: Box::new(operand),
                data_type: DataType::Text,
                array: false,
                format: None,
            };
        }
        return Some(call(from, vec![operand]));
    }
    if is_text(data_type) && (is_numbered(operand) || names_function(operand)) {
        return Some(as_text(operand.as_ref().clone()));
    }
    let known = match name.as_str() {
        "name" | "char" | "cstring" | "aclitem" | "xid" | "sql_identifier" | "character_data"
        | "yes_or_no" | "pg_node_tree" | "inet" | "json" | "jsonb"
            if matches!(data_type, DataType::Custom(..) | DataType::JSON | DataType::JSONB) =>
        {
            DataType::Text
        }
        "cardinal_number" => DataType::Int(None),
        "int2vector" => list_of(DataType::Int2(None)),
        "oidvector" => list_of(DataType::Int4(None)),
        "name[]" | "char[]" | "aclitem[]" => list_of(DataType::Text),
        _ => return None,
    };
    *data_type = known;
    None
}

/// The type behind a value that [`cast`] made the number of an object.
fn numbered(expr: &Expr) -> Option<&'static str> {
    let Expr::Function(function) = expr else { return None };
    let name = function.name.to_string();
    NUMBERED.iter().find(|(_, from, ..)| *from == name).map(|(_, _, to, _)| *to)
}

fn is_numbered(expr: &Expr) -> bool {
    numbered(expr).is_some()
}

/// A column that holds the number of a function and shows its name.
fn names_function(expr: &Expr) -> bool {
    let name = match expr {
        Expr::Identifier(name) => name,
        Expr::CompoundIdentifier(names) => match names.last() {
            Some(name) => name,
            None => return false,
        },
        _ => return false,
    };
    FUNCTION_COLUMNS.contains(&name.value.to_lowercase().as_str())
}

/// The name of the object behind a number.
fn as_text(expr: Expr) -> Expr {
    let to = numbered(&expr).unwrap_or("regprocout");
    call(to, vec![expr])
}

/// A name compared with a column of functions stands for the function.
fn compared(column: &Expr, other: &mut Box<Expr>) {
    let is_name = matches!(
        other.as_ref(),
        Expr::Value(value) if matches!(value.value, Value::SingleQuotedString(_))
    );
    if is_name && names_function(column) {
        **other = call("regprocin", vec![other.as_ref().clone()]);
    }
}

/// `'{0}'`, compared with a list.
fn list_literal(expr: &mut Expr) {
    let Expr::Value(value) = &*expr else { return };
    let Value::SingleQuotedString(text) = &value.value else { return };
    let Some(inner) = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')) else { return };
    let number = |text: &str| {
        let value = Value::Number(text.trim().to_owned(), false);
        text.trim().parse::<i64>().is_ok().then(|| Expr::Value(value.with_empty_span()))
    };
    if let Some(elem) = inner.split(',').map(number).collect::<Option<Vec<_>>>() {
        *expr = Expr::Array(datafusion::sql::sqlparser::ast::Array { elem, named: true });
    }
}

/// `OPERATOR(pg_catalog.=)` as `=`; the rules for regular expressions exist.
fn operator(op: &mut BinaryOperator) {
    let BinaryOperator::PGCustomBinaryOperator(parts) = op else { return };
    *op = match parts.last().map(String::as_str) {
        Some("=") => BinaryOperator::Eq,
        Some("<>") => BinaryOperator::NotEq,
        Some("~~") => BinaryOperator::PGLikeMatch,
        Some("~~*") => BinaryOperator::PGILikeMatch,
        Some("!~~") => BinaryOperator::PGNotLikeMatch,
        Some("||") => BinaryOperator::StringConcat,
        _ => return,
    };
}

/// Functions that return rows are unnested lists, `ARRAY(SELECT …)` an aggregate.
fn called(function: &mut Function) -> Option<Expr> {
    let name = function.name.0.last()?.as_ident()?.value.to_lowercase();
    match (name.as_str(), &mut function.args) {
        ("array", FunctionArguments::Subquery(query)) => {
            let mut query = query.clone();
            aggregate(&mut query, "array_agg", true).then_some(Expr::Subquery(query))
        }
        ("generate_subscripts" | "_pg_expandarray", FunctionArguments::List(list)) => {
            let first = list.args.first().cloned()?;
            let FunctionArg::Unnamed(FunctionArgExpr::Expr(array)) = first else { return None };
            let list = if name == "_pg_expandarray" { "pg_expanded" } else { "pg_subscripts" };
            Some(call("unnest", vec![call(list, vec![array])]))
        }
        _ => None,
    }
}

const AGGREGATES: &[&str] = &[
    "count",
    "min",
    "max",
    "sum",
    "avg",
    "array_agg",
    "string_agg",
    "bool_and",
    "bool_or",
    "every",
    "json_agg",
    "jsonb_agg",
    "json_object_agg",
    "first_value",
];

/// A sub-query for one value that depends on the row outside: DataFusion plans it
/// if it is an aggregate. There is at most one row, so the first one is it.
fn single(query: &mut Box<Query>) {
    if !is_correlated(query) {
        return;
    }
    let SetExpr::Select(select) = query.body.as_ref() else { return };
    if !select.projection.iter().any(aggregates) {
        aggregate(query, "first_value", false);
    }
}

fn aggregates(item: &SelectItem) -> bool {
    let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else {
        return false;
    };
    let found = visit_expressions(expr, |inner: &Expr| {
        let Expr::Function(function) = inner else { return ControlFlow::Continue(()) };
        let name = function.name.0.last().and_then(|n| n.as_ident());
        match name.is_some_and(|n| AGGREGATES.contains(&n.value.to_lowercase().as_str())) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    found.is_break()
}

/// Puts an aggregate around the one column of a query, if it is a plain one.
fn aggregate(query: &mut Box<Query>, name: &str, ordered: bool) -> bool {
    let plain = query.with.is_none();
    let SetExpr::Select(select) = query.body.as_mut() else { return false };
    let grouped = !matches!(&select.group_by,
        datafusion::sql::sqlparser::ast::GroupByExpr::Expressions(by, _) if by.is_empty());
    if !plain || grouped || select.distinct.is_some() || select.from.is_empty() {
        return false;
    }
    let [SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }] =
        select.projection.as_mut_slice()
    else {
        return false;
    };
    let aggregated = call(name, vec![expr.clone()]);
    select.projection = vec![SelectItem::UnnamedExpr(aggregated)];
    query.limit_clause = None;
    // The order of the elements is that of the rows as they come.
    if ordered || query.order_by.is_some() {
        query.order_by = None;
    }
    true
}

/// Whether a query names a column of a table that is not its own.
fn is_correlated(query: &Query) -> bool {
    let mut own: HashSet<String> = HashSet::new();
    let _ = visit_relations(query, |relation: &ObjectName| {
        own.extend(relation.0.last().and_then(|n| n.as_ident()).map(|n| n.value.to_lowercase()));
        ControlFlow::<()>::Continue(())
    });
    if let SetExpr::Select(select) = query.body.as_ref() {
        if reads_list(select) {
            return true;
        }
        aliases(select, &mut own);
    }
    let found = visit_expressions(query, |expr: &Expr| match expr {
        Expr::CompoundIdentifier(names) if names.len() >= 2 => {
            let table = names[names.len() - 2].value.to_lowercase();
            if own.contains(&table) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        }
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

fn factors(select: &Select) -> Vec<&TableFactor> {
    let mut all = Vec::new();
    for TableWithJoins { relation, joins } in &select.from {
        all.push(relation);
        all.extend(joins.iter().map(|join| &join.relation));
    }
    all
}

fn aliases(select: &Select, own: &mut HashSet<String>) {
    for factor in factors(select) {
        let alias = match factor {
            TableFactor::Table { alias, .. }
            | TableFactor::Derived { alias, .. }
            | TableFactor::Function { alias, .. }
            | TableFactor::UNNEST { alias, .. } => alias,
            _ => continue,
        };
        own.extend(alias.as_ref().map(|a| a.name.value.to_lowercase()));
    }
}

/// Whether `FROM` has the elements of a list in a column.
fn reads_list(select: &Select) -> bool {
    factors(select).into_iter().any(|factor| match factor {
        TableFactor::Table { args, .. } => args.is_some(),
        TableFactor::Function { .. } | TableFactor::UNNEST { .. } => true,
        _ => false,
    })
}

/// PostgreSQL lets columns of one answer have the same name, DataFusion does not.
fn unique_columns(body: &mut SetExpr) {
    match body {
        SetExpr::SetOperation { left, right, .. } => {
            unique_columns(left);
            unique_columns(right);
        }
        SetExpr::Select(select) => {
            let is_wildcard = |item: &SelectItem| {
                matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..))
            };
            let wildcard = select.projection.iter().any(is_wildcard);
            let mut seen = HashSet::new();
            for (at, item) in select.projection.iter_mut().enumerate() {
                let (expr, alias) = match item {
                    SelectItem::UnnamedExpr(expr) => (expr.clone(), None),
                    SelectItem::ExprWithAlias { expr, alias } => {
                        (expr.clone(), Some(alias.value.clone()))
                    }
                    _ => continue,
                };
                let last = match &expr {
                    Expr::Identifier(name) => Some(name.value.clone()),
                    Expr::CompoundIdentifier(names) => names.last().map(|n| n.value.clone()),
                    _ => None,
                };
                let column = alias.is_none() && last.is_some();
                let name = alias.or(last).unwrap_or_else(|| shown_name(&expr));
                let again = !seen.insert(name.to_lowercase());
                if again || (wildcard && column) {
                    let alias = Ident::with_quote('"', format!("{name}{UNIQUE}{at}"));
                    *item = SelectItem::ExprWithAlias { expr, alias };
                }
            }
        }
        _ => {}
    }
}

/// The name that PostgreSQL gives a column without one.
fn shown_name(expr: &Expr) -> String {
    match expr {
        Expr::Identifier(name) => name.value.clone(),
        Expr::CompoundIdentifier(names) => {
            names.last().map(|n| n.value.clone()).unwrap_or_default()
        }
        Expr::Function(function) => match function.name.0.last().and_then(|n| n.as_ident()) {
            Some(name) => name.value.to_lowercase(),
            None => "?column?".to_owned(),
        },
        Expr::Cast { expr, data_type, .. } => match shown_name(expr).as_str() {
            "?column?" => type_name(data_type),
            name => name.to_owned(),
        },
        Expr::Nested(inner) => shown_name(inner),
        Expr::Case { .. } => "case".to_owned(),
        Expr::Exists { .. } => "exists".to_owned(),
        _ => "?column?".to_owned(),
    }
}

/// Numbers of objects that are shown are shown as names.
fn shown(body: &mut SetExpr) {
    match body {
        SetExpr::SetOperation { left, right, .. } => {
            shown(left);
            shown(right);
        }
        SetExpr::Query(query) => shown(&mut query.body),
        SetExpr::Select(select) => {
            for item in &mut select.projection {
                let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item
                else {
                    continue;
                };
                let to = numbered(expr).map(|to| to.trim_end_matches("out").to_owned());
                let name = if names_function(expr) { Some(shown_name(expr)) } else { to };
                let Some(name) = name else { continue };
                let text = as_text(expr.clone());
                match item {
                    SelectItem::ExprWithAlias { expr, .. } => *expr = text,
                    _ => {
                        let alias = Ident::with_quote('"', name);
                        *item = SelectItem::ExprWithAlias { expr: text, alias };
                    }
                }
            }
        }
        _ => {}
    }
}

fn call(name: &str, arguments: Vec<Expr>) -> Expr {
    let argument = |expr| FunctionArg::Unnamed(FunctionArgExpr::Expr(expr));
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: arguments.into_iter().map(argument).collect(),
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// The functions that a statement calls, in lower case.
pub fn functions(statement: &Statement) -> HashSet<String> {
    let mut names = HashSet::new();
    let _ = visit_expressions(statement, |expr: &Expr| {
        if let Expr::Function(function) = expr
            && let Some(name) = function.name.0.last().and_then(|n| n.as_ident())
        {
            names.insert(name.value.to_lowercase());
        }
        ControlFlow::<()>::Continue(())
    });
    names
}
