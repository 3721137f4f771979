//! The counts of a table as a table of their own.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::types::TimestampMicrosecondType;
use datafusion::arrow::array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::{max, min};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{HashMap, Result, Statistics};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{
    Boundedness, EmissionType, ReplaceChildrenOptions,
};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
};

use super::{ROWS, hours};
use crate::catalog::ColumnKind;
use crate::engine::collation_key;
use crate::engine::derived::{Rows, Selected};
use crate::store::{CountedBy, CountsSnapshot, Snapshot};

/// The counts of a table, as a table with its columns and [`ROWS`].
#[derive(Clone)]
pub struct CountedTable {
    pub snapshot: Arc<Snapshot>,
    pub index: usize,
    /// Which of the table's pre-aggregates.
    pub which: usize,
    /// The columns whose texts have to have one spelling.
    pub spelled: Vec<usize>,
    /// The columns whose times have to lie where the clocks of zones are looked at.
    pub timed: Vec<usize>,
}

impl CountedTable {
    fn counts(&self) -> &CountsSnapshot {
        &self.snapshot.table(self.index).counts()[self.which]
    }

    /// Some columns, with a row for each group.
    fn batches(
        &self,
        columns: &[usize],
        schema: &SchemaRef,
    ) -> impl Iterator<Item = Result<RecordBatch>> {
        let table = self.snapshot.table(self.index);
        let last = table.table().schema().fields().len();
        self.counts().rows().map(move |(chunk, counts)| {
            let rows =
                Rows { snapshot: &self.snapshot, table, chunk: &chunk, selected: &Selected::All };
            let length = counts.len();
            let counts: ArrayRef = Arc::new(counts);
            let array = |column: &usize| {
                if *column == last { Ok(counts.clone()) } else { rows.array(*column) }
            };
            let arrays = columns.iter().map(array).collect::<Result<_>>()?;
            let options = RecordBatchOptions::new().with_row_count(Some(length));
            Ok(RecordBatch::try_new_with_options(schema.clone(), arrays, &options)?)
        })
    }

    /// A column of all groups.
    fn column(&self, column: usize) -> Result<Vec<ArrayRef>> {
        let schema = Arc::new(self.schema().project(&[column])?);
        self.batches(&[column], &schema).map(|batch| Ok(batch?.column(0).clone())).collect()
    }

    /// Whether what a plan relies on holds.
    pub fn still_knows(&self) -> bool {
        self.which < self.snapshot.table(self.index).counts().len()
            && self.spelled.iter().all(|column| self.one_spelling(*column))
            && self.timed.iter().all(|column| self.modern(*column))
    }

    /// Whether texts of a column that collate alike are the same, so that it does
    /// not matter which of them a group shows.
    pub fn one_spelling(&self, column: usize) -> bool {
        let facts = self.snapshot.table(self.index).table();
        if matches!(facts.columns[column].kind, ColumnKind::Stored) {
            return false;
        }
        let Ok(texts) = self.column(column) else { return false };
        let mut spellings = HashMap::new();
        let mut texts = texts.iter().flat_map(|texts| texts.as_string_view().iter()).flatten();
        texts.all(|text| *spellings.entry(collation_key(text)).or_insert(text) == text)
    }

    /// Whether all times of a column lie where the clocks of zones are looked at.
    pub fn modern(&self, column: usize) -> bool {
        let Ok(times) = self.column(column) else { return false };
        times.iter().all(|times| {
            let times = times.as_primitive::<TimestampMicrosecondType>();
            [min(times), max(times)].into_iter().flatten().all(hours::is_looked_at)
        })
    }
}

impl fmt::Debug for CountedTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = self.snapshot.table(self.index).table();
        write!(f, "table={}, groups={}, by=[", table.logical_name, self.counts().groups())?;
        for (n, by) in self.counts().by().iter().enumerate() {
            let name = &table.columns[by.column()].logical_name;
            let comma = if n == 0 { "" } else { ", " };
            match by {
                CountedBy::Value(_) => write!(f, "{comma}{name}")?,
                CountedBy::Presence(_) => write!(f, "{comma}{name} is null")?,
                CountedBy::Hour(_) => write!(f, "{comma}hour of {name}")?,
            }
        }
        write!(f, "]")
    }
}

#[async_trait]
impl TableProvider for CountedTable {
    fn schema(&self) -> SchemaRef {
        let schema = self.snapshot.table(self.index).table().schema();
        let rows = Arc::new(Field::new(ROWS, DataType::Int64, false));
        let fields = schema.fields().iter().cloned().chain([rows]);
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = self.schema();
        let columns: Vec<usize> = match projection {
            Some(columns) => columns.clone(),
            None => (0..schema.fields().len()).collect(),
        };
        let schema = Arc::new(schema.project(&columns)?);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema.clone()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let properties = Arc::new(properties);
        Ok(Arc::new(CountsExec { table: self.clone(), columns, schema, properties }))
    }
}

/// Reads counts.
struct CountsExec {
    table: CountedTable,
    columns: Vec<usize>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
}

impl ExecutionPlan for CountsExec {
    fn name(&self) -> &'static str {
        "CountsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
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

    /// Few rows are not worth more than one thread, which a plan has to be told.
    fn statistics_from_inputs(
        &self,
        _: &[Arc<Statistics>],
        _: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let mut statistics = Statistics::new_unknown(&self.schema);
        statistics.num_rows = Precision::Inexact(self.table.counts().groups());
        Ok(Arc::new(statistics))
    }

    fn execute(&self, _: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let batches: Vec<_> = self.table.batches(&self.columns, &self.schema).collect();
        let stream = futures::stream::iter(batches);
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), stream)))
    }
}

impl DisplayAs for CountsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CountsExec: {:?}", self.table)
    }
}

impl fmt::Debug for CountsExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_as(DisplayFormatType::Default, f)
    }
}
