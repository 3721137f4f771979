//! `PIVOT` and `UNPIVOT` as the queries they stand for.

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, Expr, ExprWithAlias, FunctionArg, FunctionArgExpr, FunctionArguments,
    GroupByExpr, Ident, Join, JoinOperator, PivotValueSource, Query, SelectItem, SetExpr,
    SetOperator, SetQuantifier, TableAlias, TableFactor, Value,
};

use super::scope::{Source, same};
use super::{Resolver, build};
use crate::dialect::tsql::{functions, report};
use crate::error::Result;

const SOURCE: &str = "pivoted rows";

impl Resolver<'_> {
    /// `PIVOT (AGG(v) FOR c IN ([a], [b])) p`: a group for each combination of
    /// the other columns, a column for each value.
    pub(super) fn pivot(&mut self, factor: &mut TableFactor, beside: &[Source]) -> Result<Source> {
        let TableFactor::Pivot {
            table,
            aggregate_functions,
            value_column,
            value_source,
            default_on_null: None,
            alias,
        } = factor
        else {
            return Err(report::unsupported("DEFAULT ON NULL", self.location));
        };
        let ([aggregate], [column]) = (aggregate_functions.as_slice(), value_column.as_slice())
        else {
            return Err(report::unsupported("PIVOT with several aggregates", self.location));
        };
        let PivotValueSource::List(values) = value_source else {
            return Err(report::unsupported("PIVOT without a list of values", self.location));
        };
        let alias = required(alias.clone(), "PIVOT", self.location)?;
        let names = self.columns_of(table, beside)?;
        let column = name_of(column).ok_or_else(|| self.not_a_column("PIVOT"))?;
        let aggregate = aggregate.expr.clone();
        let argument = argument_of(&aggregate).ok_or_else(|| self.not_a_column("PIVOT"))?;
        let named = |name: &str| build::column(SOURCE, name);
        let others: Vec<&String> = names
            .iter()
            .filter(|name| !same(name, &column.value) && !same(name, &argument.value))
            .collect();
        let groups: Vec<Expr> = others.iter().map(|name| named(name)).collect();
        let mut items: Vec<SelectItem> =
            others.iter().map(|name| build::item(named(name), name)).collect();
        for ExprWithAlias { expr, alias } in values {
            let (value, heading) = pivot_value(expr).ok_or_else(|| self.not_a_column("PIVOT"))?;
            let heading = alias.as_ref().map_or(heading, |alias| alias.value.clone());
            let subject = Expr::CompoundIdentifier(vec![build::ident(SOURCE), column.clone()]);
            let matches = build::binary(subject, BinaryOperator::Eq, value);
            let shown = Expr::CompoundIdentifier(vec![build::ident(SOURCE), argument.clone()]);
            let mut call = aggregate.clone();
            set_argument(&mut call, case(matches, shown));
            items.push(build::item(call, &heading));
        }
        let mut select = build::select(items, Some(under_alias(table, SOURCE)));
        select.group_by = GroupByExpr::Expressions(groups, Vec::new());
        let mut query = build::query(build::body(select));
        self.replaced(&mut query, beside)
            .and_then(|outputs| Self::derived(outputs, Some(&alias)))
            .inspect(|_| *factor = table_of(query, alias))
    }

    /// `UNPIVOT (v FOR c IN (a, b)) u`: a row for each value that is not null.
    pub(super) fn unpivot(
        &mut self,
        factor: &mut TableFactor,
        beside: &[Source],
    ) -> Result<Source> {
        let TableFactor::Unpivot { table, value, null_inclusion, name, columns, alias } = factor
        else {
            return Err(report::unsupported("this kind of table", self.location));
        };
        if null_inclusion.is_some() {
            return Err(report::unsupported("UNPIVOT INCLUDE NULLS", self.location));
        }
        let alias = required(alias.clone(), "UNPIVOT", self.location)?;
        let value = name_of(value).ok_or_else(|| self.not_a_column("UNPIVOT"))?;
        let names = self.columns_of(table, beside)?;
        let mut listed = Vec::new();
        for column in columns.iter() {
            listed.push(name_of(&column.expr).ok_or_else(|| self.not_a_column("UNPIVOT"))?);
        }
        let others: Vec<&String> =
            names.iter().filter(|name| !listed.iter().any(|l| same(name, &l.value))).collect();
        for new in [&value, &*name] {
            if others.iter().any(|other| same(other, &new.value)) {
                let message = format!(
                    "The column name \"{}\" specified in the UNPIVOT operator conflicts with the \
                     existing column name in the UNPIVOT argument (Msg 265)",
                    new.value
                );
                return Err(report::invalid("42701", message, report::start(new)));
            }
        }
        let row = |column: &Ident| {
            let shown = Expr::CompoundIdentifier(vec![build::ident(SOURCE), column.clone()]);
            let exact = names.iter().find(|name| same(name, &column.value));
            let label = functions::text(exact.map_or(column.value.as_str(), String::as_str));
            let items = vec![build::item(shown, &value.value), build::item(label, &name.value)];
            build::body(build::select(items, None))
        };
        let rows = listed.iter().map(row).reduce(|left, right| SetExpr::SetOperation {
            op: SetOperator::Union,
            set_quantifier: SetQuantifier::All,
            left: Box::new(left),
            right: Box::new(right),
        });
        let rows = rows.ok_or_else(|| self.not_a_column("UNPIVOT"))?;
        const ROWS: &str = "unpivoted values";
        let mut items: Vec<SelectItem> =
            others.iter().map(|other| build::item(build::column(SOURCE, other), other)).collect();
        items.extend([&value.value, &name.value].map(|n| build::item(build::column(ROWS, n), n)));
        let mut select = build::select(items, Some(under_alias(table, SOURCE)));
        select.from[0].joins.push(Join {
            relation: build::derived(build::query(rows), ROWS),
            global: false,
            join_operator: JoinOperator::CrossApply,
        });
        select.selection = Some(Expr::IsNotNull(Box::new(build::column(ROWS, &value.value))));
        let mut query = build::query(build::body(select));
        self.replaced(&mut query, beside)
            .and_then(|outputs| Self::derived(outputs, Some(&alias)))
            .inspect(|_| *factor = table_of(query, alias))
    }

    fn replaced(
        &mut self,
        query: &mut Query,
        beside: &[Source],
    ) -> Result<Vec<super::scope::Output>> {
        let location = self.location;
        let scope = super::scope::Scope { sources: beside.to_vec(), ..Default::default() };
        self.scopes.push(scope);
        let outputs = self.query(query);
        self.scopes.pop();
        outputs.map_err(|mut error| {
            if error.place.is_none() {
                error = report::at(error, location);
            }
            error
        })
    }

    /// The columns of the table that is pivoted.
    fn columns_of(&mut self, table: &TableFactor, beside: &[Source]) -> Result<Vec<String>> {
        let mut copy = table.clone();
        let sources = self.factor(&mut copy, beside)?;
        Ok(sources.iter().flat_map(Source::outputs).map(|output| output.name).collect())
    }

    fn not_a_column(&self, clause: &str) -> crate::error::Error {
        let message = format!("Incorrect syntax in {clause} (Msg 102): it takes names of columns");
        report::syntax(message, self.location)
    }
}

fn required(
    alias: Option<TableAlias>,
    clause: &str,
    location: datafusion::sql::sqlparser::tokenizer::Location,
) -> Result<TableAlias> {
    alias.ok_or_else(|| {
        let message = format!("Incorrect syntax (Msg 102): {clause} needs an alias after it");
        report::syntax(message, location)
    })
}

fn table_of(subquery: Box<Query>, alias: TableAlias) -> TableFactor {
    TableFactor::Derived { lateral: false, subquery, alias: Some(alias), sample: None }
}

/// The table under another name.
fn under_alias(table: &TableFactor, name: &str) -> TableFactor {
    let mut table = table.clone();
    match &mut table {
        TableFactor::Table { alias, .. } | TableFactor::Derived { alias, .. } => {
            let columns = alias.take().map(|a| a.columns).unwrap_or_default();
            *alias = Some(TableAlias { columns, ..build::alias(name) });
            table
        }
        _ => {
            let all = SelectItem::Wildcard(Default::default());
            build::derived(build::query(build::body(build::select(vec![all], Some(table)))), name)
        }
    }
}

fn name_of(expr: &Expr) -> Option<Ident> {
    match expr {
        Expr::Identifier(ident) => Some(ident.clone()),
        Expr::CompoundIdentifier(parts) => parts.last().cloned(),
        _ => None,
    }
}

/// A value of the list, and the heading of its column.
fn pivot_value(expr: &Expr) -> Option<(Expr, String)> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::NationalStringLiteral(text) => {
                Some((expr.clone(), text.clone()))
            }
            Value::Number(number, _) => Some((expr.clone(), number.clone())),
            _ => None,
        },
        other => {
            let name = name_of(other)?.value;
            // A number in brackets is compared as one.
            let value = match name.parse::<i64>() {
                Ok(_) => Expr::value(Value::Number(name.clone(), false)),
                Err(_) => functions::text(&name),
            };
            Some((value, name))
        }
    }
}

fn argument_of(aggregate: &Expr) -> Option<Ident> {
    let Expr::Function(function) = aggregate else { return None };
    let FunctionArguments::List(list) = &function.args else { return None };
    match list.args.as_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))] => name_of(expr),
        _ => None,
    }
}

fn set_argument(aggregate: &mut Expr, argument: Expr) {
    if let Expr::Function(function) = aggregate
        && let FunctionArguments::List(list) = &mut function.args
    {
        list.args = vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))];
    }
}

/// `CASE WHEN condition THEN result END`.
fn case(condition: Expr, result: Expr) -> Expr {
    Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![CaseWhen { condition, result }],
        else_result: None,
    }
}
