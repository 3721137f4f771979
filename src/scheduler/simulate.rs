//! The simulated handler: a heap of ends.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use crate::job::handler::Simulation;
use crate::job::{Outcome, Report};
use crate::value::Guid;

/// Simulated attempts under way.
#[derive(Default)]
pub struct Simulations {
    ends: BinaryHeap<Reverse<(i64, Guid, i32)>>,
    /// How they end; nothing for one that never does by itself.
    reports: HashMap<(Guid, i32), Option<Report>>,
}

impl Simulations {
    /// Starts an attempt at `now`.
    pub fn start(&mut self, id: Guid, attempt: i32, simulation: &Simulation, now: i64) {
        let report = simulation.end(attempt);
        if report.is_some() {
            let micros = (simulation.duration_ms.max(0.0) * 1000.0) as i64;
            self.ends.push(Reverse((now.saturating_add(micros), id, attempt)));
        }
        self.reports.insert((id, attempt), report);
    }

    /// Ends an attempt as somebody asks: at once, and as canceled, which counts as
    /// what was asked for.
    pub fn tell(&mut self, id: Guid, attempt: i32, now: i64) {
        if let Some(report) = self.reports.get_mut(&(id, attempt)) {
            *report = Some(Report::of(Outcome::Canceled));
            self.ends.push(Reverse((now, id, attempt)));
        }
    }

    /// An attempt no longer counts.
    pub fn forget(&mut self, id: Guid, attempt: i32) {
        self.reports.remove(&(id, attempt));
    }

    /// Attempts under way.
    pub fn len(&self) -> usize {
        self.reports.len()
    }

    /// When the next attempt ends.
    pub fn next(&self) -> Option<i64> {
        self.ends.peek().map(|Reverse((at, ..))| *at)
    }

    /// Takes out the attempts that have ended by `now`, in the order of their ends.
    pub fn ended(&mut self, now: i64) -> Vec<(Guid, i32, Report)> {
        let mut ended = Vec::new();
        while let Some(Reverse((at, id, attempt))) = self.ends.peek().copied() {
            if at > now {
                break;
            }
            self.ends.pop();
            // One that was told to end has a second, later end that is none.
            if let Some(Some(report)) = self.reports.remove(&(id, attempt)) {
                ended.push((id, attempt, report));
            }
        }
        ended
    }
}
