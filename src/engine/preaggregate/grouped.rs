//! Aggregates over a table that no pre-aggregate knows enough for: where columns of few
//! values are all that is asked of the rows, a scan gives out each combination of them
//! once a chunk, with the number of rows that have it.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Column, Result, internal_err};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::logical_plan::TableScanBuilder;
use datafusion::logical_expr::{
    Aggregate, Expr, LogicalPlan, TableProviderFilterPushDown, TableScan, TableType,
};
use datafusion::physical_plan::ExecutionPlan;

use super::known::Known;
use super::path::Path;
use super::{ROWS, over};
use crate::catalog::ColumnKind;
use crate::engine::grouping::Grouping;
use crate::engine::oldest::OLDEST_TEXT;
use crate::engine::provider::SnapshotTable;
use crate::engine::scan::ScanExec;
use crate::job::{COUNTED_BY, Dimension};
use crate::store::CountedBy;

/// A column of times by which the text of a group is chosen.
const CREATED: &str = "createdon";

/// The aggregate over groups of one of its tables, if they tell enough.
pub fn grouped(aggregate: &Aggregate, path: &Path<'_>) -> Result<Option<LogicalPlan>> {
    let scan = path.scan;
    let provider = source_as_provider(&scan.source)?;
    let Some(table) = provider.as_ref().downcast_ref::<SnapshotTable>() else { return Ok(None) };
    let Some(projection) = &scan.projection else { return Ok(None) };
    if scan.fetch.is_some() || table.rows() == 0 {
        return Ok(None);
    }
    let table = GroupedTable { rows: table.clone(), oldest: None };
    let oldest = table
        .facts()
        .column_index(CREATED)
        .filter(|created| projection.contains(created) && only_orders(aggregate, path));
    let table = GroupedTable { oldest, ..table };
    let by = table.by(projection);
    if by.is_empty() || !by.iter().all(|column| table.repeats(*column)) {
        return Ok(None);
    }
    let by: Vec<CountedBy> = by.into_iter().chain(oldest).map(CountedBy::Value).collect();
    let known = Known {
        by: &by,
        table: table.facts(),
        relations: &path.relations,
        one_spelling: &|_| false,
        modern: &|_| false,
    };
    let mut asked = aggregate.group_expr.iter().chain(&aggregate.aggr_expr).chain(path.computed());
    if !asked.all(|expr| known.of(expr)) {
        return Ok(None);
    }
    let groups = table.scan_of(scan, projection)?;
    over(aggregate, path, &known, &groups)
}

/// Whether [`CREATED`] does nothing but choose the text that a group shows.
fn only_orders(aggregate: &Aggregate, path: &Path<'_>) -> bool {
    let is_created = |expr: &Expr| match expr {
        Expr::Column(column) => {
            column.name == CREATED
                && column.relation.as_ref().is_none_or(|name| path.relations.contains(name))
        }
        _ => false,
    };
    let reads = |expr: &Expr| expr.column_refs().iter().any(|column| column.name == CREATED);
    let orders = |expr: &Expr| match expr.clone().unalias() {
        Expr::AggregateFunction(function) if function.func.name() == OLDEST_TEXT => {
            let params = &function.params;
            let [text, time] = params.args.as_slice() else { return false };
            !reads(text) && (is_created(time) || !reads(time)) && params.filter.is_none()
        }
        expr => !reads(&expr),
    };
    !aggregate.group_expr.iter().any(reads)
        && !path.computed().any(reads)
        && aggregate.aggr_expr.iter().all(orders)
}

/// A table as a scan of its groups, with [`ROWS`] beside its columns.
#[derive(Clone, Debug)]
pub struct GroupedTable {
    pub rows: SnapshotTable,
    /// The column by which the oldest row of a group stands for it.
    pub oldest: Option<usize>,
}

impl GroupedTable {
    fn facts(&self) -> &crate::catalog::Table {
        let (snapshot, index) = self.rows.parts();
        snapshot.table(index).table()
    }

    /// The stored columns that some columns follow from.
    fn by(&self, projection: &[usize]) -> Vec<usize> {
        let facts = self.facts();
        let mut by: Vec<usize> = projection
            .iter()
            .filter(|column| Some(**column) != self.oldest && **column < facts.columns.len())
            .flat_map(|column| match facts.columns[*column].kind {
                ColumnKind::Stored | ColumnKind::WaitReason => vec![*column],
                ColumnKind::ChoiceLabel(of) | ColumnKind::EntityLabel(of) => vec![of],
                ColumnKind::LookupName(of) => vec![of, *column],
            })
            .collect();
        by.sort_unstable();
        by.dedup();
        by
    }

    /// Whether a column has few values for the rows it has.
    fn repeats(&self, column: usize) -> bool {
        let facts = self.facts();
        let own = |name: &str| {
            let presence = |d: &Dimension| matches!(d, Dimension::Presence(of) if *of == name);
            COUNTED_BY.iter().flat_map(|by| by.iter()).any(presence)
        };
        let narrow = matches!(
            facts.schema().field(column).data_type(),
            DataType::Int32
                | DataType::Boolean
                | DataType::Utf8View
                | DataType::FixedSizeBinary(16)
        );
        narrow
            && column != facts.primary_id_index()
            && facts.columns[column].kind != ColumnKind::WaitReason
            && !own(&facts.columns[column].logical_name)
    }

    /// A scan with the number of rows beside the columns of another.
    fn scan_of(&self, scan: &TableScan, projection: &[usize]) -> Result<LogicalPlan> {
        let mut columns = projection.to_vec();
        columns.push(self.facts().columns.len());
        let source = provider_as_source(Arc::new(self.clone()));
        let scan = TableScanBuilder::new(scan.table_name.clone(), source)
            .with_projection(Some(columns))
            .with_filters(scan.filters.clone())
            .build()?;
        Ok(LogicalPlan::TableScan(scan))
    }
}

#[async_trait]
impl TableProvider for GroupedTable {
    fn schema(&self) -> SchemaRef {
        let rows = Arc::new(Field::new(ROWS, DataType::Int64, false));
        let fields = self.rows.schema().fields().iter().cloned().chain([rows]).collect::<Vec<_>>();
        Arc::new(Schema::new(fields))
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        // The number of rows is known when they have passed.
        let of_rows = |expr: &&Expr| {
            let counts = |column: &&Column| column.name == ROWS;
            match expr.column_refs().iter().any(counts) {
                true => TableProviderFilterPushDown::Unsupported,
                false => TableProviderFilterPushDown::Exact,
            }
        };
        Ok(filters.iter().map(of_rows).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let last = self.facts().columns.len();
        let mut columns = projection.cloned().unwrap_or_else(|| (0..=last).collect());
        let counts = columns.last() == Some(&last);
        if counts {
            columns.pop();
        }
        if columns.contains(&last) {
            return internal_err!("the number of rows is not the last column of a scan");
        }
        let grouping = Grouping { by: self.by(&columns), oldest: self.oldest };
        let field = counts.then(|| self.schema().field(last).clone());
        let reading = self.rows.reading(state, columns, filters).await?.grouped(grouping, field);
        let partitions = state.config().target_partitions();
        Ok(Arc::new(ScanExec::new(reading, partitions, None)))
    }
}
