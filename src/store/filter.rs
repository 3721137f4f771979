//! Which sealed chunks may have a key: a Bloom filter of each, all of one size,
//! kept side by side so that one look-up asks 64 chunks at once.
//!
//! The writer and all snapshots share them without a lock. A filter gives its place
//! to another one when nobody holds its chunk any more; a chunk that may have a key
//! is asked itself.

use std::any::Any;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, RwLock};

use crate::value::Guid;

/// Bits of one filter: 16 for each key of a full chunk.
const BITS: usize = 1 << 20;

/// Bits that a key sets. With 16 bits a key one in a thousand look-ups asks a
/// chunk in vain.
const HASHES: u64 = 6;

/// The filter of one chunk.
pub type Filter = Box<[u64]>;

/// Nothing when nobody has the chunk of a filter any more.
pub type Holder = Weak<dyn Any + Send + Sync>;

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
    chunks: Mutex<Vec<Holder>>,
}

impl Group {
    fn new() -> Self {
        Self {
            words: (0..BITS).map(|_| AtomicU64::new(0)).collect(),
            firsts: std::array::from_fn(|_| AtomicU64::new(0)),
            used: AtomicUsize::new(0),
            chunks: Mutex::default(),
        }
    }

    /// Whether there was room.
    fn add(&self, first: u64, filter: &Filter, chunk: &Holder) -> bool {
        let mut chunks = self.chunks.lock();
        let slot = match chunks.iter().position(|chunk| chunk.strong_count() == 0) {
            Some(slot) => {
                for word in &self.words {
                    word.fetch_and(!(1 << slot), Ordering::Relaxed);
                }
                chunks[slot] = chunk.clone();
                slot
            }
            None if chunks.len() == self.firsts.len() => return false,
            None => {
                chunks.push(chunk.clone());
                chunks.len() - 1
            }
        };
        self.firsts[slot].store(first, Ordering::Relaxed);
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
        self.used.store(chunks.len(), Ordering::Release);
        true
    }

    /// Up to 64 filters at once, which is much faster than one by one.
    fn of(filters: &[(u64, &Filter, Holder)]) -> Self {
        let group = Self::new();
        for index in 0..WORDS {
            let mut rows = [0; 64];
            for (row, (_, filter, _)) in rows.iter_mut().zip(filters) {
                *row = filter[index];
            }
            let words = &group.words[index * 64..];
            for (word, bits) in words.iter().zip(transposed(rows)) {
                word.store(bits, Ordering::Relaxed);
            }
        }
        for ((first, _, chunk), place) in filters.iter().zip(&group.firsts) {
            place.store(*first, Ordering::Relaxed);
            group.chunks.lock().push(chunk.clone());
        }
        group.used.store(filters.len(), Ordering::Release);
        group
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

/// Bit `i` of word `j` becomes bit `j` of word `i`, by halves, quarters and so on.
fn transposed(mut rows: [u64; 64]) -> [u64; 64] {
    let (mut width, mut mask) = (32, u64::MAX >> 32);
    while width > 0 {
        for low in (0..64).filter(|row| row & width == 0) {
            let swapped = ((rows[low] >> width) ^ rows[low + width]) & mask;
            rows[low] ^= swapped << width;
            rows[low + width] ^= swapped;
        }
        width /= 2;
        mask ^= mask << width;
    }
    rows
}

/// The filters of a table's chunks.
#[derive(Default)]
pub struct Filters {
    groups: RwLock<Vec<Arc<Group>>>,
}

impl Filters {
    /// Takes in many chunks, before anybody looks anything up.
    pub fn add_all(&self, filters: &[(u64, &Filter, Holder)]) {
        self.groups.write().extend(filters.chunks(64).map(Group::of).map(Arc::new));
    }

    /// Takes in the chunk that begins with a row number; called by the writer only.
    pub fn add(&self, first: u64, filter: &Filter, chunk: &Holder) {
        let groups = self.groups.read().clone();
        if !groups.iter().any(|group| group.add(first, filter, chunk)) {
            let group = Group::new();
            group.add(first, filter, chunk);
            self.groups.write().push(Arc::new(group));
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
        let holders: Vec<Arc<dyn Any + Send + Sync>> =
            (0..=chunks).map(|n| Arc::new(n) as Arc<_>).collect();
        let made: Vec<Filter> =
            (0..chunks).map(|chunk| filter((0..keys).map(|n| key(chunk, n)))).collect();
        let holder = |chunk: u64| Arc::downgrade(&holders[chunk as usize]);
        // Most at once, as at the start, and the others one by one.
        let (first, later) = made.split_at(66);
        let first: Vec<_> =
            (0..).zip(first).map(|(chunk, keys)| (chunk * 1000, keys, holder(chunk))).collect();
        filters.add_all(&first);
        for (chunk, keys) in (66..).zip(later) {
            filters.add(chunk * 1000, keys, &holder(chunk));
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
        // A chunk that is gone makes room, and none is asked for its keys any more.
        let mut holders = holders;
        let last = holders.pop().expect("one more than chunks");
        holders.remove(3);
        filters.add(chunks * 1000, &filter([key(chunks, 0)].into_iter()), &Arc::downgrade(&last));
        assert_eq!(filters.candidates(&key(chunks, 0)), [chunks * 1000]);
        assert_eq!(filters.candidates(&key(3, 0)), Vec::<u64>::new());
        assert_eq!(filters.groups.read().len(), 2);
    }
}
