//! The end of a service: nothing is picked any more, and attempts under way have some
//! time to end. Those that have not ended then are put back by [`Event::Stop`].

use std::time::Duration;

use super::Scheduler;
use super::core::Event;
use super::handle::Reply;
use super::round::{Round, micros};

/// Somebody waits for the end of the attempts under way.
pub struct Drain {
    /// Until when.
    pub deadline: i64,
    reply: Reply<()>,
}

impl Scheduler {
    pub(super) fn begin_drain(&mut self, grace: Duration, reply: Reply<()>, round: &mut Round) {
        self.step(round, Event::Drain);
        self.draining = true;
        let deadline = self.clock.now().saturating_add(micros(grace));
        self.drain = Some(Drain { deadline, reply });
    }

    /// Answers whoever waits, once no attempt is left that may end in time. Of simulated
    /// ones it is known when they end.
    pub(super) fn end_drain(&mut self, round: &mut Round) {
        let now = self.clock.now();
        let (simulated, next) = (self.simulations.len(), self.simulations.next());
        let may_end = |drain: &Drain| {
            drain.deadline > now
                && (next.is_some_and(|at| at <= drain.deadline)
                    || self.core.running_inside() > simulated)
        };
        if self.drain.as_ref().is_some_and(|drain| !may_end(drain))
            && let Some(drain) = self.drain.take()
        {
            round.answer(drain.reply, Ok(()));
        }
    }
}
