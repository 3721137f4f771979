//! Plans and runs queries over a snapshot with DataFusion.

pub mod functions;

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::LogicalPlan;

use crate::catalog::Catalog;
use crate::error::{Error, Result};
use crate::query::bound::BoundQuery;
use crate::store::Snapshot;

/// The query engine; one for all sessions.
pub struct Engine {}

impl Engine {
    pub fn new(_catalog: Arc<Catalog>) -> Self {
        Self {}
    }

    /// The logical plan of a bound FetchXML or OData query. Its columns are the
    /// query's outputs, in order. With a page it yields one row more than the
    /// page holds when there are further rows.
    pub fn plan(&self, _query: &BoundQuery, _snapshot: &Arc<Snapshot>) -> Result<LogicalPlan> {
        Err(Error::internal("not yet"))
    }

    /// The number of rows a query has without `top` and page.
    pub async fn count(&self, _query: &BoundQuery, _snapshot: &Arc<Snapshot>) -> Result<u64> {
        Err(Error::internal("not yet"))
    }

    /// Optimizes and runs a plan.
    pub async fn run(&self, _plan: LogicalPlan) -> Result<SendableRecordBatchStream> {
        Err(Error::internal("not yet"))
    }

    /// Runs a plan to its end.
    pub async fn collect(&self, _plan: LogicalPlan) -> Result<Vec<RecordBatch>> {
        Err(Error::internal("not yet"))
    }
}
