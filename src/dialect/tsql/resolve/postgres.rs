//! PostgreSQL's operators and forms that T-SQL has no word for, as calls and operators
//! that are known. The parts are not resolved yet.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator as Op, CastKind, DataType, ExactNumberInfo, Expr, Function, Value,
    visit_expressions,
};

use crate::dialect::tsql::{arrays, functions};

/// What stands for an expression; `None` where it may stay.
pub(super) fn plainer(expr: &Expr) -> Option<Expr> {
    match expr {
        Expr::BinaryOp { left, op, right } => operator(left, op, right),
        Expr::Substring { expr, substring_from: Some(pattern), substring_for: None, .. }
            if is_text(pattern) =>
        {
            let found = functions::call("regexp_match", vec![*expr.clone(), *pattern.clone()]);
            Some(functions::call("array_element", vec![found, number(1)]))
        }
        Expr::Function(function) => rounded(function),
        _ => None,
    }
}

fn operator(left: &Expr, op: &Op, right: &Expr) -> Option<Expr> {
    let call = |name: &str, first: &Expr, second: &Expr| {
        let list = |e: &Expr| arrays::written(e).unwrap_or_else(|| e.clone());
        functions::call(name, vec![list(first), list(second)])
    };
    Some(match op {
        Op::AtArrow => call("array_has_all", left, right),
        Op::ArrowAt => call("array_has_all", right, left),
        Op::PGOverlap => call("array_has_any", left, right),
        Op::PGBitwiseShiftLeft => functions::call("left_shift", vec![left.clone(), right.clone()]),
        Op::PGBitwiseShiftRight => {
            functions::call("right_shift", vec![left.clone(), right.clone()])
        }
        Op::PGBitwiseXor => Expr::BinaryOp {
            left: Box::new(left.clone()),
            op: Op::BitwiseXor,
            right: Box::new(right.clone()),
        },
        Op::HashArrow | Op::HashLongArrow => member(left, right, *op == Op::HashLongArrow)?,
        _ => return None,
    })
}

/// `json #> '{a,0}'`: one member after the other.
fn member(json: &Expr, path: &Expr, is_text: bool) -> Option<Expr> {
    let Expr::Value(value) = path else { return None };
    let Value::SingleQuotedString(path) = &value.value else { return None };
    let steps: Vec<String> = arrays::split(path)?.into_iter().collect::<Option<_>>()?;
    let last = steps.len().checked_sub(1)?;
    Some(steps.iter().enumerate().fold(json.clone(), |found, (at, step)| {
        let name = if at == last && is_text { "pg_json_text" } else { "pg_json_get" };
        let step = match step.parse::<i32>() {
            Ok(_) => Expr::value(Value::Number(step.clone(), false)),
            Err(_) => functions::text(step),
        };
        functions::call(name, vec![found, step])
    }))
}

/// `round(…::numeric, 2)` has two decimals in PostgreSQL, where T-SQL's keeps the type.
fn rounded(function: &Function) -> Option<Expr> {
    let name = function.name.to_string().to_lowercase();
    if name != "round" && name != "trunc" {
        return None;
    }
    let digits = match functions::argument(function, 1)? {
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) => digits.parse().ok().filter(|n: &i64| *n <= 38)?,
            _ => return None,
        },
        _ => return None,
    };
    let mut value = functions::first(function)?.clone();
    let numeric = |info| DataType::Numeric(info);
    let open = |e: &Expr| {
        matches!(e, Expr::Cast { kind: CastKind::DoubleColon, data_type, .. }
            if *data_type == numeric(ExactNumberInfo::None)
                || *data_type == DataType::Decimal(ExactNumberInfo::None))
    };
    let search =
        |e: &Expr| if open(e) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    if visit_expressions(&value, search).is_continue() {
        return None;
    }
    // Settled here, so that it is not found again.
    let _ = datafusion::sql::sqlparser::ast::visit_expressions_mut(&mut value, |e| {
        if open(e)
            && let Expr::Cast { data_type, .. } = e
        {
            *data_type = numeric(ExactNumberInfo::PrecisionAndScale(38, 10));
        }
        ControlFlow::<()>::Continue(())
    });
    Some(Expr::Cast {
        kind: CastKind::DoubleColon,
        expr: Box::new(functions::call(&name, vec![value, number(digits)])),
        data_type: numeric(ExactNumberInfo::PrecisionAndScale(38, digits)),
        array: false,
        format: None,
    })
}

fn number(n: i64) -> Expr {
    Expr::value(Value::Number(n.to_string(), false))
}

fn is_text(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if matches!(value.value, Value::SingleQuotedString(_)))
}
