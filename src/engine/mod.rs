//! Plans and runs queries over a snapshot with DataFusion.
//!
//! A bound FetchXML or OData query becomes a plan in [`plan`], a T-SQL statement
//! in [`sql`]. Both meet in [`Engine::optimized`]: the shared semantics, then
//! DataFusion's optimizer. Execution reads the snapshot through [`provider`].

pub mod functions;

mod attached;
mod average;
mod by_value;
mod cached;
mod canonical;
pub mod collation;
mod decorrelate;
mod derived;
mod distinct;
mod distinct_keys;
mod each_group;
mod explained;
mod failure;
mod grouping;
mod grouping_sets;
mod limits;
mod oldest;
mod percentile;
mod percentile_groups;
mod plan;
mod preaggregate;
mod provider;
mod pruning;
mod reading;
mod row_limits;
mod scan;
mod semantics;
mod sql;
mod statement;
mod stepping;
mod sum;
mod top;
mod total;
mod views;
mod waits;
mod windowed;
mod zones;

use std::sync::Arc;

use datafusion::arrow::array::types::Int64Type;
use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{
    FunctionRegistry, SendableRecordBatchStream, SessionState, SessionStateBuilder, TaskContext,
};
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::{ExecutionPlan, displayable, execute_stream};
use datafusion::prelude::SessionConfig;
use datafusion::sql::sqlparser::ast;
use futures::TryStreamExt;

pub use self::collation::key as collation_key;
use self::decorrelate::MORE_VALUES;
pub use self::failure::failure;
pub use self::limits::QueryLimits;
pub use self::provider::SnapshotTable;
use self::statement::Statement;

use crate::error::{Error, Result};
use crate::query::bound::BoundQuery;
use crate::store::Snapshot;

/// The query engine; one for all sessions.
pub struct Engine {
    session: SessionState,
    /// What running a plan needs of the session. Making it copies all functions, so it
    /// is made once.
    task: Arc<TaskContext>,
    limits: QueryLimits,
    plans: cached::PlanCache,
}

impl Default for Engine {
    fn default() -> Self {
        Self::new()
    }
}

impl Engine {
    /// An engine whose queries take what they need.
    pub fn new() -> Self {
        Self::limited(QueryLimits::default()).expect("no limits, nothing to set up")
    }

    /// An engine whose queries are limited.
    pub fn limited(limits: QueryLimits) -> Result<Self> {
        let mut rules: Vec<Arc<dyn OptimizerRule + Send + Sync>> =
            vec![Arc::new(preaggregate::FewerRows::of_groups())];
        if !limits.scanning {
            rules.insert(0, Arc::new(preaggregate::FewerRows::of_counts()));
        }
        Self::build(limits, rules)
    }

    /// The same, but every query reads the rows it is about and no pre-aggregates.
    pub fn scanning(limits: QueryLimits) -> Result<Self> {
        Self::limited(QueryLimits { scanning: true, ..limits })
    }

    /// The plainest engine: an aggregate reads every row it is about. Tests compare the
    /// others with it.
    pub fn row_by_row() -> Self {
        Self::build(QueryLimits::default(), Vec::new()).expect("no limits, nothing to set up")
    }

    fn build(
        limits: QueryLimits,
        rules: Vec<Arc<dyn OptimizerRule + Send + Sync>>,
    ) -> Result<Self> {
        let mut config = limits.configure(SessionConfig::new());
        // Lookups are mostly null; such rows need not reach an inner join.
        config.options_mut().optimizer.filter_null_join_keys = true;
        // More keys than by default are looked up one by one.
        config.options_mut().optimizer.hash_join_inlist_pushdown_max_distinct_values = 1000;
        let mut physical = PhysicalOptimizer::new().rules;
        let last = physical.iter().position(|rule| rule.name() == "EnsureCooperative");
        physical.insert(last.unwrap_or(physical.len()), Arc::new(top::TopRows));
        let builder = SessionStateBuilder::new()
            .with_physical_optimizer_rules(physical)
            .with_config(config)
            .with_runtime_env(limits.runtime().map_err(failure)?)
            .with_default_features()
            .with_optimizer_rule(Arc::new(distinct_keys::DistinctKeys))
            .with_optimizer_rule(Arc::new(canonical::SmallerSideLeft))
            .with_optimizer_rule(Arc::new(canonical::OrderedAggregates));
        let mut session =
            rules.into_iter().fold(builder, SessionStateBuilder::with_optimizer_rule).build();
        for function in functions::all() {
            // It replaces DataFusion's alias of the same name, if there is one.
            session.register_udf(function).expect("a session takes any function");
        }
        for function in percentile::all() {
            session.register_udaf(function).expect("a session takes any function");
        }
        let task = session.task_ctx();
        Ok(Self { session, task, limits, plans: cached::PlanCache::default() })
    }

    /// The plan of a bound FetchXML or OData query, as asked. Its columns are
    /// the query's outputs, in order. With a page it yields one row more than
    /// the page holds when there are further rows.
    pub fn plan(&self, query: &BoundQuery, snapshot: &Arc<Snapshot>) -> Result<LogicalPlan> {
        plan::plan(query, snapshot).map_err(failure)
    }

    /// The plan of a T-SQL query whose names are canonical, as asked.
    pub fn plan_sql(&self, query: &ast::Query, snapshot: &Arc<Snapshot>) -> Result<LogicalPlan> {
        sql::plan_or_refuse(query, snapshot, &self.session)
    }

    /// The columns of a plan's answer.
    pub fn schema(&self, plan: LogicalPlan) -> Result<SchemaRef> {
        let plan = semantics::apply(plan).map_err(failure)?;
        Ok(Arc::clone(plan.schema().inner()))
    }

    /// The number of rows a query has without `top` and page.
    pub async fn count(&self, query: &BoundQuery, snapshot: &Arc<Snapshot>) -> Result<u64> {
        let plan = plan::count_plan(query, snapshot).map_err(failure)?;
        let batches = self.collect(plan).await?;
        let count = batches.first().map(|b| b.column(0).as_primitive::<Int64Type>().value(0));
        count
            .and_then(|n| u64::try_from(n).ok())
            .ok_or_else(|| Error::internal("a count query gave no count"))
    }

    /// A plan with its full meaning, optimized: what is run and explained.
    pub fn optimized(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        self.plans.optimized(plan, |plan| self.optimize(plan)).map_err(failure)
    }

    fn optimize(&self, plan: LogicalPlan) -> datafusion::common::Result<LogicalPlan> {
        let plan = semantics::apply(plan)?;
        let plan = row_limits::compute(plan, &self.session)?;
        let plan = decorrelate::decorrelate(plan)?;
        let statement = Statement::starting(&self.session);
        let plan =
            self.session.analyzer().execute_and_check(plan, &statement.options(), |_, _| {})?;
        self.session.optimizer().optimize(plan, &statement, |_, _| {})
    }

    /// How a plan is executed.
    pub async fn physical(&self, plan: LogicalPlan) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = self.optimized(plan)?;
        let planner = self.session.query_planner().clone();
        planner.create_physical_plan(&plan, &self.session).await.map_err(failure)
    }

    /// Runs a plan.
    pub async fn run(&self, plan: LogicalPlan) -> Result<SendableRecordBatchStream> {
        let physical = self.physical(plan).await?;
        let rows = execute_stream(physical, self.task.clone()).map_err(failure)?;
        Ok(self.limits.timed(rows))
    }

    /// Memory of what queries may take, for rows that somebody keeps; none yet.
    pub fn reservation(&self, of: &str) -> MemoryReservation {
        MemoryConsumer::new(of).register(self.task.memory_pool())
    }

    /// Runs a plan to its end.
    pub async fn collect(&self, plan: LogicalPlan) -> Result<Vec<RecordBatch>> {
        self.run(plan).await?.try_collect().await.map_err(failure)
    }

    /// The logical plan as text; with `physical` how it is executed, with
    /// `analyze` after a run, with its figures.
    pub async fn explain(
        &self,
        plan: LogicalPlan,
        physical: bool,
        analyze: bool,
    ) -> Result<String> {
        if !physical && !analyze {
            return Ok(self.optimized(plan)?.display_indent().to_string());
        }
        let plan = self.physical(plan).await?;
        if !analyze {
            return Ok(displayable(plan.as_ref()).indent(false).to_string());
        }
        self.run_through(&plan).await?;
        let shown = datafusion::physical_plan::display::DisplayableExecutionPlan::with_metrics(
            plan.as_ref(),
        );
        Ok(shown.indent(false).to_string())
    }

    /// How a plan is executed, as PostgreSQL's `EXPLAIN (FORMAT JSON)` names its parts;
    /// with `analyze` after a run, with the rows and the time of each.
    pub async fn explain_tree(
        &self,
        plan: LogicalPlan,
        analyze: bool,
    ) -> Result<serde_json::Value> {
        let plan = self.physical(plan).await?;
        if analyze {
            self.run_through(&plan).await?;
        }
        Ok(explained::tree(plan.as_ref(), analyze))
    }

    async fn run_through(&self, plan: &Arc<dyn ExecutionPlan>) -> Result<()> {
        let rows = execute_stream(plan.clone(), self.task.clone()).map_err(failure)?;
        let _: Vec<RecordBatch> = self.limits.timed(rows).try_collect().await.map_err(failure)?;
        Ok(())
    }
}
