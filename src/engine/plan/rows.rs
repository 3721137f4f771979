//! The rows of a query: tables, joins, the condition on all of it.

use std::sync::Arc;

use datafusion::common::{Column as PlanColumn, JoinType, Result, TableReference, plan_err};
use datafusion::datasource::provider_as_source;
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::{
    Expr, ExprFunctionExt, ExprSchemable, LogicalPlan, LogicalPlanBuilder, exists, lit,
};

use datafusion::prelude::cast;

use super::Builder;
use crate::catalog::Table;
use crate::engine::provider::SnapshotTable;
use crate::engine::semantics::{column, sort_key};
use crate::query::LinkType;
use crate::query::bound::{Column, Join, Output, OutputRole, Predicate, Scalar};

impl Builder<'_> {
    /// The joined and filtered rows.
    pub(super) fn rows(&self) -> Result<LogicalPlan> {
        let mut plan = self.joined(self.root()?, 0)?;
        let first = self.query.root.columns.len() - self.query.computed.len();
        for (index, value) in self.query.computed.iter().enumerate() {
            plan = self.computed(plan, first + index, value)?;
        }
        if let Some(filter) = &self.query.filter {
            plan = LogicalPlanBuilder::from(plan).filter(self.predicate(filter)?)?.build()?;
        }
        if let Some(share) = &self.query.share {
            plan = self.share(plan, share)?;
        }
        let counted = |o: &&Output| o.role == OutputRole::CountChildren;
        let mut sources: Vec<usize> =
            self.query.outputs.iter().filter(counted).map(|o| o.column.source).collect();
        sources.dedup();
        for source in sources {
            plan = self.with_children(plan, source)?;
        }
        Ok(plan)
    }

    /// The rows with one more column of the root.
    fn computed(&self, plan: LogicalPlan, column: usize, value: &Scalar) -> Result<LogicalPlan> {
        let field = self.query.root.schema().field(column);
        let mut expr = self.scalar(value)?;
        if expr.get_type(plan.schema())? != *field.data_type() {
            expr = cast(expr, field.data_type().clone());
        }
        let root = TableReference::bare(self.query.root.logical_name.as_str());
        let mut columns: Vec<Expr> =
            plan.schema().columns().into_iter().map(Expr::Column).collect();
        columns.push(expr.alias_qualified(Some(root), field.name()));
        LogicalPlanBuilder::from(plan).project(columns)?.build()
    }

    /// The rows with the number of children of a source's rows, null for none.
    fn with_children(&self, plan: LogicalPlan, source: usize) -> Result<LogicalPlan> {
        let (table, _) = self.source(source);
        let (Some(parent), Some(key)) = (table.parent_index(), table.primary_key()) else {
            return plan_err!("'{}' has no hierarchy", table.logical_name);
        };
        let parent = column("child", &table.columns[parent].logical_name);
        let counted = LogicalPlanBuilder::from(self.scan(table, "child")?)
            .aggregate(vec![parent.clone()], vec![count(lit(1_i64)).alias("children")])?
            .project(vec![parent.alias("parent"), Expr::Column(PlanColumn::from_name("children"))])?
            .alias(self.children_of(source))?
            .build()?;
        let relation = self.children_of(source);
        let parent = Expr::Column(PlanColumn::new(Some(relation), "parent"));
        let on = self.column(Column { source, column: key }).eq(parent);
        LogicalPlanBuilder::from(plan).join_on(counted, JoinType::Left, vec![on])?.build()
    }

    /// The number of children of a source's row.
    pub(super) fn children(&self, source: usize) -> Expr {
        Expr::Column(PlanColumn::new(Some(self.children_of(source)), "children"))
    }

    fn children_of(&self, source: usize) -> TableReference {
        TableReference::bare(format!("children of {}", self.source(source).1))
    }

    /// A source's rows with the joins that hang on it. What hangs on a link that
    /// is only tested belongs to the test, and what hangs on a link of which one
    /// row is taken is chosen with that row.
    fn joined(&self, mut plan: LogicalPlan, part: usize) -> Result<LogicalPlan> {
        for (index, join) in self.query.joins.iter().enumerate() {
            if join.in_predicate || self.query.part_of(join.to.source) != part {
                continue;
            }
            let mut right = self.scan(&join.table, &join.alias)?;
            let mut on = vec![self.column(join.to).eq(self.column(own(index, join.from)))];
            let filters = join.filter.iter().flat_map(Predicate::conjuncts);
            // A join's condition cannot look at other tables.
            let (before, with): (Vec<_>, Vec<_>) =
                filters.partition(|f| f.tests_rows() || join.link_type == LinkType::First);
            for filter in before {
                right = LogicalPlanBuilder::from(right).filter(self.predicate(filter)?)?.build()?;
            }
            on.extend(with.into_iter().map(|f| self.predicate(f)).reduce(both).transpose()?);
            match join.link_type {
                LinkType::Exists => right = self.joined(right, index + 1)?,
                LinkType::First => right = self.first(self.joined(right, index + 1)?, index)?,
                LinkType::Inner | LinkType::Outer => {}
            }
            plan = LogicalPlanBuilder::from(plan).join_on(right, join_type(join), on)?.build()?;
        }
        Ok(plan)
    }

    /// One row for each value of the join column: the one with the least keys.
    fn first(&self, plan: LogicalPlan, join: usize) -> Result<LogicalPlan> {
        let source = join + 1;
        let chosen = (source..=self.query.joins.len()).filter(|s| {
            let join = &self.query.joins[s - 1];
            let nested = self.query.part_of(join.to.source) == source;
            *s == source || (nested && !join.in_predicate && join.link_type != LinkType::Exists)
        });
        let keys = chosen.filter_map(|source| {
            let column = self.source(source).0.primary_key()?;
            Some(sort_key(self.column(Column { source, column }), false))
        });
        let position = format!("place in {}", self.query.joins[join].alias);
        let number = row_number()
            .partition_by(vec![self.column(own(join, self.query.joins[join].from))])
            .order_by(keys.collect())
            .build()?
            .alias(&position);
        LogicalPlanBuilder::from(plan)
            .window(vec![number])?
            .filter(Expr::Column(PlanColumn::from_name(position)).eq(lit(1_u64)))?
            .build()
    }

    /// Whether a source that is joined in predicates only has a row for the row
    /// outside.
    pub(super) fn exists(&self, source: usize) -> Result<Expr> {
        let join = &self.query.joins[source - 1];
        let (table, alias) = self.source(join.to.source);
        let outside = table.schema().field(join.to.column);
        let outside = Expr::OuterReferenceColumn(
            Arc::new(outside.clone()),
            PlanColumn::new(Some(TableReference::bare(alias)), outside.name()),
        );
        let own_column = self.column(own(source - 1, join.from));
        let mut filter = own_column.clone().eq(outside);
        if let Some(further) = &join.filter {
            filter = filter.and(self.predicate(further)?);
        }
        let rows = self.joined(self.scan(&join.table, &join.alias)?, source)?;
        let rows =
            LogicalPlanBuilder::from(rows).filter(filter)?.project(vec![own_column])?.build()?;
        Ok(exists(Arc::new(rows)))
    }

    pub(super) fn scan(&self, table: &Table, alias: &str) -> Result<LogicalPlan> {
        let index = self.snapshot.catalog().table_index(&table.logical_name).ok_or_else(|| {
            datafusion::common::plan_datafusion_err!("no table '{}'", table.logical_name)
        })?;
        let source = provider_as_source(Arc::new(SnapshotTable::new(self.snapshot.clone(), index)));
        let scan = LogicalPlanBuilder::scan(table.logical_name.as_str(), source, None)?;
        if alias == table.logical_name {
            scan.build()
        } else {
            scan.alias(TableReference::bare(alias))?.build()
        }
    }
}

/// A join's own column; joins are the sources after the root.
fn own(join: usize, column: usize) -> Column {
    Column { source: join + 1, column }
}

fn both(left: Result<Expr>, right: Result<Expr>) -> Result<Expr> {
    Ok(left?.and(right?))
}

fn join_type(join: &Join) -> JoinType {
    match join.link_type {
        LinkType::Inner | LinkType::First => JoinType::Inner,
        LinkType::Outer => JoinType::Left,
        LinkType::Exists => JoinType::LeftSemi,
    }
}
