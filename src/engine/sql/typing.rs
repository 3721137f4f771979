//! T-SQL's types over a whole plan, after it is built and before its meaning is
//! settled for all dialects: the types of literals, of columns that come
//! together in a `CASE` or a `UNION`, the operands of `IN` and `BETWEEN`, and
//! the order of GUIDs.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result, ScalarValue, TableReference, plan_err};
use datafusion::logical_expr::expr::{Case, InList, InSubquery, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    Between, BinaryExpr, Cast, Expr, ExprSchemable, Like, LogicalPlan, LogicalPlanBuilder,
    Operator, Projection, Union, Values,
};

use super::aggregates;
use super::implicit::{as_type, comparable, instant, is_untyped, narrowed, type_of};
use crate::catalog::{is_code_in_sql, is_entity_name};
use crate::engine::functions::{SqlType, converted, guid_order, table_name};

/// The plan with T-SQL's types.
pub fn apply(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|node| typed_node(node).map(Transformed::yes))
        .map(|done| done.data)
}

fn typed_node(node: LogicalPlan) -> Result<LogicalPlan> {
    let node = match node {
        LogicalPlan::Values(values) => return typed_values(values),
        // Numbers of rows are no values.
        LogicalPlan::Limit(_) => return Ok(node),
        LogicalPlan::Union(union) => return typed_union(union),
        node => node,
    };
    let inputs = node.inputs();
    if inputs.is_empty() {
        return Ok(node);
    }
    let schema = merge_schema(&inputs);
    let names = NamePreserver::new(&node);
    let node = node
        .map_expressions(|expr| {
            let name = names.save(&expr);
            let expr = expr.transform_up(|e| typed_expr(e, &schema))?;
            Ok(expr.update_data(|e| name.restore(e)))
        })?
        .data
        .recompute_schema()?;
    match node {
        LogicalPlan::Filter(filter) => {
            condition(&filter.predicate, &schema)?;
            Ok(LogicalPlan::Filter(filter))
        }
        LogicalPlan::Sort(mut sort) => {
            for key in &mut sort.expr {
                order_key(&mut key.expr, sort.input.schema());
            }
            Ok(LogicalPlan::Sort(sort))
        }
        LogicalPlan::Join(mut join) => {
            join.filter.iter().try_for_each(|filter| condition(filter, &schema))?;
            for (left, right) in &mut join.on {
                let pair = (std::mem::take(left), std::mem::take(right));
                (*left, *right) = comparable(pair.0, pair.1, &schema)?;
            }
            Ok(LogicalPlan::Join(join))
        }
        node @ LogicalPlan::Window(_) => signed(node),
        node => Ok(node),
    }
}

/// Row numbers and ranks are of the type `bigint`.
fn signed(node: LogicalPlan) -> Result<LogicalPlan> {
    let unsigned = |field: &Field| *field.data_type() == DataType::UInt64;
    if !node.schema().fields().iter().any(|field| unsigned(field)) {
        return Ok(node);
    }
    let column = |(relation, field): (Option<&TableReference>, &FieldRef)| {
        let column = Expr::Column(Column::new(relation.cloned(), field.name()));
        if !unsigned(field) {
            return column;
        }
        let number = Expr::Cast(Cast::new(Box::new(column), DataType::Int64));
        number.alias_qualified(relation.cloned(), field.name())
    };
    let columns = node.schema().iter().map(column).collect();
    Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(node))?))
}

fn is_guid(expr: &Expr, schema: &DFSchema) -> bool {
    type_of(expr, schema) == Some(SqlType::Guid)
}

/// Whether an expression holds codes of tables that SQL shows as names.
fn is_named(expr: &Expr, schema: &DFSchema) -> bool {
    expr.to_field(schema).is_ok_and(|(_, field)| {
        is_entity_name(&field)
            && SqlType::of(&field) == SqlType::Int
            && !is_code_in_sql(field.name())
    })
}

/// A sort key: GUIDs in SQL Server's order, tables by the names they show.
fn order_key(key: &mut Expr, schema: &DFSchema) {
    if is_guid(key, schema) {
        *key = guid_order(std::mem::take(key));
    } else if is_named(key, schema) {
        *key = table_name(std::mem::take(key));
    }
}

fn typed_expr(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    Ok(match expr {
        Expr::Literal(..) => Transformed::yes(narrowed(expr)),
        Expr::BinaryExpr(binary) => {
            if matches!(binary.op, Operator::And | Operator::Or) {
                condition(&binary.left, schema)?;
                condition(&binary.right, schema)?;
            }
            Transformed::yes(ordered(binary, schema))
        }
        Expr::Not(inner) => {
            condition(&inner, schema)?;
            Transformed::no(Expr::Not(inner))
        }
        Expr::InList(list) => Transformed::yes(in_list(list, schema)?),
        Expr::Between(between) => Transformed::yes(self::between(between, schema)?),
        Expr::InSubquery(test) => Transformed::yes(in_subquery(test, schema)?),
        Expr::Like(like) => Transformed::yes(Expr::Like(text_pattern(like, schema))),
        Expr::Case(case) => Transformed::yes(self::case(case, schema)?),
        Expr::ScalarFunction(function) => Transformed::yes(self::function(function, schema)?),
        Expr::AggregateFunction(function) => {
            Transformed::yes(Expr::AggregateFunction(aggregates::typed(function, schema)?))
        }
        Expr::WindowFunction(mut window) => {
            window.fun = aggregates::typed_window(window.fun, &mut window.params.args, schema)?;
            for key in &mut window.params.order_by {
                let guid = is_guid(&key.expr, schema);
                order_key(&mut key.expr, schema);
                if guid {
                    // Frames know text, but not bytes.
                    key.expr = converted(std::mem::take(&mut key.expr), SqlType::PgText);
                }
            }
            Transformed::yes(Expr::WindowFunction(window))
        }
        other => Transformed::no(other),
    })
}

/// `<` and its like between GUIDs and between names of tables.
fn ordered(binary: BinaryExpr, schema: &DFSchema) -> Expr {
    let BinaryExpr { left, op, right } = binary;
    let orders = matches!(op, Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq);
    let (mut left, mut right) = (*left, *right);
    let text = |e: &Expr| type_of(e, schema).is_some_and(SqlType::is_text);
    if orders && is_guid(&left, schema) && is_guid(&right, schema) {
        (left, right) = (guid_order(left), guid_order(right));
    } else if orders && is_named(&left, schema) && text(&right) {
        left = table_name(left);
    } else if orders && is_named(&right, schema) && text(&left) {
        right = table_name(right);
    }
    Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)))
}

/// `a IN (b, c)`: each is compared by itself.
fn in_list(list: InList, schema: &DFSchema) -> Result<Expr> {
    let InList { expr, list, negated } = list;
    let pairs = list.into_iter().map(|item| comparable((*expr).clone(), item, schema));
    let pairs: Vec<(Expr, Expr)> = pairs.collect::<Result<_>>()?;
    if pairs.iter().all(|(subject, _)| *subject == *expr) {
        let items = pairs.into_iter().map(|(_, item)| item).collect();
        return Ok(Expr::InList(InList::new(expr, items, negated)));
    }
    let tests = pairs.into_iter().map(|(subject, item)| subject.eq(item));
    let any =
        tests.reduce(Expr::or).unwrap_or_else(|| Expr::InList(InList::new(expr, vec![], false)));
    Ok(if negated { !any } else { any })
}

fn between(between: Between, schema: &DFSchema) -> Result<Expr> {
    let Between { expr, negated, low, high } = between;
    let (above, low) = comparable((*expr).clone(), *low, schema)?;
    let (below, high) = comparable((*expr).clone(), *high, schema)?;
    let ordered = is_guid(&expr, schema) || is_named(&expr, schema);
    if above == *expr && below == *expr && !ordered {
        let plain = Between::new(expr, negated, Box::new(low), Box::new(high));
        return Ok(Expr::Between(plain));
    }
    let test = |left: Expr, op, right: Expr| {
        ordered_pair(BinaryExpr::new(Box::new(left), op, Box::new(right)), schema)
    };
    let both = test(above, Operator::GtEq, low).and(test(below, Operator::LtEq, high));
    Ok(if negated { !both } else { both })
}

fn ordered_pair(binary: BinaryExpr, schema: &DFSchema) -> Expr {
    ordered(binary, schema)
}

/// `a IN (SELECT b …)` where one side has to be converted.
fn in_subquery(mut test: InSubquery, schema: &DFSchema) -> Result<Expr> {
    if is_untyped(&test.expr) {
        return Ok(Expr::InSubquery(test));
    }
    let inner = test.subquery.subquery.clone();
    let (relation, field) = inner.schema().qualified_field(0);
    let column = Expr::Column(Column::new(relation.cloned(), field.name()));
    let both = schema.join(inner.schema()).unwrap_or_else(|_| inner.schema().as_ref().clone());
    let placed = test.expr.to_field(schema).ok().map(|(_, field)| field);
    let Some(placed) = placed else { return Ok(Expr::InSubquery(test)) };
    let own = SqlType::of(&placed);
    let other = SqlType::of(field);
    let text_beside_name =
        is_entity_name(&placed) && other.is_text() || is_entity_name(field) && own.is_text();
    if text_beside_name {
        let name = if own.is_text() { None } else { Some(std::mem::take(&mut *test.expr)) };
        match name {
            Some(code) => *test.expr = table_name(code),
            None => {
                let names = Projection::try_new(vec![table_name(column)], inner)?;
                test.subquery.subquery = Arc::new(LogicalPlan::Projection(names));
            }
        }
        return Ok(Expr::InSubquery(test));
    }
    let differ = (own.is_text() != other.is_text()
        || (own == SqlType::Guid) != (other == SqlType::Guid))
        && own != SqlType::Null
        && other != SqlType::Null;
    if !differ {
        return Ok(Expr::InSubquery(test));
    }
    if own.precedence() < other.precedence() {
        let subject = std::mem::take(&mut *test.expr);
        let (subject, _) = comparable_types(subject, own, other)?;
        *test.expr = subject;
    } else {
        let (converted, _) = comparable(column, (*test.expr).clone(), &both)?;
        let values = Projection::try_new(vec![converted], inner)?;
        test.subquery.subquery = Arc::new(LogicalPlan::Projection(values));
    }
    Ok(Expr::InSubquery(test))
}

fn comparable_types(expr: Expr, own: SqlType, other: SqlType) -> Result<(Expr, SqlType)> {
    if !own.is_text() {
        return plan_err!(
            "Operand type clash: {} is incompatible with {} (Msg 206)",
            own.name(),
            other.name()
        );
    }
    Ok((as_type(expr, own, other)?, other))
}

/// `LIKE` compares text: everything else is converted to it.
fn text_pattern(mut like: Like, schema: &DFSchema) -> Like {
    for side in [&mut like.expr, &mut like.pattern] {
        let kind = type_of(side, schema);
        let named = is_entity_name_column(side, schema);
        if !named && kind.is_some_and(|t| !t.is_text() && t != SqlType::Null) && !is_untyped(side) {
            **side = converted(std::mem::take(&mut **side), SqlType::Varchar(None));
        }
    }
    like
}

fn is_entity_name_column(expr: &Expr, schema: &DFSchema) -> bool {
    expr.to_field(schema).is_ok_and(|(_, field)| is_entity_name(&field))
}

/// The type that several expressions have in common.
fn common(exprs: &[&Expr], schema: &DFSchema) -> SqlType {
    let types = exprs.iter().filter(|e| !is_untyped(e)).filter_map(|e| type_of(e, schema));
    types.fold(SqlType::Null, SqlType::union)
}

/// An expression as the common type of several.
fn united(expr: Expr, target: SqlType, schema: &DFSchema) -> Result<Expr> {
    let expr = instant(expr, schema);
    let Some(own) = type_of(&expr, schema) else { return Ok(expr) };
    let same = own == target || own.is_text() && target.is_text() || own == SqlType::Null;
    if same || target == SqlType::Null || target == SqlType::Other || is_untyped(&expr) {
        return Ok(expr);
    }
    let clash = own == SqlType::Guid && !target.is_text()
        || target.is_temporal() && own.is_number() && !days(target);
    if clash {
        return plan_err!(
            "Operand type clash: {} is incompatible with {} (Msg 206)",
            own.name(),
            target.name()
        );
    }
    as_type(expr, own, target)
}

/// Refuses what is no condition. A column of the type `bit` is none either;
/// everything else that is true or false was written as a condition.
fn condition(expr: &Expr, schema: &DFSchema) -> Result<()> {
    let kind = type_of(expr, schema).filter(|_| !is_untyped(expr));
    let wrong = match kind {
        Some(SqlType::Bit) => matches!(expr, Expr::Column(column) if !is_condition(column)),
        Some(kind) => kind.is_number(),
        None => false,
    };
    if !wrong {
        return Ok(());
    }
    plan_err!(
        "An expression of non-boolean type is specified where a condition is expected (Msg 4145)"
    )
}

/// Whether a column is an aggregate of conditions, which PostgreSQL has.
fn is_condition(column: &Column) -> bool {
    ["bool_and(", "bool_or("].iter().any(|aggregate| column.name.starts_with(aggregate))
}

fn days(t: SqlType) -> bool {
    matches!(t, SqlType::DateTime | SqlType::SmallDateTime)
}

fn case(mut case: Case, schema: &DFSchema) -> Result<Expr> {
    if let Some(subject) = case.expr.take() {
        let pairs = case.when_then_expr.iter();
        let pairs = pairs.map(|(when, _)| comparable((*subject).clone(), (**when).clone(), schema));
        let pairs: Vec<(Expr, Expr)> = pairs.collect::<Result<_>>()?;
        if pairs.iter().all(|(left, _)| *left == *subject) {
            case.expr = Some(subject);
            for ((_, right), (when, _)) in pairs.into_iter().zip(&mut case.when_then_expr) {
                **when = right;
            }
        } else {
            for ((left, right), (when, _)) in pairs.into_iter().zip(&mut case.when_then_expr) {
                **when = left.eq(right);
            }
        }
    }
    if case.expr.is_none() {
        case.when_then_expr.iter().try_for_each(|(when, _)| condition(when, schema))?;
    }
    let results: Vec<&Expr> = case
        .when_then_expr
        .iter()
        .map(|(_, then)| &**then)
        .chain(case.else_expr.as_deref())
        .collect();
    let null = |e: &&Expr| matches!(e, Expr::Literal(scalar, _) if scalar.is_null());
    if results.iter().all(null) {
        return plan_err!(
            "At least one of the result expressions in a CASE specification must be an expression \
             other than the NULL constant (Msg 8133)"
        );
    }
    let target = common(&results, schema);
    for (_, then) in &mut case.when_then_expr {
        **then = branch(std::mem::take(&mut **then), target, schema)?;
    }
    if let Some(otherwise) = &mut case.else_expr {
        **otherwise = branch(std::mem::take(&mut **otherwise), target, schema)?;
    }
    Ok(Expr::Case(case))
}

/// A result of a `CASE` as the type of all. Text that is none of the type is an
/// error only if a row has this result.
fn branch(expr: Expr, target: SqlType, schema: &DFSchema) -> Result<Expr> {
    let text = type_of(&expr, schema).is_some_and(SqlType::is_text);
    let literal = matches!(expr, Expr::Literal(..)).then(|| expr.clone());
    match (united(expr, target, schema), literal) {
        (Err(_), Some(literal)) if text => Ok(converted(literal, target)),
        (result, _) => result,
    }
}

/// Functions whose arguments have to be of one type.
fn function(mut function: ScalarFunction, schema: &DFSchema) -> Result<Expr> {
    match function.name() {
        "coalesce" | "greatest" | "least" => {
            let target = common(&function.args.iter().collect::<Vec<_>>(), schema);
            let args = std::mem::take(&mut function.args).into_iter();
            function.args = args.map(|arg| united(arg, target, schema)).collect::<Result<_>>()?;
        }
        "isnull" if function.args.len() == 2 => {
            let first = match &function.args[0] {
                Expr::Literal(scalar, _) => match scalar.try_as_str() {
                    Some(Some(text)) => {
                        let length = u32::try_from(text.chars().count().max(1)).unwrap_or(8_000);
                        Some(SqlType::Varchar(Some(length)))
                    }
                    _ => type_of(&function.args[0], schema),
                },
                other => type_of(other, schema),
            };
            let second = type_of(&function.args[1], schema);
            if let (Some(first), Some(second)) = (first, second)
                && first != second
                && first != SqlType::Null
                && second != SqlType::Null
            {
                let other = function.args.remove(1);
                function.args.push(as_type(other, second, first)?);
            }
        }
        "nullif" if function.args.len() == 2 => {
            let other = function.args.remove(1);
            let value = function.args.remove(0);
            let (left, right) = comparable(value.clone(), other, schema)?;
            if left != value {
                let null = converted(
                    Expr::Literal(ScalarValue::Null, None),
                    type_of(&value, schema).unwrap_or(SqlType::Null),
                );
                let arms = vec![(Box::new(left.eq(right)), Box::new(null))];
                return Ok(Expr::Case(Case::new(None, arms, Some(Box::new(value)))));
            }
            function.args = vec![value, right];
        }
        _ => {}
    }
    Ok(Expr::ScalarFunction(function))
}

/// A literal without the conversion that the engine has put around it.
fn plain_cell(expr: Expr) -> Expr {
    let expr = match expr {
        Expr::Cast(cast) if matches!(*cast.expr, Expr::Literal(..)) => *cast.expr,
        expr => expr,
    };
    match expr {
        // A null beside whole numbers has the engine's type for them.
        Expr::Literal(ScalarValue::Int64(None), metadata) => {
            Expr::Literal(ScalarValue::Null, metadata)
        }
        expr => expr,
    }
}

/// `VALUES`: its literals have T-SQL's types.
fn typed_values(values: Values) -> Result<LogicalPlan> {
    let empty = DFSchema::empty();
    let names: Vec<String> = values.schema.fields().iter().map(|f| f.name().clone()).collect();
    let cell =
        |e: Expr| plain_cell(e).transform_up(|e| typed_expr(e, &empty)).map(|done| done.data);
    let row = |row: Vec<Expr>| row.into_iter().map(cell).collect::<Result<Vec<_>>>();
    let mut rows: Vec<Vec<Expr>> = values.values.into_iter().map(row).collect::<Result<_>>()?;
    for at in 0..names.len() {
        let target = common(&rows.iter().map(|row| &row[at]).collect::<Vec<_>>(), &empty);
        for row in &mut rows {
            row[at] = united(std::mem::take(&mut row[at]), target, &empty)?;
        }
    }
    let plan = LogicalPlanBuilder::values(rows)?;
    let columns = plan.schema().columns().into_iter().zip(names);
    let columns: Vec<Expr> =
        columns.map(|(column, name)| Expr::Column(column).alias(name)).collect();
    let same = columns
        .iter()
        .all(|c| !matches!(c, Expr::Alias(a) if a.name != a.expr.schema_name().to_string()));
    if same { plan.build() } else { plan.project(columns)?.build() }
}

/// `UNION`: each column has the type of highest precedence among the queries.
fn typed_union(union: Union) -> Result<LogicalPlan> {
    let width = union.schema.fields().len();
    let mut targets = vec![SqlType::Null; width];
    let mut named = vec![false; width];
    for input in &union.inputs {
        for (at, field) in input.schema().fields().iter().enumerate().take(width) {
            named[at] |= is_entity_name(field) && !is_code_in_sql(field.name());
            let own = if named[at] { SqlType::Varchar(None) } else { SqlType::of(field) };
            targets[at] = targets[at].union(own);
        }
    }
    let convert = |input: Arc<LogicalPlan>| -> Result<Arc<LogicalPlan>> {
        let schema = input.schema().clone();
        let mut changed = false;
        let mut columns = Vec::with_capacity(width);
        for (at, (relation, field)) in schema.iter().enumerate() {
            let column = Expr::Column(Column::new(relation.cloned(), field.name()));
            let value = match is_entity_name(field) && named[at] {
                true => table_name(column.clone()),
                false => united(column.clone(), targets[at], &schema)?,
            };
            changed |= value != column;
            columns.push(value.alias_qualified(relation.cloned(), field.name()));
        }
        if !changed {
            return Ok(input);
        }
        Ok(Arc::new(LogicalPlan::Projection(Projection::try_new(columns, input)?)))
    };
    let inputs = union.inputs.into_iter().map(convert).collect::<Result<Vec<_>>>()?;
    Ok(LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?))
}
