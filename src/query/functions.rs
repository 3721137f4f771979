//! The functions and operators of OData expressions that Dataverse itself does
//! not have: spelling, arguments. One row each.

/// A function of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    Add,
    Sub,
    Mul,
    /// Whole numbers give a whole number.
    Div,
    /// Whole numbers give a fraction where there is one.
    DivBy,
    Mod,
    Negate,
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
    /// The first argument equals one of the others.
    In,
    And,
    Or,
    Not,
    Concat,
    Contains,
    StartsWith,
    EndsWith,
    MatchesPattern,
    Length,
    IndexOf,
    Substring,
    ToLower,
    ToUpper,
    Trim,
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    FractionalSeconds,
    TotalOffsetMinutes,
    Date,
    Time,
    Now,
    MinDateTime,
    MaxDateTime,
    Round,
    Floor,
    Ceiling,
}

/// How a function is written.
#[derive(Clone, Copy, Debug)]
pub struct Spelling {
    pub function: Function,
    pub name: &'static str,
    /// The least and the greatest number of arguments.
    pub arguments: (usize, usize),
}

const fn call(function: Function, name: &'static str, least: usize, greatest: usize) -> Spelling {
    Spelling { function, name, arguments: (least, greatest) }
}

/// The functions that are written `name(argument,…)`.
pub const CALLS: &[Spelling] = &[
    call(Function::Concat, "concat", 2, 2),
    call(Function::Contains, "contains", 2, 2),
    call(Function::StartsWith, "startswith", 2, 2),
    call(Function::EndsWith, "endswith", 2, 2),
    call(Function::MatchesPattern, "matchesPattern", 2, 2),
    call(Function::Length, "length", 1, 1),
    call(Function::IndexOf, "indexof", 2, 2),
    call(Function::Substring, "substring", 2, 3),
    call(Function::ToLower, "tolower", 1, 1),
    call(Function::ToUpper, "toupper", 1, 1),
    call(Function::Trim, "trim", 1, 1),
    call(Function::Year, "year", 1, 1),
    call(Function::Month, "month", 1, 1),
    call(Function::Day, "day", 1, 1),
    call(Function::Hour, "hour", 1, 1),
    call(Function::Minute, "minute", 1, 1),
    call(Function::Second, "second", 1, 1),
    call(Function::FractionalSeconds, "fractionalseconds", 1, 1),
    call(Function::TotalOffsetMinutes, "totaloffsetminutes", 1, 1),
    call(Function::Date, "date", 1, 1),
    call(Function::Time, "time", 1, 1),
    call(Function::Now, "now", 0, 0),
    call(Function::MinDateTime, "mindatetime", 0, 0),
    call(Function::MaxDateTime, "maxdatetime", 0, 0),
    call(Function::Round, "round", 1, 1),
    call(Function::Floor, "floor", 1, 1),
    call(Function::Ceiling, "ceiling", 1, 1),
];

/// The operators that are written between two values.
pub const ARITHMETIC: &[Spelling] = &[
    call(Function::Add, "add", 2, 2),
    call(Function::Sub, "sub", 2, 2),
    call(Function::Mul, "mul", 2, 2),
    call(Function::Div, "div", 2, 2),
    call(Function::DivBy, "divby", 2, 2),
    call(Function::Mod, "mod", 2, 2),
];
