//! What parameters are expected to be that are compared with nothing: what they
//! are cast to, a number of rows, the values that stand beside them.

use std::collections::HashMap;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::{Case, Placeholder, ScalarFunction};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};

use super::super::arrays::inputs;

/// Functions whose arguments have one type, which is also theirs.
const ALIKE: &[&str] = &["coalesce", "sql_isnull", "isnull", "nullif", "nvl", "greatest", "least"];

const WHOLE: DataType = DataType::Int32;
const TIME: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

/// Arguments of functions, by their place, that are no text.
const ARGUMENTS: &[(&str, usize, DataType)] = &[
    ("dateadd", 1, WHOLE),
    ("dateadd", 2, TIME),
    ("datediff", 1, TIME),
    ("datediff", 2, TIME),
    ("datediff_big", 1, TIME),
    ("datediff_big", 2, TIME),
    ("datepart", 1, TIME),
    ("datename", 1, TIME),
    ("datetrunc", 1, TIME),
    ("date_trunc", 1, TIME),
    ("eomonth", 0, TIME),
    ("eomonth", 1, WHOLE),
    ("sql_left", 1, WHOLE),
    ("sql_right", 1, WHOLE),
    ("sql_substring", 1, WHOLE),
    ("sql_substring", 2, WHOLE),
    ("sql_generate_series", 0, WHOLE),
    ("sql_generate_series", 1, WHOLE),
    ("sql_generate_series", 2, WHOLE),
];

/// The expected types of parameters that the planner left without one, by name.
pub(super) fn expected(plan: &LogicalPlan) -> Result<HashMap<String, FieldRef>> {
    let mut found: HashMap<String, FieldRef> = HashMap::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Limit(limit) = node {
            for rows in [&limit.skip, &limit.fetch].into_iter().flatten() {
                note(&mut found, rows, || Some(field(DataType::Int64)));
            }
        }
        let schema = inputs(node)?;
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                judge(expr, &schema, &mut found);
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(found)
}

fn judge(expr: &Expr, schema: &DFSchema, found: &mut HashMap<String, FieldRef>) {
    match expr {
        Expr::Cast(cast) => note(found, &cast.expr, || Some(cast.field.clone())),
        Expr::TryCast(cast) => note(found, &cast.expr, || Some(cast.field.clone())),
        Expr::ScalarFunction(ScalarFunction { func, args }) => match func.name() {
            "sql_convert" => {
                if let Some(value) = args.get(1) {
                    note(found, value, || typed(expr, schema));
                }
            }
            name if ALIKE.contains(&name) => {
                alike(&args.iter().collect::<Vec<_>>(), schema, found);
            }
            name => {
                for (_, at, data_type) in ARGUMENTS.iter().filter(|(known, ..)| *known == name) {
                    if let Some(argument) = args.get(*at) {
                        note(found, argument, || Some(field(data_type.clone())));
                    }
                }
            }
        },
        Expr::Case(Case { expr, when_then_expr, else_expr }) => {
            let results = when_then_expr.iter().map(|(_, then)| then.as_ref());
            let results: Vec<&Expr> = results.chain(else_expr.as_deref()).collect();
            alike(&results, schema, found);
            if let Some(expr) = expr {
                let whens = when_then_expr.iter().map(|(when, _)| when.as_ref());
                alike(&whens.chain([expr.as_ref()]).collect::<Vec<_>>(), schema, found);
            }
        }
        _ => {}
    }
}

/// Values of one type: that of the first that has one.
fn alike(values: &[&Expr], schema: &DFSchema, found: &mut HashMap<String, FieldRef>) {
    for value in values {
        note(found, value, || values.iter().find_map(|other| typed(other, schema)));
    }
}

/// The type of an expression; a mistake in it is found elsewhere.
fn typed(expr: &Expr, schema: &DFSchema) -> Option<FieldRef> {
    if untyped(expr).is_some() {
        return None;
    }
    let (_, field) = expr.to_field(schema).ok()?;
    (!field.data_type().is_null()).then_some(field)
}

fn note(
    found: &mut HashMap<String, FieldRef>,
    value: &Expr,
    expected: impl FnOnce() -> Option<FieldRef>,
) {
    if let Some(name) = untyped(value)
        && !found.contains_key(name)
        && let Some(field) = expected()
    {
        found.insert(name.to_owned(), field);
    }
}

/// The name of a parameter without a type.
fn untyped(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Placeholder(Placeholder { id, field: None }) => Some(id),
        Expr::Alias(alias) => untyped(&alias.expr),
        Expr::Negative(value) => untyped(value),
        _ => None,
    }
}

fn field(data_type: DataType) -> FieldRef {
    Field::new("", data_type, true).into()
}
