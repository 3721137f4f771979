//! Values as the text that a variable keeps, and that converts back to them.

use datafusion::arrow::array::temporal_conversions::timestamp_us_to_datetime;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::ScalarValue;

use crate::value::guid_text;

/// The text of a value; `None` is null.
pub(super) fn text(value: &ScalarValue) -> Option<String> {
    if value.is_null() {
        return None;
    }
    match value {
        ScalarValue::Boolean(Some(bit)) => Some(i32::from(*bit).to_string()),
        ScalarValue::Utf8(text) | ScalarValue::LargeUtf8(text) | ScalarValue::Utf8View(text) => {
            text.clone()
        }
        ScalarValue::FixedSizeBinary(16, Some(bytes)) => {
            let guid = <[u8; 16]>::try_from(bytes.as_slice()).ok()?;
            Some(guid_text(&guid).to_string())
        }
        // Three digits of a second, as a datetime has, unless there are more.
        ScalarValue::TimestampMicrosecond(Some(time), None) => {
            let format =
                if time % 1_000 == 0 { "%Y-%m-%dT%H:%M:%S%.3f" } else { "%Y-%m-%dT%H:%M:%S%.6f" };
            Some(timestamp_us_to_datetime(*time)?.format(format).to_string())
        }
        other => {
            let array = other.to_array().ok()?;
            let formatter =
                ArrayFormatter::try_new(array.as_ref(), &FormatOptions::default()).ok()?;
            Some(formatter.value(0).to_string())
        }
    }
}
