//! The columns that filters and expressions speak of.

use crate::query::{ColumnRef, Expression, Filter, Operand};

/// Visits every column of a filter.
pub(super) fn in_filter(filter: &mut Filter, visit: &mut dyn FnMut(&mut ColumnRef)) {
    match filter {
        Filter::And(parts) | Filter::Or(parts) => {
            for part in parts {
                in_filter(part, visit);
            }
        }
        Filter::Not(part) => in_filter(part, visit),
        Filter::Condition(condition) => {
            visit(&mut condition.column);
            for operand in &mut condition.operands {
                if let Operand::Column(column) = operand {
                    visit(column);
                }
            }
        }
        Filter::Lambda(lambda) => {
            if let Some(filter) = &mut lambda.filter {
                in_filter(filter, visit);
            }
        }
        Filter::Expression(expression) => in_expression(expression, visit),
        // FetchXML alone has these.
        Filter::Related(_) => {}
    }
}

/// Visits every column of an expression.
pub(super) fn in_expression(expression: &mut Expression, visit: &mut dyn FnMut(&mut ColumnRef)) {
    match expression {
        Expression::Column(column) => visit(column),
        Expression::Call { arguments, .. } => {
            for argument in arguments {
                in_expression(argument, visit);
            }
        }
        Expression::Literal(_) | Expression::Null(_) => {}
    }
}
