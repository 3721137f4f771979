//! Values as PostgreSQL prints them, into the row that is sent.

use chrono::{DateTime, Datelike, NaiveDate, Timelike};

use super::cell::put;

/// A whole number.
pub fn integer(value: i64, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    digits(value.unsigned_abs(), out);
}

fn digits(mut value: u64, out: &mut Vec<u8>) {
    let mut buffer = [b'0'; 20];
    let mut at = buffer.len();
    loop {
        at -= 1;
        buffer[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&buffer[at..]);
}

/// A number with leading zeros up to `width`.
fn padded(value: u32, width: usize, out: &mut Vec<u8>) {
    let length = if value == 0 { 1 } else { value.ilog10() as usize + 1 };
    out.extend(std::iter::repeat_n(b'0', width.saturating_sub(length)));
    digits(value.into(), out);
}

/// The shortest text that reads back the same: `0.1`, `1e+20`, `Infinity`.
pub fn float8(value: f64, out: &mut Vec<u8>) {
    float(value.is_nan(), value.is_infinite(), value < 0.0, format_args!("{value:e}"), 15, out);
}

/// The same in single precision.
pub fn float4(value: f32, out: &mut Vec<u8>) {
    float(value.is_nan(), value.is_infinite(), value < 0.0, format_args!("{value:e}"), 6, out);
}

/// `scientific` is written by Rust: `-1.25e-7`. Exponents from `large` on stay.
fn float(
    nan: bool,
    infinite: bool,
    negative: bool,
    scientific: std::fmt::Arguments<'_>,
    large: i32,
    out: &mut Vec<u8>,
) {
    if nan {
        return out.extend_from_slice(b"NaN");
    }
    if infinite {
        let text: &[u8] = if negative { b"-Infinity" } else { b"Infinity" };
        return out.extend_from_slice(text);
    }
    let start = out.len();
    put(out, scientific);
    let written = out.split_off(start);
    let written = String::from_utf8_lossy(&written);
    let (mantissa, exponent) = written.split_once('e').unwrap_or((&written, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if exponent < -4 || exponent >= large {
        let sign = if exponent < 0 { '-' } else { '+' };
        return put(out, format_args!("{mantissa}e{sign}{:02}", exponent.unsigned_abs()));
    }
    let unsigned = mantissa.strip_prefix('-').unwrap_or(mantissa);
    if unsigned.len() < mantissa.len() {
        out.push(b'-');
    }
    let figures: Vec<u8> = unsigned.bytes().filter(|b| *b != b'.').collect();
    let Ok(before) = usize::try_from(exponent + 1) else {
        return small(&figures, exponent, out);
    };
    if before == 0 {
        return small(&figures, exponent, out);
    }
    let whole = figures.len().min(before);
    out.extend_from_slice(&figures[..whole]);
    out.extend(std::iter::repeat_n(b'0', before - whole));
    if figures.len() > before {
        out.push(b'.');
        out.extend_from_slice(&figures[before..]);
    }
}

/// `0.00125`: figures behind zeros.
fn small(figures: &[u8], exponent: i32, out: &mut Vec<u8>) {
    out.extend_from_slice(b"0.");
    let zeros = usize::try_from(-exponent - 1).unwrap_or_default();
    out.extend(std::iter::repeat_n(b'0', zeros));
    out.extend_from_slice(figures);
}

/// A decimal with all places of its scale.
pub fn decimal(value: i128, scale: i8, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    let places = usize::from(scale.max(0).unsigned_abs());
    let start = out.len();
    match u64::try_from(value.unsigned_abs()) {
        Ok(small) => digits(small, out),
        Err(_) => put(out, format_args!("{}", value.unsigned_abs())),
    }
    if scale < 0 && value != 0 {
        out.extend(std::iter::repeat_n(b'0', usize::from(scale.unsigned_abs())));
    }
    if places > 0 {
        let length = out.len() - start;
        if length <= places {
            let zeros = places + 1 - length;
            out.splice(start..start, std::iter::repeat_n(b'0', zeros));
        }
        out.insert(out.len() - places, b'.');
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

fn hex(byte: u8, out: &mut Vec<u8>) {
    out.push(HEX[usize::from(byte >> 4)]);
    out.push(HEX[usize::from(byte & 15)]);
}

/// `\x00ff`.
pub fn bytes(value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"\\x");
    value.iter().for_each(|byte| hex(*byte, out));
}

/// A GUID in lower case.
pub fn guid(value: &[u8], out: &mut Vec<u8>) {
    for (at, byte) in value.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        hex(*byte, out);
    }
}

/// A day, counted from 1970-01-01.
pub fn date(days: i32, out: &mut Vec<u8>) {
    if let Some(day) = NaiveDate::from_epoch_days(days) {
        year_month_day(day, out);
        era(day, out);
    } else {
        // Beyond the calendar of this library only infinities are expected.
        out.extend_from_slice(if days < 0 { b"-infinity" } else { b"infinity" });
    }
}

/// A time of day in microseconds.
pub fn time(micros: i64, out: &mut Vec<u8>) {
    let micros = u64::try_from(micros).unwrap_or_default();
    let seconds = u32::try_from(micros / 1_000_000).unwrap_or_default();
    hour_minute_second(seconds / 3600, seconds / 60 % 60, seconds % 60, out);
    fraction((micros % 1_000_000) as u32, out);
}

/// `2024-05-01 10:00:00.25`, and the offset of an instant.
pub fn timestamp(micros: i64, offset: &str, out: &mut Vec<u8>) {
    let Some(time) = DateTime::from_timestamp_micros(micros) else {
        let text: &[u8] = if micros < 0 { b"-infinity" } else { b"infinity" };
        return out.extend_from_slice(text);
    };
    let day = time.date_naive();
    year_month_day(day, out);
    out.push(b' ');
    hour_minute_second(time.hour(), time.minute(), time.second(), out);
    fraction(time.nanosecond() / 1_000, out);
    out.extend_from_slice(offset.as_bytes());
    era(day, out);
}

fn year_month_day(day: NaiveDate, out: &mut Vec<u8>) {
    let (common, year) = day.year_ce();
    debug_assert!(common || day.year() < 1);
    padded(year, 4, out);
    out.push(b'-');
    padded(day.month(), 2, out);
    out.push(b'-');
    padded(day.day(), 2, out);
}

fn era(day: NaiveDate, out: &mut Vec<u8>) {
    if day.year() < 1 {
        out.extend_from_slice(b" BC");
    }
}

fn hour_minute_second(hour: u32, minute: u32, second: u32, out: &mut Vec<u8>) {
    padded(hour, 2, out);
    out.push(b':');
    padded(minute, 2, out);
    out.push(b':');
    padded(second, 2, out);
}

/// As many digits of the second as there are.
fn fraction(micros: u32, out: &mut Vec<u8>) {
    if micros == 0 {
        return;
    }
    out.push(b'.');
    padded(micros, 6, out);
    while out.last() == Some(&b'0') {
        out.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = b"<".to_vec();
        write(&mut out);
        String::from_utf8(out).expect("ASCII")[1..].to_owned()
    }

    #[test]
    fn numbers() {
        for (value, expected) in [
            (1.0, "1"),
            (0.1, "0.1"),
            (-0.0, "-0"),
            (1e20, "1e+20"),
            (1e15, "1e+15"),
            (123_456_789_012_345.0, "123456789012345"),
            (1_234.5, "1234.5"),
            (0.000_125, "0.000125"),
            (0.000_012_5, "1.25e-05"),
            (-1.5e-300, "-1.5e-300"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(shown(|out| float8(value, out)), expected);
        }
        assert_eq!(shown(|out| float4(1e6, out)), "1e+06");
        assert_eq!(shown(|out| float4(0.1, out)), "0.1");
        assert_eq!(shown(|out| integer(i64::MIN, out)), i64::MIN.to_string());
        for (value, scale, expected) in [
            (10_i128.pow(37), 2, format!("1{}.00", "0".repeat(35))),
            (-5, 3, "-0.005".to_owned()),
            (0, 2, "0.00".to_owned()),
            (12, 0, "12".to_owned()),
            (12, -2, "1200".to_owned()),
        ] {
            assert_eq!(shown(|out| decimal(value, scale, out)), expected);
        }
    }

    #[test]
    fn times() {
        let second = 1_714_557_600_000_000;
        for (micros, expected) in [
            (second, "2024-05-01 10:00:00"),
            (second + 250_000, "2024-05-01 10:00:00.25"),
            (second + 1, "2024-05-01 10:00:00.000001"),
            (-1, "1969-12-31 23:59:59.999999"),
            (253_402_300_800_000_000, "10000-01-01 00:00:00"),
            (-62_135_596_800_000_000 - 1_000_000, "0001-12-31 23:59:59 BC"),
        ] {
            assert_eq!(shown(|out| timestamp(micros, "", out)), expected);
        }
        assert_eq!(shown(|out| timestamp(second, "+00", out)), "2024-05-01 10:00:00+00");
        assert_eq!(shown(|out| date(-1, out)), "1969-12-31");
        assert_eq!(shown(|out| time(3_600_000_000 + 5_100_000, out)), "01:00:05.1");
        assert_eq!(shown(|out| bytes(&[0, 255], out)), "\\x00ff");
        assert_eq!(shown(|out| guid(&[0xab; 16], out)), "abababab-abab-abab-abab-abababababab");
    }
}
