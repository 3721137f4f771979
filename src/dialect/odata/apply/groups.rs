//! `groupby((a,nav/b),aggregate(…))`, `groupby((rollup($all,a,b)),…)` and
//! `aggregate($count as n,a with sum as b)`.

use super::stages::Stages;
use super::{OPTION_LENGTH_MAX, STAGES_MAX, too_many, transformation, unknown};
use crate::catalog::{Table, nearest};
use crate::dialect::odata::cursor::Cursor;
use crate::dialect::odata::lexer::excerpt;
use crate::dialect::odata::node::Node;
use crate::dialect::odata::{expression, lists, path};
use crate::error::{Error, Result, codes};
use crate::query::{Aggregate, Column, ColumnRef, Computed, Name, Path, Role};

const METHODS: [(&str, Aggregate); 5] = [
    ("sum", Aggregate::Sum),
    ("average", Aggregate::Avg),
    ("min", Aggregate::Min),
    ("max", Aggregate::Max),
    ("countdistinct", Aggregate::CountColumn { distinct: true }),
];

/// What may follow the aggregates of a group: it means the same after all groups.
const AFTER_AGGREGATE: [&str; 2] = ["filter", "compute"];

/// The columns of one level of grouping.
type Grouping = Vec<Column>;

/// `aggregate(…)` over all rows.
pub(super) fn aggregate(cursor: &mut Cursor<'_>, stages: &mut Stages<'_>) -> Result<()> {
    let columns = aggregates(cursor, stages)?;
    stages.aggregate(columns);
    Ok(())
}

/// `(a,nav/b)` and perhaps `,aggregate(…)`.
pub(super) fn group_by(cursor: &mut Cursor<'_>, stages: &mut Stages<'_>) -> Result<()> {
    let start = cursor.position();
    cursor.require_symbol('(')?;
    let mut groupings: Vec<Grouping> = vec![Vec::new()];
    loop {
        if cursor.at_word("rollup") {
            groupings = combined(&groupings, &rollup(stages.table, cursor)?);
        } else {
            let column = group(stages.table, cursor)?;
            groupings.iter_mut().for_each(|grouping| grouping.push(column.clone()));
        }
        if groupings.len() > STAGES_MAX {
            return Err(too_many(groupings.len()).at(cursor.place(start)));
        }
        if !cursor.take_symbol(',') {
            break;
        }
    }
    cursor.require_symbol(')')?;
    let mut columns = Vec::new();
    let has_aggregates = cursor.take_symbol(',');
    if has_aggregates {
        if !cursor.at_word("aggregate") {
            return Err(not_in_groups(cursor, "before aggregate in groupby"));
        }
        cursor.advance();
        cursor.require_symbol('(')?;
        columns = aggregates(cursor, stages)?;
        cursor.require_symbol(')')?;
    } else if groupings.iter().any(Vec::is_empty) {
        return Err(cursor.expected("',' and aggregate for rollup with '$all'"));
    }
    let (count, length) = (stages.count * groupings.len(), stages.length * groupings.len());
    if count > STAGES_MAX || length > OPTION_LENGTH_MAX {
        return Err(too_many(count).at(cursor.place(start)));
    }
    grouped(stages, groupings, &columns);
    while has_aggregates && cursor.take_symbol('/') {
        if !AFTER_AGGREGATE.iter().any(|name| cursor.at_word(name)) {
            return Err(not_in_groups(cursor, "in groupby"));
        }
        transformation(cursor, stages)?;
    }
    Ok(())
}

/// A transformation that groupby would run within each group.
fn not_in_groups(cursor: &Cursor<'_>, place: &str) -> Error {
    let name = &cursor.peek().text;
    if super::OFFERED.iter().any(|(offered, _)| offered == name) || name == super::IDENTITY {
        return cursor.unsupported(&format!("the transformation '{name}' {place}"));
    }
    unknown(cursor)
}

/// One query for each grouping, finest first, or just one.
fn grouped(stages: &mut Stages<'_>, groupings: Vec<Grouping>, aggregates: &[Column]) {
    let all = |mut grouping: Grouping| {
        grouping.extend_from_slice(aggregates);
        grouping
    };
    let mut groupings = groupings.into_iter();
    if groupings.len() == 1 {
        let only = groupings.next().unwrap_or_default();
        return stages.aggregate(all(only));
    }
    let branches = groupings.map(|grouping| {
        let mut branch = stages.clone();
        branch.aggregate(all(grouping));
        branch
    });
    let branches = branches.collect();
    stages.concat(branches);
}

fn group(table: &Table, cursor: &mut Cursor<'_>) -> Result<Column> {
    let column = path::column(cursor)?;
    let alias = path_alias(table, &column);
    Ok(Column { column, alias, role: Role::Group(None) })
}

/// `rollup(a,b)` groups by both and by the first; with `$all` in front also by none.
fn rollup(table: &Table, cursor: &mut Cursor<'_>) -> Result<Vec<Grouping>> {
    cursor.advance();
    cursor.require_symbol('(')?;
    let total = cursor.take_word("$all");
    if total {
        cursor.require_symbol(',')?;
    }
    let mut columns = vec![group(table, cursor)?];
    while cursor.take_symbol(',') {
        columns.push(group(table, cursor)?);
        if columns.len() > STAGES_MAX {
            return Err(too_many(columns.len()).at(cursor.place(cursor.position())));
        }
    }
    cursor.require_symbol(')')?;
    let least = usize::from(!total);
    Ok((least..=columns.len()).rev().map(|levels| columns[..levels].to_vec()).collect())
}

fn combined(left: &[Grouping], right: &[Grouping]) -> Vec<Grouping> {
    let pair = |l: &Grouping, r: &Grouping| l.iter().chain(r).cloned().collect();
    left.iter().flat_map(|l| right.iter().map(move |r| pair(l, r))).collect()
}

/// Dataverse answers a column behind a navigation property as
/// `<target table>_<column>`.
fn path_alias(table: &Table, column: &ColumnRef) -> Option<Name> {
    let Path::Navigation(navigation) = &column.path else { return None };
    let [only] = navigation.as_slice() else { return None };
    let target = &table.navigation(&only.text)?.target;
    Some(Name { text: format!("{target}_{}", column.name.text), at: only.at.clone() })
}

/// `$count as n,a with sum as b`. What is aggregated and no column is computed first.
fn aggregates(cursor: &mut Cursor<'_>, stages: &mut Stages<'_>) -> Result<Vec<Column>> {
    let mut computed = Vec::new();
    let mut columns = Vec::new();
    loop {
        columns.push(aggregated(cursor, stages, &mut computed)?);
        if !cursor.take_symbol(',') {
            break;
        }
    }
    if !computed.is_empty() {
        stages.compute(computed);
    }
    Ok(columns)
}

fn aggregated(
    cursor: &mut Cursor<'_>,
    stages: &mut Stages<'_>,
    computed: &mut Vec<Computed>,
) -> Result<Column> {
    let at = cursor.place(cursor.position());
    let (column, aggregate) = if cursor.at_word("$count") {
        cursor.advance();
        let name = Name { text: stages.table.primary_id.clone(), at };
        (ColumnRef { path: Path::Here, name }, Aggregate::Count)
    } else {
        let column = match expression::parse(cursor, "a column or an expression")? {
            Node::Column(column) => *column,
            other => {
                let value = other.into_expression()?;
                let name = stages.unnamed(at);
                computed.push(Computed { value, alias: name.clone() });
                ColumnRef { path: Path::Here, name }
            }
        };
        cursor.require_word("with")?;
        (column, method(cursor)?)
    };
    if cursor.at_word("from") {
        return Err(cursor.unsupported("'from' in aggregate"));
    }
    let alias = Some(lists::alias(cursor)?);
    Ok(Column { column, alias, role: Role::Aggregate(aggregate) })
}

fn method(cursor: &mut Cursor<'_>) -> Result<Aggregate> {
    let name = cursor.require_name("an aggregation method")?;
    let known = METHODS.iter().find(|(method, _)| *method == name.text);
    known.map(|(_, aggregate)| *aggregate).ok_or_else(|| {
        let shown = excerpt(&name.text);
        let message = match nearest(&name.text, METHODS.iter().map(|(method, _)| *method)) {
            Some(near) => {
                format!("the method '{shown}' does not exist; did you mean '{near}'?")
            }
            None => format!(
                "the method '{shown}' does not exist; there are sum, average, min, max and \
                 countdistinct"
            ),
        };
        Error::invalid(codes::ODATA, message).at(name.at.clone())
    })
}
