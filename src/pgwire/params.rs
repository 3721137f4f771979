//! Parameters of prepared statements: their types, and values off the wire.
//!
//! A type the client names wins, as it is how the value is written; otherwise
//! it is the type of what the parameter is compared with, otherwise text. A
//! value becomes the compared type where nothing is lost; where something would
//! be, it stays as it is and the comparison widens instead.

use std::collections::HashMap;

use chrono::NaiveTime;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::ParamValues;
use datafusion::logical_expr::LogicalPlan;
use datafusion::scalar::ScalarValue;
use pgwire::api::Type;
use pgwire::error::{PgWireError, PgWireResult};

use super::arrays::{self, array_of, element_of, list_element};
use super::cell::{EPOCH_DAYS, EPOCH_MICROS};
use super::encode::{is_named, wire_type};
use super::error::{from_datafusion, plain, state, to_wire};
use crate::catalog::entity_code_or_none;
use crate::value::Value;

/// The parameters of a statement, `$1` first.
#[derive(Clone, Debug, Default)]
pub struct Parameters {
    pub types: Vec<Type>,
    /// What each is compared with, where that is known.
    targets: Vec<Option<FieldRef>>,
}

impl Parameters {
    /// The parameters of a plan; `named` are the types the client gave.
    pub fn of(plan: &LogicalPlan, named: &[Option<Type>]) -> PgWireResult<Self> {
        let found = plan.get_parameter_fields().map_err(|e| to_wire(&from_datafusion(e), ""))?;
        let mut targets: Vec<Option<FieldRef>> = vec![None; named.len()];
        let mut found = found;
        let elements = arrays::elements(plan);
        for (name, list) in elements.map_err(|e| to_wire(&from_datafusion(e), ""))? {
            found.entry(name).and_modify(|f| _ = f.get_or_insert(list));
        }
        for (name, field) in numbered(found)? {
            if targets.len() <= name {
                targets.resize(name + 1, None);
            }
            targets[name] = field;
        }
        let type_of = |(at, target): (usize, &Option<FieldRef>)| match named.get(at) {
            Some(Some(named)) if *named != Type::UNKNOWN => named.clone(),
            _ => target.as_ref().map_or(Type::TEXT, |field| natural_type(field)),
        };
        let types = targets.iter().enumerate().map(type_of).collect();
        Ok(Self { types, targets })
    }

    /// The Arrow types that the parameters are compared with.
    pub fn targets(&self) -> Vec<Option<&DataType>> {
        self.targets.iter().map(|t| t.as_ref().map(|f| f.data_type())).collect()
    }

    /// The values of a portal; `raw` yields a parameter's bytes and whether they are binary.
    pub fn values<'b>(
        &self,
        raw: impl Fn(usize) -> (Option<&'b [u8]>, bool),
    ) -> PgWireResult<ParamValues> {
        let value = |(at, pg_type): (usize, &Type)| {
            let target = self.targets[at].as_deref();
            let value = match raw(at) {
                (None, _) => null(target),
                (Some(bytes), binary) => read(bytes, pg_type, binary, target),
            };
            value.map(Into::into).map_err(|problem| problem.at(at))
        };
        self.types.iter().enumerate().map(value).collect::<PgWireResult<_>>().map(ParamValues::List)
    }

    /// The values of an `EXECUTE`, which come from a query.
    pub fn given(&self, values: Vec<ScalarValue>) -> PgWireResult<ParamValues> {
        let value = |(at, value): (usize, ScalarValue)| {
            let (pg_type, target) = (&self.types[at], self.targets[at].as_deref());
            let value = match value.try_as_str() {
                Some(Some(text)) => read(text.as_bytes(), pg_type, false, target),
                _ if value.is_null() => null(target),
                _ => fitted(value, target),
            };
            value.map(Into::into).map_err(|problem| problem.at(at))
        };
        values
            .into_iter()
            .enumerate()
            .map(value)
            .collect::<PgWireResult<_>>()
            .map(ParamValues::List)
    }
}

/// A value off the wire, in the type it is compared with where it fits.
fn read(
    bytes: &[u8],
    pg_type: &Type,
    binary: bool,
    target: Option<&Field>,
) -> Result<ScalarValue, Problem> {
    if let Some(element) = element_of(pg_type) {
        return array(bytes, pg_type, &element, binary, target);
    }
    let value = if binary { from_binary(bytes, pg_type) } else { from_text(bytes, pg_type) };
    fitted(value?, target)
}

/// An array; its elements have one type, that of what they are compared with
/// if all of them fit.
fn array(
    bytes: &[u8],
    pg_type: &Type,
    element: &Type,
    binary: bool,
    target: Option<&Field>,
) -> Result<ScalarValue, Problem> {
    let one = |bytes: &[u8]| {
        if binary { from_binary(bytes, element) } else { from_text(bytes, element) }
    };
    let values: Vec<Option<ScalarValue>> = if binary {
        let parts = arrays::split_binary(bytes).ok_or_else(|| Problem::malformed(pg_type))?;
        parts.into_iter().map(|part| part.map(one).transpose()).collect::<Result<_, _>>()?
    } else {
        let parts = arrays::split_text(text_of(bytes)?)
            .ok_or_else(|| Problem::not("an array such as {1,2}"))?;
        let part = |part: Option<String>| part.map(|text| one(text.as_bytes())).transpose();
        parts.into_iter().map(part).collect::<Result<_, _>>()?
    };
    let target = target.and_then(|field| list_element(field.data_type()));
    let fitted: Vec<Option<ScalarValue>> = values
        .iter()
        .map(|value| value.clone().map(|v| fitted(v, target.map(|f| f.as_ref()))).transpose())
        .collect::<Result<_, _>>()?;
    let same = |values: &[Option<ScalarValue>]| {
        let mut types = values.iter().flatten().map(ScalarValue::data_type);
        let first = types.next();
        first.filter(|first| types.all(|other| other == *first))
    };
    let (values, data_type) = match (same(&fitted), same(&values)) {
        (Some(data_type), _) => (fitted, data_type),
        (None, Some(data_type)) => (values, data_type),
        (None, None) => (fitted, target.map_or(DataType::Utf8, |f| f.data_type().clone())),
    };
    let value = |value: Option<ScalarValue>| match value {
        Some(value) => value.cast_to(&data_type),
        None => ScalarValue::try_from(&data_type),
    };
    let values = values.into_iter().map(value).collect::<Result<Vec<_>, _>>();
    let values =
        values.map_err(|e| Problem { state: state::NOT_SUPPORTED, message: e.to_string() })?;
    Ok(ScalarValue::List(ScalarValue::new_list_nullable(&values, &data_type)))
}

/// `$1` is at 0.
fn numbered(
    found: HashMap<String, Option<FieldRef>>,
) -> PgWireResult<Vec<(usize, Option<FieldRef>)>> {
    let number = |(name, field): (String, Option<FieldRef>)| {
        let number: Option<usize> = name.strip_prefix('$').and_then(|n| n.parse().ok());
        // The protocol counts parameters in 16 bits.
        match number.filter(|n| (1..=65_535).contains(n)) {
            Some(number) => Ok((number - 1, field)),
            None => Err(plain("42P02", format!("there is no parameter {name}"))),
        }
    };
    found.into_iter().map(number).collect()
}

fn natural_type(field: &Field) -> Type {
    if let Some(element) = list_element(field.data_type()) {
        return array_of(&natural_type(element)).unwrap_or(Type::TEXT_ARRAY);
    }
    match wire_type(field) {
        Ok(Type::NUMERIC) if field.data_type().is_integer() => Type::INT8,
        Ok(Type::UNKNOWN) | Err(_) => Type::TEXT,
        Ok(natural) => natural,
    }
}

/// What is wrong with a parameter, before its number is known.
struct Problem {
    state: &'static str,
    message: String,
}

impl Problem {
    fn at(self, index: usize) -> PgWireError {
        plain(self.state, format!("parameter ${}: {}", index + 1, self.message))
    }

    fn not(expected: &str) -> Self {
        Self { state: state::INVALID_TEXT, message: format!("expected {expected}") }
    }

    fn malformed(pg_type: &Type) -> Self {
        let message = format!("malformed binary value of type {}", pg_type.name());
        Self { state: "22P03", message }
    }

    fn unsupported(pg_type: &Type) -> Self {
        let message = format!("values of type {} are not supported", pg_type.name());
        Self { state: state::NOT_SUPPORTED, message }
    }
}

fn null(target: Option<&Field>) -> Result<ScalarValue, Problem> {
    let data_type = target.map_or(&DataType::Utf8, |f| f.data_type());
    ScalarValue::try_from(data_type)
        .map_err(|e| Problem { state: state::NOT_SUPPORTED, message: e.to_string() })
}

fn from_binary(bytes: &[u8], pg_type: &Type) -> Result<ScalarValue, Problem> {
    let malformed = || Problem::malformed(pg_type);
    fn fixed<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
        bytes.try_into().ok()
    }
    let value = match *pg_type {
        Type::BOOL => fixed(bytes).map(|[b]| ScalarValue::Boolean(Some(b != 0))),
        Type::INT2 => fixed(bytes).map(|b| ScalarValue::Int16(Some(i16::from_be_bytes(b)))),
        Type::INT4 => fixed(bytes).map(|b| ScalarValue::Int32(Some(i32::from_be_bytes(b)))),
        Type::INT8 => fixed(bytes).map(|b| ScalarValue::Int64(Some(i64::from_be_bytes(b)))),
        Type::OID => fixed(bytes).map(|b| ScalarValue::Int64(Some(u32::from_be_bytes(b).into()))),
        Type::FLOAT4 => fixed(bytes).map(|b| ScalarValue::Float32(Some(f32::from_be_bytes(b)))),
        Type::FLOAT8 => fixed(bytes).map(|b| ScalarValue::Float64(Some(f64::from_be_bytes(b)))),
        Type::UUID => {
            fixed(bytes).map(|b: [u8; 16]| ScalarValue::FixedSizeBinary(16, Some(b.to_vec())))
        }
        Type::TIMESTAMP | Type::TIMESTAMPTZ => fixed(bytes)
            .and_then(|b| i64::from_be_bytes(b).checked_add(EPOCH_MICROS))
            .map(|micros| ScalarValue::TimestampMicrosecond(Some(micros), None)),
        Type::DATE => fixed(bytes)
            .and_then(|b| i32::from_be_bytes(b).checked_add(EPOCH_DAYS))
            .map(|days| ScalarValue::Date32(Some(days))),
        Type::TIME => {
            fixed(bytes).map(|b| ScalarValue::Time64Microsecond(Some(i64::from_be_bytes(b))))
        }
        Type::BYTEA => Some(ScalarValue::Binary(Some(bytes.to_vec()))),
        Type::NUMERIC => return decimal(&numeric_text(bytes).ok_or_else(malformed)?),
        _ if is_text(pg_type) => return from_text(bytes, pg_type),
        _ => return Err(Problem::unsupported(pg_type)),
    };
    value.ok_or_else(malformed)
}

fn is_text(pg_type: &Type) -> bool {
    matches!(
        *pg_type,
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN | Type::CHAR
    )
}

fn from_text(bytes: &[u8], pg_type: &Type) -> Result<ScalarValue, Problem> {
    let text = text_of(bytes)?;
    let data_type = match *pg_type {
        Type::BOOL => match text.trim().to_ascii_lowercase().as_str() {
            "t" | "y" | "yes" | "on" => return Ok(ScalarValue::Boolean(Some(true))),
            "f" | "n" | "no" | "off" => return Ok(ScalarValue::Boolean(Some(false))),
            _ => DataType::Boolean,
        },
        Type::INT2 => return whole(text, i16::MIN.into(), i16::MAX.into(), "smallint"),
        Type::INT4 => return whole(text, i32::MIN.into(), i32::MAX.into(), "integer"),
        Type::INT8 => return whole(text, i64::MIN.into(), i64::MAX.into(), "bigint"),
        Type::OID => return whole(text, 0, u32::MAX.into(), "oid"),
        Type::BYTEA => return bytea(text),
        Type::TIME => {
            let time = NaiveTime::parse_from_str(text.trim(), "%H:%M:%S%.f")
                .or_else(|_| NaiveTime::parse_from_str(text.trim(), "%H:%M"));
            let time = time.map_err(|_| Problem::not("a time of day"))?;
            let micros = time.signed_duration_since(NaiveTime::MIN).num_microseconds();
            return Ok(ScalarValue::Time64Microsecond(micros));
        }
        Type::FLOAT4 | Type::FLOAT8 => DataType::Float64,
        Type::NUMERIC => return decimal(text.trim()),
        Type::UUID => DataType::FixedSizeBinary(16),
        Type::TIMESTAMP | Type::TIMESTAMPTZ => DataType::Timestamp(TimeUnit::Microsecond, None),
        Type::DATE => DataType::Date32,
        _ if is_text(pg_type) => return Ok(ScalarValue::Utf8(Some(text.to_owned()))),
        _ => return Err(Problem::unsupported(pg_type)),
    };
    parsed(text, &data_type)
}

fn text_of(bytes: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(bytes)
        .map_err(|_| Problem { state: "22021", message: "the text is not UTF-8".to_owned() })
}

fn whole(text: &str, least: i128, most: i128, name: &str) -> Result<ScalarValue, Problem> {
    let value: i128 = text.trim().parse().map_err(|_| Problem::not("a whole number"))?;
    let fits = i64::try_from(value).ok().filter(|_| (least..=most).contains(&value));
    let out_of_range = || Problem {
        state: state::NUMBER_OUT_OF_RANGE,
        message: format!("'{}' is out of range for type {name}", text.trim()),
    };
    fits.map(|value| ScalarValue::Int64(Some(value))).ok_or_else(out_of_range)
}

/// `\x00ff`.
fn bytea(text: &str) -> Result<ScalarValue, Problem> {
    let problem = || Problem::not("bytes such as \\x00ff");
    let digits = text.strip_prefix("\\x").filter(|d| d.is_ascii()).ok_or_else(problem)?;
    if digits.len() % 2 != 0 {
        return Err(problem());
    }
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).map_err(|_| problem());
    let bytes: Result<Vec<u8>, _> = (0..digits.len()).step_by(2).map(byte).collect();
    bytes.map(|bytes| ScalarValue::Binary(Some(bytes)))
}

fn parsed(text: &str, data_type: &DataType) -> Result<ScalarValue, Problem> {
    // psycopg and JDBC shorten a whole-hour offset to two digits.
    let value = Value::parse(text, data_type)
        .or_else(|expected| match data_type {
            DataType::Timestamp(..) => {
                Value::parse(&format!("{}:00", text.trim().replacen(' ', "T", 1)), data_type)
                    .map_err(|_| expected)
            }
            _ => Err(expected),
        })
        .map_err(Problem::not)?;
    Ok(value.to_scalar(data_type))
}

fn decimal(text: &str) -> Result<ScalarValue, Problem> {
    let problem = || Problem::not("a decimal number of at most 38 digits");
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let scale = u8::try_from(fraction.len()).ok().filter(|s| *s <= 38).ok_or_else(problem)?;
    let digits = fraction.bytes().all(|b| b.is_ascii_digit());
    let unscaled: i128 = format!("{whole}{fraction}").parse().map_err(|_| problem())?;
    if !digits || unscaled.unsigned_abs() >= 10_u128.pow(38) {
        return Err(problem());
    }
    Ok(ScalarValue::Decimal128(Some(unscaled), 38, scale.cast_signed()))
}

/// PostgreSQL's binary `numeric`: groups of four digits, the first weighing
/// 10000 to the `weight`.
fn numeric_text(bytes: &[u8]) -> Option<String> {
    let word =
        |at: usize| Some(u16::from_be_bytes(bytes.get(2 * at..2 * at + 2)?.try_into().ok()?));
    let (groups, weight) = (usize::from(word(0)?), word(1)?.cast_signed());
    let (sign, scale) = (word(2)?, usize::from(word(3)?));
    // Anything beyond 38 digits is refused later; do not build it.
    if bytes.len() != 8 + 2 * groups || weight.unsigned_abs() > 20 || scale > 38 {
        return None;
    }
    let group = |position: i16| -> Option<u16> {
        let at = usize::try_from(weight - position).ok();
        at.filter(|at| *at < groups).map_or(Some(0), |at| word(4 + at))
    };
    let mut text = match sign {
        0 => String::new(),
        0x4000 => "-".to_owned(),
        _ => return None,
    };
    for position in (0..=weight.max(0)).rev() {
        text.push_str(&format!("{:04}", group(position)?));
    }
    let mut fraction = String::new();
    let mut position = -1;
    while fraction.len() < scale {
        fraction.push_str(&format!("{:04}", group(position)?));
        position -= 1;
    }
    fraction.truncate(scale);
    Some(if scale == 0 { text } else { format!("{text}.{fraction}") })
}

/// The value in the type it is compared with, unless that would change it.
fn fitted(value: ScalarValue, target: Option<&Field>) -> Result<ScalarValue, Problem> {
    let Some(field) = target else { return Ok(value) };
    let data_type = field.data_type();
    if let ScalarValue::Utf8(Some(text)) = &value {
        return match data_type {
            DataType::Int32 if is_named(field) => {
                let code = text.trim().parse().unwrap_or_else(|_| entity_code_or_none(text.trim()));
                Ok(ScalarValue::Int32(Some(code)))
            }
            DataType::Utf8 => Ok(value),
            DataType::LargeUtf8 => Ok(ScalarValue::LargeUtf8(Some(text.clone()))),
            _ => parsed(text, data_type),
        };
    }
    let whole = match value {
        ScalarValue::Int16(Some(v)) => Some(i64::from(v)),
        ScalarValue::Int32(Some(v)) => Some(i64::from(v)),
        ScalarValue::Int64(Some(v)) => Some(v),
        _ => None,
    };
    let lossless = match (data_type, whole) {
        (DataType::Boolean, Some(v @ (0 | 1))) => return Ok(ScalarValue::Boolean(Some(v == 1))),
        (DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64, Some(_)) => true,
        (DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64, Some(_)) => true,
        (DataType::Timestamp(TimeUnit::Microsecond, None), None) => {
            matches!(value, ScalarValue::Date32(_))
        }
        _ => false,
    };
    Ok(if lossless { value.cast_to(data_type).unwrap_or(value) } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(
        pg_type: Type,
        target: Option<DataType>,
        raw: &[u8],
        binary: bool,
    ) -> PgWireResult<ScalarValue> {
        let target = target.map(|t| Field::new("x", t, true).into());
        let parameters = Parameters { types: vec![pg_type], targets: vec![target] };
        let ParamValues::List(values) = parameters.values(|_| (Some(raw), binary))? else {
            panic!("a list")
        };
        Ok(values[0].value().clone())
    }

    #[test]
    fn binary_values_of_every_type() {
        let binary = |pg_type, raw: &[u8]| bound(pg_type, None, raw, true).expect("valid");
        assert_eq!(binary(Type::INT2, &[255, 254]), ScalarValue::Int16(Some(-2)));
        assert_eq!(binary(Type::BOOL, &[1]), ScalarValue::Boolean(Some(true)));
        assert_eq!(
            binary(Type::TIMESTAMP, &0_i64.to_be_bytes()),
            ScalarValue::TimestampMicrosecond(Some(EPOCH_MICROS), None)
        );
        assert_eq!(binary(Type::DATE, &1_i32.to_be_bytes()), ScalarValue::Date32(Some(10_958)));
        assert_eq!(
            binary(Type::UUID, &[7; 16]),
            ScalarValue::FixedSizeBinary(16, Some(vec![7; 16]))
        );
        // -12345.678: groups 1, 2345, 6780 and weight 1.
        let numeric: Vec<u8> =
            [3_u16, 1, 0x4000, 3, 1, 2345, 6780].iter().flat_map(|w| w.to_be_bytes()).collect();
        assert_eq!(
            binary(Type::NUMERIC, &numeric),
            ScalarValue::Decimal128(Some(-12_345_678), 38, 3)
        );
        // 0.0005: one group, weight -1.
        let small: Vec<u8> =
            [1_u16, 0xffff, 0, 4, 5].iter().flat_map(|w| w.to_be_bytes()).collect();
        assert_eq!(binary(Type::NUMERIC, &small), ScalarValue::Decimal128(Some(5), 38, 4));
    }

    #[test]
    fn text_takes_the_compared_type() {
        let text = |target, raw: &str| bound(Type::TEXT, Some(target), raw.as_bytes(), false);
        let guid = "6F9619FF-8B86-D011-B42D-00C04FC964FF";
        let bytes = crate::value::parse_guid(guid).expect("a GUID").to_vec();
        assert_eq!(
            text(DataType::FixedSizeBinary(16), guid).expect("valid"),
            ScalarValue::FixedSizeBinary(16, Some(bytes))
        );
        let time = DataType::Timestamp(TimeUnit::Microsecond, None);
        for written in ["1970-01-01 02:00:00+02", "1970-01-01T00:00:00Z", "1970-01-01"] {
            assert_eq!(
                text(time.clone(), written).expect(written),
                ScalarValue::TimestampMicrosecond(Some(0), None),
                "{written}"
            );
        }
        let error = text(DataType::Int32, "three").expect_err("not a number");
        let info = pgwire::error::ErrorInfo::from(error);
        assert_eq!(info.code, "22P02");
        assert_eq!(info.message, "parameter $1: expected a whole number");
    }

    #[test]
    fn nothing_is_lost_on_the_way_to_the_compared_type() {
        let int8 = |v: i64| bound(Type::INT8, Some(DataType::Int32), &v.to_be_bytes(), true);
        assert_eq!(int8(31).expect("fits"), ScalarValue::Int32(Some(31)));
        assert_eq!(int8(1 << 40).expect("wider"), ScalarValue::Int64(Some(1 << 40)));
        let half = bound(Type::FLOAT8, Some(DataType::Int32), &1.5_f64.to_be_bytes(), true);
        assert_eq!(half.expect("kept"), ScalarValue::Float64(Some(1.5)));
    }

    #[test]
    fn malformed_values_are_errors() {
        for (pg_type, raw) in [
            (Type::INT4, &[1_u8][..]),
            (Type::UUID, &[0; 15]),
            (Type::NUMERIC, &[0, 9, 0, 0, 0, 0, 0, 0]),
            (Type::TEXT, &[0xff]),
            (Type::INT4_ARRAY, &[]),
        ] {
            assert!(bound(pg_type.clone(), None, raw, true).is_err(), "{pg_type}");
        }
    }
}
