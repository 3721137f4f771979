//! Cursors declared `SCROLL`: the rows that have come are kept, so that they can be
//! read again in either direction. Their memory is part of what queries may take.

use datafusion::arrow::array::{RecordBatch, UInt64Array};
use datafusion::arrow::compute::take_record_batch;
use datafusion::common::DataFusionError;
use datafusion::execution::memory_pool::MemoryReservation;
use futures::StreamExt;

use super::cursor::Direction;
use super::encode::Batches;

/// The rows of a query as far as they were wanted, and a place among them.
pub struct Scroll {
    batches: Batches,
    memory: MemoryReservation,
    kept: Vec<RecordBatch>,
    /// How many rows are kept.
    rows: u64,
    ended: bool,
    /// The current row from 1; 0 is before the first, one more than there are behind
    /// the last.
    at: u64,
}

impl Scroll {
    pub fn new(batches: Batches, memory: MemoryReservation) -> Self {
        Self { batches, memory, kept: Vec::new(), rows: 0, ended: false, at: 0 }
    }

    /// The rows of a `FETCH`.
    pub async fn fetch(
        &mut self,
        direction: Direction,
    ) -> Result<Vec<RecordBatch>, DataFusionError> {
        match direction {
            Direction::Forward(count) => {
                let count = count.unwrap_or(u64::MAX);
                if count == 0 {
                    return self.row(self.at).await;
                }
                let last = self.at.saturating_add(count);
                self.read(last).await?;
                let rows = self.between(self.at.saturating_add(1), last.min(self.rows));
                self.at = last.min(self.rows + 1);
                Ok(rows)
            }
            Direction::Backward(count) => {
                let first = self.at.saturating_sub(count.unwrap_or(u64::MAX));
                let rows = self.backwards(first.max(1), self.at.saturating_sub(1))?;
                self.at = first;
                Ok(rows)
            }
            Direction::Relative(steps) => {
                let row = i128::from(self.at) + i128::from(steps);
                self.row(u64::try_from(row).unwrap_or(0)).await
            }
            Direction::Absolute(row) => match u64::try_from(row) {
                Ok(row) => self.row(row).await,
                Err(_) => {
                    self.read(u64::MAX).await?;
                    let row = self.rows.saturating_add(1).saturating_sub(row.unsigned_abs());
                    self.row(row).await
                }
            },
        }
    }

    /// Goes to a row, which is the answer if it is there.
    async fn row(&mut self, row: u64) -> Result<Vec<RecordBatch>, DataFusionError> {
        self.read(row).await?;
        self.at = row.min(self.rows + 1);
        Ok(self.between(self.at.max(1), self.at.min(self.rows)))
    }

    /// Keeps rows as far as this one, if there are so many.
    async fn read(&mut self, row: u64) -> Result<(), DataFusionError> {
        while !self.ended && self.rows < row {
            match self.batches.next().await {
                Some(batch) => {
                    let batch = batch?;
                    self.memory.try_grow(batch.get_array_memory_size())?;
                    self.rows += batch.num_rows() as u64;
                    self.kept.push(batch);
                }
                None => self.ended = true,
            }
        }
        Ok(())
    }

    /// The kept rows from one to another, both included.
    fn between(&self, first: u64, last: u64) -> Vec<RecordBatch> {
        let mut found = Vec::new();
        let mut before = 0_u64;
        for batch in &self.kept {
            let (from, to) = (first.max(before + 1), last.min(before + batch.num_rows() as u64));
            if from <= to {
                // Both are places in the batch.
                let (offset, length) = ((from - before - 1) as usize, (to - from + 1) as usize);
                found.push(batch.slice(offset, length));
            }
            before += batch.num_rows() as u64;
        }
        found
    }

    /// The same from the last to the first.
    fn backwards(&self, first: u64, last: u64) -> Result<Vec<RecordBatch>, DataFusionError> {
        let turned = |batch: RecordBatch| {
            let places: UInt64Array = (0..batch.num_rows() as u64).rev().collect::<Vec<_>>().into();
            Ok(take_record_batch(&batch, &places)?)
        };
        self.between(first, last).into_iter().rev().map(turned).collect()
    }
}
