//! Display text of values, for the `FormattedValue` annotation: numbers with
//! thousands separators, dates and times as an English (United States) user
//! sees them, in the caller's time zone.

use chrono::{DateTime, NaiveDate, TimeDelta};
use chrono_tz::Tz;

use super::cells::Cells;

/// Digits after the point when the column does not say.
pub const DEFAULT_DIGITS: u8 = 2;

/// The display text of a number, date or time; nothing for other types and null.
pub fn formatted(cells: &Cells, row: usize, digits: u8, timezone: Tz) -> Option<String> {
    if let Some(value) = cells.integer(row) {
        return Some(grouped(&value.to_string()));
    }
    if let Some((value, scale)) = cells.decimal(row) {
        return Some(grouped(&rounded(value, scale, digits)));
    }
    if let Some(value) = cells.float(row) {
        return Some(grouped(&format!("{value:.width$}", width = usize::from(digits))));
    }
    if let Some(micros) = cells.time(row) {
        let time = DateTime::from_timestamp_micros(micros)?.with_timezone(&timezone);
        return Some(time.format("%-m/%-d/%Y %-I:%M %p").to_string());
    }
    let date = NaiveDate::default().checked_add_signed(TimeDelta::days(cells.date(row)?.into()))?;
    Some(date.format("%-m/%-d/%Y").to_string())
}

/// Puts a comma between every three digits before the point.
fn grouped(number: &str) -> String {
    let (sign, number) = number.strip_prefix('-').map_or(("", number), |n| ("-", n));
    let (whole, fraction) = number.split_at(number.find('.').unwrap_or(number.len()));
    let mut out = String::from(sign);
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out + fraction
}

/// A decimal rounded half away from zero to a number of digits.
fn rounded(value: i128, scale: i8, digits: u8) -> String {
    let scale = u32::try_from(scale).unwrap_or(0);
    let digits = u32::from(digits);
    let mut magnitude = value.unsigned_abs();
    if scale > digits {
        let unit = 10_u128.pow(scale - digits);
        magnitude = magnitude / unit + u128::from(magnitude % unit >= unit / 2);
    }
    let kept = scale.min(digits) as usize;
    let text = format!("{magnitude:0>width$}", width = kept + 1);
    let (whole, fraction) = text.split_at(text.len() - kept);
    let sign = if value < 0 && magnitude != 0 { "-" } else { "" };
    let point = if digits > 0 { "." } else { "" };
    format!("{sign}{whole}{point}{fraction:0<width$}", width = digits as usize)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{
        ArrayRef, Date32Array, Decimal128Array, Float64Array, Int64Array, TimestampMicrosecondArray,
    };

    use super::*;
    use crate::encode::cells::Precision;

    fn display(array: ArrayRef, digits: u8) -> Vec<String> {
        let cells = Cells::new(&array, false, Precision::Seconds).expect("a known type");
        (0..array.len()).filter_map(|row| formatted(&cells, row, digits, Tz::UTC)).collect()
    }

    #[test]
    fn numbers_are_grouped_and_rounded() {
        let whole = Int64Array::from(vec![0, 999, 4101, -1_234_567]);
        assert_eq!(display(Arc::new(whole), 2), ["0", "999", "4,101", "-1,234,567"]);
        let decimals = Decimal128Array::from(vec![12_345_678, -50, 4, 49_999])
            .with_precision_and_scale(38, 4)
            .expect("fits");
        let decimals: ArrayRef = Arc::new(decimals);
        assert_eq!(display(decimals.clone(), 2), ["1,234.57", "-0.01", "0.00", "5.00"]);
        assert_eq!(display(decimals, 0), ["1,235", "0", "0", "5"]);
        let floats = Float64Array::from(vec![1234.5]);
        assert_eq!(display(Arc::new(floats), 2), ["1,234.50"]);
    }

    #[test]
    fn times_are_those_of_an_american_reader() {
        let times = TimestampMicrosecondArray::from(vec![1_304_290_833_230_954, 0]);
        assert_eq!(display(Arc::new(times), 2), ["5/1/2011 11:00 PM", "1/1/1970 12:00 AM"]);
        let new_year: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![0]));
        let cells = Cells::new(&new_year, false, Precision::Seconds).expect("a known type");
        let in_new_york = formatted(&cells, 0, 2, Tz::America__New_York);
        assert_eq!(in_new_york.as_deref(), Some("12/31/1969 7:00 PM"));
        assert_eq!(display(Arc::new(Date32Array::from(vec![19_844])), 2), ["5/1/2024"]);
    }
}
