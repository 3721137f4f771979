//! Optimized plans of questions that were asked before. Programs ask the same
//! things again and again, and optimizing takes longer than many answers.
//!
//! A plan is kept without its tables, and gets those of the snapshot it is used
//! for. What depends on the time or on chance is optimized each time.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{HashMap, Result};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::{Expr, LogicalPlan, TableSource, Volatility};
use parking_lot::Mutex;

use super::preaggregate::{CountedTable, GroupedTable};
use super::provider::SnapshotTable;
use crate::store::Snapshot;

/// When so many plans are kept, all are forgotten: some questions are asked once.
const PLANS_MAX: usize = 128;

/// Plans by their hashes. Of two with the same hash the later one is kept.
#[derive(Default)]
pub struct PlanCache {
    plans: Mutex<HashMap<u64, Arc<Kept>>>,
    hashes: RandomState,
}

/// A plan as asked, and optimized; neither holds a snapshot.
struct Kept {
    asked: LogicalPlan,
    optimized: LogicalPlan,
}

impl PlanCache {
    /// The optimized plan of a plan; `optimize` makes it if it is not kept.
    pub fn optimized(
        &self,
        plan: LogicalPlan,
        optimize: impl FnOnce(LogicalPlan) -> Result<LogicalPlan>,
    ) -> Result<LogicalPlan> {
        let Some(snapshot) = snapshot_of(&plan)? else { return optimize(plan) };
        // Hashing and comparing take long: nobody else should wait for them.
        let hash = self.hashes.hash_one(&plan);
        let known = self.plans.lock().get(&hash).cloned();
        if let Some(known) = known.filter(|known| known.asked == plan)
            && let Some(filled) = filled(known.optimized.clone(), &snapshot)?
        {
            return Ok(filled);
        }
        let made = optimize(plan.clone())?;
        // Plans are equal whatever stands in the places of their tables.
        if let (Some(asked), Some(optimized)) = (emptied(plan)?, emptied(made.clone())?) {
            let mut plans = self.plans.lock();
            if plans.len() >= PLANS_MAX {
                plans.clear();
            }
            plans.insert(hash, Arc::new(Kept { asked, optimized }));
        }
        Ok(made)
    }
}

/// The snapshot that all tables of a plan are of; nothing if there is none or if
/// the plan means something else each time.
fn snapshot_of(plan: &LogicalPlan) -> Result<Option<Arc<Snapshot>>> {
    let mut found: Option<Arc<Snapshot>> = None;
    let mut same = true;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let provider = source_as_provider(&scan.source).ok();
            let table = provider.as_ref().and_then(|p| p.as_ref().downcast_ref::<SnapshotTable>());
            match table.map(|table| table.parts().0) {
                Some(snapshot) => {
                    same = same && found.as_ref().is_none_or(|one| Arc::ptr_eq(one, snapshot));
                    found = Some(snapshot.clone());
                }
                None => same = false,
            }
        }
        // Nodes of others may hold anything.
        same = same && !matches!(node, LogicalPlan::Extension(_) | LogicalPlan::RecursiveQuery(_));
        node.apply_expressions(|expr| {
            same = same && !expr.exists(|e| Ok(varies(e)))?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(if same { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    })?;
    Ok(found.filter(|_| same))
}

fn varies(expr: &Expr) -> bool {
    match expr {
        Expr::ScalarFunction(function) => {
            function.func.signature().volatility != Volatility::Immutable
        }
        Expr::ScalarVariable(..) | Expr::Placeholder(_) => true,
        _ => false,
    }
}

/// The place of a table in a plan that is kept.
#[derive(Debug)]
struct Slot {
    schema: SchemaRef,
    table: String,
    kind: Kind,
}

/// What stands in the place of a table.
#[derive(Debug)]
enum Kind {
    Rows,
    /// Its groups, and the column by which the oldest row stands for one.
    Grouped(Option<usize>),
    /// Which of its pre-aggregates it is, and what they have to know.
    Counted {
        which: usize,
        spelled: Vec<usize>,
        timed: Vec<usize>,
    },
}

impl TableSource for Slot {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

/// A plan without tables; nothing if it reads what a snapshot does not have.
fn emptied(plan: LogicalPlan) -> Result<Option<LogicalPlan>> {
    let mut all = true;
    let plan = plan.transform_down_with_subqueries(|node| {
        let LogicalPlan::TableScan(mut scan) = node else { return Ok(Transformed::no(node)) };
        let provider = source_as_provider(&scan.source)?;
        let name = |snapshot: &Arc<Snapshot>, index| {
            Snapshot::table(snapshot, index).table().logical_name.clone()
        };
        let provided = provider.as_ref();
        let (table, kind) = if let Some(table) = provided.downcast_ref::<SnapshotTable>() {
            let (snapshot, index) = table.parts();
            (name(snapshot, index), Kind::Rows)
        } else if let Some(table) = provided.downcast_ref::<GroupedTable>() {
            let (snapshot, index) = table.rows.parts();
            (name(snapshot, index), Kind::Grouped(table.oldest))
        } else if let Some(table) = provided.downcast_ref::<CountedTable>() {
            let (spelled, timed) = (table.spelled.clone(), table.timed.clone());
            let kind = Kind::Counted { which: table.which, spelled, timed };
            (name(&table.snapshot, table.index), kind)
        } else {
            all = false;
            return Ok(Transformed::no(LogicalPlan::TableScan(scan)));
        };
        scan.source = Arc::new(Slot { schema: provider.schema(), table, kind });
        Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
    })?;
    Ok(Some(plan.data).filter(|_| all))
}

/// A plan with the tables of a snapshot; nothing if they are others, or the
/// pre-aggregates know less than those it was made for.
fn filled(plan: LogicalPlan, snapshot: &Arc<Snapshot>) -> Result<Option<LogicalPlan>> {
    let mut all = true;
    let plan = plan.transform_down_with_subqueries(|node| {
        let LogicalPlan::TableScan(mut scan) = node else { return Ok(Transformed::no(node)) };
        let kept = scan.source.clone();
        let slot = kept.as_ref().downcast_ref::<Slot>();
        let Some((slot, index)) =
            slot.and_then(|slot| Some((slot, snapshot.catalog().table_index(&slot.table)?)))
        else {
            all = false;
            return Ok(Transformed::no(LogicalPlan::TableScan(scan)));
        };
        let rows = SnapshotTable::new(snapshot.clone(), index);
        scan.source = match &slot.kind {
            Kind::Rows => {
                all = all && rows.schema() == slot.schema;
                provider_as_source(Arc::new(rows))
            }
            Kind::Grouped(oldest) => {
                let table = GroupedTable { rows, oldest: *oldest };
                all = all && table.schema() == slot.schema;
                provider_as_source(Arc::new(table))
            }
            Kind::Counted { which, spelled, timed } => {
                let table = CountedTable {
                    snapshot: snapshot.clone(),
                    index,
                    which: *which,
                    spelled: spelled.clone(),
                    timed: timed.clone(),
                };
                all = all && table.schema() == slot.schema && table.still_knows();
                provider_as_source(Arc::new(table))
            }
        };
        Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
    })?;
    Ok(Some(plan.data).filter(|_| all))
}
