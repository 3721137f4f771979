//! The tables of a query, its joins, and the queries that its rows come from.

use super::{Printer, cannot_say, quoted};
use crate::error::Result;
use crate::query::LinkType;
use crate::query::bound::{Column, Join, PLACE, Predicate};

impl Printer<'_> {
    pub(super) fn from(&self) -> Result<String> {
        let query = self.query;
        let root = quoted(&query.root.logical_name);
        let mut text = match query.input.as_slice() {
            [] => format!("\nFROM {root}"),
            [stage] => {
                if query.root.column_index(PLACE).is_some() {
                    return Err(cannot_say("a query over rows in an order"));
                }
                let filled = stage.columns.iter().enumerate();
                let named = filled.filter_map(|(column, output)| {
                    let name = query.root.columns[column].logical_name.as_str();
                    Some(((*output)?, name))
                });
                let named: Vec<(usize, &str)> = named.collect();
                let inner = Printer::new(&stage.query)?.select(Some(&named))?;
                format!("\nFROM (\n{inner}\n) AS {root}")
            }
            _ => return Err(cannot_say("'concat'")),
        };
        text.push_str(&self.joins(0, "\n")?);
        Ok(text)
    }

    /// The joins whose rows stand beside those of a part of the query.
    fn joins(&self, part: usize, before: &str) -> Result<String> {
        let mut text = String::new();
        for (index, join) in self.query.joins.iter().enumerate() {
            let beside = !join.in_predicate && self.query.part_of(join.to.source) == part;
            if beside && join.link_type != LinkType::Exists {
                text.push_str(before);
                text.push_str(&self.join(index, join)?);
            }
        }
        Ok(text)
    }

    fn join(&self, index: usize, join: &Join) -> Result<String> {
        let table = self.named(join);
        let on = self.joined(index, join)?;
        let conjuncts = join.filter.iter().flat_map(Predicate::conjuncts);
        let (tests, filters): (Vec<_>, Vec<_>) = conjuncts.partition(|part| part.tests_rows());
        let said = |parts: Vec<&Predicate>| -> Result<String> {
            let parts = parts.into_iter().map(|part| self.operand(part));
            Ok(parts.collect::<Result<Vec<_>>>()?.iter().map(|p| format!(" AND {p}")).collect())
        };
        match join.link_type {
            // What tests further rows stands in the WHERE clause.
            LinkType::Inner => Ok(format!("JOIN {table} ON {on}{}", said(filters)?)),
            LinkType::Outer => {
                if tests.is_empty() {
                    return Ok(format!("LEFT JOIN {table} ON {on}{}", said(filters)?));
                }
                let alias = quoted(&join.alias);
                let tests = said(tests)?;
                let tests = tests.trim_start_matches(" AND ");
                let rows = format!("(SELECT {alias}.* FROM {table} WHERE {tests}) AS {alias}");
                Ok(format!("LEFT JOIN {rows} ON {on}{}", said(filters)?))
            }
            LinkType::First | LinkType::Exists => {
                let alias = quoted(&join.alias);
                let hangs = |other: &Join| self.query.part_of(other.to.source) == index + 1;
                if self.query.joins.iter().any(|other| !other.in_predicate && hangs(other)) {
                    let part = "links inside a link of type 'matchfirstrowusingcrossapply'";
                    return Err(cannot_say(part));
                }
                let key = quoted(&join.table.primary_id);
                let (tests, filters) = (said(tests)?, said(filters)?);
                Ok(format!(
                    "CROSS APPLY (SELECT TOP (1) {alias}.* FROM {table} \
                     WHERE {on}{filters}{tests} ORDER BY {alias}.{key}) AS {alias}"
                ))
            }
        }
    }

    /// `table AS alias`.
    fn named(&self, join: &Join) -> String {
        let (table, alias) = (quoted(&join.table.logical_name), quoted(&join.alias));
        if table == alias { table } else { format!("{table} AS {alias}") }
    }

    fn joined(&self, index: usize, join: &Join) -> Result<String> {
        let own = Column { source: index + 1, column: join.from };
        Ok(format!("{} = {}", self.column(own)?, self.column(join.to)?))
    }

    /// The conditions on the rows of a part of the query, all of which have to hold.
    pub(super) fn conditions(
        &self,
        part: usize,
        filter: Option<&Predicate>,
    ) -> Result<Vec<String>> {
        let mut conditions = Vec::new();
        for (index, join) in self.query.joins.iter().enumerate() {
            if join.in_predicate || self.query.part_of(join.to.source) != part {
                continue;
            }
            match join.link_type {
                LinkType::Exists => conditions.push(self.exists(index + 1)?),
                LinkType::Inner => {
                    let parts = join.filter.iter().flat_map(Predicate::conjuncts);
                    for test in parts.filter(|part| part.tests_rows()) {
                        conditions.push(self.operand(test)?);
                    }
                }
                LinkType::Outer | LinkType::First => {}
            }
        }
        match filter {
            Some(Predicate::And(parts)) if !parts.is_empty() => {
                for part in parts {
                    conditions.push(self.operand(part)?);
                }
            }
            Some(other) => conditions.push(self.operand(other)?),
            None => {}
        }
        Ok(conditions)
    }

    /// A test for rows of a source that belong to those outside.
    pub(super) fn exists(&self, source: usize) -> Result<String> {
        let join = &self.query.joins[source - 1];
        let (table, joins) = (self.named(join), self.joins(source, " ")?);
        let on = self.joined(source - 1, join)?;
        let further = self.conditions(source, join.filter.as_ref())?;
        let further: String = further.iter().map(|part| format!(" AND {part}")).collect();
        Ok(format!("EXISTS (SELECT 1 FROM {table}{joins} WHERE {on}{further})"))
    }
}
