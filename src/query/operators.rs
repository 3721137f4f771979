//! The condition operators of Dataverse: spelling in FetchXML and as a query
//! function of the Web API, arguments, meaning. One row each.

/// How many values an operator takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arguments {
    None,
    One,
    Two,
    /// One or more.
    Many,
}

/// Comparison operators. Negative ones keep null rows, as Dataverse does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
    /// Operand: a LIKE pattern with `%`, `_`, `[abc]`, `[^abc]`.
    Like,
    NotLike,
    In,
    NotIn,
    /// Both ends included.
    Between,
    NotBetween,
    Null,
    NotNull,
}

impl Operator {
    /// The operator that says the same with its sides exchanged.
    #[must_use]
    pub fn flipped(self) -> Self {
        match self {
            Self::Gt => Self::Lt,
            Self::Ge => Self::Le,
            Self::Lt => Self::Gt,
            Self::Le => Self::Ge,
            same => same,
        }
    }
}

/// What a condition tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    Compare(Operator),
    /// A time lies in a range that the clock, the caller's time zone and the
    /// organization's calendar decide.
    Dates(Dates),
    Caller(Caller),
    Hierarchy(Hierarchy),
    /// A multi-select choice has one of the values; negated: none of them.
    Values {
        negated: bool,
    },
}

/// Date operators; times are half-open ranges in the caller's time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dates {
    /// The unit that holds the current time (0), one before (-1) or after (1).
    Unit {
        unit: Unit,
        offset: i32,
    },
    /// From so many units ago to now; the number is the operand where none is set.
    Last {
        unit: Unit,
        count: Option<u32>,
    },
    Next {
        unit: Unit,
        count: Option<u32>,
    },
    OlderThan(Unit),
    On,
    OnOrAfter,
    OnOrBefore,
    InFiscalYear,
    InFiscalPeriod,
    /// Operands: period, year.
    InFiscalPeriodAndYear,
    InOrBeforeFiscalPeriodAndYear,
    InOrAfterFiscalPeriodAndYear,
}

/// A unit of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
    FiscalPeriod,
    FiscalYear,
}

/// Operators about the calling user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    IsUser,
    IsNotUser,
    IsBusinessUnit,
    IsNotBusinessUnit,
    InTeams,
    IsUserOrInTeams,
    /// The caller and those below in the hierarchy.
    InHierarchy,
    /// And the teams of all of them.
    InHierarchyOrTeams,
    /// A language code is the caller's, or -1.
    IsLanguage,
}

/// Operators about a row's place in the hierarchy of its table. Operand: a row's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hierarchy {
    Above,
    AboveOrEqual,
    Under,
    UnderOrEqual,
    NotUnder,
}

/// What an operator's spelling stands for.
#[derive(Clone, Copy, Debug)]
pub enum Meaning {
    Test(Test),
    /// A LIKE pattern: the value between these. Wildcards in the value stay live.
    Pattern {
        operator: Operator,
        before: &'static str,
        after: &'static str,
    },
}

/// A condition operator.
#[derive(Debug)]
pub struct ConditionOperator {
    /// As FetchXML spells it.
    pub name: &'static str,
    /// The Web API's query function, without namespace.
    pub query_function: Option<&'static str>,
    pub arguments: Arguments,
    pub meaning: Meaning,
    /// Whether `valueof` may stand in place of a value.
    pub columns: bool,
}

const fn compare(name: &'static str, operator: Operator) -> ConditionOperator {
    ConditionOperator {
        name,
        query_function: None,
        arguments: Arguments::One,
        meaning: Meaning::Test(Test::Compare(operator)),
        columns: true,
    }
}

const fn set(
    name: &'static str,
    query_function: Option<&'static str>,
    arguments: Arguments,
    operator: Operator,
) -> ConditionOperator {
    let meaning = Meaning::Test(Test::Compare(operator));
    ConditionOperator { name, query_function, arguments, meaning, columns: false }
}

const fn pattern(
    name: &'static str,
    operator: Operator,
    before: &'static str,
    after: &'static str,
) -> ConditionOperator {
    let meaning = Meaning::Pattern { operator, before, after };
    ConditionOperator {
        name,
        query_function: None,
        arguments: Arguments::One,
        meaning,
        columns: false,
    }
}

const fn named(
    name: &'static str,
    query_function: &'static str,
    arguments: Arguments,
    test: Test,
) -> ConditionOperator {
    let meaning = Meaning::Test(test);
    let query_function = Some(query_function);
    ConditionOperator { name, query_function, arguments, meaning, columns: false }
}

/// All condition operators.
pub const OPERATORS: &[ConditionOperator] = &[
    compare("eq", Operator::Eq),
    compare("ne", Operator::Ne),
    compare("neq", Operator::Ne),
    compare("gt", Operator::Gt),
    compare("ge", Operator::Ge),
    compare("lt", Operator::Lt),
    compare("le", Operator::Le),
    set("between", Some("Between"), Arguments::Two, Operator::Between),
    set("not-between", Some("NotBetween"), Arguments::Two, Operator::NotBetween),
    set("in", Some("In"), Arguments::Many, Operator::In),
    set("not-in", Some("NotIn"), Arguments::Many, Operator::NotIn),
    set("null", None, Arguments::None, Operator::Null),
    set("not-null", None, Arguments::None, Operator::NotNull),
    pattern("like", Operator::Like, "", ""),
    pattern("not-like", Operator::NotLike, "", ""),
    pattern("begins-with", Operator::Like, "", "%"),
    pattern("not-begin-with", Operator::NotLike, "", "%"),
    pattern("ends-with", Operator::Like, "%", ""),
    pattern("not-end-with", Operator::NotLike, "%", ""),
    named("contain-values", "ContainValues", Arguments::Many, Test::Values { negated: false }),
    named(
        "not-contain-values",
        "DoesNotContainValues",
        Arguments::Many,
        Test::Values { negated: true },
    ),
    named("eq-userid", "EqualUserId", Arguments::None, Test::Caller(Caller::IsUser)),
    named("ne-userid", "NotEqualUserId", Arguments::None, Test::Caller(Caller::IsNotUser)),
    named(
        "eq-businessid",
        "EqualBusinessId",
        Arguments::None,
        Test::Caller(Caller::IsBusinessUnit),
    ),
    named(
        "ne-businessid",
        "NotEqualBusinessId",
        Arguments::None,
        Test::Caller(Caller::IsNotBusinessUnit),
    ),
    named("eq-userteams", "EqualUserTeams", Arguments::None, Test::Caller(Caller::InTeams)),
    named(
        "eq-useroruserteams",
        "EqualUserOrUserTeams",
        Arguments::None,
        Test::Caller(Caller::IsUserOrInTeams),
    ),
    named(
        "eq-useroruserhierarchy",
        "EqualUserOrUserHierarchy",
        Arguments::None,
        Test::Caller(Caller::InHierarchy),
    ),
    named(
        "eq-useroruserhierarchyandteams",
        "EqualUserOrUserHierarchyAndTeams",
        Arguments::None,
        Test::Caller(Caller::InHierarchyOrTeams),
    ),
    named(
        "eq-userlanguage",
        "EqualUserLanguage",
        Arguments::None,
        Test::Caller(Caller::IsLanguage),
    ),
    named("above", "Above", Arguments::One, Test::Hierarchy(Hierarchy::Above)),
    named("eq-or-above", "AboveOrEqual", Arguments::One, Test::Hierarchy(Hierarchy::AboveOrEqual)),
    named("under", "Under", Arguments::One, Test::Hierarchy(Hierarchy::Under)),
    named("eq-or-under", "UnderOrEqual", Arguments::One, Test::Hierarchy(Hierarchy::UnderOrEqual)),
    named("not-under", "NotUnder", Arguments::One, Test::Hierarchy(Hierarchy::NotUnder)),
    named(
        "yesterday",
        "Yesterday",
        Arguments::None,
        Test::Dates(Dates::Unit { unit: Unit::Day, offset: -1 }),
    ),
    named(
        "today",
        "Today",
        Arguments::None,
        Test::Dates(Dates::Unit { unit: Unit::Day, offset: 0 }),
    ),
    named(
        "tomorrow",
        "Tomorrow",
        Arguments::None,
        Test::Dates(Dates::Unit { unit: Unit::Day, offset: 1 }),
    ),
    named(
        "last-seven-days",
        "Last7Days",
        Arguments::None,
        Test::Dates(Dates::Last { unit: Unit::Day, count: Some(7) }),
    ),
    named(
        "next-seven-days",
        "Next7Days",
        Arguments::None,
        Test::Dates(Dates::Next { unit: Unit::Day, count: Some(7) }),
    ),
    named(
        "last-week",
        "LastWeek",
        Arguments::None,
        Test::Dates(Dates::Unit { unit: Unit::Week, offset: -1 }),
    ),
    named(
        "this-week",
        "ThisWeek",
        Arguments::None,
        Test::Dates(Dates::Unit { unit: Unit::Week, offset: 0 }),
    ),
    named(
        "next-week",
        "NextWeek",
        Arguments::None,
        Test::Dates(Dates::Unit { unit: Unit::Week, offset: 1 }),
    ),
    named(
        "last-month",
        "LastMonth",
        Arguments::None,
        Test::Dates(Dates::Unit { unit: Unit::Month, offset: -1 }),
    ),
    named(
        "this-month",
        "ThisMonth",
        Arguments::None,
        Test::Dates(Dates::Unit { unit: Unit::Month, offset: 0 }),
    ),
    named(
        "next-month",
        "NextMonth",
        Arguments::None,
        Test::Dates(Dates::Unit { unit: Unit::Month, offset: 1 }),
    ),
    named(
        "last-year",
        "LastYear",
        Arguments::None,
        Test::Dates(Dates::Unit { unit: Unit::Year, offset: -1 }),
    ),
    named(
        "this-year",
        "ThisYear",
        Arguments::None,
        Test::Dates(Dates::Unit { unit: Unit::Year, offset: 0 }),
    ),
    named(
        "next-year",
        "NextYear",
        Arguments::None,
        Test::Dates(Dates::Unit { unit: Unit::Year, offset: 1 }),
    ),
    named(
        "last-x-hours",
        "LastXHours",
        Arguments::One,
        Test::Dates(Dates::Last { unit: Unit::Hour, count: None }),
    ),
    named(
        "next-x-hours",
        "NextXHours",
        Arguments::One,
        Test::Dates(Dates::Next { unit: Unit::Hour, count: None }),
    ),
    named(
        "last-x-days",
        "LastXDays",
        Arguments::One,
        Test::Dates(Dates::Last { unit: Unit::Day, count: None }),
    ),
    named(
        "next-x-days",
        "NextXDays",
        Arguments::One,
        Test::Dates(Dates::Next { unit: Unit::Day, count: None }),
    ),
    named(
        "last-x-weeks",
        "LastXWeeks",
        Arguments::One,
        Test::Dates(Dates::Last { unit: Unit::Week, count: None }),
    ),
    named(
        "next-x-weeks",
        "NextXWeeks",
        Arguments::One,
        Test::Dates(Dates::Next { unit: Unit::Week, count: None }),
    ),
    named(
        "last-x-months",
        "LastXMonths",
        Arguments::One,
        Test::Dates(Dates::Last { unit: Unit::Month, count: None }),
    ),
    named(
        "next-x-months",
        "NextXMonths",
        Arguments::One,
        Test::Dates(Dates::Next { unit: Unit::Month, count: None }),
    ),
    named(
        "last-x-years",
        "LastXYears",
        Arguments::One,
        Test::Dates(Dates::Last { unit: Unit::Year, count: None }),
    ),
    named(
        "next-x-years",
        "NextXYears",
        Arguments::One,
        Test::Dates(Dates::Next { unit: Unit::Year, count: None }),
    ),
    named(
        "olderthan-x-minutes",
        "OlderThanXMinutes",
        Arguments::One,
        Test::Dates(Dates::OlderThan(Unit::Minute)),
    ),
    named(
        "olderthan-x-hours",
        "OlderThanXHours",
        Arguments::One,
        Test::Dates(Dates::OlderThan(Unit::Hour)),
    ),
    named(
        "olderthan-x-days",
        "OlderThanXDays",
        Arguments::One,
        Test::Dates(Dates::OlderThan(Unit::Day)),
    ),
    named(
        "olderthan-x-weeks",
        "OlderThanXWeeks",
        Arguments::One,
        Test::Dates(Dates::OlderThan(Unit::Week)),
    ),
    named(
        "olderthan-x-months",
        "OlderThanXMonths",
        Arguments::One,
        Test::Dates(Dates::OlderThan(Unit::Month)),
    ),
    named(
        "olderthan-x-years",
        "OlderThanXYears",
        Arguments::One,
        Test::Dates(Dates::OlderThan(Unit::Year)),
    ),
    named("on", "On", Arguments::One, Test::Dates(Dates::On)),
    named("on-or-after", "OnOrAfter", Arguments::One, Test::Dates(Dates::OnOrAfter)),
    named("on-or-before", "OnOrBefore", Arguments::One, Test::Dates(Dates::OnOrBefore)),
    named(
        "this-fiscal-year",
        "ThisFiscalYear",
        Arguments::None,
        Test::Dates(Dates::Unit { unit: Unit::FiscalYear, offset: 0 }),
    ),
    named(
        "last-fiscal-year",
        "LastFiscalYear",
        Arguments::None,
        Test::Dates(Dates::Unit { unit: Unit::FiscalYear, offset: -1 }),
    ),
    named(
        "next-fiscal-year",
        "NextFiscalYear",
        Arguments::None,
        Test::Dates(Dates::Unit { unit: Unit::FiscalYear, offset: 1 }),
    ),
    named(
        "this-fiscal-period",
        "ThisFiscalPeriod",
        Arguments::None,
        Test::Dates(Dates::Unit { unit: Unit::FiscalPeriod, offset: 0 }),
    ),
    named(
        "last-fiscal-period",
        "LastFiscalPeriod",
        Arguments::None,
        Test::Dates(Dates::Unit { unit: Unit::FiscalPeriod, offset: -1 }),
    ),
    named(
        "next-fiscal-period",
        "NextFiscalPeriod",
        Arguments::None,
        Test::Dates(Dates::Unit { unit: Unit::FiscalPeriod, offset: 1 }),
    ),
    named(
        "last-x-fiscal-years",
        "LastXFiscalYears",
        Arguments::One,
        Test::Dates(Dates::Last { unit: Unit::FiscalYear, count: None }),
    ),
    named(
        "next-x-fiscal-years",
        "NextXFiscalYears",
        Arguments::One,
        Test::Dates(Dates::Next { unit: Unit::FiscalYear, count: None }),
    ),
    named(
        "last-x-fiscal-periods",
        "LastXFiscalPeriods",
        Arguments::One,
        Test::Dates(Dates::Last { unit: Unit::FiscalPeriod, count: None }),
    ),
    named(
        "next-x-fiscal-periods",
        "NextXFiscalPeriods",
        Arguments::One,
        Test::Dates(Dates::Next { unit: Unit::FiscalPeriod, count: None }),
    ),
    named("in-fiscal-year", "InFiscalYear", Arguments::One, Test::Dates(Dates::InFiscalYear)),
    named("in-fiscal-period", "InFiscalPeriod", Arguments::One, Test::Dates(Dates::InFiscalPeriod)),
    named(
        "in-fiscal-period-and-year",
        "InFiscalPeriodAndYear",
        Arguments::Two,
        Test::Dates(Dates::InFiscalPeriodAndYear),
    ),
    named(
        "in-or-before-fiscal-period-and-year",
        "InOrBeforeFiscalPeriodAndYear",
        Arguments::Two,
        Test::Dates(Dates::InOrBeforeFiscalPeriodAndYear),
    ),
    named(
        "in-or-after-fiscal-period-and-year",
        "InOrAfterFiscalPeriodAndYear",
        Arguments::Two,
        Test::Dates(Dates::InOrAfterFiscalPeriodAndYear),
    ),
];

/// The operator that a query function of the Web API stands for, by its name
/// without namespace.
pub fn query_function(name: &str) -> Option<&'static ConditionOperator> {
    OPERATORS.iter().find(|operator| operator.query_function == Some(name))
}

impl Test {
    /// The first operator that makes this test.
    pub fn operator(self) -> Option<&'static ConditionOperator> {
        let makes = |meaning: &Meaning| match meaning {
            Meaning::Test(test) => *test == self,
            Meaning::Pattern { .. } => false,
        };
        OPERATORS.iter().find(|operator| makes(&operator.meaning))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_name_stands_twice() {
        let names: HashSet<_> = OPERATORS.iter().map(|o| o.name).collect();
        assert_eq!(names.len(), OPERATORS.len());
        let functions: Vec<_> = OPERATORS.iter().filter_map(|o| o.query_function).collect();
        assert_eq!(functions.iter().collect::<HashSet<_>>().len(), functions.len());
        for name in functions {
            assert_eq!(query_function(name).and_then(|o| o.query_function), Some(name));
        }
        assert!(query_function("Contains").is_none() && query_function("today").is_none());
    }

    #[test]
    fn tests_that_are_not_comparisons_have_one_operator_each() {
        for operator in OPERATORS {
            if let Meaning::Test(test) = operator.meaning
                && !matches!(test, Test::Compare(_))
            {
                assert_eq!(test.operator().map(|o| o.name), Some(operator.name));
            }
        }
    }
}
