//! The first rows of a table in some order: `ORDER BY createdon DESC` with `TOP 50`.
//!
//! Chunks are read in the order of what they can hold, and not at all once they
//! can hold nothing better than what was found. Only sort keys are read of them;
//! the other columns are read of the rows that come out.

use std::collections::BinaryHeap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, Scalar, UInt32Array,
};
use datafusion::arrow::compute::kernels::cmp::{gt_eq, lt_eq};
use datafusion::arrow::compute::{
    filter, interleave_record_batch, is_null, or_kleene, prep_null_mask_filter,
};
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, ScalarValue};
use datafusion::config::ConfigOptions;
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{
    EquivalenceProperties, LexOrdering, PhysicalExpr, PhysicalSortExpr,
};
use datafusion::physical_expr_common::physical_expr::is_volatile;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::execution_plan::{
    Boundedness, EmissionType, ReplaceChildrenOptions, apply_expression_roots,
};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
};
use parking_lot::Mutex;

use super::by_value;
use super::derived::Selected;
use super::reading::{Computed, Reading, numbers_of};
use super::scan::ScanExec;
use super::zones::{Zone, rank};
use crate::catalog::ColumnKind;
use crate::store::Chunk;

/// More rows than this are sorted, which may spill.
const ROWS_MAX: usize = 50_000;

/// Puts [`TopRowsExec`] in the place of a sort with few rows over a scan.
#[derive(Debug)]
pub struct TopRows;

impl PhysicalOptimizerRule for TopRows {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let workers = config.execution.target_partitions;
        let done = plan.transform_down(|node| {
            Ok(match replaced(&node, workers)? {
                Some(top) => Transformed::yes(top),
                None => Transformed::no(node),
            })
        })?;
        Ok(done.data)
    }

    fn name(&self) -> &str {
        "top_rows"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn replaced(
    node: &Arc<dyn ExecutionPlan>,
    workers: usize,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if let Some(merge) = node.downcast_ref::<SortPreservingMergeExec>() {
        return merge.fetch().map_or(Ok(None), |fetch| merged(merge.input(), fetch, workers));
    }
    match node.downcast_ref::<SortExec>() {
        Some(sort) if !sort.preserve_partitioning() => sorted(sort, workers),
        _ => Ok(None),
    }
}

/// What a merge with so many rows reads, if it is a sort of each partition and
/// perhaps a projection of that.
fn merged(
    input: &Arc<dyn ExecutionPlan>,
    fetch: usize,
    workers: usize,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if let Some(projection) = input.downcast_ref::<ProjectionExec>() {
        let Some(top) = merged(projection.input(), fetch, workers)? else { return Ok(None) };
        let projected = ProjectionExec::try_new(projection.expr().to_vec(), top)?;
        return Ok(Some(Arc::new(projected)));
    }
    match input.downcast_ref::<SortExec>() {
        Some(sort) if sort.fetch() == Some(fetch) => sorted(sort, workers),
        _ => Ok(None),
    }
}

fn sorted(sort: &SortExec, workers: usize) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(fetch) = sort.fetch().filter(|fetch| *fetch <= ROWS_MAX) else { return Ok(None) };
    let mut input = sort.input();
    if let Some(all) = input.downcast_ref::<CoalescePartitionsExec>() {
        input = all.input();
    }
    over(input, sort.expr(), fetch, workers)
}

/// The first rows of a scan, or of what a projection makes of it.
fn over(
    input: &Arc<dyn ExecutionPlan>,
    order: &LexOrdering,
    fetch: usize,
    workers: usize,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if let Some(scan) = input.downcast_ref::<ScanExec>() {
        let (reading, chunks) = scan.parts();
        if scan.limited() || reading.grouping().is_some() {
            return Ok(None);
        }
        let top = TopRowsExec::new(reading.clone(), chunks.clone(), order.clone(), fetch, workers)?;
        return Ok(Some(Arc::new(top)));
    }
    let Some(projection) = input.downcast_ref::<ProjectionExec>() else { return Ok(None) };
    let mut below = Vec::with_capacity(order.len());
    for key in order.iter() {
        let Some(expr) = before_projection(&key.expr, projection)? else { return Ok(None) };
        below.push(PhysicalSortExpr::new(expr, key.options));
    }
    let Some(below) = LexOrdering::new(below) else { return Ok(None) };
    let Some(top) = over(projection.input(), &below, fetch, workers)? else { return Ok(None) };
    let projected = ProjectionExec::try_new(projection.expr().to_vec(), top)?;
    Ok(Some(Arc::new(projected)))
}

/// An expression over a projection's columns as one over its input; nothing if
/// it would have another value there.
fn before_projection(
    expr: &Arc<dyn PhysicalExpr>,
    projection: &ProjectionExec,
) -> Result<Option<Arc<dyn PhysicalExpr>>> {
    let before = expr.clone().transform_up(|expr| {
        Ok(match expr.downcast_ref::<Column>() {
            // Going up, what was put in is not looked at again.
            Some(column) => Transformed::yes(projection.expr()[column.index()].expr.clone()),
            None => Transformed::no(expr),
        })
    })?;
    Ok(Some(before.data).filter(|expr| !is_volatile(expr)))
}

/// The first rows of a table's scan in an order.
pub struct TopRowsExec {
    reading: Arc<Reading>,
    chunks: Arc<[usize]>,
    order: LexOrdering,
    keys: Arc<Vec<Computed>>,
    fetch: usize,
    workers: usize,
    properties: Arc<PlanProperties>,
}

impl TopRowsExec {
    fn new(
        reading: Arc<Reading>,
        chunks: Arc<[usize]>,
        order: LexOrdering,
        fetch: usize,
        workers: usize,
    ) -> Result<Self> {
        let key = |key: &PhysicalSortExpr| {
            Computed::new(key.expr.clone(), &reading.projection, reading.facts())
        };
        let keys = order.iter().map(key).collect::<Result<_>>()?;
        let properties = PlanProperties::new(
            EquivalenceProperties::new_with_orderings(reading.schema.clone(), [order.clone()]),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        let properties = Arc::new(properties);
        Ok(Self { reading, chunks, order, keys: Arc::new(keys), fetch, workers, properties })
    }

    fn search(&self) -> Result<Search> {
        let schema = &self.reading.schema;
        let fields = self
            .order
            .iter()
            .map(|key| Ok(SortField::new_with_options(key.expr.data_type(schema)?, key.options)))
            .collect::<Result<_>>()?;
        let first = &self.order.first().options;
        let mut search = Search {
            reading: self.reading.clone(),
            keys: self.keys.clone(),
            zoned: zoned(&self.keys[0], &self.reading),
            descending: first.descending,
            nulls_first: first.nulls_first,
            converter: RowConverter::new(fields)?,
            fetch: self.fetch,
            chunks: Vec::new(),
            next: AtomicUsize::new(0),
            bound: Mutex::new(None),
        };
        let table = self.reading.table();
        let mut chunks: Vec<(Best, usize)> =
            self.chunks.iter().map(|n| (search.best(&table.chunks()[*n]), *n)).collect();
        chunks.sort_unstable();
        search.chunks = chunks;
        Ok(search)
    }
}

/// The column whose zones tell what a sort key can be, if it is one.
fn zoned(key: &Computed, reading: &Reading) -> Option<usize> {
    let column = *key.columns.first().filter(|_| key.expr.is::<Column>())?;
    (reading.facts().columns[column].kind == ColumnKind::Stored).then_some(column)
}

/// Where a value stands by the first key: nulls in front, values by their rank,
/// nulls behind.
type Best = (u8, i128);

const BEFORE_ALL: Best = (0, 0);
const AFTER_ALL: Best = (2, 0);

/// A row that is among the first so far. The greatest is the one to drop.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    key: Box<[u8]>,
    chunk: usize,
    row: u32,
}

/// No row behind this one is among the first: its first key, and where it stands.
#[derive(Clone)]
struct Bound {
    value: ScalarValue,
    best: Best,
    key: Box<[u8]>,
}

/// One run.
struct Search {
    reading: Arc<Reading>,
    keys: Arc<Vec<Computed>>,
    zoned: Option<usize>,
    descending: bool,
    nulls_first: bool,
    converter: RowConverter,
    fetch: usize,
    /// Those that can hold the best rows first.
    chunks: Vec<(Best, usize)>,
    next: AtomicUsize,
    bound: Mutex<Option<Bound>>,
}

impl Search {
    fn place(&self, rank: Option<i128>) -> Best {
        match rank {
            None if self.nulls_first => BEFORE_ALL,
            None => AFTER_ALL,
            // Turned around without the overflow that a minus has.
            Some(rank) => (1, if self.descending { !rank } else { rank }),
        }
    }

    /// The best that a chunk can hold.
    fn best(&self, chunk: &Chunk) -> Best {
        let Some(column) = self.zoned else { return BEFORE_ALL };
        let zone = Zone::of(chunk, column);
        match zone.range {
            _ if self.nulls_first && zone.nulls != Some(0) => BEFORE_ALL,
            _ if zone.is_empty(chunk) => AFTER_ALL,
            Some((least, most)) => self.place(Some(if self.descending { most } else { least })),
            None => BEFORE_ALL,
        }
    }

    /// The first rows of the chunks that this worker gets.
    async fn work(&self) -> Result<Vec<Found>> {
        let mut found = BinaryHeap::new();
        while let Some((best, number)) = self.chunks.get(self.next.fetch_add(1, Ordering::Relaxed))
        {
            let bound = self.bound.lock().clone();
            if bound.as_ref().is_some_and(|bound| *best > bound.best) {
                break;
            }
            self.search(*number, bound.as_ref(), &mut found)?;
            // Here a query that was given up ends.
            tokio::task::yield_now().await;
        }
        Ok(found.into_vec())
    }

    fn search(
        &self,
        number: usize,
        bound: Option<&Bound>,
        found: &mut BinaryHeap<Found>,
    ) -> Result<()> {
        let chunk = &self.reading.table().chunks()[number];
        let Some((selected, _)) = self.reading.select(number)? else { return Ok(()) };
        let first = self.key(chunk, &selected, 0)?;
        let mut rows = numbers_of(&selected, chunk.rows());
        let mut columns = vec![first];
        let mut selected = selected;
        if let Some(mask) = bound.map(|bound| self.in_reach(&columns[0], bound)).transpose()?
            && mask.true_count() < mask.len()
        {
            rows = filter(&rows, &mask)?.as_primitive().clone();
            columns[0] = filter(&columns[0], &mask)?;
            selected = Selected::Numbered(rows.clone());
        }
        if rows.is_empty() {
            return Ok(());
        }
        for key in 1..self.keys.len() {
            columns.push(self.key(chunk, &selected, key)?);
        }
        let keys = self.converter.convert_columns(&columns)?;
        let mut changed = None;
        for (place, row) in rows.values().iter().enumerate() {
            let key = keys.row(place);
            let key = key.data();
            if bound.is_some_and(|bound| key > &*bound.key) {
                continue;
            }
            let behind =
                |worst: &Found| (key, number, *row) > (&*worst.key, worst.chunk, worst.row);
            if found.len() == self.fetch && found.peek().is_none_or(behind) {
                continue;
            }
            if found.len() == self.fetch {
                found.pop();
            }
            found.push(Found { key: key.into(), chunk: number, row: *row });
            changed = Some(());
        }
        if let (Some(()), true, Some(worst)) = (changed, found.len() == self.fetch, found.peek()) {
            self.tighten(worst)?;
        }
        Ok(())
    }

    /// The values of a sort key.
    fn key(&self, chunk: &Chunk, selected: &Selected, key: usize) -> Result<ArrayRef> {
        let key = &self.keys[key];
        if !matches!(selected, Selected::Numbered(_))
            && let Some(all) = by_value::computed(chunk, key, self.reading.facts())?
        {
            return match selected {
                Selected::Filtered(rows) => Ok(rows.filter(&all)?),
                _ => Ok(all),
            };
        }
        let batch = self.reading.batch(chunk, selected, &key.columns, &key.schema)?;
        key.expr.evaluate(&batch)?.into_array(batch.num_rows())
    }

    /// Which values of the first key are not behind the bound.
    fn in_reach(&self, values: &ArrayRef, bound: &Bound) -> Result<BooleanArray> {
        if bound.value.is_null() {
            return Ok(match self.nulls_first {
                true => is_null(values)?,
                false => BooleanArray::from(vec![true; values.len()]),
            });
        }
        let at = Scalar::new(bound.value.to_array()?);
        let mask = if self.descending { gt_eq(values, &at)? } else { lt_eq(values, &at)? };
        Ok(match self.nulls_first {
            true if values.null_count() > 0 => or_kleene(&mask, &is_null(values)?)?,
            _ if mask.null_count() > 0 => prep_null_mask_filter(&mask),
            _ => mask,
        })
    }

    /// Makes it known that so many rows are as good as this one.
    fn tighten(&self, worst: &Found) -> Result<()> {
        let mut bound = self.bound.lock();
        if bound.as_ref().is_some_and(|bound| bound.key <= worst.key) {
            return Ok(());
        }
        let parser = self.converter.parser();
        let keys = self.converter.convert_rows([parser.parse(&worst.key)])?;
        let value = ScalarValue::try_from_array(&keys[0], 0)?;
        // Values without a rank bound no chunks.
        let best = match rank(&value) {
            None if !value.is_null() => AFTER_ALL,
            rank => self.place(rank),
        };
        *bound = Some(Bound { value, best, key: worst.key.clone() });
        Ok(())
    }

    /// The rows found by all, in order, with all columns.
    fn rows(&self, mut found: Vec<Found>) -> Result<RecordBatch> {
        found.sort_unstable();
        found.truncate(self.fetch);
        let mut chunks: Vec<(usize, Vec<u32>)> = Vec::new();
        let mut places = Vec::with_capacity(found.len());
        for row in &found {
            let chunk = match chunks.iter().position(|(number, _)| *number == row.chunk) {
                Some(chunk) => chunk,
                None => {
                    chunks.push((row.chunk, Vec::new()));
                    chunks.len() - 1
                }
            };
            places.push((chunk, chunks[chunk].1.len()));
            chunks[chunk].1.push(row.row);
        }
        let reading = &self.reading;
        let mut batches = Vec::with_capacity(chunks.len());
        for (number, rows) in chunks {
            let selected = Selected::Numbered(UInt32Array::from(rows));
            let chunk = &reading.table().chunks()[number];
            batches.push(reading.batch(chunk, &selected, &reading.projection, &reading.schema)?);
        }
        match batches.as_slice() {
            [] => Ok(RecordBatch::new_empty(reading.schema.clone())),
            // Rows of one chunk were read in their order.
            [one] => Ok(one.clone()),
            several => {
                let several: Vec<&RecordBatch> = several.iter().collect();
                Ok(interleave_record_batch(&several, &places)?)
            }
        }
    }
}

/// Searches with several workers.
async fn run(search: Search, workers: usize, context: Arc<TaskContext>) -> Result<RecordBatch> {
    let memory = MemoryConsumer::new("TopRows").register(context.memory_pool());
    let search = Arc::new(search);
    let mut others = Vec::new();
    for _ in 1..workers.min(search.chunks.len()) {
        let search = search.clone();
        others.push(SpawnedTask::spawn(async move { search.work().await }));
    }
    let mut found = search.work().await?;
    for other in others {
        let more = other.join_unwind().await;
        found.extend(more.map_err(|e| DataFusionError::External(e.into()))??);
    }
    memory.try_grow(found.iter().map(|row| size_of::<Found>() + row.key.len()).sum())?;
    search.rows(found)
}

impl ExecutionPlan for TopRowsExec {
    fn name(&self) -> &'static str {
        "TopRowsExec"
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
        let order = self.order.iter().map(|key| &key.expr);
        apply_expression_roots(order.chain(self.reading.conditions()), f)
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
        _partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let rows = run(self.search()?, self.workers, context);
        let stream = futures::stream::once(rows);
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.reading.schema.clone(), stream)))
    }

    fn fetch(&self) -> Option<usize> {
        Some(self.fetch)
    }
}

impl DisplayAs for TopRowsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.reading.facts().logical_name;
        let chunks = self.chunks.len();
        write!(f, "TopRowsExec: table={name}, chunks={chunks}, first={}", self.fetch)?;
        write!(f, ", order=[{}]", self.order)?;
        for (n, condition) in self.reading.conditions().enumerate() {
            write!(f, "{}{condition}", if n == 0 { ", filter=" } else { " AND " })?;
        }
        Ok(())
    }
}

impl fmt::Debug for TopRowsExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_as(DisplayFormatType::Default, f)
    }
}
