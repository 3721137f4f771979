//! What time does to jobs.

use super::definition::Released;
use super::event::Step;
use super::job::Cause;
use super::queue::Timer;
use super::{Because, Core, STEP_MAX, ready, recurs};
use crate::job::Status;
use crate::value::Guid;

impl Core {
    /// Does what time does.
    pub(super) fn wake(&mut self, now: i64, step: &mut Step) {
        let mut left = STEP_MAX;
        while left > 0
            && let Some(released) = self.definitions.next_released()
        {
            left -= 1;
            match released {
                Released::Held(place) => self.offer_again(&place),
                Released::Postponed(id) => {
                    let why = Because::scheduler("another job of its definition has succeeded");
                    self.change(&id, Some(Status::WaitingForResources), ready(), why, now, step);
                }
            }
        }
        self.queue.give_up_wants(now);
        while left > 0
            && let Some((at, timer, id)) = self.queue.timers.first().copied()
            && at <= now
        {
            left -= 1;
            match timer {
                Timer::Wake => self.wake_up(id, now, step),
                Timer::Lease => self.lease_ended(id, now, step),
                Timer::Limit => self.limit_reached(id, now, step),
                Timer::Guard => self.count(&id, None, now, step),
            }
            // Whatever it was for, it has been.
            self.queue.timers.remove(&(at, timer, id));
        }
    }

    /// `postponeuntil` has come.
    fn wake_up(&mut self, id: Guid, now: i64, step: &mut Step) {
        let Some(job) = self.jobs.get(&id) else { return };
        let reason = match (job.cause, &job.recurring, job.postponeuntil) {
            (Cause::Recurrence, Some(recurring), Some(until)) => {
                let missed = recurring.rule.between(recurring.start, until, now);
                recurs(missed)
            }
            (Cause::Retry, ..) => format!("retry {}", job.retrycount).into(),
            (Cause::RepeatedFailure, ..) => "its definition is tried again".into(),
            _ => "its time has come".into(),
        };
        let why = Because::scheduler(reason);
        self.change(&id, Some(Status::WaitingForResources), ready(), why, now, step);
    }
}
