//! The simulated handler: a heap of ends.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::HashMap;

use crate::job::{Handler, Outcome};
use crate::value::Guid;

/// Simulated attempts under way.
#[derive(Default)]
pub struct Simulations {
    ends: BinaryHeap<Reverse<(i64, u64, Guid)>>,
    outcomes: HashMap<u64, Outcome>,
}

impl Simulations {
    /// Starts an attempt at `now`; one that never ends is not kept.
    pub fn start(&mut self, id: Guid, attempt: u64, handler: &Handler, now: i64) {
        let Handler::Simulate(simulation) = handler;
        if let Some(outcome) = simulation.end() {
            let micros = (simulation.duration_ms.max(0.0) * 1000.0) as i64;
            self.ends.push(Reverse((now.saturating_add(micros), attempt, id)));
            self.outcomes.insert(attempt, outcome);
        }
    }

    /// When the next attempt ends.
    pub fn next(&self) -> Option<i64> {
        self.ends.peek().map(|Reverse((at, ..))| *at)
    }

    /// Takes out the attempts that have ended by `now`, in the order of their ends.
    pub fn ended(&mut self, now: i64) -> Vec<(Guid, u64, Outcome)> {
        let mut ended = Vec::new();
        while let Some(Reverse((at, attempt, id))) = self.ends.peek().copied() {
            if at > now {
                break;
            }
            self.ends.pop();
            let outcome = self.outcomes.remove(&attempt).expect("every end has an outcome");
            ended.push((id, attempt, outcome));
        }
        ended
    }
}
