//! Who is next. Everything here follows from the jobs alone: whenever a job
//! changes, its [`Index`] from before is taken out and the one from after put in,
//! each in O(log n).
//!
//! A pool has the jobs that could start now, in their order. Jobs with the same
//! dependency token form a chain, of which at most one is offered to its pool: the
//! first, if it is ready and none of them is running. Jobs for remote workers are
//! kept by operation type, because claims ask for types; they count for the same
//! pools.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::Core;
use super::awaiting::Awaiting;
use super::job::{Cause, Job, Place};
use super::ranked::Ranked;
use super::wants::Wants;
use crate::job::Status;
use crate::scheduler::policy::Policies;
use crate::value::Guid;

/// What a job waits for in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// `postponeuntil`.
    Wake,
    /// The end of its lease.
    Lease,
    /// The end of the time that an attempt may take.
    Limit,
    /// Not a job but a definition: its jobs are counted again.
    Guard,
}

/// Jobs that share places.
#[derive(Debug)]
pub struct Pool {
    pub name: String,
    pub concurrency: usize,
    pub running: usize,
    /// Jobs of handlers inside the service that could start.
    pub ready: Ranked,
    /// How long attempts take, in seconds; recent ones count most.
    pub seconds: Option<f64>,
}

/// Jobs with the same token.
#[derive(Debug, Default)]
struct Chain {
    members: BTreeSet<Place>,
    /// Those of which an attempt may be under way.
    locked: BTreeSet<Place>,
    /// The one that is offered to its pool.
    offered: Option<Place>,
}

/// All waiting jobs, by what they wait for.
#[derive(Debug)]
pub struct Queue {
    pub pools: Vec<Pool>,
    by_type: HashMap<Option<i32>, usize>,
    concurrency: usize,
    /// Jobs for remote workers that could be claimed, by operation type.
    pub claimable: BTreeMap<Option<i32>, Ranked>,
    chains: HashMap<Arc<str>, Chain>,
    pub timers: BTreeSet<(i64, Timer, Guid)>,
    pub awaiting: Awaiting,
    /// Workers for whom places are kept.
    pub wants: Wants,
    /// Pools in which a job may have become able to start.
    pub stirred: BTreeSet<usize>,
}

/// Where a job stands in the queue.
#[derive(Clone, Debug, PartialEq)]
pub struct Index {
    pub place: Place,
    pub pool: usize,
    pub operationtype: Option<i32>,
    /// Its work is done by a remote worker.
    pub remote: bool,
    /// It could start, as far as the job itself is concerned.
    pub ready: bool,
    /// It takes a place in its pool.
    pub running: bool,
    /// An attempt may be under way, here or elsewhere.
    pub locked: bool,
    pub timer: Option<(i64, Timer)>,
    pub token: Option<Arc<str>>,
    pub definition: Option<Guid>,
    /// Its definition has postponed it.
    pub postponed: bool,
    /// The record that it is about.
    pub record: Option<Guid>,
    /// It waits for what happens to that.
    pub awaits: bool,
}

impl Queue {
    pub fn new(policies: &Policies) -> Self {
        let mut pools = Vec::new();
        let mut by_type = HashMap::new();
        for pool in &policies.pools {
            for operationtype in &pool.operationtypes {
                by_type.insert(Some(*operationtype), pools.len());
            }
            pools.push(Pool::new(pool.name.clone(), pool.concurrency));
        }
        Self {
            pools,
            by_type,
            concurrency: policies.concurrency,
            claimable: BTreeMap::new(),
            chains: HashMap::new(),
            timers: BTreeSet::new(),
            awaiting: Awaiting::default(),
            wants: Wants::default(),
            stirred: BTreeSet::new(),
        }
    }

    /// The pool of an operation type, which may be one of its own.
    pub fn pool(&mut self, operationtype: Option<i32>) -> usize {
        let (pools, concurrency) = (&mut self.pools, self.concurrency);
        *self.by_type.entry(operationtype).or_insert_with(|| {
            let name = match operationtype {
                Some(code) => format!("type {code}"),
                None => "no type".into(),
            };
            pools.push(Pool::new(name, concurrency));
            pools.len() - 1
        })
    }

    pub fn pool_of(&self, operationtype: Option<i32>) -> Option<usize> {
        self.by_type.get(&operationtype).copied()
    }

    /// The operation types of a pool that is known by its number.
    pub fn types_of(&self, pool: usize) -> Vec<Option<i32>> {
        let of_it = self.by_type.iter().filter(|(_, number)| **number == pool);
        of_it.map(|(operationtype, _)| *operationtype).collect()
    }

    pub fn has_place(&self, operationtype: Option<i32>) -> bool {
        let pool = self.by_type.get(&operationtype).map(|pool| &self.pools[*pool]);
        pool.is_some_and(|pool| pool.running < pool.concurrency)
    }

    pub fn known_pool(&self, operationtype: Option<i32>) -> Option<&Pool> {
        self.by_type.get(&operationtype).map(|pool| &self.pools[*pool])
    }

    /// The job of the same chain that has to end before this one: the running one,
    /// which may be another than the first, else the first.
    pub fn in_front(&self, job: &Job) -> Option<Guid> {
        let chain = self.chains.get(job.chain()?)?;
        let other = |place: &&Place| place.2 != job.id;
        let running = chain.locked.iter().find(other);
        running.or_else(|| chain.members.first().filter(other)).map(|place| place.2)
    }

    fn offer(&mut self, index: &Index) {
        if index.remote {
            self.claimable.entry(index.operationtype).or_default().insert(index.place);
        } else {
            self.pools[index.pool].ready.insert(index.place);
            self.stirred.insert(index.pool);
        }
    }

    /// Takes a job out of those that could start; whether it was among them.
    fn withdraw(&mut self, index: &Index) -> bool {
        if !index.remote {
            return self.pools[index.pool].ready.remove(&index.place);
        }
        // A place that was kept for it may be free for others.
        self.stirred.insert(index.pool);
        let Some(jobs) = self.claimable.get_mut(&index.operationtype) else { return false };
        let was = jobs.remove(&index.place);
        if jobs.is_empty() {
            self.claimable.remove(&index.operationtype);
        }
        was
    }
}

impl Pool {
    fn new(name: String, concurrency: usize) -> Self {
        Self { name, concurrency, running: 0, ready: Ranked::default(), seconds: None }
    }

    /// Learns how long an attempt took.
    pub fn took(&mut self, seconds: f64) {
        let before = self.seconds.unwrap_or(seconds);
        self.seconds = Some(before + (seconds - before) / 16.0);
    }
}

impl Index {
    /// Where a job stands, from the job alone.
    pub fn of(job: &Job, queue: &mut Queue, policies: &Policies) -> Self {
        let runs = job.handler.is_some();
        let waits = matches!(job.status, Status::WaitingForResources | Status::Waiting);
        let locked = job.is_locked();
        let limit = || Some(job.startedon? + policies.time_limit(job.operationtype)?);
        let timer = match (job.postponeuntil, job.lease) {
            _ if !runs => None,
            (Some(until), _) if waits => Some((until, Timer::Wake)),
            (_, Some(end)) if locked => Some((end, Timer::Lease)),
            _ if locked => limit().map(|at| (at, Timer::Limit)),
            _ => None,
        };
        Self {
            place: job.place(),
            pool: queue.pool(job.operationtype),
            operationtype: job.operationtype,
            remote: job.handler.as_ref().is_some_and(|handler| handler.is_remote()),
            ready: runs && job.status == Status::WaitingForResources && job.postponeuntil.is_none(),
            running: runs && locked,
            locked,
            timer,
            token: job.chain().cloned(),
            definition: job.definition.filter(|_| runs),
            postponed: job.status == Status::Waiting && job.cause == Cause::RepeatedFailure,
            record: job.regarding.filter(|_| runs),
            awaits: job.status == Status::Waiting && job.cause == Cause::Event,
        }
    }
}

impl Core {
    /// Takes a job out of the queue, to be followed by [`Core::settle`].
    pub(super) fn take_out(&mut self, index: &Index) {
        let id = index.place.2;
        if let Some((at, timer)) = index.timer {
            self.queue.timers.remove(&(at, timer, id));
        }
        if index.ready {
            self.queue.withdraw(index);
        }
        if index.running {
            self.queue.pools[index.pool].running -= 1;
            self.queue.stirred.insert(index.pool);
        }
        self.queue.awaiting.take_out(index);
        if let Some(definition) = &index.definition {
            self.definitions.take_out(definition, &index.place, index.running, index.postponed);
        }
        if let Some(chain) = index.token.as_ref().and_then(|t| self.queue.chains.get_mut(t)) {
            chain.members.remove(&index.place);
            chain.locked.remove(&index.place);
            if chain.offered == Some(index.place) {
                chain.offered = None;
            }
        }
    }

    /// Puts a job into the queue, to be followed by [`Core::settle`].
    pub(super) fn put_in(&mut self, index: &Index) {
        let id = index.place.2;
        if let Some((at, timer)) = index.timer {
            self.queue.timers.insert((at, timer, id));
        }
        if index.running {
            self.queue.pools[index.pool].running += 1;
        }
        self.queue.awaiting.put_in(index);
        if let Some(definition) = &index.definition {
            self.definitions.put_in(definition, id, index.running, index.postponed);
        }
        match &index.token {
            Some(token) => {
                let chain = self.queue.chains.entry(token.clone()).or_default();
                chain.members.insert(index.place);
                if index.locked {
                    chain.locked.insert(index.place);
                }
            }
            None if index.ready => self.queue.offer(index),
            None => {}
        }
    }

    /// Offers the job of a chain whose turn it is, and no other.
    pub(super) fn settle(&mut self, token: &Arc<str>) {
        let Some(chain) = self.queue.chains.get(token) else { return };
        let offered = chain.offered;
        let next = chain.members.first().filter(|_| chain.locked.is_empty()).copied();
        if chain.members.is_empty() {
            self.queue.chains.remove(token);
            return;
        }
        let next = next.and_then(|place| {
            let index = self.index_of(&place.2)?;
            index.ready.then_some(index)
        });
        if next.as_ref().map(|index| index.place) == offered {
            return;
        }
        // Somebody older came: the one offered before waits again.
        if let Some(index) = offered.and_then(|place| self.index_of(&place.2)) {
            self.set_aside(&index);
        }
        if let Some(index) = &next {
            self.queue.offer(index);
        }
        if let Some(chain) = self.queue.chains.get_mut(token) {
            chain.offered = next.map(|index| index.place);
        }
    }

    /// Takes a ready job away from where it could start.
    pub(super) fn set_aside(&mut self, index: &Index) {
        if !self.queue.withdraw(index)
            && let Some(definition) = &index.definition
        {
            self.definitions.release(definition, &index.place);
        }
    }

    /// Offers a job that was held back beside its pool.
    pub(super) fn offer_again(&mut self, place: &Place) {
        if let Some(index) = self.index_of(&place.2)
            && index.ready
        {
            self.queue.offer(&index);
        }
    }

    /// Where a known job stands.
    pub(super) fn index_of(&mut self, id: &Guid) -> Option<Index> {
        let job = self.jobs.get(id)?;
        Some(Index::of(job, &mut self.queue, &self.policies))
    }
}
