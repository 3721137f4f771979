//! The list behind `SELECT`: columns, groups and aggregates, each with its heading.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Distinct, DuplicateTreatment, Expr, Function as Call, FunctionArg, FunctionArgExpr,
    FunctionArguments, Select, SelectItem, SelectItemQualifiedWildcardKind, Spanned,
    visit_expressions,
};
use datafusion::sql::sqlparser::tokenizer::Location;

use super::scope::Scope;
use super::{Reader, name};
use crate::error::Result;
use crate::query::{
    Aggregate, Column, ColumnRef, Columns, DateGrouping, DatePart, Function, Name, Path, Role,
};

/// One column of the answer.
pub(super) struct Item {
    pub source: usize,
    /// The column in the table of its source.
    pub index: usize,
    pub heading: Name,
    /// The query gave the heading, or the common form needs it said.
    aliased: bool,
    pub role: Role,
    /// A condition on groups needs it, and the answer does not show it.
    hidden: bool,
    column: String,
}

#[derive(Default)]
pub(super) struct Outputs {
    pub aggregate: bool,
    pub distinct: bool,
    pub items: Vec<Item>,
    /// Sources of which all columns are wanted.
    all: Vec<usize>,
}

impl Outputs {
    /// The columns of a source, as the common form lists them.
    pub fn columns_of(&mut self, source: usize) -> Columns {
        let all = self.all.contains(&source);
        let own = self.items.iter().filter(|item| item.source == source);
        let own = own.filter(|item| !all || item.aliased).map(|item| {
            let at = item.heading.at.clone();
            let name = Name { text: item.column.clone(), at };
            Column {
                column: ColumnRef { path: Path::Here, name },
                alias: item.aliased.then(|| item.heading.clone()),
                role: item.role.clone(),
            }
        });
        let own: Vec<Column> = own.collect();
        match (all, own.is_empty()) {
            (true, true) => Columns::All,
            (true, false) => Columns::AllAnd(own),
            (false, _) => Columns::List(own),
        }
    }

    /// What the answer shows.
    pub fn headings(&self) -> Vec<Name> {
        self.items.iter().filter(|item| !item.hidden).map(|item| item.heading.clone()).collect()
    }

    fn taken(&self, heading: &str) -> bool {
        self.items.iter().any(|item| item.heading.text.eq_ignore_ascii_case(heading))
    }
}

impl Reader<'_> {
    pub(super) fn outputs(
        &self,
        select: &Select,
        groups: &[Expr],
        scope: &Scope,
    ) -> Result<Outputs> {
        let at = select.select_token.0.span.start;
        let distinct = match &select.distinct {
            None | Some(Distinct::All) => false,
            Some(Distinct::Distinct) => true,
            Some(Distinct::On(_)) => return Err(self.cannot_say("'DISTINCT ON'", at)),
        };
        let aggregates =
            |item: &SelectItem| expr_of(item).is_some_and(|expr| aggregate(expr).is_some());
        let aggregate = !groups.is_empty()
            || select.having.is_some()
            || select.projection.iter().any(aggregates);
        if aggregate && distinct {
            return Err(self.cannot_say("'DISTINCT' beside groups", at));
        }
        let mut outputs = Outputs { aggregate, distinct, ..Outputs::default() };
        for item in &select.projection {
            match item {
                SelectItem::UnnamedExpr(expr) => self.item(expr, None, scope, &mut outputs)?,
                SelectItem::ExprWithAlias { expr, alias } => {
                    let alias = name(&alias.value, alias.span.start);
                    self.item(expr, Some(alias), scope, &mut outputs)?;
                }
                SelectItem::Wildcard(_) if !aggregate => {
                    outputs.all.extend(0..scope.sources.len());
                }
                SelectItem::QualifiedWildcard(kind, _) if !aggregate => {
                    let called = match kind {
                        SelectItemQualifiedWildcardKind::ObjectName(name) => name.to_string(),
                        SelectItemQualifiedWildcardKind::Expr(expr) => expr.to_string(),
                    };
                    let called = called.trim_matches(|c| matches!(c, '[' | ']' | '"'));
                    let known = |s: &super::scope::Source| s.called.eq_ignore_ascii_case(called);
                    let Some(source) = scope.sources.iter().position(known) else {
                        return Err(self.cannot_say(format!("'{called}.*'"), at));
                    };
                    outputs.all.push(source);
                }
                other => return Err(self.cannot_say(format!("'{other}'"), at)),
            }
        }
        for group in groups {
            self.check_group(group, scope, &outputs)?;
        }
        Ok(outputs)
    }

    /// Groups that the answer does not show are none in the other dialects.
    fn check_group(&self, group: &Expr, scope: &Scope, outputs: &Outputs) -> Result<()> {
        let shown = self.found(group, scope, outputs).is_some();
        let by_alias = match group {
            Expr::Identifier(ident) => outputs.taken(&ident.value),
            _ => false,
        };
        if shown || by_alias {
            return Ok(());
        }
        let at = group.span().start;
        if scope.column(group).is_none() && date_part(group).is_none() {
            return Err(self.refuse(group));
        }
        Err(self.cannot_say(format!("'GROUP BY {group}' without showing it"), at))
    }

    /// The item that shows what an expression of groups or rows says.
    pub(super) fn found(&self, expr: &Expr, scope: &Scope, outputs: &Outputs) -> Option<usize> {
        let (source, index, role) = self.said(expr, scope, outputs.aggregate)?;
        outputs.items.iter().position(|item| {
            item.role == role
                && (role == Role::Aggregate(Aggregate::Count)
                    || (item.source, item.index) == (source, index))
        })
    }

    /// The column and the role that an expression gives it.
    fn said(&self, expr: &Expr, scope: &Scope, grouped: bool) -> Option<(usize, usize, Role)> {
        if let Expr::Nested(inner) = expr {
            return self.said(inner, scope, grouped);
        }
        if let Some((function, column)) = aggregate(expr) {
            let (source, index) = match column {
                None => (0, scope.sources.first()?.table.primary_id_index()),
                Some(column) => {
                    let found = scope.column(column).filter(|found| found.level == 0)?;
                    (found.source, found.column)
                }
            };
            return Some((source, index, Role::Aggregate(function)));
        }
        let (part, column) = match date_part(expr) {
            Some((part, column)) if grouped => (Some(part), column),
            _ => (None, expr),
        };
        let found = scope.column(column).filter(|found| found.level == 0)?;
        let grouping = part.map(|part| DateGrouping { part, local: false });
        let role = if grouped { Role::Group(grouping) } else { Role::Plain };
        Some((found.source, found.column, role))
    }

    fn item(
        &self,
        expr: &Expr,
        alias: Option<Name>,
        scope: &Scope,
        outputs: &mut Outputs,
    ) -> Result<()> {
        let at = expr.span().start;
        let Some((source, index, role)) = self.said(expr, scope, outputs.aggregate) else {
            return Err(self.refuse(expr));
        };
        let facts = &scope.sources[source].table.columns[index];
        let logical = facts.logical_name.clone();
        let own = match &role {
            Role::Aggregate(function) => {
                let mut own = word(*function).to_owned();
                if *function != Aggregate::Count {
                    own = format!("{own}_{logical}");
                }
                while outputs.taken(&own) {
                    own.push('_');
                }
                own
            }
            Role::Group(Some(grouping)) => format!("{:?}", grouping.part).to_lowercase(),
            _ => logical.clone(),
        };
        let given = alias.is_some();
        let heading = alias.unwrap_or_else(|| name(own, at));
        // A name of its own where a link would put its alias in front.
        let aliased = match role {
            Role::Plain if given => heading.text != logical || source > 0,
            Role::Plain => source > 0 && !outputs.taken(&heading.text),
            _ => true,
        };
        let hidden = false;
        outputs.items.push(Item { source, index, heading, aliased, role, hidden, column: logical });
        Ok(())
    }

    /// The heading of an aggregate or a group in a condition on groups; what is not
    /// shown is added unseen.
    pub(super) fn group_heading(
        &self,
        expr: &Expr,
        outputs: &mut Outputs,
        scope: &Scope,
    ) -> Result<Name> {
        if let Some(index) = self.found(expr, scope, outputs) {
            return Ok(outputs.items[index].heading.clone());
        }
        if aggregate(expr).is_none() {
            return Err(self.refuse(expr));
        }
        self.item(expr, None, scope, outputs)?;
        let last = outputs.items.last_mut();
        Ok(last
            .map(|item| {
                item.hidden = true;
                item.heading.clone()
            })
            .unwrap_or_else(|| name("", Location::empty())))
    }
}

pub(super) fn expr_of(item: &SelectItem) -> Option<&Expr> {
    match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
        _ => None,
    }
}

fn word(function: Aggregate) -> &'static str {
    match function {
        Aggregate::Count | Aggregate::CountColumn { .. } => "count",
        Aggregate::Sum => "sum",
        Aggregate::Avg => "avg",
        Aggregate::Min => "min",
        Aggregate::Max => "max",
    }
}

/// A plain call: its name in lower case, its arguments, and whether they are distinct.
fn call(expr: &Expr) -> Option<(String, Vec<&FunctionArgExpr>, bool)> {
    let Expr::Function(Call { name, args, filter: None, over: None, within_group, .. }) = expr
    else {
        return None;
    };
    let FunctionArguments::List(list) = args else { return None };
    if !within_group.is_empty() || !list.clauses.is_empty() {
        return None;
    }
    let mut arguments = Vec::with_capacity(list.args.len());
    for argument in &list.args {
        let FunctionArg::Unnamed(argument) = argument else { return None };
        arguments.push(argument);
    }
    let distinct = list.duplicate_treatment == Some(DuplicateTreatment::Distinct);
    Some((name.to_string().to_lowercase(), arguments, distinct))
}

/// The aggregate that a call is, and its column; `COUNT(*)` has none.
fn aggregate(expr: &Expr) -> Option<(Aggregate, Option<&Expr>)> {
    if let Expr::Nested(inner) = expr {
        return aggregate(inner);
    }
    let (name, arguments, distinct) = call(expr)?;
    let [argument] = arguments.as_slice() else { return None };
    let column = match argument {
        FunctionArgExpr::Wildcard => {
            return (matches!(name.as_str(), "count" | "count_big") && !distinct)
                .then_some((Aggregate::Count, None));
        }
        FunctionArgExpr::Expr(column) => column,
        _ => return None,
    };
    // Every row counts where a number is counted.
    let literal = super::literal::written(column);
    if let Some(super::literal::Written::Number(_)) = literal {
        return (matches!(name.as_str(), "count" | "count_big") && !distinct)
            .then_some((Aggregate::Count, None));
    }
    let function = match name.as_str() {
        "count" | "count_big" => Aggregate::CountColumn { distinct },
        _ if distinct => return None,
        "sum" => Aggregate::Sum,
        "avg" => Aggregate::Avg,
        "min" => Aggregate::Min,
        "max" => Aggregate::Max,
        _ => return None,
    };
    Some((function, Some(column)))
}

/// `YEAR(x)` and `DATEPART(year, x)`: the part's name and the expression.
fn part_call(expr: &Expr) -> Option<(String, &Expr)> {
    let (name, arguments, false) = call(expr)? else { return None };
    match (name.as_str(), arguments.as_slice()) {
        ("year" | "month" | "day", [FunctionArgExpr::Expr(of)]) => Some((name, of)),
        (
            "datepart",
            [FunctionArgExpr::Expr(Expr::Identifier(part)), FunctionArgExpr::Expr(of)],
        ) => Some((part.value.to_lowercase(), of)),
        _ => None,
    }
}

/// A part of a date that groups are made by.
fn date_part(expr: &Expr) -> Option<(DatePart, &Expr)> {
    let (part, of) = part_call(expr)?;
    let part = match part.as_str() {
        "year" | "yy" | "yyyy" => DatePart::Year,
        "quarter" | "qq" | "q" => DatePart::Quarter,
        "month" | "mm" | "m" => DatePart::Month,
        "week" | "ww" | "wk" => DatePart::Week,
        "day" | "dd" | "d" => DatePart::Day,
        _ => return None,
    };
    Some((part, of))
}

/// The function of a part of a date.
pub(super) fn date_function(expr: &Expr) -> Option<(Function, &Expr)> {
    let (part, of) = part_call(expr)?;
    let function = match part.as_str() {
        "year" | "yy" | "yyyy" => Function::Year,
        "month" | "mm" | "m" => Function::Month,
        "day" | "dd" | "d" => Function::Day,
        "hour" | "hh" => Function::Hour,
        "minute" | "mi" | "n" => Function::Minute,
        "second" | "ss" | "s" => Function::Second,
        _ => return None,
    };
    Some((function, of))
}

/// What an expression is called in messages: the part of it that only T-SQL has.
pub(super) fn called(expr: &Expr) -> String {
    let mut outermost = None;
    let special = visit_expressions(expr, |part| {
        let word = match part {
            Expr::Case { .. } => Some("CASE".to_owned()),
            Expr::Function(call) if !call.within_group.is_empty() || call.over.is_some() => {
                Some(call.name.to_string())
            }
            Expr::Function(call) => {
                outermost.get_or_insert_with(|| call.name.to_string());
                None
            }
            Expr::Cast { .. } => {
                outermost.get_or_insert_with(|| "CAST".to_owned());
                None
            }
            _ => None,
        };
        word.map_or(ControlFlow::Continue(()), ControlFlow::Break)
    });
    match (special, outermost) {
        (ControlFlow::Break(word), _) | (_, Some(word)) => word,
        _ => expr.to_string(),
    }
}
