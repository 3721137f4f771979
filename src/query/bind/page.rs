//! Pages: the keys that tell where a row stands in the order, and the row that a
//! page starts after. Such pages are exact while rows come and go, which pages
//! found by counting rows are not.

use datafusion::arrow::datatypes::DataType;

use super::Binder;
use crate::catalog::ColumnKind;
use crate::error::{Error, Result, codes};
use crate::query::bound::{After, Column, OrderKey, OrderTarget, OutputRole, PageKey};
use crate::query::cookie::CookieKey;
use crate::query::{self, Input, LinkType, Select};
use crate::value::Value;

impl Binder<'_> {
    /// Completes the order of a paged query, so that it leaves no two rows in an
    /// open order, and gives the keys that the encoder tells clients; none where
    /// pages are found by their number.
    pub(super) fn page_keys(&mut self, select: &Select, order: &mut Vec<OrderKey>) -> Vec<PageKey> {
        if select.page.is_none() {
            return Vec::new();
        }
        if self.aggregate || self.distinct {
            self.order_by_all(order);
            return Vec::new();
        }
        if !matches!(select.input, Input::Table) {
            return Vec::new();
        }
        for join in 0..self.joins.len() {
            if self.multiplies(join) {
                let column = self.joins[join].table.primary_id_index();
                let by = OrderTarget::Column(Column { source: join + 1, column });
                order.push(OrderKey { by, descending: false });
            }
        }
        let named: Option<Vec<(String, Column)>> = order
            .iter()
            .map(|key| match key.by {
                OrderTarget::Column(column) => Some((self.key_name(column)?, column)),
                OrderTarget::Output(_) | OrderTarget::Scalar(_) => None,
            })
            .collect();
        let keys = named.unwrap_or_default().into_iter();
        keys.map(|(name, column)| PageKey { output: self.key_output(&name, column), name })
            .collect()
    }

    /// The row that the page starts after; nothing for a page found by its number.
    pub(super) fn after(
        &self,
        select: &Select,
        order: &[OrderKey],
        keys: &[PageKey],
    ) -> Result<Option<After>> {
        let (Some(after), Some(page)) = (&select.after, select.page) else { return Ok(None) };
        let query::After { cookie, at } = after;
        if cookie.keys.is_empty() {
            return Ok(None);
        }
        if !cookie.keys.iter().map(|k| &k.name).eq(keys.iter().map(|k| &k.name)) {
            let names = |names: Vec<&str>| match names.is_empty() {
                true => "nothing".to_owned(),
                false => names.join(", "),
            };
            let message = format!(
                "the paging cookie belongs to another order: it has {}, the query sorts by {}",
                names(cookie.keys.iter().map(|k| k.name.as_str()).collect()),
                names(keys.iter().map(|k| k.name.as_str()).collect()),
            );
            return Err(Error::invalid(codes::COOKIE_MISMATCH, message).at(at.clone()));
        }
        let mut values = Vec::with_capacity(keys.len());
        for (key, found) in order.iter().zip(&cookie.keys) {
            let OrderTarget::Column(column) = key.by else {
                return Err(Error::internal("a sort key without a column in a page's keys"));
            };
            let schema = self.sources[column.source].table.schema();
            let value = key_value(found, schema.field(column.column).data_type())
                .map_err(|error| error.at(at.clone()))?;
            values.push(value);
        }
        // A client that goes back names a page before the cookie's: found by number.
        Ok((page.number > cookie.page).then_some(After { page: cookie.page, values }))
    }

    /// Rows without a key of their own are in order once all they hold is.
    fn order_by_all(&mut self, order: &mut Vec<OrderKey>) {
        for (index, output) in self.outputs.iter().enumerate() {
            let tells = match output.role {
                OutputRole::Plain | OutputRole::Group(_) => !output.hidden,
                _ => false,
            };
            let known = order.iter().any(|k| matches!(k.by, OrderTarget::Output(o) if o == index));
            if tells && !known {
                order.push(OrderKey { by: OrderTarget::Output(index), descending: false });
            }
        }
    }

    /// Whether a join gives a row of the root several times.
    fn multiplies(&self, join: usize) -> bool {
        let joined = &self.joins[join];
        matches!(joined.link_type, LinkType::Inner | LinkType::Outer)
            && joined.from != joined.table.primary_id_index()
            && !self.is_tested(join)
    }

    /// Whether a join only tests rows, or is a part of such a test.
    fn is_tested(&self, join: usize) -> bool {
        let joined = &self.joins[join];
        matches!(joined.link_type, LinkType::Exists | LinkType::First)
            || joined.to.source.checked_sub(1).is_some_and(|parent| self.is_tested(parent))
    }

    /// What a cookie calls a sort key: the column as the query names it, on a
    /// link behind its alias. Nothing if XML cannot have that name.
    fn key_name(&self, of: Column) -> Option<String> {
        let table = &self.sources[of.source].table;
        let shown = match table.columns[of.column].kind {
            ColumnKind::ChoiceLabel(shown) | ColumnKind::LookupName(shown) => shown,
            _ => of.column,
        };
        let column = &table.columns[shown].logical_name;
        let Some(join) = of.source.checked_sub(1) else { return Some(column.clone()) };
        let alias = &self.joins[join].alias;
        let sound = alias.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && alias.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        sound.then(|| format!("{alias}.{column}"))
    }

    /// The output with a sort key's values; a hidden one if the answer has none.
    fn key_output(&mut self, name: &str, column: Column) -> usize {
        let holds = |o: &super::Output| o.column == column && o.role == OutputRole::Plain;
        if let Some(known) = self.outputs.iter().position(holds) {
            return known;
        }
        let mut output = self.output(format!("sort key:{name}"), OutputRole::Plain, column);
        output.hidden = true;
        self.outputs.push(output);
        self.outputs.len() - 1
    }
}

fn key_value(key: &CookieKey, data_type: &DataType) -> Result<Value> {
    let Some(text) = &key.last else { return Ok(Value::Null) };
    Value::parse(text, data_type).map_err(|expected| {
        let message = format!("the paging cookie's '{}' is '{text}', not {expected}", key.name);
        Error::invalid(codes::BAD_COOKIE, message)
    })
}
