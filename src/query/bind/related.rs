//! Tests for rows of other tables: FetchXML's links inside filters and OData's
//! lambda expressions.
//!
//! The rows tested and what is joined to them are a *block* of sources, which
//! hangs on the row outside by its own join columns only. What else a lambda
//! expression says about rows outside is said about a copy of them inside: a row
//! of a collection has one parent, so that joining the parent again finds it.

use super::Binder;
use super::columns::hint;
use super::sources::{Scope, Source};
use crate::catalog::nearest;
use crate::error::{Error, Result, codes};
use crate::query::bound::{Column, Predicate};
use crate::query::{Columns, Filter, Lambda, Link, LinkType, Name, Quantifier, Related};

impl Binder<'_> {
    /// A `link-entity` inside a filter of the table `scope.here`.
    pub(super) fn related(
        &mut self,
        related: &Related,
        scope: Scope,
        depth: usize,
    ) -> Result<Predicate> {
        let link = &related.link;
        refuse_columns(link)?;
        match related.quantifier {
            Quantifier::Any | Quantifier::NotAll => self.linked(scope.here, link, depth),
            Quantifier::NotAny => {
                Ok(Predicate::Not(Box::new(self.linked(scope.here, link, depth)?)))
            }
            Quantifier::All => {
                let mut bare = link.clone();
                bare.alias = None;
                let some = self.add_link(scope.here, &bare, true)?;
                let satisfying = self.linked(scope.here, link, depth)?;
                let none = Predicate::Not(Box::new(satisfying));
                Ok(Predicate::And(vec![Predicate::Exists(some), none]))
            }
        }
    }

    /// Whether a linked row satisfies the filter of its link.
    fn linked(&mut self, parent: usize, link: &Link, depth: usize) -> Result<Predicate> {
        let source = self.add_link(parent, link, true)?;
        let outside = std::mem::replace(&mut self.block, source);
        let bound = self.bind_linked(source, link, depth);
        self.block = outside;
        bound.map(|()| Predicate::Exists(source))
    }

    /// What stands inside a link whose rows are tested.
    fn bind_linked(&mut self, source: usize, link: &Link, depth: usize) -> Result<()> {
        self.add_links_under(source, &link.links)?;
        if let Some(filter) = &link.filter {
            let scope = Scope { here: source, last: usize::MAX };
            let filter = self.nested_predicate(filter, scope, depth)?;
            self.joins[source - 1].filter = Some(filter);
        }
        let mut inner = source;
        self.bind_filters_of(&link.links, &mut inner)
    }

    /// The filter inside a link, part of the join condition. A test for further
    /// rows is made before the join, where only the link's own columns are there.
    pub(super) fn link_filter(
        &mut self,
        filter: &Filter,
        source: usize,
        depth: usize,
    ) -> Result<Predicate> {
        let scope = Scope { here: source, last: source };
        let predicate = self.nested_predicate(filter, scope, depth)?;
        for part in predicate.conjuncts() {
            let mut named = Vec::new();
            part.sources(&mut named);
            let first = self.joins[source - 1].link_type == LinkType::First;
            if (first || part.tests_rows()) && named.iter().any(|s| *s != source) {
                let message = match first {
                    true => {
                        "a condition on another table inside a link of type \
                             'matchfirstrowusingcrossapply' is not supported"
                    }
                    false => {
                        "a 'link-entity' inside the filter of a link, beside conditions on \
                              other tables, is not supported"
                    }
                };
                let error = Error::unsupported(message);
                return Err(match first_place(filter) {
                    Some(at) => error.at(at),
                    None => error,
                });
            }
        }
        Ok(predicate)
    }

    /// `collection/any(…)` and `collection/all(…)`.
    pub(super) fn lambda(
        &mut self,
        lambda: &Lambda,
        scope: Scope,
        depth: usize,
    ) -> Result<Predicate> {
        let bad = |message: String, at: &Name| {
            Err(Error::invalid(codes::ODATA, message).at(at.at.clone()))
        };
        let start = match &lambda.from {
            Some(variable) => self.variable(variable)?,
            None => scope.here,
        };
        let start = self.in_block(start).map_err(|error| error.at(lambda.at.clone()))?;
        let Some((collection, before)) = lambda.path.split_last() else {
            return Err(Error::internal("a lambda expression without a collection"));
        };
        let table = self.sources[start].table.clone();
        if let Some(first) = before.first() {
            if table.navigation(&first.text).is_none() {
                return Err(self.unknown_navigation(&table, first));
            }
            let message = format!(
                "the collection '{}' cannot be tested through the lookup '{}'",
                collection.text, first.text
            );
            return bad(message, first);
        }
        let named = |r: &&crate::catalog::OneToMany| r.navigation_property == collection.text;
        let Some(relation) = table.one_to_many.iter().find(named) else {
            if table.navigation(&collection.text).is_some() {
                let message = format!(
                    "'{}' leads to one row; any and all are for collections",
                    collection.text
                );
                return bad(message, collection);
            }
            let known = table.one_to_many.iter().map(|r| r.navigation_property.as_str());
            let near = hint(nearest(&collection.text, known));
            let message = format!(
                "Could not find a property named '{}' on type 'Microsoft.Dynamics.CRM.{}'{near}",
                collection.text, table.logical_name
            );
            return bad(message, collection);
        };
        let target = self.target(&relation.target, collection)?;
        let broken = || Error::internal(format!("'{}' has no columns", relation.schema_name));
        let to = table.column_index(&relation.column).ok_or_else(broken)?;
        let from = target.column_index(&relation.target_column).ok_or_else(broken)?;
        let source = Source {
            table: target,
            callable: None,
            label: lambda.variable.as_ref().map_or(&collection.text, |v| &v.text).clone(),
            parent: Some(start),
            tested_only: true,
            navigation: None,
            block: self.sources.len(),
            copy_of: None,
        };
        let to = Column { source: start, column: to };
        let source = self.push(source, LinkType::Exists, to, from);
        if let Some(filter) = &lambda.filter {
            let outside = std::mem::replace(&mut self.block, source);
            let outer_variables = self.variables.len();
            let variable = lambda.variable.iter().map(|v| (v.text.clone(), source));
            self.variables.extend(variable);
            let filter = self.nested_predicate(filter, scope, depth)?;
            self.variables.truncate(outer_variables);
            self.block = outside;
            // A row whose filter is unknown does not satisfy it.
            self.joins[source - 1].filter = Some(match lambda.all {
                true => Predicate::NotTrue(Box::new(filter)),
                false => filter,
            });
        } else if lambda.all {
            return bad("all(…) needs a condition".into(), collection);
        }
        Ok(match lambda.all {
            true => Predicate::Not(Box::new(Predicate::Exists(source))),
            false => Predicate::Exists(source),
        })
    }

    /// The source of a variable of the lambda expressions around.
    pub(super) fn variable(&self, variable: &Name) -> Result<usize> {
        let found = self.variables.iter().rev().find(|(name, _)| *name == variable.text);
        found.map(|(_, source)| *source).ok_or_else(|| {
            let near =
                hint(nearest(&variable.text, self.variables.iter().map(|(v, _)| v.as_str())));
            let message = format!("the variable '{}' is not known here{near}", variable.text);
            Error::invalid(codes::ODATA, message).at(variable.at.clone())
        })
    }

    /// The source itself, or inside a lambda expression its copy there.
    pub(super) fn in_block(&mut self, wanted: usize) -> Result<usize> {
        let block = self.block;
        if self.sources[wanted].block == block {
            return Ok(wanted);
        }
        // From the rows tested to their parents, until the wanted ones come.
        let (mut row, mut here) = (block, block);
        loop {
            let Some(parent) = self.sources[row].parent else {
                let message = "a row outside the lambda expression that is no parent of its rows \
                               cannot be named in it: not supported";
                return Err(Error::unsupported(message));
            };
            here = self.parent_inside(here, row, parent);
            row = self.sources[parent].copy_of.unwrap_or(parent);
            if row == wanted || parent == wanted {
                return Ok(here);
            }
        }
    }

    /// The parent of the rows `row`, which stand here as `here`, joined again.
    fn parent_inside(&mut self, here: usize, row: usize, parent: usize) -> usize {
        let original = self.sources[parent].copy_of.unwrap_or(parent);
        let known = |s: &Source| s.parent == Some(here) && s.copy_of == Some(original);
        if let Some(known) = self.sources.iter().position(known) {
            return known;
        }
        let link = &self.joins[row - 1];
        let (from, to) = (link.from, link.to.column);
        let source = Source {
            table: self.sources[parent].table.clone(),
            callable: None,
            label: self.sources[original].label.clone(),
            parent: Some(here),
            tested_only: false,
            navigation: None,
            block: self.block,
            copy_of: Some(original),
        };
        self.push(source, LinkType::Inner, Column { source: here, column: from }, to)
    }
}

/// Refuses columns and sort keys, which rows that are only tested do not have.
fn refuse_columns(link: &Link) -> Result<()> {
    let named = match &link.columns {
        Columns::All | Columns::AllAnd(_) => Some(&link.table),
        Columns::List(list) => list.first().map(|c| &c.column.name),
    };
    if let Some(name) = named {
        let message = format!("a link inside a filter has no columns: '{}'", name.text);
        return Err(Error::invalid(codes::INVALID_ARGUMENT, message).at(name.at.clone()));
    }
    if !link.order.is_empty() {
        let message = format!("a link inside a filter has no order: '{}'", link.table.text);
        return Err(Error::invalid(codes::INVALID_ARGUMENT, message).at(link.table.at.clone()));
    }
    link.links.iter().try_for_each(refuse_columns)
}

/// Where a filter stands, as far as it says.
fn first_place(filter: &Filter) -> Option<crate::error::Place> {
    match filter {
        Filter::And(parts) | Filter::Or(parts) => parts.iter().find_map(first_place),
        Filter::Not(part) => first_place(part),
        Filter::Related(related) => Some(related.link.table.at.clone()),
        Filter::Condition(condition) => Some(condition.at.clone()),
        Filter::Lambda(_) | Filter::Expression(_) => None,
    }
}
