//! `CAST`, `CONVERT` and their `TRY_` forms: T-SQL's types in the engine's.
//!
//! Where SQL Server converts differently from the engine (text to times and
//! GUIDs, anything to text) a function of ours does it; see
//! [`crate::engine::functions`].

use datafusion::sql::sqlparser::ast::{
    CastKind, CharacterLength, DataType, ExactNumberInfo, Expr, TimezoneInfo, Value,
};

use super::functions;
use datafusion::sql::sqlparser::tokenizer::Location;

use crate::engine::functions::is_style;
use crate::error::{Error, Result};

/// Characters of `CAST(x AS varchar)` without a length.
const DEFAULT_LENGTH: u64 = 30;

/// What a type of the text stands for.
enum Target {
    /// A type that the engine converts to itself.
    Engine(DataType),
    /// Text, cut to so many characters.
    Text(Option<u64>),
    DateTime,
    Date,
    Guid,
}

/// A refusal; the caller knows the place.
fn unsupported(what: impl std::fmt::Display) -> Error {
    super::report::unsupported(what, Location::empty())
}

/// `CAST(x AS type)`, `x::type`, `TRY_CAST`; the operand is resolved.
pub(super) fn cast(expr: &mut Expr) -> Result<()> {
    let Expr::Cast { kind, expr: inner, data_type, array, format } = expr else { return Ok(()) };
    if *array || format.is_some() {
        return Err(unsupported("this form of CAST"));
    }
    let tries = matches!(kind, CastKind::TryCast | CastKind::SafeCast);
    let target = target(data_type)?;
    let operand = std::mem::replace(inner.as_mut(), Expr::value(Value::Null));
    *expr = converted(operand, target, None, tries);
    Ok(())
}

/// `CONVERT(type, x[, style])`, `TRY_CONVERT`; the operand is resolved.
pub(super) fn convert(expr: &mut Expr) -> Result<()> {
    let Expr::Convert { is_try, expr: inner, data_type, charset, styles, .. } = expr else {
        return Ok(());
    };
    let (Some(data_type), None) = (data_type, charset) else {
        return Err(unsupported("CONVERT … USING"));
    };
    let target = target(data_type)?;
    let style = match styles.as_slice() {
        [] => None,
        [style] => Some(style_number(style, &target)?),
        _ => return Err(unsupported("CONVERT with several styles")),
    };
    let operand = std::mem::replace(inner.as_mut(), Expr::value(Value::Null));
    *expr = converted(operand, target, style, *is_try);
    Ok(())
}

/// `DATE '…'` and the like: the engine's spelling of the type.
pub(super) fn typed_literal(data_type: &mut DataType) -> Result<()> {
    *data_type = match target(data_type)? {
        Target::Engine(data_type) => data_type,
        Target::DateTime => microseconds(),
        Target::Date => DataType::Date,
        Target::Text(_) => DataType::Text,
        Target::Guid => return Err(unsupported("a GUID literal with its type")),
    };
    Ok(())
}

/// Whether a cast to this type gives text.
pub(super) fn is_text_type(data_type: &DataType) -> bool {
    matches!(target(data_type), Ok(Target::Text(_)))
}

fn microseconds() -> DataType {
    DataType::Timestamp(Some(6), TimezoneInfo::None)
}

fn converted(operand: Expr, target: Target, style: Option<u32>, tries: bool) -> Expr {
    let cast = |expr: Expr, data_type: DataType| Expr::Cast {
        kind: if tries { CastKind::TryCast } else { CastKind::Cast },
        expr: Box::new(expr),
        data_type,
        array: false,
        format: None,
    };
    let number = |n: u64| Expr::value(Value::Number(n.to_string(), false));
    let datetime = if tries { "sql_try_datetime" } else { "sql_datetime" };
    match target {
        Target::Engine(data_type) => cast(operand, data_type),
        Target::DateTime => functions::call(datetime, vec![operand]),
        Target::Date => cast(functions::call(datetime, vec![operand]), DataType::Date),
        Target::Guid => {
            functions::call(if tries { "sql_try_guid" } else { "sql_guid" }, vec![operand])
        }
        Target::Text(length) => {
            let mut args = vec![operand];
            args.extend(style.map(|style| number(style.into())));
            let text = functions::call("sql_text", args);
            match length {
                Some(length) => functions::call("sql_left", vec![text, number(length)]),
                None => text,
            }
        }
    }
}

fn style_number(style: &Expr, target: &Target) -> Result<u32> {
    let number = match style {
        Expr::Value(value) => match &value.value {
            Value::Number(number, _) => number.parse().ok(),
            _ => None,
        },
        _ => None,
    };
    // Text in any of these styles starts year, month, day; the others do not.
    const READ: [u32; 9] = [20, 21, 23, 25, 112, 120, 121, 126, 127];
    let known = number.filter(|style| match target {
        Target::Text(_) => is_style(*style),
        Target::DateTime | Target::Date => READ.contains(style),
        Target::Engine(_) | Target::Guid => *style == 0,
    });
    known.ok_or_else(|| unsupported(format!("the CONVERT style {style} for this type")))
}

fn target(data_type: &DataType) -> Result<Target> {
    use DataType as Type;
    let target = match data_type {
        Type::Varchar(length)
        | Type::Nvarchar(length)
        | Type::Char(length)
        | Type::Character(length)
        | Type::CharVarying(length)
        | Type::CharacterVarying(length) => Target::Text(match length {
            None => Some(DEFAULT_LENGTH),
            Some(CharacterLength::IntegerLength { length, .. }) => Some(*length),
            Some(CharacterLength::Max) => None,
        }),
        Type::Text | Type::String(_) => Target::Text(None),
        Type::Datetime(_) => Target::DateTime,
        Type::Timestamp(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => Target::DateTime,
        Type::Date => Target::Date,
        Type::Uuid => Target::Guid,
        Type::Bit(None | Some(1)) | Type::Bool | Type::Boolean => Target::Engine(Type::Boolean),
        Type::TinyInt(_) => Target::Engine(Type::TinyIntUnsigned(None)),
        Type::SmallInt(_) | Type::Int2(_) => Target::Engine(Type::SmallInt(None)),
        Type::Int(_) | Type::Integer(_) | Type::Int4(_) => Target::Engine(Type::Int(None)),
        Type::BigInt(_) | Type::Int8(_) => Target::Engine(Type::BigInt(None)),
        Type::Float(ExactNumberInfo::Precision(bits)) if *bits <= 24 => Target::Engine(Type::Real),
        Type::Float(_) | Type::Float8 | Type::DoublePrecision | Type::Double(_) => {
            Target::Engine(Type::DoublePrecision)
        }
        Type::Real | Type::Float4 => Target::Engine(Type::Real),
        Type::Decimal(info) | Type::Numeric(info) | Type::Dec(info) => {
            let info = match info {
                ExactNumberInfo::None => ExactNumberInfo::PrecisionAndScale(18, 0),
                given => *given,
            };
            Target::Engine(Type::Decimal(info))
        }
        Type::Time(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
            Target::Engine(Type::Time(None, TimezoneInfo::None))
        }
        Type::Custom(name, arguments) => return custom(&name.to_string(), arguments),
        _ => return Err(unsupported(format!("the type '{data_type}'"))),
    };
    Ok(target)
}

/// Types that the parser has no word for.
fn custom(name: &str, arguments: &[String]) -> Result<Target> {
    let decimal = |precision, scale| {
        Target::Engine(DataType::Decimal(ExactNumberInfo::PrecisionAndScale(precision, scale)))
    };
    let known = match name.to_lowercase().trim_matches(['[', ']', '"']) {
        "datetime2" => Some(Target::DateTime),
        "uniqueidentifier" => Some(Target::Guid),
        "money" => Some(decimal(19, 4)),
        "smallmoney" => Some(decimal(10, 4)),
        "sysname" => Some(Target::Text(Some(128))),
        "ntext" => Some(Target::Text(None)),
        "nchar" => match arguments {
            [] => Some(Target::Text(Some(DEFAULT_LENGTH))),
            [length] => length.parse().ok().map(|length| Target::Text(Some(length))),
            _ => None,
        },
        _ => None,
    };
    known.ok_or_else(|| unsupported(format!("the type '{name}'")))
}
