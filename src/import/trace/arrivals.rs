//! A trace replayed: the jobs of a moment and after, each with what is to
//! become of it, for a scheduler that runs them as simulations.

use crate::catalog::Catalog;
use crate::value::Value;

use super::jobs::{Jobs, Values};
use super::{Attempt, How, Trace};

/// A job that arrives. Its times are the trace's until it is
/// [shifted](Self::shifted).
#[derive(Clone, Debug, PartialEq)]
pub struct Arrival {
    /// When it is submitted, in microseconds since 1970-01-01 UTC.
    pub at: i64,
    /// Its row of `asyncoperation`, in state 0/0.
    pub values: Vec<(usize, Value)>,
    /// Its row of `fileattachment`, if its data is in file storage.
    pub file: Option<Vec<(usize, Value)>>,
    /// How long it runs; not known of jobs that never ran to an end.
    pub duration_us: Option<i64>,
    pub outcome: Outcome,
}

/// How a job ends in the trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Succeeded,
    Failed {
        errorcode: i32,
        message: String,
        friendlymessage: String,
    },
    Canceled,
    /// It had not ended when the trace did.
    Endless,
}

impl Arrival {
    /// The same with every time moved by so many microseconds.
    pub fn shifted(mut self, by: i64) -> Self {
        self.at = self.at.saturating_add(by);
        for (_, value) in self.values.iter_mut().chain(self.file.iter_mut().flatten()) {
            if let Value::Time(time) = value {
                *time = time.saturating_add(by);
            }
        }
        self
    }
}

impl Trace {
    /// The jobs submitted at `from` or later, in their order.
    pub fn arrivals<'a>(
        &'a self,
        catalog: &Catalog,
        from: i64,
    ) -> impl Iterator<Item = Arrival> + use<'a> {
        let jobs = Jobs::new(self, catalog);
        let first = self.attempts.partition_point(|a| a.submitted < from);
        (first..self.attempts.len()).map(move |index| self.arrival(&jobs, index))
    }

    /// The jobs that history up to `at` leaves waiting or in progress, as they
    /// arrived: the same ids, durations and outcomes.
    pub fn unfinished<'a>(
        &'a self,
        catalog: &Catalog,
        at: i64,
    ) -> impl Iterator<Item = Arrival> + use<'a> {
        let jobs = Jobs::new(self, catalog);
        let submitted = self.attempts.partition_point(|a| a.submitted < at);
        (0..submitted)
            .filter(move |index| self.attempts[*index].by(at).1.is_none())
            .map(move |index| self.arrival(&jobs, index))
    }

    fn arrival(&self, jobs: &Jobs<'_>, index: usize) -> Arrival {
        let attempt = &self.attempts[index];
        let values: Values = jobs.job(index, None, None, 0);
        Arrival {
            at: attempt.submitted,
            values,
            file: jobs.file(index, 0),
            duration_us: attempt.duration(),
            outcome: outcome(jobs, attempt),
        }
    }
}

impl Attempt {
    fn duration(&self) -> Option<i64> {
        Some(self.end?.at.saturating_sub(self.started?))
    }
}

fn outcome(jobs: &Jobs<'_>, attempt: &Attempt) -> Outcome {
    let Some(end) = attempt.end else { return Outcome::Endless };
    match (end.how, jobs.failure(attempt, end.how)) {
        (_, Some(failure)) => Outcome::Failed {
            errorcode: failure.errorcode,
            message: failure.message,
            friendlymessage: failure.friendlymessage,
        },
        (How::Canceled, None) => Outcome::Canceled,
        (_, None) => Outcome::Succeeded,
    }
}
