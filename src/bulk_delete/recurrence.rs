//! The recurrence of bulk deletions: daily, every 1 to 365 days.

use crate::error::{Error, Place, Result, codes};

const DAYS_MAX: i64 = 365;
const DAY_MICROS: i64 = 86_400_000_000;

/// Every so many days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recurrence {
    days: i64,
}

impl Recurrence {
    /// Reads `FREQ=DAILY;INTERVAL=n;`; empty text is none.
    pub fn read(text: &str) -> Result<Option<Self>> {
        let wrong = |code, message: String| {
            Err(Error::invalid(code, message).at(Place::Part("RecurrencePattern".into())))
        };
        let (mut frequency, mut days) = (None, 1);
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let Some((key, value)) = part.split_once('=') else {
                return wrong(codes::BAD_RECURRENCE_RULE, format!("'{part}' is not KEY=VALUE"));
            };
            let value = value.trim();
            match key.trim().to_ascii_uppercase().as_str() {
                "FREQ" => frequency = Some(value.to_ascii_uppercase()),
                "INTERVAL" => match value.parse() {
                    Ok(number) => days = number,
                    Err(_) => {
                        let message = format!("INTERVAL is a number of days, not '{value}'");
                        return wrong(codes::BAD_RECURRENCE_RULE, message);
                    }
                },
                other => {
                    let message = format!("'{other}' is not read; FREQ and INTERVAL are");
                    return wrong(codes::BAD_RECURRENCE_PATTERN, message);
                }
            }
        }
        match frequency.as_deref() {
            None if text.trim().is_empty() => Ok(None),
            None => wrong(codes::BAD_RECURRENCE_RULE, "FREQ is missing".into()),
            Some("DAILY") if (1..=DAYS_MAX).contains(&days) => Ok(Some(Self { days })),
            Some("DAILY") => {
                let message = format!("INTERVAL is from 1 to {DAYS_MAX} days, not {days}");
                wrong(codes::RECURRENCE_INTERVAL, message)
            }
            Some(other) => {
                let message = format!("a bulk deletion recurs DAILY, not {other}");
                wrong(codes::RECURRENCE_NOT_DAILY, message)
            }
        }
    }

    /// The first time after `now`, counted from `start`.
    pub fn next(self, start: i64, now: i64) -> i64 {
        let step = self.days * DAY_MICROS;
        let missed = (now - start).div_euclid(step);
        start + (missed.max(0) + 1) * step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_daily_patterns_are_taken() {
        let read = |text| Recurrence::read(text).map_err(|e| e.code);
        assert_eq!(read(""), Ok(None));
        assert_eq!(read("FREQ=DAILY;"), Ok(Some(Recurrence { days: 1 })));
        assert_eq!(read("freq=daily;interval=365"), Ok(Some(Recurrence { days: 365 })));
        for (text, code) in [
            ("FREQ=WEEKLY;", 0x8004_D2A0),
            ("FREQ=DAILY;INTERVAL=0", 0x8004_D2A1),
            ("FREQ=DAILY;INTERVAL=366", 0x8004_D2A1),
            ("FREQ=DAILY;INTERVAL=x", 0x8004_0246),
            ("DAILY", 0x8004_0246),
            ("INTERVAL=3", 0x8004_0246),
            ("FREQ=DAILY;BYDAY=MO", 0x8004_E100),
        ] {
            assert_eq!(read(text), Err(code), "{text}");
        }
    }

    #[test]
    fn missed_times_collapse_to_the_next() {
        let weekly = Recurrence { days: 7 };
        assert_eq!(weekly.next(0, 0), 7 * DAY_MICROS);
        assert_eq!(weekly.next(0, 30 * DAY_MICROS), 35 * DAY_MICROS);
        assert_eq!(weekly.next(DAY_MICROS, 0), 8 * DAY_MICROS);
    }
}
