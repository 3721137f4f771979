//! The numbers of tables, keys and relationships: `pg_class.oid` and its like in
//! PostgreSQL's catalogs, `object_id` in SQL Server's.
//!
//! They are derived from names, so that they are the same in every process and
//! stay what they are when an organization adds tables of its own.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{Attached, Table};

/// Numbers below belong to what comes with a server.
const FIRST: u32 = 16_384;
/// Numbers end before this, since both sides have signed ones.
const LAST: u32 = 0x7fff_0000;

/// What is numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ObjectKind {
    Table,
    /// The primary key of a table; has the table's name here.
    PrimaryKey,
    /// The index behind the primary key; has the table's name here.
    Index,
    /// A relationship, by its schema name and the referencing table.
    ForeignKey,
}

/// The numbers of a catalog's objects.
#[derive(Debug, Default)]
pub struct Objects {
    by_name: HashMap<(ObjectKind, String), i32>,
    by_id: HashMap<i32, (ObjectKind, String)>,
}

impl Objects {
    pub(super) fn of(tables: &[Arc<Table>], attached: &[Arc<Attached>]) -> Self {
        let mut objects = Self::default();
        let mut taken = HashSet::new();
        for kind in [ObjectKind::Table, ObjectKind::PrimaryKey, ObjectKind::Index] {
            for table in tables {
                objects.add(kind, table.logical_name.clone(), &mut taken);
            }
        }
        for table in tables {
            for relation in &table.many_to_one {
                let name = foreign_key(&table.logical_name, &relation.schema_name);
                objects.add(ObjectKind::ForeignKey, name, &mut taken);
            }
        }
        for attached in attached {
            let name = attached.table.logical_name.clone();
            objects.add(ObjectKind::Table, name, &mut taken);
        }
        objects
    }

    fn add(&mut self, kind: ObjectKind, name: String, taken: &mut HashSet<u32>) {
        let mut number = FIRST + hash(&format!("{kind:?} {name}")) % (LAST - FIRST);
        // Two names that meet: the later one moves on.
        while !taken.insert(number) {
            number = if number + 1 == LAST { FIRST } else { number + 1 };
        }
        let number = i32::try_from(number).expect("below the greatest signed number");
        self.by_name.insert((kind, name.clone()), number);
        self.by_id.insert(number, (kind, name));
    }

    /// The number of a table by its logical name, exact spelling.
    pub fn table(&self, logical_name: &str) -> Option<i32> {
        self.number(ObjectKind::Table, logical_name)
    }

    /// The number of anything but a relationship.
    pub fn number(&self, kind: ObjectKind, name: &str) -> Option<i32> {
        self.by_name.get(&(kind, name.to_owned())).copied()
    }

    /// The number of a relationship of a table.
    pub fn foreign_key(&self, table: &str, relationship: &str) -> Option<i32> {
        self.number(ObjectKind::ForeignKey, &foreign_key(table, relationship))
    }

    /// What has this number.
    pub fn name(&self, number: i32) -> Option<(ObjectKind, &str)> {
        self.by_id.get(&number).map(|(kind, name)| (*kind, name.as_str()))
    }
}

fn foreign_key(table: &str, relationship: &str) -> String {
    format!("{table} {relationship}")
}

/// FNV-1a, which no release of the standard library changes.
fn hash(name: &str) -> u32 {
    name.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use crate::catalog::Catalog;

    #[test]
    fn numbers_are_those_of_every_other_process() {
        let catalog = Catalog::built_in();
        let objects = catalog.objects();
        let jobs = objects.table("asyncoperation").expect("a table");
        assert_eq!(jobs, 831_870_068);
        assert_eq!(objects.name(jobs).map(|(_, name)| name), Some("asyncoperation"));
        assert!(objects.table("nosuch").is_none());
        assert!(objects.by_id.keys().all(|number| *number >= 16_384));
        assert_eq!(objects.by_id.len(), objects.by_name.len());
    }
}
