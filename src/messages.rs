//! What the service can be asked to do with each table, as rows: the tables
//! `sdkmessage` and `sdkmessagefilter`, which clients read before they send many
//! rows in one request.

use uuid::Uuid;

use crate::catalog::{Catalog, Table, entity_code};
use crate::error::{Error, Result};
use crate::identity;
use crate::store::{Change, Store};
use crate::value::{Guid, Value};

/// Ids are made of names below this one, so that they are the same everywhere.
const NAMESPACE: Uuid = uuid::uuid!("5e5ab5e0-0000-4000-8000-00000000000e");

/// The messages of the Web API. Jobs have those only that do not create rows.
const MESSAGES: [(&str, bool); 8] = [
    ("Retrieve", false),
    ("RetrieveMultiple", false),
    ("Update", false),
    ("UpdateMultiple", false),
    ("Delete", false),
    ("Create", true),
    ("CreateMultiple", true),
    ("UpsertMultiple", true),
];

/// Adds the rows that are missing. A folder with an organization's own messages,
/// imported, stays as it is.
pub fn register(store: &Store) -> Result<()> {
    let catalog = store.catalog();
    let messages = Rows::new(catalog, "sdkmessage")?;
    let filters = Rows::new(catalog, "sdkmessagefilter")?;
    let imported = store.snapshot().rows(messages.number) > 0
        && !store.contains(messages.number, &id(&[MESSAGES[0].0]));
    if imported {
        return Ok(());
    }
    let mut changes = Vec::new();
    for (message, creates) in MESSAGES {
        let of_message = id(&[message]);
        if !store.contains(messages.number, &of_message) {
            changes.push(messages.insert(&[
                ("sdkmessageid", Value::Guid(of_message)),
                ("name", Value::Text(message.into())),
                ("isactive", Value::Boolean(true)),
                ("isprivate", Value::Boolean(false)),
                ("organizationid", Value::Guid(identity::ORGANIZATION)),
            ])?);
        }
        let served = catalog.tables().iter();
        for table in served.filter(|t| !creates || t.logical_name != "asyncoperation") {
            let of_filter = id(&[message, &table.logical_name]);
            if store.contains(filters.number, &of_filter) {
                continue;
            }
            changes.push(filters.insert(&[
                ("sdkmessagefilterid", Value::Guid(of_filter)),
                ("sdkmessageid", Value::Guid(of_message)),
                ("primaryobjecttypecode", Value::Int32(entity_code(&table.logical_name))),
                ("isvisible", Value::Boolean(true)),
                ("iscustomprocessingstepallowed", Value::Boolean(true)),
                ("organizationid", Value::Guid(identity::ORGANIZATION)),
            ])?);
        }
    }
    if !changes.is_empty() {
        store.commit_blocking(changes)?;
    }
    Ok(())
}

fn id(names: &[&str]) -> Guid {
    Uuid::new_v5(&NAMESPACE, names.join("/").as_bytes()).into_bytes()
}

/// A table that gets rows here.
struct Rows<'a> {
    number: usize,
    table: &'a Table,
}

impl<'a> Rows<'a> {
    fn new(catalog: &'a Catalog, name: &str) -> Result<Self> {
        let number = catalog.table_index(name).ok_or_else(|| missing(name))?;
        Ok(Self { number, table: &catalog.tables()[number] })
    }

    fn insert(&self, values: &[(&str, Value)]) -> Result<Change> {
        let values = values
            .iter()
            .map(|(name, value)| {
                let column = self.table.column_index(name).ok_or_else(|| missing(name))?;
                Ok((column, value.clone()))
            })
            .collect::<Result<_>>()?;
        Ok(Change::Insert { table: self.number, values })
    }
}

fn missing(name: &str) -> Error {
    Error::internal(format!("the catalog has no '{name}'"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn rows(store: &Store, name: &str) -> u64 {
        let number = store.catalog().table_index(name).expect("built in");
        store.snapshot().rows(number) as u64
    }

    #[test]
    fn messages_are_registered_once() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store =
            Store::open(folder.path(), Arc::new(Catalog::built_in())).expect("a new folder");
        let tables = store.catalog().tables().len() as u64;
        for _ in 0..2 {
            register(&store).expect("registers");
            assert_eq!(rows(&store, "sdkmessage"), 8);
            assert_eq!(rows(&store, "sdkmessagefilter"), 8 * tables - 3);
        }
    }

    #[test]
    fn imported_messages_are_left_alone() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store =
            Store::open(folder.path(), Arc::new(Catalog::built_in())).expect("a new folder");
        let messages = Rows::new(store.catalog(), "sdkmessage").expect("built in");
        let own = [("sdkmessageid", Value::Guid([7; 16])), ("name", Value::Text("Create".into()))];
        let insert = messages.insert(&own).expect("a row");
        store.commit_blocking(vec![insert]).expect("durable");
        register(&store).expect("does nothing");
        assert_eq!((rows(&store, "sdkmessage"), rows(&store, "sdkmessagefilter")), (1, 0));
    }
}
