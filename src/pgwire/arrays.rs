//! Arrays as parameters, and `x = ANY($1)`, for which drivers send them.

use std::collections::HashMap;

use datafusion::arrow::array::Array;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{Cast, InList, Placeholder, ScalarFunction};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, lit};
use pgwire::api::Type;

/// Types of arrays and of their elements.
const ARRAYS: &[(Type, Type)] = &[
    (Type::BOOL_ARRAY, Type::BOOL),
    (Type::BYTEA_ARRAY, Type::BYTEA),
    (Type::CHAR_ARRAY, Type::CHAR),
    (Type::NAME_ARRAY, Type::NAME),
    (Type::INT2_ARRAY, Type::INT2),
    (Type::INT4_ARRAY, Type::INT4),
    (Type::INT8_ARRAY, Type::INT8),
    (Type::OID_ARRAY, Type::OID),
    (Type::TEXT_ARRAY, Type::TEXT),
    (Type::BPCHAR_ARRAY, Type::BPCHAR),
    (Type::VARCHAR_ARRAY, Type::VARCHAR),
    (Type::FLOAT4_ARRAY, Type::FLOAT4),
    (Type::FLOAT8_ARRAY, Type::FLOAT8),
    (Type::NUMERIC_ARRAY, Type::NUMERIC),
    (Type::UUID_ARRAY, Type::UUID),
    (Type::DATE_ARRAY, Type::DATE),
    (Type::TIME_ARRAY, Type::TIME),
    (Type::TIMESTAMP_ARRAY, Type::TIMESTAMP),
    (Type::TIMESTAMPTZ_ARRAY, Type::TIMESTAMPTZ),
    (Type::INTERVAL_ARRAY, Type::INTERVAL),
    (Type::JSON_ARRAY, Type::JSON),
    (Type::JSONB_ARRAY, Type::JSONB),
];

/// The type of arrays of this type.
pub fn array_of(element: &Type) -> Option<Type> {
    ARRAYS.iter().find(|(_, known)| known == element).map(|(array, _)| array.clone())
}

/// The type of an array's elements.
pub fn element_of(array: &Type) -> Option<Type> {
    ARRAYS.iter().find(|(known, _)| known == array).map(|(_, element)| element.clone())
}

/// The elements of a binary array of one dimension; `None` if it is malformed.
pub fn split_binary(bytes: &[u8]) -> Option<Vec<Option<&[u8]>>> {
    let (dimensions, rest) = word(bytes)?;
    // Flags and the type, which the client has named already.
    let rest = rest.get(8..)?;
    if dimensions == 0 {
        return rest.is_empty().then(Vec::new);
    }
    let (count, rest) = word(rest)?;
    let (_, mut rest) = word(rest)?;
    if dimensions != 1 || usize::try_from(count).ok()? > rest.len() / 4 {
        return None;
    }
    let mut elements = Vec::new();
    for _ in 0..count {
        let (length, after) = word(rest)?;
        rest = after;
        elements.push(match usize::try_from(length) {
            Ok(length) => {
                let element = rest.get(..length)?;
                rest = &rest[length..];
                Some(element)
            }
            Err(_) => None,
        });
    }
    rest.is_empty().then_some(elements)
}

fn word(bytes: &[u8]) -> Option<(i32, &[u8])> {
    let (word, rest) = bytes.split_first_chunk()?;
    Some((i32::from_be_bytes(*word), rest))
}

/// What the elements of array parameters are compared with, by the parameter's name.
pub fn elements(plan: &LogicalPlan) -> Result<HashMap<String, FieldRef>> {
    let mut found = HashMap::new();
    plan.apply_with_subqueries(|node| {
        let schema = inputs(node)?;
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Some((written, element)) = any(expr)
                    && let Expr::Placeholder(array) = behind_casts(written)
                    && let Ok((_, field)) = element.to_field(&schema)
                    && !cast_otherwise(written, &field)
                {
                    let list = Field::new_list(
                        "",
                        Field::new_list_field(field.data_type().clone(), true)
                            .with_metadata(field.metadata().clone()),
                        true,
                    );
                    found.entry(array.id.clone()).or_insert_with(|| list.into());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(found)
}

/// `x = ANY(array)` of a known array as `x IN (…)`: so it is compared as
/// everything is, and served by what serves such lists.
pub fn as_lists(plan: LogicalPlan) -> Result<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|node| {
        node.map_expressions(|expr| {
            expr.transform_up(|expr| {
                let list = match any(&expr) {
                    Some((array, _)) => known(array)?,
                    None => None,
                };
                let Some(list) = list else { return Ok(Transformed::no(expr)) };
                let Some((_, element)) = any(&expr) else { return Ok(Transformed::no(expr)) };
                if list.is_empty() {
                    return Ok(Transformed::yes(lit(false)));
                }
                let list = InList::new(Box::new(element.clone()), list, false);
                Ok(Transformed::yes(Expr::InList(list)))
            })
        })
    })?;
    Ok(plan.data)
}

/// The array and the value of `value = ANY(array)`.
fn any(expr: &Expr) -> Option<(&Expr, &Expr)> {
    match expr {
        Expr::ScalarFunction(ScalarFunction { func, args }) if func.name() == "array_has" => {
            let [array, element] = args.as_slice() else { return None };
            Some((array, element))
        }
        _ => None,
    }
}

/// `$1::int[]` is the parameter; what it is compared with decides its type.
fn behind_casts(expr: &Expr) -> &Expr {
    match expr {
        Expr::Cast(cast) => behind_casts(&cast.expr),
        other => other,
    }
}

/// Whether an array is cast to one of another type than what it is compared with.
fn cast_otherwise(array: &Expr, element: &Field) -> bool {
    match array {
        Expr::Cast(cast) => list_element(cast.field.data_type())
            .is_some_and(|field| field.data_type() != element.data_type()),
        _ => false,
    }
}

/// Gives array parameters without a type the one of what they are compared with.
pub fn typed(plan: LogicalPlan) -> Result<LogicalPlan> {
    let found = elements(&plan)?;
    let plan = plan.transform_up_with_subqueries(|node| {
        node.map_expressions(|expr| {
            expr.transform_up(|expr| match expr {
                Expr::Placeholder(Placeholder { id, field: None }) if found.contains_key(&id) => {
                    let field = found.get(&id).cloned();
                    Ok(Transformed::yes(Expr::Placeholder(Placeholder { id, field })))
                }
                other => Ok(Transformed::no(other)),
            })
        })
    })?;
    Ok(plan.data)
}

/// The elements of an array that is written out; those of null are unknown.
fn known(array: &Expr) -> Result<Option<Vec<Expr>>> {
    Ok(match array {
        Expr::Literal(ScalarValue::List(list), _) if list.is_null(0) => None,
        Expr::Cast(cast) => {
            let elements = known(&cast.expr)?;
            let element = list_element(cast.field.data_type());
            elements.zip(element).map(|(elements, element)| {
                let cast =
                    |value| Expr::Cast(Cast::new(Box::new(value), element.data_type().clone()));
                elements.into_iter().map(cast).collect()
            })
        }
        Expr::Literal(ScalarValue::List(list), _) => {
            let values = list.value(0);
            let value = |row| ScalarValue::try_from_array(&values, row).map(lit);
            Some((0..values.len()).map(value).collect::<Result<_>>()?)
        }
        Expr::ScalarFunction(ScalarFunction { func, args }) if func.name() == "make_array" => {
            Some(args.clone())
        }
        Expr::Alias(alias) => known(&alias.expr)?,
        _ => None,
    })
}

/// The columns that the expressions of a node may name.
pub fn inputs(node: &LogicalPlan) -> Result<DFSchema> {
    let mut schema = DFSchema::empty();
    if let LogicalPlan::TableScan(scan) = node {
        return Ok(scan.projected_schema.as_ref().clone());
    }
    for input in node.inputs() {
        schema.merge(input.schema());
    }
    Ok(schema)
}

/// The type of a list's elements.
pub fn list_element(data_type: &DataType) -> Option<&FieldRef> {
    match data_type {
        DataType::List(field) | DataType::LargeList(field) => Some(field),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_taken_apart() {
        let words =
            |words: &[i32]| -> Vec<u8> { words.iter().flat_map(|w| w.to_be_bytes()).collect() };
        assert_eq!(split_binary(&words(&[0, 0, 23])), Some(vec![]));
        let seven = 7_i32.to_be_bytes();
        let array = words(&[1, 1, 23, 2, 1, 4, 7, -1]);
        assert_eq!(split_binary(&array), Some(vec![Some(&seven[..]), None]));
        for broken in [&words(&[1, 0, 23, 1000, 1])[..], &words(&[2, 0, 23, 1, 1, 1, 1]), &[0]] {
            assert_eq!(split_binary(broken), None);
        }
    }
}
