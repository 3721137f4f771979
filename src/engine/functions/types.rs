//! SQL Server's types: how they are written, which Arrow type holds them, and
//! which of two wins when they meet.
//!
//! Arrow tells most of them apart by itself. For the others (`money`, a time's
//! digits, a text's length) a field carries the type's name as metadata.

use std::collections::HashMap;
use std::fmt;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};

use super::arguments::TIME;

/// Field metadata key; its value is the written form of a [`SqlType`].
const SQL_TYPE: &str = "sysjob.sqltype";

/// A type of SQL Server. The numbers of times are digits of the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SqlType {
    /// The type of a bare `NULL`.
    Null,
    Bit,
    TinyInt,
    SmallInt,
    Int,
    BigInt,
    Decimal(u8, i8),
    SmallMoney,
    Money,
    Real,
    Float,
    /// Text of any length; PostgreSQL's text forms of values.
    PgText,
    /// Text of at most so many characters.
    Varchar(Option<u32>),
    /// Text filled up with spaces.
    Char(u32),
    Date,
    Time(u8),
    SmallDateTime,
    DateTime,
    /// A `datetime` that keeps its microseconds, as columns do.
    Timestamp,
    DateTime2(u8),
    DateTimeOffset(u8),
    Guid,
    /// Bytes filled up with zeros.
    Binary(u32),
    Varbinary(Option<u32>),
    /// Something that SQL Server does not have, such as an interval.
    Other,
}

impl fmt::Display for SqlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decimal(precision, scale) => write!(f, "decimal({precision},{scale})"),
            Self::Varchar(Some(n)) => write!(f, "varchar({n})"),
            Self::Char(n) => write!(f, "char({n})"),
            Self::Time(n) => write!(f, "time({n})"),
            Self::DateTime2(n) => write!(f, "datetime2({n})"),
            Self::DateTimeOffset(n) => write!(f, "datetimeoffset({n})"),
            Self::Binary(n) => write!(f, "binary({n})"),
            Self::Varbinary(Some(n)) => write!(f, "varbinary({n})"),
            other => f.write_str(other.name()),
        }
    }
}

impl SqlType {
    /// The type without its numbers, as messages name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Null => "NULL",
            Self::Bit => "bit",
            Self::TinyInt => "tinyint",
            Self::SmallInt => "smallint",
            Self::Int => "int",
            Self::BigInt => "bigint",
            Self::Decimal(..) => "decimal",
            Self::SmallMoney => "smallmoney",
            Self::Money => "money",
            Self::Real => "real",
            Self::Float => "float",
            Self::PgText => "text",
            Self::Varchar(_) => "varchar",
            Self::Char(_) => "char",
            Self::Date => "date",
            Self::Time(_) => "time",
            Self::SmallDateTime => "smalldatetime",
            Self::DateTime => "datetime",
            Self::Timestamp => "timestamp",
            Self::DateTime2(_) => "datetime2",
            Self::DateTimeOffset(_) => "datetimeoffset",
            Self::Guid => "uniqueidentifier",
            Self::Binary(_) => "binary",
            Self::Varbinary(_) => "varbinary",
            Self::Other => "interval",
        }
    }

    /// Reads what [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, arguments) = match text.split_once('(') {
            Some((name, rest)) => (name, rest.strip_suffix(')')?),
            None => (text, ""),
        };
        let mut numbers = arguments.split(',').filter(|n| !n.is_empty());
        let first: Option<u32> = numbers.next().map(str::parse).transpose().ok()?;
        let second: Option<i8> = numbers.next().map(str::parse).transpose().ok()?;
        let digits = |default| u8::try_from(first.unwrap_or(default)).ok();
        Some(match name {
            "NULL" => Self::Null,
            "bit" => Self::Bit,
            "tinyint" => Self::TinyInt,
            "smallint" => Self::SmallInt,
            "int" => Self::Int,
            "bigint" => Self::BigInt,
            "decimal" => Self::Decimal(digits(18)?, second.unwrap_or(0)),
            "smallmoney" => Self::SmallMoney,
            "money" => Self::Money,
            "real" => Self::Real,
            "float" => Self::Float,
            "text" => Self::PgText,
            "varchar" => Self::Varchar(first),
            "char" => Self::Char(first?),
            "date" => Self::Date,
            "time" => Self::Time(digits(7)?),
            "smalldatetime" => Self::SmallDateTime,
            "datetime" => Self::DateTime,
            "timestamp" => Self::Timestamp,
            "datetime2" => Self::DateTime2(digits(7)?),
            "datetimeoffset" => Self::DateTimeOffset(digits(7)?),
            "uniqueidentifier" => Self::Guid,
            "binary" => Self::Binary(first?),
            "varbinary" => Self::Varbinary(first),
            _ => return None,
        })
    }

    /// The Arrow type that holds its values.
    pub fn arrow(self) -> DataType {
        match self {
            Self::Null | Self::Other => DataType::Null,
            Self::Bit => DataType::Boolean,
            Self::TinyInt => DataType::UInt8,
            Self::SmallInt => DataType::Int16,
            Self::Int => DataType::Int32,
            Self::BigInt => DataType::Int64,
            Self::Decimal(precision, scale) => DataType::Decimal128(precision, scale),
            Self::SmallMoney => DataType::Decimal128(10, 4),
            Self::Money => DataType::Decimal128(19, 4),
            Self::Real => DataType::Float32,
            Self::Float => DataType::Float64,
            Self::PgText | Self::Varchar(_) | Self::Char(_) => DataType::Utf8View,
            Self::Date => DataType::Date32,
            Self::Time(_) => DataType::Time64(TimeUnit::Microsecond),
            Self::SmallDateTime | Self::DateTime | Self::Timestamp | Self::DateTime2(_) => TIME,
            Self::DateTimeOffset(_) => {
                DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()))
            }
            Self::Guid => DataType::FixedSizeBinary(16),
            Self::Binary(_) | Self::Varbinary(_) => DataType::Binary,
        }
    }

    /// The type that an Arrow type stands for by itself.
    pub fn of_arrow(data_type: &DataType) -> Self {
        match data_type {
            DataType::Null => Self::Null,
            DataType::Boolean => Self::Bit,
            DataType::UInt8 => Self::TinyInt,
            DataType::Int8 | DataType::Int16 => Self::SmallInt,
            DataType::Int32 | DataType::UInt16 => Self::Int,
            DataType::Int64 | DataType::UInt32 => Self::BigInt,
            DataType::UInt64 => Self::Decimal(20, 0),
            DataType::Decimal128(precision, scale) => Self::Decimal(*precision, *scale),
            DataType::Float16 | DataType::Float32 => Self::Real,
            DataType::Float64 => Self::Float,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::Varchar(None),
            DataType::Date32 => Self::Date,
            DataType::Time32(_) | DataType::Time64(_) => Self::Time(7),
            DataType::Timestamp(_, None) | DataType::Date64 => Self::DateTime,
            DataType::Timestamp(_, Some(_)) => Self::DateTimeOffset(7),
            DataType::FixedSizeBinary(16) => Self::Guid,
            DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_) => Self::Varbinary(None),
            _ => Self::Other,
        }
    }

    /// The type of a field.
    pub fn of(field: &Field) -> Self {
        let told = field.metadata().get(SQL_TYPE).and_then(|text| Self::parse(text));
        let told = told.filter(|t| Self::of_arrow(&t.arrow()).same_kind(field.data_type()));
        told.unwrap_or_else(|| Self::of_arrow(field.data_type()))
    }

    fn same_kind(self, data_type: &DataType) -> bool {
        let other = Self::of_arrow(data_type);
        self == other || matches!((self, other), (Self::Decimal(..), Self::Decimal(..)))
    }

    /// A field of this type for a function's answer.
    pub fn field(self, name: &str) -> FieldRef {
        let field = Field::new(name, self.arrow(), true);
        let plain =
            Self::of_arrow(&self.arrow()) == self || matches!(self, Self::PgText | Self::Timestamp);
        if plain {
            return field.into();
        }
        field.with_metadata(HashMap::from([(SQL_TYPE.into(), self.to_string())])).into()
    }

    /// Of two types the one with the higher number is what both are converted to.
    pub fn precedence(self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Binary(_) => 1,
            Self::Varbinary(_) => 2,
            Self::Char(_) => 3,
            Self::Varchar(_) => 4,
            Self::PgText => 5,
            Self::Guid => 6,
            Self::Bit => 7,
            Self::TinyInt => 8,
            Self::SmallInt => 9,
            Self::Int => 10,
            Self::BigInt => 11,
            Self::SmallMoney => 12,
            Self::Money => 13,
            Self::Decimal(..) => 14,
            Self::Real => 15,
            Self::Float => 16,
            Self::Time(_) => 17,
            Self::Date => 18,
            Self::SmallDateTime => 19,
            Self::DateTime | Self::Timestamp => 20,
            Self::DateTime2(_) => 21,
            Self::DateTimeOffset(_) => 22,
            Self::Other => 23,
        }
    }

    pub fn is_text(self) -> bool {
        matches!(self, Self::PgText | Self::Varchar(_) | Self::Char(_))
    }

    pub fn is_integer(self) -> bool {
        matches!(self, Self::TinyInt | Self::SmallInt | Self::Int | Self::BigInt)
    }

    pub fn is_money(self) -> bool {
        matches!(self, Self::Money | Self::SmallMoney)
    }

    /// Numbers, `bit` among them.
    pub fn is_number(self) -> bool {
        (7..=16).contains(&self.precedence())
    }

    /// Types with a date or a time of day.
    pub fn is_temporal(self) -> bool {
        (17..=22).contains(&self.precedence())
    }

    pub fn is_binary(self) -> bool {
        matches!(self, Self::Binary(_) | Self::Varbinary(_))
    }

    /// Precision and scale of an exact number as a decimal.
    pub fn digits(self) -> Option<(u8, i8)> {
        Some(match self {
            Self::Bit => (1, 0),
            Self::TinyInt => (3, 0),
            Self::SmallInt => (5, 0),
            Self::Int => (10, 0),
            Self::BigInt => (19, 0),
            Self::SmallMoney => (10, 4),
            Self::Money => (19, 4),
            Self::Decimal(precision, scale) => (precision, scale),
            _ => return None,
        })
    }

    /// The type of a column whose rows have either type.
    pub fn union(self, other: Self) -> Self {
        let (low, high) =
            if self.precedence() > other.precedence() { (other, self) } else { (self, other) };
        match (low, high) {
            (Self::Null, other) => other,
            (low, high) if low.is_text() && high.is_text() => Self::Varchar(None),
            (low, high) if low.is_binary() && high.is_binary() => Self::Varbinary(None),
            (Self::Time(a), Self::Time(b)) => Self::Time(a.max(b)),
            (low, Self::Decimal(precision, scale)) => match low.digits() {
                Some((other, other_scale)) => {
                    let scale = scale.max(other_scale);
                    let whole = (i16::from(precision) - i16::from(high.scale()))
                        .max(i16::from(other) - i16::from(other_scale));
                    Self::capped(whole + i16::from(scale), i16::from(scale), i16::from(scale))
                }
                None => high,
            },
            (_, high) => high,
        }
    }

    fn scale(self) -> i8 {
        self.digits().map_or(0, |(_, scale)| scale)
    }

    /// A decimal type of at most 38 digits: the scale gives way to the digits
    /// before the point, but not below `least`.
    pub fn capped(precision: i16, scale: i16, least: i16) -> Self {
        let (precision, scale) = if precision > 38 {
            let whole = precision - scale;
            (38, (38 - whole).max(least.min(scale)).min(38))
        } else {
            (precision, scale)
        };
        Self::Decimal(
            u8::try_from(precision.max(1)).unwrap_or(38),
            i8::try_from(scale.max(0)).unwrap_or(38),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_read_as_they_are_written() {
        for text in [
            "bit",
            "decimal(9,2)",
            "varchar(30)",
            "varchar",
            "char(8)",
            "time(3)",
            "datetime2(7)",
            "uniqueidentifier",
            "money",
            "varbinary(8)",
        ] {
            assert_eq!(SqlType::parse(text).expect(text).to_string(), text);
        }
        assert_eq!(SqlType::parse("box"), None);
        let field = SqlType::Money.field("x");
        assert_eq!(SqlType::of(&field), SqlType::Money);
        assert_eq!(SqlType::of(&SqlType::Int.field("x")), SqlType::Int);
    }

    #[test]
    fn the_wider_type_holds_both() {
        use SqlType::{BigInt, Bit, Date, DateTime, Decimal, Float, Int, Null, Varchar};
        for (a, b, both) in [
            (Int, BigInt, BigInt),
            (Varchar(None), Int, Int),
            (Null, Bit, Bit),
            (Date, DateTime, DateTime),
            (Int, Decimal(5, 2), Decimal(12, 2)),
            (Decimal(38, 0), Decimal(38, 10), Decimal(38, 10)),
            (Decimal(5, 2), Float, Float),
        ] {
            assert_eq!(a.union(b), both);
            assert_eq!(b.union(a), both);
        }
    }
}
