//! T-SQL's functions by name: which exist, how many arguments they take, and
//! the call that the planner sees instead.
//!
//! Names not listed here go through as they are, if the engine has them.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use datafusion::execution::SessionStateDefaults;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CharacterLength, DataType, DateTimeField, Expr, Function, FunctionArg,
    FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, ObjectName, TrimWhereField,
    Value,
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
    /// The same arguments under this name, and the answer as an `int`, which the
    /// engine has wider.
    Int(&'static str),
    /// `CHECKSUM_AGG(x)`: of an `int`, whatever it is given.
    ChecksumAgg,
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
    /// `LOG(x[, base])`.
    Log,
    /// `RAND([seed])`.
    Rand,
    /// `DATALENGTH(x)`, which has to know how many bytes a character takes.
    Datalength,
    /// `HASHBYTES(algorithm, x)`, for the same reason.
    Hashbytes,
    /// `REPLICATE(x, n)`, which has to know how long its result may be.
    Replicate,
    /// `SYSDATETIMEOFFSET()`: the time with its offset, which is none.
    NowWithOffset,
    /// PostgreSQL's `age(x)`: since today's midnight.
    Age,
    /// PostgreSQL's `timezone(zone, time)`.
    Timezone,
    /// PostgreSQL's `to_timestamp(seconds)` and `to_timestamp(text, template)`.
    ToTimestamp,
    /// PostgreSQL's `mod(a, b)`.
    Mod,
    /// PostgreSQL's `div(a, b)`: without what is left over.
    Div,
    /// PostgreSQL's `regexp_split_to_array(text, pattern)`.
    RegexpSplit,
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
    known("abs", 1, 1, Rule::Call("sql_abs")),
    known("acos", 1, 1, Rule::Call("sql_acos")),
    known("age", 1, 2, Rule::Scalar(Scalar::Age)),
    known("approx_count_distinct", 1, 1, Rule::Call("approx_distinct")),
    known("ascii", 1, 1, Rule::Call("sql_ascii")),
    known("asin", 1, 1, Rule::Call("sql_asin")),
    known("atan", 1, 1, Rule::Call("sql_atan")),
    known("atan2", 2, 2, Rule::Call("atn2")),
    known("atn2", 2, 2, Rule::Call("atn2")),
    known("binary_checksum", 1, MANY, Rule::Call("binary_checksum")),
    known("bit_count", 1, 1, Rule::Call("bit_count")),
    known("btrim", 1, 2, Rule::Call("sql_trim")),
    known("ceiling", 1, 1, Rule::Call("sql_ceiling")),
    known("char", 1, 1, Rule::Call("sql_char")),
    known("charindex", 2, 3, Rule::Call("charindex")),
    known("checksum", 1, MANY, Rule::Call("checksum")),
    known("checksum_agg", 1, 1, Rule::ChecksumAgg),
    known("choose", 2, MANY, Rule::Scalar(Scalar::Choose)),
    known("clock_timestamp", 0, 0, Rule::Call("getdate")),
    known("concat", 2, MANY, Rule::Call("sql_concat")),
    known("concat_ws", 2, MANY, Rule::Call("sql_concat_ws")),
    known("contains", 2, 2, Rule::Call("sql_contains")),
    known("cos", 1, 1, Rule::Call("sql_cos")),
    known("cot", 1, 1, Rule::Call("sql_cot")),
    known("count_big", 1, 1, Rule::Call("count")),
    known("current_timestamp", 0, 0, Rule::Call("getdate")),
    known("datalength", 1, 1, Rule::Scalar(Scalar::Datalength)),
    known("date_bucket", 3, 4, Rule::Part("date_bucket")),
    known("date_part", 2, 2, Rule::Call("pg_date_part")),
    known("date_trunc", 2, 3, Rule::Call("pg_date_trunc")),
    known("dateadd", 3, 3, Rule::Part("dateadd")),
    known("datediff", 3, 3, Rule::Part("datediff")),
    known("datediff_big", 3, 3, Rule::Part("datediff_big")),
    known("datefromparts", 3, 3, Rule::Call("datefromparts")),
    known("datename", 2, 2, Rule::Part("datename")),
    known("datepart", 2, 2, Rule::Part("datepart")),
    known("datetime2fromparts", 8, 8, Rule::Call("datetime2fromparts")),
    known("datetimefromparts", 7, 7, Rule::Call("datetimefromparts")),
    known("datetimeoffsetfromparts", 10, 10, Rule::Call("datetimeoffsetfromparts")),
    known("datetrunc", 2, 2, Rule::Part("datetrunc")),
    known("day", 1, 1, Rule::Scalar(Scalar::Datepart("day"))),
    known("degrees", 1, 1, Rule::Call("sql_degrees")),
    known("difference", 2, 2, Rule::Call("difference")),
    known("div", 2, 2, Rule::Scalar(Scalar::Div)),
    known("eomonth", 1, 2, Rule::Call("eomonth")),
    known("every", 1, 1, Rule::Call("bool_and")),
    known("exp", 1, 1, Rule::Call("sql_exp")),
    known("format", 2, 3, Rule::Call("format")),
    known("formatmessage", 1, MANY, Rule::Call("formatmessage")),
    known("gen_random_uuid", 0, 0, Rule::Call("newid")),
    known("get_bit", 2, 2, Rule::Call("get_bit")),
    known("getdate", 0, 0, Rule::Call("getdate")),
    known("getutcdate", 0, 0, Rule::Call("getdate")),
    known("hashbytes", 2, 2, Rule::Scalar(Scalar::Hashbytes)),
    known("iif", 3, 3, Rule::Scalar(Scalar::Iif)),
    known("isdate", 1, 1, Rule::Call("isdate")),
    known("isnull", 2, 2, Rule::Call("isnull")),
    known("isjson", 1, 1, Rule::Call("isjson")),
    known("isnumeric", 1, 1, Rule::Call("isnumeric")),
    known("json_path_exists", 2, 2, Rule::Call("json_path_exists")),
    known("json_query", 1, 2, Rule::Call("json_query")),
    known("json_value", 2, 2, Rule::Call("json_value")),
    known("left", 2, 2, Rule::Call("sql_left")),
    known("left_shift", 2, 2, Rule::Call("left_shift")),
    known("len", 1, 1, Rule::Call("len")),
    known("ln", 1, 1, Rule::Call("sql_log")),
    known("localtimestamp", 0, 0, Rule::Call("getdate")),
    known("log", 1, 2, Rule::Scalar(Scalar::Log)),
    known("log10", 1, 1, Rule::Call("sql_log10")),
    known("lower", 1, 1, Rule::Call("sql_lower")),
    known("ltrim", 1, 2, Rule::Call("sql_ltrim")),
    known("make_timestamp", 6, 6, Rule::Call("make_timestamp")),
    known("mode", 0, 0, Rule::Percentile),
    known("mod", 2, 2, Rule::Scalar(Scalar::Mod)),
    known("month", 1, 1, Rule::Scalar(Scalar::Datepart("month"))),
    known("nchar", 1, 1, Rule::Call("nchar")),
    known("newid", 0, 0, Rule::Call("newid")),
    known("now", 0, 0, Rule::Call("getdate")),
    known("nullif", 2, 2, Rule::Call("nullif")),
    known("patindex", 2, 2, Rule::Call("patindex")),
    known("percentile_cont", 1, 1, Rule::Percentile),
    known("percentile_disc", 1, 1, Rule::Percentile),
    known("array_length", 1, 2, Rule::Int("array_length")),
    known("array_ndims", 1, 1, Rule::Int("array_ndims")),
    known("array_position", 2, 3, Rule::Int("array_position")),
    known("cardinality", 1, 1, Rule::Int("cardinality")),
    known("approx_percentile_cont", 1, 1, Rule::Percentile),
    known("approx_percentile_disc", 1, 1, Rule::Percentile),
    known("grouping_id", 1, MANY, Rule::Call("grouping")),
    known("pow", 2, 2, Rule::Call("sql_power")),
    known("power", 2, 2, Rule::Call("sql_power")),
    known("quotename", 1, 2, Rule::Call("quotename")),
    known("radians", 1, 1, Rule::Call("sql_radians")),
    known("rand", 0, 1, Rule::Scalar(Scalar::Rand)),
    known("random", 0, 0, Rule::Call("random")),
    known("replace", 3, 3, Rule::Call("sql_replace")),
    known("replicate", 2, 2, Rule::Scalar(Scalar::Replicate)),
    known("reverse", 1, 1, Rule::Call("sql_reverse")),
    known("regexp_matches", 2, 3, Rule::Call("regexp_match")),
    known("regexp_split_to_array", 2, 2, Rule::Scalar(Scalar::RegexpSplit)),
    known("right", 2, 2, Rule::Call("sql_right")),
    known("right_shift", 2, 2, Rule::Call("right_shift")),
    known("round", 1, 3, Rule::Call("sql_round")),
    known("rtrim", 1, 2, Rule::Call("sql_rtrim")),
    known("sign", 1, 1, Rule::Call("sql_sign")),
    known("sin", 1, 1, Rule::Call("sql_sin")),
    known("smalldatetimefromparts", 5, 5, Rule::Call("smalldatetimefromparts")),
    known("soundex", 1, 1, Rule::Call("soundex")),
    known("space", 1, 1, Rule::Call("space")),
    known("sqrt", 1, 1, Rule::Call("sql_sqrt")),
    known("square", 1, 1, Rule::Call("square")),
    known("statement_timestamp", 0, 0, Rule::Call("getdate")),
    known("stdev", 1, 1, Rule::Call("stddev")),
    known("stdevp", 1, 1, Rule::Call("stddev_pop")),
    known("str", 1, 3, Rule::Call("str")),
    known("string_agg", 2, 2, Rule::StringAgg),
    known("string_escape", 2, 2, Rule::Call("string_escape")),
    known("stuff", 4, 4, Rule::Call("stuff")),
    known("switchoffset", 2, 2, Rule::Call("switchoffset")),
    known("sysdatetime", 0, 0, Rule::Call("getdate")),
    known("sysdatetimeoffset", 0, 0, Rule::Scalar(Scalar::NowWithOffset)),
    known("sysutcdatetime", 0, 0, Rule::Call("getdate")),
    known("tan", 1, 1, Rule::Call("sql_tan")),
    known("timefromparts", 5, 5, Rule::Call("timefromparts")),
    known("timezone", 2, 2, Rule::Scalar(Scalar::Timezone)),
    known("to_char", 2, 2, Rule::Call("pg_to_char")),
    known("to_date", 2, 2, Rule::Call("pg_to_date")),
    known("to_timestamp", 1, 2, Rule::Scalar(Scalar::ToTimestamp)),
    known("todatetimeoffset", 2, 2, Rule::Call("todatetimeoffset")),
    known("transaction_timestamp", 0, 0, Rule::Call("getdate")),
    known("translate", 3, 3, Rule::Call("sql_translate")),
    known("unicode", 1, 1, Rule::Call("unicode")),
    known("upper", 1, 1, Rule::Call("sql_upper")),
    known("var", 1, 1, Rule::Call("var_samp")),
    known("variance", 1, 1, Rule::Call("var_samp")),
    known("varp", 1, 1, Rule::Call("var_pop")),
    known("year", 1, 1, Rule::Scalar(Scalar::Datepart("year"))),
];

/// PostgreSQL's `format('%s', …)`, whose name T-SQL has too.
pub(super) const POSTGRESQL_FORMAT: Known = known("format", 1, MANY, Rule::Call("pg_format"));

/// Functions of T-SQL that are not offered, so that they are not called unknown:
/// what depends on a server's objects or keys or on a call stack, and what makes
/// JSON.
const MISSING: &[&str] = &[
    "CERTENCODED",
    "COMPRESS",
    "DB_ID",
    "DB_NAME",
    "DECOMPRESS",
    "ERROR_LINE",
    "ERROR_MESSAGE",
    "ERROR_NUMBER",
    "ERROR_PROCEDURE",
    "ERROR_SEVERITY",
    "ERROR_STATE",
    "FREETEXT",
    "HOST_NAME",
    "JSON_ARRAY",
    "JSON_MODIFY",
    "JSON_OBJECT",
    "MD5",
    "NEWSEQUENTIALID",
    "OBJECT_ID",
    "OBJECT_NAME",
    "ORIGINAL_LOGIN",
    "PARSENAME",
    "ROWCOUNT_BIG",
    "SCHEMA_NAME",
    "SERVERPROPERTY",
    "SESSION_ID",
    "SET_BIT",
    "STRING_SPLIT",
    "SUSER_NAME",
    "SUSER_SNAME",
    "TRY_PARSE",
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

/// The parts of a text between matches of a pattern: each match becomes a
/// character that texts do not have.
pub(super) fn regexp_split(mut args: Vec<Expr>) -> Expr {
    const SEPARATOR: &str = "\u{1f}";
    args.extend([text(SEPARATOR), text("g")]);
    call("string_to_array", vec![call("regexp_replace", args), text(SEPARATOR)])
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

/// `TRIM([LEADING | TRAILING | BOTH] [x FROM] s)`, whose parts are resolved.
pub(super) fn trim(expr: &mut Expr) {
    if let Expr::Trim { expr: inner, trim_where, trim_what, .. } = expr {
        let name = match trim_where {
            Some(TrimWhereField::Leading) => "sql_ltrim",
            Some(TrimWhereField::Trailing) => "sql_rtrim",
            Some(TrimWhereField::Both) | None => "sql_trim",
        };
        let inner = std::mem::replace(inner.as_mut(), Expr::value(Value::Null));
        let args = std::iter::once(inner).chain(trim_what.take().map(|what| *what));
        *expr = call(name, args.collect());
    }
}

/// Expressions that are calls with a syntax of their own; their parts are
/// resolved.
pub(super) fn spelled_out(expr: &mut Expr) {
    let take = |e: &mut Box<Expr>| std::mem::replace(e.as_mut(), Expr::value(Value::Null));
    *expr = match expr {
        Expr::Ceil { expr, .. } => call("sql_ceiling", vec![take(expr)]),
        Expr::Floor { expr, .. } => call("sql_floor", vec![take(expr)]),
        // The difference of two times is an interval here, of which the engine knows
        // the parts. Its length is exact to the microsecond.
        Expr::Extract { field: DateTimeField::Epoch, expr, .. } if is_difference(expr) => {
            let (left, right) = difference(expr);
            let epoch = |time| call("pg_date_part", vec![text("epoch"), time]);
            let seconds = Expr::BinaryOp {
                left: Box::new(epoch(left)),
                op: BinaryOperator::Minus,
                right: Box::new(epoch(right)),
            };
            call("round", vec![seconds, Expr::value(Value::Number("6".to_owned(), false))])
        }
        Expr::Extract { expr, .. } if is_difference(expr) => return,
        Expr::Extract { field, expr, .. } => {
            call("pg_date_part", vec![text(&field.to_string()), take(expr)])
        }
        Expr::Overlay { expr, overlay_what, overlay_from, overlay_for } => {
            let args = [expr, overlay_what, overlay_from].map(take).into_iter();
            call("overlay", args.chain(overlay_for.as_mut().map(take)).collect())
        }
        Expr::AtTimeZone { timestamp, time_zone } => {
            let mut time = take(timestamp);
            // PostgreSQL's now() is an instant; other times without a zone are
            // what clocks of the zone show.
            if matches!(&time, Expr::Function(f) if f.name.to_string() == "getdate") {
                time = call("at_time_zone", vec![time, text("UTC")]);
            }
            call("at_time_zone", vec![time, take(time_zone)])
        }
        _ => return,
    };
}

/// Both sides of a subtraction.
fn difference(expr: &mut Expr) -> (Expr, Expr) {
    let take = |e: &mut Expr| std::mem::replace(e, Expr::value(Value::Null));
    match expr {
        Expr::Nested(inner) => difference(inner),
        Expr::BinaryOp { left, right, .. } => (take(left), take(right)),
        other => (take(other), Expr::value(Value::Null)),
    }
}

fn is_difference(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) => is_difference(inner),
        Expr::BinaryOp { op, .. } => *op == BinaryOperator::Minus,
        _ => false,
    }
}

/// What a text can hold, as far as the query says it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Width {
    /// One byte a character, 8,000 at most.
    Varchar,
    /// Two bytes a character, 4,000 characters at most.
    Nvarchar,
    /// `varchar(max)` or `nvarchar(max)`.
    Max,
}

/// What the text of an expression as written can hold.
pub(super) fn width(expr: &Expr) -> Width {
    match expr {
        Expr::Nested(inner) => width(inner),
        Expr::Substring { expr, .. } | Expr::Trim { expr, .. } => width(expr),
        Expr::Function(function) => match function.name.to_string().to_lowercase().as_str() {
            "char" | "soundex" | "space" | "str" => Width::Varchar,
            "left" | "lower" | "ltrim" | "replace" | "replicate" | "reverse" | "right"
            | "rtrim" | "stuff" | "upper" => first(function).map_or(Width::Nvarchar, width),
            _ => Width::Nvarchar,
        },
        Expr::Value(value) if matches!(value.value, Value::SingleQuotedString(_)) => Width::Varchar,
        Expr::Cast { data_type, .. } | Expr::Convert { data_type: Some(data_type), .. } => {
            type_width(data_type)
        }
        Expr::BinaryOp { left, op: BinaryOperator::Plus | BinaryOperator::StringConcat, right } => {
            match (width(left), width(right)) {
                (Width::Max, _) | (_, Width::Max) => Width::Max,
                (Width::Varchar, Width::Varchar) => Width::Varchar,
                _ => Width::Nvarchar,
            }
        }
        _ => Width::Nvarchar,
    }
}

pub(super) fn type_width(data_type: &DataType) -> Width {
    match data_type {
        DataType::Nvarchar(Some(CharacterLength::Max))
        | DataType::Varchar(Some(CharacterLength::Max))
        | DataType::Text => Width::Max,
        DataType::Varchar(_) | DataType::Char(_) => Width::Varchar,
        _ => Width::Nvarchar,
    }
}

/// Whether a call of `FORMAT` is PostgreSQL's, whose first argument has
/// placeholders, and not T-SQL's, whose first argument is no text.
pub(super) fn is_postgresql_format(function: &Function) -> bool {
    let Some(Expr::Value(first)) = first(function) else { return false };
    matches!(&first.value, Value::SingleQuotedString(text) if text.contains('%'))
}

/// The first argument of a call.
pub(super) fn first(function: &Function) -> Option<&Expr> {
    argument(function, 0)
}

/// An argument of a call, counted from zero.
pub(super) fn argument(function: &Function, at: usize) -> Option<&Expr> {
    let FunctionArguments::List(list) = &function.args else { return None };
    match list.args.get(at) {
        Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(first))) => Some(first),
        _ => None,
    }
}
