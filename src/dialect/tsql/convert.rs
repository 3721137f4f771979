//! `CAST`, `CONVERT` and their `TRY_` forms: T-SQL's types in the engine's. The
//! conversion itself is a function of the engine's, `sql_convert`; see
//! [`crate::engine::functions`].

use datafusion::sql::sqlparser::ast::{
    BinaryLength, CastKind, CharacterLength, DataType, ExactNumberInfo, Expr, FunctionArg,
    FunctionArgExpr, FunctionArguments, TimezoneInfo, Value,
};

use super::functions;
use datafusion::sql::sqlparser::tokenizer::Location;

use crate::engine::functions::SqlType;
use crate::error::{Error, Result};
use crate::value::without_offset;

/// Characters of `CAST(x AS varchar)` without a length, bytes of `binary`.
const DEFAULT_LENGTH: u32 = 30;

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
    let postgres = *kind == CastKind::DoubleColon;
    let target = target(data_type, postgres)?;
    let mut operand = std::mem::replace(inner.as_mut(), Expr::value(Value::Null));
    if postgres {
        postgres_literal(&mut operand, data_type);
    }
    *expr = converted(operand, target, None, tries);
    Ok(())
}

/// `CONVERT(type, x[, style])`, `TRY_CONVERT`; the operand and the style are resolved.
pub(super) fn convert(expr: &mut Expr) -> Result<()> {
    let Expr::Convert { is_try, expr: inner, data_type, charset, styles, .. } = expr else {
        return Ok(());
    };
    let (Some(data_type), None) = (data_type, charset) else {
        return Err(unsupported("CONVERT … USING"));
    };
    let target = target(data_type, false)?;
    if styles.len() > 1 {
        return Err(unsupported("CONVERT with several styles"));
    }
    let operand = std::mem::replace(inner.as_mut(), Expr::value(Value::Null));
    let style = styles.pop();
    let operand = match style.as_ref().is_some_and(is_null) {
        true => Expr::value(Value::Null),
        false => operand,
    };
    *expr = converted(operand, target, style, *is_try);
    Ok(())
}

/// A literal of a type that its text does not tell.
pub(super) fn literal(text: &str, target: SqlType) -> Expr {
    converted(functions::text(text), target, None, false)
}

/// `DATE '…'` and the like.
pub(super) fn typed_literal(expr: &mut Expr) -> Result<()> {
    let Expr::TypedString(typed) = expr else { return Ok(()) };
    let target = target(&typed.data_type, true)?;
    let mut operand = Expr::Value(typed.value.clone());
    postgres_literal(&mut operand, &typed.data_type);
    *expr = converted(operand, target, None, false);
    Ok(())
}

/// A literal text that PostgreSQL reads in a way of its own: more words for true and
/// false, bytes as digits, times without regard to an offset.
fn postgres_literal(operand: &mut Expr, data_type: &DataType) {
    let Expr::Value(literal) = operand else { return };
    let Value::SingleQuotedString(text) = &literal.value else { return };
    let word = text.trim().to_lowercase();
    literal.value = match data_type {
        DataType::Bool | DataType::Boolean => match word.as_str() {
            "t" | "y" | "yes" | "on" => Value::SingleQuotedString("true".into()),
            "f" | "n" | "no" | "off" => Value::SingleQuotedString("false".into()),
            _ => return,
        },
        DataType::Bytea => match word.strip_prefix("\\x") {
            Some(digits) if digits.len() % 2 == 0 && is_hexadecimal(digits) => {
                Value::HexStringLiteral(digits.to_owned())
            }
            _ => return,
        },
        DataType::Timestamp(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
            Value::SingleQuotedString(without_offset(text).to_owned())
        }
        _ => return,
    };
}

fn is_hexadecimal(digits: &str) -> bool {
    digits.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Whether a cast to this type gives text.
pub(super) fn is_text_type(data_type: &DataType) -> bool {
    target(data_type, false).is_ok_and(SqlType::is_text)
}

fn converted(operand: Expr, to: SqlType, style: Option<Expr>, tries: bool) -> Expr {
    let operand = match parameter_type(to) {
        // The type of a parameter is that of its cast.
        Some(data_type) if is_parameter(&operand) => Expr::Cast {
            kind: CastKind::Cast,
            expr: Box::new(operand),
            data_type,
            array: false,
            format: None,
        },
        _ => operand,
    };
    let mut args = vec![functions::text(&to.to_string()), operand];
    if style.is_some() || tries {
        args.push(style.unwrap_or_else(|| Expr::value(Value::Null)));
        args.push(Expr::value(Value::Boolean(tries)));
    }
    functions::call("sql_convert", args)
}

/// Whether an expression is written as `NULL`, or is a variable that is.
fn is_null(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) => is_null(inner),
        Expr::Value(value) => value.value == Value::Null,
        // What a cast has become.
        Expr::Function(function) if function.name.to_string() == "sql_convert" => {
            match &function.args {
                FunctionArguments::List(list) => matches!(
                    list.args.get(1),
                    Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(value))) if is_null(value)
                ),
                _ => false,
            }
        }
        _ => false,
    }
}

fn is_parameter(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) => is_parameter(inner),
        Expr::Value(value) => matches!(value.value, Value::Placeholder(_)),
        _ => false,
    }
}

/// The engine's word for a type of PostgreSQL's, where it has one.
pub(super) fn engine_type(data_type: &DataType) -> Option<DataType> {
    parameter_type(target(data_type, true).ok()?)
}

/// The engine's word for a type that a parameter can be declared with.
fn parameter_type(to: SqlType) -> Option<DataType> {
    Some(match to {
        SqlType::Bit => DataType::Boolean,
        SqlType::SmallInt => DataType::SmallInt(None),
        SqlType::TinyInt | SqlType::Int => DataType::Int(None),
        SqlType::BigInt => DataType::BigInt(None),
        SqlType::Real => DataType::Real,
        SqlType::Float => DataType::DoublePrecision,
        SqlType::Decimal(precision, scale) => {
            DataType::Decimal(ExactNumberInfo::PrecisionAndScale(precision.into(), scale.into()))
        }
        SqlType::PgText | SqlType::Varchar(_) | SqlType::Char(_) => DataType::Text,
        SqlType::Date => DataType::Date,
        SqlType::DateTime | SqlType::Timestamp | SqlType::SmallDateTime | SqlType::DateTime2(_) => {
            DataType::Timestamp(Some(6), TimezoneInfo::None)
        }
        _ => return None,
    })
}

/// The type that a query names; `postgres` where only PostgreSQL has the syntax.
fn target(data_type: &DataType, postgres: bool) -> Result<SqlType> {
    use DataType as Type;
    let digits = |n: &Option<u64>, most: u8| match n {
        None => Ok(most),
        Some(n) => u8::try_from(*n)
            .ok()
            .filter(|n| *n <= 7)
            .ok_or_else(|| unsupported(format!("{n} digits of the second (Msg 1002)"))),
    };
    let target = match data_type {
        Type::Varchar(None) | Type::CharVarying(None) | Type::CharacterVarying(None)
            if postgres =>
        {
            SqlType::PgText
        }
        Type::Varchar(length)
        | Type::Nvarchar(length)
        | Type::CharVarying(length)
        | Type::CharacterVarying(length) => match length {
            None => SqlType::Varchar(Some(DEFAULT_LENGTH)),
            Some(CharacterLength::IntegerLength { length, .. }) => {
                SqlType::Varchar(Some(size(*length)?))
            }
            Some(CharacterLength::Max) => SqlType::Varchar(None),
        },
        Type::Char(length) | Type::Character(length) => match length {
            None if postgres => SqlType::Char(1),
            None => SqlType::Char(DEFAULT_LENGTH),
            Some(CharacterLength::IntegerLength { length, .. }) => SqlType::Char(size(*length)?),
            Some(CharacterLength::Max) => return Err(unsupported("the type 'char(max)'")),
        },
        Type::Text | Type::String(_) | Type::JSON | Type::JSONB => SqlType::PgText,
        Type::Datetime(_) => SqlType::DateTime,
        Type::Timestamp(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
            SqlType::Timestamp
        }
        Type::Timestamp(..) => SqlType::DateTimeOffset(6),
        Type::Date => SqlType::Date,
        Type::Uuid => SqlType::Guid,
        Type::Bit(None | Some(1)) | Type::Bool | Type::Boolean => SqlType::Bit,
        Type::TinyInt(_) => SqlType::TinyInt,
        Type::SmallInt(_) | Type::Int2(_) => SqlType::SmallInt,
        Type::Int(_) | Type::Integer(_) | Type::Int4(_) => SqlType::Int,
        Type::BigInt(_) | Type::Int8(_) => SqlType::BigInt,
        Type::Float(ExactNumberInfo::Precision(bits)) if *bits <= 24 => SqlType::Real,
        Type::Float(_) | Type::Float8 | Type::DoublePrecision | Type::Double(_) => SqlType::Float,
        Type::Real | Type::Float4 => SqlType::Real,
        Type::Decimal(info) | Type::Numeric(info) | Type::Dec(info) => match info {
            // PostgreSQL's keeps all digits.
            ExactNumberInfo::None if postgres => SqlType::Decimal(38, 10),
            ExactNumberInfo::None => SqlType::Decimal(18, 0),
            ExactNumberInfo::Precision(precision) => decimal(*precision, 0)?,
            ExactNumberInfo::PrecisionAndScale(precision, scale) => decimal(*precision, *scale)?,
        },
        Type::Time(n, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
            SqlType::Time(digits(n, 7)?)
        }
        Type::Binary(length) => SqlType::Binary(match length {
            None => DEFAULT_LENGTH,
            Some(length) => size(*length)?,
        }),
        Type::Varbinary(length) => match length {
            None => SqlType::Varbinary(Some(DEFAULT_LENGTH)),
            Some(BinaryLength::IntegerLength { length }) => {
                SqlType::Varbinary(Some(size(*length)?))
            }
            Some(BinaryLength::Max) => SqlType::Varbinary(None),
        },
        Type::Bytea => SqlType::Varbinary(None),
        Type::Custom(name, arguments) => return custom(&name.to_string(), arguments),
        _ => return Err(unsupported(format!("the type '{data_type}'"))),
    };
    Ok(target)
}

fn size(length: u64) -> Result<u32> {
    u32::try_from(length).ok().filter(|length| (1..=8_000).contains(length)).ok_or_else(|| {
        unsupported(format!("a type of the size {length}, beyond 1 to 8000 (Msg 131),"))
    })
}

fn decimal(precision: u64, scale: i64) -> Result<SqlType> {
    let digits = u8::try_from(precision).ok().filter(|p| (1..=38).contains(p));
    let scale = i8::try_from(scale).ok().filter(|s| *s >= 0);
    match (digits, scale) {
        (Some(digits), Some(scale)) if u64::from(scale.unsigned_abs()) <= precision => {
            Ok(SqlType::Decimal(digits, scale))
        }
        _ => Err(unsupported(format!(
            "decimal({precision},{}), of more than 38 digits or with more decimals than \
             digits (Msg 2750),",
            scale.unwrap_or(-1)
        ))),
    }
}

/// Types that SQL Server or PostgreSQL has, and no column here.
const NOT_OFFERED: &[&str] = &[
    "cidr",
    "cursor",
    "geography",
    "geometry",
    "hierarchyid",
    "hstore",
    "image",
    "inet",
    "macaddr",
    "point",
    "rowversion",
    "sql_variant",
    "table",
    "tsquery",
    "tsvector",
    "vector",
    "xml",
];

/// Types that the parser has no word for.
fn custom(name: &str, arguments: &[String]) -> Result<SqlType> {
    let number = arguments.first().and_then(|n| n.parse::<u32>().ok());
    let digits = match number {
        None => Some(7),
        Some(n) => u8::try_from(n).ok().filter(|n| *n <= 7),
    };
    let name = name.to_lowercase();
    let known = match name.trim_matches(['[', ']', '"']) {
        "int" => Some(SqlType::Int),
        "bigint" => Some(SqlType::BigInt),
        "smallint" => Some(SqlType::SmallInt),
        "tinyint" => Some(SqlType::TinyInt),
        "bit" => Some(SqlType::Bit),
        "float" => Some(SqlType::Float),
        "date" => Some(SqlType::Date),
        "datetime" => Some(SqlType::DateTime),
        "varchar" | "nvarchar"
            if arguments.first().is_some_and(|n| n.eq_ignore_ascii_case("max")) =>
        {
            Some(SqlType::Varchar(None))
        }
        "varchar" | "nvarchar" => Some(SqlType::Varchar(Some(number.unwrap_or(DEFAULT_LENGTH)))),
        "datetime2" => digits.map(SqlType::DateTime2),
        "datetimeoffset" => digits.map(SqlType::DateTimeOffset),
        "smalldatetime" => Some(SqlType::SmallDateTime),
        "timestamptz" => Some(SqlType::DateTimeOffset(6)),
        "uniqueidentifier" => Some(SqlType::Guid),
        "money" => Some(SqlType::Money),
        "smallmoney" => Some(SqlType::SmallMoney),
        "sysname" => Some(SqlType::Varchar(Some(128))),
        "ntext" | "name" => Some(SqlType::PgText),
        "nchar" => Some(SqlType::Char(number.unwrap_or(DEFAULT_LENGTH))),
        _ => None,
    };
    known.ok_or_else(|| {
        if NOT_OFFERED.contains(&name.as_str()) {
            return unsupported(format!("the type '{name}'"));
        }
        let message = format!("Type {name} is not a defined system type (Msg 243)");
        super::report::invalid("42704", message, Location::empty())
    })
}
