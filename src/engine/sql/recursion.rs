//! The types of recursive queries: those of the anchor, once its literals have
//! theirs. The planner has made the rows that come back of an earlier guess.

use std::sync::Arc;

use datafusion::arrow::datatypes::Field;
use datafusion::common::metadata::FieldMetadata;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, Result, plan_err};
use datafusion::datasource::cte_worktable::CteWorkTable;
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::logical_plan::RecursiveQuery;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Operator, Projection, cast};

use super::typing;
use crate::engine::functions::{RECURSION_LEVEL, SqlType, converted};

/// The plan with typed recursive queries in it.
pub fn apply(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_down_with_subqueries(|node| match node {
        LogicalPlan::RecursiveQuery(query) => typed(query).map(Transformed::yes),
        node => Ok(Transformed::no(node)),
    })
    .map(|done| done.data)
}

fn typed(query: RecursiveQuery) -> Result<LogicalPlan> {
    let anchor = typing::apply(query.static_term.as_ref().clone())?;
    let member = as_written(query.recursive_term.as_ref().clone())?;
    let member = member.transform_up_with_subqueries(|node| {
        let LogicalPlan::TableScan(scan) = &node else {
            return node.recompute_schema().map(Transformed::yes);
        };
        let provider = source_as_provider(&scan.source)?;
        let of_this = provider
            .as_ref()
            .downcast_ref::<CteWorkTable>()
            .is_some_and(|table| table.name() == query.name);
        if !of_this {
            return Ok(Transformed::no(node));
        }
        let fields = anchor.schema().fields().iter();
        let fields: Vec<_> = fields.map(|f| f.as_ref().clone().with_nullable(true)).collect();
        let schema = Arc::new(datafusion::arrow::datatypes::Schema::new(fields));
        let rows = provider_as_source(Arc::new(CteWorkTable::new(&query.name, schema)));
        let scan = LogicalPlanBuilder::scan(scan.table_name.clone(), rows, None)?;
        Ok(Transformed::yes(scan.build()?))
    })?;
    let member = typing::apply(member.data)?;
    check(&query.name, &anchor, &member)?;
    let found = member.schema().clone();
    let columns = found.iter().zip(anchor.schema().fields());
    let columns = columns.map(|((relation, field), wanted)| {
        let column = Expr::Column(Column::new(relation.cloned(), field.name()));
        if field.data_type() == wanted.data_type() && field.metadata() == wanted.metadata() {
            return column;
        }
        let value = match SqlType::of(wanted) {
            SqlType::Other | SqlType::Null => cast(column, wanted.data_type().clone()),
            known => converted(column, known),
        };
        let told = wanted.metadata();
        let told = (!told.is_empty()).then(|| FieldMetadata::from(told.clone()));
        value.alias_with_metadata(field.name(), told)
    });
    let member = Projection::try_new(columns.collect(), Arc::new(member))?;
    let member = Arc::new(LogicalPlan::Projection(member));
    let query = RecursiveQuery::try_new(query.name, Arc::new(anchor), member, query.is_distinct)?;
    Ok(LogicalPlan::RecursiveQuery(query))
}

/// A member without the conversions to the anchor's types that the planner has put
/// around its columns.
fn as_written(member: LogicalPlan) -> Result<LogicalPlan> {
    let LogicalPlan::Projection(list) = member else { return Ok(member) };
    let columns = list.expr.into_iter().map(|expr| match expr {
        Expr::Cast(cast) => *cast.expr,
        Expr::Alias(mut alias) => {
            if let Expr::Cast(cast) = *alias.expr {
                alias.expr = cast.expr;
            }
            Expr::Alias(alias)
        }
        expr => expr,
    });
    Projection::try_new(columns.collect(), list.input).map(LogicalPlan::Projection)
}

/// Both parts of a recursive query have the same types. Text may grow only where the
/// anchor leaves its length open.
fn check(name: &str, anchor: &LogicalPlan, member: &LogicalPlan) -> Result<()> {
    let LogicalPlan::Projection(list) = member else { return Ok(()) };
    let has_levels = |field: &Field| field.name() == RECURSION_LEVEL;
    let limited = anchor.schema().fields().iter().any(|field| has_levels(field));
    let fields = anchor.schema().fields().iter().zip(member.schema().fields());
    for ((at, expr), (wanted, found)) in list.expr.iter().enumerate().zip(fields) {
        let (own, other) = (SqlType::of(wanted), SqlType::of(found));
        let same = wanted.data_type() == found.data_type() || own.is_text() && other.is_text();
        let grows = own != other
            && matches!(expr.clone().unalias(), Expr::BinaryExpr(joined)
                if joined.op == Operator::StringConcat)
            && (matches!(own, SqlType::Varchar(Some(_)) | SqlType::Char(_))
                || limited && is_literal(anchor, at));
        if (!same && other != SqlType::Null) || (own.is_text() && grows) {
            return plan_err!(
                "Types don't match between the anchor and the recursive part in column \"{}\" of \
                 recursive query \"{name}\" (Msg 240)",
                wanted.name()
            );
        }
    }
    Ok(())
}

/// Whether a column of a query is written as a literal.
fn is_literal(plan: &LogicalPlan, at: usize) -> bool {
    let LogicalPlan::Projection(list) = plan else { return false };
    list.expr.get(at).is_some_and(|expr| matches!(expr.clone().unalias(), Expr::Literal(..)))
}
