//! What came of a replay: its jobs as the service has them, beside the trace.

use std::collections::HashMap;
use std::fmt::Write;
use std::thread::sleep;
use std::time::Duration;

use indicatif::ProgressBar;
use serde_json::Value;
use uuid::Uuid;

use super::super::remote::Remote;
use super::{id_of, patiently};
use crate::error::{Error, Result};
use crate::import::trace::{Outcome, Submission};
use crate::value::parse_time;

/// Pause between two looks at how far the jobs are.
const LOOK: Duration = Duration::from_millis(500);

/// Asks a service about the jobs of a replay.
pub struct Account<'a> {
    pub remote: &'a Remote,
    pub replay: Uuid,
    pub patience: Duration,
}

/// A job as the service has it.
struct Job {
    status: i64,
    created: Option<i64>,
    started: Option<i64>,
    completed: Option<i64>,
}

impl Account<'_> {
    fn rows(&self, text: &str) -> Result<Vec<Value>> {
        patiently(self.patience, || self.remote.rows("sql", text))
    }

    /// Waits until no job is left that could still end by itself.
    pub fn wait(&self, bar: &ProgressBar) -> Result<()> {
        let text = format!(
            "SELECT COUNT(*) AS jobs FROM asyncoperation WHERE correlationid = '{}' AND \
             (statecode IN (0, 2) OR (statecode = 1 AND postponeuntil IS NOT NULL))",
            self.replay
        );
        let all = bar.length().unwrap_or_default();
        loop {
            let left = self.rows(&text)?.first().and_then(|row| row["jobs"].as_u64());
            let left = left.ok_or_else(|| Error::data("the service did not count the jobs"))?;
            bar.set_position(all.saturating_sub(left));
            if left == 0 {
                return Ok(());
            }
            sleep(LOOK);
        }
    }

    /// How the jobs ended, how fast, and how long they waited, beside the trace.
    /// Its own times count in the trace's time with a `scale`.
    pub fn summary(&self, submitted: &[Submission<'_>], scale: Option<f64>) -> Result<String> {
        let jobs = self.jobs()?;
        let mut text = String::new();
        let first = jobs.values().filter_map(|job| job.created).min();
        let last = jobs.values().filter_map(|job| job.completed).max();
        let took = first.zip(last).map_or(0.0, |(first, last)| (last - first) as f64 / 1e6);
        let ended = jobs.values().filter(|job| job.completed.is_some()).count();
        let a_second = if took > 0.0 { ended as f64 / took } else { 0.0 };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{ended} jobs ended in {took:.1} s, {a_second:.1} jobs/s\n");
        let _ = writeln!(text, "ended        service    trace");
        for (word, status, outcome) in [
            ("succeeded", 30, Some(Outcome::Succeeded)),
            ("failed", 31, None),
            ("canceled", 32, Some(Outcome::Canceled)),
        ] {
            let here = jobs.values().filter(|job| job.status == status).count();
            let once = submitted.iter().filter(|job| match &outcome {
                Some(outcome) => job.outcome == *outcome,
                None => matches!(job.outcome, Outcome::Failed { .. }),
            });
            let _ = writeln!(text, "{word:<10} {here:>9} {:>8}", once.count());
        }
        let left = submitted.len() - ended.min(submitted.len());
        if left > 0 {
            let _ = writeln!(text, "not ended  {left:>9}");
        }
        let (mut here, mut once) = (Vec::new(), Vec::new());
        for (index, job) in submitted.iter().enumerate() {
            let row = jobs.get(&id_of(self.replay, index));
            let waited = row.and_then(|row| Some(row.started? - row.created?));
            if let (Some(waited), Some(then)) = (waited, job.waited) {
                here.push(waited.max(0) as f64 / 1e6 * scale.unwrap_or(1.0));
                once.push(then.max(0) as f64 / 1e6);
            }
        }
        let _ = writeln!(
            text,
            "\nwaits of the {} jobs that started in the trace, in seconds{}",
            here.len(),
            if scale.is_some() { " of its time" } else { "" }
        );
        let _ = writeln!(text, "             median        p95        p99    longest");
        for (word, waits) in [("service", &mut here), ("trace", &mut once)] {
            waits.sort_by(f64::total_cmp);
            let at = |share| quantile(waits, share);
            let _ = writeln!(
                text,
                "{word:<8} {:>10.3} {:>10.3} {:>10.3} {:>10.3}",
                at(0.5),
                at(0.95),
                at(0.99),
                at(1.0)
            );
        }
        Ok(text)
    }

    fn jobs(&self) -> Result<HashMap<Uuid, Job>> {
        let text = format!(
            "SELECT asyncoperationid, statuscode, createdon, startedon, completedon \
             FROM asyncoperation WHERE correlationid = '{}'",
            self.replay
        );
        let time = |row: &Value, name: &str| row[name].as_str().and_then(parse_time);
        let job = |row: &Value| {
            let id = row["asyncoperationid"].as_str().and_then(|id| Uuid::try_parse(id).ok())?;
            Some((
                id,
                Job {
                    status: row["statuscode"].as_i64()?,
                    created: time(row, "createdon"),
                    started: time(row, "startedon"),
                    completed: time(row, "completedon"),
                },
            ))
        };
        Ok(self.rows(&text)?.iter().filter_map(job).collect())
    }
}

/// The value below which a share of the sorted values lies: the nearest rank.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1).min(sorted.len().saturating_sub(1))).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_nearest_ranks() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(quantile(&values, 0.5), 50.0);
        assert_eq!(quantile(&values, 0.95), 95.0);
        assert_eq!(quantile(&values, 1.0), 100.0);
        assert_eq!(quantile(&[7.0], 0.99), 7.0);
        assert_eq!(quantile(&[], 0.5), 0.0);
    }
}
