//! Hours that counts are kept by: those of UTC. In most time zones they are hours
//! too.

use std::collections::HashMap;

use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::Tz;
use parking_lot::Mutex;

pub const MICROS_PER_HOUR: i64 = 3_600_000_000;

/// What was found out about zones.
static ZONES: Mutex<Option<HashMap<Tz, bool>>> = Mutex::new(None);

/// The days that are looked at: 1970 to 2099. Before, clocks followed the sun.
const DAYS: std::ops::Range<i64> = 0..47_482;

/// Whether these days hold a time.
pub fn is_looked_at(time: i64) -> bool {
    DAYS.contains(&time.div_euclid(24 * MICROS_PER_HOUR))
}

/// Whether an hour of UTC lies within one hour of a zone's clocks, on these days.
pub fn whole_hours_apart(zone: &str) -> bool {
    let Ok(zone) = zone.parse::<Tz>() else { return false };
    let mut zones = ZONES.lock();
    *zones.get_or_insert_default().entry(zone).or_insert_with(|| check(zone))
}

fn check(zone: Tz) -> bool {
    let offset = |second: i64| {
        let at = DateTime::from_timestamp(second, 0).unwrap_or_default();
        i64::from(zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc())
    };
    DAYS.into_iter().all(|day| {
        let (first, last) = (offset(day * 86_400), offset(day * 86_400 + 86_399));
        // Where clocks change, they have to do so between hours.
        let changes = || {
            (0..24).all(|hour| {
                let start = day * 86_400 + hour * 3_600;
                offset(start) == offset(start + 3_599) && offset(start) % 3_600 == 0
            })
        };
        if first == last { first % 3_600 == 0 } else { changes() }
    })
}

/// The start of the hour of a time.
pub fn floor(time: i64) -> i64 {
    time.saturating_sub(time.rem_euclid(MICROS_PER_HOUR))
}

/// The first start of an hour that is not before a time.
pub fn ceiling(time: i64) -> i64 {
    match time.rem_euclid(MICROS_PER_HOUR) {
        0 => time,
        over => time.saturating_add(MICROS_PER_HOUR - over),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_whose_clocks_change_within_hours_are_told_apart() {
        for zone in ["UTC", "Etc/GMT-14", "Asia/Tokyo", "Europe/Oslo", "America/New_York"] {
            assert!(whole_hours_apart(zone), "{zone}");
        }
        for zone in ["Asia/Kolkata", "Australia/Lord_Howe", "Asia/Kathmandu", "Nowhere"] {
            assert!(!whole_hours_apart(zone), "{zone}");
        }
    }

    #[test]
    fn hours_begin_and_end() {
        assert_eq!(
            (floor(MICROS_PER_HOUR + 1), ceiling(MICROS_PER_HOUR + 1)),
            (MICROS_PER_HOUR, 2 * MICROS_PER_HOUR)
        );
        assert_eq!((floor(-1), ceiling(-1)), (-MICROS_PER_HOUR, 0));
        assert_eq!((floor(0), ceiling(0)), (0, 0));
    }
}
