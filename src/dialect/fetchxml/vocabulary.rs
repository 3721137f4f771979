//! Which elements and attributes FetchXML has, and what each does here.
//!
//! Rule: an attribute that would change the answer is either read or refused by
//! name; only those without any effect on the answer may be passed over.

use super::operators;
use super::reader::{Attribute, Element};
use crate::catalog::nearest;
use crate::error::{Error, Result, codes};

/// What becomes of an attribute.
#[derive(Clone, Copy)]
enum Use {
    /// The function that reads the element takes its value.
    Read,
    /// A yes/no value, read or without effect; the code is that of a bad one.
    Flag(u32),
    /// No effect on the answer: speed, designers' notes, older protocols.
    Hint,
    /// Would change the answer and is not offered.
    Refused,
    /// Part of the schema, but the service rejects it with this code.
    Rejected(u32),
}

use Use::{Flag, Hint, Read, Refused, Rejected};

struct ElementRule {
    name: &'static str,
    attributes: &'static [(&'static str, Use)],
    children: &'static [&'static str],
}

const ELEMENTS: &[ElementRule] = &[
    ElementRule {
        name: "fetch",
        attributes: &[
            ("version", Hint),
            ("mapping", Read),
            ("output-format", Hint),
            ("utc-offset", Rejected(codes::UTC_OFFSET)),
            ("top", Read),
            ("count", Read),
            ("page", Read),
            ("paging-cookie", Read),
            ("returntotalrecordcount", Flag(codes::INVALID_ARGUMENT)),
            ("distinct", Flag(codes::BAD_DISTINCT)),
            ("aggregate", Flag(codes::INVALID_ARGUMENT)),
            ("aggregatelimit", Read),
            ("latematerialize", Flag(codes::INVALID_ARGUMENT)),
            ("datasource", Read),
            ("options", Hint),
            ("no-lock", Flag(codes::BAD_NO_LOCK)),
            ("useraworderby", Flag(codes::BAD_USERAWORDERBY)),
            ("min-active-row-version", Flag(codes::INVALID_ARGUMENT)),
        ],
        children: &["entity", "order"],
    },
    ElementRule {
        name: "entity",
        attributes: &[
            ("name", Read),
            ("enableprefiltering", Hint),
            ("prefilterparametername", Hint),
        ],
        children: &["all-attributes", "no-attrs", "attribute", "order", "link-entity", "filter"],
    },
    ElementRule {
        name: "link-entity",
        attributes: &[
            ("name", Read),
            ("from", Read),
            ("to", Read),
            ("alias", Read),
            ("link-type", Read),
            ("intersect", Flag(codes::INVALID_ARGUMENT)),
            ("visible", Hint),
            ("enableprefiltering", Hint),
            ("prefilterparametername", Hint),
        ],
        children: &["all-attributes", "no-attrs", "attribute", "order", "link-entity", "filter"],
    },
    ElementRule {
        name: "attribute",
        attributes: &[
            ("name", Read),
            ("alias", Read),
            ("aggregate", Read),
            ("groupby", Flag(codes::BAD_GROUPBY)),
            ("dategrouping", Read),
            // Times are grouped in UTC, which is also the caller's zone.
            ("usertimezone", Flag(codes::INVALID_ARGUMENT)),
            ("distinct", Flag(codes::BAD_DISTINCT)),
            ("rowaggregate", Read),
            ("addedby", Hint),
            ("build", Hint),
        ],
        children: &[],
    },
    ElementRule { name: "all-attributes", attributes: &[], children: &[] },
    ElementRule { name: "no-attrs", attributes: &[], children: &[] },
    ElementRule {
        name: "order",
        attributes: &[
            ("attribute", Read),
            ("alias", Read),
            ("descending", Flag(codes::BAD_DESCENDING)),
            ("entityname", Read),
        ],
        children: &[],
    },
    ElementRule {
        name: "filter",
        attributes: &[
            ("type", Read),
            ("hint", Hint),
            ("isquickfindfields", Flag(codes::INVALID_ARGUMENT)),
            ("overridequickfindrecordlimitenabled", Flag(codes::INVALID_ARGUMENT)),
            ("overridequickfindrecordlimitdisabled", Flag(codes::INVALID_ARGUMENT)),
        ],
        children: &["condition", "filter", "link-entity"],
    },
    ElementRule {
        name: "condition",
        attributes: &[
            ("attribute", Read),
            ("column", Read),
            ("operator", Read),
            ("value", Read),
            ("valueof", Read),
            ("entityname", Read),
            ("aggregate", Refused),
            ("alias", Refused),
            ("rowaggregate", Refused),
            ("uiname", Hint),
            ("uitype", Hint),
            ("uihidden", Hint),
        ],
        children: &["value"],
    },
    ElementRule { name: "value", attributes: &[("uiname", Hint), ("uitype", Hint)], children: &[] },
];

/// Refuses everything FetchXML does not have or sysjob does not offer; all such
/// mistakes of a query at once.
pub fn check(root: &Element) -> Result<()> {
    if root.name != "fetch" {
        let message = format!("the outermost element is 'fetch', not '{}'", root.name);
        return Err(Error::invalid(codes::INVALID_NODE, message).at(root.at.clone()));
    }
    let mut problems = Vec::new();
    check_element(root, &mut problems);
    match problems.into_iter().reduce(Error::and) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

fn check_element(element: &Element, problems: &mut Vec<Error>) {
    let Some(rule) = ELEMENTS.iter().find(|rule| rule.name == element.name) else {
        return problems.push(Error::internal(format!("no rule for '{}'", element.name)));
    };
    for attribute in &element.attributes {
        problems.extend(check_attribute(rule, attribute).err());
    }
    if element.name != "value" && !element.text.trim().is_empty() {
        let message = format!("'{}' holds no text", element.name);
        problems.push(Error::invalid(codes::INVALID_NODE, message).at(element.at.clone()));
    }
    if element.name == "condition"
        && let Some(operator) = element.name_of("operator").filter(|o| !o.text.is_empty())
    {
        problems.extend(operators::find(&operator).err());
    }
    for child in &element.children {
        if rule.children.contains(&child.name.as_str()) {
            check_element(child, problems);
        } else {
            // What it means to hold is anyone's guess.
            problems.push(misplaced(rule, child));
        }
    }
}

fn check_attribute(rule: &ElementRule, attribute: &Attribute) -> Result<()> {
    let name = attribute.name.as_str();
    // Query designers declare a namespace to leave their own mark.
    if rule.name == "fetch" && (name == "xmlns" || name.starts_with("xmlns:")) {
        return Ok(());
    }
    let Some((_, usage)) = rule.attributes.iter().find(|(known, _)| *known == name) else {
        let known = rule.attributes.iter().map(|(known, _)| *known);
        let message = format!("'{}' has no attribute '{name}'{}", rule.name, hint(name, known));
        return Err(Error::invalid(codes::INVALID_NODE, message).at(attribute.at.clone()));
    };
    match usage {
        Read | Hint => Ok(()),
        Flag(code) => flag(attribute, *code).map(|_| ()),
        Rejected(code) => {
            let message = format!("the attribute '{name}' of '{}' is not allowed", rule.name);
            Err(Error::invalid(*code, message).at(attribute.at.clone()))
        }
        Refused => {
            let message = format!("the attribute '{name}' of '{}' is not supported", rule.name);
            Err(Error::unsupported(message).at(attribute.at.clone()))
        }
    }
}

/// Reads a yes/no attribute.
fn flag(attribute: &Attribute, code: u32) -> Result<bool> {
    match attribute.value.as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        other => {
            let message =
                format!("'{}' is '{other}'; it can be true, false, 1 or 0", attribute.name);
            Err(Error::invalid(code, message).at(attribute.at.clone()))
        }
    }
}

/// A yes/no attribute of a checked element; absent is no.
pub fn is_set(element: &Element, name: &str) -> bool {
    matches!(element.get(name), Some("true" | "1"))
}

fn misplaced(rule: &ElementRule, child: &Element) -> Error {
    let name = child.name.as_str();
    let message = if ELEMENTS.iter().any(|known| known.name == name) {
        format!("'{name}' cannot stand inside '{}'", rule.name)
    } else {
        let known = rule.children.iter().copied();
        format!("'{name}' is not an element of '{}'{}", rule.name, hint(name, known))
    };
    Error::invalid(codes::INVALID_NODE, message).at(child.at.clone())
}

/// `; did you mean 'x'?`, where a known word is near.
pub fn hint(word: &str, known: impl Iterator<Item = &'static str>) -> String {
    nearest(word, known).map(|n| format!("; did you mean '{n}'?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_child_has_a_rule() {
        for rule in ELEMENTS {
            for child in rule.children {
                assert!(ELEMENTS.iter().any(|r| r.name == *child), "{child} in {}", rule.name);
            }
        }
    }
}
