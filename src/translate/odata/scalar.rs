//! Values made of columns and functions, as OData writes them.

use super::Printer;
use super::filter::text_literal;
use crate::error::Result;
use crate::query::Function;
use crate::query::bound::Scalar;
use crate::query::functions::ARITHMETIC;
use crate::translate::values::{bare, spelling};
use crate::value::Value;

impl Printer<'_> {
    pub(super) fn scalar(&self, scalar: &Scalar) -> Result<String> {
        let (function, arguments) = match scalar {
            Scalar::Column(column) => {
                return match self.query.computed_by(*column) {
                    Some(_) => Ok(self.query.facts(*column).logical_name.clone()),
                    None => self.column(*column),
                };
            }
            Scalar::Literal { value: Value::Text(text), .. } => return Ok(text_literal(text)),
            Scalar::Literal { value, data_type } => return Ok(bare(value, data_type)),
            // Types follow from what stands side by side.
            Scalar::Cast(inner, _) => return self.scalar(inner),
            Scalar::Call { function, arguments, .. } => (*function, arguments),
        };
        let arguments = arguments.iter().map(|argument| self.scalar(argument));
        let arguments: Vec<String> = arguments.collect::<Result<_>>()?;
        let name = spelling(function);
        let between = ARITHMETIC.iter().any(|known| known.function == function)
            || matches!(
                function,
                Function::Eq
                    | Function::Ne
                    | Function::Gt
                    | Function::Ge
                    | Function::Lt
                    | Function::Le
                    | Function::And
                    | Function::Or
            );
        Ok(match (function, arguments.as_slice()) {
            (Function::In, [value, list @ ..]) => format!("{value} in ({})", list.join(",")),
            (Function::Not, [part]) => format!("not ({part})"),
            (Function::Negate, [value]) => format!("-({value})"),
            (_, [left, right]) if between => format!("({left} {name} {right})"),
            (_, arguments) => format!("{name}({})", arguments.join(",")),
        })
    }
}
