//! Lambda expressions over collections: `files/any(f:f/filesizeinbytes gt 0)`,
//! `files/all(…)`, `files/any()`.

use super::cursor::Cursor;
use super::lexer::excerpt;
use super::node::Node;
use super::path::Steps;
use super::{expression, filter};
use crate::error::{Error, Place, Result, codes};
use crate::query::{Filter, Lambda};

/// Reads what follows the path to a collection; `any` or `all` is next.
pub(super) fn parse(cursor: &mut Cursor<'_>, steps: Steps, at: Place) -> Result<Node> {
    if steps.names.is_empty() {
        return Err(cursor.expected("a collection before 'any' or 'all'"));
    }
    let all = cursor.advance().text == "all";
    cursor.require_symbol('(')?;
    let mut lambda = Lambda {
        from: steps.variable,
        path: steps.names,
        variable: None,
        all,
        filter: None,
        at: at.clone(),
    };
    let mut depth = 1;
    if all || !cursor.at_symbol(')') {
        let variable = cursor.require_name("a variable, ':' and a condition")?;
        if cursor.is_variable(&variable.text) {
            let message = format!("the variable '{}' is in use already", excerpt(&variable.text));
            return Err(Error::invalid(codes::ODATA, message).at(variable.at));
        }
        cursor.require_symbol(':')?;
        let node = cursor.with_variable(&variable.text, |cursor| {
            let node = expression::parse(cursor, filter::CONDITION)?;
            if !cursor.at_symbol(')') {
                return Err(expression::unfinished(cursor, &node, "')'"));
            }
            Ok(node)
        })?;
        depth += node.depth();
        lambda.filter = Some(node.into_filter()?);
        lambda.variable = Some(variable);
    }
    cursor.require_symbol(')')?;
    let what = if all { "lambda operator 'all'" } else { "lambda operator 'any'" };
    Ok(Node::Filter { filter: Box::new(Filter::Lambda(Box::new(lambda))), what, at, depth })
}
