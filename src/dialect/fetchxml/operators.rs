//! The condition operator of a FetchXML condition, by its spelling.

use super::vocabulary::hint;
use crate::error::{Error, Result, codes};
use crate::query::Name;
use crate::query::operators::{ConditionOperator, OPERATORS};

/// The operator of a condition, by its spelling.
pub fn find(name: &Name) -> Result<&'static ConditionOperator> {
    OPERATORS.iter().find(|o| o.name == name.text).ok_or_else(|| {
        let hint = hint(&name.text, OPERATORS.iter().map(|o| o.name));
        let message = format!("there is no condition operator '{}'{hint}", name.text);
        Error::invalid(codes::UNKNOWN_OPERATOR, message).at(name.at.clone())
    })
}
