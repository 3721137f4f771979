//! How many bytes columns of sealed chunks may take in memory. Those that have not
//! been read for longest make room for others, by the clock algorithm.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::sealed::Sealed;

/// The columns in memory.
pub struct Memory {
    limit: usize,
    used: AtomicUsize,
    read: AtomicUsize,
    clock: Mutex<Clock>,
}

#[derive(Default)]
struct Clock {
    columns: Vec<(Weak<Sealed>, usize)>,
    hand: usize,
}

impl Memory {
    pub fn new(limit: usize) -> Self {
        let (used, read) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { limit, used, read, clock: Mutex::default() }
    }

    /// Half of what the machine has, or a GiB where it does not say.
    pub fn half_of_machine() -> usize {
        machine_memory().map_or(1 << 30, |bytes| bytes / 2)
    }

    /// Bytes of columns in memory.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// How often a column was read from its file.
    pub fn read(&self) -> usize {
        self.read.load(Ordering::Relaxed)
    }

    /// Whether less than half of what columns may take is taken.
    pub fn is_half_empty(&self) -> bool {
        self.used() < self.limit / 2
    }

    /// A column has come into memory; others go until all fit.
    pub fn took(&self, chunk: &Arc<Sealed>, column: usize, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
        self.read.fetch_add(1, Ordering::Relaxed);
        let mut clock = self.clock.lock();
        clock.columns.push((Arc::downgrade(chunk), column));
        // Twice round the clock: once to see that a column is not read any more.
        let mut looks = 2 * clock.columns.len();
        while self.used() > self.limit && looks > 0 && !clock.columns.is_empty() {
            looks -= 1;
            if clock.hand >= clock.columns.len() {
                clock.hand = 0;
            }
            let at = clock.hand;
            let (owner, index) = &clock.columns[at];
            let gone = match owner.upgrade() {
                Some(owner) => owner.unload(*index),
                None => true,
            };
            match gone {
                true => drop(clock.columns.swap_remove(at)),
                false => clock.hand += 1,
            }
        }
    }

    /// Bytes have left memory.
    pub fn gave(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Bytes of memory that the machine has, if it says.
pub fn machine_memory() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kib = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    kib.trim().strip_suffix("kB")?.trim().parse::<usize>().ok()?.checked_mul(1024)
}
