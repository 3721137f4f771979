//! Joins as navigation properties. A lookup leads to one row, so that a join along it
//! is a path; rows of a collection are tested by lambda expressions only.

use super::{Printer, cannot_say};
use crate::error::Result;
use crate::query::LinkType;
use crate::query::bound::{BoundQuery, Column, Join, OrderTarget, Predicate};
use crate::translate::condition::Condition;

/// What leads to each source.
pub struct Paths(Vec<Option<Step>>);

/// How a join is said.
enum Step {
    /// The property of a lookup.
    Single(String),
    /// The property of a collection.
    Collection(String),
}

impl Paths {
    pub fn new(query: &BoundQuery) -> Self {
        Self(query.joins.iter().map(|join| step(query, join)).collect())
    }

    /// The property of the lookup that leads to a source.
    pub fn single(&self, query: &BoundQuery, source: usize) -> Result<String> {
        match &self.0[source - 1] {
            Some(Step::Single(property)) => Ok(property.clone()),
            _ => Err(no_way(query, &query.joins[source - 1])),
        }
    }
}

fn no_way(query: &BoundQuery, join: &Join) -> crate::error::Error {
    cannot_say(format!(
        "the join of '{}' on '{}.{}' = '{}.{}'",
        join.table.logical_name,
        join.table.logical_name,
        join.table.columns[join.from].logical_name,
        query.table_of(join.to.source).logical_name,
        query.facts(join.to).logical_name,
    ))
}

fn step(query: &BoundQuery, join: &Join) -> Option<Step> {
    let parent = query.table_of(join.to.source);
    let (to, from) = (&query.facts(join.to).logical_name, &join.table.columns[join.from]);
    let target = &join.table.logical_name;
    let up = parent
        .many_to_one
        .iter()
        .find(|r| r.column == *to && r.target == *target && r.target_column == from.logical_name);
    if let Some(up) = up {
        return Some(Step::Single(up.navigation_property.clone()));
    }
    let down = parent
        .one_to_many
        .iter()
        .find(|r| r.column == *to && r.target == *target && r.target_column == from.logical_name);
    down.map(|down| Step::Collection(down.navigation_property.clone()))
}

impl<'q> Printer<'q> {
    /// What has to hold for the rows that inner joins keep.
    pub(super) fn joins_wanted(&self, part: usize) -> Result<Vec<Condition<'q>>> {
        let mut conditions = Vec::new();
        for (index, join) in self.query.joins.iter().enumerate() {
            let source = index + 1;
            if join.in_predicate || self.query.part_of(join.to.source) != part {
                continue;
            }
            match (join.link_type, &self.paths.0[index]) {
                (LinkType::Outer, Some(Step::Single(_))) if join.filter.is_none() => {}
                (LinkType::Outer, Some(Step::Single(_))) => {
                    return Err(cannot_say(format!(
                        "a condition inside the outer join of '{}'",
                        join.table.logical_name
                    )));
                }
                (LinkType::Exists, Some(Step::Collection(_))) => {
                    conditions.push(Condition::Exists { source, wanted: true });
                }
                (_, Some(Step::Single(_))) => {
                    conditions.push(self.query.has_row(source));
                    conditions.extend(join.filter.as_ref().map(Condition::of));
                    // One row belongs to a lookup, so its own joins are paths too.
                    if join.link_type != LinkType::Inner {
                        conditions.extend(self.joins_wanted(source)?);
                    }
                }
                _ => return Err(no_way(self.query, join)),
            }
        }
        Ok(conditions)
    }

    /// A column as a path from the root or from the variable of a lambda expression.
    pub(super) fn column(&self, column: Column) -> Result<String> {
        let name = self.query.facts(column).property_name();
        Ok(format!("{}{name}", self.path(column.source)?))
    }

    /// The path to a source, with `/` at its end.
    pub(super) fn path(&self, source: usize) -> Result<String> {
        let Some(index) = source.checked_sub(1) else { return Ok(String::new()) };
        let join = &self.query.joins[index];
        match &self.paths.0[index] {
            Some(Step::Single(property)) => {
                Ok(format!("{}{property}/", self.path(join.to.source)?))
            }
            Some(Step::Collection(_))
                if join.in_predicate || join.link_type == LinkType::Exists =>
            {
                Ok(format!("o{source}/"))
            }
            _ => Err(no_way(self.query, join)),
        }
    }

    /// A test for rows of a source.
    pub(super) fn exists(&self, source: usize, wanted: bool) -> Result<String> {
        let join = &self.query.joins[source - 1];
        let condition = self.rows_wanted(source, join.filter.as_ref())?;
        match &self.paths.0[source - 1] {
            Some(Step::Collection(property)) => {
                let path = self.path(join.to.source)?;
                let parent = join.to.source.checked_sub(1).map(|index| &self.paths.0[index]);
                if let Some(Some(Step::Single(lookup))) = parent {
                    let table = &join.table.logical_name;
                    let part = format!("a test for rows of '{table}' behind the lookup '{lookup}'");
                    return Err(cannot_say(part));
                }
                let inner = match condition.is_every_row() {
                    true => String::new(),
                    false => format!("o{source}:{}", self.filter(&condition)?),
                };
                let word = if wanted { "" } else { "not " };
                Ok(format!("{word}{path}{property}/any({inner})"))
            }
            Some(Step::Single(_)) => {
                let row = self.query.has_row(source);
                let condition = crate::translate::condition::all([row, condition]);
                let condition = if wanted { condition } else { condition.complement() };
                self.operand(&condition)
            }
            None => Err(no_way(self.query, join)),
        }
    }
}

/// The same query with the table at its root that has the lookup, where an inner join
/// starts from the other end.
pub fn from_the_lookup(query: &BoundQuery) -> Option<BoundQuery> {
    let join = query.joins.first()?;
    let one_row_each = join.link_type == LinkType::Inner && !join.in_predicate;
    let grouped = query.aggregate || query.distinct;
    let plain = query.input.is_empty() && query.computed.is_empty() && query.share.is_none();
    if !(one_row_each && grouped && plain && matches!(step(query, join), Some(Step::Collection(_))))
    {
        return None;
    }
    let mut query = query.clone();
    let join = &mut query.joins[0];
    std::mem::swap(&mut query.root, &mut join.table);
    let (to, from) = (join.to.column, join.from);
    (join.to.column, join.from) = (from, to);
    // The condition of an inner join is one of the whole.
    let own = join.filter.take();
    let filters: Vec<Predicate> = own.into_iter().chain(query.filter.take()).collect();
    query.filter = match filters.len() {
        0 => None,
        _ => Some(Predicate::And(filters)),
    };
    let swap = |column: &mut Column| {
        column.source = match column.source {
            0 => 1,
            1 => 0,
            other => other,
        };
    };
    for join in query.joins.iter_mut().skip(1) {
        swap(&mut join.to);
        if let Some(filter) = &mut join.filter {
            swap_in(filter, &swap)?;
        }
    }
    if let Some(filter) = &mut query.filter {
        swap_in(filter, &swap)?;
    }
    query.outputs.iter_mut().for_each(|output| swap(&mut output.column));
    for key in &mut query.order {
        match &mut key.by {
            OrderTarget::Column(column) => swap(column),
            OrderTarget::Output(_) => {}
            OrderTarget::Scalar(_) => return None,
        }
    }
    Some(query)
}

fn swap_in(predicate: &mut Predicate, swap: &impl Fn(&mut Column)) -> Option<()> {
    match predicate {
        Predicate::And(parts) | Predicate::Or(parts) => {
            parts.iter_mut().try_for_each(|part| swap_in(part, swap))?;
        }
        Predicate::Not(part) | Predicate::NotTrue(part) => swap_in(part, swap)?,
        Predicate::Compare { column, .. } | Predicate::FiscalPeriod { column, .. } => swap(column),
        Predicate::Operator { column, means, .. } => {
            swap(column);
            swap_in(means, swap)?;
        }
        Predicate::CompareColumns { left, right, .. } => {
            swap(left);
            swap(right);
        }
        Predicate::Exists(_) => {}
        Predicate::Holds(_) => return None,
    }
    Some(())
}
