//! Which rows of a chunk a scan gives out, and their columns: primary keys are
//! looked up, filters run on narrow columns first and on texts only for the rows
//! that are left, and the other columns are read last.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::arrow::array::{
    Array, AsArray, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions, UInt32Array,
};
use datafusion::arrow::compute::{and, filter, prep_null_mask_filter};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{DataFusionError, Result};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, DynamicFilterPhysicalExpr, Literal};
use datafusion::physical_expr::utils::{collect_columns, reassign_expr_columns};
use datafusion::physical_expr_common::physical_expr::snapshot_generation;
use datafusion::scalar::ScalarValue;
use parking_lot::Mutex;

use super::by_value;
use super::derived::{Rows, Selected, numbers};
use super::grouping::Grouping;
use super::pruning::Test;
use crate::catalog::{ColumnKind, Table};
use crate::store::{Chunk, Place, Snapshot, TableSnapshot};

/// A filter of a join that leaves more than this share of so many rows is not
/// worth its time: the join itself does the same.
const USEFUL_SHARE: f64 = 0.7;
const TRIED_ROWS: usize = 200_000;

/// An expression over the columns of a table that it needs.
pub struct Computed {
    pub columns: Vec<usize>,
    pub schema: SchemaRef,
    pub expr: Arc<dyn PhysicalExpr>,
}

impl Computed {
    /// Of an expression whose columns are numbers in `columns`.
    pub fn new(expr: Arc<dyn PhysicalExpr>, columns: &[usize], table: &Table) -> Result<Self> {
        let mut needed: Vec<usize> =
            collect_columns(&expr).iter().map(|column| columns[column.index()]).collect();
        needed.sort_unstable();
        let schema = project(table.schema(), &needed);
        let expr = reassign_expr_columns(expr, &schema)?;
        Ok(Self { columns: needed, schema, expr })
    }

    /// Whether it needs no texts and nothing that is computed from others.
    fn narrow(&self, table: &Table) -> bool {
        self.columns.iter().all(|column| {
            table.columns[*column].kind == ColumnKind::Stored
                && *table.schema().field(*column).data_type() != DataType::Utf8View
        })
    }
}

/// What conditions ask of chunks, and where the rows are if they name them.
struct Asked {
    test: Test,
    /// Rows by the number of their chunk.
    located: Option<BTreeMap<usize, Vec<u32>>>,
}

impl Asked {
    fn new(test: Test, table: &TableSnapshot) -> Result<Self> {
        let Some(keys) = test.keys(table.table().primary_id_index()) else {
            return Ok(Self { test, located: None });
        };
        let places = table.find_all(&keys);
        let places = places.map_err(|e| DataFusionError::External(Box::new(e)))?;
        let mut located: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        for Place { chunk, row } in places {
            located.entry(chunk).or_default().push(row as u32);
        }
        located.values_mut().for_each(|rows| rows.sort_unstable());
        Ok(Self { test, located: Some(located) })
    }
}

/// A filter that becomes known while the query runs.
pub struct Dynamic {
    computed: Computed,
    /// What it asks of chunks, and of which generation of the filter that is.
    asked: Mutex<(u64, Arc<Asked>)>,
    tried: AtomicUsize,
    left: AtomicUsize,
}

impl Dynamic {
    pub fn new(expr: Arc<dyn PhysicalExpr>, columns: &[usize], table: &Table) -> Result<Self> {
        Ok(Self {
            computed: Computed::new(expr, columns, table)?,
            asked: Mutex::new((0, Arc::new(Asked { test: Test::Any, located: None }))),
            tried: AtomicUsize::new(0),
            left: AtomicUsize::new(0),
        })
    }

    fn asked(&self, table: &TableSnapshot) -> Result<Arc<Asked>> {
        let generation = snapshot_generation(&self.computed.expr);
        let mut known = self.asked.lock();
        if known.0 != generation {
            let test = Test::of(&self.computed.expr, &self.computed.columns, table.table());
            *known = (generation, Arc::new(Asked::new(test, table)?));
        }
        Ok(known.1.clone())
    }

    fn useful(&self) -> bool {
        let tried = self.tried.load(Ordering::Relaxed);
        let left = self.left.load(Ordering::Relaxed);
        tried < TRIED_ROWS || (left as f64) < USEFUL_SHARE * tried as f64
    }

    pub fn expr(&self) -> &Arc<dyn PhysicalExpr> {
        &self.computed.expr
    }
}

/// What is read of a table: some columns of the rows that pass some filters.
#[derive(Clone)]
pub struct Reading {
    pub snapshot: Arc<Snapshot>,
    pub table: usize,
    pub projection: Vec<usize>,
    pub schema: SchemaRef,
    /// All have to be true, the cheap ones first.
    filters: Arc<[Computed]>,
    asked: Arc<Asked>,
    pub dynamic: Vec<Arc<Dynamic>>,
    /// One row for each group of a chunk, with the number of its rows as one more column.
    grouping: Option<Arc<Grouping>>,
}

/// Some columns of a table's schema.
pub fn project(schema: &SchemaRef, columns: &[usize]) -> SchemaRef {
    Arc::new(Schema::new(columns.iter().map(|i| schema.field(*i).clone()).collect::<Vec<_>>()))
}

impl Reading {
    pub fn new(snapshot: Arc<Snapshot>, table: usize, projection: Vec<usize>) -> Self {
        let schema = project(snapshot.table(table).table().schema(), &projection);
        Self {
            snapshot,
            table,
            projection,
            schema,
            filters: Arc::new([]),
            asked: Arc::new(Asked { test: Test::Any, located: None }),
            dynamic: Vec::new(),
            grouping: None,
        }
    }

    /// Only a row for each group of a chunk; `counts` is the column with its number of
    /// rows, which comes last.
    pub fn grouped(mut self, grouping: Grouping, counts: Option<Field>) -> Self {
        let fields = self.schema.fields().iter().cloned().chain(counts.map(Arc::new));
        self.schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        self.grouping = Some(Arc::new(grouping));
        self
    }

    pub fn grouping(&self) -> Option<&Grouping> {
        self.grouping.as_deref()
    }

    /// Only rows for which these are true. Their columns are numbers in `columns`.
    pub fn filtered(
        mut self,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        columns: &[usize],
    ) -> Result<Self> {
        let facts = self.facts().clone();
        let mut test = Test::Any;
        let mut computed = Vec::with_capacity(filters.len());
        for filter in filters {
            test = test.and(Test::of(&filter, columns, &facts));
            computed.push(Computed::new(filter, columns, &facts)?);
        }
        computed.sort_by_key(|filter| !filter.narrow(&facts));
        self.asked = Arc::new(Asked::new(test, self.table())?);
        self.filters = computed.into();
        Ok(self)
    }

    pub fn table(&self) -> &TableSnapshot {
        self.snapshot.table(self.table)
    }

    pub fn facts(&self) -> &Arc<Table> {
        self.table().table()
    }

    /// The conditions on rows.
    pub fn conditions(&self) -> impl Iterator<Item = &Arc<dyn PhysicalExpr>> {
        self.filters.iter().map(|filter| &filter.expr)
    }

    /// Whether rows are found by their primary keys.
    pub fn by_key(&self) -> bool {
        self.asked.located.is_some()
    }

    /// The chunks that may have rows to give, by their numbers, and how many rows
    /// at most.
    pub fn chunks(&self) -> (Vec<usize>, usize) {
        let mut rows = 0;
        let mut numbers = Vec::new();
        for (number, chunk) in self.table().chunks().iter().enumerate() {
            let most = match &self.asked.located {
                Some(located) => located.get(&number).map_or(0, Vec::len),
                None if self.asked.test.may_hold(chunk) => chunk.live(),
                None => 0,
            };
            if most > 0 {
                numbers.push(number);
                rows += most;
            }
        }
        (numbers, rows)
    }

    /// Columns of some rows of a chunk.
    pub fn batch(
        &self,
        chunk: &Chunk,
        selected: &Selected,
        columns: &[usize],
        schema: &SchemaRef,
    ) -> Result<RecordBatch> {
        let rows = Rows { snapshot: &self.snapshot, table: self.table(), chunk, selected };
        let arrays = columns.iter().map(|column| rows.array(*column)).collect::<Result<_>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        Ok(RecordBatch::try_new_with_options(schema.clone(), arrays, &options)?)
    }

    /// The rows of a chunk that are there and pass the filters, with their number.
    pub fn select(&self, number: usize) -> Result<Option<(Selected, usize)>> {
        let chunk = &self.table().chunks()[number];
        let mut asked = self.asked.clone();
        for dynamic in &self.dynamic {
            let now = dynamic.asked(self.table())?;
            if !now.test.may_hold(chunk) {
                return Ok(None);
            }
            if asked.located.is_none() {
                asked = now;
            }
        }
        let located = asked.located.as_ref();
        let rows = located.map(|located| located.get(&number).cloned().unwrap_or_default());
        let mut rows = Selection::of(chunk, rows);
        for filter in self.filters.iter() {
            if rows.count(chunk) == 0 {
                return Ok(None);
            }
            rows = self.narrowed(chunk, rows, filter)?;
        }
        for dynamic in &self.dynamic {
            let tried = rows.count(chunk);
            if tried == 0 {
                return Ok(None);
            }
            if !dynamic.useful() || is_true(&dynamic.computed.expr) {
                continue;
            }
            rows = self.narrowed(chunk, rows, &dynamic.computed)?;
            dynamic.tried.fetch_add(tried, Ordering::Relaxed);
            dynamic.left.fetch_add(rows.count(chunk), Ordering::Relaxed);
        }
        let count = rows.count(chunk);
        Ok((count > 0).then(|| (rows.selected(), count)))
    }

    /// The rows for which a condition is true.
    fn narrowed(&self, chunk: &Chunk, rows: Selection, filter: &Computed) -> Result<Selection> {
        let left = rows.count(chunk);
        if left * 4 >= chunk.rows()
            && let Some(mask) = by_value::mask(chunk, filter, self.facts())?
        {
            return match rows {
                Selection::All => Ok(Selection::Mask(mask)),
                Selection::Mask(before) => Ok(Selection::Mask(and(&before, &mask)?)),
                Selection::Numbered(rows) => {
                    let left = rows.values().iter().copied().filter(|r| mask.value(*r as usize));
                    Ok(Selection::Numbered(left.collect::<Vec<_>>().into()))
                }
            };
        }
        // A chunk of which most is there is faster to test as a whole.
        let whole = left * 4 >= chunk.rows() * 3;
        let (rows, selected) = match rows {
            Selection::Mask(mask) if !whole => {
                let numbers = numbers(&mask);
                (Selection::Numbered(numbers.clone()), Selected::Numbered(numbers))
            }
            Selection::Numbered(numbers) => {
                (Selection::Numbered(numbers.clone()), Selected::Numbered(numbers))
            }
            rows => (rows, Selected::All),
        };
        let batch = self.batch(chunk, &selected, &filter.columns, &filter.schema)?;
        let mask = filter.expr.evaluate(&batch)?.into_array(batch.num_rows())?;
        let mask = mask.as_boolean();
        let mask = if mask.null_count() > 0 { prep_null_mask_filter(mask) } else { mask.clone() };
        Ok(match rows {
            Selection::All => Selection::Mask(mask),
            Selection::Mask(before) => Selection::Mask(and(&before, &mask)?),
            Selection::Numbered(rows) => Selection::Numbered(filter_numbers(&rows, &mask)?),
        })
    }

    /// The rows that a chunk adds to the answer, at most `limit`.
    pub fn read(&self, number: usize, limit: Option<usize>) -> Result<Option<RecordBatch>> {
        let Some((selected, count)) = self.select(number)? else { return Ok(None) };
        let chunk = &self.table().chunks()[number];
        let selected = match limit {
            Some(limit) if limit < count => {
                let first = numbers_of(&selected, chunk.rows());
                Selected::Numbered(first.slice(0, limit))
            }
            _ => selected,
        };
        match &self.grouping {
            None => self.batch(chunk, &selected, &self.projection, &self.schema).map(Some),
            Some(grouping) => self.groups(chunk, selected, grouping).map(Some),
        }
    }

    /// A row for each group of some rows of a chunk.
    fn groups(
        &self,
        chunk: &Chunk,
        selected: Selected,
        grouping: &Grouping,
    ) -> Result<RecordBatch> {
        let rows = match &selected {
            Selected::All => None,
            selected => Some(numbers_of(selected, chunk.rows())),
        };
        let (selected, counts) = match grouping.representatives(chunk, rows.as_ref())? {
            Some(found) => (Selected::Numbered(found.rows), Some(found.counts)),
            None => (selected, None),
        };
        let schema = project(self.facts().schema(), &self.projection);
        let batch = self.batch(chunk, &selected, &self.projection, &schema)?;
        let rows = batch.num_rows();
        let mut columns = batch.columns().to_vec();
        if self.schema.fields().len() > columns.len() {
            let each = || Int64Array::from_value(1, rows);
            columns.push(Arc::new(counts.unwrap_or_else(each)));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }
}

/// Rows of a chunk while filters narrow them down.
enum Selection {
    All,
    Mask(BooleanArray),
    Numbered(UInt32Array),
}

impl Selection {
    fn of(chunk: &Chunk, rows: Option<Vec<u32>>) -> Self {
        match (rows, chunk.alive()) {
            (Some(rows), _) => Self::Numbered(rows.into()),
            (None, Some(alive)) => Self::Mask(BooleanArray::new(alive.clone(), None)),
            (None, None) => Self::All,
        }
    }

    fn count(&self, chunk: &Chunk) -> usize {
        match self {
            Self::All => chunk.rows(),
            Self::Mask(mask) => mask.true_count(),
            Self::Numbered(rows) => rows.len(),
        }
    }

    fn selected(self) -> Selected {
        match self {
            Self::All => Selected::All,
            Self::Mask(mask) => Selected::masked(&mask),
            Self::Numbered(rows) => Selected::Numbered(rows),
        }
    }
}

fn filter_numbers(rows: &UInt32Array, mask: &BooleanArray) -> Result<UInt32Array> {
    Ok(filter(rows, mask)?.as_primitive().clone())
}

/// The numbers of the rows selected from a chunk with so many rows.
pub fn numbers_of(selected: &Selected, rows: usize) -> UInt32Array {
    let all = || UInt32Array::from_iter_values(0..rows as u32);
    match selected {
        Selected::All => all(),
        Selected::Numbered(numbers) => numbers.clone(),
        Selected::Filtered(predicate) => {
            let numbers = predicate.filter(&all()).expect("as long as the chunk");
            numbers.as_primitive().clone()
        }
    }
}

/// Whether a filter lets everything pass, as before it is known.
fn is_true(expr: &Arc<dyn PhysicalExpr>) -> bool {
    let current =
        expr.downcast_ref::<DynamicFilterPhysicalExpr>().and_then(|dynamic| dynamic.current().ok());
    let expr = current.as_ref().unwrap_or(expr);
    expr.downcast_ref::<Literal>()
        .is_some_and(|literal| literal.value() == &ScalarValue::from(true))
}

/// Whether all columns of an expression are within the first `columns`.
pub fn within(expr: &Arc<dyn PhysicalExpr>, columns: usize) -> bool {
    collect_columns(expr).iter().map(Column::index).all(|index| index < columns)
}
