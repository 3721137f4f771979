//! How long a query may run and how much memory it may take.

use std::sync::Arc;
use std::time::Duration;

use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::SessionConfig;
use futures::{StreamExt, stream};

use crate::error::{Error, ErrorKind, codes};
use crate::store::ROWS_MAX;

/// The limits of queries; nothing is no limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct QueryLimits {
    /// From the start of a query to its last row.
    pub time: Option<Duration>,
    /// For what sorts, groups and joins of all queries keep, in bytes.
    pub memory: Option<usize>,
    /// Read rows even where pre-aggregates have the answer.
    pub scanning: bool,
}

/// Memory for each row of a batch. A sort or a group holds and merges many batches at once,
/// and rows may be wide.
const ROW_SHARE: usize = 32 << 10;
const BATCH_ROWS_MIN: usize = 1024;

/// Memory for each part of a query that works beside others. What the parts keep for merging
/// the others may take while it is free, so many parts in little memory fail.
const PARTITION_SHARE: usize = 64 << 20;

/// What a sort keeps for merging, at most, and no more than half of what there is: the keys
/// of what is merged may take more than the rows, and narrow rows are mostly keys. More would be
/// kept from other queries.
const MERGING_MAX: usize = 16 << 20;

impl QueryLimits {
    /// How a session is set up so that what does not fit into memory is put on disk.
    pub fn configure(&self, config: SessionConfig) -> SessionConfig {
        // Chunk-sized batches: small ones cost twice the time.
        let Some(memory) = self.memory else { return config.with_batch_size(ROWS_MAX) };
        let partitions = (memory / PARTITION_SHARE).clamp(1, config.target_partitions());
        let kept = (memory / partitions / 2).min(MERGING_MAX);
        config
            .with_batch_size((memory / ROW_SHARE).clamp(BATCH_ROWS_MIN, ROWS_MAX))
            .with_target_partitions(partitions)
            .with_sort_spill_reservation_bytes(kept)
    }

    /// Where queries take their memory from. What can be put aside on disk has a
    /// fair share of it, and is put into the folder for temporary files beyond.
    pub fn runtime(&self) -> Result<Arc<RuntimeEnv>, DataFusionError> {
        let builder = RuntimeEnvBuilder::new();
        match self.memory {
            Some(bytes) => builder.with_memory_pool(Arc::new(FairSpillPool::new(bytes))),
            None => builder,
        }
        .build_arc()
    }

    /// The rows of a query that begins now; an error once its time is over.
    pub fn timed(&self, rows: SendableRecordBatchStream) -> SendableRecordBatchStream {
        let Some(time) = self.time else { return rows };
        let schema = rows.schema();
        let limit = Box::pin(tokio::time::sleep(time));
        let rows = stream::unfold(Some((rows, limit)), move |state| async move {
            let (mut rows, mut limit) = state?;
            tokio::select! {
                biased;
                () = &mut limit => {
                    // The query ends with its stream.
                    Some((Err(DataFusionError::External(Box::new(timed_out(time)))), None))
                }
                row = rows.next() => Some((row?, Some((rows, limit)))),
            }
        });
        Box::pin(RecordBatchStreamAdapter::new(schema, rows))
    }
}

fn timed_out(time: Duration) -> Error {
    let message = format!(
        "the query took longer than {} s and was stopped; --query-timeout sets the limit",
        time.as_secs_f64()
    );
    Error::new(ErrorKind::Limit, codes::SQL_TIMEOUT, message).sqlstate("57014")
}

/// A query that wants more memory than there is for queries.
pub fn out_of_memory(what: &str) -> Error {
    let message = format!(
        "the query needs more memory than is left for queries; --query-memory sets the limit ({})",
        what.lines().next().unwrap_or_default()
    );
    Error::new(ErrorKind::Limit, codes::UNEXPECTED, message).sqlstate("53200")
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Int32Array, RecordBatch};
    use datafusion::arrow::datatypes::{DataType, Field, Schema};

    use super::*;
    use crate::engine::failure;

    /// One batch, then rows that never come.
    fn endless() -> SendableRecordBatchStream {
        let schema = Arc::new(Schema::new(vec![Field::new("x", DataType::Int32, true)]));
        let column = Arc::new(Int32Array::from(vec![1]));
        let batch = RecordBatch::try_new(schema.clone(), vec![column]).expect("one column");
        let rows = stream::iter([Ok(batch)]).chain(stream::pending());
        Box::pin(RecordBatchStreamAdapter::new(schema, rows))
    }

    #[tokio::test]
    async fn a_query_ends_when_its_time_is_over() {
        let limits = QueryLimits { time: Some(Duration::from_millis(1)), ..QueryLimits::default() };
        let mut items: Vec<_> = limits.timed(endless()).collect().await;
        let error = failure(items.pop().expect("an end").expect_err("too long"));
        assert_eq!((error.code, error.sqlstate), (0x8004_4151, Some("57014")));
        assert!(error.to_string().contains("0.001 s"), "{error}");
        assert!(items.iter().all(Result::is_ok));
    }
}
