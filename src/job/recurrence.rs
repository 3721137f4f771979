//! Recurrence rules: the parts of RFC 2445 (section 4.3.10) that
//! `recurrencepattern` may have. All times are UTC.

use std::collections::VecDeque;

use chrono::{
    DateTime, Datelike, Days, Duration, Months, NaiveDate, NaiveDateTime, NaiveTime, Timelike,
};

use crate::error::{Error, Place, Result, codes};

/// Periods that are looked at for an occurrence before a rule counts as having none
/// left: `FREQ=YEARLY;BYMONTHDAY=31` or February 29 skip periods, never so many.
const PERIODS_MAX: u32 = 20_000;

/// Rules with COUNT are followed from their start.
const COUNT_MAX: u32 = 100_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Frequency {
    Hourly,
    Daily,
    Weekly,
    Monthly,
    Yearly,
}

/// A weekday, with its number in the month or year for `1MO` or `-1FR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Day {
    nth: Option<i32>,
    /// Days from Monday.
    weekday: u32,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recurrence {
    frequency: Frequency,
    interval: u32,
    count: Option<u64>,
    until: Option<i64>,
    by_day: Vec<Day>,
    by_month_day: Vec<i32>,
    by_hour: Vec<u32>,
    by_minute: Vec<u32>,
}

impl Recurrence {
    /// Missed occurrences that are counted.
    pub const MISSED_MAX: u64 = 20_000;

    /// Reads `FREQ=DAILY;INTERVAL=3;`; empty text is none.
    pub fn read(text: &str) -> Result<Option<Self>> {
        let mut rule = Self {
            frequency: Frequency::Daily,
            interval: 1,
            count: None,
            until: None,
            by_day: Vec::new(),
            by_month_day: Vec::new(),
            by_hour: Vec::new(),
            by_minute: Vec::new(),
        };
        let mut seen: Vec<String> = Vec::new();
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let Some((key, value)) = part.split_once('=') else {
                return Err(malformed(format!("'{part}' is not KEY=VALUE")));
            };
            let (key, value) = (key.trim().to_ascii_uppercase(), value.trim().to_ascii_uppercase());
            if seen.contains(&key) {
                return Err(malformed(format!("{key} is given twice")));
            }
            rule.part(&key, &value)?;
            seen.push(key);
        }
        if seen.is_empty() {
            return Ok(None);
        }
        if !seen.iter().any(|key| key == "FREQ") {
            return Err(malformed("FREQ is missing".into()));
        }
        if rule.count.is_some() && rule.until.is_some() {
            return Err(malformed("COUNT and UNTIL do not go together".into()));
        }
        let numbered = rule.by_day.iter().any(|day| day.nth.is_some());
        if numbered && !matches!(rule.frequency, Frequency::Monthly | Frequency::Yearly) {
            let message = "a numbered weekday in BYDAY needs FREQ=MONTHLY or FREQ=YEARLY";
            return Err(malformed(message.into()));
        }
        Ok(Some(rule))
    }

    fn part(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "FREQ" => {
                self.frequency = match value {
                    "HOURLY" => Frequency::Hourly,
                    "DAILY" => Frequency::Daily,
                    "WEEKLY" => Frequency::Weekly,
                    "MONTHLY" => Frequency::Monthly,
                    "YEARLY" => Frequency::Yearly,
                    "SECONDLY" | "MINUTELY" => {
                        return Err(unread(format!("FREQ={value} is not offered")));
                    }
                    _ => return Err(malformed(format!("'{value}' is no FREQ"))),
                }
            }
            "INTERVAL" => self.interval = number(key, value, 1, 10_000)?,
            "COUNT" => self.count = Some(number(key, value, 1, COUNT_MAX)?.into()),
            "UNTIL" => self.until = Some(until(value)?),
            "BYDAY" => self.by_day = list(value, weekday)?,
            "BYMONTHDAY" => self.by_month_day = list(value, month_day)?,
            "BYHOUR" => self.by_hour = list(value, |v| number(key, v, 0, 23))?,
            "BYMINUTE" => self.by_minute = list(value, |v| number(key, v, 0, 59))?,
            _ => return Err(unread(format!("'{key}' is not read"))),
        }
        Ok(())
    }

    /// The first occurrence after a time; nothing if none is left. `start` is the
    /// first occurrence, whether the rule's parts name it or not, as in RFC 2445.
    pub fn next(&self, start: i64, after: i64) -> Option<i64> {
        self.following(start, after).next()
    }

    /// How many occurrences lie after one time and not after another.
    pub fn between(&self, start: i64, from: i64, to: i64) -> u64 {
        let missed = self.following(start, from).take_while(|at| *at <= to);
        missed.take(Self::MISSED_MAX as usize).count() as u64
    }

    /// The occurrences after a time, in order.
    fn following(&self, start: i64, after: i64) -> impl Iterator<Item = i64> {
        let first = DateTime::from_timestamp_micros(start).map(|start| start.naive_utc());
        // Without COUNT nothing depends on the periods gone by.
        let mut period = if self.count.is_some() { 0 } else { self.periods(start, after) };
        let mut number = 0;
        let mut found = VecDeque::from([start]);
        std::iter::from_fn(move || {
            loop {
                while let Some(at) = found.pop_front() {
                    number += 1;
                    let over = self.count.is_some_and(|count| number > count)
                        || self.until.is_some_and(|until| at > until);
                    if over {
                        return None;
                    }
                    if at > after {
                        return Some(at);
                    }
                }
                let last = period.checked_add(PERIODS_MAX)?;
                while found.is_empty() {
                    if period == last {
                        return None;
                    }
                    let times = self.occurrences(first?, period)?.into_iter();
                    let times = times.map(|time| time.and_utc().timestamp_micros());
                    found.extend(times.filter(|at| *at > start));
                    period += 1;
                }
            }
        })
    }

    /// Whole periods that certainly end before a time.
    fn periods(&self, start: i64, after: i64) -> u32 {
        // Longer than any such period, so that none is skipped that counts.
        let hours = match self.frequency {
            Frequency::Hourly => 1,
            Frequency::Daily => 24,
            Frequency::Weekly => 7 * 24,
            Frequency::Monthly => 31 * 24,
            Frequency::Yearly => 366 * 24,
        };
        let period = hours * 3_600_000_000 * i64::from(self.interval);
        u32::try_from((after - start) / period).unwrap_or(0).saturating_sub(1)
    }

    /// The occurrences in the n-th period, in order; nothing beyond the calendar.
    fn occurrences(&self, first: NaiveDateTime, period: u32) -> Option<Vec<NaiveDateTime>> {
        let steps = period.checked_mul(self.interval)?;
        let (date, time) = (first.date(), first.time());
        let days = match self.frequency {
            Frequency::Hourly => {
                let hour = first.checked_add_signed(Duration::hours(i64::from(steps)))?;
                let wanted = self.by_hour.is_empty() || self.by_hour.contains(&hour.hour());
                let times = if wanted && self.on(hour.date()) {
                    self.minutes(hour.time())
                } else {
                    Vec::new()
                };
                return Some(times.into_iter().map(|time| hour.date().and_time(time)).collect());
            }
            Frequency::Daily => vec![date.checked_add_days(Days::new(steps.into()))?],
            Frequency::Weekly => {
                let monday = Days::new(date.weekday().num_days_from_monday().into());
                let week = date
                    .checked_sub_days(monday)?
                    .checked_add_days(Days::new(u64::from(steps) * 7))?;
                let wanted =
                    |day: &NaiveDate| !self.by_day.is_empty() || day.weekday() == date.weekday();
                week.iter_days().take(7).filter(wanted).collect()
            }
            Frequency::Monthly => {
                let month = date.with_day(1)?.checked_add_months(Months::new(steps))?;
                self.month(month, date.day())
            }
            Frequency::Yearly => self.year(date, steps)?,
        };
        let days = days.into_iter().filter(|day| self.on(*day));
        let times = self.times(time);
        Some(days.flat_map(|day| times.iter().map(move |time| day.and_time(*time))).collect())
    }

    /// Days of the month that begins on a day; `day` where the rule names none.
    fn month(&self, month: NaiveDate, day: u32) -> Vec<NaiveDate> {
        let all = month.iter_days().take_while(|d| d.month() == month.month());
        let named = !self.by_day.is_empty() || !self.by_month_day.is_empty();
        all.filter(|d| named || d.day() == day).collect()
    }

    fn year(&self, date: NaiveDate, steps: u32) -> Option<Vec<NaiveDate>> {
        let year = date.year().checked_add(i32::try_from(steps).ok()?)?;
        let january = NaiveDate::from_ymd_opt(year, 1, 1)?;
        if self.by_day.is_empty() && self.by_month_day.is_empty() {
            // February 29 does not come every year.
            return Some(date.with_year(year).into_iter().collect());
        }
        if self.by_day.is_empty() {
            let month = NaiveDate::from_ymd_opt(year, date.month(), 1)?;
            return Some(self.month(month, date.day()));
        }
        Some(january.iter_days().take_while(|d| d.year() == year).collect())
    }

    /// Whether the rule's BYDAY and BYMONTHDAY allow a day.
    fn on(&self, day: NaiveDate) -> bool {
        let month_days = i32::from(day.num_days_in_month());
        let of_month = i32::try_from(day.day()).unwrap_or(0);
        let by_month_day = self.by_month_day.is_empty()
            || self.by_month_day.iter().any(|d| match d {
                1.. => *d == of_month,
                _ => month_days + 1 + d == of_month,
            });
        let (place, length) = match self.frequency {
            Frequency::Yearly => {
                let leap = NaiveDate::from_ymd_opt(day.year(), 2, 29).is_some();
                (i32::try_from(day.ordinal()).unwrap_or(0), 365 + i32::from(leap))
            }
            _ => (of_month, month_days),
        };
        let by_day = self.by_day.is_empty()
            || self.by_day.iter().any(|d| {
                d.weekday == day.weekday().num_days_from_monday()
                    && match d.nth {
                        None => true,
                        Some(nth @ 1..) => (place - 1) / 7 + 1 == nth,
                        Some(nth) => (length - place) / 7 + 1 == -nth,
                    }
            });
        by_month_day && by_day
    }

    /// The times of a day, in order; seconds are those of the start.
    fn times(&self, start: NaiveTime) -> Vec<NaiveTime> {
        let hours = if self.by_hour.is_empty() { vec![start.hour()] } else { self.by_hour.clone() };
        let hours = hours.into_iter().filter_map(|hour| start.with_hour(hour));
        hours.flat_map(|time| self.minutes(time)).collect()
    }

    fn minutes(&self, time: NaiveTime) -> Vec<NaiveTime> {
        if self.by_minute.is_empty() {
            return vec![time];
        }
        self.by_minute.iter().filter_map(|minute| time.with_minute(*minute)).collect()
    }
}

fn malformed(message: String) -> Error {
    Error::invalid(codes::BAD_RECURRENCE_RULE, message).at(place())
}

fn unread(message: String) -> Error {
    let known = "FREQ, INTERVAL, COUNT, UNTIL, BYDAY, BYMONTHDAY, BYHOUR and BYMINUTE are read";
    Error::invalid(codes::BAD_RECURRENCE_PATTERN, format!("{message}; {known}")).at(place())
}

fn place() -> Place {
    Place::Part("recurrencepattern".into())
}

fn number(key: &str, text: &str, min: u32, max: u32) -> Result<u32> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let number = text.parse().ok().filter(|n| digits && (min..=max).contains(n));
    number.ok_or_else(|| malformed(format!("{key} is a number from {min} to {max}, not '{text}'")))
}

/// The items of a list, in order and each once.
fn list<T: Ord>(text: &str, read: impl Fn(&str) -> Result<T>) -> Result<Vec<T>> {
    let mut items: Vec<T> = text.split(',').map(|item| read(item.trim())).collect::<Result<_>>()?;
    items.sort_unstable();
    items.dedup();
    Ok(items)
}

fn weekday(text: &str) -> Result<Day> {
    let wrong = || malformed(format!("'{text}' is no weekday; MO, 1MO or -1FR are"));
    let split =
        text.len().checked_sub(2).filter(|at| text.is_char_boundary(*at)).ok_or_else(wrong)?;
    let days = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];
    let weekday = days.iter().position(|day| *day == &text[split..]).ok_or_else(wrong)? as u32;
    let nth = match &text[..split] {
        "" => None,
        nth => {
            Some(nth.parse().ok().filter(|n| (-53..=53).contains(n) && *n != 0).ok_or_else(wrong)?)
        }
    };
    Ok(Day { nth, weekday })
}

fn month_day(text: &str) -> Result<i32> {
    let day = text.parse().ok().filter(|n| (-31..=31).contains(n) && *n != 0);
    day.ok_or_else(|| malformed(format!("'{text}' is no day of a month")))
}

/// `20260131T120000Z`, or a date, which ends with its day.
fn until(text: &str) -> Result<i64> {
    let time = match text.split_once('T') {
        Some(_) => NaiveDateTime::parse_from_str(text.trim_end_matches('Z'), "%Y%m%dT%H%M%S").ok(),
        None => {
            let date = NaiveDate::parse_from_str(text, "%Y%m%d").ok();
            date.and_then(|date| date.and_hms_opt(23, 59, 59))
        }
    };
    let time = time.ok_or_else(|| {
        malformed(format!("UNTIL is a time such as 20261231T235959Z, not '{text}'"))
    })?;
    Ok(time.and_utc().timestamp_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        DateTime::parse_from_rfc3339(text).expect("a time").timestamp_micros()
    }

    fn rule(text: &str) -> Recurrence {
        Recurrence::read(text).expect("well formed").expect("not empty")
    }

    /// The first occurrences after the start.
    fn following(text: &str, start: &str, n: usize) -> Vec<String> {
        let (rule, start) = (rule(text), at(start));
        let mut last = start;
        let mut found = Vec::new();
        while found.len() < n
            && let Some(next) = rule.next(start, last)
        {
            let time = DateTime::from_timestamp_micros(next).expect("a time");
            found.push(time.format("%Y-%m-%dT%H:%M").to_string());
            last = next;
        }
        found
    }

    #[test]
    fn the_published_patterns() {
        let start = "2026-01-30T08:15:00Z";
        for (text, expected) in [
            ("FREQ=HOURLY;", ["2026-01-30T09:15", "2026-01-30T10:15"]),
            ("FREQ=DAILY;", ["2026-01-31T08:15", "2026-02-01T08:15"]),
            ("freq=daily;interval=3;", ["2026-02-02T08:15", "2026-02-05T08:15"]),
            ("FREQ=WEEKLY;", ["2026-02-06T08:15", "2026-02-13T08:15"]),
            // There is no February 30: RFC 2445 leaves such months out.
            ("FREQ=MONTHLY;", ["2026-03-30T08:15", "2026-04-30T08:15"]),
            ("FREQ=YEARLY", ["2027-01-30T08:15", "2028-01-30T08:15"]),
            ("FREQ=WEEKLY;BYDAY=SU,MO", ["2026-02-01T08:15", "2026-02-02T08:15"]),
            ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO", ["2026-02-09T08:15", "2026-02-23T08:15"]),
            ("FREQ=MONTHLY;BYDAY=1MO", ["2026-02-02T08:15", "2026-03-02T08:15"]),
            ("FREQ=MONTHLY;BYDAY=-1FR", ["2026-02-27T08:15", "2026-03-27T08:15"]),
            ("FREQ=MONTHLY;BYMONTHDAY=-1", ["2026-01-31T08:15", "2026-02-28T08:15"]),
            ("FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13", ["2026-02-13T08:15", "2026-03-13T08:15"]),
            ("FREQ=YEARLY;BYDAY=1MO", ["2027-01-04T08:15", "2028-01-03T08:15"]),
            ("FREQ=YEARLY;BYMONTHDAY=2", ["2027-01-02T08:15", "2028-01-02T08:15"]),
            ("FREQ=DAILY;BYHOUR=20,6;BYMINUTE=30", ["2026-01-30T20:30", "2026-01-31T06:30"]),
            ("FREQ=HOURLY;BYMINUTE=0,30", ["2026-01-30T08:30", "2026-01-30T09:00"]),
            ("FREQ=HOURLY;BYHOUR=3", ["2026-01-31T03:15", "2026-02-01T03:15"]),
            ("FREQ=DAILY;BYDAY=MO,WE", ["2026-02-02T08:15", "2026-02-04T08:15"]),
        ] {
            assert_eq!(following(text, start, 2), expected, "{text}");
        }
        let leap = following("FREQ=YEARLY", "2024-02-29T00:00:00Z", 2);
        assert_eq!(leap, ["2028-02-29T00:00", "2032-02-29T00:00"]);
    }

    #[test]
    fn rules_end() {
        let start = "2026-01-01T00:00:00Z";
        assert_eq!(following("FREQ=DAILY;COUNT=3", start, 9).len(), 2, "the start is the first");
        assert_eq!(following("FREQ=DAILY;COUNT=1", start, 9).len(), 0);
        let decade = rule("FREQ=HOURLY;COUNT=90000");
        let (begin, last) = (at("2016-01-01T00:00:00Z"), at("2026-04-07T23:00:00Z"));
        assert_eq!(decade.next(begin, last - 1), Some(last), "ten years later");
        assert_eq!(decade.next(begin, last), None);
        assert_eq!(decade.between(begin, last - 3_600_000_000, last + 1), 1);
        assert_eq!(
            decade.between(begin, begin, last),
            Recurrence::MISSED_MAX,
            "no more are counted"
        );
        assert_eq!(following("FREQ=DAILY;UNTIL=20260103", start, 9).len(), 2);
        assert_eq!(following("FREQ=DAILY;UNTIL=20260102T235959Z", start, 9).len(), 1);
        assert_eq!(following("FREQ=MONTHLY;BYDAY=5MO;BYMONTHDAY=1", start, 1).len(), 0, "never");
    }

    #[test]
    fn a_start_to_come_is_the_next_and_missed_ones_are_counted() {
        let daily = rule("FREQ=DAILY;");
        let start = at("2026-01-01T06:00:00Z");
        assert_eq!(daily.next(start, at("2025-06-01T00:00:00Z")), Some(start));
        assert_eq!(daily.next(start, at("2036-01-01T07:00:00Z")), Some(at("2036-01-02T06:00:00Z")));
        assert_eq!(daily.next(start, start), Some(at("2026-01-02T06:00:00Z")));
        let until = at("2026-01-05T06:00:00Z");
        assert_eq!(daily.between(start, start, until), 4);
        let month = rule("FREQ=MONTHLY;BYMONTHDAY=31");
        let late = month.next(at("2000-01-31T00:00:00Z"), at("2026-02-01T00:00:00Z"));
        assert_eq!(late, Some(at("2026-03-31T00:00:00Z")));
    }

    #[test]
    fn what_is_not_read_is_refused() {
        let code = |text| Recurrence::read(text).map(|_| ()).map_err(|e| e.code);
        assert_eq!(Recurrence::read("").map_err(|e| e.code), Ok(None));
        for (text, expected) in [
            ("DAILY", 0x8004_0246),
            ("INTERVAL=3", 0x8004_0246),
            ("FREQ=FORTNIGHTLY", 0x8004_0246),
            ("FREQ=DAILY;INTERVAL=0", 0x8004_0246),
            ("FREQ=DAILY;INTERVAL=x", 0x8004_0246),
            ("FREQ=DAILY;INTERVAL=", 0x8004_0246),
            ("FREQ=DAILY;COUNT=0", 0x8004_0246),
            ("FREQ=DAILY;COUNT=100001", 0x8004_0246),
            ("FREQ=DAILY;FREQ=DAILY", 0x8004_0246),
            ("FREQ=DAILY;COUNT=2;UNTIL=20260101", 0x8004_0246),
            ("FREQ=DAILY;UNTIL=tomorrow", 0x8004_0246),
            ("FREQ=WEEKLY;BYDAY=1MO", 0x8004_0246),
            ("FREQ=MONTHLY;BYDAY=0MO", 0x8004_0246),
            ("FREQ=WEEKLY;BYDAY=ÖÖ", 0x8004_0246),
            ("FREQ=MONTHLY;BYMONTHDAY=32", 0x8004_0246),
            ("FREQ=DAILY;BYHOUR=24", 0x8004_0246),
            ("FREQ=MINUTELY", 0x8004_E100),
            ("FREQ=DAILY;BYSETPOS=1", 0x8004_E100),
            ("FREQ=DAILY;WKST=SU", 0x8004_E100),
        ] {
            assert_eq!(code(text), Err(expected), "{text}");
        }
    }
}
