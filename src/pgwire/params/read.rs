//! Values of PostgreSQL's types as they come: in text or binary form.

use chrono::NaiveTime;
use datafusion::arrow::compute::kernels::cast_utils::parse_interval_month_day_nano;
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::DataFusionError;
use datafusion::scalar::ScalarValue;
use pgwire::api::Type;
use pgwire::error::PgWireError;
use uuid::Uuid;

use super::super::cell::{EPOCH_DAYS, EPOCH_MICROS};
use super::super::error::{plain, state};
use crate::value::{Value, without_offset};

/// What is wrong with a parameter, before its number is known.
pub(super) struct Problem {
    state: &'static str,
    message: String,
}

impl Problem {
    pub fn at(self, index: usize) -> PgWireError {
        plain(self.state, format!("parameter ${}: {}", index + 1, self.message))
    }

    pub fn not(expected: &str) -> Self {
        Self { state: state::INVALID_TEXT, message: format!("expected {expected}") }
    }

    pub fn malformed(pg_type: &Type) -> Self {
        let message = format!("malformed binary value of type {}", pg_type.name());
        Self { state: "22P03", message }
    }

    /// A float that decimals have nothing for.
    pub fn not_finite(value: &ScalarValue) -> Self {
        let message = format!("{value} is no value of the type numeric here");
        Self { state: state::NUMBER_OUT_OF_RANGE, message }
    }

    pub fn impossible(error: &DataFusionError) -> Self {
        Self { state: state::NOT_SUPPORTED, message: error.to_string() }
    }

    fn unsupported(pg_type: &Type) -> Self {
        let message = format!("values of type {} are not supported", pg_type.name());
        Self { state: state::NOT_SUPPORTED, message }
    }
}

pub(super) fn from_binary(bytes: &[u8], pg_type: &Type) -> Result<ScalarValue, Problem> {
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
        // The greatest and the least stand for infinity, which is beyond every time.
        Type::TIMESTAMP | Type::TIMESTAMPTZ => fixed(bytes)
            .map(|b| i64::from_be_bytes(b).saturating_add(EPOCH_MICROS))
            .map(|micros| ScalarValue::TimestampMicrosecond(Some(micros), None)),
        Type::DATE => fixed(bytes)
            .map(|b| i32::from_be_bytes(b).saturating_add(EPOCH_DAYS))
            .map(|days| ScalarValue::Date32(Some(days))),
        Type::TIME => {
            fixed(bytes).map(|b| ScalarValue::Time64Microsecond(Some(i64::from_be_bytes(b))))
        }
        Type::INTERVAL => interval(bytes),
        Type::BYTEA => Some(ScalarValue::Binary(Some(bytes.to_vec()))),
        Type::NUMERIC => return decimal(&numeric_text(bytes).ok_or_else(malformed)?),
        Type::JSONB => match bytes.split_first() {
            Some((1, text)) => return from_text(text, pg_type),
            _ => None,
        },
        _ if is_text(pg_type) => return from_text(bytes, pg_type),
        _ => return Err(Problem::unsupported(pg_type)),
    };
    value.ok_or_else(malformed)
}

/// Microseconds, days and months.
fn interval(bytes: &[u8]) -> Option<ScalarValue> {
    let (micros, rest) = bytes.split_first_chunk()?;
    let (days, rest) = rest.split_first_chunk()?;
    let months = rest.try_into().ok()?;
    let nanos = i64::from_be_bytes(*micros).checked_mul(1_000)?;
    Some(ScalarValue::new_interval_mdn(
        i32::from_be_bytes(months),
        i32::from_be_bytes(*days),
        nanos,
    ))
}

pub(super) fn is_text(pg_type: &Type) -> bool {
    matches!(
        *pg_type,
        Type::TEXT
            | Type::VARCHAR
            | Type::BPCHAR
            | Type::NAME
            | Type::UNKNOWN
            | Type::CHAR
            | Type::JSON
            | Type::JSONB
    )
}

pub(super) fn from_text(bytes: &[u8], pg_type: &Type) -> Result<ScalarValue, Problem> {
    let text = text_of(bytes)?;
    let bare = text.trim();
    let data_type = match *pg_type {
        Type::BOOL => match bare.to_ascii_lowercase().as_str() {
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
            let time = NaiveTime::parse_from_str(bare, "%H:%M:%S%.f")
                .or_else(|_| NaiveTime::parse_from_str(bare, "%H:%M"));
            let time = time.map_err(|_| Problem::not("a time of day"))?;
            let micros = time.signed_duration_since(NaiveTime::MIN).num_microseconds();
            return Ok(ScalarValue::Time64Microsecond(micros));
        }
        Type::INTERVAL => {
            let interval = parse_interval_month_day_nano(bare);
            let interval = interval.map_err(|_| Problem::not("an interval such as 1 day"))?;
            return Ok(ScalarValue::IntervalMonthDayNano(Some(interval)));
        }
        Type::FLOAT4 | Type::FLOAT8 => {
            let number = bare.parse().map_err(|_| Problem::not("a number"))?;
            return Ok(ScalarValue::Float64(Some(number)));
        }
        Type::NUMERIC => return decimal(bare),
        // PostgreSQL and its drivers leave hyphens out, too.
        Type::UUID => {
            let uuid = Uuid::try_parse(bare).map_err(|_| Problem::not("a GUID"))?;
            return Ok(ScalarValue::FixedSizeBinary(16, Some(uuid.as_bytes().to_vec())));
        }
        Type::TIMESTAMP | Type::TIMESTAMPTZ => match bare {
            "infinity" => return Ok(ScalarValue::TimestampMicrosecond(Some(i64::MAX), None)),
            "-infinity" => return Ok(ScalarValue::TimestampMicrosecond(Some(i64::MIN), None)),
            _ => {
                // Only the other type heeds an offset.
                let local = *pg_type == Type::TIMESTAMP;
                let text = if local { without_offset(bare) } else { bare };
                return parsed(text, &DataType::Timestamp(TimeUnit::Microsecond, None));
            }
        },
        Type::DATE => DataType::Date32,
        _ if is_text(pg_type) => return Ok(ScalarValue::Utf8(Some(text.to_owned()))),
        _ => return Err(Problem::unsupported(pg_type)),
    };
    parsed(text, &data_type)
}

/// Text of a client: UTF-8 without zero bytes, which PostgreSQL's text has not.
pub(super) fn text_of(bytes: &[u8]) -> Result<&str, Problem> {
    let problem = |message: &str| Problem { state: "22021", message: message.to_owned() };
    let text = std::str::from_utf8(bytes).map_err(|_| problem("the text is not UTF-8"))?;
    match text.contains('\0') {
        true => Err(problem("the text has a zero byte")),
        false => Ok(text),
    }
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

/// `12.50`, `1.5E+3`; what is no number at all, as PostgreSQL has it, is a float.
fn decimal(text: &str) -> Result<ScalarValue, Problem> {
    if let Ok(number) = text.parse::<f64>()
        && !number.is_finite()
        && !text.contains(|c: char| c.is_ascii_digit())
    {
        return Ok(ScalarValue::Float64(Some(number)));
    }
    let problem = || Problem::not("a decimal number of at most 38 digits");
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().map_err(|_| problem())?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = fraction.bytes().all(|b| b.is_ascii_digit());
    let length = i32::try_from(fraction.len()).map_err(|_| problem())?;
    let scale = length.checked_sub(exponent).filter(|_| digits).ok_or_else(problem)?;
    let unscaled: i128 = format!("{whole}{fraction}").parse().map_err(|_| problem())?;
    // Without a fraction the zeros that the exponent stands for are written out.
    let factor = u32::try_from(-scale).ok().map_or(Some(1), |zeros| 10_i128.checked_pow(zeros));
    let unscaled = factor.and_then(|factor| unscaled.checked_mul(factor)).ok_or_else(problem)?;
    let scale = i8::try_from(scale.max(0)).ok().filter(|s| *s <= 38).ok_or_else(problem)?;
    if unscaled.unsigned_abs() >= 10_u128.pow(38) {
        return Err(problem());
    }
    Ok(ScalarValue::Decimal128(Some(unscaled), 38, scale))
}

/// PostgreSQL's binary `numeric`: groups of four digits, the first weighing
/// 10000 to the `weight`.
fn numeric_text(bytes: &[u8]) -> Option<String> {
    let word =
        |at: usize| Some(u16::from_be_bytes(bytes.get(2 * at..2 * at + 2)?.try_into().ok()?));
    let (groups, weight) = (usize::from(word(0)?), word(1)?.cast_signed());
    let (sign, scale) = (word(2)?, usize::from(word(3)?));
    if bytes.len() != 8 + 2 * groups {
        return None;
    }
    let mut text = match sign {
        0 => String::new(),
        0x4000 => "-".to_owned(),
        0xc000 => return Some("NaN".to_owned()),
        0xd000 => return Some("Infinity".to_owned()),
        0xf000 => return Some("-Infinity".to_owned()),
        _ => return None,
    };
    // Anything beyond 38 digits is refused later; do not build it.
    if weight.unsigned_abs() > 20 || scale > 38 {
        return None;
    }
    let group = |position: i16| -> Option<u16> {
        let at = usize::try_from(weight - position).ok();
        at.filter(|at| *at < groups).map_or(Some(0), |at| word(4 + at))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn text(pg_type: Type, text: &str) -> Option<ScalarValue> {
        from_text(text.as_bytes(), &pg_type).ok()
    }

    #[test]
    fn numbers_in_all_their_spellings() {
        let decimal = |value, scale| Some(ScalarValue::Decimal128(Some(value), 38, scale));
        assert_eq!(text(Type::NUMERIC, "-12.50"), decimal(-1250, 2));
        assert_eq!(text(Type::NUMERIC, "1.5E+3"), decimal(1500, 0));
        assert_eq!(text(Type::NUMERIC, "5e-3"), decimal(5, 3));
        assert_eq!(text(Type::NUMERIC, "1E+40"), None);
        assert_eq!(text(Type::NUMERIC, "1x"), None);
        for (written, found) in
            [("NaN", f64::NAN), ("Infinity", f64::INFINITY), ("-Infinity", f64::NEG_INFINITY)]
        {
            for pg_type in [Type::NUMERIC, Type::FLOAT8] {
                assert_eq!(text(pg_type, written), Some(ScalarValue::Float64(Some(found))));
            }
        }
        let nan: Vec<u8> = [0_u16, 0, 0xc000, 0].iter().flat_map(|w| w.to_be_bytes()).collect();
        let read = from_binary(&nan, &Type::NUMERIC).ok();
        assert_eq!(read, Some(ScalarValue::Float64(Some(f64::NAN))));
    }

    #[test]
    fn guids_intervals_and_json() {
        let guid = Some(ScalarValue::FixedSizeBinary(16, Some(vec![0x11; 16])));
        for written in [
            "11111111-1111-1111-1111-111111111111",
            "11111111111111111111111111111111",
            "{11111111-1111-1111-1111-111111111111}",
        ] {
            assert_eq!(text(Type::UUID, written), guid, "{written}");
        }
        let day = Some(ScalarValue::new_interval_mdn(0, 1, 3_000_000_000));
        assert_eq!(text(Type::INTERVAL, "1 day 3 seconds"), day);
        let bytes = [&3_000_000_i64.to_be_bytes()[..], &1_i32.to_be_bytes(), &[0; 4]].concat();
        assert_eq!(from_binary(&bytes, &Type::INTERVAL).ok(), day);
        assert!(from_binary(&bytes[..15], &Type::INTERVAL).is_err());
        let json = Some(ScalarValue::Utf8(Some("{}".into())));
        assert_eq!(from_binary(b"\x01{}", &Type::JSONB).ok(), json);
        assert!(from_text(b"a\0b", &Type::TEXT).is_err_and(|p| p.state == "22021"));
    }

    #[test]
    fn an_offset_counts_for_one_of_the_types() {
        let at =
            |hour: i64| Some(ScalarValue::TimestampMicrosecond(Some(hour * 3_600_000_000), None));
        for offset in ["+02", "+02:00"] {
            let written = format!("1970-01-01 10:00:00{offset}");
            assert_eq!(text(Type::TIMESTAMP, &written), at(10), "{written}");
            assert_eq!(text(Type::TIMESTAMPTZ, &written), at(8), "{written}");
        }
        for written in ["1970-01-01T10:00:00Z", "1970-01-01 10:00:00.000", "1970-01-01 10:00"] {
            for pg_type in [Type::TIMESTAMP, Type::TIMESTAMPTZ] {
                assert_eq!(text(pg_type.clone(), written), at(10), "{written} {pg_type}");
            }
        }
        assert_eq!(
            text(Type::TIMESTAMP, "1970-01-01 10:00:00.5-03"),
            at(10).map(|_| { ScalarValue::TimestampMicrosecond(Some(36_000_500_000), None) })
        );
    }

    #[test]
    fn infinity_is_beyond_every_time() {
        let greatest = Some(ScalarValue::TimestampMicrosecond(Some(i64::MAX), None));
        assert_eq!(from_binary(&i64::MAX.to_be_bytes(), &Type::TIMESTAMP).ok(), greatest);
        assert_eq!(text(Type::TIMESTAMPTZ, "infinity"), greatest);
    }
}
