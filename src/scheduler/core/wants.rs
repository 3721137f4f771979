//! Workers who got fewer jobs than they asked for. Where jobs of handlers inside the
//! service share a pool with jobs for workers, a place that becomes free is kept for an
//! older job that such a worker waits for; else handlers inside, which start at once,
//! would take every place before a worker can ask again. Nothing is kept for jobs that
//! nobody asks for.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::job::Place;
use super::queue::Queue;

/// What a worker asked for.
#[derive(Debug)]
pub struct Want {
    /// Of any type where it names none.
    pub operationtypes: Option<Vec<i32>>,
    /// Jobs that it would take.
    pub max: usize,
    /// When it is no longer waited for.
    pub until: i64,
}

/// By worker.
#[derive(Debug, Default)]
pub struct Wants(BTreeMap<Arc<str>, Want>);

impl Wants {
    pub fn insert(&mut self, worker: Arc<str>, want: Want) {
        self.0.insert(worker, want);
    }

    pub fn contains(&self, worker: &Arc<str>) -> bool {
        self.0.contains_key(worker)
    }

    /// When the first worker is no longer waited for.
    pub fn expiry(&self) -> Option<i64> {
        self.0.values().map(|want| want.until).min()
    }
}

impl Queue {
    /// The job of a pool that may start inside the service.
    pub fn first_of_pool(&self, number: usize) -> Option<Place> {
        let pool = &self.pools[number];
        let free = pool.concurrency.saturating_sub(pool.running);
        let first = pool.ready.first().filter(|_| free > 0)?;
        (free > self.kept(number, first)).then_some(*first)
    }

    /// Places of a pool that are kept for jobs older than one.
    fn kept(&self, pool: usize, than: &Place) -> usize {
        let older = |operationtype: &Option<i32>| match self.claimable.get(operationtype) {
            Some(jobs) if self.pool_of(*operationtype) == Some(pool) => jobs.before(than),
            _ => 0,
        };
        let wanted = self.wants.0.values().map(|want| {
            let jobs: usize = match &want.operationtypes {
                Some(types) => types.iter().map(|code| older(&Some(*code))).sum(),
                None => self.claimable.keys().map(older).sum(),
            };
            jobs.min(want.max)
        });
        wanted.sum()
    }

    /// A worker has got some jobs.
    pub fn served(&mut self, worker: &Arc<str>, jobs: usize) {
        let Some(want) = self.wants.0.get_mut(worker).filter(|_| jobs > 0) else { return };
        want.max = want.max.saturating_sub(jobs);
        if want.max == 0 {
            self.wants.0.remove(worker);
        }
        self.stir();
    }

    /// Workers who did not come back are not waited for any longer.
    pub fn give_up_wants(&mut self, now: i64) {
        let before = self.wants.0.len();
        self.wants.0.retain(|_, want| want.until > now);
        if self.wants.0.len() < before {
            self.stir();
        }
    }

    /// Places that were kept may be free.
    fn stir(&mut self) {
        let waiting = self.pools.iter().enumerate().filter(|(_, pool)| !pool.ready.is_empty());
        let waiting: Vec<usize> = waiting.map(|(number, _)| number).collect();
        self.stirred.extend(waiting);
    }
}
