//! One value of one column: what rows are made of outside Arrow arrays.

use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat};
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::scalar::ScalarValue;

/// A GUID in the byte order of its text.
pub type Guid = [u8; 16];

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Boolean(bool),
    Int32(i32),
    Int64(i64),
    Float64(f64),
    /// Unscaled; the column's type has the scale.
    Decimal(i128),
    Guid(Guid),
    Text(String),
    /// Microseconds since 1970-01-01 UTC.
    Time(i64),
    /// Days since 1970-01-01.
    Date(i32),
}

impl Value {
    /// Reads a value of an Arrow type from text as people write it: GUIDs with
    /// or without braces, booleans as `0`/`1` too, times in ISO 8601 (UTC
    /// unless they carry an offset). The error says what was expected.
    pub fn parse(text: &str, data_type: &DataType) -> Result<Self, &'static str> {
        let trimmed = text.trim();
        match data_type {
            DataType::Utf8View => Ok(Self::Text(text.to_owned())),
            DataType::Int32 => trimmed.parse().map(Self::Int32).map_err(|_| "a whole number"),
            DataType::Int64 => trimmed.parse().map(Self::Int64).map_err(|_| "a whole number"),
            // Rust reads infinities and not-a-number too, which no column holds.
            DataType::Float64 => match trimmed.parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(Self::Float64(number)),
                _ => Err("a number"),
            },
            DataType::Boolean => match trimmed.to_ascii_lowercase().as_str() {
                "true" | "1" => Ok(Self::Boolean(true)),
                "false" | "0" => Ok(Self::Boolean(false)),
                _ => Err("a yes/no value: true, false, 1 or 0"),
            },
            DataType::Decimal128(_, scale) => {
                parse_decimal(trimmed, *scale).map(Self::Decimal).ok_or("a decimal number")
            }
            DataType::FixedSizeBinary(16) => parse_guid(trimmed).map(Self::Guid).ok_or("a GUID"),
            DataType::Timestamp(TimeUnit::Microsecond, _) => parse_time(trimmed)
                .map(Self::Time)
                .ok_or("a date and time such as 2024-05-01T10:00:00Z"),
            DataType::Date32 => {
                parse_date(trimmed).map(Self::Date).ok_or("a date such as 2024-05-01")
            }
            _ => Err("a value of a supported type"),
        }
    }

    /// The value as a scalar of the given Arrow type; `Null` is typed too.
    pub fn to_scalar(&self, data_type: &DataType) -> ScalarValue {
        match self {
            Self::Null => ScalarValue::try_from(data_type).unwrap_or(ScalarValue::Null),
            Self::Boolean(v) => ScalarValue::Boolean(Some(*v)),
            Self::Int32(v) => ScalarValue::Int32(Some(*v)),
            Self::Int64(v) => ScalarValue::Int64(Some(*v)),
            Self::Float64(v) => ScalarValue::Float64(Some(*v)),
            Self::Decimal(v) => match data_type {
                DataType::Decimal128(p, s) => ScalarValue::Decimal128(Some(*v), *p, *s),
                _ => ScalarValue::Decimal128(Some(*v), 38, 0),
            },
            Self::Guid(v) => ScalarValue::FixedSizeBinary(16, Some(v.to_vec())),
            Self::Text(v) => ScalarValue::Utf8View(Some(v.clone())),
            Self::Time(v) => ScalarValue::TimestampMicrosecond(Some(*v), None),
            Self::Date(v) => ScalarValue::Date32(Some(*v)),
        }
    }
}

/// A GUID's text, lower case without braces, as the Web API writes it.
pub fn guid_text(guid: &Guid) -> String {
    uuid::Uuid::from_bytes(*guid).hyphenated().to_string()
}

/// Reads a GUID: 36 characters, any case, braces tolerated.
pub fn parse_guid(text: &str) -> Option<Guid> {
    let text = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).unwrap_or(text);
    if text.len() != 36 {
        return None;
    }
    uuid::Uuid::try_parse(text).ok().map(uuid::Uuid::into_bytes)
}

/// A time as people write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrittenTime {
    /// With an offset: microseconds since 1970-01-01 UTC.
    Instant(i64),
    /// What a clock somewhere shows.
    Local(NaiveDateTime),
}

/// Reads a time, with an offset or without; without a time of day it is midnight.
pub fn read_time(text: &str) -> Option<WrittenTime> {
    let text = text.trim();
    if let Some(time) = plain_time(text) {
        return Some(time);
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(WrittenTime::Instant(time.timestamp_micros()));
    }
    // A date with an offset, as PostgreSQL's drivers write it: `2024-05-01 +00`.
    if let Some((date, offset)) = text.split_at_checked(10)
        && offset.trim_start().starts_with(['+', '-'])
        && let midnight = format!("{date} 00:00:00{}", offset.trim_start())
        && let Ok(time) = DateTime::parse_from_str(&midnight, "%Y-%m-%d %H:%M:%S%#z")
    {
        return Some(WrittenTime::Instant(time.timestamp_micros()));
    }
    // RFC 3339 wants seconds; OData lets them go.
    for format in ["%Y-%m-%dT%H:%M%:z", "%Y-%m-%dT%H:%M%#z"] {
        let text = text.strip_suffix('Z').map_or(text.to_owned(), |t| format!("{t}+00:00"));
        if let Ok(time) = DateTime::parse_from_str(&text, format) {
            return Some(WrittenTime::Instant(time.timestamp_micros()));
        }
    }
    let extended = hyphenated(text);
    let text = extended.as_deref().unwrap_or(text);
    for format in
        ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"]
    {
        if let Ok(time) = NaiveDateTime::parse_from_str(text, format) {
            return Some(WrittenTime::Local(time));
        }
    }
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    Some(WrittenTime::Local(date.into()))
}

/// Reads `2024-05-01T10:00:00.123456Z`, with a space for `T`, without the fraction or
/// without the `Z`: the form of nearly all times, of which imports read millions.
fn plain_time(text: &str) -> Option<WrittenTime> {
    let bytes = text.as_bytes();
    let digits = |from: usize, to: usize| {
        let digits = bytes.get(from..to)?;
        let digit = |number: u32, byte: &u8| {
            byte.is_ascii_digit().then(|| number * 10 + u32::from(byte - b'0'))
        };
        digits.iter().try_fold(0, digit)
    };
    let is = |at: usize, byte: u8| bytes.get(at) == Some(&byte);
    if !(is(4, b'-') && is(7, b'-') && is(13, b':') && is(16, b':')) {
        return None;
    }
    if !is(10, b'T') && !is(10, b' ') {
        return None;
    }
    let date =
        NaiveDate::from_ymd_opt(i32::try_from(digits(0, 4)?).ok()?, digits(5, 7)?, digits(8, 10)?)?;
    let (end, zoned) = match bytes.last() {
        Some(b'Z') => (bytes.len() - 1, true),
        _ => (bytes.len(), false),
    };
    let micros = match end {
        19 => 0,
        21..=26 if is(19, b'.') => digits(20, end)? * 10_u32.pow(u32::try_from(26 - end).ok()?),
        _ => return None,
    };
    let time = date.and_hms_micro_opt(digits(11, 13)?, digits(14, 16)?, digits(17, 19)?, micros)?;
    Some(match zoned {
        true => WrittenTime::Instant(time.and_utc().timestamp_micros()),
        false => WrittenTime::Local(time),
    })
}

/// Reads an instant; without an offset it is UTC, without a time midnight.
pub fn parse_time(text: &str) -> Option<i64> {
    Some(match read_time(text)? {
        WrittenTime::Instant(micros) => micros,
        WrittenTime::Local(time) => time.and_utc().timestamp_micros(),
    })
}

/// A time as its clock shows it, without what tells the zone of the clock.
pub fn without_offset(text: &str) -> &str {
    let Some(colon) = text.find(':') else { return text };
    let zone = text[colon..].find(['+', '-', 'Z', 'z']);
    zone.map_or(text, |zone| text[..colon + zone].trim_end())
}

/// `20240501` and `20240501 10:00`, which T-SQL writes, with hyphens in the date.
fn hyphenated(text: &str) -> Option<String> {
    let (date, time) = text.split_at_checked(8)?;
    let bare = date.bytes().all(|b| b.is_ascii_digit())
        && (time.is_empty() || time.starts_with([' ', 'T']));
    bare.then(|| format!("{}-{}-{}{time}", &date[..4], &date[4..6], &date[6..]))
}

/// Reads a date; of a time with an offset, the date as it is written.
fn parse_date(text: &str) -> Option<i32> {
    let date = match read_time(text)? {
        WrittenTime::Local(time) => time.date(),
        WrittenTime::Instant(_) => NaiveDate::parse_from_str(text.get(..10)?, "%Y-%m-%d").ok()?,
    };
    i32::try_from(date.signed_duration_since(NaiveDate::default()).num_days()).ok()
}

/// A time as the Web API writes it: whole seconds, UTC.
pub fn time_text(micros: i64) -> String {
    DateTime::from_timestamp_micros(micros)
        .map(|t| t.to_rfc3339_opts(SecondsFormat::Secs, true))
        .unwrap_or_default()
}

/// A date as the Web API writes it.
pub fn date_text(days: i32) -> String {
    NaiveDate::default()
        .checked_add_signed(chrono::TimeDelta::days(i64::from(days)))
        .map(|d| d.format("%Y-%m-%d").to_string())
        .unwrap_or_default()
}

fn parse_decimal(text: &str, scale: i8) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let scale = usize::try_from(scale).ok()?;
    if whole.is_empty() && fraction.is_empty() || fraction.len() > scale {
        return None;
    }
    if !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let unscaled: i128 = format!("{whole}{fraction:0<scale$}").parse().ok()?;
    Some(if negative { -unscaled } else { unscaled })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_parse_with_and_without_offset() {
        assert_eq!(parse_time("1970-01-01T00:00:01Z"), Some(1_000_000));
        assert_eq!(parse_time("1970-01-01T01:00:00+01:00"), Some(0));
        assert_eq!(parse_time("1970-01-01 00:00:00.000001"), Some(1));
        assert_eq!(parse_time("1970-01-02"), Some(86_400_000_000));
        assert_eq!(parse_time("1970-01-01T00:01Z"), Some(60_000_000));
        assert_eq!(parse_time("19700102"), Some(86_400_000_000));
        assert_eq!(parse_time("19700102 00:00:01"), Some(86_401_000_000));
        assert_eq!(parse_time("19701302"), None);
        assert_eq!(parse_time("1970-01-01 00:00:01.5"), Some(1_500_000));
        assert_eq!(parse_time("1970-01-01T00:00:00.1234567Z"), Some(123_456));
        assert_eq!(parse_time("1970-01-01T00:00:00.Z"), None);
        assert_eq!(parse_time("1970-13-01T00:00:00Z"), None);
        assert_eq!(parse_time("1970-01-01T24:00:00Z"), None);
        assert_eq!(
            parse_time("1970-01-01T00:00:60"),
            parse_time("1970-01-01T00:00:59.999999").map(|t| t + 1)
        );
        assert_eq!(parse_time("yesterday"), None);
    }

    #[test]
    fn dates_are_read_as_they_are_written() {
        let date = |text| Value::parse(text, &DataType::Date32).ok();
        assert_eq!(date("1970-01-02"), Some(Value::Date(1)));
        assert_eq!(date("1970-01-02T23:30:00-05:00"), Some(Value::Date(1)));
        assert_eq!(date("1970-01-02x"), None);
        assert_eq!(date("1970-02-30"), None);
    }

    #[test]
    fn only_finite_numbers_are_numbers() {
        let number = |text| Value::parse(text, &DataType::Float64).ok();
        assert_eq!(number(" 1e3 "), Some(Value::Float64(1000.0)));
        for text in ["NaN", "inf", "-infinity", "1e999"] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn guids_and_decimals() {
        let guid = parse_guid("{6F9619FF-8B86-D011-B42D-00C04FC964FF}").expect("a GUID");
        assert_eq!(guid_text(&guid), "6f9619ff-8b86-d011-b42d-00c04fc964ff");
        assert_eq!(parse_guid("6f9619ff8b86d011b42d00c04fc964ff"), None);
        assert_eq!(Value::parse("-1.5", &DataType::Decimal128(38, 4)), Ok(Value::Decimal(-15_000)));
        assert!(Value::parse("1.23456", &DataType::Decimal128(38, 4)).is_err());
    }
}
