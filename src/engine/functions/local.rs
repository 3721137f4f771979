//! `local_time(time, zone)`: what clocks of a time zone show at an instant, as a
//! time without a zone, whose parts are then those of the caller's calendar.

use std::sync::Arc;

use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::Tz;
use datafusion::arrow::array::{AsArray, PrimitiveArray};
use datafusion::arrow::datatypes::{DataType, TimestampMicrosecondType};
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};

use super::arguments::TIME;
use super::calendar::{MICROS_PER_DAY, MICROS_PER_SECOND, day_of};

/// The time in a zone.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct LocalTime {
    signature: Signature,
}

impl LocalTime {
    pub fn new() -> Self {
        Self { signature: Signature::exact(vec![TIME, DataType::Utf8], Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for LocalTime {
    fn name(&self) -> &str {
        "local_time"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(TIME)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let zone = match &args.args[1] {
            ColumnarValue::Scalar(name) => name.try_as_str().flatten(),
            ColumnarValue::Array(_) => None,
        };
        let zone = zone
            .and_then(|name| name.parse::<Tz>().ok())
            .ok_or_else(|| exec_datafusion_err!("local_time: the zone must be a known name"))?;
        let mut offsets = Offsets { zone, day: None };
        let times = args.args[0].to_array(args.number_rows)?;
        let times = times.as_primitive::<TimestampMicrosecondType>();
        let local: PrimitiveArray<TimestampMicrosecondType> =
            times.iter().map(|time| time.map(|at| at.saturating_add(offsets.at(at)))).collect();
        Ok(ColumnarValue::Array(Arc::new(local)))
    }
}

/// Offsets from UTC. Rows come in order of time, more or less, and a day with
/// one offset needs one search.
struct Offsets {
    zone: Tz,
    /// A day without a change of the clock, and its offset.
    day: Option<(i64, i64)>,
}

impl Offsets {
    fn at(&mut self, time: i64) -> i64 {
        let day = day_of(time);
        if let Some((known, offset)) = self.day
            && known == day
        {
            return offset;
        }
        let start = day.saturating_mul(MICROS_PER_DAY);
        let ends = [start, start.saturating_add(MICROS_PER_DAY - 1)];
        let [first, last] = ends.map(|end| offset(self.zone, end));
        if first != last {
            return offset(self.zone, time);
        }
        self.day = Some((day, first));
        first
    }
}

/// A time beyond the calendar of the zones is left as it is.
fn offset(zone: Tz, time: i64) -> i64 {
    DateTime::from_timestamp_micros(time).map_or(0, |utc| {
        let offset = zone.offset_from_utc_datetime(&utc.naive_utc()).fix();
        i64::from(offset.local_minus_utc()) * MICROS_PER_SECOND
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{parse_time, time_text};

    #[test]
    fn clocks_show_what_the_zone_says_also_on_days_of_change() {
        let mut offsets = Offsets { zone: Tz::Europe__Oslo, day: None };
        let mut local = |text: &str| {
            let time = parse_time(text).expect("a time");
            time_text(time + offsets.at(time))
        };
        assert_eq!(local("2024-01-15T23:30:00Z"), "2024-01-16T00:30:00Z");
        assert_eq!(local("2024-01-15T12:00:00Z"), "2024-01-15T13:00:00Z");
        assert_eq!(local("2024-03-31T00:59:59Z"), "2024-03-31T01:59:59Z");
        assert_eq!(local("2024-03-31T01:00:00Z"), "2024-03-31T03:00:00Z");
        assert_eq!(local("2024-10-27T00:30:00Z"), "2024-10-27T02:30:00Z");
        assert_eq!(local("2024-10-27T01:30:00Z"), "2024-10-27T02:30:00Z");
    }
}
