//! The query that transformations come to. One [`Select`] filters, computes,
//! groups, sorts and cuts off, in this order; a transformation that comes too
//! late for that makes what is there the input of a further one.
//!
//! A query that other dialects can ask too stays a single one, so that it has
//! the same plan.

use std::mem;

use super::names::{in_expression, in_filter};
use crate::catalog::Table;
use crate::dialect::odata::filter::all_of;
use crate::error::Place;
use crate::query::{
    Aggregate, Column, ColumnRef, Columns, Computed, Filter, Input, Name, Order, OrderBy, Path,
    Role, Select, Share, Style,
};

/// Transformations so far.
#[derive(Clone)]
pub(in crate::dialect::odata) struct Stages<'a> {
    pub table: &'a Table,
    pub select: Select,
    /// How many queries there are, one in another.
    pub count: usize,
    /// How many characters of text they were written in.
    pub length: usize,
    /// How many values have been computed under a name nobody gave.
    unnamed: usize,
    /// Groups behind navigation properties: the path, and what the result has it as.
    renamed: Vec<(String, String)>,
}

impl<'a> Stages<'a> {
    /// All rows of a table.
    pub fn new(table: &'a Table) -> Self {
        let at = Place::Part(table.entity_set_name.clone());
        let root = Name { text: table.logical_name.clone(), at };
        let select = Select::of(Style::OData, root);
        Self { table, select, count: 1, length: 0, unnamed: 0, renamed: Vec::new() }
    }

    pub fn filter(&mut self, mut filter: Filter) {
        if self.select.aggregate || self.is_cut_off() {
            self.stage();
        }
        in_filter(&mut filter, &mut |column| self.settle(column));
        self.select.filter = all_of(self.select.filter.take().into_iter().chain([filter]));
    }

    /// Later values know those before them.
    pub fn compute(&mut self, mut computed: Vec<Computed>) {
        if self.select.aggregate || self.is_cut_off() {
            self.stage();
        }
        for item in &mut computed {
            in_expression(&mut item.value, &mut |column| self.settle(column));
        }
        self.select.compute.extend(computed);
    }

    /// A name for a value that is computed only to be aggregated. OData names do
    /// not begin like this.
    pub fn unnamed(&mut self, at: Place) -> Name {
        self.unnamed += 1;
        Name { text: format!("${}", self.unnamed), at }
    }

    /// Groups and aggregates.
    pub fn aggregate(&mut self, mut columns: Vec<Column>) {
        if self.select.aggregate || self.is_cut_off() {
            self.stage();
        }
        // The order of rows is not that of groups.
        self.select.order.clear();
        let row = row_column(&self.select.input, self.table);
        for column in &mut columns {
            if column.role == Role::Aggregate(Aggregate::Count) {
                column.column.name.text.clone_from(&row);
                continue;
            }
            self.settle(&mut column.column);
            let path = path_text(&column.column);
            if let (Role::Group(_), Some(path), Some(alias)) = (&column.role, path, &column.alias) {
                self.renamed.push((path, alias.text.clone()));
            }
        }
        self.select.aggregate = true;
        self.select.columns = Columns::List(columns);
    }

    pub fn order(&mut self, mut keys: Vec<Order>) {
        let computed = keys.iter().any(|key| matches!(key.by, OrderBy::Expression(_)));
        if self.is_cut_off() || (computed && self.select.aggregate) {
            self.stage();
        }
        for key in &mut keys {
            self.settle_order(&mut key.by);
        }
        self.select.order = keys;
    }

    pub fn skip(&mut self, rows: u64) {
        if self.select.share.is_some() {
            self.stage();
        }
        self.select.skip = self.select.skip.saturating_add(rows);
        self.select.top = self.select.top.map(|top| top.saturating_sub(rows));
    }

    pub fn top(&mut self, rows: u64) {
        if self.select.share.is_some() {
            self.stage();
        }
        self.select.top = Some(self.select.top.map_or(rows, |top| top.min(rows)));
    }

    pub fn share(&mut self, mut share: Share) {
        if self.select.aggregate || self.is_cut_off() {
            self.stage();
        }
        self.settle(&mut share.by);
        self.select.share = Some(share);
    }

    /// The rows of several, one after the other.
    pub fn concat(&mut self, branches: Vec<Self>) {
        let root = self.select.table.clone();
        let mut selects = Vec::with_capacity(branches.len());
        (self.count, self.length) = (1, 0);
        for branch in branches {
            self.count += branch.count;
            self.length += branch.length;
            self.unnamed = self.unnamed.max(branch.unnamed);
            self.renamed.extend(branch.renamed);
            selects.push(branch.select);
        }
        self.select = Select { input: Input::Concat(selects), ..Select::of(Style::OData, root) };
    }

    /// The columns of the answer.
    pub fn columns(&mut self, columns: Columns) {
        if self.select.aggregate {
            self.stage();
        }
        self.select.columns = columns;
    }

    /// What follows is not a transformation, and leaves the number of rows that
    /// they made as it is.
    pub fn finish(&mut self) {
        if self.is_cut_off() {
            self.stage();
        }
    }

    fn is_cut_off(&self) -> bool {
        let Select { share, skip, top, .. } = &self.select;
        share.is_some() || *skip > 0 || top.is_some()
    }

    /// Makes what is there the input of a further query.
    fn stage(&mut self) {
        let cut_off = self.is_cut_off();
        let root = self.select.table.clone();
        let mut inner = mem::replace(&mut self.select, Select::of(Style::OData, root));
        if let Some(order) = self.carried(&inner.order) {
            self.select.order = order;
            if !cut_off {
                inner.order.clear();
            }
        }
        self.select.input = Input::Select(Box::new(inner));
        self.count += 1;
    }

    /// Sort keys as the next query has them, unless one is none of its columns.
    fn carried(&self, keys: &[Order]) -> Option<Vec<Order>> {
        let carried = |key: &Order| {
            let by = match &key.by {
                OrderBy::Alias(name) => ColumnRef { path: Path::Here, name: name.clone() },
                OrderBy::Column(column) => {
                    let mut column = column.clone();
                    self.rename(&mut column);
                    column
                }
                OrderBy::Expression(_) => return None,
            };
            matches!(by.path, Path::Here)
                .then_some(Order { by: OrderBy::Column(by), descending: key.descending })
        };
        keys.iter().map(carried).collect()
    }

    /// A name in `orderby` may be that of a result.
    fn settle_order(&self, by: &mut OrderBy) {
        match by {
            OrderBy::Column(column) => {
                self.settle(column);
                let Columns::List(list) = &self.select.columns else { return };
                let is_alias = |c: &Column| {
                    c.alias.as_ref().is_some_and(|alias| alias.text == column.name.text)
                };
                if self.select.aggregate
                    && matches!(column.path, Path::Here)
                    && list.iter().any(is_alias)
                {
                    *by = OrderBy::Alias(column.name.clone());
                }
            }
            OrderBy::Expression(expression) => {
                in_expression(expression, &mut |column| self.settle(column));
            }
            OrderBy::Alias(_) => {}
        }
    }

    /// A column behind a navigation property by which earlier transformations
    /// grouped is one of their results.
    fn settle(&self, column: &mut ColumnRef) {
        if !matches!(self.select.input, Input::Table) {
            self.rename(column);
        }
    }

    fn rename(&self, column: &mut ColumnRef) {
        let Some(path) = path_text(column) else { return };
        if let Some((_, name)) = self.renamed.iter().find(|(known, _)| *known == path) {
            column.path = Path::Here;
            column.name.text.clone_from(name);
        }
    }
}

fn path_text(column: &ColumnRef) -> Option<String> {
    let Path::Navigation(names) = &column.path else { return None };
    let mut text = String::new();
    for name in names {
        text.push_str(&name.text);
        text.push('/');
    }
    text.push_str(&column.name.text);
    Some(text)
}

/// Counting rows needs no column; one that is surely there stands for the row.
fn row_column(input: &Input, table: &Table) -> String {
    let select = match input {
        Input::Table => return table.primary_id.clone(),
        Input::Select(select) => select,
        Input::Concat(selects) => match selects.first() {
            Some(select) => select,
            None => return table.primary_id.clone(),
        },
    };
    let Columns::List(list) = &select.columns else { return row_column(&select.input, table) };
    // The last one has an alias unless there are only groups.
    let names = list.iter().rev().filter_map(|column| match (&column.alias, &column.column.path) {
        (Some(alias), _) => Some(&alias.text),
        (None, Path::Here) => Some(&column.column.name.text),
        (None, _) => None,
    });
    names.into_iter().next().map_or_else(|| table.primary_id.clone(), Clone::clone)
}
