//! The condition operators of FetchXML: spelling, arguments, meaning. One row
//! each; those that are not offered are listed too and refused by name.

use super::vocabulary::hint;
use crate::error::{Error, Result, codes};
use crate::query::{Name, Operator};

/// How many values an operator takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arguments {
    None,
    One,
    Two,
    /// One or more.
    Many,
}

/// What an operator stands for.
#[derive(Clone, Copy, Debug)]
pub enum Meaning {
    Compare(Operator),
    /// A LIKE pattern: the value between these. Wildcards in the value stay live.
    Pattern {
        operator: Operator,
        before: &'static str,
        after: &'static str,
    },
    /// Not offered; the kind of operator it is.
    Refused(&'static str),
}

/// A condition operator.
#[derive(Debug)]
pub struct ConditionOperator {
    pub name: &'static str,
    pub arguments: Arguments,
    pub meaning: Meaning,
    /// Whether `valueof` may stand in place of a value.
    pub columns: bool,
}

const fn compare(name: &'static str, operator: Operator) -> ConditionOperator {
    let meaning = Meaning::Compare(operator);
    ConditionOperator { name, arguments: Arguments::One, meaning, columns: true }
}

const fn set(name: &'static str, arguments: Arguments, operator: Operator) -> ConditionOperator {
    ConditionOperator { name, arguments, meaning: Meaning::Compare(operator), columns: false }
}

const fn pattern(
    name: &'static str,
    operator: Operator,
    before: &'static str,
    after: &'static str,
) -> ConditionOperator {
    let meaning = Meaning::Pattern { operator, before, after };
    ConditionOperator { name, arguments: Arguments::One, meaning, columns: false }
}

const fn refused(
    kind: &'static str,
    name: &'static str,
    arguments: Arguments,
) -> ConditionOperator {
    ConditionOperator { name, arguments, meaning: Meaning::Refused(kind), columns: false }
}

const DATE: &str = "date";
const FISCAL: &str = "fiscal date";
const IDENTITY: &str = "identity";
const HIERARCHY: &str = "hierarchy";
const MULTI_SELECT: &str = "multi-select choice";

const OPERATORS: &[ConditionOperator] = &[
    compare("eq", Operator::Eq),
    compare("ne", Operator::Ne),
    compare("neq", Operator::Ne),
    compare("gt", Operator::Gt),
    compare("ge", Operator::Ge),
    compare("lt", Operator::Lt),
    compare("le", Operator::Le),
    set("between", Arguments::Two, Operator::Between),
    set("not-between", Arguments::Two, Operator::NotBetween),
    set("in", Arguments::Many, Operator::In),
    set("not-in", Arguments::Many, Operator::NotIn),
    set("null", Arguments::None, Operator::Null),
    set("not-null", Arguments::None, Operator::NotNull),
    pattern("like", Operator::Like, "", ""),
    pattern("not-like", Operator::NotLike, "", ""),
    pattern("begins-with", Operator::Like, "", "%"),
    pattern("not-begin-with", Operator::NotLike, "", "%"),
    pattern("ends-with", Operator::Like, "%", ""),
    pattern("not-end-with", Operator::NotLike, "%", ""),
    refused(MULTI_SELECT, "contain-values", Arguments::Many),
    refused(MULTI_SELECT, "not-contain-values", Arguments::Many),
    refused(IDENTITY, "eq-userid", Arguments::None),
    refused(IDENTITY, "ne-userid", Arguments::None),
    refused(IDENTITY, "eq-businessid", Arguments::None),
    refused(IDENTITY, "ne-businessid", Arguments::None),
    refused(IDENTITY, "eq-userteams", Arguments::None),
    refused(IDENTITY, "eq-useroruserteams", Arguments::None),
    refused(IDENTITY, "eq-useroruserhierarchy", Arguments::None),
    refused(IDENTITY, "eq-useroruserhierarchyandteams", Arguments::None),
    refused(IDENTITY, "eq-userlanguage", Arguments::None),
    refused(HIERARCHY, "above", Arguments::One),
    refused(HIERARCHY, "eq-or-above", Arguments::One),
    refused(HIERARCHY, "under", Arguments::One),
    refused(HIERARCHY, "eq-or-under", Arguments::One),
    refused(HIERARCHY, "not-under", Arguments::One),
    refused(DATE, "yesterday", Arguments::None),
    refused(DATE, "today", Arguments::None),
    refused(DATE, "tomorrow", Arguments::None),
    refused(DATE, "last-seven-days", Arguments::None),
    refused(DATE, "next-seven-days", Arguments::None),
    refused(DATE, "last-week", Arguments::None),
    refused(DATE, "this-week", Arguments::None),
    refused(DATE, "next-week", Arguments::None),
    refused(DATE, "last-month", Arguments::None),
    refused(DATE, "this-month", Arguments::None),
    refused(DATE, "next-month", Arguments::None),
    refused(DATE, "last-year", Arguments::None),
    refused(DATE, "this-year", Arguments::None),
    refused(DATE, "next-year", Arguments::None),
    refused(DATE, "last-x-hours", Arguments::One),
    refused(DATE, "next-x-hours", Arguments::One),
    refused(DATE, "last-x-days", Arguments::One),
    refused(DATE, "next-x-days", Arguments::One),
    refused(DATE, "last-x-weeks", Arguments::One),
    refused(DATE, "next-x-weeks", Arguments::One),
    refused(DATE, "last-x-months", Arguments::One),
    refused(DATE, "next-x-months", Arguments::One),
    refused(DATE, "last-x-years", Arguments::One),
    refused(DATE, "next-x-years", Arguments::One),
    refused(DATE, "olderthan-x-minutes", Arguments::One),
    refused(DATE, "olderthan-x-hours", Arguments::One),
    refused(DATE, "olderthan-x-days", Arguments::One),
    refused(DATE, "olderthan-x-weeks", Arguments::One),
    refused(DATE, "olderthan-x-months", Arguments::One),
    refused(DATE, "olderthan-x-years", Arguments::One),
    refused(DATE, "on", Arguments::One),
    refused(DATE, "on-or-after", Arguments::One),
    refused(DATE, "on-or-before", Arguments::One),
    refused(FISCAL, "this-fiscal-year", Arguments::None),
    refused(FISCAL, "last-fiscal-year", Arguments::None),
    refused(FISCAL, "next-fiscal-year", Arguments::None),
    refused(FISCAL, "this-fiscal-period", Arguments::None),
    refused(FISCAL, "last-fiscal-period", Arguments::None),
    refused(FISCAL, "next-fiscal-period", Arguments::None),
    refused(FISCAL, "last-x-fiscal-years", Arguments::One),
    refused(FISCAL, "next-x-fiscal-years", Arguments::One),
    refused(FISCAL, "last-x-fiscal-periods", Arguments::One),
    refused(FISCAL, "next-x-fiscal-periods", Arguments::One),
    refused(FISCAL, "in-fiscal-year", Arguments::One),
    refused(FISCAL, "in-fiscal-period", Arguments::One),
    refused(FISCAL, "in-fiscal-period-and-year", Arguments::Two),
    refused(FISCAL, "in-or-before-fiscal-period-and-year", Arguments::Two),
    refused(FISCAL, "in-or-after-fiscal-period-and-year", Arguments::Two),
];

/// The operator of a condition, by its spelling.
pub fn find(name: &Name) -> Result<&'static ConditionOperator> {
    let Some(operator) = OPERATORS.iter().find(|o| o.name == name.text) else {
        let hint = hint(&name.text, OPERATORS.iter().map(|o| o.name));
        let message = format!("there is no condition operator '{}'{hint}", name.text);
        return Err(Error::invalid(codes::UNKNOWN_OPERATOR, message).at(name.at.clone()));
    };
    if let Meaning::Refused(kind) = operator.meaning {
        let message = format!("the {kind} operator '{}' is not supported", operator.name);
        return Err(Error::unsupported(message).at(name.at.clone()));
    }
    Ok(operator)
}
