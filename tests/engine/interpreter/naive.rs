//! The same questions answered row by row, as plainly as can be: what a person
//! would do with the rows on paper.

use std::cmp::Ordering;

use super::data::{Child, Job, World};
use super::question::{Aggregate, Answer, Field, Filter, Literal, Op, Question};

#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Null,
    Text(String),
    Int(i64),
    Float(f64),
    Time(i64),
    Guid([u8; 16]),
}

/// The answer's cells, row by row; in the order of the columns asked for.
pub fn answer(world: &World, question: &Question) -> Vec<Vec<Cell>> {
    let holds = |job: &&Job| question.filter.as_ref().is_none_or(|f| matches(world, job, f));
    let mut jobs: Vec<&Job> = world.jobs.iter().filter(holds).collect();
    match &question.answer {
        Answer::Rows { columns, order, page } => {
            jobs.sort_by(|a, b| {
                let keys = order.iter().map(|(field, descending)| {
                    let ordering = compare(&cell(world, a, *field), &cell(world, b, *field));
                    if *descending { ordering.reverse() } else { ordering }
                });
                keys.chain([a.id.cmp(&b.id)]).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
            });
            let (skip, take) = page.map_or((0, usize::MAX), |(n, size)| ((n - 1) * size, size));
            let rows = jobs.into_iter().skip(skip).take(take);
            rows.map(|job| columns.iter().map(|c| cell(world, job, *c)).collect()).collect()
        }
        Answer::Groups { groups, aggregates } => grouped(world, jobs, groups, aggregates),
    }
}

fn grouped(
    world: &World,
    mut jobs: Vec<&Job>,
    groups: &[Field],
    aggregates: &[Aggregate],
) -> Vec<Vec<Cell>> {
    // A group shows the text of the row that was created first.
    jobs.sort_by_key(|job| job.createdon);
    let mut found: Vec<(Vec<Cell>, Vec<&Job>)> = Vec::new();
    for job in jobs {
        let key: Vec<Cell> = groups.iter().map(|g| cell(world, job, *g)).collect();
        let same = |other: &[Cell]| key.iter().zip(other).all(|(a, b)| compare(a, b).is_eq());
        match found.iter_mut().find(|(other, _)| same(other)) {
            Some((_, members)) => members.push(job),
            None => found.push((key, vec![job])),
        }
    }
    if groups.is_empty() && found.is_empty() {
        found.push((Vec::new(), Vec::new()));
    }
    let rows = found.into_iter().map(|(mut row, members)| {
        row.extend(aggregates.iter().map(|a| aggregate(world, &members, *a)));
        row
    });
    rows.collect()
}

fn aggregate(world: &World, members: &[&Job], aggregate: Aggregate) -> Cell {
    let cells = |field: Field| -> Vec<Cell> {
        members.iter().map(|job| cell(world, job, field)).filter(|c| *c != Cell::Null).collect()
    };
    let sum = |cells: &[Cell]| match cells.first() {
        None => Cell::Null,
        Some(Cell::Float(_)) => Cell::Float(cells.iter().map(number).sum()),
        Some(_) => Cell::Int(cells.iter().map(|c| number(c) as i64).sum()),
    };
    match aggregate {
        Aggregate::Count => Cell::Int(members.len() as i64),
        Aggregate::CountDistinct(field) => {
            let mut cells = cells(field);
            cells.sort_by(compare);
            cells.dedup_by(|a, b| compare(a, b).is_eq());
            Cell::Int(cells.len() as i64)
        }
        Aggregate::Sum(field) => sum(&cells(field)),
        Aggregate::Avg(field) => {
            let cells = cells(field);
            match sum(&cells) {
                // Whole numbers are cut off towards zero.
                Cell::Int(sum) => Cell::Int(sum / cells.len() as i64),
                Cell::Float(sum) => Cell::Float(sum / cells.len() as f64),
                none => none,
            }
        }
        Aggregate::Min(field) => cells(field).into_iter().min_by(compare).unwrap_or(Cell::Null),
        Aggregate::Max(field) => cells(field).into_iter().max_by(compare).unwrap_or(Cell::Null),
    }
}

fn number(cell: &Cell) -> f64 {
    match cell {
        Cell::Int(n) => *n as f64,
        Cell::Float(n) => *n,
        other => panic!("{other:?} is no number"),
    }
}

fn cell(world: &World, job: &Job, field: Field) -> Cell {
    let text = |v: &Option<String>| v.clone().map_or(Cell::Null, Cell::Text);
    let int = |v: Option<i64>| v.map_or(Cell::Null, Cell::Int);
    match field {
        Field::Id => Cell::Guid(job.id),
        Field::Name => text(&job.name),
        Field::Message => text(&job.message),
        Field::State => Cell::Int(job.statecode),
        Field::Type => int(job.operationtype),
        Field::Retries => int(job.retrycount),
        Field::Span => job.span.map_or(Cell::Null, Cell::Float),
        Field::Created => Cell::Time(job.createdon),
        Field::Completed => job.completedon.map_or(Cell::Null, Cell::Time),
        Field::User => job.owner.map_or(Cell::Null, |n| Cell::Guid(super::data::user_id(n))),
        Field::UserName => match job.owner.and_then(|n| world.users.get(n)) {
            Some(user) => text(&user.fullname),
            None => Cell::Null,
        },
        Field::Failures => panic!("a job has no such column"),
    }
}

fn matches(world: &World, job: &Job, filter: &Filter) -> bool {
    match filter {
        Filter::And(parts) => parts.iter().all(|part| matches(world, job, part)),
        Filter::Or(parts) => parts.iter().any(|part| matches(world, job, part)),
        Filter::Condition { field, op, values } => test(&cell(world, job, *field), *op, values),
        Filter::Columns { left, op, right } => {
            let (left, right) = (cell(world, job, *left), cell(world, job, *right));
            match (left == Cell::Null, right == Cell::Null) {
                (false, false) => ordered(compare(&left, &right), *op),
                (true, true) => false,
                _ => *op == Op::Ne,
            }
        }
        Filter::Child { negated, filter } => {
            let place = world.jobs.iter().position(|j| j.id == job.id);
            let holds = |child: &Child| match filter.as_deref() {
                None => true,
                Some(Filter::Condition { op, values, .. }) => {
                    test(&child.failurecount.map_or(Cell::Null, Cell::Int), *op, values)
                }
                Some(other) => panic!("{other:?} about a bulk delete operation"),
            };
            world.children.iter().any(|c| c.job == place && holds(c)) != *negated
        }
    }
}

/// A condition's outcome; negative ones hold for null, all others do not.
fn test(cell: &Cell, op: Op, values: &[Literal]) -> bool {
    let values: Vec<Cell> = values.iter().map(of_literal).collect();
    if *cell == Cell::Null {
        return matches!(op, Op::Ne | Op::NotIn | Op::NotBetween | Op::NotContains | Op::Null);
    }
    let against = |n: usize| compare(cell, &values[n]);
    let between = || against(0).is_ge() && against(1).is_le();
    let any = || (0..values.len()).any(|n| against(n).is_eq());
    match op {
        Op::In => any(),
        Op::NotIn => !any(),
        Op::Between => between(),
        Op::NotBetween => !between(),
        Op::Null => false,
        Op::NotNull => true,
        Op::Contains => like(cell, &values[0], true, true),
        Op::NotContains => !like(cell, &values[0], true, true),
        Op::StartsWith => like(cell, &values[0], false, true),
        Op::EndsWith => like(cell, &values[0], true, false),
        _ => ordered(against(0), op),
    }
}

fn ordered(ordering: Ordering, op: Op) -> bool {
    match op {
        Op::Eq => ordering.is_eq(),
        Op::Ne => ordering.is_ne(),
        Op::Gt => ordering.is_gt(),
        Op::Ge => ordering.is_ge(),
        Op::Lt => ordering.is_lt(),
        Op::Le => ordering.is_le(),
        other => panic!("{other:?} is no order"),
    }
}

fn of_literal(literal: &Literal) -> Cell {
    match literal {
        Literal::Text(text) => Cell::Text(text.clone()),
        Literal::Int(n) => Cell::Int(*n),
        Literal::Float(n) => Cell::Float(*n),
        Literal::Time(micros) => Cell::Time(*micros),
        Literal::Guid(id) => Cell::Guid(*id),
    }
}

/// Nulls come first; case, accents and trailing spaces of texts do not count.
pub fn compare(a: &Cell, b: &Cell) -> Ordering {
    match (a, b) {
        (Cell::Null, Cell::Null) => Ordering::Equal,
        (Cell::Null, _) => Ordering::Less,
        (_, Cell::Null) => Ordering::Greater,
        (Cell::Text(a), Cell::Text(b)) => fold(a).trim_end().cmp(fold(b).trim_end()),
        (Cell::Time(a), Cell::Time(b)) => a.cmp(b),
        (Cell::Guid(a), Cell::Guid(b)) => a.cmp(b),
        (a, b) => number(a).total_cmp(&number(b)),
    }
}

/// The pool of texts has no other accented letter.
fn fold(text: &str) -> String {
    text.to_lowercase().replace('á', "a")
}

/// LIKE, by trying every split.
fn like(cell: &Cell, pattern: &Cell, before: bool, after: bool) -> bool {
    let (Cell::Text(text), Cell::Text(pattern)) = (cell, pattern) else { panic!("no texts") };
    let any = |there: bool| if there { "%" } else { "" };
    let pattern = format!("{}{}{}", any(before), fold(pattern), any(after));
    let (text, pattern) = (fold(text), pattern);
    let (text, pattern): (Vec<char>, Vec<char>) =
        (text.chars().collect(), pattern.chars().collect());
    fits(&text, &pattern)
}

fn fits(text: &[char], pattern: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['%', rest @ ..] => (0..=text.len()).any(|n| fits(&text[n..], rest)),
        ['_', rest @ ..] => !text.is_empty() && fits(&text[1..], rest),
        ['[', rest @ ..] => {
            let close = rest.iter().position(|c| *c == ']').expect("the pool closes its brackets");
            text.first().is_some_and(|c| rest[..close].contains(c))
                && fits(&text[1..], &rest[close + 1..])
        }
        [c, rest @ ..] => text.first() == Some(c) && fits(&text[1..], rest),
    }
}
