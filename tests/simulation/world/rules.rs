//! What holds in every world.

use std::collections::BTreeMap;
use std::sync::Arc;

use sysjob::job::Status;
use sysjob::scheduler::core::{Job, JobChange};

use super::World;

impl World {
    /// What holds at any time.
    pub(super) fn check(&self) {
        for id in &self.acknowledged {
            assert!(self.disk.rows.contains_key(id), "an acknowledged job is there");
        }
        assert_eq!(self.disk.rows.len(), self.disk.created - self.disk.deleted, "counts add up");
        for id in &self.canceled {
            let row = self.disk.rows.get(id).map(|job| job.status);
            let kept = |s: Status| s == Status::Canceling || s.statecode() == 3;
            assert!(row.is_none_or(kept), "an acknowledged cancel is lost: {row:?}");
        }
        for id in &self.paused {
            let row = self.disk.rows.get(id).map(|job| job.status);
            let kept = |s: Status| {
                matches!(s, Status::Pausing | Status::Canceling | Status::Waiting)
                    || s.statecode() == 3
            };
            assert!(row.is_none_or(kept), "an acknowledged pause is lost: {row:?}");
        }
        let open = self.disk.rows.values().filter(|job| job.status.statecode() < 3).count();
        assert_eq!(open, self.disk.unfinished.len());
        let locked = |job: &&Job| job.is_locked() && job.handler.is_some();
        assert_eq!(self.core.jobs().filter(locked).count(), self.core.running(), "places add up");
        // Whatever has not ended says why, one by one as for all.
        let waits = self.core.waits(self.now);
        for job in self.core.jobs() {
            let why = self.core.why(job, self.now);
            let running = job.is_locked();
            assert_eq!(why.verdict == "running", running, "{why:?}");
            assert!(why.verdict != "ended", "{why:?}");
            assert_eq!(waits.get(&job.id), (!running).then_some(&why.text));
        }
    }

    /// Nothing new comes: every job ends, or says why it does not.
    pub(super) fn calm_down(&mut self) {
        for _ in 0..400 {
            self.turn(true);
        }
        self.check();
        for job in self.disk.rows.values() {
            let why = self.core.why(job, self.now);
            let fine = match why.verdict {
                "ended" => job.status.statecode() == 3,
                "running" => job.is_locked(),
                "capacity" => {
                    let pool = why.chain[0].pool.as_ref().expect("a pool");
                    let remote = job.handler.as_ref().is_some_and(|handler| handler.is_remote());
                    remote || pool.running == pool.concurrency || self.core.next_wake().is_some()
                }
                "token" => why.chain.len() > 1 && why.chain[0].job.is_some(),
                "postponed" | "retry" | "repeated-failure" => {
                    job.postponeuntil.is_some() || why.chain[0].until.is_some()
                }
                "paused"
                | "waiting-for-event"
                | "suspended-by-error"
                | "no-handler"
                | "rate-guard"
                | "definition-deactivated" => true,
                _ => false,
            };
            assert!(fine, "{:?}: {why:?}", job.status);
        }
    }

    /// A token's jobs never overlap and never swap.
    pub(super) fn check_tokens(&self) {
        let mut first: BTreeMap<&Arc<str>, Vec<&Job>> = BTreeMap::new();
        for job in self.disk.unfinished.iter().map(|id| &self.disk.rows[id]) {
            if let Some(token) = job.chain() {
                first.entry(token).or_default().push(job);
            }
        }
        for (token, jobs) in first {
            let locked: Vec<&&Job> = jobs.iter().filter(|job| job.is_locked()).collect();
            assert!(locked.len() <= 1, "'{token}' runs twice");
            let oldest = jobs.iter().map(|job| job.place()).min();
            let in_order = locked.first().is_none_or(|job| Some(job.place()) == oldest);
            assert!(in_order, "'{token}' runs out of order");
        }
    }

    /// No job of a workflow starts that is a draft or was deleted, and none before its
    /// time or beyond its depth.
    pub(super) fn check_start(&self, change: &JobChange) {
        let Some(job) = self.core.job(&change.id) else { return };
        if let Some(id) = job.definition.filter(|id| id[0] != 203) {
            let draft = self.definitions[&id] == Some(false);
            let deleted = self.core.definition(&id).is_some_and(|state| state.deleted);
            assert!(!draft && !deleted, "a job of an inactive workflow starts");
        }
        assert!(job.depth <= 8, "a loop goes on");
        assert_eq!(job.postponeuntil, None, "a job that starts waits for nothing");
        let pool = |operationtype: Option<i32>| match operationtype {
            Some(11) => Some(10),
            other => other,
        };
        let same = |other: &&Job| {
            other.is_locked()
                && other.handler.is_some()
                && pool(other.operationtype) == pool(job.operationtype)
        };
        let places = match pool(job.operationtype) {
            Some(10) => self.policies.pools[0].concurrency,
            _ => self.policies.concurrency,
        };
        // A step may have started more than this one, and ended none since.
        assert!(self.core.jobs().filter(same).count() <= places, "more run than have a place");
    }
}
