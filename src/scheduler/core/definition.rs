//! The workflows and steps that jobs belong to: what their rows say, how they have
//! failed lately, and how fast they raise jobs.

use std::collections::{BTreeSet, HashMap};

use super::event::{DefinitionState, Guard};
use super::job::Place;
use crate::scheduler::policy::{Policies, RateGuard, doubled};
use crate::value::Guid;

/// What the row of a workflow or a step says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Definition {
    /// A workflow, whose queued jobs are canceled when it is not active.
    pub workflow: bool,
    pub active: bool,
    /// Jobs that have succeeded are deleted at once.
    pub autodelete: bool,
}

/// What a definition says to a job that is about to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    Open,
    /// The workflow was deactivated.
    Deactivated,
    Deleted,
    /// Its jobs are postponed until a time.
    Postponed(i64),
    /// Its jobs are held until there is room for another canary.
    Held,
}

#[derive(Debug, Default)]
pub struct Definitions {
    known: HashMap<Guid, Known>,
    /// Definitions whose postponed or held jobs go on.
    pub releasing: BTreeSet<Guid>,
}

#[derive(Debug)]
struct Known {
    row: Option<Definition>,
    state: DefinitionState,
    jobs: usize,
    running: usize,
    /// Ready jobs that the rate guard holds.
    held: BTreeSet<Place>,
    /// Jobs that are postponed for the failures of others.
    postponed: BTreeSet<Guid>,
    counts: Counts,
}

/// The jobs of a definition that came and ended in the current window.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    window: i64,
    came: u64,
    ended: u64,
    /// Windows in a row with more jobs than ended, and without.
    growing: u32,
    calm: u32,
}

/// A job of a definition that the core hears of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    Came,
    Ended,
}

impl Known {
    fn new(id: Guid) -> Self {
        Self {
            row: None,
            state: DefinitionState::new(id),
            jobs: 0,
            running: 0,
            held: BTreeSet::new(),
            postponed: BTreeSet::new(),
            counts: Counts::default(),
        }
    }
}

impl DefinitionState {
    pub fn new(id: Guid) -> Self {
        Self {
            id,
            failures: 0,
            postponements: 0,
            postponed: None,
            guard: Guard::Quiet,
            deleted: false,
            at: 0,
        }
    }

    /// Whether nothing is known that is worth keeping.
    fn is_quiet(&self) -> bool {
        let well = self.failures == 0 && self.postponed.is_none();
        well && self.guard == Guard::Quiet && !self.deleted
    }
}

impl Definitions {
    fn known(&mut self, id: &Guid) -> &mut Known {
        self.known.entry(*id).or_insert_with(|| Known::new(*id))
    }

    pub fn put_in(&mut self, id: &Guid, job: Guid, running: bool, postponed: bool) {
        let known = self.known(id);
        known.jobs += 1;
        known.running += usize::from(running);
        if postponed {
            known.postponed.insert(job);
        }
    }

    pub fn take_out(&mut self, id: &Guid, place: &Place, running: bool, postponed: bool) {
        let Some(known) = self.known.get_mut(id) else { return };
        known.jobs -= 1;
        known.running -= usize::from(running);
        known.held.remove(place);
        if postponed {
            known.postponed.remove(&place.2);
        }
        // Nothing is left to know of definitions that come and go.
        if known.jobs == 0 && known.row.is_none() && known.state.is_quiet() {
            self.known.remove(id);
        }
    }

    /// A definition as its row is now. What is to be kept, if anything changes.
    pub fn define(
        &mut self,
        id: Guid,
        row: Option<Definition>,
        now: i64,
    ) -> Option<DefinitionState> {
        let known = self.known(&id);
        let gone = row.is_none() && known.row.is_some_and(|row| row.workflow) && known.jobs > 0;
        let deleted = gone || (known.state.deleted && row.is_none());
        known.row = row;
        let changed = known.state.deleted != deleted;
        known.state.deleted = deleted;
        known.state.at = now;
        changed.then_some(known.state)
    }

    pub fn remember(&mut self, state: DefinitionState) {
        self.known(&state.id).state = state;
    }

    pub fn row(&self, id: &Guid) -> Option<Definition> {
        self.known.get(id)?.row
    }

    pub fn state(&self, id: &Guid) -> Option<DefinitionState> {
        self.known.get(id).map(|known| known.state)
    }

    /// Whether a job may start now.
    pub fn gate(&self, id: &Guid, now: i64, guard: &RateGuard) -> Gate {
        let Some(known) = self.known.get(id) else { return Gate::Open };
        match (known.row, known.state.postponed) {
            _ if known.state.deleted => Gate::Deleted,
            (Some(Definition { workflow: true, active: false, .. }), _) => Gate::Deactivated,
            (_, Some((_, until))) if until > now => Gate::Postponed(until),
            _ if known.state.guard == Guard::Suspended && known.running >= guard.canaries => {
                Gate::Held
            }
            _ => Gate::Open,
        }
    }

    /// Holds a ready job back.
    pub fn hold(&mut self, id: &Guid, place: Place) {
        self.known(id).held.insert(place);
    }

    /// Whether a ready job is held back; it may be let go only when another one ends.
    pub fn holds(&self, id: &Guid, place: &Place) -> bool {
        self.known.get(id).is_some_and(|known| known.held.contains(place))
    }

    /// No longer holds a job back.
    pub fn release(&mut self, id: &Guid, place: &Place) {
        if let Some(known) = self.known.get_mut(id) {
            known.held.remove(place);
        }
    }

    /// The held job that may start because another one has ended.
    pub fn next_canary(&mut self, id: &Guid, guard: &RateGuard) -> Option<Place> {
        let known = self.known.get_mut(id)?;
        if known.running >= guard.canaries { None } else { known.held.pop_first() }
    }

    /// An attempt has succeeded: nothing is wrong any more. What is to be kept, if
    /// something was.
    pub fn succeeded(&mut self, id: &Guid, now: i64) -> Option<DefinitionState> {
        let known = self.known.get_mut(id)?;
        let state = &mut known.state;
        if state.failures == 0 && state.postponed.is_none() {
            return None;
        }
        (state.failures, state.postponements, state.postponed) = (0, 0, None);
        state.at = now;
        if !known.postponed.is_empty() {
            self.releasing.insert(*id);
        }
        Some(known.state)
    }

    /// A job has failed. Attempts that were under way when its definition's jobs
    /// were postponed say nothing new.
    pub fn failed(
        &mut self,
        id: &Guid,
        started: i64,
        now: i64,
        policies: &Policies,
    ) -> DefinitionState {
        let rule = &policies.repeated_failure;
        let state = &mut self.known(id).state;
        state.failures = state.failures.saturating_add(1);
        state.at = now;
        let news = state.postponed.is_none_or(|(since, _)| started >= since);
        if rule.after > 0 && state.failures >= rule.after && news {
            let wait = doubled(rule.first, rule.longest, state.postponements);
            state.postponements = state.postponements.saturating_add(1);
            state.postponed = Some((now, now.saturating_add(wait)));
        }
        *state
    }

    /// One of the jobs that go on after a success, or that the rate guard no longer
    /// holds.
    pub fn next_released(&mut self) -> Option<Released> {
        while let Some(id) = self.releasing.first().copied() {
            let known = self.known.get_mut(&id);
            let known = known.filter(|known| known.state.postponed.is_none());
            if let Some(known) = known {
                if let Some(job) = known.postponed.first() {
                    return Some(Released::Postponed(*job));
                }
                if known.state.guard != Guard::Suspended
                    && let Some(place) = known.held.pop_first()
                {
                    return Some(Released::Held(place));
                }
            }
            self.releasing.remove(&id);
        }
        None
    }

    /// Counts a job, and judges the windows that have ended. What is to be kept, if
    /// the judgement changes.
    pub fn count(
        &mut self,
        id: &Guid,
        what: Option<Counted>,
        now: i64,
        rule: &RateGuard,
    ) -> Option<DefinitionState> {
        let known = self.known.get_mut(id)?;
        let window = now.div_euclid(rule.window.max(1));
        let mut changed = false;
        if window != known.counts.window {
            changed = known.judge(window, rule);
            known.state.at = now;
        }
        match what {
            Some(Counted::Came) => known.counts.came += 1,
            Some(Counted::Ended) => known.counts.ended += 1,
            None => {}
        }
        if changed && known.state.guard != Guard::Suspended && !known.held.is_empty() {
            self.releasing.insert(*id);
        }
        let known = self.known.get(id)?;
        changed.then_some(known.state)
    }

    /// When a definition that was reported is to be judged again.
    pub fn judged_next(&self, id: &Guid, now: i64, rule: &RateGuard) -> Option<i64> {
        let reported = self.known.get(id).is_some_and(|k| k.state.guard != Guard::Quiet);
        let window = rule.window.max(1);
        reported.then(|| (now.div_euclid(window) + 1) * window)
    }
}

impl Known {
    /// Judges the window that has ended; whether the guard's state changes.
    fn judge(&mut self, window: i64, rule: &RateGuard) -> bool {
        let counts = &mut self.counts;
        let waiting = self.jobs - self.running;
        // Windows without any job in between are calm.
        let idle = u32::try_from(window - counts.window - 1).unwrap_or(u32::MAX);
        let first = counts.window == 0;
        if counts.came > counts.ended && waiting >= rule.backlog && !first {
            (counts.growing, counts.calm) = (counts.growing + 1, 0);
        } else {
            (counts.growing, counts.calm) = (0, counts.calm.saturating_add(1));
        }
        if idle > 0 && !first {
            (counts.growing, counts.calm) = (0, counts.calm.saturating_add(idle));
        }
        (counts.window, counts.came, counts.ended) = (window, 0, 0);
        let before = self.state.guard;
        self.state.guard = match before {
            Guard::Quiet if counts.growing >= rule.windows && rule.suspend => Guard::Suspended,
            Guard::Quiet if counts.growing >= rule.windows => Guard::Reported,
            Guard::Reported | Guard::Suspended if counts.calm >= rule.windows => Guard::Quiet,
            same => same,
        };
        self.state.guard != before
    }
}

/// A job that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    Postponed(Guid),
    Held(Place),
}
