//! Addresses of rows in bodies: `@odata.bind`, `@odata.id`.

use percent_encoding::percent_decode_str;

use super::{Transaction, missing};
use crate::catalog::{Catalog, ColumnKind};
use crate::error::{Error, ErrorKind, Result, codes};
use crate::value::{Guid, Value, parse_guid};

/// The address of a row, relative or absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The entity set, as written.
    pub set: String,
    /// The number of its table, if it is served.
    pub table: Option<usize>,
    pub key: Key,
}

/// How a row is addressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    Id(Guid),
    /// Columns with their values, quotes taken off.
    Columns(Vec<(String, String)>),
}

impl Reference {
    /// Reads `/set(key)`, `set(key)` or an address of a Web API with that at its end.
    pub fn read(text: &str, catalog: &Catalog) -> Result<Self> {
        let wrong = || {
            let message =
                format!("'{text}' is not the address of a row, such as /accounts(<guid>)");
            Error::invalid(codes::ODATA, message)
        };
        let decoded = percent_decode_str(text.trim()).decode_utf8().map_err(|_| wrong())?;
        let below = match decoded.split_once("/api/data/") {
            Some((_, rest)) => rest.split_once('/').ok_or_else(wrong)?.1,
            None => decoded.trim_start_matches('/'),
        };
        let (set, key) =
            below.strip_suffix(')').and_then(|b| b.split_once('(')).ok_or_else(wrong)?;
        if set.is_empty() || !set.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(wrong());
        }
        let table = catalog.entity_set(set).and_then(|t| catalog.table_index(&t.logical_name));
        let mut columns = Vec::new();
        for part in outside_quotes(key) {
            match part.split_once('=') {
                None => {
                    let id = parse_guid(key.trim()).ok_or_else(wrong)?;
                    return Ok(Self { set: set.to_owned(), table, key: Key::Id(id) });
                }
                Some((name, value)) => {
                    columns.push((name.trim().to_owned(), unquoted(value.trim())));
                }
            }
        }
        let primary = table.map(|t| catalog.tables()[t].primary_id.as_str());
        let key = match columns.as_slice() {
            [(name, value)] if Some(name.as_str()) == primary => {
                Key::Id(parse_guid(value).ok_or_else(wrong)?)
            }
            _ => Key::Columns(columns),
        };
        Ok(Self { set: set.to_owned(), table, key })
    }

    /// The primary key of the row; of a table that is served the row is there.
    pub(super) fn find(&self, transaction: &Transaction) -> Result<Guid> {
        let table = match (self.table, &self.key) {
            (None, Key::Id(id)) => return Ok(*id),
            (None, Key::Columns(_)) => {
                let message = format!("Resource not found for the segment '{}'.", self.set);
                return Err(Error::new(ErrorKind::NotFound, codes::UNKNOWN_SEGMENT, message));
            }
            (Some(table), _) => table,
        };
        match &self.key {
            Key::Id(id) => {
                let known = transaction.is_built_in(id) || transaction.row(table, id).is_some();
                match known {
                    true => Ok(*id),
                    false => Err(missing(&transaction.facts(table), id)),
                }
            }
            Key::Columns(pairs) => transaction.find_by_columns(table, pairs),
        }
    }
}

impl Transaction {
    /// The caller and the business unit may have no row of their own.
    fn is_built_in(&self, id: &Guid) -> bool {
        [self.caller.user, self.caller.business_unit].contains(id)
    }

    /// The row that an alternate key names.
    fn find_by_columns(&self, table: usize, pairs: &[(String, String)]) -> Result<Guid> {
        let facts = self.facts(table);
        let mut wanted = Vec::new();
        for (name, text) in pairs {
            let index = facts.column_index(name).filter(|i| {
                let column = &facts.columns[*i];
                column.kind == ColumnKind::Stored && column.read
            });
            let Some(index) = index else {
                let message = format!(
                    "The key in the request URI is not valid for resource 'Microsoft.Dynamics.CRM.{}': it has no property '{name}'.",
                    facts.logical_name
                );
                return Err(Error::invalid(codes::ODATA, message));
            };
            let data_type = facts.schema().field(index).data_type();
            let value = Value::parse(text, data_type).map_err(|expected| {
                let message = format!("the key '{name}' takes {expected}, not '{text}'");
                Error::invalid(codes::ODATA, message)
            })?;
            wanted.push((index, value));
        }
        let fits = |cell: &dyn Fn(usize) -> Value| {
            wanted.iter().all(|(column, value)| same(&cell(*column), value))
        };
        let snapshot = self.store.snapshot();
        let schema = facts.schema();
        let mut found = Vec::new();
        for chunk in snapshot.table(table).chunks() {
            for row in (0..chunk.rows()).filter(|r| chunk.alive().is_none_or(|a| a.value(*r))) {
                let cell = |column| chunk.value(row, column, schema);
                if let (true, Value::Guid(id)) = (fits(&cell), cell(facts.primary_id_index())) {
                    found.push(id);
                }
            }
        }
        found.retain(|id| !self.rows.contains_key(&(table, *id)));
        for ((of, id), row) in &self.rows {
            if *of == table && row.as_ref().is_some_and(|row| fits(&|column| row[column].clone())) {
                found.push(*id);
            }
        }
        match found.as_slice() {
            [id] => Ok(*id),
            [] => {
                let message = format!(
                    "A record with the specified key values does not exist in {} entity",
                    facts.logical_name
                );
                Err(Error::new(ErrorKind::NotFound, codes::KEY_NOT_FOUND, message))
            }
            several => {
                let message = format!(
                    "{} rows of '{}' have the specified key values",
                    several.len(),
                    facts.logical_name
                );
                Err(Error::new(ErrorKind::Conflict, codes::KEY_NOT_UNIQUE, message))
            }
        }
    }
}

/// Text keys ignore case, as Dataverse's collation does.
fn same(stored: &Value, wanted: &Value) -> bool {
    match (stored, wanted) {
        (Value::Text(a), Value::Text(b)) => a.to_lowercase() == b.to_lowercase(),
        (a, b) => a == b,
    }
}

fn unquoted(value: &str) -> String {
    match value.strip_prefix('\'').and_then(|v| v.strip_suffix('\'')) {
        Some(text) => text.replace("''", "'"),
        None => value.to_owned(),
    }
}

/// Splits at commas outside quotes.
fn outside_quotes(text: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c| {
        quoted ^= c == '\'';
        c == ',' && !quoted
    })
}
