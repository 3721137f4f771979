//! Tests of the whole dialect. Queries are compared in a short notation:
//! `name` is a column, `nav/name` one behind a navigation property.

mod documents;
mod filters;
mod options;
mod properties;
mod refusals;

use std::sync::LazyLock;

use super::*;
use crate::catalog::Catalog;
use crate::query::{Column, ColumnRef, Filter, Literal, LiteralKind, Operand, Role, Test};

static CATALOG: LazyLock<Catalog> = LazyLock::new(Catalog::built_in);

/// Reads an undecoded query string on `asyncoperations`.
fn read(options: &str) -> Result<Select> {
    let table = CATALOG.table("asyncoperation").expect("built in");
    parse(table, &decode_options(options)?)
}

fn select(options: &str) -> Select {
    read(options).unwrap_or_else(|e| panic!("{options}: {e}"))
}

fn error(options: &str) -> String {
    read(options).expect_err(options).to_string()
}

/// The filter of a query string's `$filter`, in short.
fn filter(text: &str) -> String {
    show(&select(&format!("$filter={text}")).filter.expect("has a filter"))
}

fn show(filter: &Filter) -> String {
    let list = |all: &[Filter]| all.iter().map(show).collect::<Vec<_>>().join(", ");
    match filter {
        Filter::And(all) => format!("and({})", list(all)),
        Filter::Or(any) => format!("or({})", list(any)),
        Filter::Not(inner) => format!("not({})", show(inner)),
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
        other => format!("{other:?}"),
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

fn path(column: &ColumnRef) -> String {
    match &column.path {
        Path::Here => column.name.text.clone(),
        Path::Alias(alias) => format!("{}.{}", alias.text, column.name.text),
        Path::Navigation(names) => {
            let names: Vec<_> = names.iter().map(|n| n.text.as_str()).collect();
            format!("{}/{}", names.join("/"), column.name.text)
        }
        Path::Variable { variable, .. } => format!("{}:{}", variable.text, column.name.text),
    }
}

fn columns(select: &Select) -> Vec<String> {
    let Columns::List(list) = &select.columns else { return vec!["*".into()] };
    list.iter().map(column).collect()
}

fn column(column: &Column) -> String {
    let name = path(&column.column);
    let text = match &column.role {
        Role::Plain => name,
        Role::Group(None) => format!("group {name}"),
        role => format!("{role:?} {name}"),
    };
    match &column.alias {
        Some(alias) => format!("{text} as {}", alias.text),
        None => text,
    }
}

fn order(select: &Select) -> Vec<String> {
    let key = |key: &Order| {
        let name = match &key.by {
            OrderBy::Expression(expression) => format!("{expression:?}"),
            OrderBy::Column(column) => path(column),
            OrderBy::Alias(alias) => format!("alias {}", alias.text),
        };
        if key.descending { format!("{name} desc") } else { name }
    };
    select.order.iter().map(key).collect()
}
