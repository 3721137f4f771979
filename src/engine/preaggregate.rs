//! Counts from pre-aggregates: an aggregate whose groups, filters and arguments
//! need no more of a table than what its rows are counted by reads those counts
//! instead of the rows. Anything else stays as it is.
//!
//! The counts look like the table, with one row for each combination of values
//! and a column that says how many rows have it. So filters and expressions need
//! no change; only `COUNT(*)` becomes the sum of that column, and so on.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result, ScalarValue, TableReference};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::expr::{AggregateFunction, ScalarFunction};
use datafusion::logical_expr::{
    Aggregate, AggregateUDF, BinaryExpr, Expr, Filter, LogicalPlan, LogicalPlanBuilder, Operator,
    Projection, SubqueryAlias, TableScan, TableType, lit, when,
};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};
use datafusion::physical_plan::ExecutionPlan;

use super::derived::{Rows, Selected};
use super::provider::SnapshotTable;
use super::total::TotalCount;
use crate::catalog::{ColumnKind, Table};
use crate::store::{CountedBy, Snapshot};

/// The column with the number of rows, a name that no table has.
const ROWS: &str = "number of rows";

const MICROS_PER_HOUR: i64 = 3_600_000_000;

/// Puts pre-aggregates in the place of the tables they count.
#[derive(Debug)]
pub struct FromCounts;

impl OptimizerRule for FromCounts {
    fn name(&self) -> &str {
        "from_counts"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Aggregate(aggregate) = &plan else { return Ok(Transformed::no(plan)) };
        match from_counts(aggregate)? {
            Some(counted) => Ok(Transformed::yes(counted)),
            None => Ok(Transformed::no(plan)),
        }
    }
}

/// The aggregate over the counts of its table, if they know enough.
fn from_counts(aggregate: &Aggregate) -> Result<Option<LogicalPlan>> {
    let Some(scan) = scan_below(&aggregate.input) else { return Ok(None) };
    let provider = source_as_provider(&scan.source)?;
    let Some(table) = provider.as_ref().downcast_ref::<SnapshotTable>() else { return Ok(None) };
    if scan.fetch.is_some() || table.rows() == 0 {
        return Ok(None);
    }
    let mut asked: Vec<&Expr> = scan.filters.iter().collect();
    asked.extend(aggregate.group_expr.iter().chain(&aggregate.aggr_expr));
    asked.extend(computed_below(&aggregate.input));
    let (snapshot, index) = table.parts();
    let facts = snapshot.table(index).table();
    let enough = |by: &[CountedBy]| asked.iter().all(|expr| knows(by, expr, facts));
    let counts = snapshot.table(index).counts().iter().enumerate();
    let best = counts.filter(|(_, c)| enough(c.by())).min_by_key(|(_, c)| c.groups());
    let Some((which, _)) = best else { return Ok(None) };
    let Some(aggregates) = aggregate
        .aggr_expr
        .iter()
        .map(|expr| weighted(expr, &aggregate.input))
        .collect::<Result<Option<Vec<_>>>>()?
    else {
        return Ok(None);
    };
    let source = CountedTable { snapshot: snapshot.clone(), index, which };
    let input = with_rows(&aggregate.input, Arc::new(source))?;
    let counted = Aggregate::try_new(Arc::new(input), aggregate.group_expr.clone(), aggregates)?;
    named_as(counted, aggregate).map(Some)
}

/// The scan of a table below nothing but projections, filters and aliases.
fn scan_below(plan: &LogicalPlan) -> Option<&TableScan> {
    match plan {
        LogicalPlan::TableScan(scan) => Some(scan),
        LogicalPlan::Projection(Projection { input, .. })
        | LogicalPlan::Filter(Filter { input, .. })
        | LogicalPlan::SubqueryAlias(SubqueryAlias { input, .. }) => scan_below(input),
        _ => None,
    }
}

/// What those projections and filters compute. A column that is merely passed
/// on is judged where it is used.
fn computed_below(plan: &LogicalPlan) -> Vec<&Expr> {
    match plan {
        LogicalPlan::Projection(projection) => {
            let computed = projection
                .expr
                .iter()
                .filter(|e| !matches!(e, Expr::Column(_)))
                .collect::<Vec<_>>();
            [computed, computed_below(&projection.input)].concat()
        }
        LogicalPlan::Filter(filter) => {
            [vec![&filter.predicate], computed_below(&filter.input)].concat()
        }
        LogicalPlan::SubqueryAlias(alias) => computed_below(&alias.input),
        _ => Vec::new(),
    }
}

/// Whether the value of an expression follows from what rows are counted by.
fn knows(by: &[CountedBy], expr: &Expr, table: &Table) -> bool {
    match expr {
        Expr::Column(column) => match table.column_index(&column.name) {
            Some(index) => knows_value(by, index, table),
            // A name of the plan's own, computed below.
            None => true,
        },
        Expr::IsNull(inner) | Expr::IsNotNull(inner) => {
            presence(by, inner, table) || knows(by, inner, table)
        }
        Expr::AggregateFunction(AggregateFunction { func, params })
            if func.name() == "count" && params.args.len() == 1 && !params.distinct =>
        {
            (presence(by, &params.args[0], table) || knows(by, &params.args[0], table))
                && params.filter.as_ref().is_none_or(|filter| knows(by, filter, table))
        }
        Expr::ScalarFunction(function) if of_hour(by, function, table) => true,
        Expr::Cast(cast)
            if *cast.field.data_type() == DataType::Date32 && hour(by, &cast.expr, table) =>
        {
            true
        }
        Expr::BinaryExpr(comparison) if of_whole_hours(by, comparison, table) => true,
        Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) => false,
        other => {
            let mut all = !other.is_volatile_node();
            // The closure returns no error.
            let _ = other.apply_children(|child| {
                all = all && knows(by, child, table);
                Ok(if all { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
            });
            all
        }
    }
}

fn knows_value(by: &[CountedBy], column: usize, table: &Table) -> bool {
    let counted = |column| by.contains(&CountedBy::Value(column));
    match table.columns[column].kind {
        ColumnKind::Stored => counted(column),
        ColumnKind::ChoiceLabel(of) | ColumnKind::EntityLabel(of) => counted(of),
        ColumnKind::LookupName(of) => counted(of) && counted(column),
    }
}

fn column_of(expr: &Expr, table: &Table) -> Option<usize> {
    match expr {
        Expr::Column(column) => table.column_index(&column.name),
        _ => None,
    }
}

fn presence(by: &[CountedBy], expr: &Expr, table: &Table) -> bool {
    column_of(expr, table).is_some_and(|column| by.contains(&CountedBy::Presence(column)))
}

fn hour(by: &[CountedBy], expr: &Expr, table: &Table) -> bool {
    column_of(expr, table).is_some_and(|column| by.contains(&CountedBy::Hour(column)))
}

/// `DATETRUNC(hour, time)` and coarser.
fn of_hour(by: &[CountedBy], function: &ScalarFunction, table: &Table) -> bool {
    const PARTS: [&str; 6] = ["year", "quarter", "month", "week", "day", "hour"];
    let [Expr::Literal(part, _), time] = function.args.as_slice() else { return false };
    let part = part.try_as_str().flatten().unwrap_or_default().to_lowercase();
    matches!(function.name(), "datetrunc" | "date_trunc" | "datepart" | "date_part")
        && PARTS.contains(&part.as_str())
        && hour(by, time, table)
}

/// `time >= x` and `time < x`, where `x` is the start of an hour.
fn of_whole_hours(by: &[CountedBy], comparison: &BinaryExpr, table: &Table) -> bool {
    let Expr::Literal(ScalarValue::TimestampMicrosecond(Some(at), None), _) =
        comparison.right.as_ref()
    else {
        return false;
    };
    matches!(comparison.op, Operator::GtEq | Operator::Lt)
        && at % MICROS_PER_HOUR == 0
        && hour(by, &comparison.left, table)
}

/// An aggregate over rows as one over their counts; `None` where it depends on
/// more than the counts.
fn weighted(expr: &Expr, input: &LogicalPlan) -> Result<Option<Expr>> {
    let Expr::AggregateFunction(function) = expr.clone().unalias() else { return Ok(None) };
    let AggregateFunction { func, params } = &function;
    if params.null_treatment.is_some() || !params.order_by.is_empty() {
        return Ok(None);
    }
    let rows = rows_of(input);
    let total = |rows: Expr| {
        let mut params = params.clone();
        params.args = vec![rows];
        let func = Arc::new(AggregateUDF::from(TotalCount::default()));
        Expr::AggregateFunction(AggregateFunction { func, params })
    };
    Ok(match (func.name(), params.args.as_slice()) {
        ("min" | "max", [_]) => Some(expr.clone().unalias()),
        ("count", [_]) if params.distinct => Some(expr.clone().unalias()),
        ("count", [Expr::Literal(value, _)]) if !value.is_null() => Some(total(rows)),
        ("count", [argument]) => {
            Some(total(when(argument.clone().is_not_null(), rows).otherwise(lit(0_i64))?))
        }
        _ => None,
    })
}

/// The column with the number of rows, as the aggregate's input calls it.
fn rows_of(input: &LogicalPlan) -> Expr {
    Expr::Column(Column::new(relation(input), ROWS))
}

fn relation(plan: &LogicalPlan) -> Option<TableReference> {
    match plan {
        LogicalPlan::TableScan(scan) => Some(scan.table_name.clone()),
        LogicalPlan::SubqueryAlias(alias) => Some(alias.alias.clone()),
        LogicalPlan::Projection(Projection { input, .. })
        | LogicalPlan::Filter(Filter { input, .. }) => relation(input),
        _ => None,
    }
}

/// The aggregate's input with the counts as its table, and their number passed on.
fn with_rows(plan: &LogicalPlan, source: Arc<CountedTable>) -> Result<LogicalPlan> {
    Ok(match plan {
        LogicalPlan::Projection(projection) => {
            let input = with_rows(&projection.input, source)?;
            let mut columns = projection.expr.clone();
            columns.push(rows_of(&input));
            LogicalPlan::Projection(Projection::try_new(columns, Arc::new(input))?)
        }
        LogicalPlan::Filter(filter) => {
            let input = with_rows(&filter.input, source)?;
            LogicalPlan::Filter(Filter::try_new(filter.predicate.clone(), Arc::new(input))?)
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let input = with_rows(&alias.input, source)?;
            let alias = SubqueryAlias::try_new(Arc::new(input), alias.alias.clone())?;
            LogicalPlan::SubqueryAlias(alias)
        }
        LogicalPlan::TableScan(scan) => {
            let filters = scan.filters.iter().cloned().reduce(Expr::and);
            let mut columns: Vec<usize> = filters
                .iter()
                .flat_map(|filter| filter.column_refs())
                .map(|column| scan.source.schema().index_of(&column.name))
                .collect::<Result<_, _>>()?;
            let all = || (0..scan.source.schema().fields().len()).collect();
            columns.extend(scan.projection.clone().unwrap_or_else(all));
            columns.push(source.schema().fields().len() - 1);
            columns.sort_unstable();
            columns.dedup();
            let table = provider_as_source(source);
            let scan = LogicalPlanBuilder::scan(scan.table_name.clone(), table, Some(columns))?;
            match filters {
                Some(filters) => scan.filter(filters)?.build()?,
                None => scan.build()?,
            }
        }
        other => other.clone(),
    })
}

/// The counted aggregate with the columns of the one it stands for.
fn named_as(counted: Aggregate, aggregate: &Aggregate) -> Result<LogicalPlan> {
    let counted = LogicalPlan::Aggregate(counted);
    let mut columns = Vec::new();
    for (number, column) in counted.schema().columns().into_iter().enumerate() {
        let (relation, field) = aggregate.schema.qualified_field(number);
        columns.push(Expr::Column(column).alias_qualified(relation.cloned(), field.name()));
    }
    Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(counted))?))
}

/// The counts of a table, as a table with its columns and [`ROWS`].
struct CountedTable {
    snapshot: Arc<Snapshot>,
    index: usize,
    /// Which of the table's pre-aggregates.
    which: usize,
}

impl fmt::Debug for CountedTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = self.snapshot.table(self.index);
        let groups = table.counts()[self.which].groups();
        write!(f, "CountedTable({}, {groups} groups)", table.table().logical_name)
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
        let table = self.snapshot.table(self.index);
        let (chunk, counts) = table.counts()[self.which].rows();
        let selected = &Selected::All;
        let rows = Rows { snapshot: &self.snapshot, table, chunk: &chunk, selected };
        let schema = self.schema();
        let last = schema.fields().len() - 1;
        let columns: Vec<usize> = match projection {
            Some(columns) => columns.clone(),
            None => (0..=last).collect(),
        };
        let length = counts.len();
        let counts: ArrayRef = Arc::new(counts);
        let array =
            |column: &usize| if *column == last { Ok(counts.clone()) } else { rows.array(*column) };
        let arrays = columns.iter().map(array).collect::<Result<_>>()?;
        let schema = Arc::new(schema.project(&columns)?);
        let options = RecordBatchOptions::new().with_row_count(Some(length));
        let batch = RecordBatch::try_new_with_options(schema.clone(), arrays, &options)?;
        Ok(MemorySourceConfig::try_new_exec(&[vec![batch]], schema, None)?)
    }
}
