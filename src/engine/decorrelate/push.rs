//! The domain carried through an inner query, one operator after the other.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Column, DFSchema, JoinType, NullEquality, Result, not_impl_err};
use datafusion::functions_window::row_number::row_number_udwf;
use datafusion::logical_expr::expr::{Sort as SortExpr, WindowFunction};
use datafusion::logical_expr::{
    Aggregate, Distinct, EmptyRelation, Expr, Filter, Join, Limit, LogicalPlan, LogicalPlanBuilder,
    Projection, Union, Unnest, Window, WindowFunctionDefinition, cast, lit, when,
};

use super::domain::{Domain, outer_columns, same_row};
use super::{Names, all_columns, column_at};

/// Whether each row of an inner query comes from one outer row by itself: no
/// groups, ranks or limits over several.
pub(super) fn is_row_wise(plan: &LogicalPlan, outer: &DFSchema) -> Result<bool> {
    let depends = |plan: &LogicalPlan| outer_columns(plan, outer).map(|used| !used.is_empty());
    if !depends(plan)? {
        return Ok(true);
    }
    Ok(match plan {
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Unnest(_)
        | LogicalPlan::Union(_) => {
            for input in plan.inputs() {
                if !is_row_wise(input, outer)? {
                    return Ok(false);
                }
            }
            true
        }
        LogicalPlan::Join(join) => match join.join_type {
            JoinType::Inner => {
                !(depends(&join.left)? && depends(&join.right)?)
                    && is_row_wise(&join.left, outer)?
                    && is_row_wise(&join.right, outer)?
            }
            JoinType::Left => !depends(&join.right)? && is_row_wise(&join.left, outer)?,
            _ => false,
        },
        _ => false,
    })
}

impl Names {
    /// The plan for every row of the domain: its columns, then the domain's.
    pub fn push(&mut self, plan: &LogicalPlan, domain: &Domain) -> Result<LogicalPlan> {
        if !domain.is_used(plan)? {
            return match plan {
                LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: true, schema })
                    if schema.fields().is_empty() =>
                {
                    Ok(domain.plan.clone())
                }
                plan => {
                    LogicalPlanBuilder::from(plan.clone()).cross_join(domain.plan.clone())?.build()
                }
            };
        }
        match plan {
            LogicalPlan::Projection(projection) => {
                let input = self.push(&projection.input, domain)?;
                let exprs = bound_as(&projection.expr, plan.schema(), 0, domain)?;
                self.project(exprs, input, domain)
            }
            LogicalPlan::Filter(filter) => {
                let input = self.push(&filter.input, domain)?;
                let predicate = domain.bind(filter.predicate.clone())?;
                let filter = Filter::try_new(predicate, Arc::new(input))?;
                self.lift(LogicalPlan::Filter(filter))
            }
            LogicalPlan::SubqueryAlias(alias) => {
                let input = self.push(&alias.input, domain)?;
                let renamed =
                    all_columns(&alias.input).into_iter().enumerate().map(|(i, column)| {
                        let name = alias.schema.field(i).name();
                        column.alias_qualified(Some(alias.alias.clone()), name)
                    });
                self.project(renamed.collect(), input, domain)
            }
            // Only a limit makes an order mean something, and takes it along.
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => self.push(&sort.input, domain),
            LogicalPlan::Limit(limit) => self.push_limit(limit, domain),
            LogicalPlan::Window(window) => self.push_window(window, domain),
            LogicalPlan::Aggregate(aggregate) => self.push_aggregate(aggregate, domain),
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let input = self.push(input, domain)?;
                Ok(LogicalPlan::Distinct(Distinct::All(Arc::new(input))))
            }
            LogicalPlan::Union(union) => {
                let inputs = union.inputs.iter().map(|i| Ok(Arc::new(self.push(i, domain)?)));
                let inputs = inputs.collect::<Result<Vec<_>>>()?;
                let pushed = LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?);
                renamed_as(pushed, &union.schema, domain)
            }
            LogicalPlan::Unnest(unnest) => self.push_unnest(unnest, domain),
            LogicalPlan::Join(join) => self.push_join(join, domain),
            other => not_impl_err!(
                "a column of the outer query below {} of an inner one",
                other.display()
            ),
        }
    }

    fn project(
        &mut self,
        mut exprs: Vec<Expr>,
        input: LogicalPlan,
        domain: &Domain,
    ) -> Result<LogicalPlan> {
        exprs.extend(domain.exprs());
        self.lift(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input))?))
    }

    /// The first rows of each domain row are those with the first numbers.
    fn push_limit(&mut self, limit: &Limit, domain: &Domain) -> Result<LogicalPlan> {
        let (shown, below) = match limit.input.as_ref() {
            LogicalPlan::Projection(projection)
                if matches!(projection.input.as_ref(), LogicalPlan::Sort(_)) =>
            {
                (Some(projection), projection.input.as_ref())
            }
            other => (None, other),
        };
        let (keys, below) = match below {
            LogicalPlan::Sort(sort) => (sort.expr.as_slice(), sort.input.as_ref()),
            other => (&[][..], other),
        };
        let input = self.push(below, domain)?;
        let keys = keys
            .iter()
            .map(|key| Ok(SortExpr { expr: domain.bind(key.expr.clone())?, ..key.clone() }))
            .collect::<Result<Vec<_>>>()?;
        let mut number =
            WindowFunction::new(WindowFunctionDefinition::WindowUDF(row_number_udwf()), Vec::new());
        number.params.partition_by = domain.exprs().collect();
        number.params.order_by = keys;
        let name = self.next("row");
        let number = Expr::WindowFunction(Box::new(number)).alias(&name);
        let numbered = LogicalPlan::Window(Window::try_new(vec![number], Arc::new(input))?);
        let row = cast(Expr::Column(Column::from_name(name)), DataType::Int64);
        let count = |e: &Expr| cast(e.clone(), DataType::Int64);
        let skip = limit.skip.as_deref().map_or_else(|| lit(0_i64), count);
        let mut kept = row.clone().gt(skip.clone());
        if let Some(fetch) = limit.fetch.as_deref().filter(|f| !is_null(f)) {
            kept = kept.and(row.lt_eq(skip + count(fetch)));
        }
        let kept = LogicalPlan::Filter(Filter::try_new(kept, Arc::new(numbered))?);
        let shown = match shown {
            Some(projection) => bound_as(&projection.expr, &projection.schema, 0, domain)?,
            None => all_columns(&limit.input),
        };
        self.project(shown, kept, domain)
    }

    fn push_window(&mut self, window: &Window, domain: &Domain) -> Result<LogicalPlan> {
        let input = self.push(&window.input, domain)?;
        let first = window.input.schema().fields().len();
        let mut exprs = Vec::with_capacity(window.window_expr.len());
        for (i, expr) in window.window_expr.iter().enumerate() {
            let expr = domain.bind(expr.clone().unalias())?;
            let Expr::WindowFunction(mut function) = expr else {
                return not_impl_err!("the window function {expr}");
            };
            function.params.partition_by.extend(domain.exprs());
            let (relation, field) = window.schema.qualified_field(first + i);
            exprs.push(
                Expr::WindowFunction(function).alias_qualified(relation.cloned(), field.name()),
            );
        }
        let pushed = LogicalPlan::Window(Window::try_new(exprs, Arc::new(input))?);
        let columns = columns_of(&window.schema);
        self.project(columns, pushed, domain)
    }

    fn push_aggregate(&mut self, aggregate: &Aggregate, domain: &Domain) -> Result<LogicalPlan> {
        let input = self.push(&aggregate.input, domain)?;
        let schema = &aggregate.schema;
        let sets = matches!(aggregate.group_expr.as_slice(), [Expr::GroupingSet(_)]);
        let mut groups = if sets {
            let bound = aggregate.group_expr.iter().map(|e| domain.bind(e.clone()));
            bound.collect::<Result<_>>()?
        } else {
            bound_as(&aggregate.group_expr, schema, 0, domain)?
        };
        groups.extend(domain.exprs());
        let first = schema.fields().len() - aggregate.aggr_expr.len();
        let values = bound_as(&aggregate.aggr_expr, schema, first, domain)?;
        let grouped = LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(input), groups, values)?);
        if !aggregate.group_expr.is_empty() {
            return self.project(columns_of(schema), grouped, domain);
        }
        // Without groups there is a row for no rows too.
        let all = domain.renamed(self)?;
        let mark = self.next("found");
        let mut marked = all_columns(&grouped);
        marked.push(lit(true).alias(&mark));
        let marked = LogicalPlan::Projection(Projection::try_new(marked, Arc::new(grouped))?);
        let found = Expr::Column(Column::from_name(mark)).is_not_null();
        let mut shown = Vec::new();
        for (i, value) in aggregate.aggr_expr.iter().enumerate() {
            let column = column_at(schema, first + i);
            let none = match value.clone().unalias_nested().data {
                Expr::AggregateFunction(function) => {
                    function.func.default_value(schema.field(first + i).data_type())?
                }
                other => return not_impl_err!("the aggregate {other}"),
            };
            let expr = Expr::Column(column.clone());
            shown.push(if none.is_null() {
                expr
            } else {
                let none = Expr::Literal(none, None);
                when(found.clone(), expr)
                    .otherwise(none)?
                    .alias_qualified(column.relation, column.name)
            });
        }
        let ours: Vec<Column> = all.names().cloned().collect();
        let theirs: Vec<Column> = domain.names().cloned().collect();
        let same = same_row(&ours, all.plan.schema(), &theirs, marked.schema());
        let joined = LogicalPlanBuilder::from(all.plan.clone())
            .join_on(marked, JoinType::Left, same)?
            .build()?;
        let back = ours.into_iter().zip(&theirs);
        shown.extend(back.map(|(from, to)| Expr::Column(from).alias(&to.name)));
        Ok(LogicalPlan::Projection(Projection::try_new(shown, Arc::new(joined))?))
    }

    fn push_unnest(&mut self, unnest: &Unnest, domain: &Domain) -> Result<LogicalPlan> {
        let input = self.push(&unnest.input, domain)?;
        let pushed = LogicalPlanBuilder::from(input)
            .unnest_columns_with_options(unnest.exec_columns.clone(), unnest.options.clone())?
            .build()?;
        self.project(columns_of(&unnest.schema), pushed, domain)
    }

    fn push_join(&mut self, join: &Join, domain: &Domain) -> Result<LogicalPlan> {
        let left_uses = domain.is_used(&join.left)?;
        let right_uses = domain.is_used(&join.right)?;
        let mut conditions = 0;
        for expr in join.on.iter().flat_map(|(l, r)| [l, r]).chain(&join.filter) {
            conditions += usize::from(domain.is_used_by(expr)?);
        }
        let keeps_left = !matches!(
            join.join_type,
            JoinType::Right | JoinType::Full | JoinType::RightSemi | JoinType::RightAnti
        );
        let keeps_right = matches!(join.join_type, JoinType::Inner | JoinType::Right);
        let one_side = match (left_uses || conditions > 0, right_uses) {
            (_, false) if keeps_left => Some((true, false)),
            (false, true) if keeps_right => Some((false, true)),
            (true, true) if !left_uses && keeps_right => Some((false, true)),
            _ => None,
        };
        let bind_pair =
            |(l, r): &(Expr, Expr)| Ok((domain.bind(l.clone())?, domain.bind(r.clone())?));
        let on = join.on.iter().map(bind_pair).collect::<Result<Vec<_>>>()?;
        let filter = join.filter.clone().map(|f| domain.bind(f)).transpose()?;
        let (left, right, filter) = match one_side {
            Some((true, _)) => {
                (self.push(&join.left, domain)?, join.right.as_ref().clone(), filter)
            }
            Some(_) => (join.left.as_ref().clone(), self.push(&join.right, domain)?, filter),
            None if join.join_type == JoinType::Full => {
                return not_impl_err!("FULL JOIN of a query with columns of the outer one");
            }
            None => {
                // Both sides carry it; they meet where it is the same row.
                let other = domain.renamed(self)?;
                let (ours, theirs) = if keeps_left { (domain, &other) } else { (&other, domain) };
                let left = self.push(&join.left, ours)?;
                let right = self.push(&join.right, theirs)?;
                let columns = |d: &Domain| d.names().cloned().collect::<Vec<_>>();
                let same =
                    same_row(&columns(ours), left.schema(), &columns(theirs), right.schema());
                let both = same.into_iter().chain(filter).reduce(Expr::and);
                (left, right, both)
            }
        };
        // With such keys an equality of the filter would take nulls as equal too.
        let nulls_equal = join.null_equality == NullEquality::NullEqualsNull && !on.is_empty();
        let filter = if nulls_equal { filter.map(Expr::is_true) } else { filter };
        let joined = Join::try_new(
            Arc::new(left),
            Arc::new(right),
            on,
            filter,
            join.join_type,
            join.join_constraint,
            join.null_equality,
            join.null_aware,
        )?;
        self.project(columns_of(&join.schema), LogicalPlan::Join(joined), domain)
    }
}

fn is_null(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(value, _) if value.is_null())
}

fn columns_of(schema: &DFSchema) -> Vec<Expr> {
    schema.columns().into_iter().map(Expr::Column).collect()
}

/// Bound expressions under the names that their columns had.
fn bound_as(exprs: &[Expr], schema: &DFSchema, first: usize, domain: &Domain) -> Result<Vec<Expr>> {
    let bound = exprs.iter().enumerate().map(|(i, expr)| {
        if !domain.is_used_by(expr)? {
            return Ok(expr.clone());
        }
        let (relation, field) = schema.qualified_field(first + i);
        let bound = domain.bind(expr.clone())?;
        Ok(bound.unalias().alias_qualified(relation.cloned(), field.name()))
    });
    bound.collect()
}

/// A plan's columns under the names of a schema, then the domain's.
fn renamed_as(plan: LogicalPlan, schema: &DFSchema, domain: &Domain) -> Result<LogicalPlan> {
    let columns = all_columns(&plan);
    let named = columns
        .into_iter()
        .zip(schema.iter())
        .map(|(column, (relation, field))| column.alias_qualified(relation.cloned(), field.name()));
    let first = schema.fields().len();
    let carried = domain
        .names()
        .enumerate()
        .map(|(i, name)| Expr::Column(column_at(plan.schema(), first + i)).alias(&name.name));
    let exprs = named.chain(carried).collect();
    Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(plan))?))
}
