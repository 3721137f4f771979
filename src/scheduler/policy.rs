//! The rules of the scheduler that can be set: pools, retries, what happens to a
//! definition in trouble. Times are in microseconds. Where Microsoft publishes no
//! figure, the defaults are sysjob's own.

use std::collections::BTreeMap;

use crate::job::report::PLUGIN;
use crate::value::Guid;

const SECOND: i64 = 1_000_000;

/// How jobs are scheduled.
#[derive(Clone, Debug, PartialEq)]
pub struct Policies {
    pub pools: Vec<PoolPolicy>,
    /// Jobs at once of an operation type that is in no pool.
    pub concurrency: usize,
    pub retry: Retry,
    /// By operation type, instead of `retry`.
    pub retry_by_type: BTreeMap<i32, Retry>,
    pub repeated_failure: RepeatedFailure,
    pub rate_guard: RateGuard,
    /// By operation type: how long an attempt may take. A leased attempt has its
    /// lease instead.
    pub time_limits: BTreeMap<i32, i64>,
    /// How long rows of `jobhistory` are kept, and how often old ones are looked for.
    pub history_kept: i64,
    pub history_every: i64,
    /// Jobs deeper in a chain than this fail when they are picked.
    pub depth_max: i32,
}

/// Operation types that share places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolPolicy {
    pub name: String,
    pub operationtypes: Vec<i32>,
    /// Jobs at once.
    pub concurrency: usize,
}

/// The attempts after a transient failure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retry {
    pub max: i32,
    /// The wait before the first retry; it doubles with each further one.
    pub first: i64,
    /// No wait is longer.
    pub longest: i64,
    /// Part of the wait by which it may be longer or shorter.
    pub jitter: f64,
}

/// What happens to the queued jobs of a definition that fails again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RepeatedFailure {
    /// Failures in a row.
    pub after: u32,
    /// How long its jobs are postponed; doubles each time.
    pub first: i64,
    pub longest: i64,
}

/// When a definition raises more jobs than can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateGuard {
    /// Jobs are counted by this time.
    pub window: i64,
    /// More jobs have come than ended in so many windows in a row.
    pub windows: u32,
    /// So many jobs of the definition wait.
    pub backlog: usize,
    /// Beside the report, its jobs are held.
    pub suspend: bool,
    /// Held definitions have so many jobs running.
    pub canaries: usize,
}

impl Default for Policies {
    fn default() -> Self {
        Self {
            pools: Vec::new(),
            concurrency: 64,
            retry: Retry::default(),
            retry_by_type: BTreeMap::new(),
            repeated_failure: RepeatedFailure {
                after: 5,
                first: 300 * SECOND,
                longest: 86_400 * SECOND,
            },
            rate_guard: RateGuard {
                window: 60 * SECOND,
                windows: 3,
                backlog: 1_000,
                suspend: false,
                canaries: 1,
            },
            // Dataverse: "an execution of a plug-in has two minutes".
            time_limits: BTreeMap::from([(PLUGIN, 120 * SECOND)]),
            history_kept: 30 * 86_400 * SECOND,
            history_every: 3_600 * SECOND,
            // The default of WorkflowSettings.MaxDepth.
            depth_max: 8,
        }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self { max: 10, first: 60 * SECOND, longest: 3_600 * SECOND, jitter: 0.1 }
    }
}

impl Policies {
    /// The defaults, with another number of jobs of one operation type at once.
    pub fn with_concurrency(concurrency: usize) -> Self {
        Self { concurrency, ..Self::default() }
    }

    pub fn retry(&self, operationtype: Option<i32>) -> Retry {
        let own = operationtype.and_then(|code| self.retry_by_type.get(&code));
        own.copied().unwrap_or(self.retry)
    }

    pub fn time_limit(&self, operationtype: Option<i32>) -> Option<i64> {
        operationtype.and_then(|code| self.time_limits.get(&code)).copied()
    }
}

impl Retry {
    /// The wait before a retry, the first of which has the number 1. The jitter
    /// comes from the job and the number, so that the same job waits the same time
    /// wherever it is computed.
    pub fn wait(&self, id: &Guid, number: i32) -> i64 {
        let wait = doubled(self.first, self.longest, number.max(1).unsigned_abs() - 1);
        let mut hash = 0xCBF2_9CE4_8422_2325_u64;
        for byte in id.iter().chain(&number.to_be_bytes()) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
        // The low bits of this hash are its worst; take the upper half.
        let unit = (hash >> 32) as f64 / f64::from(u32::MAX);
        wait + (wait as f64 * self.jitter * (2.0 * unit - 1.0)) as i64
    }
}

/// A time that doubles so often, up to the longest.
pub fn doubled(first: i64, longest: i64, times: u32) -> i64 {
    let factor = 1_i64.checked_shl(times.min(62)).unwrap_or(i64::MAX);
    first.saturating_mul(factor).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_vary_by_a_tenth() {
        let retry = Retry::default();
        for (number, seconds) in [(1, 60), (2, 120), (3, 240), (6, 1920), (7, 3600), (40, 3600)] {
            let mut waits: Vec<i64> = (0..200).map(|n| retry.wait(&[n; 16], number)).collect();
            let middle = seconds * SECOND;
            let allowed = (middle - middle / 10)..=(middle + middle / 10);
            assert!(waits.iter().all(|wait| allowed.contains(wait)), "{number}: {waits:?}");
            waits.sort_unstable();
            waits.dedup();
            assert!(waits.len() > 150, "retry {number} of many jobs does not come at one time");
        }
        assert_eq!(retry.wait(&[3; 16], 2), retry.wait(&[3; 16], 2));
    }
}
