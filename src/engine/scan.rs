//! Reads the chunks of a snapshot: filters first, on the columns they need, then
//! the other columns of the rows that remain.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, BooleanArray, RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::{FilterBuilder, FilterPredicate, and, prep_null_mask_filter};
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DFSchema, Result, Statistics};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::conjunction;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{
    Boundedness, EmissionType, ReplaceChildrenOptions, SchedulingType, apply_expression_roots,
};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
};

use super::derived::Rows;
use crate::store::{Chunk, Snapshot, TableSnapshot};

/// The scan of one table.
pub struct ScanExec {
    work: Arc<Work>,
    limit: Option<usize>,
    properties: Arc<PlanProperties>,
}

/// What every partition needs.
struct Work {
    snapshot: Arc<Snapshot>,
    table: usize,
    projection: Vec<usize>,
    schema: SchemaRef,
    filter: Option<ScanFilter>,
}

/// A condition on some columns of the table.
struct ScanFilter {
    columns: Vec<usize>,
    schema: SchemaRef,
    condition: Arc<dyn PhysicalExpr>,
}

impl ScanExec {
    pub fn new(
        snapshot: Arc<Snapshot>,
        table: usize,
        projection: Vec<usize>,
        partitions: usize,
        limit: Option<usize>,
    ) -> Self {
        let schema = project(snapshot.table(table).table().schema(), &projection);
        let chunks = snapshot.table(table).chunks().len();
        // One partition suffices when the rows asked for are few.
        let partitions = if limit.is_some() { 1 } else { partitions.min(chunks).max(1) };
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema.clone()),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::NonCooperative);
        let work = Work { snapshot, table, projection, schema, filter: None };
        Self { work: Arc::new(work), limit, properties: Arc::new(properties) }
    }

    /// The scan of the rows for which all filters are true.
    pub fn with_filters(mut self, filters: &[Expr], state: &dyn Session) -> Result<Self> {
        let Some(condition) = conjunction(filters.to_vec()) else { return Ok(self) };
        let facts = self.work.snapshot.table(self.work.table).table().clone();
        let mut columns: Vec<usize> = condition
            .column_refs()
            .iter()
            .map(|column| facts.schema().index_of(&column.name).map_err(Into::into))
            .collect::<Result<_>>()?;
        columns.sort_unstable();
        let schema = project(facts.schema(), &columns);
        let df_schema = DFSchema::try_from(schema.clone())?;
        let condition = state.create_physical_expr(condition, &df_schema)?;
        let work = &self.work;
        self.work = Arc::new(Work {
            snapshot: work.snapshot.clone(),
            table: work.table,
            projection: work.projection.clone(),
            schema: work.schema.clone(),
            filter: Some(ScanFilter { columns, schema, condition }),
        });
        Ok(self)
    }

    fn partitions(&self) -> usize {
        self.properties.partitioning.partition_count()
    }
}

fn project(schema: &SchemaRef, columns: &[usize]) -> SchemaRef {
    Arc::new(Schema::new(columns.iter().map(|i| schema.field(*i).clone()).collect::<Vec<_>>()))
}

impl Work {
    fn table(&self) -> &TableSnapshot {
        self.snapshot.table(self.table)
    }

    /// Columns of rows of a chunk.
    fn batch(
        &self,
        chunk: &Chunk,
        filter: Option<&FilterPredicate>,
        columns: &[usize],
        schema: &SchemaRef,
    ) -> Result<RecordBatch> {
        let rows = Rows { snapshot: &self.snapshot, table: self.table(), chunk, filter };
        let arrays = columns.iter().map(|column| rows.array(*column)).collect::<Result<_>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        Ok(RecordBatch::try_new_with_options(schema.clone(), arrays, &options)?)
    }

    /// The rows of a chunk that are there and pass the filter; `None`: all.
    fn selection(&self, chunk: &Chunk) -> Result<Option<BooleanArray>> {
        let alive = chunk.alive().map(|alive| BooleanArray::new(alive.clone(), None));
        let Some(filter) = &self.filter else { return Ok(alive) };
        let batch = self.batch(chunk, None, &filter.columns, &filter.schema)?;
        let mask = filter.condition.evaluate(&batch)?.into_array(chunk.rows())?;
        let mask = mask.as_boolean();
        let mask = if mask.null_count() > 0 { prep_null_mask_filter(mask) } else { mask.clone() };
        Ok(Some(match alive {
            Some(alive) => and(&alive, &mask)?,
            None => mask,
        }))
    }

    /// The rows that a chunk adds to the answer, at most `limit`.
    fn read(&self, chunk: &Chunk, limit: Option<usize>) -> Result<Option<RecordBatch>> {
        let selection = self.selection(chunk)?;
        let selected = selection.as_ref().map_or(chunk.rows(), BooleanArray::true_count);
        if selected == 0 {
            return Ok(None);
        }
        let filter = selection
            .filter(|_| selected < chunk.rows())
            .map(|mask| FilterBuilder::new(&mask).optimize().build());
        let batch = self.batch(chunk, filter.as_ref(), &self.projection, &self.schema)?;
        Ok(Some(match limit {
            Some(limit) if limit < batch.num_rows() => batch.slice(0, limit),
            _ => batch,
        }))
    }
}

impl ExecutionPlan for ScanExec {
    fn name(&self) -> &'static str {
        "ScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        apply_expression_roots(self.work.filter.as_ref().map(|filter| &filter.condition), f)
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(
        &self,
        partition: usize,
        _context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let partitions = self.partitions();
        let chunks = self.work.table().chunks();
        let (from, to) =
            (chunks.len() * partition / partitions, chunks.len() * (partition + 1) / partitions);
        let (work, mut left) = (self.work.clone(), self.limit);
        let mut chunk = from;
        let batches = std::iter::from_fn(move || {
            while chunk < to && left != Some(0) {
                chunk += 1;
                match work.read(&work.table().chunks()[chunk - 1], left) {
                    Ok(Some(batch)) => {
                        left = left.map(|n| n - batch.num_rows());
                        return Some(Ok(batch));
                    }
                    Ok(None) => {}
                    Err(e) => return Some(Err(e)),
                }
            }
            None
        });
        let stream = futures::stream::iter(batches);
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.work.schema.clone(), stream)))
    }

    fn statistics_from_inputs(
        &self,
        _: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let mut statistics = Statistics::new_unknown(&self.work.schema);
        let rows = self.work.table().rows();
        statistics.num_rows = match (args.partition(), &self.work.filter) {
            (None, None) => Precision::Exact(self.limit.map_or(rows, |limit| limit.min(rows))),
            (None, Some(_)) => Precision::Inexact(rows),
            (Some(_), _) => Precision::Inexact(rows / self.partitions()),
        };
        Ok(Arc::new(statistics))
    }

    fn supports_limit_pushdown(&self) -> bool {
        false
    }
}

impl DisplayAs for ScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = self.work.table();
        write!(
            f,
            "ScanExec: table={}, chunks={}",
            table.table().logical_name,
            table.chunks().len()
        )?;
        if let Some(filter) = &self.work.filter {
            write!(f, ", filter={}", filter.condition)?;
        }
        if let Some(limit) = self.limit {
            write!(f, ", limit={limit}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for ScanExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_as(DisplayFormatType::Default, f)
    }
}
