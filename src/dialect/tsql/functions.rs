//! T-SQL's functions by name: which exist, how many arguments they take, and
//! the call that the planner sees instead.
//!
//! Names not listed here go through as they are, if the engine has them.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use datafusion::execution::SessionStateDefaults;
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident,
    ObjectName, Value,
};

use crate::engine::functions as engine;

/// What becomes of a call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rule {
    /// The same arguments under this name.
    Call(&'static str),
    /// The first argument is a date part, a bare word.
    Part(&'static str),
    /// `STRING_AGG … WITHIN GROUP (ORDER BY …)`.
    StringAgg,
    /// `PERCENTILE_CONT`: an aggregate here, a window function in T-SQL.
    Percentile,
    /// An expression of the arguments.
    Scalar(Scalar),
}

/// Scalar functions that become another expression.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scalar {
    /// `YEAR(x)` as `datepart('year', x)`.
    Datepart(&'static str),
    /// `IIF(c, a, b)` as `CASE`.
    Iif,
    /// `CHOOSE(i, …)` as `CASE`.
    Choose,
    /// `LEN(x)`: characters without the spaces at the end.
    Len,
    /// `LOG(x[, base])`: the engine wants the base first.
    Log,
    /// `ROUND(x[, n[, truncate]])`; PostgreSQL leaves `n` out.
    Round,
}

/// A function of T-SQL.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub name: &'static str,
    pub least: usize,
    pub most: usize,
    pub rule: Rule,
}

const fn known(name: &'static str, least: usize, most: usize, rule: Rule) -> Known {
    Known { name, least, most, rule }
}

const MANY: usize = usize::MAX;

static KNOWN: &[Known] = &[
    known("approx_count_distinct", 1, 1, Rule::Call("approx_distinct")),
    known("atn2", 2, 2, Rule::Call("atan2")),
    known("ceiling", 1, 1, Rule::Call("ceil")),
    known("char", 1, 1, Rule::Call("chr")),
    known("charindex", 2, 3, Rule::Call("charindex")),
    known("checksum_agg", 1, 1, Rule::Call("bit_xor")),
    known("choose", 2, MANY, Rule::Scalar(Scalar::Choose)),
    known("count_big", 1, 1, Rule::Call("count")),
    known("current_timestamp", 0, 0, Rule::Call("getdate")),
    known("dateadd", 3, 3, Rule::Part("dateadd")),
    known("datediff", 3, 3, Rule::Part("datediff")),
    known("datediff_big", 3, 3, Rule::Part("datediff_big")),
    known("datename", 2, 2, Rule::Part("datename")),
    known("datepart", 2, 2, Rule::Part("datepart")),
    known("datetrunc", 2, 2, Rule::Part("datetrunc")),
    known("day", 1, 1, Rule::Scalar(Scalar::Datepart("day"))),
    known("eomonth", 1, 2, Rule::Call("eomonth")),
    known("getdate", 0, 0, Rule::Call("getdate")),
    known("getutcdate", 0, 0, Rule::Call("getdate")),
    known("iif", 3, 3, Rule::Scalar(Scalar::Iif)),
    known("isnull", 2, 2, Rule::Call("isnull")),
    known("left", 2, 2, Rule::Call("sql_left")),
    known("len", 1, 1, Rule::Scalar(Scalar::Len)),
    known("log", 1, 2, Rule::Scalar(Scalar::Log)),
    known("month", 1, 1, Rule::Scalar(Scalar::Datepart("month"))),
    known("nchar", 1, 1, Rule::Call("chr")),
    known("percentile_cont", 1, 1, Rule::Percentile),
    known("percentile_disc", 1, 1, Rule::Percentile),
    known("approx_percentile_cont", 1, 1, Rule::Percentile),
    known("approx_percentile_disc", 1, 1, Rule::Percentile),
    known("grouping_id", 1, MANY, Rule::Call("grouping")),
    known("replace", 3, 3, Rule::Call("sql_replace")),
    known("replicate", 2, 2, Rule::Call("repeat")),
    known("right", 2, 2, Rule::Call("sql_right")),
    known("round", 1, 3, Rule::Scalar(Scalar::Round)),
    known("sign", 1, 1, Rule::Call("signum")),
    known("stdev", 1, 1, Rule::Call("stddev")),
    known("stdevp", 1, 1, Rule::Call("stddev_pop")),
    known("string_agg", 2, 2, Rule::StringAgg),
    known("sysdatetime", 0, 0, Rule::Call("getdate")),
    known("sysutcdatetime", 0, 0, Rule::Call("getdate")),
    known("var", 1, 1, Rule::Call("var_samp")),
    known("varp", 1, 1, Rule::Call("var_pop")),
    known("year", 1, 1, Rule::Scalar(Scalar::Datepart("year"))),
];

/// Functions of T-SQL that are not offered, so that they are not called unknown.
const MISSING: &[&str] = &[
    "ASCII",
    "BINARY_CHECKSUM",
    "CHECKSUM",
    "CONTAINS",
    "DATALENGTH",
    "DATE_BUCKET",
    "DATEFROMPARTS",
    "DATETIME2FROMPARTS",
    "DATETIMEFROMPARTS",
    "DB_ID",
    "DB_NAME",
    "DIFFERENCE",
    "ERROR_MESSAGE",
    "ERROR_NUMBER",
    "FORMAT",
    "FORMATMESSAGE",
    "FREETEXT",
    "HASHBYTES",
    "HOST_NAME",
    "ISDATE",
    "ISJSON",
    "ISNUMERIC",
    "JSON_QUERY",
    "JSON_VALUE",
    "NEWID",
    "NEWSEQUENTIALID",
    "OBJECT_ID",
    "OBJECT_NAME",
    "ORIGINAL_LOGIN",
    "PATINDEX",
    "QUOTENAME",
    "RAND",
    "ROWCOUNT_BIG",
    "SCHEMA_NAME",
    "SERVERPROPERTY",
    "SOUNDEX",
    "SPACE",
    "SQUARE",
    "STR",
    "STRING_SPLIT",
    "STUFF",
    "SUSER_NAME",
    "SUSER_SNAME",
    "SWITCHOFFSET",
    "SYSDATETIMEOFFSET",
    "TODATETIMEOFFSET",
    "TRY_PARSE",
    "UNICODE",
    "USER_NAME",
];

/// Names of the engine's own functions.
static ENGINE: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let scalar = SessionStateDefaults::default_scalar_functions();
    let aggregate = SessionStateDefaults::default_aggregate_functions();
    let window = SessionStateDefaults::default_window_functions();
    let own = engine::all();
    let mut names = BTreeSet::new();
    for function in scalar.iter().chain(&own) {
        names.insert(function.name().to_owned());
        names.extend(function.aliases().iter().cloned());
    }
    for function in &aggregate {
        names.insert(function.name().to_owned());
        names.extend(function.aliases().iter().cloned());
    }
    for function in &window {
        names.insert(function.name().to_owned());
        names.extend(function.aliases().iter().cloned());
    }
    names
});

/// T-SQL's function of this name, in lower case.
pub(super) fn lookup(name: &str) -> Option<Known> {
    KNOWN.iter().find(|known| known.name == name).copied()
}

/// Whether the engine has a function of this name, in lower case.
pub(super) fn in_engine(name: &str) -> bool {
    ENGINE.contains(name)
}

/// Whether T-SQL has the function and it is not offered here.
pub(super) fn is_missing(name: &str) -> bool {
    MISSING.iter().any(|missing| missing.eq_ignore_ascii_case(name))
}

/// The function name nearest to a misspelt one.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let offered = KNOWN.iter().map(|known| known.name);
    crate::catalog::nearest(name, offered.chain(ENGINE.iter().map(String::as_str)))
}

/// A call of a scalar function.
pub(super) fn call(name: &str, args: Vec<Expr>) -> Expr {
    let args = args.into_iter().map(|e| FunctionArg::Unnamed(FunctionArgExpr::Expr(e))).collect();
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args,
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// A text literal.
pub(super) fn text(value: &str) -> Expr {
    Expr::value(Value::SingleQuotedString(value.to_owned()))
}

/// `SUBSTRING(s, from, for)`, which parses as an expression of its own.
pub(super) fn substring(expr: &mut Expr) {
    if let Expr::Substring { expr: inner, substring_from, substring_for, .. } = expr {
        let one = || Box::new(Expr::value(Value::Number("1".into(), false)));
        let inner = std::mem::replace(inner.as_mut(), Expr::value(Value::Null));
        let mut args = vec![inner, *substring_from.take().unwrap_or_else(one)];
        args.extend(substring_for.take().map(|e| *e));
        *expr = call("sql_substring", args);
    }
}

/// Whether a resolved call is known to give text.
pub(super) fn returns_text(function: &Function) -> bool {
    const TEXT: &[&str] = &[
        "btrim",
        "chr",
        "concat",
        "concat_ws",
        "datename",
        "lower",
        "ltrim",
        "repeat",
        "reverse",
        "rtrim",
        "sql_left",
        "sql_replace",
        "sql_right",
        "sql_substring",
        "sql_table_name",
        "sql_text",
        "string_agg",
        "trim",
        "upper",
    ];
    match function.name.0.as_slice() {
        [part] => part.as_ident().is_some_and(|name| TEXT.contains(&name.value.as_str())),
        _ => false,
    }
}
