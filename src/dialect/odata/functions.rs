//! The names of functions that OData or Dataverse define, so that one that is not
//! offered is refused as what it is and a misspelt one gets the nearest right name.

use crate::catalog::nearest;
use crate::query::functions::{CALLS, Spelling};
use crate::query::operators::{ConditionOperator, OPERATORS, query_function};

/// What query functions are qualified with.
pub(super) const NAMESPACE: &str = "Microsoft.Dynamics.CRM.";

/// Functions of OData that are not offered.
const REFUSED: &[&str] = &[
    "case",
    "cast",
    "geo.distance",
    "geo.intersects",
    "geo.length",
    "hassubset",
    "hassubsequence",
    "isof",
    "substringof",
    "totalseconds",
];

/// A function that is written `name(argument,…)`.
pub(super) fn call(name: &str) -> Option<&'static Spelling> {
    CALLS.iter().find(|spelling| spelling.name == name)
}

/// A Dataverse query function by its name with namespace.
pub(super) fn operator(name: &str) -> Option<&'static ConditionOperator> {
    name.strip_prefix(NAMESPACE).and_then(query_function)
}

/// A function of OData that is not offered.
pub(super) fn is_refused(name: &str) -> bool {
    REFUSED.contains(&name)
}

/// Any function of OData or Dataverse.
pub(super) fn is_known(name: &str) -> bool {
    is_refused(name) || call(name).is_some() || operator(name).is_some()
}

/// The right name nearest to a misspelt function.
pub(super) fn nearest_function(name: &str) -> Option<String> {
    // A query function without its namespace is meant as one with it.
    let short = name.rsplit('.').next().unwrap_or(name);
    let call = nearest(name, CALLS.iter().map(|spelling| spelling.name)).map(str::to_owned);
    let names = OPERATORS.iter().filter_map(|operator| operator.query_function);
    call.or_else(|| nearest(short, names).map(|near| format!("{NAMESPACE}{near}")))
}
