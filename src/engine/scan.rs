//! The scan of one table of a snapshot, chunk by chunk; [`reading`](super::reading)
//! says which rows of a chunk come out.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions, UInt32Array};
use datafusion::arrow::compute::take;
use datafusion::common::config::ConfigOptions;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::DynamicFilterTracking;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{
    Boundedness, EmissionType, ReplaceChildrenOptions, SchedulingType, apply_expression_roots,
};
use datafusion::physical_plan::filter_pushdown::{
    ChildPushdownResult, FilterPushdownPhase, FilterPushdownPropagation, PushedDown,
};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
};

use futures::StreamExt;
use futures::stream::BoxStream;

use super::reading::{Dynamic, Reading, within};
use crate::store::ROWS_MAX;

/// The scan of one table.
#[derive(Clone)]
pub struct ScanExec {
    reading: Arc<Reading>,
    /// The chunks that may have rows, by their numbers.
    chunks: Arc<[usize]>,
    /// At most so many rows.
    rows: usize,
    limit: Option<usize>,
    properties: Arc<PlanProperties>,
}

impl ScanExec {
    pub fn new(reading: Reading, partitions: usize, limit: Option<usize>) -> Self {
        let (chunks, rows) = reading.chunks();
        // One partition suffices when the rows asked for are few.
        let partitions = if limit.is_some() { 1 } else { partitions.min(chunks.len()).max(1) };
        let properties = PlanProperties::new(
            EquivalenceProperties::new(reading.schema.clone()),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::NonCooperative);
        Self {
            reading: Arc::new(reading),
            chunks: chunks.into(),
            rows,
            limit,
            properties: Arc::new(properties),
        }
    }

    /// What is read, and of which chunks.
    pub fn parts(&self) -> (&Arc<Reading>, &Arc<[usize]>) {
        (&self.reading, &self.chunks)
    }

    /// Whether it stops after some rows.
    pub fn limited(&self) -> bool {
        self.limit.is_some()
    }

    fn with_dynamic(&self, dynamic: Vec<Arc<Dynamic>>) -> Self {
        let mut reading = (*self.reading).clone();
        reading.dynamic = dynamic;
        Self { reading: Arc::new(reading), ..self.clone() }
    }

    fn partitions(&self) -> usize {
        self.properties.partitioning.partition_count()
    }

    fn overall(&self) -> Statistics {
        let reading = &self.reading;
        let mut statistics = Statistics::new_unknown(&reading.schema);
        if reading.conditions().next().is_some() || reading.grouping().is_some() {
            statistics.num_rows = Precision::Inexact(self.rows);
            return statistics;
        }
        let rows = reading.table().rows();
        statistics.num_rows = Precision::Exact(self.limit.map_or(rows, |limit| limit.min(rows)));
        statistics
    }
}

fn is_dynamic(filter: &Arc<dyn PhysicalExpr>) -> bool {
    DynamicFilterTracking::classify(filter).contains_dynamic_filter()
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
        let dynamic = self.reading.dynamic.iter().map(|dynamic| dynamic.expr());
        apply_expression_roots(self.reading.conditions().chain(dynamic), f)
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

    /// The filters of a run before say nothing about the next one.
    fn reset_state(self: Arc<Self>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(self.with_dynamic(Vec::new())))
    }

    /// Takes the filters that sorts and joins make while they run. Those make sure
    /// of them anyway; the scan only reads less.
    fn handle_child_pushdown_result(
        &self,
        phase: FilterPushdownPhase,
        result: ChildPushdownResult,
        _: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        let (filters, reading) = (&result.parent_filters, &self.reading);
        let answers = vec![PushedDown::No; filters.len()];
        let answer = FilterPushdownPropagation::with_parent_pushdown_result(answers);
        if phase == FilterPushdownPhase::Pre || self.limit.is_some() {
            return Ok(answer);
        }
        let mut dynamic = reading.dynamic.clone();
        for filter in filters.iter().map(|filter| &filter.filter) {
            if is_dynamic(filter) && within(filter, reading.projection.len()) {
                let new = Dynamic::new(filter.clone(), &reading.projection, reading.facts())?;
                dynamic.push(Arc::new(new));
            }
        }
        if dynamic.len() == reading.dynamic.len() {
            return Ok(answer);
        }
        Ok(answer.with_updated_node(Arc::new(self.with_dynamic(dynamic))))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let (partitions, count) = (self.partitions(), self.chunks.len());
        let mut numbers = count * partition / partitions..count * (partition + 1) / partitions;
        let (reading, chunks, mut left) = (self.reading.clone(), self.chunks.clone(), self.limit);
        let batches = std::iter::from_fn(move || {
            while left != Some(0) {
                match reading.read(chunks[numbers.next()?], left) {
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
        let rows = context.session_config().batch_size();
        let stream: BoxStream<'static, _> = match rows < ROWS_MAX {
            true => {
                futures::stream::iter(batches.flat_map(move |batch| parts(batch, rows))).boxed()
            }
            false => futures::stream::iter(batches).boxed(),
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.reading.schema.clone(), stream)))
    }

    fn statistics_from_inputs(
        &self,
        _: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        if args.partition().is_some() {
            let mut statistics = Statistics::new_unknown(&self.reading.schema);
            statistics.num_rows = Precision::Inexact(self.rows / self.partitions());
            return Ok(Arc::new(statistics));
        }
        Ok(Arc::new(self.overall()))
    }

    fn supports_limit_pushdown(&self) -> bool {
        false
    }
}

/// A batch in parts of some rows. Parts have their own memory, as small as they are: a part that
/// shares the whole batch's would count as much.
fn parts(batch: Result<RecordBatch>, rows: usize) -> impl Iterator<Item = Result<RecordBatch>> {
    let (batch, failed) = match batch {
        Ok(batch) => (Some(batch), None),
        Err(e) => (None, Some(Err(e))),
    };
    let parts = batch.into_iter().flat_map(move |batch| {
        let starts = (0..batch.num_rows()).step_by(rows);
        starts.map(move |start| own(&batch.slice(start, rows.min(batch.num_rows() - start))))
    });
    failed.into_iter().chain(parts)
}

fn own(part: &RecordBatch) -> Result<RecordBatch> {
    let all = UInt32Array::from_iter_values(0..part.num_rows() as u32);
    let column = |array: &ArrayRef| -> Result<ArrayRef> {
        Ok(match array.as_string_view_opt() {
            Some(texts) => Arc::new(texts.gc()),
            None => take(array, &all, None)?,
        })
    };
    let columns = part.columns().iter().map(column).collect::<Result<_>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(part.num_rows()));
    Ok(RecordBatch::try_new_with_options(part.schema(), columns, &options)?)
}

impl DisplayAs for ScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reading = &self.reading;
        let (name, all) = (&reading.facts().logical_name, reading.table().chunks().len());
        write!(f, "ScanExec: table={name}, chunks={}", self.chunks.len())?;
        if self.chunks.len() < all {
            write!(f, " of {all}")?;
        }
        let mut conditions = reading.conditions().map(ToString::to_string);
        if let Some(first) = conditions.next() {
            write!(f, ", filter={}", conditions.fold(first, |all, next| all + " AND " + &next))?;
        }
        if let Some(grouping) = reading.grouping() {
            let columns = &reading.facts().columns;
            let by: Vec<&str> =
                grouping.by.iter().map(|column| columns[*column].logical_name.as_str()).collect();
            write!(f, ", grouped by=[{}]", by.join(", "))?;
        }
        if reading.by_key() {
            write!(f, ", by primary key, rows={}", self.rows)?;
        }
        for dynamic in &reading.dynamic {
            write!(f, ", while running={}", dynamic.expr())?;
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
