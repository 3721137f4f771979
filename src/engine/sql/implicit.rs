//! Implicit conversions: of two types that meet, the one of lower precedence
//! becomes the other.

use datafusion::common::{DFSchema, Result, ScalarValue, plan_err};
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, Operator};

use crate::catalog::is_entity_name;
use crate::engine::functions::{SqlType, converted, literal_converted};

/// A parameter whose type is still to be found out from what it stands beside.
pub fn is_untyped(expr: &Expr) -> bool {
    matches!(expr, Expr::Placeholder(Placeholder { field: None, .. }))
}

/// Whether the type of an expression is up to a parameter: a time less `$1` is a time
/// or an interval.
fn is_open(expr: &Expr) -> bool {
    match expr {
        Expr::BinaryExpr(binary) if matches!(binary.op, Operator::Plus | Operator::Minus) => {
            is_untyped(&binary.left) || is_untyped(&binary.right)
        }
        expr => is_untyped(expr),
    }
}

/// The type of an expression, where it is known.
pub fn type_of(expr: &Expr, schema: &DFSchema) -> Option<SqlType> {
    expr.to_field(schema).ok().map(|(_, field)| SqlType::of(&field))
}

/// A whole number as T-SQL types it: `int`, and beyond that a decimal.
pub fn narrowed(expr: Expr) -> Expr {
    let Expr::Literal(scalar, metadata) = expr else { return expr };
    let decimal = |n: i128| {
        let digits = n.unsigned_abs().max(1).ilog10() + 1;
        ScalarValue::Decimal128(Some(n), u8::try_from(digits).unwrap_or(38), 0)
    };
    let scalar = match scalar {
        ScalarValue::Int64(Some(n)) => match i32::try_from(n) {
            Ok(n) => ScalarValue::Int32(Some(n)),
            Err(_) => decimal(n.into()),
        },
        ScalarValue::UInt64(Some(n)) => decimal(n.into()),
        ScalarValue::Utf8(text) => ScalarValue::Utf8View(text),
        other => other,
    };
    Expr::Literal(scalar, metadata)
}

/// Both sides of a comparison in types that compare.
pub fn comparable(left: Expr, right: Expr, schema: &DFSchema) -> Result<(Expr, Expr)> {
    if is_open(&left) || is_open(&right) {
        return Ok((left, right));
    }
    let (left, right) = (narrowed(left), narrowed(right));
    let (left, right) = (instant(left, schema), instant(right, schema));
    let (Ok((_, l)), Ok((_, r))) = (left.to_field(schema), right.to_field(schema)) else {
        return Ok((left, right));
    };
    // Table names compare as codes or as names; that is the same in all dialects.
    let named = is_entity_name(&l) && SqlType::of(&r).is_text()
        || is_entity_name(&r) && SqlType::of(&l).is_text();
    if named {
        return Ok((left, right));
    }
    let (l, r) = (SqlType::of(&l), SqlType::of(&r));
    if l.precedence() < r.precedence() {
        return Ok((lower(left, l, &right, r)?, upper(right, r, l)));
    }
    let right = lower(right, r, &left, l)?;
    Ok((upper(left, l, r), right))
}

/// A time with an offset as an instant: two with different offsets have different
/// types, which the engine neither compares nor unites.
pub fn instant(expr: Expr, schema: &DFSchema) -> Expr {
    let own = type_of(&expr, schema);
    match own {
        Some(own @ SqlType::DateTimeOffset(_))
            if expr.get_type(schema).is_ok_and(|given| given != own.arrow()) =>
        {
            Expr::Cast(Cast::new(Box::new(expr), own.arrow()))
        }
        _ => expr,
    }
}

/// The side of higher precedence; a whole number too long for `int` stays one
/// beside other whole numbers, and 0 and 1 become a bit beside bits, so that the
/// column can be looked up.
fn upper(expr: Expr, own: SqlType, other: SqlType) -> Expr {
    if let (Expr::Literal(ScalarValue::Int32(Some(n @ (0 | 1))), m), SqlType::Bit) = (&expr, other)
    {
        return Expr::Literal(ScalarValue::Boolean(Some(*n == 1)), m.clone());
    }
    if !other.is_integer() {
        return expr;
    }
    match (expr, own) {
        (
            Expr::Literal(ScalarValue::Decimal128(Some(n), precision, 0), m),
            SqlType::Decimal(..),
        ) => {
            let scalar = match i64::try_from(n) {
                Ok(n) => ScalarValue::Int64(Some(n)),
                Err(_) => ScalarValue::Decimal128(Some(n), precision, 0),
            };
            Expr::Literal(scalar, m)
        }
        (expr, _) => expr,
    }
}

/// The side of lower precedence as the other side's type.
fn lower(expr: Expr, own: SqlType, other: &Expr, target: SqlType) -> Result<Expr> {
    use SqlType as T;
    let clash = || {
        plan_err!(
            "Operand type clash: {} is incompatible with {} (Msg 206)",
            own.name(),
            target.name()
        )
    };
    match (own, target) {
        (T::Null | T::Other, _) | (_, T::Null | T::Other) => Ok(expr),
        (own, target) if own.is_text() && target.is_text() => Ok(expr),
        (own, target) if own.is_binary() && target.is_binary() => Ok(expr),
        (T::Bit, target) if target.is_number() => match other {
            // It becomes a bit itself.
            Expr::Literal(ScalarValue::Int32(Some(0 | 1)), _) => Ok(expr),
            _ if target == T::Bit => Ok(expr),
            _ => Ok(converted(expr, T::Int)),
        },
        (own, target) if own.is_number() && target.is_number() => Ok(expr),
        (own, target) if own.is_text() => Ok(as_type(expr, own, column_type(target))?),
        (own, target) if own.is_binary() => Ok(as_type(expr, own, target)?),
        (own, T::DateTime | T::SmallDateTime) if own.is_number() => as_type(expr, own, target),
        (T::Guid, target) if target != T::Guid => clash(),
        (own, target) if own.is_number() && target.is_temporal() => clash(),
        (T::Time(_), T::Date) => {
            plan_err!("The data types time and date are incompatible in a comparison (Msg 402)")
        }
        (T::Time(_), target) if target != own && !matches!(target, T::Time(_)) => {
            as_type(expr, own, target)
        }
        _ => Ok(expr),
    }
}

/// Columns keep the microseconds that a `datetime` would round.
fn column_type(target: SqlType) -> SqlType {
    if target == SqlType::DateTime { SqlType::Timestamp } else { target }
}

/// An expression as a type; a literal at once.
pub fn as_type(expr: Expr, from: SqlType, to: SqlType) -> Result<Expr> {
    match expr {
        Expr::Literal(scalar, metadata) => {
            let value = literal_converted(&scalar, from, to)?;
            Ok(Expr::Literal(value, metadata))
        }
        expr => Ok(converted(expr, to)),
    }
}
