//! `$apply`: transformations of the rows, one after the other, as the OData
//! extension for data aggregation has them. Dataverse itself offers `filter`
//! followed by `groupby` or `aggregate`.
//!
//! [`groups`] reads `groupby` and `aggregate`, [`stages`] puts the
//! transformations together, [`names`] finds the columns in their parts.

mod groups;
mod names;
mod stages;

pub(super) use self::stages::Stages;

use super::aliases::Aliases;
use super::cursor::Cursor;
use super::lexer::{OPTION_LENGTH_MAX, TokenKind, excerpt};
use super::node::Node;
use super::{expression, filter, lists};
use crate::catalog::nearest;
use crate::error::{Error, ErrorKind, Result, codes};
use crate::query::{Order, OrderBy, Share};

/// The most queries that one `$apply` may come to: its stages, and the copies
/// that `concat` and `rollup` make of what stands before them.
pub const STAGES_MAX: usize = 64;

/// Reads a transformation's arguments, up to the closing parenthesis.
type Read = fn(&mut Cursor<'_>, &mut Stages<'_>) -> Result<()>;

const OFFERED: [(&str, Read); 14] = [
    ("filter", filter_rows),
    ("groupby", groups::group_by),
    ("aggregate", groups::aggregate),
    ("compute", compute),
    ("concat", concat),
    ("orderby", order),
    ("skip", |cursor, stages| lists::row_count(cursor).map(|rows| stages.skip(rows))),
    ("top", |cursor, stages| lists::row_count(cursor).map(|rows| stages.top(rows))),
    ("topcount", |cursor, stages| ranked(cursor, stages, false)),
    ("bottomcount", |cursor, stages| ranked(cursor, stages, true)),
    ("topsum", |cursor, stages| share(cursor, stages, false, false)),
    ("bottomsum", |cursor, stages| share(cursor, stages, false, true)),
    ("toppercent", |cursor, stages| share(cursor, stages, true, false)),
    ("bottompercent", |cursor, stages| share(cursor, stages, true, true)),
];

/// The transformation that changes nothing; it has no arguments.
const IDENTITY: &str = "identity";

/// Transformations of OData that are not offered.
const REFUSED: [&str; 9] = [
    "addnested",
    "ancestors",
    "descendants",
    "expand",
    "join",
    "nest",
    "outerjoin",
    "search",
    "traverse",
];

/// Reads a whole `$apply` onto the rows it starts from.
pub(super) fn parse(text: &str, aliases: &Aliases, stages: &mut Stages<'_>) -> Result<()> {
    let mut cursor = Cursor::with_aliases("$apply", text, aliases)?;
    sequence(&mut cursor, stages)?;
    cursor.require_end("'/' or the end")
}

/// Transformations with `/` between.
fn sequence(cursor: &mut Cursor<'_>, stages: &mut Stages<'_>) -> Result<()> {
    loop {
        transformation(cursor, stages)?;
        if !cursor.take_symbol('/') {
            return Ok(());
        }
    }
}

fn transformation(cursor: &mut Cursor<'_>, stages: &mut Stages<'_>) -> Result<()> {
    let start = cursor.position();
    let name = cursor.peek().text.clone();
    if name == IDENTITY {
        cursor.advance();
        return Ok(());
    }
    let Some((_, read)) = OFFERED.iter().find(|(offered, _)| *offered == name) else {
        return Err(unknown(cursor));
    };
    let at = cursor.place(start);
    cursor.advance();
    cursor.require_symbol('(')?;
    cursor.nested(|cursor| read(cursor, stages))?;
    cursor.require_symbol(')')?;
    stages.length += cursor.position() - start;
    if stages.count > STAGES_MAX || stages.length > OPTION_LENGTH_MAX {
        return Err(too_many(stages.count).at(at));
    }
    Ok(())
}

fn too_many(stages: usize) -> Error {
    let message = if stages > STAGES_MAX {
        format!("the transformations come to more than {STAGES_MAX} queries")
    } else {
        format!("the transformations come to more than {OPTION_LENGTH_MAX} characters")
    };
    Error::new(ErrorKind::Limit, codes::ODATA, message)
}

/// The error for what is next and no transformation that is offered.
fn unknown(cursor: &Cursor<'_>) -> Error {
    const EXPECTED: &str = "a transformation such as filter, groupby or aggregate";
    let token = cursor.peek();
    let text = token.text.as_str();
    if token.kind != TokenKind::Word {
        return cursor.expected(EXPECTED);
    }
    if REFUSED.contains(&text) {
        return cursor.unsupported(&format!("the transformation '{text}'"));
    }
    let shown = excerpt(text);
    if text.contains('.') {
        return cursor.unsupported(&format!("the transformation '{shown}'"));
    }
    match nearest(text, OFFERED.iter().map(|(name, _)| *name).chain([IDENTITY])) {
        Some(near) => cursor
            .error(format!("the transformation '{shown}' does not exist; did you mean '{near}'?")),
        None => cursor.expected(EXPECTED),
    }
}

fn closed(cursor: &Cursor<'_>) -> bool {
    cursor.at_symbol(')')
}

fn filter_rows(cursor: &mut Cursor<'_>, stages: &mut Stages<'_>) -> Result<()> {
    stages.filter(filter::until(cursor, "')'", closed)?);
    Ok(())
}

fn compute(cursor: &mut Cursor<'_>, stages: &mut Stages<'_>) -> Result<()> {
    stages.compute(lists::computed_items(cursor)?);
    Ok(())
}

fn order(cursor: &mut Cursor<'_>, stages: &mut Stages<'_>) -> Result<()> {
    stages.order(lists::order_items(cursor, "')'", closed)?);
    Ok(())
}

/// `concat(…,…)`: each sequence starts from the rows before it.
fn concat(cursor: &mut Cursor<'_>, stages: &mut Stages<'_>) -> Result<()> {
    let mut branches = Vec::new();
    let (mut count, mut length) = (1, 0);
    loop {
        // Before the copy is made: the copies of copies grow without bounds.
        if count + stages.count > STAGES_MAX || length + stages.length > OPTION_LENGTH_MAX {
            return Err(too_many(count + stages.count).at(cursor.place(cursor.position())));
        }
        let mut branch = stages.clone();
        sequence(cursor, &mut branch)?;
        count += branch.count;
        length += branch.length;
        branches.push(branch);
        if !cursor.take_symbol(',') {
            break;
        }
    }
    if branches.len() < 2 {
        return Err(cursor.expected("',' and a further sequence of transformations"));
    }
    stages.concat(branches);
    Ok(())
}

/// A value by which rows are chosen.
fn value(cursor: &mut Cursor<'_>) -> Result<OrderBy> {
    cursor.require_symbol(',')?;
    Ok(match expression::parse(cursor, "a column or an expression")? {
        Node::Column(column) => OrderBy::Column(*column),
        other => OrderBy::Expression(other.into_expression()?),
    })
}

/// `topcount(3,a)`, `bottomcount(3,a)`.
fn ranked(cursor: &mut Cursor<'_>, stages: &mut Stages<'_>, bottom: bool) -> Result<()> {
    let rows = lists::row_count(cursor)?;
    let by = value(cursor)?;
    stages.order(vec![Order { by, descending: !bottom }]);
    stages.top(rows);
    Ok(())
}

/// `topsum(100,a)`, `toppercent(50,a)` and their `bottom` forms.
fn share(
    cursor: &mut Cursor<'_>,
    stages: &mut Stages<'_>,
    percent: bool,
    bottom: bool,
) -> Result<()> {
    let start = cursor.position();
    let amount = amount(cursor)?;
    if percent && !(0.0..=100.0).contains(&amount) {
        return Err(cursor.error_at(start, "a percentage is from 0 to 100"));
    }
    let start = cursor.position();
    match value(cursor)? {
        OrderBy::Column(by) => stages.share(Share { by, amount, percent, bottom }),
        _ => {
            let what = "an expression in this place, which takes a column or a computed value,";
            return Err(cursor.unsupported_at(start + 1, what));
        }
    }
    Ok(())
}

fn amount(cursor: &mut Cursor<'_>) -> Result<f64> {
    let token = cursor.peek();
    let number =
        if token.kind == TokenKind::Number { token.text.parse::<f64>().ok() } else { None };
    let Some(amount) = number.filter(|amount| amount.is_finite()) else {
        return Err(cursor.expected("a number"));
    };
    cursor.advance();
    Ok(amount)
}
