//! Conditions as `filter` elements.

use super::xml::Element;
use super::{Printer, cannot_say, said};
use crate::error::Result;
use crate::query::bound::{Column, Scalar};
use crate::query::operators::{Meaning, OPERATORS};
use crate::query::{Operator, Test};
use crate::translate::condition::{Condition, Truth};
use crate::value::Value;

impl Printer<'_> {
    /// Adds what a row of a source has to satisfy.
    pub(super) fn filter(
        &self,
        condition: &Condition<'_>,
        here: usize,
        parent: &mut Element,
    ) -> Result<()> {
        if condition.is_every_row() {
            return Ok(());
        }
        let element = match condition {
            Condition::All(_) | Condition::Any(_) => self.part(condition, here)?,
            single => {
                let mut filter = Element::new("filter");
                filter.push(self.part(single, here)?);
                filter
            }
        };
        parent.push(element);
        Ok(())
    }

    fn part(&self, condition: &Condition<'_>, here: usize) -> Result<Element> {
        match condition {
            // No row has no key.
            Condition::Any(parts) if parts.is_empty() => {
                let key = self.query.table_of(here).primary_id_index();
                let mut filter = Element::new("filter");
                let column = Column { source: here, column: key };
                filter.push(self.compare(column, Operator::Null, &[], here)?);
                Ok(filter)
            }
            Condition::All(parts) => self.parts(Element::new("filter"), parts, here),
            Condition::Any(parts) => {
                self.parts(Element::new("filter").with("type", "or")?, parts, here)
            }
            Condition::Compare { column, operator, values } => {
                self.compare(*column, *operator, values, here)
            }
            Condition::Columns { left, operator, right } => {
                let mut element = self.condition(*left, here)?;
                element.set("operator", word(Test::Compare(*operator)))?;
                let name = &self.query.facts(*right).logical_name;
                match self.name_of(right.source) {
                    _ if right.source == here => element.set("valueof", name)?,
                    Some(alias) => element.set("valueof", &format!("{alias}.{name}"))?,
                    None => return Err(self.outside(*right)),
                }
                Ok(element)
            }
            Condition::Operator { column, test, values, truth } => {
                if *truth != Truth::True {
                    return Err(cannot_say(format!("'not' before '{}'", word(*test))));
                }
                let mut element = self.condition(*column, here)?;
                element.set("operator", word(*test))?;
                values_in(&mut element, values.iter().cloned())?;
                Ok(element)
            }
            Condition::Exists { source, wanted } => {
                let index = source - 1;
                let join = &self.query.joins[index];
                if join.to.source != here {
                    return Err(cannot_say(format!(
                        "a test for rows of '{}' outside the link that they belong to",
                        join.table.logical_name
                    )));
                }
                self.link(index, join, if *wanted { "any" } else { "not any" })
            }
            Condition::Holds { scalar, truth } => self.holds(scalar, *truth, here),
        }
    }

    fn parts(&self, mut filter: Element, parts: &[Condition<'_>], here: usize) -> Result<Element> {
        for part in parts {
            filter.push(self.part(part, here)?);
        }
        Ok(filter)
    }

    /// A condition on a column, without its operator.
    fn condition(&self, column: Column, here: usize) -> Result<Element> {
        if let Some(scalar) = self.query.computed_by(column) {
            return Err(cannot_say(format!("'{}'", said(scalar))));
        }
        let mut element = Element::new("condition");
        if column.source != here {
            match self.name_of(column.source) {
                Some(alias) => element.set("entityname", alias)?,
                None => return Err(self.outside(column)),
            }
        }
        element.set("attribute", &self.query.facts(column).logical_name)?;
        Ok(element)
    }

    fn outside(&self, column: Column) -> crate::error::Error {
        let name = &self.query.facts(column).logical_name;
        cannot_say(format!("a condition on '{name}' of the root inside a link"))
    }

    fn compare(
        &self,
        column: Column,
        operator: Operator,
        values: &[Value],
        here: usize,
    ) -> Result<Element> {
        let mut element = self.condition(column, here)?;
        element.set("operator", word(Test::Compare(operator)))?;
        let texts = values.iter().map(|value| self.query.text_of(value, column));
        match operator {
            Operator::In | Operator::NotIn => {
                for text in texts {
                    element.push(Element::holding("value", &text)?);
                }
            }
            _ => values_in(&mut element, texts)?,
        }
        Ok(element)
    }

    fn holds(&self, scalar: &Scalar, truth: Truth, here: usize) -> Result<Element> {
        match scalar {
            Scalar::Column(column) if self.query.computed_by(*column).is_none() => {
                let (operator, value) = match truth {
                    Truth::True => (Operator::Eq, true),
                    Truth::False => (Operator::Eq, false),
                    Truth::NotTrue => (Operator::Ne, true),
                    Truth::NotFalse => (Operator::Ne, false),
                };
                self.compare(*column, operator, &[Value::Boolean(value)], here)
            }
            Scalar::Literal { value: Value::Boolean(value), .. } => {
                let wanted = matches!(truth, Truth::True | Truth::NotFalse);
                let every = Condition::All(Vec::new());
                let none = Condition::Any(Vec::new());
                self.part(if *value == wanted { &every } else { &none }, here)
            }
            other => Err(cannot_say(format!("'{}'", said(other)))),
        }
    }
}

/// One value stands in the condition, several inside.
fn values_in(element: &mut Element, values: impl Iterator<Item = String>) -> Result<()> {
    let values: Vec<String> = values.collect();
    match values.as_slice() {
        [one] => element.set("value", one)?,
        several => {
            for value in several {
                element.push(Element::holding("value", value)?);
            }
        }
    }
    Ok(())
}

/// The operator of a test as FetchXML spells it.
fn word(test: Test) -> &'static str {
    let makes = |meaning: &Meaning| match meaning {
        Meaning::Test(known) => *known == test,
        Meaning::Pattern { operator, before, after } => {
            test == Test::Compare(*operator) && before.is_empty() && after.is_empty()
        }
    };
    let known = OPERATORS.iter().find(|operator| makes(&operator.meaning));
    known.map_or("operator", |operator| operator.name)
}
