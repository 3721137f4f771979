//! Queries in a short notation, one part a line: `name` is a column, `nav/name`
//! one behind a navigation property; texts are in quotes, values of query
//! functions in braces.

use crate::query::{
    Aggregate, Column, ColumnRef, Columns, Expand, Expression, Filter, Input, Literal, LiteralKind,
    Operand, Order, OrderBy, Path, Role, Select, Test,
};

/// A whole query.
pub fn query(select: &Select) -> String {
    let mut lines = Vec::new();
    query_lines(select, &mut lines);
    lines.join("\n")
}

fn query_lines(select: &Select, lines: &mut Vec<String>) {
    match &select.input {
        Input::Table => lines.push(format!("from {}", select.table.text)),
        Input::Select(inner) => {
            lines.push("from".into());
            indented(lines, |lines| query_lines(inner, lines));
        }
        Input::Concat(all) => {
            for inner in all {
                lines.push("from each".into());
                indented(lines, |lines| query_lines(inner, lines));
            }
        }
    }
    for computed in &select.compute {
        lines.push(format!("compute {} as {}", expression(&computed.value), computed.alias.text));
    }
    lines.extend(select.filter.as_ref().map(|f| format!("where {}", filter(f))));
    if let Columns::List(list) = &select.columns {
        assert_eq!(select.aggregate, list.iter().all(|c| c.role != Role::Plain));
        lines.extend(list.iter().map(|c| format!("column {}", column(c))));
    }
    for item in &select.expand {
        expand_lines(item, lines);
    }
    lines.extend(select.order.iter().map(|key| format!("order {}", order(key))));
    if let Some(share) = &select.share {
        let end = if share.bottom { "bottom" } else { "top" };
        let unit = if share.percent { "%" } else { "" };
        lines.push(format!("{end} {}{unit} of the sum of {}", share.amount, path(&share.by)));
    }
    if select.skip > 0 {
        lines.push(format!("skip {}", select.skip));
    }
    lines.extend(select.top.map(|top| format!("top {top}")));
    if select.count {
        lines.push("count".into());
    }
}

fn indented(lines: &mut Vec<String>, print: impl FnOnce(&mut Vec<String>)) {
    let mut inner = Vec::new();
    print(&mut inner);
    lines.extend(inner.into_iter().map(|line| format!("    {line}")));
}

fn expand_lines(item: &Expand, lines: &mut Vec<String>) {
    let reference = if item.reference { " by reference" } else { "" };
    lines.push(format!("expand {}{reference}", item.navigation.text));
    indented(lines, |lines| {
        for name in item.select.iter().flatten() {
            lines.push(format!("column {}", name.text));
        }
        lines.extend(item.filter.as_ref().map(|f| format!("where {}", filter(f))));
        lines.extend(item.order.iter().map(|key| format!("order {}", order(key))));
        lines.extend(item.top.map(|top| format!("top {top}")));
        if item.count {
            lines.push("count".into());
        }
        item.expand.iter().for_each(|inner| expand_lines(inner, lines));
    });
}

pub fn filter(filter: &Filter) -> String {
    let list = |all: &[Filter]| all.iter().map(self::filter).collect::<Vec<_>>().join(", ");
    match filter {
        Filter::And(all) => format!("and({})", list(all)),
        Filter::Or(any) => format!("or({})", list(any)),
        Filter::Not(inner) => format!("not({})", self::filter(inner)),
        Filter::Condition(c) => {
            let mut text = match c.test {
                Test::Compare(operator) => format!("{} {operator:?}", path(&c.column)),
                test => format!("{} {test:?}", path(&c.column)),
            };
            for operand in &c.operands {
                text.push(' ');
                text.push_str(&match operand {
                    Operand::Column(column) => path(column),
                    Operand::Value(value) => literal(value),
                });
            }
            text
        }
        Filter::Lambda(lambda) => {
            let quantifier = if lambda.all { "all" } else { "any" };
            let names = lambda.from.iter().chain(&lambda.path).map(|name| name.text.as_str());
            let collection = names.collect::<Vec<_>>().join("/");
            match (&lambda.variable, &lambda.filter) {
                (Some(variable), Some(inner)) => {
                    let inner = self::filter(inner);
                    format!("{quantifier} {} of {collection}: {inner}", variable.text)
                }
                _ => format!("{quantifier} of {collection}"),
            }
        }
        Filter::Expression(value) => expression(value),
        Filter::Related(_) => panic!("OData has no linked filters"),
    }
}

pub fn expression(value: &Expression) -> String {
    match value {
        Expression::Column(column) => path(column),
        Expression::Literal(value) => literal(value),
        Expression::Null(_) => "null".into(),
        Expression::Call { function, arguments, .. } => {
            let arguments: Vec<String> = arguments.iter().map(expression).collect();
            format!("{function:?}({})", arguments.join(", "))
        }
    }
}

/// Texts in quotes, untyped ones in braces, the rest with its kind unless plain.
fn literal(literal: &Literal) -> String {
    match literal.kind {
        LiteralKind::Text => format!("'{}'", literal.text),
        LiteralKind::Untyped => format!("{{{}}}", literal.text),
        LiteralKind::Number => literal.text.clone(),
        kind => format!("{kind:?}:{}", literal.text),
    }
}

pub fn path(column: &ColumnRef) -> String {
    let names: Vec<&str> = match &column.path {
        Path::Here => Vec::new(),
        Path::Alias(_) => panic!("OData has no link aliases"),
        Path::Navigation(names) => names.iter().map(|n| n.text.as_str()).collect(),
        Path::Variable { variable, navigation } => {
            let names = [variable].into_iter().chain(navigation);
            names.map(|n| n.text.as_str()).collect()
        }
    };
    names.into_iter().chain([column.name.text.as_str()]).collect::<Vec<_>>().join("/")
}

pub fn column(column: &Column) -> String {
    let name = path(&column.column);
    let text = match &column.role {
        Role::Plain => name,
        Role::Group(None) => format!("group {name}"),
        Role::Aggregate(Aggregate::CountColumn { distinct: true }) => format!("distinct {name}"),
        Role::Aggregate(aggregate) => format!("{aggregate:?} {name}").to_lowercase(),
        role => panic!("OData has no {role:?}"),
    };
    match &column.alias {
        Some(alias) => format!("{text} as {}", alias.text),
        None => text,
    }
}

pub fn order(key: &Order) -> String {
    let name = match &key.by {
        OrderBy::Expression(value) => expression(value),
        OrderBy::Column(column) => path(column),
        OrderBy::Alias(alias) => format!("alias {}", alias.text),
    };
    if key.descending { format!("{name} desc") } else { name }
}
