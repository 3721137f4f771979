//! A trace as a service is to be driven with it: every attempt a job of its own, with
//! its run time and its end, and how long it once waited.

use std::collections::HashMap;

use super::jobs::Failure;
use super::read::id;
use super::{Attempt, How, Outcome, Trace};
use crate::value::Guid;

/// A job to submit.
#[derive(Clone, Debug, PartialEq)]
pub struct Submission<'a> {
    /// When it was submitted, in microseconds since 1970-01-01 UTC.
    pub at: i64,
    pub name: &'a str,
    pub operationtype: i32,
    /// The task, if it has several attempts; they never overlap.
    pub task: Option<Guid>,
    /// From its submission to its start, in microseconds; nothing if it never started.
    pub waited: Option<i64>,
    /// How long it ran; what had not ended ran until the log was closed.
    pub runs: i64,
    /// What never started or never ended counts as canceled.
    pub outcome: Outcome,
}

impl Trace {
    /// All attempts in the order of their submission.
    pub fn submissions(&self) -> impl Iterator<Item = Submission<'_>> {
        let mut attempts: HashMap<&str, u32> = HashMap::new();
        for attempt in &self.attempts {
            *attempts.entry(&attempt.job).or_default() += 1;
        }
        let closed = self.attempts.iter().map(Attempt::last_known).max().unwrap_or_default();
        self.attempts.iter().map(move |attempt| {
            let several = attempts.get(&*attempt.job).is_some_and(|attempts| *attempts > 1);
            let definition = &self.definitions[attempt.definition];
            let failure = attempt.end.and_then(|end| Failure::of(end.how, definition));
            let end = attempt.end.map_or(closed, |end| end.at);
            Submission {
                at: attempt.submitted,
                name: &definition.name,
                operationtype: self.queues[attempt.queue].operation_type,
                task: several.then(|| id("task", &attempt.job)),
                waited: attempt.started.map(|started| started.saturating_sub(attempt.submitted)),
                runs: attempt.started.map_or(0, |started| end.saturating_sub(started)),
                outcome: match (attempt.started, attempt.end, failure) {
                    (Some(_), Some(_), Some(failure)) => Outcome::Failed {
                        errorcode: failure.errorcode,
                        message: failure.message,
                        friendlymessage: failure.friendlymessage,
                    },
                    (Some(_), Some(end), None) if end.how == How::Succeeded => Outcome::Succeeded,
                    _ => Outcome::Canceled,
                },
            }
        })
    }
}

impl Attempt {
    fn last_known(&self) -> i64 {
        let end = self.end.map(|end| end.at);
        end.or(self.started).unwrap_or(self.submitted).max(self.submitted)
    }
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;

    #[test]
    fn attempts_are_jobs_with_the_waits_and_run_times_they_had() {
        let text = "\
job_id,submit_time,start_time,end_time,status,user_id,group_id,app_id,queue,requested_seconds,preceding_job_id,think_seconds,attempt,source_status
a,2011-05-01T00:00:00Z,2011-05-01T00:00:02Z,2011-05-01T00:00:05Z,failed,u1,g1,p1,prio1,,,,1,fail
b,2011-05-01T00:00:01Z,,2011-05-01T00:00:03Z,cancelled,u1,g1,p1,prio1,,,,1,kill
a,2011-05-01T00:00:06Z,2011-05-01T00:00:06Z,2011-05-01T00:00:10Z,succeeded,u1,g1,p1,prio1,,,1,2,finish
c,2011-05-01T00:00:07Z,2011-05-01T00:00:08Z,,,u1,g1,p1,prio1,,,,1,
";
        let trace = read(text.as_bytes()).expect("a trace");
        let jobs: Vec<Submission<'_>> = trace.submissions().collect();
        let waits: Vec<_> = jobs.iter().map(|job| job.waited.map(|w| w / 1_000_000)).collect();
        assert_eq!(waits, [Some(2), None, Some(0), Some(1)]);
        let runs: Vec<i64> = jobs.iter().map(|job| job.runs / 1_000_000).collect();
        assert_eq!(runs, [3, 0, 4, 2], "the log was closed at second 10");
        assert!(matches!(jobs[0].outcome, Outcome::Failed { .. }));
        assert_eq!(jobs[1].outcome, Outcome::Canceled);
        assert_eq!(jobs[2].outcome, Outcome::Succeeded);
        assert_eq!(jobs[3].outcome, Outcome::Canceled);
        assert!(jobs[0].task.is_some() && jobs[0].task == jobs[2].task);
        assert_eq!(jobs[1].task, None);
        assert_eq!(jobs[1].operationtype, 8);
    }
}
