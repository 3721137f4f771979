//! The pools as they are, for whoever wants to know.

use super::Core;

/// Places of jobs, by the operation types that share them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pools {
    pub pools: Vec<PoolState>,
    /// Places of each type that is in none of them.
    pub concurrency: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolState {
    pub name: String,
    pub operationtypes: Vec<Option<i32>>,
    pub concurrency: usize,
    pub running: usize,
}

impl Core {
    pub fn pools(&self) -> Pools {
        let state = |(number, pool): (usize, &super::queue::Pool)| {
            let mut operationtypes = self.queue.types_of(number);
            operationtypes.sort_unstable();
            let (concurrency, running) = (pool.concurrency, pool.running);
            PoolState { name: pool.name.clone(), operationtypes, concurrency, running }
        };
        let pools = self.queue.pools.iter().enumerate().map(state).collect();
        Pools { pools, concurrency: self.policies.concurrency }
    }
}
