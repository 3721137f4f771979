//! Rounds that the writer has: the next one is decided while they become durable.

use std::collections::VecDeque;

use futures::future::{BoxFuture, FutureExt};

use super::round::Round;
use crate::error::Result;
use crate::store::Store;
use crate::value::Guid;

/// One round is being written, some are being staged, and those who have their answers
/// ask for the next. With more, changes would only wait longer.
const MAX: usize = 8;

/// Rounds on their way to the disk, in order.
#[derive(Default)]
pub struct Commits {
    rounds: VecDeque<Commit>,
}

struct Commit {
    durable: BoxFuture<'static, Result<()>>,
    /// Without its changes, which the writer has.
    round: Round,
    at: i64,
}

impl Commits {
    pub fn is_empty(&self) -> bool {
        self.rounds.is_empty()
    }

    pub fn is_full(&self) -> bool {
        self.rounds.len() >= MAX
    }

    /// Hands a round of a time to the writer. One without changes waits for those
    /// before it, too.
    pub async fn push(&mut self, store: &Store, mut round: Round, at: i64) -> Result<()> {
        let changes = std::mem::take(&mut round.changes);
        let durable = match changes.is_empty() {
            true => futures::future::ready(Ok(())).boxed(),
            false => {
                let answer = store.hand_over(changes).await?;
                async { answer.await.map(|_| ()) }.boxed()
            }
        };
        self.rounds.push_back(Commit { durable, round, at });
        Ok(())
    }

    /// The first round with its time, once it is durable; nothing when there is none.
    /// Whoever stops waiting loses nothing.
    pub async fn next(&mut self) -> Result<Option<(Round, i64)>> {
        let Some(first) = self.rounds.front_mut() else { return Ok(None) };
        (&mut first.durable).await?;
        Ok(self.rounds.pop_front().map(|commit| (commit.round, commit.at)))
    }

    /// The sequence of a new job whose id its sender gave.
    pub fn submitted(&self, id: &Guid) -> Option<i64> {
        self.rounds.iter().find_map(|commit| commit.round.submitted.get(id)).copied()
    }
}
