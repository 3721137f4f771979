//! FetchXML's `link-entity`: the tables it joins, by which columns, and the
//! filters inside.

use super::Binder;
use super::sources::{Source, table};
use crate::catalog::Table;
use crate::error::{Error, Result, codes};
use crate::query::bound::Column;
use crate::query::{Link, LinkType};

impl Binder<'_> {
    pub(super) fn add_links(&mut self, links: &[Link]) -> Result<()> {
        self.add_links_under(0, links)
    }

    pub(super) fn add_links_under(&mut self, parent: usize, links: &[Link]) -> Result<()> {
        for link in links {
            let source = self.add_link(parent, link, false)?;
            self.add_links_under(source, &link.links)?;
        }
        Ok(())
    }

    pub(super) fn add_link(
        &mut self,
        parent: usize,
        link: &Link,
        in_predicate: bool,
    ) -> Result<usize> {
        let table = table(self.catalog, &link.table)?;
        let (from, to) = self.join_columns(parent, &table, link)?;
        let types = [(&table, from), (&self.sources[parent].table, to)]
            .map(|(table, column)| table.schema().field(column).data_type().clone());
        let columns = [(&table, from), (&self.sources[parent].table, to)];
        let [from_name, to_name] = columns.map(|(table, column)| &table.columns[column]);
        let bad = |message: String| {
            let at = link.to.as_ref().or(link.from.as_ref()).unwrap_or(&link.table);
            Err(Error::invalid(codes::INVALID_ARGUMENT, message).at(at.at.clone()))
        };
        if types[0] != types[1] {
            return bad(format!(
                "'{}' of '{}' and '{}' of '{}' cannot be joined: their types differ",
                to_name.logical_name,
                self.sources[parent].table.logical_name,
                from_name.logical_name,
                table.logical_name,
            ));
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
            tested_only: in_predicate || link.link_type == LinkType::Exists,
            navigation: None,
            block: if in_predicate { self.sources.len() } else { self.block },
            copy_of: None,
        };
        let link_type = if in_predicate { LinkType::Exists } else { link.link_type };
        Ok(self.push(source, link_type, Column { source: parent, column: to }, from))
    }

    /// The filters inside links, once all sources are known.
    pub(super) fn bind_link_filters(&mut self, links: &[Link]) -> Result<()> {
        let mut source = 0;
        self.bind_filters_of(links, &mut source)
    }

    pub(super) fn bind_filters_of(&mut self, links: &[Link], source: &mut usize) -> Result<()> {
        for link in links {
            *source += 1;
            if let Some(filter) = &link.filter {
                self.joins[*source - 1].filter = Some(self.link_filter(filter, *source, 0)?);
            }
            self.bind_filters_of(&link.links, source)?;
        }
        Ok(())
    }

    /// The columns that join a link to its parent. Where the query leaves them out,
    /// they are those of the only relationship between the two tables.
    fn join_columns(&self, parent: usize, table: &Table, link: &Link) -> Result<(usize, usize)> {
        let other = &self.sources[parent].table;
        let from = link.from.as_ref().map(|name| self.column(table, name)).transpose()?;
        let to = link.to.as_ref().map(|name| self.column(other, name)).transpose()?;
        if let (Some(from), Some(to)) = (from, to) {
            return Ok((from, to));
        }
        let up = other
            .many_to_one
            .iter()
            .filter(|r| r.target == table.logical_name)
            .map(|r| (r.target_column.as_str(), r.column.as_str()));
        let down = other
            .one_to_many
            .iter()
            .filter(|r| r.target == table.logical_name)
            .map(|r| (r.target_column.as_str(), r.column.as_str()));
        let mut found: Vec<(usize, usize)> = up
            .chain(down)
            .filter_map(|(from, to)| Some((table.column_index(from)?, other.column_index(to)?)))
            .filter(|pair| from.is_none_or(|f| f == pair.0) && to.is_none_or(|t| t == pair.1))
            .collect();
        found.sort_unstable();
        found.dedup();
        let (code, problem) = match found.as_slice() {
            [only] => return Ok(*only),
            [] => (codes::MISSING_ATTRIBUTE, "no relationship"),
            _ => (codes::AMBIGUOUS_RELATIONSHIP, "several relationships"),
        };
        let message = format!(
            "{problem} between '{}' and '{}' could be meant; 'link-entity' needs the attributes \
             'from' and 'to'",
            other.logical_name, table.logical_name
        );
        Err(Error::invalid(code, message).at(link.table.at.clone()))
    }
}
