//! The names of functions and operators that OData or Dataverse define, so that
//! one that is not offered is refused as what it is and a misspelt one gets the
//! nearest right name.

use crate::catalog::nearest;

/// What query functions are qualified with.
pub(super) const NAMESPACE: &str = "Microsoft.Dynamics.CRM.";

/// The text functions that Dataverse offers in `$filter`.
pub(super) const TEXT: [&str; 3] = ["contains", "startswith", "endswith"];

/// Functions of OData 4.01 that Dataverse does not offer.
const REFUSED: &[&str] = &[
    "cast",
    "ceiling",
    "concat",
    "date",
    "day",
    "floor",
    "fractionalseconds",
    "hour",
    "indexof",
    "isof",
    "length",
    "matchesPattern",
    "maxdatetime",
    "mindatetime",
    "minute",
    "month",
    "now",
    "round",
    "second",
    "substring",
    "substringof",
    "time",
    "tolower",
    "totaloffsetminutes",
    "totalseconds",
    "toupper",
    "trim",
    "year",
    "case",
    "hassubset",
];

/// Dataverse query functions by name without the namespace.
const QUERY: &[&str] = &[
    "Above",
    "AboveOrEqual",
    "Between",
    "Contains",
    "ContainValues",
    "DoesNotContainValues",
    "EqualBusinessId",
    "EqualUserId",
    "EqualUserLanguage",
    "EqualUserOrUserHierarchy",
    "EqualUserOrUserHierarchyAndTeams",
    "EqualUserOrUserTeams",
    "EqualUserTeams",
    "In",
    "InFiscalPeriod",
    "InFiscalPeriodAndYear",
    "InFiscalYear",
    "InOrAfterFiscalPeriodAndYear",
    "InOrBeforeFiscalPeriodAndYear",
    "Last7Days",
    "LastFiscalPeriod",
    "LastFiscalYear",
    "LastMonth",
    "LastWeek",
    "LastXDays",
    "LastXFiscalPeriods",
    "LastXFiscalYears",
    "LastXHours",
    "LastXMonths",
    "LastXWeeks",
    "LastXYears",
    "LastYear",
    "Next7Days",
    "NextFiscalPeriod",
    "NextFiscalYear",
    "NextMonth",
    "NextWeek",
    "NextXDays",
    "NextXFiscalPeriods",
    "NextXFiscalYears",
    "NextXHours",
    "NextXMonths",
    "NextXWeeks",
    "NextXYears",
    "NextYear",
    "NotBetween",
    "NotEqualBusinessId",
    "NotEqualUserId",
    "NotIn",
    "NotUnder",
    "OlderThanXDays",
    "OlderThanXHours",
    "OlderThanXMinutes",
    "OlderThanXMonths",
    "OlderThanXWeeks",
    "OlderThanXYears",
    "On",
    "OnOrAfter",
    "OnOrBefore",
    "ThisFiscalPeriod",
    "ThisFiscalYear",
    "ThisMonth",
    "ThisWeek",
    "ThisYear",
    "Today",
    "Tomorrow",
    "Under",
    "UnderOrEqual",
    "Yesterday",
];

/// A function of OData itself.
pub(super) fn is_built_in(name: &str) -> bool {
    TEXT.contains(&name) || REFUSED.contains(&name)
}

/// A Dataverse query function with its namespace.
pub(super) fn is_query_function(name: &str) -> bool {
    name.strip_prefix(NAMESPACE).is_some_and(|short| QUERY.contains(&short))
}

/// The right name nearest to a misspelt function.
pub(super) fn nearest_function(name: &str) -> Option<String> {
    // A query function without its namespace is meant as one with it.
    let short = name.rsplit('.').next().unwrap_or(name);
    let text = nearest(name, TEXT.into_iter()).map(str::to_owned);
    text.or_else(|| nearest(short, QUERY.iter().copied()).map(|n| format!("{NAMESPACE}{n}")))
}
