//! Bound FetchXML and OData queries as DataFusion plans, built with the plan
//! builder. The plan says plainly what was asked; [`super::semantics`] gives it
//! its meaning, as it does for plans that come from SQL.

use std::sync::Arc;

use chrono_tz::Tz;
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Column as PlanColumn, JoinType, Result};
use datafusion::datasource::provider_as_source;
use datafusion::functions::datetime::expr_fn::date_part;
use datafusion::functions_aggregate::count::count_all;
use datafusion::functions_aggregate::expr_fn::{avg, count, count_distinct, max, min, sum};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, lit};
use datafusion::prelude::{cast, in_list};

use super::functions;
use super::provider::SnapshotTable;
use super::semantics::{column, distinct_rows, or_null, sort_key};
use crate::catalog::Table;
use crate::query::bound::{BoundQuery, Column, Join, OrderTarget, Output, OutputRole, Predicate};
use crate::query::context::Calendar;
use crate::query::{Aggregate, DatePart, LinkType, Operator};
use crate::store::Snapshot;
use crate::value::Value;

/// The plan of a query. With a page it yields one row more than the page holds
/// when there are further rows.
pub fn plan(query: &BoundQuery, snapshot: &Arc<Snapshot>) -> Result<LogicalPlan> {
    let builder = Builder { query, snapshot };
    let plan = builder.rows()?;
    let plan = if query.aggregate { builder.aggregate(plan)? } else { builder.project(plan)? };
    let (skip, fetch) = match query.page {
        Some(page) => ((page.number - 1).saturating_mul(page.size), Some(page.size + 1)),
        None => (0, None),
    };
    // With both, `top` cuts the whole answer and the page is a part of it.
    let fetch = match (query.top, fetch) {
        (Some(top), Some(fetch)) => Some(fetch.min(top.saturating_sub(skip))),
        (top, fetch) => top.or(fetch),
    };
    match (skip, fetch) {
        (0, None) => Ok(plan),
        (skip, fetch) => {
            LogicalPlanBuilder::from(plan).limit(skip as usize, fetch.map(|n| n as usize))?.build()
        }
    }
}

/// The plan that counts a query's rows, whatever `top` and page say.
pub fn count_plan(query: &BoundQuery, snapshot: &Arc<Snapshot>) -> Result<LogicalPlan> {
    let builder = Builder { query, snapshot };
    let mut plan = builder.rows()?;
    if query.aggregate {
        plan = builder.aggregate(plan)?;
    } else if query.distinct {
        plan = builder.project(plan)?;
    }
    LogicalPlanBuilder::from(plan).aggregate(Vec::<Expr>::new(), vec![count_all()])?.build()
}

struct Builder<'a> {
    query: &'a BoundQuery,
    snapshot: &'a Arc<Snapshot>,
}

impl Builder<'_> {
    /// The joined and filtered rows.
    fn rows(&self) -> Result<LogicalPlan> {
        let root = self.scan(&self.query.root, &self.query.root.logical_name)?;
        let plan = self.joined(root, 0)?;
        match &self.query.filter {
            Some(filter) => LogicalPlanBuilder::from(plan).filter(self.predicate(filter)?)?.build(),
            None => Ok(plan),
        }
    }

    /// A source's rows with the joins that hang on it. What hangs on a link that
    /// is only tested belongs to the test.
    fn joined(&self, mut plan: LogicalPlan, top: usize) -> Result<LogicalPlan> {
        for (index, join) in self.query.joins.iter().enumerate() {
            if self.tested_in(join.to.source) != top {
                continue;
            }
            let mut right = self.scan(&join.table, &join.alias)?;
            if join.link_type == LinkType::Exists {
                right = self.joined(right, index + 1)?;
            }
            let mut on = vec![self.column(join.to).eq(self.column(own(index, join.from)))];
            on.extend(join.filter.as_ref().map(|f| self.predicate(f)).transpose()?);
            plan = LogicalPlanBuilder::from(plan).join_on(right, join_type(join), on)?.build()?;
        }
        Ok(plan)
    }

    /// The nearest tested link that a source is or hangs on; the root otherwise.
    fn tested_in(&self, source: usize) -> usize {
        match source.checked_sub(1).map(|join| &self.query.joins[join]) {
            None => 0,
            Some(join) if join.link_type == LinkType::Exists => source,
            Some(join) => self.tested_in(join.to.source),
        }
    }

    fn scan(&self, table: &Table, alias: &str) -> Result<LogicalPlan> {
        let index = self.snapshot.catalog().table_index(&table.logical_name).ok_or_else(|| {
            datafusion::common::plan_datafusion_err!("no table '{}'", table.logical_name)
        })?;
        let source = provider_as_source(Arc::new(SnapshotTable::new(self.snapshot.clone(), index)));
        let scan = LogicalPlanBuilder::scan(table.logical_name.as_str(), source, None)?;
        if alias == table.logical_name { scan.build() } else { scan.alias(alias)?.build() }
    }

    fn source(&self, source: usize) -> (&Table, &str) {
        match source.checked_sub(1) {
            None => (&self.query.root, &self.query.root.logical_name),
            Some(join) => (&self.query.joins[join].table, &self.query.joins[join].alias),
        }
    }

    fn column(&self, of: Column) -> Expr {
        let (table, alias) = self.source(of.source);
        column(alias, &table.columns[of.column].logical_name)
    }

    /// A column of times as the caller's clocks have them, or in UTC; a date is
    /// the same everywhere.
    fn time(&self, of: Column, local: bool) -> Expr {
        let (table, _) = self.source(of.source);
        let is_date = *table.schema().field(of.column).data_type() == DataType::Date32;
        let zone = if local && !is_date { self.query.timezone } else { Tz::UTC };
        functions::local_time(self.column(of), zone)
    }

    fn predicate(&self, predicate: &Predicate) -> Result<Expr> {
        Ok(match predicate {
            Predicate::And(parts) => self.all(parts, Expr::and, true)?,
            Predicate::Or(parts) => self.all(parts, Expr::or, false)?,
            Predicate::Not(inner) => Expr::Not(Box::new(self.predicate(inner)?)),
            Predicate::Compare { column, operator, operands } => {
                self.compare(*column, *operator, operands)
            }
            Predicate::FiscalPeriod { column, number } => {
                let time = as_time(self.time(*column, true));
                functions::fiscal_period_in_year(time, self.query.calendar).eq(lit(*number as i32))
            }
            Predicate::CompareColumns { left, operator, right } => {
                let (left, right) = (self.column(*left), self.column(*right));
                match operator {
                    // True as well when exactly one side is null.
                    Operator::Ne => Expr::BinaryExpr(datafusion::logical_expr::BinaryExpr::new(
                        Box::new(left),
                        datafusion::logical_expr::Operator::IsDistinctFrom,
                        Box::new(right),
                    )),
                    operator => comparison(left, *operator, right),
                }
            }
        })
    }

    fn all(&self, parts: &[Predicate], join: fn(Expr, Expr) -> Expr, empty: bool) -> Result<Expr> {
        let mut exprs = parts.iter().map(|part| self.predicate(part));
        match exprs.next() {
            None => Ok(lit(empty)),
            Some(first) => exprs.try_fold(first?, |left, right| Ok(join(left, right?))),
        }
    }

    fn compare(&self, on: Column, operator: Operator, operands: &[Value]) -> Expr {
        let (table, _) = self.source(on.source);
        let data_type = table.schema().field(on.column).data_type();
        let subject = self.column(on);
        let value = |i: usize| Expr::Literal(operands[i].to_scalar(data_type), None);
        let values = || (0..operands.len()).map(value).collect::<Vec<_>>();
        match operator {
            Operator::Null => subject.is_null(),
            Operator::NotNull => subject.is_not_null(),
            Operator::Ne => or_null(subject.clone(), subject.not_eq(value(0))),
            Operator::Like => subject.like(value(0)),
            Operator::NotLike => or_null(subject.clone(), subject.not_like(value(0))),
            Operator::In => in_list(subject, values(), false),
            Operator::NotIn => or_null(subject.clone(), in_list(subject, values(), true)),
            Operator::Between => subject.between(value(0), value(1)),
            Operator::NotBetween => {
                or_null(subject.clone(), subject.not_between(value(0), value(1)))
            }
            operator => comparison(subject, operator, value(0)),
        }
    }

    fn project(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        let outputs: Vec<Expr> =
            self.query.outputs.iter().map(|o| named(self.column(o.column), o, self)).collect();
        let mut builder = LogicalPlanBuilder::from(plan);
        let keys = |by_name: bool| {
            let keys = self.query.order.iter().map(|key| {
                let expr = match key.by {
                    OrderTarget::Column(of) => self.column(of),
                    OrderTarget::Output(i) if by_name => output(&self.query.outputs[i]),
                    OrderTarget::Output(i) => self.column(self.query.outputs[i].column),
                };
                sort_key(expr, key.descending)
            });
            keys.collect::<Vec<_>>()
        };
        if self.query.distinct {
            let plan = distinct_rows(builder.project(outputs)?.build()?)?;
            builder = LogicalPlanBuilder::from(plan);
            let keys = self.query.order.iter().filter_map(|key| {
                let found = match key.by {
                    OrderTarget::Output(i) => Some(i),
                    OrderTarget::Column(of) => {
                        self.query.outputs.iter().position(|o| o.column == of)
                    }
                };
                found.map(|i| sort_key(output(&self.query.outputs[i]), key.descending))
            });
            let keys: Vec<_> = keys.collect();
            return if keys.is_empty() { builder.build() } else { builder.sort(keys)?.build() };
        }
        if !self.query.order.is_empty() {
            builder = builder.sort(keys(false))?;
        }
        builder.project(outputs)?.build()
    }

    fn aggregate(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        let mut groups: Vec<Expr> = Vec::new();
        let mut aggregates: Vec<Expr> = Vec::new();
        let mut outputs = Vec::new();
        for facts in &self.query.outputs {
            let expr = self.column(facts.column);
            let (list, expr) = match facts.role {
                OutputRole::Plain | OutputRole::Group(None) => (&mut groups, expr),
                OutputRole::Group(Some(part)) => {
                    let time = self.time(facts.column, part.local);
                    (&mut groups, part_of(time, part.part, self.query.calendar))
                }
                OutputRole::Aggregate(function) => (&mut aggregates, aggregate(function, expr)),
            };
            let plain = expr.clone().unalias();
            if !list.iter().any(|e| e.clone().unalias() == plain) {
                list.push(expr.clone());
            }
            let made = match &expr {
                Expr::Column(_) => expr,
                other => Expr::Column(PlanColumn::from_name(other.schema_name().to_string())),
            };
            outputs.push(named(made, facts, self));
        }
        let builder =
            LogicalPlanBuilder::from(plan).aggregate(groups, aggregates)?.project(outputs)?;
        let keys: Vec<_> = self
            .query
            .order
            .iter()
            .filter_map(|key| match key.by {
                OrderTarget::Output(i) => Some((i, key.descending)),
                OrderTarget::Column(of) => {
                    let found =
                        self.query.outputs.iter().position(|o| {
                            o.column == of && matches!(o.role, OutputRole::Group(None))
                        });
                    found.map(|i| (i, key.descending))
                }
            })
            .map(|(i, descending)| {
                let facts = &self.query.outputs[i];
                let plain = matches!(facts.role, OutputRole::Group(None));
                let same = facts.name == facts.facts().logical_name;
                let expr = if plain && same { self.column(facts.column) } else { output(facts) };
                sort_key(expr, descending)
            })
            .collect();
        if keys.is_empty() { builder.build() } else { builder.sort(keys)?.build() }
    }
}

/// A join's own column; joins are the sources after the root.
fn own(join: usize, column: usize) -> Column {
    Column { source: join + 1, column }
}

fn join_type(join: &Join) -> JoinType {
    match join.link_type {
        LinkType::Inner => JoinType::Inner,
        LinkType::Outer => JoinType::Left,
        LinkType::Exists | LinkType::First => JoinType::LeftSemi,
    }
}

fn comparison(left: Expr, operator: Operator, right: Expr) -> Expr {
    match operator {
        Operator::Gt => left.gt(right),
        Operator::Ge => left.gt_eq(right),
        Operator::Lt => left.lt(right),
        Operator::Le => left.lt_eq(right),
        _ => left.eq(right),
    }
}

/// An output under its own name; a root column that keeps its name needs none.
fn named(expr: Expr, facts: &Output, builder: &Builder<'_>) -> Expr {
    let plain = matches!(facts.role, OutputRole::Plain | OutputRole::Group(None));
    let keeps = plain && facts.nested.is_none() && facts.name == facts.facts().logical_name;
    let unique = builder.query.outputs.iter().filter(|o| plan_name(o) == facts.name).count() == 1;
    if keeps && unique { expr } else { expr.alias(plan_name(facts)) }
}

/// The name of an output in the plan; the same key may occur under several
/// navigation properties.
fn plan_name(facts: &Output) -> String {
    match &facts.nested {
        Some(navigation) => format!("{navigation}/{}", facts.name),
        None => facts.name.clone(),
    }
}

fn output(facts: &Output) -> Expr {
    Expr::Column(PlanColumn::from_name(plan_name(facts)))
}

fn aggregate(function: Aggregate, of: Expr) -> Expr {
    match function {
        // The form in which SQL's planner has COUNT(*).
        Aggregate::Count => count(lit(1_i64)),
        Aggregate::CountColumn { distinct: false } => count(of),
        Aggregate::CountColumn { distinct: true } => count_distinct(of),
        Aggregate::Sum => sum(of),
        Aggregate::Avg => avg(of),
        Aggregate::Min => min(of),
        Aggregate::Max => max(of),
    }
}

/// FetchXML `dategrouping`. Weeks start on Sunday; week 1 holds 1 January.
fn part_of(date: Expr, part: DatePart, calendar: Calendar) -> Expr {
    let get = |name: &str| date_part(lit(name), date.clone());
    let number = match part {
        DatePart::Day => get("day"),
        DatePart::Month => get("month"),
        DatePart::Quarter => get("quarter"),
        DatePart::Year => get("year"),
        DatePart::FiscalPeriod => return functions::fiscal_period(as_time(date), calendar),
        DatePart::FiscalYear => return functions::fiscal_year(as_time(date), calendar),
        DatePart::Week => {
            // Days since the Sunday on or before 1 January, in whole weeks.
            let to_january = get("doy") - lit(1);
            let first_weekday = (get("dow") - to_january.clone() + lit(371)) % lit(7);
            (to_january + first_weekday) / lit(7) + lit(1)
        }
    };
    cast(number, DataType::Int32)
}

/// A date as the time at which it begins.
fn as_time(date: Expr) -> Expr {
    cast(date, DataType::Timestamp(TimeUnit::Microsecond, None))
}
