//! Parameters of prepared statements: their types, and values off the wire.
//!
//! A type the client names wins, as it is how the value is written; otherwise
//! it is the type of what the parameter is compared with or cast to, otherwise
//! text. A value becomes that type where nothing is lost; where something would
//! be, it stays as it is and the comparison widens instead.

mod expected;
mod read;

use std::collections::HashMap;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::ParamValues;
use datafusion::logical_expr::LogicalPlan;
use datafusion::scalar::ScalarValue;
use pgwire::api::Type;
use pgwire::error::PgWireResult;

use self::read::{Problem, from_binary, from_text, text_of};
use super::arrays::{self, array_of, element_of, list_element};
use super::encode::{is_named, wire_type};
use super::error::{from_datafusion, plain, to_wire};
use crate::catalog::entity_code_or_none;
use crate::dialect::tsql::arrays::split as split_text;

/// The parameters of a statement, `$1` first.
#[derive(Clone, Debug, Default)]
pub struct Parameters {
    pub types: Vec<Type>,
    /// What each becomes, where that is known.
    targets: Vec<Option<Target>>,
}

/// What a parameter becomes.
#[derive(Clone, Debug)]
struct Target {
    field: FieldRef,
    /// Whether it is what the parameter is cast to: text that is no such value is
    /// left to the cast, which knows more spellings.
    cast: bool,
}

impl Parameters {
    /// The parameters of a plan; `named` are the types the client gave.
    pub fn of(plan: &LogicalPlan, named: &[Option<Type>]) -> PgWireResult<Self> {
        let failed = |e| to_wire(&from_datafusion(e), "");
        let found = plan.get_parameter_fields().map_err(failed)?;
        let lists = arrays::elements(plan).map_err(failed)?;
        let expected = expected::expected(plan).map_err(failed)?;
        let mut targets: Vec<Option<Target>> = vec![None; named.len()];
        for (at, (name, compared)) in numbered(found)? {
            let compared = compared.or_else(|| lists.get(&name).cloned());
            let target = match (compared, expected.get(&name)) {
                (Some(field), _) => Some(Target { field, cast: false }),
                (None, Some(field)) => Some(Target { field: field.clone(), cast: true }),
                (None, None) => None,
            };
            if targets.len() <= at {
                targets.resize(at + 1, None);
            }
            targets[at] = target;
        }
        let named = |at: usize| match named.get(at) {
            Some(Some(named)) if *named != Type::UNKNOWN => Some(named.clone()),
            _ => None,
        };
        let type_of = |(at, target): (usize, &Option<Target>)| {
            let natural = || target.as_ref().map_or(Type::TEXT, |t| natural_type(&t.field));
            named(at).unwrap_or_else(natural)
        };
        let types: Vec<Type> = targets.iter().enumerate().map(type_of).collect();
        for (at, target) in targets.iter_mut().enumerate() {
            // A value of a type that the client names is cast as it is.
            if named(at).is_some() && target.as_ref().is_none_or(|t| t.cast) {
                let field = arrow_type(&types[at]).map(|t| Field::new("", t, true).into());
                *target = field.map(|field| Target { field, cast: false });
            }
        }
        Ok(Self { types, targets })
    }

    /// The parameters of a further part of the statement: what is known of one in
    /// any part holds in all.
    pub fn add(&mut self, other: Self) {
        for (at, (pg_type, target)) in other.types.into_iter().zip(other.targets).enumerate() {
            if at == self.types.len() {
                self.types.push(pg_type);
                self.targets.push(target);
            } else if self.targets[at].is_none() && target.is_some() {
                (self.types[at], self.targets[at]) = (pg_type, target);
            }
        }
    }

    /// Nulls of the parameters' types, to know what is made of them.
    pub fn nulls(&self) -> PgWireResult<ParamValues> {
        let null = |(at, pg_type): (usize, &Type)| {
            // Decimals stay as they are beside whole numbers, which become decimals.
            let decimal = matches!(*pg_type, Type::NUMERIC | Type::FLOAT4 | Type::FLOAT8);
            let data_type = match &self.targets[at] {
                Some(target) if !(decimal && target.field.data_type().is_integer()) => {
                    target.field.data_type().clone()
                }
                _ => arrow_type(pg_type).unwrap_or(DataType::Utf8),
            };
            let null = ScalarValue::try_from(&data_type);
            null.map(Into::into).map_err(|e| to_wire(&from_datafusion(e), ""))
        };
        let nulls = self.types.iter().enumerate().map(null);
        Ok(ParamValues::List(nulls.collect::<PgWireResult<_>>()?))
    }

    fn target(&self, at: usize) -> Option<&Target> {
        self.targets.get(at).and_then(Option::as_ref)
    }

    /// The values of a portal; `raw` yields a parameter's bytes and whether they are binary.
    pub fn values<'b>(
        &self,
        raw: impl Fn(usize) -> (Option<&'b [u8]>, bool),
    ) -> PgWireResult<ParamValues> {
        let value = |(at, pg_type): (usize, &Type)| {
            let target = self.target(at);
            let value = match raw(at) {
                (None, _) => null(target, pg_type),
                (Some(bytes), binary) => read(bytes, pg_type, binary, target),
            };
            value.map(Into::into).map_err(|problem| problem.at(at))
        };
        self.types.iter().enumerate().map(value).collect::<PgWireResult<_>>().map(ParamValues::List)
    }

    /// The values of an `EXECUTE`, which come from a query.
    pub fn given(&self, values: Vec<ScalarValue>) -> PgWireResult<ParamValues> {
        let value = |(at, value): (usize, ScalarValue)| {
            let (pg_type, target) = (&self.types[at], self.target(at));
            let value = match value.try_as_str() {
                Some(Some(text)) => read(text.as_bytes(), pg_type, false, target),
                _ if value.is_null() => null(target, pg_type),
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
    target: Option<&Target>,
) -> Result<ScalarValue, Problem> {
    if let Some(element) = element_of(pg_type) {
        return array(bytes, pg_type, &element, binary, target);
    }
    let value = if binary { from_binary(bytes, pg_type) } else { from_text(bytes, pg_type) };
    match (value, target) {
        (Ok(value), _) => fitted(value, target),
        (Err(_), Some(target)) if target.cast && !binary => {
            Ok(ScalarValue::Utf8(Some(text_of(bytes)?.to_owned())))
        }
        (Err(problem), _) => Err(problem),
    }
}

/// An array; its elements have one type, that of what they are compared with
/// if all of them fit.
fn array(
    bytes: &[u8],
    pg_type: &Type,
    element: &Type,
    binary: bool,
    target: Option<&Target>,
) -> Result<ScalarValue, Problem> {
    let one = |bytes: &[u8]| {
        if binary { from_binary(bytes, element) } else { from_text(bytes, element) }
    };
    let values: Vec<Option<ScalarValue>> = if binary {
        let parts = arrays::split_binary(bytes).ok_or_else(|| Problem::malformed(pg_type))?;
        parts.into_iter().map(|part| part.map(one).transpose()).collect::<Result<_, _>>()?
    } else {
        let parts =
            split_text(text_of(bytes)?).ok_or_else(|| Problem::not("an array such as {1,2}"))?;
        let part = |part: Option<String>| part.map(|text| one(text.as_bytes())).transpose();
        parts.into_iter().map(part).collect::<Result<_, _>>()?
    };
    let target = target.and_then(|target| {
        let field = list_element(target.field.data_type())?.clone();
        Some(Target { field, cast: target.cast })
    });
    let fitted: Vec<Option<ScalarValue>> = values
        .iter()
        .map(|value| value.clone().map(|v| fitted(v, target.as_ref())).transpose())
        .collect::<Result<_, _>>()?;
    let same = |values: &[Option<ScalarValue>]| {
        let mut types = values.iter().flatten().map(ScalarValue::data_type);
        let first = types.next();
        first.filter(|first| types.all(|other| other == *first))
    };
    let (values, data_type) = match (same(&fitted), same(&values)) {
        (Some(data_type), _) => (fitted, data_type),
        (None, Some(data_type)) => (values, data_type),
        (None, None) => {
            let wanted = target.map(|target| target.field.data_type().clone());
            let data_type = wanted.or_else(|| arrow_type(element)).unwrap_or(DataType::Utf8);
            (fitted, data_type)
        }
    };
    let value = |value: Option<ScalarValue>| match value {
        Some(value) => value.cast_to(&data_type),
        None => ScalarValue::try_from(&data_type),
    };
    let values = values.into_iter().map(value).collect::<Result<Vec<_>, _>>();
    let values = values.map_err(|e| Problem::impossible(&e))?;
    Ok(ScalarValue::List(ScalarValue::new_list_nullable(&values, &data_type)))
}

/// Parameters by their place, `$1` at 0, with their names.
type Numbered = Vec<(usize, (String, Option<FieldRef>))>;

fn numbered(found: HashMap<String, Option<FieldRef>>) -> PgWireResult<Numbered> {
    let number = |(name, field): (String, Option<FieldRef>)| {
        let number: Option<usize> = name.strip_prefix('$').and_then(|n| n.parse().ok());
        // The protocol counts parameters in 16 bits.
        match number.filter(|n| (1..=65_535).contains(n)) {
            Some(number) => Ok((number - 1, (name, field))),
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
        // Clients write the number of an object.
        Ok(Type::REGCLASS | Type::REGTYPE | Type::REGPROC | Type::REGNAMESPACE | Type::REGROLE) => {
            Type::OID
        }
        Ok(Type::UNKNOWN) | Err(_) => Type::TEXT,
        Ok(natural) => natural,
    }
}

/// What values of a type are held as; `None` where that depends on the value.
fn arrow_type(pg_type: &Type) -> Option<DataType> {
    if let Some(element) = element_of(pg_type) {
        return arrow_type(&element).map(|t| DataType::new_list(t, true));
    }
    Some(match *pg_type {
        Type::BOOL => DataType::Boolean,
        Type::INT2 => DataType::Int16,
        Type::INT4 => DataType::Int32,
        Type::INT8 | Type::OID => DataType::Int64,
        Type::FLOAT4 => DataType::Float32,
        Type::FLOAT8 => DataType::Float64,
        Type::UUID => DataType::FixedSizeBinary(16),
        Type::TIMESTAMP => DataType::Timestamp(TimeUnit::Microsecond, None),
        Type::TIMESTAMPTZ => DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
        Type::DATE => DataType::Date32,
        Type::TIME => DataType::Time64(TimeUnit::Microsecond),
        Type::INTERVAL => {
            DataType::Interval(datafusion::arrow::datatypes::IntervalUnit::MonthDayNano)
        }
        Type::BYTEA => DataType::Binary,
        Type::NUMERIC => DataType::Decimal128(38, 10),
        _ if read::is_text(pg_type) => DataType::Utf8,
        _ => return None,
    })
}

fn null(target: Option<&Target>, pg_type: &Type) -> Result<ScalarValue, Problem> {
    let data_type = match target {
        Some(target) => target.field.data_type().clone(),
        None => arrow_type(pg_type).unwrap_or(DataType::Utf8),
    };
    ScalarValue::try_from(&data_type).map_err(|e| Problem::impossible(&e))
}

/// The value in the type it is compared with, unless that would change it.
fn fitted(value: ScalarValue, target: Option<&Target>) -> Result<ScalarValue, Problem> {
    let Some(Target { field, cast }) = target else { return Ok(value) };
    let data_type = field.data_type();
    if matches!(data_type, DataType::Decimal128(..)) && !is_finite(&value) {
        return Err(Problem::not_finite(&value));
    }
    let value = match value {
        ScalarValue::Utf8(Some(text)) => match data_type {
            DataType::Int32 if is_named(field) => {
                let code = text.trim().parse().unwrap_or_else(|_| entity_code_or_none(text.trim()));
                return Ok(ScalarValue::Int32(Some(code)));
            }
            DataType::Utf8 => return Ok(ScalarValue::Utf8(Some(text))),
            DataType::LargeUtf8 => return Ok(ScalarValue::LargeUtf8(Some(text))),
            DataType::Utf8View => return Ok(ScalarValue::Utf8View(Some(text))),
            _ => match from_text(text.as_bytes(), &written_as(natural_type(field))) {
                Err(_) if *cast => return Ok(ScalarValue::Utf8(Some(text))),
                read => read?,
            },
        },
        value => value,
    };
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
        // The same instant, told to be one.
        (DataType::Timestamp(TimeUnit::Microsecond, Some(zone)), None) => match value {
            ScalarValue::TimestampMicrosecond(micros, None) => {
                return Ok(ScalarValue::TimestampMicrosecond(micros, Some(zone.clone())));
            }
            _ => false,
        },
        _ => false,
    };
    Ok(if lossless { value.cast_to(data_type).unwrap_or(value) } else { value })
}

/// The type that a text is read as where it is to become another: a time is the instant
/// that it names, offset and all.
fn written_as(pg_type: Type) -> Type {
    if pg_type == Type::TIMESTAMP { Type::TIMESTAMPTZ } else { pg_type }
}

fn is_finite(value: &ScalarValue) -> bool {
    match value {
        ScalarValue::Float32(Some(number)) => number.is_finite(),
        ScalarValue::Float64(Some(number)) => number.is_finite(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use pgwire::error::ErrorInfo;

    use super::super::cell::EPOCH_MICROS;
    use super::*;

    fn bound(
        pg_type: Type,
        target: Option<DataType>,
        raw: &[u8],
        binary: bool,
    ) -> PgWireResult<ScalarValue> {
        let target = target.map(|t| Target { field: Field::new("x", t, true).into(), cast: false });
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
        let info = ErrorInfo::from(error);
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
