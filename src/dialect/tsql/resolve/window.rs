//! Aggregates and window functions: where they may stand, named windows, and
//! the types of ranks.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use datafusion::execution::SessionStateDefaults;
use datafusion::sql::sqlparser::ast::{
    CastKind, DataType, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, Ident, NamedWindowDefinition, NamedWindowExpr, UnaryOperator, Value,
    WindowFrame, WindowFrameBound, WindowSpec, WindowType,
};
use datafusion::sql::sqlparser::tokenizer::Location;

use super::Resolver;
use super::scope::{Clause, same};
use crate::dialect::tsql::{functions, report};
use crate::error::Result;

/// Functions of windows only, and whether their windows need an order.
const RANKING: &[&str] = &[
    "row_number",
    "rank",
    "dense_rank",
    "ntile",
    "lag",
    "lead",
    "first_value",
    "last_value",
    "nth_value",
    "percent_rank",
    "cume_dist",
];

/// Names of aggregates that T-SQL has and the engine calls otherwise.
const OWN: &[&str] = &[
    "approx_count_distinct",
    "approx_percentile_disc",
    "checksum_agg",
    "count_big",
    "grouping_id",
    "mode",
    "percentile_disc",
    "sql_mode",
    "sql_percentile_cont",
    "sql_percentile_disc",
    "stdev",
    "stdevp",
    "var",
    "varp",
];

static AGGREGATES: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let mut names: BTreeSet<String> = OWN.iter().map(|name| (*name).to_owned()).collect();
    for function in SessionStateDefaults::default_aggregate_functions() {
        names.insert(function.name().to_owned());
        names.extend(function.aliases().iter().cloned());
    }
    names
});

/// Whether a call, by its name in lower case, is an aggregate of groups.
pub(in crate::dialect::tsql) fn is_aggregate(function: &Function) -> bool {
    let [part] = function.name.0.as_slice() else { return false };
    let name = part.as_ident().map(|i| i.value.to_lowercase()).unwrap_or_default();
    function.over.is_none() && AGGREGATES.contains(&name) && !RANKING.contains(&name.as_str())
}

/// Whether a number is written with a minus.
fn is_negative(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) => is_negative(inner),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => matches!(**expr, Expr::Value(_)),
        _ => false,
    }
}

impl Resolver<'_> {
    /// Judges where a call stands; whether it is an aggregate.
    pub(super) fn check_call(
        &self,
        function: &Function,
        name: &str,
        location: Location,
    ) -> Result<bool> {
        let Some(scope) = self.scopes.last() else { return Ok(false) };
        let upper = name.to_uppercase();
        let wrong = |state, message: String| Err(report::invalid(state, message, location));
        if function.over.is_some() {
            if !matches!(scope.clause, Clause::Select | Clause::OrderBy) {
                return wrong(
                    "42P20",
                    "Windowed functions can only appear in the SELECT or ORDER BY clauses \
                     (Msg 4108)"
                        .to_owned(),
                );
            }
            if scope.in_window || scope.in_aggregate {
                return wrong(
                    "42P20",
                    "Windowed functions cannot be used in the context of another windowed \
                     function or aggregate (Msg 4109)"
                        .to_owned(),
                );
            }
            if ["lag", "lead"].contains(&name)
                && functions::argument(function, 1).is_some_and(is_negative)
            {
                return wrong(
                    "22023",
                    "Offset parameter for Lag and Lead functions cannot be a negative value \
                     (Msg 8730)"
                        .to_owned(),
                );
            }
            return Ok(false);
        }
        if RANKING.contains(&name) {
            return wrong(
                "42809",
                format!("The function '{upper}' must have an OVER clause (Msg 10753)"),
            );
        }
        if !is_aggregate(function) {
            return Ok(false);
        }
        match scope.clause {
            _ if scope.in_aggregate => wrong(
                "42803",
                "Cannot perform an aggregate function on an expression containing an aggregate \
                 or a subquery (Msg 130)"
                    .to_owned(),
            ),
            Clause::Where => wrong(
                "42803",
                "An aggregate may not appear in the WHERE clause unless it is in a subquery \
                 contained in a HAVING clause or a select list, and the column being aggregated \
                 is an outer reference (Msg 147)"
                    .to_owned(),
            ),
            Clause::On => wrong(
                "42803",
                "An aggregate cannot appear in an ON clause unless it is in a subquery contained \
                 in a HAVING clause or select list, and the column being aggregated is an outer \
                 reference (Msg 1015)"
                    .to_owned(),
            ),
            Clause::GroupBy => wrong(
                "42803",
                "Cannot use an aggregate or a subquery in an expression used for the group by \
                 list of a GROUP BY clause (Msg 144)"
                    .to_owned(),
            ),
            _ => Ok(true),
        }
    }

    /// Resolves the `OVER` clause of a call.
    pub(super) fn over(&mut self, function: &mut Function, location: Location) -> Result<()> {
        let Some(over) = &mut function.over else { return Ok(()) };
        let name = function.name.to_string().to_lowercase();
        let mut window = match over {
            WindowType::NamedWindow(of) => self.named_window(of)?,
            WindowType::WindowSpec(window) => self.merged(window.clone())?,
        };
        let distinct = match &function.args {
            FunctionArguments::List(list) => {
                list.duplicate_treatment == Some(DuplicateTreatment::Distinct)
            }
            _ => false,
        };
        if distinct {
            let message = "Use of DISTINCT is not allowed with the OVER clause (Msg 10759)";
            return Err(report::invalid("0A000", message.to_owned(), location));
        }
        let ranks = RANKING.contains(&name.as_str());
        if ranks && window.order_by.is_empty() {
            let message = format!(
                "The function '{}' must have an OVER clause with ORDER BY (Msg 4112)",
                name.to_uppercase()
            );
            return Err(report::invalid("42P20", message, location));
        }
        self.window_keys(&mut window, location)?;
        *over = WindowType::WindowSpec(window);
        Ok(())
    }

    fn window_keys(&mut self, window: &mut WindowSpec, location: Location) -> Result<()> {
        window.partition_by.iter_mut().try_for_each(|e| self.expr(e))?;
        // `ORDER BY (SELECT NULL)` is how T-SQL asks for any order.
        window.order_by.retain(|key| !is_constant_query(&key.expr));
        for key in &mut window.order_by {
            if let Expr::Value(value) = &key.expr {
                let (what, number) = match value.value {
                    Value::Number(..) => ("integer indices", 5308),
                    _ => ("constants", 5309),
                };
                let message = format!(
                    "Windowed functions, aggregates and NEXT VALUE FOR functions do not support \
                     {what} as ORDER BY clause expressions (Msg {number})"
                );
                return Err(report::invalid("42P20", message, location));
            }
            self.sort_key(key)?;
        }
        match &mut window.window_frame {
            Some(frame) => self.frame(frame),
            None => Ok(()),
        }
    }

    fn named_window(&mut self, name: &Ident) -> Result<WindowSpec> {
        let windows = &self.scope().windows;
        match windows.iter().find(|(known, _)| same(known, &name.value)) {
            Some((_, window)) => Ok(window.clone()),
            None => {
                let message = format!("Window '{}' is undefined (Msg 5362)", name.value);
                Err(report::invalid("42704", message, report::start(name)))
            }
        }
    }

    /// A window with what it takes over from a named one.
    fn merged(&mut self, mut window: WindowSpec) -> Result<WindowSpec> {
        let Some(name) = window.window_name.take() else { return Ok(window) };
        let base = self.named_window(&name)?;
        if window.partition_by.is_empty() {
            window.partition_by = base.partition_by;
        }
        if window.order_by.is_empty() {
            window.order_by = base.order_by;
        }
        window.window_frame = window.window_frame.or(base.window_frame);
        Ok(window)
    }

    /// Takes in the definitions of `WINDOW`; they may build on earlier ones.
    pub(super) fn define_windows(&mut self, windows: Vec<NamedWindowDefinition>) -> Result<()> {
        for NamedWindowDefinition(name, definition) in windows {
            let window = match definition {
                NamedWindowExpr::NamedWindow(of) => self.named_window(&of)?,
                NamedWindowExpr::WindowSpec(window) => self.merged(window)?,
            };
            self.scope().windows.push((name.value, window));
        }
        Ok(())
    }

    fn frame(&mut self, frame: &mut WindowFrame) -> Result<()> {
        let bounds = std::iter::once(&mut frame.start_bound).chain(&mut frame.end_bound);
        for bound in bounds {
            if let WindowFrameBound::Preceding(Some(rows))
            | WindowFrameBound::Following(Some(rows)) = bound
            {
                self.expr(rows)?;
            }
        }
        Ok(())
    }
}

/// Gives ranks and `GROUPING` their types.
pub(super) fn typed_rank(expr: &mut Expr, name: &str) {
    let kind = match name {
        "row_number" | "rank" | "dense_rank" | "ntile" => DataType::BigInt(None),
        "grouping" => DataType::TinyInt(None),
        _ => return,
    };
    let call = std::mem::replace(expr, Expr::value(Value::Null));
    *expr = Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(call),
        data_type: kind,
        array: false,
        format: None,
    };
}

/// `PERCENTILE_CONT(p) WITHIN GROUP (ORDER BY x)`, of a group or of a window, as
/// a call of the engine's own function.
pub(super) fn percentile(function: &mut Function, name: &str, location: Location) -> Result<Expr> {
    let upper = name.to_uppercase();
    let wrong = |message: String| Err(report::invalid("42809", message, location));
    let keys = std::mem::take(&mut function.within_group);
    let [key] = keys.as_slice() else {
        return wrong(format!(
            "The function '{upper}' must have a WITHIN GROUP clause with one ORDER BY expression \
             (Msg 10754)"
        ));
    };
    if let Some(WindowType::WindowSpec(window)) = &function.over
        && (!window.order_by.is_empty() || window.window_frame.is_some())
    {
        return wrong(format!(
            "The function '{upper}' may not have a window ORDER BY or frame (Msg 10752)"
        ));
    }
    let FunctionArguments::List(list) = &function.args else {
        return wrong(format!("The {upper} function requires 1 argument(s) (Msg 174)"));
    };
    let zero = Expr::value(Value::Number("0".to_owned(), false));
    let share = match list.args.as_slice() {
        [] if name == "mode" => &zero,
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(share))] => share,
        _ => return wrong(format!("The {upper} function requires 1 argument(s) (Msg 174)")),
    };
    let out_of_range = match share {
        Expr::Value(value) => match &value.value {
            Value::Number(n, _) => n.parse::<f64>().is_ok_and(|n| !(0.0..=1.0).contains(&n)),
            _ => false,
        },
        Expr::UnaryOp { .. } => true,
        _ => false,
    };
    if out_of_range {
        let message =
            format!("The percentile value of {upper} must be between 0 and 1 (Msg 10756)");
        return Err(report::invalid("22003", message, location));
    }
    let descending = key.options.asc == Some(false);
    let engine = match name {
        "mode" => "sql_mode",
        name if name.ends_with("disc") => "sql_percentile_disc",
        _ => "sql_percentile_cont",
    };
    let args = vec![key.expr.clone(), share.clone(), Expr::value(Value::Boolean(descending))];
    let mut call = functions::call(engine, args);
    if let Expr::Function(new) = &mut call {
        new.over = function.over.take();
        new.filter = function.filter.take();
    }
    Ok(call)
}

/// `(SELECT NULL)`, `(SELECT 1)`.
fn is_constant_query(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) => is_constant_query(inner),
        Expr::Subquery(query) => match query.body.as_ref() {
            datafusion::sql::sqlparser::ast::SetExpr::Select(select) => select.from.is_empty(),
            _ => false,
        },
        _ => false,
    }
}
