//! Places in their order, each of which can be asked for its number: what a line of
//! waiting jobs is for those who stand in it.
//!
//! The places lie in blocks of some hundred, so that one goes in and out in O(log n)
//! and its number is a sum over the blocks before it: of a million places, two
//! thousand additions.

use std::collections::VecDeque;

use super::job::Place;

/// Places of a block before it becomes two.
const BLOCK_MAX: usize = 1024;

/// A sorted set of places.
#[derive(Debug, Default)]
pub struct Ranked {
    /// None is empty, and each stands after the one before.
    blocks: VecDeque<VecDeque<Place>>,
}

impl Ranked {
    pub fn first(&self) -> Option<&Place> {
        self.blocks.front()?.front()
    }

    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Place> {
        self.blocks.iter().flatten()
    }

    /// The block in which a place is, or into which it belongs; beyond the last one
    /// for a place after all others.
    fn block(&self, place: &Place) -> usize {
        self.blocks.partition_point(|block| block.back().is_some_and(|last| last < place))
    }

    pub fn insert(&mut self, place: Place) {
        let number = self.block(&place);
        let Some(block) = self.blocks.get_mut(number) else {
            // The newest, as nearly always.
            match self.blocks.back_mut().filter(|last| last.len() < BLOCK_MAX) {
                Some(last) => last.push_back(place),
                None => self.blocks.push_back(VecDeque::from([place])),
            }
            return;
        };
        let Err(at) = block.binary_search(&place) else { return };
        block.insert(at, place);
        if block.len() > BLOCK_MAX {
            let rest = block.split_off(BLOCK_MAX / 2);
            self.blocks.insert(number + 1, rest);
        }
    }

    /// Takes a place out; whether it was there.
    pub fn remove(&mut self, place: &Place) -> bool {
        let number = self.block(place);
        let Some(block) = self.blocks.get_mut(number) else { return false };
        let Ok(at) = block.binary_search(place) else { return false };
        block.remove(at);
        let left = block.len();
        if left == 0 {
            self.blocks.remove(number);
        } else if self.blocks.get(number + 1).is_some_and(|next| left + next.len() < BLOCK_MAX / 2)
            && let Some(next) = self.blocks.remove(number + 1)
        {
            // Few places in many blocks would make their numbers long sums.
            self.blocks[number].extend(next);
        }
        true
    }

    /// How many places stand before one.
    pub fn before(&self, place: &Place) -> usize {
        let number = self.block(place);
        let whole: usize = self.blocks.iter().take(number).map(VecDeque::len).sum();
        let within =
            self.blocks.get(number).map_or(0, |block| block.partition_point(|p| p < place));
        whole + within
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn it_is_a_sorted_set_that_counts() {
        let mut ranked = Ranked::default();
        let mut plain = BTreeSet::new();
        let mut number = 1_u64;
        let mut chance = |below: u64| {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (number >> 33) % below
        };
        for round in 0..60_000_i64 {
            let place = |at: u64| (at as i64, 0, [0; 16]);
            // It grows at its end, with some in between, then shrinks.
            match (chance(10), round < 30_000) {
                (0..=5, true) => {
                    let place = (round, 0, [0; 16]);
                    ranked.insert(place);
                    plain.insert(place);
                }
                (6..=7, true) | (0, false) => {
                    let place = place(chance(30_000));
                    ranked.insert(place);
                    plain.insert(place);
                }
                (1..=4, false) => {
                    if let Some(first) = plain.pop_first() {
                        assert!(ranked.remove(&first));
                    }
                }
                _ => {
                    let place = place(chance(30_000));
                    assert_eq!(ranked.remove(&place), plain.remove(&place));
                }
            }
            assert_eq!(ranked.first(), plain.first());
            if round % 1_000 == 0 {
                assert!(ranked.iter().eq(plain.iter()));
                let place = place(chance(30_000));
                assert_eq!(ranked.before(&place), plain.range(..place).count());
            }
        }
        for place in &plain {
            assert!(ranked.remove(place));
        }
        assert!(ranked.is_empty() && ranked.blocks.is_empty());
    }
}
