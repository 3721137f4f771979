//! The way from an aggregate down to the scan of one table, past projections,
//! filters and joins that keep each of its rows apart; and the same plan with the
//! counts of the table in its place.

use std::sync::Arc;

use datafusion::common::{Column, JoinType, Result, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::logical_plan::TableScanBuilder;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{
    Expr, Filter, Join, LogicalPlan, LogicalPlanBuilder, Operator, Projection, SubqueryAlias,
    TableScan, Union, lit,
};
use datafusion::scalar::ScalarValue;

use super::ROWS;
use super::hours::{ceiling, floor};
use super::table::CountedTable;

/// A filter that cuts through an hour.
pub struct Cut {
    pub filter: Expr,
    pub column: usize,
    pub op: Operator,
    pub at: i64,
}

/// The way down to a scan.
pub struct Path<'a> {
    pub scan: &'a TableScan,
    /// What the table is called on the way.
    pub relations: Vec<TableReference>,
    /// The nodes passed, the lowest first.
    nodes: Vec<&'a LogicalPlan>,
}

/// The ways down to tables whose rows an aggregate may count by groups.
pub fn paths(plan: &LogicalPlan) -> Vec<Path<'_>> {
    let sides: Vec<&Arc<LogicalPlan>> = match plan {
        LogicalPlan::TableScan(scan) => {
            let relations = vec![scan.table_name.clone()];
            return vec![Path { scan, relations, nodes: vec![plan] }];
        }
        LogicalPlan::Projection(Projection { input, .. })
        | LogicalPlan::Filter(Filter { input, .. })
        | LogicalPlan::SubqueryAlias(SubqueryAlias { input, .. }) => vec![input],
        LogicalPlan::Join(join) => match join.join_type {
            JoinType::Inner => vec![&join.left, &join.right],
            JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti => vec![&join.left],
            JoinType::Right | JoinType::RightSemi | JoinType::RightAnti => vec![&join.right],
            _ => Vec::new(),
        },
        _ => Vec::new(),
    };
    let mut found: Vec<Path<'_>> = sides.into_iter().flat_map(|side| paths(side)).collect();
    for path in &mut found {
        path.nodes.push(plan);
        if let LogicalPlan::SubqueryAlias(alias) = plan {
            path.relations.push(alias.alias.clone());
        }
    }
    found
}

impl<'a> Path<'a> {
    /// What the nodes on the way compute. A column that is merely passed on is
    /// judged where it is used.
    pub fn computed(&self) -> impl Iterator<Item = &'a Expr> {
        self.nodes.iter().flat_map(|node| match node {
            LogicalPlan::Projection(projection) => {
                projection.expr.iter().filter(|e| !matches!(e, Expr::Column(_))).collect()
            }
            LogicalPlan::Filter(filter) => vec![&filter.predicate],
            LogicalPlan::Join(join) => {
                let keys = join.on.iter().flat_map(|(left, right)| [left, right]);
                keys.chain(&join.filter).collect()
            }
            _ => Vec::new(),
        })
    }

    fn passes(&self, plan: &LogicalPlan) -> bool {
        self.nodes.iter().any(|node| std::ptr::eq(*node, plan))
    }

    /// The plan with another as the table, whose number of rows is passed on as what is
    /// returned beside it.
    pub fn with_table(
        &self,
        plan: &LogicalPlan,
        table: &LogicalPlan,
    ) -> Result<(LogicalPlan, Expr)> {
        let below = |input: &LogicalPlan| self.with_table(input, table);
        Ok(match plan {
            LogicalPlan::Projection(projection) => {
                let (input, rows) = below(&projection.input)?;
                let mut columns = projection.expr.clone();
                columns.push(rows.clone());
                let plan = Projection::try_new(columns, Arc::new(input))?;
                (LogicalPlan::Projection(plan), rows)
            }
            LogicalPlan::Filter(filter) => {
                let (input, rows) = below(&filter.input)?;
                let plan = Filter::try_new(filter.predicate.clone(), Arc::new(input))?;
                (LogicalPlan::Filter(plan), rows)
            }
            LogicalPlan::SubqueryAlias(alias) => {
                let (input, _) = below(&alias.input)?;
                let plan = SubqueryAlias::try_new(Arc::new(input), alias.alias.clone())?;
                let rows = Expr::Column(Column::new(Some(alias.alias.clone()), ROWS));
                (LogicalPlan::SubqueryAlias(plan), rows)
            }
            LogicalPlan::Join(join) => {
                let (mut left, mut right) = (join.left.clone(), join.right.clone());
                let side = if self.passes(&left) { &mut left } else { &mut right };
                let (input, rows) = below(side)?;
                *side = Arc::new(input);
                let plan = Join::try_new(
                    left,
                    right,
                    join.on.clone(),
                    join.filter.clone(),
                    join.join_type,
                    join.join_constraint,
                    join.null_equality,
                    join.null_aware,
                )?;
                (LogicalPlan::Join(plan), rows)
            }
            LogicalPlan::TableScan(scan) => {
                let rows = Expr::Column(Column::new(Some(scan.table_name.clone()), ROWS));
                (table.clone(), rows)
            }
            other => (other.clone(), lit(1_i64)),
        })
    }
}

/// The counts in the place of a scan; the rows of hours that are cut through
/// count one each.
pub fn counted(scan: &TableScan, counts: &Arc<CountedTable>, cuts: &[Cut]) -> Result<LogicalPlan> {
    let schema = scan.source.schema();
    let mut columns: Vec<usize> = scan
        .filters
        .iter()
        .flat_map(Expr::column_refs)
        .map(|column| schema.index_of(&column.name))
        .collect::<Result<_, _>>()?;
    columns.extend(scan.projection.clone().unwrap_or_else(|| (0..schema.fields().len()).collect()));
    columns.sort_unstable();
    columns.dedup();
    let filters: Vec<&Expr> = scan.filters.iter().flat_map(split_conjunction).collect();
    let whole = filters.iter().filter(|filter| !cuts.iter().any(|cut| cut.filter == ***filter));
    let mut whole: Vec<Expr> = whole.map(|filter| (*filter).clone()).collect();
    let within = inner_hours(scan, cuts);
    whole.extend(within.clone());
    let mut with_rows = columns.clone();
    with_rows.push(schema.fields().len());
    let source = provider_as_source(counts.clone());
    let name = TableReference::bare(format!("counts of {}", scan.table_name.table()));
    let whole = LogicalPlanBuilder::scan(name, source, Some(with_rows))?
        .alias(scan.table_name.clone())?
        .filter(conjunction(whole).unwrap_or_else(|| lit(true)))?
        .build()?;
    let Some(within) = conjunction(within) else { return Ok(whole) };
    let mut cut: Vec<Expr> = filters.into_iter().cloned().collect();
    cut.push(!within);
    let rows = TableScanBuilder::new(scan.table_name.clone(), scan.source.clone())
        .with_projection(Some(columns))
        .with_filters(cut)
        .build()?;
    let mut shown: Vec<Expr> =
        rows.projected_schema.columns().into_iter().map(Expr::Column).collect();
    shown.push(lit(1_i64).alias_qualified(Some(scan.table_name.clone()), ROWS));
    let rows = Projection::try_new(shown, Arc::new(LogicalPlan::TableScan(rows)))?;
    let both = vec![Arc::new(whole), Arc::new(LogicalPlan::Projection(rows))];
    let both = Arc::new(LogicalPlan::Union(Union::try_new(both)?));
    Ok(LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(both, scan.table_name.clone())?))
}

/// What limits a time to the hours that filters do not cut through.
fn inner_hours(scan: &TableScan, cuts: &[Cut]) -> Vec<Expr> {
    let limit = |cut: &Cut| {
        let schema = scan.source.schema();
        let name = schema.field(cut.column).name();
        let time = Expr::Column(Column::new(Some(scan.table_name.clone()), name));
        let at = |at| lit(ScalarValue::TimestampMicrosecond(Some(at), None));
        match cut.op {
            Operator::GtEq => time.gt_eq(at(ceiling(cut.at))),
            Operator::Gt => time.gt_eq(at(ceiling(cut.at.saturating_add(1)))),
            Operator::LtEq => time.lt(at(floor(cut.at.saturating_add(1)))),
            _ => time.lt(at(floor(cut.at))),
        }
    };
    cuts.iter().map(limit).collect()
}
