//! Function calls: the name judged, the arguments resolved, T-SQL's own
//! functions replaced by calls that the planner knows.

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause,
    FunctionArgumentList, FunctionArguments, Ident, ObjectName, ObjectNamePart, Value,
};
use datafusion::sql::sqlparser::tokenizer::Location;

use super::{Resolver, window};
use crate::dialect::tsql::functions::{self, Known, Rule, Scalar, Width};
use crate::dialect::tsql::{report, server};
use crate::engine::functions::DatePart;
use crate::error::Result;

impl Resolver<'_> {
    /// Resolves a call in place.
    pub(super) fn function(&mut self, expr: &mut Expr) -> Result<()> {
        let Expr::Function(function) = expr else { return Ok(()) };
        let (written, location) = self.function_name(&function.name)?;
        let name = written.to_lowercase();
        if let Some(value) = server::call(&name, function, self.catalog, self.session, location)? {
            *expr = value;
            return self.expr(expr);
        }
        let postgresql = name == "format" && functions::is_postgresql_format(function);
        let known =
            if postgresql { Some(functions::POSTGRESQL_FORMAT) } else { functions::lookup(&name) };
        match known {
            Some(known) => check_count(&known, &written, function, location)?,
            None if functions::in_engine(&name) => {}
            None if functions::is_missing(&name) => {
                return Err(report::unsupported(
                    format!("the function {}", written.to_uppercase()),
                    location,
                ));
            }
            None => {
                let message = format!(
                    "'{written}' is not a recognized built-in function name (Msg 195){}",
                    report::suggestion(functions::nearest(&name))
                );
                return Err(report::invalid("42883", message, location));
            }
        }
        if let Some(Known { rule: Rule::Part(_), .. }) = known {
            date_part(function, &written, location)?;
        }
        if name == "contains" {
            searched(function);
        }
        all_nulls(function, &name, location)?;
        let measured = usize::from(name == "hashbytes");
        let width = functions::argument(function, measured).map(|expr| self.width(expr));
        let width = width.unwrap_or(Width::Nvarchar);
        let aggregate = self.check_call(function, &name, location)?;
        if let Some(scope) = self.scopes.last_mut() {
            scope.in_aggregate |= aggregate;
            scope.in_window |= function.over.is_some();
        }
        let windowed = function.over.is_some();
        let resolved = self.arguments(function, location);
        if let Some(scope) = self.scopes.last_mut() {
            scope.in_aggregate &= !aggregate;
            scope.in_window &= !windowed;
        }
        resolved?;
        if let Some(Known { rule: Rule::Part(_), .. }) = known {
            self.first_day_of_the_week(function, &name);
        }
        rename(&mut function.name, &name);
        window::typed_rank(expr, &name);
        match known {
            Some(known) => apply(known.rule, width, expr, &name, location),
            None => Ok(()),
        }
    }

    /// How many bytes the characters of a text take.
    fn width(&self, expr: &Expr) -> Width {
        match expr {
            Expr::Identifier(ident) if ident.value.starts_with('@') => {
                self.session.type_of(&ident.value).map_or(Width::Nvarchar, functions::type_width)
            }
            expr => functions::width(expr),
        }
    }

    /// Weeks start where `SET DATEFIRST` says; on Sunday, if it says nothing.
    fn first_day_of_the_week(&self, function: &mut Function, name: &str) {
        const DEFAULT: u8 = 7;
        let first = self.session.options.datefirst;
        if first != DEFAULT
            && ["datename", "datepart", "datetrunc"].contains(&name)
            && let Some(list) = list(function)
        {
            let first = Expr::value(Value::Number(first.to_string(), false));
            list.args.push(FunctionArg::Unnamed(FunctionArgExpr::Expr(first)));
        }
    }

    fn function_name(&self, name: &ObjectName) -> Result<(String, Location)> {
        match name.0.as_slice() {
            [ObjectNamePart::Identifier(ident)] => Ok((ident.value.clone(), report::start(ident))),
            _ => {
                let message = format!(
                    "Cannot find either column \"{}\" or the user-defined function or aggregate \
                     \"{name}\", or the name is ambiguous (Msg 4121)",
                    name.0[0]
                );
                Err(report::invalid("42883", message, self.location))
            }
        }
    }

    /// Arguments, orders, filter and window of a call.
    fn arguments(&mut self, function: &mut Function, location: Location) -> Result<()> {
        if function.parameters != FunctionArguments::None || function.uses_odbc_syntax {
            return Err(report::unsupported(format!("'{function}'"), location));
        }
        let name = function.name.to_string().to_lowercase();
        let counts = ["count", "count_big"].contains(&name.as_str());
        match &mut function.args {
            FunctionArguments::None => {}
            FunctionArguments::Subquery(_) => {
                return Err(report::unsupported("a query as argument", location));
            }
            FunctionArguments::List(list) => {
                for arg in &mut list.args {
                    match arg {
                        FunctionArg::Unnamed(FunctionArgExpr::Expr(arg)) => self.text_of(arg)?,
                        FunctionArg::Unnamed(FunctionArgExpr::Wildcard) if counts => {}
                        FunctionArg::Unnamed(FunctionArgExpr::Wildcard) => {
                            let message = "Incorrect syntax near '*' (Msg 102)".to_owned();
                            return Err(report::invalid("42601", message, location));
                        }
                        other => {
                            return Err(report::unsupported(
                                format!("the argument '{other}'"),
                                location,
                            ));
                        }
                    }
                }
                for clause in &mut list.clauses {
                    match clause {
                        FunctionArgumentClause::OrderBy(keys) => {
                            keys.iter_mut().try_for_each(|key| self.sort_key(key))?;
                        }
                        FunctionArgumentClause::IgnoreOrRespectNulls(_) => {}
                        other => {
                            return Err(report::unsupported(format!("'{other}'"), location));
                        }
                    }
                }
            }
        }
        function.within_group.iter_mut().try_for_each(|key| self.sort_key(key))?;
        if let Some(filter) = &mut function.filter {
            self.expr(filter)?;
        }
        self.over(function, location)
    }
}

fn rename(name: &mut ObjectName, new: &str) {
    if let Some(ObjectNamePart::Identifier(ident)) = name.0.first_mut() {
        *ident = Ident { value: new.to_owned(), quote_style: None, span: ident.span };
    }
}

fn list(function: &mut Function) -> Option<&mut FunctionArgumentList> {
    match &mut function.args {
        FunctionArguments::List(list) => Some(list),
        _ => None,
    }
}

fn check_count(
    known: &Known,
    written: &str,
    function: &Function,
    location: Location,
) -> Result<()> {
    let count = match &function.args {
        FunctionArguments::List(list) => list.args.len(),
        _ => 0,
    };
    if (known.least..=known.most).contains(&count) {
        return Ok(());
    }
    let Known { least, most, .. } = known;
    let message = if least == most {
        format!("The {written} function requires {least} argument(s) (Msg 174)")
    } else {
        let most = if *most == usize::MAX { "254".to_owned() } else { most.to_string() };
        format!("The {written} function requires {least} to {most} arguments (Msg 189)")
    };
    Err(report::invalid("42883", message, location))
}

/// `COALESCE` and `NULLIF` take their type from arguments that are not `NULL`.
fn all_nulls(function: &Function, name: &str, location: Location) -> Result<()> {
    let FunctionArguments::List(list) = &function.args else { return Ok(()) };
    let null = |arg: &FunctionArg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value))) => {
            value.value == Value::Null
        }
        _ => false,
    };
    let message = match name {
        "coalesce" if !list.args.is_empty() && list.args.iter().all(null) => {
            "At least one of the arguments to COALESCE must be an expression that is not the NULL \
             constant (Msg 4127)"
        }
        "nullif" if list.args.first().is_some_and(null) => {
            "The type of the first argument to NULLIF cannot be the NULL constant because the \
             type of the first argument has to be known (Msg 4151)"
        }
        _ => return Ok(()),
    };
    Err(report::invalid("42804", message.to_owned(), location))
}

/// The bare word `day` becomes the literal `'day'`.
fn date_part(function: &mut Function, written: &str, location: Location) -> Result<()> {
    let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))) =
        list(function).and_then(|list| list.args.first_mut())
    else {
        return Err(report::unsupported(format!("this first argument of {written}"), location));
    };
    if let Expr::Value(value) = &*arg {
        let message = format!(
            "The first argument of {written} is a date part without quotes, such as day (Msg 1023)"
        );
        return Err(report::invalid("22023", message, value.span.start));
    }
    let (word, place) = match &*arg {
        Expr::Identifier(ident) => (ident.value.clone(), report::start(ident)),
        other => (other.to_string(), location),
    };
    let Some(part) = DatePart::parse(&word) else {
        let message = format!(
            "'{word}' is not a recognized {} option (Msg 155){}",
            written.to_lowercase(),
            report::suggestion(crate::catalog::nearest(&word, DatePart::names()))
        );
        return Err(report::invalid("22023", message, place));
    };
    *arg = functions::text(part.name());
    Ok(())
}

/// `CONTAINS((a, b), condition)`: the condition first, then the columns.
fn searched(function: &mut Function) {
    let Some(list) = list(function) else { return };
    list.args.rotate_right(1);
    if let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Tuple(columns)))) =
        list.args.get(1)
    {
        let columns: Vec<Expr> = columns.clone();
        let columns = columns.into_iter().map(|c| FunctionArg::Unnamed(FunctionArgExpr::Expr(c)));
        list.args.splice(1..2, columns);
    } else if let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Nested(column)))) =
        list.args.get_mut(1)
    {
        let column = column.as_ref().clone();
        list.args[1] = FunctionArg::Unnamed(FunctionArgExpr::Expr(column));
    }
}

/// The call that stands for a T-SQL function; its arguments are resolved.
fn apply(rule: Rule, width: Width, expr: &mut Expr, name: &str, location: Location) -> Result<()> {
    let Expr::Function(function) = expr else { return Ok(()) };
    match rule {
        Rule::Call(name) | Rule::Part(name) => {
            rename(&mut function.name, name);
            if function.args == FunctionArguments::None {
                *expr = functions::call(name, Vec::new());
            }
        }
        Rule::Int(name) => {
            rename(&mut function.name, name);
            let whole = std::mem::replace(expr, Expr::value(Value::Null));
            *expr = functions::call("sql_convert", vec![functions::text("int"), whole]);
        }
        Rule::StringAgg => {
            let order = std::mem::take(&mut function.within_group);
            if let Some(list) = list(function)
                && !order.is_empty()
            {
                list.clauses.push(FunctionArgumentClause::OrderBy(order));
            }
        }
        Rule::ChecksumAgg => {
            rename(&mut function.name, "bit_xor");
            if let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))) =
                list(function).and_then(|list| list.args.first_mut())
            {
                let given = std::mem::replace(arg, Expr::value(Value::Null));
                *arg = functions::call("sql_convert", vec![functions::text("int"), given]);
            }
        }
        Rule::Percentile => *expr = window::percentile(function, name, location)?,
        Rule::Scalar(scalar) => {
            let args = scalar_args(function, location)?;
            *expr = replace(scalar, width, args);
        }
    }
    Ok(())
}

/// The arguments of a scalar function; windows and such have no meaning there.
fn scalar_args(function: &mut Function, location: Location) -> Result<Vec<Expr>> {
    let plain = function.over.is_none()
        && function.filter.is_none()
        && function.within_group.is_empty()
        && function.null_treatment.is_none();
    let args = match &mut function.args {
        FunctionArguments::List(list)
            if plain && list.clauses.is_empty() && list.duplicate_treatment.is_none() =>
        {
            std::mem::take(&mut list.args)
        }
        _ => return Err(report::unsupported(format!("'{function}'"), location)),
    };
    args.into_iter()
        .map(|arg| match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(arg)) => Ok(arg),
            other => Err(report::unsupported(format!("the argument '{other}'"), location)),
        })
        .collect()
}

fn replace(scalar: Scalar, width: Width, mut args: Vec<Expr>) -> Expr {
    let number = |n: usize| Expr::value(Value::Number(n.to_string(), false));
    match scalar {
        Scalar::Datepart(part) => {
            args.insert(0, functions::text(part));
            functions::call("datepart", args)
        }
        Scalar::Iif => {
            let otherwise = args.pop();
            case(None, vec![args], otherwise)
        }
        Scalar::Choose => {
            // Its decimals do not count.
            let index =
                functions::call("sql_convert", vec![functions::text("int"), args.remove(0)]);
            let arms = args.into_iter().enumerate().map(|(i, arg)| vec![number(i + 1), arg]);
            case(Some(index), arms.collect(), None)
        }
        Scalar::Log if args.len() == 1 => functions::call("sql_log", args),
        Scalar::Log => functions::call("sql_log_base", args),
        Scalar::Rand if args.is_empty() => functions::call("rand", args),
        Scalar::Rand => functions::call("seeded_rand", args),
        Scalar::Datalength => {
            args.extend((width == Width::Varchar).then(|| number(1)));
            functions::call("datalength", args)
        }
        Scalar::Hashbytes => {
            args.extend((width == Width::Varchar).then(|| number(1)));
            functions::call("hashbytes", args)
        }
        Scalar::Replicate => {
            args.extend(match width {
                Width::Varchar => Some(number(8_000)),
                Width::Nvarchar => Some(number(4_000)),
                Width::Max => None,
            });
            functions::call("replicate", args)
        }
        Scalar::NowWithOffset => {
            let now = functions::call("getdate", args);
            functions::call("at_time_zone", vec![now, functions::text("+00:00")])
        }
        Scalar::Age if args.len() == 1 => {
            args.insert(0, functions::call("current_date", Vec::new()));
            functions::call("age", args)
        }
        Scalar::Age => functions::call("age", args),
        Scalar::Timezone => {
            args.reverse();
            functions::call("at_time_zone", args)
        }
        Scalar::ToTimestamp if args.len() == 1 => functions::call("pg_epoch_timestamp", args),
        Scalar::ToTimestamp => functions::call("pg_to_timestamp", args),
        Scalar::RegexpSplit => functions::regexp_split(args),
        Scalar::Mod => binary(args, BinaryOperator::Modulo),
        Scalar::Div => {
            let quotient = binary(args, BinaryOperator::Divide);
            functions::call("sql_round", vec![quotient, number(0), number(1)])
        }
    }
}

/// An operator between two arguments.
fn binary(args: Vec<Expr>, op: BinaryOperator) -> Expr {
    let mut args = args.into_iter().map(|arg| Box::new(Expr::Nested(Box::new(arg))));
    match (args.next(), args.next()) {
        (Some(left), Some(right)) => Expr::Nested(Box::new(Expr::BinaryOp { left, op, right })),
        _ => Expr::value(Value::Null),
    }
}

/// `CASE [operand] WHEN a THEN b … [ELSE c] END` of pairs.
fn case(operand: Option<Expr>, arms: Vec<Vec<Expr>>, otherwise: Option<Expr>) -> Expr {
    let conditions = arms
        .into_iter()
        .filter_map(|arm| {
            let mut arm = arm.into_iter();
            Some(CaseWhen { condition: arm.next()?, result: arm.next()? })
        })
        .collect();
    Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: operand.map(Box::new),
        conditions,
        else_result: otherwise.map(Box::new),
    }
}
