//! Medians, and lines that can be read.

use std::time::Duration;

/// The median of several durations.
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// One comparison: what was done, and both medians. A ratio above 1 says how much
/// faster sysjob is.
pub fn report(what: &str, sysjob: Duration, postgres: Duration) {
    let ratio = postgres.as_secs_f64() / sysjob.as_secs_f64();
    println!("{what}: sysjob {sysjob:.1?}, PostgreSQL {postgres:.1?}, {ratio:.2} times as fast");
}
