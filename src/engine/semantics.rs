//! What comparisons, groups, orders and averages mean, for all dialects.
//!
//! Every plan, whichever dialect it came from, passes through [`apply`] before
//! it is optimized. It replaces DataFusion's meaning by Dataverse's:
//!
//! - text compares, groups, joins and sorts by its [`collation`] key, and a group
//!   shows the text of its oldest row;
//! - text that stands beside a GUID, a time, a yes/no or a table-name column is
//!   read as a value of that column;
//! - `LIKE` has SQL Server's wildcards;
//! - the average of whole numbers is a whole number, truncated toward zero, and
//!   their sum is one or an error.
//!
//! Null ordering is set where sort keys are made: nulls first ascending, last
//! descending.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result, ScalarValue, TableReference, plan_err};
use datafusion::functions_aggregate::first_last::first_value_udaf;
use datafusion::functions_aggregate::min_max::min_udaf;
use datafusion::logical_expr::expr::{
    AggregateFunction, AggregateFunctionParams, Case, InList, InSubquery, NullTreatment,
    SetComparison, SetQuantifier, Sort as SortExpr,
};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    Aggregate, AggregateUDF, Between, BinaryExpr, Distinct, Expr, ExprSchemable, Like, LogicalPlan,
    LogicalPlanBuilder, Operator, Projection, Sort, Subquery, col,
};

use super::average::WholeAverage;
use super::collation::{collation_key, like};
use super::functions::{
    collated_key, collated_pattern, collation_of, extreme_text, is_exact, table_name,
};
use super::grouping_sets;
use super::oldest::oldest_text;
use super::sum::WholeSum;
use super::windowed;
use crate::catalog::{entity_code_or_none, is_entity_name, is_label};
use crate::value::{Value, parse_guid};

/// The plan with Dataverse's meaning of everything it says.
pub fn apply(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|node| rewrite_node(node).map(Transformed::yes))
        .map(|done| done.data)
}

/// A sort key with nulls first ascending and last descending.
pub fn sort_key(expr: Expr, descending: bool) -> SortExpr {
    expr.sort(!descending, !descending)
}

fn rewrite_node(node: LogicalPlan) -> Result<LogicalPlan> {
    let inputs = node.inputs();
    if inputs.is_empty() && !matches!(node, LogicalPlan::TableScan(_)) {
        return Ok(node);
    }
    let schema = merge_schema(&inputs);
    let names = NamePreserver::new(&node);
    let node = node
        .map_expressions(|expr| {
            let name = names.save(&expr);
            let expr = expr.transform_up(|e| rewrite_expr(e, &schema))?;
            Ok(expr.update_data(|e| name.restore(e)))
        })?
        .data
        .recompute_schema()?;
    match node {
        LogicalPlan::Aggregate(aggregate) => group_text(aggregate),
        LogicalPlan::Distinct(Distinct::All(input)) => distinct(input),
        LogicalPlan::Sort(sort) => sort_text(sort),
        LogicalPlan::Join(mut join) => {
            for (left, right) in &mut join.on {
                if is_text(left, join.left.schema()) && is_text(right, join.right.schema()) {
                    (*left, *right) = keys_of(left.clone(), right.clone(), &schema)?;
                }
            }
            Ok(LogicalPlan::Join(join))
        }
        node => Ok(node),
    }
}

fn is_text(expr: &Expr, schema: &DFSchema) -> bool {
    matches!(expr.get_type(schema), Ok(DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8))
}

/// The key that a text compares by: that of its own collation, if it was given one.
fn key_of(text: Expr, schema: &DFSchema) -> Expr {
    match collation_of(&text, schema) {
        Some(name) => collated_key(text, &name),
        None => collation_key(text),
    }
}

/// The keys of two texts; one collation decides for both.
fn keys_of(left: Expr, right: Expr, schema: &DFSchema) -> Result<(Expr, Expr)> {
    match (collation_of(&left, schema), collation_of(&right, schema)) {
        (None, None) => Ok((collation_key(left), collation_key(right))),
        (Some(a), Some(b)) if !a.eq_ignore_ascii_case(&b) => {
            plan_err!("Cannot resolve the collation conflict between \"{a}\" and \"{b}\" (Msg 468)")
        }
        (Some(name), _) | (None, Some(name)) => {
            Ok((collated_key(left, &name), collated_key(right, &name)))
        }
    }
}

/// Whether an expression is a table's object type code.
fn is_table(expr: &Expr, schema: &DFSchema) -> bool {
    expr.to_field(schema)
        .is_ok_and(|(_, field)| is_entity_name(&field) && *field.data_type() == DataType::Int32)
}

fn rewrite_expr(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    Ok(match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(op) => {
            let (left, right) = operands(*left, *right, schema)?;
            Transformed::yes(Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right))))
        }
        Expr::InList(InList { expr, list, negated }) => {
            let mut subject = (*expr).clone();
            let mut items = Vec::with_capacity(list.len());
            for item in list {
                let (left, item) = operands((*expr).clone(), item, schema)?;
                // Beside NULL it stays as it is.
                if left != *expr {
                    subject = left;
                }
                items.push(item);
            }
            Transformed::yes(Expr::InList(InList::new(Box::new(subject), items, negated)))
        }
        Expr::Between(Between { expr, negated, low, high }) => {
            let (above, low) = operands((*expr).clone(), *low, schema)?;
            let (below, high) = operands((*expr).clone(), *high, schema)?;
            // Beside NULL it stays as it is.
            let subject = if below == *expr { above } else { below };
            Transformed::yes(Expr::Between(Between::new(
                Box::new(subject),
                negated,
                Box::new(low),
                Box::new(high),
            )))
        }
        Expr::Like(Like { negated, expr, pattern, escape_char, .. }) => {
            let expr = if is_table(&expr, schema) { table_name(*expr) } else { *expr };
            let (expr, pattern) =
                match collation_of(&expr, schema).or(collation_of(&pattern, schema)) {
                    Some(name) => collated_pattern(expr, *pattern, &name),
                    None => (expr, *pattern),
                };
            let matches = like(expr, pattern, escape_char);
            Transformed::yes(if negated { !matches } else { matches })
        }
        Expr::AggregateFunction(function) => aggregate_function(function, schema)?,
        Expr::Case(case) if case.expr.is_some() => Transformed::yes(searched_case(case, schema)?),
        Expr::ScalarFunction(function)
            if function.name() == "nullif" && function.args.len() == 2 =>
        {
            Transformed::yes(null_if_equal(function.args, schema)?)
        }
        Expr::ScalarFunction(function)
            if matches!(function.name(), "greatest" | "least")
                && function.args.iter().any(|arg| is_text(arg, schema)) =>
        {
            Transformed::yes(extreme_text(function.name() == "greatest", function.args))
        }
        Expr::ScalarFunction(mut function)
            if matches!(function.name(), "charindex" | "patindex" | "sql_replace") =>
        {
            let collations = function.args.iter().take(2).map(|arg| collation_of(arg, schema));
            let Some(name) = collations.flatten().next() else {
                return Ok(Transformed::no(Expr::ScalarFunction(function)));
            };
            let replaces = function.name() == "sql_replace";
            if replaces && is_exact(&name) {
                let exact = datafusion::functions::string::replace();
                return Ok(Transformed::yes(exact.call(function.args)));
            }
            if !replaces && let [wanted, text, ..] = function.args.as_mut_slice() {
                let pair = (std::mem::take(wanted), std::mem::take(text));
                (*wanted, *text) = collated_pattern(pair.0, pair.1, &name);
            }
            Transformed::yes(Expr::ScalarFunction(function))
        }
        Expr::WindowFunction(mut window) => {
            let params = &mut window.params;
            let keys = params.partition_by.iter_mut();
            for text in keys.chain(params.order_by.iter_mut().map(|key| &mut key.expr)) {
                if is_text(text, schema) {
                    *text = key_of(text.clone(), schema);
                }
            }
            windowed::adapt(&mut window, schema)?;
            Transformed::yes(Expr::WindowFunction(window))
        }
        Expr::InSubquery(test) => Transformed::yes(in_subquery(test, schema)?),
        // Written `IN`, the list is looked up once and not compared row by row.
        Expr::SetComparison(SetComparison { expr, subquery, op, quantifier })
            if matches!(
                (op, &quantifier),
                (Operator::Eq, SetQuantifier::Any) | (Operator::NotEq, SetQuantifier::All)
            ) =>
        {
            let list = InSubquery::new(expr, subquery, op == Operator::NotEq);
            Transformed::yes(in_subquery(list, schema)?)
        }
        Expr::SetComparison(mut test) => {
            let text = is_text(&test.expr, schema);
            if text && list_of_keys(&mut test.subquery)? {
                *test.expr = collation_key(*test.expr);
            }
            Transformed::yes(Expr::SetComparison(test))
        }
        other => Transformed::no(other),
    })
}

/// `CASE a WHEN b …` as `CASE WHEN a = b …`, where what is compared needs more
/// than DataFusion's equality.
fn searched_case(mut case: Case, schema: &DFSchema) -> Result<Expr> {
    let Some(subject) = case.expr.take() else { return Ok(Expr::Case(case)) };
    let compared = |when: &Expr| operands((*subject).clone(), when.clone(), schema);
    let pairs = case.when_then_expr.iter().map(|(when, _)| compared(when));
    let pairs: Vec<_> = pairs.collect::<Result<_>>()?;
    let changed = |(left, right): &(Expr, Expr), when: &Expr| left != &*subject || right != when;
    if !pairs.iter().zip(&case.when_then_expr).any(|(pair, (when, _))| changed(pair, when)) {
        case.expr = Some(subject);
        return Ok(Expr::Case(case));
    }
    for ((left, right), (when, _)) in pairs.into_iter().zip(&mut case.when_then_expr) {
        **when = left.eq(right);
    }
    Ok(Expr::Case(case))
}

/// `a IN (SELECT b …)`.
fn in_subquery(mut test: InSubquery, schema: &DFSchema) -> Result<Expr> {
    let text = is_text(&test.expr, schema);
    if text && list_of_keys(&mut test.subquery)? {
        *test.expr = collation_key(*test.expr);
    }
    Ok(Expr::InSubquery(test))
}

/// `NULLIF(a, b)`.
fn null_if_equal(mut args: Vec<Expr>, schema: &DFSchema) -> Result<Expr> {
    let other = args.remove(1);
    let value = args.remove(0);
    let (left, right) = operands(value.clone(), other, schema)?;
    let null = Expr::Literal(ScalarValue::try_from(&value.get_type(schema)?)?, None);
    let arms = vec![(Box::new(left.eq(right)), Box::new(null))];
    Ok(Expr::Case(Case::new(None, arms, Some(Box::new(value)))))
}

/// Makes a query of one text column one of its keys; whether it is such a query.
fn list_of_keys(query: &mut Subquery) -> Result<bool> {
    let (relation, field) = query.subquery.schema().qualified_field(0);
    let text = Expr::Column(Column::new(relation.cloned(), field.name()));
    if !is_text(&text, query.subquery.schema()) {
        return Ok(false);
    }
    let keys = Projection::try_new(vec![collation_key(text)], query.subquery.clone())?;
    query.subquery = Arc::new(LogicalPlan::Projection(keys));
    Ok(true)
}

fn is_comparison(op: Operator) -> bool {
    matches!(
        op,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
    )
}

/// Both sides of a comparison in a form in which DataFusion compares them right.
fn operands(left: Expr, right: Expr, schema: &DFSchema) -> Result<(Expr, Expr)> {
    if is_text(&left, schema) && is_text(&right, schema) {
        return keys_of(left, right, schema);
    }
    let literal = |e: &Expr| matches!(e, Expr::Literal(..));
    if is_text(&right, schema) && !literal(&right) && is_table(&left, schema) {
        return Ok((collation_key(table_name(left)), collation_key(right)));
    }
    if is_text(&left, schema) && !literal(&left) && is_table(&right, schema) {
        return Ok((collation_key(left), collation_key(table_name(right))));
    }
    let right = literal_for(&left, right, schema)?;
    let left = literal_for(&right, left, schema)?;
    Ok((left, right))
}

/// A literal as a value of the type of the expression it is compared with.
fn literal_for(other: &Expr, literal: Expr, schema: &DFSchema) -> Result<Expr> {
    let Expr::Literal(scalar, metadata) = literal else { return Ok(literal) };
    let Ok((_, field)) = other.to_field(schema) else {
        return Ok(Expr::Literal(scalar, metadata));
    };
    let text = scalar.try_as_str().flatten();
    let value = match (field.data_type(), text) {
        (DataType::FixedSizeBinary(16), Some(text)) => match parse_guid(text.trim()) {
            Some(guid) => Some(Value::Guid(guid)),
            None => {
                return plan_err!(
                    "Conversion failed when converting from a character string to uniqueidentifier: '{text}' (Msg 8169)"
                );
            }
        },
        (DataType::Int32, Some(text)) if is_entity_name(&field) => Some(
            text.trim()
                .parse()
                .map_or_else(|_| Value::Int32(entity_code_or_none(text.trim())), Value::Int32),
        ),
        (DataType::Boolean, Some(_)) | (DataType::Timestamp(..), Some(_)) => {
            let text = text.unwrap_or_default();
            match Value::parse(text, field.data_type()) {
                Ok(value) => Some(value),
                Err(expected) => {
                    return plan_err!("Conversion failed: '{text}' is not {expected} (Msg 241)");
                }
            }
        }
        (DataType::Boolean, None) => match &scalar {
            ScalarValue::Int64(Some(n)) => Some(Value::Boolean(*n != 0)),
            ScalarValue::Int32(Some(n)) => Some(Value::Boolean(*n != 0)),
            _ => None,
        },
        _ => None,
    };
    Ok(match value {
        Some(value) => Expr::Literal(value.to_scalar(field.data_type()), metadata),
        None => Expr::Literal(scalar, metadata),
    })
}

fn aggregate_function(function: AggregateFunction, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let AggregateFunction { func, mut params } = function;
    let over_text = params.args.len() == 1 && is_text(&params.args[0], schema);
    let kind = params.args.first().map(|arg| arg.get_type(schema)).transpose()?;
    let whole =
        matches!(kind, Some(DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64));
    Ok(match func.name() {
        "avg" if whole => {
            let func = Arc::new(AggregateUDF::from(WholeAverage::default()));
            Transformed::yes(Expr::AggregateFunction(AggregateFunction { func, params }))
        }
        "sum" if kind == Some(DataType::Int64) && !params.distinct => {
            let func = Arc::new(AggregateUDF::from(WholeSum::default()));
            Transformed::yes(Expr::AggregateFunction(AggregateFunction { func, params }))
        }
        "min" | "max" if over_text => {
            let ascending = func.name() == "min";
            let text = params.args[0].clone();
            params.order_by = vec![key_of(text, schema).sort(ascending, false)];
            params.null_treatment = Some(NullTreatment::IgnoreNulls);
            let func = first_value_udaf();
            Transformed::yes(Expr::AggregateFunction(AggregateFunction { func, params }))
        }
        "count" if params.distinct && over_text => {
            params.args[0] = key_of(params.args[0].clone(), schema);
            Transformed::yes(Expr::AggregateFunction(AggregateFunction { func, params }))
        }
        _ => Transformed::no(Expr::AggregateFunction(AggregateFunction { func, params })),
    })
}

/// Groups by the key of text and shows the text of the group's oldest row.
fn group_text(aggregate: Aggregate) -> Result<LogicalPlan> {
    let input = aggregate.input.schema().clone();
    // Labels are equal only when they are the same.
    let label = |e: &Expr| e.to_field(&input).is_ok_and(|(_, field)| is_label(&field));
    let grouped = |e: &Expr| is_text(e, &input) && !label(e);
    if aggregate.group_expr.iter().any(|e| matches!(e, Expr::GroupingSet(_))) {
        return grouping_sets::group_text(aggregate, grouped);
    }
    if !aggregate.group_expr.iter().any(grouped) {
        return Ok(LogicalPlan::Aggregate(aggregate));
    }
    let mut groups = Vec::new();
    let mut aggregates = aggregate.aggr_expr.clone();
    let mut shown = Vec::new();
    for (index, group) in aggregate.group_expr.iter().enumerate() {
        let (relation, field) = aggregate.schema.qualified_field(index);
        if grouped(group) {
            let text = group.clone().unalias();
            groups.push(key_of(text.clone(), &input).alias(format!("key of {}", field.name())));
            let example = format!("text of {}", field.name());
            aggregates.push(example_of(text, &input).alias(&example));
            let example = Expr::Column(Column::from_name(example));
            shown.push(example.alias_qualified(relation.cloned(), field.name()));
        } else {
            groups.push(group.clone());
            shown.push(Expr::Column(Column::new(relation.cloned(), field.name())));
        }
    }
    let first = aggregate.group_expr.len();
    for index in first..aggregate.schema.fields().len() {
        let (relation, field) = aggregate.schema.qualified_field(index);
        shown.push(Expr::Column(Column::new(relation.cloned(), field.name())));
    }
    let plan = Aggregate::try_new(aggregate.input, groups, aggregates)?;
    let plan = Projection::try_new(shown, Arc::new(LogicalPlan::Aggregate(plan)))?;
    Ok(LogicalPlan::Projection(plan))
}

/// The text of a group: that of the row created first, where rows have such a
/// time, and the least one by bytes otherwise.
pub(super) fn example_of(text: Expr, input: &DFSchema) -> Expr {
    let relation: Option<TableReference> = match &text {
        Expr::Column(column) => column.relation.clone(),
        _ => None,
    };
    let created = Column::new(relation, "createdon");
    if input.has_column(&created) {
        return oldest_text(text, Expr::Column(created));
    }
    let params = AggregateFunctionParams {
        args: vec![text],
        distinct: false,
        filter: None,
        order_by: Vec::new(),
        null_treatment: None,
    };
    Expr::AggregateFunction(AggregateFunction { func: min_udaf(), params })
}

/// DISTINCT is a group by all columns.
fn distinct(input: Arc<LogicalPlan>) -> Result<LogicalPlan> {
    let columns: Vec<Expr> = input.schema().columns().into_iter().map(Expr::Column).collect();
    if !columns.iter().any(|c| is_text(c, input.schema())) {
        return Ok(LogicalPlan::Distinct(Distinct::All(input)));
    }
    let aggregate = Aggregate::try_new(input, columns, Vec::new())?;
    group_text(aggregate)
}

fn sort_text(mut sort: Sort) -> Result<LogicalPlan> {
    for key in &mut sort.expr {
        if is_text(&key.expr, sort.input.schema()) {
            key.expr = key_of(key.expr.clone(), sort.input.schema());
        }
    }
    Ok(LogicalPlan::Sort(sort))
}

/// A condition that is also true where the column is null (FetchXML `ne`).
pub fn or_null(column: Expr, condition: Expr) -> Expr {
    condition.or(column.is_null())
}

/// A column of the plan built so far, by relation and name.
pub fn column(relation: &str, name: &str) -> Expr {
    col(Column::new(Some(TableReference::bare(relation)), name))
}

/// Keeps the plan's rows once each.
pub fn distinct_rows(plan: LogicalPlan) -> Result<LogicalPlan> {
    LogicalPlanBuilder::from(plan).distinct()?.build()
}
