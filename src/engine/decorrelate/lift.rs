//! Subqueries inside of expressions as joins beside them, where the optimizer
//! takes none: in select lists, orders, groups, conditions of joins; and those
//! in filters that depend on the outer row in more than a comparison.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, JoinType, Result, ScalarValue};
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
use datafusion::logical_expr::expr::{Exists, InSubquery, SetComparison, SetQuantifier};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    Aggregate, AggregateUDF, Expr, Filter, Join, LogicalPlan, LogicalPlanBuilder, Operator,
    Projection, Subquery, binary_expr, lit, when,
};

use super::domain::{outer_columns, subquery_of, to_outer};
use super::single_value::SingleValue;
use super::{Names, all_columns, column_at};

impl Names {
    /// The node with its subqueries joined to its input.
    pub fn lift(&mut self, node: LogicalPlan) -> Result<LogicalPlan> {
        match node {
            LogicalPlan::Join(join) => self.lift_from_join(join),
            LogicalPlan::Projection(_)
            | LogicalPlan::Filter(_)
            | LogicalPlan::Aggregate(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Window(_) => self.lift_from(node),
            node => Ok(node),
        }
    }

    fn lift_from(&mut self, node: LogicalPlan) -> Result<LogicalPlan> {
        let inputs = node.inputs();
        let [input] = inputs.as_slice() else { return Ok(node) };
        let in_filter = matches!(node, LogicalPlan::Filter(_));
        let schema = input.schema().clone();
        let mut found = false;
        for expr in node.expressions() {
            found |= expr.exists(|e| is_left_over(e, in_filter, &schema))?;
        }
        if !found {
            return Ok(node);
        }
        let mut joined = (*input).clone();
        let names = NamePreserver::new(&node);
        let exprs = node.expressions().into_iter().map(|expr| {
            let name = names.save(&expr);
            let expr = self.lift_expr(expr, in_filter, &schema, &mut joined)?;
            Ok(name.restore(expr))
        });
        let exprs = exprs.collect::<Result<Vec<_>>>()?;
        let lifted = node.with_new_exprs(exprs, vec![joined])?;
        if matches!(lifted, LogicalPlan::Projection(_) | LogicalPlan::Aggregate(_)) {
            return Ok(lifted);
        }
        let columns = node.schema().columns().into_iter().map(Expr::Column).collect();
        Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(lifted))?))
    }

    /// Subqueries in `ON`: of an inner join they are asked of joined rows, else
    /// of the side whose columns they use.
    fn lift_from_join(&mut self, join: Join) -> Result<LogicalPlan> {
        let Some(filter) = join.filter.clone() else { return Ok(LogicalPlan::Join(join)) };
        let both = join.left.schema().join(join.right.schema())?;
        let needs = |e: &Expr| Ok(subquery_of(e).is_some());
        if !filter.exists(needs)? {
            return Ok(LogicalPlan::Join(join));
        }
        let columns: Vec<Expr> = join.schema.columns().into_iter().map(Expr::Column).collect();
        if join.join_type == JoinType::Inner {
            let rows = Join { filter: None, ..join };
            let filter = Filter::try_new(filter, Arc::new(LogicalPlan::Join(rows)))?;
            return self.lift(LogicalPlan::Filter(filter));
        }
        let (mut left, mut right) = (join.left.as_ref().clone(), join.right.as_ref().clone());
        let filter = filter.transform_up(|expr| {
            if subquery_of(&expr).is_none() {
                return Ok(Transformed::no(expr));
            }
            let used = columns_used(&expr, &both)?;
            let of_left = used.iter().all(|c| left.schema().has_column(c));
            let side = if of_left { &mut left } else { &mut right };
            if !used.iter().all(|c| side.schema().has_column(c)) {
                return datafusion::common::not_impl_err!(
                    "a subquery about both sides in the ON clause of an outer join"
                );
            }
            let schema = side.schema().clone();
            self.value_of(expr, &schema, side).map(Transformed::yes)
        })?;
        let lifted = LogicalPlanBuilder::from(left)
            .join_on(right, join.join_type, [filter.data])?
            .build()?;
        Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(lifted))?))
    }

    fn lift_expr(
        &mut self,
        expr: Expr,
        in_filter: bool,
        schema: &DFSchema,
        joined: &mut LogicalPlan,
    ) -> Result<Expr> {
        let lifted = expr.transform_up(|expr| {
            if !is_left_over(&expr, in_filter, schema)? {
                return Ok(Transformed::no(expr));
            }
            self.value_of(expr, schema, joined).map(Transformed::yes)
        })?;
        Ok(lifted.data)
    }

    /// The value of a subquery as a column of the plan it is joined to.
    fn value_of(
        &mut self,
        expr: Expr,
        schema: &DFSchema,
        joined: &mut LogicalPlan,
    ) -> Result<Expr> {
        match expr {
            Expr::ScalarSubquery(query) => self.single(query, joined),
            Expr::Exists(Exists { subquery, negated }) => {
                let name = self.next("exists");
                let count = Expr::Column(Column::from_name(name.clone()));
                let counts = aggregated(query_of(subquery), vec![counted(lit(1_i64)).alias(name)])?;
                self.beside(counts, joined)?;
                Ok(if negated { count.eq(lit(0_i64)) } else { count.gt(lit(0_i64)) })
            }
            Expr::InSubquery(InSubquery { expr, subquery, negated }) => {
                if outer_columns(&subquery.subquery, schema)?.is_empty()
                    && !subquery.subquery.contains_outer_reference()
                {
                    return self.in_list(*expr, subquery, negated, joined);
                }
                let (op, all) =
                    if negated { (Operator::NotEq, true) } else { (Operator::Eq, false) };
                self.compared(*expr, op, all, subquery, schema, joined)
            }
            Expr::SetComparison(SetComparison { expr, subquery, op, quantifier }) => {
                let all = matches!(quantifier, SetQuantifier::All);
                let alone = subquery.subquery.all_out_ref_exprs().is_empty();
                match (op, alone) {
                    (Operator::Lt | Operator::LtEq, true) => {
                        self.bounded(*expr, op, all, !all, subquery, joined)
                    }
                    (Operator::Gt | Operator::GtEq, true) => {
                        self.bounded(*expr, op, all, all, subquery, joined)
                    }
                    _ => self.compared(*expr, op, all, subquery, schema, joined),
                }
            }
            other => Ok(other),
        }
    }

    fn beside(&mut self, query: LogicalPlan, joined: &mut LogicalPlan) -> Result<()> {
        let left = joined.clone();
        *joined = self.apply(left, query, JoinType::Left, None)?;
        Ok(())
    }

    fn single(&mut self, query: Subquery, joined: &mut LogicalPlan) -> Result<Expr> {
        let query = query_of(query);
        let value = Expr::Column(column_at(query.schema(), 0));
        let name = self.next("value");
        let query = if has_one_row(&query) {
            let value = value.alias(&name);
            LogicalPlan::Projection(Projection::try_new(vec![value], Arc::new(query))?)
        } else {
            let single = AggregateUDF::from(SingleValue::default()).call(vec![value]);
            aggregated(query, vec![single.alias(&name)])?
        };
        self.beside(query, joined)?;
        Ok(Expr::Column(Column::from_name(name)))
    }

    /// `a IN (SELECT b …)` of a query that stands alone: a look-up of the list,
    /// and whether the list has nulls.
    fn in_list(
        &mut self,
        value: Expr,
        query: Subquery,
        negated: bool,
        joined: &mut LogicalPlan,
    ) -> Result<Expr> {
        let query = query_of(query);
        let item = Expr::Column(column_at(query.schema(), 0));
        let (all, known) = (self.next("rows"), self.next("values"));
        let counts = vec![counted(lit(1_i64)).alias(&all), counted(item.clone()).alias(&known)];
        let counts = aggregated(query.clone(), counts)?;
        let (key, mark) = (self.next("item"), self.next("found"));
        let list = Aggregate::try_new(Arc::new(query), vec![item.alias(&key)], Vec::new())?;
        let marked = vec![Expr::Column(Column::from_name(key.clone())), lit(true).alias(&mark)];
        let marked = Projection::try_new(marked, Arc::new(LogicalPlan::Aggregate(list)))?;
        let columns = all_columns(joined);
        let found = LogicalPlanBuilder::from(joined.clone())
            .join_on(
                LogicalPlan::Projection(marked),
                JoinType::Left,
                [value.clone().eq(Expr::Column(Column::from_name(key)))],
            )?
            .project(columns.into_iter().chain([Expr::Column(Column::from_name(mark.clone()))]))?
            .cross_join(counts)?
            .build()?;
        *joined = found;
        let column = |name: String| Expr::Column(Column::from_name(name));
        let unknown = value.is_null().or(column(known).lt(column(all.clone())));
        when(column(all).eq(lit(0_i64)), lit(negated))
            .when(column(mark).is_not_null(), lit(!negated))
            .when(unknown, Expr::Literal(ScalarValue::Boolean(None), None))
            .otherwise(lit(negated))
    }

    /// `a < ANY (SELECT b …)` and the like of a query that stands alone: its
    /// greatest or least value decides.
    fn bounded(
        &mut self,
        value: Expr,
        op: Operator,
        all: bool,
        greatest: bool,
        query: Subquery,
        joined: &mut LogicalPlan,
    ) -> Result<Expr> {
        let query = query_of(query);
        let item = Expr::Column(column_at(query.schema(), 0));
        let (rows, known, bound) = (self.next("rows"), self.next("values"), self.next("bound"));
        let function = if greatest { max_udaf() } else { min_udaf() };
        let values = vec![
            counted(lit(1_i64)).alias(&rows),
            counted(item.clone()).alias(&known),
            function.call(vec![item]).alias(&bound),
        ];
        let values = aggregated(query, values)?;
        self.beside(values, joined)?;
        let column = |name: &String| Expr::Column(Column::from_name(name.clone()));
        let test = binary_expr(value.clone(), op, column(&bound));
        let decided = if all { test.is_false() } else { test.is_true() };
        let unknown = value.is_null().or(column(&known).lt(column(&rows)));
        when(column(&rows).eq(lit(0_i64)), lit(all))
            .when(decided, lit(!all))
            .when(unknown, Expr::Literal(ScalarValue::Boolean(None), None))
            .otherwise(lit(all))
    }

    /// `a < ANY (SELECT b …)` and the like: how many items compare true, how many false.
    fn compared(
        &mut self,
        value: Expr,
        op: Operator,
        all: bool,
        query: Subquery,
        schema: &DFSchema,
        joined: &mut LogicalPlan,
    ) -> Result<Expr> {
        let query = query_of(query);
        let item = Expr::Column(column_at(query.schema(), 0));
        let test = binary_expr(to_outer(value, schema)?, op, item);
        let (rows, yes, no) = (self.next("rows"), self.next("true"), self.next("false"));
        let of = |test: Expr| {
            Ok::<_, datafusion::error::DataFusionError>(counted(when(test, lit(1_i64)).end()?))
        };
        let counts = vec![
            counted(lit(1_i64)).alias(&rows),
            of(test.clone())?.alias(&yes),
            of(test.is_false())?.alias(&no),
        ];
        let counts = aggregated(query, counts)?;
        self.beside(counts, joined)?;
        let column = |name: String| Expr::Column(Column::from_name(name));
        let null = Expr::Literal(ScalarValue::Boolean(None), None);
        let (decides, other) = if all { (no, yes) } else { (yes, no) };
        when(column(decides).gt(lit(0_i64)), lit(!all))
            .when(column(other).eq(column(rows)), lit(all))
            .otherwise(null)
    }
}

/// Whether an expression is a subquery that the optimizer leaves where it is.
fn is_left_over(expr: &Expr, in_filter: bool, schema: &DFSchema) -> Result<bool> {
    let Some(query) = subquery_of(expr) else { return Ok(false) };
    let depends = !outer_columns(&query.subquery, schema)?.is_empty();
    Ok(match expr {
        // The engine takes the value for null only if the column may be.
        Expr::ScalarSubquery(_) => depends || !query.subquery.schema().field(0).is_nullable(),
        Expr::Exists(_) if in_filter => depends && !is_plain(&query.subquery),
        // The engine's anti join asks for nulls in the list only where a column is looked for.
        Expr::InSubquery(test) if in_filter && test.negated => {
            depends || test.expr.column_refs().is_empty()
        }
        Expr::InSubquery(_) if in_filter => depends && !is_plain(&query.subquery),
        Expr::SetComparison(_) => true,
        _ => !in_filter,
    })
}

/// Whether only filters of a query depend on the outer row, and nothing that
/// counts rows stands above them.
fn is_plain(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Filter(filter) => {
            !filter.predicate.exists(|e| Ok(subquery_of(e).is_some())).unwrap_or(true)
                && is_plain(&filter.input)
        }
        LogicalPlan::Projection(projection) => {
            !projection.expr.iter().any(Expr::contains_outer) && is_plain(&projection.input)
        }
        LogicalPlan::SubqueryAlias(alias) => is_plain(&alias.input),
        LogicalPlan::Join(join) if join.join_type == JoinType::Inner => {
            !join.filter.iter().any(Expr::contains_outer)
                && is_plain(&join.left)
                && is_plain(&join.right)
        }
        other => other.all_out_ref_exprs().is_empty(),
    }
}

/// Whether a query has one row whatever its tables hold.
fn has_one_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => has_one_row(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => has_one_row(&alias.input),
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        _ => false,
    }
}

fn query_of(query: Subquery) -> LogicalPlan {
    Arc::unwrap_or_clone(query.subquery)
}

fn aggregated(input: LogicalPlan, values: Vec<Expr>) -> Result<LogicalPlan> {
    Ok(LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(input), Vec::new(), values)?))
}

fn counted(value: Expr) -> Expr {
    count_udaf().call(vec![value])
}

/// The columns of a schema that a subquery expression is about.
fn columns_used(expr: &Expr, schema: &DFSchema) -> Result<Vec<Column>> {
    let mut used: Vec<Column> = match subquery_of(expr) {
        Some(query) => outer_columns(&query.subquery, schema)?,
        None => Vec::new(),
    };
    used.extend(expr.column_refs().into_iter().cloned());
    Ok(used)
}
