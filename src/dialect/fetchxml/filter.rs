//! `filter` and `condition` elements → [`query::Filter`](crate::query::Filter).

use super::Parser;
use super::operators;
use super::reader::Element;
use super::vocabulary::hint;
use crate::error::{Error, Result, codes};
use crate::query::operators::{Arguments, ConditionOperator, Meaning};
use crate::query::{
    ColumnRef, Condition, Filter, LinkType, Literal, LiteralKind, Name, Operand, Operator, Path,
    Quantifier, Related, Test,
};

/// All `filter` elements of an entity or a link; siblings are ANDed.
pub fn filters(parser: &Parser, parent: &Element) -> Result<Option<Filter>> {
    let mut parts = Vec::new();
    for element in parent.children_named("filter") {
        parts.extend(filter(parser, element)?);
    }
    Ok(combine(parts, Filter::And))
}

/// One `filter`; an empty one restricts nothing.
fn filter(parser: &Parser, element: &Element) -> Result<Option<Filter>> {
    let combine_with = match element.get("type") {
        None | Some("and") => Filter::And,
        Some("or") => Filter::Or,
        Some(other) => {
            let at = element.attribute("type").map_or(&element.at, |a| &a.at);
            let message = format!("'type' of a filter is 'and' or 'or', not '{other}'");
            return Err(Error::invalid(codes::BAD_FILTER_TYPE, message).at(at.clone()));
        }
    };
    let mut parts = Vec::new();
    for child in &element.children {
        match child.name.as_str() {
            "condition" => parts.push(Filter::Condition(condition(child)?)),
            "filter" => parts.extend(filter(parser, child)?),
            _ => parts.push(Filter::Related(Box::new(related(parser, child)?))),
        }
    }
    Ok(combine(parts, combine_with))
}

/// The link types of links inside filters.
const QUANTIFIERS: [(&str, Quantifier); 4] = [
    ("any", Quantifier::Any),
    ("not any", Quantifier::NotAny),
    ("all", Quantifier::All),
    ("not all", Quantifier::NotAll),
];

/// A `link-entity` inside a filter.
fn related(parser: &Parser, element: &Element) -> Result<Related> {
    let given = element.attribute("link-type");
    let link_type = given.map_or("inner", |a| a.value.as_str());
    let Some((_, quantifier)) = QUANTIFIERS.iter().find(|(name, _)| *name == link_type) else {
        let near = hint(link_type, QUANTIFIERS.iter().map(|(name, _)| *name));
        let message = format!(
            "a link inside a filter is of type 'any', 'not any', 'all' or 'not all', not \
             '{link_type}'{near}"
        );
        let at = given.map_or(&element.at, |a| &a.at);
        return Err(Error::invalid(codes::BAD_LINK_TYPE, message).at(at.clone()));
    };
    Ok(Related { quantifier: *quantifier, link: parser.link_of(element, LinkType::Exists)? })
}

fn combine(mut parts: Vec<Filter>, with: fn(Vec<Filter>) -> Filter) -> Option<Filter> {
    match parts.len() {
        0 => None,
        1 => parts.pop(),
        _ => Some(with(parts)),
    }
}

fn condition(element: &Element) -> Result<Condition> {
    let path = element.name_of("entityname").map_or(Path::Here, Path::Alias);
    // `column` is an older spelling of `attribute`.
    let name = match element.name_of("column") {
        Some(name) if element.attribute("attribute").is_none() => name,
        _ => element.required("attribute")?,
    };
    let operator = operators::find(&element.required("operator")?)?;
    let operands = match element.attribute("valueof") {
        Some(_) => vec![Operand::Column(other_column(element, operator)?)],
        None => values(element, operator, &name)?,
    };
    let test = match operator.meaning {
        Meaning::Test(test) => test,
        Meaning::Pattern { operator, .. } => Test::Compare(operator),
    };
    let column = ColumnRef { path, name };
    Ok(Condition { column, test, operands, at: element.at.clone() })
}

/// The column that `valueof` names: `column` or `alias.column`.
fn other_column(element: &Element, operator: &ConditionOperator) -> Result<ColumnRef> {
    let bad =
        |message: String| Error::invalid(codes::BAD_CONDITION, message).at(element.at.clone());
    if !operator.columns {
        return Err(bad(format!("the operator '{}' cannot compare two columns", operator.name)));
    }
    if element.attribute("value").is_some() || !element.children.is_empty() {
        return Err(bad("a condition has either a value or 'valueof', not both".into()));
    }
    let name = element.required("valueof")?;
    let Some((alias, column)) = name.text.split_once('.') else {
        return Ok(ColumnRef { path: Path::Here, name });
    };
    let at = name.at.clone();
    let alias = Name { text: alias.to_owned(), at: at.clone() };
    Ok(ColumnRef { path: Path::Alias(alias), name: Name { text: column.to_owned(), at } })
}

/// The values of a condition, as many as the operator takes.
fn values(element: &Element, operator: &ConditionOperator, on: &Name) -> Result<Vec<Operand>> {
    // Values beside an operator that takes none have no meaning to the service either.
    if operator.arguments == Arguments::None {
        return Ok(Vec::new());
    }
    let mut literals: Vec<Literal> = Vec::new();
    if let Some(value) = element.attribute("value") {
        literals.push(literal(&value.value, &value.value_at));
    }
    literals.extend(element.children.iter().map(|c| literal(&c.text, &c.at)));
    let given = literals.len();
    let expected = match operator.arguments {
        Arguments::One if given != 1 => "one value",
        Arguments::Two if given != 2 => "two values",
        Arguments::Many if given == 0 => "at least one value",
        _ => {
            return Ok(literals.into_iter().map(|l| operand(l, operator)).collect());
        }
    };
    let mut message = format!(
        "the condition on '{}' with operator '{}' needs {expected}, not {given}",
        on.text, operator.name
    );
    let code = if given == 0 { codes::INVALID_ARGUMENT } else { codes::BAD_CONDITION };
    if let Meaning::Test(Test::Compare(Operator::Eq | Operator::Ne)) = operator.meaning
        && given == 0
    {
        message.push_str("; 'null' and 'not-null' test for missing values");
    }
    Err(Error::invalid(code, message).at(element.at.clone()))
}

fn literal(text: &str, at: &crate::error::Place) -> Literal {
    Literal { kind: LiteralKind::Untyped, text: text.to_owned(), at: at.clone() }
}

fn operand(mut literal: Literal, operator: &ConditionOperator) -> Operand {
    if let Meaning::Pattern { before, after, .. } = operator.meaning {
        literal.text = format!("{before}{}{after}", literal.text);
    }
    Operand::Value(literal)
}
