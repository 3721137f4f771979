//! The tables of a query: the root, links, and the joins that navigation
//! properties make on demand, one per distinct path.

use std::sync::Arc;

use super::Binder;
use crate::catalog::{Catalog, Table, nearest};
use crate::error::{Error, Result, codes};
use crate::query::bound::{Column, Join};
use crate::query::{Context, Link, LinkType, Name, Path, Select};

/// One table of the query.
pub(super) struct Source {
    pub table: Arc<Table>,
    /// What `entityname` calls it: the alias, or without one the table's name.
    callable: Option<String>,
    /// What its columns are prefixed with in the answer.
    pub label: String,
    parent: Option<usize>,
    /// It only decides whether the parent's row stays; its columns are not there.
    tested_only: bool,
    /// The navigation properties that lead here from the root.
    navigation: Vec<String>,
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
        let table = table(catalog, &select.table)?;
        let root = Source {
            label: table.logical_name.clone(),
            table,
            callable: None,
            parent: None,
            tested_only: false,
            navigation: Vec::new(),
        };
        Ok(Self {
            catalog,
            context,
            style: select.style,
            aggregate: select.aggregate,
            distinct: select.distinct,
            raw_order: select.raw_order,
            sources: vec![root],
            joins: Vec::new(),
            outputs: Vec::new(),
        })
    }

    /// Conditions of the whole query see every source.
    pub(super) fn root_scope(&self) -> Scope {
        Scope { here: 0, last: usize::MAX }
    }

    pub(super) fn add_links(&mut self, links: &[Link]) -> Result<()> {
        self.add_links_under(0, links)
    }

    fn add_links_under(&mut self, parent: usize, links: &[Link]) -> Result<()> {
        for link in links {
            let source = self.add_link(parent, link)?;
            self.add_links_under(source, &link.links)?;
        }
        Ok(())
    }

    fn add_link(&mut self, parent: usize, link: &Link) -> Result<usize> {
        let table = table(self.catalog, &link.table)?;
        let from = self.column(&table, &link.from)?;
        let to = self.column(&self.sources[parent].table, &link.to)?;
        let types = [(&table, from), (&self.sources[parent].table, to)]
            .map(|(table, column)| table.schema().field(column).data_type().clone());
        if types[0] != types[1] {
            let message = format!(
                "'{}' of '{}' and '{}' of '{}' cannot be joined: their types differ",
                link.to.text,
                self.sources[parent].table.logical_name,
                link.from.text,
                table.logical_name,
            );
            return Err(Error::invalid(codes::INVALID_ARGUMENT, message).at(link.to.at.clone()));
        }
        if let Some(alias) = &link.alias
            && self.sources.iter().any(|s| s.callable.as_ref() == Some(&alias.text))
        {
            let message = format!("the alias '{}' stands twice", alias.text);
            return Err(Error::invalid(codes::DUPLICATE_ALIAS, message).at(alias.at.clone()));
        }
        let given = link.alias.as_ref().map(|a| a.text.clone());
        // Links without an alias are numbered in document order.
        let label = given
            .clone()
            .unwrap_or_else(|| format!("{}{}", table.logical_name, self.sources.len()));
        let callable = Some(given.unwrap_or_else(|| table.logical_name.clone()));
        let source = Source {
            table,
            callable,
            label,
            parent: Some(parent),
            tested_only: link.link_type == LinkType::Exists,
            navigation: Vec::new(),
        };
        Ok(self.push(source, link.link_type, Column { source: parent, column: to }, from))
    }

    fn push(&mut self, source: Source, link_type: LinkType, to: Column, from: usize) -> usize {
        let mut alias = source.label.clone();
        let root = &self.sources[0].table.logical_name;
        while alias.eq_ignore_ascii_case(root)
            || self.joins.iter().any(|j| j.alias.eq_ignore_ascii_case(&alias))
        {
            alias.push('_');
        }
        let table = source.table.clone();
        self.joins.push(Join { link_type, table, alias, to, from, filter: None });
        self.sources.push(source);
        self.sources.len() - 1
    }

    /// The filters inside links, once all sources are known.
    pub(super) fn bind_link_filters(&mut self, links: &[Link]) -> Result<()> {
        let mut source = 0;
        self.bind_filters_of(links, &mut source)
    }

    fn bind_filters_of(&mut self, links: &[Link], source: &mut usize) -> Result<()> {
        for link in links {
            *source += 1;
            if let Some(filter) = &link.filter {
                let scope = Scope { here: *source, last: *source };
                self.joins[*source - 1].filter = Some(self.predicate(filter, scope)?);
            }
            self.bind_filters_of(&link.links, source)?;
        }
        Ok(())
    }

    /// The source a path leads to. `unknown` is the code for an unknown alias.
    pub(super) fn source(&mut self, path: &Path, scope: Scope, unknown: u32) -> Result<usize> {
        match path {
            Path::Here => Ok(scope.here),
            Path::Alias(alias) => self.aliased(alias, scope, unknown),
            Path::Navigation(names) => {
                let mut source = scope.here;
                for name in names {
                    source = self.navigate(source, name)?;
                }
                Ok(source)
            }
            Path::Variable { variable, .. } => {
                let message = format!("the variable '{}' is not known here", variable.text);
                Err(Error::invalid(codes::ODATA, message).at(variable.at.clone()))
            }
        }
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
        let mut navigation = self.sources[from].navigation.clone();
        navigation.push(property.text.clone());
        if let Some(known) = self.sources.iter().position(|s| s.navigation == navigation) {
            return Ok(known);
        }
        let relation = table
            .navigation(&property.text)
            .ok_or_else(|| self.unknown_navigation(&table, property))?;
        let target = self.catalog.table(&relation.target).ok_or_else(|| {
            let message = format!(
                "the navigation property '{}' leads to the table '{}', which is not served",
                property.text, relation.target
            );
            Error::unsupported(message).at(property.at.clone())
        })?;
        let broken = || Error::internal(format!("'{}' has no columns", relation.schema_name));
        let to = table.column_index(&relation.column).ok_or_else(broken)?;
        let key = target.column_index(&relation.target_column).ok_or_else(broken)?;
        let source = Source {
            table: target.clone(),
            callable: None,
            label: navigation.join("/"),
            parent: Some(from),
            tested_only: false,
            navigation,
        };
        Ok(self.push(source, LinkType::Outer, Column { source: from, column: to }, key))
    }

    fn unknown_navigation(&self, table: &Table, property: &Name) -> Error {
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

fn table(catalog: &Catalog, name: &Name) -> Result<Arc<Table>> {
    catalog.table(&name.text).cloned().ok_or_else(|| {
        let hint = super::columns::hint(catalog.nearest_table(&name.text));
        let message = format!("table '{}' does not exist{hint}", name.text);
        Error::invalid(codes::UNKNOWN_ENTITY, message).at(name.at.clone())
    })
}
