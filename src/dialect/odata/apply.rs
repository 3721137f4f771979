//! `$apply`: any number of `filter(…)`, then one `groupby(…)` or `aggregate(…)`.
//! What the aggregation extension of OData can say beyond that is refused by
//! name, as Dataverse offers no more either.

use super::cursor::Cursor;
use super::filter;
use super::lexer::{TokenKind, excerpt};
use crate::catalog::{Table, nearest};
use crate::error::{Error, Result, codes};
use crate::query::{Aggregate, Column, ColumnRef, Filter, Name, Path, Role};

const TRANSFORMATIONS: [&str; 3] = ["filter", "groupby", "aggregate"];

/// Transformations of OData that are not offered.
const REFUSED: &[&str] = &[
    "ancestors",
    "bottomcount",
    "bottompercent",
    "bottomsum",
    "compute",
    "concat",
    "descendants",
    "expand",
    "identity",
    "join",
    "nest",
    "orderby",
    "outerjoin",
    "search",
    "skip",
    "top",
    "topcount",
    "toppercent",
    "topsum",
    "traverse",
];

const METHODS: [(&str, Aggregate); 5] = [
    ("sum", Aggregate::Sum),
    ("average", Aggregate::Avg),
    ("min", Aggregate::Min),
    ("max", Aggregate::Max),
    ("countdistinct", Aggregate::CountColumn { distinct: true }),
];

/// A whole `$apply`.
pub(super) struct Apply {
    /// In the order written; all of them hold before anything is aggregated.
    pub filters: Vec<Filter>,
    /// Groups first, then aggregates; `None` when there are only filters.
    pub columns: Option<Vec<Column>>,
}

pub(super) fn parse(table: &Table, text: &str) -> Result<Apply> {
    let mut cursor = Cursor::new("$apply", text)?;
    let mut apply = Apply { filters: Vec::new(), columns: None };
    let mut last = "";
    loop {
        let name = transformation(&cursor)?;
        if apply.columns.is_some() {
            return Err(cursor.unsupported(&format!("the transformation '{name}' after '{last}'")));
        }
        cursor.advance();
        cursor.require_symbol('(')?;
        match name {
            "filter" => apply.filters.push(filter::expression(&mut cursor)?),
            "groupby" => apply.columns = Some(group_by(table, &mut cursor)?),
            _ => apply.columns = Some(aggregates(table, &mut cursor)?),
        }
        cursor.require_symbol(')')?;
        last = name;
        if !cursor.take_symbol('/') {
            break;
        }
    }
    cursor.require_end("'/' or the end")?;
    Ok(apply)
}

/// The transformation that is next.
fn transformation(cursor: &Cursor<'_>) -> Result<&'static str> {
    let token = cursor.peek();
    let text = token.text.as_str();
    if token.kind != TokenKind::Word {
        return Err(cursor.expected("filter, groupby or aggregate"));
    }
    if let Some(name) = TRANSFORMATIONS.iter().find(|name| **name == text) {
        return Ok(name);
    }
    if REFUSED.contains(&text) {
        return Err(cursor.unsupported(&format!("the transformation '{text}'")));
    }
    Err(match nearest(text, TRANSFORMATIONS.into_iter()) {
        Some(near) => cursor.error(format!(
            "the transformation '{}' does not exist; did you mean '{near}'?",
            excerpt(text)
        )),
        None => cursor.expected("filter, groupby or aggregate"),
    })
}

/// `(a,nav/b)` and perhaps `,aggregate(…)`.
fn group_by(table: &Table, cursor: &mut Cursor<'_>) -> Result<Vec<Column>> {
    if cursor.at_word("rollup") {
        return Err(cursor.unsupported("rollup in groupby"));
    }
    cursor.require_symbol('(')?;
    let mut columns = Vec::new();
    loop {
        if cursor.at_word("rollup") {
            return Err(cursor.unsupported("rollup in groupby"));
        }
        let column = cursor.column_path()?;
        let alias = path_alias(table, &column);
        columns.push(Column { column, alias, role: Role::Group(None) });
        if !cursor.take_symbol(',') {
            break;
        }
    }
    cursor.require_symbol(')')?;
    if cursor.take_symbol(',') {
        let name = transformation(cursor)?;
        if name != "aggregate" {
            return Err(cursor.unsupported(&format!("the transformation '{name}' in groupby")));
        }
        cursor.advance();
        cursor.require_symbol('(')?;
        columns.extend(aggregates(table, cursor)?);
        cursor.require_symbol(')')?;
        if cursor.at_symbol('/') {
            return Err(cursor.unsupported("a further transformation in groupby"));
        }
    }
    Ok(columns)
}

/// Dataverse answers a column behind a navigation property as
/// `<target table>_<column>`.
fn path_alias(table: &Table, column: &ColumnRef) -> Option<Name> {
    let Path::Navigation(navigation) = &column.path else { return None };
    let [only] = navigation.as_slice() else { return None };
    let target = &table.navigation(&only.text)?.target;
    Some(Name { text: format!("{target}_{}", column.name.text), at: only.at.clone() })
}

/// `$count as n,a with sum as b`.
fn aggregates(table: &Table, cursor: &mut Cursor<'_>) -> Result<Vec<Column>> {
    let mut columns = vec![aggregate(table, cursor)?];
    while cursor.take_symbol(',') {
        columns.push(aggregate(table, cursor)?);
    }
    Ok(columns)
}

fn aggregate(table: &Table, cursor: &mut Cursor<'_>) -> Result<Column> {
    let (column, aggregate) = if cursor.at_word("$count") {
        let at = cursor.place(cursor.position());
        cursor.advance();
        // Counting rows needs no column; the key stands for the row.
        let name = Name { text: table.primary_id.clone(), at };
        (ColumnRef { path: Path::Here, name }, Aggregate::Count)
    } else {
        let column = cursor.column_path()?;
        refuse_expression(cursor)?;
        cursor.require_word("with")?;
        (column, method(cursor)?)
    };
    if cursor.at_word("from") {
        return Err(cursor.unsupported("'from' in aggregate"));
    }
    if !cursor.take_word("as") {
        return Err(cursor.expected("'as' and a name for the result"));
    }
    let alias = Some(cursor.require_name("a name for the result")?);
    Ok(Column { column, alias, role: Role::Aggregate(aggregate) })
}

fn refuse_expression(cursor: &Cursor<'_>) -> Result<()> {
    let token = cursor.peek();
    let text = token.text.as_str();
    if token.kind == TokenKind::Word && matches!(text, "add" | "sub" | "mul" | "div" | "mod") {
        return Err(cursor.unsupported(&format!("arithmetic operator '{text}'")));
    }
    Ok(())
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
