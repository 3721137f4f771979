//! Joins: their conditions, and the columns that `USING` and `NATURAL` make one.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Ident, Join, JoinConstraint, JoinOperator, ObjectName, TableWithJoins,
};

use super::scope::{Clause, Columns, Found, Merged, Scope, Source, same};
use super::{Resolver, build};
use crate::dialect::tsql::{functions, report};
use crate::error::Result;

impl Resolver<'_> {
    /// A table and what is joined to it; `beside` stands before it in `FROM`.
    pub(super) fn table_with_joins(
        &mut self,
        item: &mut TableWithJoins,
        beside: &[Source],
    ) -> Result<Vec<Source>> {
        let mut sources = self.factor(&mut item.relation, beside)?;
        for join in &mut item.joins {
            Self::apply(&mut join.join_operator, &mut join.relation);
            let seen: Vec<Source> = beside.iter().chain(&sources).cloned().collect();
            let right = self.factor(&mut join.relation, &seen)?;
            self.common_columns(join, &mut sources, right)?;
            if let Some(condition) = self.join_condition(join)? {
                self.scopes.push(Scope { sources, clause: Clause::On, ..Scope::default() });
                let resolved = self.expr(condition);
                sources = self.scopes.pop().expect("pushed above").sources;
                resolved?;
            }
        }
        Ok(sources)
    }

    /// The condition after `ON`; refuses the joins that SQL Server has not.
    fn join_condition<'j>(&self, join: &'j mut Join) -> Result<Option<&'j mut Expr>> {
        if matches!(join.join_operator, JoinOperator::CrossJoin(JoinConstraint::None)) {
            return Ok(None);
        }
        let Some(constraint) = constraint(&mut join.join_operator) else {
            return Err(report::unsupported("this kind of join", self.location));
        };
        match constraint {
            JoinConstraint::On(condition) => Ok(Some(condition)),
            _ => {
                let message = format!(
                    "Incorrect syntax (Msg 102): JOIN with {} needs an ON clause",
                    join.relation
                );
                Err(report::syntax(message, self.location))
            }
        }
    }

    /// `USING` and `NATURAL` as conditions; their columns are found once.
    fn common_columns(
        &mut self,
        join: &mut Join,
        sources: &mut Vec<Source>,
        mut right: Vec<Source>,
    ) -> Result<()> {
        let kind = join.join_operator.clone();
        let names: Vec<Ident> = match constraint(&mut join.join_operator) {
            Some(JoinConstraint::Using(names)) => names.iter().filter_map(last).collect(),
            Some(JoinConstraint::Natural) => natural(sources, &right),
            _ => {
                sources.append(&mut right);
                return Ok(());
            }
        };
        let mut merged = Vec::new();
        let mut conditions = Vec::new();
        for name in &names {
            let ours = self.one_side(sources, name)?;
            let theirs = self.one_side(&right, name)?;
            conditions.push(build::binary(
                ours.expr.clone(),
                BinaryOperator::Eq,
                theirs.expr.clone(),
            ));
            let expr = match kind {
                JoinOperator::Right(_) | JoinOperator::RightOuter(_) => theirs.expr,
                JoinOperator::FullOuter(_) => {
                    functions::call("coalesce", vec![ours.expr, theirs.expr])
                }
                _ => ours.expr,
            };
            merged.push(Merged { name: name.value.clone(), expr, holds: ours.holds });
        }
        sources.append(&mut right);
        for source in sources.iter_mut() {
            source.merged.retain(|m| !names.iter().any(|n| same(&n.value, &m.name)));
            source.hidden.extend(names.iter().map(|name| name.value.clone()));
        }
        let own = Source { merged, ..Source::new(None, Columns::Listed(Vec::new())) };
        sources.insert(0, own);
        let all = conditions.into_iter().reduce(|a, b| build::binary(a, BinaryOperator::And, b));
        match (all, constraint(&mut join.join_operator)) {
            (Some(all), Some(constraint)) => *constraint = JoinConstraint::On(all),
            _ => join.join_operator = JoinOperator::CrossJoin(JoinConstraint::None),
        }
        Ok(())
    }

    fn one_side(&self, sources: &[Source], name: &Ident) -> Result<Found> {
        let scope = Scope { sources: sources.to_vec(), ..Scope::default() };
        scope.column(name)?.ok_or_else(|| super::scope::unknown(name, sources, &[]))
    }
}

fn last(name: &ObjectName) -> Option<Ident> {
    name.0.last().and_then(|part| part.as_ident().cloned())
}

/// The columns that both sides have, in the order of the left one.
fn natural(left: &[Source], right: &[Source]) -> Vec<Ident> {
    let theirs: Vec<String> =
        right.iter().flat_map(Source::outputs).map(|output| output.name).collect();
    let ours = left.iter().flat_map(|source| {
        let merged = source.merged.iter().map(|m| m.name.clone()).collect::<Vec<_>>();
        let shown = source.outputs().into_iter().map(|o| o.name).filter(|n| !source.hides(n));
        merged.into_iter().chain(shown.collect::<Vec<_>>())
    });
    ours.filter(|name| theirs.iter().any(|t| same(t, name))).map(Ident::new).collect()
}

/// The condition of a join that has one.
fn constraint(operator: &mut JoinOperator) -> Option<&mut JoinConstraint> {
    match operator {
        JoinOperator::Join(constraint)
        | JoinOperator::Inner(constraint)
        | JoinOperator::Left(constraint)
        | JoinOperator::LeftOuter(constraint)
        | JoinOperator::Right(constraint)
        | JoinOperator::RightOuter(constraint)
        | JoinOperator::FullOuter(constraint) => Some(constraint),
        _ => None,
    }
}
