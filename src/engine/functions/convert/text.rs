//! Values as text, with `CONVERT`'s styles.

use std::fmt::Write as _;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringViewBuilder};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int64Type,
    Time64MicrosecondType, TimestampMicrosecondType,
};
use datafusion::common::{DataFusionError, Result, exec_datafusion_err, exec_err};

use super::super::calendar::MICROS_PER_DAY;
use super::super::styles::Shown;
use super::super::types::SqlType;
use super::super::zones;
use super::Request;
use crate::value;

/// Converts to text of the type's length.
pub(super) fn array(values: &ArrayRef, request: &Request) -> Result<ArrayRef> {
    let write = writer(values, request)?;
    let mut texts = StringViewBuilder::with_capacity(values.len());
    let mut text = String::new();
    for row in 0..values.len() {
        if values.is_null(row) {
            texts.append_null();
            continue;
        }
        text.clear();
        write(row, &mut text);
        match request.settle(fit(&mut text, request))? {
            Some(()) => texts.append_value(&text),
            None => texts.append_null(),
        }
    }
    Ok(std::sync::Arc::new(texts.finish()))
}

type Writer<'a> = Box<dyn Fn(usize, &mut String) + 'a>;

/// What writes the value of a row.
fn writer<'a>(values: &'a ArrayRef, request: &Request) -> Result<Writer<'a>> {
    let Request { from, to, style, .. } = *request;
    let postgres = to == SqlType::PgText;
    let number = style.unwrap_or(0);
    Ok(match from {
        SqlType::Varchar(_) | SqlType::Char(_) | SqlType::PgText => {
            let texts = values.as_string_view();
            Box::new(move |row, out| out.push_str(texts.value(row)))
        }
        SqlType::Bit => {
            let bits = values.as_boolean();
            Box::new(move |row, out| {
                out.push_str(match (bits.value(row), postgres) {
                    (true, false) => "1",
                    (false, false) => "0",
                    (true, true) => "true",
                    (false, true) => "false",
                });
            })
        }
        from if from.is_integer() => {
            let numbers = cast(values, &DataType::Int64)?.as_primitive::<Int64Type>().clone();
            Box::new(move |row, out| {
                let _ = write!(out, "{}", numbers.value(row));
            })
        }
        SqlType::Money | SqlType::SmallMoney => {
            let numbers = values.as_primitive::<Decimal128Type>();
            let style = if postgres { 2 } else { number };
            Box::new(move |row, out| money(numbers.value(row), style, out))
        }
        SqlType::Decimal(..) => {
            let numbers = values.as_primitive::<Decimal128Type>();
            Box::new(move |row, out| out.push_str(&numbers.value_as_string(row)))
        }
        SqlType::Real if postgres => {
            let numbers = values.as_primitive::<Float32Type>();
            Box::new(move |row, out| {
                let _ = write!(out, "{}", numbers.value(row));
            })
        }
        SqlType::Real | SqlType::Float => {
            let numbers = cast(values, &DataType::Float64)?.as_primitive::<Float64Type>().clone();
            Box::new(move |row, out| match postgres {
                true => {
                    let _ = write!(out, "{}", numbers.value(row));
                }
                false => out.push_str(&float(numbers.value(row), number)),
            })
        }
        SqlType::Guid => {
            let guids = values.as_fixed_size_binary();
            Box::new(move |row, out| {
                let guid = value::Guid::try_from(guids.value(row)).unwrap_or_default();
                let text = value::guid_text(&guid);
                out.push_str(&if postgres { text } else { text.to_uppercase() });
            })
        }
        SqlType::Date => {
            let days = values.as_primitive::<Date32Type>();
            let shown = Shown::of(from, style, postgres);
            Box::new(move |row, out| shown.write(i64::from(days.value(row)) * MICROS_PER_DAY, out))
        }
        SqlType::Time(_) => {
            let times = values.as_primitive::<Time64MicrosecondType>();
            let shown = Shown::of(from, style, postgres);
            Box::new(move |row, out| shown.write(times.value(row), out))
        }
        from if from.is_temporal() => {
            let times = values.as_primitive::<TimestampMicrosecondType>();
            let shown = Shown::of(from, style, postgres);
            let zone = zones::zone_of(values.data_type()).filter(|_| !postgres);
            Box::new(move |row, out| {
                let time = times.value(row);
                shown.write_at(time, zone.map_or(0, |zone| zone.minutes_at(time)), out);
            })
        }
        from if from.is_binary() => {
            let bytes = values.as_binary::<i32>();
            Box::new(move |row, out| binary(bytes.value(row), number, out))
        }
        _ => {
            // What SQL Server does not have reads as the engine shows it.
            let texts = cast(values, &DataType::Utf8View)?.as_string_view().clone();
            Box::new(move |row, out| out.push_str(texts.value(row)))
        }
    })
}

/// Cuts a text to the length of its type, or fills it up.
fn fit(text: &mut String, request: &Request) -> Result<()> {
    let (length, fill) = match request.to {
        SqlType::Varchar(Some(length)) => (length, false),
        SqlType::Char(length) => (length, true),
        _ => return Ok(()),
    };
    let length = length as usize;
    // Bytes are at least as many as characters.
    if text.len() > length
        && let Some((end, _)) = text.char_indices().nth(length)
    {
        match request.from {
            SqlType::TinyInt | SqlType::SmallInt | SqlType::Int => {
                text.clear();
                text.push('*');
            }
            SqlType::Guid => {
                return exec_err!(
                    "Insufficient result space to convert uniqueidentifier value to char (Msg 8170)"
                );
            }
            from if from.is_number() && from != SqlType::Bit => return Err(too_short(from)),
            _ => text.truncate(end),
        }
    }
    if fill {
        let missing = length.saturating_sub(text.chars().count());
        text.extend(std::iter::repeat_n(' ', missing));
    }
    Ok(())
}

fn too_short(from: SqlType) -> DataFusionError {
    exec_datafusion_err!(
        "Arithmetic overflow error converting {} to data type varchar (Msg 8115)",
        if matches!(from, SqlType::Decimal(..)) { "numeric" } else { from.name() }
    )
}

/// Money of four decimals: style 0 shows two, 1 two and commas, 2 all four.
fn money(value: i128, style: i32, out: &mut String) {
    let four = matches!(style, 2 | 126);
    let (scaled, unit, width) = if four {
        (value.unsigned_abs(), 10_000, 4)
    } else {
        ((value.unsigned_abs() + 50) / 100, 100, 2)
    };
    if value < 0 && scaled != 0 {
        out.push('-');
    }
    let whole = (scaled / unit).to_string();
    for (at, digit) in whole.chars().enumerate() {
        if style == 1 && at > 0 && (whole.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    let _ = write!(out, ".{:0width$}", scaled % unit);
}

/// A floating-point number: style 0 has up to six digits, 1 eight, 2 sixteen and
/// 3 seventeen, the last three always with an exponent.
fn float(value: f64, style: i32) -> String {
    let digits: usize = match style {
        1 => 8,
        2 => 16,
        3 | 128 => 17,
        _ => 6,
    };
    if !value.is_finite() {
        return value.to_string();
    }
    let scientific = format!("{:.*e}", digits - 1, value);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trimmed = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if digits == 6 && (-4..6).contains(&exponent) {
        let decimals = usize::try_from(5 - exponent).unwrap_or(0);
        let text = trimmed(&format!("{value:.decimals$}"));
        return if text == "-0" { "0".to_owned() } else { text };
    }
    let mantissa = if digits == 6 { trimmed(mantissa) } else { mantissa.to_owned() };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:03}", exponent.abs())
}

/// Bytes: style 0 as characters, 1 as `0x1F`, 2 as `1F`.
fn binary(bytes: &[u8], style: i32, out: &mut String) {
    if style == 0 {
        out.extend(bytes.iter().map(|b| char::from(*b)));
        return;
    }
    if style == 1 {
        out.push_str("0x");
    }
    for byte in bytes {
        let _ = write!(out, "{byte:02X}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_have_six_digits_unless_a_style_says_more() {
        for (value, style, text) in [
            (0.1, 0, "0.1"),
            (1.0, 0, "1"),
            (-2.5, 0, "-2.5"),
            (123_456_789.0, 0, "1.23457e+008"),
            (1_000_000.0, 0, "1e+006"),
            (999_999.0, 0, "999999"),
            (0.00001, 0, "1e-005"),
            (0.0001, 0, "0.0001"),
            (0.0, 0, "0"),
            (1.0 / 3.0, 0, "0.333333"),
            (1.0, 1, "1.0000000e+000"),
            (1.5, 2, "1.500000000000000e+000"),
            (0.1, 3, "1.0000000000000001e-001"),
        ] {
            assert_eq!(float(value, style), text, "{value} style {style}");
        }
    }

    #[test]
    fn money_has_three_forms() {
        let text = |value, style| {
            let mut out = String::new();
            money(value, style, &mut out);
            out
        };
        assert_eq!(text(12_345_678_950, 0), "1234567.90");
        assert_eq!(text(12_345_678_950, 1), "1,234,567.90");
        assert_eq!(text(12_345_678_950, 2), "1234567.8950");
        assert_eq!(text(-15_000, 0), "-1.50");
        assert_eq!(text(-10, 0), "0.00");
        assert_eq!(text(1_000_000, 1), "100.00");
    }
}
