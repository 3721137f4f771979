//! PostgreSQL's syntax in catalog queries as DataFusion plans it: the same
//! question in other words. What `datafusion-pg-catalog` has rules for is left to
//! them; these are the ones it lacks.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, Array, ArrayElemTypeDef, BinaryOperator, CastKind, DataType, Expr, Function,
    FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, ObjectName,
    ObjectNamePart, Query, Select, SetExpr, Statement, TableFactor, TableWithJoins, Value,
    VisitMut, VisitorMut, visit_expressions,
};

mod columns;
mod from;
mod subqueries;

pub use self::subqueries::without_details;
use super::pg_catalog::FUNCTION_COLUMNS;
use super::pg_catalog::lookups::NUMBERED;

/// Separates a column's name from what makes it unique. Clients do not see it.
pub const UNIQUE: char = '\u{1}';

/// Rewrites a statement; `is_relation`: whether `pg_catalog` has a relation.
pub fn rewrite(statement: &mut Statement, is_relation: impl Fn(&str) -> bool) {
    let _ = statement.visit(&mut Rewrite { is_relation, tables: Vec::new() });
    if let Statement::Query(query) = statement {
        columns::shown(&mut query.body);
    }
}

/// The names of a key's columns, which pgcli looks up by a sub-query over a list
/// in the row outside: relation and list.
fn key_columns(text: &str) -> Option<Vec<Expr>> {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let (_, rest) = words.split_once("array_agg(attname order by i)")?;
    let (_, rest) = rest.split_once("unnest(")?;
    let (list, rest) = rest.split_once(')')?;
    let (_, relation) = rest.split_once(".attrelid = ")?;
    let column = |text: &str| {
        let names = text.trim_end_matches(')').trim().split('.').map(Ident::new).collect();
        Expr::CompoundIdentifier(names)
    };
    let relation = column(relation);
    let list = match (&relation, list.contains('.')) {
        // The list belongs to the same row as the relation.
        (Expr::CompoundIdentifier(names), false) if names.len() == 2 => {
            Expr::CompoundIdentifier(vec![names[0].clone(), Ident::new(list)])
        }
        _ => column(list),
    };
    Some(vec![relation, list])
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
        for select in selects(&mut query.body) {
            from::functions(select);
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
        if is_system_column(expr) {
            *expr = number(0);
        }
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
        for select in selects(&mut query.body) {
            select.projection.iter_mut().for_each(subqueries::counted);
        }
        columns::unique_columns(&mut query.body);
        columns::sorted(query);
        ControlFlow::Continue(())
    }
}

/// The columns in which PostgreSQL keeps what transactions did to a row; here is
/// one that did everything.
fn is_system_column(expr: &Expr) -> bool {
    let name = match expr {
        Expr::Identifier(name) => Some(name),
        Expr::CompoundIdentifier(names) => names.last(),
        _ => None,
    };
    let known = ["xmin", "xmax", "cmin", "cmax"];
    name.is_some_and(|name| known.iter().any(|known| name.value.eq_ignore_ascii_case(known)))
}

/// `(a, b) = (c, d)`, column by column.
fn tuples(left: &Expr, right: &Expr) -> Option<Expr> {
    let (Expr::Tuple(left), Expr::Tuple(right)) = (left, right) else { return None };
    if left.len() != right.len() {
        return None;
    }
    let both = |op, left: Expr, right: Expr| Expr::BinaryOp {
        left: Box::new(left),
        op,
        right: Box::new(right),
    };
    let pairs = left.iter().zip(right);
    let equal = pairs.map(|(l, r)| both(BinaryOperator::Eq, l.clone(), r.clone()));
    equal.reduce(|all, next| both(BinaryOperator::And, all, next))
}

fn rewritten(expr: &mut Expr) -> Option<Expr> {
    match expr {
        Expr::BinaryOp { left, op: BinaryOperator::Eq, right }
            if matches!(left.as_ref(), Expr::Tuple(_)) =>
        {
            tuples(left, right)
        }
        // DataFusion knows the backslash only.
        Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. } => {
            if let Some(escape) = escape_char.take() {
                let backslash = Value::SingleQuotedString("\\".to_owned()).with_empty_span();
                let arguments = vec![*pattern.clone(), Expr::Value(escape), Expr::Value(backslash)];
                **pattern = call("replace", arguments);
            }
            None
        }
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
        // `(pair).n`
        Expr::CompoundFieldAccess { root, access_chain } => match access_chain.as_slice() {
            [AccessExpr::Dot(Expr::Identifier(field))] => {
                let field = Value::SingleQuotedString(field.value.clone()).with_empty_span();
                let root = match root.as_ref() {
                    Expr::Nested(inner) => inner.as_ref().clone(),
                    other => other.clone(),
                };
                Some(call("get_field", vec![root, Expr::Value(field)]))
            }
            _ => None,
        },
        Expr::Subquery(query) => {
            subqueries::single(query);
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
    if name.ends_with("[]") {
        list_literal(operand);
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
        "oidvector" | "oid[]" | "regtype[]" | "regclass[]" => list_of(DataType::Int4(None)),
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
    if inner.trim().is_empty() {
        *expr = Expr::Array(Array { elem: Vec::new(), named: true });
        return;
    }
    if let Some(elem) = inner.split(',').map(number).collect::<Option<Vec<_>>>() {
        *expr = Expr::Array(Array { elem, named: true });
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
            subqueries::aggregate(&mut query, "array_agg", true).then_some(Expr::Subquery(query))
        }
        ("coalesce", FunctionArguments::List(list)) => {
            for argument in &mut list.args {
                if let FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) = argument {
                    list_literal(value);
                }
            }
            None
        }
        ("unnest", FunctionArguments::List(list)) => {
            let keys = key_columns(&list.args.first()?.to_string())?;
            Some(call("unnest", vec![call("pg_key_columns", keys)]))
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

/// The `SELECT`s of a body, those of set operations too.
fn selects(body: &mut SetExpr) -> Vec<&mut Select> {
    match body {
        SetExpr::Select(select) => vec![select],
        SetExpr::SetOperation { left, right, .. } => {
            let mut all = selects(left);
            all.extend(selects(right));
            all
        }
        _ => Vec::new(),
    }
}

fn factors(select: &Select) -> Vec<&TableFactor> {
    let mut all = Vec::new();
    for TableWithJoins { relation, joins } in &select.from {
        all.push(relation);
        all.extend(joins.iter().map(|join| &join.relation));
    }
    all
}

fn number(value: i64) -> Expr {
    Expr::Value(Value::Number(value.to_string(), false).with_empty_span())
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
