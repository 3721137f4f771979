//! Tests of the whole dialect, by queries in the notation of [`printed`].

mod coverage;
mod documents;
mod filters;
mod golden;
mod options;
mod printed;
mod properties;
mod refusals;

use std::sync::LazyLock;

use super::*;
use crate::catalog::Catalog;
use crate::query::{Columns, Operand, Path, Style};

use printed::filter as show;

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

fn columns(select: &Select) -> Vec<String> {
    let Columns::List(list) = &select.columns else { return vec!["*".into()] };
    list.iter().map(printed::column).collect()
}

fn order(select: &Select) -> Vec<String> {
    select.order.iter().map(printed::order).collect()
}
