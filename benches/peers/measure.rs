//! Medians, percentiles, and lines that can be read.

use std::time::Duration;

/// What came of one question on one system: times, or why there are none.
pub type Times = Result<Vec<Duration>, String>;

/// The time that a part of all are not above.
pub fn percentile(times: &[Duration], part: f64) -> Duration {
    let mut times = times.to_vec();
    times.sort();
    times[((times.len() - 1) as f64 * part).round() as usize]
}

/// The median of several durations.
pub fn median(times: &[Duration]) -> Duration {
    percentile(times, 0.5)
}

/// A duration in milliseconds, or a dash.
pub fn millis(time: Option<Duration>) -> String {
    time.map_or_else(|| "-".into(), |time| format!("{:.2}", time.as_secs_f64() * 1000.0))
}

/// How many times longer another one took, or a dash.
pub fn ratio(ours: Option<Duration>, other: Option<Duration>) -> String {
    match (ours, other) {
        (Some(ours), Some(other)) => format!("{:.2}", other.as_secs_f64() / ours.as_secs_f64()),
        _ => "-".into(),
    }
}

/// One comparison: what was done, and both medians. A ratio above 1 says how much
/// faster sysjob is.
pub fn report(what: &str, sysjob: Duration, postgres: Duration) {
    let ratio = ratio(Some(sysjob), Some(postgres));
    println!("{what}: sysjob {sysjob:.1?}, PostgreSQL {postgres:.1?}, {ratio} times as fast");
}
