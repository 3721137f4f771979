//! The domain of an inner query: the outer columns it uses, a row for each
//! combination there is.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, ExprSchema, JoinType, Result};
use datafusion::logical_expr::{
    Aggregate, Expr, LogicalPlan, LogicalPlanBuilder, Projection, ScalarUDF, Subquery,
};

use super::row_key::RowKey;
use super::{Names, all_columns, column_at};

/// Rows of outer columns under names of their own.
#[derive(Clone)]
pub(super) struct Domain {
    pub plan: LogicalPlan,
    /// Each outer column, and its name in the plan.
    pub columns: Vec<(Column, Column)>,
}

impl Domain {
    /// All rows and columns of the outer plan.
    pub fn whole(outer: LogicalPlan, names: &mut Names) -> Result<Self> {
        let columns = outer.schema().columns();
        Self::named(outer, columns, names)
    }

    /// The distinct rows of some columns of the outer plan.
    pub fn distinct(outer: &LogicalPlan, used: Vec<Column>, names: &mut Names) -> Result<Self> {
        let keys = used.iter().cloned().map(Expr::Column).collect();
        let rows = Aggregate::try_new(Arc::new(outer.clone()), keys, Vec::new())?;
        Self::named(LogicalPlan::Aggregate(rows), used, names)
    }

    fn named(rows: LogicalPlan, columns: Vec<Column>, names: &mut Names) -> Result<Self> {
        let columns: Vec<_> = columns
            .into_iter()
            .map(|column| (column, Column::from_name(names.next("outer"))))
            .collect();
        let shown = columns.iter().map(|(from, to)| Expr::Column(from.clone()).alias(&to.name));
        let plan = Projection::try_new(shown.collect(), Arc::new(rows))?;
        Ok(Self { plan: LogicalPlan::Projection(plan), columns })
    }

    /// The same rows under other names, for a second place in one plan.
    pub fn renamed(&self, names: &mut Names) -> Result<Self> {
        let columns: Vec<_> = self
            .columns
            .iter()
            .map(|(from, _)| (from.clone(), Column::from_name(names.next("outer"))))
            .collect();
        let old = self.names().zip(&columns);
        let shown = old.map(|(old, (_, new))| Expr::Column(old.clone()).alias(&new.name));
        let plan = Projection::try_new(shown.collect(), Arc::new(self.plan.clone()))?;
        Ok(Self { plan: LogicalPlan::Projection(plan), columns })
    }

    /// The names of its columns in the plan.
    pub fn names(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().map(|(_, name)| name)
    }

    /// Its columns as expressions over a plan that carries them.
    pub fn exprs(&self) -> impl Iterator<Item = Expr> + '_ {
        self.names().cloned().map(Expr::Column)
    }

    fn name_of(&self, outer: &Column) -> Option<&Column> {
        self.columns.iter().find(|(from, _)| from == outer).map(|(_, to)| to)
    }

    /// Whether a plan uses it.
    pub fn is_used(&self, plan: &LogicalPlan) -> Result<bool> {
        let mut used = false;
        each_outer(plan, &mut |column| used |= self.name_of(column).is_some())?;
        Ok(used)
    }

    /// Whether an expression uses it.
    pub fn is_used_by(&self, expr: &Expr) -> Result<bool> {
        let mut used = false;
        each_outer_of(expr, &mut |column| used |= self.name_of(column).is_some())?;
        Ok(used)
    }

    /// The expression over a plan that carries the domain. Inside a subquery its
    /// columns are still outer ones.
    pub fn bind(&self, expr: Expr) -> Result<Expr> {
        let bound = expr.transform_up(|expr| {
            Ok(match expr {
                Expr::OuterReferenceColumn(_, ref outer) => match self.name_of(outer) {
                    Some(name) => Transformed::yes(Expr::Column(name.clone())),
                    None => Transformed::no(expr),
                },
                other => bind_subquery(other, &|e| self.bind_inside(e))?,
            })
        })?;
        Ok(bound.data)
    }

    fn bind_inside(&self, expr: Expr) -> Result<Expr> {
        let bound = expr.transform_up(|expr| {
            Ok(match expr {
                Expr::OuterReferenceColumn(field, outer) => match self.name_of(&outer) {
                    Some(name) => Transformed::yes(Expr::OuterReferenceColumn(field, name.clone())),
                    None => Transformed::no(Expr::OuterReferenceColumn(field, outer)),
                },
                other => bind_subquery(other, &|e| self.bind_inside(e))?,
            })
        })?;
        Ok(bound.data)
    }

    /// Outer columns and inner ones, where the domain is all of the outer plan.
    pub fn restored(&self, pushed: LogicalPlan, inner: &LogicalPlan) -> Result<LogicalPlan> {
        let outer = self.columns.iter().map(|(from, to)| {
            Expr::Column(to.clone()).alias_qualified(from.relation.clone(), &from.name)
        });
        let columns = outer.chain(all_columns(inner)).collect();
        Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(pushed))?))
    }

    /// Outer rows joined with the inner rows of their domain row.
    pub fn joined(
        &self,
        outer: LogicalPlan,
        pushed: LogicalPlan,
        kind: JoinType,
    ) -> Result<LogicalPlan> {
        let theirs: Vec<Column> = self.columns.iter().map(|(from, _)| from.clone()).collect();
        let ours: Vec<Column> = self.names().cloned().collect();
        let same = same_row(&theirs, outer.schema(), &ours, pushed.schema());
        LogicalPlanBuilder::from(outer).join_on(pushed, kind, same)?.build()
    }
}

/// Conditions under which two rows of columns are equal, nulls too.
pub(super) fn same_row(
    left: &[Column],
    left_schema: &DFSchema,
    right: &[Column],
    right_schema: &DFSchema,
) -> Vec<Expr> {
    let nullable = |schema: &DFSchema, column: &Column| schema.nullable(column).unwrap_or(true);
    let any = left.iter().any(|c| nullable(left_schema, c))
        || right.iter().any(|c| nullable(right_schema, c));
    let exprs = |columns: &[Column]| columns.iter().cloned().map(Expr::Column).collect::<Vec<_>>();
    if any {
        let key = |columns| ScalarUDF::from(RowKey::default()).call(exprs(columns));
        return vec![key(left).eq(key(right))];
    }
    exprs(left).into_iter().zip(exprs(right)).map(|(l, r)| l.eq(r)).collect()
}

/// The columns of a schema that a plan uses as outer ones.
pub(super) fn outer_columns(plan: &LogicalPlan, schema: &DFSchema) -> Result<Vec<Column>> {
    let mut used = Vec::new();
    each_outer(plan, &mut |column| {
        if schema.has_column(column) && !used.contains(column) {
            used.push(column.clone());
        }
    })?;
    Ok(used)
}

/// Visits the outer columns in a plan, those of its subqueries too.
fn each_outer(plan: &LogicalPlan, visit: &mut dyn FnMut(&Column)) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::OuterReferenceColumn(_, column) = expr {
                    visit(column);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(())
}

fn each_outer_of(expr: &Expr, visit: &mut dyn FnMut(&Column)) -> Result<()> {
    expr.apply(|expr| {
        match expr {
            Expr::OuterReferenceColumn(_, column) => visit(column),
            other => {
                if let Some(query) = subquery_of(other) {
                    each_outer(&query.subquery, visit)?;
                }
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

/// The query inside of a subquery expression.
pub(super) fn subquery_of(expr: &Expr) -> Option<&Subquery> {
    match expr {
        Expr::ScalarSubquery(query) => Some(query),
        Expr::Exists(exists) => Some(&exists.subquery),
        Expr::InSubquery(test) => Some(&test.subquery),
        Expr::SetComparison(test) => Some(&test.subquery),
        _ => None,
    }
}

fn bind_subquery(mut expr: Expr, bind: &dyn Fn(Expr) -> Result<Expr>) -> Result<Transformed<Expr>> {
    let query = match &mut expr {
        Expr::ScalarSubquery(query) => query,
        Expr::Exists(exists) => &mut exists.subquery,
        Expr::InSubquery(test) => &mut test.subquery,
        Expr::SetComparison(test) => &mut test.subquery,
        _ => return Ok(Transformed::no(expr)),
    };
    let plan = query.subquery.as_ref().clone();
    let plan = plan.transform_up_with_subqueries(|node| {
        node.map_expressions(|e| bind(e).map(Transformed::yes))
    })?;
    query.subquery = Arc::new(plan.data);
    for column in &mut query.outer_ref_columns {
        *column = bind(column.clone())?;
    }
    Ok(Transformed::yes(expr))
}

/// An expression about rows of a plan, seen from a query inside of it.
pub(super) fn to_outer(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    let seen = expr.transform_up(|expr| match expr {
        Expr::Column(column) if schema.has_column(&column) => {
            let index = schema.index_of_column(&column)?;
            let field = schema.field(index).clone();
            let column = column_at(schema, index);
            Ok(Transformed::yes(Expr::OuterReferenceColumn(field, column)))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(seen.data)
}
