//! Tables that are made where they stand in `FROM`: derived tables, table
//! functions, and what `APPLY` and `LATERAL` put beside each row.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    CastKind, DataType, Expr, FunctionArg, FunctionArgExpr, Ident, JoinConstraint, JoinOperator,
    ObjectName, Query, SelectItem, TableAlias, TableFactor, Value, visit_expressions,
};
use datafusion::sql::sqlparser::tokenizer::Location;

use super::scope::{Holds, Output, Scope, Source};
use super::{Resolver, build};
use crate::dialect::tsql::{functions, report};
use crate::error::Result;

/// Table functions, with the least and most arguments they take.
const FUNCTIONS: &[(&str, usize, usize)] = &[
    ("generate_series", 2, 3),
    ("regexp_split_to_table", 2, 2),
    ("string_split", 2, 3),
    ("string_to_table", 2, 2),
    ("unnest", 1, 1),
];

/// Whether there is such a table function.
pub(super) fn is_table_function(name: &ObjectName) -> bool {
    function_name(name).is_some()
}

fn function_name(name: &ObjectName) -> Option<&'static (&'static str, usize, usize)> {
    let [part] = name.0.as_slice() else { return None };
    let ident = part.as_ident()?;
    FUNCTIONS.iter().find(|(known, ..)| known.eq_ignore_ascii_case(&ident.value))
}

impl Resolver<'_> {
    /// A derived table, which sees the tables beside it if it is lateral.
    pub(super) fn derived_table(
        &mut self,
        factor: &mut TableFactor,
        beside: &[Source],
    ) -> Result<Source> {
        let TableFactor::Derived { lateral, subquery, alias, sample } = factor else {
            return Err(report::unsupported("this kind of table", self.location));
        };
        if sample.is_some() {
            return Err(report::unsupported("TABLESAMPLE", self.location));
        }
        let sees = *lateral;
        if sees {
            let sources = beside.to_vec();
            self.scopes.push(Scope { sources, ..Scope::default() });
        }
        let outputs = self.check_inner_order(subquery).and_then(|()| self.query(subquery));
        if sees {
            self.scopes.pop();
        }
        Self::derived(outputs?, alias.as_ref())
    }

    /// `APPLY` as the join it is, of a lateral table.
    pub(super) fn apply(operator: &mut JoinOperator, relation: &mut TableFactor) {
        let joined = match operator {
            JoinOperator::CrossApply => JoinOperator::CrossJoin(JoinConstraint::None),
            JoinOperator::OuterApply => {
                JoinOperator::LeftOuter(JoinConstraint::On(Expr::value(Value::Boolean(true))))
            }
            _ => return,
        };
        *operator = joined;
        if let TableFactor::Derived { lateral, .. } = relation {
            *lateral = true;
        }
    }

    /// A call of a table function as a derived table.
    pub(super) fn table_function(
        &mut self,
        name: &ObjectName,
        args: &[FunctionArg],
        alias: Option<&TableAlias>,
        ordinality: bool,
        beside: &[Source],
    ) -> Result<(TableFactor, Source)> {
        let start = name.0.first().and_then(|part| part.as_ident()).map(report::start);
        let location = start.unwrap_or(self.location);
        let Some((function, least, most)) = function_name(name) else {
            return Err(report::unsupported(
                format!("the table-valued function '{name}'"),
                location,
            ));
        };
        if !(*least..=*most).contains(&args.len()) {
            let message = format!(
                "The {} function requires {least} to {most} arguments (Msg 174)",
                function.to_uppercase()
            );
            return Err(report::invalid("42883", message, location));
        }
        let mut values = Vec::new();
        for arg in args {
            let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = arg else {
                return Err(report::unsupported(format!("the argument '{arg}'"), location));
            };
            values.push(expr.clone());
        }
        let sources = beside.to_vec();
        self.scopes.push(Scope { sources, ..Scope::default() });
        let resolved = values.iter_mut().try_for_each(|value| self.text_of(value));
        self.scopes.pop();
        resolved?;
        let list = list_of(function, &mut values);
        let (heading, also) = match (*function, alias) {
            ("string_split" | "generate_series", _) => ("value", vec![*function]),
            (other, _) => (other, Vec::new()),
        };
        let mut also: Vec<String> = also.into_iter().map(str::to_owned).collect();
        // PostgreSQL names the column as the table.
        also.extend(alias.map(|alias| alias.name.value.clone()));
        let mut outputs = vec![Output { also, ..Output::named(heading.to_owned(), Holds::Other) }];
        let mut items = vec![item(functions::call("unnest", vec![list.clone()]), heading)];
        let with_ordinal = *function == "string_split" && wants_ordinal(values.get(2), location)?;
        if with_ordinal || ordinality {
            let heading = if with_ordinal { "ordinal" } else { "ordinality" };
            let places = functions::call("sql_ordinals", vec![list]);
            items.push(item(functions::call("unnest", vec![places]), heading));
            outputs.push(Output::named(heading.to_owned(), Holds::Other));
        }
        let query = build::query(build::body(build::select(items, None)));
        let alias = alias.cloned().unwrap_or_else(|| build::alias(function));
        let source = Self::derived(outputs, Some(&alias))?;
        let lateral = lateral_query(&query);
        let table =
            TableFactor::Derived { lateral, subquery: query, alias: Some(alias), sample: None };
        Ok((table, source))
    }
}

/// Whether a query may depend on rows outside of it.
fn lateral_query(query: &Query) -> bool {
    visit_expressions(query, |expr| match expr {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    })
    .is_break()
}

/// Whether a resolved expression has columns in it.
pub(super) fn depends(expr: &Expr) -> bool {
    visit_expressions(expr, |expr| match expr {
        Expr::Identifier(_)
        | Expr::CompoundIdentifier(_)
        | Expr::Subquery(_)
        | Expr::Exists { .. }
        | Expr::InSubquery { .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    })
    .is_break()
}

fn item(expr: Expr, name: &str) -> SelectItem {
    SelectItem::ExprWithAlias { expr, alias: Ident::new(name) }
}

/// The list whose items are the rows of a table function.
fn list_of(function: &str, values: &mut Vec<Expr>) -> Expr {
    match function {
        "string_split" => {
            let args = values.iter().take(2).cloned().collect();
            functions::call("sql_string_split", args)
        }
        "string_to_table" => functions::call("string_to_array", std::mem::take(values)),
        "regexp_split_to_table" => functions::regexp_split(std::mem::take(values)),
        "generate_series" => {
            // PostgreSQL takes a step as `'1 day'` for an interval.
            if let Some(step) = values.get_mut(2)
                && is_text_of_interval(step)
            {
                *step = Expr::Cast {
                    kind: CastKind::DoubleColon,
                    expr: Box::new(step.clone()),
                    data_type: DataType::Interval { fields: None, precision: None },
                    array: false,
                    format: None,
                };
            }
            let name = match values.get(2) {
                Some(step) if is_interval(step) => "generate_series",
                _ => "sql_generate_series",
            };
            functions::call(name, std::mem::take(values))
        }
        _ => values.remove(0),
    }
}

/// Whether a step is a literal that is no number.
fn is_text_of_interval(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) => is_text_of_interval(inner),
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => text.trim().parse::<f64>().is_err(),
            _ => false,
        },
        _ => false,
    }
}

fn is_interval(expr: &Expr) -> bool {
    match expr {
        Expr::Interval(_) => true,
        Expr::Cast { data_type, .. } => matches!(data_type, DataType::Interval { .. }),
        Expr::Nested(inner) => is_interval(inner),
        _ => false,
    }
}

/// The third argument of `STRING_SPLIT`: 0 or 1, and known.
fn wants_ordinal(value: Option<&Expr>, location: Location) -> Result<bool> {
    match value {
        None => Ok(false),
        Some(Expr::Cast { expr, .. } | Expr::Nested(expr)) => wants_ordinal(Some(expr), location),
        Some(Expr::Value(value)) => match value.value.to_string().as_str() {
            "0" | "NULL" => Ok(false),
            "1" => Ok(true),
            other => {
                let message = format!(
                    "Argument value {other} is invalid for argument 3 of string_split function \
                     (Msg 4199)"
                );
                Err(report::invalid("22023", message, location))
            }
        },
        Some(other) => {
            let message = format!(
                "The enable_ordinal argument for STRING_SPLIT only supports constant values \
                 (not variables or columns): {other} (Msg 8748)"
            );
            Err(report::invalid("22023", message, location))
        }
    }
}
