//! Which sealed chunks may have a key: a Bloom filter of each, all of one size,
//! kept side by side so that one look-up asks 64 chunks at once.
//!
//! Filters are added and never taken back, so the writer and all snapshots share
//! them without a lock; a chunk that may have a key is asked itself.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::value::Guid;

/// Bits of one filter: 16 for each key of a full chunk.
const BITS: usize = 1 << 20;

/// Bits that a key sets. With 16 bits a key one in a thousand look-ups asks a
/// chunk in vain.
const HASHES: u64 = 6;

/// The filter of one chunk.
pub type Filter = Box<[u64]>;

/// Words of a filter.
pub const WORDS: usize = BITS / 64;

/// The bits of a key. They are on disk: another choice is another format.
fn bits(id: &Guid) -> impl Iterator<Item = usize> {
    let number = u128::from_le_bytes(*id);
    let mut mixed = (number as u64) ^ ((number >> 64) as u64).rotate_left(29);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    let (start, step) = (mixed & 0xffff_ffff, (mixed >> 32) | 1);
    (0..HASHES).map(move |n| (start.wrapping_add(n.wrapping_mul(step)) as usize) % BITS)
}

/// The filter of some keys.
pub fn filter(ids: impl Iterator<Item = Guid>) -> Filter {
    let mut words = vec![0; WORDS];
    for id in ids {
        bits(&id).for_each(|bit| words[bit / 64] |= 1 << (bit % 64));
    }
    words.into()
}

/// The filters of up to 64 chunks: a word for each bit, in it a bit for each chunk.
struct Group {
    words: Box<[AtomicU64]>,
    /// First row numbers of the chunks.
    firsts: [AtomicU64; 64],
    used: AtomicUsize,
}

impl Group {
    fn new() -> Self {
        Self {
            words: (0..BITS).map(|_| AtomicU64::new(0)).collect(),
            firsts: std::array::from_fn(|_| AtomicU64::new(0)),
            used: AtomicUsize::new(0),
        }
    }

    /// Whether there was room.
    fn add(&self, first: u64, filter: &Filter) -> bool {
        let slot = self.used.load(Ordering::Relaxed);
        if slot == self.firsts.len() {
            return false;
        }
        for (index, word) in filter.iter().enumerate() {
            let mut left = *word;
            while left != 0 {
                let bit = index * 64 + left.trailing_zeros() as usize;
                // There is one writer.
                let before = self.words[bit].load(Ordering::Relaxed);
                self.words[bit].store(before | (1 << slot), Ordering::Relaxed);
                left &= left - 1;
            }
        }
        self.firsts[slot].store(first, Ordering::Relaxed);
        self.used.store(slot + 1, Ordering::Release);
        true
    }

    fn candidates(&self, id: &Guid, found: &mut Vec<u64>) {
        let used = self.used.load(Ordering::Acquire);
        let mut chunks = if used == 64 { u64::MAX } else { (1 << used) - 1 };
        for bit in bits(id) {
            chunks &= self.words[bit].load(Ordering::Relaxed);
            if chunks == 0 {
                return;
            }
        }
        while chunks != 0 {
            found.push(self.firsts[chunks.trailing_zeros() as usize].load(Ordering::Relaxed));
            chunks &= chunks - 1;
        }
    }
}

/// The filters of a table's chunks.
#[derive(Default)]
pub struct Filters {
    groups: parking_lot::RwLock<Vec<std::sync::Arc<Group>>>,
}

impl Filters {
    /// Takes in the chunk that begins with a row number; called by the writer only.
    pub fn add(&self, first: u64, filter: &Filter) {
        let last = self.groups.read().last().cloned();
        if !last.is_some_and(|group| group.add(first, filter)) {
            let group = Group::new();
            group.add(first, filter);
            self.groups.write().push(std::sync::Arc::new(group));
        }
    }

    /// First row numbers of the chunks that may have a key, the newest first.
    pub fn candidates(&self, id: &Guid) -> Vec<u64> {
        let mut found = Vec::new();
        for group in self.groups.read().iter() {
            group.candidates(id, &mut found);
        }
        found.reverse();
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_leads_to_its_chunk_and_hardly_to_another() {
        let filters = Filters::default();
        let key = |chunk: u64, n: u64| {
            uuid::Uuid::new_v5(&uuid::Uuid::nil(), format!("{chunk} {n}").as_bytes()).into_bytes()
        };
        let (chunks, keys) = (70, 500);
        for chunk in 0..chunks {
            filters.add(chunk * 1000, &filter((0..keys).map(|n| key(chunk, n))));
        }
        let mut surplus = 0;
        for chunk in 0..chunks {
            for n in 0..keys {
                let found = filters.candidates(&key(chunk, n));
                assert!(found.contains(&(chunk * 1000)));
                surplus += found.len() - 1;
            }
        }
        assert_eq!(surplus, 0, "so few keys do not meet");
        assert_eq!(filters.candidates(&key(chunks, 0)), Vec::<u64>::new());
    }
}
