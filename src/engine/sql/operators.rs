//! What T-SQL's operators mean, settled while a query is planned and the types
//! of both operands are known. Intervals are PostgreSQL's and stay the engine's.

use datafusion::arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{
    BinaryExpr, Cast, Expr, ExprSchemable, Operator, ScalarUDF, WindowFunctionDefinition,
};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::implicit::{comparable, is_untyped, narrowed, type_of};
use crate::engine::functions::{Arithmetic, Operation, SqlType, converted};

/// The planner of operators.
#[derive(Debug)]
pub struct TsqlOperators;

impl ExprPlanner for TsqlOperators {
    fn plan_binary_op(
        &self,
        expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        let RawBinaryExpr { op, left, right } = expr;
        if op == BinaryOperator::StringConcat {
            return joined(op, left, right, schema);
        }
        if let Some(arithmetic) = arithmetic(&op) {
            return computed(arithmetic, op, left, right, schema);
        }
        if is_comparison(&op) {
            let (left, right) = lasting(left, right, schema);
            let (left, right) = comparable(left, right, schema)?;
            return Ok(PlannerResult::Original(RawBinaryExpr { op, left, right }));
        }
        Ok(PlannerResult::Original(RawBinaryExpr { op, left, right }))
    }

    /// `EXTRACT(EPOCH FROM a - b)`: the difference is PostgreSQL's interval there.
    fn plan_extract(&self, mut args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        if let Some(Expr::ScalarFunction(function)) = args.get_mut(1)
            && function.name() == Arithmetic::Difference.function()
            && let [left, right] = function.args.as_mut_slice()
        {
            let (left, right) = (std::mem::take(left), std::mem::take(right));
            args[1] =
                Expr::BinaryExpr(BinaryExpr::new(Box::new(left), Operator::Minus, Box::new(right)));
        }
        Ok(PlannerResult::Original(args))
    }
}

fn is_comparison(op: &BinaryOperator) -> bool {
    use BinaryOperator as Op;
    matches!(op, Op::Eq | Op::NotEq | Op::Lt | Op::LtEq | Op::Gt | Op::GtEq)
}

/// `a - b > interval '1 hour'`: the difference of two times is how long it takes there,
/// and so is the interval, whose days have 24 hours and months 30 days, as PostgreSQL
/// compares them.
fn lasting(left: Expr, right: Expr, schema: &DFSchema) -> (Expr, Expr) {
    if let (Some(difference), Some(length)) = (difference(&left, schema), length(&right)) {
        return (difference, length);
    }
    match (length(&left), difference(&right, schema)) {
        (Some(length), Some(difference)) => (length, difference),
        _ => (left, right),
    }
}

/// The difference of two times as the engine has it.
fn difference(expr: &Expr, schema: &DFSchema) -> Option<Expr> {
    let Expr::ScalarFunction(function) = expr else { return None };
    let [left, right] = function.args.as_slice() else { return None };
    if function.name() != Arithmetic::Difference.function() {
        return None;
    }
    let time = |e: &Expr| {
        type_of(e, schema)?.is_temporal().then_some(())?;
        let time = DataType::Timestamp(TimeUnit::Microsecond, None);
        Some(Box::new(Expr::Cast(Cast::new(Box::new(e.clone()), time))))
    };
    Some(Expr::BinaryExpr(BinaryExpr::new(time(left)?, Operator::Minus, time(right)?)))
}

/// How long a literal interval lasts.
fn length(expr: &Expr) -> Option<Expr> {
    const DAY: i64 = 86_400_000_000;
    let interval = DataType::Interval(IntervalUnit::MonthDayNano);
    let value = match expr {
        Expr::Literal(value @ ScalarValue::IntervalMonthDayNano(_), _) => value.clone(),
        Expr::Cast(cast) if *cast.field.data_type() == interval => match &*cast.expr {
            Expr::Literal(text, _) => text.cast_to(&interval).ok()?,
            _ => return None,
        },
        _ => return None,
    };
    let ScalarValue::IntervalMonthDayNano(Some(interval)) = value else { return None };
    let days = i64::from(interval.months) * 30 + i64::from(interval.days);
    let micros = days.checked_mul(DAY)?.checked_add(interval.nanoseconds / 1_000)?;
    Some(Expr::Literal(ScalarValue::DurationMicrosecond(Some(micros)), None))
}

fn arithmetic(op: &BinaryOperator) -> Option<Arithmetic> {
    use BinaryOperator as Op;
    Some(match op {
        Op::Plus => Arithmetic::Add,
        Op::Minus => Arithmetic::Subtract,
        Op::Multiply => Arithmetic::Multiply,
        Op::Divide => Arithmetic::Divide,
        Op::Modulo => Arithmetic::Modulo,
        Op::BitwiseAnd => Arithmetic::And,
        Op::BitwiseOr => Arithmetic::Or,
        Op::BitwiseXor => Arithmetic::Xor,
        _ => return None,
    })
}

/// `a || b`: what is no text becomes text.
fn joined(
    op: BinaryOperator,
    left: Expr,
    right: Expr,
    schema: &DFSchema,
) -> Result<PlannerResult<RawBinaryExpr>> {
    let text = |e: Expr| -> Result<Expr> {
        let plain = is_untyped(&e) || type_of(&e, schema).is_none_or(SqlType::is_text);
        Ok(if plain { e } else { converted(e, SqlType::PgText) })
    };
    // Two parameters without a type are texts.
    let (left, right) = match is_untyped(&left) && is_untyped(&right) {
        true => (as_text(left), as_text(right)),
        false => (left, right),
    };
    let any = |e: &Expr| type_of(e, schema).is_some_and(SqlType::is_text);
    if !any(&left) && !any(&right) {
        return Ok(PlannerResult::Original(RawBinaryExpr { op, left, right }));
    }
    let (left, right) = (text(left)?, text(right)?);
    Ok(PlannerResult::Original(RawBinaryExpr { op, left, right }))
}

fn computed(
    arithmetic: Arithmetic,
    op: BinaryOperator,
    left: Expr,
    right: Expr,
    schema: &DFSchema,
) -> Result<PlannerResult<RawBinaryExpr>> {
    let (left, right) = (operand(left, schema)?, operand(right, schema)?);
    let (left, right) = match (is_untyped(&left), is_untyped(&right)) {
        (true, false) => (as_other(left, &right, schema), right),
        (false, true) => {
            let right = as_other(right, &left, schema);
            (left, right)
        }
        _ => (left, right),
    };
    let (Some(l), Some(r)) = (type_of(&left, schema), type_of(&right, schema)) else {
        return Ok(PlannerResult::Original(RawBinaryExpr { op, left, right }));
    };
    let foreign = |t| matches!(t, SqlType::Other | SqlType::DateTimeOffset(_));
    if foreign(l) || foreign(r) || is_untyped(&left) || is_untyped(&right) {
        return Ok(PlannerResult::Original(RawBinaryExpr { op, left, right }));
    }
    let text = |t: SqlType| t.is_text() || t == SqlType::Null;
    if arithmetic == Arithmetic::Add && text(l) && text(r) && (l.is_text() || r.is_text()) {
        let text = |e: Expr, t| if t == SqlType::Null { converted(e, SqlType::PgText) } else { e };
        let both = BinaryExpr::new(
            Box::new(text(left, l)),
            Operator::StringConcat,
            Box::new(text(right, r)),
        );
        return Ok(PlannerResult::Planned(Expr::BinaryExpr(both)));
    }
    let exact = |t: SqlType| matches!(t, SqlType::Decimal(..));
    let left = if exact(r) && !arithmetic.is_bitwise() { decimal_literal(left) } else { left };
    let right = if exact(l) && !arithmetic.is_bitwise() { decimal_literal(right) } else { right };
    let times = arithmetic == Arithmetic::Subtract && l.is_temporal() && r.is_temporal();
    let arithmetic = if times { Arithmetic::Difference } else { arithmetic };
    let call = ScalarUDF::new_from_impl(Operation::new(arithmetic)).call(vec![left, right]);
    // The types are judged here, where it is known which operator was meant.
    call.to_field(schema)?;
    Ok(PlannerResult::Planned(call))
}

/// A whole number written beside a decimal has only the digits it is written with.
fn decimal_literal(expr: Expr) -> Expr {
    match expr {
        Expr::Literal(ScalarValue::Int32(Some(n)), metadata) => {
            let digits = n.unsigned_abs().max(1).ilog10() + 1;
            let precision = u8::try_from(digits).unwrap_or(10);
            Expr::Literal(ScalarValue::Decimal128(Some(n.into()), precision, 0), metadata)
        }
        other => other,
    }
}

/// An operand: counts and sums of whole numbers are of the type `int` here,
/// though clients see them with 64 bits.
fn operand(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    Ok(if is_int_aggregate(&expr, schema) { converted(expr, SqlType::Int) } else { narrowed(expr) })
}

fn is_int_aggregate(expr: &Expr, schema: &DFSchema) -> bool {
    let (name, args) = match expr {
        Expr::Alias(alias) => return is_int_aggregate(&alias.expr, schema),
        Expr::AggregateFunction(function) => (function.func.name(), &function.params.args),
        Expr::WindowFunction(window) => match &window.fun {
            WindowFunctionDefinition::AggregateUDF(func) => (func.name(), &window.params.args),
            WindowFunctionDefinition::WindowUDF(_) => return false,
        },
        _ => return false,
    };
    let whole = |arg: &Expr| {
        let arg = narrowed_all(arg.clone()).ok();
        let kind = arg.and_then(|arg| type_of(&arg, schema));
        kind.is_some_and(|t| t.is_integer() && t != SqlType::BigInt)
    };
    match (name, args.first()) {
        ("count", _) => true,
        ("sum", Some(arg)) => is_int_aggregate(arg, schema) || whole(arg),
        _ => false,
    }
}

/// An expression with the literals in it narrowed.
fn narrowed_all(expr: Expr) -> Result<Expr> {
    use datafusion::common::tree_node::{Transformed, TreeNode};
    expr.transform_up(|e| Ok(Transformed::yes(narrowed(e)))).map(|done| done.data)
}

/// A parameter as a text.
fn as_text(parameter: Expr) -> Expr {
    match parameter {
        Expr::Placeholder(Placeholder { id, .. }) => {
            let field = Field::new("", DataType::Utf8View, true).into();
            Expr::Placeholder(Placeholder::new_with_field(id, Some(field)))
        }
        other => other,
    }
}

/// A parameter without type, with that of the other operand.
fn as_other(parameter: Expr, other: &Expr, schema: &DFSchema) -> Expr {
    let temporal = type_of(other, schema).is_none_or(SqlType::is_temporal);
    match (parameter, other.to_field(schema)) {
        (Expr::Placeholder(Placeholder { id, .. }), Ok((_, field))) if !temporal => {
            let field = field.as_ref().clone().with_nullable(true);
            Expr::Placeholder(Placeholder::new_with_field(id, Some(field.into())))
        }
        (parameter, _) => parameter,
    }
}
