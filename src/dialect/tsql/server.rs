//! What tools ask of the server before any real query: `@@VERSION`,
//! `DB_NAME()`, `SERVERPROPERTY('…')` and their like. Each is a constant of the
//! session, so it becomes a literal where it stands.

mod objects;

use datafusion::sql::sqlparser::ast::{
    CastKind, CharacterLength, DataType, ExactNumberInfo, Expr, Function, FunctionArg,
    FunctionArgExpr, FunctionArguments, Ident, Value,
};
use datafusion::sql::sqlparser::tokenizer::Location;

use super::{Session, report};
use crate::catalog::Catalog;
use crate::engine::functions::is_collation;
use crate::error::Result;

/// The only database, and the server's name.
const DATABASE: &str = "sysjob";
const DATABASE_ID: i64 = 1;
/// The version of SQL Server whose T-SQL tools may expect: that of Azure SQL.
const PRODUCT_VERSION: &str = "12.0.2000.8";
const COLLATION: &str = "Latin1_General_CI_AI";

/// A constant.
enum Constant {
    Text(String),
    Int(i64),
    TinyInt(i64),
    SmallInt(i64),
    BigInt(i64),
    /// No value of a type.
    Null(DataType),
}

impl Constant {
    fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A text that may be missing.
    fn name(text: Option<&str>) -> Self {
        text.map_or(Self::Null(nvarchar()), Self::text)
    }

    /// An int that may be missing.
    fn number(number: Option<i64>) -> Self {
        number.map_or(Self::Null(DataType::Int(None)), Self::Int)
    }

    fn expr(self) -> Expr {
        match self {
            Self::Text(text) => Expr::value(Value::SingleQuotedString(text)),
            Self::Int(number) => whole(number),
            Self::TinyInt(number) => cast(whole(number), DataType::TinyInt(None)),
            Self::SmallInt(number) => cast(whole(number), DataType::SmallInt(None)),
            Self::BigInt(number) => cast(whole(number), DataType::BigInt(None)),
            Self::Null(data_type) => cast(Expr::value(Value::Null), data_type),
        }
    }
}

fn whole(number: i64) -> Expr {
    let digits = Expr::value(Value::Number(number.unsigned_abs().to_string(), false));
    if number >= 0 {
        return digits;
    }
    let op = datafusion::sql::sqlparser::ast::UnaryOperator::Minus;
    Expr::UnaryOp { op, expr: Box::new(digits) }
}

fn cast(expr: Expr, data_type: DataType) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr), data_type, array: false, format: None }
}

fn nvarchar() -> DataType {
    DataType::Nvarchar(Some(CharacterLength::IntegerLength { length: 128, unit: None }))
}

/// `@name` or `@@NAME`. The expression is not resolved: its casts are T-SQL's.
pub(super) fn variable(ident: &Ident, session: &Session) -> Result<Expr> {
    let location = report::start(ident);
    if let Some(name) = ident.value.strip_prefix("@@") {
        return match global(&name.to_lowercase(), session) {
            Some(constant) => Ok(constant.expr()),
            None => Err(report::unsupported(&ident.value, location)),
        };
    }
    session.value(&ident.value).ok_or_else(|| {
        let message = format!("Must declare the scalar variable '{}' (Msg 137)", ident.value);
        report::invalid("42P02", message, location)
    })
}

fn global(name: &str, session: &Session) -> Option<Constant> {
    let options = &session.options;
    Some(match name {
        "connections" | "cursor_rows" | "error" | "fetch_status" | "nestlevel" | "procid" => {
            Constant::Int(0)
        }
        "datefirst" => Constant::TinyInt(options.datefirst.into()),
        "identity" => Constant::Null(DataType::Numeric(ExactNumberInfo::PrecisionAndScale(38, 0))),
        "langid" => Constant::SmallInt(0),
        "language" => Constant::text("us_english"),
        "lock_timeout" => Constant::Int(options.lock_timeout.into()),
        "max_connections" => Constant::Int(32_767),
        "max_precision" => Constant::TinyInt(38),
        // Major version, then the build.
        "microsoftversion" => Constant::Int(0x0C00_07D0),
        // The ANSI settings, ARITHABORT and CONCAT_NULL_YIELDS_NULL are on.
        "options" => Constant::Int(5_496),
        "remserver" => Constant::Null(nvarchar()),
        "rowcount" => Constant::Int(session.rows.min(i32::MAX.into())),
        "servername" => Constant::text(DATABASE),
        "servicename" => Constant::text("MSSQLSERVER"),
        "spid" => Constant::SmallInt(session.client.process.into()),
        "textsize" => Constant::Int(options.textsize.into()),
        "trancount" => Constant::Int(session.client.transactions.into()),
        "version" => Constant::Text(format!(
            "Microsoft SQL Azure (RTM) - {PRODUCT_VERSION} compatible: sysjob {}\n\t\
             read-only T-SQL over the PostgreSQL protocol\n",
            env!("CARGO_PKG_VERSION")
        )),
        _ => return None,
    })
}

/// `CURRENT_USER` and the like, written without parentheses.
pub(super) fn name(word: &str, session: &Session) -> Option<Expr> {
    let is = |text: &str| word.eq_ignore_ascii_case(text);
    if is("current_user") || is("session_user") || is("user") {
        Some(Constant::text("dbo").expr())
    } else if is("system_user") {
        Some(Constant::text(&session.client.login).expr())
    } else {
        None
    }
}

/// The functions, and how many arguments they take.
const FUNCTIONS: &[(&str, usize, usize)] = &[
    ("app_name", 0, 0),
    ("col_length", 2, 2),
    ("col_name", 2, 2),
    ("collationproperty", 2, 2),
    ("columnproperty", 3, 3),
    ("connectionproperty", 1, 1),
    ("current_user", 0, 0),
    ("databasepropertyex", 2, 2),
    ("db_id", 0, 1),
    ("db_name", 0, 1),
    ("has_dbaccess", 1, 1),
    ("has_perms_by_name", 3, 5),
    ("host_name", 0, 0),
    ("is_member", 1, 1),
    ("is_rolemember", 1, 2),
    ("is_srvrolemember", 1, 2),
    ("object_id", 1, 2),
    ("object_name", 1, 2),
    ("object_schema_name", 1, 2),
    ("objectproperty", 2, 2),
    ("objectpropertyex", 2, 2),
    ("original_db_name", 0, 0),
    ("original_login", 0, 0),
    ("rowcount_big", 0, 0),
    ("schema_id", 0, 1),
    ("schema_name", 0, 1),
    ("serverproperty", 1, 1),
    ("session_user", 0, 0),
    ("sessionproperty", 1, 1),
    ("suser_id", 0, 1),
    ("suser_name", 0, 1),
    ("suser_sname", 0, 1),
    ("system_user", 0, 0),
    ("type_id", 1, 1),
    ("type_name", 1, 1),
    ("user", 0, 0),
    ("user_id", 0, 1),
    ("user_name", 0, 1),
];

/// The value of a function about the server, as an expression that is not yet
/// resolved; `None` when the function is another one.
pub(super) fn call(
    name: &str,
    function: &Function,
    catalog: &Catalog,
    session: &Session,
    location: Location,
) -> Result<Option<Expr>> {
    let Some((_, least, most)) = FUNCTIONS.iter().find(|(known, ..)| *known == name) else {
        return Ok(None);
    };
    let arguments = arguments(function);
    let count = arguments.as_ref().map_or(0, Vec::len);
    let Some(arguments) = arguments.filter(|_| (*least..=*most).contains(&count)) else {
        let wanted = if least == most { least.to_string() } else { format!("{least} to {most}") };
        let message = format!("The {name} function requires {wanted} argument(s) (Msg 174)");
        return Err(report::invalid("42883", message, location));
    };
    if let Some(value) = objects::call(name, &arguments, catalog, session) {
        return Ok(Some(value));
    }
    let mut texts = Vec::new();
    for argument in &arguments {
        let text = constant(argument, catalog, session).ok_or_else(|| {
            let what = format!("{} of anything but a constant", name.to_uppercase());
            report::unsupported(what, location)
        })?;
        texts.push(text);
    }
    let text = |at: usize| texts.get(at).cloned().flatten().unwrap_or_default();
    Ok(Some(value(name, &text, &texts, session).expr()))
}

/// The plain arguments of a call.
fn arguments(function: &Function) -> Option<Vec<&Expr>> {
    match &function.args {
        FunctionArguments::None => Some(Vec::new()),
        FunctionArguments::List(list) => list
            .args
            .iter()
            .map(|arg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
                _ => None,
            })
            .collect(),
        FunctionArguments::Subquery(_) => None,
    }
}

/// A literal or variable as text; the inner `None` is null.
fn constant(expr: &Expr, catalog: &Catalog, session: &Session) -> Option<Option<String>> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::NationalStringLiteral(text) => {
                Some(Some(text.clone()))
            }
            Value::Number(number, _) => Some(Some(number.clone())),
            Value::Null => Some(None),
            _ => None,
        },
        Expr::Identifier(ident) if ident.value.starts_with('@') && ident.quote_style.is_none() => {
            Some(session.text(&ident.value).map(str::to_owned))
        }
        Expr::Nested(inner) => constant(inner, catalog, session),
        Expr::UnaryOp { op, expr } if op.to_string() == "-" => {
            Some(constant(expr, catalog, session)?.map(|number| format!("-{number}")))
        }
        // `OBJECT_NAME(OBJECT_ID('x'))`.
        Expr::Function(function) => {
            let name = function.name.to_string().to_lowercase();
            let inner = call(&name, function, catalog, session, Location::empty());
            constant(&inner.ok().flatten()?, catalog, session)
        }
        Expr::Cast { expr, .. } => constant(expr, catalog, session),
        _ => None,
    }
}

fn value(
    name: &str,
    text: &dyn Fn(usize) -> String,
    arguments: &[Option<String>],
    session: &Session,
) -> Constant {
    let client = &session.client;
    let none = arguments.is_empty();
    let lower = text(0).to_lowercase();
    match name {
        "app_name" => Constant::name(client.program.as_deref()),
        "host_name" => Constant::name(client.host.as_deref()),
        "collationproperty" => collation(&text(0), &text(1).to_lowercase()),
        "columnproperty" => Constant::Null(DataType::Int(None)),
        "connectionproperty" => property(CONNECTION, &lower),
        "serverproperty" => property(SERVER, &lower),
        "sessionproperty" => property(SESSION, &lower),
        "databasepropertyex" if lower == DATABASE => property(DATABASES, &text(1).to_lowercase()),
        "databasepropertyex" => Constant::Null(nvarchar()),
        "db_id" if none || lower == DATABASE => Constant::SmallInt(DATABASE_ID),
        "db_id" => Constant::Null(DataType::SmallInt(None)),
        "db_name" if none || lower == DATABASE_ID.to_string() || lower == "0" => {
            Constant::text(DATABASE)
        }
        "original_db_name" => Constant::text(DATABASE),
        "has_dbaccess" => Constant::number((lower == DATABASE).then_some(1)),
        "has_perms_by_name" => permission(&text(2).to_lowercase(), arguments),
        "is_member" | "is_rolemember" => role(DATABASE_ROLES, &lower),
        "is_srvrolemember" => role(SERVER_ROLES, &lower),
        "original_login" | "suser_name" | "suser_sname" | "system_user" => {
            Constant::text(&client.login)
        }
        "rowcount_big" => Constant::BigInt(session.rows),
        "suser_id" | "user_id" => Constant::Int(1),
        "current_user" | "session_user" | "user" => Constant::text("dbo"),
        "user_name" => match (none, lower.as_str()) {
            (true, _) | (_, "1") => Constant::text("dbo"),
            (_, "0") => Constant::text("public"),
            _ => Constant::Null(nvarchar()),
        },
        _ => Constant::Null(nvarchar()),
    }
}

/// `COLLATIONPROPERTY(name, property)`.
fn collation(name: &str, property: &str) -> Constant {
    if !is_collation(name) {
        return Constant::Null(DataType::Int(None));
    }
    let name = name.to_uppercase();
    let has = |part: &str| name.split('_').any(|own| own == part);
    match property {
        "codepage" => Constant::Int(if has("UTF8") { 65_001 } else { 1252 }),
        "lcid" => Constant::Int(1033),
        "comparisonstyle" if has("BIN") || has("BIN2") => Constant::Int(0),
        // What is ignored: case, accents, the kind of kana, width.
        "comparisonstyle" => {
            let flags = [("CI", 1), ("AI", 2)].iter().filter(|(part, _)| has(part));
            let kana = if has("KS") { 0 } else { 0x1_0000 };
            let width = if has("WS") { 0 } else { 0x2_0000 };
            Constant::Int(flags.map(|(_, flag)| flag).sum::<i64>() + kana + width)
        }
        "version" => {
            let versions = [("90", 1), ("100", 2), ("140", 3)];
            Constant::TinyInt(versions.iter().find(|(part, _)| has(part)).map_or(0, |(_, v)| *v))
        }
        _ => Constant::Null(DataType::Int(None)),
    }
}

/// The value of a property: a number, or text.
enum Property {
    Number(i64),
    Text(&'static str),
}

use Property::{Number, Text};

const SERVER: &[(&str, Property)] = &[
    ("buildclrversion", Text("v4.0.30319")),
    ("collation", Text(COLLATION)),
    ("collationid", Number(53_256)),
    ("comparisonstyle", Number(196_611)),
    ("edition", Text("SQL Azure")),
    ("editionid", Number(1_674_378_470)),
    ("engineedition", Number(5)),
    ("isclustered", Number(0)),
    ("isfulltextinstalled", Number(0)),
    ("ishadrenabled", Number(0)),
    ("isintegratedsecurityonly", Number(0)),
    ("islocaldb", Number(0)),
    ("ispolybaseinstalled", Number(0)),
    ("issingleuser", Number(0)),
    ("isxtpsupported", Number(0)),
    ("lcid", Number(1033)),
    ("machinename", Text(DATABASE)),
    ("productlevel", Text("RTM")),
    ("productmajorversion", Text("12")),
    ("productminorversion", Text("0")),
    ("productbuild", Text("2000")),
    ("productversion", Text(PRODUCT_VERSION)),
    ("resourceversion", Text("12.00.2000")),
    ("servername", Text(DATABASE)),
    ("sqlcharset", Number(1)),
    ("sqlcharsetname", Text("iso_1")),
    ("sqlsortorder", Number(0)),
    ("sqlsortordername", Text("bin_ascii_8")),
];

const DATABASES: &[(&str, Property)] = &[
    ("collation", Text(COLLATION)),
    ("comparisonstyle", Number(196_611)),
    ("edition", Text("Standard")),
    ("isansinullsenabled", Number(1)),
    ("isansipaddingenabled", Number(1)),
    ("isansiwarningsenabled", Number(1)),
    ("isautoclose", Number(0)),
    ("isautoshrink", Number(0)),
    ("isfulltextenabled", Number(0)),
    ("isnullconcat", Number(1)),
    ("isquotedidentifiersenabled", Number(1)),
    ("lcid", Number(1033)),
    ("recovery", Text("FULL")),
    ("status", Text("ONLINE")),
    ("updateability", Text("READ_ONLY")),
    ("useraccess", Text("MULTI_USER")),
    ("version", Number(904)),
];

const CONNECTION: &[(&str, Property)] = &[
    ("auth_scheme", Text("SQL")),
    ("net_transport", Text("TCP")),
    ("physical_net_transport", Text("TCP")),
    ("protocol_type", Text("TSQL")),
];

const SESSION: &[(&str, Property)] = &[
    ("ansi_nulls", Number(1)),
    ("ansi_padding", Number(1)),
    ("ansi_warnings", Number(1)),
    ("arithabort", Number(1)),
    ("concat_null_yields_null", Number(1)),
    ("numeric_roundabort", Number(0)),
    ("quoted_identifier", Number(1)),
];

/// A property by name in lower case; null where there is none.
fn property(properties: &[(&str, Property)], name: &str) -> Constant {
    match properties.iter().find(|(known, _)| *known == name) {
        Some((_, Number(number))) => Constant::Int(*number),
        Some((_, Text(text))) => Constant::text(*text),
        None => Constant::Null(nvarchar()),
    }
}

const DATABASE_ROLES: &[(&str, bool)] = &[
    ("public", true),
    ("db_datareader", true),
    ("db_accessadmin", false),
    ("db_backupoperator", false),
    ("db_datawriter", false),
    ("db_ddladmin", false),
    ("db_denydatareader", false),
    ("db_denydatawriter", true),
    ("db_owner", false),
    ("db_securityadmin", false),
];

const SERVER_ROLES: &[(&str, bool)] = &[
    ("public", true),
    ("bulkadmin", false),
    ("dbcreator", false),
    ("diskadmin", false),
    ("processadmin", false),
    ("securityadmin", false),
    ("serveradmin", false),
    ("setupadmin", false),
    ("sysadmin", false),
];

fn role(roles: &[(&str, bool)], name: &str) -> Constant {
    let member = roles.iter().find(|(known, _)| *known == name).map(|(_, member)| *member);
    Constant::number(member.map(i64::from))
}

/// Reading is permitted, and looking at definitions; nothing that changes them.
fn permission(permission: &str, arguments: &[Option<String>]) -> Constant {
    if arguments.get(2).is_none_or(Option::is_none) {
        return Constant::Null(DataType::Int(None));
    }
    let reads = ["select", "any", "references"].contains(&permission)
        || permission.starts_with("view ")
        || permission.starts_with("connect");
    Constant::Int(i64::from(reads))
}
