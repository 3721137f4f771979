//! The tables of a query: the root, links, and the joins that navigation
//! properties make on demand, one per distinct path.

use std::sync::Arc;

use super::Binder;
use super::stages::stage_table;
use crate::catalog::{Catalog, Table, nearest};
use crate::error::{Error, Result, codes};
use crate::query::bound::{Column, Join};
use crate::query::{Context, LinkType, Name, Path, Select};

/// One table of the query.
pub(super) struct Source {
    pub table: Arc<Table>,
    /// What `entityname` calls it: the alias, or without one the table's name.
    pub callable: Option<String>,
    /// What its columns are prefixed with in the answer.
    pub label: String,
    pub parent: Option<usize>,
    /// It only decides whether the parent's row stays; its columns are not there.
    pub tested_only: bool,
    /// The navigation property that leads here from the parent.
    pub navigation: Option<String>,
    /// The source whose rows a predicate looks at, of which this one is a part;
    /// the root outside such predicates.
    pub block: usize,
    /// The source that stands here again, inside the block.
    pub copy_of: Option<usize>,
}

/// From where in the query a name is looked up.
#[derive(Clone, Copy)]
pub(super) struct Scope {
    /// The table of the enclosing element.
    pub here: usize,
    /// The last source that can be named: a join condition sees only itself
    /// and what is joined before it.
    pub last: usize,
}

impl<'a> Binder<'a> {
    pub(super) fn new(select: &Select, catalog: &'a Catalog, context: &'a Context) -> Result<Self> {
        let made = stage_table(select, catalog, context)?;
        let (table, stages, paths) = match made {
            Some(made) => (made.table, made.stages, made.paths),
            None => (table(catalog, &select.table)?.clone(), Vec::new(), Vec::new()),
        };
        let root = Source {
            label: table.logical_name.clone(),
            table,
            callable: None,
            parent: None,
            tested_only: false,
            navigation: None,
            block: 0,
            copy_of: None,
        };
        Ok(Self {
            catalog,
            context,
            style: select.style,
            aggregate: select.aggregate,
            distinct: select.distinct,
            raw_order: select.raw_order,
            stages,
            paths,
            sources: vec![root],
            joins: Vec::new(),
            outputs: Vec::new(),
            block: 0,
            variables: Vec::new(),
        })
    }

    /// Conditions of the whole query see every source.
    pub(super) fn root_scope(&self) -> Scope {
        Scope { here: 0, last: usize::MAX }
    }

    pub(super) fn push(
        &mut self,
        source: Source,
        link_type: LinkType,
        to: Column,
        from: usize,
    ) -> usize {
        let mut alias = source.label.clone();
        let root = &self.sources[0].table.logical_name;
        while alias.eq_ignore_ascii_case(root)
            || self.joins.iter().any(|j| j.alias.eq_ignore_ascii_case(&alias))
        {
            alias.push('_');
        }
        let table = source.table.clone();
        let in_predicate = source.block == self.sources.len();
        self.joins.push(Join { link_type, in_predicate, table, alias, to, from, filter: None });
        self.sources.push(source);
        self.sources.len() - 1
    }

    /// The source a path leads to. `unknown` is the code for an unknown alias.
    pub(super) fn source(&mut self, path: &Path, scope: Scope, unknown: u32) -> Result<usize> {
        let (mut source, navigation) = match path {
            Path::Alias(alias) => return self.aliased(alias, scope, unknown),
            Path::Here => (scope.here, &[][..]),
            Path::Navigation(names) => (scope.here, names.as_slice()),
            Path::Variable { variable, navigation } => {
                (self.variable(variable)?, navigation.as_slice())
            }
        };
        source = self.in_block(source)?;
        for name in navigation {
            source = self.navigate(source, name)?;
        }
        Ok(source)
    }

    fn aliased(&self, alias: &Name, scope: Scope, unknown: u32) -> Result<usize> {
        let called = |s: &Source| s.callable.as_deref() == Some(alias.text.as_str());
        let mut found = self.sources.iter().enumerate().filter(|(_, s)| called(s));
        let Some((source, _)) = found.next() else {
            let known = self.sources.iter().filter_map(|s| s.callable.as_deref());
            let hint = super::columns::hint(nearest(&alias.text, known));
            let message = format!("no 'link-entity' has the alias '{}'{hint}", alias.text);
            return Err(Error::invalid(unknown, message).at(alias.at.clone()));
        };
        if found.next().is_some() {
            let message = format!("several links go by '{}'; give them aliases", alias.text);
            return Err(Error::invalid(unknown, message).at(alias.at.clone()));
        }
        if self.sources[source].block != self.block && self.block != 0 {
            let message = format!(
                "'{}' stands outside the 'link-entity' inside the filter and is not known there",
                alias.text
            );
            return Err(Error::invalid(unknown, message).at(alias.at.clone()));
        }
        if source > scope.last {
            let message = format!(
                "a filter inside a link on '{}', which is joined later, is not supported",
                alias.text
            );
            return Err(Error::unsupported(message).at(alias.at.clone()));
        }
        self.readable(source, scope, alias)?;
        Ok(source)
    }

    /// Refuses columns of tables that are only tested for a row, except from
    /// inside them.
    pub(super) fn readable(&self, source: usize, scope: Scope, name: &Name) -> Result<()> {
        let mut inside = vec![scope.here];
        while let Some(parent) = self.sources[inside[inside.len() - 1]].parent {
            inside.push(parent);
        }
        let mut next = Some(source);
        while let Some(source) = next {
            if self.sources[source].tested_only && !inside.contains(&source) {
                let message = format!(
                    "a link of type 'exists' or 'in' has no columns outside it: '{}'",
                    name.text
                );
                return Err(Error::invalid(codes::INVALID_ARGUMENT, message).at(name.at.clone()));
            }
            next = self.sources[source].parent;
        }
        Ok(())
    }

    /// The source behind a single-valued navigation property; joined if it is not yet.
    pub(super) fn navigate(&mut self, from: usize, property: &Name) -> Result<usize> {
        let table = self.sources[from].table.clone();
        let known =
            |s: &Source| s.parent == Some(from) && s.navigation.as_ref() == Some(&property.text);
        if let Some(known) = self.sources.iter().position(known) {
            return Ok(known);
        }
        let relation = table
            .navigation(&property.text)
            .ok_or_else(|| self.unknown_navigation(&table, property))?;
        let target = self.target(&relation.target, property)?;
        let broken = || Error::internal(format!("'{}' has no columns", relation.schema_name));
        let to = table.column_index(&relation.column).ok_or_else(broken)?;
        let key = target.column_index(&relation.target_column).ok_or_else(broken)?;
        let label = match from {
            0 => property.text.clone(),
            _ => format!("{}/{}", self.sources[from].label, property.text),
        };
        let source = Source {
            table: target,
            callable: None,
            label,
            parent: Some(from),
            tested_only: false,
            navigation: Some(property.text.clone()),
            block: self.sources[from].block,
            copy_of: None,
        };
        Ok(self.push(source, LinkType::Outer, Column { source: from, column: to }, key))
    }

    /// The table that a relationship leads to.
    pub(super) fn target(&self, name: &str, property: &Name) -> Result<Arc<Table>> {
        self.catalog.table(name).cloned().ok_or_else(|| {
            let message = format!(
                "the navigation property '{}' leads to the table '{name}', which is not served",
                property.text
            );
            Error::unsupported(message).at(property.at.clone())
        })
    }

    pub(super) fn unknown_navigation(&self, table: &Table, property: &Name) -> Error {
        let name = property.text.as_str();
        if table.one_to_many.iter().any(|r| r.navigation_property == name) {
            let message = format!("the collection '{name}' cannot be followed: not supported");
            return Error::unsupported(message).at(property.at.clone());
        }
        let known = table.many_to_one.iter().map(|r| r.navigation_property.as_str());
        let hint = super::columns::hint(nearest(name, known));
        let message = format!(
            "Could not find a property named '{name}' on type 'Microsoft.Dynamics.CRM.{}'{hint}",
            table.logical_name
        );
        Error::invalid(codes::ODATA, message).at(property.at.clone())
    }
}

pub(super) fn table(catalog: &Catalog, name: &Name) -> Result<Arc<Table>> {
    catalog.table(&name.text).cloned().ok_or_else(|| {
        if catalog.attached_table(&name.text).is_some() {
            let message = format!("'{}' is attached from files, which only SQL reads", name.text);
            return Error::unsupported(message).at(name.at.clone());
        }
        let hint = super::columns::hint(catalog.nearest_table(&name.text));
        let message = format!("table '{}' does not exist{hint}", name.text);
        Error::invalid(codes::UNKNOWN_ENTITY, message).at(name.at.clone())
    })
}
