//! A table of a snapshot as DataFusion sees it. Projection, filters and limit
//! go into the scan; row counts are exact.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;

use super::reading::{Reading, project};
use super::scan::ScanExec;
use super::waits;
use crate::store::Snapshot;

/// One table of a snapshot. The snapshot as a whole stays alive with it, since
/// name columns read the tables that lookups point to.
#[derive(Clone)]
pub struct SnapshotTable {
    snapshot: Arc<Snapshot>,
    index: usize,
}

impl SnapshotTable {
    pub fn new(snapshot: Arc<Snapshot>, index: usize) -> Self {
        Self { snapshot, index }
    }

    /// The snapshot, and the table's number in its catalog.
    pub fn parts(&self) -> (&Arc<Snapshot>, usize) {
        (&self.snapshot, self.index)
    }

    /// Rows of the table.
    pub fn rows(&self) -> usize {
        self.snapshot.rows(self.index)
    }

    /// What is read of it for some columns of the rows that pass filters.
    pub async fn reading(
        &self,
        state: &dyn Session,
        projection: Vec<usize>,
        filters: &[Expr],
    ) -> Result<Reading> {
        let facts = self.snapshot.table(self.index).table();
        if let Some(column) = waits::column(facts)
            && (projection.contains(&column) || waits::is_in(filters, &facts.columns[column]))
        {
            self.snapshot.ask_waits().await;
        }
        let schema = self.schema();
        let mut columns = filters
            .iter()
            .flat_map(Expr::column_refs)
            .map(|column| schema.index_of(&column.name))
            .collect::<Result<Vec<_>, _>>()?;
        columns.sort_unstable();
        columns.dedup();
        let schema = DFSchema::try_from(project(&schema, &columns))?;
        let conditions = filters.iter().flat_map(split_conjunction);
        let conditions = conditions
            .map(|condition| state.create_physical_expr(condition.clone(), &schema))
            .collect::<Result<_>>()?;
        let reading = Reading::new(self.snapshot.clone(), self.index, projection);
        reading.filtered(conditions, &columns)
    }
}

impl std::fmt::Debug for SnapshotTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let table = self.snapshot.table(self.index).table();
        write!(f, "SnapshotTable({}, {} rows)", table.logical_name, self.rows())
    }
}

#[async_trait]
impl TableProvider for SnapshotTable {
    fn schema(&self) -> SchemaRef {
        self.snapshot.table(self.index).table().schema().clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        // The scan evaluates whatever DataFusion can; only those rows come out.
        Ok(vec![TableProviderFilterPushDown::Exact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let partitions = state.config().target_partitions();
        let projection = match projection {
            Some(columns) => columns.clone(),
            None => (0..self.schema().fields().len()).collect(),
        };
        let reading = self.reading(state, projection, filters).await?;
        Ok(Arc::new(ScanExec::new(reading, partitions, limit)))
    }
}
