//! Jobs that wait until something happens to the record they are about. What happens
//! after an attempt has said that it is about to wait, and before its wait is durable,
//! counts too.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::event::Step;
use super::queue::Index;
use super::{Because, Core, ready};
use crate::job::Status;
use crate::value::Guid;

/// By record.
#[derive(Debug, Default)]
pub struct Awaiting {
    waiting: HashMap<Guid, BTreeSet<Guid>>,
    /// Jobs about to wait, and whether it has happened already.
    about_to: HashMap<Guid, BTreeMap<Guid, bool>>,
}

impl Awaiting {
    /// Whether anything is waited for.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.about_to.is_empty()
    }

    pub fn put_in(&mut self, index: &Index) {
        if let Some(record) = index.record.filter(|_| index.awaits) {
            self.waiting.entry(record).or_default().insert(index.place.2);
        }
    }

    pub fn take_out(&mut self, index: &Index) {
        let Some(record) = index.record else { return };
        if let Some(jobs) = self.waiting.get_mut(&record) {
            jobs.remove(&index.place.2);
            if jobs.is_empty() {
                self.waiting.remove(&record);
            }
        }
        if let Some(jobs) = self.about_to.get_mut(&record) {
            jobs.remove(&index.place.2);
            if jobs.is_empty() {
                self.about_to.remove(&record);
            }
        }
    }

    /// Whether what a job is about to wait for has happened.
    pub fn has_happened(&self, record: &Guid, job: &Guid) -> bool {
        self.about_to.get(record).and_then(|jobs| jobs.get(job)) == Some(&true)
    }
}

impl Core {
    /// Whether what happens to records may concern a job.
    pub fn awaits_events(&self) -> bool {
        !self.queue.awaiting.is_empty()
    }

    /// An attempt is about to wait for what happens to its record.
    pub(super) fn listen(&mut self, id: Guid, attempt: i32) {
        let current = self.jobs.get(&id).filter(|job| job.is_locked() && job.attempt == attempt);
        if let Some(record) = current.and_then(|job| job.regarding) {
            self.queue.awaiting.about_to.entry(record).or_default().insert(id, false);
        }
    }

    /// Something has happened to a record.
    pub(super) fn happened(&mut self, record: &Guid, now: i64, step: &mut Step) {
        let awaiting = &mut self.queue.awaiting;
        for happened in awaiting.about_to.get_mut(record).into_iter().flat_map(|j| j.values_mut()) {
            *happened = true;
        }
        let jobs: Vec<Guid> = awaiting.waiting.get(record).into_iter().flatten().copied().collect();
        for id in jobs {
            let why = Because::scheduler("the event it waited for has happened");
            self.change(&id, Some(Status::WaitingForResources), ready(), why, now, step);
        }
    }
}
