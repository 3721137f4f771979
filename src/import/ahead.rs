//! Storing on a thread of its own, so that the next batch is read meanwhile.

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::Scope;

use datafusion::arrow::array::RecordBatch;

use super::Sink;
use crate::error::{Error, Result};
use crate::store::Appended;

/// A sink that stores batches in their order while its user goes on.
pub struct Ahead {
    batches: SyncSender<(usize, RecordBatch)>,
    answers: Receiver<Result<Appended>>,
    /// Batches without an answer yet.
    waiting: usize,
}

impl Ahead {
    /// Starts the thread that stores into `sink`; it ends with the last use of this.
    pub fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        sink: &'scope mut (dyn Sink + Send),
    ) -> Self {
        // One batch is stored and one waits: more would only take memory.
        let (batches, to_store) = sync_channel(1);
        let (answer, answers) = channel();
        scope.spawn(move || store(sink, &to_store, &answer));
        Self { batches, answers, waiting: 0 }
    }

    /// Hands a batch over; the answer is about those that were stored since the last
    /// one.
    pub fn push(&mut self, table: usize, batch: RecordBatch) -> Result<Appended> {
        let mut done = Appended::default();
        while let Ok(answer) = self.answers.try_recv() {
            self.count(answer, &mut done)?;
        }
        self.batches.send((table, batch)).map_err(|_| ended())?;
        self.waiting += 1;
        Ok(done)
    }

    /// Waits until all batches are stored.
    pub fn finish(&mut self) -> Result<Appended> {
        let mut done = Appended::default();
        while self.waiting > 0 {
            let answer = self.answers.recv().map_err(|_| ended())?;
            self.count(answer, &mut done)?;
        }
        Ok(done)
    }

    fn count(&mut self, answer: Result<Appended>, done: &mut Appended) -> Result<()> {
        self.waiting -= 1;
        let answer = answer?;
        done.inserted += answer.inserted;
        done.replaced += answer.replaced;
        Ok(())
    }
}

impl Sink for Ahead {
    fn append(&mut self, table: usize, batch: RecordBatch) -> Result<Appended> {
        let before = self.push(table, batch)?;
        let mut done = self.finish()?;
        done.inserted += before.inserted;
        done.replaced += before.replaced;
        Ok(done)
    }
}

/// Stores what comes until it ends or something cannot be stored.
fn store(
    sink: &mut dyn Sink,
    batches: &Receiver<(usize, RecordBatch)>,
    answers: &Sender<Result<Appended>>,
) {
    while let Ok((table, batch)) = batches.recv() {
        let answer = sink.append(table, batch);
        let failed = answer.is_err();
        // Nobody waits for the answers of an import that was given up.
        if answers.send(answer).is_err() || failed {
            return;
        }
    }
}

fn ended() -> Error {
    Error::internal("the thread that stores rows has ended")
}
