//! Sort keys. Lookups sort by the name of the row they point to; choices by
//! their label in FetchXML (`useraworderby`: number) and by their number in OData.

use super::Binder;
use super::columns::{hint, label_column, name_column};
use super::sources::Scope;
use crate::catalog::{ColumnKind, Table, nearest};
use crate::error::{Error, Result, codes};
use crate::query::bound::{Column, OrderKey, OrderTarget, OutputRole, PLACE};
use crate::query::{ColumnRef, Expression, Link, Name, Order, OrderBy, Path, Select, Style};

impl Binder<'_> {
    /// All sort keys: those of the query, then those inside links. Where only a
    /// part of the rows is wanted, which part has to be certain: the primary key,
    /// Dataverse's default order, ends the sort keys.
    pub(super) fn order(&mut self, select: &Select) -> Result<Vec<OrderKey>> {
        let mut keys = Vec::new();
        self.add_keys(0, &select.order, &mut keys)?;
        let mut source = 0;
        self.add_link_keys(&select.links, &mut source, &mut keys)?;
        if let Some(share) = &select.share {
            let by = self.reference(&share.by, self.root_scope(), codes::LINK_FOR_ORDER)?;
            keys.push(OrderKey { by: OrderTarget::Column(by), descending: !share.bottom });
        }
        if let Some(column) = self.sources[0].table.column_index(PLACE)
            && !self.aggregate
            && !self.distinct
        {
            // Rows keep the order that an inner query gave them.
            let place = Column { source: 0, column };
            keys.push(OrderKey { by: OrderTarget::Column(place), descending: false });
        }
        let part = select.skip > 0
            || select.share.is_some()
            || select.page.is_some()
            || select.top.is_some();
        if part
            && !self.aggregate
            && !self.distinct
            && let Some(column) = self.sources[0].table.primary_key()
        {
            let primary = Column { source: 0, column };
            let is_primary = |k: &OrderKey| matches!(k.by, OrderTarget::Column(c) if c == primary);
            if !keys.iter().any(is_primary) {
                keys.push(OrderKey { by: OrderTarget::Column(primary), descending: false });
            }
        } else if part && !self.aggregate && !self.distinct {
            // Rows of an inner query without a key are told apart by all they have.
            let columns = self.sources[0].table.columns.iter().enumerate();
            let shown = columns.filter(|(_, c)| c.read && c.kind == ColumnKind::Stored);
            keys.extend(shown.map(|(column, _)| {
                let by = OrderTarget::Column(Column { source: 0, column });
                OrderKey { by, descending: false }
            }));
        }
        Ok(keys)
    }

    fn add_link_keys(
        &mut self,
        links: &[Link],
        source: &mut usize,
        keys: &mut Vec<OrderKey>,
    ) -> Result<()> {
        for link in links {
            *source += 1;
            self.add_keys(*source, &link.order, keys)?;
            self.add_link_keys(&link.links, source, keys)?;
        }
        Ok(())
    }

    fn add_keys(&mut self, here: usize, orders: &[Order], keys: &mut Vec<OrderKey>) -> Result<()> {
        let mut checked = Ok(());
        for order in orders {
            let key = self.key(here, order);
            checked = self.both(checked, key.map(|key| keys.push(key)));
        }
        checked
    }

    fn key(&mut self, here: usize, order: &Order) -> Result<OrderKey> {
        let by = match &order.by {
            OrderBy::Alias(name) if self.style == Style::OData && !self.aggregate => {
                self.by_column(here, &ColumnRef { path: Path::Here, name: name.clone() })?
            }
            OrderBy::Alias(alias) => OrderTarget::Output(self.by_alias(alias)?),
            OrderBy::Column(column) => self.by_column(here, column)?,
            OrderBy::Expression(Expression::Column(column)) => self.by_column(here, column)?,
            OrderBy::Expression(_) if self.aggregate || self.distinct => {
                let message = "ordering an aggregated or distinct answer by an expression is \
                               not supported; compute it first";
                return Err(Error::unsupported(message));
            }
            OrderBy::Expression(expression) => {
                let scope = Scope { here, ..self.root_scope() };
                OrderTarget::Scalar(self.scalar(expression, scope)?.0)
            }
        };
        Ok(OrderKey { by, descending: order.descending })
    }

    fn by_alias(&mut self, alias: &Name) -> Result<usize> {
        if !self.aggregate {
            let message =
                format!("only an aggregate query is ordered by an alias: '{}'", alias.text);
            let code = self.code(codes::ORDER_ALIAS_IN_PLAIN);
            return Err(Error::invalid(code, message).at(alias.at.clone()));
        }
        let visible = || self.outputs.iter().filter(|o| !o.hidden);
        match self.outputs.iter().position(|o| !o.hidden && o.name == alias.text) {
            Some(output) => Ok(self.shown_order(output)),
            None => {
                let near = nearest(&alias.text, visible().map(|o| o.name.as_str()));
                let message =
                    format!("no group or aggregate has the alias '{}'{}", alias.text, hint(near));
                let code = self.code(codes::ORDER_WITHOUT_ALIAS);
                Err(Error::invalid(code, message).at(alias.at.clone()))
            }
        }
    }

    fn by_column(&mut self, here: usize, by: &ColumnRef) -> Result<OrderTarget> {
        let scope = Scope { here, ..self.root_scope() };
        let column = self.reference(by, scope, codes::LINK_FOR_ORDER)?;
        self.readable(column.source, self.root_scope(), &by.name)?;
        if !self.aggregate && !self.distinct {
            let table = &self.sources[column.source].table;
            let text = self.sort_text(table, column.column).unwrap_or(column.column);
            return Ok(OrderTarget::Column(Column { column: text, ..column }));
        }
        let wanted = |role: OutputRole| match role {
            OutputRole::Plain | OutputRole::Group(None) => true,
            OutputRole::Group(Some(_)) | OutputRole::Aggregate(_) | OutputRole::CountChildren => {
                false
            }
        };
        let shown =
            self.outputs.iter().position(|o| !o.hidden && o.column == column && wanted(o.role));
        match shown {
            Some(output) => Ok(OrderTarget::Output(self.shown_order(output))),
            None => {
                let (code, message) = if self.aggregate {
                    (
                        codes::ORDER_ATTRIBUTE_IN_AGGREGATE,
                        format!(
                            "an aggregate query is ordered by its groups; '{}' is none",
                            by.name.text
                        ),
                    )
                } else {
                    (
                        codes::INVALID_ARGUMENT,
                        format!(
                            "a distinct query is ordered by its columns; '{}' is none",
                            by.name.text
                        ),
                    )
                };
                Err(Error::invalid(self.code(code), message).at(by.name.at.clone()))
            }
        }
    }

    /// The output to sort by, so that rows come in the order of an output's text.
    fn shown_order(&mut self, output: usize) -> usize {
        let Column { source, column } = self.outputs[output].column;
        if matches!(self.outputs[output].role, OutputRole::Plain | OutputRole::Group(None))
            && let Some(text) = self.sort_text(&self.sources[source].table, column)
        {
            return self.hidden(output, Column { source, column: text });
        }
        output
    }

    /// The column whose text a choice or a lookup sorts by.
    fn sort_text(&self, table: &Table, column: usize) -> Option<usize> {
        let facts = &table.columns[column];
        if facts.is_lookup() {
            name_column(table, column)
        } else if facts.is_choice() && self.style == Style::FetchXml && !self.raw_order {
            label_column(table, column)
        } else {
            None
        }
    }
}
